"""movingdigits: the course's video. A handwritten digit is thrown over a photograph: 10 frames of 32×32 RGB a clip.

Digits and photographs are those of photodigits, in the same splits: no digit and no background pixel is shared between
train, val and test. Gravity pulls the digit down; a bounce off a border takes a fifth of its speed. That loss alone
tells which way time runs, since free flight looks the same backwards. So

- in every clip the digit bounces between its third frame and its third last, where both sides of it are seen;
- starts and ends are alike: as many clips lead from one kind of start to one kind of end as lead back. A kind is a
  cell of a grid of 3 × 6, a direction and a speed, over the first four frames, or over the last four run backwards.

One thing cannot be made alike: what has bounced is slower. Exact places and speeds of two neighbouring frames, put into
boosted trees, guess the arrow of time at 0.56; a linear guess is at 0.51. With those of all ten frames it is 0.99.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import names
from sslkit.data import moving, photodigits
from sslkit.data.split import Split, Target, fingerprint

VERSION = 1
SIZES = {"train": 4_800, "val": 1_200, "test": 1_200}  # a clip is 30 kB, so train is 147 MB
FRAMES = 10
GRAVITY = 0.3  # pixels a frame²: from rest a digit falls by 12 pixels in a clip
KEEP = 0.8  # the share of its speed that a bounce leaves
PAST = 4  # frames: direction and speed are those of the first four, what a prediction is made from

DIRECTIONS = ("right", "up", "left", "down")
SPEEDS = ("slow", "medium", "fast")
_SLOWER_THAN = (1.3, 2.3)  # pixels a frame: where slow and where medium end
_SIDE = 32
_BOX = (6.5, 25.5)  # the middle of the digit stays within: its ink is about 13 pixels high
_INK = 16  # pixels a side of the square that the 8×8 ink, padded by one, is drawn in
_COLUMNS, _ROWS = 3, 6  # of the grid in which starts and ends are alike: gravity draws ends to the bottom of a row
_CANDIDATES = 50  # paths thrown for each that is needed
_SEED = 20_260_107
_AT_ONCE = 400  # clips that are drawn at a time, so that the memory needed stays small


def load(split: str = "train") -> Split:
    """Build one split: images uint8 (N, 10, 3, 32, 32), labels int64 (N,) = the digit, sources = its handwriting.

    targets: direction (N,) and speed (N,), equally frequent in all twelve combinations, see `direction` and `speed`;
             place float (N, 10, 2), the digit's middle in pixels, x to the right and y down; bounces (N, 10), how
             many there were since the frame before.

    It takes about five seconds for train and one for each of the others.
    """
    names.pick(split, SIZES, "split of movingdigits")
    place, bounces = _thrown(split)
    digit, label, draws = _draws(split)
    return Split(
        images=_draw(split, place, digit, draws),
        labels=torch.from_numpy(label),
        classes=tuple("0123456789"),
        sources=torch.from_numpy(digit),
        name="movingdigits",
        split=split,
        hash=f"v{VERSION}-{fingerprint(*map(torch.from_numpy, (place, digit, *draws.values())))}",
        targets={
            "direction": Target(torch.from_numpy(_direction(place[:, :PAST])), DIRECTIONS),
            "speed": Target(torch.from_numpy(_speed(place[:, :PAST])), SPEEDS),
            "place": Target(torch.from_numpy(place).float()),
            "bounces": Target(torch.from_numpy(bounces)),
        },
    )


def direction(place: Tensor) -> Tensor:
    """Where a digit went: right 0, up 1, left 2, down 3, whichever is nearest to the way from the first to last place.

    Shapes: place (N, T, 2), of any frames in order, such as targets["place"].values[:, 2:6] -> int64 (N,).
    """
    return torch.from_numpy(_direction(place.double().cpu().numpy())).to(place.device)


def speed(place: Tensor) -> Tensor:
    """How fast: slow 0 below 1.3 pixels a frame, medium 1 below 2.3, fast 2, on average from frame to frame.

    Shapes: place (N, T, 2), of any two frames or more in order -> int64 (N,).
    """
    return torch.from_numpy(_speed(place.double().cpu().numpy())).to(place.device)


def _direction(place: np.ndarray) -> np.ndarray:
    x, y = (place[:, -1] - place[:, 0]).T
    return np.where(np.abs(x) >= np.abs(y), np.where(x >= 0, 0, 2), np.where(y < 0, 1, 3))


def _speed(place: np.ndarray) -> np.ndarray:
    step = place[:, 1:] - place[:, :-1]
    distance = np.sqrt(step[..., 0] ** 2 + step[..., 1] ** 2)
    mean = sum(distance.T) / distance.shape[1]  # one after the other: the order of a sum moves its last bit
    return np.searchsorted(_SLOWER_THAN, mean, side="right")


# ---- motion -----------------------------------------------------------------------------------------------------


def _kind(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a clip's first frames are like: direction and speed as one number, and these together with the place."""
    low, high = _BOX
    motion = _direction(place[:, :PAST]) * len(SPEEDS) + _speed(place[:, :PAST])
    share = (place[:, 0] - low) / (high - low)
    column, row = (np.minimum((share[:, k] * n).astype(int), n - 1) for k, n in enumerate((_COLUMNS, _ROWS)))
    return motion, (row * _COLUMNS + column) * len(DIRECTIONS) * len(SPEEDS) + motion


