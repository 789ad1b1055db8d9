"""Encoders, heads and a decoder: parameters without a loss.

An encoder maps images (N, C, H, W), float in [0, 1], to embeddings (N, D). It is a list of `blocks`, so that its
early layers can be looked at, probed and copied; normalisation is its first layer, so that nobody can forget it.
Clips (N, T, C, H, W) go into an encoder that was built for T · C channels: it sees their frames all at once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import names


class Normalize(nn.Module):
    """[0, 1] -> about zero mean and unit spread; the same for all data, so that a checkpoint needs no statistics."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * 4  # the same as / 0.25, to the bit, and faster


class ConvNet(nn.Module):
    """The course's encoder: blocks of 3×3 convolution, batch norm, (but for the last) 2×2 max-pooling, and ReLU.

    Shapes: (N, C, H, W) -> (N, D) with D = widths[-1]; H and W at least 2^(len(widths) − 1), 28 to 224 are usual.
    """

    def __init__(self, channels: int = 3, widths: tuple[int, ...] = (16, 32, 64, 128)):
        super().__init__()
        self.channels, self.widths, self.dim = channels, tuple(widths), widths[-1]
        self.normalize = Normalize()
        self.halvings = last = len(widths) - 1
        pairs = zip((channels, *widths[:-1]), widths, strict=True)
        self.blocks = nn.ModuleList(_conv_block(a, b, pool=i < last) for i, (a, b) in enumerate(pairs))

    def forward(self, x: Tensor) -> Tensor:
        return pooled(self.features(x)[-1])

    def features(self, x: Tensor) -> list[Tensor]:
        """The output of every block, each (N, D_b, H_b, W_b)."""
        return _run(self, x)

    def config(self) -> dict:
        return {"net": "convnet", "channels": self.channels, "widths": list(self.widths)}


class ResNet18(nn.Module):
    """ResNet-18 (He et al. 2016, Table 1) with a stem for small images (a 3×3 convolution, no pooling) up to 64 px.

    Blocks: the stem, then the four stages. Shapes: (N, C, H, W) -> (N, D) with D = 8 · width.
    """

    def __init__(self, channels: int = 3, width: int = 64, small_images: bool = True):
        super().__init__()
        from torchvision.models.resnet import BasicBlock

        self.channels, self.width, self.small_images, self.dim = channels, width, small_images, 8 * width
        self.halvings = 3 if small_images else 5
        kernel, stride = (3, 1) if small_images else (7, 2)
        first = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
        pool = nn.Identity() if small_images else nn.MaxPool2d(3, 2, 1)
        stem = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), pool)
        stages, before = [], width
        for i, step in enumerate((1, 2, 2, 2)):
            after = width * 2**i
            shortcut = None
            if step > 1:
                shortcut = nn.Sequential(nn.Conv2d(before, after, 1, step, bias=False), nn.BatchNorm2d(after))
            stages.append(nn.Sequential(BasicBlock(before, after, step, shortcut), BasicBlock(after, after)))
            before = after
        self.normalize = Normalize()
        self.blocks = nn.ModuleList([stem, *stages])
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # He et al. 2015, as in torchvision
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return pooled(self.features(x)[-1])

    def features(self, x: Tensor) -> list[Tensor]:
        """The output of every block, each (N, D_b, H_b, W_b)."""
        return _run(self, x)

    def config(self) -> dict:
        return {"net": "resnet18", "channels": self.channels, "width": self.width, "small_images": self.small_images}


NETS = {"convnet": ConvNet, "resnet18": ResNet18}
Encoder = ConvNet | ResNet18


def build(config: dict) -> Encoder:
    """The encoder that `encoder.config()` describes, with fresh parameters."""
    arguments = dict(config)
    return NETS[names.pick(arguments.pop("net"), NETS, "net")](**arguments)


