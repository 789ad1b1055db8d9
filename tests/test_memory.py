"""When a step finds no memory, the batch that fits is named, as tried, and nothing of the method is lost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sslkit import device as devices
from sslkit import memory, methods, nets
from sslkit.augment import Augment
from sslkit.train import TrainConfig, fit

CONFIG = TrainConfig(steps=8, batch_size=32, lr=0.01, precision="fp32", progress=False)


def images(n: int = 64) -> torch.Tensor:
    return torch.randint(256, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Small(methods.Rotation):
    """A device that holds so many images at once, from a given step on; `tried` are the batches that were asked of it.

    What fits forward may not fit backward: the gradient needs as much again, with `backward`.
    """

    def __init__(self, room: int, after: int = 0, backward: bool = False):
        with devices.seeded(0):
            super().__init__(nets.ConvNet(3, widths=(4, 8)), Augment())
        self._room, self._after, self._backward, self.tried = room, after, backward, []

    def forward(self, x, generator=None):
        self.tried.append(len(x))
        out = super().forward(x, generator)
        if len(self.tried) > self._after and len(x) > self._room:
            if not self._backward:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
            out["loss"].register_hook(lambda gradient: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of")))
        return out


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("room, fits", [(31, 16), (16, 16), (15, 8), (7, 4), (2, 2)])
def test_the_batch_that_fits_is_named(room, fits, backward):
    method = Small(room, backward=backward)
    with pytest.raises(
        MemoryError, match=f"32 images at once do not fit.* {fits} fit, as tried.*batch_size={fits}"
    ) as e:
        fit(method, images(), CONFIG, device="cpu")
    assert f"accumulate={32 // fits}" in str(e.value) and "in 0 steps" in str(e.value)
    assert method.tried == [32 // 2**i for i in range(len(method.tried))] and method.tried[-1] == fits
    assert not method.training


def test_where_nothing_fits_that_is_said():
    with pytest.raises(MemoryError, match="Not even two fit, as tried. Use .*a smaller net or smaller images"):
        fit(Small(1), images(), CONFIG, device="cpu")


def test_the_method_keeps_what_it_has_learned():
    method, twin = Small(16, after=5), Small(64)
    with pytest.raises(MemoryError, match="holds what it learned in 5 steps"):
        fit(method, images(), CONFIG, device="cpu")
    stop = iter([0, 0, 0, 0, 1])  # asked after each step: the twin stops after five
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "any_of", lambda asked, due: (bool(next(stop)), False))
        assert fit(twin, images(), CONFIG, device="cpu").steps == 5
    assert all(torch.equal(a, b) for a, b in zip(method.parameters(), twin.parameters()))
    assert all(p.grad is None for p in method.parameters())  # the trial's are gone


def test_the_trial_leaves_batch_norm_alone():
    method = Small(8)
    before = {name: buffer.clone() for name, buffer in method.named_buffers()}
    optimizer = torch.optim.AdamW(method.parameters())
    assert memory.largest(method.train(), optimizer, (images(32),), torch.float32, 16) == 8
    assert before and all(torch.equal(buffer, before[name]) for name, buffer in method.named_buffers())


def test_a_loss_across_the_batch_is_not_advised_to_use_pieces():
    class Full(methods.SimCLR):
        def forward(self, x, generator=None):
            if len(x) > 8:
                raise torch.OutOfMemoryError("full")
            return super().forward(x, generator)

    with pytest.raises(MemoryError, match="8 fit, as tried. Use batch_size=8, or") as caught:
        fit(Full(nets.ConvNet(3, widths=(4, 8)), Augment()), images(), CONFIG, device="cpu")
    assert "accumulate" not in str(caught.value)


def test_pieces_are_counted_in():
    with pytest.raises(MemoryError, match="16 images at once.*4 fit, as tried. Use batch_size=8, or accumulate=8"):
        with pytest.warns(UserWarning, match="batch norm"):
            fit(Small(4), images(), CONFIG, device="cpu", accumulate=2)


def test_other_errors_are_not_taken_for_it():
    class Broken(Small):
        def forward(self, x, generator=None):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        fit(Broken(4), images(), CONFIG, device="cpu")


def test_what_the_cpu_says_is_known():
    cpu = RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory")
    assert devices.out_of_memory(cpu) and devices.out_of_memory(MemoryError())
    assert devices.out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert devices.out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"))
    assert not devices.out_of_memory(RuntimeError("CUDA error: device-side assert"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_that_is_really_full():
    """Most of the memory is taken, and what is left holds a part of the batch."""
    free = torch.cuda.mem_get_info()[0]
    taken = torch.empty(free - 2**30, dtype=torch.uint8, device="cuda")
    method = methods.Rotation(nets.ResNet18(3), Augment())
    config = TrainConfig(steps=2, batch_size=4096, precision="fp32", progress=False)
    x = torch.randint(256, (4096, 3, 64, 64), dtype=torch.uint8)
    with pytest.raises(MemoryError, match="fit, as tried") as caught:
        fit(method, x, config, device="cuda")
    fits = int(str(caught.value).split(" fit, as tried")[0].split()[-1])
    assert 2 <= fits < 4096
    del caught
    assert (
        fit(method, x, TrainConfig(steps=2, batch_size=fits, precision="fp32", progress=False), device="cuda").steps
        == 2
    )
    del taken


def test_where_batch_norm_asks_all_processes_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(memory, "largest", lambda *_: pytest.fail("a trial would wait for the others"))
    method = nn.Sequential(nn.SyncBatchNorm(4))
    optimizer = torch.optim.AdamW(method.parameters())
    text = memory.advice(method, optimizer, (torch.zeros(8, 4),), torch.float32, 1)
    assert "Half as many may. Use batch_size=4, or accumulate=2" in text
