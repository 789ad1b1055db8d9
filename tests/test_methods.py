"""Every method: forward is the loss of its views; it starts near chance, learns a batch, and makes the round trip."""

from __future__ import annotations

import math

import pytest
import torch

from sslkit import device as devices
from sslkit import losses, methods, nets, pretext
from sslkit.augment import STRONG, Augment

N, K = 16, 5
MILD = Augment(scale=(0.8, 1.0), brightness=0.2)
ALL = [*methods.METHODS, "supervised"]
every = pytest.mark.parametrize("name", ALL)
SMALL = {"vicreg": {"width": 8}}  # the sixteen rows of a batch cannot be uncorrelated in 256 coordinates


def make(name: str, augment: Augment = MILD, seed: int = 0):
    with devices.seeded(seed):
        encoder = nets.ConvNet(3, widths=(8, 16, 32))
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
    ln = {"rotation": 4, "simclr": 2 * n - 1, "supervised": K}
    return collapsed if name == "vicreg" else math.log(ln[name])


@every
def test_forward_is_the_loss_of_the_views(name, device):
    method, x = make(name).to(device).eval(), batch(name, device=device)
    whole = method(x, devices.generator(3, device))
    parts = method.loss(*method.views(x, devices.generator(3, device)))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    other = method(x, devices.generator(4, device))["loss"]
    assert not torch.equal(whole["loss"], other)  # the generator is what decides


@every
def test_views_are_images_that_the_encoder_takes(name):
    for view in make(name, STRONG).views(batch(name), devices.generator(0)):
        if view.is_floating_point():
            assert view.shape == (N, 3, 16, 16) and view.dtype == torch.float32
            assert 0 <= view.min() <= view.max() <= 1
        else:
            assert view.shape == (N,) and view.dtype == torch.int64


@pytest.mark.parametrize("name", [name for name in ALL if name != "vicreg"])
@pytest.mark.parametrize("n", [32, 128])
def test_the_loss_starts_at_chance(name, n):
    losses_ = [make(name, STRONG, seed)(batch(name, n, seed), devices.generator(seed))["loss"] for seed in range(4)]
    assert torch.stack(losses_).mean().item() == pytest.approx(chance(name, n), rel=0.2)


@every
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
def test_every_parameter_of_encoder_and_head_learns(name):
    method = make(name)
    method(batch(name), devices.generator(0))["loss"].backward()
    still = [key for key, p in method.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert still == []


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
    torch.testing.assert_close(
        out["loss"], 3 * parts["invariance"] + 2 * parts["variance"] + 0.5 * parts["covariance"]
    )
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
