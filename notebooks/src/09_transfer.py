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
# | time | 50 minutes to read and do; the cells run for about a minute on 2 CPU cores, under one on a GPU |
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
# - a **gain** is a loss lower than that of the last gain by more than a hundredth of it;
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
# Twelve epochs are too few to see an end. The long run was measured beforehand (`make experiments LESSON=09`): 32 epochs of
# three pretexts at a constant rate, three seeds each, with the probe every fourth epoch.

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
# *Figure: three panels over 32 epochs. In grey the pretext's loss on val, which falls in all of them; in blue the probe. Jigsaw's
# probe is level from the fourth epoch on; rotation's and VICReg's rise as their losses fall. A dotted line marks the mean epoch
# at which the rule says "stopped".*

# %%
print(f"{'':<10}{'before':>16}{'at the plateau':>18}{'after 32 epochs':>20}")
for name in ("jigsaw", "rotation", "vicreg"):
    cells = [f"{row['mean']:.2f} ± {row['std']:.2f}" for row in (measured[f"trace-{name}"][s] for s in ("before", "at", "after"))]
    print(f"{name:<10}{cells[0]:>16}{cells[1]:>18}{cells[2]:>20}")

# %% [markdown]
# Test accuracy of the probe, ten labels a class, for the encoder of a quarter of the way to the plateau, of the plateau, and
# of the last epoch.
#
# - **Jigsaw**: from the fourth epoch on the probe hardly moves, while the loss goes on to half of what it was. What is learned
#   late is about puzzles. The early checkpoint is worth as much as the last one.
# - **Rotation and VICReg**: probe and loss go on together. To stop at a quarter of the way costs a lot.
#
# So the loss on *val* tells when the **pretext** has stopped. When the **features** have, it does not tell. That takes a probe,
# and a probe takes labels: a few, of *val*. And who has none? Train on: in none of the three did later checkpoints do harm.
#
# Look at the last row of VICReg, too. At a constant rate, without any schedule, two minutes of it are better than the one minute
# of its recipe. "Has it stopped?" is worth asking of one's own recipes.
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
        parts["weights" if name.endswith(("weight", "bias")) else "statistics"] += value.cpu().double().abs().sum().item()
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
live = transfer.label_efficiency(source, splits, [10], draws=1, copied=3, mode="frozen")[10]
print(f"three layers of the rotation trained above, frozen, one draw of labels: {live.mean:.2f}")

# %% [markdown]
# That is one point. All of them, for three pretexts of the course with their recipes and three seeds, were measured beforehand;
# every point is a mean over the same six draws of the labels. In grey what a frozen copy of a network that was never trained
# gives, in orange supervised training with nothing copied: the same network, labels, augmentation, steps and weight decay.

# %%
sources = ("jigsaw", "rotation", "vicreg")
plots.by_depth(measured, sources)

