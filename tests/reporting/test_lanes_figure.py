"""The picture of lanes: all of it fits, words stay in their bars, and the SVG says everything."""

import re
from functools import partial
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from tests.reporting.fits import check_fits, texts
from tests.reporting.made import run_record
from tests.reporting.made_traces import ask, in_turn, outlined

from branchwise.config import Cell
from branchwise.reporting import lanes_figure
from branchwise.reporting.lanes import lanes_of
from branchwise.reporting.lanes_figure import draw_lanes, write_lanes
from branchwise.reporting.style import COLUMN_IN, plt, save, styled
from branchwise.trace import BranchRecord, GroupTrace, Tokens

CHINESE = ["血压升高的主要原因是什么以及如何处理", "$x_1$ and $y_2$", "肝脏", "a_b", "$", "_"]
BODIES = ["患者应当注意休息并定期测量血压", "costs $5 to $6_a", "lives in Ashton and works as a baker"]
MANY = GroupTrace(
    group="g", asks=tuple(ask(f"a rather long role {n}", "x", 10 * n, 10 * n + 9) for n in range(14))
)
TRACES = {
    "nothing": GroupTrace(group="g", asks=()),
    "one ask": in_turn(1),
    "no branches": in_turn(9),
    "two branches": outlined(["Mara", "Ben"], ["a baker"]),
    "eight branches": outlined([f"title {n}" for n in range(8)], BODIES),
    "Chinese and dollars": outlined(CHINESE, BODIES),
    "more than fit": outlined([f"a long title of number {n}" for n in range(90)], BODIES),
    "many roles": MANY,
    "no time at all": GroupTrace(group="g", asks=(ask("answer", "now", 0, 0),)),
    "a long time": GroupTrace(group="g", asks=(ask("answer", "late", 3_600_000, 7_200_000),)),
}
TITLE = "outline on 肝病问答 $x_1$, group " + "a very long name of a group " * 4
NOTHING = Tokens(sent=0, unique=0, cached=0, generated=0, padding=0)
RUN = run_record(Cell("d_$1$", "m", "outline", "tree"), [], NOTHING)


def axis_of(figure: Figure):
    return next(axis for axis in figure.axes if axis.get_label() == "lanes")


@pytest.fixture(params=TRACES, scope="module")
def figure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """As it is written, small print and all."""
    kept: list[Figure] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plt, "close", kept.append)
        patch.setattr(lanes_figure, "save", partial(save, formats=("png",)))
        write_lanes(lanes_of(TRACES[request.param]), tmp_path_factory.mktemp("lanes") / "one", TITLE, RUN)
    with styled():
        yield kept[0]
    plt.close(kept[0])


def test_all_that_is_written_fits(figure: Figure) -> None:
    check_fits(figure)
    assert figure.get_figwidth() == COLUMN_IN
    assert figure.get_figheight() < 10


def test_words_stay_in_their_bars(figure: Figure) -> None:
    axis = axis_of(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [one.get_window_extent(renderer) for one in axis.patches if isinstance(one, Rectangle)]
    frame = axis.get_window_extent(renderer)
    for text in axis.texts:
        words = text.get_window_extent(renderer)
        holds = [
            b for b in boxes if b.x0 <= words.x0 and words.x1 <= b.x1 and b.y0 - 1 <= words.y0 <= b.y1
        ]
        assert len(holds) == 1, text.get_text()
        assert words.y1 <= holds[0].y1 + 1
    assert all(frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)
    assert all(frame.y0 - 1 <= box.y0 and box.y1 <= frame.y1 + 1 for box in boxes)


def test_a_picture_grows_with_its_lanes() -> None:
    heights = []
    for count in (2, 10, 50):
        with styled():
            figure = draw_lanes(lanes_of(outlined([f"title {n}" for n in range(count)], BODIES)), "x")
        heights.append(figure.get_figheight())
        plt.close(figure)
    assert heights[1] - heights[0] == pytest.approx(8 * 0.13)
    assert heights[2] - heights[1] == pytest.approx(40 * 0.13)


def said(figure: Figure) -> str:
    """All words of a figure on a line; closes it."""
    found = " ".join(" ".join(text.get_text().split()) for text, _ in texts(figure))
    plt.close(figure)
    return found


def test_the_caption_says_what_is_left_out_and_what_went_on(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(lanes_figure, "save", lambda figure, *_: drawn.append(figure))
    for flight in (1, 2, 16):
        run = RUN.model_copy(update={"groups_in_flight": flight, "num_groups": 20})
        write_lanes(lanes_of(TRACES["more than fit"]), Path("x"), "g", run)
    alone, two, many = map(said, drawn)
    assert "Left out: the last 33 of 93 lanes." in alone
    assert "other group" not in alone
    assert "Up to 1 other group went on" in two
    assert "Up to 15 other groups went on" in many


def test_a_legend_names_roles_and_lines_that_there_are() -> None:
    with styled():
        branches, plain = (
            draw_lanes(lanes_of(TRACES[name]), "x") for name in ("two branches", "no branches")
        )
    names = [[text.get_text() for text in one.legends[0].get_texts()] for one in (branches, plain)]
    assert names == [
        ["intro", "outline", "branch", "answer", "only read", "fork or join"],
        ["answer", "waited for"],
    ]
    plt.close(branches)
    plt.close(plain)


def test_the_svg_says_whole_texts_and_is_the_same_twice(tmp_path: Path) -> None:
    attack = '</title><script>alert("1")</script> \x00 ' + "long " * 50
    branches = (BranchRecord(verb="open", parents=(), text=attack),)
    trace = GroupTrace(group="g", asks=(ask("answer", attack, 1, 2, 0),), branches=branches)
    for name in ("one", "two"):
        write_lanes(lanes_of(trace), tmp_path / name, "g <b>", RUN)
    svg = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert "<script>" not in svg and "\x00" not in svg
    titles = re.findall("<title>(.*?)</title>", svg, re.DOTALL)
    whole = '&lt;/title&gt;&lt;script&gt;alert("1")&lt;/script&gt; \ufffd ' + "long " * 50
    assert [title.split("\n", 1) for title in titles if "\n" in title] == [
        ["answer, 1.0 to 2.0 ms, 52 tokens", whole],
        ["answer, 1.0 to 2.0 ms, 52 tokens", whole],
        ["open, only read:", whole],
    ]
    for suffix in ("svg", "pdf", "png"):
        one, two = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two
