"""Features of passages: slow loops, scikit-learn's TF-IDF; few labels on features that know, or that do not."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sslkit import device as devices
from sslkit import methods, nets, passages, words
from sslkit.data import Passages
from sslkit.evaluate import Probe

TEXTS = ("The cat sat on the mat, the cat!", "a dog sat", "zebra the zebra", "on and on and on and on", "cat")
VOCABULARY = words.Vocabulary.of(["the the the cat cat sat on a dog mat , ! and"], 12)  # no zebra


def test_a_bag_counts_the_words_of_the_vocabulary():
    bag = passages.bag_of_words(TEXTS, VOCABULARY)
    assert bag.shape == (5, 12)
    for row, text in zip(bag, TEXTS):
        counts = Counter(t for t in words.tokenise(text) if t in VOCABULARY.numbers)
        assert {VOCABULARY.words[i]: int(row[i]) for i in row.nonzero()} == counts
    assert bag[2].tolist() == [0, 0, 1] + [0] * 9  # <unk> counts for nothing


@pytest.mark.parametrize("sublinear", [True, False])
def test_tf_idf_is_scikit_learn_s(sublinear):
    known, new = TEXTS[:4], TEXTS[2:]
    theirs = TfidfVectorizer(
        tokenizer=words.tokenise,
        token_pattern=None,
        vocabulary=VOCABULARY.words[2:],
        sublinear_tf=sublinear,
        norm=None,
    ).fit(known)
    bags = [passages.bag_of_words(texts, VOCABULARY) for texts in (new, known)]
    ours = passages.tf_idf(*bags, sublinear)
    assert ours[:, :2].abs().max() == 0
    np.testing.assert_allclose(ours[:, 2:].numpy(), theirs.transform(new).toarray(), rtol=1e-5)


def test_an_average_is_that_of_a_slow_loop():
    vectors = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
    share = torch.rand(12, generator=torch.Generator().manual_seed(1))
    share /= share.sum()
    found = passages.average(TEXTS, VOCABULARY, vectors, share, a=0.05)
    for z, text in zip(found, TEXTS):
        total, weights = torch.zeros(5), 0.0
        for token in words.tokenise(text):
            if token in VOCABULARY.numbers:
                i = VOCABULARY.numbers[token]
                w = 0.05 / (0.05 + share[i].item())
                total, weights = total + w * vectors[i], weights + w
        torch.testing.assert_close(z, total / weights)
    plain = passages.average(TEXTS[1:2], VOCABULARY, vectors, share, a=1e9)[0]
    torch.testing.assert_close(plain, vectors[VOCABULARY.encode("a dog sat")].mean(dim=0))
    assert passages.average(["zebra"], VOCABULARY, vectors, share).abs().max() == 0


def features(seed: int = 0, d: int = 6) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=g) * torch.tensor([9.0, 3, 1, 1, 1, 1])[:d, None]
    return {name: torch.randn(40, d, generator=g) @ mix + 5 for name in ("train", "val", "test")}


def test_what_all_have_in_common_is_taken_away_by_what_train_says():
    x = features()
    mean, (_, _, v) = x["train"].mean(dim=0), np.linalg.svd((x["train"] - x["train"].mean(dim=0)).numpy())
    found = passages.without_common(x, 2)
    for split in x:
        centred = (x[split] - mean).numpy()
        expected = centred - centred @ v[:2].T @ v[:2]
        np.testing.assert_allclose(found[split].numpy(), expected, atol=1e-4)
    assert np.linalg.matrix_rank(found["test"].numpy(), tol=1e-3) == 4


def test_parts_that_are_joined_count_alike():
    a, b = features(), {name: 1000 * x for name, x in features(1, 3).items()}
    both = passages.joined(a, b)
    assert both["test"].shape == (40, 9)
    for part in (both["test"][:, :6], both["test"][:, 6:]):
        torch.testing.assert_close(part.norm(dim=1), torch.ones(40))
    angle = torch.nn.functional.cosine_similarity(both["val"][:, 6:], b["val"] - b["train"].mean(dim=0))
    torch.testing.assert_close(angle, torch.ones(40))


@pytest.mark.parametrize("how", passages.SCALINGS)
def test_scaling_looks_at_train_alone(how):
    x = features()
    found = passages.scaled(x, how)
    moved = passages.scaled(x | {"test": x["test"] + 3}, how)
    assert torch.equal(found["train"], moved["train"]) and torch.equal(found["val"], moved["val"])
    assert not torch.allclose(found["test"], moved["test"])
    torch.testing.assert_close(found["test"].norm(dim=1), torch.full((40,), 4.0))
    expected = {
        "length": x["val"],
        "centred": x["val"] - x["train"].mean(dim=0),
        "standardised": (x["val"] - x["train"].mean(dim=0)) / x["train"].std(dim=0, correction=0),
    }[how]
    torch.testing.assert_close(found["val"], 4 * torch.nn.functional.normalize(expected, dim=1))


def test_an_unstandardised_probe_is_scikit_learn_s():
    x = features()["train"]
    y = (x[:, 0] > x[:, 0].median()).long() + (x[:, 1] > x[:, 1].median()).long()
    probe = Probe(x, y, 3, shrinkage=0.05, steps=1000, standardise=False)
    theirs = LogisticRegression(C=1 / (2 * 0.05 * len(x)), max_iter=20_000, tol=1e-10).fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(probe(x).softmax(dim=1).numpy(), theirs.predict_proba(x.numpy()), atol=2e-3)


# ---- a network on passages ---------------------------------------------------------------------------------------


def small(kind: str):
    with devices.seeded(0):
        if kind == "context":
            return methods.NextWord(nets.ContextNet(12, 3, 8, 16))
        return methods.NextWords(nets.CausalTransformer(12, 6, 16, 2, 2))


@pytest.mark.parametrize("kind", ["context", "causal"])
def test_surprise_is_the_mean_over_all_words(kind):
    method = small(kind)
    total, n = 0.0, 0
    for text in TEXTS:
        numbers = VOCABULARY.encode(text)
        for i, number in enumerate(numbers):
            start = 0 if kind == "context" else i // 6 * 6  # a row of the transformer begins anew after k words
            context = [words.START] * 3 + numbers[start:i]
            context = context[-3:] if kind == "context" else [words.START, *numbers[start:i]]
            with torch.no_grad():
                total -= method.log_probabilities(torch.tensor([context]))[0, number].item()
            n += 1
    for size in (1, 7, 2048):
        assert passages.surprise(method, TEXTS, VOCABULARY, size) == pytest.approx(total / n, abs=1e-4)
    assert total / n == pytest.approx(math.log(12), rel=0.2)
    with pytest.raises(ValueError, match="no word"):
        passages.surprise(method, [""], VOCABULARY)


def test_log_probabilities_are_those_of_each_window():
    method = small("context")
    windows = words.windows(TEXTS, VOCABULARY, 3)
    with torch.no_grad():
        slow = [method.log_probabilities(row[None, :-1])[0, row[-1]].item() for row in windows]
    for size in (1, 7, 2048):
        assert passages.log_prob(method, windows, size).tolist() == pytest.approx(slow, abs=1e-5)
    assert -sum(slow) / len(slow) == pytest.approx(passages.surprise(method, TEXTS, VOCABULARY), abs=1e-5)


def test_states_are_means_over_the_places_of_a_text_in_pieces_or_whole():
    encoder = small("causal").encoder
    found = passages.states(encoder, TEXTS, VOCABULARY, batch_size=2)
    assert [f.shape for f in found] == [(5, 16)] * 3
    for i, text in enumerate(TEXTS):
        numbers = VOCABULARY.encode(text)
        for block in range(3):
            at = []
            for j in range(0, len(numbers), 6):
                row = torch.tensor([numbers[j : j + 6]])
                at.append(encoder.features(row)[block][0])
            torch.testing.assert_close(found[block][i], torch.cat(at).mean(dim=0), atol=1e-5, rtol=1e-4)


# ---- few labels --------------------------------------------------------------------------------------------------


def labelled(classes: int = 3, per_class: int = 20) -> dict[str, Passages]:
    labels = torch.arange(classes * per_class) % classes
    names = tuple("abc"[:classes])
    return {
        split: Passages(("x",) * len(labels), labels, names, torch.arange(len(labels)), "toy", split)
        for split in ("train", "val", "test")
    }


def of_labels(splits, noise: float, seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        name: torch.nn.functional.one_hot(part.labels, 8).float() + noise * torch.randn(len(part), 8, generator=g)
        for name, part in splits.items()
    }


def test_features_that_know_the_class_are_found_and_others_are_at_chance():
    splits = labelled()
    candidates = {"noise": of_labels(splits, 100.0), "good": of_labels(splits, 0.1), "bad": of_labels(splits, 2.0)}
    score = passages.few_labels(candidates, splits, [5], draws=4)[5]
    assert score.mean > 0.98 and score.correct.shape == (4, 60) and score.block == 1
    chance = passages.few_labels({"noise": candidates["noise"]}, splits, [5], draws=4)[5]
    assert 0.15 < chance.mean < 0.52


def test_test_is_read_for_no_choice():
    splits = labelled()
    good, other = of_labels(splits, 0.6), of_labels(splits, 0.6, seed=1)
    liar = {**of_labels(splits, 100.0), "test": of_labels(splits, 0.01)["test"]}  # good on test alone
    score = passages.few_labels({"good": good, "liar": liar}, splits, [5], draws=3)[5]
    assert score.block == 0
    swapped = passages.few_labels({"good": good | {"test": other["test"]}}, splits, [5], draws=3)[5]
    assert (swapped.block, swapped.shrinkage) == (score.block, score.shrinkage)


def test_passages_of_one_class_only_are_refused():
    splits = labelled(classes=1)
    with pytest.raises(ValueError, match="no classes to tell apart"):
        passages.few_labels({"x": of_labels(splits, 1.0)}, splits)
