"""GGUF files as folders of transformers: converted once, to float32, and kept outside the repository.

A converted model is named after its file and that file's content. It is written under another name and
renamed when it is whole, so that a killed run leaves nothing half-written; what is there is checked
before it is used again.
"""

import json
import os
import shutil
import sys
from glob import escape
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from branchwise.decoding.models.files import quick_hash
from branchwise.decoding.models.gguf import Header, check_whole, quantisation_of, read_header
from branchwise.decoding.models.weights import check_complete, quiet_report, reason_of
from branchwise.errors import UserError
from branchwise.files import cache_folder, content_hash, file_hash
from branchwise.locks import alone

FORM = 1
"""Raised where what is written changes: models of another form are converted anew."""
ORIGIN = "origin.json"
"""The file of a converted model that says what it was made from, and of what files it consists."""

_BYTES_PER_NUMBER = 4
_NO_DECODER = frozenset({"general", "tokenizer", "t5", "umt5"})


class Converted(NamedTuple):
    """A model's folder, what it was made from, and sentences on what readers of results must know."""

    folder: Path
    origin: dict[str, Any]
    notes: tuple[str, ...] = ()


def models_folder() -> Path:
    """Where converted models lie: in the cache."""
    return cache_folder() / "models"


def folder_for(file: Path) -> Path:
    """Where the model that a GGUF file is converted to lies, or would lie."""
    return models_folder() / f"{file.stem}-{content_hash(file)}"


def what_is_wrong(folder: Path) -> str | None:
    """Why a converted model cannot be used; None where it is whole. Quick: see `quick_hash`."""
    if not folder.is_dir():
        return "it is not there"
    try:
        origin = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        form, files = origin["form"], origin["files"]
        if form != FORM:
            return f"it was written by another version of Branchwise (form {form}, now {FORM})"
        for name, facts in files.items():
            if quick_hash(folder / name) != facts["quick_hash"]:
                return f"{name} is not what was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{ORIGIN} cannot be read"
    return None


def converted(file: Path, source: dict[str, Any]) -> Converted:
    """The model of a GGUF file as a folder of transformers, made where it is not there yet.

    `source` says where the file comes from, and is written down. Raises UserError for a file that is
    none, is cut off, or holds what transformers cannot load, and where there is no room.
    """
    folder = folder_for(file)
    notes: tuple[str, ...] = ()
    if what_is_wrong(folder) is not None:
        header = read_header(file)
        with alone(folder.parent / f".{folder.name}.lock", _say, f"converts {file.name}"):
            # Another process may have made it in the meantime.
            if wrong := what_is_wrong(folder):
                if folder.exists():
                    notes = (f"the converted model {folder} was made anew: {wrong}",)
                    _say(f"warning: {notes[0]}")
                _convert(file, header, source, folder)
    origin = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    told = {key: value for key, value in origin.items() if key not in ("files", "form", "notes")}
    return Converted(folder, told | {"source": source}, (*notes, *origin["notes"]))


