"""Prompt styles with their shots drawn: what a job is told of how questions are put."""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from branchwise.config import Experiment
from branchwise.config.styles import named_source, plain_style, style_name, training_entry
from branchwise.data.entries import DatasetEntry
from branchwise.data.shots import made_shots
from branchwise.data.style import Wording
from branchwise.data.types import Group
from branchwise.errors import UserError
from branchwise.prompts.entry import StyleEntry
from branchwise.prompts.style import PromptStyle

if TYPE_CHECKING:
    from branchwise.decoding.models.entry import ModelEntry


def style_of(experiment: Experiment, dataset: Any, model: "ModelEntry") -> PromptStyle:
    """How the questions of a data set are put to a model, its shots drawn.

    `dataset` is its entry; None for questions that are typed in, which are about a text as SQuAD's are.
    Raises UserError where there are not as many shots as the style shows.
    """
    name = style_name(experiment, dataset, model)
    return resolved(name, experiment.catalogues.styles[name], dataset or _typed())


def resolved(name: str, entry: StyleEntry, dataset: DatasetEntry) -> PromptStyle:
    """A style's entry for one data set."""
    shots = _shots(name, entry, dataset) if entry.shots else ()
    return plain_style(name, entry, dataset).model_copy(update={"shots": shots})


def _typed() -> DatasetEntry:
    from branchwise.data.sources.squad import SquadDataset

    wording = Wording()
    return SquadDataset(source="squad", instruction=wording.instruction)


@cache
def _shots(name: str, entry: StyleEntry, dataset: DatasetEntry) -> tuple[Group, ...]:
    """As many solved questions as the style shows, in whole groups but for the last."""
    found = made_shots(dataset) if entry.shots_from == "made" else _drawn(entry, dataset)
    shown = _first_questions(found, entry.shots)
    num_shown = sum(map(len, shown))
    if num_shown < entry.shots:
        raise UserError(
            f"style {name} shows {entry.shots} solved questions, and there are {num_shown} for "
            f"{named_source(dataset)}",
            f"set `shots: {num_shown}` in the style, or `shots_from: train` with a `shots_path`",
        )
    return shown


def _drawn(entry: StyleEntry, dataset: DatasetEntry) -> Iterable[Group]:
    from branchwise.data.prepare import groups_of

    return groups_of(training_entry(entry, dataset), lambda message: None)


def _first_questions(groups: Iterable[Group], number: int) -> tuple[Group, ...]:
    """The first `number` questions, in their groups."""
    shown: list[Group] = []
    for group in groups:
        room = number - sum(map(len, shown))
        if room <= 0:
            break
        kept = group.questions[:room]
        ids = {question.id for question in kept}
        questions = tuple(
            question.model_copy(update={"needs": tuple(n for n in question.needs if n in ids)})
            for question in kept
        )
        shown.append(group.model_copy(update={"questions": questions}))
    return tuple(shown)
