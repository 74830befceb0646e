"""Made shots: every source ships some, in the form of its groups; none leaks into an evaluation."""

from pathlib import Path

import networkx as nx
import pytest
import yaml

from branchwise.config.load import load_catalogues
from branchwise.data.entries import DatasetEntry
from branchwise.data.languages import LANGUAGES
from branchwise.data.letters import letters_in
from branchwise.data.prepare import groups_of
from branchwise.data.shots import FOLDER, SIZES, check_no_leak, made_shots
from branchwise.data.sources import SOURCES
from branchwise.data.types import CANNOT_ANSWER, NO_ANSWER, Group, Question
from branchwise.errors import UserError

from .test_sources import local

NO_PASSAGE = {"triviaqa", "webquestions", "myriadlama", "cmb_exam", "planning"}
OWN_PASSAGES = {"hotpotqa"}
NOT_A_PHRASE = {"drop", "quality", "cmb_clin"}
"""Sources whose answers need not stand in the passage."""
ONE_QUESTION = {"resumes"}
"""Sources with a passage whose questions do not help one another."""
KINDS = {
    "squad": {"squad"},
    "squad_v2": {"has_answer", "no_answer"},
    "cmrc2018": {"squad"},
    "xquad": {"squad"},
    "hotpotqa": {"bridge", "comparison"},
    "quac": {"quac"},
    "drop": {"drop"},
    "quality": {"easy", "hard"},
    "cmb_clin": {"clinical"},
    "cmb_exam": {"one", "several"},
    "triviaqa": {"trivia"},
    "webquestions": {"web"},
    "myriadlama": {"cloze"},
    "resumes": {"retrieval"},
    "multi_doc": {"multi_doc"},
    "planning": {"planning"},
}


def entry_of(source: str, language: str) -> DatasetEntry:
    more = {"hub_config": f"xquad.{language}"} if source == "xquad" else {"language": language}
    return SOURCES[source](source=source, path="made.json", **more)


SHIPPED = [
    (path.stem, language)
    for path in sorted(FOLDER.glob("*.yaml"))
    for language in yaml.safe_load(path.read_text(encoding="utf-8"))
]
shipped = pytest.mark.parametrize(("source", "language"), SHIPPED)


def answers(source: str, language: str) -> list[tuple[Group, Question]]:
    return [(group, q) for group in made_shots(entry_of(source, language)) for q in group]


def test_every_source_that_is_read_ships_shots_and_own_data_none() -> None:
    assert {source for source, _ in SHIPPED} == set(SOURCES) - {"jsonl"} == set(KINDS)
    own = SOURCES["jsonl"](source="jsonl", path="mine.jsonl")
    with pytest.raises(UserError, match="jsonl ships no made shots; give shots a file"):
        made_shots(own)


def test_the_default_language_of_every_source_has_shots() -> None:
    for source in set(SOURCES) - {"jsonl"}:
        assert made_shots(SOURCES[source](source=source, path="made.json"))
    assert {"en", "zh", "ru", "ar", "th", "es", "de"} <= {
        language for source, language in SHIPPED if source == "xquad"
    }
    with pytest.raises(UserError, match="squad ships made shots in en, not in de"):
        made_shots(entry_of("squad", "de"))


@shipped
def test_shots_have_the_form_of_their_source(source: str, language: str) -> None:
    groups = made_shots(entry_of(source, language))
    assert language in LANGUAGES
    assert tuple(len(group) for group in groups) == SIZES
    assert len({group.id for group in groups}) == len(groups)
    for group, q in answers(source, language):
        assert bool(group.context) == (source not in NO_PASSAGE | OWN_PASSAGES)
        assert bool(q.context) == (source in OWN_PASSAGES)
        assert len(group.context) <= 900
        assert q.kind in KINDS[source]
        assert len(q.golds) == len(set(q.golds)) or source == "quac"
        assert q.text == q.text.strip()
        assert all(gold == gold.strip() for gold in q.golds)


@shipped
def test_types_of_answers_are_those_of_the_source(source: str, language: str) -> None:
    """The type that the source's own module makes, options where it has options, blanks where it has."""
    types = {"quality": "choice", "cmb_exam": "choice", "myriadlama": "cloze"} | dict.fromkeys(
        ("cmb_clin", "resumes", "planning"), "text"
    )
    for _, q in answers(source, language):
        assert q.answer == types.get(source, "span")
        assert len(q.options) == {"quality": 4, "cmb_exam": 5}.get(source, 0)
        if q.options:
            (gold,) = q.golds
            assert letters_in(gold, len(q.options)) == gold
            assert q.kind in ("easy", "hard", "several" if len(gold) > 1 else "one")
        if q.answer == "cloze":
            assert all(text.count("[MASK]") == 1 for text in (q.text, *q.paraphrases))
        spans = q.gold_spans or tuple((gold,) for gold in q.golds)
        assert tuple("; ".join(parts) for parts in spans) == q.golds


