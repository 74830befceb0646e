"""Cells asked of a decoder that is known by hand: who is asked when, what is written, totals."""

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes import Clock, FakeDecoder, Words, group_of

from branchwise.cells import cell as cell_module
from branchwise.cells import flight as flight_module
from branchwise.cells import making
from branchwise.cells.cell import run_cell
from branchwise.cells.flight import run_groups
from branchwise.cells.job import CellFiles, CellJob
from branchwise.cells.journal import Journal
from branchwise.cells.making import Workshop, groups_of
from branchwise.cells.runner import GroupRunner
from branchwise.data.groups_file import Preparation
from branchwise.data.types import Group
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.errors import DoesNotFit, UserError
from branchwise.evaluation.score import score_group
from branchwise.files import value_hash, write_text
from branchwise.prompts import PromptStyle, single
from branchwise.results import (
    AnswerRow,
    GroupDependencies,
    Identity,
    RunRecord,
    Tokens,
    read_json,
    read_rows,
    write_rows,
)
from branchwise.stages import (
    GroupConfidence,
    GroupParaphrases,
    QuestionConfidence,
    QuestionParaphrases,
    WordingConfidence,
)
from branchwise.strategies import Answered, load
from branchwise.strategies.base import Desk, answered
from branchwise.strategies.entry import StrategyEntry
from branchwise.trace import GroupTrace

GROUPS = [group_of(2, name) for name in "abcde"]


def flown(folder: Path, groups=GROUPS, strategy=None, decoder=None, **settings):
    decoder = decoder or FakeDecoder()
    runner = GroupRunner(strategy or load("batch"), decoder, decoder.chat, PromptStyle(), 8)
    said: list[str] = []
    seen: list[tuple[int, int]] = []
    journal = Journal(folder / "journal.jsonl", {"of": "this"})
    flight = run_groups(runner, groups, journal, lambda *done: seen.append(done), said.append, **settings)
    return flight, decoder, said, seen


# ----- groups in flight -----


