# %% [markdown]
# # A1 · Pretext: the missing part and the puzzle
#
# *After lessons 01 to 03. 24 points: 18 marked by running your code, 6 by reading your answers. About 3 hours; all cells
# run for about a minute on 2 CPU cores.*
#
# | part | what you do | points |
# |---|---|---|
# | 0 | say who you are | 1 |
# | 1 | hide a band of your own | 4 |
# | 2 | a control that looks along the rows | 3 |
# | 3 | a network against the controls | 3 + 3 written |
# | 4 | how good is half a solution? | 3 |
# | 5 | a shortcut that the lens made | 4 + 3 written |
#
# How it works:
#
# - Write in the place of `# your code here`, and *Your answer here.* Add cells of your own wherever you like; cells with
#   tests are read-only, and what you change in them is undone before marking.
# - The tests that you see are a part of those that mark: hidden ones try other inputs. So write what is asked for, not
#   what passes.
# - A test whose error speaks of an `ellipsis` has met a `...`: the function that it tries is not written yet.
# - Before you hand in: *Kernel → Restart Kernel and Run All Cells*. What only works in the order in which you happened to
#   run it does not work.
# - Data and parameters depend on your name in part 0. Your numbers differ from your neighbour's.

# %%
import torch

from sslkit import augment, device, evaluate, losses, methods, nets, pretext, recipes, train, variants
from sslkit.data import load

machine = device.pick()
splits = {name: load("photodigits", name) for name in ("train", "val", "test")}

# %% [markdown]
# ## 0 · Who are you?
#
# Return the name that you hand in under, in quotes: your user name, or that of your group.


# %% kind="answer" id="student"
def student():
    ### BEGIN SOLUTION
    return "the instructor"
    ### END SOLUTION


# %% kind="tests" id="test-student" points=1
assert isinstance(student(), str) and student().strip(), "return your name in quotes"
### BEGIN HIDDEN TESTS
from pathlib import Path

if Path.cwd().parents[1].name == "autograded":
    handed_in_by = Path.cwd().parent.name
    assert variants.Variant(student()).name == variants.Variant(handed_in_by).name, f"handed in by {handed_in_by}"
### END HIDDEN TESTS

# %%
V = variants.Variant(student())
width = V.choose("width", (6, 8, 10, 12))
rises = V.choose("rises", (True, False))
strength = V.choose("strength", (0.6, 0.7, 0.8))
answers = V.choose("permutations", (8, 12, 16))
order = torch.randperm(12000, generator=V.generator("images"))
known, val = splits["train"].subset(order[:8000]), splits["val"]
print(f"{V.name}: bands of {width} px that {'rise' if rises else 'fall'}; a lens of {strength}; {answers} orders")

# %% [markdown]
# ## 1 · A band
#
# Lesson 02 hid halves, squares and stripes. Hide a **diagonal band**. An image of $S \times S$ pixels has its own offset
# $s \in \{0, …, S-1\}$, drawn at random, all equally likely. A pixel in row $i$ and column $j$ is hidden if
#
# $$(i - j - s) \bmod S < w \quad\text{(falls, from left to right)} \qquad (i + j - s) \bmod S < w \quad\text{(rises)}$$
#
# Write `band(x, generator, width, rises)`: `x` is $(N, C, S, S)$, `width` is $w$; the mask is `torch.bool`,
# $(N, 1, S, S)$, true where hidden. The band goes round the edge. All randomness comes from `generator`.


# %% kind="answer" id="band"
def band(x, generator, width, rises):
    ### BEGIN SOLUTION
    n, _, side, _ = x.shape
    offset = torch.randint(side, (n, 1, 1, 1), generator=generator, device=x.device)
    i = torch.arange(side, device=x.device)[:, None]
    j = torch.arange(side, device=x.device)[None, :]
    along = i + j if rises else i - j
    return (along - offset) % side < width
    ### END SOLUTION


# %% kind="tests" id="test-band" points=2
x = torch.zeros(5, 3, 32, 32)
mask = band(x, device.generator(0), width, rises)
assert mask.dtype == torch.bool and mask.shape == (5, 1, 32, 32), f"got {mask.dtype}, {tuple(mask.shape)}"
assert bool((mask.sum(dim=(1, 2, 3)) == 32 * width).all()), "every row hides `width` pixels"
### BEGIN HIDDEN TESTS
for side, wide, up in ((24, 5, True), (24, 5, False), (7, 3, True), (10, 1, False)):
    small = band(torch.zeros(40, 1, side, side), device.generator(1), wide, up)
    rows, columns = torch.arange(side)[:, None], torch.arange(side)[None]
    diagonal = rows + columns if up else rows - columns
    every = torch.stack([(diagonal - s) % side < wide for s in range(side)])
    fits = (small[:, 0, None] == every).all(dim=(2, 3))
    assert bool(fits.any(dim=1).all()), f"not a band that {'rises' if up else 'falls'}, of {wide} px on {side} px"
