"""Figures: each one renders, says what its axes are, and can be told apart from white paper."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from sslkit import plots
from sslkit.evaluate import Score

CLASSES = tuple("0123456789")


def score(p: float) -> Score:
    return Score(np.random.RandomState(0).random_sample((3, 50)) < p, np.arange(50))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


POINTS, LABELS = torch.randn(50, 2, generator=seeded()), torch.arange(50) % 10
CURVES = {
    "random": {1: score(0.1), 10: score(0.3)},
    "pixels": {1: {"mean": 0.2, "std": 0.01}, 10: {"mean": 0.4, "std": 0.02}},
    "supervised": {1: score(0.3), 10: score(0.8)},
    **{name: {1: score(0.4), 10: score(0.9)} for name in ("rotation", "simclr", "vicreg", "byol", "dino")},
}
HISTORY = [{"epoch": e, "loss": 3 / e, "validation_loss": 3.2 / e} for e in range(1, 5)]
FIGURES = {
    "image_grid": lambda: plots.image_grid(
        torch.rand(11, 3, 8, 8, generator=seeded()), titles=list("abcdefghijk"), columns=4, rows=("x", "y", "z")
    ),
    "label_efficiency": lambda: plots.label_efficiency(CURVES, title="what a label is worth"),
    "bars": lambda: plots.bars({"random": 0.2, "supervised": score(0.8), "simclr": {"mean": 0.9, "std": 0.1}}, 0.1),
    "by_block": lambda: plots.by_block({"random": [score(0.2)] * 4, "simclr": [score(0.3), score(0.8)]}, chance=0.1),
    "loss_curve": lambda: plots.loss_curve(HISTORY, chance=3.5),
    "confusion": lambda: plots.confusion(LABELS, LABELS.roll(3), CLASSES),
    "scatter": lambda: plots.scatter(POINTS, LABELS, CLASSES, title="t"),
    "scatter_pair": lambda: plots.scatter_pair(POINTS, POINTS.numpy(), LABELS, CLASSES, ("before", "after")),
}
every = pytest.mark.parametrize("name", FIGURES)


def test_every_function_that_gives_a_figure_is_here():
    makers = {n for n, f in vars(plots).items() if getattr(f, "__annotations__", {}).get("return") == "Figure"}
    assert {n for n in makers if not n.startswith("_")} == FIGURES.keys()


@every
def test_it_renders(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    assert file.getvalue().startswith(b"\x89PNG")


@every
def test_its_axes_have_names(name):
    for axis in FIGURES[name]().axes:
        if name == "image_grid":  # pictures have no axes
            assert list(axis.get_xticks()) == []
        else:
            assert axis.get_xlabel()
            bars = [text.get_text() for text in axis.get_yticklabels()]
            assert axis.get_ylabel() or bars == ["random", "supervised", "simclr"]


def colours(figure: Figure) -> set[str]:
    found = set()
    for axis in figure.axes:
        found |= {to_hex(line.get_color()) for line in axis.lines}
        found |= {to_hex(patch.get_facecolor()) for patch in axis.patches}
        for collection in axis.collections:
            opaque = [c for c in collection.get_facecolor() if c[3] == 1]  # a band is no line
            found |= {to_hex(c) for c in opaque}
    return found


@pytest.mark.parametrize("name", ["label_efficiency", "by_block", "bars", "loss_curve", "scatter", "scatter_pair"])
def test_every_colour_stands_out_from_white(name):
    drawn = colours(FIGURES[name]())
    assert len(drawn) > 1
    assert {colour: plots.contrast(colour) for colour in drawn if plots.contrast(colour) < 3} == {}


def test_the_contrast_ratio():
    assert plots.contrast("#000000") == pytest.approx(21)
    assert plots.contrast("#FFFFFF") == pytest.approx(1)
    assert plots.contrast("#777777") == pytest.approx(4.48, abs=0.01)  # just below WCAG's 4.5, as is well known
    assert plots.contrast("#767676") == pytest.approx(4.54, abs=0.01)
    assert plots.contrast("#0072B2", "#D55E00") == plots.contrast("#D55E00", "#0072B2")


def test_a_colour_has_one_meaning():
    assert {plots.colour(n) for n in ("random", "pixels", "chance")} == {plots.RANDOM}
    assert plots.colour("supervised") == plots.SUPERVISED
    assert {plots.colour(n) for n in ("simclr", "rotation", "anything else")} == {plots.SSL}
    assert len({plots.RANDOM, plots.SUPERVISED, plots.SSL, plots.ACCENT}) == 4


def test_curves_have_the_colours_of_what_they_measure_and_a_name_each():
    axis = FIGURES["label_efficiency"]().axes[0]
    drawn = {line.get_label(): to_hex(line.get_color()) for line in axis.lines}
    assert drawn.keys() == {*CURVES, "chance"}
    assert drawn["random"] == drawn["chance"] == plots.RANDOM.lower()
    assert drawn["supervised"] == plots.SUPERVISED.lower()
    assert drawn["rotation"] == plots.SSL.lower()
    assert len({drawn[name] for name in ("rotation", "simclr", "vicreg", "byol")}) == 4
    assert {text.get_text() for text in axis.get_legend().get_texts()} == drawn.keys()


def test_curves_and_bars_show_the_numbers_they_were_given():
    axis = plots.label_efficiency({"simclr": {10: {"mean": 0.8, "std": 0.1}, 1: {"mean": 0.4, "std": 0.0}}}).axes[0]
    (line,) = (line for line in axis.lines if line.get_label() == "simclr")
    assert line.get_xydata().tolist() == [[1, 0.4], [10, 0.8]]
    axis = plots.by_block({"rotation": [{"mean": 0.2, "std": 0.1}, {"mean": 0.5, "std": 0.0}]}).axes[0]
    assert [line.get_xydata().tolist() for line in axis.lines] == [[[1, 0.2], [2, 0.5]]]
    axis = plots.bars({"random": 0.25, "simclr": 0.75}).axes[0]
    assert [bar.get_width() for bar in axis.patches] == [0.25, 0.75]
    assert {"0.25", "0.75"} <= {text.get_text() for text in axis.texts}


def test_the_loss_curve_shows_both_losses_and_what_knowing_nothing_costs():
    lines = {line.get_label(): line for line in plots.loss_curve(HISTORY, chance=3.5).axes[0].lines}
    assert lines.keys() == {"training", "validation", "knows nothing"}
    assert lines["training"].get_ydata().tolist() == [r["loss"] for r in HISTORY]
    assert set(lines["knows nothing"].get_ydata()) == {3.5}
    plots.loss_curve([]).savefig(io.BytesIO())  # a run that was interrupted in its first epoch


def test_confusion_shows_shares_of_the_true_class():
    target, predicted = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 0, 1])
    axis = plots.confusion(target, predicted, ("cat", "dog")).axes[0]
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.75, 0.25], [0.5, 0.5]])
    assert sorted(text.get_text() for text in axis.texts) == ["25", "50", "50", "75"]
    assert axis.get_ylabel() == "is really"


def test_confusion_with_other_answers_than_classes():
    target, predicted = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 1, 1])
    axis = plots.confusion(target, predicted, "ab", answers="xyz", axes=("says", "shows")).axes[0]
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.5, 0, 0.5], [0, 1, 0]])
    assert [text.get_text() for text in axis.get_xticklabels()] == ["x", "y", "z"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("says", "shows")


def test_one_channel_images_and_uint8_are_shown(capsys):
    for images in (torch.rand(3, 1, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        plots.image_grid(images).savefig(io.BytesIO())


def test_long_class_names_get_a_legend():
    assert plots.scatter(POINTS, LABELS, CLASSES).axes[0].get_legend() is None
    names = [f"class {c}" for c in CLASSES]
    legend = plots.scatter(POINTS, LABELS, names).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == names


def test_pyplot_is_left_to_the_reader():
    code = "import sys, sslkit.plots as p; p.bars({'simclr': 0.5}); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0