class ContextNet(nn.Module):
    """k words to one vector: an embedding of each, side by side, and one hidden layer (tanh).

    Shapes: int64 (N, k), numbers below V -> (N, D), D = width. The place of a word counts: each of the k has weights of
    its own in the hidden layer.
    Ref: Bengio, Ducharme, Vincent, Jauvin 2003, "A neural probabilistic language model", Sec. 2, without the direct
    connections from the embeddings to the output.
    """

    def __init__(self, vocabulary: int, k: int = 8, embedding: int = 64, width: int = 256):
        super().__init__()
        self.vocabulary, self.k, self.embedding, self.dim = vocabulary, k, embedding, width
        self.embed = nn.Embedding(vocabulary, embedding)
        self.hidden = nn.Linear(k * embedding, width)
        nn.init.normal_(self.embed.weight, std=0.1)  # torch's 1 is slow to unlearn: 0.3 nats behind after a minute

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.k or x.is_floating_point():
            raise ValueError(
                f"this ContextNet takes numbers of words (N, k) with k = {self.k}; it got {x.dtype} {tuple(x.shape)}. "
                f"Make windows with k={self.k} and leave out their last word: windows[:, :-1]."
            )
        return F.tanh(self.hidden(self.embed(x).flatten(1)))  # (N, k, E) -> (N, k · E) -> (N, D)


