"""When a step finds no memory: which batch fits, as tried."""

from __future__ import annotations

import traceback

import torch
from torch import Tensor, nn

from sslkit import device as devices


def advice(
    method: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...], dtype: torch.dtype, pieces: int
) -> str:
    """What to say when a batch, in so many pieces, did not fit: what does, and what else may help."""
    optimizer.zero_grad(set_to_none=True)
    here = len(batch[0]) // pieces
    asks_all = any(isinstance(module, nn.SyncBatchNorm) for module in method.modules())  # a trial would wait for others
    with devices.alone():
        n = here // 2 if asks_all else largest(method, optimizer, batch, dtype, here // 2)
    ways = []
    if n:
        ways.append(f"batch_size={n * pieces * devices.world()}")
        if not getattr(method, "whole_batch", False):
            ways.append(f"accumulate={-(-here // n) * pieces}, which needs the memory of {n} at a time")
    if dtype == torch.float32 and devices.fast_bf16(batch[0].device.type):
        ways.append("precision='bf16'")
    tried = "Half as many may." if asks_all else f"{n} fit, as tried." if n else "Not even two fit, as tried."
    return (
        f"{here} images at once do not fit in the memory of {devices.describe(batch[0].device)}. {tried} "
        f"Use {', or '.join([*ways, 'a smaller net or smaller images'])}."
    )


def largest(
    method: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...], dtype: torch.dtype, n: int
) -> int:
    """The first of n, n / 2, n / 4 … images of the batch for which a step has memory; 0 if two are too many.

    The step is tried, forward and backward. The method is left as it was.
    """
    buffers = {name: buffer.clone() for name, buffer in method.named_buffers()}  # batch norm would learn from it
    while n >= 2 and not _fits(method, optimizer, tuple(t[:n] for t in batch), dtype):
        n //= 2
    with torch.no_grad():
        for name, buffer in method.named_buffers():
            buffer.copy_(buffers[name])
    return n if n >= 2 else 0


def _fits(method: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...], dtype: torch.dtype) -> bool:
    device = batch[0].device
    trained = [p for p in method.parameters() if p.requires_grad]
    try:
        # Before its first step the optimizer does not have its two moments of every parameter.
        room = [] if optimizer.state else [torch.empty_like(p) for p in trained for _ in range(2)]
        with devices.autocast(device, dtype):
            loss = method(batch if len(batch) > 1 else batch[0], devices.generator(0, device))["loss"]
        loss.backward()
        del room
        return True
    except (RuntimeError, MemoryError) as error:
        if not devices.out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        return False
    finally:
        optimizer.zero_grad(set_to_none=True)
