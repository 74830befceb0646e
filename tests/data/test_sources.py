"""Every data set, from a file in its authors' schema and from a hub repository of the hub's."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from branchwise.config.load import load_catalogues
from branchwise.data.prepare import groups_of, prepare_groups
from branchwise.data.sources import SOURCES
from branchwise.data.sources.base import FileDataset
from branchwise.data.spool import Counts
from branchwise.data.types import Group
from branchwise.errors import UserError

from .made_rows import MADE


def written(folder: Path, content: Any, jsonl: bool, name: str = "rows") -> Path:
    path = folder / (f"{name}.jsonl" if jsonl else f"{name}.json")
    lines = (json.dumps(row, ensure_ascii=False) for row in content) if jsonl else ()
    path.write_text("\n".join(lines) if jsonl else json.dumps(content, ensure_ascii=False), "utf-8")
    return path


def local(source: str, folder: Path, **more: Any) -> FileDataset:
    path = written(folder, MADE[source].authors, MADE[source].jsonl)
    return SOURCES[source](source=source, path=str(path), on_bad_row="fail", **more)


def hub(source: str, folder: Path, **more: Any) -> FileDataset:
    """A local repository of the hub's schema; `datasets` reads it as it reads the hub."""
    import datasets

    split = SOURCES[source].model_fields["split"].default
    # Without a card, `datasets` knows splits only by their usual names.
    split = {"val": "validation"}.get(split, split)
    repository = folder / "hub"
    repository.mkdir()
    rows = datasets.Dataset.from_list(MADE[source].hub)
    rows.to_parquet(repository / f"{split}-00000-of-00001.parquet")
    return SOURCES[source](
        **{"source": source, "hub": str(repository), "hub_config": None, "revision": None},
        **{"split": split, "on_bad_row": "fail", **more},
    )


def questions(groups: list[Group]) -> list[tuple]:
    """What both schemas must agree on, whatever ids they have."""
    rows = [(g.context or q.context, q.text, q.golds, q.options, q.answer) for g in groups for q in g]
    return sorted(rows, key=str)


def test_every_source_has_made_rows() -> None:
    assert set(MADE) == set(SOURCES)


@pytest.mark.parametrize("source", MADE)
def test_the_authors_schema(source: str, tmp_path: Path) -> None:
    groups = list(groups_of(local(source, tmp_path), pytest.fail))
    made = MADE[source]
    assert sum(len(group) for group in groups) == made.num_questions
    everything = [q for group in groups for q in group]
    assert made.first_golds in [q.golds for q in everything]
    assert all(q.text and q.golds for q in everything)
    assert len({q.id for q in everything}) == made.num_questions


@pytest.mark.parametrize("source", [name for name, made in MADE.items() if made.hub])
def test_the_hub_schema_asks_the_same(source: str, tmp_path: Path) -> None:
    from_hub = questions(list(groups_of(hub(source, tmp_path), pytest.fail)))
    from_file = questions(list(groups_of(local(source, tmp_path), pytest.fail)))
    if source == "drop":
        # The hub's copy has merged the spans of an answer: each counts as one of its own.
        from_file = [row for row in from_file if row[1] != "What is named?"]
        assert ("mill", "river") in [row[2] for row in from_hub]
        from_hub = [row for row in from_hub if row[1] != "What is named?"]
    assert from_hub == from_file


def test_what_is_particular_to_a_set(tmp_path: Path) -> None:
    def only(source: str, **more: Any) -> list[Group]:
        return list(groups_of(local(source, tmp_path, **more), pytest.fail))

    (dialogue,) = only("quac")
    assert [q.id for q in dialogue] == ["d_q#0", "d_q#1", "d_q#2"]
    assert dialogue.context.startswith("Ada Lind was a builder.\n\nThe mill")
    assert not dialogue.context.endswith("CANNOTANSWER")
    assert [q.id for q in only("quac", unanswerable="drop")[0]] == ["d_q#0", "d_q#1"]
    assert [q.kind for q in only("quality", hard_only=True)[0]] == ["hard"]
    assert only("quality")[0].questions[0].golds == ("B",)
    spans = next(q for q in only("drop")[0] if q.id == "b")
    assert (spans.golds, spans.gold_spans) == (("mill; river",), (("mill", "river"),))
    subjects = only("cmb_exam", grouping="subdomain")
    assert sorted(len(group) for group in subjects) == [1, 2]
    (cloze,) = only("myriadlama", templates="auto")
    assert cloze.questions[0].text == "This Is Your Life was first on [MASK]."
    assert len(only("myriadlama")[0].questions[0].paraphrases) == 2
    hotpot = only("hotpotqa")
    assert all(q.context and q.context.startswith("Mill: The mill") for q in hotpot[0])
    own = only("jsonl")
    assert own[0].id == "g1"
    assert own[0].questions[1].needs == ("q1",)
    assert only("jsonl", group_size=1, grouping="chunk")[1].questions[0].needs == ()


