# %% [markdown]
# # 06 · Triplet
#
# **The question: near and far, compared with what?**
#
# Lesson 05 looked at two images at a time. *Far* meant: farther than a margin, whatever the image. A **triplet** has three:
# an **anchor**, a **positive**, which is another variation of the same image, and a **negative**, another image. All that it asks
# is that the positive be nearer than the negative. Which negative should we show?
#
# After this lesson you can
#
# - write the triplet loss exactly, and draw where it moves each of the three points;
# - tell easy, semi-hard and hard negatives apart, and choose them from a batch;
# - say what a loss that stands still at the margin means, and find out which of two reasons it has;
# - say why one negative at a time is too few, and what comes after triplets.
#
# | | |
# |---|---|
# | you need | lesson 05, or the words *embedding*, *margin* and *two views of an image* |
# | time | 50 minutes to read and do; the cells run for about 2 minutes on 2 CPU cores, under one on a GPU |
# | three exercises | the triplet loss; easy, semi-hard, hard; choose semi-hard negatives |

# %%
import copy
import json
from functools import partial

import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import nn

from sslkit import augment, checks, device, evaluate, losses, methods, nets, pairs, plots, recipes, scoreboard, train
from sslkit import widgets
from sslkit.data import data_root, load

machine = device.pick()
splits = {name: load("photodigits", name) for name in ("train", "val", "test")}
known, val, test = splits.values()
recipe = recipes.get("triplet")

# %% [markdown]
# ## Three images
#
# Nobody labels anything. Two random views of an image are anchor and positive; a view of any other image is a negative.

# %%
some, generator = known.images[:5], device.generator(0)
anchor, positive = recipe.augment(some, generator), recipe.augment(some, generator)
negative = positive.roll(1, dims=0)  # the view of the image before
pictures = torch.cat([anchor, positive, negative])
plots.image_grid(pictures, columns=5, size=0.8, rows=["anchor", "positive", "negative"])

# %% [markdown]
# *Figure: five triplets, one in each column. Anchor and positive show the same digit in other colours, turned and cropped.
# The negative shows another image.*
#
# A negative can be the same *digit* by chance, about one time in ten. The network is then told to move two sevens apart.
# Without labels we cannot know.
#
# ## The loss
#
# A network $f$ turns the three images into three points. We want the anchor $A$ to be nearer to the positive $P$ than to the
# negative $N$, and by no less than a **margin** $\alpha$:
#
# $$L(A, P, N) = \max\big(\lVert f(A) - f(P) \rVert_2 - \lVert f(A) - f(N) \rVert_2 + \alpha,\; 0\big)$$
#
# Schroff, Kalenichenko and Philbin (2015), who made it known for faces, square both distances. Here they are not squared: every
# pull is then equally strong, as we shall see. Four triplets, typed by hand, point by point:

# %%
# NBVAL_CHECK_OUTPUT
a = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
p = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
n = torch.tensor([[3.0, 0.0], [1.5, 0.0], [0.0, 4.0], [0.0, 0.0]])


def triplet_slowly(a, p, n, margin):
    each = []
    for i in range(len(a)):
        near = sum((x - y) ** 2 for x, y in zip(a[i], p[i])) ** 0.5
        far = sum((x - y) ** 2 for x, y in zip(a[i], n[i])) ** 0.5
        each.append(max(float(near - far) + margin, 0.0))
    return each


by_hand = triplet_slowly(a, p, n, margin=1.0)
print("losses", by_hand, "  mean", sum(by_hand) / len(by_hand))

# %% [markdown]
# In the first triplet the negative is nearer than the positive, in the second it is farther by half a margin. The third is good
# enough: its negative is farther by more than the margin, and it costs nothing. In the last one all three points are the same,
# and the loss is the margin.
#
# ## Exercise 1: the triplet loss
#
# *6 minutes, easy.*
#
# Write it without the loop. `anchor`, `positive` and `negative` are embeddings `(N, D)`; return one number, the mean over
# the N triplets, the zeros included. Expected: for the four triplets above, with a margin of 1, `1.125`.
#
# <details><summary>Hint 1</summary><code>torch.linalg.vector_norm(x, dim=1)</code> is the length of every row of x. It
# also knows what to do where two points are the same.</details>
# <details><summary>Hint 2</summary><code>F.relu(x)</code> is max(x, 0), element by element. The mean comes last.</details>


