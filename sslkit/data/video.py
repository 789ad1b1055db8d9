"""Anybody's video: a clip, or a folder of clips, becomes a `Split` of windows of T frames. It needs PyAV.

A window is T neighbouring frames at a stated rate; no frame is in two windows. Three clips or more are split by clip,
80 % train, 10 % val, 10 % test, by seed; of one or two clips the first 80 % of the windows of each are train, the next
10 % val and the last test. There are no labels: what is to be learned is in the clips themselves.

The frame at time t is the one on the screen then. The shorter side is resized to `size`, the middle is kept.
"""

from __future__ import annotations

import difflib
import types
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from sslkit.data import pictures
from sslkit.data.split import Split, fingerprint, hold_out

SPLITS = ("train", "val", "test")
ENDINGS = {".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"}
FRAMES = 10
RATE = 10.0  # frames a second
SIZE = 64

_EARLY = 0.1  # of the time between two frames: containers round the times of frames, some to a millisecond
_WHOLE = 0.9  # a clip that ends before this share of the length that it states is cut off

Anything = TypeVar("Anything")


def load(
    path: str | Path,
    split: str = "train",
    *,
    frames: int | None = None,
    rate: float | None = None,
    size: int | None = None,
    channels: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Split:
    """Load one part of a clip or of a folder of clips: images uint8 (N, frames, channels, size, size), labels −1.

    frames      in a window; 10 unless you say so
    rate        frames a second, 10 unless you say so; not more than the clips have
    size        pixels a side, 64 unless you say so; channels: 3, or 1 for grey
    seed        of the draw of val and test among three clips or more

    `sources` number the clips in the order of their names. Of a folder, clips that cannot be read, that are cut off or
    that are shorter than a window are left out, with a warning, and named in `skipped`.

    Raises ModuleNotFoundError without PyAV, FileNotFoundError for a wrong path, and ValueError for a clip, a folder or
    a parameter that does not fit; each says what to do.
    """
    frames, rate = FRAMES if frames is None else frames, RATE if rate is None else rate
    size, channels = SIZE if size is None else size, 3 if channels is None else channels
    _check_parameters(frames, rate, size, channels)
    _av()
    where = Path(path).expanduser()
    found = _clips(where, str(path))
    members = _members(len(found), split, seed)
    kept, skipped = [], []
    held, limit = 0, pictures.memory_limit()
    with tqdm(desc=f"reading {where.name}", total=len(members), unit=" clips", delay=2, disable=not progress) as bar:
        for i in members:
            name = found[i].name if where.is_file() else found[i].relative_to(where).as_posix()
            try:
                windows = read(found[i], frames, rate, size, channels, bar)
                part = _part(windows, split) if len(found) < 3 else windows
            except Exception as error:  # FFmpeg names many kinds of damage; each is reported
                skipped.append(f"{name}: {_reason(error)}")
            else:
                kept.append((i, part))
                held += part.nbytes
            if held > limit:
                raise ValueError(
                    f"the windows of {where} take more than the {limit / 1e9:g} GB that may be held in memory. Use a "
                    "smaller size or rate, fewer clips, or set SSLKIT_MEMORY_GB higher."
                )
            bar.update()
    if not kept:
        few = "; ".join(skipped[:3]) + (" …" if len(skipped) > 3 else "")
        raise ValueError(f"no clip of {where} ({split}) could be used. {few}")
    if skipped:
        warnings.warn(
            f"{len(skipped)} of {len(members)} clips of {where} ({split}) are left out: {'; '.join(skipped[:3])}"
            f"{' …' if len(skipped) > 3 else ''} (all of them: Split.skipped)",
            stacklevel=3,
        )
    images = torch.cat([part for _, part in kept])
    if not len(images):
        raise ValueError(
            f"{where} holds {sum(len(p) for _, p in kept)} windows for {split}: it is too short to be split by time. "
            "Give a longer clip, fewer frames a window, a higher rate, or three clips or more."
        )
    sources = torch.cat([torch.full((len(part),), i) for i, part in kept])
    return Split(
        images=images,
        labels=torch.full((len(images),), -1),
        classes=(),
        sources=sources,
        name=f"video:{where.resolve().name}",
        split=split,
        hash=fingerprint(images, sources),
        skipped=tuple(skipped),
    )


def read(path: Path, frames: int, rate: float, size: int, channels: int = 3, bar: tqdm | None = None) -> Tensor:
    """All windows of one clip, in order: uint8 (N, frames, channels, size, size).

    Raises ValueError for a clip without pictures, with too few frames, one that is cut off, or a rate above its own;
    and PyAV's own errors for one that cannot be decoded.
    """
    av = _av()
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError("it has no pictures, only sound or text")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        own = float(stream.average_rate or 0)
        if own and rate > 1.02 * own:
            raise ValueError(f"it has {own:.3g} frames a second, fewer than rate={rate:g}. Ask for {own:.3g} at most")
        pixels, clock = [], _Clock(container, stream, own, bar)
        for frame in at_rate(clock, rate):
            pixels.append(_pixels(frame, size, channels))
        clock.check()
    if len(pixels) < frames:
        raise ValueError(
            f"it has {len(pixels)} frames at {rate:g} a second, and frames={frames} are asked for. Ask for fewer, or "
            "for a higher rate"
        )
    n = len(pixels) // frames
    return torch.from_numpy(np.stack(pixels[: n * frames])).unflatten(0, (n, frames))


def at_rate(timed: Iterable[tuple[float, Anything]], rate: float) -> Iterator[Anything]:
    """What is on the screen `rate` times a second: of (time, frame) in order, the latest at or before each moment.

    Moments are t₀ + k / rate, from the first frame's time to the last's. A frame that is late by less than a tenth of
    the time between two moments is in time; one that is shown for long is given several times.
    """
    timed = iter(timed)
    for first, shown in timed:
        k, last = 0, first
        for time, frame in timed:
            while first + (k + _EARLY) / rate < time:
                yield shown
                k += 1
            shown, last = frame, time
        if first + (k - _EARLY) / rate <= last:
            yield shown


class _Clock:
    """The frames of a clip with their times in seconds; afterwards it knows whether the clip was whole."""

    def __init__(self, container: Any, stream: Any, own: float, bar: tqdm | None):
        self.container, self.stream, self.own, self.bar = container, stream, own, bar
        self.first, self.last, self.count = 0.0, 0.0, 0

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        for frame in self.container.decode(self.stream):
            time = frame.time if frame.time is not None else self.count / (self.own or 1.0)
            self.first = time if self.count == 0 else self.first
            self.last, self.count = time, self.count + 1
            if self.bar is not None and self.count % 100 == 0:
                self.bar.set_postfix_str(f"{self.last - self.first:.0f} s of film", refresh=True)
            yield time, frame

    def check(self) -> None:
        """Raise ValueError if there was no frame, or if the clip ends long before the time that it states."""
        if not self.count:
            raise ValueError("it has no frames: it is empty or was cut off. Copy or record it again")
        stated = self._stated()
        seen = self.last - self.first + (1 / self.own if self.own else 0)
        if seen < _WHOLE * stated - 0.5 / (self.own or 1.0):
            raise ValueError(f"it ends after {seen:.1f} of {stated:.1f} seconds: it was cut off. Copy it again")

    def _stated(self) -> float:
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        if self.container.duration and len(self.container.streams) == 1:  # else it may be the sound's
            return self.container.duration / 1e6
        return 0.0


def _pixels(frame: Any, size: int, channels: int) -> np.ndarray:
    """One frame as uint8 (channels, size, size), the way up that it is meant to be seen."""
    image = frame.to_image()
    turned = round(getattr(frame, "rotation", 0) / 90) % 4
    if turned:
        image = image.transpose(
            (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)[turned - 1]
        )
    image = ImageOps.fit(image.convert("L" if channels == 1 else "RGB"), (size, size), method=Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _av() -> types.ModuleType:
    try:
        import av
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'video:PATH needs PyAV, which is not installed. Install it with: pip install "sslkit[video]" (in a '
            'checkout: pip install -e ".[video]").'
        ) from error
    return av


def _check_parameters(frames: int, rate: float, size: int, channels: int) -> None:
    if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
        raise ValueError(f"frames is {frames!r}: a whole number of frames a window is needed, for example frames=10.")
    if not 0 < rate < float("inf"):
        raise ValueError(f"rate is {rate!r}: a number of frames a second above 0 is needed, for example rate=10.")
    if isinstance(size, bool) or not isinstance(size, int) or not 8 <= size <= 2048:
        raise ValueError(f"size is {size!r}: a whole number of pixels from 8 to 2048 is needed, for example size=64.")
    if channels not in (1, 3):
        raise ValueError(f"channels is {channels!r}: 1 (grey) or 3 (RGB) is needed.")


def _clips(where: Path, given: str) -> list[Path]:
    """The clip at `where`, or those below it, sorted by path."""
    if not given.strip():
        raise ValueError("video: came without a path. Expected video:PATH, for example video:films/cat.mp4.")
    if where.is_file():
        return [where]
    if not where.is_dir():
        beside = [p.name for p in where.absolute().parent.glob("*") if p.is_dir() or p.suffix.lower() in ENDINGS]
        near = difflib.get_close_matches(where.name, beside, n=3, cutoff=0.5)
        offer = f" Did you mean {' or '.join(near)}, beside it?" if near else " Give the path of a clip or of a folder."
        raise FileNotFoundError(f"there is no clip and no folder {where}.{offer}")
    found = [p for p in where.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file()]
    found = [p for p in found if not any(part.startswith(".") for part in p.relative_to(where).parts)]
    if not found:
        raise ValueError(f"{where} holds no clip. Expected files such as .mp4, .mov, .mkv, .avi or .webm in it.")
    return sorted(found, key=lambda p: p.relative_to(where).as_posix())


def _members(n: int, split: str, seed: int) -> list[int]:
    """Numbers of the clips of one part, ascending; all of them where parts are of each clip's time."""
    if n < 3:
        return list(range(n))
    left, count = torch.arange(n), n // 10
    parts = {}
    for part in ("test", "val"):
        kept, held = hold_out(torch.zeros(len(left), dtype=torch.long), count, seed)
        parts[part], left = left[held], left[kept]
    return (parts | {"train": left})[split].tolist()


def _part(windows: Tensor, split: str) -> Tensor:
    """The windows of one part of a clip that is split by time."""
    n = len(windows)
    held = 0 if n < 3 else max(1, n // 10)
    cuts = {"train": (0, n - 2 * held), "val": (n - 2 * held, n - held), "test": (n - held, n)}
    return windows[slice(*cuts[split])]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
