"""Image -> (input, target made from the image itself).

Images are float (N, C, H, W) in [0, 1]. Every image of a batch draws for itself, on its own device.

    rotation        which way up is it?
    hide            what is in the missing part? `half`, `centre`, `frame`, `blocks` and `scattered` say what is missing
    jigsaw          in which order do the tiles belong?
    neighbours      where does the second patch lie, seen from the first?
    random_patches  which of an image's patches are seen, and which are to be told; block_patches: in whole blocks

With `hide` come its controls, predictions that need no network: `mean_image`, `nearest_visible`, `LinearPrediction`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import names
from sslkit.augment import GREY, constant

Pair = tuple[int, int]  # down, right

# ------------------------------------------------------------------------------------------------------------ rotation


def rotation(x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Turn every image by 0, 90, 180 or 270 degrees (counter-clockwise), at random; the target says which.

    Shapes: (N, C, S, S) -> inputs (N, C, S, S), target int64 (N,) in 0 … 3. Exact: pixels move, none is interpolated.
    Ref: Gidaris, Singh, Komodakis 2018, "Unsupervised representation learning by predicting image rotations", Sec. 3.1.
    """
    target = torch.randint(4, (len(x),), generator=generator, device=x.device)
    return rotate(x, target), target


def all_rotations(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every image in all four positions: inputs (4N, C, S, S), target (4N,) = 0…0 1…1 2…2 3…3."""
    target = torch.arange(4, device=x.device).repeat_interleave(len(x))
    return rotate(x.repeat(4, 1, 1, 1), target), target


def rotate(x: Tensor, quarters: Tensor) -> Tensor:
    """Turn image i by 90° · quarters[i], counter-clockwise."""
    if x.ndim != 4 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"a quarter turn needs square images (N, C, S, S); got {tuple(x.shape)}. Crop or resize them.")
    turned = torch.stack([x.rot90(k, dims=(2, 3)) for k in range(4)])  # (4, N, C, S, S)
    return turned[quarters % 4, torch.arange(len(x), device=x.device)]  # no mask, whose count a GPU's host waits for


# ---------------------------------------------------------------------------------------------------- the missing part

# A mask function takes the images and a generator, and gives a mask: bool (N, 1, H, W), true where a pixel is hidden.
# Of the images it reads the shape and the device only. Write one of your own, or settle one with functools.partial:
# `partial(half, side="right")`.
MaskFunction = Callable[[Tensor, torch.Generator | None], Tensor]
SIDES = ("left", "right", "top", "bottom")


def half(x: Tensor, generator: torch.Generator | None = None, side: str = "random") -> Tensor:
    """Hide one half: "left", "right", "top" or "bottom", or at random one of the four for each image.

    "left" and "right" together are the whole image, as are "top" and "bottom"; of an odd side the first is smaller.
    """
    names.pick(side, (*SIDES, "random"), "side")
    n, _, h, w = x.shape
    left = (torch.arange(w, device=x.device) < w // 2).expand(h, w)
    top = (torch.arange(h, device=x.device) < h // 2)[:, None].expand(h, w)
    masks = torch.stack([left, ~left, top, ~top])[:, None]  # (4, 1, H, W)
    if side != "random":
        return masks[SIDES.index(side)].expand(n, 1, h, w)
    return masks[torch.randint(4, (n,), generator=generator, device=x.device)]


def centre(x: Tensor, generator: torch.Generator | None = None, share: float = 0.5) -> Tensor:
    """Hide the middle: a rectangle with `share` of the height and of the width. The frame is to tell the centre."""
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; expected a share of the image's side, 0 < share < 1.")
    n, _, h, w = x.shape
    inside = []
    for side in (h, w):
        hidden = max(1, round(share * side))
        place = torch.arange(side, device=x.device) - (side - hidden) // 2
        inside.append((place >= 0) & (place < hidden))
    return (inside[0][:, None] & inside[1]).expand(n, 1, h, w)


def frame(x: Tensor, generator: torch.Generator | None = None, share: float = 0.5) -> Tensor:
    """Hide everything but the middle, the opposite of `centre`: the centre is to tell the frame."""
    return ~centre(x, generator, share)


def blocks(x: Tensor, generator: torch.Generator | None = None, count: int = 4, side: int = 8) -> Tensor:
    """Hide `count` squares of `side` pixels, anywhere within the image and for each image elsewhere; they may overlap.

    Ref: Pathak et al. 2016, "Context encoders: feature learning by inpainting", Sec. 3.3 (random block).
    """
    n, _, h, w = x.shape
    if count < 1 or not 1 <= side <= min(h, w):
        raise ValueError(
            f"count is {count} and side is {side}; expected at least one block, with a side of 1 to {min(h, w)} px, "
            f"since the images are {h}×{w}."
        )
    within = []
    for length in (h, w):
        start = torch.randint(length - side + 1, (n, count, 1), generator=generator, device=x.device)
        place = torch.arange(length, device=x.device) - start  # (N, count, length)
        within.append((place >= 0) & (place < side))
    mask = x.new_zeros((n, h, w), dtype=torch.bool)
    for rows, columns in zip(within[0].unbind(1), within[1].unbind(1)):
        mask |= rows[:, :, None] & columns[:, None, :]
    return mask[:, None]


def scattered(x: Tensor, generator: torch.Generator | None = None, patch: int = 4, share: float = 0.5) -> Tensor:
    """Hide `share` of the patch × patch squares that tile the image, others in each image: always the same number.

    Ref: He et al. 2022, "Masked autoencoders are scalable vision learners", Sec. 3 (masking).
    """
    n, _, h, w = x.shape
    if patch < 1 or h % patch or w % patch:
        raise ValueError(f"patch is {patch}; expected a number that divides the images' sides, {h} and {w}.")
    rows, columns = h // patch, w // patch
    hidden = round(share * rows * columns)
    if not 0 < hidden < rows * columns:
        raise ValueError(
            f"share is {share}, which hides {hidden} of {rows * columns} patches; expected some hidden and some not."
        )
    order = torch.rand(n, rows * columns, generator=generator, device=x.device).argsort(dim=1)
    mask = torch.zeros_like(order, dtype=torch.bool).scatter_(1, order[:, :hidden], True)
    mask = mask.view(n, 1, rows, 1, columns, 1).expand(n, 1, rows, patch, columns, patch)
    return mask.reshape(n, 1, h, w)


def hide(
    x: Tensor, mask: Tensor, fill: float = 0.5, target: Callable[[Tensor], Tensor] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the hidden pixels out of the images, and make them the target: any part from any other part.

        input = fill where m, x elsewhere;    target = t(x) where m, 0 elsewhere

    Symbols: m -> mask, true where hidden; t -> target, a function of the images such as `contrast_normalised_grey`;
             without one, the images themselves.
    Shapes:  x (N, C, H, W), mask bool (N, 1, H, W), or (1, 1, H, W) for all -> input (N, C, H, W), mask (N, 1, H, W),
             target (N, C′, H, W) with the channels of t(x). A hidden pixel's value is nowhere in the input.
    Ref:     Pathak et al. 2016, "Context encoders: feature learning by inpainting", Eq. 1.
    """
    _check_images(x)
    mask = _check_mask(mask, x)
    whole = x if target is None else target(x)
    return torch.where(mask, fill, x), mask, torch.where(mask, whole, 0.0)


def contrast_normalised_grey(x: Tensor, eps: float = 0.01) -> Tensor:
    """What is there, whatever its colour, brightness and contrast: the grey image with mean 0 and variance 1.

        t = (g − mean(g)) / √(var(g) + ε²),    g = 0.299 R + 0.587 G + 0.114 B

    Mean and variance are each image's own. Who predicts 0 everywhere has a squared error of about 1.

    Shapes: (N, C, H, W) with C = 1 or 3 -> (N, 1, H, W).
    """
    return _standardise(_grey(x), (2, 3), eps)


def contrast_normalised_edges(x: Tensor, eps: float = 0.01) -> Tensor:
    """Where something begins or ends, whether dark on light or light on dark: the slope of the grey image, normalised.

        e_ij = √((g_{i,j+1} − g_ij)² + (g_{i+1,j} − g_ij)²),    t = (e − mean(e)) / √(var(e) + ε²)

    Beyond the last row and column the image repeats itself. Mean and variance are each image's own. A photograph's
    negative has the same edges, so this target asks for shapes alone.

    Shapes: (N, C, H, W) with C = 1 or 3 -> (N, 1, H, W).
    """
    grey = _grey(x)
    across = F.pad(grey, (0, 1, 0, 0), mode="replicate").diff(dim=3)
    down = F.pad(grey, (0, 0, 0, 1), mode="replicate").diff(dim=2)
    return _standardise((across.square() + down.square()).sqrt(), (2, 3), eps)


# ------------------------------------------------------------------- its controls: predictions that need no network


def mean_image(targets: Tensor, n: int) -> Tensor:
    """The mean of the training set's targets as the prediction for n images, whatever they show.

    Shapes: whole targets (M, C, H, W), such as contrast_normalised_grey(training images) -> (n, C, H, W).
    """
    return targets.mean(dim=0).expand(n, *targets.shape[1:])


def nearest_visible(x: Tensor, mask: Tensor) -> Tensor:
    """Fill every hidden pixel with the nearest visible one, by Euclidean distance: the control that copies the border.

        y_p = x_q,    q = argmin over visible q of ‖p − q‖₂

    Exact, in two passes: the squared distance is a sum over rows and columns, so the nearest pixel within each column
    comes first, then the nearest of these columns. Of equally near pixels the leftmost wins, then the topmost.

    Shapes: x (N, C, H, W) in the target's own units, mask bool (N, 1, H, W) or (1, 1, H, W) -> (N, C, H, W). What lies
            under the mask is not read. Takes N · H · W · max(H, W) numbers of memory, without the N for a single mask.
    Ref:    Saito, Toriwaki 1994, "New algorithms for Euclidean distance transformation of an n-dimensional digitized
            picture": one axis after the other.
    """
    n, c, h, w = x.shape
    visible = ~_check_mask(mask, x, expand=False)[:, 0]  # (M, H, W), M = N or 1
    if not bool(visible.flatten(1).any(dim=1).all()):
        raise ValueError("a mask hides its whole image: there is no visible pixel to copy. Hide less.")
    down, across = _squares(h, x), _squares(w, x)
    far = float(h * h + w * w)  # farther than any pixel
    cost = torch.where(visible, 0.0, far)  # (M, H', W)
    cost, row = (cost[:, None] + down[:, :, None]).min(dim=2)  # over H': (M, H, W)
    column = (cost[:, :, None] + across).argmin(dim=3)  # over W': (M, H, W)
    source = row.gather(2, column) * w + column
    return x.flatten(2).gather(2, source.flatten(1)[:, None].expand(n, c, h * w)).view_as(x)


class LinearPrediction:
    """The hidden pixels as the best linear function of the visible ones (ridge regression), for a mask that all share.

        B = (VᵀV / N + λ I)⁻¹ VᵀY / N,    prediction = ȳ + (v − v̄) B

    Symbols: v -> the visible pixels of x; y -> the hidden pixels of the target; V, Y -> all of them, their means v̄, ȳ
             subtracted; λ -> shrinkage, in units of a pixel's variance.
    Shapes:  x (N, C, H, W), target (N, C′, H, W), mask bool (1, 1, H, W), or (N, 1, H, W) with the same for all.
             Calling it on images (M, C, H, W) gives (M, C′, H, W), 0 where the mask is false. What lies under the mask
             of x is not read.
    Ref:     Hastie, Tibshirani, Friedman 2009, "The elements of statistical learning", Eq. 3.44.
    """

    def __init__(self, x: Tensor, target: Tensor, mask: Tensor, shrinkage: float = 1e-3):
        if shrinkage <= 0:
            raise ValueError(f"shrinkage is {shrinkage}; expected a positive number.")
        mask = _check_mask(mask, x, expand=False)
        if bool((mask != mask[:1]).any()):
            raise ValueError("the masks differ from image to image; a linear prediction needs one mask for all.")
        if len(target) != len(x) or target.shape[2:] != x.shape[2:]:
            raise ValueError(f"images and targets do not fit: {tuple(x.shape)} and {tuple(target.shape)}.")
        self.mask, self.shape = mask[0, 0], target.shape[1:]
        v, y = x[:, :, ~self.mask].flatten(1), target[:, :, self.mask].flatten(1)
        if not v.shape[1] or not y.shape[1]:
            raise ValueError("the mask hides everything or nothing; expected some pixels hidden and some not.")
        self.v_mean, self.y_mean = v.mean(dim=0), y.mean(dim=0)
        v, y = v - self.v_mean, y - self.y_mean
        gram = v.T @ v / len(v)
        gram.diagonal().add_(shrinkage)
        self.weight = torch.cholesky_solve(v.T @ y / len(v), torch.linalg.cholesky(gram))

    def __call__(self, x: Tensor) -> Tensor:
        prediction = self.y_mean + (x[:, :, ~self.mask].flatten(1) - self.v_mean) @ self.weight
        out = prediction.new_zeros(len(x), *self.shape)
        out[:, :, self.mask] = prediction.view(len(x), self.shape[0], -1)
        return out


# -------------------------------------------------------------------------------------------------------------- jigsaw

RANDOM_CANDIDATES = 200_000  # where there are too many permutations to try them all


def tiles(
    x: Tensor,
    generator: torch.Generator | None = None,
    grid: int = 3,
    tile: int | None = None,
    jitter: int | None = None,
) -> Tensor:
    """Cut the images into grid × grid cells, and out of each cell a tile, row by row.

    `tile` is its side in pixels; by default 7/8 of the cell (the paper: 64 of 75). A cell is larger than its tile: what
    is left is the gap between tiles, without which an edge that runs on gives the answer away. `jitter` says how many
    of the cell's spare pixels the tile may move over, each tile on its own: 0 leaves it in the middle; by default all.

    Shapes: (N, C, H, W) -> (N, P, C, t, t) with P = grid².
    Ref:    Noroozi, Favaro 2016, "Unsupervised learning of visual representations by solving jigsaw puzzles", Sec. 3.
    """
    _check_images(x)
    n, _, h, w = x.shape
    if not 1 <= grid <= min(h, w):
        raise ValueError(f"grid is {grid}; expected 1 to {min(h, w)}, since the images are {h}×{w}.")
    cells = (h // grid, w // grid)
    tile = max(1, min(cells) * 7 // 8) if tile is None else tile
    if not 1 <= tile <= min(cells):
        raise ValueError(
            f"tile is {tile} px; expected 1 to {min(cells)}, the side of a cell when {h}×{w} px are cut into "
            f"{grid}×{grid}. Use smaller tiles, a smaller grid, or larger images."
        )
    spare = min(cells) - tile
    jitter = spare if jitter is None else jitter
    if not 0 <= jitter <= spare:
        raise ValueError(f"jitter is {jitter} px; expected 0 to {spare}, what a tile of {tile} px leaves of its cell.")
    corner = []
    for length, cell in zip((h, w), cells):
        first = (length - grid * cell) // 2  # what the grid leaves over is shared between both edges
        middle = first + cell * torch.arange(grid, device=x.device) + (cell - tile - jitter) // 2
        corner.append((middle, torch.randint(jitter + 1, (n, grid * grid), generator=generator, device=x.device)))
    (rows, down), (columns, right) = corner
    return _cut(x, rows.repeat_interleave(grid) + down, columns.repeat(grid) + right, tile)


def permutations(count: int, pieces: int = 9, seed: int = 0) -> Tensor:
    """`count` permutations of the pieces, far apart, chosen greedily. Int64 (count, pieces), no two the same.

    The distance of two (Hamming) is the number of places where they differ. The first one is random; each next is the
    candidate whose least distance to those chosen is largest, and among these the one with the largest sum of them.
    The paper goes by the sum alone, which lets two of them differ by a single swap. For 9 pieces the least distance is
    9 for 9 permutations, 8 for 10, 7 for 30, 6 for 100 and 5 for 1,000.

    Candidates are all permutations of up to 9 pieces, and RANDOM_CANDIDATES of more.

    Ref: Noroozi, Favaro 2016, Alg. 1.
    """
    if pieces < 1:
        raise ValueError(f"pieces is {pieces}; expected at least 1.")
    most = math.factorial(pieces) if pieces <= 9 else RANDOM_CANDIDATES
    if not 1 <= count <= most:
        raise ValueError(f"count is {count}; expected 1 to {most}, the permutations of {pieces} pieces to choose from.")
    random = np.random.RandomState(seed)
    if pieces <= 9:
        candidates = _all_permutations(pieces)
    else:
        candidates = random.rand(RANDOM_CANDIDATES, pieces).argsort(axis=1).astype(np.uint8)
    places = np.ascontiguousarray(candidates.T)  # (pieces, M): the comparison below runs along memory
    least, total = np.full(len(candidates), pieces, np.int32), np.zeros(len(candidates), np.int32)
    chosen = [random.randint(len(candidates))]
    while len(chosen) < count:
        distance = (places != places[:, chosen[-1:]]).sum(axis=0, dtype=np.uint8)  # to the one chosen last
        np.minimum(least, distance, out=least)
        total += distance
        chosen.append(int((least * (count * pieces) + total).argmax()))  # the sum is below count · pieces
    return torch.from_numpy(candidates[chosen].astype(np.int64))


def jigsaw(
    x: Tensor,
    permutations: Tensor,
    generator: torch.Generator | None = None,
    tile: int | None = None,
    jitter: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Cut every image into tiles and shuffle them; the target says which of the permutations (K, P) it was.

    Shapes: (N, C, H, W) -> shuffled tiles (N, P, C, t, t), target int64 (N,) in 0 … K − 1. See `tiles`, `permutations`.
    Ref:    Noroozi, Favaro 2016, Sec. 3.
    """
    grid = math.isqrt(permutations.shape[1])
    if grid * grid != permutations.shape[1]:
        raise ValueError(
            f"{permutations.shape[1]} pieces make no square puzzle; expected permutations of 4, 9, 16, … pieces."
        )
    target = torch.randint(len(permutations), (len(x),), generator=generator, device=x.device)
    return shuffle(tiles(x, generator, grid, tile, jitter), target, permutations), target


def shuffle(tiles: Tensor, index: Tensor, permutations: Tensor) -> Tensor:
    """Place i of sample n gets the tile permutations[index[n], i].

    Shapes: tiles (N, P, …), index int64 (N,), permutations int64 (K, P) -> (N, P, …).
    """
    return _reorder(tiles, permutations.to(tiles.device)[index])


def unshuffle(tiles: Tensor, index: Tensor, permutations: Tensor) -> Tensor:
    """Undo `shuffle`, exactly: tile permutations[index[n], i] goes back to its place from place i."""
    return _reorder(tiles, permutations.to(tiles.device).argsort(dim=1)[index])


def normalise_tiles(tiles: Tensor, eps: float = 0.02) -> Tensor:
    """Take brightness and contrast out of every tile, which else tell neighbours from strangers.

        0.5 + 0.25 · (v − mean(v)) / √(var(v) + ε²),    clipped to [0, 1]

    Mean and variance are those of each channel of each tile. 0.5 and 0.25 are what the encoders' normalisation turns
    into 0 and 1. ε keeps the noise of a flat tile small.

    Shapes: (…, C, t, t) -> the same.
    Ref:    Noroozi, Favaro 2016, on preventing shortcuts.
    """
    return _standardise(tiles, (-2, -1), eps).mul_(0.25).add_(0.5).clamp_(0, 1)


def assemble(tiles: Tensor, gap: int = 1, fill: float = 1.0) -> Tensor:
    """Tiles side by side, row by row, with `gap` pixels of `fill` between them: the puzzle as a picture.

    Shapes: (N, P, C, t, t) with P = grid² -> (N, C, S, S), S = grid · t + (grid − 1) · gap.
    """
    grid, t = _grid_of(tiles), tiles.shape[-1]
    side = grid * t + (grid - 1) * gap
    return _lay_out(tiles, (side, side), fill, first=(0, 0), step=(t + gap, t + gap))


def canvas(tiles: Tensor, size: Pair, fill: float = 0.5) -> Tensor:
    """Tiles back on an image of this height and width, each in the middle of its cell, where `tiles` takes it from
    with jitter 0. An encoder then sees the whole shuffled picture at once.

    Shapes: (N, P, C, t, t) with P = grid² -> (N, C, H, W).
    """
    grid, t = _grid_of(tiles), tiles.shape[-1]
    cells = [length // grid for length in size]
    if t > min(cells):
        raise ValueError(
            f"tiles of {t} px are larger than the cells of {grid}×{grid} on {size[0]}×{size[1]} px. Use a larger size."
        )
    first = [(length - grid * cell) // 2 + (cell - t) // 2 for length, cell in zip(size, cells)]
    return _lay_out(tiles, size, fill, (first[0], first[1]), (cells[0], cells[1]))


# --------------------------------------------------------------------------------------------------- relative position

# Row by row, as the eight are numbered in the paper's figure (there from 1): down, right.
DIRECTIONS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def neighbours(
    x: Tensor,
    generator: torch.Generator | None = None,
    patch: int | None = None,
    gap: int | None = None,
    jitter: int | None = None,
    anchor: str = "centre",
) -> tuple[Tensor, Tensor, Tensor]:
    """Two patches of each image; the target says in which of eight directions the second lies from the first.

        0 1 2
        3 · 4    the second patch starts patch + gap pixels away in that direction, ± jitter in each axis
        5 6 7

    By default a patch is a quarter of the image's shorter side, the gap a quarter of the patch, the jitter an eighth.
    With anchor "centre" the first patch is the middle of the image; with "anywhere" the pair lies anywhere in it, so
    that the first patch alone tells a little: one at the upper edge has no neighbour above.

    Shapes: (N, C, H, W) -> first (N, C, p, p), second (N, C, p, p), target int64 (N,) in 0 … 7.
    Ref:    Doersch, Gupta, Efros 2015, "Unsupervised visual representation learning by context prediction", Fig. 2,
            Sec. 3.1 (gap and jitter).
    """
    _check_images(x)
    names.pick(anchor, ("centre", "anywhere"), "anchor")
    n, _, h, w = x.shape
    patch = max(1, min(h, w) // 4) if patch is None else patch
    gap = patch // 4 if gap is None else gap
    jitter = patch // 8 if jitter is None else jitter
    if patch < 1 or gap < 0 or jitter < 0:
        raise ValueError(f"patch, gap and jitter are {patch}, {gap}, {jitter}; expected at least 1, 0 and 0.")
    reach = patch + gap + jitter
    needed = patch + reach * (2 if anchor == "centre" else 1)
    if needed > min(h, w):
        raise ValueError(
            f"patch {patch}, gap {gap} and jitter {jitter} take {needed} px with anchor {anchor!r}; the images are "
            f"{h}×{w}. Use a smaller patch or gap, or larger images."
        )
    target = torch.randint(8, (n,), generator=generator, device=x.device)
    move = torch.randint(-jitter, jitter + 1, (n, 2), generator=generator, device=x.device)
    offset = constant(DIRECTIONS, x.device)[target] * (patch + gap) + move  # (N, 2): down, right
    room = constant((h, w), x.device) - patch  # how far a single patch can go
    if anchor == "centre":
        first = (room // 2).expand(n, 2)
    else:
        draw = torch.randint(2**31, (n, 2), generator=generator, device=x.device)
        first = (-offset).clamp(min=0) + draw % (room - offset.abs() + 1)
    corner = torch.stack([first, first + offset], dim=1)  # (N, 2 patches, 2)
    pair = _cut(x, corner[..., 0], corner[..., 1], patch)
    return pair[:, 0], pair[:, 1], target


# ------------------------------------------------------------------------------------------------------ masked patches


def random_patches(
    n: int,
    grid: Pair,
    generator: torch.Generator | None = None,
    ratio: float = 0.75,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Which patches of each of n images are visible, and which are hidden: others in each image, drawn alike.

        M = round(ratio · P) hidden and V = P − M visible in every image, with P = rows · columns of the grid

    Shapes: -> visible int64 (n, V), hidden int64 (n, M): together every patch once, numbered row by row.
    Ref:    He et al. 2022, "Masked autoencoders are scalable vision learners", Sec. 3 (masking).
    """
    patches = grid[0] * grid[1]
    m = round(ratio * patches)
    if not 0 < m < patches:
        raise ValueError(
            f"ratio is {ratio}, which hides {m} of {patches} patches; expected some hidden and some visible."
        )
    order = torch.rand(n, patches, generator=generator, device=device).argsort(dim=1)
    return order[:, m:], order[:, :m]


def block_patches(
    n: int,
    grid: Pair,
    generator: torch.Generator | None = None,
    count: int = 4,
    side: int = 3,
    visible: int = 16,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Hide `count` blocks of side × side patches in each of n images, and see `visible` of the patches outside them.

    Blocks lie anywhere, and may overlap: a patch in two of them stands twice among the hidden. What is visible is drawn
    from the rest, as many in every image; what is neither hidden nor visible plays no part.

    Shapes: -> visible int64 (n, V), hidden int64 (n, count · side²), numbered row by row.
    Ref:    Assran et al. 2023, "Self-supervised learning from images with a joint-embedding predictive architecture",
            Sec. 3 (targets, context). There blocks are oblong, of random size, and what is visible is a block too.
    """
    rows, columns = grid
    if count < 1 or not 1 <= side <= min(grid) or not 1 <= visible <= rows * columns - count * side**2:
        raise ValueError(
            f"{count} blocks of {side}×{side} patches and {visible} visible ones do not fit on {rows}×{columns}. "
            "Hide or see fewer."
        )
    room = constant((rows - side + 1, columns - side + 1), torch.device(device))
    corner = (torch.rand(n, count, 1, 2, generator=generator, device=device) * room).long()  # (n, count, 1, 2)
    step = torch.arange(side, device=device)
    inside = torch.cartesian_prod(step, step).view(-1, 2)  # (side², 2): down, right
    place = corner + inside
    hidden = (place[..., 0] * columns + place[..., 1]).flatten(1)
    draw = torch.rand(n, rows * columns, generator=generator, device=device)
    return draw.scatter(1, hidden, 2.0).argsort(dim=1)[:, :visible], hidden


def standardised_patches(patches: Tensor, eps: float = 0.01) -> Tensor:
    """Every patch with mean 0 and variance 1 over its own numbers, so that a faint one counts as much as a strong one.

        t = (v − mean(v)) / √(var(v) + ε²)

    Shapes: (N, P, O) -> the same.
    Ref:    He et al. 2022, Sec. 3 (reconstruction target).
    """
    return _standardise(patches, (-1,), eps)


# ------------------------------------------------------------------------------------------------------------- private


def _cut(x: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
    """The squares with these upper left corners (N, P): (N, P, C, side, side)."""
    n, c, _, w = x.shape
    step = torch.arange(side, device=x.device)
    inside = (step[:, None] * w + step).flatten()  # the pixels of a square, counted from its corner along the image
    pixel = ((top * w + left)[:, :, None] + inside).flatten(1)  # (N, P · side²)
    squares = x.flatten(2).gather(2, pixel[:, None].expand(n, c, -1))
    return squares.view(n, c, -1, side, side).transpose(1, 2)


def _reorder(tiles: Tensor, order: Tensor) -> Tensor:
    """Place i of sample n gets tile order[n, i]."""
    if order.shape != tiles.shape[:2]:
        raise ValueError(
            f"tiles (N, P, …) are {tuple(tiles.shape)}, their permutations {tuple(order.shape)}; expected one index a "
            "sample, and permutations of as many pieces as there are tiles."
        )
    n, p = order.shape
    row = torch.arange(n, device=tiles.device)[:, None] * p + order
    return tiles.flatten(0, 1).index_select(0, row.flatten()).view_as(tiles)  # whole tiles move: fast


def _lay_out(tiles: Tensor, size: Pair, fill: float, first: Pair, step: Pair) -> Tensor:
    """Tiles on an image of this size, the first at `first`, the next ones `step` pixels on, down and right."""
    (n, _, c, t, _), grid = tiles.shape, _grid_of(tiles)
    out = tiles.new_full((n, c, *size), fill)
    places = out[:, :, first[0] :, first[1] :].unfold(2, t, step[0]).unfold(3, t, step[1])
    places[:, :, :grid, :grid] = tiles.unflatten(1, (grid, grid)).permute(0, 3, 1, 2, 4, 5)  # (N, C, grid, grid, t, t)
    return out


def _grid_of(tiles: Tensor) -> int:
    grid = math.isqrt(tiles.shape[1]) if tiles.ndim == 5 else 0
    if not grid or grid * grid != tiles.shape[1]:
        raise ValueError(f"expected tiles (N, P, C, t, t) with P = 4, 9, 16, …; got {tuple(tiles.shape)}.")
    return grid


def _all_permutations(pieces: int) -> np.ndarray:
    """(pieces!, pieces): the last piece goes into every place of every permutation of the others."""
    rows = np.zeros((1, 1), np.uint8)
    for k in range(1, pieces):
        new = np.full((len(rows), 1), k, np.uint8)
        rows = np.concatenate([np.hstack([rows[:, :i], new, rows[:, i:]]) for i in range(k + 1)])
    return rows


def _standardise(x: Tensor, dim: tuple[int, ...], eps: float) -> Tensor:
    """Mean 0 and variance 1 over these axes. Not Tensor.std, which takes ten times as long."""
    centred = x - x.mean(dim=dim, keepdim=True)
    variance = centred.square().mean(dim=dim, keepdim=True)
    return centred.mul_((variance + eps**2).rsqrt())


def _grey(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 1, H, W). A sum, not a matrix product: autocast would round that to 8 bits."""
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ValueError(f"expected images (N, C, H, W) with C = 1 or 3; got {tuple(x.shape)}.")
    weights = constant(GREY if x.shape[1] == 3 else (1.0,), x.device)
    return (x * weights[:, None, None]).sum(dim=1, keepdim=True)


def _squares(side: int, like: Tensor) -> Tensor:
    """(side, side): the squared distance of every two places along an axis."""
    place = torch.arange(side, device=like.device, dtype=torch.float32)
    return (place[:, None] - place).square()


def _check_images(x: Tensor) -> None:
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(
            f"expected float images (N, C, H, W) in [0, 1]; got {tuple(x.shape)} of {x.dtype}. "
            "For uint8 images use augment.to_float."
        )


def _check_mask(mask: Tensor, x: Tensor, expand: bool = True) -> Tensor:
    n, _, h, w = x.shape
    if mask.dtype != torch.bool or mask.shape not in ((n, 1, h, w), (1, 1, h, w)):
        raise ValueError(
            f"expected a mask of torch.bool, {(n, 1, h, w)}, true where a pixel is hidden; got {mask.dtype}, "
            f"{tuple(mask.shape)}."
        )
    return mask.expand(n, 1, h, w) if expand else mask
