"""The causal transformer: attention as a slow loop, no look ahead, and a loss at every place that learns."""

from __future__ import annotations

import math

import pytest
import torch

from sslkit import device as devices
from sslkit import methods, nets, train, words
from sslkit.nets import attention


def some(n: int = 3, t: int = 7, dim: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, t, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def transformer(vocabulary: int = 11, k: int = 8, **sizes) -> nets.CausalTransformer:
    with devices.seeded(0):
        net = nets.CausalTransformer(vocabulary, k, **{"width": 16, "depth": 2, "heads": 4} | sizes)
        for layer in (net.embed, net.place):
            torch.nn.init.normal_(layer.weight)  # words and places that differ: attention that is far from even
    return net


def slow_attention(layer: attention.Attention, x: torch.Tensor) -> torch.Tensor:
    """The formula: one text, one head, one place at a time."""
    d = x.shape[2] // layer.heads
    query, key, value = ((x @ w.T + b) for w, b in zip(layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)))
    y = torch.zeros_like(x)
    for n in range(len(x)):
        for head in range(layer.heads):
            mine = slice(head * d, (head + 1) * d)
            for i in range(x.shape[1]):
                fit = [query[n, i, mine] @ key[n, j, mine] / math.sqrt(d) for j in range(i + 1)]
                weight = torch.stack(fit).softmax(dim=0)
                y[n, i, mine] = sum(w * value[n, j, mine] for j, w in enumerate(weight))
    return y @ layer.out.weight.T + layer.out.bias


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_that_of_a_slow_loop(heads):
    with devices.seeded(0):
        layer = attention.Attention(8, heads, causal=True).double()
        torch.nn.init.normal_(layer.qkv.weight)
    x = some()
    torch.testing.assert_close(layer(x), slow_attention(layer, x))


def test_attention_has_the_gradient_of_its_formula():
    with devices.seeded(0):
        block = attention.Block(4, 2, expansion=2, causal=True).double()
    torch.autograd.gradcheck(block, some(2, 3, 4).requires_grad_())


@pytest.mark.parametrize("place", range(8))
def test_a_later_word_changes_no_earlier_output_and_every_earlier_word_a_later_one(place):
    net = transformer().eval()
    x = torch.randint(2, 11, (4, 8), generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[:, place] = 2 + (x[:, place] - 1) % 9
    with torch.no_grad():
        for before, after in zip(net.features(x), net.features(other)):
            assert torch.equal(before[:, :place], after[:, :place])
        moved = (net(x) - net(other)).abs().amax(dim=2)
    assert (moved[:, place:] > 1e-4).all(), "every place from the changed one on has seen it"


def test_a_short_text_gets_what_it_gets_within_a_long_one():
    net = transformer().eval()
    x = torch.randint(2, 11, (4, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(net(x[:, :3]), net(x)[:, :3])


def test_places_count():
    net = transformer().eval()
    with torch.no_grad():
        one, other = net(torch.tensor([[2, 3, 4, 5], [3, 2, 4, 5]]))[:, -1]
    assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (torch.zeros(2, 9, dtype=torch.long), "T from 1 to k = 8"),
        (torch.zeros(2, 0, dtype=torch.long), "T from 1 to k = 8"),
        (torch.zeros(2, 3), "numbers of words"),
        (torch.zeros(3, dtype=torch.long), "numbers of words"),
    ],
)
def test_other_input_is_refused(x, why):
    with pytest.raises(ValueError, match=why):
        transformer()(x)


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="multiple of 3"):
        nets.CausalTransformer(11, 8, width=16, heads=3)
    with pytest.raises(ValueError, match="at least 1"):
        nets.CausalTransformer(11, 8, depth=0)


# ---- the method --------------------------------------------------------------------------------------------------


def method(**sizes) -> methods.NextWords:
    with devices.seeded(1):
        return methods.NextWords(
            nets.CausalTransformer(11, **{"k": 8, "width": 16, "depth": 1, "heads": 2} | sizes), tied=True
        )


def test_the_loss_is_the_mean_surprise_over_all_words_and_over_no_start():
    net = method()
    x = torch.tensor([[1, 4, 5, 6, 1], [1, 7, 1, 1, 1]])
    loss = net(x)["loss"].item()
    asked = [([1], 4), ([1, 4], 5), ([1, 4, 5], 6), ([1], 7)]
    with torch.no_grad():
        by_hand = [-net.log_probabilities(torch.tensor([before]))[0, word].item() for before, word in asked]
    assert loss == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-5)
    assert loss == pytest.approx(math.log(11), rel=0.1)


def test_what_stands_before_a_text_is_cut_to_one_start():
    net, context = method(), torch.tensor([[1, 1, 1, 1, 5, 6]])
    with torch.no_grad():
        assert torch.equal(net.log_probabilities(context), net.log_probabilities(context[:, 3:]))
        assert torch.equal(net.log_probabilities(context[:, :3]), net.log_probabilities(context[:, :1]))


def test_it_learns_from_more_than_the_last_word_and_writes():
    g = torch.Generator().manual_seed(0)
    start, step = torch.randint(0, 9, (256, 1), generator=g), torch.randint(1, 3, (256, 1), generator=g)
    counting = torch.cat([torch.ones(256, 1, dtype=torch.long), 2 + (start + step * torch.arange(7)) % 9], dim=1)
    net = method()
    train.fit(net, counting, train.TrainConfig(epochs=60, batch_size=64, lr=1e-2, progress=False), device="cpu")
    vocabulary = words.Vocabulary(("<unk>", "<s>", *"abcdefghi"))
    assert words.write(net.log_probabilities, vocabulary, 8, "a b c", 4, temperature=0) == "a b c d e f g"
    assert words.write(net.log_probabilities, vocabulary, 8, "a c e", 2, temperature=0) == "a c e g i"


def test_the_head_shares_the_embeddings():
    net = method()
    net(torch.tensor([[1, 4, 5, 6, 1]]))["loss"].backward()
    assert net.encoder.embed.weight.grad[10].abs().max() > 0, "a word that was not read is pushed away all the same"
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in net.encoder.parameters()) + 11
