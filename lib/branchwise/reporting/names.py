"""What things are called in print. Imports nothing, since the workflow's plan reads it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

_SIZE = re.compile(r"_g\d+$")

METRICS = {
    "em": "exact match",
    "f1": "F1",
    "human_f1": "F1",
    "lenient": "lenient match",
    "contains": "containment",
    "bleu4": "BLEU-4",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rouge_l": "ROUGE-L",
    "recall": "recall of parts",
    "precision": "precision of parts",
    "order": "parts in order",
}
"""Metrics whose key is no name."""

RIGHT_OR_WRONG = frozenset({"em", "em_strict", "lenient", "contains"})
"""Metrics by which an answer is right or wrong, and nothing between."""


def metric_name(metric: str) -> str:
    """A metric as a reader calls it."""
    return METRICS.get(metric, metric.replace("_", " "))


def family(dataset: str) -> str:
    """The data set without its group size: entries that differ only in size share a family."""
    return _SIZE.sub("", dataset)


def families_by_size(datasets: Iterable[str]) -> list[str]:
    """Families of which there are several sizes, in the order given: what can be drawn over size."""
    counts = Counter(family(name) for name in dict.fromkeys(datasets))
    return [name for name, count in counts.items() if count > 1]


def short_names(ids: Iterable[str]) -> dict[str, str]:
    """Questions of a group as Q1, Q2, ... by their ids, which may be of any length."""
    return {name: f"Q{number}" for number, name in enumerate(ids, start=1)}


def in_short(text: str, names: Mapping[str, str]) -> str:
    """A text that speaks of questions by their ids, with their short names instead."""
    if not names:
        return text
    ids = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)({ids})(?!\w)", lambda match: names[match[1]], text)
