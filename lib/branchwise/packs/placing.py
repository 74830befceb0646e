"""Unpacked results put in their place: nothing that lies there is ever overwritten."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from branchwise.errors import UserError
from branchwise.files import file_hash, write_text
from branchwise.packs.archive import unpack_into
from branchwise.packs.manifest import CONFIG, MANIFEST, Manifest, PackedResult
from branchwise.reporting.heads import RUN, SCORES, TIMES, Kind, head_of
from branchwise.status.cells import other_codes

PACKS = "packs"
"""Below the folder of results: what was unpacked there, by experiment."""

_KINDS = {"run.json": RUN, "scores.json": SCORES}


class Left(NamedTuple):
    """A result that was not put in place, and why."""

    name: str
    why: str


class Unpacked(NamedTuple):
    """What came of unpacking: names of results put in place, of those there before, and those left."""

    manifest: Manifest
    about: Path
    placed: tuple[str, ...]
    there: tuple[str, ...]
    left: tuple[Left, ...]


def unpack(pack: Path, into: Path, max_bytes: int) -> Unpacked:
    """Put the results of a pack below a folder, each whole or not at all, once all of it was checked.

    What is there already stays: the same file as it is, and another one with a result of the pack left
    out and named. Raises UserError as `unpack_into` does, with nothing put in place.
    """
    if into.exists() and not into.is_dir():
        raise UserError(f"{into} is no folder", "name a folder with --into")
    into.mkdir(parents=True, exist_ok=True)
    # Beside their places, so that they need only be renamed.
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=into) as temporary:
        folder = Path(temporary)
        manifest = unpack_into(pack, folder, max_bytes)
        placed, there, left = [], [], []
        for result in manifest.results:
            if problem := _conflict(result, folder, into):
                left.append(Left(f"{result.stage} {result.name}", problem))
            elif _place(result, folder, into):
                placed.append(result.name)
            else:
                there.append(result.name)
        about = into / PACKS / manifest.experiment
        config = folder / CONFIG
        write_text(about / CONFIG, config.read_text(encoding="utf-8") if config.is_file() else "")
        write_text(about / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    return Unpacked(manifest, about, tuple(placed), tuple(there), tuple(left))


def _conflict(result: PackedResult, folder: Path, into: Path) -> str:
    """Why a result cannot lie where another one does; "" where nothing is in its way."""
    for name in result.files:
        here = into / name
        if (here.exists() or here.is_symlink()) and file_hash(here) != file_hash(folder / name):
            return _difference(here, folder / name)
    # Answers without a run record are being made: the record of another run does not belong to them.
    place = (into / result.files[0]).parent
    if result.stage == "cell" and not (place / "run.json").exists() and any(place.glob("*.jsonl")):
        return f"{place} holds answers of a run that is not over"
    return ""


def _difference(here: Path, packed: Path) -> str:
    """What the file that is there is, beside the packed one."""
    kind: Kind | None = _KINDS.get(here.name, TIMES if here.parts[-5:-4] == ("times",) else None)
    if kind is None:
        return f"{here} is another file"
    try:
        mine, theirs = head_of(here, kind)["identity"], head_of(packed, kind)["identity"]
    except UserError as error:
        return error.problem
    if mine.settings != theirs.settings:
        return f"{here} is of other settings"
    if other := other_codes(mine, theirs, "in the pack"):
        return f"{here} is of {other}"
    return f"{here} is of another run with the same settings and code"


def _place(result: PackedResult, folder: Path, into: Path) -> bool:
    """Put the files of a result in place that are not there; whether there were any.

    The last one named is moved last: a cell whose scores are there is whole.
    """
    absent = [name for name in result.files if not (into / name).exists()]
    for name in absent:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).rename(into / name)
    return bool(absent)
