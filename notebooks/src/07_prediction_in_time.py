# %% [markdown]
# # 07 · Prediction in time
#
# **The question: what does one learn from watching?**
#
# A video labels itself. Hide its next frames, and they are the answer to a question about the frames before. Hide the
# first ones, and the question runs the other way: what was there before? Or show all of it, and ask only whether it runs
# forwards. In this lesson we ask all of these of the same network.
#
# After this lesson you can
#
# - cut clips into a past and a future that share no frame, and say what leaks if they do;
# - judge a prediction: against three controls that need no network, and by how far ahead it looks;
# - show why a squared error makes a network paint blur, and what a prediction without pixels needs instead;
# - say what makes time run one way, and whether a task about it taught a network what moves, and where to.
#
# | | |
# |---|---|
# | you need | lesson 01, or the words *frozen*, *linear probe* and *control* |
# | time | 50 minutes to read and do; the cells run for about 2 minutes on 2 CPU cores, under one on a GPU |
# | three exercises | all pairs of past and future; the best guess; the wrong orders |

# %%
import json
from dataclasses import replace

import torch

from sslkit import augment, checks, device, evaluate, methods, nets, plots, recipes, scoreboard, sequence, train, widgets
from sslkit.data import load

machine = device.pick()
splits = {name: load("movingdigits", name) for name in ("train", "val", "test")}
known, val, test = splits.values()

# %% [markdown]
# ## Look at the clips
#
# `movingdigits`: a handwritten digit is thrown over a photograph. Gravity pulls it down; at a border it bounces, and loses
# a fifth of its speed. Ten frames a clip.

# %%
# NBVAL_CHECK_OUTPUT
print("clips (N, T, C, H, W):", tuple(known.images.shape), tuple(val.images.shape), tuple(test.images.shape))
for name in ("direction", "speed"):
    print(f"{name}, for probes alone: {', '.join(known.targets[name].classes)}")

# %%
three = val.images[torch.tensor([1, 4, 6])]
plots.image_grid(three.flatten(0, 1), columns=10, size=0.62, rows=["clip 1", "clip 2", "clip 3"])

# %% [markdown]
# *Figure: three clips in three rows, ten frames each, from left to right. In each a digit moves over a still photograph.*
#
# **Predict:** for each row, does the digit go left, right, up or down in its first four frames? Is it slow, medium or fast?
# No label of this kind is used in training. We ask for them at the end.
#
# ## The future from the past
#
# Of a clip $x_1 … x_T$ the network sees $p$ neighbouring frames, and has to say what is there $a$ frames later:
#
# $$\text{input } x_s … x_{s+p-1}, \qquad \text{target } x_{s+p-1+a}$$
#
# One clip gives many such pairs, one for each beginning $s$.
#
# ## Exercise 1: all pairs
#
# *8 minutes, medium.*
#
# Write `all_pairs(clip, past, ahead)` for one clip $(T, C, H, W)$. Return two tensors: all inputs, $(M, \text{past}, C, H, W)$,
# and their targets, $(M, C, H, W)$, in the order of their beginnings. `ahead=1` is the frame right after the input.
#
# Expected: of 9 frames, `past=4` and `ahead=1` give $M = 5$ pairs; input 0 is `clip[0:4]`, target 0 is `clip[4]`.
#
# <details><summary>Hint 1</summary>A pair takes up <code>past + ahead</code> frames. How many beginnings leave room for
# so many?</details>
# <details><summary>Hint 2</summary><code>starts = range(len(clip) - past - ahead + 1)</code>; an input is
# <code>clip[s : s + past]</code>, its target <code>clip[s + past - 1 + ahead]</code>. Then
# <code>torch.stack</code>.</details>


# %%
def all_pairs(clip, past, ahead):
    ### BEGIN SOLUTION
    starts = range(len(clip) - past - ahead + 1)
    inputs = torch.stack([clip[s : s + past] for s in starts])
    targets = torch.stack([clip[s + past - 1 + ahead] for s in starts])
    return inputs, targets
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_all_pairs(all_pairs)

