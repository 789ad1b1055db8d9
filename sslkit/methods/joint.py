"""Two views of an image agree: joint embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import losses, nets
from sslkit.augment import STRONG, Augment


class SimCLR(nn.Module):
    """Two views of an image recognise each other among all others. Chen, Kornblith, Norouzi, Hinton 2020."""

    whole_batch = True

    def __init__(self, encoder: nets.Encoder, augment: Augment = STRONG, temperature: float = 0.2, width: int = 256):
        super().__init__()
        self.encoder, self.augment, self.temperature = encoder, augment, temperature
        self.projector = nets.mlp(encoder.dim, width, 64)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return self.augment(x, generator), self.augment(x, generator)

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z_a, z_b = map(devices.gather, self.projector(self.encoder(torch.cat([a, b]))).chunk(2))
        return {"loss": losses.nt_xent(z_a, z_b, self.temperature)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class VICReg(nn.Module):
    """Two views agree, while the coordinates stay spread out and uncorrelated. Bardes, Ponce, LeCun 2022."""

    whole_batch = True

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        width: int = 256,
    ):
        super().__init__()
        self.encoder, self.augment = encoder, augment
        self.weights = (invariance, variance, covariance)
        self.projector = nets.mlp(encoder.dim, width, width)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return self.augment(x, generator), self.augment(x, generator)

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z_a, z_b = map(devices.gather, self.projector(self.encoder(torch.cat([a, b]))).chunk(2))
        return losses.vicreg(z_a, z_b, *self.weights)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))
