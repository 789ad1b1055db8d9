"""`lab` copies the lessons and never overwrites one. That JupyterLab then works is for test_browser.py."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from sslkit import doctor, lab


def write(path: Path, source: str, text: str = "") -> None:
    outputs = [new_output("stream", name="stdout", text=text)] if text else []
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell(source, outputs=outputs)]), path)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    write(tmp_path / "notebooks" / lab.FIRST, "x = ...")
    write(tmp_path / "notebooks" / "01_next.ipynb", "y = ...")
    write(tmp_path / "notebooks" / "scratch.ipynb", "z = ...")
    return tmp_path


def test_copies_what_is_missing_and_keeps_what_is_there(course: Path):
    assert "2 copied now, 0 kept" in lab.copy_lessons(course)[0]
    assert not (course / "my" / "scratch.ipynb").exists()
    write(course / "my" / lab.FIRST, "x = 'my answer'")
    (course / "my" / "01_next.ipynb").unlink()
    said = lab.copy_lessons(course)
    assert "1 copied now, 1 kept" in said[0] and len(said) == 1
    assert "my answer" in (course / "my" / lab.FIRST).read_text()


def test_says_that_a_newer_lesson_exists_and_leaves_the_copy_alone(course: Path):
    lab.copy_lessons(course)
    before = (course / "my" / lab.FIRST).read_bytes()
    write(course / "notebooks" / lab.FIRST, "x = ...  # better")
    for _ in range(2):
        said = lab.copy_lessons(course)
        assert len(said) == 2 and f"notebooks/{lab.FIRST}" in said[1]
        assert (course / "my" / lab.FIRST).read_bytes() == before
    (course / "my" / lab.FIRST).rename(course / "my" / "mine.ipynb")
    assert len(lab.copy_lessons(course)) == 1
    assert "better" in (course / "my" / lab.FIRST).read_text()


def test_a_figure_measured_anew_is_no_newer_lesson(course: Path):
    lab.copy_lessons(course)
    write(course / "notebooks" / lab.FIRST, "x = ...", text="0.83")
    assert len(lab.copy_lessons(course)) == 1


@pytest.mark.parametrize("record", ["", "{not json"])
def test_a_lost_record_overwrites_nothing(course: Path, record: str):
    write(course / "my" / lab.FIRST, "x = 'my answer'")
    (course / "my" / lab.RECORD).write_text(record)
    assert "1 copied now, 1 kept" in lab.copy_lessons(course)[0]
    assert "my answer" in (course / "my" / lab.FIRST).read_text()


def test_root_is_allowed_only_to_root(monkeypatch, tmp_path: Path):
    for user, allowed in ((0, True), (1000, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user, raising=False)
        assert ("--allow-root" in lab.command(tmp_path, [])) == allowed


def test_arguments_reach_jupyter_and_the_token_stays_on(tmp_path: Path):
    line = lab.command(tmp_path, ["--no-browser", "--port", "8899"])
    assert line[-3:] == ["--no-browser", "--port", "8899"]
    assert not any("token" in word for word in line)


@pytest.fixture
def started(monkeypatch, course: Path) -> list[list[str]]:
    lines: list[list[str]] = []
    monkeypatch.setattr(lab, "checkout", lambda: course)
    monkeypatch.setattr(os, "execv", lambda program, line: lines.append(line))
    monkeypatch.chdir(course)
    return lines


def test_a_failed_check_stops(monkeypatch, started, course: Path):
    monkeypatch.setattr(doctor, "main", lambda: 1)
    assert lab.main([]) == 1
    assert not started and not (course / "my").exists()


def test_no_lessons(monkeypatch, started, course: Path, capsys):
    monkeypatch.setattr(doctor, "main", lambda: 0)
    (course / "notebooks" / lab.FIRST).unlink()
    assert lab.main([]) == 1 and not started
    assert "There are no lessons" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="starts a process of its own there")
def test_starts(monkeypatch, started, course: Path):
    monkeypatch.setattr(doctor, "main", lambda: 0)
    lab.main(["--no-browser"])
    assert started and started[0][-1] == "--no-browser" and (course / "my" / lab.FIRST).exists()
