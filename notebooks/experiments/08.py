"""What lesson 08 quotes about docwords: counting, perplexity as k grows, and which library a passage comes from.

python notebooks/experiments/08.py                what is missing; notebooks/experiments/08.json
python notebooks/experiments/08.py k-8 context    these

Rows of perplexity: "mean" and "std" are nats on val over the seeds, "test" the mean on test; "below": how much less
than counting; "seconds" of training, median over the seeds, with "threads"; "parameters". Rows of transfer:
"by_labels" has, for each number of labels a class, what resumable.py says of a row.
"""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median, pstdev

import numpy as np
import resumable
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import device, evaluate, methods, ngrams, passages, recipes, scoreboard, train, words
from sslkit.data import Passages, draw_labels, load_text

FILE = Path(__file__).with_suffix(".json")
LABELS, DRAWS = (5, 10, 30), 10
V = recipes.for_text().vocabulary
SWEEP = train.TrainConfig(steps=1500, batch_size=128, progress=False)  # the same for every k
# The best of those tried on val, see LOG.md.
SUPERVISED = train.TrainConfig(steps=1000, batch_size=64, lr=1e-3, weight_decay=0.1, progress=False)
CONTEXTS = (1, 2, 4, 8, 16)
TAUGHT = ("context", "context-bag", "causal-transformer")  # with their recipes

Splits = dict[str, Passages]


@functools.cache
def vocabulary() -> words.Vocabulary:
    return words.Vocabulary.of(load_text("docwords", "train").texts, V)


@functools.cache
def share() -> Tensor:
    """How often each word stands in the train split, (V,)."""
    last = words.windows(load_text("docwords", "train").texts, vocabulary(), 1)[:, -1]
    return torch.bincount(last, minlength=V) / len(last)


# ------------------------------------------------------------------------------------------------------- perplexity


def counts(name: str, splits: Splits) -> dict:
    """n-grams, each with the smoothing that is best on val, read on test; and the share of unknown words."""
    cut = {split: words.windows(part.texts, vocabulary(), 3) for split, part in splits.items()}
    found = ngrams.smoothed(cut["train"], cut["val"], V, orders=(1, 2, 3, 4))
    row: dict = {"unknown": (cut["val"][:, -1] == words.UNKNOWN).double().mean().item()}
    for order, (model, nats) in found.items():
        row[order] = {"val": nats, "test": ngrams.cross_entropy(model, cut["test"]), "model": str(model)}
    return row | {"mean": row["bigram"]["val"], "std": 0.0}


@functools.cache
def taught(net: str, seed: int, config: train.TrainConfig, **sizes) -> tuple[methods.OnWords, train.Result]:
    with device.seeded(seed):
        method = recipes.build_on_words(vocabulary(), net, **sizes)
    batches = recipes.batches_of(method, load_text("docwords", "train").texts, vocabulary())
    result = train.fit(method, batches, replace(config, seed=seed, progress=False))
    print(f"{net} {sizes or ''} {seed}: {result.steps} steps, {result.seconds:.0f} s", flush=True)
    return method, result


def surprise(runs: list[tuple[methods.OnWords, train.Result]], splits: Splits) -> dict:
    val, test = ([passages.surprise(m, splits[s].texts, vocabulary()) for m, _ in runs] for s in ("val", "test"))
    return {
        **{"mean": mean(val), "std": pstdev(val), "test": mean(test)},
        "val": val,
        "parameters": sum(p.numel() for p in runs[0][0].parameters()),
        "seconds": median(result.seconds for _, result in runs),
        "threads": torch.get_num_threads(),
    }


def mixed(runs: list[tuple[methods.OnWords, train.Result]], splits: Splits) -> dict:
    """Half the network's probabilities, half the best trigram's: Bengio et al. 2003, Sec. 4.1."""
    cut = {s: words.windows(part.texts, vocabulary(), runs[0][0].encoder.k) for s, part in splits.items()}
    trigram, _ = ngrams.smoothed(cut["train"], cut["val"], V, orders=(3,))["trigram"]
    row = {}
    for split in ("val", "test"):
        counts = trigram.log_prob(cut[split])
        both = [torch.logaddexp(passages.log_prob(method, cut[split]), counts) - LN_2 for method, _ in runs]
        row[split] = [-p.mean().item() for p in both]
    return {"mixed": {"mean": mean(row["val"]), "std": pstdev(row["val"]), "test": mean(row["test"])}}


LN_2 = math.log(2)


def by_k(name: str, splits: Splits) -> dict:
    k = int(name.removeprefix("k-"))
    return surprise([taught("context", seed, SWEEP, k=k) for seed in resumable.SEEDS], splits)


# --------------------------------------------------------------------------------------------------------- transfer


