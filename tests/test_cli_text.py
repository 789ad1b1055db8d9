"""The command line on text: the next word from a file and from docwords' stand-in, and how it fails."""

from __future__ import annotations

import json
import math
import os
import signal

import pytest
import torch

from sslkit import checkpoint, cli, data, methods, nets, recipes, train, words
from sslkit.data import load_text

STORY = "the cat sat on the mat . a dog ran in the park , and the cat saw a bird in the tree . "


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("SSLKIT_FAST", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def story(tmp_path):
    file = tmp_path / "story.txt"
    file.write_text(STORY * 200, encoding="utf-8")
    return file


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("net", nets.TEXT_NETS)
def test_it_learns_from_a_file_and_says_its_perplexity_beside_that_of_counting(capsys, story, tmp_path, net):
    file = tmp_path / "w.pt"
    given = ("--data", f"text:{story}", "--net", net, "--batch-size", 8, "--device", "cpu", "--out", file, "--json")
    code, out, err = run(capsys, "pretrain", "next-word", *given)
    assert code == 0, err
    facts = json.loads(out.strip().splitlines()[-1])
    assert facts["steps"] == 20 and facts["file"] == str(file) and facts["vocabulary"] == 18
    assert facts["perplexity"].keys() == {"next-word", "unigram", "bigram"}
    assert 1 < facts["perplexity"]["bigram"] < facts["perplexity"]["unigram"] < 18
    assert facts["perplexity"]["next-word"] < 25 and facts["unknown"] == 0
    assert "perplexity on val (V = 18, k = " in out

    method, vocabulary = checkpoint.load_reader(file)
    known = load_text(f"text:{story}", "train")
    assert vocabulary == words.Vocabulary.of(known.texts, 6000) and not method.training
    assert method.encoder.config()["net"] == net
    content = checkpoint.load(file)
    assert content["data_hash"] == known.hash and content["settings"]["batch_size"] == 8
    assert all(torch.equal(v, content["method_state"][k]) for k, v in method.state_dict().items())
    written = words.write(method.log_probabilities, vocabulary, method.encoder.k, "the", 5)
    assert len(words.tokenise(written)) == 6


def test_docwords_is_the_text_that_needs_no_path(capsys, story, tmp_path, monkeypatch):
    asked = []

    def load(name, split="train", **_):
        asked.append((name, split))
        return load_text(f"text:{story}", split)

    monkeypatch.setattr(data, "load_text", load)
    code, out, err = run(capsys, "pretrain", "next-word", "--data", "docwords", "--batch-size", 8)
    assert code == 0, err
    assert asked == [("docwords", "train"), ("docwords", "val")]
    assert (tmp_path / "runs" / "next-word-docwords-0.pt").is_file()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ("next-word", "--data", "photodigits"),
            "learns from text, and photodigits is not text. Use --data docwords or --data text:PATH",
        ),
        (("next-word", "--data", "folder:x"), "folder:x is not text"),
        (("rotation", "--data", "docwords"), "rotation learns from images, and docwords is text"),
        (("rotation", "--data", "text:x"), "From text learns: next-word"),
        (("nextword", "--data", "docwords"), "unknown method 'nextword'"),
        (("next-word", "--data", "text:nowhere.txt"), "there is no file or folder nowhere.txt"),
        (("next-word", "--data", "text:latin.txt"), "is not UTF-8"),
        (("next-word", "--data", "text:empty.txt"), "holds no text to learn from"),
        (("next-word", "--data", "text:tiny.txt"), "too few to set val and test apart"),
        (("next-word", "--data", "text:one"), "has one class only"),
        (("next-word", "--data", "text:story.txt", "--batch-size", "100000"), "fewer than a batch of 100000"),
        (("next-word", "--data", "text:story.txt", "--size", "32"), "is for images or a video"),
        (("next-word", "--data", "text:story.txt", "--net", "convnet"), "unknown net for text 'convnet'"),
        (("rotation", "--net", "context"), "unknown net 'context'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(capsys, story, tmp_path, arguments, why):
    (tmp_path / "latin.txt").write_bytes("déjà vu, ".encode("latin-1") * 500)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "tiny.txt").write_text("just a few words, " * 40)
    (tmp_path / "one" / "class").mkdir(parents=True)
    (tmp_path / "one" / "class" / "a.txt").write_text(STORY * 100)
    code, _, err = run(capsys, "pretrain", *arguments)
    assert code == 2 and err.startswith("error: ") and why in err
    assert len(err.strip().splitlines()) == 1


