"""A map of an encoder's embeddings: choose a picture, see its nearest neighbours, find the mistakes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from ipywidgets import HBox, IntSlider, Layout, ToggleButtons, VBox
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

from sslkit import device as devices
from sslkit import evaluate, nets, plots
from sslkit.augment import to_float
from sslkit.data import Split, draw_labels
from sslkit.widgets.panel import Drawing, Panel, Raster, hint, pixels, row, said

MOST = 1000  # pictures: with more, t-SNE takes minutes and the map is a blot
GRID = 16  # the map is clicked in GRID × GRID fields
MARKERS = "osD^v<>PXhd"  # eleven shapes and ten colours: a pair of them is not seen twice below 110 groups
NAMED = 20  # groups that a legend has room for
CROWD = 10  # clusters, where no classes say how many
STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1)}


def explore_embedding(
    encoder: nets.Encoder,
    split: Split,
    known: Split | None = None,
    n: int = 500,
    per_class: int = 10,
    k: int = 8,
    block: int = -1,
    seed: int = 0,
) -> Panel:
    """See `n` pictures of a split as an encoder embeds them, on a map, and each with its `k` nearest neighbours.

    Choose a picture with a click on the map, with the slider or with the buttons. Colour the map by label, by cluster
    (k-means) or, where `known` is given, by the mistakes of a linear probe on `per_class` labels a class from it.
    The embeddings come from one `block`, by default the last, and their rows are scaled to length one.

    `encoder` is from checkpoint.load_encoder(path), or any other; `split` from data.load(name, split), with labels or
    without. Raises TypeError for another encoder, ValueError for clips, for other channels than the encoder's, for n
    outside 3 … 1000, and for a `known` that is the same split, or has other classes.
    """
    if not isinstance(encoder, nets.Encoder):
        raise TypeError(
            f"explore_embedding needs an encoder of images; got {type(encoder).__name__}. "
            "Load one: checkpoint.load_encoder(path), or give a method's: method.encoder."
        )
    _check(encoder, split, known, n)
    labelled = split.labelled and bool((split.labels >= 0).any())
    place = (split.labels >= 0).nonzero().flatten() if labelled else torch.arange(len(split))
    order = torch.randperm(len(place), generator=devices.generator(seed))[:n].sort().values
    chosen = split.subset(place.cpu()[order])
    images = chosen.images[:]
    z = evaluate.embed(encoder, images, block).cpu()
    predicted, told = None, ""
    if known is not None and labelled:
        few = known.subset(draw_labels(known, per_class, seed))
        x = evaluate.embed(encoder, few.images[:], block)
        probe = evaluate.Probe(x, few.labels.to(x.device), len(known.classes))
        predicted, told = probe(z.to(x.device)).argmax(dim=1).cpu(), f"{per_class} labels a class"
    state = Explorer(
        z,
        to_float(images.cpu()),
        chosen.labels.cpu() if labelled else None,
        split.classes if labelled else (),
        predicted,
        sources=chosen.sources.cpu(),
        k=k,
        seed=seed,
        told=told,
    )
    return _panel(state)


def _check(encoder: nets.Encoder, split: Split, known: Split | None, n: int) -> None:
    if split.images.ndim != 4:
        raise ValueError(
            f"explore_embedding shows images (N, C, H, W); {split.name}/{split.split} holds clips "
            f"{tuple(split.images.shape)}. Take one frame of each: dataclasses.replace(split, images="
            "split.images[:, 0]), and an encoder of single frames."
        )
    wanted, there = encoder.config().get("channels", 3), split.images.shape[1]
    if wanted != there:
        raise ValueError(
            f"the encoder reads images of {wanted} channels, and those of {split.name}/{split.split} have {there}. "
            "Take an encoder that was trained on such images."
        )
    if not 3 <= n <= MOST:
        raise ValueError(f"n is {n}; expected 3 to {MOST} pictures, as many as a map can show.")
    if known is None:
        return
    if (known.name, known.split) == (split.name, split.split):
        raise ValueError(
            f"known and split are both {split.name}/{split.split}: the probe would be asked what it was told. "
            'Give another split: data.load(name, "train").'
        )
    if known.classes != split.classes:
        raise ValueError(
            f"known has the classes {known.classes}, and split {split.classes}: the probe's answers would mean "
            "something else. Give a split of the same data set, with labels."
        )


def _panel(state: Explorer) -> Panel:
    choice = {"layout": Layout(width="auto"), "style": {"button_width": "auto", "description_width": "initial"}}
    kind = ToggleButtons(options=["PCA", "t-SNE"], description="map", **choice)
    colour = ToggleButtons(options=state.colours, description="colour", **choice)
    look = ToggleButtons(options=["points", "thumbnails"], description="shown as", **choice)
    slider = IntSlider(
        description="picture",
        min=1,
        max=len(state.images),
        continuous_update=False,  # see plane.py: what a button sets would come back late, after the next button
        layout=Layout(width="30em", max_width="100%"),
        style={"description_width": "initial"},
    )
    board = Raster(GRID, "here", width=432)
    for cell in board.cells:
        cell.tabbable = False  # 256 stops between the keyboard and the next control; the arrows do the same

    def draw() -> Drawing:
        slider.value, kind.value, colour.value = state.index + 1, state.map, state.colour
        look.value = "thumbnails" if state.thumbnails else "points"
        here = state.field_of(state.index)
        board.show(state.map_picture(), (field == here for field in range(GRID**2)))
        return state.close_up(), state.sentence()

    panel = Panel(draw, still=state.draw)

    def change_map() -> None:
        if kind.value not in state.maps:
            panel.sentence.value = said(f"t-SNE of {len(state.images)} pictures takes some seconds …")
        state.map = kind.value

    panel.react(kind, change_map)
    panel.react(colour, lambda: setattr(state, "colour", colour.value))
    panel.react(look, lambda: setattr(state, "thumbnails", look.value == "thumbnails"))
    panel.react(slider, lambda: setattr(state, "index", slider.value - 1))
    for place, cell in enumerate(board.cells):
        panel.react(cell, partial(state.click, place))
    buttons = panel.pager(state)
    if state.predicted is not None:
        buttons.append(panel.button("next mistake", state.next_mistake))
    arrows = [panel.button(name, partial(state.step, *by)) for name, by in STEPS.items()]
    line = hint("Click on the map, or go on with the buttons. A click on the same place goes on to the next one there.")
    views = HBox([board, panel.picture], layout=Layout(flex_flow="row wrap"))
    panel.picture.layout.min_width = "26em"
    controls = VBox([HBox([kind, colour, look], layout=Layout(flex_flow="row wrap")), slider])
    return panel.lay_out(line, controls, row([*buttons, *arrows]), views, panel.sentence)


class Explorer:
    """Embeddings and their pictures, a map of them, its colours, and which picture is looked at.

    Shapes: z (N, D); images float in [0, 1], (N, C, H, W); labels and predicted int64 (N,), or None; sources int64
            (N,), the original behind each image: one of the same original does not count as a neighbour.
    """

    def __init__(
        self,
        z: Tensor,
        images: Tensor,
        labels: Tensor | None = None,
        classes: Sequence[str] = (),
        predicted: Tensor | None = None,
        sources: Tensor | None = None,
        k: int = 8,
        seed: int = 0,
        told: str = "",
    ):
        if z.ndim != 2 or len(z) != len(images) or len(z) < 3:
            raise ValueError(
                f"expected embeddings (N, D) of N images, at least three; got {tuple(z.shape)} and {len(images)}."
            )
        if not z.isfinite().all():
            raise ValueError("the embeddings hold NaN or infinity: the encoder's training has diverged. Train it anew.")
        self.z, self.images, self.seed, self.told = F.normalize(z.float(), dim=1), images, seed, told
        self.labels, self.classes, self.predicted = labels, tuple(classes), predicted
        sources = torch.arange(len(z)) if sources is None else sources
        similarity = (self.z @ self.z.T).masked_fill(sources[:, None] == sources, -math.inf)
        most = int(similarity.isfinite().sum(dim=1).min())
        if not 1 <= k <= most:
            raise ValueError(f"k is {k}; expected 1 to {most} neighbours, as many as every picture has here.")
        self.similarity, self.neighbours = similarity.topk(k, dim=1)  # (N, k) each
        self.composites = len(sources.unique()) < len(sources)
        self.clusters = self._clusters(min(len(self.classes) or CROWD, len(z)))
        self.colours = [name for name, has in (("label", labels is not None), ("cluster", True)) if has]
        self.colours += ["error"] * (predicted is not None)
        self.colour, self.thumbnails, self.index = self.colours[0], False, 0
        self.maps: dict[str, Tensor] = {}
        self.map = "PCA"
        self._fault = evaluate.collapsed(self.z).split(". ")[0]

    def _clusters(self, count: int) -> Tensor:
        """k-means; numbered by size, the largest first, so that the numbers say something."""
        from sklearn.cluster import KMeans

        rows = self.z.unique(dim=0)  # of fewer different rows no more clusters can be made
        found = KMeans(min(count, len(rows)), n_init=4, random_state=self.seed).fit_predict(self.z.double().numpy())
        sizes = np.bincount(found)
        return torch.from_numpy(np.argsort(np.argsort(-sizes, kind="stable"))[found].astype(np.int64))

    @property
    def map(self) -> str:
        """ "PCA" or "t-SNE"."""
        return self._map

    @map.setter
    def map(self, name: str) -> None:
        if name not in self.maps:
            self.maps[name] = self._pca() if name == "PCA" else self._tsne()
        self._map = name

    def _pca(self) -> Tensor:
        centred = (self.z - self.z.mean(dim=0)).double()
        u, s, _ = torch.linalg.svd(centred, full_matrices=False)
        self.held = float(s[:2].square().sum() / s.square().sum().clamp(min=1e-12))  # share of the variance
        points = (u * s)[:, :2]
        signs = points.gather(0, points.abs().argmax(dim=0, keepdim=True)).sign()  # the farthest point is on the right
        return F.pad(points * torch.where(signs == 0, 1.0, signs), (0, 2 - points.shape[1]))

    def _tsne(self) -> Tensor:
        from sklearn.manifold import TSNE

        perplexity = min(30, (len(self.z) - 1) / 3)
        start = self.maps["PCA"].numpy()
        start = 1e-4 * start / max(start[:, 0].std(), 1e-12)
        made = TSNE(2, perplexity=perplexity, init=start.astype(np.float32), random_state=self.seed)
        return torch.from_numpy(made.fit_transform(self.z.numpy())).double()

    @property
    def points(self) -> Tensor:
        """(N, 2), the map in [0, 1]², with room at the edges."""
        points = self.maps[self.map]
        low, high = points.min(dim=0).values, points.max(dim=0).values
        return 0.04 + 0.92 * (points - low) / (high - low).clamp(min=1e-12)

    @property
    def mistaken(self) -> Tensor:
        """Which pictures the probe takes for another class, bool (N,)."""
        if self.predicted is None or self.labels is None:
            return torch.zeros(len(self.z), dtype=torch.bool)
        return self.predicted != self.labels

    def field_of(self, i: int) -> int:
        """The field of the map, row by row from above, in which a picture lies."""
        return int(self._fields()[i])

    def _fields(self) -> Tensor:
        column, line = (self.points * GRID).long().clamp(0, GRID - 1).unbind(dim=1)
        return (GRID - 1 - line) * GRID + column

    def click(self, field: int) -> None:
        """The next picture in this field of the map; where there is none, the one that is nearest to its middle."""
        inside = (self._fields() == field).nonzero().flatten().tolist()
        if not inside:
            line, column = divmod(field, GRID)
            middle = torch.tensor([column + 0.5, GRID - 0.5 - line], dtype=torch.float64) / GRID
            self.index = int((self.points - middle).norm(dim=1).argmin())
        else:
            at = inside.index(self.index) + 1 if self.index in inside else 0
            self.index = inside[at % len(inside)]

    def step(self, across: int, up: int) -> None:
        """To the nearest picture on this side of the map, at most 45 degrees off; if there is none, stay."""
        away = self.points - self.points[self.index]
        ahead = across * away[:, 0] + up * away[:, 1]
        beside = (up * away[:, 0]).abs() + (across * away[:, 1]).abs()
        allowed = (ahead > 0) & (beside <= ahead)
        if allowed.any():
            self.index = int(away.norm(dim=1).masked_fill(~allowed, math.inf).argmin())

    def next_mistake(self) -> None:
        """On to the next picture that the probe gets wrong; if there is none, stay."""
        order = (torch.arange(len(self.z)) + self.index + 1) % len(self.z)
        wrong = order[self.mistaken[order]]
        self.index = int(wrong[0]) if len(wrong) else self.index

    # ------------------------------------------------------------------------------------------------------- in words

    def name(self, i: int) -> str:
        """The label of a picture; without labels its cluster."""
        return f"cluster {self.clusters[i] + 1}" if self.labels is None else self.classes[int(self.labels[i])]

    def agreement(self) -> Tensor:
        """How many of the k neighbours are of the picture's own class, or, without labels, cluster: int64 (N,)."""
        own = self.clusters if self.labels is None else self.labels
        return (own[self.neighbours] == own[:, None]).sum(dim=1)

    def by_chance(self) -> float:
        """The share of pairs of two pictures that are of one class, or cluster."""
        counts = torch.bincount(self.clusters if self.labels is None else self.labels).double()
        n = len(self.z)
        return float((counts * (counts - 1)).sum() / (n * (n - 1)))

    def sentence(self) -> str:
        i, k = self.index, self.neighbours.shape[1]
        agree, what = self.agreement(), "label" if self.labels is not None else "cluster"
        text = f"Picture {i + 1} of {len(self.z)}, {'label ' * (what == 'label')}{self.name(i)}. "
        text += f"{int(agree[i])} of its {k} nearest neighbours have the same {what}; over all pictures "
        text += f"{agree.double().mean() / k:.2f} of the neighbours have, and by chance {self.by_chance():.2f}. "
        if self.predicted is not None:
            answer = self.classes[int(self.predicted[i])]
            text += f"The probe on {self.told or 'few labels'} says {answer}: "
            text += f"{'wrong' if self.mistaken[i] else 'right'}; it is wrong on {int(self.mistaken.sum())} of them. "
        if self.labels is None:
            text += "There are no labels, so the colour shows the clusters of k-means. "
        if self.composites:
            text += "Pictures made from the same original do not count as neighbours. "
        if self.map == "PCA":
            text += f"The two directions of the map hold {self.held:.0%} of the variance; neighbours are found in all."
        else:
            text += "t-SNE keeps near ones near; how far apart two groups lie on it says little."
        return f"{text} Beware, {self._fault}." if self._fault else text

    # ------------------------------------------------------------------------------------------------------- pictures

    def groups(self) -> tuple[Tensor, list[str]]:
        """What the colour shows: the group of each picture, int64 (N,), and the groups' names."""
        if self.colour == "error":
            return self.mistaken.long(), ["right", "wrong"]
        if self.colour == "label" and self.labels is not None:
            return self.labels, list(self.classes)
        return self.clusters, [str(c + 1) for c in range(int(self.clusters.max()) + 1)]

    def look(self, group: int, name: str) -> tuple[str, str]:
        """The colour and the marker of a group: short names are drawn themselves."""
        if self.colour == "error":
            return ((plots.RANDOM, "."), (plots.SUPERVISED, "X"))[group]
        marker = f"${name}$" if len(name) <= 2 and name.isalnum() else MARKERS[group % len(MARKERS)]
        return plots.CLASSES[group % len(plots.CLASSES)], marker

    def map_on(self, axis: Axes) -> None:
        """The map on an axis that shows [0, 1]²."""
        points, (group, names) = self.points.numpy(), self.groups()
        side, near = 0.075, self.neighbours[self.index].tolist()
        shown = plots.apart(points, [self.index], near, side) if self.thumbnails else []
        for g, name in enumerate(names):
            mine = np.setdiff1d(np.flatnonzero(group.numpy() == g), shown)
            tint, marker = self.look(g, name)
            size = 10 if self.thumbnails else 60
            x, y = points[mine].T
            axis.scatter(x, y, s=size, marker=marker, color=tint, linewidths=0.3, zorder=2 + g / 100)
        for i in shown:
            (x, y), half = points[i], side / 2
            extent = (x - half, x + half, y - half, y + half)
            axis.imshow(pixels(self.images[i]), cmap="gray", vmin=0, vmax=255, extent=extent, zorder=4)
            tint = self.look(int(group[i]), names[int(group[i])])[0]
            axis.add_patch(
                plots.Rectangle((x - half, y - half), side, side, fill=False, edgecolor=tint, linewidth=2, zorder=5)
            )
        for j in near:
            axis.plot(*points[[self.index, j]].T, color=plots.ACCENT, linewidth=1.2, zorder=3)
        x, y = points[[self.index]].T
        ring = axis.plot(x, y, "o", fillstyle="none", color="black", markeredgewidth=2.5, zorder=6)
        ring[0].set_markersize(30 if self.thumbnails else 17)
        axis.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")

    def map_picture(self) -> Tensor:
        """The map alone, float (3, S, S), to lie under the fields that are clicked."""
        figure = plots.Figure(figsize=(6, 6))
        figure.palette = not self.thumbnails
        axis = figure.add_axes((0, 0, 1, 1))
        self.map_on(axis)
        picture = Image.open(io.BytesIO(figure._repr_png_())).convert("RGB")
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255

    def _close_up_on(self, figure) -> None:
        """The chosen picture, its neighbours, and what the colours of the map mean."""
        k, i = self.neighbours.shape[1], self.index
        columns = min(4, k)
        lines = -(-k // columns)
        top, bottom = figure.subfigures(2, 1, height_ratios=(4, 1))
        left, right = top.subfigures(1, 2, width_ratios=(1, 1.5))
        name = f"{i + 1}: {self.name(i)}"
        if self.predicted is not None:
            name += f"\nprobe: {self.classes[int(self.predicted[i])]}"
        self._show(left.subplots(), i, name, 13)
        axes = right.subplots(lines, columns, squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        own = self.clusters if self.labels is None else self.labels
        for axis, j, cosine in zip(axes.flat, self.neighbours[i].tolist(), self.similarity[i].tolist()):
            short = f"{self.clusters[j] + 1}" if self.labels is None else self.name(j)
            same = "=" if own[j] == own[i] else "≠"
            self._show(axis, j, f"{same} {short[:9]}\n{cosine:.2f}", 11)
        right.suptitle(
            "nearest neighbours: label, cosine" if self.labels is not None else "neighbours: cluster, cosine"
        )
        self._legend_on(bottom)

    def _show(self, axis: Axes, i: int, title: str, size: int) -> None:
        axis.imshow(pixels(self.images[i]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title, fontsize=size)
        axis.axis("off")

    def _legend_on(self, figure) -> None:
        axis = figure.subplots()
        axis.axis("off")
        _, names = self.groups()
        if len(names) > NAMED:
            axis.text(0, 0.5, f"{len(names)} groups: a colour and a shape each", fontsize=11)
            return
        if all(self.look(g, name)[1].startswith("$") for g, name in enumerate(names)):
            own = "label" if self.colour == "label" else "cluster's number"
            axis.text(0.5, 0.5, f"on the map, each picture is drawn as its {own}", fontsize=12, ha="center")
            return
        for g, name in enumerate(names):
            tint, marker = self.look(g, name)
            axis.scatter([], [], s=60, marker=marker, color=tint, label=name[:14], linewidths=0.3)
        longest = max(map(len, names))
        settings = {"ncols": max(1, min(len(names), 45 // (min(longest, 14) + 5))), "columnspacing": 1.0}
        axis.legend(title=f"colour: {self.colour}", loc="center", frameon=False, fontsize=11, **settings)

    def close_up(self) -> plots.Figure:
        figure = plots.Figure(figsize=(6.2, 4.6), layout="constrained")
        figure.palette = False
        self._close_up_on(figure)
        return figure

    def draw(self) -> Drawing:
        figure = plots.Figure(figsize=(11.2, 4.9), layout="constrained")  # stored, so with a palette
        left, right = figure.subfigures(1, 2, width_ratios=(4.6, 6.2), squeeze=False)[0]
        axis = left.subplots()
        self.map_on(axis)
        axis.set_title(f"{self.map} map, colour: {self.colour}", fontsize=13)
        self._close_up_on(right)
        return figure, self.sentence()
