"""What each method trains with: found by measurement on the course's images (notebooks/LOG.md tells how)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sslkit import methods, names, nets
from sslkit.augment import STRONG, Augment
from sslkit.train import TrainConfig


@dataclass(frozen=True)
class Recipe:
    """`lesson` is enough to see the effect; `long` is what the scoreboard reports. Both are given in steps, so that a
    larger data set costs the same time."""

    lesson: TrainConfig
    long: TrainConfig
    augment: Augment = STRONG
    settings: dict = field(default_factory=dict)


RECIPES = {
    "rotation": Recipe(TrainConfig(steps=1500, batch_size=128), TrainConfig(steps=3500, batch_size=128)),
    "simclr": Recipe(TrainConfig(steps=2200, batch_size=64), TrainConfig(steps=3300, batch_size=64)),
    "vicreg": Recipe(TrainConfig(steps=2200, batch_size=64), TrainConfig(steps=4400, batch_size=64)),
}

# Sets of digits: a mirror image is another sign or none, and a negative is the same digit.
_DIGITS = ("photodigits", "mnist", "svhn")


def get(method: str) -> Recipe:
    return RECIPES[names.pick(method, RECIPES, "method")]


def augment_for(recipe: Recipe, data: str) -> Augment:
    """The recipe's augmentation, made to suit the data: photographs are mirrored, and mostly keep their colours.

    What may change without changing the meaning is knowledge about the data; this is the one place that holds it.
    """
    return recipe.augment if data in _DIGITS else replace(recipe.augment, flip=0.5, invert=0.0, hue=0.1)


def build(method: str, encoder: nets.Encoder, data: str = "photodigits") -> methods.Method:
    """The method around the encoder, with its recipe's settings and the augmentation that suits the data."""
    recipe = get(method)
    return methods.build(method, encoder, augment=augment_for(recipe, data), **recipe.settings)
