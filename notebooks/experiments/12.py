"""Lesson 12: from a CPU to a GPU. Times and accuracies that were measured once, each with what it was measured on.

    python notebooks/experiments/12.py

Nothing is trained here: that would take a GPU. The figures are those of notebooks/LOG.md, entered by hand.

12.json: {"made_with": {"data", "knn"}, "cpu-simclr" | "gpu-vicreg" | …: {"on": the machine, "net", "settings",
    "method", "epochs", "seconds", "knn": accuracy, on test}, "cpu-untrained" | "gpu-untrained": {"on", "net", "knn",
    "split"}, "gpu-speed": {"on", "net", "what", "images_per_second"}}
"""

from __future__ import annotations

from pathlib import Path

import resumable

FILE = Path(__file__).with_suffix(".json")

CPU = {
    "on": "2 CPU cores",
    "net": "convnet",
    "settings": "batches of 128, the recipes' settings for photographs",
}
GPU = {
    "on": "one NVIDIA H100, bf16",
    "net": "resnet18",
    "settings": "batches of 512, AdamW at 2e-3, crops from a fifth of the image; VICReg 1,024 wide",
}


def trained(machine: dict, method: str, epochs: int, seconds: float, knn: float) -> dict:
    return machine | {"method": method, "epochs": epochs, "seconds": seconds, "knn": knn}


def untrained(machine: dict, knn: float, split: str) -> dict:
    return {"on": machine["on"], "net": machine["net"], "knn": knn, "split": split}


FIGURES = {
    "cpu-untrained": untrained(CPU, 0.378, "test"),
    "cpu-simclr": trained(CPU, "simclr", 10, 92.0, 0.530),
    "cpu-vicreg": trained(CPU, "vicreg", 10, 97.0, 0.526),
    "gpu-untrained": untrained(GPU, 0.365, "val"),
    "gpu-simclr": trained(GPU, "simclr", 27, 60.0, 0.658),
    "gpu-vicreg": trained(GPU, "vicreg", 40, 84.0, 0.695),
    "gpu-speed": {
        "on": GPU["on"],
        "net": GPU["net"],
        "what": "two-view images a second of SimCLR's training loop, 32 px, batches of 512",
        "images_per_second": 23278,
    },
}


def main() -> None:
    made_with = {
        "data": "CIFAR-10 as JPEG files of 32 px: 45,000 to train on, 10,000 of test",
        "knn": "nearest neighbours by cosine, k = 200; one seed, nothing tuned",
    }
    resumable.write(FILE, {"made_with": made_with} | FIGURES)


if __name__ == "__main__":
    main()