@pytest.mark.parametrize("source", sorted(set(SOURCES) - {"jsonl"}))
def test_types_are_those_that_the_module_makes_of_its_rows(source: str, tmp_path: Path) -> None:
    made = [q for group in groups_of(local(source, tmp_path), pytest.fail) for q in group]
    entry = SOURCES[source](source=source, path="made.json")
    assert {q.answer for group in made_shots(entry) for q in group} == {q.answer for q in made}


@pytest.mark.parametrize(
    ("source", "language"), [one for one in SHIPPED if one[0] not in NO_PASSAGE | NOT_A_PHRASE]
)
def test_golds_stand_in_the_passage(source: str, language: str) -> None:
    for group, q in answers(source, language):
        for gold in q.golds:
            if gold in (NO_ANSWER, CANNOT_ANSWER) or q.golds == ("yes",):
                continue
            assert gold in (group.context or q.context), (group.id, q.id)


def test_what_a_source_is_known_for_is_shown() -> None:
    def golds(source: str) -> list[Question]:
        return [q for _, q in answers(source, "zh" if source == "cmb_exam" else "en")]

    assert {q.kind for q in golds("squad_v2") if q.golds == (NO_ANSWER,)} == {"no_answer"}
    assert sum(set(q.golds) == {CANNOT_ANSWER} for q in golds("quac")) == 1
    assert any(len(parts) > 1 for q in golds("drop") for parts in q.gold_spans)
    assert any(q.golds[0].isdigit() for q in golds("drop"))
    assert any(len(q.golds[0]) > 1 for q in golds("cmb_exam"))
    assert {q.kind for q in golds("hotpotqa")} == {"bridge", "comparison"}


@shipped
def test_a_passage_has_a_question_that_needs_an_earlier_one(source: str, language: str) -> None:
    groups = made_shots(entry_of(source, language))
    needing = 0
    for group in groups:
        ids = [q.id for q in group]
        graph = nx.DiGraph((need, q.id) for q in group for need in q.needs)
        assert nx.is_directed_acyclic_graph(graph)
        assert all(ids.index(need) < ids.index(q.id) for q in group for need in q.needs)
        needing += any(q.needs for q in group)
    assert bool(needing) == (source not in NO_PASSAGE | OWN_PASSAGES | ONE_QUESTION)


CATALOGUE = load_catalogues().datasets
WORLDS = {name: entry for name, entry in CATALOGUE.items() if entry.source == "worlds"}


@pytest.mark.parametrize("name", WORLDS)
def test_shots_of_worlds_are_of_the_kinds_of_their_entry(name: str) -> None:
    entry = WORLDS[name]
    shots = made_shots(entry)
    sizes = [len(group) for group in shots]
    most = entry.drawn_for or entry.group_size
    assert sum(sizes) == sum(SIZES)
    assert sizes[: len(SIZES)] == [min(size, most) for size in SIZES]
    # Told of one of its branches alone.
    told = {"copy_told", "copy_untold"} if "copy" in entry.kinds else set()
    allowed = {*entry.kinds, "look_up", *told}
    assert {q.kind for group in shots for q in group} <= allowed
    assert len({group.id for group in shots}) == len(shots)


def test_no_shot_of_a_world_is_in_an_evaluation() -> None:
    groups = [group for entry in WORLDS.values() for group in entry.made()]
    check_no_leak([shot for entry in WORLDS.values() for shot in made_shots(entry)], groups)


def test_shots_of_worlds_have_names_of_training_and_do_not_depend_on_the_size() -> None:
    held_out = WORLDS["worlds_mixed_held_out_g6"]
    seen = held_out.model_copy(update={"names": "seen", "wordings": "seen"})
    assert made_shots(held_out) == made_shots(seen)
    sizes = [made_shots(WORLDS[f"worlds_two_hop_g{size}"]) for size in (2, 4, 8)]
    assert sizes[0] == sizes[1] == sizes[2]
    assert made_shots(held_out.model_copy(update={"seed": 5})) != made_shots(held_out)


