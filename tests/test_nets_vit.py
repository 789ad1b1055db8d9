"""Patches there and back, attention against a loop, and an encoder that knows nothing of what it was not shown."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sslkit import device as devices
from sslkit import evaluate, nets, transfer
from sslkit.augment import to_float
from sslkit.nets.attention import Block


def vit(seed: int = 0, **changes) -> nets.ViT:
    with devices.seeded(seed):
        return nets.ViT(**{"patch": 4, "width": 24, "depth": 2, "heads": 3} | changes)


def images(n: int = 2, channels: int = 3, size: tuple[int, int] = (32, 32), seed: int = 0) -> torch.Tensor:
    return torch.rand(n, channels, *size, generator=devices.generator(seed))


# ---- patches -----------------------------------------------------------------------------------------------------

a_few = st.integers(1, 4)


@settings(max_examples=60, deadline=None)
@given(n=a_few, c=a_few, patch=st.integers(1, 5), rows=a_few, columns=a_few)
def test_patches_there_and_back_are_the_image(n, c, patch, rows, columns):
    x = images(n, c, (rows * patch, columns * patch))
    tokens = nets.patchify(x, patch)
    assert tokens.shape == (n, rows * columns, c * patch**2)
    assert torch.equal(nets.unpatchify(tokens, patch, (rows, columns)), x)
    assert torch.equal(nets.patchify(nets.unpatchify(tokens, patch, (rows, columns)), patch), tokens)


def test_patches_are_cut_row_by_row_and_channel_by_channel():
    x = images(2, 3, (8, 12))
    tokens = nets.patchify(x, 4)
    for n in range(2):
        for p in range(6):
            row, column = divmod(p, 3)
            square = x[n, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert torch.equal(tokens[n, p], square.flatten())


def test_patches_of_images_as_training_stores_them():
    x = images(size=(8, 8))
    assert torch.equal(nets.patchify(x.contiguous(memory_format=torch.channels_last), 4), nets.patchify(x, 4))


@pytest.mark.parametrize("shape", [(2, 3, 8, 10), (2, 3, 10, 8), (3, 8, 8), (2, 3, 0, 8)])
def test_what_cannot_be_cut_is_said(shape):
    with pytest.raises(ValueError, match=r"patches of 4 px, which must divide H and W; got .*another patch"):
        nets.patchify(torch.zeros(shape), 4)


@pytest.mark.parametrize("shape", [(2, 5, 48), (2, 6, 47), (6, 48)])
def test_patches_that_make_no_image_are_refused(shape):
    with pytest.raises(ValueError, match=r"a grid of 2×3 patches of 4 px takes \(N, 6, C · 16\)"):
        nets.unpatchify(torch.zeros(shape), 4, (2, 3))


def test_take_picks_for_every_sample_by_itself():
    tokens = torch.arange(2 * 4 * 3).view(2, 4, 3)
    taken = nets.take(tokens, torch.tensor([[3, 0], [1, 1]]))
    assert torch.equal(taken, torch.stack([tokens[0, [3, 0]], tokens[1, [1, 1]]]))


# ---- position codes ----------------------------------------------------------------------------------------------


def test_the_code_of_a_place_by_hand():
    code = nets.positions((2, 3), 8)
    assert code.shape == (6, 8)
    waves = (1.0, 1 / 100)  # 10000^0 and 10000^(−1/2)
    for p in range(6):
        row, column = divmod(p, 3)
        expected = [f(place * w) for place in (row, column) for f in (math.sin, math.cos) for w in waves]
        assert code[p].tolist() == pytest.approx(expected, abs=1e-6)


def test_places_are_told_apart_and_codes_have_one_length():
    code = nets.positions((8, 8), 96)
    distance = torch.cdist(code, code) + 10 * torch.eye(64)
    assert distance.min() > 0.5
    torch.testing.assert_close(code.norm(dim=1), torch.full((64,), 48**0.5))
    assert torch.equal(nets.positions((3, 8), 96), code[:24])  # a place keeps its code on a larger grid


@pytest.mark.parametrize("dim", [0, 2, 6, 30])
def test_a_code_needs_a_multiple_of_four(dim):
    with pytest.raises(ValueError, match=rf"width of a position's code is {dim}; expected a multiple of 4"):
        nets.positions((2, 2), dim)


# ---- attention ---------------------------------------------------------------------------------------------------


def attention_slowly(net: nets.Attention, x: torch.Tensor) -> torch.Tensor:
    """One head, one token, one neighbour at a time, as the formula has it."""
    n, p, dim = x.shape
    d = dim // net.heads
    y = torch.zeros_like(x)
    q, k, v = (net.qkv(x)[..., i * dim : (i + 1) * dim] for i in range(3))
    for s in range(n):
        for h in range(net.heads):
            part = slice(h * d, (h + 1) * d)
            for i in range(p):
                fit = torch.stack([q[s, i, part] @ k[s, j, part] / math.sqrt(d) for j in range(p)])
                weight = fit.exp() / fit.exp().sum()
                y[s, i, part] = sum(weight[j] * v[s, j, part] for j in range(p))
    return net.out(y)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_the_loop(heads):
    with devices.seeded(0):
        net = nets.Attention(8, heads).double()
        nn.init.normal_(net.qkv.weight, std=1.0)  # far from even weights
    x = torch.randn(2, 5, 8, generator=devices.generator(0)).double()
    slow = attention_slowly(net, x)
    torch.testing.assert_close(net(x), slow, atol=1e-12, rtol=1e-12)
    assert (slow - slow.mean(dim=1, keepdim=True)).abs().max() > 0.1


def test_attention_under_autocast_is_near_that_of_full_precision(device):
    with devices.seeded(0):
        net = nets.Attention(48, 3).to(device)
    x = torch.randn(4, 10, 48, generator=devices.generator(0)).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        y = net(x)
    torch.testing.assert_close(y.float(), net(x), atol=0.05, rtol=0.05)


def test_attention_has_no_notion_of_order():
    with devices.seeded(0):
        net = nets.Attention(12, 3)
    x, order = torch.randn(2, 6, 12, generator=devices.generator(0)), torch.tensor([3, 5, 0, 1, 4, 2])
    torch.testing.assert_close(net(x[:, order]), net(x)[:, order])


def test_heads_share_the_width():
    with pytest.raises(ValueError, match="10 numbers cannot be shared between 3 heads"):
        nets.Attention(10, 3)


def test_a_block_adds_to_what_is_there():
    with devices.seeded(0):
        block = Block(12, 3)
    x = torch.randn(2, 5, 12, generator=devices.generator(0))
    y = x + block.attention(block.norm1(x))
    torch.testing.assert_close(block(x), y + block.mlp(block.norm2(y)))
    for layer in (block.attention.out, block.mlp[-1]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    assert torch.equal(block(x), x)


# ---- encoder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (16, 24), (4, 4), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(size, channels, device):
    encoder, x = vit(channels=channels).to(device), images(2, channels, size).to(device)
    grid = (size[0] // 4, size[1] // 4)
    assert encoder(x).shape == (2, encoder.dim) and encoder.grid(x) == grid
    assert [tuple(f.shape) for f in encoder.features(x)] == [(2, 24, *grid)] * 3
    assert len(encoder.features(x)) == len(encoder.blocks)
    assert encoder.tokens(x).shape == (2, grid[0] * grid[1], 24)


def test_the_embedding_is_the_mean_over_the_last_block_s_tokens():
    encoder, x = vit(), images()
    torch.testing.assert_close(encoder(x), encoder.features(x)[-1].mean(dim=(2, 3)))
    assert torch.equal(encoder.features(x)[-1][:, :, 1, 2], encoder.tokens(x)[:, 8 + 2])
    torch.testing.assert_close(encoder.tokens(x).mean(dim=2), torch.zeros(2, 64), atol=1e-5, rtol=0)  # layer norm


def test_normalisation_is_inside_and_every_patch_passes_the_same_layers():
    encoder, x = vit(), images()
    token = encoder.blocks[0](((x - 0.5) / 0.25)[:, :, 4:8, 12:16].flatten(1)) + nets.positions((8, 8), 24)[8 + 3]
    assert encoder.blocks[0][0].eps == 0.01
    torch.testing.assert_close(encoder.features(x)[0][:, :, 1, 3], token)


def test_a_patch_is_known_by_what_is_in_it_whatever_its_brightness_and_contrast():
    encoder, x = vit(), images()
    torch.testing.assert_close(encoder(0.3 + 0.5 * x), encoder(x), atol=5e-2, rtol=0)
    assert (encoder(1 - x) - encoder(x)).abs().max() > 0.1


def test_a_fresh_block_hardly_changes_its_input():
    encoder, x = nets.ViT(), images()
    first, *others = encoder.features(x)[:-1]
    assert all(((f - first).norm() / first.norm()) < 0.25 for f in others)


def test_the_place_of_a_patch_counts():
    encoder, x = vit(), images()
    moved = torch.cat([x[:, :, :, 4:], x[:, :, :, :4]], dim=3)  # the same patches elsewhere
    assert (encoder(moved) - encoder(x)).abs().max() > 1e-3


def test_every_parameter_gets_a_gradient():
    encoder = vit()
    (encoder(images(4)) * torch.arange(24)).square().sum().backward()
    for name, p in encoder.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, name


def test_the_config_builds_the_same_net():
    encoder = vit(channels=1, patch=8, depth=3, heads=2)
    again = nets.build(encoder.config())
    again.load_state_dict(encoder.state_dict())
    x = images(channels=1)
    assert torch.equal(again(x), encoder(x)) and again.config() == encoder.config()
    assert encoder.config() == {"net": "vit", "channels": 1, "patch": 8, "width": 24, "depth": 3, "heads": 2}


def test_wrong_images_are_named_with_the_way_out():
    with pytest.raises(ValueError, match=r"ViT was built for 3 channels .* got \(2, 1, 32, 32\).*channels=1"):
        vit()(images(channels=1))
    with pytest.raises(ValueError, match=r"takes float images in \[0, 1\]; it got torch.uint8.*to_float"):
        vit()(images().byte())
    with pytest.raises(ValueError, match="patches of 4 px, which must divide H and W"):
        vit()(images(size=(30, 32)))
    with pytest.raises(ValueError, match="patch and depth are 4 and 0; expected at least 1"):
        vit(depth=0)


def test_layers_can_be_copied_and_frozen():
    source, target = vit(0), vit(1)
    transfer.copy_layers(source, target, 2)
    for i in range(3):
        same = [torch.equal(a, b) for a, b in zip(source.blocks[i].parameters(), target.blocks[i].parameters())]
        assert all(same) if i < 2 else not all(same)
    transfer.freeze(target, 2)
    target(images()).square().sum().backward()
    assert [any(p.grad is not None for p in b.parameters()) for b in target.blocks] == [False, False, True]


def test_blocks_can_be_probed():
    x = (255 * images(6)).byte()
    blocks = evaluate.features(vit(), x)
    assert [tuple(b.shape) for b in blocks] == [(6, 24)] * 3
    torch.testing.assert_close(blocks[-1], vit()(to_float(x)), atol=1e-5, rtol=1e-5)


# ---- what was not shown ------------------------------------------------------------------------------------------


def parts(n: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.rand(n, 64, generator=devices.generator(seed)).argsort(dim=1)
    return order[:, :16], order[:, 16:]


def hidden_pixels(hidden: torch.Tensor) -> torch.Tensor:
    """True where a pixel belongs to a hidden patch: (N, 3, 32, 32)."""
    mask = torch.zeros(len(hidden), 64, 48).scatter_(1, hidden[:, :, None].expand(-1, -1, 48), 1.0)
    return nets.unpatchify(mask, 4, (8, 8)).bool()


def test_hidden_patches_never_reach_the_encoder():
    encoder, x, (visible, hidden) = vit(), images(3), parts()
    mask, clean = hidden_pixels(hidden), encoder.tokens(images(3), visible)
    assert mask.float().mean() == 0.75
    for other in (1 - x, torch.full_like(x, float("nan")), torch.zeros_like(x)):
        assert torch.equal(encoder.tokens(torch.where(mask, other, x), visible), clean)
    assert not torch.equal(encoder.tokens(torch.where(mask, x, 1 - x), visible), clean)


def test_there_is_no_gradient_in_hidden_pixels():
    encoder, (visible, hidden) = vit(), parts()
    x, mask = images(3).requires_grad_(), hidden_pixels(hidden)
    (encoder.tokens(x, visible) * torch.arange(24)).square().sum().backward()
    assert torch.equal(x.grad[mask], torch.zeros_like(x.grad[mask]))
    assert (x.grad[~mask] != 0).float().mean() > 0.9


def test_all_patches_visible_are_the_whole_image_in_any_order():
    encoder, x = vit(), images(3)
    order = torch.rand(3, 64, generator=devices.generator(1)).argsort(dim=1)
    torch.testing.assert_close(encoder.tokens(x, order), nets.take(encoder.tokens(x), order), atol=1e-5, rtol=1e-5)


def test_few_patches_cost_as_much_less():
    from torch.utils.flop_counter import FlopCounterMode

    def flops(visible) -> int:
        with FlopCounterMode(display=False) as counter:
            nets.ViT(patch=4).tokens(images(1), visible)
        return counter.get_total_flops()

    assert flops(torch.arange(16)[None]) <= 0.25 * flops(None)


# ---- predictor ---------------------------------------------------------------------------------------------------


def predictor(outputs: int = 5, **changes) -> nets.Predictor:
    with devices.seeded(0):
        net = nets.Predictor(24, outputs, **{"width": 12, "depth": 2} | changes)
        nn.init.normal_(net.last.weight)
    return net


def test_the_predictor_answers_for_what_is_hidden(device):
    visible, hidden = (index.to(device) for index in parts())
    tokens = torch.randn(3, 16, 24, generator=devices.generator(0)).to(device)
    assert predictor().to(device)(tokens, visible, hidden, (8, 8)).shape == (3, 48, 5)


def test_the_predictor_by_its_pieces():
    net, (visible, hidden) = predictor(), parts()
    tokens = torch.randn(3, 16, 24, generator=devices.generator(0))
    place = nets.positions((8, 8), 12)
    seen, asked = net.enter(tokens) + place[visible], net.mask_token + place[hidden]
    answers = net.last(net.blocks(torch.cat([asked, seen], dim=1))[:, :48])  # in another order
    torch.testing.assert_close(net(tokens, visible, hidden, (8, 8)), answers, atol=1e-5, rtol=1e-5)


def test_an_answer_belongs_to_its_place_and_to_all_that_is_seen():
    net, (visible, hidden) = predictor(), parts()
    tokens = torch.randn(3, 16, 24, generator=devices.generator(0))
    order = torch.randperm(48, generator=devices.generator(2))
    answers = net(tokens, visible, hidden, (8, 8))
    torch.testing.assert_close(net(tokens, visible, hidden[:, order], (8, 8)), answers[:, order], atol=1e-5, rtol=1e-5)
    assert (answers[:, 0] - answers[:, 1]).abs().max() > 1e-2
    tokens[:, 7] += 1
    assert (net(tokens, visible, hidden, (8, 8)) - answers).abs().amax(dim=(0, 2)).min() > 1e-4
