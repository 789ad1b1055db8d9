"""The interactive parts, driven through their controls' traits; and what they show, without a front end."""

from __future__ import annotations

import base64
import io
import itertools
import re
import threading
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import Button, FloatSlider, IntSlider
from PIL import Image

from sslkit import device as devices
from sslkit import losses, methods, nets, pretext, widgets
from sslkit.augment import Augment

N, SIDE = 3, 24
WIDGET = "application/vnd.jupyter.widget-view+json"
KINDS = {
    "fill_hole": methods.Inpainting,
    "puzzle": methods.Jigsaw,
    "turn": methods.Rotation,
    "same_or_not": methods.Siamese,
    "mask_patches": methods.MAE,
}
every = pytest.mark.parametrize("name", KINDS)


def images(n: int = N, channels: int = 3, side: int = SIDE) -> torch.Tensor:
    """Smooth, and different everywhere."""
    coarse = torch.rand(n, channels, 5, 5, generator=torch.Generator().manual_seed(0))
    return (255 * torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")).byte()


def make(name: str, channels: int = 3, **settings):
    with devices.seeded(0):
        masked = name == "mask_patches"
        encoder = (
            nets.ViT(channels, patch=4, width=12, depth=1) if masked else nets.ConvNet(channels, widths=(8, 16, 32))
        )
        method = KINDS[name](encoder, **settings)
        method.train()(images(8, channels), devices.generator(0))  # batch norm has seen something
    return method


def panel(name: str, **settings) -> widgets.Panel:
    return getattr(widgets, name)(make(name, **settings), images())


def parts(widget, kind: type) -> list:
    found = [widget] if isinstance(widget, kind) else []
    return found + [p for child in getattr(widget, "children", ()) for p in parts(child, kind)]


def button(shown: widgets.Panel, name: str) -> Button:
    (found,) = [b for b in parts(shown, Button) if b.description == name]
    return found


def raster(shown: widgets.Panel) -> widgets.Raster:
    return parts(shown, widgets.Raster)[0]


def said(shown: widgets.Panel) -> str:
    return re.sub("<[^>]*>", "", shown.sentence.value).replace("&#x27;", "'")


def instead(shown: widgets.Panel, width: int = 400, colours: int = 20) -> str:
    """What stands in for a widget where there is no kernel: a picture, wider and richer than this, and the text."""
    bundle = shown._repr_mimebundle_()
    assert bundle.keys() == {WIDGET, "image/png", "text/plain"}
    assert bundle[WIDGET]["model_id"] == shown.model_id
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.width > width and len(np.unique(np.asarray(picture))) > colours
    assert bundle["text/plain"].splitlines()[-1] == "[Run this cell to use it.]"
    assert shown._repr_mimebundle_()["image/png"] == bundle["image/png"]  # the same bytes at every build
    return bundle["text/plain"]


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d\d", text)]


# ---------------------------------------------------------------------------------------------------- the missing part


@given(rows=st.integers(8, 40), columns=st.integers(8, 40), seed=st.integers(0, 99))
def test_a_hidden_cell_hides_its_share_of_the_pixels(rows: int, columns: int, seed: int):
    cells = torch.rand(8, 8, generator=devices.generator(seed)) < 0.4
    mask = widgets.mask_of(cells, torch.zeros(1, 3, rows, columns))
    assert mask.shape == (1, 1, rows, columns)
    for i, j in itertools.product(range(rows), range(columns)):
        assert mask[0, 0, i, j] == cells[int(8 * i / rows), int(8 * j / columns)]


@pytest.mark.parametrize("target", [pretext.contrast_normalised_grey, None])
def test_fillings_are_those_of_the_network_of_the_border_and_of_the_mean(target, device):
    net = make("fill_hole", target=target).eval().to(device)
    x = images()[:1].to(device) / 255
    mask = pretext.blocks(x, devices.generator(1, device), count=2)
    found = widgets.fillings(net, x, mask)
    inputs, _, hidden = pretext.hide(x, mask, net.fill, net.target)
    assert torch.equal(found["inputs"], inputs)
    assert torch.equal(torch.where(mask, found["there"], 0.0), hidden)
    assert torch.equal(found["network"], net.predict(inputs)) and not found["network"].requires_grad
    assert torch.equal(found["nearest"], pretext.nearest_visible(found["there"], mask))
    for channel, value in enumerate(found["mean"][0]):
        visible = [v for v, m in zip(found["there"][0, channel].flatten(), mask.flatten()) if not m]
        torch.testing.assert_close(value, torch.stack(visible).mean().expand_as(value))


def test_what_is_hidden_reaches_no_answer():
    net, x = make("fill_hole", target=None).eval(), images()[:1] / 255
    mask = pretext.half(x, side="right")
    changed = torch.where(mask, 1 - x, x)
    one, other = widgets.fillings(net, x, mask), widgets.fillings(net, changed, mask)
    assert not torch.equal(one["there"], other["there"])
    assert all(torch.equal(one[name], other[name]) for name in ("inputs", "network", "nearest", "mean"))


def test_the_sentence_and_the_titles_tell_the_errors():
    shown, net = panel("fill_hole"), make("fill_hole").eval()
    x = images()[:1] / 255
    mask = pretext.half(x, side="right")
    found = widgets.fillings(net, x, mask)
    expected = [losses.masked_mse(found[n], found["there"], mask).item() for n in ("network", "nearest", "mean")]
    assert numbers(said(shown)) == pytest.approx(expected, abs=0.006)
    assert len({f"{e:.2f}" for e in expected}) == 3  # or they could be mixed up
    assert f'alt="network: error {expected[0]:.2f}; nearest pixel: error {expected[1]:.2f}; ' in shown.picture.value
    assert "32 of 64 cells" in said(shown) and "'half'" in said(shown)


def test_a_cell_is_hidden_and_shown_again():
    shown = panel("fill_hole")
    first, before = raster(shown).cells[0], (shown.picture.value, said(shown))
    assert first.description == first.tooltip == "row 1 column 1"
    first.value = True
    assert first.description == first.tooltip == "row 1 column 1, hidden"
    assert "33 of 64 cells" in said(shown) and shown.picture.value != before[0]
    raster(shown).cells[63].value = False
    assert "32 of 64 cells" in said(shown) and raster(shown).cells[63].description == "row 8 column 8"
    first.value, raster(shown).cells[63].value = False, True
    assert (shown.picture.value, said(shown)) == before


HIDDEN = {
    "left half": lambda row, column: column < 4,
    "bottom half": lambda row, column: row >= 4,
    "centre": lambda row, column: 2 <= row < 6 and 2 <= column < 6,
    "frame": lambda row, column: not (2 <= row < 6 and 2 <= column < 6),
    "nothing": lambda row, column: False,
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_button_hides_what_it_says(name: str):
    shown = panel("fill_hole")
    button(shown, name).click()
    hidden = [HIDDEN[name](*divmod(place, 8)) for place in range(64)]
    assert [cell.value for cell in raster(shown).cells] == hidden
    assert f"{sum(hidden)} of 64 cells" in said(shown) and shown.error is None


def test_scattered_cells_are_others_each_time_and_leave_the_global_generator_alone():
    shown, state = panel("fill_hole"), torch.get_rng_state()
    drawn = set()
    for _ in range(3):
        button(shown, "scattered").click()
        drawn.add(tuple(cell.value for cell in raster(shown).cells))
    assert len(drawn) == 3 and {sum(cells) for cells in drawn} == {32}
    assert torch.equal(torch.get_rng_state(), state)


def test_with_nothing_or_everything_hidden_it_says_what_to_do():
    shown = panel("fill_hole")
    button(shown, "nothing").click()
    assert "0 of 64 cells are hidden. Hide some." in said(shown) and not numbers(said(shown))
    for cell in raster(shown).cells:
        cell.value = True
    assert "64 of 64 cells are hidden. Nothing is left to predict from" in said(shown) and shown.error is None


def test_one_act_of_the_reader_is_one_drawing():
    shown, draws = panel("fill_hole"), []
    drawn = shown.draw
    shown.draw = lambda: (draws.append(1), drawn())[1]
    button(shown, "left half").click()  # which sets all 64 cells
    assert len(draws) == 1


# -------------------------------------------------------------------------------------------------------------- jigsaw


class Knows(methods.Jigsaw):
    """Answers with the permutation that it is told."""

    answer = 0

    def predict(self, inputs):
        self.inputs = inputs
        return 9.0 * torch.nn.functional.one_hot(torch.tensor([self.answer]), len(self.permutations))


def game(answer: int | None = None, **settings) -> widgets.Puzzle:
    settings = {"augment": Augment(), "permutations": 12, **settings}
    with devices.seeded(0):
        net = Knows(nets.ConvNet(widths=(8, 16, 32)), **settings).eval()
    puzzle = widgets.Puzzle(net, images() / 255)
    net.answer = right_answer(puzzle) if answer is None else answer
    puzzle.index, puzzle.generator = -1, devices.generator(0)
    puzzle.deal()  # the same puzzle, answered
    return puzzle


def right_answer(puzzle: widgets.Puzzle) -> int:
    fits = [
        k
        for k, permutation in enumerate(puzzle.net.permutations)
        if torch.equal(puzzle.tiles, puzzle.solution[permutation])
    ]
    assert len(fits) == 1
    return fits[0]


def swaps(tiles: torch.Tensor, solution: torch.Tensor) -> list[tuple[int, int]]:
    """Which places to swap, one pair after the other, to get from one to the other."""
    now, pairs = list(tiles), []
    for place, wanted in enumerate(solution):
        found = next(i for i in range(place, len(now)) if torch.equal(now[i], wanted))
        if found != place:
            now[place], now[found] = now[found], now[place]
            pairs.append((place, found))
    return pairs


@pytest.mark.parametrize("grid", [2, 3])
def test_a_puzzle_is_the_picture_cut_and_shuffled(grid: int):
    puzzle = game(grid=grid, jitter=0)
    assert torch.equal(puzzle.solution, pretext.tiles(images()[:1] / 255, grid=grid, jitter=0)[0])
    assert puzzle.tiles.shape == puzzle.solution.shape and not torch.equal(puzzle.tiles, puzzle.solution)
    assert torch.equal(puzzle.arranged, puzzle.tiles)
    assert puzzle.grid == grid


def test_the_network_gets_the_tiles_that_the_reader_sees():
    puzzle = game()  # with jitter: other draws would cut other tiles
    assert torch.equal(puzzle.net.inputs[0], pretext.normalise_tiles(puzzle.tiles))
    first = puzzle.tiles
    puzzle.deal()
    assert not torch.equal(puzzle.tiles, first)
    assert torch.equal(puzzle.net.inputs[0], pretext.normalise_tiles(puzzle.tiles))


def test_two_choices_swap_two_tiles_and_one_twice_is_let_go():
    puzzle = game()
    before = puzzle.arranged.clone()
    puzzle.choose(1)
    assert puzzle.chosen == 1 and torch.equal(puzzle.arranged, before)
    puzzle.choose(7)
    assert puzzle.chosen is None
    assert torch.equal(puzzle.arranged, before[[0, 7, 2, 3, 4, 5, 6, 1, 8]])
    puzzle.choose(7)
    puzzle.choose(7)
    assert puzzle.chosen is None
    assert torch.equal(puzzle.arranged, before[[0, 7, 2, 3, 4, 5, 6, 1, 8]])


@pytest.mark.parametrize("you", [True, False])
@pytest.mark.parametrize("network", [True, False])
def test_who_has_every_tile_in_place_gets_a_point_once(you: bool, network: bool):
    puzzle = game()
    if not network:
        puzzle = game(answer=(right_answer(puzzle) + 1) % 12)
    if you:
        for pair in swaps(puzzle.tiles, puzzle.solution):
            for place in pair:
                puzzle.choose(place)
    for _ in range(2):
        puzzle.check()
        assert (puzzle.you, puzzle.network, puzzle.played) == (int(you), int(network), 1)
    _, sentence = puzzle.draw()
    assert sentence.startswith(f"You {int(you)} : {int(network)} network (1 checked).")
    assert (f"You have {9 if you else ''}" in sentence) and ("The network has 9 of 9" in sentence) == network
    assert "by chance 0.08" in sentence and "12 orders" in sentence and "362,880" in sentence


def test_tiles_are_counted_in_their_places_and_equal_ones_may_be_swapped():
    solution = torch.rand(4, 3, 2, 2, generator=devices.generator(0))
    solution[3] = solution[0]
    assert widgets.in_place(solution, solution) == 4
    assert widgets.in_place(solution[[3, 1, 2, 0]], solution) == 4
    assert widgets.in_place(solution[[1, 0, 2, 3]], solution) == 2
    nearly = solution.clone()
    nearly[2, 0, 0, 0] += 0.5  # one pixel of one tile
    assert widgets.in_place(nearly, solution) == 3


def test_a_puzzle_is_played_through():
    shown = panel("puzzle", permutations=12)
    assert said(shown) == "You 0 : 0 network (0 checked)."
    cells, board = raster(shown).cells, raster(shown).rules.value
    covered = shown.picture.value
    cells[0].value = True
    assert cells[0].description == "row 1 column 1, chosen" and raster(shown).rules.value == board
    cells[5].value = True
    assert not any(cell.value for cell in cells) and raster(shown).rules.value != board  # two tiles have moved
    assert shown.picture.value == covered
    button(shown, "check").click()
    assert "(1 checked)" in said(shown) and "of 9 tiles in place" in said(shown) and shown.picture.value != covered
    assert button(shown, "check").disabled and all(cell.disabled for cell in cells)
    button(shown, "next puzzle").click()
    assert shown.picture.value == covered and said(shown).endswith("(1 checked).")
    assert not button(shown, "check").disabled and not any(cell.disabled for cell in cells)
    assert shown.error is None


def test_no_augmentation_stands_between_the_players_and_the_picture():
    noise = Augment(noise=0.5)
    method = make("puzzle", augment=noise, tile_augment=noise, jitter=0)
    state = widgets.puzzle(method, images()).still.func.__self__
    assert torch.equal(state.solution, pretext.tiles(images()[:1] / 255, jitter=0)[0])
    assert method.augment == method.tile_augment == noise


# ------------------------------------------------------------------------------------------------------------ rotation


def test_quarter_turns_are_those_of_the_training(device):
    x = images()[:1].to(device) / 255
    angles = [0, 90, 180, 270]
    torch.testing.assert_close(
        widgets.turned(x, angles), pretext.rotate(x.expand(4, -1, -1, -1), torch.arange(4, device=device))
    )


@pytest.mark.parametrize("angle", [10, 40, 130, 350])
def test_other_turns_are_torchvision_s_within_the_circle(angle: int):
    x = images(1) / 255
    ours = widgets.turned(x, [angle])
    theirs = TF.rotate(x, angle, TF.InterpolationMode.BILINEAR)
    place = torch.arange(SIDE) - (SIDE - 1) / 2
    inside = (place[:, None] ** 2 + place**2).sqrt() < SIDE / 2 - 1
    torch.testing.assert_close(ours[0, :, inside], theirs[0, :, inside], atol=1e-4, rtol=0)
    assert ours[0, :, ~inside].min() > 0  # corners are mirrored, not black


def test_probabilities_are_those_of_the_turned_pictures():
    net, x = make("turn").eval(), images()[1] / 255
    p = widgets.positions(net, x, range(0, 360, 30))
    assert p.shape == (12, 4) and not p.requires_grad
    torch.testing.assert_close(p.sum(1), torch.ones(12))
    for k in range(4):
        one = net.head(net.encoder(x[None].rot90(k, dims=(2, 3)))).softmax(1)[0]
        torch.testing.assert_close(p[3 * k], one, atol=1e-4, rtol=1e-3)


def test_the_slider_turns_the_picture():
    shown, net = panel("turn"), make("turn").eval()
    (slider,) = parts(shown, IntSlider)
    assert (slider.min, slider.max, slider.step) == (0, 350, 10)
    pictures = set()
    for angle in (90, 120, 350):
        slider.value = angle
        p = widgets.positions(net, images()[0] / 255, [angle])[0]
        sentence = f"Turned by {angle}°: the network says {90 * int(p.argmax())}°, with probability {p.max():.2f}."
        assert sentence in said(shown) and f'alt="turned by {angle}°' in shown.picture.value
        pictures.add(shown.picture.value)
    assert len(pictures) == 3 and shown.error is None


def test_right_and_wrong_are_told_at_quarter_turns_only():
    state = widgets.Turn(make("turn").eval(), images() / 255)
    for angle in range(0, 360, 10):
        state.to(angle)
        answer = 90 * int(state.probabilities[angle // 10].argmax())
        sentence = state.draw()[1] if angle % 30 == 0 else ""
        assert ("That is right." in sentence) == (angle % 90 == 0 and answer == angle)
        assert ("That is wrong." in sentence) == (angle % 90 == 0 and answer != angle)


def test_the_network_is_asked_once_a_picture(monkeypatch):
    asked = []
    positions = widgets.positions
    monkeypatch.setattr(widgets.rotation, "positions", lambda *a: (asked.append(1), positions(*a))[1])
    shown = panel("turn")
    for angle in (10, 20, 30):
        parts(shown, IntSlider)[0].value = angle
    assert len(asked) == 1
    button(shown, "next picture").click()
    assert len(asked) == 2


# ------------------------------------------------------------------------------------------------------------- triplet


def triplet_loss(state: widgets.Plane) -> float:
    a, p, n = (np.array(state.points[letter]) for letter in "APN")
    return max(np.linalg.norm(a - p) - np.linalg.norm(a - n) + state.margin, 0.0)


def slider(shown: widgets.Panel, name: str) -> FloatSlider:
    (found,) = [s for s in parts(shown, FloatSlider) if s.description == name]
    return found


KIND = {"easy": "Easy:", "semi-hard": "Semi-hard:", "hard": "Hard:", "collapsed": "All three are one point"}


@pytest.mark.parametrize("name", KIND)
def test_a_button_of_the_plane_makes_a_triplet_of_its_name(name: str):
    shown = widgets.triplet_plane(margin=0.8)
    slider(shown, "P up").value = -2.0
    button(shown, name).click()
    state = shown.still.__self__
    assert f"= {triplet_loss(state):.2f}. {KIND[name]}" in said(shown) and shown.error is None
    assert slider(shown, "P up").value == (0.5 if name != "collapsed" else 0.0)


def test_the_sliders_of_the_plane_move_their_own_point():
    shown = widgets.triplet_plane()
    state = shown.still.__self__
    for i, (letter, axis) in enumerate(itertools.product("APN", (0, 1))):
        before, picture = dict(state.points), shown.picture.value
        slider(shown, f"{letter} {('across', 'up')[axis]}").value = to = -2 + 0.3 * i
        changed = list(before[letter])
        changed[axis] = to
        assert state.points == {**before, letter: tuple(changed)} and shown.picture.value != picture
    slider(shown, "margin α").value = 2.0
    assert state.margin == 2.0 and f"= {triplet_loss(state):.2f}." in said(shown)


def test_a_step_goes_against_the_gradient_and_the_sliders_follow():
    shown = widgets.triplet_plane()
    state = shown.still.__self__
    button(shown, "hard").click()
    start, before = triplet_loss(state), {k: np.array(v) for k, v in state.points.items()}
    button(shown, "one step of gradient descent").click()
    pull = (before["A"] - before["P"]) / np.linalg.norm(before["A"] - before["P"])
    push = (before["N"] - before["A"]) / np.linalg.norm(before["N"] - before["A"])
    for letter, by in {"A": -pull - push, "P": pull, "N": push}.items():
        np.testing.assert_allclose(state.points[letter], before[letter] + 0.25 * by)
        assert slider(shown, f"{letter} up").value == round(state.points[letter][1], 1)
    assert triplet_loss(state) < start - 0.5
    for _ in range(20):
        button(shown, "one step of gradient descent").click()
    assert triplet_loss(state) == 0 and "Easy:" in said(shown) and shown.error is None


def test_a_slider_that_sends_back_what_it_shows_moves_nothing():
    shown = widgets.triplet_plane()
    state = shown.still.__self__
    button(shown, "one step of gradient descent").click()
    exact = dict(state.points)
    for letter, axis in itertools.product("APN", (0, 1)):
        control = slider(shown, f"{letter} {('across', 'up')[axis]}")
        assert not control.continuous_update, "what it shows would come back late, after the next step"
        assert control.value != exact[letter][axis]
        control.value += 1e-12
    assert state.points == exact
    slider(shown, "P up").value += 0.1
    assert state.points != exact


def test_three_points_in_one_stay_where_they_are():
    state = widgets.Plane(margin=0.7)
    state.put("collapsed")
    before = dict(state.points)
    state.step()
    assert state.points == before and state.loss()[0] == pytest.approx(0.7)


def test_points_stay_within_the_plane():
    state = widgets.Plane()
    state.points = {"A": (0.0, 3.0), "P": (-3.0, 3.0), "N": (0.0, 2.9)}  # A is pushed up
    for _ in range(8):
        state.step()
    assert all(abs(x) <= 3 for place in state.points.values() for x in place)


def test_the_plane_has_a_picture_a_sentence_and_names():
    shown = widgets.triplet_plane()
    bundle = shown._repr_mimebundle_()
    assert bundle.keys() == {WIDGET, "image/png", "text/plain"} and "Semi-hard" in bundle["text/plain"]
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).width > 400
    names = [control.description for control in parts(shown, Button) + parts(shown, FloatSlider)]
    assert len(set(names)) == len(names) == 12 and "" not in names
    with pytest.raises(ValueError, match="margin is -1; expected a distance from 0 to 3"):
        widgets.triplet_plane(-1)


# ------------------------------------------------------------------------------------------------------- same or not?


def decision(n: int = 40) -> widgets.Decision:
    return widgets.Decision(make("same_or_not").eval(), images(n) / 255)


def test_pairs_are_views_of_one_image_or_of_two():
    net = make("same_or_not", augment=Augment()).eval()  # views that are the images themselves
    state = widgets.Decision(net, images(9) / 255)
    equal = (state.first == state.second).flatten(1).all(dim=1)
    assert torch.equal(equal, state.same) and state.same.sum() == 4
    assert state.distance[state.same].max() < 1e-6 < 0.01 < state.distance[~state.same].min()
    expected = (net.embed(state.first) - net.embed(state.second)).norm(dim=1)
    torch.testing.assert_close(state.distance, expected)


def test_the_threshold_is_the_best_until_it_is_moved():
    shown = widgets.same_or_not(make("same_or_not"), images(40))
    state, (slider,) = shown.still.__self__, parts(shown, FloatSlider)

    def right(threshold: float) -> float:
        return ((state.distance < threshold) == state.same).float().mean().item()

    best = state.threshold
    assert right(best) == max(right(t) for t in np.linspace(0, slider.max, 500)) > 0.5
    assert slider.value == pytest.approx(best, abs=0.01) and slider.max > state.distance.max()
    assert f"threshold {best:.2f}: " in said(shown) and f"Right are {right(best):.2f} of all." in said(shown)
    slider.value = 0.0
    assert "20 of 20 pairs of the same image are missed; 0 of 20 pairs of two images are accepted" in said(shown)
    assert "Right are 0.50 of all" in said(shown)
    slider.value = slider.max
    assert "0 of 20 pairs of the same image are missed; 20 of 20 pairs of two images are accepted" in said(shown)
    button(shown, "best threshold").click()
    assert state.threshold == best and f"threshold {best:.2f}: " in said(shown) and shown.error is None


def test_a_threshold_that_the_slider_sends_back_rounded_moves_nothing():
    shown = widgets.same_or_not(make("same_or_not"), images(40))
    state, (slider,) = shown.still.__self__, parts(shown, FloatSlider)
    assert not slider.continuous_update, "what it shows would come back late, after the next button"
    state.choose()
    best = state.threshold
    assert best != round(best, 2) == slider.value
    slider.value += 1e-9
    assert state.threshold == best
    slider.value = round(best, 2) + 0.01
    assert state.threshold == pytest.approx(round(best, 2) + 0.01) and shown.error is None


def test_a_pair_is_judged_by_its_distance():
    shown = widgets.same_or_not(make("same_or_not"), images(40))
    state = shown.still.__self__
    heard = set()
    for i in range(40):
        taken, same = bool(state.distance[i] < state.threshold), bool(state.same[i])
        assert said(shown).startswith(f"Pair {i + 1} of 40. Distance {state.distance[i]:.2f}, ")
        assert f"taken for {'the same image' if taken else 'two images'}. " in said(shown)
        truth = "the same image" if same else "two images"
        assert f"That is {'right' if taken == same else 'wrong'}: {truth}." in said(shown)
        heard.add((taken, same))
        button(shown, "next pair").click()
    assert len(heard) == 4 and state.index == 0  # all four kinds of answer were among them
    button(shown, "previous pair").click()
    assert state.index == 39


def test_it_goes_on_to_the_next_mistake_and_round():
    state = decision()
    wrong = (state.taken != state.same).nonzero().flatten().tolist()
    assert len(wrong) > 2
    visited = []
    for _ in range(len(wrong) + 1):
        state.next_mistake()
        visited.append(state.index)
    assert sorted(visited[:-1]) == wrong and visited[-1] == visited[0]
    state.index, state.distance = 7, (~state.same).float()  # and none
    state.to(0.5)
    state.next_mistake()
    assert state.index == 7


def test_one_image_makes_no_pair():
    with pytest.raises(ValueError, match="at least two"):
        widgets.same_or_not(make("same_or_not"), images(1))


# ------------------------------------------------------------------------------------------------------ copied layers

MODES = ("frozen", "fine-tuned", "gradual")


def depths(*sources: str, layers: int = 3) -> dict:
    """Made-up rows, all different; copying the second source is worse than copying nothing."""
    rows = {"scratch": {"mean": 0.5, "std": 0.01}}
    for i, source in enumerate(sources):
        for n, mode in itertools.product(range(1, layers + 1), MODES):
            by = (0.1 * n + 0.01 * MODES.index(mode)) * (1 if i == 0 else -1)
            gain = {"scratch": [by, by - 0.05, by + 0.05] if n > 1 else [by, -0.2, 0.2]}
            rows[f"{source}-{n}-{mode}"] = {"mean": 0.5 + by, "std": 0.02, "gain": gain}
    return rows


def test_the_depth_and_the_mode_are_chosen_and_compared_with_copying_nothing():
    shown = widgets.copied_layers(depths("rotation", "jigsaw"), ["rotation", "jigsaw"])
    (slider,) = parts(shown, IntSlider)
    assert slider.max == slider.value == 3
    assert said(shown).startswith(
        "3 of 3 layers copied from rotation, frozen: 0.80 ± 0.02. Nothing copied: 0.50 ± 0.01."
    )
    assert "+0.30 (95 %: +0.25 to +0.35): better" in said(shown)
    before = shown.picture.value
    slider.value = 1
    assert "1 of 3 layers" in said(shown) and "neither better nor worse" in said(shown)
    assert shown.picture.value != before
    button(shown, "gradual").click()
    assert "from rotation, gradual: 0.62" in said(shown)
    button(shown, "jigsaw").click()
    slider.value = 2
    assert "2 of 3 layers copied from jigsaw, gradual: 0.28" in said(shown) and ": worse." in said(shown)
    slider.value = 0
    assert said(shown) == "Nothing copied, supervised training alone: 0.50 ± 0.01. " and shown.error is None
    bundle = shown._repr_mimebundle_()
    assert bundle.keys() == {WIDGET, "image/png", "text/plain"} and "Nothing copied" in bundle["text/plain"]


def test_rows_that_are_not_there_are_named():
    rows = depths("rotation")
    with pytest.raises(ValueError, match="at least one source"):
        widgets.copied_layers(rows, [])
    with pytest.raises(ValueError, match="no row 'jigsaw-1-frozen'.*make experiments LESSON=09"):
        widgets.copied_layers(rows, ["rotation", "jigsaw"])
    del rows["rotation-2-gradual"]
    with pytest.raises(ValueError, match="no row 'rotation-2-gradual'"):
        widgets.copied_layers(rows, ["rotation"])


# ------------------------------------------------------------------------------------------------- what all have alike


@every
def test_a_picture_and_a_sentence_stand_in_for_it(name: str):
    expected = {"fill_hole": "Squared error in the hole", "puzzle": "The network has", "turn": "Turned by 0°"}
    expected |= {"same_or_not": "taken for", "mask_patches": "27 of 36 patches are hidden"}
    assert expected[name] in instead(panel(name))


@every
def test_it_survives_the_build(name: str):
    from test_notebooks import build

    output = nbformat.v4.new_output("execute_result", panel(name)._repr_mimebundle_(), execution_count=1)
    before = dict(output.data)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("w", outputs=[output], execution_count=1)])
    build.tidy(notebook)
    (kept,) = notebook.cells[0].outputs
    assert all(kept.data[kind] == before[kind] for kind in ("image/png", "text/plain"))


@pytest.mark.notebook
def test_a_built_notebook_shows_the_picture_wherever_it_is_read(tmp_path: Path):
    import nbconvert
    from test_notebooks import build

    source = (
        "import torch\nfrom sslkit import methods, nets, widgets\n"
        "widgets.turn(methods.Rotation(nets.ConvNet(widths=(4, 8))), torch.zeros(2, 3, 16, 16, dtype=torch.uint8))"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    build.run(notebook, tmp_path)
    build.tidy(notebook)
    assert "widgets" not in notebook.metadata
    (output,) = notebook.cells[0].outputs
    assert {WIDGET, "image/png", "text/plain"} == output.data.keys() and "Turned by 0°" in output.data["text/plain"]
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert output.data["image/png"].strip()[:200].replace("\n", "") in page.replace("\n", "")
    text, files = nbconvert.MarkdownExporter().from_notebook_node(notebook)
    assert ".png" in text and files["outputs"]


@every
@pytest.mark.parametrize("training", [True, False])
def test_the_method_stays_as_it_was(name: str, training: bool):
    method = make(name).train(training)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    shown = getattr(widgets, name)(method, images())
    for control in parts(shown, Button):
        control.click()
    assert shown.error is None and method.training == training and method.encoder.training == training
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    assert all(p.grad is None for p in method.parameters())


@every
def test_it_shows_the_method_as_it_was_when_it_was_made(name: str):
    method = make(name)
    shown = getattr(widgets, name)(method, images())
    before = shown.picture.value, said(shown)
    with torch.no_grad():
        for p in method.parameters():
            p.add_(torch.randn(p.shape, generator=devices.generator(0)))
    shown.refresh()
    assert (shown.picture.value, said(shown)) == before


@every
def test_another_method_is_refused(name: str):
    other = methods.SimCLR(nets.ConvNet(widths=(4, 8)))
    with pytest.raises(TypeError, match=f"{name} needs a method of the kind {KINDS[name].__name__}; got SimCLR"):
        getattr(widgets, name)(other, images())


@every
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (images()[0], r"needs images \(N, C, H, W\), at least one; got \(3, 24, 24\)"),
        (images()[:0], r"at least one; got \(0, 3, 24, 24\)"),
        (images().numpy(), "at least one; got ndarray"),
        (images().long(), r"uint8, or float in \[0, 1\]; got torch.int64"),
        (images(channels=1), "3 channels"),
    ],
    ids=["one image", "none", "numpy", "int64", "channels"],
)
def test_other_images_are_refused(name: str, wrong, message: str):
    with pytest.raises(ValueError, match=message):
        getattr(widgets, name)(make(name), wrong)


