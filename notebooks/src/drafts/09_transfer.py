# %% [markdown]
# # 09 · Transfer
#
# **The question: when has the pretext stopped learning? Copy how many layers? Freeze them, or not?**
#
# "Once the pretext task is solved (the model stopped to learn), copy, and freeze (?), the weights of the earliest layers
# into the new model." So say the slides of the course that this one grew out of, question mark included. The sentence has
# three choices in it. This lesson measures each of them.
#
# After this lesson you can
#
# - say by a rule when a training has stopped, and what that rule does not tell;
# - copy the first layers of a network into another one, freeze them, and prove that they are frozen;
# - choose between frozen, fine-tuned and gradual by a measurement;
# - say how many labels a pretraining is worth, as one number with an interval.
#
# | | |
# |---|---|
# | you need | lesson 01, and lesson 04 or 05; the words *pretext*, *linear probe* and *control* |
# | time | 50 minutes to read and do; the cells run for about 2 minutes on 2 CPU cores, under one on a GPU |
# | three exercises | when has it stopped; freeze a block; worth how many labels |

# %%
import copy
import json

from sslkit import checks, device, evaluate, nets, plots, recipes, scoreboard, train, transfer, widgets
from sslkit.data import load

machine = device.pick()
splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
known, val, test = splits.values()
measured = json.loads((scoreboard.FILE.parent / "experiments" / "09.json").read_text())

# %% [markdown]
# ## When has it stopped?
#
# The loss of a pretext task falls quickly, then slowly, then hardly. "Has stopped" needs a rule. The usual one looks at the
# loss on *val*, after every epoch:
#
# - a **gain** is a loss lower than the best so far by more than a hundredth of it;
# - after five epochs in a row without a gain it has stopped. This number of epochs is called **patience**.
#
# Two things to mind. The rule is of no use while the learning rate falls to 0, as it does in our recipes: then every
# training stops at its planned end. So here the rate is constant. And the loss has to be that of *val*: a network can go on
# learning its training images by heart for long.
#
# ## Exercise 1: when has it stopped?
#
# *8 minutes, medium.*
#
# Write `stopped(losses, patience, min_gain)`: the number of the epoch, from 1, at which the rule says so; the last epoch if it
# never does. Expected: for losses `[1.0, 0.5, 0.4, 0.399, 0.398, 0.397, 0.396]`, patience 3 and min_gain 0.01 it is epoch 6.
#
# <details><summary>Hint 1</summary>Remember two things from epoch to epoch: the best loss that was a gain, and how many epochs
# have passed since.</details>
# <details><summary>Hint 2</summary>A gain is <code>loss &lt; best * (1 - min_gain)</code>. It sets the count back to 0; any
# other epoch adds 1. Start with <code>best = float("inf")</code>.</details>


# %%
def stopped(losses, patience, min_gain):
    ### BEGIN SOLUTION
    best, waited = float("inf"), 0
    for epoch, loss in enumerate(losses, start=1):
        best, waited = (loss, 0) if loss < best * (1 - min_gain) else (best, waited + 1)
        if waited == patience:
            return epoch
    return len(losses)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_stopped(stopped)

# %% [markdown]
# `train.Plateau` is the same rule, and `TrainConfig(patience=5, min_gain=0.01, schedule="constant")` lets `fit` end by it.
#
# ## Does the loss know?
#
# Two things go on at once while a pretext is trained. It gets better at its own task, and its encoder gets better, or worse,
# for what we want of it. We watch both: the loss on *val*, and a linear probe on *val* every third epoch.
#
# **Predict:** twelve epochs of rotation at a constant rate. When does the probe stop rising: before the loss, with it, or
# after it?

# %%
my_guess = ...

# %%
with device.seeded(0):
    method = recipes.build("rotation", nets.ConvNet())
only_val = splits | {"test": val}  # the test split is not for looking along the way
seen = {}


def probe(method, record):
    if record["epoch"] % 3 == 0:
        seen[record["epoch"]] = evaluate.label_efficiency(method.encoder, only_val, [10], draws=3)[10].mean


config = train.TrainConfig(epochs=12, batch_size=128, schedule="constant")
result = train.fit(method, known.images, config, validation=val.images, callbacks=[probe])

# %%
print("epoch   loss on val   probe on val")
for record in result.history[2::3]:
    print(f"{record['epoch']:>5}{record['validation_loss']:>14.3f}{seen.get(record['epoch'], float('nan')):>15.2f}")

