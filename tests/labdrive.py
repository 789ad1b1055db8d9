"""Drive JupyterLab in a headless Chromium: start it as a reader does, open a lesson, run all of it, look at it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

CHROMIUM_FLAGS = [
    "--no-sandbox",  # a container's root has no user namespaces
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {  # nothing that covers the page; every cell in the page, so that a look at it sees all of them
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}
IDLE = """() => {
    const session = window.jupyterapp?.shell?.currentWidget?.context?.sessionContext;
    return Boolean(session?.isReady && session.session?.kernel?.status === 'idle');
}"""
# Read from the model: the page itself lags behind it.
STATE = """() => {
    const state = {pending: 0, errors: [], texts: []};
    for (const cell of window.jupyterapp.shell.currentWidget.content.model.cells) {
        if (cell.type !== 'code' || !cell.sharedModel.getSource().trim()) continue;
        if (cell.executionCount === null) state.pending++;
        const tolerated = (cell.getMetadata('tags') ?? []).includes('raises-exception');
        for (const output of cell.sharedModel.getOutputs()) {
            if (output.output_type === 'error' && !tolerated) state.errors.push(`${output.ename}: ${output.evalue}`);
            if (output.text) state.texts.push([output.text].flat().join(''));
        }
    }
    return state;
}"""


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("SSLKIT_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@dataclass
class Lab:
    url: str
    token: str

    def status(self, path: str, token: str = "") -> int:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"token {token}"} if token else {})
        try:
            return urllib.request.urlopen(request, timeout=2).status
        except urllib.error.HTTPError as error:
            return error.code


@contextlib.contextmanager
def serve(course: Path, timeout: float = 120, **environment: str) -> Iterator[Lab]:
    """`python -m sslkit lab` in a checkout, with Jupyter settings of its own, until the block ends."""
    token = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lab = Lab(f"http://127.0.0.1:{port}", token)
    options = [f"--port={port}", "--no-browser", "--ip=127.0.0.1", "--ServerApp.port_retries=0"]
    options += [f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, open(Path(folder, "log"), "w+") as log:
        overrides = Path(folder, "config", "labconfig", "default_setting_overrides.json")
        overrides.parent.mkdir(parents=True)
        overrides.write_text(json.dumps(SETTINGS))
        private = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        env = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "SSLKIT_FAST", "SSLKIT_STRICT")}
        env |= {name: str(Path(folder, part)) for name, part in private.items()}
        env |= {"PYTHONPATH": str(course), **environment}
        command = [sys.executable, "-m", "sslkit", "lab", *options]
        server = subprocess.Popen(
            command, cwd=course, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            wait_until_up(lab, server, log, timeout)
            yield lab
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def wait_until_up(lab: Lab, server: subprocess.Popen, log, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(OSError):
            if lab.status("/api/status", lab.token) == 200:
                return
        if server.poll() is not None or time.monotonic() > end:
            log.seek(0)
            raise RuntimeError(f"JupyterLab did not start:\n{log.read()[-3000:]}")
        time.sleep(0.2)


def open_notebook(page: Page, lab: Lab, path: str = "", timeout: float = 120) -> None:
    """Open a path, or, without one, whatever Lab opens by itself; wait for its kernel."""
    page.goto(f"{lab.url}/lab/tree/{path}?reset&token={lab.token}" if path else f"{lab.url}/?token={lab.token}")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=1000 * timeout)
    page.wait_for_function(IDLE, timeout=1000 * timeout)


def run_all(page: Page, timeout: float) -> list[str]:
    """Clear the outputs, run every cell, return what was printed. AssertionError as soon as a cell fails."""
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    assert page.evaluate(STATE)["pending"] > 0, "the stored outputs were not cleared"
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    end = time.monotonic() + timeout
    while True:
        state = page.evaluate(STATE)
        assert not state["errors"], state["errors"]
        if not state["pending"] and page.evaluate(IDLE):
            return state["texts"]
        if time.monotonic() > end:
            raise TimeoutError(f"{state['pending']} cells have not run after {timeout:g} s")
        time.sleep(0.3)


def settle(page: Page) -> None:
    """Idle twice in a row: the widgets have answered, and a screenshot shows what they drew."""
    for _ in range(2):
        page.wait_for_timeout(300)
        page.wait_for_function(IDLE, timeout=60_000)


def stop_kernel(page: Page) -> None:
    page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
