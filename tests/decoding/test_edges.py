"""Branches that end early, wait, fail, are cancelled or let go of: nobody else notices."""

import asyncio
import copy

import pytest
import torch

from branchwise import TreeDecoder
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Hook, Request, Rules
from branchwise.errors import NotANumberError, UserError
from tests.architectures import VOCABULARY, greedy, model_of


def play(decoder: TreeDecoder, script):
    result = run(script(), decoder.step)
    for group in list(decoder._scheduler.groups):
        decoder.close(group)
    assert decoder.slots_in_use == 0
    assert not decoder.tree.nodes
    return result


def said(decoder: TreeDecoder, completion) -> list[int]:
    return [i for i in completion.ids if i not in decoder.stop_ids]


# ----- sharing -----


def test_a_prompt_never_shares_a_join() -> None:
    model = model_of("qwen3")
    decoder = TreeDecoder(model)

    async def script():
        a, b = decoder.open([9, 10, 11]), decoder.open([40, 41, 42])
        await decoder.generate(decoder.join([a, b], [50, 51, 52]), 1)
        return await decoder.generate(decoder.open([9, 10, 11, 50, 51, 52, 60]), 5)

    assert said(decoder, play(decoder, script)) == greedy(model, [9, 10, 11, 50, 51, 52, 60], 5)


def test_a_prompt_never_shares_what_stands_at_other_positions() -> None:
    model = model_of("qwen2")
    decoder = TreeDecoder(model, positions="shared")

    async def script():
        root = decoder.open([9, 10, 11])
        decoder.fork(root, [[20, 21], [22, 23, 24, 25, 26, 27]])
        return await decoder.generate(decoder.open([9, 10, 11, 20, 21, 30]), 5)

    assert said(decoder, play(decoder, script)) == greedy(model, [9, 10, 11, 20, 21, 30], 5)


# ----- lockstep -----


def together(ids, logits_RV):
    return logits_RV.mean(0, keepdim=True).expand_as(logits_RV)


def test_members_of_a_lockstep_set_may_end_before_others() -> None:
    model = model_of("qwen3")
    decoder = TreeDecoder(model)

    async def script():
        hook = Hook(together, lockstep=2)
        root = decoder.open([9, 10, 11])
        one, other = decoder.fork(root, [[12], [13]])
        return await asyncio.gather(
            decoder.generate(one, Rules(2, hooks=(hook,))),
            decoder.generate(other, Rules(6, hooks=(hook,))),
        )

    short, long = play(decoder, script)
    assert short.ids == long.ids[:2]
    assert len(long.ids) >= len(short.ids)


def test_a_lockstep_set_waits_for_a_late_member() -> None:
    decoder = TreeDecoder(model_of("qwen3"))

    async def script():
        hook = Hook(together, lockstep=2)
        one, other = decoder.fork(decoder.open([9, 10, 11]), [[12], [13]])

        async def late():
            await asyncio.sleep(0.02)
            return await decoder.generate(other, Rules(3, hooks=(hook,)))

        return await asyncio.gather(decoder.generate(one, Rules(3, hooks=(hook,))), late())

    first, second = play(decoder, script)
    assert first.ids == second.ids


def test_a_lockstep_set_that_does_not_fit_is_refused_not_hung() -> None:
    decoder = TreeDecoder(model_of("llama"), max_cache_tokens=14)

    async def script():
        hook = Hook(together, lockstep=2)
        one, other = decoder.open([9] * 5, "a"), decoder.open([10] * 5, "a")
        tasks = (decoder.generate(b, Rules(4, hooks=(hook,))) for b in (one, other))
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = play(decoder, script)
    assert any(isinstance(result, UserError) for result in results)


def test_bans_of_one_member_are_its_own() -> None:
    decoder = TreeDecoder(model_of("qwen3"))

    async def script(banned: frozenset[int]):
        hook = Hook(together, lockstep=2)
        one, other = decoder.fork(decoder.open([9, 10, 11], "g"), [[12], [13]])
        done = await asyncio.gather(
            decoder.generate(one, Rules(1, hooks=(hook,), banned_ids=banned)),
            decoder.generate(other, Rules(1, hooks=(hook,))),
        )
        decoder.close("g")
        return [completion.ids[0] for completion in done]

    free = play(decoder, lambda: script(frozenset()))
    banned = play(decoder, lambda: script(frozenset({free[0]})))
    assert banned[0] != free[0]
    assert banned[1] == free[1]


