"""Checks of lesson 09: when it has stopped, what is frozen, and what a score is worth in labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit import device as devices
from sslkit.checks.answer import Wrong, call, check, number


@check
def check_stopped(answer: Callable[[Sequence[float], int, float], int]) -> None:
    falls = [1.0, 0.5, 0.4, 0.399, 0.398, 0.397, 0.396]
    reasons = {
        3: "that is the epoch of the best loss; it has stopped `patience` epochs later.",
        5: "epochs count from 1, as in every history of the course; and it has stopped once `patience` had no gain.",
        7: "a gain has to be lower by `min_gain` of the last one, here by 1 %; and it has stopped once `patience` "
        "epochs had none, not one later.",
    }
    _expect(answer, (falls, 3, 0.01), 6, reasons)
    again = [1.0, 0.9, 0.899, 0.5, 0.499, 0.498, 0.497]
    why = "a gain, at epoch 4, starts the waiting anew."
    _expect(answer, (again, 2, 0.01), 6, {5: why, 4: why, 3: why})
    creeps = [8.0, 7.5, 7.0, 6.6, 6.2]
    never = "a loss that goes on falling has not stopped: give the last epoch."
    _expect(answer, ([4.0, 3.0, 2.0, 1.0], 2, 0.01), 4, {0: never, -1: never})
    why = "compare with the loss of the last gain, 8, and not with lower ones since that were no gain: 7 is one."
    _expect(answer, (creeps, 2, 0.1), 5, {3: why})
    why = "a gain is a share of the loss, and how large a share is an argument: 79 is no gain over 80, 60 is one."
    _expect(answer, ([80.0, 79.0, 78.5, 60.0, 50.0], 2, 0.1), 3, {5: why})
    _expect(answer, ([4.0, 4.0, 4.0, 2.0], 1, 0.01), 2, {4: "it has stopped at the first such epoch, for good."})


def _expect(answer: Callable, arguments: tuple[list[float], int, float], right: int, reasons: dict[int, str]) -> None:
    got = number(answer, *arguments)
    if got != right:
        losses, patience, min_gain = arguments
        why = reasons.get(int(got), "count the epochs since the last gain.") if got == int(got) else "give an epoch."
        raise Wrong(
            f"{losses} with patience {patience} and min_gain {min_gain}: epoch {right}; you gave {got:g}: {why}"
        )


@check
def check_freeze(answer: Callable[[nn.Module], object]) -> None:
    with devices.seeded(0):
        block, head = _block(), nn.Linear(4 * 16, 2)
    network = nn.Sequential(block, head)
    before, start = copy.deepcopy(block.state_dict()), copy.deepcopy(head.state_dict())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    generator = devices.generator(0)
    for _ in range(3):
        network.train()
        if call(answer, block) is not block:
            raise Wrong("return the block that you were given, frozen in place; a copy would not be in the network.")
        x = 3 + 2 * torch.randn(8, 1, 6, 6, generator=generator)
        loss = F.cross_entropy(network(x), torch.arange(8) % 2)
        optimizer.zero_grad()
        if not loss.requires_grad:
            raise Wrong("now nothing learns: you froze more than the block. The head has to go on learning.")
        loss.backward()
        optimizer.step()
    after = block.state_dict()
    weights = [
        name for name in after if name.endswith(("weight", "bias")) and not torch.equal(after[name], before[name])
    ]
    statistics = [name for name in after if "running" in name and not torch.equal(after[name], before[name])]
    if not weights and not statistics and torch.equal(head.weight, start["weight"]):
        raise Wrong("the head has not moved either: freeze the block alone.")
    if weights and statistics:
        raise Wrong(f"after three steps {weights[0]} is another, and so is {statistics[0]}: nothing is frozen.")
    if statistics:
        raise Wrong(
            f"the weights stayed, but {statistics[0]} moved: batch norm in training mode goes on counting. "
            "Frozen needs eval mode as well as no gradient."
        )
    if weights:
        raise Wrong(f"the statistics stayed, but {weights[0]} moved: eval mode stops no gradient. See requires_grad_.")
    if any(p.requires_grad for p in block.parameters()):
        raise Wrong(
            "nothing moved, but some parameters still ask for gradients, which costs time: requires_grad_(False)."
        )
    if not torch.equal(block(x), _reference(before, x)):
        raise Wrong(
            "the block computes something else than in evaluation: its batch norm takes the batch's own statistics, "
            "or its dropout drops. The whole block belongs in eval mode."
        )


def _reference(state: dict, x: Tensor) -> Tensor:
    block = _block()
    block.load_state_dict(state)
    return block.eval()(x)


def _block() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())


@check
def check_worth(answer: Callable[[float, Sequence[int], Sequence[float]], float]) -> None:
    counts, curve = [1, 10, 100], [0.2, 0.6, 0.8]
    cases = {0.6: 10.0, 0.4: math.sqrt(10), 0.7: 10 * math.sqrt(10), 0.2: 1.0}
    for accuracy, right in cases.items():
        got = number(answer, accuracy, counts, curve)
        if math.isclose(got, right, rel_tol=1e-4):
            continue
        linear = _linear(accuracy, counts, curve)
        if math.isclose(got, linear, rel_tol=1e-4):
            raise Wrong(
                f"for {accuracy} you gave {got:.2f}, which is linear in the number of labels. The course's curves are "
                f"drawn over the logarithm; half way from 1 to 10 is √10: {right:.2f}."
            )
        if math.isclose(got, math.log10(right), abs_tol=1e-4) or math.isclose(got, math.log(right), abs_tol=1e-4):
            raise Wrong(f"for {accuracy} you gave {got:.3f}, a logarithm: take it back with 10 ** … or exp.")
        raise Wrong(
            f"with {counts} labels scratch has {curve}; {accuracy} is worth {right:.2f} labels, you gave {got:.2f}."
        )
    if not math.isclose(got := number(answer, 0.5, [1, 2, 5, 10], [0.3, 0.5, 0.7, 0.8]), 2.0, rel_tol=1e-4):
        raise Wrong(
            f"with 1, 2, 5 and 10 labels scratch has 0.3, 0.5, 0.7 and 0.8; 0.5 is worth 2, you gave {got:.2f}. Take "
            "the logarithms of `counts`, whatever they are."
        )
    for accuracy, right, what in ((0.1, 1.0, "below"), (0.9, 100.0, "above")):
        got = number(answer, accuracy, counts, curve)
        if not math.isclose(got, right, rel_tol=1e-6):
            raise Wrong(
                f"{accuracy} lies {what} all that was measured; say {right:g}, the end of the curve, and do not guess "
                f"beyond it. You gave {got:.3g}."
            )


def _linear(accuracy: float, counts: Sequence[int], curve: Sequence[float]) -> float:
    for a, b, low, high in zip(counts, counts[1:], curve, curve[1:]):
        if low <= accuracy <= high:
            return a + (b - a) * (accuracy - low) / (high - low)
    return math.nan
