"""A run that is cut off goes on bit for bit, in every method; its file is whole at any moment; and how it is ended."""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from sslkit import checkpoint, methods, nets, resume, train
from sslkit import device as devices
from sslkit.augment import Augment
from sslkit.data import Stream
from sslkit.train import TrainConfig, fit

ROOT = Path(__file__).resolve().parent.parent
CONFIG = TrainConfig(epochs=3, batch_size=8, lr=0.01, precision="fp32", progress=False)
MILD = Augment(scale=(0.6, 1.0), brightness=0.3)
ALL = [*methods.METHODS, *methods.VIDEO, "supervised"]
TRANSFORMERS = ("mae", "jepa")  # they take no other encoder


def make(name: str, **settings) -> nn.Module:
    with devices.seeded(0):
        if name in TRANSFORMERS:
            encoder = nets.build({"net": "vit"})
        else:
            encoder = nets.ConvNet(12 if name in methods.VIDEO else 3, widths=(4, 8))
        if name == "supervised":
            return methods.Supervised(encoder, 3, MILD)
        return methods.build(name, encoder, augment=MILD, **settings)


def batch_of(name: str, n: int = 40):
    side = 32 if name in TRANSFORMERS else 12
    shape = (n, 10, 3, side, side) if name in methods.VIDEO else (n, 3, side, side)
    x = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return (x, torch.arange(n) % 3) if name == "supervised" else x


