"""text:PATH: what belongs to which split, in any language, and what is said of text that does not fit."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit import data, words
from sslkit.data import text as room


def novel(path: Path, n: int, name: str = "w", start: int = 0) -> Path:
    """A file of n different words, name000 name001 …, so that a passage tells where it was cut from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(" ".join(f"{name}{_letters(i)}" for i in range(start, start + n)), encoding="utf-8")
    return path


def _letters(i: int) -> str:
    return "".join(chr(97 + int(d)) for d in f"{i:05}")


def position(word: str, name: str = "w") -> int:
    return int("".join(str(ord(c) - 97) for c in word.removeprefix(name)))


def load(path: Path, split: str = "train", **options) -> data.Passages:
    return data.load_text(f"text:{path}", split, **{"length": 8, **options})


def all_parts(path: Path, **options) -> dict[str, data.Passages]:
    return {split: load(path, split, **options) for split in room.SPLITS}


# ---- what is read as what ----------------------------------------------------------------------------------------


def test_one_file_is_split_by_blocks_with_a_gap_between_them(tmp_path):
    parts = all_parts(novel(tmp_path / "novel.txt", 8 * 100))
    assert {split: len(p) for split, p in parts.items()} == {"train": 78, "val": 10, "test": 10}
    where = {s: [position(w) for t in p.texts for w in words.tokenise(t)] for s, p in parts.items()}
    assert where["train"] == list(range(8 * 78))
    assert where["val"] == list(range(8 * 79, 8 * 89)) and where["test"] == list(range(8 * 90, 8 * 100))
    for split, p in parts.items():
        assert p.classes == () and not p.labelled and p.labels.tolist() == [-1] * len(p)
        assert (p.name, p.split, p.skipped) == ("text:novel.txt", split, ())
        assert all(len(words.tokenise(t)) == 8 for t in p.texts)


