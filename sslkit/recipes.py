"""What each method trains with: found by measurement on the course's images (notebooks/LOG.md tells how)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from sslkit import checkpoint, methods, names, nets, pretext, words
from sslkit.augment import STRONG, Augment
from sslkit.methods.video import MIRROR
from sslkit.train import TrainConfig


@dataclass(frozen=True)
class Recipe:
    """`lesson` is enough to see the effect; `long` is what the scoreboard reports. Both are given in steps, so that a
    larger data set costs the same time."""

    lesson: TrainConfig
    long: TrainConfig
    augment: Augment = STRONG
    long_augment: Augment | None = None  # where more time is worth stronger views
    settings: dict = field(default_factory=dict)
    net: str = "convnet"  # the kind of encoder, one of nets.NETS; see `encoder_for`


# Every tile of a puzzle in colours of its own: else colour tells which tiles lie side by side.
TILES = Augment(brightness=0.4, contrast=0.4, saturation=0.5, hue=0.2, grey=0.2)

RECIPES = {
    "inpainting": Recipe(
        TrainConfig(steps=1500, batch_size=128),
        TrainConfig(steps=3500, batch_size=128),
        settings={"target": pretext.contrast_normalised_edges},
    ),
    "jigsaw": Recipe(
        TrainConfig(steps=1500, batch_size=128),
        TrainConfig(steps=3500, batch_size=128),
        settings={"permutations": 24, "grid": 2, "size": 16, "tile_augment": TILES, "normalise": False},
    ),
    "rotation": Recipe(TrainConfig(steps=2000, batch_size=128), TrainConfig(steps=3500, batch_size=128)),
    "relative-position": Recipe(
        TrainConfig(steps=2000, batch_size=128),
        TrainConfig(steps=5000, batch_size=128),
        settings={"size": 16, "patch_augment": TILES, "normalise": False},
    ),
    "siamese": Recipe(
        TrainConfig(steps=2000, batch_size=128),
        TrainConfig(steps=3500, batch_size=128),
        settings={"mining": "semi-hard"},
    ),
    "triplet": Recipe(TrainConfig(steps=2000, batch_size=128), TrainConfig(steps=3500, batch_size=128)),
    "simclr": Recipe(TrainConfig(steps=2200, batch_size=64), TrainConfig(steps=3300, batch_size=64)),
    "moco": Recipe(TrainConfig(steps=5000, batch_size=32, lr=1e-3), TrainConfig(steps=10000, batch_size=32, lr=1e-3)),
    "byol": Recipe(
        TrainConfig(steps=5000, batch_size=32, lr=1e-3),
        TrainConfig(steps=10000, batch_size=32, lr=1e-3),
        settings={"whiten": True},
    ),
    "simsiam": Recipe(
        TrainConfig(steps=5000, batch_size=32, lr=1e-3),
        TrainConfig(steps=10000, batch_size=32, lr=1e-3),
        settings={"whiten": True},
    ),
    "barlow-twins": Recipe(
        TrainConfig(steps=5000, batch_size=32, lr=1e-3), TrainConfig(steps=10000, batch_size=32, lr=1e-3)
    ),
    "vicreg": Recipe(
        TrainConfig(steps=2200, batch_size=64),
        TrainConfig(steps=15000, batch_size=32, lr=8e-3),
        long_augment=replace(STRONG, scale=(0.35, 1.0)),
    ),
    "dino": Recipe(
        TrainConfig(steps=5000, batch_size=32, lr=1e-3),
        TrainConfig(steps=10000, batch_size=32, lr=1e-3),
        settings={"whiten": True, "crops": 0},
    ),
    "mae": Recipe(
        TrainConfig(steps=3600, batch_size=128, lr=2e-3),
        TrainConfig(steps=9000, batch_size=128, lr=2e-3),
        settings={"ratio": 0.5, "target": pretext.contrast_normalised_edges, "normalise": False},
        net="vit",
    ),
    "jepa": Recipe(
        TrainConfig(steps=1200, batch_size=128, lr=2e-3), TrainConfig(steps=2400, batch_size=128, lr=2e-3), net="vit"
    ),
}

# On clips.
VIDEO = {
    "future": Recipe(TrainConfig(steps=800, batch_size=64), TrainConfig(steps=2400, batch_size=64), MIRROR),
    "past": Recipe(TrainConfig(steps=800, batch_size=64), TrainConfig(steps=2400, batch_size=64), MIRROR),
    "order": Recipe(TrainConfig(steps=600, batch_size=64), TrainConfig(steps=2400, batch_size=64), MIRROR),
    "arrow": Recipe(TrainConfig(steps=800, batch_size=64), TrainConfig(steps=2400, batch_size=64), MIRROR),
    "future-embedding": Recipe(TrainConfig(steps=900, batch_size=64), TrainConfig(steps=2400, batch_size=64)),
}
FRAMES = 4  # that an encoder of clips sees at once

# Sets of digits: a mirror image is another sign or none, and a negative is the same digit.
_DIGITS = ("photodigits", "movingdigits", "mnist", "svhn")


@dataclass(frozen=True)
class TextRecipe:
    """How to learn from text: how long, how many words the vocabulary has, and the network's sizes."""

    lesson: TrainConfig
    long: TrainConfig
    vocabulary: int = 6000
    net: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)


