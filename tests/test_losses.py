"""Losses: each against a slow twin written from its formula, its closed forms, its gradient, and other libraries'."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit import losses


def embeddings(n: int = 6, d: int = 5, seed: int = 0, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Two random sets of embeddings of unequal lengths: nothing in them is equal, orthogonal or normalised."""
    g = torch.Generator().manual_seed(seed)
    scale = torch.rand(2, n, 1, generator=g, dtype=dtype) * 3 + 0.2
    a, b = torch.randn(2, n, d, generator=g, dtype=dtype) * scale
    return a, b + 0.5 * a


# ---- cross entropy ----------------------------------------------------------------------------------------------


def slow_cross_entropy(logits, target) -> float:
    total = 0.0
    for i in range(len(logits)):
        total -= math.log(math.exp(logits[i, target[i]]) / sum(math.exp(s) for s in logits[i]))
    return total / len(logits)


def test_cross_entropy_is_its_formula(device):
    logits, target = embeddings(7, 4)[0], torch.tensor([0, 3, 1, 1, 2, 0, 3])
    ours = losses.cross_entropy(logits.float().to(device), target.to(device)).item()
    assert ours == pytest.approx(slow_cross_entropy(logits, target), rel=1e-5)
    assert ours == pytest.approx(F.cross_entropy(logits, target).item(), rel=1e-5)


@pytest.mark.parametrize("k", [2, 4, 10])
def test_cross_entropy_of_equal_logits_is_ln_k(k):
    assert losses.cross_entropy(torch.full((5, k), 0.3), torch.arange(5) % k).item() == pytest.approx(math.log(k))


def test_cross_entropy_of_a_sure_and_right_answer_is_0():
    target = torch.arange(4)
    assert losses.cross_entropy(100 * F.one_hot(target).float(), target).item() == pytest.approx(0, abs=1e-6)


def test_cross_entropy_has_the_right_gradient():
    logits, target = embeddings(4, 3)[0].requires_grad_(), torch.tensor([0, 2, 1, 1])
    assert torch.autograd.gradcheck(lambda s: losses.cross_entropy(s, target), logits)


@pytest.mark.parametrize("shapes", [((4, 3, 2), (4,)), ((4, 3), (3,)), ((4, 3), (4, 1)), ((4,), (4,))])
def test_cross_entropy_names_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match=r"expected logits \(N, K\) and target \(N,\); got"):
        losses.cross_entropy(torch.zeros(shapes[0]), torch.zeros(shapes[1], dtype=torch.int64))


# ---- masked_mse -------------------------------------------------------------------------------------------------


def pictures(n: int = 3, c: int = 2, h: int = 4, w: int = 5, seed: int = 0):
    """Two random sets of pictures, and masks that hide a different number of pixels in each, in one none at all."""
    g = torch.Generator().manual_seed(seed)
    prediction, target = torch.randn(2, n, c, h, w, generator=g, dtype=torch.float64)
    mask = torch.rand(n, 1, h, w, generator=g) < torch.linspace(0.1, 0.9, n)[:, None, None, None]
    mask[0] = False
    return prediction, target, mask


def slow_masked_mse(prediction, target, mask) -> float:
    total, count = 0.0, 0
    for n in range(prediction.shape[0]):
        for c in range(prediction.shape[1]):
            for i in range(prediction.shape[2]):
                for j in range(prediction.shape[3]):
                    if mask[n, 0, i, j]:
                        total += (prediction[n, c, i, j].item() - target[n, c, i, j].item()) ** 2
                        count += 1
    return total / count


@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (2, 1, 3, 3), (5, 3, 2, 7)])
def test_masked_mse_is_its_formula(shape, device):
    prediction, target, mask = (t.to(device) for t in pictures(*shape))
    slow = slow_masked_mse(prediction, target, mask)
    assert losses.masked_mse(prediction, target, mask).item() == pytest.approx(slow, rel=1e-9)
    assert losses.masked_mse(prediction.float(), target.float(), mask).item() == pytest.approx(slow, rel=1e-5)


