"""From picture files to pixels: every kind of file as uint8, and decoded once for all epochs and runs.

Images are kept at their final size: resizing is up to two thirds of the work of decoding, and fewer bytes are read back
in every epoch. What fits in memory is held there; more streams from the file that it was decoded to.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from sslkit.data import stream
from sslkit.data.split import fingerprint
from sslkit.data.stream import Images, Piece, Stream

SIZE = 32  # pixels, for images of many sizes
LARGEST_OWN_SIZE = 224
LARGEST_BLOCK = 4_000_000_000  # bytes of decoded images that are held in memory, unless SSLKIT_MEMORY_GB says otherwise

_GREY = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_LOOKED_AT = 1000  # files whose headers are read first: all of them would take half as long as decoding
_PIECE = 32_000_000  # bytes that are decoded before they are written
_CHUNK = 64  # files a task: small pictures cost no more than the hand-over of a task
_CACHE_VERSION = 2


class File(NamedTuple):
    """An image file: its path below the folder, with "/" on every system, its bytes and its time of change in ns."""

    path: str
    bytes: int
    changed: int


def memory_limit() -> float:
    """Bytes of decoded images that are held in memory: `LARGEST_BLOCK`, or the environment's SSLKIT_MEMORY_GB."""
    given = os.environ.get("SSLKIT_MEMORY_GB", "").strip()
    if not given:
        return LARGEST_BLOCK
    try:
        limit = float(given)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise ValueError(
            f"SSLKIT_MEMORY_GB is {given!r}: a number of gigabytes is needed, 0 or more, such as 8 or 0.5. It is what "
            "the decoded images of a folder may take in memory; above it they stream from disk."
        )
    return limit * 1e9


def decoded(
    folder: Path,
    files: Sequence[File],
    part: str,
    pool: Tensor,
    size: int | None,
    channels: int | None,
    root: Path,
    progress: bool,
) -> tuple[Images, dict[int, str]]:
    """Images uint8 (n, C, size, size) of the files in `pool`, and why some of them are missing (those are zero).

    They are on disk, in the cache, decoded first unless it holds exactly these files. A cache that cannot be written
    to is an error only where the images do not fit in memory; where they do, they are decoded there, with a warning.
    """
    limit = memory_limit()
    name = f"{folder.resolve().name[:40]}-{part}-{_sha(_CACHE_VERSION, folder.resolve(), part, size, channels)}"
    listing = _sha(PIL.__version__, *(f"{f.path}\0{f.bytes}\0{f.changed}" for f in files))
    path = root / "cache" / f"{name}-{listing}.rows"
    if facts := stream.known(path):
        return Stream(path, tuple(facts["shape"]), torch.arange(len(pool))), facts["unreadable"]

    size, channels = own_shape(folder, files, size, channels)
    image, needed = (channels, size, size), len(pool) * channels * size * size
    paths = [files[i].path for i in pool.tolist()]
    fits = "" if needed <= limit else f", more than the {limit / 1e9:g} GB that may be held in memory"
    what = f"the decoded images of {folder.name} ({len(pool):,} of {_by(image)}, {needed / 1e9:.1f} GB{fits})"
    try:
        unreadable = stream.write(path, len(pool), image, lambda n: _decode(folder, paths, image, n, progress), what)
    except OSError as error:
        if needed > limit:
            raise
        warnings.warn(f"decoded images could not be kept, so every load decodes them again: {error}", stacklevel=4)
        return _block(folder, paths, image, progress)
    for old in path.parent.glob(f"{glob.escape(name)}-*"):
        if not old.name.startswith(path.stem):
            with contextlib.suppress(OSError):  # of the same folder before it changed
                old.unlink()
    return Stream(path, image, torch.arange(len(pool))), unreadable


def remembered_fingerprint(images: Stream, labels: Tensor, progress: bool) -> str:
    """`fingerprint(images, labels)`; a pass over the whole file, so the answer is kept beside it."""
    which = fingerprint(images.rows, labels)
    facts = stream.known(images.path) or {}
    hashes = facts.setdefault("hashes", {})
    if which not in hashes:
        hashes[which] = fingerprint(images, labels, progress=progress)
        with contextlib.suppress(OSError):  # a folder that can only be read: computed again next time
            stream.save(images.path.with_suffix(".json"), facts)
    return hashes[which]


