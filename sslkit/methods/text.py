"""Words: the next one from the last k."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit import losses, nets
from sslkit.methods.accuracy import accuracy


class NextWord(nn.Module):
    """Which word comes next? Bengio, Ducharme, Vincent, Jauvin 2003. The loss starts near ln V.

    Its batch is windows int64 (N, k + 1) as of words.windows: the last word of each is to be told from the k before it.
    There is nothing random in it. Called through `log_probabilities`, it is a model that words.write can write with.
    """

    def __init__(self, encoder: nets.ContextNet):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, encoder.vocabulary)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return x[:, :-1], x[:, -1]

    def log_probabilities(self, inputs: Tensor) -> Tensor:
        """Contexts int64 (N, k) -> log-probabilities (N, V), in nats."""
        return self.head(self.encoder(inputs)).float().log_softmax(dim=1)

    def loss(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.encoder(inputs)).float()  # argmax over V is six times slower in bf16
        return {"loss": losses.cross_entropy(logits, target), "accuracy": accuracy(logits, target)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))