class Ends:
    """After so many steps the run is asked to stop, as Ctrl-C would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: int):
        self.step, self.count = step, 0
        real = devices.any_of
        monkeypatch.setattr(devices, "any_of", lambda asked, due: real(self.stop() or asked, due))

    def stop(self) -> bool:
        self.count += 1
        return self.count == self.step


def losses_of(method: nn.Module, data, **options) -> tuple[list[dict], dict, train.Result]:
    options = {"config": CONFIG, "device": "cpu"} | options
    result = fit(method, data, **options)
    history = [{k: v for k, v in record.items() if k != "seconds"} for record in result.history]
    return history, {k: v.clone() for k, v in method.state_dict().items()}, result


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# ---- going on ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_run_that_was_cut_off_goes_on_bit_for_bit(name, tmp_path, monkeypatch):
    data, file = batch_of(name), tmp_path / "r.run"
    expected, parameters, _ = losses_of(make(name), data)
    with monkeypatch.context() as patch:
        Ends(patch, 7)  # in the middle of the second epoch of five steps
        cut = losses_of(make(name), data, state=file)
        assert cut[2].interrupted and cut[2].steps == 7 and len(cut[0]) == 1
    history, resumed, result = losses_of(make(name), data, state=file)
    assert history == expected and same(resumed, parameters)
    assert result.steps == 15 and not result.interrupted and result.stopped == ""
    assert len({record["loss"] for record in history}) == 3


@pytest.mark.parametrize("step", [1, 4, 5, 6, 10, 14, 15])
def test_wherever_it_was_cut_off(step, tmp_path, monkeypatch):
    data, file = batch_of("simclr"), tmp_path / "r.run"
    expected = losses_of(make("simclr"), data)
    with monkeypatch.context() as patch:
        Ends(patch, step)
        assert losses_of(make("simclr"), data, state=file)[2].steps == step
    history, resumed, _ = losses_of(make("simclr"), data, state=file)
    assert history == expected[0] and same(resumed, expected[1])


def test_a_run_may_be_cut_off_after_every_step(tmp_path, monkeypatch):
    data, file, config = batch_of("simclr"), tmp_path / "r.run", replace(CONFIG, patience=1, min_gain=0.9)
    value = batch_of("simclr", 8)
    expected = losses_of(make("simclr"), data, config=config, validation=value)
    assert expected[2].stopped == "plateau" and expected[2].steps == 10
    for step in range(1, 11):
        with monkeypatch.context() as patch:
            Ends(patch, 1)
            result = losses_of(make("simclr"), data, config=config, validation=value, state=file)[2]
            assert result.interrupted and result.steps == step
    history, resumed, result = losses_of(make("simclr"), data, config=config, validation=value, state=file)
    assert history == expected[0] and same(resumed, expected[1]) and result.stopped == "plateau"


PARTS = ["method", "optimizer", "views", "plateau", "sums", "steps", "history"]


@pytest.mark.parametrize("part", [None, *PARTS])
def test_no_part_of_the_state_can_be_left_out(part, tmp_path, monkeypatch):
    """The negative control: whatever part begins anew, the run is another one."""
    data, file, config = batch_of("simclr"), tmp_path / "r.run", replace(CONFIG, patience=1, min_gain=0.9)
    expected = losses_of(make("simclr"), data, config=config)
    with monkeypatch.context() as patch:
        Ends(patch, 7)
        losses_of(make("simclr"), data, config=config, state=file)
    real = train.Run.restore

    def forgets(run, state):
        real(run, state | ({part: run.state()[part]} if part else {}))

    monkeypatch.setattr(train.Run, "restore", forgets)
    try:
        history, resumed, result = losses_of(make("simclr"), data, config=config, state=file)
        equal = history == expected[0] and same(resumed, expected[1]) and result.steps == expected[2].steps
    except ValueError:  # without a history there are more steps than the epoch has
        equal = False
    assert equal == (part is None)


def test_the_order_of_the_data_goes_on_too(tmp_path, monkeypatch):
    data, file = batch_of("simclr"), tmp_path / "r.run"
    expected = losses_of(make("simclr"), data)
    with monkeypatch.context() as patch:
        Ends(patch, 7)
        losses_of(make("simclr"), data, state=file)
    real = train._batches
    monkeypatch.setattr(train, "_batches", lambda *arguments, start: real(*arguments))
    assert losses_of(make("simclr"), data, state=file)[0] != expected[0]


class Memory(nn.Module):
    """All that a method may carry from step to step: an average of its parameters, a queue, a centre, replaced anew."""

    def __init__(self):
        super().__init__()
        with devices.seeded(0):
            self.layer, self.target = nn.Linear(4, 4), nn.Linear(4, 4).requires_grad_(False)
        self.register_buffer("queue", torch.zeros(16, 4))
        self.register_buffer("centre", torch.zeros(4))

    def forward(self, x, generator=None):
        x = x.flatten(1)[:, :4].float() / 255 + 0.1 * torch.rand(len(x), 4, generator=generator)
        self.said = self.target(x).detach()
        z = self.layer(x)
        return {"loss": (z - self.said + self.centre).square().mean() + (z @ self.queue.T).square().mean()}

    @torch.no_grad()
    def after_step(self, progress):
        self.queue = torch.cat([self.said, self.queue])[:16]
        self.centre = 0.9 * self.centre + 0.1 * self.said.mean(dim=0)
        self.target.weight.lerp_(self.layer.weight, 0.1 * (1 - progress))


@pytest.mark.parametrize("part", [None, "queue", "centre", "target.weight", "layer.weight"])
def test_average_queue_and_centre_come_with_the_method(part, tmp_path, monkeypatch):
    data, file = batch_of("simclr"), tmp_path / "r.run"
    expected = losses_of(Memory(), data)
    with monkeypatch.context() as patch:
        Ends(patch, 7)
        losses_of(Memory(), data, state=file)
    real = train.Run.restore

    def forgets(run, state):
        kept = state["method"] | ({part: Memory().state_dict()[part]} if part else {})
        real(run, state | {"method": kept})

    monkeypatch.setattr(train.Run, "restore", forgets)
    assert (losses_of(Memory(), data, state=file)[0] == expected[0]) == (part is None)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_images_on_disk_go_on_and_those_already_seen_are_not_read_again(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "loader_workers", lambda device: workers)
    x, file = batch_of("simclr"), tmp_path / "r.run"
    (tmp_path / "x").write_bytes(x.numpy().tobytes())
    stream = Stream(tmp_path / "x", tuple(x.shape[1:]), torch.arange(len(x)))
    expected = losses_of(make("simclr"), x)
    with monkeypatch.context() as patch:
        Ends(patch, 7)
        losses_of(make("simclr"), stream, state=file)
    asked, real = [], Stream.__getitem__
    monkeypatch.setattr(Stream, "__getitem__", lambda self, index: asked.append(len(index)) or real(self, index))
    history, resumed, _ = losses_of(make("simclr"), stream, state=file)
    assert history == expected[0] and same(resumed, expected[1])
    assert asked == ([40] + [8] * 8 if workers == 0 else [40])  # a look to know the data again, and 15 − 7 batches


def test_a_finished_run_is_not_run_again(tmp_path, monkeypatch):
    data, file = batch_of("simclr"), tmp_path / "r.run"
    first = losses_of(make("simclr"), data, state=file)
    monkeypatch.setattr(methods.SimCLR, "forward", lambda *_: pytest.fail("a step was taken"))
    again = losses_of(make("simclr"), data, state=file)
    assert again[0] == first[0] and same(again[1], first[1]) and again[2].steps == 15
    assert again[2].seconds == pytest.approx(first[2].seconds, abs=0.5)


def test_the_seconds_add_up(tmp_path, monkeypatch):
    data, file = batch_of("simclr"), tmp_path / "r.run"
    with monkeypatch.context() as patch:
        Ends(patch, 7)
        first = losses_of(make("simclr"), data, state=file)[2]
    content = checkpoint.read(file, "")
    assert content["state"]["seconds"] == pytest.approx(first.seconds, abs=0.2)
    torch.save({**content, "state": content["state"] | {"seconds": 1000.0}}, file)
    result = losses_of(make("simclr"), data, state=file)[2]
    assert 1000 < result.seconds < 1060 and result.history[-1]["seconds"] > 1000 > result.history[0]["seconds"]
    assert result.images_per_second == pytest.approx(15 * 8 / result.seconds)


def test_it_is_saved_every_so_many_seconds(tmp_path, monkeypatch):
    written, real = [], checkpoint.write
    monkeypatch.setattr(
        checkpoint, "write", lambda path, c: written.append(c["state"] and c["state"]["steps"]) or real(path, c)
    )
    fit(make("simclr"), batch_of("simclr"), CONFIG, device="cpu", state=tmp_path / "r.run", save_every=0)
    assert written == [None, *range(1, 16), 15]
    written.clear()
    fit(make("simclr"), batch_of("simclr"), CONFIG, device="cpu", state=tmp_path / "s.run")
    assert written == [None, 15]
    assert sorted(os.listdir(tmp_path)) == ["r.run", "s.run"]


def test_a_loss_that_is_no_number_after_going_on_keeps_the_last_sound_epoch(tmp_path, monkeypatch):
    data, file, kept = batch_of("simclr"), tmp_path / "r.run", []
    with monkeypatch.context() as patch:
        Ends(patch, 7)
        watch = [lambda method, record: kept.append({k: v.clone() for k, v in method.state_dict().items()}) and False]
        fit(make("simclr"), data, CONFIG, callbacks=watch, device="cpu", state=file)
    real = methods.SimCLR.loss
    monkeypatch.setattr(methods.SimCLR, "loss", lambda *a: {"loss": real(*a)["loss"] * math.nan})
    method = make("simclr")
    with pytest.raises(FloatingPointError, match="in epoch 2 .*parameters of epoch 1"):
        fit(method, data, CONFIG, device="cpu", state=file)
    assert same(method.state_dict(), kept[0])


# ---- what is refused ---------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Path:
    with monkeypatch.context() as patch:
        Ends(patch, 7)
        fit(make("simclr"), batch_of("simclr"), CONFIG, device="cpu", state=tmp_path / "r.run")
    return tmp_path / "r.run"


def other_rows():
    x = batch_of("simclr")
    x[3, 0, 0, 0] ^= 1
    return x


@pytest.mark.parametrize(
    "change, message",
    [
        ({"config": replace(CONFIG, lr=0.02)}, "config.lr was 0.01 and is 0.02"),
        ({"config": replace(CONFIG, epochs=4)}, "config.epochs was 3 and is 4; steps was 15 and is 20"),
        ({"config": replace(CONFIG, seed=1)}, "config.seed was 0 and is 1"),
        ({"data": other_rows()}, r"data was .*\(40, 3, 12, 12\)"),
        ({"data": batch_of("simclr", 48)}, r"\(48, 3, 12, 12\)"),
        ({"validation": batch_of("simclr", 8)}, "validation was"),
        ({"method": make("simclr", temperature=0.5)}, "method.temperature was 0.2 and is 0.5"),
        ({"method": make("simclr", width=32)}, r"method.projector.0.weight was \(256, 8\) and is \(32, 8\)"),
        ({"method": make("vicreg")}, "method.class was SimCLR and is VICReg"),
    ],
)
def test_the_file_of_another_run_is_refused(kept, change, message):
    before = kept.read_bytes()
    arguments = {"method": make("simclr"), "data": batch_of("simclr"), "config": CONFIG} | change
    with pytest.raises(ValueError, match=message) as caught:
        fit(**arguments, device="cpu", state=kept)
    assert "r.run keeps another run" in str(caught.value) and "delete it to start anew" in str(caught.value)
    assert kept.read_bytes() == before


def test_what_does_not_matter_may_change(kept):
    assert fit(make("simclr"), batch_of("simclr"), replace(CONFIG, progress=True), device="cpu", state=kept).steps == 15


def test_functions_among_the_settings_are_known_by_name():
    from sslkit import pretext

    a, b = (resume.described(make("inpainting", mask=mask)) for mask in (pretext.half, pretext.centre))
    assert resume.differences(a, b) == ["mask was half and is centre"]


def test_what_a_partial_holds_and_what_has_no_shape_tell_runs_apart():
    from sslkit import pretext

    sides = (partial(pretext.half, side=side) for side in ("left", "right"))
    a, b = (resume.described(make("inpainting", mask=mask)) for mask in sides)
    assert resume.differences(a, b) == ["mask was half(side=left) and is half(side=right)"]
    a, b = (resume.described(methods.Rotation(nets.ViT(heads=heads))) for heads in (3, 4))
    assert [line.split()[0] for line in resume.differences(a, b)] == ["encoder"]


@pytest.mark.parametrize("content", ["checkpoint", "list", "cut", "future"])
def test_what_is_no_state_of_a_run_is_refused(kept, content):
    if content == "checkpoint":
        checkpoint.save(kept, make("simclr"), name="simclr", data="toy")
    elif content == "list":
        torch.save([1, 2], kept)
    elif content == "cut":
        kept.write_bytes(kept.read_bytes()[:1000])
    else:
        torch.save(torch.load(kept, weights_only=True) | {"format": 99}, kept)
    before = kept.read_bytes()
    with pytest.raises(ValueError, match="does not hold the state|was cut off|format 99"):
        fit(make("simclr"), batch_of("simclr"), CONFIG, device="cpu", state=kept)
    assert kept.read_bytes() == before


def test_large_data_is_known_by_a_look_at_64_rows(monkeypatch):
    x = torch.arange(1000).repeat(2, 1).T.contiguous()
    whole = resume.known_by([x])
    monkeypatch.setattr(resume, "HELD", 10)
    looked = resume.known_by([x])
    assert looked != whole
    y = x.clone()
    y[0] += 1
    assert resume.known_by([y]) != looked
    y = x.clone()
    y[1] += 1  # not among the 64
    assert resume.known_by([y]) == looked


# ---- what the disk may do ----------------------------------------------------------------------------------------


class FullDisk:
    """Files that take so many bytes and no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int):
        self.room, real = room, Path.open

        def opened(path, mode="r", *rest, **more):
            file = real(path, mode, *rest, **more)
            if "w" not in mode:
                return file
            write = file.write

            def limited(data):
                if len(data) > self.room:
                    write(data[: self.room])
                    raise OSError(errno.ENOSPC, "No space left on device")
                return write(data)

            return _Wrapped(file, limited)

        monkeypatch.setattr(Path, "open", opened)


