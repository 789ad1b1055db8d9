"""Build the lessons, one way: src/NN_name.py -> NN_name.ipynb (stubs, run) and solutions/NN_name.ipynb (filled in).

    python notebooks/build.py             every lesson
    python notebooks/build.py 01 05       these
    python notebooks/build.py --check     run nothing: do the built notebooks agree with their sources?

A source is a py:percent script. In its code cells, what stands between `### BEGIN SOLUTION` and `### END SOLUTION` is
the answer: the solutions keep it, the lesson gets `...` in its place. A built notebook is never edited by hand, and a
rebuild without a change gives the same bytes, or differs only in a measured figure.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import ipykernel.kernelspec
import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
MAX_BYTES = 500_000
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
    "language_info": {"name": "python"},
}
SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION[ \t]*\n(?P<body>.*?)^[ \t]*### END SOLUTION[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
WIDGET = "application/vnd.jupyter.widget-view+json"
PROGRESS_BAR = re.compile(r"\d+%\|")  # tqdm, on stderr or as a widget's text
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")

# The first code cell of every lesson. Colab has no copy of the course, and shows widgets of ipywidgets 8 when asked to.
COLAB = """
# On Google Colab this fetches the course; anywhere else it does nothing.
COURSE = ""  # the address of your copy, such as https://github.com/NAME/sslkit

import os, sys

if "COLAB_RELEASE_TAG" in os.environ:
    assert COURSE or os.path.exists("course"), "Write the address of your copy between the quotes above."
    if not os.path.exists("course"):
        get_ipython().system(f"git clone -q --depth 1 {COURSE} course && pip install -q -e course")
    sys.path.insert(0, os.path.abspath("course"))
    from google.colab import output
    output.enable_custom_widget_manager()
""".strip()

# In the place of the user's own IPython and matplotlib settings, which would find their way into the figures.
IPYTHON_CONFIG = """
c = get_config()
c.HistoryManager.enabled = False
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "metadata": {"Software": None}}
"""


class BuildError(Exception):
    """What is wrong with a lesson, in words for its author."""


# --------------------------------------------------------------------------------------------------------------------
# source -> two notebooks


def stub(match: re.Match[str]) -> str:
    """A solution -> a placeholder that runs: `return ...`, `name = ...` or `...`, as its last statement has it."""
    indent = match["indent"]
    # a continuation line starts with a bracket or deeper; a statement of the block starts with a letter at its indent
    statements = [line.strip() for line in match["body"].splitlines() if re.match(rf"{indent}[A-Za-z_]", line)]
    last = statements[-1] if statements else ""
    left = re.match(r"return\b|[A-Za-z_][\w, ]* = ", last)
    left_side = f"{left[0].strip()} " if left else ""
    return f"{indent}# your code here\n{indent}{left_side}..."


def read(source: Path, solved: bool) -> NotebookNode:
    """The notebook of a source, not executed: with its answers, or with stubs in their places."""
    notebook = jupytext.reads(source.read_text(encoding="utf-8").lstrip(), fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem.replace('_', '-')}-{number:03d}"[-64:]
        # jupytext notes blank lines here; they say nothing to a reader
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if not k.startswith("lines_to_")})
        if cell.cell_type == "markdown" and solved:  # which stand one folder deeper than the lessons
            cell.source = cell.source.replace("](../", "](../../")
        if cell.cell_type == "code":
            cell.source = SOLUTION.sub((lambda m: m["body"].rstrip("\n")) if solved else stub, cell.source)
        if "### BEGIN SOLUTION" in cell.source or "### END SOLUTION" in cell.source:
            raise BuildError(f"{source.name}: cell {number} has one solution marker without the other, or outside code")
    link(notebook, source, solved)
    colab = nbformat.v4.new_code_cell(COLAB, id=f"{source.stem.replace('_', '-')}-colab"[-64:])
    colab.metadata = nbformat.from_dict({"jupyter": {"source_hidden": True}, "tags": ["colab"]})
    notebook.cells.insert(1, colab)
    return notebook


def link(notebook: NotebookNode, source: Path, solved: bool) -> None:
    """Under the title: the way to the other notebook. The path holds from notebooks/ and from a copy in my/."""
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        raise BuildError(f"{source.name}: the first cell must be markdown and start with the title, `# …`")
    if solved:
        line = f"*With solutions. The lesson: [{source.stem}](../{source.stem}.ipynb)*"
    else:
        line = f"*Solutions: [{source.stem}](../notebooks/solutions/{source.stem}.ipynb)*"
    title, _, rest = first.source.partition("\n")
    first.source = f"{title}\n\n{line}\n{rest}".rstrip("\n")


# --------------------------------------------------------------------------------------------------------------------
# running


class ThisEnvironment(KernelSpecManager):
    """Whatever kernel a notebook names, it runs in the calling interpreter."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict())


