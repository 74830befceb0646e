"""What an experiment will need: memory for weights, keys and values, and room for results. Estimates."""

import json
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from branchwise.config import Experiment
from branchwise.config.identity import groups_file
from branchwise.data.groups_file import read_preparation
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.gguf import located, read_header
from branchwise.decoding.models.places import place_of
from branchwise.errors import UserError

BYTES_BY_DTYPE = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I8": 1, "U8": 1}
"""As safetensors call them; others are counted as two bytes."""
_BYTES_BY_NAME = {"float32": 4, "bfloat16": 2, "float16": 2}
BESIDE_BYTES = 600 * 2**20
"""What Python, torch and transformers take, without a model."""
_ROW_BYTES = 1500
"""Of an answer in all files of a cell, without its prompt."""
_PROMPT_COPIES = 2.2
"""A prompt stands in trace.jsonl as messages and as text."""
_BYTES_A_TOKEN = 3
"""Of text, at least: an estimate of tokens from bytes is not to be too low."""


class Groups(NamedTuple):
    """A data set's groups: how many, their questions, and bytes of a group as its file has it. None where
    they are not prepared yet.
    """

    num_groups: int
    num_questions: int
    group_bytes: float


class ModelNeed(NamedTuple):
    """Bytes that a model takes: its weights as they are loaded, on disk where they have yet to come, and
    keys and values of a token. None where nobody knows.
    """

    name: str
    weights: int | None
    to_come: int | None
    kv_of_token: int | None


def groups_of(experiment: Experiment) -> dict[str, Groups]:
    """The data sets that are prepared."""
    found = {}
    for name in experiment.datasets:
        path = groups_file(experiment, name)
        try:
            made = read_preparation(path)
        except (UserError, OSError, ValueError):
            continue
        size = path.stat().st_size / max(1, made.num_groups)
        found[name] = Groups(made.num_groups, made.num_questions, size)
    return found


def result_bytes(experiment: Experiment, groups: Mapping[str, Groups]) -> int | None:
    """Bytes of all cells' files, generously; None where no data set is prepared. Those that are not count
    like the average of those that are.
    """
    sizes = {
        name: one.num_questions * (_ROW_BYTES + _PROMPT_COPIES * one.group_bytes)
        for name, one in groups.items()
    }
    if not sizes:
        return None
    average = sum(sizes.values()) / len(sizes)
    return round(sum(sizes.get(cell.dataset, average) for cell in experiment.cells))


def needs_of(
    name: str, entry: ModelEntry, on_cpu: bool, hub_sizes: Mapping[str, Mapping[str, int]]
) -> ModelNeed:
    """What a model takes; of one that is not here, as the hub says of it (`hub_sizes`, by id)."""
    width = _width_of(entry, on_cpu)
    try:
        if entry.gguf is not None:
            header = read_header(located(entry, online=False))
            return ModelNeed(name, header.num_elements * (width or 4), header.num_elements * 4, None)
        folder = place_of(entry, online=False).folder
        weights = sum(_weights_of(file, width) for file in sorted(folder.glob("*.safetensors")))
        return ModelNeed(name, weights or None, 0, _kv_of_token(folder, width))
    except (UserError, OSError, ValueError, KeyError, TypeError):
        parts = hub_sizes.get(entry.hub or "", {})
        loaded = sum(number * (width or BYTES_BY_DTYPE.get(kind, 2)) for kind, number in parts.items())
        to_come = sum(number * BYTES_BY_DTYPE.get(kind, 2) for kind, number in parts.items())
        return ModelNeed(name, loaded or None, to_come or None, None)


def _width_of(entry: ModelEntry, on_cpu: bool) -> int | None:
    """Bytes of a weight in the dtype that a model is loaded in; None: that of its files."""
    if entry.dtype == "auto":
        return 4 if on_cpu else None
    return _BYTES_BY_NAME[entry.dtype]


def _weights_of(file: Path, width: int | None) -> int:
    """Bytes of the weights of a file of safetensors, from its header."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > file.stat().st_size:
            raise ValueError(f"{file} is no file of safetensors")
        header: dict[str, Any] = json.loads(opened.read(length))
    tensors = [one for name, one in header.items() if name != "__metadata__"]
    return sum(prod(one["shape"]) * (width or BYTES_BY_DTYPE.get(one["dtype"], 2)) for one in tensors)


def _kv_of_token(folder: Path, width: int | None) -> int | None:
    """Bytes of the keys and values of one token in all layers; None where config.json does not say."""
    stated = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = stated.get("text_config") or stated
    try:
        query = text["num_attention_heads"]
        head = text.get("head_dim") or text["hidden_size"] // query
        heads = text.get("num_key_value_heads") or query
        return 2 * text["num_hidden_layers"] * heads * head * (width or 2)
    except (KeyError, TypeError, ZeroDivisionError):
        return None


def kv_bytes(experiment: Experiment, need: ModelNeed, groups: Mapping[str, Groups]) -> int | None:
    """Bytes of the keys and values of all groups that are asked at once, of the data set with the longest
    ones, its answers at their full budget; None where that is not known.
    """
    if need.kv_of_token is None or not groups:
        return None
    longest = max(_tokens_of(one, experiment.max_new_tokens) for one in groups.values())
    return round(experiment.groups_in_flight * longest * need.kv_of_token)


def _tokens_of(groups: Groups, max_new_tokens: int) -> float:
    """Tokens of an average group, its text once, with a prompt's frame and an answer a question."""
    questions = groups.num_questions / max(1, groups.num_groups)
    frame = 50
    return groups.group_bytes / _BYTES_A_TOKEN + questions * (max_new_tokens + frame)


def hub_data(experiment: Experiment) -> Iterator[str]:
    """Data sets that have to be read from the hub: neither a file nor prepared."""
    ready = groups_of(experiment)
    for name in experiment.datasets:
        entry = experiment.catalogues.datasets[name]
        if name not in ready and getattr(entry, "hub", None) and not getattr(entry, "path", None):
            yield name
