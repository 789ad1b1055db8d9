# %% [markdown]
# # A4 · Transfer on your own data
#
# *After lesson 09. 24 points: 12 marked by running your code, 12 by reading your report. About 5 hours; all cells run for
# 2 to 3 minutes on 2 CPU cores.*
#
# | part | what you do | points |
# |---|---|---|
# | 0 | say who you are | 1 |
# | 1 | your data | 1 + 3 written |
# | 2 | copies between train and test | 3 |
# | 3 | pretrain without labels | 2 + 3 written |
# | 4 | how many layers? chosen on val | 3 |
# | 5 | better, worse, or undecided | 2 + 6 written |
#
# How it works:
#
# - Write in the place of `# your code here`, and *Your answer here.* Add cells of your own wherever you like; cells with
#   tests are read-only, and what you change in them is undone before marking.
# - The tests that you see are a part of those that mark: hidden ones try other inputs. So write what is asked for, not
#   what passes.
# - A test whose error speaks of an `ellipsis` has met a `...`: the function that it tries is not written yet.
# - Before you hand in: *Kernel → Restart Kernel and Run All Cells*. Hand in the folder `images` together with the notebook:
#   it is run again for marking.
# - The report is the better half of the points. A result that says "no better than from scratch, and here is how I know" gets
#   all of them; a good number without a control does not.

# %%
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from sslkit import augment, device, evaluate, nets, plots, recipes, train, transfer, variants
from sslkit.data import load

machine = device.pick()

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
if Path.cwd().parents[1].name == "autograded":
    handed_in_by = Path.cwd().parent.name
    assert variants.Variant(student()).name == variants.Variant(handed_in_by).name, f"handed in by {handed_in_by}"
### END HIDDEN TESTS

# %%
V = variants.Variant(student())
limit = V.choose("limit", (0.02, 0.03, 0.04))
print(f"{V.name}: images count as copies within {limit}")

# %% [markdown]
# ## 1 · Your data
#
# Any folder of pictures with one folder for each class: your own photographs, plants, coins, faces of cats; at least 2
# classes and 40 pictures of each. Make a small copy beside this notebook with `small_copy(r"PATH/TO/PICTURES")`, in a cell
# of your own that you delete afterwards. Then return `"folder:images"`.