# %%
def triplet(anchor, positive, negative, margin):
    ### BEGIN SOLUTION
    near = torch.linalg.vector_norm(anchor - positive, dim=1)
    far = torch.linalg.vector_norm(anchor - negative, dim=1)
    return F.relu(near - far + margin).mean()
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_triplet(triplet)

# %% [markdown]
# `sslkit.losses.triplet` is the same. PyTorch has one too, and gives almost the same number. Almost: it adds $\varepsilon =
# 10^{-6}$ to every coordinate of a difference before it takes the norm. With the anchor moved by $\varepsilon$, ours agrees to
# twelve digits.

# %%
# NBVAL_CHECK_OUTPUT
assert losses.triplet(a, p, n, margin=1.0) == sum(by_hand) / len(by_hand)
generator = device.generator(0)
a, p, n = (torch.randn(200, 64, generator=generator, dtype=torch.float64) for _ in range(3))
theirs, ours = nn.TripletMarginLoss(margin=1.0)(a, p, n), losses.triplet(a, p, n, margin=1.0)
print("the same to 1e-5: ", bool((theirs - ours).abs() < 1e-5), "   to 1e-12:", bool((theirs - ours).abs() < 1e-12))
moved = losses.triplet(a + 1e-6, p, n, margin=1.0)
print("the anchor moved: ", bool((theirs - moved).abs() < 1e-5), "   to 1e-12:", bool((theirs - moved).abs() < 1e-12))

# %% [markdown]
# ## Where the points are moved
#
# The gradient is short enough to write down. As long as the loss is not 0,
#
# $$\frac{\partial L}{\partial f(P)} = \frac{f(P) - f(A)}{\lVert f(P) - f(A) \rVert_2} \qquad
# \frac{\partial L}{\partial f(N)} = -\frac{f(N) - f(A)}{\lVert f(N) - f(A) \rVert_2}$$
#
# Both have length 1. Descent goes the other way: it pulls $P$ straight towards $A$ and pushes $N$ straight away from it,
# always with the same force, however far they are. The anchor gets the sum of both, reversed.
#
# Move the points and the margin, and let gradient descent take a step. **Try before you read on:** where does N have to be for
# the loss to be 0? Put N exactly where P is: which of the three does not move? Press *collapsed*: who moves now?

# %%
widgets.triplet_plane()

# %% [markdown]
# *Figure: the widget as a picture. Three points in the plane: P is drawn towards A, N is pushed away from A, and A moves up,
# towards P and away from N. A dark disc around A reaches as far as P and is called hard; a lighter ring around it, one margin
# wide, is called semi-hard, and N lies in it; what is outside is called easy.*
#
# Outside the ring the loss is 0, and nothing moves. With N on P the pull and the push on A cancel. And with all three at one
# point:

# %%
# NBVAL_CHECK_OUTPUT
same = torch.zeros(1, 2)
value, arrows = pairs.arrows(partial(losses.triplet, margin=1.0), same, same, same)  # the loss, and minus its gradients
print("loss", value, "  lengths of the arrows", [arrow.norm().item() for arrow in arrows])

