"""The doctor says what is wrong and what to do, and one broken check does not keep the others from speaking."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import jupyter_client.kernelspec
import psutil
import pytest
import torchvision

from sslkit import device, doctor


def broken(*args: object, **kwargs: object) -> object:
    raise RuntimeError("operator torchvision::nms does not exist\nand much more")


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Run one check by its name."""

    def run(name: str) -> doctor.Check:
        monkeypatch.setattr(doctor, "CHECKS", {name: doctor.CHECKS[name]})
        return doctor.check()[0]

    return run


@pytest.mark.slow
def test_this_machine_is_ready(capsys: pytest.CaptureFixture[str]):
    assert doctor.main() == 0, capsys.readouterr().out
    said = capsys.readouterr().out.splitlines()
    findings = [line for line in said[:-1] if not line.startswith("       ->")]
    assert len(findings) == len(doctor.CHECKS) and all(line[:6] in doctor.SIGN.values() for line in findings)
    assert said[-1] == "This machine is ready."


def test_wrong_python(only, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert only("Python").status == "fail"


def test_torchvision_that_does_not_fit(only, monkeypatch):
    monkeypatch.setattr(torchvision.ops, "nms", broken)
    result = only("torch")
    assert result.status == "fail" and "nms does not exist" in result.detail and "much more" not in result.detail
    assert "torch torchvision" in result.advice


def test_driver_that_torch_cannot_use(only, monkeypatch):
    monkeypatch.setattr(device, "pick", lambda: SimpleNamespace(type="cpu"))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None)
    result = only("device")
    assert result.status == "note" and "NVIDIA" in result.advice


@pytest.mark.parametrize(("fast", "status"), [(True, "ok"), (False, "note")])
def test_bf16(only, monkeypatch, fast: bool, status: str):
    monkeypatch.setattr(device, "fast_bf16", lambda kind: fast)
    assert only("bf16").status == status


def test_data_folder_that_is_a_file(only, monkeypatch, tmp_path: Path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "file"))
    result = only("data folder")
    assert result.status == "fail" and "SSLKIT_DATA" in result.advice


@pytest.mark.parametrize(("free", "status"), [(0.1, "fail"), (1.0, "note"), (50.0, "ok")])
def test_disk(only, monkeypatch, tmp_path: Path, free: float, status: str):
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "not" / "there" / "yet"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free * 1e9))
    assert only("disk").status == status


@pytest.mark.parametrize(("free", "status"), [(0.3, "fail"), (1.5, "note"), (50.0, "ok")])
def test_memory(only, monkeypatch, free: float, status: str):
    monkeypatch.setattr(doctor, "free_memory", lambda: free * 1e9)
    assert only("memory").status == status


def test_free_memory_is_at_most_the_machines():
    assert 0 < doctor.free_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("program", "status"),
    [("python", "ok"), (sys.executable, "ok"), ("/opt/other/bin/python", "fail"), (shutil.which("ls"), "fail")],
)
def test_kernel_of_another_environment(only, monkeypatch, program: str, status: str):
    spec = SimpleNamespace(argv=[program, "-m", "ipykernel_launcher"])
    monkeypatch.setattr(jupyter_client.kernelspec.KernelSpecManager, "get_kernel_spec", lambda self, name: spec)
    result = only("kernel")
    assert result.status == status
    assert ("--sys-prefix" in result.advice) == (status == "fail")


def test_no_kernel(only, monkeypatch):
    def none(self: object, name: str) -> None:
        raise jupyter_client.kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(jupyter_client.kernelspec.KernelSpecManager, "get_kernel_spec", none)
    assert only("kernel").status == "fail"


def test_old_widgets(only, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "7.8.1")
    assert only("widgets").status == "fail"


def test_no_widgets(only, monkeypatch):
    def none(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", none)
    assert "not installed" in only("widgets").detail


def test_one_broken_check_fails_and_the_others_run(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", {"photodigits": broken, "Python": doctor.python})
    assert doctor.main() == 1
    said = capsys.readouterr().out
    assert "[FAIL] photodigits: RuntimeError: operator" in said and "->" in said
    assert "[OK]   Python" in said and "1 to repair" in said


def test_json(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", {"photodigits": broken, "Python": doctor.python})
    assert doctor.main(json=True) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ready"] is False
    assert [check["status"] for check in said["checks"]] == ["fail", "ok"]
    assert set(said["checks"][0]) == {"name", "status", "detail", "advice"}


def test_json_is_one_line(capsys):
    doctor.main(json=True)
    assert len(capsys.readouterr().out.strip().splitlines()) == 1
