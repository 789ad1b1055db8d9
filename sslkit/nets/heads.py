"""What stands behind an encoder: a decoder, and small networks on its embeddings."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.nets.conv import conv_block


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
        self.blocks = nn.ModuleList([conv_block(a, b, pool=False), conv_block(b, c, pool=False)])
        self.last = nn.Conv2d(c, 4 * channels, 3, padding=1)

    def forward(self, z: Tensor, size: tuple[int, int] = (32, 32)) -> Tensor:
        if z.ndim != 2 or z.shape[1] != self.start.in_features:
            raise ValueError(f"this Decoder takes embeddings (N, {self.start.in_features}); it got {tuple(z.shape)}.")
        x = F.relu(self.start(z)).view(len(z), -1, 4, 4)
        for block, divisor in zip(self.blocks, (4, 2)):
            x = block(F.interpolate(x, size=[-(-side // divisor) for side in size]))  # rounded up
        return F.pixel_shuffle(self.last(x), 2)[:, :, : size[0], : size[1]]


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with batch norm and ReLU between them: projectors and predictors. `mlp(128, 256, 64)` has two."""
    layers: list[nn.Module] = []
    for a, b in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))
