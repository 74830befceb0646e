"""Every data set, from a file in its authors' schema and from a hub repository of the hub's."""

import gzip
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from branchwise.config.load import load_catalogues
from branchwise.data.prepare import groups_of, prepare_groups
from branchwise.data.sources import SOURCES
from branchwise.data.sources.base import FileDataset
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
    list(groups_of(entry, warnings.append))
    assert len(warnings) == 1
    with pytest.raises(UserError, match=f"bad row .*({reason})"):
        list(groups_of(entry.model_copy(update={"on_bad_row": "fail"}), pytest.fail))


def test_lines_that_cannot_be_read_are_rows_of_their_own(tmp_path: Path) -> None:
    good = json.dumps(MADE["planning"].authors[0]).encode()
    other = good.replace(b"\\u5206", b"\\u5207")
    path = tmp_path / "rows.jsonl"
    path.write_bytes(good + b"\n\xff\xfe\n{broken\n\n" + other)
    entry = SOURCES["planning"](source="planning", path=str(path))
    warnings: list[str] = []
    made = prepare_groups(entry, tmp_path / "groups.jsonl", warnings.append)
    assert (made.num_questions, made.rows_left_out) == (2, 2)
    assert "line 2: not UTF-8" in warnings[0]
    assert "line 3: not JSON" in made.left_out[1]


@pytest.mark.parametrize("source", ["planning", "squad"])
def test_a_truncated_archive_gives_what_was_whole(source: str, tmp_path: Path) -> None:
    made = MADE[source]
    content = deepcopy(made.authors)
    if source == "planning":
        content = [{"task": f"task {n} {'x' * n}", "answer": "y"} for n in range(500)]
    else:
        content["data"] = [deepcopy(content["data"][0]) for _ in range(400)]
        for number, article in enumerate(content["data"]):
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    qa["id"] += f"-{number}"
    plain = written(tmp_path, content, made.jsonl).read_bytes()
    path = tmp_path / ("cut.jsonl.gz" if made.jsonl else "cut.json.gz")
    packed = gzip.compress(plain)
    path.write_bytes(packed[: len(packed) * 3 // 4])
    entry = SOURCES[source](source=source, path=str(path), grouping="chunk")
    warnings: list[str] = []
    found = prepare_groups(entry, tmp_path / "groups.jsonl", warnings.append)
    assert found.num_questions > 100
    assert len(warnings) == 1
    assert "cut off or broken" in warnings[0]
    whole = tmp_path / f"whole{'.jsonl' if made.jsonl else '.json'}.gz"
    whole.write_bytes(packed)
    everything = SOURCES[source](source=source, path=str(whole), on_bad_row="fail")
    assert prepare_groups(everything, tmp_path / "all.jsonl", pytest.fail).rows_left_out == 0


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
