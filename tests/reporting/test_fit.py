"""Every figure of every kind of grid fits: nothing cut off, nothing on top of something else, no plot of
nothing.
"""

import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text
from tests.conftest import ROOT
from tests.reporting.fits import check_fits
from tests.reporting.made import Pair, made_results, question_ids, without

from branchwise.reporting import FIGURES_BY_SIZE, figures, figures_of, style
from branchwise.reporting.fitting import clipped, width_in, wrapped
from branchwise.reporting.frames import Results
from branchwise.reporting.look import Look, widen_per_cent
from branchwise.reporting.ticks import log_ticks

PLAIN: dict[str, Any] = {"module": "batch"}
FOLLOWS: dict[str, Any] = {"module": "collab", "dependencies": "heuristic"}
LONG = "a very long label that says what strategy number {} does and with which options (layer by layer)"
CHINESE = "按依赖关系逐个回答所有的问题并且等待每一层的结果第{}种"


def star(cell: Any, number: int, ids: list[str]) -> list[Pair]:
    return [(ids[0], other) for other in ids[1:]]


def chain(cell: Any, number: int, ids: list[str]) -> list[Pair]:
    return list(pairwise(ids))


def known(ids: list[str]) -> list[Pair]:
    return [(ids[0], ids[-1]), (ids[-1], ids[1])]


def size(dataset: str) -> int:
    return int(dataset.rsplit("_g", 1)[1])


def labelled(text: str, count: int) -> dict[str, dict[str, Any]]:
    return {f"s{n}": {**(FOLLOWS if n else PLAIN), "label": text.format(n)} for n in range(count)}


GRIDS: dict[str, dict[str, Any]] = {
    "one data set, 15 strategies": {
        "datasets": ["squad_g5"],
        "strategies": {f"strategy_{n}": FOLLOWS if n > 3 else PLAIN for n in range(15)},
        "edges": lambda cell, number, ids: star(cell, number, ids)[: len(cell.strategy) % 10],
        "known": known,
    },
    "one of each": {"datasets": ["squad_g5"], "strategies": {"batch": PLAIN}},
    "15 data sets, 3 strategies": {
        "datasets": [f"set_{n}_g5" for n in range(15)],
        "strategies": {"batch": PLAIN, "sequential": PLAIN, "collab": FOLLOWS},
        "edges": star,
        "known": known,
    },
    "long labels": {
        "datasets": ["a_very_long_name_of_a_data_set_that_somebody_chose_g5", "b_g5"],
        "strategies": labelled(LONG, 4),
        "decoders": ("tree", "hf"),
        "edges": chain,
        "known": known,
    },
    "Chinese labels": {
        "datasets": ["squad_g5", "squad_g9"],
        "strategies": labelled(CHINESE, 3),
        "size": size,
        "edges": chain,
        "known": known,
    },
    "all equal": {
        "datasets": ["squad_g5"],
        "strategies": {"batch": PLAIN, "collab": FOLLOWS},
        "right": lambda cell: 1.0,
        "wall_s": lambda cell: 0.1,
        "edges": chain,
        "known": known,
    },
    "none right": {
        "datasets": ["squad_g5"],
        "strategies": {"batch": PLAIN, "collab": FOLLOWS},
        "right": lambda cell: 0.0,
    },
    "many sizes": {
        "datasets": [f"squad_g{n}" for n in (1, 2, 4, 8, 16, 32, 64)],
        "strategies": {f"s{n}": PLAIN for n in range(3)},
        "size": size,
        "num_groups": 2,
    },
    "times far apart": {
        "datasets": ["one_g5", "two_g5", "three_g5"],
        "strategies": {f"s{n}": PLAIN for n in range(3)},
        "wall_s": lambda cell: 0.0007 if cell.strategy == "s0" else 1.0 if cell[0] < "p" else 4000.0,
    },
    "a long chain": {
        "datasets": ["squad_g12"],
        "strategies": {"batch": PLAIN, "collab": FOLLOWS},
        "size": size,
        "edges": chain,
        "known": known,
    },
}


