"""How every figure looks, and how it is written."""

import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary
from xml.sax.saxutils import escape

import matplotlib
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from branchwise.files import atomic_path

matplotlib.use("Agg")

COLUMN_IN = 3.35
"""Width of one column of a two-column paper, in inches."""

FORMATS = ("pdf", "svg", "png")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
HATCHES = ("", "/////", ".....", "xxxxx", "-----", "+++++")
"""Fillings of bars, for more of them than there are colours."""
CJK_PACKAGE = "zhplot"
"""Import name of the package (extra `cjk`) that carries Noto Sans SC: Chinese, and Japanese kana."""

_CJK_FONT = "fonts/NotoSansSC-Regular.ttf"
_CJK = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
# What XML cannot hold; tokens of bytes may hold anything.
_NO_TEXT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MISSING = re.compile(r"Glyph (\d+) .*missing from font")
_STYLE: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "figure.labelsize": 7,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "errorbar.capsize": 1.5,
    "savefig.dpi": 300,
    "svg.hashsalt": "branchwise",
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    # A label is what its author wrote: between two dollar signs there is no formula.
    "text.parse_math": False,
}
_HOVERS: WeakKeyDictionary[Figure, dict[str, str]] = WeakKeyDictionary()
"""What stands on hover, by the id that its group has in the SVG."""
_ABOUT = {"pdf": "Subject", "svg": "Description", "png": "Description"}
_NO_DATE: dict[str, dict[str, str | None]] = {
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
    "png": {"Software": None},
}


@contextmanager
def styled() -> Iterator[None]:
    """Figures made inside have the project's style."""
    family = cjk_family()
    # Of several families, matplotlib takes for each character the first one that has it.
    fonts: dict[Any, Any] = {"font.family": ["sans-serif", family]} if family else {}
    with sns.axes_style("ticks"), matplotlib.rc_context(_STYLE | fonts):
        yield


@cache
def cjk_family() -> str | None:
    """The family of the extra's Chinese font, which matplotlib knows from now on; None where the extra
    is not installed. Only the font's file is used: the package itself would change every figure.
    """
    spec = find_spec(CJK_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    font = Path(spec.submodule_search_locations[0]) / _CJK_FONT
    if not font.is_file():
        return None
    fontManager.addfont(font)
    return FontProperties(fname=font).get_name()


@contextmanager
def unsaid_glyphs() -> Iterator[None]:
    """Text is measured without a word on what no font has; `save` says it once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_MISSING.pattern)
        yield


@contextmanager
def _missing_glyphs_in_a_line() -> Iterator[None]:
    """Says once what no font has, in place of a warning for each character and each format."""
    with warnings.catch_warnings(record=True) as caught:
        # Also those that were shown before: the same character may be missing from another figure.
        warnings.filterwarnings("always", message=_MISSING.pattern)
        yield
    missing = set()
    for warning in caught:
        if found := _MISSING.match(str(warning.message)):
            missing.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if any(map(_CJK.match, missing)) and cjk_family() is None:
        _say(
            "labels hold Chinese or Japanese characters, which no font here has; install branchwise[cjk]"
        )
    elif missing:
        shown = (sign if sign.isprintable() else ascii(sign)[1:-1] for sign in sorted(missing))
        _say(f"no font here has {' '.join(shown)}; they are drawn as boxes")


@cache
def _say(text: str) -> None:
    """A warning on stderr, the same one only once."""
    print(f"warning: {text}", file=sys.stderr)


def save(figure: Figure, stem: Path, about: str = "", formats: Sequence[str] = FORMATS) -> None:
    """Write a figure as `stem` with the suffix of each format, whole or not at all; then close it.

    `about` stands in small print under it, and in the file's own description. Raises UserError where it
    cannot be written.
    """
    about = _NO_TEXT.sub("\ufffd", about)
    for text in figure.findobj(Text):
        # matplotlib writes it into a comment of the SVG, too.
        if _NO_TEXT.search(text.get_text()):
            text.set_text(_NO_TEXT.sub("\ufffd", text.get_text()))
    if about:
        _write_under(figure, about)
    for suffix in formats:
        facts = _NO_DATE[suffix] | ({_ABOUT[suffix]: about} if about else {})
        path = stem.with_name(f"{stem.name}.{suffix}")
        with atomic_path(path) as temporary, _missing_glyphs_in_a_line():
            figure.savefig(temporary, format=suffix, metadata=facts)
            if suffix == "svg":
                _write_hovers(figure, temporary)
    plt.close(figure)


def of_commit(commit: str | None, dirty: bool | None) -> str:
    """Which code made what a figure shows, for the small print under it."""
    made = f"commit {commit[:10]}" if commit else "outside of git"
    return f"{made}, changed since" if dirty else made


def hover(figure: Figure, artist: Artist, text: str) -> None:
    """Let the SVG say `text` where the pointer rests on an artist that is drawn by itself; a sign stands
    for what XML cannot hold.
    """
    hovers = _HOVERS.setdefault(figure, {})
    gid = f"hover_{len(hovers) + 1}"
    artist.set_gid(gid)
    hovers[gid] = _NO_TEXT.sub("\ufffd", text)


def _write_hovers(figure: Figure, path: Path) -> None:
    """Put each text into the group of its artist: matplotlib knows no titles."""
    hovers = _HOVERS.get(figure)
    if not hovers:
        return
    svg = path.read_text(encoding="utf-8")
    for gid, text in hovers.items():
        svg = svg.replace(f'<g id="{gid}">', f'<g id="{gid}">\n<title>{escape(text)}</title>', 1)
    path.write_text(svg, encoding="utf-8")


def _write_under(figure: Figure, about: str) -> None:
    """A line of small print below everything else, the figure's own label among it."""
    size = 4
    height = 1.8 * size / 72 / figure.get_figheight()
    figure.text(0.99, 0.25 * height, about, fontsize=size, color="0.5", ha="right", va="bottom")
    if label := figure.get_supxlabel():
        # The layout leaves it at the very bottom; an empty line of its own makes room.
        figure.supxlabel(f"{label}\n")
    elif isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.set(rect=(0, height, 1, 1 - height))
