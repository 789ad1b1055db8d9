"""Watch a training while it runs: the loss, what the embedding is worth, the time left, and a button that ends it."""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from IPython.core.getipython import get_ipython
from IPython.display import display
from ipywidgets import HTML, Button, Layout, VBox
from torch import nn

from sslkit import device as devices
from sslkit import evaluate, nets, plots, train
from sslkit.data import Images, Split, draw_labels
from sslkit.widgets.panel import Drawing, hint, png_text, row, said

LOOKED_AT = 500  # validation images that are measured: enough for two digits, few enough to cost little
PAUSE = 1.0  # seconds between two pictures, at least
POINTS = 200  # of a curve that are drawn, at most
LABELS = 10  # labelled images a class that the probe is fitted on


def watch_training(
    method: nn.Module,
    images: Images | Sequence[Images],
    config: train.TrainConfig | None = None,
    *,
    known: Split | None = None,
    val: Split | Images | None = None,
    every: int = 1,
    labels: int = LABELS,
    **options: Any,
) -> train.Result:
    """Train as `train.fit` does, with the same numbers, and see how it goes while the cell runs.

    Shown after every epoch: the loss, images a second and the time left. With `val`, every `every` epochs: how far its
    embedding is spread (std) and in how many directions (effective rank); a collapse is named in words. With `known`
    and a `val` that has labels: the accuracy on val of a linear probe on the last block, fitted on `labels` images of
    each class of `known`, beside chance and the encoder before training. The measures take at most 500 images of val,
    move no parameter and draw no random number of the run.

    In a notebook there is a Stop button. Where callbacks run beside the cell (JupyterLab 4.4 or newer with ipykernel 7
    or newer) it ends the run after the step; elsewhere the view says that Interrupt does. Both keep what was learned.
    Without a front end (plain Python, nbconvert, nbval, papermill) a line is printed for each epoch.

    `images`, `config` and the `options` are those of `train.fit`, which returns the same Result and raises the same
    errors; they are shown in the view, too. Beside these: TypeError for a method without an encoder of images where
    something is to be measured, ValueError if `known` comes without a labelled `val`, or `every` is below 1.
    """
    config = config or train.TrainConfig()
    if every < 1:
        raise ValueError(f"every is {every}; expected 1 or more: measure after every so many epochs.")
    device = options.get("device", "auto")
    devices.join(device)
    if devices.rank() > 0:  # rank 0 shows the run of all
        return train.fit(method, images, config, **options)
    measure = None if val is None and known is None else Measure(method, known, val, labels)
    n = len(images) if isinstance(images, Images) else len(images[0])
    train.check_batch(method, n, config.batch_size, options.get("accumulate", 1))
    state = Training(*train.length(n, config), config.batch_size)
    if measure is not None:
        method.to(devices.pick(device) if isinstance(device, str) else device)
        state.before(measure)
    kinds: dict[str, type[View] | type[Lines]] = {"live": View, "stored": Stored, "": Lines}
    shows = kinds[reader()](state)
    try:

        def after_epoch(method: nn.Module, record: dict) -> None:
            last = min(record["epoch"] * state.per_epoch, state.steps) == state.steps
            due = record["epoch"] % every == 0 or last
            state.add(record, measure if due else None)
            shows.after_epoch()

        callbacks, stop = (*options.pop("callbacks", ()), after_epoch), options.pop("stop", None)

        def asked() -> bool:
            return shows.after_step() or bool(stop is not None and stop())

        config = replace(config, progress=False)  # the view, or the lines, stand in for the bar
        result = train.fit(method, images, config, callbacks=callbacks, stop=asked, **options)
    except BaseException as error:
        state.ended = f"{type(error).__name__}: {error}"
        shows.end(failed=True)
        raise
    state.end(result)
    shows.end()
    return result


