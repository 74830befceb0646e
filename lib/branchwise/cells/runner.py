"""Runs one strategy on one group, timed; and a whole cell, group by group."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from branchwise.cells.desk import Ask, Asked, GroupDesk, OnToken
from branchwise.cells.journal import Journal
from branchwise.data.style import PromptStyle
from branchwise.data.types import Group, Question
from branchwise.decoding.contract import Decoder, Verb
from branchwise.decoding.loop import run
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.errors import UserError
from branchwise.prompts import Reading
from branchwise.results import AnswerRow, GroupDependencies, GroupRecord, GroupRun
from branchwise.strategies import Answered, Strategy
from branchwise.trace import (
    GroupTrace,
    Tokens,
    ideal_latency_s,
    question_tokens,
    tokens_by_role,
    total_tokens,
)


@dataclass(frozen=True)
class Timed:
    """One run of a group: its answers, its trace, and its time from question to last answer."""

    answers: list[Answered]
    asks: list[Ask]
    trace: GroupTrace
    wall_s: float
    forward_passes: int


@dataclass
class GroupRunner:
    """Runs groups with everything else held fixed.

    `needs` are the verbs that the strategy's entry states (None: any); `others` the models of further
    roles, with their decoders.
    """

    strategy: Strategy
    decoder: Decoder
    chat: ChatTokenizer | None
    style: PromptStyle
    max_new_tokens: int
    repeats: int
    needs: frozenset[Verb] | None = None
    others: Mapping[str, Asked] = field(default_factory=dict)

    def once(self, group: Group, on_token: OnToken | None = None) -> Timed:
        """Ask `group` once. The clock covers rendering and tokenisation, never model loading.

        Raises UserError where the strategy gives an answer that no ask of its question made.
        """
        desk = GroupDesk(
            group,
            self.decoder,
            self.chat,
            self.style,
            self.max_new_tokens,
            on_token,
            self.needs,
            self.others,
        )
        before = self._num_forward_passes
        with self._attached():
            self._synchronize()
            begin = time.perf_counter()
            try:
                answers = run(self._answers(group, desk), self._step)
            finally:
                for decoder in self._decoders:
                    decoder.close(desk)
            self._synchronize()
            wall = time.perf_counter() - begin
        passes = self._num_forward_passes - before
        asks = desk.asks
        _check_answers(group, answers, asks)
        return Timed(answers, asks, desk.trace(begin), wall, passes)

    @property
    def _decoders(self) -> list[Decoder]:
        return [self.decoder, *(asked.decoder for asked in self.others.values())]

    @property
    def _num_forward_passes(self) -> int:
        return sum(decoder.num_forward_passes for decoder in self._decoders)

    def _synchronize(self) -> None:
        for decoder in self._decoders:
            decoder.synchronize()

    @contextmanager
    def _attached(self) -> Iterator[None]:
        with ExitStack() as stack:
            for decoder in self._decoders:
                stack.enter_context(decoder.attached())
            yield

    def _step(self) -> bool:
        """One step of every decoder that has something to do."""
        done = [decoder.step() for decoder in self._decoders]
        return any(done)

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
        asks = chosen.trace.asks
        if left_out := len(group) - len(chosen.answers):
            warn(f"group {group.id}: the strategy left {left_out} questions without an answer")
        group_run = GroupRun(
            id=group.id,
            num_questions=len(group),
            wall_s=tuple(timed.wall_s for timed in runs),
            ideal_s=ideal_latency_s(asks),
            forward_passes=chosen.forward_passes,
            num_asks=len(asks),
            tokens=total_tokens(asks),
            tokens_by_role=tokens_by_role(asks),
            dependencies=found,
        )
        return GroupRecord(answers=tuple(_rows(group, chosen, found)), run=group_run, trace=chosen.trace)


def _check_answers(group: Group, answers: Sequence[Answered], asks: Sequence[Ask]) -> None:
    """A strategy answers no question twice, and each from asks that asked it."""
    given: set[str] = set()
    known = {question.id for question in group}
    for answered in answers:
        name = answered.question.id
        if name not in known or name in given:
            how = "twice" if name in given else "which it was not asked"
            raise UserError(
                f"group {group.id}: the strategy answers question {name} {how}",
                "let it yield one answer for each question of its group",
            )
        given.add(name)
        _check_made_by(group, answered, asks)


def _check_made_by(group: Group, answered: Answered, asks: Sequence[Ask]) -> None:
    name = answered.question.id
    numbers = answered.asks
    remedy = "give the `index` of every reply that made it, as a tuple"
    if not isinstance(numbers, tuple) or not all(n in range(len(asks)) for n in numbers):
        raise UserError(
            f"group {group.id}: the answer to {name} names asks {numbers!r} of {len(asks)}", remedy
        )
    asked = [{question.id for question in asks[number].questions} for number in numbers]
    wrong = [number for number, names in zip(numbers, asked, strict=True) if names and name not in names]
    if wrong or not any(name in names for names in asked):
        what = "no ask that asked it"
        if wrong:
            others = ", ".join(sorted(asked[numbers.index(wrong[0])]))
            what = f"ask {wrong[0]}, which asked {others}"
        raise UserError(
            f"group {group.id}: the answer to {name} comes from {what}",
            "give each ask the questions that it asks, and each answer the asks that made it",
        )


def _rows(group: Group, timed: Timed, found: GroupDependencies | None) -> list[AnswerRow]:
    """Answers in the order of the group's questions, each with its share of the ledger."""
    by_question = {answered.question.id: answered for answered in timed.answers}
    made_by = {q.id: by_question[q.id].asks if q.id in by_question else () for q in group}
    tokens = question_tokens(timed.trace.asks, made_by, found.tokens if found else None)
    return [
        _row(group, question, by_question.get(question.id), timed.trace, tokens[question.id])
        for question in group
    ]


def _row(
    group: Group, question: Question, answered: Answered | None, trace: GroupTrace, tokens: Tokens
) -> AnswerRow:
    reading = answered.reading if answered else Reading("", False)
    numbers = answered.asks if answered else ()
    asks = [trace.asks[number] for number in numbers]
    return AnswerRow(
        group=group.id,
        question=question.id,
        text=question.text,
        kind=question.kind,
        answer_type=question.answer,
        golds=question.golds,
        gold_spans=question.gold_spans,
        guess=question.guess,
        raw=answered.raw if answered else "",
        answer=reading.answer,
        well_formed=reading.well_formed and all(ask.stop == "stop" for ask in asks),
        rule=reading.rule,
        asks=numbers,
        tokens=tokens,
        start_s=min((ask.start_s for ask in asks), default=0.0),
        end_s=max((ask.end_s for ask in asks), default=0.0),
    )


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
