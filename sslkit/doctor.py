"""Is this machine ready? One line a check: [OK], [--] (works, but worth knowing) or [FAIL] with what to do about it.

python -m sslkit doctor          ends with status 1 if a check fails
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import time
from collections.abc import Callable
from json import dumps
from pathlib import Path
from typing import Literal, NamedTuple

# Every other import stands in the check that needs it: a broken torch is a finding, not a crash.

GB = 1e9
PIP = f'"{sys.executable}" -m pip install'
SIGN = {"ok": "[OK]  ", "note": "[--]  ", "fail": "[FAIL]"}


class Finding(NamedTuple):
    status: Literal["ok", "note", "fail"]
    detail: str
    advice: str = ""


class Check(NamedTuple):
    name: str
    status: str
    detail: str
    advice: str

    def __str__(self) -> str:
        line = f"{SIGN[self.status]} {self.name}: {self.detail}"
        return f"{line}\n       -> {self.advice}" if self.advice else line


def python() -> Finding:
    version = sys.version_info[:2]
    detail = f"{sys.version.split()[0]} in {sys.prefix}"
    if (3, 11) <= version <= (3, 13):
        return Finding("ok", detail)
    return Finding("fail", detail, "sslkit needs Python 3.11, 3.12 or 3.13: make a new environment with one of them.")


def torch_pair() -> Finding:
    """torch and torchvision have to fit: with a wrong pair torchvision's compiled operators are missing."""
    import torch

    try:
        import torchvision

        torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    except Exception as error:
        advice = f"The two do not fit. {PIP} --force-reinstall -c constraints.txt torch torchvision"
        return Finding("fail", f"torch {torch.__version__}, torchvision: {first_line(error)}", advice)
    return Finding("ok", f"torch {torch.__version__}, torchvision {torchvision.__version__}")


def compute() -> Finding:
    import torch

    from sslkit import device

    picked = device.pick()
    detail = f"{device.describe(picked)}, {os.cpu_count()} cores"
    if picked.type == "cpu" and shutil.which("nvidia-smi"):
        advice = f"An NVIDIA driver is here, but torch {torch.__version__} cannot use it; see pytorch.org for a build."
        return Finding("note", detail, advice)
    return Finding("ok", detail)


def bf16() -> Finding:
    from sslkit import device

    if device.fast_bf16(device.pick().type):
        return Finding("ok", "faster than fp32 here, and used")
    return Finding("note", "not faster than fp32 here: training uses fp32")


def data_folder() -> Finding:
    from sslkit.data.root import data_root, make_folder

    folder = data_root()
    try:
        make_folder(folder, "downloads and caches")
    except OSError as error:
        return Finding("fail", f"{folder}: {first_line(error)}", "Set SSLKIT_DATA to a folder that you can write to.")
    return Finding("ok", str(folder))


def disk() -> Finding:
    from sslkit.data.root import data_root

    folder = data_root()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GB
    if free < 0.2:
        return Finding("fail", f"{free:.2f} GB free", f"Make room on the disk of {folder}: notebooks cannot be saved.")
    if free < 2:
        return Finding("note", f"{free:.1f} GB free", "Enough for the lessons, not for larger data sets.")
    return Finding("ok", f"{free:.0f} GB free")


def memory() -> Finding:
    free = free_memory() / GB
    if free < 0.7:
        return Finding("fail", f"{free:.1f} GB free", "The lessons need about 1 GB: close other programs.")
    if free < 2:
        return Finding("note", f"{free:.1f} GB free", "Enough for one lesson at a time: shut down other kernels.")
    return Finding("ok", f"{free:.0f} GB free")


def free_memory() -> float:
    """What may still be used: of the machine, or of the container if it is allowed less."""
    import psutil

    free = float(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            used = float((group / "memory.current").read_text()) - float(stat["inactive_file"])  # a cache gives way
            free = min(free, float(limit) - used)
    except (OSError, ValueError, KeyError):
        pass  # no container, or one that does not say
    return free


def kernel() -> Finding:
    """A notebook must run in this environment, not in the one that another project has registered as `python3`."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    install = f'"{sys.executable}" -m ipykernel install --sys-prefix'
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding("fail", "there is no kernel `python3`", install)
    program = spec.argv[0]
    if program.startswith("python") and os.path.basename(program) == program:
        return Finding("ok", f"python3, Lab {importlib.metadata.version('jupyterlab')}")  # Jupyter takes its own Python
    found = shutil.which(program)
    if found is None or not os.path.samefile(os.path.dirname(found), os.path.dirname(sys.executable)):
        advice = f"{install}  (and if that changes nothing: jupyter kernelspec remove python3)"
        return Finding("fail", f"`python3` runs {program}, which is not this environment", advice)
    return Finding("ok", f"python3, Lab {importlib.metadata.version('jupyterlab')}")


def widgets() -> Finding:
    found = {}
    for package in ("ipywidgets", "jupyterlab_widgets"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return Finding("fail", f"{package} is not installed", f'{PIP} "ipywidgets>=8.1.9,<9"')
    detail = ", ".join(f"{package} {version}" for package, version in found.items())
    majors = tuple(int(version.split(".")[0]) for version in found.values())
    if majors != (8, 3):
        return Finding("fail", detail, f'Lab 4 needs 8.x with 3.x: {PIP} "ipywidgets>=8.1.9,<9"')
    return Finding("ok", detail)


def photodigits() -> Finding:
    from sslkit.data import load

    start = time.perf_counter()
    split = load("photodigits", "val")
    return Finding("ok", f"{len(split.images):,} validation images built in {time.perf_counter() - start:.1f} s")


CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": python,
    "torch": torch_pair,
    "device": compute,
    "bf16": bf16,
    "data folder": data_folder,
    "disk": disk,
    "memory": memory,
    "kernel": kernel,
    "widgets": widgets,
    "photodigits": photodigits,
}


def check() -> list[Check]:
    """Run every check. One that breaks is a failed one: the others still run."""
    results = []
    for name, run in CHECKS.items():
        try:
            finding = run()
        except Exception as error:
            advice = f"{PIP} -c constraints.txt -e .  (in the folder of the course)"
            finding = Finding("fail", f"{type(error).__name__}: {first_line(error)}", advice)
        results.append(Check(name, *finding))
    return results


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def main(json: bool = False) -> int:
    """Print the checks; return 1 if one failed.

    As JSON: {"ready": true, "checks": [{"name": "disk", "status": "ok", "detail": "78 GB free", "advice": ""}, …]}
    """
    results = check()
    failed = sum(result.status == "fail" for result in results)
    if json:
        print(dumps({"ready": not failed, "checks": [result._asdict() for result in results]}))
    else:
        for result in results:
            print(result)
        print("This machine is ready." if not failed else f"{failed} to repair: see -> above.")
    return int(failed > 0)