### END HIDDEN TESTS

# %% kind="tests" id="test-band-draws" points=2
again = [band(x, device.generator(seed), width, rises) for seed in (0, 0, 1)]
assert torch.equal(again[0], again[1]), "the same generator gave two different draws"
assert not torch.equal(again[0], again[2]), "another generator gave the same draw"
### BEGIN HIDDEN TESTS
many = band(torch.zeros(600, 1, 6, 6), device.generator(3), 1, False)[:, 0, :, 0]
counts = many.long().argmax(dim=1).bincount(minlength=6)
assert int(counts.min()) > 60 and int(counts.max()) < 140, f"offsets are not equally likely: {counts.tolist()}"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Along the rows
#
# The lesson's controls are the mean image, the nearest visible pixel, and a linear prediction, which needs one mask for
# all images. Your bands differ, so the third is out. Take its place: **interpolate along the row**.
#
# For a hidden pixel in column $j$, let $a < j$ be the nearest visible column on its left, $b > j$ on its right:
#
# $$\hat x_j = \frac{(b - j)\, x_a + (j - a)\, x_b}{b - a}$$
#
# With a visible pixel on one side only, copy it. Visible pixels stay as they are. A row without a visible pixel is
# filled with `0.5`.
#
# Write `along_rows(x, mask)`: `x` is $(N, C, H, W)$, `mask` is $(N, 1, H, W)$. Loops are allowed; part 3 uses it on 200
# images of 32×32.


# %% kind="answer" id="along-rows"
def along_rows(x, mask):
    ### BEGIN SOLUTION
    column = torch.arange(x.shape[3]).expand_as(mask)
    left = torch.where(mask, -1, column).cummax(dim=3).values
    right = torch.where(mask, x.shape[3], column).flip(3).cummin(dim=3).values.flip(3)
    has_left, has_right = left >= 0, right < x.shape[3]
    x_left = x.gather(3, left.clamp(min=0).expand_as(x))
    x_right = x.gather(3, right.clamp(max=x.shape[3] - 1).expand_as(x))
    share = (column - left) / (right - left).clamp(min=1)
    between = (1 - share) * x_left + share * x_right
    filled = torch.where(has_left & has_right, between, torch.where(has_left, x_left, x_right))
    filled = torch.where(has_left | has_right, filled, 0.5)
    return torch.where(mask, filled, x)
    ### END SOLUTION


# %% kind="tests" id="test-along-rows" points=3
row = torch.tensor([0.1, 0.9, 0.3, 0.7, 0.2, 0.5])[None, None, None]
hidden = torch.tensor([True, False, True, True, False, True])[None, None, None]
filled = along_rows(row, hidden)
wanted = torch.tensor([0.9, 0.9, 0.9 - 0.7 / 3, 0.9 - 1.4 / 3, 0.2, 0.2])
assert filled.shape == row.shape and torch.allclose(filled[0, 0, 0], wanted), f"got {filled[0, 0, 0].tolist()}"
### BEGIN HIDDEN TESTS
import numpy as np

x = torch.rand(6, 2, 5, 9, generator=V.generator("rows"))
mask = torch.rand(6, 1, 5, 9, generator=V.generator("holes")) < 0.6
mask[0, 0, 2] = True
mask[1, 0, 3] = False
got, before = along_rows(x.clone(), mask.clone()), x.numpy()
for n, c, i in np.ndindex(6, 2, 5):
    seen = ~mask[n, 0, i].numpy()
    right = np.full(9, 0.5) if not seen.any() else np.interp(np.arange(9), np.arange(9)[seen], before[n, c, i][seen])
    right[seen] = before[n, c, i][seen]
    assert np.allclose(got[n, c, i].numpy(), right, atol=1e-5), f"the row {before[n, c, i]} with {seen} visible"
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A network against the controls
#
# The cell below trains the network of lesson 02 on your bands: half a minute on 2 cores. It predicts the
# contrast-normalised grey picture. As long as part 1 is not written, it trains on halves instead, so that it runs.


