"""Lesson 07: the future, the past, order, the arrow of time. Resumable: what stands in 07.json is not measured again.

    python notebooks/experiments/07.py                 everything, about half an hour on 2 cores
    python notebooks/experiments/07.py future arrow    these rows only

Each method is trained three times with its recipe on the clips of movingdigits. Its frozen encoder sees the first four
frames of a clip; a probe reads the digit, the direction and the speed from ten labelled clips of each class, over ten
draws of them.

07.json: {"made_with": {…},
    "copy-last" | "linear" | "mean": {"forwards" | "backwards": {"4" | "6": squared errors on test, 1, 2, … frames
        ahead, over all beginnings that leave room for 4, or for 6}},
    "future" | "past" | …: {
        "seconds": of pretraining, the median over the seeds; "loss": in the last epoch,
        "errors": the same for each seed (above four ahead from the network's own predictions); "other_way": and on
            clips that run the other way,
        "sharpness": of the predictions by frames ahead, as a share of the true frames',
        "accuracy": on test, for each seed: right or shuffled, forwards or backwards,
        "digit" | "direction" | "speed": what resumable.py says of a row's accuracy, with its "gain" over the others},
    "arrow-elastic" | "arrow-lossy": {"accuracy": on clips whose bounces take no speed, or a fifth of it}}
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median

import numpy as np
import resumable
import torch
from torch import Tensor, nn

from sslkit import device, evaluate, methods, nets, recipes, scoreboard, sequence, train
from sslkit.augment import COLOURS, Augment, to_float
from sslkit.data import Split, load, moving

FILE = Path(__file__).with_suffix(".json")
AHEAD = 6  # frames: what is left of a clip of ten after the four that are seen
LABELS = ("digit", "direction", "speed")
COPIES = 3  # of each labelled clip, in other colours, that a probe is fitted on beside the clip itself
BOUNCES = {"arrow-elastic": 1.0, "arrow-lossy": 0.8}

Splits = dict[str, Split]


# -------------------------------------------------------------------------------------------------------- prediction


def control(name: str, splits: Splits) -> dict:
    predict, clips = getattr(sequence, name.replace("-", "_")), splits["test"].images
    both = {"forwards": clips, "backwards": sequence.backwards(clips)}
    return {way: {str(a): by_ahead(predict, x, a) for a in (4, AHEAD)} for way, x in both.items()}


def by_ahead(predict: sequence.Predict, clips: Tensor, ahead: int) -> list[float]:
    """Squared errors 1 … ahead, of all beginnings that leave room for so many."""
    return sequence.error_by_ahead(predict, clips, recipes.FRAMES, ahead).tolist()


@torch.inference_mode()
def errors(method: methods.Future, clips: Tensor, ahead: int) -> list[float]:
    return by_ahead(lambda seen, a: method.roll_out(seen, a)[:, -1], clips, ahead)


@torch.inference_mode()
def sharpness(method: methods.Future, clips: Tensor) -> list[float]:
    """How much neighbouring pixels differ (the mean square), as a share of the true frame's, by frames ahead."""
    clips = to_float(sequence.backwards(clips) if method.backwards else clips)
    seen, target = sequence.futures(clips, method.frames, AHEAD, start=0)
    return (steps(method.roll_out(seen, AHEAD)) / steps(target)).tolist()


def steps(frames: Tensor) -> Tensor:
    """The mean square of the difference of neighbouring pixels, by frame: (N, T, C, H, W) -> (T,)."""
    across, down = frames.diff(dim=4).square(), frames.diff(dim=3).square()
    return across.mean(dim=(0, 2, 3, 4)) + down.mean(dim=(0, 2, 3, 4))


