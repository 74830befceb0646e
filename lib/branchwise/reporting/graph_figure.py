"""A few groups' dependencies as graphs: what was followed, and what was known and not followed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path as Curve

from branchwise.config import Cell
from branchwise.data.types import Group, Question
from branchwise.dependencies.graph import layers
from branchwise.reporting.fitting import height_in, wrapped
from branchwise.reporting.frames import Results
from branchwise.reporting.graphs import Pair, Point, bounds, places, routes, trimmed
from branchwise.reporting.look import Look, in_words, panels
from branchwise.reporting.names import short_names
from branchwise.reporting.style import COLUMN_IN, hover
from branchwise.results import GroupScore, Scores

NUM_GRAPHS = 2
_STEP_X_PT, _STEP_Y_PT, _RADIUS_PT = 34.0, 17.0, 6.4
_TITLE_PT = 6


@dataclass(frozen=True, eq=False)
class _Drawing:
    """A group's questions and edges for one source of dependencies."""

    number: int
    group: GroupScore
    questions: tuple[str, ...]

    @property
    def layers(self) -> list[tuple[str, ...]]:
        """Questions by depth."""
        needs: dict[str, list[str]] = {name: [] for name in self.questions}
        for source, target in self.group.edge_pairs:
            needs[target].append(source)
        asked = tuple(Question(id=n, text=n, golds=("?",), needs=tuple(needs[n])) for n in needs)
        return layers(Group(id="g", questions=asked))

    @property
    def missed(self) -> list[Pair]:
        """Known edges that were not followed."""
        followed = set(self.group.edge_pairs)
        return [pair for pair in self.group.known_pairs or () if pair not in followed]


@dataclass(frozen=True)
class _Layout:
    """Where it stands, in points from the upper left corner: questions, control points of edges."""

    points: dict[str, Point]
    controls: dict[Pair, Point]
    size: Point


def dependency_graphs(results: Results) -> Figure:
    """Two groups of the first data set, those in which most strategies follow any dependency: edges
    known (grey, dotted) and followed (coloured), a row for strategies that followed the same.
    """
    rows = _rows(results)
    if not rows:
        return in_words("No strategy followed any dependency.")
    # Questions in a long chain need the whole width.
    deepest = max(len(one.layers) for drawings in rows.values() for one in drawings)
    columns = 1 if deepest * 2.6 * _RADIUS_PT > 36 * COLUMN_IN else NUM_GRAPHS
    look = Look(results)
    colours = {one: look.colour[names[0]] for names, drawings in rows.items() for one in drawings}
    laid = {one: _lay_out(one, 72 * (COLUMN_IN / columns - 0.08)) for one in colours}
    lines: list[tuple[str, Sequence[_Drawing]]] = []
    for names, drawings in rows.items():
        label = ", ".join(results.label("strategy", name) for name in names)
        heading = wrapped(label, COLUMN_IN - 0.2, _TITLE_PT)
        for first in range(0, len(drawings), columns):
            lines.append((heading if first == 0 else "", drawings[first : first + columns]))
    figure, axes = panels(columns * len(lines), columns, [_line_in(*line, laid) for line in lines])
    for number, (heading, chunk) in enumerate(lines):
        in_line = axes[columns * number : columns * (number + 1)]
        for axis in in_line[len(chunk) :]:
            axis.set_visible(False)
        size = tuple(max(laid[one].size[side] for one in chunk) for side in (0, 1))
        for axis, drawing in zip(in_line, chunk, strict=False):
            _draw(figure, axis, drawing, laid[drawing], colours[drawing])
            _frame(axis, size)
            # A line for the group between its heading and its graph.
            axis.set_title(heading if axis is in_line[0] else "", fontsize=_TITLE_PT, loc="left", pad=10)
            text = axis.annotate(
                f"group {drawing.number}",
                (0, 1),
                (0, 2),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize=_TITLE_PT,
            )
            hover(figure, text, f"group {drawing.group.group}")
    return figure


def _line_in(heading: str, drawings: Sequence[_Drawing], laid: Mapping[_Drawing, _Layout]) -> float:
    """Height of a line of graphs in inches, with what stands above it."""
    return max(laid[one].size[1] for one in drawings) / 72 + height_in([f"{heading}\n"], _TITLE_PT) + 0.1