# %% [markdown]
# The loss is $\alpha$ and the gradient is 0. Whoever gets there stays there.
#
# ## Easy, semi-hard, hard
#
# The plane has three zones for the negative, and these are the names that the literature has for them:
#
# | negative | where it lies | loss | what it teaches |
# |---|---|---|---|
# | **easy** | $\lVert f(A) - f(N) \rVert \ge \lVert f(A) - f(P) \rVert + \alpha$ | 0 | nothing: no gradient |
# | **semi-hard** | between the two | between 0 and α | to make the gap wider |
# | **hard** | $\lVert f(A) - f(N) \rVert \le \lVert f(A) - f(P) \rVert$ | α or more | that the order is wrong |
#
# ### Exercise 2: which kind is it?
#
# *6 minutes, easy.*
#
# `near` and `far` are the distances of N anchors to their positives and negatives, each `(N,)`. Return `(N,)` whole numbers:
# 0 for easy, 1 for semi-hard, 2 for hard. Expected: `near = [1, 1, 1]`, `far = [2.5, 1.5, 0.5]` and a margin of 1 give `[0, 1,
# 2]`.
#
# <details><summary>Hint 1</summary>Two questions decide: is it nearer than <code>near + margin</code>? And is it no farther
# than <code>near</code>?</details>
# <details><summary>Hint 2</summary><code>(x &lt; y).long()</code> is 1 where it is true and 0 elsewhere. A hard negative
# answers both questions with yes: add the answers.</details>


# %%
def hardness(near, far, margin):
    ### BEGIN SOLUTION
    return (far < near + margin).long() + (far <= near).long()
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_hardness(hardness)

# %% [markdown]
# ## A batch is full of negatives
#
# In a batch of 128 images each anchor has 127 negatives: the positives of the others. One matrix of distances holds them all.
# Row $i$ is anchor $i$, and its own positive stands on the diagonal. **Mining** means to choose one negative from the row.
#
# A network that has learned nothing: how many of its negatives are of which kind? **Predict** the share of hard ones.

# %%
my_guess = ...

# %%
with device.seeded(0):
    method = recipes.build("triplet", nets.ConvNet()).to(machine)
before = copy.deepcopy(method).eval()
a, p, _ = method.views(known.images[:128].to(machine), device.generator(0, machine))
with torch.inference_mode():
    z_a, z_p = before.embed(a), before.embed(p)  # (128, 64)
d = losses.distances(z_a, z_p).cpu()  # (128, 128)

# %%
near, others = d.diagonal()[:, None], ~torch.eye(len(d), dtype=torch.bool)
share = {
    "easy": (d >= near + method.margin)[others].float().mean().item(),
    "semi-hard": ((d > near) & (d < near + method.margin))[others].float().mean().item(),
    "hard": (d <= near)[others].float().mean().item(),
}
checks.predicted(my_guess, share["hard"], "share")
print("  ".join(f"{name} {value:.2f}" for name, value in share.items()))

# %% [markdown]
# Without training a positive is hardly nearer than any other image. (If it were a coin, half of the negatives would be hard.) And
# where positives are as far away as negatives, what is left of the loss is the margin. That is its level of knowing nothing:

# %%
# NBVAL_CHECK_OUTPUT
at_first = losses.triplet(z_a, z_p, z_p.roll(1, dims=0), method.margin)
print("the loss of an untrained network is near the margin:", 0.8 < at_first.item() / method.margin < 1.2)

# %% [markdown]
# Here is the choice of one anchor, slowly: the **nearest semi-hard** negative, and $-1$ if there is none.

# %%
# NBVAL_CHECK_OUTPUT
table = torch.tensor([[0.5, 0.2, 0.9, 0.8], [0.9, 0.3, 2.0, 1.9], [0.1, 0.6, 0.7, 0.2], [0.9, 0.8, 0.7, 0.4]])


def semi_hard_slowly(d, i, margin):
    best = -1
    for j in range(len(d)):
        in_the_ring = d[i, i] < d[i, j] < d[i, i] + margin
        if in_the_ring and (best < 0 or d[i, j] < d[i, best]):
            best = j
    return best


print([semi_hard_slowly(table, i, margin=1.0) for i in range(4)])

# %% [markdown]
# ### Exercise 3: choose semi-hard negatives
#
# *10 minutes, medium.*
#
# The same for all rows at once. `d` is `(N, N)`, with `d[i, j]` from anchor i to positive j. Return `(N,)`: for each anchor the
# number of its nearest semi-hard negative, or −1. Expected: for `table` and a margin of 1, `[3, 0, -1, 2]`.
#
# <details><summary>Hint 1</summary><code>near = d.diagonal()[:, None]</code> is a column, so that <code>d &gt; near</code>
# compares every row with its own positive. The ring is where two such conditions hold.</details>
# <details><summary>Hint 2</summary>Make everything outside the ring infinitely far,
# <code>d.masked_fill(~ring, torch.inf)</code>, and take <code>argmin(dim=1)</code>. Where <code>ring.any(dim=1)</code> is false,
# put −1.</details>


