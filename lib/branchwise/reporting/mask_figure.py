"""The picture of an attention mask, from its file alone.

Shape legend: T tokens, B bins of tokens.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from branchwise.masks import MaskRecord
from branchwise.reporting.fitting import height_in, width_in, wrapped
from branchwise.reporting.mask_labels import LABEL_PT, LINE_PT, Mark, marks_of, spread
from branchwise.reporting.mask_rows import Order, Part, bin_size, binned, matrix, order_of, parts
from branchwise.reporting.style import COLUMN_IN, hover, of_commit, save, styled

_SMALL_PT = 5.0
_LEADER_IN = 0.16
_EDGE_IN = 0.05
_AXIS_IN = 0.14

_ORDERED: dict[Order, str] = {
    "segments": "by segment of the token tree, segments in the order in which they were computed.",
    "computed": "in the order in which they were computed; lines part segments of the token tree.",
}
Colour = tuple[float, float, float]


def draw_mask(record: MaskRecord, order: Order = "segments") -> Figure:
    """One column wide: rows are queries, columns keys, both in the same order; labels stand beside the
    rows. Keys of prompts and generated ones have colours that nobody takes for each other.
    """
    places = parts(record, order)
    marks = marks_of(record, places)
    lines = [line for mark in marks for line in mark.text.split("\n")]
    widest = max((width_in(line, LABEL_PT) for line in lines), default=0.0)
    left = _EDGE_IN + widest + _LEADER_IN
    side = COLUMN_IN - left - _EDGE_IN
    room = max(side + _AXIS_IN, len(lines) * LINE_PT / 72)
    title = wrapped(_title(record), COLUMN_IN - 0.1, 7)
    caption = wrapped(
        _caption(record, order, sum(mark.num_segments for mark in marks)), COLUMN_IN - 0.1, _SMALL_PT
    )
    above = height_in([title], 7) + 0.2
    below = height_in([caption], _SMALL_PT) + 0.16
    height = above + room + below
    figure = plt.figure(figsize=(COLUMN_IN, height))
    figure.text(_EDGE_IN / COLUMN_IN, 1 - 0.03 / height, title, fontsize=7, va="top")
    figure.text(_EDGE_IN / COLUMN_IN, 0.12 / height, caption, fontsize=_SMALL_PT, va="bottom")
    top = below + room
    axis = figure.add_axes(
        (left / COLUMN_IN, (top - side) / height, side / COLUMN_IN, side / height), label="mask"
    )
    beside = figure.add_axes((0, below / height, left / COLUMN_IN, room / height), label="labels")
    _matrix(figure, axis, record, order)
    _labels(figure, beside, record, marks, side / len(record.tokens), (left, room))
    _legend(figure, left, 1 - (height_in([title], 7) + 0.02) / height)
    return figure


def write_mask(record: MaskRecord, stem: Path, order: Order = "segments") -> None:
    """Draw a record to `stem` with each format's suffix."""
    about = f"{'/'.join(record.cell.values())}, {of_commit(record.commit, record.dirty)}"
    with styled():
        save(draw_mask(record, order), stem, about)


# ----- the matrix -----


def _colours() -> tuple[Colour, Colour]:
    """Of keys of prompts, and of generated ones: blue and vermilion of the colour-blind palette."""
    palette = sns.color_palette("colorblind", 4)
    return palette[0], palette[3]


