# %% [markdown]
# # 03 · Jigsaw
#
# **The question: what does solving a puzzle teach, and how does a network cheat?**
#
# Cut an image into tiles, shuffle them, and ask for their order. To put an eye beside a nose, one has to know faces; so
# the hope. But a puzzle can also be solved by looking at the edges only. A network takes whatever way is easiest.
#
# After this lesson you can
#
# - cut an image into tiles with gaps and jitter, shuffle them, and undo it;
# - choose orders that are far apart, and say what loss a network has that knows nothing;
# - find three shortcuts of a puzzle without training a network, and say which of them has a cure;
# - say whether a puzzle that is solved more often, or less, taught more.
#
# | | |
# |---|---|
# | you need | lesson 01, or the words *frozen*, *linear probe* and *control* |
# | time | 50 minutes to read and do; the cells run for about 2 minutes on 2 CPU cores, less on a GPU |
# | three exercises | the way back; the farthest order; a gap and jitter |

# %%
import json
import math
from dataclasses import replace

import torch

from sslkit import augment, checks, device, evaluate, methods, nets, plots, pretext, recipes, scoreboard, train, widgets
from sslkit.data import load

machine = device.pick()
splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
known, val, test = splits.values()

# %% [markdown]
# ## A puzzle from every image
#
# Nine **tiles** in three rows, taken row by row. First slowly, on a picture of 6×6 pixels in which every pixel holds its
# own number.

# %%
# NBVAL_CHECK_OUTPUT
numbers = torch.arange(36.0).view(1, 6, 6)  # (C, H, W)


def cut_slowly(image, side):
    corners = [(row, column) for row in range(0, 3 * side, side) for column in range(0, 3 * side, side)]
    return torch.stack([image[:, r : r + side, c : c + side] for r, c in corners])  # (9, C, side, side)


print(cut_slowly(numbers, 2)[[0, 1, 8]].int())

# %% [markdown]
# Without a loop: split both axes in three, and bring the two "which tile" axes to the front. `sslkit.pretext.tiles` does
# it for a batch.

# %%
fast = numbers.view(1, 3, 2, 3, 2).permute(1, 3, 0, 2, 4).flatten(0, 1)  # (C, 3, 2, 3, 2) -> (9, C, 2, 2)
batched = pretext.tiles(numbers[None], grid=3, tile=2, jitter=0)  # (N, 9, C, 2, 2)
assert torch.equal(fast, cut_slowly(numbers, 2)) and torch.equal(fast, batched[0])

# %% [markdown]
# An **order** is a list of nine numbers: place $i$ gets tile $\text{order}[i]$. Every image gets an order of its own.

# %%
some = augment.to_float(known.images[[3, 8, 12, 17, 20, 25, 29, 33]])
tiles = pretext.tiles(some, tile=10, jitter=0)  # the whole cells of 10×10 pixels
orders = pretext.permutations(30)  # thirty orders to choose from, (30, 9)
which = torch.arange(8)  # image n gets order n
shuffled = pretext.shuffle(tiles, which, orders)
pictures = torch.cat([some, pretext.assemble(tiles), pretext.assemble(shuffled)])
plots.image_grid(pictures, columns=8, size=0.9, rows=["image", "tiles", "puzzle"])

# %% [markdown]
# *Figure: eight images; below each its nine tiles with white lines between them; below that the same tiles in a shuffled
# order. A few puzzles can be solved by eye, since a stroke runs on from tile to tile.*
#
# ## Exercise 1: the way back
#
# *5 minutes, easy.*
#
# A shuffled puzzle has to be restored. Shuffling put tile `order[i]` at place `i`. Write `inverse(order)`: the order that
# undoes it. It says for each tile at which place it lies now.
#
# Expected: `inverse(torch.tensor([2, 0, 1]))` gives `[1, 2, 0]`, since tile 0 lies at place 1, tile 1 at place 2 and
# tile 2 at place 0.
#
# <details><summary>Hint 1</summary>With a loop: for every place <code>i</code>, tile <code>order[i]</code> lies there. So
# <code>back[order[i]] = i</code>.</details>
# <details><summary>Hint 2</summary>Which index would sort <code>order</code>? PyTorch has a function for that.</details>


