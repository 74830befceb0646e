"""What stands under a table: how its numbers were made, what is missing, and what they can show."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from branchwise.reporting.comparing import Comparison, detectable, family_size
from branchwise.reporting.ensembles import options_of
from branchwise.reporting.frames import Results
from branchwise.reporting.numbers import above_zero, p_value, with_interval
from branchwise.reporting.published import source_notes
from branchwise.reporting.reproduction import pairing_notes
from branchwise.times import cold_costs

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
    "them for nothing. Wall time: from the first prompt to the last answer of a group, the median run of "
    "its repeats, all strategies in turns in one process, alone on the machine; ideal: critical path of "
    "the same run on unbounded machines; tokens / s: generated ones of a group by its wall time. "
    f"{_AMOUNTS}",
    "differences": "Strategy minus baseline on the same questions, in points and milliseconds. "
    "Intervals: 95 %, groups as units, Agresti and Min's for pairs with a design effect and a t "
    "quantile; of times, t, on the logarithmic scale for what grows with a group's own time. p: "
    "two-sided, signs of whole groups flipped, all arrangements counted.",
    "decoders": "The same strategy on every decoder, all in turns in one process, against the first. "
    f"Weights: what a decoder multiplies by. {_AMOUNTS}",
    "throughput": "While answers were made, many groups at once and other jobs beside it or not: not a "
    "latency, and not comparable between machines or runs. Empty where a run was resumed.",
    "kinds": f"Per cent. {_SHARES}",
    "further": f"Metrics of single data sets, per cent unless said. {_SHARES} Questions leave out what "
    "the metric's authors leave out, and a judge's missing verdicts.",
    "dependencies": "Means over groups. Precision, recall and edges the wrong way round: of the edges "
    "followed, against those that the data states. Ideal: critical path on unbounded machines.",
    "ensembles": "Per cent. Single: the mean of the wordings alone; gain: over it, paired over the same "
    "questions, in points. Any right (the oracle), all right, consistency (pairs of wordings with equal "
    "answers): of the wordings alone. Rescued: right here, of the questions that some but not all "
    "wordings get right; new: of those that none does. Correlation: over questions, with the share of "
    "wordings that are right. Passes and ms: a question's; ms: of groups asked one at a time.",
    "published": "As others published it: made by their programs on their machines, to be compared with "
    "itself alone. Measured here: the primary metric and the wall time of a group, of the same data set "
    "and strategy in this experiment. s: of a whole answer.",
    "reproduction": "Published numbers against those of the same data set, model and strategy here; "
    "shares in per cent, tokens of a group of questions. "
    f"{_SHARES} Inside: whether the published number lies in the interval of the measured one. It has an "
    "error of its own, which is in none of these intervals. Not run: no result of the cell is there.",
    "served": "What servers did, all groups of a cell together. Failed attempts were made again. Cached: "
    "tokens of prompts that the server had, as it says; ideally: what a cache of each group's prompts "
    "would have had. Reply: the median of one, from sent to read; of that computing, where the server "
    "says so, and the network: the median of requests that compute nothing. Waited: in line, between "
    "attempts and in failed ones, all replies together. Cost: by the price list of the model's entry. "
    "The times in other tables are the critical path of these replies, which were asked once, beside "
    "others.",
    "agreement": "The same questions, asked by the same strategy on another decoder, beside the first of "
    "the experiment: how many have the same answer, and the same reply word for word.",
    "trainings": "What was trained for the strategies of this experiment. Loss: the mean cross-entropy "
    "of a token of held-out groups' answers, in nats; right: answers all of whose tokens are the "
    "likeliest, given those before them. Before: of the model as it was; else of the step that is kept, "
    "the one with the least loss. Minutes: of steps alone, on the machine that trained. No passage that "
    "was trained on is in a group that is evaluated.",
}


def note_of(name: str, results: Results) -> str:
    """The whole note under a table."""
    notes = [NOTES[name]]
    if name == "trainings":
        return " ".join(filter(None, [*notes, results.provenance]))
    if name == "published":
        return " ".join(filter(None, [*notes, *source_notes(results), results.provenance]))
    if name == "reproduction":
        return " ".join(filter(None, [*notes, *pairing_notes(results.experiment), results.provenance]))
    if name == "differences":
        notes.append(f"Baseline: {results.label('strategy', results.experiment.baseline)}.")
        notes += comparison_notes(results)
    if name in ("cost", "differences", "decoders"):
        notes += timing_notes(results)
    notes += [*style_notes(results, costs=name in ("cost", "decoders"))]
    notes += [*_scoring_notes(results), *left_out_notes(results), *wording_notes(results)]
    notes += [*stage_notes(results), *answer_notes(results)]
    if name in ("accuracy", "differences"):
        notes.append(controls_note(results))
    notes += [detectable_note(results), results.provenance]
    return " ".join(note for note in notes if note)


def wording_notes(results: Results) -> list[str]:
    """How many questions have fewer wordings than a strategy asks for."""
    short: dict[str, list[int]] = {}
    for cell, scores in results.scores.items():
        wanted = options_of(scores).get("wordings")
        known = [question.more.get("wordings") for question in scores.questions]
        fewer = sum(1 for number in known if number is not None and wanted and number < wanted)
        if fewer:
            label = f"{results.label('dataset', cell.dataset)}: of {wanted}"
            short[label] = [fewer, len(known)]
    if not short:
        return []
    listed = "; ".join(f"{label}, {fewer} of {total}" for label, (fewer, total) in short.items())
    return [f"Questions that have fewer wordings than are asked for: {listed}."]


def controls_note(results: Results) -> str:
    """Whether branches mix without the controls that tell what that brings."""
    settings = (scores.identity.settings.get("strategy", {}) for scores in results.scores.values())
    recipes = [one.get("training", {}).get("recipe", {}) for one in settings]
    peers = {recipe["mixer"]["peers"] for recipe in recipes if "mixer" in recipe}
    missing = [name for name in ("self", "shuffled") if name not in peers]
    if "others" not in peers or not missing:
        return ""
    return (
        f"Branches mix, and no mixer with peers {' or '.join(missing)} stands beside: what they gain may "
        "come from the parameters alone."
    )


def answer_notes(results: Results) -> list[str]:
    """How many answers did not come about as their strategy means them to, by what is noted of them."""
    parts = []
    for cell, scores in results.scores.items():
        if scores.noted:
            name = ", ".join(results.label(axis, value) for axis, value in cell._asdict().items())
            parts.append(f"{name}: {_counted(scores.noted)} of {len(scores.questions)}")
    return [f"Noted of answers: {'; '.join(parts)}."] if parts else []


def stage_notes(results: Results) -> list[str]:
    """How paraphrases came about, and what the stages of wordings are in the times."""
    counts: dict[str, dict[str, int]] = {}
    for cell, scores in results.scores.items():
        if scores.paraphrases:
            name = results.experiment.catalogues.strategies[cell.strategy].paraphrases or ""
            where = ", ".join(results.label(axis, getattr(cell, axis)) for axis in ("dataset", "model"))
            counts[f"{name} of {where}"] = scores.paraphrases
    notes = []
    if counts:
        listed = "; ".join(f"{name}: {_counted(of)}" for name, of in counts.items())
        notes.append(f"Paraphrases made by a model: {listed}.")
    if any(group.wording_s is not None for scores in results.scores.values() for group in scores.groups):
        notes.append(
            "Paraphrases and confidences are found for many groups at once; of their time each group has "
            "its share by tokens computed, in the wall time of strategies that use them."
        )
    return notes


def _counted(counts: Mapping[str, int]) -> str:
    """Paraphrases kept and missing, and those dropped by reason."""
    reasons = [f"{number} {name.replace('_', ' ')}" for name, number in counts.items() if number]
    return ", ".join(reasons)


def style_notes(results: Results, costs: bool) -> list[str]:
    """How questions were put to the models, where that is more than a data set's words in its turns; with
    `costs`, what shots cost.
    """
    found: dict[str, list[str]] = {}
    has_shots = False
    for cell, scores in results.scores.items():
        style = scores.identity.settings.get("style", {})
        told = _described(style)
        has_shots |= "shots" in style
        where = f"{results.label('dataset', cell.dataset)} on {results.label('model', cell.model)}"
        if told and where not in found.setdefault(told, []):
            found[told].append(where)
    all_pairs = {(cell.dataset, cell.model) for cell in results.scores}
    notes = [
        f"Prompt style{'' if len(pairs) == len(all_pairs) else ' of ' + ', '.join(pairs)}: {told}."
        for told, pairs in found.items()
    ]
    if has_shots and costs:
        notes.append(
            "The tree decoder computes solved questions once for all groups: they are cached on every "
            "prompt's ledger and in no group's time; run.json has their number."
        )
    return notes


def _described(style: Mapping[str, Any]) -> str:
    """A recorded style in words; empty for plain turns without an example."""
    if not style or (style["form"] == "chat" and not style["prefilled"] and "shots" not in style):
        answers = style.get("answer_format", "line")
        return "" if answers == "line" else f"answers as {answers}"
    parts = ["one text without a chat template" if style["form"] == "completion" else "chat turns"]
    parts.append(f"answers as {style['answer_format']}")
    if style["prefilled"]:
        parts.append("their beginning pre-filled")
    if shots := style.get("shots"):
        parts.append(f"{shots['number']} solved questions shown ({shots['from']})")
    return f"{style['name']} ({', '.join(parts)})"


def comparison_notes(results: Results) -> list[str]:
    """How many comparisons the correction is over, the least p-value that is left to each measure, and
    what was left out of the pairs.
    """
    notes = []
    pairs = results.comparisons.values()
    measures = {
        "primary metrics": [one for one, _ in pairs],
        "wall times": [wall for _, wall in pairs if wall],
    }
    for name, comparisons in measures.items():
        if not comparisons:
            continue
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


def detectable_note(results: Results) -> str:
    """The smallest true difference from the baseline that these groups would show four times in five, at
    the level that the correction leaves (its first step): the median over a data set's comparisons.
    """
    pairs = results.comparisons.values()
    measures = ([one for one, _ in pairs], [wall for _, wall in pairs if wall])
    families = [family_size(comparisons) for comparisons in measures]
    found: dict[str, list[tuple[float, ...]]] = {}
    for cell, pair in results.comparisons.items():
        sizes = tuple(
            one.measure.scale * detectable(one, family) if one else math.nan
            for one, family in zip(pair, families, strict=True)
        )
        found.setdefault(results.label("dataset", cell.dataset), []).append(sizes)
    parts = []
    for dataset, rows in found.items():
        points, times = (_median(column) for column in zip(*rows, strict=True))
        known = [(points, "points"), (times, "ms")]
        # One group, or times that do not differ at all, say nothing of it.
        said = [f"{above_zero(size)} {unit}" for size, unit in known if not math.isnan(size) and size > 0]
        if said:
            parts.append(f"{dataset} {', '.join(said)}")
    if not parts:
        return ""
    return (
        "Minimum detectable difference from the baseline (paired, 5 % after the correction, power 80 %): "
        f"{'; '.join(parts)}."
    )


def _median(sizes: Sequence[float]) -> float:
    """Of those that are known."""
    known = [size for size in sizes if not math.isnan(size)]
    return median(known) if known else math.nan


def timing_notes(results: Results) -> list[str]:
    """What times are worth: the A/A runs, and whether they are of one machine."""
    times = results.times
    served = [scores for scores in results.scores.values() if scores.served]
    if not times.records and served:
        return ["Times of served models: the critical path of their replies, asked once, beside others."]
    if not times.records:
        return ["No times were taken."]
    notes = []
    lines = []
    for cell, again in results.again.items():
        where = ", ".join(results.label(axis, getattr(cell, axis)) for axis in ("dataset", "decoder"))
        size = with_interval(again.difference, again.measure.scale, again.measure.digits)
        lines.append(f"{where}: {size}, p {p_value(again.difference.p, again.at_floor)}")
    strategies = dict.fromkeys(results.label("strategy", cell.strategy) for cell in results.again)
    if lines:
        notes.append(
            f"A/A: {' and '.join(strategies)} timed twice, as two strategies would be, differs in ms by "
            f"{'; '.join(lines)} (uncorrected)."
        )
    loads = [run.load for record in times.records.values() for run in record.runs]
    machines = times.hardware
    mixed = (
        "Times are of DIFFERENT machines, compare none across them: "
        if len(machines) > 1
        else "Timed on "
    )
    notes.append(f"{mixed}{'; '.join(machines)}; load average {min(loads):.1f} to {max(loads):.1f}.")
    # What is timed makes a load of its threads, and Snakemake beside it next to none.
    if max(loads) > results.experiment.threads + 1:
        notes.append("OTHER WORK ran beside: these times say little, also beside each other.")
    colder = [
        f"{results.label('strategy', strategy)} {1e3 * cost:.0f} ms"
        for record in times.records.values()
        for (strategy, _), cost in cold_costs(record.runs).items()
    ]
    if colder:
        notes.append(
            "What all prompts begin with (instruction, shots) was computed before; computed in the same "
            f"run, it takes more: {', '.join(dict.fromkeys(colder))} (medians)."
        )
    if unfit := sum(record.num_unfit for record in times.records.values()):
        notes.append(f"{unfit} groups were not timed: they do not fit one of the strategies.")
    return notes


def left_out_notes(results: Results) -> list[str]:
    """Which cells lack groups, since these do not fit the model, and what share of their questions."""
    parts = []
    for cell, scores in results.scores.items():
        if scores.left_out:
            lost = sum(one.num_questions for one in scores.left_out)
            whole = lost + sum(group.num_questions for group in scores.groups)
            name = ", ".join(results.label(axis, value) for axis, value in cell._asdict().items())
            groups = len(scores.left_out) + len(scores.groups)
            parts.append(
                f"{name} {len(scores.left_out)} of {groups} groups "
                f"({100 * lost / whole:.1f} % of the questions)"
            )
    return [f"Left out, since they do not fit the model: {'; '.join(parts)}."] if parts else []
