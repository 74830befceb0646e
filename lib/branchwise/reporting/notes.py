"""What stands under a table: how its numbers were made, what is missing, and what they can show."""

import math
from collections.abc import Sequence
from statistics import median

from branchwise.reporting.comparing import Comparison, detectable, family_size
from branchwise.reporting.frames import Results
from branchwise.reporting.numbers import above_zero, p_value

_SHARES = (
    "Intervals: 95 %, Wilson's with a design effect and a t quantile, groups as units; of one group "
    "alone, the whole scale."
)
_AMOUNTS = "Intervals: 95 %, t over groups on the logarithmic scale; of one group alone, none."

NOTES = {
    "accuracy": f"Per cent. {_SHARES} Type guess: the expected score of a reader who knows what kind of "
    "fact is asked for and ignores whom it is about; chain guess: of one who knows that the question is "
    "about what an earlier answer names, but not that answer.",
    "cost": "Per group of questions. Tokens: sent = cached + unique; padding is computed beside "
    "them for nothing. Wall time: median of the repeats, model loaded, after a warm-up; "
    f"ideal: critical path of the same run on unbounded machines. {_AMOUNTS}",
    "differences": "Strategy minus baseline on the same questions, in points and milliseconds. "
    "Intervals: 95 %, groups as units, Agresti and Min's for pairs with a design effect and a t "
    "quantile; of times, t, on the logarithmic scale for what grows with a group's own time. p: "
    "two-sided, signs of whole groups flipped, all arrangements counted.",
    "kinds": f"Per cent. {_SHARES}",
    "further": f"Metrics of single data sets, per cent unless said. {_SHARES} Questions leave out what "
    "the metric's authors leave out, and a judge's missing verdicts.",
    "dependencies": "Means over groups. Precision, recall and edges the wrong way round: of the edges "
    "followed, against those that the data states. Ideal: critical path on unbounded machines.",
}


def note_of(name: str, results: Results) -> str:
    """The whole note under a table."""
    notes = [NOTES[name]]
    if name == "differences":
        notes.append(f"Baseline: {results.label('strategy', results.experiment.baseline)}.")
        notes += comparison_notes(results)
    notes += [*_scoring_notes(results), detectable_note(results), results.provenance]
    return " ".join(note for note in notes if note)


def comparison_notes(results: Results) -> list[str]:
    """How many comparisons the correction is over, the least p-value that is left to each measure, and
    what was left out of the pairs.
    """
    notes = []
    for place, name in enumerate(("primary metrics", "wall times")):
        comparisons = [pair[place] for pair in results.comparisons.values()]
        if not comparisons:
            return []
        family = family_size(comparisons)
        same = len(comparisons) - family
        twice = f" ({same} more repeat another decoder's answers and count with them)" if same else ""
        notes.append(
            f"Holm over {family} comparison{'s' * (family > 1)} of {name}{twice}; least p they can show: "
            f"{_least_p(comparisons, family)}."
        )
    left_out: dict[str, int] = {}
    for cell, (primary, _) in results.comparisons.items():
        if primary.num_left_out:
            dataset = results.label("dataset", cell.dataset)
            left_out[dataset] = max(left_out.get(dataset, 0), primary.num_left_out)
    if left_out:
        listed = "; ".join(f"{dataset} up to {count}" for dataset, count in left_out.items())
        notes.append(f"Questions without an answer of both are left out: {listed}.")
    return notes


def _least_p(comparisons: Sequence[Comparison], family: int) -> str:
    """The range of the p-values that remain at the least, after the correction's first step."""
    floors = [min(1.0, comparison.difference.p_floor * family) for comparison in comparisons]
    least, most = p_value(min(floors)), p_value(max(floors))
    return least if least == most else f"{least} to {most}, by how many groups differ"


def _scoring_notes(results: Results) -> list[str]:
    """What a reader must know of how the cells were scored: lemmas, judges, missing verdicts."""
    lemmas = {s.lemmas_by for s in results.scores.values() if s.lemmas_by}
    notes = [f"Lemmas by {name}." for name in sorted(lemmas)]
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


def detectable_note(results: Results) -> str:
    """The smallest true difference from the baseline that these groups would show four times in five, at
    the level that the correction leaves (its first step): the median over a data set's comparisons.
    """
    families = [family_size([pair[place] for pair in results.comparisons.values()]) for place in (0, 1)]
    found: dict[str, list[tuple[float, ...]]] = {}
    for cell, pair in results.comparisons.items():
        sizes = tuple(
            one.measure.scale * detectable(one, family)
            for one, family in zip(pair, families, strict=True)
        )
        found.setdefault(results.label("dataset", cell.dataset), []).append(sizes)
    parts = []
    for dataset, pairs in found.items():
        points, times = (median(column) for column in zip(*pairs, strict=True))
        units = [(points, "points"), (times, "ms")]
        # One group, or times that do not differ at all, say nothing of it.
        said = [f"{above_zero(size)} {unit}" for size, unit in units if not math.isnan(size) and size > 0]
        if said:
            parts.append(f"{dataset} {', '.join(said)}")
    if not parts:
        return ""
    return (
        "Minimum detectable difference from the baseline (paired, 5 % after the correction, power 80 %): "
        f"{'; '.join(parts)}."
    )
