"""Pretext tasks on clips: the future, the past, the order of frames, the arrow of time.

In all of them the encoder sees `frames` frames at once, as its channels: build it with channels=frames · C. A batch is
clips uint8 (N, T, C, H, W). `augment` changes all frames of a clip in the same way.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import losses, nets, sequence
from sslkit.augment import Augment
from sslkit.methods.accuracy import accuracy

MIRROR = Augment(flip=0.5)  # a mirrored throw is a throw


class Future(nn.Module):
    """What will be seen, from what has been seen? Srivastava, Mansimov, Salakhutdinov 2015; the network is another.

        L = mean (x̂_a − x_{p+a})²    over clips, a = 1 … ahead, channels and pixels

    With `backwards` every clip runs backwards: what was seen, from what came after it. The loss starts where copying
    the last frame ends. `nearest` and `farthest` are its parts for a = 1 and a = ahead.
    """

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = MIRROR,
        frames: int = 4,
        ahead: int = 4,
        backwards: bool = False,
        width: int = 64,
    ):
        super().__init__()
        self.encoder, self.augment = of_frames(encoder, frames), augment
        self.frames, self.ahead, self.backwards = frames, ahead, backwards
        self.decoder = nets.FrameDecoder(self.encoder, frames, ahead, width)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        x = self.augment(x, generator)
        x = sequence.backwards(x) if self.backwards else x
        return sequence.futures(x, self.frames, self.ahead, generator)

    def predict(self, seen: Tensor) -> Tensor:
        """Frames (N, frames, C, H, W), float in [0, 1], the nearest last -> (N, ahead, C, H, W), the nearest first."""
        return self.decoder(seen, self.encoder.features(seen))

    def roll_out(self, seen: Tensor, ahead: int) -> Tensor:
        """However far ahead: what was predicted, within [0, 1], is then taken as seen. -> (N, ahead, C, H, W)."""
        frames = seen
        while frames.shape[1] < self.frames + ahead:
            frames = torch.cat([frames, self.predict(frames[:, -self.frames :]).clamp(0, 1)], dim=1)
        return frames[:, self.frames : self.frames + ahead]

    def loss(self, seen: Tensor, target: Tensor) -> dict[str, Tensor]:
        error = (self.predict(seen) - target).square().mean(dim=(0, 2, 3, 4))  # (ahead,)
        return {"loss": error.mean(), "nearest": error[0].detach(), "farthest": error[-1].detach()}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class FutureEmbedding(nn.Module):
    """What will the encoder say about the next frames, from what it says about these? No pixel is predicted.

        L = VICReg(g(f(past)), f(future)):    invariance + variance + covariance

    f is the encoder with a projector, g a small net that looks ahead. All embeddings equal would make the prediction
    perfect; the variance and the covariance of VICReg are what keeps them apart (Bardes, Ponce, LeCun 2022). Past and
    future get augmentations of their own, or colour alone would be enough to predict.
    """

    whole_batch = True

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = MIRROR,
        frames: int = 4,
        ahead: int = 4,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        width: int = 256,
    ):
        super().__init__()
        if ahead < frames:
            raise ValueError(f"ahead is {ahead}; expected {frames} or more: else past and future share frames.")
        self.encoder, self.augment = of_frames(encoder, frames), augment
        self.frames, self.ahead = frames, ahead
        self.weights = (invariance, variance, covariance)
        self.projector = nets.mlp(encoder.dim, width, width)
        self.predictor = nets.mlp(width, width, width)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        both = torch.cat(sequence.futures(x, self.frames, self.ahead, generator), dim=1)
        return self.augment(both[:, : self.frames], generator), self.augment(both[:, -self.frames :], generator)

    def loss(self, seen: Tensor, coming: Tensor) -> dict[str, Tensor]:
        z_seen, z_coming = self.projector(self.encoder(torch.cat([seen, coming]))).chunk(2)
        predicted = devices.gather(self.predictor(z_seen))
        return losses.vicreg(predicted, devices.gather(z_coming), *self.weights)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class Order(nn.Module):
    """Right or shuffled? Misra, Zitnick, Hebert 2016, with all frames seen at once. The loss starts at ln 2."""

    def __init__(self, encoder: nets.Encoder, augment: Augment = MIRROR, frames: int = 4, width: int = 256):
        super().__init__()
        self.encoder, self.augment, self.frames = of_frames(encoder, frames), augment, frames
        self.head = nets.mlp(encoder.dim, width, 2)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return sequence.order(self.augment(x, generator), self.frames, generator)

    def predict(self, inputs: Tensor) -> Tensor:
        """Logits (N, 2): shuffled, right."""
        return self.head(self.encoder(inputs))

    def loss(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = self.predict(inputs)
        return {"loss": losses.cross_entropy(logits, target), "accuracy": accuracy(logits, target)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


class Arrow(nn.Module):
    """Forwards or backwards? Wei, Lim, Zisserman, Freeman 2018. The loss starts at ln 2.

    The encoder sees `frames` frames of the `length` that are shown, then `frames` that begin `step` later, and so on; a
    small net sees the embeddings of all.
    """

    def __init__(
        self,
        encoder: nets.Encoder,
        augment: Augment = MIRROR,
        frames: int = 4,
        length: int = 10,
        step: int = 2,
        width: int = 256,
    ):
        super().__init__()
        self.encoder, self.augment = of_frames(encoder, frames), augment
        self.frames, self.length, self.step = frames, length, step
        self.head = nets.mlp(((length - frames) // step + 1) * encoder.dim, width, 2)

    def views(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return sequence.arrow(self.augment(x, generator), self.length, generator)

    def predict(self, inputs: Tensor) -> Tensor:
        """Clips (N, length, C, H, W), float in [0, 1] -> logits (N, 2): backwards, forwards."""
        pieces = sequence.windows(inputs, self.frames, self.step)  # (N, W, frames, C, H, W)
        z = self.encoder(pieces.flatten(0, 1)).view(len(inputs), -1)  # (N · W, D) -> (N, W · D)
        return self.head(z)

    def loss(self, inputs: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = self.predict(inputs)
        return {"loss": losses.cross_entropy(logits, target), "accuracy": accuracy(logits, target)}

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return self.loss(*self.views(x, generator))


def of_frames(encoder: nets.Encoder, frames: int) -> nets.ConvNet | nets.ResNet18:
    """The encoder, if its channels are `frames` frames of 1 or 3; else ValueError."""
    if isinstance(encoder, nets.ViT):
        raise ValueError("a ViT sees single images. For clips use a ConvNet or a ResNet18 with channels=frames · C.")
    if encoder.channels not in (frames, 3 * frames):
        raise ValueError(
            f"the encoder has {encoder.channels} channels: no {frames} frames of 1 or 3 channels each. Build it with "
            f"channels={3 * frames} for clips in colour, {frames} for grey ones."
        )
    return encoder