class _Wrapped:
    def __init__(self, file, write):
        self.file, self.write = file, write

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_is_said_and_the_run_goes_on(kept, monkeypatch):
    before = kept.read_bytes()
    expected = losses_of(make("simclr"), batch_of("simclr"))
    FullDisk(monkeypatch, 1000)
    with pytest.warns(RuntimeWarning, match="the state of the run was not saved: no room in .*MB are needed.*is kept"):
        history, parameters, result = losses_of(make("simclr"), batch_of("simclr"), state=kept, save_every=0)
    assert history == expected[0] and same(parameters, expected[1])  # nothing of the training is lost
    assert "no room in" in result.unsaved
    assert kept.read_bytes() == before and os.listdir(kept.parent) == [kept.name]


def test_a_disk_that_has_room_again_is_written_again(kept, monkeypatch):
    disk, real = FullDisk(monkeypatch, 1000), train.Run.state

    def state(run):
        disk.room = 1000 if run.result.steps < 10 else 10**9
        return real(run)

    monkeypatch.setattr(train.Run, "state", state)
    with pytest.warns(RuntimeWarning, match="not saved"):
        result = fit(make("simclr"), batch_of("simclr"), CONFIG, device="cpu", state=kept, save_every=0)
    assert result.unsaved == "" and checkpoint.read(kept, "")["state"]["steps"] == 15