REAL = {
    "squad": ["squad/dev-v1.1.json"],
    "cmrc2018": ["cmrc2018/dev.subset.json"],
    "xquad": [f"xquad/xquad.{language}.subset.json" for language in ("th", "ru", "zh", "ar")],
    "hotpotqa": ["hotpotqa/subset.json"],
    "quac": ["quac/val_v0.2.head5.json", "quac/train_v0.2.head5.json"],
    "drop": ["drop/subset.json"],
    "quality": ["quality/subset.jsonl"],
    "cmb_clin": ["cmb/CMB-Clin-qa.json"],
    "cmb_exam": ["cmb/CMB-Exam.4000.json"],
    "triviaqa": ["triviaqa/subset.json", "triviaqa/triviaqa_sample.json"],
    "webquestions": ["webquestions/test.hf-schema.jsonl", "webquestions/train.hf-schema.jsonl"],
    "myriadlama": ["myriadlama/test2000.json"],
    "resumes": ["one_sequence/student_resume_logic_retrieval/logic_gpa_resume_100.jsonl"],
    "planning": ["one_sequence/planning/industry_tasks.jsonl"],
}


@pytest.mark.data
@pytest.mark.parametrize(("source", "file"), [(s, file) for s, files in REAL.items() for file in files])
def test_no_shot_leaks_into_real_files(source: str, file: str, real_data: Path) -> None:
    language = file.split(".")[1] if source == "xquad" else None
    more = {"hub_config": f"xquad.{language}"} if language else {}
    entry = SOURCES[source](source=source, path=str(real_data / file), **more)
    groups = list(groups_of(entry, lambda warning: None))
    check_no_leak(made_shots(entry), groups)
    with pytest.raises(UserError, match="evaluation group"):
        check_no_leak(groups[-1:], groups)


PASSAGE = "The mill stood by the river Orm, and its two wheels turned by night."


def asked(name: str, *questions: Question, context: str = "") -> Group:
    return Group(id=name, context=context, questions=questions)


def about(text: str = "Where?", **more) -> Question:
    return Question(id="q", text=text, golds=("here",), **more)


@pytest.mark.parametrize(
    "passage",
    [
        PASSAGE,
        "  the MILL stood by the river Orm -\n and its two wheels turned by night",
        f"Once upon a time. {PASSAGE} And so on.",
        PASSAGE[: PASSAGE.index(" turned")],
    ],
    ids=["same", "dressed", "contains", "part"],
)
def test_a_shared_passage_is_a_leak(passage: str) -> None:
    shots = [asked("other", about(), context="Elsewhere."), asked("shot7", about(), context=PASSAGE)]
    clean = asked("g1", about(), context="An inn.")
    with pytest.raises(UserError, match=r"^evaluation group g2 holds the passage of shot shot7; "):
        check_no_leak(shots, [clean, asked("g2", about("When?"), context=passage)])
    with pytest.raises(UserError, match="group g3 holds the passage of shot shot7"):
        own = Question(id="own", text="Who?", golds=("x",), context=passage)
        check_no_leak(shots, [clean, asked("g3", about("When?"), own)])


def test_what_is_no_leak() -> None:
    shots = [asked("shot", about(), context=PASSAGE)]
    check_no_leak(shots, [asked("a", about(), context="The mill stood by")])  # a part, but a short one
    check_no_leak(shots, [asked("b", about())])  # the same words, about no passage
    check_no_leak(shots, [])
    check_no_leak([], [asked("c", about(), context=PASSAGE)])


def test_the_same_question_without_a_passage_is_a_leak() -> None:
    shots = [asked("s1", about("Who keeps bees?", paraphrases=("Name who keeps bees.",)))]
    check_no_leak(shots, [asked("g", about("Who keeps bees and hens?"))])
    for text in ("who keeps  bees", "Name who keeps bees!"):
        with pytest.raises(UserError, match="^evaluation group g asks a question of shot s1; "):
            check_no_leak(shots, [asked("g", about("What?"), Question(id="r", text=text, golds=("x",)))])
    which = asked("s2", about("Which is right?", answer="choice", options=("ash", "oak")))
    others = about("Which is right?", answer="choice", options=("ash", "elm"))
    check_no_leak([which], [asked("g", others)])
    turned = about("Which is right?", answer="choice", options=("oak", "ash"))
    with pytest.raises(UserError, match="of shot s2"):
        check_no_leak([which], [asked("g", turned)])