def test_oblong_images_are_filled_but_not_turned():
    oblong = images()[:, :, :16]
    shown = widgets.fill_hole(make("fill_hole"), oblong)
    assert "32 of 64 cells" in said(shown) and "width: 264px; height: 176px" in raster(shown).rules.value
    with pytest.raises(ValueError, match=r"turn needs square images \(N, C, S, S\); got \(3, 3, 16, 24\)"):
        widgets.turn(make("turn"), oblong)


@every
def test_grey_and_float_images_are_taken(name: str):
    grey = images(channels=1)
    a = getattr(widgets, name)(make(name, channels=1), grey)
    b = getattr(widgets, name)(make(name, channels=1), grey / 255)
    assert a.picture.value == b.picture.value and said(a) == said(b)


@every
def test_every_control_has_a_name_and_can_be_reached_with_the_keyboard(name: str):
    shown = panel(name)
    controls = parts(shown, Button) + parts(shown, IntSlider) + parts(shown, FloatSlider)
    for r in parts(shown, widgets.Raster):
        controls += r.cells
        assert all(cell.tooltip == cell.description for cell in r.cells)  # on the picture their names are not seen
    assert len({control.description for control in controls}) == len(controls) and "" not in controls
    assert all(control.tabbable is not False for control in controls)


@pytest.mark.parametrize("name", ["fill_hole", "turn"])
def test_it_pages_round_the_pictures(name: str):
    shown = panel(name)
    first, seen = shown.picture.value, []
    for _ in range(N):
        seen.append(said(shown).split(".")[0])
        button(shown, "next picture").click()
    assert seen == ["Picture 1 of 3", "Picture 2 of 3", "Picture 3 of 3"]
    assert shown.picture.value == first
    button(shown, "previous picture").click()
    assert said(shown).startswith("Picture 3 of 3.") and shown.picture.value != first


