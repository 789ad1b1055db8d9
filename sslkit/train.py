"""TrainConfig and fit: one loop for every method of the course."""

from __future__ import annotations

import itertools
import math
import re
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sslkit import device as devices
from sslkit import memory, names
from sslkit.data import Images, Stream, need_images
from sslkit.resume import StateFile, Stop, described, known_by

Callback = Callable[[nn.Module, dict], object]


@dataclass(frozen=True)
class TrainConfig:
    """How to train. A run is fixed by this, the data, and the method's initial parameters."""

    epochs: int = 20  # passes over the data
    steps: int = 0  # if not 0: this many batches instead of whole epochs
    batch_size: int = 256  # images a step
    lr: float = 3e-3  # AdamW's highest learning rate
    weight_decay: float = 1e-2  # on weight matrices and filters only, not on biases or batch norm
    warmup: float = 0.05  # share of the run in which the rate rises from 0
    schedule: str = "cosine"  # then it falls to 0 by half a cosine; or "constant", where nobody knows when it will end
    clip: float = 0.0  # largest norm of the gradient; 0 leaves it alone
    precision: str = "auto"  # auto, fp32 or bf16
    patience: int = 0  # stop after this many epochs without a better validation loss; 0 never stops
    min_gain: float = 0.01  # what counts as better: lower by this share of the best so far
    seed: int = 0  # of the order of the data and of the views
    progress: bool = True  # a bar with the loss, images a second and the time left

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a positive number.")
        for name in ("steps", "weight_decay", "clip", "patience", "min_gain"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more.")
        names.pick(self.schedule, ("cosine", "constant"), "schedule")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; expected a share of the run, 0 <= warmup < 1.")


@dataclass
class Result:
    """What a run left behind. `history` has one record an epoch: {"epoch", "loss", …, "validation_loss", "seconds"}."""

    history: list[dict] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    interrupted: bool = False
    stopped: str = ""  # why it ended before its last step: "", "interrupt" (by `stop`, too), "plateau", "callback"
    unsaved: str = ""  # why the file of its state could not be written at the end

    def summary(self) -> str:
        record = self.history[-1] if self.history else {}
        last = ", ".join(f"{k} {v:.3f}" for k, v in record.items() if k not in ("epoch", "seconds")) or "no whole epoch"
        early = f", stopped early by {self.stopped}" if self.stopped else ""
        return f"{self.steps} steps in {self.seconds:.0f} s ({self.images_per_second:.0f} images/s): {last}{early}"


class Diverged(FloatingPointError):
    """The loss is no longer a number. `result` is of the run until then, without the epoch that was not sound."""

    def __init__(self, message: str, result: Result):
        super().__init__(message)
        self.result = result


def fit(
    method: nn.Module,
    data: Images | Sequence[Images],
    config: TrainConfig | None = None,
    *,
    validation: Images | Sequence[Images] | None = None,
    callbacks: Iterable[Callback] = (),
    device: torch.device | str = "auto",
    compile: bool = False,
    state: str | Path | None = None,
    save_every: float = 60.0,
    accumulate: int = 1,
    stop: Callable[[], bool] | None = None,
) -> Result:
    """Train `method` on `data`, in place.

    `data` is a uint8 tensor (N, C, H, W), or several tensors with N rows each, for a method whose batch is a tuple.
    What fits goes to the device as a whole; a `Stream`, or a tensor too large for the device, is read batch by batch,
    in the same order. `validation`, in the same form, is measured after every epoch, always on the same views. A
    callback is called after every epoch as `callback(method, record)`; what it returns is ignored unless it is true,
    which ends the run. Ctrl-C (or Jupyter's Interrupt) ends it too, after the step, and keeps what was learned; a
    second one ends it at once. `stop` is called after every step; once it returns true the run ends as by Ctrl-C. It is
    for other threads, where no signal arrives: a button's callback sets a threading.Event, and `stop` is its `is_set`.

    `state` is a file that keeps the whole run, written every `save_every` seconds and at the end. A run that finds its
    file goes on where that one stopped, in the middle of an epoch too, and ends as if it had never stopped: on the CPU
    in fp32 bit for bit. Give it a method built in the same way. SIGTERM then ends a run as Ctrl-C does.

    Under torchrun each process takes its part of every batch, and rank 0 validates, calls back and writes; the process
    group is joined here, and left by `device.leave`. `accumulate` works through a batch in so many pieces, one after
    the other: the memory of one piece is enough for the gradient of all. Pieces count alike; where the loss is a mean
    over words or hidden pixels, of which one piece may ask more than another, that is not quite the batch's gradient.

    `compile` hands the encoder to torch.compile, which takes up to a minute at the start and needs a C++ compiler. Try
    it on your GPU with `python -m sslkit bench --compile`; measured so far, the plain encoder was faster (compiled 0.8
    times as fast: the course's on 2 CPU cores, and ResNet-18 with batches of 512 on an H100).

    With SSLKIT_FAST=1 in the environment every run ends after 20 steps: a smoke test.

    Raises ValueError if a batch is larger than the data, cannot be divided, the tensors differ in length, or `state` is
    of another run; OSError if it cannot be written at the start (later that is a warning, and `unsaved` of the result);
    Diverged, a FloatingPointError, if the loss is no longer a number (the method then holds the parameters of the last
    epoch that was sound); MemoryError, with the batch that fits, if the device has too little memory; ConnectionError
    if another process of the run is lost; and TypeError for data that is no tensor.
    """
    config = config or TrainConfig()
    devices.join(device)
    tensors, single = _tensors(data)
    n, size = len(tensors[0]), config.batch_size
    check_batch(method, n, size, accumulate)
    device = devices.pick(device) if isinstance(device, str) else device
    devices.fixed_shapes(device)
    if device.type == "cpu":
        devices.keep_memory()
    method.to(device).to(memory_format=torch.channels_last)
    if compile:
        method.get_submodule("encoder").compile()
    model = devices.parallel(method, device)
    dtype = devices.precision(config.precision, device)
    optimizer = make_optimizer(method, config)
    per_epoch, total = length(n, config)
    views = devices.generator(config.seed + 1 + 1_000_003 * devices.rank(), device)
    run = Run(method, optimizer, views, Plateau(config.patience, config.min_gain), Result(), {}, _snapshot(method))
    facts = partial(_facts, method, tensors, validation, config, total, device, accumulate)
    kept = StateFile(state, facts, save_every)
    run.restore(kept.load())
    result, after_step = run.result, getattr(method, "after_step", None)
    batches = _batches(tensors, size, config.seed, device, start=result.steps)
    quiet = not config.progress or devices.rank() > 0
    bar = tqdm(total=total, initial=result.steps, disable=quiet, unit="step", mininterval=0.5, leave=False)
    begin = time.perf_counter() - result.seconds
    batch: tuple[Tensor, ...] = ()
    out: dict[str, Tensor] = {}
    stopping = False

    try:
        with Stop(also_terminate=state is not None) as signals:
            while len(result.history) * per_epoch < total and not result.stopped:
                method.train()  # a callback may have left it in another mode
                before = len(result.history) * per_epoch
                steps = min(per_epoch, total - before)
                for batch in itertools.islice(batches, before + steps - result.steps):
                    for group in optimizer.param_groups:
                        group["lr"] = config.lr * group["rate"] * share_of_rate(result.steps, total, config)
                    optimizer.zero_grad(set_to_none=True)
                    for piece in _pieces(batch, accumulate):
                        with devices.autocast(device, dtype):
                            out = model(piece[0] if single else piece, views)
                        (out["loss"] / accumulate).backward()
                        run.add(out, accumulate)
                    if config.clip:
                        nn.utils.clip_grad_norm_(method.parameters(), config.clip)
                    optimizer.step()
                    result.steps += 1
                    if after_step is not None:
                        after_step(result.steps / total)
                    bar.update()

                    result.seconds = time.perf_counter() - begin
                    stopping, saving = devices.any_of(signals.asked or bool(stop and stop()), kept.due())
                    if stopping:
                        break
                    if saving:
                        kept.save(run.state())
                if stopping:
                    result.stopped, result.interrupted = "interrupt", True
                    break

                sums = devices.mean(run.sums)
                record = {"epoch": len(result.history) + 1, **{k: float(v) / steps for k, v in sums.items()}}
                if not math.isfinite(record["loss"]) or not _all_finite(method):
                    method.load_state_dict(run.sound)
                    raise Diverged(_not_finite(record, result, config), result)
                run.sound, run.sums = _snapshot(method), {}
                if validation is not None:
                    record["validation_loss"] = devices.first(lambda: validate(method, validation, config, device))
                record["seconds"] = time.perf_counter() - begin
                result.history.append(record)
                speed = result.steps * size / record["seconds"]
                bar.set_postfix_str(f"loss {record['loss']:.3f}, {speed:.0f} images/s")
                if run.plateau.step(record.get("validation_loss", record["loss"])):
                    result.stopped = "plateau"
                if devices.first(partial(_call, callbacks, method, record)):
                    result.stopped = "callback"
            devices.synchronize(device)
            result.seconds = time.perf_counter() - begin
            kept.save(run.state())
    except KeyboardInterrupt:
        if devices.flag("SSLKIT_STRICT_INTERRUPT"):
            raise
        result.stopped, result.interrupted = "interrupt", True
    except (RuntimeError, MemoryError) as error:
        if devices.lost(error):
            raise ConnectionError(_lost(error, kept)) from error
        if batch and devices.out_of_memory(error):
            out.clear()  # it holds on to memory, and so do the frames that were left
            traceback.clear_frames(error.__traceback__)
            held = f" The method holds what it learned in {result.steps} steps."
            raise MemoryError(memory.advice(method, optimizer, batch, dtype, accumulate) + held) from error
        raise
    finally:
        batches.close()
        bar.close()
        method.eval()

    result.seconds = time.perf_counter() - begin
    result.images_per_second = result.steps * size / max(result.seconds, 1e-9)
    result.unsaved = kept.problem
    return result


def length(n: int, config: TrainConfig) -> tuple[int, int]:
    """How many steps an epoch of `n` images has, and the whole run: (steps an epoch, steps)."""
    per_epoch = n // config.batch_size
    total = config.steps or config.epochs * per_epoch
    return per_epoch, min(total, 20) if devices.fast() else total


@dataclass
class Run:
    """All that changes while a run goes on. What its file keeps of it is `state()`."""

    method: nn.Module
    optimizer: torch.optim.Optimizer
    views: torch.Generator
    plateau: Plateau
    result: Result
    sums: dict[str, Tensor]  # of the loss and its parts, over the steps of the running epoch
    sound: dict[str, Tensor]  # the method's state after the last whole epoch

    def add(self, out: dict[str, Tensor], pieces: int) -> None:
        for key, value in out.items():
            self.sums[key] = self.sums.get(key, 0) + value.detach() / pieces

    def state(self) -> dict:
        """Tensors and plain values. The order of the data is not in it: the seed and the number of steps say it all."""
        result = self.result
        return {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "views": devices.each(self.views.get_state()),  # each process draws its own
            "plateau": {"best": self.plateau.best, "waited": self.plateau.waited},
            "sums": devices.mean(self.sums),
            "sound": self.sound,
            "steps": result.steps,
            "history": result.history,
            "seconds": result.seconds,
            "stopped": "" if result.interrupted else result.stopped,
        }

    def restore(self, state: dict | None) -> None:
        """Go on from there; from None, from where it is."""
        if state is None:
            return
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.views.set_state(state["views"][devices.rank()])
        self.plateau.best, self.plateau.waited = state["plateau"]["best"], state["plateau"]["waited"]
        device = next(self.method.parameters()).device
        self.sums = {key: value.to(device) for key, value in state["sums"].items()}
        self.sound = {key: value.to(device) for key, value in state["sound"].items()}
        for name in ("steps", "history", "seconds", "stopped"):
            setattr(self.result, name, state[name])


def check_batch(method: nn.Module, n: int, size: int, accumulate: int) -> None:
    """Raise ValueError if there is no such batch, or if it cannot be divided among processes and into pieces."""
    if n < size:
        raise ValueError(
            f"batch_size is {size}, but there are only {n} images. Use batch_size={n} or less, or more data."
        )
    world, name = devices.world(), type(method).__name__
    if accumulate < 1 or size % (world * accumulate):
        parts = world * max(accumulate, 1)
        near = max(size // parts, 1) * parts
        raise ValueError(
            f"batch_size is {size}: {world} processes and {accumulate} pieces each do not divide it evenly. "
            f"Use batch_size={near}, for example."
        )
    if accumulate == 1:
        return
    if getattr(method, "whole_batch", False):
        raise ValueError(
            f"{name} compares the images of a batch with each other, so its gradient is not a sum over pieces of the "
            f"batch: {accumulate} pieces would train on batches of {size // accumulate}. Use accumulate=1 with a "
            "batch that fits, or several processes (torchrun), which gather what is compared."
        )
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in method.modules()):
        warnings.warn(
            f"batch norm takes its statistics of each piece, {size // world // accumulate} images, and not of the "
            f"batch of {size}.",
            stacklevel=3,
        )


def _tensors(data: Images | Sequence[Images]) -> tuple[tuple[Images, ...], bool]:
    """The data as a tuple, and whether it was a single tensor. Raises ValueError unless all are of the same length,
    and TypeError where one is no tensor."""
    if isinstance(data, Images):
        return (data,), True
    tensors = tuple(data) if isinstance(data, Sequence) else (data,)
    for one in tensors:
        need_images(one)
    if len({len(t) for t in tensors}) != 1:
        lengths = " and ".join(str(len(t)) for t in tensors) or "no tensors at all"
        raise ValueError(f"the tensors of the data have {lengths} rows; expected as many in each, one an image.")
    return tensors, False


def _batches(
    data: Sequence[Images], size: int, seed: int, device: torch.device, start: int = 0
) -> Generator[tuple[Tensor, ...]]:
    """Whole batches on the device, without end: in every epoch all rows, in a new order that only the seed decides.

    The first `start` batches are left out, unread. Of several processes each gets its part of the same batches.

    Data that fits lies on the device and is indexed there. What is on disk, or too large, comes through a DataLoader,
    which asks for a whole batch of rows at once and, for a GPU, reads ahead in processes of its own.
    """
    generator, n = devices.generator(seed), len(data[0])
    epochs = (torch.randperm(n, generator=generator)[: n // size * size] for _ in itertools.count())
    on_disk = any(isinstance(t, Stream) for t in data)
    resident = not on_disk and devices.fits(sum(t.nbytes for t in data if t.device.type != device.type), device)
    where = device if resident else "cpu"
    every = (devices.part(index) for rows in epochs for index in rows.to(where).split(size))
    indices = itertools.islice(every, start, None)
    if resident:
        data = tuple(t.to(device) for t in data)
        for index in indices:
            yield tuple(t[index] for t in data)
    else:
        loader: DataLoader = DataLoader(
            _Rows(tuple(t.to("cpu") for t in data)),
            sampler=(index.numpy() for index in indices),
            batch_size=None,  # a sample is a whole batch
            num_workers=devices.loader_workers(device) if on_disk else 0,  # a tensor might be copied to each of them
            worker_init_fn=_ignore_interrupts,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # or it would draw from the global one
        )
        for batch in loader:
            yield tuple(t.to(device, non_blocking=True) for t in batch)


class _Rows(Dataset):
    """What a DataLoader's workers read from: a batch of rows of every tensor."""

    def __init__(self, data: tuple[Images, ...]):
        self.data = data

    def __getitem__(self, index) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.data)


def _ignore_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the one that trains answers it, and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _pieces(batch: tuple[Tensor, ...], count: int) -> Iterable[tuple[Tensor, ...]]:
    """The batch in `count` equal pieces."""
    return zip(*(t.chunk(count) for t in batch)) if count > 1 else (batch,)


def _call(callbacks: Iterable[Callback], method: nn.Module, record: dict) -> bool:
    """Call them all. Whether one of them wants the run to end."""
    return any([callback(method, record) for callback in callbacks])


def make_optimizer(method: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov, Hutter 2019) over what requires a gradient; weight decay on matrices and filters only.

    A method that has `rates()`, {parameter: multiple of the learning rate}, has those parameters learn at their own.
    """
    parameters = [p for p in method.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(
            f"{type(method).__name__} has nothing to train: every parameter is frozen. Unfreeze some layers."
        )
    rates: dict[Tensor, float] = getattr(method, "rates", dict)()
    groups: dict[tuple[bool, float], dict] = {}
    for p in parameters:
        decays, rate = p.ndim > 1, rates.get(p, 1.0)
        fresh = {"params": [], "weight_decay": config.weight_decay if decays else 0.0, "rate": rate}
        groups.setdefault((decays, rate), fresh)["params"].append(p)
    fused = parameters[0].device.type in ("cpu", "cuda")
    return torch.optim.AdamW(list(groups.values()), lr=config.lr, fused=fused)


def share_of_rate(step: int, total: int, config: TrainConfig) -> float:
    """The learning rate at a step as a share of its highest, by the config's schedule."""
    share = cosine(step, total, config.warmup)
    return share if config.schedule == "cosine" or step < config.warmup * total else 1.0


def cosine(step: int, total: int, warmup: float) -> float:
    """The learning rate as a share of its highest: a straight rise, then half a cosine down to 0.

    Ref: Loshchilov, Hutter 2017, "SGDR", Eq. 5; warm-up as in Goyal et al. 2017, Sec. 2.2.
    """
    rise = warmup * total
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(total - rise, 1)))