def check_shows_something(figure: Figure) -> None:
    """A panel has marks in it; a figure without panels has words."""
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert panels or figure.texts
    for axis in panels:
        said = any(text.get_text() for text in axis.texts)
        assert said or axis.patches or any(len(line.get_xdata()) for line in axis.lines)


FIGURES_OF = {
    "none right": ("accuracy", "quality_latency", "dependency_cost"),
    "many sizes": ("accuracy_by_size", "latency_by_size", "quality_latency"),
    "times far apart": ("quality_latency", "dependency_cost"),
    "a long chain": ("dependency_graphs",),
}
"""Figures that a grid is there for; all of them where it is not named."""


@cache
def results_of(grid: str) -> Results:
    return made_results(ROOT, **GRIDS[grid])


def drawn(name: str, results: Results, check: Callable[[Figure], None]) -> None:
    with style.styled():
        figure = figures.MAKERS[name](results)
        try:
            check(figure)
        finally:
            plt.close(figure)


@pytest.mark.parametrize(
    ("grid", "name"),
    [
        pytest.param(
            grid,
            name,
            id=f"{grid.replace(' ', '-')}-{name}",
            marks=[pytest.mark.slow] if grid.startswith("15 data sets") else [],
        )
        for grid in GRIDS
        for name in FIGURES_OF.get(grid, tuple(figures.MAKERS))
    ],
)
def test_a_figure_fits(grid: str, name: str) -> None:
    def check(figure: Figure) -> None:
        check_fits(figure)
        check_shows_something(figure)

    drawn(name, results_of(grid), check)


@pytest.mark.parametrize("metric", ["em", "wall_s", "ideal_s", "unique", "edges", "edge_recall"])
def test_a_missing_metric_is_no_crash_and_no_empty_plot(metric: str, root: Path) -> None:
    grid = GRIDS["all equal"] | {"datasets": ["squad_g2", "squad_g3"], "size": size}
    results = without(made_results(root, **grid), metric)
    for name in figures.MAKERS:
        drawn(name, results, check_shows_something)


@pytest.mark.parametrize("right", [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.03, 0.9])
def test_per_cents_have_no_tick_below_0_or_above_100(right: float, spread: float) -> None:
    with style.styled():
        figure, axis = plt.subplots(figsize=(2, 1))
        values = [100 * right, 100 * min(1, right + spread)]
        axis.plot(values, [0, 1], "o")
        widen_per_cent(axis, "x")
        low, high = axis.get_xlim()
        ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
    assert low < min(values) <= max(values) < high
    assert high - low >= 7
    assert 0 <= min(ticks) < max(ticks) <= 100
    plt.close(figure)


