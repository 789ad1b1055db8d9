"""The losses of joint embedding: slow twins from the papers' formulas, closed forms, gradients, other libraries.

NT-Xent and VICReg have theirs in test_losses.py.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit import losses


def randn(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def embeddings(n: int = 7, d: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of embeddings that resemble each other: rows of unequal lengths, columns off centre and correlated."""
    a = randn(n, d, seed=seed) @ randn(d, d, seed=seed + 1) * (0.3 + randn(n, 1, seed=seed + 2).abs()) + 0.7
    return a, 0.6 * a + randn(n, d, seed=seed + 3)


def dot(u, v) -> float:
    return sum(x * y for x, y in zip(u, v))


def unit(u) -> list[float]:
    length = math.sqrt(dot(u, u))
    return [x / length for x in u]


def shuffled(n: int, seed: int) -> torch.Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


# ---- info_nce ---------------------------------------------------------------------------------------------------


def slow_info_nce(query, key, negatives, temperature: float) -> float:
    """He et al. 2020, Eq. 1, query by query, of rows scaled to length 1."""
    queries, keys, others = ([unit(row) for row in z.tolist()] for z in (query, key, negatives))
    total = 0.0
    for q, k in zip(queries, keys):
        own = math.exp(dot(q, k) / temperature)
        total -= math.log(own / (own + sum(math.exp(dot(q, n) / temperature) for n in others)))
    return total / len(queries)


def mutant_info_nce(
    q, k, n, temperature, *, own=True, scaled=(0, 1, 2), axis=1, warm=True, reduction="mean", batch=False
):
    """info_nce with one thing wrong."""
    q, k, n = (F.normalize(z, dim=axis) if i in scaled else z for i, z in enumerate((q, k, n)))
    if batch:
        n = torch.cat([n, k])
    there = n if own else n[1:]
    logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ there.T], dim=1) / (temperature if warm else 1.0)
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.int64), reduction=reduction)


INFO_NCE_MUTANTS = {
    "queries not normalised": {"scaled": (1, 2)},
    "keys not normalised": {"scaled": (0, 2)},
    "the queue not normalised": {"scaled": (0, 1)},
    "normalised along the wrong axis": {"axis": 0},
    "no temperature": {"warm": False},
    "sum for mean": {"reduction": "sum"},
    "a negative left out": {"own": False},
    "the keys of the batch as negatives": {"batch": True},
}


