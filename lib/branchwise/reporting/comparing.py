"""Every cell against the baseline strategy's, measure by measure, over what both were asked."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from branchwise.config import Cell, Experiment
from branchwise.evaluation.scales import metric_of
from branchwise.evaluation.significance import holm
from branchwise.evaluation.statistics import Bounds, Difference, detectable_difference, paired_difference
from branchwise.results import Scores

Unit = tuple[str, str]
"""What is paired: group and question; no question for what is measured of a whole group."""


@dataclass(frozen=True)
class Measure:
    """What is compared: the values of a cell by unit, the ends of their scale (None: amounts), and how
    they are written: times `scale`, in `unit`, with `digits` decimals.

    `of_answers`: two decoders that answer alike are one comparison, not two.
    """

    name: str
    unit: str
    scale: float
    digits: int
    bounds: Bounds | None
    of_answers: bool
    values: Callable[[Any], Mapping[Unit, float]]


class Comparison(NamedTuple):
    """A cell's difference from its baseline, over so many groups and units; `num_left_out` units are in
    one of the two alone. Comparisons with the same `identity` are one.
    """

    measure: Measure
    difference: Difference
    num_groups: int
    num_units: int
    num_left_out: int
    identity: Hashable

    @property
    def value(self) -> float:
        """The difference: the cell's mean less the baseline's."""
        return self.difference.value

    @property
    def low(self) -> float:
        """Lower end of its interval."""
        return self.difference.low

    @property
    def high(self) -> float:
        """Upper end of its interval."""
        return self.difference.high

    @property
    def at_floor(self) -> bool:
        """Whether as many groups could give no smaller p-value."""
        return self.difference.p < 1 and self.difference.p <= self.difference.p_floor * (1 + 1e-9)


def primary_measure(scores: Mapping[Cell, Scores]) -> Measure:
    """The metric that each data set is compared by, in points."""

    def values(cell: Cell) -> dict[Unit, float]:
        found = scores[cell]
        pairs = [((q.group, q.question), metric_of(q, found.primary)) for q in found.questions]
        return {unit: value for unit, value in pairs if value is not None}

    return Measure("primary", "points", 100, 1, (0.0, 1.0), True, values)


def wall_measure(seconds: Callable[[Any], Mapping[str, float]]) -> Measure:
    """Wall time of a group in milliseconds; `seconds` gives those of what is compared, by group."""

    def values(of: Any) -> dict[Unit, float]:
        return {(group, ""): wall_s for group, wall_s in seconds(of).items()}

    return Measure("wall", "ms", 1000, 1, None, False, values)


def compare(measure: Measure, one: Hashable, other: Hashable) -> Comparison | None:
    """One less the other, as the measure gives their values; None where they share no unit."""
    values, base = measure.values(one), measure.values(other)
    shared = [unit for unit in values if unit in base]
    if not shared:
        return None
    groups = [group for group, _ in shared]
    first, second = [values[unit] for unit in shared], [base[unit] for unit in shared]
    identity: Hashable = one
    if measure.of_answers and isinstance(one, Cell):
        identity = (one._replace(decoder=""), tuple(shared), tuple(first), tuple(second))
    return Comparison(
        measure,
        paired_difference(first, second, groups, bounds=measure.bounds),
        len(set(groups)),
        len(shared),
        len(values.keys() ^ base.keys()),
        identity,
    )


def compare_all(
    experiment: Experiment, primary: Measure, wall: Measure
) -> dict[Cell, tuple[Comparison, Comparison | None]]:
    """Every cell that has a baseline and shares questions with it: its primary metric, and its wall time
    where both were timed.
    """
    found = {}
    for cell in experiment.cells:
        base = cell._replace(strategy=experiment.baseline)
        if cell == base or base not in experiment.cells:
            continue
        if one := compare(primary, cell, base):
            found[cell] = (one, compare(wall, cell, base))
    return found


def family_size(comparisons: Sequence[Comparison]) -> int:
    """How many different comparisons there are: the same answers from two decoders are one."""
    return len({comparison.identity for comparison in comparisons})


def corrected(comparisons: Sequence[Comparison]) -> list[float]:
    """p-values after Holm over the family of all these, in the given order."""
    family = {comparison.identity: comparison.difference.p for comparison in comparisons}
    adjusted = dict(zip(family, holm(list(family.values())), strict=True))
    return [adjusted[comparison.identity] for comparison in comparisons]


def detectable(comparison: Comparison, family: int) -> float:
    """The difference that would be shown four times in five as one of a family; nan for one group."""
    return detectable_difference(comparison.difference, comparison.num_groups, family)
