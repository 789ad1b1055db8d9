"""What README.md tells a reader to type exists and parses. Nothing here runs `make`: a test must not call itself."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.exists() else ""


def blocks(text: str, *languages: str) -> list[str]:
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """The commands of the shell blocks, as lists of words, without comments, prompts and variables."""
    for block in blocks(text, "bash", "sh", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||[|;]", line.removeprefix("$ ")):
                words = shlex.split(part, comments=True)
                while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                    words = words[1:]
                if words:
                    yield words


def make_targets(text: str) -> set[str]:
    """In shell blocks and in `code` within the text."""
    inline = [span.split() for span in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))]
    called = [words for words in [*commands(text), *inline] if words and words[0] == "make"]
    return {word for words in called for word in words[1:] if re.fullmatch(r"[a-z][a-z-]*", word)}


def sslkit_commands(text: str) -> list[list[str]]:
    found = []
    for words in commands(text):
        if words[0] == "sslkit":
            found.append(words[1:])
        elif words[1:3] == ["-m", "sslkit"]:
            found.append(words[3:])
    return found


def parses(words: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the command line accepts these words. The command itself is replaced by one that does nothing."""
    from sslkit import cli, lab

    def idle(command):
        return functools.wraps(command)(lambda *args, **kwargs: 0)

    monkeypatch.setattr(cli, "COMMANDS", {name: idle(command) for name, command in cli.COMMANDS.items()})
    monkeypatch.setattr(lab, "main", lambda args: 0)
    try:
        return cli.main(words) == 0
    except SystemExit as end:
        return end.code in (0, None)  # --help


def missing_names(source: str) -> list[str]:
    """What a block of Python imports from sslkit and does not find."""
    missing = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sslkit":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                if not hasattr(module, alias.name):
                    try:
                        importlib.import_module(f"{node.module}.{alias.name}")
                    except ImportError:
                        missing.append(f"{node.module}.{alias.name}")
    return missing


def dead_links(text: str, folder: Path) -> list[str]:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [target for target in targets if "://" not in target and not (folder / target).exists()]


def makefile_targets() -> set[str]:
    return set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split())  # type: ignore[index]


def test_there_is_something_to_type():
    assert TEXT, "no README.md"
    assert {"lab", "test"} <= make_targets(TEXT)


def test_make_targets_exist():
    assert make_targets(TEXT) <= makefile_targets()


@pytest.mark.parametrize("words", sslkit_commands(TEXT), ids=" ".join)
def test_sslkit_command_parses(words: list[str], monkeypatch):
    assert parses(words, monkeypatch)


@pytest.mark.slow
def test_sslkit_commands_run_one_after_another(tmp_path: Path):
    """With training cut short, from an empty folder, as a reader would type them."""
    env = {**os.environ, "SSLKIT_FAST": "1", "PYTHONPATH": str(ROOT)}
    for words in sslkit_commands(TEXT):
        done = subprocess.run(
            [sys.executable, "-m", "sslkit", *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        if "--json" in words:
            assert isinstance(json.loads(done.stdout.splitlines()[-1]), dict)


@pytest.mark.parametrize("source", blocks(TEXT, "python"))
def test_python_imports_what_exists(source: str):
    assert missing_names(source) == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "notebooks/README.md", "data/README.md"])
def test_links_lead_somewhere(name: str):
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"no {name}")
    assert dead_links(path.read_text(encoding="utf-8"), path.parent) == []


# --------------------------------------------------------------------------------------------------------------------
# the reading itself, on a text made up here

EXAMPLE = """
Type `make lab`, and never `maker`. See [the map](notebooks/README.md#order) and [us](https://example.org).

```bash
# first
make test ARGS="a b" && SSLKIT_FAST=1 python -m sslkit doctor --json | head
$ python -m sslkit pretrain simclr \\
    --epochs 3   # a comment
```

```python
from sslkit import names
from sslkit.names import pick, no_such_name
```
"""


def test_example_is_read():
    assert make_targets(EXAMPLE) == {"lab", "test"}
    assert sslkit_commands(EXAMPLE) == [["doctor", "--json"], ["pretrain", "simclr", "--epochs", "3"]]
    assert missing_names(blocks(EXAMPLE, "python")[0]) == ["sslkit.names.no_such_name"]
    assert dead_links(EXAMPLE, Path("/nowhere")) == ["notebooks/README.md"]


@pytest.mark.parametrize(
    ("line", "accepted"),
    [
        ("doctor --json", True),
        ("pretrain simclr --epochs 3", True),
        ("lab --no-browser --port 8899", True),
        ("doctor --no-such-option", False),
        ("no-such-command", False),
        ("pretrain simclr --epochs three", False),
    ],
)
def test_wrong_commands_are_seen(line: str, accepted: bool, monkeypatch, capsys):
    assert parses(line.split(), monkeypatch) == accepted


def test_what_five_labels_are_worth_is_what_the_scoreboard_says():
    from sslkit import scoreboard, transfer

    table = scoreboard.load()
    curve = {row["labels_per_class"]: row["mean"] for row in scoreboard.find(table, method="supervised")}
    (row,) = scoreboard.find(table, method="vicreg", budget="long", labels_per_class=5)
    counts = sorted(curve)
    worth, low, high = (transfer.worth(row[key], counts, [curve[n] for n in counts]) for key in ("mean", "low", "high"))
    assert f"5 labels a class do what {worth:.0f} do without it (95 %: {low:.0f} to {high:.0f})" in " ".join(
        TEXT.split()
    )
    assert f"{row['settings']['steps']:,} steps of VICReg" in TEXT
