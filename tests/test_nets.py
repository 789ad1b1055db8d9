"""Encoders: shapes at every size that is promised, the config's round trip, and what they say about wrong input."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from sslkit import nets

SMALL = {
    "convnet": lambda channels=3: nets.ConvNet(channels, widths=(4, 8, 12)),
    "resnet18": lambda channels=3: nets.ResNet18(channels, width=4),
    "resnet18 with the large stem": lambda channels=3: nets.ResNet18(channels, width=4, small_images=False),
}
small = pytest.mark.parametrize("make", SMALL.values(), ids=SMALL.keys())


def images(n: int = 2, channels: int = 3, side: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


SIDES = [*itertools.product(SMALL, (32, 64, 224)), ("convnet", 28), ("resnet18", 28)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name, side", SIDES)
def test_shapes(name, side, channels, device):
    encoder, x = SMALL[name](channels).to(device), images(2, channels, side).to(device)
    embedding, blocks = encoder(x), encoder.features(x)
    assert embedding.shape == (2, encoder.dim)
    assert len(blocks) == len(encoder.blocks)
    assert [f.shape[0] for f in blocks] == [2] * len(blocks)
    assert blocks[-1].shape[1] == encoder.dim


def test_the_courses_encoder():
    blocks = nets.ConvNet().features(images())
    assert [tuple(f.shape[1:]) for f in blocks] == [(16, 16, 16), (32, 8, 8), (64, 4, 4), (128, 4, 4)]
    assert all(f.min() >= 0 for f in blocks)  # after ReLU


@pytest.mark.parametrize("small_images, side, sides", [(True, 32, [32, 32, 16, 8, 4]), (False, 64, [16, 16, 8, 4, 2])])
def test_the_stem_of_resnet18_suits_the_images(small_images, side, sides):
    blocks = nets.ResNet18(width=4, small_images=small_images).features(images(side=side))
    assert [f.shape[-1] for f in blocks] == sides
    assert [f.shape[1] for f in blocks] == [4, 4, 8, 16, 32]


def test_resnet18_at_full_width_is_torchvision_s():
    from torchvision.models import resnet18

    ours, narrow = nets.ResNet18(small_images=False), nets.ResNet18(width=16)
    theirs = resnet18(weights=None)
    count = lambda net: sum(p.numel() for p in net.parameters())  # noqa: E731
    assert count(ours) == count(theirs) - count(theirs.fc)
    assert (ours.dim, narrow.dim) == (512, 128)
    stem, stages = ours.blocks[0], ours.blocks[1:]
    stem[0].load_state_dict(theirs.conv1.state_dict())
    stem[1].load_state_dict(theirs.bn1.state_dict())
    for i, stage in enumerate(stages):
        stage.load_state_dict(getattr(theirs, f"layer{i + 1}").state_dict())
    theirs.fc = nn.Identity()
    x = images(side=64)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()((x - 0.5) / 0.25), atol=1e-4, rtol=1e-4)


@small
def test_the_embedding_is_the_mean_over_the_last_block(make):
    encoder, x = make().eval(), images(3)
    torch.testing.assert_close(encoder(x), encoder.features(x)[-1].mean(dim=(2, 3)))


@small
def test_the_config_builds_the_same_net(make):
    encoder = make(1)
    config = encoder.config()
    again = nets.build(config)
    again.load_state_dict(encoder.state_dict())
    assert again.config() == config
    x = images(channels=1)
    assert torch.equal(again.eval()(x), encoder.eval()(x))
    assert config == encoder.config()  # building from it did not change it


def test_a_config_with_an_unknown_net_gets_the_nearest_name():
    with pytest.raises(ValueError, match="unknown net 'resnet'. Did you mean 'resnet18'"):
        nets.build({"net": "resnet", "channels": 3})


@small
def test_normalisation_is_inside(make):
    assert nets.Normalize()(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-2, 0, 2]
    encoder, x = make().eval(), images()
    y = encoder.blocks[0]((x - 0.5) / 0.25)
    assert torch.equal(encoder.features(x)[0], y)


@small
def test_every_parameter_gets_a_gradient(make):
    encoder = make()
    encoder(images(4)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


@small
def test_wrong_channels_are_named_with_the_way_out(make):
    with pytest.raises(ValueError, match=r"was built for 3 channels .* got \(2, 1, 32, 32\).*channels=1"):
        make(3)(images(channels=1))
    with pytest.raises(ValueError, match=r"takes \(N, 3, H, W\); it got \(3, 32, 32\)"):
        make(3)(images()[0])


@small
def test_uint8_images_are_refused(make):
    with pytest.raises(ValueError, match=r"takes float images in \[0, 1\]; it got torch.uint8.*to_float"):
        make()(images().byte())


@pytest.mark.parametrize("make, smallest", list(zip(SMALL.values(), (4, 8, 32))), ids=SMALL.keys())
def test_images_that_are_too_small_are_refused_and_the_smallest_work(make, smallest):
    halvings = smallest.bit_length() - 1
    encoder = make().eval()
    assert encoder(images(side=smallest)).shape == (2, encoder.dim)
    words = f"halves an image {halvings} times.*at least {smallest}×{smallest} px; it got {smallest - 1}×{smallest - 1}"
    with pytest.raises(ValueError, match=words):
        encoder(images(side=smallest - 1))


def test_resnet18_starts_like_torchvision_s_at_every_width():
    for width in (16, 64):
        torch.manual_seed(0)
        for name, p in nets.ResNet18(width=width).named_parameters():
            if p.ndim == 4 and p.numel() > 5000:
                fan_out = p.shape[0] * p.shape[2] * p.shape[3]
                assert p.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.05), name


# ---- decoder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (16, 16), (64, 64), (4, 4), (31, 17), (96, 224)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_decoder_paints_any_size(size, channels, device):
    decoder = nets.Decoder(5, channels).to(device)
    z = torch.randn(2, 5, generator=torch.Generator().manual_seed(0)).to(device)
    assert decoder(z, size).shape == (2, channels, *size)
    assert decoder(z).shape == (2, channels, 32, 32)


def test_one_set_of_parameters_serves_all_sizes():
    torch.manual_seed(0)
    a, b = nets.Decoder(5), nets.Decoder(5)
    z = torch.randn(3, 5)
    a(z, (64, 64))
    b.load_state_dict(a.state_dict())
    assert torch.equal(a.eval()(z, (28, 28)), b.eval()(z, (28, 28)))


def test_the_decoder_paints_every_pixel_of_its_own_accord():
    torch.manual_seed(0)
    decoder, z = nets.Decoder(8), torch.randn(4, 8)
    pictures = decoder(z)
    assert (pictures[0] - pictures[1]).abs().min() > 0  # everywhere different for another embedding
    assert pictures.min() < 0 < pictures.max()
    across, down = pictures.diff(dim=3).abs(), pictures.diff(dim=2).abs()
    assert across.min() > 0 and down.min() > 0  # and no two pixels beside each other are copies


def test_a_decoder_learns_to_paint_pictures_by_heart():
    torch.manual_seed(0)
    decoder, z, pictures = nets.Decoder(8), torch.randn(4, 8), torch.randn(4, 1, 8, 8)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (decoder(z, (8, 8)) - pictures).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert all(p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_the_decoder_is_much_smaller_than_the_encoder():
    from torch.utils.flop_counter import FlopCounterMode

    def flops(net, x) -> int:
        with FlopCounterMode(display=False) as counter:
            net(x)
        return counter.get_total_flops()

    assert flops(nets.Decoder(64), torch.zeros(1, 64)) < 0.35 * flops(nets.ConvNet(), torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("shape", [(2, 6), (2, 5, 1, 1), (5,)])
def test_embeddings_of_another_width_are_refused(shape):
    with pytest.raises(ValueError, match=r"this Decoder takes embeddings \(N, 5\); it got"):
        nets.Decoder(5)(torch.zeros(shape))


# ---- heads -------------------------------------------------------------------------------------------------------


def test_mlp():
    torch.manual_seed(0)
    net = nets.mlp(6, 5, 4, 3)
    assert [type(layer).__name__ for layer in net] == [*(["Linear", "BatchNorm1d", "ReLU"] * 2), "Linear"]
    assert net(torch.randn(7, 6)).shape == (7, 3)
    assert [type(layer).__name__ for layer in nets.mlp(6, 3)] == ["Linear"]


def test_pooled():
    x = images(2, 3, 8)
    torch.testing.assert_close(nets.pooled(x), x.mean(dim=(2, 3)))
    cells = nets.pooled(x, side=2).view(2, 3, 2, 2)
    torch.testing.assert_close(cells[0, 1, 1, 0], x[0, 1, 4:, :4].mean())
    assert nets.pooled(images(2, 3, 2), side=4).shape == (2, 12)  # no more cells than pixels


def test_the_context_net_is_a_hidden_layer_over_embeddings_side_by_side(device):
    net = nets.ContextNet(vocabulary=7, k=3, embedding=4, width=5).to(device)
    x = torch.tensor([[0, 6, 2], [2, 6, 0]], device=device)
    table, hidden = net.embed.weight, net.hidden
    expected = [torch.tanh(hidden(torch.cat([table[i] for i in row]))) for row in x.tolist()]
    assert torch.allclose(net(x), torch.stack(expected), atol=1e-6)
    assert net(x).shape == (2, net.dim) and not torch.allclose(net(x)[0], net(x)[1])  # the order counts


@pytest.mark.parametrize(
    "x", [torch.zeros(2, 4, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), torch.zeros(2, 3)]
)
def test_windows_of_another_length_are_refused(x):
    with pytest.raises(ValueError, match="with k = 3; it got torch.(int64|float32).*windows"):
        nets.ContextNet(7, k=3)(x)