# %%
def inverse(order):
    ### BEGIN SOLUTION
    return order.argsort()
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_inverse(inverse)

# %% [markdown]
# `sslkit.pretext.unshuffle` does this for a batch. Pixels move and none is changed, so it is exact:

# %%
assert torch.equal(pretext.unshuffle(shuffled, which, orders), tiles)

# %% [markdown]
# ## Which orders?
#
# Nine tiles can be laid in 9! orders. To ask *which of them is it?* is a classification with as many classes:

# %%
# NBVAL_CHECK_OUTPUT
print(f"orders of nine tiles: {math.factorial(9):,}; of four tiles: {math.factorial(4)}")

# %% [markdown]
# Too many for nine tiles. The paper (Noroozi and Favaro 2016) takes some of them, and takes care which. Two orders that
# differ in two places only are told apart by those two tiles alone, and these may look alike. So the orders should lie
# far apart. Their **Hamming distance** is the number of places where they differ:
#
# $$d(a, b) = \sum_{i} [a_i \neq b_i]$$

# %%
# NBVAL_CHECK_OUTPUT
a = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])  # two orders of four tiles …
b = torch.tensor([[0, 1, 3, 2], [3, 2, 1, 0], [1, 0, 3, 2]])  # … and three


def hamming_slowly(a, b):
    return torch.tensor([[sum(x != y for x, y in zip(p, q)) for q in b.tolist()] for p in a.tolist()])


def hamming(a, b):
    return (a[:, None] != b).sum(dim=2)  # (A, 1, P) against (B, P) -> (A, B, P) -> (A, B)


print(hamming(a, b))
assert torch.equal(hamming(a, b), hamming_slowly(a, b))

# %% [markdown]
# ## Exercise 2: the farthest order
#
# *8 minutes, medium.*
#
# The set is chosen greedily: start with any order, then add again and again the candidate that is farthest from **all**
# those chosen. Write that choice. `candidates` is $(M, P)$, `chosen` is $(K, P)$. Return the number of the candidate
# whose *least* distance to the chosen is the largest.
#
# Expected: with `candidates = b` and `chosen = a` from above it gives `1`. That one differs from both orders of `a` in
# all four places.
#
# <details><summary>Hint 1</summary><code>hamming(candidates, chosen)</code> has shape (M, K): one row a candidate, one
# column a chosen order. Write its line into your function.</details>
# <details><summary>Hint 2</summary>The least of each row: <code>distance.min(dim=1).values</code>. Then the candidate
# with the largest of these: <code>argmax</code>.</details>


# %%
def farthest(candidates, chosen):
    ### BEGIN SOLUTION
    distance = (candidates[:, None] != chosen).sum(dim=2)
    return distance.min(dim=1).values.argmax().item()
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_farthest(farthest)

# %% [markdown]
# `sslkit.pretext.permutations` chooses so among all 362,880. Is every choice really the best that there was? For four
# tiles we can look at all 24 candidates each time:

# %%
all_24 = pretext.permutations(24, pieces=4)
for k in range(1, 24):
    best_possible = hamming(all_24, all_24[:k]).min(dim=1).values.max()
    assert hamming(all_24[k : k + 1], all_24[:k]).min() == best_possible

# %% [markdown]
# And what does the care buy? The least distance within a set, chosen greedily or drawn at random:


# %%
def least_distance(orders):
    return hamming(orders, orders).masked_fill(torch.eye(len(orders), dtype=torch.bool), 9).min().item()


