"""What is compared with what: pairs, triplets, the choice of negatives, their measures, and what goes wrong with them.

A pair is "same" when it shows two variations of one image, never because two images share a class: there are no labels.

    balanced, pairs, others, mine, active           what a method compares
    weights_shared, collapsed, leaks_labels,        each names one fault in plain words, or returns ""
    mismatched
    verification, roc, recall_at, one_shot          what the distances are good for
    arrows                                          where a loss pulls each point
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import losses, names, pretext

KINDS = ("random", "easy", "semi-hard", "hard")

# --------------------------------------------------------------------------------------------------- pairs and triplets


def others(n: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> Tensor:
    """For each of n images another one, drawn at random: int64 (n,), never an image itself."""
    if n < 2:
        raise ValueError(f"{n} image has no other to be compared with; expected a batch of at least two.")
    step = torch.randint(1, n, (n,), generator=generator, device=device)
    return (torch.arange(n, device=device) + step) % n


def balanced(
    n: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor, Tensor]:
    """n pairs out of n images, every image first in one of them: half are of one image, half of two images.

    Gives first and second, int64 (n,), and same, bool (n,). Which images get which half is drawn at random; of an odd
    number the larger half is different. `generator` lies on `device`.
    """
    first, other = torch.arange(n, device=device), others(n, generator, device)
    same = torch.randperm(n, generator=generator, device=device) < n // 2
    return first, torch.where(same, first, other), same


def pairs(a: Tensor, b: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Half same, half different pairs out of two views of the same images: row i of a and row i of b are of image i.

    Shapes: a, b (N, …), images or embeddings -> first (N, …) from a, second (N, …) from b, same bool (N,).
    """
    if a.shape != b.shape:
        raise ValueError(f"expected two views of the same images; got {tuple(a.shape)} and {tuple(b.shape)}.")
    first, second, same = balanced(len(a), generator, a.device)
    return a[first], b[second], same


@torch.no_grad()
def mine(anchor: Tensor, positive: Tensor, kind: str = "semi-hard", generator: torch.Generator | None = None) -> Tensor:
    """Choose each anchor's negative among the positives of the other images of the batch.

        random     any of them
        easy       the farthest
        semi-hard  the nearest that is farther than the positive:  min { d(A, N) : d(A, N) > d(A, P) }
        hard       the nearest

    With a margin α, a semi-hard negative has d(A, P) < d(A, N) < d(A, P) + α and a loss between 0 and α. Where none
    lies so near, the choice is the nearest beyond, with the loss 0; where none is farther than the positive at all, it
    is the farthest, with a loss of α or more.

    Shapes: anchor, positive (N, D), row i of both of image i -> int64 (N,), rows of `positive`; never i itself.
    Ref:    Schroff, Kalenichenko, Philbin 2015, "FaceNet", Sec. 3.2.
    """
    names.pick(kind, KINDS, "kind of negative")
    n = len(anchor)
    if kind == "random":
        return others(n, generator, anchor.device)
    if n < 2:
        raise ValueError("one image has no negatives; expected a batch of at least two.")
    d = losses.distances(anchor, positive)  # (N, N)
    own = torch.eye(n, dtype=torch.bool, device=d.device)
    farthest = d.masked_fill(own, -torch.inf).argmax(dim=1)
    if kind == "easy":
        return farthest
    if kind == "hard":
        return d.masked_fill(own, torch.inf).argmin(dim=1)
    farther = d > d.diagonal()[:, None]  # false on the diagonal
    nearest = d.masked_fill(~farther, torch.inf).argmin(dim=1)
    return torch.where(farther.any(dim=1), nearest, farthest)


