"""Checks of lesson 08: the next word."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sslkit.checks.answer import Wrong, check, number, tensor


@check
def check_windows(answer: Callable[[list[int], int], Tensor]) -> None:
    numbers, k = [5, 3, 8, 3, 9, 7], 3
    got, right = _windows(answer, numbers, k), _rows(numbers, k)
    padded = [1] * k + numbers
    pairs = [padded[i + 1 : i + k + 1] for i in range(len(numbers))]  # the context reaches up to the word itself
    reasons = {
        "the word to predict stands in its own context: an input may hold the k words before it, and not the word "
        "itself. Whoever copies gets a perfect loss.": [[*context, context[-1]] for context in pairs],
        "the context is in reverse: its last word is the one just before the word to predict.": [
            [*row[:-1][::-1], row[-1]] for row in right
        ],
        "the word to predict stands first; it stands last, after its k words.": [[row[-1], *row[:-1]] for row in right],
        "yours predicts the word after next: the context ends just before the word to predict.": [
            [*(padded[i - 1 : i + k - 1] if i else [1] * k), padded[i + k]] for i in range(len(numbers))
        ],
        "what stands before the first word is 1, <s>; yours has 0, which is <unk>.": [
            [0 if i + j < k else n for j, n in enumerate(row)] for i, row in enumerate(right)
        ],
        "the context goes round to the end of the text. Before the first word stands <s>, the number 1.": [
            [numbers[(i - k + j) % len(numbers)] for j in range(k + 1)] for i in range(len(numbers))
        ],
    }
    for reason, wrong in reasons.items():
        if got == wrong:
            raise Wrong(reason)
    for i, (mine, theirs) in enumerate(zip(right, got)):
        if mine != theirs:
            raise Wrong(f"numbers {numbers}, k = 3: row {i} should be {mine}; yours is {theirs}.")
    for other in (1, 8):
        if _windows(answer, numbers, other) != _rows(numbers, other):
            raise Wrong(f"right for k = 3, wrong for k = {other}: is a number written in the place of an argument?")


def _rows(numbers: list[int], k: int) -> list[list[int]]:
    padded = [1] * k + numbers
    return [padded[i : i + k + 1] for i in range(len(numbers))]


def _windows(answer: Callable[[list[int], int], Tensor], numbers: list[int], k: int) -> list[list[int]]:
    got = tensor(answer, list(numbers), k)
    n = len(numbers)
    if got.shape == (n, k):
        raise Wrong(f"rows of {k}: either the context is one word short, or the word to predict is missing. k + 1.")
    if got.shape == (n - k, k + 1):
        raise Wrong(f"{n - k} rows: the first {k} words are never predicted. Put <s>, the number 1, {k} times before.")
    if got.shape == (n + 1, k + 1):
        raise Wrong(f"{n + 1} rows for {n} words: one too many. Every word is predicted once, and <s> never.")
    if got.shape == (k + 1, n):
        raise Wrong(f"yours is {(k + 1, n)}: rows and columns have changed places. One row for each word.")
    if got.shape != (n, k + 1):
        raise Wrong(f"{n} words and k = {k} make {(n, k + 1)}; yours is {tuple(got.shape)}.")
    if got.is_floating_point():
        raise Wrong(f"yours is {got.dtype}; expected the numbers of words, int64.")
    return [[int(i) for i in row] for row in got]


@check
def check_bigram(answer: Callable[[Tensor, int, float], Tensor]) -> None:
    pairs = torch.tensor([[0, 1], [0, 1], [0, 2], [1, 2], [2, 0], [1, 2], [0, 1], [2, 2]])
    size, add = 4, 0.5  # word 3 is never seen
    counts = torch.zeros(size, size, dtype=torch.float64)
    for before, word in pairs.tolist():
        counts[before, word] += 1
    more = counts + add
    right = more / more.sum(dim=1, keepdim=True)
    got = tensor(answer, pairs, size, add)
    if got.shape != (size, size):
        raise Wrong(f"asked for a table {(size, size)}, one row a word before; yours is {tuple(got.shape)}.")
    got = got.detach().double()
    if not got.isfinite().all():
        raise Wrong(
            "a row of your table is not a number: word 3 was never seen, and 0 / 0 is no probability. Add to the "
            "counts first, then divide."
        )
    plain = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    reasons = {
        "rows and columns have changed places: row i holds what follows word i.": right.T,
        "each column sums to 1, but each row should: after a word, some word has to come (dim=1, keepdim=True).": (
            more / more.sum(dim=0, keepdim=True)
        ),
        "your row i holds what stood before word i; asked for: what follows it. So table[before, word].": (
            more.T / more.T.sum(dim=1, keepdim=True)
        ),
        "the whole table sums to 1: these are probabilities of pairs. Divide each row by its own sum.": more
        / more.sum(),
        "nothing was added: a pair that was never seen has probability 0, and its loss would be infinite.": plain,
        "you added 1; the argument says how much.": (counts + 1) / (counts + 1).sum(dim=1, keepdim=True),
        "these are counts; divide each row by its sum.": more,
        "the rows do not sum to 1: what is added to V counts has to be added V times to their sum.": (
            more / counts.sum(dim=1, keepdim=True).clamp(min=1)
        ),
        "you added once to the sum; V words got more, so the sum grows by V times as much.": (
            more / (counts.sum(dim=1, keepdim=True) + add)
        ),
        "repeated pairs were counted once. With table[a, b] += 1 on whole tensors an index counts only once.": (
            (counts.clamp(max=1) + add) / (counts.clamp(max=1) + add).sum(dim=1, keepdim=True)
        ),
    }
    if torch.allclose(got, right, atol=1e-5):
        return
    for reason, wrong in reasons.items():
        if torch.allclose(got, wrong, atol=1e-5):
            raise Wrong(reason)
    if torch.allclose(got.exp(), right, atol=1e-5):
        raise Wrong("these are logarithms; asked for: probabilities.")
    i, j = divmod(int((got - right).abs().argmax()), size)
    raise Wrong(f"p({j} | {i}) should be {right[i, j]:.4f}; yours is {got[i, j]:.4f}.")


@check
def check_perplexity(answer: Callable[[Tensor], float]) -> None:
    p = torch.tensor([0.5, 0.1, 0.25, 0.02, 0.8], dtype=torch.float64)
    got, right = number(answer, p), float((-p.log().mean()).exp())
    reasons = {
        "that is the cross-entropy in nats; the perplexity is its exponential.": float(-p.log().mean()),
        "that is the cross-entropy in bits. exp belongs to the natural logarithm, 2 ** … to that of base 2.": (
            float(-p.log2().mean())
        ),
        "base 2 and e are mixed: exp of an average in bits. Use log with exp, or log2 with 2 ** ….": (
            float((-p.log2().mean()).exp())
        ),
        "base 2 and e are mixed: 2 to the power of an average in nats.": float(2 ** (-p.log().mean())),
        "exp of base-10 logarithms: use the natural logarithm.": float((-p.log10().mean()).exp()),
        "the sum of the logarithms, not their mean: a longer text would be more perplexing.": (
            float((-p.log().sum()).exp())
        ),
        "the minus is missing: a perplexity is 1 or more.": float(p.log().mean().exp()),
        "that is 1 over the mean probability. Take logarithms first, then the mean: one word at which the model "
        "was sure and wrong has to hurt.": float(1 / p.mean()),
        "that is the mean of 1/p: the mean is taken of the logarithms.": float((1 / p).mean()),
    }
    if not abs(got - right) <= 1e-4:
        for reason, wrong in reasons.items():
            if abs(got - wrong) < 1e-4:
                raise Wrong(reason)
        raise Wrong(f"for the probabilities {p.tolist()} the perplexity is {right:.3f}; you gave {got:.3f}.")
    knows_nothing = number(answer, torch.full((7,), 1 / 50, dtype=torch.float64))
    if not math.isclose(knows_nothing, 50, rel_tol=1e-4):
        raise Wrong(f"1/50 for every word means 50 words to choose from; you gave {knows_nothing:.2f}.")
