"""fit: the same seed the same run, every way it can end, and what it must leave alone."""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sslkit import data, methods, nets, train
from sslkit import device as devices
from sslkit.augment import Augment
from sslkit.data import Stream
from sslkit.train import Plateau, TrainConfig, cosine, fit

QUIET = TrainConfig(epochs=3, batch_size=8, lr=0.01, precision="fp32", progress=False)


def quiet(**changes) -> TrainConfig:
    return replace(QUIET, **changes)


def images(n: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def simclr(seed: int = 0) -> nn.Module:
    with devices.seeded(seed):
        return methods.SimCLR(nets.ConvNet(3, widths=(4, 8)), Augment(scale=(0.5, 1.0), brightness=0.4), width=8)


class Line(nn.Module):
    """The smallest method: fit w · x + b to (x, y); it writes down every batch, and what it is told about progress."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(1, 2)), nn.Parameter(torch.zeros(1))
        self.seen, self.progress, self.modes = [], [], []

    def forward(self, batch, generator=None):
        x, y = batch
        self.seen.append(x[:, 0].tolist())
        self.modes.append(self.training)
        loss = (x @ self.weight[0] + self.bias - y).square().mean()
        return {"loss": loss, "twice": 2 * loss}

    def after_step(self, progress):
        self.progress.append(progress)


def points(n: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.stack([torch.arange(n) / n, torch.arange(n).float().cos()], dim=1)
    return x, x[:, 0] - 2 * x[:, 1] + 0.5


def state(method: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in method.state_dict().items()}


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


# ---- learning rate, optimizer, plateau ---------------------------------------------------------------------------


def test_the_rate_rises_straight_and_falls_by_half_a_cosine_to_0():
    rate = [cosine(step, 100, 0.1) for step in range(101)]
    assert rate[0] == pytest.approx(1 / 11)
    assert all(b - a == pytest.approx(1 / 11) for a, b in zip(rate[:10], rate[1:11]))
    assert rate[10] == max(rate) == 1
    assert rate[55] == pytest.approx(0.5)
    assert rate[100] == pytest.approx(0, abs=1e-12)
    assert all(a > b for a, b in zip(rate[10:], rate[11:]))
    assert rate[40] == pytest.approx(0.5 * (1 + math.cos(math.pi / 3)))


def test_the_rate_without_a_warm_up_starts_at_its_highest():
    assert cosine(0, 10, 0.0) == 1
    assert cosine(0, 1, 0.5) == pytest.approx(1 / 1.5)


def test_an_unknown_schedule_gets_the_nearest_name():
    with pytest.raises(ValueError, match="constant"):
        quiet(schedule="constnt")


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_fit_follows_the_schedule(schedule, monkeypatch):
    used = []
    real = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        used.append({group["lr"] for group in self.param_groups})
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    fit(Line(), points(), quiet(warmup=0.25, schedule=schedule), device="cpu")
    after = {"cosine": lambda step: cosine(step, 12, 0.25), "constant": lambda step: 1.0}[schedule]
    assert used == [{0.01 * (cosine(step, 12, 0.25) if step < 3 else after(step))} for step in range(12)]


def test_weight_decay_is_on_matrices_and_filters_only():
    method = simclr()
    groups = train.make_optimizer(method, quiet(weight_decay=0.3)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert {p.ndim for p in method.parameters()} == {1, 2, 4}
    for name, p in method.named_parameters():
        assert decay[id(p)] == (0.3 if p.ndim > 1 else 0), name


def test_weight_decay_pulls_at_weights_and_not_at_biases():
    class Flat(Line):
        """No gradient at all, so that weight decay is all that acts."""

        def forward(self, batch, generator=None):
            return {"loss": 0 * (self.weight.sum() + self.bias.sum())}

    method = Flat()
    nn.init.ones_(method.weight)
    nn.init.ones_(method.bias)
    fit(method, points(), quiet(weight_decay=0.5), device="cpu")
    assert (method.weight < 0.999).all()
    assert method.bias.item() == 1


def test_plateau_counts_values_that_are_not_better_by_enough():
    plateau = Plateau(patience=2, min_gain=0.1)
    steps = [(1.0, False), (0.95, False), (0.80, False), (0.79, False), (0.73, True)]
    assert [plateau.step(value) for value, _ in steps] == [stop for _, stop in steps]


def test_plateau_handles_losses_below_0():
    plateau = Plateau(patience=1, min_gain=0.1)
    assert [plateau.step(value) for value in (-1.0, -1.2, -1.25)] == [False, False, True]


def test_plateau_without_patience_never_stops():
    plateau = Plateau(patience=0)
    assert not any(plateau.step(1.0) for _ in range(100))


# ---- one run -----------------------------------------------------------------------------------------------------


def test_it_learns():
    method = Line()
    result = fit(method, points(), quiet(epochs=150, lr=0.05, weight_decay=0.0), device="cpu")
    assert method.weight[0].tolist() == pytest.approx([1, -2], abs=0.05)
    assert result.history[-1]["loss"] < 1e-3 < result.history[0]["loss"]


@pytest.mark.parametrize("n, size, epochs, steps", [(32, 8, 3, 0), (35, 8, 2, 0), (8, 8, 1, 0)])
def test_an_epoch_is_every_whole_batch_once(n, size, epochs, steps):
    method = Line()
    result = fit(method, points(n), quiet(batch_size=size, epochs=epochs, steps=steps), device="cpu")
    per_epoch = n // size
    assert result.steps == len(method.seen) == epochs * per_epoch
    for epoch in range(epochs):
        mine = [value for batch in method.seen[epoch * per_epoch : (epoch + 1) * per_epoch] for value in batch]
        assert len(mine) == len(set(mine)) == per_epoch * size
    if epochs > 1:
        assert method.seen[:per_epoch] != method.seen[per_epoch : 2 * per_epoch]


@pytest.mark.parametrize("steps, epochs_recorded", [(1, 1), (4, 1), (5, 2), (10, 3)])
def test_steps_take_the_place_of_epochs_even_a_part_of_one(steps, epochs_recorded):
    method = Line()
    result = fit(method, points(32), quiet(epochs=50, steps=steps), device="cpu")
    assert result.steps == len(method.seen) == steps
    assert [record["epoch"] for record in result.history] == list(range(1, epochs_recorded + 1))


def test_a_record_holds_the_mean_over_its_epoch():
    class Told(Line):
        def forward(self, batch, generator=None):
            return {"loss": (self.weight * 0).sum() + 1.0 * len(self.progress), "part": torch.tensor(3.0)}

    result = fit(Told(), points(), quiet(steps=6), device="cpu")
    assert [record["loss"] for record in result.history] == [1.5, 4.5]
    assert [record["part"] for record in result.history] == [3, 3]
    assert 0 < result.history[0]["seconds"] <= result.history[1]["seconds"] <= result.seconds


def test_the_result_tells_its_story():
    result = fit(Line(), points(), quiet(), device="cpu")
    assert result.images_per_second == pytest.approx(result.steps * 8 / result.seconds)
    assert not result.interrupted and result.stopped == ""
    assert result.summary().startswith("12 steps in 0 s (")
    assert "loss" in result.summary() and "twice" in result.summary()
    assert train.Result(steps=3, stopped="interrupt").summary().endswith("no whole epoch, stopped early by interrupt")


def test_after_step_hears_of_the_progress_up_to_1():
    method = Line()
    fit(method, points(), quiet(steps=5), device="cpu")
    assert method.progress == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_a_method_takes_images_or_several_tensors(device):
    with devices.seeded(0):
        encoder = nets.ConvNet(3, widths=(4, 8))
    labels = torch.arange(32) % 2
    x = images()
    x[labels == 1] //= 8  # dark ones are of class 1
    method = methods.Supervised(encoder, 2, Augment())
    result = fit(method, (x, labels), quiet(epochs=12, lr=0.02), device=device)
    assert next(method.parameters()).device.type == device.type
    assert result.history[-1]["accuracy"] > 0.9
    assert fit(simclr(), images(), quiet(epochs=1), device=device).history[0]["loss"] > 0


def test_bf16_trains_and_keeps_parameters_in_float32(device):
    method = simclr()
    result = fit(method, images(), quiet(precision="bf16"), device=device)
    assert all(p.dtype == torch.float32 for p in method.parameters())
    assert math.isfinite(result.history[-1]["loss"])


def test_training_is_in_train_mode_and_ends_in_eval_mode():
    method = Line().eval()
    fit(method, points(), quiet(), validation=points(), device="cpu")
    assert not method.training
    assert method.modes == ([True] * 4 + [False] * 4) * 3


def test_the_clip_bounds_the_gradient(monkeypatch):
    norms = []
    real = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    fit(Line(), points(), quiet(clip=0.1), device="cpu")
    assert max(norms) == pytest.approx(0.1, rel=1e-3)
    norms.clear()
    fit(Line(), points(), quiet(), device="cpu")
    assert max(norms) > 1


def test_every_epoch_is_in_train_mode_whatever_a_callback_does():
    method = Line()
    fit(method, points(), quiet(), callbacks=[lambda m, r: m.eval() and False], device="cpu")
    assert method.modes == [True] * 12
    plain, left = simclr(), simclr()
    fit(plain, images(), quiet(), device="cpu")
    fit(left, images(), quiet(), callbacks=[lambda m, r: m.eval() and False], device="cpu")
    assert same(state(plain), state(left))  # batch norm went on learning its statistics


def test_the_host_waits_for_the_device_once_an_epoch_and_never_in_a_step():
    """`.item()`, `float(tensor)` and their like: on a GPU each would stop the queue. Counted here on the CPU."""
    waiting = (torch.ops.aten._local_scalar_dense, torch.ops.aten.is_nonzero, torch.ops.aten.nonzero)

    class Count(TorchDispatchMode):
        waits = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.waits += func.overloadpacket in waiting
            return func(*args, **(kwargs or {}))

    def waits(n: int, epochs: int) -> int:
        with Count() as count:
            assert fit(simclr(), images(n), quiet(epochs=epochs, clip=1.0), device="cpu").steps == n // 8 * epochs
        return count.waits

    few = waits(16, epochs=1)
    assert waits(64, epochs=1) == few
    assert 0 < waits(16, epochs=3) == 3 * few <= 3 * 4


# ---- seeds -------------------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_run_bit_for_bit_and_another_one_is_not():
    runs = []
    for seed in (0, 0, 1):
        method = simclr()
        result = fit(method, images(), quiet(seed=seed), validation=images(16, seed=5), device="cpu")
        runs.append(([(r["loss"], r["validation_loss"]) for r in result.history], state(method)))
    assert runs[0][0] == runs[1][0] and same(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0] and not same(runs[0][1], runs[2][1])


def test_the_global_generator_is_neither_used_nor_moved():
    def run(global_seed):
        method = simclr()
        torch.manual_seed(global_seed)
        fit(method, images(), quiet(), validation=images(8), device="cpu")
        return state(method), torch.rand(3)

    (first, after), (second, _) = run(1), run(2)
    assert same(first, second)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3))


def test_validation_and_callbacks_do_not_change_the_run():
    plain, watched = simclr(), simclr()
    fit(plain, images(), quiet(), device="cpu")
    fit(watched, images(), quiet(), validation=images(8), callbacks=[lambda *_: None], device="cpu")
    weights = [key for key, _ in plain.named_parameters()]
    assert all(torch.equal(plain.state_dict()[key], watched.state_dict()[key]) for key in weights)


def test_the_validation_loss_is_of_the_parameters_and_nothing_else():
    method, cpu = simclr(), torch.device("cpu")
    first = train.validate(method, images(20), QUIET, cpu)
    before = state(method)
    assert train.validate(method, images(20), QUIET, cpu) == first
    assert same(before, state(method))  # batch norm did not learn from it
    assert train.validate(simclr(seed=1), images(20), QUIET, cpu) != first
    result = fit(method, images(), quiet(epochs=1, lr=1e-12), validation=images(20), device="cpu")
    assert result.history[0]["validation_loss"] == train.validate(method, images(20), QUIET, cpu)


def test_the_validation_loss_is_the_mean_over_whole_batches():
    x, y = points(20)
    by_hand = torch.stack([y[i : i + 8].square().mean() for i in (0, 8)]).mean()
    assert train.validate(Line(), (x, y), QUIET, torch.device("cpu")) == pytest.approx(by_hand.item())
    few = train.validate(Line(), (x[:3], y[:3]), QUIET, torch.device("cpu"))  # less than a batch is one batch
    assert few == pytest.approx(y[:3].square().mean().item())


# ---- data that does not fit --------------------------------------------------------------------------------------


def on_disk(path: Path, tensor: torch.Tensor) -> Stream:
    path.write_bytes(tensor.numpy().tobytes())
    return Stream(path, tuple(tensor.shape[1:]), torch.arange(len(tensor)))


def run_of(method: nn.Module, data, **options) -> tuple[list, dict]:
    """What a run leaves behind, without the times."""
    result = fit(method, data, quiet(batch_size=6), device="cpu", **options)
    return [{k: v for k, v in record.items() if k != "seconds"} for record in result.history], state(method)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_images_on_disk_give_the_same_run_bit_for_bit(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(devices, "loader_workers", lambda device: workers)
    x, value = images(40), images(16, seed=1)
    rows = torch.randperm(40, generator=torch.Generator().manual_seed(3))[:35]
    streams = on_disk(tmp_path / "x", x).subset(rows), on_disk(tmp_path / "v", value)
    expected, parameters = run_of(simclr(), x[rows], validation=value)
    history, streamed = run_of(simclr(), streams[0], validation=streams[1])
    assert history == expected and same(parameters, streamed)
    assert len(expected) == 3 and len({record["loss"] for record in expected}) == 3
    assert multiprocessing.active_children() == []


def supervised() -> nn.Module:
    with devices.seeded(0):
        return methods.Supervised(nets.ConvNet(3, widths=(4, 8)), 2, Augment(scale=(0.5, 1.0)))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_may_stand_beside_a_tensor(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(devices, "loader_workers", lambda device: workers)
    x, y = images(40), torch.arange(40) % 2
    expected = run_of(supervised(), (x, y), validation=(x, y))
    stream = on_disk(tmp_path / "x", x)
    history, parameters = run_of(supervised(), (stream, y), validation=(stream, y))
    assert history == expected[0] and same(parameters, expected[1])


def test_a_tensor_that_does_not_fit_on_the_device_gives_the_same_run(monkeypatch):
    x = images(40)
    expected = run_of(simclr(), x)
    asked = []
    monkeypatch.setattr(devices, "fits", lambda nbytes, device: asked.append(nbytes))
    monkeypatch.setattr(devices, "loader_workers", lambda device: pytest.fail("a tensor is not copied to workers"))
    history, parameters = run_of(simclr(), x)
    assert history == expected[0] and same(parameters, expected[1])
    assert len(asked) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gets_the_same_batches_from_disk(tmp_path, monkeypatch):
    x = images(40)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    sources = [(x, cpu), (x, cuda), (on_disk(tmp_path / "x", x), cuda)]
    monkeypatch.setattr(devices, "loader_workers", lambda device: 2)
    runs = [train._batches((source,), 6, 0, where) for source, where in sources]
    for _ in range(8):
        here, there, from_disk = (next(run)[0] for run in runs)
        assert there.is_cuda and from_disk.is_cuda
        assert torch.equal(there.cpu(), here) and torch.equal(from_disk.cpu(), here)


def test_a_folder_gives_the_same_run_from_memory_and_from_disk(tmp_path, monkeypatch, capsys):
    """The whole way: the same JPEGs, held or streamed because of SSLKIT_MEMORY_GB, to the same history."""
    monkeypatch.delenv("SSLKIT_MEMORY_GB", raising=False)
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for i in range(50):
        file = tmp_path / "pictures" / "ab"[i % 2] / f"{i}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(file)
    runs = []
    for limit in ("1", "0"):
        monkeypatch.setenv("SSLKIT_MEMORY_GB", limit)
        train_part, value = (data.load(f"folder:{tmp_path / 'pictures'}", split) for split in ("train", "val"))
        runs.append((run_of(simclr(), train_part.images, validation=value.images), train_part))
    (held, resident), (streamed, on_disk_part) = runs
    assert isinstance(resident.images, torch.Tensor) and isinstance(on_disk_part.images, Stream)
    assert held[0] == streamed[0] and same(held[1], streamed[1]) and resident.hash == on_disk_part.hash
    assert "they stream from" in capsys.readouterr().err


def test_the_rows_of_a_batch_are_asked_for_at_once(tmp_path, monkeypatch):
    asked = []
    stream = on_disk(tmp_path / "x", images(40))
    real = Stream.__getitem__
    monkeypatch.setattr(Stream, "__getitem__", lambda self, index: asked.append(len(index)) or real(self, index))
    fit(simclr(), stream, quiet(batch_size=6, steps=9), device="cpu")
    assert asked == [6] * 9


def test_reading_from_disk_leaves_the_global_generator_alone(tmp_path):
    stream = on_disk(tmp_path / "x", images(40))
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    fit(simclr(), stream, quiet(), device="cpu")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("end", [KeyboardInterrupt(), ZeroDivisionError()], ids=["interrupt", "error"])
def test_workers_end_with_the_run(tmp_path, monkeypatch, end):
    monkeypatch.setattr(devices, "loader_workers", lambda device: 2)
    alive = []

    class Watched(Breaks):
        def forward(self, batch, generator=None):
            alive.append(len(multiprocessing.active_children()))
            return super().forward((batch.flatten(1)[:, :2].float(), batch.flatten(1)[:, 2].float()))

    stream = on_disk(tmp_path / "x", images(40))
    if isinstance(end, KeyboardInterrupt):
        assert fit(Watched(at=7, what=end), stream, quiet(), device="cpu").interrupted
    else:
        with pytest.raises(ZeroDivisionError):
            fit(Watched(at=7, what=end), stream, quiet(), device="cpu")
    assert alive == [2] * 7 and multiprocessing.active_children() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_workers_leave_interrupts_to_the_process_that_trains():
    import signal

    before = signal.getsignal(signal.SIGINT)
    try:
        train._ignore_interrupts(0)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_tensors_of_different_lengths_are_refused_with_the_lengths():
    x, y = points(32)
    for call in (
        lambda data: fit(Line(), data, QUIET, device="cpu"),
        lambda data: train.validate(Line(), data, QUIET, torch.device("cpu")),
    ):
        with pytest.raises(ValueError, match="the tensors of the data have 32 and 31 rows; expected as many in each"):
            call((x, y[:31]))
        with pytest.raises(ValueError, match="have no tensors at all"):
            call(())


# ---- how it ends -------------------------------------------------------------------------------------------------


def test_a_callback_is_called_after_every_epoch_with_its_record():
    calls = []
    method = Line()
    result = fit(method, points(), quiet(), callbacks=[lambda m, r: calls.append((m, dict(r)))], device="cpu")
    assert [m for m, _ in calls] == [method] * 3
    assert [r for _, r in calls] == result.history
    assert result.stopped == ""


def test_a_callback_that_returns_true_ends_the_run_and_the_others_still_hear_of_it():
    heard = []
    callbacks = [lambda m, r: r["epoch"] == 2, lambda m, r: heard.append(r["epoch"])]
    result = fit(Line(), points(), quiet(epochs=9), callbacks=callbacks, device="cpu")
    assert result.stopped == "callback" and not result.interrupted
    assert result.steps == 8 and heard == [1, 2]


def test_a_stop_that_comes_true_ends_the_run_after_the_step_as_an_interrupt_does():
    asked = iter([False] * 5 + [True])
    result = fit(Line(), points(), quiet(epochs=9), device="cpu", stop=lambda: next(asked))
    assert result.steps == 6 and result.stopped == "interrupt" and result.interrupted
    assert len(result.history) == 1


def test_an_error_in_a_callback_is_not_swallowed():
    def broken(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(Line(), points(), quiet(), callbacks=[broken], device="cpu")


def test_a_plateau_ends_the_run():
    result = fit(Line(), points(), quiet(epochs=50, lr=1e-9, patience=3), validation=points(), device="cpu")
    assert result.stopped == "plateau"
    assert len(result.history) == 4  # the first is the best, and three more were waited for


def test_a_plateau_is_of_the_validation_loss_where_there_is_one():
    class Memory(Line):
        """Training gets better and better, validation does not."""

        def forward(self, batch, generator=None):
            out = super().forward(batch)
            return out if self.training else {"loss": out["loss"].detach() * 0 + 1}

    config = quiet(epochs=8, lr=0.1, patience=2)
    assert fit(Memory(), points(), config, validation=points(), device="cpu").stopped == "plateau"
    assert fit(Memory(), points(), config, device="cpu").stopped == ""


class Breaks(Line):
    """Raises or returns what it is given, at one step."""

    def __init__(self, at: int, what):
        super().__init__()
        self.at, self.what = at, what

    def forward(self, batch, generator=None):
        out = super().forward(batch)
        if len(self.seen) == self.at:
            if isinstance(self.what, BaseException):
                raise self.what
            out["loss"] = out["loss"] * self.what
        return out


@pytest.mark.parametrize("what", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_an_error_and_the_last_sound_epoch_is_kept(what):
    kept = []
    method = Breaks(at=10, what=what)  # in the third epoch of four batches
    with pytest.raises(FloatingPointError, match="loss became (nan|inf) in epoch 3 .*parameters of epoch 2.*lower lr"):
        fit(method, points(), quiet(), callbacks=[lambda m, r: kept.append(state(m))], device="cpu")
    assert len(kept) == 2 and same(state(method), kept[-1])
    assert not method.training


def test_a_loss_that_is_no_number_at_once_keeps_the_start():
    method = Breaks(at=2, what=math.nan)
    before = state(method)
    with pytest.raises(FloatingPointError, match="in epoch 1 .*parameters that it started with"):
        fit(method, points(), quiet(), device="cpu")
    assert same(state(method), before)


class BadGradient(Line):
    """The loss stays a number, but the gradient of one step does not."""

    def forward(self, batch, generator=None):
        out = super().forward(batch)
        if len(self.seen) == 8:  # the last step of epoch 2
            self.weight.register_hook(lambda gradient: gradient * math.nan)
        return out


def test_a_parameter_that_is_no_number_is_an_error_too():
    kept = []
    method = BadGradient()
    with pytest.raises(
        FloatingPointError, match="a parameter is no longer a number in epoch 2 .*parameters of epoch 1"
    ):
        fit(method, points(), quiet(), callbacks=[lambda m, r: kept.append(state(m))], device="cpu")
    assert same(state(method), kept[0])


def test_an_interrupt_keeps_what_was_learned():
    method = Breaks(at=7, what=KeyboardInterrupt())
    result = fit(method, points(), quiet(), device="cpu")
    assert result.interrupted and result.stopped == "interrupt"
    assert result.steps == 6 and len(result.history) == 1
    assert method.weight.abs().sum() > 0 and not method.training
    assert "stopped early by interrupt" in result.summary()
    twin = Line()
    fit(twin, points(), quiet(), callbacks=[lambda *_: True], device="cpu")
    assert not same(state(twin), state(method))  # more than the last whole epoch


def test_an_interrupt_in_the_first_epoch_can_be_told_of():
    result = fit(Breaks(at=2, what=KeyboardInterrupt()), points(), quiet(), device="cpu")
    assert result.history == [] and "no whole epoch" in result.summary()


def test_an_interrupt_is_raised_again_where_a_time_out_must_not_pass(monkeypatch):
    monkeypatch.setenv("SSLKIT_STRICT_INTERRUPT", "1")
    with pytest.raises(KeyboardInterrupt):
        fit(Breaks(at=7, what=KeyboardInterrupt()), points(), quiet(), device="cpu")


# ---- what is frozen, and what cannot be done ---------------------------------------------------------------------


def test_frozen_parameters_stay_and_the_others_learn():
    method = simclr()
    method.encoder.requires_grad_(False)
    before = state(method)
    fit(method, images(), quiet(weight_decay=0.5), device="cpu")
    for name, p in method.named_parameters():
        assert torch.equal(p, before[name]) == name.startswith("encoder."), name


def test_a_method_that_is_frozen_altogether_is_refused():
    with pytest.raises(ValueError, match="SimCLR has nothing to train: every parameter is frozen. Unfreeze"):
        fit(simclr().requires_grad_(False), images(), QUIET, device="cpu")


def test_a_batch_larger_than_the_data_is_refused_with_the_numbers():
    with pytest.raises(ValueError, match="batch_size is 64, but there are only 32 images. Use batch_size=32 or less"):
        fit(simclr(), images(32), quiet(batch_size=64), device="cpu")


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision is 'fp8'; expected 'auto', 'fp32' or 'bf16'"):
        fit(simclr(), images(), quiet(precision="fp8"), device="cpu")


@pytest.mark.parametrize("name", ["epochs", "batch_size", "lr"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_a_config_needs_positive_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; expected a positive number"):
        quiet(**{name: value})


@pytest.mark.parametrize("name", ["steps", "weight_decay", "clip", "patience", "min_gain"])
def test_a_config_needs_0_or_more(name):
    with pytest.raises(ValueError, match=f"{name} is -1; expected 0 or more"):
        quiet(**{name: -1})


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_the_warm_up_is_a_share(warmup):
    with pytest.raises(ValueError, match="warmup is .*expected a share of the run"):
        quiet(warmup=warmup)


@pytest.mark.parametrize("steps, taken", [(100, 20), (7, 7)])
def test_a_smoke_run_is_20_steps_at_most(monkeypatch, steps, taken):
    monkeypatch.setenv("SSLKIT_FAST", "1")
    method = Line()
    assert fit(method, points(), quiet(steps=steps), device="cpu").steps == taken
    assert method.progress[-1] == 1  # the whole schedule, made shorter


def test_the_bar_is_shown_only_if_asked_for(capsys):
    fit(Line(), points(), quiet(epochs=1), device="cpu")
    assert capsys.readouterr().err == ""
    fit(Line(), points(), quiet(epochs=1, progress=True), device="cpu")
    assert "step" in capsys.readouterr().err


# ---- the whole fast path against a slow, obvious loop ---------------------------------------------------------------


def slow_fit(method: methods.SimCLR, data: torch.Tensor, config: TrainConfig) -> list[float]:
    """`fit` for SimCLR as one would write it first: each view of each image alone, AdamW by its formula. Its losses."""
    order, draws = devices.generator(config.seed), devices.generator(config.seed + 1)
    moments = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in method.parameters()}
    per_epoch, history, step = len(data) // config.batch_size, [], 0
    total = config.epochs * per_epoch
    method.train()
    for _ in range(config.epochs):
        rows, epoch = torch.randperm(len(data), generator=order), []
        for i in range(per_epoch):
            batch = data[rows[i * config.batch_size : (i + 1) * config.batch_size]]
            twice = torch.cat([batch, batch])
            drawn = method.augment.draw(len(twice), draws, "cpu")
            one_by_one = [
                method.augment.apply(twice[j : j + 1].float() / 255, {k: v[j : j + 1] for k, v in drawn.items()})
                for j in range(len(twice))
            ]
            views = torch.cat(one_by_one[: len(batch)]), torch.cat(one_by_one[len(batch) :])
            loss = method.loss(*views)["loss"]
            method.zero_grad()
            loss.backward()
            rate = config.lr * cosine(step, total, config.warmup)
            step += 1
            with torch.no_grad():
                for p, (m, v) in moments.items():
                    m.mul_(0.9).add_(0.1 * p.grad)
                    v.mul_(0.999).add_(0.001 * p.grad**2)
                    decay = config.weight_decay if p.ndim > 1 else 0.0
                    p -= rate * decay * p
                    p -= rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
            epoch.append(loss.item())
        history.append(sum(epoch) / per_epoch)
    return history


def test_the_fast_path_has_the_loss_curve_of_the_slow_one():
    config = quiet(epochs=4, batch_size=8, lr=0.003)
    slow = slow_fit(simclr(), images(40), config)
    fast = [record["loss"] for record in fit(simclr(), images(40), config, device="cpu").history]
    assert fast == pytest.approx(slow, rel=1e-4)
    assert fast[-1] < fast[0] - 0.01  # it did learn, so the curve is not a flat line
    other = [record["loss"] for record in fit(simclr(), images(40), replace(config, seed=1), device="cpu").history]
    assert other != pytest.approx(slow, rel=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_encoder_has_the_same_losses():
    plain, compiled = (
        [record["loss"] for record in fit(simclr(), images(), quiet(epochs=2), device="cpu", compile=on).history]
        for on in (False, True)
    )
    assert compiled == pytest.approx(plain, rel=1e-4)
