"""The experiment of lesson 10 measures what the lesson shows, and looking on changes nothing."""

from __future__ import annotations

import json

import pytest
import torch
from test_experiments import NOTEBOOKS, cell_with, imported, resumable
from torch import nn

from sslkit import augment, device, losses, methods, nets, train
from sslkit.data import load

LESSON = "10_beyond_pretext.py"


@pytest.fixture(scope="module")
def tenth():
    return imported(NOTEBOOKS / "experiments" / "10.py")


class Knows(nn.Module):
    """An "encoder" that looks up what it is told."""

    def __init__(self, *answers: torch.Tensor):
        super().__init__()
        self.given, self.nothing = torch.stack(answers, dim=1).float(), nn.Parameter(torch.zeros(1))

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        self.start = getattr(self, "start", 0) + len(x)
        return [self.given[self.start - len(x) : self.start, :, None, None]]


def test_who_knows_the_digit_follows_it_and_who_knows_the_background_follows_that(tenth):
    images, digit, writing, background = tenth.crossed()
    assert images.shape == (2000, 3, 32, 32) and 0 <= images.min() <= images.max() <= 1
    assert [len(index.unique()) for index in (digit, writing, background)] == [10, 100, 20]
    one_hot = torch.nn.functional.one_hot
    assert tenth.follows_background(Knows(*one_hot(digit).T)) == 0
    assert tenth.follows_background(Knows(*one_hot(background).T)) == 1
    noise = torch.randn(64, 2000, generator=device.generator(0))
    assert tenth.follows_background(Knows(*noise)) == pytest.approx(90 / 261, abs=0.04)  # as many rivals of each kind


@pytest.mark.parametrize("name", ["byol", "vicreg"])
def test_looking_on_changes_nothing(tenth, name):
    images, parameters = load("photodigits", "val").images[:256], []
    for watched in (True, False):
        method = tenth.build(name, 0)
        if watched:
            course = method.after_step = tenth.Course(method, images[:64])
        train.fit(method, images, train.TrainConfig(steps=12, batch_size=32, progress=False), device="cpu")
        parameters.append({key: value for key, value in method.state_dict().items()})
    assert course.record["step"] == [0, 10] and all(len(values) == 2 for values in course.record.values())
    assert all(torch.equal(parameters[0][key], value) for key, value in parameters[1].items())


def test_every_row_differs_from_its_method_in_what_its_name_says(tenth):
    for name, (method, _, _, changes, _) in tenth.ROWS.items():
        compared = "simsiam-plain" if name in ("no-stop", "no-predictor") else method
        built, plain = tenth.build(name, 0), tenth.build(compared, 0)
        config, usual = tenth.config(name), tenth.config(method)
        assert config.steps * config.batch_size == usual.steps * usual.batch_size
        differs = [
            key
            for key in ("augment", "temperature", "weights", "crops")
            if getattr(built, key, 0) != getattr(plain, key, 0)
        ]
        differs += ["whiten"] * (type(getattr(built, "whiten", 0)) is not type(getattr(plain, "whiten", 0)))
        differs += ["loss"] * (type(built) is not type(plain)) + ["batch"] * bool(changes)
        assert len(differs) == (name not in tenth.NAMES), name
        assert all(map(torch.equal, built.encoder.parameters(), plain.encoder.parameters()))


def test_the_lesson_breaks_simclr_as_the_experiment_does(tenth):
    if not (NOTEBOOKS / "src" / LESSON).exists():
        pytest.skip("lesson 10 is a draft")
    scope: dict = {
        "torch": torch,
        "losses": losses,
        "methods": methods,
        "augment": augment,
        "val": load("photodigits", "val"),
    }
    exec(cell_with(LESSON, "class NoNegatives"), scope)
    images, results = scope["val"].images[:32], []
    for kind in (scope["NoNegatives"], tenth.NoNegatives):
        with device.seeded(0):
            method = kind(nets.ConvNet())
        results.append(method(images, device.generator(1))["loss"])
    assert torch.equal(*results)


def test_what_was_measured_holds_every_row(tenth):
    if not tenth.FILE.exists():
        pytest.skip("not measured yet: make experiments LESSON=10")
    results = json.loads(tenth.FILE.read_text())
    assert {"random", *tenth.ROWS} <= results.keys()
    assert all("course" in results[name] for name in tenth.COLLAPSE)
    assert {len(row["right"]) for row in results.values() if "right" in row} == {2000}
    for name in tenth.ROWS:
        now = resumable.rounded(json.loads(json.dumps(tenth.settings(name))))
        assert results[name]["settings"] == now, f"{name} was measured with other settings: measure it again"
