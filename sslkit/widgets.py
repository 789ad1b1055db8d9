"""ipywidgets over the methods: change the input by hand, and see what the network makes of it.

    fill_hole   hide parts of a picture; the network fills them, and so does the nearest visible pixel
    puzzle      put shuffled tiles in order, against the network
    turn        turn a picture to any angle, and see which way up the network takes it to be
    triplet_plane   move an anchor, a positive and a negative in the plane, and see the triplet loss pull at them
    same_or_not     move a threshold over the distances of pairs, and see which pairs it gets wrong

Each returns one object: the value of a cell's last line, or something to `display`. Where there is no kernel (on
GitHub, in nbconvert, on paper) a picture and a sentence stand in its place.

All are made alike. A state (`Hole`, `Puzzle`, `Turn`, `Plane`, `Decision`) knows what follows from what; it needs no
front end, and `draw()` gives its figure and its sentence. A `Panel` joins controls to it: act on the state, then draw.

A widget works on a copy of the method, taken when it is made, in eval mode. JupyterLab may run a callback in another
thread while a cell trains the method on: put into eval mode there, it would stop learning its batch statistics.
"""

from __future__ import annotations

import base64
import copy
import html
import io
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch
from ipywidgets import HTML, Box, Button, DOMWidget, FloatSlider, GridBox, HBox, IntSlider, Layout, ToggleButton, VBox
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

from sslkit import device as devices
from sslkit import losses, methods, pairs, plots, pretext
from sslkit.augment import Augment, to_float, warp

CELLS = 8  # a hole is painted on so many rows and columns
STEP = 10  # degrees from one position of the slider to the next
HOLES: dict[str, pretext.MaskFunction] = {
    **{f"{side} half": partial(pretext.half, side=side) for side in pretext.SIDES},
    "centre": pretext.centre,
    "frame": pretext.frame,
    "scattered": partial(pretext.scattered, patch=1),
}
Drawing = tuple[plots.Figure, str]  # a figure, and what it says in words


# ---------------------------------------------------------------------------------------------------- the missing part


def fill_hole(method: methods.Inpainting, images: Tensor) -> Panel:
    """Hide cells of a picture, and see what the network puts into the hole.

    Beside it stands the nearest visible pixel, which needs no network. The error is the mean square over the hole, in
    the units of the method's target (for contrast_normalised_grey: standard deviations of the picture).

    Shapes: images uint8 (N, C, H, W), or float in [0, 1]. Raises TypeError for a method that is no Inpainting,
            ValueError for other images.
    """
    state = Hole(*_ready("fill_hole", method, images, methods.Inpainting))
    raster = Raster(CELLS, mark="hidden")

    def draw() -> Drawing:
        raster.show(state.image, pressed=state.cells.flatten().tolist())
        return state.draw(beside=True)

    panel = Panel(draw, still=state.draw)
    for place, cell in enumerate(raster.cells):
        panel.react(cell, partial(state.toggle, *divmod(place, CELLS)))
    presets = [panel.button(name, partial(state.hide, name)) for name in (*HOLES, "nothing")]
    hint = _hint("Click on the left picture to hide a part of it, or to show it again. Or hide:")
    return panel.lay_out(hint, _row(presets), _row(panel.pager(state)), HBox([raster, panel.picture]), panel.sentence)