def queued(n: int = 7, k: int = 11, d: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return *embeddings(n, d, seed), randn(k, d, seed=seed + 9) * 2 + 0.2


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
@pytest.mark.parametrize("n, k, d", [(1, 1, 3), (2, 5, 2), (7, 11, 5)])
def test_info_nce_is_its_formula(n, k, d, temperature):
    z = queued(n, k, d)
    slow = slow_info_nce(*z, temperature)
    assert losses.info_nce(*z, temperature).item() == pytest.approx(slow, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("change", INFO_NCE_MUTANTS.values(), ids=INFO_NCE_MUTANTS.keys())
def test_the_slow_twin_tells_info_nce_from_what_is_nearly_it(change):
    z = queued()
    slow = slow_info_nce(*z, 0.2)
    assert mutant_info_nce(*z, 0.2).item() == pytest.approx(slow, rel=1e-9)
    assert mutant_info_nce(*z, 0.2, **change).item() != pytest.approx(slow, rel=1e-3)


def test_info_nce_on_the_device_in_float32(device):
    z = queued()
    ours = losses.info_nce(*(x.float().to(device) for x in z), 0.2).item()
    assert ours == pytest.approx(slow_info_nce(*z, 0.2), rel=1e-5)


@pytest.mark.parametrize("k", [1, 16, 4096])
def test_info_nce_of_embeddings_that_cannot_be_told_apart_is_ln_k_plus_1(k):
    same = torch.ones(3, 4)
    assert losses.info_nce(same, same, torch.ones(k, 4)).item() == pytest.approx(math.log(k + 1), rel=1e-5)


def test_info_nce_of_one_right_and_one_opposite_key():
    q = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    loss = losses.info_nce(q, 3 * q, -5 * q, temperature=0.5).item()
    assert loss == pytest.approx(math.log(1 + math.exp(-4)))  # cosines 1 and −1, over 0.5


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(2, 5), st.integers(0, 1000))
def test_info_nce_does_not_mind_order_length_or_a_turn(n, k, d, seed):
    q, key, queue = queued(n, k, d, seed)
    loss = losses.info_nce(q, key, queue).item()
    some = shuffled(n, seed)
    turn = torch.linalg.qr(randn(d, d, seed=seed)).Q
    assert losses.info_nce(q[some], key[some], queue[shuffled(k, seed)]).item() == pytest.approx(loss, rel=1e-9)
    assert losses.info_nce(7 * q, key / 7, 3 * queue).item() == pytest.approx(loss, rel=1e-9)
    assert losses.info_nce(q @ turn, key @ turn, queue @ turn).item() == pytest.approx(loss, rel=1e-9)


def test_info_nce_is_lightly_s_and_pytorch_metric_learning_s():
    from lightly.loss import NTXentLoss

    query, key, negatives = (z.float() for z in queued())
    theirs = NTXentLoss(temperature=0.2, memory_bank_size=(len(negatives), 5))
    theirs.memory_bank.bank = F.normalize(negatives, dim=1)
    ours = losses.info_nce(query, key, negatives, 0.2).item()
    assert ours == pytest.approx(theirs(query, key).item(), rel=1e-5)

    from pytorch_metric_learning.losses import NTXentLoss as Metric

    n, k = len(query), len(negatives)
    every, row = torch.arange(n).repeat_interleave(k), torch.arange(n)
    indices = (row, row, every, n + torch.arange(k).repeat(n))  # anchor, positive, anchor, negative
    got = Metric(temperature=0.2)(query, row, indices, torch.cat([key, negatives]), torch.zeros(n + k))
    assert ours == pytest.approx(got.item(), rel=1e-5)


# ---- normalised_mse ---------------------------------------------------------------------------------------------


def slow_normalised_mse(prediction, target) -> float:
    """Grill et al. 2020, Eq. 2: the squared distance of two unit vectors, row by row."""
    total = 0.0
    for p, t in zip(prediction.tolist(), target.tolist()):
        total += sum((x - y) ** 2 for x, y in zip(unit(p), unit(t)))
    return total / len(prediction)


MSE_MUTANTS = {
    "prediction not normalised": lambda p, t: (p - F.normalize(t, dim=1)).square().sum(dim=1).mean(),
    "target not normalised": lambda p, t: (F.normalize(p, dim=1) - t).square().sum(dim=1).mean(),
    "normalised along the wrong axis": lambda p, t: (
        (F.normalize(p, dim=0) - F.normalize(t, dim=0)).square().sum(dim=1).mean()
    ),
    "mean over D for sum": lambda p, t: (F.normalize(p, dim=1) - F.normalize(t, dim=1)).square().mean(),
    "sum over N for mean": lambda p, t: (F.normalize(p, dim=1) - F.normalize(t, dim=1)).square().sum(),
    "one cosine for 2 − 2 cosines": lambda p, t: 1 - F.cosine_similarity(p, t).mean(),
    "rows in another order": lambda p, t: 2 - 2 * F.cosine_similarity(p, t.roll(1, dims=0)).mean(),
}


@pytest.mark.parametrize("n, d", [(1, 3), (2, 2), (7, 5)])
def test_normalised_mse_is_its_formula(n, d, device):
    p, t = embeddings(n, d)
    slow = slow_normalised_mse(p, t)
    assert losses.normalised_mse(p, t).item() == pytest.approx(slow, rel=1e-9)
    assert losses.normalised_mse(p.float().to(device), t.float().to(device)).item() == pytest.approx(slow, abs=1e-5)


@pytest.mark.parametrize("mutant", MSE_MUTANTS.values(), ids=MSE_MUTANTS.keys())
def test_the_slow_twin_tells_normalised_mse_from_what_is_nearly_it(mutant):
    p, t = embeddings()
    assert mutant(p, t).item() != pytest.approx(slow_normalised_mse(p, t), rel=1e-3)


def test_normalised_mse_in_closed_form():
    east, north = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    assert losses.normalised_mse(east, 3 * east).item() == 0
    assert losses.normalised_mse(east, north).item() == 2
    assert losses.normalised_mse(east, -north - east * 2.5).item() == pytest.approx(2 + 2**0.5)  # 135 degrees
    assert losses.normalised_mse(east, -east).item() == 4
    assert losses.normalised_mse(torch.ones(5, 3), torch.full((5, 3), 7.0)).item() == pytest.approx(0, abs=1e-6)


def test_normalised_mse_of_unrelated_directions_is_2():
    assert losses.normalised_mse(randn(2000, 64), randn(2000, 64, seed=1)).item() == pytest.approx(2, abs=0.02)


def test_normalised_mse_is_lightly_s_negative_cosine_but_for_its_zero_and_slope():
    from lightly.loss import NegativeCosineSimilarity

    p, t = embeddings()
    theirs = NegativeCosineSimilarity()(p, t)  # −cos, SimSiam's Eq. 1; BYOL's Eq. 2 is 2 − 2 cos
    assert losses.normalised_mse(p, t).item() == pytest.approx(2 + 2 * theirs.item(), rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_normalised_mse_does_not_mind_order_length_or_side(n, d, seed):
    p, t = embeddings(n, d, seed)
    loss, some = losses.normalised_mse(p, t).item(), shuffled(n, seed)
    for other in ((t, p), (p[some], t[some]), (7 * p, t / 7)):
        assert losses.normalised_mse(*other).item() == pytest.approx(loss, rel=1e-9, abs=1e-12)


# ---- barlow_twins -----------------------------------------------------------------------------------------------


def slow_barlow_twins(a, b, weight: float) -> tuple[float, dict[str, float]]:
    """Zbontar et al. 2021, Eq. 1 and 2, one number at a time; the columns less their means, as the text has it."""
    n, d = a.shape

    def column(z, j) -> list[float]:
        values = z[:, j].tolist()
        return [x - sum(values) / n for x in values]

    on = off = 0.0
    for i in range(d):
        for j in range(d):
            x, y = column(a, i), column(b, j)
            c = dot(x, y) / (math.sqrt(dot(x, x)) * math.sqrt(dot(y, y)))
            if i == j:
                on += (1 - c) ** 2
            else:
                off += c**2
    return on + weight * off, {"invariance": on, "redundancy": off}


def mutant_barlow_twins(
    a,
    b,
    weight,
    *,
    axis=0,
    centred=True,
    scaled=True,
    diagonal=False,
    square=True,
    auto=False,
    mean=False,
    rows=False,
):
    """barlow_twins with one thing wrong."""

    def standard(z):
        z = z - z.mean(dim=axis, keepdim=True) if centred else z
        return F.normalize(z, dim=axis) if scaled else z / len(z) ** 0.5

    x, y = standard(a), standard(a if auto else b)
    c = x @ y.T if rows else x.T @ y
    own = c.diagonal()
    on = (1 - own).square() if square else 1 - own
    off = c.square().sum() - (0 if diagonal else own.square().sum())
    return (on.mean() if mean else on.sum()) + weight * off


BARLOW_MUTANTS = {
    "standardised along the wrong axis": {"axis": 1},
    "correlation of the rows": {"rows": True},
    "not centred": {"centred": False},
    "covariance for correlation": {"scaled": False},
    "diagonal not left out of the redundancy": {"diagonal": True},
    "1 − C without the square": {"square": False},
    "one view with itself": {"auto": True},
    "mean for sum": {"mean": True},
}


@pytest.mark.parametrize("weight", [5e-3, 0.5])
@pytest.mark.parametrize("n, d", [(3, 2), (7, 5), (4, 6)])
def test_barlow_twins_is_its_formula(n, d, weight):
    a, b = embeddings(n, d)
    slow, parts = slow_barlow_twins(a, b, weight)
    ours = losses.barlow_twins(a, b, weight)
    assert ours["loss"].item() == pytest.approx(slow, rel=1e-9)
    assert {k: v.item() for k, v in ours.items() if k != "loss"} == pytest.approx(parts, rel=1e-9)


@pytest.mark.parametrize("change", BARLOW_MUTANTS.values(), ids=BARLOW_MUTANTS.keys())
def test_the_slow_twin_tells_barlow_twins_from_what_is_nearly_it(change):
    a, b = embeddings(7, 7)  # square: the wrong axis has the right shape
    slow = slow_barlow_twins(a, b, 0.1)[0]
    assert mutant_barlow_twins(a, b, 0.1).item() == pytest.approx(slow, rel=1e-9)
    assert mutant_barlow_twins(a, b, 0.1, **change).item() != pytest.approx(slow, rel=1e-3)


def test_barlow_twins_on_the_device_in_float32(device):
    a, b = embeddings()
    ours = losses.barlow_twins(a.float().to(device), b.float().to(device))["loss"].item()
    assert ours == pytest.approx(slow_barlow_twins(a, b, 5e-3)[0], rel=1e-5)


def test_barlow_twins_is_lightly_s_but_for_the_epsilon_of_its_batch_norm():
    from lightly.loss import BarlowTwinsLoss

    a, b = embeddings(32, 8)
    for weight in (5e-3, 0.5):
        theirs = BarlowTwinsLoss(lambda_param=weight)(a, b).item()  # 1e-5 is added to every variance there
        assert losses.barlow_twins(a, b, weight)["loss"].item() == pytest.approx(theirs, rel=1e-4)
        theirs = BarlowTwinsLoss(lambda_param=weight)(1e4 * a, 1e4 * b).item()  # where it does not count
        assert losses.barlow_twins(a, b, weight)["loss"].item() == pytest.approx(theirs, rel=1e-9)


def test_barlow_twins_in_closed_form():
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert losses.barlow_twins(signs, 3 * signs + 1)["loss"].item() == pytest.approx(0, abs=1e-12)
    assert losses.barlow_twins(signs, -signs)["loss"].item() == pytest.approx(2 * 2**2)
    twice = signs[:, :1].repeat(1, 3)  # three coordinates that say the same: six pairs with C = 1
    assert losses.barlow_twins(twice, twice, 0.1)["loss"].item() == pytest.approx(0.1 * 6)
    swapped = losses.barlow_twins(signs, signs.flip(1), 0.1)["loss"].item()
    assert swapped == pytest.approx(2 + 0.1 * 2)


@pytest.mark.parametrize("d", [3, 8])
def test_what_barlow_twins_costs_collapsed_and_unrelated_embeddings(d):
    same = torch.full((6, d), 0.75)
    assert losses.barlow_twins(same, same)["loss"].item() == pytest.approx(d)
    n, some = 200, range(0, 80, 2)
    unrelated = [losses.barlow_twins(randn(n, d, seed=i), randn(n, d, seed=i + 1), 10.0)["loss"] for i in some]
    assert torch.stack(unrelated).mean().item() == pytest.approx(d + 10 * d * d / n, rel=0.05)


@settings(deadline=None, max_examples=25)
@given(st.integers(3, 8), st.integers(1, 5), st.integers(0, 1000))
def test_barlow_twins_does_not_mind_order_side_shift_or_scale(n, d, seed):
    a, b = embeddings(n, d, seed)
    loss, some = losses.barlow_twins(a, b)["loss"].item(), shuffled(n, seed)
    columns, width = shuffled(d, seed), torch.linspace(0.5, 3, d, dtype=a.dtype)
    for other in ((b, a), (a[some], b[some]), (a[:, columns], b[:, columns]), (a * width + 3, b / width - 2)):
        assert losses.barlow_twins(*other)["loss"].item() == pytest.approx(loss, rel=1e-6, abs=1e-9)


def test_barlow_twins_of_constant_coordinates_has_a_gradient_that_is_a_number():
    a, b = (z.float() for z in embeddings(8, 3))
    dead = torch.cat([a[:, :2], torch.ones(8, 1)], dim=1).requires_grad_()
    losses.barlow_twins(dead, b)["loss"].backward()
    assert dead.grad.isfinite().all() and dead.grad.abs().max() < 1e6


# ---- dino -------------------------------------------------------------------------------------------------------


def slow_dino(student, teacher, centre, warm: float, cold: float) -> float:
    """Caron et al. 2021, Eq. 1 to 3, image by image and answer by answer."""

    def softmax(values) -> list[float]:
        e = [math.exp(value) for value in values]
        return [x / sum(e) for x in e]

    total, pairs = 0.0, 0
    for g in range(len(teacher)):
        for v in range(len(student)):
            if v == g:
                continue
            pairs += 1
            for n in range(student.shape[1]):
                right = softmax([(t - c) / cold for t, c in zip(teacher[g, n].tolist(), centre.tolist())])
                says = softmax([s / warm for s in student[v, n].tolist()])
                total -= sum(p * math.log(q) for p, q in zip(right, says)) / student.shape[1]
    return total / pairs


def mutant_dino(
    s, t, c, warm, cold, *, same=False, centred=1.0, swapped=False, sharp=True, of_student=False, total=False, axis=2
):
    """dino with one thing wrong."""
    if swapped:
        warm, cold = cold, warm
    says = F.log_softmax((s - c if of_student else s) / warm, dim=axis)
    right = F.softmax((t - centred * c) / (cold if sharp else 1.0), dim=axis)
    h = -torch.einsum("gnk,vnk->gv", right, says) / (1 if total else s.shape[1])
    if same:
        return h.mean()
    return (h.sum() - h.diagonal().sum()) / (h.numel() - len(h))


DINO_MUTANTS = {
    "the same view on both sides": {"same": True},
    "no centre": {"centred": 0.0},
    "centre added": {"centred": -1.0},
    "the student centred too": {"of_student": True},
    "temperatures swapped": {"swapped": True},
    "the teacher not sharpened": {"sharp": False},
    "sum over the batch": {"total": True},
    "softmax over the batch": {"axis": 1},
}


def answers(v: int = 4, g: int = 2, n: int = 3, k: int = 5, seed: int = 0):
    student, teacher = randn(v, n, k, seed=seed) / 5, randn(g, n, k, seed=seed + 1) / 10
    return student, teacher, randn(k, seed=seed + 2) / 10


@pytest.mark.parametrize("warm, cold", [(0.1, 0.04), (0.5, 1.0)])
@pytest.mark.parametrize("v, g, n, k", [(2, 1, 1, 2), (2, 2, 3, 4), (4, 2, 3, 5)])
def test_dino_is_its_formula(v, g, n, k, warm, cold):
    z = answers(v, g, n, k)
    assert losses.dino(*z, warm, cold).item() == pytest.approx(slow_dino(*z, warm, cold), rel=1e-9)


@pytest.mark.parametrize("change", DINO_MUTANTS.values(), ids=DINO_MUTANTS.keys())
def test_the_slow_twin_tells_dino_from_what_is_nearly_it(change):
    z = answers()
    slow = slow_dino(*z, 0.1, 0.04)
    assert mutant_dino(*z, 0.1, 0.04).item() == pytest.approx(slow, rel=1e-9)
    assert mutant_dino(*z, 0.1, 0.04, **change).item() != pytest.approx(slow, rel=1e-3)


def test_dino_on_the_device_in_float32(device):
    z = answers()
    ours = losses.dino(*(x.float().to(device) for x in z)).item()
    assert ours == pytest.approx(slow_dino(*z, 0.1, 0.04), rel=1e-5)


def test_dino_is_lightly_s():
    from lightly.loss import DINOLoss

    student, teacher, centre = (z.float() for z in answers())
    theirs = DINOLoss(output_dim=5, teacher_temp=0.04)
    theirs.center = centre.view(1, 1, -1)
    got = theirs(list(teacher), list(student)).item()
    assert losses.dino(student, teacher, centre).item() == pytest.approx(got, rel=1e-5)


@pytest.mark.parametrize("k", [2, 64, 512])
def test_dino_in_closed_form(k):
    nothing, centre = torch.zeros(3, 4, k), torch.zeros(k)
    sure = 10 * F.one_hot(torch.zeros(2, 4, dtype=torch.int64), k).float()
    assert losses.dino(nothing, sure, centre).item() == pytest.approx(math.log(k), rel=1e-5)
    assert losses.dino(nothing, nothing[:2], centre).item() == pytest.approx(math.log(k), rel=1e-5)  # all alike
    always = 10 * F.one_hot(torch.zeros(3, 4, dtype=torch.int64), k).float()
    assert losses.dino(always, sure, centre).item() == pytest.approx(0, abs=1e-5)  # always the same one
    centred = losses.dino(nothing, sure + 3, sure[0, 0] + 3)  # a centre at the answer leaves all alike
    assert centred.item() == pytest.approx(math.log(k), rel=1e-5)


def test_dino_never_compares_a_view_with_itself():
    student, teacher, centre = answers(2, 2)
    free = student.clone().requires_grad_()
    losses.dino(free, torch.stack([teacher[0], teacher[0] * 0]), centre * 0, 1.0, 1.0).backward()
    alike = F.softmax(student[0], dim=1) - 1 / 5  # what view 0 learns is what the teacher says of view 1: all alike
    torch.testing.assert_close(free.grad[0], alike / student.shape[1] / 2)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 4), st.integers(1, 4), st.integers(2, 5), st.integers(0, 1000))
