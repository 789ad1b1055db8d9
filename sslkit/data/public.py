"""torchvision's data sets by name: downloaded once, checked against their checksum, held as one block of tensors.

They have no validation part of their own, so one is drawn from train: a tenth of each class, at most 5,000 in all.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import math
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sslkit.data.root import data_root, make_folder
from sslkit.data.split import Split, fingerprint, hold_out

SETS = {
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "stl10": "STL10",
    "svhn": "SVHN",
}
LARGEST_VAL = 5_000
SILENCE = 30.0  # seconds without a byte after which a server counts as out of reach


class Download(NamedTuple):
    """One file of a data set: where it belongs, its MD5, and where it can be had."""

    path: Path
    md5: str
    urls: tuple[str, ...]


def splits(name: str) -> tuple[str, ...]:
    """The parts that a data set has."""
    return ("train", "val", "test", "unlabeled") if name == "stl10" else ("train", "val", "test")


def load(
    name: str, split: str = "train", *, root: str | Path | None = None, seed: int = 0, progress: bool = True
) -> Split:
    """Load one part of a data set of torchvision's: uint8 (N, C, H, W), labels int64 (N,), -1 in `unlabeled`.

    train and val are drawn from torchvision's train by `seed` and are disjoint; `sources` are positions in it.
    Raises ConnectionError where a file must be downloaded and cannot be, OSError where its checksum is wrong, and
    PermissionError where nothing can be written; each names the file and the folder.
    """
    part = "train" if split == "val" else split
    images, labels, classes = _tensors(name, _open(name, part, data_root(root), progress))
    index = torch.arange(len(labels))
    if part == "train":
        kept, held = hold_out(labels, min(len(labels) // 10, LARGEST_VAL), seed)
        index = held if split == "val" else kept
        images, labels = images[index], labels[index]
    return Split(images, labels, classes, index, name, split, hash=fingerprint(images, labels))


def _tensors(name: str, dataset) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Images uint8 (N, C, H, W), labels int64 (N,) and classes of a torchvision data set."""
    data = torch.from_numpy(np.ascontiguousarray(dataset.data))
    if name.startswith("cifar"):
        data = data.permute(0, 3, 1, 2).contiguous()
    elif data.ndim == 3:
        data = data.unsqueeze(1)
    labels = torch.as_tensor(dataset.labels if hasattr(dataset, "labels") else dataset.targets).long()
    if (labels < 0).all():
        return data, labels, ()
    return data, labels, tuple(getattr(dataset, "classes", map(str, range(10))))


def _open(name: str, part: str, root: Path, progress: bool):
    """torchvision's data set, from the files that are there, or else from a download."""
    import torchvision

    kind = getattr(torchvision.datasets, SETS[name])
    downloads = _downloads(kind, root, part)
    with contextlib.suppress(RuntimeError, FileNotFoundError):  # torchvision's words for: not there, or not whole
        return _read(kind, root, part, downloads)
    for folder in {d.path.parent for d in downloads}:
        make_folder(folder, f"the files of {name}")
    with contextlib.nullcontext() if progress else contextlib.redirect_stderr(io.StringIO()):
        for download in downloads:
            _fetch(name, download, downloads)
    for download in downloads:
        _unpack(name, download, root)
    try:
        return _read(kind, root, part, downloads)
    except (RuntimeError, FileNotFoundError) as error:
        raise OSError(
            f"{name} was unpacked in {root}, but is not whole ({error}). Delete {_files(downloads)} in "
            f"{downloads[0].path.parent} and try again."
        ) from error


def _read(kind, root: Path, part: str, downloads: list[Download]):
    for download in downloads if hasattr(kind, "resources") else []:
        # of MNIST's files torchvision checks the packed ones only: an interrupted unpacking would pass for the data
        if not _is_whole_idx(download.path.with_suffix("")):
            raise RuntimeError(f"{download.path.with_suffix('')} is missing or cut off")
    if kind.__name__ in ("STL10", "SVHN"):
        return kind(root, split=part)
    return kind(root, train=part == "train")


