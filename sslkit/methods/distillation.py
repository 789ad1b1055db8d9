"""Learn from a slower copy of oneself: self-distillation."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import losses, nets
from sslkit.augment import STRONG, Augment
from sslkit.methods.momentum import follow, follower, rising


class DINO(nn.Module):
    """Say of every crop, large or small, what the teacher says of another large one. Caron et al. 2021.

    The teacher, `target`, follows the student slowly and sees the two large crops alone. What it says, shares of K
    `prototypes`, is centred, so that not all images get the same answer, and sharpened by a low temperature, so that
    none gets all answers alike. A small crop shows a share `small` of the image, in half as many pixels a side. With so
    few prototypes and steps a teacher's temperature of 0.04 is not low enough; and the head ends with batch norm.
    """

    whole_batch = True  # the centre is that of all of it
    centre: Tensor

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        crops: int = 2,
        small: tuple[float, float] = (0.25, 0.5),
        prototypes: int = 256,
        temperatures: tuple[float, float] = (0.1, 0.02),
        momentum: float = 0.99,
        width: int = 256,
    ):
        super().__init__()
        self.encoder, self.augment, self.crops = encoder, augment, crops
        self.small, self.temperatures, self.momentum = replace(augment, scale=small), temperatures, momentum
        self.projector = nn.Sequential(nets.mlp(encoder.dim, width, 64), nn.BatchNorm1d(64, affine=False))
        self.prototypes = Prototypes(64, prototypes)
        self.target = follower(nn.Sequential(encoder, self.projector, self.prototypes))
        self.register_buffer("centre", torch.zeros(prototypes))
        self.said = self.centre[None]  # by the teacher, of the batch at hand

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        large = [self.augment(x, generator) for _ in range(2)]
        return *large, *(F.avg_pool2d(self.small(x, generator), 2) for _ in range(self.crops))

    def loss(self, *crops: Tensor) -> dict[str, Tensor]:
        large, n = torch.cat(crops[:2]), len(crops[0])
        z = [self.encoder(torch.cat(same_size)) for same_size in (crops[:2], crops[2:]) if same_size]
        student = self.prototypes(self.projector(torch.cat(z))).view(len(crops), n, -1)
        with torch.no_grad():
            said = self.target(large)
            self.said = devices.gather(said)
        teacher = said.view(2, n, -1)
        return {"loss": losses.dino(student, teacher, self.centre, *self.temperatures)}

    def after_step(self, progress: float) -> None:
        self.centre = torch.lerp(self.said.mean(dim=0), self.centre, 0.9)  # Eq. 4
        student = nn.Sequential(self.encoder, self.projector, self.prototypes)
        follow(self.target, student, rising(self.momentum, progress))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class Prototypes(nn.Linear):
    """The cosine of a row (N, D) with each of K directions, which are learned: (N, K)."""

    def __init__(self, dim: int, count: int):
        super().__init__(dim, count, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # to be divided by small temperatures
            return F.linear(F.normalize(x.float(), dim=1), F.normalize(self.weight, dim=1))
