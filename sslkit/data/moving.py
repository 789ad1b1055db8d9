"""Things that move in a box: paths under gravity with bounces, and clips of any images that move over plain background.

    paths       where each thing is, frame by frame
    clips       the images of a set, moving along such paths, as in Moving MNIST

Places are in pixels from the upper left corner of the picture, x to the right and y down; speeds in pixels a frame.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_STEPS = 8  # of the motion between two frames


def paths(
    start: np.ndarray,
    velocity: np.ndarray,
    frames: int,
    low: np.ndarray | float,
    high: np.ndarray | float,
    gravity: float = 0.0,
    keep: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Follow N things in the box low … high: places (N, frames, 2), bounces since the frame before (N, frames).

        free:     p(t + h) = p + v h + ½ g h²,    v(t + h) = v + g h
        bounce:   the part of v across the wall turns round, then v is multiplied by `keep`

    Symbols: p -> place; v -> velocity; g -> (0, gravity), in pixels a frame². A corner counts as one bounce.
    Shapes:  start, velocity float64 (N, 2) as (x, y); low, high numbers, or (2,) for x and y.

    Without bounces, or with keep = 1, a path run backwards is again such a path; with keep < 1 it is not. Additions and
    products alone are used, in a fixed order, so that the paths are the same to the bit on every machine.
    """
    start, velocity = np.asarray(start, np.float64), np.asarray(velocity, np.float64)
    if start.ndim != 2 or start.shape[1] != 2 or velocity.shape != start.shape:
        raise ValueError(
            f"expected start and velocity (N, 2), x and y of each; got {start.shape} and {velocity.shape}."
        )
    if frames < 1:
        raise ValueError(f"frames is {frames}: at least 1 is needed.")
    if not 0 < keep <= 1:
        raise ValueError(f"keep is {keep}: the share of the speed that a bounce leaves is needed, 0 < keep <= 1.")
    if not ((low <= start) & (start <= high)).all():
        raise ValueError("some things start outside the box low … high. Draw their places within it.")
    h, g = 1 / _STEPS, np.array([0.0, gravity])
    p, v = start, velocity
    places, bounces = np.empty((len(p), frames, 2)), np.zeros((len(p), frames), np.int64)
    places[:, 0] = p
    for t in range(1, frames):
        for _ in range(_STEPS):
            p, v = p + v * h + g * (h * h / 2), v + g * h
            below, above = np.less(p, low), np.greater(p, high)
            p = np.where(below, low + (low - p) * keep, np.where(above, high - (p - high) * keep, p))
            p = np.clip(p, low, high)  # in case a step is longer than the box
            outside = below | above
            hit = np.any(outside, axis=1)
            v = np.where(hit[:, None], np.where(outside, -v, v) * keep, v)
            bounces[:, t] += hit
        places[:, t] = p
    return places, bounces


def clips(
    images: Tensor,
    frames: int = 10,
    size: int = 64,
    *,
    per_clip: int = 1,
    speed: tuple[float, float] = (1.0, 4.0),
    gravity: float = 0.0,
    keep: float = 1.0,
    background: int = 0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Let any images move over a plain background and bounce off the borders of the picture.

    per_clip    how many move in each clip: image i is joined by others drawn at random; the brighter pixel is seen
    speed       of the start, between these two, in pixels a frame and in every direction alike
    gravity     in pixels a frame²; keep: the share of the speed that a bounce leaves, see `paths`
    background  the value of the picture behind, 0 … 255; it is black unless you say so

    Shapes: images uint8 (N, C, H, W) -> clips uint8 (N, frames, C, size, size); places float (N, per_clip, frames, 2),
    x and y of each image's upper left corner; which (N, per_clip), the number of each image that moves.
    Images move by whole pixels, so none of theirs is changed. Two digits of MNIST in 64 × 64 without gravity are like
    the clips of Srivastava, Mansimov, Salakhutdinov 2015, "Unsupervised learning of video representations using LSTMs".
    """
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise ValueError(f"expected images uint8 (N, C, H, W); got {images.dtype} {tuple(images.shape)}.")
    n, channels, height, width = images.shape
    if max(height, width) >= size:
        raise ValueError(
            f"images of {height}×{width} cannot move in a picture of {size}×{size}. Give a larger size, such as "
            f"{2 * max(height, width)}."
        )
    if not 1 <= per_clip <= n:
        raise ValueError(f"per_clip is {per_clip}: expected 1 to {n}, as many as there are images.")
    if not 0 <= speed[0] <= speed[1]:
        raise ValueError(f"speed is {speed}: expected the smallest and the largest, such as (1, 4).")

    def uniform(*shape: int) -> np.ndarray:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).numpy()

    others = [torch.randperm(n, generator=generator) for _ in range(per_clip - 1)]
    which = torch.stack([torch.arange(n), *others], dim=1)  # (N, per_clip)
    m = n * per_clip
    room = np.array([size - width, size - height], np.float64)
    angle, pace = 2 * np.pi * uniform(m), speed[0] + (speed[1] - speed[0]) * uniform(m)
    velocity = np.stack([np.cos(angle), np.sin(angle)], axis=1) * pace[:, None]
    places, _ = paths(uniform(m, 2) * room, velocity, frames, 0.0, room, gravity, keep)
    corner = torch.from_numpy(places).round().long().view(n, per_clip, frames, 2)

    out = images.new_full((n, frames, channels, size, size), background)
    rows, columns = torch.arange(height), torch.arange(width)
    clip, frame = torch.arange(n)[:, None, None, None], torch.arange(frames)[:, None, None]
    for k in range(per_clip):
        x, y = corner[:, k, :, :1], corner[:, k, :, 1:]
        at = (clip, frame, slice(None), (y + rows)[..., :, None], (x + columns)[..., None, :])
        mine = images[which[:, k].to(images.device)].permute(0, 2, 3, 1)[:, None].expand(-1, frames, -1, -1, -1)
        out[at] = torch.maximum(out[at], mine)
    return out, torch.from_numpy(places).view(n, per_clip, frames, 2).float(), which
