# %% [markdown]
# # 10 · Beyond pretext
#
# **The question: what if we only ask that two views of an image agree?**
#
# A pretext task asks for something that we do not want (a turn, a place, a missing half) and hopes for something that
# we do. Lessons 05 and 06 dropped the task and compared images. This lesson goes on from there, by five ideas of the
# years 2020 to 2022. All of them say: **two views of one image shall get the same embedding.** They differ in how
# they prevent the answer that is always right: one and the same embedding for everything.
#
# After this lesson you can
#
# - write the loss of SimCLR, and say what a network costs that knows nothing;
# - say what a momentum encoder, a queue, a predictor, a stopped gradient and a cross-correlation are each there for;
# - tell a collapse from a good run, when the loss cannot;
# - find out which augmentation a method lives on, by leaving one out at a time.
#
# | | |
# |---|---|
# | you need | lesson 06, or the words *anchor*, *negative* and *softmax*; lesson 01 for *frozen* and *control* |
# | time | 50 minutes to read and do, 20 more for the exercises; the cells run for about a minute on 2 CPU cores |
# | four exercises | SimCLR's loss; a moving average; a stopped gradient; a cross-correlation |

# %%
import copy
import json
import math

import torch
import torch.nn.functional as F

from sslkit import augment, checks, device, evaluate, losses, methods, nets, plots, scoreboard, train, widgets
from sslkit.data import load

machine = device.pick()
splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
known, val, test = splits.values()
sweep = json.loads((scoreboard.FILE.parent / "experiments" / "10.json").read_text())

# %% [markdown]
# ## What may change?
#
# There are no labels here. All that we tell the network is which changes **do not matter**: we draw two views of an
# image, and say that they are the same. So the augmentation is the teacher. Explore it.
#
# **Try:** press *nothing*, then move one slider at a time to its end. Which one hides the digit from you first? Which
# one makes two views hard to match by their colours? Which one would be wrong for photographs of traffic lights?

# %%
widgets.explore_views(val.images[:12])

# %% [markdown]
# *Figure: the widget as a picture. A digit, and 23 views of it with the course's strong augmentation: cropped, turned
# a little, in all colours, some grey, half of them as negatives. The digit can be read in nearly all of them.*
#
# ## From the triplet to many negatives
#
# Lesson 06 ended with a softmax over all negatives of the batch. **SimCLR** (Chen and colleagues 2020) is that, with
# cosines. $N$ images give $2N$ views, $z_1 \dots z_{2N}$. Each view $i$ has one partner $p(i)$, the other view of its
# image, and $2N - 2$ negatives. It is asked: which one is your partner?
#
# $$L = -\frac{1}{2N} \sum_i \log \frac{\exp(\cos(z_i, z_{p(i)}) / \tau)}{\sum_{j \ne i} \exp(\cos(z_i, z_j) / \tau)}$$
#
# Two images, four views, typed by hand. Rows 0 and 1 are the first views, rows 2 and 3 the second ones.

# %%
# NBVAL_CHECK_OUTPUT
a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
b = torch.tensor([[1.0, 1.0], [-1.0, 2.0]])


def nt_xent_slowly(a, b, temperature):
    z, n, total = torch.cat([a, b]), len(a), 0.0
    for i in range(2 * n):
        similar = [math.exp(F.cosine_similarity(z[i], z[j], dim=0) / temperature) for j in range(2 * n)]
        partner = similar[(i + n) % (2 * n)]
        total -= math.log(partner / (sum(similar) - similar[i]))
    return total / (2 * n)


print(f"{nt_xent_slowly(a, b, temperature=0.5):.4f}")

# %% [markdown]
# ### Exercise 1: SimCLR's loss
#
# *10 minutes, medium.*
#
# Write it without the loops. `a` and `b` are `(N, D)`, row i of both is of image i. Return one number that gradients
# can flow from. Expected: for the four views above and a temperature of 0.5, the number above.
#
# <details><summary>Hint 1</summary>All cosines at once: <code>z = F.normalize(torch.cat([a, b]), dim=1)</code>, then
# <code>z @ z.T</code>. What stands on the diagonal, and may it take part?</details>
# <details><summary>Hint 2</summary><code>logits.fill_diagonal_(float("-inf"))</code> takes a view out of its own row.
# The partner of row i is <code>torch.arange(2 * n).roll(n)[i]</code>, and <code>F.cross_entropy(logits,
# partner)</code> does the rest.</details>


