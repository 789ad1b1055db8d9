"""The experiments: scripts that measure what the lessons quote. Here: that they can be imported, and measure what the
lesson shows. Their results are compared with the text in test_notebooks.py."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from sslkit import augment, device, evaluate, losses, methods, nets, pairs, scoreboard
from sslkit.augment import to_float
from sslkit.data import Split, load

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


def test_the_picture_of_the_readme_shows_the_scoreboard_as_it_is(tmp_path):
    script = imported(NOTEBOOKS / "experiments" / "scoreboard.py")
    table = scoreboard.load()
    drawn_from = re.search("<dc:description>(.*?)</dc:description>", script.PICTURE.read_text(encoding="utf-8"), re.S)
    assert drawn_from and drawn_from[1] == script.numbers(table), "make scoreboard draws it anew"
    script.draw(table, tmp_path / "again.svg")
    assert script.numbers(table) in (tmp_path / "again.svg").read_text(encoding="utf-8")


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


def test_a_change_leaves_the_rows_that_do_not_depend_on_it(tmp_path):
    file, made_with = tmp_path / "NN.json", {"data_hash": "v1", "recipe": 1, "supervised": 1}
    resumable.write(file, {"made_with": made_with, "trained": {}, "copied": {}, "supervised": {}})

    def left(**changed: object) -> set[str]:
        found = resumable.read(file, made_with | changed, needs={"copied": ("supervised",)})
        assert found.pop("made_with") == made_with | changed
        return found.keys()

    assert left() == {"trained", "copied", "supervised"}
    assert left(supervised=2) == {"trained"} and left(recipe=2) == {"copied"}
    assert left(data_hash="v2") == set() == left(data_hash="v2", recipe=2)


def test_lesson_01_measures_the_careful_control_again_once_it_is_trained_in_another_way(monkeypatch):
    first = imported(NOTEBOOKS / "experiments" / "01.py")
    there = json.loads(first.FILE.read_text(encoding="utf-8"))
    kept = first.read(there["data_hash"], ["strong", "weak"])
    assert kept == there and kept["strong"].keys() == kept["weak"].keys() == {str(n) for n in evaluate.LABELS}
    monkeypatch.setattr(evaluate, "SUPERVISED", replace(evaluate.SUPERVISED, steps=1))
    assert first.read(there["data_hash"], ["strong", "weak"]) == there | {
        "supervised": there["supervised"] | {"steps": 1},
        "strong": {},
    }


def test_the_scoreboard_asks_the_lessons_for_all_rows_that_they_give_it():
    folder = NOTEBOOKS / "experiments"
    asked = {script: set(names) for script, names in imported(folder / "scoreboard.py").ELSEWHERE.items()}
    seventh, eighth = imported(folder / "07.py"), imported(folder / "08.py")
    assert asked["07.py"] == {*seventh.recipes.VIDEO, *seventh.CONTROLS} <= seventh.ROWS.keys()
    assert asked["08.py"] == {"context-bag", *eighth.CONTROLS.values()} <= eighth.ROWS.keys()


RESUMABLE = [path for path in SCRIPTS if re.search(r"resumable\.(run|read)\(", path.read_text(encoding="utf-8"))]


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in RESUMABLE if path.stem != "resumable"], ids=lambda p: p.stem)
def test_nothing_that_a_lesson_quotes_would_be_measured_again(path: Path, monkeypatch):
    """A recipe that was changed makes its rows those of another experiment: measure them anew, or put it back."""

    class Measured(dict):
        def __contains__(self, name: object) -> bool:
            assert super().__contains__(name), f"{name} would be measured again"
            return True

    def read(file: Path, made_with: dict, needs: object = None) -> dict:
        stored = json.loads(file.read_text(encoding="utf-8"))
        assert made_with == stored["made_with"], "made in another way: all of it would be measured again"
        return Measured(stored)

    monkeypatch.setattr(resumable, "read", read)
    monkeypatch.setattr(resumable, "write", lambda file, results: None)
    monkeypatch.setattr(scoreboard, "add", lambda rows: added.extend(rows))
    monkeypatch.setattr(sys, "argv", [path.name])
    added: list[dict] = []
    imported(path).main()
    there = scoreboard.load()["rows"]
    assert all(row in there for row in json.loads(json.dumps(added))), f"run {path.name}: the scoreboard has other rows"


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


@pytest.fixture(scope="module")
def fifth() -> ModuleType:
    return imported(NOTEBOOKS / "experiments" / "05.py")


@pytest.fixture(scope="module")
def val() -> Split:
    return load("photodigits", "val")


def test_the_base_is_the_method_of_the_package(fifth, val):
    ours = fifth.build("siamese", 0)
    with device.seeded(0):
        theirs = methods.Siamese(nets.ConvNet(), **fifth.BASE)
    results = [method(val.images[:32], device.generator(1))["loss"] for method in (ours, theirs)]
    assert torch.equal(*results) and ours.mining == "random"


def test_half_of_the_pairs_are_the_same(fifth):
    generator = device.generator(0)
    z_a, z_b = torch.randn(8, 4, generator=generator), torch.randn(8, 4, generator=generator)
    other = pairs.others(8, generator)
    near, far = ((z_a - z).norm(dim=1) for z in (z_b, z_b[other]))
    by_hand = ((near**2).sum() + ((3.0 - far).clamp(min=0) ** 2).sum()) / 32
    assert (far < 3).any() and (far > 3).any()
    torch.testing.assert_close(fifth.balanced(z_a, z_b, other, 3.0), by_hand)


def test_two_networks_start_alike_and_drift_apart(fifth, val):
    method, one = fifth.build("unshared", 0), fifth.build("siamese", 0)
    x = to_float(val.images[:64])
    assert (
        torch.equal(method.embed(x), method.second.embed(x))
        and pairs.weights_shared(method.encoder, method.encoder) == ""
    )
    assert "not shared" in pairs.weights_shared(method.encoder, method.second.encoder)
    assert torch.equal(method.encoder.blocks[0][0].weight, one.encoder.blocks[0][0].weight)
    method(val.images[:64], device.generator(0))["loss"].backward()
    gradients = [m.encoder.blocks[0][0].weight.grad for m in (method, method.second)]
    assert all(g.abs().max() > 0 for g in gradients) and not torch.equal(*gradients)
    assert fifth.itself(method, val.subset(torch.arange(200))) < 1e-3


def test_pairs_by_class_agree_in_class_and_in_nothing_else(fifth, val):
    method = fifth.build("same-class", 0)
    with torch.no_grad():
        method.augment = lambda x, generator=None: to_float(x)  # so that an image can be found again
        a, b, other = method.views((val.images[:200], val.labels[:200]), device.generator(0))
    known, labels = to_float(val.images[:200]).flatten(1), val.labels[:200]
    partner = torch.cdist(b.flatten(1), known).argmin(dim=1)
    assert torch.equal(labels[partner], labels) and (partner != torch.arange(200)).float().mean() > 0.8
    assert (labels[partner[other]] != labels).all()
    assert "labels made these pairs" in pairs.leaks_labels(
        torch.arange(200), partner, torch.ones(200, dtype=torch.bool), labels
    )


def test_mismatched_pairs_are_found_and_sound_ones_are_not(fifth, val):
    for name, complains in (("siamese", False), ("mismatched", True)):
        a, b, other = fifth.build(name, 0).views(val.images[:400], device.generator(0))
        same = torch.arange(800) < 400
        assert bool(pairs.mismatched(a.repeat(2, 1, 1, 1), torch.cat([b, b[other]]), same)) is complains


def test_a_threshold_of_val_judges_test(fifth, val):
    splits = {"val": val, "test": load("photodigits", "test")}

    def knows(x):  # the brightness of the image as it is: views that change nothing are told apart by it
        return x.flatten(1)[:, :64]

    row = fifth.verify([knows, knows], splits, fifth.Augment())
    assert row["accuracy"] > 0.99 and row["area"] > 0.99 and row["std"] == 0
    row = fifth.verify([lambda x: 0 * x.flatten(1)[:, :2] + torch.randn(len(x), 2)], splits, fifth.Augment())
    assert 0.4 < row["area"] < 0.6
    assert fifth.verify([(knows, lambda x: 1 - knows(x))], splits, fifth.Augment())["area"] < 0.9  # two networks


@pytest.fixture(scope="module")
def sixth() -> ModuleType:
    return imported(NOTEBOOKS / "experiments" / "06.py")


def test_every_variant_of_lesson_06_differs_in_its_negatives_alone(sixth):
    built = {name: sixth.build(name, seed=0) for name in sixth.VARIANTS}
    triplets = {name: method for name, method in built.items() if isinstance(method, methods.Triplet)}
    assert built.keys() - triplets.keys() == {"many"} and isinstance(built["many"], methods.SimCLR)
    assert len({(type(m), m.mining, m.margin) for m in triplets.values()}) == len(triplets)
    first = next(iter(built.values()))
    for method in built.values():
        assert method.augment == first.augment
        assert all(map(torch.equal, method.encoder.parameters(), first.encoder.parameters()))


def test_a_collapsed_run_has_no_distances(sixth, val):
    method = sixth.build("mine-random", seed=0).eval()
    between, own = sixth.distances(method, val.images[:64])
    assert 0 < own < between
    with torch.no_grad():
        method.projector[-1].weight.zero_()
    assert sixth.distances(method, val.images[:64]) == (0, 0)


@pytest.fixture(scope="module")
def eleventh() -> ModuleType:
    return imported(NOTEBOOKS / "experiments" / "11.py")


def test_every_variant_of_lesson_11_is_built_and_differs_from_the_recipe(eleventh, val):
    losses_ = {}
    for name in ("mae", "jepa", *eleventh.VARIANTS):
        method = eleventh.build(name, seed=0)
        losses_[name] = method(val.images[:32], device.generator(1))["loss"].item()
        assert (eleventh.config(name).steps == eleventh.SHORT) == (name in eleventh.VARIANTS)
    same = {("mae", "mae-short"), ("mae", "tenth"), ("mae-short", "tenth")}  # in steps, or in images, alone
    same |= {
        ("jepa", "jepa-short"),
        ("jepa", "no-stop"),
        ("jepa-short", "no-stop"),
        ("layer-norm", "no-stop"),
    }  # in what follows
    names = list(losses_)
    assert same >= {(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if losses_[a] == losses_[b]}


def test_lesson_11_breaks_what_its_experiment_breaks(eleventh, val):
    scope: dict = {"methods": methods, "losses": losses, "nets": nets, "F": torch.nn.functional}
    exec(cell_with("11_masked_images.py", "class NoStop"), scope)
    outs = []
    for kind in (scope["NoStop"], eleventh.NoStop):
        with device.seeded(0):
            method = kind(nets.ViT(width=24, depth=1), augment.STRONG)
        out = method(val.images[:32], device.generator(1))
        out["loss"].backward()
        outs.append((out["loss"], out["spread"], method.encoder.blocks[0][1].weight.grad))
        assert all(p.grad is None for p in method.target.parameters())
    assert all(map(torch.equal, *outs))


def test_mask_tokens_inside_the_encoder_hide_as_well(eleventh, val):
    with device.seeded(0):
        inside = eleventh.MaskTokensInside(nets.ViT(patch=4, width=24, depth=1), augment=augment.Augment())
    x, visible, hidden = inside.views(val.images[:8], device.generator(0))
    patches = nets.patchify(x, 4)
    other = nets.unpatchify(patches.scatter(1, hidden[:, :, None].expand(-1, -1, 48), 0.9), 4, (8, 8))
    assert torch.equal(inside.predict(other, visible, hidden), inside.predict(x, visible, hidden))
    assert inside.mask_token.grad is None
    inside.loss(x, visible, hidden)["loss"].backward()
    assert inside.mask_token.grad.abs().sum() > 0


def test_what_was_measured_holds_every_row_of_lesson_11(eleventh):
    if not eleventh.FILE.exists():
        pytest.skip("lesson 11 is a draft, and its experiment has not been run")
    results = json.loads(eleventh.FILE.read_text())
    assert {"random", "mae", "jepa", "supervised", *eleventh.VARIANTS} <= results.keys()
