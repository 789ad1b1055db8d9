"""Where the time of a training step goes, how far that is from what the machine can do, and lightly's loop beside it.

`run` gives a dict that json can write:

    {"method": "simclr", "net": "convnet", "compiled": false, "data": "photodigits", "device": "cpu, 2 threads",
     "precision": "bf16", "batch_size": 256,
     "steps": 30, "views": 2, "load": 0.1,
     "images_per_second": 2900.0, "two_view_images_per_second": 2900.0,
     "parts": {"views": 12.0, "forward": 30.0, "backward": 42.0, "optimizer": 0.3, "other": 1.0,
               "step": 85.3, "share_outside_model": 0.16},
     "ceiling": {"matmul_gflops": 250.0, "copy_gb_per_s": 20.0, "model_gflop_per_step": 2.0, "fraction_of_matmul": 0.1},
     "lightly": {"version": "1.6.0", "workers": 0, "steps": 6, "images_per_second": 600.0, "same_settings": 800.0,
                 "with_our_views": 1500.0, "same_views": 2400.0, "rounds": [{…}, …]},
     "ratio_to_lightly": 4.8, "ratio_same_settings": 3.5, "ratio_same_views": 1.2, "note": ""}

images_per_second   images of the data that `train.fit` itself trained on, a second, median of the rounds;
                    two_view_images_per_second is the same number if the method makes two views of each, else null
load                processes that wanted a core, on average of the minute before the start; null where the system does
                    not say. More than a quarter of the cores, and all figures here may be too low
parts               milliseconds a step, in a run of their own; "forward" is the network and the loss, "backward" also
                    clears the gradients, "other" is the rest of the loop (fetching the batch, the rate, the sums)
ceiling             a large matrix product in the precision of the training and a large copy (bytes read and written),
                    both measured; model_gflop_per_step is counted (a multiply-add is two), forward and backward;
                    fraction_of_matmul is what the whole loop reaches of the matrix product
lightly             images a second of four loops, see `_lightly_loops`; null, with the reason in "note", if lightly
                    is not installed or has no part in this: its baseline is SimCLR
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader, Dataset, RandomSampler

from sslkit import device as devices
from sslkit import methods, nets, recipes, train
from sslkit.augment import Augment
from sslkit.data import load

WORKERS = (0, min(8, os.cpu_count() or 1))  # of lightly's DataLoader; the faster of the two is compared with
PREFETCH = 2  # batches that each worker prepares ahead, torch's default
SIDE = {"cuda": 8192}  # of the large matrix product, 2048 elsewhere
IMAGES = 20_000  # enough to time; of a folder larger than memory the rest stays on disk
COPY = 2**28  # bytes of the large copy: no cache holds them

Method = Any  # an nn.Module with `views` and `loss`
Loop = Callable[[], float]  # trains for a while, gives images a second


def run(
    method: str = "simclr",
    data: str = "photodigits",
    *,
    batch_size: int = 256,
    steps: int = 30,
    device: str = "auto",
    net: str | None = None,
    compile: bool = False,
    seed: int = 0,
    rounds: int = 3,
) -> dict:
    """Time `train.fit` with the method's recipe for `steps` steps, `rounds` times, and lightly's loops in between.

    `net` is the kind of encoder, one of nets.NETS, by default the recipe's; `compile` compiles it, in our loop only.

    What is compared takes turns, so that whatever else the machine does meets all of it; a ratio is the median of the
    rounds' ratios. Lightly as its users run it has a process of its own. Raises ValueError if there are fewer images
    than a batch.
    """
    if min(batch_size, steps, rounds) < 1:
        raise ValueError(f"batch_size, steps and rounds are {batch_size}, {steps}, {rounds}; each must be at least 1.")
    for kind, of in (("clips", methods.VIDEO), ("text", recipes.ON_WORDS)):
        if method in of:
            raise ValueError(f"{method} learns from {kind}, and bench times methods on images, such as simclr.")
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    where = devices.pick(device)
    images = load(data, "train").images[:IMAGES].to(where)
    with devices.seeded(seed), ExitStack() as process:  # lightly draws from the global generators
        built = recipes.build(method, recipes.encoder_for(method, images.shape[2:], images.shape[1], net), data)
        recipe = recipes.get(method).lesson
        config = replace(recipe, steps=steps, batch_size=batch_size, seed=seed, patience=0, progress=False)
        train.fit(built, images, replace(config, steps=min(steps, 10)), device=where, compile=compile)  # warm-up

        loops: dict[str, Loop] = {"ours": lambda: train.fit(built, images, config, device=where).images_per_second}
        facts, note = None, _why_not_lightly(method)
        if not note:
            facts, theirs = _lightly_loops(built, images, config, where, process)
            loops |= theirs
        table = [{name: loop() for name, loop in loops.items()} for _ in range(rounds)]
        parts = _parts(built, images, config, where)
        ceiling = _ceiling(built, images[:batch_size], devices.precision(config.precision, where), where)

    speed = {name: median(row[name] for row in table) for name in loops}
    views = _count_views(built, images[:batch_size])
    reached = ceiling["model_gflop_per_step"] * speed["ours"] / batch_size
    return {
        "method": method,
        "net": built.encoder.config()["net"],
        "compiled": compile,
        "data": data,
        "device": devices.describe(where),
        "precision": _name(devices.precision(config.precision, where)),
        "batch_size": batch_size,
        "steps": steps,
        "views": views,
        "load": busy,
        "images_per_second": speed["ours"],
        "two_view_images_per_second": speed["ours"] if views == 2 else None,
        "parts": parts,
        "ceiling": ceiling | {"fraction_of_matmul": reached / ceiling["matmul_gflops"]},
        "lightly": facts and facts | {name: speed[name] for name in loops if name != "ours"} | {"rounds": table},
        "ratio_to_lightly": facts and median(row["ours"] / row["images_per_second"] for row in table),
        "ratio_same_settings": facts and median(row["ours"] / row["same_settings"] for row in table),
        "ratio_same_views": facts and median(row["ours"] / row["same_views"] for row in table),
        "note": note,
    }


def render(report: dict) -> str:
    """The report of `run` as a short text."""
    parts, ceiling, theirs = report["parts"], report["ceiling"], report["lightly"]
    what = "two-view images" if report["views"] == 2 else "images"
    where = f"{report['device']}, {report['precision']}, batch {report['batch_size']}"
    lines = [
        f"{report['method']} with {report['net']}{', compiled,' * report['compiled']} on {report['data']}: {where}",
        f"{report['images_per_second']:.0f} {what} a second",
        "",
        f"{'part':<12}{'ms a step':>10}{'share':>8}",
        *(f"{name:<12}{parts[name]:>10.2f}{parts[name] / parts['step']:>8.0%}" for name in PARTS),
        f"{'step':<12}{parts['step']:>10.2f}    of which {parts['share_outside_model']:.0%} outside the model",
        "",
        f"the model takes {ceiling['model_gflop_per_step']:.2f} GFLOP a step; a large matrix product runs at "
        f"{ceiling['matmul_gflops']:.0f} GFLOP/s,",
        f"the loop at {ceiling['fraction_of_matmul']:.1%} of that; a large copy at {ceiling['copy_gb_per_s']:.1f} GB/s",
        "",
    ]
    if (report["load"] or 0) > 0.25 * (os.cpu_count() or 1):
        lines.append(f"the machine was busy the minute before (load {report['load']:.1f}): a quiet one is faster")
    if theirs is None:
        return "\n".join([*lines, f"no ratio to lightly: {report['note']}"])
    rows = {
        f"lightly {theirs['version']} as its users run it ({theirs['workers']} workers)": theirs["images_per_second"],
        f"  with {report['precision']}, channels_last, our augmentations": theirs["same_settings"],
        "  as its users run it, on views that we make": theirs["with_our_views"],
        f"  on these, with {report['precision']}, channels_last": theirs["same_views"],
        "this loop": report["images_per_second"],
    }
    lines += [f"{'median of ' + str(len(theirs['rounds'])) + ' rounds':<52}{'images/s':>10}"]
    lines += [f"{name:<52}{speed:>10.0f}" for name, speed in rows.items()]
    lines.append(
        f"this loop is {report['ratio_to_lightly']:.2f} times lightly, {report['ratio_same_settings']:.2f} times with "
        f"the same settings, {report['ratio_same_views']:.2f} times on the same views"
    )
    return "\n".join(lines)


# ---- our loop --------------------------------------------------------------------------------------------------------

PARTS = ("views", "forward", "backward", "optimizer", "other")


def _parts(method: Method, images: Tensor, config: train.TrainConfig, device: torch.device) -> dict[str, float]:
    """Milliseconds a step of `train.fit` by part: the loop itself runs, with a clock at the seams of its steps.

    The clock waits for the device at each seam. On a GPU the parts are therefore a little more than the whole, where
    they overlap.
    """
    seconds = dict.fromkeys(PARTS, 0.0)
    last: float | None = None

    def lap(part: str) -> None:
        """What went by since the last lap was this part."""
        nonlocal last
        devices.synchronize(device)
        now = time.perf_counter()
        seconds[part] += 0.0 if last is None else now - last
        last = now

    def timed(function: Callable, before: str, part: str) -> Callable:
        def call(*args, **kwargs):
            lap(before)
            out = function(*args, **kwargs)
            lap(part)
            return out

        return call

    seams = {"views": timed(method.views, "other", "views"), "loss": timed(method.loss, "views", "forward")}
    hooks = [
        register_optimizer_step_pre_hook(lambda *_: lap("backward")),
        register_optimizer_step_post_hook(lambda *_: lap("optimizer")),
    ]
    method.__dict__.update(seams)  # the instance's own come before the class's
    try:
        steps = train.fit(method, images, config, device=device).steps
    finally:
        for name in seams:
            del method.__dict__[name]
        for hook in hooks:
            hook.remove()
    # Before the first step the clock does not run: one "other" is missing.
    parts = {part: 1000 * s / (max(steps - 1, 1) if part == "other" else steps) for part, s in seconds.items()}
    step = sum(parts.values())
    outside = step - parts["forward"] - parts["backward"]
    return parts | {"step": step, "share_outside_model": outside / step}


def _ceiling(method: Method, batch: Tensor, dtype: torch.dtype, device: torch.device) -> dict[str, float]:
    """What the machine could do, and what a step asks of it."""
    from torch.utils.flop_counter import FlopCounterMode

    side = SIDE.get(device.type, 2048)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    source = torch.zeros(COPY, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    with torch.inference_mode():
        matmul = _best(lambda: a @ b, device)
        copy = _best(lambda: target.copy_(source), device)
    method.train()
    counter = FlopCounterMode(display=False)
    with devices.autocast(device, dtype):
        inputs = method.views(batch, devices.generator(0, device))
        with counter:
            method.loss(*inputs)["loss"].backward()
    method.zero_grad(set_to_none=True)
    return {
        "matmul_gflops": 2 * side**3 / matmul / 1e9,
        "copy_gb_per_s": 2 * source.nbytes / copy / 1e9,
        "model_gflop_per_step": counter.get_total_flops() / 1e9,
    }


def _best(work: Callable[[], object], device: torch.device, times: int = 5) -> float:
    """Seconds of the fastest of several runs, after one that does not count."""
    seconds = []
    for _ in range(times + 1):
        devices.synchronize(device)
        start = time.perf_counter()
        work()
        devices.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


@torch.no_grad()
def _count_views(method: Method, batch: Tensor) -> int:
    """How many views of each image the method trains on in one step."""
    made = method.views(batch, devices.generator(0, batch.device))
    return sum(x.shape[0] for x in made if x.ndim == 4) // len(batch)


# ---- lightly's loop --------------------------------------------------------------------------------------------------


class _Pictures(Dataset):
    """Images as a torchvision data set keeps them: arrays that become a PIL image, and then views, one at a time."""

    def __init__(self, arrays: np.ndarray, transform: Callable):
        self.arrays, self.transform = arrays, transform

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, i: int) -> list[Tensor]:
        from PIL import Image

        array = self.arrays[i]
        return self.transform(Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array))


def _why_not_lightly(method: str) -> str:
    if method != "simclr":
        return "the baseline is lightly's SimCLR"
    return "" if importlib.util.find_spec("lightly") else "lightly is not installed (pip install lightly)"


def _lightly_loops(
    method: Method, images: Tensor, config: train.TrainConfig, device: torch.device, process: ExitStack
) -> tuple[dict, dict[str, Loop]]:
    """Four training loops around lightly 1.x's SimCLR, and facts about them.

    images_per_second   as its users run it (its examples for CIFAR-10): `SimCLRTransform(input_size=…,
                        gaussian_blur=0)` on PIL images, one at a time, in a DataLoader; one pass of the encoder for
                        each view; its projection head and its `NTXentLoss`; fp32, NCHW; in a process of its own,
                        which `process` ends
    same_settings       the same pipeline with our precision and memory layout, its transform set to our augmentations
                        (it has no negatives, so it does one thing less)
    with_our_views      its step, on views that `augment` makes of the batch on the device, without a DataLoader
    same_views          likewise, with our precision and memory layout; what is left between this and our loop is the
                        head, the loss, and one pass of the encoder for both views instead of two

    So same_views / with_our_views is what precision and layout bring. The last three run in this process, where our
    loop has set the memory allocator (`device.keep_memory`): they gain from it as we do. In all of them the encoder,
    the head's widths and the optimizer (fused AdamW) are ours, the encoder normalises (the transform does not do it a
    second time), and a timed step is: fetch the batch, forward, backward, optimizer. The start of the workers is not
    timed, and neither are the batches that they had ready before.
    """
    plain: dict[str, Any] = {"input_size": images.shape[-1], "gaussian_blur": 0.0, "normalize": None}
    arrays = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    sizes = (method.encoder.config(), method.projector[0].out_features, method.projector[-1].out_features)
    steps = max(2, config.steps // 5)  # it is slow: a fifth of our steps is as long

    def from_augment(dtype: torch.dtype, layout: torch.memory_format) -> Loop:
        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            size = config.batch_size
            while True:
                for index in torch.randperm(len(images), device=device)[: len(images) // size * size].split(size):
                    yield method.views(images[index], generator)

        generator, step = devices.generator(config.seed, device), _lightly_step(sizes, config, device, dtype, layout)
        count = max(2, config.steps // 2)
        return lambda: _speed(step, islice(batches(), 1 + count), count, config.batch_size, device, skip=1)

    slow = (torch.float32, torch.contiguous_format)
    fast = (devices.precision(config.precision, device), torch.channels_last)
    users = {
        workers: process.enter_context(
            _elsewhere(_lightly_loop, arrays, plain, sizes, config, device, *slow, workers, steps)
        )
        for workers in dict.fromkeys(WORKERS)
    }
    best = max(users, key=lambda workers: users[workers]())
    ours = plain | _as_lightly_says(method.augment)
    loops = {
        "images_per_second": users[best],
        "same_settings": _lightly_loop(arrays, ours, sizes, config, device, *fast, best, steps),
        "with_our_views": from_augment(*slow),
        "same_views": from_augment(*fast),
    }
    return {"version": version("lightly"), "workers": best, "steps": steps + -steps % max(best, 1)}, loops


def _lightly_loop(
    arrays: np.ndarray,
    transform: dict,
    sizes: tuple[dict, int, int],
    config: train.TrainConfig,
    device: torch.device,
    dtype: torch.dtype,
    layout: torch.memory_format,
    workers: int,
    steps: int,
) -> Loop:
    """Lightly's whole pipeline: pictures one at a time, its transform, a DataLoader, its step."""
    from lightly.transforms import SimCLRTransform

    size, ahead = config.batch_size, workers * PREFETCH
    count = steps + -steps % max(workers, 1)  # workers deliver in turn: whole turns
    extra: dict[str, Any] = {"persistent_workers": True, "prefetch_factor": PREFETCH} if workers else {}
    pictures = _Pictures(arrays, SimCLRTransform(**transform))
    # Batches before and after the timed ones, so that the queue is as full at the end as at the start; and an end,
    # so that the workers rest while the others have their turn.
    sampler = RandomSampler(range(len(pictures)), num_samples=size * (1 + ahead + count + ahead))
    loader: DataLoader = DataLoader(pictures, size, sampler=sampler, drop_last=True, num_workers=workers, **extra)
    step = _lightly_step(sizes, config, device, dtype, layout)
    return lambda: _speed(step, loader, count, size, device, skip=1 + ahead)


