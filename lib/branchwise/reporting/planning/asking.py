"""From a cell of an experiment to the lengths and settings that its work follows from."""

from statistics import mean
from typing import Any

from branchwise.config import Cell, Experiment
from branchwise.config.styles import style_name
from branchwise.data.entries import DatasetEntry
from branchwise.data.shots import made_shots
from branchwise.dependencies.entries import LlmEntry
from branchwise.errors import UserError
from branchwise.reporting.planning.facts import lengths
from branchwise.reporting.planning.sizes import Size
from branchwise.reporting.planning.work import AROUND, ENDED, SHAPES, TURN, Asked, Texts, Work, batch
from branchwise.strategies.loading import options_model, split


def work_of(experiment: Experiment, cell: Cell, size: Size) -> Work:
    """The tokens of one group of a cell."""
    entry = experiment.catalogues.strategies[cell.strategy]
    file, _ = split(entry.module)
    shape = batch if file else SHAPES.get(entry.module, batch)
    return shape(texts_of(experiment, cell, size), asked_of(experiment, cell.strategy))


def texts_of(experiment: Experiment, cell: Cell, size: Size) -> Texts:
    """A group's lengths, as the prompts of a cell have them."""
    dataset = experiment.catalogues.datasets[cell.dataset]
    model = experiment.catalogues.models[cell.model]
    style = experiment.catalogues.styles[style_name(experiment, dataset, model)]
    per_token = lengths().per_token(dataset.language)
    head = TURN + len(dataset.instruction) / per_token
    if style.shots:
        together = experiment.catalogues.strategies[cell.strategy].module in TOGETHER
        head += style.shots * _shot(dataset, size, style.shots_from == "made", per_token, together)
    budget = float(experiment.max_new_tokens)
    answer = size.answer + (ENDED if style.stops_at == "form" else AROUND)
    steps = size.reply or budget
    if model.thinking:
        answer = steps = budget
    each = size.question + size.own_context + TURN
    return Texts(head, size.context, each, min(answer, budget), min(steps, budget), size.per_group)


TOGETHER = ("all_in_one", "sequential")
"""Strategies whose prompts show the solved questions of a passage under it; others repeat it for each."""


def _shot(dataset: DatasetEntry, size: Size, made: bool, per_token: float, together: bool) -> float:
    """Tokens of a solved question that prompts show, with its passage or its share of it."""
    passage = size.context / size.per_group if together else size.context
    known = size.question + size.answer + size.own_context + passage + TURN
    if not made:
        return known
    try:
        groups = made_shots(dataset)
    except UserError:  # the source ships none: whoever reads the config says so
        return known
    shown = [
        len(one.text)
        + len(one.golds[0])
        + len(one.context or "")
        + len(group.context) / (len(group) if together else 1)
        for group in groups
        for one in group
    ]
    return mean(shown) / per_token + TURN


def asked_of(experiment: Experiment, strategy: str) -> Asked:
    """How a strategy is set up."""
    entry = experiment.catalogues.strategies[strategy]
    model = options_model(entry.module)
    options: Any = model.model_validate(entry.options) if model else None
    dependencies = experiment.catalogues.dependencies.get(entry.dependencies or "")
    return Asked(
        copies=getattr(options, "wordings", None) or getattr(options, "samples", None) or 1,
        draft=bool(getattr(options, "draft", False)),
        recompute=getattr(options, "join", None) == "recompute",
        planned=dependencies.max_new_tokens if isinstance(dependencies, LlmEntry) else None,
    )
