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
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder)}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= _SMALL_BYTES:
                digest.update(file.read())
            else:
                digest.update(file.read(2**20))
                file.seek(-(2**20), os.SEEK_END)
                digest.update(file.read())
    return digest.hexdigest()[:16] if found else None
