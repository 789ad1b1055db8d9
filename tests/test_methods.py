"""Every method: forward is the loss of its views; it starts near chance, learns a batch, and makes the round trip."""

from __future__ import annotations

import math

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.func import functional_call

from sslkit import device as devices
from sslkit import losses, methods, nets, pairs, pretext, train, words
from sslkit.augment import STRONG, Augment, constant
from sslkit.train import TrainConfig

N, K = 16, 5
MILD = Augment(scale=(0.8, 1.0), brightness=0.2)
ALL = [*methods.METHODS, "supervised"]
every = pytest.mark.parametrize("name", ALL)
# The sixteen rows of a batch cannot be uncorrelated in 256 coordinates, nor tell 4,096 random keys from their own.
SMALL = {
    "vicreg": {"width": 8},
    "barlow-twins": {"width": 8},
    "moco": {"queue": 64},
    "dino": {"prototypes": 64, "temperatures": (0.1, 0.01)},  # a teacher that is sure of what it says
    "mae": {"target": pretext.contrast_normalised_grey, "normalise": False, "width": 12},
    "jepa": {"count": 2, "side": 2, "visible": 8, "width": 12},  # on 4×4 patches
}
# An untrained network finds two views of one image a little alike already, and for these that is a good start.
NO_CHANCE = ("siamese", "moco", "vicreg", "barlow-twins", "dino")


def make(name: str, augment: Augment = MILD, seed: int = 0):
    with devices.seeded(seed):
        masked = name in ("mae", "jepa")
        encoder = nets.ViT(3, patch=4, width=24, depth=2) if masked else nets.ConvNet(3, widths=(8, 16, 32))
        if name == "supervised":
            return methods.Supervised(encoder, K, augment)
        return methods.build(name, encoder, augment=augment, **SMALL.get(name, {}))


