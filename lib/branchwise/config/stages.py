"""Stages before answering: which a strategy uses, what their files depend on, and where these lie."""

from pathlib import Path
from typing import Any, NamedTuple

from branchwise.config.hashing import confidence_code, dependencies_code, encoder_of, paraphrases_code
from branchwise.config.once import once
from branchwise.config.parts import (
    groups_settings,
    model_settings,
    named_or_hashed,
    plain,
    served_settings,
)
from branchwise.config.styles import style_settings
from branchwise.config.types import Experiment
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.dependencies.entries import AttentionEntry, DependencyEntry, LlmEntry
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.stages import STAGES

OF_DATA = "+data"
"""The folder of confidences in the paraphrases that the data give; no name of an entry begins so."""


class Needed(NamedTuple):
    """A file that a strategy uses: of which stage, by which entry of its catalogue; of a confidence, by
    which entry the paraphrases are made (None: those that the data give).
    """

    stage: str
    name: str
    paraphrases: str | None = None

    @property
    def key(self) -> str:
        """What options of commands call it, `KEY=FILE`."""
        return f"{self.name}/{self.paraphrases}" if self.paraphrases else self.name

    @property
    def before(self) -> "Needed | None":
        """What it needs in turn."""
        return Needed("paraphrases", self.paraphrases) if self.paraphrases else None


@once
def needed_by(experiment: Experiment, strategy: str) -> tuple[Needed, ...]:
    """What a strategy uses, in the order in which it is made."""
    entry = experiment.catalogues.strategies[strategy]
    return tuple(
        Needed(kind.stage, name, entry.paraphrases if kind.stage == "confidence" else None)
        for kind in STAGES
        if (name := entry.of_stage(kind.stage))
    )


def stage_settings(experiment: Experiment, needed: Needed, dataset: str, model: str) -> dict[str, Any]:
    """What a stage's file depends on: entry, groups, the model that is asked, and of the stages of
    wordings the language; of confidence also how questions are put, and their paraphrases.
    """
    if needed.stage == "dependencies":
        return dependency_settings(experiment, needed.name, dataset, model)
    settings = {
        "entry": plain(getattr(experiment.catalogues, needed.stage)[needed.name]),
        "groups": groups_settings(experiment, dataset),
        "model": model_settings(experiment, stage_model(experiment, needed, model)),
        # It says how words are normalised before they are compared.
        "language": experiment.catalogues.datasets[dataset].language,
        **asked_settings(experiment, needed, model),
    }
    if needed.stage == "confidence":
        settings["style"] = style_settings(experiment, dataset, model)
        if needed.before:
            settings["paraphrases"] = stage_settings(experiment, needed.before, dataset, model)
    return settings


def stage_model(experiment: Experiment, needed: Needed, model: str) -> str:
    """The model that a stage asks for a cell of `model`: planner or paraphraser, where one is named."""
    if needed.stage == "dependencies":
        return dependency_model(experiment, needed.name, model)
    return (experiment.roles.paraphraser or model) if needed.stage == "paraphrases" else model


def asking_decoder(experiment: Experiment, needed: Needed, model: str) -> DecoderSettings | None:
    """What a stage asks its model by; None: the tree decoder, or no model is asked.

    Raises UserError where the model is on a server alone, and no decoder of the experiment asks it there.
    """
    if needed.stage == "dependencies" and not isinstance(
        experiment.catalogues.dependencies[needed.name], LlmEntry
    ):
        return None
    decoders = experiment.catalogues.decoders
    role = {"dependencies": "planner", "paraphrases": "paraphraser"}.get(needed.stage)
    named = getattr(experiment.roles, f"{role}_decoder") if role else None
    if named is not None:
        return decoders[named]
    asked = stage_model(experiment, needed, model)
    if experiment.catalogues.models[asked].is_here:
        return None
    found = _asking(experiment, asked, is_greedy=needed.stage == "confidence")
    if len(found) == 1:
        return decoders[found[0]]
    several = f"{', '.join(found)} might" if found else "no decoder of the experiment does"
    raise UserError(
        f"{needed.stage} {needed.name} are to be asked of model {asked}, which is on a server alone: who "
        f"asks it there? {several}",
        f"name one: roles.{role}_decoder"
        if role
        else "add a decoder of kind api, without sampling or form",
    )


