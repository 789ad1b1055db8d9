"""Attention between the places of a sequence, and the block that transformers are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Every place looks at all of them, and takes up a mean of what they say, weighted by how well they fit.

        y_i = W_o [head_1; …; head_h],    head = Σ_j softmax_j(q_i · k_j / √d) v_j,    (q, k, v) = W x

    If `causal`, a place looks at itself and at those before it: j ≤ i in the sum and in the softmax.

    Symbols: q, k, v -> query, key and value of a place, d numbers each in each head.
    Shapes:  (N, T, D) -> the same, for any T; D is a multiple of the number of heads.
    Ref:     Vaswani et al. 2017, "Attention is all you need", Eq. 1, Sec. 3.2.2 and, for j ≤ i, 3.2.3.
    """

    def __init__(self, dim: int, heads: int, causal: bool = False):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} numbers cannot be shared between {heads} heads; expected a multiple of {heads}.")
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (N, heads, T, d) each
        if q.device.type == "cpu" and q.dtype == torch.bfloat16:  # its gradient takes eleven times as long as in fp32
            with torch.autocast("cpu", enabled=False):
                y = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=self.causal)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention between places, then a small network on each of them; both add to what is there (pre-norm).

    Shapes: (N, T, D) -> the same.
    Ref:    Radford et al. 2019, "Language models are unsupervised multitask learners", Sec. 2.3; Dosovitskiy et al.
            2021, "An image is worth 16x16 words", Eq. 2 and 3.
    """

    def __init__(self, dim: int, heads: int, expansion: int = 4, causal: bool = False):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim), Attention(dim, heads, causal)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))
