"""One name out of many: the same error, with the nearest names, wherever a name is typed by hand."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def pick(name: str, options: Iterable[str], what: str, hint: str = "") -> str:
    """Return `name` if it is one of `options`; otherwise raise a ValueError that offers the nearest names.

    `what` says what kind of name it is ("data set", "method"); `hint` adds a sentence on what else is possible.
    """
    options = list(options)
    if name in options:
        return name
    near = difflib.get_close_matches(str(name).lower(), options, n=3, cutoff=0.5)
    offer = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    raise ValueError(
        f"unknown {what} {name!r}.{offer} Choose one of: {', '.join(options)}.{' ' + hint if hint else ''}"
    )
