"""The picture of one group's trace: branches as lanes, time to the right, in one column of a paper."""

from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from branchwise.reporting.fitting import clipped, height_in, width_in, wrapped
from branchwise.reporting.lanes import Connector, Lanes, caption_of, in_a_line
from branchwise.reporting.lanes_look import Look, looks
from branchwise.reporting.style import COLUMN_IN, hover, of_commit, save, styled
from branchwise.results import RunRecord

LABEL_PT = 5.0
_TITLE_PT, _CAPTION_PT = 7.0, 5.0
_LANE_IN, _BAR_SHARE = 0.13, 0.74
_EDGE_IN, _GAP_IN = 0.05, 0.04
_MOST_LABEL_IN = 0.85
_RIGHT_IN = 0.14
"""Room for one half of the last number on the axis of time."""
_AXIS_IN = 0.27
_PADDING_IN = 0.025
"""Between the edge of a bar and its words."""


def draw_lanes(lanes: Lanes, title: str, facts: str = "") -> Figure:
    """One column wide, a line a lane. `facts` go on what its caption says."""
    labels = [clipped(in_a_line(label), _MOST_LABEL_IN, LABEL_PT) for label in lanes.labels]
    left = _EDGE_IN + max((width_in(label, LABEL_PT) for label in labels), default=0.0) + _GAP_IN
    width = COLUMN_IN - left - _RIGHT_IN
    side = COLUMN_IN - 2 * _EDGE_IN
    title = wrapped(in_a_line(title), side, _TITLE_PT)
    caption = wrapped(caption_of(lanes, facts), side, _CAPTION_PT)
    handles = _handles(lanes)
    columns = _columns([str(handle.get_label()) for handle in handles], side)
    above = height_in([title], _TITLE_PT) + 0.03
    legend = -(-len(handles) // columns) * 0.125 + 0.05
    room = max(1, len(labels)) * _LANE_IN
    below = _AXIS_IN + height_in([caption], _CAPTION_PT) + 0.11
    height = above + legend + room + below
    figure = plt.figure(figsize=(COLUMN_IN, height))
    figure.text(_EDGE_IN / COLUMN_IN, 1 - 0.03 / height, title, fontsize=_TITLE_PT, va="top")
    figure.text(_EDGE_IN / COLUMN_IN, 0.11 / height, caption, fontsize=_CAPTION_PT, va="bottom")
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1 - above / height),
        ncols=columns,
        frameon=False,
        fontsize=6,
        borderpad=0,
        borderaxespad=0.3,
        handlelength=1.2,
        handletextpad=0.5,
        labelspacing=0.3,
        columnspacing=1.0,
    )
    axis = figure.add_axes(
        (left / COLUMN_IN, below / height, width / COLUMN_IN, room / height), label="lanes"
    )
    _frame(axis, lanes, labels, width)
    for one in lanes.connectors:
        _connect(figure, axis, one)
    _bars(figure, axis, lanes, width)
    _marks(figure, axis, lanes)
    return figure


def write_lanes(lanes: Lanes, stem: Path, group: str, run: RunRecord) -> None:
    """Draw lanes of a group to `stem` with each format's suffix; `run` is that of its cell."""
    title = f"{run.cell['strategy']} on {run.cell['dataset']}, group {group}"
    facts = ""
    others = min(run.groups_in_flight, run.num_groups) - 1
    if others > 0:
        facts = f"Up to {others} other group{'s' if others > 1 else ''} went on at the same time."
    with styled():
        about = f"{'/'.join(run.cell.values())}, {of_commit(run.commit, run.dirty)}"
        save(draw_lanes(lanes, title, facts), stem, about)


def _handles(lanes: Lanes) -> list[Line2D | Patch]:
    """Of the legend: roles, and the kinds of lines that there are."""
    look = looks(lanes.roles)
    found: list[Line2D | Patch] = [
        Patch(**_filling(look[role]), label=in_a_line(role)) for role in lanes.roles
    ]
    if lanes.marks:
        found.append(Line2D([], [], color="0.1", marker="|", linestyle="", label="only read"))
    kinds = {one.kind for one in lanes.connectors}
    if kinds & {"fork", "join"}:
        what = " or ".join(kind for kind in ("fork", "join") if kind in kinds)
        found.append(Line2D([], [], **_line("fork"), label=what))
    if "wait" in kinds:
        found.append(Line2D([], [], **_line("wait"), label="waited for"))
    for one in found:
        one.set_label(clipped(str(one.get_label()), COLUMN_IN - 0.5, 6))
    return found