# %%
def semi_hard(d, margin):
    ### BEGIN SOLUTION
    near = d.diagonal()[:, None]
    ring = (d > near) & (d < near + margin)
    nearest = d.masked_fill(~ring, torch.inf).argmin(dim=1)
    return torch.where(ring.any(dim=1), nearest, -1)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_semi_hard(semi_hard)

# %% [markdown]
# `sslkit.pairs.mine` does it too. Where the ring is empty it must still choose: the nearest negative beyond the ring, or, if all
# are hard, the farthest.

# %%
x, y = torch.randn(2, 60, 3, generator=device.generator(0))
slow = torch.tensor([semi_hard_slowly(losses.distances(x, y), i, margin=0.2) for i in range(60)])
found = slow >= 0
assert 20 < found.sum() < 60 and torch.equal(pairs.mine(x, y, "semi-hard")[found], slow[found])

# %% [markdown]
# It has three other ways to choose: *easy* takes the farthest, *random* any, *hard* the nearest of all. Whom do they find for
# the same anchors?

# %%
picks = {kind: pairs.mine(z_a, z_p, kind, device.generator(0, machine)) for kind in pairs.KINDS}
pictures = [a[:4], p[:4], *(p[pick[:4]] for pick in picks.values())]
plots.image_grid(torch.cat(pictures), columns=4, size=0.7, rows=["anchor", "positive", *picks])

# %% [markdown]
# *Figure: four anchors, their positives, and below each the negatives that four ways of mining choose with an untrained
# network. The easy ones are mostly one glaring picture, again and again. To the eye, the semi-hard and the hard ones resemble
# the anchor hardly more than the random ones do.*
#
# ## Broken on purpose: only the hardest
#
# An easy negative has no gradient, and a hard one has the largest loss. So take the hardest in the batch, always? **Predict:**
# what will the loss be after 150 steps? (The margin is 1. Hard triplets start above it.)

# %%
my_guess = ...

# %%
with device.seeded(0):
    hardest = methods.Triplet(nets.ConvNet(), recipe.augment, **{**recipe.settings, "mining": "hard"})
short = train.TrainConfig(steps=150, batch_size=128, progress=False)
result = train.fit(hardest, known.images[:3200], short)
checks.predicted(my_guess, result.history[-1]["loss"], "loss")
print("loss by epoch:", " ".join(f"{record['loss']:.2f}" for record in result.history))

# %% [markdown]
# The loss falls to the margin and stays there. Two distances say why: that of two images, and that of two views of one image.


# %%
@torch.inference_mode()
def describe(method):
    a, p, _ = method.views(val.images[:500].to(machine), device.generator(0, machine))
    a, p = method.embed(a), method.embed(p)
    print(f"two images {torch.pdist(a).mean():.3f} apart, two views of one {(a - p).norm(dim=1).mean():.3f}")
    return pairs.collapsed(a, method.margin) or "not collapsed"


print(describe(hardest))

# %% [markdown]
# The network **collapsed**: it gives every image nearly the same embedding. That is not bad luck but a shortcut. For a hard triplet
# $\lVert f(A) - f(P) \rVert > \lVert f(A) - f(N) \rVert$, so whoever makes *all* distances smaller makes the loss smaller. For a
# semi-hard one it is the other way round:

# %%
# NBVAL_CHECK_OUTPUT
a, p = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]])
negatives = {"hard": torch.tensor([[0.4, 0.0]]), "semi-hard": torch.tensor([[1.4, 0.0]])}
print("everything shrunk to  ", *(f"{scale:<5}" for scale in (1.0, 0.5, 0.1, 0.0)))
for name, n in negatives.items():
    shrunk = [losses.triplet(s * a, s * p, s * n, margin=1.0) for s in (1.0, 0.5, 0.1, 0.0)]
    print(f"loss, {name:<16}", *(f"{value:<5.2f}" for value in shrunk))