def vectors_of(method: methods.OnWords, splits: Splits) -> dict[str, passages.Features]:
    """Kinds of features of one network: means of its words' vectors, and of its states where it has one a place."""
    e = method.encoder.embed.weight.detach().cpu()
    kinds = {}
    for a in (1e-4, 1e-3, 1e9):
        found = {s: passages.average(part.texts, vocabulary(), e, share(), a) for s, part in splits.items()}
        kinds[f"mean of the words' vectors, a = {a:g}"] = found
    kinds["… without the first direction"] = passages.without_common(kinds["mean of the words' vectors, a = 0.001"])
    if isinstance(method, methods.NextWords):
        states = {s: passages.states(method.encoder, part.texts, vocabulary()) for s, part in splits.items()}
        for block in range(1, len(states["val"])):
            kinds[f"mean of the states, block {block}"] = {s: found[block] for s, found in states.items()}
    return kinds


def transferred(kinds: list[dict[str, passages.Features]], splits: Splits) -> dict:
    scores = [passages.few_labels(k, splits, LABELS, DRAWS) for k in kinds]
    by_labels = {}
    for count in LABELS:
        pooled = evaluate.Score.pool([score[count] for score in scores])
        right = "".join(resumable.DIGITS[n] for n in pooled.correct.sum(axis=0))
        by_labels[str(count)] = resumable.figures([score[count] for score in scores]) | {
            "kinds": [list(kinds[0])[score[count].block] for score in scores],
            "right": right,
        }
    return {"by_labels": by_labels}


def network(name: str, splits: Splits) -> dict:
    recipe = recipes.for_text(name).lesson
    runs = [taught(name, seed, recipe) for seed in resumable.SEEDS]
    row = surprise(runs, splits) | (mixed(runs, splits) if name == "context" else {})
    return row | transferred([vectors_of(method, splits) for method, _ in runs], splits)


def both(name: str, splits: Splits) -> dict:
    """TF-IDF and the mean of the bag's vectors, side by side."""
    bags = {s: passages.bag_of_words(part.texts, vocabulary()) for s, part in splits.items()}
    weighted = {s: passages.tf_idf(bag, bags["train"]) for s, bag in bags.items()}
    kinds = []
    for seed in resumable.SEEDS:
        method, _ = taught("context-bag", seed, recipes.for_text("context-bag").lesson)
        vectors = vectors_of(method, splits)["mean of the words' vectors, a = 0.001"]
        kinds.append({"both": passages.joined(weighted, vectors)})
    row = transferred(kinds, splits)
    return row | {key: row["by_labels"]["10"][key] for key in ("mean", "std")}


def random(name: str, splits: Splits) -> dict:
    """The network of "random: context-bag", untrained."""
    built = []
    for seed in resumable.SEEDS:
        with device.seeded(seed):
            built.append(recipes.build_on_words(vocabulary(), name.removeprefix("random: ")))
    row = transferred([vectors_of(method, splits) for method in built], splits)
    return row | {key: row["by_labels"]["10"][key] for key in ("mean", "std")}


def counted(name: str, splits: Splits) -> dict:
    """Features that are counts: bag of words, TF-IDF, and what is left of TF-IDF after an SVD of the train split."""
    every = words.Vocabulary.of(splits["train"].texts, 10**6)
    bags = {s: passages.bag_of_words(part.texts, vocabulary()) for s, part in splits.items()}
    weighted = {s: passages.tf_idf(bag, bags["train"]) for s, bag in bags.items()}
    if name == "bag-of-words":
        kinds = {"counts": bags, "ln (1 + counts)": {s: bag.log1p() for s, bag in bags.items()}}
    elif name == "tf-idf":
        all_bags = {s: passages.bag_of_words(part.texts, every) for s, part in splits.items()}
        kinds = {
            "sublinear": weighted,
            "plain": {s: passages.tf_idf(bag, bags["train"], sublinear=False) for s, bag in bags.items()},
            "sublinear, every word": {s: passages.tf_idf(bag, all_bags["train"]) for s, bag in all_bags.items()},
        }
    else:
        unit = {s: torch.nn.functional.normalize(x, dim=1) for s, x in weighted.items()}
        with device.seeded(0):
            v = torch.svd_lowrank(unit["train"], max(SVD), niter=4)[2]
        kinds = {f"{d} directions": {s: x @ v[:, :d] for s, x in unit.items()} for d in SVD}
    row = transferred([kinds], splits)
    return row | {key: row["by_labels"]["10"][key] for key in ("mean", "std")}


SVD = (32, 64, 128)


class Words(nn.Module):
    """Bags of words (N, V) -> the weighted mean of their vectors (N, dim), which start small."""

    dim = 128

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(V, self.dim, bias=False)
        nn.init.normal_(self.embed.weight, std=0.1 / self.dim**0.5)

    def forward(self, bags: Tensor) -> Tensor:
        return self.embed(4 * F.normalize(bags, dim=1))


