"""Whatever is cancelled, closed, refused or fails: answers are right, nothing leaks, nobody hangs."""

import asyncio
import os
import random
from functools import cache

import pytest

from branchwise import TreeDecoder
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Hook, Request, Rules
from branchwise.errors import UserError
from tests.architectures import greedy, model_of

MOST = 6
PROMPTS = [[9, 10, 11, 12], [9, 10, 11, 13, 14], [9, 10, 30], [40] * 9, [41, 42], [9, 10, 11, 12, 15, 16]]


class FailedHereError(Exception):
    """What a hook or a listener raises here."""


@cache
def expected(number: int) -> list[int]:
    return greedy(model_of("qwen3"), PROMPTS[number], MOST)


@cache
def decoder_of(kernel: str, budget: int | None) -> TreeDecoder:
    """Used for many trials: what one leaves behind would spoil the next."""
    return TreeDecoder(model_of("qwen3"), kernel=kernel, max_cache_tokens=budget)


def same(ids, logits_RV):
    return logits_RV


class Trial:
    """A few groups of branches, and what is done to them, all drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        budget = self.draw.choice([None, None, 60, 26, 15])
        self.decoder = decoder_of(self.draw.choice(["dense", "cascade", "fused"]), budget)
        self.num_right = 0
        self.tasks: list[asyncio.Task] = []

    async def answer(self, group: str, number: int, tokens: int, hook: Hook | None, how: str) -> None:
        """One branch: asked or generated, listening or not, compared with plain decoding."""

        def deaf(token: int) -> None:
            raise FailedHereError("listener")

        def closing(token: int) -> None:
            self.decoder.close(group)

        hear = {"deaf": deaf, "closing": closing}.get(how)
        rules = Rules(tokens, hooks=() if hook is None else (hook,))
        if how == "ask":
            future = asyncio.get_running_loop().create_future()
            self.decoder.submit(Request(PROMPTS[number], rules, group, future))
            completion = await future
        else:
            branch = self.decoder.open(PROMPTS[number], group)
            made = self.decoder.generate(branch, rules, hear)
            completion = await (asyncio.wait_for(made, 0.004) if how == "timed" else made)
        ids = [i for i in completion.ids if i not in self.decoder.stop_ids]
        assert ids == expected(number)[:tokens][: len(ids)]
        assert completion.stop == "stop" or len(ids) == tokens
        self.num_right += 1

    def start(self, group: str) -> None:
        """The branches of one group; some of them in a set that moves together."""
        how = self.draw.choices(
            ["plain", "ask", "deaf", "closing", "timed"], [8, 4, 1, 1, 2], k=self.draw.randint(1, 4)
        )
        together = self.draw.random() < 0.3
        failing = Hook(lambda ids, logits: self.fail())
        hook = Hook(same, lockstep=len(how)) if together else None
        for one in how:
            tokens = self.draw.choice([1, 3, 3, MOST])
            own = failing if not together and self.draw.random() < 0.1 else hook
            number = self.draw.randrange(len(PROMPTS))
            self.tasks.append(asyncio.create_task(self.answer(group, number, tokens, own, one)))

    def fail(self) -> None:
        raise FailedHereError("hook")

    async def play(self) -> None:
        groups = [f"g{number}" for number in range(self.draw.randint(1, 3))]
        for group in groups:
            self.start(group)
        await asyncio.sleep(0)
        for _ in range(self.draw.randint(0, 4)):
            # A timer makes the loop take steps in between.
            await asyncio.sleep(self.draw.choice([0, 0, 0.002, 0.006]))
            if self.draw.random() < 0.7:
                self.draw.choice(self.tasks).cancel()
            else:
                self.decoder.close(self.draw.choice(groups))
        done = await asyncio.gather(*self.tasks, return_exceptions=True)
        for result in done:
            allowed = (FailedHereError, UserError, TimeoutError, asyncio.CancelledError)
            assert result is None or isinstance(result, allowed), repr(result)
        for group in groups:
            self.decoder.close(group)
        assert self.decoder.slots_in_use == 0
        assert not self.decoder.tree.nodes
        assert not self.decoder._scheduler.groups
        assert not self.decoder._scheduler.runs
        assert not any(among.members for among in self.decoder._scheduler.sets._sets.values())


def check(seeds: range) -> int:
    """Play a trial for every seed; how many answers were given, all of them right."""
    given = 0
    for seed in seeds:
        trial = Trial(seed)
        try:
            run(trial.play(), trial.decoder.step)
        except BaseException as error:
            raise AssertionError(f"trial {seed}: {error!r}") from error
        given += trial.num_right
    return given


def test_random_cancels_closes_failures_and_budgets() -> None:
    assert check(range(200)) > 200


@pytest.mark.slow
def test_many_random_cancels_closes_failures_and_budgets() -> None:
    """As many trials as BRANCHWISE_TRIALS says."""
    trials = int(os.environ.get("BRANCHWISE_TRIALS", "300"))
    assert check(range(1000, 1000 + trials)) > trials


def test_a_cancelled_branch_takes_nobody_elses_place() -> None:
    """Two groups with equal budgets: lists once dropped the first equal run, not the cancelled one."""
    decoder = decoder_of("dense", None)

    async def script():
        a, b = decoder.open(PROMPTS[0], "a"), decoder.open(PROMPTS[2], "b")
        tasks = [asyncio.create_task(decoder.generate(branch, 3)) for branch in (a, b)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        first = await tasks[0]
        decoder.close("b")
        decoder.close("a")
        return first

    assert run(script(), decoder.step).ids == expected(0)[:3]


def test_a_branch_can_be_used_again_after_wait_for() -> None:
    """`asyncio.wait_for(generate)` ends it at once: what it has made so far stays, and it goes on."""
    model = model_of("llama")
    decoder = TreeDecoder(model)

    async def script():
        branch = decoder.open([9, 10], "g")
        made: list[int] = []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(decoder.generate(branch, 400, made.append), 0.05)
        assert made
        rest = await decoder.generate(branch, 3)
        decoder.release(branch)
        decoder.close("g")
        return made, [i for i in rest.ids if i not in decoder.stop_ids]

    made, rest = run(script(), decoder.step)
    assert rest == greedy(model, [9, 10, *made], 3)


def test_an_ask_that_is_cancelled_in_the_queue_is_never_computed() -> None:
    decoder = TreeDecoder(model_of("qwen3"), kernel="dense")

    async def script():
        future = asyncio.get_running_loop().create_future()
        decoder.submit(Request(PROMPTS[0], Rules(3), "g", future))
        future.cancel()
        await asyncio.sleep(0.001)

    run(script(), decoder.step)
    assert decoder.num_forward_passes == 0


def test_a_lockstep_set_that_does_not_fit_is_refused_whole() -> None:
    """Not fused without one of it: that would be another answer."""
    decoder = TreeDecoder(model_of("qwen3"), kernel="dense", max_cache_tokens=20)

    async def script():
        hook = Hook(same, lockstep=3)
        branches = [decoder.open([9 + i] * 4, "g") for i in range(3)]
        done = await asyncio.gather(
            *(decoder.generate(branch, Rules(4, hooks=(hook,))) for branch in branches),
            return_exceptions=True,
        )
        decoder.close("g")
        return done

    assert all(isinstance(one, UserError) for one in run(script(), decoder.step))


def test_what_a_waiting_sibling_holds_is_given_up_before_a_refusal() -> None:
    """14 computed tokens of one branch and 16 to come of another one, in a budget of 24."""
    model = model_of("llama")
    decoder = TreeDecoder(model, kernel="dense", max_cache_tokens=24)

    async def script():
        one, other = decoder.open([9] * 12, "g"), decoder.open([20] * 12, "g")
        await decoder.generate(one, 2)
        done = await asyncio.gather(decoder.generate(other, 4), decoder.generate(one, 2))
        decoder.close("g")
        return [[i for i in c.ids if i not in decoder.stop_ids] for c in done]

    other, one = run(script(), decoder.step)
    assert other == greedy(model, [20] * 12, 4)
    first = greedy(model, [9] * 12, 2)
    assert one == greedy(model, [9] * 12 + first, 2)
