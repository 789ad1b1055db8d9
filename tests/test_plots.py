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
from PIL import Image

from sslkit import plots
from sslkit.evaluate import Score

CLASSES = tuple("0123456789")


def score(p: float) -> Score:
    return Score(np.random.RandomState(0).random_sample((3, 50)) < p, np.arange(50))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


POINTS, LABELS = torch.randn(50, 2, generator=seeded()), torch.arange(50) % 10
DISTANCE, SAME = torch.linspace(0.1, 1, 60), torch.arange(60) % 3 == 0
CURVES = {
    "random": {1: score(0.1), 10: score(0.3)},
    "pixels": {1: {"mean": 0.2, "std": 0.01}, 10: {"mean": 0.4, "std": 0.02}},
    "supervised": {1: score(0.3), 10: score(0.8)},
    **{name: {1: score(0.4), 10: score(0.9)} for name in ("rotation", "simclr", "vicreg", "byol", "dino")},
}
PICTURES = torch.rand(50, 3, 8, 8, generator=seeded())
MAPS = {"before": POINTS, "after": POINTS.numpy() * (-3, 2)}
HISTORY = [{"epoch": e, "loss": 3 / e, "validation_loss": 3.2 / e} for e in range(1, 5)]
DEPTHS = {
    f"{s}-{n}-{m}": {"mean": 0.4 + n / 10, "std": 0.1}
    for s in ("rotation", "jigsaw")
    for n in (1, 2)
    for m in plots.MODES
}
DEPTHS |= {"scratch": {"mean": 0.5, "std": 0.0}, "random-1-frozen": {"mean": 0.3, "std": 0.0}}
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
    "pair_distances": lambda: plots.pair_distances({"before": DISTANCE, "after": 2 * DISTANCE}, SAME, {"after": 0.7}),
    "embedding_map": lambda: plots.embedding_map(MAPS, PICTURES, [3, 7], {"before": torch.tensor([[0, 1], [8, 9]])}),
    "by_depth": lambda: plots.by_depth(DEPTHS, ["rotation", "jigsaw"], (2, "gradual")),
    "by_ahead": lambda: plots.by_ahead({"copy-last": [0.1, 0.2], "linear": [0.2, 0.4], "future": [0.05, 0.1]}),
    "perplexity_by_context": lambda: plots.perplexity_by_context({1: 200.0, 8: 100.0}, {"unigram": 400.0}),
    "triplet_plane": lambda: plots.triplet_plane((-1, 0), (0, 0.5), (0.5, -1)),
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
            shared = axis.get_shared_y_axes().get_siblings(axis)  # panels in a row have one name for all
            assert any(a.get_ylabel() for a in shared) or bars == ["random", "supervised", "simclr"]


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


def shown_at(axis) -> np.ndarray:
    """The middles of the pictures on an axis."""
    return np.array([np.reshape(image.get_extent(), (2, 2)).mean(axis=1) for image in axis.images])


def test_pictures_of_a_map_stand_at_their_points_and_do_not_overlap():
    marked = [3, 7]
    figure = plots.embedding_map(MAPS, PICTURES, marked, {"before": torch.tensor([[0, 1], [8, 9]])}, size=30)
    for axis, (name, points) in zip(figure.axes, MAPS.items()):
        assert axis.get_title() == name
        at = shown_at(axis)
        apart = np.abs(at[:, None] - at).max(axis=2) + 1e3 * np.eye(len(at))
        assert 10 < len(at) < 50 and apart[2:].min() >= 30  # the two that are marked are shown whatever they cover
        dots = axis.collections[0].get_offsets()
        assert len(at) + len(dots) == 50
        seen, wanted = np.concatenate([at, dots]), np.asarray(points, dtype=float)
        wanted = 30 + 340 * (wanted - wanted.min(axis=0)) / np.ptp(wanted, axis=0)  # order apart, the same points
        np.testing.assert_allclose(np.sort(seen, axis=0), np.sort(wanted, axis=0), atol=1e-6)
        np.testing.assert_allclose(at[:2], wanted[marked], atol=1e-6)
        np.testing.assert_allclose(axis.images[1].get_array(), PICTURES[7].permute(1, 2, 0).numpy())
        ends = [line.get_xydata()[1] for line in axis.lines]
        np.testing.assert_allclose(np.reshape(ends, (-1, 2)), wanted[[0, 1, 8, 9] if name == "before" else []])
    assert [len(axis.patches) for axis in figure.axes] == [2, 2]