def batch(name: str, n: int = N, seed: int = 0, device="cpu"):
    """Images with something in them to tell them apart and to tell up from down."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4, 4, generator=g)
    images = (255 * torch.nn.functional.interpolate(coarse, size=(16, 16))).byte().to(device)
    return (images, (torch.arange(n) % K).to(device)) if name == "supervised" else images


def chance(name: str, n: int) -> float:
    collapsed = 2 * 25 * (1 - 0.01)  # VICReg guesses nothing; this is what embeddings that are all equal cost it
    variance = 1.0  # of what inpainting predicts
    # Collapsed, too: half of the pairs cost nothing, the others ½ m² each. A triplet costs α.
    known = {"vicreg": collapsed, "inpainting": variance, "siamese": 1 / 4, "triplet": 1.0}
    known |= {"mae": 1.0, "jepa": 1.0}  # the targets' variance
    known |= {"byol": 2.0, "simsiam": 2.0, "barlow-twins": 8.0}  # directions, coordinates that have nothing in common
    ln_of = {"moco": 64 + 1, "dino": 64}
    ln = ln_of | {"rotation": 4, "jigsaw": 30, "relative-position": 8, "simclr": 2 * n - 1, "supervised": K}
    return known.get(name) or math.log(ln[name])


@every
def test_forward_is_the_loss_of_the_views(name, device):
    method, x = make(name).to(device).eval(), batch(name, device=device)
    whole = method(x, devices.generator(3, device))
    parts = method.loss(*method.views(x, devices.generator(3, device)))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    other = method(x, devices.generator(4, device))["loss"]
    assert not torch.equal(whole["loss"], other)  # the generator is what decides


IMAGE, LABEL = (N, 3, 16, 16), (N,)
SHAPES = {
    "inpainting": [IMAGE, (N, 1, 16, 16), (N, 1, 16, 16)],
    "jigsaw": [(N, 9, 3, 4, 4), LABEL],
    "rotation": [IMAGE, LABEL],
    "relative-position": [(N, 3, 4, 4), (N, 3, 4, 4), LABEL],
    "siamese": [IMAGE, IMAGE, LABEL],
    "triplet": [IMAGE, IMAGE, LABEL],
    **dict.fromkeys(("simclr", "moco", "byol", "simsiam", "barlow-twins", "vicreg"), [IMAGE, IMAGE]),
    "dino": [IMAGE, IMAGE, (N, 3, 8, 8), (N, 3, 8, 8)],
    "mae": [IMAGE, (N, 4), (N, 12)],
    "jepa": [IMAGE, (N, 8), (N, 8)],
    "supervised": [IMAGE, LABEL],
}


@every
def test_views_have_the_shapes_that_they_should_have(name):
    views = make(name, STRONG).views(batch(name), devices.generator(0))
    assert [tuple(view.shape) for view in views] == SHAPES[name]
    assert all(view.dtype == torch.int64 for view in views if view.ndim == 1)


def seen_by_the_encoder(method, x, seed: int = 0) -> torch.Tensor:
    """What the encoder gets when the method sees x; it must be called once, with everything."""
    calls: list[torch.Tensor] = []
    hook = method.encoder.register_forward_pre_hook(lambda _, arguments: calls.append(arguments[0]))
    method(x, devices.generator(seed))
    hook.remove()
    (call,) = calls
    return call


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("dino", "mae", "jepa")])
def test_the_encoder_sees_images_and_all_of_them_at_once(name):
    """Not with DINO, whose crops are of two sizes, nor with masked images: see test_methods_masked.py."""
    seen = seen_by_the_encoder(make(name, STRONG), batch(name))
    two = ("relative-position", "siamese", "triplet", "simclr", "byol", "simsiam", "barlow-twins", "vicreg")
    times = {"jigsaw": 9, **dict.fromkeys(two, 2)}.get(name, 1)
    assert seen.ndim == 4 and seen.shape[:2] == (times * N, 3) and seen.dtype == torch.float32
    assert 0 <= seen.min() <= seen.max() <= 1
    assert seen.std() > 0.1


@every
def test_views_are_the_same_under_autocast(name):
    method, x = make(name, STRONG), batch(name)
    plain = method.views(x, devices.generator(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        views = method.views(x, devices.generator(0))
        loss = method.loss(*views)["loss"]
    assert all(torch.equal(a, b) for a, b in zip(plain, views))
    assert loss.dtype == torch.float32 and loss.isfinite()


@pytest.mark.parametrize("name", [name for name in ALL if name not in NO_CHANCE])
@pytest.mark.parametrize("n", [32, 128])
def test_the_loss_starts_at_chance(name, n):
    losses_ = [make(name, STRONG, seed)(batch(name, n, seed), devices.generator(seed))["loss"] for seed in range(4)]
    assert torch.stack(losses_).mean().item() == pytest.approx(chance(name, n), rel=0.2)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("mae", "jepa")])  # who learn slowly
def test_one_batch_can_be_learned(name):
    method, x = make(name), batch(name)
    optimizer = torch.optim.AdamW(method.parameters(), lr=0.01)
    history = []
    for step in range(40):
        out = method(x, devices.generator(step % 2))
        optimizer.zero_grad()
        out["loss"].backward()
        optimizer.step()
        history.append(out["loss"].item())
    assert history[-1] < 0.4 * chance(name, N)
    assert history[-1] < 0.5 * history[0]


@every
def test_a_step_never_waits_for_the_device(name, monkeypatch):
    """On tensors without values: whatever the host would have to wait for (item, nonzero, a mask as index) raises."""
    monkeypatch.setattr(losses, "_hides_nothing", lambda mask: False)  # it asks on a CPU only
    x, method = batch(name), make(name, STRONG)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        state = {key: mode.from_tensor(v) for key, v in (*method.named_parameters(), *method.named_buffers())}
        fakes = tuple(map(mode.from_tensor, x)) if isinstance(x, tuple) else mode.from_tensor(x)
        loss = functional_call(method, state, (fakes, torch.Generator()))["loss"]
        loss.backward()
        with pytest.raises(DataDependentOutputException):
            loss.item()
    constant.cache_clear()  # what it holds has no values either


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # it says that it does not see everything
@pytest.mark.parametrize("name", methods.METHODS)
def test_a_training_step_on_a_gpu_never_waits_for_it(name):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    method, x = make(name, STRONG).cuda(), batch(name, device="cuda")
    method(x, devices.generator(0, "cuda"))  # constants are copied once
    try:
        torch.cuda.set_sync_debug_mode("error")
        method(x, devices.generator(0, "cuda"))["loss"].backward()
        getattr(method, "after_step", bool)(0.5)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@every
def test_every_parameter_of_encoder_and_head_learns(name):
    method = make(name)
    method(batch(name), devices.generator(0))["loss"].backward()
    taught = {key: p for key, p in method.named_parameters() if not key.startswith("target.")}
    assert [key for key, p in taught.items() if p.grad is None or p.grad.abs().sum() == 0] == []
    assert all(p.requires_grad for p in taught.values())


@every
def test_the_state_makes_the_round_trip(name):
    method, x = make(name), batch(name)
    method(x, devices.generator(0))  # so that batch norm has seen something
    other = make(name, seed=1)
    assert not torch.equal(
        other.eval()(x, devices.generator(1))["loss"], method.eval()(x, devices.generator(1))["loss"]
    )
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.eval()(x, devices.generator(1))["loss"], method.eval()(x, devices.generator(1))["loss"])


def test_rotation_asks_which_way_each_view_was_turned():
    method, x = make("rotation", Augment()), batch("rotation")
    inputs, target = method.views(x, devices.generator(0))
    assert torch.equal(pretext.rotate(inputs, -target), x / 255)
    logits = method.head(method.encoder(inputs))
    out = method.loss(inputs, target)
    assert out["accuracy"].item() == (logits.argmax(1) == target).float().mean().item()
    assert torch.allclose(out["loss"], losses.cross_entropy(logits, target))


# ---- inpainting --------------------------------------------------------------------------------------------------


def fixed(mask):
    """A mask function of a reader's own: the same mask whatever the generator says."""
    return lambda x, generator=None: mask.expand(len(x), 1, *x.shape[2:])


