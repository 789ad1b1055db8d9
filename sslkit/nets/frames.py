"""From an encoder that saw frames to the frames after them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.nets.conv import ConvNet, Normalize, ResNet18, conv_block


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

    def __init__(self, encoder: ConvNet | ResNet18, frames: int, ahead: int, width: int = 64):
        super().__init__()
        self.frames, self.ahead, self.channels = frames, ahead, encoder.channels // frames
        *skips, dim = _widths(encoder)
        skips[0] += 4 * encoder.channels
        self.normalize, self.blocks = Normalize(), nn.ModuleList()
        for i, skip in enumerate(reversed(skips)):
            after = max(width - i * width // 4, width // 2)
            self.blocks.append(conv_block(dim + skip, after, pool=False))
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


def _widths(encoder: ConvNet | ResNet18) -> list[int]:
    """The channels of every block's output."""
    if isinstance(encoder, ConvNet):
        return list(encoder.widths)
    return [encoder.width * 2 ** max(i - 1, 0) for i in range(len(encoder.blocks))]
