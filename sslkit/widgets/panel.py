"""What all widgets have alike: controls, a picture, a sentence, and what stands in where there is no kernel."""

from __future__ import annotations

import base64
import copy
import html
import io
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, TypeAlias

import numpy as np
import torch
from ipywidgets import (
    HTML,
    Box,
    Button,
    Checkbox,
    DOMWidget,
    FloatSlider,
    GridBox,
    HBox,
    IntSlider,
    Layout,
    SelectionRangeSlider,
    SelectionSlider,
    Text,
    ToggleButton,
    ToggleButtons,
    VBox,
)
from PIL import Image
from torch import Tensor

from sslkit import methods, plots
from sslkit.augment import to_float

Drawing = tuple[plots.Figure, str]  # a figure, and what it says in words
Control: TypeAlias = (
    Button | ToggleButton | ToggleButtons | Checkbox | IntSlider | FloatSlider | SelectionSlider | SelectionRangeSlider
)


class Paged(Protocol):
    """A state that shows one of its images."""

    index: int
    images: Tensor


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

    def react(self, control: Control | Text, act: Callable[[], None]) -> None:
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
                    self.sentence.value = said(f"{type(error).__name__}: {error}", role="alert")
                    raise

        if isinstance(control, Button):
            control.on_click(callback)
        else:
            control.observe(callback, names="value")

    def button(self, name: str, act: Callable[[], None]) -> Button:
        button = Button(description=name, layout=Layout(width="auto"))
        self.react(button, act)
        return button

    def pager(self, state: Paged, what: str = "picture") -> list[Button]:
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
        source = f"data:image/png;base64,{png_text(figure._repr_png_())}"
        self.picture.value = f'<img src="{source}" alt="{seen}" style="max-width: 100%">'
        self.sentence.value = said(sentence)

    def _repr_mimebundle_(self, **kwargs) -> dict:
        figure, sentence = self.still()
        instead = {"image/png": png_text(figure._repr_png_()), "text/plain": f"{sentence}\n[Run this cell to use it.]"}
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
        Image.fromarray(pixels(picture)).save(buffer, format="png")
        height = self.width * picture.shape[1] // picture.shape[2]
        self.rules.value = RULES + (
            f"<style>.sslkit-{self.grid.model_id} {{ width: {self.width}px; height: {height}px; "
            f"background-image: url(data:image/png;base64,{png_text(buffer.getvalue())}); }}"
            f".sslkit-{self.grid.model_id} button.jupyter-button {{ border-width: {self.gap}px; }}</style>"
        )
        for place, (cell, down) in enumerate(zip(self.cells, pressed, strict=True)):
            row, column = divmod(place, self.side)
            cell.description = f"row {row + 1} column {column + 1}{f', {self.mark}' * down}"
            cell.value, cell.disabled, cell.tooltip = down, locked, cell.description


# The buttons' names are there for screen readers and as tooltips: written on the picture they would hide it.
RULES = f"""<style>
.sslkit-raster {{ background-size: 100% 100%; image-rendering: pixelated; gap: 0; overflow: visible; }}
.sslkit-raster button.jupyter-button {{ width: 100%; height: 100%; margin: 0; padding: 0; font-size: 0; min-width: 0;
    box-sizing: border-box; opacity: 1 !important; background: transparent; color: transparent; box-shadow: none;
    border: 0 solid white; outline: 1px solid rgba(255, 255, 255, 0.35); outline-offset: -1px; }}
.sslkit-raster button.jupyter-button:hover:enabled {{ outline: 2px solid white; outline-offset: -2px; }}
.sslkit-raster button.jupyter-button:focus-visible {{ outline: 3px solid {plots.ACCENT}; outline-offset: -3px;
    z-index: 1; }}
.sslkit-hidden button.jupyter-button.mod-active {{ background: #808080; }}
.sslkit-here {{ image-rendering: auto; outline: 1px solid {plots.RANDOM}; }}
.sslkit-here button.jupyter-button, .sslkit-here button.jupyter-button:is(:hover, :focus, :active) {{
    background: transparent; box-shadow: none; }}
.sslkit-chosen button.jupyter-button.mod-active {{ outline: 5px solid {plots.ACCENT}; outline-offset: -5px; }}
</style>"""


def ready(widget: str, method: methods.Method, images: Tensor, kind: type, clips: bool = False) -> tuple:
    """The method as the widget uses it, a copy in eval mode, and the images, or clips, as float on its device."""
    if not isinstance(method, kind):
        raise TypeError(
            f"{widget} needs a method of the kind {kind.__name__}; got {type(method).__name__}. "
            f"Train one: methods.{kind.__name__}(encoder)."
        )
    net, images = copy.deepcopy(method).eval(), ready_images(widget, images, clips)
    return net, images.to(next(net.parameters()).device)


def ready_images(widget: str, images: Tensor, clips: bool = False) -> Tensor:
    """The images, or clips, as float in [0, 1], or an error that says what the widget needs."""
    one, shape = ("clip", "(N, T, C, H, W)") if clips else ("image", "(N, C, H, W)")
    if not isinstance(images, Tensor) or images.ndim != 4 + clips or not len(images):
        what = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"{widget} needs {one}s {shape}, at least one; got {what}. For a single {one}: {one}[None].")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"{widget} needs {one}s of uint8, or float in [0, 1]; got {images.dtype}.")
    return to_float(images)


def pictures(titles: Sequence[str], pictures: Sequence[Tensor]) -> plots.Figure:
    """Pictures (C, H, W), C = 1 or 3, in a row."""
    shown = torch.stack([picture.cpu().expand(3, -1, -1) for picture in pictures])
    return plots.image_grid(shown, titles, columns=len(shown), size=2.2)


def blank(picture: Tensor) -> Tensor:
    """What stands where there is nothing to show yet."""
    return torch.full_like(picture, 0.9)


def pixels(picture: Tensor) -> np.ndarray:
    """(C, H, W), float in [0, 1] -> uint8 (H, W, 3), or (H, W) with one channel."""
    return (255 * picture.clamp(0, 1)).round().byte().cpu().permute(1, 2, 0).numpy().squeeze()


def row(buttons: Sequence[Button]) -> Box:
    return HBox(buttons, layout=Layout(flex_flow="row wrap"))


def hint(text: str) -> HTML:
    return HTML(f'<p style="font-size: 1.15em; line-height: 1.4; margin: 0">{html.escape(text)}</p>')


def said(text: str, role: str = "status") -> str:
    style = f"margin: 0; font-size: 1.25em; line-height: 1.4; font-weight: {'bold' if role == 'alert' else 'normal'}"
    return f'<p role="{role}" style="{style}">{html.escape(text)}</p>'


def png_text(data: bytes) -> str:
    return base64.b64encode(data).decode()
