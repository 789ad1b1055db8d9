"""TrainConfig and fit: one loop for every method of the course."""

from __future__ import annotations

import itertools
import math
import signal
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sslkit import device as devices
from sslkit import names
from sslkit.data import Images, Stream

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
    stopped: str = ""  # why it ended before its last step: "", "interrupt", "plateau", "callback"

    def summary(self) -> str:
        record = self.history[-1] if self.history else {}
        last = ", ".join(f"{k} {v:.3f}" for k, v in record.items() if k not in ("epoch", "seconds")) or "no whole epoch"
        early = f", stopped early by {self.stopped}" if self.stopped else ""
        return f"{self.steps} steps in {self.seconds:.0f} s ({self.images_per_second:.0f} images/s): {last}{early}"


def fit(
    method: nn.Module,
    data: Images | Sequence[Images],
    config: TrainConfig | None = None,
    *,
    validation: Images | Sequence[Images] | None = None,
    callbacks: Iterable[Callback] = (),
    device: torch.device | str = "auto",
    compile: bool = False,
) -> Result:
    """Train `method` on `data`, in place.

    `data` is a uint8 tensor (N, C, H, W), or several tensors with N rows each, for a method whose batch is a tuple.
    What fits goes to the device as a whole; a `Stream`, or a tensor too large for the device, is read batch by batch,
    in the same order. `validation`, in the same form, is measured after every epoch, always on the same views. A
    callback is called after every epoch as `callback(method, record)`; what it returns is ignored unless it is true,
    which ends the run. Ctrl-C (or Jupyter's Interrupt) ends it too, and keeps what was learned.

    `compile` hands the encoder to torch.compile, which takes a minute at the start and needs a C++ compiler: for long
    runs on a GPU. On a CPU the compiled encoder was slower than the plain one (0.8 times).

    With SSLKIT_FAST=1 in the environment every run ends after 20 steps: a smoke test.

    Raises ValueError if a batch is larger than the data or the tensors differ in length, and FloatingPointError if the
    loss is no longer a number; the method then holds the parameters of the last epoch that was sound.
    """
    config = config or TrainConfig()
    tensors, single = _tensors(data)
    n, size = len(tensors[0]), config.batch_size
    if n < size:
        raise ValueError(
            f"batch_size is {size}, but there are only {n} images. Use batch_size={n} or less, or more data."
        )
    device = devices.pick(device) if isinstance(device, str) else device
    devices.fixed_shapes(device)
    if device.type == "cpu":
        devices.keep_memory()
    method.to(device).to(memory_format=torch.channels_last)
    if compile:
        method.get_submodule("encoder").compile()
    dtype = devices.precision(config.precision, device)
    optimizer = make_optimizer(method, config)
    per_epoch = n // size
    total = config.steps or config.epochs * per_epoch
    if devices.fast():
        total = min(total, 20)
    batches = _batches(tensors, size, config.seed, device)
    views = devices.generator(config.seed + 1, device)
    plateau, result = Plateau(config.patience, config.min_gain), Result()
    sound, after_step = _snapshot(method), getattr(method, "after_step", None)
    bar = tqdm(total=total, disable=not config.progress, unit="step", mininterval=0.5, leave=False)
    start = time.perf_counter()

    try:
        while result.steps < total and not result.stopped:
            method.train()  # a callback may have left it in another mode
            sums: dict[str, Tensor] = {}
            steps = min(per_epoch, total - result.steps)
            for batch in itertools.islice(batches, steps):
                for group in optimizer.param_groups:
                    group["lr"] = config.lr * group["rate"] * share_of_rate(result.steps, total, config)
                with devices.autocast(device, dtype):
                    out = method(batch[0] if single else batch, views)
                optimizer.zero_grad(set_to_none=True)
                out["loss"].backward()
                if config.clip:
                    nn.utils.clip_grad_norm_(method.parameters(), config.clip)
                optimizer.step()
                result.steps += 1
                if after_step is not None:
                    after_step(result.steps / total)
                for key, value in out.items():
                    sums[key] = sums.get(key, 0) + value.detach()
                bar.update()

            record = {"epoch": len(result.history) + 1, **{k: float(v) / steps for k, v in sums.items()}}
            if not math.isfinite(record["loss"]) or not _all_finite(method):
                method.load_state_dict(sound)
                raise FloatingPointError(_not_finite(record, result, config))
            sound = _snapshot(method)
            if validation is not None:
                record["validation_loss"] = validate(method, validation, config, device)
            record["seconds"] = time.perf_counter() - start
            result.history.append(record)
            speed = result.steps * size / record["seconds"]
            bar.set_postfix_str(f"loss {record['loss']:.3f}, {speed:.0f} images/s")
            if plateau.step(record.get("validation_loss", record["loss"])):
                result.stopped = "plateau"
            if any([callback(method, record) for callback in callbacks]):
                result.stopped = "callback"
    except KeyboardInterrupt:
        if devices.flag("SSLKIT_STRICT_INTERRUPT"):
            raise
        result.stopped, result.interrupted = "interrupt", True
    finally:
        batches.close()
        bar.close()
        method.eval()

    devices.synchronize(device)
    result.seconds = time.perf_counter() - start
    result.images_per_second = result.steps * size / max(result.seconds, 1e-9)
    return result


def _tensors(data: Images | Sequence[Images]) -> tuple[tuple[Images, ...], bool]:
    """The data as a tuple, and whether it was a single tensor. Raises ValueError unless all are of the same length."""
    if isinstance(data, Images):
        return (data,), True
    tensors = tuple(data)
    if len({len(t) for t in tensors}) != 1:
        lengths = " and ".join(str(len(t)) for t in tensors) or "no tensors at all"
        raise ValueError(f"the tensors of the data have {lengths} rows; expected as many in each, one an image.")
    return tensors, False


def _batches(data: Sequence[Images], size: int, seed: int, device: torch.device) -> Generator[tuple[Tensor, ...]]:
    """Whole batches on the device, without end: in every epoch all rows, in a new order that only the seed decides.

    Data that fits lies on the device and is indexed there. What is on disk, or too large, comes through a DataLoader,
    which asks for a whole batch of rows at once and, for a GPU, reads ahead in processes of its own.
    """
    generator, n = devices.generator(seed), len(data[0])
    epochs = (torch.randperm(n, generator=generator)[: n // size * size] for _ in itertools.count())
    on_disk = any(isinstance(t, Stream) for t in data)
    if not on_disk and devices.fits(sum(t.nbytes for t in data if t.device.type != device.type), device):
        data = tuple(t.to(device) for t in data)
        for rows in epochs:
            for index in rows.to(device).split(size):
                yield tuple(t[index] for t in data)
    else:
        loader: DataLoader = DataLoader(
            _Rows(tuple(t.to("cpu") for t in data)),
            sampler=(index.numpy() for rows in epochs for index in rows.split(size)),
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


def make_optimizer(method: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov, Hutter 2019) over what requires a gradient; weight decay on matrices and filters only.

    A method that has `rates()`, {parameter: share of the learning rate}, has those parameters learn more slowly.
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
    """The method's mean loss on `data`, in eval mode, with the same views every time."""
    tensors, single = _tensors(data)
    views, size = devices.generator(config.seed + 2, device), min(config.batch_size, len(tensors[0]))
    method.eval()
    losses = []
    for start in range(0, len(tensors[0]) - size + 1, size):
        batch = tuple(t[start : start + size].to(device) for t in tensors)
        losses.append(method(batch[0] if single else batch, views)["loss"])
    method.train()
    return torch.stack(losses).mean().item()


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
