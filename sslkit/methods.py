"""A method joins an encoder, what is done to the images, and a loss: one short nn.Module each.

`forward(x)` takes a raw uint8 batch and returns {"loss": …, parts…}. It is `loss(*views(x, generator))`, in two named
pieces, so that what the network sees can be looked at, and a test can hand in views of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import losses, names, nets, pairs, pretext
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
        return {"loss": losses.masked_mse(self.predict(inputs), target, mask)}

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
        return {"loss": losses.cross_entropy(logits, target), "accuracy": _accuracy(logits, target)}

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
        return {"loss": losses.cross_entropy(logits, target), "accuracy": _accuracy(logits, target)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class Siamese(nn.Module):
    """Near if the same image, far otherwise. Hadsell, Chopra, LeCun 2006, with two views of an image as the same.

    One network sees both images of a pair. Every image is in one same pair, with its other view, and in one different
    pair, with a view of another image of the batch that `mining` chooses (pairs.KINDS). `active` is the share of the
    different pairs that are nearer than the margin, `accuracy` that of all pairs on their side of half the margin.
    """

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
        n = len(a)
        z_a, z_b = self.embed(torch.cat([a, b])).chunk(2)
        index = other if self.mining == "random" else pairs.mine(z_a, z_b, self.mining)
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
        z_a, z_p = self.embed(torch.cat([anchor, positive])).chunk(2)
        index = other if self.mining == "random" else pairs.mine(z_a, z_p, self.mining)
        z_n = z_p[index]
        nearest = losses.distances(z_a.detach(), z_p.detach()).argmin(dim=1)
        parts = {
            "active": pairs.active(z_a.detach(), z_p.detach(), z_n.detach(), self.margin),
            "accuracy": (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean(),
        }
        return {"loss": losses.triplet(z_a, z_p, z_n, self.margin)} | parts

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


class NextWord(nn.Module):
    """Which word comes next? Bengio, Ducharme, Vincent, Jauvin 2003. The loss starts near ln V.

    Its batch is windows int64 (N, k + 1) as of words.windows: the last word of each is to be told from the k before it.
    There is nothing random in it. Called through `log_probabilities`, it is a model that words.write can write with.
    """

    def __init__(self, encoder: nets.ContextNet):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, encoder.vocabulary)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return x[:, :-1], x[:, -1]

    def log_probabilities(self, inputs: Tensor) -> Tensor:
        """Contexts int64 (N, k) -> log-probabilities (N, V), in nats."""
        return self.head(self.encoder(inputs)).float().log_softmax(dim=1)

    def loss(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.encoder(inputs)).float()  # argmax over V is six times slower in bf16
        return {"loss": losses.cross_entropy(logits, target), "accuracy": _accuracy(logits, target)}

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


def _embedded(method: Siamese | Triplet, x: Tensor) -> Tensor:
    z = method.projector(method.encoder(x)).float()
    return F.normalize(z, dim=1) if method.normalise else z


def _resized(tiles: Tensor, size: int | None, encoder: nets.Encoder) -> Tensor:
    """Tiles (…, C, t, t), enlarged where their side is below `size`, or below what the encoder needs."""
    side = max(size or 0, tiles.shape[-1], 2**encoder.halvings)
    if side == tiles.shape[-1]:
        return tiles
    images = tiles.reshape(-1, *tiles.shape[-3:])
    images = F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
    return images.view(*tiles.shape[:-2], side, side)


METHODS = {
    "inpainting": Inpainting,
    "jigsaw": Jigsaw,
    "rotation": Rotation,
    "relative-position": RelativePosition,
    "siamese": Siamese,
    "triplet": Triplet,
    "simclr": SimCLR,
    "vicreg": VICReg,
}
Method = Inpainting | Jigsaw | Rotation | RelativePosition | Siamese | Triplet | SimCLR | VICReg | Supervised


def build(name: str, encoder: nets.Encoder, **settings) -> Method:
    """The method called `name` around an encoder."""
    return METHODS[names.pick(name, METHODS, "method")](encoder, **settings)
