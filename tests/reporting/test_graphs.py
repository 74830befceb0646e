"""Places and routes in drawings of graphs."""

from itertools import pairwise
from math import dist

from hypothesis import given
from hypothesis import strategies as st

from branchwise.reporting.graphs import bounds, midpoint, on_curve, places, routes, trimmed

FINE = [step / 100 for step in range(101)]
POINT = st.tuples(st.floats(-100, 100), st.floats(-100, 100))


def test_layers_go_right_and_stand_centred() -> None:
    found = places([("a", "b", "c"), ("d",)], 10, 4)
    assert found == {"a": (0, 0), "b": (0, 4), "c": (0, 8), "d": (10, 4)}


def test_an_edge_that_would_pass_behind_a_question_bends_around_it() -> None:
    points = places([("a",), ("b",), ("c",)], 30, 17)
    found = routes(points, [("a", "b"), ("b", "c"), ("a", "c")], 8)
    assert found["a", "b"] == midpoint(points["a"], points["b"])
    curve = [on_curve((points["a"], found["a", "c"], points["c"]), step) for step in FINE]
    assert min(dist(point, points["b"]) for point in curve) >= 7.9


def test_edges_both_ways_do_not_lie_on_each_other() -> None:
    points = places([("a",), ("b",)], 30, 17)
    one, other = routes(points, [("a", "b"), ("b", "a")], 8).values()
    assert dist(one, other) > 5


def test_every_edge_of_a_full_chain_stays_clear() -> None:
    names = [f"q{n}" for n in range(8)]
    points = places([(name,) for name in names], 40, 17)
    pairs = [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
    for (a, b), control in routes(points, pairs, 14).items():
        curve = [on_curve((points[a], control, points[b]), step) for step in FINE]
        others = [point for name, point in points.items() if name not in (a, b)]
        assert all(dist(point, other) > 13 for point in curve for other in others)


@given(POINT, POINT, POINT)
def test_a_trimmed_curve_lies_on_the_whole_one_and_outside_of_the_circles(a, c, b) -> None:
    start, control, end = trimmed((a, c, b), 5)
    whole = [on_curve((a, c, b), step / 2000) for step in range(2001)]
    if dist(a, b) > 15:
        assert min(dist(start, a), dist(end, b)) >= 4.999
    for step in (0, 0.3, 0.7, 1):
        point = on_curve((start, control, end), step)
        assert min(dist(point, other) for other in whole) < 1


@given(st.lists(POINT, min_size=2, max_size=5))
def test_bounds_hold_everything(points) -> None:
    curves = [(a, (a[1], b[0]), b) for a, b in pairwise(points)]
    low, high = bounds(points, curves, 5, 1)
    for curve in curves:
        for step in FINE:
            x, y = on_curve(curve, step)
            assert low[0] - 1 <= x <= high[0] + 1
            assert low[1] - 1 <= y <= high[1] + 1
