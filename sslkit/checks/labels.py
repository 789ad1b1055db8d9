"""Checks of lessons 00 and 01: chance, neighbours, a draw of labels, clusters, four turns."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import device as devices
from sslkit.checks.answer import NotWritten, Wrong, as_tensor, call, check, number, tensor


@check
def check_chance(answer: Callable[[int], float]) -> None:
    for classes in (2, 10, 100):
        got = number(answer, classes)
        if abs(got - classes) < 1e-9:
            raise Wrong(
                f"with {classes} classes you gave {got:g}, the number of classes; asked for: a share of right guesses."
            )
        if abs(got - 100 / classes) < 1e-9:
            raise Wrong(
                f"with {classes} classes you gave {got:g}: that is percent. The course uses shares from 0 to 1."
            )
        if not abs(got - 1 / classes) <= 1e-6:
            raise Wrong(f"with {classes} classes a blind guess is right {1 / classes:g} of the time; you gave {got:g}.")


@check
def check_nearest(answer: Callable[[Tensor, int], int]) -> None:
    # Row 1 points the same way as row 0, but is far from it; row 2 is close to it, but points elsewhere.
    z = torch.tensor([[1.0, 0.1], [6.0, 0.9], [0.6, 0.7], [-3.0, 0.2]])
    row = tensor(answer, z, 0)
    if row.numel() != 1:
        raise Wrong(f"asked for one number, that of the nearest row; yours has shape {tuple(row.shape)}.")
    got = row.item()
    if not float(got).is_integer():
        raise Wrong(f"you returned {got:.3f}, which looks like a similarity; asked for: the number of the row.")
    if got == 0:
        raise Wrong("you returned the row itself: it is always its own best match. Leave row i out.")
    if got == 2:
        raise Wrong(
            "you returned the row at the smallest distance. Compare directions: scale every row to length 1 first."
        )
    if got == 3:
        raise Wrong("you returned the row that is least similar; the cosine is largest for the nearest.")
    if got != 1:
        raise Wrong(f"for row 0 the nearest by cosine is row 1; you returned {got!r}.")
    z = torch.tensor([[1.0, 0.0], [9.0, 9.0], [0.5, 0.1], [0.0, 2.0]])
    if int(call(answer, z, 0)) != 2:
        raise Wrong(
            "a long row beat one that points the same way: you use the dot product. Scale every row to length 1."
        )
    if int(call(answer, torch.tensor([[1.0, 0.0], [-1.0, 0.1], [-1.0, -2.0]]), 0)) == 0:
        raise Wrong("where all others point away, yours returns the row itself: hide it with a number below −1, not 0.")
    z = torch.randn(20, 8, generator=devices.generator(0))
    for i in (3, 19):
        similarity = F.normalize(z, dim=1) @ F.normalize(z, dim=1)[i]
        similarity[i] = -2
        if int(call(answer, z, i)) != int(similarity.argmax()):
            raise Wrong(f"right for row 0, wrong for row {i}: is a number written in the place of i?")


@check
def check_draw(answer: Callable[[Tensor, int, int], Tensor]) -> None:
    labels = torch.tensor([0, 1, 2] * 20)[torch.randperm(60, generator=devices.generator(1))]
    got = tensor(answer, labels, 4, 0)
    if got.dtype == torch.bool or got.is_floating_point() or got.shape != (12,):
        raise Wrong(
            f"4 labels a class of 3 classes are 12 indices, int64 (12,); you returned {got.dtype} {tuple(got.shape)}. "
            "torch.cat puts those of the classes one after the other."
        )
    if len(got.unique()) < 12:
        raise Wrong("an image was drawn twice: draw without replacement.")
    if got.min() < 0 or got.max() >= len(labels):
        raise Wrong(f"an index lies outside 0 … {len(labels) - 1}.")
    counts = torch.bincount(labels[got], minlength=3).tolist()
    if counts != [4, 4, 4]:
        raise Wrong(f"each class should come 4 times; yours come {counts} times. Draw class by class.")
    if sorted(got.tolist()) != sorted(tensor(answer, labels, 4, 0).tolist()):
        raise Wrong("the same seed gave two different draws: draw from a generator that is made from the seed.")
    others = [sorted(tensor(answer, labels, 4, seed).tolist()) for seed in (1, 2, 3)]
    if all(other == sorted(got.tolist()) for other in others):
        raise Wrong("every seed gave the same draw: you always take the first ones. Shuffle first.")
    labels = torch.arange(12).repeat(9)
    many = tensor(answer, labels, 2, 0)
    if many.shape != (24,) or torch.bincount(labels[many], minlength=12).tolist() != [2] * 12:
        raise Wrong("right for 3 classes, wrong for 12: is a number written in the place of how many there are?")


@check
def check_assign(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    # The last two lie nearer to another centre by the sum of the differences, or by the largest of them.
    points = torch.tensor([[0, 0], [0.2, 0.1], [5, 5], [4.8, 5.1], [-3, 4], [3, 3], [2.6, 2.8]])
    centres, right = torch.tensor([[5.0, 5.0], [0.0, 0.0], [0.0, 3.0]]), [1, 1, 0, 0, 2, 0, 2]
    got = tensor(answer, points, centres)
    if got.shape == (3,):
        raise Wrong(
            "you gave one point for each centre; asked for: one centre for each point. Look at the axis of argmin."
        )
    if got.shape != (7,):
        raise Wrong(f"7 points need 7 answers, shape (7,); yours has shape {tuple(got.shape)}.")
    if got.tolist() == torch.cdist(points, centres).argmax(1).tolist():
        raise Wrong("you chose the farthest centre of each point; asked for: the nearest.")
    if got.tolist() != right:
        others = (torch.cdist(points, centres, p=p).argmin(1).tolist() for p in (1, math.inf))
        norm = " The distance is the Euclidean one: the root of the sum of squares." if got.tolist() in others else ""
        raise Wrong(f"expected centres {right} for the seven points; you gave {got.tolist()}.{norm}")


@check
def check_four_turns(answer: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    image = torch.arange(2 * 3 * 3).float().view(2, 3, 3)
    got = call(answer, image)
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("return two things: the four turned images, and the four targets.")
    if any(part is ... for part in got):
        raise NotWritten
    images, targets = as_tensor(got[0]), as_tensor(got[1])
    if images.shape != (4, 2, 3, 3):
        raise Wrong(f"an image (2, 3, 3) gives four, shape (4, 2, 3, 3); yours have shape {tuple(images.shape)}.")
    if targets.tolist() != [0, 1, 2, 3]:
        raise Wrong(f"the targets are the quarter turns [0, 1, 2, 3]; yours are {targets.tolist()}.")
    right = torch.stack([image.rot90(k, dims=(1, 2)) for k in range(4)])
    if torch.equal(images, right):
        return
    if torch.equal(images, right[[0, 3, 2, 1]]):
        raise Wrong("your images turn clockwise; target 1 is a quarter turn counter-clockwise, as torch.rot90 does.")
    if all(torch.equal(image, images[0]) for image in images):
        raise Wrong("your four images are the same: turn image k by k quarters.")
    raise Wrong(
        "the images are not the four turns of the input. Turn the last two axes, height and width, not the channels."
    )
