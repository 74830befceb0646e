"""Archives by anybody's hand: only what the manifest names, whole and unchanged, is unpacked."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from branchwise.errors import UserError
from branchwise.packs.archive import fact_of, unpack_into, write_pack
from branchwise.packs.manifest import SCHEMAS, Manifest

MOST = 2**20
RUN = "cells/one/tiny/batch/tree/0a1b2c3d/run.json"
DATA = b'{"a": 1}\n'
CONFIG = b"experiment: trial\n"


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        **{"schema_version": 1, "experiment": "trial", "branchwise": "0", "commit": None, "dirty": None},
        **{"packed": "2026-01-01", "schemas": dict(SCHEMAS), "absent": []},
        "results": [
            {"stage": "cell", "name": "one", "files": [RUN], "settings": "s", "code": {}, "stale": ""}
        ],
        "files": {"config.yaml": fact(CONFIG), RUN: fact(DATA)},
        **changes,
    }


def fact(data: bytes, **changes: Any) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), **changes}


Member = tuple[tarfile.TarInfo, bytes]


def regular(name: str, data: bytes) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, data


def special(name: str, kind: bytes, target: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def sound(**changes: Any) -> list[Member]:
    return [
        regular("manifest.json", json.dumps(manifest(**changes)).encode()),
        regular("config.yaml", CONFIG),
        regular(RUN, DATA),
    ]


def archive(path: Path, members: list[Member], **options: Any) -> Path:
    with tarfile.open(path, "w:gz", **options) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def refused(pack: Path, folder: Path, most: int = MOST) -> str:
    """Why a pack is refused, after checking that nothing lies outside of its folder."""
    outside = set(folder.parent.rglob("*"))
    (folder / "in").mkdir(parents=True)
    with pytest.raises(UserError) as raised:
        unpack_into(pack, folder / "in", most)
    there = {path for path in folder.parent.rglob("*") if not path.is_relative_to(folder)}
    assert there == outside
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_sound_one_is_unpacked(tmp_path: Path) -> None:
    pack = archive(tmp_path / "a.tar.gz", sound())
    assert unpack_into(pack, tmp_path / "in", MOST).experiment == "trial"
    assert (tmp_path / "in" / RUN).read_bytes() == DATA
    assert (tmp_path / "in/config.yaml").read_bytes() == CONFIG


PATHS = [
    "/etc/passwd",
    "../outside.json",
    "cells/../../outside.json",
    "cells/one/tiny/batch/../0a1b2c3d/run.json",
    "cells/one/tiny/batch/tree/0a1b2c3d/../../run.json",
    "cells/one/tiny/batch/tree/0a1b2c3d/run.json\n",
    "cells/.one/tiny/batch/tree/0a1b2c3d/run.json",
    "cells/one/tiny/ba\\tch/tree/0a1b2c3d/run.json",
    "cells/one/tiny/batch/tree/0a1b2c3/run.json",
    "cells/one/tiny/batch/tree/0a1b2c3d/other.json",
    "cells//tiny/batch/tree/0a1b2c3d/run.json",
    "lib/branchwise/cells/cell.py",
    "packs/trial/config.yaml",
]


@pytest.mark.parametrize("name", PATHS)
def test_a_manifest_names_places_of_results_alone(tmp_path: Path, name: str) -> None:
    files = {"config.yaml": fact(CONFIG), RUN: fact(DATA), name: fact(DATA)}
    pack = archive(tmp_path / "a.tar.gz", [*sound(files=files), regular(name, DATA)])
    assert "which is no place of a result; do not trust it" in refused(pack, tmp_path / "to")


@pytest.mark.parametrize("name", [*PATHS, RUN.replace("one", "two"), "manifest.json"])
def test_what_the_manifest_does_not_name_is_refused(tmp_path: Path, name: str) -> None:
    pack = archive(tmp_path / "a.tar.gz", [*sound(), regular(name, DATA)])
    assert "which its manifest does not name" in refused(pack, tmp_path / "to")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (tarfile.SYMTYPE, "is no ordinary file but a link to '/etc/passwd'"),
        (tarfile.LNKTYPE, "is no ordinary file but a link to '/etc/passwd'"),
        (tarfile.DIRTYPE, "is no ordinary file but a folder"),
        (tarfile.CHRTYPE, "is no ordinary file but a device"),
        (tarfile.BLKTYPE, "is no ordinary file but a device"),
        (tarfile.FIFOTYPE, "is no ordinary file but a device"),
    ],
)
def test_links_devices_and_folders_are_refused(tmp_path: Path, kind: bytes, told: str) -> None:
    members = sound()
    members[2] = special(RUN, kind, "/etc/passwd")
    assert told in refused(archive(tmp_path / "a.tar.gz", members), tmp_path / "to")
    members[0] = special("manifest.json", kind, "/etc/passwd")
    said = refused(archive(tmp_path / "b.tar.gz", members), tmp_path / "too")
    assert "does not begin with manifest.json" in said


def changed(number: int, data: bytes) -> Callable[[list[Member]], list[Member]]:
    def change(members: list[Member]) -> list[Member]:
        members[number] = regular(members[number][0].name, data)
        return members

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(2, b'{"a": 2}\n'), f"{RUN} is not what its checksum says"),
        (changed(2, DATA + b" "), f"{RUN} has 10 bytes, its manifest says 9"),
        (lambda members: members[:2], f"is cut off: it has no {RUN}"),
        (lambda members: members[1:], "does not begin with manifest.json"),
        (lambda members: [*members, members[2]], f"holds {RUN} twice"),
        (lambda members: [], "does not begin with manifest.json"),
        (changed(0, b"{"), "its manifest.json is not of pack version 1: : Invalid JSON"),
        (changed(0, b"[]"), "its manifest.json is not of pack version 1"),
        (changed(0, b"\xff"), "its manifest.json is not of pack version 1"),
    ],
)
def test_what_is_not_as_the_manifest_says(
    tmp_path: Path, change: Callable[[list[Member]], list[Member]], told: str
) -> None:
    pack = archive(tmp_path / "a.tar.gz", change(sound()))
    assert told in refused(pack, tmp_path / "to")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema_version": 2}, "is not of pack version 1: schema_version: Input should be 1"),
        ({"more": 1}, "is not of pack version 1: more: Extra inputs are not permitted"),
        ({"experiment": "../up"}, "is not of pack version 1: experiment"),
        (
            {"schemas": {**SCHEMAS, "results": 3}},
            "holds results of schema version 3, this program reads 4",
        ),
        ({"schemas": {"spells": 1}}, "holds spells of schema version 1, this program reads None"),
        ({"files": {"config.yaml": fact(CONFIG)}}, f"lacks {RUN}, which a result of it has"),
        ({"files": {RUN: fact(DATA, size=-1)}}, "is not of pack version 1: files"),
        ({"files": {RUN: fact(DATA, sha256="x")}}, "is not of pack version 1: files"),
        ({"files": {RUN: fact(DATA, size=2**40)}}, "unpacks to 1024.0 GiB, more than 0.0; allow it with"),
    ],
)
def test_manifests_of_other_versions_and_sizes(tmp_path: Path, changes: dict, told: str) -> None:
    pack = archive(tmp_path / "a.tar.gz", sound(**changes))
    assert told in refused(pack, tmp_path / "to")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """A member larger than the manifest says, and headers that would fill the memory."""
    zeros = b"\0" * (2**22)
    huge = archive(tmp_path / "a.tar.gz", [*sound(), regular("x", zeros)])
    assert "does not name" in refused(huge, tmp_path / "to")
    info, data = sound()[2]
    info.pax_headers = {"comment": "x" * 2**20}
    headers = archive(tmp_path / "b.tar.gz", [*sound()[:2], (info, data)], format=tarfile.PAX_FORMAT)
    assert headers.stat().st_size < 10_000
    assert "unpacks to more than it says" in refused(headers, tmp_path / "too")


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    """Its size is a claim, which nothing in the archive fills."""
    info, _ = special(RUN, tarfile.GNUTYPE_SPARSE)
    members = [*sound()[:2], (info, b"")]
    said = refused(archive(tmp_path / "a.tar.gz", members, format=tarfile.GNU_FORMAT), tmp_path / "to")
    assert "is no ordinary file but a sparse file" in said or "is cut off, or no pack" in said


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99, 0.999])
def test_one_that_is_cut_off(tmp_path: Path, share: float) -> None:
    pack = archive(tmp_path / "a.tar.gz", sound())
    data = pack.read_bytes()
    pack.write_bytes(data[: int(share * len(data))])
    assert "cut off" in refused(pack, tmp_path / "to")


def test_what_follows_the_archive_is_no_part_of_it(tmp_path: Path) -> None:
    pack = archive(tmp_path / "a.tar.gz", sound())
    pack.write_bytes(pack.read_bytes() + gzip.compress(b"\0" * 2**20))
    assert "unpacks to more than it says" in refused(pack, tmp_path / "to")


# Without a time: the workers of a run must name the same tests, whatever the second.
@pytest.mark.parametrize(
    "data", [b"", b"no archive", gzip.compress(b"no tar", mtime=0), gzip.compress(b"", mtime=0)]
)
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    pack = tmp_path / "a.tar.gz"
    pack.write_bytes(data)
    assert str(pack) in refused(pack, tmp_path / "to")


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.tar.gz", tmp_path / "to")
    assert "is a folder" in refused(tmp_path, tmp_path / "too")


def test_any_byte_that_was_changed_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """What is unpacked is what was packed, or an error of the documented kind."""
    pack = archive(tmp_path / "a.tar.gz", sound())
    data = bytearray(pack.read_bytes())
    num_refused = 0
    for place in range(0, len(data), 7):
        broken = bytearray(data)
        broken[place] ^= 0x10
        pack.write_bytes(broken)
        folder = tmp_path / f"in{place}"
        folder.mkdir()
        try:
            unpack_into(pack, folder, MOST)
        except UserError:
            num_refused += 1
        else:
            assert (folder / RUN).read_bytes() == DATA
    assert num_refused > len(data) / 7 * 0.8


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "run.json"
    source.write_bytes(DATA)
    made = Manifest.model_validate(
        manifest(files={"config.yaml": fact_of(CONFIG).model_dump(), RUN: fact_of(source).model_dump()})
    )
    sources = {RUN: source, "config.yaml": CONFIG}
    write_pack(tmp_path / "a.tar.gz", made, sources)
    source.touch()
    source.chmod(0o600)
    write_pack(tmp_path / "b.tar.gz", made, dict(reversed(sources.items())))
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == ["manifest.json", RUN, "config.yaml"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
        (0, 0, 0, "", "", 0o644)
    }


@pytest.mark.parametrize("now", [b'{"a": 2}\n', b"{}", b""])
def test_a_file_that_changes_while_it_is_packed(tmp_path: Path, now: bytes) -> None:
    source = tmp_path / "run.json"
    source.write_bytes(DATA)
    made = Manifest.model_validate(manifest())
    source.write_bytes(now)
    with pytest.raises(UserError, match="has changed while it was packed"):
        write_pack(tmp_path / "a.tar.gz", made, {RUN: source, "config.yaml": CONFIG})
    assert not (tmp_path / "a.tar.gz").exists()
