"""How many layers to copy, and freeze them or not: what was measured, one point at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ipywidgets import IntSlider, Layout

from sslkit import plots, transfer
from sslkit.widgets.panel import Drawing, Panel, hint, row


def copied_layers(measured: Mapping[str, Any], sources: Sequence[str]) -> Panel:
    """Choose how many layers are copied, from which pretext, and whether they are frozen; see what it gives.

    `measured` has rows as plots.by_depth takes them. Raises ValueError if it lacks one for a source.
    """
    state = Depth(measured, sources)
    slider = IntSlider(description="layers copied", max=state.most, layout=Layout(width="24em"))
    slider.style.description_width = "initial"

    def draw() -> Drawing:
        slider.value = state.layers
        return state.draw()

    panel = Panel(draw, still=state.draw)
    panel.react(slider, lambda: setattr(state, "layers", slider.value))
    first = [panel.button(source, partial(setattr, state, "source", source)) for source in sources]
    second = [panel.button(mode, partial(setattr, state, "mode", mode)) for mode in transfer.MODES]
    line = hint("Copy from the pretext task …, and train the copied layers on or not:")
    return panel.lay_out(line, row(first), row(second), slider, panel.picture, panel.sentence)


class Depth:
    """What is copied from where, how it is trained, and what was measured for it."""

    def __init__(self, measured: Mapping[str, Any], sources: Sequence[str]):
        if not sources:
            raise ValueError("copied_layers needs at least one source, a pretext that was measured.")
        self.measured, self.sources = measured, sources
        self.source, self.mode = sources[0], "frozen"
        self.most = 0
        while f"{sources[0]}-{self.most + 1}-frozen" in measured:
            self.most += 1
        wanted = [f"{s}-{n}-{m}" for s in sources for n in range(1, self.most + 1) for m in transfer.MODES]
        for name in ["scratch", *wanted] if self.most else [f"{sources[0]}-1-frozen"]:
            if name not in measured:
                raise ValueError(
                    f"there is no row {name!r} among what was measured: make experiments LESSON=09 adds it."
                )
        self.layers = self.most

    def draw(self) -> Drawing:
        scratch = self.measured["scratch"]
        here = self.measured[f"{self.source}-{self.layers}-{self.mode}"] if self.layers else scratch
        said = (
            f"{self.layers} of {self.most} layers copied from {self.source}, {self.mode}: {here['mean']:.2f} ± "
            f"{here['std']:.2f}. Nothing copied: {scratch['mean']:.2f} ± {scratch['std']:.2f}. "
        )
        if not self.layers:
            said = f"Nothing copied, supervised training alone: {scratch['mean']:.2f} ± {scratch['std']:.2f}. "
        elif "gain" in here and "scratch" in here["gain"]:
            gain, low, high = here["gain"]["scratch"]
            verdict = "better" if low > 0 else "worse" if high < 0 else "neither better nor worse"
            said += f"The difference is {gain:+.2f} (95 %: {low:+.2f} to {high:+.2f}): {verdict}."
        return plots.by_depth(self.measured, [self.source], (self.layers, self.mode)), said