# %%
def small_copy(source, target="images", size=32, per_class=300):
    """Pictures of PATH/<class>/ (at any depth below it), their middle, `size` pixels a side, as PNG."""
    for folder in sorted(path for path in Path(source).expanduser().iterdir() if path.is_dir()):
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp"))
        place = Path(target) / folder.name
        place.mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(files[:: max(1, len(files) // per_class)][:per_class]):
            with Image.open(file) as picture:
                picture = ImageOps.exif_transpose(picture)  # as the photograph was held
                side = min(picture.size)
                left, top = (picture.width - side) // 2, (picture.height - side) // 2
                square = picture.convert("RGB").crop((left, top, left + side, top + side))
                square.resize((size, size)).save(place / f"{number:04d}.png")


# %% kind="answer" id="my-data"
def my_data():
    ### BEGIN SOLUTION
    # Any folder: SSLKIT_ASSIGNMENT_IMAGES names one. Without it, a set that is there anyway, written out as pictures.
    import atexit
    import os
    import shutil
    import tempfile

    copy = Path(tempfile.gettempdir()) / f"sslkit-a4-{os.getpid()}"
    if not copy.exists():
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        given = os.environ.get("SSLKIT_ASSIGNMENT_IMAGES")
        if given:
            small_copy(given, copy)
        else:
            digits = load("photodigits", "train")
            for i in range(1500):
                place = copy / digits.classes[digits.labels[i]]
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(digits.images[i].permute(1, 2, 0).numpy()).save(place / f"{i:04d}.png")
    return f"folder:{copy}"
    ### END SOLUTION


# %%
begun = isinstance(my_data(), str)
splits = {name: load(my_data() if begun else "photodigits", name, progress=False) for name in ("train", "val", "test")}
known, val, test = splits.values()
print({name: tuple(split.images.shape) for name, split in splits.items()}, known.classes[:12])
plots.image_grid(known.images[:24], titles=[known.classes[y] for y in known.labels[:24]], columns=12, size=0.8)

# %% kind="tests" id="test-data" points=1
assert str(my_data()).startswith("folder:"), "a folder of your own: 'folder:images'"
counts = known.labels.bincount(minlength=len(known.classes))
assert len(known.classes) >= 2 and int(counts.min()) >= 30, f"too few pictures: {counts.tolist()} of the classes in train"
### BEGIN HIDDEN TESTS
assert torch.is_tensor(known.images) and known.images.shape[1:] == test.images.shape[1:]
assert len(test) >= 2 * len(known.classes), "hardly anything to test on"
### END HIDDEN TESTS

# %% [markdown]
# **3 points, half a page.** Where do the pictures come from, how many are there of each class, and who may use them? What
# tells the classes apart that has nothing to do with them (a background, a camera, a season)? What is the question, and
# what would you have to see to answer it with no?

# %% [markdown] kind="written" id="report-data" points=3
# ### BEGIN SOLUTION
# Full points: source and licence; counts, also of the splits; one nuisance that is named and looked for (a figure of the mean
# image of each class, say); a question that can be answered with no, such as "are ten labels a class worth more on top of
# an encoder that was pretrained on my pictures than from scratch?"
# ### END SOLUTION

# %% [markdown]
# ## 2 · Copies between train and test
#
# Bursts, thumbnails, the same picture twice: what stands in train and in test measures memory. Before any training:
# find it. Shrink each picture to grey $8 \times 8$ (the mean of the three channels, then `F.adaptive_avg_pool2d`). A test
# picture is a **copy** if some training picture differs by at most `limit` in **every one** of the 64 values.
#
# Write `copies(known, test, limit)`: two batches uint8 $(N, C, H, W)$ and $(M, C, H, W)$, a limit in $[0, 1]$ as the
# pixels after `augment.to_float`. It gives the numbers of the test pictures that are copies, int64, in order. It should
# manage 10,000 against 2,000 pictures in the memory of a laptop.


# %% kind="answer" id="copies"
def copies(known, test, limit):
    ### BEGIN SOLUTION
    def small(images):
        return F.adaptive_avg_pool2d(augment.to_float(images).mean(dim=1), 8).flatten(1)

    seen = small(known)
    nearest = [torch.cdist(part, seen, p=float("inf")).min(dim=1).values for part in small(test).split(100)]
    return (torch.cat(nearest) <= limit).nonzero().flatten()
    ### END SOLUTION


# %% kind="tests" id="test-copies" points=3
generator = V.generator("copies")
some = torch.randint(256, (50, 3, 32, 32), generator=generator, dtype=torch.uint8)
tests = torch.randint(256, (8, 3, 32, 32), generator=generator, dtype=torch.uint8)
tests[5], tests[2] = some[11], some[40]
assert copies(some, tests, 0.001).tolist() == [2, 5]
### BEGIN HIDDEN TESTS
flat = torch.full((3, 3, 16, 16), 100, dtype=torch.uint8)
spot = flat.clone()
spot[1, :, :2, :2] += 20  # one of 64 values differs by 20 / 255
spot[2] += 5
assert copies(flat[:1], spot, 0.03).tolist() == [0, 2], "every one of the 64 values has to be near"
assert copies(flat[:1], spot, 0.1).tolist() == [0, 1, 2], "the limit is not used as it should be"
assert copies(flat[:1], 255 - spot, 0.03).tolist() == [] and copies(flat[:1, :1], spot[:, :1], 0.0).tolist() == [0]
### END HIDDEN TESTS

# %%
found = copies(known.images, test.images, limit)
if torch.is_tensor(found):
    print(f"{len(found)} of {len(test)} test pictures are copies; they are left out of the test")
    keep = torch.ones(len(test), dtype=torch.bool).index_fill(0, found, False)
    splits["test"] = test = test.subset(keep.nonzero().flatten())

# %% [markdown]
# ## 3 · Pretrain without labels
#
# Write `pretrained(encoder, images)`: train the encoder without labels, and return it. `images` is uint8
# $(N, 3, H, W)$, the training pictures. Any method of the course, at most 1,500 steps, and an augmentation **that suits your
# pictures**: may they be mirrored, turned, recoloured? `recipes.get(name)`, `recipes.build`, `replace(recipe.lesson,
# steps=…, progress=False)` and `train.fit` help.


# %% kind="answer" id="pretrained"
def pretrained(encoder, images):
    ### BEGIN SOLUTION
    method = recipes.build("simclr", encoder, data="folder:images")  # mirrored, hardly any change of hue
    train.fit(method, images, replace(recipes.get("simclr").lesson, steps=1000, progress=False))
    return method.encoder
    ### END SOLUTION


# %%
with device.seeded(V.seed("encoder")):
    untrained = nets.ConvNet(channels=known.images.shape[1])
fresh = nets.build(untrained.config())
fresh.load_state_dict(untrained.state_dict())
encoder = pretrained(fresh, known.images)
encoder = encoder if isinstance(encoder, nets.Encoder) else untrained
for name, net in {"random": untrained, "pretrained": encoder}.items():
    score = evaluate.label_efficiency(net.to(machine), splits | {"test": val}, [5], draws=3)[5]
    print(f"{name:<12}{score.mean:.2f} ± {score.std:.2f} on val with five labels a class; chance {1 / len(known.classes):.2f}")

# %% kind="tests" id="test-pretrained" points=2
moved = [not torch.equal(a.cpu(), b.cpu()) for a, b in zip(encoder.parameters(), untrained.parameters())]
assert all(moved), "some of the encoder's parameters are as they were: was it trained, and all of it?"
assert evaluate.collapse(evaluate.embed(encoder, val.images))["std"] > 0.1, "the embedding has collapsed"
### BEGIN HIDDEN TESTS
asked = []
true_fit, train.fit = train.fit, lambda method, images, config=None, **more: asked.append((images, config))
try:
    pretrained(nets.build(untrained.config()), known.images[:64])
finally:
    train.fit = true_fit
assert not asked or all(config.steps <= 1500 for _, config in asked if config), "more than 1,500 steps"
assert not any(isinstance(images, list | tuple) and len(images) > 1 for images, _ in asked), "labels went into it"
### END HIDDEN TESTS

# %% [markdown]
# **3 points, half a page.** Which method and which augmentation did you take, and why do they suit these pictures? Show one
# view that you allow and one that you forbid. What does the probe on *val* say beside the random encoder?

# %% [markdown] kind="written" id="report-method" points=3
# ### BEGIN SOLUTION
# Full points: the augmentation is argued from the pictures (a mirrored coin is none; the hue tells ripe from unripe), a figure
# of views, the choice was made on val, and the random encoder's number stands beside the own one, with spread.
# ### END SOLUTION

# %% [markdown]
# ## 4 · How many layers? Chosen on val
#
# `transfer.label_efficiency` reads the test split. For a choice it must not. Write `on_val(splits)`: the same dict with
# *val* in the place of *test*, and `splits` itself unchanged.
#
# Write `choose(scores)`: `scores` is a dict `{layers: Score}`, and the answer is how many layers to copy: the number with
# the highest `mean`. **But** the fewest layers win whose mean is within one standard error of the best one's. The standard
# error of the best is its `std` divided by $\sqrt{R}$, for `R = len(score.runs)` runs.


# %% kind="answer" id="choose"
def on_val(splits):
    ### BEGIN SOLUTION
    return {**splits, "test": splits["val"]}
    ### END SOLUTION


def choose(scores):
    ### BEGIN SOLUTION
    best = max(scores.values(), key=lambda score: score.mean)
    error = best.std / len(best.runs) ** 0.5
    return min(layers for layers, score in scores.items() if score.mean >= best.mean - error)
    ### END SOLUTION


# %% kind="tests" id="test-choose" points=3
assert on_val(splits)["test"] is val and splits["test"] is test and on_val(splits)["train"] is known


def score(*runs, of=1000):
    import numpy as np

    correct = np.stack([np.arange(of) < round(run * of) for run in runs])
    return evaluate.Score(correct, np.arange(of))


assert choose({0: score(0.5, 0.6), 2: score(0.7, 0.9), 4: score(0.2, 0.1)}) == 2
assert choose({0: score(0.5, 0.6), 2: score(0.7, 0.8), 4: score(0.7, 0.9)}) == 2, "2 is within a standard error of 4"
### BEGIN HIDDEN TESTS
# the best is 0.8 ± 0.1 over 3 runs: a standard error of 0.058 (by the population's deviation, 0.0816, it would be 0.047)
assert choose({4: score(0.7, 0.8, 0.9), 3: score(0.75, 0.75, 0.75), 1: score(0.72, 0.72, 0.72)}) == 3
assert choose({4: score(0.7, 0.8, 0.9), 3: score(0.745, 0.745, 0.745), 1: score(0.72, 0.72, 0.72)}) == 3
assert choose({3: score(0.5, 0.5), 1: score(0.5, 0.5)}) == 1 and choose({2: score(0.4)}) == 2
### END HIDDEN TESTS

# %%
quick = replace(evaluate.SUPERVISED, steps=150)
suits = recipes.augment_for(recipes.get("simclr"), "folder:images")
layers_tried = (0, 2, 4)
chosen = 4
if on_val(splits) is not ...:
    scores = {
        layers: transfer.label_efficiency(encoder, on_val(splits), [5], 3, layers, "frozen", suits, quick)[5]
        for layers in layers_tried
    }
    for layers, result in scores.items():
        print(f"{layers} layers copied and frozen: {result.mean:.2f} ± {result.std:.2f} on val")
    chosen = choose(scores) if isinstance(choose(scores), int) else chosen
print(f"chosen: {chosen} layers")

# %% [markdown]
# ## 5 · Better, worse, or undecided
#
# Now the test split, once: your choice against nothing copied, and against a linear probe. Write
# `verdict(score, control)`: `"better"` if the 95 % interval of the paired difference (`score.interval(control)`) lies above
# 0, `"worse"` if below, else `"undecided"`.


# %% kind="answer" id="verdict"
def verdict(score, control):
    ### BEGIN SOLUTION
    low, high = score.interval(control)
    return "better" if low > 0 else "worse" if high < 0 else "undecided"
    ### END SOLUTION


# %% kind="tests" id="test-verdict" points=2
assert verdict(score(0.9, 0.8), score(0.5, 0.6)) == "better" and verdict(score(0.3), score(0.6)) == "worse"
assert verdict(score(0.5), score(0.5)) == "undecided"
### BEGIN HIDDEN TESTS
import numpy as np

generator = np.random.RandomState(V.seed("verdict") % 2**31)
one, other = (evaluate.Score(generator.rand(2, 60) < p, np.arange(60)) for p in (0.55, 0.5))
assert verdict(one, other) == "undecided", "60 pictures are too few for five points"
# paired: both right on the same pictures, one on a few more; the single intervals overlap widely
base = np.arange(400)[None] < 200
more = evaluate.Score(base | (np.arange(400)[None] >= 385), np.arange(400))
assert verdict(more, evaluate.Score(base, np.arange(400))) == "better", "the difference is paired"
assert verdict(evaluate.Score(base, np.arange(400)), more) == "worse"
### END HIDDEN TESTS

# %%
final = {
    f"{chosen} layers": transfer.label_efficiency(encoder, splits, [5], 3, chosen, "frozen", suits, quick)[5],
    "from scratch": transfer.label_efficiency(encoder, splits, [5], 3, 0, "fine-tuned", suits, quick)[5],
    "probe": evaluate.label_efficiency(encoder.to(machine), splits, [5], draws=3, augment=suits)[5],
    "random probe": evaluate.label_efficiency(untrained.to(machine), splits, [5], draws=3, augment=suits)[5],
}
for name, result in final.items():
    says = verdict(result, final["from scratch"])
    print(f"{name:<14}{result.mean:.2f} ± {result.std:.2f}   against from scratch: {says}")

# %% [markdown]
# **6 points, a page: the report.** What did you find, with numbers, spread and controls? Is *from scratch* a fair control
# here: how many steps does it get, which augmentation, was it tuned as hard as the rest? (150 steps are few: give it more,
# say what changes.) What was chosen on which split? What would one more week, or a hundred times as many pictures, change?
# What must nobody conclude from this?

# %% [markdown] kind="written" id="report" points=6
# ### BEGIN SOLUTION
# Full points, one each: (1) a table with own result, from scratch, probe, random probe and chance, with spread; (2) verdicts by
# paired intervals, "undecided" where it is; (3) a stronger control was tried, with more steps, and what it gave is said, also
# where it wins; (4) choices on val, test read once; (5) limits: one pretraining seed, few test pictures, nuisances of part 1;
# (6) a conclusion that is no stronger than the numbers.
# ### END SOLUTION
