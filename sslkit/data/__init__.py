"""Data sets by name: `load(name, split)` gives a `Split`, uint8 images with labels. No other room reads data files.

photodigits          the course's own images, built in a second from packages that are installed anyway
mnist … svhn         torchvision's sets, downloaded once with their checksum
folder:PATH          anybody's images
"""

from __future__ import annotations

from pathlib import Path

from sslkit import names
from sslkit.data import folder, photodigits, public
from sslkit.data.root import data_root
from sslkit.data.split import Split, draw_labels, fingerprint
from sslkit.data.stream import Images, Stream

__all__ = ["NAMES", "Images", "Split", "Stream", "data_root", "draw_labels", "fingerprint", "load"]

NAMES = ("photodigits", *public.SETS)


def load(
    name: str,
    split: str = "train",
    *,
    root: str | Path | None = None,
    size: int | None = None,
    channels: int | None = None,
    classes_at: int = 1,
    seed: int = 0,
    progress: bool = True,
) -> Split:
    """Load one part of a data set: images uint8 (N, C, H, W), labels int64 (N,).

    A folder whose images do not fit in memory gives them as a `Stream`, which stands where the tensor would.

    name        one of `NAMES`, or folder:PATH for a folder of images
    split       "train", "val" or "test"; stl10 also has "unlabeled"
    root        where downloads and caches go, instead of `data_root()`; not for photodigits, which has neither
    size, channels, classes_at      only for folder:PATH, see `sslkit.data.folder`
    seed        of the draw of a validation part where the data set has none; photodigits is frozen and has no seed
    progress    show a bar on stderr while something takes long

    Raises ValueError for a name, a split or a parameter that does not fit, and OSError for files and the network.
    """
    name, given = str(name), {"size": size, "channels": channels}
    if name.startswith("folder:"):
        names.pick(split, folder.SPLITS, "split of folder:PATH")
        path = name.removeprefix("folder:")
        return folder.load(path, split, root=root, classes_at=classes_at, seed=seed, progress=progress, **given)

    names.pick(name, NAMES, "data set", hint="For your own images: folder:PATH.")
    _refuse(name, "belongs to folder:PATH", **given, classes_at=None if classes_at == 1 else classes_at)
    if name == "photodigits":
        _refuse(name, "has no effect: it is the same everywhere", root=root, seed=seed or None)
        return photodigits.load(split)
    names.pick(split, public.splits(name), f"split of {name}")
    return public.load(name, split, root=root, seed=seed, progress=progress)


def _refuse(name: str, why: str, **parameters) -> None:
    """Raise ValueError if one of the parameters was given, since this data set cannot follow it."""
    for key, value in parameters.items():
        if value is not None:
            raise ValueError(f"{key}={value!r} was given with {name!r}, where it {why}. Leave {key} out.")
