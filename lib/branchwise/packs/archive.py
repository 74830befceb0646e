"""The archive of a pack: written the same from the same files, and read as if by a stranger's hand."""

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, BinaryIO

from branchwise.errors import UserError
from branchwise.files import atomic_path
from branchwise.packs.manifest import MANIFEST, Manifest, PackedFile, parse_manifest

Source = Path | bytes
_ANEW = "copy it anew, or have it packed anew"
_CHUNK = 1 << 20
_HEADER_BYTES = 1 << 16
"""Beyond a file's own: its header with long names, and what fills its last block."""
_MANIFEST_BYTES = 64 << 20
_GIB = 1 << 30


def fact_of(source: Source) -> PackedFile:
    """Checksum and size of a file, or of bytes."""
    if isinstance(source, bytes):
        return PackedFile(sha256=hashlib.sha256(source).hexdigest(), size=len(source))
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return PackedFile(sha256=digest, size=file.tell())


def write_pack(out: Path, manifest: Manifest, sources: Mapping[str, Source]) -> None:
    """Write an archive: the manifest, then its files in the order of their names.

    Neither times, owners nor modes of files get into it. Raises UserError where a file is no longer what
    the manifest says, or the archive cannot be written.
    """
    # Indented: people look into it.
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    data = text.encode() + b"\n"
    with (
        atomic_path(out) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        _add(tar, MANIFEST, data, fact_of(data))
        for name in sorted(manifest.files):
            _add(tar, name, sources[name], manifest.files[name])


def _add(tar: tarfile.TarFile, name: str, source: Source, fact: PackedFile) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = fact.size, 0o644
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        reader = _Digesting(file)
        try:
            tar.addfile(member, reader)
        except OSError as error:
            if "unexpected end" not in str(error):
                raise
    if reader.digest.hexdigest() != fact.sha256:
        raise UserError(f"{source!s} has changed while it was packed", "pack it again when nothing runs")


class _Digesting:
    """A file of which the checksum is taken as it is read."""

    def __init__(self, file: BinaryIO | IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        data = self.file.read(size)
        self.digest.update(data)
        return data


class _Metered:
    """A stream of which no more can be read than was granted: an archive's sizes are its own claims."""

    def __init__(self, file: gzip.GzipFile, pack: Path) -> None:
        self.file = file
        self.pack = pack
        self.left = 0

    def grant(self, size: int) -> None:
        """So many bytes may be read from here on."""
        self.left = size

    def read(self, size: int = -1) -> bytes:
        """As of a file. Raises UserError where nothing is left of the grant."""
        if self.left <= 0:
            raise UserError(f"{self.pack} unpacks to more than it says", "do not trust it")
        data = self.file.read(min(size, self.left) if size >= 0 else self.left)
        self.left -= len(data)
        return data


def unpack_into(pack: Path, folder: Path, max_bytes: int) -> Manifest:
    """Unpack an archive into an empty folder, every file checked against the manifest; the manifest.

    Raises UserError, before or after some files lie in the folder, for an archive that is none, is cut
    off, or holds anything but the regular files that its manifest names, each of its size and checksum;
    and for one of more than `max_bytes`.
    """
    if not pack.is_file():
        what = "is a folder" if pack.is_dir() else "does not exist"
        raise UserError(f"{pack.absolute()} {what}", "give the file that `branchwise pack` wrote")
    try:
        with gzip.open(pack, "rb") as unzipped:
            stream = _Metered(unzipped, pack)
            stream.grant(_MANIFEST_BYTES + _HEADER_BYTES)
            with tarfile.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload]
                manifest = _unpack(tar, stream, pack, folder, max_bytes)
            # To the end, where the checksum of the whole is.
            stream.grant(_HEADER_BYTES)
            while stream.read(_CHUNK):
                pass
            return manifest
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{pack} is cut off, or no pack: {error}", _ANEW) from None


def _unpack(tar: tarfile.TarFile, stream: _Metered, pack: Path, folder: Path, max_bytes: int) -> Manifest:
    manifest = _manifest_of(tar, pack)
    total = sum(file.size for file in manifest.files.values())
    if total > max_bytes:
        raise UserError(
            f"{pack} unpacks to {total / _GIB:.1f} GiB, more than {max_bytes / _GIB:.1f}",
            "allow it with --max-gib, if you trust it",
        )
    missing = dict(manifest.files)
    while (member := _next(tar, stream)) is not None:
        _check(member, missing, manifest, pack)
        stream.grant(member.size + _HEADER_BYTES)
        tar.extract(member, folder, set_attrs=False, filter="data")
        if fact_of(folder / member.name) != missing.pop(member.name):
            raise UserError(f"{pack}: {member.name} is not what its checksum says", _ANEW)
    if missing:
        raise UserError(f"{pack} is cut off: it has no {min(missing)}", _ANEW)
    return manifest


def _next(tar: tarfile.TarFile, stream: _Metered) -> tarfile.TarInfo | None:
    stream.grant(_HEADER_BYTES)
    return tar.next()


def _manifest_of(tar: tarfile.TarFile, pack: Path) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.issparse():
        raise UserError(f"{pack} does not begin with {MANIFEST}", "give a file of `branchwise pack`")
    if first.size > _MANIFEST_BYTES:
        raise UserError(f"{pack}: its {MANIFEST} is of {first.size:,} bytes", "do not trust it")
    file = tar.extractfile(first)
    assert file is not None, "a regular file"
    return parse_manifest(file.read(), pack)


def _check(
    member: tarfile.TarInfo, missing: Mapping[str, PackedFile], manifest: Manifest, pack: Path
) -> None:
    """Raises UserError for a member that the manifest does not name so, or that is no regular file."""
    if not member.isreg() or member.issparse():
        raise UserError(
            f"{pack}: {member.name!r} is no ordinary file but {_kind(member)}", "do not trust it"
        )
    if member.name not in manifest.files:
        raise UserError(
            f"{pack} holds {member.name!r}, which its manifest does not name", "do not trust it"
        )
    if member.name not in missing:
        raise UserError(f"{pack} holds {member.name} twice", "do not trust it")
    stated = missing[member.name].size
    if member.size != stated:
        raise UserError(
            f"{pack}: {member.name} has {member.size} bytes, its manifest says {stated}", _ANEW
        )


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"a link to {member.linkname!r}"
    return "a folder" if member.isdir() else "a sparse file" if member.issparse() else "a device"
