"""What the commands of stages before answering have in common: their files and options."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from branchwise.commands.options import check_settings, progress_bar
from branchwise.config import Experiment
from branchwise.config.stages import (
    Needed,
    asking_decoder,
    stage_code,
    stage_model,
    stage_settings,
)
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.cells.asker import Asker
    from branchwise.cells.staging import Kept
    from branchwise.decoding.models.source import ModelSource
    from branchwise.stages import StageRow

    R = TypeVar("R", bound=StageRow)
else:
    R = TypeVar("R")

Progress = Callable[[int, int], None]


def checked_settings(
    experiment: Experiment, needed: Needed, dataset: str, model: str, expected: str | None
) -> dict[str, Any]:
    """The settings of a stage's file. Raises UserError where their hash is not `expected`."""
    wanted = stage_settings(experiment, needed, dataset, model)
    check_settings(expected, wanted, f"{needed.stage} {needed.name} of {dataset}")
    return wanted


def source_of(experiment: Experiment, needed: Needed, model: str) -> "ModelSource":
    """The model that a stage asks for cells of `model`."""
    import torch

    from branchwise.commands.options import named
    from branchwise.decoding.models.source import ModelSource

    torch.set_num_threads(experiment.threads)
    return ModelSource(named(experiment, "model", stage_model(experiment, needed, model)))


def asker_for(
    experiment: Experiment, needed: Needed, dataset: str, model: str, source: "ModelSource"
) -> "Asker":
    """What asks `source` for a stage, by the decoder that the experiment names for it."""
    from branchwise.cells.asker import asker_of

    decoder = asking_decoder(experiment, needed, model)
    asked = stage_model(experiment, needed, model)
    folder = Path(experiment.replies_folder, needed.stage, dataset, asked)
    return asker_of(source, decoder, folder / f"{needed.key.replace('/', '+')}.jsonl")


def token_counter(source: "ModelSource") -> Callable[[str], int]:
    """Counts the tokens of a text as the model does; a quarter of its characters where its tokenizer is
    not here.
    """
    if not source.entry.is_here:
        return lambda text: len(text) // 4 + 1
    chat = source.tokenizer
    return lambda text: len(chat.encode(text))


def run_stage(
    kind: "type[R]",
    find: "Callable[[Kept[R], Progress], list[R]]",
    needed: Needed,
    experiment: Experiment,
    dataset: str,
    settings: dict[str, Any],
    model: str,
    source: "ModelSource",
    out: Path,
) -> None:
    """Find what a stage finds, keeping it in a journal beside `out`, and write it there."""
    from branchwise.cells.staging import Kept
    from branchwise.config.identity import as_param
    from branchwise.decoding.contract import REMOTE
    from branchwise.files import value_hash
    from branchwise.results import write_rows

    # Of a hub model the files that were loaded count, whatever revision the entry names.
    identity = {
        "settings": settings,
        "code": stage_code(experiment, needed, model),
        "files": source.files_hash,
        "device": str(source.loaded.model.device) if source.is_loaded else REMOTE,
    }
    journal = out.with_name(f".{out.name}.journal.jsonl")
    with progress_bar(f"{needed.stage} {needed.name} of {dataset}") as progress:
        found = find(Kept(kind, journal, as_param(identity)), progress)
    write_rows(out, found, {"settings": value_hash(settings)})
    journal.unlink(missing_ok=True)


def files_by_key(stage: str, given: Sequence[str]) -> dict[str, Path]:
    """KEY=FILE by key. Raises UserError where one is not of this form."""
    pairs = [one.partition("=") for one in given]
    if wrong := [one for one, pair in zip(given, pairs, strict=True) if not (pair[0] and pair[2])]:
        example = {"dependencies": "gold", "paraphrases": "generated"}.get(stage, "self_agreement")
        raise UserError(f"--{stage} {wrong[0]} is not NAME=FILE", f"write {example}=found.jsonl, say")
    return {key: Path(file) for key, _, file in pairs}