def upper_left_corner() -> torch.Tensor:
    mask = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    mask[:, :, :9, :5] = True
    return mask


def inpainting(**settings):
    with devices.seeded(0):
        encoder = nets.ConvNet(3, widths=(8, 16, 32))
        return methods.build("inpainting", encoder, **({"augment": Augment()} | settings))


def test_inpainting_hides_and_predicts_what_it_hid():
    method, x = inpainting(), batch("inpainting")
    inputs, mask, target = method.views(x, devices.generator(0))
    assert len({tuple(m.flatten().tolist()) for m in mask}) == 4  # each image its own side
    assert torch.equal(inputs, torch.where(mask, 0.5, x / 255))
    assert torch.equal(target, torch.where(mask, pretext.contrast_normalised_grey(x / 255), 0))
    prediction = method.decoder(method.bottleneck(method.encoder(inputs)), (16, 16))
    assert torch.equal(method.predict(inputs), prediction)
    torch.testing.assert_close(method.loss(inputs, mask, target)["loss"], losses.masked_mse(prediction, target, mask))


def test_a_mask_of_the_reader_s_own_is_used():
    method, x = inpainting(mask=fixed(upper_left_corner()), fill=0.25), batch("inpainting")
    inputs, mask, _ = method.views(x)
    assert torch.equal(mask, upper_left_corner().expand(N, 1, 16, 16))
    assert torch.equal(inputs[:, :, :9, :5], torch.full((N, 3, 9, 5), 0.25))
    assert torch.equal(inputs[:, :, 9:], x[:, :, 9:] / 255)


def test_hidden_pixels_never_reach_the_encoder():
    method, mask = inpainting(mask=fixed(upper_left_corner())), upper_left_corner()
    x = batch("inpainting") / 255
    clean = seen_by_the_encoder(method, x)
    for other in (1 - x, torch.full_like(x, float("nan")), torch.zeros_like(x)):
        changed = torch.where(mask, other, x)
        assert torch.equal(seen_by_the_encoder(method, changed), clean)
        inputs, *_ = method.views(changed)
        assert method.predict(inputs).isfinite().all()
    changed = torch.where(mask, x, 1 - x)  # whereas what is visible does reach it
    assert not torch.equal(seen_by_the_encoder(method, changed), clean)


def test_the_prediction_has_no_gradient_in_hidden_pixels():
    method, mask = inpainting(mask=fixed(upper_left_corner())), upper_left_corner()
    x = (batch("inpainting") / 255).requires_grad_()
    inputs, *_ = method.views(x)
    method.predict(inputs).square().sum().backward()
    hidden = mask.expand_as(x)
    assert torch.equal(x.grad[hidden], torch.zeros_like(x.grad[hidden]))
    assert (x.grad[~hidden] != 0).float().mean() > 0.9


