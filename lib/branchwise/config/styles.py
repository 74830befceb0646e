"""Which prompt style a cell has, what of it answers depend on, and whether it can be used there."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchwise.config.mistakes import nearest
from branchwise.config.once import once
from branchwise.config.parts import entry_settings
from branchwise.config.types import Experiment
from branchwise.data.entries import DatasetEntry
from branchwise.data.shots import made_shots
from branchwise.data.sources.base import FileDataset
from branchwise.data.style import Wording
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.prompts.entry import DEFAULT_STYLE, StyleEntry
from branchwise.prompts.style import PromptStyle

if TYPE_CHECKING:
    from branchwise.decoding.models.entry import ModelEntry


def style_name(experiment: Experiment, dataset: Wording | None, model: "ModelEntry") -> str:
    """The style that the experiment names, or else the model, or else the data set."""
    named = (experiment.style, model.style, dataset.style if dataset else None)
    return next((name for name in named if name is not None), DEFAULT_STYLE)


def plain_style(name: str, entry: StyleEntry, dataset: DatasetEntry) -> PromptStyle:
    """A style's entry for one data set, without its shots."""
    return PromptStyle(
        name=name,
        instruction=dataset.instruction,
        answer_format=entry.answer_format or dataset.answer_format,
        form=entry.form,
        prefilled=entry.is_prefilled,
        stop=entry.stops_at,
        outline=entry.outline,
        hint=dataset.hint,
    )


@once
def style_settings(experiment: Experiment, dataset: str, model: str) -> dict[str, Any]:
    """What answers depend on of the style of a data set and a model; shots by what they are."""
    wording = experiment.catalogues.datasets[dataset]
    name = style_name(experiment, wording, experiment.catalogues.models[model])
    entry = experiment.catalogues.styles[name]
    settings = plain_style(name, entry, wording).model_dump(mode="json", exclude_none=True)
    if entry.shots:
        settings["shots"] = {"number": entry.shots, "from": entry.shots_from, **_content(entry, wording)}
    return settings


def _content(entry: StyleEntry, dataset: DatasetEntry) -> dict[str, Any]:
    """What decides which shots are shown: those themselves, or the file that they are drawn from."""
    if entry.shots_from == "made":
        return {"made": _made_hash(dataset)}
    return {"drawn": entry_settings(training_entry(entry, dataset))}


@cache
def _made_hash(dataset: DatasetEntry) -> str:
    """Once for all cells of a data set: a plan asks for every cell's settings, several times."""
    return value_hash([group.model_dump(mode="json") for group in made_shots(dataset)])


def named_source(dataset: Any) -> str:
    """What errors call a kind of data set."""
    return f"a data set of source {dataset.source}"


def training_entry(entry: StyleEntry, dataset: DatasetEntry) -> FileDataset:
    """The entry of the training split that shots are drawn from."""
    if not isinstance(dataset, FileDataset):
        raise UserError(
            f"shots from a training split, but {named_source(dataset)} is made, not read",
            "set `shots_from: made` in the style",
        )
    changes: dict[str, Any] = {"seed": entry.shots_seed, "num_groups": entry.shots, "drawn_for": None}
    if entry.shots_path is None and dataset.path is not None:
        raise UserError(
            f"shots from the training split of a data set that is read from {dataset.path}",
            "give `shots_path:` in the style, a file of the training split in the same schema",
        )
    where = {"path": entry.shots_path} if entry.shots_path else {"split": "train"}
    return dataset.model_copy(update={**changes, **where, "min_questions": None})


def check_styles(experiment: Experiment, source: str) -> None:
    """Raises UserError for a style that there is not, and for one that cannot be used where it is."""
    known = experiment.catalogues.styles
    named = [(source, "style", experiment.style)]
    for axis in ("datasets", "models"):
        for name in getattr(experiment, axis):
            style = getattr(getattr(experiment.catalogues, axis)[name], "style", None)
            named.append((experiment.origin(axis, name), f"style of {name}", style))
    for where, what, style in named:
        if style is not None and style not in known:
            raise UserError(
                f"{where}: {what} is unknown style {style[:120]}", nearest(style, list(known))
            )
    for dataset, model in experiment.cells_by_pair:
        _check_pair(experiment, dataset, model, source)


def _check_pair(experiment: Experiment, dataset: str, model: str, source: str) -> None:
    wording = experiment.catalogues.datasets[dataset]
    answerer = experiment.catalogues.models[model]
    name = style_name(experiment, wording, answerer)
    entry = experiment.catalogues.styles[name]
    where = f"{source}: style {name} for {dataset} and {model}"
    if (entry.answer_format or wording.answer_format) == "letter" and wording.scorer != "choice":
        raise UserError(
            f"{where} asks for letters, and {dataset} has no options (scorer {wording.scorer})",
            "take a style with another answer_format, or exclude the data set",
        )
    if answerer.thinking and (entry.is_prefilled or entry.stops_at == "form"):
        why = "begins the answer" if entry.is_prefilled else "ends a reply where an answer would end"
        raise UserError(
            f"{where} {why}, so that the model cannot think before it",
            "set `thinking: false` in the model's entry, or take a style with `prefilled: false` and "
            "`stop: turn`",
        )
    path = entry.shots_path
    if path is not None and not experiment.cached and not Path(path).is_file():
        raise UserError(f"{where}: shots_path {path} does not exist", f"correct it in style {name}")
    if entry.shots:
        try:
            made_shots(wording) if entry.shots_from == "made" else training_entry(entry, wording)
        except UserError as error:
            raise UserError(f"{where}: {error.problem}", error.remedy) from None