def _asking(experiment: Experiment, model: str, is_greedy: bool) -> list[str]:
    """Decoders of the experiment that ask a model on a server: of those that answer by it the first, else
    all that could. `is_greedy`: not those that draw, or hold answers to a form.
    """
    decoders, entry = experiment.catalogues.decoders, experiment.catalogues.models[model]

    def fits(name: str) -> bool:
        one = decoders[name]
        is_plain = not is_greedy or not (one.is_sampled or one.holds_to)
        return one.is_remote and is_plain and one.problem_with(model, entry) is None

    paired = [cell.decoder for cell in experiment.cells if cell.model == model]
    answering = [name for name in dict.fromkeys(paired) if fits(name)]
    return answering[:1] or [name for name in experiment.decoders if fits(name)]


def asked_beside(experiment: Experiment) -> list[str]:
    """The stages before answering that ask a server, by name, and the judge if it is asked on one."""
    found: dict[str, None] = {}
    for cell in experiment.cells:
        for needed in needed_by(experiment, cell.strategy):
            decoder = asking_decoder(experiment, needed, cell.model)
            if decoder is not None and decoder.is_remote:
                found[f"{needed.stage} {needed.name}"] = None
    judge = experiment.judge
    if experiment.judged and judge is not None:
        by = judge.decoder
        if by is None or experiment.catalogues.decoders[by].is_remote:
            found["the judge"] = None
    return list(found)


def asked_settings(experiment: Experiment, needed: Needed, model: str) -> dict[str, Any]:
    """What of the decoder a stage's file depends on; nothing of the tree decoder, which is exact."""
    decoder = asking_decoder(experiment, needed, model)
    if decoder is None:
        return {}
    asked = stage_model(experiment, needed, model)
    return {"decoder": plain(decoder), **served_settings(experiment, decoder, asked)}


def stage_code(experiment: Experiment, needed: Needed, model: str) -> str:
    """Hash of the code that a stage's file depends on, for cells of `model`."""
    decoder = asking_decoder(experiment, needed, model)
    kinds = () if decoder is None else (type(decoder),)
    match needed.stage:
        case "dependencies":
            return dependencies_code(experiment, needed.name, *kinds)
        case "paraphrases":
            return paraphrases_code(*kinds)
        case _:
            return confidence_code(*kinds)


@once
def stage_file(experiment: Experiment, needed: Needed, dataset: str, model: str) -> Path:
    """Where a stage's file lies, below the folder of results."""
    folder = Path(needed.stage, dataset, stage_model(experiment, needed, model), needed.name)
    if needed.stage == "confidence":
        folder /= needed.paraphrases or OF_DATA
    return folder / f"{value_hash(stage_settings(experiment, needed, dataset, model))}.jsonl"


def dependency_settings(experiment: Experiment, name: str, dataset: str, model: str) -> dict[str, Any]:
    """What found dependencies depend on: entry, groups, and the model that is asked."""
    entry = dependency_entry(experiment, name)
    settings = {
        "entry": plain(entry),
        "groups": groups_settings(experiment, dataset),
        "model": model_settings(experiment, dependency_model(experiment, name, model)),
        **asked_settings(experiment, Needed("dependencies", name), model),
    }
    if isinstance(entry, AttentionEntry):
        settings["entry"] = settings["entry"] | {"encoder": named_or_hashed(entry.encoder or "")}
    return settings


def dependency_model(experiment: Experiment, name: str, model: str) -> str:
    """The model that dependencies are found with: the planner, where one is asked and named."""
    entry = experiment.catalogues.dependencies[name]
    planner = experiment.roles.planner if isinstance(entry, LlmEntry) else None
    return planner or model


def dependency_entry(experiment: Experiment, name: str) -> DependencyEntry:
    """An entry of dependencies with the experiment's encoder where it names none."""
    entry = experiment.catalogues.dependencies[name]
    if isinstance(entry, AttentionEntry):
        return entry.model_copy(update={"encoder": encoder_of(experiment, entry)})
    return entry
