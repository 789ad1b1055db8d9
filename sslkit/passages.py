"""Passages -> features -> which class, from few labels: what a reader of words is worth, beside counting them.

    bag_of_words, tf_idf    how often each word stands in a passage: the controls, which learn nothing but counts
    average                 the mean of its words' vectors, rare words counting more
    states                  the mean of what a network says at every place
    few_labels              a linear classifier on such features: test accuracy from few labels

Nothing here moves a parameter of a network that it is given. Choices (which features, how scaled, how much shrinkage)
are made on the validation split; the test split is read once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import methods, names, nets, recipes, words
from sslkit.data import Passages, draw_labels
from sslkit.evaluate import Probe, Score

SHRINKAGE = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # what the classifier may choose from
Splits = Mapping[str, Passages]
Features = Mapping[str, Tensor]  # of every split: {"train": (N, D), "val": …, "test": …}

# ---------------------------------------------------------------------------------------------------------- features


def bag_of_words(texts: Iterable[str], vocabulary: words.Vocabulary) -> Tensor:
    """How often each word of the vocabulary stands in each text: (N, V). <unk> and <s> are not counted."""
    rows = []
    for text in texts:
        row = torch.bincount(torch.tensor(vocabulary.encode(text), dtype=torch.int64), minlength=len(vocabulary))
        row[[words.UNKNOWN, words.START]] = 0
        rows.append(row)
    return torch.stack(rows).float()


def tf_idf(counts: Tensor, known: Tensor, sublinear: bool = True) -> Tensor:
    """A bag of words in which a word counts less, the more texts it stands in.

        x_w = (1 + ln c_w) · (1 + ln((1 + n) / (1 + n_w))),    0 where c_w = 0

    Symbols: c_w -> counts of word w in the text; n -> known texts, n_w those with w in them. Without `sublinear`, c_w
             stands in the place of 1 + ln c_w.
    Shapes:  counts (N, V), known (M, V): the counts of the unlabelled train split -> (N, V).
    Ref:     Salton, Buckley 1988, "Term-weighting approaches in automatic text retrieval"; Manning, Raghavan, Schütze
             2008, "Introduction to information retrieval", Sec. 6.2 and 6.4.1. As scikit-learn's TfidfVectorizer.
    """
    spread = (known > 0).sum(dim=0)
    rarity = ((1 + len(known)) / (1 + spread)).log() + 1
    often = (1 + counts.clamp(min=1).log()) * (counts > 0) if sublinear else counts
    return often * rarity


def average(texts: Iterable[str], vocabulary: words.Vocabulary, vectors: Tensor, share: Tensor, a: float = 1e-3):
    """The mean of the words' vectors, in which frequent words count less: (N, D).

        z = Σ_i a / (a + p(w_i)) v(w_i) / Σ_i a / (a + p(w_i))

    Symbols: v -> vectors (V, D); p -> share (V,), how often each word stands in the train split, with sum 1; a -> how
             rare a word is that counts half. A large a gives the plain mean. <unk> and <s> count nothing.
    Ref:     Arora, Liang, Ma 2017, "A simple but tough-to-beat baseline for sentence embeddings", Algorithm 1, line 1;
             `without_common` is its line 2.
    """
    weight = a / (a + share)
    weight[[words.UNKNOWN, words.START]] = 0
    rows = []
    for text in texts:
        numbers = torch.tensor(vocabulary.encode(text), dtype=torch.int64)
        w = weight[numbers]
        rows.append(w @ vectors[numbers] / w.sum().clamp(min=1e-9))
    return torch.stack(rows)


def without_common(features: Features, directions: int = 1) -> dict[str, Tensor]:
    """Take away what all passages have in common: their mean, and the first directions in which they differ.

        z ← (z − m) − U Uᵀ (z − m)

    Symbols: m -> mean of the train split; U -> its first principal directions (D, directions). Every split is treated
             alike, by what the train split says.
    Ref:     Arora, Liang, Ma 2017, Algorithm 1, lines 4 and 5, there without m; Mu, Viswanath 2018, "All-but-the-top".
    """
    mean = features["train"].mean(dim=0)
    first = torch.linalg.svd(features["train"] - mean, full_matrices=False).Vh[:directions]  # (directions, D)
    return {split: (z - mean) - (z - mean) @ first.T @ first for split, z in features.items()}


@torch.inference_mode()
def log_prob(method: methods.NextWord, windows: Tensor, batch_size: int = 2048) -> Tensor:
    """The log-probability of the last word of each window, in nats: (N, k + 1) -> (N,). As n-grams have it."""
    device, mode = next(method.parameters()).device, method.training
    method.eval()
    found = []
    for x in windows.split(batch_size):
        inputs, target = method.views(x.to(device))
        found.append(method.log_probabilities(inputs).gather(1, target[:, None])[:, 0].cpu())
    method.train(mode)
    return torch.cat(found)


@torch.inference_mode()
def surprise(
    method: methods.OnWords,
    texts: Iterable[str],
    vocabulary: words.Vocabulary,
    batch_size: int = 2048,
) -> float:
    """The cross-entropy of every word of the texts, on average, in nats; each is told from what stands before it."""
    device, mode = next(method.parameters()).device, method.training
    method.eval()
    x = recipes.batches_of(method, texts, vocabulary)
    total, count = 0.0, 0
    for chunk in x.split(max(1, batch_size // (x.shape[1] if isinstance(method, methods.NextWords) else 1))):
        inputs, target = method.views(chunk.to(device))
        asked = int((target != words.START).sum())
        total, count = total + asked * method.loss(inputs, target)["loss"].item(), count + asked
    method.train(mode)
    if not count:
        raise ValueError("the texts hold no word to be surprised by.")
    return total / count


@torch.inference_mode()
def states(
    encoder: nets.ContextBag | nets.CausalTransformer,
    texts: Iterable[str],
    vocabulary: words.Vocabulary,
    batch_size: int = 64,
) -> list[Tensor]:
    """What each block of the network says about the texts: the mean over the places of a text, (N, D) a block.

    A text longer than the network's k is cut, and its pieces count by their lengths.
    """
    table, owner = [], []
    for i, text in enumerate(texts):
        pieces = words.rows([text], vocabulary, encoder.k)
        table.append(pieces)
        owner += [i] * len(pieces)
    rows, of = torch.cat(table)[:, 1:], torch.tensor(owner)
    device, mode = next(encoder.parameters()).device, encoder.training
    encoder.eval()
    sums: list[Tensor] = []
    for x in rows.split(batch_size):
        there = (x != words.START)[:, :, None].to(device)
        found = [(block.float() * there).sum(dim=1).cpu() for block in encoder.features(x.to(device))]
        sums = [torch.cat(pair) for pair in zip(sums, found)] if sums else found
    encoder.train(mode)
    n, length = len(table), (rows != words.START).sum(dim=1).float()
    count = torch.zeros(n).index_add_(0, of, length).clamp(min=1)[:, None]
    return [torch.zeros(n, s.shape[1]).index_add_(0, of, s) / count for s in sums]


def joined(*parts: Features) -> dict[str, Tensor]:
    """Several kinds of features side by side, each without the train split's mean and of length 1: they count alike."""
    means = [part["train"].mean(dim=0) for part in parts]
    return {
        split: torch.cat([F.normalize(part[split] - mean, dim=1) for part, mean in zip(parts, means)], dim=1)
        for split in parts[0]
    }


