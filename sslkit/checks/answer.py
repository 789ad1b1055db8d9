"""What all checks have alike: run an answer, and say why it is not right."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sslkit import device as devices
from sslkit import progress


class Wrong(Exception):
    """Why an answer is not right, in words for the person who wrote it."""


class NotWritten(Exception):
    pass


def check(body: Callable[[Callable], None]) -> Callable[[Callable], bool]:
    """Make a check of a function that raises `Wrong` with the reason."""

    @functools.wraps(body)
    def run(answer: Callable) -> bool:
        name = body.__name__.removeprefix("check_")
        try:
            body(answer)
        except NotWritten:
            message = f"… {name}: not written yet. Write it above, run that cell, then this one again."
        except Wrong as reason:
            progress.note(name, passed=False)
            message = f"✗ {name}: {reason}"
        except Exception as error:  # the reader's own, or that of a check that could not go on with what was returned
            progress.note(name, passed=False)
            cause = "your function raised" if _lines(error, answer) else "what your function returned cannot be used:"
            message = f"✗ {name}: {cause} {described(error, answer)}"
        else:
            progress.note(name, passed=True)
            print(f"✓ {name}: right.")
            return True
        if devices.flag("SSLKIT_STRICT"):
            raise AssertionError(message)
        print(message)
        return False

    return run


def predicted(guess: object, measured: float, what: str = "accuracy") -> None:
    """Set the reader's prediction beside the measurement."""
    if guess is ... or not isinstance(guess, int | float):
        print(f"measured {what}: {measured:.2f} (you made no prediction: it pays to try)")
    else:
        print(f"you predicted {what} {guess:.2f}; measured {measured:.2f}; off by {abs(guess - measured):.2f}")


def tensor(answer: Callable, *arguments) -> Tensor:
    """What the answer returns, as one tensor: a number or a list of numbers is made one, a list of tensors stacked."""
    return as_tensor(call(answer, *arguments))


def as_tensor(result: object) -> Tensor:
    if hasattr(result, "indices") and isinstance(result, tuple):
        raise Wrong("you returned values and their places, as min, max, sort and topk give both: take one of the two.")
    what = f"a {type(result).__name__}"
    try:
        if isinstance(result, list | tuple) and any(hasattr(part, "shape") for part in result):
            what += f" of {len(result)} parts of shapes {', '.join(str(tuple(np.shape(part))) for part in result[:4])}"
            result = torch.stack([torch.as_tensor(part) for part in result])
        return torch.as_tensor(result)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Wrong(
            f"asked for one tensor; you returned {what}. Of many, torch.stack or torch.cat makes one."
        ) from error


def integers(answer: Callable, *arguments) -> list[int]:
    got = tensor(answer, *arguments)
    if got.shape != arguments[0].shape[:1]:
        n = len(arguments[0])
        raise Wrong(f"{n} rows need {n} whole numbers, shape ({n},); yours has shape {tuple(got.shape)}.")
    if got.is_floating_point() and not torch.equal(got, got.round()):
        raise Wrong(f"asked for whole numbers; you gave {[round(x, 3) for x in got.tolist()]}.")
    return [int(i) for i in got]


def call(answer: Callable, *arguments):
    try:
        result = answer(*(a.clone() if isinstance(a, Tensor) else a for a in arguments))
    except Exception as error:  # the reader's own error, whatever it is; most are understood from what came in
        given = ", ".join(f"a tensor {tuple(a.shape)}" if isinstance(a, Tensor) else repr(a)[:40] for a in arguments)
        raise Wrong(f"your function raised {described(error, answer)}\n  It was called with {given}.") from error
    if result is ...:
        raise NotWritten
    if result is None:
        raise Wrong("your function returned None: is there a `return`?")
    return result


def described(error: Exception, answer: Callable) -> str:
    """The error, and the line of the answer that it came from."""
    own = _lines(error, answer)
    where = f"\n  in the line: {own[-1]}" if own else ""
    return f"{type(error).__name__}: {error}{where}"


def _lines(error: Exception, answer: Callable) -> list[str]:
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    return [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file and frame.line]


def number(answer: Callable, *arguments) -> float:
    result = call(answer, *arguments)
    if isinstance(result, Tensor) and result.numel() != 1:
        raise Wrong(f"asked for one number; yours has shape {tuple(result.shape)}.")
    try:
        return float(result)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Wrong(f"asked for a number; you returned {result!r}.") from error
