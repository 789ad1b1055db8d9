"""Lesson 10: beyond pretext. Resumable: what stands in 10.json is not measured again.

    python notebooks/experiments/10.py                    everything, about 12 minutes on 2 cores
    python notebooks/experiments/10.py moco without-crop  these rows only

Pretrained as often as a row's group says; each frozen encoder is probed with ten draws of ten labels a class.

10.json: {"made_with": {…}, "random" (the untrained encoder) | "simclr" | "batch-16" | …: what resumable.py says of a
    row, and "settings": it was made with; "seconds": of pretraining, "loss": in the last epoch,
    "projection": {"std", "effective_rank"} of the projections of val's images (evaluate.collapse), "encoder": the same
    of what the encoder itself gives, "background": how often the nearest neighbour shares the background rather than
    the digit (follows_background); rows of collapse also "course": {"step": […], "loss", "std", "effective_rank"}, on
    512 images of val as training went on, for the first seed}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median

import numpy as np
import resumable
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import device, evaluate, losses, methods, nets, recipes, train
from sslkit.augment import STRONG, WEAK, to_float
from sslkit.data import Split, photodigits

FILE = Path(__file__).with_suffix(".json")
STEPS, IMAGES = 800, 64
WATCHED = 50  # steps between two looks at a run that may collapse


# ------------------------------------------------------------------------------------------------- broken on purpose


class NoStop(methods.SimSiam):
    """SimSiam whose gradient also reaches what is predicted."""

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z = self.projector(self.encoder(torch.cat([a, b])))
        (p_a, p_b), (z_a, z_b) = self.predictor(z).chunk(2), z.chunk(2)
        return {"loss": (losses.normalised_mse(p_a, z_b) + losses.normalised_mse(p_b, z_a)) / 2}


class NoPredictor(methods.SimSiam):
    """SimSiam that compares the projections themselves."""

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z_a, z_b = self.projector(self.encoder(torch.cat([a, b]))).chunk(2)
        return {"loss": (losses.normalised_mse(z_a, z_b.detach()) + losses.normalised_mse(z_b, z_a.detach())) / 2}


class NoNegatives(methods.SimCLR):
    """SimCLR with the upper half of its fraction alone: be near to your other view."""

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z_a, z_b = self.projector(self.encoder(torch.cat([a, b]))).chunk(2)
        return {"loss": losses.normalised_mse(z_a, z_b)}


# ------------------------------------------------------------------------------------------------------------ the rows

NAMES = ("simclr", "moco", "byol", "simsiam", "barlow-twins", "vicreg", "dino")
COLOUR = ("brightness", "contrast", "saturation", "hue", "grey", "invert")
PARTS = {"crop": ("scale", "ratio"), "rotate": ("rotate",), "light": ("brightness", "contrast")}
PARTS |= {"colour": ("saturation", "hue", "grey"), "negative": ("invert",), "all-colour": COLOUR}

# name: (the method whose recipe it follows, what builds it, settings, changes to the TrainConfig, seeds)
ROWS: dict[str, tuple[str, Callable | None, dict, dict, int]] = {
    **{name: (name, None, {}, {}, 3 if name in ("simclr", "vicreg") else 1) for name in NAMES},
    **{f"batch-{size}": ("simclr", None, {}, {"batch_size": size}, 1) for size in (16, 256)},
    **{f"temperature-{t}": ("simclr", None, {"temperature": t}, {}, 1) for t in (0.05, 1.0)},
    **{f"{name}-plain": (name, None, {"whiten": False}, {}, 1) for name in ("byol", "simsiam", "dino")},
    "dino-crops": ("dino", None, {"crops": 2}, {}, 1),  # small ones, too
    "no-negatives": ("simclr", NoNegatives, {}, {}, 1),
    "no-stop": ("simsiam", NoStop, {"whiten": False}, {}, 1),
    "no-predictor": ("simsiam", NoPredictor, {"whiten": False}, {}, 1),
    "no-variance": ("vicreg", None, {"variance": 0.0}, {}, 1),
    "no-covariance": ("vicreg", None, {"covariance": 0.0}, {}, 1),
    **{
        f"without-{name}": ("simclr", None, {"augment": STRONG.without(*parts)}, {}, 1) for name, parts in PARTS.items()
    },
    "weak": ("simclr", None, {"augment": WEAK}, {}, 1),
}
COLLAPSE = (
    "simclr",
    "no-negatives",
    "simsiam",
    "simsiam-plain",
    "no-stop",
    "no-predictor",
    "vicreg",
    "no-variance",
    "no-covariance",
)


def build(name: str, seed: int) -> nn.Module:
    method, kind, settings, _, _ = ROWS[name]
    recipe = recipes.get(method)
    with device.seeded(seed):
        make = kind or methods.METHODS[method]
        return make(nets.ConvNet(), **{"augment": recipe.augment, **recipe.settings, **settings})


def config(name: str, seed: int = 0) -> train.TrainConfig:
    """The recipe's, or the row's, with as many images for every row: STEPS times IMAGES."""
    method, _, _, changes, _ = ROWS[name]
    config = replace(recipes.get(method).lesson, seed=seed, progress=False, **changes)
    return replace(config, steps=STEPS * IMAGES // config.batch_size)


# ----------------------------------------------------------------------------------------------------------- measured


@torch.inference_mode()
def projections(method: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the encoder says of these images, and what the projector makes of it; in eval mode."""
    mode = method.training
    method.eval()
    h = method.encoder(to_float(images.to(next(method.parameters()).device)))
    z = method.projector(h)
    method.train(mode)
    return h.float(), z.float()


