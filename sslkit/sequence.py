"""Clip -> (input, target made from the clip itself).

Clips are (N, T, C, H, W), uint8 or float in [0, 1]; frames are taken and put in order, never changed. Where a part of a
clip is used, every clip of a batch draws for itself where it begins.

    future      the next frame, or a later one, from the frames before; futures: all of them up to a later one
    past        an earlier frame from those after it: the same, with time reversed
    order       are these frames in their right order, or shuffled?
    arrow       does this clip run forwards or backwards?

With `future` and `past` come their controls, predictions that need no network: `copy_last`, `linear` and `mean`; and
`error_by_ahead` says how much harder it is to look further.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

# -------------------------------------------------------------------------------------------------------- prediction


def future(
    clips: Tensor, past: int = 4, ahead: int = 1, generator: torch.Generator | None = None, start: int | None = None
) -> tuple[Tensor, Tensor]:
    """What will be seen, from what has been seen: `past` frames are the input, a later one the target.

        input = x_s … x_{s + p − 1},    target = x_{s + p − 1 + a}

    Symbols: x -> clips; p -> past; a -> ahead, 1 for the next frame; s -> the beginning, at random for each clip among
             all that leave room, or `start` for all clips.
    Shapes:  clips (N, T, C, H, W) -> input (N, past, C, H, W), target (N, C, H, W). No frame of the target, nor any
             after it, is in the input.
    Ref:     Srivastava, Mansimov, Salakhutdinov 2015, "Unsupervised learning of video representations using LSTMs".
    """
    window = _window(clips, past, ahead, generator, start)
    return window[:, :past], window[:, -1]


def futures(
    clips: Tensor, past: int = 4, ahead: int = 4, generator: torch.Generator | None = None, start: int | None = None
) -> tuple[Tensor, Tensor]:
    """All that will be seen up to `ahead`: as `future`, with the frames in between among the targets.

    Shapes: clips (N, T, C, H, W) -> input (N, past, C, H, W), targets (N, ahead, C, H, W). For the frames before the
    seen ones, nearest first, hand in backwards(clips).
    """
    window = _window(clips, past, ahead, generator, start)
    return window[:, :past], window[:, past:]


def past(
    clips: Tensor, future: int = 4, back: int = 1, generator: torch.Generator | None = None, start: int | None = None
) -> tuple[Tensor, Tensor]:
    """What was seen, from what came after it: the future of the reversed clip.

        input = x_{s + a + f − 1} … x_{s + a},    target = x_s

    Symbols: x -> clips; f -> future; a -> back, 1 for the frame just before; s as for `future`. The input comes in
             reversed order, its last frame the nearest to the target, so that the same network and controls serve.
    Shapes:  clips (N, T, C, H, W) -> input (N, future, C, H, W), target (N, C, H, W).
    """
    window = _window(clips, future, back, generator, start, ("future", "back")).flip(1)
    return window[:, :future], window[:, -1]


def backwards(clips: Tensor) -> Tensor:
    """The clips with time reversed: frame t becomes frame T − 1 − t. Twice is no change. (N, T, …) -> (N, T, …)."""
    _check(clips)
    return clips.flip(1)


def windows(clips: Tensor, frames: int = 4, step: int = 2) -> Tensor:
    """Pieces of `frames` frames, the next one beginning `step` later: what an encoder of so many frames sees of a clip.

    Shapes: (N, T, C, H, W) -> (N, W, frames, C, H, W) with W = (T − frames) // step + 1.
    """
    _check(clips)
    if frames < 1 or step < 1 or frames > clips.shape[1]:
        raise ValueError(f"frames={frames}, step={step}: no window fits into clips of {clips.shape[1]} frames.")
    return clips.unfold(1, frames, step).movedim(-1, 2)


# -------------------------------------------------------------------------------------------------- order and its arrow

_MOST = 7  # frames whose orders are listed: 5,040


def order(clips: Tensor, frames: int = 3, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Take neighbouring frames and shuffle them, or not: the target is 1 if they are in their right order, 0 if not.

    Each has the chance one half. A shuffled order is one of the frames! − 2 that are neither right nor exactly
    backwards: many motions look as likely backwards, so that order is left to `arrow`.

    Shapes: clips (N, T, C, H, W) -> inputs (N, frames, C, H, W), target int64 (N,). Chance: 0.5, and a loss of ln 2.
    Ref:    Misra, Zitnick, Hebert 2016, "Shuffle and learn: unsupervised learning using temporal order verification",
            Sec. 3, there from parts of a video with much motion.
    """
    _check(clips)
    if not 3 <= frames <= _MOST:
        raise ValueError(
            f"frames is {frames}: expected 3 to {_MOST}. Two have no order that is not one way or the other."
        )
    n, device = len(clips), clips.device
    right = tuple(range(frames))
    wrong = [p for p in itertools.permutations(right) if p not in (right, right[::-1])]
    target = torch.randint(2, (n,), generator=generator, device=device)
    which = torch.randint(len(wrong), (n,), generator=generator, device=device)
    shuffled = torch.tensor(wrong, device=device)[which]
    taken = torch.where(target[:, None] == 1, torch.tensor(right, device=device), shuffled)
    begin = _begin(clips, frames, generator)
    return _take(clips, begin[:, None] + taken), target