# %% [markdown]
# `sslkit.sequence.future` draws a beginning for every clip of a batch; `futures` gives all frames up to $a$ at once.
#
# ## Controls before any network
#
# Three predictions that cost nothing:
#
# - **copy the last frame**: as if nothing moved;
# - **linear**: every pixel goes on changing as it did last, $\hat x = x_p + a\,(x_p - x_{p-1})$;
# - **mean** of the frames seen.
#
# **Predict:** which has the smallest squared error one frame ahead, and which four ahead?

# %%
my_best = ...

# %%
clips = augment.to_float(val.images.to(machine))
controls = {"copy-last": sequence.copy_last, "linear": sequence.linear, "mean": sequence.mean}
errors = {name: sequence.error_by_ahead(predict, clips, past=4, ahead=6).tolist() for name, predict in controls.items()}
for name, values in errors.items():
    print(f"{name:<12}", "  ".join(f"{value:.4f}" for value in values))

# %%
seen, target = sequence.future(clips[[1, 4, 6]], past=4, ahead=1, start=0)
pictures = torch.cat([seen[:, -1], target, sequence.linear(seen), sequence.mean(seen)])
plots.image_grid(pictures, columns=3, size=1.0, rows=["last seen", "the next", "linear", "mean"])

# %% [markdown]
# *Figure: for three clips the last frame seen, the next one, its linear extrapolation, and the mean of the four seen. The
# extrapolation has a dark ghost beside the digit, the mean is a pale smear.*
#
# Things keep their colour and change their place. A rule for each pixel by itself does the opposite: it keeps the place
# and changes the colour. So linear extrapolation draws ghosts, and to copy the last frame is the better guess.
#
# And the smear? One frame ahead it is behind the copy; from two ahead on it is **better** than a sharp digit. Keep that in
# mind, it comes back. A network has to be compared with these, whichever is best.
#
# ## A network that looks ahead
#
# The encoder of this course, with one change: it sees four frames at once, as $4 \cdot 3$ channels. A decoder turns what
# it says into the *difference* to the last frame, for four frames ahead together:
#
# $$\hat x_{p+a} = x_p + d_a, \qquad L = \text{mean}\,(\hat x_{p+a} - x_{p+a})^2$$
#
# At first $d = 0$. So a network that has learned nothing copies the last frame, and its loss starts at that control.

# %%
with device.seeded(0):
    future = recipes.build("future", nets.ConvNet(channels=4 * 3), "movingdigits").to(machine)
seen, targets = sequence.futures(clips[:256], past=4, ahead=4, start=0)
copied = (seen[:, -1:] - targets).square().mean().item()
assert abs(future.loss(seen, targets)["loss"].item() - copied) < 1e-6

# %%
config = replace(recipes.get("future").lesson, steps=700)
result = train.fit(future, known.images, config)
plots.loss_curve(result.history, chance=copied, ylabel="mean squared error", title="the future from the past")

# %% [markdown]
# *Figure: the training loss by epoch. It starts below the dotted line, which is copying the last frame, and falls steadily.*
#
# A loss below a control is a claim about training clips. Here are digits and photographs that it never saw. More than four
# frames ahead it predicts from its own predictions.


# %%
@torch.inference_mode()
def errors_of(method, clips, ahead=6):
    return sequence.error_by_ahead(lambda seen, a: method.roll_out(seen, a)[:, -1], clips, 4, ahead).tolist()


errors["future"] = errors_of(future, clips)
plots.by_ahead(errors, title="clips of val")

# %% [markdown]
# *Figure: mean squared error by frames ahead. Linear extrapolation is the highest curve and rises steeply, copying the last
# frame and the mean lie in the middle, the network lies far below them at every distance.*
#
# Here are the final figures, from the experiment (`make experiments LESSON=07`): the *test* clips, every beginning that
# leaves room for four frames ahead, three networks.

