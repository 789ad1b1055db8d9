"""Peak memory of `pretrain rotation` on folders of 32-pixel JPEGs, held in memory and streamed from disk.

    python tests/bench/memory.py --images 10000 40000 [--side 32] [--folder ...] [--at-most 64]

Each run is a process of its own, with SSLKIT_FAST=1, so that it trains for 20 steps on what it has loaded; a first one
decodes, a second one finds the cache. Exit status 1 if the streamed runs' peaks differ by more than `--at-most` MB
after what the list of files needs is taken off.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image

# The peak of this very process: ru_maxrss would also know that of its parent. Elsewhere than on Linux it has to do.
PROGRAM = """
import json, re, resource, sys
from pathlib import Path

def megabytes(what="VmHWM"):
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(rf"{what}:\\s+(\\d+) kB", status.read_text())[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)

from sslkit import cli, evaluate, methods, train  # and torch with them
from sslkit.data import folder

torch_alone = megabytes("VmRSS")
if sys.argv[1] == "list":
    path = Path(sys.argv[2])
    files = folder._list_images(path)
    parts, depth = folder._parts(path, files)
    labels, _ = folder._labels(path, files, parts, depth, 1)
    folder._members(parts, labels, "train", 0)
else:
    assert cli.main(sys.argv[1:]) == 0
print(json.dumps({"start": torch_alone, "peak": megabytes(), "added": megabytes() - torch_alone}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 40_000])
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--folder", type=Path, help="where the JPEGs are made and kept; else for once")
    parser.add_argument("--at-most", type=float, default=64, help="MB by which the streamed peaks may differ")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = args.folder or Path(temporary)
        return measure(place, args.images, args.side, args.at_most)


def measure(place: Path, counts: list[int], side: int, at_most: float) -> int:
    print(f"{'images':>8} {'decoded MB':>11}   {'':<26} {'start MB':>9} {'peak MB':>9} {'added MB':>9}")
    left = []
    for count in counts:
        path = jpegs(place / f"{count}-{side}", count, side)
        listing = run("list", path)
        rows = {"list of files": listing}
        for limit, name in (("1000", "held"), ("0", "streamed")):
            env = {"SSLKIT_MEMORY_GB": limit, "SSLKIT_DATA": str(place / f"cache-{name}")}
            rows[f"{name}, decoding"] = pretrain(path, place, env)
            rows[f"{name}, from the cache"] = pretrain(path, place, env)
        for name, row in rows.items():
            sizes = "".join(f" {row[what]:>9.0f}" for what in ("start", "peak", "added"))
            print(f"{count:>8} {count * 3 * side**2 / 1e6:>11.0f}   {name:<26}{sizes}", flush=True)
        streamed = max(row["added"] for name, row in rows.items() if name.startswith("streamed"))
        left.append(streamed - listing["added"])
    spread = max(left) - min(left)
    print(f"streamed, less the list of files: {', '.join(f'{x:.0f}' for x in left)} MB; they differ by {spread:.0f}")
    return int(spread > at_most)


def pretrain(path: Path, place: Path, env: dict) -> dict:
    return run("pretrain", "rotation", "--data", f"folder:{path}", "--out", place / "x.pt", "--device", "cpu", **env)


def run(*arguments: object, **env: str) -> dict:
    env = {**os.environ, "SSLKIT_FAST": "1", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), **env}
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def jpegs(path: Path, count: int, side: int) -> Path:
    """`count` JPEGs of coloured noise in ten classes, at most 1,000 different ones: what they show costs no memory."""
    if path.is_dir():
        return path
    draw, contents = np.random.default_rng(0), []
    for _ in range(min(count, 1000)):
        cells = draw.integers(0, 256, (side // 4, side // 4, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC).save(content, "JPEG", quality=90)
        contents.append(content.getvalue())
    shuffled = random.Random(0)
    for i in range(count):
        file = path / f"class{i % 10}" / f"picture-{i:08}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(shuffled.choice(contents))
    return path


if __name__ == "__main__":
    raise SystemExit(main())
