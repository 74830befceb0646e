"""What servers did, and how far decoders agree: two tables."""

from collections.abc import Iterator, Mapping

from branchwise.config import Cell
from branchwise.reporting.frames import Results
from branchwise.results import QuestionScore, ServedRun


def rows_of_served(results: Results) -> Iterator[dict[str, object]]:
    """A row for each cell of a served model: requests, faults, caches, times and cost."""
    for cell, scores in results.scores.items():
        if (run := scores.served) is None:
            continue
        yield {**cell._asdict(), "groups": len(scores.groups), **_counts(run), **_times(run)}


def _counts(run: ServedRun) -> dict[str, object]:
    failed = ", ".join(f"{kind} ({number})" for kind, number in run.faults.items())
    currency = {price.get("currency", "") for price in run.prices}
    return {
        "replies": run.num_replies,
        "empty": run.num_empty,
        "failed attempts": failed or "none",
        "cached": f"{run.cached}",
        "ideally": f"{run.ideal_cached:.0f}",
        "cost": "" if run.cost is None else f"{run.cost:.4f} {'/'.join(sorted(currency))}".strip(),
    }


def _times(run: ServedRun) -> dict[str, object]:
    def milliseconds(seconds: float | None) -> str:
        return "" if seconds is None else f"{1000 * seconds:.1f}"

    return {
        "reply ms": milliseconds(run.median_s),
        "computing ms": milliseconds(run.server_s),
        "network ms": milliseconds(run.round_trip_s),
        "waited, s": f"{run.waited_s:.1f}",
    }


def rows_of_agreement(results: Results) -> Iterator[dict[str, object]]:
    """A row for each cell on another decoder than the first of the same data, model and strategy: the
    share of questions with the same answer there, and with the same reply, word for word.
    """
    first: dict[Cell, Cell] = {}
    for cell in sorted(results.scores, key=lambda one: results.experiment.decoders.index(one.decoder)):
        place = cell._replace(decoder="")
        if place not in first:
            first[place] = cell
            continue
        here, there = _questions(results, cell), _questions(results, first[place])
        both = [name for name in here if name in there]
        if not both:
            continue
        same = [here[name].answered == there[name].answered for name in both]
        words = [here[name].said == there[name].said for name in both]
        yield {
            **cell._asdict(),
            "questions": len(both),
            "beside": results.label("decoder", first[place].decoder),
            "same answer, %": f"{100 * sum(same) / len(both):.1f}",
            "same reply, %": f"{100 * sum(words) / len(both):.1f}",
        }


def _questions(results: Results, cell: Cell) -> Mapping[tuple[str, str], QuestionScore]:
    return {(one.group, one.question): one for one in results.scores[cell].questions}