def _matrix(figure: Figure, axis: Axes, record: MaskRecord, order: Order) -> None:
    places, seen_TT = parts(record, order), matrix(record, order)
    size = len(seen_TT)
    kinds = [record.segments[record.segment[n]].kind for n in order_of(record, order)]
    is_made_T = np.array([kind == "generated" for kind in kinds], dtype=bool)
    step = bin_size(size)
    picture = np.ones((-(-size // step),) * 2 + (3,))
    for colour, is_kind_T in zip(_colours(), (~is_made_T, is_made_T), strict=True):
        share_BB = binned(seen_TT & is_kind_T, step)
        picture -= share_BB[..., None] * (1 - np.array(colour))
    num_bins = len(picture)
    axis.imshow(
        picture.clip(0, 1), interpolation="nearest", extent=(0, num_bins * step, num_bins * step, 0)
    )
    axis.set_xlim(0, size)
    axis.set_ylim(size, 0)
    axis.set_aspect("auto")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(linewidth=0.4, visible=True)
    axis.set_xlabel("keys", labelpad=2, fontsize=6)
    # Many borders are thin ones, or there is nothing else to see.
    width = min(0.3, 6 / len(places))
    for place in places[1:]:
        for line in (axis.axhline, axis.axvline):
            line(place.first, color="0.5", linewidth=width, zorder=3)
    for place in places:
        # Not quite transparent: the pointer goes through what is.
        band = Rectangle((0, place.first), size, place.end - place.first, alpha=0.004, linewidth=0)
        hover(figure, axis.add_patch(band), _said(record, place, seen_TT, places))


def _said(record: MaskRecord, place: Part, seen_TT: np.ndarray, places: Sequence[Part]) -> str:
    """What stands on hover: what a segment is, what it sees, and its tokens' text."""
    segment = record.segments[place.segment]
    rows = seen_TT[place.first : place.end]
    seen = dict.fromkeys(one.segment for one in places if rows[:, one.first : one.end].any())
    others = [record.segments[number].label for number in seen if number != place.segment]
    sees = ", ".join(others) or "nothing before it"
    passes = [record.passes[n] for n, one in enumerate(record.segment) if one == place.segment]
    when = f"pass {min(passes) + 1}" + (f" to {max(passes) + 1}" if max(passes) > min(passes) else "")
    facts = f"{segment.label} ({segment.kind}, {len(passes)} tokens, {when}); sees: {sees}"
    return f"{facts}\n{segment.text}"


# ----- words -----


def _labels(
    figure: Figure,
    axis: Axes,
    record: MaskRecord,
    marks: Sequence[Mark],
    row_in: float,
    size_in: tuple[float, float],
) -> None:
    """Labels in an axes of inches, y downwards from the upper edge of the matrix."""
    width, room = size_in
    axis.set_xlim(0, width)
    axis.set_ylim(room, 0)
    axis.axis("off")
    middles = [row_in * (mark.first + mark.end) / 2 for mark in marks]
    spots = spread(middles, [mark.num_lines * LINE_PT / 72 for mark in marks], room)
    x = width - _LEADER_IN
    for mark, middle, y in zip(marks, middles, spots, strict=True):
        colour = _colours()[1] if mark.is_made else "0.1"
        said = axis.text(x, y, mark.text, fontsize=LABEL_PT, ha="right", va="center", color=colour)
        segments = [record.segments[place.segment] for place in mark.places]
        text = "\n".join(f"{segment.label}: {segment.text}" for segment in segments)
        hover(figure, said, text)
        xs = (x + 0.02, x + 0.04, width - 0.02, width)
        axis.add_line(Line2D(xs, (y, y, middle, middle), color="0.6", linewidth=0.35))


def _title(record: MaskRecord) -> str:
    cell = record.cell
    return f"{cell['strategy']} on {cell['dataset']}, group {record.group}"


def _caption(record: MaskRecord, order: Order, num_labelled: int) -> str:
    """What one has to know to read the picture."""
    size = len(record.tokens)
    lines = ["Rows are queries, columns keys, both", _ORDERED[order]]
    step = bin_size(size)
    if step > 1:
        lines.append(f"{size} tokens in bins of {step}: a bin's shade is the share of allowed pairs.")
    else:
        lines.append(f"{size} tokens.")
    if num_labelled < len(record.segments):
        lines.append(f"Labelled: the {num_labelled} longest of {len(record.segments)} segments.")
    narrower = [str(window) for window in record.windows if window != record.window]
    if record.window is not None:
        lines.append(f"All layers have a window; this is that of {record.window} positions.")
    if narrower:
        lines.append(f"Some layers narrow it to a window of {', '.join(narrower)} positions.")
    return " ".join(lines)


def _legend(figure: Figure, left_in: float, top: float) -> None:
    prompt, made = _colours()
    handles = [Patch(color=prompt, label="key of a prompt"), Patch(color=made, label="generated key")]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(left_in / COLUMN_IN, top),
        ncols=2,
        frameon=False,
        fontsize=6,
        borderpad=0,
        borderaxespad=0.4,
        handlelength=1.0,
        columnspacing=1.0,
    )
