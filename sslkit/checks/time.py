"""Checks of lesson 07: prediction in time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from sslkit import device as devices
from sslkit.checks.answer import NotWritten, Wrong, as_tensor, call, check, tensor


@check
def check_all_pairs(answer: Callable[[Tensor, int, int], tuple[Tensor, Tensor]]) -> None:
    film = torch.rand(12, 2, 3, 3, generator=devices.generator(0))
    for past, ahead, frames in ((4, 1, 9), (3, 2, 9), (2, 4, 9), (5, 4, 9), (1, 1, 9), (4, 1, 12)):
        clip = film[:frames]
        inputs, targets = _pairs(answer, clip, past, ahead)
        count = len(clip) - past - ahead + 1
        asked = f"past={past}, ahead={ahead}, {len(clip)} frames"
        if len(inputs) != count:
            late = {count - 1: " The last one is missing.", count + 1: " Is there a target for every one?"}
            raise Wrong(f"{asked}: there are {count} pairs; yours are {len(inputs)}.{late.get(len(inputs), '')}")
        for s in range(count):
            seen, target = clip[s : s + past], clip[s + past - 1 + ahead]
            if torch.equal(inputs[s], seen.flip(0)) and past > 1:
                raise Wrong(f"{asked}: the frames of an input run backwards. The earliest comes first.")
            if not torch.equal(inputs[s], seen):
                raise Wrong(f"{asked}: input {s} should be frames {s} to {s + past - 1}.")
            if torch.equal(targets[s], target):
                continue
            if any(torch.equal(targets[s], frame) for frame in seen):
                raise Wrong(
                    f"{asked}: target {s} is one of the frames of its input. That is a leak: copying solves it."
                )
            if s + past + ahead < len(clip) and torch.equal(targets[s], clip[s + past + ahead]):
                raise Wrong(f"{asked}: target {s} lies one frame too far; ahead=1 is the frame right after the input.")
            if ahead > 1 and torch.equal(targets[s], clip[s + past]):
                raise Wrong(f"{asked}: target {s} is the next frame; asked for: {ahead} ahead of the last one seen.")
            raise Wrong(f"{asked}: target {s} should be frame {s + past - 1 + ahead}.")


def _pairs(answer: Callable, clip: Tensor, past: int, ahead: int) -> tuple[Tensor, Tensor]:
    got = call(answer, clip, past, ahead)
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("asked for two things: all inputs, and their targets.")
    if any(part is ... for part in got):
        raise NotWritten
    inputs, targets = (as_tensor(part) for part in got)
    frame = tuple(clip.shape[1:])
    if tuple(inputs.shape[1:]) != (past, *frame) or tuple(targets.shape[1:]) != frame or len(inputs) != len(targets):
        raise Wrong(
            f"with past={past}, frames of {frame} give inputs (M, {', '.join(map(str, (past, *frame)))}) and targets "
            f"(M, {', '.join(map(str, frame))}); yours are {tuple(inputs.shape)} and {tuple(targets.shape)}."
        )
    return inputs, targets


@check
def check_best_guess(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    futures = torch.rand(4, 1, 3, 3, generator=devices.generator(0))
    for p in ((0.1, 0.2, 0.3, 0.4), (0.25, 0.25, 0.25, 0.25), (0.5, 0.5, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)):
        share = torch.tensor(p)
        got, right = tensor(answer, futures, share).float(), torch.einsum("k,kchw->chw", share, futures)
        if got.shape != right.shape:
            raise Wrong(f"asked for one picture {tuple(right.shape)}; yours is {tuple(got.shape)}.")
        if torch.allclose(got, right, atol=1e-5):
            continue
        reasons = {
            "you left the probabilities out: a likelier future counts for more.": futures.mean(dim=0),
            "that is the likeliest future. It is sharp, and where it is wrong it pays with a whole square.": (
                futures[share.argmax()]
            ),
            "that is the median: it has the smallest absolute error, not the smallest squared one.": (
                futures.median(dim=0).values
            ),
            "the probabilities add up to 1 already: do not divide by the number of futures.": right / len(futures),
            "you weighted with the square roots of the probabilities; the probabilities themselves are the weights.": (
                torch.einsum("k,kchw->chw", share.sqrt(), futures)
            ),
        }
        for reason, value in reasons.items():
            if torch.allclose(got, value, atol=1e-5):
                raise Wrong(reason)
        cost = [float((share * (futures - x).square().mean(dim=(1, 2, 3))).sum()) for x in (got, right)]
        raise Wrong(f"with the probabilities {p} your picture costs {cost[0]:.4f} on average, the best {cost[1]:.4f}.")


@check
def check_wrong_orders(answer: Callable[[int], Sequence[Sequence[int]]]) -> None:
    for frames in (3, 4, 5):
        orders = call(answer, frames)
        if not isinstance(orders, Iterable):
            raise Wrong(f"asked for the orders themselves, a list of them; you returned {orders!r}.")
        got = [tuple(int(i) for i in order) for order in orders]
        right = tuple(range(frames))
        every = set(itertools.permutations(right))
        wanted = every - {right, right[::-1]}
        for order in got:
            if order not in every:
                raise Wrong(f"{list(order)} is no order of {frames} frames: each of 0 to {frames - 1} once.")
        if right in got:
            raise Wrong(f"{list(right)} is among yours: that is the right order.")
        if right[::-1] in got:
            raise Wrong(
                f"{list(right[::-1])} is among yours: that is the clip backwards, and left to the arrow of time."
            )
        if len(set(got)) < len(got):
            raise Wrong("an order is there twice; each comes once.")
        if len(got) < len(wanted):
            raise Wrong(f"of {frames} frames there are {len(wanted)} wrong orders; yours are {len(got)}.")
