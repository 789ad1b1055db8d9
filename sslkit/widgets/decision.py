"""A threshold over the distances of pairs: the same, or not?"""

from __future__ import annotations

import math

import torch
from ipywidgets import FloatSlider, Layout
from torch import Tensor

from sslkit import device as devices
from sslkit import methods, pairs, plots
from sslkit.widgets.panel import Drawing, Panel, hint, pixels, ready, row


def same_or_not(method: methods.Siamese, images: Tensor) -> Panel:
    """Move a threshold over the distances of pairs, and see which pairs it gets wrong.

    The pairs are made as in training, out of two views of each image: half of one image, half of two. At first the
    threshold is the one with which most of them are right.

    Shapes and errors: as for fill_hole; the method is a Siamese, and there are at least two images.
    """
    state = Decision(*ready("same_or_not", method, images, methods.Siamese))
    slider = FloatSlider(
        description="threshold (distance)",
        max=math.ceil(100 * state.distance.max().item() + 1) / 100,
        step=0.01,
        continuous_update=False,  # see plane.py: what a button sets would come back late, and rounded
        layout=Layout(width="36em", max_width="100%"),
        style={"description_width": "initial"},
    )

    def draw() -> Drawing:
        slider.value = round(state.threshold, 2)
        return state.draw()

    panel = Panel(draw, still=state.draw)
    panel.react(slider, lambda: state.to(slider.value))
    buttons = [*panel.pager(state, "pair"), panel.button("next mistake", state.next_mistake)]
    buttons += [panel.button("best threshold", state.choose)]
    line = hint("A pair at a distance below the threshold is taken for two views of the same image.")
    return panel.lay_out(line, slider, row(buttons), panel.picture, panel.sentence)


class Decision:
    """Pairs of views, how far apart their embeddings are, which pair is looked at, and the threshold."""

    def __init__(self, net: methods.Siamese, images: Tensor, seed: int = 0):
        generator = devices.generator(seed, images.device)
        first, second = net.augment(images, generator), net.augment(images, generator)
        self.first, self.second, same = pairs.pairs(first, second, generator)
        with torch.no_grad():
            z_a, z_b = net.embed(self.first), net.embed(self.second)
        self.distance, self.same = torch.linalg.vector_norm(z_a - z_b, dim=1).cpu(), same.cpu()
        self.images, self.index, self.threshold = self.first, 0, 0.0
        self.choose()

    def to(self, threshold: float) -> None:
        if round(threshold, 2) != round(self.threshold, 2):  # else it is what the slider was set to, sent back
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
            axis.imshow(pixels(picture), cmap="gray", vmin=0, vmax=255)
            axis.set_title(name, fontsize=12)
            axis.axis("off")
        plots.distance_histogram(histogram, self.distance, same, self.threshold)
        here = {"marker": "v", "color": plots.ACCENT, "markersize": 11, "linestyle": "", "label": "this pair"}
        histogram.plot([self.distance[i]], [0.06], transform=histogram.get_xaxis_transform(), clip_on=False, **here)
        histogram.legend(frameon=False, fontsize=9)
        histogram.set_title(f"distance {self.distance[i]:.2f}; below the line: taken for the same", fontsize=12)
        return figure, said
