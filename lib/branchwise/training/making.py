"""From groups to a checkpoint: what `branchwise train` does for an entry of its catalogue."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from branchwise.cells import provenance
from branchwise.data.passages import check_apart, passage_hash, passages_of
from branchwise.data.types import Group
from branchwise.decoding.models.files import folder_hash
from branchwise.decoding.models.loading import Loaded
from branchwise.decoding.models.usable import check_on_one_device
from branchwise.decoding.trained.folder import (
    PASSAGES,
    RECORD,
    BaseModelRecord,
    CheckpointRecord,
)
from branchwise.errors import UserError
from branchwise.files import file_hash, value_hash, write_text
from branchwise.locks import alone
from branchwise.prompts.style import PromptStyle
from branchwise.training.examples import Examples, Stream
from branchwise.training.parts import Trained
from branchwise.training.recipes import ColumnsRecipe, Recipe
from branchwise.training.sequences import Document
from branchwise.training.texts import Texts, columns_of, paragraphs, texts_of
from branchwise.training.trainer import Trainer

LogLine = Callable[[str], None]


@dataclass(frozen=True)
class TrainingJob:
    """What is trained: a recipe by its name, of a model, on groups by the names of their data sets, each
    with the prompt style in which they are asked. `settings` and `code` (a hash) are its identity.
    """

    name: str
    recipe: Recipe
    model_name: str
    train: Mapping[str, Sequence[Group]]
    held_out: Mapping[str, Sequence[Group]]
    styles: Mapping[str, PromptStyle]
    settings: Mapping[str, Any]
    code: str = ""


def make_checkpoint(
    job: TrainingJob,
    loaded: Loaded,
    work: Path,
    out: Path,
    log: LogLine,
    progress: Callable[[int, int], None],
) -> None:
    """Train, and write the checkpoint's folder, its record last. A stopped training goes on, and two of
    the same wait for each other.

    Raises UserError where training would see a held-out group, where nothing fits a row, and where the
    loss is no number any more.
    """
    check_on_one_device(loaded.model, "training")
    # Of several processes the first speaks, and holds the folder for all.
    is_first = os.environ.get("RANK", "0") == "0"
    say = log if is_first else _silent
    with alone(work.with_name(f"{work.name}.lock"), say) if is_first else nullcontext():
        _make(job, loaded, work, out, say, progress if is_first else _still)


def _silent(line: str) -> None:
    """Nothing is said."""


def _still(done: int, of: int) -> None:
    """Nothing is shown."""


def _make(
    job: TrainingJob,
    loaded: Loaded,
    work: Path,
    out: Path,
    log: LogLine,
    progress: Callable[[int, int], None],
) -> None:
    texts = texts_of(job.recipe, log) if isinstance(job.recipe, ColumnsRecipe) else Texts([], [])
    passages = _passages(job, texts)
    trained = Trained(job.recipe, loaded.model)
    train, held_out = _streams(job, texts, loaded, log)
    made_by = {
        "settings": dict(job.settings),
        "code": job.code,
        "data": _data(job, texts),
        "base": folder_hash(loaded.folder),
    }
    pad = loaded.chat.tokenizer.pad_token_id or 0
    trainer = Trainer(trained, train, held_out, work, json.loads(json.dumps(made_by)), pad)
    count = sum(parameter.numel() for parameter in trained.parameters.values())
    log(f"{job.name}: {count:,} parameters learn, the model has {trained.num_before:,}")
    trainer.train(log, progress)
    if trainer.accelerator.is_main_process:
        _write(job, loaded, trained, trainer, (passages, _data(job, texts)), out)
    trainer.accelerator.wait_for_everyone()


def _passages(job: TrainingJob, texts: Texts) -> dict[str, list[str]]:
    """Hashes of what is trained on, and of what is looked at. Raises UserError where groups share one; of
    texts both the whole ones and their paragraphs count.
    """
    trained = {
        passage for groups in job.train.values() for group in groups for passage in passages_of(group)
    }
    for name, groups in job.held_out.items():
        check_apart(trained, groups, f"held-out data set {name}", f"training {job.name}")
    looked_at = {
        one for groups in job.held_out.values() for group in groups for one in passages_of(group)
    }
    for found, some in ((trained, texts.trained), (looked_at, texts.looked_at)):
        found |= {passage_hash(one) for text in some for one in (text, *paragraphs(text))}
    return {"trained": sorted(trained), "looked_at": sorted(looked_at)}


def _streams(
    job: TrainingJob, texts: Texts, loaded: Loaded, log: LogLine
) -> tuple[Stream, Stream | None]:
    recipe = job.recipe
    if isinstance(recipe, ColumnsRecipe):
        train, held_out = (
            [columns_of(text, f"text {n}", recipe, loaded.chat.tokenizer) for n, text in enumerate(some)]
            for some in texts
        )
    else:
        train, held_out = (_of_groups(job, groups, loaded, log) for groups in (job.train, job.held_out))
    limit = min(recipe.row_tokens, loaded.model.config.get_text_config().max_position_embeddings)
    stream = Stream(train, limit, recipe)
    if stream.num_left_out or stream.num_cut:
        log(
            f"{stream.num_left_out} of {len(train)} groups are longer than a row of {limit} tokens and "
            f"are left out; of {stream.num_cut} some questions are. No answer is cut"
        )
    looked_at = Stream(held_out, limit, recipe) if held_out else None
    if looked_at is not None and looked_at.num_left_out:
        log(f"{looked_at.num_left_out} of {len(held_out)} held-out groups are too long to be looked at")
    return stream, looked_at


def _of_groups(
    job: TrainingJob, groups: Mapping[str, Sequence[Group]], loaded: Loaded, log: LogLine
) -> list[Document]:
    found = []
    for name, some in groups.items():
        examples = Examples(job.recipe, loaded.chat, job.styles[name])
        documents = [(group, examples.document(group)) for group in some]
        found += [one._replace(name=f"{name}/{group.id}") for group, one in documents if one is not None]
        if examples.num_unsayable:
            log(
                f"{examples.num_unsayable} questions of {name} are left out: their answers hold the text "
                f"that ends one in style {job.styles[name].name}"
            )
    return found


def _data(job: TrainingJob, texts: Texts) -> dict[str, Any]:
    """Data sets with the hash of their groups, or of all texts, so that a checkpoint says what it saw."""
    if isinstance(job.recipe, ColumnsRecipe):
        return {"texts": value_hash(texts.trained), "looked_at": value_hash(texts.looked_at)}
    return {
        part: {
            name: value_hash([group.model_dump(mode="json") for group in some])
            for name, some in groups.items()
        }
        for part, groups in (("datasets", job.train), ("held_out", job.held_out))
    }


def _write(
    job: TrainingJob,
    loaded: Loaded,
    trained: Trained,
    trainer: Trainer,
    saw: tuple[dict[str, list[str]], dict[str, Any]],
    out: Path,
) -> None:
    """The folder, whole or not at all."""
    new = out.with_name(f".{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    passages, data = saw
    write_text(new / PASSAGES, json.dumps(passages) + "\n")
    names = [*trained.save(new), PASSAGES]
    trainer.curve.write(new / "curve.csv")
    files = {name: _hash(new / name) for name in names}
    record = _record(job, loaded, trained, trainer, data, files)
    write_text(new / RECORD, record.model_dump_json(indent=1) + "\n")
    out.mkdir(parents=True, exist_ok=True)
    (out / RECORD).unlink(missing_ok=True)
    # The passages first and the record last: a folder that is half there is known to be.
    for path in sorted(new.iterdir(), key=lambda path: (path.name == RECORD) - (path.name == PASSAGES)):
        path.replace(out / path.name)
    new.rmdir()


def _hash(path: Path) -> str:
    found = file_hash(path)
    if found is None:
        raise UserError(f"{path} was not written", "see whether the disk is full")
    return found


def _record(
    job: TrainingJob,
    loaded: Loaded,
    trained: Trained,
    trainer: Trainer,
    data: dict[str, Any],
    files: dict[str, str],
) -> CheckpointRecord:
    config = loaded.model.config.get_text_config()
    commit, dirty = provenance.commit()
    done = trainer.progressed
    facts = {
        "parameters": sum(parameter.numel() for parameter in trained.parameters.values()),
        "parameters_of_the_model": trained.num_before,
        "steps": done.step,
        "tokens": done.num_tokens,
        "train_s": round(done.train_s, 1),
        "processes": trainer.accelerator.num_processes,
        "device": trainer.accelerator.device.type,
        "threads": torch.get_num_threads(),
        "groups": {name: len(groups) for name, groups in job.train.items()},
        "rows_left_out": trainer.train_rows.num_left_out,
        "held_out_loss": done.best_loss,
    }
    return CheckpointRecord(
        name=job.name,
        parts=trained.parts,
        mixer=job.recipe.mixer_entry,
        merged=job.recipe.lora_entry is None or job.recipe.lora_entry.merged,
        base=BaseModelRecord(
            name=job.model_name,
            origin=loaded.origin,
            files=folder_hash(loaded.folder),
            architecture=config.model_type,
            hidden_size=config.hidden_size,
            vocabulary=config.vocab_size,
        ),
        recipe=job.recipe.model_dump(mode="json"),
        settings=value_hash(dict(job.settings)),
        code=job.code,
        data=data,
        step=done.best_step if trainer.best else done.step,
        facts=facts,
        versions=provenance.versions(),
        commit=commit,
        dirty=dirty,
        files=files,
    )
