"""Anybody's images: a folder of files becomes a `Split`.

Layouts, for `classes_at=1`:

    PATH/<class>/*.jpg                    one folder a class: 80 % train, 10 % val, 10 % test of each class, by seed
    PATH/{train,val,test}/<class>/*.jpg   the folder's own parts; val or test, where missing, is a tenth of train
    PATH/*.jpg, PATH/train/*.jpg          no classes: labels are -1; val is a tenth, and test only what test/ holds

A class is named by its first `classes_at` folders ("Greek/character01" for 2) and may hold folders of its own;
`classes_at=0` takes every image at any depth, without labels. `valid` and `validation` also mean val. `train` stands
for a part only beside `test` or `val`, or alone: else it is a class (of vehicles, say).

Pictures: everything that Pillow reads. A photograph is turned as its EXIF says, transparency becomes white, of an
animation the first frame counts, 16 bits are scaled to 8. The shorter side is resized to `size`, the middle is kept.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import os
import pickle
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps
from torch import Tensor

from sslkit.data.root import data_root
from sslkit.data.split import Split, fingerprint

SPLITS = ("train", "val", "test")
SIZE = 32  # pixels, for images of many sizes
LARGEST_OWN_SIZE = 224
LARGEST_BLOCK = 4_000_000_000  # bytes of decoded images that are held in memory

_PART_OF = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_NOT_PICTURES = {"BUFR", "GRIB", "HDF5", "MPEG", "IPTC", "WMF", "EPS"}  # Pillow opens them and cannot draw them alone
_GREY = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_LOOKED_AT = 1000  # files whose headers are read first: all of them would take half as long as decoding
_CHUNK = 64  # files a task: small pictures cost no more than the hand-over of a task
_CACHE_VERSION = 1


class File(NamedTuple):
    """An image file: its path below the folder, with "/" on every system, its bytes and its time of change in ns."""

    path: str
    bytes: int
    changed: int


def load(
    path: str | Path,
    split: str = "train",
    *,
    root: str | Path | None = None,
    size: int | None = None,
    channels: int | None = None,
    classes_at: int = 1,
    seed: int = 0,
    progress: bool = True,
) -> Split:
    """Load one part of a folder of images: uint8 (N, channels, size, size), labels int64 (N,).

    size        pixels a side; None: the images' own where all are the same square of 8 to 224 pixels, otherwise 32
    channels    1 or 3; None: 1 where all are grey, otherwise 3. "All" means a look at up to 1,000 files spread over
                the whole folder, so that every part gets the same answer.
    classes_at  how many folders down the classes lie; 0 for images without labels
    seed        of the draw of val and test; it depends on the names of the files alone, not on which can be read

    `sources` are positions in the sorted list of all files, so no two parts share one. Files that cannot be read are
    left out, with a warning, and named in `skipped`. Decoded images are kept under the data root's `cache/` until a
    file's name, size or time of change differs.
    Raises FileNotFoundError or NotADirectoryError for a wrong path, ValueError for a folder or a parameter that does
    not fit; each says what to do.
    """
    _check_parameters(size, channels, classes_at)
    folder = _existing(path)
    files = _list_images(folder)
    parts, depth = _parts(folder, files)
    labels, classes = _labels(folder, files, parts, depth, classes_at)
    part = split if split in parts else "train"
    pool = torch.tensor(parts[part])
    members = _members(parts, labels, split, seed)
    if len(members) == 0:
        raise ValueError(_why_empty(folder, split, len(pool), bool(classes)))
    block, unreadable = _decoded(folder, files, part, pool, size, channels, data_root(root), progress)

    local = torch.searchsorted(pool, members)
    reasons = {i: unreadable[i] for i in local.tolist() if i in unreadable}
    skipped = tuple(f"{files[pool[i]].path}: {reason}" for i, reason in reasons.items())
    if skipped:
        few = "; ".join(skipped[:3]) + (" …" if len(skipped) > 3 else "")
        if len(skipped) == len(members):
            raise ValueError(
                f"none of the {len(members)} images of {folder} ({split}) could be read: {few}. Expected picture files "
                "that open in an image viewer; copy or download them again."
            )
        warnings.warn(
            f"{len(skipped)} of {len(members)} images of {folder} ({split}) could not be read and are left out: {few} "
            "(all of them: Split.skipped)",
            stacklevel=3,
        )
    good = torch.tensor([i not in reasons for i in local.tolist()])
    images, members = block[local[good]], members[good]
    return Split(
        images=images,
        labels=labels[members],
        classes=classes,
        sources=members,
        name=f"folder:{folder.resolve().name}",
        split=split,
        hash=fingerprint(images, labels[members]),
        skipped=skipped,
    )


def hold_out(labels: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Positions (N − n,) to keep and (n,) to hold out, both ascending: about `count` in all, each class in proportion.

    Proportions are rounded down, but a class of two or more gives one at least; no class is emptied.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    held = torch.zeros(len(labels), dtype=torch.bool)
    for k in labels.unique():
        mine = order[labels[order] == k]
        take = min(max(len(mine) * count // len(labels), 1), len(mine) - 1)
        held[mine[:take]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


# ---- what lies in the folder ------------------------------------------------------------------------------------


def _check_parameters(size: int | None, channels: int | None, classes_at: int) -> None:
    def whole(x):
        return isinstance(x, int) and not isinstance(x, bool)

    if size is not None and not (whole(size) and 8 <= size <= 2048):
        raise ValueError(f"size is {size!r}: a whole number of pixels from 8 to 2048 is needed, for example size=32.")
    if channels is not None and not (whole(channels) and channels in (1, 3)):
        raise ValueError(f"channels is {channels!r}: 1 (grey) or 3 (RGB) is needed, or None to go by the files.")
    if not (whole(classes_at) and classes_at >= 0):
        raise ValueError(
            f"classes_at is {classes_at!r}: the number of folders down to the classes is needed: 1 for "
            "PATH/<class>/image, 2 for PATH/<x>/<class>/image, 0 for images without labels."
        )


def _existing(path: str | Path) -> Path:
    """The folder at `path`, or an error that offers what is near."""
    if not str(path).strip():
        raise ValueError("folder: came without a path. Expected folder:PATH, for example folder:pictures/cats.")
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise NotADirectoryError(
            f"{folder} is a file; folder:PATH expects a folder of images. Give the folder that the file is in; "
            "unpack an archive first."
        )
    parent = next(p for p in folder.absolute().parents if p.is_dir())
    beside = sorted(p.name for p in parent.iterdir() if p.is_dir() and not _hidden(p.name))
    missing = folder.absolute().relative_to(parent).parts[0]
    near = difflib.get_close_matches(missing, beside, n=3, cutoff=0.5)
    if near:
        offer = f"Did you mean {' or '.join(str(parent / n) for n in near)}?"
    elif beside:
        offer = f"It holds the folders: {', '.join(beside[:8])}{' …' if len(beside) > 8 else ''}."
    else:
        offer = "It holds no folders."
    raise FileNotFoundError(f"there is no folder {folder}. The nearest one that exists is {parent}. {offer}")


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


@functools.cache
def _extensions() -> frozenset[str]:
    Image.init()
    readable = {e for e, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return frozenset(e for e in readable if Image.registered_extensions()[e] not in _NOT_PICTURES)


def _walk(folder: str, above: frozenset[str]) -> Iterator[os.DirEntry]:
    """Every file below `folder` that is not hidden. Links are followed, except into a folder that holds them."""
    above |= {os.path.realpath(folder)}
    with os.scandir(folder) as entries:
        for entry in entries:
            if _hidden(entry.name):
                continue
            if not entry.is_dir():
                yield entry
            elif os.path.realpath(entry.path) not in above:
                yield from _walk(entry.path, above)


def _list_images(folder: Path) -> list[File]:
    """The image files below `folder`, sorted by path, so that no file system's order can show."""
    files: list[File] = []
    others: Counter[str] = Counter()
    start = len(os.path.join(folder, ""))
    for entry in _walk(str(folder), frozenset(map(str, folder.resolve().parents))):
        ending = os.path.splitext(entry.name)[1].lower()
        if ending not in _extensions():
            others[ending or "no ending"] += 1
            continue
        try:
            stat = entry.stat()
            files.append(File(_relative(entry, start), stat.st_size, stat.st_mtime_ns))
        except OSError:  # a link to nowhere: listed, so that it is named among the unreadable ones
            files.append(File(_relative(entry, start), -1, 0))
    if not files:
        there = ", ".join(f"{n} × {ending}" for ending, n in others.most_common(5))
        raise ValueError(
            f"{folder} holds no image{f' (but {there})' if there else ': it is empty'}. Expected files that Pillow "
            "reads, such as .jpg, .png or .webp, in PATH/<class>/ or directly in PATH; convert others first."
        )
    return sorted(files)