class Kernel(AsyncKernelManager):
    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.kernel_spec_manager = ThisEnvironment()


def run(notebook: NotebookNode, folder: Path, timeout: float = 900, **environment: str) -> list[float]:
    """Execute every cell in place, in `folder`; return the seconds a cell. Environment variables can be added."""
    seconds: dict[int, float] = {}

    def begin(cell: NotebookNode, cell_index: int) -> None:
        seconds[cell_index] = time.perf_counter()

    def end(cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        seconds[cell_index] = time.perf_counter() - seconds[cell_index]

    with tempfile.TemporaryDirectory() as temporary:
        config = Path(temporary, "profile_default", "ipython_kernel_config.py")
        config.parent.mkdir()
        config.write_text(IPYTHON_CONFIG)
        Path(temporary, "matplotlibrc").touch()
        env = {k: v for k, v in os.environ.items() if k not in ("SSLKIT_FAST", "SSLKIT_STRICT", "MPLBACKEND")}
        env |= {"IPYTHONDIR": temporary, "MATPLOTLIBRC": temporary, "PYTHONHASHSEED": "0", **environment}
        # a lesson imports the checkout that it stands in
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        client = NotebookClient(
            notebook,
            kernel_manager_class=Kernel,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],  # else one warning a kernel about local sockets
            timeout=timeout,
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
            on_cell_execute=begin,
            on_cell_executed=end,
        )
        client.execute(env=env)
    notebook.metadata = nbformat.from_dict(METADATA)
    return list(seconds.values())


def tidy(notebook: NotebookNode) -> None:
    """Drop from the outputs what changes from run to run or from machine to machine."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if not is_progress_bar(output)]
        for number, output in enumerate(cell.outputs):
            if output.output_type == "stream":
                if output.name == "stderr":
                    raise BuildError(f"cell {cell.id} writes to stderr; cure the cause:\n{output.text.strip()[:1000]}")
                output.text = plain(output.text)
            elif output.output_type == "error":
                output.evalue = plain(output.evalue)
                output.traceback = [plain(line) for line in output.traceback]
            else:
                for kind, value in output.data.items():
                    if kind.startswith("text/") and isinstance(value, str):
                        output.data[kind] = plain(value)
                if WIDGET in output.data:
                    output.data[WIDGET]["model_id"] = hashlib.md5(f"{cell.id}/{number}".encode()).hexdigest()


def is_progress_bar(output: NotebookNode) -> bool:
    if output.output_type == "stream":
        erased = not output.text.strip()  # a bar that took itself away
        return output.name == "stderr" and (erased or bool(PROGRESS_BAR.search(output.text)))
    data = output.get("data", {})
    return WIDGET in data and bool(PROGRESS_BAR.search(data.get("text/plain", "")))


def plain(text: str) -> str:
    for path, name in ((HERE.parent, "<course>"), (Path(sys.base_prefix), "<python>"), (Path.home(), "~")):
        if len(str(path)) > 1:
            text = text.replace(str(path), name)
    return ADDRESS.sub("0x…", text)


# --------------------------------------------------------------------------------------------------------------------
# building and checking


def paths(source: Path) -> tuple[Path, Path]:
    """Where a source's lesson and its solutions are written."""
    folder = source.parent.parent
    return folder / f"{source.stem}.ipynb", folder / "solutions" / f"{source.stem}.ipynb"


