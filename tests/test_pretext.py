"""Pretext tasks: the target is what was done to the image, it restores it, and what is to be predicted is not shown."""

from __future__ import annotations

import itertools
import math
from functools import partial

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


# ---- the missing part --------------------------------------------------------------------------------------------


def generator(seed: int = 0, device="cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


MASKS = {
    "half": pretext.half,
    "left half": partial(pretext.half, side="left"),
    "centre": pretext.centre,
    "frame": pretext.frame,
    "blocks": partial(pretext.blocks, count=3, side=4),
    "scattered": partial(pretext.scattered, patch=2, share=0.3),
}
each_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
random_mask = pytest.mark.parametrize("name", ["half", "blocks", "scattered"])


@each_mask
@pytest.mark.parametrize("h, w", [(12, 12), (8, 14)])
def test_a_mask_hides_some_pixels_of_every_image(mask, h, w, device):
    m = mask(torch.zeros(9, 3, h, w, device=device), generator(device=device))
    assert m.shape == (9, 1, h, w) and m.dtype == torch.bool and m.device.type == device.type
    assert m.flatten(1).any(dim=1).all() and not m.flatten(1).all(dim=1).any()


@random_mask
def test_masks_are_drawn_for_each_image_by_the_generator(name):
    x = torch.zeros(40, 3, 16, 16)
    first, again, other = (MASKS[name](x, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len({tuple(m.flatten().tolist()) for m in first}) == (4 if name == "half" else 40)


def test_four_halves():
    x = torch.zeros(2, 1, 4, 6)
    left, right, top, bottom = (pretext.half(x, side=side) for side in pretext.SIDES)
    assert left[0, 0].tolist() == [[True] * 3 + [False] * 3] * 4
    assert top[1, 0].tolist() == [[True] * 6] * 2 + [[False] * 6] * 2
    assert torch.equal(right, ~left) and torch.equal(bottom, ~top)


def test_halves_of_odd_sides_still_make_a_whole():
    x = torch.zeros(1, 1, 5, 7)
    left, right, top, bottom = (pretext.half(x, side=side) for side in pretext.SIDES)
    assert torch.equal(right, ~left) and torch.equal(bottom, ~top)
    assert left.sum() == 15 and top.sum() == 14


def test_every_side_is_hidden_equally_often():
    masks = pretext.half(torch.zeros(4000, 1, 2, 2), generator())
    corners = masks.flatten(1).float().mean(dim=0)  # each corner is in two of the four halves
    assert (corners - 0.5).abs().max() < 5 * (0.25 / 4000) ** 0.5
    assert (masks[:, 0, 0, 0] & masks[:, 0, 0, 1]).float().mean().item() == pytest.approx(0.25, abs=0.035)  # the top


@pytest.mark.parametrize("h, w, share, hidden", [(8, 8, 0.5, (4, 4)), (9, 6, 0.5, (4, 3)), (32, 32, 0.25, (8, 8))])
def test_the_centre_is_in_the_middle(h, w, share, hidden):
    x = torch.zeros(2, 1, h, w)
    m = pretext.centre(x, share=share)[0, 0]
    rows, columns = m.any(dim=1).nonzero()[:, 0], m.any(dim=0).nonzero()[:, 0]
    assert (len(rows), len(columns)) == hidden and m.sum() == hidden[0] * hidden[1]  # a filled rectangle
    for place, length in ((rows, h), (columns, w)):
        before, after = int(place[0]), length - 1 - int(place[-1])
        assert 0 <= after - before <= 1
    assert torch.equal(pretext.frame(x, share=share), ~pretext.centre(x, share=share))


def slow_blocks(x, g, count: int, side: int) -> torch.Tensor:
    """The same draws, one block after the other."""
    n, _, h, w = x.shape
    tops = torch.randint(h - side + 1, (n, count, 1), generator=g)
    lefts = torch.randint(w - side + 1, (n, count, 1), generator=g)
    mask = torch.zeros(n, 1, h, w, dtype=torch.bool)
    for i in range(n):
        for top, left in zip(tops[i, :, 0].tolist(), lefts[i, :, 0].tolist()):
            mask[i, 0, top : top + side, left : left + side] = True
    return mask


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(6, 11), st.integers(6, 11), st.integers(0, 1000))
def test_blocks_are_squares_within_the_image(count, side, h, w, seed):
    x = torch.zeros(5, 3, h, w)
    mask = pretext.blocks(x, generator(seed), count, side)
    assert torch.equal(mask, slow_blocks(x, generator(seed), count, side))
    assert mask.flatten(1).sum(dim=1).min() >= side**2
    assert mask.flatten(1).sum(dim=1).max() <= count * side**2


def test_a_block_lies_anywhere():
    often = pretext.blocks(torch.zeros(5000, 1, 4, 4), generator(), count=1, side=3).float().mean(dim=0)[0]
    # In each axis one of two places: the middle is always hidden, an edge half of the time, a corner a quarter of it.
    expected = torch.tensor([0.5, 1, 1, 0.5]).outer(torch.tensor([0.5, 1, 1, 0.5]))
    assert (often - expected).abs().max() < 0.035


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([1, 2, 4]), st.integers(2, 5), st.integers(2, 5), st.floats(0.05, 0.95), st.integers(0, 1000))
def test_scattered_patches_are_always_as_many(patch, rows, columns, share, seed):
    hidden = round(share * rows * columns)
    x = torch.zeros(6, 3, rows * patch, columns * patch)
    if not 0 < hidden < rows * columns:
        with pytest.raises(ValueError, match="expected some hidden and some not"):
            pretext.scattered(x, generator(seed), patch, share)
        return
    mask = pretext.scattered(x, generator(seed), patch, share)
    cells = mask[:, 0].unfold(1, patch, patch).unfold(2, patch, patch).flatten(3)  # (N, rows, columns, patch²)
    assert torch.equal(cells.all(dim=3), cells.any(dim=3))  # whole patches
    assert (cells[..., 0].sum(dim=(1, 2)) == hidden).all()


def test_every_patch_is_hidden_equally_often():
    often = pretext.scattered(torch.zeros(4000, 1, 4, 4), generator(), patch=2, share=0.25).float().mean(dim=0)
    assert (often - 0.25).abs().max() < 0.035


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.sampled_from([1, 3]), st.sampled_from(sorted(MASKS)), st.integers(0, 1000))
def test_hidden_pixels_are_the_target_and_nowhere_in_the_input(n, c, name, seed):
    x = images(n, c, 8, seed)
    mask = MASKS[name](x, generator(seed))
    inputs, same, target = pretext.hide(x, mask, fill=0.25)
    hidden = mask.expand_as(x)
    assert torch.equal(same, mask)
    assert torch.equal(target[hidden], x[hidden]) and torch.equal(inputs[~hidden], x[~hidden])
    assert torch.equal(target[~hidden], torch.zeros_like(target[~hidden]))
    assert torch.equal(inputs[hidden], torch.full_like(inputs[hidden], 0.25))
    for other in (images(n, c, 8, seed + 1), torch.full_like(x, float("nan"))):
        changed = pretext.hide(torch.where(mask, other, x), mask, fill=0.25)
        assert torch.equal(changed[0], inputs)  # whatever was hidden, the input is the same


