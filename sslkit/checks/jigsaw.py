"""Checks of lesson 03: the jigsaw."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sslkit import device as devices
from sslkit.checks.answer import Wrong, as_tensor, call, check, tensor


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
    got = tensor(answer, order)
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
        raise Wrong(
            f"you compared with the {which} of the chosen alone, or by how far numbers are apart. Count the places "
            "that differ, and look at every one of the chosen."
        )
    if got != 2:
        raise Wrong(f"right for five pieces, wrong for six: the least distances are [4, 3, 5, 0, 4]; you gave {got}.")


def _candidate(answer: Callable[[Tensor, Tensor], int], candidates: list, chosen: list) -> int:
    got = tensor(answer, torch.tensor(candidates), torch.tensor(chosen))
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
    got = call(answer, image, side, moves)
    wanted = (9, len(image), side, side)
    if isinstance(got, list | tuple) and all(isinstance(tile, Tensor) for tile in got):
        for i, tile in enumerate(got):
            if tile.shape != wanted[1:]:
                raise Wrong(
                    f"with an image {tuple(image.shape)} and tiles of {side} px your tile {i} is {tuple(tile.shape)}."
                )
    got = as_tensor(got)
    if got.shape != wanted:
        raise Wrong(
            f"an image {tuple(image.shape)} and tiles of {side} px give shape {wanted}; yours is {tuple(got.shape)}."
        )
    return got
