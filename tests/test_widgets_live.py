"""The live view: what it says and draws, with and without a front end; Stop; and a run that does not notice it."""

from __future__ import annotations

import re
import threading
import time
from types import SimpleNamespace

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from torch import nn

from sslkit import device as devices
from sslkit import evaluate, methods, nets, train, widgets
from sslkit.augment import Augment
from sslkit.data import Split
from sslkit.widgets import live

CONFIG = train.TrainConfig(epochs=3, batch_size=8, lr=0.01, precision="fp32")


def split(n: int = 40, name: str = "train", classes: int = 2) -> Split:
    """The class can be seen: dark images and bright ones."""
    generator = torch.Generator().manual_seed(len(name))
    labels = torch.arange(n) % classes
    images = torch.randint(60, (n, 3, 8, 8), generator=generator) + 150 * labels[:, None, None, None]
    return Split(images.byte(), labels, ("dark", "bright")[:classes], torch.arange(n), "toy", name)


def make() -> nn.Module:
    with devices.seeded(0):
        return methods.SimCLR(nets.ConvNet(3, widths=(4, 8)), Augment(scale=(0.5, 1.0), brightness=0.4), width=8)


def watch(method: nn.Module | None = None, config: train.TrainConfig = CONFIG, **options) -> train.Result:
    options = {"known": split(), "val": split(30, "val"), "device": "cpu", "labels": 5} | options
    return widgets.watch_training(method or make(), split().images, config, **options)


@pytest.fixture
def notebook(monkeypatch):
    """As in a front end whose callbacks run beside the cell; what was displayed, first and last."""
    shown, views = [], []

    def display(bundle, raw, display_id=False):
        shown.append(bundle)
        return SimpleNamespace(update=lambda bundle, raw: shown.append(bundle))

    class Kept(live.View):
        def __init__(self, state):
            super().__init__(state)
            views.append(self)

    monkeypatch.setattr(live, "reader", lambda: "live")
    monkeypatch.setattr(live, "beside", lambda: True)
    monkeypatch.setattr(live, "display", display)
    monkeypatch.setattr(live, "View", Kept)
    return SimpleNamespace(shown=shown, views=views)


def plain(markup: str) -> str:
    return re.sub("<[^>]*>", "", markup)


# ---- the run does not notice -------------------------------------------------------------------------------------


@pytest.mark.parametrize("front_end", [False, True])
def test_a_watched_run_is_the_same_run_bit_for_bit(front_end, request):
    if front_end:
        request.getfixturevalue("notebook")
    alone, watched = make(), make()
    torch.manual_seed(7)
    expected = train.fit(alone, split().images, CONFIG, device="cpu")
    after = torch.rand(3)
    torch.manual_seed(7)
    result = watch(watched)
    assert torch.equal(torch.rand(3), after)
    assert [r["loss"] for r in result.history] == [r["loss"] for r in expected.history]
    assert all(torch.equal(a, b) for a, b in zip(alone.state_dict().values(), watched.state_dict().values()))
    assert result.stopped == "" and not watched.training
    assert "accuracy" not in result.history[0]  # fit's records stay fit's


def test_the_measures_are_those_of_evaluate_and_leave_the_method_alone():
    method = make().train()
    before = {key: value.clone() for key, value in method.state_dict().items()}
    known, val = split(), split(30, "val")
    found, _ = live.Measure(method, known, val, labels=5)()
    z = evaluate.embed(method.encoder, val.images)
    assert method.training and method.encoder.training
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    assert {name: found[name] for name in ("std", "effective_rank")} == evaluate.collapse(z)
    assert found["accuracy"] == 1.0  # brightness is easily seen
    swapped = Split(val.images, 1 - val.labels, val.classes, val.sources, "toy", "val")
    assert live.Measure(method, known, swapped, labels=5)()[0]["accuracy"] == 0.0


def test_it_is_measured_every_so_many_epochs_and_at_the_end(capsys):
    watch(config=train.TrainConfig(epochs=5, batch_size=8, precision="fp32"), every=2)
    lines = capsys.readouterr().out.splitlines()
    assert ["probe accuracy" in line for line in lines[:5]] == [False, True, False, True, True]


# ---- in words ----------------------------------------------------------------------------------------------------


def test_without_a_front_end_there_is_a_line_an_epoch_and_one_at_the_end(capsys):
    watch()
    lines = capsys.readouterr().out.splitlines()
    form = (
        r"epoch (\d) of 3: loss \d\.\d{3}, probe accuracy [01]\.\d\d, std \d\.\d\d, effective rank \d\.\d, "
        r"[\d,]+ images/s, \d+ s left"
    )
    assert [re.fullmatch(form, line)[1] for line in lines[:3]] == ["1", "2", "3"]
    assert re.match(r"Done: 15 of 15 steps in \d+ s\.", lines[3]) and len(lines) == 4


