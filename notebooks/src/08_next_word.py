# %% [markdown]
# # 08 · The next word
#
# **The question: what does one learn by guessing the next word, over and over?**
#
# A text is its own teacher. Cover the next word, guess it, uncover it: the answer was free, and there is another one
# behind it. This lesson begins with a pencil and a tally list, and ends with a small transformer. Everything in between
# answers the same question: *which word comes next, after these k?*
#
# After this lesson you can
#
# - turn a text into numbers and windows, and keep the answer out of the input;
# - count a bigram, smooth it, and reach the same table by gradient descent;
# - measure surprise: cross-entropy in nats, perplexity, and say when two perplexities cannot be compared;
# - train a network on k words, read what it learned, and let it write;
# - use what it learned: tell which library a passage comes from, with few labels, and against which controls.
#
# | | |
# |---|---|
# | you need | lesson 01, or the words *frozen*, *linear probe* and *control* |
# | time | 60 minutes to read and do; the cells run for about 2 minutes on 2 CPU cores |
# | three exercises | windows; a bigram; perplexity |

# %%
import json
import math

import torch
import torch.nn.functional as F

from sslkit import checks, device, nets, ngrams, passages, plots, recipes, scoreboard, train, widgets, words
from sslkit.data import load_text

machine = device.pick()

# %% [markdown]
# ## A text, by hand
#
# Four sentences. A network takes numbers, so every word gets one. A sign of punctuation is a word of its own.

# %%
# NBVAL_CHECK_OUTPUT
tale = "the cat sat on the mat. the rat sat on the cat. the cat ate the rat. the dog sat on the mat."
small = words.Vocabulary.of([tale])
numbers = small.encode(tale)
print(len(numbers), "words,", len(small), "different ones with <unk> and <s>:", *small.words)
print(*numbers[:13])

# %% [markdown]
# Number 0 is `<unk>`, any word that the list does not have. Number 1 is `<s>`, the place before a text. The others are
# sorted by how often they came: 2 is the most frequent word.
#
# To predict means: from the last $k$ words $w_{t-k}, \dots, w_{t-1}$ to the word $w_t$. So the text is cut into
# **windows** of $k + 1$ numbers, the word to predict last. There is one window for every word of the text. Before the
# first word there is nothing, and for that stands `<s>`, $k$ times.
#
# ## Exercise 1: windows
#
# *8 minutes, medium.*
#
# Write `make_windows(numbers, k)`: `numbers` is a list of $n$ numbers; the answer is a tensor $(n, k + 1)$. In row $t$
# stand the $k$ numbers before `numbers[t]`, and then `numbers[t]` itself.
#
# Expected: `make_windows([5, 6, 7], 2)` is `[[1, 1, 5], [1, 5, 6], [5, 6, 7]]`.
#
# <details><summary>Hint 1</summary>Put <code>[1] * k</code> in front of the list first. Then row t starts at place t of
# the longer list.</details>
# <details><summary>Hint 2</summary><code>padded[t : t + k + 1]</code> for every t from 0 to n − 1, and
# <code>torch.tensor</code> around the list of rows.</details>


# %%
def make_windows(numbers, k):
    ### BEGIN SOLUTION
    padded = [1] * k + numbers
    return torch.tensor([padded[t : t + k + 1] for t in range(len(numbers))])
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_windows(make_windows)

# %% [markdown]
# From here on we use `sslkit.words.windows`, which does the same for many texts. No window reaches into another text.

# %%
# NBVAL_CHECK_OUTPUT
pairs = words.windows([tale], small, k=1)
for before, word in pairs[:6].tolist():
    print(f"{small.words[before]:>5} -> {small.words[word]}")

# %% [markdown]
# ## Counting
#
# The simplest model is a tally list. How often did word $w$ follow word $h$? Divide by how often anything followed $h$:
#
# $$p(w \mid h) = \frac{c(h, w)}{c(h)}$$
#
# Two words at a time: a **bigram**. (One word at a time, without looking at what stood before, is a **unigram**.)

# %%
plots.confusion(pairs[:, 0], pairs[:, 1], small.words, title="percent", axes=("next word", "after"))

# %% [markdown]
# *Figure: a table with one row for each word and one column for each word that may follow, in percent. After "sat" comes
# "on" and after "on" comes "the", always. After "the" come five animals and things, the cat most often. Most cells are
# empty.*
#
# Most cells are empty. In this text no mat ever ate; so the model says that it is **impossible**. One new sentence with
# "the mat ate", and its probability is 0 and its surprise infinite. No text is long enough to have seen everything. So
# some probability has to be lent to what was not seen: **smoothing**. The oldest way adds a little, $\lambda$, to every
# count:
#
# $$p(w \mid h) = \frac{c(h, w) + \lambda}{c(h) + \lambda V}$$
#
# ## Exercise 2: a bigram
#
# *10 minutes, medium.*
#
# Write `bigram(pairs, V, add)`. `pairs` is int64 $(N, 2)$: the word before, and the word. `V` is the number of words,
# `add` is $\lambda$. The answer is a table $(V, V)$ of probabilities: row $h$ holds $p(w \mid h)$ for every $w$.
#
# Expected: `bigram(torch.tensor([[0, 1], [0, 1]]), 2, 1.0)` is `[[0.25, 0.75], [0.5, 0.5]]`.
#
# <details><summary>Hint 1</summary>Start with <code>torch.full((V, V), add)</code> and add 1 at
# <code>table[before, word]</code> for each pair. A loop is fine.</details>
# <details><summary>Hint 2</summary>Each <em>row</em> has to sum to 1: divide by
# <code>table.sum(dim=1, keepdim=True)</code>. What is the sum of a row that was never seen?</details>


