"""An exported encoder gives the same embeddings without sslkit; the card says what it is and what it is not."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from sslkit import checkpoint, cli, evaluate, export, methods, nets, scoreboard
from sslkit import device as devices

NETS = {"convnet": {"widths": (4, 8)}, "resnet18": {"width": 4}, "vit": {}}

# What somebody without sslkit runs.
USER = """
import sys
sys.modules["sslkit"] = None  # an import of it would fail
import torch
program = torch.export.load(sys.argv[1]).module()
torch.save([program(x) for x in torch.load(sys.argv[2])], sys.argv[3])
"""


@pytest.fixture(scope="module")
def trained() -> dict:
    """Encoders whose batch norm has seen something."""
    encoders = {}
    for name, settings in NETS.items():
        with devices.seeded(0):
            encoder = nets.build({"net": name, "channels": 3} | settings)
        encoder(torch.rand(16, 3, 32, 32))
        encoders[name] = encoder.eval()
    return encoders


@pytest.mark.slow
def test_the_embedding_is_the_same_without_sslkit(trained, tmp_path):
    batches = [torch.rand(n, 3, 32, 32) for n in (1, 5)]
    torch.save(batches, tmp_path / "x.pt")
    for name, encoder in trained.items():
        file = export.save(encoder, tmp_path / f"{name}.pt2")
        command = [sys.executable, "-c", USER, file, tmp_path / "x.pt", tmp_path / "z.pt"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with torch.no_grad():
            expected = [encoder(x) for x in batches]
        for found, z in zip(torch.load(tmp_path / "z.pt"), expected):
            assert (found - z).abs().max() <= 1e-5 * z.abs().max()


@pytest.mark.slow
def test_an_onnx_runtime_gives_the_same_embedding(trained, tmp_path, capsys):
    import onnxruntime

    for name, encoder in trained.items():
        file = export.save(encoder, tmp_path / f"{name}.onnx")
        assert [other.name for other in tmp_path.glob(f"{name}*")] == [file.name]  # the weights are in it
        program = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        for n in (1, 5):
            x = torch.rand(n, 3, 32, 32)
            (found,) = program.run(None, {program.get_inputs()[0].name: x.numpy()})
            with torch.no_grad():
                z = encoder(x)
            assert (torch.from_numpy(found) - z).abs().max() <= 1e-5 * z.abs().max(), name
    assert capsys.readouterr().out == ""  # torch would tell of its steps


def test_the_weights_are_the_same(trained, tmp_path):
    from safetensors.torch import load_file

    found = load_file(export.save(trained["convnet"], tmp_path / "e.safetensors"))
    assert found.keys() == trained["convnet"].state_dict().keys()
    assert all(torch.equal(found[key], value) for key, value in trained["convnet"].state_dict().items())


def test_a_missing_extra_and_another_suffix_are_one_line(trained, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="kind of export"):
        export.save(trained["convnet"], tmp_path / "e.onx")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"needs onnx and onnxscript: pip install .sslkit\[export\]"):
        export.save(trained["convnet"], tmp_path / "e.onnx")


def content(tmp_path, **about) -> dict:
    method = methods.build("simclr", nets.ConvNet(3, widths=(4, 8)))
    about = {"history": [{"epoch": 1, "loss": 2.5}], "seconds": 61.0, "settings": {"lr": 0.003}} | about
    return checkpoint.load(
        checkpoint.save(tmp_path / "e.pt", method, name="simclr", data="photodigits", data_hash="v1-abc", **about)
    )


def test_the_card_says_what_it_is_and_what_it_is_not(tmp_path):
    row = {"method": "simclr", "data": "photodigits", "task": "probe", "budget": "lesson", "labels_per_class": 10}
    text = export.card(content(tmp_path), {"rows": [row | {"mean": 0.8213, "std": 0.01}]})
    for piece in (
        "# simclr on photodigits",
        "hash v1-abc",
        "net convnet",
        "1 epochs, 61 s; loss 2.500",
        "lr 0.003",
        "| lesson | 10 | 0.821 ± 0.010 |",
        "## Limits",
        "It has seen photodigits and nothing else",
    ):
        assert piece in text


def test_the_card_gives_every_label_of_a_clip_its_row(tmp_path):
    row = dict.fromkeys(scoreboard.FIELDS, 0) | {"method": "simclr", "task": "probe", "labels_per_class": 10}
    rows = [row | {"data": f"photodigits: {label}", "mean": mean} for label, mean in (("speed", 0.8), ("digit", 0.1))]
    text = export.card(content(tmp_path), {"rows": [*rows, row | {"data": "photo"}]})
    assert "| 10 of digit | 0.100 ± 0.000 |\n| 0 | 10 of speed | 0.800 ± 0.000 |\n" in text
    assert text.count(" ± ") == 2


def test_the_card_of_an_encoder_that_was_measured_says_its_own_figures_and_no_other(tmp_path):
    row = {"method": "simclr", "data": "photodigits", "task": "probe", "budget": "lesson", "labels_per_class": 10}
    right = np.array([[True, True, False, False], [True, True, True, False], [True, False, False, False]])
    own = {10: evaluate.Score(right, np.arange(4))}
    saved = content(tmp_path, settings={"steps": 1500, "epochs": 20})
    text = export.card(saved, {"rows": [row | {"mean": 0.8213, "std": 0.01}]}, own)
    assert "| 10 | 3 | 0.500 ± 0.250 |" in text and "0.821" not in text and "recipe" not in text
    assert "steps 1500 |" in text and "epochs 20" not in text  # with so many steps the number of epochs says nothing


def test_the_card_of_what_was_never_measured_says_so(tmp_path):
    text = export.card(content(tmp_path, history=[]), {"rows": []})
    assert "has no row for this method on this data" in text and "before the end of its first epoch" in text


def test_the_command_writes_both(tmp_path, capsys, monkeypatch):
    content(tmp_path)
    monkeypatch.setattr(export, "_program", lambda encoder, size, kind: f"{kind} {size}".encode())
    assert cli.main(["export", str(tmp_path / "e.pt"), "--size", "16", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert facts == {"file": str(tmp_path / "e.pt2"), "card": str(tmp_path / "e.md")}
    assert (tmp_path / "e.pt2").read_bytes() == b".pt2 (16, 16)"
    assert "# simclr on photodigits" in (tmp_path / "e.md").read_text()


def test_the_encoder_that_is_exported_stays_as_it_was(tmp_path):
    encoder = nets.ConvNet(3, widths=(4, 8)).train()
    export.save(encoder, tmp_path / "e.pt2", (8, 8))
    assert encoder.training


def test_a_card_that_somebody_wrote_below_is_not_replaced(tmp_path, capsys, monkeypatch):
    content(tmp_path)
    monkeypatch.setattr(export, "_program", lambda encoder, size, kind: b"program")
    assert cli.main(["export", str(tmp_path / "e.pt")]) == 0
    written = (tmp_path / "e.md").read_text(encoding="utf-8") + "Photographed by Ada.\n"
    (tmp_path / "e.md").write_text(written, encoding="utf-8")
    assert cli.main(["export", str(tmp_path / "e.pt")]) == 0
    assert (tmp_path / "e.md").read_text(encoding="utf-8") == written
    assert "e.md is left as it was" in capsys.readouterr().out and "## Limits" in (tmp_path / "e.card.md").read_text()