def _relative(entry: os.DirEntry, start: int) -> str:
    return entry.path[start:].replace(os.sep, "/")


def _parts(folder: Path, files: Sequence[File]) -> tuple[dict[str, list[int]], int]:
    """The positions of the files of each part that the folder itself has, and how many folders name the part."""
    tops = [f.path.split("/")[0] if "/" in f.path else "" for f in files]
    by_part: dict[str, list[str]] = {}
    for top in sorted(set(tops)):
        if top.lower() in _PART_OF:
            by_part.setdefault(_PART_OF[top.lower()], []).append(top)
    others = set(tops) - {top for found in by_part.values() for top in found}
    if by_part and "train" not in by_part and not others:
        raise ValueError(
            f"{folder} has {', '.join(f'{t[0]}/' for t in by_part.values())} but no images in train/. Expected train/ "
            "beside it; to use this folder alone, give its own path."
        )
    if "train" not in by_part or (len(by_part) == 1 and others):
        return {"train": list(range(len(files)))}, 0
    for part, found in by_part.items():
        if len(found) > 1:
            raise ValueError(f"{folder} has {' and '.join(found)}, which both mean {part}. Keep one, or join them.")
    return {part: [i for i, top in enumerate(tops) if top == found[0]] for part, found in by_part.items()}, 1


