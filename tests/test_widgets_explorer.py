"""The explorer of embeddings: what it says follows from the embeddings that it is given."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ipywidgets import Button, IntSlider, ToggleButtons
from sklearn.decomposition import PCA
from test_widgets import button, images, instead, parts, raster, said

from sslkit import device as devices
from sslkit import evaluate, nets, widgets
from sslkit.data import Split

ANGLES = (0, 10, 20, 180, 190, 200)  # two bundles of three directions in the plane
LABELS = torch.tensor([0, 0, 1, 1, 1, 0])


def circle(**settings) -> widgets.Explorer:
    turned = torch.tensor([math.radians(a) for a in ANGLES])
    z = torch.stack([turned.cos(), turned.sin()], dim=1) * torch.arange(1, 7)[:, None]  # lengths say nothing
    given = {"labels": LABELS, "classes": ("a", "b"), "k": 2} | settings
    return widgets.Explorer(z, images(6) / 255, **given)


def split(name: str = "val", n: int = 24, channels: int = 3, **settings) -> Split:
    labels = torch.arange(n) % 2
    return replace(Split(images(n, channels), labels, ("cat", "dog"), torch.arange(n), "toy", name), **settings)


def encoder(channels: int = 3) -> nets.ConvNet:
    with devices.seeded(0):
        return nets.ConvNet(channels, widths=(8, 16))


def panel(**settings) -> widgets.Panel:
    return widgets.explore_embedding(
        encoder(), split(), split("train"), **({"n": 20, "k": 3, "per_class": 2} | settings)
    )


def test_neighbours_are_the_nearest_by_angle():
    state = circle()
    assert [set(row) for row in state.neighbours.tolist()] == [{1, 2}, {0, 2}, {0, 1}, {4, 5}, {3, 5}, {3, 4}]
    expected = [math.cos(math.radians(a)) for a in (10, 20)]
    assert state.similarity[0].tolist() == pytest.approx(expected, abs=1e-5)
    assert state.agreement().tolist() == [1, 1, 0, 1, 1, 0]
    assert state.by_chance() == pytest.approx(2 * 3 * 2 / 30)
    assert "Picture 1 of 6, label a. 1 of its 2 nearest neighbours have the same label" in state.sentence()
    assert "over all pictures 0.33 of the neighbours have, and by chance 0.40." in state.sentence()


def test_an_image_of_the_same_original_is_no_neighbour():
    state = circle(sources=torch.tensor([0, 0, 1, 2, 3, 4]), k=1)
    assert state.neighbours[:2].flatten().tolist() == [2, 2]
    assert "same original do not count" in state.sentence() and "same original" not in circle().sentence()


def test_clusters_are_the_two_bundles():
    state = circle(labels=None, classes=())
    assert state.colours == ["cluster"] and "There are no labels" in state.sentence()
    bundles = circle().clusters.tolist()
    assert len(set(bundles[:3])) == len(set(bundles[3:])) == 1 and bundles[0] != bundles[5]


def test_the_map_is_scikit_learn_s_up_to_sign():
    z = torch.randn(40, 7, generator=devices.generator(0))
    state = widgets.Explorer(z, images(40) / 255)
    rows = torch.nn.functional.normalize(z, dim=1).double().numpy()
    oracle = PCA(2).fit(rows)
    for mine, theirs in zip(state.maps["PCA"].T.numpy(), oracle.transform(rows).T):
        np.testing.assert_allclose(mine * np.sign(mine @ theirs), theirs, atol=1e-6)
    assert state.held == pytest.approx(oracle.explained_variance_ratio_.sum(), abs=1e-6)


def test_t_sne_is_computed_once_and_is_the_same_again():
    first, again = circle(), circle()
    first.map = again.map = "t-SNE"
    assert torch.equal(first.maps["t-SNE"], again.maps["t-SNE"]) and first.maps["t-SNE"].isfinite().all()
    made = first.maps["t-SNE"]
    first.map = "PCA"
    first.map = "t-SNE"
    assert first.maps["t-SNE"] is made and "t-SNE keeps near ones near" in first.sentence()


def test_a_click_goes_round_the_pictures_of_a_field_and_else_to_the_nearest():
    state = circle()
    state.maps["PCA"] = torch.tensor([[0.0, 0], [0, 0], [1, 1], [1, 0], [0.5, 0.5], [0, 1]])
    below_left, fields = state.field_of(0), [state.field_of(i) for i in range(6)]
    row, column = divmod(below_left, 16)
    assert (row, column) == (15, 0) and fields[1] == below_left and fields[2] == 15
    state.index = 3
    visited = []
    for _ in range(3):
        state.click(below_left)
        visited.append(state.index)
    assert visited == [0, 1, 0]
    state.click(16 + 14)  # nothing in it; above, on the right
    assert state.index == 2


def test_a_step_goes_to_the_nearest_on_that_side():
    state = circle()
    state.maps["PCA"] = torch.tensor([[0.0, 0], [0.2, 0.1], [1, 0], [0.1, 0.6], [0, 1], [1, 1]])
    way = [((1, 0), 1), ((1, 0), 2), ((0, 1), 5), ((-1, 0), 3), ((0, 1), 4), ((0, -1), 3), ((0, -1), 1), ((0, -1), 1)]
    for by, there in way:
        state.step(*by)
        assert state.index == there, by


def test_the_probe_s_mistakes_are_found_and_coloured():
    state = circle(predicted=torch.tensor([0, 1, 1, 1, 0, 0]), told="2 labels a class")
    visited = []
    for _ in range(3):
        state.next_mistake()
        visited.append(state.index)
    assert visited == [1, 4, 1]
    assert "The probe on 2 labels a class says b: wrong; it is wrong on 2 of them." in state.sentence()
    state.colour = "error"
    assert state.groups()[0].tolist() == [0, 1, 0, 0, 1, 0]


def test_the_probe_is_evaluate_s():
    shown, net, known = panel(), encoder(), split("train")
    from sslkit.data import draw_labels

    few = known.subset(draw_labels(known, 2, 0))
    probe = evaluate.Probe(evaluate.embed(net, few.images), few.labels, 2)
    order = torch.randperm(24, generator=devices.generator(0))[:20].sort().values
    expected = probe(evaluate.embed(net, split().images[order])).argmax(dim=1)
    assert torch.equal(shown.still.__self__.predicted, expected)


def test_every_control_acts_and_shows_what_is_chosen():
    shown = panel()
    state, (slider,) = shown.still.__self__, parts(shown, IntSlider)
    assert not slider.continuous_update, "what a button sets would come back late"
    map_, colour, look = parts(shown, ToggleButtons)
    assert colour.options == ("label", "cluster", "error")
    for control, value in [(colour, "error"), (look, "thumbnails"), (map_, "t-SNE"), (colour, "cluster")]:
        before = raster(shown).rules.value
        control.value = value
        assert shown.error is None and raster(shown).rules.value != before
    slider.value = 7
    assert said(shown).startswith("Picture 7 of 20, label ") and state.index == 6
    button(shown, "next picture").click()
    assert slider.value == 8
    pressed = [i for i, cell in enumerate(raster(shown).cells) if cell.value]
    assert pressed == [state.field_of(7)]
    raster(shown).cells[state.field_of(2)].value ^= True
    assert state.field_of(state.index) == state.field_of(2) and shown.error is None
    state.index = 0
    for name in ("left", "right", "up", "down", "next mistake", "previous picture"):
        button(shown, name).click()
    assert shown.error is None


def test_every_control_has_a_name_and_the_map_is_no_trap_for_the_keyboard():
    shown = panel()
    controls = [*parts(shown, Button), *parts(shown, IntSlider), *parts(shown, ToggleButtons)]
    assert all(control.description and control.tabbable is not False for control in controls)
    assert len(controls) == 7 + 1 + 3
    assert all(cell.tabbable is False for cell in raster(shown).cells)


def test_a_picture_and_a_sentence_stand_in_for_it():
    assert "nearest neighbours have the same label" in instead(panel(), width=900, colours=100)


def test_grey_unlabelled_and_oblong_pictures_are_taken():
    nothing = replace(split(channels=1), labels=torch.full((24,), -1), classes=())
    oblong = replace(nothing, images=nothing.images[:, :, :16])
    for given in (nothing, oblong):
        shown = widgets.explore_embedding(encoder(1), given, n=12, k=3)
        assert "There are no labels" in said(shown) and parts(shown, ToggleButtons)[1].options == ("cluster",)


def test_the_encoder_stays_as_it_was_and_a_collapsed_one_is_named():
    net = encoder().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    widgets.explore_embedding(net, split(), n=12, k=3)
    assert net.training and all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    same = widgets.Explorer(torch.ones(9, 4), images(9) / 255, k=2)
    assert "Beware, complete collapse" in same.sentence()
    spread = torch.randn(40, 4, generator=devices.generator(0))
    assert "Beware" not in widgets.Explorer(spread, images(40) / 255).sentence()
    same.draw()


def test_what_does_not_fit_is_said():
    clips = replace(split(), images=images(24)[:, None])
    for given, says in [
        ((encoder(), clips), "holds clips"),
        ((encoder(1), split()), "reads images of 1 channels, and those of toy/val have 3"),
        ((encoder(), split(), split()), "known and split are both toy/val"),
        ((encoder(), split(), replace(split("train"), classes=("x", "y"))), "known has the classes"),
        ((encoder(), split(), None, 1001), "n is 1001; expected 3 to 1000"),
    ]:
        with pytest.raises(ValueError, match=says):
            widgets.explore_embedding(*given)
    with pytest.raises(TypeError, match="needs an encoder of images; got str"):
        widgets.explore_embedding("file.pt", split())
    with pytest.raises(ValueError, match="k is 6; expected 1 to 5"):
        circle(k=6)
    with pytest.raises(ValueError, match="NaN"):
        widgets.Explorer(torch.full((4, 2), math.nan), images(4))
    with pytest.raises(ValueError, match="at least three"):
        widgets.Explorer(torch.ones(2, 2), images(2))
