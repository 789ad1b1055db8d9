"""Right and wrong answers to the exercises on prediction in time; test_checks.py tries them."""

from __future__ import annotations

import itertools

import torch

from sslkit import checks, sequence


def all_pairs(clip, past, ahead, late=0, less=0):
    starts = range(len(clip) - past - ahead + 1 - less)
    inputs = [clip[s : s + past] for s in starts]
    return torch.stack(inputs), torch.stack([clip[min(s + past - 1 + ahead + late, len(clip) - 1)] for s in starts])


def all_pairs_by_unfolding(clip, past, ahead):
    windows = clip.unfold(0, past + ahead, 1).movedim(-1, 1)
    return windows[:, :past], windows[:, -1]


def all_pairs_of_the_package(clip, past, ahead):
    starts = range(len(clip) - past - ahead + 1)
    pairs = [sequence.future(clip[None], past, ahead, start=s) for s in starts]
    return [x[0] for x, _ in pairs], [y[0] for _, y in pairs]


def best_guess(futures, p):
    return (p.view(-1, 1, 1, 1) * futures).sum(dim=0)


def best_guess_by_descent(futures, p):
    guess = torch.zeros_like(futures[0])
    for _ in range(100):
        guess = guess - 0.2 * 2 * (p.view(-1, 1, 1, 1) * (guess - futures)).sum(dim=0)
    return guess


def wrong_orders(frames):
    right = tuple(range(frames))
    return [p for p in itertools.permutations(right) if p not in (right, right[::-1])]


RIGHT = [
    (checks.check_all_pairs, all_pairs),
    (checks.check_all_pairs, all_pairs_by_unfolding),
    (checks.check_all_pairs, all_pairs_of_the_package),
    (checks.check_best_guess, best_guess),
    (checks.check_best_guess, best_guess_by_descent),
    (checks.check_best_guess, lambda f, p: torch.tensordot(p, f, dims=1)),
    (checks.check_wrong_orders, wrong_orders),
    (checks.check_wrong_orders, lambda n: [list(p) for p in reversed(wrong_orders(n))]),
    (checks.check_wrong_orders, lambda n: torch.tensor(wrong_orders(n))),
]
WRONG = [
    (checks.check_all_pairs, lambda *a: all_pairs(*a)[0], "asked for two things"),
    (checks.check_all_pairs, lambda *a: all_pairs(*a, late=-1), "That is a leak"),
    (checks.check_all_pairs, lambda *a: all_pairs(*a, late=1), "one frame too far"),
    (checks.check_all_pairs, lambda *a: all_pairs(*a, less=1), "The last one is missing"),
    (checks.check_all_pairs, lambda *a: all_pairs(*a, less=2), "there are 5 pairs; yours are 3."),
    (checks.check_all_pairs, lambda clip, past, ahead: all_pairs(clip, past, 1), "there are 5 pairs; yours are 6"),
    (
        checks.check_all_pairs,
        lambda c, p, a: (all_pairs(c, p, a)[0], torch.stack([*c[p : len(c) - a + 1]])),
        "is the next frame; asked for: 2 ahead",
    ),
    (checks.check_all_pairs, lambda c, p, a: all_pairs(c.flip(0), p, a), "input 0 should be frames 0 to 3"),
    (
        checks.check_all_pairs,
        lambda *a: (all_pairs(*a)[0].flip(1), all_pairs(*a)[1]),
        "run backwards. The earliest comes first",
    ),
    (checks.check_all_pairs, lambda *a: (all_pairs(*a)[0].flatten(1), all_pairs(*a)[1]), "give inputs (M, 4, 2, 3, 3)"),
    (checks.check_all_pairs, lambda *a: (all_pairs(*a)[0], all_pairs(*a)[1].flip(0)), "target 0 should be frame 4"),
    (checks.check_best_guess, lambda f, p: f.mean(dim=0), "left the probabilities out"),
    (checks.check_best_guess, lambda f, p: f[p.argmax()], "likeliest future"),
    (checks.check_best_guess, lambda f, p: f.median(dim=0).values, "the median"),
    (checks.check_best_guess, lambda f, p: best_guess(f, p) / len(f), "add up to 1 already"),
    (checks.check_best_guess, lambda f, p: best_guess(f, p.sqrt()), "square roots"),
    (checks.check_best_guess, lambda f, p: f, "asked for one picture (1, 3, 3); yours is (4, 1, 3, 3)"),
    (checks.check_best_guess, lambda f, p: 0 * f[0], "your picture costs"),
    (checks.check_wrong_orders, lambda n: itertools.permutations(range(n)), "that is the right order"),
    (checks.check_wrong_orders, lambda n: [*itertools.permutations(range(n))][1:], "the clip backwards"),
    (checks.check_wrong_orders, lambda n: 2 * wrong_orders(n), "twice"),
    (checks.check_wrong_orders, lambda n: wrong_orders(n)[1:], "there are 4 wrong orders; yours are 3"),
    (checks.check_wrong_orders, lambda n: [(0, 0, 1)], "[0, 0, 1] is no order of 3 frames"),
]
