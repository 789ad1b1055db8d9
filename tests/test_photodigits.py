"""photodigits: frozen as version 1, no handwriting and no background shared; and the draw of labels from any split."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit.data import Split, draw_labels, load
from sslkit.data import photodigits as room
from sslkit.data.split import fingerprint

# Version 1 of the data, as every figure of the course was measured on it. If this test fails, the data has changed:
# that is version 2, with a new VERSION in photodigits.py and every row of the scoreboard measured anew.
HASH = {"train": "v1-81990c0e4102", "val": "v1-af993cf469d7", "test": "v1-bf24c588786a"}  # of all random draws
# Mean and standard deviation of red, green and blue, 0 … 255: the hash does not see how the images are composed.
MEAN = {"train": (114.01, 111.70, 99.91), "val": (108.35, 128.98, 124.83), "test": (82.39, 108.43, 105.72)}
SPREAD = {"train": (87.48, 70.79, 76.71), "val": (97.33, 80.87, 87.51), "test": (94.78, 77.48, 81.02)}

every = pytest.mark.parametrize("split", room.SIZES)


@pytest.fixture(scope="module")
def splits() -> dict[str, Split]:
    start = time.perf_counter()
    loaded = {split: load("photodigits", split) for split in room.SIZES}
    seconds = time.perf_counter() - start
    print(f"photodigits built in {seconds:.1f} s")
    assert seconds < 60  # about a second on an idle machine
    return loaded


@every
def test_shapes_and_types(splits, split):
    data, n = splits[split], room.SIZES[split]
    assert data.images.shape == (n, 3, 32, 32) and data.images.dtype == torch.uint8
    assert data.labels.shape == (n,) and data.labels.dtype == torch.int64
    assert data.sources.shape == (n,) and data.sources.dtype == torch.int64
    assert (data.name, data.split, data.classes) == ("photodigits", split, tuple("0123456789"))


@every
def test_it_is_version_1(splits, split):
    assert room.VERSION == 1
    assert splits[split].hash == HASH[split]
    pixels = splits[split].images.float()
    assert pixels.mean(dim=(0, 2, 3)).tolist() == pytest.approx(MEAN[split], abs=0.5)
    assert pixels.std(dim=(0, 2, 3)).tolist() == pytest.approx(SPREAD[split], abs=0.5)


def test_it_is_the_same_when_it_is_built_again_whatever_the_seed_of_the_caller(splits):
    np.random.seed(123)
    torch.manual_seed(123)
    again = load("photodigits", "val")
    assert torch.equal(again.images, splits["val"].images)
    assert torch.equal(again.labels, splits["val"].labels) and torch.equal(again.sources, splits["val"].sources)
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(123))  # and draws nothing from it


@every
def test_every_class_is_as_frequent_as_the_others(splits, split):
    counts = splits[split].labels.bincount(minlength=10)
    assert counts.min() > 0.9 * counts.max()


@every
def test_every_handwriting_is_used_and_equally_often(splits, split):
    _, counts = splits[split].sources.unique(return_counts=True)
    assert counts.max() - counts.min() <= 1
    assert len(counts) == {"train": 1293, "val": 254, "test": 250}[split]


def test_no_handwriting_is_in_two_splits_and_none_is_left_out(splits):
    sources = [set(splits[split].sources.tolist()) for split in room.SIZES]
    assert not any(a & b for a, b in itertools.combinations(sources, 2))
    assert set.union(*sources) == set(range(1797))


def test_a_label_is_that_of_its_handwriting(splits):
    _, target = room.digits()
    for data in splits.values():
        assert torch.equal(data.labels, torch.from_numpy(target)[data.sources])


def test_no_background_pixel_is_in_two_splits(monkeypatch):
    """With photographs whose red and green spell the column, and without ink: which columns does each split show?"""
    column = torch.arange(480.0)
    photo = torch.stack([column // 2, column % 2, 0 * column])[:, None].expand(3, 320, 480) / 255
    ink, target = room.digits()
    monkeypatch.setattr(room, "photographs", lambda: (photo, photo))
    monkeypatch.setattr(room, "digits", lambda: (0 * ink, target))
    columns = {}
    for split in room.SIZES:
        images = load("photodigits", split).images.int()
        columns[split] = set((2 * images[:, 0] + images[:, 1]).unique().tolist())
    assert not any(a & b for a, b in itertools.combinations(columns.values(), 2))
    assert set.union(*columns.values()) == set(range(480))  # and none is wasted


@every
def test_the_digit_can_be_seen(splits, split):
    """Where there is ink, the image differs from its border; where there is none, it is the photograph."""
    assert splits[split].images.float().std(dim=(1, 2, 3)).min() > 5


def test_an_unknown_split_gets_the_nearest_name():
    with pytest.raises(ValueError, match="unknown split of photodigits 'tests'. Did you mean 'test'"):
        room.load("tests")


# ---- draw_labels -------------------------------------------------------------------------------------------------


def split_of(per_class: list[int], copies: int = 1, seed: int = 0) -> Split:
    """A split with that many sources in each class and some images of each, in random order."""
    labels = torch.cat([torch.full((n,), k) for k, n in enumerate(per_class)]).repeat(copies)
    sources = (100 + torch.arange(sum(per_class))).repeat(copies)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    images = torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8)
    return Split(images, labels[order], tuple(f"c{k}" for k in range(len(per_class))), sources[order], "toy", "train")


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 5), st.lists(st.integers(5, 9), min_size=2, max_size=4), st.integers(1, 3), st.integers(0, 99))
def test_a_draw_has_that_many_different_sources_of_each_class(per_class, sizes, copies, seed):
    split = split_of(sizes, copies)
    index = draw_labels(split, per_class, seed)
    assert index.dtype == torch.int64
    assert split.labels[index].bincount(minlength=len(sizes)).tolist() == [per_class] * len(sizes)
    assert len(split.sources[index].unique()) == per_class * len(sizes)
    assert torch.equal(index, draw_labels(split, per_class, seed))


def test_another_seed_is_another_draw_and_all_sources_get_their_turn():
    split = split_of([20, 20], copies=3)
    draws = [draw_labels(split, 2, seed) for seed in range(100)]
    assert len({tuple(d.tolist()) for d in draws}) == 100
    drawn = split.sources[torch.cat(draws)]
    assert len(drawn.unique()) == 40
    assert drawn.unique(return_counts=True)[1].max() < 30  # 10 on average
    assert len(torch.cat(draws).unique()) > 80  # of one source, now this image and now that


def test_all_sources_can_be_drawn():
    split = split_of([4, 4], copies=2)
    assert split.sources[draw_labels(split, 4, 0)].sort().values.tolist() == list(range(100, 108))


def test_a_draw_is_the_same_on_every_device(device):
    split = split_of([9, 9], copies=2)
    assert torch.equal(draw_labels(split.to(device), 3, 5).cpu(), draw_labels(split, 3, 5))


def test_images_without_a_label_are_never_drawn():
    split = split_of([5, 5])
    split.labels[::2] = -1
    index = draw_labels(split, 1, 0)
    assert (split.labels[index] >= 0).all()


def test_more_labels_than_sources_is_an_error_with_the_numbers():
    with pytest.raises(ValueError) as caught:
        draw_labels(split_of([9, 4], copies=3), 5, 0)
    assert "5 labels a class were asked for, but class 'c1' of toy/train has only 4" in str(caught.value)
    assert "Ask for at most 4" in str(caught.value)


def test_a_split_without_classes_has_no_labels_to_draw():
    split = split_of([3])
    unlabelled = Split(split.images, split.labels * 0 - 1, (), split.sources, "holiday", "train")
    with pytest.raises(ValueError, match="holiday/train has no labels: it can be pretrained on"):
        draw_labels(unlabelled, 1, 0)


@pytest.mark.parametrize("per_class", [0, -1])
def test_at_least_one_label_is_drawn(per_class):
    with pytest.raises(ValueError, match=f"per_class is {per_class}: at least 1 label a class is needed"):
        draw_labels(split_of([3, 3]), per_class, 0)


def test_ten_labels_a_class_of_the_course_are_a_hundred_handwritings(splits):
    index = draw_labels(splits["train"], 10, seed=0)
    assert len(splits["train"].sources[index].unique()) == 100


def test_a_subset_and_a_fingerprint(splits):
    data = splits["test"]
    part = data.subset(torch.tensor([5, 3]))
    assert len(part) == 2 and torch.equal(part.images[0], data.images[5]) and part.sources[1] == data.sources[3]
    assert fingerprint(data.labels) == fingerprint(data.labels.clone()) != fingerprint(data.labels.flip(0))
    assert len(fingerprint(data.labels)) == 12
