"""What students plausibly write in lessons 07 to 12, right and wrong, beside the answers of each lesson's own file."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers_masked import hidden_loss, random_mask
from answers_own_data import search, twins
from answers_text import windows
from answers_time import all_pairs
from answers_transfer import stopped
from torch import nn

from sslkit import checks, losses


def correlation_loop(a, b):
    a, b = a - a.mean(dim=0), b - b.mean(dim=0)
    table = torch.zeros(a.shape[1], b.shape[1])  # in single precision
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            table[i, j] = (a[:, i] * b[:, j]).sum() / (a[:, i].norm() * b[:, j].norm())
    return table


def as_published(a, b):
    a, b = (F.batch_norm(z, None, None, training=True) for z in (a, b))
    return a.T @ b / len(a)


def stopped_by_any_fall(losses_, patience, min_gain):
    """The best loss is the lowest so far, whether it was a gain or not."""
    best, waited = math.inf, 0
    for epoch, loss in enumerate(losses_, 1):
        waited = 0 if loss < best * (1 - min_gain) or best == math.inf else waited + 1
        best = min(best, loss)
        if waited == patience:
            return epoch
    return len(losses_)


def stopped_by_difference(losses_, patience, min_gain):
    best, waited = math.inf, 0
    for epoch, loss in enumerate(losses_, 1):
        best, waited = (loss, 0) if loss < best - min_gain else (best, waited + 1)
        if waited == patience:
            return epoch
    return len(losses_)


def stopped_late(losses_, patience, min_gain):
    return min(stopped(losses_, patience + 1, min_gain), len(losses_))


def freeze_norm_alone(block):
    block.requires_grad_(False)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return block


def worth_by_place(accuracy, counts, curve):
    return 10 ** np.interp(accuracy, curve, range(len(counts)))


def search_hiding_all(z, queries, k):
    unit = F.normalize(z, dim=1)
    similarity = unit[queries] @ unit.T
    similarity[:, queries] = -2
    return similarity.topk(k, dim=1).indices


def search_hidden_by_zero(z, queries, k):
    unit = F.normalize(z, dim=1)
    similarity = unit[queries] @ unit.T
    similarity[torch.arange(len(queries)), queries] = 0
    return similarity.topk(k, dim=1).indices


def never_the_last(n, patches, ratio, generator):
    return torch.cat(
        [random_mask(n, patches - 1, ratio * patches / (patches - 1), generator), torch.zeros(n, 1) > 0], 1
    )


RIGHT = [
    (checks.check_cross_correlation, correlation_loop),
    (checks.check_cross_correlation, as_published),
    (checks.check_cross_correlation, lambda a, b: as_published(a, b).tolist()),
    (checks.check_ema, lambda t, o, m: (m * t + (1 - m) * o.detach()).double()),
    (checks.check_ema, lambda t, o, m: [m * x + (1 - m) * y.item() for x, y in zip(t, o)]),
    (checks.check_best_guess, lambda f, p: np.average(f.numpy().astype(float), axis=0, weights=p.tolist())),
    (checks.check_all_pairs, lambda *a: tuple(part.numpy() for part in all_pairs(*a))),
    (checks.check_windows, lambda numbers, k: [row.numpy() for row in windows(numbers, k)]),
    (checks.check_twins, lambda a, b, limit: [bool((a - row).norm(dim=1).min() <= limit) for row in b]),
    (checks.check_gain, lambda b, a, t: tuple(round(x, 3) for x in interval(b, a, t))),
]


def interval(before, after, t):
    d = after - before
    half = t * float(d.std()) / len(d) ** 0.5
    return float(d.mean()) - half, float(d.mean()) + half


WRONG = [
    (checks.check_nt_xent, lambda a, b, tau: losses.nt_xent(a, b.detach(), tau), "of one of the two views no gradient"),
    (checks.check_stopped, stopped_by_any_fall, "not with lower ones since that were no gain"),
    (checks.check_stopped, stopped_by_difference, "a gain is a share of the loss"),
    (checks.check_stopped, lambda x, patience, _: stopped(x, patience, 0.01), "how large a share is an argument"),
    (checks.check_stopped, stopped_late, "not one later"),
    (checks.check_freeze, freeze_norm_alone, "its dropout drops"),
    (checks.check_worth, worth_by_place, "Take the logarithms of `counts`"),
    (checks.check_all_pairs, lambda clip, *a: all_pairs(clip[:9], *a), "12 frames: there are 8 pairs; yours are 5"),
    (checks.check_all_pairs, lambda *a: (..., ...), "not written yet"),
    (checks.check_wrong_orders, lambda frames: 4, "asked for the orders themselves"),
    (checks.check_best_guess, lambda f, p: torch.einsum("k,kchw->chw", p**2, f), "your picture costs"),
    (checks.check_twins, lambda a, b, limit: torch.cdist(b, a, p=1).amin(1) <= limit, "the exact copy alone"),
    (checks.check_twins, lambda a, b, limit: torch.cdist(b, a, p=math.inf).amin(1) <= limit, "the Euclidean distance"),
    (checks.check_twins, lambda a, b, limit: twins(a, b, limit - 1e-4), "at most means <="),
    (checks.check_search, search_hiding_all, "hide a query from its own row"),
    (checks.check_search, search_hidden_by_zero, "a number below −1"),
    (checks.check_search, lambda *a: search(*a).float(), "asked for the numbers of the rows"),
    (checks.check_hidden_loss, lambda p, t, h: (p - t)[h].sqrt().mean(), "yours is nan"),
    (checks.check_hidden_loss, lambda p, t, h: hidden_loss(p, t, h).expand(2), "asked for one number"),
    (checks.check_random_mask, never_the_last, "and patch 63 in 0%"),
    (checks.check_windows, lambda *a: windows(*a).float(), "expected the numbers of words, int64"),
    (checks.check_patchify, lambda x, p: [[x, x[:1]]], "asked for one tensor"),
]
