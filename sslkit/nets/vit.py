"""A vision transformer: an image is a sequence of patches, its tokens, of which any may be left out.

Attention has no notion of place, so every token carries the code of its own; that is why a part of the patches is as
good an input as all of them, and takes less time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sslkit.nets.attention import Block
from sslkit.nets.conv import Normalize, check_images

Grid = tuple[int, int]  # rows and columns of patches


def patchify(x: Tensor, patch: int) -> Tensor:
    """Cut images into squares, row by row; each becomes a row of numbers: all of its red pixels, then green, blue.

    Shapes: (N, C, H, W) -> (N, P, C · patch²) with P = (H / patch) · (W / patch). Nothing is lost: see `unpatchify`.
    Ref:    Dosovitskiy et al. 2021, "An image is worth 16x16 words", Sec. 3.1.
    """
    rows, columns = _grid(x, patch)
    n, c = x.shape[:2]
    squares = x.reshape(n, c, rows, patch, columns, patch).permute(0, 2, 4, 1, 3, 5)  # (N, rows, columns, C, p, p)
    return squares.reshape(n, rows * columns, c * patch * patch)


def unpatchify(tokens: Tensor, patch: int, grid: Grid) -> Tensor:
    """Put the squares back in their places; undoes `patchify`, exactly.

    Shapes: (N, P, C · patch²) with P = rows · columns of the grid -> (N, C, rows · patch, columns · patch).
    """
    rows, columns = grid
    if tokens.ndim != 3 or tokens.shape[1] != rows * columns or tokens.shape[2] % patch**2:
        raise ValueError(
            f"a grid of {rows}×{columns} patches of {patch} px takes (N, {rows * columns}, C · {patch**2}); got "
            f"{tuple(tokens.shape)}."
        )
    squares = tokens.unflatten(1, grid).unflatten(3, (-1, patch, patch)).permute(0, 3, 1, 4, 2, 5)
    return squares.reshape(len(tokens), -1, rows * patch, columns * patch)


def positions(grid: Grid, dim: int, device: torch.device | str = "cpu") -> Tensor:
    """The code of every place on the grid, row by row: fixed waves over its row and over its column.

        code(p) = [sin p ω_0, …, sin p ω_{d−1}, cos p ω_0, …, cos p ω_{d−1}],    ω_k = 10000^(−k / d)

    Symbols: p -> the row for the first half of the code, the column for the second; d -> a quarter of its width.
    Shapes:  -> (P, dim), between −1 and 1; dim is a multiple of 4.
    Ref:     Vaswani et al. 2017, "Attention is all you need", Sec. 3.5; for two axes He et al. 2022, "Masked
             autoencoders are scalable vision learners", App. A.1.
    """
    if dim < 4 or dim % 4:
        raise ValueError(f"the width of a position's code is {dim}; expected a multiple of 4.")
    omega = 10000 ** (-torch.arange(dim // 4, device=device) / (dim // 4))  # (d,)
    row, column = (torch.arange(length, device=device)[:, None] * omega for length in grid)
    rows, columns = (torch.cat([angle.sin(), angle.cos()], dim=1) for angle in (row, column))  # (length, 2 d)
    return torch.cat([rows.repeat_interleave(grid[1], dim=0), columns.repeat(grid[0], 1)], dim=1)


def take(tokens: Tensor, index: Tensor) -> Tensor:
    """Some of the tokens of each sample: tokens (N, P, D), index int64 (N, M) -> (N, M, D)."""
    return tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2]))


class ViT(nn.Module):
    """A small vision transformer. Its embedding is the mean over the tokens; there is no token for the class.

    Blocks: from a patch to a token, then `depth` transformer blocks, the last with a layer norm. A patch is
            standardised and passes two linear layers: with a single one on raw pixels nothing was learned in the time
            that the course has. (Kumar et al. 2023, "Dual PatchNorm", standardise it, too.)
    Shapes: (N, C, H, W) -> (N, D) with D = width; H and W are multiples of the patch's side. Position codes are
            computed, so that one set of parameters serves images of all sizes.
    Ref:    Dosovitskiy et al. 2021, Sec. 3.1.
    """

    def __init__(self, channels: int = 3, patch: int = 8, width: int = 96, depth: int = 4, heads: int = 3):
        super().__init__()
        if min(patch, depth) < 1:
            raise ValueError(f"patch and depth are {patch} and {depth}; expected at least 1 each.")
        self.channels, self.patch, self.dim, self.depth, self.heads = channels, patch, width, depth, heads
        self.halvings = (patch - 1).bit_length()
        self.normalize = Normalize()
        layers: list[nn.Module] = [Block(width, heads) for _ in range(depth)]
        layers[-1] = nn.Sequential(layers[-1], nn.LayerNorm(width))
        numbers = channels * patch**2
        norm = nn.LayerNorm(numbers, eps=0.01)  # ε keeps the noise of a flat patch small
        stem = nn.Sequential(norm, nn.Linear(numbers, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.blocks = nn.ModuleList([stem, *layers])
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens(x).mean(dim=1)

    def tokens(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Images -> one vector a patch; of the patches that `visible` (N, V) numbers alone, if it is given.

        A patch that is not visible is left out before the first layer: no later one could know of it.

        Shapes: (N, C, H, W) -> (N, P, D), or (N, V, D).
        """
        return self._run(x, visible)[-1]

    def features(self, x: Tensor) -> list[Tensor]:
        """The output of every block as a map of its tokens, each (N, D, H / patch, W / patch)."""
        return [tokens.transpose(1, 2).unflatten(2, self.grid(x)) for tokens in self._run(x)]

    def grid(self, x: Tensor) -> Grid:
        """Rows and columns of patches of these images."""
        return _grid(x, self.patch)

    def _run(self, x: Tensor, visible: Tensor | None = None) -> list[Tensor]:
        check_images(self, x)
        patches = patchify(self.normalize(x), self.patch)
        place = positions(self.grid(x), self.dim, x.device).expand(x.shape[0], -1, -1)
        if visible is not None:
            patches, place = take(patches, visible), take(place, visible)
        outputs = [self.blocks[0](patches) + place]
        for block in self.blocks[1:]:
            outputs.append(block(outputs[-1]))
        return outputs

    def config(self) -> dict:
        return {
            "net": "vit",
            "channels": self.channels,
            "patch": self.patch,
            "width": self.dim,
            "depth": self.depth,
            "heads": self.heads,
        }


