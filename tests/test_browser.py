"""The lessons as a reader has them: JupyterLab in a browser, Run All, nothing red, nothing fetched from elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SCREENSHOTS = ROOT / "runs" / "browser"
pytestmark = pytest.mark.browser


def missing(reason: str) -> None:
    """Skip; where a browser is promised (SSLKIT_REQUIRE_BROWSER=1) its absence is a failure."""
    if os.environ.get("SSLKIT_REQUIRE_BROWSER", "0") not in ("", "0"):
        pytest.fail(f"{reason}, and SSLKIT_REQUIRE_BROWSER is set")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    import labdrive

    program = labdrive.find_chromium()
    if program is None:
        missing("no Chromium found (apt-get install chromium, or set SSLKIT_CHROMIUM)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=labdrive.CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what `lab` needs, so that the test neither reads nor writes anybody's my/."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("sslkit", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture(scope="module")
def quick_lab(browser, course: Path) -> Iterator[object]:
    import labdrive

    with labdrive.serve(course, SSLKIT_FAST="1", SSLKIT_DATA=str(ROOT / "data")) as lab:
        yield lab


@pytest.fixture(scope="module")
def full_lab(browser, course: Path) -> Iterator[object]:
    import labdrive

    with labdrive.serve(course, SSLKIT_DATA=str(ROOT / "data")) as lab:
        yield lab


def visit(browser, lab, path: str, timeout: float, name: str) -> list[str]:
    """Open, run all, look; return what the cells printed."""
    import labdrive

    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    elsewhere: list[str] = []
    own = (lab.url, lab.url.replace("http", "ws", 1), "data:", "blob:")
    page.on("request", lambda request: request.url.startswith(own) or elsewhere.append(request.url))
    page.on("websocket", lambda socket: socket.url.startswith(own) or elsewhere.append(socket.url))
    try:
        labdrive.open_notebook(page, lab, path)
        printed = labdrive.run_all(page, timeout)
        labdrive.settle(page)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png")
        assert page.get_by_text("Error displaying widget").count() == 0
        assert page.get_by_text("Loading widget...").count() == 0
        assert elsewhere == [], "the lesson fetched something from another host"
        labdrive.stop_kernel(page)
        return printed
    finally:
        page.close()


def test_first_lesson_runs(browser, quick_lab, course: Path):
    assert quick_lab.status("/api/contents") == 403, "the server answers without its token"
    assert visit(browser, quick_lab, "", 240, "first"), "nothing was printed"
    assert sorted(p.name for p in (course / "my").glob("*.ipynb")) == [p.name for p in LESSONS]


@pytest.mark.full
@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_lesson_runs_at_full_length(browser, full_lab, path: Path):
    visit(browser, full_lab, f"my/{path.name}", 600, path.stem)


def test_absence_of_a_browser_is_seen(monkeypatch):
    monkeypatch.delenv("SSLKIT_REQUIRE_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception):
        missing("no Chromium")
    monkeypatch.setenv("SSLKIT_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception):
        missing("no Chromium")
