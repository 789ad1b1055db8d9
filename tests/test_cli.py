"""The command line, in this process, on three colours instead of ten digits: what it prints, and how it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sslkit import checkpoint, cli, data, methods, scoreboard
from sslkit.data import Split


def toy(name: str, split: str = "train", *, size: int | None = None) -> Split:
    """Three classes of 16×16 images, 30 sources in each."""
    n, seed = 90, ["train", "val", "test"].index(split)
    labels = torch.arange(n) % 3
    images = torch.randint(0, 60, (n, 3, size or 16, size or 16), generator=torch.Generator().manual_seed(seed))
    images[torch.arange(n), labels] += 120
    return Split(images.byte(), labels, ("red", "green", "blue"), torch.arange(n), name, split, hash=f"toy-{split}")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Runs of 20 steps, in a folder of their own, on data that is there at once."""
    monkeypatch.setenv("SSLKIT_FAST", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setattr(data, "load", toy)


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def pretrain(capsys, *arguments: object) -> tuple[int, str, str]:
    return run(capsys, "pretrain", *arguments, "--batch-size", 16, "--device", "cpu", "--precision", "fp32")


def last(out: str) -> dict:
    return json.loads(out.strip().splitlines()[-1])


# ---- pretrain and evaluate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", methods.METHODS)
def test_pretrain_then_evaluate(toys, capsys, tmp_path, method):
    file = tmp_path / "e.pt"
    code, out, _ = pretrain(capsys, method, "--out", file, "--json")
    assert code == 0 and file.is_file()
    facts = last(out)
    assert (facts["file"], facts["method"], facts["data"]) == (str(file), method, "photodigits")
    assert facts["steps"] == 20 and facts["seconds"] > 0 and facts["images_per_second"] > 0
    assert all(record["loss"] > 0 for record in facts["history"])
    content = checkpoint.load(file)
    assert content["data_hash"] == "toy-train" and content["settings"]["batch_size"] == 16
    assert content["history"] == facts["history"]

    code, out, _ = run(capsys, "evaluate", file, "--seeds", 2, "--device", "cpu", "--json")
    assert code == 0
    report = last(out)
    assert report["probe"].keys() == {"10"}
    assert {"mean", "std", "block"} <= report["probe"]["10"].keys()
    assert report["probe"]["10"]["mean"] > 0.9 and report["probe"]["10"]["runs"] == report["draws"] == 2
    assert 0 <= report["knn"] <= 1
    controls = report["controls"]
    assert {"chance", "pixels", "random", "supervised"} <= controls.keys()
    assert controls["chance"] == pytest.approx(1 / 3)
    assert controls["pixels"] > 0.9
    for name in ("random", "supervised", "pixels_probe"):
        assert controls[name]["10"].keys() >= {"mean", "std", "low", "high"}
    assert report["data_hash"] == "toy-test"
    for line in ("this encoder", "supervised from scratch", "random encoder", "raw pixels", "chance", "kNN"):
        assert line in out


def test_a_folder_larger_than_memory_gives_the_same_figures(capsys, tmp_path, monkeypatch):
    """From JPEGs to the report, once held in memory and once streamed from disk."""
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "data"))
    rng = np.random.default_rng(0)
    for i in range(200):
        picture = tmp_path / "pictures" / ("day", "night")[i % 2] / f"{i}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, (256, 160)[i % 2], (16, 16, 3), dtype=np.uint8)).save(picture)
    reports, histories = [], []
    for limit in ("4", "0"):
        monkeypatch.setenv("SSLKIT_MEMORY_GB", limit)
        name, file = f"folder:{tmp_path / 'pictures'}", tmp_path / f"{limit}.pt"
        code, out, err = pretrain(capsys, "rotation", "--data", name, "--out", file, "--json")
        assert code == 0 and ("they stream from" in err) == (limit == "0")
        histories.append([record["loss"] for record in last(out)["history"]])
        code, out, err = run(
            capsys, "evaluate", file, "--data", name, "--per-class", 3, "--seeds", 1, "--device", "cpu", "--json"
        )
        assert code == 0, err
        reports.append({key: value for key, value in last(out).items() if key not in ("file", "seconds")})
    assert histories[0] == histories[1] and reports[0] == reports[1]
    assert reports[0]["controls"].keys() == {"chance", "pixels", "pixels_probe", "random", "supervised"}