class Predictor(nn.Module):
    """From the tokens of what is visible to something about what is hidden: a light transformer.

    Every hidden patch enters as the same learned vector, the mask token, with the code of its place. The decoder of a
    masked autoencoder and the predictor of a joint-embedding one are both of this kind.

    Shapes: tokens (N, V, D), visible int64 (N, V), hidden int64 (N, M) -> (N, M, outputs).
    Ref:    He et al. 2022, Sec. 3 (MAE decoder); Assran et al. 2023, "Self-supervised learning from images with a
            joint-embedding predictive architecture", Sec. 3 (prediction).
    """

    def __init__(self, dim: int, outputs: int, width: int = 48, depth: int = 1, heads: int = 3):
        super().__init__()
        self.width = width
        self.enter = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.empty(width))
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(depth)], nn.LayerNorm(width))
        self.last = nn.Linear(width, outputs)
        _initialise(self)
        nn.init.normal_(self.mask_token, std=0.02)
        nn.init.normal_(self.last.weight, std=0.02)  # so that the loss starts where knowing nothing is

    def forward(self, tokens: Tensor, visible: Tensor, hidden: Tensor, grid: Grid) -> Tensor:
        place = positions(grid, self.width, tokens.device).expand(len(tokens), -1, -1)
        seen = self.enter(tokens) + take(place, visible)
        asked = self.mask_token + take(place, hidden)
        x = self.blocks(torch.cat([seen, asked], dim=1))
        return self.last(x[:, visible.shape[1] :])


def patch_for(size: Sequence[int]) -> int:
    """The side of a patch that cuts images of this size evenly into 4×4 or more: the divisor of both sides that is
    nearest to 8 px. 7 px for images of 28, 4 px for images of 16."""
    common, largest = math.gcd(*size), max(1, min(size) // 4)
    return min((p for p in range(1, largest + 1) if common % p == 0), key=lambda p: abs(p - 8))


def _grid(x: Tensor, patch: int) -> Grid:
    if x.ndim != 4 or x.shape[2] % patch or x.shape[3] % patch or not x.shape[2:].numel():
        raise ValueError(
            f"images (N, C, H, W) are cut into patches of {patch} px, which must divide H and W; got {tuple(x.shape)}. "
            "Resize the images, or use another patch."
        )
    return x.shape[2] // patch, x.shape[3] // patch


def _initialise(net: nn.Module) -> None:
    """Xavier's for linear layers (He et al. 2022, App. A.1), but small for those that write into the residual stream.

    A block then starts as nearly the identity (Radford et al. 2019, "Language models are unsupervised multitask
    learners", Sec. 2.3), and a deep net learns as quickly as a shallow one.
    """
    blocks = [layer for layer in net.modules() if isinstance(layer, Block)]
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    for block in blocks:
        for weight in (block.attention.out.weight, block.mlp.get_parameter("2.weight")):
            nn.init.normal_(weight, std=0.02 * (2 * len(blocks)) ** -0.5)
