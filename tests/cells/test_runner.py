"""What a group's runner does around a strategy, seen by a decoder that notes every call."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from branchwise.cells.flight import run_groups
from branchwise.cells.journal import Journal
from branchwise.cells.runner import GroupRunner
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.requests import Completion, Request, TokenCount
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle, single
from branchwise.strategies import Answered, load
from branchwise.strategies.base import Desk, answered
from branchwise.training.vocabulary import save_tokenizer

GROUPS = list(make_groups(WorldsSpec(kinds=("look_up",), group_size=2, num_groups=2)))


class Spy:
    """A decoder that answers at once, with nothing, and notes what it was asked for."""

    offers = frozenset({"ask"})
    reads = "ids"
    max_context = 10_000
    max_groups = None
    notes = ()
    device = "none"
    kv_cache_bytes = None
    sampling = None
    form = None

    def __init__(self, fails_at: int | None = None) -> None:
        self.num_forward_passes = 0
        self.budgets: list[int] = []
        self.fails_at = fails_at
        self.queue: list[Request] = []

    def submit(self, request: Request) -> None:
        self.budgets.append(request.rules.max_new_tokens)
        self.queue.append(request)

    def step(self) -> bool:
        queue, self.queue = self.queue, []
        for request in queue:
            self.num_forward_passes += 1
            if self.num_forward_passes == self.fails_at:
                request.future.set_exception(UserError("no memory", "buy some"))
            else:
                tokens = TokenCount(len(request.prompt_ids), len(request.prompt_ids), 0, 1, 0)
                request.future.set_result(Completion([2], "stop", tokens, 0.0, 0.0, 1))
        return bool(queue)

    def close(self, group: object) -> None:
        self.queue = []

    def attached(self) -> AbstractContextManager[None]:
        return nullcontext()

    def synchronize(self) -> None:
        pass

    def facts(self) -> dict:
        return {}


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, 4096)
    return ChatTokenizer.load(folder)


def test_a_warm_up_comes_first_and_is_in_no_record(chat: ChatTokenizer, tmp_path: Path) -> None:
    # Error 23: timings with set-up inside and no warm-up.
    spy = Spy()
    runner = GroupRunner(load("batch"), spy, chat, PromptStyle(), 7)
    journal = Journal(tmp_path / "journal.jsonl", {})
    records = run_groups(runner, GROUPS, journal, lambda done, total: None, print).records
    # One token an answer, once; then each group.
    assert spy.budgets == [1, 1] + [7, 7] * len(GROUPS)
    # The two asks of a group end in the same pass.
    assert sum(record.run.forward_passes for record in records) == len(GROUPS)


async def deaf_to_failures(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """Goes on where an ask has failed."""
    for question in group:
        try:
            reply = await desk.ask(single(group, question, desk.style), [question])
        except UserError:
            continue
        yield answered(question, reply, desk.style)


def test_an_ask_that_failed_is_never_kept_as_one_of_no_length(chat: ChatTokenizer) -> None:
    # Error 31: failed items kept with zero length.
    runner = GroupRunner(deaf_to_failures, Spy(fails_at=2), chat, PromptStyle(), 7)
    with pytest.raises(RuntimeError, match="an ask has no answer, but the strategy has ended"):
        runner.once(GROUPS[0])
