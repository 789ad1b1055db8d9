"""Each check accepts right answers, however they are written, and rejects wrong ones for the right reason."""

from __future__ import annotations

import importlib
import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from sslkit import checks, losses, pairs, pretext

SOURCES = sorted((Path(__file__).parent.parent / "notebooks" / "src").glob("[0-9][0-9]_*.py"))


def nearest(z, i):
    similarity = F.cosine_similarity(z, z[i : i + 1])
    similarity[i] = -2
    return int(similarity.argmax())


def nearest_loop(z, i):
    best, at = -2.0, -1
    for j in range(len(z)):
        cosine = float(z[i] @ z[j] / (z[i].norm() * z[j].norm()))
        if j != i and cosine > best:
            best, at = cosine, j
    return at


def draw(labels, per_class, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    return torch.cat([order[labels[order] == k][:per_class] for k in labels.unique()])


def same_for_every_seed(labels, per_class, seed):
    return torch.cat([(labels == k).nonzero().flatten()[:per_class] for k in labels.unique()])


def forgets_its_seed(labels, per_class, seed):
    order = torch.randperm(len(labels))
    return torch.cat([order[labels[order] == k][:per_class] for k in labels.unique()])


def any_class(labels, per_class, seed):
    return torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[: per_class * 3]


def with_repeats(labels, per_class, seed):
    generator = torch.Generator().manual_seed(seed)
    mine = [(labels == k).nonzero().flatten() for k in labels.unique()]
    return torch.cat([m[torch.randint(2, (per_class,), generator=generator)] for m in mine])


def euclidean(z, i):
    distance = torch.cdist(z[i : i + 1], z)[0]
    distance[i] = float("inf")
    return int(distance.argmin())


def dot_product(z, i):
    similarity = z @ z[i]
    similarity[i] = -1e9
    return int(similarity.argmax())


def four_turns(image, sign=1, dims=(1, 2)):
    return torch.stack([image.rot90(sign * k, dims=dims) for k in range(4)]), torch.arange(4)


def scatter(n, patches, hidden, generator):
    return torch.rand(n, patches, generator=generator).argsort(dim=1) < hidden


def scatter_loop(n, patches, hidden, generator):
    mask = torch.zeros(n, patches, dtype=torch.bool)
    for row in mask:
        row[torch.randperm(patches, generator=generator)[:hidden]] = True
    return mask


def scatter_by_share(n, patches, hidden, generator):
    return torch.rand(n, patches, generator=generator) < hidden / patches


def scatter_with_repeats(n, patches, hidden, generator):
    places = torch.randint(patches, (n, hidden), generator=generator)
    return torch.zeros(n, patches, dtype=torch.bool).scatter_(1, places, True)


def scatter_in_a_row(n, patches, hidden, generator):
    start = torch.randint(patches, (n, 1), generator=generator)
    return (torch.arange(patches) - start) % patches < hidden


def masked_mse(prediction, target, mask):
    return ((prediction - target) ** 2)[mask.expand_as(target)].mean()


def masked_mse_loop(prediction, target, mask):
    total, count = 0.0, 0
    for n, c, i, j in torch.cartesian_prod(*map(torch.arange, target.shape)):
        if mask[n, 0, i, j]:
            total, count = total + float(prediction[n, c, i, j] - target[n, c, i, j]) ** 2, count + 1
    return total / count


def leaks(make_input, x, mask):
    return not torch.equal(make_input(x, mask), make_input(torch.where(mask, torch.rand_like(x), x), mask))


def leaks_by_gradient(make_input, x, mask):
    x.requires_grad_()
    (make_input(x, mask) * torch.rand_like(x)).sum().backward()
    return (x.grad * mask).abs().max() > 0


def leaks_in_the_hole(make_input, x, mask):
    other = torch.where(mask, 1 - x, x)
    return bool(((make_input(x, mask) != make_input(other, mask)) & mask).any())


def leaks_visibly(make_input, x, mask):
    other = torch.where(mask, 1 - x, x)
    return not torch.allclose(make_input(x, mask), make_input(other, mask), atol=0.02)


def inverse(order):
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order))
    return back


def inverse_loop(order):
    return [order.tolist().index(piece) for piece in range(len(order))]


def farthest(candidates, chosen, by=lambda distance: distance.min(dim=1).values):
    return by((candidates[:, None] != chosen).sum(dim=2)).argmax()


def farthest_loop(candidates, chosen):
    def least(candidate):
        return min(sum(a != b for a, b in zip(candidate, other)) for other in chosen.tolist())

    return max(range(len(candidates)), key=lambda i: least(candidates[i].tolist()))


