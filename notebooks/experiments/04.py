"""Lesson 04: how simple may a pretext task be? Resumable: what stands in 04.json is not measured again.

    python notebooks/experiments/04.py                 everything, about 25 minutes on 2 cores
    python notebooks/experiments/04.py grey mirror     these tasks only

Each task is trained three times; its frozen encoder is probed with ten draws of ten labels a class.

04.json: {"made_with": {…}, "random" | "grey" | "mirror" | …: what resumable.py says of a row, and
    "seconds": of pretraining, "loss", "trained": loss and share solved in the last epoch; "val": the share solved of
    views of val, "untouched": the same, of val's images without augmentation; "answers": how many there are to choose
    from; "by_block": a probe on each block by itself; "turns": {digit: {"right": for each seed, "off": shares of the
    answers 0, 90, 180, 270 degrees off}}; "directions": shares of 8 answers to 8 truths}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, median

import resumable
import torch
from torch import Tensor, nn

from sslkit import augment, device, evaluate, losses, methods, nets, pretext, recipes, train
from sslkit.augment import STRONG, Augment, to_float
from sslkit.data import Split

FILE = Path(__file__).with_suffix(".json")
STEPS = 1200


# ---------------------------------------------------------------------------------------------------------- the tasks


class Changed(nn.Module):
    """Was the picture changed, or not?"""

    def __init__(self, encoder, change, augment):
        super().__init__()
        self.encoder, self.change, self.augment = encoder, change, augment
        self.head = nn.Linear(encoder.dim, 2)

    def views(self, x, generator=None):
        x = self.augment(x, generator)
        target = torch.randint(2, (len(x),), generator=generator, device=x.device)
        return torch.where(target.view(-1, 1, 1, 1) == 1, self.change(x), x), target

    def loss(self, inputs, target):
        logits = self.head(self.encoder(inputs))
        right = (logits.argmax(dim=1) == target).float().mean()
        return {"loss": losses.cross_entropy(logits, target), "accuracy": right}

    def forward(self, x, generator=None):
        return self.loss(*self.views(x, generator))


def to_grey(x: Tensor) -> Tensor:
    weights = x.new_tensor(augment.GREY).view(3, 1, 1)
    return (x * weights).sum(dim=1, keepdim=True).expand_as(x)


def mirrored(x: Tensor) -> Tensor:
    return x.flip(3)


def upside_down(x: Tensor) -> Tensor:
    return x.rot90(2, dims=(2, 3))


def known(method: str, **changes) -> Callable[[nets.Encoder], nn.Module]:
    """A method of the course with its recipe, and what is changed in it."""
    recipe = recipes.get(method)
    settings = {"augment": recipe.augment, **recipe.settings, **changes}
    return lambda encoder: methods.build(method, encoder, **settings)


# name: (how many answers, encoder -> method, the method whose recipe says how fast to learn)
TASKS: dict[str, tuple[int, Callable[..., nn.Module], str]] = {
    "grey": (2, lambda encoder: Changed(encoder, to_grey, STRONG.without("grey")), "rotation"),
    "mirror": (2, lambda encoder: Changed(encoder, mirrored, STRONG), "rotation"),
    "half-turn": (2, lambda encoder: Changed(encoder, upside_down, STRONG), "rotation"),
    "rotation": (4, known("rotation"), "rotation"),
    "rotation-untouched": (4, known("rotation", augment=Augment()), "rotation"),
    "relative-position": (8, known("relative-position"), "relative-position"),
    "relative-position-touching": (8, known("relative-position", gap=0, jitter=0), "relative-position"),
    "rotation-deeper": (4, known("rotation"), "rotation"),
}
WIDTHS = {"rotation-deeper": (16, 32, 64, 128, 128)}  # one block more than everything else
BY_BLOCK = ("random", "rotation", "rotation-deeper", "relative-position", "simclr")


def config(method: str, seed: int = 0) -> train.TrainConfig:
    """As many steps for every task; SimCLR, which is only shown beside them, keeps the scoreboard's."""
    lesson = recipes.get(method).lesson
    return replace(lesson, steps=lesson.steps if method == "simclr" else STEPS, seed=seed, progress=False)


def trained(name: str, seed: int, images: Tensor) -> tuple[nn.Module, train.Result]:
    build, recipe = (known("simclr"), "simclr") if name == "simclr" else TASKS[name][1:]
    with device.seeded(seed):
        method = build(nets.ConvNet(widths=WIDTHS.get(name, (16, 32, 64, 128))))
    return method, train.fit(method, images, config(recipe, seed))