# %% [markdown]
# Hard triplets reward shrinking, down to the loss $\alpha$ and no further. Semi-hard ones reward growing. This is why Schroff
# and colleagues took semi-hard negatives.
#
# **A loss that stays at α is a reason to look at the distances.** It is no proof of collapse, as the next run will show.
#
# ## Training
#
# Now the recipe: semi-hard negatives, a thousand steps. After the encoder stands a small projector, and the distances are taken
# behind it, between vectors of length 1. We keep the encoder.

# %%
result = train.fit(method, known.images, train.TrainConfig(steps=1000, batch_size=128, lr=recipe.lesson.lr))
print("epoch   loss  active  found")
for record in result.history[::2]:
    print(f"{record['epoch']:>5}{record['loss']:>7.2f}{record['active']:>8.2f}{record['accuracy']:>7.2f}")
print(describe(method))

# %% [markdown]
# **Active** is the share of triplets whose loss is not 0. **Found** is the share of anchors whose own positive is the nearest of
# all 128: it does not depend on how negatives are chosen, so it can be compared.
#
# In the first epochs the loss is nearly that of the collapsed network. It cannot be otherwise: the nearest semi-hard negative is
# chosen because it is hardly farther than the positive. Yet the distances are sound, and *found* goes from a tenth to almost
# nine tenths. Two reasons for a loss near α, and the distances tell them apart.
#
# Later the loss falls, slowly. It says as much about the choice of negatives as about the network; *found* is about the network.
#
# ## What has moved
#
# 200 images that the network has not seen, before and after. First the two directions of largest variation of the embedding
# (PCA).

# %%
images, labels = val.images[:200], val.labels[:200]
stages = {"before": before.encoder, "after": method.encoder}
z = {name: evaluate.embed(encoder, images.to(machine)).cpu() for name, encoder in stages.items()}
plane = [PCA(2, random_state=0).fit_transform(points) for points in z.values()]
plots.scatter_pair(*plane, labels, known.classes, titles=tuple(z))

# %% [markdown]
# *Figure: 200 digits in the plane of the first two principal components of the embedding. Before training there are two clouds,
# with all digits mixed in both. After training some digits have gathered, such as the 4s, and most still lie on top of each
# other.*
#
# A plane keeps little of 128 dimensions. **t-SNE** cares for neighbours alone: who is near stays near, and distances between
# groups mean nothing. Here with the pictures themselves. Three of them are marked, with lines to their four nearest neighbours
# in the embedding.

# %%
marked, nearest = [2, 5, 11], {}
for name, points in z.items():
    distance = losses.distances(points, points).fill_diagonal_(torch.inf)
    nearest[name] = distance.topk(4, largest=False).indices[marked]
maps = {name: TSNE(2, random_state=0).fit_transform(points.numpy()) for name, points in z.items()}
plots.embedding_map(maps, images, marked, nearest)

# %% [markdown]
# *Figure: t-SNE maps of the 200 pictures, before and after; a picture that would cover another one is a dot. Before training,
# pictures with the same background lie together, whatever the digit. After training many neighbours show the same digit on
# different backgrounds; pictures with the busiest background still keep to themselves.*

# %%
for name, points in z.items():
    found = pairs.recall_at(points, labels, k=(1,))[1]
    print(f"{name}: the nearest neighbour shows the same digit for {found:.2f} of the images")
rows = [i for name in z for k, near in zip(marked[:2], nearest[name][:2].tolist()) for i in (k, *near)]
plots.image_grid(images[rows], columns=5, size=0.7, rows=["before", "", "after", ""])

# %% [markdown]
# *Figure: in each row a marked image and its four nearest neighbours. Before training, in the first two rows, they share the
# background. After training, in the last two, several show the same digit or one like it, still on a similar background.*
#
# The background is not forgotten: no view that we make ever exchanges it, so it helps to recognise an image. But the digit now
# counts for more.
#
# ## Did it learn digits?
#
# **Predict** the accuracy of a linear probe on the frozen encoder, with ten labels a class. The random encoder has
# 0.28<!-- sb:random/10 -->, and lesson 04's rotation 0.68<!-- sb:rotation/10 -->.

