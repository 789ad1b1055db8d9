# %% [markdown]
# # 01 · Labels are expensive
#
# **The question: what lies between supervised and unsupervised learning?**
#
# Supervised learning needs a label for every image. Unsupervised learning needs none, and finds what it likes. In
# between there is a third way: take the label from the image itself.
#
# After this lesson you can
#
# - say what labels buy, and draw the curve of accuracy over their number;
# - show why clustering pixels does not find digits;
# - make a task with free labels, and name the five controls that a claim about it needs;
# - spot two ways to fool yourself: a weak baseline, and a single lucky run.
#
# | | |
# |---|---|
# | you need | lesson 00, or the words *encoder*, *frozen* and *linear probe* |
# | time | 45 minutes to read and do; the cells run for about 2 minutes on 2 CPU cores |
# | three exercises | draw labels; one step of k-means; labels for free |

# %%
import json

import torch
from sklearn.decomposition import PCA

from sslkit import augment, checks, device, evaluate, methods, nets, plots, scoreboard, train
from sslkit.data import load

machine = device.pick()
splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
known, val, test = splits.values()

# %% [markdown]
# ## What a label costs
#
# Somebody has to look at every image. At four seconds each, how long does it take to label the training images?

# %%
# NBVAL_CHECK_OUTPUT
seconds_a_label = 4
hours = len(known) * seconds_a_label / 3600
print(f"{len(known)} labels at {seconds_a_label} s: {hours:.0f} hours of one person's work")

# %% [markdown]
# For digits anybody can do it. For X-rays it takes a specialist, and an hour of hers costs more than a computer.
# Images, on the other hand, are cheap: cameras make them all day.
#
# So the question is not "how good can a network get?" but "**how good can it get with few labels?**"
#
# ## Exercise 1: draw a few labels
#
# *8 minutes, medium.*
#
# All measurements of this course start with a draw: choose `per_class` images of each class at random, and pretend that
# only these have labels. Write that draw. `labels` is a tensor `(N,)` of class numbers from 0 to K − 1; return the
# indices of the chosen images, without repeats. The same `seed` must give the same draw, and another seed another one.
#
# Expected: `draw(torch.tensor([0, 0, 1, 1]), 1, seed=0)` gives two indices, one of 0 and 1, the other of 2 and 3.
#
# <details><summary>Hint 1</summary>
# <code>torch.Generator().manual_seed(seed)</code> makes a generator, and
# <code>torch.randperm(n, generator=g)</code> a random order of n numbers.</details>
# <details><summary>Hint 2</summary>Class by class: <code>mine = (labels == k).nonzero().flatten()</code>, shuffle
# <code>mine</code>, keep the first <code>per_class</code>. At the end, <code>torch.cat</code>.</details>


# %%
def draw(labels, per_class, seed):
    ### BEGIN SOLUTION
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for k in range(int(labels.max()) + 1):
        mine = (labels == k).nonzero().flatten()
        chosen.append(mine[torch.randperm(len(mine), generator=generator)][:per_class])
    return torch.cat(chosen)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_draw(draw)

# %% [markdown]
# `sslkit.data.draw_labels` does the same with one more care: our images are made from 1,293 handwritten digits, and one
# handwriting stands behind several images. It draws *different handwritings*, so that ten labels are ten, and not one
# digit ten times.
#
# ## The supervised end
#
# Train a network from scratch on ten labels a class: 100 images. First the way a busy person does it: the usual mild
# augmentation, and stop when the training loss looks good.

# %%
net = nets.ConvNet().config()
careless = train.TrainConfig(steps=150, batch_size=100, progress=False)
weak = evaluate.train_supervised(net, known, 10, seed=0, augment=augment.WEAK, config=careless)

# %% [markdown]
# *Augmentation* shows the network another version of each image in every step. Here is the mild one, and one that
# changes all that may change without making it another digit.