def test_visible_pixels_of_the_prediction_count_for_nothing():
    method = inpainting()
    inputs, mask, target = method.views(batch("inpainting"), devices.generator(0))
    method.predict = lambda inputs: target + 5.0 * ~mask
    assert method.loss(inputs, mask, target)["loss"].item() == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_a_target_brings_its_own_channels(channels):
    x = batch("inpainting")[:, :channels]
    for target, expected in ((None, channels), (pretext.contrast_normalised_grey, 1), (lambda x: x[:, :1], 1)):
        method = methods.Inpainting(nets.ConvNet(channels, widths=(4, 8)), Augment(), target=target)
        assert method.views(x, devices.generator(0))[2].shape == (N, expected, 16, 16)
        method(x, devices.generator(0))["loss"].backward()


def test_the_same_inpainting_takes_images_of_other_sizes():
    method = inpainting()
    for h, w in ((16, 16), (28, 28), (32, 24), (17, 19)):
        x = torch.randint(256, (2, 3, h, w), dtype=torch.uint8)
        assert method.predict(method.views(x, devices.generator(0))[0]).shape == (2, 1, h, w)


# ---- jigsaw and relative position --------------------------------------------------------------------------------


def coordinates(n: int = N, side: int = 32) -> torch.Tensor:
    """Images whose first channel is the row of a pixel, and whose second is its column."""
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([row, column, torch.zeros_like(row)]).byte().expand(n, 3, side, side).contiguous()


def test_jigsaw_asks_for_the_permutation():
    method = methods.Jigsaw(nets.ConvNet(3, widths=(8, 16)), Augment(), jitter=0, normalise=False)
    inputs, target = method.views(coordinates(), devices.generator(0))
    plain = pretext.tiles(coordinates() / 255, jitter=0)
    assert len(target.unique()) > 5
    assert torch.equal(pretext.unshuffle(inputs, target, method.permutations), plain)
    method.eval()
    z = torch.stack([method.encoder(tiles) for tiles in inputs.unbind(1)], dim=1)  # tile by tile
    logits = method.head(z.flatten(1))
    out = method.loss(inputs, target)
    torch.testing.assert_close(out["loss"], losses.cross_entropy(logits, target))
    assert out["accuracy"].item() == (logits.argmax(1) == target).float().mean().item()


def test_jigsaw_takes_its_settings():
    encoder = nets.ConvNet(3, widths=(8, 16))
    settings = {"permutations": 24, "grid": 2, "tile": 12, "size": 20, "width": 10}
    method = methods.build("jigsaw", encoder, **settings)
    inputs, target = method.views(coordinates(64), devices.generator(0))
    assert inputs.shape == (64, 4, 3, 20, 20)
    assert method.permutations.shape == (24, 4) and target.max() > 15
    assert method.head[0].in_features == 4 * 16 and method.head[0].out_features == 10
    assert method.head[-1].out_features == 24
    assert "permutations" in method.state_dict()  # without them, the head's answers would have no meaning


def test_the_whole_shuffled_picture_can_be_seen_at_once():
    method = methods.Jigsaw(nets.ConvNet(3, widths=(8, 16)), Augment(), jitter=0, normalise=False, whole=True)
    x = coordinates() / 255
    inputs, target = method.views(coordinates(), devices.generator(0))
    assert inputs.shape == x.shape
    shuffled = pretext.shuffle(pretext.tiles(x, jitter=0), target, method.permutations)
    assert torch.equal(inputs, pretext.canvas(shuffled, (32, 32)))
    assert [type(layer).__name__ for layer in method.head] == ["Linear"]
    assert method.loss(inputs, target)["loss"].item() == pytest.approx(math.log(30), rel=0.2)


def test_every_tile_is_recoloured_by_itself():
    encoder, x = nets.ConvNet(3, widths=(8, 16)), torch.full((N, 3, 32, 32), 128, dtype=torch.uint8)
    alike = lambda tiles: (tiles - tiles[:, :1]).abs().max().item() == 0  # noqa: E731
    jitter = Augment(brightness=0.5)
    inputs, _ = methods.Jigsaw(encoder, jitter, normalise=False).views(x, devices.generator(0))
    assert alike(inputs)
    inputs, _ = methods.Jigsaw(encoder, Augment(), normalise=False, tile_augment=jitter).views(x, devices.generator(0))
    levels = inputs.mean(dim=(2, 3, 4))
    assert levels.std(dim=1).min() > 0.02 and levels.std(dim=0).min() > 0.02


