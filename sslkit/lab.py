"""JupyterLab on your own copies of the lessons: neither an update nor a rebuild can touch an answer."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sslkit import doctor

FIRST = "00_start_here.ipynb"
RECORD = ".lessons.json"  # in my/: what each lesson was when it was copied


def checkout() -> Path:
    """The folder that holds the package and the lessons."""
    return Path(__file__).resolve().parents[1]


def fingerprint(notebook: Path) -> str:
    """Of the text and the code, not of the outputs: a figure measured anew does not make a new lesson."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return hashlib.sha256("\0".join("".join(cell["source"]) for cell in cells).encode()).hexdigest()[:16]


def copy_lessons(course: Path) -> list[str]:
    """Copy into my/ the lessons that are not there yet. Return the lines to say: what was copied, kept, or outdated."""
    lessons = sorted((course / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    mine = course / "my"
    mine.mkdir(exist_ok=True)
    record = read_record(mine / RECORD)
    copied, outdated = 0, []
    for lesson in lessons:
        now = fingerprint(lesson)
        if not (mine / lesson.name).exists():
            shutil.copyfile(lesson, mine / lesson.name)
            record[lesson.name] = now
            copied += 1
        elif record.setdefault(lesson.name, now) != now:
            outdated.append(lesson.name)
    (mine / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
    lines = [
        f"Your copies of the lessons are in {mine}: {copied} copied now, {len(lessons) - copied} kept as they are."
    ]
    for name in outdated:
        lines.append(f"  A newer lesson exists: notebooks/{name} (my/{name} stays; rename it to get the new one here)")
    return lines


def read_record(path: Path) -> dict[str, str]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # made by hand or damaged: nothing is known about the copies, so none is called outdated


def command(course: Path, args: list[str]) -> list[str]:
    """The whole checkout is Lab's folder, so that links from my/ to notebooks/ work. The token stays on."""
    line = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={course}"]
    line.append(f"--LabApp.default_url=/lab/tree/my/{FIRST}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        line.append("--allow-root")  # in containers; otherwise Jupyter refuses to start
    return [*line, *args]


def main(args: list[str]) -> int:
    """Check the machine, copy the lessons, start JupyterLab. `args` go to Jupyter: --no-browser, --port 8899, …"""
    if doctor.main():
        return 1
    course = checkout()
    if not (course / "notebooks" / FIRST).exists():
        print(
            f"There are no lessons in {course / 'notebooks'}. They come with the course's repository, not with the "
            "package alone: clone it, and run this again from there (in a clone without them: make notebooks).",
            file=sys.stderr,
        )
        return 1
    print(*copy_lessons(course), sep="\n", flush=True)
    line = command(course, args)
    os.chdir(course)
    if os.name == "nt":
        return subprocess.call(line)  # exec would hand the terminal back while Lab runs
    os.execv(line[0], line)
