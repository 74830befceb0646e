"""Whether the names of a config fit together, and every cell can run: told before anything is planned."""

import re
from collections.abc import Sequence
from unicodedata import normalize

from branchwise.config.catalogues import AXES, CATALOGUES, PUBLISHED, missing_verbs, published_names
from branchwise.config.decoding import check_decoding
from branchwise.config.mistakes import nearest
from branchwise.config.styles import check_styles
from branchwise.config.trainings import check_placed, check_trainings
from branchwise.config.types import Cell, Experiment
from branchwise.data.entries import DatasetEntry
from branchwise.data.rows import mentions
from branchwise.data.sources.base import FileDataset, local_path
from branchwise.dependencies.entries import ControlEntry
from branchwise.errors import UserError
from branchwise.stages import STAGES
from branchwise.strategies.entry import StrategyEntry
from branchwise.strategies.loading import load, options_model
from branchwise.strategies.wordings import WordingOptions

_NAME = re.compile(r"[\w(\[][\w .+()\[\]=@,-]*")
"""Names of entries are names of folders: spaces, plus signs and brackets are fine, slashes are not."""

_LONGEST_NAME = 100
"""Bytes of a name: with a suffix, and several in one path, file systems take it."""


def check_names(experiment: Experiment, source: str) -> None:
    """Raises UserError for a name that there is not, or that cannot be a folder's."""
    for catalogue in CATALOGUES:
        _check_folders(experiment, catalogue)
    for axis, plural in AXES.items():
        known = getattr(experiment.catalogues, plural)
        used = list(getattr(experiment, plural))
        if len(set(used)) < len(used):
            raise UserError(f"{source}: {plural} names something twice: {used}", "name it once")
        for exclusion in experiment.exclude:
            names = getattr(exclusion, axis)
            used += [names] if isinstance(names, str) else list(names or ())
        for name in used:
            if name not in known:
                raise UserError(
                    f"{source}: unknown {axis} {name[:120]}", _instead(axis, name, list(known))
                )
    _check_stages(experiment)
    check_trainings(experiment, source)
    _check_roles(experiment, source)
    _check_judged(experiment, source)
    if experiment.published is not None and experiment.published not in published_names():
        raise UserError(
            f"{source}: published is {experiment.published}, of which there are no numbers",
            nearest(experiment.published, published_names()),
        )
    if experiment.baseline not in experiment.strategies:
        raise UserError(
            f"{source}: baseline is {experiment.baseline[:120]}, which is not among the strategies",
            nearest(experiment.baseline, experiment.strategies),
        )


def _check_folders(experiment: Experiment, catalogue: str) -> None:
    """Raises UserError for a name that cannot be a folder's, or is that of another's folder."""
    known: dict[str, str] = {}
    for name in getattr(experiment.catalogues, catalogue):
        where = f"{experiment.origin(catalogue, name)}:"
        if not _NAME.fullmatch(name) or name != name.strip():
            raise UserError(
                f"{where} {name[:120]!r} cannot be a name in {catalogue}",
                "use letters, digits, spaces and . + - _ = @ , ( ) [ ], beginning with a letter, a "
                "digit or a bracket: results lie in folders of these names",
            )
        if len(name.encode()) > _LONGEST_NAME:
            raise UserError(
                f"{where} {name[:40]!r}... in {catalogue} has {len(name.encode())} bytes",
                f"take a name of at most {_LONGEST_NAME}: results lie in folders of these names",
            )
        other = known.setdefault(normalize("NFC", name).casefold(), name)
        if other != name:
            raise UserError(
                f"{where} {other!r} and {name!r} in {catalogue} differ by case alone, or not at all to "
                "the eye",
                "rename one: on some file systems both would lie in one folder",
            )


def _instead(axis: str, name: str, known: list[str]) -> str:
    if axis == "strategy" and name in PUBLISHED:
        return f"what was published as {name} is called here: {PUBLISHED[name]}"
    return nearest(name, known)