# %% [markdown]
# Twelve epochs are too few to see an end. The long run was measured beforehand (`make experiments LESSON=09`): sixty epochs
# of three pretexts at a constant rate, three seeds each, with the probe every fourth epoch.

# %%
figure = plots.Figure(figsize=(9.6, 3.4), layout="constrained")
for axis, name in zip(figure.subplots(1, 3), ("jigsaw", "rotation", "vicreg")):
    trace = measured[f"trace-{name}"]
    epochs = range(1, len(trace["validation"]) + 1)
    axis.plot(epochs, trace["validation"], color=plots.RANDOM, label="pretext's loss on val")
    other = axis.twinx()
    other.plot([1, *epochs[3::4]], trace["probe"], color=plots.SSL, marker="o", markersize=4, label="probe on val")
    axis.axvline(sum(trace["plateau"]) / 3, color="black", linestyle=":", label="stopped, by the rule")
    axis.set(xlabel="epoch", title=name)
    other.set(ylim=(0, 1))
figure.axes[0].set_ylabel("loss")
other.set_ylabel("probe, ten labels a class")
lines = [*axis.get_lines(), *other.get_lines()]
figure.legend(lines, [line.get_label() for line in lines], loc="outside upper center", ncols=3, frameon=False)
figure

# %% [markdown]
# *Figure: @@describe@@*

# %%
print(f"{'':<10}{'before':>16}{'at the plateau':>18}{'after (60 epochs)':>20}")
for name in ("jigsaw", "rotation", "vicreg"):
    cells = [f"{row['mean']:.2f} ± {row['std']:.2f}" for row in (measured[f"trace-{name}"][s] for s in ("before", "at", "after"))]
    print(f"{name:<10}{cells[0]:>16}{cells[1]:>18}{cells[2]:>20}")

# %% [markdown]
# Test accuracy of the probe, ten labels a class, for the encoder of a quarter of the way to the plateau, of the plateau, and
# of the last epoch.
#
# @@what it says@@
#
# ## Copy
#
# A network for the new task has the same blocks and a head of its own. The first blocks come from the pretext, the others
# start at random. What of it will learn?

# %%
# NBVAL_CHECK_OUTPUT
source = method.encoder
with device.seeded(1):
    new = transfer.build(source, classes=10, copied=3, mode="frozen")
print(transfer.render(transfer.table(new)))

# %% [markdown]
# ## Frozen means two things
#
# No gradient, so the weights stay. Is that all? A block holds more than weights: batch norm keeps a running mean and variance
# of what it has seen, and in training mode it updates them with every batch, gradient or not. Worse, it does not even use
# them: it normalises with the batch's own. So a block that is frozen for the optimizer only is another function in every step.
#
# ### Exercise 2: freeze a block
#
# *6 minutes, easy.*
#
# Write `freeze(block)`. It is called after every `network.train()`, before the step. Return the block. Nothing that it
# holds may change, and its output has to be that of evaluation; everything outside of it goes on learning.
#
# <details><summary>Hint 1</summary><code>block.requires_grad_(False)</code> asks no parameter for a gradient.</details>
# <details><summary>Hint 2</summary><code>block.eval()</code> puts a block, and it alone, into eval mode, and returns it.</details>


# %%
def freeze(block):
    ### BEGIN SOLUTION
    block.requires_grad_(False)
    return block.eval()
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_freeze(freeze)

# %% [markdown]
# `transfer.freeze` does it once and for all: a frozen block stays in eval mode, also after a `train()` of the whole network.
#
# ### Broken on purpose: half frozen
#
# We train on a hundred labelled images, once properly and once without a gradient only. A **checksum** of everything that the
# three blocks hold, before and after, says what was frozen.


# %%
def checksum(encoder):
    parts = {"weights": 0.0, "statistics": 0.0}
    for name, value in encoder.blocks[:3].state_dict().items():
        parts["statistics" if "running" in name else "weights"] += value.double().abs().sum().item()
    return parts


half = copy.deepcopy(new)
transfer.unfreeze(half.encoder)
half.encoder.blocks[:3].requires_grad_(False)  # and no more than that

# %%
# NBVAL_CHECK_OUTPUT
few = train.TrainConfig(steps=20, batch_size=100, lr=6e-3, progress=False)
for name, network in {"frozen": new, "half frozen": half}.items():
    before = checksum(network.encoder)
    evaluate.train_on_labels(network, known, per_class=10, seed=0, config=few)
    after = checksum(network.encoder)
    print(f"{name:<12}", *(f"{part} {'as before' if before[part] == after[part] else 'CHANGED'}  " for part in before))