@pytest.fixture
def file(toys, capsys, tmp_path) -> Path:
    assert pretrain(capsys, "rotation", "--out", tmp_path / "e.pt")[0] == 0
    return tmp_path / "e.pt"


def test_several_counts_give_the_curve_and_controls_can_be_left_out(file, capsys):
    code, out, _ = run(capsys, "evaluate", file, "--per-class", 1, 5, 10, "--no-controls", "--device", "cpu", "--json")
    assert code == 0
    report = last(out)
    assert list(report["probe"]) == ["1", "5", "10"]
    assert "controls" not in report and "supervised" not in out
    for count in (1, 5, 10):
        assert f"{count} a class" in out


def test_without_json_there_is_none(file, capsys):
    _, out, _ = run(capsys, "evaluate", file, "--no-controls", "--seeds", 1, "--device", "cpu")
    assert "{" not in out and "this encoder" in out
    assert "{" not in pretrain(capsys, "rotation")[1]


def test_the_checkpoint_has_a_place_of_its_own_by_default(toys, capsys, tmp_path):
    _, out, _ = pretrain(capsys, "rotation", "--data", "folder:some/place", "--seed", 3)
    assert "saved" in out
    assert (tmp_path / "runs" / "rotation-folder-some-place-3.pt").is_file()
    pretrain(capsys, "rotation", "--data", "folder:C:\\pics", "--budget", "long", "--net", "resnet18", "--size", 20)
    assert (tmp_path / "runs" / "rotation-folder-C--pics-resnet18-long-20px-0.pt").is_file()


def test_the_settings_reach_the_run(toys, capsys, tmp_path):
    pretrain(capsys, "rotation", "--out", "a.pt", "--epochs", 2, "--lr", 0.001, "--seed", 7, "--size", 20)
    settings = checkpoint.load("a.pt")["settings"]
    expected = {"epochs": 2, "steps": 0, "lr": 0.001, "seed": 7, "batch_size": 16, "precision": "fp32"}
    assert expected.items() <= settings.items()


def test_the_budget_chooses_the_recipe(toys, capsys):
    from sslkit import recipes

    for budget in ("lesson", "long"):
        pretrain(capsys, "rotation", "--out", f"{budget}.pt", "--budget", budget)
        assert checkpoint.load(f"{budget}.pt")["settings"]["steps"] == getattr(recipes.get("rotation"), budget).steps


def test_the_same_seed_makes_the_same_encoder(toys, capsys):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain(capsys, "simclr", "--out", f"{name}.pt", "--seed", seed)
    a, b, c = (checkpoint.load(f"{name}.pt")["encoder"]["blocks.0.0.weight"] for name in "abc")
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_resnet18_suits_its_stem_to_the_images(toys, capsys):
    from sslkit import nets

    assert pretrain(capsys, "rotation", "--net", "resnet18", "--epochs", 1, "--out", "r.pt")[0] == 0
    assert isinstance(checkpoint.load_encoder("r.pt"), nets.ResNet18)


def test_an_interrupt_keeps_what_was_learned(toys, capsys, monkeypatch):
    steps = []

    def interrupted(*_):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return real(*_)

    real = methods.Rotation.loss
    monkeypatch.setattr(methods.Rotation, "loss", interrupted)
    code, out, _ = pretrain(capsys, "rotation", "--out", "i.pt")
    assert code == 0 and "2 steps" in out and "stopped early by interrupt" in out
    assert checkpoint.load_encoder("i.pt")


def test_a_run_that_is_cut_short_does_not_replace_one_that_came_further(toys, capsys, monkeypatch):
    assert pretrain(capsys, "rotation", "--out", "e.pt")[0] == 0
    before = Path("e.pt").read_bytes()
    code, _, err = pretrain(capsys, "rotation", "--out", "e.pt", "--lr", "1e30", "--precision", "fp32")
    assert code == 2 and "e.pt is of another run, or one that came further, and was left as it was" in err

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(methods.Rotation, "loss", interrupted)
        code, out, _ = pretrain(capsys, "rotation", "--out", "e.pt")
    assert code == 0 and "was left as it was" in out and "saved" not in out
    assert Path("e.pt").read_bytes() == before
    assert pretrain(capsys, "rotation", "--out", "e.pt", "--resume", "--epochs", 2)[0] == 0  # a whole run does
    assert len(checkpoint.load("e.pt")["history"]) == 2


