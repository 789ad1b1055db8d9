"""The bench measures the real loop, adds up, and says nothing about lightly where there is none. Not how fast it is."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from sslkit import bench, nets, recipes, train
from sslkit.augment import STRONG

IMAGES = torch.randint(256, (48, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
SMALL = {"batch_size": 16, "steps": 6, "rounds": 2}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A few images, ceilings that take no time, and one thread: two wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(bench, "load", lambda name, split: SimpleNamespace(images=IMAGES))
    monkeypatch.setattr(bench, "SIDE", {"cpu": 128, "cuda": 256})
    monkeypatch.setattr(bench, "COPY", 2**20)
    monkeypatch.setattr(bench, "WORKERS", (0,))
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_lightly(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "lightly" else find(name, *rest)
    )


def test_without_lightly_there_is_a_report_and_no_ratio(device: torch.device, no_lightly: None):
    report = bench.run("simclr", **SMALL, device=str(device))
    assert json.loads(json.dumps(report)) == report
    assert report["lightly"] is report["ratio_to_lightly"] is report["ratio_same_views"] is None
    assert report["views"] == 2 and report["two_view_images_per_second"] == report["images_per_second"] > 0
    assert all(value > 0 for value in (report["parts"] | report["ceiling"]).values())
    text = bench.render(report)
    assert "two-view images a second" in text and "lightly is not installed" in text


def test_parts_add_up_to_the_step_of_the_loop(no_lightly: None):
    report = bench.run("simclr", **SMALL)
    parts = dict(report["parts"])
    step, outside = parts.pop("step"), parts.pop("share_outside_model")
    assert tuple(parts) == bench.PARTS
    assert sum(parts.values()) == pytest.approx(step)
    assert outside == pytest.approx(1 - (parts["forward"] + parts["backward"]) / step)
    whole = 1000 * report["batch_size"] / report["images_per_second"]  # another run, on a machine with other work
    assert step / 4 < whole < step * 4


def test_a_method_with_one_view_has_no_two_view_figure():
    report = bench.run("rotation", **SMALL)
    assert report["views"] == 1 and report["two_view_images_per_second"] is None and report["lightly"] is None
    assert "baseline is lightly's SimCLR" in bench.render(report)


def test_lightly_takes_turns_with_our_loop():
    if importlib.util.find_spec("lightly") is None:
        pytest.skip("lightly is not installed")
    report = bench.run("simclr", **SMALL)
    theirs = report["lightly"]
    assert json.loads(json.dumps(report)) == report
    assert len(theirs["rounds"]) == SMALL["rounds"] and theirs["workers"] == 0
    ratios = sorted(row["ours"] / row["images_per_second"] for row in theirs["rounds"])
    assert report["ratio_to_lightly"] == pytest.approx(sum(ratios) / 2)
    assert report["ratio_same_settings"] > 0 and report["ratio_same_views"] > 0
    assert f"{report['ratio_to_lightly']:.2f} times lightly" in bench.render(report)


def test_our_augmentation_is_translated_for_lightly_without_a_remainder():
    transforms = pytest.importorskip("lightly.transforms")
    said = bench._as_lightly_says(STRONG)
    assert said["min_scale"] == 0.5 and said["rr_degrees"] == 15 and said["cj_hue"] == 0.5 and said["hf_prob"] == 0
    assert len(transforms.SimCLRTransform(input_size=16, gaussian_blur=0.0, **said).transforms) == 2


@pytest.mark.parametrize("wrong", [{"batch_size": 49}, {"steps": 0}, {"rounds": 0}])
def test_what_cannot_be_timed_is_refused(wrong: dict):
    with pytest.raises(ValueError, match="batch_size|rounds"):
        bench.run("simclr", **(SMALL | wrong))


def test_counted_operations_are_those_of_the_convolutions():
    """Forward, gradient of the weights, and of the input where it has one: 2·9·a·b operations a pixel each."""
    method = recipes.build("simclr", nets.ConvNet())
    counted = bench._ceiling(method, IMAGES, torch.float32, torch.device("cpu"))["model_gflop_per_step"]
    expected, side = 0, 16
    for i, (a, b) in enumerate([(3, 16), (16, 32), (32, 64), (64, 128)]):
        expected += 2 * 9 * a * b * side**2 * 2 * len(IMAGES) * (2 if i == 0 else 3)
        side //= 2
    assert counted == pytest.approx(expected / 1e9, rel=0.1)  # the projector and the loss are the rest
    assert counted > expected / 1e9


def test_the_clock_is_taken_out_again_when_training_fails(monkeypatch: pytest.MonkeyPatch):
    def fit(*args, **kwargs):
        raise FloatingPointError("the loss became nan")

    monkeypatch.setattr(train, "fit", fit)
    method = recipes.build("simclr", nets.ConvNet())
    before = set(vars(method))
    with pytest.raises(FloatingPointError):
        bench._parts(method, IMAGES, train.TrainConfig(), torch.device("cpu"))
    assert set(vars(method)) == before


def test_only_the_middle_is_timed_and_the_rest_is_drained():
    seen = []
    batches = iter([(i, i) for i in range(10)])
    speed = bench._speed(lambda a, b: seen.append(a), batches, 4, 256, torch.device("cpu"), skip=3)
    assert seen == list(range(7)) and next(batches, None) is None and speed > 0


@pytest.mark.parametrize(("ratio", "status"), [(4.6, 0), (4.4, 1), (None, 2)])
def test_the_script_fails_below_its_target(monkeypatch: pytest.MonkeyPatch, ratio: float | None, status: int):
    report = {"lightly": None if ratio is None else {}, "ratio_to_lightly": ratio}
    monkeypatch.setattr(bench, "run", lambda *args, **kwargs: report)
    monkeypatch.setattr(bench, "render", lambda report: "")
    monkeypatch.setattr("sys.argv", ["compare_lightly.py", "--at-least", "4.5"])
    assert _script("compare_lightly").main() == status


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "bench" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("method, kind", [("future", "clips"), ("next-word", "text")])
def test_what_does_not_learn_from_images_is_refused(method, kind):
    with pytest.raises(ValueError, match=f"{method} learns from {kind}, and bench times methods on images"):
        bench.run(method)
