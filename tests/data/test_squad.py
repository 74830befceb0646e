"""SQuAD from the official file and from a hub data set of the same schema."""

import json
from pathlib import Path

import pytest

from branchwise.data.groups_file import Preparation, read_groups
from branchwise.data.prepare import groups_of, prepare_groups
from branchwise.data.sources import SOURCES
from branchwise.data.sources.squad import SquadDataset
from branchwise.data.types import NO_ANSWER, Group
from branchwise.errors import UserError


def official() -> dict:
    def question(number: int, passage: str) -> dict:
        answer = {"text": passage.split()[number], "answer_start": 0}
        return {
            "id": f"{passage[:3]}{number}",
            "question": f"Word {number}?",
            "answers": [answer] * 2,
        }

    passages = ["The mill stood by the river.", "Two roads met at the old inn."]
    paragraphs = [{"context": p, "qas": [question(n, p) for n in range(4)]} for p in passages]
    return {"version": "1.1", "data": [{"title": "Made", "paragraphs": paragraphs}]}


def write(folder: Path, content: object) -> SquadDataset:
    path = folder / "squad.json"
    path.write_text(json.dumps(content) if not isinstance(content, str) else content)
    return SquadDataset(source="squad", path=str(path), group_size=3, on_bad_row="fail")


def test_passages_become_groups(tmp_path: Path) -> None:
    groups = list(groups_of(write(tmp_path, official()), pytest.fail))
    assert [len(group) for group in groups] == [3, 3]
    assert groups[1].questions[2].golds == ("met",)
    assert groups[0].title == "Made"


def test_the_hub_schema_gives_the_same_groups(tmp_path: Path) -> None:
    import datasets

    rows = [
        {
            "id": qa["id"],
            "title": article["title"],
            "context": paragraph["context"],
            "question": qa["question"],
            "answers": {"text": [a["text"] for a in qa["answers"]], "answer_start": [0, 0]},
        }
        for article in official()["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]
    (tmp_path / "hub").mkdir()
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "hub/validation-00000-of-00001.parquet")
    entry = SquadDataset(source="squad", hub=str(tmp_path / "hub"), group_size=3)
    local = write(tmp_path, official())
    assert list(groups_of(entry, pytest.fail)) == list(groups_of(local, pytest.fail))


def damaged(change) -> dict:
    content = official()
    change(content["data"][0]["paragraphs"][1])
    return content


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        (lambda p: p["qas"][2].pop("answers"), "paragraphs[1].qas[2]", "answers"),
        (lambda p: p["qas"][2].update(question=7), "paragraphs[1].qas[2]", "question"),
        (lambda p: p["qas"][2].update(answers=[]), "paragraphs[1].qas[2]", "answers.text"),
        (lambda p: p["qas"][2].update(id=p["qas"][1]["id"]), "paragraphs[1].qas[2]", "twice"),
        (lambda p: p["qas"][2].update(question="  "), "paragraphs[1].qas[2]", "empty"),
        (lambda p: p.pop("context"), "paragraphs[1].qas[0]", "context"),
        (lambda p: p.update(qas="none"), "paragraphs[1]", "qas"),
    ],
)
def test_a_bad_row_is_named_by_its_place(tmp_path: Path, change, place: str, reason: str) -> None:
    entry = write(tmp_path, damaged(change))
    with pytest.raises(UserError) as caught:
        list(groups_of(entry, pytest.fail))
    assert place in str(caught.value)
    assert reason in str(caught.value)
    warnings: list[str] = []
    skipping = entry.model_copy(update={"on_bad_row": "skip"})
    groups = list(groups_of(skipping, warnings.append))
    assert warnings
    assert place in warnings[0]
    assert groups[0].title == "Made"


def test_a_file_of_another_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not hold a list `data`"):
        list(groups_of(write(tmp_path, []), pytest.fail))
    missing = SquadDataset(source="squad", path=str(tmp_path / "none.json"))
    with pytest.raises(UserError, match="does not exist"):
        list(groups_of(missing, pytest.fail))


