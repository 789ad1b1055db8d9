"""Measure rows of the scoreboard: a method over three pretraining seeds, its probe over ten draws of labels each.

python notebooks/experiments/scoreboard.py                       what is missing, and the controls of 01.json
python notebooks/experiments/scoreboard.py simclr --budget long  this method again
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from sslkit import checkpoint, device, evaluate, recipes, scoreboard, train
from sslkit.data import load

SEEDS, DRAWS, DATA = (0, 1, 2), 10, "photodigits"
RUNS = Path(__file__).parents[2] / "runs" / "scoreboard"
CONTROLS = {"strong": "supervised", "weak": "supervised, weak", "random": "random", "pixels": "pixels"}
VIT = {"random": "random, vit", "supervised": "supervised, vit"}  # mae and jepa have another encoder than the others


def pretrained(method: str, budget: str, seed: int, images) -> dict:
    """The checkpoint of one pretraining run, from runs/scoreboard/ if it is there and was made in the same way."""
    recipe, file = recipes.get(method), RUNS / f"{method}-{budget}-{seed}.pt"
    config = replace(getattr(recipe, budget), seed=seed, progress=False)
    if file.exists() and (content := checkpoint.load(file))["settings"] == asdict(config):
        return content
    with device.seeded(seed):
        built = recipes.build(method, recipes.encoder_for(method), DATA)
    result = train.fit(built, images, config)
    print(f"{method} {budget} seed {seed}: {result.summary()}", flush=True)
    facts = {"settings": asdict(config), "history": result.history, "seconds": result.seconds}
    return checkpoint.load(checkpoint.save(file, built, name=method, data=DATA, **facts))


def measure(method: str, budget: str, splits: dict) -> list[dict]:
    runs = [pretrained(method, budget, seed, splits["train"].images) for seed in SEEDS]
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
        settings={**runs[0]["settings"], **recipes.described(recipes.get(method))},
    )


def controls(splits: dict) -> list[dict]:
    """The controls of the sweeps of lessons 01 and 11 as rows; chance needs no measurement."""
    sweep = json.loads((scoreboard.FILE.parent / "experiments" / "01.json").read_text())
    rows = []
    for key, method in CONTROLS.items():
        for count, score in sweep[key].items():
            figures = {name: score[name] for name in ("mean", "std", "low", "high")}
            rows.append(_control(method, int(count), figures, score, splits, score["runs"] // DRAWS))
    masked = json.loads((scoreboard.FILE.parent / "experiments" / "11.json").read_text())
    for key, method in VIT.items():
        figures = {name: masked[key][name] for name in ("mean", "std", "low", "high")}
        rows.append(_control(method, 10, figures, masked[key], splits, masked[key]["runs"] // DRAWS))
    chance = {"mean": 0.1, "std": 0.0, "low": 0.1, "high": 0.1}
    return rows + [_control("chance", count, chance, {}, splits, 0) for count in evaluate.LABELS]


def _control(method: str, count: int, figures: dict, score: dict, splits: dict, seeds: int) -> dict:
    task = "from scratch" if method.startswith("supervised") else "probe"
    where = {"method": method, "data": DATA, "data_hash": splits["test"].hash, "task": task, "budget": "lesson"}
    made = {"pretrain_seeds": seeds, "label_draws": DRAWS, "pretrain_seconds": 0.0, "block": score.get("block")}
    return {**where, "labels_per_class": count, "metric": "accuracy", **figures, **made, "settings": {}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help="measure these again; without any: what is missing")
    parser.add_argument("--budget", choices=("lesson", "long"), help="only this budget")
    wanted = parser.parse_args()
    splits = {name: load(DATA, name) for name in ("train", "val", "test")}
    scoreboard.add(controls(splits))
    for method in wanted.methods or recipes.RECIPES:
        for budget in [wanted.budget] if wanted.budget else ("lesson", "long"):
            here = {"method": method, "budget": budget, "data": DATA, "data_hash": splits["test"].hash}
            if wanted.methods or not scoreboard.find(scoreboard.load(), **here):
                scoreboard.add(measure(method, budget, splits))
    print(scoreboard.render(scoreboard.load()["rows"]))


if __name__ == "__main__":
    main()
