"""Runs one strategy on one group, timed; and a whole cell, group by group."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch

from branchwise.cells.desk import Ask, GroupDesk, OnToken, ideal_latency_s
from branchwise.cells.journal import Journal
from branchwise.data.types import Group
from branchwise.decoding.engine import TreeEngine
from branchwise.decoding.hf import HFDecoder
from branchwise.decoding.loop import run
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.prompts import PromptStyle
from branchwise.results import AnswerRow, GroupDependencies, GroupRecord, GroupRun, Tokens
from branchwise.strategies import Answered, Strategy

AnyDecoder = TreeEngine | HFDecoder


@dataclass(frozen=True)
class Timed:
    """One run of a group: its answers, its trace, and its time from question to last answer."""

    answers: list[Answered]
    asks: list[Ask]
    begin_s: float
    wall_s: float
    forward_passes: int


@dataclass
class GroupRunner:
    """Runs groups with everything else held fixed."""

    strategy: Strategy
    decoder: AnyDecoder
    chat: ChatTokenizer
    style: PromptStyle
    max_new_tokens: int
    repeats: int

    def once(self, group: Group, on_token: OnToken | None = None) -> Timed:
        """Ask `group` once. The clock covers rendering and tokenisation, never model loading."""
        desk = GroupDesk(group, self.decoder, self.chat, self.style, self.max_new_tokens, on_token)
        device = self.decoder.model.device
        before = self.decoder.num_forward_passes
        with self.decoder.attached():
            _synchronize(device)
            begin = time.perf_counter()
            try:
                answers = run(self._answers(group, desk), self.decoder.step)
            finally:
                self.decoder.close(desk)
            _synchronize(device)
            wall = time.perf_counter() - begin
        passes = self.decoder.num_forward_passes - before
        _check_complete(group, answers)
        return Timed(answers, desk.asks, begin, wall, passes)

    def warm_up(self, group: Group) -> None:
        """Run `group` untimed with one token per answer, so that kernels are chosen and memory is
        allocated outside of every measured time.
        """
        replace(self, max_new_tokens=1).once(group)

    async def _answers(self, group: Group, desk: GroupDesk) -> list[Answered]:
        return [answered async for answered in self.strategy(group, desk)]

    def record(
        self, group: Group, warn: Callable[[str], None], found: GroupDependencies | None = None
    ) -> GroupRecord:
        """Ask `group` as often as `repeats` says; the record keeps the run with the median time, and
        how its dependencies were found.
        """
        return self.record_of(group, [self.once(group) for _ in range(self.repeats)], warn, found)

    @staticmethod
    def record_of(
        group: Group,
        runs: Sequence[Timed],
        warn: Callable[[str], None],
        found: GroupDependencies | None = None,
    ) -> GroupRecord:
        """The record of a group that was asked one or several times."""
        said = {tuple(answered.raw for answered in timed.answers) for timed in runs}
        if len(said) > 1:
            warn(f"group {group.id}: answers differ between repeats")
        middle = statistics.median_low([timed.wall_s for timed in runs])
        chosen = next(timed for timed in runs if timed.wall_s == middle)
        ledger = Tokens.total(_tokens(ask) for ask in chosen.asks)
        group_run = GroupRun(
            id=group.id,
            num_questions=len(group),
            wall_s=tuple(timed.wall_s for timed in runs),
            ideal_s=ideal_latency_s(chosen.asks),
            forward_passes=chosen.forward_passes,
            num_asks=len(chosen.asks),
            tokens=ledger,
            dependencies=found,
        )
        return GroupRecord(answers=tuple(_rows(group, chosen)), run=group_run)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _check_complete(group: Group, answers: Sequence[Answered]) -> None:
    """A strategy must answer each question exactly once."""
    asked = sorted(question.id for question in group)
    given = sorted(answered.question.id for answered in answers)
    if asked != given:
        raise RuntimeError(f"group {group.id}: asked {asked}, but the strategy answered {given}")


def _tokens(ask: Ask, share: int = 1) -> Tokens:
    return Tokens(**{k: v / share for k, v in ask.completion.tokens._asdict().items()})


def _rows(group: Group, timed: Timed) -> list[AnswerRow]:
    """Answers in the order of the group's questions, each with its share of its ask's ledger."""
    by_question = {answered.question.id: answered for answered in timed.answers}
    rows = []
    shown: set[int] = set()
    for question in group:
        answered = by_question[question.id]
        ask = timed.asks[answered.ask]
        prompt = None if answered.ask in shown else ask.prompt
        shown.add(answered.ask)
        rows.append(
            AnswerRow(
                group=group.id,
                question=question.id,
                text=question.text,
                kind=question.kind,
                answer_type=question.answer,
                golds=question.golds,
                gold_spans=question.gold_spans,
                guess=question.guess,
                raw=answered.raw,
                answer=answered.reading.answer,
                well_formed=answered.reading.well_formed and ask.completion.stop == "stop",
                ask=answered.ask,
                prompt=prompt,
                tokens=_tokens(ask, len(ask.questions)),
                start_s=ask.completion.start_s - timed.begin_s,
                end_s=ask.completion.end_s - timed.begin_s,
            )
        )
    return rows


def run_groups(
    runner: GroupRunner,
    groups: Sequence[Group],
    journal: Journal,
    progress: Callable[[int, int], None],
    warn: Callable[[str], None],
    found: Mapping[str, GroupDependencies] = MappingProxyType({}),
) -> tuple[list[GroupRecord], int]:
    """All groups' records, and how many of them came from the journal.

    `found` holds what is known of the groups' dependencies, by group. The first group that is not in
    the journal warms the decoder up.
    """
    records: list[GroupRecord] = []
    resumed, warm = 0, False
    for number, group in enumerate(groups, start=1):
        record = journal.get(group)
        if record is not None:
            resumed += 1
        else:
            if not warm:
                runner.warm_up(group)
                warm = True
            record = runner.record(group, warn, found.get(group.id))
            journal.append(group, record)
        records.append(record)
        progress(number, len(groups))
    return records, resumed
