"""The assignments: a release holds no answer and no hidden test, and fails where it is marked; nbgrader marks them.

The round needs nbgrader in .venv-instructor (`make instructor`), and is skipped without it.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks" / "assignments"
NBGRADER = ROOT / ".venv-instructor" / "bin" / "nbgrader"


def load_build():
    spec = importlib.util.spec_from_file_location("assignments_build", FOLDER / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()
SOURCES = build.chosen([])
each = pytest.mark.parametrize("source", SOURCES, ids=build.name_of)


def graded_by_running(notebook: NotebookNode) -> set[str]:
    written = {c.metadata.nbgrader.grade_id for c in notebook.cells if build.is_written(c)}
    return set(build.points(notebook)) - written


# ------------------------------------------------------------------------------------------------------ each assignment


@each
def test_the_release_is_what_the_source_gives(source: Path):
    assert build.stale(source) == []


@each
def test_nothing_secret_is_in_the_release(source: Path):
    notebook = build.read(source)
    secrets, text = build.secrets(notebook), build.target(source).read_text(encoding="utf-8")
    released = "\n".join(cell.source for cell in nbformat.reads(text, as_version=4).cells)
    assert len(secrets) > 20
    assert not {line for line in secrets if line in released}
    assert not re.search(r"BEGIN|HIDDEN|SOLUTION", released)


@each
def test_the_release_is_valid_and_locked(source: Path):
    notebook = nbformat.read(build.target(source), as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        facts = cell.metadata.get("nbgrader")
        assert facts or cell.cell_type == "markdown"
        if facts:
            assert facts.checksum == build.checksum(cell) and facts.schema_version == 3
            assert cell.metadata.deletable is False and cell.metadata.get("editable", True) is not facts.locked


@each
def test_the_title_says_the_points(source: Path):
    notebook = build.read(source)
    given, running = build.points(notebook), graded_by_running(notebook)
    first = notebook.cells[0].source
    said = re.search(r"(\d+) points: (\d+) .*?code, (\d+) by", first, re.DOTALL)
    assert said
    total, by_code, by_reading = map(int, said.groups())
    assert total == sum(given.values()) and by_code == sum(given[name] for name in running)
    assert by_reading == total - by_code
    rows = re.findall(r"^\| \d \|.*\| ([\d +written]+) \|$", first, re.MULTILINE)
    assert sum(sum(map(int, re.findall(r"\d+", row))) for row in rows) == total


@pytest.mark.full
@pytest.mark.notebook
@each
def test_the_source_passes_and_the_release_fails_where_it_is_marked(source: Path):
    notebook = build.read(source)
    assert build.failing(notebook, FOLDER, SSLKIT_FAST="1") == {}
    raised = build.failing(build.release(notebook), FOLDER, SSLKIT_FAST="1")
    assert set(raised) == graded_by_running(notebook)


# ---------------------------------------------------------------------------------------------------------- the builder

GOOD = """
# %% [markdown]
# # A9 · Made up

# %% kind="answer" id="double"
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% kind="tests" id="test-double" points=2
assert double(1) == 2
### BEGIN HIDDEN TESTS
assert double(-3.5) == -7
### END HIDDEN TESTS

# %% [markdown] kind="written" id="why" points=3
# ### BEGIN SOLUTION
# Since two is twice one.
# ### END SOLUTION
"""


UNMARKED = """
# %% kind="answer" id="half"
def half(x):
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION

