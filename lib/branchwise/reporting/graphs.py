"""Where questions and their dependencies stand in a drawing. Figures and pages share it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import hypot

Point = tuple[float, float]
Pair = tuple[str, str]
Curve = tuple[Point, Point, Point]
"""A quadratic curve: source, control point, target."""

_BENDS = tuple(chain([0.0], *((bend / 20, -bend / 20) for bend in range(3, 31))))
"""How far the middle of an edge may lie beside the straight line, in lengths of it; least first."""
_STEPS = tuple(step / 24 for step in range(1, 24))


def places(layers: Sequence[Sequence[str]], step_x: float, step_y: float) -> dict[str, Point]:
    """A point a question: layers from left to right, each centred on the highest one, y downwards.

    The first layer stands at x = 0 and the highest one starts at y = 0.
    """
    highest = max(map(len, layers), default=0)
    return {
        name: (depth * step_x, (row + (highest - len(layer)) / 2) * step_y)
        for depth, layer in enumerate(layers)
        for row, name in enumerate(layer)
    }


def routes(points: Mapping[str, Point], pairs: Iterable[Pair], clearance: float) -> dict[Pair, Point]:
    """Control points of quadratic curves, one an edge, that keep `clearance` from every other question.

    An edge is straight (its control point the middle) where that does, and where it has no opposite.
    Where no bend does, the one that stays farthest away is taken.
    """
    pairs = list(pairs)
    both_ways = {pair for pair in pairs if pair[::-1] in pairs}
    return {pair: _route(points, pair, clearance, pair in both_ways) for pair in pairs}


def _route(points: Mapping[str, Point], pair: Pair, clearance: float, bent: bool) -> Point:
    source, target = points[pair[0]], points[pair[1]]
    others = [point for name, point in points.items() if name not in pair]
    best, widest = midpoint(source, target), -1.0
    for bend in _BENDS[1:] if bent else _BENDS:
        control = _control(source, target, bend)
        curve = source, control, target
        room = min((_distance(point, curve) for point in others), default=clearance)
        if room >= clearance:
            return control
        if room > widest:
            best, widest = control, room
    return best


def midpoint(one: Point, other: Point) -> Point:
    """The point half-way."""
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2


def _control(source: Point, target: Point, bend: float) -> Point:
    middle = midpoint(source, target)
    # The curve's own middle is half as far out as its control point.
    across = target[1] - source[1], source[0] - target[0]
    return middle[0] + 2 * bend * across[0], middle[1] + 2 * bend * across[1]


def _distance(point: Point, curve: Curve) -> float:
    """From a point to a curve."""
    return min(_length(point, on_curve(curve, step)) for step in _STEPS)


def on_curve(curve: Curve, step: float) -> Point:
    """The point of a curve at `step`, 0 to 1."""
    weights = ((1 - step) ** 2, 2 * step * (1 - step), step**2)
    x, y = (sum(w * part[axis] for w, part in zip(weights, curve, strict=True)) for axis in (0, 1))
    return x, y


def trimmed(curve: Curve, radius: float) -> Curve:
    """The part of a curve between the circles around its ends."""
    source, _, target = curve
    steps = [step / 240 for step in range(241)]
    outside = [
        step
        for step in steps
        if min(_length(on_curve(curve, step), end) for end in (source, target)) >= radius
    ]
    if not outside:
        return curve
    first, last = outside[0], outside[-1]
    # The blossom of the curve at both: the control point of its part.
    weights = (1 - first) * (1 - last), first * (1 - last) + last * (1 - first), first * last
    x, y = (sum(w * part[axis] for w, part in zip(weights, curve, strict=True)) for axis in (0, 1))
    return on_curve(curve, first), (x, y), on_curve(curve, last)


def _length(one: Point, other: Point) -> float:
    return hypot(one[0] - other[0], one[1] - other[1])


def bounds(
    points: Iterable[Point], curves: Iterable[Curve], radius: float, margin: float
) -> tuple[Point, Point]:
    """Lower and upper corner of circles around points and of curves."""
    seen = [(x + side * radius, y + side * radius) for x, y in points for side in (-1, 1)]
    seen += [on_curve(curve, step) for curve in curves for step in _STEPS]
    xs, ys = zip(*seen, strict=True)
    return (min(xs) - margin, min(ys) - margin), (max(xs) + margin, max(ys) + margin)
