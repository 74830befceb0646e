"""Fusing what several branches say next: one distribution for all, so that all go on with one token.

Shape legend: R branches of the set, V words of the vocabulary.
"""

import math
from collections.abc import Callable, Sequence
from typing import get_args

import torch
from torch import Tensor

from branchwise.decoding.options import Fusion
from branchwise.decoding.requests import Hook, Member
from branchwise.errors import UserError

FUSIONS: tuple[Fusion, ...] = get_args(Fusion)


def fused(rule: Fusion, number: int) -> Hook:
    """A hook that fuses `number` branches by a rule of `Fusion`, in lockstep.

    All that have not ended get the same logits. A branch that leaves takes its weight along: the others'
    are taken anew. Weights that are all zero count as equal. Raises UserError for an unknown rule.
    """
    if rule not in _RULES:
        raise UserError(f"the fusion is {rule!r}", f"there are: {', '.join(FUSIONS)}")
    fuse = _RULES[rule]

    def change(members: Sequence[Member], logits_RV: Tensor) -> Tensor:
        # In double precision, so that the order of the branches is no more than the last bit of a float.
        fused_V = fuse(members, logits_RV.double()).to(logits_RV.dtype)
        return fused_V.expand_as(logits_RV)

    return Hook(change, lockstep=number)


def _avg(_members: Sequence[Member], logits_RV: Tensor) -> Tensor:
    return logits_RV.mean(0)


def _max(_members: Sequence[Member], logits_RV: Tensor) -> Tensor:
    return logits_RV.log_softmax(-1).amax(0)


def _prob_avg(_members: Sequence[Member], logits_RV: Tensor) -> Tensor:
    return logits_RV.log_softmax(-1).logsumexp(0) - math.log(len(logits_RV))


def _weighted_avg(members: Sequence[Member], logits_RV: Tensor) -> Tensor:
    weights_R = logits_RV.new_tensor([member.weight for member in members])
    if not bool(weights_R.any()):
        weights_R = torch.ones_like(weights_R)
    # A word that one forbids (minus infinity) is forbidden, also by one without weight.
    weighted_RV = torch.where(logits_RV.isneginf(), logits_RV, logits_RV * weights_R[:, None])
    return weighted_RV.sum(0) / weights_R.sum()


def _weighted_max(members: Sequence[Member], logits_RV: Tensor) -> Tensor:
    surest = max(range(len(members)), key=lambda row: (members[row].weight, -members[row].branch.number))
    return logits_RV[surest]


_RULES: dict[Fusion, Callable[[Sequence[Member], Tensor], Tensor]] = {
    "avg": _avg,
    "max": _max,
    "prob_avg": _prob_avg,
    "weighted_avg": _weighted_avg,
    "weighted_max": _weighted_max,
}