@pytest.mark.parametrize("name", ["jigsaw", "relative-position"])
def test_tiles_are_evened_out_unless_asked_not_to_be(name):
    encoder, x = nets.ConvNet(3, widths=(8, 16)), batch(name, 64)
    spread = {}
    for normalise in (True, False):
        method = methods.build(name, encoder, augment=Augment(), normalise=normalise)
        tiles = method.views(x, devices.generator(0))[0]
        spread[normalise] = tiles.mean(dim=(-2, -1)).std().item()  # how different the tiles' brightness is
    assert spread[True] < 0.2 * spread[False]
    assert methods.build(name, encoder).normalise


@pytest.mark.parametrize("name", ["jigsaw", "relative-position"])
def test_small_tiles_are_enlarged_for_the_encoder(name):
    side = {"jigsaw": 8, "relative-position": 8}[name]  # of 32 px
    for widths, size, expected in (((4, 8), None, side), ((4,) * 5, None, 16), ((4, 8), 12, 12)):
        method = methods.build(name, nets.ConvNet(3, widths=widths), size=size)
        first = method.views(coordinates(), devices.generator(0))[0]
        assert first.shape[-2:] == (expected, expected)
        method.loss(*method.views(coordinates(), devices.generator(0)))["loss"].backward()


def test_an_enlarged_tile_is_still_the_same_tile():
    settings = {"augment": Augment(), "normalise": False}
    small, large = (
        methods.RelativePosition(nets.ConvNet(3, widths=(4,)), size=size, **settings).views(
            coordinates(), devices.generator(0)
        )
        for size in (None, 24)
    )
    for a, b in zip(small[:2], large[:2]):
        torch.testing.assert_close(b[..., 1::3, 1::3], a)  # the middle of each pixel


def test_relative_position_asks_where_the_second_patch_lies():
    method = methods.RelativePosition(nets.ConvNet(3, widths=(8, 16)), Augment(), jitter=0, normalise=False)
    first, second, target = method.views(coordinates(), devices.generator(0))
    step = ((second - first)[:, :2].mean(dim=(2, 3)) * 255).round().long()  # down, right
    assert torch.equal(step, 10 * torch.tensor(pretext.DIRECTIONS)[target])
    method.eval()
    logits = method.head(torch.cat([method.encoder(first), method.encoder(second)], dim=1))
    out = method.loss(first, second, target)
    torch.testing.assert_close(out["loss"], losses.cross_entropy(logits, target))
    assert out["accuracy"].item() == (logits.argmax(1) == target).float().mean().item()


def test_relative_position_takes_its_settings():
    encoder = nets.ConvNet(3, widths=(8, 16))
    settings = {"patch": 11, "gap": 4, "jitter": 2, "anchor": "anywhere", "size": 16, "width": 10}
    method = methods.build("relative-position", encoder, augment=Augment(), normalise=False, **settings)
    first, second, target = method.views(coordinates(256), devices.generator(0))
    assert first.shape == second.shape == (256, 3, 16, 16)
    middle = first[:, :2].mean(dim=(2, 3)) * 255
    assert middle.std(dim=0).min() > 2  # anywhere
    step = (second - first)[:, :2].mean(dim=(2, 3)) * 255
    off = step - 15 * torch.tensor(pretext.DIRECTIONS)[target]
    assert off.abs().max().item() == pytest.approx(2, abs=1e-3)
    assert method.head[0].out_features == 10


# ---- pairs and triplets ------------------------------------------------------------------------------------------

both = pytest.mark.parametrize("name", ["siamese", "triplet"])


def test_siamese_starts_without_telling_the_same_from_the_different():
    outs = [make("siamese", STRONG, seed)(batch("siamese", 128, seed), devices.generator(seed)) for seed in range(4)]
    loss, accuracy = (torch.stack([out[key] for out in outs]).mean().item() for key in ("loss", "accuracy"))
    assert 1 / 8 < loss < 0.4
    assert 0.45 < accuracy < 0.65


