"""The four verbs: any tree of branches equals a plain forward pass under the tree's own rule."""

import asyncio
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise import TreeDecoder
from branchwise.decoding.attention import plan
from branchwise.decoding.attention.kernels import KERNELS
from branchwise.decoding.branches import Branch
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Hook, Rules, Sampling
from branchwise.errors import NotANumberError, UserError
from tests.architectures import BUILDERS, VOCABULARY, greedy, model_of

token = st.integers(8, VOCABULARY - 1)
text = st.lists(token, min_size=1, max_size=6)


def as_bias(mask_NN: torch.Tensor) -> torch.Tensor:
    """A bool mask as what transformers adds to scores, fp32 (1, 1, N, N)."""
    bias = torch.zeros(1, 1, *mask_NN.shape)
    return bias.masked_fill_(~mask_NN, torch.finfo(torch.float32).min)


def masks_of(model: torch.nn.Module, mask_NN: torch.Tensor, positions: list[int]):
    """The tree's rule as a plain forward pass takes it: sliding layers see no farther than their
    window, counted in logical positions; models of both kinds of layers take a mask for each.
    """
    window = getattr(model.config, "sliding_window", None)
    kinds = set(getattr(model.config, "layer_types", None) or ())
    if window is None or kinds == {"full_attention"}:
        return as_bias(mask_NN)
    place_N = torch.tensor(positions)
    sliding = as_bias(mask_NN & (place_N[:, None] - place_N < window))
    if "full_attention" in kinds:
        return {"full_attention": as_bias(mask_NN), "sliding_attention": sliding}
    return sliding


@dataclass(eq=False)
class Plain:
    """A branch as the reference sees it: its own tokens and where they start."""

    parents: tuple["Plain", ...]
    tokens: list[int]
    start: int = 0
    above: list["Plain"] = field(init=False)

    def __post_init__(self) -> None:
        ordered: dict[Plain, None] = {}
        for parent in self.parents:
            ordered |= dict.fromkeys([*parent.above, parent])
        self.above = list(ordered)
        if self.parents:
            self.start = max(parent.start + len(parent.tokens) for parent in self.parents)

    def greedy(self, model: torch.nn.Module, count: int) -> tuple[list[int], list[torch.Tensor]]:
        """Continue by plain forward passes over all visible tokens under an explicit mask.

        Returns the new tokens and the logits, fp32 (V,), of every pass.
        """
        new: list[int] = []
        seen: list[torch.Tensor] = []
        for _ in range(count):
            nodes = [*self.above, self]
            runs = [n.tokens + (new if n is self else []) for n in nodes]
            ids = [i for r in runs for i in r]
            where = [i for i, r in enumerate(runs) for _ in r]
            positions = [n.start + i for n, r in zip(nodes, runs, strict=True) for i in range(len(r))]
            mask = torch.tensor(
                [
                    [(nodes[k] in nodes[q].above or k == q) and kk <= qq for kk, k in enumerate(where)]
                    for qq, q in enumerate(where)
                ]
            )
            logits = model(
                torch.tensor([ids]),
                attention_mask=masks_of(model, mask, positions),
                position_ids=torch.tensor([positions]),
                use_cache=False,
            ).logits[0, -1]
            seen.append(logits)
            best = int(logits.argmax())
            if best == model.config.eos_token_id:
                break
            new.append(best)
        return new, seen


