# %% [markdown]
# # 00 · Start here
#
# **The question: does my machine work, and what will I get in two minutes?**
#
# A network that never sees a label can learn what is worth seeing. In this lesson you train one, then find out what
# ten labels a class are worth on top of it, beside controls that have learned nothing.
#
# After this lesson you can
#
# - say what *pretraining without labels* and a *linear probe* are;
# - read a label-efficiency curve, and say what each control in it is for;
# - write an exercise, check it, and find its hints and solution.
#
# | | |
# |---|---|
# | you need | Python, and that you have seen a neural network trained before |
# | time | 25 minutes to read and do; the cells run for about 2 minutes on 2 CPU cores, less on a GPU |
# | no network | everything here comes from packages that are installed already |

# %%
import torch

from sslkit import augment, checks, device, doctor, evaluate, nets, plots, progress, recipes, scoreboard, train
from sslkit.data import load

machine = device.pick()
torch.manual_seed(0)
print("ready")

# %% [markdown]
# ## Is this machine ready?
#
# One line a check. A line that says `[FAIL]` tells what to do about it; `[--]` is worth knowing, and no obstacle.

# %%
status = doctor.main()

# %% [markdown]
# ## The data
#
# `photodigits` are real handwritten digits drawn over crops of real photographs. The photographs make the task
# honest: most of what a pixel says is about the background, and nothing about the digit.
#
# No handwriting and no piece of a photograph is in two splits. So what works on *test* was not memorised. But the digits
# are by 13 writers, and each of them has digits in all three splits: how well a network would read the digits of somebody
# new, the numbers of this course do not say.

# %%
# NBVAL_CHECK_OUTPUT
splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
for name, split in splits.items():
    print(f"{name:<6}{tuple(split.images.shape)}  {len(split.sources.unique())} handwritings")

# %%
shown = splits["train"].subset(torch.arange(24))
plots.image_grid(shown.images, titles=[str(y.item()) for y in shown.labels], columns=12, size=0.8)

# %% [markdown]
# *Figure: 24 training images in two rows, each with its label above: handwritten digits in many colours, light on dark
# or dark on light, over pieces of a flower, a palace and the sky.*
#
# ## Exercise 1: what is a blind guess worth?
#
# *2 minutes, easy. It is here to show how exercises work.*
#
# Write a function that takes the number of classes and gives the share of right answers of somebody who guesses
# blindly. All classes are equally frequent. Expected: `chance(4)` gives `0.25`.
#
# Fill in the place of `...`, run the cell, then run the check under it. The check says why, if something is wrong.
#
# <details><summary>Hint 1</summary>Of 100 blind guesses among 4 classes, how many are right?</details>
# <details><summary>Hint 2</summary>One of K answers is right, so a share of one in K.</details>


# %%
def chance(classes):
    ### BEGIN SOLUTION
    return 1 / classes
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_chance(chance)
print(f"ten digits, guessed blindly: {1 / 10}")

# %% [markdown]
# Nothing later depends on your answer: the lesson goes on either way.
#
# ## Training without labels
#
# Where does a training signal come from, if there are no labels? From the images themselves. Take an image and change
# it twice at random: crop, turn, recolour. The two **views** look different and show the same digit. The network gets
# both views of 64 images, and has to find out which views belong together.

# %%
recipe = recipes.get("simclr")
generator = device.generator(1)
views = [recipe.augment(shown.images[:8], generator) for _ in range(3)]
pictures = torch.cat([augment.to_float(shown.images[:8]), *views])
plots.image_grid(pictures, columns=8, size=0.8, rows=["image", "view", "view", "view"])

# %% [markdown]
# *Figure: eight images in the first row, and below each three random views of it: cropped, slightly turned, in other
# colours, some in grey or as a negative. The digit can still be read in almost all of them.*
#
# A view may change everything that does not matter, and must keep what does. That choice is where the knowledge comes
# in. Lesson 10 takes this method, SimCLR, apart; here it is enough to see what it gives.
#
# The next cell builds a small network from random numbers and trains it. It takes about a minute on 2 cores. Look at
# what goes in: `splits["train"].images`, and no labels.

