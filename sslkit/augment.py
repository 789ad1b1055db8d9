"""Images -> images, at random: every sample of a batch draws for itself, on the tensor's own device.

All geometry (crop, resize, flip, rotation) of a sample is one 2×3 matrix, and all of its colour (brightness, contrast,
saturation, hue, grey) one 3×3 matrix with an offset. So a view costs one resampling and one matrix product, however
many augmentations are switched on. `draw` makes the random numbers, `apply` uses them: the same draws can be shown,
changed one at a time, or handed to a slower implementation.

Shapes: images (N, C, H, W), uint8 or float in [0, 1]; views float (N, C, H, W) in [0, 1]. C is 1 or 3.
Of a clip (N, T, C, H, W) every frame changes in the same way, so that what moves goes on moving as it did.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue in brightness (ITU-R BT.601)


@dataclass(frozen=True)
class Augment:
    """What may change between two views of an image. Every default is "leave it alone".

    `Augment(scale=(0.4, 1.0), brightness=0.4)(images, generator)` gives one view of each image.
    """

    scale: tuple[float, float] = (1.0, 1.0)  # area of the crop as a share of the image's
    ratio: tuple[float, float] = (1.0, 1.0)  # width : height of the crop
    rotate: float = 0.0  # up to ± this many degrees
    flip: float = 0.0  # probability of a left-right flip
    brightness: float = 0.0  # factor from 1 − b to 1 + b
    contrast: float = 0.0  # likewise, about the image's own mean grey
    saturation: float = 0.0  # likewise, about each pixel's own grey
    hue: float = 0.0  # up to ± this share of the colour circle, at most 0.5
    jitter: float = 1.0  # probability that the four above act on a sample
    grey: float = 0.0  # probability of grey
    invert: float = 0.0  # probability of a negative
    blur: float = 0.0  # probability of a Gaussian blur
    sigma: tuple[float, float] = (0.3, 1.0)  # its width in pixels
    noise: float = 0.0  # standard deviation of Gaussian pixel noise, drawn up to this
    cutout: float = 0.0  # side of a grey square, as a share of the image's side

    def __post_init__(self) -> None:
        for name in ("scale", "ratio", "sigma"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} is {(low, high)}: expected two numbers with 0 < low <= high.")
        for name in ("flip", "jitter", "grey", "invert", "blur", "cutout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: expected a share between 0 and 1.")
        for name in ("brightness", "contrast", "saturation", "noise", "rotate"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: expected 0 or more.")
        if self.scale[1] > 1:
            raise ValueError(f"scale is {self.scale}: a crop cannot be larger than the image; expected high <= 1.")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue is {self.hue}: expected 0 to 0.5 (half the colour circle).")

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One view of each image. The same generator state gives the same views."""
        _check(images)
        draws = self.draw(len(images), generator, images.device)
        if images.ndim == 4:
            return self.apply(images, draws)
        shape = images.shape[:2]
        every = {name: value.repeat_interleave(shape[1]) for name, value in draws.items()}
        return self.apply(images.flatten(0, 1), every).unflatten(0, shape)

    def draw(self, n: int, generator: torch.Generator | None, device: torch.device | str) -> dict[str, Tensor]:
        """The random numbers of n samples: every tensor has n rows, and every row is its own sample's."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(n, generator=generator, device=device)

        def chance(p: float) -> Tensor:
            return torch.rand(n, generator=generator, device=device) < p

        area, log_ratio = uniform(*self.scale), uniform(*map(math.log, self.ratio))
        factor = {name: getattr(self, name) for name in ("brightness", "contrast", "saturation")}
        acts = chance(self.jitter).float()
        return {
            "width": (area * log_ratio.exp()).sqrt().clamp(max=1),
            "height": (area / log_ratio.exp()).sqrt().clamp(max=1),
            "x": uniform(-1, 1),  # where the crop lies in the room that it leaves, from edge to edge
            "y": uniform(-1, 1),
            "angle": uniform(-self.rotate, self.rotate) * math.pi / 180,
            "flip": chance(self.flip),
            **{name: 1 + acts * uniform(max(-b, -1.0), b) for name, b in factor.items()},
            "hue": acts * uniform(-self.hue, self.hue) * 2 * math.pi,
            "grey": chance(self.grey),
            "invert": chance(self.invert),
            "blur": chance(self.blur),
            "sigma": uniform(*self.sigma),
            "noise": uniform(0, self.noise),
            "noise_seed": torch.randint(2**31, (n,), generator=generator, device=device),
            "cut_x": uniform(-1, 1),
            "cut_y": uniform(-1, 1),
        }

    def apply(self, images: Tensor, draws: dict[str, Tensor]) -> Tensor:
        """The views that the draws describe: geometry, then blur, colour, noise and cutout. Nothing here is random."""
        # Under autocast the sampling grid would have 8 bits: off by half a pixel at 224 px, and no faster.
        with torch.autocast(images.device.type, enabled=False):
            return self._apply(to_float(images), draws)

    def _apply(self, x: Tensor, draws: dict[str, Tensor]) -> Tensor:
        if self.scale != (1.0, 1.0) or self.ratio != (1.0, 1.0) or self.rotate:
            x = warp(x, affine_matrix(draws, aspect=x.shape[2] / x.shape[3]))
        elif self.flip:  # nothing to interpolate
            x = torch.where(draws["flip"][:, None, None, None], x.flip(3), x)
        if self.blur:
            x = blur(x, torch.where(draws["blur"], draws["sigma"], 0.0))
        if self.brightness or self.contrast or self.saturation or self.hue or self.grey or self.invert:
            x = recolour(x, draws)
        if self.noise:
            x = add_noise(x, draws["noise"], draws["noise_seed"])
        if self.cutout:
            x = cut_out(x, draws["cut_x"], draws["cut_y"], self.cutout)
        return x

    def without(self, *names: str) -> Augment:
        """This augmentation with some of its parts switched off: `strong.without("hue", "grey")`."""
        default, known = Augment(), {f.name for f in fields(self)}
        if unknown := set(names) - known:
            raise ValueError(f"no augmentation called {sorted(unknown)}; there are {sorted(known)}.")
        return Augment(**{f: getattr(default if f in names else self, f) for f in known})


def two_views(
    augment: Callable[[Tensor, torch.Generator | None], Tensor],
    images: Tensor,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Two views of each image, drawn independently. One call with twice as many rows takes less time than two calls."""
    a, b = augment(torch.cat([images, images]), generator).chunk(2)
    return a, b


