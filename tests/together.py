"""What each of several processes runs for test_processes.py: python tests/together.py parity|train|… FOLDER."""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sslkit import cli, methods, nets, pretext, train
from sslkit import device as devices
from sslkit.augment import Augment

N = 12  # divides among 2 and 3
MILD = Augment(scale=(0.6, 1.0), brightness=0.3)
EXTRA = {  # settings that change what is compared, or what counts
    "siamese, mined": ("siamese", {"mining": "semi-hard"}),
    "triplet, random": ("triplet", {"mining": "random"}),
    "byol, whitened": ("byol", {"whiten": True}),
    "simsiam, whitened": ("simsiam", {"whiten": True}),
    "inpainting, blocks": ("inpainting", {"mask": pretext.blocks}),
}
SETTINGS = {name: (name, {}) for name in [*methods.METHODS, *methods.VIDEO, "supervised"]} | EXTRA
# Right without gathering, too: the other image is of the same part.
FREE = ("siamese", "triplet, random")
CONFIG = train.TrainConfig(epochs=3, batch_size=N, lr=0.01, precision="fp32", progress=False)


def make(name: str, augment: Augment = MILD, **settings) -> nn.Module:
    """A method without batch norm, which on CPUs is of each process's part."""
    with devices.seeded(0):
        if name in ("mae", "jepa"):
            encoder = nets.build({"net": "vit"})
        else:
            encoder = nets.ConvNet(12 if name in methods.VIDEO else 3, widths=(4, 8))
        if name == "supervised":
            method = methods.Supervised(encoder, 3, augment)
        else:
            method = methods.build(name, encoder, augment=augment, **settings)
    for module in list(method.modules()):
        for key, child in list(module.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(module, key, nn.Identity())
    return method


def batch_of(name: str, n: int = N):
    side = 32 if name in ("mae", "jepa") else 16
    shape = (n, 10, 3, side, side) if name in methods.VIDEO else (n, 3, side, side)
    x = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return (x, torch.arange(n) % 3) if name == "supervised" else x


class Loss(nn.Module):
    """A method's loss, for given views."""

    def __init__(self, method: nn.Module):
        super().__init__()
        self.method = method

    def forward(self, *views: Tensor):
        return self.method.loss(*views)


def gradients(method: nn.Module, model: nn.Module, views: list[Tensor]) -> tuple[float, Tensor, Tensor]:
    """The loss, all gradients in a row, and the method's state after a step."""
    out = devices.mean(model(*views))
    model(*views)["loss"].backward()
    if hasattr(method, "after_step"):
        method.after_step(0.5)
    given = torch.cat([p.grad.flatten() for p in method.parameters() if p.requires_grad])
    return out["loss"].item(), given, torch.cat([b.flatten().double() for b in method.state_dict().values()])


def compared(name: str, settings: dict) -> dict[str, float]:
    """How far loss, gradients and state are from those of one process on the whole batch; the largest error of a
    parameter relative to the largest gradient of all."""
    method = make(name, **settings)
    x, rank, count = batch_of(name), devices.rank(), N // devices.world()
    rows = slice(rank * count, (rank + 1) * count)
    mine = tuple(t[rows] for t in x) if isinstance(x, tuple) else x[rows]
    views = list(method.views(mine, devices.generator(rank)))
    numbers = name in ("siamese", "triplet")  # whose last view numbers rows of the part
    whole = [devices.gather(v) for v in views[:-1]]
    whole.append((devices.gather_rows if numbers else devices.gather)(views[-1]))
    single = copy.deepcopy(method)
    with devices.alone():
        expected = gradients(single, Loss(single), whole)
    found = gradients(method, devices.parallel(Loss(method), torch.device("cpu")), views)

    def error(a, b) -> float:
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        return ((a - b).abs().max() / b.abs().max()).item()

    names = ("loss", "gradients", "state")
    report = {what: error(a, b) for what, a, b in zip(names, found, expected)}
    return report | {"size": expected[1].abs().max().item()}


def parity(folder: Path) -> None:
    report = {name: compared(*setting) for name, setting in SETTINGS.items()}
    real = devices.gather
    without, never = {}, {"gradients": float("inf"), "state": float("inf")}
    for name, (method, settings) in SETTINGS.items():
        calls = iter(range(10**6))  # the whole batch is still put together by the real one
        count = len(make(method, **settings).views(batch_of(method), devices.generator(0)))
        devices.gather = lambda x, c=calls, k=count: real(x) if next(c) < k else x
        try:
            without[name] = compared(method, settings)
        except Exception as error:  # such as rows that are not there
            without[name] = never | {"error": str(error)}
        devices.gather = real
    devices.share = lambda count: 1.0
    unweighted = compared(*EXTRA["inpainting, blocks"])
    if devices.rank() == 0:
        report = {"with": report, "without": without, "unweighted": unweighted}
        (folder / "report.json").write_text(json.dumps(report))


def trained(folder: Path, **options) -> dict:
    """A run of fit on the same views in every process."""
    name = options.pop("name", "supervised")
    method = make(name, augment=Augment())
    config = options.pop("config", CONFIG)
    result = train.fit(method, batch_of(name, 60), config, device="cpu", **options)
    history = [{k: v for k, v in r.items() if k != "seconds"} for r in result.history]
    weights = torch.cat([p.detach().flatten() for p in method.parameters()])
    return {"history": history, "steps": result.steps, "stopped": result.stopped, "weights": weights.tolist()}


def train_together(folder: Path) -> None:
    rank, heard = devices.rank(), []
    value = batch_of("supervised", 24)
    report = {"plain": trained(folder, validation=value, callbacks=[lambda m, r: heard.append(r["epoch"]) and False])}
    report["heard"] = devices.each(heard)
    patient = replace(CONFIG, epochs=9, patience=1, min_gain=0.9)
    report["plateau"] = devices.each(trained(folder, config=patient)["steps"])
    report["callback"] = devices.each(trained(folder, callbacks=[lambda m, r: r["epoch"] == 2])["steps"])
    real = devices.any_of
    taken = []

    def asked_in_the_last_process(asked, due):
        taken.append(1)
        return real(asked or (rank == devices.world() - 1 and len(taken) == 7), due)

    devices.any_of = asked_in_the_last_process
    kept = folder / "r.run"
    report["cut"] = devices.each(trained(folder, state=kept)["steps"])
    devices.any_of = real
    report["resumed"] = trained(folder, state=kept)
    report["again"] = trained(folder)
    devices.mean = lambda values: values
    report["not averaged"] = trained(folder)
    if rank == 0:
        (folder / "report.json").write_text(json.dumps(report))


def lost(folder: Path) -> None:
    """The last process is killed in its tenth step."""
    real, taken = devices.any_of, []

    def killed(asked, due):
        taken.append(1)
        if devices.rank() == devices.world() - 1 and len(taken) == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(asked, due)

    devices.any_of = killed
    try:
        trained(folder, state=folder / "r.run", save_every=0)
    except ConnectionError as error:
        (folder / f"error-{devices.rank()}").write_text(str(error))
        os._exit(2)


def commanded(*arguments: object) -> None:
    code = cli.main([*map(str, arguments), "--device", "cpu", "--batch-size", "4"])
    devices.leave()
    sys.stdout.flush()
    os._exit(code)


def text(folder: Path) -> None:
    """The command line on text, with a network whose loss asks how much the others count."""
    commanded(
        "pretrain", "next-word", "--net", "context-bag", "--data", f"text:{folder}/s.txt", "--out", folder / "w.pt"
    )


def absent(folder: Path) -> None:
    """Each process has the pictures in a place of its own, and the last has none."""
    commanded("pretrain", "rotation", "--data", f"folder:{folder}/{devices.rank()}", "--out", folder / "r.pt")


def nowhere(folder: Path) -> None:
    """No process finds the pictures."""
    commanded("pretrain", "rotation", "--data", f"folder:{folder}/nowhere", "--out", folder / "r.pt")


TASKS = {"parity": parity, "train": train_together, "lost": lost, "text": text, "absent": absent, "nowhere": nowhere}

if __name__ == "__main__":
    torch.set_num_threads(1)
    devices.join("cpu")
    TASKS[sys.argv[1]](Path(sys.argv[2]))
    devices.leave()
