"""Frozen encoder -> numbers: each against a loop, a closed form or scikit-learn; the test split chooses nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit import device as devices
from sslkit import evaluate, methods, nets, train
from sslkit.augment import Augment
from sslkit.data import Split, Stream, draw_labels
from sslkit.evaluate import Probe, Score, collapse, knn, label_efficiency
from sslkit.train import TrainConfig

K = 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy(split: str, n: int = 60, seed: int = 0, noise: int = 60) -> Split:
    """Three classes of 8×8 images: a red, a green or a blue one, under noise. Two images of each source."""
    labels = torch.arange(n) // 2 % K
    images = torch.randint(0, noise, (n, 3, 8, 8), generator=seeded(seed))
    images[torch.arange(n), labels] += 120
    sources = 1000 * seed + torch.arange(n) // 2
    return Split(images.byte(), labels, ("red", "green", "blue"), sources, "toy", split)


def toys(**options) -> dict[str, Split]:
    return {name: toy(name, seed=i, **options) for i, name in enumerate(("train", "val", "test"))}


def encoder(seed: int = 0, **options) -> nets.ConvNet:
    with devices.seeded(seed):
        return nets.ConvNet(3, widths=(4, 8), **options)


# ---- features ----------------------------------------------------------------------------------------------------


def test_features_are_the_mean_of_every_block_in_eval_mode(device):
    net, x = encoder().to(device), toy("test").images
    z = evaluate.features(net, x, batch_size=7)
    assert [tuple(block.shape) for block in z] == [(60, 4), (60, 8)]
    maps = net.eval().features((x / 255).to(device))
    for block, by_hand in zip(z, maps):
        torch.testing.assert_close(block, by_hand.mean(dim=(2, 3)), atol=1e-5, rtol=1e-5)
    assert torch.equal(evaluate.embed(net, x, block=0), evaluate.features(net, x)[0])


@pytest.mark.parametrize("mode", [True, False])
def test_features_leave_the_encoder_as_it_was(mode):
    net = encoder().train(mode)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    evaluate.features(net, toy("test").images)
    assert net.training is mode
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_features_do_not_depend_on_the_mode_the_batch_or_the_order():
    net, x = encoder(), toy("test").images
    whole = evaluate.features(net.train(), x)[-1]
    assert torch.equal(whole, evaluate.features(net.eval(), x)[-1])
    torch.testing.assert_close(evaluate.features(net, x, batch_size=1)[-1], whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(evaluate.features(net, x.flip(0))[-1].flip(0), whole, atol=1e-5, rtol=1e-5)


def test_pixels_are_the_image():
    x = toy("test").images
    (z,) = evaluate.pixels(x)
    assert torch.equal(z.view(60, 3, 8, 8), x / 255)


# ---- collapse ----------------------------------------------------------------------------------------------------


def test_a_collapsed_embedding_has_no_spread_and_one_direction():
    for n in (8, 2000):
        z = torch.randn(16, generator=seeded()).repeat(n, 1)
        assert collapse(z)["std"] == pytest.approx(0, abs=1e-5)
        assert collapse(z)["effective_rank"] == pytest.approx(1, abs=1e-3)


def test_an_even_embedding_has_spread_1_and_all_directions():
    z = torch.randn(5000, 16, generator=seeded())
    assert collapse(z)["std"] == pytest.approx(1, abs=0.02)
    assert collapse(z)["effective_rank"] == pytest.approx(16, abs=0.1)


@pytest.mark.parametrize("d", [1, 3, 8])
def test_the_rank_counts_the_directions_in_use(d):
    z = torch.zeros(4000, 32)
    z[:, :d] = torch.randn(4000, d, generator=seeded())
    turn = torch.linalg.qr(torch.randn(32, 32, generator=seeded(1)))[0]
    assert collapse(z @ turn)["effective_rank"] == pytest.approx(d, rel=0.05)


def test_the_rank_of_two_unequal_directions_is_the_formula():
    """Rows ±a and ±b on two axes: singular values √(2n_a) and √(2n_b)."""
    a, b = 90, 10
    z = torch.cat([torch.tensor([[s, 0.0]]).repeat(a, 1) for s in (1, -1)] + [torch.tensor([[0.0, 1], [0, -1]])] * b)
    p = np.sqrt([a, b]) / np.sqrt([a, b]).sum()
    assert collapse(z)["effective_rank"] == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-4)


def test_what_all_embeddings_have_in_common_is_no_direction():
    z = 0.1 * torch.randn(4000, 16, generator=seeded())
    z[:, 0] += 10  # nearly the same point, with a little of everything else
    assert collapse(z)["effective_rank"] == pytest.approx(15, abs=0.2)
    assert collapse(z)["std"] < 0.05


def test_collapse_does_not_mind_the_length_of_the_rows():
    z = torch.randn(100, 8, generator=seeded())
    longer = z * torch.linspace(0.1, 10, 100)[:, None]
    assert collapse(longer) == pytest.approx(collapse(z), rel=1e-4)


def test_a_collapse_is_named():
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(300, 64, generator=g)
    assert evaluate.collapsed(noise) == ""
    assert evaluate.collapsed(7 * noise) == "", "lengths do not count"
    one_point = evaluate.collapsed(torch.ones(300, 64) + 0.02 * noise)
    assert one_point.startswith("complete collapse: all 300 images have nearly the same embedding (std 0.02;")
    one_line = evaluate.collapsed(noise[:, :1] * torch.ones(64) + 0.001 * noise)
    assert one_line.startswith("dimensional collapse: the embeddings differ, but only along about 2 of 64 directions")
    few = evaluate.collapsed(noise[:, :3] @ torch.randn(3, 256, generator=g))
    assert "only along about 3 of 256 directions" in few
    assert evaluate.collapsed(noise[:, :20] @ torch.randn(20, 256, generator=g)) == ""
    assert evaluate.collapsed(noise[:10] @ torch.randn(64, 256, generator=g)) == "", "ten images span nine directions"


@pytest.mark.parametrize("wrong", [torch.ones(1, 4), torch.ones(4), torch.ones(4, 3, 2)])
def test_a_collapse_is_asked_of_several_embeddings(wrong):
    with pytest.raises(ValueError, match=r"expected embeddings \(N, D\) of at least two images; got"):
        evaluate.collapsed(wrong)


# ---- nearest neighbours ------------------------------------------------------------------------------------------


def clouds(n: int, d: int = 6, seed: int = 0, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Points about K centres, with their labels; the centres are the same for every seed."""
    centres = torch.randn(K, d, generator=seeded(99))
    y = torch.randint(K, (n,), generator=seeded(seed))
    return centres[y] + spread * torch.randn(n, d, generator=seeded(seed + 1)), y