# %%
def nt_xent(a, b, temperature):
    ### BEGIN SOLUTION
    n, z = len(a), F.normalize(torch.cat([a, b]), dim=1)
    logits = z @ z.T / temperature
    logits.fill_diagonal_(float("-inf"))
    return F.cross_entropy(logits, torch.arange(2 * n).roll(n))
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_nt_xent(nt_xent)

# %% [markdown]
# A network that cannot tell any two views apart gives each of the other $2N - 1$ views the same probability. So
# knowing nothing costs $\ln(2N - 1)$. It is the only question of this course whose difficulty depends on the size of
# the batch.

# %%
# NBVAL_CHECK_OUTPUT
for n in (2, 64, 256):
    same = torch.ones(n, 8)
    assert abs(losses.nt_xent(same, same).item() - math.log(2 * n - 1)) < 1e-4
    print(f"N = {n:<4} ln(2N − 1) = {math.log(2 * n - 1):.2f}")

# %% [markdown]
# The **temperature** says how much the nearest negatives count. Five negatives with cosines from 0.9 to −0.5; how is
# the push shared out between them? (The push on a negative is its probability.)

# %%
# NBVAL_CHECK_OUTPUT
cosines = torch.tensor([0.9, 0.6, 0.3, 0.0, -0.5])
print("cosine  ", *(f"{cosine:>6.1f}" for cosine in cosines.tolist()))
for temperature in (0.05, 0.2, 1.0):
    shares = (cosines / temperature).softmax(dim=0)
    print(f"τ = {temperature:<4}", *(f"{share:>6.2f}" for share in shares.tolist()))

# %% [markdown]
# A low temperature is the hard negative of lesson 06, a high one the random negative. In between the softmax mines by
# itself.
#
# The whole method is an encoder, a **projector** (a small network whose output is compared, and which is thrown away
# afterwards), and this loss. It reads like that in `sslkit`, too:

# %%
with device.seeded(0):
    simclr = methods.SimCLR(nets.ConvNet(), temperature=0.2)
x_a, x_b = simclr.views(known.images[:64], device.generator(0))
z_a, z_b = simclr.projector(simclr.encoder(torch.cat([x_a, x_b]))).chunk(2)
print(f"untrained: {losses.nt_xent(z_a, z_b, 0.2):.2f}; knowing nothing costs {math.log(2 * 64 - 1):.2f}")

# %% [markdown]
# **Predict:** half a minute of training, 700 steps of 64 images, then ten labels a class on the frozen encoder. What
# is the accuracy? Random weights have 0.28<!-- sb:random/10 -->, lesson 04's rotation 0.68<!-- sb:rotation/10 -->,
# and triplets with well-chosen negatives 0.73<!-- ex:06:mine-semi-hard.mean -->.

# %%
my_guess = ...

# %% [markdown]
# `train.fit` trains. `widgets.watch_training` does the same, with the same numbers, and lets you look on. After each
# epoch: the loss, a quick probe on 500 images of *val*, and how far and in how many directions the embedding is
# spread. *Stop* ends the training and keeps what was learned.

# %%
short = train.TrainConfig(steps=700, batch_size=64)
result = widgets.watch_training(simclr, known.images, short, known=known, val=val)

# %% [markdown]
# *Figure: four small charts over the epochs. The loss falls, the probe's accuracy on val rises from that of random
# weights, and the embedding stays spread in many directions.*

# %%
live = evaluate.label_efficiency(simclr.encoder, splits, [10], draws=5)[10]
checks.predicted(my_guess, live.mean)
plots.loss_curve(result.history, chance=math.log(2 * 64 - 1), title="which one is your other view?")

