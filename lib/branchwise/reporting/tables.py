"""Tables of an experiment: Markdown to read, LaTeX (booktabs) to print, CSV to compute with."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from branchwise.config import Cell
from branchwise.evaluation.scales import bounds_of
from branchwise.files import write_text
from branchwise.reporting.comparing import Comparison, corrected
from branchwise.reporting.ensembles import rows_of
from branchwise.reporting.frames import AXES, Results, metric_of_amounts, one_line, ordered, title
from branchwise.reporting.notes import note_of
from branchwise.reporting.numbers import p_value, with_interval
from branchwise.reporting.published import published
from branchwise.reporting.reproduction import reproduction
from branchwise.reporting.serving import rows_of_agreement, rows_of_served
from branchwise.reporting.templating import rendered
from branchwise.reporting.trainings import rows_of_trainings
from branchwise.results import Metric, Scores

_ACCURACY = {
    "em": "EM",
    "em_strict": "EM (strict)",
    "f1": "F1",
    "lenient": "lenient",
    "well_formed": "well-formed",
    "guess": "type guess",
    "chain_guess": "chain guess",
}
_COST = {
    "sent": "sent",
    "unique": "unique",
    "cached": "cached",
    "generated": "generated",
    "padding": "padding",
    "forward_passes": "passes",
    "wall_s": "wall ms",
    "ideal_s": "ideal ms",
    "tokens_per_s": "tokens / s",
}
_SCALES = {"wall_s": 1000, "ideal_s": 1000, "tokens_per_s": 1}
"""Of what is measured in time, which has intervals."""


def metric_title(name: str) -> str:
    """What a reader calls a metric."""
    return _ACCURACY.get(name) or title(name)


def accuracy(results: Results) -> pd.DataFrame:
    """Per cell, in per cent: the answer metrics, those that are compared with intervals, beside the
    guesses by type and by chain.
    """
    rows = []
    for cell, scores in results.scores.items():
        row = _counted(cell, scores.metrics["em"])
        if not results.all_by_em:
            row["metric"] = metric_title(scores.primary)
            row["value"] = _written(scores.metrics.get(scores.primary), 100, 1, interval=True)
        for name, head in _ACCURACY.items():
            row[head] = _written(scores.metrics.get(name), 100, 1, interval=name == "em")
        rows.append(row)
    return _table(_without_empty(rows, ("type guess", "chain guess")), results)


def cost(results: Results) -> pd.DataFrame:
    """Per cell and group of questions: the token ledger, forward passes, latencies in ms, and
    generated tokens a second of wall time.
    """
    rows = []
    for cell, scores in results.scores.items():
        row = {**cell._asdict(), "groups": len(scores.groups), "questions": _num_questions(scores)}
        for name, head in _COST.items():
            scale = _SCALES.get(name, 1)
            row[head] = _written(results.metric(cell, name), scale, 1, interval=name in _SCALES)
        rows.append(row)
    return _table(_without_empty(rows, [_COST[name] for name in _SCALES]), results)


def _num_questions(scores: Scores) -> int:
    return sum(group.num_questions for group in scores.groups)


def _counted(cell: Cell, metric: Metric) -> dict[str, object]:
    """The start of a row: its cell, and how many groups and questions its metric is of."""
    return {**cell._asdict(), "groups": metric.groups, "questions": metric.n}


def _written(metric: Metric | None, scale: float, digits: int, interval: bool = False) -> str:
    if metric is None:
        return ""
    return with_interval(metric, scale, digits) if interval else f"{scale * metric.value:.{digits}f}"


def _without_empty(rows: list[dict[str, object]], heads: Iterable[str]) -> list[dict[str, object]]:
    """The rows without those columns that are empty in all of them."""
    empty = {head for head in heads if not any(row[head] for row in rows)}
    return [{key: value for key, value in row.items() if key not in empty} for row in rows]


def _table(
    rows: list[dict[str, object]], results: Results, columns: Iterable[str] = AXES
) -> pd.DataFrame:
    """Rows in the order of the config, with its labels; `columns` are there also where no row is."""
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(columns))
    axes = [axis for axis in AXES if axis in frame]
    frame = ordered(frame, results.experiment, axes)
    for axis in axes:
        frame[axis] = [results.label(axis, name) for name in frame[axis]]
    if "model" in frame and frame["model"].nunique() == 1:
        frame = frame.drop(columns="model")
    return frame


def differences(results: Results) -> pd.DataFrame:
    """Every strategy against the baseline, paired over the same questions and groups.

    The data set's primary metric in points, wall time in milliseconds per group. p by sign-flipping whole
    groups, corrected by Holm over all comparisons of the same measure in this table.
    """
    pairs = results.comparisons
    p_of = corrected_by_cell({cell: primary for cell, (primary, _) in pairs.items()})
    wall_p_of = corrected_by_cell({cell: wall for cell, (_, wall) in pairs.items() if wall})
    rows = []
    for cell, (primary, wall) in pairs.items():
        row: dict[str, object] = {
            **cell._asdict(),
            "groups": primary.num_groups,
            "questions": primary.num_units,
            "metric": metric_title(results.scores[cell].primary),
            "difference": _difference(primary),
            "p": p_of[cell],
            "timed": wall.num_groups if wall else "",
            WALL: _difference(wall) if wall else "",
            "p (wall)": wall_p_of.get(cell, ""),
        }
        rows.append(row)
    columns = [*AXES, "groups", "questions", "metric", "difference", "p", *_WALL_COLUMNS]
    if not wall_p_of:
        rows = _without_empty(rows, _WALL_COLUMNS)
        columns = columns[: -len(_WALL_COLUMNS)]
    return _table(rows, results, columns)


WALL = "wall difference, ms"
_WALL_COLUMNS = ("timed", WALL, "p (wall)")


def _difference(found: Comparison) -> str:
    return with_interval(found.difference, found.measure.scale, found.measure.digits)


def corrected_by_cell(found: Mapping[Cell, Comparison]) -> dict[Cell, str]:
    """p-values of some cells' comparisons as they are written, after Holm over all of them."""
    written = zip(found.items(), corrected(list(found.values())), strict=True)
    return {cell: p_value(p, one.at_floor) for (cell, one), p in written}


