"""Words: the next one from the last k, or at every place from all before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import losses, nets
from sslkit.methods.accuracy import accuracy
from sslkit.words import START


class NextWord(nn.Module):
    """Which word comes next? Bengio, Ducharme, Vincent, Jauvin 2003. The loss starts near ln V.

    Its batch is windows int64 (N, k + 1) as of words.windows: the last word of each is to be told from the k before it.
    There is nothing random in it. Called through `log_probabilities`, it is a model that words.write can write with.
    """

    def __init__(self, encoder: nets.ContextNet):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, encoder.vocabulary)

    def rates(self) -> dict[Tensor, float]:
        """The head's bias learns how frequent each word is, and has far to go: ten times as fast as the others."""
        return {self.head.bias: 10.0}

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return x[:, :-1], x[:, -1]

    def log_probabilities(self, inputs: Tensor) -> Tensor:
        """Contexts int64 (N, k) -> log-probabilities (N, V), in nats."""
        return self.head(self.encoder(inputs)).float().log_softmax(dim=1)

    def loss(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.encoder(inputs)).float()  # argmax over V is six times slower in bf16
        return {"loss": losses.cross_entropy(logits, target), "accuracy": accuracy(logits, target)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class NextWords(nn.Module):
    """The next word at every place of a text, each from all words before it. The loss starts near ln V.

    Its batch is int64 (N, T + 1) as of words.rows: inputs and targets are the same words, moved by one. <s> is never
    predicted. It writes as NextWord does.

    `places`, if not 0, is about how many places of each row are asked, drawn anew for every batch: neighbouring places
    ask nearly the same, and the scores of V words are what takes time. `tied` makes the embeddings of the words the
    weights of the head (Press, Wolf 2017, "Using the output embedding to improve language models").
    """

    def __init__(self, encoder: nets.ContextBag | nets.CausalTransformer, places: int = 0, tied: bool = False):
        super().__init__()
        self.encoder, self.places = encoder, places
        self.head = nn.Linear(encoder.dim, encoder.vocabulary)
        if tied:
            self.head.weight = encoder.embed.weight

    def rates(self) -> dict[Tensor, float]:
        """The head's bias learns how frequent each word is, and has far to go: ten times as fast as the others."""
        return {self.head.bias: 10.0}

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Inputs and targets (N, T); a target that is not asked for is <s>."""
        inputs, target = x[:, :-1], x[:, 1:]
        if self.places and self.training:
            asked = torch.rand(target.shape, generator=generator, device=x.device) < self.places / target.shape[1]
            target = torch.where(asked, target, START)
        return inputs, target

    def log_probabilities(self, inputs: Tensor) -> Tensor:
        """Contexts int64 (N, T), <s> before the first word -> log-probabilities (N, V) of the word after the last."""
        before = int((inputs == START).all(dim=0).int().cumprod(dim=0).sum())  # columns in front that hold <s> alone
        z = self.encoder(inputs[:, max(before - 1, 0) :])[:, -1]
        return self.head(z).float().log_softmax(dim=1)

    def loss(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        asked = target != START
        logits, target = self.head(self.encoder(inputs)[asked]).float(), target[asked]
        return {
            "loss": losses.cross_entropy(logits, target) * devices.share(asked.sum()),
            "accuracy": accuracy(logits, target),
        }

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))