@settings(deadline=None)
@given(st.integers(5, 500))
def test_blocks_are_apart_in_order_and_hold_what_they_should(n):
    train, val, test = (room._blocks(n)[s] for s in room.SPLITS)
    assert train.start == 0 and val.start == train.stop + 1 and test.start == val.stop + 1 and test.stop == n
    assert len(train) >= 1 and len(val) == len(test) == max(1, n // 10)


def test_many_files_are_drawn_as_a_whole(tmp_path):
    for i in range(30):
        novel(tmp_path / "texts" / f"{i:02}.txt", 20, start=100 * i)
    parts = all_parts(tmp_path / "texts")
    files = {s: {position(w) // 100 for t in p.texts for w in words.tokenise(t)} for s, p in parts.items()}
    assert {s: len(f) for s, f in files.items()} == {"train": 24, "val": 3, "test": 3}
    assert set.union(*files.values()) == set(range(30))
    for s, p in parts.items():
        assert set(p.sources.tolist()) == files[s]  # a source is a file
        assert p.texts == load(tmp_path / "texts", s).texts and p.hash == load(tmp_path / "texts", s).hash
    assert load(tmp_path / "texts", "val", seed=1).hash != parts["val"].hash


def test_folders_are_classes_and_every_class_is_in_every_split(tmp_path):
    for name, n in (("austen", 20), ("doyle", 10)):
        for i in range(n):
            novel(tmp_path / "books" / name / "deeper" / f"{i:02}.txt", 16, name=name)
    for split, p in all_parts(tmp_path / "books").items():
        assert p.classes == ("austen", "doyle") and p.labelled
        for text, label in zip(p.texts, p.labels.tolist(), strict=True):
            assert text.startswith(p.classes[label])
        files = {"train": [16, 8], "val": [2, 1], "test": [2, 1]}[split]
        assert p.labels.bincount().tolist() == [2 * n for n in files]


def test_a_class_of_few_files_is_split_by_blocks(tmp_path):
    for name in ("austen", "doyle"):
        for i in range(2):
            novel(tmp_path / name / f"{i}.txt", 8 * 10, name=name, start=1000 * i)
    parts = all_parts(tmp_path)
    assert {s: p.labels.bincount().tolist() for s, p in parts.items()} == {
        "train": [14] * 2,
        "val": [2] * 2,
        "test": [2] * 2,
    }
    seen = [t for p in parts.values() for t in p.texts]
    assert len(set(seen)) == len(seen) == 36
    sources = [i for p in parts.values() for i in p.sources.tolist()]
    assert len(set(sources)) == 36  # each passage is one: of two files no ten labels could be drawn


def test_files_can_be_classes(tmp_path):
    for name in ("austen", "doyle"):
        novel(tmp_path / f"{name}.txt", 8 * 20, name=name)
    p = load(tmp_path, classes="file")
    assert p.classes == ("austen.txt", "doyle.txt")
    assert all(p.classes[k].startswith(t[:5]) for t, k in zip(p.texts, p.labels.tolist(), strict=True))
    assert not load(tmp_path).labelled  # unless it is asked for, files are no classes
    index = data.draw_labels(p, 3, seed=0)
    assert p.subset(index).labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert p.subset(index).texts == tuple(p.texts[i] for i in index.tolist())


def test_folders_can_be_taken_without_labels(tmp_path):
    for name in ("austen", "doyle"):
        novel(tmp_path / name / "a.txt", 8 * 20, name=name)
    assert load(tmp_path, classes="none").classes == ()


@pytest.mark.parametrize(
    "sentence", ["Где же ты, моя звезда? ", "我喜欢读书，你呢？", "कहाँ जा रहे हो? ", "Où es-tu, été ? "]
)
def test_any_language_is_read(tmp_path, sentence):
    (tmp_path / "text.txt").write_text("\ufeff" + 100 * sentence, encoding="utf-8")
    p = load(tmp_path / "text.txt", length=16)
    assert len(p) > 10 and all(len(words.tokenise(t)) == 16 for t in p.texts)
    assert "\ufeff" not in "".join(p.texts)


def test_the_hash_sees_texts_and_labels(tmp_path):
    before = load(novel(tmp_path / "a.txt", 100))
    assert load(tmp_path / "a.txt").hash == before.hash
    assert load(novel(tmp_path / "a.txt", 100, start=1)).hash != before.hash
    one = data.split.text_fingerprint(["ab", "c"], torch.tensor([0, 1]))
    assert one != data.split.text_fingerprint(["a", "bc"], torch.tensor([0, 1]))
    assert one != data.split.text_fingerprint(["ab", "c"], torch.tensor([1, 0]))


# ---- what does not fit -------------------------------------------------------------------------------------------


def test_another_encoding_is_named_with_its_place(tmp_path):
    file = tmp_path / "old.txt"
    file.write_bytes(b"first line\nsecond caf\xe9 \n")
    with pytest.raises(ValueError, match=r"old.txt is not UTF-8: byte 0xe9 in line 2 \(byte 21\).*iconv -f latin-1"):
        load(file)
    file.write_text("wide " * 100, encoding="utf-16")
    with pytest.raises(ValueError, match="not UTF-8: byte 0xff in line 1.*UTF-16"):
        load(file)
    file.write_bytes(b"text\nand \0 more")
    with pytest.raises(ValueError, match="a zero byte in line 2"):
        load(file)


def test_a_broken_file_among_others_is_left_out_and_named(tmp_path):
    for i in range(12):
        novel(tmp_path / "t" / f"{i:02}.txt", 20, start=100 * i)
    (tmp_path / "t" / "05.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "t" / "06.txt").write_text("one")
    with pytest.warns(UserWarning, match="2 of 12 files") as caught:
        p = load(tmp_path / "t")
    assert Path(caught[0].filename).name == "test_data_text.py"
    assert (
        len(p.skipped) == 2 and "05.txt is not UTF-8" in p.skipped[0] and "06.txt has less than 2 words" in p.skipped[1]
    )
    assert not {5, 6} & {position(w) // 100 for t in p.texts for w in words.tokenise(t)}


@pytest.mark.parametrize(
    ("content", "why"), [("", "holds no text"), (" \n", "holds no text"), ("a b c d e f", "1 passage of")]
)
def test_empty_and_tiny_text(tmp_path, content, why):
    (tmp_path / "tiny.txt").write_text(content)
    with pytest.raises(ValueError, match=why):
        load(tmp_path / "tiny.txt")


def test_a_length_that_would_do_is_offered(tmp_path):
    file = novel(tmp_path / "short.txt", 400)
    with pytest.raises(ValueError, match="has 3 passages of 128 tokens") as error:
        data.load_text(f"text:{file}")
    length = int(re.search(r"length=(\d+)", str(error.value))[1])
    assert len(data.load_text(f"text:{file}", length=length)) >= 1
    with pytest.raises(ValueError, match="Add text.$"):  # and none where none would do
        load(novel(tmp_path / "tiny.txt", 20))


def test_one_class_only(tmp_path):
    novel(tmp_path / "only" / "a.txt", 200)
    with pytest.raises(ValueError, match="one class only \\('only'\\).*classes='none'"):
        load(tmp_path)
    with pytest.raises(ValueError, match="one class only"):
        load(tmp_path / "only" / "a.txt", classes="file")
    assert len(load(tmp_path, classes="none")) > 0


def test_a_class_with_too_little_text_is_named(tmp_path):
    novel(tmp_path / "long" / "a.txt", 200)
    novel(tmp_path / "short" / "a.txt", 20)
    with pytest.raises(ValueError, match="class 'short' of .* has 3 passages"):
        load(tmp_path)


def test_files_beside_the_class_folders_and_parts_of_its_own(tmp_path):
    novel(tmp_path / "a" / "a" / "1.txt", 200)
    novel(tmp_path / "a" / "b" / "1.txt", 200)
    novel(tmp_path / "a" / "readme.txt", 20)
    with pytest.raises(ValueError, match="1 of 3 files .*the first: readme.txt"):
        load(tmp_path / "a")
    novel(tmp_path / "b" / "train" / "1.txt", 200)
    novel(tmp_path / "b" / "test" / "1.txt", 200)
    with pytest.raises(ValueError, match="parts of its own"):
        load(tmp_path / "b")


def test_a_wrong_path(tmp_path):
    novel(tmp_path / "novel.txt", 20)
    with pytest.raises(FileNotFoundError, match="novle.txt.*It holds: novel.txt"):
        load(tmp_path / "novle.txt")
    with pytest.raises(ValueError, match="without a path"):
        data.load_text("text:")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no file"):
        load(tmp_path / "empty")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"split": "tset"}, "Did you mean 'test'"),
        ({"classes": "folders"}, "Did you mean 'folder'"),
        ({"length": 4}, "length is 4"),
        ({"length": 16.0}, "length is 16.0"),
        ({"root": "."}, "Leave root out"),
    ],
)
def test_wrong_parameters(tmp_path, options, why):
    with pytest.raises(ValueError, match=why):
        load(novel(tmp_path / "a.txt", 200), **options)


@pytest.mark.parametrize(
    ("name", "why"), [("docword", "Did you mean 'docwords'"), ("mnist", "Use load"), ("folder:x", "Use load")]
)
def test_wrong_names(name, why):
    with pytest.raises(ValueError, match=why):
        data.load_text(name)


@pytest.mark.parametrize("name", ["docwords", "text:novel.txt"])
def test_load_sends_text_to_its_own_door(name):
    with pytest.raises(ValueError, match="Use load_text"):
        data.load(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="belongs to text:PATH"):
            data.load_text("docwords", length=64)