@pytest.mark.parametrize("mining", pairs.KINDS)
def test_siamese_compares_each_image_with_itself_and_with_one_other(mining):
    method, x = make("siamese", STRONG).eval(), batch("siamese")
    method.mining, method.margin = mining, 0.8
    a, b, other = method.views(x, devices.generator(0))
    assert not any(torch.equal(u, v) for u, v in zip(a, b))
    assert (other != torch.arange(N)).all()
    z_a, z_b = method.embed(a), method.embed(b)
    index = other if mining == "random" else pairs.mine(z_a, z_b, mining)
    loss, near, right = 0.0, 0, 0
    for i in range(N):
        d_same = (z_a[i] - z_b[i]).norm().item()
        d_other = (z_a[i] - z_b[index[i]]).norm().item()
        loss += (0.5 * d_same**2 + 0.5 * max(0, 0.8 - d_other) ** 2) / (2 * N)
        near += d_other < 0.8
        right += (d_same < 0.4) + (d_other >= 0.4)
    out = method.loss(a, b, other)
    assert out["loss"].item() == pytest.approx(loss, rel=1e-4)
    assert out["active"].item() == pytest.approx(near / N) and out["accuracy"].item() == pytest.approx(right / (2 * N))


@pytest.mark.parametrize("mining", pairs.KINDS)
def test_triplet_compares_a_positive_with_the_negative_that_was_mined(mining):
    method, x = make("triplet", STRONG).eval(), batch("triplet")
    method.mining, method.margin = mining, 0.05
    anchor, positive, other = method.views(x, devices.generator(0))
    assert not any(torch.equal(u, v) for u, v in zip(anchor, positive))
    assert (other != torch.arange(N)).all()
    z_a, z_p = method.embed(anchor), method.embed(positive)
    z_n = z_p[other if mining == "random" else pairs.mine(z_a, z_p, mining)]
    out = method.loss(anchor, positive, other)
    torch.testing.assert_close(out["loss"], losses.triplet(z_a, z_p, z_n, 0.05))
    assert out["active"].item() == pytest.approx(pairs.active(z_a, z_p, z_n, 0.05).item())
    first = [min(range(N), key=lambda j: (z_a[i] - z_p[j]).norm().item()) == i for i in range(N)]
    assert out["accuracy"].item() == pytest.approx(sum(first) / N)


@both
def test_pairs_and_triplets_take_their_settings(name):
    encoder = nets.ConvNet(3, widths=(4, 8))
    method = methods.build(name, encoder, margin=0.3, mining="hard", width=10, normalise=False)
    assert (method.margin, method.mining, method.projector[0].out_features) == (0.3, "hard", 10)
    x = batch(name) / 255
    assert method.embed(x).shape == (N, 64) and method.embed(x).norm(dim=1).std() > 0.01
    unit = make(name).embed(x).norm(dim=1)
    torch.testing.assert_close(unit, torch.ones(N))
    with pytest.raises(ValueError, match="unknown kind of negative 'harder'. Did you mean 'hard'"):
        methods.build(name, encoder, mining="harder")


@both
def test_both_branches_are_one_network(name):
    method, x = make(name), batch(name)
    a, b, _ = method.eval().views(x, devices.generator(0))
    torch.testing.assert_close(method.embed(torch.cat([a, b])), torch.cat([method.embed(a), method.embed(b)]))


# ---- two views ---------------------------------------------------------------------------------------------------


def test_simclr_compares_two_views_of_the_same_image():
    method, x = make("simclr", STRONG).eval(), batch("simclr")
    method.temperature = 0.7
    a, b = method.views(x, devices.generator(0))
    assert not any(torch.equal(u, v) for u, v in zip(a, b))
    z_a, z_b = (method.projector(method.encoder(v)) for v in (a, b))
    torch.testing.assert_close(method.loss(a, b)["loss"], losses.nt_xent(z_a, z_b, method.temperature))
    plain = make("simclr", Augment())
    assert all(torch.equal(v, x / 255) for v in plain.views(x))


def test_vicreg_weighs_the_three_parts_of_two_views():
    method, x = make("vicreg", STRONG).eval(), batch("vicreg")
    method.weights = (3.0, 2.0, 0.5)
    a, b = method.views(x, devices.generator(0))
    assert not any(torch.equal(u, v) for u, v in zip(a, b))
    out = method.loss(a, b)
    parts = losses.vicreg(*(method.projector(method.encoder(v)) for v in (a, b)))
    torch.testing.assert_close(out["loss"], 3 * parts["invariance"] + 2 * parts["variance"] + 0.5 * parts["covariance"])
    built = methods.build("vicreg", nets.ConvNet(3, widths=(4, 8)), invariance=1.0, covariance=2.0, width=10)
    assert built.weights == (1.0, 25.0, 2.0)
    assert built.projector[-1].out_features == 10


