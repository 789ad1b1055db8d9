"""Several processes, one run: what torchrun starts. In a single process nothing here does anything.

Each process (a rank of 0 … W − 1) holds the whole method and works on its part of every batch: rows r n / W to
(r + 1) n / W go to rank r. Gradients are averaged over the processes by DistributedDataParallel. A loss that is a mean
over samples is then right as it is; for one that compares samples with each other, the method gathers what it compares.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Value = TypeVar("Value")
_alone: ContextVar[bool] = ContextVar("alone", default=False)
PATIENCE = timedelta(minutes=30)  # how long the others wait for rank 0 while it prepares data or measures


def join(device: torch.device | str = "auto") -> None:
    """Become one of the processes that torchrun started. Without torchrun, or the second time, nothing happens.

    Raises ValueError if there are fewer GPUs than processes on this machine.
    """
    wanted = torch.device("cpu") if str(device) == "cpu" else None
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or not dist.is_available() or dist.is_initialized():
        return
    local, here = int(os.environ["LOCAL_RANK"]), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    gpus = torch.cuda.device_count() if wanted is None else 0
    if gpus and gpus < here:
        raise ValueError(f"{here} processes share {gpus} GPUs. Use --nproc_per_node={gpus}, or --device cpu.")
    if gpus:
        torch.cuda.set_device(local)
    atexit.register(leave)
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)


def leave() -> None:
    """The end of the common work."""
    if dist.is_available() and dist.is_initialized():
        gc.collect()  # what still holds on to the group keeps its threads, which must not outlive the interpreter
        dist.destroy_process_group()


def world() -> int:
    """How many processes share the run."""
    return dist.get_world_size() if _together() else 1


def rank() -> int:
    """Which of them this is; 0 is the one that writes and prints."""
    return dist.get_rank() if _together() else 0


def _together() -> bool:
    return not _alone.get() and dist.is_available() and dist.is_initialized()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within it this process is the only one: nothing is gathered, and nobody is waited for."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def first(work: Callable[[], Value]) -> Value:
    """Let rank 0 alone do it. All get its answer, or its error."""
    if world() == 1:
        return work()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            with alone():
                outcome[0] = work()
        except Exception as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        outcome[1].add_note(_COMMON)
        raise outcome[1]
    return outcome[0]


_COMMON = "All processes have this error from the first."


def common(error: BaseException) -> bool:
    """Whether `first` gave this error to all processes."""
    return _COMMON in getattr(error, "__notes__", ())


def in_turn(work: Callable[[], Value]) -> Value:
    """Let rank 0 do it, then all others: they find what it has downloaded or decoded."""
    if world() == 1:
        return work()
    found: list[Value] = []
    first(lambda: found.append(work()))
    return found[0] if found else work()


# ---- the parts of a batch --------------------------------------------------------------------------------------------


def part(rows: Tensor) -> Tensor:
    """This process's rows of a batch, (n, …) -> (n / W, …). In one process: all."""
    return rows.chunk(world())[rank()] if world() > 1 else rows


class _Gather(torch.autograd.Function):
    """All parts, one below the other. A gradient goes back to the process that its row came from, summed over what all
    processes made of it: with the mean that is taken later over processes, it is the gradient of one process."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(world())]
        dist.all_gather(parts, x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def gather(x: Tensor) -> Tensor:
    """Rows (n / W, …) of every process -> those of the whole batch, (n, …), the same everywhere.

    Gradients come through: together with the mean that DistributedDataParallel takes over the processes they are those
    that one process would have had. In one process it gives `x` itself.
    """
    return _Gather.apply(x.contiguous()) if world() > 1 else x


def gather_rows(index: Tensor) -> Tensor:
    """Numbers of rows within each part, int64 (n / W,) -> numbers of rows within the whole batch, (n,)."""
    return gather(index + rank() * len(index)) if world() > 1 else index


def share(count: Tensor) -> Tensor | float:
    """What a mean over `count` things here weighs in the mean over those of all processes: W · count / Σ count.

    For a loss whose samples do not count alike, such as hidden pixels. In one process it is 1.
    """
    if world() == 1:
        return 1.0
    whole = count.detach().clone().float()
    dist.all_reduce(whole)
    return world() * count.detach() / whole


# ---- agreement -------------------------------------------------------------------------------------------------------


def any_of(*flags: bool) -> tuple[bool, ...]:
    """For each flag, whether it is true in any process: all get the same answer."""
    if world() == 1:
        return flags
    common = torch.tensor(flags, dtype=torch.uint8)
    dist.all_reduce(common, dist.ReduceOp.MAX)
    return tuple(map(bool, common.tolist()))


def mean(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean over processes of each of the numbers; a scalar each."""
    if world() == 1 or not values:
        return values
    common = torch.stack([value.detach().float() for value in values.values()])
    dist.all_reduce(common)
    return dict(zip(values, common / world()))


def each(value: Value) -> list[Value]:
    """What every process has, in the order of their ranks."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    dist.all_gather_object(values, value)
    return values


def parallel(method: nn.Module, device: torch.device) -> nn.Module:
    """The method as it is called in a run of several processes: gradients are averaged, and batch norm is of the whole
    batch on GPUs. On CPUs it is of each process's part, since torch has it for GPUs only. In one process: itself."""
    if world() == 1:
        return method
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(method)  # in place: the parameters stay the same objects
    return nn.parallel.DistributedDataParallel(method)


def lost(error: BaseException) -> bool:
    """Whether this error says that another process is gone."""
    if world() == 1:
        return False
    signs = ("gloo", "NCCL", "Connection closed", "Connection reset", "Broken pipe")
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in signs)