def test_dino_does_not_mind_order_or_a_shift(v, n, k, seed):
    student, teacher, centre = answers(v, min(v, 2), n, k, seed)
    loss, some, names = losses.dino(student, teacher, centre).item(), shuffled(n, seed), shuffled(k, seed)
    for other in (
        (student[:, some], teacher[:, some], centre),
        (student[..., names], teacher[..., names], centre[names]),
        (student + 3, teacher - 2, centre + 1),
    ):
        assert losses.dino(*other).item() == pytest.approx(loss, rel=1e-9)
    if len(teacher) == 2:
        flipped = torch.cat([student[:2].flip(0), student[2:]])
        assert losses.dino(flipped, teacher.flip(0), centre).item() == pytest.approx(loss, rel=1e-9)


# ---- all of them ------------------------------------------------------------------------------------------------

ALL = {
    "info_nce": (lambda q, k, n: losses.info_nce(q, k, n, 0.5), lambda seed: queued(4, 5, 3, seed)),
    "normalised_mse": (losses.normalised_mse, lambda seed: embeddings(4, 3, seed)),
    "barlow_twins": (lambda a, b: losses.barlow_twins(a, b, 0.1)["loss"], lambda seed: embeddings(5, 3, seed)),
    "dino": (lambda s, t, c: losses.dino(s, t, c, 0.5, 0.3), lambda seed: answers(3, 2, 3, 4, seed)),
}
every = pytest.mark.parametrize("name", ALL)


