"""A run that can be cut off anywhere: its whole state in one file, and how it is asked to stop."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

import torch
from torch import nn

from sslkit import checkpoint
from sslkit import device as devices
from sslkit.data import Images, fingerprint

FORMAT = 1
HELD = 2**28  # bytes of a tensor that are all looked at to know it again; of more, and of what is on disk, 64 rows
_EXPECTED = "Expected the state of a run, written by train.fit(…, state=FILE). Delete it to start anew."


class StateFile:
    """The file that keeps a run. `facts` say which run it is: another run's file is refused.

    With `path` None nothing is kept. In a run of several processes rank 0 writes and reads, and all call every method.
    """

    def __init__(self, path: str | Path | None, facts: Callable[[], dict], seconds: float):
        self.path = None if path is None else Path(path)
        self.seconds, self.written, self.problem = seconds, time.perf_counter(), ""
        self.facts = facts() if self.path is not None else {}

    def load(self) -> dict | None:
        """The state that the file holds, or None where there is no file.

        Raises ValueError if it is damaged or of another run, and OSError where no file can be written: now, and not
        when there is something to lose.
        """
        return None if self.path is None else devices.first(self._load)

    def _load(self) -> dict | None:
        assert self.path is not None
        if not self.path.exists():
            checkpoint.write(self.path, {"format": FORMAT, "run": self.facts, "state": None})
        content = checkpoint.read(self.path, _EXPECTED)
        if not isinstance(content, dict) or content.keys() != {"format", "run", "state"}:
            raise ValueError(f"{self.path} is a PyTorch file, but does not hold the state of a run. {_EXPECTED}")
        if content["format"] != FORMAT:
            raise ValueError(f"{self.path} has format {content['format']}; this sslkit reads {FORMAT}. Update sslkit.")
        if other := differences(content["run"], self.facts):
            raise ValueError(
                f"{self.path} keeps another run: {'; '.join(other)}. Use the same settings and data to go on with it, "
                "another file, or delete it to start anew."
            )
        return content["state"]

    def due(self) -> bool:
        """Whether it is time to write."""
        return self.path is not None and time.perf_counter() - self.written > self.seconds

    def save(self, state: dict) -> None:
        """Write the state. Where the disk refuses, the old file stays and a warning says why: the run goes on, and the
        next attempt may succeed. `problem` is that reason, or "" after a success."""
        if self.path is not None:
            self.problem = devices.first(lambda: self._save(state))
            self.written = time.perf_counter()

    def _save(self, state: dict) -> str:
        assert self.path is not None
        try:
            checkpoint.write(self.path, {"format": FORMAT, "run": self.facts, "state": state})
        except OSError as error:
            warnings.warn(f"the state of the run was not saved: {error}", RuntimeWarning, stacklevel=5)
            return str(error)
        return ""


def progress(path: Path) -> str:
    """How far the run came that the file keeps, such as "800 of 2000 steps"; "" if there is no file or no step."""
    if not path.exists():
        return ""
    content = checkpoint.read(path, _EXPECTED)
    if not isinstance(content, dict) or not content.get("state"):
        return ""
    return f"{content['state']['steps']} of {content['run']['steps']} steps"


def differences(there: dict, here: dict, prefix: str = "") -> list[str]:
    """Where two nested dicts differ, in words: "config.lr was 0.003 and is 0.001"."""
    found = []
    for key in sorted(there.keys() | here.keys()):
        a, b = there.get(key), here.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key} was {a} and is {b}")
    return found


def described(method: nn.Module) -> dict[str, str]:
    """A method's class and settings, by which it is known again; {"class": name, setting: value, …}."""
    plain, settings = (bool, int, float, str, tuple, type(None)), {}
    for name, value in vars(method).items():
        if not name.startswith("_") and name != "training":
            if isinstance(value, FunctionType | partial):
                settings[name] = _called(value)
            elif isinstance(value, plain) or dataclasses.is_dataclass(value):
                settings[name] = str(value)
    shapes = {name: str(tuple(p.shape)) for name, p in method.state_dict().items()}
    config = getattr(getattr(method, "encoder", None), "config", None)
    if config is not None:
        settings["encoder"] = str(config())  # a ViT's number of heads, say, has no shape
    return {"class": type(method).__name__} | settings | shapes


def _called(function: Callable) -> str:
    """A function's name, and what a `partial` of it holds: half(side=left) is not half(side=right)."""
    if not isinstance(function, partial):
        return getattr(function, "__qualname__", str(function))
    held = [*map(str, function.args), *(f"{key}={value}" for key, value in function.keywords.items())]
    return f"{_called(function.func)}({', '.join(held)})"


def known_by(data: Sequence[Images]) -> list[str]:
    """By what the tensors of the data are known again: shape, dtype, and a checksum."""
    return [f"{tuple(t.shape)} {t.dtype} {fingerprint(_looked_at(t))}" for t in data]


def _looked_at(t: Images) -> Images:
    if isinstance(t, torch.Tensor) and t.nbytes <= HELD:
        return t
    return t[torch.linspace(0, len(t) - 1, min(64, len(t))).long()]


class Stop:
    """Ctrl-C, which is Jupyter's Interrupt too, is noted while a run goes on, and answered at the end of the step. A
    second one ends the run at once. So is SIGTERM, with which schedulers announce the end, if `also_terminate`.

        with Stop() as stop: …    stop.asked

    In other threads than the main one, where signals cannot be caught, and with SSLKIT_STRICT_INTERRUPT, nothing is.
    """

    def __init__(self, also_terminate: bool = False):
        self.asked = False
        self.signals = [signal.SIGINT, *([signal.SIGTERM] if also_terminate else [])]
        self.before: dict[int, Any] = {}
        self.process = os.getpid()

    def __enter__(self) -> Stop:
        main = threading.current_thread() is threading.main_thread()
        if main and not devices.flag("SSLKIT_STRICT_INTERRUPT"):
            for number in self.signals:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # as under nohup
                    self.before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:  # a process that reads data: forked with this handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
