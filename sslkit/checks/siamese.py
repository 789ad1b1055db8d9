"""Checks of lesson 05: pairs."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import device as devices
from sslkit.checks.answer import NotWritten, Wrong, as_tensor, call, check, number


@check
def check_balanced(answer: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]) -> None:
    n, partners, steps = 12, set(), set()
    for seed in range(40):
        second, same = _pairs(answer, n, seed)
        itself = second == torch.arange(n)
        if torch.equal(same, ~itself):
            raise Wrong("the other way round: same is true where image i is paired with itself.")
        wrong = same & ~itself
        if wrong.any():
            i = int(wrong.nonzero()[0])
            raise Wrong(f"pair {i} is called the same, but it is of images {i} and {int(second[i])}.")
        if (~same & itself).any():
            i = int((~same & itself).nonzero()[0])
            raise Wrong(
                f"pair {i} is called different, but it is image {i} with itself. A draw among all images, or a shuffle "
                "of them, hits the image itself now and then. Draw a step from 1 to n − 1, and add it to i."
            )
        if int(same.sum()) != n // 2:
            raise Wrong(f"of {n} pairs {n // 2} are to be the same; yours are {int(same.sum())}.")
        partners.add(int(second[0]))
        steps |= set(((second - torch.arange(n)) % n).tolist())
    if not all(torch.equal(a, b) for a, b in zip(_pairs(answer, n, 0), _pairs(answer, n, 0))):
        raise Wrong("the same generator gave other pairs: hand `generator` to whatever draws.")
    if all(torch.equal(a, b) for a, b in zip(_pairs(answer, n, 0), _pairs(answer, n, 1))):
        raise Wrong(
            "another generator gave the same pairs: hand `generator` to whatever draws, and draw which are same."
        )
    if len(partners - {0}) == 0:
        raise Wrong("image 0 was paired with itself in 40 draws of 40: draw which pairs are the same.")
    if len(partners - {0}) == 1:
        raise Wrong(f"image 0 was only ever paired with itself and {max(partners)}: draw among all other images.")
    if 0 not in partners:
        raise Wrong("image 0 was never paired with itself in 40 draws: draw which pairs are the same.")
    if missing := sorted(set(range(n)) - steps):
        raise Wrong(
            f"in 40 draws no image was paired with the one {missing[-1]} further on, round the end: draw among all "
            "other images. torch.randint(1, n, …) gives 1 to n − 1, both included."
        )
    for n in (30, 31):
        second, same = _pairs(answer, n, 0)
        if int(same.sum()) != n // 2 or int(second.max()) < 12:
            raise Wrong(f"right for 12 images, wrong for {n}, of which {n // 2} pairs are to be the same.")


def _pairs(answer: Callable[[int, torch.Generator], tuple[Tensor, Tensor]], n: int, seed: int) -> tuple[Tensor, Tensor]:
    got = call(answer, n, devices.generator(seed))
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("return two things: the number of the second image of each pair, and whether the pair is the same.")
    if any(part is ... for part in got):
        raise NotWritten
    second, same = as_tensor(got[0]), as_tensor(got[1])
    if second.shape != (n,) or same.shape != (n,):
        raise Wrong(
            f"{n} images give {n} pairs, so both have shape ({n},); yours have {tuple(second.shape)} and "
            f"{tuple(same.shape)}."
        )
    if same.dtype != torch.bool:
        raise Wrong(f"same is {same.dtype}; expected torch.bool.")
    if second.is_floating_point() or second.dtype == torch.bool:
        raise Wrong(f"the second images are {second.dtype}; expected their numbers, int64.")
    if second.min() < 0 or second.max() >= n:
        raise Wrong(f"a second image is number {int(second.max())}; there are 0 to {n - 1}.")
    return second, same


@check
def check_contrastive(answer: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> None:
    # Five pairs at these distances, of which three are the same: one different pair lies beyond the margin.
    d, same, margin = torch.tensor([0.47, 1.52, 0.23, 0.61, 1.34]), torch.tensor([True, True, True, False, False]), 1.0
    a = torch.randn(5, 3, generator=devices.generator(0))
    b = a + d[:, None] * F.normalize(torch.randn(5, 3, generator=devices.generator(1)), dim=1)
    got, short = number(answer, a, b, same, margin), (margin - d).clamp(min=0)
    each = torch.where(same, d.square(), short.square()) / 2
    right = float(each.mean())
    reasons = {
        "twice too large: both terms have the factor ½.": 2 * each.mean(),
        "the other way round: you push the same pairs apart and pull the different ones together.": (
            torch.where(same, short.square(), d.square()).mean() / 2
        ),
        "a different pair beyond the margin costs nothing: yours is pulled back to it. Cut m − d off at 0.": (
            torch.where(same, d, margin - d).square().mean() / 2
        ),
        "the distances are to be squared, and what is left of the margin too; yours are not.": (
            torch.where(same, d, short).mean() / 2
        ),
        "what is left of the margin is to be squared: ½ max(0, m − d)².": (
            torch.where(same, d.square(), short).mean() / 2
        ),
        "the margin is one of distances: max(0, m − d)², not max(0, m − d²), nor max(0, m² − d²).": (
            torch.where(same, d.square(), (margin - d.square()).clamp(min=0)).mean() / 2
        ),
        "the margin is one of distances, not of their squares: max(0, m − d)², with d the root.": (
            torch.where(same, d.square(), (margin - d.square()).clamp(min=0).square()).mean() / 2
        ),
        "you summed; asked for: the mean over the pairs.": each.sum(),
        "you took the mean of each kind of pairs and added them; asked for: one mean over all pairs.": (
            each[same].mean() + each[~same].mean()
        ),
        "the different pairs do not count.": torch.where(same, each, 0.0).mean(),
        "the same pairs do not count.": torch.where(same, 0.0, each).mean(),
    }
    for reason, value in reasons.items():
        if abs(got - float(value)) < 1e-5:
            raise Wrong(reason)
    if not abs(got - right) <= 1e-5:
        raise Wrong(
            "pairs at the distances 0.47, 1.52, 0.23 (same), 0.61 and 1.34 (different) cost "
            f"{right:.4f} on average; you gave {got:.4f}."
        )
    if not abs(number(answer, a, b, same, 2.0) - float(_wide(d, same))) <= 1e-5:
        raise Wrong("right for margin 1, wrong for margin 2: is a number written in the place of the margin?")
    a = a.clone().requires_grad_()
    met = torch.cat([a[:1].detach(), b[1:3], a[3:4].detach(), b[4:]])  # one pair of each kind at distance 0
    result = call(answer, a, met, same, margin)
    if not isinstance(result, Tensor) or not result.requires_grad:
        raise Wrong("the number is right, but no gradient can flow back from it: keep to tensors all along.")
    (gradient,) = torch.autograd.grad(result, a)
    if not gradient.isfinite().all():
        raise Wrong(
            "the number is right, but where both embeddings are equal the gradient is not a number: a root has no "
            "slope at 0. torch.linalg.vector_norm takes care of it."
        )


def _wide(d: Tensor, same: Tensor) -> Tensor:
    return torch.where(same, d.square(), (2 - d).clamp(min=0).square()).mean() / 2


@check
def check_threshold(answer: Callable[[Tensor, Tensor], float]) -> None:
    # A long tail of same pairs, and more different ones: neither the middle nor a mean is the best place.
    # In this order no two neighbours have the best threshold between them: one has to sort.
    d = torch.tensor([0.35, 0.3, 0.2, 0.1, 5.0, 0.9, 0.7, 0.75, 0.8, 0.65, 4.0, 0.95, 0.85])
    same = torch.tensor([True] * 5 + [False] * 5 + [True] + [False] * 2)
    got, best = number(answer, d, same), _share(d < 0.5, same)
    if _share(d < got, same) < best:
        if _share(d <= got, same) == best:
            raise Wrong(
                f"{got:g} is the distance of a pair itself. The same are those below the threshold, so it has to lie "
                "above the last of them: take one between two distances."
            )
        if abs(got - best) < 1e-5 or abs(got - _share(d <= 0.35, same)) < 1e-5:
            raise Wrong(f"{got:.3f} is the share of right answers; asked for: the threshold that gives it.")
        places = {"the mean distance": d.mean(), "the median distance": d.median(), "the largest distance": d.max()}
        places["the middle between the two mean distances"] = (d[same].mean() + d[~same].mean()) / 2
        for name, place in places.items():
            if abs(got - float(place)) < 1e-5:
                raise Wrong(
                    f"{name} gets {_share(d < got, same):.2f} of these pairs right, and the best threshold {best:.2f}. "
                    "Count for each place between two distances."
                )
        if _share(d > got, same) >= max(_share(d > t, same) for t in d):
            raise Wrong("you call the far pairs the same; they are those at a distance below the threshold.")
        raise Wrong(f"your {got:.3f} gets {_share(d < got, same):.2f} right; the best threshold gets {best:.2f}.")
    d, same = 10 * d.flip(0), same.flip(0)
    if _share(d < number(answer, d, same), same) < best:
        raise Wrong("right for these distances, wrong for the same ones ten times as large: thresholds up to what?")


def _share(called: Tensor, same: Tensor) -> float:
    return (called == same).float().mean().item()