def _set(path: str, value: Any):
    """A change of made rows: the member at a dotted path; `del` where value is None."""

    def change(content: Any) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in way:
            content = content[part]
        if value is None:
            del content[last]
        else:
            content[last] = value

    return change


@pytest.mark.parametrize(
    ("source", "change", "reason"),
    [
        ("hotpotqa", _set("0.answer", None), "answer"),
        ("hotpotqa", _set("1._id", "a"), "twice"),
        ("hotpotqa", _set("0.question", "  "), "empty"),
        ("quac", _set("data.0.paragraphs.0.qas.0.question", 3), "question"),
        ("quac", _set("data.0.paragraphs.0.context", None), "context"),
        ("drop", _set("made_1.passage", None), "passage"),
        ("drop", _set("made_1.qa_pairs.1.answer.spans", [" "]), "no answer"),
        ("quality", _set("0.questions.0.gold_label", 0), "gold_label"),
        ("quality", _set("0.questions.0.gold_label", 5), "option 5 of 4"),
        ("cmb_clin", _set("0.description", ""), "description"),
        ("cmb_clin", _set("0.QA_pairs.0.answer", ""), "answer"),
        ("cmb_exam", _set("0.answer", "E"), "not among the options"),
        ("cmb_exam", _set("0.option.B", ""), "without a gap"),
        ("triviaqa", _set("Data.1.Answer.Value", ""), "no answer"),
        ("webquestions", _set("0.targetValue", "(list)"), "answers"),
        ("myriadlama", _set("0.answers", [" "]), "no answer"),
        ("resumes", _set("0.prompt", "no such part"), "Question:"),
        ("multi_doc", _set("0.answers", []), "answers"),
        ("planning", _set("0.task", 7), "task"),
        ("jsonl", _set("0.questions.1.needs", ["q9"]), "needs"),
    ],
)
def test_a_bad_row_is_named_and_counted(source: str, change, reason: str, tmp_path: Path) -> None:
    content = deepcopy(MADE[source].authors)
    change(content)
    path = written(tmp_path, content, MADE[source].jsonl)
    entry = SOURCES[source](source=source, path=str(path))
    warnings: list[str] = []
    counts = Counts()
    list(groups_of(entry, warnings.append, counts=counts))
    assert len(warnings) == counts.left_out == MADE[source].num_questions - counts.questions > 0
    with pytest.raises(UserError, match=f"bad row .*({reason})"):
        list(groups_of(entry.model_copy(update={"on_bad_row": "fail"}), pytest.fail))


def left_out(source: str, content: Any, folder: Path, **more: Any) -> tuple[int, list[str]]:
    """How many questions are kept, and the warnings."""
    path = written(folder, content, jsonl=False)
    warnings: list[str] = []
    groups = groups_of(SOURCES[source](source=source, path=str(path), **more), warnings.append)
    return sum(map(len, groups)), warnings


def test_a_bad_part_costs_itself_alone(tmp_path: Path) -> None:
    """Of a dialogue in the hub's form, of lists of aliases, of templates."""
    (dialogue,) = deepcopy(MADE["quac"].hub)
    dialogue["answers"]["texts"][1] = 5
    dialogue["turn_ids"][0] = 7
    dialogue["orig_answers"]["texts"][2] = None
    kept, warnings = left_out("quac", {"data": [dialogue]}, tmp_path)
    assert kept == 2
    assert [warning.partition(": ")[0] for warning in warnings] == ["left out data[0].questions[1]"]
    trivia = deepcopy(MADE["triviaqa"].authors)
    trivia["Data"][0]["Answer"]["Aliases"] = [None, "Austen"]
    assert left_out("triviaqa", trivia, tmp_path) == (2, [])
    facts = deepcopy(MADE["myriadlama"].hub)
    facts[1]["obj_aliases"] = ["BBC"]
    kept, warnings = left_out("myriadlama", facts, tmp_path)
    assert kept == 1
    assert "fact u1 has another subject or other answers at [0]" in warnings[0]