@torch.inference_mode()
def accuracy(method: nn.Module, clips: Tensor) -> float:
    """The share of right answers, on clips without augmentation; always the same draws, five of every clip."""
    usual, method.augment = method.augment, Augment()
    generator, right = device.generator(0), []
    for part in clips.repeat(5, 1, 1, 1, 1).split(400):
        inputs, target = method.views(part, generator)
        right.append(method.predict(inputs).argmax(dim=1) == target)
    method.augment = usual
    return torch.cat(right).float().mean().item()


# ------------------------------------------------------------------------------------------------------------ methods


def trained(name: str, seed: int, clips: Tensor, **changes) -> tuple[nn.Module, train.Result]:
    with device.seeded(seed):
        method = recipes.build(name, nets.ConvNet(recipes.FRAMES * clips.shape[2]), "movingdigits")
    config = replace(recipes.get(name).lesson, seed=seed, progress=False, **changes)
    return method, train.fit(method, clips, config)


def measure(name: str, splits: Splits) -> dict:
    taught, results = [], []
    for seed in resumable.SEEDS:
        method, result = trained(name, seed, splits["train"].images)
        print(f"{name} {seed}: {result.summary()}", flush=True)
        taught.append(method)
        results.append(result)
    row = {"seconds": median(r.seconds for r in results), "loss": mean(r.history[-1]["loss"] for r in results)}
    test = splits["test"].images
    if name in ("future", "past"):
        way, other = (sequence.backwards(test), test) if taught[0].backwards else (test, sequence.backwards(test))
        row["errors"] = {str(a): [errors(m, way, a) for m in taught] for a in (4, AHEAD)}
        row["other_way"] = [errors(m, other, 4) for m in taught]
        row["sharpness"] = torch.tensor([sharpness(m, test) for m in taught]).mean(dim=0).tolist()
    elif name in ("order", "arrow"):
        row["accuracy"] = [accuracy(m, test) for m in taught]
    return row | probes([m.encoder for m in taught], splits)


def arrow_on(name: str, splits: Splits) -> dict:
    """The arrow of time on digits over plain grey, whose bounces take none of their speed, or a fifth of it."""
    digits = load("photodigits", "train"), load("photodigits", "test")
    shown = [_thrown(split.images, BOUNCES[name], seed) for seed, split in enumerate(digits)]
    found = []
    for seed in resumable.SEEDS:
        method, result = trained("arrow", seed, shown[0], steps=300)
        print(f"{name} {seed}: {result.summary()}", flush=True)
        found.append(accuracy(method, shown[1]))
    return {"accuracy": found}


def _thrown(images: Tensor, keep: float, seed: int) -> Tensor:
    """Small pictures that fly in a box of 32×32: clips (N, 10, 3, 32, 32).

    Without gravity: then starts and ends are alike if nothing is lost. They start anywhere, whatever their speed; under
    gravity they would be faster below, after a while.
    """
    small = nn.functional.interpolate(to_float(images[:4000]), size=(12, 12), antialias=True, mode="bilinear")
    return moving.clips((small * 255).byte(), 10, 32, speed=(2, 5), keep=keep, generator=device.generator(seed))[0]


# ------------------------------------------------------------------------------------------------------------- probes


def seen(splits: Splits, label: str) -> Splits:
    """The first four frames of every clip, with one of its labels: what every encoder is given."""
    first = {name: replace(split, images=split.images[:, : recipes.FRAMES]) for name, split in splits.items()}
    return first if label == "digit" else {name: split.labelled_by(label) for name, split in first.items()}


def probes(encoders, splits: Splits, augment: Augment | None = COLOURS) -> dict:
    row = {}
    for label in LABELS:
        row[label] = resumable.accuracy(encoders, seen(splits, label), augment, COPIES)
        print(f"  {label} {row[label]['mean']:.3f} ± {row[label]['std']:.3f} {row[label]['blocks']}", flush=True)
    return row


def untrained(name: str, splits: Splits) -> dict:
    return probes(resumable.random_encoders(3 * recipes.FRAMES), splits)


def pixels(name: str, splits: Splits) -> dict:
    return probes([evaluate.pixels], splits, augment=None)


