"""ipywidgets over the methods: change the input by hand, and see what the network makes of it.

    fill_hole   hide parts of a picture; the network fills them, and so does the nearest visible pixel
    puzzle      put shuffled tiles in order, against the network
    turn        turn a picture to any angle, and see which way up the network takes it to be
    triplet_plane   move an anchor, a positive and a negative in the plane, and see the triplet loss pull at them
    next_word       type a sentence, see which words a model expects next, pick one, and go on
    explore_views   set every augmentation with a slider, and see many views of a picture at once
    mask_patches    hide more or fewer patches of a picture, and see it reconstructed from the others
    same_or_not     move a threshold over the distances of pairs, and see which pairs it gets wrong
    scrub       go through a clip frame by frame, forwards and backwards, with the prediction beside it
    explore_embedding   see any encoder's embeddings on a map, each picture's nearest neighbours, and the mistakes
    compare     choose methods, budget and numbers of labels; the scoreboard's curves with your own runs beside them
    copied_layers   choose how many layers are copied and whether they are frozen, and see what was measured
    watch_training  train, and see the loss, a probe, the embedding and the time left; a button ends it

Each returns one object: the value of a cell's last line, or something to `display`. Only `watch_training` shows itself
at once: it trains, and returns the run's result. Where there is no kernel (on GitHub, in nbconvert, on paper) a picture
and a sentence stand in a widget's place.

All are made alike. A state (a class such as `Hole` or `Plane`) knows what follows from what; it needs no front end,
and `draw()` gives its figure and its sentence. A `Panel` joins controls to it: act on the state, then draw.

A widget works on a copy of the method, taken when it is made, in eval mode. JupyterLab may run a callback in another
thread while a cell trains the method on: put into eval mode there, it would stop learning its batch statistics.
"""

from __future__ import annotations

from sslkit.widgets.compare import Board, compare
from sslkit.widgets.decision import Decision, same_or_not
from sslkit.widgets.depth import Depth, copied_layers
from sslkit.widgets.explorer import Explorer, explore_embedding
from sslkit.widgets.hole import CELLS, HOLES, Hole, fill_hole, fillings, mask_of, name_of, outline
from sslkit.widgets.jigsaw import Puzzle, in_place, puzzle
from sslkit.widgets.live import Measure, Training, watch_training
from sslkit.widgets.masking import Masking, mask_patches, reconstruction
from sslkit.widgets.next_word import CHOICES, Writer, next_word
from sslkit.widgets.panel import Drawing, Panel, Raster
from sslkit.widgets.plane import NEGATIVES, PLACES, RATE, Plane, triplet_plane
from sslkit.widgets.rotation import STEP, Turn, positions, turn, turned
from sslkit.widgets.scrub import Scrub, scrub
from sslkit.widgets.views import DRAWS, KNOBS, SETTINGS, Views, explore_views

__all__ = [
    "Drawing",
    "Panel",
    "Raster",
    "CELLS",
    "HOLES",
    "Hole",
    "fill_hole",
    "fillings",
    "mask_of",
    "name_of",
    "outline",
    "Puzzle",
    "in_place",
    "puzzle",
    "Measure",
    "Training",
    "watch_training",
    "Masking",
    "mask_patches",
    "reconstruction",
    "STEP",
    "Turn",
    "positions",
    "turn",
    "turned",
    "NEGATIVES",
    "PLACES",
    "Plane",
    "RATE",
    "triplet_plane",
    "Decision",
    "same_or_not",
    "CHOICES",
    "Writer",
    "next_word",
    "Scrub",
    "scrub",
    "Depth",
    "copied_layers",
    "DRAWS",
    "KNOBS",
    "SETTINGS",
    "Views",
    "explore_views",
    "Explorer",
    "explore_embedding",
    "Board",
    "compare",
]