# %% [markdown]
# *Figure: the training loss by epoch. In the first epoch it is a nat below the dotted line of knowing nothing already, and it
# falls, steeply at first.*
#
# The textbook says that contrastive learning wants **large batches**: more negatives, a harder question. Does it,
# here? The same number of images each, ten draws of labels; three runs with 64, one of each other (from
# `make experiments LESSON=10`, as everything below that is not run here):

# %%
print(f"{'':<26}{'accuracy':>9}")
for name, label in (("batch-16", "batches of 16"), ("simclr", "64"), ("batch-256", "256")):
    print(f"{label:>26}{sweep[name]['mean']:>9.3f}")
for name, label in (("temperature-0.05", "64, temperature 0.05"), ("simclr", "0.2"), ("temperature-1.0", "1.0")):
    print(f"{label:>26}{sweep[name]['mean']:>9.3f}")

# %% [markdown]
# For the same number of images, **a large batch did worse here**: 0.68<!-- ex:10:batch-256.mean --> with 256 images,
# 0.74<!-- ex:10:simclr.mean --> with 64. A batch of 256 has more negatives, but it takes one step where batches of
# 64 take four. In a run of seconds steps are what is scarce. The large batches of the papers belong to runs of many
# hours. (All but the run with 64 were done once, and one run can mislead: 16 images look better still, but over three
# seeds, in lesson 12, they are no better than 64.)
#
# The temperature forgives much: 0.05 and 0.2 can hardly be told apart. At 1.0, where all negatives count nearly
# alike, about five points are lost. That is what lesson 06 found, too: easy negatives teach little.
#
# ## A memory of negatives
#
# Many negatives cost a large batch, and a large batch costs memory. **MoCo** (He and colleagues 2020) keeps the
# embeddings of *past* batches in a **queue**: the keys of this batch enter, the oldest leave. But the encoder changes
# with every step, and yesterday's embeddings were made by yesterday's encoder. So the keys come from a second network
# that changes slowly: a **moving average** of the first one, the *momentum encoder*. No gradient ever reaches it.
#
# $$\xi \leftarrow m\, \xi + (1 - m)\, \theta$$
#
# $\theta$ are the parameters that are trained, $\xi$ those of the follower, $m$ is close to 1.
#
# ### Exercise 2: a moving average
#
# *4 minutes, easy.*
#
# `target` and `online` are tensors of the same shape. Return the new target. No gradient may flow into `online`.
# Expected: target 1, online 3 and a momentum of 0.75 give 1.5.
#
# <details><summary>Hint 1</summary>The momentum is the share that the target keeps of itself.</details>
# <details><summary>Hint 2</summary><code>online.detach()</code> is the same numbers, as a constant.</details>


# %%
def ema(target, online, momentum):
    ### BEGIN SOLUTION
    return momentum * target + (1 - momentum) * online.detach()
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_ema(ema)

# %% [markdown]
# How far behind is the follower? With $m = 0.99$ a change of $\theta$ has reached it to 63 % after 100 steps: its
# memory is about $1 / (1 - m)$ steps long. And the queue, three batches of two keys in a queue of five:

# %%
# NBVAL_CHECK_OUTPUT
queue = torch.zeros(5)
for batch in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]):
    queue = torch.cat([torch.tensor(batch), queue])[:5]  # what enters pushes the oldest out
    print(queue.tolist())

# %% [markdown]
# The rest is SimCLR, with the negatives from the queue (`losses.info_nce`). One view asks, the other one is the key.
# Knowing nothing costs $\ln(K + 1)$ with $K$ keys in the queue. An untrained network is *below* that: the queue
# starts with random directions, and those are easy to tell from an image.

# %%
with device.seeded(0):
    moco = methods.MoCo(nets.ConvNet(), queue=1024)
loss = moco(known.images[:64], device.generator(0))["loss"]
print(f"untrained: {loss:.2f}; knowing nothing costs {math.log(1024 + 1):.2f}")
print("any gradient in the follower:", any(p.requires_grad for p in moco.target.parameters()))

# %% [markdown]
# ## Without negatives
#
# A negative pushes apart. What if nothing is pushed apart, and the views of one image are only pulled together? The
# best answer is a constant. **Predict:** what will the loss, the spread of the embeddings, and the accuracy do?
#
# Two numbers watch it. `evaluate.collapse` gives the **std** of the embeddings: 1 if they spread evenly over all
# directions, 0 if they are all the same. And their **effective rank**: how many directions they use.