def slow_knn(train_z, train_y, test_z, k, temperature) -> list[int]:
    def cosine(u, v) -> float:
        return sum(a * b for a, b in zip(u, v)) / math.sqrt(sum(a * a for a in u) * sum(b * b for b in v))

    answers = []
    for z in test_z.tolist():
        nearest = sorted(((cosine(z, row), c) for row, c in zip(train_z.tolist(), train_y.tolist())), reverse=True)
        score = [0.0] * K
        for similarity, c in nearest[:k]:
            score[c] += math.exp(similarity / temperature)
        answers.append(score.index(max(score)))
    return answers


@pytest.mark.parametrize("k, temperature", [(1, 0.1), (5, 0.1), (20, 0.1), (20, 1.0), (40, 0.5)])
def test_knn_is_its_formula(k, temperature, device):
    (train_z, train_y), (test_z, _) = clouds(40), clouds(30, seed=5)
    ours = knn(train_z.to(device), train_y.to(device), test_z.to(device), k, temperature)
    assert ours.device.type == device.type
    assert ours.tolist() == slow_knn(train_z, train_y, test_z, k, temperature)


def test_knn_is_scikit_learn_s():
    from sklearn.neighbors import KNeighborsClassifier

    (train_z, train_y), (test_z, _) = clouds(300), clouds(1500, seed=5)  # more than one chunk
    weights = lambda distance: np.exp((1 - distance) / 0.1)  # noqa: E731
    theirs = KNeighborsClassifier(20, weights=weights, metric="cosine", algorithm="brute").fit(train_z, train_y)
    agree = knn(train_z, train_y, test_z, k=20).numpy() == theirs.predict(test_z)
    assert agree.mean() > 0.998  # float32 here, float64 there


