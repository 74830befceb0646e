"""How large data sets are taken to be: counted where groups are, stated where not, never guessed."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from branchwise.config import Experiment
from branchwise.config.identity import groups_name
from branchwise.config.load import parse_experiment
from branchwise.data.groups_file import Preparation
from branchwise.data.prepare import groups_of
from branchwise.data.types import Group
from branchwise.errors import UserError
from branchwise.reporting.planning.facts import device, lengths
from branchwise.reporting.planning.sizes import counted, size_of

GROUP = {
    "id": "g",
    "context": "a" * 42,
    "questions": [
        {"id": "q1", "text": "b" * 21, "golds": ["c" * 4, "d" * 400]},
        {
            "id": "q2",
            "text": "b" * 17,
            "golds": ["c" * 8],
            "answer": "choice",
            "options": ["e" * 6, "f" * 8],
        },
    ],
}


FIVE_AT_MOST = (1 * 11 + 2 * 18 + 3 * 184 + 4 * 441 + 5 * 1413) / 2067
"""Questions of a group of five at most, of the passages of SQuAD's development set."""


def experiment_of(root: Path, tmp_path: Path, **entry: Any) -> Experiment:
    content = {
        **{"experiment": "trial", "datasets": ["asked"], "models": ["tiny"], "strategies": ["batch"]},
        **{"decoders": ["tree"], "results": str(tmp_path / "results")},
        "define": {"datasets": {"asked": entry}},
    }
    return parse_experiment(content, "trial", root)


def test_groups_are_counted_by_hand() -> None:
    size = counted([Group.model_validate(GROUP)] * 3, per_token=4.2, source="made")
    assert (size.groups, size.per_group, size.questions) == (3, 2, 6)
    assert (size.context, size.own_context) == (pytest.approx(10), 0)
    # 21 characters, and 17 with two options of 6 and 8 and four before each.
    assert size.question == pytest.approx((21 + 17 + 14 + 8) / 2 / 4.2)
    assert size.answer == pytest.approx(6 / 4.2)


def test_a_file_of_groups_counts_before_what_is_stated(root: Path, tmp_path: Path) -> None:
    experiment = experiment_of(root, tmp_path, source="squad", num_groups=50)
    stated = size_of(experiment, "asked")
    assert stated.groups == 50 and stated.source.startswith("stated of SQuAD 1.1")
    file = tmp_path / f"results/groups/asked/{groups_name(experiment, 'asked')}.jsonl"
    file.parent.mkdir(parents=True)
    head = Preparation(num_groups=1, num_questions=2).model_dump_json()
    file.write_text(f"{head}\n{Group.model_validate(GROUP).model_dump_json()}\n")
    assert size_of(experiment, "asked") == counted(
        [Group.model_validate(GROUP)], 4.2, "its file of groups"
    )


def test_made_groups_are_counted(root: Path, tmp_path: Path) -> None:
    entry = {"source": "worlds", "kinds": ["two_hop"], "group_size": 4, "num_groups": 3}
    size = size_of(experiment_of(root, tmp_path, **entry), "asked")
    assert (size.groups, size.per_group, size.source) == (3, 4, "its made groups")
    assert size.context > 0