def _check_stages(experiment: Experiment) -> None:
    for kind in STAGES:
        known = getattr(experiment.catalogues, kind.stage)
        for strategy, entry in experiment.catalogues.strategies.items():
            name = entry.of_stage(kind.stage)
            if name is not None and name not in known:
                raise UserError(
                    f"{experiment.origin('strategies', strategy)}: strategy {strategy} has unknown "
                    f"{kind.stage} {name}",
                    nearest(name, list(known)),
                )


def _check_roles(experiment: Experiment, source: str) -> None:
    models = experiment.catalogues.models
    for role in ("planner", "paraphraser"):
        name = getattr(experiment.roles, role)
        if name is not None and name not in models:
            problem = f"{source}: roles.{role} is unknown model {name}"
            raise UserError(problem, nearest(name, list(models)))
        _check_role_decoder(experiment, role, source)
    for name in experiment.strategies:
        for role in experiment.catalogues.strategies[name].asks:
            if role not in ("planner", "paraphraser"):
                raise UserError(
                    f"{experiment.origin('strategies', name)}: strategy {name} asks role {role}",
                    "roles beside the answerer that a strategy may ask: planner, paraphraser",
                )


def _check_role_decoder(experiment: Experiment, role: str, source: str) -> None:
    """Raises UserError for a role's decoder that there is not, or that cannot ask its model."""
    name, model = getattr(experiment.roles, f"{role}_decoder"), getattr(experiment.roles, role)
    if name is None:
        return
    decoders = experiment.catalogues.decoders
    if name not in decoders:
        problem = f"{source}: roles.{role}_decoder is unknown decoder {name}"
        raise UserError(problem, nearest(name, list(decoders)))
    for asked in (model,) if model else experiment.models:
        found = decoders[name].problem_with(asked, experiment.catalogues.models[asked])
        if found is not None:
            raise UserError(f"{source}: roles.{role}_decoder {name}: {found[0]}", found[1])


def _check_judged(experiment: Experiment, source: str) -> None:
    for dataset in experiment.judged:
        if dataset not in experiment.datasets:
            raise UserError(
                f"{source}: judged names {dataset}, which is not among the datasets",
                nearest(dataset, experiment.datasets),
            )
    judge = experiment.judge
    if judge is not None and judge.decoder is not None:
        for catalogue, name in (("models", judge.model), ("decoders", judge.decoder)):
            known = list(getattr(experiment.catalogues, catalogue))
            if name not in known:
                problem = f"{source}: judge names {name}, which is not in the catalogue of {catalogue}"
                raise UserError(problem, nearest(name, known))
        asking, asked = (
            experiment.catalogues.decoders[judge.decoder],
            experiment.catalogues.models[judge.model],
        )
        if (found := asking.problem_with(judge.model, asked)) is not None:
            raise UserError(f"{source}: judge.decoder {judge.decoder}: {found[0]}", found[1])
    if experiment.judged and experiment.judge is None:
        raise UserError(f"{source}: judged is given, but no judge", "add `judge:` with its model")


def _check_started(experiment: Experiment, source: str) -> None:
    """Raises UserError where a decoder starts a server for more than one model: they have one address."""
    roles, judge = experiment.roles, experiment.judge
    asked: list[tuple[str | None, str | None]]
    asked = [(cell.decoder, cell.model) for cell in experiment.cells]
    asked += [(roles.planner_decoder, roles.planner), (roles.paraphraser_decoder, roles.paraphraser)]
    asked += [(judge.decoder, judge.model)] if judge is not None else []
    for name, decoder in experiment.catalogues.decoders.items():
        models = list(dict.fromkeys(model for by, model in asked if by == name and model))
        if getattr(decoder, "serve", None) is not None and len(models) > 1:
            raise UserError(
                f"{source}: decoder {name} starts its server for one model, and is asked for "
                f"{', '.join(models)}",
                "define a decoder for each, with ports of their own, and exclude the other pairs",
            )