def _is_whole_idx(path: Path) -> bool:
    """Whether a file of MNIST's format is as long as its header says."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        header = file.read(16)  # two zeros, the type, the number of dimensions, then each dimension as 4 bytes
    start = 4 + 4 * header[3] if len(header) > 3 else 8
    sides = [int.from_bytes(header[i : i + 4], "big") for i in range(4, start, 4)]
    return len(header) >= min(start, 16) and path.stat().st_size == start + math.prod(sides)


def _downloads(kind, root: Path, part: str) -> list[Download]:
    """What torchvision's class would download for this part, and where it looks for it."""
    if hasattr(kind, "resources"):
        raw = root / kind.__name__ / "raw"
        return [Download(raw / file, md5, tuple(m + file for m in kind.mirrors)) for file, md5 in kind.resources]
    if hasattr(kind, "split_list"):
        url, file, md5 = kind.split_list[part]
        return [Download(root / file, md5, (url,))]
    return [Download(root / kind.filename, kind.tgz_md5, (kind.url,))]


def _fetch(name: str, download: Download, downloads: list[Download]) -> None:
    """Download one file unless it is there and whole. What was cut off is removed; what the user put there is not."""
    from torchvision.datasets import utils

    path, md5, urls = download
    before = _mark(path)
    wrong, last = "", Exception("torchvision names no server")
    for url in urls:
        try:
            with _patience(SILENCE):
                return utils.download_url(url, str(path.parent), path.name, md5)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            last = error
            if isinstance(error, RuntimeError):  # torchvision's word for a checksum that does not match
                wrong = f"{url} gave {_state(path, md5)}"
        finally:
            if _mark(path) != before and not utils.check_integrity(str(path), md5):
                path.unlink(missing_ok=True)
    if isinstance(last, OSError) and last.errno in (errno.ENOSPC, errno.EDQUOT):
        raise OSError(
            last.errno,
            f"{path.parent} is full: {path.name} of {name} does not fit. Free space, or set SSLKIT_DATA to a folder "
            "on a larger disk.",
        ) from last
    if wrong:
        raise OSError(
            f"{path.name} of {name} did not arrive whole: {wrong}. The connection broke off, or something else "
            f"answered. It was not kept; try again, or put the right file into {path.parent}. `--data photodigits` "
            "needs no network."
        ) from last
    broken = f" The {path.name} that is there cannot be used: {_state(path, md5)}." if path.is_file() else ""
    servers = ", ".join(sorted({u.rpartition("/")[0] + "/" for d in downloads for u in d.urls}))
    raise ConnectionError(
        f"{name} is not, or not whole, in {path.parent}, and {path.name} could not be downloaded ({_plainly(last)})."
        f"{broken} Check the network; or put {_files(downloads)} (from {servers}) into {path.parent}; or use "
        "`--data photodigits`, which needs no network."
    ) from last


def _mark(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written to."""
    return (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None


def _unpack(name: str, download: Download, root: Path) -> None:
    """Unpack over whatever an interrupted try may have left."""
    from torchvision.datasets import utils

    if download.path.suffix != ".gz":
        return
    try:
        utils.extract_archive(str(download.path), str(root if ".tar" in download.path.name else download.path.parent))
    except OSError as error:
        raise OSError(
            f"{download.path.name} of {name} could not be unpacked in {root} ({error}). Free space there or set "
            "SSLKIT_DATA to another folder; the next try unpacks again."
        ) from error


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """torchvision downloads without a time limit: behind a silent firewall it would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _state(path: Path, md5: str) -> str:
    from torchvision.datasets import utils

    if not path.is_file():
        return "there is no file"
    return f"{path.stat().st_size:,} bytes with MD5 {utils.calculate_md5(str(path))}, expected {md5}"


def _files(downloads: list[Download]) -> str:
    return ", ".join(d.path.name for d in downloads)


def _plainly(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__