class Decoder(nn.Module):
    """From an embedding back to a picture: a linear layer to a 4×4 map, then convolutions on ever larger maps.

    A map grows to a quarter and to half of the picture's size by repeating its values, each time before a block like
    the encoder's. The last convolution gives four values for each place, which become 2×2 pixels (Shi et al. 2016,
    "Real-time single image and video super-resolution", Sec. 3.2): full detail, and nothing computed at full size.
    The picture's size is no parameter: the same decoder paints any.

    Shapes: (N, D) -> (N, C, H, W) with (H, W) = size. The output has no bounds: a target may be negative.
    """

    def __init__(self, dim: int, channels: int = 1, widths: tuple[int, int, int] = (32, 16, 16)):
        super().__init__()
        a, b, c = widths
        self.start = nn.Linear(dim, a * 4 * 4)
        self.blocks = nn.ModuleList([_conv_block(a, b, pool=False), _conv_block(b, c, pool=False)])
        self.last = nn.Conv2d(c, 4 * channels, 3, padding=1)

    def forward(self, z: Tensor, size: tuple[int, int] = (32, 32)) -> Tensor:
        if z.ndim != 2 or z.shape[1] != self.start.in_features:
            raise ValueError(f"this Decoder takes embeddings (N, {self.start.in_features}); it got {tuple(z.shape)}.")
        x = F.relu(self.start(z)).view(len(z), -1, 4, 4)
        for block, divisor in zip(self.blocks, (4, 2)):
            x = block(F.interpolate(x, size=[-(-side // divisor) for side in size]))  # rounded up
        return F.pixel_shuffle(self.last(x), 2)[:, :, : size[0], : size[1]]


class FrameDecoder(nn.Module):
    """From what an encoder says about p frames to the frames after them: the second half of a U-Net.

        x̂_{p+a} = x_p + d_a,    a = 1 … ahead

    Symbols: x_p -> the last frame of `seen`; d_a -> the difference, all of them from one pass. A fresh decoder has
             d = 0: it copies the last frame.
    Shapes:  seen (N, p, C, H, W) and encoder.features(seen), p · C channels -> (N, ahead, C, H, W). H and W are even.

    Each block sees what the one below it made, enlarged, beside the encoder's map of that size; the last also all
    pixels seen, folded 2×2 into channels. As in Decoder nothing is computed at full size.
    Ref:     Ronneberger, Fischer, Brox 2015, "U-Net: convolutional networks for biomedical image segmentation".
    """

    def __init__(self, encoder: Encoder, frames: int, ahead: int, width: int = 64):
        super().__init__()
        self.frames, self.ahead, self.channels = frames, ahead, encoder.channels // frames
        *skips, dim = _widths(encoder)
        skips[0] += 4 * encoder.channels
        self.normalize, self.blocks = Normalize(), nn.ModuleList()
        for i, skip in enumerate(reversed(skips)):
            after = max(width - i * width // 4, width // 2)
            self.blocks.append(_conv_block(dim + skip, after, pool=False))
            dim = after
        self.last = nn.Conv2d(dim, 4 * ahead * self.channels, 3, padding=1)
        for p in self.last.parameters():
            nn.init.zeros_(p)

    def forward(self, seen: Tensor, features: list[Tensor]) -> Tensor:
        if seen.ndim != 5 or seen.shape[1:3] != (self.frames, self.channels) or seen.shape[3] % 2 or seen.shape[4] % 2:
            raise ValueError(
                f"this FrameDecoder takes frames (N, {self.frames}, {self.channels}, H, W), H and W even; it got "
                f"{tuple(seen.shape)}."
            )
        *skips, y = features
        folded = F.pixel_unshuffle(self.normalize(seen.flatten(1, 2)), 2)
        skips[0] = torch.cat([F.interpolate(skips[0], size=folded.shape[2:]), folded], dim=1)
        for block, skip in zip(self.blocks, reversed(skips)):
            y = block(torch.cat([F.interpolate(y, size=skip.shape[2:]), skip], dim=1))
        difference = F.pixel_shuffle(self.last(y).float(), 2)  # (N, ahead · C, H, W)
        return seen[:, -1:] + difference.unflatten(1, (self.ahead, self.channels))


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with batch norm and ReLU between them: projectors and predictors. `mlp(128, 256, 64)` has two."""
    layers: list[nn.Module] = []
    for a, b in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def pooled(x: Tensor, side: int = 1) -> Tensor:
    """(N, D, H, W) -> (N, D · side²): the mean over each cell of a side × side grid; side 1 is the whole picture."""
    if side == 1:
        return x.mean(dim=(2, 3))
    return F.adaptive_avg_pool2d(x, min(side, x.shape[-1])).flatten(1)


def _widths(encoder: Encoder) -> list[int]:
    """The channels of every block's output."""
    if isinstance(encoder, ConvNet):
        return list(encoder.widths)
    return [encoder.width * 2 ** max(i - 1, 0) for i in range(len(encoder.blocks))]


def _conv_block(a: int, b: int, pool: bool) -> nn.Sequential:
    # The pool stands before the ReLU: the two commute, and a quarter of the values is left to it.
    layers: list[nn.Module] = [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b)]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []), nn.ReLU(inplace=True))


def _run(encoder: Encoder, x: Tensor) -> list[Tensor]:
    x = x.flatten(1, 2) if x.ndim == 5 else x  # a clip's frames are channels
    _check(encoder, x)
    x = encoder.normalize(x)
    outputs = []
    for block in encoder.blocks:
        x = block(x)
        outputs.append(x)
    return outputs


def _check(encoder: Encoder, x: Tensor) -> None:
    name, smallest = type(encoder).__name__, 2**encoder.halvings
    if x.ndim != 4 or x.shape[1] != encoder.channels:
        raise ValueError(
            f"{name} was built for {encoder.channels} channels and takes (N, {encoder.channels}, H, W); it got "
            f"{tuple(x.shape)}. Build it with channels={x.shape[1] if x.ndim == 4 else '…'}, or convert the images."
        )
    if not x.is_floating_point():
        raise ValueError(f"{name} takes float images in [0, 1]; it got {x.dtype}. Use augment.to_float(images).")
    if min(x.shape[2:]) < smallest:
        raise ValueError(
            f"{name} halves an image {encoder.halvings} times, so an image has at least {smallest}×{smallest} px; "
            f"it got {x.shape[2]}×{x.shape[3]}. Resize them, or use a net with fewer halvings."
        )
