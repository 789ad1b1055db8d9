"""Tensors -> matplotlib figures. Nothing here trains or shows: the last line of a cell shows its figure."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle, pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as _Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from sslkit import losses, pairs
from sslkit.augment import to_float

# The course's colours, safe for the colour-blind (Okabe and Ito 2008): one meaning each, in every figure.
RANDOM, SUPERVISED, SSL, ACCENT = "#767676", "#D55E00", "#0072B2", "#009E73"
BLUES = (SSL, "#3D8FC9", "#003F63", "#5B7FBF")  # several self-supervised methods in one figure
# Ten classes in the plane: each at least 3 : 1 against white, as a thin glyph needs.
CLASSES = ("#1F77B4", "#C85A00", "#2A8C2A", "#D62728", "#9467BD", "#8C564B", "#C9519E", "#6E6E6E", "#857F00", "#0E8A99")
TRIPLET = {"A": "#000000", "P": SSL, "N": CLASSES[4]}  # the three points of a triplet, wherever they are drawn
STYLE = {  # a curve's look by what it measures: (colour, marker, line)
    "chance": (RANDOM, "", ":"),
    "pixels": (RANDOM, "x", "--"),
    "random": (RANDOM, "o", "-"),
    "supervised": (SUPERVISED, "s", "-"),
    "supervised, weak": (SUPERVISED, "v", "--"),
    "copy-last": (RANDOM, "o", "-"),
    "linear": (RANDOM, "x", "--"),
    "mean": (RANDOM, "v", ":"),
    "TF-IDF": (RANDOM, "x", "--"),
    "bag of words": (RANDOM, "v", ":"),
    "random, vit": (RANDOM, "^", "-"),
    "supervised, vit": (SUPERVISED, "^", "-"),
}


class Figure(_Figure):
    """A figure that a notebook shows by itself, without pyplot, which keeps figures and is not thread-safe."""

    palette = True  # 256 colours are plenty for a drawing, and take a third of the bytes

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
        if self.palette:
            picture = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
            buffer = io.BytesIO()
            picture.save(buffer, format="png", optimize=True)
        return buffer.getvalue()


def colour(name: str) -> str:
    """Grey for what has learned nothing, orange for supervised, blue for self-supervised."""
    return STYLE.get(name, (SSL,))[0]


def image_grid(
    images: Tensor, titles: Sequence[str] = (), columns: int = 8, size: float = 1.1, rows: Sequence[str] = ()
) -> Figure:
    """Images (N, C, H, W), uint8 or in [0, 1], in rows of `columns`; `titles` above each, `rows` beside each row."""
    pictures = to_float(images.cpu()).permute(0, 2, 3, 1).clamp(0, 1).float().numpy()
    columns = min(columns, len(pictures))
    lines = -(-len(pictures) // columns)
    figure = Figure(
        figsize=(size * columns + (1.3 if rows else 0), (size + (0.25 if titles else 0)) * lines), layout="constrained"
    )
    figure.palette = False  # photographs have more colours
    axes = figure.subplots(lines, columns, squeeze=False)
    for i, axis in enumerate(axes.flat):
        axis.set_xticks([])
        axis.set_yticks([])
        if i >= len(pictures):
            axis.axis("off")
            continue
        axis.imshow(pictures[i].squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if titles:
            axis.set_title(titles[i], fontsize=10)
        if rows and i % columns == 0:
            axis.set_ylabel(rows[i // columns], rotation=0, ha="right", va="center", fontsize=10)
    return figure


Look = tuple[str | None, str, str]  # of a curve: colour, marker, line; without a colour the next blue is taken


def label_efficiency(
    curves: Mapping[str, Mapping[int, object]],
    classes: int | None = 10,
    title: str = "",
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Accuracy over the number of labels a class, one curve a method: mean, and a band of one standard deviation.

    `curves[name][labels]` is a `Score`, or a row of the scoreboard. `looks[name]`, where it is given, takes the place
    of the course's look for that name. `classes` draws the level of chance, and None leaves it out.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    _curves_on(axis, curves, looks)
    if classes is not None:
        axis.axhline(1 / classes, color=RANDOM, linestyle=":", label="chance")
    counts = sorted({k for points in curves.values() for k in points})
    axis.set_xscale("log")
    axis.set_xticks(counts, [str(k) for k in counts])
    axis.minorticks_off()
    axis.set(xlabel="labels a class", ylabel="test accuracy", ylim=(0, 1), title=title)
    axis.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    _plain(axis)
    return figure


def bars(
    values: Mapping[str, object], chance: float | None = None, xlabel: str = "test accuracy", title: str = ""
) -> Figure:
    """One horizontal bar a name, with its value written beside it. A value is a number, a `Score` or a row."""
    names = list(values)
    mean, std = np.array([_mean_std(v) for v in values.values()]).T
    figure = Figure(figsize=(6.4, 0.5 + 0.45 * len(names) + 0.4), layout="constrained")
    axis = figure.subplots()
    axis.barh(
        names, mean, xerr=std, color=[colour(n) for n in names], error_kw={"ecolor": "black", "capsize": 3, "lw": 1}
    )
    for i, (m, s) in enumerate(zip(mean, std, strict=True)):
        axis.annotate(f"{m:.2f}", (m + s, i), (6, 0), textcoords="offset points", va="center", fontsize=10)
    if chance is not None:
        axis.axvline(chance, color="black", linestyle=":", linewidth=1)
        axis.text(chance, -0.5, "chance", ha="center", va="bottom", fontsize=8)
    axis.invert_yaxis()
    axis.set(xlabel=xlabel, xlim=(0, max(1.0, float((mean + std).max()) * 1.15)), title=title)
    _plain(axis)
    axis.grid(axis="y", visible=False)
    return figure


def by_block(curves: Mapping[str, Sequence[object]], chance: float | None = None, title: str = "") -> Figure:
    """Accuracy of a probe on each block by itself, first to last; one curve an encoder, with a band of one std.

    `curves[name]` is a list of `Score`s or rows, one for each block.
    """
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axis = figure.subplots()
    _curves_on(axis, {name: dict(enumerate(blocks, start=1)) for name, blocks in curves.items()})
    if chance is not None:
        axis.axhline(chance, color=RANDOM, linestyle=":", label="chance")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="block", ylabel="test accuracy", ylim=(0, 1), title=title)
    axis.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    _plain(axis)
    return figure


MODES = {"frozen": (SSL, "o", "-"), "fine-tuned": (BLUES[1], "s", "--"), "gradual": (BLUES[2], "^", "-.")}


def by_depth(measured: Mapping[str, Any], sources: Sequence[str], at: tuple[int, str] | None = None) -> Figure:
    """Test accuracy over the number of layers that were copied: a panel for each source, a curve for each mode.

    `measured` has a row, with "mean" and "std", for "scratch" (nothing copied) and for each f"{source}-{n}-{mode}";
    also for the source "random", frozen. `at` marks the point of so many layers and a mode.
    """
    figure = Figure(figsize=(0.9 + 3.1 * len(sources), 3.6), layout="constrained")
    axes = figure.subplots(1, len(sources), sharey=True, squeeze=False)[0]

    def curve(source: str, mode: str) -> dict[int, Any]:
        rows = {n: measured.get(f"{source}-{n}-{mode}") for n in range(1, 10)}
        return {0: measured["scratch"], **{n: row for n, row in rows.items() if row}}

    for axis, source in zip(axes, sources):
        scratch = measured["scratch"]["mean"]
        axis.axhline(scratch, color=SUPERVISED, linewidth=1, linestyle=":")
        lines = {"random, frozen": ("random", "frozen", (RANDOM, "x", "-"))}
        lines |= {mode: (source, mode, look) for mode, look in MODES.items()}
        for label, (start, mode, (tint, marker, line)) in lines.items():
            rows = curve(start, mode)
            mean, std = np.array([_mean_std(row) for row in rows.values()]).T
            axis.plot(list(rows), mean, color=tint, marker=marker, linestyle=line, markersize=5, label=label)
            axis.fill_between(list(rows), mean - std, mean + std, color=tint, alpha=0.12, linewidth=0)
        axis.plot([0], [scratch], color=SUPERVISED, marker="s", markersize=8, linestyle="", label="nothing copied")
        if at is not None:
            n, mode = at
            place = [n], [curve(source, mode)[n]["mean"]]
            axis.plot(*place, "o", markersize=15, fillstyle="none", color="black", mew=2, clip_on=False)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(xlabel="layers copied", title=source, ylim=(0, 1))
        _plain(axis)
    axes[0].set_ylabel("test accuracy")
    axes[-1].legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def loss_curve(
    history: Sequence[dict], chance: float | None = None, ylabel: str = "loss (nats)", title: str = ""
) -> Figure:
    """The training loss by epoch, with the validation loss where there is one, and the level of knowing nothing."""
    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axis = figure.subplots()
    epochs = [r["epoch"] for r in history]
    axis.plot(epochs, [r["loss"] for r in history], color=SSL, marker="o", markersize=3, label="training")
    if history and "validation_loss" in history[0]:
        axis.plot(epochs, [r["validation_loss"] for r in history], color=BLUES[1], linestyle="--", label="validation")
    if chance is not None:
        axis.axhline(chance, color=RANDOM, linestyle=":", label="knows nothing")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="epoch", ylabel=ylabel, title=title, ylim=(0, None))
    axis.legend(frameon=False, fontsize=9)
    _plain(axis)
    return figure


def perplexity_by_context(
    network: Mapping[int, float], levels: Mapping[str, float], spread: Mapping[int, float] | None = None
) -> Figure:
    """The perplexity of a network over its k words of context, with the levels of other models as dotted lines."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axis = figure.subplots()
    k = sorted(network)
    error = None if spread is None else [spread[i] for i in k]
    axis.errorbar(k, [network[i] for i in k], error, color=SSL, marker="D", markersize=5, capsize=3, label="network")
    for name, level in levels.items():
        axis.axhline(level, color=RANDOM, linestyle=":")
        axis.text(1.01, level, name, ha="left", va="center", fontsize=9, transform=axis.get_yaxis_transform())
    axis.set_xscale("log", base=2)
    axis.set_xticks(k, [str(i) for i in k])
    axis.minorticks_off()
    axis.set(xlabel="words of context, k", ylabel="perplexity on val", ylim=(0, 1.1 * max(levels.values())))
    _plain(axis)
    return figure


