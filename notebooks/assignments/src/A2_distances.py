# %% [markdown]
# # A2 · Distances: siamese and triplet
#
# *After lessons 05 and 06. 24 points: 18 marked by running your code, 6 by reading your answers. About 3 hours; all cells
# run for about a minute on 2 CPU cores.*
#
# | part | what you do | points |
# |---|---|---|
# | 0 | say who you are | 1 |
# | 1 | a loss with a second negative | 4 |
# | 2 | one network, and all of it | 2 |
# | 3 | the hardest of many views | 4 |
# | 4 | one number for all thresholds | 3 |
# | 5 | train it, and measure | 4 + 6 written |
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
import copy

import torch
import torch.nn.functional as F
from torch import nn

from sslkit import augment, device, evaluate, losses, nets, pairs, recipes, train, variants
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
alpha = V.choose("alpha", (0.6, 0.8, 1.0))
beta = V.choose("beta", (0.2, 0.3, 0.4))
views_each = V.choose("views", (3, 4, 5))
order = torch.randperm(12000, generator=V.generator("images"))
known, val = splits["train"].subset(order[:8000]), splits["val"]
print(f"{V.name}: margins {alpha} and {beta}, {views_each} views of each image")

# %% [markdown]
# ## 1 · A second negative
#
# A triplet compares everything with its anchor. Chen and colleagues (2017, "Beyond triplet loss") add a pair that has
# nothing to do with the anchor: two negatives $N$ and $M$ of two further images should also be farther apart than anchor
# and positive. With the course's distances, not squared, and zeros counted:
#
# $$L = \text{mean}\Big(\max(\lVert A - P \rVert - \lVert A - N \rVert + \alpha,\, 0)
# + \max(\lVert A - P \rVert - \lVert N - M \rVert + \beta,\, 0)\Big)$$
#
# Write `quadruplet(a, p, n, m, alpha, beta)`: four tensors $(N, D)$ and two margins; one number, a tensor that a gradient
# can flow through. Equal points must not give a gradient that is not a number.


# %% kind="answer" id="quadruplet"
def quadruplet(a, p, n, m, alpha, beta):
    ### BEGIN SOLUTION
    near = torch.linalg.vector_norm(a - p, dim=1)
    first = F.relu(near - torch.linalg.vector_norm(a - n, dim=1) + alpha)
    second = F.relu(near - torch.linalg.vector_norm(n - m, dim=1) + beta)
    return (first + second).mean()
    ### END SOLUTION


# %% kind="tests" id="test-quadruplet" points=2
a = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
p, n = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[0.0, 5.0], [0.0, 9.0]])
m = torch.tensor([[4.0, 5.0], [0.0, 0.0]])
got = quadruplet(a, p, n, m, 1.0, 0.5)  # (max(5 − 5 + 1, 0) + max(5 − 4 + 0.5, 0) + 0 + 0) / 2
assert torch.is_tensor(got) and abs(got.item() - 1.25) < 1e-5, f"expected 1.25, got {got}"
### BEGIN HIDDEN TESTS
four = torch.randn(4, 40, 6, generator=V.generator("points")).double()
total = 0.0
for x, y, z, w in zip(*four):
    near = (x - y).square().sum().sqrt()
    total += max(float(near - (x - z).square().sum().sqrt()) + alpha, 0)
    total += max(float(near - (z - w).square().sum().sqrt()) + beta, 0)
assert abs(float(quadruplet(*four, alpha, beta)) - total / 40) < 1e-6, "wrong on 40 random quadruplets"
one = quadruplet(*(0.3 * four), 0.1, 0.7)
other = quadruplet(*(0.3 * four), 0.7, 0.1)
assert abs(float(one - other)) > 1e-3, "the two margins have changed places, or one is not used"
### END HIDDEN TESTS

