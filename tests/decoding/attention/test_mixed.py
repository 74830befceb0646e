"""Which of two kernels a step goes by; what it gives is held with all kernels in test_kernels."""

import asyncio

from branchwise.decoding.attention.mixed import FEWEST_PAIRS, Mixed
from branchwise.decoding.engine import TreeEngine
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Request, Rules
from tests.architectures import model_of


def answered(engine: TreeEngine, num_groups: int, length: int) -> list[list[int]]:
    """Two prompts a group, of `length` tokens that each group has alone."""

    async def every() -> list[list[int]]:
        futures = []
        for group in range(num_groups):
            for end in (20, 21):
                futures.append(asyncio.get_running_loop().create_future())
                ids = [10 + group % 80] * length + [end]
                engine.submit(Request(ids, Rules(3), group, futures[-1]))
        return [made.ids for made in await asyncio.gather(*futures)]

    with engine.attached():
        made = run(every(), engine.step)
    for group in range(num_groups):
        engine.close(group)
    return made


def test_many_groups_go_by_the_cascade_and_one_by_the_mask(monkeypatch) -> None:
    model = model_of("llama")
    used = []
    begin = Mixed.begin

    def noted(kernel: Mixed, step) -> None:
        begin(kernel, step)
        used.append((kernel.used.name, len(step.pending.tokens) * step.num_slots))

    monkeypatch.setattr(Mixed, "begin", noted)
    assert answered(TreeEngine(model, kernel="mixed"), 1, 40) == answered(
        TreeEngine(model, kernel="dense"), 1, 40
    )
    assert {name for name, _ in used} == {"dense"}
    used.clear()
    many = answered(TreeEngine(model, kernel="mixed"), 12, 40)
    # The prompts' step has most of its mask unset; the steps of next tokens are too small to matter.
    assert [name for name, pairs in used if pairs >= FEWEST_PAIRS] == ["cascade"]
    assert {name for name, pairs in used if pairs < FEWEST_PAIRS} == {"dense"}
    assert many == answered(TreeEngine(model, kernel="dense"), 12, 40)