def arrow(clips: Tensor, frames: int | None = None, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Show the clips forwards or backwards: the target is 1 if time runs as it did, 0 if it is reversed.

    `frames` neighbouring ones of each clip are shown, from a beginning at random; None shows whole clips. Either way of
    time has the chance one half.

    Shapes: clips (N, T, C, H, W) -> inputs (N, frames, C, H, W), target int64 (N,). Chance: 0.5, and a loss of ln 2.
    Ref:    Wei, Lim, Zisserman, Freeman 2018, "Learning and using the arrow of time", Sec. 3.
    """
    _check(clips)
    frames = clips.shape[1] if frames is None else frames
    if frames < 2:
        raise ValueError(f"frames is {frames}: a single frame has no direction of time. Give 2 or more.")
    target = torch.randint(2, (len(clips),), generator=generator, device=clips.device)
    place = torch.arange(frames, device=clips.device)
    taken = torch.where(target[:, None] == 1, place, place.flip(0))
    return _take(clips, _begin(clips, frames, generator)[:, None] + taken), target


# --------------------------------------------------------------------------- controls: predictions without a network

Predict = Callable[[Tensor, int], Tensor]  # frames (N, P, C, H, W) and how far ahead -> the frame there, (N, C, H, W)


def copy_last(inputs: Tensor, ahead: int = 1) -> Tensor:
    """The last frame again, however far ahead: x̂ = x_p, as if nothing moved.

    Shapes: float in [0, 1] (N, P, C, H, W) -> (N, C, H, W).
    """
    _check_seen(inputs, 1, ahead)
    return inputs[:, -1]


def linear(inputs: Tensor, ahead: int = 1) -> Tensor:
    """Every pixel goes on changing as it did last: x̂ = x_p + a (x_p − x_{p−1}), kept within [0, 1].

    Right where brightness drifts; where something moves it draws a ghost, since things keep their colour and change
    their place. Shapes: float in [0, 1] (N, P, C, H, W), P ≥ 2 -> (N, C, H, W).
    """
    _check_seen(inputs, 2, ahead)
    return (inputs[:, -1] + ahead * (inputs[:, -1] - inputs[:, -2])).clamp(0, 1)


def mean(inputs: Tensor, ahead: int = 1) -> Tensor:
    """The mean of the frames seen, however far ahead: what does not move is kept, what moves is blurred.

    Shapes: float in [0, 1] (N, P, C, H, W) -> (N, C, H, W).
    """
    _check_seen(inputs, 1, ahead)
    return inputs.mean(dim=1)


def error_by_ahead(
    predict: Predict, clips: Tensor, past: int = 4, ahead: int = 4, start: int | None = None, batch: int = 256
) -> Tensor:
    """Mean squared error of a prediction 1, 2, … `ahead` frames ahead, each from the same frames.

        e_a = mean (x̂_a − x_{s + p − 1 + a})²    over clips, beginnings s, channels and pixels

    Symbols: x̂_a -> predict(inputs, a), with inputs float in [0, 1] (N, past, C, H, W). The beginnings are all that
             leave room for the furthest, or `start` alone; so a larger a is no other set of clips.
    Shapes:  clips uint8 or float (N, T, C, H, W) -> (ahead,). For the errors of `past`, hand in backwards(clips).
    """
    length = past + ahead
    _check_window(clips, past, ahead, start)
    starts = range(clips.shape[1] - length + 1) if start is None else [start]
    total = torch.zeros(ahead, dtype=torch.float64)
    for part in clips.split(batch):
        for s in starts:
            window = part[:, s : s + length]
            window = window.float() / 255 if window.dtype == torch.uint8 else window
            for a in range(1, ahead + 1):
                error = predict(window[:, :past], a) - window[:, past - 1 + a]
                total[a - 1] += error.square().mean(dim=(1, 2, 3)).sum().cpu().double()
    return (total / (len(clips) * len(starts))).float()


# ------------------------------------------------------------------------------------------------------------- windows


def _window(
    clips: Tensor,
    seen: int,
    ahead: int,
    generator: torch.Generator | None,
    start: int | None,
    called: tuple[str, str] = ("past", "ahead"),
) -> Tensor:
    """Neighbouring frames (N, seen + ahead, C, H, W) from a beginning at random, or from `start`."""
    _check_window(clips, seen, ahead, start, called)
    length = seen + ahead
    if start is not None:
        return clips[:, start : start + length]
    return _take(clips, _begin(clips, length, generator)[:, None] + torch.arange(length, device=clips.device))


def _begin(clips: Tensor, length: int, generator: torch.Generator | None) -> Tensor:
    """A beginning (N,) for each clip, at random among all that leave room for `length` frames."""
    if length > clips.shape[1]:
        raise ValueError(
            f"frames is {length}, and these clips have {clips.shape[1]}. Ask for fewer, or load longer clips."
        )
    return torch.randint(clips.shape[1] - length + 1, (len(clips),), generator=generator, device=clips.device)


def _take(clips: Tensor, frames: Tensor) -> Tensor:
    """Frames (N, k) of clips (N, T, …), each clip its own."""
    return clips[torch.arange(len(clips), device=clips.device)[:, None], frames]


def _check(clips: Tensor) -> None:
    if clips.ndim != 5:
        hint = " One clip? Give clip[None]." if clips.ndim == 4 else ""
        raise ValueError(f"expected clips (N, T, C, H, W), T frames each; got {tuple(clips.shape)}.{hint}")


def _check_window(
    clips: Tensor, seen: int, ahead: int, start: int | None, called: tuple[str, str] = ("past", "ahead")
) -> None:
    _check(clips)
    for name, value in zip(called, (seen, ahead)):
        if value < 1:
            raise ValueError(f"{name} is {value}: at least 1 frame is needed.")
    length, frames = seen + ahead, clips.shape[1]
    if length > frames:
        raise ValueError(
            f"{called[0]}={seen} and {called[1]}={ahead} need clips of {length} frames, and these have {frames}. "
            "Ask for fewer, or load longer clips."
        )
    if start is not None and not 0 <= start <= frames - length:
        raise ValueError(f"start is {start}: of {frames} frames, {length} can begin at 0 to {frames - length}.")


def _check_seen(inputs: Tensor, least: int, ahead: int) -> None:
    _check(inputs)
    if not inputs.is_floating_point():
        raise ValueError(
            f"the frames are {inputs.dtype}: predictions are made of float in [0, 1]. Use x.float() / 255."
        )
    if inputs.shape[1] < least or ahead < 1:
        raise ValueError(
            f"got {inputs.shape[1]} frames and ahead={ahead}; expected {least} frames or more, and ahead of 1 or more."
        )