def _labels(
    folder: Path, files: Sequence[File], parts: dict[str, list[int]], depth: int, classes_at: int
) -> tuple[Tensor, tuple[str, ...]]:
    """The label (len(files),) of every file, -1 where there is none, and the classes in sorted order."""
    labels = torch.full((len(files),), -1)
    used = sorted(i for positions in parts.values() for i in positions)
    above = {i: files[i].path.split("/")[depth:-1] for i in used}
    shallow = [i for i in used if len(above[i]) < classes_at]
    if classes_at == 0 or (classes_at == 1 and len(shallow) == len(used)):
        return labels, ()
    if shallow:
        expected = "/".join(["PATH", *["<part>"] * depth, *["<x>"] * (classes_at - 1), "<class>", "image"])
        raise ValueError(
            f"{len(shallow)} of {len(used)} images of {folder} lie above the class folders (the first: "
            f"{files[shallow[0]].path}). Expected, with classes_at={classes_at}: {expected}. Move them into a class, "
            "change classes_at, or use all images without labels with classes_at=0."
        )
    named = {part: {"/".join(above[i][:classes_at]) for i in positions} for part, positions in parts.items()}
    classes = sorted(named["train"])
    for part, found in named.items():
        if found != named["train"]:
            missing, extra = sorted(named["train"] - found), sorted(found - named["train"])
            differ = [f"without {_few(missing)}"] * bool(missing) + [f"with {_few(extra)} besides"] * bool(extra)
            raise ValueError(
                f"train and {part} of {folder} hold different classes: train has {len(classes)}, {part} has "
                f"{len(found)}, {' and '.join(differ)}. Expected the same class folders with images in both: rename or "
                "move folders, or use all images without labels with classes_at=0."
            )
    if len(classes) == 1:
        raise ValueError(
            f"{folder} has one class only ({classes[0]!r}), so there is nothing to tell apart. Expected two or more "
            "class folders. To pretrain without labels, use classes_at=0 or put the images directly into the folder."
        )
    number = {name: k for k, name in enumerate(classes)}
    labels[used] = torch.tensor([number["/".join(above[i][:classes_at])] for i in used])
    return labels, tuple(classes)


def _few(items: list[str]) -> str:
    return ", ".join(items[:5]) + (" …" if len(items) > 5 else "")