# %%
my_guess = ...

# %% [markdown]
# This is SimCLR with the upper half of its fraction alone:


# %%
class NoNegatives(methods.SimCLR):
    def loss(self, a, b):
        z_a, z_b = self.projector(self.encoder(torch.cat([a, b]))).chunk(2)
        return {"loss": losses.normalised_mse(z_a, z_b)}  # 2 − 2 cosines


@torch.inference_mode()
def projected(method):
    return method.projector(method.encoder(augment.to_float(val.images[:512].to(machine))))


# %%
with device.seeded(0):
    pulled = NoNegatives(nets.ConvNet())
result = train.fit(pulled, known.images[:6400], train.TrainConfig(steps=200, batch_size=64, progress=False))
print(f"loss {result.history[0]['loss']:.3f} in the first epoch, {result.history[-1]['loss']:.4f} in the last")
print(evaluate.collapse(projected(pulled)))
print(evaluate.collapsed(projected(pulled)))

# %% [markdown]
# The loss is nearly perfect, and nothing was learned: **collapse**. A loss curve alone would have pleased everybody.
#
# **BYOL** (Grill and colleagues 2020) pulls only, and does not collapse. It has three parts:
#
# - a **target network**, the slow follower from above, which embeds one view;
# - a **predictor**, a small network that has to predict this embedding from the other view's;
# - a **stopped gradient**: the target counts as a constant. The prediction is to come to the target; the target may
#   not come to meet it.
#
# **SimSiam** (Chen and He 2021) leaves out the follower: the same network embeds both views. Predictor and stopped
# gradient stay. With predictions $p$ and embeddings $z$:
#
# $$L = \tfrac12 \big[ 2 - 2 \cos(p_a, \text{stop}(z_b)) \big] + \tfrac12 \big[ 2 - 2 \cos(p_b, \text{stop}(z_a)) \big]$$
#
# ### Exercise 3: a stopped gradient
#
# *6 minutes, medium.*
#
# Write it. All four are `(N, D)`. The value is only half of it: the gradient must reach `p_a` and `p_b`, and neither
# `z_a` nor `z_b`.
#
# <details><summary>Hint 1</summary><code>F.cosine_similarity(p, z)</code> gives one cosine a row; take the
# mean.</details>
# <details><summary>Hint 2</summary><code>z_b.detach()</code> has the same values and no history.</details>


# %%
def stop(p_a, p_b, z_a, z_b):
    ### BEGIN SOLUTION
    first = F.cosine_similarity(p_a, z_b.detach()).mean()
    second = F.cosine_similarity(p_b, z_a.detach()).mean()
    return 2 - first - second
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_stop(stop)

# %% [markdown]
# ### It does not collapse. Does it learn?
#
# SimSiam as it is, 1,200 small batches of 32 images. **Predict** the std of its embeddings (1 is spread evenly, 0 one
# point), and how many of the 128 directions it will use.

# %%
my_guess = ...


# %%
def try_simsiam(**settings):
    with device.seeded(0):
        method = methods.SimSiam(nets.ConvNet(), **settings)
    train.fit(method, known.images, train.TrainConfig(steps=1200, batch_size=32, lr=1e-3, progress=False))
    score = evaluate.label_efficiency(method.encoder, splits, [10], draws=5)[10]
    found = evaluate.collapse(projected(method))
    print(
        f"std {found['std']:.2f}, directions {found['effective_rank']:.0f} of 128, ten labels a class {score.mean:.2f}"
    )


try_simsiam()

# %% [markdown]
# The spread is that of a healthy run, and yet little was learned; random weights have 0.28<!-- sb:random/10 -->. The
# embeddings lie in a few directions only. This is a collapse, too, a **dimensional** one
# (Jing and colleagues 2022): what is easiest to predict of the other view is learned first, and nothing asks for more.
#
# So make the easy count no more than the rest. To **whiten** embeddings is to turn and stretch them until every
# direction has variance 1 and none goes with another. $\Sigma$ is their covariance:
#
# $$y = (z - \bar z)\, \Sigma^{-1/2}$$

