"""The live view as a reader has it: in JupyterLab a training runs, and Stop ends it, by mouse and by keyboard."""

from __future__ import annotations

import re
import time

import pytest
import test_widgets_browser as widgets
from test_browser import SCREENSHOTS, browser, course, quick_lab  # noqa: F401
from test_widgets_browser import PATIENCE, notebook  # noqa: F401

pytestmark = pytest.mark.browser
# 3 ms of rest a step make it last a minute, whatever the machine; SSLKIT_FAST would end it after 20 steps.
widgets.CELLS["live_start"] = """
import os, time, torch
os.environ.pop("SSLKIT_FAST", None)
from sslkit import evaluate, methods, nets, train, widgets
from sslkit.data import Split
from sslkit.widgets import live
labels = torch.arange(200) % 10
pictures = (torch.rand(200, 3, 8, 8) * 100 + 15 * labels[:, None, None, None]).byte()
split = Split(pictures, labels, tuple("0123456789"), torch.arange(200), "toy", "val")
class Rests(methods.Rotation):
    def forward(self, x, generator=None):
        time.sleep(0.003)
        return super().forward(x, generator)
method = Rests(nets.ConvNet(3, widths=(8, 16)))
clicked = []
ask, end = live.View.ask, live.View.end
live.View.ask = lambda self, button=None: clicked.append(time.perf_counter()) or ask(self, button)
live.View.end = lambda self, failed=False: clicked.append(time.perf_counter()) or end(self, failed)
config = train.TrainConfig(steps=15000, batch_size=10, precision="fp32")
"""
widgets.CELLS["live_elsewhere"] = "live.beside = lambda: False"
widgets.CELLS["live_run"] = (
    "result = widgets.watch_training(method, pictures, config, known=split, val=split, device='cpu', every=25)"
)
widgets.CELLS["live_after"] = (
    "z = evaluate.embed(method.encoder, pictures)\n"
    "print(f'after the click {clicked[1] - clicked[0]:.3f} s; {result.stopped}; {result.steps} steps; '\n"
    "      f'embeddings {tuple(z.shape)}, finite {bool(z.isfinite().all())}; {live.__file__}')"
)
TEXTS = """() => window.jupyterapp.shell.currentWidget.content.model.cells.get(3).sharedModel.getOutputs()
    .map(output => [output.text ?? output.evalue].flat().join('')).join('')"""


@pytest.mark.parametrize("notebook", [["live_start", "live_run", "live_after"]], indirect=True)
@pytest.mark.parametrize("press", ["click", "keyboard"])
def test_stop_ends_the_training_within_a_second_and_the_encoder_evaluates(browser, quick_lab, notebook, press):  # noqa: F811
    import labdrive

    page = browser.new_page(viewport={"width": 1280, "height": 1300})
    page.set_default_timeout(PATIENCE)
    try:
        labdrive.open_notebook(page, quick_lab, notebook)
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        stop = page.get_by_role("button", name="Stop", exact=True)
        stop.and_(page.locator(":enabled")).wait_for()
        page.locator("p", has_text="Stop ends the training after the running step").wait_for()
        page.locator("p[role=status]", has_text=re.compile(r"Epoch \d+ of 750.* s(ec)? left|min left")).wait_for()
        assert page.locator(".widget-html svg[role=img]").count() == 4
        if press == "click":
            page.wait_for_timeout(3000)
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SCREENSHOTS / "widget_live_running.png")
        begin = time.perf_counter()
        if press == "click":
            stop.click()
        else:
            stop.focus()
            page.keyboard.press("Enter")
        page.locator("p", has_text="The training has ended.").wait_for()
        seen = time.perf_counter() - begin
        labdrive.settle(page)
        page.wait_for_function(f"() => ({TEXTS})() !== ''")
        told = page.evaluate(TEXTS)
        page.screenshot(path=SCREENSHOTS / f"widget_live_{press}.png")
        print(f"{press}: the page shows the end {seen:.2f} s after the click; {told}")
        found = re.match(
            r"after the click (\d+\.\d+) s; interrupt; (\d+) steps; embeddings \(200, 16\), finite True", told
        )
        assert found, told
        assert float(found[1]) < 1.0 and 0 < int(found[2]) < 15000 and seen < 5.0
        page.locator("p[role=status]", has_text="The method keeps what it learned").wait_for()
        assert page.locator(".jp-RenderedImage").count() == 0, "the picture for where there is no kernel is shown too"
        assert stop.is_disabled()
        labdrive.stop_kernel(page)
    finally:
        page.close()


@pytest.mark.full
@pytest.mark.parametrize("notebook", [["live_start", "live_elsewhere", "live_run"]], indirect=True)
def test_where_a_click_would_wait_the_view_names_interrupt_and_it_works(browser, quick_lab, notebook):  # noqa: F811
    import labdrive

    page = browser.new_page(viewport={"width": 1280, "height": 1300})
    page.set_default_timeout(PATIENCE)
    try:
        labdrive.open_notebook(page, quick_lab, notebook)
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.locator("p", has_text="To end it now, use Interrupt").wait_for()
        page.locator("p[role=status]", has_text="Epoch ").wait_for()
        assert page.get_by_role("button", name="Stop", exact=True).is_disabled()
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
        page.locator("p[role=status]", has_text="The method keeps what it learned").wait_for()
        labdrive.settle(page)
        assert page.evaluate(labdrive.STATE)["errors"] == []
        page.screenshot(path=SCREENSHOTS / "widget_live_interrupt.png")
        labdrive.stop_kernel(page)
    finally:
        page.close()
