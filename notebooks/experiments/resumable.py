"""What the lessons' experiments share: a measured row is written at once and never measured again.

    resumable.run(__doc__, FILE, made_with, {"half": measure, "frame": measure, …})

A row of the file, whatever else its experiment adds: "mean", "std", "low", "high", "runs": test accuracy over seeds and
draws of labels; "blocks": the block probed, for each seed; "right": one character a test image, how many of the runs
had it right, to the base 31; "gain": {other row: [mean, low, high] of the paired difference in accuracy, 95 % over test
images}.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sslkit import device, evaluate, nets, recipes, train
from sslkit.augment import STRONG, Augment
from sslkit.data import Split, load

SEEDS, DRAWS, LABELS = (0, 1, 2), 10, 10
DIGITS = "0123456789abcdefghijklmnopqrstu"  # 0 to 30 runs

Splits = dict[str, Split]
Gains = Callable[[dict, np.ndarray], dict]
Needs = Mapping[str, Collection[str]]


def run(
    doc: str | None,
    file: Path,
    made_with: dict,
    rows: Mapping[str, Callable[[str, Any], dict]],
    extra: str = "",
    splits: Mapping[str, Any] | None = None,
    gains: Gains | None = None,
    needs: Needs | None = None,
) -> None:
    """Measure the rows that the command line names, or those that the file lacks, and write each when it is there.

    On `splits`, by default photodigits; `gains` adds the differences between rows, by default `with_gains`; for `needs`
    see `read`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(rows)}; without any, what is missing")
    parser.add_argument("--file", type=Path, default=file, help="where the results stand")
    wanted = parser.parse_args()
    if unknown := set(wanted.names) - set(rows):
        parser.error(f"there is no {', '.join(sorted(unknown))} here; there are {', '.join(rows)}")
    splits = splits or {name: load("photodigits", name) for name in ("train", "val", "test")}
    made_with = json.loads(json.dumps({"data_hash": splits["test"].hash} | made_with))  # as it will be read back
    for name in wanted.names or rows:
        if name in read(wanted.file, made_with, needs):
            continue
        row = rows[name](name, splits)
        results = read(wanted.file, made_with, needs) | {name: row}  # again: another process may have added to it
        write(wanted.file, (gains or with_gains)(results, splits["test"].sources.numpy()))
        print(f"{name:<28}{row['mean']:.3f} ± {row['std']:.3f} {extra and row.get(extra, '')}", flush=True)


def of_recipe(recipe: recipes.Recipe, config: train.TrainConfig | None = None) -> dict:
    """What a run with the recipe is made with, at a lesson's length unless `config` says otherwise, as json writes it.

    Only what such a run depends on: a change of the recipe's long form leaves what was measured as it is.
    """
    config = config or recipe.lesson
    return {"config": asdict(config), "augment": asdict(recipe.augment), "settings": recipes.described(recipe)}


def read(file: Path, made_with: dict, needs: Needs | None = None) -> dict:
    """What has been measured on this very data, with these very recipes.

    `needs` says of a row which parts of `made_with` it depends on, beside the data: a change of the others leaves it.
    A row that is not in it depends on all; but on "supervised", how the control is trained, only the row of that name.
    """
    results = json.loads(file.read_text()) if file.exists() else {}
    before = results.pop("made_with", {})
    changed = {key for key in before.keys() | made_with.keys() if before.get(key) != made_with.get(key)}

    def stale(name: str) -> bool:
        parts = (needs or {}).get(name, changed if name == "supervised" else changed - {"supervised"})
        return not changed.isdisjoint({"data_hash", *parts})

    return {"made_with": made_with} | {name: row for name, row in results.items() if not stale(name)}


def write(file: Path, results: dict) -> None:
    temporary = file.with_suffix(".part")
    temporary.write_text(
        json.dumps({k: v if k == "made_with" else rounded(v) for k, v in results.items()}, indent=1) + "\n"
    )
    temporary.replace(file)


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


def accuracy(encoders, splits: Splits, augment: Augment | None = STRONG, copies: int = evaluate.COPIES) -> dict:
    """Ten labels a class: a probe on each encoder, which need not be a network, over ten draws of labels."""
    scores = [
        evaluate.label_efficiency(encoder, splits, [LABELS], DRAWS, augment, copies)[LABELS] for encoder in encoders
    ]
    return figures(scores) | {"blocks": [score.block for score in scores], "right": right(scores)}


def from_scratch(
    net: dict, splits: Splits, augment: Augment = STRONG, config: train.TrainConfig = evaluate.SUPERVISED
) -> dict:
    """The control on ten labels a class, over ten draws of labels; `net` is what `nets.build` takes."""
    scores = [evaluate.supervised(net, splits, [LABELS], DRAWS, augment, config)[LABELS]]
    return figures(scores) | {"right": right(scores)}


def right(scores: list[evaluate.Score]) -> str:
    return "".join(DIGITS[n] for n in evaluate.Score.pool(scores).correct.sum(axis=0))


def figures(scores: list[evaluate.Score]) -> dict:
    row = evaluate.Score.pool(scores).json()
    return {key: row[key] for key in ("mean", "std", "low", "high", "runs")}


def random_encoders(channels: int = 3) -> list[nets.Encoder]:
    encoders = []
    for seed in SEEDS:
        with device.seeded(seed):
            encoders.append(nets.ConvNet(channels).to(device.pick()))
    return encoders


def with_gains(results: dict, sources: np.ndarray) -> dict:
    rows = {name: row for name, row in results.items() if "right" in row}
    for one, row in rows.items():
        row["gain"] = {name: gain(row, other, sources) for name, other in rows.items() if name != one}
    return results


def gain(row: dict, other: dict, sources: np.ndarray) -> list[float]:
    """[mean, low, high] of the paired difference in accuracy. Where the interval excludes 0, one of these trainings is
    better on other test images, too; that another training would be says only a difference beyond that of seeds."""
    a, b = (evaluate.Score(np.array([[int(c, 31) for c in r["right"]]]) / r["runs"], sources) for r in (row, other))
    return [a.mean - b.mean, *a.interval(b)]