def to_float(images: Tensor) -> Tensor:
    """uint8 0 … 255 becomes float32 0 … 1; a float tensor, already in 0 … 1, becomes float32."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()


def affine_matrix(draws: dict[str, Tensor], aspect: float = 1.0) -> Tensor:
    """(N, 2, 3): where each output pixel is read, in coordinates that run from −1 to 1 over the image.

    `aspect` is the images' height / width: a turn of an oblong picture must not shear it.
    """
    sign = torch.where(draws["flip"], -1.0, 1.0)
    cos, sin = draws["angle"].cos(), draws["angle"].sin()
    width, height = draws["width"], draws["height"]
    top = torch.stack([width * cos * sign, -width * sin * aspect, (1 - width) * draws["x"]], dim=1)
    bottom = torch.stack([height * sin * sign / aspect, height * cos, (1 - height) * draws["y"]], dim=1)
    return torch.stack([top, bottom], dim=1)


def warp(x: Tensor, matrix: Tensor) -> Tensor:
    """Resample each image through its own affine map; what lies outside repeats the mirrored edge."""
    n, _, h, w = x.shape
    across = (2 * torch.arange(w, device=x.device) + 1) / w - 1  # centres of the pixels, from −1 to 1
    down = (2 * torch.arange(h, device=x.device) + 1) / h - 1
    m = matrix[..., None]  # (N, 2, 3, 1)
    # Not F.affine_grid, which multiplies matrices: a coordinate is a term of its column plus one of its row.
    grid = x.new_empty(n, h, w, 2)
    for i in range(2):
        torch.add((m[:, i, 0] * across + m[:, i, 2])[:, None, :], (m[:, i, 1] * down)[:, :, None], out=grid[..., i])
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def recolour(x: Tensor, draws: dict[str, Tensor]) -> Tensor:
    """Brightness, contrast, saturation, hue, grey and negative as one affine map of colour, clipped to [0, 1] once.

        v = M (x − μ) + β μ,    M = c · β · S · H,    then grey and 1 − v where drawn

    β brightness, c contrast, S saturation and H hue act about the mean grey μ of the image. Colour on a grey image
    (C = 1) has neither saturation nor hue.
    """
    n, c = x.shape[:2]
    gain = (draws["brightness"] * draws["contrast"])[:, None, None]
    weights = constant(GREY if c == 3 else (1.0,), x.device)
    mean = torch.einsum("nchw,c->n", x, weights) / (x.shape[2] * x.shape[3])
    grey = weights.expand(c, c)  # projects a colour on its own grey
    eye = torch.eye(c, device=x.device)
    matrix = eye.expand(n, c, c)
    if c == 3:
        saturation = torch.where(draws["grey"], 0.0, draws["saturation"])[:, None, None]
        matrix = (saturation * eye + (1 - saturation) * grey) @ hue_matrix(draws["hue"])
    sign = torch.where(draws["invert"], -1.0, 1.0)
    matrix = sign[:, None, None] * gain * matrix
    level = draws["brightness"] * mean  # what the mean grey becomes
    level = torch.where(draws["invert"], 1 - level, level)
    offset = level[:, None] - matrix.sum(dim=2) * mean[:, None]  # (N, C)
    return torch.baddbmm(offset[:, :, None], matrix, x.flatten(2)).clamp_(0, 1).view_as(x)


def hue_matrix(angle: Tensor) -> Tensor:
    """(N, 3, 3): a turn of colour about the grey axis (1, 1, 1); Rodrigues' formula, R = I + sin·K + (1 − cos)·K²."""
    k = 3**-0.5
    axis = constant(((0.0, -k, k), (k, 0.0, -k), (-k, k, 0.0)), angle.device)
    sin, cos = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3, device=angle.device) + sin * axis + (1 - cos) * (axis @ axis)


