"""The lessons as files: built from their sources, executed, readable, and with no number that nothing stands behind.

Each rule is a function notebook -> complaints. It is applied to every lesson, and tried on a lesson made up here, once
as it should be and once broken. The lessons' cells themselves run under nbval: see `make test`.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
SOLUTIONS = sorted(NOTEBOOKS.glob("solutions/[0-9][0-9]_*.ipynb"))
SOURCES = sorted(NOTEBOOKS.glob("src/[0-9][0-9]_*.py"))
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
each_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)


def load_build(path: Path = NOTEBOOKS / "build.py"):
    spec = importlib.util.spec_from_file_location("build", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def is_checked(cell: NotebookNode) -> bool:
    return bool(re.search(r"^\s*#\s*NBVAL_CHECK_OUTPUT\s*$", cell.source, re.MULTILINE))


# --------------------------------------------------------------------------------------------------------------------
# the rules


def executed(notebook: NotebookNode) -> Iterator[str]:
    counts = [cell.execution_count for cell in code(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"not executed once, from top to bottom: {counts}"
    for cell in code(notebook):
        raises = "raises-exception" in cell.metadata.get("tags", [])
        if not raises and any(output.output_type == "error" for output in cell.outputs):
            yield f"{cell.id}: ended in an error"


def checked_cells(notebook: NotebookNode) -> Iterator[str]:
    checked = [cell for cell in code(notebook) if is_checked(cell)]
    if not checked:
        yield "no cell has NBVAL_CHECK_OUTPUT: nbval would compare nothing"
    for cell in checked:
        if not cell.outputs:
            yield f"{cell.id}: is to be checked, but has no output"
        if cell.source.rstrip().endswith(";"):
            yield f"{cell.id}: ends in `;`, which hides what should be checked"


def light(notebook: NotebookNode) -> Iterator[str]:
    if "widgets" in notebook.metadata:
        yield "widget state: some viewers refuse to show the notebook"
    size = len(nbformat.writes(notebook).encode())
    if size > build.MAX_BYTES:
        yield f"{size} bytes, more than {build.MAX_BYTES}"


def short_cells(notebook: NotebookNode) -> Iterator[str]:
    lengths = {cell.id: sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in code(notebook)}
    long = {name: n for name, n in lengths.items() if n > 10}
    if len(long) > 0.15 * len(lengths):
        yield f"more than 15 % of the {len(lengths)} code cells have more than 10 lines: {long}"
    for name, n in lengths.items():
        if n > 30:
            yield f"{name}: {n} lines, more than 30"


def described_figures(notebook: NotebookNode) -> Iterator[str]:
    following = [*notebook.cells[1:], None]
    for cell, after in zip(notebook.cells, following):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            text = after.source if after is not None and after.cell_type == "markdown" else ""
            if not re.search(r"^\*Figure:", text, re.MULTILINE):
                yield f"{cell.id}: draws a figure, but no line `*Figure: …` in the next cell says what it shows"


def ordered_headings(notebook: NotebookNode) -> Iterator[str]:
    above = 0
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        for marks, title in re.findall(r"^(#+) +(.+)$", without_code(cell.source), re.MULTILINE):
            level = len(marks)
            if level > above + 1:
                yield f"{cell.id}: '{title}' is a heading of level {level} under one of level {above}"
            if level == 1 and above > 0:
                yield f"{cell.id}: '{title}' is a second title"
            above = level


def without_code(markdown: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", markdown, flags=re.DOTALL)


RULES = [executed, checked_cells, light, short_cells, described_figures, ordered_headings]


# --------------------------------------------------------------------------------------------------------------------
# numbers in prose: `0.831<!-- sb:supervised/10 -->`, `83 %<!-- sb:vicreg/10/long -->`, `0.62<!-- ex:01:a.b -->`

NUMBER = r"(?P<number>[-−]?\d[\d,]*(?:\.\d+)?)(?P<percent>\s*%)?"
MARK = re.compile(NUMBER + r"\s*<!--\s*(?P<kind>sb|ex):(?P<key>.*?)\s*-->")
ANY_MARK = re.compile(r"<!--\s*(?:sb|ex):.*?-->")
MEASURED = re.compile(r"(?<![\w.])\d{1,3}\.\d{2,}(?![\w.]*\d)")  # and neither a version nor a paper's arXiv number


def wrong_numbers(markdown: str, folder: Path) -> Iterator[str]:
    """Where the text says other than the measurement that it points to."""
    if len(ANY_MARK.findall(markdown)) != len(MARK.findall(markdown)):
        yield f"a mark without a number before it: {ANY_MARK.findall(markdown)}"
    for match in MARK.finditer(markdown):
        try:
            value = from_scoreboard(match["key"], folder) if match["kind"] == "sb" else from_file(match["key"], folder)
        except (LookupError, ValueError, OSError) as error:
            yield f"{match[0]}: {error}"
            continue
        printed = Decimal(match["number"].replace("−", "-").replace(",", ""))
        half_a_digit = 0.5 * 10.0 ** int(printed.as_tuple().exponent)
        measured = value * 100 if match["percent"] else value
        if not math.isfinite(measured) or abs(measured - float(printed)) > half_a_digit + 1e-9:
            yield f"{match[0]}: the text says {match['number']}{match['percent'] or ''}, measured was {measured:.6g}"


def from_scoreboard(key: str, folder: Path) -> float:
    """METHOD/LABELS[/long][/other value of the row][:field]: one row of scoreboard.json, and its mean unless said."""
    name, _, field = key.partition(":")
    method, labels, *more = name.split("/")
    wanted = {"budget": "lesson", "data": "photodigits"}
    found = []
    for row in json.loads((folder / "scoreboard.json").read_text(encoding="utf-8"))["rows"]:
        said = [k for k in ("budget", "data", "task", "metric", "block") if str(row.get(k)) in more]
        usual = all(row.get(k) == v for k, v in wanted.items() if k not in said)
        if row["method"] == method and str(row["labels_per_class"]) == labels and len(said) >= len(more) and usual:
            found.append(row)
    if len(found) != 1:
        raise LookupError(f"{len(found)} rows of scoreboard.json fit")
    return float(found[0][field or "mean"])


def from_file(key: str, folder: Path) -> float:
    """NN:path.to.value in experiments/NN.json; a number in the path counts the entries of a list."""
    name, _, path = key.partition(":")
    value = json.loads((folder / "experiments" / f"{name}.json").read_text(encoding="utf-8"))
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return float(value)


def loose_numbers(notebook: NotebookNode) -> Iterator[str]:
    """A number with two decimals or more in prose is marked, or stands in the code or in the outputs of the lesson."""
    known = "\n".join(cell.source + json.dumps(without_images(cell.outputs)) for cell in code(notebook))
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        text = re.sub(
            r"\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)", "", MARK.sub("", without_code(cell.source)), flags=re.DOTALL
        )
        for number in MEASURED.findall(text):
            if not re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", known):
                yield f"{cell.id}: {number} stands in no cell of the lesson; give its source: {number}<!-- sb:… -->"


def without_images(outputs: list[NotebookNode]) -> list[object]:
    return [{k: v for k, v in o.get("data", o).items() if not k.startswith("image/")} for o in outputs]


# --------------------------------------------------------------------------------------------------------------------
# applied to the course


def test_the_course_has_lessons():
    assert SOURCES, "no sources in notebooks/src"
    assert [p.stem for p in LESSONS] == [p.stem for p in SOURCES] == [p.stem for p in SOLUTIONS], "run make notebooks"


def test_built_notebooks_agree_with_their_sources():
    done = subprocess.run([sys.executable, NOTEBOOKS / "build.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@each_lesson
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_lesson(path: Path, rule: Callable[[NotebookNode], Iterator[str]]):
    nbformat.validate(read(path))
    assert list(rule(read(path))) == []


@each_lesson
def test_numbers_in_prose(path: Path):
    notebook = read(path)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert [complaint for text in prose for complaint in wrong_numbers(text, NOTEBOOKS)] == []
    assert list(loose_numbers(notebook)) == []


@pytest.mark.parametrize("name", ["README.md", "notebooks/README.md", "data/README.md"])
def test_numbers_in_readme(name: str):
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"no {name}")
    assert list(wrong_numbers(path.read_text(encoding="utf-8"), NOTEBOOKS)) == []


class Colab:
    """Just enough of Google Colab for the first cell: a shell, and the module that allows widgets of others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path):
        self.said: list[str] = []
        output = ModuleType("google.colab.output")
        output.enable_custom_widget_manager = lambda: self.said.append("widgets")
        colab = ModuleType("google.colab")
        colab.output = output
        monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
        monkeypatch.setitem(sys.modules, "google.colab", colab)
        monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.chdir(folder)

    def system(self, command: str) -> None:
        self.said.append(command)
        Path("course").mkdir()

    def run(self, address: str) -> list[str]:
        self.said.clear()
        exec(build.COLAB.replace('COURSE = ""', f'COURSE = "{address}"'), {"get_ipython": lambda: self})
        return self.said


