"""Predict the other view's embedding, with nothing to be told apart from: a predictor and a stopped gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit import losses, nets
from sslkit.augment import STRONG, Augment, two_views
from sslkit.methods.momentum import follow, follower, rising
from sslkit.methods.whitening import Whiten


class BYOL(nn.Module):
    """Predict how a slowly following network, the target, sees the other view. Grill et al. 2020.

    The momentum rises from `momentum` to 1 over the run (Sec. 3.3). Two things are not the paper's: the projections are
    made standard over the batch, and the predictor learns `eager` times as fast as the rest. With `whiten` the targets
    are also made uncorrelated, so that what is easy to predict does not count more than the rest. The loss is the mean
    of both directions; the paper takes their sum.
    """

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        width: int = 512,
        dim: int = 64,
        momentum: float = 0.95,
        eager: float = 10.0,
        whiten: bool = False,
    ):
        super().__init__()
        self.encoder, self.augment, self.momentum, self.eager = encoder, augment, momentum, eager
        self.projector = nn.Sequential(nets.mlp(encoder.dim, width, dim), nn.BatchNorm1d(dim, affine=False))
        self.predictor = nets.mlp(dim, width, dim)
        self.target = follower(nn.Sequential(encoder, self.projector))
        self.whiten, self.whole_batch = Whiten(dim) if whiten else nn.Identity(), whiten

    def rates(self) -> dict[Tensor, float]:
        return dict.fromkeys(self.predictor.parameters(), self.eager)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return two_views(self.augment, x, generator)

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        both = torch.cat([a, b])
        p_a, p_b = self.predictor(self.projector(self.encoder(both))).chunk(2)
        with torch.no_grad():
            t_a, t_b = self.whiten(self.target(both)).chunk(2)
        return {"loss": (losses.normalised_mse(p_a, t_b) + losses.normalised_mse(p_b, t_a)) / 2}

    def after_step(self, progress: float) -> None:
        follow(self.target, nn.Sequential(self.encoder, self.projector), rising(self.momentum, progress))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class SimSiam(nn.Module):
    """Predict the other view's projection, which does not come to meet the prediction. Chen, He 2021.

    One network for both views; what is predicted counts as a constant (stop-gradient), and nothing else prevents the
    collapse. The projector ends with batch norm (Sec. 4.4); the predictor is narrow in the middle. Not the paper's: it
    learns `eager` times as fast as the rest, and with `whiten` what it predicts is made uncorrelated, as in `BYOL`.
    """

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        width: int = 256,
        dim: int = 128,
        bottleneck: int = 64,
        eager: float = 10.0,
        whiten: bool = False,
    ):
        super().__init__()
        self.encoder, self.augment, self.eager = encoder, augment, eager
        self.projector = nn.Sequential(nets.mlp(encoder.dim, width, dim), nn.BatchNorm1d(dim, affine=False))
        self.predictor = nets.mlp(dim, bottleneck, dim)
        self.whiten, self.whole_batch = Whiten(dim) if whiten else nn.Identity(), whiten

    def rates(self) -> dict[Tensor, float]:
        return dict.fromkeys(self.predictor.parameters(), self.eager)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return two_views(self.augment, x, generator)

    def loss(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        z = self.projector(self.encoder(torch.cat([a, b])))
        p_a, p_b = self.predictor(z).chunk(2)
        z_a, z_b = self.whiten(z.detach()).chunk(2)  # the stop-gradient
        return {"loss": (losses.normalised_mse(p_a, z_b) + losses.normalised_mse(p_b, z_a)) / 2}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))