def check_cells(experiment: Experiment, source: str) -> None:
    """Refuse cells that cannot run, all with the reason, before anything is planned."""
    for number, exclusion in enumerate(experiment.exclude):
        if not any(exclusion.covers(cell) for cell in experiment.grid()):
            raise UserError(
                f"{source}: exclude.{number} matches no cell", "mend its names, or leave it out"
            )
    if not experiment.cells:
        raise UserError(f"{source}: the exclusions leave no cell", "exclude less")
    _check_started(experiment, source)
    strategies, decoders = experiment.catalogues.strategies, experiment.catalogues.decoders
    for cell in experiment.cells:
        missing = missing_verbs(strategies[cell.strategy], decoders[cell.decoder])
        if missing:
            raise impossible(cell, missing, source)
        check_control(experiment, cell, source)
        check_placed(experiment, cell, source)
        check_decoding(experiment, cell, source)
    check_styles(experiment, source)
    if not experiment.cached:
        check_strategies(experiment, experiment.strategies)


def check_strategies(experiment: Experiment, names: Sequence[str]) -> None:
    """Raises UserError for a strategy whose module, function or options are wrong."""
    for name in names:
        entry = experiment.catalogues.strategies[name]
        try:
            load(entry.module, entry.options)
            _check_confidence(experiment, entry)
        except UserError as error:
            where = experiment.origin("strategies", name)
            raise UserError(f"{where}: strategy {name}: {error.problem}", error.remedy) from None


def _check_confidence(experiment: Experiment, entry: StrategyEntry) -> None:
    """Raises UserError for a strategy that weighs wordings by confidences that nobody finds."""
    model = options_model(entry.module)
    options = model.model_validate(entry.options) if model else None
    if not isinstance(options, WordingOptions) or not options.weighs:
        return
    known = list(experiment.catalogues.confidence)
    if entry.confidence is None:
        raise UserError(
            "it weighs wordings by confidence, and names none",
            f"give it a `confidence:`, one of {', '.join(known)}",
        )
    found = experiment.catalogues.confidence[entry.confidence]
    if options.wordings > found.wordings or options.seed != found.seed:
        raise UserError(
            f"it asks {options.wordings} wordings by seed {options.seed}, and confidence "
            f"{entry.confidence} knows {found.wordings} by seed {found.seed}",
            f"give it an entry of confidence with `wordings: {options.wordings}` and "
            f"`seed: {options.seed}`",
        )


def check_control(experiment: Experiment, cell: Cell, source: str) -> None:
    """Raises UserError for a control that would say nothing: without stated dependencies it is batch."""
    catalogues = experiment.catalogues
    name = catalogues.strategies[cell.strategy].dependencies
    entry = catalogues.dependencies[name] if name else None
    if not isinstance(entry, ControlEntry) or not entry.needs_stated:
        return
    dataset = catalogues.datasets[cell.dataset]
    if not dataset.may_state_needs or not _may_hold_needs(experiment, dataset):
        raise UserError(
            f"{source}: cell {cell}: data set {cell.dataset} states no dependencies, so strategy "
            f"{cell.strategy} would be batch under another name",
            f"exclude {{strategy: {cell.strategy}, dataset: {cell.dataset}}}",
        )


def _may_hold_needs(experiment: Experiment, dataset: DatasetEntry) -> bool:
    """Whether the word stands anywhere in a local file; cached results need no file."""
    path = local_path(dataset) if isinstance(dataset, FileDataset) else None
    if experiment.cached or path is None or not path.is_file():
        return True
    try:
        return mentions(path, '"needs"')
    except (OSError, UserError):
        return True  # whoever reads the rows says what is wrong with it


def impossible(cell: Cell, missing: Sequence[str], source: str) -> UserError:
    """The error for a strategy whose decoder lacks a verb."""
    verbs = " and ".join(missing)
    return UserError(
        f"{source}: cell {cell} is impossible: strategy {cell.strategy} needs {verbs}, "
        f"which decoder {cell.decoder} does not offer",
        f"choose another decoder or exclude {{strategy: {cell.strategy}, decoder: {cell.decoder}}}",
    )
