"""What the groups of a cell add up to."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from branchwise.results import GroupRun
from branchwise.stages import GroupParaphrases, StageRow
from branchwise.trace import Tokens


def totals_of(runs: Sequence[GroupRun], num_shared: int) -> dict[str, Any]:
    """The fields of run.json that are sums over its groups, in their order. `num_shared` tokens of
    prompts were computed once for all groups, each of which found them cached.
    """
    before = [one for run in runs for one in run.before]
    by_role = [run.tokens_by_role for run in runs]
    roles = dict.fromkeys(role for one in by_role for role in one)
    totals = {role: Tokens.total(one[role] for one in by_role if role in one) for role in roles}
    for stage in dict.fromkeys(one.stage for one in before):
        totals[stage] = Tokens.total(one.tokens for one in before if one.stage == stage)
    return {
        "num_groups": len(runs),
        "totals": Tokens.total(totals.values()).with_computed(num_shared),
        "totals_by_role": totals,
        "forward_passes": sum(one.forward_passes for one in (*runs, *before)),
        "paraphrases": paraphrase_counts(before),
        "groups": tuple(runs),
    }


def paraphrase_counts(rows: Iterable[StageRow]) -> dict[str, int]:
    """How many paraphrases were kept, are missing, and were dropped, by reason."""
    counts: Counter[str] = Counter()
    for one in rows:
        if isinstance(one, GroupParaphrases):
            counts.update(one.counts())
    return dict(counts)
