"""Image -> (input, target made from the image itself)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation(x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Turn every image by 0, 90, 180 or 270 degrees (counter-clockwise), at random; the target says which.

    Shapes: (N, C, S, S) -> inputs (N, C, S, S), target int64 (N,) in 0 … 3. Exact: pixels move, none is interpolated.
    Ref: Gidaris, Singh, Komodakis 2018, "Unsupervised representation learning by predicting image rotations", Sec. 3.1.
    """
    target = torch.randint(4, (len(x),), generator=generator, device=x.device)
    return rotate(x, target), target


def all_rotations(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every image in all four positions: inputs (4N, C, S, S), target (4N,) = 0…0 1…1 2…2 3…3."""
    target = torch.arange(4, device=x.device).repeat_interleave(len(x))
    return rotate(x.repeat(4, 1, 1, 1), target), target


def rotate(x: Tensor, quarters: Tensor) -> Tensor:
    """Turn image i by 90° · quarters[i], counter-clockwise."""
    if x.ndim != 4 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"a quarter turn needs square images (N, C, S, S); got {tuple(x.shape)}. Crop or resize them.")
    out = torch.empty_like(x)
    for k in range(4):
        here = quarters % 4 == k
        out[here] = x[here].rot90(k, dims=(2, 3))
    return out
