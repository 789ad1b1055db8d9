"""Lesson 09: when has a pretext stopped, how many layers to copy, freeze or not? Resumable, see resumable.py.

    python notebooks/experiments/09.py                     everything, about two hours on 2 cores
    python notebooks/experiments/09.py trace-rotation      these rows only

09.json: {"made_with": {…},
"trace-rotation" | …: a pretext at a constant rate, three seeds. By epoch, means over the seeds: "validation" (the
    pretext's loss on val), "probe" (ten labels a class on val, five draws; an entry each `EVERY` epochs); for each seed
    "plateau": the epoch at which the rule of `RULE` says that it has stopped; and test accuracy of three checkpoints,
    "before" (a quarter of the way to the plateau), "at" it and "after" it (the last), each what resumable.py says of a
    row;
"rotation-3-frozen" | …: the first 3 blocks of a pretrained encoder copied, and frozen (or fine-tuned, or gradual: see
    transfer.train); three pretraining seeds, two draws of ten labels a class for each, not the same: what resumable.py
    says of a row;
"random-3-frozen" | …: the same with the first blocks of an encoder that was not trained;
"scratch": nothing copied, the same six draws; the control;
"fashion-scratch-fine-tuned", "fashion-vicreg-frozen" | …: the same on Fashion-MNIST, all blocks copied; its files are
    downloaded once}
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean

import numpy as np
import resumable
import torch
from scoreboard import pretrained
from torch import Tensor, nn

from sslkit import checkpoint, device, evaluate, nets, recipes, train, transfer
from sslkit.augment import STRONG, Augment
from sslkit.data import Split, load

FILE = Path(__file__).with_suffix(".json")
PRETEXTS = ("jigsaw", "rotation", "vicreg")
MODES, LAYERS, DRAWS = transfer.MODES, (1, 2, 3, 4), 2
EPOCHS, EVERY = 32, 4
CLOTHES = ("scratch-fine-tuned", "random-frozen", "rotation-frozen", "vicreg-frozen", "vicreg-fine-tuned")
RULE = {"patience": 5, "min_gain": 0.01}  # stopped: for five epochs no loss on val that is lower by a hundredth


# ----------------------------------------------------------------------------------------------- when has it stopped?


def trace(name: str, splits: dict[str, Split]) -> dict:
    pretext = name.removeprefix("trace-")
    recipe, runs = recipes.get(pretext), []
    images, held_out = splits["train"].images, splits["val"].images
    for seed in resumable.SEEDS:
        with device.seeded(seed):
            method = recipes.build(pretext, nets.ConvNet())
        watch = Watch(splits)
        config = replace(recipe.lesson, steps=0, epochs=EPOCHS, schedule="constant", seed=seed, progress=False)
        result = train.fit(method, images, config, validation=held_out, callbacks=[watch])
        runs.append((watch, [record["validation_loss"] for record in result.history]))
        print(f"{name} {seed}: {result.summary()}; plateau at {plateau(runs[-1][1])}", flush=True)
    row = {
        "validation": [mean(at) for at in zip(*(losses for _, losses in runs))],
        "probe": [mean(at) for at in zip(*(watch.probes for watch, _ in runs))],
        "plateau": [plateau(losses) for _, losses in runs],
    }
    for stage in ("before", "at", "after"):
        encoders = [watch.encoder(moment(stage, losses)) for watch, losses in runs]
        row[stage] = resumable.accuracy(encoders, splits)
    return {**row["after"], **row}


class Watch:
    """Keeps the encoder of every epoch, and probes it on val every few."""

    def __init__(self, splits: dict[str, Split]):
        self.splits = splits | {"test": splits["val"]}  # the test split is not for looking along the way
        self.states: list[dict] = []
        self.probes: list[float] = []

    def __call__(self, method, record: dict) -> None:
        self.states.append({k: v.cpu().clone() for k, v in method.encoder.state_dict().items()})
        if record["epoch"] % EVERY == 0 or record["epoch"] == 1:
            score = evaluate.label_efficiency(method.encoder, self.splits, [resumable.LABELS], 5)
            self.probes.append(score[resumable.LABELS].mean)

    def encoder(self, epoch: int) -> nets.Encoder:
        encoder = nets.ConvNet()
        encoder.load_state_dict(self.states[epoch - 1])
        return encoder.to(device.pick())


def plateau(losses: list[float]) -> int:
    """The epoch, from 1, at which the rule says that the loss has stopped; the last if it never does."""
    rule = train.Plateau(**RULE)
    return next((epoch for epoch, loss in enumerate(losses, 1) if rule.step(loss)), len(losses))


def moment(stage: str, losses: list[float]) -> int:
    at = plateau(losses)
    return {"before": max(1, at // 4), "at": at, "after": len(losses)}[stage]


# ------------------------------------------------------------------------------------- how many layers, freeze or not?


def copied(name: str, splits: dict[str, Split]) -> dict:
    pretext, layers, mode = name.split("-", 2) if name != "scratch" else ("", "0", "fine-tuned")
    return trained(pretext, int(layers), mode, splits["train"].images, splits, STRONG)


def elsewhere(name: str, splits: dict[str, Split]) -> dict:
    """Learned on digits, used on clothes: in colour and 32×32, as the encoder knows pictures."""
    _, pretext, mode = name.split("-", 2)
    clothes = {}
    for part in ("train", "test"):
        split = load("fashion-mnist", part)
        images = nn.functional.pad(split.images, (2, 2, 2, 2)).expand(-1, 3, -1, -1)
        clothes[part] = replace(split, images=images)
    clothes["test"] = clothes["test"].subset(torch.arange(2000))
    augment = recipes.augment_for(recipes.get("vicreg"), "fashion-mnist")
    layers, pretext = (0, "") if pretext == "scratch" else (len(nets.ConvNet().blocks), pretext)
    return trained(pretext, layers, mode, splits["train"].images, clothes, augment)


def trained(pretext: str, layers: int, mode: str, images: Tensor, splits: dict[str, Split], augment: Augment) -> dict:
    """So many layers of what `pretext` learned from `images`, and then ten labels a class of `splits`."""
    known, scores = splits["train"], []
    for seed in resumable.SEEDS:
        source = nets.ConvNet()
        if pretext == "random":
            source = resumable.random_encoders()[seed]
        elif pretext:
            source = checkpoint.encoder_of(pretrained(pretext, "lesson", seed, images))
        own = range(seed * DRAWS, (seed + 1) * DRAWS)  # so that every row, the control too, has the same six
        fits = (transfer.train(source, known, resumable.LABELS, draw, layers, mode, augment) for draw in own)
        scores.append(evaluate.score(fits, splits["test"]))
    return resumable.figures(scores) | {"right": resumable.right(scores)}


def with_gains(results: dict, sources: np.ndarray) -> dict:
    """What each row gains over copying nothing, and over as many layers of an encoder that was not trained."""
    rows = {name: row for name, row in results.items() if "right" in row}
    for name, row in rows.items():
        away, parts = name.startswith("fashion"), name.split("-", 2)
        controls = {"fashion-scratch-fine-tuned", "fashion-random-frozen"} if away else {"scratch"}
        if not away and len(parts) == 3:
            controls.add(f"random-{parts[1]}-frozen")
        over = np.arange(len(row["right"])) if away else sources
        row["gain"] = {one: resumable.gain(row, rows[one], over) for one in sorted(controls & rows.keys() - {name})}
    return results


def main() -> None:
    made_with = {
        "recipes": {name: asdict(recipes.get(name).lesson) for name in PRETEXTS},
        "supervised": asdict(evaluate.SUPERVISED),
        "draws": DRAWS,
        "trace": {"epochs": EPOCHS, **RULE},
    }
    rows = {"scratch": copied} | {f"random-{n}-frozen": copied for n in LAYERS}
    rows |= {f"{pretext}-{n}-{mode}": copied for pretext in PRETEXTS for n in LAYERS for mode in MODES}
    rows |= {f"trace-{pretext}": trace for pretext in PRETEXTS}
    rows |= {f"fashion-{source}": elsewhere for source in CLOTHES}
    fits = ("recipes", "supervised", "draws")
    needs = {name: ("recipes", "trace") if measure is trace else fits for name, measure in rows.items()}
    resumable.run(__doc__, FILE, made_with, rows, gains=with_gains, needs=needs)


if __name__ == "__main__":
    main()