TEXTS = {  # by network
    "context": TextRecipe(
        TrainConfig(steps=14000, batch_size=128),
        TrainConfig(steps=28000, batch_size=128),
        net={"k": 8, "embedding": 128, "width": 128},
    ),
    "context-bag": TextRecipe(
        TrainConfig(steps=600, batch_size=64, lr=5e-3),
        TrainConfig(steps=1200, batch_size=64, lr=5e-3),
        net={"k": 128, "width": 128},
        settings={"places": 16},
    ),
    "causal-transformer": TextRecipe(
        TrainConfig(steps=900, batch_size=8, lr=2e-3),
        TrainConfig(steps=1800, batch_size=8, lr=2e-3),
        net={"k": 128, "width": 128, "depth": 2, "heads": 4},
    ),
}
ON_WORDS = ("next-word",)  # the methods that learn from text; `TEXTS` holds what they train with


def get(method: str) -> Recipe:
    known, hint = RECIPES | VIDEO, f"From text learns: {', '.join(ON_WORDS)}."
    return known[names.pick(method, known, "method", hint)]


def for_text(net: str = "context") -> TextRecipe:
    return TEXTS[names.pick(net, TEXTS, "net for text")]


def build_on_words(vocabulary: words.Vocabulary, net: str = "context", **sizes) -> methods.OnWords:
    """The next word with the settings of its recipe, and its sizes or those that are given: k, width, depth, …"""
    recipe = for_text(net)
    encoder = nets.build_reader({"net": net, "vocabulary": len(vocabulary), **recipe.net, **sizes})
    return methods.on_words(encoder, **recipe.settings)


def batches_of(method: methods.OnWords, texts: Iterable[str], vocabulary: words.Vocabulary):
    """The texts as the method takes them: windows of k words and the next, or rows of up to k words."""
    make = words.rows if isinstance(method, methods.NextWords) else words.windows
    return make(texts, vocabulary, method.encoder.k)


def encoder_for(method: str, size: Sequence[int] = (32, 32), channels: int = 3, net: str | None = None) -> nets.Encoder:
    """A fresh encoder of the kind that the method's recipe names, or of kind `net`, for images of this size.

    ResNet-18 has a stem for small images, and another for those above 64 px; a vision transformer cuts an image into
    patches of 8 px, or as near to that as divides its sides.
    """
    net = names.pick(net or get(method).net, nets.NETS, "net")
    fitting: dict = {}
    if net == "resnet18":
        fitting = {"small_images": max(size) <= 64}
    elif net == "vit":
        fitting = {"patch": nets.patch_for(size)}
    return nets.build({"net": net, "channels": channels} | fitting)


def augment_for(recipe: Recipe, data: str, budget: str = "lesson") -> Augment:
    """The recipe's augmentation, made to suit the data: photographs are mirrored, and mostly keep their colours.

    What may change without changing the meaning is knowledge about the data; this is the one place that holds it.
    """
    augment = (recipe.long_augment if budget == "long" else None) or recipe.augment
    return augment if data in _DIGITS else replace(augment, flip=0.5, invert=0.0, hue=0.1)


def described(recipe: Recipe, budget: str = "lesson") -> dict:
    """The method's settings as json can write them: a function by its name, an augmentation by what it changes."""

    def plain(value):
        if isinstance(value, Augment):
            default = Augment()
            return {
                f.name: getattr(value, f.name)
                for f in fields(value)
                if getattr(value, f.name) != getattr(default, f.name)
            }
        return value.__name__ if callable(value) else value

    own = {"augment": recipe.long_augment} if budget == "long" and recipe.long_augment else {}
    return {name: plain(value) for name, value in (recipe.settings | own).items()}


def build(method: str, encoder: nets.Encoder, data: str = "photodigits", budget: str = "lesson") -> methods.Method:
    """The method around the encoder, with its recipe's settings and the augmentation that suits data and budget."""
    recipe = get(method)
    return methods.build(method, encoder, augment=augment_for(recipe, data, budget), **recipe.settings)


def load_method(path: str | Path) -> methods.Method:
    """The whole method of a checkpoint, encoder, head and all, with the settings of its recipe.

    Raises ValueError for a method that was made with other settings; its encoder alone can still be loaded.
    """
    content = checkpoint.load(path)
    method = build(content["method"], nets.build(content["net"]), content["data"])
    try:
        method.load_state_dict(content["method_state"])
    except RuntimeError as error:
        raise ValueError(
            f"{path} holds a {content['method']} whose settings are not the recipe's, so its head does not fit. Build "
            "the method with the same settings and load its method_state, or take checkpoint.load_encoder(path)."
        ) from error
    return method.eval()
