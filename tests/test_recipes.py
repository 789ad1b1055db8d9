"""Recipes: one for every method, buildable, and with the augmentation that suits the data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sslkit import methods, nets, recipes
from sslkit.data import NAMES

every = pytest.mark.parametrize("name", methods.METHODS)


def test_every_method_has_a_recipe_and_every_recipe_a_method():
    assert recipes.RECIPES.keys() == methods.METHODS.keys()


@every
def test_a_recipe_builds_its_method(name):
    encoder = nets.ConvNet(3, widths=(4, 8))
    method = recipes.build(name, encoder)
    assert type(method) is methods.METHODS[name]
    assert method.encoder is encoder
    assert method.augment == recipes.get(name).augment


@every
def test_a_recipe_can_be_written_down(name):
    recipe = recipes.get(name)
    described = recipes.described(recipe)
    assert described.keys() == recipe.settings.keys()
    json.dumps(described)
    assert recipes.described(recipes.get("inpainting")) == {"target": "contrast_normalised_edges"}
    assert recipes.described(recipes.get("jigsaw"))["tile_augment"]["brightness"] == 0.4


@every
def test_the_long_run_is_longer_and_both_are_given_in_steps(name):
    recipe = recipes.get(name)
    assert 0 < recipe.lesson.steps < recipe.long.steps


@every
def test_digits_are_never_mirrored_and_photographs_are(name):
    recipe = recipes.get(name)
    for data in ("photodigits", "mnist", "svhn"):
        assert recipes.augment_for(recipe, data) == recipe.augment
        assert recipe.augment.flip == 0
    for data in ("cifar10", "stl10", "fashion-mnist", "folder:holiday"):
        augment = recipes.augment_for(recipe, data)
        assert augment.flip == 0.5 and augment.invert == 0
        assert replace(augment, flip=0, invert=recipe.augment.invert, hue=recipe.augment.hue) == recipe.augment


def test_the_sets_of_digits_have_the_names_that_load_knows():
    assert set(recipes._DIGITS) <= set(NAMES)


def test_an_unknown_method_gets_the_nearest_name():
    with pytest.raises(ValueError, match="unknown method 'rotations'. Did you mean 'rotation'"):
        recipes.get("rotations")