class Recorder:
    """A hook that changes nothing and keeps the logits."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, ids, logits_RV: torch.Tensor) -> torch.Tensor:
        self.seen.append(logits_RV[0].clone())
        return logits_RV


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple]:
    """A few waves of forks, joins and generations; branches are named by their number."""
    steps: list[tuple] = []
    number = draw(st.integers(1, 2))
    for first in range(number):
        # Prompts that start alike share their tokens, and a join then sees these once; the reference
        # knows no sharing, so here they start differently. test_exactness.py has the shared ones.
        steps.append(("open", [8 + first, *draw(text)]))
    for _ in range(draw(st.integers(1, 5))):
        verb = draw(st.sampled_from(["fork", "join", "generate"]))
        if verb == "fork":
            texts = draw(st.lists(text, min_size=1, max_size=3))
            steps.append(("fork", draw(st.integers(0, number - 1)), texts))
            number += len(texts)
        elif verb == "join":
            some = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=3, unique=True))
            steps.append(("join", some, draw(text)))
            number += 1
        else:
            some = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=4, unique=True))
            steps.append(("generate", some, draw(st.lists(st.integers(1, 5), min_size=4, max_size=4))))
    return steps


async def follow(decoder: TreeDecoder, model: torch.nn.Module, steps: list[tuple]) -> None:
    """Run a script on the decoder and on the reference, comparing every generation."""
    group = object()
    branches: list[Branch] = []
    plain: list[Plain] = []
    for step in steps:
        if step[0] == "open":
            branches.append(decoder.open(step[1], group))
            plain.append(Plain((), step[1]))
        elif step[0] == "fork":
            branches += decoder.fork(branches[step[1]], step[2])
            plain += [Plain((plain[step[1]],), ids) for ids in step[2]]
        elif step[0] == "join":
            branches.append(decoder.join([branches[i] for i in step[1]], step[2]))
            plain.append(Plain(tuple(plain[i] for i in step[1]), step[2]))
        else:
            open_ones = [i for i in step[1] if branches[i].tip.num_pending]
            recorders = [Recorder() for _ in open_ones]
            rules = [Rules(n, hooks=(Hook(r),)) for n, r in zip(step[2], recorders, strict=False)]
            done = await asyncio.gather(
                *(decoder.generate(branches[i], r) for i, r in zip(open_ones, rules, strict=True))
            )
            for i, rule, recorder, completion in zip(open_ones, rules, recorders, done, strict=True):
                with torch.no_grad():
                    expected, logits = plain[i].greedy(model, rule.max_new_tokens)
                made = [t for t in completion.ids if t not in decoder.stop_ids]
                assert made == expected
                for got, want in zip(recorder.seen, logits, strict=True):
                    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
                plain[i] = Plain((plain[i],), expected)
    decoder.close(group)


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel != "flex"])
@pytest.mark.parametrize("name", BUILDERS)
@settings(max_examples=8)
@given(
    some=st.lists(scripts(), min_size=1, max_size=2),
    chunk=st.sampled_from([2, 4096]),
    replicated=st.sampled_from([0, plan.REPLICATED]),
    long=st.sampled_from([2, plan.LONG_RUN]),
)
def test_any_tree_equals_plain_passes(
    name, kernel: str, some, chunk: int, replicated: int, long: int
) -> None:
    # Error 25: isolation leaks.
    check_trees(name, kernel, some, chunk, replicated, long)


@pytest.mark.parametrize("name", BUILDERS)
@settings(max_examples=3)
@given(some=st.lists(scripts(), min_size=1, max_size=2))
def test_any_tree_equals_plain_passes_under_flex(name, some) -> None:
    """Fewer examples: FlexAttention is not compiled on a CPU and builds its masks slowly."""
    check_trees(name, "flex", some, 4096, plan.REPLICATED, plan.LONG_RUN)


def check_trees(name, kernel: str, some, chunk: int, replicated: int, long: int) -> None:
    model = model_of(name)
    decoder = TreeDecoder(model, kernel=kernel, max_step_tokens=chunk)

    async def all_groups() -> None:
        await asyncio.gather(*(follow(decoder, model, steps) for steps in some))

    # The reference runs between the decoder's steps, so the model must be itself again by then.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "REPLICATED", replicated)
        patch.setattr(plan, "LONG_RUN", long)
        patch.setattr(plan, "LONG_CHUNK", long)
        run(all_groups(), decoder.step)
    assert decoder.slots_in_use == 0
    assert not decoder.tree.nodes


def play(decoder: TreeDecoder, script):
    return run(script(), decoder.step)


async def one(decoder: TreeDecoder, rules: Rules):
    """What one small prompt is answered with."""
    branch = decoder.open([9, 10, 11], "g")
    completion = await decoder.generate(branch, rules)
    decoder.close("g")
    return completion


def test_sampling_depends_on_the_seed_and_on_nothing_else() -> None:
    decoder = TreeDecoder(model_of("qwen3"))
    rules = [Rules(8, Sampling(1.0, top_k=20, top_p=0.9, seed=seed)) for seed in (1, 2, 1)]

    async def script(count: int):
        root = decoder.open([9, 10, 11], "g")
        children = decoder.fork(root, [[12]] * count)
        done = await asyncio.gather(*map(decoder.generate, children, rules))
        decoder.close("g")
        return [completion.ids for completion in done]

    three = play(decoder, lambda: script(3))
    assert three[0] == three[2] != three[1]
    assert play(decoder, lambda: script(1)) == three[:1]


def test_top_k_one_and_a_tiny_top_p_are_greedy() -> None:
    decoder = TreeDecoder(model_of("llama"))

    async def script():
        root = decoder.open([9, 10, 11], "g")
        rules = [
            Rules(6),
            Rules(6, Sampling(2.0, top_k=1, seed=3)),
            Rules(6, Sampling(2.0, top_p=1e-6, seed=3)),
        ]
        children = decoder.fork(root, [[12]] * 3)
        done = await asyncio.gather(*map(decoder.generate, children, rules))
        decoder.close("g")
        return [completion.ids for completion in done]

    greedy, by_k, by_p = play(decoder, script)
    assert greedy == by_k == by_p


def test_sampling_draws_from_the_softmax() -> None:
    """Frequencies over many seeds against the probabilities of the logits themselves."""
    from branchwise.decoding.sampling import choose, generator_of

    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    rules = [Rules(1, Sampling(0.7, seed=seed)) for seed in range(4000)]
    drawn = choose(logits.repeat(4000, 1), rules, [generator_of(rule) for rule in rules])
    shares = torch.bincount(torch.tensor(drawn), minlength=4) / 4000
    torch.testing.assert_close(shares, (logits / 0.7).softmax(-1), atol=0.03, rtol=0)


def test_bans_stop_ids_and_budgets() -> None:
    decoder = TreeDecoder(model_of("qwen2"))

    free = play(decoder, lambda: one(decoder, Rules(6)))
    first = free.ids[0]
    banned = play(decoder, lambda: one(decoder, Rules(6, banned_ids=frozenset({first}))))
    assert first not in banned.ids
    stopped = play(decoder, lambda: one(decoder, Rules(6, stop_ids=frozenset({free.ids[2]}))))
    assert stopped.ids == free.ids[: free.ids.index(free.ids[2]) + 1]
    assert stopped.stop == "stop"


class Letters:
    """A tokenizer of two letters a token: a stop text can begin inside one."""

    eos_token_id = 7

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return "".join(chr(97 + i % 20) + chr(97 + i // 20) for i in ids)

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Each letter as a token that begins with it."""
        return [ord(letter) - 97 for letter in text]


