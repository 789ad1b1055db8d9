"""Lesson 02: which hole teaches? Resumable: what stands in 02.json is not measured again.

    python notebooks/experiments/02.py              everything, about 20 minutes on 2 cores
    python notebooks/experiments/02.py half frame   these variants only

Each variant is pretrained three times; its frozen encoder is probed with ten draws of ten labels a class. Beside that:
how well it fills holes in views of val that it has not seen, and how well three predictions without a network do.

02.json: {"made_with": {…}, "half" | "centre" | …: {
    "mean", "std", "low", "high", "runs", "blocks": the block probed, for each seed; "seconds": of pretraining,
    "loss": the last epoch's training loss, "error": the squared error in the holes of val, "error_std": over seeds,
    "mean_image", "nearest", "linear": the error of those predictions, "left": error / mean_image,
    "gain": {other variant: [mean, low, high] of the paired difference in accuracy, 95 %},
    "right": one character a test image: how many of the runs had it right, to the base 31}}
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
import torch
from torch import Tensor, nn

from sslkit import device, evaluate, losses, methods, nets, pretext, recipes, train
from sslkit.data import Split, load

FILE = Path(__file__).with_suffix(".json")
SEEDS, DRAWS, LABELS, STEPS = (0, 1, 2), 10, 10, 1000
DIGITS = "0123456789abcdefghijklmnopqrstu"  # 0 to 30 runs

BLOCKS = partial(pretext.blocks, count=8)  # about 40 % hidden
GREY, EDGES = pretext.contrast_normalised_grey, pretext.contrast_normalised_edges
VARIANTS: dict[str, dict] = {
    "half-edges": {"mask": pretext.half, "target": EDGES},  # the recipe
    "half": {"mask": pretext.half, "target": GREY},
    "centre": {"mask": pretext.centre, "target": GREY},
    "frame": {"mask": pretext.frame, "target": GREY},
    "blocks": {"mask": BLOCKS, "target": GREY},
    "scattered": {"mask": pretext.scattered, "target": GREY},
    # the same hole; what is predicted, and through how narrow a place, changes
    "blocks-colour": {"mask": BLOCKS, "target": None},
    "blocks-colour-wide": {"mask": BLOCKS, "target": None, "wide": True},
}


class Wide(methods.Inpainting):
    """No bottleneck: the decoder gets the encoder's whole last map, 4 · 4 · 128 numbers that know their place."""

    def __init__(self, encoder: nets.Encoder, **settings):
        super().__init__(encoder, **settings)
        height, width = encoder.features(torch.zeros(2, encoder.channels, 32, 32))[-1].shape[2:]
        self.bottleneck = nn.Identity()
        self.decoder.start = nn.Linear(encoder.dim * height * width, self.decoder.start.out_features)

    def predict(self, inputs: Tensor) -> Tensor:
        z = self.encoder.features(inputs)[-1].flatten(1)
        return self.decoder(z, (inputs.shape[2], inputs.shape[3]))


def build(name: str, seed: int) -> methods.Inpainting:
    recipe = recipes.get("inpainting")
    settings = {"augment": recipe.augment, **recipe.settings, **VARIANTS[name]}
    kind = Wide if settings.pop("wide", False) else methods.Inpainting
    with device.seeded(seed):
        return kind(nets.ConvNet(), **settings)


def config(seed: int = 0) -> train.TrainConfig:
    return replace(recipes.get("inpainting").lesson, steps=STEPS, seed=seed, progress=False)


# -------------------------------------------------------------------------------------------- how well is it filled?


@torch.inference_mode()
def error(method: methods.Inpainting, images: Tensor) -> float:
    """Squared error inside the holes of views of these images, always the same views and holes."""
    where = next(method.parameters()).device
    inputs, mask, target = method.views(images.to(where), device.generator(0, where))
    predicted = torch.cat([method.predict(part) for part in inputs.split(500)])
    return losses.masked_mse(predicted.float(), target, mask).item()


