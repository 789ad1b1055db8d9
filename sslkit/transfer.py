"""Use what was learned elsewhere: copy an encoder's early layers into a new network, freeze them or not, and train on
a few labels.

    copy_layers         the first blocks of one encoder into another, weights and batch norm statistics
    freeze, unfreeze    frozen means two things: no gradient, and batch norm that neither sees the batch nor moves
    Transferred         a classifier on an encoder whose first blocks were copied; build and train make one
    table               what of it trains: layer, parameters, copied, frozen, learning rate
    label_efficiency    test accuracy with few labels, beside evaluate.supervised, which copies nothing
    worth               how many labels an accuracy is worth to training from scratch
    from_torchvision    torchvision's ResNet-18 weights as an encoder of this package

Ref: Yosinski, Clune, Bengio, Lipson 2014, "How transferable are features in deep neural networks?", who copy the first
n of 8 layers, and freeze or fine-tune them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sslkit import device as devices
from sslkit import evaluate, methods, names, nets
from sslkit import train as training
from sslkit.augment import STRONG, Augment
from sslkit.data import Split

MODES = ("frozen", "fine-tuned", "gradual")
SLOWER = 0.1  # the copied layers' share of the learning rate, once a gradual run has unfrozen them
HEAD_FIRST = 0.5  # the share of a gradual run in which they are frozen
SECOND_HALF = 1_000_000  # added to the seed of the views, or `gradual` would see those of its first half again


def copy_layers(source: nets.Encoder, target: nets.Encoder, count: int) -> None:
    """Copy the first `count` blocks of `source` into `target`, in place: weights and batch norm statistics.

    Raises ValueError if there are fewer blocks, or if a block does not fit; nothing is copied then.
    """
    blocks = min(len(source.blocks), len(target.blocks))
    if not 0 <= count <= blocks:
        raise ValueError(f"{count} layers were to be copied; these encoders have 0 to {blocks} to copy.")
    shapes = [[{k: v.shape for k, v in b.state_dict().items()} for b in e.blocks[:count]] for e in (source, target)]
    for i, (theirs, ours) in enumerate(zip(*shapes)):
        if theirs != ours:
            raise ValueError(
                f"block {i + 1} does not fit: the source is {source.config()} and the target {target.config()}. "
                "Build the target as the source was built: nets.build(source.config())."
            )
    for mine, yours in zip(source.blocks[:count], target.blocks[:count]):
        yours.load_state_dict(mine.state_dict())


def freeze(encoder: nets.Encoder, count: int | None = None) -> None:
    """Keep the first `count` blocks, by default all, exactly as they are, whoever trains the network around them.

    No gradient is not enough: in training mode batch norm would still move its statistics with every batch, and use
    the batch's own in their place. So frozen blocks stay in eval mode, also after a `train()` of the whole network.
    """
    for block in encoder.blocks[:count]:
        unfreeze_block(block)  # so that freezing twice hooks once
        block.requires_grad_(False)
        block.eval()
        block.register_forward_pre_hook(_stay_in_eval)


def unfreeze(encoder: nets.Encoder) -> None:
    """Let all blocks learn again. Hand the network to `train.fit` anew: a running optimizer does not know them."""
    for block in encoder.blocks:
        unfreeze_block(block)


def unfreeze_block(block: nn.Module) -> None:
    block.requires_grad_(True)
    for key, hook in list(block._forward_pre_hooks.items()):
        if hook is _stay_in_eval:
            del block._forward_pre_hooks[key]


def is_frozen(block: nn.Module) -> bool:
    return _stay_in_eval in block._forward_pre_hooks.values()


def _stay_in_eval(block: nn.Module, inputs: object) -> None:
    block.eval()


class Transferred(methods.Supervised):
    """A fresh network of the source's kind, its first `copied` blocks from the source, and a new linear head.

    `rate` is the copied blocks' share of the learning rate: with 0.1 they learn ten times more slowly than the rest.
    The encoder that it was copied from is left as it is.
    """

    def __init__(
        self,
        source: nets.Encoder,
        classes: int,
        copied: int | None = None,
        frozen: bool = True,
        rate: float = 1.0,
        augment: Augment = STRONG,
    ):
        super().__init__(nets.build(source.config()), classes, augment)
        self.copied = len(source.blocks) if copied is None else copied
        self.rate = rate
        copy_layers(source, self.encoder, self.copied)
        if frozen:
            freeze(self.encoder, self.copied)

    def rates(self) -> dict[Tensor, float]:
        """The parameters that learn at another rate than the config's, with their share of it; `train.fit` asks."""
        return {p: self.rate for block in self.encoder.blocks[: self.copied] for p in block.parameters()}


@dataclass(frozen=True)
class Layer:
    """One line of `table`."""

    name: str
    parameters: int
    copied: bool
    frozen: bool
    rate: float  # share of the learning rate; 0 if frozen


def table(method: Transferred) -> list[Layer]:
    """What of the network was copied, and what trains."""
    lines = []
    for i, block in enumerate(method.encoder.blocks):
        copied, frozen = i < method.copied, is_frozen(block)
        rate = 0.0 if frozen else method.rate if copied else 1.0
        lines.append(Layer(f"block {i + 1}", _count(block), copied, frozen, rate))
    return [*lines, Layer("head", _count(method.head), False, False, 1.0)]


def render(lines: Iterable[Layer]) -> str:
    """`table` as text."""
    rows = [f"{'layer':<9}{'parameters':>11}  {'copied':<8}{'frozen':<8}{'rate':>5}"]
    says = {True: "yes", False: "no"}
    rows += [f"{x.name:<9}{x.parameters:>11,}  {says[x.copied]:<8}{says[x.frozen]:<8}{x.rate:>5g}" for x in lines]
    return "\n".join(rows)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# ------------------------------------------------------------------------------------------- what the copy is worth


