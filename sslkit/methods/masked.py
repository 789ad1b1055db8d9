"""Masked images: from a few of the patches, tell the others. In pixels, or in embeddings."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import losses, nets, pretext
from sslkit.augment import STRONG, Augment
from sslkit.methods.momentum import follow, follower, rising


class MAE(nn.Module):
    """What do the hidden patches look like? He et al. 2022, "Masked autoencoders are scalable vision learners".

        L = mean over hidden patches p of ‖decoder(encoder(visible patches))_p − target_p‖² / numbers in a patch

    The encoder sees the visible patches and nothing else; a light decoder gets what it makes of them, and asks for the
    hidden ones by their places. `ratio` is the share of patches that are hidden. `target` says what to predict: a
    function of the images, or None for the images themselves. With `normalise` every patch of it has mean 0 and
    variance 1, so the loss starts near 1 (chance), less where patches are flat.

    Shapes: views -> images (N, C, H, W), visible int64 (N, V), hidden int64 (N, M).
    """

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        ratio: float = 0.75,
        target: Callable[[Tensor], Tensor] | None = None,
        normalise: bool = True,
        width: int = 48,
        depth: int = 1,
    ):
        super().__init__()
        self.encoder, self.augment = _vit(encoder, "mae"), augment
        self.ratio, self.target, self.normalise = ratio, target, normalise
        side = self.encoder.patch
        sample = torch.zeros(1, encoder.channels, side, side)
        channels = encoder.channels if target is None else target(sample).shape[1]
        self.decoder = nets.Predictor(encoder.dim, channels * side**2, width, depth)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        x = self.augment(x, generator)
        return x, *pretext.random_patches(len(x), self.encoder.grid(x), generator, self.ratio, x.device)

    def predict(self, x: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """What the hidden patches are taken to be: (N, M, C′ · patch²), in the target's units."""
        return self.decoder(self.encoder.tokens(x, visible), visible, hidden, self.encoder.grid(x))

    def answer(self, x: Tensor) -> Tensor:
        """What there is to predict of every patch: (N, P, C′ · patch²)."""
        patches = nets.patchify(x if self.target is None else self.target(x), self.encoder.patch)
        return pretext.standardised_patches(patches) if self.normalise else patches

    def loss(self, x: Tensor, visible: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        return {"loss": losses.squared_error(self.predict(x, visible, hidden), nets.take(self.answer(x), hidden))}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class JEPA(nn.Module):
    """What would be said of the hidden patches? In the manner of I-JEPA: Assran et al. 2023.

        L = mean over hidden patches p of ‖predictor(encoder(visible))_p − t_p‖² / D,   t = norm(encoder′(image))
        θ′ ← m θ′ + (1 − m) θ    after each step: encoder′, the target, follows the encoder; no gradient reaches it

    Hidden are `count` blocks of `side` × `side` patches; `visible` of the others are seen. m goes from `momentum` to 1.
    norm is a layer norm of every token, as in the paper, and then two steps of ours. The mean over the image's tokens
    is taken off: else what all patches share, the colours, is all that is learned. And each place is made standard over
    the batch: else the place is. So the loss is 1 for who knows nothing (chance). `spread` is the variance over the
    images before that last step, of tokens that had variance 1: 0 is a collapse.

    Shapes: views -> images (N, C, H, W), visible int64 (N, V), hidden int64 (N, count · side²).
    """

    whole_batch = True  # what a place says is standardised over all of it

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        count: int = 6,
        side: int = 1,
        visible: int = 8,
        momentum: float = 0.99,
        width: int = 48,
        depth: int = 2,
    ):
        super().__init__()
        self.encoder, self.augment = _vit(encoder, "jepa"), augment
        self.blocks, self.momentum = (count, side, visible), momentum
        self.target = follower(self.encoder)
        self.predictor = nets.Predictor(encoder.dim, encoder.dim, width, depth)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        x = self.augment(x, generator)
        return x, *pretext.block_patches(len(x), self.encoder.grid(x), generator, *self.blocks, device=x.device)

    def predict(self, x: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        return self.predictor(self.encoder.tokens(x, visible), visible, hidden, self.encoder.grid(x))

    @torch.no_grad()
    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What there is to predict of every patch, (N, P, D), and the spread."""
        z = self.target.tokens(x).float()
        z = F.layer_norm(z, z.shape[-1:])
        z = z - z.mean(dim=1, keepdim=True)
        whole = devices.gather(z)  # of all processes
        variance = whole.var(dim=0, correction=0)
        return (z - whole.mean(dim=0)) / (variance + 1e-4).sqrt(), variance.mean()

    def loss(self, x: Tensor, visible: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        answer, spread = self.answer(x)
        loss = losses.squared_error(self.predict(x, visible, hidden), nets.take(answer, hidden))
        return {"loss": loss, "spread": spread}

    def after_step(self, progress: float) -> None:
        follow(self.target, self.encoder, rising(self.momentum, progress))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


def _vit(encoder: nets.Encoder, method: str) -> nets.ViT:
    if not isinstance(encoder, nets.ViT):
        raise ValueError(
            f"{method} leaves patches out of the input, and {type(encoder).__name__} cannot do without any. Give it a "
            "nets.ViT; on the command line: --net vit."
        )
    return encoder