def test_a_larger_sample_holds_the_smaller_one(tmp_path: Path) -> None:
    entry = write(tmp_path, official())
    one = list(groups_of(entry.model_copy(update={"num_groups": 1}), pytest.fail))
    two = list(groups_of(entry.model_copy(update={"num_groups": 2}), pytest.fail))
    assert two[:1] == one


@pytest.mark.data
def test_the_official_file_has_the_official_counts(real_data: Path) -> None:
    entry = SquadDataset(source="squad", path=str(real_data / "squad/dev-v1.1.json"), group_size=20)
    groups = list(groups_of(entry, pytest.fail))
    assert len(groups) == 2067
    assert sum(len(group) for group in groups) > 10_500


def version_2(**changes: object) -> dict:
    """An answerable and an unanswerable question, the latter changed; None: left out."""
    plausible = [{"text": "river", "answer_start": 22}]
    asked = {"id": "n", "question": "Who burnt it?", "is_impossible": True, "answers": []}
    asked |= {"plausible_answers": plausible, **changes}
    asked = {key: value for key, value in asked.items() if value != "absent"}
    answer = {"id": "a", "question": "What?", "answers": [{"text": "mill"}], "is_impossible": False}
    paragraph = {"context": "The mill stood by the river.", "qas": [answer, asked]}
    return {"version": "v2.0", "data": [{"title": "Made", "paragraphs": [paragraph]}]}


def prepared(folder: Path, content: object, source: str) -> tuple[Preparation, list[str], list[Group]]:
    path = folder / "squad.json"
    path.write_text(json.dumps(content))
    warnings: list[str] = []
    made = prepare_groups(SOURCES[source](source=source, path=str(path)), folder / "g", warnings.append)
    return made, warnings, read_groups(folder / "g")


@pytest.mark.parametrize(
    "changes",
    [{}, {"is_impossible": "absent"}, {"answers": {"text": [], "answer_start": []}}, {"answers": None}],
)
def test_an_unanswerable_question_has_the_gold_no_answer(tmp_path: Path, changes: dict) -> None:
    made, warnings, (group,) = prepared(tmp_path, version_2(**changes), "squad_v2")
    assert [(q.golds, q.kind) for q in group] == [
        (("mill",), "has_answer"),
        (("no answer",), "no_answer"),
    ]
    assert (made.gold_outside_context, made.rows_left_out, warnings) == (0, 0, [])
    made, warnings, _ = prepared(tmp_path, version_2(**changes), "squad")
    assert made.rows_left_out == 1
    assert "squad_v2 reads unanswerable questions" in warnings[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"answers": [{"text": "mill"}]},
        {"is_impossible": False},
        {"answers": "absent", "is_impossible": "absent"},
        {"answers": [{"text": ""}], "is_impossible": False},
        {"answers": [{"text": None}], "is_impossible": "absent"},
    ],
)
def test_a_question_that_is_neither_is_a_bad_row(tmp_path: Path, changes: dict) -> None:
    made, warnings, _ = prepared(tmp_path, version_2(**changes), "squad_v2")
    assert (made.num_questions, made.rows_left_out) == (1, 1)
    assert warnings[0].startswith("left out data[0].paragraphs[0].qas[1]: ")


def test_the_instruction_names_the_words_that_are_the_gold() -> None:
    entry = SOURCES["squad_v2"](source="squad_v2")
    assert NO_ANSWER in entry.instruction
    assert entry.scorer == "squad_v2"


@pytest.mark.data
@pytest.mark.parametrize(
    ("source", "file", "counts"),
    [
        ("squad_v2", "squad/dev-v1.1.json", (2067, 10_570)),
        ("cmrc2018", "cmrc2018/dev.subset.json", (120, 445)),
        *[
            ("xquad", f"xquad/xquad.{language}.subset.json", (40, 225))
            for language in "th ru zh ar".split()
        ],
    ],
)
def test_sets_of_this_form_load_whole(
    real_data: Path, source: str, file: str, counts: tuple, tmp_path: Path
) -> None:
    entry = SOURCES[source](source=source, path=str(real_data / file), group_size=200)
    made = prepare_groups(entry, tmp_path / "g", pytest.fail)
    assert (made.num_groups, made.num_questions, made.rows_left_out) == (*counts, 0)
    assert made.gold_outside_context == 0
