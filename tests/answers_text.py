"""Right and wrong answers to the exercises of lesson 08, for test_checks.py."""

from __future__ import annotations

import torch

from sslkit import checks, words


def windows(numbers, k):
    padded = [1] * k + numbers
    return torch.tensor([padded[t : t + k + 1] for t in range(len(numbers))])


def windows_of_the_package(numbers, k):
    vocabulary = words.Vocabulary(("<unk>", "<s>", *"cdefghijk"))  # number 2 is c, …
    return words.windows([" ".join(vocabulary.words[i] for i in numbers)], vocabulary, k)


def windows_unfolded(numbers, k):
    return torch.tensor([1] * k + numbers).unfold(0, k + 1, 1).tolist()


def leaking(numbers, k):
    rows = windows(numbers, k)
    return torch.cat([rows[:, 1:], rows[:, -1:]], dim=1)


def round_the_end(numbers, k):
    n = len(numbers)
    return torch.tensor([[numbers[(t - k + j) % n] for j in range(k + 1)] for t in range(n)])


def one_too_early(numbers, k):
    rows = windows(numbers, k)
    before = torch.cat([torch.ones(1, k, dtype=torch.long), rows[:-1, :-1]])
    return torch.cat([before, rows[:, -1:]], dim=1)


def padded_with_unknown(numbers, k):
    padded = [0] * k + numbers
    return torch.tensor([padded[t : t + k + 1] for t in range(len(numbers))])


def bigram(pairs, size, add):
    table = torch.full((size, size), add)
    for before, word in pairs.tolist():
        table[before, word] += 1
    return table / table.sum(dim=1, keepdim=True)


def bigram_at_once(pairs, size, add):
    counts = torch.bincount(pairs[:, 0] * size + pairs[:, 1], minlength=size * size).view(size, size)
    return (counts + add) / (counts.sum(dim=1, keepdim=True) + add * size)


def counted(pairs, size):
    return torch.bincount(pairs[:, 0] * size + pairs[:, 1], minlength=size * size).view(size, size).double()


def once(pairs, size, add):
    table = torch.full((size, size), add)
    table[pairs[:, 0], pairs[:, 1]] += 1
    return table / table.sum(dim=1, keepdim=True)


def perplexity(p):
    return p.log().mean().neg().exp()


def perplexity_by_bits(p):
    return 2 ** float(-p.log2().mean())


def perplexity_by_product(p):
    return float(p.prod() ** (-1 / len(p)))


RIGHT = [
    (checks.check_windows, windows),
    (checks.check_windows, windows_of_the_package),
    (checks.check_windows, windows_unfolded),
    (checks.check_bigram, bigram),
    (checks.check_bigram, bigram_at_once),
    (checks.check_perplexity, perplexity),
    (checks.check_perplexity, perplexity_by_bits),
    (checks.check_perplexity, perplexity_by_product),
]

WRONG = [
    (checks.check_windows, leaking, "stands in its own context"),
    (
        checks.check_windows,
        lambda n, k: torch.cat([windows(n, k)[:, :-1].flip(1), windows(n, k)[:, -1:]], 1),
        "reverse",
    ),
    (checks.check_windows, lambda n, k: windows(n, k).roll(1, dims=1), "stands first; it stands last"),
    (checks.check_windows, one_too_early, "the word after next"),
    (checks.check_windows, padded_with_unknown, "which is <unk>"),
    (checks.check_windows, round_the_end, "round to the end of the text"),
    (checks.check_windows, lambda n, k: windows(n, k)[:, 1:], "rows of 3: either"),
    (checks.check_windows, lambda n, k: windows(n, k - 1), "rows of 3: either"),
    (checks.check_windows, lambda n, k: windows(n, k)[k:], "the first 3 words are never predicted"),
    (checks.check_windows, lambda n, k: torch.cat([windows(n, k), windows(n, k)[:1]]), "one too many"),
    (checks.check_windows, lambda n, k: windows(n, k).T, "have changed places"),
    (checks.check_windows, lambda n, k: windows(n, k + 1), "6 words and k = 3 make (6, 4)"),
    (checks.check_windows, lambda n, k: windows(n, k).flip(0), "row 0 should be [1, 1, 1, 5]"),
    (checks.check_windows, lambda n, k: windows(n, k) if k == 3 else windows(n, k) * 0, "wrong for k = 1"),
    (checks.check_bigram, lambda *a: bigram(*a).T, "rows and columns have changed places"),
    (checks.check_bigram, lambda p, v, a: _over(counted(p, v) + a, 0), "each column sums to 1"),
    (checks.check_bigram, lambda p, v, a: _over((counted(p, v) + a).T, 0), "rows and columns have changed places"),
    (checks.check_bigram, lambda p, v, a: _over((counted(p, v) + a).T, 1), "what stood before word i"),
    (checks.check_bigram, lambda p, v, a: (counted(p, v) + a) / (counted(p, v) + a).sum(), "the whole table sums to 1"),
    (checks.check_bigram, lambda p, v, a: counted(p, v) / counted(p, v).sum(dim=1, keepdim=True), "is not a number"),
    (
        checks.check_bigram,
        lambda p, v, a: counted(p, v) / counted(p, v).sum(dim=1, keepdim=True).clamp(min=1),
        "nothing was added",
    ),
    (checks.check_bigram, lambda p, v, a: bigram(p, v, 1.0), "you added 1"),
    (checks.check_bigram, lambda p, v, a: counted(p, v) + a, "these are counts"),
    (
        checks.check_bigram,
        lambda p, v, a: (counted(p, v) + a) / counted(p, v).sum(dim=1, keepdim=True).clamp(min=1),
        "the rows do not sum to 1",
    ),
    (
        checks.check_bigram,
        lambda p, v, a: (counted(p, v) + a) / (counted(p, v).sum(dim=1, keepdim=True) + a),
        "you added once to the sum",
    ),
    (checks.check_bigram, once, "counted once"),
    (checks.check_bigram, lambda *a: bigram(*a).log(), "these are logarithms"),
    (checks.check_bigram, lambda *a: bigram(*a)[0], "asked for a table (4, 4)"),
    (checks.check_bigram, lambda *a: bigram(*a).flip(1), "should be"),
    (checks.check_perplexity, lambda p: -p.log().mean(), "that is the cross-entropy in nats"),
    (checks.check_perplexity, lambda p: -p.log2().mean(), "that is the cross-entropy in bits"),
    (checks.check_perplexity, lambda p: (-p.log2().mean()).exp(), "exp of an average in bits"),
    (checks.check_perplexity, lambda p: 2 ** (-p.log().mean()), "2 to the power of an average in nats"),
    (checks.check_perplexity, lambda p: (-p.log10().mean()).exp(), "base-10"),
    (checks.check_perplexity, lambda p: (-p.log().sum()).exp(), "not their mean"),
    (checks.check_perplexity, lambda p: p.log().mean().exp(), "the minus is missing"),
    (checks.check_perplexity, lambda p: 1 / p.mean(), "1 over the mean probability"),
    (checks.check_perplexity, lambda p: (1 / p).mean(), "the mean of 1/p"),
    (checks.check_perplexity, lambda p: 3.0, "the perplexity is 5.493; you gave 3.000"),
    (checks.check_perplexity, lambda p: float(perplexity(p)) if len(p) == 5 else 49.0, "50 words to choose from"),
]


def _over(table, dim):
    return table / table.sum(dim=dim, keepdim=True)
