"""Images that are larger than memory: one file of raw rows, written once, read a batch at a time.

    NAME.rows        uint8, image after image, C · H · W bytes each, and nothing else
    NAME.json        {"count": N, "shape": [C, H, W], "unreadable": {position: reason}}, and what is remembered later
    NAME.part[.json] the same while it is being written: what is whole of it is kept when the writing is interrupted

The file is read, not mapped: mapped pages would count as this process's memory until the system wants them back.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslkit.data.root import make_folder

Piece = tuple[np.ndarray, dict[int, str]]  # images (n, C, H, W), and why some of them could not be read, by position


class Stream:
    """Images on disk that stand where a uint8 tensor (N, C, H, W) would, at the cost of the rows that are asked for.

    `stream[index]` reads rows: with a LongTensor, a mask, a slice or a number, as a tensor is indexed by its first
    dimension. `stream.subset(index)` and `stream.to(device)` read nothing: they give a stream of other rows, or one
    whose rows arrive on that device. `rows` (N,) are positions in the file: 8 bytes of memory an image.

    Several threads may read at once. A stream can be pickled: every process opens the file for itself. A file that is
    deleted meanwhile (not on Windows, where it cannot be) stays readable to those who have it open.
    """

    dtype, ndim = torch.uint8, 4

    def __init__(
        self,
        path: Path,
        image: tuple[int, ...],
        rows: Tensor,
        device: torch.device | str = "cpu",
        file: _File | None = None,
    ):
        """`image` is the shape (C, H, W) of one; `file` is the open file, where there is one already."""
        self.path, self.rows, self.device = path, rows, torch.device(device)
        self._image, self._file = tuple(image), file or _File(path)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.rows), *self._image))

    @property
    def nbytes(self) -> int:
        """What the images would take in memory."""
        return self.shape.numel()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Tensor:
        if isinstance(index, tuple):
            raise IndexError(f"images on disk are taken by their number only, and {index} came. Read first: x[rows][:]")
        rows = self.rows[index.cpu() if isinstance(index, Tensor) else index]
        images = torch.empty((*rows.shape, *self._image), dtype=torch.uint8)
        self._read(rows.flatten().numpy(), images)
        return images.to(self.device)

    def _read(self, rows: np.ndarray, images: Tensor) -> None:
        """Fill `images`: one read for each run of neighbours in the file."""
        width, buffer = math.prod(self._image), images.numpy().reshape(-1).data
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)]):
            self._file.read(buffer[start * width : stop * width], int(rows[start]) * width)

    def subset(self, index: Any) -> Stream:
        """The images at `index`, in that order, still on disk."""
        rows = self.rows[index.cpu() if isinstance(index, Tensor) else index]
        return Stream(self.path, self._image, rows, self.device, self._file)

    def to(self, device: torch.device | str) -> Stream:
        """The same images on disk, whose rows will arrive on `device`."""
        return Stream(self.path, self._image, self.rows, device, self._file)

    def split(self, size: int) -> Iterator[Tensor]:
        """The images in order, `size` at a time, each batch read when it is asked for."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"images on disk have no .{name}: they are read a batch at a time. Take a tensor first, by x[rows], "
            "x[:100] or x.split(512); or let them be held in memory with a larger SSLKIT_MEMORY_GB."
        )

    def __reduce__(self):
        return Stream, (self.path, self._image, self.rows, self.device)

    def __repr__(self) -> str:
        return f"Stream({' × '.join(map(str, self.shape))}, {self.nbytes / 1e9:.2f} GB on disk, {self.path})"


Images = Tensor | Stream


def need_images(images: object) -> None:
    """Raise TypeError, with what to hand in, unless it is a tensor or a Stream."""
    if isinstance(images, Images):
        return
    hint = "Make a NumPy array a tensor with torch.from_numpy: uint8 (N, C, H, W)."
    if isinstance(getattr(images, "images", None), Images):
        hint = "A Split holds its images in .images: hand in those."
    raise TypeError(f"expected a tensor of images, or a Stream; got {type(images).__name__}. {hint}")


