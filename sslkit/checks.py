"""A reader's function -> pass, or the reason why not.

Each `check_…(answer)` tries the function on small inputs, prints one line, and returns whether it is right. A stub that
still returns `...` is "not written yet". With SSLKIT_STRICT=1 (solutions, grading) what is not right raises instead.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import device as devices
from sslkit.pretext import DIRECTIONS


class Wrong(Exception):
    """Why an answer is not right, in words for the person who wrote it."""


class NotWritten(Exception):
    pass


def check(body: Callable[[Callable], None]) -> Callable[[Callable], bool]:
    """Make a check of a function that raises `Wrong` with the reason."""

    @functools.wraps(body)
    def run(answer: Callable) -> bool:
        name = body.__name__.removeprefix("check_")
        try:
            body(answer)
        except NotWritten:
            message = f"… {name}: not written yet. Write it above, run that cell, then this one again."
        except Wrong as reason:
            message = f"✗ {name}: {reason}"
        except Exception as error:  # the reader's own error, whatever it is
            message = f"✗ {name}: your function raised {type(error).__name__}: {error}"
        else:
            print(f"✓ {name}: right.")
            return True
        if devices.flag("SSLKIT_STRICT"):
            raise AssertionError(message)
        print(message)
        return False

    return run


def predicted(guess: object, measured: float, what: str = "accuracy") -> None:
    """Set the reader's prediction beside the measurement."""
    if guess is ... or not isinstance(guess, int | float):
        print(f"measured {what}: {measured:.2f} (you made no prediction: it pays to try)")
    else:
        print(f"you predicted {what} {guess:.2f}; measured {measured:.2f}; off by {abs(guess - measured):.2f}")


@check
def check_chance(answer: Callable[[int], float]) -> None:
    for classes in (2, 10, 100):
        got = _number(answer, classes)
        if abs(got - classes) < 1e-9:
            raise Wrong(
                f"with {classes} classes you gave {got:g}, the number of classes; asked for: a share of right guesses."
            )
        if abs(got - 100 / classes) < 1e-9:
            raise Wrong(
                f"with {classes} classes you gave {got:g}: that is percent. The course uses shares from 0 to 1."
            )
        if abs(got - 1 / classes) > 1e-9:
            raise Wrong(f"with {classes} classes a blind guess is right {1 / classes:g} of the time; you gave {got:g}.")


@check
def check_nearest(answer: Callable[[Tensor, int], int]) -> None:
    # Row 1 points the same way as row 0, but is far from it; row 2 is close to it, but points elsewhere.
    z = torch.tensor([[1.0, 0.1], [6.0, 0.9], [0.6, 0.7], [-3.0, 0.2]])
    got = _call(answer, z, 0)
    got = got.item() if isinstance(got, Tensor) and got.numel() == 1 else got
    if isinstance(got, float) and not got.is_integer():
        raise Wrong(f"you returned {got:.3f}, which looks like a similarity; asked for: the number of the row.")
    if got == 0:
        raise Wrong("you returned the row itself: it is always its own best match. Leave row i out.")
    if got == 2:
        raise Wrong(
            "you returned the row at the smallest distance. Compare directions: scale every row to length 1 first."
        )
    if got == 3:
        raise Wrong("you returned the row that is least similar; the cosine is largest for the nearest.")
    if got != 1:
        raise Wrong(f"for row 0 the nearest by cosine is row 1; you returned {got!r}.")
    z = torch.tensor([[1.0, 0.0], [9.0, 9.0], [0.5, 0.1], [0.0, 2.0]])
    if int(_call(answer, z, 0)) != 2:
        raise Wrong(
            "a long row beat one that points the same way: you use the dot product. Scale every row to length 1."
        )
    z = torch.randn(20, 8, generator=devices.generator(0))
    for i in (3, 19):
        similarity = F.normalize(z, dim=1) @ F.normalize(z, dim=1)[i]
        similarity[i] = -2
        if int(_call(answer, z, i)) != int(similarity.argmax()):
            raise Wrong(f"right for row 0, wrong for row {i}: is a number written in the place of i?")


@check
def check_draw(answer: Callable[[Tensor, int, int], Tensor]) -> None:
    labels = torch.tensor([0, 1, 2] * 20)[torch.randperm(60, generator=devices.generator(1))]
    got = torch.as_tensor(_call(answer, labels, 4, 0))
    if got.dtype == torch.bool or got.numel() != 12:
        raise Wrong(f"4 labels a class of 3 classes are 12 indices; you returned {tuple(got.shape)} of {got.dtype}.")
    if len(got.unique()) < 12:
        raise Wrong("an image was drawn twice: draw without replacement.")
    if got.min() < 0 or got.max() >= len(labels):
        raise Wrong(f"an index lies outside 0 … {len(labels) - 1}.")
    counts = torch.bincount(labels[got], minlength=3).tolist()
    if counts != [4, 4, 4]:
        raise Wrong(f"each class should come 4 times; yours come {counts} times. Draw class by class.")
    if sorted(got.tolist()) != sorted(torch.as_tensor(_call(answer, labels, 4, 0)).tolist()):
        raise Wrong("the same seed gave two different draws: draw from a generator that is made from the seed.")
    others = [sorted(torch.as_tensor(_call(answer, labels, 4, seed)).tolist()) for seed in (1, 2, 3)]
    if all(other == sorted(got.tolist()) for other in others):
        raise Wrong("every seed gave the same draw: you always take the first ones. Shuffle first.")