print(f"{'orders':<10}{'greedy':>8}{'random':>8}")
for count in (10, 30, 100, 300):
    random_orders = torch.rand(count, 9, generator=device.generator(0)).argsort(dim=1)
    print(f"{count:<10}{least_distance(pretext.permutations(count)):>8}{least_distance(random_orders):>8}")

# %% [markdown]
# ## A solver without a network
#
# Before we train anything: how hard is the puzzle? In an uncut picture, the right edge of a tile and the left edge of the
# tile beside it are neighbouring columns of pixels. They are nearly the same. So lay the tiles in each of the 30 orders,
# add up by how much the edges that touch differ, and take the order with the smallest sum.


# %%
def misfit(tiles):
    """Squared difference of the edges that touch, summed over a 3×3 picture: (N, 9, C, t, t) -> (N,)."""
    rows = tiles.unflatten(1, (3, 3))  # (N, 3, 3, C, t, t)
    across = rows[:, :, :-1, ..., -1] - rows[:, :, 1:, ..., 0]  # last column against the next tile's first
    down = rows[:, :-1, ..., -1, :] - rows[:, 1:, ..., 0, :]  # last row against the first row of the tile below
    return across.square().flatten(1).sum(dim=1) + down.square().flatten(1).sum(dim=1)


def by_edges(tiles, orders):
    laid = [pretext.unshuffle(tiles, torch.full((len(tiles),), k), orders) for k in range(len(orders))]
    return torch.stack([misfit(attempt) for attempt in laid]).argmin(dim=0)


# %% [markdown]
# Does `misfit` count right? In the picture of numbers, 12 pairs of pixels touch across an edge and differ by 1, and 12
# touch from above to below and differ by 6:

# %%
# NBVAL_CHECK_OUTPUT
print(misfit(batched).item(), 12 * 1**2 + 12 * 6**2)

# %% [markdown]
# **Predict:** it knows no digits and no photographs, and compares single pixels. A blind guess is right for one puzzle in
# thirty. What share of 1,000 puzzles does it solve?

# %%
my_guess = ...

# %%
images = augment.to_float(val.images[:1000])
puzzles, target = pretext.jigsaw(images, orders, device.generator(0), tile=10, jitter=0)
solved = {"edges run on": (by_edges(puzzles, orders) == target).float().mean().item()}
checks.predicted(my_guess, solved["edges run on"], "share solved")

# %% [markdown]
# The puzzle asks for nothing but neighbouring pixels. A network that finds this out has no reason to learn anything else.
# That is a **shortcut**: a way to a low loss that does not lead through what we wanted.
#
# The cure: leave a **gap**. From each cell of 10 pixels cut a tile of 8. And since a gap of constant width is again
# something to rely on, **jitter** moves each tile within its cell by a random number of pixels.
#
# ## Exercise 3: a gap and jitter
#
# *8 minutes, medium.*
#
# Write `cut(image, tile, moves)`. `image` is $(C, S, S)$; it has 3×3 cells of side $S / 3$ pixels. `tile` is the side of
# a tile. `moves` is $(9, 2)$: how far tile $i$ lies down, and how far right, from the upper left corner of its cell.
# Return the nine tiles, row by row, $(9, C, \text{tile}, \text{tile})$.
#
# Expected: with an image of 30×30 pixels, `tile=8` and all moves `[1, 2]`, tile 4 is `image[:, 11:19, 12:20]`.
#
# <details><summary>Hint 1</summary>Tile <code>i</code> is in row <code>i // 3</code> and column <code>i % 3</code>. Its
# cell starts at that many times <code>S // 3</code> pixels.</details>
# <details><summary>Hint 2</summary><code>top = i // 3 * cell + moves[i, 0]</code>, <code>left</code> likewise; the tile
# is <code>image[:, top : top + tile, left : left + tile]</code>. Then <code>torch.stack</code>.</details>