def test_the_first_cell_does_nothing_outside_colab(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    before = list(sys.path)
    exec(build.COLAB, {})
    assert sys.path == before and not list(tmp_path.iterdir())


def test_the_first_cell_fetches_the_course_on_colab(monkeypatch, tmp_path):
    colab = Colab(monkeypatch, tmp_path)
    with pytest.raises(AssertionError, match="address of your copy"):
        colab.run("")
    command, widgets = colab.run("https://example.org/me/course")
    assert command.startswith("git clone -q --depth 1 https://example.org/me/course course && ")
    assert command.endswith("pip install -q -e course") and widgets == "widgets"
    assert sys.path[0] == str(tmp_path / "course")
    assert colab.run("") == ["widgets"], "after a restart it is there"


@each_lesson
def test_stubs_take_the_place_of_solutions(path: Path):
    blocks = (NOTEBOOKS / "src" / f"{path.stem}.py").read_text(encoding="utf-8").count("### BEGIN SOLUTION")
    text = "\n".join(cell.source for cell in read(path).cells)
    solved = "\n".join(cell.source for cell in read(path.parent / "solutions" / path.name).cells)
    assert len(re.findall(r"# your code here\n[^\n]*\.\.\.$", text, re.MULTILINE)) == blocks
    assert "your code here" not in solved
    assert not re.search(r"### (BEGIN|END) SOLUTION", text + solved)


@each_solution
@pytest.mark.notebook
def test_solutions_pass_their_checks(path: Path):
    build.run(read(path), NOTEBOOKS, SSLKIT_FAST="1", SSLKIT_STRICT="1", SSLKIT_STRICT_INTERRUPT="1")


@each_lesson
@pytest.mark.notebook
def test_stubs_do_not_pass_the_checks(path: Path):
    if "your code here" not in path.read_text(encoding="utf-8"):
        pytest.skip("no exercise")
    with pytest.raises(CellExecutionError):
        build.run(read(path), NOTEBOOKS, SSLKIT_FAST="1", SSLKIT_STRICT="1", SSLKIT_STRICT_INTERRUPT="1")


# --------------------------------------------------------------------------------------------------------------------
# the rules themselves: a lesson as it should be, then broken in one way at a time


def good_lesson() -> NotebookNode:
    figure = new_output("display_data", data={"image/png": "AAAA", "text/plain": "<Figure>"})
    cells = [
        new_markdown_cell("# Title\n\nWhy 0.25 here?", id="title"),
        new_code_cell(
            "# NBVAL_CHECK_OUTPUT\nprint(1 / 4)",
            id="check",
            execution_count=1,
            outputs=[new_output("stream", name="stdout", text="0.25\n")],
        ),
        new_markdown_cell("## Part\n\n```\n# not a heading\n```\n### Detail", id="part"),
        new_code_cell("plot()", id="plot", execution_count=2, outputs=[figure]),
        new_markdown_cell("What it shows.\n\n*Figure: a line.*", id="figure"),
    ]
    return new_notebook(cells=cells, metadata=build.METADATA)


def long_cell(notebook: NotebookNode) -> None:
    notebook.cells[1].source += "\nx = 1" * 40


def error_output(notebook: NotebookNode) -> None:
    notebook.cells[1].outputs.append(new_output("error", ename="E", evalue="", traceback=[]))


BROKEN = {
    "not run": (executed, lambda n: n.cells[1].update(execution_count=None)),
    "other order": (executed, lambda n: n.cells[1].update(execution_count=7)),
    "error": (executed, error_output),
    "nothing checked": (checked_cells, lambda n: n.cells[1].update(source="print(1)")),
    "no output": (checked_cells, lambda n: n.cells[1].update(outputs=[])),
    "semicolon": (checked_cells, lambda n: n.cells[1].update(source="# NBVAL_CHECK_OUTPUT\n1 / 4;")),
    "widget state": (light, lambda n: n.metadata.update(widgets={})),
    "too large": (light, lambda n: n.cells[0].update(source="x" * 500_001)),
    "long cell": (short_cells, long_cell),
    "no description": (described_figures, lambda n: n.cells[4].update(source="A line.")),
    "nothing after a figure": (described_figures, lambda n: n.cells.pop()),
    "level left out": (ordered_headings, lambda n: n.cells[2].update(source="### Detail")),
    "two titles": (ordered_headings, lambda n: n.cells[2].update(source="# Title")),
    "number from nowhere": (loose_numbers, lambda n: n.cells[0].update(source="# Title\n\nAbout 0.26.")),
}


def test_rules_accept_a_good_lesson():
    for rule in [*RULES, loose_numbers]:
        assert list(rule(good_lesson())) == [], rule.__name__


@pytest.mark.parametrize("name", BROKEN)
def test_rules_see_what_is_broken(name: str):
    rule, harm = BROKEN[name]
    notebook = good_lesson()
    harm(notebook)
    assert list(rule(notebook)), f"{rule.__name__} accepts a lesson with: {name}"


@pytest.fixture
def measurements(tmp_path: Path) -> Path:
    usual = {"data": "photodigits", "task": "class", "budget": "lesson", "metric": "accuracy"}
    rows = [
        {"method": "supervised", "labels_per_class": 10, "mean": 0.8312, "std": 0.0131, **usual},
        {"method": "supervised", "labels_per_class": 10, "mean": 0.9, "std": 0.01, **usual, "budget": "long"},
        {"method": "future", "labels_per_class": 10, "mean": 0.70, "std": 0.02, **usual, "data": "movingdigits"},
        {"method": "twice", "labels_per_class": 1, "mean": 0.1, "std": 0.0, **usual},
        {"method": "twice", "labels_per_class": 1, "mean": 0.2, "std": 0.0, **usual},
    ]
    (tmp_path / "scoreboard.json").write_text(json.dumps({"rows": rows}))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "01.json").write_text(json.dumps({"curve": [{"gain": -0.052}]}))
    return tmp_path


