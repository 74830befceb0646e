"""The ledger: what is booked as computed is what went through the model, row by row.

A spy on the model counts the rows; tries written here, over token ids alone, say how they divide.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise import TreeDecoder
from branchwise.cells.runner import GroupRunner, Timed
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.hf import HFEntry
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.loop import run
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.reference import HFDecoder
from branchwise.decoding.requests import Completion, Request, Rules, TokenCount
from branchwise.prompts import PromptStyle
from branchwise.strategies import load
from tests.architectures import model_of
from tests.decoding.test_verbs import scripts

GROUPS = list(make_groups(WorldsSpec(kinds=("two_hop", "choice"), num_groups=2, group_size=4)))


@contextmanager
def rows_of(model) -> Iterator[list[int]]:
    """The rows of every pass that the model makes meanwhile, padding included."""
    rows: list[int] = []

    def spy(module, args, kwargs) -> None:
        rows.append(kwargs["input_ids"].numel())

    handle = model.register_forward_pre_hook(spy, with_kwargs=True)
    try:
        yield rows
    finally:
        handle.remove()


def booked(tokens: Sequence[TokenCount]) -> int:
    """Rows that ledgers say were computed: the last token of an answer never goes into the model."""
    return sum(one.unique + one.generated - 1 + one.padding for one in tokens)


class Trie:
    """Token prefixes that have been computed, and how much of a prompt it has not seen."""

    def __init__(self) -> None:
        self.seen: set[tuple[int, ...]] = set()

    def unique(self, prompt: Sequence[int]) -> int:
        """Tokens that have to be computed for a prompt: its last one always, for its logits."""
        new = [n for n in range(1, len(prompt)) if tuple(prompt[:n]) not in self.seen]
        return len(new) + 1

    def add(self, ids: Sequence[int]) -> None:
        self.seen |= {tuple(ids[:n]) for n in range(1, len(ids) + 1)}


# ----- the tree decoder, by token ids -----


def ask(decoder, prompts: Sequence[Sequence[int]], rules: Rules, group: str = "g") -> list[Completion]:
    """Prompts asked at the same moment."""

    async def script() -> list[Completion]:
        loop = asyncio.get_running_loop()
        requests = [Request(list(ids), rules, group, loop.create_future()) for ids in prompts]
        for request in requests:
            decoder.submit(request)
        return await asyncio.gather(*(request.future for request in requests))

    return run(script(), decoder.step)


@pytest.mark.parametrize("chunk", [3, 4096])
@pytest.mark.parametrize("how", ["cut by length", "ended by its stop token"])
def test_the_turns_of_a_conversation(how: str, chunk: int) -> None:
    """A cut answer's last token was never computed, so the next turn pays for it."""
    decoder = TreeDecoder(model_of("llama"), max_step_tokens=chunk)
    cut = how == "cut by length"
    (said,) = [one.ids for one in ask(decoder, [[9, 10, 11, 12]], Rules(4), "before")]
    rules = Rules(4) if cut else Rules(9, stop_ids=frozenset({said[3]}))
    history, trie, made = [9, 10, 11, 12], Trie(), []
    with rows_of(decoder.model) as rows:
        for question in ([20, 21], [22], [23, 24, 25]):
            (answer,) = ask(decoder, [history], rules)
            made.append(answer.tokens)
            expected = trie.unique(history)
            assert answer.tokens == (len(history), expected, len(history) - expected, len(answer.ids), 0)
            assert answer.stop == ("length" if cut or said[3] not in answer.ids else "stop")
            # What the answer ends with, stop token or not, has not been through the model.
            trie.add(history + answer.ids[:-1])
            history = history + answer.ids + question
    assert sum(rows) == booked(made)
    # By hand, for the second turn: the token that was cut off or ended it, and the question.
    assert made[1].unique == 1 + 2


def test_prompts_of_one_moment_and_the_same_prompt_once_more() -> None:
    decoder = TreeDecoder(model_of("llama"))
    prompts = [[9, 10, 11, 20], [9, 10, 12], [9, 10, 11, 20], [9, 10, 11, 20, 21], [30]]
    with rows_of(decoder.model) as rows:
        first = ask(decoder, prompts, Rules(3))
        again = ask(decoder, prompts[:1], Rules(3))
    trie = Trie()
    for prompt, answer in zip(prompts, first, strict=True):
        assert answer.tokens.unique == trie.unique(prompt)
        trie.add(prompt)
    # By hand: whole; its last two; its last one, for its logits; what follows the first prompt; whole.
    assert [one.tokens.unique for one in first] == [4, 1, 1, 1, 1]
    # Only the branch that ended last lingers: this prompt shares 9, 10, 11 with it, or nothing.
    assert again[0].tokens.sent == 4
    assert sum(rows) == booked([one.tokens for one in (*first, *again)])


