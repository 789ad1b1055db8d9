"""python -m sslkit doctor | pretrain | evaluate | transfer | scoreboard | bench | lab

--json ends the output with one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import tyro


def doctor(as_json: Annotated[bool, tyro.conf.arg(name="json")] = False) -> int:
    """Is this machine ready? One [OK], [FAIL] or [--] line a check."""
    from sslkit import doctor as room

    return room.main(json=as_json)


def pretrain(
    method: tyro.conf.Positional[str],
    data: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    net: str | None = None,
    budget: str = "lesson",
    batch_size: int | None = None,
    lr: float | None = None,
    precision: str = "auto",
    size: int | None = None,
    frames: int | None = None,
    rate: float | None = None,
    device: str = "auto",
    compile: bool = False,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Train an encoder without labels, and save it.

    Args:
        method: the pretext task or method, such as rotation or simclr; on clips future, past, order, arrow
        data: photodigits, a torchvision set by name, or folder:PATH; for a method on clips movingdigits or video:PATH
        epochs: passes over the data; without it, the recipe that the lesson uses
        seed: of the initial parameters, the order of the data and the views
        out: the checkpoint; by default runs/METHOD-DATA-SEED.pt
        net: convnet, resnet18 or vit; without it, the kind that the method's recipe names
        budget: lesson, or long for the recipe of the scoreboard
        batch_size: images a step
        lr: the highest learning rate
        precision: auto, fp32 or bf16
        size: resize the images of a folder, or the frames of a video, to this many pixels
        frames: of video:PATH, frames a window
        rate: of video:PATH, frames a second
        device: auto, cpu, cuda or mps
        compile: torch.compile the encoder; for long runs on a GPU
        as_json: end with one line of JSON
    """
    from sslkit import checkpoint, methods, names, nets, recipes, train
    from sslkit import device as devices

    recipe = recipes.get(method)
    names.pick(budget, ("lesson", "long"), "budget")
    if net is not None:
        names.pick(net, nets.NETS, "net")
    clips = method in methods.VIDEO
    data = data or ("movingdigits" if clips else "photodigits")
    known = _splits(data, ("train",), size, frames, rate)["train"]
    images = known.images
    if clips != (images.ndim == 5):
        kinds = (("clips", "movingdigits or video:PATH"), ("images", "photodigits or folder:PATH"))
        (own, offer), (other, _) = kinds if clips else kinds[::-1]
        raise ValueError(f"{method} works on {own}, and {data} is made of {other}. Use --data {offer}.")
    config = getattr(recipe, budget)
    if epochs is not None:
        config = replace(config, epochs=epochs, steps=0)
    given = {"batch_size": batch_size, "lr": lr}
    config = replace(config, seed=seed, precision=precision, **{k: v for k, v in given.items() if v is not None})
    with devices.seeded(seed):
        channels = images.shape[-3] * (recipes.FRAMES if clips else 1)
        encoder = recipes.encoder_for(method, images.shape[-2:], channels, net)
        built = recipes.build(method, encoder, data)
    path = out or Path("runs") / f"{method}-{data.replace(':', '-').replace('/', '-')}-{seed}.pt"
    facts = {"name": method, "data": data, "data_hash": known.hash, "settings": asdict(config)}
    try:
        result = train.fit(built, images, config, device=device, compile=compile)
    except FloatingPointError as error:
        checkpoint.save(path, built, **facts)
        raise FloatingPointError(f"{error} They were saved to {path}.") from error
    checkpoint.save(path, built, **facts, history=result.history, seconds=result.seconds)
    print(f"{method} on {data}: {result.summary()}")
    print(f"saved {path}")
    if as_json:
        speed = {"seconds": result.seconds, "images_per_second": result.images_per_second, "steps": result.steps}
        print(json.dumps({"file": str(path), "method": method, "data": data, **speed, "history": result.history}))
    return 0


