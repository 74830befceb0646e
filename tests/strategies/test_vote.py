"""The vote: what wins, who pays, and that equal prompts are computed once on the tree."""

from pathlib import Path

import pytest
from tests.fakes import FakeDecoder, Words, group_of

from branchwise.cells.runner import GroupRunner, Timed, record_of
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.hf import HFEntry
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.prompts import PromptStyle, Reading
from branchwise.strategies import load
from branchwise.strategies.vote import winner
from branchwise.trace import Tokens

GROUP = next(iter(make_groups(WorldsSpec(kinds=("look_up",), group_size=3, num_groups=1))))
HOT = {"temperature": 1.2}


@pytest.mark.parametrize(
    ("said", "won"),
    [
        (["a", "b", "b"], 1),
        (["a", "b", "b", "a"], 0),
        (["b", "a", "A.", " a "], 1),
        (["Ｒｏｍｅ", "Paris", "rome"], 0),
        (["", "", "x"], 2),
        (["", ""], 0),
        (["A", "a b", "C", "C"], 2),
        (["1.5", "15", "15"], 1),
    ],
)
def test_the_most_frequent_answer_wins_and_of_equals_the_first_said(said: list[str], won: int) -> None:
    assert winner([Reading(one, True) for one in said]) == won


def test_every_question_is_asked_so_often_at_once_and_every_ask_is_in_its_answer() -> None:
    said = iter(["red", "blue", "blue", "no", "yes", "no"])
    decoder = FakeDecoder(lambda request: next(said), chat=Words())
    runner = GroupRunner(load("vote", {"samples": 3}), decoder, decoder.chat, PromptStyle(), 5)
    done = runner.once(group_of(2))
    assert [(one.reading.answer, one.raw, one.asks) for one in done.answers] == [
        ("blue", "blue", (0, 1, 2)),
        ("no", "no", (3, 4, 5)),
    ]
    assert decoder.num_forward_passes == 1
    record = record_of(group_of(2), done, pytest.fail)
    whole = Tokens.total(row.tokens for row in record.answers)
    assert whole.sent == pytest.approx(record.run.tokens.sent)
    assert record.answers[0].tokens.generated == 3


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


def voted(source: ModelSource, kind: str, samples: int) -> tuple[Timed, int, int]:
    """What came of a vote, with the rows that the model computed and the passes."""
    tree = TreeEntry(kind="tree", kernel="dense", sampling=HOT)
    decoder = (tree if kind == "tree" else HFEntry(kind="hf", sampling=HOT)).make(source)
    rows: list[int] = []
    spy = source.loaded.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    strategy = load("vote", {"samples": samples})
    try:
        done = GroupRunner(strategy, decoder, source.chat, PromptStyle(), 6).once(GROUP)
    finally:
        spy.remove()
    return done, sum(rows), decoder.num_forward_passes


def test_equal_prompts_are_computed_once_on_the_tree(source: ModelSource) -> None:
    (one, _, _), (five, rows, _) = voted(source, "tree", 1), voted(source, "tree", 5)
    ledgers = [ask.completion.tokens for ask in five.asks]
    assert len(ledgers) == 5 * len(GROUP)
    assert all(t.sent == t.unique + t.cached for t in ledgers)
    # Of equal prompts the first pays; each other one computes its last token, whose logits it draws from.
    assert [t.unique for t in ledgers[0::5]] == [ask.completion.tokens.unique for ask in one.asks]
    assert {t.unique for number, t in enumerate(ledgers) if number % 5} == {1}
    # And what is booked is what the model computed.
    assert sum(t.unique + t.generated - 1 + t.padding for t in ledgers) == rows


def test_equal_prompts_draw_each_their_own_and_the_same_on_hf(source: ModelSource) -> None:
    tree, hf = voted(source, "tree", 5)[0], voted(source, "hf", 5)[0]
    drawn = [tuple(ask.completion.ids) for ask in tree.asks]
    assert drawn == [tuple(ask.completion.ids) for ask in hf.asks]
    assert len(set(drawn[:5])) > 1
    # One sample more changes nothing about those before it.
    six = voted(source, "tree", 6)[0]
    assert [tuple(ask.completion.ids) for ask in six.asks[:5]] == drawn[:5]
