"""Checks of lesson 06: triplets."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import device as devices
from sslkit.checks.answer import Wrong, call, check, integers, number


@check
def check_triplet(answer: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> None:
    g = devices.generator(0)
    a, p, n = (torch.randn(6, 4, generator=g, dtype=torch.float64) for _ in range(3))
    p = a + torch.tensor([0.2, 0.5, 0.6, 0.8, 0.3, 1.0], dtype=torch.float64)[:, None] * (p - a)
    n[5] = a[5] + 0.5 * (n[5] - a[5])  # two hard triplets, a semi-hard one, three that cost nothing
    margin = 0.8
    got = number(answer, a, p, n, margin)

    def norm(x: Tensor) -> Tensor:
        return torch.linalg.vector_norm(x, dim=1)

    near, far = norm(a - p), norm(a - n)
    each = F.relu(near - far + margin)
    reasons = {
        "you squared the distances; the course's formula does not.": F.relu(near**2 - far**2 + margin).mean(),
        "the maximum with 0 is missing, or taken of the mean: a good triplet must not make up for a bad one.": (
            (near - far + margin).mean()
        ),
        "positive and negative have changed places.": F.relu(far - near + margin).mean(),
        "the margin is not used.": F.relu(near - far).mean(),
        "you subtracted the margin; it is added: the negative has to be farther by that much.": (
            F.relu(near - far - margin).mean()
        ),
        "the margin is 1 in your function; use the argument.": F.relu(near - far + 1).mean(),
        "you summed; asked for: the mean over the triplets.": each.sum(),
        "you took the mean over the triplets whose loss is not 0; the zeros count too.": each[each > 0].mean(),
        "your negative's distance is to the positive; it is to the anchor.": F.relu(near - norm(p - n) + margin).mean(),
        "these are sums of absolute differences; the norm is the Euclidean one.": (
            F.relu((a - p).abs().sum(dim=1) - (a - n).abs().sum(dim=1) + margin).mean()
        ),
        "you took one norm of the whole batch; asked for: one of each row (dim=1).": (
            F.relu((a - p).norm() - (a - n).norm() + margin)
        ),
    }
    right = float(each.mean())
    if not abs(got - right) <= 1e-5:
        for reason, value in reasons.items():
            if abs(got - float(value)) < 1e-6:
                raise Wrong(reason)
        raise Wrong(f"six random triplets with margin {margin}: the loss is {right:.4f}; you gave {got:.4f}.")
    point = torch.zeros(2, 3, requires_grad=True)
    stuck = call(answer, point, point, point, 0.5)
    if not abs((level := float(torch.as_tensor(stuck).detach())) - 0.5) <= 1e-5:
        raise Wrong(f"where all three are one point the loss is the margin, 0.5; yours is {level:.4f}.")
    if isinstance(stuck, Tensor) and stuck.requires_grad:
        (slope,) = torch.autograd.grad(stuck, point)
        if not slope.isfinite().all():
            raise Wrong(
                "the loss is right, but where two points are equal its gradient is not a number: a root has no slope "
                "at 0. torch.linalg.vector_norm(…, dim=1) takes care of it."
            )


@check
def check_hardness(answer: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    near = torch.tensor([1.0, 1.0, 1.0, 0.2, 1.5, 0.6, 0.2])
    far = torch.tensor([0.5, 1.3, 2.0, 1.0, 1.6, 0.1, 0.4])
    got, right = integers(answer, near, far, 0.5), [2, 1, 0, 0, 1, 2, 1]
    reasons = {
        "0 is easy and 2 is hard; yours is the other way round.": [2 - kind for kind in right],
        "you count 1, 2, 3; asked for: 0 easy, 1 semi-hard, 2 hard.": [kind + 1 for kind in right],
        "every negative that is farther than the positive is easy for you: use the margin.": [2, 0, 0, 0, 0, 2, 0],
        "you call hard negatives semi-hard: these are farther than the positive.": [1, 1, 0, 0, 1, 1, 1],
        "you call semi-hard negatives hard: hard ones are no farther than the positive.": [2, 2, 0, 0, 2, 2, 2],
        "far and near have changed places.": [0, 2, 2, 2, 2, 0, 2],
        "the margin is added to the distance; yours is a share of it.": [2, 1, 0, 0, 1, 2, 0],
    }
    for reason, wrong in reasons.items():
        if got == wrong:
            raise Wrong(reason)
    if got != right:
        raise Wrong(f"near {near.tolist()}, far {far.tolist()}, margin 0.5: expected {right}; you gave {got}.")
    if integers(answer, near[:3], far[:3], 2.0) != [2, 1, 1]:
        raise Wrong("right with a margin of 0.5, wrong with 2: is a number written in the place of the argument?")
    one = torch.tensor([1.0, 1.0])
    if (edge := integers(answer, one, torch.tensor([1.0, 1.5]), 0.5)) != [2, 0]:
        raise Wrong(f"at equal distances it is hard, and farther by the margin exactly easy: [2, 0]; you gave {edge}.")


@check
def check_semi_hard(answer: Callable[[Tensor, float], Tensor]) -> None:
    d = torch.tensor(
        [
            [0.5, 0.7, 0.3, 1.0, 0.9],  # 0.3 is hard, 0.7 to 1.0 are in the ring: 0.7
            [2.0, 0.4, 0.1, 0.8, 1.9],  # 0.8
            [0.9, 0.2, 1.0, 1.4, 1.2],  # 1.2
            [2.5, 2.6, 2.7, 0.6, 2.4],  # all easy
            [0.5, 0.3, 0.6, 0.1, 1.1],  # all hard
        ]
    )
    margin, right = 0.6, [1, 3, 4, -1, -1]
    ring = (d > d.diagonal()[:, None]) & (d < d.diagonal()[:, None] + margin)
    got = integers(answer, d, margin)
    if got[:3] == right[:3] and got != right:
        raise Wrong(f"no negative of the last two anchors is semi-hard: give −1 for them; you gave {got[3:]}.")
    own = d.masked_fill(torch.eye(5, dtype=torch.bool), torch.inf)
    reasons = {
        "you took the nearest of all; a semi-hard negative is farther than the positive.": own.argmin(dim=1),
        "you took the farthest in the ring; asked for: the nearest, which has the larger loss.": (
            d.masked_fill(~ring, -torch.inf).argmax(dim=1)
        ),
        "an image is no negative of its own: leave the diagonal out.": torch.arange(5),
        "you took the nearest anchor of each positive; a row holds the distances of one anchor.": (
            d.masked_fill(~ring, torch.inf).argmin(dim=0)
        ),
    }
    for reason, wrong in reasons.items():
        if got[:3] == wrong[:3].tolist() and len(set(got)) > 1:
            raise Wrong(reason)
    for i in range(5):
        if got[i] != right[i]:
            raise Wrong(
                f"anchor {i}: its positive is {d[i, i]:.1f} away, and so the ring goes from there to "
                f"{d[i, i] + margin:.1f}. In {[round(x, 1) for x in d[i].tolist()]} it is number {right[i]}; you gave "
                f"{got[i]}."
            )
    if integers(answer, d, 2.5) != [1, 3, 4, 4, -1]:
        raise Wrong("right with a margin of 0.6, wrong with 2.5: is a number written in the place of the argument?")
    d = torch.rand(12, 12, generator=devices.generator(0))
    ring = (d > d.diagonal()[:, None]) & (d < d.diagonal()[:, None] + 0.1)
    wanted = torch.where(ring.any(dim=1), d.masked_fill(~ring, torch.inf).argmin(dim=1), -1)
    if integers(answer, d, 0.1) != wanted.tolist():
        raise Wrong("right for five images, wrong for twelve: is a number written in the place of the batch's size?")
    edges = torch.tensor([[1.0, 1.0, 1.5], [9.0, 1.0, 9.0], [9.0, 9.0, 1.0]])
    if (got := integers(answer, edges, 0.5)) != [-1, -1, -1]:
        raise Wrong(
            "at the positive's own distance a negative is hard, and farther by the margin exactly easy: neither is in "
            f"the ring. With a positive at 1, negatives at 1 and 1.5 and a margin of 0.5 that is −1; you gave {got[0]}."
        )
