"""What an experiment would cost and take, from a few groups of each cell."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_folder
from branchwise.data.prepare import groups_of
from branchwise.results import RunRecord, read_json


class Estimate(NamedTuple):
    """A cell: groups tried, groups in all, and what all would take; a cost where prices are known."""

    cell: Cell
    tried: int
    groups: int
    sent: float
    unique: float
    generated: float
    seconds: float
    cost: float | None
    currency: str


def run_files(experiment: Experiment) -> dict[Cell, Path]:
    """Where the records of an experiment's cells lie, whether they are there or not."""
    folder = Path(experiment.cells_folder)
    return {cell: folder / cell_folder(experiment, cell) / "run.json" for cell in experiment.cells}


def num_groups_of(entry: Any) -> int:
    """How many groups a data set has; made or read where its entry does not say."""
    return entry.num_groups or sum(1 for _ in groups_of(entry, lambda text: None))


def estimates(runs: Mapping[Cell, Path], groups: Mapping[str, int], in_flight: int) -> list[Estimate]:
    """What each cell would take, by its record of some groups; `groups` is by data set, `in_flight` of
    them would be asked at once.
    """
    found = []
    for cell, file in runs.items():
        run = read_json(file, RunRecord)
        tried = run.num_groups + len(run.left_out)
        times = groups[cell.dataset] / tried
        served, seconds = run.served, run.makespan_s
        if served is not None:
            # A served model's time is that of its replies: a few groups, or some that were kept from
            # before, take another time here than so many at once.
            at_once = min(in_flight, groups[cell.dataset])
            seconds = sum(group.latency_s or 0.0 for group in run.groups) / at_once
        currencies = {str(price["currency"]) for price in served.prices} if served else set()
        found.append(
            Estimate(
                cell,
                tried,
                groups[cell.dataset],
                run.totals.sent * times,
                run.totals.unique * times,
                run.totals.generated * times,
                seconds * times,
                None if served is None or served.cost is None else served.cost * times,
                "/".join(sorted(currencies)),
            )
        )
    return found


def frame_of(found: Sequence[Estimate]) -> pd.DataFrame:
    """One row a cell, as it is read; axes with one name left out."""
    frame = pd.DataFrame(
        {
            **one.cell._asdict(),
            "tried": one.tried,
            "groups": one.groups,
            "tokens sent": f"{one.sent:,.0f}",
            "generated": f"{one.generated:,.0f}",
            "minutes": f"{one.seconds / 60:.1f}",
            "cost": "" if one.cost is None else f"{one.cost:.2f} {one.currency}".strip(),
        }
        for one in found
    )
    return without_single_axes(frame)


def without_single_axes(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of cells without the axes that have one name; strategies always stay."""
    alike = [axis for axis in Cell._fields if axis != "strategy" and frame[axis].nunique() == 1]
    return frame.drop(columns=alike)


def totals(found: Sequence[Estimate]) -> str:
    """All cells in a sentence. What was tried counts: of served models it is kept, and not paid again."""
    minutes = sum(one.seconds for one in found) / 60
    said = f"{len(found)} cells, {sum(one.groups for one in found):,} groups: about {minutes:.0f} minutes"
    costs = costs_said((one.cost, one.currency) for one in found)
    return f"{said}, one cell after the other" + (f", and {costs}" if costs else "")


def costs_said(costs: Iterable[tuple[float | None, str]]) -> str:
    """Costs added up by their currencies, in words; "" where there are none."""
    by_currency: dict[str, float] = {}
    for cost, currency in costs:
        if cost is not None:
            by_currency[currency] = by_currency.get(currency, 0.0) + cost
    return " and ".join(f"{cost:.2f} {currency}".strip() for currency, cost in by_currency.items())
