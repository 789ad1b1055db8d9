"""Right and wrong answers to the exercises of lesson 12, for test_checks.py."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from sslkit import checks


def twins(known, other, limit):
    return torch.cdist(other, known).min(dim=1).values <= limit


def twins_loop(known, other, limit):
    return torch.tensor([any((row - old).norm() <= limit for old in known) for row in other])


def search(z, queries, k):
    z = F.normalize(z, dim=1)
    similarity = z[queries] @ z.T
    similarity[torch.arange(len(queries)), queries] = -2
    return similarity.topk(k, dim=1).indices


def search_loop(z, queries, k):
    found = []
    for q in queries.tolist():
        cosine = [-2.0 if j == q else float(F.cosine_similarity(z[q], z[j], dim=0)) for j in range(len(z))]
        found.append(sorted(range(len(z)), key=lambda j: -cosine[j])[:k])
    return found


def search_by_distance(z, queries, k):
    z = F.normalize(z, dim=1)
    distance = torch.cdist(z[queries], z)
    return distance.scatter(1, queries[:, None], math.inf).argsort(dim=1)[:, :k]


def search_first_dropped(z, queries, k):
    z = F.normalize(z, dim=1)
    return (z[queries] @ z.T).topk(k + 1, dim=1).indices[:, 1:]


def search_with_itself(z, queries, k):
    z = F.normalize(z, dim=1)
    return (z[queries] @ z.T).topk(k, dim=1).indices


def search_not_scaled(z, queries, k, sign=1):
    return (sign * z[queries] @ z.T).scatter(1, queries[:, None], -math.inf).topk(k, dim=1).indices


def search_euclidean(z, queries, k):
    return torch.cdist(z[queries], z).scatter(1, queries[:, None], math.inf).argsort(dim=1)[:, :k]


def gain(before, after, t):
    d = after - before
    half = t * d.std() / len(d) ** 0.5
    return d.mean() - half, d.mean() + half


def gain_by_hand(before, after, t):
    d = [b - a for a, b in zip(before.tolist(), after.tolist())]
    mean = sum(d) / len(d)
    spread = math.sqrt(sum((x - mean) ** 2 for x in d) / (len(d) - 1))
    return [mean + sign * t * spread / math.sqrt(len(d)) for sign in (-1, 1)]


def gain_as_tensor(before, after, t):
    d = after - before
    return d.mean() + torch.tensor([-t, t]) * (d.var() / len(d)).sqrt()


def gain_unpaired(before, after, t):
    half = t * ((before.var() + after.var()) / len(before)).sqrt()
    return after.mean() - before.mean() - half, after.mean() - before.mean() + half


def gain_without_root(before, after, t):
    d = after - before
    return d.mean() - t * d.std(), d.mean() + t * d.std()


def gain_of_all(before, after, t):
    d = after - before
    half = t * d.std(correction=0) / len(d) ** 0.5
    return d.mean() - half, d.mean() + half


RIGHT = [
    (checks.check_twins, twins),
    (checks.check_twins, twins_loop),
    (checks.check_twins, lambda known, other, limit: (torch.cdist(known, other) <= limit).any(dim=0)),
    (checks.check_search, search),
    (checks.check_search, search_loop),
    (checks.check_search, search_by_distance),
    (checks.check_gain, gain),
    (checks.check_gain, gain_by_hand),
    (checks.check_gain, gain_as_tensor),
]

WRONG = [
    (checks.check_twins, lambda a, b, limit: twins(b, a, limit), "asked is every row of `other`"),
    (checks.check_twins, lambda a, b, limit: ~twins(a, b, limit), "the other way round"),
    (checks.check_twins, lambda a, b, limit: (b[:, None] == a).all(dim=2).any(dim=1), "saved again, 0.14 away"),
    (checks.check_twins, lambda a, b, limit: torch.cdist(b, a).max(dim=1).values <= limit, "you found none"),
    (checks.check_twins, lambda a, b, limit: twins(a, b, limit).nonzero().flatten(), "5 times true or false"),
    (checks.check_twins, lambda a, b, limit: twins(a, b, 100.0), "rows 1 and 4 of `other` are copies"),
    (checks.check_twins, lambda a, b, limit: twins(a, b, 0.5), "use `limit`"),
    (checks.check_search, search_with_itself, "a query finds itself"),
    (checks.check_search, search_not_scaled, "where long rows win"),
    (checks.check_search, lambda z, q, k: search_not_scaled(F.normalize(z, dim=1), q, k, -1), "least similar"),
    (checks.check_search, search_euclidean, "by Euclidean distance"),
    (checks.check_search, lambda *a: search(*a).flip(1), "in another order"),
    (checks.check_search, lambda *a: search(*a) / 1, "numbers of the rows"),
    (checks.check_search, lambda z, q, k: search(z, q, k)[0], "yours: (4,)"),
    (checks.check_search, search_first_dropped, "a copy may come first"),
    (checks.check_search, lambda z, q, k: (search(z, q, k) + 1) % len(z), "query 20 has the nearest rows"),
    (checks.check_gain, gain_unpaired, "as if the runs had nothing in common"),
    (checks.check_gain, gain_without_root, "divided by √n"),
    (checks.check_gain, lambda a, b, t: gain(a, b, 1.0), "without `t`"),
    (checks.check_gain, gain_of_all, "divide by n − 1"),
    (checks.check_gain, lambda a, b, t: gain(b, a, t), "the sign is turned"),
    (checks.check_gain, lambda *a: gain(*a)[::-1], "give (low, high)"),
    (checks.check_gain, lambda a, b, t: b.mean() - a.mean(), "asked for two numbers"),
    (checks.check_gain, lambda a, b, t: gain(a, b, 4.303), "wrong for four"),
    (checks.check_gain, lambda *a: (0.0, 1.0), "expected (0.0090, 0.0377)"),
]