def confusion(
    target: Tensor,
    predicted: Tensor,
    classes: Sequence[str],
    title: str = "",
    answers: Sequence[str] = (),
    axes: tuple[str, str] = ("taken for", "is really"),
) -> Figure:
    """The share of each true class (row) that was taken for each class (column), or got each of the `answers`."""
    answers = answers or classes
    n, m = len(classes), len(answers)
    counts = torch.bincount(target.cpu() * m + predicted.cpu(), minlength=n * m).view(n, m).float()
    share = (counts / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    figure = Figure(figsize=(max(1.2 + 0.42 * m, 2.9), 0.9 + 0.42 * n), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(n, m):
        if share[i, j] >= 0.05:
            axis.text(
                j,
                i,
                f"{100 * share[i, j]:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share[i, j] > 0.5 else "black",
            )
    axis.set_xticks(range(m), answers)
    axis.set_yticks(range(n), classes)
    axis.set(xlabel=axes[0], ylabel=axes[1], title=title or "percent of each class")
    return figure


def scatter(
    points: Tensor | np.ndarray,
    labels: Tensor,
    classes: Sequence[str],
    title: str = "",
    axes: tuple[str, str] = ("x", "y"),
) -> Figure:
    """Points (N, 2) in the plane, each drawn as the name of its class, in the colour of its class."""
    figure = Figure(figsize=(5.6, 5.0), layout="constrained")
    axis = figure.subplots()
    _scatter_on(axis, np.asarray(points), labels.cpu().numpy(), classes)
    axis.set(title=title, xlabel=axes[0], ylabel=axes[1])
    return figure


def scatter_pair(left, right, labels: Tensor, classes: Sequence[str], titles: tuple[str, str]) -> Figure:
    """Two maps of the same images beside each other, such as before and after training."""
    figure = Figure(figsize=(10.4, 4.8), layout="constrained")
    for axis, points, title in zip(figure.subplots(1, 2), (left, right), titles, strict=True):
        _scatter_on(axis, np.asarray(points), labels.cpu().numpy(), classes)
        axis.set(title=title, xlabel="first component", ylabel="second component")
    return figure


def embedding_map(
    maps: Mapping[str, Tensor | np.ndarray],
    images: Tensor,
    marked: Sequence[int] = (),
    neighbours: Mapping[str, Tensor] | None = None,
    size: int = 20,
) -> Figure:
    """Maps of the same images side by side, such as before and after training: each image stands at its point.

    Where a picture would cover another one it is left out, and a grey dot stands for it. `marked` images are always
    shown, in a frame, and joined by lines to their nearest neighbours, `neighbours[name]`, one row for each of them.
    Take these from the embedding: a plane that D dimensions were pressed into keeps only some of them near.

    Shapes: maps[name] (N, 2), images (N, C, H, W), neighbours[name] int64 (len(marked), k); `size` in pixels.
    """
    lines = neighbours or {}
    side = 400  # pixels of a panel, so that a picture's pixels are the screen's
    figure = Figure(figsize=(0.2 + side / 100 * len(maps), 0.4 + side / 100), layout="constrained")
    pictures = to_float(images.cpu()).permute(0, 2, 3, 1).clamp(0, 1).float().numpy()
    for axis, (name, points) in zip(figure.subplots(1, len(maps), squeeze=False).flat, maps.items(), strict=True):
        points = np.asarray(points, dtype=float)
        if points.shape != (len(images), 2):
            raise ValueError(
                f"the map {name!r} has points {points.shape}; expected ({len(images)}, 2), one for each image. "
                "Bring the embeddings into the plane first, with PCA or t-SNE."
            )
        low, high = points.min(axis=0), points.max(axis=0)
        at = size + (side - 2 * size) * (points - low) / np.maximum(high - low, 1e-12)
        near = lines[name].tolist() if name in lines else [[]] * len(marked)
        shown = apart(at, marked, [j for row in near for j in row], size)
        rest = np.setdiff1d(np.arange(len(at)), shown)
        axis.scatter(*at[rest].T, s=5, color=RANDOM, linewidths=0)
        for i, row in zip(marked, near, strict=True):
            for j in row:
                axis.plot(*at[[i, j]].T, color=ACCENT, linewidth=1.5, zorder=1)
        for i in shown:
            (x, y), half = at[i], size / 2
            extent = (x - half, x + half, y - half, y + half)
            axis.imshow(pictures[i].squeeze(), cmap="gray", vmin=0, vmax=1, extent=extent, zorder=2)
            if i in marked:
                frame = Rectangle((x - half, y - half), size, size, fill=False, color=ACCENT, linewidth=2.5, zorder=4)
                axis.add_patch(frame)
        axis.set(title=name, xlim=(0, side), ylim=(0, side), xlabel="first direction", ylabel="second direction")
        axis.set(xticks=[], yticks=[], aspect="equal")
    return figure


def apart(at: np.ndarray, always: Sequence[int], first: Sequence[int], size: float) -> list[int]:
    """Which of the points can be shown as squares of `size` that do not overlap; these always, and those first."""
    shown = list(always)
    for i in (*first, *range(len(at))):
        if all(np.abs(at[i] - at[j]).max() >= size for j in shown):
            shown.append(i)
    return shown


def triplet_plane(
    anchor: Sequence[float], positive: Sequence[float], negative: Sequence[float], margin: float = 1.0
) -> Figure:
    """An anchor A, a positive P and a negative N in the plane, and where the margin puts the negative.

    Nearer than P a negative is hard; in the ring of width `margin` around that it is semi-hard; outside it is easy, and
    its loss is 0. An arrow shows where a point is moved: along the negative gradient, half of its length.
    """
    points = [torch.tensor([[*point]], dtype=torch.float64) for point in (anchor, positive, negative)]
    loss, moves = pairs.arrows(partial(losses.triplet, margin=margin), *points)
    a, p, n = ((x, y) for x, y in (point[0].tolist() for point in points))
    near = float(np.hypot(a[0] - p[0], a[1] - p[1]))
    figure = Figure(figsize=(5.4, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.add_patch(Circle(a, near + margin, color=RANDOM, alpha=0.15, linewidth=0))
    axis.add_patch(Circle(a, near, color=RANDOM, alpha=0.3, linewidth=0))
    axis.add_patch(Circle(a, near + margin, fill=False, edgecolor=RANDOM, linestyle="--"))
    for radius, zone in ((near, "hard"), (near + margin, "semi-hard"), (near + margin + 0.45, "easy")):
        below = (a[0], a[1] - radius + 0.08)
        axis.annotate(zone, below, ha="center", va="bottom", fontsize=9, color="#555555", annotation_clip=True)
    for (x, y), move, (letter, tint) in zip((a, p, n), moves, TRIPLET.items(), strict=True):
        across, up = (0.5 * move[0]).tolist()
        if np.hypot(across, up) > 1e-9:
            arrow = {"arrowstyle": "-|>", "color": tint, "linewidth": 2.5, "shrinkA": 0, "shrinkB": 0}
            axis.annotate("", (x + across, y + up), (x, y), arrowprops=arrow)
        axis.plot(x, y, "o", color=tint, markersize=15)
        axis.text(x, y, letter, color="white", ha="center", va="center_baseline", weight="bold", fontsize=10)
    axis.set(xlim=(-4, 4), ylim=(-3, 3), aspect="equal", title=f"loss {loss:.2f}")
    axis.set(xlabel="first coordinate of f", ylabel="second coordinate of f")
    _plain(axis)
    return figure


def pair_distances(
    distances: Mapping[str, Tensor], same: Tensor, thresholds: Mapping[str, float] | None = None, title: str = ""
) -> Figure:
    """How far apart the two of a pair are, same pairs and different ones: one panel a name, each on its own scale.

    Shapes: distances[name] (N,), same bool (N,). A threshold, where there is one, is a dashed line.
    """
    figure = Figure(figsize=(0.4 + 3.4 * len(distances), 3.0), layout="constrained")
    panels = figure.subplots(1, len(distances), squeeze=False, sharey=True)[0]
    for axis, (name, distance) in zip(panels, distances.items(), strict=True):
        distance_histogram(axis, distance, same, (thresholds or {}).get(name))
        axis.set_title(name)
    panels[0].legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=12)
    return figure


def distance_histogram(axis: Axes, distance: Tensor, same: Tensor, threshold: float | None = None) -> None:
    """The distances (N,) of same and different pairs, bool (N,), as two histograms over each other."""
    d, s = distance.float().cpu().numpy(), same.cpu().numpy()
    edges = np.linspace(0, max(float(d.max()), 1e-6), 41)
    for name, chosen, tint in (("different", ~s, TRIPLET["N"]), ("same", s, TRIPLET["P"])):
        counts, _ = np.histogram(d[chosen], edges)
        axis.stairs(counts, edges, fill=True, color=tint, alpha=0.35)
        axis.stairs(counts, edges, color=tint, linewidth=1.5, label=name)  # where the two overlap, both are seen
    if threshold is not None:
        axis.axvline(threshold, color="black", linestyle="--", linewidth=1.5)
    axis.set(xlabel="distance of the two embeddings", ylabel="pairs", xlim=(0, edges[-1]))
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _plain(axis)


def by_ahead(curves: Mapping[str, Sequence[object]], title: str = "") -> Figure:
    """Squared errors of predictions 1, 2, … frames ahead, one curve a way of predicting."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.subplots()
    errors_on(axis, curves, 1)
    axis.set(xlabel="how far ahead (frames)", ylabel="mean squared error", title=title)
    return figure


def errors_on(axis: Axes, curves: Mapping[str, Sequence[object]], first: int, at: int | None = None) -> None:
    """Squared errors frame by frame, from frame `first` on; a line marks the frame `at`."""
    _curves_on(axis, {name: dict(enumerate(values, first)) for name, values in curves.items()})
    if at is not None:
        axis.axvline(at, color="black", linestyle="--", linewidth=1.5)
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False, fontsize=9)
    _plain(axis)


def _scatter_on(axis: Axes, points: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
    for k, name in enumerate(classes):
        mine = points[labels == k]
        marker = f"${name}$" if len(name) <= 2 else "o"
        axis.scatter(
            mine[:, 0], mine[:, 1], s=32, marker=marker, color=CLASSES[k % len(CLASSES)], linewidths=0.3, label=name
        )
    if any(len(name) > 2 for name in classes):
        axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    axis.set_xticks([])
    axis.set_yticks([])


def _curves_on(axis: Axes, curves: Mapping[str, Mapping[int, object]], looks: Mapping[str, Look] | None = None) -> None:
    """Mean, and a band of one standard deviation, of values by x; each in the look of what it measures."""
    blues, known = cycle(BLUES), {**STYLE, **(looks or {})}
    for name, points in curves.items():
        tint, marker, line = known.get(name, (None, "D", "-"))
        tint = tint or next(blues)
        x = sorted(points)
        mean, std = np.array([_mean_std(points[k]) for k in x]).T
        axis.plot(x, mean, color=tint, marker=marker, linestyle=line, label=name)
        axis.fill_between(x, mean - std, mean + std, color=tint, alpha=0.18, linewidth=0)


def _mean_std(value: Any) -> tuple[float, float]:
    if isinstance(value, Mapping):
        return value["mean"], value["std"]
    if hasattr(value, "mean") and hasattr(value, "std"):
        return value.mean, value.std
    return float(value), 0.0


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)


def contrast(colour: str, background: str = "#FFFFFF") -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2, "relative luminance")."""

    def luminance(hex_colour: str) -> float:
        channels = [int(hex_colour[i:j], 16) / 255 for i, j in pairwise((1, 3, 5, 7))]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(colour), luminance(background)), reverse=True)
    return (high + 0.05) / (low + 0.05)
