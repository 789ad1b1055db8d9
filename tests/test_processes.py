"""Several processes are one: the same losses, gradients, decisions; a lost one ends the run, and the file is whole."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import together
import torch
from PIL import Image
from torch import nn

from sslkit import checkpoint, methods, train
from sslkit import device as devices

ROOT = Path(__file__).resolve().parent.parent
WORLDS = (2, 3)


def launch(what: str, world: int, folder: Path) -> list[subprocess.CompletedProcess]:
    """Run together.py in so many processes, as torchrun would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(world):
        env = os.environ | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
        env |= {"LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, ROOT / "tests" / "together.py", what, folder]
        children.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    return [
        subprocess.CompletedProcess(child.args, child.returncode, *found)
        for child in children
        for found in [child.communicate(timeout=240)]
    ]


def report_of(what: str, world: int, folder: Path) -> dict:
    done = launch(what, world, folder)
    assert all(d.returncode == 0 for d in done), "\n".join(d.stderr[-3000:] for d in done)
    return json.loads((folder / "report.json").read_text())


# ---- losses and gradients ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=WORLDS)
def parity(request, tmp_path_factory) -> dict:
    return report_of("parity", request.param, tmp_path_factory.mktemp("parity"))


@pytest.mark.parametrize("name", together.SETTINGS)
def test_losses_and_gradients_are_those_of_one_process(parity, name):
    found = parity["with"][name]
    most = 1e-4 if name.endswith("whitened") else 1e-5  # a root of a matrix, in single precision, magnifies rounding
    assert found["loss"] < 1e-5 and found["gradients"] < most and found["state"] < 1e-5
    assert found["size"] > 1e-4  # there is a gradient at all


@pytest.mark.parametrize("name", together.SETTINGS)
def test_without_gathering_they_are_not(parity, name):
    """The negative control: exactly those whose loss compares images need it."""
    method, settings = together.SETTINGS[name]
    needs = getattr(together.make(method, **settings), "whole_batch", False)
    found = parity["without"][name]
    assert (max(found["gradients"], found["state"]) > 1e-4) == needs or name in together.FREE


def test_hidden_pixels_weigh_alike_wherever_they_lie(parity):
    """The negative control: a plain mean over processes would be another loss where masks hide more here than there."""
    assert parity["unweighted"]["gradients"] > 1e-3


# ---- a run -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def together_trained(tmp_path_factory) -> dict:
    return report_of("train", 2, tmp_path_factory.mktemp("train"))


def close(found: dict, expected: dict) -> bool:
    keys = expected["history"][0].keys()
    history = all(
        a[k] == pytest.approx(b[k], rel=1e-4) for a, b in zip(found["history"], expected["history"]) for k in keys
    )
    same = found["steps"] == expected["steps"] and len(found["history"]) == len(expected["history"])
    return same and history and found["weights"] == pytest.approx(expected["weights"], rel=1e-3, abs=1e-4)


def test_a_run_of_two_processes_is_the_run_of_one(together_trained, tmp_path):
    expected = together.trained(tmp_path, validation=together.batch_of("supervised", 24))
    assert close(together_trained["plain"], expected)
    assert len({record["loss"] for record in expected["history"]}) == 3
    assert not close(together_trained["not averaged"], together.trained(tmp_path))


def test_callbacks_are_called_in_one_process_and_all_hear_the_decision(together_trained):
    assert together_trained["heard"] == [[1, 2, 3], []]
    assert together_trained["callback"] == [10, 10]
    assert together_trained["plateau"] == [10, 10]


def test_one_process_that_is_asked_to_stop_stops_all_and_they_go_on_bit_for_bit(together_trained):
    assert together_trained["cut"] == [7, 7]
    assert together_trained["resumed"] == together_trained["again"]
    assert together_trained["again"]["steps"] == 15


def test_a_lost_process_ends_the_run_with_a_message_and_the_file_is_whole(tmp_path):
    done = launch("lost", 2, tmp_path)
    assert [d.returncode for d in done] == [2, -9]
    message = (tmp_path / "error-0").read_text()
    assert "another process of this run was lost" in message and "r.run: start again to go on from there" in message
    assert checkpoint.read(tmp_path / "r.run", "")["state"]["steps"] in (8, 9)


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setenv("SSLKIT_FAST", "1")


def test_text_is_measured_by_the_first_after_the_others_have_left(tmp_path, fast):
    (tmp_path / "s.txt").write_text("the cat sat on the mat . a dog ran in the park . " * 300, encoding="utf-8")
    done = launch("text", 2, tmp_path)
    assert [d.returncode for d in done] == [0, 0], done[0].stderr[-2000:]
    assert "perplexity on val" in done[0].stdout and done[1].stdout == ""


def test_the_process_that_alone_has_an_error_says_it(tmp_path, fast):
    folder = tmp_path / "0"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (16, 16), (20 * i, 0, 0)).save(folder / f"{i}.png")
    done = launch("absent", 2, tmp_path)
    assert [d.returncode for d in done] == [2, 2], done[0].stderr[-2000:]
    assert "error in process 1: " in done[1].stderr and "no folder" in done[1].stderr
    assert "error: another process of this run was lost" in done[0].stderr and "Traceback" not in done[0].stderr