def test_a_loss_that_is_no_number_ends_in_an_error_and_keeps_the_last_sound_state(toys, capsys, tmp_path, monkeypatch):
    whole = methods.SimCLR.loss

    def broken(method, a, b):
        out = whole(method, a, b)
        return {"loss": out["loss"] * (float("nan") if method.calls.pop() else 1)}

    monkeypatch.setattr(methods.SimCLR, "loss", broken)
    monkeypatch.setattr(
        methods.SimCLR, "calls", [1] * 15 + [0] * 5, raising=False
    )  # sound in its first epoch of 5 steps
    code, _, err = pretrain(capsys, "simclr", "--out", tmp_path / "e.pt")
    assert code == 2 and "the loss became nan in epoch 2" in err and "They were saved to" in err
    assert all(t.isfinite().all() for t in checkpoint.load(tmp_path / "e.pt")["encoder"].values())


def test_an_interrupt_elsewhere_ends_quietly(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "load", interrupted)
    assert pretrain(capsys, "rotation")[0] == 130


# ---- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["simcrl"], "unknown method 'simcrl'. Did you mean 'simclr'"),
        (["rotation", "--data", "photodigit"], "unknown data set 'photodigit'. Did you mean 'photodigits'"),
        (["rotation", "--net", "resnet"], "unknown net 'resnet'. Did you mean 'resnet18'"),
        (["rotation", "--budget", "lessons"], "unknown budget 'lessons'. Did you mean 'lesson'"),
        (
            ["rotation", "--data", "movingdigits"],
            "rotation works on images, and movingdigits is made of clips. Use --data",
        ),
        (
            ["future", "--data", "photodigits"],
            "future works on clips, and photodigits is made of images. Use --data mov",
        ),
        (["futur"], "unknown method 'futur'. Did you mean 'future'"),
        (["future", "--data", "movingdigits", "--rate", "3"], "rate=3.0 was given with 'movingdigits'"),
        (["rotation", "--size", "20"], "size=20 was given with 'photodigits'"),
    ],
)
def test_a_wrong_word_is_named_with_the_nearest_right_one(capsys, arguments, message):
    code, out, err = pretrain(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and message in err and "Traceback" not in err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--batch-size", "100"], "batch_size is 100, but there are only 90 images"),
        (["--out", "in-the-way/e.pt"], "cannot write to"),
        (["--lr", "1e30", "--precision", "fp32"], "Try a lower lr"),
        (["--lr", "0"], "lr is 0.0; expected a positive number"),
        (["--precision", "fp16"], "precision is 'fp16'; expected 'auto', 'fp32' or 'bf16'"),
        (["--device", "gpu"], "device 'gpu' cannot be used here"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(toys, capsys, arguments, message):
    Path("in-the-way").touch()
    given = ["--batch-size", "16"] if "--batch-size" not in arguments else []
    given += ["--device", "cpu"] if "--device" not in arguments else []
    code, _, err = run(capsys, "pretrain", "rotation", *arguments, *given)
    assert code == 2
    assert message in err.strip().splitlines()[-1] and "Traceback" not in err


def test_evaluate_says_what_is_wrong_with_a_file(toys, capsys, tmp_path):
    code, _, err = run(capsys, "evaluate", "nowhere.pt")
    assert code == 2 and "no checkpoint at nowhere.pt" in err and "python -m sslkit pretrain" in err
    (tmp_path / "text.pt").write_text("text")
    code, _, err = run(capsys, "evaluate", "text.pt")
    assert code == 2 and "text.pt cannot be loaded" in err


@pytest.mark.parametrize(
    ("arguments", "mode", "rate"),
    [(["--freeze"], "frozen", "0"), ([], "fine-tuned", "1"), (["--gradual"], "gradual", "0")],
)
def test_transfer_copies_and_trains_beside_a_network_that_copied_nothing(file, capsys, arguments, mode, rate):
    given = ["--layers", 3, "--per-class", 10, "--seeds", 2, "--device", "cpu", "--json", *arguments]
    code, out, _ = run(capsys, "transfer", file, *given)
    report = last(out)
    assert code == 0 and (report["layers"], report["mode"], report["draws"]) == (3, mode, 2)
    assert report["transfer"]["10"]["runs"] == report["supervised"]["10"]["runs"] == 2
    assert 0 <= report["transfer"]["10"]["mean"] <= 1  # any: strong views change the colours, which are the classes
    lines = [line.split() for line in out.splitlines()]
    blocks = [line for line in lines if line[:1] == ["block"]]
    assert [line[3] for line in blocks] == ["yes"] * 3 + ["no"] and [line[5] for line in blocks] == [rate] * 3 + ["1"]
    assert f"3 layers copied, {mode}" in out and "nothing copied" in out
    code, out, _ = run(capsys, "transfer", file, *given[: -1 - len(arguments)], "--no-controls", *arguments)
    assert code == 0 and "nothing copied" not in out


def test_transfer_says_what_is_wrong(file, capsys):
    code, _, err = run(capsys, "transfer", file, "--layers", 9, "--device", "cpu")
    assert code == 2 and "9 layers were to be copied; these encoders have 0 to 4" in err
    code, _, err = run(capsys, "transfer", file, "--freeze", "--gradual")
    assert code == 2 and "exclude each other" in err


def test_a_package_that_is_missing_is_named(capsys, monkeypatch):
    def without(name, split, **_):
        raise ModuleNotFoundError("video:PATH needs PyAV, which is not installed")

    monkeypatch.setattr(data, "load", without)
    code, _, err = run(capsys, "pretrain", "rotation", "--data", "video:films")
    assert code == 2 and err.strip() == "error: video:PATH needs PyAV, which is not installed"


def test_evaluate_needs_classes(file, capsys, monkeypatch):
    monkeypatch.setattr(data, "load", lambda name, split, **_: replace(toy(name, split), classes=()))
    code, _, err = run(capsys, "evaluate", file, "--device", "cpu")
    assert code == 2 and "no classes to tell apart" in err


def test_evaluate_says_how_many_labels_there_are(file, capsys):
    code, _, err = run(capsys, "evaluate", file, "--per-class", 31, "--device", "cpu")
    assert code == 2 and "31 labels a class were asked for" in err and "only 30" in err


@pytest.mark.parametrize(
    "arguments",
    [["pretrain", "rotation", "--epoch", "3"], ["pretrain"], ["pretrain", "rotation", "--seed", "x"], ["pretrian"], []],
)
def test_arguments_that_do_not_parse_end_in_an_error(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code not in (0, None)


# ---- the others --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert "--json" in out and "usage: python -m sslkit" in out


def test_the_scoreboard_is_shown(capsys, tmp_path):
    fields = dict.fromkeys(scoreboard.FIELDS, 0) | {"method": "simclr", "data": "mnist", "labels_per_class": 10}
    table = {"rows": [fields | {"mean": 0.5, "std": 0.1, "task": "probe", "budget": "long"}], "made_with": {"a": 1}}
    Path("table.json").write_text(json.dumps(table))
    code, out, _ = run(capsys, "scoreboard", "--file", "table.json", "--data", "mnist", "--json")
    assert code == 0 and "0.50 ±.10" in out
    assert last(out) == table
    code, out, _ = run(capsys, "scoreboard", "--file", "table.json")
    assert code == 0 and "no rows yet" in out and "{" not in out
    Path("table.json").write_text("[]")
    code, _, err = run(capsys, "scoreboard", "--file", "table.json")
    assert code == 2 and "table.json is not a scoreboard" in err


def test_the_module_runs_and_lists_its_commands():
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "sslkit", "--help"], capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0
    for command in (*cli.COMMANDS, "lab"):
        assert command in done.stdout
    assert done.stderr == ""


def test_a_small_folder_is_evaluated_with_as_many_neighbours_as_there_are(toys, file, capsys, monkeypatch):
    monkeypatch.setattr(cli, "NEIGHBOURS", 1000)
    code, out, _ = run(capsys, "evaluate", file, "--no-controls", "--seeds", 1, "--device", "cpu", "--json")
    assert code == 0 and 0 <= last(out)["knn"] <= 1


@pytest.mark.parametrize("command", ["evaluate", "transfer"])
def test_no_draw_of_labels_is_refused(file, capsys, command):
    code, _, err = run(capsys, command, file, "--seeds", 0, "--device", "cpu")
    assert code == 2 and "--seeds is 0; expected 1 or more draws" in err


def test_a_pipe_that_knows_few_letters_gets_an_answer(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sslkit", "scoreboard"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[1])},
        cwd=tmp_path,
    )
    assert done.returncode == 0 and b"supervised" in done.stdout, done.stderr
