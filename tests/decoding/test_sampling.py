"""How tokens are drawn: as transformers filters them, by seeds of their own, and alike on tree and hf."""

import asyncio

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from branchwise import TreeDecoder
from branchwise.decoding.loop import run
from branchwise.decoding.reference import HFDecoder
from branchwise.decoding.requests import Completion, Hook, Request, Rules, Sampling
from branchwise.decoding.sampling import choose, for_ask, generator_of, likeliest, probabilities
from branchwise.errors import UserError
from tests.architectures import VOCABULARY, model_of

samplings = st.builds(
    Sampling,
    temperature=st.floats(0.05, 5),
    top_k=st.integers(0, 40),
    top_p=st.floats(0.01, 1),
    min_p=st.one_of(st.just(0.0), st.floats(0.001, 1)),
    seed=st.integers(0, 2**63 - 1),
)


def warped(logits_V: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """What `generate` would draw from."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    return warpers(torch.zeros(1, 1, dtype=torch.long), logits_V[None])[0].softmax(-1)


@settings(max_examples=200)
@given(sampling=samplings, size=st.integers(1, 60), seed=st.integers(0, 10**6), spread=st.floats(0.1, 9))
def test_tokens_are_drawn_from_what_transformers_would_draw_from(
    sampling: Sampling, size: int, seed: int, spread: float
) -> None:
    logits_V = torch.randn(size, generator=torch.Generator().manual_seed(seed)) * spread
    ours, theirs = probabilities(logits_V, sampling), warped(logits_V, sampling)
    assert torch.equal(ours > 0, theirs > 0)
    torch.testing.assert_close(ours, theirs)
    rules = Rules(1, sampling)
    (token,) = choose(logits_V[None], [rules], [generator_of(rules)])
    assert theirs[token] > 0


def test_what_ties_with_the_last_of_top_k_stays_as_in_transformers() -> None:
    logits_V = torch.tensor([1.0, 2.0, 1.0, 0.0])
    sampling = Sampling(1.0, top_k=2)
    assert torch.equal(probabilities(logits_V, sampling) > 0, torch.tensor([True, True, True, False]))
    assert torch.equal(warped(logits_V, sampling) > 0, probabilities(logits_V, sampling) > 0)


def test_two_tokens_that_change_ranks_by_a_rounding_keep_their_luck() -> None:
    """Drawn by rank, each would have the other's chance: tree and hf round differently."""
    rules = [Rules(1, Sampling(1.0, seed=seed)) for seed in range(200)]
    drawn = [
        choose(torch.tensor([1.0, 1.0 + tiny, 0.5]).repeat(200, 1), rules, [*map(generator_of, rules)])
        for tiny in (1e-6, -1e-6)
    ]
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {0, 1, 2}


@pytest.mark.parametrize(("number", "token"), [(0.0, 1), (0.1999, 1), (0.2001, 3), (1 - 2**-53, 3)])
def test_a_uniform_number_falls_on_the_token_that_has_its_place(number, token, monkeypatch) -> None:
    """Also at either end none that cannot come."""
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor(number, dtype=torch.float64))
    logits_RV = torch.tensor([[0.0, 0.2, 0.0, 0.8, 0.0]]).log()
    assert choose(logits_RV, [Rules(1, Sampling(1.0))], [torch.Generator()]) == [token]