# %%
file = json.loads((scoreboard.FILE.parent / "experiments" / "07.json").read_text())
print("test, three pretraining seeds       1 ahead  4 ahead")
for name in controls:
    one, *_, four = file[name]["forwards"]["4"]
    print(f"{name:<35} {one:.4f}   {four:.4f}")
for seed, (one, *_, four) in enumerate(file["future"]["errors"]["4"]):
    print(f"{f'future, seed {seed}':<35} {one:.4f}   {four:.4f}")

# %% [markdown]
# Of the two sharp controls copying is the better one: 0.0107<!-- ex:07:copy-last.forwards.4.0 --> one frame ahead and 0.0223<!-- ex:07:copy-last.forwards.4.3 --> four
# ahead. The network has 0.0040<!-- ex:07:future.errors.4.0.0 --> and 0.0078<!-- ex:07:future.errors.4.0.3 -->: **less than half, near and far**, and its three
# runs hardly differ. Four ahead it also halves the error of the smear, 0.0173<!-- ex:07:mean.forwards.4.3 -->.
#
# ## Why it paints blur
#
# Look at what it predicts, the further the blurrier:

# %%
seen, target = sequence.futures(clips[[1, 4, 6]], past=4, ahead=6, start=0)
with torch.inference_mode():
    made = future.roll_out(seen, 6)
pictures = torch.stack([target, made], dim=1)  # (3, 2, 6, C, H, W)
plots.image_grid(pictures.flatten(0, 2), columns=6, size=0.8, rows=["there", "predicted"] * 3)

# %% [markdown]
# *Figure: for three clips the true frames 1 to 6 ahead, and below them the predicted ones. One frame ahead a digit can still
# be read; with every frame it turns more into a pale cloud, which moves the right way. Where it was last seen, a trace of
# it stays.*
#
# Is that a weak network? Partly: the trace need not be there. But a perfect one would blur, too. Here is a world of five pixels by hand. A bright dot
# lies in the middle; next it is one place to the left, or one to the right, and nothing says which.

# %%
# NBVAL_CHECK_OUTPUT
left, right = torch.tensor([0.0, 1, 0, 0, 0]), torch.tensor([0.0, 0, 0, 1, 0])
for name, guess in {"left": left, "right": right, "half of each": (left + right) / 2}.items():
    cost = ((guess - left).square().mean() + (guess - right).square().mean()) / 2
    print(f"{name:<14}{[round(x, 1) for x in guess.tolist()]}  costs {cost:.2f} on average")

# %% [markdown]
# The cheapest guess is a picture that never happens.
#
# ## Exercise 2: the best guess
#
# *5 minutes, easy.*
#
# There are $K$ possible futures, `futures` $(K, C, H, W)$, with probabilities `p` $(K,)$. Write `best_guess(futures, p)`: the
# one picture $(C, H, W)$ with the smallest expected squared error $\sum_k p_k \,\|x - f_k\|^2$. Expected: for two futures with
# `p = (0.5, 0.5)`, half of each.
#
# <details><summary>Hint 1</summary>Set the derivative to zero: Σ p<sub>k</sub> · 2 (x − f<sub>k</sub>) = 0. The p add up to
# 1.</details>
# <details><summary>Hint 2</summary>The mean of the futures, weighted with <code>p</code>:
# <code>(p.view(-1, 1, 1, 1) * futures).sum(dim=0)</code>.</details>


# %%
def best_guess(futures, p):
    ### BEGIN SOLUTION
    return (p.view(-1, 1, 1, 1) * futures).sum(dim=0)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_best_guess(best_guess)

