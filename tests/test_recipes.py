"""Recipes: one for every method, buildable, and with the augmentation that suits the data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from sslkit import checkpoint, device, methods, nets, recipes
from sslkit.data import NAMES

every = pytest.mark.parametrize("name", methods.METHODS)


def small(name: str) -> nets.Encoder:
    """A small encoder of the kind that the method's recipe wants."""
    return nets.ViT(3, width=12, depth=1) if recipes.get(name).net == "vit" else nets.ConvNet(3, widths=(4, 8))


def test_every_method_has_a_recipe_and_every_recipe_a_method():
    assert recipes.RECIPES.keys() == methods.METHODS.keys()


@every
def test_a_recipe_builds_its_method(name):
    encoder = small(name)
    method = recipes.build(name, encoder)
    assert type(method) is methods.METHODS[name]
    assert method.encoder is encoder
    assert method.augment == recipes.get(name).augment


def test_a_long_run_may_have_stronger_views():
    recipe, digits = recipes.get("vicreg"), "photodigits"
    assert recipes.augment_for(recipe, digits).scale == (0.5, 1.0)
    assert recipes.augment_for(recipe, digits, "long") == replace(recipe.augment, scale=(0.35, 1.0))
    assert recipes.augment_for(recipe, "cifar10", "long").flip == 0.5
    assert recipes.build("vicreg", small("vicreg"), digits, "long").augment.scale == (0.35, 1.0)
    assert recipes.described(recipe) == {} and recipes.described(recipe, "long")["augment"]["scale"] == (0.35, 1.0)
    assert recipes.augment_for(recipes.get("simclr"), digits, "long") == recipes.get("simclr").augment


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


def trained(name: str, images: torch.Tensor, **settings) -> methods.Method:
    """A method whose every number, those of batch norm too, differs from a fresh one's."""
    with device.seeded(3):
        method = recipes.build(name, small(name))
        if settings:
            method = methods.build(name, small(name), **settings)
    method(images, device.generator(0))
    return method


@every
def test_a_loaded_method_has_the_same_loss(tmp_path, name):
    images = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8, generator=device.generator(0))
    method = trained(name, images)
    file = checkpoint.save(tmp_path / "m.pt", method, name=name, data="photodigits")
    again = recipes.load_method(file)
    assert type(again) is type(method) and not again.training
    with torch.no_grad():
        ours, theirs = (m.eval()(images, device.generator(1))["loss"] for m in (method, again))
    assert torch.equal(ours, theirs)


def test_a_method_with_other_settings_is_refused_and_its_encoder_is_not(tmp_path):
    images = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8, generator=device.generator(0))
    method = trained("simclr", images, width=10)
    file = checkpoint.save(tmp_path / "m.pt", method, name="simclr", data="photodigits")
    with pytest.raises(ValueError, match="holds a simclr whose settings are not the recipe's"):
        recipes.load_method(file)
    assert checkpoint.load_encoder(file).dim == 8


def test_a_recipe_names_its_kind_of_encoder_and_it_suits_the_images():
    assert isinstance(recipes.encoder_for("simclr"), nets.ConvNet)
    assert isinstance(recipes.encoder_for("mae"), nets.ViT) and isinstance(recipes.encoder_for("jepa"), nets.ViT)
    small, large = (recipes.encoder_for("simclr", (side, side), net="resnet18") for side in (64, 65))
    assert (small.small_images, large.small_images) == (True, False)
    patches = {side: recipes.encoder_for("mae", (side, side)).patch for side in (16, 28, 32, 64, 96, 224)}
    assert patches == {16: 4, 28: 7, 32: 8, 64: 8, 96: 8, 224: 8}
    assert recipes.encoder_for("mae", (20, 30)).patch == 5
    assert recipes.encoder_for("mae", channels=1).channels == 1
    with pytest.raises(ValueError, match="unknown net 'vet'. Did you mean 'vit'"):
        recipes.encoder_for("mae", net="vet")
    with pytest.raises(ValueError, match="mae leaves patches out of the input, and ConvNet cannot.*--net vit"):
        recipes.build("mae", nets.ConvNet())
