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
