"""What each method trains with: found by measurement on the course's images (notebooks/LOG.md tells how)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import nn

from sslkit import methods, names
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
    "rotation": Recipe(TrainConfig(steps=1000), TrainConfig(steps=1800)),
    "simclr": Recipe(TrainConfig(steps=800), TrainConfig(steps=1000)),
}

# Sets in which a mirror image is another class, or none at all.
_NOT_MIRRORED = ("photodigits", "mnist", "svhn")


def get(method: str) -> Recipe:
    return RECIPES[names.pick(method, RECIPES, "method")]


def augment_for(recipe: Recipe, data: str) -> Augment:
    """The recipe's augmentation, with mirror images for data in which they mean the same."""
    return recipe.augment if data in _NOT_MIRRORED else replace(recipe.augment, flip=0.5)


def build(method: str, encoder: nn.Module, data: str = "photodigits") -> nn.Module:
    """The method around the encoder, with its recipe's settings and the augmentation that suits the data."""
    recipe = get(method)
    return methods.build(method, encoder, augment=augment_for(recipe, data), **recipe.settings)