# %%
with device.seeded(0):
    encoder = nets.ConvNet()
    method = recipes.build("simclr", encoder)
result = train.fit(method, splits["train"].images, recipe.lesson)
print(f"{result.steps} steps on {device.describe(machine)}: {result.images_per_second:.0f} images a second")

# %%
# NBVAL_CHECK_OUTPUT
knows_nothing = torch.tensor(2 * recipe.lesson.batch_size - 1.0).log().item()
print(f"loss of a network that knows nothing: ln(2 · 64 − 1) = {knows_nothing:.2f}")

# %%
plots.loss_curve(result.history, chance=knows_nothing, title="finding the other view")

# %% [markdown]
# *Figure: the training loss by epoch, falling from near the dotted line of knowing nothing; steeply at first, then
# slowly.*
#
# The loss went down: the network learned to find the other view. **That proves nothing yet.** It may have matched
# backgrounds. What we want to know is whether it now sees digits.
#
# ## Before you run: predict
#
# Now we freeze the network: nothing in it changes any more. On top of its 128 numbers an image we fit one linear layer,
# with ten labelled images of each digit. That is a **linear probe**. A blind guess would be right for 0.1 of the test
# images.
#
# Write your prediction of the probe's test accuracy, a number from 0 to 1, in the place of `...`.

# %%
my_guess = ...

# %%
untrained = nets.build(encoder.config()).to(machine)
counts = (1, 5, 10, 30)
pretrained_scores = evaluate.label_efficiency(encoder, splits, counts, draws=5)
random_scores = evaluate.label_efficiency(untrained, splits, counts, draws=5)

# %%
checks.predicted(my_guess, pretrained_scores[10].mean)
print(f"the same network with random weights: {random_scores[10].mean:.2f}")

# %% [markdown]
# The second number is the first control. A **random encoder** is the same network, never trained, under the same probe.
# What it reaches is due to the probe and the data alone. Whatever pretraining is worth has to show above it.
#
# ## What labels are worth
#
# The figure every lesson comes back to: test accuracy over the number of labels a class. Your network and the random one
# were measured just now, over five draws of labels. Two curves were measured beforehand, over ten draws:
#
# - in orange, the same network trained **from scratch** on the labelled images alone, with the same random views as
#   augmentation, and tuned as carefully as the rest. It is the control that is hard to beat, and it belongs here;
# - *four minutes*: the best that the course has, lesson 10's VICReg, which needs four minutes of pretraining.

# %%
table = scoreboard.load()


def measured(method, budget):
    rows = scoreboard.find(table, method=method, budget=budget, data="photodigits")
    return {row["labels_per_class"]: row for row in rows}


curves = {"four minutes": measured("vicreg", "long"), "supervised": measured("supervised", "lesson")}
plots.label_efficiency(curves | {"pretrained here": pretrained_scores, "random": random_scores})

# %% [markdown]
# *Figure: test accuracy from 0 to 1 over labels a class, from 1 to 100 on a logarithmic axis. The random encoder stays
# low. The network that was pretrained here is far above it: with one label a class near the network trained from scratch,
# and behind that one with more. Four minutes of pretraining lie far above both where labels are few; with a hundred, they
# meet the network from scratch.*
#
# Three things to read from it:
#
# 1. Pretraining without one label lifts the probe far above the random encoder.
# 2. **A minute of this is not enough to beat careful supervised training.** Over three pretraining runs and ten draws of labels
#    each, the scoreboard has 0.38<!-- sb:simclr/1 --> against 0.37<!-- sb:supervised/1 --> at one label a class, where nobody can tell
#    them apart, and 0.82<!-- sb:simclr/10 --> against 0.86<!-- sb:supervised/10 --> at ten. **Another method is enough**, VICReg: after
#    a minute it has 0.48<!-- sb:vicreg/1 --> at one label, though only as many as supervised training at ten; after four minutes
#    0.72<!-- sb:vicreg/1/long --> at one and 0.94<!-- sb:vicreg/10/long --> at ten. With a hundred the labels have caught up.
# 3. The bands are one standard deviation over draws of labels. With one label a class, luck decides much; a single run
#    would tell you little.
#
# ## What did it learn to see?
#
# Two images are near each other for the network if their embeddings point the same way. Look at the nearest images by
# pixels, then by embedding.
#
# ### Exercise 2: the nearest image
#
# *5 minutes, easy.*
#
# Write a function that takes embeddings `z` with shape `(N, D)` and a row number `i`. It gives the number of the row
# that is most similar to row `i`, measured by the cosine: the dot product after every row was scaled to length 1.
# The row itself does not count. Expected: for `z = [[1., 0.], [0., 1.], [2., 1.]]` and `i = 0` it gives `2`.
#
# <details><summary>Hint 1</summary>
# <code>torch.nn.functional.normalize(z, dim=1)</code> scales every row to length 1. One matrix product then gives all
# cosines to row i.</details>
# <details><summary>Hint 2</summary>Every row is most similar to itself. Set entry i to something below −1 before you
# take the argmax.</details>


