"""More right answers to the exercises of lessons 00, 01 and 04, written in other ways."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

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


RIGHT = [
    (checks.check_chance, lambda k: Fraction(1, k)),
    (checks.check_nearest, nearest_by_angle),
    (checks.check_draw, draw_with_numpy),
    (checks.check_four_turns, four_turns_step_by_step),
    (checks.check_neighbour, neighbour_by_slices),
]
WRONG: list = []
