"""Checks of lesson 04: rotation and relative position."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sslkit import device as devices
from sslkit.checks.answer import Wrong, check, number, tensor
from sslkit.pretext import DIRECTIONS


@check
def check_turn(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    images = torch.randint(256, (6, 2, 4, 4), generator=devices.generator(0)).float()
    quarters = torch.tensor([1, 2, 3, 0, 3, 1])

    def turned(x: Tensor, k: Tensor) -> Tensor:
        return torch.stack([image.rot90(int(n), dims=(1, 2)) for image, n in zip(x, k)])

    got, right = _same_shape(answer, images, quarters), turned(images, quarters)
    if torch.equal(got, turned(images, -quarters)):
        raise Wrong("your images turn clockwise; a quarter is counter-clockwise, as torch.rot90 has it.")
    for k in range(4):
        if torch.equal(got, turned(images, torch.full((6,), k))):
            raise Wrong(f"you turned every image by {k} quarters; image i turns by quarters[i].")
    if torch.equal(got, right.flip(3)) or torch.equal(got, right.flip(2)):
        raise Wrong("each image is also mirrored. A quarter turn is a transposition and then one flip, of the rows.")
    if not torch.equal(got, right) and torch.allclose(got, right, atol=1.0):
        raise Wrong("nearly right, but not the same numbers: pixels were interpolated. Move them, and change none.")
    for i in range(6):
        if not torch.equal(got[i], right[i]):
            raise Wrong(f"image {i} is not the input turned by {quarters[i]} quarters counter-clockwise.")
    if not torch.equal(_same_shape(answer, right, -quarters), images):
        raise Wrong("turning back does not restore the images: a negative number of quarters turns clockwise.")
    if _same_shape(answer, images.byte(), quarters).dtype != torch.uint8:
        raise Wrong("uint8 images came back as another type. Turning moves pixels; their type stays.")


def _same_shape(answer: Callable[[Tensor, Tensor], Tensor], images: Tensor, quarters: Tensor) -> Tensor:
    got = tensor(answer, images, quarters)
    if got.shape != images.shape:
        raise Wrong(f"images {tuple(images.shape)} give as many of the same shape; yours is {tuple(got.shape)}.")
    return got


@check
def check_knows_nothing(answer: Callable[[int], float]) -> None:
    for answers in (4, 8, 24):
        got, right = number(answer, answers), math.log(answers)
        if abs(got - right) < 1e-5:
            continue
        reasons = {
            1 / answers: "that is the probability of the right answer; the loss is minus its logarithm.",
            -right: "a loss is not negative: the logarithm of a probability is, and the loss is minus that.",
            math.log2(answers): "that is in bits; the course's cross-entropy is in nats. Take the natural logarithm.",
            math.log10(answers): "you took the logarithm to the base 10; the cross-entropy has the natural one.",
            right / answers: "the loss counts the right answer alone: do not weight its logarithm with 1/K.",
        }
        for value, reason in reasons.items():
            if abs(got - value) < 1e-5:
                raise Wrong(f"with {answers} answers you gave {got:.3f}: {reason}")
        raise Wrong(f"with {answers} answers, each with probability 1/{answers}: {right:.3f}; you gave {got:.3f}.")


@check
def check_neighbour(answer: Callable[[Tensor, int, int, int, tuple[int, int]], Tensor]) -> None:
    image = torch.arange(2 * 22 * 25).float().view(2, 22, 25)
    moves = [(1, 0), (0, -1), (-1, 1), (0, 1), (1, -1), (-1, 0), (1, 1), (0, -1)]
    got = [_patch(answer, image, k, 4, 1, moves[k]) for k in range(8)]

    def patches(step: int = 5, directions: Sequence[tuple[int, int]] = DIRECTIONS, shift: int = 0, by=moves) -> list:
        first, found = ((22 - 4) // 2 + shift, (25 - 4) // 2 + shift), []
        for (down, right), move in zip(directions, by):
            top, left = first[0] + step * down + move[0], first[1] + step * right + move[1]
            found.append(image[:, top : top + 4, left : left + 4])
        return found

    nine = [(k // 3 - 1, k % 3 - 1) for k in range(9)]
    wrong = {
        "the jitter is not used: add move[0] to the rows and move[1] to the columns.": patches(by=[(0, 0)] * 8),
        "a move is down, then right; yours is the other way round.": patches(by=[move[::-1] for move in moves]),
        "you count the directions column by column; they go row by row, as one reads.": (
            patches(directions=[d[::-1] for d in DIRECTIONS])
        ),
        "yours lies on the opposite side: seen from the first patch, direction 0 is up and left.": (
            patches(directions=DIRECTIONS[::-1])
        ),
        "you count the middle as a direction. There are eight: 3 is left of the first patch, and 4 right of it.": (
            patches(directions=nine[:8])
        ),
        "there is no gap. The next patch starts patch + gap pixels on.": patches(step=4),
        "the gap is twice as wide as asked for.": patches(step=6),
        "the first patch lies too far down and right: its middle is the image's, not its corner.": patches(shift=2),
    }
    right = patches()
    for reason, candidate in wrong.items():
        if all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(got, candidate)):
            raise Wrong(reason)
    for k in range(8):
        if not torch.equal(got[k], right[k]):
            corner, yours = right[k][0, 0, 0], got[k][0, 0, 0]
            raise Wrong(f"direction {k}: the corner should be pixel {corner:.0f}, yours is {yours:.0f}.")
    large = torch.arange(30.0 * 30).view(1, 30, 30)
    if not torch.equal(_patch(answer, large, 7, 8, 2, (0, 0)), large[:, 21:29, 21:29]):
        raise Wrong("right for patches of 4 px, wrong for 8: is a number written in the place of an argument?")
    odd = _patch(answer, large, 7, 7, 2, (0, 0))
    if not torch.equal(odd, large[:, 20:27, 20:27]):
        raise Wrong("right for an even number of pixels, wrong for 7: the first patch begins at (H − patch) // 2.")


def _patch(answer: Callable, image: Tensor, direction: int, patch: int, gap: int, move: tuple[int, int]) -> Tensor:
    got = tensor(answer, image, direction, patch, gap, move)
    if got.shape != (len(image), patch, patch):
        wanted = (len(image), patch, patch)
        raise Wrong(f"an image {tuple(image.shape)} and patch={patch} give {wanted}; yours is {tuple(got.shape)}.")
    return got
