"""One-shot recognition of characters of unseen alphabets, by an encoder trained without labels on other alphabets.

    python tests/bench/omniglot.py --root FOLDER        with FOLDER/images_background and FOLDER/images_evaluation
    python tests/bench/omniglot.py --root FOLDER --validate     choose by this: six background alphabets are held out

Omniglot (Lake, Salakhutdinov, Tenenbaum 2015): 1,623 characters, each drawn by 20 people, 105×105 pixels. Training
sees drawings only, not which character or alphabet they are of: every drawing is a class of its own. Then N-way
one-shot by the nearest neighbour (pairs.one_shot), with characters of all alphabets and of one alphabet at a time, and
recall among all drawings; beside it the pixels and an encoder that was not trained. With --json, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import device as devices
from sslkit import evaluate, methods, nets, pairs, recipes, train
from sslkit.augment import Augment, to_float
from sslkit.data import load

# What a hand changes without changing the character. Black on white has neither colour nor a negative, and a mirror
# image is another character.
HAND = Augment(scale=(0.5, 1.0), ratio=(0.7, 1.4), rotate=20)
WAYS = (5, 20)
HELD_OUT = 6  # of the 30 background alphabets, for --validate


def drawings(folder: Path, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images uint8 (N, 1, size, size), their characters (N,) and their alphabets (N,)."""
    parts = [load(f"folder:{folder}", part, size=size, channels=1, classes_at=2) for part in ("train", "val", "test")]
    names = [name.split("/")[0] for name in parts[0].classes]
    number = {name: i for i, name in enumerate(sorted(set(names)))}
    characters = torch.cat([part.labels for part in parts])
    return torch.cat([part.images for part in parts]), characters, torch.tensor([number[n] for n in names])[characters]


def measured(embed: Callable[[Tensor], Tensor], images, characters, alphabets, episodes: int) -> dict:
    z = embed(images)
    row = {}
    for where, groups in (("", None), (", one alphabet", alphabets)):
        for ways in WAYS:
            score = pairs.one_shot(lambda x: x, z, characters, ways, episodes, devices.generator(0), groups)
            row[f"{ways}-way{where}"] = {"mean": score.mean, "error": score.error}
    return row | {f"recall@{k}": {"mean": r} for k, r in pairs.recall_at(z, characters, (1, 5)).items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--method", choices=("siamese", "triplet", "simclr", "vicreg"), default="triplet")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--size", type=int, default=32, help="pixels a side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument(
        "--validate", action="store_true", help="hold out background alphabets; leave the others unread"
    )
    parser.add_argument("--at-least", type=float, default=0.0, help="20-way accuracy below which to fail")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()

    images, characters, alphabets = drawings(given.root / "images_background", given.size)
    if given.validate:
        unseen = alphabets >= len(alphabets.unique()) - HELD_OUT
        known, test = images[~unseen], (images[unseen], characters[unseen], alphabets[unseen])
    else:
        known, test = images, drawings(given.root / "images_evaluation", given.size)

    with devices.seeded(given.seed):
        encoder = nets.ConvNet(1)
        method = methods.build(given.method, encoder, augment=HAND, **recipes.get(given.method).settings)
        untrained = nets.ConvNet(1)
    config = train.TrainConfig(steps=given.steps, batch_size=given.batch_size, seed=given.seed, progress=False)
    result = train.fit(method, known, config)
    print(f"{given.method} on {len(known)} drawings without labels: {result.summary()}")

    def unit(encoder: nets.Encoder) -> Callable[[Tensor], Tensor]:
        return lambda x: F.normalize(evaluate.embed(encoder, x), dim=1)

    rows = {
        given.method: measured(unit(encoder), *test, given.episodes),
        "random encoder": measured(unit(untrained.to(devices.pick())), *test, given.episodes),
        "raw pixels": measured(lambda x: to_float(x).flatten(1), *test, given.episodes),
    }
    print(f"{len(test[0])} drawings of {len(test[1].unique())} characters, {given.episodes} episodes")
    for key in rows[given.method]:
        cells = (
            f"{name} {row[key]['mean']:.3f}" + (f" ± {row[key]['error']:.3f}" if "error" in row[key] else "")
            for name, row in rows.items()
        )
        print(f"{key:<22}" + ", ".join(cells))
    if given.json:
        facts = {"method": given.method, "steps": result.steps, "seconds": result.seconds, "validate": given.validate}
        print(json.dumps(facts | {"rows": rows, "chance": {str(w): 1 / w for w in WAYS}}))
    return int(rows[given.method]["20-way"]["mean"] < given.at_least)


if __name__ == "__main__":
    sys.exit(main())