def _convert(file: Path, header: Header, source: dict[str, Any], folder: Path) -> None:
    """Write the folder anew; called by one process at a time."""
    check_loadable(header, file)
    check_whole(header, file)
    # Of runs that were killed: whoever writes one has the lock.
    for left in folder.parent.glob(f".{escape(folder.name)}.*"):
        if left.is_dir():
            shutil.rmtree(left)
    _check_room(header, file, folder.parent)
    _say(f"converting {file.name} to float32 safetensors, once: {folder}")
    temporary = folder.parent / f".{folder.name}.{os.getpid()}"
    temporary.mkdir()
    try:
        notes = _save(file, header, temporary)
        origin = _origin(file, header, source) | {"notes": notes, "files": _files(temporary)}
        text = json.dumps(origin, indent=1, ensure_ascii=False) + "\n"
        (temporary / ORIGIN).write_text(text, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as error:
        raise UserError(
            f"{folder} could not be written: {error.strerror or reason_of(error)}",
            "free some space, or set BRANCHWISE_CACHE to a folder with room",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _save(file: Path, header: Header, folder: Path) -> list[str]:
    """Write weights, config, tokenizer and generation config; sentences on what was left out."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    try:
        # From a folder of its own: transformers would read the files of another model beside it.
        with quiet_report(), TemporaryDirectory() as own:
            (Path(own) / "model.gguf").symlink_to(file.resolve())
            tokenizer = AutoTokenizer.from_pretrained(
                own, gguf_file="model.gguf", trust_remote_code=False
            )
            # With output_loading_info it is a pair, which its type does not say.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                own,
                gguf_file="model.gguf",
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
                # Not to be let through, but to be named: see check_complete.
                ignore_mismatched_sizes=True,
            )
    except Exception as error:  # the file is the user's, and what a strange one raises is not settled
        raise UserError(
            f"no model could be loaded from GGUF file {file}: {reason_of(error)}",
            "take a file of another quantisation, or the model in the format of transformers",
        ) from error
    model, info = loaded
    notes = [*check_complete(info, str(file)), *_unused(model, header)]
    # It is quantised no more, and lies elsewhere: transformers would refuse to save it, and to load it.
    gone = ("quantization_config", "_model_name_or_path", "_name_or_path")
    config = {key: value for key, value in model.config.to_dict().items() if key not in gone}
    model.hf_quantizer = None
    model.config = type(model.config).from_dict(config)
    facts = header.facts
    named = [facts.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    ends = list(dict.fromkeys(end for end in named if end is not None))
    model.generation_config = GenerationConfig(
        bos_token_id=facts.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=ends if len(ends) > 1 else next(iter(ends), None),
        pad_token_id=facts.get("tokenizer.ggml.padding_token_id"),
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return notes


def _unused(model: Any, header: Header) -> tuple[str, ...]:
    """A sentence on numbers in the file that the model has no place for, which transformers skips."""
    held = sum(parameter.numel() for parameter in model.parameters())
    if header.num_elements <= held:
        return ()
    more = header.num_elements - held
    return (
        f"the GGUF file holds {more:,} numbers (of {header.num_elements:,}) that the model does not use",
    )


def check_loadable(header: Header, file: Path) -> None:
    """Raises UserError for an architecture that transformers cannot load from GGUF, and for a stretched
    rotary embedding, which it would leave out without a word.
    """
    known = loadable_architectures()
    if _plain(header.architecture) not in map(_plain, known):
        raise UserError(
            f"{file} is of architecture {header.architecture}, which transformers cannot load from GGUF",
            f"take a file of one of {', '.join(known)}, or the model in the format of transformers",
        )
    scaling = header.facts.get(f"{header.architecture}.rope.scaling.type", "none")
    factors = [tensor.name for tensor in header.tensors if tensor.name.startswith("rope_f")]
    if factors or scaling != "none":
        what = ", ".join(factors) or f"rope.scaling.type {scaling}"
        raise UserError(
            f"{file} stretches its rotary embedding ({what}), which transformers leaves out when it "
            "reads GGUF: answers would be wrong",
            "take the model in the format of transformers",
        )


def loadable_architectures() -> list[str]:
    """Architectures of decoders that the installed transformers loads from GGUF."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    known = set(GGUF_SUPPORTED_ARCHITECTURES)
    try:
        # Since 5.23 some have a reader of their own.
        from transformers.integrations.gguf import GGUF_CONFIG_ARCHS
    except ImportError:
        pass
    else:
        known |= set(GGUF_CONFIG_ARCHS)
    return sorted(known - _NO_DECODER)


def _plain(architecture: str) -> str:
    """An architecture as GGUF and transformers both would spell it (qwen3moe, qwen3_moe)."""
    return architecture.replace("_", "").replace("-", "")


def _check_room(header: Header, file: Path, parent: Path) -> None:
    needed = header.num_elements * _BYTES_PER_NUMBER
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise UserError(
            f"{file.name} takes {needed / 1e9:.1f} GB as float32, {parent} has {free / 1e9:.1f} GB free",
            "free some space, or set BRANCHWISE_CACHE to a folder with room",
        )


def _origin(file: Path, header: Header, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "form": FORM,
        "source": source,
        "gguf_hash": content_hash(file),
        "architecture": header.architecture,
        "name": header.facts.get("general.name"),
        "quantization": quantisation_of(header),
        "pre_tokenizer": header.facts.get("tokenizer.ggml.pre"),
        "dequantized_to": "float32",
        "converted_with": {name: version(name) for name in ("transformers", "gguf")},
    }


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    """Every file of a folder by its size and content."""
    return {
        path.name: {
            "bytes": path.stat().st_size,
            "hash": file_hash(path),
            "quick_hash": quick_hash(path),
        }
        for path in sorted(folder.iterdir())
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr)