def test_knn_of_the_training_rows_themselves_with_k_1_is_right():
    z, y = clouds(50)
    assert torch.equal(knn(z, y, 3 * z, k=1), y)


@pytest.mark.parametrize("at_once", [6 * 7, 6 * 200, 6 * 350])
def test_knn_in_pieces_is_knn(monkeypatch, at_once):
    """Pieces of 7 rows, fewer than k; of 200; of 350, which leaves a last one of 50."""
    (train_z, train_y), (test_z, _) = clouds(400, spread=3.0), clouds(300, seed=1, spread=3.0)
    expected = evaluate._nearest(train_z, train_y, test_z, 20)
    monkeypatch.setattr(evaluate, "AT_ONCE", at_once)
    similarity, label = evaluate._nearest(train_z, train_y, test_z, 20)
    assert torch.allclose(similarity, expected[0], atol=1e-6) and torch.equal(label, expected[1])
    assert knn(train_z, train_y, test_z).tolist() == slow_knn(train_z, train_y, test_z, 20, 0.1)


@pytest.mark.parametrize("at_once", [2**26, 3 * 64 * 7])
def test_images_on_disk_are_features_as_pixels_are(monkeypatch, tmp_path, at_once):
    monkeypatch.setattr(evaluate, "AT_ONCE", at_once)
    known, test = toy("train", n=60, noise=200), toy("test", n=40, seed=1, noise=200)
    on_disk = []
    for split in (known, test):
        file = tmp_path / split.split
        file.write_bytes(split.images.numpy().tobytes())
        on_disk.append(Stream(file, tuple(split.images.shape[1:]), torch.arange(len(split))))
    (x,), (test_x,) = evaluate.pixels(known.images), evaluate.pixels(test.images)
    expected = knn(x, known.labels, test_x)
    assert torch.equal(knn(*evaluate.pixels(on_disk[0]), known.labels, *evaluate.pixels(on_disk[1])), expected)
    assert len(expected.unique()) > 1
    probe = Probe(x, known.labels, len(known.classes))
    assert torch.allclose(probe(on_disk[1]), probe(test_x), atol=1e-5)
    net = encoder()
    for a, b in zip(evaluate.features(net, on_disk[1]), evaluate.features(net, test.images), strict=True):
        assert torch.equal(a, b)


def test_knn_needs_k_rows():
    z, y = clouds(10)
    with pytest.raises(ValueError, match="k is 20, but there are only 10 training rows"):
        knn(z, y, z)


# ---- the probe ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shrinkage", [1e-3, 1e-2, 1e-1])
@pytest.mark.parametrize("n, d", [(200, 6), (60, 20), (30, 100), (12, 400)])
def test_the_probe_is_scikit_learn_s_logistic_regression(n, d, shrinkage):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x, y = clouds(n, d, spread=2.0)
    x = x * torch.logspace(-2, 2, d) + 3  # coordinates of very different size
    scaler = StandardScaler().fit(x.double())
    theirs = LogisticRegression(C=1 / (2 * shrinkage * n), tol=1e-8, max_iter=5000).fit(scaler.transform(x.double()), y)
    probe = Probe(x, y, K, shrinkage)
    np.testing.assert_allclose(probe.weight.T.numpy(), theirs.coef_, atol=0.01 * np.abs(theirs.coef_).max())
    new = clouds(100, d, seed=5, spread=2.0)[0] * torch.logspace(-2, 2, d) + 3
    expected = theirs.predict_proba(scaler.transform(new.double()))
    np.testing.assert_allclose(probe(new).softmax(dim=1).numpy(), expected, atol=0.01)


def test_the_probe_works_on_the_device(device):
    x, y = clouds(60)
    probe = Probe(x.to(device), y.to(device), K)
    assert probe(x.to(device)).device.type == device.type
    torch.testing.assert_close(probe(x.to(device)).cpu(), Probe(x, y, K)(x), atol=1e-2, rtol=1e-2)


def test_what_can_be_separated_is_separated():
    (x, y), (new, answers) = clouds(60, spread=0.1), clouds(60, seed=5, spread=0.1)
    probe = Probe(x, y, K)
    assert (probe(x).argmax(1) == y).all() and (probe(new).argmax(1) == answers).all()