def evaluate(
    file: tyro.conf.Positional[Path],
    data: str = "photodigits",
    per_class: tuple[int, ...] = (10,),
    labels: str | None = None,
    seeds: int = 3,
    controls: bool = True,
    size: int | None = None,
    device: str = "auto",
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """What a frozen encoder is worth: linear probe and kNN, beside the controls.

    Args:
        file: a checkpoint written by pretrain
        data: the data set to evaluate on
        per_class: labels a class; several give the curve
        labels: which labels, where a data set has several: of movingdigits the digit, or direction, or speed
        seeds: how many draws of the labels
        controls: also measure chance, raw pixels, a random encoder, and supervised training from scratch
        size: resize the images of a folder to this many pixels
        device: auto, cpu, cuda or mps
        as_json: end with one line of JSON
    """
    from sslkit import checkpoint, nets
    from sslkit import device as devices
    from sslkit import evaluate as room
    from sslkit.augment import COLOURS, STRONG

    encoder = checkpoint.load_encoder(file).to(devices.pick(device))
    splits, augment = _labelled(data, ("train", "val", "test"), size), STRONG
    if labels is not None:
        splits = {name: split.labelled_by(labels) for name, split in splits.items()}
    if splits["train"].images.ndim == 5:
        splits, augment = _first_frames(splits, encoder, file), COLOURS
    known, test = splits["train"], splits["test"]

    def vote(extract) -> float:
        """kNN among all labelled training images, by the last block."""
        nearest = room.knn(extract(known.images)[-1], known.labels.to(devices.pick(device)), extract(test.images)[-1])
        return (nearest.cpu() == test.labels).float().mean().item()

    def curve(scores: dict) -> dict:
        return {str(count): score.json() for count, score in scores.items()}

    start = time.perf_counter()
    report: dict = {"file": str(file), "data": data, "data_hash": test.hash, "draws": seeds}
    report |= {"labels": labels} if labels else {}
    report["probe"] = curve(room.label_efficiency(encoder, splits, per_class, seeds, augment))
    report["knn"] = vote(lambda images: room.features(encoder, images))
    if controls:
        with devices.seeded(0):
            untrained = nets.build(encoder.config()).to(devices.pick(device))
        report["controls"] = {
            "chance": 1 / len(known.classes),
            "pixels": vote(lambda images: room.pixels(images.to(devices.pick(device)))),
            "pixels_probe": curve(room.label_efficiency(room.pixels, splits, per_class, seeds, augment=None)),
            "random": curve(room.label_efficiency(untrained, splits, per_class, seeds, augment)),
            "supervised": curve(room.supervised(encoder.config(), splits, per_class, seeds, augment, device=device)),
        }
    report["seconds"] = time.perf_counter() - start
    print(_table(report))
    if as_json:
        print(json.dumps(report))
    return 0


def transfer(
    file: tyro.conf.Positional[Path],
    data: str = "photodigits",
    per_class: tuple[int, ...] = (10,),
    layers: int | None = None,
    freeze: bool = False,
    gradual: bool = False,
    seeds: int = 3,
    controls: bool = True,
    size: int | None = None,
    device: str = "auto",
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Copy a checkpoint's first layers into a new network, and train it on few labels.

    Args:
        file: a checkpoint written by pretrain
        data: the labelled data set to train on
        per_class: labels a class; several give the curve
        layers: how many layers to copy; by default all
        freeze: keep the copied layers as they are
        gradual: freeze them for half of the steps, then let them learn at a tenth of the rate
        seeds: how many draws of the labels
        controls: also train with nothing copied
        size: resize the images of a folder to this many pixels
        device: auto, cpu, cuda or mps
        as_json: end with one line of JSON
    """
    from sslkit import checkpoint
    from sslkit import transfer as room

    if freeze and gradual:
        raise ValueError("--freeze and --gradual exclude each other: frozen for good, or for the first half only.")
    encoder = checkpoint.load_encoder(file)
    splits = _labelled(data, ("train", "test"), size)
    if splits["train"].images.ndim == 5:
        raise ValueError(f"{data} is made of clips, and transfer works on images. What clips teach: see evaluate.")
    mode = "frozen" if freeze else "gradual" if gradual else "fine-tuned"

    def curve(copied: int | None, mode: str) -> dict:
        scores = room.label_efficiency(encoder, splits, per_class, seeds, copied, mode, device=device)
        return {str(count): score.json() for count, score in scores.items()}

    start = time.perf_counter()
    built = room.build(encoder, len(splits["train"].classes), layers, mode)
    print(room.render(room.table(built)))
    report: dict = {"file": str(file), "data": data, "data_hash": splits["test"].hash, "draws": seeds}
    report |= {"layers": built.copied, "mode": mode, "transfer": curve(built.copied, mode)}
    if controls:
        report["supervised"] = curve(0, "fine-tuned")
    report["seconds"] = time.perf_counter() - start
    rows = {f"{built.copied} layers copied, {mode}": report["transfer"]}
    rows |= {"nothing copied": report["supervised"]} if controls else {}
    print(f"\ntrained on {data}, {seeds} draws of labels, test accuracy\n{_curves(rows)}")
    if as_json:
        print(json.dumps(report))
    return 0


def scoreboard(
    data: str = "photodigits",
    file: Path | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """The course's measured results.

    Args:
        data: the data set whose rows to show
        file: another scoreboard than the course's
        as_json: end with one line of JSON
    """
    from sslkit import scoreboard as room

    table = room.load(file or room.FILE)
    rows = room.find(table, data=data)
    print(room.render(rows))
    if as_json:
        print(json.dumps({"rows": rows, "made_with": table["made_with"]}))
    return 0


def bench(
    method: str = "simclr",
    data: str = "photodigits",
    batch_size: int = 256,
    steps: int = 30,
    device: str = "auto",
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Two-view images a second of the training loop, its parts, and the ratio to lightly's when it is installed.

    Args:
        method: the method to time
        data: the data to time it on
        batch_size: images a step
        steps: how many steps to time
        device: auto, cpu, cuda or mps
        as_json: end with one line of JSON
    """
    from sslkit import bench as room

    report = room.run(method, data, batch_size=batch_size, steps=steps, device=device)
    print(room.render(report))
    if as_json:
        print(json.dumps(report))
    return 0


COMMANDS: dict[str, Callable[..., Any]] = {
    "doctor": doctor,
    "pretrain": pretrain,
    "evaluate": evaluate,
    "transfer": transfer,
    "scoreboard": scoreboard,
    "bench": bench,
}


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["lab"]:  # everything after it belongs to JupyterLab
            from sslkit import lab

            return lab.main(arguments[1:])
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="python -m sslkit", description=__doc__, args=arguments, config=(tyro.conf.OmitArgPrefixes,)
        )
    except (ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _splits(
    data: str, wanted: tuple[str, ...], size: int | None, frames: int | None = None, rate: float | None = None
) -> dict:
    from sslkit.data import load

    given: dict[str, Any] = {"frames": frames, "rate": rate}
    given = {name: value for name, value in given.items() if value is not None}
    return {split: load(data, split, size=size, **given) for split in wanted}


def _labelled(data: str, wanted: tuple[str, ...], size: int | None) -> dict:
    splits = _splits(data, wanted, size)
    if len(splits["train"].classes) < 2:
        raise ValueError(
            f"{data} has no classes to tell apart, so an encoder cannot be evaluated on it. Use labelled data."
        )
    return splits


def _first_frames(splits: dict, encoder, file: Path) -> dict:
    """Of every clip the frames that the encoder sees at once."""
    train = splits["train"]
    frames, rest = divmod(encoder.channels, train.images.shape[2])
    if rest or frames < 2:
        raise ValueError(
            f"the encoder of {file} sees single images, and {train.name} is made of clips. Use one that was pretrained "
            "on clips."
        )
    return {name: replace(split, images=split.images[:, :frames]) for name, split in splits.items()}


def _table(report: dict) -> str:
    """The report of `evaluate` as text: one line a method, one column a number of labels."""
    controls = report.get("controls", {})
    lines = {"this encoder": report["probe"]}
    lines |= {name: controls[key] for name, key in _CONTROL_LINES if key in controls}
    text = [f"linear probe on {report['data']}, {report['draws']} draws of labels, test accuracy", _curves(lines)]
    if controls:
        text.append(f"{'chance':<{_width(lines)}}" + f"{controls['chance']:>8.3f}")
    text.append(
        f"kNN on all training labels: {report['knn']:.3f}" + (f" (pixels {controls['pixels']:.3f})" if controls else "")
    )
    return "\n".join(text)


def _curves(lines: dict[str, dict]) -> str:
    """Named curves as text: one line each, one column a number of labels."""
    counts, width = list(next(iter(lines.values()))), _width(lines)
    text = [" " * width + "".join(f"{c + ' a class':>16}" for c in counts)]
    for name, scores in lines.items():
        text.append(f"{name:<{width}}" + "".join(f"{scores[c]['mean']:>8.3f} ± {scores[c]['std']:.3f}" for c in counts))
    return "\n".join(text)


def _width(lines: dict[str, dict]) -> int:
    return max(map(len, lines)) + 2


_CONTROL_LINES = (
    ("supervised from scratch", "supervised"),
    ("random encoder", "random"),
    ("raw pixels", "pixels_probe"),
)