class Measure:
    """What the frozen encoder is worth, on validation images: {"std", "effective_rank"} and, with labels, "accuracy".

    Calling it returns these, and a collapse in words or "". The method is left as it was.
    """

    def __init__(self, method: nn.Module, known: Split | None, val: Split | Images | None, labels: int = LABELS):
        encoder = getattr(method, "encoder", None)
        if not isinstance(encoder, nets.Encoder):
            raise TypeError(
                f"to measure an embedding, watch_training needs a method with an encoder of images; "
                f"{type(method).__name__} has none. Leave out known and val to watch its loss alone."
            )
        labelled = isinstance(val, Split) and val.labelled
        if val is None or (known is not None and not labelled):
            raise ValueError(
                "the probe is fitted on images of known and measured on others: known needs a val with labels, "
                f"such as splits['val']; got {'none' if val is None else 'one without labels'}."
            )
        every = val.images if isinstance(val, Split) else val
        if len(every) < 2:
            raise ValueError(f"val has {len(every)} images; expected at least two to measure how far they are spread.")
        at = torch.linspace(0, len(every) - 1, min(LOOKED_AT, len(every))).long()
        self.encoder, self.images, self.labels, self.classes = encoder, every[at], labels, 0
        if known is not None and isinstance(val, Split):
            index = draw_labels(known, labels, seed=0)
            self.known, self.known_y = known.images[index], known.labels[index]
            self.y, self.classes = val.labels[at.to(val.labels.device)], len(known.classes)

    def __call__(self) -> tuple[dict[str, float], str]:
        z = evaluate.embed(self.encoder, self.seen(self.images))
        found = evaluate.collapse(z)
        if self.classes:
            x = evaluate.embed(self.encoder, self.seen(self.known))
            probe = evaluate.Probe(x, self.known_y.to(x.device), self.classes)
            found["accuracy"] = (probe(z).argmax(dim=1) == self.y.to(z.device)).float().mean().item()
        return found, evaluate.collapsed(z)

    def seen(self, images: Images) -> Images:
        """Of clips, as many of the first frames as the encoder takes."""
        return images[:, : self.encoder.channels // images.shape[2]] if images.ndim == 5 else images


@dataclass
class Curve:
    """One measure over the epochs: {epoch: value}, the ends of its axis, and levels to compare it with."""

    title: str
    points: dict[int, float]
    low: float
    high: float
    levels: dict[str, float] = field(default_factory=dict)


@dataclass
class Training:
    """What is known of a run so far. It needs no front end and no network: `draw` gives its figure and its sentence."""

    per_epoch: int  # steps
    steps: int  # of the whole run
    size: int  # images a step
    records: list[dict] = field(default_factory=list)  # fit's; a method may have an "accuracy" of its own in them
    measured: dict[int, dict[str, float]] = field(default_factory=dict)  # by epoch; 0 is before training
    classes: int = 0
    labels: int = 0
    collapse: str = ""
    ended: str = ""  # how, in words; "" while it runs

    @property
    def epochs(self) -> int:
        return max(1, -(-self.steps // self.per_epoch))

    def before(self, measure: Measure) -> None:
        """Measure the encoder before the first step."""
        self.measured[0], self.classes, self.labels = measure()[0], measure.classes, measure.labels

    def add(self, record: dict, measure: Callable[[], tuple[dict[str, float], str]] | None = None) -> None:
        """After an epoch: its record, and, where it is time, what is measured now."""
        if measure is not None:
            self.measured[record["epoch"]], self.collapse = measure()
        self.records.append(record)

    def end(self, result: train.Result) -> None:
        spent = f"{result.steps} of {self.steps} steps in {_duration(result.seconds)}"
        if result.stopped == "interrupt":
            self.ended = f"Stopped after {spent}. The method keeps what it learned."
        elif result.stopped:
            self.ended = f"Ended early by {result.stopped}, after {spent}."
        else:
            self.ended = f"Done: {spent}."

    @property
    def done(self) -> int:
        """Steps of whole epochs."""
        return min(self.records[-1]["epoch"] * self.per_epoch, self.steps) if self.records else 0

    @property
    def images_per_second(self) -> float:
        return self.done * self.size / max(self.records[-1]["seconds"], 1e-9) if self.records else 0.0

    @property
    def seconds_left(self) -> float:
        return (self.steps - self.done) * self.size / self.images_per_second if self.records else 0.0

    @property
    def measures(self) -> dict[str, float]:
        """The newest, where something was measured since training began."""
        last = max(self.measured, default=0)
        return self.measured[last] if last else {}

    def line(self) -> str:
        """The last epoch in one line, rounded."""
        now = self.records[-1]
        parts = [f"loss {now['loss']:.3f}"]
        now = {name: now[name] for name in now if name == "validation_loss"} | self.measured.get(now["epoch"], {})
        parts += [f"{words} {now[name]:.{n}f}" for name, words, n in _MEASURES if name in now]
        parts += [f"{_rounded(self.images_per_second)} images/s", f"{_duration(self.seconds_left)} left"]
        epoch = f"{self.records[-1]['epoch']:{len(str(self.epochs))}}"
        return f"epoch {epoch} of {self.epochs}: {', '.join(parts)}"

    def sentence(self) -> str:
        """Where the run is and what was measured last."""
        if not self.records:
            return " ".join(filter(None, ["No epoch is complete yet.", self.ended]))
        now, first, found = self.records[-1], self.records[0], self.measures
        text = f"Epoch {now['epoch']} of {self.epochs}: loss {now['loss']:.3f} (in the first epoch {first['loss']:.3f})"
        if "validation_loss" in now:
            text += f", validation loss {now['validation_loss']:.3f}"
        text += "."
        if "accuracy" in found:
            text += (
                f" Probe accuracy on val, {self.labels} labels a class: {found['accuracy']:.2f} "
                f"(before training {self.measured[0]['accuracy']:.2f}, chance {1 / self.classes:.2f})."
            )
        if found:
            text += f" Embedding: std {found['std']:.2f}, effective rank {found['effective_rank']:.1f}."
        text += f" {_rounded(self.images_per_second)} images/s"
        text += "." if self.ended else f", {_duration(self.seconds_left)} left."
        warning = f"Look out: {self.collapse}" if self.collapse else ""
        return " ".join(filter(None, [text, self.ended, warning]))

    def curves(self) -> list[Curve]:
        """What there is to draw."""

        def points(name: str) -> dict[int, float]:
            if "loss" in name:
                return {r["epoch"]: r[name] for r in self.records if name in r}
            return {epoch: found[name] for epoch, found in sorted(self.measured.items()) if name in found}

        drawn = []
        for name, title, digits in (("loss", "loss", 3), *_MEASURES):
            if not (at := points(name)):
                continue
            low, high = min(0.0, *at.values()), max(at.values())
            if "loss" in name:  # a contrastive loss falls from 6.2 to 5.8, and that is seen only close to
                low = min(at.values())
            levels = {}
            if name == "accuracy":
                title, low, high = f"{title}, {self.labels} labels a class" if max(at) else title, 0.0, 1.0
                levels = {"chance": 1 / self.classes}
            elif name == "std":
                high = max(1.0, high)
            elif name == "effective_rank":
                high *= 1.15
            if 0 in at:
                levels["before training"] = at[0]
            title = title if max(at) else f"{title} before training"
            value = at[max(at)]
            drawn.append(Curve(f"{title}: {value:.{digits}f}", at, low, high if high > low else low + 1, levels))
        return drawn

    def svg(self) -> str:
        """The curves as a drawing that costs next to nothing, sharp at any size."""
        drawn = "".join(_svg(curve, self.epochs) for curve in self.curves())
        return f'<div style="display: flex; flex-wrap: wrap; gap: 8px">{drawn}</div>'

    def draw(self) -> Drawing:
        """The figure that stays, and the sentence."""
        curves = self.curves()
        columns = min(2, max(1, len(curves)))
        rows = max(1, -(-len(curves) // columns))
        figure = plots.Figure(figsize=(4.4 * columns, 2.7 * rows))
        # A layout that is computed takes as long as the drawing, and a click on Stop waits for this figure.
        width, height = figure.get_size_inches()
        figure.subplots_adjust(
            left=0.6 / width, right=1 - 0.2 / width, bottom=0.55 / height, top=1 - 0.4 / height, wspace=0.22, hspace=0.5
        )
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axis, curve in zip(axes, curves):
            axis.plot(list(curve.points), list(curve.points.values()), color=plots.SSL, marker="o", markersize=4)
            for name, level in curve.levels.items():
                axis.axhline(level, color=plots.RANDOM, linestyle=(0, _DASHES[name]), label=name)
            if curve.levels:
                axis.legend(frameon=False, fontsize=10)
            span = curve.high - curve.low
            axis.set(xlim=(0, self.epochs + 0.3), ylim=(curve.low - 0.03 * span, curve.high + 0.06 * span))
            axis.set(xlabel="epoch")
            axis.set_title(curve.title, fontsize=12)
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(color="#dddddd", linewidth=0.6)
        for axis in axes[len(curves) :]:
            axis.axis("off")
        return figure, self.sentence()


_MEASURES = (  # name, in words, digits
    ("validation_loss", "validation loss", 3),
    ("accuracy", "probe accuracy", 2),
    ("std", "std", 2),
    ("effective_rank", "effective rank", 1),
)


_DASHES = {"chance": (1, 2), "before training": (4, 2)}  # how the grey lines are told apart: points on, points off


class Lines:
    """Where nobody can press a button: a line an epoch."""

    def __init__(self, state: Training):
        self.state = state

    def after_step(self) -> bool:
        """Whether the reader wants the run to end."""
        return False

    def after_epoch(self) -> None:
        print(self.state.line(), flush=True)

    def end(self, failed: bool = False) -> None:
        if not failed:
            print(" ".join(filter(None, [self.state.ended, self.state.collapse])), flush=True)


class Stored(Lines):
    """Where a notebook is run to be read later: the lines, and the picture below them."""

    def end(self, failed: bool = False) -> None:
        super().end(failed)
        if self.state.records:
            display(_still(self.state), raw=True)


class View(VBox):
    """The live view: a Stop button, how far the run is, the curves and a sentence.

    The picture is drawn once an epoch at most, and once a second at most.
    """

    def __init__(self, state: Training):
        super().__init__()
        self.state, self.over, self.drawn, self.counted = state, False, 0.0, 0.0
        self.step = 0  # of the running epoch
        self.asked = threading.Event()
        self.stop = Button(
            description="Stop",
            disabled=True,
            tooltip="End the training after this step, and keep what was learned",
            layout=Layout(width="auto", min_width="7em", height="2.4em", margin="0 12px 0 0"),
            style={"font_size": "1.15em", "font_weight": "bold"},
        )
        self.stop.on_click(self.ask)
        if self.stop.comm is not None:
            # ipykernel 7.4 hands a front end's message to the shell that last wrote to the widget: the one that trains,
            # where a click would wait for the end of the cell. Without this it goes where the front end sends it.
            vars(self.stop.comm)["_reply_subshell_for"] = None
        self.note, self.steps = hint(INTERRUPT), HTML()
        self.picture, self.sentence = HTML(), HTML(said(state.sentence()))
        self.children = [row([self.stop, self.note]), self.steps, self.picture, self.sentence]
        self.handle = display({**self._repr_mimebundle_(), **_still(state)}, raw=True, display_id=True)

    def ask(self, _: Button | None = None) -> None:
        """What a click does, in a thread of its own; the training sees it at the end of its step."""
        if not self.over:  # a click may arrive when the cell has ended
            self.asked.set()
            self.stop.disabled, self.stop.description = True, "Stopping"

    def after_step(self) -> bool:
        self.step += 1
        if self.stop.disabled and not self.asked.is_set() and beside():
            self.note.value, self.stop.disabled = hint(STOP).value, False
        now = time.perf_counter()
        if now - self.counted > PAUSE:
            self.counted = now
            self.steps.value = _progress(self.state.done + self.step, self.state.steps)
        return self.asked.is_set()

    def after_epoch(self) -> None:
        self.step = 0
        if time.perf_counter() - self.drawn > PAUSE:
            self.show()

    def show(self) -> None:
        self.picture.value, self.sentence.value = self.state.svg(), said(self.state.sentence())
        self.drawn = time.perf_counter()

    def end(self, failed: bool = False) -> None:
        self.over, self.stop.disabled, self.stop.description = True, True, "Stop"
        self.steps.value, self.note.value = "", hint("The training has ended.").value
        self.show()
        if failed:
            self.sentence.value = said(self.state.ended, role="alert")
        # What is stored with the notebook is now the end of the run, for where there is no kernel.
        self.handle.update({**self._repr_mimebundle_(), **_still(self.state)}, raw=True)


INTERRUPT = (
    "To end it now, use Interrupt (■ in the toolbar): what was learned is kept. "
    "(Stop works in JupyterLab 4.4 or newer with ipykernel 7 or newer.)"
)
STOP = "Stop ends the training after the running step and keeps what was learned; so does Interrupt (■ in the toolbar)."


def reader() -> str:
    """Who reads what the running cell shows: "live", a person at a front end; "stored", a program that runs notebooks
    for later (nbconvert, nbval, papermill); "", no notebook at all.

    A front end says with every cell whether somebody is there to answer `input()`; those programs say that nobody is.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return ""
    return "live" if kernel.get_parent().get("content", {}).get("allow_stdin", False) else "stored"


def beside() -> bool:
    """Whether widgets' callbacks run beside the cell: the front end has opened a subshell of the kernel for them."""
    thread = getattr(getattr(get_ipython(), "kernel", None), "shell_channel_thread", None)
    manager = getattr(thread, "manager", None)
    return manager is not None and bool(manager.list_subshell())


def _still(state: Training) -> dict[str, str]:
    figure, sentence = state.draw()
    return {"image/png": png_text(figure._repr_png_()), "text/plain": sentence}


def _rounded(number: float) -> str:
    """Two digits that count: 5321 -> "5,300"."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 99.5 else f"{seconds / 60:.0f} min"


def _progress(step: int, steps: int) -> str:
    text = f"step {step} of {steps}"
    return (
        f'<label style="font-size: 1.15em">{text} <progress max="{steps}" value="{step}" aria-label="{text}" '
        f'style="width: 24em; max-width: 50%; accent-color: {plots.SSL}"></progress></label>'
    )


def _svg(curve: Curve, epochs: int) -> str:
    """One curve in a box of its own, with its levels as grey lines and the run's whole length as its x axis."""
    left, top, width, height = 52, 34, 336, 140

    def x(epoch: float) -> float:
        return round(left + width * epoch / epochs, 1)

    def y(value: float) -> float:
        return round(top + height * (1 - (value - curve.low) / (curve.high - curve.low)), 1)

    at = list(curve.points.items())
    at = [at[round(i * (len(at) - 1) / (POINTS - 1))] for i in range(POINTS)] if len(at) > POINTS else at
    parts = []
    for value in (curve.low, curve.high):
        parts.append(f'<text x="{left - 6}" y="{y(value) + 5}" text-anchor="end">{value:.3g}</text>')
        parts.append(f'<path d="M{left} {y(value)}h{width}" stroke="#dddddd"/>')
    below = top + height + 20
    parts += [f'<text x="{left}" y="{below}" text-anchor="middle">0</text>']
    parts += [f'<text x="{left + width}" y="{below}" text-anchor="middle">{epochs}</text>']
    parts += [f'<text x="{left + width / 2}" y="{below}" text-anchor="middle">epoch</text>']
    shift = 0
    for name, level in curve.levels.items():
        dash = " ".join(str(2 * length) for length in _DASHES[name])
        parts.append(f'<path d="M{left} {y(level)}h{width}" stroke="{plots.RANDOM}" stroke-width="2" ')
        parts.append(f'stroke-dasharray="{dash}"/>')
        parts.append(f'<text x="{left + width - 2 - shift}" y="{y(level) - 5}" text-anchor="end" fill="#555555">')
        parts.append(f"{name}</text>")
        shift += 60  # two levels may lie close together
    line = " ".join(f"{x(epoch)},{y(value)}" for epoch, value in at)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{plots.SSL}" stroke-width="3"/>')
    parts.append(f'<circle cx="{x(at[-1][0])}" cy="{y(at[-1][1])}" r="5" fill="{plots.SSL}"/>')
    title = html.escape(curve.title)
    return (
        f'<svg role="img" aria-label="{title}" viewBox="0 0 400 200" '
        'style="flex: 1 1 340px; max-width: 480px; background: white; font: 15px sans-serif" fill="black">'
        f'<text x="{left}" y="20" font-weight="bold" font-size="17">{title}</text>{"".join(parts)}</svg>'
    )
