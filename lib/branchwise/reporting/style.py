"""How every figure looks, and how it is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

matplotlib.use("Agg")

COLUMN_IN = 3.35
"""Width of one column of a two-column paper, in inches."""

FORMATS = ("pdf", "svg", "png")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", ":", "-.")
_STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "errorbar.capsize": 1.5,
    "savefig.dpi": 300,
    "svg.hashsalt": "branchwise",
    "pdf.fonttype": 42,
}
_NO_DATE = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}


@contextmanager
def styled() -> Iterator[None]:
    """Figures made inside have the project's style."""
    with sns.axes_style("ticks"), matplotlib.rc_context(_STYLE):
        yield


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as `stem` with the suffix of each format, whole or not at all; then close it."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix in FORMATS:
        temporary = stem.with_name(f".{stem.name}.{suffix}")
        figure.savefig(temporary, format=suffix, metadata=_NO_DATE[suffix])
        temporary.replace(stem.with_name(f"{stem.name}.{suffix}"))
    plt.close(figure)
