"""A learner's progress: told by the checks, kept in a file, shown in a table, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sslkit import checks, cli, progress


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSLKIT_PROGRESS", str(tmp_path / "new" / "progress.json"))
    return tmp_path / "new" / "progress.json"


def test_checks_tell_it(kept: Path, capsys):
    checks.check_chance(lambda k: ...)
    assert progress.load() == {}, "a stub is not a try"
    checks.check_chance(lambda k: k)
    checks.check_chance(lambda k: 1 / 0)
    assert progress.load() == {"chance": {"tries": 2, "passed": ""}}
    checks.check_chance(lambda k: 1 / k)
    assert progress.load()["chance"]["passed"] and progress.load()["chance"]["tries"] == 3
    checks.check_chance(lambda k: k)
    assert progress.load()["chance"]["passed"], "what has passed once stays passed"
    assert [path.name for path in kept.parent.iterdir()] == ["progress.json"]


def test_table_lists_the_lessons(kept: Path):
    progress.note("nearest", True)
    progress.note("draw", False)
    progress.note("my_own", True)
    lines = {line[:2]: line for line in progress.render().splitlines()}
    assert "1 of 2   · chance   ✓ nearest" in lines["00"] and "✗ draw" in lines["01"]
    assert "1 of 1   ✓ my_own" in lines["ot"] and lines["al"].split()[1] == "2"


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert progress.file() is None
    monkeypatch.setenv("SSLKIT_PROGRESS", "")
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path))
    assert progress.file() == tmp_path / "progress.json"
    monkeypatch.setenv("SSLKIT_STRICT", "1")
    assert progress.file() is None, "solutions and marking leave no trace"
    progress.note("chance", True)
    assert not list(tmp_path.iterdir()) and progress.reset() is False


def test_a_disk_that_says_no_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    (tmp_path / "a file").write_text("in the way of a folder")
    monkeypatch.setenv("SSLKIT_PROGRESS", str(tmp_path / "a file" / "progress.json"))
    assert checks.check_chance(lambda k: 1 / k) is True
    assert progress.load() == {} and capsys.readouterr().out == "✓ chance: right.\n"


@pytest.mark.parametrize("damage", ["", "[]", '{"checks": 3}', '{"checks": {"chance": 1}}', "\x00"])
def test_a_damaged_file_is_begun_again(kept: Path, damage: str):
    kept.parent.mkdir()
    kept.write_text(damage)
    assert progress.load() == {}
    progress.note("chance", True)
    assert list(progress.load()) == ["chance"]


def test_command(kept: Path, tmp_path: Path, capsys):
    progress.note("chance", True)
    assert cli.main(["progress", "--export", str(tmp_path / "mine.json"), "--json"]) == 0
    said = capsys.readouterr().out
    assert json.loads(said.splitlines()[-1])["checks"] == progress.load()
    assert json.loads((tmp_path / "mine.json").read_text())["checks"] == progress.load()
    assert "✓ chance" in said
    assert cli.main(["progress", "--reset"]) == 0
    assert "forgotten" in capsys.readouterr().out and not kept.exists()
    assert cli.main(["progress", "--reset"]) == 0
    assert "nothing to forget" in capsys.readouterr().out
