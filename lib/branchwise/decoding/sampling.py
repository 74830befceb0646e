"""From logits to tokens: bans, hooks, and the choice itself.

Shape legend: R branches, V words of the vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from branchwise.decoding.requests import Rules, Sampling


def choose(
    logits_RV: Tensor, rules: Sequence[Rules], generators: Sequence[torch.Generator | None]
) -> list[int]:
    """One token a branch, each by its own rules."""
    if any(rule.banned_ids for rule in rules):
        # A hook may have given all branches the same memory.
        logits_RV = logits_RV.clone()
    for row, rule in enumerate(rules):
        if rule.banned_ids:
            logits_RV[row, torch.tensor(sorted(rule.banned_ids), device=logits_RV.device)] = -torch.inf
    tokens = logits_RV.argmax(-1).tolist()
    for row, (rule, generator) in enumerate(zip(rules, generators, strict=True)):
        if rule.sampling.temperature > 0:
            tokens[row] = _draw(logits_RV[row], rule.sampling, generator)
    return tokens


def _draw(logits_V: Tensor, sampling: Sampling, generator: torch.Generator | None) -> int:
    """One token by temperature, top-k and top-p; on the CPU, so that every device draws the same."""
    logits_V = logits_V.float().cpu() / sampling.temperature
    ordered_V, ids_V = logits_V.sort(descending=True, stable=True)
    probabilities_V = ordered_V.softmax(-1)
    keep = len(ids_V) if not sampling.top_k else min(sampling.top_k, len(ids_V))
    if sampling.top_p < 1:
        # Whatever precedes a kept token sums to less than top_p: the first is always kept.
        kept = probabilities_V[:keep] / probabilities_V[:keep].sum()
        keep = int((kept.cumsum(-1) - kept < sampling.top_p).sum())
    index = torch.multinomial(probabilities_V[:keep], 1, generator=generator)
    return int(ids_V[index])


def generator_of(rules: Rules) -> torch.Generator | None:
    """The random stream of a branch; None where nothing is drawn."""
    if rules.sampling.temperature == 0:
        return None
    return torch.Generator().manual_seed(rules.sampling.seed)
