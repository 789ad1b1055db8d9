"""Checks of lesson 10: many negatives, a moving average, a stopped gradient, a cross-correlation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import device as devices
from sslkit import losses
from sslkit.checks.answer import Wrong, check, number, tensor


def _randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=devices.generator(seed), dtype=torch.float64)


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-7)


@check
def check_nt_xent(answer: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    a, n, tau = _randn(5, 3) * 2, 5, 0.5
    b = a + _randn(5, 3, seed=1)
    got, right = number(answer, a, b, tau), losses.nt_xent(a, b, tau).item()
    if not _near(got, right):
        z, partner = F.normalize(torch.cat([a, b]), dim=1), torch.arange(2 * n).roll(n)
        every = torch.eye(2 * n, dtype=torch.bool)

        def loss(s: Tensor, target: Tensor = partner, masked: bool = True, **how) -> float:
            return F.cross_entropy(s.masked_fill(every, -torch.inf) if masked else s, target, **how).item()

        cosines, plain = z @ z.T, torch.cat([a, b]) @ torch.cat([a, b]).T
        one_side = F.cross_entropy((z[:n] @ z[n:].T) / tau, torch.arange(n)).item()
        wrong = {
            "a view is compared with itself: the diagonal is left in. Its cosine is 1, more than any partner's.": loss(
                cosines / tau, masked=False
            ),
            "a negative as likely as cosine 0 stands on the diagonal: put -inf there, not 0.": loss(
                (cosines / tau).masked_fill(every, 0), masked=False
            ),
            "the rows are not scaled to length 1: these are products, not cosines.": loss(plain / tau),
            "the temperature is missing: divide the cosines by it.": loss(cosines),
            "you multiply by the temperature; divide by it.": loss(cosines * tau),
            "this is the sum over the 2N views; the loss is their mean.": loss(cosines / tau, reduction="sum"),
            "the partner of view i is N rows on, not in the next row.": loss(cosines / tau, torch.arange(2 * n) ^ 1),
            "only the views of a ask, and only those of b answer. All 2N views ask, and all others answer.": one_side,
        }
        for reason, value in wrong.items():
            if _near(got, value):
                raise Wrong(reason)
        raise Wrong(f"for five images and a temperature of 0.5 the loss is {right:.4f}; you gave {got:.4f}.")
    if not _near(number(answer, a[:2], b[:2], 0.1), losses.nt_xent(a[:2], b[:2], 0.1).item()):
        raise Wrong("right for five images and τ = 0.5, wrong for two and 0.1: is a number written for an argument?")
    free = (a.clone().requires_grad_(), b.clone().requires_grad_())
    result = answer(free[0], free[1], tau)
    if not isinstance(result, Tensor) or not result.requires_grad:
        raise Wrong("the number is right, but no gradient can flow: stay with tensors, without .item() and float().")
    if None in torch.autograd.grad(result, free, allow_unused=True):
        raise Wrong("the number is right, but of one of the two views no gradient flows: nothing is detached here.")


@check
def check_ema(answer: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    target, online = torch.tensor([1.0, 0.0, -2.0]), torch.tensor([3.0, 0.0, 2.0], requires_grad=True)
    got = tensor(answer, target, online, 0.75)
    if got.shape != (3,):
        raise Wrong(f"three numbers of the target give three; yours has shape {tuple(got.shape)}.")
    values = got.detach().float()
    wrong = {
        "the wrong way round: momentum is the share that the target keeps of its own, here 0.75.": [2.5, 0.0, 1.0],
        "this is a copy of the online numbers; the target keeps a share of its own.": [3.0, 0.0, 2.0],
        "the target did not move.": [1.0, 0.0, -2.0],
        "the two shares should add up to 1: the online network's is 1 − momentum.": [
            3.75,
            0.0,
            0.5,
        ],
        "the online share is missing: this is the target alone, only shorter.": [0.75, 0.0, -1.5],
    }
    for reason, candidate in wrong.items():
        if torch.allclose(values, torch.tensor(candidate)):
            raise Wrong(reason)
    if not torch.allclose(values, torch.tensor([1.5, 0.0, -1.0])):
        raise Wrong(f"from 1 towards 3 with momentum 0.75: 1.5. Yours went to {values[0]:g}.")
    if not torch.allclose(tensor(answer, target, online, 0.5).detach().float(), torch.tensor([2.0, 0.0, 0.0])):
        raise Wrong("right for a momentum of 0.75, wrong for 0.5: is a number written in the place of the argument?")
    if got.requires_grad:
        raise Wrong("right, but a gradient would flow from the target into the online network: online.detach().")


@check
def check_stop(answer: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
    points = [_randn(6, 4, seed=seed) * (1 + seed) for seed in range(4)]
    got = number(answer, *points)
    p_a, p_b, z_a, z_b = points

    def cosine(p: Tensor, z: Tensor) -> float:
        return F.cosine_similarity(p, z).mean().item()

    right = 2 - cosine(p_a, z_b) - cosine(p_b, z_a)
    if not _near(got, right):
        wrong = {
            "you compare a prediction with the view that it was made from. p_a predicts z_b, and p_b predicts z_a.": (
                2 - cosine(p_a, z_a) - cosine(p_b, z_b)
            ),
            "this is the sum of both directions; take their mean.": 2 * right,
            "only one direction counts: p_b predicts z_a, too.": 2 - 2 * cosine(p_a, z_b),
            "only one direction counts: p_a predicts z_b, too.": 2 - 2 * cosine(p_b, z_a),
            "this is the mean cosine, less 1 and with the sign of a loss; expected 2 − 2 cos.": right / 2 - 1,
            "a prediction that fits should cost less: 2 − 2 cos, and yours is 2 + 2 cos.": 4 - right,
            "these are not scaled to length 1.": ((p_a - z_b).square().sum(1) + (p_b - z_a).square().sum(1))
            .mean()
            .item()
            / 2,
        }
        for reason, value in wrong.items():
            if _near(got, value):
                raise Wrong(reason)
        raise Wrong(f"for six images the loss is {right:.4f}; you gave {got:.4f}.")
    free = [point.clone().requires_grad_() for point in points]
    loss = answer(*free)
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        raise Wrong("the number is right, but no gradient reaches the predictions: what is detached is the target.")
    loss.backward()
    reached = [point.grad is not None and bool(point.grad.abs().sum() > 0) for point in free]
    if reached[2] or reached[3]:
        raise Wrong("the number is right, but the gradient reaches what is predicted: z.detach() makes it a constant.")
    if not all(reached[:2]):
        raise Wrong("one of the predictions gets no gradient. What is detached is z_a and z_b alone.")


@check
def check_cross_correlation(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    a = _randn(6, 6) * torch.linspace(0.5, 3, 6, dtype=torch.float64) + 1
    b = a + _randn(6, 6, seed=1) + 2

    def correlation(x: Tensor, y: Tensor, dim: int = 0, centred: bool = True) -> Tensor:
        x, y = (z - z.mean(dim=dim, keepdim=True) if centred else z for z in (x, y))
        x, y = F.normalize(x, dim=dim), F.normalize(y, dim=dim)
        return x @ y.T if dim else x.T @ y

    right = correlation(a, b)
    got = tensor(answer, a, b).detach().double()
    if got.shape != (6, 6):
        raise Wrong(f"six coordinates give a table (6, 6); yours has shape {tuple(got.shape)}.")
    centred = [z - z.mean(dim=0) for z in (a, b)]
    by_rows = [F.normalize(z - z.mean(dim=1, keepdim=True), dim=1) for z in (a, b)]
    wrong = {
        "this correlates images with images: a row is an image. Coordinates are the columns: sum over the batch.": (
            correlation(a, b, dim=1)
        ),
        "means and lengths are taken along the rows. Each coordinate, a column, is made standard over the batch.": (
            by_rows[0].T @ by_rows[1]
        ),
        "the columns are not centred: subtract each one's mean over the batch first.": correlation(a, b, centred=False),
        "this is the covariance: divide each column by its length, too.": centred[0].T @ centred[1] / 6,
        "this is the covariance: divide each column by its length as well.": centred[0].T @ centred[1] / 5,
        "not divided by N: the diagonal of a with itself should be 1.": 6 * right,
        "the standard deviation divides by N − 1 and your sum by N: use std(dim=0, correction=0).": (right * 5 / 6),
        "row i is coordinate i of a, column j is coordinate j of b; yours is transposed.": right.T,
        "this is a with itself; b does not take part.": correlation(a, a),
    }
    if not torch.allclose(got, right, atol=1e-4):  # batch norm adds 1e-5 to the variance
        for reason, value in wrong.items():
            if torch.allclose(got, value, atol=1e-4):
                raise Wrong(reason)
        raise Wrong(f"coordinate 0 of a with coordinate 0 of b: {right[0, 0]:.4f}; you gave {got[0, 0]:.4f}.")
    long = torch.cat([a, b]), torch.cat([b, a.flip(0)])
    again = tensor(answer, *long).detach().double()
    if again.shape != (6, 6) or not torch.allclose(again, correlation(*long), atol=1e-4):
        raise Wrong("right for six images, wrong for twelve: the table has a row for each coordinate, not each image.")