def test_a_stop_text_inside_a_token_cuts_the_text_there() -> None:
    model = model_of("qwen2")
    decoder = TreeDecoder(model, Letters())

    free = play(decoder, lambda: one(decoder, Rules(6)))
    whole = Letters().decode(free.ids)
    # The second half of one token and the first half of the next.
    stop = whole[3:5]
    cut = play(decoder, lambda: one(decoder, Rules(6, stop_texts=(stop,))))
    assert cut.stop == "stop"
    assert cut.text == whole[: whole.index(stop)]
    assert cut.stop_text == stop
    assert len(cut.ids) < len(free.ids)


@pytest.mark.parametrize(("begin", "end"), [(3, 5), (4, 6), (2, 8), (0, 2), (1, 3)])
def test_nothing_of_a_stop_text_stays_in_the_branch(begin: int, end: int) -> None:
    """A join saw it. What the stop text's first token held before it is written anew."""
    model = model_of("qwen2")
    decoder = TreeDecoder(model, Letters())
    prompt, further = [9, 10, 11], [12, 13]
    whole = Letters().decode(play(decoder, lambda: one(decoder, Rules(6))).ids)
    stop = whole[begin:end]

    async def script():
        root = decoder.open(prompt, "g")
        await decoder.generate(root, Rules(6, stop_texts=(stop,)))
        held = root.token_ids
        again = await decoder.generate(decoder.join([root], further), 4)
        alone = await decoder.generate(root, 3)
        decoder.close("g")
        return held, again.ids, alone.ids

    held, again, alone = play(decoder, script)
    text = whole[: whole.index(stop)]
    kept, rest = len(text) // 2, text[len(text) // 2 * 2 :]
    assert Letters().decode(held[3:])[: 2 * kept] == text[: 2 * kept]
    assert held[3 + kept :] == Letters().encode(rest)
    assert again == greedy(model, [*held, *further], 4)
    assert alone == greedy(model, held, 3)
    assert decoder.slots_in_use == 0