class _File:
    """An open file that is read at given places; it is closed with its last stream."""

    _turn = threading.Lock()

    def __init__(self, path: Path):
        self.path, self.descriptor = path, -1
        try:
            self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"the decoded images are no longer in {path}: the cache was deleted, or the folder of images has "
                "changed. Load the data again."
            ) from error

    def read(self, buffer: memoryview, offset: int) -> None:
        """Fill the buffer from `offset` on. Raises OSError where the file is too short."""
        while buffer:
            n = self._some(buffer, offset)
            if not n:
                raise OSError(f"{self.path} ends too early: it was changed. Delete it and load the data again.")
            buffer, offset = buffer[n:], offset + n

    def _some(self, buffer: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self.descriptor, [buffer], offset)
        with self._turn:  # Windows has one position for all threads
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            data = os.read(self.descriptor, min(len(buffer), 2**30))
        buffer[: len(data)] = data
        return len(data)

    def __del__(self):
        if self.descriptor >= 0:
            os.close(self.descriptor)


# ---- writing ----------------------------------------------------------------------------------------------------


def write(
    path: Path, count: int, image: tuple[int, ...], pieces: Callable[[int], Iterable[Piece]], what: str
) -> dict[int, str]:
    """Write `count` images to the file at `path`, and return why some of them are missing (their rows are zero).

    `pieces(start)` gives the images from number `start` on, in order. What an interrupted call has written is not asked
    for again, and the file appears under its name when it is whole. Two processes may write the same images at once:
    each row has its place, so they write the same bytes twice. `what` names the images in errors.

    Raises PermissionError where nothing can be written, and OSError, before anything is, where the disk is too small.
    """
    make_folder(path.parent, what)
    half, notes = path.with_suffix(".part"), path.with_suffix(".part.json")
    width, facts = math.prod(image), {"count": count, "shape": list(image)}
    done, unreadable = _so_far(half, notes, facts)
    needed, free = (count - done) * width, shutil.disk_usage(path.parent).free
    if needed > free:
        raise OSError(_too_small(path.parent, what, needed, free, count, image))
    half.touch()
    try:
        with half.open("r+b") as file:
            file.seek(done * width)
            for images, reasons in pieces(done):
                file.write(np.ascontiguousarray(images).data)
                file.flush()
                os.fsync(file.fileno())  # or the notes could reach the disk before the rows that they speak of
                done, unreadable = done + len(images), unreadable | reasons
                save(notes, {**facts, "done": done, "unreadable": unreadable})
            mine = os.fstat(file.fileno())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        needed, free = (count - done) * width, shutil.disk_usage(path.parent).free
        raise OSError(_too_small(path.parent, what, needed, free, count, image)) from error
    if done != count:
        raise ValueError(f"{done} images came to be written to {path}, and {count} were expected.")
    save(path.with_suffix(".json"), {**facts, "unreadable": unreadable})
    if half.exists() and os.path.samestat(half.stat(), mine):  # else another process that writes the same was quicker
        os.replace(half, path)
        notes.unlink(missing_ok=True)
    return unreadable


def known(path: Path) -> dict | None:
    """What stands beside the file at `path`, or None if the file is absent, from another version, or not whole."""
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        facts["unreadable"] = {int(i): str(reason) for i, reason in facts["unreadable"].items()}
        whole = path.stat().st_size == facts["count"] * math.prod(facts["shape"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return facts if whole and len(facts["shape"]) == 3 else None


def load(path: Path) -> dict | None:
    """The facts that `save` has written, or None if they are absent or broken."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def save(path: Path, facts: dict) -> None:
    """Write the facts in one step: another process sees the old ones or the new ones, never half of them."""
    half = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        half.write_text(json.dumps(facts), encoding="utf-8")
        os.replace(half, path)
    finally:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)


def _so_far(half: Path, notes: Path, facts: dict) -> tuple[int, dict[int, str]]:
    """How many images an interrupted call has left, and which of them could not be read."""
    try:
        found = json.loads(notes.read_text(encoding="utf-8"))
        same = all(found[key] == value for key, value in facts.items())
        if same and half.stat().st_size >= found["done"] * math.prod(facts["shape"]):
            return found["done"], {int(i): reason for i, reason in found["unreadable"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # absent or broken: begin at the beginning
    return 0, {}


def _too_small(folder: Path, what: str, needed: int, free: int, count: int, image: tuple[int, ...]) -> str:
    side = int((free / (count * image[0])) ** 0.5)
    return (
        f"{folder} has no room for {what}: {needed / 1e9:.1f} GB more are needed there, {free / 1e9:.1f} GB are free. "
        f"Free space, set SSLKIT_DATA to a folder on a larger disk, or make the images smaller (size={max(side, 8)} "
        "would fit). What is decoded already is kept."
    )
