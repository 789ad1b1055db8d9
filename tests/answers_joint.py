"""Right and wrong answers to the exercises of lesson 10, for test_checks.py."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from sslkit import checks, losses


def nt_xent(a, b, tau, mask=-torch.inf, unit=True, shift=None, power=-1, **how):
    z = torch.cat([a, b])
    z = F.normalize(z, dim=1) if unit else z
    logits = z @ z.T * tau**power
    if mask is not None:
        logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), mask)
    target = torch.arange(len(z)).roll(len(a)) if shift is None else torch.arange(len(z)) ^ shift
    return F.cross_entropy(logits, target, **how)


def nt_xent_loop(a, b, tau):
    z, n = F.normalize(torch.cat([a, b]), dim=1), len(a)
    total = 0
    for i in range(2 * n):
        others = [j for j in range(2 * n) if j != i]
        total = total - (z[i] @ z[(i + n) % (2 * n)]) / tau + (z[i] @ z[others].T / tau).exp().sum().log()
    return total / (2 * n)


def one_side(a, b, tau):
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / tau
    return F.cross_entropy(logits, torch.arange(len(a)))


@torch.no_grad()
def ema(target, online, momentum):
    return momentum * target + (1 - momentum) * online


def stop(p_a, p_b, z_a, z_b, detached=True):
    z_a, z_b = (z.detach() if detached else z for z in (z_a, z_b))
    return (losses.normalised_mse(p_a, z_b) + losses.normalised_mse(p_b, z_a)) / 2


def stop_cosines(p_a, p_b, z_a, z_b):
    first, second = F.cosine_similarity(p_a, z_b.detach()), F.cosine_similarity(p_b, z_a.detach())
    return (2 - first - second).mean()


def correlation(a, b, dim=0, correction=0, centred=True, scaled=True):
    x, y = ((z - z.mean(dim=dim, keepdim=True)) if centred else z for z in (a, b))
    if scaled and centred:
        x, y = (z / z.std(dim=dim, keepdim=True, correction=correction) for z in (x, y))
    elif scaled:
        x, y = (z / z.square().mean(dim=0).sqrt() for z in (x, y))
    return x.T @ y / len(a)


RIGHT = [
    (checks.check_nt_xent, nt_xent),
    (checks.check_nt_xent, nt_xent_loop),
    (checks.check_nt_xent, losses.nt_xent),
    (checks.check_ema, ema),
    (checks.check_ema, lambda t, o, m: torch.lerp(o.detach(), t, m)),
    (checks.check_ema, lambda t, o, m: t + (1 - m) * (o.detach() - t)),
    (checks.check_stop, stop),
    (checks.check_stop, stop_cosines),
    (checks.check_cross_correlation, correlation),
    (checks.check_cross_correlation, lambda a, b: torch.corrcoef(torch.cat([a, b], dim=1).T)[:6, 6:]),
]

WRONG = [
    (checks.check_nt_xent, lambda *a: nt_xent(*a, mask=None), "the diagonal is left in"),
    (checks.check_nt_xent, lambda *a: nt_xent(*a, mask=0.0), "put -inf there, not 0"),
    (checks.check_nt_xent, lambda *a: nt_xent(*a, unit=False), "not scaled to length 1"),
    (checks.check_nt_xent, lambda *a: nt_xent(*a, power=0), "the temperature is missing"),
    (checks.check_nt_xent, lambda *a: nt_xent(*a, power=1), "you multiply by the temperature"),
    (checks.check_nt_xent, lambda *a: nt_xent(*a, reduction="sum"), "the sum over the 2N views"),
    (checks.check_nt_xent, lambda *a: nt_xent(*a, shift=1), "not in the next row"),
    (checks.check_nt_xent, one_side, "only the views of a ask"),
    (checks.check_nt_xent, lambda a, b, t: nt_xent(a, b, 0.5), "wrong for two and 0.1"),
    (checks.check_nt_xent, lambda *a: nt_xent(*a).item(), "no gradient can flow"),
    (checks.check_nt_xent, lambda *a: 1.0, "you gave 1.0000"),
    (checks.check_nt_xent, lambda *a: nt_xent(*a, reduction="none"), "asked for one number"),
    (checks.check_ema, lambda t, o, m: ema(t, o, 1 - m), "the wrong way round"),
    (checks.check_ema, lambda t, o, m: ema(t, o, 0.0), "this is a copy"),
    (checks.check_ema, lambda t, o, m: t, "the target did not move"),
    (checks.check_ema, lambda t, o, m: m * t + o, "should add up to 1"),
    (checks.check_ema, lambda t, o, m: m * t, "the online share is missing"),
    (checks.check_ema, lambda t, o, m: ema(t, o, 0.9), "Yours went to 1.2"),
    (checks.check_ema, lambda t, o, m: ema(t, o, 0.75), "wrong for 0.5"),
    (checks.check_ema, lambda t, o, m: m * t + (1 - m) * o, "a gradient would flow"),
    (checks.check_ema, lambda t, o, m: ema(t, o, m).sum(), "yours has shape ()"),
    (checks.check_stop, lambda *z: stop(*z, detached=False), "the gradient reaches what is predicted"),
    (checks.check_stop, lambda a, b, c, d: stop(a, b, d, c), "with the view that it was made from"),
    (checks.check_stop, lambda *z: 2 * stop(*z), "the sum of both directions"),
    (checks.check_stop, lambda a, b, c, d: losses.normalised_mse(a, d), "only one direction counts: p_b"),
    (checks.check_stop, lambda a, b, c, d: losses.normalised_mse(b, c), "only one direction counts: p_a"),
    (checks.check_stop, lambda *z: stop(*z) / 2 - 1, "expected 2 − 2 cos"),
    (checks.check_stop, lambda *z: 4 - stop(*z), "yours is 2 + 2 cos"),
    (
        checks.check_stop,
        lambda a, b, c, d: ((a - d).square().sum(1) + (b - c).square().sum(1)).mean() / 2,
        "not scaled to length 1",
    ),
    (checks.check_stop, lambda *z: stop(*(x.detach() for x in z)), "no gradient reaches the predictions"),
    (checks.check_stop, lambda a, b, c, d: stop(a, b.detach(), c, d), "one of the predictions gets no gradient"),
    (checks.check_stop, lambda *z: stop(*z) + 0.5, "you gave"),
    (checks.check_cross_correlation, lambda a, b: correlation(a.T, b.T), "correlates images with images"),
    (checks.check_cross_correlation, lambda a, b: correlation(a, b, dim=1, correction=0), "taken along the rows"),
    (checks.check_cross_correlation, lambda a, b: correlation(a, b, centred=False), "not centred"),
    (checks.check_cross_correlation, lambda a, b: correlation(a, b, scaled=False), "this is the covariance"),
    (checks.check_cross_correlation, lambda a, b: torch.cov(torch.cat([a, b], 1).T)[:6, 6:], "this is the covariance"),
    (checks.check_cross_correlation, lambda a, b: len(a) * correlation(a, b), "not divided by N"),
    (checks.check_cross_correlation, lambda a, b: correlation(a, b, correction=1), "divides by N − 1"),
    (checks.check_cross_correlation, lambda a, b: correlation(b, a), "yours is transposed"),
    (checks.check_cross_correlation, lambda a, b: correlation(a, a), "b does not take part"),
    (checks.check_cross_correlation, lambda a, b: correlation(a, b).mean(), "yours has shape ()"),
    (checks.check_cross_correlation, lambda a, b: correlation(a, b) ** 2, "you gave"),
    (
        checks.check_cross_correlation,
        lambda a, b: correlation(a, b) * 6 / len(a),
        "right for six images, wrong for twelve",
    ),
]
