"""How large a data set is: groups, questions, and how long its texts are in tokens.

Counted where a file of groups is there, and where groups are made and not read; else as stated
(`resources/plan/lengths.yaml`). A data set of which neither is known has no size: nothing is guessed.
"""

from collections.abc import Iterable, Mapping
from statistics import mean
from typing import Any, NamedTuple

from branchwise.config import Experiment
from branchwise.config.identity import groups_file
from branchwise.data.groups_file import read_groups
from branchwise.data.sources.base import ONE_PASSAGE, FileDataset
from branchwise.data.types import Group
from branchwise.errors import UserError
from branchwise.reporting.planning.facts import Lengths, SetLengths, lengths

OPTION_LABEL = 4
"""Characters that stand before an option: a line break, its letter, a full stop and a space."""


class Size(NamedTuple):
    """A data set: how many groups, of how many questions in the mean; and mean tokens of the passage that
    a group shares, of one that a question has for itself, of a question, of a gold, and of an answer
    that is written in steps (None where nobody has said). `source` says how that is known.
    """

    groups: float
    per_group: float
    context: float
    own_context: float
    question: float
    answer: float
    reply: float | None
    source: str

    @property
    def questions(self) -> float:
        """Of all groups."""
        return self.groups * self.per_group


def size_of(experiment: Experiment, dataset: str) -> Size:
    """The size of a data set. Raises UserError where it is not known, saying what would make it so."""
    entry = experiment.catalogues.datasets[dataset]
    known = lengths()
    stated = _stated(known, dataset, entry)
    reply = stated.reply if stated else None
    file = groups_file(experiment, dataset)
    if file.is_file():
        per_token = known.per_token(entry.language)
        return counted(read_groups(file), per_token, "its file of groups", reply)
    if not isinstance(entry, FileDataset):
        return counted(entry.made(), known.per_token(entry.language), "its made groups", reply)
    if stated is None:
        raise UserError(
            f"the lengths of {dataset} are not known",
            f"run `branchwise prepare --dataset {dataset} --out {file}` with the same --config, or state "
            "them in resources/plan/lengths.yaml",
        )
    num_groups, per_group = _grouped(stated, dataset, entry)
    scale = 1 / stated.characters_per_token
    return Size(
        num_groups,
        per_group,
        stated.context * scale if entry.grouping in ONE_PASSAGE else 0.0,
        (stated.own_context or (0.0 if entry.grouping in ONE_PASSAGE else stated.context)) * scale,
        stated.question * scale,
        stated.answer * scale,
        stated.reply,
        f"stated of {stated.of}",
    )


def counted(groups: Iterable[Group], per_token: float, source: str, reply: float | None = None) -> Size:
    """The size of some groups, `per_token` characters to a token."""
    found = list(groups)
    questions = [question for group in found for question in group]
    asked = [
        len(one.text) + sum(OPTION_LABEL + len(option) for option in one.options) for one in questions
    ]
    return Size(
        len(found),
        len(questions) / len(found),
        mean(len(group.context) for group in found) / per_token,
        mean(len(one.context or "") for one in questions) / per_token,
        mean(asked) / per_token,
        mean(len(one.golds[0]) for one in questions) / per_token,
        reply,
        source,
    )


def _stated(known: Lengths, dataset: str, entry: Any) -> SetLengths | None:
    """What is stated of an entry, by its name or else by its source, if it is true of its grouping."""
    found = known.sets.get(dataset) or known.sets.get(entry.source)
    if found is None or (found.groupings and entry.grouping not in found.groupings):
        return None
    return found


def _grouped(stated: SetLengths, dataset: str, entry: FileDataset) -> tuple[float, float]:
    """How many groups an entry has, and of how many questions. Raises UserError where the number of
    groups follows from nothing.
    """
    of_passages = entry.grouping in ONE_PASSAGE and bool(stated.passages)
    if of_passages:
        blocks, per_block, cut = _blocks_of_passages(stated.passages, entry)
    else:
        total = stated.questions or sum(size * count for size, count in stated.passages.items())
        block_size = entry.drawn_for or entry.group_size
        blocks, per_block, cut = total / block_size, float(block_size), block_size / entry.group_size
    if stated.whole == entry.split and blocks:
        blocks *= len(entry.tenths) / 10 if entry.tenths is not None else 1
        blocks = blocks if entry.num_groups is None else min(blocks, entry.num_groups)
    elif entry.num_groups is not None:
        blocks = entry.num_groups
    else:
        raise UserError(
            f"how many groups {dataset} has is not known",
            f"give its entry num_groups, or run `branchwise prepare --dataset {dataset}`",
        )
    return blocks * cut, per_block / cut


def _blocks_of_passages(passages: Mapping[int, int], entry: FileDataset) -> tuple[float, float, float]:
    """Blocks that are drawn from passages of these sizes, questions that are asked of each, and the
    groups that one is cut into. Raises UserError where no passage is large enough.
    """
    least = max(entry.min_questions or 1, entry.drawn_for or 1)
    kept = {size: count for size, count in passages.items() if size >= least}
    if not kept:
        raise UserError(
            f"no passage that is known of this set has {least} questions",
            "lower drawn_for or min_questions, or prepare its groups",
        )
    num_passages = sum(kept.values())
    if entry.grouping == "chunk":
        block = entry.drawn_for or entry.group_size
        blocks = sum(count * (size // block) for size, count in kept.items())
        return float(blocks or num_passages), float(block), block / entry.group_size
    asked = sum(count * min(size, entry.group_size) for size, count in kept.items())
    return float(num_passages), asked / num_passages, 1.0
