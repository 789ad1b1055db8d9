"""Lesson 06: which negative teaches? Resumable: what stands in 06.json is not measured again.

    python notebooks/experiments/06.py               everything, about 20 minutes on 2 cores
    python notebooks/experiments/06.py hard random   these variants only

Each variant is pretrained three times; its frozen encoder is probed with ten draws of ten labels a class.

06.json: {"made_with": {…}, "random" (the untrained encoder) | "mine-random" | …: what resumable.py says of a row, and
    "seconds": of pretraining; by epoch, means over the seeds: "loss", "active": the share of triplets with a loss above
    0, "found": the share of anchors whose own positive is the nearest in the batch; "distance": the mean distance of
    two images of val, "own": of two views of one}
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import resumable
import torch
from torch import Tensor, nn

from sslkit import device, methods, nets, recipes, train
from sslkit.data import Split

FILE = Path(__file__).with_suffix(".json")
STEPS = 800


VARIANTS: dict[str, dict] = {
    "mine-easy": {"mining": "easy"},
    "mine-random": {"mining": "random"},
    "mine-semi-hard": {"mining": "semi-hard"},
    "mine-hard": {"mining": "hard"},
    "many": {"kind": methods.SimCLR},  # all negatives of the batch at once
}


def build(name: str, seed: int) -> nn.Module:
    settings = dict(VARIANTS[name])
    kind = settings.pop("kind", methods.Triplet)
    recipe = recipes.get("simclr" if kind is methods.SimCLR else "triplet")
    with device.seeded(seed):
        return kind(nets.ConvNet(), augment=recipe.augment, **{**recipe.settings, **settings})


def config(seed: int = 0) -> train.TrainConfig:
    """The same for every variant, SimCLR too: as many images a step, as many steps."""
    return replace(recipes.get("triplet").lesson, steps=STEPS, seed=seed, progress=False)


@torch.inference_mode()
def distances(method: methods.Triplet, images: Tensor) -> tuple[float, float]:
    """Mean distance of two images, and of two views of one image."""
    where = next(method.parameters()).device
    generator = device.generator(0, where)
    a, b = (method.embed(method.augment(images.to(where), generator)) for _ in range(2))
    own = torch.linalg.vector_norm(a - b, dim=1).mean().item()
    return torch.pdist(a).mean().item(), own


def measure(name: str, splits: dict[str, Split]) -> dict:
    runs = []
    for seed in resumable.SEEDS:
        method = build(name, seed)
        result = train.fit(method, splits["train"].images, config(seed))
        print(f"{name} {seed}: {result.summary()}", flush=True)
        runs.append((method, result))
    row = resumable.accuracy([method.encoder for method, _ in runs], splits)
    row["seconds"] = median(result.seconds for _, result in runs)
    for key, stored in {"loss": "loss", "active": "active", "accuracy": "found"}.items():
        if key in runs[0][1].history[0]:
            row[stored] = [mean(at) for at in zip(*([r[key] for r in result.history] for _, result in runs))]
    if isinstance(runs[0][0], methods.Triplet):
        between, own = zip(*(distances(method, splits["val"].images[:1000]) for method, _ in runs))
        row |= {"distance": mean(between), "own": mean(own)}
    return row


def main() -> None:
    made_with = resumable.of_recipe(recipes.get("triplet"), config())
    made_with |= {"simclr": recipes.described(recipes.get("simclr"))}
    rows = {"random": lambda name, splits: resumable.accuracy(resumable.random_encoders(), splits)}
    resumable.run(__doc__, FILE, made_with, rows | dict.fromkeys(VARIANTS, measure), "active")


if __name__ == "__main__":
    main()
