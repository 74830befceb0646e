"""The card of a data set: where it comes from, what it holds, and two examples."""

import json
from collections import Counter
from collections.abc import Iterable

import numpy as np

from branchwise.data.entries import DatasetEntry
from branchwise.data.grouping import Embed
from branchwise.data.prepare import groups_of, why_none
from branchwise.data.sources.base import FileDataset
from branchwise.data.spool import Counts
from branchwise.data.types import Group
from branchwise.errors import UserError

_CUT = 300


def card(name: str, entry: DatasetEntry, embed: Embed | None = None) -> str:
    """Markdown text. Reads the whole set once; lengths are in characters, no tokenizer is asked."""
    counts = Counts()
    sizes: list[int] = []
    lengths: dict[str, list[int]] = {"context": [], "question": [], "first gold": []}
    fields: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    examples: list[Group] = []
    for group in groups_of(entry, lambda warning: None, embed, counts):
        sizes.append(len(group))
        if len(examples) < 2:
            examples.append(group)
        for question in group:
            lengths["context"].append(len(question.context or group.context))
            lengths["question"].append(len(question.text))
            lengths["first gold"].append(len(question.golds[0]))
            fields.update(question.model_dump(exclude_defaults=True).keys())
            kinds[f"{question.kind} ({question.answer})"] += 1
    if not examples:
        raise UserError(f"{name} has no group", why_none(entry, counts))
    lines = [f"# {name}", "", *_origin(entry), ""]
    if isinstance(entry, FileDataset):
        lines += [_whole(counts)]
    lines += [
        f"- groups: {len(sizes):,}, questions: {sum(sizes):,}, rows left out: {counts.left_out:,}, "
        f"passages or groups with too few questions: {counts.groups_left_out:,}"
    ]
    lines += [f"- questions a group: {_spread(sizes)}"]
    lines += [f"- {what}, characters: {_spread(values)}" for what, values in lengths.items()]
    lines += ["- kinds: " + ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())]
    lines += ["- fields: " + ", ".join(f"`{field}` {count:,}" for field, count in fields.most_common())]
    for number, group in enumerate(examples, start=1):
        lines += ["", f"## Example {number}", "", "```json", _shortened(group), "```"]
    return "\n".join(lines)


def _origin(entry: DatasetEntry) -> list[str]:
    if not isinstance(entry, FileDataset):
        return [
            f"{type(entry).__doc__}",
            "",
            "- source: made by `branchwise.data.worlds`",
            "- licence: MIT",
        ]
    place = entry.path or f"{entry.hub} {entry.hub_config or ''} {entry.split}".replace("  ", " ")
    pinned = "" if entry.path else f", revision {entry.revision or 'not pinned'}"
    return [
        " ".join((type(entry).__doc__ or "").split()),
        "",
        f"- source: {place}{pinned}",
        f"- paper: {entry.citation.paper}",
        f"- homepage: {entry.citation.homepage}",
        f"- licence: {entry.citation.licence}",
        f"- grouping: {entry.grouping}, size {entry.group_size}, questions {entry.question_order}"
        + (f", at least {entry.min_questions}" if entry.min_questions else "")
        + f"; scored as {entry.scorer}",
    ]


def _whole(counts: Counts) -> str:
    """What the source holds before any sample is drawn."""
    return (
        f"- the whole source: {counts.questions:,} questions about {counts.passages:,} passages; "
        f"{counts.left_out:,} rows left out; {counts.gold_outside_context:,} questions whose answer is "
        "not in their text"
    )


def _spread(values: Iterable[int]) -> str:
    """Smallest, quartiles and largest."""
    points = np.percentile(list(values), (0, 25, 50, 75, 100))
    low, first, middle, third, high = (f"{point:,.0f}" for point in points)
    return f"{low} to {high}, median {middle} (quartiles {first}, {third})"


def _shortened(group: Group) -> str:
    """A group as JSON, long texts cut."""

    def cut(value):
        if isinstance(value, str) and len(value) > _CUT:
            return f"{value[:_CUT]} ... ({len(value):,} characters)"
        if isinstance(value, dict):
            return {key: cut(part) for key, part in value.items()}
        return [cut(part) for part in value] if isinstance(value, list) else value

    content = group.model_dump(mode="json", exclude_defaults=True)
    content["questions"] = content["questions"][:2]
    return json.dumps(cut(content), ensure_ascii=False, indent=1)