# ------------------------------------------------------------------------------------------------- how is it solved?


@torch.inference_mode()
def answers(method: nn.Module, images: Tensor, views: Augment) -> tuple[Tensor, Tensor]:
    """The right answers for these images, and the method's. Always the same draws."""
    where = next(method.parameters()).device
    usual, method.augment = method.augment, views
    *inputs, target = method.views(images.to(where), device.generator(0, where))
    method.augment = usual
    z = torch.cat([method.encoder(x) for x in inputs], dim=1)
    return target.cpu(), method.head(z).argmax(dim=1).cpu()


def solved(method: nn.Module, images: Tensor, views: Augment) -> float:
    target, said = answers(method, images, views)
    return (target == said).float().mean().item()


@torch.inference_mode()
def turns(method: nn.Module, val: Split) -> Tensor:
    """(10, 4): for each digit, the shares of the answers that are 0, 90, 180, 270 degrees off."""
    inputs, target = pretext.all_rotations(to_float(val.images.to(next(method.parameters()).device)))
    said = torch.cat([method.head(method.encoder(x)).argmax(dim=1) for x in inputs.split(500)])
    return shares(val.labels.repeat(4), ((said - target) % 4).cpu(), 10, 4)


def shares(row: Tensor, column: Tensor, rows: int, columns: int) -> Tensor:
    counts = torch.bincount(row * columns + column, minlength=rows * columns).view(rows, columns).float()
    return counts / counts.sum(dim=1, keepdim=True)


# ------------------------------------------------------------------------------------------------ what is it good for?


def measure(name: str, splits: dict[str, Split]) -> dict:
    runs = []
    for seed in resumable.SEEDS:
        runs.append(trained(name, seed, splits["train"].images))
        print(f"{name} {seed}: {runs[-1][1].summary()}", flush=True)
    taught, results = zip(*runs)
    row = resumable.accuracy([m.encoder for m in taught], splits)
    row |= {"seconds": median(r.seconds for r in results), "loss": mean(r.history[-1]["loss"] for r in results)}
    if name in TASKS:
        row |= solving(name, taught, results, splits["val"])
    if name in BY_BLOCK:
        row["by_block"] = by_block([m.encoder for m in taught], splits)
    return row


def solving(name: str, taught, results, val: Split) -> dict:
    row = {
        "answers": TASKS[name][0],
        "trained": mean(r.history[-1]["accuracy"] for r in results),
        "val": mean(solved(m, val.images, m.augment) for m in taught),
        "untouched": mean(solved(m, val.images, Augment()) for m in taught),
    }
    if name == "rotation":
        tables = torch.stack([turns(m, val) for m in taught])  # (seeds, 10, 4)
        row["turns"] = {
            str(k): {"right": tables[:, k, 0].tolist(), "off": tables[:, k].mean(dim=0).tolist()} for k in range(10)
        }
    if name == "relative-position":
        tables = torch.stack([shares(*answers(m, val.images, m.augment), 8, 8) for m in taught])
        row["directions"] = tables.mean(dim=0).tolist()
    return row


def untrained(name: str, splits: dict[str, Split]) -> dict:
    encoders = resumable.random_encoders()
    return resumable.accuracy(encoders, splits) | {"by_block": by_block(encoders, splits)}


def by_block(encoders, splits: dict[str, Split]) -> list[dict]:
    """A probe on each block by itself: label_efficiency gets a single one to choose from."""

    def only(encoder, block: int, images: Tensor) -> list[Tensor]:
        return [evaluate.features(encoder, images)[block]]

    rows = []
    for block in range(len(encoders[0].blocks)):
        blocks = [partial(only, encoder, block) for encoder in encoders]
        scores = [evaluate.label_efficiency(b, splits, [resumable.LABELS], resumable.DRAWS) for b in blocks]
        rows.append(resumable.figures([score[resumable.LABELS] for score in scores]))
    return rows


def main() -> None:
    methods = ("rotation", "relative-position", "simclr")
    made_with = {name: resumable.of_recipe(recipes.get(name), config(name)) for name in methods}
    rows = {"random": untrained, **dict.fromkeys((*TASKS, "simclr"), measure)}
    resumable.run(__doc__, FILE, made_with, rows, "val")


if __name__ == "__main__":
    main()