@functools.cache
def constant(values: tuple, device: torch.device) -> Tensor:
    """These numbers on the device, copied there once: a copy from the host in every step would make it wait."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device)


def blur(x: Tensor, sigma: Tensor, radius: int = 2) -> Tensor:
    """Gaussian blur, each sample with its own width σ in pixels; 0 leaves it alone. First along rows, then columns."""
    n, c, h, w = x.shape
    distance = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.softmax(-(distance**2) / (2 * sigma.clamp(min=1e-3)[:, None] ** 2), dim=1)  # (N, 2r + 1)
    kernel = kernel.repeat_interleave(c, dim=0)  # one for each channel of each sample
    y = F.pad(x, (radius,) * 4, mode="reflect").reshape(1, n * c, h + 2 * radius, w + 2 * radius)
    y = F.conv2d(y, kernel[:, None, None, :], groups=n * c)
    return F.conv2d(y, kernel[:, None, :, None], groups=n * c).reshape(n, c, h, w)


def add_noise(x: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    """Gaussian noise of standard deviation `strength` (N,), clipped to [0, 1]; each sample's seed fixes its own.

    The seeds are read by the host, so on a GPU a step with noise waits for the device once.
    """
    generator = torch.Generator(x.device)
    rows = [torch.randn(x.shape[1:], generator=generator.manual_seed(s), device=x.device) for s in seed.tolist()]
    noise = torch.stack(rows)
    return (x + strength[:, None, None, None] * noise).clamp_(0, 1)


def cut_out(x: Tensor, centre_x: Tensor, centre_y: Tensor, side: float) -> Tensor:
    """A grey square over each image, with its centre at (centre_x, centre_y) in −1 … 1."""
    across = (2 * torch.arange(x.shape[3], device=x.device) + 1) / x.shape[3] - 1  # the middle of each pixel
    down = (2 * torch.arange(x.shape[2], device=x.device) + 1) / x.shape[2] - 1
    hit_x = (across - centre_x[:, None]).abs() < side  # (N, W)
    hit_y = (down - centre_y[:, None]).abs() < side  # (N, H)
    return torch.where((hit_y[:, :, None] & hit_x[:, None, :])[:, None], 0.5, x)


# The course's two settings, for its own images: digits that may be dark on light or light on dark, and that a mirror
# would turn into something else. Photographs want `flip=0.5` and no negative: see recipes.augment_for.
WEAK = Augment(scale=(0.8, 1.0), brightness=0.2, contrast=0.2)
STRONG = Augment(
    scale=(0.5, 1.0),
    ratio=(0.8, 1.25),
    rotate=15,
    brightness=0.5,
    contrast=0.5,
    saturation=0.8,
    hue=0.5,
    grey=0.2,
    invert=0.5,
)
COLOURS = STRONG.without("scale", "ratio", "rotate")  # where things are, how large, and which way they go: as it was


def _check(images: Tensor) -> None:
    if images.ndim not in (4, 5) or images.shape[-3] not in (1, 3):
        raise ValueError(
            f"images have shape {tuple(images.shape)}; expected (N, C, H, W) with C = 1 or 3, or clips (N, T, C, H, W)."
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}; expected uint8, or float in [0, 1].")
