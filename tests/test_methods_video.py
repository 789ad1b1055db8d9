"""Methods on clips: what the encoder sees, where the loss starts, that a batch can be learned, what must not leak."""

from __future__ import annotations

import math

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.func import functional_call

from sslkit import checkpoint, losses, methods, nets, recipes, sequence
from sslkit import device as devices
from sslkit.augment import COLOURS, Augment, constant, to_float

N, T = 16, 10
CLIP = (3, 16, 16)
every = pytest.mark.parametrize("name", methods.VIDEO)
SMALL = {"future-embedding": {"width": 8}}  # sixteen rows cannot be uncorrelated in 256 coordinates


def make(name: str, augment: Augment = COLOURS, seed: int = 0, channels: int = 3, **settings):
    with devices.seeded(seed):
        encoder = nets.ConvNet(4 * channels, widths=(8, 16, 32))
        return methods.build(name, encoder, augment=augment, **SMALL.get(name, {}) | settings)


def batch(n: int = N, seed: int = 0, frames: int = T) -> torch.Tensor:
    """A smooth picture that slides to the right, ever more slowly: time has an order, and an arrow."""
    coarse = torch.rand(n, 3, 6, 12, generator=devices.generator(seed))
    wide = torch.nn.functional.interpolate(coarse, size=(16, 64), mode="bilinear")
    place = [round(40 * (1 - 0.75**t)) for t in range(frames)]
    return (255 * torch.stack([wide[..., p : p + 16] for p in place], dim=1)).byte()


@every
def test_forward_is_the_loss_of_the_views(name, device):
    method, x = make(name).to(device).eval(), batch().to(device)
    whole = method(x, devices.generator(3, device))
    parts = method.loss(*method.views(x, devices.generator(3, device)))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)
    assert not torch.equal(whole["loss"], method(x, devices.generator(4, device))["loss"])


SHAPES = {
    "future": [(N, 4, *CLIP), (N, 4, *CLIP)],
    "past": [(N, 4, *CLIP), (N, 4, *CLIP)],
    "order": [(N, 4, *CLIP), (N,)],
    "arrow": [(N, 10, *CLIP), (N,)],
    "future-embedding": [(N, 4, *CLIP), (N, 4, *CLIP)],
}


@every
def test_views_have_the_shapes_that_they_should_have(name):
    views = make(name).views(batch(), devices.generator(0))
    assert [tuple(view.shape) for view in views] == SHAPES[name]
    assert all(0 <= view.min() and view.max() <= 1 for view in views)


@every
def test_the_encoder_sees_four_frames_as_channels_and_all_at_once(name):
    method, calls = make(name), []
    hook = lambda _, arguments: calls.append(arguments[0])  # noqa: E731
    method.encoder.normalize.register_forward_pre_hook(hook)
    method(batch(), devices.generator(0))
    (seen,) = calls
    times = {"arrow": 4, "future-embedding": 2}.get(name, 1)
    assert seen.shape == (times * N, 12, 16, 16) and seen.dtype == torch.float32