def test_one_mask_may_serve_all_images():
    x = images(5, 3, 8)
    one = pretext.half(x[:1], side="top")
    for a, b in zip(pretext.hide(x, one), pretext.hide(x, one.expand(5, 1, 8, 8))):
        assert torch.equal(a, b)


def test_the_target_may_be_made_from_the_image():
    x = images(5, 3, 8)
    mask = pretext.half(x, generator())
    _, _, target = pretext.hide(x, mask, target=pretext.contrast_normalised_grey)
    assert torch.equal(target, pretext.contrast_normalised_grey(x) * mask)


@pytest.mark.parametrize("h, w", [(8, 8), (5, 9)])
def test_contrast_normalised_grey_is_its_formula(h, w):
    x = torch.rand(3, 3, h, w, generator=generator(), dtype=torch.float64)
    for image, ours in zip(x, pretext.contrast_normalised_grey(x)):
        grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        mean = grey.sum() / (h * w)
        variance = ((grey - mean) ** 2).sum() / (h * w)
        torch.testing.assert_close(ours[0], (grey - mean) / (variance + 0.01**2) ** 0.5, atol=1e-7, rtol=1e-6)


def test_contrast_normalised_grey_leaves_what_is_there_and_takes_the_rest():
    x = images(4, 3, 16)
    grey = pretext.contrast_normalised_grey(x)
    assert grey.shape == (4, 1, 16, 16)
    assert grey.mean(dim=(1, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(grey.square().mean(dim=(1, 2, 3)), torch.ones(4), atol=0.01, rtol=0)
    torch.testing.assert_close(pretext.contrast_normalised_grey(0.5 * x + 0.3), grey, atol=0.02, rtol=0)
    torch.testing.assert_close(pretext.contrast_normalised_grey(1 - x), -grey, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        pretext.contrast_normalised_grey(x[:, :1].expand(-1, 3, -1, -1)),
        pretext.contrast_normalised_grey(x[:, :1]),
        atol=1e-4,
        rtol=0,
    )
    assert pretext.contrast_normalised_grey(torch.full((2, 3, 4, 4), 0.3)).abs().max() < 1e-3


def test_contrast_normalised_grey_is_not_made_coarse_by_autocast():
    x = images(4, 3, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        grey = pretext.contrast_normalised_grey(x)
    assert torch.equal(grey, pretext.contrast_normalised_grey(x))


# ---- its controls ------------------------------------------------------------------------------------------------


def test_the_mean_image_is_the_mean_of_the_targets():
    targets = images(7, 2, 4)
    prediction = pretext.mean_image(targets, 3)
    assert prediction.shape == (3, 2, 4, 4)
    for row in prediction:
        torch.testing.assert_close(row, sum(targets) / 7)


def slow_nearest_visible(x, mask) -> torch.Tensor:
    """Every hidden pixel looks at every visible one, column by column from the left, each from the top."""
    out = x.clone()
    n, _, h, w = x.shape
    for i in range(n):
        for row in range(h):
            for column in range(w):
                best = float("inf")
                for b in range(w):
                    for a in range(h):
                        distance = (a - row) ** 2 + (b - column) ** 2
                        if not mask[i, 0, a, b] and distance < best:
                            best, out[i, :, row, column] = distance, x[i, :, a, b]
    return out


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.floats(0.1, 0.97), st.integers(0, 1000))
def test_nearest_visible_is_the_nearest_of_all(n, h, w, share, seed):
    x = torch.rand(n, 2, h, w, generator=generator(seed))
    mask = torch.rand(n, 1, h, w, generator=generator(seed + 1)) < share
    mask[:, :, h // 2, w // 2] = False
    assert torch.equal(pretext.nearest_visible(x, mask), slow_nearest_visible(x, mask))


@pytest.mark.parametrize("name", sorted(MASKS))
def test_nearest_visible_does_not_read_what_is_hidden(name):
    x = images(6, 3, 12)
    mask = MASKS[name](x, generator())
    filled = pretext.nearest_visible(x, mask)
    assert torch.equal(pretext.nearest_visible(torch.where(mask, float("nan"), x), mask), filled)
    assert torch.equal(torch.where(mask, 0, filled), torch.where(mask, 0, x))
    assert torch.equal(filled, slow_nearest_visible(x, mask))


def test_nearest_visible_takes_one_mask_for_all():
    x = images(4, 3, 8)
    mask = pretext.centre(x[:1])
    assert torch.equal(pretext.nearest_visible(x, mask), pretext.nearest_visible(x, mask.expand(4, 1, 8, 8)))


def test_nearest_visible_needs_a_visible_pixel():
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[1] = True
    with pytest.raises(ValueError, match="hides its whole image"):
        pretext.nearest_visible(images(2, 3, 4), mask)


@pytest.mark.parametrize("shrinkage", [1e-3, 0.3])
def test_linear_prediction_is_ridge_regression(shrinkage):
    from sklearn.linear_model import Ridge

    x = torch.rand(40, 3, 4, 5, generator=generator(), dtype=torch.float64)
    target = pretext.contrast_normalised_grey(x)
    mask = torch.rand(1, 1, 4, 5, generator=generator(5)) < 0.4
    ours = pretext.LinearPrediction(x, target, mask, shrinkage)
    new = torch.rand(7, 3, 4, 5, generator=generator(9), dtype=torch.float64)
    pixels = lambda t: t[:, :, ~mask[0, 0]].flatten(1).numpy()  # noqa: E731
    theirs = Ridge(alpha=shrinkage * 40).fit(pixels(x), target[:, :, mask[0, 0]].flatten(1).numpy())
    prediction = ours(new)
    assert prediction.shape == (7, 1, 4, 5)
    torch.testing.assert_close(prediction[:, 0, mask[0, 0]], torch.from_numpy(theirs.predict(pixels(new))))
    assert (prediction[:, 0, ~mask[0, 0]] == 0).all()


def test_linear_prediction_finds_a_linear_rule_and_reads_nothing_that_is_hidden():
    x = torch.rand(300, 2, 3, 4, generator=generator(), dtype=torch.float64)
    mask = pretext.half(x, side="right")
    target = x.clone()
    target[:, 0, :, 2:] = 2 * x[:, 1, :, :2] - x[:, 0, :, :2] + 0.5
    poisoned = torch.where(mask, float("nan"), x)
    predict = pretext.LinearPrediction(poisoned[:200], target[:200], mask[:1], shrinkage=1e-9)
    prediction = predict(poisoned[200:])
    torch.testing.assert_close(prediction[:, 0, :, 2:], target[200:, 0, :, 2:], atol=1e-5, rtol=0)


def test_linear_prediction_says_what_it_cannot_do():
    x = images(8, 1, 4)
    with pytest.raises(ValueError, match="differ from image to image; a linear prediction needs one mask for all"):
        pretext.LinearPrediction(x, x, pretext.half(x, generator()))
    with pytest.raises(ValueError, match="shrinkage is 0; expected a positive number"):
        pretext.LinearPrediction(x, x, pretext.half(x, side="top"), shrinkage=0)
    with pytest.raises(ValueError, match="hides everything or nothing"):
        pretext.LinearPrediction(x, x, torch.zeros(1, 1, 4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"do not fit: \(8, 1, 4, 4\) and \(7, 1, 4, 4\)"):
        pretext.LinearPrediction(x, x[:7], pretext.half(x, side="top"))


# ---- jigsaw ------------------------------------------------------------------------------------------------------


def coordinates(n: int, h: int, w: int) -> torch.Tensor:
    """Images whose channels are the row, the column and the number of the image."""
    row, column = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    number = torch.arange(n)[:, None, None].expand(n, h, w)
    return torch.stack([row.expand(n, h, w), column.expand(n, h, w), number], dim=1).float()


def corners_of(patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where patches (…, 3, t, t) of `coordinates` start, after making sure that each is one square of the image."""
    t = patches.shape[-1]
    top, left = patches[..., 0, 0, 0], patches[..., 1, 0, 0]
    step = torch.arange(t).float()
    assert torch.equal(patches[..., 0, :, :], (top[..., None, None] + step[:, None]).expand(*top.shape, t, t))
    assert torch.equal(patches[..., 1, :, :], (left[..., None, None] + step).expand(*top.shape, t, t))
    return top.long(), left.long()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(12, 23), st.integers(12, 23), st.data())
def test_tiles_lie_in_their_cells_row_by_row(n, grid, h, w, data):
    cell = min(h, w) // grid
    tile = data.draw(st.integers(1, cell))
    jitter = data.draw(st.integers(0, cell - tile))
    x = coordinates(n, h, w)
    cut = pretext.tiles(x, generator(h * w), grid, tile, jitter)
    assert cut.shape == (n, grid**2, 3, tile, tile)
    top, left = corners_of(cut)
    for place, along, length in (
        (top, torch.arange(grid).repeat_interleave(grid), h),
        (left, torch.arange(grid).repeat(grid), w),
    ):
        cell = length // grid
        start = (length - grid * cell) // 2 + along * cell
        assert (place >= start).all() and (place + tile <= start + cell).all()
        off = place - start - (cell - tile) / 2  # from the middle of the cell
        assert (off.abs() <= jitter / 2 + 0.5).all()
    assert torch.equal(cut[:, :, 2, 0, 0], torch.arange(n)[:, None].expand(n, grid**2).float())


def test_tiles_go_as_far_as_the_cell_allows_and_each_on_its_own():
    top, left = corners_of(pretext.tiles(coordinates(500, 32, 32), generator(), grid=3, tile=7))
    down, right = top - 1 - 10 * torch.arange(3).repeat_interleave(3), left - 1 - 10 * torch.arange(3).repeat(3)
    for off in (down, right):
        assert sorted(off.unique().tolist()) == [0, 1, 2, 3]  # 32 = 1 + 3 · 10 + 1, and 10 − 7 = 3
        assert (off.float().mean(dim=0) - 1.5).abs().max() < 0.25
    every = torch.corrcoef(torch.cat([down, right], dim=1).T.float())  # of all offsets of an image's nine tiles
    assert (every - torch.eye(18)).abs().max() < 0.25


def test_without_jitter_tiles_stand_in_the_middle():
    x = coordinates(3, 32, 32)
    top, left = corners_of(pretext.tiles(x, grid=3, tile=8, jitter=0))
    assert top[0].tolist() == [2, 2, 2, 12, 12, 12, 22, 22, 22] and left[0].tolist() == [2, 12, 22] * 3
    assert torch.equal(pretext.tiles(x, generator(0), 2, 16), pretext.tiles(x, generator(1), 2, 16))  # no room left


def test_a_tile_is_by_default_about_as_large_as_in_the_paper():
    assert pretext.tiles(torch.zeros(1, 3, 225, 225)).shape[-1] == 65
    assert [pretext.tiles(torch.zeros(1, 3, s, s)).shape[-1] for s in (16, 28, 32, 96)] == [4, 7, 8, 28]


@pytest.mark.parametrize("pieces, count", [(4, 24), (4, 7), (1, 1), (3, 6), (9, 40), (5, 120), (16, 20)])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_set_of_permutations_has_distinct_permutations(pieces, count, seed):
    chosen = pretext.permutations(count, pieces, seed)
    assert chosen.shape == (count, pieces) and chosen.dtype == torch.int64
    assert torch.equal(chosen.sort(dim=1).values, torch.arange(pieces).expand(count, pieces))
    assert len(chosen.unique(dim=0)) == count
    assert torch.equal(chosen, pretext.permutations(count, pieces, seed))
    if pieces > 1:
        assert not torch.equal(chosen, pretext.permutations(count, pieces, seed + 5))


def least_distance(chosen: torch.Tensor) -> int:
    return min(int((a != b).sum()) for i, a in enumerate(chosen) for b in chosen[:i])


@pytest.mark.parametrize(
    "pieces, count, distance", [(4, 4, 4), (4, 24, 2), (9, 9, 9), (9, 10, 8), (9, 30, 7), (9, 100, 6)]
)
def test_permutations_are_as_far_apart_as_stated(pieces, count, distance):
    for seed in range(3):
        assert least_distance(pretext.permutations(count, pieces, seed)) == distance


def test_a_thousand_permutations_are_quick_and_far_apart():
    chosen = pretext.permutations(1000)
    distance = (chosen[:, None] != chosen).sum(dim=2) + 9 * torch.eye(1000, dtype=torch.int64)
    assert distance.min() == 5


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 5), st.integers(2, 12), st.integers(0, 100))
def test_every_permutation_is_the_greedy_choice(pieces, count, seed):
    count = min(count, math.factorial(pieces))
    chosen = pretext.permutations(count, pieces, seed)
    everything = [torch.tensor(p) for p in itertools.permutations(range(pieces))]
    for i in range(1, count):
        scores = []
        for candidate in (chosen[i], *everything):
            distances = [int((candidate != before).sum()) for before in chosen[:i]]
            scores.append((min(distances), sum(distances)))
        assert scores[0] == max(scores)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.sampled_from([1, 4, 9]), st.integers(1, 4), st.integers(0, 1000))
def test_the_inverse_permutation_restores_the_puzzle_bit_for_bit(n, pieces, side, seed):
    tiles = torch.rand(n, pieces, 3, side, side, generator=generator(seed))
    permutations = pretext.permutations(min(12, math.factorial(pieces)), pieces, seed)
    index = torch.randint(len(permutations), (n,), generator=generator(seed))
    shuffled = pretext.shuffle(tiles, index, permutations)
    for i in range(n):
        for place in range(pieces):
            assert torch.equal(shuffled[i, place], tiles[i, permutations[index[i], place]])
    assert torch.equal(pretext.unshuffle(shuffled, index, permutations), tiles)


def test_jigsaw_shuffles_the_tiles_as_the_target_says(device):
    x, permutations = coordinates(300, 32, 32).to(device), pretext.permutations(24, 4)
    shuffled, target = pretext.jigsaw(x, permutations, generator(device=device), tile=16)
    assert shuffled.shape == (300, 4, 3, 16, 16) and target.dtype == torch.int64
    assert target.unique().tolist() == list(range(24))
    top, left = corners_of(pretext.unshuffle(shuffled, target, permutations).cpu())
    assert (top == torch.tensor([0, 0, 16, 16])).all() and (left == torch.tensor([0, 16, 0, 16])).all()
    again, same = pretext.jigsaw(x, permutations, generator(device=device), tile=16)
    assert torch.equal(again, shuffled) and torch.equal(same, target)
    assert not torch.equal(pretext.jigsaw(x, permutations, generator(1, device), tile=16)[1], target)


def test_all_permutations_are_equally_likely():
    target = pretext.jigsaw(torch.zeros(6000, 1, 2, 2), pretext.permutations(6, 4), generator(), tile=1)[1]
    assert all(abs(count - 1000) < 5 * (6000 * 5 / 36) ** 0.5 for count in target.bincount(minlength=6).tolist())


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 6), st.floats(0.05, 1.0), st.floats(0.0, 1.0), st.integers(0, 1000))
def test_normalised_tiles_do_not_tell_brightness_and_contrast(side, contrast, brightness, seed):
    tiles = torch.rand(2, 4, 3, side, side, generator=generator(seed), dtype=torch.float64)
    levels = contrast * tiles + (1 - contrast) * brightness
    plain = pretext.normalise_tiles(tiles, eps=0)
    torch.testing.assert_close(pretext.normalise_tiles(levels, eps=0), plain)
    assert 0 <= plain.min() <= plain.max() <= 1
    z = ((plain - 0.5) / 0.25).flatten(3)
    clipped = (z.abs() > 1.9999).any(dim=3)
    assert z.mean(dim=3)[~clipped].abs().max() < 1e-6 if (~clipped).any() else True
    for tile, ours in zip(tiles.flatten(0, 2), plain.flatten(0, 2)):
        variance = ((tile - tile.mean()) ** 2).sum() / side**2
        torch.testing.assert_close(ours, (0.5 + 0.25 * (tile - tile.mean()) / variance**0.5).clamp(0, 1))


def test_a_flat_tile_stays_flat():
    noise = 0.4 + 0.002 * torch.randn(50, 9, 3, 8, 8, generator=generator())
    assert pretext.normalise_tiles(noise).sub(0.5).abs().mean() < 0.03
    assert torch.equal(pretext.normalise_tiles(torch.full((1, 4, 3, 2, 2), 0.5)), torch.full((1, 4, 3, 2, 2), 0.5))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_assemble_lays_tiles_row_by_row(n, grid, t, gap):
    tiles = torch.rand(n, grid**2, 3, t, t, generator=generator(n))
    picture = pretext.assemble(tiles, gap, fill=-1.0)
    assert picture.shape == (n, 3, grid * t + (grid - 1) * gap, grid * t + (grid - 1) * gap)
    for k in range(grid**2):
        row, column = k // grid * (t + gap), k % grid * (t + gap)
        assert torch.equal(picture[:, :, row : row + t, column : column + t], tiles[:, k])
    assert (picture == -1).sum() == picture.numel() - tiles.numel()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(12, 20), st.integers(12, 20), st.data())
def test_a_canvas_puts_tiles_back_where_they_came_from(grid, h, w, data):
    t = data.draw(st.integers(1, min(h, w) // grid))
    x = coordinates(2, h, w)
    back = pretext.canvas(pretext.tiles(x, None, grid, t, jitter=0), (h, w), fill=-1.0)
    assert back.shape == x.shape
    tiled = back != -1
    assert tiled.sum() == 2 * 3 * grid**2 * t**2
    assert torch.equal(back[tiled], x[tiled])


# ---- relative position -------------------------------------------------------------------------------------------


def test_the_eight_directions_go_row_by_row():
    around = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
    assert list(pretext.DIRECTIONS) == around


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["centre", "anywhere"]), st.integers(1, 5), st.integers(0, 3), st.integers(0, 2), st.data())
def test_the_second_patch_lies_where_the_target_says(anchor, patch, gap, jitter, data):
    least = patch + (2 if anchor == "centre" else 1) * (patch + gap + jitter)
    h, w = (data.draw(st.integers(least, least + 6)) for _ in range(2))
    x = coordinates(30, h, w)
    first, second, target = pretext.neighbours(x, generator(h), patch, gap, jitter, anchor)
    assert first.shape == second.shape == (30, 3, patch, patch)
    (top_a, left_a), (top_b, left_b) = corners_of(first), corners_of(second)  # so both lie within the image
    for i, k in enumerate(target.tolist()):
        down, right = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))[k]
        assert abs(top_b[i] - top_a[i] - down * (patch + gap)) <= jitter
        assert abs(left_b[i] - left_a[i] - right * (patch + gap)) <= jitter
    assert torch.equal(first[:, 2, 0, 0], torch.arange(30.0)) and torch.equal(second[:, 2, 0, 0], torch.arange(30.0))
    if anchor == "centre":
        assert (top_a == (h - patch) // 2).all() and (left_a == (w - patch) // 2).all()


def test_directions_and_jitter_are_drawn_for_each_image():
    x = coordinates(4000, 32, 32)
    first, second, target = pretext.neighbours(x, generator(), patch=8, gap=2, jitter=2)
    assert all(abs(count - 500) < 5 * (4000 * 7 / 64) ** 0.5 for count in target.bincount(minlength=8).tolist())
    (top_a, left_a), (top_b, left_b) = corners_of(first), corners_of(second)
    step = torch.tensor(pretext.DIRECTIONS)[target] * 10
    down, right = top_b - top_a - step[:, 0], left_b - left_a - step[:, 1]
    for move in (down, right):
        assert all(abs(count - 800) < 5 * (4000 * 4 / 25) ** 0.5 for count in (move + 2).bincount(minlength=5).tolist())
    assert abs(torch.corrcoef(torch.stack([down, right]).float())[0, 1]) < 0.1
    again = pretext.neighbours(x, generator(), patch=8, gap=2, jitter=2)
    assert all(torch.equal(a, b) for a, b in zip(again, (first, second, target)))


def test_an_anchor_anywhere_uses_all_the_room_that_the_pair_leaves():
    x = coordinates(4000, 20, 24)
    first, second, target = pretext.neighbours(x, generator(), patch=5, gap=1, jitter=0, anchor="anywhere")
    top, left = corners_of(first)
    right = target == 4  # the second lies 6 px to the right: 0 … 15 rows, 0 … 24 − 5 − 6 columns
    assert sorted(top[right].unique().tolist()) == list(range(16))
    assert sorted(left[right].unique().tolist()) == list(range(14))
    up = target == 1
    assert sorted(top[up].unique().tolist()) == list(range(6, 16))
    assert sorted(left[up].unique().tolist()) == list(range(20))


def test_neighbours_fit_by_default():
    for side in (8, 16, 28, 32, 64, 96, 224):
        first, *_ = pretext.neighbours(torch.zeros(2, 1, side, side))
        assert first.shape[-1] == side // 4


# ---- wrong input -------------------------------------------------------------------------------------------------


X = torch.zeros(2, 3, 12, 12)
WRONG = {
    "unknown side 'lefft'. Did you mean 'left'": lambda: pretext.half(X, side="lefft"),
    "share is 1.0; expected a share of the image's side": lambda: pretext.centre(X, share=1.0),
    "share is 0; expected a share": lambda: pretext.frame(X, share=0),
    "expected at least one block, with a side of 1 to 12 px": lambda: pretext.blocks(X, side=13),
    "count is 0 and side is 4": lambda: pretext.blocks(X, count=0, side=4),
    "patch is 5; expected a number that divides the images' sides, 12 and 12": lambda: pretext.scattered(X, patch=5),
    r"got \(2, 3, 12, 12\) of torch.uint8. For uint8 images use augment.to_float": lambda: pretext.hide(
        X.byte(), pretext.half(X)
    ),
    r"expected a mask of torch.bool, \(2, 1, 12, 12\), .* got torch.float32": lambda: pretext.hide(X, X[:, :1]),
    r"expected a mask .* got torch.bool, \(2, 3, 12, 12\)": lambda: pretext.hide(X, X.bool()),
    r"expected images \(N, C, H, W\) with C = 1 or 3; got \(2, 2": lambda: pretext.contrast_normalised_grey(X[:, :2]),
    "tile is 5 px; expected 1 to 4, the side of a cell when 12×12 px are cut": lambda: pretext.tiles(X, tile=5),
    "grid is 13; expected 1 to 12, since the images are 12×12": lambda: pretext.tiles(X, grid=13),
    "jitter is 2 px; expected 0 to 1, what a tile of 3 px leaves": lambda: pretext.tiles(X, tile=3, jitter=2),
    "count is 25; expected 1 to 24, the permutations of 4 pieces": lambda: pretext.permutations(25, 4),
    "count is 0; expected 1 to 24": lambda: pretext.permutations(0, 4),
    "pieces is 0; expected at least 1": lambda: pretext.permutations(1, 0),
    "8 pieces make no square puzzle": lambda: pretext.jigsaw(X, torch.arange(8)[None]),
    r"their permutations \(3, 4\); expected one index a sample": lambda: pretext.shuffle(
        torch.zeros(2, 4, 3, 2, 2), torch.zeros(3, dtype=torch.int64), torch.arange(4)[None]
    ),
    r"expected tiles \(N, P, C, t, t\) with P = 4, 9, 16, …; got \(2, 8": lambda: pretext.assemble(
        torch.zeros(2, 8, 3, 2, 2)
    ),
    "tiles of 5 px are larger than the cells of 3×3 on 12×12 px": lambda: pretext.canvas(
        torch.zeros(2, 9, 3, 5, 5), (12, 12)
    ),
    "patch, gap and jitter are 0, 1, 1; expected at least": lambda: pretext.neighbours(X, patch=0, gap=1, jitter=1),
    "patch 4, gap 1 and jitter 0 take 14 px with anchor 'centre'; the images are 12×12": lambda: pretext.neighbours(
        X, patch=4, gap=1
    ),
    "unknown anchor 'center'. Did you mean 'centre'": lambda: pretext.neighbours(X, anchor="center"),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_input_is_told_what_came_and_what_was_expected(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()


def test_nothing_changes_the_images_given():
    x = images(4, 3, 12)
    before = x.clone()
    mask = pretext.half(x)
    pretext.hide(x, mask, target=pretext.contrast_normalised_grey)
    pretext.nearest_visible(x, mask)
    pretext.normalise_tiles(x)
    pretext.jigsaw(x, pretext.permutations(4, 4))
    pretext.neighbours(x)
    pretext.assemble(x[:, None])
    assert torch.equal(x, before)