def test_the_raster_lies_over_the_picture():
    shown = panel("fill_hole")
    for image in images()[:2]:
        (data,) = re.findall(r"data:image/png;base64,([\w+/=]+)", raster(shown).rules.value)
        seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        np.testing.assert_array_equal(seen, image.permute(1, 2, 0).numpy())
        button(shown, "next picture").click()


def test_an_error_in_a_slider_s_callback_is_seen_kept_and_raised():
    shown = panel("turn")
    (slider,) = parts(shown, IntSlider)
    draw = shown.draw

    def fail():
        raise RuntimeError("no <picture>")

    shown.draw = fail
    with pytest.raises(RuntimeError, match="no <picture>"):
        slider.value = 90
    assert 'role="alert"' in shown.sentence.value and "RuntimeError: no &lt;picture&gt;" in shown.sentence.value
    assert isinstance(shown.error, RuntimeError)
    shown.draw = draw
    slider.value = 180
    assert shown.error is None and "Turned by 180°" in said(shown) and "alert" not in shown.sentence.value


def test_an_error_in_a_button_s_callback_is_seen_kept_and_logged(caplog):
    shown = panel("turn")

    def fail():
        raise RuntimeError("no picture")

    shown.draw = fail
    button(shown, "next picture").click()  # ipywidgets catches and logs what is raised here
    assert "RuntimeError: no picture" in said(shown) and isinstance(shown.error, RuntimeError)
    assert "no picture" in caplog.text


