"""Words -> a vector at every place, made from the words up to it: a bag of them, or a small causal transformer.

Each place looks back, and none looks ahead. So one pass over a text of T words asks T times for the next word.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ContextBag(nn.Module):
    """All words so far as one bag: what came before counts, and in which order does not.

        h_i = (e_0 + … + e_i) / √(i + 1)

    Symbols: e -> the embedding of each word. Divided by the root of their number, and not by the number, h says more
             the more words there were. <s> stands in front of every text and counts like any other word.
    Shapes:  int64 (N, T), numbers below V, 1 ≤ T ≤ k -> (N, T, D), D = width.
    Ref:     Mikolov, Chen, Corrado, Dean 2013, "Efficient estimation of word representations in vector space", Sec. 3.1
             (CBOW), there with the mean of a few words on both sides.
    """

    def __init__(self, vocabulary: int, k: int = 128, width: int = 128):
        super().__init__()
        self.vocabulary, self.k, self.dim = vocabulary, k, width
        self.embed = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embed.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[-1]

    def features(self, x: Tensor) -> list[Tensor]:
        """The embedding of every word, and the bag up to it, each (N, T, D)."""
        _check(self, x)
        e = self.embed(x)
        count = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        return [e, e.cumsum(dim=1) / count.sqrt()]

    def config(self) -> dict:
        return {"net": "context-bag", "vocabulary": self.vocabulary, "k": self.k, "width": self.dim}


class CausalAttention(nn.Module):
    """Every place looks at itself and at those before it, and takes up a mean of what they say, weighted by fit.

        y_i = W_o [head_1; …; head_h],    head = Σ_{j ≤ i} softmax_{j ≤ i}(q_i · k_j / √d) v_j,    (q, k, v) = W x

    Symbols: q, k, v -> query, key and value of a place, d numbers each in each head.
    Shapes:  (N, T, D) -> the same, for any T; D is a multiple of the number of heads.
    Ref:     Vaswani et al. 2017, "Attention is all you need", Eq. 1, Sec. 3.2.2 and, for j ≤ i, 3.2.3.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} numbers cannot be shared between {heads} heads; expected a multiple of {heads}.")
        self.heads = heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (N, heads, T, d) each
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class CausalBlock(nn.Module):
    """Attention between places, then a small network on each of them; both add to what is there (pre-norm).

    Shapes: (N, T, D) -> the same.
    Ref:    Radford et al. 2019, "Language models are unsupervised multitask learners", Sec. 2.3.
    """

    def __init__(self, dim: int, heads: int, expansion: int = 4):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim), CausalAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class CausalTransformer(nn.Module):
    """A vector at every place: an embedding of the word and one of the place, `depth` blocks, and a layer norm.

    Shapes: int64 (N, T), numbers below V, 1 ≤ T ≤ k -> (N, T, D), D = width. Place i has seen the words 0 … i.
    Ref:    Vaswani et al. 2017, Sec. 3 (the decoder, without an encoder to look at); Radford et al. 2019, Sec. 2.3.
    """

    def __init__(self, vocabulary: int, k: int = 128, width: int = 128, depth: int = 2, heads: int = 4):
        super().__init__()
        if min(k, depth) < 1:
            raise ValueError(f"k and depth are {k} and {depth}; expected at least 1 each.")
        self.vocabulary, self.k, self.dim, self.depth, self.heads = vocabulary, k, width, depth, heads
        self.embed, self.place = nn.Embedding(vocabulary, width), nn.Embedding(k, width)
        self.blocks = nn.ModuleList([CausalBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        for layer in (self.embed, self.place):
            nn.init.normal_(layer.weight, std=0.02)  # Radford et al. 2018, Sec. 4.1

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[-1]

    def features(self, x: Tensor) -> list[Tensor]:
        """The sum of the embeddings, and the output of every block, each (N, T, D); the last one normalised."""
        _check(self, x)
        outputs = [self.embed(x) + self.place.weight[: x.shape[1]]]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        return [*outputs[:-1], self.norm(outputs[-1])]

    def config(self) -> dict:
        return {
            "net": "causal-transformer",
            "vocabulary": self.vocabulary,
            "k": self.k,
            "width": self.dim,
            "depth": self.depth,
            "heads": self.heads,
        }


def _check(net: ContextBag | CausalTransformer, x: Tensor) -> None:
    if x.ndim != 2 or x.is_floating_point() or not 1 <= x.shape[1] <= net.k:
        raise ValueError(
            f"this {type(net).__name__} takes numbers of words (N, T) with T from 1 to k = {net.k}; it got {x.dtype} "
            f"{tuple(x.shape)}. Give it shorter pieces, or build it with a larger k."
        )