# %% [markdown]
# **A squared error asks for the mean of what may come.** In our clips the throw is not left to chance, but four small
# frames do not say exactly how fast the digit is, nor where it will hit the border. Each further frame makes the places
# where it may be more, and the mean of sharp digits in many places is one pale cloud. How sharp is each prediction? We
# take the mean squared step from pixel to pixel, as a share of the true frame's.


# %%
def steps(frames):
    """How much neighbouring pixels differ: (N, T, C, H, W) -> (T,)."""
    across, down = frames.diff(dim=4).square(), frames.diff(dim=3).square()
    return across.mean(dim=(0, 2, 3, 4)) + down.mean(dim=(0, 2, 3, 4))


seen, target = sequence.futures(clips[:200], past=4, ahead=6, start=0)
with torch.inference_mode():
    sharp = steps(future.roll_out(seen, 6)) / steps(target)
print("sharpness, 1 to 6 ahead:", "  ".join(f"{value:.2f}" for value in sharp.tolist()))

# %% [markdown]
# Half of the sharpness is gone one frame ahead, and more with each further one, while the error is far below that of the
# sharp copy. Sharp *or* right: a squared error takes what is right on average.
#
# ## The past from the future
#
# Now the same clip backwards: from four frames, what was there *before*? In code it is one line, a flipped time axis.
#
# Is it another task? Gravity alone does not make it one. A stone that flies up and down draws a parabola, and the film of
# it backwards shows a stone that flies up and down the same parabola. It is the **bounce** that differs: forwards it takes
# a fifth of the speed, backwards it gives a quarter on top. So a network that learned one way should be wrong the other
# way, though only after bounces.

# %%
with device.seeded(0):
    past = recipes.build("past", nets.ConvNet(channels=4 * 3), "movingdigits")
train.fit(past, known.images, config)
ways = {"forwards": clips, "backwards": sequence.backwards(clips)}
print(f"{'four ahead, on clips that run':<32}" + "".join(f"{way:>12}" for way in ways))
for name, method in {"future": future, "past": past}.items():
    print(f"{name:<32}" + "".join(f"{errors_of(method, x[:400], 4)[-1]:>12.4f}" for x in ways.values()))

# %% [markdown]
# Over three runs, on test, four frames ahead:
#
# | | clips forwards | clips backwards |
# |---|---|---|
# | copy the last frame | 0.0223<!-- ex:07:copy-last.forwards.4.3 --> | 0.0227<!-- ex:07:copy-last.backwards.4.3 --> |
# | the network of the future | 0.0078<!-- ex:07:future.errors.4.0.3 --> | 0.0106<!-- ex:07:future.other_way.0.3 --> |
# | the network of the past | 0.0093<!-- ex:07:past.other_way.0.3 --> | 0.0087<!-- ex:07:past.errors.4.0.3 --> |
#
# Copying costs nearly the same both ways. Each network is the better one on its own way of time, and worse on the other,
# that of the future by about a third. So it *is* another task.
#
# ## Scrub through it
#
# Move the slider from frame to frame. Press *backwards*: now the clip runs the other way, and the other network predicts.
# Find a clip whose digit bounces right after the four frames, and see when the error jumps.

# %%
widgets.scrub(future, past, val.images[:12])

# %% [markdown]
# *Figure: the widget as a picture: the true frame 5 of a clip, the prediction of it, and the squared errors of network and
# copy by frame.*
#
# ## Broken on purpose: a target that was seen
#
# Cut the clips one frame late, so that the first target is also the last frame of the input. A slip of one in an index.

# %%
leaking, targets = clips[:, 1:5], clips[:, 4]
print(f"copy the last frame, honest:  {errors['copy-last'][0]:.4f}")
print(f"copy the last frame, leaking: {(sequence.copy_last(leaking) - targets).square().mean():.4f}")

