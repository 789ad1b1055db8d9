"""Words: nothing of a text is lost, windows are those of a slow loop, a temperature does what it says."""

from __future__ import annotations

import math
import unicodedata

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit import words

TEXTS = ["The cat sat. The cat ran!", "A dog sat", "the end"]


# ---- tokens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It doesn't: x_1 = 3.5", ["it", "doesn't", ":", "x", "_", "1", "=", "3", ".", "5"]),
        ("L’été, cafe\u0301 'quoted'", ["l’été", ",", "café", "'", "quoted", "'"]),
        ("ΑΒΓ где?", ["αβγ", "где", "?"]),
        ("हिन्दी में ३ शब्द।", ["हिन्दी", "में", "३", "शब्द", "।"]),
        ("我喜欢读书。カナ text", ["我", "喜", "欢", "读", "书", "。", "カ", "ナ", "text"]),
        ("  \n\t ", []),
    ],
)
def test_tokens_of_many_languages(text, tokens):
    assert words.tokenise(text) == tokens


@settings(deadline=None)
@given(st.text())
def test_no_sign_is_lost(text):
    whole = unicodedata.normalize("NFC", text).lower()
    assert "".join(words.tokenise(text)) == "".join(c for c in whole if not c.isspace())


@settings(deadline=None)
@given(st.text(st.characters(codec="latin-1")), st.integers(1, 9))
def test_pieces_hold_the_tokens_of_the_text_in_order(text, length):
    tokens, pieces = words.tokenise(text), words.cut(unicodedata.normalize("NFC", text), length)
    sizes = [len(words.tokenise(piece)) for piece in pieces]
    assert all(size == length for size in sizes[:-1]) and all(4 * size >= length for size in sizes)
    assert [t for piece in pieces for t in words.tokenise(piece)] == tokens[: sum(sizes)]
    assert 4 * (len(tokens) - sum(sizes)) < length  # what is left out is too short for a piece


def test_a_piece_stands_as_it_does_in_the_text():
    assert words.cut("One,  two\nthree four", 3) == ["One,  two", "three four"]
    assert words.cut("a b c d e f g h i", 8) == ["a b c d e f g h"]  # one word of eight is too little


# ---- the vocabulary ----------------------------------------------------------------------------------------------


def test_the_most_frequent_words_get_numbers_and_the_alphabet_decides_between_equals():
    vocabulary = words.Vocabulary.of(TEXTS, size=6)
    assert vocabulary.words == ("<unk>", "<s>", "the", "cat", "sat", "!") and len(vocabulary) == 6
    assert vocabulary.encode("The dog sat.") == [2, words.UNKNOWN, 4, words.UNKNOWN]
    assert vocabulary == words.Vocabulary.of(reversed(TEXTS), size=6)


def test_a_larger_vocabulary_than_the_text_takes_every_word():
    vocabulary = words.Vocabulary.of(TEXTS, size=1000)
    assert len(vocabulary) == 2 + 9
    assert words.UNKNOWN not in vocabulary.encode(" ".join(TEXTS))


def test_what_was_encoded_reads_well_again():
    vocabulary = words.Vocabulary.of(["Call f(x, y) now: it [really] works."])
    assert vocabulary.decode(vocabulary.encode("Call f ( x , y ) now")) == "call f (x, y) now"


@pytest.mark.parametrize(("texts", "size", "why"), [([" ", ""], 10, "no word at all"), (["a b"], 2, "3 words or more")])
def test_no_vocabulary_without_words(texts, size, why):
    with pytest.raises(ValueError, match=why):
        words.Vocabulary.of(texts, size)


# ---- windows -----------------------------------------------------------------------------------------------------


def slow_windows(texts: list[str], vocabulary: words.Vocabulary, k: int) -> list[list[int]]:
    rows = []
    for text in texts:
        numbers = vocabulary.encode(text)
        for i, number in enumerate(numbers):
            before = [numbers[j] if j >= 0 else words.START for j in range(i - k, i)]
            rows.append([*before, number])
    return rows


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=6).map(" ".join), max_size=5), st.integers(1, 9))
def test_windows_are_those_of_a_slow_loop(texts, k):
    vocabulary = words.Vocabulary.of(["a b c d"])  # e and f are unknown
    rows = words.windows(texts, vocabulary, k)
    assert rows.dtype == torch.int64 and rows.shape == (sum(len(t.split()) for t in texts), k + 1)
    assert rows.tolist() == slow_windows(texts, vocabulary, k)


def test_windows_need_a_context():
    with pytest.raises(ValueError, match="k is 0"):
        words.windows(TEXTS, words.Vocabulary.of(TEXTS), 0)


def test_rows_hold_every_word_once_behind_a_start():
    vocabulary = words.Vocabulary.of(["a b c d"])
    a, b, c, d = range(2, 6)
    rows = words.rows(["a b c d a", "", "e b"], vocabulary, 3)
    assert rows.tolist() == [[1, a, b, c], [1, d, a, 1], [1, words.UNKNOWN, b, 1]]
    assert words.rows([""], vocabulary, 3).shape == (0, 4)
    with pytest.raises(ValueError, match="length is 0"):
        words.rows(["a"], vocabulary, 0)


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=9).map(" ".join), max_size=5), st.integers(1, 9))
def test_rows_and_windows_ask_for_the_same_words(texts, length):
    vocabulary = words.Vocabulary.of(["a b c d"])
    rows = words.rows(texts, vocabulary, length)
    asked = rows[:, 1:][rows[:, 1:] != words.START]
    assert torch.equal(asked, words.windows(texts, vocabulary, 1)[:, -1])
    assert (rows[:, 0] == words.START).all()


# ---- drawing and writing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_words_are_drawn_as_often_as_the_formula_says(temperature):
    p = torch.tensor([0.6, 0.3, 0.1])
    expected = [x ** (1 / temperature) for x in p.tolist()]
    expected = [x / sum(expected) for x in expected]
    drawn = words.draw(p.log().expand(20_000, 3), temperature, torch.Generator().manual_seed(0))
    assert (drawn.bincount(minlength=3) / len(drawn)).tolist() == pytest.approx(expected, abs=0.015)


def test_temperature_0_takes_the_likeliest():
    log_p = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(words.draw(log_p, 0.0), log_p.argmax(dim=1))
    with pytest.raises(ValueError, match="temperature is -1"):
        words.draw(log_p, -1.0)
    with pytest.raises(ValueError, match="temperature is nan"):
        words.draw(log_p, math.nan)


def test_a_model_goes_on_after_its_last_k_words_and_never_writes_unknown():
    vocabulary = words.Vocabulary(("<unk>", "<s>", "a", "b", "c", "d"))
    seen = []

    def alphabet(contexts):
        """<unk> and <s> are likeliest; then the letter after the last one."""
        seen.append(contexts.tolist())
        log_p = torch.full((1, 6), -5.0)
        log_p[:, :2], log_p[0, min(5, max(2, int(contexts[0, -1]) + 1))] = 0.0, -1.0
        return log_p

    assert words.write(alphabet, vocabulary, 2, "A", 3, temperature=0) == "a b c d"
    assert seen == [[[1, 2]], [[2, 3]], [[3, 4]]]
    assert words.write(alphabet, vocabulary, 2, "", 2, temperature=0) == "a b"
