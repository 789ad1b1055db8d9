"""Things that move in a box: the laws that paths keep, and images that move over plain background."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit.data.moving import clips, paths


def thrown(n: int = 200, seed: int = 0, fast: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(seed)
    return 5 + 20 * rng.random_sample((n, 2)), fast * (2 * rng.random_sample((n, 2)) - 1)


def test_free_flight_is_a_parabola():
    start, velocity = np.array([[3.0, 50.0]]), np.array([[1.5, -2.0]])
    place, bounces = paths(start, velocity, 6, 0.0, 100.0, gravity=0.4)
    t = np.arange(6.0)
    assert np.allclose(place[0, :, 0], 3 + 1.5 * t) and np.allclose(place[0, :, 1], 50 - 2 * t + 0.2 * t**2)
    assert bounces.sum() == 0


def test_a_bounce_mirrors_the_path_and_takes_its_share_of_the_speed():
    # The wall at 10 is met after 2 frames: from 6, 2 pixels a frame there and 0.5 · 2 back; y slows down with it.
    place, bounces = paths(np.array([[6.0, 5.0]]), np.array([[2.0, 0.5]]), 7, 0.0, 10.0, keep=0.5)
    assert np.allclose(place[0, :4, 0], [6, 8, 10, 9], atol=0.13) and bounces[0].sum() == 1  # steps of an eighth
    assert np.allclose(np.diff(place[0, 4:, 0]), -1) and np.allclose(np.diff(place[0, 4:, 1]), 0.25)


def test_every_wall_is_like_the_others():
    """In a mirror, and with x and y exchanged, the same things happen."""
    start, velocity = thrown()
    place, bounces = paths(start, velocity, 9, 5.0, 25.0, keep=0.8)
    mirrored, again = paths(30 - start, -velocity, 9, 5.0, 25.0, keep=0.8)
    turned, _ = paths(start[:, ::-1], velocity[:, ::-1], 9, 5.0, 25.0, keep=0.8)
    assert np.allclose(mirrored, 30 - place) and np.allclose(turned, place[..., ::-1])
    assert np.array_equal(again, bounces) and bounces.sum() > 100


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.floats(0, 1), st.floats(0.5, 1), st.floats(0.1, 300))
def test_nothing_leaves_the_box_however_fast(seed, gravity, keep, fast):
    place, _ = paths(*thrown(20, seed, fast), 8, 5.0, 25.0, gravity, keep)
    assert np.isfinite(place).all() and place.min() >= 5 and place.max() <= 25


def speeds(place: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(place, axis=1), axis=2)


def test_without_gravity_the_speed_is_the_starts_times_the_losses():
    start, velocity = thrown(fast=2.0)
    place, bounces = paths(start, velocity, 12, 5.0, 25.0, keep=0.8)
    expected = np.linalg.norm(velocity, axis=1)[:, None] * 0.8 ** (np.cumsum(bounces, axis=1)[:, 1:])
    free = bounces[:, 1:] == 0
    assert np.allclose(speeds(place)[free], expected[free]) and bounces.max() >= 1 and free.mean() > 0.5


def test_free_flight_backwards_is_a_path_again_and_a_bounce_with_loss_is_not():
    """Run back from its end, with its velocity turned round, a thing comes to where it began; unless it has bounced."""
    start, velocity = thrown(900)
    place, bounces = paths(start, velocity, 8, 5.0, 25.0, 0.3, 0.8)
    last = place[:, -1] - place[:, -2] + np.array([0, 0.15])  # the velocity at the end, where the last frame was free
    usable = bounces[:, -1] == 0
    back, _ = paths(place[usable, -1], -last[usable], 8, 5.0, 25.0, 0.3, 0.8)
    missed = np.abs(back[:, -1] - place[usable, 0]).max(axis=1)
    free = bounces[usable].sum(axis=1) == 0
    assert free.sum() > 50 and missed[free].max() < 1e-9
    assert (~free).sum() > 50 and np.median(missed[~free]) > 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"frames": 0}, "frames is 0: at least 1"),
        ({"keep": 0.0}, "keep is 0.0: the share of the speed"),
        ({"keep": 1.1}, "keep is 1.1"),
        ({"low": 20.0}, "some things start outside the box"),
        ({"velocity": np.zeros(2)}, r"expected start and velocity \(N, 2\).*got \(200, 2\) and \(2,\)"),
    ],
)
def test_what_does_not_fit_is_said(options, says):
    start, velocity = thrown()
    given = {"start": start, "velocity": velocity, "frames": 4, "low": 0.0, "high": 30.0} | options
    with pytest.raises(ValueError, match=says):
        paths(**given)


# ---- clips ------------------------------------------------------------------------------------------------------


def images(n: int = 6, channels: int = 3, height: int = 7, width: int = 5) -> torch.Tensor:
    size = (n, channels, height, width)
    return torch.randint(1, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("per_clip", [1, 2, 3])
@pytest.mark.parametrize("gravity", [0.0, 0.5])
def test_every_frame_holds_the_images_at_their_places_and_nothing_else(per_clip, gravity):
    x = images()
    generator = torch.Generator().manual_seed(0)
    out, place, which = clips(x, 5, 20, per_clip=per_clip, gravity=gravity, keep=0.9, generator=generator)
    assert out.shape == (6, 5, 3, 20, 20) and out.dtype == torch.uint8
    assert place.shape == (6, per_clip, 5, 2) and which[:, 0].tolist() == [*range(6)]
    for n in range(6):
        for t in range(5):
            slow = torch.zeros(3, 20, 20, dtype=torch.uint8)
            for k in range(per_clip):
                column, row = place[n, k, t].round().int().tolist()
                for c, i, j in np.ndindex(3, 7, 5):
                    slow[c, row + i, column + j] = max(slow[c, row + i, column + j], x[which[n, k], c, i, j])
            assert torch.equal(out[n, t], slow)
    assert len(place.flatten(0, 1)[:, 0].unique(dim=0)) == 6 * per_clip  # each begins elsewhere
    assert (place.diff(dim=2).abs().sum(dim=3) > 0.3).all()  # and moves


def test_the_speed_is_as_asked_and_goes_everywhere():
    _, place, _ = clips(images(400), 2, 200, speed=(2.0, 3.0), generator=torch.Generator().manual_seed(0))
    step = place[:, 0, 1] - place[:, 0, 0]
    length = step.norm(dim=1)
    free = (place[:, 0] > 5).all(dim=2).all(dim=1) & (place[:, 0] < 185).all(dim=2).all(dim=1)
    assert free.sum() > 250 and length[free].min() >= 1.99 and length[free].max() <= 3.01 and length[free].std() > 0.2
    quarter = (step[:, 0] > 0).long() * 2 + (step[:, 1] > 0)
    assert quarter.bincount(minlength=4).min() > 70


def test_the_background_and_the_generator():
    make = lambda seed, **o: clips(images(), 3, 20, generator=torch.Generator().manual_seed(seed), **o)  # noqa: E731
    assert torch.equal(make(3)[0], make(3)[0]) and not torch.equal(make(3)[0], make(4)[0])
    assert make(3, background=200)[0].min() == 200 and make(3)[0].min() == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: clips(images().float()), "expected images uint8.*got torch.float32"),
        (lambda: clips(images()[0]), r"got torch.uint8 \(3, 7, 5\)"),
        (lambda: clips(images(), size=7), "images of 7×5 cannot move in a picture of 7×7.*such as 14"),
        (lambda: clips(images(), per_clip=7), "per_clip is 7: expected 1 to 6"),
        (lambda: clips(images(), speed=(3, 1)), r"speed is \(3, 1\)"),
    ],
)
def test_images_that_cannot_move_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
