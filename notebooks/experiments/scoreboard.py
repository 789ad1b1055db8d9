"""Measure rows of the scoreboard: a method over three pretraining seeds, its probe over ten draws of labels each.

python notebooks/experiments/scoreboard.py                                 what is missing; all of it in 1.5 to 3 hours
python notebooks/experiments/scoreboard.py --methods simclr --budget long  this row again
python notebooks/experiments/scoreboard.py --methods simclr --seeds 1      the same, and seed 1 is trained anew

What is trained is kept in runs/scoreboard/, so an interrupted run goes on where it was. The rows of clips and of text
come from the experiments of lessons 07 and 08, the controls from those of lessons 01 and 11: what stands in their files
is not measured again. "long" is for some methods only, those of LONG.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import matplotlib

from sslkit import checkpoint, device, evaluate, names, plots, recipes, scoreboard, train
from sslkit.data import load

SEEDS, DRAWS, DATA = (0, 1, 2), 10, "photodigits"
LONG = ("rotation", "simclr", "vicreg")
RUNS = Path(__file__).parents[2] / "runs" / "scoreboard"
CONTROLS = {"strong": "supervised", "weak": "supervised, weak", "random": "random", "pixels": "pixels"}
ELSEWHERE = {  # script: its rows that the scoreboard shows
    "07.py": (*recipes.VIDEO, "random", "pixels", "supervised"),
    "08.py": ("context-bag", "random: context-bag", "bag-of-words", "tf-idf", "supervised"),
}
VIT = {"random": "random, vit", "supervised": "supervised, vit"}  # mae and jepa have another encoder than the others


def pretrained(method: str, budget: str, seed: int, images, anew: bool = False) -> dict:
    """The checkpoint of one pretraining run, from runs/scoreboard/ if it is there and was made in the same way."""
    recipe, file = recipes.get(method), RUNS / f"{method}-{budget}-{seed}.pt"
    config = replace(getattr(recipe, budget), seed=seed, progress=False)
    settings = {**asdict(config), **recipes.described(recipe, budget)}
    if not anew and file.exists() and (content := checkpoint.load(file))["settings"] == settings:
        return content
    with device.seeded(seed):
        built = recipes.build(method, recipes.encoder_for(method), DATA, budget)
    result = train.fit(built, images, config)
    print(f"{method} {budget} seed {seed}: {result.summary()}", flush=True)
    facts = {"settings": settings, "history": result.history, "seconds": result.seconds}
    return checkpoint.load(checkpoint.save(file, built, name=method, data=DATA, **facts))


def measure(method: str, budget: str, splits: dict, anew: Collection[int] = ()) -> list[dict]:
    runs = [pretrained(method, budget, seed, splits["train"].images, seed in anew) for seed in SEEDS]
    scores = []
    for run in runs:
        encoder = checkpoint.encoder_of(run).to(device.pick())
        scores.append(evaluate.label_efficiency(encoder, splits, draws=DRAWS))
        print(f"{method} {budget}: 10 labels a class: {scores[-1][10].mean:.3f}", flush=True)
    pooled = {count: evaluate.Score.pool([s[count] for s in scores]) for count in scores[0]}
    return scoreboard.row(
        pooled,
        **{"method": method, "data": DATA, "data_hash": splits["test"].hash, "task": "probe", "budget": budget},
        pretrain_seeds=len(SEEDS),
        label_draws=DRAWS,
        pretrain_seconds=round(median(run["seconds"] for run in runs), 1),
        settings=runs[0]["settings"],
    )


def controls(splits: dict) -> list[dict]:
    """The controls of the sweeps of lessons 01 and 11 as rows; chance needs no measurement."""
    sweep = json.loads((scoreboard.FILE.parent / "experiments" / "01.json").read_text())
    rows = []
    for key, method in CONTROLS.items():
        for count, score in sweep[key].items():
            figures = {name: score[name] for name in ("mean", "std", "low", "high")}
            rows.append(_control(method, int(count), figures, score, splits, score["runs"]))
    file = scoreboard.FILE.parent / "experiments" / "11.json"
    masked = json.loads(file.read_text()) if file.exists() else {}
    for key, method in VIT.items():
        if key not in masked:
            continue
        figures = {name: masked[key][name] for name in ("mean", "std", "low", "high")}
        rows.append(_control(method, 10, figures, masked[key], splits, masked[key]["runs"]))
    chance = {"mean": 0.1, "std": 0.0, "low": 0.1, "high": 0.1}
    return rows + [_control("chance", count, chance, {}, splits, 0) for count in evaluate.LABELS]


def _control(method: str, count: int, figures: dict, score: dict, splits: dict, runs: int) -> dict:
    task = "from scratch" if method.startswith("supervised") else "probe"
    where = {"method": method, "data": DATA, "data_hash": splits["test"].hash, "task": task, "budget": "lesson"}
    draws = min(runs, DRAWS)  # a sweep with fewer runs than that has one seed
    made = {"pretrain_seeds": runs // max(draws, 1), "label_draws": draws}
    made |= {"pretrain_seconds": 0.0, "block": score.get("block")}
    return {**where, "labels_per_class": count, "metric": "accuracy", **figures, **made, "settings": {}}


SHOWN = {"random": "lesson", "supervised": "lesson", "rotation": "lesson", "simclr": "lesson", "vicreg": "long"}
PICTURE = scoreboard.FILE.with_suffix(".svg")


def draw(table: dict, file: Path = PICTURE) -> None:
    """The figure of the README: accuracy over labels. It carries the numbers that it was drawn from."""
    curves: dict[str, dict[int, dict]] = {}
    for row in shown(table):
        curves.setdefault(row["method"], {})[row["labels_per_class"]] = row
    with matplotlib.rc_context({"svg.hashsalt": "sslkit"}):  # the same file from the same numbers
        plots.label_efficiency(curves).savefig(file, metadata={"Date": None, "Description": numbers(table)})


def numbers(table: dict) -> str:
    return "; ".join(f"{row['method']} {row['labels_per_class']}: {row['mean']} {row['std']}" for row in shown(table))


def shown(table: dict) -> list[dict]:
    return [row for m, b in SHOWN.items() for row in scoreboard.find(table, data=DATA, method=m, budget=b)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=(), metavar="NAME", help="measure these again")
    parser.add_argument("--budget", choices=("lesson", "long"), help="only this budget")
    parser.add_argument("--seeds", nargs="+", type=int, default=(), choices=SEEDS, help="train these anew")
    wanted = parser.parse_args()
    for method in wanted.methods:
        names.pick(method, recipes.RECIPES, "method")
    if wanted.seeds and not wanted.methods:
        parser.error("--seeds says which runs are trained anew; say of which methods, with --methods")
    splits = {name: load(DATA, name) for name in ("train", "val", "test")}
    scoreboard.add(controls(splits))
    budgets = [wanted.budget] if wanted.budget else ("lesson", "long")
    rows = [(method, budget) for method in wanted.methods or recipes.RECIPES for budget in budgets]
    if not wanted.methods:
        there, here = scoreboard.load(), {"data": DATA, "data_hash": splits["test"].hash}
        rows = [(m, b) for m, b in rows if b == "lesson" or m in LONG]
        rows = [(m, b) for m, b in rows if not scoreboard.find(there, method=m, budget=b, **here)]
    start = time.monotonic()
    for done, (method, budget) in enumerate(rows):
        left = (time.monotonic() - start) / done * (len(rows) - done) / 60 if done else None
        print(
            f"row {done + 1} of {len(rows)}: {method} {budget}",
            f"about {left:.0f} min left" if left else "",
            flush=True,
        )
        scoreboard.add(measure(method, budget, splits, wanted.seeds))
    for script, shown_there in ELSEWHERE.items() if not wanted.methods else ():
        print(f"clips and text: what {script} lacks", flush=True)
        subprocess.run([sys.executable, str(Path(__file__).with_name(script)), *shown_there], check=True)
    draw(scoreboard.load())
    print(scoreboard.render(scoreboard.load()["rows"]))


if __name__ == "__main__":
    main()