# %%
my_guess = ...

# %%
live = evaluate.label_efficiency(method.encoder, splits, [10], draws=5)[10]
checks.predicted(my_guess, live.mean)

# %% [markdown]
# ## Which negative teaches?
#
# Four ways to choose, three pretraining runs of 800 steps each, ten draws of the labels for each run. It takes about 20 minutes
# and was measured beforehand (`make experiments LESSON=06`).
#
# **Predict** the order of easy, random, semi-hard and hard.

# %%
my_order = ...

# %%
sweep = json.loads((scoreboard.FILE.parent / "experiments" / "06.json").read_text())
found = scoreboard.find(scoreboard.load(), data="photodigits", labels_per_class=10, budget="lesson")
control = {row["method"]: row for row in found}
ours = {kind: sweep[f"mine-{kind}"] for kind in ("easy", "random", "semi-hard", "hard")}
measured = {"pixels": control["pixels"], "random": sweep["random"]}
measured |= {f"{kind} negatives": row for kind, row in ours.items()} | {"supervised": control["supervised"]}
plots.bars(measured, chance=0.1, title="ten labels a class, by the choice of negatives")

# %% [markdown]
# *Figure: bars of test accuracy with ten labels a class: pixels, the random encoder, and triplets with easy, random, semi-hard
# and hard negatives, beside supervised training. Easy negatives have the shortest bar of all, near chance; random and hard ones
# reach about a half, semi-hard ones much more, and supervised training most.*

# %%
print(f"you said: {my_order if my_order is not ... else 'nothing'}")
print(f"{'negatives':<11}{'accuracy, less the random encoder (95 %)':<44}{'loss':>5}{'found':>7}{'two images':>12}")
for kind, row in ours.items():
    mean, low, high = row["gain"]["random"]
    gain = f"{mean:.3f}  ({low:.3f} to {high:.3f})"
    print(f"{kind:<11}{gain:<44}{row['loss'][-1]:>5.2f}{row['found'][-1]:>7.2f}{row['distance']:>12.2f}")

# %% [markdown]
# - **Semi-hard** negatives teach most, by far: 0.73<!-- ex:06:mine-semi-hard.mean -->, where random ones give
#   0.50<!-- ex:06:mine-random.mean -->. Same network, same images, same steps.
# - **Easy** negatives do harm: 0.14<!-- ex:06:mine-easy.mean -->, where the network that was not trained at all has
#   0.28<!-- ex:06:random.mean -->. Two views of one image end as far apart as two images (0.21<!-- ex:06:mine-easy.own --> and
#   0.21<!-- ex:06:mine-easy.distance -->). A guess: it is enough to put a few glaring pictures far away from everything, since
#   these are everybody's farthest; the rest may lie in a heap.
# - **The lowest loss is not the best network.** The loss orders these three easy, random, semi-hard
#   (0.04<!-- ex:06:mine-easy.loss.8 -->, 0.25<!-- ex:06:mine-random.loss.8 -->, 0.77<!-- ex:06:mine-semi-hard.loss.8 -->). The
#   accuracy orders them the other way round.
# - **Hard** negatives surprised us. On average two images end 0.02<!-- ex:06:mine-hard.distance --> apart, beside a margin of 1,
#   and the loss is α. We had expected the random encoder's accuracy. It is 0.51<!-- ex:06:mine-hard.mean -->. In that small heap
#   there is still an order: almost a third of the anchors find their own positive. And what has collapsed is the output of the
#   projector, which we throw away; the encoder before it kept something.
# - **Luck** plays a part: the standard deviation is 0.11<!-- ex:06:mine-random.std --> with random negatives and
#   0.11<!-- ex:06:mine-hard.std --> with hard ones, against 0.02<!-- ex:06:mine-semi-hard.std --> with semi-hard ones.
#
# And every choice **loses** to careful supervised training with the same ten labels, 0.86<!-- sb:supervised/10 -->.
#
# How many triplets taught anything at all?

