"""photodigits: 1,797 real handwritten digits drawn over crops of two real photographs. 32×32 RGB, 10 classes.

Both come with scikit-learn, so the set is there without a network, and it is built from a fixed seed in about a
second. It is split by handwriting and by region of the photographs: no digit and no background pixel is shared
between train, val and test. The 13 writers are not split: each has digits in all three.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import names
from sslkit.data.split import Split, fingerprint

VERSION = 1
SIZES = {"train": 12_000, "val": 2_000, "test": 2_000}
_HANDWRITINGS = {"train": 0.72, "val": 0.14, "test": 0.14}  # shares of the 1,797 digits, class by class
_BANDS = {"train": (0.0, 0.64), "val": (0.64, 0.82), "test": (0.82, 1.0)}  # columns of each photograph, as shares
_SEED = 20_260_101
_SIDE = 32


def load(split: str = "train") -> Split:
    """Build one split: images uint8 (N, 3, 32, 32), labels int64 (N,), sources = which of the 1,797 digits."""
    names.pick(split, SIZES, "split of photodigits")
    digit, label, draws = _draws(split)
    images = _compose(split, digit, draws)
    return Split(
        images=images,
        labels=torch.from_numpy(label),
        classes=tuple("0123456789"),
        sources=torch.from_numpy(digit),
        name="photodigits",
        split=split,
        hash=f"v{VERSION}-{fingerprint(torch.from_numpy(digit), *map(torch.from_numpy, draws.values()))}",
    )


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The ink of all handwritten digits, float32 (1797, 8, 8) in [0, 1], and which digit each is, int64 (1797,)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images / 16.0).astype(np.float32), data.target.astype(np.int64)


@functools.cache
def photographs() -> tuple[Tensor, ...]:
    """Both photographs at three quarters of their size, float (3, 320, 480) in [0, 1]."""
    from sklearn.datasets import load_sample_images

    photos = [torch.from_numpy(p.copy()).permute(2, 0, 1)[None] / 255.0 for p in load_sample_images().images]
    smaller = [
        F.interpolate(p, scale_factor=0.75, mode="bilinear", antialias=True, align_corners=False) for p in photos
    ]
    return tuple(p[0].clamp(0, 1) for p in smaller)


def _draws(split: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Which digit, where, how turned, on which crop, in which colour: everything random about a split.

    RandomState, and not the newer Generator, because its stream is guaranteed never to change.
    """
    _, target = digits()
    pool = handwritings(target)[split]
    n, rng = SIZES[split], np.random.RandomState(_SEED + list(SIZES).index(split))
    # Each handwriting is used equally often (to within one), in random order.
    digit = np.concatenate([rng.permutation(pool) for _ in range(-(-n // len(pool)))])[:n]
    uniform = lambda low, high, *shape: low + (high - low) * rng.random_sample((n, *shape))  # noqa: E731
    draws = {
        "angle": uniform(-0.2, 0.2),  # radians
        "zoom": uniform(1.05, 1.40),
        "shift": uniform(-0.15, 0.15, 2),
        "photo": rng.random_sample(n),
        "corner": rng.random_sample((n, 2)),
        "contrast": uniform(0.50, 0.65),
        "tint": uniform(-0.175, 0.175, 3),
    }
    return digit, target[digit], draws


def handwritings(target: np.ndarray) -> dict[str, np.ndarray]:
    """The digits of each split: disjoint, and with the same share of every class."""
    rng = np.random.RandomState(_SEED - 1)
    parts: dict[str, list[np.ndarray]] = {split: [] for split in SIZES}
    for k in range(10):
        mine = rng.permutation(np.flatnonzero(target == k))
        cuts = np.round(np.cumsum(list(_HANDWRITINGS.values()))[:-1] * len(mine)).astype(int)
        for split, part in zip(SIZES, np.split(mine, cuts), strict=True):
            parts[split].append(part)
    return {split: np.concatenate(p) for split, p in parts.items()}


def _compose(split: str, digit: np.ndarray, draws: dict[str, np.ndarray]) -> Tensor:
    n = len(digit)
    d = {key: torch.from_numpy(value).float() for key, value in draws.items()}

    # The stroke: 8×8 ink, padded by one, enlarged, then placed by a random affine map.
    ink = torch.from_numpy(digits()[0])[torch.from_numpy(digit)][:, None]  # (N, 1, 8, 8)
    ink = F.interpolate(F.pad(ink, (1, 1, 1, 1)), size=(40, 40), mode="bicubic", align_corners=False)
    cos, sin = d["zoom"] * d["angle"].cos(), d["zoom"] * d["angle"].sin()
    theta = torch.stack(
        [torch.stack([cos, -sin, d["shift"][:, 0]], 1), torch.stack([sin, cos, d["shift"][:, 1]], 1)], 1
    )
    grid = F.affine_grid(theta, [n, 1, _SIDE, _SIDE], align_corners=False)
    mask = ((F.grid_sample(ink, grid, align_corners=False) - 0.25) * 2.2).clamp(0, 1)  # (N, 1, 32, 32)

    photo = crops(split, d["photo"], d["corner"])
    colour = ink_colours(photo, d["contrast"], d["tint"])
    return ((photo * (1 - mask) + colour * mask) * 255).round().to(torch.uint8)


def crops(split: str, photo: Tensor, corner: Tensor) -> Tensor:
    """Squares of the photographs, float (N, 3, 32, 32), each wholly inside the split's band of one of them.

    Two shares in [0, 1) say which: `photo` (N,), of the row of photographs, and `corner` (N, 2), down and across.
    """
    photos = torch.stack(photographs())  # (2, 3, 320, 480)
    _, _, height, width = photos.shape
    left, right = (round(share * width) for share in _BANDS[split])
    which = (photo * len(photos)).long()
    top = (corner[:, 0] * (height - _SIDE + 1)).long()
    first = left + (corner[:, 1] * (right - left - _SIDE + 1)).long()
    span = torch.arange(_SIDE)
    rows, columns = (top[:, None] + span)[:, :, None], (first[:, None] + span)[:, None, :]
    return photos[which[:, None, None], :, rows, columns].permute(0, 3, 1, 2)


def ink_colours(photo: Tensor, contrast: Tensor, tint: Tensor) -> Tensor:
    """The colour of the stroke, (N, 3, 1, 1): toward the far end of brightness from the crop's mean, with a tint."""
    mean = photo.mean(dim=(1, 2, 3))
    toward = torch.where(mean < 0.5, contrast, -contrast)
    return ((mean + toward)[:, None] + tint).clamp(0, 1)[:, :, None, None]