"""


def made_up(folder: Path, text: str = GOOD) -> Path:
    source = folder / "src" / "A9_made_up.py"
    source.parent.mkdir(exist_ok=True)
    source.write_text(text, encoding="utf-8")
    return source


def test_builder_makes_both(tmp_path: Path):
    source = made_up(tmp_path)
    assert build.build(source) == "A9: 5 points, 2 marked by running and 3 by a person"
    ours, theirs = (nbformat.read(build.target(source, kind), as_version=4) for kind in ("source", "release"))
    assert [c.source for c in theirs.cells] == [
        "# A9 · Made up",
        "def double(x):\n    # your code here\n    return ...",
        "assert double(1) == 2",
        "*Your answer here.*",
    ]
    assert "return 2 * x" in ours.cells[1].source and "-3.5" in ours.cells[2].source
    assert build.points(theirs) == {"test-double": 2, "why": 3}
    assert build.stale(source) == []
    made_up(tmp_path, GOOD.replace("== 2\n", "== 2.0\n"))
    assert build.stale(source) == ["A9.ipynb is not what its source gives"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"test-double"', '"double"', "two cells have the id double"),
        ("### END SOLUTION\n\n# %% kind", "\n\n# %% kind", "one whole solution block"),
        (" points=2", "", "test-double: is marked, and has no points"),
        ("### BEGIN HIDDEN TESTS", "", "has no hidden test"),
        ("### END HIDDEN TESTS", "", "has one marker without the other"),
        ('kind="tests" id="test-double" points=2', "", "has hidden tests, and is no cell of tests"),
        ("    ### ", "### ", "outside a function"),
        ('kind="answer"', 'kind="anser"', "of kind 'anser'; there are answer, tests, written, given"),
        ("# %% [markdown] kind", UNMARKED + "# %% [markdown] kind", "half: nothing marks it"),
        ('# %% kind="tests"', UNMARKED + '# %% kind="tests"', "double: nothing marks it"),
    ],
)
def test_builder_refuses(tmp_path: Path, old: str, new: str, message: str):
    assert old in GOOD
    with pytest.raises(build.lessons.BuildError, match=re.escape(message)):
        build.read(made_up(tmp_path, GOOD.replace(old, new)))


def test_unknown_assignment():
    with pytest.raises(build.lessons.BuildError, match="no assignment A99; there are: A1"):
        build.chosen(["A99"])


def test_secrets_that_are_left_are_seen(tmp_path: Path):
    notebook = build.read(made_up(tmp_path))
    assert build.secrets(notebook) >= {"return 2 * x", "assert double(-3.5) == -7", "Since two is twice one."}
    released = [cell.source for cell in build.release(notebook).cells]
    assert not [line for line in build.secrets(notebook) for text in released if line in text]


# ----------------------------------------------------------------------------------------------------- nbgrader's round

ENDLESS = "while True:\n        pass\n    "
ANSWERS = {  # by student: what stands in the place of the instructor's answer
    "right": {},
    # the first passes the tests that one sees, and fails a hidden one; the second is plainly wrong
    "wrong": {
        "band": ("% side <", "% 32 <"),
        "placed": (".mean()", ".sum()"),
    },
    "endless": {"blind": ("return (permutations", ENDLESS + "return (permutations")},
}
LOST = {"right": set(), "wrong": {"test-band", "test-placed", "test-blind"}, "endless": {"test-blind"}}


def handed_in(student: str) -> NotebookNode:
    """A submission: the release with answers in it."""
    notebook = build.read(build.chosen(["A1"])[0])
    submission = build.release(notebook)
    for cell, solved in zip(submission.cells, notebook.cells):
        facts = cell.metadata.get("nbgrader", {})
        if not facts.get("solution"):
            continue
        if cell.cell_type == "markdown":
            cell.source = "The band is narrow, so the rows win."
            continue
        body = re.sub(r"^[ \t]*### (BEGIN|END) SOLUTION\n?", "", solved.source, flags=re.MULTILINE)
        old, new = ANSWERS[student].get(facts.grade_id, ("", ""))
        assert old in body
        cell.source = body.replace(old, new).replace("the instructor", student)
    return submission


def tampered() -> NotebookNode:
    """Only the name is answered. Tests are emptied, one is deleted, one is worth more, the imports are changed."""
    submission = build.release(build.read(build.chosen(["A1"])[0]))
    cells = {c.metadata.get("nbgrader", {}).get("grade_id"): c for c in submission.cells}
    cells["student"].source = "def student():\n    return 'tampered'"
    for name in ("test-band", "test-placed"):
        cells[name].source = "pass"
    cells["test-lens"].metadata.nbgrader.points = 100
    cells["given-01"].source += "\ntorch.equal = torch.allclose = lambda *a, **k: True"
    submission.cells.remove(cells["test-corner"])
    return submission


@pytest.mark.full
@pytest.mark.skipif(not NBGRADER.exists(), reason="no nbgrader here: make instructor")
def test_a_whole_round(tmp_path: Path):
    """Generate, four submissions, autograde, feedback, export: the points that each must get, without a network."""
    source = build.chosen(["A1"])[0]
    notebook = build.read(source)
    (tmp_path / "src").mkdir()
    shutil.copy(source, tmp_path / "src")
    shutil.copy(FOLDER / "nbgrader_config.py", tmp_path)
    build.build(tmp_path / "src" / source.name)
    ours = nbformat.read(tmp_path / "release" / "A1" / "A1.ipynb", as_version=4)

    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "SSLKIT_ST"))}
    env |= {"PATH": os.pathsep.join([str(NBGRADER.parent), os.environ["PATH"]]), "PYTHONPATH": str(ROOT)}
    env |= {"SSLKIT_FAST": "1", "HOME": str(tmp_path), "SSLKIT_DATA": os.environ.get("SSLKIT_DATA", str(ROOT / "data"))}

    def nbgrader(*arguments: str) -> str:
        done = subprocess.run([str(NBGRADER), *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr

    nbgrader("generate_assignment", "A1", "--force")  # the release is there already, as in the repository
    theirs = nbformat.read(tmp_path / "release" / "A1" / "A1.ipynb", as_version=4)
    assert [c.source for c in theirs.cells] == [c.source for c in ours.cells]
    for mine, other in zip(ours.cells, theirs.cells):
        ours_says, theirs_says = mine.metadata.get("nbgrader", {}), other.metadata.get("nbgrader", {})
        assert ours_says == {key: theirs_says.get(key) for key in ours_says}, "the checksum above all"
        assert [mine.metadata.get(key) for key in ("deletable", "editable")] == [
            other.metadata.get(key) for key in ("deletable", "editable")
        ]

    for student, submission in {**{name: handed_in(name) for name in ANSWERS}, "tampered": tampered()}.items():
        path = tmp_path / "submitted" / student / "A1" / "A1.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(submission, path)
    nbgrader("autograde", "A1", "--Execute.timeout=20")
    nbgrader("generate_feedback", "A1")
    nbgrader("export", "--to", "grades.csv")

    with (tmp_path / "grades.csv").open() as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    given, running = build.points(notebook), graded_by_running(notebook)
    total = sum(given[name] for name in running)
    wanted = {student: total - sum(given[name] for name in lost) for student, lost in LOST.items()} | {"tampered": 1.0}
    scores = {student: float(row["raw_score"] or row["score"]) for student, row in rows.items()}
    print("\npoints by nbgrader:", scores)
    assert scores == wanted
    assert {float(row["max_score"]) for row in rows.values()} == {sum(given.values())}
    for student in wanted:
        page = (tmp_path / "feedback" / student / "A1" / "A1.html").read_text(encoding="utf-8")
        assert "BEGIN HIDDEN TESTS" in page or "Comments" in page, "the feedback is readable"
