"""Tables of an experiment: Markdown to read, LaTeX (booktabs) to print, CSV to compute with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import NormalDist, median

import pandas as pd

from branchwise.evaluation.statistics import holm
from branchwise.files import write_text
from branchwise.reporting.frames import AXES, Results, one_line, ordered

_ACCURACY = {
    "em": "EM",
    "em_strict": "EM (strict)",
    "f1": "F1",
    "lenient": "lenient",
    "well_formed": "well-formed",
    "guess": "type guess",
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
}


def _with_interval(row: pd.Series, scale: float, digits: int) -> str:
    value, low, high = (f"{scale * row[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def accuracy(results: Results) -> pd.DataFrame:
    """Per cell, in per cent: answer metrics, EM with its interval, and the type-only guess."""
    return _per_cell(results, _ACCURACY, with_interval={"em": (100, 1)}, scale=100, digits=1)


def cost(results: Results) -> pd.DataFrame:
    """Per cell and group of questions: the token ledger, forward passes, and latencies in ms."""
    intervals = {"wall_s": (1000, 0), "ideal_s": (1000, 0)}
    return _per_cell(results, _COST, with_interval=intervals, scale=1, digits=1)


def _per_cell(
    results: Results,
    columns: dict[str, str],
    with_interval: Mapping[str, tuple[float, int]],
    scale: float,
    digits: int,
) -> pd.DataFrame:
    frame = results.metrics()
    # Where nothing is timed no cell has times; a column that only some cells lack stays.
    columns = {metric: title for metric, title in columns.items() if metric in set(frame.metric)}
    rows = []
    for cell, part in frame.groupby(list(AXES), sort=False):
        by_metric = part.set_index("metric")
        row = dict(zip(AXES, cell, strict=True))
        row["n"] = int(by_metric.loc["em", "n"])
        for metric, title in columns.items():
            if metric not in by_metric.index:
                row[title] = ""
            elif metric in with_interval:
                row[title] = _with_interval(by_metric.loc[metric], *with_interval[metric])
            else:
                row[title] = f"{scale * by_metric.loc[metric, 'value']:.{digits}f}"
        rows.append(row)
    return _labelled(ordered(pd.DataFrame(rows), results.experiment), results)


def _labelled(frame: pd.DataFrame, results: Results) -> pd.DataFrame:
    frame = frame.copy()
    for axis in AXES:
        if axis in frame:
            frame[axis] = [results.label(axis, name) for name in frame[axis]]
    if "model" in frame and frame["model"].nunique() == 1:
        frame = frame.drop(columns="model")
    return frame


def differences(results: Results) -> pd.DataFrame:
    """Every strategy against the baseline, paired over the same questions and groups.

    EM in points, wall time in milliseconds per group. p by sign-flipping whole groups, corrected by
    Holm over all comparisons of the same measure in this table.
    """
    pairs = results.comparisons
    corrected = [holm([pair[i].p for pair in pairs.values()]) for i in (0, 1)]
    rows = []
    for number, (cell, (em, wall)) in enumerate(pairs.items()):
        rows.append(
            {
                **cell._asdict(),
                "EM difference": _with_interval(pd.Series(em._asdict()), 100, 1),
                "p (EM)": f"{corrected[0][number]:.4f}",
                "wall difference, ms": _with_interval(pd.Series(wall._asdict()), 1000, 0),
                "p (wall)": f"{corrected[1][number]:.4f}",
            }
        )
    columns = [*AXES, "EM difference", "p (EM)", "wall difference, ms", "p (wall)"]
    return _labelled(pd.DataFrame(rows, columns=columns), results)


def kinds(results: Results) -> pd.DataFrame:
    """Exact match per kind of question beside the guess by type, for every strategy."""
    frame = results.kinds()
    em = frame[frame.metric == "em"]
    guess = frame[frame.metric == "guess"].set_index([*AXES, "kind"])["value"]
    rows = []
    for (dataset, model, decoder, kind), part in em.groupby(
        ["dataset", "model", "decoder", "kind"], sort=False
    ):
        row = {"dataset": dataset, "model": model, "decoder": decoder, "kind": kind}
        row["n"] = int(part["n"].iloc[0])
        for _, entry in part.iterrows():
            row[results.label("strategy", entry.strategy)] = _with_interval(entry, 100, 1)
        key = (dataset, model, part["strategy"].iloc[0], decoder, kind)
        row["type guess"] = f"{100 * guess[key]:.1f}" if key in guess.index else ""
        row["kind"] = kind.replace("_", " ")
        rows.append(row)
    table = pd.DataFrame(rows).fillna("")
    return _labelled(ordered(table, results.experiment, ("dataset", "model", "decoder")), results)


def further(results: Results) -> pd.DataFrame:
    """The metrics beside those of `accuracy`: a data set's own, and a judge's grades."""
    frame = results.metrics()
    own = {name for scores in results.scores.values() for q in scores.questions for name in q.more}
    frame = frame[frame.metric.isin(own)]
    rows = []
    for (*cell, metric), part in frame.groupby([*AXES, "metric"], sort=False):
        judged = metric.startswith("judge_")
        scale, digits = (1, 2) if judged else (100, 1)
        title = metric.removeprefix("judge_").replace("_", " ")
        row = dict(zip(AXES, cell, strict=True))
        row |= {"metric": f"{title} (judge, 1 to 5)" if judged else title}
        row |= {"value": _with_interval(part.iloc[0], scale, digits), "n": int(part["n"].iloc[0])}
        rows.append(row)
    columns = [*AXES, "metric", "value", "n"]
    if not rows:
        return _labelled(pd.DataFrame(columns=columns), results)
    return _labelled(ordered(pd.DataFrame(rows, columns=columns), results.experiment), results)


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
        row: dict[str, object] = {**cell._asdict()}
        for metric, name in _DEPENDENCIES.items():
            found = scores.metrics.get(metric)
            scale = 1000 if name.endswith("ms") else 100 if name.endswith("%") else 1
            row[name] = "" if found is None else f"{scale * found.value:.{1 if scale > 1 else 2}f}"
        row["fallbacks"] = f"{sum(scores.fallbacks.values())} of {len(scores.groups)}"
        rows.append(row)
    return _labelled(ordered(pd.DataFrame(rows), results.experiment), results)


MAKERS: dict[str, Callable[[Results], pd.DataFrame]] = {
    "accuracy": accuracy,
    "cost": cost,
    "differences": differences,
    "kinds": kinds,
    "further": further,
    "dependencies": dependencies,
}

NOTES = {
    "accuracy": "Per cent. Intervals: 95 % bootstrap over groups. Type guess: the expected score of "
    "a reader who knows what kind of fact is asked for and ignores whom it is about.",
    "cost": "Per group of questions. Tokens: sent = cached + unique; padding is computed beside "
    "them for nothing. Wall time: median of the repeats, model loaded, after a warm-up; "
    "ideal: critical path of the same run on unbounded machines.",
    "differences": "Strategy minus baseline on the same questions, with 95 % bootstrap intervals "
    "over groups; p by sign flips of whole groups, Holm-corrected per measure over this table.",
    "kinds": "Exact match in per cent with 95 % bootstrap intervals over groups.",
    "further": "Metrics of single data sets, per cent unless said, with 95 % bootstrap intervals over "
    "groups; n leaves out what the metric's authors leave out, and a judge's missing verdicts.",
    "dependencies": "Means over groups. Precision, recall and edges the wrong way round: of the edges "
    "followed, against those that the data states. Ideal: critical path on unbounded machines.",
}


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table of a frame's cells as they are written; bars in them are escaped."""
    cells = frame.astype(str).map(_escaped).rename(columns=lambda name: _escaped(str(name)))
    # Else 0.0500 would become 0.05, and a column of numbers be aligned by their points.
    return cells.to_markdown(index=False, disable_numparse=True) + "\n"


