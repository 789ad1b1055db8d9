"""Turn a picture, and see which way up the network takes it to be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from ipywidgets import IntSlider, Layout
from torch import Tensor

from sslkit import methods, plots
from sslkit.augment import warp
from sslkit.widgets.panel import Drawing, Panel, pixels, ready, row

STEP = 10  # degrees from one position of the slider to the next


def turn(method: methods.Rotation, images: Tensor) -> Panel:
    """Turn a picture, and see how probable the network finds each of the four positions that it knows.

    Beside the bars for one angle stand the probabilities at all angles. Turns are counter-clockwise, as in training.

    Shapes and errors: as for fill_hole; the method is a Rotation, and the images are square.
    """
    state = Turn(*ready("turn", method, images, methods.Rotation))
    slider = IntSlider(
        description="turn counter-clockwise (degrees)",
        max=360 - STEP,
        step=STEP,
        layout=Layout(width="36em", max_width="100%"),
        style={"description_width": "initial"},
    )
    panel = Panel(state.draw, still=state.draw)
    panel.react(slider, lambda: state.to(slider.value))
    return panel.lay_out(slider, row(panel.pager(state)), panel.picture, panel.sentence)


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
        picture.imshow(pixels(turned(self.images[self.index][None], [self.angle])[0]), cmap="gray", vmin=0, vmax=255)
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
