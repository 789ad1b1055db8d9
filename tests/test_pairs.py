"""Pairs: halves that are halves, negatives that are others, faults that are named, and measures against slow twins."""

from __future__ import annotations

import copy
import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sslkit import device as devices
from sslkit import losses, nets, pairs
from sslkit.augment import STRONG, to_float
from sslkit.data import load


def points(n: int = 10, d: int = 3, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def anchors(n: int = 10, d: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Anchors and positives: some positives nearer than every negative, some farther than most, one than all."""
    a, scale = points(n, d, seed), torch.linspace(0.05, 2.5, n, dtype=torch.float64)[:, None]
    scale[-1] = 15
    return a, a + points(n, d, seed + 1) * scale


# ---- pairs and negatives -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 40), st.integers(0, 10**6))
def test_half_of_the_pairs_are_the_same_and_no_image_differs_from_itself(n, seed):
    first, second, same = pairs.balanced(n, devices.generator(seed))
    assert torch.equal(first, torch.arange(n))
    assert int(same.sum()) == n // 2
    assert torch.equal(first == second, same)
    assert 0 <= second.min() and second.max() < n


def test_every_other_image_is_drawn_as_often():
    g, n = devices.generator(0), 5
    drawn = torch.stack([pairs.others(n, g) for _ in range(4000)])
    counts = torch.stack([(drawn == j).sum(dim=0) for j in range(n)])  # (j, i)
    assert counts.diagonal().sum() == 0
    off = counts[~torch.eye(n, dtype=torch.bool)]
    assert (off - 1000).abs().max() < 5 * math.sqrt(4000 * 0.25 * 0.75)


def test_which_pairs_are_the_same_changes_with_the_generator():
    share = torch.stack([pairs.balanced(6, devices.generator(s))[2] for s in range(400)]).float().mean(dim=0)
    assert (share - 0.5).abs().max() < 0.15
    again = [pairs.balanced(6, devices.generator(7)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*again))


def test_pairs_take_first_and_second_from_the_two_views(device):
    a = torch.arange(8.0, device=device)[:, None, None, None].expand(8, 1, 2, 2)
    first, second, same = pairs.pairs(a, a + 100, devices.generator(0, device))
    assert torch.equal(first, a)
    assert torch.equal(second == a + 100, same[:, None, None, None].expand_as(a))
    assert (second >= 100).all() and same.sum() == 4


@pytest.mark.parametrize("n", [0, 1])
def test_one_image_has_no_pairs(n):
    for draw in (pairs.others, pairs.balanced):
        with pytest.raises(ValueError, match="at least two"):
            draw(n)
    for kind in pairs.KINDS:
        with pytest.raises(ValueError, match="at least two"):
            pairs.mine(points(n), points(n), kind)


def test_pairs_need_views_of_the_same_images():
    with pytest.raises(ValueError, match="expected two views of the same images; got"):
        pairs.pairs(points(4), points(5))


def slow_mine(anchor, positive, kind: str) -> list[int]:
    chosen = []
    for i in range(len(anchor)):
        d = {j: math.dist(anchor[i].tolist(), positive[j].tolist()) for j in range(len(positive))}
        own = d.pop(i)
        farther = {j: x for j, x in d.items() if x > own}
        if kind == "hard":
            chosen.append(min(d, key=d.get))
        elif kind == "easy" or not farther:
            chosen.append(max(d, key=d.get))
        else:
            chosen.append(min(farther, key=farther.get))
    return chosen


@pytest.mark.parametrize("kind", ["easy", "semi-hard", "hard"])
@pytest.mark.parametrize("n, seed", [(2, 0), (3, 1), (10, 0), (10, 5), (40, 2)])
def test_a_negative_is_the_one_that_the_loop_finds(n, seed, kind, device):
    a, p = anchors(n, 3, seed)
    assert pairs.mine(a.to(device), p.to(device), kind).tolist() == slow_mine(a, p, kind)


def test_the_negatives_of_the_tests_are_of_every_sort():
    a, p = anchors(40, 3, 2)
    d = losses.distances(a, p)
    d.fill_diagonal_(torch.inf)
    near = torch.linalg.vector_norm(a - p, dim=1)
    farther = (d > near[:, None]) & d.isfinite()
    assert (~farther.any(dim=1)).sum() >= 1  # none is farther
    assert (farther.sum(dim=1) == 39).sum() >= 3  # all are
    kinds = [slow_mine(a, p, kind) for kind in ("easy", "semi-hard", "hard")]
    assert all(sum(x != y for x, y in zip(u, v)) >= 5 for u, v in itertools.combinations(kinds, 2))


def test_semi_hard_negatives_have_a_loss_between_0_and_the_margin_where_there_are_any():
    a, p = anchors(100, 3, 3)
    n, margin = p[pairs.mine(a, p)], 0.1
    near, far = (torch.linalg.vector_norm(a - z, dim=1) for z in (p, n))
    d = losses.distances(a, p)
    shell = (d > near[:, None]) & (d < near[:, None] + margin)
    some = shell.any(dim=1)
    assert some.sum() > 20 and (~some).sum() > 20
    assert ((far > near) & (far < near + margin))[some].all()
    value = near - far + margin
    lone = ~some
    assert ((value[lone] <= 0) | (value[lone] >= margin)).all()


def test_random_negatives_are_drawn_from_the_others():
    a, p = anchors()
    g = devices.generator(0)
    drawn = torch.stack([pairs.mine(a, p, "random", g) for _ in range(200)])
    assert (drawn != torch.arange(10)).all()
    assert all(len(column.unique()) == 9 for column in drawn.T)
    assert torch.equal(pairs.mine(a, p, "random", devices.generator(3)), pairs.others(10, devices.generator(3)))


def test_mining_has_no_gradient_and_knows_its_kinds():
    a, p = (z.requires_grad_() for z in anchors())
    assert pairs.mine(a, p).dtype == torch.int64
    with pytest.raises(ValueError, match="unknown kind of negative 'semihard'. Did you mean 'semi-hard'"):
        pairs.mine(a, p, "semihard")


def test_active_counts_the_triplets_with_a_loss():
    a, p = anchors(30)
    n = p.roll(1, 0)
    each = [losses.triplet(*(z[i : i + 1] for z in (a, p, n)), 0.7).item() for i in range(30)]
    expected = sum(value > 0 for value in each) / 30
    assert 0.2 < expected < 0.8
    assert pairs.active(a, p, n, 0.7).item() == pytest.approx(expected)


# ---- faults ------------------------------------------------------------------------------------------------------


def test_shared_weights_are_the_same_tensors_and_not_equal_ones():
    net = nets.ConvNet(3, widths=(4, 8))
    assert pairs.weights_shared(net, net) == ""
    twin = copy.deepcopy(net)
    assert "equal now, and will drift apart" in pairs.weights_shared(net, twin)
    with torch.no_grad():
        next(twin.parameters()).add_(1)
    assert "different already" in pairs.weights_shared(net, twin)
    half = nn.Sequential(net.blocks[0], copy.deepcopy(net.blocks[1]))
    whole = nn.Sequential(*net.blocks)
    assert "3 of 6 parameters" in pairs.weights_shared(whole, half)
    assert "built differently" in pairs.weights_shared(net, nets.ConvNet(3, widths=(4, 8, 8)))


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_a_collapse_is_named_with_the_values_that_the_losses_stick_at(margin):
    z = 3 + 1e-4 * margin * points(20)
    message = pairs.collapsed(z, margin)
    assert f"α = {margin:g}" in message and f"m²/4 = {margin**2 / 4:g}" in message
    same = torch.arange(20) % 2 == 0
    assert losses.triplet(z, z.roll(1, 0), z.roll(2, 0), margin).item() == pytest.approx(margin, rel=0.01)
    assert losses.contrastive(z, z.roll(1, 0), same, margin).item() == pytest.approx(margin**2 / 4, rel=0.01)
    assert pairs.collapsed(points(20), margin) == ""
    spread = pairs._off_diagonal(losses.distances(points(20), points(20))).mean()
    assert pairs.collapsed(0.03 * margin * points(20) / spread, margin) and not pairs.collapsed(
        0.08 * margin * points(20) / spread, margin
    )
    two_places = torch.eye(2).repeat(10, 1)  # the same for half of the images is no collapse
    assert pairs.collapsed(two_places, margin) == ""
    with pytest.raises(ValueError, match="at least two images"):
        pairs.collapsed(points(1))


def test_pairs_made_with_labels_are_noticed():
    labels = torch.arange(200) % 4
    first, second, same = pairs.balanced(200, devices.generator(0))
    assert pairs.leaks_labels(first, second, same, labels) == pairs.leaks_labels(first, second, same) == ""

    by_class = torch.where(same, (first + 4) % 200, second)
    message = pairs.leaks_labels(first, by_class, same, labels)
    assert "100 of 100 pairs called the same are of two images" in message and "labels made these pairs" in message
    assert "labels made" not in pairs.leaks_labels(first, by_class, same)
    shuffled = torch.where(same, (first + 1) % 200, second)
    assert "are of two images" in pairs.leaks_labels(first, shuffled, same, labels)
    assert "labels made" not in pairs.leaks_labels(first, shuffled, same, labels)

    other_class = torch.where(same, first, (first + 1) % 200)  # as only somebody who knows the classes can
    assert "Labels chose the negatives" in pairs.leaks_labels(first, other_class, same, labels)
    few = slice(20)  # of which about 2.5 would be of one class: none is no proof
    assert pairs.leaks_labels(first[few], other_class[few], same[few], labels) == ""
    itself = torch.where(torch.arange(200) == int((~same).nonzero()[0]), first, second)
    assert "1 pairs called different are an image with itself" in pairs.leaks_labels(first, itself, same)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return load("photodigits", "val").images


@pytest.mark.parametrize("seed", range(4))
def test_two_loaders_that_are_shuffled_apart_are_noticed_before_training(images, seed):
    g = devices.generator(seed)
    x = images[torch.randperm(len(images), generator=g)[:256]]
    a, b = STRONG(x, g), STRONG(x, g)
    first, second, same = pairs.pairs(a, b, g)
    assert pairs.mismatched(first, second, same) == ""
    first, second, same = pairs.pairs(a, b[torch.randperm(256, generator=g)], g)
    message = pairs.mismatched(first, second, same, describe=None)
    assert "no more alike than the others" in message and "shuffle" in message


def test_a_description_of_one_s_own_decides(images):
    x = to_float(images[:128])
    first, second, same = pairs.pairs(x, x, devices.generator(0))
    assert pairs.mismatched(first, second, same) == ""
    assert pairs.mismatched(first, second, same, describe=lambda x: torch.zeros(len(x), 1)) != ""
    with pytest.raises(ValueError, match="got 8 same and 8 different pairs; expected at least 32 of each"):
        pairs.mismatched(*pairs.pairs(x[:16], x[:16], devices.generator(0)))


# ---- measures ----------------------------------------------------------------------------------------------------


def judged(n: int = 60, seed: int = 0, ties: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances and whether the pair is the same: overlapping, and with ties."""
    g = torch.Generator().manual_seed(seed)
    same = torch.rand(n, generator=g) < 0.4
    same[:2] = torch.tensor([True, False])
    d = torch.rand(n, generator=g, dtype=torch.float64) + 0.4 * ~same
    return (d * 20).round() / 20 if ties else d, same


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("n, seed", [(2, 0), (5, 1), (60, 0), (60, 3)])
def test_the_chosen_threshold_is_the_best_there_is(n, seed, ties):
    d, same = judged(n, seed, ties)
    cuts = [-1.0, *d.tolist(), *(d + 1e-6).tolist()]
    best = max(sum((x < cut) == bool(s) for x, s in zip(d.tolist(), same)) / n for cut in cuts)
    threshold, accuracy = pairs.verification(d, same)
    assert accuracy == pytest.approx(best)
    assert ((d < threshold) == same).float().mean().item() == pytest.approx(best)


def test_a_threshold_from_elsewhere_is_taken_as_it_is():
    d, same = torch.tensor([0.1, 0.4, 0.6, 0.9]), torch.tensor([True, True, False, False])
    assert pairs.verification(d, same) == (pytest.approx(0.5), 1.0)
    assert pairs.verification(d, same, 0.3) == (0.3, 0.75)
    assert pairs.verification(d, ~same).accuracy == 0.5  # upside down: all or none are the same
    assert pairs.verification(d, ~same, 0.5).accuracy == 0.0


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_roc_is_scikit_learn_s_and_its_area_counts_pairs_of_pairs(seed, ties):
    from sklearn.metrics import roc_auc_score, roc_curve

    d, same = judged(60, seed, ties)
    ours = pairs.roc(d, same)
    fpr, tpr, _ = roc_curve(same.numpy(), -d.numpy(), drop_intermediate=False)
    assert ours.fpr.tolist() == pytest.approx(fpr.tolist()) and ours.tpr.tolist() == pytest.approx(tpr.tolist())
    assert ours.area == pytest.approx(roc_auc_score(same.numpy(), -d.numpy()))
    wins = [1.0 * (x < y) + 0.5 * (x == y) for x in d[same] for y in d[~same]]
    assert ours.area == pytest.approx(float(sum(wins)) / len(wins))
    assert 0.55 < ours.area < 0.95


def test_roc_of_a_coin_of_perfect_and_of_upside_down():
    same = torch.tensor([True, True, False, False])
    assert pairs.roc(torch.ones(4), same).area == 0.5
    assert pairs.roc(torch.arange(4.0), same).area == 1
    assert pairs.roc(torch.arange(4.0), ~same).area == 0


def test_distances_of_one_kind_cannot_be_judged():
    for measure in (pairs.roc, pairs.verification):
        with pytest.raises(ValueError, match="all pairs are of one kind"):
            measure(torch.rand(3), torch.ones(3, dtype=torch.bool))
        with pytest.raises(ValueError, match=r"expected distance \(N,\) and same \(N,\) of torch.bool; got"):
            measure(torch.rand(3), torch.ones(3))


def slow_recall(z, labels, k: int) -> float:
    right = asked = 0
    for i in range(len(z)):
        if sum(bool(y == labels[i]) for y in labels) < 2:
            continue
        order = sorted((j for j in range(len(z)) if j != i), key=lambda j: math.dist(z[i].tolist(), z[j].tolist()))
        right += any(labels[j] == labels[i] for j in order[:k])
        asked += 1
    return right / asked


@pytest.mark.parametrize("n, seed", [(7, 0), (30, 1), (1100, 2)])
def test_recall_is_that_of_the_loop(n, seed, device):
    labels = torch.randint(max(3, n // 8), (n,), generator=torch.Generator().manual_seed(seed))
    labels[0] = 99  # the only one of its class
    z = points(n, 4, seed) + 0.3 * labels[:, None].double().sin()
    k = (1, 3, 5)
    ours = pairs.recall_at(z.to(device), labels.to(device), k)
    if n > 100:  # the loop on a thousand rows, for a few of them
        d = losses.distances(z, z).fill_diagonal_(torch.inf)
        found = labels[d.argsort(dim=1)] == labels[:, None]
        asks = (labels[:, None] == labels).sum(dim=1) > 1
        expected = {i: found[asks, :i].any(dim=1).float().mean().item() for i in k}
    else:
        expected = {i: slow_recall(z, labels, i) for i in k}
    assert ours == pytest.approx(expected)
    assert ours[1] < ours[5]


def test_recall_says_what_is_wrong():
    z, labels = points(6), torch.arange(6)
    with pytest.raises(ValueError, match="no class has two images"):
        pairs.recall_at(z, labels)
    for k in ((0,), (6,), ()):
        with pytest.raises(ValueError, match="expected numbers of neighbours from 1 to 5"):
            pairs.recall_at(z, labels % 2, k)
    with pytest.raises(ValueError, match=r"expected \(N, D\) and \(N,\)"):
        pairs.recall_at(z, labels[:3])


# ---- one shot ----------------------------------------------------------------------------------------------------


def test_one_shot_is_sure_where_classes_are_points_and_guesses_where_they_are_noise():
    classes = torch.arange(60) % 12
    sure = pairs.one_shot(lambda x: x, torch.eye(12)[classes], classes, 5, 100, devices.generator(0))
    assert sure == (1.0, 0.0, 100)
    for ways in (2, 5, 12):
        noise = points(600, 8, ways, torch.float32)
        guess = pairs.one_shot(lambda x: x, noise, torch.arange(600) % 12, ways, 2000, devices.generator(1))
        assert guess.mean == pytest.approx(1 / ways, abs=0.02)
        assert guess.error == pytest.approx(((1 - 1 / ways) / ways / ways / 2000) ** 0.5, rel=0.3)


def test_one_shot_never_names_an_image_by_itself_and_draws_every_image():
    """Each image's embedding is its own number: were example and query one image, the distance would be 0."""
    classes, seen = torch.arange(24) % 6, []

    real = torch.cdist

    def watch(q, e, **settings):
        seen.append((q, e))
        return real(q, e, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "cdist", watch)
        pairs.one_shot(lambda x: x[:, None], torch.arange(24.0), classes, 4, 700, devices.generator(0))
    query, example = (torch.cat([pair[i] for pair in seen])[..., 0].long() for i in (0, 1))
    assert query.shape == example.shape == (700, 4)
    assert (query != example).all()
    assert torch.equal(classes[query], classes[example])
    assert all(len(row.unique()) == 4 for row in classes[query])
    for drawn in (query, example):
        counts = drawn.flatten().bincount(minlength=24)
        assert (counts - 2800 / 24).abs().max() < 5 * math.sqrt(2800 / 24)


def test_classes_of_an_episode_are_of_one_group():
    """A group's classes lie together, far from the others: to tell them apart is hard within and easy across."""
    classes = torch.arange(400) % 20
    groups = classes // 5
    noise = points(400, 2, 0, torch.float32) * 0.3
    z = torch.stack([10.0 * groups, classes % 5 * 0.3], dim=1) + noise
    across = pairs.one_shot(lambda x: x, z, classes, 4, 800, devices.generator(0))
    within = pairs.one_shot(lambda x: x, z, classes, 4, 800, devices.generator(0), groups=groups)
    assert across.mean > within.mean + 0.2
    with pytest.raises(ValueError, match="6 classes are to be told apart, but there are not as many in any group"):
        pairs.one_shot(lambda x: x, z, classes, 6, 10, devices.generator(0), groups=groups)


def test_a_group_that_is_too_small_is_left_out():
    classes = torch.arange(70) % 7
    groups = torch.where(classes < 5, 0, 1)  # five classes, and two
    z = torch.where(groups == 0, classes, 5)[:, None].float()  # the two of the small group cannot be told apart
    kept = pairs.one_shot(lambda x: x, z, classes, 3, 200, devices.generator(0), groups=groups)
    assert kept.mean == 1


def test_one_shot_says_what_is_wrong():
    classes = torch.tensor([0, 0, 1, 1, 2])
    with pytest.raises(ValueError, match="class 2 has one image; an example and another one"):
        pairs.one_shot(lambda x: x, points(5), classes, 2)
    with pytest.raises(ValueError, match="3 classes are to be told apart, but there are not as many. Use fewer"):
        pairs.one_shot(lambda x: x, points(4), classes[:4], 3)
    for wrong in ({"ways": 1}, {"episodes": 1}):
        with pytest.raises(ValueError, match="expected at least 2 of each"):
            pairs.one_shot(lambda x: x, points(4), classes[:4], **({"ways": 2} | wrong))


# ---- arrows ------------------------------------------------------------------------------------------------------


def test_arrows_point_downhill():
    a, p, n = (torch.tensor([v]) for v in ([0.0, 0.0], [3.0, 4.0], [0.0, 5.5]))
    value, (move_a, move_p, move_n) = pairs.arrows(partial(losses.triplet, margin=1.0), a, p, n)
    assert value == pytest.approx(0.5)
    torch.testing.assert_close(move_p, -torch.tensor([[0.6, 0.8]]))  # towards the anchor, at unit length
    torch.testing.assert_close(move_n, torch.tensor([[0.0, 1.0]]))  # away from it
    torch.testing.assert_close(move_a, -(move_p + move_n))  # the three do not drift
    value, moves = pairs.arrows(partial(losses.triplet, margin=0.5), a, p, n)
    assert value == 0 and all((move == 0).all() for move in moves)
    assert not a.requires_grad
    with torch.no_grad():
        same = torch.tensor([False])
        value, (move_a, move_p) = pairs.arrows(lambda u, v: losses.contrastive(u, v, same, 7.0), a, p)
    assert value == pytest.approx(2.0)
    torch.testing.assert_close(move_p, torch.tensor([[1.2, 1.6]]))  # (m − d) away
    torch.testing.assert_close(move_a, -move_p)
