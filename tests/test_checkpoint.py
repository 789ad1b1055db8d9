"""Checkpoints: what goes in comes out, a file is whole or not there, and nothing in it can run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sslkit import checkpoint, evaluate, methods, nets, words
from sslkit import device as devices

NETS = {
    "convnet": lambda: nets.ConvNet(1, widths=(4, 8)),
    "resnet18": lambda: nets.ResNet18(1, width=4),
    "resnet18 with the large stem": lambda: nets.ResNet18(1, width=4, small_images=False),
}


def trained(name: str = "simclr", make=NETS["convnet"], seed: int = 0):
    """A method whose batch norm has seen something."""
    with devices.seeded(seed):
        method = methods.build(name, make())
    method(images(), devices.generator(seed))
    return method


def images() -> torch.Tensor:
    return torch.randint(256, (8, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(9))


def save(path: Path, method=None, **about) -> Path:
    return checkpoint.save(path, method or trained(), **({"name": "simclr", "data": "toy"} | about))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save(tmp_path / "encoder.pt")


# ---- round trip --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETS.values(), ids=NETS.keys())
def test_a_loaded_encoder_has_the_same_features_bit_for_bit(tmp_path, make):
    method = trained(make=make)
    encoder = checkpoint.load_encoder(save(tmp_path / "e.pt", method))
    assert not encoder.training
    before, after = (evaluate.features(e, images()) for e in (method.encoder, encoder))
    assert len(before) == len(after)
    assert all(torch.equal(a, b) for a, b in zip(before, after))


def test_where_it_came_from_is_in_the_file(tmp_path):
    history = [{"epoch": 1, "loss": 2.5, "seconds": 0.1}]
    path = save(tmp_path / "e.pt", data="toy", data_hash="v1-abc", settings={"epochs": 3}, history=history, seconds=1.5)
    content = checkpoint.load(path)
    assert content["method"] == "simclr" and content["data"] == "toy" and content["data_hash"] == "v1-abc"
    assert content["settings"] == {"epochs": 3} and content["history"] == history and content["seconds"] == 1.5


def test_the_folder_is_made_and_the_path_comes_back(tmp_path):
    path = tmp_path / "runs" / "today" / "e.pt"
    assert save(path) == path and path.is_file()
    assert save(str(path)) == path


def test_a_method_on_a_gpu_loads_on_the_cpu(tmp_path, device):
    encoder = checkpoint.load_encoder(save(tmp_path / "e.pt", trained().to(device)))
    assert {p.device.type for p in encoder.parameters()} == {"cpu"}


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_the_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    assert save(tmp_path / "e.pt").stat().st_mode == (tmp_path / "usual").stat().st_mode


# ---- the file is whole or not there ------------------------------------------------------------------------------


class Full(Exception):
    """Something goes wrong half way."""


def half_a_file(content, file) -> None:
    buffer = io.BytesIO()
    real_save(content, buffer)
    file.write(buffer.getvalue()[: buffer.tell() // 2])
    raise Full


def no_move(*_) -> None:
    raise Full


real_save = torch.save


@pytest.mark.parametrize("module, name, broken", [(torch, "save", half_a_file), (os, "replace", no_move)])
def test_a_failure_leaves_the_old_file_and_nothing_else(file, monkeypatch, module, name, broken):
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(module, name, broken)
        with pytest.raises(Full):
            save(file, trained(seed=1))
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]
    save(file, trained(seed=1))
    assert file.read_bytes() != before
    assert os.listdir(file.parent) == [file.name]


def test_an_interrupt_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "e.pt")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot write to .*file.*Choose another place with --out"):
        save(tmp_path / "file" / "e.pt")


# ---- what is not a checkpoint ------------------------------------------------------------------------------------


def test_a_missing_file_is_named_with_those_beside_it_and_the_command(file):
    with pytest.raises(FileNotFoundError) as caught:
        checkpoint.load(file.parent / "encodr.pt")
    assert "Beside it there are: encoder.pt." in str(caught.value)
    assert "python -m sslkit pretrain" in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        checkpoint.load(file.parent / "nowhere" / "e.pt")
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        checkpoint.load(file.parent)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused(file, share):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="encoder.pt cannot be loaded: it is .*cut off. Expected a file written by"):
        checkpoint.load(file)


@pytest.mark.parametrize("text", ["not a checkpoint\n" * 40, "text", "", "\x80\x02.", "(((", "PK\x03\x04"])
def test_a_text_file_is_refused(tmp_path, text):
    path = tmp_path / "notes.pt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="notes.pt cannot be loaded: it is not a PyTorch file"):
        checkpoint.load(path)


def test_another_zip_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive.pt", "w") as archive:
        archive.writestr("archive/readme.txt", "hello")
    with pytest.raises(ValueError, match="archive.pt cannot be loaded: it is damaged"):
        checkpoint.load(tmp_path / "archive.pt")


@pytest.mark.parametrize("offset", range(0, 3000, 150))
def test_a_damaged_file_is_refused_or_whole(file, offset):
    """Sixteen bytes are overwritten: in the pickle that is an error in so many words; elsewhere it may do no harm."""
    whole = bytearray(file.read_bytes())
    whole[offset : offset + 16] = b"\xff" * 16
    file.write_bytes(whole)
    try:
        checkpoint.load(file)
    except ValueError as error:
        assert "encoder.pt" in str(error) and "Expected a file written by" in str(error)


@pytest.mark.parametrize("content", [{"state_dict": {}, "epoch": 3}, [1, 2], torch.zeros(3)])
def test_a_pytorch_file_of_somebody_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "theirs.pt")
    with pytest.raises(ValueError, match="is a PyTorch file, but not an sslkit checkpoint"):
        checkpoint.load(tmp_path / "theirs.pt")


def test_a_format_of_the_future_is_refused(file):
    content = torch.load(file, weights_only=True)
    torch.save(content | {"format": 99}, file)
    with pytest.raises(ValueError, match="checkpoint format 99; this sslkit reads 1. Update sslkit"):
        checkpoint.load(file)


class Payload:
    """Pickled, this makes a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_pickled_code_is_refused_and_does_not_run(tmp_path, form):
    trace, path = tmp_path / "trace", tmp_path / "evil.pt"
    if form == "torch":
        torch.save(torch.load(save(path), weights_only=True) | {"settings": Payload(trace)}, path)
        assert zipfile.is_zipfile(path)
    else:
        path.write_bytes(pickle.dumps(Payload(trace), protocol=2))
    with pytest.raises(ValueError, match="evil.pt cannot be loaded"):
        checkpoint.load(path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if form == "torch" else pickle.loads(path.read_bytes())
    assert trace.exists()  # it would have run


def test_pickled_code_in_a_pytorch_file_is_called_by_its_name(tmp_path):
    torch.save({"settings": Payload(tmp_path / "trace")}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="holds pickled Python objects, which could run code when loaded"):
        checkpoint.load(tmp_path / "evil.pt")


def test_numbers_of_numpy_are_written_as_plain_ones_and_can_be_read(tmp_path):
    method = methods.build("simclr", nets.ConvNet(3, widths=(4, 8)))
    history = [{"epoch": 1, "knn": np.mean([0.1, 0.3]), "pair": (np.int64(3), [np.float32(0.5)])}]
    settings = {"lr": np.logspace(-4, -2, 3)[1]}
    file = checkpoint.save(tmp_path / "e.pt", method, name="simclr", data="toy", settings=settings, history=history)
    content = checkpoint.load(file)
    assert content["history"] == [{"epoch": 1, "knn": 0.2, "pair": (3, [0.5])}] and content["settings"] == {"lr": 1e-3}
    assert type(content["settings"]["lr"]) is float


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_that_is_not_the_embeddings_comes_back_as_it_was(tmp_path, tied):
    vocabulary = words.Vocabulary(("<unk>", "<s>", "a", "b", "c"))
    encoder = nets.CausalTransformer(len(vocabulary), k=6, width=8, depth=1, heads=2)
    method = methods.NextWords(encoder, tied=tied).eval()
    file = checkpoint.save(tmp_path / "w.pt", method, name="next-word", data="toy", vocabulary=vocabulary)
    again, _ = checkpoint.load_reader(file)
    x = torch.tensor([[1, 2, 3, 4, 2]])
    assert torch.equal(again.log_probabilities(x), method.log_probabilities(x))
    assert (again.head.weight is again.encoder.embed.weight) == tied