class Hole:
    """Pictures, which of them is looked at, and which of its CELLS × CELLS cells are hidden."""

    def __init__(self, net: methods.Inpainting, images: Tensor):
        self.net, self.images, self.index = net, images, 0
        self.generator = devices.generator(0)
        self.hide("right half")

    @property
    def image(self) -> Tensor:
        return self.images[self.index]

    def toggle(self, row: int, column: int) -> None:
        self.cells[row, column] = ~self.cells[row, column]

    def hide(self, name: str) -> None:
        """One of HOLES, or "nothing"."""
        blank = torch.zeros(1, 1, CELLS, CELLS)
        mask = HOLES[name](blank, self.generator) if name in HOLES else blank.bool()
        self.cells = mask[0, 0].clone()

    def draw(self, beside: bool = False) -> Drawing:
        """What the network sees, what it says, the nearest visible pixel, and what was there. `beside` a raster, which
        shows the first of them, the other three."""
        hidden, first = int(self.cells.sum()), int(beside)
        said = f"Picture {self.index + 1} of {len(self.images)}. {hidden} of {CELLS**2} cells are hidden."
        titles = ["what the network sees", "network", "nearest pixel", "what was there"]
        if not 0 < hidden < CELLS**2:
            todo = "Hide some." if not hidden else "Nothing is left to predict from: show some."
            shown = [self.image, _blank(self.image), _blank(self.image), self.image]
            return _pictures(titles[first:], shown[first:]), f"{said} {todo}"
        x = self.image[None]
        mask = mask_of(self.cells, x)
        found = fillings(self.net, x, mask)
        there = found["there"]
        error = {name: losses.masked_mse(found[name], there, mask).item() for name in ("network", "nearest", "mean")}
        shown = [torch.where(mask, found[name], there)[0] for name in ("network", "nearest", "there")]
        if self.net.target is not None:  # about ±2 standard deviations of the picture, from black to white
            shown = [(y - there.mean()) / (4 * there.std() + 1e-6) + 0.5 for y in shown]
        titles[1:3] = [f"network: error {error['network']:.2f}", f"nearest pixel: error {error['nearest']:.2f}"]
        figure = _pictures(titles[first:], [found["inputs"][0], *shown][first:])
        for axis in figure.axes[-3:]:
            _outline(axis, mask[0, 0])
        return figure, (
            f"{said} Squared error in the hole: {error['network']:.2f} for the network (trained on holes of the kind "
            f"{_name(self.net.mask)!r}), {error['nearest']:.2f} for the nearest visible pixel, {error['mean']:.2f} for "
            "the mean of what is visible."
        )