# %%
z = torch.randn(1000, 2, generator=device.generator(0)) @ torch.tensor([[3.0, 1.0], [0.0, 0.2]])
values, directions = torch.linalg.eigh(torch.cov(z.T))
y = (z - z.mean(dim=0)) @ directions @ (values**-0.5).diag() @ directions.T
print("before\n", torch.cov(z.T), "\nafter\n", torch.cov(y.T).round(decimals=3).abs())

# %% [markdown]
# **Predict:** the same run once more. Only that what has to be predicted is whitened first.

# %%
my_guess = ...

# %%
try_simsiam(whiten=True)

# %% [markdown]
# One line of algebra on the target, no negatives, and it learns. (Whitening comes from Ermolov and colleagues 2021,
# who whiten both views and need no predictor.) BYOL, SimSiam and DINO in `sslkit.recipes` have it. Two more things help:
# the projections are standard over the batch, which is SimSiam's and not BYOL's, and the predictor learns ten times as fast
# as the rest, which is neither's. On large data and in hundreds of epochs the papers do without.
#
# ## By statistics
#
# The other way to forbid the constant: look at a whole batch of embeddings, and say what its statistics shall be.
# **Barlow Twins** (Zbontar and colleagues 2021) correlates every coordinate $i$ of one view with every coordinate $j$
# of the other, over the batch. $Z$ and $Z'$ are centred:
#
# $$C_{ij} = \frac{\sum_n Z_{ni} Z'_{nj}}{\sqrt{\sum_n Z_{ni}^2} \sqrt{\sum_n Z_{nj}'^2}} \qquad
# L = \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \ne j} C_{ij}^2$$
#
# The diagonal shall be 1: a coordinate says the same of both views. The rest shall be 0: no two coordinates say the
# same. A constant coordinate correlates with nothing, so collapse is expensive.
#
# ### Exercise 4: a cross-correlation
#
# *8 minutes, medium.*
#
# `a` and `b` are `(N, D)`. Return $C$, `(D, D)`. Mind the axis: an image is a row, a coordinate is a column.
#
# <details><summary>Hint 1</summary>First make every column standard: subtract its mean over the batch, divide by its
# length.</details>
# <details><summary>Hint 2</summary><code>F.normalize(a - a.mean(dim=0), dim=0)</code> does that. What is left is one
# matrix product.</details>


# %%
def cross_correlation(a, b):
    ### BEGIN SOLUTION
    a, b = F.normalize(a - a.mean(dim=0), dim=0), F.normalize(b - b.mean(dim=0), dim=0)
    return a.T @ b
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_cross_correlation(cross_correlation)

# %% [markdown]
# **VICReg** (Bardes, Ponce and LeCun 2022) takes the same apart into three terms that can be switched off one by one:
#
# - **invariance**: the two views agree (squared distance);
# - **variance**: every coordinate keeps a standard deviation of 1 or more over the batch;
# - **covariance**: two coordinates of the same view do not vary together.

# %%
with device.seeded(0):
    vicreg = methods.VICReg(nets.ConvNet())


@torch.inference_mode()
def table(method):
    """The cross-correlation of two views of val's images, of the first 40 coordinates."""
    net = copy.deepcopy(method).to(machine).train()  # the statistics of this batch; the method stays as it is
    views = net.views(val.images[:1000].to(machine), device.generator(0, machine))
    z_a, z_b = (net.projector(net.encoder(x))[:, :40].float() for x in views)
    z_a, z_b = (F.normalize(z - z.mean(dim=0), dim=0) for z in (z_a, z_b))
    return (z_a.T @ z_b).abs().cpu()


before = table(vicreg)
result = train.fit(vicreg, known.images, short)

# %%
figure = plots.Figure(figsize=(7.4, 3.2), layout="constrained")
for axis, values, name in zip(figure.subplots(1, 2), (before, table(vicreg)), ("untrained", "after 700 steps")):
    shown = axis.imshow(values, cmap="Blues", vmin=0, vmax=1)
    axis.set(title=name, xlabel="coordinate of one view", ylabel="coordinate of the other view")