def _escaped(cell: str) -> str:
    return one_line(cell).replace("|", "\\|")


def write_table(name: str, results: Results, folder: Path) -> None:
    """Write one table as `<name>.md`, `<name>.tex` and `<name>.csv`."""
    frame = MAKERS[name](results)
    experiment = results.experiment
    baseline = f" Baseline: {results.label('strategy', experiment.baseline)}."
    note = NOTES[name] + (baseline if name == "differences" else "")
    notes = (note, *_scoring_notes(results), detectable_note(results), results.provenance)
    note = " ".join(part for part in notes if part)
    write_text(folder / f"{name}.md", f"{markdown(frame)}\n{note}\n")
    write_text(folder / f"{name}.tex", _latex(frame, note))
    write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))


def _scoring_notes(results: Results) -> list[str]:
    """What a reader must know of how the cells were scored: lemmas, judges, missing verdicts."""
    lemmas = {s.lemmas_by for s in results.scores.values() if s.lemmas_by}
    notes = [f"Lemmas by {name}." for name in sorted(lemmas)]
    scored = results.scores.values()
    notes += [f"{name}." for name in sorted({s.tokenized_by for s in scored if s.tokenized_by})]
    others = sorted({s.language for s in scored} - {"en"})
    notes += [f"Answers normalised and cut into words as {name} is written." for name in others]
    judges: dict[str, list[int]] = {}
    for scores in results.scores.values():
        if scores.judge:
            name = f"{scores.judge['model']}, prompt {scores.judge['prompt_version']}"
            counts = judges.setdefault(name, [0, 0])
            counts[0] += scores.judge["num_missing"]
            counts[1] += scores.judge["num_verdicts"]
    for name, (missing, total) in judges.items():
        notes.append(f"Judge: {name}; {missing} of {total} verdicts are missing.")
    reasons: dict[str, int] = {}
    # One file of dependencies serves every decoder.
    served = {cell._replace(decoder=""): scores for cell, scores in results.scores.items()}
    for cell, scores in served.items():
        for reason, count in scores.fallbacks.items():
            name = f"{results.label('strategy', cell.strategy)}, {reason}"
            reasons[name] = reasons.get(name, 0) + count
    if reasons:
        listed = "; ".join(f"{name} ({count} groups)" for name, count in reasons.items())
        notes.append(f"Fallbacks of the dependency stage: {listed}.")
    return notes


_POWER = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)


def detectable_note(results: Results) -> str:
    """The smallest true difference from the baseline that these groups would show four times in five.

    Minimum detectable difference, two-sided at 5 % with 80 % power: 2.80 standard errors of the
    paired difference, the bootstrap's interval taken as 2 x 1.96 of them; the median over strategies.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for cell, (em, wall) in results.comparisons.items():
        errors = ((em.high - em.low) / (2 * 1.96), (wall.high - wall.low) / (2 * 1.96))
        found.setdefault(results.label("dataset", cell.dataset), []).append(errors)
    if not found:
        return ""
    parts = []
    for dataset, pairs in found.items():
        points, seconds = (_POWER * median(column) for column in zip(*pairs, strict=True))
        parts.append(f"{dataset} {100 * points:.1f} EM points, {1000 * seconds:.0f} ms")
    return (
        f"Minimum detectable difference from the baseline (paired, 5 %, power 80 %): {'; '.join(parts)}."
    )


def _latex(frame: pd.DataFrame, note: str) -> str:
    # pandas writes the file without a caption; the paper that includes it has its own.
    body = frame.rename(columns=str).to_latex(index=False, escape=True)
    return f"% {note}\n{body}"