@every
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_right(name, seed):
    loss, make = ALL[name]
    assert torch.autograd.gradcheck(loss, [z.requires_grad_() for z in make(seed)])


@every
def test_a_target_that_is_a_constant_gets_no_gradient_and_changes_none(name):
    """The stop-gradient is the method's: a loss has a gradient for whatever is not detached."""
    loss, make = ALL[name]
    first, second, *rest = make(0)
    first, second = first.requires_grad_(), second.requires_grad_()
    (both, at_second) = torch.autograd.grad(loss(first, second, *rest), [first, second])
    assert at_second.abs().sum() > 0
    alone, nothing = torch.autograd.grad(loss(first, second.detach(), *rest), [first, second], allow_unused=True)
    assert nothing is None
    torch.testing.assert_close(alone, both)


@every
def test_half_precision_is_worked_out_in_float32(name, device):
    loss, make = ALL[name]
    z = [x.bfloat16().to(device) for x in make(0)]
    exact = loss(*(x.double() for x in z)).item()
    with torch.autocast(device.type, dtype=torch.bfloat16):
        ours = loss(*z)
    assert ours.dtype == torch.float32
    assert ours.item() == pytest.approx(exact, rel=1e-4)
    plain = loss(*(x.float() for x in z))
    with torch.autocast(device.type, dtype=torch.bfloat16):
        assert loss(*(x.float() for x in z)).item() == pytest.approx(plain.item(), rel=1e-6)


