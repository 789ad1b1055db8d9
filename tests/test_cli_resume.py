"""`pretrain` on the command line: interrupted and gone on with, on a full disk, out of memory, under torchrun."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from test_cli import last, pretrain, quick, toys  # noqa: F401

from sslkit import checkpoint, methods
from sslkit import device as devices


def interrupted(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """After so many steps the run is asked to stop, as Ctrl-C would."""
    count = iter(range(1, 100))
    monkeypatch.setattr(devices, "any_of", lambda asked, due: (next(count) == step, due))


def test_an_interrupted_run_is_gone_on_with(toys, capsys, tmp_path, monkeypatch):
    _, out, _ = pretrain(capsys, "simclr", "--out", "whole.pt", "--json")
    expected = last(out)
    with monkeypatch.context() as patch:
        interrupted(patch, 7)
        code, out, _ = pretrain(capsys, "simclr", "--out", "e.pt")
    assert code == 0 and "7 steps" in out and "stopped early by interrupt" in out
    assert "the run is kept in e.run: the same command with --resume goes on" in out
    assert checkpoint.load_encoder("e.pt") and Path("e.run").exists()

    code, _, err = pretrain(capsys, "simclr", "--out", "e.pt")
    assert code == 2 and "e.run keeps a run that was interrupted after 7 of 20 steps. Go on with it: --resume" in err

    code, _, err = pretrain(capsys, "simclr", "--out", "e.pt", "--resume", "--lr", 0.1)
    assert code == 2 and "e.run keeps another run: config.lr was" in err

    code, out, err = pretrain(capsys, "simclr", "--out", "e.pt", "--resume", "--json")
    assert code == 0 and "going on after 7 of 20 steps" in err and not Path("e.run").exists()
    losses = [[record["loss"] for record in facts["history"]] for facts in (last(out), expected)]
    assert losses[0] == losses[1]
    a, b = (checkpoint.load(name)["encoder"] for name in ("e.pt", "whole.pt"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_resume_starts_a_run_that_is_not_there(toys, capsys):
    code, _, err = pretrain(capsys, "rotation", "--out", "e.pt", "--resume")
    assert code == 0 and "no interrupted run in e.run: starting" in err
    assert Path("e.pt").exists() and not Path("e.run").exists()


def test_a_run_that_came_to_no_number_is_not_gone_on_with(toys, capsys, monkeypatch):
    real = methods.SimCLR.loss
    monkeypatch.setattr(methods.SimCLR, "loss", lambda *a: {"loss": real(*a)["loss"] * float("nan")})
    code, _, err = pretrain(capsys, "simclr", "--out", "e.pt")
    assert code == 2 and "They were saved to e.pt" in err and not Path("e.run").exists()


def test_a_disk_that_is_full_at_the_end_keeps_the_run(toys, capsys, monkeypatch):
    real = checkpoint.write

    def full(path, content):
        if path.suffix == ".pt":
            raise OSError("no room in here")
        return real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write", full)
        code, _, err = pretrain(capsys, "rotation", "--out", "e.pt")
    assert code == 2 and "no room in here The run is kept in e.run: --resume goes on with it" in err
    monkeypatch.setattr(methods.Rotation, "loss", lambda *_: pytest.fail("a step was taken"))
    code, out, _ = pretrain(capsys, "rotation", "--out", "e.pt", "--resume")
    assert code == 0 and "20 steps" in out and Path("e.pt").exists() and not Path("e.run").exists()


def test_a_run_that_could_not_be_kept_is_an_error(toys, capsys, monkeypatch):
    real, calls = checkpoint.write, []

    def full(path, content):
        calls.append(path)
        if path.suffix == ".run" and len(calls) > 1:
            raise OSError(errno.ENOSPC, "no room in here")
        return real(path, content)

    monkeypatch.setattr(checkpoint, "write", full)
    interrupted(monkeypatch, 7)
    with pytest.warns(RuntimeWarning, match="no room in here"):
        code, out, err = pretrain(capsys, "rotation", "--out", "e.pt")
    assert code == 2 and "saved e.pt" in out and "error: " in err and "no room in here" in err
    assert "goes on" not in out


def test_too_little_memory_is_one_line(toys, capsys, monkeypatch):
    def full(method, *views):
        if len(views[0]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(method, *views)

    real = methods.Rotation.loss
    monkeypatch.setattr(methods.Rotation, "loss", full)
    code, _, err = pretrain(capsys, "rotation", "--out", "e.pt")
    assert code == 2 and "error: 16 images at once do not fit" in err and "4 fit, as tried" in err
    assert "Traceback" not in err


def test_pieces_are_taken_or_refused(toys, capsys):
    with pytest.warns(UserWarning, match="batch norm"):
        assert pretrain(capsys, "rotation", "--out", "e.pt", "--accumulate", 2)[0] == 0
    code, _, err = pretrain(capsys, "simclr", "--out", "s.pt", "--accumulate", 2)
    assert code == 2 and "SimCLR compares the images of a batch with each other" in err


@pytest.mark.parametrize("rank, prints", [("0", True), ("1", False)])
def test_an_error_of_all_processes_is_printed_once(capsys, monkeypatch, rank, prints):
    monkeypatch.setenv("RANK", rank)
    code, _, err = pretrain(capsys, "simcrl")
    assert code == 2 and ("unknown method" in err) == prints


def test_the_other_processes_print_nothing(toys, capsys, monkeypatch):
    monkeypatch.setattr(devices, "rank", lambda: 1)
    code, out, err = pretrain(capsys, "rotation", "--out", "e.pt", "--json")
    assert code == 0 and out == "" and err == ""


def test_the_help_names_resume_and_torchrun(capsys):
    with pytest.raises(SystemExit):
        pretrain(capsys, "--help")
    out = capsys.readouterr().out
    assert "torchrun --nproc_per_node" in " ".join(out.split()) and "--resume" in out and "--accumulate" in out
