"""The command line on clips: pretrain on the course's own and on anybody's, evaluate, and what does not fit."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from sslkit import checkpoint, cli, data, methods
from sslkit.data import Split
from sslkit.data.split import Target

needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV is not installed: sslkit[video]")


def toy(name: str, split: str = "train", *, size: int | None = None) -> Split:
    """A bright bar on dark clips of 16×16; its row is the label, and it moves to the left or to the right."""
    n, seed = 96, ["train", "val", "test"].index(split)
    labels, way = torch.arange(n) % 3, torch.arange(n) // 3 % 2
    clips = torch.randint(0, 60, (n, 10, 3, 16, 16), generator=torch.Generator().manual_seed(seed))
    for t in range(10):
        place = torch.where(way == 0, t, 15 - t)
        clips[torch.arange(n), t, :, 5 * labels, place] += 180
        clips[torch.arange(n), t, :, 5 * labels + 1, place] += 180
    targets = {"direction": Target(way, ("right", "left"))}
    return Split(
        clips.byte(), labels, ("top", "middle", "bottom"), torch.arange(n), name, split, "toy", targets=targets
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("SSLKIT_FAST", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setattr(data, "load", toy)


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = cli.main([*map(str, arguments), "--device", "cpu"])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("method", methods.VIDEO)
def test_pretrain_on_clips(toys, capsys, method):
    code, out, err = run(capsys, "pretrain", method, "--batch-size", 16, "--out", "e.pt", "--json")
    assert code == 0, err
    facts = json.loads(out.strip().splitlines()[-1])
    assert (facts["method"], facts["data"], facts["steps"]) == (method, "movingdigits", 20)
    encoder = checkpoint.load_encoder("e.pt")
    assert encoder.channels == 12 and encoder(toy("", "val").images[:2, :4] / 255).shape == (2, 128)


def test_evaluate_reads_any_label_of_clips(toys, capsys):
    assert run(capsys, "pretrain", "future", "--batch-size", 16, "--out", "e.pt")[0] == 0
    common = ("evaluate", "e.pt", "--data", "movingdigits", "--seeds", 2, "--json")
    reports = []
    for extra in (("--no-controls",), ("--labels", "direction")):
        code, out, err = run(capsys, *common, *extra)
        assert code == 0, err
        reports.append(json.loads(out.strip().splitlines()[-1]))
    assert "labels" not in reports[0] and reports[1]["controls"]["chance"] == 1 / 2
    assert reports[1]["labels"] == "direction" and reports[1]["probe"]["10"]["mean"] > 0.8
    code, _, err = run(capsys, *common, "--labels", "speed")
    assert code == 2 and "unknown label of movingdigits 'speed'" in err


def test_an_encoder_of_images_is_not_evaluated_on_clips(capsys, monkeypatch):
    with monkeypatch.context() as there:
        there.setattr(data, "load", lambda name, split, size=None: still(toy(name, split)))
        assert run(capsys, "pretrain", "rotation", "--batch-size", 16, "--out", "e.pt")[0] == 0
    monkeypatch.setattr(data, "load", toy)
    code, _, err = run(capsys, "evaluate", "e.pt", "--data", "movingdigits")
    assert code == 2 and "the encoder of e.pt sees single images, and movingdigits is made of clips" in err


def still(split: Split) -> Split:
    from dataclasses import replace

    return replace(split, images=split.images[:, 0])


@needs_av
def test_anybody_s_clip(capsys, tmp_path):
    from test_data_video import clip

    path = clip(tmp_path / "a.mkv", 400, 20, size=(64, 48))
    for method in methods.VIDEO:
        code, out, err = run(
            capsys, "pretrain", method, "--data", f"video:{path}", "--size", 16, "--batch-size", 8, "--out", "e.pt"
        )
        assert code == 0 and f"{method} on video:" in out, err
    code, _, err = run(
        capsys, "pretrain", "arrow", "--data", f"video:{path}", "--frames", 6, "--rate", 20, "--batch-size", 8
    )
    assert code == 2 and "frames is 10, and these clips have 6. Ask for fewer, or load longer clips" in err
    code, _, err = run(capsys, "pretrain", "future", "--data", f"video:{path}", "--frames", 5, "--batch-size", 8)
    assert code == 2 and "past=4 and ahead=4 need clips of 8 frames, and these have 5" in err
    code, _, err = run(capsys, "pretrain", "future", "--data", f"video:{path}", "--rate", 40)
    assert code == 2 and "it has 20 frames a second, fewer than rate=40" in err
    (tmp_path / "empty.mp4").write_bytes(b"")
    code, _, err = run(capsys, "pretrain", "future", "--data", f"video:{tmp_path / 'empty.mp4'}")
    assert code == 2 and "no clip of" in err and "Traceback" not in err


def test_a_checkpoint_of_clips_says_so_to_transfer(toys, capsys):
    assert run(capsys, "pretrain", "future", "--batch-size", 16, "--out", "e.pt")[0] == 0
    code, _, err = run(capsys, "transfer", "e.pt", "--data", "movingdigits")
    assert code == 2 and "movingdigits is made of clips, and transfer works on images" in err
    assert Path("e.pt").is_file()
