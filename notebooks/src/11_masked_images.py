# %% [markdown]
# # 11 · Masked images
#
# **The question: hide half of an image. What is worth predicting of it, the pixels or what they mean?**
#
# Lesson 02 hid a part of the picture and had a network paint it. This is the same idea, six years on, with three things
# changed. The picture is a sequence of small squares. The encoder gets the visible squares and nothing else. And what is
# predicted need not be pixels.
#
# After this lesson you can
#
# - cut images into patches and put them back, bit for bit;
# - hide an exact share of the patches, others in each image, and say what the encoder saves by it;
# - build a masked autoencoder from its three pieces, and say what its loss is for a network that knows nothing;
# - predict embeddings in the place of pixels, and say what keeps them from collapsing;
# - say what all that is worth at this size, against its controls.
#
# | | |
# |---|---|
# | you need | lesson 02, or the words *encoder*, *target* and *linear probe*; for the last part *collapse* (lesson 10) |
# | time | 50 minutes to read and do; the cells run for about a minute on 2 CPU cores, under one on a GPU |
# | three exercises | patches; the mask; the loss |

# %%
import json
import time

import torch
import torch.nn.functional as F

from sslkit import augment, checks, device, evaluate, losses, methods, nets, plots, pretext, recipes, scoreboard, train
from sslkit import widgets
from sslkit.data import load

machine = device.pick()
splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
known, val, test = splits.values()
some = augment.to_float(val.images[:8])

# %% [markdown]
# ## A picture as a sequence
#
# Cut an image of 32×32 pixels into squares of 8×8. That gives 4 rows and 4 columns of **patches**, numbered as one reads:
# $P = 16$. Each is $C \cdot p^2 = 3 \cdot 64 = 192$ numbers. Patch $i$ of image $x$, with $p$ pixels a side and $w$
# patches in a row:
#
# $$t_i = x\big[:,\; p\,r : p\,r+p,\; p\,c : p\,c+p\big], \qquad r = \lfloor i / w \rfloor,\; c = i \bmod w$$

# %%
# NBVAL_CHECK_OUTPUT
x = torch.arange(16).view(1, 1, 4, 4)
print(x[0, 0])
for i in range(4):
    r, c = divmod(i, 2)
    print("patch", i, x[0, :, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].flatten().tolist())

# %% [markdown]
# ## Exercise 1: patches
#
# *8 minutes, medium.*
#
# Write `patchify(images, patch)`. `images` is $(N, C, H, W)$; the result is $(N, P, C \cdot p^2)$. Patches are numbered
# row by row. The numbers of a patch are all of its red pixels, row by row, then green, then blue.
#
# Expected: for the image above and `patch=2`, patch 1 is `[2, 3, 6, 7]`.
#
# <details><summary>Hint 1</summary>With a loop: for every row and column of patches take
# <code>images[:, :, p*r : p*r+p, p*c : p*c+p].flatten(1)</code>, and <code>torch.stack</code> them along
# <code>dim=1</code>.</details>
# <details><summary>Hint 2</summary>Without one: <code>images.view(N, C, H//p, p, W//p, p)</code> splits both axes. Bring
# them into the order image, row, column, C, p, p with <code>permute</code>, then <code>reshape</code>.</details>


# %%
def patchify(images, patch):
    ### BEGIN SOLUTION
    n, c, h, w = images.shape
    squares = images.view(n, c, h // patch, patch, w // patch, patch).permute(0, 2, 4, 1, 3, 5)
    return squares.reshape(n, (h // patch) * (w // patch), c * patch**2)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_patchify(patchify)

# %% [markdown]
# From here on we use `sslkit.nets.patchify`. Nothing is lost: `unpatchify` puts the squares back.

# %%
tokens = nets.patchify(some, 8)
assert tokens.shape == (8, 16, 192)
assert torch.equal(nets.unpatchify(tokens, 8, (4, 4)), some)

# %% [markdown]
# ## Who looks at whom
#
# A **vision transformer** (Dosovitskiy et al. 2021) turns each patch into a vector, a **token**. Then come
# blocks of **attention** (Vaswani et al. 2017): every token asks a question $q_i$, compares it with the keys $k_j$ of all
# tokens, and takes up a mean of their values $v_j$, weighted by how well they fit:
#
# $$y_i = \sum_j a_{ij} v_j, \qquad a_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt d)}{\sum_l \exp(q_i \cdot k_l / \sqrt d)}$$

# %%
# NBVAL_CHECK_OUTPUT
q = k = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.1]])
v = torch.tensor([[1.0], [10.0], [100.0]])


