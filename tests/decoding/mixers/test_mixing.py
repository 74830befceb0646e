"""Mixing: nothing at first, the same in training and decoding, and whatever else is in flight."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.decoding.completing import CompletingEngine
from branchwise.decoding.mixers.mixing import Mixing
from branchwise.errors import DoesNotFit, UserError
from branchwise.training.sequences import Document
from tests.architectures import VOCABULARY, greedy, model_of
from tests.together import answered, ask_mixed, entry, packed_logits, stirred

KINDS = {
    "attention": {},
    "published": {"place": "last", "layers": (), "gate": "scale"},
    "published_gate": {"place": "last", "layers": (), "gate": "gate"},
    "before": {"place": "before"},
    "two_layers": {"layers": (0, 2), "normed": True},
    "bare": {"gate": "none"},
    "similarity": {"kind": "similarity", "gate": "scale"},
    "self": {"peers": "self"},
    "shuffled": {"peers": "shuffled"},
    "nobody": {"peers": "nobody"},
    "nobody_similarity": {"peers": "nobody", "kind": "similarity"},
}
NUM_TOKENS = 6


def prompts_of(seed: int, number: int = 4) -> list[list[int]]:
    """Prompts that begin alike and are of unequal length."""
    draw = random.Random(seed)
    shared = [draw.randrange(8, VOCABULARY) for _ in range(5)]
    return [
        shared + [draw.randrange(8, VOCABULARY) for _ in range(draw.randint(1, 7))] for _ in range(number)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_mixer_changes_nothing(kind: str) -> None:
    model = model_of("qwen3")
    prompts = prompts_of(1)
    mixing = Mixing(model, entry(**KINDS[kind]))
    engines = [
        # The same sums in the same order, whatever is fastest here.
        CompletingEngine(model, mixing=mixed, kernel="dense", products="plain")
        for mixed in (mixing, Mixing(model, entry(peers="self")))
    ]
    (made, logits), (plain, plain_logits) = (ask_mixed(one, [prompts], NUM_TOKENS) for one in engines)
    assert [one.ids for one in made[0]] == [one.ids for one in plain[0]]
    for mine, other in zip(logits[0], plain_logits[0], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
    for prompt, one in zip(prompts, made[0], strict=True):
        alone = greedy(model, prompt, NUM_TOKENS)
        assert [i for i in one.ids if i != model.config.eos_token_id] == alone


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "mistral_windowed", "gemma2"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_pass_has_the_logits_of_decoding(kind: str, architecture: str) -> None:
    """Must hold: teacher-forced logits over a packed tree are the tree decoder's, step by step."""
    model = model_of(architecture)
    mixing = stirred(Mixing(model, entry(**KINDS[kind])))
    groups = [prompts_of(2), prompts_of(3, number=2)]
    made, logits = ask_mixed(CompletingEngine(model, mixing=mixing), groups, NUM_TOKENS, seed=4)
    documents = [
        Document([answered(p, m) for p, m in zip(prompts, some, strict=True)], str(n), mixes=True)
        for n, (prompts, some) in enumerate(zip(groups, made, strict=True))
    ]
    # Strangers are drawn by the group's seed: here that of its name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("branchwise.training.packing.crc32", lambda name: 4 + int(name))
        spans = packed_logits(model, documents, mixing)
    decoded = [torch.stack(one) for some in logits for one in some]
    for span, one in zip(spans, decoded, strict=True):
        torch.testing.assert_close(span, one, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["attention", "two_layers", "published", "similarity"])
def test_peers_decide_what_a_branch_says(kind: str) -> None:
    model = model_of("qwen3")
    mixing = stirred(Mixing(model, entry(**KINDS[kind])))
    prompts = prompts_of(5)
    engine = CompletingEngine(model, mixing=mixing)
    _, together = ask_mixed(engine, [prompts], 1)
    _, fewer = ask_mixed(engine, [prompts[:2]], 1)
    assert (together[0][0][0] - fewer[0][0][0]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["self", "shuffled", "nobody"])
def test_no_peer_reaches_a_control(kind: str) -> None:
    model = model_of("qwen3")
    mixing = stirred(Mixing(model, entry(**KINDS[kind])))
    prompts = prompts_of(5)
    engine = CompletingEngine(model, mixing=mixing)
    _, all_of_them = ask_mixed(engine, [prompts], 3)
    _, fewer = ask_mixed(engine, [prompts[:2]], 3)
    for mine, other in zip(all_of_them[0][:2], fewer[0], strict=True):
        torch.testing.assert_close(torch.stack(mine), torch.stack(other), atol=1e-4, rtol=0)


