"""What a result is: everything that it depends on, whatever the config is called and wherever it lies.

Settings are JSON data. Of them a folder's name is made (`settings` of a cell, `scoring` of its scores,
the file name of groups and dependencies), so results of different settings lie beside each other and
the same ones are shared. Code is no part of the name: a result whose code has changed is made anew in
its place.
"""

import json
from collections.abc import Iterable, Mapping
from os.path import normpath
from pathlib import Path
from typing import Any

from branchwise.config.hashing import answers_code, judge_code, scores_code
from branchwise.config.once import once
from branchwise.config.parts import groups_settings, model_settings, plain, served_settings
from branchwise.config.stages import needed_by, stage_code, stage_settings
from branchwise.config.styles import style_settings
from branchwise.config.trainings import trained_code, trained_data, trained_settings
from branchwise.config.types import Cell, Experiment
from branchwise.data.sources.base import FileDataset, local_path
from branchwise.decoding.models.gguf import check_file
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.results import Identity
from branchwise.strategies.loading import options_model, split, states


@once
def cell_settings(experiment: Experiment, cell: Cell) -> dict[str, Any]:
    """Everything but code that a cell's answers depend on, and nothing else."""
    catalogues = experiment.catalogues
    entry = catalogues.strategies[cell.strategy]
    file, function = split(entry.module)
    strategy: dict[str, Any] = {
        "module": f"{file.name}:{function}" if file else entry.module,
        "options": _options(experiment, cell.strategy),
    }
    strategy |= trained_settings(experiment, cell)
    decoder = catalogues.decoders[cell.decoder]
    style = style_settings(experiment, cell.dataset, cell.model)
    hint = catalogues.datasets[cell.dataset].hint
    if hint is not None and states(entry.module, "HINTS"):
        style = {**style, "hint": hint}
    settings = {
        "groups": groups_settings(experiment, cell.dataset),
        "style": style,
        "model": model_settings(experiment, cell.model)
        | served_settings(experiment, decoder, cell.model),
        "strategy": strategy,
        "dependencies": None,
        "decoder": plain(decoder),
        "max_new_tokens": experiment.max_new_tokens,
        "threads": experiment.threads,
    }
    for needed in needed_by(experiment, cell.strategy):
        settings[needed.stage] = stage_settings(experiment, needed, cell.dataset, cell.model)
    roles = {role: getattr(experiment.roles, role) for role in entry.asks}
    named = {
        role: model_settings(experiment, model) | served_settings(experiment, decoder, model)
        for role, model in roles.items()
        if model
    }
    if named:
        settings["roles"] = named
    return settings


def scoring_settings(experiment: Experiment, dataset: str) -> dict[str, Any]:
    """What scores depend on beside answers and code."""
    judged = dataset in experiment.judged and experiment.judge is not None
    entry = experiment.catalogues.datasets[dataset]
    return {
        "scorer": entry.scorer,
        "language": entry.language,
        "judge": experiment.judge.recorded() if judged and experiment.judge else None,
        **(judge_settings(experiment) if judged else {}),
    }


def judge_settings(experiment: Experiment) -> dict[str, Any]:
    """What verdicts depend on of a judge that a decoder asks: its model and the decoder."""
    judge = experiment.judge
    if judge is None or judge.decoder is None:
        return {}
    decoder = experiment.catalogues.decoders[judge.decoder]
    model = model_settings(experiment, judge.model) | served_settings(experiment, decoder, judge.model)
    return {
        "judge_model": model,
        "judge_decoder": plain(decoder),
    }


def judging_code(experiment: Experiment) -> str:
    """Hash of the code that verdicts depend on."""
    judge = experiment.judge
    by = judge.decoder if judge is not None else None
    return judge_code(*([] if by is None else [type(experiment.catalogues.decoders[by])]))


def cell_identity(experiment: Experiment, cell: Cell) -> Identity:
    """What a cell is: settings, code, and the code of the stages that it uses."""
    return Identity(settings=cell_settings(experiment, cell), **cell_codes(experiment, cell))


def cell_codes(experiment: Experiment, cell: Cell) -> dict[str, str]:
    """The hashes of code of a cell's identity, those that it has."""
    trained = trained_code(experiment, cell.strategy)
    return {
        "code": answers_code(experiment, cell),
        **({"training_code": trained} if trained else {}),
        **{
            f"{needed.stage}_code": stage_code(experiment, needed, cell.model)
            for needed in needed_by(experiment, cell.strategy)
        },
    }