# %%
def cut(image, tile, moves):
    ### BEGIN SOLUTION
    cell, tiles = image.shape[1] // 3, []
    for i, (down, right) in enumerate(moves.tolist()):
        top, left = i // 3 * cell + down, i % 3 * cell + right
        tiles.append(image[:, top : top + tile, left : left + tile])
    return torch.stack(tiles)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_cut(cut)

# %% [markdown]
# `sslkit.pretext.tiles` does this with moves drawn at random, for a batch. Now the solver again, on tiles of 8 pixels with
# jitter. What else could it use? Neighbouring tiles have similar colours, whatever lies between them. The second cure
# therefore gives **each tile colours of its own**: brightness, contrast, saturation and hue are drawn for each tile alone.

# %%
own_colours = recipes.TILES
puzzles, target = pretext.jigsaw(images, orders, device.generator(0), tile=8, jitter=2)
solved["with a gap"] = (by_edges(puzzles, orders) == target).float().mean().item()
coloured = own_colours(puzzles.flatten(0, 1), device.generator(1)).view_as(puzzles)
solved["and own colours"] = (by_edges(coloured, orders) == target).float().mean().item()
for name, share in solved.items():
    print(f"{name:<18}{share:.2f} of the puzzles solved by edges; a blind guess: {1 / 30:.2f}")

# %%
restored = pretext.unshuffle(puzzles, target, orders)[:8], pretext.unshuffle(coloured, target, orders)[:8]
whole = pretext.tiles(images[:8], tile=10, jitter=0)
rows = [pretext.assemble(whole, gap=0), *(pretext.assemble(tiles, gap=3) for tiles in restored)]
plots.image_grid(torch.cat(rows), columns=8, size=0.9, rows=["edges run on", "gap, jitter", "own colours"])

# %% [markdown]
# *Figure: eight images in three versions, tiles in their right places. First without gaps: whole images. Then with white
# gaps, the strokes no longer meeting exactly. Then with each tile in other colours: the digit can still be read, its
# background falls apart.*
#
# The gap takes most from the solver, and the colours some of the rest. They take little from a person who knows
# digits.
#
# Real photographs have one more such shortcut. A lens bends red and blue differently, so that fringes of colour tell how
# far a tile was from the middle. Our images are too small to show it; drawing colours anew is the cure for that, too.
#
# ## A network that solves puzzles
#
# Each tile goes through the *same* encoder, alone. The embeddings are laid side by side in the order in which the tiles
# lie, and a small net says which of the $K$ orders it was: a classification with free labels.
#
# From here on the puzzle has four tiles and all of their 24 orders; the end of the lesson says why. A cell has 16 pixels,
# a tile 14, and the encoder gets it enlarged to 16.

# %%
# NBVAL_CHECK_OUTPUT
recipe = recipes.get("jigsaw")
with device.seeded(0):
    method = methods.build("jigsaw", nets.ConvNet(), augment=recipe.augment, **recipe.settings)
batch = known.images[:64]
inputs, target = method.views(batch, device.generator(0))
z = method.encoder(inputs.flatten(0, 1))  # every tile of every image in one batch
scores = method.head(z.view(64, -1))
for name, value in {"tiles": inputs, "embeddings": z, "side by side": z.view(64, -1), "scores": scores}.items():
    print(f"{name:<14}{tuple(value.shape)}")

# %% [markdown]
# What loss has a network that knows nothing? It gives every order the probability $1/K$, so its cross-entropy is
# $-\ln \frac{1}{K} = \ln K$. A fresh network should start near that. If it does not, something is wrong before anything
# was learned.

# %%
# NBVAL_CHECK_OUTPUT
chance = math.log(len(method.permutations))
loss = torch.nn.functional.cross_entropy(scores, target)
assert torch.isclose(loss, method(batch, device.generator(0))["loss"], atol=1e-4), "the method does the same"
assert abs(loss.item() - chance) < 0.3
print(f"a network that knows nothing: ln {len(method.permutations)} = {chance:.2f}; a fresh one is near it")

