"""Hide parts of a picture, and see them filled."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from ipywidgets import HBox
from matplotlib.axes import Axes
from torch import Tensor

from sslkit import device as devices
from sslkit import losses, methods, plots, pretext
from sslkit.widgets.panel import Drawing, Panel, Raster, blank, hint, pictures, ready, row

CELLS = 8  # a hole is painted on so many rows and columns


HOLES: dict[str, pretext.MaskFunction] = {
    **{f"{side} half": partial(pretext.half, side=side) for side in pretext.SIDES},
    "centre": pretext.centre,
    "frame": pretext.frame,
    "scattered": partial(pretext.scattered, patch=1),
}


def fill_hole(method: methods.Inpainting, images: Tensor) -> Panel:
    """Hide cells of a picture, and see what the network puts into the hole.

    Beside it stands the nearest visible pixel, which needs no network. The error is the mean square over the hole, in
    the units of the method's target (for contrast_normalised_grey: standard deviations of the picture).

    Shapes: images uint8 (N, C, H, W), or float in [0, 1]. Raises TypeError for a method that is no Inpainting,
            ValueError for other images.
    """
    state = Hole(*ready("fill_hole", method, images, methods.Inpainting))
    raster = Raster(CELLS, mark="hidden")

    def draw() -> Drawing:
        raster.show(state.image, pressed=state.cells.flatten().tolist())
        return state.draw(beside=True)

    panel = Panel(draw, still=state.draw)
    for place, cell in enumerate(raster.cells):
        panel.react(cell, partial(state.toggle, *divmod(place, CELLS)))
    presets = [panel.button(name, partial(state.hide, name)) for name in (*HOLES, "nothing")]
    line = hint("Click on the left picture to hide a part of it, or to show it again. Or hide:")
    return panel.lay_out(line, row(presets), row(panel.pager(state)), HBox([raster, panel.picture]), panel.sentence)


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
            shown = [self.image, blank(self.image), blank(self.image), self.image]
            return pictures(titles[first:], shown[first:]), f"{said} {todo}"
        x = self.image[None]
        mask = mask_of(self.cells, x)
        found = fillings(self.net, x, mask)
        there = found["there"]
        error = {name: losses.masked_mse(found[name], there, mask).item() for name in ("network", "nearest", "mean")}
        shown = [torch.where(mask, found[name], there)[0] for name in ("network", "nearest", "there")]
        if self.net.target is not None:  # about ±2 standard deviations of the picture, from black to white
            shown = [(y - there.mean()) / (4 * there.std() + 1e-6) + 0.5 for y in shown]
        titles[1:3] = [f"network: error {error['network']:.2f}", f"nearest pixel: error {error['nearest']:.2f}"]
        figure = pictures(titles[first:], [found["inputs"][0], *shown][first:])
        for axis in figure.axes[-3:]:
            outline(axis, mask[0, 0])
        return figure, (
            f"{said} Squared error in the hole: {error['network']:.2f} for the network (trained on holes of the kind "
            f"{name_of(self.net.mask)!r}), {error['nearest']:.2f} for the nearest visible pixel, {error['mean']:.2f} "
            "for the mean of what is visible."
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


def outline(axis: Axes, mask: Tensor) -> None:
    """A line around the hidden pixels (H, W)."""
    fine = np.kron(mask.cpu().numpy(), np.ones((8, 8)))  # or the line would cut the corners
    extent = (-0.5, mask.shape[1] - 0.5, -0.5, mask.shape[0] - 0.5)
    axis.contour(fine, levels=[0.5], colors=plots.ACCENT, linewidths=2, extent=extent)


def name_of(mask: pretext.MaskFunction) -> str:
    function = mask.func if isinstance(mask, partial) else mask
    return getattr(function, "__name__", type(function).__name__)
