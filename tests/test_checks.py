"""Each check accepts right answers, however they are written, and rejects wrong ones for the right reason."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from sslkit import checks, losses, pretext

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


RIGHT = [
    (checks.check_chance, lambda k: 1 / k),
    (checks.check_chance, lambda k: torch.tensor(1.0, dtype=torch.float64) / k),
    (checks.check_nearest, nearest),
    (checks.check_nearest, nearest_loop),
    (checks.check_draw, draw),
    (checks.check_draw, lambda *a: draw(*a).tolist()),
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
    (checks.check_turn, turn),
    (checks.check_turn, turn_loop),
    (checks.check_turn, pretext.rotate),
    (checks.check_knows_nothing, lambda k: math.log(k)),
    (checks.check_knows_nothing, lambda k: -torch.tensor(1 / k).log()),
    (checks.check_knows_nothing, lambda k: F.cross_entropy(torch.zeros(1, k), torch.tensor([k - 1])).item()),
    (checks.check_neighbour, neighbour),
    (checks.check_neighbour, neighbour_by_unfolding),
]
WRONG = [
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
]


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


@pytest.mark.parametrize("check", EVERY)
def test_a_stub_is_not_written_yet(check, capsys, monkeypatch):
    monkeypatch.delenv("SSLKIT_STRICT", raising=False)
    assert check(lambda *_: ...) is False
    assert "not written yet" in capsys.readouterr().out
    assert check(lambda *_: None) is False
    assert "is there a `return`?" in capsys.readouterr().out
    assert check(lambda *_: 1 / 0) is False
    assert "your function raised ZeroDivisionError" in capsys.readouterr().out


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
