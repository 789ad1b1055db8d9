"""python -m sslkit doctor | pretrain | evaluate | transfer | scoreboard | bench | export | progress | lab

--json ends the output with one line of JSON.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

NEIGHBOURS = 20  # that vote in `evaluate`


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
    resume: bool = False,
    accumulate: int = 1,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Train an encoder without labels, and save it.

    The whole state of the run is kept beside the checkpoint, in FILE.run, until it is finished: after Ctrl-C, SIGTERM,
    or the loss of power the same command with --resume goes on where it stopped.

    On several GPUs, or on several machines: torchrun --nproc_per_node=N -m sslkit pretrain … Each process takes its
    part of every batch; gradients are those of the whole batch.

    Args:
        method: the pretext task or method, such as rotation or simclr; on clips future, past, order, arrow; on text
            next-word
        data: photodigits, a torchvision set by name, or folder:PATH; for a method on clips movingdigits or video:PATH;
            on text docwords or text:PATH
        epochs: passes over the data; without it, the recipe that the lesson uses
        seed: of the initial parameters, the order of the data and the views
        out: the checkpoint; by default runs/METHOD-DATA-SEED.pt, with the net, long and the size in it if given
        net: convnet, resnet18 or vit; for text context, context-bag or causal-transformer. Without it, the kind that
            the method's recipe names
        budget: lesson, or long for the recipe of the scoreboard
        batch_size: images a step
        lr: the highest learning rate
        precision: auto, fp32 or bf16
        size: resize the images of a folder, or the frames of a video, to this many pixels
        frames: of video:PATH, frames a window
        rate: of video:PATH, frames a second
        device: auto, cpu, cuda or mps
        compile: torch.compile the encoder (`bench --compile` tells whether that pays)
        resume: go on with the run that was interrupted; start it where there is none
        accumulate: work through each batch in so many pieces, where memory is short
        as_json: end with one line of JSON
    """
    from sslkit import device as devices
    from sslkit import methods, names, nets, recipes

    usual = {"movingdigits": methods.VIDEO, "docwords": recipes.ON_WORDS}
    data = data or next((name for name, of in usual.items() if method in of), "photodigits")
    given = {"batch_size": batch_size, "lr": lr, "precision": precision, "seed": seed}
    given = {k: v for k, v in given.items() if v is not None}
    if epochs is not None:
        given |= {"epochs": epochs, "steps": 0}
    path = out or Path("runs") / _run_name(method, data, net, budget, size, seed)
    names.pick(budget, ("lesson", "long"), "budget")
    if _learns_from_text(method, data):
        for flag, value in {"size": size, "frames": frames, "rate": rate}.items():
            if value is not None:
                raise ValueError(f"--{flag} {value} is for images or a video, and {data} is text. Leave it out.")
        options = {"device": device, "compile": compile, "accumulate": accumulate}
        return _pretrain_on_text(method, data, net or "context", budget, given, path, resume, options, as_json)
    recipe = recipes.get(method)
    if net is not None:
        names.pick(net, nets.NETS, "net")
    clips = method in methods.VIDEO
    devices.join(device)
    known = devices.in_turn(lambda: _splits(data, ("train",), size, frames, rate)["train"])
    images = known.images
    if clips != (images.ndim == 5):
        kinds = (("clips", "movingdigits or video:PATH"), ("images", "photodigits or folder:PATH"))
        (own, offer), (other, _) = kinds if clips else kinds[::-1]
        raise ValueError(f"{method} works on {own}, and {data} is made of {other}. Use --data {offer}.")
    config = replace(getattr(recipe, budget), **given)
    with devices.seeded(seed):
        channels = images.shape[-3] * (recipes.FRAMES if clips else 1)
        encoder = recipes.encoder_for(method, images.shape[-2:], channels, net)
        built = recipes.build(method, encoder, data, budget)
    facts = {"name": method, "data": data, "data_hash": known.hash, "settings": asdict(config)}
    options = {"device": device, "compile": compile, "accumulate": accumulate}
    result = _train(path, built, images, config, facts, resume, **options)
    if as_json and devices.rank() == 0:
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

    _check_draws(seeds)
    encoder = checkpoint.load_encoder(file).to(devices.pick(device))
    splits, augment = _labelled(data, ("train", "val", "test"), size), STRONG
    if labels is not None:
        splits = {name: split.labelled_by(labels) for name, split in splits.items()}
    if splits["train"].images.ndim == 5:
        splits, augment = _first_frames(splits, encoder, file), COLOURS
    known, test = splits["train"], splits["test"]

    def vote(extract) -> float:
        """kNN among all labelled training images, by the last block."""
        x, k = extract(known.images)[-1], min(NEIGHBOURS, len(known))
        nearest = room.knn(x, known.labels, extract(test.images)[-1], k)
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
    _check_draws(seeds)
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
    rows = room.of_data(table, data)
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
    net: str | None = None,
    compile: bool = False,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Two-view images a second of the training loop, its parts, and the ratio to lightly's when it is installed.

    Args:
        method: the method to time
        data: the data to time it on
        batch_size: images a step
        steps: how many steps to time
        device: auto, cpu, cuda or mps
        net: the kind of encoder, such as resnet18; by default the recipe's
        compile: compile the encoder of our loop with torch.compile (for a GPU)
        as_json: end with one line of JSON
    """
    from sslkit import bench as room

    report = room.run(method, data, batch_size=batch_size, steps=steps, device=device, net=net, compile=compile)
    print(room.render(report))
    if as_json:
        print(json.dumps(report))
    return 0


def export(
    file: tyro.conf.Positional[Path],
    out: Path | None = None,
    size: int = 32,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Take an encoder out of sslkit, to be used without it, and write its model card.

    Args:
        file: a checkpoint written by pretrain
        out: FILE.pt2 (torch.export), FILE.onnx or FILE.safetensors; by default the checkpoint's name with .pt2
        size: height and width of the images that it will take
        as_json: end with one line of JSON
    """
    from sslkit import checkpoint, scoreboard
    from sslkit import export as room

    content = checkpoint.load(file)
    path = room.save(checkpoint.encoder_of(content), out or file.with_suffix(".pt2"), (size, size))
    text = room.card(content, scoreboard.load(scoreboard.FILE) if scoreboard.FILE.exists() else None)
    card = path.with_suffix(".md")
    if card.exists() and card.read_bytes() != text.encode():  # somebody may have written below it
        card = path.with_suffix(".card.md")
        print(f"{path.with_suffix('.md')} is left as it was, with what was written there")
    checkpoint.write_bytes(card, text.encode())
    print(f"saved {path} and its card {card}")
    if as_json:
        print(json.dumps({"file": str(path), "card": str(card)}))
    return 0


