"""The shape of the package: one way for imports, rooms named for what they hold, and a quick `import sslkit`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sslkit

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sslkit"
# The map in the docstring of sslkit/__init__.py is also the order of the imports.
ORDER = re.findall(r"^    ([a-z_]+)  ", sslkit.__doc__ or "", re.MULTILINE)
ROOMS = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(source: str) -> set[str]:
    """The rooms that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("sslkit.")}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "sslkit":
            inner = (node.module or "").split(".")[1:2]
            found |= set(inner or [alias.name for alias in node.names])
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add("a relative import")  # one way of writing it, so that it can be searched for
    return {name for name in found if not name.startswith("__")}


def wrong_imports(source: str, room: str, order: list[str]) -> set[str]:
    before = set(order[: order.index(room)])
    return imported_rooms(source) - before - {room}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_flow_one_way(path: Path):
    room = room_of(path)
    if room.startswith("__"):
        pytest.skip("the package's own file")
    assert room in ORDER, f"{room} is not in the map of sslkit/__init__.py"
    wrong = wrong_imports(path.read_text(encoding="utf-8"), room, ORDER)
    assert not wrong, f"{room} imports {wrong}, and may import only what stands above it in sslkit/__init__.py"


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import torch\nfrom sslkit import first, __version__", set()),
        ("import sslkit.first", set()),
        ("from sslkit.second import x", set()),
        ("from sslkit.third import x", {"third"}),
        ("import sslkit.third.part", {"third"}),
        ("def f():\n    from sslkit import third as t", {"third"}),
        ("from . import first", {"a relative import"}),
    ],
)
def test_wrong_imports_are_seen(source: str, wrong: set[str]):
    assert wrong_imports(source, "second", ["first", "second", "third"]) == wrong


def test_the_map_names_the_rooms_on_disk():
    rooms = {name for name in ROOMS if not name.startswith("__")}
    assert set(ORDER) == rooms, f"only in the map: {set(ORDER) - rooms}; only on disk: {rooms - set(ORDER)}"
    assert len(ORDER) == len(set(ORDER))


def test_no_room_is_a_drawer():
    vague = {"utils", "util", "common", "misc", "helpers", "helper", "core", "base"}
    assert not {path.stem for path in PACKAGE.rglob("*.py")} & vague


def test_losses_are_pure():
    tree = ast.parse((PACKAGE / "losses.py").read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in modules} <= {"__future__", "math", "torch"}
    assert not any("distributed" in name for name in modules)


def test_import_is_quick_and_does_nothing():
    program = (
        "import sys, time; start = time.perf_counter(); import sslkit; seconds = time.perf_counter() - start;"
        "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules), 'a heavy import'; print(seconds)"
    )
    runs = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert len(done.stdout.split()) == 1, "import sslkit prints"
        runs.append(float(done.stdout))
    assert min(runs) < 0.1


# Written in pieces, so that this file does not find itself.
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/|[A-Z]:\\" + r"Users"),
    "an unfinished place": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
    "a private package index": re.compile(r"--(?:extra-)?index" + r"-url"),
}
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".txt", ".ipynb", ".json", ".cfg", ".sh", ""}


def forbidden_in(text: str) -> set[str]:
    return {f"{name}: {match[0]}" for name, pattern in FORBIDDEN.items() if (match := pattern.search(text))}


def test_no_traces_in_the_files():
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in done.stdout.splitlines() if Path(name).suffix in TEXT]
    found = {}
    for path in files:
        if path.is_file() and path != Path(__file__).resolve():
            text = path.read_text(encoding="utf-8", errors="replace")
            found[str(path)] = forbidden_in(re.sub(r'"image/png": "[^"]*"', "", text))
    assert files and not {name: what for name, what in found.items() if what}


@pytest.mark.parametrize(
    "text", ["see /home/" + "me/x.py", "# TO" + "DO later", r"C:\Use" + r"rs\me", "--index" + "-url x"]
)
def test_traces_are_seen(text: str):
    assert forbidden_in(text)
    assert not forbidden_in("homework/ in ~/course, https://example.org/home/")
