"""Frozen encoder -> numbers: features, kNN, the linear probe, how many labels it needs, the controls, and collapse.

Nothing here moves a parameter of an encoder that it is given. Choices (which block, how much shrinkage) are made on
the validation split; the test split is read once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import methods, nets, train
from sslkit.augment import STRONG, Augment, to_float
from sslkit.data import Images, Split, Stream, draw_labels, need_images

LABELS = (1, 2, 5, 10, 20, 30, 100)  # labels a class, as in every curve of the course
SHRINKAGE = (1e-4, 1e-3, 1e-2, 1e-1)  # what the probe may choose from
COPIES = 8  # augmented copies of each labelled image that a probe is fitted on, beside the image itself …
ROWS = 3000  # … but no more than make this many rows: with many labels, copies add time and no accuracy
FEW = 2**21  # numbers of features below which a probe is fitted on the CPU, where its many small steps start at once
AT_ONCE = 2**26  # numbers of features that are in use at a time, beside those that are there anyway
SUPERVISED = train.TrainConfig(steps=1600, batch_size=100, lr=6e-3, weight_decay=2.0, progress=False)  # chosen on val


# ---------------------------------------------------------------------------------------------------------- features


@torch.no_grad()  # not inference_mode: a head of one's own may be trained on what it gives
def features(encoder: nets.Encoder, images: Images, batch_size: int = 512) -> list[Tensor]:
    """What every block of the encoder says about the images: one (N, D_b) for each block, the mean over its map.

    Computed on the encoder's device, in eval mode; the encoder is left in the mode that it was in. Raises TypeError for
    what is no tensor of images and no Stream.
    """
    need_images(images)
    device, mode = next(encoder.parameters()).device, encoder.training
    encoder.eval()
    parts = []
    for chunk in images.split(batch_size):
        x = to_float(chunk.to(device))
        x = x.flatten(1, 2) if x.ndim == 5 else x  # a clip's frames are channels
        x = x.contiguous(memory_format=torch.channels_last)
        parts.append([nets.pooled(f.float()) for f in encoder.features(x)])
    encoder.train(mode)
    return [torch.cat(block) for block in zip(*parts, strict=True)]


def embed(encoder: nets.Encoder, images: Images, block: int = -1) -> Tensor:
    """Embeddings (N, D) from one block, by default the last."""
    return features(encoder, images)[block]


def pixels(images: Images) -> list[Tensor | Stream]:
    """The images themselves as features: the control with no encoder at all. One "block", (N, C·H·W).

    Images on disk stay there; `knn` and a `Probe` read them in pieces.
    """
    return [images if isinstance(images, Stream) else to_float(images).flatten(1)]


def _pieces(x: Tensor | Stream) -> Iterator[Tensor]:
    """Features (n, D) as float32, as many rows at a time as `AT_ONCE` numbers make, and at most 2¹⁶."""
    rows = max(1, min(2**16, AT_ONCE * len(x) // max(x.shape.numel(), 1)))
    return (to_float(piece).flatten(1) for piece in x.split(rows))


def collapse(z: Tensor) -> dict[str, float]:
    """Has the embedding collapsed? `std` and `effective_rank` of z (N, D), rows scaled to length one first.

        std  = mean over the D coordinates of their standard deviation, times √D: 1 if spread evenly, 0 if collapsed
        rank = exp(−Σ p_i ln p_i),  p_i = s_i / Σ s: from 1 to D, how many directions are in use

    Symbols: s -> singular values of the centred z.
    Ref:     Chen, He 2021, "SimSiam", Sec. 4.1 (std); Roy, Vetterli 2007, "The effective rank", Sec. 2 (rank).
    """
    z = F.normalize(z.float(), dim=1)
    z = z - z.mean(dim=0)
    s = torch.linalg.svdvals(z)
    p = s / s.sum().clamp(min=1e-12)
    entropy = -(p * p.clamp(min=1e-12).log()).sum()
    std = z.std(dim=0, correction=0).mean() * z.shape[1] ** 0.5
    return {"std": std.item(), "effective_rank": entropy.exp().item() if s.sum() > 1e-6 else 1.0}


def collapsed(z: Tensor) -> str:
    """Name a collapse of embeddings z (N, D), of N different images, in plain words; or "" if there is none.

    Complete: every image has nearly the same embedding (std below 0.1). Dimensional: the embeddings differ, but in few
    directions (an effective rank below a twentieth of the D that there are, or of N where that is less). For distances
    beside a margin, as in siamese and triplet training, see pairs.collapsed.
    Ref: Jing, Vincent, LeCun, Tian 2022, "Understanding dimensional collapse in contrastive self-supervised learning".
    """
    if z.ndim != 2 or len(z) < 2:
        raise ValueError(f"expected embeddings (N, D) of at least two images; got {tuple(z.shape)}.")
    std, rank = collapse(z).values()
    directions = min(z.shape[1], len(z) - 1)
    if std < 0.1:
        return (
            f"complete collapse: all {len(z)} images have nearly the same embedding (std {std:.2f}; spread evenly it "
            "would be 1). The views agree because everything agrees. Something has to hold embeddings apart: "
            "negatives, a stopped gradient with a predictor, or a term for the variance. Is it off, or too weak?"
        )
    if rank < max(1.5, directions / 20):
        return (
            f"dimensional collapse: the embeddings differ, but only along about {rank:.0f} of {directions} directions "
            f"(std {std:.2f}). The other coordinates repeat these. A term that makes coordinates unlike each other is "
            "missing or too weak, or the views share a few things that are easy to agree on."
        )
    return ""


# ------------------------------------------------------------------------------------------------------- classifiers


def knn(
    train_z: Tensor | Stream, train_y: Tensor, test_z: Tensor | Stream, k: int = 20, temperature: float = 0.1
) -> Tensor:
    """Predict each test row's class by a vote of its k most similar training rows.

        score_c = Σ over neighbours j of class c of exp(cos(z, z_j) / τ)

    Shapes: train_z (N, D), train_y (N,), test_z (M, D) -> int64 (M,). Images on disk are taken as `pixels`.
    Ref:    Wu, Xiong, Yu, Lin 2018, "Unsupervised feature learning via instance discrimination", Sec. 3.4.
    """
    if k > len(train_z):
        raise ValueError(
            f"k is {k}, but there are only {len(train_z)} training rows to be neighbours. Use a smaller k."
        )
    similarity, label = _nearest(train_z, train_y.to(test_z.device), test_z, k)
    weight = (similarity / temperature).exp()
    votes = weight.new_zeros(len(weight), int(train_y.max()) + 1)
    return votes.scatter_add_(1, label, weight).argmax(dim=1)


def _nearest(train_z: Tensor | Stream, train_y: Tensor, test_z: Tensor | Stream, k: int) -> tuple[Tensor, Tensor]:
    """Cosine similarity and label of each test row's k nearest training rows, both (M, k); in pieces."""
    best: list[tuple[Tensor, Tensor]] = []  # for each chunk of test rows: the nearest so far
    start = 0
    for piece in _pieces(train_z):
        z, y = F.normalize(piece, dim=1), train_y[start : start + len(piece)]
        start += len(piece)
        for i, chunk in enumerate(chunk for rows in _pieces(test_z) for chunk in rows.split(1024)):
            near, at = (F.normalize(chunk, dim=1) @ z.T).topk(min(k, len(z)), dim=1)
            label = y[at]
            if i == len(best):
                best.append((near, label))
                continue
            near, label = torch.cat([best[i][0], near], dim=1), torch.cat([best[i][1], label], dim=1)
            near, at = near.topk(min(k, near.shape[1]), dim=1)
            best[i] = near, label.gather(1, at)
    return torch.cat([near for near, _ in best]), torch.cat([label for _, label in best])