def progress(
    reset: bool = False,
    export: Path | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Which exercises' checks have passed on this machine.

    Args:
        reset: forget all of it
        export: write it to this file, to keep or to hand in
        as_json: end with one line of JSON
    """
    from sslkit import progress as room

    if export is not None:
        export.write_text(json.dumps({"checks": room.load()}, indent=1) + "\n", encoding="utf-8")
        print(f"written to {export}")
    if reset:
        print("forgotten" if room.reset() else "there was nothing to forget")
    print(room.render())
    if as_json:
        print(json.dumps({"file": str(room.file() or ""), "checks": room.load()}))
    return 0


COMMANDS: dict[str, Callable[..., Any]] = {
    "doctor": doctor,
    "pretrain": pretrain,
    "evaluate": evaluate,
    "transfer": transfer,
    "scoreboard": scoreboard,
    "bench": bench,
    "export": export,
    "progress": progress,
}


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a pipe on Windows knows few letters: better a ? than no answer
            stream.reconfigure(errors="replace")
    try:
        if arguments[:1] == ["lab"]:  # everything after it belongs to JupyterLab
            from sslkit import lab

            return lab.main(arguments[1:])
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="python -m sslkit", description=__doc__, args=arguments, config=(tyro.conf.OmitArgPrefixes,)
        )
    except (ValueError, OSError, MemoryError, FloatingPointError, ModuleNotFoundError) as error:
        _say(error)
        return 2
    except RuntimeError as error:
        from sslkit import device as devices

        if not devices.lost(error):
            raise
        print(f"error: another process of this run was lost ({str(error).splitlines()[0]}).", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _say(error: BaseException) -> None:
    """Under torchrun, once where all processes have the same error, and by the process that alone has it."""
    rank = os.environ.get("RANK", "0")
    if rank == "0" or isinstance(error, ConnectionError):
        print(f"error: {error}", file=sys.stderr)
    elif "sslkit.device" in sys.modules:
        from sslkit import device as devices

        if devices.world() > 1 and not devices.common(error):
            print(f"error in process {rank}: {error}", file=sys.stderr)


def _train(path: Path, method: Any, images: Any, config: Any, facts: dict, resume: bool, **options: Any) -> Any:
    """Train, keep the state of the run in FILE.run meanwhile, and save the checkpoint at `path`. Gives train's Result.

    Raises ValueError if there is an interrupted run and nobody asked to go on with it.
    """
    from sslkit import checkpoint, train
    from sslkit import device as devices
    from sslkit.resume import progress

    left = f"{path} is of another run, or one that came further, and was left as it was."
    kept = path.with_suffix(".run") if path.suffix == ".pt" else path.with_name(f"{path.name}.run")

    def save(result: Any, whole: bool) -> bool:
        """Whether it was: what came further is not replaced by a run that was cut short."""
        if not whole and devices.first(lambda: _came_further(path, facts, result)):
            return False
        made = {"history": result.history, "seconds": result.seconds}
        try:
            devices.first(lambda: checkpoint.save(path, method, **facts, **made))
        except OSError as error:
            raise OSError(f"{error} The run is kept in {kept}: --resume goes on with it.") from error
        return True

    def say(text: str, file: Any = None) -> None:
        if devices.rank() == 0:
            print(text, file=file)

    def forget() -> None:
        if kept.exists():  # asked first: where no folder can be, the error that says so comes from saving
            kept.unlink()

    so_far = devices.first(lambda: progress(kept))
    if so_far and not resume:
        raise ValueError(
            f"{kept} keeps a run that was interrupted after {so_far}. Go on with it: --resume. Or delete the file to "
            "start anew."
        )
    if resume:
        say(f"going on after {so_far}" if so_far else f"no interrupted run in {kept}: starting", file=sys.stderr)
    if not so_far:
        devices.first(forget)
    try:
        result = train.fit(method, images, config, state=kept, **options)
    except ConnectionError as error:
        raise ConnectionError(f"{error} That is the same command with --resume.") from error
    except train.Diverged as error:
        there = f"They were saved to {path}." if save(error.result, whole=False) else left
        devices.first(forget)  # it would end here again
        raise FloatingPointError(f"{error} {there}") from error
    saved = save(result, whole=not result.interrupted)
    say(f"{facts['name']} on {facts['data']}: {result.summary()}")
    say(f"saved {path}" if saved else left)
    if result.interrupted and result.unsaved:
        raise OSError(result.unsaved)
    if result.interrupted:
        say(f"the run is kept in {kept}: the same command with --resume goes on")
    else:
        devices.first(forget)
    return result


def _run_name(method: str, data: str, net: str | None, budget: str, size: int | None, seed: int) -> str:
    """The file of a run: another name for all that makes it another run, but the numbers of its config."""
    more = [net, budget if budget != "lesson" else None, None if size is None else f"{size}px"]
    return "-".join([method, re.sub(r"[:/\\]", "-", data), *[part for part in more if part], str(seed)]) + ".pt"


def _came_further(path: Path, facts: dict, result: Any) -> bool:
    """Whether there is a checkpoint at `path` that a run cut short should not replace: of another run, or of this one
    with more epochs."""
    from sslkit import checkpoint

    if not path.exists():
        return False
    try:
        before = checkpoint.load(path)
    except ValueError:
        return True  # somebody else's file
    same = [before["method"], before["data"], before["settings"]] == [facts["name"], facts["data"], facts["settings"]]
    return not same or len(before["history"]) > len(result.history)


def _check_draws(seeds: int) -> None:
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; expected 1 or more draws of the labels.")


def _splits(
    data: str, wanted: tuple[str, ...], size: int | None, frames: int | None = None, rate: float | None = None
) -> dict:
    from sslkit.data import load

    given: dict[str, Any] = {"frames": frames, "rate": rate}
    given = {name: value for name, value in given.items() if value is not None}
    return {split: load(data, split, size=size, **given) for split in wanted}


def _learns_from_text(method: str, data: str) -> bool:
    """Whether this is a method on text. Raises ValueError if method and data are of different kinds."""
    from sslkit.data import TEXTS
    from sslkit.recipes import ON_WORDS, RECIPES, VIDEO

    text = data in TEXTS or data.startswith("text:")
    if method in ON_WORDS and not text:
        raise ValueError(
            f"{method} learns from text, and {data} is not text. Use --data {' or '.join(TEXTS)} or --data text:PATH."
        )
    if text and method in RECIPES | VIDEO:
        own = "images" if method in RECIPES else "clips"
        raise ValueError(f"{method} learns from {own}, and {data} is text. From text learns: {', '.join(ON_WORDS)}.")
    return method in ON_WORDS


def _pretrain_on_text(
    method: str, data: str, net: str, budget: str, given: dict, path: Path, resume: bool, options: dict, as_json: bool
) -> int:
    """Train, save, and say how surprised the model is by the validation texts, beside what counting gives."""
    from sslkit import device as devices
    from sslkit import ngrams, passages, recipes, words
    from sslkit.data import load_text

    recipe = recipes.for_text(net)
    config = replace(getattr(recipe, budget), **given)
    devices.join(options["device"])
    known, val = devices.in_turn(lambda: (load_text(data, "train"), load_text(data, "val")))
    vocabulary = words.Vocabulary.of(known.texts, recipe.vocabulary)
    with devices.seeded(config.seed):
        built = recipes.build_on_words(vocabulary, net)
    batches = recipes.batches_of(built, known.texts, vocabulary)
    if len(batches) < config.batch_size:
        raise ValueError(
            f"{data} gives {len(batches)} rows to train on, fewer than a batch of {config.batch_size}. Use more text, "
            f"or --batch-size {len(batches)} or less."
        )
    facts = {"name": method, "data": data, "data_hash": known.hash, "settings": asdict(config)}
    result = _train(path, built, batches, config, facts | {"vocabulary": vocabulary}, resume, **options)
    if devices.rank():
        return 0
    train_pairs, val_pairs = (words.windows(part.texts, vocabulary, 1) for part in (known, val))
    unknown = (val_pairs[:, -1] == words.UNKNOWN).float().mean().item()
    with devices.alone():  # the other processes have left
        nats = {"next-word": passages.surprise(built, val.texts, vocabulary)}
    nats |= {name: found for name, (_, found) in ngrams.smoothed(train_pairs, val_pairs, len(vocabulary)).items()}
    perplexity = {name: ngrams.perplexity(value) for name, value in nats.items()}
    sizes = f"V = {len(vocabulary):,}, k = {built.encoder.k}, {unknown:.1%} of the words unknown"
    found = ", ".join(f"{name} {value:.1f}" for name, value in perplexity.items())
    print(f"perplexity on val ({sizes}): {found}")
    if as_json:
        learned = {"seconds": result.seconds, "steps": result.steps, "history": result.history}
        sized = {"vocabulary": len(vocabulary), "k": built.encoder.k, "unknown": unknown, "perplexity": perplexity}
        print(json.dumps({"file": str(path), "method": method, "data": data, **learned, **sized}))
    return 0


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