@pytest.mark.parametrize(
    ("source", "change", "count"),
    [
        ("quac", _set("data.0.title", 5), 3),
        ("quac", _set("data.0.paragraphs.0.context", None), 3),
        ("quality", _set("0.article", " "), 2),
        ("drop", _set("made_1.passage", 5), 3),
        ("cmb_clin", _set("0.description", 5), 2),
    ],
)
def test_what_a_bad_whole_takes_with_it_is_counted(
    source: str, change: Any, count: int, tmp_path: Path
) -> None:
    content = deepcopy(MADE[source].authors)
    change(content)
    kept, warnings = left_out(source, content, tmp_path)
    assert (kept, len(warnings)) == (0, count)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_no_gold(number: float, tmp_path: Path) -> None:
    content = deepcopy(MADE["drop"].authors)
    content["made_1"]["qa_pairs"][0]["answer"]["number"] = number
    kept, warnings = left_out("drop", content, tmp_path)
    assert kept == 2
    assert warnings[0].startswith("left out ['made_1'].qa_pairs[0]: number: ")


def test_dialogues_of_one_id_are_told_apart_and_ids_are_unique_at_random(tmp_path: Path) -> None:
    content = deepcopy(MADE["quac"].authors)
    second = deepcopy(content["data"][0])
    second["paragraphs"][0]["context"] = "Another."
    content["data"].append(second)
    kept, warnings = left_out("quac", content, tmp_path)
    assert kept == len(warnings) == 3
    assert "id d of data[1].paragraphs[0] was there before, at data[0].paragraphs[0]" in warnings[0]
    second["paragraphs"][0]["id"] = "e"  # another dialogue, its turns called as the first's
    assert left_out("quac", content, tmp_path)[0] == 6
    assert left_out("quac", content, tmp_path, grouping="random")[0] == 3


def test_nulls_numbers_marks_and_lines_are_what_files_hold(tmp_path: Path) -> None:
    """What real copies do: null for absent, numbers as ids, a byte-order mark, lines under .json."""
    squad = deepcopy(MADE["squad"].authors)
    squad["data"][0]["title"] = None
    squad["data"][0]["paragraphs"][0]["qas"][0]["id"] = 7
    exam = [
        row | {"option": row["option"] | {"E": None}, "exam_class": None}
        for row in MADE["cmb_exam"].authors
    ]
    drop = deepcopy(MADE["drop"].authors)
    drop["made_1"]["qa_pairs"][2]["answer"] = {"date": {"year": 1808}, "spans": None, "number": None}
    for source, content in (("squad", squad), ("cmb_exam", exam), ("drop", drop)):
        path = written(tmp_path, content, MADE[source].jsonl, source)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        entry = SOURCES[source](source=source, path=str(path), on_bad_row="fail")
        assert sum(map(len, groups_of(entry, pytest.fail))) == MADE[source].num_questions
    lines = tmp_path / "lines.json"
    lines.write_text("\n".join(json.dumps(row) for row in MADE["cmb_exam"].authors))
    entry = SOURCES["cmb_exam"](source="cmb_exam", path=str(lines), on_bad_row="fail")
    assert sum(map(len, groups_of(entry, pytest.fail))) == 3


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ("hotpotqa", '[{"context": {"title": [1], "sentences": 5}}]'),
        ("quac", '{"data": [{"background": 5, "paragraphs": [{"context": 5, "qas": []}]}]}'),
        ("drop", '{"a": 5, "b": null}'),
        ("cmb_clin", '[{"description": 5, "QA_pairs": 5}, 7, null]'),
        ("triviaqa", '{"Data": [{"QuestionId": "t", "Question": "?", "Answer": {"Value": "<unk>"}}]}'),
        ("jsonl", '[{"id": "g", "questions": [{"id": "q", "text": " ", "golds": [""]}]}]'),
    ],
)
def test_rows_of_another_schema_are_bad_rows_not_crashes(
    source: str, content: str, tmp_path: Path
) -> None:
    path = tmp_path / "odd.json"
    path.write_text(content)
    warnings: list[str] = []
    assert list(groups_of(SOURCES[source](source=source, path=str(path)), warnings.append)) == []
    assert warnings


def test_dialogues_and_own_groups_stay_apart(tmp_path: Path) -> None:
    """Two dialogues about one section, two groups without a passage: each is a group of its own."""
    quac = deepcopy(MADE["quac"].authors)
    other = deepcopy(quac["data"][0]["paragraphs"][0]) | {"id": "e"}
    for qa in other["qas"]:
        qa["id"] = qa["id"].replace("d_", "e_")
    quac["data"][0]["paragraphs"].append(other)
    path = written(tmp_path, quac, jsonl=False, name="two")
    groups = list(groups_of(SOURCES["quac"](source="quac", path=str(path)), pytest.fail))
    assert [(group.id, len(group)) for group in groups] == [("d", 3), ("e", 3)]
    question = {"id": "q1", "text": "Who?", "golds": ["Bo"]}
    own = [{"id": name, "questions": [question | {"context": f"of {name}"}]} for name in ("x", "y")]
    path = written(tmp_path, own, jsonl=True, name="own")
    groups = list(groups_of(SOURCES["jsonl"](source="jsonl", path=str(path)), pytest.fail))
    assert [(g.id, g.questions[0].id, g.questions[0].context) for g in groups] == [
        ("x", "q1", "of x"),
        ("y", "q1", "of y"),
    ]