figure.colorbar(shown, ax=figure.axes, label="correlation (absolute)")
figure

# %% [markdown]
# *Figure: two tables of 40 by 40 correlations. Untrained, it is nearly white: no coordinate of one view tells any of the
# other. After training there is a dark diagonal on a light ground.*
#
# **Predict:** ten labels a class on this encoder. It saw the same images as SimCLR above, as often, and no negative.

# %%
my_guess = ...

# %%
without = evaluate.label_efficiency(vicreg.encoder, splits, [10], draws=5)[10]
checks.predicted(my_guess, without.mean)
print(f"SimCLR, above: {live.mean:.2f}")

# %% [markdown]
# ## By self-distillation
#
# **DINO** (Caron and colleagues 2021) has a follower, too, the *teacher*. It answers with shares of $K$
# **prototypes**, as if there were $K$ classes, and the student is to give the same answer. There are no classes, only
# directions that the network makes up as it goes. And there is a difference in what the two see: the teacher sees two
# large crops, the student also sees small ones. From a part it has to say what the teacher says of the whole.

# %%
with device.seeded(0):
    dino = methods.DINO(nets.ConvNet())
crops = dino.views(known.images[:6], device.generator(0))
print([tuple(crop.shape) for crop in crops])
large = [F.interpolate(crop, size=(32, 32)) for crop in crops]
plots.image_grid(torch.cat(large), columns=6, size=0.75, rows=["large", "large", "small", "small"])

# %% [markdown]
# *Figure: two rows of large crops with whole digits, and two rows of small crops, which show a part of the digit in a
# quarter of the pixels.*
#
# In our images a small crop often shows half a digit in a few pixels. That did harm:
# 0.49<!-- ex:10:dino-crops.mean --> with them, 0.67<!-- ex:10:dino.mean --> without, in short runs. So the recipe
# leaves them out, and whitens what the teacher says. The paper's photographs have seven times as many pixels a side.
#
# A teacher can fail in two ways, and both are a collapse:
#
# - it says **the same prototype** of every image. Then the student does too, and the loss is 0;
# - it says **all prototypes alike** of every image. Then the loss is $\ln K$, and nothing moves.
#
# Two counterweights. The teacher's answers are **centred**: less their average over the last batches, which a single
# favourite prototype does not survive. And they are **sharpened** by a low temperature, which the even answer does
# not survive.

# %%
# NBVAL_CHECK_OUTPUT
k, centre = 16, torch.zeros(16)
favourite = 10 * F.one_hot(torch.zeros(2, 8, dtype=torch.int64), k).float()  # of eight images, always prototype 0
even = torch.zeros(2, 8, k)
print(f"always the same one: {losses.dino(favourite, favourite, centre):.2f}")
print(f"all alike:           {losses.dino(even, even, centre):.2f}   ln 16 = {math.log(16):.2f}")
centred = losses.dino(favourite, favourite, centre=favourite[0].mean(dim=0))
print(f"the same one, centred: {centred:.2f}: no longer worth it")

# %% [markdown]
# ## Collapse, watched
#
# Now take away from each method what prevents the collapse, and watch (51,200 images each, SimSiam in smaller batches;
# one run). **Predict** for each: will the embeddings become one point, lie in a few directions, or stay spread out?

# %%
my_guess = ...

# %%
broken = {
    "SimCLR": {"as it is": "simclr", "no negatives": "no-negatives"},
    "SimSiam": {"as it is": "simsiam-plain", "no stop": "no-stop", "no predictor": "no-predictor"},
    "VICReg": {"as it is": "vicreg", "no variance": "no-variance", "no covariance": "no-covariance"},
}
figure = plots.Figure(figsize=(9.6, 7.2), layout="constrained")
for axes, (title, rows) in zip(figure.subplots(3, 3, sharex="row"), broken.items()):
    for (label, name), tint, line in zip(rows.items(), (plots.SSL, plots.ACCENT, plots.RANDOM), ("-", "--", ":")):
        course = sweep[name]["course"]
        for axis, key in zip(axes, ("loss", "std", "effective_rank")):
            axis.plot(course["step"], course[key], line, color=tint, linewidth=2, label=label)
    axes[0].set(title=title, ylabel="loss")
    axes[1].set(ylabel="std", ylim=(0, 1.05))
    axes[2].set(ylabel="effective rank", ylim=(0, None))
    axes[0].legend(frameon=False)