# %%
result = train.fit(method, known.images, replace(recipe.lesson, steps=800))
plots.loss_curve(result.history, chance=chance, title="in which order are the tiles?")

# %% [markdown]
# *Figure: the training loss by epoch. Already in the first epoch it is below the dotted line of knowing nothing; it falls
# quickly at first, then slowly.*


# %%
@torch.inference_mode()
def share_solved(method, inputs, target):
    return (method.predict(inputs.to(machine)).argmax(dim=1).cpu() == target).float().mean().item()


inputs, target = method.views(val.images, device.generator(0))  # puzzles from images that it has not seen
network = share_solved(method, inputs, target)
print(f"solved: {network:.2f} of the puzzles from val; a blind guess: {1 / 24:.2f}")

# %% [markdown]
# ## You against the network
#
# Choose two tiles to swap them. When the picture is whole, check; then the network shows its order.

# %%
widgets.puzzle(method, val.images[:12])

# %% [markdown]
# *Figure: the widget as a picture: a shuffled puzzle, the network's order of its tiles, and the solution.*
#
# ## What does it look at?
#
# Gap and colours are taken care of. Most puzzles are solved. So the network must know what belongs beside what?
#
# There is a third way. Look at where things are, on the average over all images: how far is each pixel from the mean
# colour of its tile?


# %%
def contrast(tiles):
    """How far each pixel is from its tile's mean, whatever the colour: (N, P, C, t, t) -> (N, P, t, t)."""
    return (tiles - tiles.mean(dim=(3, 4), keepdim=True)).abs().mean(dim=2)


tiles = pretext.unshuffle(inputs, target, method.permutations)  # every tile in its place
average = contrast(tiles).mean(dim=0)
average = (average - average.min()) / (average.max() - average.min())
titles = ["upper left", "upper right", "lower left", "lower right"]
plots.image_grid(average[:, None], titles=titles, columns=4, size=1.6)

# %% [markdown]
# *Figure: the average contrast of the upper left, upper right, lower left and lower right tile, bright where strokes are
# frequent. Each is bright toward the middle of the picture: the upper left tile in its lower right corner, and so on.*
#
# A digit stands in the middle of its picture. So each tile **alone** tells where it belongs: the stroke is in the corner
# that points to the middle. Nothing has to be compared with anything.
#
# Is that enough? We fit a *linear* classifier on the contrast of single tiles: which of four places is it from? No
# convolution, no second tile. **Predict:** it lays each puzzle in the order for which its four answers agree best. What
# share does it solve? The network has just printed its own.

# %%
my_guess = ...

# %%
seen, seen_target = method.views(known.images[:4000], device.generator(1))
seen = contrast(pretext.unshuffle(seen, seen_target, method.permutations)).flatten(2)  # (N, 4, t²)
one_tile = evaluate.Probe(seen.flatten(0, 1), torch.arange(4).repeat(len(seen)), classes=4)

says = one_tile(contrast(inputs).flatten(2).flatten(0, 1)).log_softmax(dim=1).view(-1, 4, 4)  # (N, tile, place)
agree = torch.stack([says[:, torch.arange(4), order].sum(dim=1) for order in method.permutations.cpu()], dim=1)
without_comparing = (agree.argmax(dim=1) == target).float().mean().item()
checks.predicted(my_guess, without_comparing, "share solved")
print(f"the network: {network:.2f}; a blind guess: {1 / 24:.2f}")

