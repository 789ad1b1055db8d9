"""Devices, seeds and precision."""

from __future__ import annotations

import pytest
import torch

from sslkit import device as devices


def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.pick() == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.pick() == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.pick() == torch.device("cpu")


def test_a_named_device_is_taken(device):
    assert devices.pick(str(device)).type == device.type


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named_with_the_way_out(name):
    with pytest.raises(ValueError, match=f"device '{name}' cannot be used here.*Use 'auto' or 'cpu'"):
        devices.pick(name)


def test_a_generator_repeats_itself_and_lives_on_the_device(device):
    draw = lambda seed: torch.rand(5, generator=devices.generator(seed, device), device=device)  # noqa: E731
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_seeded_fixes_what_is_drawn_inside_and_leaves_the_global_stream_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with devices.seeded(0):
        first = torch.rand(4)
    assert torch.equal(torch.rand(3), expected)
    with devices.seeded(0):
        assert torch.equal(torch.rand(4), first)
    with devices.seeded(1):
        assert not torch.equal(torch.rand(4), first)


def test_seeded_puts_the_global_stream_back_after_an_error():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with pytest.raises(KeyError):
        with devices.seeded(0):
            raise KeyError
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture
def fresh():
    """Asks the machine again, and forgets what a test made it say."""
    devices.fast_bf16.cache_clear()
    yield
    devices.fast_bf16.cache_clear()


@pytest.mark.parametrize(
    "known, faster",
    [({"avx512_bf16": True}, True), ({"bf16": True}, True), ({"avx512_bf16": False, "avx2": True}, False), ({}, False)],
)
def test_a_cpu_is_asked_what_its_instructions_know(monkeypatch, fresh, known, faster):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert devices.precision("auto", torch.device("cpu")) == (torch.bfloat16 if faster else torch.float32)


@pytest.mark.parametrize("bf16_seconds, faster", [(0.5, True), (0.79, True), (0.9, False), (1.0, False), (7.0, False)])
def test_where_torch_cannot_tell_bf16_has_to_be_clearly_faster(monkeypatch, fresh, bf16_seconds, faster):
    seconds = {torch.bfloat16: bf16_seconds, torch.float32: 1.0}
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(devices, "_conv_seconds", seconds.__getitem__)
    assert devices.precision("auto", torch.device("cpu")) == (torch.bfloat16 if faster else torch.float32)


def test_the_measurement_of_bf16_runs_and_is_made_once(monkeypatch, fresh):
    calls = []
    real = devices._conv_seconds
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(devices, "_conv_seconds", lambda dtype: calls.append(dtype) or real(dtype))
    assert len({devices.fast_bf16("cpu") for _ in range(3)}) == 1
    assert sorted(map(str, calls)) == ["torch.bfloat16", "torch.float32"]


def test_devices_of_other_kinds_work_in_fp32():
    assert not devices.fast_bf16("mps")


def test_a_named_precision_is_taken_as_it_is(device):
    assert devices.precision("fp32", device) == torch.float32
    assert devices.precision("bf16", device) == torch.bfloat16


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision is 'fp16'; expected 'auto', 'fp32' or 'bf16'"):
        devices.precision("fp16", torch.device("cpu"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_is_on_for_bf16_only(device, dtype):
    a = torch.ones(2, 2, device=device)
    with devices.autocast(device, dtype):
        assert (a @ a).dtype == dtype


@pytest.mark.parametrize("value, is_set", [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)])
def test_a_flag_of_the_environment(monkeypatch, value, is_set):
    if value is not None:
        monkeypatch.setenv("SSLKIT_FAST", value)
    assert devices.flag("SSLKIT_FAST") is is_set
    assert devices.fast() is is_set


@pytest.mark.parametrize("nbytes, free, fit", [(500, 1000, True), (501, 1000, False), (0, 0, True)])
def test_data_fits_in_half_of_what_a_gpu_has_free(monkeypatch, nbytes, free, fit):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10_000))
    assert devices.fits(nbytes, torch.device("cuda")) is fit
    assert devices.fits(nbytes, torch.device("cpu"))


@pytest.mark.parametrize("kind, cores, workers", [("cpu", 16, 0), ("cuda", 16, 4), ("cuda", 4, 2), ("cuda", 1, 0)])
def test_processes_that_read_ahead(monkeypatch, kind, cores, workers):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda _: range(cores), raising=False)
    assert devices.loader_workers(torch.device(kind)) == workers
    monkeypatch.delattr(devices.os, "sched_getaffinity")
    monkeypatch.setattr(devices.os, "cpu_count", lambda: cores)
    assert devices.loader_workers(torch.device(kind)) == workers


def test_fixed_shapes_are_for_cudnn_only(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    devices.fixed_shapes(torch.device("cpu"))
    assert not torch.backends.cudnn.benchmark
    devices.fixed_shapes(torch.device("cuda"))
    assert torch.backends.cudnn.benchmark


def test_a_device_describes_itself_and_can_be_waited_for(device):
    devices.synchronize(device)
    assert device.type in devices.describe(device)


def test_seeded_asks_no_gpu_and_warns_of_none(monkeypatch, recwarn):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda *_: pytest.fail("a GPU was asked"))
    with devices.seeded(3):
        first = torch.rand(2)
    assert torch.equal(first, torch.rand(2, generator=torch.Generator().manual_seed(3))) and not recwarn


@pytest.mark.parametrize(
    "text, full", [("MPS backend out of memory (MPS allocated: 8 GB)", True), ("shapes differ", False)]
)
def test_memory_that_is_full_is_known_by_its_words(text, full):
    assert devices.out_of_memory(RuntimeError(text)) == full