def mask_of(cells: Tensor, x: Tensor) -> Tensor:
    """Hidden cells as hidden pixels: bool (R, R) -> bool (1, 1, H, W), of the size and on the device of x."""
    row, column = (torch.arange(side) * len(cells) // side for side in x.shape[2:])
    return cells[row][:, column][None, None].to(x.device)


@torch.no_grad()
def fillings(net: methods.Inpainting, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """What the network sees, what was there, and three answers to what is in the hole.

    Shapes: x float (1, C, H, W), mask bool (1, 1, H, W) -> "inputs" (1, C, H, W); "there", and the answers "network",
            "nearest" and "mean" (of the visible pixels, by channel): (1, C′, H, W), in the target's units.
    """
    inputs, _, _ = pretext.hide(x, mask, net.fill)
    there = x if net.target is None else net.target(x)
    mean = there[:, :, ~mask[0, 0]].mean(dim=2)
    return {
        "inputs": inputs,
        "there": there,
        "network": net.predict(inputs),
        "nearest": pretext.nearest_visible(there, mask),
        "mean": mean[:, :, None, None].expand_as(there),
    }


# -------------------------------------------------------------------------------------------------------------- jigsaw


def puzzle(method: methods.Jigsaw, images: Tensor) -> Panel:
    """Put shuffled tiles in order by swapping two at a time, against the network.

    "check" counts: a point for whoever has every tile in place. The network gets the same tiles, evened out if it was
    trained so, and chooses among its permutations; a person has all orders to choose from.

    Shapes and errors: as for fill_hole; the method is a Jigsaw.
    """
    net, x = _ready("puzzle", method, images, methods.Jigsaw)
    net.augment, net.tile_augment = Augment(), None  # the picture as it is, for both players
    state = Puzzle(net, x)
    board = Raster(state.grid, mark="chosen", gap=3)

    def draw() -> Drawing:
        board.show(state.board(), [place == state.chosen for place in range(state.grid**2)], locked=state.checked)
        check.disabled = state.checked
        return state.draw()

    panel = Panel(draw, still=partial(state.draw, reveal=True))
    for place, cell in enumerate(board.cells):
        panel.react(cell, partial(state.choose, place))
    check, another = panel.button("check", state.check), panel.button("next puzzle", state.deal)
    hint = _hint("Choose two tiles to swap them. When the picture is whole, check.")
    return panel.lay_out(hint, _row([check, another]), HBox([board, panel.picture]), panel.sentence)


class Puzzle:
    """Shuffled tiles, the reader's order of them, the network's, and the score."""

    def __init__(self, net: methods.Jigsaw, images: Tensor, seed: int = 0):
        self.net, self.images, self.index = net, images, -1
        self.grid = math.isqrt(net.permutations.shape[1])
        self.generator = devices.generator(seed, images.device)
        self.played = self.you = self.network = 0
        self.deal()

    @torch.no_grad()
    def deal(self) -> None:
        """The next picture, shuffled by one of the network's permutations, and the network's answer."""
        self.index = (self.index + 1) % len(self.images)
        image, permutations, draws = self.images[self.index][None], self.net.permutations, self.generator.get_state()
        inputs, target = self.net.views(image, self.generator)
        # The same draws once more, for the tiles as a person sees them: before they are evened out for the network.
        self.generator.set_state(draws)
        image = self.net.augment(image, self.generator)
        tiles, _ = pretext.jigsaw(image, permutations, self.generator, self.net.tile, self.net.jitter)
        confidence, answer = self.net.predict(inputs).softmax(dim=1).max(dim=1)
        self.confidence = confidence.item()
        self.tiles = tiles[0]
        self.solution = pretext.unshuffle(tiles, target, permutations)[0]
        self.answer = pretext.unshuffle(tiles, answer, permutations)[0]
        self.order = list(range(len(self.tiles)))
        self.chosen: int | None = None
        self.checked = False

    @property
    def arranged(self) -> Tensor:
        """The tiles (P, C, t, t) in the reader's order."""
        return self.tiles[self.order]

    def board(self) -> Tensor:
        """The reader's order as a picture (C, S, S)."""
        return pretext.assemble(self.arranged[None], gap=0)[0]

    def choose(self, place: int) -> None:
        """The first tile chosen waits for the second; then the two change places. Chosen twice, a tile is let go."""
        if self.chosen is None:
            self.chosen = place
            return
        a, b, self.chosen = self.chosen, place, None
        self.order[a], self.order[b] = self.order[b], self.order[a]

    def check(self) -> None:
        """Set both answers beside the solution, and count them, once."""
        if self.checked:
            return
        pieces = len(self.tiles)
        self.checked, self.chosen = True, None
        self.played += 1
        self.you += in_place(self.arranged, self.solution) == pieces
        self.network += in_place(self.answer, self.solution) == pieces

    def draw(self, reveal: bool = False) -> Drawing:
        """The network's order and the solution, covered until the reader has checked. `reveal` shows them before, and
        the puzzle too."""
        pieces, orders = len(self.tiles), len(self.net.permutations)
        you, network = in_place(self.arranged, self.solution), in_place(self.answer, self.solution)
        said = f"You {self.you} : {self.network} network ({self.played} checked)."
        if not (self.checked or reveal):
            return _pictures(["the network's order", "solution"], [_blank(self.board())] * 2), said
        if self.checked:
            said += f" You have {you} of {pieces} tiles in place."
        said += (
            f" The network has {network} of {pieces} in place: confidence {self.confidence:.2f}, by chance "
            f"{1 / orders:.2f}, since it knows {orders} orders. A person has {math.factorial(pieces):,} to choose from."
        )
        titles = ["the puzzle", f"the network's order: {network} of {pieces}", "solution"]
        boards = [pretext.assemble(t[None])[0] for t in (self.arranged, self.answer, self.solution)]
        first = int(not reveal)
        return _pictures(titles[first:], boards[first:]), said


def in_place(tiles: Tensor, solution: Tensor) -> int:
    """How many tiles (P, …) look as they should. Two that look the same may stand for each other."""
    return int((tiles == solution).flatten(1).all(dim=1).sum())


# ------------------------------------------------------------------------------------------------------------ rotation


def turn(method: methods.Rotation, images: Tensor) -> Panel:
    """Turn a picture, and see how probable the network finds each of the four positions that it knows.

    Beside the bars for one angle stand the probabilities at all angles. Turns are counter-clockwise, as in training.

    Shapes and errors: as for fill_hole; the method is a Rotation, and the images are square.
    """
    state = Turn(*_ready("turn", method, images, methods.Rotation))
    slider = IntSlider(
        description="turn counter-clockwise (degrees)",
        max=360 - STEP,
        step=STEP,
        layout=Layout(width="36em", max_width="100%"),
        style={"description_width": "initial"},
    )
    panel = Panel(state.draw, still=state.draw)
    panel.react(slider, lambda: state.to(slider.value))
    return panel.lay_out(slider, _row(panel.pager(state)), panel.picture, panel.sentence)


class Turn:
    """Pictures, which of them is looked at, the angle it is turned to, and what the network says at every angle."""

    def __init__(self, net: methods.Rotation, images: Tensor):
        if images.shape[2] != images.shape[3]:
            raise ValueError(f"turn needs square images (N, C, S, S); got {tuple(images.shape)}. Crop or resize them.")
        self.net, self.images, self.index, self.angle = net, images, 0, 0
        self._known: dict[int, Tensor] = {}  # by picture: the slider need not wait for the network

    def to(self, angle: int) -> None:
        self.angle = angle

    @property
    def probabilities(self) -> Tensor:
        """(360 / STEP, 4): of the four positions, at each angle of the slider."""
        if self.index not in self._known:
            self._known[self.index] = positions(self.net, self.images[self.index], range(0, 360, STEP))
        return self._known[self.index]

    def draw(self) -> Drawing:
        p = self.probabilities[self.angle // STEP]
        answer = 90 * int(p.argmax())
        said = f"Picture {self.index + 1} of {len(self.images)}. Turned by {self.angle}°: the network says {answer}°"
        said += f", with probability {p.max():.2f}."
        if self.angle % 90:
            return self._figure(), f"{said} It knows 0°, 90°, 180° and 270°, and nothing between them."
        return self._figure(), f"{said} That is {'right' if answer == self.angle else 'wrong'}."

    def _figure(self) -> plots.Figure:
        table, names = self.probabilities, [f"{90 * k}°" for k in range(4)]
        figure = plots.Figure(figsize=(9.6, 2.9), layout="constrained")
        picture, bars, every = figure.subplots(1, 3, width_ratios=(1, 0.8, 1.7))
        picture.imshow(_pixels(turned(self.images[self.index][None], [self.angle])[0]), cmap="gray", vmin=0, vmax=255)
        picture.set_title(f"turned by {self.angle}°", fontsize=12)
        picture.axis("off")
        bars.barh(names, table[self.angle // STEP].tolist(), color=plots.SSL)
        bars.invert_yaxis()
        bars.spines[["top", "right"]].set_visible(False)
        bars.set(xlim=(0, 1), xticks=(0, 0.5, 1), xlabel="probability", ylabel="the network's answer")
        edges = (-STEP / 2, 360 - STEP / 2, 3.5, -0.5)
        every.imshow(table.T.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto", extent=edges)
        box = {"marker": "s", "fillstyle": "none", "markersize": 13, "markeredgewidth": 2.5, "linestyle": ""}
        every.plot([0, 90, 180, 270], range(4), color=plots.ACCENT, clip_on=False, **box)
        every.axvline(self.angle, color="black", linewidth=1.5)
        every.set_yticks(range(4), names)
        every.set(xticks=range(0, 360, 45), xlabel="turned by (degrees)")
        every.set_title("probability at every angle; boxes: right answers", fontsize=12)
        return figure


def turned(x: Tensor, angles: Sequence[int]) -> Tensor:
    """One picture at several angles, in degrees, counter-clockwise. What a corner lacks is the mirrored edge.

    Shapes: x float (1, C, S, S) -> (len(angles), C, S, S). Bilinear; at multiples of 90° the same as pretext.rotate.
    """
    a = torch.tensor([math.radians(angle) for angle in angles])
    zero = torch.zeros_like(a)
    across, down = torch.stack([a.cos(), -a.sin(), zero], dim=1), torch.stack([a.sin(), a.cos(), zero], dim=1)
    return warp(x.expand(len(a), -1, -1, -1), torch.stack([across, down], dim=1).to(x.device))


@torch.no_grad()
def positions(net: methods.Rotation, image: Tensor, angles: Sequence[int]) -> Tensor:
    """The probabilities (len(angles), 4) of the four positions, for an image (C, S, S) turned to each of the angles."""
    return net.head(net.encoder(turned(image[None], angles))).softmax(dim=1).cpu()


# ------------------------------------------------------------------------------------------------------------- triplet


def triplet_plane(margin: float = 1.0) -> Panel:
    """Move A, P and N in the plane, change the margin α, and see the loss and where the gradient moves each of them.

    Buttons put the negative where it is easy, semi-hard or hard, or all three points into one, and let gradient descent
    move them by one step.

    Raises ValueError for a margin outside 0 … 3.
    """
    state = Plane(margin)
    sliders = {
        (letter, axis): _slider(f"{letter} {('across', 'up')[axis]}", -3, 3) for letter in PLACES for axis in (0, 1)
    }
    alpha = _slider("margin α", 0, 3)

    def draw() -> Drawing:
        for (letter, axis), slider in sliders.items():
            slider.value = round(state.points[letter][axis], 1)
        alpha.value = state.margin
        return state.draw()

    panel = Panel(draw, still=state.draw)
    for (letter, axis), slider in sliders.items():
        panel.react(slider, partial(lambda letter, axis, s: state.move(letter, axis, s.value), letter, axis, slider))
    panel.react(alpha, lambda: setattr(state, "margin", alpha.value))
    buttons = [panel.button(name, partial(state.put, name)) for name in NEGATIVES]
    buttons += [panel.button("one step of gradient descent", state.step)]
    controls = VBox([*sliders.values(), alpha], layout=Layout(flex="0 0 auto"))
    hint = _hint("Move the points with the sliders, or start from a triplet that is:")
    return panel.lay_out(hint, _row(buttons), HBox([controls, panel.picture]), panel.sentence)


PLACES = {"A": (-1.0, 0.0), "P": (0.2, 0.5), "N": (0.5, -1.0)}  # where the points are at first: a semi-hard negative
NEGATIVES = {"easy": (2.5, -1.5), "semi-hard": PLACES["N"], "hard": (-0.5, -0.5), "collapsed": PLACES["A"]}
RATE = 0.25  # how far a gradient of length 1 moves a point in one step


class Plane:
    """Three points, the embeddings of a triplet, and the margin."""

    def __init__(self, margin: float = 1.0):
        if not 0 <= margin <= 3:
            raise ValueError(f"margin is {margin}; expected a distance from 0 to 3, which the plane has room for.")
        self.points, self.margin = dict(PLACES), float(margin)

    def move(self, letter: str, axis: int, to: float) -> None:
        x, y = self.points[letter]
        if round(to, 1) != round((x, y)[axis], 1):  # else it is what the slider was set to, sent back by the front end
            self.points[letter] = (to, y) if axis == 0 else (x, to)

    def put(self, name: str) -> None:
        """The points where they were at first, but for the negative; "collapsed" puts all three into one."""
        self.points = {**PLACES, "N": NEGATIVES[name]}
        if name == "collapsed":
            self.points["P"] = self.points["A"]

    def step(self) -> None:
        """One step of gradient descent on the points themselves; none leaves the plane that is drawn."""
        _, arrows = self.loss()
        for letter, arrow in zip(self.points, arrows):
            x, y = (min(max(old + RATE * by, -3.0), 3.0) for old, by in zip(self.points[letter], arrow[0].tolist()))
            self.points[letter] = (x, y)

    def loss(self) -> tuple[float, list[Tensor]]:
        """The triplet loss, and minus its gradient (1, 2) for each of A, P and N."""
        points = (torch.tensor([place], dtype=torch.float64) for place in self.points.values())
        return pairs.arrows(partial(losses.triplet, margin=self.margin), *points)

    def draw(self) -> Drawing:
        (loss, arrows), (a, p, n) = self.loss(), self.points.values()
        near, far = math.dist(a, p), math.dist(a, n)
        said = f"Loss: max({near:.2f} − {far:.2f} + {self.margin:.2f}, 0) = {loss:.2f}. "
        if near == far == 0:
            said += "All three are one point: the loss is α, and the gradient 0. Nothing moves them apart."
        elif not any(arrow.any() for arrow in arrows):
            said += "Easy: the negative is farther than the positive by α or more. The gradient is 0."
        elif far > near:
            said += "Semi-hard: the negative is farther than the positive, but by less than α."
        else:
            said += "Hard: the negative is no farther than the positive."
        return plots.triplet_plane(a, p, n, self.margin), said


def _slider(name: str, low: float, high: float) -> FloatSlider:
    return FloatSlider(description=name, min=low, max=high, step=0.1, readout_format=".1f", layout=Layout(width="20em"))


# ------------------------------------------------------------------------------------------------------- same or not?


def same_or_not(method: methods.Siamese, images: Tensor) -> Panel:
    """Move a threshold over the distances of pairs, and see which pairs it gets wrong.

    The pairs are made as in training, out of two views of each image: half of one image, half of two. At first the
    threshold is the one with which most of them are right.

    Shapes and errors: as for fill_hole; the method is a Siamese, and there are at least two images.
    """
    state = Decision(*_ready("same_or_not", method, images, methods.Siamese))
    slider = FloatSlider(
        description="threshold (distance)",
        max=math.ceil(100 * state.distance.max().item() + 1) / 100,
        step=0.01,
        layout=Layout(width="36em", max_width="100%"),
        style={"description_width": "initial"},
    )

    def draw() -> Drawing:
        slider.value = state.threshold
        return state.draw()

    panel = Panel(draw, still=state.draw)
    panel.react(slider, lambda: state.to(slider.value))
    buttons = [*panel.pager(state, "pair"), panel.button("next mistake", state.next_mistake)]
    buttons += [panel.button("best threshold", state.choose)]
    hint = _hint("A pair at a distance below the threshold is taken for two views of the same image.")
    return panel.lay_out(hint, slider, _row(buttons), panel.picture, panel.sentence)


class Decision:
    """Pairs of views, how far apart their embeddings are, which pair is looked at, and the threshold."""

    def __init__(self, net: methods.Siamese, images: Tensor, seed: int = 0):
        generator = devices.generator(seed, images.device)
        first, second = net.augment(images, generator), net.augment(images, generator)
        self.first, self.second, same = pairs.pairs(first, second, generator)
        with torch.no_grad():
            z_a, z_b = net.embed(self.first), net.embed(self.second)
        self.distance, self.same = torch.linalg.vector_norm(z_a - z_b, dim=1).cpu(), same.cpu()
        self.images, self.index = self.first, 0
        self.choose()

    def to(self, threshold: float) -> None:
        self.threshold = threshold

    def choose(self) -> None:
        """The threshold with which most pairs are right."""
        self.threshold = pairs.verification(self.distance, self.same).threshold

    @property
    def taken(self) -> Tensor:
        """Which pairs are taken for the same, bool (N,)."""
        return self.distance < self.threshold

    def next_mistake(self) -> None:
        """On to the next pair that is taken for what it is not; if there is none, stay."""
        n = len(self.same)
        order = (torch.arange(n) + self.index + 1) % n
        wrong = order[(self.taken != self.same)[order]]
        self.index = int(wrong[0]) if len(wrong) else self.index

    def draw(self) -> Drawing:
        i, taken, same = self.index, self.taken, self.same
        words = ("two images", "the same image")
        answer, truth = words[int(taken[i])], words[int(same[i])]
        verdict = f"That is right: {truth}." if answer == truth else f"That is wrong: {truth}."
        missed, accepted = int((same & ~taken).sum()), int((~same & taken).sum())
        said = (
            f"Pair {i + 1} of {len(same)}. Distance {self.distance[i]:.2f}, threshold {self.threshold:.2f}: taken for "
            f"{answer}. {verdict} {missed} of {int(same.sum())} pairs of the same image are missed; {accepted} of "
            f"{int((~same).sum())} pairs of two images are accepted. Right are {(taken == same).float().mean():.2f} of "
            "all."
        )
        figure = plots.Figure(figsize=(9.6, 2.9), layout="constrained")
        *pictures, histogram = figure.subplots(1, 3, width_ratios=(1, 1, 2.1))
        for axis, picture, name in zip(pictures, (self.first[i], self.second[i]), ("one view", "another view")):
            axis.imshow(_pixels(picture), cmap="gray", vmin=0, vmax=255)
            axis.set_title(name, fontsize=12)
            axis.axis("off")
        plots.distance_histogram(histogram, self.distance, same, self.threshold)
        here = {"marker": "v", "color": plots.ACCENT, "markersize": 11, "linestyle": "", "label": "this pair"}
        histogram.plot([self.distance[i]], [0.06], transform=histogram.get_xaxis_transform(), clip_on=False, **here)
        histogram.legend(frameon=False, fontsize=9)
        histogram.set_title(f"distance {self.distance[i]:.2f}; below the line: taken for the same", fontsize=12)
        return figure, said


# ------------------------------------------------------------------------------------------------- what all have alike


class Panel(VBox):
    """Controls, a picture and a sentence.

    `draw` gives the last two, and may set controls; `still` gives the two that stand in where there is no kernel. An
    error in a callback is shown in the sentence's place, kept in `error` until a callback succeeds, and raised.
    """

    def __init__(self, draw: Callable[[], Drawing], still: Callable[[], Drawing]):
        super().__init__()
        self.draw, self.still = draw, still
        self.picture, self.sentence = HTML(layout=Layout(flex="1 1 0", min_width="0")), HTML()
        self.error: Exception | None = None
        self._lock, self._drawing = threading.RLock(), False  # callbacks may come from more than one thread

    def lay_out(self, *parts: DOMWidget) -> Panel:
        self.children = parts
        self.refresh()
        return self

    def react(self, control: Button | ToggleButton | IntSlider | FloatSlider, act: Callable[[], None]) -> None:
        """When the reader presses or moves the control: act, then draw."""

        def callback(_) -> None:
            with self._lock:
                if self._drawing:  # not the reader: draw() has set this control
                    return
                try:
                    act()
                    self.refresh()
                    self.error = None
                except Exception as error:  # a front end may show nothing of what a callback raises
                    self.error = error
                    self.sentence.value = _said(f"{type(error).__name__}: {error}", role="alert")
                    raise

        if isinstance(control, Button):
            control.on_click(callback)
        else:
            control.observe(callback, names="value")

    def button(self, name: str, act: Callable[[], None]) -> Button:
        button = Button(description=name, layout=Layout(width="auto"))
        self.react(button, act)
        return button

    def pager(self, state: Hole | Turn | Decision, what: str = "picture") -> list[Button]:
        """Two buttons, from picture to picture."""

        def go(step: int) -> None:
            state.index = (state.index + step) % len(state.images)

        return [self.button(f"previous {what}", partial(go, -1)), self.button(f"next {what}", partial(go, 1))]

    def refresh(self) -> None:
        self._drawing = True
        try:
            figure, sentence = self.draw()
        finally:
            self._drawing = False
        seen = html.escape("; ".join(filter(None, (axis.get_title() for axis in figure.axes))))
        source = f"data:image/png;base64,{_base64(figure._repr_png_())}"
        self.picture.value = f'<img src="{source}" alt="{seen}" style="max-width: 100%">'
        self.sentence.value = _said(sentence)

    def _repr_mimebundle_(self, **kwargs) -> dict:
        figure, sentence = self.still()
        instead = {"image/png": _base64(figure._repr_png_()), "text/plain": f"{sentence}\n[Run this cell to use it.]"}
        return {**super()._repr_mimebundle_(**kwargs), **instead}


class Raster(VBox):
    """A picture under a square of toggle buttons, `cells`, row by row: clicked, or reached with Tab and pressed with
    the space bar. `mark` is what a pressed one is called; `gap` pixels lie between two."""

    def __init__(self, side: int, mark: str, gap: int = 0, width: int = 264):
        self.side, self.mark, self.width = side, mark, width
        one = ToggleButton()  # all share its layout and style: a third of the traffic
        self.cells = [ToggleButton(layout=one.layout, style=one.style) for _ in range(side**2)]
        self.grid = GridBox(self.cells, layout=Layout(grid_template_columns=f"repeat({side}, 1fr)"))
        self.grid.add_class("sslkit-raster")
        self.grid.add_class(f"sslkit-{mark}")
        self.grid.add_class(f"sslkit-{self.grid.model_id}")
        self.rules = HTML(layout=Layout(display="none"))  # a rule holds wherever it stands
        self.gap = gap
        super().__init__([self.rules, self.grid], layout=Layout(flex="0 0 auto", margin="0 12px 0 0"))

    def show(self, picture: Tensor, pressed: Iterable[bool], locked: bool = False) -> None:
        """Put a picture (C, H, W), float in [0, 1], under the buttons, and press these."""
        buffer = io.BytesIO()
        Image.fromarray(_pixels(picture)).save(buffer, format="png")
        height = self.width * picture.shape[1] // picture.shape[2]
        self.rules.value = _RULES + (
            f"<style>.sslkit-{self.grid.model_id} {{ width: {self.width}px; height: {height}px; "
            f"background-image: url(data:image/png;base64,{_base64(buffer.getvalue())}); }}"
            f".sslkit-{self.grid.model_id} button.jupyter-button {{ border-width: {self.gap}px; }}</style>"
        )
        for place, (cell, down) in enumerate(zip(self.cells, pressed, strict=True)):
            row, column = divmod(place, self.side)
            cell.description = f"row {row + 1} column {column + 1}{f', {self.mark}' * down}"
            cell.value, cell.disabled, cell.tooltip = down, locked, cell.description


# The buttons' names are there for screen readers and as tooltips: written on the picture they would hide it.
_RULES = f"""<style>
.sslkit-raster {{ background-size: 100% 100%; image-rendering: pixelated; gap: 0; overflow: visible; }}
.sslkit-raster button.jupyter-button {{ width: 100%; height: 100%; margin: 0; padding: 0; font-size: 0; min-width: 0;
    box-sizing: border-box; opacity: 1 !important; background: transparent; color: transparent; box-shadow: none;
    border: 0 solid white; outline: 1px solid rgba(255, 255, 255, 0.35); outline-offset: -1px; }}
.sslkit-raster button.jupyter-button:hover:enabled {{ outline: 2px solid white; outline-offset: -2px; }}
.sslkit-raster button.jupyter-button:focus-visible {{ outline: 3px solid {plots.ACCENT}; outline-offset: -3px;
    z-index: 1; }}
.sslkit-hidden button.jupyter-button.mod-active {{ background: #808080; }}
.sslkit-chosen button.jupyter-button.mod-active {{ outline: 5px solid {plots.ACCENT}; outline-offset: -5px; }}
</style>"""


def _ready(widget: str, method: methods.Method, images: Tensor, kind: type) -> tuple:
    """The method as the widget uses it, a copy in eval mode, and the images as float on its device."""
    if not isinstance(method, kind):
        raise TypeError(
            f"{widget} needs a method of the kind {kind.__name__}; got {type(method).__name__}. "
            f"Train one: methods.{kind.__name__}(encoder)."
        )
    if not isinstance(images, Tensor) or images.ndim != 4 or not len(images):
        what = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(
            f"{widget} needs images (N, C, H, W), at least one; got {what}. For a single image: image[None]."
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"{widget} needs images of uint8, or float in [0, 1]; got {images.dtype}.")
    net = copy.deepcopy(method).eval()
    return net, to_float(images.to(next(net.parameters()).device))


def _pictures(titles: Sequence[str], pictures: Sequence[Tensor]) -> plots.Figure:
    """Pictures (C, H, W), C = 1 or 3, in a row."""
    shown = torch.stack([picture.cpu().expand(3, -1, -1) for picture in pictures])
    return plots.image_grid(shown, titles, columns=len(shown), size=2.2)


def _blank(picture: Tensor) -> Tensor:
    """What stands where there is nothing to show yet."""
    return torch.full_like(picture, 0.9)


def _pixels(picture: Tensor) -> np.ndarray:
    """(C, H, W), float in [0, 1] -> uint8 (H, W, 3), or (H, W) with one channel."""
    return (255 * picture.clamp(0, 1)).round().byte().cpu().permute(1, 2, 0).numpy().squeeze()


def _outline(axis: Axes, mask: Tensor) -> None:
    """A line around the hidden pixels (H, W)."""
    fine = np.kron(mask.cpu().numpy(), np.ones((8, 8)))  # or the line would cut the corners
    extent = (-0.5, mask.shape[1] - 0.5, -0.5, mask.shape[0] - 0.5)
    axis.contour(fine, levels=[0.5], colors=plots.ACCENT, linewidths=2, extent=extent)


def _name(mask: pretext.MaskFunction) -> str:
    function = mask.func if isinstance(mask, partial) else mask
    return getattr(function, "__name__", type(function).__name__)


def _row(buttons: Sequence[Button]) -> Box:
    return HBox(buttons, layout=Layout(flex_flow="row wrap"))


def _hint(text: str) -> HTML:
    return HTML(f'<p style="font-size: 1.15em; line-height: 1.4; margin: 0">{html.escape(text)}</p>')


def _said(text: str, role: str = "status") -> str:
    style = f"margin: 0; font-size: 1.25em; line-height: 1.4; font-weight: {'bold' if role == 'alert' else 'normal'}"
    return f'<p role="{role}" style="{style}">{html.escape(text)}</p>'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