def test_controls_have_as_many_parameters() -> None:
    model = model_of("qwen3")
    for kind in ("attention", "similarity"):
        counts = {
            peers: sum(
                p.numel() for p in Mixing(model, entry(kind=kind, peers=peers)).modules.parameters()
            )
            for peers in ("others", "self", "shuffled", "nobody")
        }
        assert len(set(counts.values())) == 1, counts


@settings(max_examples=12)
@given(
    step=st.integers(4, 40),
    budget=st.one_of(st.none(), st.integers(60, 200)),
    company=st.integers(0, 3),
    kind=st.sampled_from(["attention", "published", "two_layers", "shuffled"]),
    turned=st.booleans(),
)
def test_whatever_else_is_in_flight(
    step: int, budget: int | None, company: int, kind: str, turned: bool
) -> None:
    """Must hold: the same for any max_step_tokens, cache budget, and company of other groups."""
    model = model_of("qwen3")
    mixing = stirred(Mixing(model, entry(**KINDS[kind])))
    prompts = prompts_of(6)
    made, alone = ask_mixed(CompletingEngine(model, mixing=mixing), [prompts], NUM_TOKENS)
    options = {"max_step_tokens": step, "max_cache_tokens": budget}
    engine = CompletingEngine(model, mixing=mixing, **options)
    asked = prompts[::-1] if turned else prompts
    others = [prompts_of(20 + number, 3) for number in range(company)]
    crowded, logits = ask_mixed(engine, [asked, *others], NUM_TOKENS)
    back = -1 if turned else 1
    assert [one.ids for one in crowded[0]][::back] == [one.ids for one in made[0]]
    for mine, other in zip(logits[0][::back], alone[0], strict=True):
        torch.testing.assert_close(torch.stack(mine), torch.stack(other), atol=1e-4, rtol=0)
    assert engine.slots_in_use == 0


def test_each_of_a_set_draws_for_itself() -> None:
    """With one seed for all, a new mixer was no batch where tokens are drawn."""
    from branchwise.cells.rules import DecodersRules
    from branchwise.decoding.requests import Rules, Sampling, together

    class Drawing:
        sampling = Sampling(temperature=1.0)
        form = None

    def seeds(hooks: tuple) -> list[int]:
        further = DecodersRules("g", "line")
        rules = [Rules(4, hooks=hooks) for _ in range(2)]
        drawn = [further.of(one, Drawing(), None, "a", [n], (), "") for n, one in enumerate(rules)]
        return [one.sampling.seed for one in drawn]

    assert seeds((together(2, mixes=True),)) == seeds(())
    assert len(set(seeds(()))) == 2


def test_a_set_that_no_pass_holds_is_refused() -> None:
    model = model_of("qwen3")
    engine = CompletingEngine(model, mixing=Mixing(model, entry()), max_step_tokens=3)
    with pytest.raises(DoesNotFit, match="4 branches that enter each pass together need 4 tokens"):
        ask_mixed(engine, [prompts_of(1)], 2)
    made, _ = ask_mixed(engine, [prompts_of(1, 3)], 2)
    assert len(made[0]) == 3


def test_nobody_goes_on_from_what_was_mixed() -> None:
    """A mixed token says other things than it would alone: no plain prompt may find it computed."""
    model = model_of("qwen3")
    mixing = stirred(Mixing(model, entry()))
    engine = CompletingEngine(model, mixing=mixing)
    prompts = prompts_of(7)
    made, _ = ask_mixed(engine, [prompts], NUM_TOKENS)
    longer = [*prompts[0], *made[0][0].ids[:-1], 9]
    assert engine.complete([longer], 4) == [greedy(model, longer, 4)]


def test_without_mixers_it_is_refused() -> None:
    with pytest.raises(UserError, match="the model has no mixers"):
        ask_mixed(CompletingEngine(model_of("qwen3")), [prompts_of(1)], 2)


def test_what_does_not_fit_is_told() -> None:
    model = model_of("qwen3")
    with pytest.raises(UserError, match=r"7 heads does not fit states of width 48"):
        Mixing(model, entry(heads=7))
    with pytest.raises(UserError, match=r"layers \[3\], and the model has 3"):
        Mixing(model, entry(layers=(3,)))
    with pytest.raises(ValueError, match="`layers` names where"):
        entry(layers=())
    with pytest.raises(ValueError, match="name each once"):
        entry(layers=(1, 1))
