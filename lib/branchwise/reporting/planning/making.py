"""A plan of an experiment: a row a cell, and what is made beside the cells."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from branchwise.config import Cell, Experiment
from branchwise.config.stages import Needed, asking_decoder, needed_by, stage_file, stage_model
from branchwise.config.timing import contests
from branchwise.config.trainings import training_folder, trainings_of
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.trained.folder import is_checkpoint
from branchwise.errors import UserError
from branchwise.reporting.cells import scores_file
from branchwise.reporting.estimates import Estimate
from branchwise.reporting.planning.asking import texts_of, work_of
from branchwise.reporting.planning.facts import Device, ModelSize, device, size_of_model
from branchwise.reporting.planning.folders import size_in
from branchwise.reporting.planning.hours import Pace, num_devices, seconds, training_s
from branchwise.reporting.planning.plan import Beside, Plan, Row
from branchwise.reporting.planning.sizes import Size, size_of
from branchwise.reporting.planning.work import TURN, Asked, Texts, Work, batch

SHOWN = 120
"""Tokens of the solved questions in a prompt that asks for another wording."""


def plan_of(experiment: Experiment, name: str, efficiency: float, tried: Mapping[Cell, Estimate]) -> Plan:
    """What an experiment would take on a device. `tried`: cells of which some groups were measured, whose
    numbers these are then. Raises UserError for a device that is not known.
    """
    maker = _Maker(experiment, device(name), efficiency)
    rows = tuple(maker.row(cell, tried.get(cell)) for cell in experiment.cells)
    return Plan(experiment, name, efficiency, rows, (*maker.trainings(), *maker.stages()))


class _Maker:
    """Sizes are looked up once a data set, and how often each cell is timed once for all."""

    def __init__(self, experiment: Experiment, device: Device, efficiency: float) -> None:
        self._experiment = experiment
        self._device = device
        self._efficiency = efficiency
        self._sizes = {name: _size_or_gap(experiment, name) for name in experiment.datasets}
        self._timed = timed_runs(experiment)

    def row(self, cell: Cell, tried: Estimate | None) -> Row:
        """One cell."""
        experiment = self._experiment
        size = self._sizes[cell.dataset]
        remote = experiment.catalogues.decoders[cell.decoder].is_remote
        row = Row(cell, is_done(experiment, cell), "", remote=remote)
        row = row._replace(gap=size) if isinstance(size, str) else self._by_model(row, size)
        return row if tried is None or row.done else _measured(row, tried)

    def _by_model(self, row: Row, size: Size) -> Row:
        experiment, cell = self._experiment, row.cell
        one = work_of(experiment, cell, size)
        work, entry = one.times(size.groups), experiment.catalogues.models[cell.model]
        found = row._replace(
            by="model",
            groups=size.groups,
            questions=size.questions,
            sent=work.sent,
            prefilled=work.unique,
            generated=work.generated,
        )
        if row.remote:
            price = entry.price
            if price is None:
                return found._replace(gap=f"model {cell.model} has no price: give its entry one")
            cost = price.of(work.sent, 0.0, work.generated)
            return found._replace(cost=cost, currency=price.currency)
        found = found._replace(prefilled=work.unique if self._shares(cell.decoder) else work.sent)
        model = _model_size(cell.model, entry)
        if model is None:
            return found._replace(
                gap=f"the size of model {cell.model} is not known: state it in resources/plan/models.yaml"
            )
        alone = seconds(one, model, self._pace(cell.decoder, 1))
        return found._replace(
            answers_s=seconds(work, model, self._pace(cell.decoder, experiment.groups_in_flight)),
            times_s=alone * self._timed[cell] * min(experiment.timed_groups, size.groups),
            devices=num_devices(model, self._device),
        )

    def _shares(self, decoder: str) -> bool:
        """Whether prompts share what they begin with."""
        return getattr(self._experiment.catalogues.decoders[decoder], "kind", "tree") != "hf"

    def _pace(self, decoder: str, groups_at_once: float) -> Pace:
        shares = self._shares(decoder)
        return Pace(self._device, self._efficiency, shares, groups_at_once if shares else 1)

    def trainings(self) -> Iterator[Beside]:
        """Every checkpoint that is trained."""
        experiment = self._experiment
        for name, model in trainings_of(experiment):
            recipe = experiment.catalogues.trainings[name]
            tokens = float(recipe.steps * recipe.accumulate * recipe.rows_per_step * recipe.row_tokens)
            folder = Path(experiment.trainings_folder, training_folder(experiment, name, model))
            size = _model_size(model, experiment.catalogues.models[model])
            took = None
            if size is not None:
                took = training_s(tokens, size, self._device, self._efficiency, recipe.trains_all)
            devices = 1 if size is None else num_devices(size, self._device)
            yield Beside(f"training {name}", model, is_checkpoint(folder), tokens, took, devices)

    def stages(self) -> Iterator[Beside]:
        """Wordings that are made, and confidences, once for all strategies that use them."""
        experiment, seen = self._experiment, set()
        for cell in experiment.cells:
            size = self._sizes[cell.dataset]
            for needed in needed_by(experiment, cell.strategy):
                at = (needed, cell.dataset, stage_model(experiment, needed, cell.model))
                if needed.stage == "dependencies" or at in seen or isinstance(size, str):
                    continue
                seen.add(at)
                yield self._stage(needed, cell, size)

    def _stage(self, needed: Needed, cell: Cell, size: Size) -> Beside:
        experiment, model = self._experiment, stage_model(self._experiment, needed, cell.model)
        work = self._stage_work(needed, cell, size).times(size.groups)
        file = Path(experiment.results, stage_file(experiment, needed, cell.dataset, cell.model))
        what = f"{needed.stage} {needed.key}, {cell.dataset}"
        tokens = work.unique + work.generated
        known = _model_size(model, experiment.catalogues.models[model])
        asking = asking_decoder(experiment, needed, cell.model)
        if known is None or (asking is not None and asking.is_remote):
            return Beside(what, model, file.is_file(), tokens, None, 1)
        pace = Pace(self._device, self._efficiency, True, experiment.groups_in_flight)
        took = seconds(work, known, pace)
        return Beside(what, model, file.is_file(), tokens, took, num_devices(known, self._device))

    def _stage_work(self, needed: Needed, cell: Cell, size: Size) -> Work:
        """Tokens of a stage, of one group."""
        if needed.stage == "paraphrases":
            made = self._experiment.catalogues.paraphrases[needed.name]
            reply = min(float(made.max_new_tokens), size.question + TURN)
            texts = Texts(SHOWN, 0, size.question + TURN, reply, reply, size.per_group)
            return batch(texts, Asked(copies=made.number))
        sure = self._experiment.catalogues.confidence[needed.name]
        texts = texts_of(self._experiment, cell, size)
        texts = texts._replace(answer=min(texts.answer, float(sure.max_new_tokens)))
        drawn = batch(texts, Asked(copies=sure.wordings * (sure.samples + 1)))
        return drawn._replace(unique=batch(texts, Asked(copies=sure.wordings)).unique)


def _measured(row: Row, tried: Estimate) -> Row:
    """A cell's row with what a smoke test has measured of it. A server's time is none of ours."""
    lacks_price = row.remote and tried.cost is None
    return row._replace(
        by=f"smoke test, {tried.tried} group{'s' * (tried.tried != 1)}",
        groups=tried.groups,
        sent=tried.sent,
        prefilled=tried.unique,
        generated=tried.generated,
        answers_s=None if row.remote else tried.seconds,
        cost=tried.cost,
        currency=tried.currency,
        gap=row.gap if lacks_price else "",
    )


def is_done(experiment: Experiment, cell: Cell) -> bool:
    """Whether a cell's scores are there, or a cached result that is the config's."""
    try:
        return scores_file(experiment, cell, Path(experiment.cells_folder)).is_file()
    except UserError:
        return False


def timed_runs(experiment: Experiment) -> Counter[Cell]:
    """How often a group of each cell is timed: repeats and a warm-up in each contest of its decoders, the
    strategy that all are compared with twice over (A/A).
    """
    found: Counter[Cell] = Counter()
    for contest in contests(experiment):
        for cell in contest.cells:
            twice = contest.decoder is not None and cell.strategy == contest.reference
            found[cell] += (experiment.repeats + 1) * (2 if twice else 1)
    return found


def _model_size(name: str, entry: ModelEntry) -> ModelSize | None:
    """The size of a model: what lies in its folder, or else what is stated; None where neither says."""
    return (size_in(Path(entry.path)) if entry.path else None) or size_of_model(name, entry)


def _size_or_gap(experiment: Experiment, dataset: str) -> Size | str:
    """The size of a data set, or why it is not known and what would make it so."""
    try:
        return size_of(experiment, dataset)
    except UserError as error:
        return f"{error.problem}: {error.remedy}"