def test_masked_mse_of_everything_is_the_mean_squared_error():
    prediction, target, mask = pictures()
    ours = losses.masked_mse(prediction, target, torch.ones_like(mask))
    torch.testing.assert_close(ours, F.mse_loss(prediction, target))


def test_masked_mse_does_not_see_what_is_visible():
    prediction, target, mask = pictures()
    loss = losses.masked_mse(prediction, target, mask).item()
    for other in (float("nan"), float("inf"), 7.0):
        assert losses.masked_mse(prediction, torch.where(mask, target, other), mask).item() == loss
        changed = torch.where(mask, prediction, other).requires_grad_()
        again = losses.masked_mse(changed, target, mask)
        assert again.item() == loss
        again.backward()
        assert torch.equal(changed.grad != 0, mask.expand_as(changed))


def test_masked_mse_has_the_right_gradient():
    prediction, target, mask = pictures()
    assert torch.autograd.gradcheck(lambda p: losses.masked_mse(p, target, mask), prediction.requires_grad_())


def test_masked_mse_works_out_half_precision_in_float32():
    prediction, target, mask = pictures(8, 3, 32, 32)
    prediction = prediction.bfloat16()
    loss = losses.masked_mse(prediction, target.float(), mask)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(losses.masked_mse(prediction.double(), target, mask).item(), rel=1e-5)


def test_masked_mse_needs_something_hidden():
    prediction, target, mask = pictures()
    with pytest.raises(ValueError, match="the mask hides no pixel, so there is nothing to predict"):
        losses.masked_mse(prediction, target, torch.zeros_like(mask))


def test_masked_mse_names_shapes_that_do_not_fit():
    prediction, target, mask = pictures()
    for wrong in ((prediction[:, :1], target, mask), (prediction, target, mask[:1]), (prediction, target, mask[:, 0])):
        with pytest.raises(ValueError, match=r"expected prediction and target \(N, C, H, W\) and mask .*; got"):
            losses.masked_mse(*wrong)
    with pytest.raises(ValueError, match="the mask is torch.float32; expected torch.bool"):
        losses.masked_mse(prediction, target, mask.float())


# ---- nt_xent ----------------------------------------------------------------------------------------------------


def slow_nt_xent(a, b, temperature: float) -> float:
    """Chen et al. 2020, Eq. 1 and Alg. 1, over the 2N rows one by one, counted from 0."""
    rows, n = [row.tolist() for row in (*a, *b)], len(a)

    def sim(u, v) -> float:
        dot = sum(x * y for x, y in zip(u, v))
        return dot / math.sqrt(sum(x * x for x in u)) / math.sqrt(sum(y * y for y in v))

    total = 0.0
    for i in range(2 * n):
        partner = i + n if i < n else i - n
        others = [math.exp(sim(rows[i], rows[j]) / temperature) for j in range(2 * n) if j != i]
        total -= math.log(math.exp(sim(rows[i], rows[partner]) / temperature) / sum(others))
    return total / (2 * n)


def mutant(a, b, temperature, *, mask=True, reduction="mean", normalised=True, axis=1, warm=True, partner="other view"):
    """nt_xent with one thing wrong."""
    n, z = len(a), torch.cat([a, b])
    if normalised:
        z = F.normalize(z, dim=axis)
    logits = z @ z.T / (temperature if warm else 1.0)
    if mask:
        logits.fill_diagonal_(float("-inf"))
    target = torch.arange(2 * n).roll(n if partner == "other view" else 1)
    return F.cross_entropy(logits, target, reduction=reduction)


MUTANTS = {
    "diagonal not masked": {"mask": False},
    "sum for mean": {"reduction": "sum"},
    "not normalised": {"normalised": False},
    "normalised along the wrong axis": {"axis": 0},
    "no temperature": {"warm": False},
    "wrong partner": {"partner": "next row"},
}


