"""Lesson 02: which hole teaches? Resumable: what stands in 02.json is not measured again.

    python notebooks/experiments/02.py              everything, about 20 minutes on 2 cores
    python notebooks/experiments/02.py half frame   these variants only

Each variant is pretrained three times; its frozen encoder is probed with ten draws of ten labels a class. Beside that:
how well it fills holes in views of val that it has not seen, and how well three predictions without a network do.

02.json: {"made_with": {…}, "half" | "centre" | …: what resumable.py says of a row, and
    "seconds": of pretraining, "loss": the last epoch's training loss, "error": the squared error in the holes of val,
    "error_std": over seeds, "mean_image", "nearest", "linear": the error of those predictions,
    "left": error / mean_image}
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, median, stdev

import resumable
import torch
from torch import Tensor, nn

from sslkit import device, losses, methods, nets, pretext, recipes, train
from sslkit.data import Split

FILE = Path(__file__).with_suffix(".json")
STEPS = 1000

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
    encoders, runs = [], []
    for seed in resumable.SEEDS:
        method = build(name, seed)
        result = train.fit(method, splits["train"].images, config(seed))
        print(f"{name} {seed}: {result.summary()}", flush=True)
        encoders.append(method.encoder)
        runs.append((result.seconds, result.history[-1]["loss"], error(method, splits["val"].images)))
    seconds, loss, errors = zip(*runs)
    row = {
        "seconds": median(seconds),
        "loss": mean(loss),
        "error": mean(errors),
        "error_std": stdev(errors),
        **controls(build(name, 0), splits["train"], splits["val"]),
    }
    return resumable.accuracy(encoders, splits) | row | {"left": row["error"] / row["mean_image"]}


def main() -> None:
    made_with = resumable.of_recipe(recipes.get("inpainting"), config())
    rows = {"random": lambda name, splits: resumable.accuracy(resumable.random_encoders(), splits)}
    resumable.run(__doc__, FILE, made_with, rows | dict.fromkeys(VARIANTS, measure), "error")


if __name__ == "__main__":
    main()
