"""The board that compares methods: its verdicts are the scoreboard's, its curves the rows that were chosen."""

from __future__ import annotations

import numpy as np
import pytest
from ipywidgets import Checkbox, SelectionRangeSlider, SelectionSlider, ToggleButtons
from test_widgets import instead, parts, said

from sslkit import plots, scoreboard, widgets
from sslkit.evaluate import Score

COUNTS = (1, 10, 100)
RUN = {
    count: Score(np.arange(40)[None].repeat(2, 0) < right, np.arange(40), block=1)
    for count, right in zip((1, 10), (10, 38))
}


def row(method: str, count: int, mean: float, budget: str = "lesson", **changed) -> dict:
    filled = {name: None for name in scoreboard.FIELDS} | {"method": method, "labels_per_class": count, "mean": mean}
    filled |= {"data": "toy", "budget": budget, "std": 0.01, "low": mean - 0.05, "high": mean + 0.05, "block": 3}
    return filled | changed


def table() -> dict:
    means = {"chance": 0.1, "random": 0.2, "supervised": 0.6, "simclr": 0.7, "rotation": 0.62, "jigsaw": 0.22}
    rows = [row(m, c, mean + 0.02 * i) for m, mean in means.items() for i, c in enumerate(COUNTS)]
    rows += [row("simclr", 10, 0.9, "long", block=2), row("byol", 5, 0.4, data="other")]
    return {"rows": [r | ({"block": None} if r["method"] == "supervised" else {}) for r in rows], "made_with": {}}


def board(mine: dict | None = None) -> widgets.Board:
    return widgets.Board(table(), {"my run": RUN} if mine is None else mine, "toy")


def panel() -> widgets.Panel:
    return widgets.compare(table(), {"my run": RUN}, "toy")


def test_verdicts_are_the_scoreboard_s():
    state = widgets.Board(scoreboard.load(), {}, "photodigits")
    for method in state.methods:
        state.choose(method, True)
    state.budget = "both"
    seen = set()
    for count in state.counts:
        state.compare_at(count)
        for line in state.verdicts():
            for kind in scoreboard.CONTROLS:
                if line[kind] is not None:
                    control = scoreboard.control_of(line["row"], kind, scoreboard.load()["rows"])
                    assert line[kind] == scoreboard.verdict(line["row"], control)
                    seen.add((kind, line[kind]))
    assert {("supervised", word) for word in ("better", "worse", "")} | {("random", "better")} <= seen


def test_the_sentence_tells_who_is_better_than_the_controls_and_which_block_is_read():
    text = board().sentence()
    assert text.startswith("With 10 labels a class of toy, my run is highest of those shown: 0.95 ± 0.00. ")
    assert "Better than random: my run; simclr; rotation; supervised. Not told apart from random: jigsaw. " in text
    assert "Better than supervised: my run. Worse than supervised: jigsaw; random. " in text
    assert "Not told apart from supervised: simclr; rotation. " in text
    assert "block 2 (my run), block 4 (simclr; rotation; jigsaw; random). " in text


def test_the_budget_and_the_numbers_of_labels_are_chosen():
    state = board()
    assert state.budgets == ["lesson", "long", "both"] and state.classes == 10
    assert set(state.curves()) == {"my run", "simclr", "rotation", "jigsaw", "random", "supervised"}
    state.budget = "both"
    assert state.curves()["simclr (long)"] == {10: row("simclr", 10, 0.9, "long", block=2)}
    state.budget = "long"
    assert set(state.curves()) == {"my run", "simclr (long)", "random", "supervised"}
    assert "Not measured with this budget: jigsaw; rotation." in state.sentence()
    state.to((1, 1))
    assert state.at == 1 and set(state.curves()) == {"my run", "random", "supervised"}
    state.compare_at(100)
    assert state.span == (1, 100) and "With 100 labels" in state.sentence()
    for method in state.methods:
        state.choose(method, False)
    assert "Nothing that is chosen" in state.sentence() and not state.curves()
    state.draw()


def test_no_two_curves_look_alike_and_the_reader_s_stands_out():
    state = widgets.Board(scoreboard.load(), {"a": RUN, "b": RUN}, "photodigits")
    for method in state.methods:
        state.choose(method, True)
    state.budget = "both"
    (axis,) = state.draw()[0].axes
    lines = [line for line in axis.get_lines() if not line.get_label().startswith("_") and line.get_label() != "chance"]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(looks) == len(lines) > 20
    mine = [line for line in lines if line.get_label() in "ab"]
    assert len(mine) == 2 and all(line.get_color() == plots.ACCENT for line in mine)
    assert min(line.get_linewidth() for line in mine) > max(x.get_linewidth() for x in lines if x not in mine)
    for line in lines:
        if line.get_label().split(",")[0] in ("random", "supervised", "pixels"):
            assert line.get_color() == plots.colour(line.get_label())


def test_every_control_acts():
    shown = panel()
    state = shown.still.__self__
    boxes = {box.description: box for box in parts(shown, Checkbox)}
    assert set(boxes) == set(state.methods) and all(boxes[name].value == (name in state.chosen) for name in boxes)
    before = shown.picture.value
    boxes["simclr"].value = False
    assert shown.picture.value != before and "simclr" not in said(shown)
    boxes["simclr"].value = True
    assert shown.picture.value == before
    parts(shown, ToggleButtons)[0].value = "long"
    assert "simclr (long)" in said(shown)
    (at,), (span,) = parts(shown, SelectionSlider), parts(shown, SelectionRangeSlider)
    assert not at.continuous_update and not span.continuous_update
    at.value = 1
    assert said(shown).startswith("With 1 label a class") and "accuracy, 1 label a class" in shown.children[-1].value
    span.value = (10, 100)
    assert at.value == 10 and said(shown).startswith("With 10 labels") and shown.error is None


def test_a_picture_a_sentence_and_a_table_stand_in_for_it():
    text = instead(panel(), width=900)
    assert "my run (yours)  0.95 ± 0.00" in text
    (mine,) = [line.split() for line in text.splitlines() if line.startswith("my run (yours)")]
    assert mine[-3:] == ["2", "better", "better"]


def test_what_evaluate_prints_is_taken_as_well():
    printed = {str(count): score.json() for count, score in RUN.items()}
    assert board({"my run": printed}).sentence() == board().sentence()


def test_what_does_not_fit_is_said():
    for arguments, says in [
        ((table(), None, "nowhere"), "no rows of 'nowhere'; it has: other, toy"),
        ((table(), {"simclr": RUN}, "toy"), "has a method 'simclr' already"),
        ((table(), {"my run": {}}, "toy"), "the run 'my run' is an empty mapping"),
        ((table(), {"my run": 0.9}, "toy"), "the run 'my run' is float"),
        ((table(), {"my run": {10: 0.9}}, "toy"), "has 0.9 for 10 labels; expected a Score"),
        (({"rows": [{}], "made_with": {}}, None, "toy"), "lacks method"),
    ]:
        with pytest.raises(ValueError, match=says):
            widgets.compare(*arguments)
