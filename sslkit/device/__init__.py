"""Devices, seeds, precision and processes: the only room that asks what machine this is."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import time

import torch

from sslkit.device.processes import (
    alone,
    any_of,
    common,
    each,
    first,
    gather,
    gather_rows,
    in_turn,
    join,
    leave,
    lost,
    mean,
    parallel,
    part,
    rank,
    share,
    world,
)

__all__ = [
    "alone",
    "any_of",
    "autocast",
    "common",
    "describe",
    "each",
    "fast",
    "fast_bf16",
    "first",
    "fits",
    "fixed_shapes",
    "flag",
    "gather",
    "gather_rows",
    "generator",
    "in_turn",
    "join",
    "keep_memory",
    "leave",
    "loader_workers",
    "lost",
    "mean",
    "out_of_memory",
    "parallel",
    "part",
    "pick",
    "precision",
    "rank",
    "seeded",
    "share",
    "synchronize",
    "world",
]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def pick(name: str = "auto") -> torch.device:
    """The device to work on: `auto` takes CUDA, then Apple's MPS, then the CPU."""
    if name != "auto":
        try:
            device = torch.device(name)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device {name!r} cannot be used here ({error}). Use 'auto' or 'cpu'.") from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator of its own, on the device. Nothing in sslkit draws from torch's global one while training."""
    return torch.Generator(device).manual_seed(seed)


@contextlib.contextmanager
def seeded(seed: int):
    """Initialise parameters from `seed` and leave the global generator as it was: the CPU's, on which they are made."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@functools.cache
def fast_bf16(kind: str) -> bool:
    """Whether bf16 is the faster arithmetic on this kind of device ("cuda", "cpu", …).

    A CPU is asked what its instructions know, or timed where torch cannot tell: an emulation of bf16 is far slower.
    """
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return _conv_seconds(torch.bfloat16) < 0.8 * _conv_seconds(torch.float32)


def _conv_seconds(dtype: torch.dtype) -> float:
    """The best of five runs of a small convolution."""
    x = torch.zeros(64, 32, 16, 16, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.zeros(64, 32, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    seconds = []
    with torch.inference_mode():
        for _ in range(6):
            start = time.perf_counter()
            torch.nn.functional.conv2d(x, weight, padding=1)
            seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def precision(wanted: str, device: torch.device) -> torch.dtype:
    """The dtype of autocast: `auto` is bf16 where that is faster, else fp32; `fp32` and `bf16` are taken as given."""
    if wanted not in ("auto", "fp32", "bf16"):
        raise ValueError(f"precision is {wanted!r}; expected 'auto', 'fp32' or 'bf16'.")
    bf16 = wanted == "bf16" or (wanted == "auto" and fast_bf16(device.type))
    return torch.bfloat16 if bf16 else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def fits(nbytes: int, device: torch.device) -> bool:
    """Whether so many bytes of data may lie on the device as a whole: up to half of what a GPU has free.

    The other half is for parameters and activations. Always true on a CPU: the data is in its memory already.
    """
    return device.type != "cuda" or nbytes <= torch.cuda.mem_get_info(device)[0] // 2


# In plain RuntimeErrors: torch's allocator on a CPU and on MPS, and cuBLAS or cuDNN, which take memory beside torch's.
_FULL = (
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "MPS backend out of memory",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether this error says that the device's memory was not enough. Afterwards what is unused is given back."""
    full = isinstance(error, torch.OutOfMemoryError | MemoryError) or any(name in str(error) for name in _FULL)
    if full and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return full


def loader_workers(device: torch.device) -> int:
    """How many processes read data ahead: none on a CPU, whose cores are all busy with the training."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if device.type == "cpu" else min(4, cores // 2)


def fixed_shapes(device: torch.device) -> None:
    """Say that every batch will have the same shape: cuDNN then times its algorithms once and keeps the fastest.

    For the whole process. Nothing changes on a CPU, and nowhere the precision: TF32 stays as torch has it, on in
    convolutions and off in matrix products.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True


@functools.cache
def keep_memory() -> None:
    """Let the C library keep the memory that a training step frees, for the next step.

    By default glibc gives large blocks back to the system at once, and every step then waits for thousands of fresh
    pages: on 2 cores and a batch of 256 this made a step 1.1 to 1.3 times faster. For the whole process, once; up to
    1 GB stays with it. Other C libraries are left alone, and so is glibc where MALLOC_… or GLIBC_TUNABLES already say
    what it shall do.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError, TypeError):  # no C library of its own, or not glibc
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  only glibc has it, and mallopt's numbers are its own
        libc.mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the largest value that it takes
        libc.mallopt(M_TRIM_THRESHOLD, 2**30)


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read afterwards has seen the work. Nothing to do on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def flag(name: str) -> bool:
    """Whether an environment variable is set to something other than 0."""
    return os.environ.get(name, "0") not in ("", "0")


def fast() -> bool:
    """SSLKIT_FAST=1 shortens training for a smoke run, and nothing else."""
    return flag("SSLKIT_FAST")


def describe(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} (cuda)"
    return f"{device.type}, {torch.get_num_threads()} threads"
