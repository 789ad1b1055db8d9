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


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.2) -> Tensor:
    """Find the other view of the same image among all other views of the batch (SimCLR).

        L = −(1 / 2N) Σ_i log( exp(sim(z_i, z_p(i)) / τ) / Σ_{j ≠ i} exp(sim(z_i, z_j) / τ) )

    Symbols: z -> the 2N rows of a and b; p(i) -> the other view of i; sim -> cosine; τ -> temperature.
    Chance:  embeddings that cannot be told apart give ln(2N − 1).
    Shapes:  a, b (N, D) -> scalar; row i of a and row i of b are views of the same image.
    Ref:     Chen, Kornblith, Norouzi, Hinton 2020, "A simple framework for contrastive learning", Eq. 1, Alg. 1.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"expected two (N, D) tensors of the same shape; got {tuple(a.shape)} and {tuple(b.shape)}.")
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; expected a positive number.")
    n = len(a)
    with torch.autocast(a.device.type, enabled=False):  # which would round the cosines to three digits
        z = F.normalize(_full(torch.cat([a, b])), dim=1)  # (2N, D)
        logits = z @ z.T / temperature  # (2N, 2N)
    logits.fill_diagonal_(float("-inf"))  # a view is not its own partner
    partner = torch.arange(2 * n, device=a.device).roll(n)  # 0 ↔ N, 1 ↔ N + 1, …
    return F.cross_entropy(logits, partner)


def _full(x: Tensor) -> Tensor:
    """Half precision, which autocast gives, becomes float32; float64 stays, so that gradients can be checked in it."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
