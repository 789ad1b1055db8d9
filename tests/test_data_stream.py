"""Images on disk: they stand where a tensor would, are written once, and a folder that streams is the same folder."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from sslkit import data
from sslkit.data import folder, pictures, stream
from sslkit.data.split import fingerprint
from sslkit.data.stream import Stream, write

IMAGE = (3, 4, 5)  # no two alike


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "sslkit-data"))
    monkeypatch.delenv("SSLKIT_MEMORY_GB", raising=False)
    return tmp_path / "sslkit-data" / "cache"


def tensor(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, (n, *IMAGE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def on_disk(path: Path, images: torch.Tensor) -> Stream:
    path.write_bytes(images.numpy().tobytes())
    return Stream(path, tuple(images.shape[1:]), torch.arange(len(images)))


@pytest.fixture
def twins(tmp_path) -> tuple[torch.Tensor, Stream]:
    images = tensor(20)
    return images, on_disk(tmp_path / "x.rows", images)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)


# ---- in the place of a tensor -----------------------------------------------------------------------------------


def test_it_says_of_itself_what_a_tensor_says(twins):
    images, x = twins
    for name in ("shape", "ndim", "dtype", "device", "nbytes"):
        assert getattr(x, name) == getattr(images, name), name
    assert len(x) == len(images) == 20
    assert "20 × 3 × 4 × 5" in repr(x) and "x.rows" in repr(x)


INDICES = [
    0,
    19,
    -1,
    slice(None),
    slice(3, 9),
    slice(-4, None),
    slice(1, 18, 5),
    slice(7, 7),
    [4, 2, 2],
    [],
    np.array([5, -2]),
    torch.tensor([3]),
    torch.tensor([7, 8, 9, 2, 2, 19, 0, 1, -3]),
    torch.tensor([[1, 2], [3, 3]]),
    torch.arange(20) % 3 == 1,
    torch.zeros(20, dtype=torch.bool),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_every_kind_of_index_gives_what_a_tensor_gives(twins, index):
    images, x = twins
    assert same(x[index], images[index])


@settings(deadline=None)
@given(rows=st.lists(st.integers(-20, 19), max_size=30), again=st.lists(st.integers(0, 999), max_size=8))
def test_any_rows_of_any_subset(tmp_path_factory, rows, again):
    images = tensor(20)
    x = on_disk(tmp_path_factory.mktemp("any") / "x.rows", images)
    rows = torch.tensor(rows, dtype=torch.long)
    assert same(x[rows], images[rows]) and same(x.subset(rows)[:], images[rows])
    if len(rows):
        again = torch.tensor(again, dtype=torch.long) % len(rows)
        assert same(x.subset(rows).subset(again)[:], images[rows][again])


@pytest.mark.parametrize("index", [20, -21, [0, 20], torch.tensor([5, 99]), torch.ones(19, dtype=torch.bool)], ids=str)
def test_an_index_outside_is_refused_as_a_tensor_refuses_it(twins, index):
    for x in twins:
        with pytest.raises(IndexError):
            x[index]


def test_it_can_be_walked_through(twins):
    images, x = twins
    assert same(torch.stack(list(x)), images)
    for size in (1, 6, 20, 50):
        assert [same(a, b) for a, b in zip(x.split(size), images.split(size), strict=True)] == [True] * -(-20 // size)


def test_what_a_tensor_can_and_images_on_disk_cannot_is_said_with_the_way_out(twins):
    with pytest.raises(IndexError, match="taken by their number only"):
        twins[1][:, 0]
    with pytest.raises(AttributeError, match=r"on disk have no .float: .*x\[rows\].*x.split\(512\).*SSLKIT_MEMORY_GB"):
        twins[1].float()
    assert not hasattr(twins[1], "__array__")


@pytest.fixture
def reads(monkeypatch) -> list[int]:
    """The bytes of every read."""
    sizes: list[int] = []
    real = stream._File.read
    monkeypatch.setattr(stream._File, "read", lambda self, b, at: sizes.append(len(b)) or real(self, b, at))
    return sizes


def test_a_subset_reads_nothing_and_neighbours_are_read_at_once(twins, reads):
    _, x = twins
    part = x.subset(torch.tensor([3, 4, 5, 9, 8, 10, 11])).to("cpu")
    assert reads == [] and len(part) == 7 and part.nbytes == 7 * 60
    part[:]
    assert reads == [180, 60, 60, 120]


def test_rows_arrive_on_the_device(twins, device, reads):
    images, x = twins
    there = x.to(device)
    assert there.device == device and reads == []
    assert there[2:5].device.type == device.type and torch.equal(there[2:5].cpu(), images[2:5])
    index = torch.tensor([4, 1], device=device)
    assert torch.equal(there[index].cpu(), images[index.cpu()])
    assert there.subset(index)[:].device.type == device.type
    assert x.to("meta")[:3].device.type == "meta"


def test_short_reads_are_continued(twins, monkeypatch):
    images, x = twins
    real = stream._File._some
    monkeypatch.setattr(stream._File, "_some", lambda self, buffer, at: real(self, buffer[:7], at))
    assert same(x[:], images)


def test_a_system_without_positional_reads(twins, monkeypatch):
    images, x = twins
    monkeypatch.delattr(os, "preadv", raising=False)
    for index in INDICES:
        assert same(x[index], images[index])
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda i: same(x[[i, 19 - i]], images[[i, 19 - i]]), list(range(20)) * 20))


def test_several_threads_may_read(twins):
    images, x = twins
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda i: same(x[[i, 19 - i]], images[[i, 19 - i]]), list(range(20)) * 20))


class Rows(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_read_the_same(twins, start):
    if start == "fork" and not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    images, x = twins
    x[0]  # read here before the workers are made
    loader = DataLoader(Rows(x.subset(torch.arange(19, -1, -1))), 6, num_workers=2, multiprocessing_context=start)
    assert same(torch.cat(list(loader)), images.flip(0))


def test_it_can_be_pickled(twins):
    images, x = twins
    copy = pickle.loads(pickle.dumps(x.subset(torch.tensor([5, 1]))))
    assert same(copy[:], images[[5, 1]])


def test_a_file_that_is_not_what_it_was(twins):
    images, x = twins
    os.truncate(x.path, 19 * 60 + 59)
    assert same(x[:19], images[:19])
    with pytest.raises(OSError, match="x.rows ends too early.*Delete it and load the data again"):
        x[19]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be deleted there")
def test_a_deleted_file_can_be_read_by_those_who_have_it_open_and_by_no_one_else(twins):
    images, x = twins
    x.path.unlink()
    assert same(x[:], images) and same(x.subset(torch.tensor([1]))[:], images[[1]])
    with pytest.raises(FileNotFoundError, match="no longer in .*x.rows: .*Load the data again"):
        pickle.loads(pickle.dumps(x))


def test_files_are_closed_with_their_last_stream(twins):
    _, x = twins
    descriptor, part = x._file.descriptor, x.subset(torch.tensor([1]))
    del x, twins
    assert os.fstat(descriptor).st_size == 20 * 60 and len(part[:]) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_what_is_read(tmp_path):
    """600 MB are read in order, at random, and as a fingerprint, in a process of its own."""
    program = """
        import re, sys, torch
        from pathlib import Path
        from sslkit.data.split import fingerprint
        from sslkit.data.stream import Stream

        def megabytes(what):
            return int(re.search(rf"{what}:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1e3

        image, n = (3, 100, 100), 20_000
        path = Path(sys.argv[1])
        with path.open("wb") as file:
            file.truncate(n * 30_000)  # zeros: no disk is used, and reading them is the same
        x = Stream(path, image, torch.arange(n))
        x[:256], fingerprint(x[:2])
        before = megabytes("VmRSS")
        read = sum(len(batch) for batch in x.split(256)) + sum(len(x[rows]) for rows in torch.randperm(n).split(256))
        fingerprint(x)
        assert read == 2 * n
        print(megabytes("VmHWM") - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "x.rows")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 200  # a batch is 8 MB, a piece of the fingerprint 16; the file 600


# ---- writing ----------------------------------------------------------------------------------------------------


class Source:
    """Gives images in pieces of 4 and remembers from where on it was asked; stops at a number of pieces."""

    def __init__(self, images, unreadable=(), stop_after=10**9, stop=KeyboardInterrupt):
        self.images, self.unreadable, self.starts = images.numpy(), dict(unreadable), []
        self.stop_after, self.stop = stop_after, stop

    def __call__(self, start):
        self.starts.append(start)
        for count, first in enumerate(range(start, len(self.images), 4)):
            if count == self.stop_after:
                raise self.stop
            rows = range(first, min(first + 4, len(self.images)))
            yield self.images[rows.start : rows.stop], {i: r for i, r in self.unreadable.items() if i in rows}


UNREADABLE = {1: "broken", 9: "empty", 10: "no ☂"}


def test_what_is_written_is_what_came(tmp_path):
    images, path = tensor(18), tmp_path / "deep" / "x.rows"
    assert write(path, 18, IMAGE, Source(images, UNREADABLE), "x") == UNREADABLE
    assert path.read_bytes() == images.numpy().tobytes()
    assert sorted(p.name for p in path.parent.iterdir()) == ["x.json", "x.rows"]
    facts = stream.known(path)
    assert facts == {"count": 18, "shape": list(IMAGE), "unreadable": UNREADABLE}


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_an_interrupted_writing_goes_on_where_it_stopped(tmp_path, stop_after):
    images, path = tensor(18), tmp_path / "x.rows"
    first, second = Source(images, UNREADABLE, stop_after), Source(images, UNREADABLE)
    with pytest.raises(KeyboardInterrupt):
        write(path, 18, IMAGE, first, "x")
    assert not path.exists() and stream.known(path) is None
    half = path.with_suffix(".part")
    with half.open("ab") as file:
        file.write(b"half a row")  # as a process that was killed may leave it
    assert write(path, 18, IMAGE, second, "x") == UNREADABLE
    assert first.starts == [0] and second.starts == [4 * stop_after]
    assert path.read_bytes() == images.numpy().tobytes() and not half.exists()


def test_what_was_left_is_not_trusted_unless_it_fits(tmp_path):
    images, path = tensor(18), tmp_path / "x.rows"
    half, notes = path.with_suffix(".part"), path.with_suffix(".part.json")

    def start_after(spoil) -> int:
        with pytest.raises(KeyboardInterrupt):
            write(path, 18, IMAGE, Source(images, stop_after=2), "x")
        spoil()
        source = Source(images)
        write(path, 18, IMAGE, source, "x")
        assert path.read_bytes() == images.numpy().tobytes()
        path.unlink()
        return source.starts[0]

    facts = {"count": 18, "shape": list(IMAGE), "done": 8, "unreadable": {}}
    assert start_after(lambda: None) == 8
    assert start_after(lambda: os.truncate(half, 8 * 60 - 1)) == 0
    assert start_after(half.unlink) == 0
    assert start_after(notes.unlink) == 0
    assert start_after(lambda: notes.write_text("{")) == 0
    assert start_after(lambda: notes.write_text(json.dumps({**facts, "count": 17}))) == 0
    assert start_after(lambda: notes.write_text(json.dumps({**facts, "shape": [3, 5, 4]}))) == 0
    assert start_after(lambda: notes.write_text(json.dumps(facts))) == 8


def test_two_processes_may_write_the_same(tmp_path):
    images, path = tensor(18), tmp_path / "x.rows"

    class Raced(Source):
        """While this one is at its second piece, another writer does the whole work, and a third half of it."""

        def __call__(self, start):
            for count, piece in enumerate(super().__call__(start)):
                if count == 2:
                    write(path, 18, IMAGE, Source(images), "x")
                    with pytest.raises(KeyboardInterrupt):
                        write(path, 18, IMAGE, Source(images, stop_after=1), "x")
                yield piece

    write(path, 18, IMAGE, Raced(images), "x")
    assert path.read_bytes() == images.numpy().tobytes() and stream.known(path)["count"] == 18


def usage(free: int):
    return lambda path: shutil._ntuple_diskusage(10**9, 10**9 - free, free)


def test_a_disk_that_is_too_small_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    images, path = tensor(18), tmp_path / "cache" / "x.rows"
    monkeypatch.setattr(shutil, "disk_usage", usage(18 * 60 - 1))
    source = Source(images)
    message = "cache has no room for the pets: 0.0 GB more are needed there.*SSLKIT_DATA.*larger disk.*size=8 would fit"
    with pytest.raises(OSError, match=message):
        write(path, 18, IMAGE, source, "the pets")
    assert source.starts == [] and list(path.parent.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", usage(18 * 60))
    write(path, 18, IMAGE, source, "the pets")


def test_what_is_written_already_needs_no_more_room(tmp_path, monkeypatch):
    images, path = tensor(18), tmp_path / "x.rows"
    with pytest.raises(KeyboardInterrupt):
        write(path, 18, IMAGE, Source(images, stop_after=3), "x")
    monkeypatch.setattr(shutil, "disk_usage", usage(6 * 60))
    write(path, 18, IMAGE, Source(images), "x")


def test_a_disk_that_fills_up_meanwhile_keeps_what_is_written(tmp_path, monkeypatch):
    images, path = tensor(18), tmp_path / "x.rows"
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no room for the pets.*What is decoded already is kept"):
            write(path, 18, IMAGE, Source(images), "the pets")
    source = Source(images)
    write(path, 18, IMAGE, source, "the pets")
    assert source.starts == [8] and path.read_bytes() == images.numpy().tobytes()


def test_another_error_of_the_disk_is_itself(tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        write(tmp_path / "x.rows", 18, IMAGE, Source(tensor(18)), "x")


def test_fewer_images_than_were_announced_are_not_taken_for_all(tmp_path):
    with pytest.raises(ValueError, match="17 images came .* and 18 were expected"):
        write(tmp_path / "x.rows", 18, IMAGE, Source(tensor(17)), "x")
    assert stream.known(tmp_path / "x.rows") is None


# ---- a folder larger than memory --------------------------------------------------------------------------------

TINY = "0.000001"  # a kilobyte


def pets(path: Path, n: int = 40, side: int = 8) -> Path:
    """Two classes of noise, one file of which cannot be read."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (path / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            noise = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(noise).save(path / name / f"{i:04}.png")
    (path / "cat" / "0007.png").write_text("no picture")
    return path


def load(path: Path, split: str = "train", **options) -> data.Split:
    return data.load(f"folder:{path}", split, progress=False, **options)


@pytest.mark.filterwarnings("ignore:.*could not be read")
@pytest.mark.parametrize("options", [{}, {"channels": 1, "size": 16}, {"seed": 3}, {"classes_at": 0}], ids=str)
def test_a_streamed_folder_is_the_same_folder(tmp_path, monkeypatch, capsys, options):
    path = pets(tmp_path / "pets")
    splits = ("train", "val") if "classes_at" in options else folder.SPLITS
    resident = {split: load(path, split, root=tmp_path / "one", **options) for split in splits}
    assert all(isinstance(split.images, torch.Tensor) for split in resident.values()) and not capsys.readouterr().err
    monkeypatch.setenv("SSLKIT_MEMORY_GB", TINY)
    for split in splits:
        a, b = resident[split], load(path, split, root=tmp_path / "two", **options)
        assert isinstance(b.images, Stream) and len(a) == len(b)
        assert same(b.images[:], a.images)
        assert torch.equal(a.labels, b.labels) and torch.equal(a.sources, b.sources)
        assert (a.classes, a.name, a.split, a.hash, a.skipped) == (b.classes, b.name, b.split, b.hash, b.skipped)
    assert sum(len(split.skipped) for split in resident.values()) == 1


@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_that_it_streams_is_said_once_in_one_line(tmp_path, monkeypatch, capsys, cache):
    path = pets(tmp_path / "pets")
    monkeypatch.setenv("SSLKIT_MEMORY_GB", TINY)
    load(path)
    line = capsys.readouterr().err
    (file,) = cache.glob("*.rows")
    assert line.count("\n") == 1 and str(file) in line
    assert line.startswith("folder:pets (train): 63 images of 3 × 8 × 8 take 0.0 GB, more than the 1e-06 GB")
    load(path)
    assert capsys.readouterr().err == ""
    load(path, "val")
    assert capsys.readouterr().err.startswith("folder:pets (val): 8 images")


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that were decoded."""
    names: list[str] = []
    read = pictures.read_image
    monkeypatch.setattr(pictures, "read_image", lambda path, *a: names.append(path.name) or read(path, *a))
    return names


@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_the_limit_decides_for_each_part_and_nothing_is_decoded_twice(tmp_path, monkeypatch, decoded):
    path = pets(tmp_path / "pets")
    size = 3 * 8 * 8
    for limit, kinds in ((63 * size, "TT"), (63 * size - 1, "ST"), (8 * size, "ST"), (8 * size - 1, "SS")):
        monkeypatch.setenv("SSLKIT_MEMORY_GB", repr(limit / 1e9))
        assert "".join(type(load(path, split).images).__name__[0] for split in ("train", "val")) == kinds, limit
    monkeypatch.delenv("SSLKIT_MEMORY_GB")
    monkeypatch.setattr(pictures, "LARGEST_BLOCK", 63 * size - 1)
    assert isinstance(load(path).images, Stream)
    assert len(decoded) == 80


@pytest.mark.parametrize("value", ["many", "-1", "nan", "inf", "4 GB", "1,5"])
def test_a_limit_that_is_no_number(tmp_path, monkeypatch, value, decoded):
    monkeypatch.setenv("SSLKIT_MEMORY_GB", value)
    with pytest.raises(ValueError, match=f"SSLKIT_MEMORY_GB is '{value}': a number of gigabytes .* such as 8 or 0.5"):
        load(pets(tmp_path / "pets"))
    assert decoded == []


@pytest.mark.parametrize(
    ("value", "limit"), [("", 4e9), (" ", 4e9), ("0", 0), ("0.5", 5e8), ("16", 16e9), ("1e1", 1e10)]
)
def test_a_limit_in_gigabytes(monkeypatch, value, limit):
    monkeypatch.setenv("SSLKIT_MEMORY_GB", value)
    assert pictures.memory_limit() == limit


@pytest.fixture
def streamed(tmp_path, monkeypatch) -> data.Split:
    path = pets(tmp_path / "pets")
    (path / "cat" / "0007.png").unlink()
    monkeypatch.setenv("SSLKIT_MEMORY_GB", TINY)
    return load(path)


def test_a_streamed_split_gives_streamed_splits_and_draws_the_same_labels(streamed, tmp_path, device):
    held = data.Split(**{**vars(streamed), "images": streamed.images[:]})
    index = data.draw_labels(streamed, 5, seed=1)
    assert torch.equal(index, data.draw_labels(held, 5, seed=1))
    part = streamed.subset(index).subset(torch.arange(9, -1, -1))
    assert isinstance(part.images, Stream) and same(part.images[:], held.images[index].flip(0))
    assert torch.equal(part.labels, held.labels[index].flip(0))
    there = part.to(device)
    assert isinstance(there.images, Stream) and there.images.device.type == there.labels.device.type
    assert torch.equal(there.subset(torch.tensor([3], device=device)).images[0].cpu(), part.images[3])
    assert fingerprint(part.images, part.labels) == fingerprint(part.images[:], part.labels)


def test_a_fingerprint_is_of_the_bytes_however_they_are_cut(monkeypatch):
    images, labels = tensor(50), torch.arange(50)
    whole = fingerprint(images, labels)
    monkeypatch.setattr("sslkit.data.split._PIECE", 7 * 60 + 1)
    assert fingerprint(images, labels) == whole
    assert fingerprint(images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), labels) == whole
    assert fingerprint(labels, images) != whole != fingerprint(images, labels + 1)
    assert len(fingerprint(images[:0], labels[:0])) == 12


@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_the_fingerprint_of_a_streamed_part_is_computed_once(tmp_path, monkeypatch, reads):
    path = pets(tmp_path / "pets")
    monkeypatch.setenv("SSLKIT_MEMORY_GB", TINY)
    first = load(path)
    assert sum(reads) == 63 * 192
    reads.clear()
    again, other, value = load(path), load(path, seed=1), load(path, "val")
    assert again.hash == first.hash and len({first.hash, other.hash, value.hash}) == 3
    assert sum(reads) == other.images.nbytes + value.images.nbytes
    reads.clear()
    assert load(path, seed=1).hash == other.hash and reads == []


@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_a_cache_that_can_only_be_read_is_enough_once_it_is_whole(tmp_path, monkeypatch):
    path = pets(tmp_path / "pets")
    expected = load(path)
    monkeypatch.setenv("SSLKIT_MEMORY_GB", TINY)

    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", read_only)
    assert load(path).hash == expected.hash


@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_an_interrupted_decoding_goes_on_where_it_stopped(tmp_path, monkeypatch, decoded, cache):
    path = pets(tmp_path / "pets")
    monkeypatch.setattr(pictures, "_PIECE", 20 * 192)
    read = pictures.read_image

    def stop(file, *_):
        if file.parent.name == "dog" and file.name == "0015.png":  # the 56th of 80
            raise KeyboardInterrupt
        return read(file, *_)

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "read_image", stop)
        with pytest.raises(KeyboardInterrupt):
            load(path)
    assert sorted(p.suffix for p in cache.iterdir()) == [".json", ".part"]
    decoded.clear()
    split = load(path)
    assert len(decoded) == 40  # two pieces of twenty were whole
    assert split.hash == load(path, root=tmp_path / "fresh").hash and len(split.skipped) == 1
    assert sorted(p.suffix for p in cache.iterdir()) == [".json", ".rows"]


@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_pieces_of_any_size_give_the_same_images(tmp_path, monkeypatch):
    path = pets(tmp_path / "pets", n=90)
    expected = load(path, root=tmp_path / "whole")
    for piece in (1, 50 * 192, 179 * 192, 180 * 192):
        monkeypatch.setattr(pictures, "_PIECE", piece)
        split = load(path, root=tmp_path / str(piece))
        assert split.hash == expected.hash and split.skipped == expected.skipped


def test_a_changed_folder_leaves_no_old_file_and_those_who_read_it_go_on(streamed, tmp_path, cache):
    before = streamed.images[:]
    (tmp_path / "pets" / "cat" / "0008.png").unlink()
    other = load(tmp_path / "pets")
    assert len(other) < len(streamed) + 1 and other.hash != streamed.hash
    assert len(list(cache.iterdir())) == 2 and not streamed.images.path.exists()
    if sys.platform != "win32":
        assert same(streamed.images[:], before)


def test_streaming_needs_a_cache_that_can_be_written_to(tmp_path, monkeypatch):
    path = pets(tmp_path / "pets")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SSLKIT_MEMORY_GB", "0.00001")
    message = r"cannot write to .*file/cache .*80 of 3 × 8 × 8, 0.0 GB, more than the 1e-05 GB that.*SSLKIT_DATA"
    with pytest.raises(PermissionError, match=message):
        load(path, root=tmp_path / "file")


@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_a_full_disk_is_an_error_only_where_it_is_needed(tmp_path, monkeypatch):
    path = pets(tmp_path / "pets")
    expected = load(path, root=tmp_path / "elsewhere")
    monkeypatch.setattr(shutil, "disk_usage", usage(1000))
    with pytest.warns(UserWarning, match="could not be kept.*has no room for the decoded images of pets .80 of 3"):
        assert load(path).hash == expected.hash
    monkeypatch.setenv("SSLKIT_MEMORY_GB", TINY)
    with pytest.raises(OSError, match="has no room for the decoded images of pets .80 of 3.*SSLKIT_DATA.*size="):
        load(path)
