"""For all tests: each device, a few threads, none of the caller's settings. (For nbval: notebooks/conftest.py.)"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

# Before torch is imported. More threads than this make small tensors slower, not faster.
os.environ.setdefault("OMP_NUM_THREADS", str(min(4, os.cpu_count() or 1)))
os.environ.setdefault("MPLBACKEND", "Agg")

# A shell that starts a job in the background lets it ignore Ctrl-C, and so would this process and all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees the same whether or not the shell that started it shortens lessons or grades answers."""
    for name in ("SSLKIT_FAST", "SSLKIT_STRICT", "SSLKIT_MEMORY_GB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSLKIT_PROGRESS", "0")  # what a test answers is nobody's progress


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[object]:
    """The CPU always; a CUDA device too where there is one."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    yield torch.device(request.param)