# %%
def nearest(z, i):
    ### BEGIN SOLUTION
    z = torch.nn.functional.normalize(z, dim=1)
    similarity = z @ z[i]
    similarity[i] = -2
    return similarity.argmax().item()
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_nearest(nearest)

# %% [markdown]
# Now for all test images at once: the five nearest, by raw pixels and by the embedding. How many of them show the same
# digit as the image itself?

# %%
test = splits["test"]


def neighbours(z, k=6):
    z = torch.nn.functional.normalize(z, dim=1)
    return (z @ z.T).topk(k, dim=1).indices.cpu()  # (N, k); the first is the image itself


nearby = {"pixels": neighbours(evaluate.pixels(test.images)[0])}
nearby["embedding"] = neighbours(evaluate.embed(encoder, test.images))
for name, index in nearby.items():
    same = (test.labels[index[:, 1:]] == test.labels[:, None]).float().mean()
    print(f"{name:<10}{same:.2f} of the five nearest show the same digit")

# %% [markdown]
# And three of them to look at: of the digits 0, 3 and 5, the image with the busiest background.

# %%
busy = test.images[:, :, :, :8].float().std(dim=(1, 2, 3))  # the left edge is background
queries = [torch.where(test.labels == digit, busy, 0).argmax().item() for digit in (0, 3, 5)]
both = torch.stack([nearby["pixels"][queries], nearby["embedding"][queries]], dim=1)  # (3, 2, 6)
plots.image_grid(test.images[both.flatten()], columns=6, size=0.75, rows=["pixels", "embedding"] * 3)

# %% [markdown]
# *Figure: six rows of six images, in pairs of rows for the digits 0, 3 and 5. The first image of a row is the one that
# was asked about. By pixels, the others repeat its background and show any digit. By embedding, more of them show its
# digit, also over other backgrounds; but not always.*
#
# ## The scoreboard
#
# Every lesson adds to this table: mean and standard deviation of test accuracy, over three pretraining seeds and ten
# draws of labels each. *lesson* is a run like yours above; *long* has more time.

# %%
print(scoreboard.render(scoreboard.find(table, data="photodigits")))

# %% [markdown]
# ## How far you are
#
# A check that passes is noted in a file beside the data, on this machine only. Here is the whole course; run the cell again
# whenever you like, or `python -m sslkit progress` in a terminal (`--reset` forgets everything, `--export FILE` copies it out).

# %%
print(progress.render())

# %% [markdown]
# ## Recap
#
# - **Pretraining without labels**: the training signal comes from the images, here from two views of each.
# - **Linear probe**: freeze the network, fit one linear layer on few labels, measure on the test split.
# - **Controls**: chance, the random encoder, and supervised training from scratch with the same augmentation. A pretext
#   loss that goes down is no evidence; the distance to the controls is.
#
# Next: [01 · Labels are expensive](01_labels_are_expensive.ipynb) asks what lies between supervised and unsupervised
# learning, and how a baseline can flatter.
