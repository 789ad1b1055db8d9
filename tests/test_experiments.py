"""The experiments: scripts that measure what the lessons quote. Here: that they can be imported, and measure what the
lesson shows. Their results are compared with the text in test_notebooks.py."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from sslkit import augment, device, losses, nets
from sslkit.data import load

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SCRIPTS = sorted((NOTEBOOKS / "experiments").glob("*.py"))
sys.path.insert(0, str(NOTEBOOKS / "experiments"))  # where a script finds its neighbour
import resumable  # noqa: E402


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"experiment_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cell_with(lesson: str, text: str) -> str:
    """The code cell of a lesson's source in which this text stands."""
    cells = re.split(r"^# %%.*$", (NOTEBOOKS / "src" / lesson).read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = (cell for cell in cells if text in cell)
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_an_experiment_says_what_it_writes_and_starts_nothing_when_imported(path: Path):
    before = {file: file.stat().st_mtime_ns for file in path.parent.iterdir() if file.is_file()}
    assert imported(path).__doc__
    assert {file: file.stat().st_mtime_ns for file in path.parent.iterdir() if file.is_file()} == before


def test_what_was_measured_is_kept_and_what_is_missing_is_added(tmp_path, monkeypatch):
    splits = {"test": load("photodigits", "test").subset(torch.arange(100))}
    monkeypatch.setattr(resumable, "load", lambda data, name: splits["test"])
    measured = []

    def measure(name: str, splits) -> dict:
        measured.append(name)
        right = "".join(resumable.DIGITS[len(measured) * 10] for _ in range(100))
        return {"mean": 1 / 3, "std": 0.0, "runs": 30, "right": right}

    def run(*names: str, made_with: dict | None = None) -> dict:
        monkeypatch.setattr("sys.argv", ["NN.py", *names, "--file", str(tmp_path / "NN.json")])
        resumable.run("", tmp_path / "other.json", made_with or {"steps": 3}, dict.fromkeys(("a", "b"), measure))
        return json.loads((tmp_path / "NN.json").read_text())

    assert run("b").keys() == {"made_with", "b"} and measured == ["b"]
    results = run()
    assert measured == ["b", "a"], "b stands in the file"
    assert results["a"]["mean"] == 0.3333 and results["a"]["gain"] == {"b": [0.3333, 0.3333, 0.3333]}
    assert results["b"]["gain"]["a"][0] == -0.3333
    assert run() == results and measured == ["b", "a"]
    assert run("a", made_with={"steps": 4}).keys() == {"made_with", "a"}, "made in another way: measured again"
    with pytest.raises(SystemExit):
        run("c")


@pytest.fixture(scope="module")
def third() -> ModuleType:
    return imported(NOTEBOOKS / "experiments" / "03.py")


def test_a_head_that_adds_up_cannot_compare_tiles(third):
    def interaction(name: str) -> float:
        """How far the effect of another first tile depends on the second."""
        method = third.build(name).eval()
        p, q, u, v, r, s = torch.rand(6, 3, 16, 16, generator=device.generator(0))
        tiles = torch.stack([torch.stack([a, b, r, s]) for a in (p, q) for b in (u, v)])
        with torch.inference_mode():
            pu, pv, qu, qv = method.predict(tiles)
        return float((pu - pv - qu + qv).abs().max())

    assert interaction("sum") < 1e-6 < 1e-4 < interaction("base")


def test_lesson_03_counts_solved_puzzles(third):
    split = load("photodigits", "val").subset(torch.arange(200))
    puzzle = third.build("base")
    _, target = puzzle.views(split.images, device.generator(0))

    class Answers(torch.nn.Module):
        permutations = puzzle.permutations

        def __init__(self, answers: torch.Tensor):
            super().__init__()
            self.given, self.weight = iter(answers.split(500)), torch.nn.Parameter(torch.zeros(1))

        def predict(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(next(self.given), 24)

    assert third.solved(Answers(target), puzzle, split) == 1
    half = torch.where(torch.arange(200) < 100, target, (target + 1) % 24)
    assert third.solved(Answers(half), puzzle, split) == 0.5


@pytest.fixture(scope="module")
def fourth() -> ModuleType:
    return imported(NOTEBOOKS / "experiments" / "04.py")


def test_lesson_04_shows_the_tasks_that_its_experiment_measures(fourth):
    scope: dict = {"torch": torch, "nn": nn, "losses": losses, "augment": augment}
    exec(cell_with("04_rotation_and_position.py", "class Changed"), scope)
    exec(cell_with("04_rotation_and_position.py", "def to_grey").partition("\npictures")[0], scope)
    changes = {"grey": fourth.to_grey, "mirror": fourth.mirrored, "half-turn": fourth.upside_down}
    assert scope["changes"].keys() == changes.keys()
    images = load("photodigits", "val").images[:32]
    for name, change in changes.items():
        results = []
        for kind, what in ((scope["Changed"], scope["changes"][name]), (fourth.Changed, change)):
            with device.seeded(0):
                method = kind(nets.ConvNet(), what, augment.STRONG)
            results.append(method(images, device.generator(1))["loss"])
        assert torch.equal(*results), name


def test_lesson_04_counts_mistakes_by_row(fourth):
    row, column = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 0, 0, 2, 1, 2])
    assert fourth.shares(row, column, 2, 3).tolist() == [[0.75, 0, 0.25], [0, 0.5, 0.5]]


def test_a_gain_is_the_paired_difference():
    sources = load("photodigits", "test").sources.numpy()
    rng = np.random.RandomState(0)
    counts = [rng.randint(20, 31, 2000), rng.randint(10, 31, 2000)]  # of 30 runs, how many had each image right
    better, worse = ({"right": "".join(resumable.DIGITS[n] for n in c), "runs": 30} for c in counts)
    mean, low, high = resumable.gain(better, worse, sources)
    assert mean == pytest.approx((counts[0] - counts[1]).mean() / 30)
    assert low < mean < high < mean + 0.05
    assert resumable.gain(worse, worse, sources) == [0, 0, 0]


def test_what_was_measured_holds_every_task_of_lesson_04(fourth):
    results = json.loads(fourth.FILE.read_text())
    assert {"random", "simclr", *fourth.TASKS} <= results.keys()
    assert {len(row["right"]) for row in results.values() if "right" in row} == {2000}
