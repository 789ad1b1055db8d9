"""Lesson 01: the controls over the number of labels, measured. Resumable: what stands in 01.json is not measured again.

    python notebooks/experiments/01.py              everything, about an hour on 2 cores
    python notebooks/experiments/01.py weak pixels  these controls only

01.json: {"strong" | "weak" | "random" | "pixels": {labels a class: {"mean", "std", "low", "high", "runs", …}},
"supervised": how "strong" was trained}
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from sslkit import device, evaluate, nets
from sslkit.augment import STRONG, WEAK
from sslkit.data import load
from sslkit.train import TrainConfig

FILE = Path(__file__).with_suffix(".json")
DRAWS = 10


def careless(count: int) -> TrainConfig:
    return TrainConfig(steps=150, batch_size=min(100, 10 * count), progress=False)


def main() -> None:
    splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
    net = nets.ConvNet().config()
    encoders = []
    for seed in (0, 1, 2):
        with device.seeded(seed):
            encoders.append(nets.build(net).to(device.pick()))

    def random(count: int) -> evaluate.Score:
        scores = [evaluate.label_efficiency(encoder, splits, [count], DRAWS)[count] for encoder in encoders]
        return evaluate.Score.pool(scores)

    measure = {
        "random": random,
        "weak": lambda n: evaluate.supervised(net, splits, [n], DRAWS, WEAK, careless(n))[n],
        "strong": lambda n: evaluate.supervised(net, splits, [n], DRAWS, STRONG)[n],
        # no augmented copies: with them the probe on pixels is worse (LOG.md)
        "pixels": lambda n: evaluate.label_efficiency(evaluate.pixels, splits, [n], DRAWS, augment=None)[n],
    }
    for name in sys.argv[1:] or measure:
        for count in evaluate.LABELS:
            if str(count) in read(splits["test"].hash, measure)[name]:
                continue
            start = time.perf_counter()
            row = {key: round(value, 4) for key, value in measure[name](count).json().items() if value is not None}
            results = read(splits["test"].hash, measure)  # again: another process may have added to it meanwhile
            results[name][str(count)] = row
            FILE.write_text(json.dumps(results, indent=1) + "\n")
            print(f"{name:<8}{count:>4} a class: {row['mean']:.3f}  {time.perf_counter() - start:.0f} s", flush=True)


def read(data_hash: str, names: Iterable[str]) -> dict:
    """What has been measured on this very data."""
    results, strong = json.loads(FILE.read_text()) if FILE.exists() else {}, asdict(evaluate.SUPERVISED)
    if results.get("data_hash") != data_hash:
        results = {"data_hash": data_hash, "draws": DRAWS, "supervised": strong}
    if results.get("supervised") != strong:
        results |= {"supervised": strong, "strong": {}}
    return {**{name: {} for name in names}, **results}


if __name__ == "__main__":
    main()