def active(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    """The share of triplets (N, D) whose loss is more than 0: the others teach nothing."""
    near = torch.linalg.vector_norm(anchor - positive, dim=1)
    far = torch.linalg.vector_norm(anchor - negative, dim=1)
    return (near - far + margin > 0).float().mean()


# --------------------------------------------------------------------------------------------------- what goes wrong


def weights_shared(net_a: nn.Module, net_b: nn.Module) -> str:
    """Are the two branches of a siamese network one network? A message if they are not, or "".

    Two copies start alike and drift apart: sharing means the same tensors, not equal values.
    """
    a, b = dict(net_a.named_parameters()), dict(net_b.named_parameters())
    if a.keys() != b.keys():
        only = sorted(a.keys() ^ b.keys())
        return f"the two branches are built differently: {only[0]} is in one of them only. Use one network twice."
    own = [name for name in a if a[name] is not b[name]]
    if not own:
        return ""
    equal = all(a[name].shape == b[name].shape and torch.equal(a[name], b[name]) for name in own)
    drift = "equal now, and will drift apart" if equal else "different already"
    return (
        f"{len(own)} of {len(a)} parameters, such as {own[0]}, are not shared: the branches are two copies, {drift}. "
        "Call one and the same network on both images of a pair."
    )


def collapsed(embeddings: Tensor, margin: float = 1.0) -> str:
    """Do all images have the same embedding? A message if they do, or "". Shapes: (N, D), of N different images.

    Then every distance is 0: the triplet loss is stuck at α, and the contrastive loss of balanced pairs at m² / 4.
    Where there is no margin and lengths do not count, evaluate.collapsed tells.
    """
    if len(embeddings) < 2:
        raise ValueError("one embedding cannot be compared; expected those of at least two images.")
    mean = _off_diagonal(losses.distances(embeddings, embeddings)).mean().item()
    if mean > 0.05 * margin:  # trained without a margin they came to 0.02; before any training they have 0.1
        return ""
    return (
        f"the embedding has collapsed: different images lie {mean:.2g} apart, beside a margin of {margin:g}. With that "
        f"margin a triplet loss stays at α = {margin:g} and a contrastive loss at m²/4 = {margin**2 / 4:g}. Nothing "
        "pushes images apart: see that your loss has a margin above 0, or start anew with easier negatives (semi-hard "
        "or random) or a lower learning rate."
    )


def leaks_labels(first: Tensor, second: Tensor, same: Tensor, labels: Tensor | None = None) -> str:
    """Were the pairs made with labels? A message if they were, or "".

    `first` and `second` int64 (N,) are the images of each pair, by number, `same` bool (N,) what the pair is called.
    "Same" has to mean the same image. With the class of every image, `labels` (M,), it is also noticed when different
    pairs avoid images of one class, as only somebody who knows the classes can.
    """
    wrong = same & (first != second)
    if wrong.any():
        i = int(wrong.nonzero()[0])
        what = f"{int(wrong.sum())} of {int(same.sum())} pairs called the same are of two images (pair {i}: images "
        what += f"{int(first[i])} and {int(second[i])})"
        if labels is not None and (labels[first[wrong]] == labels[second[wrong]]).all():
            what += ", always of one class: labels made these pairs"
        return f"{what}. Without labels, the same means two variations of the same image."
    itself = ~same & (first == second)
    if itself.any():
        return f"{int(itself.sum())} pairs called different are an image with itself. Draw the second from the others."
    if labels is None or same.all():
        return ""
    share = labels.unique(return_counts=True)[1].double() / len(labels)
    expected = (share.square().sum() * (~same).sum()).item()
    met = int((labels[first[~same]] == labels[second[~same]]).sum())
    if met or expected < 10:  # by chance this happens once in e¹⁰ times
        return ""
    return (
        f"none of {int((~same).sum())} different pairs is of one class; without labels about {expected:.0f} would be. "
        "Labels chose the negatives. Draw them from all other images."
    )


def mismatched(first: Tensor, second: Tensor, same: Tensor, describe: Callable[[Tensor], Tensor] | None = None) -> str:
    """Do the pairs called the same show the same image? A message if they seem not to, or "". Asked before training.

    Two loaders that are shuffled apart give pairs that are the same in name only. Two variations of one image have
    more alike than two images, even in a simple description: `describe` gives (N, D), by default the edges of the
    image, seen from afar. With strong augmentation 64 pairs of each kind are enough; with 32 one alarm in six is false.

    Shapes: first, second (N, C, H, W) in [0, 1], same bool (N,).
    """
    kinds = int(same.sum()), int((~same).sum())
    if min(kinds) < 32:
        raise ValueError(f"got {kinds[0]} same and {kinds[1]} different pairs; expected at least 32 of each to judge.")
    describe = describe or _edges
    d = torch.linalg.vector_norm(describe(first) - describe(second), dim=1)
    area = roc(d, same).area
    error = (sum(kinds) / (12 * kinds[0] * kinds[1])) ** 0.5  # of the area, for two kinds that do not differ
    if area > 0.5 + 2 * error:
        return ""
    return (
        f"the pairs called the same are no more alike than the others: a same pair is the nearer one in {area:.0%} of "
        "the comparisons, and a coin would give 50 %. Do both images come from the same row of the same batch? Two "
        "loaders that shuffle give two orders."
    )


def _edges(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 64): where there are edges, on an 8×8 grid; the same for a negative of the image."""
    return F.normalize(F.adaptive_avg_pool2d(pretext.contrast_normalised_edges(x), 8).flatten(1), dim=1)


# ----------------------------------------------------------------------------------- what the distances are good for


class Verification(NamedTuple):
    """A pair is taken for the same when its distance is below `threshold`; `accuracy` is the share that is right."""

    threshold: float
    accuracy: float


class Roc(NamedTuple):
    """`tpr` of the same pairs are accepted when `fpr` of the different ones are; `area` is that under the curve."""

    fpr: Tensor
    tpr: Tensor
    area: float


class Accuracy(NamedTuple):
    """A mean over episodes, and its standard error."""

    mean: float
    error: float
    episodes: int


def verification(distance: Tensor, same: Tensor, threshold: float | None = None) -> Verification:
    """Are the two of a pair the same? Answered by a threshold on their distance.

    Without a threshold, the one with which most of these pairs are right, midway between two distances: for the
    validation pairs. With one, how many of these pairs it gets right: for the test pairs.
    Shapes: distance (N,), same bool (N,).
    """
    _check_pairs(distance, same)
    distance, same = distance.cpu(), same.cpu()  # some GPUs have no float64
    if threshold is None:
        d, order = distance.double().sort()
        right = torch.where(same[order], 1, -1)
        gain = F.pad(right.cumsum(0), (1, 0))  # of calling the k nearest the same, k = 0 … N
        gain[1:-1][d[1:] == d[:-1]] = -len(d) - 1  # equal distances cannot be told apart
        cuts = torch.cat([d[:1], (d[1:] + d[:-1]) / 2, d[-1:] + 1])
        threshold = cuts[gain.argmax()].item()
    return Verification(threshold, ((distance < threshold) == same).float().mean().item())


def roc(distance: Tensor, same: Tensor) -> Roc:
    """How many same pairs are accepted at the price of how many different ones, for every threshold.

    The area is the chance that a same pair is nearer than a different one, with half of the ties: 0.5 for a coin.
    Shapes: distance (N,), same bool (N,) -> fpr, tpr (T + 1,) from 0 to 1, for T different distances.
    Ref:    Fawcett 2006, "An introduction to ROC analysis", Sec. 5 and 7.
    """
    _check_pairs(distance, same)
    distance, same = distance.cpu(), same.cpu()  # some GPUs have no float64
    d, order = distance.double().sort()
    last = F.pad(d[1:] != d[:-1], (0, 1), value=True)  # of a run of equal distances
    hit = F.pad(same[order].double().cumsum(0)[last], (1, 0)) / same.sum()
    miss = F.pad((~same[order]).double().cumsum(0)[last], (1, 0)) / (~same).sum()
    return Roc(miss, hit, torch.trapezoid(hit, miss).item())


def recall_at(embeddings: Tensor, labels: Tensor, k: tuple[int, ...] = (1, 5)) -> dict[int, float]:
    """The share of images that find one of their own class among their k nearest others, for each k.

    Shapes: embeddings (N, D), labels (N,). An image without another of its class is searched in, but asks nothing.
    Ref:    Jégou, Douze, Schmid 2011, "Product quantization for nearest neighbor search", Sec. V-B.
    """
    if len(embeddings) != len(labels) or embeddings.ndim != 2:
        raise ValueError(f"expected (N, D) and (N,); got {tuple(embeddings.shape)} and {tuple(labels.shape)}.")
    if not k or not 1 <= min(k) <= max(k) < len(labels):
        raise ValueError(f"k is {k}; expected numbers of neighbours from 1 to {len(labels) - 1}.")
    hits, labels = [], labels.to(embeddings.device)
    for start in range(0, len(labels), 1024):
        rows = torch.arange(start, min(start + 1024, len(labels)), device=embeddings.device)
        d = losses.distances(embeddings[rows], embeddings)
        d[rows - start, rows] = torch.inf  # not itself
        found = labels[d.topk(max(k), dim=1, largest=False).indices] == labels[rows, None]
        hits.append(found.cumsum(dim=1) > 0)
    _, of, size = labels.unique(return_inverse=True, return_counts=True)
    asks = size[of] > 1
    if not asks.any():
        raise ValueError("no class has two images, so nothing can be found. Give labels with several images a class.")
    return {i: torch.cat(hits)[asks, i - 1].float().mean().item() for i in k}


def one_shot(
    embed: Callable[[Tensor], Tensor],
    images: Tensor,
    classes: Tensor,
    ways: int = 20,
    episodes: int = 1000,
    generator: torch.Generator | None = None,
    groups: Tensor | None = None,
) -> Accuracy:
    """Name an image from one example of each class: the accuracy of the nearest neighbour in the embedding.

    An episode draws `ways` classes, and of each one image as its example and another one to be named; it is named
    after the nearest example. Chance is 1 / ways. With `groups` (N,), such as the alphabet of each character, the
    classes of an episode are all of one group, which is harder.

    Shapes: images (N, …); embed: images -> (N, D); classes int64 (N,). The draws are made on the CPU.
    Ref:    Koch, Zemel, Salakhutdinov 2015, "Siamese neural networks for one-shot image recognition", Sec. 4.3; Lake,
            Salakhutdinov, Tenenbaum 2015, "Human-level concept learning", with groups; Vinyals et al. 2016, "Matching
            networks", Sec. 4.1.1, without.
    """
    if ways < 2 or episodes < 2:
        raise ValueError(f"ways is {ways} and episodes is {episodes}; expected at least 2 of each.")
    classes = classes.cpu()
    kinds, count = classes.unique(return_counts=True)
    if (count < 2).any():
        raise ValueError(
            f"class {int(kinds[count < 2][0])} has one image; an example and another one to be named are needed. "
            "Leave out classes with one image."
        )
    by_class = classes.argsort(stable=True)
    start = count.cumsum(0) - count
    allowed = _classes_of_groups(by_class[start], groups, ways)  # (G, K)
    if not len(allowed):
        where = "" if groups is None else " in any group"
        raise ValueError(f"{ways} classes are to be told apart, but there are not as many{where}. Use fewer ways.")

    def draw(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator)

    group = (draw(episodes) * len(allowed)).long()
    chosen = draw(episodes, len(kinds)).masked_fill(~allowed[group], -1).topk(ways, dim=1).indices  # (E, ways)
    n = count[chosen]
    example = (draw(episodes, ways) * n).long()
    query = (example + 1 + (draw(episodes, ways) * (n - 1)).long()) % n
    example, query = (by_class[start[chosen] + i] for i in (example, query))
    with torch.no_grad():
        z = embed(images)
    example, query = example.to(z.device), query.to(z.device)
    right = []
    for e, q in zip(example.split(256), query.split(256)):
        d = torch.cdist(z[q].float(), z[e].float(), compute_mode="donot_use_mm_for_euclid_dist")  # (E, ways, ways)
        right.append((d.argmin(dim=2).cpu() == torch.arange(ways)).double().mean(dim=1))
    share = torch.cat(right)
    return Accuracy(share.mean().item(), (share.std() / episodes**0.5).item(), episodes)


def _classes_of_groups(one_of_each: Tensor, groups: Tensor | None, ways: int) -> Tensor:
    """(G, K): which classes belong to each group that has enough of them; one group of all where there are none."""
    if groups is None:
        allowed = torch.ones(1, len(one_of_each), dtype=torch.bool)
    else:
        group = groups.cpu()[one_of_each]
        allowed = group == group.unique()[:, None]
    return allowed[allowed.sum(dim=1) >= ways]


# -------------------------------------------------------------------------------------------------------- a closer look


def arrows(loss: Callable[..., Tensor], *points: Tensor) -> tuple[float, list[Tensor]]:
    """The loss of these points, and for each where descent would move it: minus the gradient, in its own shape.

    arrows(partial(losses.triplet, margin=1.0), a, p, n) on three tensors (1, 2) is what happens in the plane.
    """
    with torch.enable_grad():
        free = [point.detach().clone().requires_grad_() for point in points]
        value = loss(*free)
        slopes = torch.autograd.grad(value, free)
    return value.item(), [-slope for slope in slopes]


def _off_diagonal(d: Tensor) -> Tensor:
    return d[~torch.eye(len(d), dtype=torch.bool, device=d.device)]


def _check_pairs(distance: Tensor, same: Tensor) -> None:
    if distance.ndim != 1 or same.shape != distance.shape or same.dtype != torch.bool:
        raise ValueError(
            f"expected distance (N,) and same (N,) of torch.bool; got {tuple(distance.shape)} and {same.dtype} "
            f"{tuple(same.shape)}."
        )
    if same.all() or not same.any():
        raise ValueError("all pairs are of one kind; expected some that are the same and some that are not.")