def test_a_gold_outside_its_context_is_counted(tmp_path: Path) -> None:
    content = deepcopy(MADE["squad"].authors)
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"] = [{"text": "Zoe"}]
    path = written(tmp_path, content, jsonl=False)
    entry = SOURCES["squad"](source="squad", path=str(path))
    made = prepare_groups(entry, tmp_path / "groups.jsonl", pytest.fail)
    assert (made.gold_outside_context, made.num_questions) == (1, 3)


def test_the_catalogue_has_every_source_and_offline_says_so(root: Path, tmp_path: Path) -> None:
    entries = load_catalogues(root).datasets
    assert set(SOURCES) - {entry.source for entry in entries.values()} == {"jsonl"}
    missing = SOURCES["squad"](source="squad", hub=str(tmp_path / "no-such-repository"), revision=None)
    with pytest.raises(UserError, match="could not be read from the hub"):
        list(groups_of(missing, pytest.fail))


def test_tasks_in_one_sequence_say_how_they_are_worked_through(root: Path) -> None:
    entries = load_catalogues(root).datasets
    resumes = {name: entry for name, entry in entries.items() if entry.source == "resumes"}
    assert set(resumes) == {"resumes_4", "resumes_10", "resumes_30", "resumes_100"}
    assert all(entry.path.endswith(f"_{name[8:]}.jsonl") for name, entry in resumes.items())
    assert {entry.hint for entry in resumes.values()} == {SOURCES["resumes"].model_fields["hint"].default}
    assert "one by one" in resumes["resumes_4"].hint
    assert "Answer: " in entries["multi_doc_2wiki"].hint
    # Its tasks name their own steps; no other data set has a hint.
    others = {name: entry for name, entry in entries.items() if entry.hint}
    assert set(others) == {*resumes, "multi_doc_2wiki"}


REAL = {
    "squad": ("squad/dev-v1.1.json", 10_570),
    "hotpotqa": ("hotpotqa/subset.json", 153),
    "quac": ("quac/val_v0.2.head5.json", None),
    "drop": ("drop/subset.json", None),
    "quality": ("quality/subset.jsonl", 202),
    "cmb_clin": ("cmb/CMB-Clin-qa.json", 208),
    "cmb_exam": ("cmb/CMB-Exam.4000.json", None),
    "triviaqa": ("triviaqa/subset.json", 300),
    "webquestions": ("webquestions/test.hf-schema.jsonl", 2032),
    "myriadlama": ("myriadlama/test2000.json", 2000),
    "resumes": ("one_sequence/student_resume_logic_retrieval/logic_gpa_resume_30.jsonl", 100),
    "planning": ("one_sequence/planning/industry_tasks.jsonl", 100),
}


@pytest.mark.data
@pytest.mark.parametrize("source", REAL)
def test_real_files_load_whole(source: str, real_data: Path, tmp_path: Path) -> None:
    file, count = REAL[source]
    grouping = {"context": "chunk"}.get(SOURCES[source].model_fields["grouping"].default)
    more = {"grouping": grouping} if grouping else {}
    if source == "quac":
        more = {"group_size": 200}
    entry = SOURCES[source](source=source, path=str(real_data / file), **more)
    warnings: list[str] = []
    made = prepare_groups(entry, tmp_path / "groups.jsonl", warnings.append)
    assert count in (None, made.num_questions)
    assert made.rows_left_out < 0.003 * made.num_questions


@pytest.mark.data
@pytest.mark.parametrize("number", [4, 10, 30, 100])
def test_real_resumes_are_as_many_as_their_name_says(number: int, real_data: Path) -> None:
    folder = real_data / "one_sequence/student_resume_logic_retrieval"
    path = folder / f"logic_gpa_resume_{number}.jsonl"
    groups = list(groups_of(SOURCES["resumes"](source="resumes", path=str(path)), pytest.fail))
    assert len(groups) == 100
    for group in groups:
        (question,) = group
        assert question.answer == "text"
        assert group.context.count("The student named ") == number
        assert f"The student named {question.golds[0]} is" in group.context