def _rows(results: Results) -> dict[tuple[str, ...], list[_Drawing]]:
    """Drawings of the chosen groups, by the strategies that followed these very edges."""
    found: dict[str, Scores] = {}
    for cell, scores in results.scores.items():
        if _shows(results, cell) and any(group.edge_pairs for group in scores.groups):
            found.setdefault(cell.strategy, scores)
    if not found:
        return {}
    num = min(len(scores.groups) for scores in found.values())
    busy = [sum(bool(scores.groups[n].edge_pairs) for scores in found.values()) for n in range(num)]
    order = sorted(range(num), key=lambda number: -busy[number])
    chosen = sorted(order[:NUM_GRAPHS])
    rows: dict[tuple, tuple[list[str], list[_Drawing]]] = {}
    for strategy, scores in found.items():
        drawings = [_drawing(scores, number) for number in chosen]
        if not any(one.group.edge_pairs for one in drawings):
            continue
        key = tuple(frozenset(one.group.edge_pairs) for one in drawings)
        rows.setdefault(key, ([], drawings))[0].append(strategy)
    return {tuple(names): drawings for names, drawings in rows.values()}


def _drawing(scores: Scores, number: int) -> _Drawing:
    group = scores.groups[number]
    return _Drawing(
        number + 1, group, tuple(q.question for q in scores.questions if q.group == group.group)
    )


def _shows(results: Results, cell: Cell) -> bool:
    experiment = results.experiment
    first = (experiment.datasets[0], experiment.models[0], experiment.decoders[0])
    return (cell.dataset, cell.model, cell.decoder) == first


def _lay_out(drawing: _Drawing, room_pt: float) -> _Layout:
    """Questions by depth from left to right, in points, as close as the room asks for; edges bend around
    questions between.
    """
    pairs = [*drawing.group.edge_pairs, *drawing.missed]
    step = _STEP_X_PT
    for _ in range(4):
        points = places(drawing.layers, step, _STEP_Y_PT)
        controls = routes(points, pairs, 1.25 * _RADIUS_PT)
        curves = [(points[a], control, points[b]) for (a, b), control in controls.items()]
        low, high = bounds(points.values(), curves, _RADIUS_PT, 1.5)
        size = high[0] - low[0], high[1] - low[1]
        if size[0] <= room_pt:
            break
        step *= 0.98 * room_pt / size[0]

    def moved(point: Point) -> Point:
        """From the upper left corner, y upwards."""
        return point[0] - low[0], low[1] - point[1]

    return _Layout(
        {name: moved(point) for name, point in points.items()},
        {pair: moved(control) for pair, control in controls.items()},
        size,
    )


def _draw(figure: Figure, axis: Axes, drawing: _Drawing, layout: _Layout, colour: tuple) -> None:
    names = short_names(drawing.questions)
    for pair, control in layout.controls.items():
        ends = layout.points[pair[0]], layout.points[pair[1]]
        curve = trimmed((ends[0], control, ends[1]), _RADIUS_PT)
        given = pair in drawing.group.edge_pairs
        arrow = FancyArrowPatch(
            path=Curve(curve, [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3]),
            arrowstyle="-|>,head_length=2.4,head_width=1.2",
            color=colour if given else "0.6",
            linestyle="-" if given else ":",
            linewidth=0.9,
            # Its ends are where they should be already.
            shrinkA=0,
            shrinkB=0,
        )
        axis.add_patch(arrow)
        more = "" if given else " (known, not followed)"
        hover(figure, arrow, f"{names[pair[1]]} needs {names[pair[0]]}{more}")
    for name, point in layout.points.items():
        ring = Circle(point, _RADIUS_PT, facecolor="white", edgecolor="0.3", linewidth=0.6, zorder=3)
        hover(figure, axis.add_patch(ring), f"{names[name]}: {name}")
        text = axis.text(*point, names[name], fontsize=4.8, ha="center", va="center_baseline", zorder=4)
        hover(figure, text, f"{names[name]}: {name}")


def _frame(axis: Axes, size_pt: Sequence[float]) -> None:
    axis.set_xlim(0, size_pt[0])
    axis.set_ylim(-size_pt[1], 0)
    axis.set_aspect("equal", anchor="NW")
    axis.axis("off")
