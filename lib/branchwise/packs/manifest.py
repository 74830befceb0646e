"""What a pack says of itself: its files with their checksums, and what each result was made of."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from branchwise.decoding.trained.folder import CHECKPOINT_VERSION
from branchwise.errors import UserError
from branchwise.records import Record
from branchwise.results import SCHEMA_VERSION
from branchwise.times import TIMES_VERSION

PACK_VERSION: Literal[1] = 1
MANIFEST, CONFIG = "manifest.json", "config.yaml"
SCHEMAS = {"results": SCHEMA_VERSION, "times": TIMES_VERSION, "checkpoint": CHECKPOINT_VERSION}
"""Schema versions of the files that packs hold."""

_PART = r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]*"
_HASH = "[0-9a-f]{8}"
_CELL = f"cells/{_PART}/{_PART}/{_PART}/{_PART}/{_HASH}"
_PLACES = re.compile(
    "|".join(
        (
            re.escape(CONFIG),
            rf"{_CELL}/(run\.json|(answers|trace)\.jsonl|{_HASH}/scores\.json)",
            rf"times/{_PART}/{_PART}/{_PART}/{_HASH}\.json",
            rf"training/{_PART}/{_PART}/{_HASH}/(checkpoint\.json|curve\.csv)",
        )
    )
)
"""Paths that files of a pack may have: none is absolute, and no part of one begins with a dot."""


class PackedFile(Record):
    """A file of a pack."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0, description="Bytes.")


class PackedResult(Record):
    """A result of a pack: what it is of, and by what it was made."""

    stage: Literal["cell", "time", "train"]
    name: str
    files: tuple[str, ...]
    settings: str = Field(description="Hash of its settings.")
    code: dict[str, str] = Field(description="What -> hash of the code that it was made by.")
    stale: str = Field("", description="Where that is not the code that packed it: what differs.")


class Absent(Record):
    """A result of the experiment that the pack does not hold, and why."""

    stage: Literal["cell", "time", "train"]
    name: str
    state: str
    detail: str = ""


class Manifest(Record):
    """manifest.json, the first file of every pack."""

    schema_version: Literal[1] = PACK_VERSION
    experiment: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    branchwise: str = Field(description="Version of the program that packed it.")
    commit: str | None = Field(description="The same, its commit.")
    dirty: bool | None = Field(description="Whether tracked files differed from the commit.")
    packed: str = Field(description="The day, UTC; by $SOURCE_DATE_EPOCH where it is set.")
    schemas: dict[str, int] = Field(description="Schema versions of the files.")
    results: tuple[PackedResult, ...]
    absent: tuple[Absent, ...] = Field((), description="What is missing.")
    files: dict[str, PackedFile]


def parse_manifest(data: bytes, pack: Path) -> Manifest:
    """A manifest, checked. Raises UserError for one of another version, for what is none, and for paths
    and schema versions that this program has no use for.
    """
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{pack}: its {MANIFEST} is not of pack version {PACK_VERSION}: {place}: {first['msg']}",
            "take a pack of `branchwise pack`, of this version of the program",
        ) from None
    if strange := [name for name in manifest.files if not _PLACES.fullmatch(name)]:
        raise UserError(f"{pack} names {strange[0]!r}, which is no place of a result", "do not trust it")
    for what, version in manifest.schemas.items():
        here = SCHEMAS.get(what)
        if here != version:
            raise UserError(
                f"{pack} holds {what} of schema version {version}, this program reads {here}",
                f"unpack it with branchwise {manifest.branchwise} (commit {manifest.commit}), or make "
                "the results anew",
            )
    named = {name for result in manifest.results for name in result.files}
    if unknown := named - set(manifest.files):
        raise UserError(f"{pack} lacks {min(unknown)}, which a result of it has", "have it packed anew")
    return manifest
