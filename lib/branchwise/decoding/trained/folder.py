"""The folder of a checkpoint: what was trained, of which model, on what; checked before it is used.

A checkpoint holds `checkpoint.json` (a `CheckpointRecord`), safetensors of what was trained, and the
hashes of the passages that it was trained on. A folder with an adapter alone, as peft writes it, is
somebody else's, of which nothing more is known. Torch-free.
"""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from branchwise.decoding.mixers.entry import MixerEntry
from branchwise.decoding.models.files import folder_hash
from branchwise.errors import UserError
from branchwise.files import file_hash, value_hash
from branchwise.records import Record

CHECKPOINT_VERSION: Literal[1] = 1
RECORD, PASSAGES = "checkpoint.json", "passages.json"
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
WEIGHTS, MIXERS = "weights.safetensors", "mixers.safetensors"

Part = Literal["adapter", "head", "weights", "mixers"]
"""adapter: LoRA; head: the output matrix; weights: others of the model's own; mixers."""


class BaseModelRecord(Record):
    """The model that a checkpoint was trained on."""

    name: str = Field(description="Its name in the catalogue, or its folder.")
    origin: dict[str, Any] = Field({}, description="Where it came from, if not from a folder.")
    files: str | None = Field(description="Hash of its files: another model is refused.")
    architecture: str
    hidden_size: int
    vocabulary: int


class CheckpointRecord(Record):
    """What `checkpoint.json` says: all that is needed to have the trained model again."""

    schema_version: Literal[1] = CHECKPOINT_VERSION
    name: str = Field(description="Name of the training.")
    parts: tuple[Part, ...]
    mixer: MixerEntry | None = None
    merged: bool = Field(True, description="Whether an adapter is added into the weights when used.")
    base: BaseModelRecord
    recipe: dict[str, Any]
    settings: str = Field(description="Hash of all settings that it was trained by.")
    code: str = Field(description="Hash of the code that it was trained by.")
    data: dict[str, Any] = Field(description="Data sets with the hash of their groups.")
    step: int = Field(description="The step that the weights are of.")
    facts: dict[str, Any] = Field({}, description="How the training went.")
    versions: dict[str, str] = {}
    commit: str | None = None
    dirty: bool | None = None
    files: dict[str, str] = Field(description="File -> hash: a broken one is refused.")


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a whole checkpoint of this project, or somebody else's adapter."""
    is_half = (folder / PASSAGES).is_file()
    return (folder / RECORD).is_file() or ((folder / ADAPTER[0]).is_file() and not is_half)


def read_record(folder: Path) -> CheckpointRecord | None:
    """What a checkpoint says of itself; None of somebody else's adapter.

    Raises UserError where the folder holds neither, and for a record that cannot be read.
    """
    path = folder / RECORD
    if not path.is_file():
        if is_checkpoint(folder):
            return None
        raise UserError(
            f"checkpoint {folder.absolute()} has neither {RECORD} nor {ADAPTER[0]}",
            "give the folder that `branchwise train` or peft's save_pretrained wrote",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("schema_version")
        if version != CHECKPOINT_VERSION:
            raise UserError(
                f"{path} has schema version {version}, this program reads {CHECKPOINT_VERSION}",
                "train it anew, or use the program that wrote it",
            )
        return CheckpointRecord.model_validate(content)
    except (ValueError, ValidationError) as error:
        raise UserError(
            f"{path} is broken: {str(error).splitlines()[0]}", "train it anew, or copy it anew"
        ) from None


def check_files(folder: Path, record: CheckpointRecord | None) -> None:
    """Raises UserError where a file of a checkpoint is missing, or is not what was written."""
    names = dict.fromkeys(ADAPTER) if record is None else record.files
    for name, wanted in names.items():
        path = folder / name
        if not path.is_file():
            raise UserError(
                f"checkpoint {folder.absolute()} has no {name}", "copy the whole folder, or train it anew"
            )
        if wanted is not None and file_hash(path) != wanted:
            raise UserError(
                f"{path} of the checkpoint is cut off or changed: it is not the file that was written",
                "copy the folder anew, or train it anew",
            )


def check_base(folder: Path, record: CheckpointRecord | None, model_folder: Path) -> None:
    """Raises UserError where a checkpoint was trained on another model than the one in a folder."""
    if record is None or record.base.files is None:
        return
    found = folder_hash(model_folder)
    if found != record.base.files:
        raise UserError(
            f"checkpoint {folder.absolute()} was trained on {record.base.name} "
            f"(files {record.base.files}), and the model in {model_folder} is another one ({found})",
            f"use it with {record.base.name}, or train on this model",
        )


def checkpoint_hash(folder: Path) -> str | None:
    """Hash of what a checkpoint does to a model: its files and how they are used, not how they came to
    be; None where there is none.
    """
    if not is_checkpoint(folder):
        return None
    record = read_record(folder)
    if record is None:
        return folder_hash(folder)
    mixer = record.mixer.model_dump(mode="json") if record.mixer else None
    return value_hash([record.files, record.parts, mixer, record.merged])


class Seen(NamedTuple):
    """Hashes of the passages that a checkpoint was trained on, and of those that it was chosen by."""

    trained: frozenset[str] = frozenset()
    looked_at: frozenset[str] = frozenset()


def seen_passages(folder: Path) -> Seen:
    """What a checkpoint has seen; nothing is known of somebody else's. Raises UserError where the list is
    missing or changed.
    """
    record = read_record(folder)
    if record is None:
        return Seen()
    path = folder / PASSAGES
    if not path.is_file() or file_hash(path) != record.files.get(PASSAGES):
        raise UserError(
            f"{path} of the checkpoint is missing or changed: whether it has seen what is evaluated "
            "cannot be told",
            "copy the whole folder, or train it anew",
        )
    content = json.loads(path.read_text(encoding="utf-8"))
    return Seen(**{name: frozenset(hashes) for name, hashes in content.items()})