# %% [markdown]
# The network starts as a copy, so here it would start at a loss of exactly 0, with a gradient of exactly 0. The best curve
# of the lesson, and nothing would ever be learned. **A control that needs no network and solves the task is an alarm.**
# That is why the controls come first.
#
# ## Two questions: in order? forwards?
#
# A task need not ask for pixels. Show some frames, in their right order or shuffled (Misra, Zitnick and Hebert 2016): *are
# they in order?* Show a clip, as it is or reversed (Wei and others 2018): *does time run forwards?* Both have the chance one
# half, and a network that knows nothing has the loss $\ln 2$.
#
# ## Exercise 3: the wrong orders
#
# *5 minutes, easy.*
#
# Which orders may a shuffled clip have? Not the right one. And not the right one backwards: most motions look as good
# backwards, so a network could only toss a coin. Write `wrong_orders(frames)`: all other orders of the numbers 0 to
# `frames - 1`, as a list of tuples. Expected: for 3 frames there are 4, for 4 frames 22.
#
# <details><summary>Hint 1</summary><code>import itertools</code>: its <code>permutations(range(frames))</code> gives all orders.</details>
# <details><summary>Hint 2</summary><code>right = tuple(range(frames))</code> and <code>right[::-1]</code> are the two to leave
# out.</details>


# %%
def wrong_orders(frames):
    ### BEGIN SOLUTION
    from itertools import permutations

    right = tuple(range(frames))
    return [order for order in permutations(right) if order not in (right, right[::-1])]
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_wrong_orders(wrong_orders)

# %% [markdown]
# Try it yourself. Four frames of a clip each, in order or not? **Predict**, row by row.

# %%
inputs, answer = sequence.order(val.images[:6], frames=4, generator=device.generator(3))
plots.image_grid(inputs.flatten(0, 1), columns=4, size=0.62, rows=["a", "b", "c", "d", "e", "f"])

# %% [markdown]
# *Figure: six rows of four frames each. In some the digit goes its way step by step, in others it jumps to and fro.*

# %%
print("in order:", " ".join(name for name, yes in zip("abcdef", answer.tolist()) if yes))

# %% [markdown]
# And the arrow of time? Here are three clips, some of them reversed. It is much harder: the eye has to see whether a bounce
# takes speed or gives it.

# %%
inputs, answer = sequence.arrow(val.images[20:23], generator=device.generator(2))
plots.image_grid(inputs.flatten(0, 1), columns=10, size=0.62, rows=["a", "b", "c"])

# %% [markdown]
# *Figure: three clips of ten frames each. Which of them run forwards cannot be seen at a glance.*

# %%
print("forwards:", " ".join(name for name, yes in zip("abc", answer.tolist()) if yes) or "none")

# %% [markdown]
# The network for the arrow: the same encoder sees four windows of four frames (1 to 4, 3 to 6, 5 to 8, 7 to 10), and a small
# net sees the four embeddings side by side. **Predict** its share of right answers on clips that it never saw.

# %%
my_guess = ...

# %%
with device.seeded(0):
    arrow = recipes.build("arrow", nets.ConvNet(channels=4 * 3), "movingdigits")
fresh = arrow(known.images[:256], device.generator(0))["loss"].item()
assert abs(fresh - torch.tensor(2.0).log().item()) < 0.2, fresh
train.fit(arrow, known.images, replace(recipes.get("arrow").lesson, steps=500))
with torch.inference_mode():
    right = arrow(val.images.to(machine), device.generator(0, machine))["accuracy"].item()
checks.predicted(my_guess, right, "share of right answers")

