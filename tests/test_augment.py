"""Augmentation: each sample draws for itself, every parameter does what its comment says, and all of it together is
what a loop over single pixels gives."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sslkit import augment as room
from sslkit.augment import COLOURS, STRONG, WEAK, Augment, two_views

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601

EVERYTHING = Augment(
    scale=(0.3, 0.9),
    ratio=(0.7, 1.4),
    rotate=40,
    flip=0.5,
    brightness=0.4,
    contrast=0.4,
    saturation=0.6,
    hue=0.3,
    jitter=0.8,
    grey=0.3,
    invert=0.3,
    blur=0.5,
    sigma=(0.4, 1.5),
    noise=0.1,
    cutout=0.3,
)


def seeded(seed: int = 0, device="cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def pictures(n: int = 4, c: int = 3, h: int = 8, w: int = 8, seed: int = 0) -> torch.Tensor:
    """Random float images, no two alike."""
    return torch.rand(n, c, h, w, generator=seeded(seed))


def ramps(n: int, h: int = 32, w: int = 32) -> torch.Tensor:
    """Images that tell where each pixel came from: red is its x, green its y, both from 0 to 1 over the image."""
    x, y = (torch.arange(w) + 0.5) / w, (torch.arange(h) + 0.5) / h
    return torch.stack([x.expand(h, w), y[:, None].expand(h, w), torch.zeros(h, w)]).repeat(n, 1, 1, 1)


def drawn(augment: Augment, n: int, seed: int = 0, **fixed) -> dict[str, torch.Tensor]:
    """The draws of n samples, with some of them given instead: drawn(Augment(), 3, angle=0.1)."""
    draws = augment.draw(n, seeded(seed), "cpu")
    for name, value in fixed.items():
        draws[name] = torch.full_like(draws[name], value)
    return draws


def close(a, b, atol: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


# ---- the slow twin: one image, one pixel, one channel at a time ---------------------------------------------------


def slow_view(augment: Augment, image: torch.Tensor, d: dict) -> torch.Tensor:
    """What the draws `d` of one sample make of one float image (C, H, W), by the formulas and with loops only."""
    c, h, w = image.shape
    pixels = {(i, j): [image[k, i, j].item() for k in range(c)] for i in range(h) for j in range(w)}
    at = list(pixels)
    if augment.scale != (1.0, 1.0) or augment.ratio != (1.0, 1.0) or augment.rotate or augment.flip:
        pixels = {p: _read(pixels, _source(p, h, w, d), h, w) for p in at}
    if augment.blur and d["blur"]:
        pixels = {p: _blurred(pixels, p, h, w, d["sigma"]) for p in at}
    if augment.brightness or augment.contrast or augment.saturation or augment.hue or augment.grey or augment.invert:
        mean = sum(_grey(v) for v in pixels.values()) / (h * w)
        pixels = {p: _recoloured(v, mean, d) for p, v in pixels.items()}
    if augment.noise:
        noise = torch.randn(c, h, w, generator=seeded(d["noise_seed"]))
        for (i, j), v in pixels.items():
            pixels[i, j] = [min(max(v[k] + d["noise"] * noise[k, i, j].item(), 0), 1) for k in range(c)]
    if augment.cutout:
        for i, j in at:
            x, y = (2 * j + 1) / w - 1, (2 * i + 1) / h - 1
            if abs(x - d["cut_x"]) < augment.cutout and abs(y - d["cut_y"]) < augment.cutout:
                pixels[i, j] = [0.5] * c
    return torch.tensor([[[pixels[i, j][k] for j in range(w)] for i in range(h)] for k in range(c)])


def _source(p, h, w, d) -> tuple[float, float]:
    """The place (row, column) in the image that output pixel p is read from: mirrored, turned, then zoomed."""
    x, y = p[1] + 0.5 - w / 2, p[0] + 0.5 - h / 2  # pixels from the centre
    x = -x if d["flip"] else x
    cos, sin = math.cos(d["angle"]), math.sin(d["angle"])
    x, y = cos * x - sin * y, sin * x + cos * y
    x = d["width"] * x + (1 - d["width"]) * d["x"] * w / 2
    y = d["height"] * y + (1 - d["height"]) * d["y"] * h / 2
    return y + h / 2 - 0.5, x + w / 2 - 0.5


def _read(pixels, place, h, w) -> list[float]:
    """Bilinear between four pixels; what lies outside repeats the image in the mirror of its edge."""

    def mirrored(position: float, size: int) -> float:
        position = abs(position + 0.5) % (2 * size)
        position = min(position, 2 * size - position) - 0.5
        return min(max(position, 0), size - 1)

    i, j = mirrored(place[0], h), mirrored(place[1], w)
    top, left = min(int(i), h - 2), min(int(j), w - 2)
    value = [0.0] * len(pixels[0, 0])
    for a, b in itertools.product((0, 1), (0, 1)):
        weight = (1 - abs(i - top - a)) * (1 - abs(j - left - b))
        value = [v + weight * q for v, q in zip(value, pixels[top + a, left + b])]
    return value


def _blurred(pixels, p, h, w, sigma) -> list[float]:
    """A 5×5 Gaussian; outside, the image is mirrored about the middle of its edge pixels."""

    def inside(i: int, size: int) -> int:
        i = abs(i)
        return i if i < size else 2 * (size - 1) - i

    total, value = 0.0, [0.0] * len(pixels[p])
    for a, b in itertools.product(range(-2, 3), range(-2, 3)):
        weight = math.exp(-(a * a + b * b) / (2 * sigma * sigma))
        total += weight
        value = [v + weight * q for v, q in zip(value, pixels[inside(p[0] + a, h), inside(p[1] + b, w)])]
    return [v / total for v in value]


def _grey(v: list[float]) -> float:
    return v[0] if len(v) == 1 else sum(weight * q for weight, q in zip(GREY, v))


def _recoloured(v: list[float], mean: float, d: dict) -> list[float]:
    """v = c β S H (x − μ) + β μ, then grey, then the negative, then clipped."""
    v = [q - mean for q in v]
    if len(v) == 3:
        axis = 3**-0.5  # turn v about (1, 1, 1): v cos + (k × v) sin + k (k · v) (1 − cos)
        cross = [axis * (v[2] - v[1]), axis * (v[0] - v[2]), axis * (v[1] - v[0])]
        along = axis * axis * sum(v)
        cos, sin = math.cos(d["hue"]), math.sin(d["hue"])
        v = [cos * q + sin * k + (1 - cos) * along for q, k in zip(v, cross)]
        grey = _grey(v)
        v = [d["saturation"] * q + (1 - d["saturation"]) * grey for q in v]
    v = [d["contrast"] * d["brightness"] * q + d["brightness"] * mean for q in v]
    if d["grey"]:
        v = [_grey(v)] * len(v)
    if d["invert"]:
        v = [1 - q for q in v]
    return [min(max(q, 0), 1) for q in v]


@pytest.mark.parametrize("c, h, w", [(3, 8, 8), (3, 5, 5), (1, 7, 7), (3, 5, 8), (1, 8, 6)])
def test_all_of_it_together_is_the_loop_over_pixels(c, h, w):
    x = pictures(12, c, h, w)
    draws = EVERYTHING.draw(12, seeded(1), "cpu")
    for name in ("flip", "grey", "invert", "blur"):
        assert 0 < draws[name].sum() < 12, name  # both cases are there
    slow = [slow_view(EVERYTHING, x[i], {k: v[i].item() for k, v in draws.items()}) for i in range(12)]
    close(EVERYTHING.apply(x, draws), torch.stack(slow))


# Each part alone: where all act at once, a later one can hide what an earlier one did.
PARTS = [
    {"scale": (0.2, 0.8)},
    {"ratio": (0.5, 2.0), "scale": (0.3, 0.4)},
    {"rotate": 180},
    {"flip": 0.5},
    {"brightness": 0.5},
    {"contrast": 0.9},
    {"saturation": 1.5},
    {"hue": 0.5},
    {"grey": 0.5},
    {"invert": 0.5},
    {"blur": 0.7, "sigma": (0.3, 3.0)},
    {"noise": 0.3},
    {"cutout": 0.4},
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: next(iter(part)))
def test_each_part_alone_is_the_loop_over_pixels(part):
    augment, x = Augment(**part), pictures(6, 3, 6, 7)
    draws = augment.draw(6, seeded(2), "cpu")
    slow = [slow_view(augment, x[i], {k: v[i].item() for k, v in draws.items()}) for i in range(6)]
    views = augment.apply(x, draws)
    assert not torch.allclose(views, x, atol=1e-3)  # it did something
    close(views, torch.stack(slow))


# ---- each sample for itself --------------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", [STRONG, WEAK, EVERYTHING, Augment(noise=0.1), Augment(scale=(0.2, 1.0))])
def test_64_copies_of_an_image_give_64_views(device, augment):
    x = pictures(1).repeat(64, 1, 1, 1).to(device)
    assert len(augment(x, seeded(0, device)).flatten(1).unique(dim=0)) == 64


def test_the_same_seed_gives_the_same_views_and_another_one_others(device):
    x = pictures(8).to(device)
    first, again, other = (EVERYTHING(x, seeded(s, device)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert all(not torch.equal(a, b) for a, b in zip(first, other))


def test_two_views_are_one_call_with_every_image_twice():
    x = pictures(5)
    a, b = two_views(STRONG, x, seeded())
    assert torch.equal(torch.cat([a, b]), STRONG(torch.cat([x, x]), seeded()))
    assert a.shape == b.shape == x.shape and all(not torch.equal(p, q) for p, q in zip(a, b))
    assert all(torch.equal(v, room.to_float(x)) for v in two_views(Augment(), x))


def test_a_generator_moves_on():
    g, x = seeded(), pictures()
    assert not torch.equal(STRONG(x, g), STRONG(x, g))


def test_the_global_generator_is_not_touched():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    EVERYTHING(pictures(), seeded())
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_view_depends_on_nothing_but_its_own_image_and_draws(channels):
    x, draws = pictures(16, channels), EVERYTHING.draw(16, seeded(), "cpu")
    assert all(len(v) == 16 for v in draws.values())
    views = EVERYTHING.apply(x, draws)
    order = torch.randperm(16, generator=seeded(5))
    close(EVERYTHING.apply(x[order], {k: v[order] for k, v in draws.items()}), views[order], atol=1e-6)
    close(EVERYTHING.apply(x[3:4], {k: v[3:4] for k, v in draws.items()}), views[3:4], atol=1e-6)


def test_the_draws_describe_a_view_completely():
    x, draws = pictures(8), EVERYTHING.draw(8, seeded(), "cpu")
    assert torch.equal(EVERYTHING.apply(x, draws), EVERYTHING.apply(x, draws))
    assert torch.equal(EVERYTHING(x, seeded()), EVERYTHING.apply(x, draws))


def test_the_same_draws_give_the_same_views_on_every_device(device):
    quiet, x = EVERYTHING.without("noise"), pictures(8)  # noise is drawn where it is needed
    draws = quiet.draw(8, seeded(), "cpu")
    there = quiet.apply(x.to(device), {k: v.to(device) for k, v in draws.items()})
    assert there.device.type == device.type
    close(there.cpu(), quiet.apply(x, draws), atol=1e-4)


# ---- what goes in and comes out ----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16])
def test_views_are_float32_between_0_and_1(channels, dtype):
    x = torch.randint(256, (8, channels, 8, 8), dtype=torch.uint8, generator=seeded())
    x = x if dtype == torch.uint8 else (x / 255).to(dtype)
    views = EVERYTHING(x, seeded())
    assert views.dtype == torch.float32
    assert views.shape == x.shape
    assert 0 <= views.min() <= views.max() <= 1


def test_interpolation_stays_between_0_and_1():
    for x in (torch.zeros(64, 3, 9, 9), torch.ones(64, 3, 9, 9), pictures(64, 3, 9, 9).round()):
        views = EVERYTHING.without("brightness", "contrast", "saturation", "hue", "grey", "invert", "noise", "cutout")(
            x, seeded()
        )
        assert -1e-6 <= views.min() <= views.max() <= 1 + 1e-6


def test_uint8_and_float_images_give_the_same_views():
    x = torch.randint(256, (8, 3, 8, 8), dtype=torch.uint8, generator=seeded())
    assert torch.equal(EVERYTHING(x, seeded()), EVERYTHING(x / 255, seeded()))


@pytest.mark.parametrize("channels", [1, 3])
def test_augment_without_parameters_gives_the_image_back(channels):
    x = pictures(c=channels)
    assert torch.equal(Augment()(x, seeded()), x)
    whole = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(2, channels, 16, 16)
    assert torch.equal(Augment()(whole, seeded()), whole / 255)


def test_the_images_given_are_left_alone():
    for x in (pictures(), (pictures() * 255).byte()):
        before = x.clone()
        EVERYTHING(x, seeded())
        assert torch.equal(x, before)


def test_channels_last_images_give_the_same_views():
    x = pictures(8, 3, 9, 7)
    close(EVERYTHING(x.contiguous(memory_format=torch.channels_last), seeded()), EVERYTHING(x, seeded()), atol=1e-6)


def test_autocast_does_not_make_views_coarse():
    x = pictures(4, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        views = EVERYTHING(x, seeded())
    assert torch.equal(views, EVERYTHING(x, seeded()))


def test_to_float():
    assert room.to_float(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == pytest.approx([0, 0.2, 1])
    assert room.to_float(torch.tensor([0.25], dtype=torch.float64)).dtype == torch.float32
    x = pictures()
    assert torch.equal(room.to_float(x), x)


# ---- every parameter does what its comment says ------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.integers(0, 1000))
def test_scale_is_the_share_of_the_area_and_the_crop_stays_inside(a, b, seed):
    low, high = sorted((a, b))
    x, y = _step(Augment(scale=(low, high))(ramps(20), seeded(seed)))
    area, centre = x["size"] * y["size"], (x["centre"], y["centre"])
    assert low - 1e-3 <= area.min() <= area.max() <= high + 1e-3
    for middle, size in zip(centre, (x["size"], y["size"])):
        assert -1e-3 <= (middle - size / 2).min() and (middle + size / 2).max() <= 1 + 1e-3


def _step(views: torch.Tensor) -> tuple[dict, dict]:
    """Size and centre of each crop, as shares of the image, from views of `ramps`: along x and along y."""
    h, w = views.shape[2:]
    x, y = views[:, 0, h // 2], views[:, 1, :, w // 2]
    return tuple(
        {"size": (line[:, n // 2] - line[:, n // 2 - 1]) * n, "centre": (line[:, n // 2] + line[:, n // 2 - 1]) / 2}
        for line, n in ((x, w), (y, h))
    )


def test_crops_of_the_whole_range_are_drawn_and_reach_every_edge():
    x, y = _step(Augment(scale=(0.25, 1.0))(ramps(500), seeded()))
    area = x["size"] * y["size"]
    assert area.min() < 0.30 and area.max() > 0.95
    assert area.mean().item() == pytest.approx(0.625, abs=0.05)
    for axis in (x, y):
        left, right = axis["centre"] - axis["size"] / 2, axis["centre"] + axis["size"] / 2
        assert left.min() < 0.01 and right.max() > 0.99
        assert axis["centre"].mean().item() == pytest.approx(0.5, abs=0.03)


def test_ratio_is_width_to_height_and_keeps_the_area():
    x, y = _step(Augment(scale=(0.3, 0.3), ratio=(0.5, 2.0))(ramps(300), seeded()))
    close(x["size"] * y["size"], torch.full((300,), 0.3), atol=1e-3)
    ratio = x["size"] / y["size"]
    assert 0.499 < ratio.min() < 0.55 and 1.8 < ratio.max() < 2.002
    assert ratio.log().mean().item() == pytest.approx(0, abs=0.1)  # as often wide as high


@pytest.mark.parametrize("h, w", [(32, 32), (16, 48), (40, 24)])
def test_rotate_turns_by_up_to_that_many_degrees_and_does_not_shear(h, w):
    views = Augment(rotate=30)(ramps(300, h, w), seeded()) * torch.tensor([w, h, 0.0])[:, None, None]  # in pixels
    i, j = h // 2, w // 2
    along_x = (views[:, :2, i, j] - views[:, :2, i, j - 1]).double()
    along_y = (views[:, :2, i, j] - views[:, :2, i - 1, j]).double()
    ones = torch.ones(300, dtype=torch.float64)
    close(along_x.norm(dim=1), ones, atol=1e-3)
    close(along_y.norm(dim=1), ones, atol=1e-3)
    close((along_x * along_y).sum(1), 0 * ones, atol=1e-3)
    angle = torch.atan2(along_x[:, 1], along_x[:, 0]) * 180 / math.pi
    assert -30.1 < angle.min() < -28 and 28 < angle.max() < 30.1


def test_flip_is_an_exact_mirror_of_about_that_share_and_leaves_the_others_bit_for_bit():
    x = pictures(400, 3, 7, 9)
    views = Augment(flip=0.3)(x, seeded())
    mirrored = (views != x).flatten(1).any(dim=1)
    assert torch.equal(views[mirrored], x[mirrored].flip(3))
    assert abs(mirrored.sum().item() - 120) < 5 * math.sqrt(400 * 0.3 * 0.7)


@pytest.mark.parametrize("name", ["flip", "jitter", "grey", "invert", "blur"])
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_a_probability_is_the_share_of_samples(name, share):
    n = 2000
    draws = Augment(**{name: share, "brightness": 0.4}).draw(n, seeded(), "cpu")
    acted = (draws["brightness"] != 1) if name == "jitter" else draws[name]
    assert abs(acted.sum().item() - n * share) <= 5 * math.sqrt(n * share * (1 - share))


@pytest.mark.parametrize(
    "name, setting, low, high",
    [
        ("brightness", 0.4, 0.6, 1.4),
        ("contrast", 0.3, 0.7, 1.3),
        ("saturation", 2.0, 0.0, 3.0),
        ("hue", 0.25, -math.pi / 2, math.pi / 2),
        ("sigma", (0.5, 2.0), 0.5, 2.0),
        ("noise", 0.2, 0.0, 0.2),
    ],
)
def test_a_strength_is_drawn_evenly_from_its_range(name, setting, low, high):
    draws = Augment(**{name: setting}).draw(2000, seeded(), "cpu")[name]
    tolerance = (high - low) / 100
    assert low - 1e-6 <= draws.min() < low + tolerance and high - tolerance < draws.max() <= high + 1e-6
    assert draws.mean().item() == pytest.approx((low + high) / 2, abs=(high - low) / 20)


def test_nothing_but_the_jitter_is_drawn_with_jitter_0():
    x = pictures(32)
    close(Augment(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.5, jitter=0)(x, seeded()), x, atol=1e-6)


def test_brightness_multiplies():
    augment, x = Augment(brightness=0.5), torch.full((100, 3, 4, 4), 0.4)
    draws = augment.draw(100, seeded(), "cpu")
    close(augment.apply(x, draws), x * draws["brightness"][:, None, None, None])
    colourful = pictures(100) * 0.6
    close(augment.apply(colourful, draws), colourful * draws["brightness"][:, None, None, None])


def test_contrast_stretches_about_the_mean_grey():
    augment, x = Augment(contrast=0.5), 0.3 + 0.4 * pictures(50)
    draws = augment.draw(50, seeded(), "cpu")
    mean = room.to_float(x).mean(dim=(2, 3)) @ torch.tensor(GREY)
    mean, factor = mean[:, None, None, None], draws["contrast"][:, None, None, None]
    close(augment.apply(x, draws), mean + factor * (x - mean))
    assert factor.min() < 0.6 and factor.max() > 1.4


def test_saturation_0_is_grey_and_1_is_the_image():
    augment, x = Augment(saturation=1), pictures(20)
    grey = torch.einsum("nchw,c->nhw", x, torch.tensor(GREY))[:, None].expand_as(x)
    close(augment.apply(x, drawn(augment, 20, saturation=0.0)), grey)
    close(augment.apply(x, drawn(augment, 20, saturation=1.0)), x)
    close(augment.apply(x, drawn(augment, 20, saturation=0.5)), (x + grey) / 2)


def test_hue_turns_colour_about_the_grey_axis():
    angle = torch.linspace(-3, 3, 13)
    turn = room.hue_matrix(angle)
    close(turn @ turn.mT, torch.eye(3).expand(13, 3, 3))
    close(torch.linalg.det(turn), torch.ones(13))
    close(turn @ torch.ones(3), torch.ones(13, 3))
    close(turn.diagonal(dim1=1, dim2=2).sum(1), 1 + 2 * angle.cos())  # the trace tells the angle
    third = room.hue_matrix(torch.tensor([2 * math.pi / 3]))[0]
    close(third @ torch.eye(3)[0], torch.eye(3)[1])  # red becomes green, then blue
    close(third @ third @ torch.eye(3)[0], torch.eye(3)[2])


def test_hue_leaves_grey_images_alone():
    x = pictures(50, 1).expand(50, 3, 8, 8)
    close(Augment(hue=0.5)(x, seeded()), x)


def test_grey_has_three_equal_channels_and_the_brightness_of_the_image():
    x = pictures(30)
    views = Augment(grey=1.0, hue=0.5, saturation=0.8)(x, seeded())
    close(views[:, 0], views[:, 1], atol=1e-6)
    close(views[:, 0], views[:, 2], atol=1e-6)
    close(Augment(grey=1.0)(x, seeded())[:, 0], torch.einsum("nchw,c->nhw", x, torch.tensor(GREY)))


@pytest.mark.parametrize("channels", [1, 3])
def test_invert_is_the_negative(channels):
    x = pictures(30, channels)
    close(Augment(invert=1.0)(x, seeded()), 1 - x)


def test_one_channel_has_neither_saturation_nor_hue_nor_grey():
    x = pictures(30, 1)
    close(Augment(saturation=0.8, hue=0.5, grey=0.5)(x, seeded()), x)


def test_blur_keeps_constants_and_brightness_and_takes_detail():
    close(Augment(blur=1.0)(torch.full((5, 3, 8, 8), 0.3), seeded()), torch.full((5, 3, 8, 8), 0.3))
    x = pictures(20, 3, 32, 32)
    views = Augment(blur=1.0, sigma=(1.0, 1.0))(x, seeded())
    close(views.mean(dim=(1, 2, 3)), x.mean(dim=(1, 2, 3)), atol=0.01)
    assert (views.var(dim=(2, 3)) < 0.2 * x.var(dim=(2, 3))).all()


def test_blur_with_a_width_of_0_is_none_and_each_sample_has_its_own():
    x = pictures(2)
    blurred = room.blur(x, torch.tensor([0.0, 1.0]))
    assert torch.equal(blurred[0], x[0])
    assert not torch.allclose(blurred[1], x[1], atol=0.1)


def test_noise_has_the_standard_deviation_that_was_drawn():
    augment, x = Augment(noise=0.1), torch.full((40, 3, 32, 32), 0.5)
    draws = augment.draw(40, seeded(), "cpu")
    noise = augment.apply(x, draws) - x
    close(noise.std(dim=(1, 2, 3)), draws["noise"], atol=0.005)
    close(noise.mean(dim=(1, 2, 3)), torch.zeros(40), atol=0.01)
    correlation = torch.corrcoef(noise.flatten(1))
    assert (correlation - torch.eye(40)).abs().max() < 0.12  # every sample has noise of its own


@pytest.mark.parametrize("side", [0.25, 0.5, 1.0])
def test_cutout_is_a_grey_square_with_that_share_of_the_side(side):
    augment, x = Augment(cutout=side), torch.zeros(1, 3, 32, 32)
    hidden = augment.apply(x, drawn(augment, 1, cut_x=0.0, cut_y=0.0)) == 0.5
    assert hidden.all(dim=1).sum() == round(32 * side) ** 2
    assert hidden[0, 0, 16, 16] and hidden.flip(3).equal(hidden) and hidden.mT.equal(hidden)


def test_cutout_lies_anywhere_on_the_image():
    hidden = Augment(cutout=0.25)(torch.zeros(500, 1, 16, 16), seeded()) == 0.5
    assert hidden.any(dim=0).all()
    assert hidden.flatten(1).any(dim=1).all()
    assert hidden.float().mean() < 0.25**2


# ---- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"scale": (0.0, 1.0)}, "scale is .*: expected two numbers with 0 < low <= high"),
        ({"scale": (0.5, 0.2)}, "scale is .*: expected two numbers with 0 < low <= high"),
        ({"scale": (0.5, 1.2)}, "a crop cannot be larger than the image"),
        ({"ratio": (-1.0, 1.0)}, "ratio is .*: expected two numbers"),
        ({"sigma": (0.0, 1.0)}, "sigma is .*: expected two numbers"),
        ({"hue": 0.6}, "hue is 0.6: expected 0 to 0.5"),
        ({"hue": -0.1}, "hue is -0.1: expected 0 to 0.5"),
        *[({name: 1.1}, f"{name} is 1.1: expected a share between 0 and 1") for name in ("flip", "jitter", "grey")],
        *[({name: -0.1}, f"{name} is -0.1: expected a share") for name in ("invert", "blur", "cutout")],
        *[({name: -1.0}, f"{name} is -1.0: expected 0 or more") for name in ("brightness", "contrast", "saturation")],
        *[({name: -1.0}, f"{name} is -1.0: expected 0 or more") for name in ("noise", "rotate")],
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Augment(**wrong)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 4, 8, 8), (2, 8, 8, 3)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"images have shape .*; expected \(N, C, H, W\) with C = 1 or 3"):
        STRONG(torch.zeros(shape))


def test_images_of_another_type_are_refused():
    with pytest.raises(ValueError, match="images are torch.int64; expected uint8, or float"):
        STRONG(torch.zeros(1, 3, 8, 8, dtype=torch.int64))


def test_without_switches_parts_off_and_leaves_the_rest():
    less = EVERYTHING.without("hue", "cutout", "scale")
    assert (less.hue, less.cutout, less.scale) == (0.0, 0.0, (1.0, 1.0))
    for f in fields(Augment):
        if f.name not in ("hue", "cutout", "scale"):
            assert getattr(less, f.name) == getattr(EVERYTHING, f.name)
    assert EVERYTHING.without(*(f.name for f in fields(Augment))) == Augment()
    assert EVERYTHING.without() == EVERYTHING
    with pytest.raises(ValueError, match=r"no augmentation called \['colour'\]; there are"):
        EVERYTHING.without("colour")


def test_the_courses_settings_do_not_mirror_digits():
    assert STRONG.flip == WEAK.flip == 0


# ---- clips ---------------------------------------------------------------------------------------------------------


def test_all_frames_of_a_clip_change_alike_and_every_clip_in_its_own_way():
    frames = torch.rand(3, 1, 3, 12, 12, generator=torch.Generator().manual_seed(0)).expand(-1, 5, -1, -1, -1)
    views = EVERYTHING(frames, torch.Generator().manual_seed(1))
    assert views.shape == frames.shape
    assert all(torch.allclose(views[:, 0], views[:, t], atol=1e-6) for t in range(5))
    alone = EVERYTHING(frames[:, 0], torch.Generator().manual_seed(1))
    torch.testing.assert_close(views[:, 0], alone)  # the draws are those of images
    same = frames[:1].expand(3, -1, -1, -1, -1)
    assert not torch.allclose(*EVERYTHING(same, torch.Generator().manual_seed(1))[:2], atol=0.05)


def test_colours_leave_everything_in_its_place():
    x = torch.zeros(8, 4, 3, 9, 9)
    x[:, torch.arange(4), :, 2, torch.arange(4) + 2] = 0.7  # a dot that moves to the right
    views = COLOURS(x, torch.Generator().manual_seed(0))
    step = (views - views[..., :1, :1]).abs().sum(dim=2) > 1e-3  # what differs from the corner
    assert step.any() and not (step & (x[:, :, 0] == 0)).any()