# ----- memory -----


def test_a_tip_that_a_child_had_computed_gives_its_logits_all_the_same() -> None:
    model = model_of("llama")
    decoder = TreeDecoder(model)

    async def script():
        root = decoder.open([9] * 10)
        (child,) = decoder.fork(root, [[5]])
        first = await decoder.generate(child, 3)
        return first, await decoder.generate(root, 3)

    child, root = play(decoder, script)
    assert said(decoder, child) == greedy(model, [9] * 10 + [5], 3)
    assert said(decoder, root) == greedy(model, [9] * 10, 3)


@pytest.mark.parametrize("kernel", ["dense", "cascade", "fused"])
def test_groups_that_hold_memory_wait_for_each_other(kernel: str) -> None:
    """Each peaks at 22 tokens; together they exceed the budget in the middle of their work."""
    model = model_of("qwen3")

    async def one(decoder: TreeDecoder, first: int):
        group = f"g{first}"
        root = decoder.open([first] * 10, group)
        await decoder.generate(root, 4)
        children = decoder.fork(root, [[60], [61]])
        done = await asyncio.gather(*(decoder.generate(child, 4) for child in children))
        decoder.close(group)
        return [completion.ids for completion in done]

    def all_of(decoder: TreeDecoder):
        async def script():
            return await asyncio.gather(*(one(decoder, first) for first in (9, 10, 11)))

        return play(decoder, script)

    tight = TreeDecoder(model, kernel=kernel, max_cache_tokens=34)
    assert all_of(tight) == all_of(TreeDecoder(model, kernel=kernel))
    assert tight.peak_tokens <= 34
    # Keys and values of 3 layers, 2 heads of 12 numbers of 4 bytes.
    assert tight.cache_bytes == 34 * 2 * 3 * 2 * 12 * 4


def test_a_finished_answer_does_not_hold_memory_for_ever() -> None:
    model = model_of("llama")
    decoder = TreeDecoder(model, max_cache_tokens=40)

    async def script():
        loop = asyncio.get_running_loop()
        futures = []
        for prompt, budget in (([9] * 10, 30), ([10] * 10, 20), ([11] * 25, 10)):
            stop = frozenset({greedy(model, prompt, 1)[0]})
            request = Request(prompt, Rules(budget, stop_ids=stop), "g", loop.create_future())
            decoder.submit(request)
            futures.append(request.future)
        return await asyncio.gather(*futures)

    assert [len(completion.ids) for completion in play(decoder, script)] == [1, 1, 1]


# ----- what goes wrong -----


def test_two_groups_broken_in_different_places_spare_a_third() -> None:
    model = model_of("llama")
    embedding = model.get_input_embeddings().weight
    saved = embedding[98:100].clone()
    expected = greedy(model, [9, 10], 4)
    with torch.no_grad():
        embedding[99], embedding[98] = float("nan"), float("inf")
    try:
        for kernel in ("dense", "cascade", "fused"):
            decoder = TreeDecoder(model, kernel=kernel, max_step_tokens=3)
            groups = [[[9, 99, 20, 21, 22, 23]], [[9, 98, 20, 21]], [[9, 10]]]
            nan, inf, sound = decoder.complete_groups(groups, 4)
            assert isinstance(nan, NotANumberError)
            assert isinstance(inf, NotANumberError)
            assert "embed_tokens" in str(nan)
            assert sound == [expected]
            assert decoder.slots_in_use == 0
    finally:
        with torch.no_grad():
            embedding[98:100] = saved


def test_nothing_is_built_on_what_was_not_a_number() -> None:
    model = model_of("llama")
    decoder = TreeDecoder(model)
    embedding = model.get_input_embeddings().weight
    saved = embedding[99].clone()
    with torch.no_grad():
        embedding[99] = float("nan")

    async def script():
        with pytest.raises(NotANumberError, match=r"branch 1 of group g"):
            await decoder.generate(decoder.open([9, 99], "g"), 3)
        with pytest.raises(NotANumberError):
            await decoder.generate(decoder.open([9, 99, 10], "g"), 3)

    try:
        play(decoder, script)
    finally:
        with torch.no_grad():
            embedding[99] = saved