def test_a_branch_that_was_let_go_of_is_computed_again() -> None:
    decoder = TreeDecoder(model_of("llama"))

    async def script() -> list[TokenCount]:
        made = []
        for _ in range(2):
            branch = decoder.open([9, 10, 11], "g")
            made.append((await decoder.generate(branch, 3)).tokens)
            decoder.release(branch)
        return made

    assert run(script(), decoder.step) == [(3, 3, 0, 3, 0)] * 2


def test_branches_that_go_on_from_a_last_token() -> None:
    """A cut answer's last token is computed by whoever goes on from it first: a fork, a join, itself."""
    decoder = TreeDecoder(model_of("qwen2"))

    async def script() -> list[TokenCount]:
        trunk = decoder.open([9] * 30)
        made = [await decoder.generate(trunk, 3)]
        children = decoder.fork(trunk, [[20], [21, 22]])
        made += await asyncio.gather(*(decoder.generate(child, 2) for child in children))
        made.append(await decoder.generate(children[0], 2))
        made.append(await decoder.generate(decoder.join(children, [23]), 2))
        # Computed long ago, by its children: its last token's logits are needed again.
        made.append(await decoder.generate(trunk, 1))
        return [one.tokens for one in made]

    with rows_of(decoder.model) as rows:
        made = run(script(), decoder.step)
    assert made == [
        (30, 30, 0, 3, 0),
        (34, 2, 32, 2, 0),  # the third token said, and 20
        (35, 2, 33, 2, 0),  # 21, 22
        (36, 1, 35, 2, 0),  # its own last token
        (43, 3, 40, 2, 0),  # the last tokens of both children, and 23
        (33, 1, 32, 1, 0),
    ]
    assert sum(rows) == booked(made)


def test_a_stop_text_leaves_no_tokens_to_be_paid_for(random_model_folder: Path) -> None:
    loaded = ModelSource(ModelEntry(path=str(random_model_folder), device="cpu")).loaded
    decoder = TreeDecoder(loaded.model, loaded.chat.tokenizer)
    prompt = loaded.chat.encode("Who is Mara?")
    (free,) = ask(decoder, [prompt], Rules(4), "before")
    word = decoder.tokenizer.decode(free.ids[:2])[-1]

    async def script() -> tuple[Completion, int, Completion]:
        branch = decoder.open(prompt, "g")
        cut = await decoder.generate(branch, Rules(9, stop_texts=(word,)))
        kept = branch.num_tokens
        return cut, kept, await decoder.generate(decoder.fork(branch, [[50, 51]])[0], 1)

    with rows_of(decoder.model) as rows:
        cut, kept, further = run(script(), decoder.step)
    assert cut.text is not None
    # The first of two tokens was computed; of the second what stood before the stop text is written anew.
    computed = len(prompt) + len(cut.ids) - 1
    assert further.tokens == (kept + 2, kept - computed + 2, computed, 1, 0)
    assert sum(rows) == booked([cut.tokens, further.tokens])


def test_who_pays_when_the_first_to_come_is_cancelled() -> None:
    """Half a prompt was computed for a branch that nobody waits for any more; another needs the rest."""
    decoder = TreeDecoder(model_of("llama"), max_step_tokens=6)

    async def script() -> Completion:
        first = asyncio.ensure_future(decoder.generate(decoder.open([*range(9, 29)], "g"), 2))
        other = asyncio.ensure_future(decoder.generate(decoder.open([*range(9, 28), 50], "g"), 2))
        while not decoder.num_forward_passes:
            await asyncio.sleep(0.001)
        first.cancel()
        return await other

    with rows_of(decoder.model) as rows:
        completion = run(script(), decoder.step)
    assert completion.tokens.unique == 20 - 6
    assert sum(rows) == 6 + booked([completion.tokens])


@pytest.mark.parametrize("name", ["llama", "mistral_windowed"])
@settings(max_examples=25)
@given(
    some=st.lists(scripts(), min_size=1, max_size=2),
    chunk=st.sampled_from([2, 4096]),
    budget=st.sampled_from([None, 70]),
)
def test_of_any_tree_every_row_is_booked_once(name: str, some, chunk: int, budget) -> None:
    """Under a budget too small for all: what had to be given up and is computed again is booked again."""
    # Error 27: the last prompt token fed twice.
    decoder = TreeDecoder(model_of(name), max_step_tokens=chunk, max_cache_tokens=budget)
    made: list[TokenCount] = []

    async def follow(steps: list[tuple]) -> None:
        group, branches = object(), []
        for step in steps:
            if step[0] == "open":
                branches.append(decoder.open(step[1], group))
            elif step[0] == "fork":
                branches += decoder.fork(branches[step[1]], step[2])
            elif step[0] == "join":
                branches.append(decoder.join([branches[i] for i in step[1]], step[2]))
            else:
                asks = zip(step[1], step[2], strict=False)
                done = await asyncio.gather(*(decoder.generate(branches[i], n) for i, n in asks))
                made.extend(completion.tokens for completion in done)
        decoder.close(group)

    async def all_groups() -> None:
        await asyncio.gather(*(follow(steps) for steps in some))

    with rows_of(decoder.model) as rows:
        run(all_groups(), decoder.step)
    assert all(one.sent == one.unique + one.cached for one in made)
    assert sum(rows) == decoder.num_rows == booked(made)