def training() -> live.Training:
    state = live.Training(per_epoch=10, steps=35, size=100)
    state.before(Told())
    for epoch in (1, 2):
        record = {"epoch": epoch, "loss": 5.0 - epoch, "accuracy": 0.99, "std": 9.9, "seconds": 2.0 * epoch}
        state.add(record, lambda: ({"std": 0.5, "effective_rank": 4.0, "accuracy": 0.625}, ""))
    return state


class Told:
    classes, labels = 10, 20

    def __call__(self):
        return {"std": 0.25, "effective_rank": 2.0, "accuracy": 0.125}, "a collapse before training is none"


def test_the_same_run_gives_the_same_words():
    state = training()
    assert state.epochs == 4 and state.images_per_second == 500 and state.seconds_left == 3.0
    assert state.line() == (
        "epoch 2 of 4: loss 3.000, probe accuracy 0.62, std 0.50, effective rank 4.0, 500 images/s, 3 s left"
    )
    assert state.sentence() == (
        "Epoch 2 of 4: loss 3.000 (in the first epoch 4.000). Probe accuracy on val, 20 labels a class: 0.62 "
        "(before training 0.12, chance 0.10). Embedding: std 0.50, effective rank 4.0. 500 images/s, 3 s left."
    )
    state.end(train.Result(steps=23, seconds=5.0, stopped="interrupt", interrupted=True))
    assert state.sentence().endswith(
        " 500 images/s. Stopped after 23 of 35 steps in 5 s. The method keeps what it learned."
    )
    state.end(train.Result(steps=20, seconds=150.0, stopped="plateau"))
    assert state.sentence().endswith("Ended early by plateau, after 20 of 35 steps in 2 min.")


def test_the_last_epoch_may_be_a_part_of_one():
    state = training()
    for epoch in (3, 4):
        state.add({"epoch": epoch, "loss": 1.0, "seconds": 2.0 * epoch})
    assert state.done == 35 and state.seconds_left == 0


def test_before_the_first_epoch_there_is_something_to_show():
    state = live.Training(per_epoch=10, steps=30, size=8)
    assert state.sentence() == "No epoch is complete yet." and state.curves() == [] and "<svg" not in state.svg()
    figure, _ = state.draw()
    assert figure._repr_png_()


def test_a_collapse_is_named(capsys):
    class Constant(nets.ConvNet):
        def features(self, x):
            return [0 * f + 1 for f in super().features(x)]

    method = make()
    method.encoder = Constant(3, widths=(4, 8))
    watch(method)
    assert "complete collapse: all 30 images have nearly the same embedding" in capsys.readouterr().out


# ---- in pictures -------------------------------------------------------------------------------------------------


