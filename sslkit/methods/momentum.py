"""A second network that follows the first one slowly: the momentum encoder, the target, the teacher."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def follower(net: Net) -> Net:
    """A copy of the network that no gradient will ever reach."""
    return copy.deepcopy(net).requires_grad_(False)


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """Move every parameter of the target a little towards the online network's, in place.

        ξ ← m ξ + (1 − m) θ

    Symbols: ξ -> target; θ -> online; m -> momentum: 1 never moves, 0 copies. The running statistics of batch norm are
    left alone: each network has those of what it saw itself.
    Ref:     He et al. 2020, "Momentum contrast", Eq. 2; Grill et al. 2020, "Bootstrap your own latent", Eq. 1.
    """
    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), 1 - momentum)


def rising(start: float, progress: float) -> float:
    """The momentum at a share `progress` of the run: from `start` to 1, along half a cosine.

        m = 1 − (1 − m_0) (cos(π progress) + 1) / 2

    Ref: Grill et al. 2020, "Bootstrap your own latent", Sec. 3.3.
    """
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2