@check
def check_assign(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    points = torch.tensor([[0.0, 0.0], [0.2, 0.1], [5.0, 5.0], [4.8, 5.1], [-3.0, 4.0]])
    centres = torch.tensor([[5.0, 5.0], [0.0, 0.0], [-3.0, 3.0]])
    got = torch.as_tensor(_call(answer, points, centres))
    if got.shape == (3,):
        raise Wrong(
            "you gave one point for each centre; asked for: one centre for each point. Look at the axis of argmin."
        )
    if got.shape != (5,):
        raise Wrong(f"5 points need 5 answers, shape (5,); yours has shape {tuple(got.shape)}.")
    if got.tolist() == torch.cdist(points, centres).argmax(1).tolist():
        raise Wrong("you chose the farthest centre of each point; asked for: the nearest.")
    if got.tolist() != [1, 1, 0, 0, 2]:
        raise Wrong(f"expected centres [1, 1, 0, 0, 2] for the five points; you gave {got.tolist()}.")


@check
def check_four_turns(answer: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    image = torch.arange(2 * 3 * 3).float().view(2, 3, 3)
    got = _call(answer, image)
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("return two things: the four turned images, and the four targets.")
    if any(part is ... for part in got):
        raise NotWritten
    images, targets = torch.as_tensor(got[0]), torch.as_tensor(got[1])
    if images.shape != (4, 2, 3, 3):
        raise Wrong(f"an image (2, 3, 3) gives four, shape (4, 2, 3, 3); yours have shape {tuple(images.shape)}.")
    if targets.tolist() != [0, 1, 2, 3]:
        raise Wrong(f"the targets are the quarter turns [0, 1, 2, 3]; yours are {targets.tolist()}.")
    right = torch.stack([image.rot90(k, dims=(1, 2)) for k in range(4)])
    if torch.equal(images, right):
        return
    if torch.equal(images, right[[0, 3, 2, 1]]):
        raise Wrong("your images turn clockwise; target 1 is a quarter turn counter-clockwise, as torch.rot90 does.")
    if all(torch.equal(image, images[0]) for image in images):
        raise Wrong("your four images are the same: turn image k by k quarters.")
    raise Wrong(
        "the images are not the four turns of the input. Turn the last two axes, height and width, not the channels."
    )


@check
def check_scatter(answer: Callable[[int, int, int, torch.Generator], Tensor]) -> None:
    got = _mask(_call(answer, 40, 8, 3, devices.generator(0)), 40, 8)
    counts = got.sum(dim=1).tolist()
    if set(counts) == {5}:
        raise Wrong("you marked the 5 patches of 8 that stay visible; true means hidden.")
    if set(counts) != {3}:
        raise Wrong(
            f"3 of 8 patches are to be hidden in every image; yours hide {sorted(set(counts))} of them. To compare "
            "random numbers with a share, or to draw places one by one, gives the right number only now and then: "
            "shuffle the patches, and take the first 3."
        )
    if len(got.unique(dim=0)) == 1:
        raise Wrong("all 40 images have the same patches hidden: every image draws for itself.")
    if not torch.equal(got, _mask(_call(answer, 40, 8, 3, devices.generator(0)), 40, 8)):
        raise Wrong("the same generator gave two different masks: hand `generator` to whatever draws.")
    if torch.equal(got, _mask(_call(answer, 40, 8, 3, devices.generator(1)), 40, 8)):
        raise Wrong("another generator gave the same masks: hand `generator` to whatever draws.")
    forms = len(_mask(_call(answer, 500, 8, 3, devices.generator(2)), 500, 8).unique(dim=0))
    if forms < 50:
        raise Wrong(f"3 of 8 patches can be chosen in 56 ways; 500 of your masks show only {forms} of them.")
    if _mask(_call(answer, 5, 64, 32, devices.generator(3)), 5, 64).sum(dim=1).tolist() != [32] * 5:
        raise Wrong("right for 3 of 8 patches, wrong for 32 of 64: is a number written in the place of an argument?")


def _mask(got: object, n: int, patches: int) -> Tensor:
    mask = torch.as_tensor(got)
    if mask.shape != (n, patches):
        raise Wrong(f"{n} images of {patches} patches need a mask ({n}, {patches}); yours is {tuple(mask.shape)}.")
    if mask.dtype != torch.bool:
        raise Wrong(f"your mask is {mask.dtype}; expected torch.bool, true where a patch is hidden.")
    return mask


@check
def check_masked_mse(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    g = devices.generator(0)
    prediction, target = torch.randn(3, 2, 4, 4, generator=g), torch.randn(3, 2, 4, 4, generator=g)
    # Holes of different sizes, so that a mean of means shows, and two channels, so that forgetting them does.
    mask = torch.arange(16).view(1, 1, 4, 4) < torch.tensor([2, 7, 13])[:, None, None, None]
    result = _call(answer, prediction, target, mask)
    if isinstance(result, Tensor) and result.numel() != 1:
        raise Wrong(f"asked for one number, the mean over all hidden pixels; yours has shape {tuple(result.shape)}.")
    got, error = float(result), (prediction - target).square()
    hidden = error[mask.expand_as(error)]
    by_image = (error * mask).flatten(1).sum(dim=1) / (2 * mask.flatten(1).sum(dim=1))
    reasons = {
        "you took the mean over all pixels and left the mask out.": error.mean(),
        "you set visible errors to zero, and divided by all pixels. Divide by the number of hidden ones.": (
            hidden.sum() / error.numel()
        ),
        "this is the error of the visible pixels; true means hidden.": error[~mask.expand_as(error)].mean(),
        "twice too large, with two channels: the mask has one channel. Each hidden pixel holds C values.": (
            2 * hidden.mean()
        ),
        "you took the mean of each image, then of these: pixels of small holes count more. Take one mean.": (
            by_image.mean()
        ),
        "you summed; asked for: the mean.": hidden.sum(),
        "this is the mean absolute error; asked for: squared.": hidden.sqrt().mean(),
        "you took the root; asked for: the mean squared error itself.": hidden.mean().sqrt(),
    }
    for reason, value in reasons.items():
        if abs(got - float(value)) < 1e-5 * max(1.0, abs(float(value))):
            raise Wrong(reason)
    if abs(got - float(hidden.mean())) > 1e-5:
        raise Wrong(f"the mean squared error inside the holes is {float(hidden.mean()):.4f}; you gave {got:.4f}.")


@check
def check_leaks(answer: Callable[[Callable, Tensor, Tensor], bool]) -> None:
    x = torch.rand(6, 3, 16, 16, generator=devices.generator(0))
    mask = torch.zeros(6, 1, 16, 16, dtype=torch.bool)
    mask[:, :, 4:12, 4:12] = True
    fill = 0.5

    def blurred(x: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, fill, F.avg_pool2d(x, 3, stride=1, padding=1))

    def centred(x: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, fill, x - x.mean(dim=(1, 2, 3), keepdim=True))

    honest = {
        "hides the pixels": lambda x, mask: torch.where(mask, fill, x),
        "hides the pixels and makes the rest darker": lambda x, mask: torch.where(mask, fill, 0.5 * x),
    }
    leaking = {
        "leaves the picture as it is": (lambda x, mask: x, "you call a picture without a hole honest."),
        "leaves a hundredth of the pixels' contrast": (
            lambda x, mask: torch.where(mask, fill + 0.01 * (x - fill), x),
            "you overlook a faint leak: compare exactly, with torch.equal, and not whether the hole looks grey.",
        ),
        "blurs, then hides": (
            blurred,
            "you overlook what a blur carries out of the hole. Compare the whole inputs, not only the hole.",
        ),
        "subtracts the mean of the whole picture, then hides": (
            centred,
            "you overlook a mean to which hidden pixels have contributed. Compare the whole inputs, not only the hole.",
        ),
    }
    verdicts = {name: _verdict(answer, make, x, mask) for name, make in honest.items()}
    verdicts |= {name: _verdict(answer, make, x, mask) for name, (make, _) in leaking.items()}
    if all(verdicts[name] for name in honest) and not any(verdicts[name] for name in leaking):
        raise Wrong("the other way round: true means that something leaks.")
    for name in honest:
        if verdicts[name]:
            raise Wrong(f"you call a function that {name} leaking. Change the hidden pixels alone, and no visible one.")
    for name, (_, reason) in leaking.items():
        if not verdicts[name]:
            raise Wrong(f"{reason} (The function {name}.)")


def _verdict(answer: Callable, make_input: Callable, x: Tensor, mask: Tensor) -> bool:
    result = _call(answer, make_input, x, mask)
    if isinstance(result, Tensor) and result.numel() != 1:
        raise Wrong(f"asked for one answer, true or false; yours has shape {tuple(result.shape)}.")
    return bool(result)


@check
def check_inverse(answer: Callable[[Tensor], Tensor]) -> None:
    order = torch.tensor([3, 0, 1, 4, 2])  # no two pieces merely change places: that would be its own inverse
    got = _order(answer, order)
    if got == order.tolist():
        raise Wrong("this is the order itself; shuffling twice does not restore. The way back is another order.")
    if sorted(got) == [1, 2, 3, 4, 5]:
        raise Wrong("you count from 1; places and pieces are counted from 0.")
    if got == [0, 1, 2, 3, 4]:
        raise Wrong(
            "you sorted the numbers of the pieces; asked for: the places where they lie, as argsort gives them."
        )
    if got == order.argsort(descending=True).tolist():
        raise Wrong("you went from the last piece to the first; the place of piece 0 comes first.")
    if got != [1, 2, 4, 0, 3]:
        raise Wrong(
            f"for {order.tolist()} the way back is [1, 2, 4, 0, 3], since piece 0 lies at place 1; yours is {got}."
        )
    order = torch.randperm(9, generator=devices.generator(0))
    if _order(answer, order) != order.argsort().tolist():
        raise Wrong("right for 5 pieces, wrong for 9: is a number written in the place of the order's length?")


def _order(answer: Callable[[Tensor], Tensor], order: Tensor) -> list[int]:
    got = torch.as_tensor(_call(answer, order))
    if got.shape != order.shape:
        raise Wrong(
            f"{len(order)} pieces need {len(order)} places, shape ({len(order)},); yours is {tuple(got.shape)}."
        )
    return [int(i) for i in got]


@check
def check_farthest(answer: Callable[[Tensor, Tensor], int]) -> None:
    rows = [[2, 0, 3, 4, 1], [2, 1, 4, 3, 0], [1, 2, 3, 4, 0], [0, 4, 2, 1, 3], [2, 4, 1, 3, 0]]
    got = _candidate(answer, rows, [[0, 4, 3, 2, 1], [3, 1, 2, 4, 0], [0, 4, 2, 1, 3]])
    if got == 1:
        raise Wrong(
            "you took the largest sum of distances. Candidate 1 differs from two of the chosen in 5 places, but from "
            "the third in 3 only; candidate 4 differs from each in 4. Compare the least distances."
        )
    if got == 3:
        raise Wrong(
            "candidate 3 is one of the chosen: its least distance is 0. You took the nearest, not the farthest."
        )
    if got != 4:
        raise Wrong(f"the least distances of the candidates are [3, 3, 3, 0, 4], so it is number 4; you gave {got}.")
    rows = [[3, 4, 1, 2, 5, 0], [1, 0, 2, 5, 4, 3], [1, 2, 4, 5, 0, 3], [3, 4, 2, 1, 0, 5], [5, 0, 1, 2, 3, 4]]
    got = _candidate(answer, rows, [[1, 0, 2, 4, 3, 5], [3, 4, 2, 1, 0, 5]])
    if got in (0, 4):
        which = "first" if got == 0 else "last"
        raise Wrong(f"you compared with the {which} of the chosen alone; it has to be far from every one of them.")
    if got != 2:
        raise Wrong(f"right for five pieces, wrong for six: the least distances are [4, 3, 5, 0, 4]; you gave {got}.")


def _candidate(answer: Callable[[Tensor, Tensor], int], candidates: list, chosen: list) -> int:
    got = torch.as_tensor(_call(answer, torch.tensor(candidates), torch.tensor(chosen)))
    if got.numel() != 1:
        raise Wrong(f"asked for one number, which of the candidates it is; yours has shape {tuple(got.shape)}.")
    return int(got)


@check
def check_cut(answer: Callable[[Tensor, int, Tensor], Tensor]) -> None:
    image = torch.arange(2 * 12 * 12).float().view(2, 12, 12)
    moves = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1], [0, 1], [1, 0], [0, 0], [1, 1], [0, 1]])

    def tiles(x: Tensor, side: int, step: int, moves: Tensor, by_rows: bool = True) -> Tensor:
        places = [(i, j) if by_rows else (j, i) for i in range(3) for j in range(3)]
        corners = [(step * i + down, step * j + right) for (i, j), (down, right) in zip(places, moves.tolist())]
        return torch.stack([x[:, r : r + side, c : c + side] for r, c in corners])

    reasons = {
        "your tiles start in the corners of their cells: the moves are not used.": tiles(image, 3, 4, 0 * moves),
        "a move is down, then right; yours is the other way round.": tiles(image, 3, 4, moves.flip(1)),
        "your tiles come column by column; asked for: row by row, as one reads.": tiles(image, 3, 4, moves, False),
        "you go on by the side of a tile. Go on by the side of a cell, a third of the image's: else there is no gap.": (
            tiles(image, 3, 3, moves)
        ),
    }
    got, right = _tiles(answer, image, 3, moves), tiles(image, 3, 4, moves)
    for reason, wrong in reasons.items():
        if torch.equal(got, wrong):
            raise Wrong(reason)
    for i in range(9):
        if not torch.equal(got[i], right[i]):
            raise Wrong(f"tile {i} is not the 3 × 3 pixels that lie {moves[i].tolist()} from the corner of its cell.")
    image = image[:1, :9, :9]
    if not torch.equal(_tiles(answer, image, 1, 2 * moves), tiles(image, 1, 3, 2 * moves)):
        raise Wrong("right for 12 × 12 pixels, wrong for 9 × 9: is a number written in the place of an argument?")


