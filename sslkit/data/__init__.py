"""Data sets by name. No other room reads data files.

`load(name, split)` gives a `Split`, uint8 images with labels:

photodigits          the course's own images, built in a second from packages that are installed anyway
movingdigits         the course's own clips: the same digits, thrown over the same photographs
mnist … svhn         torchvision's sets, downloaded once with their checksum
folder:PATH          anybody's images
video:PATH           anybody's clips, with PyAV

`load_text(name, split)` gives `Passages`, pieces of text with labels:

docwords             the docstrings of the libraries that are installed anyway
text:PATH            anybody's text: a UTF-8 file, or a folder of them
"""

from __future__ import annotations

from pathlib import Path

from sslkit import names
from sslkit.data import docwords, folder, movingdigits, photodigits, public, text, video
from sslkit.data.root import data_root
from sslkit.data.split import Passages, Split, draw_labels, fingerprint
from sslkit.data.stream import Images, Stream, need_images

__all__ = [
    "NAMES",
    "TEXTS",
    "Images",
    "Passages",
    "Split",
    "Stream",
    "data_root",
    "draw_labels",
    "fingerprint",
    "load",
    "load_text",
    "need_images",
]

_BUILT = {"photodigits": photodigits.load, "movingdigits": movingdigits.load}
NAMES = (*_BUILT, *public.SETS)
TEXTS = ("docwords",)


def load(
    name: str,
    split: str = "train",
    *,
    root: str | Path | None = None,
    size: int | None = None,
    channels: int | None = None,
    classes_at: int = 1,
    frames: int | None = None,
    rate: float | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Split:
    """Load one part of a data set: images uint8 (N, C, H, W), or clips uint8 (N, T, C, H, W); labels int64 (N,).

    A folder whose images do not fit in memory gives them as a `Stream`, which stands where the tensor would.

    name        one of `NAMES`, folder:PATH for a folder of images, or video:PATH for a clip or a folder of clips
    split       "train", "val" or "test"; stl10 also has "unlabeled"
    root        where downloads and caches go, instead of `data_root()`; the course's own sets and video have neither
    size, channels      only for folder:PATH and video:PATH; classes_at only for folder:PATH, see `sslkit.data.folder`
    frames, rate        only for video:PATH: frames a window and frames a second, see `sslkit.data.video`
    seed        of the draw of a validation part where the data set has none; the course's own sets have no seed
    progress    show a bar on stderr while something takes long

    Raises ValueError for a name, a split or a parameter that does not fit, and OSError for files and the network.
    """
    name, given = str(name), {"size": size, "channels": channels}
    deep = None if classes_at == 1 else classes_at
    if name.startswith("video:"):
        names.pick(split, video.SPLITS, "split of video:PATH")
        _refuse(name, "has no effect", root=root, classes_at=deep)
        path = name.removeprefix("video:")
        return video.load(path, split, frames=frames, rate=rate, seed=seed, progress=progress, **given)
    _refuse(name, "belongs to video:PATH", frames=frames, rate=rate)
    if name.startswith("folder:"):
        names.pick(split, folder.SPLITS, "split of folder:PATH")
        path = name.removeprefix("folder:")
        return folder.load(path, split, root=root, classes_at=classes_at, seed=seed, progress=progress, **given)

    if name in TEXTS or name.startswith("text:"):
        raise ValueError(f"{name!r} is text, and load gives images. Use load_text({name!r}).")
    names.pick(name, NAMES, "data set", hint="For your own images: folder:PATH. For your own clips: video:PATH.")
    _refuse(name, "belongs to folder:PATH", **given, classes_at=deep)
    if name in _BUILT:
        _refuse(name, "has no effect: it is the same everywhere", root=root, seed=seed or None)
        return _BUILT[name](split)
    names.pick(split, public.splits(name), f"split of {name}")
    return public.load(name, split, root=root, seed=seed, progress=progress)


def load_text(
    name: str,
    split: str = "train",
    *,
    root: str | Path | None = None,
    length: int = text.LENGTH,
    classes: str = "auto",
    seed: int = 0,
    progress: bool = True,
) -> Passages:
    """Load one part of a text: passages of about as many tokens, and labels int64 (N,).

    name        one of `TEXTS`, or text:PATH for a UTF-8 file or a folder of them
    split       "train", "val" or "test"
    root        where docwords is kept once it has been read, instead of `data_root()`; not for text:PATH
    length, classes, seed       only for text:PATH, see `sslkit.data.text`; docwords has the same passages everywhere
    progress    show a bar on stderr while something takes long

    Raises ValueError for a name, a split, a parameter or a text that does not fit, and FileNotFoundError.
    """
    name = str(name)
    if name.startswith("text:"):
        _refuse(name, "has no effect: nothing is kept", root=root)
        return text.load(name.removeprefix("text:"), split, length=length, classes=classes, seed=seed)
    if name in NAMES or name.startswith("folder:"):
        raise ValueError(f"{name!r} is a set of images, and load_text gives text. Use load({name!r}).")
    names.pick(name, TEXTS, "text", hint="For your own text: text:PATH.")
    given = {"length": None if length == text.LENGTH else length, "classes": None if classes == "auto" else classes}
    _refuse(name, "belongs to text:PATH", **given, seed=seed or None)
    return docwords.load(split, root=root, progress=progress)


def _refuse(name: str, why: str, **parameters) -> None:
    """Raise ValueError if one of the parameters was given, since this data set cannot follow it."""
    for key, value in parameters.items():
        if value is not None:
            raise ValueError(f"{key}={value!r} was given with {name!r}, where it {why}. Leave {key} out.")