# %% [markdown]
# A classifier that sees one tile at a time, and of it no more than where it is bright or dark, solves most of the puzzles.
# The network solves more. Does it compare tiles for that? We can take the possibility away: replace the small net on top
# by one linear layer. Such a head only **adds up** what each tile says by itself; it cannot make one tile's answer depend
# on another's. Measured beforehand over three runs each, it solves 0.86<!-- ex:03:sum.solved --> of the puzzles, and the
# head that can compare 0.89<!-- ex:03:base.solved -->.
#
# So comparing adds little. *What goes beside what?* was the idea; *where in the picture is this?* is nearly all that is
# asked.
#
# ## What is it worth?
#
# The claim of the course is about digits, not about puzzles. **Predict** the accuracy of a linear probe on the frozen
# encoder, with ten labels a class. Chance is 0.1, and the same encoder with random weights has 0.28<!-- sb:random/10 -->.

# %%
my_guess = ...

# %%
live = evaluate.label_efficiency(method.encoder, splits, [10], draws=5)[10]
checks.predicted(my_guess, live.mean)

# %% [markdown]
# One run is luck. The experiment behind the rest of this lesson trained three networks for each puzzle, for as many steps
# as ours, and probed each with ten draws of labels: `make experiments LESSON=03`. Its first is the one above.

# %%
sweep = json.loads((scoreboard.FILE.parent / "experiments" / "03.json").read_text())
rows = scoreboard.find(scoreboard.load(), data="photodigits", labels_per_class=10, budget="lesson")
rows = {row["method"]: row for row in rows}
controls = {name: rows[name] for name in ("pixels", "random")}
plots.bars({**controls, "jigsaw": sweep["base"], "supervised": rows["supervised"]}, chance=0.1, title="ten labels a class")

# %% [markdown]
# *Figure: four bars of test accuracy with ten labels a class, beside a dotted line at chance. Pixels and the random
# encoder reach about a quarter, jigsaw twice as much, supervised training far more than jigsaw.*
#
# Better than a random encoder, by 0.27<!-- ex:03:base.gain.random.0 --> (95 % interval
# 0.26<!-- ex:03:base.gain.random.1 --> to 0.29<!-- ex:03:base.gain.random.2 -->): something was learned about digits. To
# know on which side of a tile a stroke runs, one has to see strokes. But supervised training on the same 100 labels is far
# ahead, 0.86<!-- sb:supervised/10 -->. So is a simpler task: rotation has 0.68<!-- sb:rotation/10 -->.
#
# ## What a shortcut costs
#
# Back to the shortcuts. We close them, since an honest puzzle should teach more. **Predict:** which network has the better
# features? The one trained on puzzles with a gap and own colours, or the one for which both shortcuts are open? By how
# much, in accuracy? Write a positive number if you think that closing them helps.

# %%
my_guess = ...

# %%
puzzles = {
    "base": "gap, own colours (the recipe)",
    "no-gap": "no gap, own colours",
    "one-colour": "gap, colours of the image",
    "open": "no gap, colours of the image",
    "normalised": "gap, each tile to mean 0, variance 1",
    "off-centre": "the recipe, on smaller crops",
    "sum": "the recipe, a head that only adds up",
}
print(f"{'':<38}solved  probe        against the recipe, 95 %")
for name, says in puzzles.items():
    row, (gain, low, high) = sweep[name], sweep[name]["gain"].get("base", (0, 0, 0))
    print(f"{says:<38}{row['solved']:.2f}    {row['mean']:.2f} ±{row['std']:.2f}", end="")
    print(f"   {gain:+.2f} ({low:+.2f} to {high:+.2f})" if name != "base" else "")
checks.predicted(my_guess, sweep["base"]["mean"] - sweep["open"]["mean"], "gain by closing both")