def test_an_error_that_all_have_is_said_once(tmp_path):
    done = launch("nowhere", 2, tmp_path)
    assert [d.returncode for d in done] == [2, 2]
    assert "error: " in done[0].stderr and "no folder" in done[0].stderr and "no folder" not in done[1].stderr


# ---- pieces ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", together.SETTINGS)
def test_pieces_give_the_gradient_of_the_batch_or_are_refused(name):
    name, settings = together.SETTINGS[name]
    method, data = together.make(name, **settings), together.batch_of(name, 24)
    if getattr(method, "whole_batch", False):
        with pytest.raises(ValueError, match="compares the images of a batch with each other.*Use accumulate=1"):
            train.fit(method, data, together.CONFIG, device="cpu", accumulate=3)
        return
    views = method.views(data, devices.generator(0))
    method.loss(*views)["loss"].backward()
    whole = [p.grad.clone() for p in method.parameters() if p.requires_grad]
    method.zero_grad()
    for piece in train._pieces(views, 3):
        (method.loss(*piece)["loss"] / 3).backward()
    pieces = [p.grad for p in method.parameters() if p.requires_grad]
    largest = max(g.abs().max() for g in whole)
    equal = all((a - b).abs().max() < 1e-5 * largest for a, b in zip(whole, pieces))
    assert equal or settings.get("mask")  # blocks hide more of one piece than of another


def test_a_run_in_pieces_is_the_run():
    plain, pieces = ({"name": "supervised", "accumulate": count} for count in (1, 3))
    assert close(together.trained(Path(), **pieces), together.trained(Path(), **plain))


def test_batch_norm_in_pieces_is_said():
    method = methods.Supervised(together.nets.ConvNet(3, widths=(4, 8)), 3, together.MILD)
    with pytest.warns(UserWarning, match="batch norm takes its statistics of each piece, 4 images"):
        train.fit(method, together.batch_of("supervised", 24), together.CONFIG, device="cpu", accumulate=3)


@pytest.mark.parametrize("world, pieces, message", [(1, 5, "1 processes and 5 pieces"), (5, 1, "5 processes and 1")])
def test_a_batch_that_cannot_be_divided_is_refused(world, pieces, message, monkeypatch):
    monkeypatch.setattr(devices, "world", lambda: world)
    with pytest.raises(ValueError, match=f"batch_size is 12: {message}.*Use batch_size=10, for example"):
        train.check_batch(nn.Identity(), 100, 12, pieces)


# ---- one process alone -------------------------------------------------------------------------------------------


def test_in_one_process_nothing_is_done():
    x = torch.ones(3, 2, requires_grad=True)
    assert devices.world() == 1 and devices.rank() == 0
    assert devices.gather(x) is x and devices.gather_rows(x) is x and devices.part(x) is x
    assert devices.share(x.sum()) == 1 and devices.any_of(True, False) == (True, False)
    assert devices.first(lambda: 3) == 3 and devices.in_turn(lambda: 4) == 4 and devices.each(5) == [5]
    model = nn.Linear(2, 2)
    assert devices.parallel(model, torch.device("cpu")) is model
    devices.join()  # without torchrun
    assert not torch.distributed.is_initialized()
    devices.leave()


def test_fewer_gpus_than_processes_is_an_error(monkeypatch):
    for name, value in (("WORLD_SIZE", "4"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="4 processes share 2 GPUs. Use --nproc_per_node=2"):
        devices.join()


def test_only_device_knows_process_groups():
    found = [
        path.relative_to(ROOT)
        for path in (ROOT / "sslkit").rglob("*.py")
        if "torch.distributed" in path.read_text() and path.parent.name != "device"
    ]
    assert not found


# ---- torchrun ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_torchrun_is_a_prefix_of_the_same_command(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = ["-m", "sslkit", "pretrain", "simclr", "--out", tmp_path / "e.pt", "--device", "cpu", "--json"]
    env = os.environ | {"SSLKIT_FAST": "1", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*torchrun, *command], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved ") == 1  # rank 0 prints
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 20
    assert checkpoint.load_encoder(tmp_path / "e.pt") and not (tmp_path / "e.run").exists()
