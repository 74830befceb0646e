"""Own data: a bad question is left out alone, groups are told apart, and ids may be numbers."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from branchwise.config.document import own_data_schema
from branchwise.data.groups_file import Preparation, read_groups
from branchwise.data.prepare import groups_of, prepare_groups
from branchwise.data.sources.jsonl import JsonlDataset
from branchwise.data.types import Group
from branchwise.errors import UserError


def question(name: Any, **more: Any) -> dict:
    return {"id": name, "text": "Who?", "golds": ["Ada"], **more}


def group(name: Any, *questions: Any, **more: Any) -> dict:
    return {"id": name, "context": "Ada built it.", "questions": list(questions), **more}


def prepared(folder: Path, *rows: dict, **more: Any) -> tuple[Preparation, list[Group], list[str]]:
    path = folder / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    entry = JsonlDataset(source="jsonl", path=str(path), **more)
    warnings: list[str] = []
    made = prepare_groups(entry, folder / "out.jsonl", warnings.append)
    return made, read_groups(folder / "out.jsonl"), warnings


def ids(groups: list[Group]) -> list[list[str]]:
    return [[question.id for question in group] for group in groups]


BAD = [
    (question("b", golds=[7]), "golds.0: Input should be a valid string"),
    (question("b", golds=[]), "golds: "),
    (question("b", golds=[None]), "golds: "),
    (question("b", golds=[" "]), "an empty question or answer"),
    (question("b", text=None), "text: Field required"),
    (question("b", txet="?"), "txet: Extra inputs"),
    (question("b", answer="choice", options=["x", "y"], golds=["C"]), "letters of its options"),
    (question("b", guess=float("nan")), "guess: "),
    (question("b", needs=["z"]), "needs ['z'], but may only need questions of its group"),
    (question("b", needs=["b"]), "needs itself"),
    (question("a"), "id a was there before, at line 1.questions[0]"),
    (question("b", text="\ud83d"), "half a surrogate pair"),
    (7, "valid dictionary"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
@pytest.mark.parametrize("grouping", ["context", "random"])
def test_a_bad_question_is_left_out_alone(bad: Any, reason: str, grouping: str, tmp_path: Path) -> None:
    rows = group("g", question("a"), bad, question("c")), group("h", question("a"))
    made, groups, warnings = prepared(tmp_path, *rows, grouping=grouping)
    assert (made.num_questions, made.rows_left_out) == (3, 1)
    assert warnings[0].startswith("left out line 1.questions[1]: ")
    assert reason in warnings[0]
    if grouping == "context":
        assert ids(groups) == [["a", "c"], ["a"]]
    with pytest.raises(UserError, match=r"bad row line 1\.questions\[1\]"):
        prepared(tmp_path, *rows, on_bad_row="fail")


def test_what_needed_it_is_kept_and_says_so(tmp_path: Path) -> None:
    chain = (question(1, golds=[7]), question(2, needs=[1]), question(3, needs=[2, 1]), question(4))
    made, groups, warnings = prepared(tmp_path, group(2**64, *chain))
    assert ids(groups) == [["2", "3", "4"]]
    assert [q.needs for q in groups[0]] == [(), ("2",), ()]
    assert groups[0].id == str(2**64)
    assert (made.rows_left_out, made.num_notes) == (1, 2)
    assert made.notes[0] == "line 1.questions[1]: question 2 no longer needs 1: left out"
    assert warnings[1:] == list(made.notes)


def test_an_id_that_cannot_be_read_may_be_the_one_needed(tmp_path: Path) -> None:
    made, groups, _ = prepared(tmp_path, group("g", question(None), question("b", needs=["a"])))
    assert ids(groups) == [["b"]]
    assert (made.rows_left_out, made.num_notes) == (1, 1)


@pytest.mark.parametrize("grouping", ["context", "chunk", "random"])
def test_a_second_group_of_one_id_is_refused(grouping: str, tmp_path: Path) -> None:
    """Whatever its context, and whatever its questions are called."""
    rows = [group("g", question("a")), group("g", question("b"), question("c"))]
    rows += [group("g", question("d"), context="Bo."), group(1, question("a")), group("1", question("e"))]
    made, groups, warnings = prepared(tmp_path, *rows, grouping=grouping, group_size=1)
    assert (made.num_questions, made.rows_left_out) == (2, 4)
    assert "id g of line 2 was there before, at line 1" in warnings[0]
    assert "id 1 of line 5 was there before, at line 4" in warnings[3]
    assert len({group.id for group in groups}) == 2


@pytest.mark.parametrize("more", [{}, {"drawn_for": 3}, {"drawn_for": 4}, {"question_order": "shuffled"}])
def test_parts_of_a_group_have_names_of_their_own(more: dict, tmp_path: Path) -> None:
    rows = group("g", *map(question, range(12))), group("g.1", *map(question, range(4)))
    _, groups, _ = prepared(tmp_path, *rows, grouping="chunk", group_size=2, **more)
    assert len(groups) >= 8
    assert len({group.id for group in groups}) == len(groups)


def test_ids_of_groups_and_questions_do_not_run_together(tmp_path: Path) -> None:
    rows = group("a/b", question("c")), group("a", question("b/c"))
    made, _, warnings = prepared(tmp_path, *rows, grouping="random")
    assert made.num_questions == 1
    assert "a/b/c occurs twice" in warnings[0]


def test_a_bad_group_counts_its_questions(tmp_path: Path) -> None:
    rows = group("g", question("a")), group("h", question("a"), question("b"), contxt="x"), {"id": "i"}
    made, _, warnings = prepared(tmp_path, *rows)
    assert made.rows_left_out == 3
    assert warnings[0] == "left out line 2.questions[0]: contxt: Extra inputs are not permitted"
    assert warnings[2].startswith("left out line 3: questions: Field required")


NULLS = dict.fromkeys(
    ("gold_spans", "kind", "answer", "options", "paraphrases", "needs", "context", "guess", "chain_guess")
)


def test_nulls_are_as_good_as_absent_and_the_schema_says_so(tmp_path: Path) -> None:
    row = group(1, question(2, **NULLS), question("3", needs=[2]), title=None) | {"context": None}
    _, groups, _ = prepared(tmp_path, row, on_bad_row="fail")
    assert groups == [
        Group.model_validate({"id": "1", "questions": [question("2"), question("3", needs=["2"])]})
    ]
    schema = json.loads(own_data_schema())
    jsonschema.validate(row, schema)
    for bad, reason in BAD:
        if "Extra inputs" in reason or "valid" in reason:
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(group("g", bad), schema)


def test_no_answer_is_not_looked_for_in_the_text(tmp_path: Path) -> None:
    asked = question("a", golds=["no answer"]), question("b", golds=["Zoe"])
    made, _, _ = prepared(tmp_path, group("g", *asked))
    assert made.gold_outside_context == 1


def test_a_shuffled_question_comes_after_what_it_needs(tmp_path: Path) -> None:
    asked = [question(f"q{n}", needs=[f"q{n + 1}"] if n % 2 == 0 else []) for n in range(8)]
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(group("g", *asked)))

    def order(size: int, seed: int) -> Group:
        entry = JsonlDataset(
            **{"source": "jsonl", "path": str(path), "question_order": "shuffled"},
            **{"group_size": size, "drawn_for": 8, "seed": seed},
        )
        (made,) = groups_of(entry, pytest.fail)
        return made

    orders = set()
    for seed in range(5):
        whole = order(8, seed).questions
        orders.add(tuple(q.id for q in whole))
        for size in (1, 3, 8):
            assert order(size, seed).questions == whole[:size]  # no need was cut off
    assert len(orders) == 5


def test_wordings_that_are_none_are_dropped_and_counted(tmp_path: Path) -> None:
    said = ["Who?", " ", "Name them.", "Name them. ", "Who was it?"]
    made, (found,), _ = prepared(tmp_path, group("g", question("a", paraphrases=said), question("b")))
    assert [one.paraphrases for one in found] == [("Name them.", "Who was it?"), ()]
    assert list(made.notes) == [
        "line 1.questions[0]: question a: 3 paraphrases are empty or the same as one before"
    ]
