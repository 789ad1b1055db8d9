"""Lesson 01: the controls over the number of labels, measured. Resumable: what stands in 01.json is not measured again.

    python notebooks/experiments/01.py        about 40 minutes on 2 cores

01.json: {"strong" | "weak" | "random" | "pixels": {labels a class: {"mean", "std", "low", "high", "runs", …}}}
"""

from __future__ import annotations

import json
import time
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
    results = json.loads(FILE.read_text()) if FILE.exists() else {}
    if results.get("data_hash") != splits["test"].hash:
        results = {"data_hash": splits["test"].hash, "draws": DRAWS, **{name: {} for name in measure}}
    for name, function in measure.items():
        for count in evaluate.LABELS:
            if str(count) in results[name]:
                continue
            start = time.perf_counter()
            row = results[name][str(count)] = {
                k: round(v, 4) for k, v in function(count).json().items() if v is not None
            }
            FILE.write_text(json.dumps(results, indent=1) + "\n")
            seconds = time.perf_counter() - start
            print(f"{name:<8}{count:>4} a class: {row['mean']:.3f}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
