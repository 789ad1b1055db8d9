"""Lesson 03: what does a puzzle teach, and what does a shortcut cost? Resumable: what stands in 03.json stays.

    python notebooks/experiments/03.py                 everything, about 28 minutes on 2 cores
    python notebooks/experiments/03.py base no-gap     these puzzles only

Each puzzle is trained three times; its frozen encoder is probed with ten draws of ten labels a class.

03.json: {"made_with": {…}, "random" | "base" | "no-gap" | …: {
    "mean", "std", "low", "high", "runs", "blocks": the block probed, for each seed; "seconds": of pretraining,
    "orders": how many there are, "start": the loss before the first step, "loss", "trained": loss and share solved in
    the last epoch; "solved", "solved_std": the share solved of puzzles cut from views of val, over seeds;
    "on": {other puzzle: the share that the same networks solve of that one},
    "gain": {other variant: [mean, low, high] of the paired difference in accuracy, 95 %},
    "right": one character a test image: how many of the runs had it right, to the base 31}}
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
import torch

from sslkit import device, evaluate, methods, nets, recipes, train
from sslkit.augment import STRONG
from sslkit.data import Split, load

FILE = Path(__file__).with_suffix(".json")
SEEDS, DRAWS, LABELS, STEPS = (0, 1, 2), 10, 10, 800
DIGITS = "0123456789abcdefghijklmnopqrstu"  # 0 to 30 runs

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
    start, runs, scores = [], [], []
    for seed in SEEDS:
        method = build(name, seed)
        start.append(method(known.images[:500], device.generator(seed))["loss"].item())
        result = train.fit(method, known.images, config(seed))
        print(f"{name} {seed}: {result.summary()}", flush=True)
        puzzles = {name, *CHEATS} if name in (*CHEATS, "sum") else {name}
        shares = {other: solved(method, build(other), val) for other in puzzles}
        runs.append((result.seconds, result.history[-1]["loss"], result.history[-1]["accuracy"], shares))
        scores.append(evaluate.label_efficiency(method.encoder, splits, [LABELS], DRAWS)[LABELS])
    seconds, loss, trained, shares = zip(*runs)
    by_puzzle = {other: [share[other] for share in shares] for other in shares[0]}
    return accuracy(scores) | {
        "seconds": median(seconds),
        "orders": len(method.permutations),
        "start": mean(start),
        "loss": mean(loss),
        "trained": mean(trained),
        "solved": mean(by_puzzle[name]),
        "solved_std": stdev(by_puzzle[name]),
        "on": {other: round(mean(values), 4) for other, values in sorted(by_puzzle.items()) if other != name},
    }


def random_encoders(splits: dict[str, Split]) -> dict:
    scores = []
    for seed in SEEDS:
        with device.seeded(seed):
            encoder = nets.ConvNet().to(device.pick())
        scores.append(evaluate.label_efficiency(encoder, splits, [LABELS], DRAWS)[LABELS])
    return accuracy(scores)


def accuracy(scores: list[evaluate.Score]) -> dict:
    pooled = evaluate.Score.pool(scores)
    right = "".join(DIGITS[n] for n in pooled.correct.sum(axis=0))
    figures = {key: value for key, value in pooled.json().items() if key not in ("block", "shrinkage")}
    return {**figures, "blocks": [score.block for score in scores], "right": right}


def gain(row: dict, other: dict, sources: np.ndarray) -> list[float]:
    """[mean, low, high] of the paired difference in accuracy; the interval excludes 0 if one is better."""
    a, b = (evaluate.Score(np.array([[int(c, 31) for c in r["right"]]]) / r["runs"], sources) for r in (row, other))
    return [round(value, 4) for value in (a.mean - b.mean, *a.interval(b))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="these puzzles; without any, what is missing")
    parser.add_argument("--file", type=Path, default=FILE, help="where the results stand")
    wanted = parser.parse_args()
    splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
    recipe = recipes.get("jigsaw")
    made_with = {"data_hash": splits["test"].hash, "config": asdict(config()), "augment": asdict(recipe.augment)}
    made_with = json.loads(json.dumps(made_with | {"settings": recipes.described(recipe)}))  # as it will be read back
    for name in wanted.names or ["random", *PUZZLES]:
        if name in read(wanted.file, made_with):
            continue
        row = random_encoders(splits) if name == "random" else measure(name, splits)
        row = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        results = read(wanted.file, made_with) | {name: row}  # again: another process may have added to it meanwhile
        sources = splits["test"].sources.numpy()
        for one in PUZZLES.keys() & results.keys():
            others = [other for other in ("random", *PUZZLES) if other in results and other != one]
            results[one]["gain"] = {other: gain(results[one], results[other], sources) for other in others}
        temporary = wanted.file.with_suffix(".part")
        temporary.write_text(json.dumps(results, indent=1) + "\n")
        temporary.replace(wanted.file)
        print(f"{name:<16}{row['mean']:.3f} ± {row['std']:.3f}, solved {row.get('solved', 0):.3f}", flush=True)


def read(file: Path, made_with: dict) -> dict:
    """What has been measured on this very data, with this very recipe."""
    results = json.loads(file.read_text()) if file.exists() else {}
    return results if results.get("made_with") == made_with else {"made_with": made_with}


if __name__ == "__main__":
    main()