def supervised(name: str, splits: Splits) -> dict:
    """From scratch on the same labels, with the same changes of colour."""
    net = nets.ConvNet(3 * recipes.FRAMES).config()
    return {label: resumable.from_scratch(net, seen(splits, label), COLOURS) for label in LABELS}


def with_gains(results: dict, sources: np.ndarray) -> dict:
    for label in LABELS:
        rows = {name: row[label] for name, row in results.items() if label in row}
        for name, row in rows.items():
            row["gain"] = {one: resumable.gain(row, other, sources) for one, other in rows.items() if one != name}
    return results


# -------------------------------------------------------------------------------------------------------- scoreboard

CONTROLS = ("random", "pixels", "supervised")
CLASSES = {"digit": 10, "direction": 4, "speed": 3}


def rows(results: dict) -> list[dict]:
    """Rows for the scoreboard: every method and control on each label, which is a data set of its own there."""
    made = []
    for label in LABELS:
        where = {"data": f"movingdigits: {label}", "data_hash": results["made_with"]["data_hash"], "budget": "lesson"}
        where |= {"labels_per_class": resumable.LABELS, "metric": "accuracy"}
        for method in (*recipes.VIDEO, *CONTROLS):
            score = results[method][label]
            recipe = results["made_with"].get(method, {"config": {}, "settings": {}})
            draws = min(score["runs"], resumable.DRAWS)
            made.append(
                {
                    **{"method": method, "task": "from scratch" if method == "supervised" else "probe", **where},
                    **{key: score[key] for key in ("mean", "std", "low", "high")},
                    **{"pretrain_seeds": score["runs"] // draws, "label_draws": draws},
                    **{"pretrain_seconds": round(results[method].get("seconds", 0.0), 1)},
                    **{"block": score.get("blocks", [None])[0], "settings": recipe["config"] | recipe["settings"]},
                }
            )
        chance = dict.fromkeys(("mean", "low", "high"), round(1 / CLASSES[label], 4)) | {"std": 0.0}
        none = {"pretrain_seeds": 0, "label_draws": 0, "pretrain_seconds": 0.0, "block": None, "settings": {}}
        made.append({"method": "chance", "task": "probe", **where, **chance, **none})
    return made


ROWS = {
    **dict.fromkeys(("copy-last", "linear", "mean"), control),
    "random": untrained,
    "pixels": pixels,
    **dict.fromkeys(("future", "arrow", "past", "order", "future-embedding"), measure),
    **dict.fromkeys(BOUNCES, arrow_on),
    "supervised": supervised,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)}; without any, what is missing")
    parser.add_argument("--file", type=Path, default=FILE, help="where the results stand")
    wanted = parser.parse_args()
    if unknown := set(wanted.names) - set(ROWS):
        parser.error(f"there is no {', '.join(sorted(unknown))} here; there are {', '.join(ROWS)}")
    splits = {name: load("movingdigits", name) for name in ("train", "val", "test")}
    made_with = {name: resumable.of_recipe(recipe) for name, recipe in recipes.VIDEO.items()}
    made_with["supervised"] = {"config": asdict(evaluate.SUPERVISED), "settings": {}, "draws": resumable.DRAWS}
    made_with["data_hash"] = splits["test"].hash
    made_with = json.loads(json.dumps(made_with))  # as it will be read back
    for name in wanted.names or ROWS:
        if name in resumable.read(wanted.file, made_with):
            continue
        row = ROWS[name](name, splits)
        results = resumable.read(wanted.file, made_with) | {name: row}  # again: another process may have added to it
        resumable.write(wanted.file, with_gains(results, splits["test"].sources.numpy()))
        print(f"{name}: done", flush=True)
    results = resumable.read(wanted.file, made_with)
    if wanted.file == FILE and {*recipes.VIDEO, *CONTROLS} <= results.keys():
        scoreboard.add(rows(results))


if __name__ == "__main__":
    main()
