"""Targets without correlation: what is easy to predict of them then counts no more than the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit import device as devices


class Whiten(nn.Module):
    """Make the coordinates of a batch uncorrelated and of variance 1, with as little change as can be (ZCA).

        y = (z − mean z) (Σ + ε I)^(−1/2)

    Symbols: z -> (N, D); Σ -> a running mean of the batches' covariances: one batch alone is too small to know it.
    Ref:     Ermolov, Siarohin, Sangineto, Sebe 2021, "Whitening for self-supervised representation learning", Sec. 3.
    """

    covariance: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("covariance", torch.eye(dim))

    @torch.no_grad()
    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            whole = devices.gather(z.float())
            mean = whole.mean(dim=0)
            z, whole = z.float() - mean, whole - mean
            if self.training:
                self.covariance = torch.lerp(self.covariance, whole.T @ whole / len(whole), 0.05)
            return z @ inverse_root(self.covariance + 1e-3 * torch.eye(z.shape[1], device=z.device))


def inverse_root(a: Tensor, steps: int = 24) -> Tensor:
    """A^(−1/2) of a symmetric positive definite matrix, by matrix products alone: a GPU need not wait for an answer.

        Y ← Y T,  Z ← T Z,  with T = (3 I − Z Y) / 2,  from Y = A / ‖A‖_F and Z = I;  Z → (A / ‖A‖_F)^(−1/2)

    Ref: Higham 2008, "Functions of matrices", Eq. 6.35 (the coupled Newton-Schulz iteration).
    """
    size = torch.linalg.matrix_norm(a)
    y, z = a / size, torch.eye(len(a), device=a.device, dtype=a.dtype)
    for _ in range(steps):
        t = 1.5 * torch.eye(len(a), device=a.device, dtype=a.dtype) - z @ y / 2
        y, z = y @ t, t @ z
    return z / size.sqrt()