RIGHT = [
    "scores 0.831<!-- sb:supervised/10 --> here",
    "0.83 <!--sb:supervised/10-->",
    "83 %<!-- sb:supervised/10 -->",
    "0.831 ± 0.013<!-- sb:supervised/10:std -->",
    "0.90<!-- sb:supervised/10/long -->",
    "0.7<!-- sb:future/10/movingdigits -->",
    "by −0.05<!-- ex:01:curve.0.gain -->",
    "no number at all",
]
WRONG = [
    "0.832<!-- sb:supervised/10 -->",
    "0.84<!-- sb:supervised/10 -->",
    "84 %<!-- sb:supervised/10 -->",
    "0.831<!-- sb:supervised/10/long -->",
    "0.831<!-- sb:supervised/20 -->",
    "0.7<!-- sb:future/10 -->",
    "0.1<!-- sb:twice/1 -->",
    "0.831<!-- sb:supervised/10:media -->",
    "0.05<!-- ex:01:curve.0.gain -->",
    "0.05<!-- ex:01:curve.1.gain -->",
    "0.05<!-- ex:02:curve.0.gain -->",
    "much<!-- sb:supervised/10 -->",
]


@pytest.mark.parametrize("text", RIGHT)
def test_right_number_is_accepted(text: str, measurements: Path):
    assert list(wrong_numbers(text, measurements)) == []