for axis in figure.axes[-3:]:
    axis.set_xlabel("step")
figure

# %% [markdown]
# *Figure: three rows of three plots: loss, std and effective rank on 512 images of val, as SimCLR, SimSiam and VICReg train,
# each as it is and with a part taken away. All losses with a part taken away fall below that of the whole method. The
# std falls to nearly 0 without negatives, without the stop and without the predictor, and more slowly without the
# variance. Without the covariance it stays at 0.8, and the rank falls to about 8.*
#
# Two kinds of collapse, and **no loss shows either**. It falls in all of them, and lower than in the good run.
#
# - **One point**: SimCLR without negatives, SimSiam without the stop or the predictor. Std near 0. VICReg without its
#   variance is on the way there. Trained like that, a network is worth *less* than random weights.
# - **A few directions**: VICReg without its covariance, and plain SimSiam. The std looks healthy; the rank is 10 to 15.
#
# So look at both. And look at the std first: when all embeddings are one point, the rank is that of the noise around
# it, and can be anything. `evaluate.collapsed` does so, and puts the clear cases in words: a std below 0.1, or a rank
# below a twentieth of the directions. Plain SimSiam, with 15 of 128, slips through. The accuracy below tells.

# %%
print(f"{'':<26}{'training loss':>15}{'std':>6}{'rank':>6}{'accuracy':>10}")
for title, rows in broken.items():
    for label, name in rows.items():
        row = sweep[name]
        std, rank = row["projection"].values()
        figures = f"{row['loss']:>15.2f}{std:>6.2f}{rank:>6.0f}{row['mean']:>10.3f}"
        print(f"{f'{title}, {label}':<26}{figures}")

# %% [markdown]
# ## Which augmentation matters?
#
# The views are all that these methods are told. So take one part of the augmentation away at a time, and train SimCLR
# anew (800 steps). **Predict** which one costs most.

# %%
my_guess = ...

# %%
names = {
    "crop": "no crops",
    "rotate": "no turns",
    "light": "no light",
    "colour": "no colour",
    "negative": "no inversion",
}
left_out = {"all of it": sweep["simclr"], **{label: sweep[f"without-{part}"] for part, label in names.items()}}
left_out |= {"no light, colour, inversion": sweep["without-all-colour"], "weak": sweep["weak"]}
left_out |= {"random": sweep["random"]}
plots.bars(left_out, chance=0.1, title="SimCLR without one part of the augmentation")

# %% [markdown]
# *Figure: nine bars of test accuracy, with all of the augmentation, with one part left out at a time, and with random
# weights. Without colour the bar is about half as long; without light, colour and inversion it ends at the line of
# chance.*
#
# **Colour** carries it. Without other saturations, hues and grey it is 0.41<!-- ex:10:without-colour.mean -->; without
# changes of light 0.63<!-- ex:10:without-light.mean -->. Take all of these away, and inversion with them, and
# 0.12<!-- ex:10:without-all-colour.mean --> is left. That is *worse than random weights*, which have
# 0.28<!-- ex:10:random.mean -->. Without crops a little is lost, as far as one run can say. To leave out turns or inversion costs too little for one run to show.
#
# Why would a network that was trained for a task know less than one that was not?
#
# ## The shortcut: match the backgrounds
#
# Two views of one image also share a background. If the colours of the views differ little, that is the easiest way
# to find the partner, and the digit is not needed. Here is a test. A hundred handwritings, each over the same twenty
# backgrounds. What looks most like an image to the encoder: **the same digit** in another hand over another
# background, or **another digit** over the same background? A blind guess takes the background in about a third of
# the cases.

# %%
print(f"{'':<30}{'follows the background':>24}{'accuracy':>10}")
for label, row in left_out.items():
    print(f"{label:<30}{row['background']:>24.2f}{row['mean']:>10.3f}")

