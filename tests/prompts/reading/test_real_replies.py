"""On real files every form of reply around the right answer is read right in at least 99.5 % of items."""

# ruff: noqa: E501 (a reply a line)

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from tests.prompts.reading.forms import CHOICE_FORMS, NUMBERINGS, numbered_reply

from branchwise.data.groups_file import read_groups
from branchwise.data.prepare import prepare_groups
from branchwise.data.sources import SOURCES
from branchwise.data.types import Question
from branchwise.prompts import read_many, read_one

FILES = {
    "cmb_exam": "cmb/CMB-Exam.4000.json",
    "quality": "quality/subset.jsonl",
    "cmb_clin": "cmb/CMB-Clin-qa.json",
    "planning": "one_sequence/planning/industry_tasks.jsonl",
}
SHARE = 0.995
EVERY = {"cmb_exam": int(os.environ.get("BRANCHWISE_EVERY", "8")), "quality": 1}
"""Of CMB-Exam every eighth item is read, for time; all with BRANCHWISE_EVERY=1 (the same shares, minutes)."""


@cache
def questions(source: str, folder: Path) -> tuple[Question, ...]:
    """All usable questions of a real file."""
    entry = SOURCES[source](
        source=source, path=str(folder / FILES[source]), group_size=1, grouping="random"
    )
    out = Path(mkdtemp()) / "groups.jsonl"
    prepare_groups(entry, out, lambda _: None)
    return tuple(question for group in read_groups(out) for question in group)


def shares(forms: dict[str, Callable[[], float]]) -> None:
    """Print the share of every form, and see that each is high enough."""
    found = {name: share() for name, share in forms.items()}
    print(
        "\n".join(
            f"{share:8.4f}  {name!r}" for name, share in sorted(found.items(), key=lambda one: one[1])
        )
    )
    low = {name: round(share, 4) for name, share in found.items() if share < SHARE}
    assert low == {}


@pytest.mark.data
@pytest.mark.parametrize("source", ["cmb_exam", "quality"])
def test_choices_are_read_right(source: str, real_data: Path) -> None:
    items = questions(source, real_data)[:: EVERY[source]]

    def share(form: Callable[[Question, str], str]) -> float:
        right = [read_one(form(q, q.golds[0]), q, "line").answer == q.golds[0] for q in items]
        return sum(right) / len(right)

    shares({name: lambda form=form: share(form) for name, form in CHOICE_FORMS.items()})


@pytest.mark.data
@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("size", [5, 10])
def test_all_in_one_is_read_right(source: str, size: int, real_data: Path) -> None:
    items = questions(source, real_data)
    groups = [items[start : start + size] for start in range(0, len(items) - size + 1, size)]

    def share(form: str, gap: str) -> float:
        right = 0
        for group in groups:
            golds = [question.golds[0] for question in group]
            readings = read_many(numbered_reply(form, golds, gap), group, "line")
            right += sum(reading.answer == gold for reading, gold in zip(readings, golds, strict=True))
        return right / (len(groups) * size)

    forms = {
        f"{form}{gap}": (lambda form=form, gap=gap: share(form, gap))
        for form in NUMBERINGS
        for gap in ("\n", "\n\n")
    }
    shares(forms)
