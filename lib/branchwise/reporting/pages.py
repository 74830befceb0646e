"""Pages of single groups, self-contained HTML: the graph, when each branch ran, prompts and answers.

A page needs no other file and no network. All text from data and models is escaped.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchwise.data.types import Group
from branchwise.dependencies.graph import layers
from branchwise.files import write_text
from branchwise.reporting.graphs import Point, bounds, places, routes, trimmed
from branchwise.reporting.lanes_page import LanesOnPage, lanes_on_page
from branchwise.reporting.names import in_short, metric_name, short_names
from branchwise.reporting.templating import rendered
from branchwise.reporting.verdicts import Verdict, verdict_of
from branchwise.reporting.waits import waited_for
from branchwise.results import AnswerRow, GroupRecord, QuestionScore
from branchwise.stages import Before, GroupDependencies
from branchwise.trace import GroupTrace, ideal_latency_s

_WIDTH = 1000.0
_ROW = 30.0
_STEP_X, _STEP_Y, _RADIUS = 92.0, 42.0, 16.0


@dataclass(frozen=True)
class Times:
    """What a page says that a group took, in ms; `finding` the stages before, None where there are none.

    `alone`: measured by itself; else on the clock of a run with other groups in flight, which is slower.
    """

    wall: float
    ideal: float
    finding: float | None
    alone: bool = False

    @property
    def total(self) -> float:
        """The stages before, and answering."""
        return self.wall + (self.finding or 0.0)

    @property
    def total_ideal(self) -> float:
        """The same on unbounded machines."""
        return self.ideal + (self.finding or 0.0)


def times_of(wall_s: float, ideal_s: float, finding_s: float | None, alone: bool = False) -> Times:
    """The times in the head of a page and in the index, from seconds."""
    finding = None if finding_s is None else 1000 * finding_s
    return Times(1000 * wall_s, 1000 * ideal_s, finding, alone)


@dataclass(frozen=True)
class Shown:
    """One question as a page shows it. Times in ms on the group's clock; places in the drawings."""

    name: str
    row: AnswerRow
    waited_for: tuple[str, ...]
    verdict: Verdict | None
    start_ms: float
    end_ms: float
    y: float
    left: float
    width: float
    node: Point
    prompt: str

    @property
    def is_wrong(self) -> bool:
        """Whether its verdict is known and says so."""
        return self.verdict is not None and self.verdict.is_wrong


@dataclass(frozen=True)
class Arrow:
    """An edge of the graph: followed or only known, how sure its generator was, and why."""

    source: Shown
    target: Shown
    followed: bool
    path: str
    confidence: float | None = None
    why: str = ""

    @property
    def about(self) -> str:
        """The edge in words."""
        sure = "" if self.confidence is None else f", confidence {self.confidence:.2f}"
        why = f": {self.why}" if self.why else ""
        known = "" if self.followed else " (known, not followed)"
        return f"{self.target.name} needs {self.source.name}{known}{sure}{why}"


@dataclass(frozen=True)
class Candidate:
    """An edge that a generator proposed, and what became of it."""

    source: str
    target: str
    confidence: float
    why: str
    fate: str


@dataclass(frozen=True)
class Square:
    """One pair of the matrix: `share` of the greatest value, 0 to 1."""

    row: str
    column: str
    x: float
    y: float
    value: float
    share: float
    followed: bool


