"""Rotation: pixels move and none is made up, and the target is how far they moved."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit import pretext


def images(n: int = 4, c: int = 3, side: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, c, side, side, generator=torch.Generator().manual_seed(seed))


def test_one_quarter_turn_is_counter_clockwise():
    picture = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    turned = [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]
    for k in range(4):
        assert pretext.rotate(picture, torch.tensor([k]))[0, 0].tolist() == turned[k]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.sampled_from([1, 3]), st.integers(1, 7), st.integers(0, 1000))
def test_four_quarter_turns_are_none_bit_for_bit(n, c, side, seed):
    x = images(n, c, side, seed)
    quarters = torch.randint(4, (n,), generator=torch.Generator().manual_seed(seed))
    one = torch.ones(n, dtype=torch.int64)
    y = x
    for _ in range(4):
        y = pretext.rotate(y, one)
    assert torch.equal(y, x)
    assert torch.equal(pretext.rotate(pretext.rotate(x, quarters), 4 - quarters), x)


def test_each_image_is_turned_by_its_own_target(device):
    x = images(64).to(device)
    turned, target = pretext.rotation(x, torch.Generator(device).manual_seed(0))
    assert target.dtype == torch.int64
    assert sorted(target.unique().tolist()) == [0, 1, 2, 3]
    for before, after, k in zip(x, turned, target.tolist()):
        assert torch.equal(after, before.rot90(k, dims=(1, 2)))
    assert torch.equal(pretext.rotate(turned, -target), x)


def test_all_four_turns_are_equally_likely():
    target = pretext.rotation(torch.zeros(4000, 1, 1, 1), torch.Generator().manual_seed(0))[1]
    assert all(abs(count - 1000) < 5 * (4000 * 3 / 16) ** 0.5 for count in target.bincount().tolist())


def test_the_same_generator_gives_the_same_targets_and_another_one_others():
    x = images(32)
    first, again, other = (pretext.rotation(x, torch.Generator().manual_seed(s))[1] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_all_rotations_holds_every_image_in_every_position():
    x = images(3)
    inputs, target = pretext.all_rotations(x)
    assert target.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    for k in range(4):
        assert torch.equal(inputs[3 * k : 3 * k + 3], x.rot90(k, dims=(2, 3)))


def test_the_images_given_are_left_alone():
    x = images()
    before = x.clone()
    pretext.all_rotations(x)
    pretext.rotation(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 4)])
def test_only_square_images_can_be_turned(shape):
    with pytest.raises(ValueError, match="needs square images .* Crop or resize them"):
        pretext.rotation(torch.zeros(shape))