# %% [markdown]
# *base* is the recipe; a gain of +0.01 means one picture more in a hundred. Take the first four together:
#
# - **Each shortcut is real.** Every time that one is opened, more puzzles are solved: 0.89<!-- ex:03:base.solved --> with both closed,
#   0.93<!-- ex:03:no-gap.solved --> without the gap, 0.90<!-- ex:03:one-colour.solved --> with the colours of the image,
#   0.94<!-- ex:03:open.solved --> with both open.
# - **One alone costs nothing.** Without the gap the probe is even better by 0.009<!-- ex:03:no-gap.gain.base.0 -->, with the colours
#   of the image by 0.019<!-- ex:03:one-colour.gain.base.0 -->. We had not expected that.
# - **Both together cost little, if anything**: −0.017<!-- ex:03:open.gain.base.0 --> (−0.026<!-- ex:03:open.gain.base.1 --> to
#   −0.008<!-- ex:03:open.gain.base.2 -->). The interval is one over test pictures; by so much another training may differ, too. If
#   it is the price of cheating, it is small: the way to supervised training is more than fifteen times as far.
#
# The other three are cures, or more than that:
#
# - **The paper's cure for colours**, bringing each tile to mean 0 and variance 1, costs as much, or as little, as the shortcuts
#   (−0.018<!-- ex:03:normalised.gain.base.0 -->): on small tiles it also takes away whether there is a stroke at all.
# - **Smaller crops** move the digit out of the middle, so that the place tells less. Far fewer puzzles are solved
#   (0.67<!-- ex:03:off-centre.solved -->), and the probe falls, too (−0.070<!-- ex:03:off-centre.gain.base.0 -->). The third shortcut has no
#   cure that we found: what gives the place away is the digit, and a crop that hides it hides what was to be learned.
# - **A head that only adds up** costs more than the first two shortcuts, −0.043<!-- ex:03:sum.gain.base.0 -->. Comparing adds little to
#   the *solving*, and something to the *teaching*.
#
# Why are the first two shortcuts so cheap? Ask the networks. Give each of them the other ones' puzzles: a network that
# relies on edges must fail when there is a gap. **Predict:** the network in whose training everything was open, on puzzles
# with everything closed. What share does it solve?

# %%
my_guess = ...

# %%
four = ("base", "no-gap", "one-colour", "open")
print(f"{'trained on':<32}solved of: " + "".join(f"{name:>12}" for name in four))
for name in four:
    shares = {name: sweep[name]["solved"], **sweep[name]["on"]}
    print(f"{puzzles[name]:<43}" + "".join(f"{shares[other]:>12.2f}" for other in four))
checks.predicted(my_guess, sweep["open"]["on"]["base"], "share solved")

# %% [markdown]
# Read a column: four networks, the same puzzles. They hardly differ. The network that could have used edges and colours
# solves 0.87<!-- ex:03:open.on.base --> of the puzzles without them; the one trained without them 0.89<!-- ex:03:base.solved -->. So it did
# not live on the shortcut. It knew of it, took it where it was offered, and knew the strokes as well.
#
# Taking the shortcut away and looking again is the test for any model that is suspiciously good. Our solver without a
# network failed it; these networks pass.
#
# (This is a small world: 14 pixels in a tile, a digit in each picture. On large photographs the paper found that a puzzle
# without a gap was solved more often and cost several points of detection (their ablation of shortcuts). Measure it on
# your own images before you trust either.)
#
# ## Which puzzle teaches?
#
# Last, the puzzle itself. Four tiles or nine? Each tile alone, or the whole shuffled picture (*whole*) as one input? And
# how many orders to choose from: 10, 30, 100 or 300? Each point below is one puzzle: how often it is solved, and what a
# probe makes of its encoder. **Predict:** do points further to the right lie higher?

# %%
my_guess = ...

# %%
figure = plots.Figure(figsize=(6.4, 4.4), layout="constrained")
axis = figure.subplots()
for name in ("base", "nine", "whole", "nine-whole-10", "nine-whole-30", "nine-whole-100", "nine-whole-300"):
    row = sweep[name]
    axis.errorbar(row["solved"], row["mean"], yerr=row["std"], fmt="o", color=plots.SSL, elinewidth=0.8)
    where = {"xytext": (-6, 4), "ha": "right"} if name != "nine" else {"xytext": (6, 4)}
    axis.annotate(name, (row["solved"], row["mean"]), textcoords="offset points", **where)