# %%
def bigram(pairs, V, add):
    ### BEGIN SOLUTION
    table = torch.full((V, V), add)
    for before, word in pairs.tolist():
        table[before, word] += 1
    return table / table.sum(dim=1, keepdim=True)
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_bigram(bigram)

# %% [markdown]
# ## How surprised?
#
# A model is good if the words that come do not surprise it. The surprise at one word is $-\ln p(w \mid h)$, in **nats**:
# 0 if the model was certain, large if it thought the word unlikely. Its mean over a text is the **cross-entropy**, and
# its exponential the **perplexity**:
#
# $$L = -\frac{1}{N}\sum_{t=1}^{N} \ln p(w_t \mid h_t), \qquad \text{perplexity} = e^{L}$$
#
# Perplexity counts words: a model with perplexity 50 is as unsure as one that has to choose blindly among 50.
#
# ## Exercise 3: perplexity
#
# *5 minutes, easy.*
#
# Write `perplexity(p)`: `p` $(N,)$ holds the probabilities that a model gave to the words that came. Expected: for
# `[0.5, 0.5]` it is 2.
#
# <details><summary>Hint 1</summary>First the logarithm of each, then the mean, then the minus, then exp.</details>
# <details><summary>Hint 2</summary><code>torch.log</code> is the natural logarithm; its inverse is
# <code>torch.exp</code>. Papers that measure in bits use log2 and 2 to the power of.</details>


# %%
def perplexity(p):
    ### BEGIN SOLUTION
    return p.log().mean().neg().exp().item()
    ### END SOLUTION


# %%
# NBVAL_CHECK_OUTPUT
ok = checks.check_perplexity(perplexity)

# %% [markdown]
# Who knows nothing gives each of the $V$ words the probability $1/V$: the loss is $\ln V$, the perplexity is $V$. **Every
# model of this lesson starts there.** A loss above $\ln V$ means that it is worse than knowing nothing.
#
# ## The same table, without counting
#
# Now gradient descent. The model is a table of $V \times V$ numbers, all 0 at first. Row $h$ holds the logits of what
# comes after word $h$; a softmax makes probabilities of them. The loss is the cross-entropy. **Predict:** where does this
# model end up?

# %%
my_guess = ...

# %%
# NBVAL_CHECK_OUTPUT
before, word = pairs[:, 0], pairs[:, 1]
table = torch.zeros(len(small), len(small), requires_grad=True)
start = F.cross_entropy(table[before], word).item()
assert math.isclose(start, math.log(len(small)), rel_tol=1e-5)
print(f"{len(small)} words; the loss at the start is ln {len(small)} = {start:.3f}")

# %%
# NBVAL_CHECK_OUTPUT
optimizer = torch.optim.Adam([table], lr=0.1)
for _ in range(1500):
    loss = F.cross_entropy(table[before], word)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
counts = torch.zeros(len(small), len(small)).index_put_((before, word), torch.ones(()), accumulate=True)
seen = counts.sum(dim=1) > 0
off = (table.softmax(dim=1)[seen] - counts[seen] / counts[seen].sum(dim=1, keepdim=True)).abs().max()
print("the learned table is that of the counts, to within 0.01:", off.item() < 0.01)

# %% [markdown]
# **The same table.** Nobody counted; the counts are the place where the loss is lowest. This holds for every loss of this
# kind, and it is worth to keep in mind: a network that predicts the next word estimates how often words follow. What
# it adds is that it need not keep a row for every context: it can *share* between contexts that resemble each other.
# For that we need more text.
#
# ## A real text
#
# `docwords`: the descriptions of functions in eight Python libraries that are installed here anyway. Paragraphs that
# share eight words in a row with an earlier one were left out. A module belongs to one split as a whole. (The first time,
# the libraries are read: that takes half a minute.)

# %%
splits = {name: load_text("docwords", name) for name in ("train", "val", "test")}
known, val, test = splits.values()
print(f"{len(known)} passages to train on, {len(val)} for val, {len(test)} for test; from {', '.join(known.classes)}")
print("\none of them:", known.texts[100][:300], "…")

