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

    Each frame ahead is put together from what has been seen, and a rest is added:

        x̂_a = w₀ x_p(moved by u_a) + Σ_i w_i x_i + r_a,    w ≥ 0, Σ w = 1, for every pixel by itself

    Symbols: x_i -> frame i of `seen`, x_p the last; u_a -> how far each pixel has moved, in pixels; w -> a softmax;
             r_a -> the rest. A fresh decoder has u = r = 0, and w nearly all on the last frame: it copies it.
    Shapes:  seen (N, p, C, H, W) and features(seen) of an encoder with p · C channels -> (N, ahead, C, H, W). H and W
             are even.
    Ref:     Ronneberger, Fischer, Brox 2015, "U-Net" (the shape); Finn, Goodfellow, Levine 2016, "Unsupervised learning
             for physical interaction through video prediction", Sec. 3 (moving pixels instead of painting them).
    """

    def __init__(self, encoder: Encoder, frames: int, ahead: int, width: int = 64):
        super().__init__()
        self.frames, self.ahead, self.channels = frames, ahead, encoder.channels // frames
        *skips, dim = _widths(encoder)
        skips[0] += 4 * encoder.channels
        self.normalize, self.blocks = Normalize(), nn.ModuleList()
        for i, skip in enumerate(reversed(skips)):
            after = width - i * width // 4
            self.blocks.append(_conv_block(dim + skip, after, pool=False))
            dim = after
        self.parts = (2, 1 + frames, self.channels)  # u, w, r
        self.last = nn.Conv2d(dim, 4 * ahead * sum(self.parts), 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, seen: Tensor, features: list[Tensor]) -> Tensor:
        if seen.shape[-2] % 2 or seen.shape[-1] % 2:
            raise ValueError(f"FrameDecoder needs frames of even height and width; got {tuple(seen.shape)}.")
        *skips, y = features
        half = F.pixel_unshuffle(self.normalize(seen.flatten(1, 2)), 2)  # every pixel, at half the size
        skips[0] = torch.cat([F.interpolate(skips[0], size=half.shape[2:]), half], dim=1)
        for block, skip in zip(self.blocks, reversed(skips)):
            y = block(torch.cat([F.interpolate(y, size=skip.shape[2:]), skip], dim=1))
        maps = F.pixel_shuffle(self.last(y).float(), 2).unflatten(1, (self.ahead, -1))  # (N, A, parts, H, W)
        flow, weight, rest = maps.split(self.parts, dim=2)
        with torch.autocast(seen.device.type, enabled=False):  # 8 bits are too few for a place in the picture
            last = seen[:, -1:].expand(-1, self.ahead, -1, -1, -1)
            moved = shifted(last.flatten(0, 1), flow.flatten(0, 1)).view_as(last)
            w = torch.cat([weight[:, :, :1] + 3, weight[:, :, 1:]], dim=2).softmax(dim=2)
            kept = torch.einsum("naphw,npchw->nachw", w[:, :, 1:], seen)
            return w[:, :, :1] * moved + kept + rest


def shifted(x: Tensor, flow: Tensor) -> Tensor:
    """Each pixel from elsewhere: y[i, j] = x[i + v, j + u], bilinear; beyond the border the border's own value.

    Shapes: x (N, C, H, W), flow (N, 2, H, W), u to the right and v down in pixels -> (N, C, H, W).
    """
    h, w = x.shape[2:]
    column, row = torch.arange(w, device=x.device), torch.arange(h, device=x.device)[:, None]
    grid = torch.stack([(2 * (column + flow[:, 0]) + 1) / w - 1, (2 * (row + flow[:, 1]) + 1) / h - 1], dim=3)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


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