axis.axhline(sweep["random"]["mean"], color=plots.RANDOM, linestyle="--", label="random encoder")
axis.set(xlabel="share of puzzles solved", ylabel="test accuracy, ten labels a class", xlim=(-0.1, 1.1), ylim=(0.2, 0.6))
axis.legend(frameon=False, loc="lower right")
figure

# %% [markdown]
# *Figure: seven puzzles, test accuracy over the share of puzzles solved, all far above the dashed line of the random encoder.
# From 300 orders over 100 to 30 both rise together. At the right end, where nine in ten are solved, lie both the best two and,
# a third of the way down to the random encoder, the puzzle with ten orders.*
#
# Only up to a point. A puzzle that is hardly solved teaches less. But *nine-whole-10*, with ten orders to choose from, is
# solved in 0.91<!-- ex:03:nine-whole-10.solved --> of the cases and gives 0.46<!-- ex:03:nine-whole-10.mean -->; *base* is solved a little
# less often and gives 0.55<!-- ex:03:base.mean -->.
#
# - **How the tiles are shown** decides most. Each tile alone: 0.55<!-- ex:03:base.mean --> with four, 0.54<!-- ex:03:nine.mean --> with nine.
#   The whole shuffled picture at once: 0.49<!-- ex:03:whole.mean --> and 0.47<!-- ex:03:nine-whole-30.mean -->. There the encoder sees seams in
#   every picture, and learns them; nobody will show it seams later.
# - **Four tiles or nine** makes no difference that we could measure: −0.005<!-- ex:03:nine.gain.base.0 -->
#   (−0.018<!-- ex:03:nine.gain.base.1 --> to 0.007<!-- ex:03:nine.gain.base.2 -->). Nine take more than twice the computing, so we took four.
# - **How many orders**: ten and thirty are worth the same, 0.46<!-- ex:03:nine-whole-10.mean --> and 0.47<!-- ex:03:nine-whole-30.mean -->;
#   100 and 300 are worth less after the same 800 steps, 0.42<!-- ex:03:nine-whole-100.mean --> and 0.40<!-- ex:03:nine-whole-300.mean -->. With
#   300 the puzzle is hardly begun: the loss fell from ln 300 = 5.7 to 4.5<!-- ex:03:nine-whole-300.loss -->, and
#   0.11<!-- ex:03:nine-whole-300.solved --> are solved. Yet the encoder is far better than a random one. A task need not be solved
#   to teach.
#
# ## The scoreboard
#
# *jigsaw* is the recipe of this lesson, with 1,500 steps instead of our 800.

# %%
shown = ("chance", "pixels", "random", "supervised, weak", "supervised", "rotation", "inpainting", "jigsaw")
print(scoreboard.render([row for row in scoreboard.find(scoreboard.load(), data="photodigits") if row["method"] in shown]))

# %% [markdown]
# Nearly twice the training brings a little more. At no number of labels does the puzzle reach careful
# supervised training; with one label a class it is 0.24<!-- sb:jigsaw/1 --> against 0.37<!-- sb:supervised/1 -->.
#
# ## Recap
#
# - **Tiles, orders, and the way back**: cutting and shuffling move pixels and change none; `order.argsort()` undoes an order.
# - **Far orders, and knowing nothing**: orders chosen greedily by Hamming distance differ in many places; a network that
#   knows nothing of $K$ orders has the loss $\ln K$.
# - **Three shortcuts, found without a network**: edges that run on (cure: gap and jitter), colours that go on (cure: colours of
#   its own for each tile), and the place in the picture, which one tile alone gives away (no cure that did not cost more).
# - **Solved is not taught**: of two puzzles that are solved nine times in ten, one may teach far more. To know whether a model lives on a
#   shortcut, take it away and look again.
#
# Next: lesson 04 asks how simple a pretext task may be.