def controls(method: methods.Inpainting, known: Split, val: Split) -> dict[str, float | None]:
    """The same error of three predictions that need no network, fitted on views of the training images."""

    def target(x: Tensor) -> Tensor:
        return x if method.target is None else method.target(x)

    seen, views = (method.augment(s.images, device.generator(i)) for i, s in ((1, known), (0, val)))
    _, mask, hidden = method.views(val.images, device.generator(0))  # the same views again, with their holes
    filled = {
        "mean_image": pretext.mean_image(target(seen), len(views)),
        "nearest": pretext.nearest_visible(target(views), mask),
    }
    different = mask.unique(dim=0)
    if len(different) <= 4:  # one linear prediction for each; random holes have as many masks as images
        filled["linear"] = torch.zeros_like(hidden)
        for one in different:
            fit = pretext.LinearPrediction(seen, target(seen), one[None], shrinkage=1e-2)
            here = (mask == one).flatten(1).all(dim=1)
            filled["linear"][here] = fit(views[here])
    errors = {name: losses.masked_mse(picture, hidden, mask).item() for name, picture in filled.items()}
    return {"linear": None, **errors}


# ------------------------------------------------------------------------------------------------ what is it good for?


def measure(name: str, splits: dict[str, Split]) -> dict:
    runs, scores = [], []
    for seed in SEEDS:
        method = build(name, seed)
        result = train.fit(method, splits["train"].images, config(seed))
        print(f"{name} {seed}: {result.summary()}", flush=True)
        runs.append((result.seconds, result.history[-1]["loss"], error(method, splits["val"].images)))
        scores.append(evaluate.label_efficiency(method.encoder, splits, [LABELS], DRAWS)[LABELS])
    seconds, loss, errors = zip(*runs)
    row = {
        "seconds": median(seconds),
        "loss": mean(loss),
        "error": mean(errors),
        "error_std": stdev(errors),
        **controls(build(name, 0), splits["train"], splits["val"]),
    }
    return accuracy(scores) | row | {"left": row["error"] / row["mean_image"]}


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


# ------------------------------------------------------------------------------------------------------------- the file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="these variants; without any, what is missing")
    parser.add_argument("--file", type=Path, default=FILE, help="where the results stand")
    wanted = parser.parse_args()
    splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
    recipe = recipes.get("inpainting")
    settings = {key: value for key, value in recipe.settings.items() if isinstance(value, int | float | str)}
    made_with = {
        "data_hash": splits["test"].hash,
        "config": asdict(config()),
        "augment": asdict(recipe.augment),
        "settings": settings,
    }
    made_with = json.loads(json.dumps(made_with))  # as it will be read back
    for name in wanted.names or ["random", *VARIANTS]:
        results = read(wanted.file, made_with)  # again: another process may have added to it meanwhile
        if name in results:
            continue
        row = random_encoders(splits) if name == "random" else measure(name, splits)
        row = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        results = read(wanted.file, made_with) | {name: row}
        sources = splits["test"].sources.numpy()
        for one in VARIANTS.keys() & results.keys():
            others = [other for other in ("random", *VARIANTS) if other in results and other != one]
            results[one]["gain"] = {other: gain(results[one], results[other], sources) for other in others}
        temporary = wanted.file.with_suffix(".part")
        temporary.write_text(json.dumps(results, indent=1) + "\n")
        temporary.replace(wanted.file)
        print(f"{name:<20}{row['mean']:.3f} ± {row['std']:.3f}, error {row.get('error', float('nan')):.3f}", flush=True)


def read(file: Path, made_with: dict) -> dict:
    """What has been measured on this very data, with this very recipe."""
    results = json.loads(file.read_text()) if file.exists() else {}
    return results if results.get("made_with") == made_with else {"made_with": made_with}


if __name__ == "__main__":
    main()