def _columns(labels: list[str], room_in: float) -> int:
    """As many columns of a legend as fit side by side."""
    widest = max((width_in(label, 6) for label in labels), default=0.0)
    return max(1, min(len(labels), int(room_in / (widest + 0.26))))


def _filling(look: Look) -> dict:
    return {"facecolor": look.colour, "hatch": look.hatch, "edgecolor": "0.2", "linewidth": 0.35}


def _line(kind: str) -> dict:
    if kind == "wait":
        return {"color": "0.45", "linewidth": 0.6, "linestyle": (0, (2, 1.5))}
    return {"color": "0.45", "linewidth": 0.6, "linestyle": "-"}


def _frame(axis: Axes, lanes: Lanes, labels: list[str], width_in_: float) -> None:
    """Lanes from above, time in ms on the group's clock below, and as many numbers as fit."""
    axis.set_xlim(0, lanes.end_ms)
    axis.set_ylim(max(1, len(labels)) - 0.5, -0.5)
    axis.set_yticks(range(len(labels)), labels, fontsize=LABEL_PT)
    axis.tick_params(axis="y", length=0, pad=72 * _GAP_IN)
    widest = width_in(f"{lanes.end_ms:.4g}0", 6)
    axis.xaxis.set_major_locator(MaxNLocator(max(1, min(5, int(width_in_ / (widest + 0.12))))))
    axis.tick_params(axis="x", labelsize=6, length=2, pad=1.5)
    axis.set_xlabel("ms on the group's clock", fontsize=6, labelpad=1.5)
    for side in ("left", "right", "top"):
        axis.spines[side].set_visible(False)
    for lane in range(len(labels)):
        axis.axhline(lane, color="0.9", linewidth=0.4, zorder=0)


def _connect(figure: Figure, axis: Axes, one: Connector) -> None:
    """A fork goes down where its parent ends and waits in its own lane; all else waits in the lane that
    it comes from.
    """
    turn = one.start_ms if one.kind == "fork" else one.end_ms
    xs = (one.start_ms, turn, turn, one.end_ms)
    ys = (one.source, one.source, one.target, one.target)
    # Where both lie on each other the tree is seen.
    zorder = 1.0 if one.kind == "wait" else 1.1
    line = axis.add_line(Line2D(xs, ys, **_line(one.kind), zorder=zorder, clip_on=False))
    line.set_solid_joinstyle("miter")


def _bars(figure: Figure, axis: Axes, lanes: Lanes, width_in_: float) -> None:
    found = looks(lanes.roles)
    for bar in lanes.bars:
        look, long_ms = found[bar.role], bar.end_ms - bar.start_ms
        y = bar.lane - _BAR_SHARE / 2
        box = Rectangle((bar.start_ms, y), long_ms, _BAR_SHARE, **_filling(look), zorder=2, clip_on=False)
        said = f"{bar.role}, {bar.start_ms:.1f} to {bar.end_ms:.1f} ms, {bar.num_tokens:.0f} tokens"
        about = f"{said}\n{bar.text}"
        hover(figure, axis.add_patch(box), about)
        room = long_ms / lanes.end_ms * width_in_ - 2 * _PADDING_IN
        if words := clipped(in_a_line(bar.text), room, LABEL_PT):
            padding = _PADDING_IN / width_in_ * lanes.end_ms
            text = axis.text(
                bar.start_ms + padding,
                bar.lane,
                words,
                fontsize=LABEL_PT,
                color=look.ink,
                va="center_baseline",
                zorder=3,
                # Words on hatching could not be read.
                bbox={"facecolor": look.colour, "linewidth": 0, "pad": 0.3} if look.hatch else None,
            )
            hover(figure, text, about)


def _marks(figure: Figure, axis: Axes, lanes: Lanes) -> None:
    for mark in lanes.marks:
        half = 0.5 * _BAR_SHARE
        line = Line2D(
            (mark.at_ms, mark.at_ms),
            (mark.lane - half, mark.lane + half),
            color="0.1",
            linewidth=0.9,
            solid_capstyle="butt",
            zorder=4,
            clip_on=False,
        )
        hover(figure, axis.add_line(line), f"{mark.verb}, only read:\n{mark.text}")
