"""Text of data and models on pages and in pictures: whatever it holds, the page stays the same page.

Each page is made twice, of the same records: once with hostile text in every field of text, once with
harmless text in its place. Tags, attributes and scripts must be the same in both.
"""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel

from branchwise.masks import MaskRecord
from branchwise.reporting.answer_page import Block, Line
from branchwise.reporting.answers import Answer
from branchwise.reporting.lanes import lanes_of
from branchwise.reporting.lanes_figure import write_lanes
from branchwise.reporting.mask_figure import write_mask
from branchwise.reporting.pages import CellLink, make_page, write_experiment_index, write_pages
from branchwise.reporting.templating import rendered
from branchwise.reporting.verdicts import Verdict
from branchwise.results import GroupTrace, RunRecord
from tests.fuzz.made_results import ANSWER, MASK, RUN
from tests.reporting.made_traces import in_turn, outlined
from tests.reporting.test_pages import made_parts

HOSTILE = (
    "</title></style></script></pre></textarea>--></svg><script>owned()</script><img src=x onerror=owned()>"
    "\"' onmouseover=owned() x=\"<a href='javascript:owned()'>&lt;b&gt;&#60;i&#62;]]><![CDATA[<u>"
    "{{ 7 * 7 }}{% raw %}${7*7}\u202e\u2028\x00\x1b[31m<base href=//evil.example>"
)
HARMLESS = "x" * len(HOSTILE)
# Words that programs go by, and not of data or models: they decide what is drawn, and are checked by type.
FIXED = {
    *(
        "stop",
        "length",
        "open",
        "fork",
        "join",
        "prompt",
        "generated",
        "span",
        "text",
        "answerer",
        "answer",
    ),
    *("intro", "outline", "branch", "em", "f1", "rouge_l", "dense", "cpu"),
}


def told(value: Any, more: str) -> Any:
    """A record with more text behind each of its texts, names of questions and groups among them: equal
    ones stay equal.
    """
    if isinstance(value, str):
        return value if value in FIXED else value + more
    if isinstance(value, BaseModel):
        return type(value).model_construct(
            **{name: told(getattr(value, name), more) for name in type(value).model_fields}
        )
    if isinstance(value, dict):
        return {
            key if key in FIXED else told(key, more): told(inner, more) for key, inner in value.items()
        }
    if isinstance(value, tuple | list):
        inner = [told(one, more) for one in value]
        return type(value)(*inner) if hasattr(value, "_fields") else type(value)(inner)
    return value


class _Shape(HTMLParser):
    """Tags with their attributes' names, and what scripts and styles say."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))
        for name, value in attrs:
            if name in ("href", "src") and value and ":" in value:
                self.found.append(value)

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.found.append(data)


def shape(page: str) -> list[Any]:
    parser = _Shape()
    parser.feed(page)
    parser.close()
    return parser.found


def group_pages(more: str, folder: Path) -> list[str]:
    """Pages of groups with everything that one can have, their index, and that of an experiment."""
    pages = []
    for number, trace in enumerate((None, outlined(("One", "Two"), ("first", "second")))):
        matrix = ((0.0, 0.1, 0.2, 0.3),) * 4
        group, record, scores = told(made_parts(f"g{number}", matrix, trace), more)
        pages.append(make_page(group, record, scores, f"cell{more}", "em"))
    write_pages(pages, folder, f"cell{more}", [f"a fact{more}"], "../index.html")
    links = [CellLink((f"d{more}", f"s{more}"), "d/s/index.html", f"0.5{more}", f"2{more}")]
    write_experiment_index(folder / "experiment.html", f"made{more}", links, 10)
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.html"), key=_without_hash)]


def _without_hash(path: Path) -> str:
    return path.name[:8]


def answers(more: str, folder: Path) -> list[str]:
    """The page of all answers."""
    one = Answer(f"Q1{more}", told(ANSWER, more), Verdict("em", 0.0))
    lines = [Line((one, None)), Line((one, one))]
    block = Block(f"data{more}", f"exact{more}", (f"s{more}", f"t{more}"), {f"g{more}": lines}, 3)
    return [rendered("answers", experiment=f"made{more}", blocks=[block], limit=1)]


@pytest.mark.parametrize("make", [group_pages, answers], ids=["groups", "answers"])
def test_a_page_is_the_same_page(make: Callable[[str, Path], list[str]], tmp_path: Path) -> None:
    hostile, harmless = make(HOSTILE, tmp_path / "a"), make(HARMLESS, tmp_path / "b")
    assert len(hostile) == len(harmless) > 0
    for page, other in zip(hostile, harmless, strict=True):
        assert shape(page) == shape(other)
        assert "owned()" in page, "the page shows none of it"
        assert "49" not in page.replace(HARMLESS, "") or "49" in other  # no template in a template


def _pictures(write: Callable[[str, Path], None], more: str, folder: Path) -> bytes:
    folder.mkdir()
    write(more, folder / "one")
    return (folder / "one.svg").read_bytes()


def _lanes(more: str, stem: Path) -> None:
    trace = told(outlined(("One", "Two"), ("first", "second")), more)
    run = told(RunRecord.model_validate(RUN), more)
    # Places of the cell are found by name.
    cell = {name: f"{value}{more}" for name, value in RUN["cell"].items()}
    write_lanes(lanes_of(trace), stem, f"g{more}", run.model_copy(update={"cell": cell}))


def _turns(more: str, stem: Path) -> None:
    trace: GroupTrace = told(in_turn(3), more)
    write_lanes(lanes_of(trace), stem, "g", RunRecord.model_validate(RUN))


def _mask(more: str, stem: Path) -> None:
    record: MaskRecord = told(MASK, more)
    cell = {"dataset": f"d{more}", "model": f"m{more}", "strategy": f"s{more}", "decoder": f"t{more}"}
    write_mask(record.model_copy(update={"cell": cell}), stem)


@pytest.mark.parametrize("write", [_lanes, _turns, _mask], ids=["lanes", "turns", "mask"])
def test_a_picture_is_xml_that_holds_no_element_of_the_text(write: Any, tmp_path: Path) -> None:
    picture = _pictures(write, HOSTILE, tmp_path / "a")
    tree = ElementTree.fromstring(picture)
    found = [element.tag.rpartition("}")[2] for element in tree.iter()]
    assert not {"script", "img", "a", "u", "i", "b", "base", "foreignObject"} & set(found)
    attributes = {name for element in tree.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on")]
    titles = [element.text for element in tree.iter() if element.tag.endswith("}title")]
    assert any("owned()" in (text or "") for text in titles), "the picture says none of it"
