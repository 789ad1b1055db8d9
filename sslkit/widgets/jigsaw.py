"""Put shuffled tiles in order, against the network."""

from __future__ import annotations

import math
from functools import partial

import torch
from ipywidgets import HBox
from torch import Tensor

from sslkit import device as devices
from sslkit import methods, pretext
from sslkit.augment import Augment
from sslkit.widgets.panel import Drawing, Panel, Raster, blank, hint, pictures, ready, row


def puzzle(method: methods.Jigsaw, images: Tensor) -> Panel:
    """Put shuffled tiles in order by swapping two at a time, against the network.

    "check" counts: a point for whoever has every tile in place. The network gets the same tiles, evened out if it was
    trained so, and chooses among its permutations; a person has all orders to choose from.

    Shapes and errors: as for fill_hole; the method is a Jigsaw.
    """
    net, x = ready("puzzle", method, images, methods.Jigsaw)
    net.augment, net.tile_augment = Augment(), None  # the picture as it is, for both players
    state = Puzzle(net, x)
    board = Raster(state.grid, mark="chosen", gap=3)

    def draw() -> Drawing:
        board.show(state.board(), [place == state.chosen for place in range(state.grid**2)], locked=state.checked)
        check.disabled = state.checked
        return state.draw()

    panel = Panel(draw, still=partial(state.draw, reveal=True))
    for place, cell in enumerate(board.cells):
        panel.react(cell, partial(state.choose, place))
    check, another = panel.button("check", state.check), panel.button("next puzzle", state.deal)
    line = hint("Choose two tiles to swap them. When the picture is whole, check.")
    return panel.lay_out(line, row([check, another]), HBox([board, panel.picture]), panel.sentence)


class Puzzle:
    """Shuffled tiles, the reader's order of them, the network's, and the score."""

    def __init__(self, net: methods.Jigsaw, images: Tensor, seed: int = 0):
        self.net, self.images, self.index = net, images, -1
        self.grid = math.isqrt(net.permutations.shape[1])
        self.generator = devices.generator(seed, images.device)
        self.played = self.you = self.network = 0
        self.deal()

    @torch.no_grad()
    def deal(self) -> None:
        """The next picture, shuffled by one of the network's permutations, and the network's answer."""
        self.index = (self.index + 1) % len(self.images)
        image, permutations, draws = self.images[self.index][None], self.net.permutations, self.generator.get_state()
        inputs, target = self.net.views(image, self.generator)
        # The same draws once more, for the tiles as a person sees them: before they are evened out for the network.
        self.generator.set_state(draws)
        image = self.net.augment(image, self.generator)
        tiles, _ = pretext.jigsaw(image, permutations, self.generator, self.net.tile, self.net.jitter)
        confidence, answer = self.net.predict(inputs).softmax(dim=1).max(dim=1)
        self.confidence = confidence.item()
        self.tiles = tiles[0]
        self.solution = pretext.unshuffle(tiles, target, permutations)[0]
        self.answer = pretext.unshuffle(tiles, answer, permutations)[0]
        self.order = list(range(len(self.tiles)))
        self.chosen: int | None = None
        self.checked = False

    @property
    def arranged(self) -> Tensor:
        """The tiles (P, C, t, t) in the reader's order."""
        return self.tiles[self.order]

    def board(self) -> Tensor:
        """The reader's order as a picture (C, S, S)."""
        return pretext.assemble(self.arranged[None], gap=0)[0]

    def choose(self, place: int) -> None:
        """The first tile chosen waits for the second; then the two change places. Chosen twice, a tile is let go."""
        if self.chosen is None:
            self.chosen = place
            return
        a, b, self.chosen = self.chosen, place, None
        self.order[a], self.order[b] = self.order[b], self.order[a]

    def check(self) -> None:
        """Set both answers beside the solution, and count them, once."""
        if self.checked:
            return
        pieces = len(self.tiles)
        self.checked, self.chosen = True, None
        self.played += 1
        self.you += in_place(self.arranged, self.solution) == pieces
        self.network += in_place(self.answer, self.solution) == pieces

    def draw(self, reveal: bool = False) -> Drawing:
        """The network's order and the solution, covered until the reader has checked. `reveal` shows them before, and
        the puzzle too."""
        pieces, orders = len(self.tiles), len(self.net.permutations)
        you, network = in_place(self.arranged, self.solution), in_place(self.answer, self.solution)
        said = f"You {self.you} : {self.network} network ({self.played} checked)."
        if not (self.checked or reveal):
            return pictures(["the network's order", "solution"], [blank(self.board())] * 2), said
        if self.checked:
            said += f" You have {you} of {pieces} tiles in place."
        said += (
            f" The network has {network} of {pieces} in place: confidence {self.confidence:.2f}, by chance "
            f"{1 / orders:.2f}, since it knows {orders} orders. A person has {math.factorial(pieces):,} to choose from."
        )
        titles = ["the puzzle", f"the network's order: {network} of {pieces}", "solution"]
        boards = [pretext.assemble(t[None])[0] for t in (self.arranged, self.answer, self.solution)]
        first = int(not reveal)
        return pictures(titles[first:], boards[first:]), said


def in_place(tiles: Tensor, solution: Tensor) -> int:
    """How many tiles (P, …) look as they should. Two that look the same may stand for each other."""
    return int((tiles == solution).flatten(1).all(dim=1).sum())
