"""Dense where most of a step's mask is set, cascade where most of it is not.

A mask over everything in the cache is cheapest for one group, whose tokens see nearly all of it. With
many groups in flight a token sees one part in dozens, and the masked rest is most of the work.
"""

from collections import Counter

from torch import Tensor

from branchwise.decoding.attention.cascade import Cascade
from branchwise.decoding.attention.dense import Dense
from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.held.cache import TreeCache

FEWEST_PAIRS = 2**16
"""Pairs of tokens and keys below which a mask costs nothing to speak of."""
MOST_MASKED = 2
"""Pairs for each one that is seen, from which on the cascade is faster."""


class Mixed(Kernel):
    """One of the two kernels, chosen anew for each step."""

    name = "mixed"

    def __init__(self, cache: TreeCache) -> None:
        super().__init__(cache)
        self._dense, self._cascade = Dense(cache), Cascade(cache)
        self.used: Kernel = self._dense

    def begin(self, step: TreeStep) -> None:
        super().begin(step)
        self.used = self._cascade if is_mostly_masked(step) else self._dense
        if self.used is self._dense:
            # Its plan goes on from the step before, which this one is not.
            self._cascade.forget()
        self.used.begin(step)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        return self.used._attend(query, key, value, scoring)

    @property
    def copied_bytes(self) -> int:
        """Memory of what the cascade has gathered, in bytes."""
        return self._cascade.copied_bytes

    def forget(self) -> None:
        super().forget()
        self._dense.forget()
        self._cascade.forget()

    def forget_copies(self) -> None:
        self._cascade.forget_copies()


def is_mostly_masked(step: TreeStep) -> bool:
    """Whether a step's tokens see so few of the slots in use that a mask over all is the dearer way."""
    num_pairs = len(step.pending.tokens) * step.num_slots
    if num_pairs < FEWEST_PAIRS or step.peeks:
        return False
    seen = 0
    for node, num_tokens in Counter(step.pending.nodes).items():
        seen += num_tokens * (len(node.slots) + sum(len(above.slots) for above in node.ancestors()))
    return num_pairs > MOST_MASKED * seen
