"""Checks of lesson 12: pictures that stand in two parts, search by similarity, and whether a change helped."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import device as devices
from sslkit.checks.answer import Wrong, call, check, tensor


@check
def check_twins(answer: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    generator = devices.generator(0)
    known, other = (torch.rand(n, 48, generator=generator) for n in (7, 5))
    other[1], other[4] = known[6], known[0] + 0.02  # a copy, and a copy that was saved again: 0.14 away
    right = torch.tensor([False, True, False, False, True])
    got = tensor(answer, known, other, 0.5)
    if got.shape == known.shape[:1]:
        raise Wrong("you say it of every row of `known`; asked is every row of `other`: is it in `known`, too?")
    if got.shape != right.shape or got.dtype != torch.bool:
        raise Wrong(f"5 rows of `other` need 5 times true or false; yours is {got.dtype}, shape {tuple(got.shape)}.")
    if torch.equal(got, ~right):
        raise Wrong("the other way round: true is for those that *are* near a row of `known`.")
    if got.tolist() == [False, True, False, False, False]:
        raise Wrong("you found the exact copy alone. One that was saved again, 0.14 away, counts for a limit of 0.5.")
    if not got.any():
        raise Wrong(
            "you found none, and there are two. Compare every row of `other` with every row of `known`, and ask for "
            "the nearest; `.all()` or `.max()` would ask that all of them are near."
        )
    if not torch.equal(got, right):
        raise Wrong(f"rows 1 and 4 of `other` are copies; you gave {got.nonzero().flatten().tolist()}.")
    near = tensor(answer, known, other, 0.05)
    if near.tolist() != [False, True, False, False, False]:
        raise Wrong(
            "with a limit of 0.05 the exact copy alone counts, since the other is 0.14 away: use `limit`, and the "
            "Euclidean distance as it is."
        )
    if not bool(tensor(answer, torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), 5.0)):
        raise Wrong("a row at a distance of 5 is near for a limit of 5: at most means <=.")


@check
def check_search(answer: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    generator = devices.generator(0)
    z = torch.randn(40, 6, generator=generator) * torch.linspace(0.1, 5, 40)[:, None]
    queries = torch.tensor([20, 3, 39])
    got, right = _rows(answer, z, queries, 4), _nearest(z, queries, 4)
    if torch.equal(got, right):
        _twin(answer, z)
        return
    if (got == queries[:, None]).any():
        raise Wrong(
            "a query finds itself. Give it a similarity below −1 before you look for the largest, or leave it out."
        )
    unit = F.normalize(z, dim=1)
    dot, far, distance = z @ z.T, -unit @ unit.T, -torch.cdist(z, z)
    if torch.equal(got, _top(dot, queries, 4)):
        raise Wrong("that is the dot product, where long rows win. Scale every row to length 1 first.")
    if torch.equal(got, _top(far, queries, 4)):
        raise Wrong("these are the least similar ones: the cosine is large where two rows are alike.")
    if torch.equal(got, _top(distance, queries, 4)):
        raise Wrong("that is by Euclidean distance; asked is the cosine. They agree once every row has length 1.")
    if torch.equal(got.sort(dim=1).values, right.sort(dim=1).values):
        raise Wrong("these are the right ones in another order: the most similar comes first.")
    raise Wrong(f"query 20 has the nearest rows {right[0].tolist()}; you gave {got[0].tolist()}.")


def _rows(answer: Callable, z: Tensor, queries: Tensor, k: int) -> Tensor:
    got = tensor(answer, z, queries, k)
    if got.shape != (len(queries), k):
        raise Wrong(
            f"{len(queries)} queries and k = {k} give row numbers ({len(queries)}, {k}); yours: {tuple(got.shape)}."
        )
    if got.is_floating_point():
        raise Wrong("asked for the numbers of the rows; you gave their similarities. See `.indices` of topk.")
    return got


def _twin(answer: Callable, z: Tensor) -> None:
    z = z.clone()
    z[30] = z[10]
    got = _rows(answer, z, torch.tensor([10, 30]), 1).flatten().tolist()
    if 10 == got[0] or 30 == got[1]:
        raise Wrong(
            "where another picture is an exact copy, yours returns the query itself: to drop the first of k + 1 is not "
            "enough, since a copy may come first. Leave the query out by its number."
        )
    if got != [30, 10]:
        raise Wrong(
            "rows 10 and 30 are copies, and with both as queries yours does not find one by the other: hide a query "
            "from its own row of similarities alone, not from those of the others."
        )
    apart = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [-1.0, -2.0]])
    if int(_rows(answer, apart, torch.tensor([0]), 1)) == 0:
        raise Wrong("where all others point away, a query finds itself: hide it with a number below −1, not 0.")


def _nearest(z: Tensor, queries: Tensor, k: int) -> Tensor:
    unit = F.normalize(z, dim=1)
    return _top(unit @ unit.T, queries, k)


def _top(similarity: Tensor, queries: Tensor, k: int) -> Tensor:
    return similarity.clone().fill_diagonal_(-math.inf)[queries].topk(k, dim=1).indices


@check
def check_gain(answer: Callable[[Tensor, Tensor, float], tuple[float, float]]) -> None:
    before, after, t = torch.tensor([0.70, 0.80, 0.75]), torch.tensor([0.72, 0.83, 0.77]), 4.303
    right = _interval(after - before, t)
    low, high = _two(answer, before, after, t)
    if low > high:
        raise Wrong("the first number is the larger one: give (low, high).")
    if _close((low, high), right):
        low, high = _two(answer, before[[2, 0, 1, 2]], after[[2, 0, 1, 1]], 3.182)
        if not _close((low, high), _interval(torch.tensor([0.02, 0.02, 0.03, 0.08]), 3.182)):
            raise Wrong("right for three runs, wrong for four: take n and t from the arguments.")
        return
    d, n = after - before, len(before)
    unpaired = math.sqrt(float(before.var() + after.var()) / n)
    mistakes = {
        "you compare the two means as if the runs had nothing in common. Run i has the same seed before and after: "
        "take the difference of each pair first, and its standard deviation.": _around(float(d.mean()), t * unpaired),
        "the standard deviation is divided by √n: the mean of n runs is surer than one of them.": _around(
            float(d.mean()), t * float(d.std())
        ),
        "that is the interval without `t`: few runs know little about their own spread, hence the larger factor.": (
            _around(float(d.mean()), float(d.std()) / math.sqrt(n))
        ),
        "divide by n − 1 in the standard deviation: `d.std()` does, `d.std(correction=0)` does not.": _around(
            float(d.mean()), t * float(d.std(correction=0)) / math.sqrt(n)
        ),
        "the sign is turned: after − before is positive when the change helped.": _interval(before - after, t),
    }
    for why, wrong in mistakes.items():
        if _close((low, high), wrong):
            raise Wrong(f"you gave ({low:.3f}, {high:.3f}): {why}")
    raise Wrong(
        f"before {[0.70, 0.80, 0.75]}, after {[0.72, 0.83, 0.77]}, t = {t}: expected ({right[0]:.4f}, {right[1]:.4f}); "
        f"you gave ({low:.4f}, {high:.4f})."
    )


def _two(answer: Callable, *arguments: object) -> tuple[float, float]:
    result = call(answer, *arguments)
    try:
        low, high = (float(end) for end in result)
    except (TypeError, ValueError) as error:
        raise Wrong(f"asked for two numbers, (low, high); you returned {result!r}.") from error
    return low, high


def _interval(d: Tensor, t: float) -> tuple[float, float]:
    return _around(float(d.mean()), t * float(d.std()) / math.sqrt(len(d)))


def _around(mean: float, half: float) -> tuple[float, float]:
    return mean - half, mean + half


def _close(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return all(math.isclose(x, y, abs_tol=6e-4) for x, y in zip(a, b))  # three decimals are enough
