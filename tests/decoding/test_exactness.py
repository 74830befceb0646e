"""The heart: isolated branches give the same tokens as separate prompts, in fp32."""

import asyncio

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise import TreeDecoder
from branchwise.decoding import pages
from branchwise.decoding.attention import plan
from branchwise.decoding.attention.kernels import KERNELS
from branchwise.decoding.held import slots
from branchwise.decoding.loop import run
from tests.architectures import BUILDERS, VOCABULARY, greedy, model_of

token = st.integers(8, VOCABULARY - 1)


@st.composite
def related_prompts(draw: st.DrawFn) -> list[list[int]]:
    """Prompts that share prefixes at several depths, some of them equal, in any order."""
    prompts = [draw(st.lists(token, min_size=1, max_size=14))]
    for _ in range(draw(st.integers(0, 6))):
        base = draw(st.sampled_from(prompts))
        kept = base[: draw(st.integers(0, len(base)))]
        prompts.append(kept + draw(st.lists(token, min_size=0 if kept else 1, max_size=8)))
    return prompts


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel != "flex"])
@pytest.mark.parametrize("name", BUILDERS)
@settings(max_examples=12)
@given(
    prompts=related_prompts(),
    chunk=st.sampled_from([1, 3, 4096]),
    replicated=st.sampled_from([0, plan.REPLICATED]),
    long=st.sampled_from([2, plan.LONG_RUN]),
    products=st.sampled_from(["plain", "rows"]),
    large=st.sampled_from([64, pages.LEAST_BYTES]),
)
def test_branches_equal_separate_prompts(name: str, kernel: str, prompts: list[list[int]], **how) -> None:
    # Error 25: isolation leaks.
    check_branches(name, kernel, prompts, **how)


@pytest.mark.parametrize("name", BUILDERS)
@settings(max_examples=3)
@given(prompts=related_prompts())
def test_branches_equal_separate_prompts_under_flex(name: str, prompts: list[list[int]]) -> None:
    """Fewer examples: FlexAttention is not compiled on a CPU and builds its masks slowly."""
    check_branches(name, "flex", prompts, 4096, plan.REPLICATED, plan.LONG_RUN)


def check_branches(
    name: str,
    kernel: str,
    prompts: list[list[int]],
    chunk: int,
    replicated: int,
    long: int,
    products: str = "plain",
    large: int = pages.LEAST_BYTES,
) -> None:
    model = model_of(name)
    decoder = TreeDecoder(model, kernel=kernel, max_step_tokens=chunk, products=products)
    expected = [greedy(model, prompt, 6) for prompt in prompts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "REPLICATED", replicated)
        patch.setattr(plan, "LONG_RUN", long)
        patch.setattr(plan, "LONG_CHUNK", long)
        patch.setattr(pages, "LEAST_BYTES", large)
        patch.setattr(pages, "KEPT_BYTES", 2 * large)
        assert decoder.complete(prompts, max_new_tokens=6) == expected
    assert decoder.tree.slots.num_used == 0
    assert not decoder.tree.nodes


@pytest.mark.parametrize("name", BUILDERS)
def test_logits_of_one_branch_equal_plain_decoding(name: str) -> None:
    # Error 27: the last prompt token fed twice.
    model = model_of(name)
    ids = torch.randint(8, VOCABULARY, (40,), generator=torch.Generator().manual_seed(3)).tolist()
    with torch.no_grad():
        expected = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
    seen = []
    handle = model.register_forward_hook(lambda *call: seen.append(call[2].logits))
    try:
        TreeDecoder(model, max_step_tokens=7).complete([ids], max_new_tokens=1)
    finally:
        handle.remove()
    torch.testing.assert_close(seen[-1][0, -1], expected, atol=1e-4, rtol=0)


@settings(max_examples=10)
@given(prompts=related_prompts(), data=st.data())
def test_permuting_prompts_permutes_outputs(prompts: list[list[int]], data: st.DataObject) -> None:
    model = model_of("qwen3")
    order = data.draw(st.permutations(range(len(prompts))))
    straight = TreeDecoder(model).complete(prompts, max_new_tokens=5)
    permuted = TreeDecoder(model).complete([prompts[i] for i in order], max_new_tokens=5)
    assert permuted == [straight[i] for i in order]


def test_a_decoder_can_be_used_again_and_reuses_its_slots() -> None:
    model = model_of("llama")
    decoder = TreeDecoder(model)
    prompts = [[9, 10, 11, 12], [9, 10, 30], [50, 51]]
    first = decoder.complete(prompts, max_new_tokens=8)
    memory = decoder.cache_bytes
    assert all(decoder.complete(prompts, max_new_tokens=8) == first for _ in range(3))
    assert decoder.cache_bytes == memory


@pytest.mark.parametrize("kernel", ["dense", "cascade", "fused"])
def test_groups_in_flight_share_steps_and_nothing_else(kernel: str) -> None:
    """Same answers as one group at a time, no slot left over, and no more memory the second time."""
    model = model_of("llama")
    generator = torch.Generator().manual_seed(4)

    def draw(count: int) -> list[int]:
        return torch.randint(8, VOCABULARY, (count,), generator=generator).tolist()

    groups = []
    for _ in range(12):
        prefix = draw(9)
        groups.append([prefix + draw(1 + index) for index in range(3)])
    one = TreeDecoder(model, kernel=kernel)
    expected = [one.complete(prompts, 5) for prompts in groups]
    decoder = TreeDecoder(model, kernel=kernel)
    assert decoder.complete_groups(groups, 5) == expected
    memory, passes = decoder.cache_bytes, decoder.num_forward_passes
    assert passes < one.num_forward_passes / 4
    assert decoder.complete_groups(groups, 5) == expected
    assert decoder.slots_in_use == 0
    assert decoder.cache_bytes == memory


@pytest.mark.parametrize("kernel", ["dense", "cascade", "fused"])
def test_moving_tokens_together_changes_nothing(kernel: str) -> None:
    """Long branches that end early leave holes below one that goes on."""
    model = model_of("qwen3")
    prompts = [[9 + i] * 12 for i in range(4)] + [[60, 61, 62]]
    lengths = [2, 2, 2, 2, 12]
    decoder = TreeDecoder(model, kernel=kernel)
    expected = [greedy(model, p, n) for p, n in zip(prompts, lengths, strict=True)]

    async def one(prompt: list[int], length: int) -> list[int]:
        group = object()
        branch = decoder.open(prompt, group)
        completion = await decoder.generate(branch, length)
        decoder.close(group)
        return [i for i in completion.ids if i not in decoder.stop_ids]

    async def every() -> list[list[int]]:
        return list(await asyncio.gather(*map(one, prompts, lengths)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "FEWEST_HOLES", 4)
        moved = []
        compact = decoder.tree.compact
        patch.setattr(decoder.tree, "compact", lambda: moved.append(1) or compact())
        assert run(every(), decoder.step) == expected
    assert moved
    assert decoder.slots_in_use == 0


def test_the_model_is_left_as_it_was() -> None:
    # Error 2: adapters leak from one strategy into the next.
    model = model_of("qwen2")
    before = model.config._attn_implementation
    TreeDecoder(model).complete([[9, 10]], max_new_tokens=2)
    assert model.config._attn_implementation == before
