"""Our SimCLR loop against lightly's, in one run and in turns: prints the table and one line of JSON.

    python tests/bench/compare_lightly.py --threads 2 --at-least 5.5

Exit status 1 if the ratio to lightly, as its users run it, is below --at-least; 2 if lightly is not installed.
"""

from __future__ import annotations

import argparse
import json
import sys

import torch

from sslkit import bench


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at-least", type=float, default=0.0, help="the ratio below which to fail")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30, help="of our loop in a round")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--data", default="photodigits")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--net", help="the kind of encoder, such as resnet18; by default the recipe's")
    parser.add_argument("--compile", action="store_true", help="compile the encoder of our loop (for a GPU)")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)

    sizes = {"batch_size": given.batch_size, "steps": given.steps, "rounds": given.rounds}
    report = bench.run("simclr", given.data, **sizes, device=given.device, net=given.net, compile=given.compile)
    print(bench.render(report))
    print(json.dumps(report))
    if report["lightly"] is None:
        return 2
    if report["ratio_to_lightly"] < given.at_least:
        print(f"the ratio is {report['ratio_to_lightly']:.2f}, below {given.at_least:.2f}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
