"""Encoders of words."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ContextNet(nn.Module):
    """k words to one vector: an embedding of each, side by side, and one hidden layer (tanh).

    Shapes: int64 (N, k), numbers below V -> (N, D), D = width. The place of a word counts: each of the k has weights of
    its own in the hidden layer.
    Ref: Bengio, Ducharme, Vincent, Jauvin 2003, "A neural probabilistic language model", Sec. 2, without the direct
    connections from the embeddings to the output.
    """

    def __init__(self, vocabulary: int, k: int = 8, embedding: int = 64, width: int = 256):
        super().__init__()
        self.vocabulary, self.k, self.embedding, self.dim = vocabulary, k, embedding, width
        self.embed = nn.Embedding(vocabulary, embedding)
        self.hidden = nn.Linear(k * embedding, width)
        nn.init.normal_(self.embed.weight, std=0.1)  # torch's 1 is slow to unlearn: 0.3 nats behind after a minute

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.k or x.is_floating_point():
            raise ValueError(
                f"this ContextNet takes numbers of words (N, k) with k = {self.k}; it got {x.dtype} {tuple(x.shape)}. "
                f"Make windows with k={self.k} and leave out their last word: windows[:, :-1]."
            )
        return F.tanh(self.hidden(self.embed(x).flatten(1)))  # (N, k, E) -> (N, k · E) -> (N, D)

    def config(self) -> dict:
        sizes = {"vocabulary": self.vocabulary, "k": self.k, "embedding": self.embedding, "width": self.dim}
        return {"net": "context"} | sizes