def decoders(results: Results) -> pd.DataFrame:
    """One strategy on every decoder, timed in one process and in turns, against the first of them."""
    p_of = corrected_by_cell(results.between)
    rows = []
    for cell, groups in results.times.between.items():
        walls = {name: one.wall_s for name, one in groups.items()}
        difference = results.between.get(cell)
        layouts = results.times.layouts.get(cell.decoder, ["the model's own"])
        rows.append(
            {
                **cell._asdict(),
                "groups": len(walls),
                "weights": " or ".join(layouts),
                "wall ms": _written(metric_of_amounts(walls), 1000, 1, interval=True),
                WALL: _difference(difference) if difference else "",
                "p (wall)": p_of.get(cell, ""),
            }
        )
    return _table(rows, results, (*AXES, "groups", "weights", "wall ms", WALL, "p (wall)"))


def throughput(results: Results) -> pd.DataFrame:
    """How much was answered a second while answers were made, many groups at once: no latency."""
    rows = []
    for cell, scores in results.scores.items():
        done = scores.throughput
        row: dict[str, object] = {**cell._asdict()}
        row |= {"groups": len(scores.groups), "questions": _num_questions(scores)}
        row["groups at once"] = done.groups_in_flight if done else ""
        row["makespan, s"] = f"{done.makespan_s:.1f}" if done else ""
        row["questions / s"] = f"{done.num_questions / done.makespan_s:.1f}" if done else ""
        row["tokens / s"] = f"{done.generated_tokens / done.makespan_s:.1f}" if done else ""
        rows.append(row)
    return _table(rows, results)


def kinds(results: Results) -> pd.DataFrame:
    """The primary metric per kind of question beside the guesses, for every strategy."""
    rows: dict[tuple[str, ...], dict[str, object]] = {}
    for cell, scores in results.scores.items():
        for kind, metrics in scores.by_kind.items():
            metric = metrics.get(scores.primary)
            if metric is None:
                continue
            at = (cell.dataset, cell.model, cell.decoder, kind)
            row = rows.setdefault(at, _kind_row(cell, kind, scores, metrics))
            row[results.label("strategy", cell.strategy)] = with_interval(metric, 100, 1)
    guesses = ("type guess", "chain guess")
    filled = _without_empty(list(rows.values()), guesses)
    if results.all_by_em:
        filled = [{key: value for key, value in row.items() if key != "metric"} for row in filled]
    frame = _table(filled, results, ("dataset", "model", "decoder", "kind")).fillna("")
    last = [head for head in guesses if head in frame]
    return frame[[*(head for head in frame if head not in last), *last]]


def _kind_row(cell: Cell, kind: str, scores: Scores, metrics: dict[str, Metric]) -> dict[str, object]:
    row: dict[str, object] = {"dataset": cell.dataset, "model": cell.model, "decoder": cell.decoder}
    row |= {"kind": title(kind), "groups": metrics["em"].groups, "questions": metrics["em"].n}
    row |= {"metric": metric_title(scores.primary)}
    for name in ("guess", "chain_guess"):
        row[_ACCURACY[name]] = _written(metrics.get(name), 100, 1)
    return row