def test_both_pictures_show_the_same_curves():
    state = training()
    titles = ["loss: 3.000", "probe accuracy, 20 labels a class: 0.62", "std: 0.50", "effective rank: 4.0"]
    assert [axis.get_title() for axis in state.draw()[0].axes] == titles
    assert re.findall(r'role="img" aria-label="([^"]*)"', state.svg()) == titles
    assert [list(c.points) for c in state.curves()] == [[1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    assert state.curves()[1].levels == {"chance": 0.1, "before training": 0.125}
    assert state.svg().count("before training") == 3


def test_a_long_run_makes_no_large_picture_and_a_negative_loss_is_inside():
    state = live.Training(per_epoch=1, steps=5000, size=1)
    for epoch in range(1, 5001):
        state.records.append({"epoch": epoch, "loss": -epoch / 5000, "seconds": epoch / 10})
    assert len(state.svg()) < 10_000
    heights = [float(at.split(",")[1]) for at in re.search(r'points="([^"]*)"', state.svg())[1].split()]
    assert len(heights) == 200 and 34 <= min(heights) <= max(heights) <= 174 and heights == sorted(heights)


def test_a_picture_costs_next_to_nothing():
    state, seconds = training(), []
    for _ in range(10):
        begin = time.perf_counter()
        state.svg()
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.01  # of the second, at least, that lies between two


def test_what_was_measured_before_training_says_so():
    state = live.Training(per_epoch=10, steps=30, size=8)
    state.before(Told())
    assert [c.title for c in state.curves()][1:] == ["std before training: 0.25", "effective rank before training: 2.0"]
    assert "Probe" not in state.sentence()
    assert max(len(c.title) for c in state.curves() + training().curves()) < 42  # or it does not fit


def test_the_grey_and_the_blue_are_seen_on_white():
    from sslkit import plots

    assert min(plots.contrast(colour) for colour in (plots.SSL, plots.RANDOM, "#555555")) >= 4.5


# ---- with a front end --------------------------------------------------------------------------------------------


def test_the_view_shows_the_run_and_leaves_a_picture_and_a_text(notebook, capsys):
    watch()
    view, (first, last) = notebook.views[0], notebook.shown
    assert capsys.readouterr().out == ""
    assert view.stop.disabled and "has ended" in view.note.value and view.steps.value == ""
    assert view.picture.value.count("<svg") == 4
    assert plain(view.sentence.value) == last["text/plain"] and "Done: 15 of 15 steps" in last["text/plain"]
    assert "image/png" in last and "image/png" in first and first["text/plain"] == "No epoch is complete yet."
    wanted = "application/vnd.jupyter.widget-view+json"
    assert first[wanted]["model_id"] == last[wanted]["model_id"] == view.model_id
    assert len(last["image/png"]) < 60_000


class Slow(nn.Module):
    """A step of 20 ms; it tells when the second epoch runs."""

    def __init__(self, method: nn.Module, started: threading.Event):
        super().__init__()
        self.method, self.encoder, self.started, self._steps = method, method.encoder, started, 0

    def forward(self, x, generator=None):
        self._steps += 1
        if self._steps == 8:
            self.started.set()
        time.sleep(0.02)
        return self.method(x, generator)


def test_stop_from_another_thread_ends_the_run_and_keeps_what_was_learned(notebook, monkeypatch):
    started, clicked, ended = threading.Event(), [], []
    method = Slow(make(), started)
    before = {name: p.detach().clone() for name, p in method.named_parameters()}

    end = live.View.end
    monkeypatch.setattr(live.View, "end", lambda self: ended.append(time.perf_counter()) or end(self))

    def click():
        started.wait(30)
        clicked.append(time.perf_counter())
        notebook.views[0].stop.click()

    thread = threading.Thread(target=click)
    thread.start()
    result = watch(method, train.TrainConfig(epochs=1000, batch_size=8, lr=0.01, precision="fp32"))
    took = time.perf_counter() - clicked[0]
    thread.join()
    assert ended[0] - clicked[0] < 1.0 and took < 5.0  # the picture that stays is drawn in between
    assert result.stopped == "interrupt" and result.interrupted and 8 <= result.steps < 100
    assert re.search("Stopped after .* The method keeps what it learned", notebook.shown[-1]["text/plain"])
    assert not all(torch.equal(p, before[name]) for name, p in method.named_parameters())
    assert not method.training
    z = evaluate.embed(method.encoder, split().images)
    assert z.isfinite().all() and len(z) == 40


def test_the_button_waits_for_a_front_end_that_can_press_it(notebook, monkeypatch):
    told = []
    monkeypatch.setattr(live, "beside", lambda: False)
    watch(stop=lambda: told.append((notebook.views[0].stop.disabled, notebook.views[0].note.value)) or False)
    assert all(disabled for disabled, _ in told)
    assert all("use Interrupt (■ in the toolbar)" in note for _, note in told)
    monkeypatch.setattr(live, "beside", lambda: True)
    told.clear()
    watch(stop=lambda: told.append((notebook.views[1].stop.disabled, notebook.views[1].note.value)) or False)
    assert not any(disabled for disabled, _ in told)
    assert all("Stop ends the training" in note for _, note in told)


def test_a_click_that_comes_too_late_does_nothing(notebook):
    watch()
    view = notebook.views[0]
    view.stop.click()
    assert not view.asked.is_set() and view.stop.description == "Stop"


def test_a_fast_run_is_drawn_once_a_second_at_most(notebook, monkeypatch):
    drawn, show = [], live.View.show
    monkeypatch.setattr(live.View, "show", lambda self: drawn.append(self) or show(self))
    result = watch(config=train.TrainConfig(epochs=60, batch_size=8, precision="fp32"))
    assert 1 <= len(drawn) <= 2 + result.seconds and len(result.history) == 60


# ---- what goes wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["loss", "measure"])
def test_an_error_is_shown_and_raised(notebook, monkeypatch, where):
    def broken(*_, **__):
        raise ZeroDivisionError("nothing to divide by")

    if where == "loss":
        monkeypatch.setattr(methods.SimCLR, "loss", broken)
    else:
        count = iter([False, True])  # before training all is well
        measure = live.Measure.__call__
        monkeypatch.setattr(live.Measure, "__call__", lambda self: broken() if next(count) else measure(self))
    with pytest.raises(ZeroDivisionError, match="nothing to divide by"):
        watch()
    view = notebook.views[0]
    assert 'role="alert"' in view.sentence.value and "ZeroDivisionError: nothing to divide by" in view.sentence.value
    assert "ZeroDivisionError" in notebook.shown[-1]["text/plain"] and view.stop.disabled


def test_what_cannot_be_measured_is_refused_before_the_training():
    with pytest.raises(ValueError, match="every is 0; expected 1 or more"):
        watch(every=0)
    with pytest.raises(ValueError, match="known needs a val with labels, such as splits\\['val'\\]; got none"):
        watch(val=None)
    with pytest.raises(ValueError, match="got one without labels"):
        watch(val=split().images)
    with pytest.raises(ValueError, match="val has 1 images; expected at least two"):
        watch(val=split(1), known=None)
    bare = Slow(make(), threading.Event())
    bare.encoder = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="needs a method with an encoder of images; Slow has none. Leave out known"):
        watch(bare)


def test_images_without_labels_give_the_spread_alone_and_nothing_the_loss_alone(capsys):
    watch(known=None, val=split(30, "val").images)
    out = capsys.readouterr().out
    assert "std" in out and "accuracy" not in out
    watch(known=None, val=None)
    assert "std" not in (out := capsys.readouterr().out) and "loss" in out


def test_callbacks_and_a_stop_of_ones_own_are_heard(capsys):
    heard = []
    assert watch(callbacks=[lambda m, r: heard.append(r["epoch"])]).stopped == "" and heard == [1, 2, 3]
    count = iter(range(100))
    result = watch(stop=lambda: next(count) == 6)
    assert result.steps == 7 and result.stopped == "interrupt"
    assert "Stopped after 7 of 15 steps" in capsys.readouterr().out


# ---- who reads it ------------------------------------------------------------------------------------------------


def kernel(allow_stdin: bool, subshells: list[str] | None):
    manager = SimpleNamespace(list_subshell=lambda: subshells)
    thread = None if subshells is None else SimpleNamespace(manager=manager)
    parent = {"content": {"allow_stdin": allow_stdin}}
    return SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda: parent, shell_channel_thread=thread))