def test_the_first_group_warms_up_and_then_all_are_asked(tmp_path: Path) -> None:
    flight, decoder, said, seen = flown(tmp_path)
    asked = [(name, 8) for name in "abcde" for _ in range(2)]
    assert decoder.heard == [("a", 1)] * 2 + asked
    assert seen == [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert (said, flight.num_resumed, flight.groups_in_flight, flight.left_out) == ([], 0, 1, ())
    assert [record.run.id for record in flight.records] == list("abcde")


def test_so_many_groups_are_in_flight_and_no_more(tmp_path: Path) -> None:
    flight, decoder, _, _ = flown(tmp_path, groups_in_flight=3)
    assert (decoder.most_at_once, flight.groups_in_flight) == (3, 3)
    capped = FakeDecoder(max_groups=2)
    flight, _, _, _ = flown(tmp_path / "capped", decoder=capped, groups_in_flight=3)
    assert (capped.most_at_once, flight.groups_in_flight) == (2, 2)


def test_the_makespan_is_without_the_warm_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    clock.install(monkeypatch, flight_module)
    flight, _, _, _ = flown(tmp_path, decoder=FakeDecoder(clock=clock, seconds=3))
    assert flight.makespan_s == 5 * 3


def test_what_is_in_the_journal_is_not_asked_again(tmp_path: Path) -> None:
    flown(tmp_path, GROUPS[1:3])
    flight, decoder, _, seen = flown(tmp_path)
    assert decoder.heard == [("a", 1)] * 2 + [(name, 8) for name in "ade" for _ in range(2)]
    assert flight.num_resumed == 2
    assert (seen[0], seen[-1]) == ((2, 5), (5, 5))
    assert [record.run.id for record in flight.records] == list("abcde")
    flight, decoder, _, seen = flown(tmp_path)
    assert (decoder.heard, flight.num_resumed, seen) == ([], 5, [(5, 5)])


def long(name: str) -> Group:
    return group_of(3, name).model_copy(update={"context": "word " * 100})


def small() -> FakeDecoder:
    return FakeDecoder(chat=Words(), max_context=60)


def test_groups_that_do_not_fit_are_counted_and_said(tmp_path: Path) -> None:
    groups = [long("x"), GROUPS[0], long("y")]
    flight, decoder, said, seen = flown(tmp_path, groups, decoder=small())
    assert [(left.group, left.num_questions) for left in flight.left_out] == [("x", 3), ("y", 3)]
    assert all(left.reason.startswith(f"group {left.group}: a prompt of") for left in flight.left_out)
    assert said == [f"left out: {left.reason}" for left in flight.left_out]
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    # The first that fits warms up.
    assert decoder.heard == [("a", 1)] * 2 + [("a", 8)] * 2
    with pytest.raises(DoesNotFit):
        flown(tmp_path / "strict", groups, decoder=small(), strict=True)


def test_only_what_does_not_fit_is_left_out(tmp_path: Path) -> None:
    """A group of errors is passed over where all of them are of length, and else raised."""

    def failing(*errors: Exception):
        async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
            if group.id == "b":
                raise ExceptionGroup("several", errors)
            question = group.questions[0]
            for question in group:
                reply = await desk.ask(single(group, question, desk.style), [question])
                yield answered(question, reply, desk.style)

        return strategy

    fit = DoesNotFit("too long", "shorten it")
    flight, _, _, _ = flown(tmp_path / "all", strategy=failing(fit, ExceptionGroup("inner", [fit])))
    assert [(left.group, left.reason) for left in flight.left_out] == [("b", "too long")]
    with pytest.raises(ExceptionGroup):
        flown(tmp_path / "some", strategy=failing(fit, LookupError()))


def test_any_other_error_of_the_first_group_is_raised(tmp_path: Path) -> None:
    async def broken(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        raise ExceptionGroup("several", [LookupError()])
        yield

    with pytest.raises(ExceptionGroup):
        flown(tmp_path, strategy=broken)


# ----- a cell -----


def dependencies_of(group: Group, *edges: tuple[str, str], fallback=None) -> GroupDependencies:
    return GroupDependencies(
        **{"group": group.id, "generator": "llm", "candidates": (), "edges": edges, "known": None},
        **{"forward_passes": 4, "wall_s": 1.0, "fallback": fallback},
        tokens=Tokens(sent=20, unique=15, cached=5, generated=3, padding=1),
    )


def job_of(strategy: str = "batch", dependencies: str | None = None, **changes) -> CellJob:
    settings = {"groups": {"made": 1}, "dependencies": {"by": "llm"}}
    content = {
        "cell": {"dataset": "d", "model": "m", "strategy": strategy, "decoder": "tree"},
        "identity": Identity(settings=settings, code="c"),
        "style": PromptStyle(),
        "model": ModelEntry(path="/none"),
        "strategy": StrategyEntry(module=strategy, dependencies=dependencies),
        "decoder": TreeEntry(kind="tree"),
        "max_new_tokens": 8,
        "threads": 1,
    }
    return CellJob(**content | changes)


def files_of(folder: Path, groups, found=None, settings=None) -> CellFiles:
    preparation = Preparation(
        num_groups=len(groups),
        num_questions=sum(map(len, groups)),
        settings=value_hash(settings or {"made": 1}),
    )
    write_text(
        folder / "groups.jsonl", "".join(f"{one.model_dump_json()}\n" for one in (preparation, *groups))
    )
    path = folder / "found.jsonl" if found is not None else None
    if path:
        write_rows(path, found, {"settings": value_hash({"by": "llm"})})
    return CellFiles(folder / "groups.jsonl", folder / "cell", folder / "journal.jsonl", path)


class FakeSource:
    """A served model: nothing is loaded."""

    is_loaded = False
    files_hash = "f"

    def __init__(self, entry=None, checkpoint=None) -> None:
        self.entry, self.checkpoint, self.chat = entry, checkpoint, None


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> FakeDecoder:
    made = FakeDecoder()
    monkeypatch.setattr(making, "ModelSource", FakeSource)
    monkeypatch.setattr(TreeEntry, "make", lambda self, source: made)
    return made


def ran(job: CellJob, files: CellFiles) -> tuple[RunRecord, list[str]]:
    said: list[str] = []
    run_cell(job, files, lambda *done: None, said.append)
    return read_json(files.out / "run.json", RunRecord), said


def test_a_cells_totals_hold_what_finding_its_dependencies_cost(
    decoder: FakeDecoder, tmp_path: Path
) -> None:
    """Two groups of two questions, ten tokens a prompt; finding edges cost 20 and 4 passes each."""
    groups = GROUPS[:2]
    found = [
        dependencies_of(groups[0], ("q1", "q2")),
        dependencies_of(groups[1], fallback="no list"),
    ]
    record, said = ran(job_of("collab", "llm"), files_of(tmp_path, groups, found))
    assert record.totals == Tokens(
        sent=40 + 40, unique=36 + 30, cached=4 + 10, generated=4 + 6, padding=8 + 2
    )
    assert record.totals_by_role == {
        "answerer": Tokens(sent=40, unique=36, cached=4, generated=4, padding=8),
        "dependencies": Tokens(sent=40, unique=30, cached=10, generated=6, padding=2),
    }
    # One after another in the first group, side by side in the second.
    assert [run.forward_passes for run in record.groups] == [2, 1]
    assert record.forward_passes == 2 + 1 + 4 + 4
    assert [run.dependencies for run in record.groups] == found
    assert said == ["warning: the heuristic stood in for the dependencies of 1 of 2 groups"]
    assert record.warnings == ("the heuristic stood in for the dependencies of 1 of 2 groups",)
    rows = list(read_rows(tmp_path / "cell/answers.jsonl", AnswerRow))
    assert Tokens.total(row.tokens for row in rows) == record.totals
    traces = list(read_rows(tmp_path / "cell/trace.jsonl", GroupTrace))
    assert [[ask.after for ask in trace.asks] for trace in traces] == [[(), (0,)], [(), ()]]
    assert (record.num_groups, record.num_resumed, record.groups_in_flight) == (2, 0, 1)
    assert record.kv_cache_mib == 1.001
    assert record.resolved["resolved_batching"] == "fake"
    assert record.model_files == {"answerer": "f"}
    assert record.data["groups_hash"]
    assert not (tmp_path / "journal.jsonl").exists()


def test_a_cell_without_dependencies_follows_none(decoder: FakeDecoder, tmp_path: Path) -> None:
    """What the data state is not to be followed by the way."""
    group = group_of(2, q2="q1")
    record, said = ran(job_of("collab"), files_of(tmp_path, [group]))
    assert (record.forward_passes, record.totals.sent, said) == (1, 20, [])
    assert set(record.totals_by_role) == {"answerer"}


def test_a_cell_in_which_nothing_fits_is_told(decoder: FakeDecoder, tmp_path: Path, monkeypatch) -> None:
    async def never(self, group, on_token=None):
        raise DoesNotFit("group a: too long", "shorten it")

    monkeypatch.setattr(GroupRunner, "ask", never)
    with pytest.raises(
        UserError, match="cell d/m/batch/tree: no group fits the model; group a: too long"
    ):
        ran(job_of(), files_of(tmp_path, GROUPS[:1]))


def test_a_resumed_cell_says_so(decoder: FakeDecoder, tmp_path: Path, monkeypatch) -> None:
    """A second process that had to wait finds the cell finished, or goes on."""
    files = files_of(tmp_path, GROUPS)
    with monkeypatch.context() as patch:
        patch.setattr(cell_module, "write_cell", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ran(job_of(), files)
    with files.journal.open("a") as file:
        file.write('{"key": ')
    decoder.notes = ("a note", "a note")
    record, said = ran(job_of(), files)
    assert said == [
        "warning: a note",
        "warning: 1 unreadable journal lines were left out (a write was cut off)",
        "resumed: 5 of 5 groups came from the journal",
    ]
    assert (record.num_resumed, record.warnings[0]) == (5, "a note")
    # Other settings are another cell: nothing of the journal is its own.
    other = Identity(settings={"groups": {"made": 1}, "dependencies": {"by": "llm"}, "b": 1}, code="c")
    again, _ = ran(job_of(identity=other), files)
    assert again.num_resumed == 0


@pytest.mark.parametrize("finished", [True, False])
def test_who_waited_for_the_same_work_does_not_do_it_again(
    decoder: FakeDecoder, tmp_path: Path, monkeypatch, finished: bool
) -> None:
    from contextlib import contextmanager

    files = files_of(tmp_path, GROUPS[:1])
    if finished:
        ran(job_of(), files)
    decoder.heard.clear()

    @contextmanager
    def waited(path, say):
        yield True

    monkeypatch.setattr(cell_module, "alone", waited)
    _, said = ran(job_of(), files)
    assert said == (["the other process has finished it"] if finished else [])
    assert bool(decoder.heard) != finished
    decoder.heard.clear()
    ran(job_of(identity=Identity(settings=job_of().identity.settings, code="other")), files)
    assert decoder.heard


# ----- what a job is made into -----


def test_files_and_strategy_go_together(tmp_path: Path) -> None:
    groups = [group_of(3, q3="q1")]
    found = [dependencies_of(groups[0], ("q1", "q2"))]
    files = files_of(tmp_path, groups, found)
    plain = CellFiles(files.groups, files.out, files.journal)
    made, known = groups_of(job_of("collab", "llm"), files)
    assert [question.needs for question in made[0]] == [(), ("q1",), ()]
    assert known == {"g": (found[0],)}
    made, known = groups_of(job_of("collab"), plain)
    assert [question.needs for question in made[0]] == [(), (), ()]
    assert known == {}
    with pytest.raises(UserError, match="collab follows llm dependencies"):
        groups_of(job_of("collab", "llm"), plain)
    with pytest.raises(UserError, match="batch follows no dependencies"):
        groups_of(job_of(), files)
    others = files_of(tmp_path / "others", groups, settings={"made": 2})
    with pytest.raises(UserError, match="other settings"):
        groups_of(job_of(), others)


def test_a_workshop_makes_what_jobs_share_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "ModelSource", FakeSource)
    monkeypatch.setattr(TreeEntry, "make", lambda self, source: FakeDecoder())
    workshop = Workshop()
    one, sources = workshop.runner_of(job_of(roles={"planner": ModelEntry(path="/other")}))
    other, _ = workshop.runner_of(job_of("sequential", roles={"planner": ModelEntry(path="/none")}))
    assert other.decoder is one.decoder
    # The planner of the second job is the first one's answerer, that of the first another model.
    assert other.others["planner"].decoder is one.decoder
    assert one.others["planner"].decoder is not one.decoder
    assert set(sources) == {"answerer", "planner"}
    assert (one.max_new_tokens, one.needs) == (8, frozenset({"ask"}))
    plain, _ = workshop.runner_of(job_of(decoder=TreeEntry(kind="tree", kernel="flex")))
    assert plain.decoder is not one.decoder
    tuned, sources = workshop.runner_of(dataclasses.replace(job_of(), checkpoint=Path("/adapter")))
    assert tuned.decoder is not one.decoder
    assert sources["answerer"].checkpoint == Path("/adapter")


# ----- stages of wordings -----


def wordings_of_stages(group: Group) -> tuple[GroupParaphrases, GroupConfidence]:
    """One paraphrase a question, another that is missing; costs that are told apart."""
    paraphrases = GroupParaphrases(
        group=group.id,
        generator="p",
        questions=tuple(
            QuestionParaphrases(question=q.id, kept=(f"So {q.text}",), dropped={"empty": 3}, missing=1)
            for q in group
        ),
        tokens=Tokens(sent=100, unique=60, cached=40, generated=8, padding=0),
        forward_passes=7,
        wall_s=0.5,
    )
    confidence = GroupConfidence(
        group=group.id,
        generator="c",
        questions=tuple(
            QuestionConfidence(
                question=q.id,
                wordings=(WordingConfidence(text=q.text, answer="yes", confidence=0.25),),
            )
            for q in group
        ),
        tokens=Tokens(sent=1000, unique=10, cached=990, generated=80, padding=0),
        forward_passes=5,
        wall_s=0.25,
    )
    return paraphrases, confidence


def worded(folder: Path, groups, unfit: str | None = None) -> tuple[CellJob, CellFiles]:
    settings = {
        "groups": {"made": 1},
        "dependencies": None,
        "paraphrases": {"p": 1},
        "confidence": {"c": 1},
    }
    strategy = StrategyEntry(
        module="per_prompt", options={"wordings": 3}, paraphrases="p", confidence="c"
    )
    cell = {"dataset": "d", "model": "m", "strategy": "mine", "decoder": "tree"}
    identity = Identity(settings=settings, code="c")
    job = dataclasses.replace(job_of(), cell=cell, strategy=strategy, identity=identity)
    rows = [wordings_of_stages(group) for group in groups]
    files = files_of(folder, groups)
    for number, name in enumerate(("paraphrases", "confidence")):
        mine = [row[number] for row in rows]
        if unfit and name == "confidence":
            mine[0] = mine[0].model_copy(update={"unfit": unfit, "questions": ()})
        write_rows(folder / f"{name}.jsonl", mine, {"settings": value_hash(settings[name])})
        files = dataclasses.replace(files, **{name: folder / f"{name}.jsonl"})
    return job, files


def test_a_cells_totals_hold_what_its_wordings_cost(decoder: FakeDecoder, tmp_path: Path) -> None:
    """Two groups of two questions in two wordings; ten tokens a prompt."""
    groups = GROUPS[:2]
    record, _ = ran(*worded(tmp_path, groups))
    assert {role: tokens.sent for role, tokens in record.totals_by_role.items()} == {
        "answerer": 80,
        "paraphrases": 200,
        "confidence": 2000,
    }
    assert record.totals.sent == 80 + 200 + 2000
    assert record.forward_passes == sum(run.forward_passes for run in record.groups) + 2 * (7 + 5)
    rows = list(read_rows(tmp_path / "cell/answers.jsonl", AnswerRow))
    assert [len(row.wordings) for row in rows] == [2] * 4
    assert rows[0].tokens.sent == 20 + (100 + 1000) / 2
    assert Tokens.total(row.tokens for row in rows) == record.totals
    assert record.paraphrases == {"kept": 4, "missing": 4, "cut_off": 0, "empty": 12}
    assert record.warnings == ("4 paraphrases are missing: what was drawn for them was dropped",)
    score = score_group(record.groups[0])
    assert (score.dependency_s, score.wording_s, score.before_s) == (0, 0.75, 0.75)
    assert (score.sent, score.forward_passes) == (40 + 1100, record.groups[0].forward_passes + 12)


def test_groups_have_the_wordings_and_confidences_that_were_found(tmp_path: Path) -> None:
    job, files = worded(tmp_path, GROUPS[:2])
    made, known = groups_of(job, files)
    (first, *_) = made[0]
    assert first.paraphrases == (f"So {first.text}",)
    assert first.confidences == ((first.text, 0.25),)
    assert [row.stage for row in known["a"]] == ["paraphrases", "confidence"]
    with pytest.raises(UserError, match="mine asks p paraphrases; give --paraphrases, the file of"):
        groups_of(job, dataclasses.replace(files, paraphrases=None))
    with pytest.raises(UserError, match="weighs by c confidence; give --confidence"):
        groups_of(job, dataclasses.replace(files, confidence=None))
    with pytest.raises(UserError, match="asks no paraphrases; leave out --paraphrases"):
        groups_of(job_of(), dataclasses.replace(files, confidence=None))
    with pytest.raises(UserError, match="is of settings"):
        groups_of(job, dataclasses.replace(files, paraphrases=files.confidence))
    other = job.strategy.model_copy(update={"paraphrases": "o"})
    with pytest.raises(UserError, match="holds paraphrases p, not o"):
        groups_of(dataclasses.replace(job, strategy=other), files)


def test_a_group_whose_confidence_could_not_be_asked_is_left_out(
    decoder: FakeDecoder, tmp_path: Path
) -> None:
    record, said = ran(*worded(tmp_path, GROUPS[:2], unfit="group a: a prompt of 9 tokens"))
    assert [one.group for one in record.left_out] == ["a"]
    assert record.num_groups == 1
    assert "warning: left out: group a: a prompt of 9 tokens" in said
