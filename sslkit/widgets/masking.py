"""Hide a share of a picture's patches, and see what the network makes of the rest."""

from __future__ import annotations

import torch
from ipywidgets import IntSlider, Layout
from torch import Tensor

from sslkit import device as devices
from sslkit import losses, methods, nets
from sslkit.widgets.panel import Drawing, Panel, pictures, ready, row


def mask_patches(method: methods.MAE, images: Tensor) -> Panel:
    """Choose how many patches are hidden, and see the picture that the network reconstructs from the others.

    A larger number hides more patches beside those that are hidden already. The error is the mean square over the
    hidden patches in the units of the method's target, beside that of the mean of what is visible, which needs no
    network. Hidden patches are shown as predicted, visible ones as they are.

    Shapes and errors: as for fill_hole; the method is an MAE, and the images' sides are multiples of its patch.
    """
    state = Masking(*ready("mask_patches", method, images, methods.MAE))
    slider = IntSlider(
        description="hidden patches",
        min=1,
        max=state.patches - 1,
        value=state.count,
        layout=Layout(width="36em", max_width="100%"),
        style={"description_width": "initial"},
    )
    panel = Panel(state.draw, still=state.draw)
    panel.react(slider, lambda: state.to(slider.value))
    again = panel.button("other patches", state.again)
    return panel.lay_out(slider, row([again, *panel.pager(state)]), panel.picture, panel.sentence)


class Masking:
    """Pictures, which of them is looked at, and how many of its patches are hidden, in which order."""

    def __init__(self, net: methods.MAE, images: Tensor):
        self.net, self.images, self.index = net, images, 0
        self.grid = net.encoder.grid(images)
        self.patches = self.grid[0] * self.grid[1]
        self.count, self.draws = min(max(round(net.ratio * self.patches), 1), self.patches - 1), 0

    def to(self, count: int) -> None:
        self.count = count

    def again(self) -> None:
        self.draws += 1

    @property
    def order(self) -> Tensor:
        """(1, P): the patches in the order in which they are hidden; the same for every picture."""
        order = torch.rand(1, self.patches, generator=devices.generator(self.draws)).argsort(dim=1)
        return order.to(self.images.device)

    def draw(self) -> Drawing:
        order, x = self.order, self.images[self.index][None]
        found = reconstruction(self.net, x, order[:, self.count :], order[:, : self.count])
        titles = [
            f"the encoder sees {self.patches - self.count} patches",
            f"network: error {found['error']:.2f}",
            "what was there",
        ]
        shown = [found[name][0] for name in ("seen", "network", "there")]
        return pictures(titles, shown), (
            f"Picture {self.index + 1} of {len(self.images)}. {self.count} of {self.patches} patches are hidden "
            f"({self.count / self.patches:.0%}; trained with {self.net.ratio:.0%}). Squared error there: "
            f"{found['error']:.2f} for the network, {found['blind']:.2f} for the mean of what is visible."
        )


@torch.no_grad()
def reconstruction(net: methods.MAE, x: Tensor, visible: Tensor, hidden: Tensor) -> dict:
    """One picture with some of its patches hidden: what is seen of it, what the network makes of it, what was there.

    Shapes: x float (1, C, H, W), visible int64 (1, V), hidden int64 (1, M) -> "seen" (1, C, H, W), "network" and
            "there" (1, C′, H, W), all in [0, 1] to be looked at; "error" and "blind", floats in the target's units:
            of the network, and of who predicts the mean of the visible patches' targets. A prediction in standardised
            patches is put back to the mean and deviation that the patch had, which the network did not know.
    """
    side, grid = net.encoder.patch, net.encoder.grid(x)
    answer, said = net.answer(x), net.predict(x, visible, hidden).float()
    truth = nets.take(answer, hidden)
    blind = nets.take(answer, visible).mean().expand_as(truth)
    whole = nets.patchify(x if net.target is None else net.target(x), side)  # what the target is before normalisation
    place = hidden[:, :, None]
    shown = said
    if net.normalise:
        there = nets.take(whole, hidden)
        shown = said * there.std(dim=2, correction=0, keepdim=True) + there.mean(dim=2, keepdim=True)
    painted = whole.scatter(1, place.expand_as(shown), shown)
    pixels = nets.patchify(x, side)
    pixels = pixels.scatter(1, place.expand(-1, -1, pixels.shape[2]), 0.5)
    low, high = (0.0, 1.0) if net.target is None else (-1.0, 3.0)  # standard deviations of the picture
    scaled = [(nets.unpatchify(p, side, grid) - low) / (high - low) for p in (painted, whole)]
    return {
        "seen": nets.unpatchify(pixels, side, grid),
        "network": scaled[0].clamp(0, 1),
        "there": scaled[1].clamp(0, 1),
        "error": losses.squared_error(said, truth).item(),
        "blind": losses.squared_error(blind, truth).item(),
    }
