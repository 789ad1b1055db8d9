"""Anybody's text: a UTF-8 file, or a folder of such files, becomes `Passages`, in any language.

    PATH.txt                 one text, without labels
    PATH/*.txt               texts without labels, or each a class of its own with classes="file"
    PATH/<class>/*.txt       one folder a class

Every file counts, whatever its ending. With 10 files or more in every class (or in all, without classes), whole files
are drawn for val and test, a tenth each. With fewer, the last tenth of each class's passages is test and the tenth
before it val, and a passage is left out at both borders: what stands side by side is about the same things.
"""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from sslkit import names, words
from sslkit.data.split import Passages, hold_out, text_fingerprint

SPLITS = ("train", "val", "test")
CLASSES = ("auto", "folder", "file", "none")
LENGTH = 128  # tokens of a passage

_FILES = 10  # in a class, from which on whole files are held out
_PASSAGES = 5  # of a class, without which there is nothing to learn from beside val, test and the two gaps


def load(
    path: str | Path, split: str = "train", *, length: int = LENGTH, classes: str = "auto", seed: int = 0
) -> Passages:
    """Load one part of a text file or of a folder of them.

    length      tokens of a passage; the last one of a file has a quarter of it or more, else it is left out
    classes     "folder", "file" or "none"; "auto" is "folder" where all files lie in folders, otherwise "none"
    seed        of the draw of val and test, where whole files are drawn

    `sources` are the files where whole files are held out, and the passages themselves otherwise. A file of a folder
    that is not UTF-8, or too short, is left out with a warning and named in `skipped`.

    Raises FileNotFoundError for a wrong path, and ValueError for a parameter or text that does not fit: not UTF-8,
    empty or too short, one class only.
    """
    names.pick(split, SPLITS, "split of text:PATH")
    names.pick(classes, CLASSES, "kind of classes")
    if not isinstance(length, int) or isinstance(length, bool) or length < 8:
        raise ValueError(f"length is {length!r}: a whole number of tokens from 8 on is needed, for example length=128.")
    place = _existing(path)
    files = _list_files(place)
    texts, skipped = _read(place, files, length)
    kept = sorted(texts)
    of_file, found = _labels(place, [files[i] for i in kept], classes)
    whole = min(of_file.bincount(minlength=1).tolist() if found else [len(kept)]) >= _FILES

    if whole:
        members = _drawn(of_file.clamp(min=0), seed)[split].tolist()
        rows = [(j, j, piece) for j in members for piece in texts[kept[j]]]
    else:
        rows, number = [], 0
        for k in range(max(len(found), 1)):
            mine = [(j, piece) for j, i in enumerate(kept) if not found or of_file[j] == k for piece in texts[i]]
            if len(mine) < _PASSAGES:
                raise ValueError(_too_little(place, found[k] if found else "", len(mine), length))
            borders = _blocks(len(mine))[split]
            rows += [(mine[n][0], number + n, mine[n][1]) for n in borders]
            number += len(mine)
    if skipped:
        few = "; ".join(skipped[:3]) + (" …" if len(skipped) > 3 else "")
        warnings.warn(
            f"{len(skipped)} of {len(files)} files of {place} are left out: {few} (all of them: Passages.skipped)",
            stacklevel=3,
        )
    passages, labels = tuple(piece for _, _, piece in rows), of_file[[j for j, _, _ in rows]]
    return Passages(
        texts=passages,
        labels=labels,
        classes=found,
        sources=torch.tensor([source for _, source, _ in rows]),
        name=f"text:{place.resolve().name}",
        split=split,
        hash=text_fingerprint(passages, labels),
        skipped=skipped,
    )


