"""Third right answers, written in yet other ways than those that stand beside the wrong ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from sslkit import checks


def nearest_by_angle(z, i):
    angle = torch.acos((z @ z[i] / (z.norm(dim=1) * z[i].norm())).clamp(-1, 1))
    others = [j for j in range(len(z)) if j != i]
    return min(others, key=lambda j: float(angle[j]))


def draw_with_numpy(labels, per_class, seed):
    random, labels = np.random.RandomState(seed), labels.numpy()
    return np.concatenate([random.choice(np.flatnonzero(labels == k), per_class, False) for k in np.unique(labels)])


def four_turns_step_by_step(image):
    turned = [image]
    for _ in range(3):
        turned.append(turned[-1].transpose(1, 2).flip(1))
    return torch.stack(turned), torch.tensor([0, 1, 2, 3])


def neighbour_by_slices(image, k, patch, gap, move):
    places = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    ranges = []
    for side, place, shift in zip(image.shape[1:], places[k], move):
        start = (side - patch) // 2 + (place - 1) * (patch + gap) + shift
        ranges.append(torch.arange(start, start + patch))
    return image.index_select(1, ranges[0]).index_select(2, ranges[1])


def stop_by_distance(p_a, p_b, z_a, z_b):
    with torch.no_grad():
        z_a, z_b = (z / z.norm(dim=1, keepdim=True) for z in (z_a, z_b))
    p_a, p_b = (p / p.norm(dim=1, keepdim=True) for p in (p_a, p_b))
    return ((p_a - z_b) ** 2 + (p_b - z_a) ** 2).sum(dim=1).mean() / 2


def correlation_slowly(a, b):
    columns = [[np.corrcoef(x.numpy(), y.numpy())[0, 1] for y in b.T] for x in a.T]
    return torch.tensor(columns, dtype=a.dtype)


def random_mask_by_rank(n, patches, ratio, generator):
    chosen = torch.rand(n, patches, generator=generator).topk(round(ratio * patches), dim=1).indices
    return F.one_hot(chosen, patches).sum(dim=1).bool()


def bigram_by_product(pairs, size, add):
    first, second = (F.one_hot(column, size).double() for column in pairs.T)
    return F.normalize(first.T @ second + add, p=1, dim=1)


RIGHT = [
    (checks.check_chance, lambda k: Fraction(1, k)),
    (checks.check_nearest, nearest_by_angle),
    (checks.check_draw, draw_with_numpy),
    (checks.check_four_turns, four_turns_step_by_step),
    (checks.check_neighbour, neighbour_by_slices),
    (checks.check_stop, stop_by_distance),
    (checks.check_cross_correlation, correlation_slowly),
    (checks.check_bigram, bigram_by_product),
    (checks.check_random_mask, random_mask_by_rank),
]
WRONG: list = []