def attend_slowly(q, k, v):
    y = torch.zeros(len(q), v.shape[1])
    for i in range(len(q)):
        fit = torch.stack([q[i] @ k[j] / q.shape[1] ** 0.5 for j in range(len(k))]).exp()
        y[i] = sum(fit[j] / fit.sum() * v[j] for j in range(len(v)))
    return y


print(attend_slowly(q, k, v))

# %% [markdown]
# The first and the third token have nearly the same key, so they share what they know; the second keeps mostly to
# itself. The same in one line, and a property that this lesson lives on:

# %%
assert torch.allclose(F.scaled_dot_product_attention(q[None], k[None], v[None])[0], attend_slowly(q, k, v))
order = torch.tensor([2, 0, 1])
assert torch.allclose(attend_slowly(q[order], k[order], v[order]), attend_slowly(q, k, v)[order])

# %% [markdown]
# **The order of the tokens does not count, nor does their number.** So attention does not know where a patch lies: the
# encoder adds a code of its place to each, fixed waves over its row and its column. And since it takes any number of
# tokens, **some of them may be missing**. A convolution cannot do that: it needs a pixel in every place.
#
# ## Exercise 2: the mask
#
# *8 minutes, medium.*
#
# Write `random_mask(n, patches, ratio, generator)`: `torch.bool`, $(n, P)$, true where a patch is hidden. Each image
# draws its own, and in each exactly `round(ratio * patches)` patches are hidden. Tossing a coin for each patch will not
# do: then images have different numbers of visible patches, and these make no tensor.
#
# <details><summary>Hint 1</summary>A random order of the patches, one for each image:
# <code>torch.rand(n, patches, generator=generator).argsort(dim=1)</code>.</details>
# <details><summary>Hint 2</summary>The first M of each order are hidden:
# <code>mask.scatter(1, order[:, :M], True)</code> puts true there.</details>


# %%
def random_mask(n, patches, ratio, generator):
    ### BEGIN SOLUTION
    order = torch.rand(n, patches, generator=generator).argsort(dim=1)
    hidden = order[:, : round(ratio * patches)]
    return torch.zeros(n, patches, dtype=torch.bool).scatter(1, hidden, True)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_random_mask(random_mask)

# %% [markdown]
# `sslkit.pretext.random_patches` gives the same as two lists for each image: the numbers of its visible and of its hidden
# patches. Look at three ratios. **Predict:** from which on can you no longer tell the digit?

# %%
my_guess = ...


# %%
def shown(x, hidden):
    """The images with their hidden patches in grey."""
    patches = nets.patchify(x, 8)
    return nets.unpatchify(patches.scatter(1, hidden[:, :, None].expand(-1, -1, 192), 0.5), 8, (4, 4))


ratios = (0.25, 0.5, 0.75)
masks = [pretext.random_patches(8, (4, 4), device.generator(1), ratio)[1] for ratio in ratios]
pictures = torch.cat([*(shown(some, hidden) for hidden in masks[::-1]), some])
plots.image_grid(pictures, columns=8, size=0.75, rows=[f"{r:.0%} hidden" for r in ratios[::-1]] + ["image"])

# %% [markdown]
# *Figure: eight images in four rows: with 75, 50 and 25 percent of their patches hidden, and whole. At 25 percent most
# digits can be read, at 50 percent some can be guessed, at 75 percent hardly any.*
#
# ## The encoder sees the visible patches and nothing else
#
# This is the trick of the **masked autoencoder** (MAE; He et al. 2022). Hidden patches are not painted grey, as in lesson
# 02. They are *left out*, before the first layer.

