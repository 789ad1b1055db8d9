"""Lesson 12: what to change first, measured; and from a CPU to a GPU, as it was measured once. See resumable.py.

    python notebooks/experiments/12.py                     what is missing, about 25 minutes on 2 cores
    python notebooks/experiments/12.py short long-wide     these rows only

12.json: {"made_with": {…},
"short" | "short-views" | "long-wide" | …: SimCLR on photodigits, short (800 steps of 64) or three times as long, with
    one thing changed: what resumable.py says of a row, but on val and without "right"; "by_seed": the accuracy of each
    seed's encoder; "gain": {the row that it is a change of: [mean, low, high] of the paired difference over seeds,
    95 %, Student's t}; "seconds" of pretraining, the median;
"cpu-simclr" | "gpu-vicreg" | …: {"on": the machine, "net", "settings", "method", "epochs", "seconds", "knn": accuracy
    of nearest neighbours (k = 200) on the 10,000 test images of CIFAR-10, with 45,000 JPEG files of 32 px to train on};
    one seed, nothing tuned; "pictures-450" | …: the same, SimCLR, with so many of the 45,000 in as many steps, 3,510;
    "cpu-untrained" | "gpu-untrained": {"on", "net", "knn", "split"}, "gpu-speed": {"on",
    "net", "what", "images_per_second"}. These take a download or a GPU: they are entered by hand, from LOG.md.}
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import resumable

from sslkit import device, evaluate, nets, recipes, train
from sslkit.data import Split

FILE = Path(__file__).with_suffix(".json")

# ------------------------------------------------------------------------------------------------ what to change first

RECIPE = recipes.get("simclr")
SHORT, LONG = replace(RECIPE.lesson, steps=800, progress=False), replace(RECIPE.lesson, steps=2400, progress=False)
WIDE = nets.ConvNet(widths=tuple(2 * width for width in nets.ConvNet().widths)).config()
ROWS: dict[str, dict[str, Any]] = {
    "short": {},
    "short-views": {"augment": recipes.augment_for(RECIPE, "cifar10")},  # those that suit photographs
    "short-vicreg": {"method": "vicreg"},
    "short-batch-16": {"batch_size": 16},  # and four times as many steps: as many pictures
    "short-quarter": {"pictures": 0.25},
    "short-wide": {"net": WIDE},
    "long": {},
    "long-quarter": {"pictures": 0.25},
    "long-fortieth": {"pictures": 0.025},
    "long-wide": {"net": WIDE},
}


def measure(name: str, splits: dict[str, Split]) -> dict:
    changed, config = ROWS[name], SHORT if name.startswith("short") else LONG
    size = changed.get("batch_size", config.batch_size)
    config = replace(config, batch_size=size, steps=config.steps * config.batch_size // size)
    images = splits["train"].images[: int(changed.get("pictures", 1) * len(splits["train"]))]
    encoders, seconds = [], []
    for seed in resumable.SEEDS:
        with device.seeded(seed):
            encoder = nets.build(changed.get("net", nets.ConvNet().config()))
            method = recipes.build(changed.get("method", "simclr"), encoder)
        method.augment = changed.get("augment", method.augment)
        result = train.fit(method, images, replace(config, seed=seed))
        print(f"{name} {seed}: {result.summary()}", flush=True)
        encoders.append(method.encoder)
        seconds.append(result.seconds)
    return on_val(encoders, splits) | {"seconds": median(seconds)}


def on_val(encoders, splits: dict[str, Split]) -> dict:
    """A change is a choice, and choices are made on val."""
    looked_at, count = splits | {"test": splits["val"]}, resumable.LABELS
    scores = [evaluate.label_efficiency(encoder, looked_at, [count], resumable.DRAWS)[count] for encoder in encoders]
    return resumable.figures(scores) | {"by_seed": [score.mean for score in scores]}


def with_gains(results: dict) -> dict:
    """What each change gained over the run without it, seed by seed; for "long" the change is its length."""
    for name in ROWS.keys() & results.keys():
        before = "short" if name == "long" else name.partition("-")[0]
        if name != before and before in results:
            results[name]["gain"] = {before: [*evaluate.gain(results[before]["by_seed"], results[name]["by_seed"])]}
    return results


# ----------------------------------------------------------------------------------------------- from a CPU to a GPU

CPU = {
    "on": "2 CPU cores",
    "net": "convnet",
    "settings": "batches of 128, the recipes' settings for photographs",
}
GPU = {
    "on": "one NVIDIA H100, bf16",
    "net": "resnet18",
    "settings": "batches of 512, AdamW at 2e-3, crops from a fifth of the image; VICReg 1,024 wide",
}


def trained(machine: dict, method: str, epochs: int, seconds: float, knn: float) -> dict:
    return machine | {"method": method, "epochs": epochs, "seconds": seconds, "knn": knn}


def untrained(machine: dict, knn: float, split: str) -> dict:
    return {"on": machine["on"], "net": machine["net"], "knn": knn, "split": split}


FIGURES = {
    "cpu-untrained": untrained(CPU, 0.378, "test"),
    "cpu-simclr": trained(CPU, "simclr", 10, 92.0, 0.530),
    "cpu-vicreg": trained(CPU, "vicreg", 10, 97.0, 0.526),
    "pictures-45000": trained(CPU, "simclr", 10, 144.0, 0.525),
    "pictures-4500": trained(CPU, "simclr", 100, 152.0, 0.528),
    "pictures-450": trained(CPU, "simclr", 1170, 166.0, 0.529),
    "gpu-untrained": untrained(GPU, 0.365, "val"),
    "gpu-simclr": trained(GPU, "simclr", 27, 60.0, 0.658),
    "gpu-vicreg": trained(GPU, "vicreg", 40, 84.0, 0.695),
    "gpu-speed": {
        "on": GPU["on"],
        "net": GPU["net"],
        "what": "two-view images a second of SimCLR's training loop, 32 px, batches of 512",
        "images_per_second": 23278,
    },
}


def main() -> None:
    made_with = resumable.of_recipe(RECIPE, SHORT) | {"long": LONG.steps, "wide": WIDE}
    made_with |= {"vicreg": recipes.described(recipes.get("vicreg"))}
    resumable.run(__doc__, FILE, made_with, dict.fromkeys(ROWS, measure), "seconds")
    resumable.write(FILE, with_gains(json.loads(FILE.read_text())) | FIGURES)


if __name__ == "__main__":
    main()
