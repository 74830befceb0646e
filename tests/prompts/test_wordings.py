"""Which wordings are asked, and where their prompts are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchwise.data.types import Question
from branchwise.prompts.wordings import split, worded, wordings_of

QUESTION = Question(id="q", text="Who?", golds=("x",), paraphrases=tuple(f"w{n}" for n in range(12)))


@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 3))
def test_fewer_wordings_are_the_first_of_more(few: int, many: int, seed: int) -> None:
    few, many = sorted((few, many))
    some, more = wordings_of(QUESTION, few, seed), wordings_of(QUESTION, many, seed)
    assert more[: len(some)] == some
    assert some[0] == "Who?"
    assert len(set(more)) == len(more) == min(many, 13)


def test_another_seed_draws_others_and_another_question_too() -> None:
    drawn = {tuple(wordings_of(QUESTION, 5, seed)) for seed in range(6)}
    assert len(drawn) > 3
    other = QUESTION.model_copy(update={"id": "p"})
    assert wordings_of(other, 5, 0) != wordings_of(QUESTION, 5, 0)


def test_empty_and_equal_wordings_are_none() -> None:
    said = QUESTION.model_copy(update={"paraphrases": ("", "  ", "Who?", " Who? ", "w", "w ", "w")})
    assert wordings_of(said, 9, 0) == ["Who?", "w"]
    assert wordings_of(QUESTION.model_copy(update={"paraphrases": ()}), 5, 0) == ["Who?"]
    assert worded(QUESTION, "w1").golds == ("x",)


IDS = st.integers(0, 3)


@given(
    st.lists(IDS, min_size=1, max_size=4),
    st.lists(st.lists(IDS, min_size=1, max_size=5), min_size=2, max_size=5),
    st.lists(IDS, min_size=1, max_size=4),
)
def test_put_together_again_each_prompt_is_what_it_was(
    before: list[int], own: list[list[int]], after: list[int]
) -> None:
    prompts = [before + middle + after for middle in own]
    if len({tuple(prompt) for prompt in prompts}) < len(prompts):
        with pytest.raises(ValueError, match="equal"):
            split(prompts)
        return
    parts = split(prompts)
    assert [parts.trunk + middle + parts.cue for middle in parts.middles] == prompts
    assert parts.trunk
    assert parts.cue
    assert all(parts.middles)
    # As much in common as there is: nothing more could be taken off all of the middles at once.
    if min(map(len, parts.middles)) > 1:
        assert len({middle[0] for middle in parts.middles}) > 1
        assert len({middle[-1] for middle in parts.middles}) > 1


def test_prompts_with_nothing_in_common_are_refused() -> None:
    with pytest.raises(ValueError, match="no token in common"):
        split([[1, 2, 3], [4, 5, 6]])
