"""From logits to tokens: bans, hooks, and the choice itself; the same for every decoder that computes.

Shape legend: R branches, V words of the vocabulary.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from math import gcd

import torch
from torch import Tensor

from branchwise.decoding.requests import Rules, Sampling
from branchwise.errors import UserError

_BLOCK, _SMALLEST_BLOCK = 256, 32
"""Words of a block that is searched, if the vocabulary can be split into such."""


def choose(
    logits_RV: Tensor, rules: Sequence[Rules], generators: Sequence[torch.Generator | None]
) -> list[int]:
    """One token a branch, each by its own rules.

    Raises UserError where bans and a hook together leave a branch no token.
    """
    if any(rule.banned_ids for rule in rules):
        # A hook may have given all branches the same memory.
        logits_RV = logits_RV.clone()
    for row, rule in enumerate(rules):
        if rule.banned_ids:
            logits_RV[row, torch.tensor(sorted(rule.banned_ids), device=logits_RV.device)] = -torch.inf
    tokens = likeliest(logits_RV).tolist()
    for row, rule in enumerate(rules):
        if rule.banned_ids and logits_RV[row, tokens[row]] == -torch.inf:
            raise UserError("no token is left to choose: all that may come is banned", "ban fewer ids")
    for row, (rule, generator) in enumerate(zip(rules, generators, strict=True)):
        if rule.sampling.temperature > 0:
            tokens[row] = _draw(probabilities(logits_RV[row], rule.sampling), generator)
    return tokens


def likeliest(logits_RV: Tensor) -> Tensor:
    """The first of the largest of each row, int64 (R,).

    On a CPU torch's argmax takes eight times as long as the maximum, so only the block that holds that is
    searched for its place.
    """
    size = gcd(logits_RV.shape[-1], _BLOCK)
    if not logits_RV.is_cpu or size < _SMALLEST_BLOCK:
        return logits_RV.argmax(-1)
    blocks_RBS = logits_RV.unflatten(-1, (-1, size))
    block_R = blocks_RBS.amax(-1).argmax(-1)
    return block_R * size + blocks_RBS[torch.arange(len(block_R)), block_R].argmax(-1)


def probabilities(logits_V: Tensor, sampling: Sampling) -> Tensor:
    """What a token is drawn from, fp32 (V,) on the CPU: zero for what the filters drop.

    Filters in the order of transformers' warpers, each on what the one before has left: temperature,
    top_k (what ties with the last one stays), top_p, min_p.
    """
    scores_V = logits_V.float().cpu() / sampling.temperature
    if sampling.top_k:
        least = scores_V.topk(min(sampling.top_k, len(scores_V))).values[-1]
        scores_V = scores_V.masked_fill(scores_V < least, -torch.inf)
    if sampling.top_p < 1:
        scores_V = scores_V.index_fill(0, _unlikely(scores_V, sampling.top_p), -torch.inf)
    if sampling.min_p:
        found_V = scores_V.softmax(-1)
        scores_V = scores_V.masked_fill(found_V < sampling.min_p * found_V.max(), -torch.inf)
    return scores_V.softmax(-1)


def _unlikely(scores_V: Tensor, top_p: float) -> Tensor:
    """Ids that top_p drops: the unlikeliest while they do not reach what it leaves, never the likeliest.

    Of a large vocabulary nearly all words are less likely than an equal share of what top_p leaves. All
    of them together do not reach it, so only the others have to be sorted.
    """
    found_V = scores_V.softmax(-1)
    is_small_V = found_V < (1 - top_p) / len(found_V)
    small, others = is_small_V.nonzero()[:, 0], (~is_small_V).nonzero()[:, 0]
    others = others[scores_V[others].argsort(stable=True)]
    reached = found_V[small].sum() + found_V[others].cumsum(-1)
    return torch.cat([small, others[:-1][reached[:-1] <= 1 - top_p]])


def _draw(probabilities_V: Tensor, generator: torch.Generator | None) -> int:
    """One token, where a uniform number falls on the cumulated probabilities: a fraction of the time of
    `multinomial`, which draws a number for each word.

    By id and not by rank, so that two tokens that are all but equally likely keep their luck where
    rounding puts one before the other; on the CPU, so that every device draws the same.
    """
    reached_V = probabilities_V.double().cumsum(-1)
    place = torch.rand((), dtype=torch.float64, generator=generator) * reached_V[-1]
    # A token of probability zero adds nothing, so no place is its own.
    token = torch.searchsorted(reached_V, place, right=True)
    return int(token.clamp(max=int(torch.searchsorted(reached_V, reached_V[-1]))))


def generator_of(rules: Rules) -> torch.Generator | None:
    """The random stream of a branch; None where nothing is drawn."""
    if rules.sampling.temperature == 0:
        return None
    return torch.Generator().manual_seed(rules.sampling.seed)


def for_ask(sampling: Sampling, group: str, prompt_ids: Sequence[int], number: int) -> Sampling:
    """A decoder's sampling with a seed for one ask: that of the decoder, the group's id, the prompt and
    the `number` of equal prompts that the group asked before, hashed.

    So an answer depends neither on what else is in flight nor on the order of other asks, is the same on
    every decoder, and equal prompts of a group draw each its own.
    """
    said = [str(sampling.seed), group, str(number), ",".join(map(str, prompt_ids))]
    digest = hashlib.sha256("\0".join(said).encode()).digest()
    return replace(sampling, seed=int.from_bytes(digest[:8], "big") >> 1)