# %%
figure = plots.Figure(figsize=(6.4, 3.4), layout="constrained")
axis = figure.subplots()
for (kind, row), tint, line in zip(ours.items(), plots.BLUES, (":", "--", "-", "-.")):
    axis.plot(range(1, len(row["active"]) + 1), row["active"], line, color=tint, linewidth=2, label=kind)
axis.set(xlabel="epoch", ylabel="share of active triplets", ylim=(0, 1.05))
axis.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left")
figure

# %% [markdown]
# *Figure: the share of active triplets by epoch. With hard and semi-hard negatives it stays at 1. With random ones it falls from
# over 0.8 to half, and with easy ones from less than a third to less than a tenth.*
#
# Random negatives run dry: the better the network, the fewer of them are near enough. In the end half of every batch is
# computed for nothing.
#
# ## From one negative to many
#
# A triplet looks at one negative and forgets the other 126 of the batch. Then a rule has to say which one to take. What if we
# took all?
#
# Two steps lead there. **First**, make the corner of max(x, 0) round. With $x = \lVert f(A) - f(P) \rVert - \lVert f(A) - f(N)
# \rVert$ and a **temperature** $\tau$:
#
# $$\tau \log\big(1 + e^{x / \tau}\big) \;\longrightarrow\; \max(x, 0) \quad \text{for } \tau \to 0$$

# %%
figure = plots.Figure(figsize=(5.2, 3.2), layout="constrained")
axis, x = figure.subplots(), torch.linspace(-2, 2, 200)
for temperature, tint in zip((1.0, 0.5, 0.1), plots.BLUES):
    axis.plot(x, temperature * F.softplus(x / temperature), color=tint, label=f"τ = {temperature}")
axis.plot(x, F.relu(x), color="black", linestyle=":", label="max(x, 0)")
axis.set(xlabel="x: distance to P minus distance to N", ylabel="loss")
axis.legend(frameon=False)
figure

# %% [markdown]
# *Figure: the dotted corner max(x, 0), and three smooth curves above it, which come closer the smaller τ is. At x = 0, where
# the corner is 0, they are at τ ln 2: a margin of their own.*
#
# **Second**, this smooth loss is a cross-entropy: "which of the two is the positive?", answered by a softmax over minus the
# distances. And a softmax does not mind if there are more than two.

# %%
# NBVAL_CHECK_OUTPUT
temperature, near = 0.2, torch.tensor([0.5])
far = torch.tensor([0.6])
rounded = F.softplus((near - far) / temperature)
question = F.cross_entropy(-torch.stack([near, far], dim=1) / temperature, torch.tensor([0]))  # the first is right
print(f"rounded triplet loss {rounded.item():.4f}, cross-entropy {question.item():.4f}")

# %% [markdown]
# Who does the mining now? The softmax does. One positive at distance 0.5 and four negatives: how strongly is each of them
# pushed away?

# %%
# NBVAL_CHECK_OUTPUT
far = torch.tensor([0.4, 0.6, 1.0, 1.6], requires_grad=True)
answers = -torch.cat([near, far]) / temperature
F.cross_entropy(answers[None], torch.tensor([0])).backward()
push = far.grad.abs() / far.grad.abs().sum()
print("distance      ", *(f"{value:<6.2f}" for value in far.tolist()))
print("share of push ", *(f"{value:<6.2f}" for value in push.tolist()))

# %% [markdown]
# The nearest negative gets most of the push and the far ones next to nothing: hard ones count more, easy ones less, and no
# single one decides. No rule, no ring, no choice. With cosines in the place of distances this is the loss of **SimCLR**,
# `losses.nt_xent`, and lesson 10 begins there.
#
# Same encoder, same batches of 128, same 800 steps:

# %%
print(f"{'':<14}{'accuracy':>10}{'':>4}gain over the random encoder (95 %)")
for name, label in (("mine-semi-hard", "one negative"), ("many", "all negatives")):
    mean, low, high = sweep[name]["gain"]["random"]
    print(f"{label:<14}{sweep[name]['mean']:>10.3f}{'':>4}{mean:.3f}  ({low:.3f} to {high:.3f})")