# %% [markdown]
# There it is. Without changes of colour and light the encoder follows the background in
# 0.87<!-- ex:10:without-all-colour.background --> of the cases. It found its partner by the colours behind the digit,
# and the digit went unlearned. With all of the augmentation it follows it in 0.19<!-- ex:10:simclr.background -->, less
# often than a blind guess. And the loss? The shortcut has the **lower** one: 0.83<!-- ex:10:without-all-colour.loss -->
# beside 1.77<!-- ex:10:simclr.loss -->. A task with an easy way out is an easy task.
#
# The rule of lesson 03 holds for views, too: **what the two views share is what will be learned**. Before you train,
# ask what else they share.
#
# ## What are they worth?
#
# Each method with its recipe, three runs, ten draws of ten labels a class. From the scoreboard, where the seconds are, too.

# %%
names = ("random", "moco", "barlow-twins", "byol", "dino", "simclr", "simsiam", "vicreg", "supervised")
table = scoreboard.find(scoreboard.load(), data="photodigits", budget="lesson", labels_per_class=10)
worth = {row["method"]: row for row in table if row["method"] in names}
plots.bars({name: worth[name] for name in names}, chance=0.1, title="ten labels a class")

# %% [markdown]
# *Figure: nine bars of test accuracy at ten labels a class: random weights far behind, the seven methods between 0.77
# and 0.85, supervised training from scratch just above them.*

# %%
for name in names[1:-1]:
    row = worth[name]
    print(
        f"{name:<14}{row['pretrain_seconds']:>5.0f} s of {row['settings']['batch_size']:>3} images {row['mean']:>7.3f}"
    )

# %% [markdown]
# All seven leave the pretext tasks behind; the best of those, rotation, has 0.68<!-- sb:rotation/10 -->. Supervised
# training from scratch, with the same augmentation and tuned as carefully, has 0.86<!-- sb:supervised/10 -->. MoCo,
# Barlow Twins and BYOL stay behind that. Of the other four the intervals overlap with its own, so by the scoreboard's rule
# nothing is shown. The rule is a coarse one: SimSiam, SimCLR and DINO are behind by 3 to 4 points, and VICReg is level.
#
# Beware of the order. SimSiam, SimCLR and DINO are within one point of each other, and each has an interval of two points to either side. It
# is the order of *these* recipes, on *these* images, in a minute. With another step size or batch it would be another.
#
# ## The scoreboard

# %%
shown = ("chance", "pixels", "rotation", "triplet", *names)
print(
    scoreboard.render([row for row in scoreboard.find(scoreboard.load(), data="photodigits") if row["method"] in shown])
)

# %% [markdown]
# Where labels are scarce the gap is wide: with **one** label a class VICReg has 0.48<!-- sb:vicreg/1 --> and supervised
# training 0.37<!-- sb:supervised/1 -->. With twenty it is 0.88<!-- sb:vicreg/20 --> against
# 0.91<!-- sb:supervised/20 -->. Is that as far as a frozen encoder goes?
#
# No, a minute was short. In the line *long* VICReg has trained for four minutes, on 15,000 small batches. It has
# 0.72<!-- sb:vicreg/1/long --> with one label and 0.94<!-- sb:vicreg/10/long --> with ten, and it is not behind with a
# hundred, either: 0.96<!-- sb:vicreg/100/long --> against 0.95<!-- sb:supervised/100 -->.
#
# ## Recap
#
# - **SimCLR's loss**: which of all other views is my partner? A cross-entropy; knowing nothing costs $\ln(2N - 1)$.
# - **What each part is for**: the queue holds negatives without a large batch, and a slow follower keeps them
#   comparable. A predictor and a stopped gradient replace negatives. A cross-correlation with ones on its diagonal
#   alone replaces both.
# - **Collapse**: the loss looks fine. Ask for std and effective rank, or for `evaluate.collapsed`.
# - **Augmentation is the teacher**: what two views still share is what is learned, wanted or not.
#
# Next: lesson 11 hides parts again, and has a transformer fill them in.