def test_a_lockstep_hook_moves_its_branches_together() -> None:
    """Fusion in its simplest form: the mean of the logits, so that all branches say the same."""
    # Error 24: the first fused token read from one paraphrase.
    decoder = TreeDecoder(model_of("qwen3"), max_step_tokens=3)
    sizes = []

    def mean(members, logits_RV):
        sizes.append(len(members))
        assert len({tuple(one.ids) for one in members}) == 1
        return logits_RV.mean(0, keepdim=True).expand_as(logits_RV)

    async def script():
        root = decoder.open([9, 10, 11], "g")
        # Prompts of unequal length: the short one has to wait for the long one.
        children = decoder.fork(root, [[12], [13, 14, 15, 16, 17, 18], [19, 20]])
        hook = Hook(mean, lockstep=3)
        done = await asyncio.gather(*(decoder.generate(c, Rules(5, hooks=(hook,))) for c in children))
        decoder.close("g")
        return [completion.ids for completion in done]

    first, second, third = play(decoder, script)
    assert first == second == third
    assert set(sizes) == {3}


def test_over_the_memory_budget_groups_wait() -> None:
    model = model_of("llama")
    prompts = [[9 + i, 10, 11, 12, 13] for i in range(6)]
    free = TreeDecoder(model).complete(prompts, 5)
    tight = TreeDecoder(model, max_cache_tokens=22)
    assert tight.complete(prompts, 5) == free
    assert tight.peak_tokens <= 22
    assert tight.slots_in_use == 0


def test_a_branch_that_never_fits_is_refused_and_others_go_on() -> None:
    decoder = TreeDecoder(model_of("llama"), max_cache_tokens=12)

    async def one(prompt: list[int], group: str):
        try:
            return (await decoder.generate(decoder.open(prompt, group), 4)).ids
        finally:
            decoder.close(group)

    async def script():
        return await asyncio.gather(one([9, 10], "a"), one([9] * 40, "b"), return_exceptions=True)

    short, long = play(decoder, script)
    assert len(short) == 4
    assert isinstance(long, UserError)
    assert "over the budget of 12" in str(long)
    assert decoder.slots_in_use == 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_logits_that_are_not_numbers_name_the_layer_and_spare_other_groups(kernel: str) -> None:
    model = model_of("llama")
    decoder = TreeDecoder(model, kernel=kernel)
    embedding = model.get_input_embeddings().weight
    saved = embedding[99].clone()
    expected = decoder.complete([[9, 10]], 4)
    with torch.no_grad():
        embedding[99] = float("nan")
    try:

        async def one(prompt: list[int], group: str):
            try:
                return (await decoder.generate(decoder.open(prompt, group), 4)).ids
            finally:
                decoder.close(group)

        async def script():
            tasks = (one([9, 10], "sound"), one([9, 99], "poisoned"))
            return await asyncio.gather(*tasks, return_exceptions=True)

        sound, poisoned = play(decoder, script)
    finally:
        with torch.no_grad():
            embedding[99] = saved
    assert isinstance(poisoned, NotANumberError)
    assert "group poisoned" in str(poisoned)
    assert "embed_tokens" in str(poisoned)
    assert [i for i in sound if i not in decoder.stop_ids] == expected[0]


def test_what_the_verbs_refuse() -> None:
    decoder = TreeDecoder(model_of("qwen2"))
    with pytest.raises(UserError, match="no tokenizer"):
        decoder.open("text")
    root = decoder.open([9, 10], "g")
    with pytest.raises(UserError, match="fork is empty"):
        decoder.fork(root, [[]])
    with pytest.raises(UserError, match="no branches"):
        decoder.join([], [9])
    with pytest.raises(UserError, match="different groups"):
        decoder.join([root, decoder.open([9], "other")], [9])
    with pytest.raises(UserError, match="max_new_tokens is 0"):
        Rules(0)
    with pytest.raises(UserError, match="top_p"):
        Sampling(1.0, top_p=0.0)
    with pytest.raises(UserError, match="stop text"):
        Rules(3, stop_texts=("",))
    decoder.release(root)
    with pytest.raises(UserError, match="was released"):
        decoder.fork(root, [[9]])
