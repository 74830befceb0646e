"""What stages found before, as a cell uses it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from branchwise.data.types import Group
from branchwise.dependencies.graph import Edge, with_edges
from branchwise.errors import UserError
from branchwise.results import read_rows
from branchwise.stages import Before, GroupConfidence, GroupDependencies, GroupParaphrases, StageRow

R = TypeVar("R", bound=StageRow)


def read_found(path: Path, kind: type[R], name: str, settings: str) -> dict[str, R]:
    """A file of a stage, by group. Raises UserError where it is of another entry than `name`, or of
    other settings.
    """
    found = {one.group: one for one in read_rows(path, kind, {"settings": settings})}
    others = {one.generator for one in found.values()} - {name}
    if others:
        raise UserError(
            f"{path} holds {kind.stage} {', '.join(others)}, not {name}", "give the right file"
        )
    return found


def row_of(group: Group, rows: Mapping[str, R], kind: type[R]) -> R:
    """What a stage has found for a group. Raises UserError where that is nothing."""
    if group.id not in rows:
        raise UserError(
            f"no {kind.stage} are known of group {group.id}", f"run `branchwise {kind.command}` anew"
        )
    return rows[group.id]


def with_found(group: Group, before: Before) -> Group:
    """The group with what stages have found for it.

    Without a stage there are no dependencies: what the data states is not to be followed by the way.
    Raises UserError where its questions wait in a circle.
    """
    edges: list[Edge] = []
    for row in before:
        match row:
            case GroupDependencies():
                edges = [Edge(source=source, target=target) for source, target in row.edges]
            case GroupParaphrases():
                group = _each(group, "paraphrases", {one.question: one.kept for one in row.questions})
            case GroupConfidence():
                sure = {
                    one.question: tuple((worded.text, worded.confidence) for worded in one.wordings)
                    for one in row.questions
                }
                group = _each(group, "confidences", sure)
    return with_edges(group, edges)


def _each(group: Group, field: str, values: Mapping[str, object]) -> Group:
    """The group with a field of its questions changed where a value is known."""
    questions = tuple(
        question.model_copy(update={field: values[question.id]}) if question.id in values else question
        for question in group
    )
    return group.model_copy(update={"questions": questions})


def unfit_of(found: Mapping[str, Iterable[StageRow]]) -> dict[str, str]:
    """Groups that a stage could not ask, since their prompts do not fit the model, and why."""
    return {
        name: row.unfit
        for name, rows in found.items()
        for row in rows
        if isinstance(row, GroupConfidence) and row.unfit
    }
