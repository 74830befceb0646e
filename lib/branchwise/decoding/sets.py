"""The sets of branches that hooks change the logits of, and who of them is ready.

Shape legend: R members that are ready, V words of the vocabulary.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from branchwise.decoding.branches import Run
from branchwise.decoding.requests import Hook, Member, Rules
from branchwise.errors import NotANumberError

Fail = Callable[[Sequence[Run], Exception], None]


@dataclass(eq=False)
class _Set:
    """The branches of one hook: how many have begun so far, and those that have not ended."""

    num_begun: int = 0
    members: list[Run] = field(default_factory=list)


class HookSets:
    """Who belongs to which hook."""

    def __init__(self) -> None:
        # Weak: a set all of whose branches were cancelled before they came is nobody's to take out.
        self._sets: WeakKeyDictionary[Hook, _Set] = WeakKeyDictionary()

    def enter(self, run: Run) -> None:
        """A branch that wants to generate."""
        for hook in run.rules.hooks:
            self._count(hook).members.append(run)

    def miss(self, rules: Rules) -> None:
        """A branch was cancelled before it could start: its sets do not wait for it."""
        for hook in rules.hooks:
            self._count(hook)

    def leave(self, run: Run) -> None:
        """A branch has ended."""
        for hook in run.rules.hooks:
            among = self._sets[hook]
            among.members.remove(run)
            # Not before it was whole: who comes later is counted beside those who have ended.
            if not among.members and among.num_begun >= hook.lockstep:
                del self._sets[hook]

    def _count(self, hook: Hook) -> _Set:
        among = self._sets.setdefault(hook, _Set())
        among.num_begun += 1
        return among

    def moving_with(self, run: Run) -> list[Run]:
        """All that a branch moves together with, itself included; itself where it moves alone."""
        hook = run.rules.lockstep
        return [run] if hook is None else list(self._sets[hook].members)

    def is_whole(self, run: Run) -> bool:
        """Whether all that a branch moves together with have once begun."""
        hook = run.rules.lockstep
        return hook is None or self._sets[hook].num_begun >= hook.lockstep

    def ready(self, running: Iterable[Run]) -> list[Run]:
        """Branches that have their logits, and whose sets are whole and have all of theirs."""
        waits: dict[Hook, bool] = {}
        found = []
        for run in running:
            hook = run.rules.lockstep
            if run.logits_V is None:
                continue
            if hook is not None:
                if hook not in waits:
                    members = self._sets[hook].members
                    waits[hook] = not self.is_whole(run) or any(one.logits_V is None for one in members)
                if waits[hook]:
                    continue
            found.append(run)
        return found


def changed_logits(ready: Sequence[Run], fail: Fail) -> dict[Run, Tensor]:
    """The logits (V,) of each branch after all of its hooks, each called for all of its set at once.

    What goes wrong in one is handed to `fail` with those whose logits it was to change, and is no other
    branch's business.
    """
    # Whoever waits for its token has its logits.
    logits = {run: cast(Tensor, run.logits_V) for run in ready}
    for hooks in zip_longest(*(run.rules.hooks for run in ready)):
        sets: dict[Hook, list[Run]] = {}
        for run, hook in zip(ready, hooks, strict=True):
            if hook is not None and run in logits:
                sets.setdefault(hook, []).append(run)
        for hook, members in sets.items():
            try:
                changed_RV = _changed(hook, members, logits)
            except Exception as error:
                fail(members, error)
                for member in members:
                    del logits[member]
            else:
                logits |= dict(zip(members, changed_RV, strict=True))
    return logits


def _changed(hook: Hook, runs: Sequence[Run], logits: dict[Run, Tensor]) -> Tensor:
    members = [Member(run.branch, run.rules.weight, run.ids) for run in runs]
    changed_RV = hook.change(members, torch.stack([logits[run] for run in runs]))
    if bool(changed_RV.isnan().any()):
        raise NotANumberError(
            f"a hook gave logits that are not numbers for {runs[0].branch}", "check the hook"
        )
    return changed_RV