class Plateau:
    """Has it stopped learning? `step(value)` is true once `patience` values in a row were not lower than the best by
    more than `min_gain` of it. With patience 0 it never is."""

    def __init__(self, patience: int, min_gain: float = 0.01):
        self.patience, self.min_gain, self.best, self.waited = patience, min_gain, math.inf, 0

    def step(self, value: float) -> bool:
        if value < self.best - self.min_gain * abs(self.best) or math.isinf(self.best):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return bool(self.patience) and self.waited >= self.patience


@torch.no_grad()
def validate(method: nn.Module, data: Images | Sequence[Images], config: TrainConfig, device: torch.device) -> float:
    """The method's mean loss on `data`, in eval mode, with the same views every time. On whole batches: of a rest that
    does not fill one nothing is asked."""
    tensors, single = _tensors(data)
    views, size = devices.generator(config.seed + 2, device), min(config.batch_size, len(tensors[0]))
    method.eval()
    losses = []
    for start in range(0, len(tensors[0]) - size + 1, size):
        batch = tuple(t[start : start + size].to(device) for t in tensors)
        losses.append(method(batch[0] if single else batch, views)["loss"])
    method.train()
    return torch.stack(losses).mean().item()


def _facts(
    method: nn.Module,
    data: Sequence[Images],
    validation: Images | Sequence[Images] | None,
    config: TrainConfig,
    total: int,
    device: torch.device,
    accumulate: int,
) -> dict:
    """By what a run is known again. All of it decides the numbers that follow."""
    return {
        "method": described(method),
        "config": {name: value for name, value in asdict(config).items() if name != "progress"},
        "data": known_by(data),
        "validation": [] if validation is None else known_by(_tensors(validation)[0]),
        "steps": total,
        "device": device.type,
        "precision": str(devices.precision(config.precision, device)),
        "processes": devices.world(),
        "pieces": accumulate,
    }


def _snapshot(method: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in method.state_dict().items()}


def _all_finite(method: nn.Module) -> bool:
    return bool(torch.stack([p.isfinite().all() for p in method.parameters()]).all())  # the host waits once


def _not_finite(record: dict, result: Result, config: TrainConfig) -> str:
    kept = f"of epoch {record['epoch'] - 1}" if record["epoch"] > 1 else "that it started with"
    what = (
        f"the loss became {record['loss']}"
        if not math.isfinite(record["loss"])
        else "a parameter is no longer a number"
    )
    return (
        f"{what} in epoch {record['epoch']} (step {result.steps} at the latest). "
        f"The method holds the parameters {kept}. Try a lower lr (it was {config.lr}), clip=1.0, or precision='fp32'."
    )


def _lost(error: BaseException, kept: StateFile) -> str:
    go_on = f"The last state is in {kept.path}: start again to go on from there." if kept.path else "Start it again."
    why = re.sub(r"^\[\S*\] ", "", str(error).strip().split(". ")[0])  # without the place in torch's sources
    return f"another process of this run was lost ({why}). {go_on}"
