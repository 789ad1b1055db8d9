"""Checks of lesson 11: masked images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sslkit import device as devices
from sslkit.checks.answer import Wrong, check, number, tensor


@check
def check_patchify(answer: Callable[[Tensor, int], Tensor]) -> None:
    images = torch.arange(2 * 3 * 4 * 6).float().view(2, 3, 4, 6)
    got = _tokens(answer, images, 2, (2, 6, 12))
    rows, columns, p = 2, 3, 2
    cut = images.view(2, 3, rows, p, columns, p)  # N, C, rows, p, columns, p
    right = cut.permute(0, 2, 4, 1, 3, 5).reshape(2, 6, 12)
    wrong = {
        "your patches go column by column; they are numbered row by row, as one reads.": (0, 4, 2, 1, 3, 5),
        "within a patch the colours of a pixel lie side by side; first come all red pixels, then green, then blue.": (
            (0, 2, 4, 3, 5, 1)
        ),
        "each patch is mirrored along its diagonal: within a patch, too, rows come before columns.": (0, 2, 4, 1, 5, 3),
        "your tokens are not squares: they hold pixels from all over the image, every 2nd of a row and of a column. "
        "Split H into (rows, patch), not into (patch, rows).": None,
    }
    for reason, order in wrong.items():
        if order is None:
            other = images.view(2, 3, p, rows, p, columns).permute(0, 3, 5, 1, 2, 4).reshape(2, 6, 12)
        else:
            other = cut.permute(*order).reshape(2, 6, 12)
        if torch.equal(got, other):
            raise Wrong(reason)
    if torch.equal(got, images.reshape(2, 6, 12)):
        raise Wrong("that is a reshape alone, which cuts the list of pixels and not the image. Axes must be swapped.")
    if not torch.equal(got, right):
        n, i, j = (int(k) for k in (got != right).nonzero()[0])
        raise Wrong(
            f"image {n}, patch {i}: number {j} should be pixel {right[n, i, j]:.0f}, yours is {got[n, i, j]:.0f}."
        )
    larger = torch.arange(1 * 1 * 8 * 8).float().view(1, 1, 8, 8)
    expected = larger.view(1, 1, 2, 4, 2, 4).permute(0, 2, 4, 1, 3, 5).reshape(1, 4, 16)
    if not torch.equal(_tokens(answer, larger, 4, (1, 4, 16)), expected):
        raise Wrong("right for patches of 2 px, wrong for 4: is a number written in the place of an argument?")


def _tokens(answer: Callable, images: Tensor, patch: int, shape: tuple[int, ...]) -> Tensor:
    got = tensor(answer, images, patch)
    if got.shape != shape:
        what = f"images {tuple(images.shape)} and patch={patch} give (N, P, C · patch²) = {shape}"
        raise Wrong(f"{what}; yours is {tuple(got.shape)}.")
    return got


@check
def check_random_mask(answer: Callable[[int, int, float, torch.Generator], Tensor]) -> None:
    for patches, ratio in ((64, 0.75), (10, 0.5), (10, 0.58), (49, 0.9)):
        got = _mask(answer, 400, patches, ratio, 0)
        wanted, counts = round(ratio * patches), got.sum(dim=1)
        if (counts == patches - wanted).all() and wanted != patches - wanted:
            raise Wrong(
                f"with ratio {ratio} you hide {int(counts[0])} of {patches} patches and show the rest: {_SWAPPED}"
            )
        if (counts == int(ratio * patches)).all() and wanted != int(ratio * patches):
            down = f"{ratio} · {patches} = {ratio * patches:.1f} was rounded down to {int(counts[0])}"
            raise Wrong(f"{down}; round(…) gives {wanted}.")
        if counts.min() != counts.max():
            raise Wrong(
                f"{int(counts.min())} to {int(counts.max())} of {patches} patches are hidden, by chance. The number is "
                "to be the same in every image, or what is visible makes no tensor: hide the first M of a random order."
            )
        if counts[0] != wanted:
            raise Wrong(f"with ratio {ratio}, {wanted} of {patches} patches are hidden; yours hides {int(counts[0])}.")
        if (got == got[:1]).all():
            raise Wrong("every image of the batch has the same mask; each is to draw its own.")
        if patches > 40 and len(got.unique(dim=0)) < 350:  # a small grid has few masks
            raise Wrong("only a few different masks come up; each image is to draw its own, out of all that there are.")
        share = got.float().mean(dim=0)
        if share.max() - share.min() > 0.35:
            most, least = int(share.argmax()), int(share.argmin())
            raise Wrong(
                f"patch {most} is hidden in {share[most]:.0%} of the images, and patch {least} in {share[least]:.0%}; "
                "all are to be hidden as often."
            )
    if not torch.equal(_mask(answer, 8, 64, 0.75, 1), _mask(answer, 8, 64, 0.75, 1)):
        raise Wrong("the same generator gave another mask: hand it on, torch.rand(…, generator=generator).")
    if torch.equal(_mask(answer, 8, 64, 0.75, 1), _mask(answer, 8, 64, 0.75, 2)):
        raise Wrong("another generator gave the same mask: hand it on, torch.rand(…, generator=generator).")


_SWAPPED = "the ratio is the share that is hidden, and true means hidden."


def _mask(answer: Callable, n: int, patches: int, ratio: float, seed: int) -> Tensor:
    got = tensor(answer, n, patches, ratio, devices.generator(seed))
    if got.shape != (n, patches) or got.dtype != torch.bool:
        raise Wrong(f"asked for torch.bool, shape {(n, patches)}; yours is {got.dtype}, {tuple(got.shape)}.")
    return got


@check
def check_hidden_loss(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    g = devices.generator(0)
    prediction, target = torch.randn(2, 6, 4, generator=g), torch.randn(2, 6, 4, generator=g)
    hidden = torch.tensor([[1, 1, 1, 0, 1, 0], [0, 1, 0, 1, 1, 1]]).bool()
    error = (prediction - target).square()
    right = error[hidden].mean().item()
    got = number(answer, prediction, target, hidden)
    reasons = {
        error.mean().item(): "that is the error over all patches. The visible ones are no question: count the hidden.",
        error[~hidden].mean().item(): "that is the error over the visible patches. True means hidden.",
        (error * hidden[:, :, None])
        .mean()
        .item(): "you set the visible patches' error to 0 and still count them in the "
        "mean. Divide by the number of hidden ones.",
        error[hidden].sum().item(): "that is the sum. Take the mean over the hidden patches and their numbers.",
        4 * right: "you divide by the hidden patches alone; each has 4 numbers, and the mean is over them, too.",
        (prediction - target).abs()[hidden].mean().item(): "that is the absolute error; take the square.",
        right**0.5: "do not take the root at the end: the loss is the mean square.",
    }
    for value, reason in reasons.items():
        if abs(got - value) < 1e-5 and abs(right - value) > 1e-5:
            raise Wrong(reason)
    if not abs(got - right) <= 1e-5:
        raise Wrong(f"on the trial input the loss is {right:.4f}; yours is {got:.4f}.")
