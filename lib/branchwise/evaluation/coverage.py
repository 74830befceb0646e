"""How often nominal 95 % intervals hold the truth: a simulation, seeded, cell by cell.

Each cell draws many experiments whose truth is known and counts the intervals that hold it, beside those
of the percentile bootstrap over groups, which is what most papers print.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from branchwise.evaluation.statistics import CONFIDENCE, difference_interval, mean_interval, t_quantile

GROUPS = (5, 10, 20, 50, 100)
TRUTHS = (0.5, 0.8, 0.95, 0.99)
CORRELATIONS = (0.0, 0.2, 0.5)
SIGMAS = (0.3, 0.6, 1.0)
PAIRS = ((0.5, 0.7), (0.8, 0.8), (0.8, 0.9), (0.95, 0.95), (0.99, 0.99))
SLOWER = (1.0, 1.3)
SIZES = {"5": (5, 5), "1-12": (1, 12)}
"""Questions a group: equal, or any number between two."""

BOOTSTRAP_DRAWS = 500
BOOTSTRAP_SHARE = 4
"""One experiment in so many is bootstrapped too: it takes most of the time and nobody relies on it."""

BOOTSTRAP = "percentile bootstrap"

METHODS = (
    *("Wilson, design effect, t", "t on the log scale"),
    *("Agresti-Min, design effect, t", "t, on the log scale where proportional"),
)
"""What tables print: of shares, of amounts, of differences of shares, of differences of amounts."""

AGREE = 0.9
"""Share of the questions on which two strategies fare alike for one reason."""

NOISE = 0.05
"""Standard deviation of the logarithm of a group's time from strategy to strategy."""


class Drawn(NamedTuple):
    """One experiment: its values, what they are compared with (None: nothing), and their groups."""

    values_N: np.ndarray
    others_N: np.ndarray | None
    groups_N: np.ndarray


@dataclass(frozen=True)
class Setting:
    """What is drawn: `groups` groups of `sizes` questions whose true mean (or difference) is `truth`.

    `spread` is the correlation of answers in a group for shares, and the standard deviation of the
    logarithm for amounts.
    """

    measure: str
    groups: int
    sizes: str
    truth: float
    spread: float
    draw: Callable[["Setting", np.random.Generator], Drawn]
    bounds: tuple[float, float] | None = None


class Cell(NamedTuple):
    """One row of the study: how often a method's interval held the truth, its mean width, and the
    share of intervals of zero width.
    """

    measure: str
    method: str
    groups: int
    sizes: str
    truth: float
    spread: float
    replicates: int
    coverage: float
    mean_width: float
    zero_width: float


def _grouped(setting: Setting, rng: np.random.Generator) -> np.ndarray:
    """The group of each question."""
    least, most = SIZES[setting.sizes]
    return np.repeat(np.arange(setting.groups), rng.integers(least, most + 1, setting.groups))


def _chances(mean: float, correlation: float, places_G: np.ndarray) -> np.ndarray:
    """Each group's chance of a right answer (beta), at its place among all groups."""
    if correlation == 0:
        return np.full(len(places_G), mean)
    from scipy.special import betaincinv

    sum_of_both = 1 / correlation - 1
    return betaincinv(mean * sum_of_both, (1 - mean) * sum_of_both, places_G)


def _shares(setting: Setting, rng: np.random.Generator) -> Drawn:
    groups_N = _grouped(setting, rng)
    chances_G = _chances(setting.truth, setting.spread, rng.random(setting.groups))
    return Drawn((rng.random(len(groups_N)) < chances_G[groups_N]).astype(float), None, groups_N)


def _graded(setting: Setting, rng: np.random.Generator) -> Drawn:
    """As F1 is: right, wrong, or (four in ten of the rest) anything between."""
    right = _shares(_with_truth(setting, (setting.truth - 0.2) / 0.8), rng)
    partial_N = rng.random(len(right.values_N)) * (rng.random(len(right.values_N)) < 0.4)
    return Drawn(np.maximum(right.values_N, partial_N), None, right.groups_N)


def _with_truth(setting: Setting, truth: float) -> Setting:
    return Setting(setting.measure, setting.groups, setting.sizes, truth, setting.spread, _shares)


def _pairs(base: float) -> Callable[[Setting, np.random.Generator], Drawn]:
    def draw(setting: Setting, rng: np.random.Generator) -> Drawn:
        groups_N = _grouped(setting, rng)
        places_G = rng.random(setting.groups)
        luck_N = rng.random(len(groups_N))
        other_luck_N = np.where(rng.random(len(groups_N)) < AGREE, luck_N, rng.random(len(groups_N)))
        one_N = luck_N < _chances(base + setting.truth, setting.spread, places_G)[groups_N]
        other_N = other_luck_N < _chances(base, setting.spread, places_G)[groups_N]
        return Drawn(one_N.astype(float), other_N.astype(float), groups_N)

    return draw