def test_tokens_come_as_often_as_they_are_likely() -> None:
    logits_RV = torch.tensor([0.1, 0.2, 0.7]).log().repeat(3000, 1)
    rules = [Rules(1, Sampling(1.0, seed=seed)) for seed in range(3000)]
    drawn = choose(logits_RV, rules, [generator_of(rule) for rule in rules])
    # Within four standard errors of each share.
    assert [drawn.count(token) / 3000 for token in range(3)] == pytest.approx([0.1, 0.2, 0.7], abs=0.034)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"temperature": -1.0}, r"temperature of the sampling is -1.0; temperature is 0 .* or 0.001 to"),
        ({"temperature": float("nan")}, "temperature of the sampling is nan"),
        ({"temperature": 1e-6}, "temperature is 0"),
        ({"top_k": -1}, "top_k of the sampling is -1; top_k is a whole number"),
        ({"top_k": 2.5}, "top_k of the sampling is 2.5"),
        ({"top_p": 0.0}, "top_p of the sampling is 0.0; top_p is above 0 and at most 1"),
        ({"min_p": 1.5}, r"min_p of the sampling is 1.5; min_p is 0 \(all tokens\) to 1"),
        ({"seed": -1}, "seed of the sampling is -1"),
        ({"seed": 2**63}, "seed of the sampling is"),
    ],
)
def test_what_is_no_sampling_is_refused(given: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Sampling(**{"temperature": 1.0, **given})


@given(
    num_rows=st.integers(0, 4),
    num_words=st.sampled_from([1, 30, 33, 64, 96, 1280]),
    num_values=st.sampled_from([1, 3, 10**6]),
    seed=st.integers(0, 99),
)
def test_the_likeliest_token_is_the_first_of_the_largest(num_rows, num_words, num_values, seed) -> None:
    """Few different values: many tokens tie, in one block and in several; some are banned."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(num_values, (num_rows, num_words), generator=generator).float()
    logits[torch.rand(logits.shape, generator=generator) < 0.2] = -torch.inf
    assert torch.equal(likeliest(logits), logits.argmax(-1))
    logits[:, num_words // 2] = torch.nan
    assert torch.equal(likeliest(logits), logits.argmax(-1))


def test_the_seed_of_an_ask_is_a_stable_hash_of_what_it_is() -> None:
    """The number is the same on every machine and in every process."""
    base = Sampling(0.7, top_p=0.9, seed=3)
    made = for_ask(base, "g", [1, 23], 0)
    assert made == Sampling(0.7, top_p=0.9, seed=1082827691597366565)
    others = [
        for_ask(Sampling(0.7, top_p=0.9, seed=4), "g", [1, 23], 0),
        for_ask(base, "h", [1, 23], 0),
        for_ask(base, "g", [12, 3], 0),
        for_ask(base, "g", [1, 23], 1),
    ]
    assert len({one.seed for one in [made, *others]}) == 5


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.0)])
def test_bans_that_leave_nothing_of_what_may_come_are_told(sampling: Sampling) -> None:
    """Greedy decoding once took the first token of the vocabulary, and drawing failed without a word."""
    logits_RV = torch.tensor([[0.0, -torch.inf, -torch.inf]])
    rules = Rules(1, sampling, banned_ids=frozenset({0}))
    with pytest.raises(UserError, match="no token is left to choose"):
        choose(logits_RV, [rules], [generator_of(rules)])


class Letters:
    """A tokenizer of two letters a token: a stop text can begin inside one."""

    eos_token_id = 7
    pad_token_id = 0
    all_special_tokens: tuple[str, ...] = ()

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return "".join(chr(97 + i % 20) + chr(97 + i // 20) for i in ids)


def ask(decoder, requests: list[tuple[list[int], Rules]]) -> list[Completion]:
    """All at once."""

    async def every() -> list[Completion]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in requests]
        for (prompt, rules), future in zip(requests, futures, strict=True):
            decoder.submit(Request(prompt, rules, "g", future))
        done = await asyncio.gather(*futures)
        decoder.close("g")
        return done

    return run(every(), decoder.step)


prompts = st.lists(st.integers(8, VOCABULARY - 1), min_size=1, max_size=6)
some_rules = st.builds(
    Rules,
    max_new_tokens=st.integers(1, 9),
    sampling=st.one_of(st.just(Sampling()), samplings),
    stop_ids=st.frozensets(st.integers(8, VOCABULARY - 1), max_size=4),
    stop_texts=st.lists(st.text("abcdef", min_size=1, max_size=2), max_size=2).map(tuple),
    banned_ids=st.frozensets(st.integers(0, VOCABULARY - 1), max_size=9),
)


@settings(max_examples=40)
@given(requests=st.lists(st.tuples(prompts, some_rules), min_size=1, max_size=4))
def test_tree_and_hf_follow_all_rules_but_hooks_alike(requests) -> None:
    model = model_of("qwen3")
    tree, hf = TreeDecoder(model, Letters(), kernel="dense"), HFDecoder(model, Letters())
    for one, other in zip(ask(tree, requests), ask(hf, requests), strict=True):
        assert (one.ids, one.stop, one.text) == (other.ids, other.stop, other.text)


def test_hf_stops_inside_a_token_and_refuses_what_it_cannot_follow() -> None:
    model = model_of("qwen2")
    hf = HFDecoder(model, Letters())
    (free,) = ask(hf, [([9, 10, 11], Rules(6))])
    whole = Letters().decode(free.ids)
    stop = whole[3:5]
    (cut,) = ask(hf, [([9, 10, 11], Rules(6, stop_texts=(stop,)))])
    assert (cut.stop, cut.text) == ("stop", whole[: whole.index(stop)])
    assert cut.ids == free.ids[: len(cut.ids)] != free.ids
    with pytest.raises(UserError, match="hf offers no hooks"):
        ask(hf, [([9], Rules(3, hooks=(Hook(lambda made, logits: logits),)))])
    with pytest.raises(UserError, match="stop texts need a tokenizer"):
        ask(HFDecoder(model), [([9], Rules(3, stop_texts=("a",)))])
    with pytest.raises(UserError, match="not in the vocabulary"):
        ask(hf, [([9], Rules(3, banned_ids=frozenset({VOCABULARY})))])