# %% kind="tests" id="test-quadruplet-gradient" points=2
four = [torch.randn(8, 3, generator=device.generator(i)).requires_grad_() for i in range(4)]
quadruplet(*four, alpha, beta).backward()
assert all(x.grad is not None and bool(x.grad.isfinite().all()) for x in four), "no gradient, or one that is no number"
### BEGIN HIDDEN TESTS
four = [torch.ones(5, 3, requires_grad=True) for _ in range(4)]
loss = quadruplet(*four, alpha, beta)
loss.backward()
assert abs(loss.item() - alpha - beta) < 1e-6, "all points equal: the loss is the sum of the margins"
assert all(bool(x.grad.isfinite().all()) for x in four), "equal points give a gradient that is not a number"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · One network, and all of it
#
# `pairs.weights_shared` says whether two branches have the same **parameters**. That is not all that a network has: batch
# norm also keeps running means and variances, as **buffers**. Two branches can share every weight, see different images
# in training, and give different answers afterwards.
#
# Write `one_network(a, b)`: `True` if both have the same names of parameters and of buffers, and each is the **same
# tensor** in both, not an equal one. `named_parameters()` and `named_buffers()` help.


# %% kind="answer" id="one-network"
def one_network(a, b):
    ### BEGIN SOLUTION
    mine = {**dict(a.named_parameters()), **dict(a.named_buffers())}
    yours = {**dict(b.named_parameters()), **dict(b.named_buffers())}
    return mine.keys() == yours.keys() and all(mine[name] is yours[name] for name in mine)
    ### END SOLUTION


# %% kind="tests" id="test-one-network" points=2
net = nets.ConvNet()
assert one_network(net, net) is True and one_network(net, copy.deepcopy(net)) is False
### BEGIN HIDDEN TESTS
tied = copy.deepcopy(net)
for name, module in net.named_modules():
    tied.get_submodule(name)._parameters.update(module._parameters)
assert pairs.weights_shared(net, tied) == "", "the two share all weights"
assert one_network(net, tied) is False, "weights are shared, batch norm's statistics are not"
for name, module in net.named_modules():
    tied.get_submodule(name)._buffers.update(module._buffers)
assert one_network(net, tied) is True, "all of it is shared, in two objects"
assert one_network(net, nets.ConvNet(channels=1)) is False and one_network(net, nn.Linear(2, 2)) is False
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · The hardest of many views
#
# Lesson 06 took two views of each image. With more, an anchor has several positives, and which one to take is a choice,
# too. **Batch-hard** (Hermans, Beyer and Leibe 2017) takes the **farthest** positive and the **nearest** negative.
#
# Write `hardest(z, image)`: `z` is $(M, D)$, the embeddings of all views; `image` is $(M,)$, the number of the image that
# each view shows. It gives two tensors int64 $(M,)$: for each row the row of its farthest positive, another view of the
# same image and never the row itself, and that of its nearest negative, a view of another image. Distances as in
# `losses.distances(z, z)`.


# %% kind="answer" id="hardest"
def hardest(z, image):
    ### BEGIN SOLUTION
    d = losses.distances(z, z)
    same = image[:, None] == image[None]
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    positive = d.masked_fill(~same | itself, -torch.inf).argmax(dim=1)
    negative = d.masked_fill(same, torch.inf).argmin(dim=1)
    return positive, negative
    ### END SOLUTION


# %% kind="tests" id="test-hardest" points=2
z = torch.tensor([[0.0], [1.0], [5.0], [2.5], [9.0], [7.8]])
image = torch.tensor([0, 0, 0, 1, 1, 1])
positive, negative = hardest(z, image)
assert positive.tolist() == [2, 2, 0, 4, 3, 3] and negative.tolist() == [3, 3, 3, 1, 2, 2]
### BEGIN HIDDEN TESTS
flipped, image = -z.flip(0), image.flip(0)
positive, negative = hardest(flipped, image)
assert positive.tolist() == [2, 2, 1, 5, 3, 3] and negative.tolist() == [3, 3, 4, 2, 2, 2], "rows in another order"
### END HIDDEN TESTS

# %% kind="tests" id="test-hardest-many" points=2
image = torch.arange(6).repeat(views_each)  # not in blocks
z = torch.randn(len(image), 8, generator=V.generator("embeddings"))
positive, negative = hardest(z, image)
assert bool((image[positive] == image).all()) and bool((image[negative] != image).all())
assert bool((positive != torch.arange(len(image))).all()), "a view is no positive of its own"
### BEGIN HIDDEN TESTS
for i in range(len(image)):
    far = {j: float((z[i] - z[j]).norm()) for j in range(len(image)) if j != i}
    mine = {j: f for j, f in far.items() if image[j] == image[i]}
    others = {j: f for j, f in far.items() if image[j] != image[i]}
    assert int(positive[i]) == max(mine, key=mine.get) and int(negative[i]) == min(others, key=others.get), f"row {i}"
