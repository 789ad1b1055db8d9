"""What sets a machine up: Makefile, pyproject.toml, constraints.txt, environment.yml and .ci/run agree.

Not tested here, because it needs conda's servers: whether conda solves environment.yml, and Binder's image.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import sslkit

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PHONY = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()  # type: ignore[index]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # a make that runs these tests passes its own flags on; this one is another make
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "ARGS")}
    return subprocess.run(["make", *arguments], cwd=cwd, env=env, capture_output=True, text=True)


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    exact = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in exact), "only exact versions belong there"
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in exact)}


def outside(requirements: list[str], pinned: dict[str, str]) -> list[str]:
    """The requirements that the pinned versions do not meet."""
    wrong = []
    for text in requirements:
        requirement = Requirement(text)
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{text}: pinned is {version}")
    return wrong


def test_constraints_meet_the_ranges():
    assert outside(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"], pins()) == []


def test_a_pin_outside_its_range_is_seen():
    assert outside(["torch>=2.11", "numpy"], {"torch": "2.10.0"}) == [
        "torch>=2.11: pinned is 2.10.0",
        "numpy: pinned is None",
    ]


def test_ranges_are_ranges():
    for text in PROJECT["dependencies"]:
        assert not any(part.operator == "==" for part in Requirement(text).specifier), (
            f"{text} breaks on the next Python"
        )


def test_changelog_speaks_of_this_version():
    assert f"\n## {sslkit.__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def environment_errors(environment: dict) -> list[str]:
    """What conda, pip or Binder would stumble over; the syntax as far as it can be told without them."""
    errors = [f"unknown key {key}" for key in set(environment) - {"name", "channels", "dependencies"}]
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    pip = [line for entry in environment["dependencies"] if isinstance(entry, dict) for line in entry.get("pip", [])]
    errors += [
        f"{entry!r} is no conda package" for entry in conda if not re.fullmatch(r"[a-z0-9_.-]+(=[\d.]+)?", entry)
    ]
    python = [entry.partition("=")[2] for entry in conda if entry.startswith("python")]
    if len(python) != 1 or not re.fullmatch(r"3\.\d+", python[0]):
        errors.append("python needs one exact minor version: Binder reads a range as any Python")
    elif not SpecifierSet(PROJECT["requires-python"]).contains(f"{python[0]}.0"):
        errors.append(f"python {python[0]} is outside {PROJECT['requires-python']}")
    if pip and "pip" not in conda:
        errors.append("a pip section needs pip among conda's packages")
    if "-e ." not in pip:
        errors.append("the package itself is not installed")
    errors += [f"{line} belongs into pyproject.toml" for line in pip if line not in ("-e .", "-c constraints.txt")]
    return errors


def test_environment_for_conda():
    assert environment_errors(ENVIRONMENT) == []
    assert not (ROOT / "binder").exists(), "a folder binder/ hides environment.yml from Binder"


@pytest.mark.parametrize(
    "dependencies",
    [
        ["python>=3.11", "pip", {"pip": ["-e ."]}],
        ["python=3.10", "pip", {"pip": ["-e ."]}],
        ["python=3.11", {"pip": ["-e ."]}],
        ["python=3.11", "pip", {"pip": []}],
        ["python=3.11", "pip", {"pip": ["-e .", "numpy==1.0"]}],
        ["python=3.11", "pip", "num py", {"pip": ["-e ."]}],
    ],
)
def test_a_wrong_environment_is_seen(dependencies: list):
    assert environment_errors({"name": "sslkit", "channels": ["conda-forge"], "dependencies": dependencies})


@needs_make
def test_help_lists_every_target():
    said = make("help")
    assert said.returncode == 0
    listed = re.findall(r"^  make ([a-z-]+) ", said.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(PHONY)
    assert make().stdout == said.stdout, "help is what `make` alone does"


@needs_make
@pytest.mark.parametrize("target", PHONY)
def test_target_can_be_planned(target: str):
    said = make("--dry-run", target)
    assert said.returncode == 0, said.stderr


@pytest.fixture
def fresh(tmp_path: Path):
    """A folder with the Makefile and a .venv whose python only writes down how it was called. Returns that list."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text('#!/bin/sh\necho "$@" >> calls\ncase "$*" in *"$(cat fail)"*) exit 1;; esac\n')
    (binaries / "python").chmod(0o755)
    (tmp_path / "fail").write_text("nothing fails")

    def run(*arguments: str) -> tuple[int, list[str]]:
        (tmp_path / "calls").write_text("")
        code = make(*arguments, cwd=tmp_path).returncode
        return code, (tmp_path / "calls").read_text().splitlines()

    return run, tmp_path


@needs_make
def test_sets_up_once_and_again_when_the_packages_change(fresh):
    run, folder = fresh
    code, calls = run("lab", "ARGS=--no-browser")
    assert code == 0 and len(calls) == 2
    assert "-m pip" in calls[0] and "install -c constraints.txt -e ." in calls[0]
    assert calls[1] == "-m sslkit lab --no-browser"
    assert run("lab")[1] == ["-m sslkit lab"], "a second run installs nothing"
    assert "-e .[test]" in run("test")[1][0], "the tests add what they need"
    assert not any("pip" in call for target in ("test", "lab") for call in run(target)[1])
    os.utime(folder / "constraints.txt", (2**31, 2**31))
    assert "pip" in run("lab")[1][0], "other packages are installed"


@needs_make
@pytest.mark.parametrize("part", ["pip", "not notebook", "notebook and", "--nbval-lax", "browser and"])
def test_a_failed_part_fails_and_stops(fresh, part: str):
    run, folder = fresh
    (folder / "fail").write_text(part)
    code, calls = run("test")
    assert code != 0 and part in calls[-1]


@needs_make
def test_no_fitting_python_is_said(tmp_path: Path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    said = make("lab", "PYTHON=", cwd=tmp_path)
    assert said.returncode != 0 and "No Python 3.11, 3.12 or 3.13 found" in said.stdout + said.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_make_test_with_a_browser():
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    assert text.rstrip().splitlines()[-1] == "make test"
    assert "set -euo pipefail" in text and "export SSLKIT_REQUIRE_BROWSER=1" in text
