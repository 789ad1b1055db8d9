"""Tasks in time: what is the input, what the target, that chance is one half, and the controls against a slow loop."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit import sequence
from sslkit.sequence import arrow, backwards, copy_last, error_by_ahead, future, linear, mean, order, past


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int = 6, frames: int = 9) -> torch.Tensor:
    """Clips whose every pixel says which clip (of 20) and which frame it is of."""
    number = 20 * torch.arange(n)[:, None] + torch.arange(frames)
    return number[..., None, None, None].expand(n, frames, 3, 4, 5).to(torch.uint8)


def clip_of(x: torch.Tensor) -> torch.Tensor:
    return x[..., 0, 0, 0].long() // 20


def frame_of(x: torch.Tensor) -> torch.Tensor:
    return x[..., 0, 0, 0].long() % 20


sizes = given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(0, 999))

# ---- future and past --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@sizes
def test_the_target_lies_ahead_of_the_input_in_the_same_clip(seen, ahead, spare, seed):
    clips = numbered(frames=seen + ahead + spare)
    inputs, target = future(clips, seen, ahead, seeded(seed))
    assert inputs.shape == (6, seen, 3, 4, 5) and target.shape == (6, 3, 4, 5) and target.dtype == torch.uint8
    assert torch.equal(frame_of(inputs), frame_of(inputs[:, :1]) + torch.arange(seen))
    assert torch.equal(frame_of(target), frame_of(inputs)[:, -1] + ahead)
    assert torch.equal(clip_of(inputs), torch.arange(6)[:, None].expand(6, seen))
    assert torch.equal(clip_of(target), torch.arange(6))


@settings(deadline=None, max_examples=50)
@sizes
def test_the_past_is_the_future_of_the_reversed_clip(seen, back, spare, seed):
    clips = numbered(frames=seen + back + spare)
    inputs, target = past(clips, seen, back, seeded(seed))
    assert torch.equal(frame_of(inputs), frame_of(inputs[:, :1]) - torch.arange(seen))  # later frames come first
    assert torch.equal(frame_of(target), frame_of(inputs)[:, -1] - back)
    for start in range(spare + 1):
        a, b = past(clips, seen, back, start=start), future(backwards(clips), seen, back, start=spare - start)
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_every_beginning_gets_its_turn_and_each_clip_has_its_own():
    inputs, _ = future(numbered(1).expand(3000, -1, -1, -1, -1), 4, 2, seeded())
    counts = frame_of(inputs)[:, 0].bincount()
    assert len(counts) == 4 and counts.min() > 650  # 750 on average, ± 24
    assert frame_of(future(numbered(), 4, 2, start=3)[0])[:, 0].tolist() == [3] * 6


def test_the_same_generator_draws_the_same_and_none_of_the_callers_is_used_for_a_start():
    clips = numbered()
    for task in (future, past, order, arrow):
        (a, s), (b, t), (c, _) = (task(clips, 3, generator=seeded(i)) for i in (0, 0, 1))
        assert torch.equal(a, b) and torch.equal(s, t) and not torch.equal(a, c)
    before = torch.get_rng_state()
    future(clips, start=0), error_by_ahead(copy_last, clips)
    assert torch.equal(before, torch.get_rng_state())


def test_backwards_twice_is_the_identity():
    clips = numbered()
    assert (
        torch.equal(backwards(backwards(clips)), clips) and frame_of(backwards(clips))[0].tolist() == [*range(9)][::-1]
    )


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda c: future(c, 6, 4), "past=6 and ahead=4 need clips of 10 frames, and these have 9"),
        (lambda c: past(c, 6, 4), "future=6 and back=4 need clips of 10 frames, and these have 9"),
        (lambda c: future(c, 0, 1), "past is 0: at least 1 frame"),
        (lambda c: past(c, 2, 0), "back is 0: at least 1 frame"),
        (lambda c: future(c, 4, 1, start=5), "start is 5: of 9 frames, 5 can begin at 0 to 4"),
        (lambda c: future(c[0]), r"expected clips \(N, T, C, H, W\).*got \(9, 3, 4, 5\). One clip\? Give clip\[None\]"),
        (lambda c: order(c, 2), "frames is 2: expected 3 to 7"),
        (lambda c: order(c[:, :3], 4), "frames is 4, and these clips have 3"),
        (lambda c: arrow(c, 1), "frames is 1: a single frame has no direction of time"),
        (lambda c: arrow(c, 10), "frames is 10, and these clips have 9"),
        (lambda c: copy_last(c), "the frames are torch.uint8: predictions are made of float"),
        (lambda c: linear(c[:, :1].float()), "got 1 frames and ahead=1; expected 2 frames or more"),
        (lambda c: error_by_ahead(copy_last, c, 6, 4), "past=6 and ahead=4 need clips of 10 frames"),
    ],
)
def test_what_does_not_fit_is_said(call, says):
    with pytest.raises(ValueError, match=says):
        call(numbered())


# ---- order and arrow --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [3, 4, 5])
def test_order_is_right_or_one_of_the_others_but_never_exactly_backwards(frames):
    clips = numbered(1).expand(4000, -1, -1, -1, -1)
    inputs, target = order(clips, frames, seeded())
    place = frame_of(inputs)
    rank = place - place.min(dim=1, keepdim=True).values
    right = torch.arange(frames)
    assert torch.equal((rank == right).all(dim=1), target == 1)
    assert torch.equal(rank.sort(dim=1).values, right.expand(4000, -1))  # neighbours, each once
    assert not (rank == right.flip(0)).all(dim=1).any()
    assert abs(target.float().mean() - 0.5) < 0.03  # ± 0.008
    seen = {tuple(r) for r in rank[target == 0].tolist()}
    assert seen == set(itertools.permutations(range(frames))) - {tuple(right.tolist()), tuple(right.flip(0).tolist())}
    assert len(place.min(dim=1).values.unique()) == 9 - frames + 1


@pytest.mark.parametrize("frames", [None, 2, 5])
def test_arrow_shows_neighbours_forwards_or_backwards(frames):
    clips = numbered(1).expand(4000, -1, -1, -1, -1)
    inputs, target = arrow(clips, frames, seeded())
    step = frame_of(inputs).diff(dim=1)
    assert inputs.shape[1] == (frames or 9)
    assert torch.equal(step, (2 * target - 1)[:, None].expand_as(step))
    assert abs(target.float().mean() - 0.5) < 0.03
    assert len(frame_of(inputs).min(dim=1).values.unique()) == 9 - inputs.shape[1] + 1


def test_the_arrow_of_a_reversed_clip_points_the_other_way():
    clips = numbered()
    inputs, target = arrow(clips, generator=seeded())
    turned, same_draws = arrow(backwards(clips), generator=seeded())
    assert torch.equal(turned, backwards(inputs)) and torch.equal(target, same_draws) and 0 < target.sum() < 6


def test_tasks_stay_on_the_device(device):
    clips = numbered().to(device)
    for task in (future, past, order, arrow):
        assert {x.device.type for x in task(clips, 3)} == {device.type}
    assert error_by_ahead(copy_last, clips).device.type == "cpu"


# ---- controls ---------------------------------------------------------------------------------------------------


def drifting() -> torch.Tensor:
    """Clips that brighten evenly, each pixel at its own pace, and never leave [0, 1]: float (5, 9, 3, 4, 5)."""
    pace = 0.1 * torch.rand(5, 1, 3, 4, 5, generator=seeded())
    return 0.1 + pace * torch.arange(9.0)[None, :, None, None, None]


@pytest.mark.parametrize("ahead", [1, 2, 4])
def test_what_changes_evenly_is_extrapolated_exactly_and_what_stands_still_is_copied_exactly(ahead):
    inputs, target = future(drifting(), 3, ahead, start=1)
    assert torch.allclose(linear(inputs, ahead), target, atol=1e-6)
    assert not torch.allclose(copy_last(inputs, ahead), target, atol=1e-2)
    still = inputs[:, :1].expand_as(inputs)
    for control in (copy_last, linear, mean):
        assert torch.allclose(control(still, ahead), inputs[:, 0])


def test_controls_on_numbers_typed_by_hand():
    x = torch.tensor([0.1, 0.2, 0.6]).view(1, 3, 1, 1, 1)
    assert copy_last(x).item() == pytest.approx(0.6)
    assert mean(x).item() == pytest.approx(0.3)
    assert linear(x, 1).item() == pytest.approx(1.0)
    assert linear(x, 2).item() == 1.0  # 1.4 is no brightness
    assert linear(1 - x, 2).item() == 0.0


def slow_errors(predict, clips, past, ahead, starts):
    """Clip by clip, beginning by beginning."""
    clips = clips.double() / 255
    errors = []
    for a in range(1, ahead + 1):
        each = []
        for clip, s in itertools.product(clips, starts):
            seen, there = clip[s : s + past], clip[s + past - 1 + a]
            each.append(((predict(seen[None].float(), a)[0].double() - there) ** 2).mean())
        errors.append(torch.stack(each).mean())
    return torch.stack(errors).float()


@pytest.mark.parametrize("control", [copy_last, linear, mean])
@pytest.mark.parametrize("start", [None, 1])
def test_errors_by_ahead_are_those_of_a_slow_loop(control, start):
    clips = torch.randint(256, (7, 9, 3, 4, 5), dtype=torch.uint8, generator=seeded())
    starts = range(9 - 3 - 4 + 1) if start is None else [start]
    slow = slow_errors(control, clips, 3, 4, starts)
    assert slow.min() > 0.05
    for batch in (2, 256):
        assert torch.allclose(error_by_ahead(control, clips, 3, 4, start, batch), slow, atol=1e-6)
    as_float = error_by_ahead(control, clips.float() / 255, 3, 4, start)
    assert torch.allclose(as_float, slow, atol=1e-6)


def test_looking_further_is_harder_where_things_drift():
    errors = error_by_ahead(copy_last, drifting(), 3, 4)
    assert torch.allclose(errors / errors[0], torch.tensor([1.0, 4.0, 9.0, 16.0]), rtol=1e-4)  # the square of the way
    assert torch.allclose(error_by_ahead(copy_last, backwards(drifting()), 3, 4), errors)
    assert sequence.error_by_ahead(linear, drifting(), 3, 4).max() < 1e-10
