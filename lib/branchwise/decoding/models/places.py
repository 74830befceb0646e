"""Where a model's files are: the folder of an entry, made or downloaded where it may be."""

from pathlib import Path
from typing import Any, NamedTuple

from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.gguf import check_file, located, version_of
from branchwise.errors import UserError

_PATTERNS = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


class Place(NamedTuple):
    """A folder in the format of transformers. `origin` says in JSON data where it comes from (nothing of
    a local folder, whose content says it all), `notes` what readers of results must know of that.
    """

    folder: Path
    origin: dict[str, Any]
    notes: tuple[str, ...] = ()


def place_of(entry: ModelEntry, online: bool = True) -> Place:
    """The folder of a model. A hub model is downloaded to the hub's cache, if `online`; a GGUF file is
    converted to a folder, the first time that it is used.

    Raises UserError where there is no such model, or not on this machine.
    """
    if entry.path is not None:
        return Place(_own_folder(entry.path), {})
    if entry.gguf is not None:
        return _from_gguf(entry, online)
    if entry.hub is None:
        raise UserError(
            f"{entry.served} is known by its name on a server alone",
            "say in its entry where weights and tokenizer lie: path, hub or gguf",
        )
    folder = _snapshot(entry, online)
    commit = _commit_of(folder)
    origin = {"hub": entry.hub, "revision": entry.revision, "commit": commit}
    return Place(folder, origin, _pinning(entry, commit))


def cached_commit(entry: ModelEntry) -> str | None:
    """The commit of which a hub model's weights are in the hub's cache; None where there are none."""
    try:
        if entry.gguf is not None:
            return _commit_of(located(entry, online=False))
        folder = _snapshot(entry, online=False)
    except UserError:
        return None
    return _commit_of(folder) if any(folder.glob("*.safetensors")) else None


def _own_folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if not (folder / "config.json").is_file():
        raise UserError(
            f"model folder {folder.absolute()} has no config.json",
            "check its `path:`"
            + ("; `snakemake tiny_model` makes the tiny model" if "tiny" in folder.name else ""),
        )
    return folder


def _from_gguf(entry: ModelEntry, online: bool) -> Place:
    # Converting needs torch, which whoever counts bytes does not.
    from branchwise.decoding.models.converting import converted

    check_file(entry)
    file = located(entry, online)
    source: dict[str, Any] = {"gguf": file.name}
    notes: tuple[str, ...] = ()
    if entry.package is not None:
        source |= {"package": entry.package, "version": version_of(entry.package)}
    if entry.hub is not None:
        commit = _commit_of(file)
        source |= {"hub": entry.hub, "revision": entry.revision, "commit": commit}
        notes = _pinning(entry, commit)
    made = converted(file, source)
    return Place(made.folder, made.origin, (*notes, *made.notes))


def _snapshot(entry: ModelEntry, online: bool) -> Path:
    from huggingface_hub import snapshot_download

    assert entry.hub is not None, "an entry has a path, a hub id or a GGUF file"
    try:
        if not online:
            return Path(snapshot_download(entry.hub, revision=entry.revision, local_files_only=True))
        return Path(snapshot_download(entry.hub, revision=entry.revision, allow_patterns=_PATTERNS))
    except (OSError, ValueError) as error:
        if not online:
            raise UserError(f"{entry.hub} is not in the hub's cache", "go online once") from error
        raise UserError(
            f"model {entry.hub} could not be read from the hub: {str(error).splitlines()[0]}",
            "go online once, or give `path:` to a local folder",
        ) from error


def _commit_of(path: Path) -> str | None:
    """The commit that files in the hub's cache (.../snapshots/COMMIT/...) are of."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts[:-1] else None


def _pinning(entry: ModelEntry, commit: str | None) -> tuple[str, ...]:
    """A sentence on a hub model of which whatever is newest was taken."""
    if entry.revision is not None:
        return ()
    was = f"commit {commit}" if commit else "whatever was newest"
    write = f"`revision: {commit}`" if commit else "its revision"
    return (
        f"hub model {entry.hub} has no pinned revision, and {was} was loaded: write {write} in its entry "
        "(`branchwise doctor` says which one is here, and which the hub has)",
    )
