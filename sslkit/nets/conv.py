"""Convolutional encoders."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


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
        self.blocks = nn.ModuleList(conv_block(a, b, pool=i < last) for i, (a, b) in enumerate(pairs))

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


def pooled(x: Tensor, side: int = 1) -> Tensor:
    """(N, D, H, W) -> (N, D · side²): the mean over each cell of a side × side grid; side 1 is the whole picture."""
    if side == 1:
        return x.mean(dim=(2, 3))
    return F.adaptive_avg_pool2d(x, min(side, x.shape[-1])).flatten(1)


def conv_block(a: int, b: int, pool: bool) -> nn.Sequential:
    # The pool stands before the ReLU: the two commute, and a quarter of the values is left to it.
    layers: list[nn.Module] = [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b)]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []), nn.ReLU(inplace=True))


def _run(encoder: ConvNet | ResNet18, x: Tensor) -> list[Tensor]:
    x = x.flatten(1, 2) if x.ndim == 5 else x  # a clip's frames are channels
    _check(encoder, x)
    x = encoder.normalize(x)
    outputs = []
    for block in encoder.blocks:
        x = block(x)
        outputs.append(x)
    return outputs


def check_images(encoder: nn.Module, x: Tensor) -> None:
    """Raise ValueError unless x are float images with as many channels as the encoder was built for."""
    name, channels = type(encoder).__name__, encoder.channels
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(
            f"{name} was built for {channels} channels and takes (N, {channels}, H, W); it got "
            f"{tuple(x.shape)}. Build it with channels={x.shape[1] if x.ndim == 4 else '…'}, or convert the images."
        )
    if not x.is_floating_point():
        raise ValueError(f"{name} takes float images in [0, 1]; it got {x.dtype}. Use augment.to_float(images).")


def _check(encoder: ConvNet | ResNet18, x: Tensor) -> None:
    check_images(encoder, x)
    name, smallest = type(encoder).__name__, 2**encoder.halvings
    if min(x.shape[2:]) < smallest:
        raise ValueError(
            f"{name} halves an image {encoder.halvings} times, so an image has at least {smallest}×{smallest} px; "
            f"it got {x.shape[2]}×{x.shape[3]}. Resize them, or use a net with fewer halvings."
        )