@pytest.mark.parametrize("text", WRONG)
def test_wrong_number_is_seen(text: str, measurements: Path):
    assert list(wrong_numbers(text, measurements))


# --------------------------------------------------------------------------------------------------------------------
# the builder, on a lesson in a temporary folder

SOURCE = """
# %% [markdown]
# # A lesson

# %%
# NBVAL_CHECK_OUTPUT
import os
from tqdm.auto import tqdm

for _ in tqdm(range(2)):
    pass
print(1 + 1, os.environ.get("SSLKIT_FAST"))
object()


# %% tags=["exercise"]
def double(x):
    ### BEGIN SOLUTION
    y = sum(
        [x, x]
    )
    return y
    ### END SOLUTION


### BEGIN SOLUTION
four = double(2)
### END SOLUTION
if os.environ.get("SSLKIT_STRICT"):
    assert four == 4

# %%
import matplotlib.pyplot as plt

plt.figure(figsize=(1, 1))
plt.plot([1, 2]);

# %% [markdown]
# *Figure: nothing yet.*
"""


@pytest.fixture
def course(tmp_path: Path):
    """A copy of the builder beside one lesson, and that lesson's source."""
    (tmp_path / "notebooks" / "src").mkdir(parents=True)
    shutil.copy(NOTEBOOKS / "build.py", tmp_path / "notebooks")
    source = tmp_path / "notebooks" / "src" / "07_trial.py"
    source.write_text(SOURCE, encoding="utf-8")
    return load_build(tmp_path / "notebooks" / "build.py"), source