def build(source: Path) -> str:
    """Write both notebooks of one source; return a line that says what it took. Nothing is written on a failure."""
    lesson, solutions = read(source, solved=False), read(source, solved=True)
    target, target_solutions = paths(source)
    started = time.perf_counter()
    seconds = run(lesson, target.parent)
    tidy(lesson)
    text = nbformat.writes(lesson) + "\n"
    size = len(text.encode())
    if size > MAX_BYTES:
        large = sorted(((len(nbformat.from_dict(cell).__repr__()), cell.id) for cell in lesson.cells), reverse=True)[:3]
        sizes = ", ".join(f"{cell}: {n // 1000} kB" for n, cell in large)
        raise BuildError(f"{target.name} would have {size // 1000} kB, more than {MAX_BYTES // 1000}; largest: {sizes}")
    write(target, text)
    write(target_solutions, nbformat.writes(solutions) + "\n")
    total = time.perf_counter() - started
    return f"{target.name}: {total:.0f} s (slowest cell {max(seconds, default=0):.0f} s), {size // 1000} kB"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def stale(source: Path) -> list[str]:
    """What in the built notebooks disagrees with the source; empty if they are current. Runs nothing."""
    complaints = []
    for path, solved in zip(paths(source), (False, True)):
        if not path.exists():
            complaints.append(f"{path.name} is missing" if not solved else f"solutions/{path.name} is missing")
            continue
        name = f"solutions/{path.name}" if solved else path.name
        wanted, built = read(source, solved), nbformat.read(path, as_version=4)
        if built.metadata != wanted.metadata:
            complaints.append(f"{name}: other notebook metadata")
        if len(built.cells) != len(wanted.cells):
            complaints.append(f"{name}: {len(built.cells)} cells, its source has {len(wanted.cells)}")
        for a, b in zip(built.cells, wanted.cells):
            different = [key for key in ("id", "cell_type", "source", "metadata") if a.get(key) != b.get(key)]
            if different:
                complaints.append(f"{name}: cell {b.id} has another {' and '.join(different)}")
                break
        if solved and any(cell.get("outputs") or cell.get("execution_count") for cell in built.cells):
            complaints.append(f"{name}: has outputs")
    return complaints


def orphans(folder: Path) -> list[str]:
    """Built notebooks that have no source any more."""
    sources = {source.stem for source in (folder / "src").glob("*.py")}
    return [
        f"{path.relative_to(folder)} has no source"
        for path in (*folder.glob("*.ipynb"), *folder.glob("solutions/*.ipynb"))
        if path.stem not in sources
    ]


def chosen(names: list[str], folder: Path = HERE) -> list[Path]:
    """The sources that the names mean: `01`, `01_labels…` or a path."""
    sources = sorted((folder / "src").glob("[0-9][0-9]_*.py"))
    if not names:
        return sources
    picked = []
    for name in names:
        found = [source for source in sources if source.stem.startswith(Path(name).stem)]
        if not found:
            raise BuildError(f"no lesson {name!r}; there are: {', '.join(source.stem for source in sources) or 'none'}")
        picked += found
    return picked


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="numbers or names of lessons (default: all)")
    parser.add_argument("--check", action="store_true", help="run nothing; fail if a built notebook is out of date")
    options = parser.parse_args(arguments)
    failed = False
    try:
        sources = chosen(options.names)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    for source in sources:
        try:
            if options.check:
                complaints = stale(source)
                if complaints:
                    raise BuildError("\n  ".join([*complaints, f"rebuild: python notebooks/build.py {source.stem}"]))
            else:
                print(build(source), flush=True)
        except (BuildError, CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed = True
            print(f"FAILED {source.stem}: {error}", file=sys.stderr, flush=True)
    if options.check and not options.names:
        for complaint in orphans(HERE):
            failed = True
            print(f"FAILED {complaint}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