def _members(parts: dict[str, list[int]], labels: Tensor, split: str, seed: int) -> Tensor:
    """Positions of the files of one part, ascending: the folder's own, or drawn from train where it has none."""
    if split != "train" and split in parts:
        return torch.tensor(parts[split])
    members = {"train": torch.tensor(parts["train"])}
    labelled = bool((labels[members["train"]] >= 0).all())
    for part in ("test", "val"):
        members[part] = members["train"][:0]
        if part not in parts and (labelled or part == "val"):  # a test without labels could measure nothing
            train = members["train"]
            kept, held = hold_out(labels[train], len(parts["train"]) // 10, seed)
            members["train"], members[part] = train[kept], train[held]
    return members[split]


def _why_empty(folder: Path, split: str, n: int, labelled: bool) -> str:
    if split == "test" and not labelled:
        return (
            f"{folder} has no test part: without labels there is nothing to test, so none is drawn. Use 'train' or "
            "'val', put images into test/ beside train/, or sort them into one folder a class."
        )
    return f"{folder} holds {n} images, too few to draw a {split} part from. Add images, or put some into {split}/."


# ---- from files to one block of pixels --------------------------------------------------------------------------


def _decoded(
    folder: Path,
    files: Sequence[File],
    part: str,
    pool: Tensor,
    size: int | None,
    channels: int | None,
    root: Path,
    progress: bool,
) -> tuple[Tensor, dict[int, str]]:
    """Images uint8 (n, C, size, size) of the files in `pool`, and why some of them are missing.

    From the cache if it holds exactly these files, else decoded and kept there. A cache that fails is never an error.
    """
    where = f"{_CACHE_VERSION} {folder.resolve()} {part} {size} {channels}"
    path = root / "cache" / f"{folder.resolve().name[:40]}-{part}-{_sha(where)[:12]}.pt"
    listing = _sha(PIL.__version__, *(f"{f.path}\0{f.bytes}\0{f.changed}" for f in files))
    try:
        kept = torch.load(path, mmap=True, weights_only=True)
        if kept["listing"] == listing and len(kept["images"]) == len(pool):
            return kept["images"], kept["unreadable"]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
        pass  # absent, from another version, or broken: decode again
    size, channels = _own_shape(folder, files, size, channels)
    images, unreadable = _decode(folder, [files[i].path for i in pool.tolist()], size, channels, progress)
    _keep(path, {"listing": listing, "images": images, "unreadable": unreadable})
    return images, unreadable


def _sha(*lines: str) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _keep(path: Path, block: dict) -> None:
    """Write the cache file in one step: another process sees the old one or the new one, never half of it."""
    half = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(block, half)
        os.replace(half, path)
    except (OSError, RuntimeError) as error:
        warnings.warn(
            f"decoded images could not be kept in {path.parent} ({error}), so every load decodes them again. "
            "Set SSLKIT_DATA to a folder that can be written to.",
            stacklevel=5,
        )
    finally:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)


def _own_shape(folder: Path, files: Sequence[File], size: int | None, channels: int | None) -> tuple[int, int]:
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


def _decode(
    folder: Path, paths: Sequence[str], size: int, channels: int, progress: bool
) -> tuple[Tensor, dict[int, str]]:
    """Images uint8 (n, channels, size, size) of all paths, zero where one cannot be read, and the reasons for those."""
    needed = len(paths) * channels * size * size
    if needed > LARGEST_BLOCK:
        fits = int((LARGEST_BLOCK / (len(paths) * channels)) ** 0.5)
        raise ValueError(
            f"{len(paths):,} images of {channels} × {size} × {size} need {needed / 1e9:.1f} GB in memory; the limit is "
            f"{LARGEST_BLOCK / 1e9:.1f} GB. Use size={fits} or less, channels=1, or a folder with fewer images."
        )
    from tqdm import tqdm

    images = np.zeros((len(paths), channels, size, size), dtype=np.uint8)

    def read(start: int) -> dict[int, str]:
        reasons = {}
        for i in range(start, min(start + _CHUNK, len(paths))):
            try:
                images[i] = read_image(folder / paths[i], size, channels)
            except Exception as error:  # a broken file makes Pillow raise nearly anything; each one is reported
                reasons[i] = _reason(error)
        return reasons

    unreadable: dict[int, str] = {}
    bar = tqdm(
        total=len(paths), desc=f"reading {folder.name}", unit=" images", disable=not progress or len(paths) < 2000
    )
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        for start, reasons in zip(
            range(0, len(paths), _CHUNK), pool.map(read, range(0, len(paths), _CHUNK)), strict=True
        ):
            unreadable |= reasons
            bar.update(min(_CHUNK, len(paths) - start))
    finally:
        pool.shutdown(cancel_futures=True)  # or an interrupt would wait for all that is left
        bar.close()
    return torch.from_numpy(images), unreadable


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