# %%
def hole(x, generator=None):
    return band(x, generator, width, rises) if written else pretext.half(x, generator)


written = torch.is_tensor(band(torch.zeros(1, 3, 32, 32), device.generator(0), width, rises))
grey = pretext.contrast_normalised_grey
config = train.TrainConfig(steps=800, batch_size=128, progress=False)
with device.seeded(V.seed("network")):
    network = methods.Inpainting(nets.ConvNet(), mask=hole, target=grey)
untrained = nets.build(network.encoder.config())
train.fit(network, known.images, config)
network = network.eval().cpu()

# %% [markdown]
# Write `compare(network, images, mask, targets)`. It gives a dict with the mean squared error **in the hole**, as
# numbers, of
#
# - `"mean image"`: the mean of `targets`, the contrast-normalised grey of training images, $(M, 1, H, W)$;
# - `"along rows"`: your control;
# - `"network"`: `network.predict(inputs)`. It takes pictures with a hole in them, as `pretext.hide(images, mask)` makes
#   them, and gives the whole picture, $(N, 1, H, W)$, in the units of `grey`.
#
# `images` are float in $[0, 1]$, $(N, 3, H, W)$. The target is `grey(images)`. For *along rows*, fill in `grey(images)`
# itself: a control may be helped, a network may not.


# %% kind="answer" id="compare"
def compare(network, images, mask, targets):
    ### BEGIN SOLUTION
    inputs, mask, target = pretext.hide(images, mask, target=grey)
    with torch.inference_mode():
        painted = network.predict(inputs)
    guesses = {
        "mean image": pretext.mean_image(targets, len(images)),
        "along rows": along_rows(grey(images), mask),
        "network": painted,
    }
    return {name: losses.masked_mse(guess, target, mask).item() for name, guess in guesses.items()}
    ### END SOLUTION


# %% kind="tests" id="test-compare" points=2
images = augment.to_float(val.images[:200])
mask = band(images, V.generator("bands"), width, rises)
targets = grey(augment.to_float(known.images[:2000]))
errors = compare(network, images, mask, targets)
print({name: round(error, 3) for name, error in errors.items()})
assert set(errors) == {"mean image", "along rows", "network"}
### BEGIN HIDDEN TESTS
where = mask.expand(-1, 1, -1, -1)
truth = grey(images)
right = {
    "mean image": (targets.mean(dim=0, keepdim=True) - truth)[where].square().mean(),
    "along rows": (along_rows(truth, mask) - truth)[where].square().mean(),
}
with torch.inference_mode():
    right["network"] = (network.predict(torch.where(mask, 0.5, images)) - truth)[where].square().mean()
for name, error in right.items():
    assert abs(errors[name] - float(error)) < 1e-3, f"{name}: you have {errors[name]:.3f}, it is {float(error):.3f}"
### END HIDDEN TESTS

# %% kind="tests" id="test-network" points=1
assert errors["network"] > 0
if not device.fast():
    assert errors["network"] < errors["mean image"], "the network is no better than the mean image"
### BEGIN HIDDEN TESTS
assert errors["network"] < 2 and band(images, device.generator(5), width, rises).any()
### END HIDDEN TESTS

# %%
for name, encoder in {"random": untrained, "your bands": network.encoder}.items():
    score = evaluate.label_efficiency(encoder.to(machine), splits, [10], draws=3)[10]
    print(f"{name:<12}{score.mean:.2f} ± {score.std:.2f} with ten labels a class")

# %% [markdown]
# **3 points, half a page.** Which of the three predictions is the best in your bands, and why that one? Is the network's
# encoder better than a random one? Does a lower error in the hole mean better features? Compare with the holes of lesson
# 02, use your numbers, and say how you would find out.

# %% [markdown] kind="written" id="why-bands" points=3
# ### BEGIN SOLUTION
# (For bands of 12 px; narrower ones are kinder to the rows.) The network is far ahead, 0.42 against 1.04 and 1.08. The
# rows are no better than the mean image: a stroke is 3 px wide, so what lies between the two ends of a gap of 12 px
# has little to do with either. Along the band, though, everything is interrupted for a moment only, and most of
# a digit is still to be seen; that is what the network uses. Its encoder has 0.37 against 0.27 for the random one, which is
# less than the half of lesson 02 gives: there more has to be guessed. So error and features do not go
# together: errors of different holes cannot even be compared, only each with its own controls. To find out, train on
# bands of several widths, for three seeds each, and set the probe's accuracy beside the error *relative to the best
# control*, choosing on val.
# ### END SOLUTION

