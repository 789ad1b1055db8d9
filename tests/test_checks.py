"""Each check accepts right answers, however they are written, and rejects wrong ones for the right reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from sslkit import checks, pretext

SOURCES = sorted((Path(__file__).parent.parent / "notebooks" / "src").glob("[0-9][0-9]_*.py"))


def nearest(z, i):
    similarity = F.cosine_similarity(z, z[i : i + 1])
    similarity[i] = -2
    return int(similarity.argmax())


def nearest_loop(z, i):
    best, at = -2.0, -1
    for j in range(len(z)):
        cosine = float(z[i] @ z[j] / (z[i].norm() * z[j].norm()))
        if j != i and cosine > best:
            best, at = cosine, j
    return at


def draw(labels, per_class, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    return torch.cat([order[labels[order] == k][:per_class] for k in labels.unique()])


def same_for_every_seed(labels, per_class, seed):
    return torch.cat([(labels == k).nonzero().flatten()[:per_class] for k in labels.unique()])


def forgets_its_seed(labels, per_class, seed):
    order = torch.randperm(len(labels))
    return torch.cat([order[labels[order] == k][:per_class] for k in labels.unique()])


def any_class(labels, per_class, seed):
    return torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[: per_class * 3]


def with_repeats(labels, per_class, seed):
    generator = torch.Generator().manual_seed(seed)
    mine = [(labels == k).nonzero().flatten() for k in labels.unique()]
    return torch.cat([m[torch.randint(2, (per_class,), generator=generator)] for m in mine])


def euclidean(z, i):
    distance = torch.cdist(z[i : i + 1], z)[0]
    distance[i] = float("inf")
    return int(distance.argmin())


def dot_product(z, i):
    similarity = z @ z[i]
    similarity[i] = -1e9
    return int(similarity.argmax())


def four_turns(image, sign=1, dims=(1, 2)):
    return torch.stack([image.rot90(sign * k, dims=dims) for k in range(4)]), torch.arange(4)


RIGHT = [
    (checks.check_chance, lambda k: 1 / k),
    (checks.check_chance, lambda k: torch.tensor(1.0, dtype=torch.float64) / k),
    (checks.check_nearest, nearest),
    (checks.check_nearest, nearest_loop),
    (checks.check_draw, draw),
    (checks.check_draw, lambda *a: draw(*a).tolist()),
    (checks.check_assign, lambda p, c: torch.cdist(p, c).argmin(1)),
    (checks.check_assign, lambda p, c: [min(range(len(c)), key=lambda k: float((x - c[k]).norm())) for x in p]),
    (checks.check_assign, lambda p, c: ((p[:, None] - c[None]) ** 2).sum(-1).argmin(-1)),
    (checks.check_four_turns, four_turns),
    (checks.check_four_turns, lambda image: pretext.all_rotations(image[None])),
]
WRONG = [
    (checks.check_chance, lambda k: k, "the number of classes"),
    (checks.check_chance, lambda k: 100 / k, "percent"),
    (checks.check_chance, lambda k: 0.1, "is right 0.5 of the time; you gave 0.1"),
    (checks.check_chance, lambda k: "one in K", "asked for a number"),
    (checks.check_nearest, lambda z, i: int((F.normalize(z, dim=1) @ F.normalize(z, dim=1)[i]).argmax()), "row itself"),
    (checks.check_nearest, euclidean, "smallest distance"),
    (checks.check_nearest, dot_product, "dot product"),
    (checks.check_nearest, lambda z, i: int(F.cosine_similarity(z, z[i : i + 1]).argmin()), "least similar"),
    (checks.check_nearest, lambda z, i: float(F.cosine_similarity(z, z[:1])[1]), "looks like a similarity"),
    (checks.check_nearest, lambda z, i: nearest(z, 0), "wrong for row 3"),
    (checks.check_draw, same_for_every_seed, "take the first ones"),
    (checks.check_draw, forgets_its_seed, "same seed gave two different draws"),
    (checks.check_draw, any_class, "each class should come 4 times"),
    (checks.check_draw, with_repeats, "drawn twice"),
    (checks.check_draw, lambda y, n, s: draw(y, 1, s), "12 indices"),
    (checks.check_assign, lambda p, c: torch.cdist(p, c).argmin(0), "axis of argmin"),
    (checks.check_assign, lambda p, c: torch.cdist(p, c).argmax(1), "farthest"),
    (checks.check_assign, lambda p, c: torch.cdist(p, c), "shape"),
    (checks.check_assign, lambda p, c: (p @ c.T).argmax(1), "expected centres"),
    (checks.check_four_turns, lambda image: four_turns(image, sign=-1), "clockwise"),
    (checks.check_four_turns, lambda image: four_turns(image)[0], "two things"),
    (checks.check_four_turns, lambda image: (torch.stack([image] * 4), torch.arange(4)), "are the same"),
    (checks.check_four_turns, lambda image: (four_turns(image)[0], torch.arange(1, 5)), "targets are"),
    (checks.check_four_turns, lambda image: (four_turns(image)[0].flip(3), torch.arange(4)), "last two axes"),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_a_right_answer_passes(check, answer, capsys):
    assert check(answer) is True
    assert capsys.readouterr().out.startswith("✓")


@pytest.mark.parametrize(("check", "answer", "reason"), WRONG)
def test_a_wrong_answer_is_told_why(check, answer, reason, capsys, monkeypatch):
    monkeypatch.delenv("SSLKIT_STRICT", raising=False)
    assert check(answer) is False
    assert reason in capsys.readouterr().out


EVERY = sorted({check for check, _ in RIGHT}, key=lambda check: check.__name__)


def test_every_check_is_tried():
    assert [c.__name__ for c in EVERY] == sorted(name for name in vars(checks) if name.startswith("check_"))


@pytest.mark.parametrize("check", EVERY)
def test_a_stub_is_not_written_yet(check, capsys, monkeypatch):
    monkeypatch.delenv("SSLKIT_STRICT", raising=False)
    assert check(lambda *_: ...) is False
    assert "not written yet" in capsys.readouterr().out
    assert check(lambda *_: None) is False
    assert "is there a `return`?" in capsys.readouterr().out
    assert check(lambda *_: 1 / 0) is False
    assert "your function raised ZeroDivisionError" in capsys.readouterr().out


@pytest.mark.parametrize("check", EVERY)
def test_strict_raises(check, monkeypatch):
    monkeypatch.setenv("SSLKIT_STRICT", "1")
    with pytest.raises(AssertionError, match="not written yet"):
        check(lambda *_: ...)


def test_prediction_beside_measurement(capsys):
    checks.predicted(0.5, 0.8)
    assert capsys.readouterr().out == "you predicted accuracy 0.50; measured 0.80; off by 0.30\n"
    checks.predicted(..., 0.8)
    assert "measured accuracy: 0.80 (you made no prediction" in capsys.readouterr().out


def solutions(source: Path) -> dict[str, str]:
    """The functions of a lesson that hold a solution, by name."""
    cells = re.split(r"^# %%.*$", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.search(r"def (\w+)", cell)[1]: cell for cell in cells if "### BEGIN SOLUTION" in cell}


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_the_solutions_of_the_lesson_pass(source, monkeypatch):
    """What the lesson writes out is lifted from its source and checked, without running the lesson."""
    monkeypatch.setenv("SSLKIT_STRICT", "1")
    found = solutions(source)
    assert found
    for name, cell in found.items():
        scope: dict = {"torch": torch, "F": F}
        exec(cell, scope)
        assert vars(checks)[f"check_{name}"](scope[name])
        assert f"checks.check_{name}({name})" in source.read_text(encoding="utf-8")
