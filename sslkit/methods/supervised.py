"""The control: the same encoder, trained on labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit import losses, nets
from sslkit.augment import STRONG, Augment
from sslkit.methods.accuracy import accuracy


class Supervised(nn.Module):
    """The control: the same encoder trained from scratch on labels. Its batch is (images, labels)."""

    def __init__(self, encoder: nets.Encoder, classes: int, augment: Augment = STRONG):
        super().__init__()
        self.encoder, self.augment = encoder, augment
        self.head = nn.Linear(encoder.dim, classes)

    def views(self, batch: tuple[Tensor, Tensor], generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        images, labels = batch
        return self.augment(images, generator), labels

    def loss(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.encoder(inputs))
        return {"loss": losses.cross_entropy(logits, labels), "accuracy": accuracy(logits, labels)}

    def forward(self, batch: tuple[Tensor, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(batch, generator))
