"""docwords: what of a docstring is kept, nothing twice, modules in one split each, and the cache."""

from __future__ import annotations

import ast
import gc
import itertools
import json
import random
import sys
import time
from pathlib import Path

import pytest

from sslkit import data, words
from sslkit.data import docwords as room

NOUNS = [a + b for a in ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki") for b in ("lam", "mor", "nek", "pit", "rus")]


def sentence(rng: random.Random, n: int = 20) -> str:
    return " ".join(rng.choice(NOUNS) for _ in range(n)) + "."


def module(path: Path, *docstrings: str, code: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "\n\n".join(f'def f{i}():\n    """{text}"""' for i, text in enumerate(docstrings))
    path.write_text(f"{code}\n{body}\n", encoding="utf-8")


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two libraries of 40 modules each; importing one would fail."""
    rng = random.Random(0)
    for library in ("aspen", "birch"):
        module(tmp_path / "lib" / library / "__init__.py", code="raise RuntimeError('imported')")
        for i in range(40):
            docstrings = [sentence(rng) for _ in range(3)]
            module(tmp_path / "lib" / library / "deeper" / f"m{i:02}.py", *docstrings, code=f"x = {i}")
    monkeypatch.setattr(room, "LIBRARIES", {"aspen": "aspen", "birch": "birch"})
    monkeypatch.setattr(room, "versions", lambda: {"aspen": "1.0", "birch": "2.0"})
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    return tmp_path / "lib"


def load(split: str = "train") -> data.Passages:
    return data.load_text("docwords", split, progress=False)


def tokens(p: data.Passages) -> list[str]:
    return [t for text in p.texts for t in words.tokenise(text)]


# ---- what is kept of a docstring ---------------------------------------------------------------------------------


def test_prose_is_kept_without_its_markup():
    docstring = """Return the *mean* of ``x`` along an axis.

    Parameters
    ----------
    x : array_like
        The values to take the mean of, see :func:`numpy.mean` or :py:class:`~torch.Tensor`.

        A second paragraph, all in words.
    =======

    >>> mean([1, 2, 3])
    2

    .. deprecated:: some other function should be called instead of this

    1 2 3 4 5 6 7 8 9
    """
    kept = [paragraph for paragraph, _ in room.prose(docstring)]
    assert kept[0] == "Return the mean of x along an axis."
    assert kept[1] == "x : array_like\n    The values to take the mean of, see numpy.mean or torch.Tensor."
    assert kept[2:] == ["A second paragraph, all in words."]
    assert [t for _, t in room.prose(docstring)] == [words.tokenise(paragraph) for paragraph in kept]


def test_a_paragraph_that_shares_eight_tokens_is_a_copy():
    seen, line = room._Seen(), ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    assert not seen.copied(line)
    assert seen.copied(line) and seen.copied(["and", *line[2:]])
    assert not seen.copied([*line[:7], "other"])  # seven are shared
    assert not seen.copied(["short", "line"]) and seen.copied(["short", "line"])
    assert not seen.copied(["short", "line", "longer"])


# ---- the corpus --------------------------------------------------------------------------------------------------


def test_a_module_is_in_one_split_and_each_library_in_all(libraries):
    parts = {split: load(split) for split in room.SPLITS}
    sources = [set(p.sources.tolist()) for p in parts.values()]
    assert not any(a & b for a, b in itertools.combinations(sources, 2)) and len(set.union(*sources)) == 80
    for split, p in parts.items():
        assert p.classes == ("aspen", "birch") and (p.name, p.split) == ("docwords", split)
        share = {"train": 32, "val": 4, "test": 4}[split]
        assert [len(p.sources[p.labels == k].unique()) for k in range(2)] == [share] * 2
    sentences = [text.split(".")[0] for p in parts.values() for text in p.texts]
    assert len(set(sentences)) == len(sentences)  # and no passage in two
    assert len({p.hash for p in parts.values()}) == 1 and parts["train"].hash.startswith("v1-")


def test_labels_say_the_library_and_sources_the_module(libraries):
    p = load()
    for text, label, source in zip(p.texts, p.labels.tolist(), p.sources.tolist(), strict=True):
        first = text.split(".")[0]
        holds = [f for f in sorted(libraries.rglob("m*.py")) if first in f.read_text(encoding="utf-8")]
        assert len(holds) == 1 and p.classes[label] in str(holds[0])
        assert (source < 40) == (label == 0)


def test_no_eight_tokens_of_a_paragraph_stand_twice(libraries):
    rng = random.Random(1)
    copied = sentence(rng, 30)
    for i in range(0, 40, 2):
        module(libraries / "birch" / f"copy{i}.py", f"{copied}\n\n{sentence(rng, 40)}")
    parts = {split: load(split) for split in room.SPLITS}
    everything = "\n\n".join(text for p in parts.values() for text in p.texts)
    assert everything.count(copied) == 1
    rows = []
    for paragraph in everything.split("\n\n"):
        t = words.tokenise(paragraph)
        rows += [tuple(t[i : i + 8]) for i in range(len(t) - 7)]
    assert len(set(rows)) == len(rows) > 3000


def test_docstrings_come_in_the_order_of_the_source_whatever_they_stand_in():
    source = '''
"""module"""
class A:
    """class"""
    def f(self):
        """method"""
        def inner():
            """inner"""
    async def g(self): "asynchronous"
if True:
    def h():
        """conditional"""
def last(): pass
x = """no docstring"""
'''
    found = [d for d in room._docstrings(ast.parse(source)) if d]
    assert found == ["module", "class", "method", "inner", "asynchronous", "conditional"]


def test_what_is_not_read(libraries):
    rng = random.Random(2)
    module(libraries / "aspen" / "tests" / "test_x.py", "hidden " + sentence(rng, 40))
    module(libraries / "aspen" / "_vendor" / "x.py", "hidden " + sentence(rng, 40))
    module(libraries / "aspen" / "broken.py", "hidden " + sentence(rng, 40), code="def (:")
    (libraries / "aspen" / "binary.py").write_bytes(b'"""\0"""')
    module(libraries / "aspen" / "warns.py", "shown " + sentence(rng, 40), code=r"x = '\d'")  # a SyntaxWarning
    found = [t for split in room.SPLITS for t in tokens(load(split))]
    assert "hidden" not in found and "shown" in found
    assert "aspen" not in sys.modules and gc.isenabled()


def test_a_library_gives_at_most_so_many_tokens(libraries, monkeypatch):
    monkeypatch.setattr(room, "LARGEST", 1000)
    sizes = [0, 0]
    for split in room.SPLITS:
        p = load(split)
        for text, k in zip(p.texts, p.labels.tolist(), strict=True):
            sizes[k] += len(words.tokenise(text))
    assert all(1000 <= size < 1000 + 63 for size in sizes)  # 63 tokens a module: the last one is taken whole


def test_passages_have_their_length(libraries, monkeypatch):
    module(libraries / "aspen" / "long.py", *[sentence(random.Random(i), 50) for i in range(10)])
    sizes = [len(words.tokenise(text)) for split in room.SPLITS for text in load(split).texts]
    assert max(sizes) == room.LENGTH and min(sizes) >= room.LENGTH / 4 and sizes.count(room.LENGTH) >= 3


# ---- the cache ---------------------------------------------------------------------------------------------------


def test_it_is_read_once_and_again_for_other_versions(libraries, monkeypatch, tmp_path):
    first = load()
    monkeypatch.setattr(room, "_read", lambda progress: pytest.fail("read again"))
    again = load()
    assert again.texts == first.texts and again.hash == first.hash and again.sources.equal(first.sources)
    monkeypatch.undo()
    monkeypatch.setattr(room, "LIBRARIES", {"aspen": "aspen", "birch": "birch"})
    monkeypatch.setattr(room, "versions", lambda: {"aspen": "1.1", "birch": "2.0"})
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(str(libraries))
    module(libraries / "aspen" / "new.py", sentence(random.Random(5), 60))
    assert load().hash != first.hash


def test_a_broken_cache_is_read_again(libraries, tmp_path):
    first = load()
    (kept,) = (tmp_path / "data" / "cache").glob("docwords-*.json")
    for content in ("{", "[]", json.dumps({"facts": "others"})):
        kept.write_text(content)
        assert load().hash == first.hash


def test_without_a_place_to_keep_it_it_is_read_with_a_warning(libraries, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="could not be kept"):
        assert len(load()) > 0


@pytest.mark.parametrize("library", ["cedar", "sys"])
def test_a_library_that_is_not_there_is_named(libraries, monkeypatch, library):
    monkeypatch.setattr(room, "LIBRARIES", {"aspen": "aspen", library: "dist-" + library})
    with pytest.raises(ValueError, match=f"dist-{library} is not installed here"):
        load()
    monkeypatch.undo()
    monkeypatch.setattr(room, "LIBRARIES", {"aspen": "no-such-distribution"})
    with pytest.raises(ValueError, match="no-such-distribution is not installed here"):
        room.versions()


def test_an_unknown_split_gets_the_nearest_name():
    with pytest.raises(ValueError, match="Did you mean 'val'"):
        load("vals")


# ---- the real one ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_libraries_that_are_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path))
    start = time.perf_counter()
    train, test = load("train"), load("test")
    print(f"docwords read in {time.perf_counter() - start:.0f} s")
    assert set(room.versions()) == set(train.classes) == set(room.LIBRARIES)
    assert len(train) > 5000 and train.labels.bincount().min() > 300
    assert len(data.draw_labels(train, 30, seed=0)) == 30 * len(train.classes)
    rows = [set(), []]
    for p, found in ((train, rows[0].add), (test, rows[1].append)):
        for text in p.texts:
            t = words.tokenise(text)
            for i in range(len(t) - 8):
                found(tuple(t[i : i + 9]))
    copied = sum(row in rows[0] for row in rows[1]) / len(rows[1])
    assert copied < 0.001  # k = 8 words and the next: what is left reaches over the end of a paragraph
