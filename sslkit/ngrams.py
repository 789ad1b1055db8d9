"""The next word by counting alone: how often did it follow these words? What a network has to be better than.

A model of this room is called with contexts int64 (N, k) and gives log-probabilities (N, V), in nats; it looks at the
last words of a context, as many as it counts. `log_prob` asks for the one word that came, which is far cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


class AddLambda:
    """Every word gets λ counts more than it has (Laplace for λ = 1, Lidstone otherwise).

        p(w | h) = (c(h, w) + λ) / (c(h) + λ V)

    Symbols: h -> the order − 1 words before w, none of them for order 1 (the unigram); c -> how often they were seen;
    λ -> add; V -> size, the words of the vocabulary.
    Ref:     Chen, Goodman 1999, "An empirical study of smoothing techniques for language modeling", Sec. 2.2.
    """

    def __init__(self, windows: Tensor, size: int, order: int = 2, add: float = 1.0):
        """`windows` int64 (N, k + 1) as of `words.windows`, with k ≥ order − 1."""
        if not add > 0:
            raise ValueError(f"add is {add}; expected a positive number, or a word never seen would be impossible.")
        self.size, self.order, self.add = size, order, add
        self.counts = _Counts(windows, size, order)

    def log_prob(self, windows: Tensor) -> Tensor:
        """The log-probability of the last word of each window, in nats: (N, k + 1) -> (N,)."""
        count, total, _ = self.counts.of(windows)
        return ((count + self.add) / (total + self.add * self.size)).log().float()

    def __call__(self, contexts: Tensor) -> Tensor:
        return _all_words(self, contexts)

    def __repr__(self) -> str:
        return f"AddLambda(order={self.order}, add={self.add:g})"


class Interpolated:
    """What is taken from the words that were seen goes to all, by their probability after one word less.

        p_n(w | h) = max(c(h, w) − D, 0) / c(h) + D · T(h) / c(h) · p_{n−1}(w | h′)
        p_1(w)     = (c(w) + 1) / (c() + V)

    Symbols: h -> the n − 1 words before w; h′ -> h without its first word; c -> how often they were seen; T(h) -> how
    many different words followed h; D -> discount. After an h that was never seen, p_n is p_{n−1}.
    Ref:     Ney, Essen, Kneser 1994, "On structuring probabilistic dependences in stochastic language modelling";
             Chen, Goodman 1999, Sec. 2.6 (absolute discounting).
    """

    def __init__(self, windows: Tensor, size: int, order: int = 2, discount: float = 0.75):
        """`windows` int64 (N, k + 1) as of `words.windows`, with k ≥ order − 1."""
        if not 0 < discount <= 1:
            raise ValueError(f"discount is {discount}; expected a part of one count: 0 < discount <= 1.")
        self.size, self.order, self.discount = size, order, discount
        self.unigram = AddLambda(windows, size, order=1, add=1.0)
        self.counts = [_Counts(windows, size, n) for n in range(2, order + 1)]

    def log_prob(self, windows: Tensor) -> Tensor:
        """The log-probability of the last word of each window, in nats: (N, k + 1) -> (N,)."""
        p = self.unigram.log_prob(windows).double().exp()
        for counts in self.counts:
            count, total, types = counts.of(windows)
            rest = self.discount * types * p
            p = torch.where(total > 0, ((count - self.discount).clamp(min=0) + rest) / total.clamp(min=1), p)
        return p.log().float()

    def __call__(self, contexts: Tensor) -> Tensor:
        return _all_words(self, contexts)

    def __repr__(self) -> str:
        return f"Interpolated(order={self.order}, discount={self.discount:g})"


Ngram = AddLambda | Interpolated


def cross_entropy(model: Ngram, windows: Tensor) -> float:
    """How surprised the model is by each word that came, on average, in nats: −mean_i log p(w_i | h_i)."""
    if not len(windows):
        raise ValueError("there are no windows to measure on. Expected int64 (N, k + 1) with N of 1 or more.")
    return -model.log_prob(windows).double().mean().item()


def perplexity(nats: float) -> float:
    """exp of a cross-entropy: among how many equally likely words the model seems to choose. V for no knowledge."""
    return math.exp(nats)


def best(models: Iterable[Ngram], validation: Tensor) -> tuple[Ngram, float]:
    """The model with the lowest cross-entropy on the validation windows, and that cross-entropy in nats."""
    measured = [(cross_entropy(model, validation), model) for model in models]
    if not measured:
        raise ValueError("there is no model to choose from.")
    nats, model = min(measured, key=lambda pair: pair[0])
    return model, nats


def smoothed(
    train: Tensor, validation: Tensor, size: int, orders: Sequence[int] = (1, 2)
) -> dict[str, tuple[Ngram, float]]:
    """The best model of each order, its smoothing chosen on validation: {"unigram": (model, nats), "bigram": …}.

    `train` and `validation` are windows (N, k + 1), with k ≥ the largest order − 1.
    """
    found = {}
    for order in orders:
        models: list[Ngram] = [AddLambda(train, size, order, add) for add in (1.0, 0.1, 0.01, 0.001)]
        if order > 1:
            models += [Interpolated(train, size, order, discount) for discount in (0.7, 0.8, 0.9)]
        found[_ORDERS.get(order, f"{order}-gram")] = best(models, validation)
    return found


_ORDERS = {1: "unigram", 2: "bigram", 3: "trigram"}


class _Counts:
    """How often n words were seen in a row, for the rows that were seen: sorted codes and their counts.

    A row of n numbers below V is one number below V^n. A table of all pairs would take V² places, most of them empty.
    """

    def __init__(self, windows: Tensor, size: int, n: int):
        if n < 1 or windows.ndim != 2 or windows.shape[1] < n:
            raise ValueError(
                f"order is {n} and the windows are {tuple(windows.shape)}; expected an order from 1 to k + 1 and "
                "windows (N, k + 1). Make windows with a larger k, or count fewer words."
            )
        if size**n >= 2**63:
            raise ValueError(f"{n} words out of {size:,} are too many to be counted. Use a lower order.")
        if len(windows) and not 0 <= int(windows.min()) <= int(windows.max()) < size:
            raise ValueError(
                f"the windows hold numbers up to {int(windows.max())}; expected 0 to size − 1 = {size - 1}."
            )
        self.size, self.n = size, n
        self.codes, self.counts = self._code(windows).unique(return_counts=True)
        self.before, which, self.types = (self.codes // size).unique(return_inverse=True, return_counts=True)
        self.totals = torch.zeros_like(self.before).index_add(0, which, self.counts)

    def of(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """c(h, w), c(h) and T(h) for each window, float64 (N,)."""
        code = self._code(windows)
        history = code // self.size
        return (
            _look_up(self.codes, self.counts, code),
            _look_up(self.before, self.totals, history),
            _look_up(self.before, self.types, history),
        )

    def _code(self, windows: Tensor) -> Tensor:
        code = torch.zeros_like(windows[:, 0])
        for i in range(windows.shape[1] - self.n, windows.shape[1]):
            code = code * self.size + windows[:, i]
        return code


def _look_up(keys: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """values[i] where keys[i] == wanted, else 0; the keys are sorted."""
    if not len(keys):
        return torch.zeros(wanted.shape, dtype=torch.float64, device=wanted.device)
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[place] == wanted, values[place], 0).double()


def _all_words(model: Ngram, contexts: Tensor) -> Tensor:
    """Log-probabilities (N, V) of every word after each context (N, k)."""
    n, v = len(contexts), model.size
    words = torch.arange(v, device=contexts.device)
    rows = torch.cat([contexts.repeat_interleave(v, dim=0), words.repeat(n)[:, None]], dim=1)  # (N · V, k + 1)
    return model.log_prob(rows).view(n, v)
