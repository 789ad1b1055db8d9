"""n-grams: the formula, as a slow loop with dictionaries; probabilities; more context and more text help."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit import ngrams
from sslkit.ngrams import AddLambda, Interpolated

V, K = 6, 3


def some_windows(n: int = 200, seed: int = 0) -> torch.Tensor:
    """The next word is mostly the sum of the last two: there is something to learn from one word, more from two."""
    g = torch.Generator().manual_seed(seed)
    row = [0, 1]
    noise = torch.randint(0, V, (n + K,), generator=g).tolist()
    for i in range(n + K):
        row.append((row[-1] + row[-2] + (noise[i] if noise[i] > 3 else 0)) % V)
    return torch.tensor(row).unfold(0, K + 1, 1)[:n].contiguous()


def slow_add(windows, order, add, history, word):
    rows = [tuple(w[-order:]) for w in windows.tolist()]
    history = tuple(history[len(history) - order + 1 :])
    both, alone = Counter(rows), Counter(row[:-1] for row in rows)
    return (both[(*history, word)] + add) / (alone[history] + add * V)


def slow_interpolated(windows, order, discount, history, word):
    if order == 1:
        return slow_add(windows, 1, 1.0, history, word)
    rows = [tuple(w[-order:]) for w in windows.tolist()]
    history = tuple(history[len(history) - order + 1 :])
    followers = Counter(row[-1] for row in rows if row[:-1] == history)
    shorter = slow_interpolated(windows, order - 1, discount, history, word)
    if not followers:
        return shorter
    total = sum(followers.values())
    return max(followers[word] - discount, 0) / total + discount * len(followers) / total * shorter


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_are_those_of_the_formula(order, device):
    windows, other = some_windows(60), some_windows(60, seed=1)
    unseen = torch.tensor([[5, 5, 5, w] for w in range(V)])
    asked = torch.cat([other, unseen])
    for model, slow, value in (
        (AddLambda(windows.to(device), V, order, 0.3), slow_add, 0.3),
        (Interpolated(windows.to(device), V, order, 0.6), slow_interpolated, 0.6),
    ):
        expected = [math.log(slow(windows, order, value, tuple(row[:-1]), row[-1])) for row in asked.tolist()]
        assert model.log_prob(asked.to(device)).tolist() == pytest.approx(expected, abs=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.floats(0.01, 1), st.integers(0, 99), st.integers(1, 80))
def test_probabilities_of_all_words_sum_to_one(order, value, seed, n):
    windows = some_windows(n, seed)
    contexts = torch.randint(0, V, (20, K), generator=torch.Generator().manual_seed(seed))  # many were never seen
    for model in (AddLambda(windows, V, order, value), Interpolated(windows, V, order, value)):
        log_p = model(contexts)
        assert log_p.shape == (20, V)
        assert log_p.exp().sum(dim=1).tolist() == pytest.approx([1.0] * 20, abs=1e-5)
        rows = torch.cat([contexts, torch.full((20, 1), 2)], dim=1)
        assert torch.equal(log_p[:, 2], model.log_prob(rows))


def test_the_right_context_is_worth_its_nats():
    train, val = some_windows(4000), some_windows(1000, seed=1)
    one, two, three = (ngrams.cross_entropy(Interpolated(train, V, n), val) for n in (1, 2, 3))
    assert one == pytest.approx(math.log(V), abs=0.1)
    assert three < two - 0.2 and two < one + 0.05


def test_cross_entropy_is_the_mean_surprise_and_perplexity_its_exponential():
    train, val = some_windows(100), some_windows(50, seed=1)
    model = AddLambda(train, V, 2, 0.5)
    by_hand = [-math.log(slow_add(train, 2, 0.5, tuple(row[:-1]), row[-1])) for row in val.tolist()]
    assert ngrams.cross_entropy(model, val) == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-5)
    assert ngrams.perplexity(math.log(V)) == pytest.approx(V)


def test_nothing_known_is_worth_ln_v():
    nothing = torch.empty((0, K + 1), dtype=torch.int64)
    for model in (AddLambda(nothing, V, 2), Interpolated(nothing, V, 3)):
        assert ngrams.cross_entropy(model, some_windows(20)) == pytest.approx(math.log(V), abs=1e-6)


def test_the_best_is_chosen_on_validation():
    train, val = some_windows(300), some_windows(300, seed=1)
    models = [AddLambda(train, V, 4, 1e-6), Interpolated(train, V, 3, 0.7), AddLambda(train, V, 1)]
    model, nats = ngrams.best(iter(models), val)
    assert model is models[1] and nats == min(ngrams.cross_entropy(m, val) for m in models)
    with pytest.raises(ValueError, match="no model"):
        ngrams.best([], val)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda w: AddLambda(w, V, 2, 0.0), "add is 0"),
        (lambda w: Interpolated(w, V, 2, 0.0), "discount is 0"),
        (lambda w: Interpolated(w, V, 2, 1.5), "discount is 1.5"),
        (lambda w: AddLambda(w, V, K + 2), "from 1 to k \\+ 1"),
        (lambda w: AddLambda(w, V, 0), "from 1 to k \\+ 1"),
        (lambda w: AddLambda(w, 2**40, 2), "too many"),
        (lambda w: AddLambda(w, 3, 2), "numbers up to 5"),
        (lambda w: ngrams.cross_entropy(AddLambda(w, V), w[:0]), "no windows"),
    ],
)
def test_what_cannot_be_counted_is_said(make, why):
    with pytest.raises(ValueError, match=why):
        make(some_windows(50))


def test_the_smoothing_of_each_order_is_the_best_of_those_tried():
    train, val = some_windows(1000), some_windows(300, seed=1)
    found = ngrams.smoothed(train, val, V, orders=(1, 2, 3, 4))
    assert list(found) == ["unigram", "bigram", "trigram", "4-gram"]
    for order, (model, nats) in enumerate(found.values(), start=1):
        assert nats == ngrams.cross_entropy(model, val)
        others = [AddLambda(train, V, order, 0.1), Interpolated(train, V, order, 0.8)]
        assert nats <= min(ngrams.cross_entropy(other, val) for other in others)
        assert (model.order if isinstance(model, AddLambda) else len(model.counts) + 1) == order
