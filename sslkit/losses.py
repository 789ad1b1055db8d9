"""Embeddings -> scalar. Pure functions: no parameters, no device, no process group."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """How surprised a classifier is by the right answer, in nats.

        L = −mean_i log softmax(s_i)[y_i]

    Symbols: s -> logits; y -> target. A network that knows nothing gives ln K.
    Shapes:  logits (N, K), target int64 (N,) in 0 … K − 1 -> scalar.
    Ref:     Goodfellow, Bengio, Courville 2016, "Deep Learning", Sec. 6.2.2.3.
    """
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            f"expected logits (N, K) and target (N,); got {tuple(logits.shape)} and {tuple(target.shape)}."
        )
    return F.cross_entropy(_full(logits), target)


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The squared error of a prediction, over the hidden pixels alone.

        L = Σ_{n, c, i, j} m_nij (p_ncij − t_ncij)² / (C Σ_{n, i, j} m_nij)

    Symbols: p -> prediction; t -> target; m -> mask, 1 where a pixel is hidden. Visible pixels count for nothing.
    Chance:  predicting the target's mean everywhere gives its variance; about 1 for contrast_normalised_grey.
    Shapes:  prediction, target (N, C, H, W), mask bool (N, 1, H, W) -> scalar.
    Ref:     Pathak et al. 2016, "Context encoders: feature learning by inpainting", Eq. 1, there without the division.
    """
    if prediction.shape != target.shape or target.ndim != 4 or mask.shape != (len(target), 1, *target.shape[2:]):
        raise ValueError(
            "expected prediction and target (N, C, H, W) and mask (N, 1, H, W); got "
            f"{tuple(prediction.shape)}, {tuple(target.shape)} and {tuple(mask.shape)}."
        )
    if mask.dtype != torch.bool:
        raise ValueError(f"the mask is {mask.dtype}; expected torch.bool, true where a pixel is hidden.")
    hidden = mask.sum() * target.shape[1]
    if _hides_nothing(mask):
        raise ValueError("the mask hides no pixel, so there is nothing to predict. Hide some.")
    error = torch.where(mask, _full(prediction) - _full(target), 0)  # not · mask: what is outside may be NaN
    return error.square().sum() / hidden


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error, over everything that was to be predicted.

        L = Σ_{n, m, o} (p_nmo − t_nmo)² / (N M O)

    Symbols: p -> prediction; t -> target; m -> one of the M hidden patches of a sample; o -> one of a patch's numbers.
    Chance:  predicting 0 gives the target's mean square: 1 for patches, or embeddings, with mean 0 and variance 1.
    Shapes:  prediction, target (N, M, O) -> scalar.
    Ref:     He et al. 2022, "Masked autoencoders are scalable vision learners", Sec. 3 (reconstruction target);
             Assran et al. 2023, "Self-supervised learning from images with a joint-embedding predictive architecture",
             Sec. 3 (loss), there summed over the numbers of a patch.
    """
    if prediction.shape != target.shape or target.ndim != 3:
        raise ValueError(
            f"expected prediction and target (N, M, O) alike; got {tuple(prediction.shape)} and {tuple(target.shape)}."
        )
    return (_full(prediction) - _full(target)).square().mean()


def contrastive(a: Tensor, b: Tensor, same: Tensor, margin: float = 1.0) -> Tensor:
    """Pull the two of a pair together if they are the same; push them apart, up to a margin, if they are not.

        L = mean_i [ s_i · ½ d_i² + (1 − s_i) · ½ max(0, m − d_i)² ],    d_i = ‖a_i − b_i‖₂

    Symbols: s -> same, true for two variations of one image; m -> margin. The paper's Y is the opposite of s: its 0
    stands for a similar pair. The factor ½ is the paper's; pytorch-metric-learning's powers of two come without it.
    Chance:  with half of the pairs the same, distances that do not tell which cost m² / 8 at least (all of them m / 2),
    and m² / 4 when the embeddings have collapsed (all of them 0).
    Shapes:  a, b (N, D), same bool (N,) -> scalar. At d = 0 the gradient is 0.
    Ref:     Hadsell, Chopra, LeCun 2006, "Dimensionality reduction by learning an invariant mapping", Eq. 4.
    """
    _check_pair(a, b)
    if same.shape != a.shape[:1] or same.dtype != torch.bool:
        raise ValueError(
            f"expected same as torch.bool {(len(a),)}, true for a pair of one image; got {same.dtype} "
            f"{tuple(same.shape)}."
        )
    _check_margin(margin)
    d = torch.linalg.vector_norm(_full(a) - _full(b), dim=1)  # (N,)
    return torch.where(same, d.square(), F.relu(margin - d).square()).mean() / 2


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    """The positive is to be nearer to the anchor than the negative is, by a margin at least.

        L = mean_i max( ‖f(A_i) − f(P_i)‖₂ − ‖f(A_i) − f(N_i)‖₂ + α, 0 )

    Symbols: f(A), f(P), f(N) -> anchor, positive, negative; α -> margin. The mean counts the triplets whose loss is 0.
    The paper squares both distances; here they are not squared, and no ε is added to them.
    Collapsed: embeddings that are all equal give α.
    Shapes:  (N, D) each -> scalar. A distance of 0 has the gradient 0.
    Ref:     Schroff, Kalenichenko, Philbin 2015, "FaceNet: a unified embedding for face recognition and clustering",
             Sec. 3.1.
    """
    _check_pair(anchor, positive)
    _check_pair(anchor, negative)
    _check_margin(margin)
    anchor = _full(anchor)
    near = torch.linalg.vector_norm(anchor - _full(positive), dim=1)  # (N,)
    far = torch.linalg.vector_norm(anchor - _full(negative), dim=1)  # (N,)
    return F.relu(near - far + margin).mean()


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of every row of a from every row of b: d_ij = ‖a_i − b_j‖₂.

    Taken from the differences, not from a matrix product, whose rounding would hide small distances.
    Shapes: a (N, D), b (M, D) -> (N, M). A distance of 0 has the gradient 0.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"expected (N, D) and (M, D) with the same D; got {tuple(a.shape)} and {tuple(b.shape)}.")
    with torch.autocast(a.device.type, enabled=False):
        return torch.cdist(_full(a), _full(b), compute_mode="donot_use_mm_for_euclid_dist")


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.2) -> Tensor:
    """Find the other view of the same image among all other views of the batch (SimCLR).

        L = −(1 / 2N) Σ_i log( exp(sim(z_i, z_p(i)) / τ) / Σ_{j ≠ i} exp(sim(z_i, z_j) / τ) )

    Symbols: z -> the 2N rows of a and b; p(i) -> the other view of i; sim -> cosine; τ -> temperature.
    Chance:  embeddings that cannot be told apart give ln(2N − 1).
    Shapes:  a, b (N, D) -> scalar; row i of a and row i of b are views of the same image.
    Ref:     Chen, Kornblith, Norouzi, Hinton 2020, "A simple framework for contrastive learning", Eq. 1, Alg. 1.
    """
    _check_pair(a, b)
    _check_temperature(temperature)
    n = len(a)
    with torch.autocast(a.device.type, enabled=False):  # which would round the cosines to three digits
        z = F.normalize(_full(torch.cat([a, b])), dim=1)  # (2N, D)
        logits = z @ z.T / temperature  # (2N, 2N)
    logits.fill_diagonal_(float("-inf"))  # a view is not its own partner
    partner = torch.arange(2 * n, device=a.device).roll(n)  # 0 ↔ N, 1 ↔ N + 1, …
    return F.cross_entropy(logits, partner)


def vicreg(
    a: Tensor, b: Tensor, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> dict[str, Tensor]:
    """Make two views agree, keep every coordinate spread out, and keep the coordinates uncorrelated (VICReg).

        L = λ s(Z, Z′) + μ [v(Z) + v(Z′)] + ν [c(Z) + c(Z′)]

        s = mean_ij (Z_ij − Z′_ij)²                  the views agree
        v = (1 / D) Σ_j max(0, 1 − √(Var Z_·j + ε))   no coordinate collapses; ε = 1e-4
        c = (1 / D) Σ_{j ≠ k} Cov(Z)_jk²             no two coordinates say the same

    Symbols: Z, Z′ -> a, b; λ, μ, ν -> invariance, variance, covariance. Var and Cov divide by N − 1.
    The paper's s sums over D (Eq. 5); the weights that it gives belong to the mean, which its own code takes.
    Collapsed: embeddings that are all equal give L = 2 μ (1 − √ε), and s = c = 0.
    Shapes:  a, b (N, D), N ≥ 2; row i of both are views of the same image -> scalars "loss", and the parts s, v + v′,
             c + c′ without their weights: "invariance", "variance", "covariance".
    Ref:     Bardes, Ponce, LeCun 2022, "VICReg: variance-invariance-covariance regularization", Eq. 1 to 6.
    """
    _check_pair(a, b)
    _check_batch(a)
    a, b = _full(a), _full(b)
    with torch.autocast(a.device.type, enabled=False):
        parts = {
            "invariance": (a - b).square().mean(),
            "variance": _hinge(a) + _hinge(b),
            "covariance": _off_diagonal(a) + _off_diagonal(b),
        }
    weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
    return {"loss": sum((weights[k] * part for k, part in parts.items()), a.new_zeros(()))} | parts


def info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float = 0.2) -> Tensor:
    """Find the own key among K negatives that are the same for every query (MoCo).

        L = −(1 / N) Σ_i log( exp(q_i · k_i / τ) / [exp(q_i · k_i / τ) + Σ_j exp(q_i · n_j / τ)] )

    Symbols: q -> query, k -> key, n -> negatives (the queue), each row scaled to length 1; τ -> temperature.
    Chance:  embeddings that cannot be told apart give ln(K + 1). The other keys of the batch are no negatives here, as
    in the paper.
    Shapes:  query, key (N, D), negatives (K, D) -> scalar; row i of query and of key are views of the same image. The
    gradient reaches all three: to stop it at the keys is the method's business.
    Ref:     He, Fan, Wu, Xie, Girshick 2020, "Momentum contrast", Eq. 1, Alg. 1.
    """
    _check_pair(query, key)
    _check_temperature(temperature)
    if negatives.ndim != 2 or negatives.shape[1] != query.shape[1] or not len(negatives):
        expected = f"expected negatives (K, {query.shape[1]}), at least one"
        raise ValueError(f"{expected}; got {tuple(negatives.shape)}.")
    with torch.autocast(query.device.type, enabled=False):
        q, k, n = (F.normalize(_full(z), dim=1) for z in (query, key, negatives))
        own = (q * k).sum(dim=1, keepdim=True)  # (N, 1)
        logits = torch.cat([own, q @ n.T], dim=1) / temperature  # (N, 1 + K)
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.int64, device=q.device))


def normalised_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """The squared distance of prediction and target, both scaled to length 1 (BYOL, SimSiam).

        L = mean_i ‖ p_i / ‖p_i‖₂ − t_i / ‖t_i‖₂ ‖₂² = 2 − 2 mean_i cos(p_i, t_i)

    Symbols: p -> prediction; t -> target. SimSiam's loss is −mean cos: the same with another zero and half the slope.
    Chance:  directions that have nothing to do with each other give 2; equal ones 0, and so do collapsed ones.
    Shapes:  prediction, target (N, D) -> scalar. The gradient reaches both: to stop it at the target is the method's
    business.
    Ref:     Grill et al. 2020, "Bootstrap your own latent", Eq. 2; Chen, He 2021, "Exploring simple siamese
             representation learning", Eq. 1.
    """
    _check_pair(prediction, target)
    p, t = F.normalize(_full(prediction), dim=1), F.normalize(_full(target), dim=1)
    return 2 - 2 * (p * t).sum(dim=1).mean()


def barlow_twins(a: Tensor, b: Tensor, redundancy: float = 5e-3) -> dict[str, Tensor]:
    """Make the coordinates of two views correlate each with itself and none with another (Barlow Twins).

        L = Σ_i (1 − C_ii)² + λ Σ_i Σ_{j ≠ i} C_ij²

        C_ij = Σ_n Z_ni Z′_nj / ( √Σ_n Z_ni² √Σ_n Z′_nj² )      of Z and Z′ less their means over n

    Symbols: Z, Z′ -> a, b; C (D, D) -> their cross-correlation; λ -> redundancy.
    Chance:  unrelated Z and Z′ give about D + λ D² / N. A coordinate that is constant correlates with nothing: C = 0,
    so collapsed embeddings cost D.
    Shapes:  a, b (N, D), N ≥ 2; row i of both are views of the same image -> scalars "loss", and the two sums without
             λ: "invariance", "redundancy".
    Ref:     Zbontar, Jing, Misra, LeCun, Deny 2021, "Barlow Twins", Eq. 1 and 2.
    """
    _check_pair(a, b)
    _check_batch(a)
    with torch.autocast(a.device.type, enabled=False):
        c = _standard(_full(a)).T @ _standard(_full(b))  # (D, D)
    own = c.diagonal()
    parts = {"invariance": (1 - own).square().sum(), "redundancy": c.square().sum() - own.square().sum()}
    return {"loss": parts["invariance"] + redundancy * parts["redundancy"]} | parts


def dino(
    student: Tensor,
    teacher: Tensor,
    centre: Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Tensor:
    """Say of every view what the teacher says of another one (DINO).

        L = (1 / M) Σ_g Σ_{v ≠ g} (1 / N) Σ_n H( P_t(x_gn), P_s(x_vn) ),      H(p, q) = −Σ_k p_k log q_k

        P_s = softmax( s / τ_s ),      P_t = softmax( (t − c) / τ_t )

    Symbols: s -> student; t -> teacher; c -> centre; g counts the G views of the teacher, v all V views of the student;
    M = G (V − 1) -> the pairs with v ≠ g.
    Chance:  a student that knows nothing, and says so, gives ln K. So does a collapse in which both always say "all
    alike"; a collapse in which both always say the same one of the K gives 0.
    Shapes:  student (V, N, K), teacher (G, N, K), V ≥ 2, the first G views the same for both; centre (K,) -> scalar.
    The gradient reaches both: to stop it at the teacher is the method's business.
    Ref:     Caron et al. 2021, "Emerging properties in self-supervised vision transformers", Eq. 1 to 3 and Alg. 1.
    """
    fits = student.ndim == teacher.ndim == 3 and student.shape[1:] == teacher.shape[1:]
    if not fits or not 1 <= len(teacher) <= len(student) or len(student) < 2 or centre.shape != student.shape[2:]:
        raise ValueError(
            "expected student (V, N, K) and teacher (G, N, K) with G <= V and V >= 2, and centre (K,); got "
            f"{tuple(student.shape)}, {tuple(teacher.shape)} and {tuple(centre.shape)}."
        )
    _check_temperature(student_temperature)
    _check_temperature(teacher_temperature)
    with torch.autocast(student.device.type, enabled=False):
        says = F.log_softmax(_full(student) / student_temperature, dim=2)
        right = F.softmax((_full(teacher) - _full(centre)) / teacher_temperature, dim=2)
        h = -torch.einsum("gnk,vnk->gv", right, says) / student.shape[1]  # (G, V)
    return (h.sum() - h.diagonal().sum()) / (h.numel() - len(h))


def _standard(z: Tensor) -> Tensor:
    """Each coordinate less its mean over the batch, and scaled to length 1; nearly constant ones become shorter."""
    return F.normalize(z - z.mean(dim=0), dim=0, eps=1e-4)


def _hinge(z: Tensor) -> Tensor:
    return F.relu(1 - (z.var(dim=0) + 1e-4).sqrt()).mean()


def _off_diagonal(z: Tensor) -> Tensor:
    """The squared covariances of different coordinates, summed and divided by D."""
    z = z - z.mean(dim=0)
    squares = (z.T @ z / (len(z) - 1)).square()  # (D, D)
    return (squares.sum() - squares.diagonal().sum()) / z.shape[1]


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"expected two (N, D) tensors of the same shape; got {tuple(a.shape)} and {tuple(b.shape)}.")


def _check_batch(z: Tensor) -> None:
    if len(z) < 2:
        raise ValueError("a batch of one image has no variance; expected at least two rows.")


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; expected a positive number.")


def _check_margin(margin: float) -> None:
    if not margin >= 0:
        raise ValueError(f"margin is {margin}; expected a distance, 0 or more.")


def _hides_nothing(mask: Tensor) -> bool:
    """Asked on the CPU only: a GPU would make the host wait for the answer in every step."""
    return mask.device.type == "cpu" and not mask.any()


def _full(x: Tensor) -> Tensor:
    """Half precision, which autocast gives, becomes float32; float64 stays, so that gradients can be checked in it."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