# %% [markdown]
# With 800 steps it is right in 0.95<!-- ex:07:arrow.accuracy.0 -->, 0.95<!-- ex:07:arrow.accuracy.1 --> and 0.94<!-- ex:07:arrow.accuracy.2 --> of the test clips (three runs).
# *In order?* is answered right in 0.96<!-- ex:07:order.accuracy.0 -->, 0.95<!-- ex:07:order.accuracy.1 --> and 0.96<!-- ex:07:order.accuracy.2 -->, after a quarter of the time.
#
# Does it really see the bounce? Take the loss of speed away. Here are small pictures that fly over plain black, without
# gravity, and whose bounces keep all of their speed. The film backwards is then a possible film. Three networks are right in
# 0.50<!-- ex:07:arrow-elastic.accuracy.0 -->, 0.51<!-- ex:07:arrow-elastic.accuracy.1 --> and 0.50<!-- ex:07:arrow-elastic.accuracy.2 --> of the clips: a tossed coin. With a fifth of
# the speed lost at each bounce it is 0.93<!-- ex:07:arrow-lossy.accuracy.0 -->, 0.92<!-- ex:07:arrow-lossy.accuracy.1 --> and 0.93<!-- ex:07:arrow-lossy.accuracy.2 -->. **The arrow of time
# is in what cannot be undone.** Where everything can be undone, the question has no answer, and training longer helps as
# little as with the zero upside down in lesson 04.
#
# ## Without pixels
#
# Most of a frame is photograph, and to paint it well says nothing about the throw. So predict less: not the next frames,
# but **what the encoder will say about them**. With $f$ the encoder and $g$ a small net that looks ahead, let
# $g(f(\text{past}))$ be near $f(\text{future})$.
#
# There is a cheap way to do that. **Predict:** what is it?

# %%
my_way = ...

# %%
for name, weights in {"nearness alone": {"variance": 0.0, "covariance": 0.0}, "VICReg": {}}.items():
    with device.seeded(0):
        method = methods.FutureEmbedding(nets.ConvNet(channels=4 * 3), augment.STRONG, **weights)
    result = train.fit(method, known.images, replace(config, steps=150, progress=False))
    with torch.inference_mode():
        z = method.projector(method.encoder(clips[:, :4]))
    distance, spread = result.history[-1]["invariance"], z.std(dim=0).mean()
    print(f"{name:<16}squared distance {distance:.4f}; spread of a coordinate over the clips {spread:.3f}")

# %% [markdown]
# With nearness alone all embeddings become nearly one: the distance is next to nothing, and so is the spread. **Collapse.**
# The task is solved, and the embedding says the same of every clip. Pixels cannot do that: they are what they are.
# VICReg (lesson 10) asks for more: every coordinate of the embeddings must vary over a batch, and no two may say the same.
# Now the distance is far larger, and the embeddings differ from clip to clip.
#
# Past and future get colours and crops of their own here. Else the colour of the photograph would be all one needs.
#
# ## What did it learn?
#
# Time for the labels. Freeze each encoder, show it the first four frames of a clip, and read from its features with a
# linear probe: which digit? in which direction? how fast? Ten labelled clips of each class. Every encoder, the random one
# too, is given the same four frames, and its probe the same copies in other colours.
#
# **Predict:** which of the three does predicting the future teach best, and which hardly at all?

# %%
my_order = ...


# %%
def first_frames(label):
    parts = {name: replace(split, images=split.images[:, :4]) for name, split in splits.items()}
    return parts if label == "digit" else {name: part.labelled_by(label) for name, part in parts.items()}


score = evaluate.label_efficiency(future.encoder, first_frames("direction"), [10], 5, augment.COLOURS)[10]
print(f"direction, read from the encoder trained here: {score.mean:.2f}; chance 0.25")

# %% [markdown]
# All of it, over three pretraining runs and ten draws of labels, from the experiment (`make experiments LESSON=07`):

# %%
encoders = ("pixels", "random", "future", "past", "order", "arrow", "future-embedding", "supervised")
print(f"{'':<18}" + "".join(f"{label:>14}" for label in ("digit", "direction", "speed")))
print(f"{'chance':<18}" + "".join(f"{1 / k:>14.2f}" for k in (10, 4, 3)))
for name in encoders:
    rows = [file[name][label] for label in ("digit", "direction", "speed")]
    print(f"{name:<18}" + "".join(f"{row['mean']:>8.2f} ± {row['std']:.2f}" for row in rows))