# %% [markdown]
# Other versions of these libraries have other descriptions. Then **the numbers below move**, a little; what they say
# does not. Figures in this text come from the versions in `constraints.txt`.
#
# ## Where to cut the vocabulary
#
# The text has some twenty thousand different words, and half of them stand there once. A network needs an answer for each
# word of its vocabulary, so the vocabulary is cut: the most frequent $V$ words keep their numbers, the rest becomes
# `<unk>`. Numbers are ranks, so this is one line. **Predict:** with a vocabulary of only 50 words, what perplexity does a
# bigram have?

# %%
my_guess = ...


# %%
def smaller(windows, V):
    """The same windows with a vocabulary of V words."""
    return torch.where(windows < V, windows, words.UNKNOWN)


everything = words.Vocabulary.of(known.texts, 10**6)
full = {name: words.windows(part.texts, everything, k=8) for name, part in splits.items()}
V = 6000
vocabulary = words.Vocabulary(everything.words[:V])
rows = {name: smaller(windows, V) for name, windows in full.items()}

# %%
print(f"{'V':>7}{'<unk> in val':>14}{'ln V':>7}{'bigram, nats':>14}{'perplexity':>12}")
for size in (50, 500, 2000, 6000, len(everything)):
    cut = {name: smaller(full[name], size) for name in ("train", "val")}
    unknown = (cut["val"][:, -1] == words.UNKNOWN).float().mean()
    nats = ngrams.cross_entropy(ngrams.Interpolated(cut["train"], size, order=2, discount=0.8), cut["val"])
    print(f"{size:>7}{unknown:>13.1%}{math.log(size):>7.2f}{nats:>14.2f}{math.exp(nats):>12.1f}")
    checks.predicted(my_guess, math.exp(nats), "perplexity") if size == 50 else None

# %% [markdown]
# **Broken on purpose.** With 50 words the perplexity is wonderful, and the model says next to nothing: most of what it
# predicts, with success, is `<unk>`. *Perplexities with different vocabularies cannot be compared*, nor those with
# different ways to cut words, nor those on different texts. A paper's number beside yours means nothing unless all three
# agree. Notice the second column's last row, too: even with every word of the train split a part of val is
# unknown. There will always be a new word.
#
# From here on: $V = 6000$, and 1 word in 27 of val is `<unk>`.
#
# ## What counting reaches
#
# More words before, better counts? **Predict:** which order is best on val: 1, 2, 3 or 4 words?

# %%
my_order = ...

# %%
counted = ngrams.smoothed(rows["train"], rows["val"], V, orders=(1, 2, 3, 4))
for name, (model, nats) in counted.items():
    print(f"{name:<9}{nats:6.3f} nats, perplexity {math.exp(nats):7.1f}   {model}")
bigram_nats = counted["bigram"][1]

# %% [markdown]
# How much to smooth was chosen on val, for each order, among ten settings and two kinds. The second kind, *interpolated*,
# takes a part of every count and lends it to what was not seen, by how likely a word is in shorter contexts (Ney, Essen,
# Kneser 1994). It is much better than adding.
#
# Four words in a row have mostly never been seen before, so the last row gains nothing more. Counting treats "of the
# array" and "of the arrays" as strangers. That is the wall, and it is what the next model was invented for.
#
# ## k words, and a network
#
# Bengio, Ducharme, Vincent and Jauvin (2003): give each word a vector, its **embedding**. Put the vectors of the last $k$
# words side by side, then one hidden layer, then a score for each of the $V$ words:
#
# $$h = \tanh\left(W [e(w_{t-k}); \dots; e(w_{t-1})] + b\right), \qquad p = \text{softmax}(U h + c)$$
#
# Words that are used alike can get vectors that are alike, and what is learned about one then holds for the other. The
# vectors are learned by the same loss. Here $k = 8$, with embeddings of 64 numbers and a hidden layer of 256.

# %%
# NBVAL_CHECK_OUTPUT
with device.seeded(0):
    method = recipes.build_on_words(vocabulary)
net = method.encoder
print(f"k = {net.k}, embeddings of {net.embedding} numbers, a hidden layer of {net.dim}, {len(vocabulary)} words")
print(f"{sum(p.numel() for p in method.parameters()):,} parameters")
fresh = method(rows["train"][:512])["loss"].item()
assert abs(fresh - math.log(V)) < 0.1, f"it starts at {fresh}"
print(f"ln V = {math.log(V):.2f}, and the loss of the fresh network is near it")

# %% [markdown]
# **Predict** its perplexity on val after some forty seconds. Knowing nothing is 6000; you have just seen the bigram's.

# %%
my_guess = ...

# %%
config = train.TrainConfig(steps=LIVE_STEPS, batch_size=512)
result = train.fit(method, rows["train"], config)
nats = passages.surprise(method, val.texts, vocabulary)
checks.predicted(my_guess, math.exp(nats), "perplexity")
print(f"{result.seconds:.0f} s: {nats:.3f} nats; the bigram has {bigram_nats:.3f}, the network {bigram_nats - nats:.2f} less")

# %%
plots.loss_curve(result.history, chance=math.log(V), title="the next word, k = 8")