def _drawn(labels: Tensor, seed: int) -> dict[str, Tensor]:
    """Positions of the files of each split: a tenth to test, a tenth to val, of each class in proportion."""
    rest, test = hold_out(labels, len(labels) // 10, seed)
    train, val = hold_out(labels[rest], len(labels) // 10, seed)
    return {"train": rest[train], "val": rest[val], "test": test}


def _blocks(n: int) -> dict[str, range]:
    """Which of n passages in a row belong to each split: a tenth at the end to test, a tenth before it to val, and one
    passage between two splits to neither."""
    held = max(1, n // 10)
    return {"train": range(n - 2 * held - 2), "val": range(n - 2 * held - 1, n - held - 1), "test": range(n - held, n)}


# ---- what lies there --------------------------------------------------------------------------------------------


def _existing(path: str | Path) -> Path:
    if not str(path).strip():
        raise ValueError("text: came without a path. Expected text:PATH, for example text:books or text:novel.txt.")
    place = Path(path).expanduser()
    if place.exists():
        return place
    parent = next(p for p in place.absolute().parents if p.is_dir())
    beside = sorted(p.name for p in parent.iterdir() if not p.name.startswith("."))
    holds = f"It holds: {', '.join(beside[:8])}{' …' if len(beside) > 8 else ''}." if beside else "It is empty."
    raise FileNotFoundError(f"there is no file or folder {place}. The nearest folder that exists is {parent}. {holds}")


def _list_files(place: Path) -> list[Path]:
    """The files below a folder that are not hidden, by path, so that no file system's order can show; or the file."""
    if not place.is_dir():
        return [place]
    found = []
    for here, folders, files in os.walk(place):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        found += [Path(here, name) for name in files if not name.startswith(".")]
    if not found:
        raise ValueError(f"{place} holds no file. Expected text files in UTF-8, in PATH or in PATH/<class>/.")
    return sorted(found, key=lambda p: p.relative_to(place).as_posix())


def _read(place: Path, files: Sequence[Path], length: int) -> tuple[dict[int, list[str]], tuple[str, ...]]:
    """The passages of every file that has any, by its position, and why the others have none."""
    texts, skipped = {}, []
    for i, file in enumerate(files):
        try:
            pieces = words.cut(unicodedata.normalize("NFC", decoded(file)), length)
        except (ValueError, OSError) as error:
            if len(files) == 1:
                raise
            skipped.append(str(error))
            continue
        if pieces:
            texts[i] = pieces
        else:
            skipped.append(f"{file} has less than {-(-length // 4)} words, a quarter of a passage of {length}")
    if not texts:
        raise ValueError(
            f"{place} holds no text to learn from: {'; '.join(skipped[:3])}{' …' if len(skipped) > 3 else ''}. "
            "Expected files in UTF-8 with some hundred words; shorter passages are made with length=32."
        )
    return texts, tuple(skipped)


def decoded(file: Path) -> str:
    """The text of a UTF-8 file. Raises ValueError, with the place, where it is something else."""
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The error counts from behind a byte-order mark; the offending byte itself is in error.object.
        line = error.object[: error.start].count(b"\n") + 1
        guess = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1 or cp1252"
        raise ValueError(
            f"{file} is not UTF-8: byte 0x{error.object[error.start]:02x} in line {line} (byte {error.start:,}) cannot "
            f"be read. If it is text, save it as UTF-8, in an editor or by iconv -f {guess.split()[0]} -t utf-8; it "
            f"may be {guess}."
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{file} holds a zero byte in line {line}, so it is not a text file. Remove or convert it.")
    return text


def _labels(place: Path, files: Sequence[Path], classes: str) -> tuple[Tensor, tuple[str, ...]]:
    """The label (len(files),) of every file, -1 without classes, and the classes in sorted order."""
    inside = [file.relative_to(place).parts if place.is_dir() else (file.name,) for file in files]
    shallow = [parts for parts in inside if len(parts) == 1]
    tops = {parts[0].lower() for parts in inside if len(parts) > 1}
    if classes in ("auto", "folder") and "train" in tops and tops & {"val", "valid", "validation", "test"}:
        raise ValueError(
            f"{place} has parts of its own ({', '.join(sorted(tops))}), which are no classes. Expected one folder a "
            f"class, or all texts together: load text:{place / 'train'} alone, or take everything with classes='none'."
        )
    if classes == "none" or (classes == "auto" and len(shallow) == len(files)):
        return torch.full((len(files),), -1), ()
    if classes == "file":
        named = ["/".join(parts) for parts in inside]
    elif shallow:
        raise ValueError(
            f"{len(shallow)} of {len(files)} files of {place} lie in no class folder (the first: {shallow[0][0]}). "
            "Expected PATH/<class>/file for all: move them, or give classes='file' or classes='none'."
        )
    else:
        named = [parts[0] for parts in inside]
    found = sorted(set(named))
    if len(found) == 1:
        raise ValueError(
            f"{place} has one class only ({found[0]!r}), so there is nothing to tell apart. Expected two or more; to "
            "learn the next word without labels, use classes='none'."
        )
    return torch.tensor([found.index(name) for name in named]), tuple(found)


def _too_little(place: Path, name: str, n: int, length: int) -> str:
    what = f"class {name!r} of {place}" if name else str(place)
    shorter = length * n // (2 * _PASSAGES)
    offer = f", or make the passages shorter (length={shorter})" if 8 <= shorter < length else ""
    return (
        f"{what} has {n} passage{'s' * (n != 1)} of {length} tokens, too few to set val and test apart: {_PASSAGES} "
        f"are needed at least. Add text{offer}."
    )