def test_controls_answer_from_another_thread():
    shown = panel("turn")
    (slider,) = parts(shown, IntSlider)
    threads = [threading.Thread(target=setattr, args=(slider, "value", angle)) for angle in (90, 180, 270)]
    for thread in threads:
        thread.start()
        thread.join()
    assert shown.error is None and "Turned by 270°" in said(shown)


def test_an_act_waits_for_the_one_before_it():
    """Two controls moved at once, from two threads: neither act is lost."""
    shown, state_of = panel("fill_hole"), lambda p: p.still.__self__
    drawing, go_on = threading.Event(), threading.Event()
    draw = shown.draw

    def slow():
        drawing.set()
        assert go_on.wait(60)
        return draw()

    shown.draw = slow
    one = threading.Thread(target=setattr, args=(raster(shown).cells[0], "value", True))
    one.start()
    assert drawing.wait(60)
    two = threading.Thread(target=setattr, args=(raster(shown).cells[1], "value", True))
    two.start()
    two.join(0.3)
    go_on.set()
    one.join(60)
    two.join(60)
    assert state_of(shown).cells[0, :2].tolist() == [True, True] and shown.error is None


def test_pyplot_is_left_to_the_reader():
    import subprocess
    import sys

    program = (
        "import sys, torch; from sslkit import methods, nets, widgets;"
        "w = widgets.fill_hole(methods.Inpainting(nets.ConvNet(widths=(4, 8))),"
        " torch.zeros(1, 3, 16, 16, dtype=torch.uint8)); w._repr_mimebundle_();"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=300).returncode == 0