# %% [markdown]
# *Figure: three panels, one a pretext: test accuracy over the number of layers copied, with a curve for frozen, fine-tuned and
# gradual, and in grey for frozen layers that were never trained. Fine-tuned curves are flat. Frozen ones fall with depth, far
# for jigsaw, less for rotation; VICReg's falls a little and comes back at four layers. Grey falls to chance.*
#
# Read it from left to right. Nothing copied has 0.85<!-- ex:09:scratch.mean -->.
#
# - **The first layer is anybody's.** Copied and frozen it costs a hundredth or nothing, whatever the pretext:
#   0.84<!-- ex:09:jigsaw-1-frozen.mean -->, 0.85<!-- ex:09:rotation-1-frozen.mean -->,
#   0.84<!-- ex:09:vicreg-1-frozen.mean -->. A random one costs no more, 0.85<!-- ex:09:random-1-frozen.mean -->: the layers
#   above it learn to use what they get.
# - **From the second on, it matters who made them.** Two random layers, frozen, leave 0.74<!-- ex:09:random-2-frozen.mean -->, three
#   0.54<!-- ex:09:random-3-frozen.mean -->. Three of rotation leave 0.81<!-- ex:09:rotation-3-frozen.mean -->, of VICReg
#   0.80<!-- ex:09:vicreg-3-frozen.mean -->.
# - **The last layer belongs to its task.** All four, frozen: jigsaw 0.39<!-- ex:09:jigsaw-4-frozen.mean -->, rotation
#   0.61<!-- ex:09:rotation-4-frozen.mean -->. Which way up a digit stands is not which digit it is. VICReg has no such task,
#   and has 0.81<!-- ex:09:vicreg-4-frozen.mean -->.
# - **At the full rate the copy is forgotten.** Fine-tuned, all curves are flat: whatever was copied, the result is that of
#   copying nothing, to within a hundredth.
# - **Gradual** lies between. In half of the steps, at a tenth of the rate, the copied layers come a part of the way.
#
# Are the settings fair to a copy? They are the best ones for copying nothing. On *val*, with VICReg's four layers, other rates and
# weight decays were tried. Fine-tuned gets worse with them. Gradual gains a hundredth. Frozen gains two with a twentieth of the
# decay, since all that is left to learn is a linear head. That makes it level with copying nothing. None that was tried does better.
#
# So was the pretraining for nothing? A minute of it, with **ten** labels a class, and beside a control with the same augmentation: yes.
# Beside a careless control, with 0.47<!-- sb:supervised, weak/10 -->, it would look like a triumph. Where it
# pays comes now: with fewer labels, and with a longer pretraining.

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
# *Figure: test accuracy over the number of labels a class, on a logarithmic axis. VICReg's curve, after four minutes of
# pretraining, lies above the orange one of supervised training everywhere, and far above it at one and two labels. Rotation's
# comes near it at one label. The grey one of the random encoder stays far below.*
#
# ### Exercise 3: worth how many labels?
#
# *8 minutes, medium.*
#
# Write `worth(accuracy, counts, curve)`. Supervised training has the accuracy `curve[i]` with `counts[i]` labels a class; both
# lists rise. Return the number of labels at which it reaches `accuracy`: between two points on a straight line over the
# **logarithm** of the number, as in the figure. Outside of the curve, its nearer end. Expected: `worth(0.4, [1, 10, 100], [0.2,
# 0.6, 0.8])` is √10, about 3.2.
#
# <details><summary>Hint 1</summary>Walk through the pairs of neighbours until <code>accuracy</code> lies between two values of
# the curve. How far between them? The same share of the way in the logarithm.</details>
# <details><summary>Hint 2</summary>With <code>import numpy as np</code>, <code>np.interp(accuracy, curve, np.log(counts))</code> is
# all of it, ends included. Do not forget to take the logarithm back.</details>


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
# That is the price of labels in minutes of a computer: after four minutes with pictures that nobody has looked at, five labels a
# class do what nineteen do without. The interval is that of the test pictures; the orange curve is taken as it is, and 100
# is its end: a hundred or more.
#
# **A number like this one is only as good as its control.** Ours was twenty-three, until somebody tried twice the steps and four
# times the weight decay for the orange curve. Nor is it a law: do the same for rotation, and from two labels on it is
# worth *less* than the labels themselves.
#
# ## To another task
#
# The encoders have seen digits and nothing else. What are they worth for **clothes**? Fashion-MNIST has ten kinds of them,
# small and grey. Ten labels a class, all four blocks copied, three seeds and six draws; measured beforehand, since its files
# are a download. **Predict:** does copying help, do nothing, or hurt?

# %%
my_answer = ...

# %%
print(f"{'on Fashion-MNIST':<24}{'accuracy':>13}   against copying nothing, 95 %")
for name, row in measured.items():
    if name.startswith("fashion-"):
        gain = row["gain"].get("fashion-scratch-fine-tuned")
        against = "{:+.2f} ({:+.2f} to {:+.2f})".format(*gain) if gain else ""
        print(f"{name.removeprefix('fashion-'):<24}{row['mean']:>6.2f} ± {row['std']:.2f}   {against}")

# %% [markdown]
# **It hurts.** What digits taught is worth something for clothes: frozen it has 0.62<!-- ex:09:fashion-rotation-frozen.mean -->
# and 0.63<!-- ex:09:fashion-vicreg-frozen.mean -->, where frozen random layers have 0.23<!-- ex:09:fashion-random-frozen.mean -->.
# But copying nothing, and training all on the clothes, has 0.72<!-- ex:09:fashion-scratch-fine-tuned.mean -->. The encoder was
# made for digits over photographs. Fine-tuned, it comes back to 0.71<!-- ex:09:fashion-vicreg-fine-tuned.mean -->, and gains
# nothing either. Pretrain on pictures like those that you will use.
#
# ## The scoreboard

# %%
print(scoreboard.render(scoreboard.find(table, data="photodigits")))

# %% [markdown]
# All of it as curves. **Try:** choose *vicreg*, *rotation* and *jigsaw*, and the numbers of labels at which you compare. Which
# method is behind careful supervised training everywhere? Runs of your own stand beside these with `mine={"my run": scores}`,
# where `scores` is what `evaluate.label_efficiency` returns.

# %%
widgets.compare()

# %% [markdown]
# *Figure: the widget as a picture: test accuracy over the number of labels a class, after a minute of pretraining. Random weights in
# grey, supervised training in orange, VICReg, SimCLR and SimSiam in blues; a dotted line at ten labels. Under it the widget has a table:
# each method's accuracy there, and whether it is better than the controls.*

# %% [markdown]
# ## Recap
#
# - **Stopped** is a rule with two numbers, on the loss of *val*, at a constant rate. It is about the pretext's loss. The
#   features may have stopped long before, or not yet: ask a probe.
# - **Copied and frozen** means that nothing changes: no weight, no statistic. A checksum proves it.
# - **How many layers, freeze or not**: early layers can be copied from anywhere, and frozen. Late ones fit the task that they
#   were made for. At the full rate a copy is soon forgotten.
# - **Worth** is counted in labels, beside a control that was tuned as hard. In accuracy the gain is largest where labels are few.
#
# Next: lesson 10. No pretext at all: two views of an image, and a loss between them.