def _amounts(setting: Setting, rng: np.random.Generator) -> Drawn:
    """Lognormal, with mean `truth`."""
    logs_G = rng.normal(np.log(setting.truth) - setting.spread**2 / 2, setting.spread, setting.groups)
    return Drawn(np.exp(logs_G), None, np.arange(setting.groups))


def _amount_pairs(setting: Setting, rng: np.random.Generator) -> Drawn:
    """Two strategies over the same groups, the second with a mean of one second a group."""
    level_G = np.exp(rng.normal(-(setting.spread**2) / 2, setting.spread, setting.groups))
    noise_2G = np.exp(rng.normal(-(NOISE**2) / 2, NOISE, (2, setting.groups)))
    one_G, other_G = level_G * noise_2G * np.array([[1 + setting.truth], [1.0]])
    return Drawn(one_G, other_G, np.arange(setting.groups))


def settings(groups: Sequence[int] = GROUPS) -> Iterator[Setting]:
    """All cells of the study."""
    scale = (0.0, 1.0)
    for number in groups:
        for sizes in SIZES:
            for truth in TRUTHS:
                for spread in CORRELATIONS:
                    yield Setting("share", number, sizes, truth, spread, _shares, scale)
                yield Setting("graded share", number, sizes, truth, 0.2, _graded, scale)
            for base, one in PAIRS:
                for spread in CORRELATIONS[:2]:
                    name, truth = f"difference from {base:g}", round(one - base, 3)
                    yield Setting(name, number, sizes, truth, spread, _pairs(base), scale)
        for spread in SIGMAS:
            yield Setting("amount", number, "1", 1.0, spread, _amounts)
            for ratio in SLOWER:
                truth = round(ratio - 1, 3)
                yield Setting("difference of amounts", number, "1", truth, spread, _amount_pairs)


def intervals(setting: Setting, drawn: Drawn) -> tuple[float, float]:
    """The interval that tables print."""
    values, groups = drawn.values_N.tolist(), drawn.groups_N.tolist()
    if drawn.others_N is None:
        return mean_interval(values, groups, bounds=setting.bounds)[1:]
    return difference_interval(values, drawn.others_N.tolist(), groups, bounds=setting.bounds)[1:]


def _sums(drawn: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """Per group the sum of its values (or differences), and how many they are."""
    values_N = drawn.values_N if drawn.others_N is None else drawn.values_N - drawn.others_N
    _, index_N = np.unique(drawn.groups_N, return_inverse=True)
    return np.bincount(index_N, weights=values_N), np.bincount(index_N).astype(float)


def bootstrap(drawn: Drawn, rng: np.random.Generator) -> tuple[float, float]:
    """Percentile bootstrap: whole groups drawn with replacement."""
    totals_G, counts_G = _sums(drawn)
    chosen = rng.integers(0, len(totals_G), size=(BOOTSTRAP_DRAWS, len(totals_G)))
    means = totals_G[chosen].sum(1) / counts_G[chosen].sum(1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)


def plain_t(drawn: Drawn) -> tuple[float, float]:
    """Student's interval, of one value a group."""
    values_G, _ = _sums(drawn)
    half = t_quantile((1 + CONFIDENCE) / 2, len(values_G) - 1) * values_G.std(ddof=1)
    half /= np.sqrt(len(values_G))
    return float(values_G.mean() - half), float(values_G.mean() + half)


def measure(setting: Setting, replicates: int, seed: int, compared: bool = True) -> list[Cell]:
    """A row for each method; the first is of the interval that tables print. Seeded by what is drawn, so
    that a cell is the same alone and in the whole study.
    """
    key = f"{setting.measure} {setting.groups} {setting.sizes} {setting.truth:g} {setting.spread:g}"
    rng = np.random.default_rng([seed, *key.encode()])
    found: dict[str, list[tuple[float, float]]] = {}
    printed = METHODS[2 * setting.measure.startswith("difference") + (setting.bounds is None)]
    for number in range(replicates):
        drawn = setting.draw(setting, rng)
        found.setdefault(printed, []).append(intervals(setting, drawn))
        if compared and setting.bounds is None:
            found.setdefault("t", []).append(plain_t(drawn))
        if compared and number % BOOTSTRAP_SHARE == 0:
            found.setdefault(BOOTSTRAP, []).append(bootstrap(drawn, rng))
    return [_cell(setting, method, np.array(ends)) for method, ends in found.items()]


def _cell(setting: Setting, method: str, ends_R2: np.ndarray) -> Cell:
    low_R, high_R = ends_R2.T
    held = (low_R <= setting.truth + 1e-12) & (setting.truth - 1e-12 <= high_R)
    width_R = high_R - low_R
    return Cell(
        setting.measure,
        method,
        setting.groups,
        setting.sizes,
        setting.truth,
        setting.spread,
        len(ends_R2),
        round(float(held.mean()), 4),
        round(float(width_R.mean()), 5),
        round(float((width_R < 1e-9).mean()), 4),
    )
