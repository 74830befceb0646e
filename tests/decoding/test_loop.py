"""The decoder steps exactly when every coroutine waits."""

import asyncio

import pytest

from branchwise.decoding.loop import run


def test_a_step_is_taken_only_when_everything_waits() -> None:
    waiting: list[asyncio.Future] = []
    steps: list[int] = []

    def step() -> bool:
        if not waiting:
            return False
        steps.append(len(waiting))
        for future in waiting:
            future.set_result(None)
        waiting.clear()
        return True

    async def wait() -> None:
        future = asyncio.get_running_loop().create_future()
        waiting.append(future)
        await future

    async def deep(levels: int) -> None:
        # Tasks in tasks take several turns of the event loop to reach their await.
        if levels:
            await asyncio.create_task(deep(levels - 1))
        await wait()

    async def main() -> None:
        await asyncio.gather(deep(6), deep(0), wait())

    run(main(), step)
    assert steps[0] == 3
    assert sum(steps) == 7 + 1 + 1


def test_an_error_in_a_step_comes_out_as_itself() -> None:
    def step() -> bool:
        raise ValueError("from the step")

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(ValueError, match="from the step"):
        run(main(), step)


def test_waiting_for_nothing_is_an_error_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing to do"):
        run(main(), lambda: False)


def test_a_timer_is_waited_for() -> None:
    async def main() -> str:
        await asyncio.sleep(0.01)
        return "slept"

    assert run(main(), lambda: False) == "slept"


def test_it_works_inside_a_running_loop() -> None:
    async def inner() -> str:
        return "done"

    async def notebook() -> str:
        return run(inner(), lambda: False)

    assert asyncio.run(notebook()) == "done"