class Course:
    """Called after every step: how loss, spread and rank go on, on the same views of the same images."""

    def __init__(self, method: nn.Module, images: Tensor):
        self.method, self.images, self.count = method, images, 0
        self.after_step = getattr(method, "after_step", None)
        self.record: dict[str, list[float]] = {"step": [], "loss": [], "std": [], "effective_rank": []}
        self.look()

    def __call__(self, progress: float) -> None:
        if self.after_step:
            self.after_step(progress)
        self.count += 1
        if self.count % WATCHED == 0 or self.count in (10, 25):
            self.look()

    def look(self) -> None:
        where = next(self.method.parameters()).device
        state = {key: value.clone() for key, value in self.method.state_dict().items()}
        with torch.no_grad():
            loss = self.method.train()(self.images.to(where), device.generator(0, where))["loss"].item()
        self.method.load_state_dict(state)  # batch norm has not seen this
        found = evaluate.collapse(projections(self.method, self.images)[1])
        for key, value in {"step": self.count, "loss": loss, **found}.items():
            self.record[key].append(value)


def crossed() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A hundred handwritings of val over the same twenty pieces of photographs: images (2000, 3, 32, 32), float, and of
    each the digit, the handwriting and the background."""
    ink, target = photodigits.digits()
    pool = photodigits.handwritings(target)["val"]
    writing = np.concatenate([pool[target[pool] == k][:10] for k in range(10)])  # (100,)
    mask = F.interpolate(F.pad(torch.from_numpy(ink[writing])[:, None], (1, 1, 1, 1)), size=(32, 32), mode="bicubic")
    mask = ((mask - 0.25) * 2.2).clamp(0, 1)  # (100, 1, 32, 32)
    draws = torch.rand(20, 3, generator=device.generator(0))
    photo = photodigits.crops("val", draws[:, 0], draws[:, 1:])  # (20, 3, 32, 32)
    colour = photodigits.ink_colours(photo, torch.full((20,), 0.575), torch.zeros(20, 3))
    images = photo[:, None] * (1 - mask) + colour[:, None] * mask  # (20, 100, 3, 32, 32)
    background, which = (
        index.flatten() for index in torch.meshgrid(torch.arange(20), torch.arange(100), indexing="ij")
    )
    return images.flatten(0, 1), torch.from_numpy(target[writing])[which], which, background


@torch.inference_mode()
def follows_background(encoder: nets.Encoder) -> float:
    """What looks most like an image: the same digit in another hand over another background, or another digit over the
    same background? The share of the crossed images for which it is the background; for a blind guess about 0.34."""
    images, digit, writing, background = crossed()
    z = F.normalize(evaluate.embed(encoder, (255 * images).round().byte()), dim=1).cpu()
    by = {"digit": digit[:, None] == digit, "background": background[:, None] == background}
    rivals = by["digit"] != by["background"]
    rivals &= writing[:, None] != writing
    near = (z @ z.T).masked_fill(~rivals, -2).argmax(dim=1)
    return (background == background[near]).float().mean().item()


def measure(name: str, splits: dict[str, Split]) -> dict:
    runs = []
    for seed in resumable.SEEDS[: ROWS[name][-1]]:
        method = build(name, seed)
        if name in COLLAPSE and seed == 0:
            method.after_step = Course(method.to(device.pick()), splits["val"].images[:512])
        result = train.fit(method, splits["train"].images, config(name, seed))
        print(f"{name} {seed}: {result.summary()}", flush=True)
        runs.append((method, result))
    row = resumable.accuracy([method.encoder for method, _ in runs], splits)
    row["settings"] = settings(name)
    row["seconds"] = median(result.seconds for _, result in runs)
    row["loss"] = mean(result.history[-1]["loss"] for _, result in runs)
    found = [[evaluate.collapse(z) for z in projections(m, splits["val"].images)] for m, _ in runs]
    for place, of in enumerate(("encoder", "projection")):
        row[of] = {key: mean(both[place][key] for both in found) for key in ("std", "effective_rank")}
    row["background"] = mean(follows_background(m.encoder) for m, _ in runs)
    if name in COLLAPSE:
        row["course"] = runs[0][0].after_step.record
    return row


def untrained(name: str, splits: dict[str, Split]) -> dict:
    encoders = resumable.random_encoders()
    return resumable.accuracy(encoders, splits) | {"background": mean(map(follows_background, encoders))}


def settings(name: str) -> dict:
    """With what a row was measured; kept in the row, so that a change of one recipe leaves the others' rows alone."""
    method, _, changed, _, seeds = ROWS[name]
    described = recipes.described(replace(recipes.get(method), settings={**recipes.get(method).settings, **changed}))
    return {"config": asdict(config(name)), "method": described, "seeds": seeds}


def main() -> None:
    rows: dict[str, Callable[[str, dict], dict]] = {"random": untrained}
    resumable.run(__doc__, FILE, {"steps": STEPS}, rows | dict.fromkeys(ROWS, measure), "projection")


if __name__ == "__main__":
    main()
