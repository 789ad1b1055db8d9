"""Text -> words -> numbers -> windows: the last k words, and the word that follows them.

A token is a word in lower case, a number, or one sign of punctuation. Chinese, Japanese kanji and kana count one sign
as a word. Other scripts that are written without spaces (Thai, Lao) have to be cut into words beforehand.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

UNKNOWN, START = 0, 1  # the numbers of <unk>, any word outside the vocabulary, and <s>, the place before a text
_SPECIAL = ("<unk>", "<s>")

_SIGN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana and Han: a word each
_MARK = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0970-\u109f\u1780-\u17d3"  # vowel signs
_WORD = rf"(?:[^\W\d_{_SIGN}]+[{_MARK}]*)+"
TOKEN = re.compile(rf"{_WORD}(?:['’]{_WORD})*|\d+|[{_SIGN}]|[^\w\s]|_")


def tokenise(text: str) -> list[str]:
    """Words in lower case, with their apostrophes; numbers; every other sign by itself. White space is left out.

    >>> tokenise("It doesn't: x_1 = 3.5")
    ['it', "doesn't", ':', 'x', '_', '1', '=', '3', '.', '5']
    """
    return TOKEN.findall(unicodedata.normalize("NFC", text).lower())


@dataclass(frozen=True)
class Vocabulary:
    """The V words that have a number of their own; all others share the number of <unk>."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str], size: int = 6000) -> Vocabulary:
        """The most frequent words of `texts`, at most `size` with <unk> and <s>; of equally frequent ones, by alphabet.

        Take it from the train split alone: a word that only stands in val or test is an unknown one there.
        """
        if size <= len(_SPECIAL):
            raise ValueError(f"size is {size}; expected a vocabulary of 3 words or more, <unk> and <s> among them.")
        counts = Counter(token for text in texts for token in tokenise(text))
        if not counts:
            raise ValueError("the texts hold no word at all, so there is no vocabulary. Give texts with words in them.")
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        return cls((*_SPECIAL, *ordered[: size - len(_SPECIAL)]))

    def __len__(self) -> int:
        return len(self.words)

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def encode(self, text: str) -> list[int]:
        """The numbers of the text's tokens; `UNKNOWN` for a word that has none."""
        return [self.numbers.get(token, UNKNOWN) for token in tokenise(text)]

    def decode(self, numbers: Iterable[int]) -> str:
        """Words with spaces between them, and none before a sign that closes. Case and layout are lost."""
        text = " ".join(self.words[i] for i in numbers if i != START)
        return re.sub(r" (?=[.,;:!?)\]}])|(?<=[(\[{]) ", "", text)


def windows(texts: Iterable[str], vocabulary: Vocabulary, k: int) -> Tensor:
    """Every word of every text, with the k words before it: int64 (N, k + 1), the word to predict last.

    N is the number of tokens in all texts. Before a text's first word stands <s>, k times: no window reaches into
    another text, and <s> is never predicted.
    """
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1 word of context.")
    before = [START] * k
    stream = np.fromiter((i for text in texts for i in (*before, *vocabulary.encode(text))), dtype=np.int64)
    if len(stream) <= k:
        return torch.empty((0, k + 1), dtype=torch.int64)
    rows = torch.from_numpy(stream).unfold(0, k + 1, 1)
    return rows[rows[:, -1] != START]


def rows(texts: Iterable[str], vocabulary: Vocabulary, length: int) -> Tensor:
    """Every text as a row: <s>, then its words; int64 (N, length + 1). For a model that predicts at every place.

    A text of more than `length` words goes on in a row of its own, behind another <s>. A row that is not full ends in
    <s>, which is never predicted.
    """
    if length < 1:
        raise ValueError(f"length is {length}; expected rows of at least 1 word.")
    pieces = []
    for text in texts:
        numbers = vocabulary.encode(text)
        pieces += [numbers[i : i + length] for i in range(0, len(numbers), length)]
    table = torch.full((len(pieces), length + 1), START, dtype=torch.int64)
    for row, piece in zip(table, pieces):
        row[1 : len(piece) + 1] = torch.tensor(piece)
    return table


def draw(log_p: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Draw the next word: log-probabilities (N, V) -> numbers int64 (N,), from p^(1/T), scaled to sum to 1.

    T -> temperature. 1 draws as the model says, 0 takes the likeliest word, and a high one nearly ignores the model.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}; expected 0 (the likeliest word) or a positive number.")
    if temperature == 0:
        return log_p.argmax(dim=1)
    return torch.multinomial((log_p.float() / temperature).softmax(dim=1), 1, generator=generator)[:, 0]


@torch.no_grad()
def write(
    model: Callable[[Tensor], Tensor],
    vocabulary: Vocabulary,
    k: int,
    text: str = "",
    length: int = 40,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> str:
    """Let a model go on with `text` for `length` words, one at a time, each drawn after the last k.

    `model` maps contexts int64 (N, k) to log-probabilities (N, V). <unk> and <s> are never written.
    """
    numbers = [START] * k + vocabulary.encode(text)
    for _ in range(length):
        log_p = model(torch.tensor([numbers[-k:]], device=device)).clone()
        log_p[:, [UNKNOWN, START]] = float("-inf")
        numbers.append(int(draw(log_p, temperature, generator)))
    return vocabulary.decode(numbers)


def cut(text: str, length: int) -> list[str]:
    """Pieces of `length` tokens each, one after the other, as they stand in the text.

    The last one is shorter: it is kept if it has a quarter of `length`, otherwise left out.
    """
    tokens = list(TOKEN.finditer(text))
    pieces: Sequence[Sequence[re.Match]] = [tokens[i : i + length] for i in range(0, len(tokens), length)]
    return [text[p[0].start() : p[-1].end()] for p in pieces if 4 * len(p) >= length]
