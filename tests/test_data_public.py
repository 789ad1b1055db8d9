"""torchvision's sets by name, from a small server of our own: no test needs a network."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torchvision

from sslkit import data
from sslkit.data import public

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(10), 20).astype(np.uint8)  # train; the first 50 are test
FASHION = "http://fashion.example/"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def pixels(n: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (n, *shape), dtype=np.uint8)


class Server(dict):
    """url -> the bytes or the error that a request gets. Every other url is out of reach."""

    def __init__(self):
        self.asked: list[str] = []

    def open(self, request, *_, **__):
        url = getattr(request, "full_url", request)
        self.asked.append(url)
        content = self.get(url, urllib.error.URLError("Temporary failure in name resolution"))
        if isinstance(content, BaseException):
            raise content
        answer = io.BytesIO(content)
        answer.url, answer.length = url, len(content)
        return answer


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    server = Server()
    monkeypatch.setattr(urllib.request, "urlopen", server.open)
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path))
    return server


@pytest.fixture
def fashion(server, monkeypatch) -> dict[str, bytes]:
    """A small Fashion-MNIST on the server: 200 + 50 images; the checksums are its own."""
    files = {}
    for part, n in (("train", 200), ("t10k", 50)):
        files[f"{part}-images-idx3-ubyte.gz"] = struct.pack(">4i", 2051, n, 28, 28) + pixels(n, 28, 28).tobytes()
        files[f"{part}-labels-idx1-ubyte.gz"] = struct.pack(">2i", 2049, n) + LABELS[:n].tobytes()
    files = {name: gzip.compress(content, 1) for name, content in files.items()}
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [FASHION])
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", [(f, md5(c)) for f, c in files.items()])
    server.update({FASHION + name: content for name, content in files.items()})
    return files


def load(name: str, split: str = "train", **options) -> data.Split:
    return data.load(name, split, progress=False, **options)


def tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


# ---- each set, from download to tensors -------------------------------------------------------------------------


def test_fashion_mnist_train_val_and_test(fashion, tmp_path):
    parts = {split: load("fashion-mnist", split) for split in ("train", "val", "test")}
    assert {split: tuple(p.images.shape) for split, p in parts.items()} == {
        "train": (180, 1, 28, 28),
        "val": (20, 1, 28, 28),
        "test": (50, 1, 28, 28),
    }
    assert parts["val"].labels.bincount().tolist() == [2] * 10  # two of twenty in each class
    assert sorted(torch.cat([parts["train"].sources, parts["val"].sources]).tolist()) == list(range(200))
    raw = gzip.decompress(fashion["train-images-idx3-ubyte.gz"])[16:]
    everything = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(200, 1, 28, 28)
    for split in ("train", "val"):
        assert torch.equal(parts[split].images, everything[parts[split].sources])
        assert parts[split].labels.tolist() == LABELS[parts[split].sources].tolist()
    for split, p in parts.items():
        assert p.images.dtype == torch.uint8 and p.labels.dtype == torch.int64 and p.classes[0] == "T-shirt/top"
        assert (p.name, p.split, p.skipped) == ("fashion-mnist", split, ())
        assert p.hash == data.fingerprint(p.images, p.labels)
    assert (tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz").is_file()


def test_the_val_part_follows_the_seed(fashion):
    same, other = load("fashion-mnist", "val"), load("fashion-mnist", "val", seed=1)
    assert load("fashion-mnist", "val").hash == same.hash != other.hash


def test_the_val_part_is_5000_at_most():
    kept, held = public.hold_out(torch.arange(10).repeat_interleave(6000), public.LARGEST_VAL, seed=0)
    assert (len(kept), len(held)) == (55_000, 5_000)


def test_what_is_there_is_not_downloaded_again(fashion, server):
    load("fashion-mnist")
    server.clear()
    server.asked.clear()
    assert len(load("fashion-mnist", "test")) == 50 and server.asked == []


@pytest.mark.parametrize(("name", "kind"), [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100")])
def test_cifar(server, monkeypatch, name, kind):
    kind = getattr(torchvision.datasets, kind)
    key = "labels" if name == "cifar10" else "fine_labels"
    images = pixels(200, 3, 32, 32)
    batch = {"data": images.reshape(200, -1), key: LABELS.tolist()}
    files = {"one": pickle.dumps(batch), "two": pickle.dumps(batch)}
    files["meta"] = pickle.dumps({kind.meta["key"]: [f"class {k}" for k in range(10)]})
    archive = tar({f"{kind.base_folder}/{file}": content for file, content in files.items()})
    monkeypatch.setattr(kind, "train_list", [["one", md5(files["one"])]])
    monkeypatch.setattr(kind, "test_list", [["two", md5(files["two"])]])
    monkeypatch.setattr(kind, "meta", kind.meta | {"filename": "meta", "md5": md5(files["meta"])})
    monkeypatch.setattr(kind, "tgz_md5", md5(archive))
    server[kind.url] = archive
    test = load(name, "test")
    assert torch.equal(test.images, torch.from_numpy(images)) and test.labels.tolist() == LABELS.tolist()
    assert test.classes[3] == "class 3" and test.images.is_contiguous()
    assert (len(load(name)), len(load(name, "val"))) == (180, 20)


def test_stl10_has_unlabelled_images(server, monkeypatch):
    kind = torchvision.datasets.STL10
    images, unlabelled = pixels(50, 3, 96, 96), pixels(4, 3, 96, 96)
    labels = (LABELS[:50] + 1).tobytes()
    files = {"train_X.bin": images.tobytes(), "train_y.bin": labels, "unlabeled_X.bin": unlabelled.tobytes()}
    files |= {"test_X.bin": images.tobytes(), "test_y.bin": labels, "class_names.txt": b"plane\nbird\ncar\n"}
    archive = tar({f"{kind.base_folder}/{file}": content for file, content in files.items()})
    monkeypatch.setattr(kind, "train_list", [[f, md5(files[f])] for f in list(files)[:3]])
    monkeypatch.setattr(kind, "test_list", [[f, md5(files[f])] for f in list(files)[3:5]])
    monkeypatch.setattr(kind, "tgz_md5", md5(archive))
    server[kind.url] = archive
    test = load("stl10", "test")
    assert torch.equal(test.images, torch.from_numpy(images).transpose(2, 3))  # stored column by column
    assert test.labels.tolist() == LABELS[:50].tolist() and test.classes == ("plane", "bird", "car")
    free = load("stl10", "unlabeled")
    assert len(free) == 4 and free.classes == () and set(free.labels.tolist()) == {-1} and not free.labelled


def test_svhn(server, monkeypatch):
    images, out = pixels(200, 3, 32, 32), io.BytesIO()
    scipy.io.savemat(out, {"X": images.transpose(2, 3, 1, 0), "y": np.where(LABELS == 0, 10, LABELS)[:, None]})
    url = torchvision.datasets.SVHN.split_list["test"][0]
    entry = [url, "test_32x32.mat", md5(out.getvalue())]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", {"test": entry})
    server[url] = out.getvalue()
    test = load("svhn", "test")
    assert torch.equal(test.images, torch.from_numpy(images)) and test.labels.tolist() == LABELS.tolist()
    assert test.classes == tuple("0123456789")


# ---- no network, half a download, a wrong file ------------------------------------------------------------------


def test_without_a_network_it_says_which_files_go_where_and_leaves_nothing(fashion, server, tmp_path):
    files = dict(server)
    server.clear()
    with pytest.raises(ConnectionError) as error:
        load("fashion-mnist")
    message = str(error.value)
    for part in ("fashion-mnist", "name resolution", *fashion, f"into {tmp_path / 'FashionMNIST' / 'raw'}", FASHION):
        assert part in message
    assert "--data photodigits" in message
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    server.update(files)
    assert len(load("fashion-mnist")) == 180


@pytest.mark.parametrize("name", list(public.SETS))
def test_every_set_says_what_to_do_without_a_network(name, tmp_path):
    with pytest.raises(ConnectionError, match=f"{name} is not, or not whole, in {tmp_path}.*or put .*photodigits"):
        load(name)


def test_files_that_the_user_puts_there_are_used(fashion, server, tmp_path):
    server.clear()
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in fashion.items():
        (raw / name).write_bytes(content)
    assert len(load("fashion-mnist", "test")) == 50 and server.asked == []


def test_a_download_that_breaks_off_is_named_removed_and_repeated(fashion, server, tmp_path):
    url = FASHION + "t10k-images-idx3-ubyte.gz"
    server[url] = server[url][:500]
    with pytest.raises(
        OSError, match="t10k-images-idx3-ubyte.gz of fashion-mnist did not arrive whole.*500 bytes.*again"
    ):
        load("fashion-mnist")
    assert not (tmp_path / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte.gz").exists()
    server[url] = fashion["t10k-images-idx3-ubyte.gz"]
    server.asked.clear()
    assert len(load("fashion-mnist")) == 180
    assert not any("train" in u for u in server.asked)  # what had arrived whole was kept


def test_a_second_server_is_tried(fashion, server, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", ["http://gone.example/", FASHION])
    assert len(load("fashion-mnist")) == 180


def test_an_interrupted_download_and_an_interrupted_unpacking_do_not_break_the_next_try(fashion, server, tmp_path):
    whole = load("fashion-mnist").hash
    raw = tmp_path / "FashionMNIST" / "raw"
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (raw / name).write_bytes((raw / name).read_bytes()[:-1])  # torchvision alone would take these for the data
    assert load("fashion-mnist").hash == whole
    for length in (0, 2, 6, 10, 16, 1000):
        (raw / "train-images-idx3-ubyte").write_bytes((raw / "train-images-idx3-ubyte").read_bytes()[:length])
        assert load("fashion-mnist").hash == whole
    for file in raw.iterdir():
        file.unlink()
    url = FASHION + "train-labels-idx1-ubyte.gz"
    server[url] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        load("fashion-mnist")
    server[url] = fashion["train-labels-idx1-ubyte.gz"]
    assert load("fashion-mnist").hash == whole


def test_a_wrong_file_that_the_user_put_there_is_named_and_kept(fashion, server, tmp_path):
    server.clear()
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    expected = md5(fashion["train-images-idx3-ubyte.gz"])
    message = f"The train-images-idx3-ubyte.gz that is there cannot be used: 14 bytes with MD5 .*, expected {expected}"
    with pytest.raises(ConnectionError, match=message):
        load("fashion-mnist")
    assert (raw / "train-images-idx3-ubyte.gz").read_bytes() == b"something else"


def test_a_damaged_unpacked_file_is_unpacked_anew_or_named(server, monkeypatch, tmp_path):
    kind = torchvision.datasets.CIFAR10
    batch = pickle.dumps({"data": pixels(20, 3072), "labels": LABELS[::10].tolist()})
    meta = pickle.dumps({"label_names": list("abcdefghij")})
    archive = tar({f"{kind.base_folder}/one": batch, f"{kind.base_folder}/meta": meta})
    monkeypatch.setattr(kind, "train_list", [["one", md5(batch)]])
    monkeypatch.setattr(kind, "test_list", [["one", md5(batch)]])
    monkeypatch.setattr(kind, "meta", {"filename": "meta", "key": "label_names", "md5": md5(meta)})
    monkeypatch.setattr(kind, "tgz_md5", md5(archive))
    (tmp_path / kind.filename).write_bytes(archive)
    assert len(load("cifar10", "test")) == 20
    (tmp_path / kind.base_folder / "one").write_bytes(batch[:-9])
    assert len(load("cifar10", "test")) == 20
    (tmp_path / kind.base_folder / "one").write_bytes(batch[:-9])
    (tmp_path / kind.filename).unlink()
    with pytest.raises(ConnectionError, match=f"cifar10 is not, or not whole.*put {kind.filename} "):
        load("cifar10", "test")
    monkeypatch.setattr(kind, "train_list", [["one", "0" * 32]])
    (tmp_path / kind.filename).write_bytes(archive)
    with pytest.raises(OSError, match=f"unpacked in {tmp_path}, but is not whole.*Delete {kind.filename}"):
        load("cifar10", "test")


def test_a_full_disk(fashion, server):
    server[FASHION + "train-images-idx3-ubyte.gz"] = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="is full: train-images-idx3-ubyte.gz of fashion-mnist does not fit.*SSLKIT_DATA"):
        load("fashion-mnist")


def test_a_data_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PermissionError, match="cannot write to .*the files of mnist should go there.*SSLKIT_DATA"):
        load("mnist", root=tmp_path / "file")


def test_a_silent_server_does_not_hang(fashion, server, monkeypatch):
    import socket

    seen = []
    ask = server.open
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda *a, **k: seen.append(socket.getdefaulttimeout()) or ask(*a, **k)
    )
    before = socket.getdefaulttimeout()
    load("fashion-mnist")
    assert set(seen) == {public.SILENCE} and socket.getdefaulttimeout() == before


def test_the_bar_is_shown_only_when_asked_for(fashion, tmp_path, capfd):
    data.load("fashion-mnist", root=tmp_path / "quiet", progress=False)
    assert capfd.readouterr() == ("", "")
    data.load("fashion-mnist", root=tmp_path / "loud", progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "100%" in err


def test_importing_the_room_imports_no_torchvision():
    code = "import sys, sslkit.data; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(data.__file__).parents[2]).returncode == 0


@pytest.mark.skipif("SSLKIT_REALDATA" not in os.environ, reason="SSLKIT_REALDATA names no folder of unpacked real sets")
def test_the_real_fashion_mnist():
    root = Path(os.environ["SSLKIT_REALDATA"])
    if not (root / "FashionMNIST").is_dir():
        pytest.skip(f"there is no {root / 'FashionMNIST'}")
    assert [len(load("fashion-mnist", split, root=root)) for split in ("train", "val", "test")] == [
        55_000,
        5_000,
        10_000,
    ]
