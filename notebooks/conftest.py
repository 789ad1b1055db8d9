"""nbval 0.11, repaired. Loaded by every `pytest --nbval-lax notebooks/….ipynb`, here or on a reader's machine.

What nbval does without this file, each of which a test in tests/test_notebooks.py provokes:

1. a checked cell that was never run is not compared, and passes;
2. a cell that swallows the KeyboardInterrupt of its own time-out passes (a training loop that keeps what it learned);
3. a cell tagged `raises-exception` passes when nothing is raised;
4. a kernel that dies (out of memory) is waited for until the cell's time-out, and not one second;
5. the `;` at the end of a line does not hide the line's value, because the cells run without a history.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from queue import Empty

import nbval.plugin
import pytest
from nbval.kernel import RunningKernel

POLL = 1.0  # seconds between two looks at whether the kernel is alive


def pytest_configure(config: pytest.Config) -> None:
    if config.option.nbval or config.option.nbval_lax:
        # A lesson imports the checkout that it stands in, and sslkit's training loop passes an interrupt on.
        checkout = str(Path(__file__).resolve().parent.parent)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [checkout, os.environ.get("PYTHONPATH")]))
        os.environ["SSLKIT_STRICT_INTERRUPT"] = "1"
        os.environ.pop("MPLBACKEND", None)  # figures belong into the notebook


def execute_cell_input(kernel: RunningKernel, source: str, allow_stdin: bool | None = None) -> str:
    return kernel.kc.execute(source, store_history=True, allow_stdin=allow_stdin, stop_on_error=False)


def await_reply(kernel: RunningKernel, msg_id: str, timeout: float | None = None) -> None:
    end = time.monotonic() + (timeout or float("inf"))
    while True:
        try:
            message = kernel.get_message("shell", timeout=min(POLL, max(0.01, end - time.monotonic())))
        except Empty:
            if not kernel.is_alive():
                raise RuntimeError("the kernel died (out of memory?)") from None
            if time.monotonic() >= end:
                raise
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            if message["content"]["status"] == "aborted":
                raise RuntimeError("the kernel refused to run the cell")
            return


def runtest(cell: nbval.plugin.IPyNbCell) -> None:
    if cell.options["check"] and cell.cell.execution_count is None:
        cell.raise_cell_error("This cell is to be checked, but was never run: build the notebook again")
    late = cell.parent.timed_out
    run_cell(cell)
    if cell.parent.timed_out and not late:
        cell.raise_cell_error("The cell was too slow, and went on after its interrupt")
    if cell.options["check_exception"] and not any(output.output_type == "error" for output in cell.test_outputs):
        cell.raise_cell_error("This cell should raise an exception, and did not")


run_cell = nbval.plugin.IPyNbCell.runtest
nbval.plugin.IPyNbCell.runtest = runtest
RunningKernel.execute_cell_input = execute_cell_input
RunningKernel.await_reply = await_reply
