"""Go through a clip frame by frame, forwards and backwards, with the prediction beside it."""

from __future__ import annotations

import torch
from ipywidgets import IntSlider, Layout, ToggleButton
from torch import Tensor

from sslkit import methods, plots, sequence
from sslkit.widgets.panel import Drawing, Panel, blank, pixels, ready, row


def scrub(future: methods.Future, past: methods.Future, clips: Tensor) -> Panel:
    """Go through a clip frame by frame: what was there, what a network predicted from the first frames, and the error.

    Forwards it is the network of `future` that predicts, backwards that of `past`, a Future with backwards=True; then
    the clip runs from its last frame to its first. Frames further ahead than a network predicts at once are predicted
    from its own predictions.

    Shapes: clips uint8 (N, T, C, H, W), or float in [0, 1], with more frames than the networks look at.
    """
    net, clips_ = ready("scrub", future, clips, methods.Future, clips=True)
    other, _ = ready("scrub", past, clips, methods.Future, clips=True)
    state = Scrub(net, other, clips_)
    slider = IntSlider(
        description="frame",
        min=1,
        max=clips_.shape[1],
        value=state.frame,
        layout=Layout(width="36em", max_width="100%"),
        style={"description_width": "initial"},
    )
    way = ToggleButton(description="backwards", layout=Layout(width="auto"))
    panel = Panel(state.draw, still=state.draw)
    panel.react(slider, lambda: state.to(slider.value))
    panel.react(way, lambda: state.turn(way.value))
    return panel.lay_out(slider, row([way, *panel.pager(state, "clip")]), panel.picture, panel.sentence)


class Scrub:
    """Clips, which of them is looked at and which of its frames, which way it runs, and what the networks predict."""

    def __init__(self, future: methods.Future, past: methods.Future, clips: Tensor):
        if future.backwards or not past.backwards:
            raise ValueError(
                "scrub needs a Future and then one with backwards=True; got "
                f"backwards={future.backwards} and backwards={past.backwards}. Is their order right?"
            )
        if not future.frames == past.frames < clips.shape[1]:
            raise ValueError(
                f"the networks look at {future.frames} and {past.frames} frames: both must look at as many, and the "
                f"clips, of {clips.shape[1]} frames, must have more."
            )
        self.nets, self.images, self.index = (future, past), clips, 0
        self.seen, self.length, self.backwards = future.frames, clips.shape[1], False
        self.frame = self.seen + 1  # counted from 1
        self._known: dict[tuple[int, bool], tuple[Tensor, Tensor]] = {}  # the slider need not wait for the network

    def to(self, frame: int) -> None:
        self.frame = frame

    def turn(self, backwards: bool) -> None:
        self.backwards = backwards

    @property
    def clip(self) -> Tensor:
        """The clip that is looked at, (T, C, H, W), in the order in which it is shown."""
        one = self.images[self.index]
        return one.flip(0) if self.backwards else one

    @property
    def predicted(self) -> tuple[Tensor, Tensor]:
        """Predictions of the frames after the seen ones (T − seen, C, H, W); squared errors of these and of a copy of
        the last frame seen, (2, T − seen)."""
        key = self.index, self.backwards
        if key not in self._known:
            clip = self.clip[None]
            ahead = self.length - self.seen
            with torch.no_grad():
                made = self.nets[self.backwards].roll_out(clip[:, : self.seen], ahead)[0]
            copied = sequence.copy_last(clip[:, : self.seen]).expand_as(made)
            errors = torch.stack([(x - clip[0, self.seen :]).square().mean(dim=(1, 2, 3)) for x in (made, copied)])
            self._known[key] = made.cpu(), errors.cpu()
        return self._known[key]

    def draw(self) -> Drawing:
        made, errors = self.predicted
        ahead = self.frame - self.seen
        way = "backwards" if self.backwards else "forwards"
        said = f"Clip {self.index + 1} of {len(self.images)}, {way}, frame {self.frame} of {self.length}: "
        if ahead < 1:
            said += f"seen. The network looks at the first {self.seen} frames; move on to those it predicts."
            return self._figure(None, "it is seen"), said
        error, copied = errors[:, ahead - 1].tolist()
        said += f"predicted {ahead} ahead. Squared error {error:.4f}; a copy of frame {self.seen} has {copied:.4f}."
        return self._figure(made[ahead - 1], f"predicted {ahead} ahead: error {error:.4f}"), said

    def _figure(self, prediction: Tensor | None, title: str) -> plots.Figure:
        there = self.clip[self.frame - 1].cpu()
        figure = plots.Figure(figsize=(9.6, 2.9), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.5))
        name = f"{'backwards, ' if self.backwards else ''}frame {self.frame}"
        for axis, picture, text in (
            (left, there, name),
            (middle, blank(there) if prediction is None else prediction, title),
        ):
            axis.imshow(pixels(picture), cmap="gray", vmin=0, vmax=255)
            axis.set_title(text, fontsize=12)
            axis.axis("off")
        errors = dict(zip(("network", "copy-last"), self.predicted[1].tolist()))
        plots.errors_on(right, errors, self.seen + 1, self.frame)
        right.set(xlim=(0.5, self.length + 0.5), xlabel="frame", ylabel="squared error")
        right.set_title("the error, frame by frame", fontsize=12)
        return figure