def test_labels_that_mean_nothing_give_chance_on_new_rows():
    (x, y), (new, answers) = clouds(60), clouds(300, seed=5)
    accuracy = lambda labels: (Probe(x, labels, K)(new).argmax(1) == answers).float().mean().item()  # noqa: E731
    assert accuracy(y) > 0.7
    shuffled = [accuracy(y[torch.randperm(60, generator=seeded(i))]) for i in range(40)]
    assert np.mean(shuffled) == pytest.approx(1 / K, abs=0.1)


@pytest.mark.parametrize("n", [60, 12])  # more rows than coordinates, and fewer
def test_a_coordinate_that_was_constant_says_nothing(n):
    x, y = clouds(n, 20)
    x[:, 3] = 0.0
    new = clouds(50, 20, seed=5)[0]
    probe = Probe(x, y, K)
    with_it, without = new.clone(), new.clone()
    with_it[:, 3], without[:, 3] = 1.0, 0.0
    torch.testing.assert_close(probe(with_it), probe(without), atol=1e-4, rtol=1e-4)


def test_a_class_without_a_row_is_never_the_answer_of_the_probe():
    x, y = clouds(60)
    probe = Probe(x, y, classes=K + 2)
    assert probe(x).shape == (60, K + 2)
    assert probe(x).argmax(1).max() < K


def test_the_probe_fits_where_gradients_are_off():
    x, y = clouds(60)
    with torch.no_grad():
        probe = Probe(x, y, K)
    assert (probe(x).argmax(1) == y).float().mean() > 0.7
    assert not probe(x).requires_grad


def test_the_probe_needs_a_label_for_every_row():
    with pytest.raises(ValueError, match="there are 60 rows of features but 59 labels"):
        Probe(clouds(60)[0], clouds(59)[1], K)


# ---- scores ------------------------------------------------------------------------------------------------------


def score(correct, sources=None) -> Score:
    correct = np.atleast_2d(np.asarray(correct, dtype=bool))
    return Score(correct, np.arange(correct.shape[1]) if sources is None else np.asarray(sources))


def coin(p: float, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).random_sample(shape) < p


def test_mean_and_standard_deviation_are_over_the_runs():
    s = score([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    assert s.runs.tolist() == [0.75, 0.25, 0.5]
    assert s.mean == 0.5
    assert s.std == pytest.approx(0.25)  # sample standard deviation, n − 1
    assert score([1, 0, 1]).std == 0


def test_json_has_what_a_reader_needs():
    s = replace(score(coin(0.7, 3, 50)), block=2, shrinkage=0.01)
    row = s.json()
    assert row.keys() == {"mean", "std", "low", "high", "runs", "block", "shrinkage"}
    assert row["low"] < row["mean"] < row["high"] and row["runs"] == 3
    assert "block" not in score([1, 0]).json()


def test_the_interval_of_a_certain_score_is_a_point():
    assert score(np.ones((2, 30))).interval() == (1, 1)
    s = score(coin(0.6, 3, 40))
    assert s.interval(s) == (0, 0)


def test_the_interval_has_the_width_of_the_normal_approximation():
    low, high = score(coin(0.7, 1, 500)).interval()
    mean = coin(0.7, 1, 500).mean()
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(mean * (1 - mean) / 500), rel=0.1)
    assert low < mean < high


def test_the_interval_covers_the_truth_19_times_in_20():
    covered = []
    for i in range(300):
        low, high = score(coin(0.7, 1, 100, seed=i)).interval(draws=400)
        covered.append(low <= 0.7 <= high)
    assert 0.90 <= np.mean(covered) <= 0.985


def test_images_of_one_source_stay_together():
    each = coin(0.7, 100)
    alike = np.repeat(each, 9)
    width = lambda s: s.interval()[1] - s.interval()[0]  # noqa: E731
    together = width(score(alike, np.repeat(np.arange(100), 9)))
    assert together == pytest.approx(width(score(each)), rel=0.1)  # nine copies tell no more than one
    assert together == pytest.approx(3 * width(score(alike)), rel=0.15)  # as if they were independent: √9 too narrow


def test_sources_of_unequal_size_weigh_what_they_hold():
    low, high = score([1] * 30 + [0] * 10, [0] * 30 + list(range(1, 11))).interval()
    assert low == 0 and high > 0.75  # the large source may be missing from a draw
    assert score(np.ones(8), [5, 5, 5, 7, 7, 9, 9, 9]).interval() == (1, 1)


def test_a_paired_difference_is_sharper_than_two_intervals():
    base = coin(0.7, 3, 400)
    better = base | coin(0.1, 3, 400, seed=1)
    low, high = score(better).interval(score(base))
    assert 0 < low < score(better).mean - score(base).mean < high
    assert score(better).interval()[0] < score(base).interval()[1]  # the two alone overlap
    assert score(base).interval(score(better)) == pytest.approx((-high, -low))


def test_a_difference_needs_the_same_test_images():
    with pytest.raises(ValueError, match="different test images; a paired difference needs the same ones"):
        score([1, 0, 1]).interval(score([1, 0, 1], [4, 5, 6]))
    with pytest.raises(ValueError, match="different test images"):
        score([1, 0, 1]).interval(score([1, 0]))


def test_the_bootstrap_repeats_itself():
    s = score(coin(0.6, 3, 80))
    assert s.interval() == s.interval()
    assert s.interval(seed=1) != s.interval()


def test_pool_puts_the_runs_of_several_scores_together():
    a, b = score(coin(0.5, 2, 30)), score(coin(0.9, 3, 30))
    both = Score.pool([replace(a, block=1, shrinkage=0.1), b])
    assert both.correct.shape == (5, 30)
    assert both.mean == pytest.approx((2 * a.mean + 3 * b.mean) / 5)
    assert (both.block, both.shrinkage) == (1, 0.1)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 10), st.integers(0, 100))