@pytest.mark.parametrize(
    ("entry", "groups", "per_group"),
    [
        # 2,067 passages, of which 1,854 have four questions or more, and 1,413 five.
        ({"group_size": 1}, 2067, 1),
        ({"group_size": 4, "min_questions": 4}, 1854, 4),
        ({"group_size": 5, "min_questions": 5, "num_groups": 100}, 100, 5),
        # Three have exactly twenty, six more; all that there are, whatever is asked for.
        ({"group_size": 20, "min_questions": 20, "num_groups": 100}, 9, 20),
        ({"group_size": 1, "tenths": [0, 1]}, pytest.approx(413.4), 1),
        # The same questions in groups of one and of five: as many blocks of five, cut or not.
        ({"grouping": "chunk", "drawn_for": 5, "group_size": 1, "num_groups": 96}, 480, 1),
        ({"grouping": "chunk", "drawn_for": 5, "group_size": 5, "num_groups": 96}, 96, 5),
        # Of the training split nothing was counted: its passages are taken to have as many questions.
        ({"split": "train", "group_size": 5, "num_groups": 4000}, 4000, pytest.approx(FIVE_AT_MOST)),
    ],
)
def test_groups_of_passages_by_hand(
    root: Path, tmp_path: Path, entry: dict[str, Any], groups: float, per_group: float
) -> None:
    size = size_of(experiment_of(root, tmp_path, source="squad", **entry), "asked")
    assert (size.groups, size.per_group) == (groups, per_group)
    assert size.context == pytest.approx(774.3 / 4.66)


def test_questions_with_passages_of_their_own(root: Path, tmp_path: Path) -> None:
    size = size_of(experiment_of(root, tmp_path, source="hotpotqa", num_groups=10), "asked")
    assert (size.groups, size.per_group, size.context) == (10, 4, 0)
    assert size.own_context == pytest.approx(5870.8 / 4.17)
    whole = size_of(experiment_of(root, tmp_path, source="webquestions", group_size=4), "asked")
    assert (whole.groups, whole.per_group) == (508, 4)


@pytest.mark.parametrize(
    ("entry", "problem", "remedy"),
    [
        (
            {"source": "jsonl", "path": "own.jsonl"},
            "lengths of asked are not known",
            "branchwise prepare",
        ),
        ({"source": "quality"}, "how many groups asked has is not known", "num_groups"),
        ({"source": "squad", "split": "train"}, "how many groups asked has", "num_groups"),
        (
            {"source": "cmb_exam", "grouping": "context", "num_groups": 5},
            "lengths of asked are not known",
            "resources/plan/lengths.yaml",
        ),
        ({"source": "squad", "min_questions": 40, "group_size": 40}, "has 40 questions", "lower"),
    ],
)
def test_what_is_not_known_is_said(
    root: Path, tmp_path: Path, entry: dict[str, Any], problem: str, remedy: str
) -> None:
    with pytest.raises(UserError, match=problem) as error:
        size_of(experiment_of(root, tmp_path, **entry), "asked")
    assert remedy in error.value.remedy


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UserError, match="device h300 is not known") as error:
        device("h300")
    assert "h200" in error.value.remedy and "devices.yaml" in error.value.remedy


@pytest.mark.parametrize(
    ("name", "entry", "file"),
    [
        ("squad", {"source": "squad", "group_size": 200}, "squad/dev-v1.1.json"),
        ("cmb_clin", {"source": "cmb_clin", "group_size": 200}, "cmb/CMB-Clin-qa.json"),
        ("webquestions", {"source": "webquestions"}, "webquestions/test.hf-schema.jsonl"),
        ("quality", {"source": "quality", "group_size": 200}, "quality/subset.jsonl"),
        (
            "resumes_10",
            {"source": "resumes"},
            "one_sequence/student_resume_logic_retrieval/logic_gpa_resume_10.jsonl",
        ),
    ],
)
def test_what_is_stated_is_what_the_real_files_hold(
    root: Path, tmp_path: Path, real_data: Path, name: str, entry: dict[str, Any], file: str
) -> None:
    experiment = experiment_of(root, tmp_path, **entry, path=str(real_data / file))
    groups = list(groups_of(experiment.catalogues.datasets["asked"], lambda warning: None))
    stated = lengths().sets[name]
    size = counted(groups, 1.0, "counted")
    if stated.passages:
        assert Counter(len(group) for group in groups) == stated.passages
    else:
        assert sum(len(group) for group in groups) == stated.questions
    assert size.context == pytest.approx(stated.context, rel=0.01)
    assert size.question == pytest.approx(stated.question, rel=0.03)
    assert size.answer == pytest.approx(stated.answer, rel=0.01)
