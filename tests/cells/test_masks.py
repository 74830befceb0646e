"""Recorded masks of every strategy of the catalogue that runs on the tree decoder."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.visibility import Rule, above, check, recorded_and_ruled

from branchwise.cells.masks import mask_record
from branchwise.cells.runner import Done, GroupRunner
from branchwise.config import load_experiment
from branchwise.config.catalogues import missing_verbs
from branchwise.data.types import Group, Question
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.engine import TreeEngine
from branchwise.decoding.mixers.entry import MixerEntry
from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.recording import Recording
from branchwise.dependencies.graph import known_edges, with_edges
from branchwise.masks import MaskRecord
from branchwise.prompts import PromptStyle
from branchwise.strategies import load
from branchwise.strategies.entry import StrategyEntry

CATALOGUES = load_experiment([Path(__file__).parents[2] / "config/demo.yaml"]).catalogues
CHAT = PromptStyle()
TREE = TreeEntry(kind="tree", kernel="dense")
STRATEGIES = {
    name: entry
    for name, entry in CATALOGUES.strategies.items()
    if not missing_verbs(entry, CATALOGUES.decoders["tree"])
}
WORDED = next(iter(make_groups(WorldsSpec(kinds=("paraphrase",), group_size=2, num_groups=1))))
WORDED = WORDED.model_copy(
    update={
        "questions": tuple(
            question.model_copy(
                update={"confidences": tuple((t, 0.5) for t in (question.text, *question.paraphrases))}
            )
            for question in WORDED
        )
    }
)
NEEDING = next(iter(make_groups(WorldsSpec(kinds=("two_hop",), group_size=4, num_groups=1, min_facts=8))))
SHOT = Group(
    id="shot",
    context="Ada lives in Rome.",
    questions=(Question(id="s", text="Where does Ada live?", golds=("Rome",)),),
)


@dataclass(frozen=True)
class Made:
    """What came of recording a group."""

    group: Group
    recording: Recording
    rule: Rule
    done: Done
    record: MaskRecord

    def labels(self) -> list[str]:
        return [segment.label for segment in self.record.segments]

    def sees(self, query: int) -> set[str]:
        """The labels of all that a token sees."""
        runs = self.record.seen[query]
        places = {self.record.segment[n] for first, end in runs for n in range(first, end)}
        return {self.record.segments[place].label for place in places}

    def rows(self, label: str) -> list[int]:
        """The tokens of the segments of a label."""
        named = self.record.segments
        return [n for n, place in enumerate(self.record.segment) if named[place].label == label]


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


def made(
    source: ModelSource, entry: StrategyEntry, group: Group, style: PromptStyle = CHAT, **options
) -> Made:
    """A group asked once, and recorded."""
    draws = entry.module == "vote"
    settings = TREE.model_copy(update={"sampling": CATALOGUES.decoders["sampled"].sampling})
    decoder = (settings if draws else TREE).make(source)
    if "mix" in entry.needs:
        mixing = Mixing(source.loaded.model, MixerEntry(place="after", layers=(0,)))
        decoder = TreeEngine(source.loaded.model, source.loaded.chat.tokenizer, mixing, kernel="dense")
    strategy = load(entry.module, {**entry.options, **options})
    runner = GroupRunner(strategy, decoder, source.chat, style, 4, frozenset(entry.needs))
    with recorded_and_ruled(decoder) as (recording, rule):
        done = runner.once(group)
    record = mask_record(recording, group, done, style, source.chat, {"strategy": entry.module})
    return Made(group, recording, rule, done, record)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_recorded_by_the_rule(name: str, source: ModelSource) -> None:
    entry = STRATEGIES[name]
    group = with_edges(NEEDING, known_edges(NEEDING)) if entry.dependencies else with_edges(WORDED, [])
    one = made(source, entry, group)
    check(one.recording, one.rule)
    # Every computed token is there: on a ledger, or the last of an answer that something went on from.
    assert len(one.recording.tokens) == sum(
        ask.tokens.unique + ask.tokens.generated - 1 for ask in one.done.trace.asks
    )
    again = MaskRecord.model_validate_json(one.record.model_dump_json())
    assert again == one.record
    seen = [{n for first, end in row for n in range(first, end)} for row in again.seen]
    assert seen == one.rule.rows
    for number, segment in enumerate(again.segments):
        assert all(parent < number for parent in segment.parents)
        texts = [text for text, place in zip(again.tokens, again.segment, strict=True) if place == number]
        # A model without sense also says bytes that are no characters.
        assert "".join(texts) == segment.text or segment.kind == "generated"


@pytest.mark.parametrize("name", ["batch", "vote", "per_prompt", "avg"])
def test_asks_never_see_each_other(name: str, source: ModelSource) -> None:
    one = made(source, STRATEGIES[name], WORDED)
    tips = [above(run.branch.tip) for run in one.recording.runs]
    shared = set.intersection(*tips)
    assert shared
    for number, token in enumerate(one.recording.tokens):
        users = [path for path in tips if token.node in path]
        seen = {one.recording.tokens[n].node for n in token.seen}
        assert all(seen <= path for path in users), number


@pytest.mark.parametrize("name", ["fused", "fused_path", "fused_published"])
def test_fused_wordings_are_isolated_and_the_answer_sees_all(name: str, source: ModelSource) -> None:
    group = WORDED.model_copy(update={"questions": WORDED.questions[:1]})
    one = made(source, STRATEGIES[name], group)
    wordings = {f"wording {n}" for n in range(1, 6)}
    assert wordings <= set(one.labels())
    for label in wordings:
        for row in one.rows(label):
            assert one.sees(row) & wordings == {label}
    # The first token comes from the last row before it: the cue's; as published, the last wording's.
    if name == "fused_published":
        assert {"wording 5, end", "first token", "answer"} <= set(one.labels())
        assert all(one.sees(row) & wordings == {"wording 5"} for row in one.rows("wording 5, end"))
        rows = one.rows("answer")
    else:
        rows = [one.rows("cue")[-1], *one.rows("answer")]
    assert rows
    assert all(wordings <= one.sees(row) for row in rows)


def test_what_a_later_question_sees(source: ModelSource) -> None:
    group = with_edges(NEEDING, known_edges(NEEDING))
    (edge, *_) = known_edges(NEEDING)
    names = {question.id: f"Q{n}" for n, question in enumerate(group, start=1)}
    seeing = made(source, STRATEGIES["collab_gold_see"], group)
    told = made(source, STRATEGIES["collab_gold"], group)
    first, later = names[edge.source], names[edge.target]
    assert f"{first} answer" in seeing.sees(seeing.rows(f"{later} answer")[-1])
    assert f"{first} answer" not in told.sees(told.rows(f"{later} answer")[-1])
    assert f"{later} with known answers" in told.labels()


def test_labels_say_what_prompts_hold(source: ModelSource) -> None:
    style = PromptStyle(form="completion", prefilled=True, shots=(SHOT,))
    group = WORDED.model_copy(update={"questions": WORDED.questions[:1]})
    plain = made(source, STRATEGIES["batch"], group, style)
    assert plain.labels() == ["instruction and shots", "context, question", "answer"]
    assert [segment.group for segment in plain.record.segments] == [None, group.id, group.id]
    forked = made(source, STRATEGIES["branches_peek_plain"], WORDED)
    assert forked.labels()[1:3] == ["Q1", "Q2"]
    isolated = made(source, STRATEGIES["fused"], WORDED, style, isolated_shots=True)
    assert "instruction" in isolated.labels()[0]
    turns = made(source, STRATEGIES["sequential"], WORDED)
    assert turns.labels() == ["instruction, context and Q1", "Q1 answer", "Q2", "Q2 answer"]
    whole = made(source, STRATEGIES["all_in_one"], WORDED)
    assert whole.labels() == ["instruction, context and 2 questions", "answers"]