def test_an_interval_is_one(runs, n, sources, seed):
    rng = np.random.RandomState(seed)
    s = score(rng.random_sample((runs, n)) < 0.5, rng.randint(sources, size=n))
    low, high = s.interval(draws=200)
    assert 0 <= low <= high <= 1
    assert math.isfinite(s.std)


# ---- label efficiency --------------------------------------------------------------------------------------------


def test_an_easy_task_is_learned_from_few_labels_and_pixels_are_features_too():
    for features in (encoder(), evaluate.pixels):
        scores = label_efficiency(features, toys(), (1, 5), draws=4, augment=None)
        assert list(scores) == [1, 5]
        assert scores[5].correct.shape == (4, 60) and scores[5].correct.dtype == bool
        assert scores[5].mean > 0.95 and scores[1].mean > 0.8
        assert scores[5].sources.tolist() == toys()["test"].sources.tolist()
        assert scores[5].shrinkage in evaluate.SHRINKAGE


def test_labels_that_mean_nothing_give_chance():
    splits = toys()
    order = torch.randperm(60, generator=seeded())
    splits["test"] = replace(splits["test"], labels=splits["test"].labels[order])
    assert label_efficiency(evaluate.pixels, splits, (5,), draws=6)[5].mean == pytest.approx(1 / K, abs=0.12)


def test_the_encoder_is_left_alone():
    net = encoder().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    label_efficiency(net, toys(), (2,), draws=2)
    assert net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_the_result_repeats_itself_and_every_draw_is_another_one():
    splits = toys(noise=250)
    first, again = (label_efficiency(encoder(), splits, (2,), draws=5)[2] for _ in range(2))
    assert np.array_equal(first.correct, again.correct)
    assert first.std > 0


def test_three_draws_choose_and_nothing_is_fitted_twice(monkeypatch):
    fitted = []

    def counted(x: torch.Tensor, y: torch.Tensor, classes: int, shrinkage: float) -> Probe:
        fitted.append((x.sum().item(), x.shape[1], shrinkage))
        return Probe(x, y, classes, shrinkage)

    monkeypatch.setattr(evaluate, "Probe", counted)
    label_efficiency(two_blocks, toys(noise=250), (2,), draws=5, copies=0)
    blocks, choices = 2, len(evaluate.SHRINKAGE)
    assert len(fitted) == 3 * blocks + 3 * (choices - 1) + (5 - 3)  # a block by 1e-2, a shrinkage, the other draws
    assert len(set(fitted)) == len(fitted)


def coded(val_block: int, test_block: int) -> dict[str, Split]:
    """Splits in which pixel b of an image names its class on train, but on val and test only in the block given."""
    splits = toys()
    for name, good in {"train": (0, 1), "val": (val_block,), "test": (test_block,)}.items():
        images = torch.randint(0, 256, (60, 3, 8, 8), generator=seeded(7), dtype=torch.uint8)
        for b in good:
            images[:, 0, 0, b] = 100 * splits[name].labels.byte()
        splits[name] = replace(splits[name], images=images)
    return splits


