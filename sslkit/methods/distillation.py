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
from sslkit.methods.whitening import Whiten


class DINO(nn.Module):
    """Say of every crop, large or small, what the teacher says of another large one. Caron et al. 2021.

    The teacher, `target`, follows the student slowly and sees the two large crops alone. What it says, shares of K
    `prototypes`, is centred, so that not all images get the same answer, and sharpened by a low temperature, so that
    none gets all answers alike. A small crop shows a share `small` of the image, in half as many pixels a side. Not the
    paper's: the prototypes stay as they start, the head ends with batch norm, and with `whiten` the teacher's embedding
    is made uncorrelated before it is compared with them, as the targets of `BYOL` are.
    """

    whole_batch = True  # the centre is that of all of it
    centre: Tensor
    prototypes: Tensor

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        crops: int = 2,
        small: tuple[float, float] = (0.25, 0.5),
        prototypes: int = 256,
        temperatures: tuple[float, float] = (0.1, 0.04),
        momentum: float = 0.95,
        width: int = 256,
        whiten: bool = False,
    ):
        super().__init__()
        self.encoder, self.augment, self.crops = encoder, augment, crops
        self.small, self.temperatures, self.momentum = replace(augment, scale=small), temperatures, momentum
        self.projector = nn.Sequential(nets.mlp(encoder.dim, width, 64), nn.BatchNorm1d(64, affine=False))
        self.target = follower(nn.Sequential(encoder, self.projector))
        self.whiten = Whiten(64) if whiten else nn.Identity()
        self.register_buffer("prototypes", F.normalize(torch.randn(prototypes, 64), dim=1))
        self.register_buffer("centre", torch.zeros(prototypes))
        self.said = self.centre[None]  # by the teacher, of the batch at hand

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        large = [self.augment(x, generator) for _ in range(2)]
        return *large, *(F.avg_pool2d(self.small(x, generator), 2) for _ in range(self.crops))

    def answers(self, z: Tensor) -> Tensor:
        """The cosine of each embedding (N, 64) with each prototype: (N, K)."""
        with torch.autocast(z.device.type, enabled=False):  # to be divided by small temperatures
            return F.normalize(z.float(), dim=1) @ self.prototypes.T

    def loss(self, *crops: Tensor) -> dict[str, Tensor]:
        large, n = torch.cat(crops[:2]), len(crops[0])
        z = [self.encoder(torch.cat(same_size)) for same_size in (crops[:2], crops[2:]) if same_size]
        student = self.answers(self.projector(torch.cat(z))).view(len(crops), n, -1)
        with torch.no_grad():
            said = self.answers(self.whiten(self.target(large)))
            self.said = devices.gather(said)
        teacher = said.view(2, n, -1)
        return {"loss": losses.dino(student, teacher, self.centre, *self.temperatures)}

    def after_step(self, progress: float) -> None:
        self.centre = torch.lerp(self.said.mean(dim=0), self.centre, 0.9)  # Eq. 4
        follow(self.target, nn.Sequential(self.encoder, self.projector), rising(self.momentum, progress))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))
