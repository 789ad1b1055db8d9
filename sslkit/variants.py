"""A name -> numbers of its own: so that two people who do the same assignment have different data and parameters.

The same name gives the same variant on every machine, whatever the library versions: it comes from a hash of the name
and of the question. Capitals and spaces around a name do not matter; a group shares one name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import torch

from sslkit import device

Option = TypeVar("Option")
NOBODY = "nobody"


class Variant:
    """What one student, or one group, is asked.

        seed(q)       = first 31 bits of SHA-256(name / q)
        choose(q, A)  = A[ SHA-256(name / q) mod |A| ]

    Symbols: q -> the question, a word: each question draws for itself; A -> the options.
    A stub (`...`) or an empty name gives the variant of "nobody", so that an assignment can be read before it is begun.
    """

    def __init__(self, name: object):
        if not isinstance(name, str) and name is not ...:
            raise ValueError(f"the name is {name!r}; expected text in quotes, such as 'ada' or 'group 7'.")
        self.name = NOBODY if name is ... else " ".join(str(name).lower().split()) or NOBODY

    def _number(self, question: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.name}/{question}".encode()).digest()[:16], "big")

    def seed(self, question: str) -> int:
        return self._number(question) >> 97

    def choose(self, question: str, options: Sequence[Option]) -> Option:
        if not len(options):
            raise ValueError(f"{question} has no options to choose from.")
        return options[self._number(question) % len(options)]

    def generator(self, question: str) -> torch.Generator:
        return device.generator(self.seed(question))

    def __repr__(self) -> str:
        return f"Variant({self.name!r})"
