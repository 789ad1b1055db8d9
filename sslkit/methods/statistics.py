"""Two views agree, and the statistics of a batch keep the embedding from collapsing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import losses, nets
from sslkit.augment import STRONG, Augment, two_views


class BarlowTwins(nn.Module):
    """Each coordinate correlates with itself in the other view, and with no other. Zbontar et al. 2021.

    The paper's weight of the redundancy, 0.005, is for 8,192 coordinates; with 128 there are fewer pairs to add up.
    """

    whole_batch = True

    def __init__(self, encoder: nets.Encoder, augment: Augment = STRONG, redundancy: float = 0.02, width: int = 128):
        super().__init__()
        self.encoder, self.augment, self.redundancy = encoder, augment, redundancy
        self.projector = nets.mlp(encoder.dim, width, width)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return two_views(self.augment, x, generator)

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z_a, z_b = map(devices.gather, self.projector(self.encoder(torch.cat([a, b]))).chunk(2))
        return losses.barlow_twins(z_a, z_b, self.redundancy)

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
        return two_views(self.augment, x, generator)

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z_a, z_b = map(devices.gather, self.projector(self.encoder(torch.cat([a, b]))).chunk(2))
        return losses.vicreg(z_a, z_b, *self.weights)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))