def build(
    source: nets.Encoder, classes: int, copied: int | None = None, mode: str = "frozen", augment: Augment = STRONG
) -> Transferred:
    """A network with the first `copied` blocks of `source` (None: all), as a run in this mode begins; see `train`."""
    names.pick(mode, MODES, "mode")
    return Transferred(source, classes, copied, mode != "fine-tuned", SLOWER if mode == "gradual" else 1.0, augment)


def train(
    source: nets.Encoder,
    known: Split,
    per_class: int,
    seed: int,
    copied: int | None = None,
    mode: str = "frozen",
    augment: Augment = STRONG,
    config: training.TrainConfig = evaluate.SUPERVISED,
    device: torch.device | str = "auto",
) -> Transferred:
    """Copy `copied` blocks (None: all), and train on one draw of labels.

    mode    frozen: the copied blocks stay as they are; fine-tuned: everything learns at one rate; gradual: frozen for
            the first half of the steps, so that a random head cannot spoil them, then they learn at a tenth of the rate

    With copied=0 all three are supervised training from scratch, the control (for gradual: in two halves). `config` is
    by default what is best for it; a linear head alone, all blocks frozen, prefers less weight decay (0.1).
    """
    with devices.seeded(seed):
        method = build(source, len(known.classes), copied, mode, augment)
    if mode != "gradual":
        return evaluate.train_on_labels(method, known, per_class, seed, config, device)
    steps = round(config.steps * HEAD_FIRST)
    evaluate.train_on_labels(method, known, per_class, seed, replace(config, steps=steps), device)
    unfreeze(method.encoder)
    rest = replace(config, steps=config.steps - steps)
    return evaluate.train_on_labels(method, known, per_class, seed, rest, device, views=seed + SECOND_HALF)


def label_efficiency(
    source: nets.Encoder,
    splits: dict[str, Split],
    per_class: Iterable[int] = evaluate.LABELS,
    draws: int = 10,
    copied: int | None = None,
    mode: str = "frozen",
    augment: Augment = STRONG,
    config: training.TrainConfig = evaluate.SUPERVISED,
    device: torch.device | str = "auto",
) -> dict[int, evaluate.Score]:
    """Test accuracy for each number of labels a class, over `draws` draws of them; see `train` for the rest."""
    test, scores = splits["test"], {}
    for count in per_class:
        trained = (
            train(source, splits["train"], count, seed, copied, mode, augment, config, device) for seed in range(draws)
        )
        scores[count] = evaluate.score(trained, test)
    return scores


def worth(accuracy: float, counts: Sequence[int], curve: Sequence[float]) -> float:
    """The number of labels a class at which training from scratch reaches `accuracy`.

        ln M = ln n_i + (ln n_{i+1} − ln n_i) (a − c_i) / (c_{i+1} − c_i)    where c_i ≤ a ≤ c_{i+1}

    Symbols: a -> accuracy; n -> counts, numbers of labels a class, rising; c -> curve, the accuracies of training from
             scratch with so many, rising. Outside of the curve its nearer end is given: nothing is guessed beyond it.
    """
    if len(counts) != len(curve) or len(counts) < 2:
        raise ValueError(f"there are {len(counts)} counts and {len(curve)} accuracies; expected as many, 2 or more.")
    if np.any(np.diff(counts) <= 0) or np.any(np.diff(curve) <= 0):
        raise ValueError(f"counts {list(counts)} and curve {list(curve)} must both rise; sort them, or measure longer.")
    return float(np.exp(np.interp(accuracy, curve, np.log(counts))))


# ------------------------------------------------------------------------------------------------ torchvision's weights

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what torchvision's weights expect to be taken off


def from_torchvision(weights: Mapping[str, Tensor] | str | Path) -> nets.ResNet18:
    """torchvision's ResNet-18 as an encoder: a state dict, or the file that holds it, such as resnet18-f37072fd.pth.

    Those weights expect images less ImageNet's mean, divided by its deviation; ours normalise every image alike. The
    difference is a scale and a shift for each channel, which the first convolution and its batch norm take up: what
    comes out is the same, but at the borders, where the padding is a grey instead of that mean.
    """
    state = torch.load(weights, map_location="cpu", weights_only=True) if isinstance(weights, str | Path) else weights
    stem = {"conv1": "blocks.0.0", "bn1": "blocks.0.1"}
    renamed = {}
    for name, value in state.items():
        first, _, rest = name.partition(".")
        if first.startswith("layer"):
            renamed[f"blocks.{first[5:]}.{rest}"] = value
        elif first in stem:
            renamed[f"{stem[first]}.{rest}"] = value
    encoder = nets.ResNet18(small_images=False)
    try:
        encoder.load_state_dict(renamed)
    except RuntimeError as error:
        raise ValueError(
            "these are not the weights of torchvision's ResNet-18. Give resnet18(weights=…).state_dict(), or its file."
        ) from error
    mean, std = (torch.tensor(values)[None, :, None, None] for values in (_MEAN, _STD))
    stem_weight, centre = (encoder.state_dict()[key] for key in ("blocks.0.0.weight", "blocks.0.1.running_mean"))
    # (x − mean) / std = n / (4 std) + (0.5 − mean) / std, with n = 4 (x − 0.5), which nets.Normalize gives
    centre -= (stem_weight * (0.5 - mean) / std).sum(dim=(1, 2, 3))
    stem_weight /= 4 * std
    return encoder