@pytest.mark.notebook
def test_build_is_repeatable_and_check_sees_a_change(course, monkeypatch, capsys):
    builder, source = course
    monkeypatch.setenv("SSLKIT_FAST", "1")  # must not reach what is stored
    assert builder.main([]) == 0
    lesson, solutions = builder.paths(source)
    first = lesson.read_bytes(), solutions.read_bytes()
    assert builder.main(["07"]) == 0
    assert (lesson.read_bytes(), solutions.read_bytes()) == first
    assert builder.main(["--check"]) == 0

    colab, *cells = code(read(lesson))
    assert colab.source == builder.COLAB and not colab.outputs, "it does nothing here"
    assert [output.get("text") or output.data["text/plain"] for output in cells[0].outputs] == [
        "2 None\n",
        "<object at 0x…>",
    ], "the progress bar is gone, the address is gone, SSLKIT_FAST was not set"
    assert "    # your code here\n    return ..." in cells[1].source
    assert "\n# your code here\nfour = ..." in cells[1].source
    assert "Software" not in str(json.loads(lesson.read_text())) and b"tEXtSoftware" not in png(cells[2])
    for rule in RULES:
        assert list(rule(read(lesson))) == [], rule.__name__

    solved = read(solutions)
    assert "return y" in solved.cells[3].source and not any(cell.outputs for cell in code(solved))
    builder.run(read(solutions), source.parent, SSLKIT_STRICT="1")
    with pytest.raises(CellExecutionError):
        builder.run(read(lesson), source.parent, SSLKIT_STRICT="1")

    source.write_text(SOURCE.replace("1 + 1", "1 + 2"), encoding="utf-8")
    assert builder.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "07_trial.ipynb: cell 07-trial-001 has another source" in said and "build.py 07_trial" in said
    lesson.rename(lesson.with_name("08_orphan.ipynb"))
    assert builder.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "08_orphan.ipynb has no source" in said and "07_trial.ipynb is missing" in said


