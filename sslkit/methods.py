"""A method joins an encoder, what is done to the images, and a loss: one short nn.Module each.

`forward(x)` takes a raw uint8 batch and returns {"loss": …, parts…}. It is `loss(*views(x, generator))`, in two named
pieces, so that what the network sees can be looked at, and a test can hand in views of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit import losses, names, nets, pretext
from sslkit.augment import STRONG, Augment


class Rotation(nn.Module):
    """Which way up is it? Gidaris, Singh, Komodakis 2018."""

    def __init__(self, encoder: nets.Encoder, augment: Augment = STRONG):
        super().__init__()
        self.encoder, self.augment = encoder, augment
        self.head = nn.Linear(encoder.dim, 4)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return pretext.rotation(self.augment(x, generator), generator)

    def loss(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.encoder(inputs))
        return {"loss": losses.cross_entropy(logits, target), "accuracy": _accuracy(logits, target)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class SimCLR(nn.Module):
    """Two views of an image recognise each other among all others. Chen, Kornblith, Norouzi, Hinton 2020."""

    def __init__(self, encoder: nets.Encoder, augment: Augment = STRONG, temperature: float = 0.2, width: int = 256):
        super().__init__()
        self.encoder, self.augment, self.temperature = encoder, augment, temperature
        self.projector = nets.mlp(encoder.dim, width, 64)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return self.augment(x, generator), self.augment(x, generator)

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z_a, z_b = self.projector(self.encoder(torch.cat([a, b]))).chunk(2)
        return {"loss": losses.nt_xent(z_a, z_b, self.temperature)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class VICReg(nn.Module):
    """Two views agree, while the coordinates stay spread out and uncorrelated. Bardes, Ponce, LeCun 2022."""

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
        z_a, z_b = self.projector(self.encoder(torch.cat([a, b]))).chunk(2)
        return losses.vicreg(z_a, z_b, *self.weights)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


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
        return {"loss": losses.cross_entropy(logits, labels), "accuracy": _accuracy(logits, labels)}

    def forward(self, batch: tuple[Tensor, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(batch, generator))


def _accuracy(logits: Tensor, target: Tensor) -> Tensor:
    return (logits.detach().argmax(dim=1) == target).float().mean()


METHODS = {"rotation": Rotation, "simclr": SimCLR, "vicreg": VICReg}
Method = Rotation | SimCLR | VICReg | Supervised


def build(name: str, encoder: nets.Encoder, **settings) -> Method:
    """The method called `name` around an encoder."""
    return METHODS[names.pick(name, METHODS, "method")](encoder, **settings)
