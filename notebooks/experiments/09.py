"""Lesson 09: when has a pretext stopped, how many layers to copy, freeze or not? Resumable, see resumable.py.

    python notebooks/experiments/09.py                     everything, about 90 minutes on 2 cores
    python notebooks/experiments/09.py trace-rotation      these rows only

09.json: {"made_with": {…},
"trace-rotation" | …: a pretext at a constant rate, three seeds. By epoch, means over the seeds: "validation" (the
    pretext's loss on val), "probe" (ten labels a class on val, five draws; an entry each `EVERY` epochs); for each seed
    "plateau": the epoch at which the rule of `RULE` says that it has stopped; and test accuracy of three checkpoints,
    "before" (a quarter of the way to the plateau), "at" it and "after" it (the last), each what resumable.py says of a
    row;
"rotation-3-frozen" | …: the first 3 blocks of a pretrained encoder copied, and frozen (or fine-tuned, or gradual: see
    transfer.train); three pretraining seeds, four draws of ten labels a class each: what resumable.py says of a row;
"random-3-frozen" | …: the same with the first blocks of an encoder that was not trained;
"scratch": nothing copied; the control}
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean

import resumable
from scoreboard import pretrained

from sslkit import checkpoint, device, evaluate, nets, recipes, train, transfer
from sslkit.data import Split

FILE = Path(__file__).with_suffix(".json")
PRETEXTS = ("jigsaw", "rotation", "vicreg")
MODES, LAYERS, DRAWS = transfer.MODES, (1, 2, 3, 4), 4
EPOCHS, EVERY = 60, 4
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
    scores = []
    for seed in resumable.SEEDS if pretext else (0,):
        source = nets.ConvNet()
        if pretext == "random":
            source = resumable.random_encoders()[seed]
        elif pretext:
            source = checkpoint.encoder_of(pretrained(pretext, "lesson", seed, splits["train"].images))
        draws = DRAWS if pretext else len(resumable.SEEDS) * DRAWS
        found = transfer.label_efficiency(source, splits, [resumable.LABELS], draws, int(layers), mode)
        scores.append(found[resumable.LABELS])
    right = "".join(resumable.DIGITS[n] for n in evaluate.Score.pool(scores).correct.sum(axis=0))
    return resumable.figures(scores) | {"right": right}


def main() -> None:
    made_with = {
        "recipes": {name: asdict(recipes.get(name).lesson) for name in PRETEXTS},
        "supervised": asdict(evaluate.SUPERVISED),
        "trace": {"epochs": EPOCHS, **RULE},
    }
    rows = {"scratch": copied} | {f"random-{n}-frozen": copied for n in LAYERS}
    rows |= {f"{pretext}-{n}-{mode}": copied for pretext in PRETEXTS for n in LAYERS for mode in MODES}
    rows |= {f"trace-{pretext}": trace for pretext in PRETEXTS}
    resumable.run(__doc__, FILE, made_with, rows)


if __name__ == "__main__":
    main()