def test_a_run_on_text_that_was_cut_off_goes_on(capsys, story, tmp_path, monkeypatch):
    given = (
        "pretrain",
        "next-word",
        "--data",
        f"text:{story}",
        "--batch-size",
        8,
        "--device",
        "cpu",
        "--precision",
        "fp32",
    )
    assert run(capsys, *given, "--out", tmp_path / "whole.pt")[0] == 0
    real = train.share_of_rate

    def interrupt(step, *arguments):
        if step == 7:  # and so the eighth is the last that is done
            monkeypatch.setattr(train, "share_of_rate", real)
            os.kill(os.getpid(), signal.SIGINT)
        return real(step, *arguments)

    monkeypatch.setattr(train, "share_of_rate", interrupt)
    code, out, err = run(capsys, *given, "--out", tmp_path / "cut.pt")
    assert code == 0 and "--resume goes on" in out, err
    code, out, err = run(capsys, *given, "--out", tmp_path / "cut.pt", "--resume")
    assert code == 0 and "going on after 8 of 20 steps" in err and not (tmp_path / "cut.run").exists()
    whole, cut = (checkpoint.load(tmp_path / name) for name in ("whole.pt", "cut.pt"))
    assert all(torch.equal(v, cut["method_state"][k]) for k, v in whole["method_state"].items())
    assert checkpoint.load_reader(tmp_path / "cut.pt")[1] == checkpoint.load_reader(tmp_path / "whole.pt")[1]


@pytest.mark.parametrize("command", ["evaluate", "transfer"])
def test_commands_on_images_refuse_a_network_on_words(capsys, story, tmp_path, command):
    file = tmp_path / "w.pt"
    assert run(capsys, "pretrain", "next-word", "--data", f"text:{story}", "--batch-size", 8, "--out", file)[0] == 0
    code, _, err = run(capsys, command, file)
    assert code == 2 and "it reads words" in err and "load_reader" in err


def test_a_reader_is_not_found_in_a_checkpoint_of_images(tmp_path):
    method = methods.Rotation(nets.ConvNet(3, widths=(4, 8)))
    file = checkpoint.save(tmp_path / "r.pt", method, name="rotation", data="photodigits")
    with pytest.raises(ValueError, match="holds a rotation of images, and no network on words"):
        checkpoint.load_reader(file)


def test_every_recipe_for_text_starts_at_ln_v():
    vocabulary = words.Vocabulary(("<unk>", "<s>", *(f"w{i}" for i in range(498))))
    x = torch.randint(2, 500, (8, 9), generator=torch.Generator().manual_seed(0))
    for net in recipes.TEXTS:
        method = recipes.build_on_words(vocabulary, net)
        with torch.no_grad():
            assert abs(method.eval()(x)["loss"].item() - math.log(500)) < 0.15, net
        assert 0 < recipes.for_text(net).lesson.steps < recipes.for_text(net).long.steps


@pytest.mark.parametrize("flag", ["--size", "--frames", "--rate"])
def test_flags_of_images_are_refused(capsys, story, flag):
    code, _, err = run(capsys, "pretrain", "next-word", "--data", f"text:{story}", flag, 7)
    assert code == 2 and f"{flag} 7" in err and "is text. Leave it out" in err