def png(cell: NotebookNode) -> bytes:
    return base64.b64decode(cell.outputs[0].data["image/png"])


@pytest.mark.notebook
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("print(1 / 0)", "ZeroDivisionError"),
        ("import sys; print('oh', file=sys.stderr)", "writes to stderr"),
        ("import random; random.randbytes(400_000).hex()", "would have"),
    ],
)
def test_build_refuses(course, capsys, harm: str, message: str):
    builder, source = course
    source.write_text(SOURCE.replace("print(1 + 1", f"{harm}\nprint(1 + 1").replace("object()\n", ""), encoding="utf-8")
    if "hex" in harm:
        source.write_text(SOURCE.replace("object()", harm), encoding="utf-8")
    assert builder.main([]) == 1
    assert message in capsys.readouterr().err
    assert not builder.paths(source)[0].exists(), "a failed build leaves nothing behind"


def test_build_refuses_half_a_solution(course, capsys):
    builder, source = course
    source.write_text(SOURCE.replace("    ### END SOLUTION", "", 1), encoding="utf-8")
    assert builder.main(["--check"]) == 1 or "one solution marker" in capsys.readouterr().err
    assert builder.main(["99"]) == 2


# --------------------------------------------------------------------------------------------------------------------
# nbval as repaired by notebooks/conftest.py: what must fail, fails, and quickly

TRIALS = {  # name: (source of a cell, stored output, tags, does it pass?)
    "sum": ("# NBVAL_CHECK_OUTPUT\nprint(2)", "2\n", [], True),
    "sum_differs": ("# NBVAL_CHECK_OUTPUT\nprint(2)", "3\n", [], False),
    "never_run": ("# NBVAL_CHECK_OUTPUT\nprint(2)", None, [], False),
    "semicolon": ("# NBVAL_CHECK_OUTPUT\nprint(2)\n5;", "2\n", [], True),
    "raises": ("1 / 0", "", ["raises-exception"], True),
    "raises_not": ("1 / 1", "", ["raises-exception"], False),
    "dies": ("import os\nos._exit(1)", "", [], False),
    "swallows": (
        "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    pass",
        "",
        [],
        False,
    ),
}


@pytest.mark.notebook
def test_nbval_is_repaired(tmp_path: Path):
    shutil.copy(NOTEBOOKS / "conftest.py", tmp_path)
    for name, (source, text, tags, _) in TRIALS.items():
        outputs = [new_output("stream", name="stdout", text=text)] if text else []
        cell = new_code_cell(source, execution_count=None if text is None else 1, outputs=outputs)
        cell.metadata["tags"] = tags
        nbformat.write(new_notebook(cells=[cell], metadata=build.METADATA), tmp_path / f"{name}.ipynb")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    arguments = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=4", "-p", "no:cacheprovider", "-q"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "--junitxml=result.xml", "."],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
    cases = list(ET.parse(tmp_path / "result.xml").iter("testcase"))
    passed = {name_of(case): case.find("failure") is None and case.find("error") is None for case in cases}
    assert passed == {name: passes for name, (*_, passes) in TRIALS.items()}
    seconds = {name_of(case): float(case.get("time", 0)) for case in cases}
    assert seconds["dies"] < 4, "a dead kernel was waited for until the time-out"


def name_of(case: ET.Element) -> str:
    return case.get("classname", "").removesuffix(".ipynb")
