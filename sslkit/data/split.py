"""One split of a data set, images or passages; the draw of a few labels from it; the draw of a part to hold out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sslkit import names
from sslkit.data.stream import Images, Stream

_PIECE = 16_000_000  # bytes that a fingerprint takes at a time


class Target(NamedTuple):
    """What else is known of every image: a label int64 (N,), one of the `classes`, or a measurement (N, …)."""

    values: Tensor
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """Images with their labels, as one block of tensors, or with the images on disk where they do not fit in memory.

    Shapes: `images` uint8 (N, C, H, W); `labels` int64 (N,), -1 where there is no label; `sources` int64 (N,).
    A source is the original that an image was made from: one handwritten digit stands behind several composites.
    Labels are counted in sources, and intervals are drawn over them. Without composites each image is its own source.

    Of a set of clips, `images` are (N, T, C, H, W), T frames each. `targets` are what else is known of every image or
    clip, by name; `labelled_by(name)` puts one of them in the place of the labels.
    """

    images: Images
    labels: Tensor
    classes: tuple[str, ...]
    sources: Tensor
    name: str
    split: str
    hash: str = ""
    skipped: tuple[str, ...] = ()  # files that could not be read, with the reason
    targets: Mapping[str, Target] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labelled(self) -> bool:
        return len(self.classes) > 0

    def to(self, device: torch.device | str) -> Split:
        """The same on `device`. Images on disk stay there; the rows that are asked for will arrive on it."""
        targets = {name: Target(t.values.to(device), t.classes) for name, t in self.targets.items()}
        images, labels, sources = self.images.to(device), self.labels.to(device), self.sources.to(device)
        return replace(self, images=images, labels=labels, sources=sources, targets=targets)

    def subset(self, index: Tensor) -> Split:
        """The images at `index`, in that order; those that are on disk stay there."""
        index = index.to(self.labels.device)
        images = self.images.subset(index) if isinstance(self.images, Stream) else self.images[index]
        targets = {name: Target(t.values[index], t.classes) for name, t in self.targets.items()}
        return replace(self, images=images, labels=self.labels[index], sources=self.sources[index], targets=targets)

    def labelled_by(self, target: str) -> Split:
        """The same images with another of their labels, one of `targets`, so that all that takes a Split can use it."""
        known = {name: t for name, t in self.targets.items() if t.classes}
        if not known:
            raise ValueError(f"{self.name}/{self.split} has no labels besides its own.")
        values, classes = known[names.pick(target, known, f"label of {self.name}")]
        return replace(self, labels=values, classes=classes)


@dataclass(frozen=True)
class Passages:
    """Pieces of text with their labels: what `Split` is for images.

    `texts` are N strings; `labels` int64 (N,), -1 where there is no label; `sources` int64 (N,). A source is where a
    passage was cut from, and whole sources belong to one split.
    """

    texts: tuple[str, ...]
    labels: Tensor
    classes: tuple[str, ...]
    sources: Tensor
    name: str
    split: str
    hash: str = ""
    skipped: tuple[str, ...] = ()  # files that were left out, with the reason

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def labelled(self) -> bool:
        return len(self.classes) > 0

    def subset(self, index: Tensor) -> Passages:
        """The passages at `index`, in that order."""
        texts = tuple(self.texts[i] for i in index.tolist())
        return replace(self, texts=texts, labels=self.labels[index], sources=self.sources[index])


def text_fingerprint(texts: Sequence[str], labels: Tensor) -> str:
    """Twelve hex digits of SHA-256 over texts and labels, in order."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)  # with its length, or "ab", "c" would be "a", "bc"
    digest.update(labels.numpy().tobytes())
    return digest.hexdigest()[:12]


def fingerprint(*tensors: Images, progress: bool = False) -> str:
    """Twelve hex digits of SHA-256 over the bytes of the tensors, in order; a piece at a time, as some are on disk."""
    digest = hashlib.sha256()
    total = sum(t.nbytes for t in tensors)
    with tqdm(desc="checksum", total=total, unit="B", unit_scale=True, delay=2, disable=not progress) as bar:
        for t in tensors:
            rows = max(1, _PIECE * len(t) // max(t.nbytes, 1))
            for piece in t.split(rows):
                digest.update(piece.flatten().cpu().numpy().data)
                bar.update(piece.nbytes)
    return digest.hexdigest()[:12]


def draw_labels(split: Split | Passages, per_class: int, seed: int) -> Tensor:
    """Indices (per_class · K,) of a random draw of labelled images: `per_class` different sources of each class.

    One image a source, so that "ten labels a class" means ten distinct originals and not ten copies of one.
    Passages are drawn likewise. The same seed gives the same draw on every device.
    Raises ValueError if a class has too few sources.
    """
    if per_class < 1:
        raise ValueError(f"per_class is {per_class}: at least 1 label a class is needed.")
    if not split.labelled:
        raise ValueError(
            f"{split.name}/{split.split} has no labels: it can be pretrained on, but no labels can be drawn."
        )
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(split), generator=generator).numpy()
    labels, sources = split.labels.cpu().numpy()[order], split.sources.cpu().numpy()[order]
    chosen = []
    for k, name in enumerate(split.classes):
        mine = np.flatnonzero(labels == k)
        _, first = np.unique(sources[mine], return_index=True)  # one image of each source: the first in random order
        picked = order[mine[np.sort(first)]]
        if len(picked) < per_class:
            raise ValueError(
                f"{per_class} labels a class were asked for, but class {name!r} of {split.name}/{split.split} has only "
                f"{len(picked)}. Ask for at most {len(picked)}, or use a larger split."
            )
        chosen.append(picked[:per_class])
    return torch.from_numpy(np.concatenate(chosen))


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
