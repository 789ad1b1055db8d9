"""Masked images: what is hidden is exactly that, the encoder never sees it, and the target only follows."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from sslkit import device as devices
from sslkit import losses, methods, nets, pretext, train
from sslkit.augment import STRONG, Augment, to_float
from sslkit.data import load

GRID = (8, 8)
both = pytest.mark.parametrize("name", ["mae", "jepa"])


def make(name: str, augment: Augment | None = None, seed: int = 0, **settings):
    if name == "jepa":
        settings = {"count": 4, "side": 3, "visible": 16} | settings
    with devices.seeded(seed):
        encoder = nets.ViT(patch=4, width=24, depth=2)
        return methods.build(name, encoder, augment=augment or Augment(), width=12, **settings)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return load("photodigits", "val").images[:32]


# ---- which patches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.6, 0.75, 0.9])
def test_the_masking_ratio_is_exact_in_every_image(ratio, device):
    generator = devices.generator(0, device)
    visible, hidden = pretext.random_patches(50, GRID, generator, ratio, device)
    assert hidden.shape == (50, round(64 * ratio)) and visible.shape == (50, 64 - round(64 * ratio))
    every = torch.cat([visible, hidden], dim=1).sort(dim=1).values
    assert torch.equal(every.cpu(), torch.arange(64).expand(50, 64))  # each patch once: hidden or visible, never both


def test_every_image_has_a_mask_of_its_own_and_every_patch_is_hidden_as_often():
    _, hidden = pretext.random_patches(4000, GRID, devices.generator(0))
    masks = torch.zeros(4000, 64).scatter_(1, hidden, 1.0)
    assert len(masks.unique(dim=0)) == 4000
    assert (masks.mean(dim=0) - 0.75).abs().max() < 0.03
    together = (masks[:, :32] * masks[:, 32:]).mean(dim=0)  # pairs of patches, as if drawn without putting back
    assert (together - 0.75 * 47 / 63).abs().max() < 0.04


def test_the_same_generator_draws_the_same_masks_and_no_other_is_touched():
    before = torch.get_rng_state()
    for draw in (pretext.random_patches, pretext.block_patches):
        a, b, c = (draw(5, GRID, devices.generator(seed)) for seed in (3, 3, 4))
        assert all(map(torch.equal, a, b)) and not torch.equal(a[1], c[1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("ratio", [0.0, 0.005, 0.999, 1.0])
def test_something_is_hidden_and_something_visible(ratio):
    with pytest.raises(ValueError, match=rf"ratio is {ratio}, which hides \d+ of 64 patches; expected some hidden"):
        pretext.random_patches(2, GRID, ratio=ratio)


@pytest.mark.parametrize("grid, count, side, seen", [(GRID, 4, 3, 16), (GRID, 1, 2, 60), ((4, 6), 2, 2, 16)])
def test_blocks_are_squares_and_what_is_visible_lies_outside_them(grid, count, side, seen, device):
    visible, hidden = pretext.block_patches(200, grid, devices.generator(0, device), count, side, seen, device)
    assert visible.shape == (200, seen) and hidden.shape == (200, count * side**2)
    for v, h in zip(visible.cpu(), hidden.cpu()):
        assert len(v.unique()) == seen and not set(v.tolist()) & set(h.tolist())
        for block in h.view(count, side**2):
            row, column = divmod(block[0].item(), grid[1])
            assert row + side <= grid[0] and column + side <= grid[1]
            square = [(row + i) * grid[1] + column + j for i in range(side) for j in range(side)]
            assert block.tolist() == square


def test_blocks_reach_every_corner_and_are_each_image_s_own():
    visible, hidden = pretext.block_patches(3000, GRID, devices.generator(0))
    corners = hidden.view(3000, 4, 9)[:, :, 0].flatten()
    assert sorted(corners.unique().tolist()) == [8 * i + j for i in range(6) for j in range(6)]
    assert torch.bincount(corners).max() < 1.3 * len(corners) / 36
    assert len(hidden.unique(dim=0)) > 2900
    assert torch.bincount(visible.flatten(), minlength=64).min() > 100


@pytest.mark.parametrize("settings", [(0, 3, 16), (4, 0, 16), (4, 9, 16), (4, 3, 29), (4, 3, 0), (8, 3, 1)])
def test_blocks_that_do_not_fit_are_refused(settings):
    with pytest.raises(ValueError, match="do not fit on 8×8. Hide or see fewer"):
        pretext.block_patches(2, GRID, None, *settings)


def test_standardised_patches():
    x = 5 + 3 * torch.rand(2, 7, 48, generator=devices.generator(0))
    t = pretext.standardised_patches(x)
    torch.testing.assert_close(t.mean(dim=2), torch.zeros(2, 7), atol=1e-5, rtol=0)
    torch.testing.assert_close(t.var(dim=2, correction=0), torch.ones(2, 7), atol=1e-3, rtol=0)
    flat = torch.full((1, 1, 4), 0.3)
    assert pretext.standardised_patches(flat).abs().max() < 1e-5
    v = torch.tensor([[[0.0, 2.0]]])
    assert pretext.standardised_patches(v, eps=1.0)[0, 0].tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5])


# ---- the loss ----------------------------------------------------------------------------------------------------


def test_squared_error_is_the_loop():
    g = devices.generator(0)
    p, t = torch.randn(2, 3, 4, generator=g).double(), torch.randn(2, 3, 4, generator=g).double()
    total = sum((p[n, m, o] - t[n, m, o]) ** 2 for n in range(2) for m in range(3) for o in range(4))
    torch.testing.assert_close(losses.squared_error(p, t), total / 24)
    torch.autograd.gradcheck(lambda p: losses.squared_error(p, t), p.requires_grad_())


def test_squared_error_in_closed_form():
    p, t = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    t[1, 2] = 3.0
    assert losses.squared_error(p, t).item() == 9 / 6  # one patch of six is off by 3
    assert losses.squared_error(t, t).item() == 0
    unit = pretext.standardised_patches(torch.randn(2, 3, 400, generator=devices.generator(0)))
    assert losses.squared_error(torch.zeros_like(unit), unit).item() == pytest.approx(1, abs=1e-3)  # chance


def test_squared_error_has_full_precision_under_autocast():
    p, t = torch.full((1, 1, 2), 1.0, dtype=torch.bfloat16), torch.full((1, 1, 2), 1.001)
    loss = losses.squared_error(p, t)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(1e-6, rel=1e-3)


def test_shapes_that_do_not_belong_together_are_refused():
    for p, t in (((2, 3, 4), (2, 4, 3)), ((2, 3), (2, 3)), ((2, 3, 4), (3, 4))):
        with pytest.raises(ValueError, match=r"expected prediction and target \(N, M, O\) alike; got"):
            losses.squared_error(torch.zeros(p), torch.zeros(t))


# ---- both methods ------------------------------------------------------------------------------------------------


def changed(x: torch.Tensor, index: torch.Tensor, value) -> torch.Tensor:
    """The images, with other pixels in the patches that are numbered."""
    patches = nets.patchify(x, 4)
    new = value(patches).scatter(1, _others(index)[:, :, None].expand(-1, -1, 48), 0.0)
    old = patches.scatter(1, index[:, :, None].expand(-1, -1, 48), 0.0)
    return nets.unpatchify(new + old, 4, GRID)


def _others(index: torch.Tensor) -> torch.Tensor:
    n, m = index.shape
    kept = torch.ones(n, 64).scatter_(1, index, 0.0)
    return kept.argsort(dim=1, descending=True)[:, : 64 - m]


@both
def test_the_encoder_gets_the_visible_patches_and_nothing_else(name, images):
    method = make(name, **({"count": 1, "side": 4, "visible": 48} if name == "jepa" else {}))
    x, visible, hidden = method.views(images, devices.generator(0))
    clean = method.encoder.tokens(x, visible)
    new = changed(x, hidden, lambda p: 1 - p)
    assert not torch.equal(new, x)
    assert torch.equal(method.encoder.tokens(new, visible), clean)
    assert not torch.equal(method.encoder.tokens(changed(x, visible, lambda p: 1 - p), visible), clean)
    shown = []
    method.encoder.blocks[1].register_forward_pre_hook(lambda _, arguments: shown.append(arguments[0].shape))
    method.loss(x, visible, hidden)
    assert shown == [(32, visible.shape[1], 24)]  # once, and only what is visible


@both
def test_what_is_predicted_has_no_gradient_in_hidden_pixels(name, images):
    method = make(name, **({"count": 1, "side": 4, "visible": 48} if name == "jepa" else {}))
    x, *_, visible, hidden = method.views(images, devices.generator(0))
    x = x.clone().requires_grad_()
    method.predict(x, visible, hidden).square().sum().backward()
    gradient = nets.patchify(x.grad, 4)
    assert nets.take(gradient, hidden).abs().max() == 0 < nets.take(gradient, visible).abs().max()


@both
def test_the_loss_counts_hidden_patches_alone(name, images):
    method = make(name)
    x, visible, hidden = method.views(images, devices.generator(0))
    answer = method.answer(x) if name == "mae" else method.answer(x)[0]
    method.predict = lambda x, visible, hidden: nets.take(answer, hidden)
    assert method.loss(x, visible, hidden)["loss"].item() == 0
    wrong = answer.scatter_add(1, visible[:, :, None].expand(-1, -1, answer.shape[2]), 1 + 0 * answer)
    method.answer = lambda x: wrong if name == "mae" else (wrong, torch.tensor(1.0))
    assert method.loss(x, visible, hidden)["loss"].item() == 0  # whatever is visible


@both
def test_the_views_are_what_it_was_asked_for(name, images):
    settings = {"mae": {"ratio": 0.5}, "jepa": {"count": 2, "side": 2, "visible": 20}}[name]
    method = make(name, **settings)
    x, *_, visible, hidden = method.views(images, devices.generator(0))
    assert torch.equal(x, to_float(images))
    assert (visible.shape[1], hidden.shape[1]) == {"mae": (32, 32), "jepa": (20, 8)}[name]
    assert not torch.equal(make(name, STRONG).views(images, devices.generator(0))[0], x)


@both
def test_the_loss_starts_at_chance(name, images):
    settings = {"target": pretext.contrast_normalised_grey, "normalise": False} if name == "mae" else {}
    loss = make(name, STRONG, **settings)(images, devices.generator(0))["loss"].item()
    assert loss == pytest.approx(1, abs=0.15)


@both
def test_images_of_other_sizes_and_channels(name):
    for channels, size in ((1, (28, 28)), (3, (32, 24))):
        with devices.seeded(0):
            method = methods.build(
                name, nets.ViT(channels, patch=4, width=24, depth=1), **({"count": 1} if name == "jepa" else {})
            )
        x = torch.randint(256, (4, channels, *size), dtype=torch.uint8)
        method(x, devices.generator(0))["loss"].backward()


@both
def test_a_net_that_needs_the_whole_image_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} leaves patches out of the input, and ConvNet cannot.*nets.ViT"):
        methods.build(name, nets.ConvNet())


def run(name: str, images: torch.Tensor, **settings):
    """One seeded pass over the images, in full precision."""
    method = make(name, Augment(scale=(0.8, 1.0), brightness=0.2), **settings)
    config = train.TrainConfig(epochs=1, batch_size=32, precision="fp32", progress=False)
    return method, train.fit(method, images, config, device="cpu").history


@pytest.mark.parametrize("name, expected", [("mae", 0.9404), ("jepa", 1.0042)])
def test_one_seeded_epoch_has_its_known_loss(name, expected):
    _, history = run(name, load("photodigits", "train").images[:800])
    assert history[0]["loss"] == pytest.approx(expected, rel=0.01)


@both
def test_it_learns_what_can_be_learned(name):
    """Stripes that lie or stand: the visible patches say which. A blind guess costs 1, and the mean of both 0.5."""
    place = (torch.arange(32) // 2 % 2).byte() * 255
    lying = place[:, None].expand(32, 32)
    x = torch.stack([lying, lying.T])[torch.arange(256) % 2][:, None].expand(256, 3, 32, 32).contiguous()
    settings = {"mae": {"target": lambda x: 2 * (x - 0.5), "normalise": False}, "jepa": {"momentum": 0.9}}
    method = make(name, **settings[name])
    config = train.TrainConfig(steps=100, batch_size=32, precision="fp32", progress=False)
    assert train.fit(method, x, config, device="cpu").history[-1]["loss"] < 0.25


# ---- MAE ---------------------------------------------------------------------------------------------------------


def test_mae_by_the_slow_way(images):
    method = make("mae")
    x, visible, hidden = method.views(images[:3], devices.generator(0))
    total, count = 0.0, 0
    for n in range(3):
        tokens = method.encoder.tokens(x[n : n + 1], visible[n : n + 1])
        said = method.decoder(tokens, visible[n : n + 1], hidden[n : n + 1], GRID)[0]
        for m, p in enumerate(hidden[n].tolist()):
            row, column = divmod(p, 8)
            square = x[n, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten()
            target = (square - square.mean()) / (square.var(correction=0) + 0.01**2).sqrt()
            total, count = total + ((said[m] - target) ** 2).sum().item(), count + 48
    assert method.loss(x, visible, hidden)["loss"].item() == pytest.approx(total / count, rel=1e-4)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(
    "target, numbers", [(None, 48), (pretext.contrast_normalised_edges, 16), (lambda x: x[:, :1], 16)]
)
def test_mae_takes_its_target(images, target, numbers, normalise):
    method = make("mae", target=target, normalise=normalise)
    x, visible, hidden = method.views(images, devices.generator(0))
    answer = nets.patchify(x if target is None else target(x), 4)
    expected = pretext.standardised_patches(answer) if normalise else answer
    assert torch.equal(method.answer(x), expected) and expected.shape == (32, 64, numbers)
    assert method.predict(x, visible, hidden).shape == (32, 48, numbers)


# ---- JEPA --------------------------------------------------------------------------------------------------------


def test_jepa_by_the_slow_way(images):
    method = make("jepa")
    for p in method.target.parameters():
        p.data.mul_(1.1)  # another network than the encoder
    x, visible, hidden = method.views(images[:3], devices.generator(0))
    z = torch.stack([method.target.tokens(x[n : n + 1])[0] for n in range(3)])
    z = (z - z.mean(dim=2, keepdim=True)) / (z.var(dim=2, correction=0, keepdim=True) + 1e-5).sqrt()
    z = torch.stack([tokens - sum(tokens) / len(tokens) for tokens in z])  # what all patches of an image share
    total, count = 0.0, 0
    for n in range(3):
        tokens = method.encoder.tokens(x[n : n + 1], visible[n : n + 1])
        said = method.predictor(tokens, visible[n : n + 1], hidden[n : n + 1], GRID)[0]
        for m, p in enumerate(hidden[n].tolist()):
            usual, spread = z[:, p].mean(dim=0), z[:, p].var(dim=0, correction=0)  # what this place says of every image
            target = (z[n, p] - usual) / (spread + 1e-4).sqrt()
            total, count = total + ((said[m] - target) ** 2).sum().item(), count + 24
    assert method.loss(x, visible, hidden)["loss"].item() == pytest.approx(total / count, rel=1e-3)


def test_the_target_gets_no_gradient_and_is_not_trained(images):
    method = make("jepa", STRONG)
    method(images, devices.generator(0))["loss"].backward()
    assert all(p.grad is None and not p.requires_grad for p in method.target.parameters())
    assert all(p.grad is not None for p in method.encoder.parameters())
    assert not method.answer((images / 255).requires_grad_())[0].requires_grad
    before = copy.deepcopy(method.target.state_dict())
    optimizer = train.make_optimizer(method, train.TrainConfig())
    optimizer.step()
    assert all(torch.equal(value, method.target.state_dict()[key]) for key, value in before.items())


def test_the_target_starts_as_the_encoder_and_follows_it():
    method = make("jepa", momentum=0.9)
    target, ours = list(method.target.parameters()), list(method.encoder.parameters())
    assert all(map(torch.equal, target, ours)) and not any(p is q for p, q in zip(target, ours))
    by_hand = [p.detach().clone() for p in ours]
    for step, progress in enumerate((0.0, 0.5, 1.0)):
        with torch.no_grad():
            for p in ours:
                p.add_(torch.randn(p.shape, generator=devices.generator(step)))
        m = 1 - (1 - 0.9) * (math.cos(math.pi * progress) + 1) / 2
        by_hand = [m * p + (1 - m) * q.detach() for p, q in zip(by_hand, ours)]
        method.after_step(progress)
        for p, q in zip(target, by_hand):
            torch.testing.assert_close(p, q)
    assert (target[0] - ours[0]).abs().max() > 0.5


def test_training_moves_the_target(images):
    method, _ = run("jepa", images.repeat(4, 1, 1, 1), momentum=0.5)
    moved = [not torch.equal(p, q) for p, q in zip(method.target.parameters(), make("jepa").target.parameters())]
    apart = [not torch.equal(p, q) for p, q in zip(method.target.parameters(), method.encoder.parameters())]
    assert any(moved) and any(apart)


def test_spread_says_when_the_targets_have_collapsed(images):
    method = make("jepa")
    x, *index = method.views(images, devices.generator(0))
    answer, spread = method.answer(x)
    assert torch.equal(method.loss(x, *index)["spread"], spread) and 0.05 < spread < 1
    torch.testing.assert_close(answer.mean(dim=0), torch.zeros(64, 24), atol=1e-4, rtol=0)
    torch.testing.assert_close(answer.var(dim=0, correction=0), torch.ones(64, 24), atol=0.1, rtol=0)
    method.target.blocks[0][3].weight.data.zero_()  # says the same of every image, and another thing of every place
    answer, spread = method.answer(x)
    assert spread < 1e-6 and answer.abs().max() < 0.1


# ---- what must break a test --------------------------------------------------------------------------------------
# Tried by hand on this file and test_nets_vit.py; each of these fails at least one of the tests above:
#   the wrong axis order in patchify or unpatchify; one mask for the whole batch; ratio rounded down; a loss over all
#   patches; the sum for the mean; whole images into the encoder; mask tokens into the encoder; no position for hidden
#   patches, or for visible ones; targets from the encoder instead of the target; no stop-gradient; the target never
#   moving, or copied; targets of the visible patches alone; no layer norm on the targets; per-image for per-patch
#   normalisation.
