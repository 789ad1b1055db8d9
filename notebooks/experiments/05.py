"""Lesson 05: which pairs teach? Resumable: what stands in 05.json is not measured again.

    python notebooks/experiments/05.py                       everything, about 25 minutes on 2 cores
    python notebooks/experiments/05.py siamese mismatched    these rows only

Each variant is pretrained three times; its frozen encoder is probed with ten draws of ten labels a class.

05.json: {"made_with": {…}, "siamese" | "colours" | …: what resumable.py says of a row, and
    "seconds": of pretraining, "loss": the last epoch's training loss;
    "verification": are the two of a pair the same? On pairs of views of test, made with the recipe's augmentation; the
        threshold is that of val: {"accuracy", "area" (under the ROC curve), "std" (of the accuracy, over the seeds)},
    "own": the same, on pairs of views as they were in training: how well the task is solved;
    "itself" (unshared): the distance of an image from itself, as a share of that of two images;
"supervised": its own test accuracy, over ten draws of ten labels a class, and the "verification" of its features;
    "pixels" and "random" have no training}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median, stdev

import resumable
import torch
from torch import Tensor

from sslkit import device, evaluate, losses, methods, nets, pairs, recipes, train
from sslkit.augment import Augment, to_float
from sslkit.data import Split

FILE = Path(__file__).with_suffix(".json")
STEPS = 1000
COLOURS = ("brightness", "contrast", "saturation", "hue", "grey", "invert")
Embed = Callable[[Tensor], Tensor]


# -------------------------------------------------------------------------------------------------------- the variants


class Unshared(methods.Siamese):
    """Two networks, one for each image of a pair. They start alike."""

    def __init__(self, encoder: nets.Encoder, **settings):
        super().__init__(encoder, **settings)
        self.second = methods.Siamese(nets.build(encoder.config()), **settings)
        self.second.load_state_dict(self.state_dict(), strict=False)

    def loss(self, a: Tensor, b: Tensor, other: Tensor) -> dict[str, Tensor]:
        return {"loss": balanced(self.embed(a), self.second.embed(b), other, self.margin)}


class ByClass(methods.Siamese):
    """The batch is (images, labels), and "same" means: of the same class."""

    def views(self, batch, generator=None):
        x, labels = batch
        a, b = self.augment(x, generator), self.augment(x, generator)
        alike = (labels[:, None] == labels).float()
        partner = torch.multinomial(alike, 1, generator=generator)[:, 0]
        # Row i of the second views shows the class of i, so another row of another class is a different pair.
        return a, b[partner], torch.multinomial(1 - alike, 1, generator=generator)[:, 0]


class Mismatched(methods.Siamese):
    """The second views come in an order of their own, and nobody notices."""

    def views(self, x, generator=None):
        a, b, other = super().views(x, generator)
        return a, b[torch.randperm(len(b), generator=generator, device=b.device)], other


def balanced(z_a: Tensor, z_b: Tensor, other: Tensor, margin: float) -> Tensor:
    """The contrastive loss of the pairs (i, i) and (i, other[i])."""
    same = torch.arange(2 * len(z_a), device=z_a.device) < len(z_a)
    return losses.contrastive(z_a.repeat(2, 1), torch.cat([z_b, z_b[other]]), same, margin)


RECIPE = recipes.get("siamese")
# Not the recipe's settings: here the different pairs are drawn at random, but for one variant.
BASE = {"augment": RECIPE.augment, "margin": 1.0, "mining": "random"}
VARIANTS: dict[str, tuple[type[methods.Siamese], dict]] = {
    "siamese": (methods.Siamese, {}),
    "mined": (methods.Siamese, {"mining": "semi-hard"}),
    "colours": (methods.Siamese, {"augment": RECIPE.augment.without(*COLOURS)}),  # both views keep them
    # three faults; a margin of 0 is the fourth, and needs no table
    "unshared": (Unshared, {}),
    "same-class": (ByClass, {}),
    "mismatched": (Mismatched, {}),
}


def build(name: str, seed: int) -> methods.Siamese:
    kind, changes = VARIANTS[name]
    with device.seeded(seed):
        return kind(nets.ConvNet(), **BASE | changes)


def config(seed: int = 0) -> train.TrainConfig:
    return train.TrainConfig(steps=STEPS, batch_size=128, seed=seed, progress=False)


# ------------------------------------------------------------------------------------------------- the same, or not?


def make_pairs(split: Split, augment: Augment, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two views of every image, in pairs: half of one image, half of two. Always the same ones."""
    generator = device.generator(seed)
    a, b = augment(split.images, generator), augment(split.images, generator)
    return pairs.pairs(a, b, generator)


