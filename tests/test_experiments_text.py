"""Experiment 08: what it measures is what the lesson shows, on a toy in place of docwords."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from test_experiments import NOTEBOOKS, imported

from sslkit import methods, nets, passages, scoreboard, words
from sslkit.data import Passages

TEXTS = ("the cat sat on the mat", "a dog ran in the park", "the bird sat in a tree", "the dog sat on the cat")
VOCABULARY = words.Vocabulary.of(TEXTS)


@pytest.fixture(scope="module")
def eighth():
    return imported(NOTEBOOKS / "experiments" / "08.py")


@pytest.fixture
def toy(eighth, monkeypatch):
    labels = torch.arange(80) % 2
    texts = tuple(TEXTS[i % 2] if i % 2 else TEXTS[2] + " tree" * (i % 3) for i in range(80))
    splits = {
        name: Passages(texts, labels, ("a", "b"), torch.arange(80), "toy", name, "toy")
        for name in ("train", "val", "test")
    }
    monkeypatch.setattr(eighth, "vocabulary", lambda: VOCABULARY)
    monkeypatch.setattr(eighth, "V", len(VOCABULARY))
    monkeypatch.setattr(eighth, "load_text", lambda name, split: splits[split])
    eighth.share.cache_clear()
    yield splits
    eighth.share.cache_clear()


def test_a_mixture_is_half_of_each(eighth, toy):
    method = methods.NextWord(nets.ContextNet(len(VOCABULARY), 4, 4, 8))
    found = eighth.mixed([(method, None)], toy)["mixed"]
    windows = words.windows(toy["val"].texts, VOCABULARY, 4)
    cut = {s: words.windows(part.texts, VOCABULARY, 4) for s, part in toy.items()}
    trigram, _ = eighth.ngrams.smoothed(cut["train"], cut["val"], len(VOCABULARY), orders=(3,))["trigram"]
    both = (passages.log_prob(method, windows).exp() + trigram.log_prob(windows).exp()) / 2
    assert found["mean"] == pytest.approx(-both.log().mean().item(), abs=1e-5)


@pytest.mark.parametrize("net", ["context", "context-bag", "causal-transformer"])
def test_every_kind_of_features_has_a_row_a_passage(eighth, toy, net):
    sizes = {"context": {"k": 3}}.get(net, {"k": 8, "width": 16})
    method = eighth.recipes.build_on_words(VOCABULARY, net, **sizes)
    kinds = eighth.vectors_of(method, toy)
    assert len(kinds) == 4 + {"context": 0, "context-bag": 1, "causal-transformer": 2}[net]
    for features in kinds.values():
        assert {x.shape[0] for x in features.values()} == {80} and all(x.isfinite().all() for x in features.values())


def test_counts_tell_two_kinds_of_sentence_apart(eighth, toy, monkeypatch):
    monkeypatch.setattr(eighth, "LABELS", (5, 10))
    monkeypatch.setattr(eighth, "DRAWS", 2)
    row = eighth.counted("bag-of-words", toy)
    assert row["mean"] == row["by_labels"]["5"]["mean"] == 1.0
    assert row["by_labels"]["5"]["right"] == "2" * 80


def test_from_scratch_learns_what_is_taught_and_nothing_else(eighth, toy, monkeypatch):
    monkeypatch.setattr(eighth, "LABELS", (10,))
    monkeypatch.setattr(eighth, "DRAWS", 2)
    row = eighth.supervised("supervised", toy)["by_labels"]["10"]
    assert row["mean"] == 1.0 and row["runs"] == 2 and row["right"] == "2" * 80
    swapped = {s: replace(part, labels=1 - part.labels) if s == "test" else part for s, part in toy.items()}
    assert eighth.supervised("supervised", swapped)["by_labels"]["10"]["mean"] == 0.0


def results() -> dict:
    return json.loads((NOTEBOOKS / "experiments" / "08.json").read_text())


def test_what_was_measured_holds_every_row_and_fits_the_scoreboard(eighth):
    assert eighth.ROWS.keys() <= results().keys()
    rows = eighth.rows(results())
    scoreboard.check({"rows": rows, "made_with": {}})
    assert {row["method"] for row in rows} == {"next-word", "random", "bag-of-words", "tf-idf", "supervised", "chance"}
    assert len({scoreboard._key(row) for row in rows}) == len(rows)
    shown = scoreboard.find(scoreboard.load(), data="docwords", method="next-word", labels_per_class=10)
    assert [row["mean"] for row in shown] == [results()["context-bag"]["by_labels"]["10"]["mean"]]


def test_k_words_of_the_experiment_start_where_the_lesson_says(eighth):
    assert [f"k-{k}" for k in eighth.CONTEXTS] == [name for name in results() if name.startswith("k-")]
    for k in eighth.CONTEXTS:
        row = results()[f"k-{k}"]
        assert 1 < row["mean"] < math.log(6000) and len(row["val"]) == 3