def recorded_codes(run: Path) -> tuple[dict[str, str], int]:
    """The hashes of code that a run.json records, and in how many shards the cell was answered; none and
    0 where it is no such file.
    """
    try:
        recorded = json.loads(run.read_text(encoding="utf-8"))
        codes = {
            k: v for k, v in recorded["identity"].items() if v and (k == "code" or k.endswith("_code"))
        }
        return codes, max(1, len(recorded.get("shards", ())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, 0


def scoring_identity(experiment: Experiment, dataset: str) -> Identity:
    """What scores are, beside the answers that they score."""
    return Identity(settings=scoring_settings(experiment, dataset), code=scores_code())


@once
def cell_folder(experiment: Experiment, cell: Cell) -> Path:
    """Where a cell's files lie, below the folder of the cells."""
    return cell.path / value_hash(cell_settings(experiment, cell))


@once
def scores_path(experiment: Experiment, cell: Cell) -> Path:
    """Where a cell's scores lie, below the folder of the cells."""
    scoring = value_hash(scoring_settings(experiment, cell.dataset))
    return cell_folder(experiment, cell) / scoring / "scores.json"


@once
def groups_name(experiment: Experiment, dataset: str) -> str:
    """The name of a data set's file of groups, without its ending."""
    return value_hash(groups_settings(experiment, dataset))


def groups_file(experiment: Experiment, dataset: str) -> Path:
    """The file of a data set's groups."""
    return Path(experiment.results, "groups", dataset, f"{groups_name(experiment, dataset)}.jsonl")


def differing(recorded: Any, wanted: Any, at: str = "") -> list[str]:
    """Places at which recorded settings are not the wanted ones, as "key (recorded, here wanted)". What
    is not known here (None where something is recorded: a model or data that is not on this machine)
    does not differ.
    """
    if isinstance(recorded, Mapping) and isinstance(wanted, Mapping):
        keys = dict.fromkeys([*wanted, *recorded])
        return [
            place
            for key in keys
            for place in differing(recorded.get(key), wanted.get(key), f"{at}.{key}" if at else str(key))
        ]
    may_be_absent = at.rpartition(".")[2] in ("files", "file", "checkpoint")
    if recorded == wanted or (wanted is None and may_be_absent):
        return []
    return [f"{at} ({_short(recorded)}, here {_short(wanted)})"]


def check_present(experiment: Experiment) -> None:
    """Raises UserError for files that a run would miss, naming the entry that is about them."""
    for dataset in dict.fromkeys((*experiment.datasets, *trained_data(experiment))):
        entry = experiment.catalogues.datasets[dataset]
        path = local_path(entry) if isinstance(entry, FileDataset) else None
        if path is not None and not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise UserError(
                f"{experiment.origin('datasets', dataset)}: data file {normpath(path)} of {dataset} "
                f"{what}",
                f"correct `path:` of {dataset} there",
            )
    check_models(experiment, (*experiment.models, experiment.roles.planner, experiment.roles.paraphraser))


def check_models(experiment: Experiment, names: Iterable[str | None]) -> None:
    """Raises UserError for a model whose folder is none, or whose GGUF file or its package is not here,
    naming the file that its entry comes from.
    """
    for name in sorted({name for name in names if name is not None}):
        entry = experiment.catalogues.models[name]
        if entry.gguf is not None:
            try:
                check_file(entry)
            except UserError as error:
                where = experiment.origin("models", name)
                raise UserError(f"{where}: model {name}: {error.problem}", error.remedy) from None
        folder = entry.path
        if folder is not None and not (Path(folder) / "config.json").is_file():
            where = experiment.origin("models", name)
            raise UserError(
                f"{where}: folder {folder} of model {name} has no config.json",
                f"correct `path:` of {name} there"
                + ("; `snakemake tiny_model` makes the tiny model" if name == "tiny" else ""),
            )


def as_param(value: Any) -> str:
    """A value as one stable line, for Snakemake's params."""
    return json.dumps(value, sort_keys=True)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _options(experiment: Experiment, strategy: str) -> dict[str, Any]:
    """A strategy's options, defaults filled in: a default that is written out is no other setting."""
    entry = experiment.catalogues.strategies[strategy]
    model = options_model(entry.module)
    if model is None:
        return dict(entry.options)
    return model.model_validate(entry.options).model_dump(mode="json")