@torch.inference_mode()
def distances(first: Tensor, second: Tensor, embed: Embed, embed_second: Embed | None = None) -> Tensor:
    where, embed_second = device.pick(), embed_second or embed
    parts = [
        torch.linalg.vector_norm(embed(a.to(where)) - embed_second(b.to(where)), dim=1).cpu()
        for a, b in zip(first.split(500), second.split(500))
    ]
    return torch.cat(parts)


def verify(embeds: list, splits: dict[str, Split], augment: Augment) -> dict[str, float]:
    """The threshold of val, applied to test; an embedding for each seed, or two of them."""
    found = []
    for embed in embeds:
        both = embed if isinstance(embed, tuple) else (embed,)
        (d_val, same_val), (d, same) = (
            (distances(first, second, *both), same)
            for first, second, same in (make_pairs(splits[name], augment, seed=0) for name in ("val", "test"))
        )
        threshold = pairs.verification(d_val, same_val).threshold
        found.append((pairs.verification(d, same, threshold).accuracy, pairs.roc(d, same).area))
    accuracies, areas = zip(*found)
    return {"accuracy": mean(accuracies), "area": mean(areas), "std": stdev(accuracies) if len(found) > 1 else 0.0}


# ------------------------------------------------------------------------------------------------ what is it good for?


def measure(name: str, splits: dict[str, Split]) -> dict:
    trained, results = [], []
    known = splits["train"]
    for seed in resumable.SEEDS:
        method = build(name, seed)
        results.append(
            train.fit(method, (known.images, known.labels) if name == "same-class" else known.images, config(seed))
        )
        print(f"{name} {seed}: {results[-1].summary()}", flush=True)
        trained.append(method)
    embeds = [(m.embed, m.second.embed) if isinstance(m, Unshared) else m.embed for m in trained]
    row = {
        "seconds": median(r.seconds for r in results),
        "loss": mean(r.history[-1]["loss"] for r in results),
        "verification": verify(embeds, splits, RECIPE.augment),
        "own": verify(embeds, splits, trained[0].augment),
    }
    if name == "unshared":
        row["itself"] = mean(itself(m, splits["val"]) for m in trained)
    return resumable.accuracy([m.encoder for m in trained], splits) | row


def itself(method: Unshared, val: Split) -> float:
    x, order = to_float(val.images), pairs.others(len(val), device.generator(0))
    both = (method.embed, method.second.embed)
    return (distances(x, x, *both).mean() / distances(x, x[order], *both).mean()).item()


def untrained(name: str, splits: dict[str, Split]) -> dict:
    encoders: list = resumable.random_encoders() if name == "random" else [evaluate.pixels]
    embeds: list = [e.eval() for e in encoders] if name == "random" else [lambda x: x.flatten(1)]
    return resumable.accuracy(encoders, splits) | {"verification": verify(embeds, splits, RECIPE.augment)}


def supervised(name: str, splits: dict[str, Split]) -> dict:
    net, known = nets.ConvNet().config(), splits["train"]
    trained = [evaluate.train_supervised(net, known, resumable.LABELS, draw) for draw in range(resumable.DRAWS)]
    scores = [evaluate.score(trained, splits["test"])]
    row = resumable.figures(scores) | {"right": resumable.right(scores)}
    return row | {"verification": verify([m.encoder for m in trained], splits, RECIPE.augment)}


def main() -> None:
    made_with = {
        "config": asdict(config()),
        "augment": asdict(RECIPE.augment),
        "settings": {key: value for key, value in BASE.items() if key != "augment"},
        "supervised": asdict(evaluate.SUPERVISED) | {"draws": resumable.DRAWS},
    }
    rows = {"pixels": untrained, "random": untrained, "supervised": supervised, **dict.fromkeys(VARIANTS, measure)}
    resumable.run(__doc__, FILE, made_with, rows, "verification")


if __name__ == "__main__":
    main()
