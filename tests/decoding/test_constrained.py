"""Answers held to a pattern, characters of several tokens among them; and stop texts."""

import asyncio
from itertools import product

import pytest
import regex
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from branchwise import TreeDecoder
from branchwise.decoding.constrained import _Constraint, constrained_to
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Hook, Member, Rules, Sampling
from branchwise.decoding.stops import StopTexts
from branchwise.errors import UserError
from tests.architectures import model_of

END = "<|end|>"


def byte_tokenizer(*more: str) -> PreTrainedTokenizerFast:
    """A token a byte, a few words, and an end: emoji take four tokens here."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([*letters, "yes", "no", *more])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END)


TOKENIZER = byte_tokenizer()
STOP = frozenset({TOKENIZER.eos_token_id})


def members(made: list[list[int]]) -> list[Member]:
    """Branches that have said so much."""
    return [Member(None, 1.0, ids) for ids in made]


def follow(hook: Hook, seed: int, most: int = 40) -> list[int]:
    """Tokens drawn evenly among those that a hook leaves."""
    generator = torch.Generator().manual_seed(seed)
    ids: list[int] = []
    while len(ids) < most and (not ids or ids[-1] not in STOP):
        (logits,) = hook.change(members([ids]), torch.zeros(1, len(TOKENIZER)))
        ids = [*ids, int(torch.multinomial(logits.softmax(-1), 1, generator=generator))]
    return ids


@settings(max_examples=25)
@given(
    pattern=st.sampled_from(
        ["yes|no", "[a-c]{2,5}", "(?:😀|龘)+!", '\\{"a": "[^"]{0,4}"\\}', "(?:ab)*c?"]
    ),
    seed=st.integers(0, 10**6),
)
def test_every_answer_is_a_match_or_the_beginning_of_one(pattern: str, seed: int) -> None:
    ids = follow(constrained_to(pattern, TOKENIZER, STOP), seed)
    ended = ids[-1] in STOP
    said = TOKENIZER.decode([i for i in ids if i not in STOP])
    if ended:
        assert regex.fullmatch(pattern, said), said
    else:
        whole = said.rstrip("\ufffd")
        assert regex.fullmatch(pattern, whole, partial=True), said


@pytest.mark.parametrize("seed", range(3))
def test_characters_of_several_tokens_can_be_written(seed: int) -> None:
    """The pattern allows nothing else: tokens without text of their own once stood for ever."""
    ids = follow(constrained_to("😀", TOKENIZER, STOP), seed)
    assert len(ids) == 5
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "😀"


def test_what_is_masked_is_what_no_match_continues_with() -> None:
    """Against a trial of every token, at every beginning of a few matches."""
    pattern = "(?:yes|no+)[.!]"
    hook = constrained_to(pattern, TOKENIZER, STOP)
    for words, end in product((["y", "e", "s"], ["yes"], ["n", "o", "o"], []), ([], ["."])):
        ids = TOKENIZER.convert_tokens_to_ids([*words, *end])
        said = TOKENIZER.decode(ids)
        if not regex.fullmatch(pattern, said, partial=True):
            continue
        (logits,) = hook.change(members([ids]), torch.zeros(1, len(TOKENIZER)))
        for token, left in enumerate(logits.isfinite().tolist()):
            if token in STOP:
                assert left == bool(regex.fullmatch(pattern, said))
            elif token < 256:
                more = TOKENIZER.decode([*ids, token])
                fits = "\ufffd" not in more and bool(regex.fullmatch(pattern, more, partial=True))
                assert left == fits, (said, more)


def test_branches_are_held_each_by_its_own_answer() -> None:
    decoder = TreeDecoder(model_of("qwen3", vocabulary=len(TOKENIZER)), TOKENIZER, kernel="dense")
    decoder.stop_ids = decoder._scheduler.stop_ids = STOP
    hook = constrained_to("[ab]{3}(?:龘|z)", TOKENIZER, STOP)

    async def script():
        branches = [decoder.open([9, 10 + i], "g") for i in range(4)]
        rules = [Rules(20, Sampling(1.0, seed=i), hooks=(hook,)) for i in range(4)]
        done = await asyncio.gather(*map(decoder.generate, branches, rules))
        decoder.close("g")
        return [TOKENIZER.decode(one.ids, skip_special_tokens=True) for one in done]

    said = run(script(), decoder.step)
    assert all(regex.fullmatch("[ab]{3}(?:龘|z)", one) for one in said)
    assert len(set(said)) > 1


def test_what_cannot_be_followed_is_said_before() -> None:
    with pytest.raises(UserError, match="without look-around"):
        constrained_to("(?=a)b", TOKENIZER, STOP)
    with pytest.raises(UserError, match="not a fast tokenizer"):
        constrained_to("a", object(), STOP)


def test_without_a_stop_token_the_end_of_a_match_is_told() -> None:
    hook = constrained_to("a", TOKENIZER, frozenset())
    (a,) = TOKENIZER.convert_tokens_to_ids(["a"])
    with pytest.raises(UserError, match="no token continues 'a' within the pattern"):
        hook.change(members([[a]]), torch.zeros(1, len(TOKENIZER)))


def test_a_stop_text_may_be_a_special_token() -> None:
    stops = StopTexts(byte_tokenizer())
    ids = TOKENIZER.convert_tokens_to_ids([*"yes", END])
    assert stops.cut(ids, (END,)) == ("yes", END, 3, "")
    assert stops.cut(ids[:-1], (END,)) is None
    assert stops.cut(ids, ("es" + END,)) == ("y", "es" + END, 1, "")
    assert stops.cut(ids, ("e", END)) == ("y", "e", 1, "")


def test_a_stop_text_that_is_special_ends_an_answer() -> None:
    model = model_of("qwen3", vocabulary=len(TOKENIZER))
    decoder = TreeDecoder(model, TOKENIZER, kernel="dense")
    decoder.stop_ids = decoder._scheduler.stop_ids = frozenset()

    def ends(ready, logits_RV):
        changed = torch.full_like(logits_RV, -torch.inf)
        changed[:, TOKENIZER.eos_token_id if len(ready[0].ids) == 2 else 65] = 0
        return changed

    async def script():
        branch = decoder.open([9, 10], "g")
        made = await decoder.generate(branch, Rules(9, stop_texts=(END,), hooks=(Hook(ends),)))
        decoder.close("g")
        return made

    made = run(script(), decoder.step)
    assert (made.stop, len(made.ids), made.text) == ("stop", 3, TOKENIZER.decode([65, 65]))


def test_no_answer_is_gone_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step moves each state by its one new token: that of a branch which waited for a step, too."""
    consumed: list[int] = []
    behind = _Constraint._behind

    def spy(self, matcher, said):
        consumed.append(len(said))
        return behind(self, matcher, said)

    monkeypatch.setattr(_Constraint, "_behind", spy)
    hook = constrained_to("[ab]*", TOKENIZER, STOP)
    a, b = TOKENIZER.convert_tokens_to_ids(["a", "b"])
    logits = torch.zeros(1, len(TOKENIZER))
    first, second = [a], [b]
    hook.change(members([[], []]), logits.repeat(2, 1))
    for step in range(6):
        hook.change(members([first, second]), logits.repeat(2, 1))
        first, second = [*first, a], [*second, a]
        if step % 2:
            # A pass that had no room for the second one's token.
            hook.change(members([first]), logits)
            first = [*first, b]
    assert set(consumed) == {0, 1}
    assert len(consumed) == 1 + 6 * 2 + 3


def test_answers_that_part_do_not_share_a_state() -> None:
    """The same beginning three times: each goes its own way, the order notwithstanding."""
    a, b = TOKENIZER.convert_tokens_to_ids(["a", "b"])
    hook = constrained_to("aab|ab[ab]|b", TOKENIZER, STOP)
    zeros = torch.zeros(3, len(TOKENIZER))

    def left(made: list[list[int]]) -> list[set[int]]:
        logits = hook.change(members(made), zeros[: len(made)])
        return [{token for token in (a, b, *STOP) if row[token] == 0} for row in logits]

    assert left([[], [], []]) == [{a, b}] * 3
    assert left([[a], [a], [b]]) == [{a, b}, {a, b}, STOP]
    assert left([[a, a], [a], [a, b]]) == [{b}, {a, b}, {a, b}]
    assert left([[a, a, b], [a, b], [a, b, a]]) == [STOP, {a, b}, STOP]


def test_a_pattern_that_nothing_matches_is_told_before() -> None:
    with pytest.raises(UserError, match="is satisfied by no answer"):
        constrained_to(r"a[^\s\S]", TOKENIZER, STOP)