# %%
some = known.images[:8]
weak_views = augment.WEAK(some, device.generator(0))
strong_views = augment.STRONG(some, device.generator(0))
pictures = torch.cat([augment.to_float(some), weak_views, strong_views])
plots.image_grid(pictures, columns=8, size=0.8, rows=["image", "weak", "strong"])

# %% [markdown]
# *Figure: eight images, and below each a weakly and a strongly augmented view. Weak views differ from the image by a
# small crop and a little brightness. Strong views change colours altogether, and turn and crop more.*
#
# Now the careful way: the strong augmentation, ten times the steps, and a large weight decay. Each was chosen on *val*, as
# one does for a method of one's own. It takes up to half a minute. **Before you run:** by how much will
# that change the accuracy, on *val*, of the same network on the same 100 images? Write the accuracy that you expect.

# %%
my_guess = ...

# %%
strong = evaluate.train_supervised(net, known, 10, seed=0)


# %%
def accuracy(method, split):
    """Share of right answers of a classifier: encoder and head."""
    with torch.inference_mode():
        images = augment.to_float(split.images.to(machine))
        predicted = method.head(method.encoder(images)).argmax(dim=1)
    return (predicted.cpu() == split.labels).float().mean().item()


checks.predicted(my_guess, accuracy(strong, val))
print(f"the careless way, same images, same network: {accuracy(weak, val):.2f}")

# %% [markdown]
# The network did not change, nor did the labels. Only care did.
#
# **This decides how honest this course is.** Say that a pretrained network reaches 0.8 with ten labels a class. Beside
# the careless control that is a triumph. Beside the careful one it may be a defeat. A paper that compares with the
# first one is not lying, and still wrong.
#
# One draw of labels is luck, though. So here is the sweep: both controls over the number of labels, ten draws each.
# It takes about an hour, so it was measured beforehand: `make experiments LESSON=01` measures it again. The two
# networks above are one slice of it.

# %%
sweep = json.loads((scoreboard.FILE.parent / "experiments" / "01.json").read_text())
curves = {
    name: {int(count): score for count, score in sweep[key].items()}
    for name, key in (("supervised", "strong"), ("supervised, weak", "weak"))
}
plots.label_efficiency(curves, title="one network, two ways to train it")

# %% [markdown]
# *Figure: test accuracy over labels a class for supervised training, strong and weak. Both curves rise with the number
# of labels, with the strong one far above the weak one at few labels.*
#
# With ten labels a class the careless control reaches 0.47<!-- ex:01:weak.10.mean -->, and the careful one
# 0.86<!-- ex:01:strong.10.mean -->. From here on, "supervised"
# in this course means the careful one.
#
# ## The unsupervised end
#
# No labels at all. **k-means** looks for K centres such that every image is near one of them. It repeats two steps:
#
# $$\text{assign: } a_i = \arg\min_k \lVert x_i - c_k \rVert_2 \qquad \text{move: } c_k = \text{mean of the } x_i \text{ with } a_i = k$$
#
# ### Exercise 2: the first step of k-means
#
# *6 minutes, easy.*
#
# Write `assign`: it takes `points` $(N, D)$ and `centres` $(K, D)$, and gives for each point the number of its nearest
# centre, $(N,)$. Expected: points `[[0., 0.], [9., 9.]]` and centres `[[8., 8.], [1., 0.]]` give
# `[1, 0]`.
#
# <details><summary>Hint 1</summary><code>torch.cdist(points, centres)</code> gives all distances, with shape (N, K).</details>
# <details><summary>Hint 2</summary>The nearest centre has the smallest distance: <code>argmin</code>, over the axis of
# the centres.</details>


# %%
def assign(points, centres):
    ### BEGIN SOLUTION
    return torch.cdist(points, centres).argmin(dim=1)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_assign(assign)


