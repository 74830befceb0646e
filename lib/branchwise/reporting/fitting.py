"""Text that fits: measured with the fonts that draw it, wrapped; and legends with room of their own."""

import textwrap
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from branchwise.reporting.style import unsaid_glyphs

_DPI = 300
_LEGEND_GAP_IN = 0.06


def width_in(text: str, size_pt: float) -> float:
    """Width of a line of text in inches."""
    return _width_in(text, size_pt, tuple(rcParams["font.family"]))


@lru_cache(maxsize=4096)
def _width_in(text: str, size_pt: float, families: tuple[str, ...]) -> float:
    figure = Figure(dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    with unsaid_glyphs():
        drawn = figure.text(0, 0, text, fontsize=size_pt, family=list(families))
        return float(drawn.get_window_extent(canvas.get_renderer()).width) / _DPI


def wrapped(text: str, room_in: float, size_pt: float) -> str:
    """The whole text on as many lines as it takes; words are broken only where one is too wide alone."""
    whole = width_in(text, size_pt)
    if whole <= room_in:
        return text
    num_chars = max(1, round(1.2 * len(text) * room_in / whole))
    while True:
        lines = textwrap.wrap(text, num_chars)
        if num_chars == 1 or all(width_in(line, size_pt) <= room_in for line in lines):
            return "\n".join(lines)
        num_chars -= 1


def clipped(text: str, room_in: float, size_pt: float) -> str:
    """As many whole words of a line as fit with an ellipsis behind them; of a word that is too wide alone
    its beginning; nothing where not one sign fits.
    """
    if width_in(text, size_pt) <= room_in:
        return text
    num_chars = bisect_right(
        range(1, len(text)), room_in, key=lambda count: width_in(f"{text[:count]}…", size_pt)
    )
    begun = text[:num_chars]
    if " " in begun.strip() and not text[num_chars].isspace():
        begun = begun.rsplit(" ", 1)[0]
    return f"{begun.rstrip()}…" if begun.strip() else ""


def height_in(texts: Sequence[str], size_pt: float) -> float:
    """Height of the highest of some texts, with a little air."""
    lines = max((text.count("\n") + 1 for text in texts), default=1)
    return (1.25 * lines * size_pt + 3) / 72


def legend_above(figure: Figure, handles: Sequence[Artist], most_columns: int = 3) -> None:
    """A legend above everything else, whole: as many columns as fit, long labels on several lines, and
    the figure as much higher as it takes.
    """
    if not handles:
        return
    size = rcParams["legend.fontsize"]
    for handle in handles:
        handle.set_label(wrapped(str(handle.get_label()), figure.get_figwidth() - 0.5, size))
    canvas = FigureCanvasAgg(figure)
    for columns in range(min(most_columns, len(handles)), 0, -1):
        legend = figure.legend(
            handles=list(handles),
            loc="outside upper center",
            ncols=columns,
            frameon=False,
            columnspacing=1.0,
            handlelength=1.9,
        )
        with unsaid_glyphs():
            extent = legend.get_window_extent(canvas.get_renderer())
        if columns == 1 or extent.width / figure.dpi <= figure.get_figwidth() - 0.04:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi + _LEGEND_GAP_IN)