# %% [markdown]
# ## 4 · Half a solution
#
# Lesson 03 counted puzzles that are solved whole. With tiles swapped in one corner only, a network knows much, and gets
# nothing for it. Count **tiles** instead.
#
# `permutations` is $(K, P)$; in order $k$, place $i$ holds tile `permutations[k, i]`. A network is shown puzzles in the
# orders `target` $(N,)$ and says `guess` $(N,)$, both numbers of orders. A tile counts as placed when the order that was
# guessed has the same tile in its place as the true one. Write `placed(guess, target, permutations)`: the share of all
# $N \cdot P$ tiles that are placed.


# %% kind="answer" id="placed"
def placed(guess, target, permutations):
    ### BEGIN SOLUTION
    return (permutations[guess] == permutations[target]).float().mean().item()
    ### END SOLUTION


# %% kind="tests" id="test-placed" points=2
three = torch.tensor([[0, 1, 2, 3], [0, 1, 3, 2], [3, 2, 1, 0]])
assert placed(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]), three) == 1, "every guess is right"
assert abs(placed(torch.tensor([1, 2]), torch.tensor([0, 0]), three) - 0.25) < 1e-6, "2 of 8 tiles are placed"
### BEGIN HIDDEN TESTS
orders = pretext.permutations(answers, pieces=9, seed=V.seed("orders") % 1000)
guess, target = torch.randint(answers, (2, 50), generator=V.generator("guesses"))
right = sum(
    int(orders[g, i] == orders[t, i]) for g, t in zip(guess.tolist(), target.tolist()) for i in range(9)
)
assert abs(placed(guess, target, orders) - right / 450) < 1e-5, "wrong for nine tiles"
### END HIDDEN TESTS

# %% [markdown]
# What does somebody reach who knows nothing, and names one of the $K$ orders blindly? The true orders are equally
# frequent. Write `blind(permutations)`: the share of tiles to be **expected**, exactly, without drawing anything.


# %% kind="answer" id="blind"
def blind(permutations):
    ### BEGIN SOLUTION
    return (permutations[:, None] == permutations[None]).double().mean().item()
    ### END SOLUTION


# %% kind="tests" id="test-blind" points=1
assert abs(blind(three[:2]) - 0.75) < 1e-6, "two orders that share half of their tiles"
### BEGIN HIDDEN TESTS
assert abs(blind(three) - (3 * 4 + 2 * 2) / (9 * 4)) < 1e-6
expected = sum(placed(torch.full((answers,), k), torch.arange(answers), orders) for k in range(answers)) / answers
assert abs(blind(orders) - expected) < 1e-5, "wrong for nine tiles"
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · A shortcut that the lens made
#
# Many lenses draw the corners of a picture darker than its middle. With $u_j = \frac{2j + 1}{W} - 1$ across and
# $v_i = \frac{2i + 1}{H} - 1$ down:
#
# $$y_{ij} = x_{ij} \left(1 - s\, \frac{u_j^2 + v_i^2}{2}\right)$$
#
# Write `lens(x, s)` for images $(N, C, H, W)$.


# %% kind="answer" id="lens"
def lens(x, s):
    ### BEGIN SOLUTION
    height, width = x.shape[2:]
    u = (2 * torch.arange(width, device=x.device) + 1) / width - 1
    v = (2 * torch.arange(height, device=x.device) + 1) / height - 1
    return x * (1 - s * (u.square() + v[:, None].square()) / 2)
    ### END SOLUTION


# %% kind="tests" id="test-lens" points=1
assert torch.allclose(lens(torch.ones(1, 1, 2, 2), 0.8), torch.full((1, 1, 2, 2), 0.8))
assert torch.equal(lens(images, 0.0), images)
### BEGIN HIDDEN TESTS
wide = lens(torch.ones(2, 3, 4, 6), strength)
for i, j in ((0, 0), (1, 5), (2, 3), (3, 1)):
    by_hand = 1 - strength * (((2 * j + 1) / 6 - 1) ** 2 + ((2 * i + 1) / 4 - 1) ** 2) / 2
    assert torch.allclose(wide[:, :, i, j], torch.tensor(by_hand)), f"row {i}, column {j} of 4 × 6 pixels"
### END HIDDEN TESTS

