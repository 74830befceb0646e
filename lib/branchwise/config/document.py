"""The config reference and JSON schema, written from the types."""

import inspect
import json
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from branchwise.config.compatibility import with_table
from branchwise.config.load import load_catalogues
from branchwise.config.types import Exclusion, Experiment, Roles
from branchwise.data.sources import SOURCES
from branchwise.data.sources.base import FileDataset
from branchwise.data.sources.jsonl import OwnGroup
from branchwise.data.worlds.dataset import WorldsDataset
from branchwise.decoding.decoders import DECODERS
from branchwise.decoding.decoders.base import SamplingEntry
from branchwise.decoding.decoders.tree import GridEntry
from branchwise.decoding.mixers.entry import MixerEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.dependencies.entries import AttentionEntry, ControlEntry, HeuristicEntry, LlmEntry
from branchwise.dependencies.selection import Selection
from branchwise.evaluation.entries import JudgeEntry
from branchwise.prompts.entry import StyleEntry
from branchwise.serving.prices import Price
from branchwise.strategies.entry import StrategyEntry
from branchwise.strategies.loading import names, options_model
from branchwise.training.recipes import RECIPES, BaseRecipe, LoraEntry, kind_of
from branchwise.wordings.entries import GeneratedEntry, SelfAgreementEntry

SECTIONS: dict[str, tuple[tuple[str, type[BaseModel]], ...]] = {
    "An experiment (`config/*.yaml`)": (
        ("", Experiment),
        ("`exclude`: a list of these", Exclusion),
        ("`roles`", Roles),
        ("`judge`", JudgeEntry),
    ),
    "Data sets (`config/catalogues/datasets.yaml`)": (
        ("`source: worlds`", WorldsDataset),
        ("Every set that is read, from a local file or from the hub", FileDataset),
        *((f"`source: {name}`", entry) for name, entry in SOURCES.items()),
    ),
    "Models (`config/catalogues/models.yaml`)": (
        ("", ModelEntry),
        ("`price`", Price),
    ),
    "Strategies (`config/catalogues/strategies.yaml`)": (
        ("", StrategyEntry),
        *((f"`options` of module `{name}`", model) for name in names() if (model := options_model(name))),
    ),
    "Dependencies (`config/catalogues/dependencies.yaml`)": (
        ("`kind: none`, `gold`, `random`, `reverse`", ControlEntry),
        ("`kind: heuristic`", HeuristicEntry),
        ("`kind: llm`", LlmEntry),
        ("`kind: attention`", AttentionEntry),
        ("`selection`", Selection),
    ),
    "Paraphrases (`config/catalogues/paraphrases.yaml`)": (("`kind: generated`", GeneratedEntry),),
    "Confidence (`config/catalogues/confidence.yaml`)": (("`kind: self_agreement`", SelfAgreementEntry),),
    "Trainings (`config/catalogues/trainings.yaml`)": (
        ("Every training", BaseRecipe),
        *((f"`kind: {kind_of(recipe)}`", recipe) for recipe in RECIPES),
        ("`lora`", LoraEntry),
        ("`mixer`", MixerEntry),
    ),
    "Prompt styles (`config/catalogues/styles.yaml`)": (("", StyleEntry),),
    "Decoders (`config/catalogues/decoders.yaml`)": (
        *((f"`kind: {kind}`", entry) for kind, entry in DECODERS.items()),
        ("`sampling`", SamplingEntry),
        ("`grid` of kind tree", GridEntry),
    ),
}

_INTRODUCTION = """# Configuration

Written by `branchwise document` from the types of the entries; do not edit.

An experiment is a grid: `datasets` x `models` x `strategies` x `decoders`, minus what `exclude` leaves
out. Each name stands for an entry of a catalogue in `config/catalogues`, or of `define` in the
experiment itself:

```yaml
experiment: mine
datasets: [squad_mine]
models: [my_model]
strategies: [sequential, batch]
decoders: [tree]
define:
  datasets:
    squad_mine: {source: squad, path: /data/dev-v1.1.json, group_size: 5}
  models:
    my_model: {path: /models/Qwen2.5-7B-Instruct, dtype: bfloat16}
```

`snakemake --cores all --configfile mine.yaml` runs it; `branchwise cells --config mine.yaml` only
checks it. Unknown keys and names are refused, and so is a strategy on a decoder that cannot run it.
Relative paths are relative to the file that says so, and those of the catalogues to the repository.
Editors complete and check these files with `config/schema.json` (first line of a config:
`# yaml-language-server: $schema=schema.json`).
"""


def reference() -> str:
    """The text of config/README.md."""
    parts = [_INTRODUCTION]
    for title, models in SECTIONS.items():
        parts.append(f"## {title}\n")
        for heading, model in models:
            if heading:
                parts.append(f"### {heading}\n")
            parts.append(f"{inspect.cleandoc(model.__doc__ or '')}\n")
            parts.append(_table(model))
    return "\n".join(parts)


def _table(model: type[BaseModel]) -> str:
    lines = ["| key | type | default | what it is |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        if _is_inherited(model, name):
            continue
        cells = (f"`{field.alias or name}`", _type(field), _default(field), field.description or "")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _is_inherited(model: type[BaseModel], name: str) -> bool:
    """Whether a read set, or a training, has this field just as every other one has."""
    base = next((one for one in (FileDataset, BaseRecipe) if issubclass(model, one)), None)
    if base is None or model is base:
        return False
    common = base.model_fields.get(name)
    return common is not None and common.default == model.model_fields[name].default


def _type(field: FieldInfo) -> str:
    text = _name(field.annotation)
    limits = [str(limit) for limit in field.metadata if type(limit).__name__ in ("Ge", "Gt", "Le", "Lt")]
    signs = {"Ge(ge=": "at least ", "Gt(gt=": "above ", "Le(le=": "at most ", "Lt(lt=": "below "}
    for limit in limits:
        for prefix, words in signs.items():
            if limit.startswith(prefix):
                text += f", {words}{limit.removeprefix(prefix).rstrip(')')}"
    return text


def _name(annotation: Any) -> str:
    """A type as a reader of YAML thinks of it."""
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if annotation in plain:
        return plain[annotation]
    args = [arg for arg in get_args(annotation) if arg is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if get_origin(annotation) in (tuple, list):
        return f"list of {_name(args[0])}"
    if args:
        return " or ".join(dict.fromkeys(_name(arg) for arg in args if arg is not Ellipsis))
    return getattr(annotation, "__name__", str(annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default
    if value is PydanticUndefined or value is None or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


def own_data_schema() -> str:
    """The text of config/own-data.schema.json: one line of a file for `source: jsonl`."""
    return _as_schema(OwnGroup.model_json_schema())


def schema() -> str:
    """The text of config/schema.json (JSON Schema 2020-12)."""
    return _as_schema(Experiment.model_json_schema())


def _as_schema(content: dict[str, Any]) -> str:
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def documents(root: Path) -> dict[Path, str]:
    """Every generated file with its text."""
    readme = root / "README.md"
    return {
        readme: with_table(readme.read_text(encoding="utf-8"), load_catalogues(root)),
        root / "config/README.md": reference(),
        root / "config/schema.json": schema(),
        root / "config/own-data.schema.json": own_data_schema(),
    }