def test_neighbours_are_shown_before_other_pictures():
    crowd = torch.zeros(50, 2)  # everybody at one point: only the first is shown …
    crowd[0], crowd[49] = torch.tensor([1.0, 1.0]), torch.tensor([-1.0, -1.0])
    figure = plots.embedding_map({"m": crowd}, PICTURES, [0], {"m": torch.tensor([[40]])})
    np.testing.assert_allclose(figure.axes[0].images[1].get_array(), PICTURES[40].permute(1, 2, 0).numpy())


def test_a_map_of_other_points_is_refused():
    with pytest.raises(ValueError, match=r"the map 'm' has points \(50, 3\); expected \(50, 2\)"):
        plots.embedding_map({"m": torch.zeros(50, 3)}, PICTURES)
    plots.embedding_map({"m": torch.zeros(50, 2)}, PICTURES).savefig(io.BytesIO())  # collapsed: one point, no error


def arrows(figure: Figure) -> list[np.ndarray]:
    """The arrows of a plane: from where to where."""
    found = [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None) is not None]
    return [np.array([text.xyann, text.xy]) for text in found]


def test_the_plane_shows_margin_zones_and_half_of_minus_the_gradient():
    a, p, n = (-1.0, 0.0), (0.0, 0.0), (-1.0, 1.5)
    figure = plots.triplet_plane(a, p, n, margin=1.0)
    assert figure.axes[0].get_title() == "loss 0.50"
    assert sorted(patch.get_radius() for patch in figure.axes[0].patches) == [1.0, 2.0, 2.0]  # two discs, one edge
    assert all(patch.center == a for patch in figure.axes[0].patches)
    # P is pulled to A along the line, N pushed away from it, both with a gradient of length one; A gets what is left
    wanted = [[a, (-0.5, -0.5)], [p, (-0.5, 0)], [n, (-1.0, 2.0)]]
    np.testing.assert_allclose(arrows(figure), wanted, atol=1e-9)


@pytest.mark.parametrize("negative", [(2.0, 0.0), (-1.0, 0.0)], ids=["easy", "collapsed"])
def test_nothing_moves_without_a_gradient(negative):
    positive = (0.0, 0.0) if negative[0] > 0 else (-1.0, 0.0)
    figure = plots.triplet_plane((-1.0, 0.0), positive, negative)
    assert arrows(figure) == [] and figure.axes[0].get_title() == ("loss 0.00" if negative[0] > 0 else "loss 1.00")


def test_one_channel_images_and_uint8_are_shown(capsys):
    for images in (torch.rand(3, 1, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        plots.image_grid(images).savefig(io.BytesIO())


def test_long_class_names_get_a_legend():
    assert plots.scatter(POINTS, LABELS, CLASSES).axes[0].get_legend() is None
    names = [f"class {c}" for c in CLASSES]
    legend = plots.scatter(POINTS, LABELS, names).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == names


@every
def test_what_a_notebook_shows_is_small_and_looks_like_the_figure(name):
    plain = FIGURES[name]()
    plain.palette = False
    shown, drawn = (Image.open(io.BytesIO(figure._repr_png_())) for figure in (FIGURES[name](), plain))
    assert (shown.mode == "P") == (name != "image_grid")  # pictures keep all of their colours
    off = np.abs(np.asarray(shown.convert("RGB"), dtype=float) - np.asarray(drawn.convert("RGB")))
    assert off.mean() < 1 and np.percentile(off, 99.9) <= 48


def test_pyplot_is_left_to_the_reader():
    code = "import sys, sslkit.plots as p; p.bars({'simclr': 0.5}); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


def test_histograms_count_every_pair_on_its_side():
    def counted(axis) -> dict[str, np.ndarray]:
        return {patch.get_label(): patch.get_data().values for patch in axis.patches if not patch.get_fill()}

    figure = plots.pair_distances({"a": DISTANCE, "b": 3 * DISTANCE}, SAME, {"b": 0.7})
    for axis in figure.axes:
        counts = counted(axis)
        assert (counts["same"].sum(), counts["different"].sum()) == (20, 40)
        lines = {patch.get_label(): to_hex(patch.get_edgecolor()) for patch in axis.patches if not patch.get_fill()}
        assert lines["same"] != lines["different"] and all(plots.contrast(tint) > 3 for tint in lines.values())
    assert [len(axis.lines) for axis in figure.axes] == [0, 1]
    assert list(figure.axes[1].lines[0].get_xdata()) == [0.7, 0.7]
    counts = counted(plots.pair_distances({"a": DISTANCE}, DISTANCE < 0.5).axes[0])
    assert not counts["same"][21:].any() and not counts["different"][:19].any()
    plots.pair_distances({"collapsed": 0 * DISTANCE}, SAME)
