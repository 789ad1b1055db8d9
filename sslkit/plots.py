"""Tensors -> matplotlib figures. Nothing here trains or shows: the last line of a cell shows its figure."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as _Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from sslkit.augment import to_float

# The course's colours, safe for the colour-blind (Okabe and Ito 2008): one meaning each, in every figure.
RANDOM, SUPERVISED, SSL, ACCENT = "#767676", "#D55E00", "#0072B2", "#009E73"
BLUES = (SSL, "#3D8FC9", "#003F63", "#5B7FBF")  # several self-supervised methods in one figure
# Ten classes in the plane: each at least 3 : 1 against white, as a thin glyph needs.
CLASSES = ("#1F77B4", "#C85A00", "#2A8C2A", "#D62728", "#9467BD", "#8C564B", "#C9519E", "#6E6E6E", "#857F00", "#0E8A99")
STYLE = {  # a curve's look by what it measures: (colour, marker, line)
    "chance": (RANDOM, "", ":"),
    "pixels": (RANDOM, "x", "--"),
    "random": (RANDOM, "o", "-"),
    "supervised": (SUPERVISED, "s", "-"),
    "supervised, weak": (SUPERVISED, "v", "--"),
}


class Figure(_Figure):
    """A figure that a notebook shows by itself, without pyplot, which keeps figures and is not thread-safe."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
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


def label_efficiency(curves: Mapping[str, Mapping[int, object]], classes: int = 10, title: str = "") -> Figure:
    """Accuracy over the number of labels a class, one curve a method: mean, and a band of one standard deviation.

    `curves[name][labels]` is a `Score`, or a row of the scoreboard.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    _curves_on(axis, curves)
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
        axis.text(m + s + 0.015, i, f"{m:.2f}", va="center", fontsize=10)
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


def _curves_on(axis: Axes, curves: Mapping[str, Mapping[int, object]]) -> None:
    """Mean, and a band of one standard deviation, of values by x; each in the look of what it measures."""
    blues = cycle(BLUES)
    for name, points in curves.items():
        tint, marker, line = STYLE.get(name, (None, "D", "-"))
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
