"""Recognise the other view of an image among many: contrastive learning."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import losses, nets
from sslkit.augment import STRONG, Augment, two_views
from sslkit.methods.momentum import follow, follower


class SimCLR(nn.Module):
    """Two views of an image recognise each other among all others. Chen, Kornblith, Norouzi, Hinton 2020."""

    whole_batch = True

    def __init__(self, encoder: nets.Encoder, augment: Augment = STRONG, temperature: float = 0.2, width: int = 256):
        super().__init__()
        self.encoder, self.augment, self.temperature = encoder, augment, temperature
        self.projector = nets.mlp(encoder.dim, width, 64)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return two_views(self.augment, x, generator)

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z_a, z_b = map(devices.gather, self.projector(self.encoder(torch.cat([a, b]))).chunk(2))
        return {"loss": losses.nt_xent(z_a, z_b, self.temperature)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class MoCo(nn.Module):
    """A query recognises its key among the keys of many batches before. He, Fan, Wu, Xie, Girshick 2020.

    Keys come from the `target`, a second network that follows the first one slowly (Eq. 2), so that old and new ones
    still belong together. `queue` (K, 64) holds the last K: after a step the keys of its batch enter, and the oldest
    leave. The projector has a hidden layer, as in MoCo v2 (Chen, Fan, Girshick, He 2020). Batches are not shuffled for
    batch norm (Sec. 3.3), which takes several devices.
    """

    whole_batch = True  # the queue takes the keys of all of it
    queue: Tensor

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        temperature: float = 0.2,
        width: int = 256,
        queue: int = 1024,
        momentum: float = 0.99,
    ):
        super().__init__()
        self.encoder, self.augment, self.temperature, self.momentum = encoder, augment, temperature, momentum
        self.projector = nets.mlp(encoder.dim, width, 64)
        self.target = follower(nn.Sequential(encoder, self.projector))
        self.register_buffer("queue", F.normalize(torch.randn(queue, 64), dim=1))
        self.keys = self.queue[:0]  # of the batch at hand

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return two_views(self.augment, x, generator)

    def loss(self, query: Tensor, key: Tensor) -> dict[str, Tensor]:
        q = self.projector(self.encoder(query))
        with torch.no_grad():
            k = F.normalize(self.target(key).float(), dim=1)
            self.keys = devices.gather(k)
        return {"loss": losses.info_nce(q, k, self.queue, self.temperature)}

    def after_step(self, progress: float) -> None:
        self.queue = torch.cat([self.keys, self.queue])[: len(self.queue)]  # first in, first out
        follow(self.target, nn.Sequential(self.encoder, self.projector), self.momentum)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))
