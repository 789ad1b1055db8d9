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

import difflib
import functools
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from sslkit.data import pictures
from sslkit.data.pictures import File
from sslkit.data.root import data_root
from sslkit.data.split import Split, fingerprint, hold_out
from sslkit.data.stream import Images, Stream

SPLITS = ("train", "val", "test")

_PART_OF = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_NOT_PICTURES = {"BUFR", "GRIB", "HDF5", "MPEG", "IPTC", "WMF", "EPS"}  # Pillow opens them and cannot draw them alone


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
    file's name, size or time of change differs; an interrupted decoding goes on where it stopped.

    Images that take more memory than `pictures.memory_limit()` stay there: `images` is then a `Stream`, which a line
    on stderr says, and everything else is the same.

    Raises FileNotFoundError or NotADirectoryError for a wrong path, ValueError for a folder or a parameter that does
    not fit, and OSError where images that do not fit in memory cannot be written to disk; each says what to do.
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
    block, unreadable = pictures.decoded(folder, files, part, pool, size, channels, data_root(root), progress)

    local = torch.searchsorted(pool, members)
    bad = torch.isin(local, torch.tensor(sorted(unreadable), dtype=torch.long))
    skipped = tuple(f"{files[pool[i]].path}: {unreadable[i]}" for i in local[bad].tolist())
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
    members, name = members[~bad], f"folder:{folder.resolve().name}"
    images = _held(block, local[~bad], f"{name} ({split})")
    if isinstance(images, Stream):
        known_as = pictures.remembered_fingerprint(images, labels[members], progress)
    else:
        known_as = fingerprint(images, labels[members])
    return Split(
        images=images,
        labels=labels[members],
        classes=classes,
        sources=members,
        name=name,
        split=split,
        hash=known_as,
        skipped=skipped,
    )


def _held(block: Images, rows: Tensor, what: str) -> Images:
    """The images at `rows`: in memory if they may be held there, else on disk, which is said."""
    if isinstance(block, Tensor):
        return block[rows]
    images, limit = block.subset(rows), pictures.memory_limit()
    if images.nbytes <= limit:
        return images[:]
    _say(
        f"{what}: {len(images):,} images of {' × '.join(map(str, images.shape[1:]))} take {images.nbytes / 1e9:.1f} "
        f"GB, more than the {limit / 1e9:g} GB that may be held in memory (SSLKIT_MEMORY_GB): they stream from "
        f"{images.path}"
    )
    return images


@functools.cache
def _say(line: str) -> None:
    """Print to stderr what has not been said before."""
    print(line, file=sys.stderr)


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