equal = hardest(torch.zeros(len(image), 2), image)  # a collapsed embedding: any choice, but a legal one
assert bool((image[equal[0]] == image).all()) and bool((image[equal[1]] != image).all())
assert bool((equal[0] != torch.arange(len(image))).all()), "a collapsed embedding: a view is no positive of its own"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · One number for all thresholds
#
# Lesson 05 chose the threshold with which most pairs are right. If different pairs are a thousand times as many, that
# is the threshold that calls everything different. A number that does not depend on how many there are of each kind:
#
# - a pair is **accepted** if its distance is **below** $t$;
# - $\text{FAR}(t)$, *false accepts*: the share of the *different* pairs that are accepted;
# - $\text{FRR}(t)$, *false rejects*: the share of the *same* pairs that are not accepted.
#
# $$\text{EER} = \min_t \max\big(\text{FAR}(t), \text{FRR}(t)\big)$$
#
# Write `equal_error(distance, same)`: distances $(N,)$ and `torch.bool` $(N,)$ give a number. All $t$ count, also those
# that accept nothing, or everything.


# %% kind="answer" id="equal-error"
def equal_error(distance, same):
    ### BEGIN SOLUTION
    cuts = torch.cat([distance, distance.max()[None] + 1])
    accepted = distance[None] < cuts[:, None]
    false_accepts = accepted[:, ~same].double().mean(dim=1)
    false_rejects = 1 - accepted[:, same].double().mean(dim=1)
    return torch.maximum(false_accepts, false_rejects).min().item()
    ### END SOLUTION


# %% kind="tests" id="test-equal-error" points=3
distance = torch.tensor([0.1, 0.2, 0.3, 0.9, 0.4, 0.15, 0.8, 0.7])
same = torch.tensor([True, True, True, True, False, False, False, False])
assert abs(equal_error(distance, same) - 0.25) < 1e-6
assert equal_error(torch.tensor([0.1, 0.2, 0.9]), torch.tensor([True, True, False])) == 0, "told apart perfectly"
### BEGIN HIDDEN TESTS
generator = V.generator("pairs")
distance = torch.cat([torch.rand(30, generator=generator), 0.4 + torch.rand(300, generator=generator)])
same = torch.arange(330) < 30
best = 1.0
for t in [*distance.tolist(), 9.0]:
    accepts = sum(d < t for d in distance[30:].tolist()) / 300
    rejects = sum(d >= t for d in distance[:30].tolist()) / 30
    best = min(best, max(accepts, rejects))
assert abs(equal_error(distance, same) - best) < 1e-5, "wrong for 30 same and 300 different pairs"
assert abs(equal_error(torch.ones(10), torch.arange(10) < 4) - 1) < 1e-6, "equal distances cannot be told apart"
assert equal_error(torch.tensor([0.9, 0.1]), torch.tensor([True, False])) == 1, "everything the wrong way round"
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Train it, and measure
#
# Write `make_method(encoder)`: an `nn.Module` that holds `encoder` as `.encoder`, and whose `forward(x, generator=None)`
# takes raw images, uint8 $(N, 3, 32, 32)$, and gives `{"loss": …}` with your `quadruplet` in it. It may use
# `recipes.get("triplet").augment`, `nets.mlp`, `pairs.mine`, and your `hardest`; and no labels, which it does not get.
# Give it a method `embed(x)`: float images in $[0, 1]$ to embeddings $(N, D)$, the points whose distances the loss
# compares.
#
# To pass it has to beat the random encoder on ten labels a class by 0.15, after 600 steps of 128 images. Start with what
# lesson 06 found to work, not with the hardest.