def two_blocks(images: torch.Tensor) -> list[torch.Tensor]:
    value = images.float() / (255 if images.dtype == torch.uint8 else 1)
    return [torch.stack([torch.cos(k * 2.5 * value[:, 0, 0, b]) for k in (1, 2, 3)], dim=1) for b in (0, 1)]


@pytest.mark.parametrize("val_block", [0, 1])
def test_the_block_is_chosen_by_validation_even_where_test_says_otherwise(val_block):
    agree = label_efficiency(two_blocks, coded(val_block, val_block), (5,), draws=4, augment=None)[5]
    assert agree.block == val_block and agree.mean > 0.95
    differ = label_efficiency(two_blocks, coded(val_block, 1 - val_block), (5,), draws=4, augment=None)[5]
    assert (differ.block, differ.shrinkage) == (val_block, agree.shrinkage)
    assert differ.mean < 0.6


def test_the_labels_of_the_test_split_choose_nothing():
    splits = toys(noise=250)
    first = label_efficiency(encoder(), splits, (2, 5), draws=3)
    order = torch.randperm(60, generator=seeded(3))
    splits["test"] = replace(splits["test"], labels=splits["test"].labels[order])
    second = label_efficiency(encoder(), splits, (2, 5), draws=3)
    for count in (2, 5):
        assert (first[count].block, first[count].shrinkage) == (second[count].block, second[count].shrinkage)
        assert first[count].mean != second[count].mean


def test_only_the_drawn_images_are_used_with_their_copies_and_the_test_split_is_read_once():
    splits, seen = toys(), []

    def features(images):
        seen.append(images)
        return evaluate.pixels(images)

    label_efficiency(features, splits, (1, 4), draws=2, augment=Augment(invert=1.0), copies=3)
    sizes = [len(images) for images in seen]
    assert sizes.count(60) == 2  # val and test, once each
    labelled = [images for images in seen if len(images) != 60]
    assert [len(images) for images in labelled] == [K * 4, K * 4, 4 * K * 4, 4 * K * 4]
    index = draw_labels(splits["train"], 4, seed=1)
    plain = splits["train"].images[index] / 255
    torch.testing.assert_close(labelled[-1], torch.cat([plain, *[1 - plain] * 3]))


def test_many_labels_have_fewer_copies(monkeypatch):
    monkeypatch.setattr(evaluate, "ROWS", 50)
    sizes = []
    label_efficiency(
        lambda images: sizes.append(len(images)) or evaluate.pixels(images), toys(), (1, 4, 10), draws=1, copies=8
    )
    assert [n for n in sizes if n != 60] == [K * 9, 12 * 4, 30]  # all copies, three, none


def test_more_labels_than_there_are_is_an_error_with_the_numbers():
    with pytest.raises(ValueError, match="100 labels a class were asked for, but class 'red' of toy/train has only 10"):
        label_efficiency(evaluate.pixels, toys(), (100,))


# ---- the supervised control --------------------------------------------------------------------------------------

SHORT = TrainConfig(steps=30, batch_size=12, lr=0.02, precision="fp32", progress=False)
NET = {"net": "convnet", "channels": 3, "widths": [4, 8]}


def test_the_supervised_control_learns():
    score = evaluate.supervised(NET, toys(), (4,), draws=2, augment=Augment(), config=SHORT, device="cpu")[4]
    assert score.correct.shape == (2, 60)
    assert score.mean > 0.9
    assert score.block is None


def test_every_draw_has_labels_parameters_and_views_of_its_own_and_repeats_itself():
    known, make = toys()["train"], evaluate.train_supervised
    nets_ = [make(NET, known, 2, seed, Augment(flip=0.5), SHORT, "cpu").state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(nets_[0][key], nets_[1][key]) for key in nets_[0])
    assert not any(torch.equal(nets_[0][key], nets_[2][key]) for key in nets_[0] if nets_[0][key].ndim > 1)