@pytest.mark.parametrize("shapes", [((4, 3), (5, 3)), ((4, 3), (4, 2)), ((4, 3, 1), (4, 3, 1)), ((4,), (4,))])
def test_shapes_that_do_not_fit_are_named(shapes):
    a, b = torch.ones(shapes[0]), torch.ones(shapes[1])
    for loss in (losses.normalised_mse, losses.barlow_twins, lambda a, b: losses.info_nce(a, b, torch.ones(2, 3))):
        with pytest.raises(ValueError, match=r"expected two \(N, D\) tensors of the same shape; got"):
            loss(a, b)


def test_what_else_does_not_fit_is_named():
    z = torch.ones(4, 3)
    for negatives in (torch.ones(5, 2), torch.ones(0, 3), torch.ones(3)):
        with pytest.raises(ValueError, match=r"expected negatives \(K, 3\), at least one; got"):
            losses.info_nce(z, z, negatives)
    with pytest.raises(ValueError, match="a batch of one image has no variance; expected at least two rows"):
        losses.barlow_twins(z[:1], z[:1])
    s, t, c = answers()
    for wrong in ((s, t[:, :2], c), (s, t, c[:2]), (s[0], t[0], c), (s[:1], t, c), (s[:1], t[:1], c), (s, t[:0], c)):
        with pytest.raises(ValueError, match=r"expected student \(V, N, K\) and teacher \(G, N, K\) .*; got"):
            losses.dino(*wrong)
    for temperature in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="temperature is .*; expected a positive number"):
            losses.info_nce(z, z, z, temperature)
        with pytest.raises(ValueError, match="temperature is .*; expected a positive number"):
            losses.dino(s, t, c, teacher_temperature=temperature)
