"""Distances as the answer: pairs and triplets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import losses, names, nets, pairs
from sslkit.augment import STRONG, Augment


class Siamese(nn.Module):
    """Near if the same image, far otherwise. Hadsell, Chopra, LeCun 2006, with two views of an image as the same.

    One network sees both images of a pair. Every image is in one same pair, with its other view, and in one different
    pair, with a view of another image of the batch that `mining` chooses (pairs.KINDS). `active` is the share of the
    different pairs that are nearer than the margin, `accuracy` that of all pairs on their side of half the margin.
    """

    whole_batch = True

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        margin: float = 1.0,
        mining: str = "random",
        width: int = 256,
        normalise: bool = True,
    ):
        super().__init__()
        self.encoder, self.augment, self.margin = encoder, augment, margin
        self.mining = names.pick(mining, pairs.KINDS, "kind of negative")
        self.projector, self.normalise = nets.mlp(encoder.dim, width, 64), normalise

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Two views of each image, and for each the number of another image: its partner if that is to be random."""
        a, b = self.augment(x, generator), self.augment(x, generator)
        return a, b, pairs.others(len(x), generator, x.device)

    def embed(self, x: Tensor) -> Tensor:
        """Images, float in [0, 1] -> (N, 64): where the distances are taken."""
        return _embedded(self, x)

    def loss(self, a: Tensor, b: Tensor, other: Tensor) -> dict[str, Tensor]:
        z_a, z_b = map(devices.gather, self.embed(torch.cat([a, b])).chunk(2))
        index = devices.gather_rows(other) if self.mining == "random" else pairs.mine(z_a, z_b, self.mining)
        n = len(z_a)
        first, second = z_a.repeat(2, 1), torch.cat([z_b, z_b[index]])
        same = torch.arange(2 * n, device=a.device) < n
        d = torch.linalg.vector_norm(first.detach() - second.detach(), dim=1)
        return {
            "loss": losses.contrastive(first, second, same, self.margin),
            "active": (d[n:] < self.margin).float().mean(),
            "accuracy": ((d < self.margin / 2) == same).float().mean(),
        }

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class Triplet(nn.Module):
    """The positive is nearer than the negative, by a margin. Schroff, Kalenichenko, Philbin 2015.

    Anchor and positive are two views of an image; the negative is a view of another image of the batch, chosen by
    `mining`, one of pairs.KINDS. `active` is the share of triplets with a loss above 0; `accuracy` that of anchors
    whose own positive is the nearest of all in the batch.
    """

    whole_batch = True

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        margin: float = 1.0,
        mining: str = "semi-hard",
        width: int = 256,
        normalise: bool = True,
    ):
        super().__init__()
        self.encoder, self.augment, self.margin = encoder, augment, margin
        self.mining = names.pick(mining, pairs.KINDS, "kind of negative")
        self.projector, self.normalise = nets.mlp(encoder.dim, width, 64), normalise

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Anchor, positive, and for each the number of another image: the negative if it is to be a random one."""
        a, b = self.augment(x, generator), self.augment(x, generator)
        return a, b, pairs.others(len(x), generator, x.device)

    def embed(self, x: Tensor) -> Tensor:
        """Images, float in [0, 1] -> (N, 64): where the distances are taken."""
        return _embedded(self, x)

    def loss(self, anchor: Tensor, positive: Tensor, other: Tensor) -> dict[str, Tensor]:
        z_a, z_p = map(devices.gather, self.embed(torch.cat([anchor, positive])).chunk(2))
        index = devices.gather_rows(other) if self.mining == "random" else pairs.mine(z_a, z_p, self.mining)
        z_n = z_p[index]
        nearest = losses.distances(z_a.detach(), z_p.detach()).argmin(dim=1)
        parts = {
            "active": pairs.active(z_a.detach(), z_p.detach(), z_n.detach(), self.margin),
            "accuracy": (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean(),
        }
        return {"loss": losses.triplet(z_a, z_p, z_n, self.margin)} | parts

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


def _embedded(method: Siamese | Triplet, x: Tensor) -> Tensor:
    z = method.projector(method.encoder(x)).float()
    return F.normalize(z, dim=1) if method.normalise else z
