"""A method joins an encoder, what is done to the images, and a loss: one short nn.Module each.

`forward(x)` takes a raw uint8 batch and returns {"loss": …, parts…}. It is `loss(*views(x, generator))`, in two named
pieces, so that what the network sees can be looked at, and a test can hand in views of its own.

A method has `whole_batch = True` if it compares the images of a batch with each other: it then gathers what it compares
from all processes (device.gather), and its batch cannot be worked through in pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sslkit import names, nets
from sslkit.methods.contrastive import MoCo, SimCLR
from sslkit.methods.distillation import DINO
from sslkit.methods.masked import JEPA, MAE
from sslkit.methods.metric import Siamese, Triplet
from sslkit.methods.negative_free import BYOL, SimSiam
from sslkit.methods.statistics import BarlowTwins, VICReg
from sslkit.methods.supervised import Supervised
from sslkit.methods.tasks import Inpainting, Jigsaw, RelativePosition, Rotation
from sslkit.methods.text import NextWord, NextWords
from sslkit.methods.video import Arrow, Future, FutureEmbedding, Order

__all__ = [
    "BYOL",
    "DINO",
    "JEPA",
    "MAE",
    "METHODS",
    "VIDEO",
    "Arrow",
    "Future",
    "FutureEmbedding",
    "BarlowTwins",
    "Inpainting",
    "Jigsaw",
    "Method",
    "MoCo",
    "NextWord",
    "NextWords",
    "OnWords",
    "Order",
    "RelativePosition",
    "Rotation",
    "Siamese",
    "SimCLR",
    "SimSiam",
    "Supervised",
    "Triplet",
    "VICReg",
    "build",
    "on_words",
]

METHODS = {
    "inpainting": Inpainting,
    "jigsaw": Jigsaw,
    "rotation": Rotation,
    "relative-position": RelativePosition,
    "siamese": Siamese,
    "triplet": Triplet,
    "simclr": SimCLR,
    "moco": MoCo,
    "byol": BYOL,
    "simsiam": SimSiam,
    "barlow-twins": BarlowTwins,
    "vicreg": VICReg,
    "dino": DINO,
    "mae": MAE,
    "jepa": JEPA,
}

VIDEO: dict[str, Callable[..., Method]] = {  # on clips
    "future": Future,
    "past": partial(Future, backwards=True),
    "order": Order,
    "arrow": Arrow,
    "future-embedding": FutureEmbedding,
}

Joint = SimCLR | MoCo | BYOL | SimSiam | BarlowTwins | VICReg | DINO
Clips = Future | Order | Arrow | FutureEmbedding
Method = Inpainting | Jigsaw | Rotation | RelativePosition | Siamese | Triplet | Joint | MAE | JEPA | Clips | Supervised


def build(name: str, encoder: nets.Encoder, **settings) -> Method:
    """The method called `name` around an encoder."""
    known: dict[str, Any] = {**METHODS, **VIDEO}
    return known[names.pick(name, known, "method")](encoder, **settings)


OnWords = NextWord | NextWords


def on_words(encoder: nets.Reader, **settings) -> OnWords:
    """The next word, asked in the way that suits the network: after the last of k words, or at every place."""
    if isinstance(encoder, nets.ContextNet):
        return NextWord(encoder, **settings)
    return NextWords(encoder, **{"tied": isinstance(encoder, nets.CausalTransformer)} | settings)
