"""A learner's own progress: which checks have passed, in a file beside the data. No account, no network.

`checks` tells it. The file is `progress.json` in the data folder, or what SSLKIT_PROGRESS names. Nothing is kept with
SSLKIT_PROGRESS=0, nor with SSLKIT_STRICT=1, which stands for solutions and marking. Where nothing can be written,
nothing is kept either, and no lesson stops for it.

    {"checks": {"nearest": {"tries": 3, "passed": "2026-03-02"}, "draw": {"tries": 1, "passed": ""}}}
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from datetime import date
from pathlib import Path

from sslkit import device as devices
from sslkit import scoreboard
from sslkit.data.root import data_root

LESSONS = scoreboard.FILE.parent  # where the lessons lie, if there is a checkout


def file() -> Path | None:
    """Where progress is kept, or None if it is not."""
    told = os.environ.get("SSLKIT_PROGRESS", "")
    if told == "0" or devices.flag("SSLKIT_STRICT"):
        return None
    return Path(told).expanduser() if told else data_root() / "progress.json"


def load() -> dict[str, dict]:
    """What is known of each check: how often it was tried, and the day on which it first passed, or ""."""
    path = file()
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["checks"] if path else {}
        return {str(name): {"tries": int(x["tries"]), "passed": str(x["passed"])} for name, x in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none yet, or it was damaged: begin again
        return {}


def note(check: str, passed: bool) -> None:
    """Remember that a check was tried. What has passed once stays passed. Never raises for a disk that says no."""
    path = file()
    if path is None:
        return
    known = load()
    before = known.get(check, {"tries": 0, "passed": ""})
    day = before["passed"] or (date.today().isoformat() if passed else "")
    known[check] = {"tries": before["tries"] + 1, "passed": day}
    from sslkit import checkpoint  # here, so that `python -m sslkit progress` need not wait for torch

    with contextlib.suppress(OSError):
        checkpoint.write_bytes(path, (json.dumps({"checks": known}, indent=1) + "\n").encode())


def reset() -> bool:
    """Forget everything; whether there was anything to forget."""
    path = file()
    if path is None or not path.exists():
        return False
    path.unlink()
    return True


def exercises() -> dict[str, list[str]]:
    """The checks of each lesson, in the order of the lessons; without a checkout there are none to be found."""
    found = {}
    for path in sorted(LESSONS.glob("[0-9][0-9]_*.ipynb")):
        names = re.findall(r"checks\.check_(\w+)\(", path.read_text(encoding="utf-8"))
        found[path.stem.replace("_", " ")] = list(dict.fromkeys(names))
    return {lesson: names for lesson, names in found.items() if names}


def render() -> str:
    """One line a lesson: how many of its checks have passed, and which."""
    known, lessons = load(), exercises()
    listed = {name for names in lessons.values() for name in names}
    others = sorted(known.keys() - listed)
    lessons = lessons | ({"others": others} if others else {})
    if not lessons:
        return "no check has been tried yet"
    width = max(map(len, lessons)) + 2
    lines, done = [], 0
    for lesson, names in lessons.items():
        passed = [bool(known.get(name, {}).get("passed")) for name in names]
        marks = [f"{'✓' if ok else '✗' if name in known else '·'} {name}" for ok, name in zip(passed, names)]
        lines.append(f"{lesson:<{width}}{sum(passed)} of {len(names)}   {'   '.join(marks)}")
        done += sum(passed)
    total = sum(map(len, lessons.values()))
    return "\n".join([*lines, f"{'all':<{width}}{done} of {total}   ✓ passed   ✗ tried   · not yet"])