def _lightly_step(
    sizes: tuple[dict, int, int],
    config: train.TrainConfig,
    device: torch.device,
    dtype: torch.dtype,
    layout: torch.memory_format,
) -> Callable[[Tensor, Tensor], None]:
    """One training step on two views, for a model of its own: our encoder of that size, lightly's head and loss."""
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead

    encoder = nets.build(sizes[0])
    model = nn.Sequential(encoder, SimCLRProjectionHead(encoder.dim, *sizes[1:]))
    model.to(device).to(memory_format=layout).train()
    criterion, optimizer = NTXentLoss(), train.make_optimizer(model, config)

    def step(a: Tensor, b: Tensor) -> None:
        with devices.autocast(device, dtype):
            loss = criterion(model(a.to(device)), model(b.to(device)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


@contextmanager
def _elsewhere(make: Callable[..., Loop], *given: Any) -> Iterator[Loop]:
    """The loop `make(*given)` in a fresh process, so that nothing that this one has set for itself reaches it."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, torch.get_num_threads(), make, given))

    def loop() -> float:
        here.send("go")
        return here.recv()

    process.start()
    there.close()  # with the child's end in the child alone, its death ends a `recv` here
    try:
        yield loop
    finally:
        with suppress(OSError):  # it may have died
            here.send("")
        process.join()


def _serve(pipe: Connection, threads: int, make: Callable[..., Loop], given: tuple) -> None:
    """Call the loop as often as the pipe says "go"."""
    torch.set_num_threads(threads)
    loop = make(*given)
    while pipe.recv():
        pipe.send(loop())


def _as_lightly_says(augment: Augment) -> dict[str, Any]:
    """Our augmentation as parameters of lightly's SimCLRTransform."""
    return {
        "min_scale": augment.scale[0],
        "rr_prob": float(augment.rotate > 0),
        "rr_degrees": augment.rotate or None,
        "cj_prob": augment.jitter,
        "cj_strength": 1.0,
        "cj_bright": augment.brightness,
        "cj_contrast": augment.contrast,
        "cj_sat": augment.saturation,
        "cj_hue": augment.hue,
        "random_gray_scale": augment.grey,
        "hf_prob": augment.flip,
    }


def _speed(
    step: Callable[[Tensor, Tensor], None], batches: Iterable, steps: int, size: int, device: torch.device, skip: int
) -> float:
    """Images a second over `steps` batches, fetching included; `skip` come before them, and the rest is drained."""
    batches = iter(batches)
    for a, b in islice(batches, skip):
        step(a, b)
    devices.synchronize(device)
    start = time.perf_counter()
    for a, b in islice(batches, steps):
        step(a, b)
    devices.synchronize(device)
    seconds = time.perf_counter() - start
    for _ in batches:
        pass
    return steps * size / seconds


def _name(dtype: torch.dtype) -> str:
    return "bf16" if dtype == torch.bfloat16 else "fp32"
