"""Beginnings that prompts of all groups share: computed once, on nobody's ledger, and exact."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.decoding.engine import TreeEngine
from branchwise.decoding.held.shared import MOST_KEPT
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Completion, Request, Rules
from branchwise.errors import UserError
from tests.architectures import VOCABULARY, model_of

BUDGET = 4
token = st.integers(8, VOCABULARY - 1)


def answers(engine: TreeEngine, prompts: list[list[int]], num_shared: int, close: bool = True):
    """Each prompt in a group of its own, all in flight at once."""

    async def every() -> list[Completion]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in prompts]
        for group, (ids, future) in enumerate(zip(prompts, futures, strict=True)):
            engine.submit(Request(ids, Rules(BUDGET), group, future, num_shared=num_shared))
        return list(await asyncio.gather(*futures))

    with engine.attached():
        made = run(every(), engine.step)
    for group in range(len(prompts) if close else 0):
        engine.close(group)
    return made


@pytest.mark.parametrize("kernel", ["dense", "cascade", "fused"])
@given(
    beginning=st.lists(token, min_size=1, max_size=6),
    rests=st.lists(st.lists(token, min_size=1, max_size=4), min_size=1, max_size=4),
)
@settings(max_examples=8)
def test_answers_are_those_without_sharing(
    kernel: str, beginning: list[int], rests: list[list[int]]
) -> None:
    prompts = [beginning + rest for rest in rests]
    model = model_of("llama")
    alone = answers(TreeEngine(model, kernel=kernel), prompts, 0)
    shared = answers(TreeEngine(model, kernel=kernel), prompts, len(beginning))
    assert [one.ids for one in shared] == [one.ids for one in alone]


def test_they_are_computed_once_and_every_prompt_finds_them_computed() -> None:
    """The first prompt, too: what a group costs does not depend on which was asked before it."""
    engine = TreeEngine(model_of("llama"), kernel="dense")
    beginning = [9, 10, 11, 12, 13]
    first = answers(engine, [[*beginning, 20], [*beginning, 21, 22]], len(beginning))
    again = answers(engine, [[*beginning, 20], [*beginning, 21, 22]], len(beginning))
    for made in (first, again):
        assert [(m.tokens.sent, m.tokens.cached, m.tokens.unique) for m in made] == [(6, 5, 1), (7, 5, 2)]
    assert engine.num_shared_tokens == len(beginning)
    assert engine.facts()["shared_prompt_tokens"] == len(beginning)
    made = sum(m.tokens.unique + len(m.ids) - 1 for m in (*first, *again))
    assert engine.num_rows == made + len(beginning)
    assert engine.slots_in_use == len(beginning)
    engine.forget_shared()
    assert engine.slots_in_use == 0


def test_those_used_longest_ago_leave() -> None:
    engine = TreeEngine(model_of("llama"), kernel="dense")
    for first in range(MOST_KEPT + 2):
        answers(engine, [[10 + first, 11, 12]], 2)
    assert engine.slots_in_use == 2 * MOST_KEPT


def test_one_that_leaves_while_a_group_goes_on_from_it_stays_until_that_leaves() -> None:
    engine = TreeEngine(model_of("llama"), kernel="dense")
    plain = answers(TreeEngine(engine.model, kernel="dense"), [[10, 11, 12, 13]], 0)
    answers(engine, [[10, 11, 12]], 2, close=False)
    engine.forget_shared()
    assert engine.slots_in_use > 0
    assert [m.ids for m in answers(engine, [[10, 11, 12, 13]], 2)] == [m.ids for m in plain]
    engine.forget_shared()
    assert engine.slots_in_use == 0


def test_under_a_budget_of_tokens_they_are_given_up_and_computed_again() -> None:
    model = model_of("llama")
    prompts = [[9, 10, 11, 12, 20 + n] for n in range(3)]
    alone = answers(TreeEngine(model, kernel="dense"), prompts, 0)
    tight = TreeEngine(model, kernel="dense", max_cache_tokens=4 + 2 + BUDGET)
    assert [m.ids for m in answers(tight, prompts, 4)] == [m.ids for m in alone]
    other = [[30, 31, 32, 33, 34, 35]]
    expected = answers(TreeEngine(model, kernel="dense"), other, 0)
    assert [m.ids for m in answers(tight, other, 0)] == [m.ids for m in expected]
    assert [m.ids for m in answers(tight, prompts, 4)] == [m.ids for m in alone]


def test_numbers_that_are_none_in_a_shared_beginning_fail_those_who_go_on_from_it() -> None:
    model = model_of("llama")
    weight = model.get_input_embeddings().weight
    before = weight[9].detach().clone()
    engine = TreeEngine(model, kernel="dense")
    try:
        weight.data[9] = float("nan")
        with pytest.raises(UserError, match="not numbers"):
            answers(engine, [[9, 10, 11]], 2, close=False)
    finally:
        weight.data[9] = before
    engine.close(0)
    fine = answers(TreeEngine(model, kernel="dense"), [[9, 10, 11]], 0)
    assert [m.ids for m in answers(engine, [[9, 10, 11]], 2)] == [m.ids for m in fine]


def test_a_group_whose_tree_has_a_lower_number_still_sees_them() -> None:
    """Numbers of trees are used again: what a token sees has to be written before it all the same."""
    model = model_of("llama")
    engine = TreeEngine(model, kernel="dense")
    answers(engine, [[40, 41], [42, 43]], 0)
    root = engine._scheduler.state("first").root
    plain = answers(TreeEngine(model, kernel="dense"), [[9, 10, 11]], 0)
    engine._scheduler.shared.node([9, 10])
    engine.close("first")
    assert root.id < next(iter(engine._scheduler.shared._nodes.values())).id
    assert [m.ids for m in answers(engine, [[9, 10, 11]], 2)] == [m.ids for m in plain]


def test_a_prompt_is_more_than_what_all_share() -> None:
    engine = TreeEngine(model_of("llama"), kernel="dense")
    with pytest.raises(UserError, match="all 2 tokens of a prompt are shared"):
        engine.open([10, 11], "g", 2)