mean, low, high = sweep["many"]["gain"]["mine-semi-hard"]
print(f"all against one: {mean:.3f} ({low:.3f} to {high:.3f})")

# %% [markdown]
# All negatives are ahead of the best choice of one, by 0.057<!-- ex:06:many.gain.mine-semi-hard.0 -->
# (0.050<!-- ex:06:many.gain.mine-semi-hard.1 --> to 0.064<!-- ex:06:many.gain.mine-semi-hard.2 -->), and nobody had to invent a
# rule. Still, one well-chosen negative of 127 has gone most of the way, and random ones had not.
#
# The comparison is of two recipes rather than of a number alone: SimCLR lets every view be an anchor, compares it with both
# views of the others, and measures cosines.
#
# ## Letters that nobody has named
#
# Omniglot (Lake and colleagues 2015) has 1,623 handwritten characters of 50 alphabets, 20 of each. Train on 30 alphabets without
# labels, then name a character of the other 20 from **one** example of each of 20 candidates: chance is 1 in 20. The cell runs if
# the data set is in the data folder.

# %%
omniglot = data_root() / "omniglot-py"
if (omniglot / "images_evaluation").exists():
    part = {"size": 32, "channels": 3, "progress": False}
    letters = load(f"folder:{omniglot / 'images_background'}", classes_at=0, **part).images
    unseen = load(f"folder:{omniglot / 'images_evaluation'}", classes_at=2, **part)
    strokes = augment.Augment(scale=(0.5, 1.0), ratio=(0.8, 1.25), rotate=15)
    with device.seeded(0):
        writing = methods.Triplet(nets.ConvNet(), strokes, **recipe.settings)
    untrained = copy.deepcopy(writing).to(machine).eval()
    train.fit(writing, letters, train.TrainConfig(steps=500, batch_size=128, progress=False))
    as_seen = augment.to_float(unseen.images).to(machine)
    ways = {"pixels": lambda x: x.flatten(1), "random": untrained.encoder, "triplet": writing.encoder}
    for name, embed in ways.items():
        score = pairs.one_shot(embed, as_seen, unseen.labels, generator=device.generator(0))
        print(f"{name:<8} 20-way, one example each: {score.mean:.3f} ± {score.error:.3f}")
else:
    print("Omniglot is not in the data folder: torchvision.datasets.Omniglot(data_root(), download=True) fetches one")
    print("half of it, and background=False the other; or set SSLKIT_DATA to the folder that holds omniglot-py.")

# %% [markdown]
# ## The scoreboard

# %%
shown = ("chance", "pixels", "random", "supervised", "supervised, weak", "simclr", "rotation", "siamese", "triplet")
print(scoreboard.render([row for row in scoreboard.find(scoreboard.load(), data="photodigits") if row["method"] in shown]))

# %% [markdown]
# *triplet* is the recipe of the course: semi-hard negatives, and 2,000 steps. With ten labels a class it has
# 0.79<!-- sb:triplet/10 -->, as many as lesson 05's pairs once these are mined too, 0.79<!-- sb:siamese/10 -->, and more
# than lesson 04's rotation, 0.68<!-- sb:rotation/10 -->. SimCLR has 0.82<!-- sb:simclr/10 -->; their intervals overlap. It
# loses to careful supervised training, 0.86<!-- sb:supervised/10 -->. With one label a class the two are level, 0.37<!-- sb:triplet/1 --> and
# 0.37<!-- sb:supervised/1 -->.
#
# ## Recap
#
# - The triplet loss compares: the positive nearer than the negative, by a margin. It pulls and pushes with a force of 1, or not at
#   all.
# - An easy negative has no gradient, a semi-hard one widens a gap, a hard one corrects an order; one matrix of distances holds
#   them all.
# - Always the hardest, from the start: everything shrinks to nearly one point, where the loss is α. A loss near α can also mean
#   that the mining is good. Look at the distances.
# - The choice of negatives decided more than anything else here, and the loss does not show it.
# - One negative needs a rule; a softmax over all of them is its own rule.
#
# Next: lesson 07 leaves single images. What comes after this frame?
