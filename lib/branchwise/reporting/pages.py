"""HTML pages of single groups: who waited for whom, each prompt and answer, right or wrong.

A page holds everything in itself (no script, style or picture from elsewhere), so it opens offline and
can be sent. All text of data sets and models is escaped.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from branchwise.data.types import Group
from branchwise.dependencies.graph import layers
from branchwise.files import write_text
from branchwise.results import AnswerRow, GroupDependencies, GroupRecord, QuestionScore
from branchwise.trace import GroupTrace, ideal_latency_s

_WIDTH = 1000.0
_ROW = 30.0
_COLUMN = 150.0


@dataclass(frozen=True)
class Shown:
    """One question as a page shows it. Times in ms on the group's clock; places in the drawings."""

    row: AnswerRow
    needs: tuple[str, ...]
    right: bool | None
    start_ms: float
    end_ms: float
    y: float
    left: float
    width: float
    node: tuple[float, float]
    prompt: str


@dataclass(frozen=True)
class Arrow:
    """An edge of the graph, and whether it was followed or only known."""

    source: Shown
    target: Shown
    followed: bool


@dataclass(frozen=True)
class Page:
    """Everything that one page says."""

    name: str
    heading: str
    group: Group
    shown: tuple[Shown, ...]
    arrows: tuple[Arrow, ...]
    wall_ms: float
    ideal_ms: float
    ticks: tuple[tuple[float, str], ...]
    height: float
    graph_size: tuple[float, float]
    found: GroupDependencies | None = None

    @property
    def total_ms(self) -> float:
        """Finding the dependencies and answering."""
        return self.wall_ms + (1000 * self.found.wall_s if self.found else 0.0)

    @property
    def total_ideal_ms(self) -> float:
        """The same on unbounded machines."""
        return self.ideal_ms + (1000 * self.found.wall_s if self.found else 0.0)

    @property
    def num_right(self) -> int | None:
        """Right answers; None where nobody knows."""
        known = [one.right for one in self.shown if one.right is not None]
        return sum(known) if known else None


def make_page(
    group: Group,
    record: GroupRecord,
    scores: Mapping[str, QuestionScore] | None = None,
    heading: str = "",
) -> Page:
    """The page of one group: the group with the dependencies that were followed, its record, and the
    scores of its questions where there are any.
    """
    found = record.run.dependencies
    rows = {row.question: row for row in record.answers}
    wall_s = max((row.end_s for row in record.answers), default=0.0) or 1e-9
    places = _node_places(group)
    shown = tuple(
        Shown(
            row=rows[question.id],
            needs=question.needs,
            right=_right(scores, question.id),
            start_ms=1000 * rows[question.id].start_s,
            end_ms=1000 * rows[question.id].end_s,
            y=number * _ROW,
            left=_WIDTH * max(0.0, rows[question.id].start_s) / wall_s,
            width=max(2.0, _WIDTH * (rows[question.id].end_s - rows[question.id].start_s) / wall_s),
            node=places[question.id],
            prompt=_prompts(rows[question.id], record.trace),
        )
        for number, question in enumerate(group)
    )
    by_id = {one.row.question: one for one in shown}
    followed = [(name, q.id) for q in group for name in q.needs]
    missed = [pair for pair in (found.known or () if found else ()) if pair not in followed]
    arrows = [Arrow(by_id[a], by_id[b], True) for a, b in followed]
    arrows += [Arrow(by_id[a], by_id[b], False) for a, b in missed]
    right = max(x for x, _ in places.values()) + _COLUMN / 2
    bottom = max(y for _, y in places.values()) + _ROW
    return Page(
        name=page_name(group.id),
        heading=heading,
        group=group,
        shown=shown,
        arrows=tuple(arrows),
        wall_ms=1000 * wall_s,
        ideal_ms=1000 * ideal_latency_s(record.trace.asks),
        ticks=tuple((_WIDTH * n / 4, f"{1000 * wall_s * n / 4:.0f}") for n in range(5)),
        height=len(shown) * _ROW,
        graph_size=(right, bottom),
        found=found,
    )


def _prompts(row: AnswerRow, trace: GroupTrace) -> str:
    """Everything that was asked for an answer, as the model read it."""
    return "\n\n".join(trace.asks[number].prompt for number in row.asks)


def page_name(group_id: str) -> str:
    """A file name for a group: safe characters, short, never the index's, and no other group's."""
    safe = re.sub(r"[^A-Za-z0-9.-]+", "_", group_id)[:60]
    if safe != group_id:
        safe += "-" + hashlib.sha256(group_id.encode()).hexdigest()[:8]
    return f"group-{safe}.html"


def _right(scores: Mapping[str, QuestionScore] | None, question: str) -> bool | None:
    score = scores.get(question) if scores else None
    return None if score is None else score.em == 1.0


def _node_places(group: Group) -> dict[str, tuple[float, float]]:
    """Where questions stand in the graph: depth from left to right, the group's order downwards."""
    places = {}
    for depth, layer in enumerate(layers(group)):
        for row, name in enumerate(layer):
            places[name] = (_COLUMN / 2 + depth * _COLUMN, _ROW / 2 + row * _ROW)
    return places


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("branchwise.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_page(page: Page, path: Path, previous: str = "", following: str = "", index: str = "") -> None:
    """Write one page; the names of its neighbours and of the index make links where they are given."""
    template = _environment().get_template("group.html.jinja")
    links = {"previous": previous, "following": following, "index": index}
    write_text(path, template.render(page=page, **links))


def write_pages(pages: Sequence[Page], folder: Path, heading: str, facts: Iterable[str] = ()) -> Path:
    """Write all pages and their index; returns the index's path."""
    names = [page.name for page in pages]
    for number, page in enumerate(pages):
        previous = names[number - 1] if number else ""
        following = names[number + 1] if number + 1 < len(names) else ""
        write_page(page, folder / page.name, previous, following, "index.html")
    template = _environment().get_template("index.html.jinja")
    write_text(folder / "index.html", template.render(pages=pages, heading=heading, facts=list(facts)))
    return folder / "index.html"