# %%
def k_means(x, k=10, steps=20):
    centres = x[torch.randperm(len(x), generator=device.generator(0))[:k]]
    for _ in range(steps):
        nearest = torch.cdist(x, centres).argmin(dim=1)
        centres = torch.stack([x[nearest == j].mean(dim=0) for j in range(k)])
    return centres, nearest


pixels = evaluate.pixels(known.images)[0]
centres, cluster = k_means(pixels)

# %%
members = torch.cat([(cluster == j).nonzero().flatten()[:8] for j in (0, 2, 3)])
plots.image_grid(known.images[members], columns=8, size=0.7, rows=["cluster 0", "cluster 2", "cluster 3"])

# %% [markdown]
# *Figure: eight members of each of three clusters. Within a row the backgrounds are alike, such as orange petals in one
# row and leaves in another. The digits within a row differ.*
#
# k-means did its work well: members of a cluster are alike. They are alike in their *background*. Nobody told it that
# we care about the digit.
#
# How good are ten clusters as ten classes? Give each cluster the digit that is most frequent in it, and count.

# %%
votes = torch.zeros(10, 10).index_put_((cluster, known.labels), torch.ones(len(known)), accumulate=True)
purity = (votes.max(dim=1).values.sum() / len(known)).item()
print(f"share of images in a cluster of their own digit: {purity:.2f}; a blind guess: 0.10")

# %% [markdown]
# **PCA**, the other classic, finds the directions in which pixels vary most. Here are its first two, with each image
# drawn as its digit.

# %%
plane = PCA(2, random_state=0).fit_transform(pixels[:800])
plots.scatter(plane, known.labels[:800], known.classes, axes=("first component", "second component"))

# %% [markdown]
# *Figure: a cloud of digits 0 to 9 in the plane of the first two principal components of the pixels. All digits are
# mixed everywhere; no region belongs to one of them.*
#
# The largest variation in a picture is how bright it is and where. That is not what we want to know.
#
# ## The middle: labels for free
#
# **Self-supervised learning** sits between the two. It trains like supervised learning, with inputs and targets. But
# the target is made *from the input itself*, so it costs nothing.
#
# | | supervised | self-supervised | unsupervised |
# |---|---|---|---|
# | what the network gets | image | part or version of an image | image |
# | what it is trained to give | a person's label | the rest of the image, or what was done to it | nothing |
# | cost of a target | seconds of a person | none | – |
# | who says what matters | the labels | whoever designs the task | the largest variation |
#
# The last row is the point. We no longer say *what* each image shows. We say what *kind of question* an encoder should
# be able to answer, and hope that answering it takes seeing.
#
# ### Exercise 3: a task with free labels
#
# *8 minutes, medium.*
#
# The simplest such task: turn an image by 0, 90, 180 or 270 degrees, and ask which. To answer, one has to know which
# way up a 4 stands. Write `four_turns`: it takes one image $(C, S, S)$ and gives its four turned versions
# $(4, C, S, S)$ and the four targets `[0, 1, 2, 3]`. Version k is turned by k quarters, counter-clockwise.
#
# <details><summary>Hint 1</summary><code>torch.rot90(image, k, dims=(1, 2))</code> turns the last two axes by k
# quarters.</details>
# <details><summary>Hint 2</summary><code>torch.stack([... for k in range(4)])</code> for the images and
# <code>torch.arange(4)</code> for the targets; return both.</details>


# %%
def four_turns(image):
    ### BEGIN SOLUTION
    images = torch.stack([torch.rot90(image, k, dims=(1, 2)) for k in range(4)])
    return images, torch.arange(4)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_four_turns(four_turns)

# %% [markdown]
# This is `sslkit.pretext.rotation`; lesson 04 is about it. Here it is only the shortest way to see the idea work. We
# train for half a minute, without labels.

# %%
with device.seeded(0):
    task = methods.build("rotation", nets.build(net))
result = train.fit(task, known.images, train.TrainConfig(steps=1000, batch_size=128))
print(f"right turn found for {result.history[-1]['accuracy']:.2f} of the images; a blind guess: 0.25")