@pytest.mark.parametrize("what", ["a file in the way", "no permission"])
def test_a_folder_that_cannot_be_written_is_an_error_before_the_first_step(what, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / ("file" if what == "a file in the way" else "") / "r.run"
    if what == "no permission":  # which a superuser always has

        def refused(*_, **__):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(methods.SimCLR, "forward", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(OSError, match="cannot write to .*Choose another place"):
        fit(make("simclr"), batch_of("simclr"), CONFIG, device="cpu", state=path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_real_limit_of_the_system_leaves_the_old_file(tmp_path):
    program = """
import resource, sys, torch
from pathlib import Path
from sslkit import checkpoint
path = Path(sys.argv[1])
checkpoint.write(path, {"x": torch.zeros(10)})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    checkpoint.write(path, {"x": torch.zeros(100_000)})
except OSError as error:
    print(error)
print(len(checkpoint.read(path, "")["x"]))
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "f.pt"], cwd=ROOT, capture_output=True, text=True)
    assert "no room in" in done.stdout and "0.4 MB are needed" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "10" and os.listdir(tmp_path) == ["f.pt"]


KILLED = """
import os, signal, sys, time
from pathlib import Path
import torch
from sslkit import checkpoint
torch.set_num_threads(1)  # a child has no threads but its own, and would wait for the others for ever
path, moments = Path(sys.argv[1]), torch.Generator().manual_seed(0)
checkpoint.write(path, {"version": 0, "x": torch.zeros(200_000)})
version = 0
for _ in range(100):
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            while True:
                version += 1
                checkpoint.write(path, {"version": version, "x": torch.full((200_000,), float(version))})
                os.write(tell, b".")
        finally:
            os._exit(1)
    os.close(tell)
    assert os.read(told, 1) == b"."  # one is written; the next ones are under way
    time.sleep(0.01 * torch.rand(1, generator=moments).item())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(told)
    content = checkpoint.read(path, "")
    assert (content["x"] == content["version"]).all() and content["version"] > version
    version = content["version"]
left = [name for name in os.listdir(path.parent) if name.endswith(".part")]
assert len(left) <= 1  # the next writer clears what a killed one has left
checkpoint.write(path, {"version": -1})
print(os.listdir(path.parent))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_hundred_kills_during_a_save_never_lose_the_file(tmp_path):
    """Children write version after version until they are killed at a random moment; what is there is always whole."""
    command = [sys.executable, "-c", KILLED, tmp_path / "f.pt"]  # not from here: this process has threads
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip() == "['f.pt']", done.stderr


# ---- how it is asked to stop -------------------------------------------------------------------------------------


class Signals(nn.Module):
    """Sends itself signals in given steps."""

    def __init__(self, at: dict[int, list[int]]):
        super().__init__()
        self.weight, self._at, self._steps = nn.Parameter(torch.ones(1)), at, 0

    def forward(self, x, generator=None):
        self._steps += 1
        for number in self._at.get(self._steps, []):
            os.kill(os.getpid(), number)
        return {"loss": self.weight.square().sum()}


POSIX = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step_and_it_is_saved(number, tmp_path):
    before = signal.getsignal(number)
    file, method = tmp_path / "r.run", Signals({7: [number]})
    result = fit(method, batch_of("simclr"), CONFIG, device="cpu", state=file)
    assert result.interrupted and result.stopped == "interrupt" and result.steps == 7
    assert checkpoint.read(file, "")["state"]["steps"] == 7
    assert signal.getsignal(number) is before
    assert fit(Signals({}), batch_of("simclr"), CONFIG, device="cpu", state=file).steps == 15


@POSIX
def test_ctrl_c_finishes_the_step_without_a_file_too():
    result = fit(Signals({7: [signal.SIGINT]}), batch_of("simclr"), CONFIG, device="cpu")
    assert result.interrupted and result.steps == 7


@POSIX
def test_a_second_ctrl_c_ends_at_once(tmp_path):
    file = tmp_path / "r.run"
    method = Signals({7: [signal.SIGINT, signal.SIGINT]})
    result = fit(method, batch_of("simclr"), CONFIG, device="cpu", state=file, save_every=0)
    assert result.interrupted and result.steps == 6
    assert checkpoint.read(file, "")["state"]["steps"] == 6  # of the last whole step


@POSIX
def test_an_interrupt_that_must_not_pass_is_raised_at_once(monkeypatch):
    monkeypatch.setenv("SSLKIT_STRICT_INTERRUPT", "1")
    method = Signals({7: [signal.SIGINT]})
    with pytest.raises(KeyboardInterrupt):
        fit(method, batch_of("simclr"), CONFIG, device="cpu")
    assert method._steps == 7


@POSIX
def test_sigterm_is_left_alone_where_nothing_is_kept():
    seen = []

    class Looks(Signals):
        def forward(self, x, generator=None):
            seen.append(signal.getsignal(signal.SIGTERM))
            return super().forward(x)

    fit(Looks({}), batch_of("simclr"), CONFIG, device="cpu")
    assert set(seen) == {signal.getsignal(signal.SIGTERM)}


@POSIX
def test_an_ignored_signal_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
    try:
        assert fit(Signals({7: [signal.SIGINT]}), batch_of("simclr"), CONFIG, device="cpu").steps == 15
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_it_runs_without_signals(tmp_path):
    results = []

    def work():
        results.append(fit(make("simclr"), batch_of("simclr"), CONFIG, device="cpu", state=tmp_path / "r.run"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results[0].steps == 15


SCRIPT = """
import sys, time, torch
from sslkit import methods, nets, train, device
from sslkit.augment import Augment
with device.seeded(0):
    method = methods.SimCLR(nets.ConvNet(3, widths=(4, 8)), Augment(scale=(0.6, 1.0)))
data = torch.randint(256, (40, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
config = train.TrainConfig(steps=100_000, batch_size=8, precision="fp32", progress=False, schedule="constant")
told = [lambda method, record: print("epoch", flush=True)]
result = train.fit(method, data, config, device="cpu", state=sys.argv[1], save_every=0.2, callbacks=told)
print("ended", result.steps, result.stopped, flush=True)
"""


@POSIX
@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)])
def test_a_process_that_is_told_to_end_saves_and_exits(number, code, tmp_path):
    file = tmp_path / "r.run"
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, file], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "epoch\n", child.stderr.read()
    deadline = time.monotonic() + 30
    while number == signal.SIGKILL and resume.progress(file) == "" and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == code, err
    steps = int(resume.progress(file).split()[0])
    assert steps > 0 and resume.progress(file) == f"{steps} of 100000 steps"
    if code == 0:
        assert out.splitlines()[-1] == f"ended {steps} interrupt" and err == ""