# %% kind="answer" id="make-method"
def make_method(encoder):
    ### BEGIN SOLUTION
    class Quadruplets(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = encoder
            self.projector = nets.mlp(encoder.dim, 256, 64)
            self.views = recipes.get("triplet").augment

        def embed(self, x):
            return F.normalize(self.projector(self.encoder(x)).float(), dim=1)

        def forward(self, x, generator=None):
            views = torch.cat([self.views(x, generator), self.views(x, generator)])
            anchor, positive = self.embed(views).chunk(2)
            negative = positive[pairs.mine(anchor, positive, "semi-hard")]
            further = anchor[pairs.others(len(x), generator, x.device)]
            return {"loss": quadruplet(anchor, positive, negative, further, alpha, beta)}

    return Quadruplets()
    ### END SOLUTION


# %%
config = train.TrainConfig(steps=600, batch_size=128, progress=False)
with device.seeded(V.seed("network")):
    encoder = nets.ConvNet()
    untrained = copy.deepcopy(encoder)
    method = make_method(encoder)
if isinstance(method, nn.Module):
    result = train.fit(method, known.images, config)
    print(result.summary())

# %% kind="tests" id="test-method" points=2
fresh = make_method(nets.ConvNet())
out = fresh(known.images[:32], device.generator(0))
assert out["loss"].ndim == 0 and bool(out["loss"].isfinite())
out["loss"].backward()
assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in fresh.encoder.parameters())
assert fresh.embed(augment.to_float(val.images[:7])).shape[0] == 7
### BEGIN HIDDEN TESTS
called = []
true_quadruplet = quadruplet


def quadruplet(*arguments, **named):
    called.append(True)
    return true_quadruplet(*arguments, **named)


make_method(nets.ConvNet())(known.images[:32], device.generator(0))
quadruplet = true_quadruplet
assert called, "your loss does not use your quadruplet"
### END HIDDEN TESTS

# %%
scores = {}
for name, trained in {"random": untrained, "yours": getattr(method, "encoder", untrained)}.items():
    scores[name] = evaluate.label_efficiency(trained.to(machine), splits, [10], draws=3)[10].mean
    print(f"{name:<8}{scores[name]:.2f} with ten labels a class")

# %% kind="tests" id="test-trained" points=2
with torch.inference_mode():
    z = method.eval().embed(augment.to_float(val.images[:500].to(machine))).cpu()
assert bool(z.isfinite().all())
if not device.fast():
    assert not pairs.collapsed(z), pairs.collapsed(z)
    assert scores["yours"] > scores["random"] + 0.15, f"{scores['yours']:.2f} against {scores['random']:.2f}"
### BEGIN HIDDEN TESTS
if not device.fast():
    again = evaluate.label_efficiency(method.encoder.to(machine), splits, [10], draws=2)[10].mean
    assert again > scores["random"] + 0.12, "your encoder's probe, measured again"
### END HIDDEN TESTS

# %% [markdown]
# **3 points, half a page.** In a batch of 128 images of ten classes, how many of an anchor's negatives show its own digit,
# to be expected? What does batch-hard do with them, and why more often with 5 views than with 2? What does that mean for a
# set with 1,000 classes, and for one with 2? Use your `hardest` on your trained embedding of a few views to count, and
# give the number.

# %% [markdown] kind="written" id="why-negatives" points=3
# ### BEGIN SOLUTION
# A tenth: about 12 of 127 images. To a network that has learned digits they are the nearest negatives, so batch-hard
# chooses them far more often than one time in ten, and the loss pushes images of one digit apart: it works against what
# we want. More views mean more candidates, and the nearest of more lies nearer and is a false one more often. Counted on
# 200 images with their views: share of `labels[image[negative]] == labels[image]`, in our run about a third. With 1,000
# classes one negative in 1,000 is false and hardness is cheap; with 2 classes every second one is, and methods without
# negatives have the advantage.
# ### END SOLUTION

# %% [markdown]
# **3 points, half a page.** Is your second term worth anything? Describe the experiment that decides it: what is
# trained, what stays the same, how many runs, which control besides the random encoder, what is chosen on which split, and
# which number decides. Then do a small version of it, with $\beta$ so that the term is always 0, and say what one run each
# allows you to say.

# %% [markdown] kind="written" id="why-term" points=3
# ### BEGIN SOLUTION
# Train with and without the second term (β = −2: embeddings of length 1 are at most 2 apart, so the term is always 0;
# without that length no β is safe, and the term is left out), same encoder, views, steps, batches, mining; three pretraining
# seeds each; α tuned on val for both alike. Controls: the random encoder, the plain triplet recipe, supervised training
# on the same labels with the same augmentation. Number: the paired difference of probe accuracy at ten labels a class,
# ten draws for each seed, with the 95 % interval over test handwritings, read once. It counts if the interval excludes 0.
# One run each cannot decide: the runs of lesson 05 differ by several points among themselves.
# ### END SOLUTION
