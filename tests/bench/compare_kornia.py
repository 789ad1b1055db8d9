"""Augmentation alone, ours against kornia's, in one process and in turns: views a second, and one line of JSON.

    python tests/bench/compare_kornia.py --threads 2

Both start from the same uint8 batch and do the same operations, each sample with draws of its own: crop and resize
(area 0.4 to 1, ratio 0.8 to 1.25), rotation up to 15°, brightness, contrast, saturation and hue, and grey for a fifth.
kornia crops in two ways, and the faster one counts. Outside the image ours mirrors and kornia is black, and its colour
steps follow one another where ours are one matrix: the same kind of view, not the same pixels.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from sslkit import device as devices
from sslkit.augment import STRONG, to_float
from sslkit.data import load


def kornia_views(side: int, cropping: str) -> Callable[[Tensor], Tensor]:
    import kornia.augmentation as K

    jitter = {name: getattr(STRONG, name) for name in ("brightness", "contrast", "saturation", "hue")}
    views = K.AugmentationSequential(
        K.RandomResizedCrop((side, side), scale=STRONG.scale, ratio=STRONG.ratio, cropping_mode=cropping),
        K.RandomRotation(STRONG.rotate, p=1.0),
        K.ColorJitter(**jitter, p=1.0),
        K.RandomGrayscale(p=STRONG.grey),
        same_on_batch=False,
    )
    return lambda x: views(to_float(x))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at-least", type=float, default=0.0, help="the ratio below which to fail")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=5, help="batches a round")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)

    device = devices.pick(given.device)
    images = load("photodigits", "train").images[: given.batch_size].to(device)
    side, generator = images.shape[-1], devices.generator(0, device)
    makers = {
        "ours": lambda x: STRONG(x, generator),
        "kornia, cropping by resampling": kornia_views(side, "resample"),
        "kornia, cropping by slicing": kornia_views(side, "slice"),
    }

    def speed(make: Callable[[Tensor], Tensor]) -> float:
        """Views a second."""
        devices.synchronize(device)
        start = time.perf_counter()
        for _ in range(given.calls):
            make(images)
        devices.synchronize(device)
        return given.calls * len(images) / (time.perf_counter() - start)

    with torch.inference_mode(), devices.seeded(0):
        for make in makers.values():
            make(images)  # warm-up
        rounds = [{name: speed(make) for name, make in makers.items()} for _ in range(given.rounds)]

    result = {name: median(row[name] for row in rounds) for name in makers}
    ratio = median(row["ours"] / max(speed for name, speed in row.items() if name != "ours") for row in rounds)
    for name, views in result.items():
        print(f"{name:<34}{views:>10.0f} views/s")
    print(f"ours is {ratio:.2f} times kornia ({devices.describe(device)}, median of {given.rounds} rounds)")
    print(json.dumps({"device": devices.describe(device), "views_per_second": result, "ratio_to_kornia": ratio}))
    if ratio < given.at_least:
        print(f"the ratio is {ratio:.2f}, below {given.at_least:.2f}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