# %%
print("against random, 95 %".ljust(18) + "".join(f"{label:>26}" for label in ("digit", "direction", "speed")))
for name in encoders[2:7]:
    gains = [file[name][label]["gain"]["random"] for label in ("digit", "direction", "speed")]
    print(f"{name:<18}" + "".join(f"{g:+.3f} ({low:+.3f} to {high:+.3f})".rjust(26) for g, low, high in gains))

# %% [markdown]
# Every task is better than the random encoder in all three columns, and the columns differ:
#
# - **Speed** is what all of them teach: 0.72<!-- ex:07:future-embedding.speed.mean --> (the embedding of the future) to 0.82<!-- ex:07:order.speed.mean -->
#   (order). A random encoder on the same frames has 0.43<!-- ex:07:random.speed.mean -->, and the same network trained from scratch on the
#   same thirty labels 0.70<!-- ex:07:supervised.speed.mean --> ± 0.05<!-- ex:07:supervised.speed.std -->: here pretraining is **ahead**, by
#   0.02<!-- ex:07:future-embedding.speed.gain.supervised.0 --> (the embedding of the future) to 0.12<!-- ex:07:order.speed.gain.supervised.0 --> (order).
# - **Direction** comes from predicting: 0.72<!-- ex:07:future.direction.mean --> for the future and 0.72<!-- ex:07:past.direction.mean --> for the past, against
#   0.41<!-- ex:07:random.direction.mean --> (random). From scratch, with forty labels, it is 0.81<!-- ex:07:supervised.direction.mean -->: here pretraining **loses**.
#   *In order?* and *forwards?* teach little of it, 0.48<!-- ex:07:order.direction.mean --> and 0.48<!-- ex:07:arrow.direction.mean -->. Is a frame out of
#   place? Is the digit slower than before? Neither depends on where it goes.
# - **The digit** is hardly learned by any: 0.14<!-- ex:07:future.digit.mean --> from the future, where chance is 0.1. That is better than random, by
#   0.022<!-- ex:07:future.digit.gain.random.0 --> (0.016<!-- ex:07:future.digit.gain.random.1 --> to 0.029<!-- ex:07:future.digit.gain.random.2 -->, paired), and next to nothing. From scratch,
#   with a hundred labels, it is 0.36<!-- ex:07:supervised.digit.mean -->. To move a digit one copies its pixels; which digit it is changes
#   nothing about its way.
#
# The embedding of the future was our hope for the digit, since it need not paint, and the digit is what past and future
# have in common. It has 0.14<!-- ex:07:future-embedding.digit.mean -->. Our guess is that the photograph behind them is in common, too, and easier.
#
# It is *grey?* of lesson 04 again, in a kinder form. **A task teaches what its answer needs.** Prediction in time teaches what
# moves and where to. Who wants to know *what it is* has to ask for something that depends on it.
#
# ## The scoreboard
#
# `python -m sslkit scoreboard --data movingdigits` shows this lesson's rows, a table for each label, with what the two 95 %
# intervals say: all five tasks are better than the random encoder everywhere. Against the supervised control they **lose**
# on the digit and on direction; on speed all **win** but the embedding of the future, which cannot be told apart. (The
# intervals are over test clips. The difference above is paired, clip by clip, and sees more than two intervals that overlap.)
#
# ## Recap
#
# - **Past and future** share no frame. If they do, copying solves the task, and the control shows it before any training.
# - **A prediction** is judged against copying the last frame, and by how far ahead it looks. Linear extrapolation of pixels
#   is worse than copying, since things change their place and not their colour.
# - **Blur**: a squared error asks for the mean of all that may come. Without pixels there is no blur, but all embeddings may
#   become one; something has to keep them apart.
# - **Time's arrow** lies in what cannot be undone: not in gravity, but in the speed that a bounce takes.
#
# Next: lesson 08 predicts the next word.
