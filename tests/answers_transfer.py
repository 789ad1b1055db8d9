"""Right and wrong answers to the exercises of lesson 09, for test_checks.py."""

from __future__ import annotations

import copy
import math

import numpy as np
from torch import nn

from sslkit import checks, train


def stopped(losses, patience, min_gain):
    best, waited = math.inf, 0
    for epoch, loss in enumerate(losses, 1):
        if loss < best * (1 - min_gain) or best == math.inf:
            best, waited = loss, 0
        else:
            waited += 1
        if waited == patience:
            return epoch
    return len(losses)


def stopped_by_plateau(losses, patience, min_gain):
    rule = train.Plateau(patience, min_gain)
    return next((epoch for epoch, loss in enumerate(losses, 1) if rule.step(loss)), len(losses))


def stopped_by_indices(losses, patience, min_gain):
    gains = [0]
    for i, loss in enumerate(losses):
        if loss < losses[gains[-1]] * (1 - min_gain):
            gains.append(i)
    for i, after in zip(gains, [*gains[1:], len(losses)]):
        if after - i > patience:
            return i + patience + 1
    return len(losses)


def stopped_by_previous(losses, patience, min_gain):
    waited = 0
    for epoch, (before, loss) in enumerate(zip(losses, losses[1:]), 2):
        waited = 0 if loss < before * (1 - min_gain) else waited + 1
        if waited == patience:
            return epoch
    return len(losses)


def total_waiting(losses, patience, min_gain):
    best, waited = losses[0], 0
    for epoch, loss in enumerate(losses[1:], 2):
        waited += loss >= best * (1 - min_gain)
        best = min(best, loss) if loss < best * (1 - min_gain) else best
        if waited == patience:
            return epoch
    return len(losses)


def freeze(block, gradient=True, mode=True):
    if gradient:
        block.requires_grad_(False)
    return block.eval() if mode else block


def freeze_one_by_one(block):
    for module in block.modules():
        module.training = False
        for p in module.parameters(recurse=False):
            p.requires_grad = False
    return block


def freeze_statistics_by_momentum(block):
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0  # they stay, but the batch's own are used
    block.requires_grad_(False)
    return block


def freeze_without_gradients_kept(block):
    for p in block.parameters():
        p.register_hook(lambda gradient: gradient * 0) if p.requires_grad else None
    return block.eval()


def worth(accuracy, counts, curve, back=lambda x: 10**x, axis=np.log10):
    return float(back(np.interp(accuracy, curve, axis(counts))))


def worth_loop(accuracy, counts, curve):
    if accuracy <= curve[0]:
        return counts[0]
    for a, b, low, high in zip(counts, counts[1:], curve, curve[1:]):
        if accuracy <= high:
            return a * (b / a) ** ((accuracy - low) / (high - low))
    return counts[-1]


def worth_beyond(accuracy, counts, curve):
    inside = worth(accuracy, counts, curve)
    return 1000.0 if accuracy > curve[-1] else inside


RIGHT = [
    (checks.check_stopped, stopped),
    (checks.check_stopped, stopped_by_plateau),
    (checks.check_stopped, stopped_by_indices),
    (checks.check_freeze, freeze),
    (checks.check_freeze, freeze_one_by_one),
    (checks.check_freeze, lambda block: block.train(False).requires_grad_(False)),
    (checks.check_worth, worth),
    (checks.check_worth, worth_loop),
    (checks.check_worth, lambda *a: worth(*a, back=np.exp, axis=np.log)),
]

WRONG = [
    (checks.check_stopped, lambda *a: stopped(*a) - 1, "epochs count from 1"),
    (checks.check_stopped, lambda losses, p, g: losses.index(min(losses[:3])) + 1, "epoch of the best loss"),
    (checks.check_stopped, lambda losses, p, g: stopped(losses, p, 0.0), "lower by `min_gain`"),
    (checks.check_stopped, stopped_by_previous, "not with lower ones since"),
    (checks.check_stopped, total_waiting, "starts the waiting anew"),
    (checks.check_stopped, lambda losses, p, g: stopped(losses, p, g) % len(losses), "has not stopped"),
    (checks.check_stopped, lambda losses, p, g: 6, "count the epochs since"),
    (checks.check_stopped, lambda *a: 0.5, "give an epoch"),
    (checks.check_freeze, lambda block: freeze(block, mode=False), "batch norm in training mode goes on counting"),
    (checks.check_freeze, lambda block: freeze(block, gradient=False), "eval mode stops no gradient"),
    (checks.check_freeze, lambda block: block, "nothing is frozen"),
    (checks.check_freeze, lambda block: freeze(copy.deepcopy(block)), "return the block that you were given"),
    (checks.check_freeze, freeze_statistics_by_momentum, "its batch norm takes the batch's own statistics"),
    (checks.check_freeze, freeze_without_gradients_kept, "still ask for gradients"),
    (checks.check_worth, lambda *a: worth(*a, back=lambda x: x, axis=np.asarray), "linear in the number of labels"),
    (checks.check_worth, lambda *a: worth(*a, back=lambda x: x), "a logarithm: take it back"),
    (checks.check_worth, lambda accuracy, counts, curve: counts[-1], "is worth 10.00 labels"),
    (checks.check_worth, worth_beyond, "do not guess beyond"),
    (checks.check_worth, lambda *a: "ten", "asked for a number"),
]
