"""Encoders, heads and decoders: parameters without a loss.

An encoder maps images (N, C, H, W), float in [0, 1], to embeddings (N, D). It is a list of `blocks`, so that its
early layers can be looked at, probed and copied; normalisation is its first layer, so that nobody can forget it.
Clips (N, T, C, H, W) go into a convolutional encoder built for T · C channels: it sees their frames all at once.
"""

from __future__ import annotations

from sslkit import names
from sslkit.nets.attention import Attention
from sslkit.nets.causal import CausalTransformer, ContextBag
from sslkit.nets.conv import ConvNet, Normalize, ResNet18, pooled
from sslkit.nets.frames import FrameDecoder
from sslkit.nets.heads import Decoder, mlp
from sslkit.nets.text import ContextNet
from sslkit.nets.vit import Predictor, ViT, patch_for, patchify, positions, take, unpatchify

__all__ = [
    "NETS",
    "TEXT_NETS",
    "Attention",
    "CausalTransformer",
    "ContextBag",
    "ContextNet",
    "ConvNet",
    "Decoder",
    "Encoder",
    "FrameDecoder",
    "Normalize",
    "Predictor",
    "Reader",
    "ResNet18",
    "ViT",
    "build",
    "build_reader",
    "mlp",
    "patch_for",
    "patchify",
    "pooled",
    "positions",
    "take",
    "unpatchify",
]

NETS = {"convnet": ConvNet, "resnet18": ResNet18, "vit": ViT}
Encoder = ConvNet | ResNet18 | ViT


def build(config: dict) -> Encoder:
    """The encoder that `encoder.config()` describes, with fresh parameters."""
    arguments = dict(config)
    return NETS[names.pick(arguments.pop("net"), NETS, "net")](**arguments)


# They read numbers of words.
TEXT_NETS = {"context": ContextNet, "context-bag": ContextBag, "causal-transformer": CausalTransformer}
Reader = ContextNet | ContextBag | CausalTransformer


def build_reader(config: dict) -> Reader:
    """The network on words that `encoder.config()` describes, with fresh parameters."""
    arguments = dict(config)
    return TEXT_NETS[names.pick(arguments.pop("net"), TEXT_NETS, "net")](**arguments)
