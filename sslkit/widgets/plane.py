"""Three points in the plane, and the triplet loss that pulls at them."""

from __future__ import annotations

import math
from functools import partial

import torch
from ipywidgets import FloatSlider, HBox, Layout, VBox
from torch import Tensor

from sslkit import losses, pairs, plots
from sslkit.widgets.panel import Drawing, Panel, hint, row


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
    line = hint("Move the points with the sliders, or start from a triplet that is:")
    return panel.lay_out(line, row(buttons), HBox([controls, panel.picture]), panel.sentence)


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
    # A slider that sends while it moves also sends back, late, what a button has set it to; by then a step of descent
    # may have moved the point on, and would be undone. So it sends when it is let go, or at a key.
    settings = {"min": low, "max": high, "step": 0.1, "readout_format": ".1f", "continuous_update": False}
    return FloatSlider(description=name, layout=Layout(width="20em"), **settings)
