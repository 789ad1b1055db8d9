"""The course as pages: what `make site` builds is complete without a network, and reads well on a phone."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from test_browser import browser  # noqa: F401  the fixture

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "notebooks" / "site"
BUILT = ROOT / "build" / "site"
WIDGET = "application/vnd.jupyter.widget-view+json"


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"site_{name}", SITE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


conf, vendor = load("conf"), load("vendor")


def test_every_page_has_a_source_and_a_place_in_the_sidebar():
    assert len(conf.LESSONS) == len(conf.SOLUTIONS) == 13
    assert [name for name in conf.include_patterns if not (ROOT / name).is_file()] == []
    assert set(conf.TITLES) <= conf.PAGES
    front = conf.front("# Title\n")
    assert front.startswith("# Title\n") and all(
        f"/{name}" in front for name in conf.PAGES - {conf.root_doc} - {*conf.SOLUTIONS}
    )


def test_nothing_is_run_and_nothing_comes_from_elsewhere():
    assert conf.nb_execution_mode == "off" and conf.nb_ipywidgets_js == {}
    assert "//" not in conf.mathjax_path and Path(conf.mathjax_path).name in vendor.MEMBERS.values()


@pytest.mark.parametrize(
    ("stored", "page"),
    [
        ("[a](../notebooks/solutions/01_x.ipynb)", "[a](/notebooks/solutions/01_x.ipynb)"),
        ("[a](notebooks/solutions) b", "[a](/notebooks/site/solutions.md) b"),
        ("[A1](release/A1/A1.ipynb)", "[A1](path:release/A1/A1.ipynb)"),
        ("[a](https://example.org/notebooks/solutions)", "[a](https://example.org/notebooks/solutions)"),
        ("[a](notebooks/solutions/01_x.ipynb)", "[a](notebooks/solutions/01_x.ipynb)"),
    ],
)
def test_links_lead_to_pages(stored: str, page: str):
    assert conf.linked(stored) == page


@pytest.mark.parametrize("name", sorted(conf.include_patterns))
def test_links_within_the_course_lead_somewhere(name: str):
    """Sphinx says so, too, but only where the pages are built."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".ipynb"):
        text = "\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text + conf.linked(text)):  # in Jupyter and GitHub, and on the pages
        path = unquote(link.removeprefix("path:").split("#")[0])
        if path and not urlsplit(link.removeprefix("path:")).scheme:
            start = ROOT if path.startswith("/") else (ROOT / name).parent
            dead += [link] if not (start / path.lstrip("/")).exists() else []
    assert dead == []


def test_what_is_left_out_and_what_is_added():
    picture = {"output_type": "display_data", "data": {WIDGET: {}, "image/png": "iVBO", "text/plain": ["a slider\n"]}}
    code = {"cell_type": "code", "outputs": [], "metadata": {}}
    colab = {**code, "metadata": {"tags": ["colab"]}}
    markdown = {"cell_type": "markdown", "metadata": {}}
    cells = conf.for_reading({"cells": [markdown, colab, {**code, "metadata": {}, "outputs": [picture]}]})["cells"]
    assert cells[0] == {"cell_type": "markdown", "metadata": {}}
    assert cells[1]["metadata"]["tags"] == ["colab", "remove-cell"]
    assert cells[2]["outputs"] == [picture, {"output_type": "stream", "name": "stdout", "text": ["a slider\n"]}]
    assert "tags" not in cells[2]["metadata"]


def test_a_corrupt_download_is_said(tmp_path: Path):
    archive = tmp_path / "mathjax-3.2.2.tgz"
    archive.write_bytes(b"half a fi")
    with pytest.raises(SystemExit) as said:
        vendor.main(vendor=tmp_path)
    for part in (str(archive), vendor.integrity(b"half a fi"), vendor.INTEGRITY, "delete the file"):
        assert part in str(said.value)
    assert not (tmp_path / "static").exists()


def test_no_network_is_said(tmp_path: Path):
    url = (tmp_path / "absent" / "mathjax-3.2.2.tgz").as_uri()
    with pytest.raises(SystemExit, match="Could not fetch .*No such file.*or put the file there by hand") as said:
        vendor.main(url, tmp_path)
    assert str(tmp_path / "mathjax-3.2.2.tgz") in str(said.value) and not list(tmp_path.iterdir())


class Page(HTMLParser):
    """The ids of a page, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.refers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.ids |= {found["id"]} if found.get("id") else set()
        self.refers += [value for name in ("href", "src") if (value := found.get(name)) is not None]


def dead_links(folder: Path) -> tuple[list[str], int]:
    """References within the folder that lead nowhere, and how many were looked at."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    dead, count = [], 0
    for path, page in pages.items():
        for link in page.refers:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto", "data"):
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            fragment = unquote(parts.fragment)
            inside = target.is_file() and target.is_relative_to(folder.resolve())
            if not inside or (fragment and target in pages and fragment not in pages[target].ids):
                dead.append(f"{path.name}: {link}")
    return dead, count


