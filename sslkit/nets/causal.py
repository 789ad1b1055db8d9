"""Words -> a vector at every place, made from the words up to it: a bag of them, or a small causal transformer.

Each place looks back, and none looks ahead. So one pass over a text of T words asks T times for the next word.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit.nets.attention import Block


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
        self.blocks = nn.ModuleList([Block(width, heads, causal=True) for _ in range(depth)])
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
