"""Checks of lesson 02: the missing part."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import device as devices
from sslkit.checks.answer import Wrong, as_tensor, call, check, number


@check
def check_scatter(answer: Callable[[int, int, int, torch.Generator], Tensor]) -> None:
    got = _mask(call(answer, 40, 8, 3, devices.generator(0)), 40, 8)
    counts = got.sum(dim=1).tolist()
    if set(counts) == {5}:
        raise Wrong("you marked the 5 patches of 8 that stay visible; true means hidden.")
    if set(counts) != {3}:
        raise Wrong(
            f"3 of 8 patches are to be hidden in every image; yours hide {sorted(set(counts))} of them. To compare "
            "random numbers with a share, or to draw places one by one, gives the right number only now and then: "
            "shuffle the patches, and take the first 3."
        )
    if len(got.unique(dim=0)) == 1:
        raise Wrong("all 40 images have the same patches hidden: every image draws for itself.")
    if not torch.equal(got, _mask(call(answer, 40, 8, 3, devices.generator(0)), 40, 8)):
        raise Wrong("the same generator gave two different masks: hand `generator` to whatever draws.")
    if torch.equal(got, _mask(call(answer, 40, 8, 3, devices.generator(1)), 40, 8)):
        raise Wrong("another generator gave the same masks: hand `generator` to whatever draws.")
    forms = len(_mask(call(answer, 500, 8, 3, devices.generator(2)), 500, 8).unique(dim=0))
    if forms < 50:
        raise Wrong(f"3 of 8 patches can be chosen in 56 ways; 500 of your masks show only {forms} of them.")
    if _mask(call(answer, 5, 64, 32, devices.generator(3)), 5, 64).sum(dim=1).tolist() != [32] * 5:
        raise Wrong("right for 3 of 8 patches, wrong for 32 of 64: is a number written in the place of an argument?")


def _mask(got: object, n: int, patches: int) -> Tensor:
    mask = as_tensor(got)
    if mask.shape != (n, patches):
        raise Wrong(f"{n} images of {patches} patches need a mask ({n}, {patches}); yours is {tuple(mask.shape)}.")
    if mask.dtype != torch.bool:
        raise Wrong(f"your mask is {mask.dtype}; expected torch.bool, true where a patch is hidden.")
    return mask


@check
def check_masked_mse(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    g = devices.generator(0)
    prediction, target = torch.randn(3, 2, 4, 4, generator=g), torch.randn(3, 2, 4, 4, generator=g)
    # Holes of different sizes, so that a mean of means shows, and two channels, so that forgetting them does.
    mask = torch.arange(16).view(1, 1, 4, 4) < torch.tensor([2, 7, 13])[:, None, None, None]
    got, error = number(answer, prediction, target, mask), (prediction - target).square()
    hidden = error[mask.expand_as(error)]
    by_image = (error * mask).flatten(1).sum(dim=1) / (2 * mask.flatten(1).sum(dim=1))
    reasons = {
        "you took the mean over all pixels and left the mask out.": error.mean(),
        "you set visible errors to zero, and divided by all pixels. Divide by the number of hidden ones.": (
            hidden.sum() / error.numel()
        ),
        "this is the error of the visible pixels; true means hidden.": error[~mask.expand_as(error)].mean(),
        "twice too large, with two channels: the mask has one channel. Each hidden pixel holds C values.": (
            2 * hidden.mean()
        ),
        "you took the mean of each image, then of these: pixels of small holes count more. Take one mean.": (
            by_image.mean()
        ),
        "you summed; asked for: the mean.": hidden.sum(),
        "this is the mean absolute error; asked for: squared.": hidden.sqrt().mean(),
        "you took the root; asked for: the mean squared error itself.": hidden.mean().sqrt(),
    }
    for reason, value in reasons.items():
        if abs(got - float(value)) < 1e-5 * max(1.0, abs(float(value))):
            raise Wrong(reason)
    if not abs(got - float(hidden.mean())) <= 1e-5:
        raise Wrong(f"the mean squared error inside the holes is {float(hidden.mean()):.4f}; you gave {got:.4f}.")


@check
def check_leaks(answer: Callable[[Callable, Tensor, Tensor], bool]) -> None:
    x = torch.rand(6, 3, 16, 16, generator=devices.generator(0))
    mask = torch.zeros(6, 1, 16, 16, dtype=torch.bool)
    mask[:, :, 4:12, 4:12] = True
    fill = 0.5

    def blurred(x: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, fill, F.avg_pool2d(x, 3, stride=1, padding=1))

    def one_pixel(x: Tensor, mask: Tensor) -> Tensor:
        shown = torch.where(mask, fill, x)
        shown[..., 7, 9] = x[..., 7, 9]
        return shown

    def centred(x: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, fill, x - x.mean(dim=(1, 2, 3), keepdim=True))

    honest = {
        "hides the pixels": lambda x, mask: torch.where(mask, fill, x),
        "hides the pixels and makes the rest darker": lambda x, mask: torch.where(mask, fill, 0.5 * x),
    }
    leaking = {
        "leaves the picture as it is": (lambda x, mask: x, "you call a picture without a hole honest."),
        "leaves a hundredth of the pixels' contrast": (
            lambda x, mask: torch.where(mask, fill + 0.01 * (x - fill), x),
            "you overlook a faint leak: compare exactly, with torch.equal, and not whether the hole looks grey.",
        ),
        "leaves one pixel of the hole": (
            one_pixel,
            "you overlook a pixel that stays. Change all of the hidden pixels, not some.",
        ),
        "blurs, then hides": (
            blurred,
            "you overlook what a blur carries out of the hole. Compare the whole inputs, not only the hole.",
        ),
        "subtracts the mean of the whole picture, then hides": (
            centred,
            "you overlook a mean to which hidden pixels have contributed. Compare the whole inputs, not only the hole.",
        ),
    }
    verdicts = {name: _verdict(answer, make, x, mask) for name, make in honest.items()}
    verdicts |= {name: _verdict(answer, make, x, mask) for name, (make, _) in leaking.items()}
    if all(verdicts[name] for name in honest) and not any(verdicts[name] for name in leaking):
        raise Wrong("the other way round: true means that something leaks.")
    for name in honest:
        if verdicts[name]:
            raise Wrong(f"you call a function that {name} leaking. Change the hidden pixels alone, and no visible one.")
    for name, (_, reason) in leaking.items():
        if not verdicts[name]:
            raise Wrong(f"{reason} (The function {name}.)")


def _verdict(answer: Callable, make_input: Callable, x: Tensor, mask: Tensor) -> bool:
    result = call(answer, make_input, x, mask)
    if isinstance(result, Tensor) and result.numel() != 1:
        raise Wrong(f"asked for one answer, true or false; yours has shape {tuple(result.shape)}.")
    return bool(result)
