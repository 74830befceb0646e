"""Everything that is said of a group is computed from its trace: critical path and every row's share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchwise.trace import AskRecord, Tokens, ideal_latency_s, question_tokens, total_tokens


def ask(duration: float, *after: int, questions: tuple[str, ...] = (), sent: int = 1) -> AskRecord:
    tokens = Tokens(sent=sent, unique=sent, cached=0, generated=1, padding=0)
    return AskRecord(
        role="answer",
        questions=questions,
        after=after,
        prompt="",
        raw="",
        stop="stop",
        tokens=tokens,
        num_steps=1,
        start_s=10.0,
        end_s=10.0 + duration,
    )


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        ([], 0),
        ([ask(1), ask(3), ask(2)], 3),  # side by side: the longest, not the sum
        ([ask(1), ask(3, 0), ask(2, 1)], 6),  # one after the other: the sum
        ([ask(1), ask(5), ask(2, 0), ask(1, 2, 1)], 6),  # the longer of two ways
    ],
)
def test_ideal_latency(asks: list[AskRecord], expected: float) -> None:
    """Of asks that wait for none of each other the longest counts, not their sum."""
    # Error 21: an ideal latency that sums instead of taking the maximum.
    assert ideal_latency_s(asks) == pytest.approx(expected)


def test_what_an_intermediate_ask_costs_is_paid_by_the_answers_that_waited_for_it() -> None:
    """Its tokens vanished from the rows: 339 of 452."""
    plan = ask(1, sent=90)
    answers = [ask(1, 0, questions=("a",), sent=10), ask(1, questions=("b",), sent=10)]
    shares = question_tokens([plan, *answers], {"a": (1,), "b": (2,)})
    assert shares["a"].sent == 100
    assert shares["b"].sent == 10


@given(st.data())
def test_shares_sum_up_to_the_whole(data: st.DataObject) -> None:
    questions = tuple("abcd"[: data.draw(st.integers(1, 4))])
    asks = []
    for number in range(data.draw(st.integers(1, 7))):
        asked = tuple(q for q in questions if data.draw(st.booleans()))
        after = tuple(n for n in range(number) if data.draw(st.booleans()))
        asks.append(ask(1, *after, questions=asked, sent=data.draw(st.integers(0, 99))))
    made = {q: tuple(n for n, one in enumerate(asks) if q in one.questions) for q in questions}
    shares = question_tokens(asks, made)
    whole = total_tokens(asks)
    for name in Tokens.model_fields:
        assert sum(getattr(s, name) for s in shares.values()) == pytest.approx(getattr(whole, name))