def four_of_five_hidden(bags: Tensor, generator: torch.Generator | None = None) -> Tensor:
    return bags * (torch.rand(bags.shape, generator=generator, device=bags.device) > 0.8)


def supervised(name: str, splits: Splits) -> dict:
    """From scratch on the labels: words' vectors and a linear classifier, with the words weighed as by TF-IDF, whose
    counts are of all train texts, as the vocabulary is."""
    bags = {s: passages.bag_of_words(part.texts, vocabulary()) for s, part in splits.items()}
    known, test = splits["train"], splits["test"]
    x, unseen = (passages.tf_idf(bags[s], bags["train"]) for s in ("train", "test"))
    row = {}
    for count in LABELS:
        right = []
        for seed in range(DRAWS):
            index = draw_labels(known, count, seed)
            with device.seeded(seed):
                method = methods.Supervised(Words(), len(known.classes), four_of_five_hidden)
            config = replace(SUPERVISED, batch_size=min(SUPERVISED.batch_size, len(index)), seed=seed)
            train.fit(method, (x[index], known.labels[index]), config, device="cpu")
            with torch.inference_mode():
                right.append((method.head(method.encoder(unseen)).argmax(dim=1) == test.labels).numpy())
        score = evaluate.Score(np.stack(right), test.sources.numpy())
        row[str(count)] = resumable.figures([score]) | {"kinds": ["from scratch"], "right": resumable.right([score])}
    return {"by_labels": row} | {key: row["10"][key] for key in ("mean", "std")}


ROWS = {
    "counts": counts,
    **{f"k-{k}": by_k for k in CONTEXTS},
    **dict.fromkeys(TAUGHT, network),
    "tf-idf + context-bag": both,
    **dict.fromkeys(("random: context-bag", "random: context"), random),
    **dict.fromkeys(("bag-of-words", "tf-idf", "lsa"), counted),
    "supervised": supervised,
}


def with_gains(results: dict, sources) -> dict:
    """Paired differences to every other row, for each number of labels; and how far a model is below the counts."""
    if "counts" in results:
        for row in results.values():
            for model in (row, row.get("mixed", {})) if "parameters" in row else ():
                if model:
                    orders = ("unigram", "bigram", "trigram")
                    model["below"] = {order: results["counts"][order]["val"] - model["mean"] for order in orders}
    for count in map(str, LABELS):
        here = {name: row["by_labels"][count] for name, row in results.items() if "by_labels" in row}
        resumable.with_gains(here, sources)
    return results


# ------------------------------------------------------------------------------------------------------- scoreboard

CONTROLS = {
    "random": "random: context-bag",
    "bag-of-words": "bag-of-words",
    "tf-idf": "tf-idf",
    "supervised": "supervised",
}


def rows(results: dict) -> list[dict]:
    """Rows for the scoreboard: the pretrained bag as next-word, and its controls."""
    made = []
    for method, name in {"next-word": "context-bag", **CONTROLS}.items():
        for count in LABELS:
            score = results[name]["by_labels"][str(count)]
            made.append(
                {
                    **{"method": method, "data": "docwords", "data_hash": results["made_with"]["data_hash"]},
                    **{"task": "from scratch" if method == "supervised" else "probe", "budget": "lesson"},
                    **{"labels_per_class": count, "metric": "accuracy"},
                    **{key: score[key] for key in ("mean", "std", "low", "high")},
                    **{"pretrain_seeds": score["runs"] // DRAWS if method in ("next-word", "random") else 0},
                    **{"label_draws": DRAWS, "pretrain_seconds": round(results[name].get("seconds", 0.0), 1)},
                    **{"block": None, "settings": {"features": score["kinds"][0]}},
                }
            )
    chance = {"mean": 0.125, "std": 0.0, "low": 0.125, "high": 0.125}
    usual = made[0] | {"pretrain_seeds": 0, "pretrain_seconds": 0.0, "settings": {}}
    return made + [usual | {"method": "chance", "labels_per_class": count} | chance for count in LABELS]


def main() -> None:
    made_with = {net: asdict(recipes.for_text(net)) for net in TAUGHT}
    made_with |= {"sweep": asdict(SWEEP), "supervised": asdict(SUPERVISED)}
    for net in TAUGHT:
        del made_with[net]["long"]
    splits = {name: load_text("docwords", name) for name in ("train", "val", "test")}
    resumable.run(__doc__, FILE, made_with, ROWS, splits=splits, gains=with_gains)
    results = resumable.json.loads(FILE.read_text())
    if {"context-bag", *CONTROLS.values()} <= results.keys():
        scoreboard.add(rows(results))


if __name__ == "__main__":
    main()
