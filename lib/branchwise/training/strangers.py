"""Strangers: the states that a control of mixing takes from, in place of its peers'.

While training they are those of the other groups in the same pass; outside of it those of the first
groups that were trained on, kept with the mixers, so that a group's answers hang on no other.
"""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor

from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.mixers.modules import Columns, Mixer
from branchwise.errors import UserError
from branchwise.training.lesson import Lesson
from branchwise.training.packing import Batch
from branchwise.training.recipes import Recipe
from branchwise.training.sequences import Document

ROWS_OF_STRANGERS = 4
"""Rows of what is trained on whose states are kept."""


def check_strangers(recipe: Recipe, passes: Sequence[Sequence[Sequence[Document]]]) -> None:
    """Raises UserError where mixers take from strangers and a pass (its rows, and their documents) holds
    one group alone.
    """
    entry = recipe.mixer_entry
    if entry is None or entry.peers != "shuffled":
        return
    if any(sum(map(len, one)) < 2 for one in passes):
        raise UserError(
            "shuffled peers are those of other groups in the same pass, and passes hold one group",
            "raise `rows_per_step` or `row_tokens` in the recipe",
        )


@torch.no_grad()
def keep_strangers(lesson: Lesson, mixing: Mixing, batches: Iterable[Batch]) -> None:
    """Keep the states of some batches with the mixers; does nothing for those with peers of their own."""
    if mixing.entry.peers != "shuffled":
        return
    kept: dict[int, list[tuple[Tensor, ...]]] = {}
    offset = 0

    def keep(number: int, states_MD: Tensor, columns: Columns) -> None:
        found = states_MD.float(), columns.set_M + offset, columns.column_M
        kept.setdefault(number, []).append(found)

    lesson.eval()
    mixing.modules.train()
    mixing.observer = keep
    try:
        for batch in batches:
            lesson(batch)
            if batch.mixed is not None:
                offset += int(batch.mixed.columns.set_M.max()) + 1
    finally:
        mixing.observer = None
    for number, mixer in enumerate(mixing.modules):
        states, sets, columns = (torch.cat(parts) for parts in zip(*kept[number], strict=True))
        cast(Mixer, mixer).keep_strangers(states, sets, columns)