def test_simclr_takes_its_settings():
    encoder = nets.ConvNet(3, widths=(4, 8))
    method = methods.build("simclr", encoder, temperature=0.7, width=10)
    assert method.temperature == 0.7
    assert method.projector[0].out_features == 10


def test_supervised_sees_the_labels_and_the_augmented_images():
    method, (x, labels) = make("supervised", Augment(invert=1.0)), batch("supervised")
    inputs, target = method.views((x, labels))
    assert torch.equal(target, labels)
    torch.testing.assert_close(inputs, 1 - x / 255)
    assert method.head.out_features == K


def test_an_unknown_method_gets_the_nearest_name():
    with pytest.raises(ValueError, match="unknown method 'simcrl'. Did you mean 'simclr'"):
        methods.build("simcrl", nets.ConvNet())


# ---- next word ---------------------------------------------------------------------------------------------------


def next_word(vocabulary: int = 11, k: int = 3, seed: int = 0) -> methods.NextWord:
    with devices.seeded(seed):
        return methods.NextWord(nets.ContextNet(vocabulary, k, embedding=8, width=16))


def counting(n: int = 256, k: int = 3, vocabulary: int = 11, seed: int = 0) -> torch.Tensor:
    """Windows of rows that count on in steps of 1 or 2: the next word is sure from two words, and not from one."""
    g = torch.Generator().manual_seed(seed)
    start, step = torch.randint(0, vocabulary, (n, 1), generator=g), torch.randint(1, 3, (n, 1), generator=g)
    return (start + step * torch.arange(k + 1)) % vocabulary


def test_the_next_word_is_asked_of_those_before_it(device):
    method, x = next_word().to(device), counting().to(device)
    inputs, target = method.views(x, None)
    assert torch.equal(torch.cat([inputs, target[:, None]], dim=1), x) and inputs.shape == (256, 3)
    log_p = method.log_probabilities(inputs)
    assert log_p.shape == (256, 11) and torch.allclose(log_p.exp().sum(dim=1), torch.ones(256, device=device))
    out = method(x)
    assert out["loss"].item() == pytest.approx(-log_p.gather(1, target[:, None]).mean().item(), abs=1e-6)
    assert out["accuracy"].item() == (log_p.argmax(dim=1) == target).float().mean().item()
    assert out["loss"].item() == pytest.approx(math.log(11), rel=0.1)


def test_the_next_word_is_learned_from_the_order_of_those_before_it():
    method = next_word()
    config = TrainConfig(epochs=60, batch_size=64, lr=1e-2, progress=False)
    train.fit(method, counting(), config, device="cpu")
    new = counting(seed=1)
    assert method(new)["accuracy"] > 0.95
    backwards = torch.cat([new[:, :-1].flip(1), new[:, -1:]], dim=1)
    assert method(backwards)["accuracy"] < 0.6  # the same words in another order


def test_the_next_word_trains_under_autocast_and_never_waits():
    method, x = next_word(), counting()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method(x)["loss"]
    assert loss.dtype == torch.float32 and loss.isfinite()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        next_word()(mode.from_tensor(x))["loss"].backward()


def test_a_trained_method_writes_on():
    method, vocabulary = next_word(), words.Vocabulary(("<unk>", "<s>", *"abcdefghi"))
    train.fit(method, counting(), TrainConfig(epochs=60, batch_size=64, lr=1e-2, progress=False), device="cpu")
    assert words.write(method.log_probabilities, vocabulary, 3, "a b c", 4, temperature=0) == "a b c d e f g"
    assert words.write(method.log_probabilities, vocabulary, 3, "a c e", 2, temperature=0) == "a c e g i"


@pytest.mark.parametrize("name, size", [("jigsaw", 28), ("jigsaw", 64), ("relative-position", 28), ("jigsaw", 32)])
def test_tiles_have_a_side_that_a_vision_transformer_can_cut(name, size):
    patch = nets.patch_for((size, size))
    method = methods.build(name, nets.ViT(patch=patch, width=8, depth=1, heads=2))
    assert method(torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8))["loss"].isfinite()