def test_dead_links_are_seen(tmp_path: Path):
    (tmp_path / "a.html").write_text('<a id="x" href="#x"></a><a href="#y"></a><img src="no.png"><a href="../b"></a>')
    (tmp_path / "b.html").write_text('<a href="a.html#x"></a><a href="a.html#z"></a><a href="https://example.org"></a>')
    dead, count = dead_links(tmp_path)
    assert sorted(dead) == ["a.html: #y", "a.html: ../b", "a.html: no.png", "b.html: a.html#z"] and count == 6


def markdown_of(name: str) -> str:
    """The text of a page's source, without code."""
    if name in conf.NOTEBOOKS:
        cells = json.loads((ROOT / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    else:
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
    return re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)


def cells_with(name: str, kind: str) -> int:
    """How many outputs of a lesson have this kind of content."""
    if name not in conf.NOTEBOOKS:
        return 0
    cells = json.loads((ROOT / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return sum(kind in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))


@pytest.fixture(scope="module")
def built() -> Path:
    if not (ROOT / ".venv-site" / ".stamp").exists():
        pytest.skip("no environment for the site: run `make site` once")
    if not (ROOT / "build" / "vendor" / vendor.URL.rpartition("/")[2]).exists():
        pytest.skip("MathJax has not been fetched: run `make site` once")
    assert shutil.which("make"), "`make site` has been run here, and make is gone"
    done = subprocess.run(["make", "site"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return BUILT


@pytest.fixture(scope="module")
def reader(browser) -> Iterator[object]:
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844})
    yield context
    context.close()


def opened(reader, path: Path, suffix: str = ""):
    """A page from disk, and the list of what went wrong on it."""
    page, wrong = reader.new_page(), []
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on("request", lambda r: r.url.startswith(("file:", "data:")) or wrong.append(f"from elsewhere: {r.url}"))
    page.on("console", lambda message: message.type == "error" and wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.goto(path.resolve().as_uri() + suffix)
    return page, wrong


# The theme hides what is too wide for the page, so that the page's own width says nothing.
CUT_OFF = """() => [...document.querySelectorAll('article *')].filter(element => {
    if (element.getBoundingClientRect().right <= document.documentElement.clientWidth + 1) return false;
    if (element.closest('mjx-assistive-mml')) return false;  // for screen readers only
    for (let block = element.parentElement; block.tagName !== 'ARTICLE'; block = block.parentElement)
        if (['auto', 'scroll'].includes(getComputedStyle(block).overflowX)) return false;
    return true;
}).map(element => element.outerHTML.slice(0, 100))"""


@pytest.mark.browser
@pytest.mark.full
def test_links_are_alive(built: Path):
    dead, count = dead_links(built)
    assert dead == [] and count > 1000


@pytest.mark.browser
@pytest.mark.full
@pytest.mark.parametrize("name", sorted(conf.PAGES))
def test_page_is_complete_from_disk(built: Path, reader, name: str):
    page, wrong = opened(reader, built / f"{name}.html")
    try:
        page.evaluate("() => window.MathJax?.startup?.promise")
        text = page.locator("article").inner_text()
        source = markdown_of(name)
        formulas = page.locator("article mjx-container").count()
        # One span or block of formula is one container; a page without formulas has none.
        assert formulas == page.locator("article .math").count()
        assert (formulas > 0) == ("$" in source)
        # how MathJax draws what it cannot read, and a command that it does not know
        assert page.locator('mjx-container [data-mml-node="merror"], mjx-container [fill="red"]').count() == 0
        assert "$$" not in text and not re.search(r"\$\\|\\(?:frac|lVert|alpha|mathbb)\b", text), "a raw formula"
        assert "COLAB_RELEASE_TAG" not in text
        assert page.locator("article .cell_output img").count() == cells_with(name, "image/png")
        assert text.count("[Run this cell to use it.]") == cells_with(name, WIDGET)
        broken = "() => [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
        page.evaluate("() => { for (const i of document.images) i.loading = 'eager' }")
        page.evaluate("() => Promise.allSettled([...document.images].map(i => i.decode()))")
        assert page.evaluate(broken) == []
        assert page.evaluate(CUT_OFF) == [], "wider than a phone, and in no block that scrolls"
        assert wrong == []
    finally:
        page.close()


@pytest.mark.browser
@pytest.mark.full
def test_index_leads_to_the_front_page(built: Path, reader):
    page, wrong = opened(reader, built / "index.html")
    page.wait_for_url("**/README.html")
    assert page.locator("article h1").first.inner_text().startswith("sslkit") and wrong == []
    page.close()


@pytest.mark.browser
@pytest.mark.full
def test_search_finds(built: Path, reader):
    page, wrong = opened(reader, built / "search.html", "?q=triplet")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").evaluate_all("links => links.map(a => a.href.split('?')[0])")
    assert any("06_triplet.html" in link for link in found) and wrong == []
    page.goto((built / "search.html").resolve().as_uri() + "?q=zxqvjw")
    page.get_by_text("did not match any documents").wait_for()
    assert page.locator("#search-results li a").count() == 0 and wrong == []
    page.close()
