"""Names that become paths: of entries, experiments, groups and members of archives."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.config.catalogues import AXES
from branchwise.config.load import load_catalogues, parse_experiment
from branchwise.errors import UserError
from branchwise.reporting.pages import page_name
from tests.conftest import ROOT

ENTRIES: dict[str, Any] = {
    "datasets": {"source": "worlds", "kinds": ["look_up"], "group_size": 2, "num_groups": 2},
    "models": {"path": "some/model"},
    "strategies": {"module": "batch"},
    "decoders": {"kind": "tree"},
}
PARTS = (
    "..",
    ".",
    "/",
    "\\",
    "\0",
    "\n",
    "~",
    "$(id)",
    "{x}",
    "%",
    "*",
    "?",
    "'",
    '"',
    " ",
    "-",
    "CON",
    "é",
    "\ud800",
    "a",
)
hostile = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("".join),
    st.integers(90, 400).map(lambda size: "x" * size),
    st.text("éß漢", min_size=30, max_size=60),
)


def named(axis: str, *names: str) -> Any:
    """An experiment whose entries have these names."""
    content = {
        **{
            "experiment": "small",
            "datasets": ["worlds_two_hop_g2"],
            "models": ["tiny"],
            "timed_groups": 0,
        },
        **{"strategies": ["batch"], "decoders": ["tree"], "baseline": "batch"},
    }
    content["define"] = {axis: dict.fromkeys(names, ENTRIES[axis])}
    content[axis] = [*content[axis], *names] if axis == "strategies" else list(names)
    return parse_experiment(content, "here", ROOT)


@settings(max_examples=150)
@given(axis=st.sampled_from(list(AXES.values())), name=hostile)
def test_a_cell_lies_below_its_folder_whatever_its_parts_are_called(axis: str, name: str) -> None:
    try:
        experiment = named(axis, name)
    except UserError as error:
        assert error.remedy
        return
    folder = Path("/results/cells")
    for cell in experiment.cells:
        path = folder / cell.path
        assert len(cell.path.parts) == 4 and path.resolve().is_relative_to(folder)
        assert all(
            0 < len(part.encode()) <= 200 and not part.startswith((".", "-", "~")) for part in cell
        )
        # Snakemake's wildcards, and the shell, see nothing in it.
        assert not set(str(cell)) & set("{}*?\n\0\\'\"$`;&|<>")


@pytest.mark.parametrize("axis", AXES.values())
@pytest.mark.parametrize(
    "names", [("mine", "Mine"), ("straße", "STRASSE"), ("e\u0301", "é"), ("ﬁne", "fine")]
)
def test_two_names_of_one_folder_are_refused(axis: str, names: tuple[str, str]) -> None:
    """Folders are the same to some file systems where names differ in case, or in how they are composed."""
    if names[0] == "e\u0301":
        with pytest.raises(UserError):  # a combining sign is no letter
            named(axis, *names)
        return
    with pytest.raises(UserError, match="differ by case alone"):
        named(axis, *names)
    assert named(axis, names[0]).cells


def test_shipped_names_are_of_different_folders() -> None:
    catalogues = load_catalogues()
    for axis in AXES.values():
        names = list(getattr(catalogues, axis))
        assert len({name.casefold() for name in names}) == len(names) > 0


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "a" * 101, "a\n", "1a", "a b", "a-b", "é"])
def test_names_of_experiments(name: str) -> None:
    with pytest.raises(UserError):
        parse_experiment({"experiment": name, **{key: ["x"] for key in AXES.values()}}, "here", ROOT)


ids = st.one_of(
    hostile,
    st.text(max_size=100),
    st.sampled_from(["index", "", "a", "A", "a_", "a/", "a\\", "a:b", "."]),
)


@settings(max_examples=300)
@given(ids=st.lists(ids, min_size=2, max_size=6, unique=True))
def test_pages_of_groups_have_files_of_their_own(ids: list[str]) -> None:
    names = [page_name(one) for one in ids]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert Path(name).name == name and name.isascii() and len(name) < 100
        assert name.startswith("group-") and name != "index.html"
