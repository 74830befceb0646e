"""What settings are made of: entries as JSON data, with the content of the files that they name.

Data and models count by their content, so that their paths do not matter.
"""

from functools import cache
from typing import Any

from branchwise.config.hashing import model_hash
from branchwise.config.once import once
from branchwise.config.types import Experiment
from branchwise.data.entries import DatasetEntry
from branchwise.data.sources.base import FileDataset, local_path
from branchwise.data.style import Wording
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.decoding.models.files import folder_hash
from branchwise.files import content_hash, expanded
from branchwise.records import Record

NOT_COMPUTED = frozenset({"label", "scorer", "language", "path", "needs"})
"""Fields of entries that no answer depends on: names in print, metrics, places, and what is checked."""

NOT_MODEL = frozenset({"hub", "revision", "gguf", "package", "style", "price", "served", "served_as"})
"""Fields of a model's entry that say where it comes from (what is there counts, in its hash), how it is
asked (a setting of its own), what it costs, and its name on servers (where it is asked there)."""


@once
def groups_settings(experiment: Experiment, dataset: str) -> dict[str, Any]:
    """What the groups of a data set depend on."""
    return entry_settings(experiment.catalogues.datasets[dataset])


def entry_settings(entry: DatasetEntry) -> dict[str, Any]:
    """What the groups of an entry depend on: the entry, and the content of what it is read from."""
    settings = {k: v for k, v in plain(entry).items() if k not in Wording.model_fields}
    if isinstance(entry, FileDataset):
        path = local_path(entry)
        settings |= {"file": content_hash(path) if path else None}
        if path:
            # What is read from a file comes from no hub.
            for key in ("hub", "hub_config", "revision", "split"):
                settings.pop(key, None)
        if entry.tenths is None:
            # As it was when there were no parts.
            settings.pop("tenths")
        if entry.encoder:
            settings |= {"encoder": named_or_hashed(entry.encoder)}
    return settings


@once
def model_settings(experiment: Experiment, name: str) -> dict[str, Any]:
    """What anything depends on that a model is asked for: its entry, and the content of its files."""
    entry = experiment.catalogues.models[name]
    kept = {k: v for k, v in plain(entry).items() if k not in NOT_MODEL}
    return {**kept, "files": model_hash(experiment, name)}


def served_settings(experiment: Experiment, decoder: DecoderSettings, name: str) -> dict[str, str | None]:
    """What a model is called on a decoder's server; nothing where it is computed here."""
    entry = experiment.catalogues.models[name]
    return {"served": entry.server_name, "served_as": entry.served_as} if decoder.is_remote else {}


def named_or_hashed(encoder: str) -> str:
    """An encoder by the content of its folder, or by its name where it is none."""
    folder = expanded(encoder)
    return (folder_hash(folder) or encoder) if folder.is_dir() else encoder


@cache
def plain(entry: Record) -> dict[str, Any]:
    """An entry as JSON data, without what no answer depends on."""
    content = entry.model_dump(mode="json", by_alias=True)
    left_out = NOT_COMPUTED | getattr(entry, "not_computed", frozenset())
    return {key: value for key, value in content.items() if key not in left_out}
