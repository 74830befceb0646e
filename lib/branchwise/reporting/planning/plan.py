"""A plan as it is read: a table, hours by model, a sentence of totals, and what it rests on."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from branchwise.config import Cell, Experiment
from branchwise.config.stages import asked_beside
from branchwise.reporting.estimates import costs_said, without_single_axes
from branchwise.reporting.planning.facts import devices
from branchwise.reporting.planning.work import ASSUMED

_HOUR = 3600
_MILLION = 1e6


class Row(NamedTuple):
    """A cell: whether its result is there, what its numbers are by (a model of what strategies ask, or a
    smoke test), and what it takes; None where that is not known, `gap` says why. Seconds of one device;
    a model that needs several (`devices`) has as many times as many. What is `remote` takes none of ours.
    """

    cell: Cell
    done: bool
    by: str
    groups: float | None = None
    questions: float | None = None
    sent: float | None = None
    prefilled: float | None = None
    generated: float | None = None
    answers_s: float | None = None
    times_s: float | None = None
    devices: int = 1
    cost: float | None = None
    currency: str = ""
    remote: bool = False
    gap: str = ""

    @property
    def answer_hours(self) -> float | None:
        """Device hours of answers."""
        return None if self.answers_s is None else self.answers_s * self.devices / _HOUR

    @property
    def time_hours(self) -> float | None:
        """Device hours of taking times."""
        return None if self.times_s is None else self.times_s * self.devices / _HOUR

    @property
    def hours(self) -> float | None:
        """Device hours of both."""
        return None if self.answer_hours is None else self.answer_hours + (self.time_hours or 0.0)


class Beside(NamedTuple):
    """What is made beside the cells: a checkpoint, wordings, confidences; its time where it is known."""

    what: str
    model: str
    done: bool
    tokens: float
    seconds: float | None
    devices: int

    @property
    def hours(self) -> float | None:
        """Device hours."""
        return None if self.seconds is None else self.seconds * self.devices / _HOUR


class Plan(NamedTuple):
    """What an experiment would take on a device."""

    experiment: Experiment
    device: str
    efficiency: float
    rows: tuple[Row, ...]
    beside: tuple[Beside, ...]

    @property
    def waiting(self) -> list[Row]:
        """The cells without a result."""
        return [row for row in self.rows if not row.done]


def numbers_of(plan: Plan) -> pd.DataFrame:
    """One row a cell, to compute with: device hours and whole tokens, empty where they are not known."""
    return pd.DataFrame(
        {
            **row.cell._asdict(),
            "state": "done" if row.done else "to do",
            "by": row.by,
            "groups": row.groups,
            "questions": row.questions,
            "sent": row.sent,
            "prefilled": row.prefilled,
            "generated": row.generated,
            "answer_hours": row.answer_hours,
            "time_hours": row.time_hours,
            "devices": row.devices,
            "cost": row.cost,
            "currency": row.currency,
            "unknown": row.gap,
        }
        for row in plan.rows
    ).round({"groups": 1, "questions": 1, "sent": 0, "prefilled": 0, "generated": 0})


def frame_of(plan: Plan) -> pd.DataFrame:
    """One row a cell, as it is read; axes with one name and what no row has are left out."""
    frame = pd.DataFrame(
        {
            **row.cell._asdict(),
            "state": "done" if row.done else "",
            "groups": _count(row.groups),
            "asked": _count(row.questions),
            "sent": _short(row.sent),
            "prefill": _short(row.prefilled),
            "decode": _short(row.generated),
            "hours": _hours(row.hours),
            "cost": "" if row.cost is None else f"{row.cost:.2f} {row.currency}".strip(),
            "by": row.by or "unknown",
        }
        for row in plan.rows
    )
    frame = without_single_axes(frame)
    empty = [name for name in ("state", "hours", "cost") if not any(frame[name])]
    by_model = ["by"] if set(frame["by"]) == {"model"} else []
    return frame.drop(columns=[*empty, *by_model])


def hours_by_model(plan: Plan) -> dict[str, float]:
    """Device hours of what is not there yet, by model, with what is made beside the cells."""
    found: dict[str, float] = {}
    named = [(row.cell.model, row.hours) for row in plan.waiting]
    named += [(one.model, one.hours) for one in plan.beside if not one.done]
    for model, hours in named:
        if hours is not None:
            found[model] = found.get(model, 0.0) + hours
    return found


def total(plan: Plan) -> str:
    """What is not there yet in a sentence; what is not known of it is counted, and in no sum."""
    waiting, done = plan.waiting, len(plan.rows) - len(plan.waiting)
    sent, prefilled, generated = (
        _millions(getattr(row, name) for row in waiting) for name in ("sent", "prefilled", "generated")
    )
    said = (
        f"{len(plan.rows)} cells" + (f", {done} of them done; the others" if done else "") + ": "
        f"{_count(_sum(row.groups for row in waiting))} groups, "
        f"{_count(_sum(row.questions for row in waiting))} questions; million tokens: {sent} sent, "
        f"{prefilled} prefilled, {generated} generated; {_hours_said(plan)}"
    )
    costs = costs_said((row.cost, row.currency) for row in waiting)
    unknown = sum(1 for row in waiting if row.gap) + sum(
        1 for one in plan.beside if one.seconds is None and not one.done
    )
    said += f", and {costs}" if costs else ""
    return said + (f"; without {unknown} unknown." if unknown else ".")


def _hours_said(plan: Plan) -> str:
    """Device hours in all, and what they are for."""
    unit = "GPU hours" if devices()[plan.device].is_gpu else "hours"
    parts = {
        "answers": _sum(row.answer_hours for row in plan.waiting),
        "times": _sum(row.time_hours for row in plan.waiting),
    }
    for one in plan.beside:
        if not one.done:
            what = "trainings" if one.what.startswith("training ") else "stages before"
            parts[what] = parts.get(what, 0.0) + (one.hours or 0.0)
    whole = sum(parts.values())
    listed = ", ".join(f"{what} {_rounded(hours)}" for what, hours in parts.items() if hours)
    return f"{_rounded(whole)} {unit} on {plan.device}" + (f" ({listed})" if len(listed) else "")


def notes(plan: Plan) -> list[str]:
    """What a plan rests on, and what it leaves out."""
    known = devices()[plan.device]
    rates = f"{known.flop_per_s / 1e12:g} TFLOP/s, {known.bytes_per_s / 1e12:g} TB/s"
    launches = f", no layer under {1000 * known.launch_s:g} ms" if known.launch_s else ""
    found = [
        f"{plan.device}: {rates} at best{launches} ({known.source}). Of that floor {plan.efficiency:g} "
        "is taken to be reached (--efficiency).",
        ASSUMED,
        "Rows by a smoke test have its measured tokens and times, on the machine of that test; "
        "`branchwise estimate` shows these alone. A plan needs no run: the others are this model of what "
        "strategies ask. It leaves out loading, scoring, an encoder's passes, and that servers take less "
        "for what they have cached.",
    ]
    if others := asked_beside(plan.experiment):
        asking = " and ".join(others)
        found.append(
            f"Beside that: what servers are asked by {asking}, which is in none of these numbers."
        )
    several = dict.fromkeys(row.cell.model for row in plan.rows if row.devices > 1)
    if several:
        listed = ", ".join(several)
        found.append(f"Needs more than one {plan.device}, which count as many times: {listed}.")
    found += dict.fromkeys(f"Unknown: {row.gap}." for row in plan.waiting if row.gap)
    return found


def _sum(values: Iterable[float | None]) -> float:
    return sum(value for value in values if value is not None)


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _millions(values: Iterable[float | None]) -> str:
    return _rounded(_sum(values) / _MILLION)


def _short(tokens: float | None) -> str:
    """Tokens in as few characters as are read at a glance."""
    if tokens is None:
        return ""
    for unit, scale in (("M", _MILLION), ("k", 1000)):
        if tokens >= scale:
            return f"{_rounded(tokens / scale)} {unit}"
    return f"{tokens:.0f}"


def _hours(hours: float | None) -> str:
    return "" if not hours else _rounded(hours)


def _rounded(value: float) -> str:
    """Two figures that count: a plan knows no more."""
    if value == 0:
        return "0"
    if value >= 10:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{float(f'{value:.2g}'):g}"


def lines_of(beside: Sequence[Beside]) -> list[str]:
    """What is made beside the cells, a line each."""
    return [
        f"{one.what} of {one.model}: {'done' if one.done else 'to do'}, "
        f"{_rounded(one.tokens / _MILLION)} million tokens, "
        f"{'unknown' if one.hours is None else _rounded(one.hours)} h"
        for one in beside
    ]