@every
def test_views_are_the_same_under_autocast(name):
    method, x = make(name), batch()
    plain = method.views(x, devices.generator(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        views = method.views(x, devices.generator(0))
        loss = method.loss(*views)["loss"]
    assert all(torch.equal(a, b) for a, b in zip(plain, views))
    assert loss.dtype == torch.float32 and loss.isfinite()


@pytest.mark.parametrize("name", ["future", "past"])
def test_prediction_starts_with_a_copy_of_the_last_frame(name):
    method, x = make(name, Augment()), batch()
    seen, target = method.views(x, devices.generator(0))
    assert torch.equal(method.predict(seen), seen[:, -1:].expand(-1, 4, -1, -1, -1))
    out = method.loss(seen, target)
    expected = [(sequence.copy_last(seen) - target[:, a]).square().mean().item() for a in range(4)]
    assert out["loss"].item() == pytest.approx(sum(expected) / 4, rel=1e-5)
    assert [out["nearest"].item(), out["farthest"].item()] == pytest.approx([expected[0], expected[3]], rel=1e-5)
    assert expected[3] != pytest.approx(expected[0], rel=0.1)


@pytest.mark.parametrize("name", ["order", "arrow"])
def test_a_question_of_yes_or_no_starts_at_ln_2(name):
    found = [make(name, seed=s)(batch(64, s), devices.generator(s))["loss"] for s in range(4)]
    assert torch.stack(found).mean().item() == pytest.approx(math.log(2), rel=0.2)


@every
def test_one_batch_can_be_learned(name):
    method, x = make(name, Augment()), batch()
    optimizer = torch.optim.AdamW(method.parameters(), lr=0.01)
    history = []
    for step in range(80):
        out = method(x, devices.generator(step % 2))
        optimizer.zero_grad()
        out["loss"].backward()
        optimizer.step()
        history.append(out["loss"].item())
    assert history[-1] < 0.5 * history[0]


@every
def test_every_parameter_of_encoder_and_head_learns(name):
    method = make(name)
    if name in ("future", "past"):  # as after the first step: a difference of 0 hides what made it
        torch.nn.init.normal_(method.decoder.last.weight)
    method(batch(), devices.generator(0))["loss"].backward()
    assert [key for key, p in method.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


@every
def test_a_step_never_waits_for_the_device(name):
    x, method = batch(), make(name)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        state = {key: mode.from_tensor(v) for key, v in (*method.named_parameters(), *method.named_buffers())}
        loss = functional_call(method, state, (mode.from_tensor(x), torch.Generator()))["loss"]
        loss.backward()
        with pytest.raises(DataDependentOutputException):
            loss.item()
    constant.cache_clear()


# ---- prediction -------------------------------------------------------------------------------------------------


def test_the_past_is_the_future_of_the_reversed_clip():
    future, past, x = make("future", Augment()), make("past", Augment()), batch()
    a = future.views(sequence.backwards(x), devices.generator(1))
    b = past.views(x, devices.generator(1))
    assert all(torch.equal(one, other) for one, other in zip(a, b))
    assert not torch.equal(b[0], future.views(x, devices.generator(1))[0])


@pytest.mark.parametrize("name", ["future", "past"])
def test_what_is_to_be_predicted_reaches_no_prediction(name):
    """Were a frame of the target among those seen, another target would change the prediction."""
    method, x = make(name, Augment()), batch(frames=8)  # four seen, four ahead: one way to cut it
    torch.nn.init.normal_(method.decoder.last.weight)
    other = x.clone()
    hidden = slice(4, 8) if name == "future" else slice(0, 4)
    other[:, hidden] = 255 - other[:, hidden]
    (seen, target), (seen_too, target_too) = (method.eval().views(clip, devices.generator(0)) for clip in (x, other))
    assert not torch.equal(target, target_too) and torch.equal(method.predict(seen), method.predict(seen_too))


def test_rolled_out_it_predicts_from_its_own_predictions():
    method = make("future", Augment()).eval()
    torch.nn.init.normal_(method.decoder.last.weight, std=0.1)
    seen = to_float(batch()[:, :4])
    first = method.predict(seen).clamp(0, 1)
    assert torch.equal(method.roll_out(seen, 3), first[:, :3])
    longer = method.roll_out(seen, 6)
    assert torch.equal(longer[:, :4], first) and torch.equal(longer[:, 4:], method.predict(first).clamp(0, 1)[:, :2])


def test_frames_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="the encoder has 3 channels: no 4 frames of 1 or 3.*channels=12 for clips in"):
        methods.Future(nets.ConvNet(3))
    with pytest.raises(ValueError, match="a ViT sees single images. For clips use a ConvNet"):
        methods.Order(nets.ViT(12))
    with pytest.raises(ValueError, match=r"takes frames \(N, 4, 3, H, W\), H and W even; it got \(16, 4, 3, 15, 16\)"):
        make("future", Augment())(batch()[:, :, :, 1:])
    with pytest.raises(ValueError, match="need clips of 8 frames, and these have 5"):
        make("future")(batch(frames=5))
    with pytest.raises(ValueError, match="frames is 10, and these clips have 9"):
        make("arrow")(batch(frames=9))


def test_grey_clips_and_another_encoder():
    grey = batch()[:, :, :1]
    for name in methods.VIDEO:
        assert make(name, Augment(), channels=1)(grey, devices.generator(0))["loss"].isfinite()
    with devices.seeded(0):
        method = methods.Future(nets.ResNet18(12, width=4))
    assert method(batch(), devices.generator(0))["loss"].isfinite()
    assert make("future").predict(torch.rand(2, 4, 3, 20, 28)).shape == (2, 4, 3, 20, 28)


# ---- order and arrow --------------------------------------------------------------------------------------------


def test_the_arrow_is_told_from_windows_in_their_order():
    method = make("arrow", Augment()).eval()
    clips = to_float(batch())
    z = torch.cat([method.encoder(clips[:, s : s + 4]) for s in (0, 2, 4, 6)], dim=1)
    torch.testing.assert_close(method.predict(clips), method.head(z))
    pieces = sequence.windows(clips, 4, 2)
    assert pieces.shape == (N, 4, 4, *CLIP)
    assert all(torch.equal(pieces[:, w], clips[:, 2 * w : 2 * w + 4]) for w in range(4))
    with pytest.raises(ValueError, match="frames=11, step=2: no window fits into clips of 10 frames"):
        sequence.windows(clips, 11)


def test_futures_are_each_future_in_turn():
    clips = batch()
    seen, targets = sequence.futures(clips, 3, 4, devices.generator(0))
    same = [sequence.futures(clips, 3, 4, start=s) for s in range(4)]
    for n in range(N):
        assert any(torch.equal(seen[n], a[n]) and torch.equal(targets[n], b[n]) for a, b in same)
    for a in range(1, 5):
        inputs, target = sequence.future(clips, 3, a, start=2)
        assert torch.equal(inputs, same[2][0]) and torch.equal(target, same[2][1][:, a - 1])


# ---- embeddings -------------------------------------------------------------------------------------------------


def test_past_and_future_have_augmentations_of_their_own():
    method, x = make("future-embedding"), batch()[:, :1].expand(-1, 10, -1, -1, -1)  # nothing moves
    seen, coming = method.views(x, devices.generator(0))
    assert not torch.allclose(seen, coming, atol=0.05)
    assert torch.allclose(seen[:, 0], seen[:, 3], atol=1e-6)  # within a clip all frames change alike
    method = make("future-embedding", Augment())
    for ahead in (1, 4, 6):
        method.ahead = ahead
        clips = batch(frames=4 + ahead)
        seen, coming = method.views(clips)
        assert torch.equal(seen, to_float(clips[:, :4])) and torch.equal(coming, to_float(clips[:, -4:]))


def test_the_embedding_of_the_future_is_compared_after_the_predictor():
    method = make("future-embedding").eval()
    seen, coming = method.views(batch(), devices.generator(0))
    z_seen, z_coming = (method.projector(method.encoder(x)) for x in (seen, coming))
    expected = losses.vicreg(method.predictor(z_seen), z_coming, 25.0, 25.0, 1.0)
    found = method.loss(seen, coming)
    torch.testing.assert_close(found["loss"], expected["loss"])


# ---- recipes and checkpoints ------------------------------------------------------------------------------------


def test_every_method_on_clips_has_a_recipe():
    assert recipes.VIDEO.keys() == methods.VIDEO.keys() and not recipes.VIDEO.keys() & recipes.RECIPES.keys()
    for name in methods.VIDEO:
        recipe = recipes.get(name)
        assert 0 < recipe.lesson.steps < recipe.long.steps
        assert recipes.augment_for(recipe, "movingdigits") == recipe.augment


@every
def test_a_loaded_method_has_the_same_loss(name, tmp_path):
    with devices.seeded(3):
        method = recipes.build(name, nets.ConvNet(12, widths=(4, 8)), "movingdigits")
    method(batch(), devices.generator(0))
    file = checkpoint.save(tmp_path / "m.pt", method, name=name, data="movingdigits")
    loaded = recipes.load_method(file)
    losses_ = [m.eval()(batch(), devices.generator(1))["loss"] for m in (method, loaded)]
    assert torch.equal(*losses_)
    assert checkpoint.load_encoder(file).channels == 12


def test_past_and_future_that_share_frames_are_refused():
    with pytest.raises(ValueError, match="ahead is 3; expected 4 or more"):
        methods.FutureEmbedding(nets.ConvNet(12, widths=(4, 8)), ahead=3)
