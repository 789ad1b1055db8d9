"""The explorer and the board as a reader has them: with the mouse and with the keyboard alone."""

from __future__ import annotations

import pytest
import test_widgets_browser as widgets
from test_browser import browser, course, quick_lab  # noqa: F401
from test_widgets_browser import notebook, opened, picture, says  # noqa: F401

pytestmark = pytest.mark.browser
widgets.CELLS["explore_embedding"] = (
    "from sslkit.data import Split\nmany = (255 * torch.rand(40, 3, 24, 24, generator=device.generator(0))).byte()\n"
    "val, train = (Split(many, torch.arange(40) % 4, ('0', '1', '2', '3'), torch.arange(40), 'toy', s)"
    " for s in ('val', 'train'))\n"
    "widgets.explore_embedding(encoder, val, train, n=40, per_class=2)"
)
widgets.CELLS["compare"] = (
    "import numpy as np\nfrom sslkit.evaluate import Score\n"
    "run = {k: Score(np.arange(100)[None] < 30 + k, np.arange(100), block=2) for k in (1, 10)}\n"
    "widgets.compare(mine={'my run': run})"
)


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["explore_embedding"]], indirect=True)
def test_embeddings_are_explored(browser, quick_lab, notebook):  # noqa: F811
    with opened(browser, quick_lab, notebook, "explore_embedding") as page:
        says(page, "Picture 1 of 40, label 0.")
        before = picture(page)
        page.locator(".widget-slider .noUi-handle").focus()
        page.keyboard.press("ArrowRight")
        says(page, "Picture 2 of 40, label 1.")
        assert picture(page) != before
        fields = page.locator(".sslkit-raster button")
        assert fields.count() == 256
        chosen = page.locator(".sslkit-raster .mod-active")
        for place in (17, 200):  # above on the left, then below
            before = picture(page)
            fields.nth(place).click()
            page.wait_for_function("before => document.querySelector('.widget-html img').src !== before", arg=before)
        assert chosen.count() == 1
        page.get_by_role("button", name="next mistake", exact=True).press("Enter")
        says(page, ": wrong; it is wrong on")
        board = "element => getComputedStyle(element).backgroundImage"
        before = page.locator(".sslkit-raster").evaluate(board)
        for name in ("error", "thumbnails", "t-SNE"):
            page.get_by_role("button", name=name, exact=True).press("Enter")
            page.wait_for_function(
                "before => getComputedStyle(document.querySelector('.sslkit-raster')).backgroundImage !== before",
                arg=before,
            )
            before = page.locator(".sslkit-raster").evaluate(board)
        says(page, "t-SNE keeps near ones near")
        page.get_by_role("button", name="right", exact=True).press("Enter")


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["compare"]], indirect=True)
def test_methods_are_compared(browser, quick_lab, notebook):  # noqa: F811
    with opened(browser, quick_lab, notebook, "compare") as page:
        says(page, "With 10 labels a class of photodigits")
        before = picture(page)
        page.get_by_role("checkbox", name="jigsaw", exact=True).focus()
        page.keyboard.press("Space")
        says(page, "jigsaw")
        assert picture(page) != before
        page.get_by_role("button", name="long", exact=True).click()
        says(page, "Not measured with this budget: jigsaw")
        page.locator(".widget-slider .noUi-handle").last.focus()
        page.keyboard.press("ArrowLeft")
        says(page, "With 5 labels a class")
        assert page.locator("th", has_text="accuracy, 5 labels a class").count() == 1
