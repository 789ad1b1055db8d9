"""The next word as a reader has it: typed, picked and taken back with the keyboard alone."""

from __future__ import annotations

import pytest
import test_widgets_browser as widgets
from test_browser import browser, course, quick_lab  # noqa: F401
from test_widgets_browser import notebook, opened, picture, says  # noqa: F401

pytestmark = pytest.mark.browser
widgets.CELLS["next_word"] = (
    "from sslkit import words\n"
    "vocabulary = words.Vocabulary.of(['the cat sat on the mat . a dog ran in the park'])\n"
    "with device.seeded(0):\n    writer = methods.NextWord(nets.ContextNet(len(vocabulary), 3, 8, 16))\n"
    "widgets.next_word(writer, vocabulary, 'the cat')"
)


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["next_word"]], indirect=True)
def test_a_sentence_is_typed_and_goes_on(browser, quick_lab, notebook):  # noqa: F811
    with opened(browser, quick_lab, notebook, "next_word") as page:
        says(page, "It reads: the cat. Next:")
        field = page.locator(".widget-text input")
        before = picture(page)
        field.fill("the zebra sat")
        field.press("Enter")
        says(page, "It reads: the <unk> sat. Next:")
        assert picture(page) != before
        offered = page.locator(".widget-button").first
        word = offered.inner_text().split()[0]
        offered.press("Enter")
        page.wait_for_function("word => document.querySelector('.widget-text input').value.endsWith(word)", arg=word)
        assert field.input_value().startswith("the zebra sat")
        says(page, "It reads: <unk> sat")
        page.get_by_role("button", name="take back a word", exact=True).press("Space")
        says(page, "It reads: the <unk> sat. Next:")
        handle = page.locator(".widget-slider .noUi-handle")
        handle.focus()
        page.keyboard.press("ArrowRight")
        says(page, "Temperature 1.1")
        page.get_by_role("button", name="draw a word", exact=True).press("Enter")
        says(page, "It reads: <unk> sat")