@pytest.mark.parametrize("word", [0, 70, VOCABULARY - 1])
def test_a_single_logit_that_is_no_number_is_seen(word: int) -> None:
    model = copy.deepcopy(model_of("olmo2"))
    head = model.get_output_embeddings().weight
    assert head is not model.get_input_embeddings().weight
    with torch.no_grad():
        head[word] = torch.nan
    with pytest.raises(NotANumberError, match="lm_head"):
        TreeDecoder(model).complete([[9, 10, 11], [9, 10, 12]], 3)


def test_a_failing_hook_or_listener_fails_its_own_branch() -> None:
    model = model_of("qwen2")
    decoder = TreeDecoder(model)

    def broken(ids, logits_RV):
        raise ValueError("hook")

    def deaf(token: int) -> None:
        raise ValueError("listener")

    def nan(ids, logits_RV):
        return logits_RV * float("nan")

    async def script():
        tasks = (
            decoder.generate(decoder.open([9, 10], "a"), Rules(3, hooks=(Hook(broken),))),
            decoder.generate(decoder.open([9, 10], "b"), 3, on_token=deaf),
            decoder.generate(decoder.open([9, 10], "c"), Rules(3, hooks=(Hook(nan),))),
            decoder.generate(decoder.open([9, 10], "d"), 3),
        )
        return await asyncio.gather(*tasks, return_exceptions=True)

    one, two, three, sound = play(decoder, script)
    assert [str(one), str(two)] == ["hook", "listener"]
    assert isinstance(three, NotANumberError)
    assert said(decoder, sound) == greedy(model, [9, 10], 3)


def test_closing_a_group_cancels_who_waits_for_it() -> None:
    model = model_of("qwen2")
    decoder = TreeDecoder(model)

    async def script():
        lost = asyncio.create_task(decoder.generate(decoder.open([9, 10], "lost"), 50))
        kept = asyncio.create_task(decoder.generate(decoder.open([9, 11], "kept"), 5))
        await asyncio.sleep(0)
        decoder.close("lost")
        return await asyncio.gather(lost, kept, return_exceptions=True)

    lost, kept = play(decoder, script)
    assert isinstance(lost, asyncio.CancelledError)
    assert said(decoder, kept) == greedy(model, [9, 11], 5)


def test_a_cancelled_branch_costs_no_further_steps() -> None:
    decoder = TreeDecoder(model_of("qwen2"))

    async def script():
        task = asyncio.create_task(decoder.generate(decoder.open([9, 10], "g"), 200))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await decoder.generate(decoder.open([20, 21], "h"), 4)

    play(decoder, script)
    assert decoder.num_forward_passes <= 5


def test_a_generating_branch_is_not_let_go_of() -> None:
    decoder = TreeDecoder(model_of("qwen2"))

    async def script():
        branch = decoder.open([9, 10])
        task = asyncio.create_task(decoder.generate(branch, 4))
        await asyncio.sleep(0)
        with pytest.raises(UserError, match="still generating"):
            decoder.release(branch)
        with pytest.raises(UserError, match="still generating"):
            decoder.fork(branch, [[9]])
        return await task

    play(decoder, script)


def test_a_refused_request_leaves_the_decoder_as_it_was() -> None:
    decoder = TreeDecoder(model_of("qwen2"))

    async def script():
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(UserError, match="stop texts need a tokenizer"):
            decoder.submit(Request([9], Rules(3, stop_texts=("x",)), "g", future))
        with pytest.raises(UserError, match=r"banned ids \[5000\]"):
            decoder.submit(Request([9], Rules(3, banned_ids=frozenset({5000})), "g", future))

    play(decoder, script)
    assert decoder.complete([[9, 10]], 3) == [greedy(model_of("qwen2"), [9, 10], 3)]


def test_a_group_may_be_any_equal_name() -> None:
    decoder = TreeDecoder(model_of("qwen2"))

    async def script():
        one, other = decoder.open([9, 10], "g" + str(1)), decoder.open([11], "g" + str(1))
        done = await decoder.generate(decoder.join([one, other], [12]), 2)
        decoder.close("g" + str(1))
        return done

    play(decoder, script)
