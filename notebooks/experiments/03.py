"""Lesson 03: what does a puzzle teach, and what does a shortcut cost? Resumable: what stands in 03.json stays.

    python notebooks/experiments/03.py                 everything, about 28 minutes on 2 cores
    python notebooks/experiments/03.py base no-gap     these puzzles only

Each puzzle is trained three times; its frozen encoder is probed with ten draws of ten labels a class.

03.json: {"made_with": {…}, "random" | "base" | "no-gap" | …: what resumable.py says of a row, and
    "seconds": of pretraining, "orders": how many there are, "start": the loss before the first step, "loss", "trained":
    loss and share solved in the last epoch; "solved", "solved_std": the share solved of puzzles cut from views of val,
    over seeds; "on": {other puzzle: the share that the same networks solve of that one}}
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import mean, median, stdev

import resumable
import torch

from sslkit import device, methods, nets, recipes, train
from sslkit.augment import STRONG
from sslkit.data import Split

FILE = Path(__file__).with_suffix(".json")
STEPS = 800

NINE = {"grid": 3, "permutations": 30, "tile": 8}
PUZZLES: dict[str, dict] = {
    "base": {},  # the recipe: 2×2 with all 24 orders, a gap, each tile in colours of its own and encoded alone
    # shortcuts left open
    "no-gap": {"tile": 16},
    "one-colour": {"tile_augment": None},  # the four tiles of an image in the same colours
    "open": {"tile": 16, "tile_augment": None},
    # the paper's cure for colours: every tile to mean 0 and variance 1
    "normalised": {"tile_augment": None, "normalise": True},
    # a head that adds up what each tile says by itself, and cannot compare two of them
    "sum": {"sum": True},
    # smaller crops: what is pictured stands in the middle no more
    "off-centre": {"augment": replace(STRONG, scale=(0.2, 0.5))},
    # another puzzle
    "whole": {"whole": True},
    "nine": NINE,
    "nine-whole-10": NINE | {"whole": True, "permutations": 10},
    "nine-whole-30": NINE | {"whole": True},
    "nine-whole-100": NINE | {"whole": True, "permutations": 100},
    "nine-whole-300": NINE | {"whole": True, "permutations": 300},
}
CHEATS = ("base", "no-gap", "one-colour", "open")  # networks of one shape: each can be given the others' puzzles


def build(name: str, seed: int = 0) -> methods.Jigsaw:
    recipe = recipes.get("jigsaw")
    settings = {"augment": recipe.augment, **recipe.settings, **PUZZLES[name]}
    add_up = settings.pop("sum", False)
    with device.seeded(seed):
        method = methods.Jigsaw(nets.ConvNet(), **settings)
        if add_up:
            method.head = torch.nn.Linear(settings["grid"] ** 2 * method.encoder.dim, settings["permutations"])
    return method


def config(seed: int = 0) -> train.TrainConfig:
    return replace(recipes.get("jigsaw").lesson, steps=STEPS, seed=seed, progress=False)


@torch.inference_mode()
def solved(method: methods.Jigsaw, puzzle: methods.Jigsaw, split: Split) -> float:
    """The share that a trained method solves of another one's puzzles: the same views and orders every time."""
    method.eval()
    where = next(method.parameters()).device
    inputs, target = puzzle.to(where).views(split.images.to(where), device.generator(0, where))
    predicted = torch.cat([method.predict(part).argmax(dim=1) for part in inputs.split(500)])
    return (predicted == target).float().mean().item()


def measure(name: str, splits: dict[str, Split]) -> dict:
    known, val = splits["train"], splits["val"]
    encoders, start, runs = [], [], []
    for seed in resumable.SEEDS:
        method = build(name, seed)
        start.append(method(known.images[:500], device.generator(seed))["loss"].item())
        result = train.fit(method, known.images, config(seed))
        print(f"{name} {seed}: {result.summary()}", flush=True)
        puzzles = {name, *CHEATS} if name in (*CHEATS, "sum") else {name}
        shares = {other: solved(method, build(other), val) for other in puzzles}
        runs.append((result.seconds, result.history[-1]["loss"], result.history[-1]["accuracy"], shares))
        encoders.append(method.encoder)
    seconds, loss, trained, shares = zip(*runs)
    by_puzzle = {other: [share[other] for share in shares] for other in shares[0]}
    return resumable.accuracy(encoders, splits) | {
        "seconds": median(seconds),
        "orders": len(method.permutations),
        "start": mean(start),
        "loss": mean(loss),
        "trained": mean(trained),
        "solved": mean(by_puzzle[name]),
        "solved_std": stdev(by_puzzle[name]),
        "on": {other: mean(values) for other, values in sorted(by_puzzle.items()) if other != name},
    }


def main() -> None:
    made_with = resumable.of_recipe(recipes.get("jigsaw"), config())
    rows = {"random": lambda name, splits: resumable.accuracy(resumable.random_encoders(), splits)}
    resumable.run(__doc__, FILE, made_with, rows | dict.fromkeys(PUZZLES, measure), "solved")


if __name__ == "__main__":
    main()
