"""Runs one strategy on one group: its answers, its trace, its exact counters, and on request its time."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from branchwise.cells.asks import Ask, Asked, OnToken
from branchwise.cells.clock import collector_off
from branchwise.cells.desk import GroupDesk
from branchwise.data.types import Group, Question
from branchwise.decoding.contract import Decoder, Verb, is_remote
from branchwise.decoding.loop import run
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.errors import DoesNotFit, UserError
from branchwise.prompts import Reading
from branchwise.prompts.style import PromptStyle
from branchwise.results import AnswerRow, GroupRecord, GroupRun, WordingRow
from branchwise.serving.courier import courier
from branchwise.stages import Before
from branchwise.strategies import Answered, Strategy
from branchwise.strategies.base import NEED_NO_END, Worded
from branchwise.trace import (
    AskRecord,
    GroupTrace,
    Tokens,
    ideal_latency_s,
    question_tokens,
    tokens_by_role,
    total_tokens,
)


@dataclass(frozen=True)
class Done:
    """What came of asking a group: its answers, its trace, and the passes that it took part in."""

    answers: list[Answered]
    asks: list[Ask]
    trace: GroupTrace
    forward_passes: int


@dataclass(frozen=True)
class Timed(Done):
    """A group asked alone, with its time from question to last answer."""

    wall_s: float
    cpu_s: float

    @property
    def ideal_s(self) -> float:
        """The critical path of this very run."""
        return ideal_latency_s(self.trace.asks)


@dataclass
class GroupRunner:
    """Runs groups with everything else held fixed.

    `needs` are the verbs that the strategy's entry states (None: any); `others` the models of further
    roles, with their decoders; `unfit` says of groups why they cannot be asked.
    """

    strategy: Strategy
    decoder: Decoder
    chat: ChatTokenizer | None
    style: PromptStyle
    max_new_tokens: int
    needs: frozenset[Verb] | None = None
    others: Mapping[str, Asked] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)

    async def ask(self, group: Group, on_token: OnToken | None = None) -> Done:
        """Ask `group`, other groups of the same decoder beside it or not.

        Raises UserError where the strategy gives an answer that no ask of its question made, and
        DoesNotFit where a prompt is longer than the model's context.
        """
        if group.id in self.unfit:
            raise DoesNotFit(self.unfit[group.id], "use a model with a longer context, or smaller groups")
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
        begin = time.perf_counter()
        try:
            answers = [answered async for answered in self.strategy(group, desk)]
        finally:
            for decoder in self.decoders:
                decoder.close(desk)
        asks = desk.asks
        _check_answers(group, answers, asks)
        return Done(answers, asks, desk.trace(begin), desk.num_forward_passes)

    def once(self, group: Group, on_token: OnToken | None = None) -> Timed:
        """Ask `group` alone, timed. The clock covers rendering and tokenisation, never model loading.

        Raises as `ask` does.
        """
        with self.attached(), collector_off():
            self._synchronize()
            begin, cpu = time.perf_counter(), time.process_time()
            done = run(self.ask(group, on_token), self.step)
            self._synchronize()
            wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
        return Timed(**vars(done), wall_s=wall_s, cpu_s=cpu_s)

    @property
    def decoders(self) -> list[Decoder]:
        """The answerer's decoder, and those of further roles."""
        return [self.decoder, *(asked.decoder for asked in self.others.values())]

    def _synchronize(self) -> None:
        for decoder in self.decoders:
            decoder.synchronize()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Whatever the decoders need in place while they work."""
        with ExitStack() as stack:
            for decoder in self.decoders:
                stack.enter_context(decoder.attached())
            yield

    @property
    def doing(self) -> str:
        """What servers are being asked, in words."""
        every = (getattr(decoder, "doing", "") for decoder in self.decoders)
        return "; ".join(dict.fromkeys(doing for doing in every if doing))

    def step(self) -> bool:
        """One step of every decoder that has something to do; those of served models, which only wait,
        where no other has.
        """
        remote = [decoder for decoder in self.decoders if is_remote(decoder)]
        done = [decoder.step() for decoder in self.decoders if decoder not in remote]
        if any(done):
            if remote:
                courier().hand_over(0)
            return True
        done = [decoder.step() for decoder in remote]
        return any(done)

    def warm_up(self, group: Group) -> None:
        """Run `group` untimed with one token per answer, so that kernels are chosen and memory is
        allocated outside of every measured time. A served model is not asked for nothing.
        """
        if any(map(is_remote, self.decoders)):
            return
        replace(self, max_new_tokens=1).once(group)


def record_of(group: Group, done: Done, warn: Callable[[str], None], before: Before = ()) -> GroupRecord:
    """The record of a group that was asked; `before`: what stages before had found for it."""
    asks = done.trace.asks
    if left_out := len(group) - len(done.answers):
        warn(f"group {group.id}: the strategy left {left_out} questions without an answer")
    group_run = GroupRun(
        id=group.id,
        num_questions=len(group),
        forward_passes=done.forward_passes,
        num_asks=len(asks),
        latency_s=ideal_latency_s(asks) if any(ask.served for ask in asks) else None,
        tokens=total_tokens(asks),
        tokens_by_role=tokens_by_role(asks),
        **{one.stage: one for one in before},
    )
    return GroupRecord(answers=tuple(_rows(group, done, before)), run=group_run, trace=done.trace)


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


def _rows(group: Group, done: Done, before: Before) -> list[AnswerRow]:
    """Answers in the order of the group's questions, each with its share of the ledger."""
    by_question = {answered.question.id: answered for answered in done.answers}
    made_by = {q.id: by_question[q.id].asks if q.id in by_question else () for q in group}
    spent = Tokens.total(one.tokens for one in before) if before else None
    tokens = question_tokens(done.trace.asks, made_by, spent)
    return [
        _row(group, question, by_question.get(question.id), done.trace, tokens[question.id])
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
        chain_guess=question.chain_guess,
        raw=answered.raw if answered else "",
        answer=reading.answer,
        well_formed=reading.well_formed and _is_whole(answered, asks),
        rule=reading.rule,
        asks=numbers,
        wordings=tuple(_wording(one) for one in answered.wordings) if answered else (),
        each=answered.each if answered else False,
        notes=answered.notes if answered else (),
        tokens=tokens,
        start_s=min((ask.start_s for ask in asks), default=0.0),
        end_s=max((ask.end_s for ask in asks), default=0.0),
    )


def _is_whole(answered: Answered | None, asks: Sequence[AskRecord]) -> bool:
    """Whether no ask that had to end an answer was cut off: of wordings that were answered alone it is
    known of each, and a beginning that something goes on from has no end.
    """
    if answered is not None and any(one.reading is not None for one in answered.wordings):
        return True
    ends = [ask for ask in asks if ask.role not in NEED_NO_END] or asks
    return all(ask.stop == "stop" for ask in ends)


def _wording(worded: Worded) -> WordingRow:
    reading = worded.reading
    return WordingRow(
        text=worded.text,
        answer=None if reading is None else reading.answer,
        well_formed=None if reading is None else reading.well_formed,
    )