# %% [markdown]
# ## The controls, one at a time
#
# Does the network that was trained to see turns now know something about *digits*? We freeze it, fit a linear probe on
# ten labels a class, and set the result beside what it has to beat:
#
# 1. **chance**: a blind guess;
# 2. **pixels**: the probe on the image itself, with no encoder;
# 3. **random**: the probe on the same encoder with random weights;
# 4. **supervised**: no probe, the same network trained from scratch on the same labels: weak, and strong.
#
# Each answers another doubt: is it luck, is the data easy, is it the architecture, is it worth the trouble at all?

# %%
with device.seeded(1):
    random_encoder = nets.build(net).to(machine)
scores = {
    "random": evaluate.label_efficiency(random_encoder, splits, [10], draws=5)[10],
    "rotation": evaluate.label_efficiency(task.encoder, splits, [10], draws=5)[10],
}

# %%
measured = {
    "pixels": sweep["pixels"]["10"],
    **scores,
    "supervised, weak": sweep["weak"]["10"],
    "supervised": sweep["strong"]["10"],
}
plots.bars(measured, chance=0.1, title="ten labels a class")

# %% [markdown]
# *Figure: five bars of test accuracy with ten labels a class, beside a dotted line at chance. Pixels and the random
# encoder reach about a quarter, rotation much more. Supervised training is weak in its careless form, and in its
# careful form the highest bar of all.*
#
# `random` and `rotation` were measured just now; the others come from the sweep.
#
# Read it in both directions. Half a minute of a trivial task, without one label, more than doubles what the random
# encoder gives: **something was learned**. Beside the weak control it looks like a triumph. Beside the careful control
# it is **not yet enough**. Nor is lesson 00's minute: 0.82<!-- sb:simclr/10 --> against 0.86<!-- sb:supervised/10 -->. Lesson 10's
# VICReg has 0.85<!-- sb:vicreg/10 --> after a minute, and 0.94<!-- sb:vicreg/10/long --> after four. Being ahead of a careful
# control means something.
#
# How careful is careful? With half of its steps and a quarter of its weight decay, this control had two points less at ten
# labels a class, and eight less at two. Several of the course's methods looked better than supervised training then. The
# methods have not changed since.
#
# ## Broken on purpose: the lucky run
#
# One label a class: ten labelled images in all. We draw them ten times, fit a probe each time, and then do what one
# must not do: report the best.

# %%
one_label = evaluate.label_efficiency(task.encoder, splits, [1], draws=10)[1]
print("ten draws:", " ".join(f"{run:.2f}" for run in sorted(one_label.runs)))
print(f"mean {one_label.mean:.2f} ± {one_label.std:.2f}, the best {one_label.runs.max():.2f}")

# %% [markdown]
# The best draw is no better method; it had better luck. Whoever shows one run, and stopped looking when it was a good
# one, shows this number. So the figures of this course are means over draws of labels, with their standard deviation,
# and over three pretraining runs; where it was only one, the lesson says so. Choices, such as which block to probe, are
# made on *val*. The test split is for the end; where it was read twice, [the log](../notebooks/LOG.md) says so.
#
# ## The scoreboard
#
# All of the course is in it: the controls, what lessons 00 and 01 have used, and what is to come.

# %%
print(scoreboard.render(scoreboard.find(scoreboard.load(), data="photodigits")))

# %% [markdown]
# ## Recap
#
# - Labels buy accuracy, at a price; the curve over their number is the currency of this course.
# - Unsupervised methods find the largest variation, and that is seldom what we ask about.
# - Self-supervised learning makes targets from the input. Whoever designs the task says what matters.
# - Five controls: chance, pixels, random encoder, supervised weak, supervised strong. The last one counts.
# - Two ways to fool oneself: a baseline that nobody tuned, and a run that was lucky.
#
# Next: lesson 02 asks what a network must know to fill a hole in a picture.
