"""How Sphinx makes pages of the course: `make site`. The notebooks are shown as they are stored, nothing is run.

The sources lie where they always do, in the checkout; this folder adds what only the pages need. A link to a file that
is no page, such as CITATION.cff, becomes a download. What leads nowhere is a warning, and a warning stops the build.
"""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

project = "sslkit"
html_title = "sslkit"
language = "en"
extensions = ["myst_nb"]
html_theme = "furo"

# What a page is made of. Everything else in the checkout is left alone, and the large folders are not even looked at.
LESSONS = sorted(f"notebooks/{path.stem}" for path in ROOT.glob("notebooks/[0-9][0-9]_*.ipynb"))
SOLUTIONS = sorted(f"notebooks/solutions/{path.stem}" for path in ROOT.glob("notebooks/solutions/*.ipynb"))
SIDEBAR = {
    "Lessons": ["notebooks/README", *LESSONS],
    "Help": ["notebooks/GLOSSARY", "notebooks/TROUBLESHOOTING", "notebooks/site/solutions"],
    "Behind the course": ["notebooks/assignments/README", "data/README", "notebooks/LOG", "CONTRIBUTING", "CHANGELOG"],
}
TITLES = {  # where the page's own title is too long for the sidebar, or says too little beside the others
    "notebooks/README": "All lessons",
    "notebooks/site/solutions": "Solutions",
    "notebooks/assignments/README": "Assignments",
    "data/README": "Data",
}
root_doc = "README"
NOTEBOOKS = {*LESSONS, *SOLUTIONS}
PAGES = {root_doc, *SOLUTIONS, *(name for part in SIDEBAR.values() for name in part)}
include_patterns = [name + (".ipynb" if name in NOTEBOOKS else ".md") for name in sorted(PAGES)]
exclude_patterns = [".*", "build", "dist", "runs", "my", "sslkit", "tests", "data/*/**", "notebooks/experiments"]

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_dmath_double_inline = True  # $$…$$ right after a line of text, which Jupyter shows as a formula, too
nb_execution_mode = "off"
nb_merge_streams = True
# A widget needs a kernel, and its scripts would come from another host: the stored picture takes its place.
nb_ipywidgets_js: dict[str, dict] = {}
nb_mime_priority_overrides = [("*", "application/vnd.jupyter.widget-view+json", None)]

# Nothing comes from another host. Formulas are drawn as SVG: a browser may refuse to load fonts into a file:// page.
html_static_path = ["static", str(ROOT / "build" / "vendor" / "static")]
html_css_files = ["site.css"]
mathjax_path = "mathjax/tex-svg-full.js"
html_show_search_summary = False  # it fetches the pages that were found, which browsers forbid on file://
html_copy_source = False
html_use_index = False

LINKS = {  # the beginning of a link as it stands in the checkout, and on the pages
    "](../notebooks/": "](/notebooks/",  # lessons are written for my/; on the pages they stay where they are
    "](../data/": "](/data/",
    "](notebooks/solutions)": "](/notebooks/site/solutions.md)",  # a folder is no page
    "](release/": "](path:release/",  # the assignments' notebooks are for Jupyter: a download
}


def linked(text: str) -> str:
    """With links that lead somewhere on the pages, too."""
    for stored, page in LINKS.items():
        text = text.replace(stored, page)
    return text


def front(text: str) -> str:
    """README.md with the sidebar, which GitHub has no use for."""
    for caption, names in SIDEBAR.items():
        lines = [f"{TITLES[name]} </{name}>" if name in TITLES else f"/{name}" for name in names]
        text += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *lines, "```", ""])
    return text


def for_reading(notebook: dict) -> dict:
    """Without the cell for Colab; a widget's picture with its words; a figure says where it is described."""
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        tags = cell["metadata"].get("tags", [])
        if "colab" in tags:
            cell["metadata"]["tags"] = [*tags, "remove-cell"]
        cell["metadata"]["mystnb"] = {"image": {"alt": "The figure that is described below."}}  # else a file's name
        outputs = []
        for output in cell["outputs"]:
            outputs.append(output)
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                outputs.append({"output_type": "stream", "name": "stdout", "text": output["data"]["text/plain"]})
        cell["outputs"] = outputs
    return notebook


def read(app, name: str, source: list[str]) -> None:
    source[0] = linked(source[0])
    if name == root_doc:
        source[0] = front(source[0])
    elif name in NOTEBOOKS:
        source[0] = json.dumps(for_reading(json.loads(source[0])))


def add_index(app, error) -> None:
    """The front page is README.html; a server, and a reader, look for index.html."""
    if error is None:
        line = f'<!doctype html><meta charset="utf-8"><title>{project}</title>'
        line += f'<meta http-equiv="refresh" content="0; url={root_doc}.html"><a href="{root_doc}.html">{project}</a>\n'
        Path(app.outdir, "index.html").write_text(line, encoding="utf-8")


def setup(app) -> None:
    app.connect("source-read", read)
    app.connect("build-finished", add_index)
