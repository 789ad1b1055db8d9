"""The table of results: its schema, its keys, and a file that is whole or as it was."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from sslkit import scoreboard
from sslkit.evaluate import Score


def entry(**changes) -> dict:
    row = {
        "method": "simclr",
        "data": "photodigits",
        "data_hash": "v1-abc",
        "task": "probe",
        "budget": "lesson",
        "labels_per_class": 10,
        "metric": "accuracy",
        "mean": 0.78,
        "std": 0.02,
        "low": 0.76,
        "high": 0.80,
        "pretrain_seeds": 3,
        "label_draws": 10,
        "pretrain_seconds": 80.0,
        "block": 3,
        "settings": {},
    }
    return row | changes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scoreboard.json"


def test_no_file_is_an_empty_table(file):
    assert scoreboard.load(file) == {"rows": [], "made_with": {}}
    assert scoreboard.render([]) == "no rows yet"


def test_rows_come_back_as_they_went_in(file):
    rows = [entry(), entry(labels_per_class=1, mean=0.5), entry(method="random", settings={"lr": 0.1, "name": "é"})]
    table = scoreboard.add(rows, file)
    assert scoreboard.load(file) == table
    assert sorted(map(str, table["rows"])) == sorted(map(str, rows))
    assert {"sslkit", "python", "torch", "device"} <= table["made_with"].keys()


def test_a_row_with_the_same_key_is_replaced_and_others_stay(file):
    scoreboard.add([entry(), entry(budget="long", mean=0.9)], file)
    scoreboard.add([entry(mean=0.6, data_hash="v1-new")], file)
    rows = scoreboard.load(file)["rows"]
    assert {(r["budget"], r["mean"], r["data_hash"]) for r in rows} == {
        ("lesson", 0.6, "v1-new"),
        ("long", 0.9, "v1-abc"),
    }


@pytest.mark.parametrize("name, other", [("method", "vicreg"), ("data", "mnist"), ("task", "knn"), ("budget", "long")])
def test_every_part_of_the_key_makes_another_row(file, name, other):
    scoreboard.add([entry()], file)
    assert len(scoreboard.add([entry(**{name: other})], file)["rows"]) == 2
    assert len(scoreboard.add([entry(labels_per_class=5)], file)["rows"]) == 3


def test_the_same_rows_give_the_same_file_in_any_order(file):
    rows = [entry(), entry(method="random"), entry(labels_per_class=2)]
    scoreboard.add(rows, file)
    first = file.read_bytes()
    file.unlink()
    for row in reversed(rows):
        scoreboard.add([row], file)
    assert file.read_bytes() == first


@pytest.mark.parametrize("field", scoreboard.FIELDS)
def test_a_field_that_is_missing_is_named(file, field):
    row = entry()
    del row[field]
    with pytest.raises(ValueError, match=rf"row 1 \(.*\) lacks {field}$"):
        scoreboard.add([entry(), row], file)
    assert not file.exists()


@pytest.mark.parametrize(
    "table", [[], {}, {"rows": {}, "made_with": {}}, {"rows": []}, {"made_with": {}}, "rows", None]
)
def test_a_table_of_another_form_is_refused(file, table):
    file.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r'is not a scoreboard: expected {"rows": \[...\], "made_with": {...}}'):
        scoreboard.load(file)


@pytest.mark.parametrize("row", ["simclr", 3, ["method"]])
def test_a_row_of_another_form_is_refused(file, row):
    file.write_text(json.dumps({"rows": [row], "made_with": {}}))
    with pytest.raises(ValueError, match="is not a scoreboard: row 0 is .*; expected an object"):
        scoreboard.load(file)


@pytest.mark.parametrize("text", ["", "{", '{"rows": [', "\x00"])
def test_a_damaged_file_is_refused_and_not_overwritten(file, text):
    file.write_text(text)
    with pytest.raises(ValueError, match="scoreboard.json is not a scoreboard: .*Restore it, or move it away"):
        scoreboard.add([entry()], file)
    assert file.read_text() == text


@pytest.mark.parametrize("broken", ["replace", "settings"])
def test_a_failure_leaves_the_old_file_and_nothing_else(file, monkeypatch, broken):
    scoreboard.add([entry()], file)
    before, settings = file.read_bytes(), {}
    if broken == "replace":
        monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    else:
        settings = {"of no type that JSON knows": object()}
    with pytest.raises((ZeroDivisionError, TypeError)):
        scoreboard.add([entry(mean=0.1, settings=settings)], file)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_the_example_in_the_docstring_has_the_form():
    example = re.search(r"\{\"rows\".*\}\n", scoreboard.__doc__, re.DOTALL).group()
    table = json.loads(example.replace("{…}", "{}").replace(", …]", "]"))
    scoreboard.check(table)
    assert table["rows"] and table["rows"][0].keys() == set(scoreboard.FIELDS)


def test_a_label_of_a_data_set_belongs_to_it():
    rows = [entry(data=name) for name in ("clips: speed", "clips: digit", "clips", "clips2", "digit")]
    assert scoreboard.of_data({"rows": rows}, "clips") == rows[:3]
    assert scoreboard.of_data({"rows": rows}, "clips: digit") == [rows[1]]
    assert not scoreboard.of_data({"rows": rows}, "speed")


def test_rows_are_made_from_scores(file):
    correct = np.random.RandomState(0).random_sample((30, 50)) < 0.8
    scores = {5: Score(correct, np.arange(50), block=2), 10: Score(correct | True, np.arange(50), block=3)}
    about = {key: entry()[key] for key in scoreboard.FIELDS if key not in ("mean", "std", "low", "high", "block")}
    del about["labels_per_class"], about["metric"]
    rows = scoreboard.row(scores, **about)
    scoreboard.add(rows, file)
    assert [r["labels_per_class"] for r in rows] == [5, 10]
    assert rows[0]["mean"] == pytest.approx(correct.mean(), abs=1e-4)
    assert rows[0]["low"] < rows[0]["mean"] < rows[0]["high"] and rows[0]["block"] == 2
    assert (rows[1]["mean"], rows[1]["std"], rows[1]["low"], rows[1]["high"]) == (1, 0, 1, 1)


def test_find_takes_rows_that_agree_with_every_name():
    table = {"rows": [entry(), entry(method="random"), entry(data="mnist")], "made_with": {}}
    assert scoreboard.find(table, data="photodigits", method="simclr") == [entry()]
    assert len(scoreboard.find(table)) == 3
    assert scoreboard.find(table, data="cifar10") == []


def test_the_table_shows_mean_and_standard_deviation_by_method_and_labels():
    rows = [
        entry(),
        entry(labels_per_class=1, mean=0.4321, std=0.0456),
        entry(method="untrained", mean=0.25, std=0),
        entry(budget="long", mean=0.85, std=0.01),
    ]
    title, head, rule, *body = scoreboard.render(rows).splitlines()
    assert "accuracy by number of labels a class, mean ± std" in title
    assert head.split() == ["method", "budget", "1", "10"]
    assert set(rule) == {"-"} and len(rule) == len(head)
    cells = [re.split(r" +(?!±)", line) for line in body]
    assert cells == [  # the best at ten labels is last
        ["untrained", "lesson", "–", "0.25"],
        ["simclr", "lesson", "0.43 ±.05", "0.78 ±.02"],
        ["simclr", "long", "–", "0.85 ±.01"],
    ]
    assert len({len(line) for line in (head, *body)}) == 1


def test_the_course_s_own_table_has_the_form():
    table = scoreboard.load()
    scoreboard.check(table)
    widest = max(scoreboard.render(table["rows"]).splitlines(), key=len)
    assert len(widest) < 105, f"JupyterLab wraps it on a small screen: {widest}"


def test_every_data_set_has_a_table_of_its_own():
    rows = [entry(data=name, method=name, labels_per_class=n) for name, n in [("few", 1), ("many", 1), ("many", 5)]]
    first, second = scoreboard.render(rows).split("\n\n")
    assert first.startswith("many\n") and second.startswith("few\n")
    assert "few" not in first and "many" not in second


# ---- against the controls ----------------------------------------------------------------------------------------


def test_the_verdict_is_that_of_the_intervals():
    control = entry(method="random", mean=0.5, low=0.45, high=0.55)
    assert scoreboard.verdict(entry(low=0.56, high=0.8), control) == "better"
    assert scoreboard.verdict(entry(low=0.2, high=0.44), control) == "worse"
    assert scoreboard.verdict(entry(low=0.55, high=0.8), control) == ""  # they touch
    assert scoreboard.verdict(entry(low=0.2, high=0.9), control) == ""


def test_the_control_has_the_same_encoder_data_and_labels():
    rows = [entry(method=name, labels_per_class=n) for name in ("random", "random, vit", "supervised") for n in (1, 10)]
    assert scoreboard.control_of(entry(), "random", rows) is rows[1]
    assert scoreboard.control_of(entry(method="mae", labels_per_class=1), "random", rows) is rows[2]
    assert scoreboard.control_of(entry(method="mae"), "supervised", rows) is None  # of that encoder there is none
    assert scoreboard.control_of(entry(data="mnist"), "random", rows) is None


def test_the_table_says_who_is_better_than_the_controls():
    rows = [
        entry(method="random", mean=0.3, low=0.28, high=0.32),
        entry(method="supervised", mean=0.8, low=0.78, high=0.82),
        entry(method="rotation", mean=0.6, low=0.58, high=0.62),
        entry(method="simclr", mean=0.81, low=0.79, high=0.83),
    ]
    _, head, _, *body, legend = scoreboard.render(rows).splitlines()
    assert head.split()[-2:] == ["ran", "sup"]
    signs = {line.split()[0]: line.split()[4:] for line in body}
    assert signs == {"random": ["−"], "rotation": ["+", "−"], "supervised": ["+"], "simclr": ["+", "="]}
    assert legend.startswith("last columns, with 10: + better, − worse than random and supervised")
    assert "last columns" not in scoreboard.render(rows[2:])  # no control is shown