# %% [markdown]
# The second network has copied layers that nobody copied. Where the new data looks like the old, nobody notices. Where it does
# not, the copy is worth less and less with every step, and the loss says nothing.
#
# ## How many layers, frozen or not?
#
# Three ways to go on after copying:
#
# | | the copied layers | the rest |
# |---|---|---|
# | **frozen** | stay as they are | learns |
# | **fine-tuned** | learn at the same rate | learns |
# | **gradual** | stay for the first half of the steps, then learn at a tenth of the rate | learns |
#
# **Predict:** ten labels a class. Which way is best when all four layers are copied? And which when only the first is?

# %%
my_answer = ...

# %%
live = transfer.label_efficiency(source, splits, [10], draws=2, copied=3, mode="frozen")[10]
print(f"three layers of the rotation trained above, frozen, two draws of labels: {live.mean:.2f}")

# %% [markdown]
# That is one point. All of them, for three pretexts of the course with their recipes, three seeds and four draws of the labels
# each, were measured beforehand. In grey what a frozen copy of a network that was never trained gives, in orange supervised
# training with nothing copied: the same network, the same labels, the same augmentation, the same steps.

# %%
sources = ("jigsaw", "rotation", "vicreg")
plots.by_depth(measured, sources)

# %% [markdown]
# *Figure: @@describe@@*
#
# @@what it says@@

# %%
widgets.copied_layers(measured, sources)

# %% [markdown]
# *Figure: the widget as a picture: the panel of one pretext with a ring around the chosen number of layers and mode; below, its
# accuracy, that of copying nothing, and whether the difference is one.*
#
# ## How many labels is that worth?
#
# An accuracy of 0.8 means little to whoever pays for labels. This does: *so many labels would have done the same without
# pretraining*. Draw the curve of supervised training over the number of labels, go across at the accuracy of the pretrained
# encoder, and read off the labels below.

# %%
table = scoreboard.load()
curves = {}
for name, budget in (("random", "lesson"), ("supervised", "lesson"), ("rotation", "long"), ("vicreg", "long")):
    rows = scoreboard.find(table, method=name, budget=budget, data="photodigits")
    curves[name] = {row["labels_per_class"]: row for row in rows}
plots.label_efficiency(curves)

# %% [markdown]
# *Figure: test accuracy over the number of labels a class, on a logarithmic axis. @@describe@@*
#
# ### Exercise 3: worth how many labels?
#
# *8 minutes, medium.*
#
# Write `worth(accuracy, counts, curve)`. Supervised training has the accuracy `curve[i]` with `counts[i]` labels a class; both
# lists rise. Return the number of labels at which it reaches `accuracy`: between two points on a straight line over the
# **logarithm** of the number, as in the figure. Outside of the curve, its nearer end. Expected: `worth(0.4, [1, 10, 100], [0.2,
# 0.6, 0.8])` is √10, about 3.16.
#
# <details><summary>Hint 1</summary>Walk through the pairs of neighbours until <code>accuracy</code> lies between two values of
# the curve. How far between them? The same share of the way in the logarithm.</details>
# <details><summary>Hint 2</summary><code>numpy.interp(accuracy, curve, numpy.log(counts))</code> is all of it, ends included.
# Do not forget to take the logarithm back.</details>


# %%
def worth(accuracy, counts, curve):
    ### BEGIN SOLUTION
    import numpy as np

    return float(np.exp(np.interp(accuracy, curve, np.log(counts))))
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_worth(worth)

# %%
counts = sorted(curves["supervised"])
curve = [curves["supervised"][n]["mean"] for n in counts]
for n in (1, 2, 5, 10):
    row = curves["vicreg"][n]
    mean, low, high = (transfer.worth(row[key], counts, curve) for key in ("mean", "low", "high"))
    print(f"{n:>3} labels a class with VICReg are worth {mean:>4.1f} without ({low:.1f} to {high:.1f})")

# %% [markdown]
# @@what it says@@
#
# ## To another task
#
# @@fashion@@
#
# ## The scoreboard

# %%
print(scoreboard.render(scoreboard.find(table, data="photodigits")))

# %% [markdown]
# ## Recap
#
# - **Stopped** is a rule with two numbers, on the loss of *val*, at a constant rate. @@recap@@
# - **Copied and frozen** means that nothing changes: no weight, no statistic. A checksum proves it.
# - @@how many layers@@
# - @@worth@@
#
# Next: lesson 10. No pretext at all: two views of an image, and a loss between them.