def further(results: Results) -> pd.DataFrame:
    """The metrics beside those of `accuracy`: a data set's own, and a judge's grades."""
    rows = []
    for cell, scores in results.scores.items():
        for name in dict.fromkeys(name for question in scores.questions for name in question.more):
            if (metric := scores.metrics.get(name)) is None:
                continue
            judged = name.startswith("judge_")
            head = title(name.removeprefix("judge_"))
            scale, digits = (1, 2) if bounds_of(name) != (0.0, 1.0) else (100, 1)
            row = _counted(cell, metric)
            row["metric"] = f"{head} (judge, 1 to 5)" if judged else head
            row["value"] = with_interval(metric, scale, digits)
            rows.append(row)
    return _table(rows, results, (*AXES, "groups", "questions", "metric", "value"))


_DEPENDENCIES = {
    "edges": "edges per question",
    "edge_precision": "precision, %",
    "edge_recall": "recall, %",
    "edge_turned": "wrong way, %",
    "dependency_s": "finding, ms",
    "answer_s": "answering, ms",
    "ideal_answer_s": "ideal answering, ms",
    "ideal_s": "ideal with finding, ms",
}


def dependencies(results: Results) -> pd.DataFrame:
    """Of every strategy that follows any: edges, how right they are, and what finding them costs."""
    rows = []
    for cell, scores in results.scores.items():
        if not results.experiment.catalogues.strategies[cell.strategy].dependencies:
            continue
        row: dict[str, object] = {**cell._asdict(), "groups": len(scores.groups)}
        for metric, name in _DEPENDENCIES.items():
            found = results.metric(cell, metric)
            scale = 1000 if name.endswith("ms") else 100 if name.endswith("%") else 1
            row[name] = "" if found is None else f"{scale * found.value:.{1 if scale > 1 else 2}f}"
        row["fallbacks"] = f"{sum(scores.fallbacks.values())} of {len(scores.groups)}"
        rows.append(row)
    return _table(_without_empty(rows, _DEPENDENCIES.values()), results)


def ensembles(results: Results) -> pd.DataFrame:
    """Of every strategy that asks several wordings: its gain over single ones, what these say together,
    and passes and milliseconds a question.
    """
    rows = _without_empty(rows_of(results), ("ms",))
    return _table(rows, results, (*AXES, "groups", "questions", "wordings", "metric", "value", "gain"))


_AGREEMENT = (*AXES, "questions", "beside", "same answer, %", "same reply, %")

MAKERS: dict[str, Callable[[Results], pd.DataFrame]] = {
    "accuracy": accuracy,
    "cost": cost,
    "differences": differences,
    "decoders": decoders,
    "throughput": throughput,
    "kinds": kinds,
    "further": further,
    "dependencies": dependencies,
    "ensembles": ensembles,
    "published": published,
    "reproduction": reproduction,
    "served": lambda results: _table(list(rows_of_served(results)), results),
    "agreement": lambda results: _table(list(rows_of_agreement(results)), results, _AGREEMENT),
    "trainings": lambda results: rows_of_trainings(results.trainings, results.label),
}


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table of a frame's cells as they are written; bars in them are escaped."""
    cells = frame.astype(str).map(_escaped).rename(columns=lambda name: _escaped(str(name)))
    # Else 0.0500 would become 0.05, and a column of numbers be aligned by their points.
    return cells.to_markdown(index=False, disable_numparse=True) + "\n"


def _escaped(cell: str) -> str:
    return one_line(cell).replace("|", "\\|")


def write_table(name: str, results: Results, folder: Path) -> None:
    """Write one table as `<name>.md`, `<name>.tex`, `<name>.csv` and, for reading, `<name>.html`."""
    write_frame(name, MAKERS[name](results), note_of(name, results), folder)


def write_frame(name: str, frame: pd.DataFrame, note: str, folder: Path) -> None:
    """The same of a table that is made, with what stands under it."""
    write_text(folder / f"{name}.md", f"{markdown(frame)}\n{note}\n")
    write_text(folder / f"{name}.tex", _latex(frame, note))
    write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    rows = frame.astype(str).map(one_line).itertuples(index=False)
    page = rendered("table", name=name, columns=list(map(str, frame.columns)), rows=rows, note=note)
    write_text(folder / f"{name}.html", page)


def _latex(frame: pd.DataFrame, note: str) -> str:
    # pandas writes the file without a caption; the paper that includes it has its own.
    body = frame.rename(columns=str).to_latex(index=False, escape=True)
    return f"% {note}\n{body}"