# -------------------------------------------------------------------------------------------------------- few labels


def scaled(features: Features, how: str) -> dict[str, Tensor]:
    """Rows of one length: "length" as they are, "centred" without the train split's mean, "standardised" with each
    coordinate divided by its standard deviation there, besides. The length is √16, so that one range of shrinkage
    suits features of any number of coordinates."""
    names.pick(how, SCALINGS, "scaling")
    known = features["train"]
    mean = known.mean(dim=0) if how != "length" else 0.0
    std = known.std(dim=0, correction=0).clamp(min=1e-6) if how == "standardised" else 1.0
    return {split: 4 * F.normalize((x - mean) / std, dim=1) for split, x in features.items()}


SCALINGS = ("length", "centred", "standardised")


def few_labels(
    candidates: Mapping[str, Features], splits: Splits, per_class: Iterable[int] = (5, 10, 30), draws: int = 10
) -> dict[int, Score]:
    """Test accuracy of a linear classifier on features of passages, for each number of labels a class.

    `candidates` are several kinds of features of the same encoder, by name: {"mean": {"train": (N, D), …}, …}. For each
    number of labels: `draws` draws of labelled train passages, each from another source; the kind, its scaling and the
    shrinkage with the highest mean accuracy on val, over three draws; then the test split, once. `Score.block` is the
    place of the kind among the candidates.

    Raises ValueError if the passages have no labels, or a class has too few sources.
    """
    known, val, test = (splits[name] for name in ("train", "val", "test"))
    if len(known.classes) < 2:
        raise ValueError(
            f"{known.name} has no classes to tell apart. Use passages with labels, of two classes or more."
        )
    scores = {}
    for count in per_class:
        drawn = [draw_labels(known, count, seed) for seed in range(draws)]
        best = (-1.0, "", "", 0.0)
        for name, features in candidates.items():
            for how in SCALINGS:
                x = scaled({split: features[split] for split in ("train", "val")}, how)
                for shrinkage in SHRINKAGE:
                    right = [_right(x, "val", index, splits, shrinkage).mean() for index in drawn[:3]]
                    best = max(best, (float(np.mean(right)), name, how, shrinkage))
        _, name, how, shrinkage = best
        x = scaled({split: candidates[name][split] for split in ("train", "test")}, how)
        correct = np.stack([_right(x, "test", index, splits, shrinkage) for index in drawn])
        block = list(candidates).index(name)
        scores[count] = Score(correct, test.sources.cpu().numpy(), block, shrinkage)
    return scores


def _right(x: Features, split: str, labelled: Tensor, splits: Splits, shrinkage: float) -> np.ndarray:
    """Which passages of a split a classifier gets right that was fitted on the labelled ones: bool (M,)."""
    known = splits["train"]
    probe = Probe(x["train"][labelled], known.labels[labelled], len(known.classes), shrinkage, standardise=False)
    return (probe(x[split]).argmax(dim=1) == splits[split].labels).numpy()