@dataclass(frozen=True)
class Page:
    """Everything that one page says."""

    name: str
    heading: str
    group: Group
    shown: tuple[Shown, ...]
    arrows: tuple[Arrow, ...]
    candidates: tuple[Candidate, ...]
    matrix: tuple[Square, ...]
    times: Times
    ticks: tuple[tuple[float, str], ...]
    height: float
    graph_box: tuple[float, float, float, float]
    found: GroupDependencies | None = None
    wordings: Before = ()
    in_lanes: LanesOnPage | None = None
    """Its branches over time, where it has any."""

    @property
    def verdicts(self) -> list[Verdict]:
        """Those that are known."""
        return [one.verdict for one in self.shown if one.verdict is not None]

    @property
    def num_judged(self) -> int:
        """Answers that are known to be right, wrong or between."""
        return len(self.verdicts)

    @property
    def num_wrong(self) -> int:
        """Answers whose metric is below 1."""
        return sum(one.is_wrong for one in self.verdicts)

    @property
    def metric(self) -> str:
        """The name of the metric that judges; empty where none does."""
        return metric_name(self.verdicts[0].metric) if self.verdicts else ""

    @property
    def summary(self) -> str:
        """How many answers are right, or the mean grade; empty where nobody knows."""
        known = self.verdicts
        if not known:
            return ""
        if any(one.is_grade for one in known):
            mean = sum(one.value for one in known) / len(known)
            return f"mean {metric_name(known[0].metric)} {mean:.2f}"
        return f"{sum(one.value for one in known):.0f} of {len(self.shown)} right"


def make_page(
    group: Group,
    record: GroupRecord,
    scores: Mapping[str, QuestionScore] | None = None,
    heading: str = "",
    primary: str = "em",
    times: Times | None = None,
) -> Page:
    """The page of one group: the group with the dependencies that were followed, its record, and the
    scores of its questions where there are any, of which `primary` colours. `times` are those of its
    head; default: the run's own, on the trace's clock.
    """
    found = record.run.dependencies
    end_s = max((row.end_s for row in record.answers), default=0.0) or 1e-9
    if times is None:
        times = times_of(end_s, ideal_latency_s(record.trace.asks), record.run.before_s)
    points = places(layers(group), _STEP_X, _STEP_Y)
    shown = _shown(group, record, scores or {}, primary, end_s, points)
    arrows, box = _arrows(group, found, shown, points)
    return Page(
        name=page_name(group.id),
        heading=heading,
        group=group,
        shown=shown,
        arrows=arrows,
        candidates=_candidates(found, group) if found else (),
        matrix=_matrix(found, group) if found else (),
        times=times,
        ticks=tuple((_WIDTH * n / 4, f"{1000 * end_s * n / 4:.0f}") for n in range(5)),
        height=len(shown) * _ROW,
        graph_box=box,
        found=found,
        wordings=tuple(one for one in record.run.before if one is not found),
        in_lanes=lanes_on_page(record.trace, short_names(question.id for question in group)),
    )


def _shown(
    group: Group,
    record: GroupRecord,
    scores: Mapping[str, QuestionScore],
    primary: str,
    end_s: float,
    points: Mapping[str, Point],
) -> tuple[Shown, ...]:
    rows = {row.question: row for row in record.answers}
    names = short_names(question.id for question in group)
    waits = waited_for(record.trace, {q.id: rows[q.id].asks for q in group})
    return tuple(
        Shown(
            name=names[question],
            row=rows[question],
            waited_for=tuple(names[name] for name in waits[question]),
            verdict=verdict_of(scores.get(question), primary),
            start_ms=1000 * rows[question].start_s,
            end_ms=1000 * rows[question].end_s,
            y=number * _ROW,
            left=_WIDTH * max(0.0, rows[question].start_s) / end_s,
            width=max(2.0, _WIDTH * (rows[question].end_s - rows[question].start_s) / end_s),
            node=points[question],
            prompt=_prompts(rows[question], record.trace),
        )
        for number, question in enumerate(names)
    )