# %%
with device.seeded(0):
    encoder = nets.ViT()  # 4 blocks, 96 numbers a token
visible, hidden = pretext.random_patches(8, (4, 4), device.generator(1), ratio=0.5)
tokens = encoder.tokens(some, visible)
print("visible", tuple(visible.shape), "hidden", tuple(hidden.shape), "tokens", tuple(tokens.shape))

# %% [markdown]
# Does it keep to that? Change the hidden pixels to anything, and the embeddings stay the same **to the bit**.

# %%
patches = nets.patchify(some, 8)
noise = torch.rand(8, 16, 192, generator=device.generator(2))
changed = nets.unpatchify(patches.scatter(1, hidden[:, :, None].expand(-1, -1, 192), noise), 8, (4, 4))
assert not torch.equal(changed, some)
assert torch.equal(encoder.tokens(changed, visible), tokens)

# %% [markdown]
# It is not only honest, it is cheap. **Predict:** with 4 of 16 patches, how many times faster is a training step of the
# encoder than with all 16?

# %%
my_guess = ...


# %%
def milliseconds(count, steps=4):
    """A step of the encoder, forward and backward, with so many patches of 128 images."""
    x, seen = torch.rand(128, 3, 32, 32), torch.arange(count).expand(128, count)
    for step in range(steps + 2):
        if step == 2:  # the first two warm up
            start = time.perf_counter()
        encoder.tokens(x, seen).square().mean().backward()
    return 1000 * (time.perf_counter() - start) / steps


cost = {f"{count} patches": milliseconds(count) for count in (4, 8, 16)}
checks.predicted(my_guess, cost["16 patches"] / cost["4 patches"], "factor")
plots.bars(cost, xlabel="milliseconds a step")

# %% [markdown]
# *Figure: the time of a training step of the encoder with 4, 8 and 16 patches visible, as bars. Twice the patches take
# less than twice the time.*
#
# ## The decoder asks for what is missing
#
# What comes out of the encoder are 8 vectors, one for each visible patch. A second, smaller transformer gets them, and
# beside them 8 copies of one learned vector, the **mask token**, each with the code of the place that it asks for. What
# it makes of these are the predictions. After training the decoder is thrown away.

# %%
with device.seeded(0):
    decoder = nets.Predictor(dim=96, outputs=64, width=48, depth=1)
predicted = decoder(tokens, visible, hidden, grid=(4, 4))
numbers = [sum(p.numel() for p in net.parameters()) for net in (encoder, decoder)]
print("predictions", tuple(predicted.shape), "; encoder {:,} parameters, decoder {:,}".format(*numbers))

# %% [markdown]
# 64 numbers for each hidden patch: one a pixel. The paper predicts the colours. Lesson 02 found that the target
# decides what is learned, and that **edges** teach shapes: how steep the grey picture is in each pixel, with mean 0 and
# variance 1 over the picture. A network that knows nothing says 0 everywhere, and its loss is 1.
#
# ## Exercise 3: the loss
#
# *5 minutes, easy.*
#
# Write `hidden_loss(prediction, target, hidden)`: the mean squared error over the **hidden** patches. `prediction` and
# `target` are $(N, P, O)$, with $O$ numbers a patch; `hidden` is the mask of exercise 2. What is visible counts for
# nothing: to copy it is no task.
#
# <details><summary>Hint 1</summary>A mask picks rows: <code>prediction[hidden]</code> has one row for each hidden
# patch.</details>
# <details><summary>Hint 2</summary><code>(a - b).square().mean()</code> of the rows picked from both.</details>


# %%
def hidden_loss(prediction, target, hidden):
    ### BEGIN SOLUTION
    return (prediction[hidden] - target[hidden]).square().mean()
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_hidden_loss(hidden_loss)

# %% [markdown]
# All three pieces together. That is the whole method; `sslkit.methods.MAE` is the same with its settings.


