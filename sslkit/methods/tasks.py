"""Pretext tasks on images: rotation, the missing part, jigsaw, relative position."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import losses, nets, pretext
from sslkit.augment import STRONG, Augment
from sslkit.methods.accuracy import accuracy


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
        return {"loss": losses.cross_entropy(logits, target), "accuracy": accuracy(logits, target)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class Inpainting(nn.Module):
    """What is in the missing part? Any part from any other part. Pathak et al. 2016, without their adversarial loss.

    `mask` says which part is missing: a function from pretext (half, centre, frame, blocks, scattered) or your own.
    `target` says what to predict of it; None is the image itself. Between encoder and decoder the picture is
    `bottleneck` numbers wide. The loss starts near the target's variance: about 1 for contrast_normalised_grey.
    """

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        mask: pretext.MaskFunction = pretext.half,
        target: Callable[[Tensor], Tensor] | None = pretext.contrast_normalised_grey,
        bottleneck: int = 64,
        fill: float = 0.5,
    ):
        super().__init__()
        self.encoder, self.augment = encoder, augment
        self.mask, self.target, self.fill = mask, target, fill
        channels = encoder.channels if target is None else target(torch.zeros(1, encoder.channels, 1, 1)).shape[1]
        self.bottleneck = nn.Linear(encoder.dim, bottleneck)
        self.decoder = nets.Decoder(bottleneck, channels)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        x = self.augment(x, generator)
        return pretext.hide(x, self.mask(x, generator), self.fill, self.target)

    def predict(self, inputs: Tensor) -> Tensor:
        """The whole picture, as the network thinks it is, in the target's units."""
        height, width = inputs.shape[2:]
        return self.decoder(self.bottleneck(self.encoder(inputs)), (height, width))

    def loss(self, inputs: Tensor, mask: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"loss": losses.masked_mse(self.predict(inputs), target, mask) * devices.share(mask.sum())}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class Jigsaw(nn.Module):
    """In which order do the tiles belong? Noroozi, Favaro 2016. The loss starts at ln(permutations).

    The encoder sees one tile at a time, and a small net the embeddings of all; with `whole` it sees the shuffled
    picture at once, and a linear layer does the rest. `tile` and `jitter` are those of pretext.tiles. Against cheating
    by colour, brightness and contrast: `tile_augment` acts on every tile by itself, then `normalise` evens them out.
    Tiles smaller than `size`, or than the encoder needs, are enlarged to it.
    """

    permutations: Tensor

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        permutations: int = 30,
        grid: int = 3,
        tile: int | None = None,
        jitter: int | None = None,
        size: int | None = None,
        tile_augment: Augment | None = None,
        normalise: bool = True,
        whole: bool = False,
        width: int = 256,
    ):
        super().__init__()
        self.encoder, self.augment = encoder, augment
        self.tile, self.jitter, self.size = tile, jitter, size
        self.tile_augment, self.normalise, self.whole = tile_augment, normalise, whole
        self.register_buffer("permutations", pretext.permutations(permutations, grid**2))
        # Without a hidden layer it would add up what each tile says by itself: an order is about pairs.
        sizes = [encoder.dim] if whole else [grid**2 * encoder.dim, width]
        self.head = nets.mlp(*sizes, permutations)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        x = self.augment(x, generator)
        tiles, target = pretext.jigsaw(x, self.permutations, generator, self.tile, self.jitter)
        if self.tile_augment is not None:
            tiles = self.tile_augment(tiles.flatten(0, 1), generator).reshape(tiles.shape)
        if self.normalise:
            tiles = pretext.normalise_tiles(tiles)
        if self.whole:
            return pretext.canvas(tiles, (x.shape[2], x.shape[3])), target
        return _resized(tiles, self.size, self.encoder), target

    def predict(self, inputs: Tensor) -> Tensor:
        """Logits (N, permutations): which of them it was."""
        if self.whole:
            z = self.encoder(inputs)  # (N, D)
        else:
            z = self.encoder(inputs.flatten(0, 1)).view(len(inputs), -1)  # (N · P, D) -> (N, P · D)
        return self.head(z)

    def loss(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = self.predict(inputs)
        return {"loss": losses.cross_entropy(logits, target), "accuracy": accuracy(logits, target)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class RelativePosition(nn.Module):
    """Where does the second patch lie, seen from the first? Doersch, Gupta, Efros 2015. The loss starts at ln 8.

    `patch`, `gap`, `jitter` and `anchor` are those of pretext.neighbours; `patch_augment`, `normalise` and `size` are
    as for the tiles of Jigsaw.
    """

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = STRONG,
        patch: int | None = None,
        gap: int | None = None,
        jitter: int | None = None,
        anchor: str = "centre",
        size: int | None = None,
        patch_augment: Augment | None = None,
        normalise: bool = True,
        width: int = 256,
    ):
        super().__init__()
        self.encoder, self.augment = encoder, augment
        self.patch, self.gap, self.jitter, self.anchor = patch, gap, jitter, anchor
        self.size, self.patch_augment, self.normalise = size, patch_augment, normalise
        self.head = nets.mlp(2 * encoder.dim, width, 8)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        x = self.augment(x, generator)
        *pair, target = pretext.neighbours(x, generator, self.patch, self.gap, self.jitter, self.anchor)
        if self.patch_augment is not None:
            pair = [self.patch_augment(patch, generator) for patch in pair]
        if self.normalise:
            pair = [pretext.normalise_tiles(patch) for patch in pair]
        first, second = (_resized(patch, self.size, self.encoder) for patch in pair)
        return first, second, target

    def predict(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits (N, 8): which of the directions."""
        z_a, z_b = self.encoder(torch.cat([first, second])).chunk(2)
        return self.head(torch.cat([z_a, z_b], dim=1))

    def loss(self, first: Tensor, second: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = self.predict(first, second)
        return {"loss": losses.cross_entropy(logits, target), "accuracy": accuracy(logits, target)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


def _resized(tiles: Tensor, size: int | None, encoder: nets.Encoder) -> Tensor:
    """Tiles (…, C, t, t), enlarged where their side is below `size`, or below what the encoder needs: a side that its
    halvings leave something of, and, of a ViT, a multiple of its patch."""
    side = max(size or 0, tiles.shape[-1], 2**encoder.halvings)
    patch = getattr(encoder, "patch", 1)
    side = -(-side // patch) * patch
    if side == tiles.shape[-1]:
        return tiles
    images = tiles.reshape(-1, *tiles.shape[-3:])
    images = F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
    return images.view(*tiles.shape[:-2], side, side)