# ----- groups, by strategies -----


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


def asked(
    source: ModelSource, decoder: str, strategy: str, group: Group, budget: int
) -> tuple[Timed, list[int]]:
    """A group as it was asked, and the rows of every pass."""
    entry = TreeEntry(kind="tree") if decoder == "tree" else HFEntry(kind="hf")
    made = entry.make(source)
    runner = GroupRunner(load(strategy), made, source.loaded.chat, PromptStyle(), budget, 1)
    with rows_of(source.loaded.model) as rows:
        return runner.once(group), rows


def prompts_of(source: ModelSource, timed: Timed) -> list[list[int]]:
    """Token ids of what was asked, from the trace's messages and not from the decoder."""
    return [source.loaded.chat.prompt_ids(ask.messages) for ask in timed.asks]


@pytest.mark.parametrize("budget", [1, 6])
def test_the_ledger_of_a_batch_group_is_that_of_a_trie(source: ModelSource, budget: int) -> None:
    # Error 20: prompt tokens counted differently per strategy.
    for group in GROUPS:
        timed, rows = asked(source, "tree", "batch", group, budget)
        trie = Trie()
        for prompt, ask in zip(prompts_of(source, timed), timed.asks, strict=True):
            unique = trie.unique(prompt)
            generated = len(ask.completion.ids)
            assert ask.completion.tokens == (len(prompt), unique, len(prompt) - unique, generated, 0)
            trie.add(prompt)
        assert sum(rows) == booked([ask.completion.tokens for ask in timed.asks])


@pytest.mark.parametrize("budget", [1, 6])
def test_the_ledger_of_a_sequential_group_is_that_of_a_trie(source: ModelSource, budget: int) -> None:
    # Error 20: prompt tokens counted differently per strategy.
    for group in GROUPS:
        timed, rows = asked(source, "tree", "sequential", group, budget)
        trie = Trie()
        for prompt, ask in zip(prompts_of(source, timed), timed.asks, strict=True):
            unique = trie.unique(prompt)
            assert (ask.completion.tokens.sent, ask.completion.tokens.unique) == (len(prompt), unique)
            trie = Trie()  # of the last turn alone: it is what lingers
            trie.add(prompt + ask.completion.ids[:-1])
        assert sum(rows) == booked([ask.completion.tokens for ask in timed.asks])


# ----- the reference, by hand -----


def test_padding_and_passes_of_hf_by_hand() -> None:
    """Three prompts of 5, 2 and 3 tokens in one batch; the second ends at once, the third after two."""
    decoder = HFDecoder(model_of("llama"))
    prompts = [[9, 10, 11, 12, 13], [9, 30], [40, 41, 42]]
    alone = [one.ids for one in ask(decoder, prompts, Rules(4))]
    decoder.stop_ids = frozenset({alone[1][0], alone[2][1]}) - set(alone[0])
    assert alone[2][0] not in decoder.stop_ids, "the model of this test has changed: choose other prompts"
    before = decoder.num_forward_passes
    with rows_of(decoder.model) as rows:
        made = ask(decoder, prompts, Rules(4))
    # Longest prompt 5, most new tokens 4: a row of each prompt is 5 wide in the first pass, then 1.
    assert rows == [3 * 5, 3, 3, 3]
    assert decoder.num_forward_passes - before == 4
    assert [one.tokens for one in made] == [
        TokenCount(sent=5, unique=5, cached=0, generated=4, padding=0),
        TokenCount(sent=2, unique=2, cached=0, generated=1, padding=3 + 3),
        TokenCount(sent=3, unique=3, cached=0, generated=2, padding=2 + 2),
    ]
    assert [one.num_steps for one in made] == [4, 1, 2]
    assert [one.stop for one in made] == ["length", "stop", "stop"]
    assert sum(rows) == booked([one.tokens for one in made])


def test_hf_pads_the_prompts_of_a_group_to_the_longest(source: ModelSource) -> None:
    """Whatever waits together is one padded batch."""
    # Error 20: prompt tokens counted differently per strategy.
    timed, rows = asked(source, "hf", "batch", GROUPS[0], 5)
    prompts = prompts_of(source, timed)
    longest, steps = max(map(len, prompts)), max(len(ask.completion.ids) for ask in timed.asks)
    assert rows == [longest * len(prompts)] + [len(prompts)] * (steps - 1)
    assert timed.forward_passes == steps
    for prompt, ask in zip(prompts, timed.asks, strict=True):
        generated = len(ask.completion.ids)
        padding = (longest - len(prompt)) + (steps - generated)
        assert ask.completion.tokens == (len(prompt), len(prompt), 0, generated, padding)