def _sha(*lines: object) -> str:
    """Twelve hex digits of SHA-256 over the lines."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:12]


def _by(image: tuple[int, ...]) -> str:
    return " × ".join(map(str, image))


def own_shape(folder: Path, files: Sequence[File], size: int | None, channels: int | None) -> tuple[int, int]:
    """Size and channels, where they are None, from the headers of up to `_LOOKED_AT` files spread over all of them."""
    sizes: set[tuple[int, int]] = set()
    colour = False
    for file in files[:: -(-len(files) // _LOOKED_AT)] if size is None or channels is None else []:
        try:
            with Image.open(folder / file.path) as image:
                sizes.add(image.size)
                colour = colour or image.mode not in _GREY
        except Exception:  # whatever is wrong with it, decoding will name it
            continue
    width, height = sizes.pop() if len(sizes) == 1 else (0, 0)
    own = width if width == height and 8 <= width <= LARGEST_OWN_SIZE else SIZE
    return size or own, channels or (3 if colour else 1)


# ---- decoding ---------------------------------------------------------------------------------------------------


def _block(folder: Path, paths: Sequence[str], image: tuple[int, ...], progress: bool) -> tuple[Tensor, dict[int, str]]:
    """All images in memory: uint8 (len(paths), *image), and why some of them are missing."""
    images = torch.empty((len(paths), *image), dtype=torch.uint8)
    unreadable: dict[int, str] = {}
    done = 0
    for piece, reasons in _decode(folder, paths, image, 0, progress):
        images[done : done + len(piece)] = torch.from_numpy(piece)
        done, unreadable = done + len(piece), unreadable | reasons
    return images, unreadable


def _decode(folder: Path, paths: Sequence[str], image: tuple[int, ...], start: int, progress: bool) -> Iterator[Piece]:
    """The images of paths[start:] in pieces of about `_PIECE` bytes, so that the memory needed does not grow.

    Each is uint8 (n, *image), zero where a file cannot be read, with the reasons for those by position in `paths`.
    """
    channels, size, _ = image
    total, workers = len(paths), min(8, os.cpu_count() or 1)
    length = max(_PIECE // math.prod(image), 2 * workers)
    chunk = max(1, min(_CHUNK, length // (4 * workers)))  # of large pictures a piece holds few: each worker gets some

    def read(positions: range) -> dict[int, str]:
        reasons = {}
        for i in positions:
            try:
                piece[i - first] = read_image(folder / paths[i], size, channels)
            except Exception as error:  # a broken file makes Pillow raise nearly anything; each one is reported
                reasons[i] = _reason(error)
        return reasons

    hidden = not progress or total < 2000
    bar = tqdm(total=total, initial=start, desc=f"reading {folder.name}", unit=" images", disable=hidden)
    threads = ThreadPoolExecutor(workers)
    try:
        for first in range(start, total, length):
            last = min(first + length, total)
            piece = np.zeros((last - first, *image), dtype=np.uint8)
            reasons: dict[int, str] = {}
            for found in threads.map(read, (range(i, min(i + chunk, last)) for i in range(first, last, chunk))):
                reasons |= found
            yield piece, reasons
            bar.update(len(piece))
    finally:
        threads.shutdown(cancel_futures=True)  # or an interrupt would wait for all that is left
        bar.close()


def _reason(error: Exception) -> str:
    if isinstance(error, PIL.UnidentifiedImageError):  # its own text repeats the whole path
        return "not an image, whatever its name says"
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def read_image(path: Path, size: int, channels: int) -> np.ndarray:
    """One file as uint8 (channels, size, size). Raises what Pillow raises for a file that it cannot read."""
    with Image.open(path) as image:
        if image.format == "JPEG":
            image.draft(None, (2 * size, 2 * size))  # a photograph need not be decoded at full size to be made small
        ImageOps.exif_transpose(image, in_place=True)
        plain = _plain(image).convert("L" if channels == 1 else "RGB")
    if plain.size != (size, size):
        plain = ImageOps.fit(plain, (size, size), method=Image.Resampling.BICUBIC)
    pixels = np.asarray(plain)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _plain(image: Image.Image) -> Image.Image:
    """The image with 8 bits a channel and nothing transparent.

    16-bit values are divided by 257. Wider integers and floats have no fixed range: floats in [0, 1] are taken as they
    are, anything else is stretched from its own smallest to its own largest value.
    """
    if image.mode[0] in "IF":
        values = np.asarray(image).astype(np.float64)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        fixed = 1.0 if image.mode == "F" else 65535.0
        if low >= 0 and high <= fixed:
            low, high = 0.0, fixed
        shades = np.nan_to_num((values - low) / (high - low or 1)) * 255
        return Image.fromarray(np.rint(shades).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA"))
    return image