# %%
def mae_loss(encoder, decoder, x, visible, hidden):
    tokens = encoder.tokens(x, visible)
    prediction = decoder(tokens, visible, hidden, (4, 4))
    target = nets.patchify(pretext.contrast_normalised_edges(x), 8)
    return losses.squared_error(prediction, nets.take(target, hidden))


# %%
# NBVAL_CHECK_OUTPUT
with device.seeded(0):
    mae = recipes.build("mae", nets.ViT())
x, visible, hidden = mae.views(known.images[:256], device.generator(0))
fresh = mae_loss(mae.encoder, mae.decoder, x, visible, hidden)
assert torch.equal(fresh, mae.loss(x, visible, hidden)["loss"]) and abs(fresh - 1) < 0.1
print("a fresh network is near 1.0, what it costs to know nothing")

# %% [markdown]
# ## Training
#
# Half a minute. **Predict** where the loss will be, if 1 is knowing nothing and 0 is every pixel right.

# %%
my_guess = ...

# %%
config = train.TrainConfig(steps=1000, batch_size=128, lr=2e-3)
result = train.fit(mae, known.images, config)
checks.predicted(my_guess, result.history[-1]["loss"], "loss")
plots.loss_curve(result.history, chance=1.0, ylabel="squared error", title="edges of the hidden patches")

# %% [markdown]
# *Figure: the training loss by epoch. It falls in two epochs from the dotted line of knowing nothing to 0.86, then slowly
# to about 0.84.*
#
# The first fall is quick: where edges are likely (in the middle of the picture) can be told without looking, and that alone
# comes to 0.84. So a thousand steps have hardly got beyond the place. All that comes after has to be seen, and it takes its
# time: the recipe's 3,600 steps come to 0.67<!-- ex:11:mae.loss -->. From half of the patches nobody can tell every edge, least
# of all those of the background. Look at what it paints, at each ratio: a blur where strokes are likely, or this stroke?

# %%
widgets.mask_patches(mae, val.images[:12])

# %% [markdown]
# *Figure: the widget as a picture: what the encoder sees of an image, the edges that the network tells with the error
# there, and the edges that were there.*
#
# ## What did it learn?
#
# A loss that falls proves nothing about digits. **Predict:** a linear probe on the frozen encoder, ten labels a class. The
# probe sees the whole image, all 16 patches, and the mean over the tokens. The same network with random weights is the
# control.

# %%
my_guess = ...

# %%
with device.seeded(0):
    untrained = nets.ViT().to(machine)
live = {"random": untrained, "mae, here": mae.encoder}
live = {name: evaluate.label_efficiency(net, splits, [10], draws=3)[10] for name, net in live.items()}
checks.predicted(my_guess, live["mae, here"].mean)
print({name: round(score.mean, 2) for name, score in live.items()})

# %%
sweep = json.loads((scoreboard.FILE.parent / "experiments" / "11.json").read_text())
rows = scoreboard.find(scoreboard.load(), data="photodigits", labels_per_class=10, budget="lesson")
rows = {row["method"]: row for row in rows}
encoders = {"random": sweep["random"], "mae": sweep["mae"], "supervised": sweep["supervised"]}
plots.bars(encoders, chance=0.1, title="the same vision transformer, ten labels a class")

# %% [markdown]
# *Figure: test accuracy of three bars, beside a dotted line at chance: the random transformer, MAE, and supervised training
# of the same transformer from scratch with the same augmentation.*
#
# With its recipe, 3,600 steps in a minute and a half, MAE has 0.28<!-- ex:11:mae.mean --> and the untrained transformer
# 0.19<!-- ex:11:random.mean -->. That gain is real, and it is small. Ten labels a class teach the same transformer
# 0.80<!-- ex:11:supervised.mean --> from scratch, and lesson 10's VICReg has 0.85<!-- sb:vicreg/10 --> after a minute, on a
# small convolutional network.
#
# ## What is hidden, and what is asked
#
# Two dials. **Predict** for each the best and the worst: the ratio (50 or 75 percent), and the target (the colours, with
# every patch at mean 0 and variance 1, which is the paper's choice; the grey picture; its edges). All of it from the
# experiment, in short runs of 400 steps and one seed: small differences mean nothing here.