# %% [markdown]
# Cut such pictures into 2×2 tiles. Each tile is darker toward the corner that it came from. So a tile **alone** tells its
# place, and nothing has to be known about digits.
#
# Write that solver, without a network. `corner(tiles)` takes tiles $(N, P, 3, t, t)$, each by itself, and says where each
# is from: int64 $(N, P)$, with 0 upper left, 1 upper right, 2 lower left, 3 lower right.
#
# It has to find the lens and not the digit: at least 0.60 right with your lens, and at most 0.36 without one, where a
# blind guess has 0.25. A first idea will reach the one and miss the other. Find out why.


# %% kind="answer" id="corner"
def corner(tiles):
    ### BEGIN SOLUTION
    # Strokes are brighter than their surroundings a little more often, and lie toward the middle of the picture: a mean
    # sees them. A median does not, as long as a stroke covers less than half.
    light = tiles.mean(dim=2)
    light = light / light.mean(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    half = light.shape[-1] // 2

    def median(part):
        return part.flatten(2).median(dim=2).values

    dark_right = median(light[..., -half:]) < median(light[..., :half])
    dark_below = median(light[..., -half:, :]) < median(light[..., :half, :])
    return dark_right.long() + 2 * dark_below.long()
    ### END SOLUTION


# %% kind="tests" id="test-corner" points=3
def share_right(s, part=val.images):
    tiles = pretext.tiles(lens(augment.to_float(part), s), device.generator(0), grid=2)
    places = corner(tiles)
    assert places.shape == tiles.shape[:2] and places.dtype == torch.int64
    return (places == torch.arange(4)).float().mean().item()


with_lens, without = share_right(strength), share_right(0.0)
print(f"with the lens {with_lens:.2f}, without {without:.2f}")
assert with_lens >= 0.60 and without <= 0.36
### BEGIN HIDDEN TESTS
others = splits["train"].images[-2000:]
assert share_right(strength, others) >= 0.58 and share_right(0.0, others) <= 0.38, "right for val only"
shuffled = pretext.tiles(lens(augment.to_float(others[:200]), strength), device.generator(0), grid=2)[:, [2, 0, 3, 1]]
assert torch.equal(corner(shuffled)[:, [1, 3, 0, 2]], corner(shuffled[:, [1, 3, 0, 2]])), "each tile by itself"
### END HIDDEN TESTS

# %% [markdown]
# Does a network take that way? Two networks, one trained on pictures with your lens, one without, solve puzzles with it
# and without it. A quarter of a minute each.

# %%
recipe = recipes.get("jigsaw")
settings = recipe.settings | {"permutations": answers}
views = {"no lens": recipe.augment, "lens": lambda x, g=None: lens(recipe.augment(x, g), strength)}
if torch.is_tensor(lens(images, 0.0)):  # as soon as you have written it
    solvers = {}
    for name, view in views.items():
        with device.seeded(V.seed("puzzle")):
            solvers[name] = methods.Jigsaw(nets.ConvNet(), augment=view, **settings)
        train.fit(solvers[name], known.images, train.TrainConfig(steps=250, batch_size=128, progress=False))
    print(f"{'trained with':<16}solved: no lens    lens")
    for name, solver in solvers.items():
        solver = solver.eval().cpu()
        solved = []
        for view in views.values():
            solver.augment = view
            inputs, target = solver.views(val.images[:1000], V.generator("puzzles"))
            with torch.inference_mode():
                solved.append((solver.predict(inputs).argmax(dim=1) == target).float().mean().item())
        print(f"{name:<24}{solved[0]:>7.2f} {solved[1]:>7.2f}")

# %% [markdown]
# **3 points, half a page.** Why did your first idea for `corner` not pass, or why would the mean brightness not have?
# What does the table say: did the network take the shortcut? Propose one cure, say what it may cost, and describe the
# measurement that decides whether it was worth it: what is compared with what, on which split, over what.

# %% [markdown] kind="written" id="why-lens" points=3
# ### BEGIN SOLUTION
# The mean also sees the stroke: strokes here are brighter than the background a little more often, and lie toward the
# middle, so a solver by the mean is right for more than a third without any lens. The network trained with the lens
# solves puzzles with the lens better than those without: it leans on it. The one trained without is hardly moved by it.
# A cure: draw the lens's strength and centre anew for each image, also negative ones, so that darkness says
# nothing about the place; it costs contrast near the border. Or take a plane of brightness out of every tile; that costs
# real gradients. It is worth it if the *probe* gets better: three pretraining seeds with and without the cure, same
# steps, ten draws of ten labels a class, chosen on val, read on test at the end, with the interval of the paired
# difference. Fewer solved puzzles are no argument against it.
# ### END SOLUTION
