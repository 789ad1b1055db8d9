"""movingdigits: frozen as version 1, balanced, nothing shared between splits; only the dynamics tell time's arrow."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import numpy as np
import pytest
import torch

from sslkit import sequence
from sslkit.data import Split, draw_labels, load, moving, photodigits
from sslkit.data import movingdigits as room

# Version 1 of the data, as every figure of the course was measured on it. If this test fails, the data has changed:
# that is version 2, with a new VERSION in movingdigits.py and every figure made with it measured anew.
HASH = {"train": "v1-1523554e60c4", "val": "v1-2f5bfd2c28a9", "test": "v1-440baeda0a2d"}  # of paths and draws
# Mean and standard deviation of red, green and blue, 0 … 255: the hash does not see how the clips are drawn.
MEAN = {"train": (108.57, 107.37, 94.96), "val": (99.91, 123.69, 119.09), "test": (75.37, 103.78, 101.11)}
SPREAD = {"train": (88.19, 69.63, 75.54), "val": (100.26, 83.07, 90.20), "test": (95.90, 78.73, 82.41)}

every = pytest.mark.parametrize("split", room.SIZES)


@pytest.fixture(scope="module")
def splits() -> dict[str, Split]:
    start = time.perf_counter()
    loaded = {split: load("movingdigits", split) for split in room.SIZES}
    print(f"movingdigits built in {time.perf_counter() - start:.1f} s")
    assert time.perf_counter() - start < 90  # about six seconds on an idle machine
    return loaded


def places(split: Split) -> np.ndarray:
    return split.targets["place"].values.double().numpy()


@every
def test_shapes_and_types(splits, split):
    data, n = splits[split], room.SIZES[split]
    assert data.images.shape == (n, 10, 3, 32, 32) and data.images.dtype == torch.uint8
    assert data.labels.shape == data.sources.shape == (n,) and data.labels.dtype == torch.int64
    assert (data.name, data.split, data.classes) == ("movingdigits", split, tuple("0123456789"))
    shapes = {name: tuple(t.values.shape) for name, t in data.targets.items()}
    assert shapes == {"direction": (n,), "speed": (n,), "place": (n, 10, 2), "bounces": (n, 10)}


@every
def test_it_is_version_1(splits, split):
    assert room.VERSION == 1
    assert splits[split].hash == HASH[split]
    pixels = splits[split].images
    each = [pixels[:, :, c].double() for c in range(3)]
    assert [x.mean().item() for x in each] == pytest.approx(MEAN[split], abs=0.5)
    assert [x.std().item() for x in each] == pytest.approx(SPREAD[split], abs=0.5)


def test_it_is_the_same_when_it_is_built_again_whatever_the_seed_of_the_caller(splits):
    np.random.seed(123)
    torch.manual_seed(123)
    room._thrown.cache_clear()
    again = load("movingdigits", "val")
    assert torch.equal(again.images, splits["val"].images) and again.hash == splits["val"].hash
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(123))


@every
def test_digits_directions_and_speeds_are_balanced_and_say_nothing_of_each_other(splits, split):
    data = splits[split]
    assert data.labels.bincount().min() > 0.85 * data.labels.bincount().max()
    direction, speed = (data.targets[name].values for name in ("direction", "speed"))
    assert (direction * 3 + speed).bincount(minlength=12).tolist() == [len(data) // 12] * 12
    table = torch.zeros(10, 12).index_put_((data.labels, direction * 3 + speed), torch.ones(()), accumulate=True)
    expected = table.sum(1, keepdim=True) * table.sum(0) / table.sum()
    assert ((table - expected) ** 2 / expected).sum() < 150  # χ² with 99 degrees of freedom: 99 ± 14


def test_direction_and_speed_are_those_of_the_first_four_places(splits):
    data = splits["test"]
    assert data.targets["direction"].classes == ("right", "up", "left", "down")
    assert data.targets["speed"].classes == ("slow", "medium", "fast")
    for place, d, s in zip(
        places(data)[:, :4], data.targets["direction"].values.tolist(), data.targets["speed"].values.tolist()
    ):
        x, y = place[3] - place[0]
        angle = np.degrees(np.arctan2(-y, x)) % 360  # up is 90
        assert round(angle / 90) % 4 == d
        mean = np.mean([np.hypot(*step) for step in np.diff(place, axis=0)])
        assert int(mean >= 1.3) + int(mean >= 2.3) == s
    value = data.targets["place"].values
    assert torch.equal(room.direction(value[:, :4]), data.targets["direction"].values)
    assert torch.equal(room.speed(value[:, :4]), data.targets["speed"].values)
    other = room.direction(value[:, 5:9])
    assert other.bincount(minlength=4).min() > 0 and not torch.equal(other, data.targets["direction"].values)


def test_no_handwriting_is_in_two_splits_and_they_are_those_of_photodigits(splits):
    for split, data in splits.items():
        assert set(data.sources.tolist()) <= set(load("photodigits", split).sources.tolist())
        assert torch.equal(data.labels, torch.from_numpy(photodigits.digits()[1])[data.sources])
    sources = [set(data.sources.tolist()) for data in splits.values()]
    assert not any(a & b for a, b in itertools.combinations(sources, 2))
    assert [len(s) for s in sources] == [1293, 254, 250]


def test_no_background_pixel_is_in_two_splits(monkeypatch):
    """With photographs whose red and green spell the column, and without ink: which columns does each split show?"""
    column = torch.arange(480.0)
    photo = torch.stack([column // 2, column % 2, 0 * column])[:, None].expand(3, 320, 480) / 255
    ink, target = photodigits.digits()
    monkeypatch.setattr(photodigits, "photographs", lambda: (photo, photo))
    monkeypatch.setattr(photodigits, "digits", lambda: (0 * ink, target))
    columns = {}
    for split in room.SIZES:
        images = load("movingdigits", split).images
        assert torch.equal(images, images[:, :1].expand_as(images))  # without a digit nothing moves
        columns[split] = set((2 * images[:, 0, 0].int() + images[:, 0, 1]).unique().tolist())
    assert not any(a & b for a, b in itertools.combinations(columns.values(), 2))
    assert set.union(*columns.values()) == set(range(480))


def test_the_digit_is_where_its_place_says(monkeypatch):
    """With round ink on black: the middle of what is seen is the place, and no part of it is cut off."""
    span = np.arange(8) - 3.5
    disc = (np.hypot(span, span[:, None]) < 4).astype(np.float32)
    ink, target = photodigits.digits()
    black = torch.zeros(3, 320, 480)
    monkeypatch.setattr(photodigits, "digits", lambda: (np.broadcast_to(disc, ink.shape).copy(), target))
    monkeypatch.setattr(photodigits, "photographs", lambda: (black, black))
    data = load("movingdigits", "val")
    grey = data.images.float().sum(dim=2)  # (N, T, 32, 32)
    centre = torch.arange(32) + 0.5
    total = grey.sum(dim=(2, 3))
    x, y = (grey.sum(dim=2) * centre).sum(dim=2) / total, (grey.sum(dim=3) * centre).sum(dim=2) / total
    assert (torch.stack([x, y], dim=2) - data.targets["place"].values).abs().max() < 0.2
    assert (total / total.mean(dim=1, keepdim=True) - 1).abs().max() < 0.03


@every
def test_the_paths_keep_the_laws(splits, split):
    """Between two frames without a bounce, a third point lies on the parabola; over a bounce the speed falls."""
    place, bounces = places(splits[split]), splits[split].targets["bounces"].values.numpy()
    assert place.min() >= 6.5 and place.max() <= 25.5
    bend = place[:, 2:] - 2 * place[:, 1:-1] + place[:, :-2]
    free = (bounces[:, 1:-1] == 0) & (bounces[:, 2:] == 0)
    assert np.abs(bend[free] - [0, room.GRAVITY]).max() < 1e-4 and free.mean() > 0.5
    # Energy, y down: v² / 2 − g y. Half-way between two frames v is their difference, and y their mean less g / 8.
    step = np.diff(place, axis=1)
    energy = (step**2).sum(axis=2) / 2 - room.GRAVITY * ((place[:, 1:, 1] + place[:, :-1, 1]) / 2 - room.GRAVITY / 8)
    whole = bounces[:, 1:] == 0  # steps without a bounce
    first, last = whole.argmax(axis=1), whole.shape[1] - 1 - whole[:, ::-1].argmax(axis=1)
    rows = np.arange(len(place))
    lost = energy[rows, first] - energy[rows, last]
    met = np.array([bounces[n, first[n] + 1 : last[n] + 1].sum() for n in rows])
    assert np.abs(lost[met == 0]).max(initial=0) < 1e-3
    assert lost[met > 0].min() > 0 and (met > 0).mean() > 0.95


@every
def test_both_sides_of_a_bounce_are_seen_in_every_clip(splits, split):
    bounces = splits[split].targets["bounces"].values
    assert (bounces[:, 3:8].sum(dim=1) >= 1).all() and bounces.sum(dim=1).max() <= 4 and (bounces[:, 0] == 0).all()


@every
def test_starts_and_ends_are_alike_as_many_clips_lead_one_way_as_the_other(splits, split):
    place, _ = room._thrown(split)
    assert np.allclose(place, places(splits[split]), atol=1e-5)
    (motion, begin), (back, end) = room._kind(place), room._kind(place[:, ::-1])
    there, back_again = Counter(zip(begin.tolist(), end.tolist())), Counter(zip(end.tolist(), begin.tolist()))
    assert there == back_again and len(there) > 100
    assert np.bincount(motion).tolist() == np.bincount(back).tolist() == [len(place) // 12] * 12
    # and one that is thrown at random is not so
    rng = np.random.RandomState(0)
    other, _ = moving.paths(
        6.5 + 19 * rng.random_sample((len(place), 2)),
        3 * (rng.random_sample((len(place), 2)) - 0.5),
        10,
        6.5,
        25.5,
        0.3,
        0.8,
    )
    (motion, begin), (back, end) = room._kind(other), room._kind(other[:, ::-1])
    assert Counter(begin.tolist()) != Counter(end.tolist())


def arrow_score(train: torch.Tensor, test: torch.Tensor, frames: int, model) -> float:
    """How often a model guesses which way time runs, from the true places of neighbouring frames."""
    generator = torch.Generator().manual_seed(0)

    def made(place: torch.Tensor, times: int) -> tuple[np.ndarray, np.ndarray]:
        shown, target = sequence.arrow(place[:, :, :, None, None].repeat(times, 1, 1, 1, 1), frames, generator)
        shown = shown.flatten(2)
        return torch.cat([shown[:, 0], shown.diff(dim=1).flatten(1)], dim=1).numpy(), target.numpy()

    return model.fit(*made(train, 3)).score(*made(test, 3))


@pytest.mark.slow
def test_a_pair_of_frames_hardly_tells_the_arrow_of_time_and_all_of_them_do(splits):
    from sklearn.ensemble import HistGradientBoostingClassifier as Trees
    from sklearn.linear_model import LogisticRegression

    train, test = (splits[s].targets["place"].values for s in ("train", "test"))
    scores = {
        "a pair, linear": arrow_score(train, test, 2, LogisticRegression(max_iter=1000)),
        "a pair, trees": arrow_score(train, test, 2, Trees(max_iter=100)),
        "all, trees": arrow_score(train, test, 10, Trees(max_iter=100)),
    }
    print(scores)
    assert scores["a pair, linear"] < 0.54 and scores["a pair, trees"] < 0.60 and scores["all, trees"] > 0.98


def test_labels_are_drawn_of_any_target(splits):
    train = splits["train"]
    by = train.labelled_by("direction")
    index = draw_labels(by, 10, seed=0)
    assert by.labels[index].bincount().tolist() == [10] * 4 and by.classes == room.DIRECTIONS
    assert len(by.sources[index].unique()) >= 35  # of each class ten handwritings
    part = train.subset(index)
    assert torch.equal(part.labelled_by("direction").labels, by.labels[index])
    assert torch.equal(part.targets["place"].values, train.targets["place"].values[index])
    assert part.to("cpu").targets["speed"].classes == room.SPEEDS
    with pytest.raises(ValueError, match="unknown label of movingdigits 'sped'. Did you mean 'speed'"):
        train.labelled_by("sped")
    with pytest.raises(ValueError, match="unknown label of movingdigits 'place'"):
        train.labelled_by("place")  # a measurement
    with pytest.raises(ValueError, match="photodigits/test has no labels besides its own"):
        load("photodigits", "test").labelled_by("speed")


@pytest.mark.parametrize("option", [{"seed": 1}, {"size": 64}, {"root": "x"}, {"frames": 5}, {"rate": 3}])
def test_what_has_no_effect_is_refused(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}=.* was given with 'movingdigits'"):
        load("movingdigits", "val", **option)


def test_an_unknown_split_gets_the_nearest_name():
    with pytest.raises(ValueError, match="unknown split of movingdigits 'tests'. Did you mean 'test'"):
        room.load("tests")