# %%
my_order = ...

# %%
names = {"mae-short": "edges, 50 % hidden", "ratio-0.75": "edges, 75 % hidden"}
names |= {"grey": "grey", "pixels": "colours, by patch"}
plots.bars({label: sweep[name] for name, label in names.items()}, chance=0.1, title="the same transformer, short runs")

# %% [markdown]
# *Figure: test accuracy of four short runs: edges with half of the patches hidden, and with three quarters; grey; colours.*
#
# The ratio and the choice of edges or grey do not matter here as far as one can see. **Colours** do: with them it falls to
# 0.17<!-- ex:11:pixels.mean -->, below the untrained 0.19<!-- ex:11:random.mean -->. In our pictures most of the colour is
# that of the background, and that is what a network learns that has to tell it.
#
# ## Predict what it means
#
# A pixel of the background is hard to predict and tells nothing about the digit. Why ask for it? **I-JEPA** (Assran et al.
# 2023) asks for what a network would *say* of the hidden patches. A second encoder, the **target**, sees the whole image;
# its tokens are the answer:
#
# $$L = \frac{1}{M D} \sum_{i \,\text{hidden}} \big\| \text{predictor}(f_\theta(\text{visible}))_i - t_i \big\|^2,
# \qquad t = \text{norm}(f_\xi(\text{image}')), \qquad \xi \leftarrow m\,\xi + (1 - m)\,\theta$$
#
# Where does the target come from? It is a slow copy of the encoder: after each step it moves a little towards it. It gets
# **no gradient**.
#
# A target that is learned looks for what is easy to predict, and finds it. The paper's *norm* is a layer norm of every token.
# Two steps are ours; each closes a way out that we had to find first:
#
# - *what all patches of a picture share*, its colours above all, can be seen in any of them. So the mean over the picture's
#   tokens is taken off;
# - *the place*: what all pictures have there can be told without looking. So each place is made standard over the batch. To
#   know nothing costs 1 again.
#
# The paper hides large blocks of patches: the neighbours of a single one give it away. On a grid of 4 by 4 that does not
# show; here six patches are hidden one by one, and eight are seen.

# %%
visible, hidden = pretext.block_patches(8, (4, 4), device.generator(3), count=6, side=1, visible=8)
others = torch.ones(8, 16).scatter(1, visible, 0).argsort(dim=1, descending=True, stable=True)[:, :-8]
pictures = torch.cat([shown(some, hidden), shown(some, others), some])
plots.image_grid(pictures, columns=8, size=0.75, rows=["asked for", "visible", "image"])

# %% [markdown]
# *Figure: eight images; above, in grey, the patches that are asked for, six or, where two fell on the same place, fewer; in the
# middle the 8 patches that the encoder sees; below, the images.*
#
# ## Broken on purpose: a target that learns
#
# Leave that out: let the gradient flow into the target, too, let it be the encoder itself, and normalise each token alone.


# %%
class NoStop(methods.JEPA):
    """The target is the encoder itself, and learns to be easy to predict."""

    def loss(self, x, visible, hidden):
        z = self.encoder.tokens(x).float()
        answer = F.layer_norm(z, z.shape[-1:])
        loss = losses.squared_error(self.predict(x, visible, hidden), nets.take(answer, hidden))
        return {"loss": loss, "spread": answer.var(dim=0, correction=0).mean()}


# %% [markdown]
# `spread` is how much the targets of different images differ in one and the same place: 1 at most. **Predict:** after 200
# steps, which of the two has the lower loss, and which the larger spread?

# %%
my_guess = ...

# %%
jepa = {}
for name, kind in {"the target follows": methods.JEPA, "the target learns": NoStop}.items():
    with device.seeded(0):
        jepa[name] = kind(nets.ViT())
    quick = train.TrainConfig(steps=200, batch_size=128, lr=2e-3, progress=False)
    last = train.fit(jepa[name], known.images, quick).history[-1]
    print(f"{name:<20} loss {last['loss']:.3f}   spread {last['spread']:.3f}")

