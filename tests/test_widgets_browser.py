"""The widgets as a reader has them: in JupyterLab, with the mouse and with the keyboard alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from test_browser import SCREENSHOTS, browser, course, quick_lab  # noqa: F401

pytestmark = pytest.mark.browser
PATIENCE = 30_000  # milliseconds, for an answer of the kernel on a busy machine
CELLS = {
    "start": "import torch\nfrom sslkit import device, methods, nets, widgets\n"
    "images = torch.rand(3, 3, 24, 24, generator=device.generator(0))\n"
    "with device.seeded(0):\n    encoder = nets.ConvNet(widths=(8, 16, 32))",
    "fill_hole": "widgets.fill_hole(methods.Inpainting(encoder), images)",
    "puzzle": "widgets.puzzle(methods.Jigsaw(encoder, permutations=12), images)",
    "triplet_plane": "widgets.triplet_plane()",
    "turn": "turned = widgets.turn(methods.Rotation(encoder), images)\nturned",
    "scrub": "watching = nets.ConvNet(12, widths=(8, 16, 32))\n"
    "clips = torch.rand(3, 10, 3, 24, 24, generator=device.generator(0))\n"
    "widgets.scrub(methods.Future(watching), methods.Future(watching, backwards=True), clips)",
    "same_or_not": "widgets.same_or_not(methods.Siamese(encoder), torch.rand(40, 3, 24, 24))",
    "explore_views": "widgets.explore_views(images)",
    "mask_patches": "with device.seeded(0):\n    net = nets.ViT(patch=4, width=12, depth=1)\n"
    "widgets.mask_patches(methods.MAE(net), images)",
    "failure": "good = turned.draw\n"
    "def fail():\n    turned.draw = good\n    raise RuntimeError('the picture is gone')\n"
    "turned.draw = fail",
}


@pytest.fixture
def notebook(course: Path, request) -> str:
    """A notebook with these widgets, in the folder that Lab serves; their networks have learned nothing."""
    names = ["start", *request.param]
    cells = [new_code_cell(CELLS[name]) for name in names]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    path = course / f"widgets_{'_'.join(names)}.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path.name


@contextlib.contextmanager
def opened(browser, lab, notebook: str, name: str) -> Iterator[object]:
    """The page with the notebook run; at its end a screenshot, and no kernel is left."""
    import labdrive

    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    try:
        labdrive.open_notebook(page, lab, notebook)
        labdrive.run_all(page, 120)
        labdrive.settle(page)
        yield page
        labdrive.settle(page)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"widget_{name}.png")
        labdrive.stop_kernel(page)
    finally:
        page.close()


def says(page, text: str) -> None:
    """Wait until the sentence says so."""
    page.locator("p[role=status]", has_text=text).wait_for()


def picture(page) -> str:
    return page.locator(".jp-OutputArea-output .widget-html img").get_attribute("src")


@pytest.mark.parametrize("notebook", [["turn"]], indirect=True)
def test_the_slider_turns_the_picture(browser, quick_lab, notebook):
    with opened(browser, quick_lab, notebook, "turn") as page:
        says(page, "Picture 1 of 3. Turned by 0°")
        assert page.locator(".jp-RenderedImage").count() == 0, "the picture for where there is no kernel is shown too"
        before = picture(page)
        handle = page.locator(".widget-slider .noUi-handle")
        handle.focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        says(page, "Turned by 30°")
        assert picture(page) != before
        for _ in range(3):  # the slider's number, "previous picture", "next picture"
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        says(page, "Picture 2 of 3. Turned by 30°")


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["fill_hole"]], indirect=True)
def test_cells_are_hidden_with_the_mouse_and_with_the_keyboard(browser, quick_lab, notebook):
    with opened(browser, quick_lab, notebook, "fill_hole") as page:
        cells = page.locator(".sslkit-raster button")
        assert cells.count() == 64
        says(page, "32 of 64 cells")
        before = picture(page)
        cells.nth(0).click()
        says(page, "33 of 64 cells")
        assert picture(page) != before
        assert "mod-active" in cells.nth(0).get_attribute("class")
        boxes = [cells.nth(place).bounding_box() for place in (0, 1, 8, 63)]
        assert boxes[1]["x"] == pytest.approx(boxes[0]["x"] + boxes[0]["width"], abs=1)  # no gap, no overlap
        assert boxes[2]["y"] == pytest.approx(boxes[0]["y"] + boxes[0]["height"], abs=1)
        assert boxes[3]["x"] + boxes[3]["width"] - boxes[0]["x"] == pytest.approx(264, abs=2)
        cells.nth(1).focus()
        page.keyboard.press("Space")
        says(page, "34 of 64 cells")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        says(page, "35 of 64 cells")
        page.get_by_role("button", name="row 1 column 3, hidden", exact=True).wait_for()
        page.get_by_role("button", name="centre", exact=True).click()
        says(page, "16 of 64 cells")
        page.wait_for_function("document.querySelectorAll('.sslkit-raster .mod-active').length === 16")
        page.get_by_role("button", name="next picture", exact=True).press("Enter")
        says(page, "Picture 2 of 3. 16 of 64 cells")


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["puzzle"]], indirect=True)
def test_a_puzzle_is_played_with_the_keyboard(browser, quick_lab, notebook):
    with opened(browser, quick_lab, notebook, "puzzle") as page:
        tiles = page.locator(".sslkit-raster button")
        assert tiles.count() == 9
        says(page, "You 0 : 0 network (0 checked).")
        covered, raster = picture(page), page.locator(".sslkit-raster")
        board = "element => getComputedStyle(element).backgroundImage"
        before = raster.evaluate(board)
        assert before.startswith('url("data:image/png;base64,')
        tiles.nth(0).press("Space")
        page.get_by_role("button", name="row 1 column 1, chosen", exact=True).wait_for()
        assert raster.evaluate(board) == before
        tiles.nth(5).press("Space")
        page.wait_for_function(
            "before => getComputedStyle(document.querySelector('.sslkit-raster')).backgroundImage !== before",
            arg=before,
        )
        page.get_by_role("button", name="check", exact=True).press("Enter")
        says(page, "(1 checked). You have")
        assert picture(page) != covered and tiles.nth(0).is_disabled()
        page.get_by_role("button", name="next puzzle", exact=True).press("Enter")
        tiles.nth(0).and_(page.locator(":enabled")).wait_for()
        page.wait_for_function("document.querySelector('p[role=status]').textContent.endsWith('(1 checked).')")


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["triplet_plane"]], indirect=True)
def test_a_triplet_is_moved_with_sliders_and_by_descent(browser, quick_lab, notebook):
    with opened(browser, quick_lab, notebook, "triplet_plane") as page:
        says(page, "max(1.30 − 1.80 + 1.00, 0) = 0.50. Semi-hard")
        handles = page.locator(".widget-slider .noUi-handle")
        assert handles.count() == 7
        before = picture(page)
        handles.last.focus()
        for _ in range(6):
            page.keyboard.press("ArrowLeft")
        says(page, "max(1.30 − 1.80 + 0.40, 0) = 0.00. Easy")
        assert picture(page) != before
        page.get_by_role("button", name="hard", exact=True).click()
        says(page, "max(1.30 − 0.71 + 0.40, 0) = 0.99. Hard")
        page.get_by_role("button", name="one step of gradient descent", exact=True).press("Enter")
        says(page, "max(0.92 − 1.14 + 0.40, 0) = 0.19. Semi-hard")


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["same_or_not"]], indirect=True)
def test_a_threshold_is_moved_and_mistakes_are_found_with_the_keyboard(browser, quick_lab, notebook):
    with opened(browser, quick_lab, notebook, "same_or_not") as page:
        says(page, "Pair 1 of 40.")
        before = picture(page)
        handle = page.locator(".widget-slider .noUi-handle")
        handle.focus()
        page.keyboard.press("Home")
        says(page, "threshold 0.00: taken for two images")
        says(page, "20 of 20 pairs of the same image are missed; 0 of 20 pairs of two images are accepted")
        assert picture(page) != before
        page.keyboard.press("End")
        says(page, "0 of 20 pairs of the same image are missed; 20 of 20 pairs of two images are accepted")
        page.get_by_role("button", name="next mistake", exact=True).press("Enter")
        says(page, "That is wrong: two images.")
        page.get_by_role("button", name="best threshold", exact=True).press("Enter")
        page.wait_for_function(
            "!document.querySelector('p[role=status]').textContent.includes(' 20 of 20 pairs of two')"
        )
        page.get_by_role("button", name="previous pair", exact=True).click()


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["explore_views"]], indirect=True)
def test_views_are_explored_with_sliders(browser, quick_lab, notebook):
    with opened(browser, quick_lab, notebook, "explore_views") as page:
        says(page, "Picture 1 of 3, and 23 views of it. Switched on: smallest crop (area) 0.5")
        before = picture(page)
        page.get_by_role("button", name="nothing", exact=True).click()
        says(page, "Nothing is switched on")
        assert picture(page) != before
        handles = page.locator(".widget-slider .noUi-handle")
        assert handles.count() == 13
        handles.nth(2).focus()
        page.keyboard.press("ArrowRight")
        says(page, "Switched on: turn (± degrees) 5.")
        before = picture(page)
        page.get_by_role("button", name="other draws", exact=True).press("Enter")
        page.wait_for_function("before => document.querySelector('.widget-html img').src !== before", arg=before)
        page.get_by_role("button", name="next picture", exact=True).press("Enter")
        says(page, "Picture 2 of 3")


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["mask_patches"]], indirect=True)
def test_patches_are_hidden_with_the_slider(browser, quick_lab, notebook):
    with opened(browser, quick_lab, notebook, "mask_patches") as page:
        says(page, "Picture 1 of 3. 27 of 36 patches are hidden (75%; trained with 75%)")
        before = picture(page)
        page.locator(".widget-slider .noUi-handle").focus()
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        says(page, "24 of 36 patches are hidden (67%")
        assert picture(page) != before
        before = picture(page)
        page.get_by_role("button", name="other patches", exact=True).click()
        page.wait_for_function("before => document.querySelector('.widget-html img').src !== before", arg=before)
        page.get_by_role("button", name="next picture", exact=True).press("Enter")
        says(page, "Picture 2 of 3. 24 of 36 patches")


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["turn", "failure"]], indirect=True)
def test_an_error_is_seen_and_the_next_act_clears_it(browser, quick_lab, notebook):
    with opened(browser, quick_lab, notebook, "error") as page:
        handle = page.locator(".widget-slider .noUi-handle")
        handle.focus()
        page.keyboard.press("ArrowRight")
        page.locator("p[role=alert]", has_text="RuntimeError: the picture is gone").wait_for()
        page.keyboard.press("ArrowRight")
        says(page, "Turned by 20°")
        assert page.locator("p[role=alert]").count() == 0


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["scrub"]], indirect=True)
def test_a_clip_is_scrubbed_with_the_keyboard_forwards_and_backwards(browser, quick_lab, notebook):
    with opened(browser, quick_lab, notebook, "scrub") as page:
        says(page, "Clip 1 of 3, forwards, frame 5 of 10: predicted 1 ahead. Squared error ")
        before = picture(page)
        page.locator(".widget-slider .noUi-handle").focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        says(page, "frame 8 of 10: predicted 4 ahead.")
        assert picture(page) != before
        for _ in range(6):
            page.keyboard.press("ArrowLeft")
        says(page, "frame 2 of 10: seen. The network looks at the first 4 frames")
        page.get_by_role("button", name="backwards", exact=True).press("Enter")
        says(page, "Clip 1 of 3, backwards, frame 2 of 10: seen.")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        says(page, "Clip 2 of 3, backwards")