def _arrows(
    group: Group, found: GroupDependencies | None, shown: Sequence[Shown], points: Mapping[str, Point]
) -> tuple[tuple[Arrow, ...], tuple[float, float, float, float]]:
    """Edges with their paths, around questions between; and the box that holds the drawing."""
    by_id = {one.row.question: one for one in shown}
    followed = [(name, q.id) for q in group for name in q.needs]
    missed = [pair for pair in (found.known or () if found else ()) if pair not in followed]
    said = {(edge.source, edge.target): edge for edge in (found.candidates if found else ())[::-1]}
    controls = routes(points, followed + missed, 1.3 * _RADIUS)
    names = {question: one.name for question, one in by_id.items()}
    arrows, curves = [], []
    for (a, b), control in controls.items():
        curves.append((points[a], control, points[b]))
        (x, y), (across, up), (end_x, end_y) = trimmed(curves[-1], _RADIUS)
        edge = said.get((a, b))
        arrow = Arrow(
            by_id[a],
            by_id[b],
            (a, b) in followed,
            f"M{x:.1f} {y:.1f} Q{across:.1f} {up:.1f} {end_x:.1f} {end_y:.1f}",
            edge.confidence if edge else None,
            in_short(edge.why, names) if edge else "",
        )
        arrows.append(arrow)
    low, high = bounds(points.values(), curves, _RADIUS, 3)
    return tuple(arrows), (low[0], low[1], high[0] - low[0], high[1] - low[1])


def _candidates(found: GroupDependencies, group: Group) -> tuple[Candidate, ...]:
    """All that was proposed, the surest first, as the numbers of questions."""
    names = short_names(question.id for question in group)
    kept = set(found.edges)
    listed = sorted(found.candidates, key=lambda edge: -edge.confidence)
    return tuple(
        Candidate(
            names.get(edge.source, edge.source),
            names.get(edge.target, edge.target),
            edge.confidence,
            in_short(edge.why, names),
            "followed" if (edge.source, edge.target) in kept else "left out",
        )
        for edge in listed
    )


def _matrix(found: GroupDependencies, group: Group) -> tuple[Square, ...]:
    """Every pair of the generator's matrix, a row a question that needs."""
    if found.matrix is None:
        return ()
    names = short_names(question.id for question in group)
    greatest = max((value for row in found.matrix for value in row), default=0.0) or 1.0
    return tuple(
        Square(
            row=names[needing],
            column=names[needed],
            x=column,
            y=row,
            value=found.matrix[row][column],
            share=found.matrix[row][column] / greatest,
            followed=(needed, needing) in found.edges,
        )
        for row, needing in enumerate(names)
        for column, needed in enumerate(names)
        if row != column
    )


def _prompts(row: AnswerRow, trace: GroupTrace) -> str:
    """Everything that was asked for an answer, as the model read it."""
    return "\n\n".join(trace.asks[number].prompt for number in row.asks)


def page_name(group_id: str) -> str:
    """A file name for a group: safe characters, short, never the index's, and no other group's, also
    where a file system holds capitals to be small letters.
    """
    safe = re.sub(r"[^A-Za-z0-9.-]+", "_", group_id)[:60]
    if safe != group_id or safe != safe.lower():
        safe += "-" + hashlib.sha256(group_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"group-{safe}.html"


def write_page(page: Page, path: Path, previous: str = "", following: str = "", index: str = "") -> None:
    """Write one page; the names of its neighbours and of the index make links where they are given."""
    links = {"previous": previous, "following": following, "index": index}
    write_text(path, rendered("group", page=page, **links))


def write_pages(
    pages: Sequence[Page], folder: Path, heading: str, facts: Iterable[str] = (), above: str = ""
) -> Path:
    """Write all pages and their index, which links to `above` if that is given; returns its path."""
    names = [page.name for page in pages]
    for number, page in enumerate(pages):
        previous = names[number - 1] if number else ""
        following = names[number + 1] if number + 1 < len(names) else ""
        write_page(page, folder / page.name, previous, following, "index.html")
    written = rendered("index", pages=pages, heading=heading, facts=list(facts), above=above)
    write_text(folder / "index.html", written)
    return folder / "index.html"


@dataclass(frozen=True)
class CellLink:
    """A line of an experiment's index: what the cell is, where its pages lie, how good it was, and
    how many of its answers are wrong.
    """

    names: tuple[str, ...]
    href: str
    quality: str
    wrong: str


def write_experiment_index(path: Path, experiment: str, cells: Sequence[CellLink], limit: int) -> None:
    """Write the page that links the indexes of an experiment's cells; `limit` is how many groups of each
    have a page.
    """
    write_text(path, rendered("experiment", experiment=experiment, cells=cells, limit=limit))