def words(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


def test_nothing_to_show_is_said(root: Path) -> None:
    results = made_results(root, **GRIDS["one of each"])
    for name in (*FIGURES_BY_SIZE, "dependency_gain", "dependency_edges", "dependency_graphs"):
        with style.styled():
            figure = figures.MAKERS[name](results)
        assert not figure.axes
        assert words(figure).startswith("No ")
        plt.close(figure)
    assert not set(FIGURES_BY_SIZE) & set(figures_of(results.experiment))


def test_a_legend_names_every_strategy_whole(root: Path) -> None:
    results = made_results(root, **GRIDS["long labels"])
    with style.styled():
        figure = figures.quality_latency(results)
    (legend,) = figure.legends
    said = [text.get_text().replace("\n", " ") for text in legend.get_texts()]
    assert said == [*(LONG.format(n) for n in range(4)), "tree", "transformers"]
    plt.close(figure)


def test_no_two_of_many_strategies_look_the_same(root: Path) -> None:
    results = made_results(
        root,
        datasets=["squad_g5"],
        strategies={f"s{n}": FOLLOWS for n in range(55)},
        num_groups=1,
    )
    look = Look(results)
    names = results.experiment.strategies
    assert len({(look.colour[n], look.marker[n]) for n in names}) == len(names)
    assert len({(look.colour[n], look.hatch[n]) for n in names}) == len(names)


@pytest.mark.parametrize("low", [0.5, 1, 3.7, 20, 99, 640])
@pytest.mark.parametrize("times", [1.01, 1.5, 3, 12, 200, 1e5, 1e9])
def test_a_log_axis_has_labels_that_do_not_touch(low: float, times: float) -> None:
    for room_in in (1.0, 2.8):
        ticks = log_ticks(low, low * times, room_in)
        assert 2 <= len(ticks) <= 12
        assert ticks == sorted(set(ticks))
        assert all(low <= tick <= low * times for tick in ticks)


def test_between_decades_there_are_labels_where_decades_are_few() -> None:
    with style.styled():
        assert log_ticks(15, 800, 2.8) == [20, 30, 50, 70, 100, 200, 300, 500, 700]
        assert log_ticks(15, 800, 1.8) == [20, 50, 100, 200, 500]
        assert log_ticks(130, 170, 1.2) == [130, 140, 150, 160, 170]
        assert log_ticks(0.5, 2e6, 2.0) == [1, 100, 10000, 1000000]


@pytest.mark.parametrize("text", ["short", LONG, CHINESE * 3, "x" * 200, "from $5 to $6 " * 9])
def test_wrapped_text_is_whole_and_fits(text: str) -> None:
    with style.styled():
        lines = wrapped(text, 1.2, 6.5).splitlines()
        assert all(width_in(line, 6.5) <= 1.2 for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)


@pytest.mark.parametrize("text", ["short", LONG, CHINESE * 3, "x" * 200, "from $5 to $6 " * 9, "a"])
@pytest.mark.parametrize("room_in", [0.02, 0.1, 0.6])
def test_clipped_text_begins_as_the_whole_and_fits(text: str, room_in: float) -> None:
    with style.styled():
        found = clipped(text, room_in, 5)
        assert not found or width_in(found, 5) <= room_in
        assert found == text or found == "" or (found[-1] == "…" and text.startswith(found[:-1]))
        # No word is cut that has one before it.
        assert " " not in found or found == text or text[len(found) - 1] == " "
        assert (found == text) == (width_in(text, 5) <= room_in)


def test_wrapped_text_breaks_no_word_that_fits() -> None:
    with style.styled():
        assert set(" ".join(wrapped(LONG, 1.2, 6.5).splitlines()).split()) == set(LONG.split())


def svg(results: Results, folder: Path) -> str:
    figures.write_figure("dependency_graphs", results, folder)
    return (folder / "dependency_graphs.svg").read_text(encoding="utf-8")


def test_a_graph_shows_q1_to_qn_and_the_ids_on_hover(root: Path, tmp_path: Path) -> None:
    results = made_results(
        root,
        datasets=["squad_g5"],
        strategies={"batch": PLAIN, "one": FOLLOWS, "two": FOLLOWS},
        edges=lambda cell, number, ids: star(cell, number, ids) if cell.strategy == "one" else [],
        known=lambda ids: [(ids[0], ids[1]), (ids[1], ids[2])],
        num_groups=2,
    )
    text = svg(results, tmp_path)
    for number in (0, 1):
        for place, name in enumerate(question_ids("squad_g5", number, 5), start=1):
            # The ring and the words in it.
            assert text.count(f"<title>Q{place}: {name}</title>") == 2
            assert f"<!-- {name}" not in text
    titles = re.findall(r"<title>(Q\d needs Q\d.*?)</title>", text)
    followed = [f"Q{n} needs Q1" for n in (2, 3, 4, 5)]
    assert sorted(titles) == sorted([*followed, "Q3 needs Q2 (known, not followed)"] * 2)
    assert [text.count(f"<!-- Q{n} -->") for n in range(1, 7)] == [2, 2, 2, 2, 2, 0]


@pytest.mark.parametrize("missing", [(), ("cached",), ("cached", "generated")])
def test_bars_of_tokens_end_before_the_frame(missing: tuple[str, ...]) -> None:
    """Also those whose last part is nothing."""
    results = made_results(ROOT, datasets=["squad_g5"], strategies={"batch": PLAIN, "b": PLAIN})
    check_fits(figures.tokens(without(results, *missing)))
