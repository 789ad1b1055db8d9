"""Build the assignments, one way: src/A1_name.py -> release/A1/A1.ipynb (the students') and source/A1/A1.ipynb.

    python notebooks/assignments/build.py             every assignment
    python notebooks/assignments/build.py A1 A3       these
    python notebooks/assignments/build.py --check     write nothing: do the releases agree with their sources?
    python notebooks/assignments/build.py --run A1    run both: the source passes, the release fails where it is graded

A source is a py:percent script. A cell says in its first line what it is:

    # %% kind="answer" id="band"                     a function that the student writes
    # %% kind="tests" id="test-band" points=3        marked by running it; it may hold hidden tests
    # %% [markdown] kind="written" id="why" points=4     marked by a person
    # %% [markdown]   or   # %%                      text, or code that is read-only

What stands between `### BEGIN SOLUTION` and `### END SOLUTION` is the answer, between `### BEGIN HIDDEN TESTS` and
`### END HIDDEN TESTS` what students do not see. The release has a stub for the first and nothing for the second; the
source, in nbgrader's format (schema 3), has both, is not committed, and is what nbgrader marks by. Nothing here needs
nbgrader, and the release is the one that its `generate_assignment` makes.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
CODE_STUB = ("# your code here", "return ...")  # as in nbgrader_config.py
TEXT_STUB = ("*Your answer here.*",)
HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS[ \t]*\n?", re.DOTALL | re.MULTILINE)
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION.*?### END SOLUTION[ \t]*$", re.DOTALL | re.MULTILINE)
KINDS = {  # what nbgrader knows of a cell: grade, solution, locked
    "answer": (False, True, False),
    "tests": (True, False, True),
    "written": (True, True, False),
    "given": (False, False, True),
}


def _lessons():
    """The builder of the lessons, next door: it runs notebooks, and writes files."""
    spec = importlib.util.spec_from_file_location("lessons_build", HERE.parent / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lessons = _lessons()


# --------------------------------------------------------------------------------------------------------------------
# source -> the instructor's notebook -> the student's


def read(source: Path) -> NotebookNode:
    """The instructor's notebook: answers and hidden tests in it, and what nbgrader wants to know about each cell."""
    notebook = jupytext.reads(source.read_text(encoding="utf-8").lstrip(), fmt="py:percent")
    notebook.metadata = nbformat.from_dict(lessons.METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        given = dict(cell.metadata)
        kind = given.get("kind") or ("given" if cell.cell_type == "code" else None)
        cell["id"] = f"{name_of(source).lower()}-{number:03d}"
        cell.metadata, cell.source = nbformat.from_dict({}), cell.source.rstrip("\n")
        if kind is None:
            continue
        if kind not in KINDS:
            raise lessons.BuildError(f"{source.name}: cell {number} is of kind {kind!r}; there are {', '.join(KINDS)}")
        grade, solution, locked = KINDS[kind]
        facts = {"schema_version": 3, "grade_id": given.get("id") or f"given-{number:02d}", "task": False}
        facts |= {"grade": grade, "solution": solution, "locked": locked}
        facts |= {"points": given.get("points", 0)} if grade else {}
        cell.metadata = nbformat.from_dict({"nbgrader": facts})
    wrong = list(complaints(notebook))
    if wrong:
        raise lessons.BuildError("\n  ".join([f"{source.name}:", *wrong]))
    return notebook


def complaints(notebook: NotebookNode) -> Iterator[str]:
    """What would not work as an assignment."""
    seen: set[str] = set()
    waiting = ""  # an answer that nothing has marked yet
    for number, cell in enumerate(notebook.cells):
        facts = cell.metadata.get("nbgrader", {})
        name = facts.get("grade_id", f"cell {number}")
        if facts and name in seen:
            yield f"two cells have the id {name}"
        seen.add(name)
        if bool(facts.get("solution")) != bool(SOLUTION.search(cell.source)):
            yield f"{name}: an answer needs one whole solution block, and only an answer may have one"
        if facts.get("grade") and not facts["points"] > 0:
            yield f"{name}: is marked, and has no points"
        if facts.get("grade") and cell.cell_type == "code" and not HIDDEN.search(cell.source):
            yield f"{name}: has no hidden test"
        if HIDDEN.search(cell.source) and not (facts.get("grade") and facts.get("locked")):
            yield f"{name}: has hidden tests, and is no cell of tests"
        stripped = HIDDEN.sub("", SOLUTION.sub("", cell.source))
        if "# BEGIN" in stripped or "# END" in stripped:
            yield f"{name}: has one marker without the other"
        if cell.cell_type == "code" and facts.get("solution"):
            if any(not match[1] for match in SOLUTION.finditer(cell.source)):
                yield f"{name}: the answer stands outside a function, where the stub `return ...` cannot"
            if waiting:
                yield f"{waiting}: nothing marks it"
            waiting = name
        elif facts.get("grade") and cell.cell_type == "code":
            waiting = ""
    if waiting:
        yield f"{waiting}: nothing marks it"


def release(notebook: NotebookNode) -> NotebookNode:
    """The student's notebook: no answer and no hidden test in it, and what is marked cannot be deleted."""
    student = copy.deepcopy(notebook)
    for cell in student.cells:
        stub = CODE_STUB if cell.cell_type == "code" else TEXT_STUB
        cell.source = SOLUTION.sub(lambda match, stub=stub: "\n".join(match[1] + line for line in stub), cell.source)
        cell.source = HIDDEN.sub("", cell.source).rstrip("\n")
        facts = cell.metadata.get("nbgrader")
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if facts:
            cell.metadata["deletable"] = False
            if facts.locked:
                cell.metadata["editable"] = False
            if facts.grade or facts.solution or facts.locked:
                facts["checksum"] = checksum(cell)
    return student


def checksum(cell: NotebookNode) -> str:
    """nbgrader's mark of an untouched cell: MD5 of what it is and says. An answer that still has it gets 0 points."""
    facts = cell.metadata.nbgrader
    parts = [cell.source, cell.cell_type, str(facts.grade), str(facts.solution), str(facts.locked), facts.grade_id]
    parts += [str(float(facts.points))] if facts.grade else []
    return hashlib.md5("".join(parts).encode()).hexdigest()


def secrets(notebook: NotebookNode) -> set[str]:
    """The lines that stand in answers and hidden tests alone, and nowhere else in the notebook."""
    said, open_lines = set(), set()
    for cell in notebook.cells:
        for match in (*SOLUTION.finditer(cell.source), *HIDDEN.finditer(cell.source)):
            said |= {line.strip() for line in match[0].splitlines()}
        rest = HIDDEN.sub("", SOLUTION.sub("", cell.source))
        open_lines |= {line.strip() for line in rest.splitlines()}
    return {line for line in said - open_lines if len(line) > 8}


def points(notebook: NotebookNode) -> dict[str, float]:
    """Points by the id of the cell that they are given for."""
    marked = (c.metadata.get("nbgrader", {}) for c in notebook.cells)
    return {facts["grade_id"]: facts["points"] for facts in marked if facts.get("grade")}


# --------------------------------------------------------------------------------------------------------------------
# running


def failing(notebook: NotebookNode, folder: Path, timeout: float = 600, **environment: str) -> dict[str, str]:
    """Run all cells, also after a failure: the ids of those that raise, with what they raise."""
    ran = copy.deepcopy(notebook)
    for cell in ran.cells:  # an error is noted, and the next cell runs
        cell.metadata["tags"] = ["raises-exception"]
    lessons.run(ran, folder, timeout=timeout, **environment)
    raised = {}
    for original, cell in zip(notebook.cells, ran.cells):
        name = original.metadata.get("nbgrader", {}).get("grade_id", cell.id)
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                raised[name] = f"{output.ename}: {output.evalue}"
            elif output.output_type == "stream" and output.name == "stderr" and name in points(notebook):
                raised[name] = f"writes to stderr, for which nbgrader gives 0 points: {output.text[:200]}"
    return raised


# --------------------------------------------------------------------------------------------------------------------
# files


def name_of(source: Path) -> str:
    return source.stem.partition("_")[0]


def target(source: Path, kind: str = "release") -> Path:
    return source.parent.parent / kind / name_of(source) / f"{name_of(source)}.ipynb"


def build(source: Path) -> str:
    """Write both notebooks of one source; return a line that says what is in them."""
    notebook = read(source)
    for kind, made in (("source", notebook), ("release", release(notebook))):
        path = target(source, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        lessons.write(path, nbformat.writes(made) + "\n")
    given = points(notebook)
    written = sum(given[c.metadata.nbgrader.grade_id] for c in notebook.cells if is_written(c))
    total = sum(given.values())
    return f"{name_of(source)}: {total:g} points, {total - written:g} marked by running and {written:g} by a person"


def is_written(cell: NotebookNode) -> bool:
    return cell.cell_type == "markdown" and bool(cell.metadata.get("nbgrader", {}).get("grade"))


def stale(source: Path) -> list[str]:
    """What in the release disagrees with its source; empty if it is current."""
    path = target(source)
    if not path.exists():
        return [f"{path.name} is missing"]
    wanted = nbformat.writes(release(read(source))) + "\n"
    return [] if path.read_text(encoding="utf-8") == wanted else [f"{path.name} is not what its source gives"]


def chosen(names: list[str], folder: Path = HERE) -> list[Path]:
    sources = sorted((folder / "src").glob("A[0-9]*_*.py"))
    unknown = set(names) - {name_of(source) for source in sources}
    if unknown:
        there = ", ".join(map(name_of, sources)) or "none"
        raise lessons.BuildError(f"no assignment {', '.join(sorted(unknown))}; there are: {there}")
    return [source for source in sources if not names or name_of(source) in names]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="A1, A2, … (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a release is out of date")
    parser.add_argument("--run", action="store_true", help="run source and release, and say which cells fail")
    options = parser.parse_args(arguments)
    failed = False
    try:
        for source in chosen(options.names):
            if options.check:
                for complaint in stale(source):
                    failed = True
                    print(f"FAILED {complaint}. Rebuild: make assignments", file=sys.stderr)
            elif options.run:
                notebook = read(source)
                for kind, made in (("source", notebook), ("release", release(notebook))):
                    raised = failing(made, HERE)
                    print(f"{name_of(source)} {kind}: {', '.join(raised) or 'nothing'} fails", flush=True)
                    if kind == "source":
                        failed |= bool(raised)
                        for name, why in raised.items():
                            print(f"  {name}: {why}", file=sys.stderr)
            else:
                print(build(source), flush=True)
    except lessons.BuildError as error:
        print(error, file=sys.stderr)
        return 2
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
