"""Every augmentation with its slider, and many views of one picture at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from ipywidgets import Box, FloatSlider, Layout
from torch import Tensor

from sslkit import device as devices
from sslkit import plots
from sslkit.augment import STRONG, WEAK, Augment
from sslkit.widgets.panel import Drawing, Panel, hint, ready_images, row

DRAWS = 23  # and the picture itself make three rows of eight


class Knob(NamedTuple):
    """A slider: what it is called, where it ends, and what it is to an augmentation."""

    name: str
    low: float
    high: float
    of: Callable[[Augment], float]
    to: Callable[[Augment, float], Augment]
    off: float = 0.0


def _plain(field: str, name: str, high: float) -> Knob:
    def to(augment: Augment, value: float) -> Augment:
        changed: dict[str, Any] = {field: value}
        return replace(augment, **changed)

    return Knob(name, 0.0, high, lambda augment: getattr(augment, field), to)


KNOBS = (
    Knob("smallest crop (area)", 0.1, 1.0, lambda a: a.scale[0], lambda a, v: replace(a, scale=(v, 1.0)), off=1.0),
    Knob("crop, wide or high", 1.0, 2.0, lambda a: a.ratio[1], lambda a, v: replace(a, ratio=(1 / v, v)), off=1.0),
    _plain("rotate", "turn (± degrees)", 180.0),
    _plain("flip", "mirrored (share)", 1.0),
    _plain("brightness", "brightness (±)", 1.0),
    _plain("contrast", "contrast (±)", 1.0),
    _plain("saturation", "saturation (±)", 1.0),
    _plain("hue", "hue (± of the circle)", 0.5),
    _plain("grey", "grey (share)", 1.0),
    _plain("invert", "negative (share)", 1.0),
    _plain("blur", "blurred (share)", 1.0),
    _plain("noise", "noise (up to)", 0.3),
    _plain("cutout", "grey square (side)", 0.6),
)
SETTINGS = {"nothing": Augment(), "weak": WEAK, "strong": STRONG}


def explore_views(images: Tensor, augment: Augment = STRONG) -> Panel:
    """Set every augmentation with a slider, and see what it makes of a picture in many draws.

    A slider changes one thing: the same random numbers are used for all, until "other draws" takes new ones.

    Shapes: uint8 or float in [0, 1], (N, C, H, W) with C = 1 or 3. Raises ValueError for anything else.
    """
    state = Views(ready_images("explore_views", images), augment)
    sliders = [_slider(knob) for knob in KNOBS]

    def draw() -> Drawing:
        for slider, knob in zip(sliders, KNOBS):
            slider.value = knob.of(state.augment)
        return state.draw()

    panel = Panel(draw, still=state.draw)
    for slider, knob in zip(sliders, KNOBS):
        panel.react(slider, partial(_turn, state, knob, slider))
    buttons = [panel.button(name, partial(state.set, augment)) for name, augment in SETTINGS.items()]
    buttons += [panel.button("other draws", state.draw_anew), *panel.pager(state)]
    line = hint("Could you still name the digit in every view? And could you tell it from colour or place alone?")
    table = Box(sliders, layout=Layout(flex_flow="row wrap"))
    return panel.lay_out(line, row(buttons), table, panel.picture, panel.sentence)


def _slider(knob: Knob) -> FloatSlider:
    return FloatSlider(
        description=knob.name,
        min=knob.low,
        max=knob.high,
        step=5.0 if knob.high > 2 else 0.01,
        value=knob.off,
        continuous_update=False,  # see plane.py: what a button sets would come back late, after the next button
        layout=Layout(width="24em", max_width="100%"),
        style={"description_width": "11em"},
    )


def _turn(state: Views, knob: Knob, slider: FloatSlider) -> None:
    if round(slider.value, 2) != round(knob.of(state.augment), 2):  # else it is what the slider was set to, sent back
        state.set(knob.to(state.augment, slider.value))


class Views:
    """Pictures, which of them is looked at, the augmentation, and which random numbers it draws."""

    def __init__(self, images: Tensor, augment: Augment):
        self.images, self.augment, self.index, self.seed = images, augment, 0, 0

    def set(self, augment: Augment) -> None:
        self.augment = augment

    def draw_anew(self) -> None:
        self.seed += 1

    @property
    def views(self) -> Tensor:
        """(DRAWS, C, H, W): the same random numbers for every setting."""
        many = self.images[self.index].expand(DRAWS, -1, -1, -1)
        return self.augment(many, devices.generator(self.seed, many.device))

    def draw(self) -> Drawing:
        shown = torch.cat([self.images[self.index][None], self.views]).cpu()
        figure = plots.image_grid(shown, ["picture", *[""] * DRAWS], columns=8, size=1.15)
        on = [f"{knob.name} {knob.of(self.augment):g}" for knob in KNOBS if knob.of(self.augment) != knob.off]
        said = f"Picture {self.index + 1} of {len(self.images)}, and {DRAWS} views of it. "
        if not on:
            return figure, f"{said}Nothing is switched on: all views are the picture itself."
        return figure, f"{said}Switched on: {', '.join(on)}."