@pytest.mark.parametrize("per_class", [1, 2, 4, 7])
def test_the_supervised_control_sees_the_labels_drawn_and_no_others(monkeypatch, per_class):
    given = {}

    def fit(method, data, config, **options):
        given.update(images=data[0], labels=data[1], config=config)

    monkeypatch.setattr(evaluate.train, "fit", fit)  # so that what comes back has its initial parameters
    known = toys()["train"]
    start, other = (evaluate.train_supervised(NET, known, per_class, s, Augment(), SHORT) for s in (4, 5))
    assert not torch.equal(start.head.weight, other.head.weight)
    index = draw_labels(known, per_class, 5)
    pairs = {(image.numpy().tobytes(), int(label)) for image, label in zip(given["images"], given["labels"])}
    expected = {(known.images[i].numpy().tobytes(), int(known.labels[i])) for i in index}
    assert pairs == expected and len(expected) == per_class * K
    assert len(given["images"]) >= SHORT.batch_size
    assert len(given["images"]) % len(index) == 0  # each image equally often
    assert given["config"] == replace(SHORT, seed=5)


def test_the_supervised_control_is_scored_in_eval_mode():
    method = evaluate.train_supervised(NET, toys()["train"], 2, 0, Augment(), SHORT, "cpu")
    before = {key: value.clone() for key, value in method.state_dict().items()}
    test = toy("test", n=600, seed=2, noise=250)  # more than one batch
    correct = evaluate.correct(method, test)
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    logits = method.eval().head(method.encoder(test.images / 255))
    assert correct.tolist() == (logits.argmax(1) == test.labels).tolist()


def test_neighbours_are_those_of_a_loop_and_never_the_query():
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.1, 5, 50)[:, None]
    z[30] = z[10]  # an exact copy may come first, and is not the query
    queries = torch.tensor([10, 30, 49])
    found = evaluate.neighbours(z, queries, 3)
    for q, row in zip(queries.tolist(), found.tolist()):
        cosine = [-2.0 if j == q else float(F.cosine_similarity(z[q], z[j], dim=0)) for j in range(50)]
        assert q not in row and len(set(row)) == 3
        assert np.allclose([cosine[j] for j in row], sorted(cosine)[:-4:-1])  # two equal rows: either may come first
    with pytest.raises(ValueError, match="only 49 other rows"):
        evaluate.neighbours(z, queries, 50)


def test_twins_are_near_what_they_were_copied_from():
    known, other = torch.rand(9, 12), torch.rand(1030, 12)
    other[1027] = known[3] + 0.01
    found = evaluate.twins(known, other)
    assert found.shape == (1030,) and found.argmin() == 1027
    assert torch.isclose(found[1027], torch.tensor(0.01 * 12**0.5), atol=1e-5)
    assert torch.allclose(found, torch.stack([(row - known).norm(dim=1).min() for row in other]), atol=1e-5)


def test_a_gain_is_paired_and_its_interval_is_students():
    from scipy import stats

    before, after = [0.70, 0.80, 0.75], [0.72, 0.83, 0.77]
    mean, low, high = evaluate.gain(before, after)
    by_scipy = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert np.allclose([mean, low, high], [np.mean(after) - np.mean(before), *by_scipy])
    with pytest.raises(ValueError, match="got 3 runs before and 2 after"):
        evaluate.gain(before, after[:2])


def test_a_head_of_ones_own_can_be_trained_on_features():
    z = evaluate.embed(nets.ConvNet(3, widths=(4, 8)), torch.zeros(4, 3, 8, 8, dtype=torch.uint8))
    z -= z.mean(dim=0)
    torch.nn.Linear(8, 2)(z).sum().backward()
    assert not z.requires_grad


@pytest.mark.parametrize("wrong, hint", [("split", "in .images"), ("array", "torch.from_numpy")])
def test_what_is_no_tensor_of_images_is_refused_with_what_to_hand_in(wrong, hint):
    images = torch.zeros(8, 3, 8, 8, dtype=torch.uint8)
    known = Split(images, torch.zeros(8).long(), ("a",), torch.arange(8), "toy", "train")
    given = known if wrong == "split" else images.numpy()
    for use in (evaluate.embed, lambda encoder, x: train.fit(methods.Rotation(encoder), x)):
        with pytest.raises(TypeError, match=f"expected a tensor of images, or a Stream; got .*{hint}"):
            use(nets.ConvNet(3, widths=(4, 8)), given)
