"""Several branches that go on with one token: the same as fusing separate forward passes."""

import asyncio
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from branchwise import TreeDecoder
from branchwise.decoding.fusion import FUSIONS, fused
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Completion, Hook, Member, Rules
from branchwise.errors import DoesNotFit, UserError
from tests.architectures import BUILDERS, model_of

TRUNK = [9, 10, 11]
WORDINGS = [[12, 13], [14, 15, 16, 17, 18], [19, 20, 21]]
WEIGHTS = [0.5, 2.0, 0.25]


def expected(rule: str, rows: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The fused logits of separate passes, written out."""
    probabilities = [row.softmax(-1) for row in rows]
    if rule == "avg":
        return sum(rows) / len(rows)
    if rule == "max":
        return torch.stack(probabilities).max(0).values.log()
    if rule == "prob_avg":
        return (sum(probabilities) / len(rows)).log()
    if rule == "weighted_avg":
        return sum(w * row for w, row in zip(weights, rows, strict=True)) / sum(weights)
    return rows[list(weights).index(max(weights))]


def separately(
    model: torch.nn.Module, rule: str, prompts: Sequence[list[int]], weights: Sequence[float], steps: int
) -> tuple[list[int], list[Tensor]]:
    """Tokens and fused logits, every prompt computed anew for every token."""
    made: list[int] = []
    seen: list[Tensor] = []
    for _ in range(steps):
        with torch.no_grad():
            rows = [model(torch.tensor([prompt + made])).logits[0, -1].float() for prompt in prompts]
        seen.append(expected(rule, rows, weights))
        made.append(int(seen[-1].argmax()))
    return made, seen


class Recorder:
    """A second hook, behind the fusion: it changes nothing and keeps the first member's logits."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, members: Sequence[Member], logits_RV: Tensor) -> Tensor:
        assert bool((logits_RV == logits_RV[:1]).all())
        self.seen.append(logits_RV[0].clone())
        return logits_RV


def fuse(
    decoder: TreeDecoder,
    rule: str,
    prompts: Sequence[list[int]],
    weights: Sequence[float],
    steps: int = 5,
    *more: Hook,
) -> list[Completion]:
    hooks = (fused(rule, len(prompts)), *more)

    async def script() -> list[Completion]:
        group = object()
        branches = [decoder.open(prompt, group) for prompt in prompts]
        rules = [Rules(steps, hooks=hooks, weight=weight) for weight in weights]
        made = (decoder.generate(b, r) for b, r in zip(branches, rules, strict=True))
        done = await asyncio.gather(*made)
        decoder.close(group)
        return done

    return run(script(), decoder.step)


def made_by(decoder: TreeDecoder, completion: Completion) -> list[int]:
    return [token for token in completion.ids if token not in decoder.stop_ids]


@pytest.mark.parametrize("rule", FUSIONS)
@pytest.mark.parametrize("name", BUILDERS)
def test_fusing_in_one_tree_is_fusing_separate_passes(name: str, rule: str) -> None:
    model = model_of(name)
    prompts = [TRUNK + wording for wording in WORDINGS]
    recorder = Recorder()
    decoder = TreeDecoder(model, kernel="dense")
    done = fuse(decoder, rule, prompts, WEIGHTS, 5, Hook(recorder))
    ids, logits = separately(model, rule, prompts, WEIGHTS, len(recorder.seen))
    assert [made_by(decoder, one) for one in done] == [ids[: len(made_by(decoder, done[0]))]] * 3
    for got, want in zip(recorder.seen, logits, strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=0)


@pytest.mark.parametrize("rule", FUSIONS)
def test_one_wording_is_plain_decoding(rule: str) -> None:
    decoder = TreeDecoder(model_of("qwen3"), kernel="dense")
    prompt = TRUNK + WORDINGS[0]
    (one,) = fuse(decoder, rule, [prompt], [0.0], 9)
    assert made_by(decoder, one) == decoder.complete([prompt], 9)[0]


@pytest.mark.parametrize("rule", ["avg", "max", "prob_avg"])
@pytest.mark.parametrize("name", ["qwen3", "llama", "gemma3", "gpt_neox"])
def test_the_order_of_the_wordings_does_not_matter(name: str, rule: str) -> None:
    decoder = TreeDecoder(model_of(name), kernel="dense")
    answers, logits = [], []
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        recorder = Recorder()
        prompts = [TRUNK + WORDINGS[i] for i in order]
        answers.append(fuse(decoder, rule, prompts, WEIGHTS, 5, Hook(recorder))[0].ids)
        logits.append(torch.stack(recorder.seen))
    assert answers[0] == answers[1] == answers[2]
    for other in logits[1:]:
        torch.testing.assert_close(other, logits[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("rule", FUSIONS)
def test_who_ends_takes_its_weight_along(rule: str) -> None:
    """The heaviest leaves after two tokens: the others go on as if they had been alone from there."""
    model = model_of("qwen3")
    decoder = TreeDecoder(model, kernel="dense")
    decoder.stop_ids = decoder._scheduler.stop_ids = frozenset()
    prompts = [TRUNK + wording for wording in WORDINGS]
    hook = fused(rule, 3)

    async def script() -> list[Completion]:
        branches = [decoder.open(prompt, "g") for prompt in prompts]
        budgets = zip(branches, (6, 2, 6), WEIGHTS, strict=True)
        rules = [(b, Rules(budget, hooks=(hook,), weight=weight)) for b, budget, weight in budgets]
        done = await asyncio.gather(*(decoder.generate(b, r) for b, r in rules))
        decoder.close("g")
        return done

    first, short, last = (one.ids for one in run(script(), decoder.step))
    begun, _ = separately(model, rule, prompts, WEIGHTS, 2)
    left = [prompts[0] + begun, prompts[2] + begun]
    rest, _ = separately(model, rule, left, [WEIGHTS[0], WEIGHTS[2]], 4)
    assert short == begun
    assert first == last == begun + rest


def test_a_word_that_one_forbids_is_forbidden() -> None:
    """Also by a wording without weight: nothing times infinity would be no number."""
    decoder = TreeDecoder(model_of("qwen3"), kernel="dense")
    hook = fused("weighted_avg", 2)
    members = [Member(None, 0.0, []), Member(None, 1.0, [])]
    changed = hook.change(members, torch.tensor([[-torch.inf, 0.0], [3.0, 1.0]]))
    assert changed.tolist() == [[-torch.inf, 1.0]] * 2
    assert decoder.slots_in_use == 0


def test_weights_that_are_all_zero_count_as_equal() -> None:
    members = [Member(None, 0.0, []), Member(None, 0.0, [])]
    changed = fused("weighted_avg", 2).change(members, torch.tensor([[1.0, 3.0], [3.0, 5.0]]))
    assert changed.tolist() == [[2.0, 4.0]] * 2


def test_a_set_is_let_in_whole() -> None:
    """Two sets of three in a budget for one: neither keeps memory that the other waits for."""
    model = model_of("llama")
    decoder = TreeDecoder(model, kernel="dense", max_cache_tokens=30)
    prompts = {"a": [[9 + i] * 4 for i in range(3)], "b": [[20 + i] * 4 for i in range(3)]}

    async def script() -> dict[str, list[Completion]]:
        hooks = {group: fused("avg", 3) for group in prompts}
        # One of each in turn: let in as they come, four of six would fill the budget.
        order = [(group, number) for number in range(3) for group in prompts]
        branches = [decoder.open(prompts[group][number], group) for group, number in order]
        made = (
            decoder.generate(branch, Rules(5, hooks=(hooks[group],)))
            for branch, (group, _) in zip(branches, order, strict=True)
        )
        done = await asyncio.gather(*made)
        for group in prompts:
            decoder.close(group)
        return {group: list(done[number::2]) for number, group in enumerate(prompts)}

    done = run(script(), decoder.step)
    assert decoder.peak_tokens <= 30
    for group, some in prompts.items():
        ids, _ = separately(model, "avg", some, [1.0] * 3, 5)
        assert [one.ids for one in done[group]] == [ids[: len(one.ids)] for one in done[group]]


def test_a_set_that_never_fits_is_refused_whole() -> None:
    decoder = TreeDecoder(model_of("llama"), kernel="dense", max_cache_tokens=20)

    async def script() -> list[Completion | BaseException]:
        hook = fused("avg", 3)
        branches = [decoder.open([9 + i] * 4, "g") for i in range(3)]
        made = (decoder.generate(branch, Rules(5, hooks=(hook,))) for branch in branches)
        done = await asyncio.gather(*made, return_exceptions=True)
        decoder.close("g")
        return done

    done = run(script(), decoder.step)
    assert all(isinstance(one, DoesNotFit) for one in done)
    assert "and 2 that move with it need 27 tokens of cache" in str(done[0])
    assert decoder.num_forward_passes == 0


def test_unknown_rules_and_two_fusions_are_refused() -> None:
    with pytest.raises(UserError, match="the fusion is 'mean'.*avg, max"):
        fused("mean", 2)
    with pytest.raises(UserError, match="two hooks of a branch move in lockstep"):
        Rules(3, hooks=(fused("avg", 2), fused("max", 2)))
    with pytest.raises(UserError, match="the weight of a branch is nan"):
        Rules(3, weight=float("nan"))