@pytest.mark.parametrize("temperature", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("n, d", [(1, 3), (2, 2), (6, 5)])
def test_nt_xent_is_its_formula(n, d, temperature):
    a, b = embeddings(n, d)
    slow = slow_nt_xent(a, b, temperature)
    assert losses.nt_xent(a, b, temperature).item() == pytest.approx(slow, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("change", MUTANTS.values(), ids=MUTANTS.keys())
def test_the_slow_twin_tells_nt_xent_from_what_is_nearly_it(change):
    a, b = embeddings()
    slow = slow_nt_xent(a, b, 0.2)
    assert mutant(a, b, 0.2).item() == pytest.approx(slow, rel=1e-9)  # unchanged, it is the loss itself
    assert mutant(a, b, 0.2, **change).item() != pytest.approx(slow, rel=1e-3)


def test_nt_xent_on_the_device_in_float32(device):
    a, b = embeddings()
    ours = losses.nt_xent(a.float().to(device), b.float().to(device), 0.2).item()
    assert ours == pytest.approx(slow_nt_xent(a, b, 0.2), rel=1e-5)


def test_nt_xent_is_lightly_s():
    from lightly.loss import NTXentLoss

    a, b = (z.float() for z in embeddings(16, 8))
    for temperature in (0.1, 0.5):
        theirs = NTXentLoss(temperature=temperature)(a, b)
        assert losses.nt_xent(a, b, temperature).item() == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("n", [2, 8, 256])
def test_nt_xent_of_embeddings_that_cannot_be_told_apart_is_ln_2n_minus_1(n):
    same = torch.ones(n, 4)
    assert losses.nt_xent(same, same).item() == pytest.approx(math.log(2 * n - 1), rel=1e-5)


def test_nt_xent_of_pairs_that_stand_alone_goes_to_0():
    z = 3 * torch.eye(6)
    assert losses.nt_xent(z, 2 * z, temperature=0.02).item() == pytest.approx(0, abs=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_nt_xent_does_not_mind_order_or_length(n, d, seed):
    a, b = embeddings(n, d, seed)
    loss = losses.nt_xent(a, b).item()
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert losses.nt_xent(b, a).item() == pytest.approx(loss, rel=1e-9, abs=1e-9)
    assert losses.nt_xent(a[shuffled], b[shuffled]).item() == pytest.approx(loss, rel=1e-9, abs=1e-9)
    assert losses.nt_xent(7 * a, b / 7).item() == pytest.approx(loss, rel=1e-9, abs=1e-9)


def test_nt_xent_has_the_right_gradient():
    a, b = (z.requires_grad_() for z in embeddings(4, 3))
    assert torch.autograd.gradcheck(lambda a, b: losses.nt_xent(a, b, 0.5), (a, b))


def test_nt_xent_works_out_half_precision_in_float32():
    a, b = (z.bfloat16() for z in embeddings(64, 16))
    loss = losses.nt_xent(a, b)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(losses.nt_xent(a.double(), b.double()).item(), rel=1e-5)


def test_nt_xent_is_not_made_coarse_by_autocast(device):
    a, b = (z.float().to(device) for z in embeddings(64, 16))
    with torch.autocast(device.type, dtype=torch.bfloat16):
        loss = losses.nt_xent(a, b, 0.05)
    assert loss.item() == pytest.approx(losses.nt_xent(a, b, 0.05).item(), rel=1e-6)


@pytest.mark.parametrize("shapes", [((4, 3), (5, 3)), ((4, 3), (4, 2)), ((4, 3, 1), (4, 3, 1)), ((4,), (4,))])
def test_nt_xent_names_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match=r"expected two \(N, D\) tensors of the same shape; got"):
        losses.nt_xent(torch.ones(shapes[0]), torch.ones(shapes[1]))


@pytest.mark.parametrize("temperature", [0, -0.1])
def test_nt_xent_needs_a_temperature_above_0(temperature):
    with pytest.raises(ValueError, match=f"temperature is {temperature}; expected a positive number"):
        losses.nt_xent(*embeddings(), temperature)


# ---- vicreg -----------------------------------------------------------------------------------------------------

WEIGHTS = (25.0, 25.0, 1.0)


def slow_vicreg(a, b, weights=WEIGHTS) -> tuple[float, dict[str, float]]:
    """Bardes et al. 2022, Eq. 1 to 6, with the mean over D in Eq. 5, one number at a time."""
    n, d = a.shape

    def column(z, j) -> list[float]:
        return [z[i, j].item() for i in range(n)]

    def cov(x, y) -> float:
        mean_x, mean_y = sum(x) / n, sum(y) / n
        return sum((u - mean_x) * (v - mean_y) for u, v in zip(x, y)) / (n - 1)

    s = sum((a[i, j] - b[i, j]).item() ** 2 for i in range(n) for j in range(d)) / (n * d)
    v = c = 0.0
    for z in (a, b):
        columns = [column(z, j) for j in range(d)]
        v += sum(max(0.0, 1 - math.sqrt(cov(x, x) + 1e-4)) for x in columns) / d
        c += sum(cov(columns[j], columns[k]) ** 2 for j in range(d) for k in range(d) if j != k) / d
    return sum(w * part for w, part in zip(weights, (s, v, c))), {"invariance": s, "variance": v, "covariance": c}


def spread(n: int = 7, d: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of embeddings with some coordinates above the hinge of the variance and some below it."""
    a, b = embeddings(n, d, seed)
    width = torch.linspace(0.1, 1.5, d, dtype=a.dtype)
    return a * width, b * width


def mutant_vicreg(
    a,
    b,
    *,
    diagonal=False,
    hinge=True,
    root=True,
    centred=True,
    unbiased=True,
    axis=0,
    both=True,
    per=True,
    reduction="mean",
):
    """vicreg with one thing wrong."""

    def v(z):
        var = z.var(dim=axis, correction=int(unbiased))
        gap = 1 - ((var + 1e-4).sqrt() if root else var)
        return (gap.relu() if hinge else gap).mean()

    def c(z):
        z = z - z.mean(dim=0) if centred else z
        cov = z.T @ z / (len(z) - int(unbiased))
        total = cov.square().sum() - (0 if diagonal else cov.diagonal().square().sum())
        return total / (z.shape[1] if per else 1)

    s = (a - b).square()
    s = s.mean() if reduction == "mean" else s.sum(dim=1).mean()
    return 25 * s + 25 * (v(a) + both * v(b)) + (c(a) + both * c(b))


VICREG_MUTANTS = {
    "diagonal of the covariance not left out": {"diagonal": True},
    "no hinge": {"hinge": False},
    "variance instead of its root": {"root": False},
    "covariance not centred": {"centred": False},
    "N instead of N − 1": {"unbiased": False},
    "variance along the wrong axis": {"axis": 1},
    "one branch only": {"both": False},
    "covariance not divided by D": {"per": False},
    "sum over D for mean": {"reduction": "sum"},
}


@pytest.mark.parametrize("weights", [WEIGHTS, (1.0, 0.5, 2.0)])
@pytest.mark.parametrize("n, d", [(2, 3), (7, 5), (4, 6)])
def test_vicreg_is_its_formula(n, d, weights):
    a, b = spread(n, d)
    slow, parts = slow_vicreg(a, b, weights)
    ours = losses.vicreg(a, b, *weights)
    assert ours["loss"].item() == pytest.approx(slow, rel=1e-9)
    assert {k: v.item() for k, v in ours.items() if k != "loss"} == pytest.approx(parts, rel=1e-9)


@pytest.mark.parametrize("change", VICREG_MUTANTS.values(), ids=VICREG_MUTANTS.keys())
def test_the_slow_twin_tells_vicreg_from_what_is_nearly_it(change):
    a, b = spread()
    slow = slow_vicreg(a, b)[0]
    assert mutant_vicreg(a, b).item() == pytest.approx(slow, rel=1e-9)  # unchanged, it is the loss itself
    assert mutant_vicreg(a, b, **change).item() != pytest.approx(slow, rel=1e-3)


def test_vicreg_on_the_device_in_float32(device):
    a, b = spread()
    ours = losses.vicreg(a.float().to(device), b.float().to(device))["loss"].item()
    assert ours == pytest.approx(slow_vicreg(a, b)[0], rel=1e-5)


def test_vicreg_is_lightly_s_with_its_halved_variance():
    from lightly.loss import VICRegLoss

    a, b = (z.float() for z in spread(16, 8))
    theirs = VICRegLoss(lambda_param=25, mu_param=50, nu_param=1)(a, b)  # it takes half of v(Z) + v(Z′)
    assert losses.vicreg(a, b)["loss"].item() == pytest.approx(theirs.item(), rel=1e-5)


def test_vicreg_of_collapsed_embeddings_is_the_variance_hinge_alone():
    same = torch.full((6, 4), 0.75, dtype=torch.float64)
    parts = losses.vicreg(same, same)
    assert parts["loss"].item() == pytest.approx(2 * 25 * (1 - 1e-2))
    assert parts["invariance"].item() == parts["covariance"].item() == 0


def test_vicreg_of_spread_and_uncorrelated_embeddings_that_agree_is_0():
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert losses.vicreg(signs, signs)["loss"].item() == pytest.approx(0, abs=1e-12)


def test_vicreg_of_two_coordinates_that_say_the_same_is_their_variance_squared():
    x = torch.tensor([[1.0], [-1.0], [2.0], [-2.0]], dtype=torch.float64)
    twice = torch.cat([x, x], dim=1)  # Var = 10/3; c = (1/2) · 2 · Var², and both branches have it
    assert losses.vicreg(twice, twice, 1, 1, 1)["loss"].item() == pytest.approx(2 * (10 / 3) ** 2)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.integers(1, 6), st.integers(0, 1000))
def test_vicreg_does_not_mind_the_order_or_a_shift(n, d, seed):
    a, b = spread(n, d, seed)
    loss = losses.vicreg(a, b)["loss"].item()
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert losses.vicreg(b, a)["loss"].item() == pytest.approx(loss, rel=1e-9)
    assert losses.vicreg(a[shuffled], b[shuffled])["loss"].item() == pytest.approx(loss, rel=1e-9)
    assert losses.vicreg(a + 3, b + 3)["loss"].item() == pytest.approx(loss, rel=1e-6)


def test_vicreg_has_the_right_gradient():
    a, b = (z.requires_grad_() for z in spread(4, 3))
    assert torch.autograd.gradcheck(lambda a, b: losses.vicreg(a, b)["loss"], (a, b))


def test_vicreg_of_equal_embeddings_has_a_gradient_that_is_a_number():
    same = torch.ones(4, 3, requires_grad=True)
    losses.vicreg(same, same)["loss"].backward()
    assert same.grad.isfinite().all()


def test_vicreg_is_not_made_coarse_by_half_precision_or_autocast(device):
    a, b = (z.bfloat16().to(device) for z in spread(64, 16))
    exact = losses.vicreg(a.double(), b.double())["loss"].item()
    with torch.autocast(device.type, dtype=torch.bfloat16):
        loss = losses.vicreg(a, b)["loss"]
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("shapes", [((4, 3), (5, 3)), ((4, 3), (4, 2)), ((4, 3, 1), (4, 3, 1)), ((4,), (4,))])
def test_vicreg_names_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match=r"expected two \(N, D\) tensors of the same shape; got"):
        losses.vicreg(torch.ones(shapes[0]), torch.ones(shapes[1]))


def test_vicreg_needs_two_rows():
    with pytest.raises(ValueError, match="a batch of one image has no variance; expected at least two rows"):
        losses.vicreg(torch.ones(1, 3), torch.ones(1, 3))


# ---- contrastive, triplet, distances -----------------------------------------------------------------------------


def slow_distance(u, v) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(u.tolist(), v.tolist())))


def slow_contrastive(a, b, same, margin: float) -> float:
    """Hadsell et al. 2006, Eq. 4, pair by pair; their Y is 0 for a similar pair."""
    total = 0.0
    for i in range(len(a)):
        d, y = slow_distance(a[i], b[i]), 0 if same[i] else 1
        total += (1 - y) * 0.5 * d**2 + y * 0.5 * max(0, margin - d) ** 2
    return total / len(a)


def slow_triplet(anchor, positive, negative, margin: float) -> float:
    total = 0.0
    for a, p, n in zip(anchor, positive, negative):
        total += max(slow_distance(a, p) - slow_distance(a, n) + margin, 0)
    return total / len(anchor)


def two_sorts(n: int = 12, d: int = 4, seed: int = 0):
    """Pairs of both sorts, with distances on both sides of a margin of 2.2."""
    a, b = embeddings(n, d, seed)
    same = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.4
    return a, b, same


def three(n: int = 12, d: int = 4, seed: int = 0):
    a, p = embeddings(n, d, seed)
    return a, p, embeddings(n, d, seed + 100)[0]


@pytest.mark.parametrize("margin", [0.0, 0.5, 2.2, 10.0])
@pytest.mark.parametrize("n, d", [(1, 3), (2, 2), (12, 4)])
def test_contrastive_is_its_formula(n, d, margin, device):
    a, b, same = two_sorts(n, d)
    slow = slow_contrastive(a, b, same, margin)
    ours = losses.contrastive(a.to(device), b.to(device), same.to(device), margin).item()
    assert ours == pytest.approx(slow, rel=1e-9, abs=1e-12)
    ours = losses.contrastive(a.float().to(device), b.float().to(device), same.to(device), margin).item()
    assert ours == pytest.approx(slow, rel=1e-6, abs=1e-6)


def test_the_pairs_of_the_tests_reach_every_branch():
    a, b, same = two_sorts()
    d = torch.linalg.vector_norm(a - b, dim=1)
    for kind in (same, ~same):
        assert (d[kind] < 2.2).any() and (d[kind] > 2.2).any()
    a, p, n = three()
    values = torch.linalg.vector_norm(a - p, dim=1) - torch.linalg.vector_norm(a - n, dim=1) + 1.0
    assert (values > 0).sum() >= 3 and (values < 0).sum() >= 3


@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0, 5.0])
@pytest.mark.parametrize("n, d", [(1, 3), (2, 2), (12, 4)])
def test_triplet_is_its_formula(n, d, margin, device):
    a, p, n_ = three(n, d)
    slow = slow_triplet(a, p, n_, margin)
    ours = losses.triplet(*(z.to(device) for z in (a, p, n_)), margin).item()
    assert ours == pytest.approx(slow, rel=1e-9, abs=1e-12)
    ours = losses.triplet(*(z.float().to(device) for z in (a, p, n_)), margin).item()
    assert ours == pytest.approx(slow, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-5)])
@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_triplet_is_torch_s_but_for_its_epsilon(dtype, tolerance, margin):
    a, p, n = (z.to(dtype) for z in three())
    theirs = torch.nn.TripletMarginLoss(margin=margin)(a, p, n)
    ours = losses.triplet(a, p, n, margin)
    assert ours.item() == pytest.approx(theirs.item(), rel=tolerance)
    # torch adds ε to every coordinate of a difference. Moving the anchor by ε does the same, and nothing is left.
    exact = losses.triplet(a + 1e-6, p, n, margin).item()
    assert exact == pytest.approx(theirs.item(), rel=1e-6 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_contrastive_and_triplet_are_pytorch_metric_learning_s(dtype, tolerance):
    theirs = pytest.importorskip("pytorch_metric_learning.losses")
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.reducers import MeanReducer

    plain = {"distance": LpDistance(normalize_embeddings=False, p=2), "reducer": MeanReducer()}
    a, p, n = (z.to(dtype) for z in three())
    rows = torch.arange(len(a))
    z, triplets = torch.cat([a, p, n]), (rows, rows + len(a), rows + 2 * len(a))
    got = theirs.TripletMarginLoss(margin=1.0, **plain)(z, indices_tuple=triplets, labels=torch.arange(len(z)))
    assert losses.triplet(a, p, n, 1.0).item() == pytest.approx(got.item(), rel=tolerance)

    # Theirs is the mean over the same pairs plus that over the different ones, without the ½.
    a, b, same = two_sorts()
    a, b = a.to(dtype), b.to(dtype)
    indices = (rows[same], rows[same] + len(a), rows[~same], rows[~same] + len(a))
    for margin in (0.5, 2.2):
        one = theirs.ContrastiveLoss(pos_margin=0, neg_margin=margin, **plain)
        parts = one.compute_loss(torch.cat([a, b]), torch.arange(2 * len(a)), indices, None, None)
        near, far = parts["pos_loss"]["losses"], parts["neg_loss"]["losses"]  # of every pair: d and max(0, m − d)
        got = (near.square().sum() + far.square().sum()) / 2 / len(a)
        assert losses.contrastive(a, b, same, margin).item() == pytest.approx(got.item(), rel=tolerance)


def test_contrastive_and_triplet_in_closed_form():
    origin, at_3_4, far = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 20.0]])
    same, different = torch.tensor([True]), torch.tensor([False])
    assert losses.contrastive(origin, at_3_4, same, 1.0).item() == 12.5  # ½ · 5²
    assert losses.contrastive(origin, at_3_4, different, 7.0).item() == 2.0  # ½ · (7 − 5)²
    assert losses.contrastive(origin, at_3_4, different, 5.0).item() == 0.0
    assert losses.triplet(origin, at_3_4, far, 16.0).item() == 1.0  # 5 − 20 + 16
    assert losses.triplet(origin, at_3_4, far, 15.0).item() == 0.0
    both = losses.triplet(origin.repeat(2, 1), torch.cat([at_3_4, far]), torch.cat([far, at_3_4]), 1.0)
    assert both.item() == 8.0  # (0 + 16) / 2: a triplet without a loss counts


@pytest.mark.parametrize("margin", [0.2, 1.0, 2.0])
def test_what_collapsed_embeddings_cost(margin):
    z = torch.ones(8, 3)
    same = torch.arange(8) % 2 == 0
    assert losses.triplet(z, z, z, margin).item() == pytest.approx(margin)
    assert losses.contrastive(z, z, same, margin).item() == pytest.approx(margin**2 / 4)


@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
def test_distances_that_do_not_tell_cost_an_eighth_of_the_squared_margin_at_least(margin):
    n, same = 400, torch.arange(400) % 2 == 0
    origin = torch.zeros(n, 1)
    g = torch.Generator().manual_seed(0)
    for lengths in (torch.rand(n // 2, generator=g) * 2 * margin, torch.linspace(0, margin, n // 2)):
        d = lengths.repeat_interleave(2)[:, None]  # the same lengths for both sorts
        assert losses.contrastive(origin, d, same, margin).item() > margin**2 / 8
    half = torch.full((n, 1), margin / 2)
    assert losses.contrastive(origin, half, same, margin).item() == pytest.approx(margin**2 / 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_points_have_a_finite_gradient(dtype):
    z = torch.ones(4, 3, dtype=dtype, requires_grad=True)
    far = torch.zeros(4, 3, dtype=dtype, requires_grad=True)
    mixed = torch.tensor([True, False, True, False])
    for loss in (
        losses.triplet(z, z * 1, z * 1, 1.0),
        losses.triplet(z, z * 1, far, 3.0),
        losses.contrastive(z, z * 1, mixed, 1.0),
        losses.distances(z, z * 1).sum(),
        losses.distances(z, torch.cat([z, far])).square().mean(),
    ):
        for gradient in torch.autograd.grad(loss, [z, far], allow_unused=True):
            assert gradient is None or gradient.isfinite().all()
    (gradient,) = torch.autograd.grad(losses.triplet(z, z * 1, far, 3.0), [far])
    assert gradient.abs().min() > 0  # the negative still moves


@pytest.mark.parametrize("seed", range(4))
def test_contrastive_triplet_and_distances_have_the_right_gradient(seed):
    a, b, same = two_sorts(6, 3, seed)
    inputs = [a.requires_grad_(), b.requires_grad_()]
    assert torch.autograd.gradcheck(lambda a, b: losses.contrastive(a, b, same, 2.2), inputs)
    assert torch.autograd.gradcheck(losses.distances, inputs)
    points = [z.requires_grad_() for z in three(6, 3, seed)]
    assert torch.autograd.gradcheck(lambda a, p, n: losses.triplet(a, p, n, 1.0), points)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(0, 1000))
def test_distances_are_their_formula(n, m, d, seed):
    a, b = embeddings(n, d, seed)[0], embeddings(m, d, seed + 1)[0]
    slow = torch.tensor([[slow_distance(u, v) for v in b] for u in a], dtype=torch.float64)
    torch.testing.assert_close(losses.distances(a, b), slow, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(losses.distances(a.float(), b.float()).double(), slow, rtol=1e-5, atol=1e-6)


def test_distances_keep_small_differences_that_a_matrix_product_would_lose():
    a = 1000 + torch.arange(40.0)[:, None].expand(40, 8) * 1e-3
    d = losses.distances(a, a)
    expected = (a[:, None] - a).double().square().sum(dim=2).sqrt()
    torch.testing.assert_close(d.double(), expected, rtol=1e-5, atol=1e-7)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 1000))
def test_contrastive_and_triplet_do_not_mind_order_or_place(n, d, seed):
    a, b, same = two_sorts(n, d, seed)
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    for loss, points in (
        (lambda a, b: losses.contrastive(a, b, same, 2.2), (a, b)),
        (lambda *z: losses.triplet(*z, margin=1.0), three(n, d, seed)),
    ):
        value = loss(*points).item()
        assert loss(*(z + 7.0 for z in points)).item() == pytest.approx(value, rel=1e-6, abs=1e-9)
    assert losses.contrastive(b, a, same, 2.2).item() == pytest.approx(losses.contrastive(a, b, same, 2.2).item())
    moved = losses.contrastive(a[shuffled], b[shuffled], same[shuffled], 2.2).item()
    assert moved == pytest.approx(losses.contrastive(a, b, same, 2.2).item())


def test_contrastive_triplet_and_distances_work_out_half_precision_in_float32():
    a, b, same = (z.bfloat16() if z.is_floating_point() else z for z in two_sorts())
    for ours, exact in (
        (losses.contrastive(a, b, same, 2.2), losses.contrastive(a.double(), b.double(), same, 2.2)),
        (losses.triplet(a, b, a.roll(1, 0)), losses.triplet(*(z.double() for z in (a, b, a.roll(1, 0))))),
        (losses.distances(a, b).mean(), losses.distances(a.double(), b.double()).mean()),
    ):
        assert ours.dtype == torch.float32
        assert ours.item() == pytest.approx(exact.item(), rel=1e-5)


def test_contrastive_triplet_and_distances_say_what_is_wrong():
    a, b, same = two_sorts()
    with pytest.raises(ValueError, match=r"expected two \(N, D\) tensors of the same shape"):
        losses.contrastive(a, b[:3], same)
    with pytest.raises(ValueError, match="expected same as torch.bool .*; got torch.float32"):
        losses.contrastive(a, b, same.float())
    with pytest.raises(ValueError, match=r"expected same as torch.bool \(12,\).*; got torch.bool \(12, 1\)"):
        losses.contrastive(a, b, same[:, None])
    for wrong in ((a[:, :2], b, b), (a, b[:3], b), (a, b, b[0])):
        with pytest.raises(ValueError, match=r"expected two \(N, D\) tensors of the same shape"):
            losses.triplet(*wrong)
    for margin in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="margin is .*; expected a distance, 0 or more"):
            losses.triplet(a, b, b, margin)
        with pytest.raises(ValueError, match="margin is .*; expected a distance, 0 or more"):
            losses.contrastive(a, b, same, margin)
    with pytest.raises(ValueError, match="with the same D"):
        losses.distances(a, b[:, :2])