class Probe(nn.Module):
    """Multinomial logistic regression on frozen features, each coordinate standardised first (if `standardise`).

        min over W, b of  −mean_i log softmax(W x_i + b)[y_i] + λ ‖W‖²

    The same minimum as scikit-learn's LogisticRegression with C = 1 / (2 λ N), found by L-BFGS on the features' device,
    or on the CPU where they are few: there its many small steps cost less than a GPU takes to start them.

    Shapes: x (N, D), y int64 (N,) -> calling it on (M, D) gives logits (M, K).
    """

    def __init__(
        self, x: Tensor, y: Tensor, classes: int, shrinkage: float = 1e-2, steps: int = 100, standardise: bool = True
    ):
        super().__init__()
        if len(x) != len(y):
            raise ValueError(f"there are {len(x)} rows of features but {len(y)} labels; expected one label a row.")
        device = x.device
        solve_on = torch.device("cpu") if x.numel() < FEW else device
        x, y = x.float().to(solve_on), y.to(solve_on)
        self.mean, std = x.mean(dim=0), x.std(dim=0, correction=0)
        self.std = torch.where(std > 1e-6, std, 1.0)  # a coordinate that is constant here says nothing elsewhere
        if not standardise:
            self.mean, self.std = torch.zeros_like(self.mean), torch.ones_like(self.std)
        x = (x - self.mean) / self.std
        # More coordinates than rows: the solution lies in the span of the rows, so it is sought there. Same minimum.
        basis = torch.linalg.qr(x.T).Q if x.shape[1] > x.shape[0] else None  # (D, N), orthonormal
        x = x if basis is None else x @ basis
        weight = torch.zeros(x.shape[1], classes, device=solve_on)
        bias = torch.zeros(classes, device=solve_on)
        target = F.one_hot(y, classes).to(x.dtype)
        solver = torch.optim.LBFGS([weight, bias], max_iter=steps, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

        @torch.no_grad()
        def objective() -> Tensor:
            """The value above; its gradient, written out, since autograd takes longer than these small products."""
            log_p = F.log_softmax(x @ weight + bias, dim=1)
            error = (log_p.exp() - target) / len(x)
            weight.grad, bias.grad = x.T @ error + 2 * shrinkage * weight, error.sum(dim=0)
            return shrinkage * weight.square().sum() - (target * log_p).sum() / len(x)

        solver.step(objective)
        weight, bias = weight.detach(), bias.detach()  # without the gradient that hangs on them
        self.weight, self.bias = (weight if basis is None else basis @ weight).to(device), bias.to(device)
        self.mean, self.std = self.mean.to(device), self.std.to(device)

    def forward(self, x: Tensor | Stream) -> Tensor:
        return torch.cat([(piece - self.mean) / self.std @ self.weight + self.bias for piece in _pieces(x)])


# ------------------------------------------------------------------------------------------------------------ searching


def neighbours(z: Tensor, queries: Tensor, k: int = 5) -> Tensor:
    """The k rows most similar to each query by cosine, the most similar first; never the query itself.

    Shapes: z (N, D), queries int64 (Q,), numbers of rows of z -> int64 (Q, k). Raises ValueError if k > N − 1.
    """
    if k > len(z) - 1:
        raise ValueError(f"k is {k}, but a query has only {len(z) - 1} other rows to be near to. Use a smaller k.")
    unit = F.normalize(z.float(), dim=1)
    found = []
    for some in queries.to(z.device).split(1024):
        similarity = (unit[some] @ unit.T).scatter(1, some[:, None], -2.0)  # below every cosine
        found.append(similarity.topk(k, dim=1).indices)
    return torch.cat(found)


def twins(known: Tensor, other: Tensor) -> Tensor:
    """How far each row of `other` is from the nearest row of `known`, Euclidean: near 0 for a copy.

    Shapes: known (N, D), other (M, D) -> float (M,). Pixels find files that were copied or saved again, and nothing
    that was cropped or turned.
    """
    return torch.cat([torch.cdist(piece, known).amin(dim=1) for piece in other.split(1024)])


def gain(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float]:
    """Did a change help? Mean of after − before, and its 95 % interval (Student's t), as (mean, low, high).

    Entry i of both is a run with the same seed, once without the change and once with it: their difference is free of
    what the seed does to both. Raises ValueError for fewer than two pairs, or lists that do not fit each other.
    """
    from scipy import stats

    if len(before) != len(after) or len(before) < 2:
        raise ValueError(
            f"got {len(before)} runs before and {len(after)} after the change; expected as many of both, two or more, "
            "in the same order of seeds."
        )
    d = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return float(d.mean()), float(d.mean() - half), float(d.mean() + half)


# ---------------------------------------------------------------------------------------------------------- accuracy


@dataclass
class Score:
    """Which test images several runs got right. A run is one draw of labels (and one pretraining seed).

    Shapes: `correct` bool (R, N) for R runs; `sources` int64 (N,): the handwriting behind each test image.
    """

    correct: np.ndarray
    sources: np.ndarray
    block: int | None = None
    shrinkage: float | None = None

    @property
    def runs(self) -> np.ndarray:
        """The accuracy of each run (R,)."""
        return self.correct.mean(axis=1)

    @property
    def mean(self) -> float:
        return float(self.correct.mean())

    @property
    def std(self) -> float:
        """Standard deviation over the runs; 0 for a single one."""
        return float(self.runs.std(ddof=1)) if len(self.runs) > 1 else 0.0

    def interval(self, other: Score | None = None, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
        """A 95 % interval of the mean, or of the paired difference to `other`, from a bootstrap over test sources.

        The images made from one handwriting are kept together, since they are not independent.
        """
        per_image = self.correct.mean(axis=0)
        if other is not None:
            if not np.array_equal(self.sources, other.sources):
                raise ValueError(
                    "the two scores are of different test images; a paired difference needs the same ones."
                )
            per_image = per_image - other.correct.mean(axis=0)
        _, source = np.unique(self.sources, return_inverse=True)
        total, count = np.bincount(source, per_image), np.bincount(source).astype(float)
        weights = np.random.RandomState(seed).multinomial(len(count), np.full(len(count), 1 / len(count)), size=draws)
        low, high = np.percentile((weights @ total) / (weights @ count), [2.5, 97.5])
        return float(low), float(high)

    def json(self) -> dict:
        low, high = self.interval()
        row = {"mean": self.mean, "std": self.std, "low": low, "high": high, "runs": len(self.correct)}
        return row | ({} if self.block is None else {"block": self.block, "shrinkage": self.shrinkage})

    @staticmethod
    def pool(scores: Sequence[Score]) -> Score:
        """The runs of several scores (one for each pretraining seed) as one score."""
        first = scores[0]
        return Score(np.concatenate([s.correct for s in scores]), first.sources, first.block, first.shrinkage)


Featurizer = Callable[[Images], Sequence[Tensor | Stream]]


def label_efficiency(
    encoder: nets.Encoder | Featurizer,
    splits: dict[str, Split],
    per_class: Iterable[int] = LABELS,
    draws: int = 10,
    augment: Augment | None = STRONG,
    copies: int = COPIES,
) -> dict[int, Score]:
    """Test accuracy of a linear probe on frozen features, for each number of labels a class.

    `encoder` is an encoder, or a function images -> [features of each block], such as `pixels`. `splits` holds "train",
    "val" and "test". For each number of labels: `draws` draws of labelled training images, each image with `copies`
    augmented copies of it; the block with the highest mean accuracy on val (over three draws), then the shrinkage
    likewise; then the test split, once.
    """
    extract = partial(features, encoder) if isinstance(encoder, nets.Encoder) else encoder
    known, val, test = splits["train"], splits["val"], splits["test"]
    val_x = extract(val.images)
    val_y = val.labels.to(val_x[0].device)
    scores, test_x = {}, None

    for count in per_class:
        labelled = [_labelled(extract, known, count, seed, augment, copies) for seed in range(draws)]
        probe = cache(partial(_probe, labelled, len(known.classes)))  # what is chosen was fitted on some draws already
        val_accuracy = partial(_val_accuracy, probe, draws, val_x, val_y)
        block = max(range(len(val_x)), key=lambda b: val_accuracy(b, 1e-2) if len(val_x) > 1 else 0)
        shrinkage = max(SHRINKAGE, key=lambda s: val_accuracy(block, s))
        test_x = test_x or extract(test.images)
        test_y = test.labels.to(test_x[0].device)
        right = [probe(block, shrinkage, draw)(test_x[block]).argmax(dim=1) == test_y for draw in range(draws)]
        correct = torch.stack(right).cpu().numpy()
        scores[count] = Score(correct, test.sources.cpu().numpy(), block, shrinkage)
    return scores


def _labelled(extract, known: Split, count: int, seed: int, augment: Augment | None, copies: int):
    """The features of one draw of labelled images, with their augmented copies, and their labels."""
    index = draw_labels(known, count, seed)
    images, labels = known.images[index], known.labels[index]
    copies = min(copies, max(ROWS // len(index) - 1, 0))
    if augment is not None and copies:
        generator = devices.generator(seed, images.device)
        images = torch.cat([to_float(images), *(augment(images, generator) for _ in range(copies))])
        labels = labels.repeat(copies + 1)
    x = extract(images)
    return x, labels.to(x[0].device)


def _probe(labelled: list, classes: int, block: int, shrinkage: float, draw: int) -> Probe:
    x, y = labelled[draw]
    return Probe(x[block], y, classes, shrinkage)


def _val_accuracy(probe: Callable, draws: int, x: Sequence, y: Tensor, block: int, shrinkage: float) -> float:
    few = range(min(3, draws))  # three draws are enough to choose by
    return float(np.mean([_accuracy(probe(block, shrinkage, draw), x[block], y) for draw in few]))


def _accuracy(probe: nn.Module, x: Tensor | Stream, y: Tensor) -> float:
    return (probe(x).argmax(dim=1) == y).float().mean().item()


# ----------------------------------------------------------------------------------------------------------- controls


def supervised(
    net: dict,
    splits: dict[str, Split],
    per_class: Iterable[int] = LABELS,
    draws: int = 10,
    augment: Augment = STRONG,
    config: train.TrainConfig = SUPERVISED,
    device: torch.device | str = "auto",
) -> dict[int, Score]:
    """The control that matters: the same encoder from scratch on the same labels, with the same strong augmentation.

    `net` is `encoder.config()`. Each draw has its own labels, initial parameters and views.
    """
    test = splits["test"]
    scores = {}
    for count in per_class:
        trained = (
            train_supervised(net, splits["train"], count, seed, augment, config, device) for seed in range(draws)
        )
        scores[count] = score(trained, test)
    return scores


def train_supervised(
    net: dict,
    known: Split,
    per_class: int,
    seed: int,
    augment: Augment = STRONG,
    config: train.TrainConfig = SUPERVISED,
    device: torch.device | str = "auto",
) -> methods.Supervised:
    """Train encoder and classifier from scratch on one draw of labels; returns the `Supervised` method."""
    with devices.seeded(seed):
        method = methods.Supervised(nets.build(net), len(known.classes), augment)
    return train_on_labels(method, known, per_class, seed, config, device)


Classifier = TypeVar("Classifier", bound=methods.Supervised)


def train_on_labels(
    method: Classifier,
    known: Split,
    per_class: int,
    seed: int,
    config: train.TrainConfig = SUPERVISED,
    device: torch.device | str = "auto",
    views: int | None = None,
) -> Classifier:
    """Train a classifier, in place, on one draw of labels, `per_class` of each; returns it.

    `views` is the seed of the order and of the views, by default that of the draw.
    """
    index, views = draw_labels(known, per_class, seed), seed if views is None else views
    index = index.repeat(-(-config.batch_size // len(index)))  # few labels fill a batch several times, each differently
    train.fit(method, (known.images[index], known.labels[index]), replace(config, seed=views), device=device)
    return method


def score(trained: Iterable[methods.Supervised], test: Split) -> Score:
    """The score of classifiers, a run each, on the test images."""
    return Score(np.stack([correct(method, test) for method in trained]), test.sources.cpu().numpy())


@torch.inference_mode()
def correct(method: methods.Supervised, test: Split) -> np.ndarray:
    """Which test images a classifier gets right: bool (M,)."""
    device = next(method.parameters()).device
    logits = torch.cat([method.head(method.encoder(to_float(x.to(device)))) for x in test.images.split(512)])
    return (logits.argmax(dim=1).cpu() == test.labels.cpu()).numpy()