@pytest.mark.parametrize(
    ("shell", "expected", "runs_beside"),
    [
        (None, "", False),
        (SimpleNamespace(), "", False),  # IPython in a terminal
        (kernel(False, []), "stored", False),
        (kernel(True, None), "live", False),  # ipykernel 6
        (kernel(True, []), "live", False),  # a front end without subshells
        (kernel(True, ["one"]), "live", True),
    ],
)
def test_a_front_end_is_told_from_a_program(monkeypatch, shell, expected, runs_beside):
    monkeypatch.setattr(live, "get_ipython", lambda: shell)
    assert live.reader() == expected and live.beside() is runs_beside


@pytest.mark.slow
@pytest.mark.notebook
def test_a_notebook_run_by_a_program_holds_lines_and_a_small_picture():
    from nbclient import NotebookClient

    source = (
        "import torch\nfrom sslkit import methods, nets, train, widgets\n"
        "images = torch.randint(256, (32, 3, 8, 8), dtype=torch.uint8)\n"
        "config = train.TrainConfig(epochs=2, batch_size=8, precision='fp32')\n"
        "method = methods.Rotation(nets.ConvNet(3, widths=(4, 8)))\n"
        "result = widgets.watch_training(method, images, config, val=images, device='cpu')"
    )
    book = new_notebook(cells=[new_code_cell(source)])
    NotebookClient(book, timeout=120, kernel_name="python3").execute()
    printed = [output for output in book.cells[0].outputs if output.output_type == "stream"]
    assert {output.name for output in printed} == {"stdout"}, printed
    lines, picture = "".join(output.text for output in printed), book.cells[0].outputs[-1]
    assert [line.split(":")[0] for line in lines.splitlines()] == ["epoch 1 of 2", "epoch 2 of 2", "Done"]
    assert set(picture.data) == {"image/png", "text/plain"} and picture.data["text/plain"].startswith("Epoch 2 of 2")
    assert len(nbformat.writes(book)) < 80_000
    assert not book.metadata.get("widgets")


def test_fewer_images_than_a_batch_are_fits_own_error():
    method = methods.build("simclr", nets.ConvNet(3, widths=(4, 8)))
    with pytest.raises(ValueError, match="batch_size is 64, but there are only 40 images"):
        widgets.watch_training(method, split().images, train.TrainConfig(steps=9, batch_size=64), val=split(20, "val"))


def test_of_clips_it_measures_the_frames_that_the_encoder_sees():
    clips = torch.randint(0, 256, (6, 10, 3, 8, 8), dtype=torch.uint8)
    method = methods.Arrow(nets.ConvNet(12, widths=(4, 8)))
    assert live.Measure(method, None, clips)()[0].keys() == {"std", "effective_rank"}