@functools.cache
def _thrown(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Places float64 (N, 10, 2) and bounces (N, 10) of the clips of a split: chosen from many that are thrown.

    Random throws are joined into couples, one from a kind of start to a kind of end and one the other way. Couples are
    taken in random order while each direction and speed still has room.
    """
    n, rng = SIZES[split], np.random.RandomState(_SEED + list(SIZES).index(split))
    low, high = _BOX
    m = n * _CANDIDATES
    start = low + (high - low) * rng.random_sample((m, 2))
    # A sum of four is nearly a normal draw, without functions whose last bit differs between machines. One axis: ± 1.7.
    velocity = 3 * (rng.random_sample((4, m, 2)).sum(axis=0) - 2)
    place, bounces = moving.paths(start, velocity, FRAMES, low, high, GRAVITY, KEEP)
    amid = bounces[:, 3 : FRAMES - 2].sum(axis=1) > 0
    rolls = bounces.sum(axis=1) > 4
    usable = np.flatnonzero(amid & ~rolls)

    motion, begin = _kind(place)
    _, end = _kind(place[:, ::-1])
    chosen = _balanced(usable, begin, end, motion, n, rng)
    return place[chosen], bounces[chosen]


def _balanced(
    usable: np.ndarray, begin: np.ndarray, end: np.ndarray, motion: np.ndarray, n: int, rng: np.random.RandomState
) -> np.ndarray:
    """Numbers (n,) of throws: as many from a kind of start to a kind of end as back, equally many of each motion."""
    by_way: dict[tuple[int, int], list[int]] = {}
    for i in usable.tolist():
        by_way.setdefault((int(begin[i]), int(end[i])), []).append(i)
    couples: list[tuple[int, ...]] = []
    for (a, b), there in by_way.items():
        if a == b:  # it ends as it began: its own way back
            couples += [(i,) for i in there]
        elif a < b:
            couples += zip(there, by_way.get((b, a), []))
    kinds = len(DIRECTIONS) * len(SPEEDS)
    room, chosen = [n // kinds] * kinds, []
    for k in rng.permutation(len(couples)).tolist():
        mine = motion[list(couples[k])].tolist()
        if all(room[kind] >= mine.count(kind) for kind in mine):
            chosen += couples[k]
            for kind in mine:
                room[kind] -= 1
    if len(chosen) != n:
        raise RuntimeError(f"{len(chosen)} clips could be chosen, and {n} are needed: throw more candidates.")
    return rng.permutation(chosen)


# ---- pictures ---------------------------------------------------------------------------------------------------


def _draws(split: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Which digit, how turned, on which crop, in which colour; where it is, `_thrown` says."""
    _, target = photodigits.digits()
    pool = photodigits.handwritings(target)[split]
    n, rng = SIZES[split], np.random.RandomState(_SEED + 10 + list(SIZES).index(split))
    digit = np.concatenate([rng.permutation(pool) for _ in range(-(-n // len(pool)))])[:n]
    uniform = lambda low, high, *shape: low + (high - low) * rng.random_sample((n, *shape))  # noqa: E731
    draws = {
        "angle": uniform(-0.2, 0.2),  # radians, the same in all frames
        "photo": rng.random_sample(n),
        "corner": rng.random_sample((n, 2)),
        "contrast": uniform(0.50, 0.65),
        "tint": uniform(-0.175, 0.175, 3),
    }
    return digit, target[digit], draws


def _draw(split: str, place: np.ndarray, digit: np.ndarray, draws: dict[str, np.ndarray]) -> Tensor:
    """The clips, uint8 (N, T, 3, 32, 32)."""
    n, frames, _ = place.shape
    d = {key: torch.from_numpy(value).float() for key, value in draws.items()}
    photo = photodigits.crops(split, d["photo"], d["corner"])  # (N, 3, 32, 32)
    colour = photodigits.ink_colours(photo, d["contrast"], d["tint"])
    ink = torch.from_numpy(photodigits.digits()[0])[torch.from_numpy(digit)][:, None]
    ink = F.interpolate(F.pad(ink, (1, 1, 1, 1)), size=(20, 20), mode="bicubic", align_corners=False)

    # grid_sample asks where in the ink each pixel looks: in units of half a side, from the middle, and so turned back.
    larger = _SIDE / _INK
    cos, sin = larger * d["angle"].cos(), larger * d["angle"].sin()
    turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)  # (N, 2, 2)
    middle = torch.from_numpy(place).float() / (_SIDE / 2) - 1  # (N, T, 2)
    theta = torch.cat([turn[:, None].expand(-1, frames, -1, -1), -(turn[:, None] @ middle[..., None])], dim=3)

    clips = torch.empty((n, frames, 3, _SIDE, _SIDE), dtype=torch.uint8)
    for i in range(0, n, _AT_ONCE):
        part = slice(i, min(i + _AT_ONCE, n))
        size = [(part.stop - i) * frames, 1, _SIDE, _SIDE]
        grid = F.affine_grid(theta[part].flatten(0, 1), size, align_corners=False)
        mask = F.grid_sample(ink[part].repeat_interleave(frames, 0), grid, align_corners=False)
        mask = ((mask - 0.25) * 2.2).clamp(0, 1).unflatten(0, (-1, frames))  # (n, T, 1, 32, 32)
        behind, stroke = photo[part, None], colour[part, None]
        clips[part] = (torch.lerp(behind, stroke, mask) * 255).round().to(torch.uint8)
    return clips