def _tiles(answer: Callable[[Tensor, int, Tensor], Tensor], image: Tensor, side: int, moves: Tensor) -> Tensor:
    got = _call(answer, image, side, moves)
    got = torch.stack(list(got)) if isinstance(got, list | tuple) else torch.as_tensor(got)
    wanted = (9, len(image), side, side)
    if got.shape != wanted:
        raise Wrong(
            f"an image {tuple(image.shape)} and tiles of {side} px give shape {wanted}; yours is {tuple(got.shape)}."
        )
    return got


@check
def check_turn(answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    images = torch.randint(256, (6, 2, 4, 4), generator=devices.generator(0)).float()
    quarters = torch.tensor([1, 2, 3, 0, 3, 1])

    def turned(x: Tensor, k: Tensor) -> Tensor:
        return torch.stack([image.rot90(int(n), dims=(1, 2)) for image, n in zip(x, k)])

    got, right = _same_shape(answer, images, quarters), turned(images, quarters)
    if torch.equal(got, turned(images, -quarters)):
        raise Wrong("your images turn clockwise; a quarter is counter-clockwise, as torch.rot90 has it.")
    for k in range(4):
        if torch.equal(got, turned(images, torch.full((6,), k))):
            raise Wrong(f"you turned every image by {k} quarters; image i turns by quarters[i].")
    if torch.equal(got, right.flip(3)) or torch.equal(got, right.flip(2)):
        raise Wrong("each image is also mirrored. A quarter turn is a transposition and then one flip, of the rows.")
    if not torch.equal(got, right) and torch.allclose(got, right, atol=1.0):
        raise Wrong("nearly right, but not the same numbers: pixels were interpolated. Move them, and change none.")
    for i in range(6):
        if not torch.equal(got[i], right[i]):
            raise Wrong(f"image {i} is not the input turned by {quarters[i]} quarters counter-clockwise.")
    if not torch.equal(_same_shape(answer, right, -quarters), images):
        raise Wrong("turning back does not restore the images: a negative number of quarters turns clockwise.")
    if _same_shape(answer, images.byte(), quarters).dtype != torch.uint8:
        raise Wrong("uint8 images came back as another type. Turning moves pixels; their type stays.")


def _same_shape(answer: Callable[[Tensor, Tensor], Tensor], images: Tensor, quarters: Tensor) -> Tensor:
    got = _call(answer, images, quarters)
    got = torch.stack(list(got)) if isinstance(got, list | tuple) else torch.as_tensor(got)
    if got.shape != images.shape:
        raise Wrong(f"images {tuple(images.shape)} give as many of the same shape; yours is {tuple(got.shape)}.")
    return got


@check
def check_knows_nothing(answer: Callable[[int], float]) -> None:
    for answers in (4, 8, 24):
        got, right = _number(answer, answers), math.log(answers)
        if abs(got - right) < 1e-5:
            continue
        reasons = {
            1 / answers: "that is the probability of the right answer; the loss is minus its logarithm.",
            -right: "a loss is not negative: the logarithm of a probability is, and the loss is minus that.",
            math.log2(answers): "that is in bits; the course's cross-entropy is in nats. Take the natural logarithm.",
            math.log10(answers): "you took the logarithm to the base 10; the cross-entropy has the natural one.",
            right / answers: "the loss counts the right answer alone: do not weight its logarithm with 1/K.",
        }
        for value, reason in reasons.items():
            if abs(got - value) < 1e-5:
                raise Wrong(f"with {answers} answers you gave {got:.3f}: {reason}")
        raise Wrong(f"with {answers} answers, each with probability 1/{answers}: {right:.3f}; you gave {got:.3f}.")


@check
def check_neighbour(answer: Callable[[Tensor, int, int, int, tuple[int, int]], Tensor]) -> None:
    image = torch.arange(2 * 22 * 25).float().view(2, 22, 25)
    moves = [(1, 0), (0, -1), (-1, 1), (0, 1), (1, -1), (-1, 0), (1, 1), (0, -1)]
    got = [_patch(answer, image, k, 4, 1, moves[k]) for k in range(8)]

    def patches(step: int = 5, directions: Sequence[tuple[int, int]] = DIRECTIONS, shift: int = 0, by=moves) -> list:
        first, found = ((22 - 4) // 2 + shift, (25 - 4) // 2 + shift), []
        for (down, right), move in zip(directions, by):
            top, left = first[0] + step * down + move[0], first[1] + step * right + move[1]
            found.append(image[:, top : top + 4, left : left + 4])
        return found

    nine = [(k // 3 - 1, k % 3 - 1) for k in range(9)]
    wrong = {
        "the jitter is not used: add move[0] to the rows and move[1] to the columns.": patches(by=[(0, 0)] * 8),
        "a move is down, then right; yours is the other way round.": patches(by=[move[::-1] for move in moves]),
        "you count the directions column by column; they go row by row, as one reads.": (
            patches(directions=[d[::-1] for d in DIRECTIONS])
        ),
        "yours lies on the opposite side: seen from the first patch, direction 0 is up and left.": (
            patches(directions=DIRECTIONS[::-1])
        ),
        "you count the middle as a direction. There are eight: 3 is left of the first patch, and 4 right of it.": (
            patches(directions=nine[:8])
        ),
        "there is no gap. The next patch starts patch + gap pixels on.": patches(step=4),
        "the gap is twice as wide as asked for.": patches(step=6),
        "the first patch lies too far down and right: its middle is the image's, not its corner.": patches(shift=2),
    }
    right = patches()
    for reason, candidate in wrong.items():
        if all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(got, candidate)):
            raise Wrong(reason)
    for k in range(8):
        if not torch.equal(got[k], right[k]):
            corner, yours = right[k][0, 0, 0], got[k][0, 0, 0]
            raise Wrong(f"direction {k}: the corner should be pixel {corner:.0f}, yours is {yours:.0f}.")
    large = torch.arange(30.0 * 30).view(1, 30, 30)
    if not torch.equal(_patch(answer, large, 7, 8, 2, (0, 0)), large[:, 21:29, 21:29]):
        raise Wrong("right for patches of 4 px, wrong for 8: is a number written in the place of an argument?")


def _patch(answer: Callable, image: Tensor, direction: int, patch: int, gap: int, move: tuple[int, int]) -> Tensor:
    got = torch.as_tensor(_call(answer, image, direction, patch, gap, move))
    if got.shape != (len(image), patch, patch):
        wanted = (len(image), patch, patch)
        raise Wrong(f"an image {tuple(image.shape)} and patch={patch} give {wanted}; yours is {tuple(got.shape)}.")
    return got


@check
def check_balanced(answer: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]) -> None:
    n, partners = 12, set()
    for seed in range(40):
        second, same = _pairs(answer, n, seed)
        itself = second == torch.arange(n)
        if torch.equal(same, ~itself):
            raise Wrong("the other way round: same is true where image i is paired with itself.")
        wrong = same & ~itself
        if wrong.any():
            i = int(wrong.nonzero()[0])
            raise Wrong(f"pair {i} is called the same, but it is of images {i} and {int(second[i])}.")
        if (~same & itself).any():
            i = int((~same & itself).nonzero()[0])
            raise Wrong(
                f"pair {i} is called different, but it is image {i} with itself. A draw among all images, or a shuffle "
                "of them, hits the image itself now and then. Draw a step from 1 to n − 1, and add it to i."
            )
        if int(same.sum()) != n // 2:
            raise Wrong(f"of {n} pairs {n // 2} are to be the same; yours are {int(same.sum())}.")
        partners.add(int(second[0]))
    if not all(torch.equal(a, b) for a, b in zip(_pairs(answer, n, 0), _pairs(answer, n, 0))):
        raise Wrong("the same generator gave other pairs: hand `generator` to whatever draws.")
    if len(partners - {0}) == 0:
        raise Wrong("image 0 was paired with itself in 40 draws of 40: draw which pairs are the same.")
    if len(partners - {0}) == 1:
        raise Wrong(f"image 0 was only ever paired with itself and {max(partners)}: draw among all other images.")
    second, same = _pairs(answer, 30, 0)
    if int(same.sum()) != 15 or int(second.max()) < 12:
        raise Wrong("right for 12 images, wrong for 30: is a number written in the place of n?")


def _pairs(answer: Callable[[int, torch.Generator], tuple[Tensor, Tensor]], n: int, seed: int) -> tuple[Tensor, Tensor]:
    got = _call(answer, n, devices.generator(seed))
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("return two things: the number of the second image of each pair, and whether the pair is the same.")
    if any(part is ... for part in got):
        raise NotWritten
    second, same = torch.as_tensor(got[0]), torch.as_tensor(got[1])
    if second.shape != (n,) or same.shape != (n,):
        raise Wrong(
            f"{n} images give {n} pairs, so both have shape ({n},); yours have {tuple(second.shape)} and "
            f"{tuple(same.shape)}."
        )
    if same.dtype != torch.bool:
        raise Wrong(f"same is {same.dtype}; expected torch.bool.")
    if second.is_floating_point() or second.dtype == torch.bool:
        raise Wrong(f"the second images are {second.dtype}; expected their numbers, int64.")
    if second.min() < 0 or second.max() >= n:
        raise Wrong(f"a second image is number {int(second.max())}; there are 0 to {n - 1}.")
    return second, same


@check
def check_contrastive(answer: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> None:
    # Five pairs at these distances, of which three are the same: one different pair lies beyond the margin.
    d, same, margin = torch.tensor([0.47, 1.52, 0.23, 0.61, 1.34]), torch.tensor([True, True, True, False, False]), 1.0
    a = torch.randn(5, 3, generator=devices.generator(0))
    b = a + d[:, None] * F.normalize(torch.randn(5, 3, generator=devices.generator(1)), dim=1)
    result = _call(answer, a, b, same, margin)
    if isinstance(result, Tensor) and result.numel() != 1:
        raise Wrong(f"asked for one number, the mean over the pairs; yours has shape {tuple(result.shape)}.")
    got, short = float(result), (margin - d).clamp(min=0)
    each = torch.where(same, d.square(), short.square()) / 2
    right = float(each.mean())
    reasons = {
        "twice too large: both terms have the factor ½.": 2 * each.mean(),
        "the other way round: you push the same pairs apart and pull the different ones together.": (
            torch.where(same, short.square(), d.square()).mean() / 2
        ),
        "a different pair beyond the margin costs nothing: yours is pulled back to it. Cut m − d off at 0.": (
            torch.where(same, d, margin - d).square().mean() / 2
        ),
        "the distances are to be squared, and what is left of the margin too; yours are not.": (
            torch.where(same, d, short).mean() / 2
        ),
        "what is left of the margin is to be squared: ½ max(0, m − d)².": (
            torch.where(same, d.square(), short).mean() / 2
        ),
        "the margin is one of distances: max(0, m − d)², not max(0, m − d²).": (
            torch.where(same, d.square(), (margin - d.square()).clamp(min=0)).mean() / 2
        ),
        "the margin is one of distances, not of their squares: max(0, m − d)², with d the root.": (
            torch.where(same, d.square(), (margin - d.square()).clamp(min=0).square()).mean() / 2
        ),
        "you summed; asked for: the mean over the pairs.": each.sum(),
        "you took the mean of each kind of pairs and added them; asked for: one mean over all pairs.": (
            each[same].mean() + each[~same].mean()
        ),
        "the different pairs do not count.": torch.where(same, each, 0.0).mean(),
        "the same pairs do not count.": torch.where(same, 0.0, each).mean(),
    }
    for reason, value in reasons.items():
        if abs(got - float(value)) < 1e-5:
            raise Wrong(reason)
    if abs(got - right) > 1e-5:
        raise Wrong(
            "pairs at the distances 0.47, 1.52, 0.23 (same), 0.61 and 1.34 (different) cost "
            f"{right:.4f} on average; you gave {got:.4f}."
        )
    if abs(float(_call(answer, a, b, same, 2.0)) - float(_wide(d, same))) > 1e-5:
        raise Wrong("right for margin 1, wrong for margin 2: is a number written in the place of the margin?")
    a = a.clone().requires_grad_()
    result = _call(answer, a, torch.cat([a[:1].detach(), b[1:]]), same, margin)  # the first pair at distance 0
    if not isinstance(result, Tensor) or not result.requires_grad:
        raise Wrong("the number is right, but no gradient can flow back from it: keep to tensors all along.")
    (gradient,) = torch.autograd.grad(result, a)
    if not gradient.isfinite().all():
        raise Wrong(
            "the number is right, but where both embeddings are equal the gradient is not a number: a root has no "
            "slope at 0. torch.linalg.vector_norm takes care of it."
        )


def _wide(d: Tensor, same: Tensor) -> Tensor:
    return torch.where(same, d.square(), (2 - d).clamp(min=0).square()).mean() / 2


@check
def check_threshold(answer: Callable[[Tensor, Tensor], float]) -> None:
    # A long tail of same pairs, and more different ones: neither the middle nor a mean is the best place.
    d = torch.tensor([0.9, 0.1, 4.0, 0.2, 0.3, 0.7, 5.0, 0.35, 0.8, 0.85, 0.75, 0.95, 0.65])
    same = torch.tensor([False, True, True, True, True, False, True, True, False, False, False, False, False])
    got, best = _number(answer, d, same), _share(d < 0.5, same)
    if _share(d < got, same) < best:
        if _share(d <= got, same) == best:
            raise Wrong(
                f"{got:g} is the distance of a pair itself. The same are those below the threshold, so it has to lie "
                "above the last of them: take one between two distances."
            )
        if abs(got - best) < 1e-5 or abs(got - _share(d <= 0.35, same)) < 1e-5:
            raise Wrong(f"{got:.3f} is the share of right answers; asked for: the threshold that gives it.")
        places = {"the mean distance": d.mean(), "the median distance": d.median(), "the largest distance": d.max()}
        places["the middle between the two mean distances"] = (d[same].mean() + d[~same].mean()) / 2
        for name, place in places.items():
            if abs(got - float(place)) < 1e-5:
                raise Wrong(
                    f"{name} gets {_share(d < got, same):.2f} of these pairs right, and the best threshold {best:.2f}. "
                    "Count for each place between two distances."
                )
        if _share(d > got, same) >= max(_share(d > t, same) for t in d):
            raise Wrong("you call the far pairs the same; they are those at a distance below the threshold.")
        raise Wrong(f"your {got:.3f} gets {_share(d < got, same):.2f} right; the best threshold gets {best:.2f}.")
    d, same = 10 * d.flip(0), same.flip(0)
    if _share(d < _number(answer, d, same), same) < best:
        raise Wrong("right for these distances, wrong for the same ones ten times as large: thresholds up to what?")


def _share(called: Tensor, same: Tensor) -> float:
    return (called == same).float().mean().item()


@check
def check_triplet(answer: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> None:
    g = devices.generator(0)
    a, p, n = (torch.randn(6, 4, generator=g, dtype=torch.float64) for _ in range(3))
    p = a + torch.tensor([0.2, 0.5, 0.6, 0.8, 0.3, 1.0], dtype=torch.float64)[:, None] * (p - a)
    n[5] = a[5] + 0.5 * (n[5] - a[5])  # two hard triplets, a semi-hard one, three that cost nothing
    margin = 0.8
    result = _call(answer, a, p, n, margin)
    if isinstance(result, Tensor) and result.numel() != 1:
        raise Wrong(f"asked for one number, the mean over the triplets; yours has shape {tuple(result.shape)}.")
    got = float(result)

    def norm(x: Tensor) -> Tensor:
        return torch.linalg.vector_norm(x, dim=1)

    near, far = norm(a - p), norm(a - n)
    each = F.relu(near - far + margin)
    reasons = {
        "you squared the distances; the course's formula does not.": F.relu(near**2 - far**2 + margin).mean(),
        "the maximum with 0 is missing, or taken of the mean: a good triplet must not make up for a bad one.": (
            (near - far + margin).mean()
        ),
        "positive and negative have changed places.": F.relu(far - near + margin).mean(),
        "the margin is not used.": F.relu(near - far).mean(),
        "you subtracted the margin; it is added: the negative has to be farther by that much.": (
            F.relu(near - far - margin).mean()
        ),
        "the margin is 1 in your function; use the argument.": F.relu(near - far + 1).mean(),
        "you summed; asked for: the mean over the triplets.": each.sum(),
        "you took the mean over the triplets whose loss is not 0; the zeros count too.": each[each > 0].mean(),
        "your negative's distance is to the positive; it is to the anchor.": F.relu(near - norm(p - n) + margin).mean(),
        "these are sums of absolute differences; the norm is the Euclidean one.": (
            F.relu((a - p).abs().sum(dim=1) - (a - n).abs().sum(dim=1) + margin).mean()
        ),
        "you took one norm of the whole batch; asked for: one of each row (dim=1).": (
            F.relu((a - p).norm() - (a - n).norm() + margin)
        ),
    }
    right = float(each.mean())
    if abs(got - right) > 1e-5:
        for reason, value in reasons.items():
            if abs(got - float(value)) < 1e-6:
                raise Wrong(reason)
        raise Wrong(f"six random triplets with margin {margin}: the loss is {right:.4f}; you gave {got:.4f}.")
    point = torch.zeros(2, 3, requires_grad=True)
    stuck = _call(answer, point, point, point, 0.5)
    if abs((level := float(torch.as_tensor(stuck).detach())) - 0.5) > 1e-5:
        raise Wrong(f"where all three are one point the loss is the margin, 0.5; yours is {level:.4f}.")
    if isinstance(stuck, Tensor) and stuck.requires_grad:
        (slope,) = torch.autograd.grad(stuck, point)
        if not slope.isfinite().all():
            raise Wrong(
                "the loss is right, but where two points are equal its gradient is not a number: a root has no slope "
                "at 0. torch.linalg.vector_norm(…, dim=1) takes care of it."
            )


@check
def check_hardness(answer: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    near = torch.tensor([1.0, 1.0, 1.0, 0.2, 1.5, 0.6])
    far = torch.tensor([0.5, 1.3, 2.0, 1.0, 1.6, 0.1])
    got, right = _integers(answer, near, far, 0.5), [2, 1, 0, 0, 1, 2]
    reasons = {
        "0 is easy and 2 is hard; yours is the other way round.": [2 - kind for kind in right],
        "you count 1, 2, 3; asked for: 0 easy, 1 semi-hard, 2 hard.": [kind + 1 for kind in right],
        "every negative that is farther than the positive is easy for you: use the margin.": [2, 0, 0, 0, 0, 2],
        "you call hard negatives semi-hard: these are farther than the positive.": [1, 1, 0, 0, 1, 1],
        "you call semi-hard negatives hard: hard ones are no farther than the positive.": [2, 2, 0, 0, 2, 2],
        "far and near have changed places.": [0, 2, 2, 2, 2, 0],
    }
    for reason, wrong in reasons.items():
        if got == wrong:
            raise Wrong(reason)
    if got != right:
        raise Wrong(f"near {near.tolist()}, far {far.tolist()}, margin 0.5: expected {right}; you gave {got}.")
    if _integers(answer, near[:3], far[:3], 2.0) != [2, 1, 1]:
        raise Wrong("right with a margin of 0.5, wrong with 2: is a number written in the place of the argument?")
    one = torch.tensor([1.0, 1.0])
    if (edge := _integers(answer, one, torch.tensor([1.0, 1.5]), 0.5)) != [2, 0]:
        raise Wrong(f"at equal distances it is hard, and farther by the margin exactly easy: [2, 0]; you gave {edge}.")


@check
def check_semi_hard(answer: Callable[[Tensor, float], Tensor]) -> None:
    d = torch.tensor(
        [
            [0.5, 0.7, 0.3, 1.0, 0.9],  # 0.3 is hard, 0.7 to 1.0 are in the ring: 0.7
            [2.0, 0.4, 0.1, 0.8, 1.9],  # 0.8
            [0.9, 0.2, 1.0, 1.4, 1.2],  # 1.2
            [2.5, 2.6, 2.7, 0.6, 2.4],  # all easy
            [0.5, 0.3, 0.6, 0.1, 1.1],  # all hard
        ]
    )
    margin, right = 0.6, [1, 3, 4, -1, -1]
    ring = (d > d.diagonal()[:, None]) & (d < d.diagonal()[:, None] + margin)
    got = _integers(answer, d, margin)
    if got[:3] == right[:3] and got != right:
        raise Wrong(f"no negative of the last two anchors is semi-hard: give −1 for them; you gave {got[3:]}.")
    own = d.masked_fill(torch.eye(5, dtype=torch.bool), torch.inf)
    reasons = {
        "you took the nearest of all; a semi-hard negative is farther than the positive.": own.argmin(dim=1),
        "you took the farthest in the ring; asked for: the nearest, which has the larger loss.": (
            d.masked_fill(~ring, -torch.inf).argmax(dim=1)
        ),
        "an image is no negative of its own: leave the diagonal out.": torch.arange(5),
        "you took the nearest anchor of each positive; a row holds the distances of one anchor.": (
            d.masked_fill(~ring, torch.inf).argmin(dim=0)
        ),
    }
    for reason, wrong in reasons.items():
        if got[:3] == wrong[:3].tolist():
            raise Wrong(reason)
    for i in range(5):
        if got[i] != right[i]:
            raise Wrong(
                f"anchor {i}: its positive is {d[i, i]:.1f} away, and so the ring goes from there to "
                f"{d[i, i] + margin:.1f}. In {[round(x, 1) for x in d[i].tolist()]} it is number {right[i]}; you gave "
                f"{got[i]}."
            )
    if _integers(answer, d, 2.5) != [1, 3, 4, 4, -1]:
        raise Wrong("right with a margin of 0.6, wrong with 2.5: is a number written in the place of the argument?")
    d = torch.rand(12, 12, generator=devices.generator(0))
    ring = (d > d.diagonal()[:, None]) & (d < d.diagonal()[:, None] + 0.1)
    wanted = torch.where(ring.any(dim=1), d.masked_fill(~ring, torch.inf).argmin(dim=1), -1)
    if _integers(answer, d, 0.1) != wanted.tolist():
        raise Wrong("right for five images, wrong for twelve: is a number written in the place of the batch's size?")


def _integers(answer: Callable, *arguments) -> list[int]:
    got = torch.as_tensor(_call(answer, *arguments))
    if got.shape != arguments[0].shape[:1]:
        n = len(arguments[0])
        raise Wrong(f"{n} rows need {n} whole numbers, shape ({n},); yours has shape {tuple(got.shape)}.")
    return [int(i) for i in got]


def _call(answer: Callable, *arguments):
    result = answer(*(a.clone() if isinstance(a, Tensor) else a for a in arguments))
    if result is ...:
        raise NotWritten
    if result is None:
        raise Wrong("your function returned None: is there a `return`?")
    return result


def _number(answer: Callable, *arguments) -> float:
    result = _call(answer, *arguments)
    try:
        return float(result)
    except (TypeError, ValueError) as error:
        raise Wrong(f"asked for a number; you returned {result!r}.") from error
