"""What holds of every figure: what is written is whole, and not on top of something else written."""

from itertools import combinations
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> list[tuple[Text, Bbox]]:
    """All that is written in a figure, and where."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    hidden = {text for axis in figure.axes if not axis.get_visible() for text in axis.findobj(Text)} | {
        text for axis in figure.axes for text in outside_ticks(axis)
    }
    return [(text, text.get_window_extent(renderer)) for text in shown if text not in hidden]


def outside_ticks(axis: Any) -> list[Text]:
    """Labels of ticks that lie beyond an axis' limits, or of an axis that is switched off: not drawn."""
    labels = []
    for ticker, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
        for tick in [*ticker.get_major_ticks(), *ticker.get_minor_ticks()]:
            beyond = not min(limits) - 1e-9 <= tick.get_loc() <= max(limits) + 1e-9
            if beyond or not axis.axison:
                labels += [tick.label1, tick.label2]
        if not axis.axison:
            labels.append(ticker.label)
    return labels


def check_fits(figure: Figure) -> None:
    """Nothing written is cut off or on top of something else written, and no bar runs into the frame."""
    for axis in figure.axes:
        bars = [one for one in axis.containers if getattr(one, "orientation", None) == "horizontal"]
        ends = [bar.get_x() + bar.get_width() for row in bars for bar in row]
        assert not ends or max(ends) < axis.get_xlim()[1], "a bar ends at the frame"
    placed = texts(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in placed:
        inside = box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1
        assert inside, f"{text.get_text()!r} is cut off: {box} of {width} x {height}"
    for (one, a), (other, b) in combinations(placed, 2):
        over = Bbox.intersection(a, b)
        if over is not None and over.width > 1 and over.height > 1.5:
            raise AssertionError(f"{one.get_text()!r} lies on {other.get_text()!r}")