# %% [markdown]
# The target that learns has the lower loss, and its targets hardly differ from image to image: it has **collapsed**. The
# encoder says in each place the same of every picture, and what it says can be predicted without looking. The loss looks
# fine. `spread` does not.
#
# ## Pixels against embeddings

# %%
encoders = {name: sweep[name] for name in ("random", "mae", "jepa", "supervised")}
plots.bars(encoders, chance=0.1, title="the same vision transformer, ten labels a class")

# %% [markdown]
# *Figure: test accuracy of four bars: the random transformer, MAE, JEPA, and supervised training from scratch.*
#
# JEPA has 0.23<!-- ex:11:jepa.mean --> after 1,200 steps: more than nothing, less than MAE; and *val* chose to read it off the
# tokens before any attention, in every run, so of what attention learned nothing is in it. And what if we do not take off
# what all patches of a picture share? Then it has a loss of 0.26<!-- ex:11:shared.loss --> in place of
# 0.87<!-- ex:11:jepa-short.loss -->, in a short run, and 0.17<!-- ex:11:shared.mean --> on digits: less than the untrained
# network. Embeddings are not better targets than pixels by themselves. It depends on what they hold.
#
# ## How far does it carry?

# %%
print(f"{'':<22}{'probe':>12}{'runs':>6}   against random, 95 %")
measured = {name: row for name, row in sweep.items() if name not in ("made_with", "random")}
for name, row in sorted(measured.items(), key=lambda pair: -pair[1]["mean"]):
    gain, low, high = row["gain"]["random"]
    print(f"{name:<22}{row['mean']:>6.2f} ±{row['std']:.2f}{row['runs']:>6}   {gain:+.2f} ({low:+.2f} to {high:+.2f})")

# %% [markdown]
# Everything but "random", "mae", "jepa" and "supervised" is a short run of one seed. A wider network has two hundredths more, which
# one seed does not show. A tenth
# of the images does as well as all of them, so in 400 steps images are not what is scarce: time is. Mask tokens inside of
# the encoder cost half as much time again and gain nothing. Smaller patches cost more than twice the time and gain nothing.
#
# ## Try it: a mask of your own
#
# `mae.ratio = 0.5` changes the masking, and `methods.MAE(nets.ViT(), target=…)` takes any function of the images. Hide one
# half of the picture instead of scattered patches: `views` returns the images and two tensors of numbers. Say first whether
# it makes the task easier.
#
# ## The scoreboard

# %%
shown_rows = ("chance", "random", "random, vit", "supervised", "supervised, vit", "inpainting", "vicreg", "mae", "jepa")
print(
    scoreboard.render(
        [row for row in scoreboard.find(scoreboard.load(), data="photodigits") if row["method"] in shown_rows]
    )
)

# %% [markdown]
# ## Recap
#
# - **Patches**: an image is a sequence of squares, and can be put back from them bit for bit. Attention takes any number of
#   them, in any order; that is why each carries the code of its place.
# - **An exact share, others in each image**: the first M of a random order. What is hidden is left out before the first
#   layer, so it cannot leak, and half the patches cost about half the time.
# - **A masked autoencoder** is an encoder of the visible patches, a light decoder that asks for the hidden ones by their
#   places, and a squared error over these. Knowing nothing costs 1; knowing the place alone costs 0.84 here, and a network
#   that stops there has learned nothing about digits.
# - **Embeddings in the place of pixels**: the answer is what a slow copy of the encoder says of the whole image. What keeps
#   it from collapsing is that no gradient reaches it. A low loss is no success: it is the first sign of a collapse, or of
#   a target that says something cheap.
# - **What it is worth at this size**: a little more than an untrained network, far less than two views of an image
#   (lesson 10), and far less than ten labels a class. Masked images are a method for large transformers, many images and
#   days of training.
#
# Next: lesson 12. A folder of your own, from the first look to a file that others can use.
