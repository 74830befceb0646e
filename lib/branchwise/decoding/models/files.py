"""A model folder by its content. Torch-free."""

import hashlib
import os
from functools import cache
from pathlib import Path

_SMALL_BYTES = 16 * 2**20
MODEL_FILES = (
    "*.safetensors*",
    "*config.json",
    "tokenizer.*",
    "vocab.*",
    "merges.txt",
    "*tokens*.json",
    "*.jinja",
    "adapter_model.*",
)
"""What of a model folder decides its tokens."""


@cache
def folder_hash(folder: Path) -> str | None:
    """Hash of a model folder: small files whole, large ones by size, first and last megabyte.

    Only files that decide tokens count (MODEL_FILES), so a new model card re-runs nothing. None where the
    folder has none of them.
    """
    digest = hashlib.sha256()
    found = {path for pattern in MODEL_FILES for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(found):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        digest.update(_ends(path))
    return digest.hexdigest()[:16] if found else None


def quick_hash(path: Path) -> str:
    """Hash of a file by its size and what `folder_hash` reads of it: a large one in no time."""
    return hashlib.sha256(f"{path.stat().st_size}\0".encode() + _ends(path)).hexdigest()[:16]


def _ends(path: Path) -> bytes:
    """A small file whole; of a large one the first and the last megabyte."""
    with path.open("rb") as file:
        if path.stat().st_size <= _SMALL_BYTES:
            return file.read()
        first = file.read(2**20)
        file.seek(-(2**20), os.SEEK_END)
        return first + file.read()