def cut(image, tile, moves, step=None, by_rows=True):
    step = step or image.shape[1] // 3
    rows, columns = (3, 1) if by_rows else (1, 3)
    corners = [(step * (i // rows % 3), step * (i // columns % 3)) for i in range(9)]
    places = [(r + down, c + right) for (r, c), (down, right) in zip(corners, moves.tolist())]
    return torch.stack([image[:, r : r + tile, c : c + tile] for r, c in places])


def cut_by_unfolding(image, tile, moves):
    step = image.shape[1] // 3
    every = image.unfold(1, tile, 1).unfold(2, tile, 1)  # (C, rows, columns, tile, tile)
    at = torch.arange(9)
    return every[:, at // 3 * step + moves[:, 0], at % 3 * step + moves[:, 1]].transpose(0, 1)


def turn(images, quarters):
    every = torch.stack([images.rot90(k, dims=(2, 3)) for k in range(4)])
    return every[quarters % 4, torch.arange(len(images))]


def turn_loop(images, quarters):
    turned = []
    for image, k in zip(images, quarters.tolist()):
        for _ in range(k % 4):
            image = image.transpose(1, 2).flip(1)
        turned.append(image)
    return turned


def turn_by_sampling(images, quarters):
    angle = quarters * (torch.pi / 2)
    matrix = torch.stack([angle.cos(), -angle.sin(), 0 * angle, angle.sin(), angle.cos(), 0 * angle], 1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def neighbour(image, k, patch, gap, move, directions=pretext.DIRECTIONS, first=None):
    top, left = first or [(side - patch) // 2 for side in image.shape[1:]]
    top = top + directions[k][0] * (patch + gap) + move[0]
    left = left + directions[k][1] * (patch + gap) + move[1]
    return image[:, top : top + patch, left : left + patch]


def neighbour_by_unfolding(image, k, patch, gap, move):
    cells = image.unfold(1, patch, 1).unfold(2, patch, 1)  # (C, rows, columns, patch, patch)
    row, column = divmod(k + (k > 3), 3)
    top = (image.shape[1] - patch) // 2 + (row - 1) * (patch + gap) + move[0]
    return cells[:, top, (image.shape[2] - patch) // 2 + (column - 1) * (patch + gap) + move[1]]


def neighbour_of_nine(image, k, patch, gap, move):
    return neighbour(image, k, patch, gap, move, [(i // 3 - 1, i % 3 - 1) for i in range(9)])


def balanced(n, generator, step=None, same=None):
    i = torch.arange(n)
    step = torch.randint(1, n, (n,), generator=generator) if step is None else step
    same = torch.randperm(n, generator=generator) < (n // 2 if same is None else same)
    return torch.where(same, i, (i + step) % n), same


def balanced_loop(n, generator):
    chosen = torch.randperm(n, generator=generator)[: n // 2].tolist()
    second = []
    for i in range(n):
        rest = [j for j in range(n) if j != i]
        second.append(i if i in chosen else rest[int(torch.randint(n - 1, (1,), generator=generator))])
    return second, [i in chosen for i in range(n)]


def first_half_the_same(n, generator):
    rest = torch.arange(n // 2, n)
    return torch.cat([torch.arange(n // 2), rest.roll(1)]), torch.arange(n) < n // 2


def fixed(n, generator, same):
    i = torch.arange(n)
    return torch.where(same, i, (i + torch.randint(1, n, (n,), generator=generator)) % n), same


def any_image(n, generator):
    second, same = balanced(n, generator)
    return torch.where(same, second, torch.randint(n, (n,), generator=generator)), same


def shuffled(n, generator):
    second, same = balanced(n, generator)
    return torch.where(same, second, torch.randperm(n, generator=generator)), same


def coin(n, generator):
    i, step = torch.arange(n), torch.randint(1, n, (n,), generator=generator)
    same = torch.rand(n, generator=generator) < 0.5
    return torch.where(same, i, (i + step) % n), same


def contrastive(a, b, same, margin, power=2, half=0.5):
    d = torch.linalg.vector_norm(a - b, dim=1)
    return half * torch.where(same, d**power, F.relu(margin - d) ** power).mean()


def contrastive_loop(a, b, same, margin):
    total = 0.0
    for x, y, s in zip(a, b, same.tolist()):
        d = torch.linalg.vector_norm(x - y)
        total = total + (d**2 if s else max(margin - d, 0 * d) ** 2) / 2
    return total / len(a)


def contrastive_by_hand(a, b, same, margin):
    d = ((a - b) ** 2).sum(dim=1).sqrt()
    return (same * d**2 + ~same * (margin - d).clamp(min=0) ** 2).mean() / 2


def contrastive_unclamped(a, b, same, margin):
    d = (a - b).norm(dim=1)
    return torch.where(same, d, margin - d).square().mean() / 2


def contrastive_squared(a, b, same, margin, power=2):
    d = (a - b).square().sum(dim=1)
    return torch.where(same, d, F.relu(margin - d) ** power).mean() / 2


def contrastive_at_one_point(a, b, same, margin):
    squares = ((a - b) ** 2).sum(dim=1)  # whose root is taken of the different pairs alone
    return (squares[same].sum() + (F.relu(margin - squares[~same].sqrt()) ** 2).sum()) / (2 * len(a))


def threshold_unsorted(distance, same):
    cuts = (distance[1:] + distance[:-1]) / 2
    return max(cuts.tolist(), key=lambda t: float(((distance < t) == same).float().mean()))


def corner(x):
    x = x.clone()
    x[..., 4, 4] = 1 - x[..., 4, 4]
    return x


def half_way(x, patch):
    return [side // 2 - patch // 2 for side in x.shape[1:]]


def nearest_hidden_by_zero(z, i):
    similarity = F.cosine_similarity(z, z[i : i + 1])
    similarity[i] = 0
    return similarity.argmax()


def threshold(distance, same, add=1e-6):
    return max((distance + add).tolist(), key=lambda t: float(((distance < t) == same).float().mean()))


def threshold_between(distance, same):
    d = distance.sort().values
    cuts = torch.cat([d[:1], (d[1:] + d[:-1]) / 2, d[-1:] + 1])
    right = (distance[None] < cuts[:, None]) == same[None]
    return cuts[right.float().mean(dim=1).argmax()]


def triplet(a, p, n, margin, norm=lambda x: torch.linalg.vector_norm(x, dim=1), cut=F.relu, mean=torch.mean):
    return mean(cut(norm(a - p) - norm(a - n) + margin))


def triplet_loop(a, p, n, margin):
    total = 0.0
    for i in range(len(a)):
        near = math.dist(a[i].tolist(), p[i].tolist())
        far = math.dist(a[i].tolist(), n[i].tolist())
        total += max(near - far + margin, 0.0)
    return total / len(a)


def hardness(near, far, margin):
    return (far < near + margin).long() + (far <= near).long()


def hardness_loop(near, far, margin):
    kinds = []
    for d_near, d_far in zip(near.tolist(), far.tolist()):
        kinds.append(2 if d_far <= d_near else 1 if d_far < d_near + margin else 0)
    return kinds


def semi_hard(d, margin, low=None, none=-1, choose=torch.argmin, hidden=torch.inf):
    near = d.diagonal()[:, None]
    ring = (d > (near if low is None else low)) & (d < near + margin)
    return torch.where(ring.any(dim=1), choose(torch.where(ring, d, hidden), dim=1), none)


def semi_hard_loop(d, margin):
    chosen = []
    for i, row in enumerate(d.tolist()):
        ring = [j for j in range(len(row)) if j != i and row[i] < row[j] < row[i] + margin]
        chosen.append(min(ring, key=lambda j: row[j]) if ring else -1)
    return chosen


RIGHT = [
    (checks.check_triplet, triplet),
    (checks.check_triplet, triplet_loop),
    (checks.check_triplet, losses.triplet),
    (checks.check_triplet, lambda a, p, n, margin: F.triplet_margin_loss(a, p, n, margin=margin)),
    (checks.check_triplet, lambda *a: triplet(*a, norm=lambda x: x.norm(dim=-1), cut=lambda x: x.clamp(min=0))),
    (checks.check_hardness, hardness),
    (checks.check_hardness, hardness_loop),
    (checks.check_hardness, lambda near, far, m: torch.where(far >= near + m, 0, torch.where(far > near, 1, 2))),
    (checks.check_semi_hard, semi_hard),
    (checks.check_semi_hard, semi_hard_loop),
    (checks.check_semi_hard, lambda d, m: torch.where(semi_hard(d, m) < 0, -1.0, semi_hard(d, m).float())),
    (checks.check_chance, lambda k: 1 / k),
    (checks.check_chance, lambda k: torch.tensor(1.0, dtype=torch.float64) / k),
    (checks.check_chance, lambda k: torch.softmax(torch.zeros(k), 0)[0]),  # in single precision
    (checks.check_nearest, nearest),
    (checks.check_nearest, nearest_loop),
    (checks.check_draw, draw),
    (checks.check_draw, lambda *a: draw(*a).tolist()),
    (checks.check_assign, lambda p, c: [(c - x).norm(dim=1).argmin() for x in p]),
    (checks.check_turn, lambda x, q: [image.rot90(int(k), (1, 2)).numpy() for image, k in zip(x, q)]),
    (checks.check_inverse, lambda order: [(order == piece).nonzero()[0, 0] for piece in range(len(order))]),
    (checks.check_assign, lambda p, c: torch.cdist(p, c).argmin(1)),
    (checks.check_assign, lambda p, c: [min(range(len(c)), key=lambda k: float((x - c[k]).norm())) for x in p]),
    (checks.check_assign, lambda p, c: ((p[:, None] - c[None]) ** 2).sum(-1).argmin(-1)),
    (checks.check_four_turns, four_turns),
    (checks.check_four_turns, lambda image: pretext.all_rotations(image[None])),
    (checks.check_scatter, scatter),
    (checks.check_scatter, scatter_loop),
    (checks.check_scatter, lambda *a: scatter(*a).tolist()),
    (checks.check_masked_mse, masked_mse),
    (checks.check_masked_mse, masked_mse_loop),
    (checks.check_masked_mse, losses.masked_mse),
    (checks.check_leaks, leaks),
    (checks.check_leaks, leaks_by_gradient),
    (checks.check_leaks, lambda make, x, m: (make(x, m) - make(x + 9 * m, m)).abs().sum() > 0),
    (checks.check_inverse, inverse),
    (checks.check_inverse, inverse_loop),
    (checks.check_inverse, lambda order: order.argsort()),
    (checks.check_farthest, farthest),
    (checks.check_farthest, farthest_loop),
    (
        checks.check_farthest,
        lambda a, b: (
            torch.cdist(F.one_hot(a).flatten(1) + 0.0, F.one_hot(b).flatten(1) + 0.0, 1).amin(1).argmax().item()
        ),
    ),
    (checks.check_cut, cut),
    (checks.check_cut, cut_by_unfolding),
    (checks.check_cut, lambda *a: list(cut(*a))),
    (checks.check_cut, lambda *a: cut(*a).numpy()),
    (checks.check_cut, lambda *a: list(cut(*a).numpy())),
    (checks.check_turn, turn),
    (checks.check_turn, turn_loop),
    (checks.check_turn, pretext.rotate),
    (checks.check_knows_nothing, lambda k: math.log(k)),
    (checks.check_knows_nothing, lambda k: -torch.tensor(1 / k).log()),
    (checks.check_knows_nothing, lambda k: F.cross_entropy(torch.zeros(1, k), torch.tensor([k - 1])).item()),
    (checks.check_neighbour, neighbour),
    (checks.check_neighbour, neighbour_by_unfolding),
    (checks.check_balanced, balanced),
    (checks.check_balanced, balanced_loop),
    (checks.check_balanced, lambda n, g: pairs.balanced(n, g)[1:]),
    (checks.check_contrastive, contrastive),
    (checks.check_contrastive, contrastive_loop),
    (checks.check_contrastive, losses.contrastive),
    (checks.check_threshold, threshold),
    (checks.check_threshold, threshold_between),
    (checks.check_threshold, lambda d, same: pairs.verification(d, same).threshold),
]
WRONG = [
    (checks.check_triplet, lambda *a: triplet(*a, norm=lambda x: x.square().sum(dim=1)), "squared the distances"),
    (checks.check_triplet, lambda *a: triplet(*a, cut=lambda x: x), "maximum with 0 is missing"),
    (checks.check_triplet, lambda *a: F.relu(triplet(*a, cut=lambda x: x)), "taken of the mean"),
    (checks.check_triplet, lambda a, p, n, margin: triplet(a, n, p, margin), "changed places"),
    (checks.check_triplet, lambda a, p, n, margin: triplet(a, p, n, 0), "margin is not used"),
    (checks.check_triplet, lambda a, p, n, margin: triplet(a, p, n, -margin), "subtracted the margin"),
    (checks.check_triplet, lambda a, p, n, margin: triplet(a, p, n, 1.0), "the margin is 1"),
    (checks.check_triplet, lambda *a: triplet(*a, mean=torch.sum), "summed"),
    (checks.check_triplet, lambda *a: triplet(*a, mean=lambda x: x[x > 0].mean()), "the zeros count too"),
    (checks.check_triplet, lambda a, p, n, margin: triplet(p, a, n, margin), "it is to the anchor"),
    (checks.check_triplet, lambda *a: triplet(*a, norm=lambda x: x.abs().sum(dim=1)), "sums of absolute"),
    (checks.check_triplet, lambda *a: triplet(*a, norm=lambda x: x.norm()), "one norm of the whole batch"),
    (checks.check_triplet, lambda *a: triplet(*a, norm=lambda x: x.square().mean(dim=1).sqrt()), "the loss is 1.1"),
    (checks.check_triplet, lambda *a: triplet(*a, mean=lambda x: x), "yours has shape (6,)"),
    (checks.check_triplet, lambda *a: triplet(*a, norm=lambda x: x.square().sum(dim=1).sqrt()), "root has no slope"),
    (
        checks.check_triplet,
        lambda a, p, n, margin: triplet(a, p, n, margin) if len(a) == 6 else triplet(a, p, n, 1.0),
        "the margin, 0.5; yours is 1.0000",
    ),
    (checks.check_hardness, lambda *a: 2 - hardness(*a), "other way round"),
    (checks.check_hardness, lambda *a: hardness(*a) + 1, "you count 1, 2, 3"),
    (checks.check_hardness, lambda near, far, m: 2 * (far <= near), "use the margin"),
    (checks.check_hardness, lambda near, far, m: (far < near + m).long(), "call hard negatives semi-hard"),
    (checks.check_hardness, lambda near, far, m: 2 * (far < near + m), "call semi-hard negatives hard"),
    (checks.check_hardness, lambda near, far, m: hardness(far, near, m), "changed places"),
    (checks.check_hardness, lambda near, far, m: hardness(near, far, 0.5), "wrong with 2"),
    (checks.check_hardness, lambda near, far, m: (far <= near + m).long() + (far <= near).long(), "exactly easy"),
    (checks.check_hardness, lambda near, far, m: (far < near + m).long() + (far < near).long(), "it is hard"),
    (checks.check_hardness, lambda near, far, m: hardness(near, far, m)[:2], "shape (7,); yours has shape (2,)"),
    (checks.check_hardness, lambda near, far, m: 0 * hardness(near, far, m), "expected [2, 1, 0, 0, 1, 2, 1]"),
    (checks.check_semi_hard, lambda d, m: semi_hard(d, m, none=0), "give −1 for them; you gave [0, 0]"),
    (checks.check_semi_hard, lambda d, m: (d + 9 * torch.eye(len(d))).argmin(dim=1), "nearest of all"),
    (checks.check_semi_hard, lambda d, m: semi_hard(d, m, choose=torch.argmax, hidden=-1.0), "farthest in the ring"),
    (checks.check_semi_hard, lambda d, m: semi_hard(d, m, low=d.diagonal()[:, None] - 1e-6), "no negative of its own"),
    (checks.check_semi_hard, lambda d, m: semi_hard(d.T, m), "anchor 0"),
    (
        checks.check_semi_hard,
        lambda d, m: semi_hard(d, m, choose=lambda x, dim: x.argmin(dim=0)),
        "nearest anchor of each positive",
    ),
    (checks.check_semi_hard, lambda d, m: semi_hard(d, 2.5), "give −1 for them; you gave [4, -1]"),
    (checks.check_semi_hard, lambda d, m: semi_hard(d, 0.6), "wrong with 2.5"),
    (checks.check_semi_hard, lambda d, m: semi_hard(d[:5, :5], m)[torch.arange(len(d)) % 5], "wrong for twelve"),
    (checks.check_semi_hard, lambda d, m: semi_hard(d, m)[:2], "shape (5,); yours has shape (2,)"),
    (checks.check_semi_hard, lambda d, m: semi_hard(d, m + 1e-6), "exactly easy: neither is in the ring"),
    (checks.check_semi_hard, lambda d, m: 0 * semi_hard(d, m), "it is number 1; you gave 0"),
    (checks.check_semi_hard, lambda d, m: d.min(dim=1).values, "asked for whole numbers; you gave [0.3, 0.1, 0.2"),
    (checks.check_hardness, lambda near, far, m: (far < near * (1 + m)).long() + (far <= near).long(), "a share of it"),
    (checks.check_triplet, lambda *a: triplet(*a, norm=lambda x: x.sum(dim=1).sqrt()).item(), "you gave nan"),
    (checks.check_contrastive, lambda a, b, s, m: ((a - b).sum(dim=1).sqrt()).mean(), "you gave nan"),
    (checks.check_contrastive, contrastive_at_one_point, "the gradient is not a number"),
    (checks.check_masked_mse, lambda p, t, m: ((p - t)[m.expand_as(t)]).sqrt().mean(), "you gave nan"),
    (
        checks.check_masked_mse,
        lambda p, t, m: [masked_mse(*b) for b in zip(p, t, m)],
        "asked for a number; you returned",
    ),
    (checks.check_leaks, lambda make, x, m: not torch.equal(make(x, m), make(corner(x), m)), "a pixel that stays"),
    (checks.check_nearest, lambda z, i: z[nearest(z, i)], "asked for one number, that of the nearest row"),
    (checks.check_nearest, nearest_hidden_by_zero, "hide it with a number below −1"),
    (checks.check_draw, lambda y, n, s: draw(y, n, s).view(-1, n), "torch.cat puts"),
    (checks.check_draw, lambda y, n, s: draw(y, n, s)[torch.isin(y[draw(y, n, s)], torch.arange(10))], "wrong for 12"),
    (checks.check_assign, lambda p, c: torch.cdist(p, c, p=1).argmin(1), "The distance is the Euclidean one"),
    (checks.check_assign, lambda p, c: torch.cdist(p, c, p=torch.inf).argmin(1), "The distance is the Euclidean one"),
    (checks.check_assign, lambda p, c: torch.cdist(p[:, :1], c[:, :1]).argmin(1), "expected centres"),
    (checks.check_assign, lambda p, c: torch.cdist(p, c).min(1), "values and their places"),
    (checks.check_four_turns, lambda image: ([image, image.rot90(1, (1, 2))[:, :2]], range(4)), "asked for one tensor"),
    (checks.check_neighbour, lambda x, k, p, g, m: neighbour(x, k, p, g, m, first=half_way(x, p)), "wrong for 7"),
    (checks.check_threshold, threshold_unsorted, "the best threshold gets"),
    (checks.check_chance, lambda k: math.nan, "you gave nan"),
    (checks.check_chance, lambda k: k, "the number of classes"),
    (checks.check_chance, lambda k: 100 / k, "percent"),
    (checks.check_chance, lambda k: 0.1, "is right 0.5 of the time; you gave 0.1"),
    (checks.check_chance, lambda k: "one in K", "asked for a number"),
    (checks.check_nearest, lambda z, i: int((F.normalize(z, dim=1) @ F.normalize(z, dim=1)[i]).argmax()), "row itself"),
    (checks.check_nearest, euclidean, "smallest distance"),
    (checks.check_nearest, dot_product, "dot product"),
    (checks.check_nearest, lambda z, i: int(F.cosine_similarity(z, z[i : i + 1]).argmin()), "least similar"),
    (checks.check_nearest, lambda z, i: float(F.cosine_similarity(z, z[:1])[1]), "looks like a similarity"),
    (checks.check_nearest, lambda z, i: nearest(z, 0), "wrong for row 3"),
    (checks.check_draw, same_for_every_seed, "take the first ones"),
    (checks.check_draw, forgets_its_seed, "same seed gave two different draws"),
    (checks.check_draw, any_class, "each class should come 4 times"),
    (checks.check_draw, with_repeats, "drawn twice"),
    (checks.check_draw, lambda y, n, s: draw(y, 1, s), "12 indices"),
    (checks.check_assign, lambda p, c: torch.cdist(p, c).argmin(0), "axis of argmin"),
    (checks.check_assign, lambda p, c: torch.cdist(p, c).argmax(1), "farthest"),
    (checks.check_assign, lambda p, c: torch.cdist(p, c), "shape"),
    (checks.check_assign, lambda p, c: (p @ c.T).argmax(1), "expected centres"),
    (checks.check_four_turns, lambda image: four_turns(image, sign=-1), "clockwise"),
    (checks.check_four_turns, lambda image: four_turns(image)[0], "two things"),
    (checks.check_four_turns, lambda image: (torch.stack([image] * 4), torch.arange(4)), "are the same"),
    (checks.check_four_turns, lambda image: (four_turns(image)[0], torch.arange(1, 5)), "targets are"),
    (checks.check_four_turns, lambda image: (four_turns(image)[0].flip(3), torch.arange(4)), "last two axes"),
    (checks.check_scatter, lambda n, p, k, g: ~scatter(n, p, k, g), "marked the 5 patches of 8 that stay visible"),
    (checks.check_scatter, scatter_by_share, "only now and then"),
    (checks.check_scatter, scatter_with_repeats, "yours hide [1, 2, 3]"),
    (checks.check_scatter, lambda n, p, k, g: scatter(1, p, k, g).expand(n, p), "every image draws for itself"),
    (checks.check_scatter, lambda n, p, k, g: scatter(n, p, k, None), "same generator gave two different"),
    (checks.check_scatter, lambda n, p, k, g: scatter(n, p, k, torch.Generator().manual_seed(0)), "another generator"),
    (checks.check_scatter, scatter_in_a_row, "only 8 of them"),
    (checks.check_scatter, lambda n, p, k, g: scatter(n, p, 3, g), "in the place of an argument"),
    (checks.check_scatter, lambda n, p, k, g: scatter(n, p, k, g).float(), "torch.float32; expected torch.bool"),
    (checks.check_scatter, lambda n, p, k, g: scatter(p, n, k, g), "yours is (8, 40)"),
    (checks.check_masked_mse, lambda p, t, m: ((p - t) ** 2).mean(), "left the mask out"),
    (checks.check_masked_mse, lambda p, t, m: ((p - t) ** 2 * m).mean(), "divided by all pixels"),
    (checks.check_masked_mse, lambda p, t, m: masked_mse(p, t, ~m), "error of the visible pixels"),
    (checks.check_masked_mse, lambda p, t, m: ((p - t) ** 2 * m).sum() / m.sum(), "twice too large"),
    (checks.check_masked_mse, lambda *a: torch.stack([masked_mse(*b) for b in zip(*a)]).mean(), "each image, then"),
    (checks.check_masked_mse, lambda p, t, m: ((p - t) ** 2 * m).sum(), "you summed"),
    (checks.check_masked_mse, lambda p, t, m: (p - t).abs()[m.expand_as(t)].mean(), "mean absolute error"),
    (checks.check_masked_mse, lambda *a: masked_mse(*a).sqrt(), "took the root"),
    (checks.check_masked_mse, lambda p, t, m: ((p - t) ** 2 * m).sum() / (~m).sum() / 2, "inside the holes is"),
    (checks.check_masked_mse, lambda p, t, m: ((p - t) ** 2)[m.expand_as(t)], "asked for one number"),
    (checks.check_leaks, lambda *a: not leaks(*a), "the other way round"),
    (checks.check_leaks, lambda make, x, m: not torch.equal(make(x, m), make(1 - x, m)), "and no visible one"),
    (checks.check_leaks, lambda make, x, m: not torch.equal(make(x, m), make(x * m, m)), "and no visible one"),
    (checks.check_leaks, lambda make, x, m: bool((make(x, m) == x)[m.expand_as(x)].all()), "faint leak"),
    (checks.check_leaks, leaks_visibly, "faint leak"),
    (checks.check_leaks, leaks_in_the_hole, "what a blur carries"),
    (checks.check_leaks, lambda make, x, m: leaks(make, x, m) and "centred" not in str(make), "mean to which hidden"),
    (checks.check_leaks, lambda make, x, m: False, "without a hole honest"),
    (checks.check_leaks, lambda make, x, m: make(x, m) == x, "true or false"),
    (checks.check_inverse, lambda order: order, "the order itself"),
    (checks.check_inverse, lambda order: order[order], "since piece 0 lies at place 1; yours is [4, 3, 0, 2, 1]"),
    (checks.check_inverse, lambda order: order.flip(0), "the way back is [1, 2, 4, 0, 3]"),
    (checks.check_inverse, lambda order: order.argsort() + 1, "count from 1"),
    (checks.check_inverse, lambda order: order.sort().values, "you sorted the numbers"),
    (checks.check_inverse, lambda order: order.argsort(descending=True), "from the last piece to the first"),
    (checks.check_inverse, lambda order: order.argsort()[:4], "yours is (4,)"),
    (checks.check_inverse, lambda order: inverse(order % 5)[torch.arange(len(order)) % 5], "wrong for 9"),
    (checks.check_farthest, lambda a, b: farthest(a, b, lambda d: d.sum(dim=1)), "largest sum of distances"),
    (checks.check_farthest, lambda a, b: farthest(a, b, lambda d: -d.min(dim=1).values), "took the nearest"),
    (checks.check_farthest, lambda a, b: farthest(a, b, lambda d: d.max(dim=1).values), "number 4; you gave 0"),
    (checks.check_farthest, lambda a, b: a[farthest(a, b)], "asked for one number"),
    (checks.check_farthest, lambda a, b: (a[:, None] != b).sum(dim=2).min(dim=1).values.max(), "wrong for six"),
    (checks.check_farthest, lambda a, b: farthest(a, b if len(b) > 2 else b[:1]), "the first of the chosen alone"),
    (checks.check_farthest, lambda a, b: farthest(a, b if len(b) > 2 else b[-1:]), "the last of the chosen alone"),
    (checks.check_cut, lambda x, t, m: cut(x, t, 0 * m), "the moves are not used"),
    (checks.check_cut, lambda x, t, m: cut(x, t, m.flip(1)), "the other way round"),
    (checks.check_cut, lambda x, t, m: cut(x, t, m, by_rows=False), "column by column"),
    (checks.check_cut, lambda x, t, m: cut(x, t, m, step=t), "a third of the image's"),
    (checks.check_cut, lambda x, t, m: cut(x, t, m.flip(0)), "tile 0 is not"),
    (checks.check_cut, lambda x, t, m: cut(x, t, m).unflatten(0, (3, 3)), "yours is (3, 3, 2, 3, 3)"),
    (checks.check_cut, lambda x, t, m: cut(x, t + 1, 0 * m), "yours is (9, 2, 4, 4)"),
    (checks.check_cut, lambda x, t, m: cut(x, t, m, step=10), "called with a tensor (2, 12, 12), 3, a tensor (9, 2)"),
    (checks.check_cut, lambda x, t, m: [x[:, :t, i : i + t] for i in range(0, 90, 10)], "your tile 1 is (2, 3, 2)"),
    (checks.check_cut, lambda x, t, m: cut(x, t, m, step=4) if len(x) == 2 else cut(x, t, m, step=2), "for 9 × 9"),
    (checks.check_turn, lambda x, q: turn(x, -q), "clockwise"),
    (checks.check_turn, lambda x, q: turn(x, 0 * q + q[0]), "every image by 1 quarters"),
    (checks.check_turn, lambda x, q: x, "every image by 0 quarters"),
    (checks.check_turn, lambda x, q: turn(x, q).flip(3), "also mirrored"),
    (checks.check_turn, turn_by_sampling, "interpolated"),
    (checks.check_turn, lambda x, q: torch.stack([i.transpose(1, 2) for i in x]), "image 0 is not"),
    (checks.check_turn, lambda x, q: turn(x, q.clamp(min=0)), "does not restore"),
    (checks.check_turn, lambda x, q: turn(x, q).float(), "another type"),
    (checks.check_turn, lambda x, q: turn(x, q)[0], "yours is (2, 4, 4)"),
    (checks.check_knows_nothing, lambda k: 1 / k, "probability"),
    (checks.check_knows_nothing, lambda k: math.log(1 / k), "not negative"),
    (checks.check_knows_nothing, lambda k: math.log2(k), "bits"),
    (checks.check_knows_nothing, lambda k: math.log10(k), "base 10"),
    (checks.check_knows_nothing, lambda k: math.log(k) / k, "right answer alone"),
    (checks.check_knows_nothing, lambda k: math.log(4), "with 8 answers, each with probability 1/8: 2.079"),
    (checks.check_neighbour, lambda x, k, p, g, m: neighbour(x, k, p, g, (0, 0)), "jitter is not used"),
    (checks.check_neighbour, lambda x, k, p, g, m: neighbour(x, k, p, g, m[::-1]), "down, then right"),
    (
        checks.check_neighbour,
        lambda *a: neighbour(*a, [(right, down) for down, right in pretext.DIRECTIONS]),
        "column by column",
    ),
    (checks.check_neighbour, lambda *a: neighbour(*a, pretext.DIRECTIONS[::-1]), "opposite side"),
    (checks.check_neighbour, neighbour_of_nine, "count the middle"),
    (checks.check_neighbour, lambda x, k, p, g, m: neighbour(x, k, p, 0, m), "no gap"),
    (checks.check_neighbour, lambda x, k, p, g, m: neighbour(x, k, p, 2 * g, m), "twice as wide"),
    (
        checks.check_neighbour,
        lambda x, *a: neighbour(x, *a, first=[side // 2 for side in x.shape[1:]]),
        "too far down and right",
    ),
    (checks.check_neighbour, lambda x, k, p, g, m: neighbour(x, 0, p, g, m), "direction 1: the corner should be"),
    (checks.check_neighbour, lambda x, k, p, g, m: neighbour(x, k, 4, g, m)[:, :p, :p], "give (1, 8, 8)"),
    (checks.check_neighbour, lambda x, k, p, g, m: neighbour(x, k, p, 1, m), "in the place of an argument"),
    (checks.check_neighbour, lambda x, k, p, g, m: neighbour(x, k, p, g, m)[0], "yours is (4, 4)"),
    (checks.check_balanced, any_image, "image itself now and then"),
    (checks.check_balanced, shuffled, "image itself now and then"),
    (checks.check_balanced, coin, "of 12 pairs 6 are to be the same; yours are"),
    (checks.check_balanced, lambda n, g: (balanced(n, g)[0], ~balanced(n, g)[1]), "is called the same, but it is of"),
    (checks.check_balanced, lambda n, g: (torch.arange(n), torch.arange(n) < n // 2), "it is image 6 with itself"),
    (checks.check_balanced, lambda n, g: (lambda i, s: (i, ~s))(*balanced(n, g)), "the other way round"),
    (checks.check_balanced, first_half_the_same, "another generator gave the same pairs"),
    (checks.check_balanced, lambda n, g: fixed(n, g, torch.arange(n) < n // 2), "40 draws of 40"),
    (checks.check_balanced, lambda n, g: fixed(n, g, torch.arange(n) >= n - n // 2), "never paired with itself"),
    (
        checks.check_balanced,
        lambda n, g: balanced(n, g, torch.randint(1, n - 1, (n,), generator=g)),
        "the one 11 further",
    ),
    (
        checks.check_balanced,
        lambda n, g: balanced(n, g, torch.randint(2, (n,), generator=g) * 2 - 1),
        "no image was paired",
    ),
    (checks.check_balanced, lambda n, g: balanced(n, g, same=n / 2), "wrong for 31"),
    (checks.check_balanced, lambda n, _: balanced(n, torch.Generator().manual_seed(0)), "another generator gave"),
    (checks.check_balanced, lambda n, g: balanced(n, g, step=1), "only ever paired with itself and 1"),
    (checks.check_balanced, lambda n, g: balanced(n, None), "the same generator gave other pairs"),
    (checks.check_balanced, lambda n, g: balanced(12, g), "both have shape (30,)"),
    (checks.check_balanced, lambda n, g: balanced(n, g, same=6), "wrong for 30"),
    (checks.check_balanced, lambda n, g: balanced(n, g)[0], "return two things"),
    (checks.check_balanced, lambda n, g: (balanced(n, g)[0] + 1, balanced(n, g)[1]), "there are 0 to 11"),
    (checks.check_balanced, lambda n, g: (balanced(n, g)[0], balanced(n, g)[1].float()), "expected torch.bool"),
    (checks.check_balanced, lambda n, g: (balanced(n, g)[0] / 1, balanced(n, g)[1]), "expected their numbers"),
    (checks.check_balanced, lambda n, g: (torch.full((n,), n), torch.arange(n) < n // 2), "there are 0 to 11"),
    (checks.check_contrastive, lambda *a: contrastive(*a, half=1), "twice too large"),
    (checks.check_contrastive, lambda a, b, s, m: contrastive(a, b, ~s, m), "the other way round"),
    (checks.check_contrastive, contrastive_unclamped, "pulled back to it"),
    (checks.check_contrastive, lambda *a: contrastive(*a, power=1), "yours are not"),
    (
        checks.check_contrastive,
        lambda a, b, s, m: torch.where(s, (a - b).norm(dim=1) ** 2, F.relu(m - (a - b).norm(dim=1))).mean() / 2,
        "what is left of the margin is to be squared",
    ),
    (checks.check_contrastive, lambda *a: contrastive_squared(*a, power=1), "not max(0, m − d²)"),
    (checks.check_contrastive, contrastive_squared, "with d the root"),
    (checks.check_contrastive, lambda a, *rest: len(a) * contrastive(a, *rest), "you summed"),
    (
        checks.check_contrastive,
        lambda a, b, s, m: contrastive(a[s], b[s], s[s], m) + contrastive(a[~s], b[~s], s[~s], m),
        "mean of each kind",
    ),
    (checks.check_contrastive, lambda a, b, s, m: contrastive(a, b, s, 0.0), "the different pairs do not count"),
    (checks.check_contrastive, lambda a, b, s, m: contrastive(torch.where(s[:, None], b + 9, a), b, ~s, m), "you gave"),
    (checks.check_contrastive, lambda a, b, s, m: (a - b).norm(dim=1), "yours has shape (5,)"),
    (checks.check_contrastive, lambda a, b, s, m: contrastive(a, b, s, 1.0), "wrong for margin 2"),
    (checks.check_contrastive, lambda *a: contrastive(*a).item(), "no gradient can flow"),
    (checks.check_contrastive, contrastive_by_hand, "the gradient is not a number"),
    (
        checks.check_threshold,
        lambda d, s: max(d.tolist(), key=lambda t: float(((d <= t) == s).sum())),
        "is the distance of a pair itself",
    ),
    (checks.check_threshold, lambda d, s: pairs.verification(d, s).accuracy, "is the share of right answers"),
    (
        checks.check_threshold,
        lambda d, s: max(d.tolist(), key=lambda t: float(((d > t) == s).sum())),
        "you call the far pairs the same",
    ),
    (checks.check_threshold, lambda d, s: d.mean(), "the mean distance gets"),
    (checks.check_threshold, lambda d, s: d.median(), "the median distance gets"),
    (checks.check_threshold, lambda d, s: d.max(), "the largest distance gets"),
    (checks.check_threshold, lambda d, s: (d[s].mean() + d[~s].mean()) / 2, "the middle between"),
    (checks.check_threshold, lambda d, s: 0.5 if d.max() < 9 else 0.5, "ten times as large"),
    (checks.check_threshold, lambda d, s: -1.0, "the best threshold gets 0.85"),
    (checks.check_threshold, lambda d, s: d < 0.5, "asked for one number"),
]

for path in sorted(Path(__file__).parent.glob("answers_*.py")):
    answers = importlib.import_module(path.stem)
    RIGHT += answers.RIGHT
    WRONG += answers.WRONG


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_a_right_answer_passes(check, answer, capsys):
    assert check(answer) is True
    assert capsys.readouterr().out.startswith("✓")


@pytest.mark.parametrize(("check", "answer", "reason"), WRONG)
def test_a_wrong_answer_is_told_why(check, answer, reason, capsys, monkeypatch):
    monkeypatch.delenv("SSLKIT_STRICT", raising=False)
    assert check(answer) is False
    assert reason in capsys.readouterr().out


EVERY = sorted({check for check, _ in RIGHT}, key=lambda check: check.__name__)


def test_every_check_is_tried():
    assert [c.__name__ for c in EVERY] == sorted(name for name in vars(checks) if name.startswith("check_"))


def test_table_of_answers(capsys, monkeypatch):
    """Each check accepts three right answers or more, and rejects the wrong ones with their reasons (`pytest -s`)."""
    monkeypatch.delenv("SSLKIT_STRICT", raising=False)
    rows = {}
    for check in EVERY:
        right = [check(answer) for of, answer in RIGHT if of is check]
        capsys.readouterr()
        told = [(check(answer), reason in capsys.readouterr().out) for of, answer, reason in WRONG if of is check]
        rows[check.__name__] = (sum(right), len(right), sum(not ok and said for ok, said in told), len(told))
    lines = [f"{'':<28}right ones accepted   wrong ones told why"]
    lines += [f"{name:<28}{f'{a} of {b}':<22}{c} of {d}" for name, (a, b, c, d) in rows.items()]
    print("\n" + "\n".join(lines))
    assert not [name for name, (a, b, c, d) in rows.items() if a < b or c < d], "an answer is judged wrongly"
    assert not [name for name, (_, b, _, d) in rows.items() if b < 3 or d < 4], "too few answers to try a check with"


@pytest.mark.parametrize("check", EVERY)
def test_a_stub_is_not_written_yet(check, capsys, monkeypatch):
    monkeypatch.delenv("SSLKIT_STRICT", raising=False)
    assert check(lambda *_: ...) is False
    assert "not written yet" in capsys.readouterr().out
    assert check(lambda *_: None) is False
    assert "is there a `return`?" in capsys.readouterr().out
    assert check(lambda *_: 1 / 0) is False
    told = capsys.readouterr().out
    assert "your function raised ZeroDivisionError" in told and "in the line: assert check(lambda *_: 1 / 0)" in told


@pytest.mark.parametrize("check", EVERY)
def test_strict_raises(check, monkeypatch):
    monkeypatch.setenv("SSLKIT_STRICT", "1")
    with pytest.raises(AssertionError, match="not written yet"):
        check(lambda *_: ...)


def test_prediction_beside_measurement(capsys):
    checks.predicted(0.5, 0.8)
    assert capsys.readouterr().out == "you predicted accuracy 0.50; measured 0.80; off by 0.30\n"
    checks.predicted(..., 0.8)
    assert "measured accuracy: 0.80 (you made no prediction" in capsys.readouterr().out


def solutions(source: Path) -> dict[str, str]:
    """The functions of a lesson that hold a solution, by name."""
    cells = re.split(r"^# %%.*$", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.search(r"def (\w+)", cell)[1]: cell for cell in cells if "### BEGIN SOLUTION" in cell}


def test_the_lesson_on_puzzles_writes_what_the_package_does():
    lesson = next((path for path in SOURCES if path.stem == "03_jigsaw"), None)
    if lesson is None:
        pytest.skip("there is no lesson on puzzles here")
    scope: dict = {"torch": torch}
    for cell in solutions(lesson).values():
        exec(cell, scope)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 30, 30, generator=generator)
    tiles = pretext.tiles(image[None], generator, tile=8)
    moves = [[down, right] for down in range(3) for right in range(3)]
    every = [scope["cut"](image, 8, torch.tensor([move] * 9)) for move in moves]
    found = {i: {k for k in range(9) if torch.equal(every[k][i], tiles[0, i])} for i in range(9)}
    assert all(len(k) == 1 for k in found.values()) and len(set.union(*found.values())) > 3

    orders, candidates = pretext.permutations(7, pieces=4), pretext.permutations(24, pieces=4)
    for k in range(1, 7):
        ours = candidates[scope["farthest"](candidates, orders[:k])]
        assert (ours != orders[:k]).sum(dim=1).min() == (orders[k] != orders[:k]).sum(dim=1).min()

    which = torch.tensor([3])
    shuffled = pretext.shuffle(tiles, which, pretext.permutations(5))
    assert torch.equal(shuffled[:, scope["inverse"](pretext.permutations(5)[3])], tiles)


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_the_solutions_of_the_lesson_pass(source, monkeypatch):
    """What the lesson writes out is lifted from its source and checked, without running the lesson."""
    monkeypatch.setenv("SSLKIT_STRICT", "1")
    found = solutions(source)
    assert found
    for name, cell in found.items():
        scope: dict = {"torch": torch, "F": F}
        exec(cell, scope)
        assert vars(checks)[f"check_{name}"](scope[name])
        assert f"checks.check_{name}({name})" in source.read_text(encoding="utf-8")
