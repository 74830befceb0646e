"""The desk at which a strategy asks, and the trace of what was asked there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, cast

from branchwise.cells.asks import Ask, Asked, OnToken, said_in
from branchwise.cells.rules import DecodersRules
from branchwise.cells.waits import Waits
from branchwise.data.types import Group, Question
from branchwise.decoding.branches import Branch
from branchwise.decoding.contract import BranchingDecoder, Decoder, Verb, is_remote
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.text import continuation_ids_of
from branchwise.decoding.options import Layout
from branchwise.decoding.requests import Completion, Hook, Request, Rules
from branchwise.errors import DoesNotFit, UserError
from branchwise.prompts import Message, num_shown
from branchwise.prompts.style import IN_ONE_TEXT, IN_TURNS, AnswerForm, PromptStyle, answer_form
from branchwise.strategies.base import Prompt, Reply, Text
from branchwise.trace import ANSWERER, BranchRecord, GroupTrace

FEWEST_SHARED = 64
"""Tokens of an instruction from which on it is kept for all groups. A shorter one is computed with the
rest of a prompt in a pass that takes hardly longer for it.
"""


class _Held(NamedTuple):
    """A branch that the strategy holds: its number, and the asks whose tokens it sees."""

    number: int
    asks: set[int]


@dataclass(eq=False)
class GroupDesk:
    """Asks decoders on behalf of one group and keeps the trace.

    `max_new_tokens` is the budget of one answer; a prompt that asks for n answers gets n budgets.
    `needs` are the verbs that the strategy's entry states, None for any; `others` the models of further
    roles.
    """

    group: Group
    decoder: Decoder
    chat: ChatTokenizer | None
    style: PromptStyle
    max_new_tokens: int
    on_token: OnToken | None = None
    needs: frozenset[Verb] | None = None
    others: Mapping[str, Asked] = field(default_factory=dict)
    _asks: list[Ask | None] = field(default_factory=list)
    _held: dict[Branch, _Held] = field(default_factory=dict)
    _branches: list[BranchRecord] = field(default_factory=list)
    _heard: set[tuple[str, ...]] = field(default_factory=set)
    _waits: Waits = field(default_factory=Waits)

    def __post_init__(self) -> None:
        self._further = DecodersRules(self.group.id, self.style.answer_format)
        self._alone = answer_form(self.style, many=False)

    @property
    def asks(self) -> list[Ask]:
        """The asks so far, in the order of asking. Complete once the strategy has ended.

        Raises RuntimeError where an ask failed and the strategy went on: its cost would be missing.
        """
        done = [ask for ask in self._asks if ask is not None]
        if len(done) < len(self._asks):
            raise RuntimeError(f"group {self.label}: an ask has no answer, but the strategy has ended")
        return done

    def trace(self, begin_s: float) -> GroupTrace:
        """Everything that was asked, as it is written."""
        asks = tuple(ask.record(begin_s) for ask in self.asks)
        return GroupTrace(group=self.group.id, asks=asks, branches=tuple(self._branches))

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The branches that the strategy has held, in the order of the trace."""
        return tuple(self._held)

    @property
    def num_forward_passes(self) -> int:
        """Passes that the group took part in, each once, whatever else was in them."""
        taken = {(ask.by, number) for ask in self.asks for number in ask.passes}
        return len(taken)

    @property
    def label(self) -> str:
        """What messages call the group."""
        return self.group.id

    async def ask(
        self,
        messages: Sequence[Message],
        questions: Sequence[Question] = (),
        *,
        role: str | None = None,
        by: str = ANSWERER,
        after: Sequence[Reply] = (),
        rules: Rules | None = None,
        many: bool | None = None,
    ) -> Reply:
        """See `branchwise.strategies.base.Desk`. Raises UserError for a prompt that does not fit."""
        decoder, chat = self.others.get(by) or Asked(self.decoder, self.chat)
        by = by if by in self.others else ANSWERER
        asked = tuple(questions)
        form = self._form(asked, many, chat)
        rules = self._rules(rules, asked, form)
        ids: list[int] = []
        prompt = "\n".join(f"{message['role']}: {message['content']}" for message in messages)
        if chat is not None:
            prompt, ids = chat.prompt(messages, form=form.form, begun=form.begun)
            self._check_length(decoder, len(ids), rules.max_new_tokens)
        rules = self._further.of(rules, decoder, chat, by, ids or prompt.encode(), asked, form.begun)
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        decoder.submit(
            Request(
                ids,
                rules,
                self,
                future,
                self._hear(asked),
                tuple({"role": m["role"], "content": m["content"]} for m in messages),
                0 if chat is None or not asked else self._num_shared(chat, messages, ids, form),
                form.form,
                form.begun,
                self._pattern(decoder, asked, form),
                len(asked),
            )
        )
        facts = {"by": by, "messages": tuple(messages)}
        stated = (reply.index for reply in after)
        return await self._reply(future, decoder, chat, asked, role, stated, prompt, form, facts)

    def rules(self, questions: Sequence[Question]) -> Rules:
        """See `branchwise.strategies.base.Desk`."""
        return self._rules(None, questions, self._form(questions, None, self.chat))

    def held_to(self, pattern: str) -> Hook:
        """See `branchwise.strategies.base.Desk`. Raises UserError for what is no pattern."""
        return self._further.held_to(pattern, self._with_branches("hook"), self._tokenizer, ANSWERER)

    def room(self, branch: Branch) -> int:
        """See `branchwise.strategies.base.Desk`."""
        return self.decoder.max_context - branch.end

    @property
    def may_ban(self) -> bool:
        """See `branchwise.strategies.base.Desk`."""
        return not is_remote(self.decoder)

    def tokens_like(self, pattern: str) -> frozenset[int]:
        """See `branchwise.strategies.base.Desk`."""
        return self._tokenizer.tokens_like(pattern)

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """Messages as the model reads them, up to where its own turn begins."""
        return self._tokenizer.prompt_text(messages, form=self._alone.form, begun=self._alone.begun)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """See `branchwise.strategies.base.Desk`."""
        return self._tokenizer.prompt_ids(messages, form=self._alone.form, begun=self._alone.begun)

    def shown_ids(self, messages: Sequence[Message]) -> list[list[int]]:
        """See `branchwise.strategies.base.Desk`. Raises UserError where a template does not write shots
        one after the other.
        """
        shown = messages[: num_shown(messages, self.style)]
        ends = [
            self._tokenizer.shared_ids(shown[:end], self._alone.form)
            for end in range(1, len(shown) + 1, 2)
        ]
        for one, next_one in pairwise(ends):
            if next_one[: len(one)] != one:
                raise UserError(
                    "the chat template does not write solved questions one after the other",
                    "leave out `isolated_shots`, or use a prompt style of form completion",
                )
        return [ends[0], *(after[len(before) :] for before, after in pairwise(ends))]

    def next_turn(self, before: Sequence[Message], further: Sequence[Message]) -> list[int]:
        """See `branchwise.strategies.base.Desk`."""
        return self._tokenizer.next_turn_ids(before, further, self._alone.form, self._alone.begun)

    # ----- branches, on a decoder that has them -----

    def open(self, prompt: Prompt, like: Sequence[Message] = ()) -> Branch:
        """A root branch: messages up to where the model's turn begins, token ids, or text as it is."""
        messages = None
        if isinstance(prompt, str):
            ids = self._tokenizer.encode(prompt)
        elif prompt and isinstance(prompt[0], int):
            ids = list(cast(Sequence[int], prompt))
        else:
            messages = like = cast(Sequence[Message], prompt)
            ids = self.prompt_ids(messages)
        num_shared = self._num_shared(self._tokenizer, like, ids, self._alone) if like else 0
        branch = self._with_branches("fork").open(ids, self, num_shared)
        self._hold(branch, "open", (), ids, messages)
        return branch

    def fork(
        self, branch: Branch, texts: Sequence[Text], positions: Layout | None = None
    ) -> list[Branch]:
        """Children that see their ancestors and not each other."""
        runs = [self._ids(text) for text in texts]
        children = self._with_branches("fork").fork(branch, runs, positions)
        for child, ids in zip(children, runs, strict=True):
            self._hold(child, "fork", (branch,), ids)
        return children

    def join(self, branches: Sequence[Branch], text: Text) -> Branch:
        """A branch that sees all of the given ones."""
        ids = self._ids(text)
        branch = self._with_branches("join").join(branches, ids)
        self._hold(branch, "join", branches, ids)
        return branch

    def release(self, branch: Branch) -> None:
        """Let go of a branch that nothing forks or joins any more."""
        self._with_branches("fork").release(branch)

    async def generate(
        self,
        branch: Branch,
        questions: Sequence[Question] = (),
        *,
        role: str | None = None,
        after: Sequence[Reply] = (),
        rules: Rules | None = None,
        begun: Reply | None = None,
    ) -> Reply:
        """Tokens appended to `branch`; the budget is that of `questions` unless `rules` says more."""
        asked = tuple(questions)
        form = self._form(asked, None, self.chat)
        rules = self._rules(rules, asked, form)
        # Positions count: branches that are joined stand side by side.
        self._check_length(self.decoder, branch.end, rules.max_new_tokens)
        seen, said = branch.token_ids, () if begun is None else begun.ids
        rules = self._further.of(rules, self.decoder, self.chat, ANSWERER, seen, asked, form.begun, said)
        prompt = self._tokenizer.tokenizer.decode(seen)
        hear = self._hear(asked, goes_on=begun is not None)
        made = self._with_branches("fork").generate(branch, rules, hear)
        held = self._held[branch]
        stated = [*held.asks, *(reply.index for reply in after)]
        held.asks.add(len(self._asks))
        facts = {"branch": held.number}
        return await self._reply(
            made, self.decoder, self.chat, asked, role, stated, prompt, form, facts, said
        )

    def _with_branches(self, verb: Verb) -> BranchingDecoder:
        if verb not in self.decoder.offers:
            raise UserError(
                f"the strategy needs {verb}, which the decoder does not offer", "use decoder tree for it"
            )
        self._check_stated(verb)
        return cast(BranchingDecoder, self.decoder)

    def _check_stated(self, verb: Verb) -> None:
        """A verb that the entry leaves out would fail on the next decoder, in the middle of a run."""
        if self.needs is not None and verb not in self.needs:
            raise UserError(
                f"the strategy uses {verb}, which its catalogue entry does not state",
                f"write `needs: [{', '.join(sorted({*self.needs, verb}))}]` there",
            )

    def _hold(
        self,
        branch: Branch,
        verb: Any,
        parents: Sequence[Branch],
        ids: Sequence[int],
        messages: Sequence[Message] | None = None,
    ) -> None:
        """Note a new branch."""
        held = [self._held[parent] for parent in parents]
        record = BranchRecord(
            verb=verb,
            parents=tuple(one.number for one in held),
            messages=None if messages is None else tuple(dict(m) for m in messages),
            text=self._tokenizer.tokenizer.decode(ids),
        )
        seen = {index for one in held for index in one.asks}
        self._held[branch] = _Held(len(self._branches), seen)
        self._branches.append(record)

    def _ids(self, text: Text) -> list[int]:
        if isinstance(text, str):
            return continuation_ids_of(self._tokenizer.tokenizer, text)
        return list(text)

    @property
    def _tokenizer(self) -> ChatTokenizer:
        if self.chat is None:
            raise UserError(
                "a served model has no tokenizer here", "use decoder tree or hf for this strategy"
            )
        return self.chat

    # ----- the trace -----

    def _form(
        self, asked: Sequence[Question], many: bool | None, chat: ChatTokenizer | None
    ) -> AnswerForm:
        """The form of the answer to a prompt. What asks no question is the strategy's own: in turns,
        where the model has a template.
        """
        if not asked:
            return IN_TURNS if chat is None or chat.has_template else IN_ONE_TEXT
        return answer_form(self.style, len(asked) > 1 if many is None else many)

    def _num_shared(
        self, chat: ChatTokenizer, messages: Sequence[Message], ids: Sequence[int], form: AnswerForm
    ) -> int:
        """Tokens of the instruction and the shots that a prompt begins with: prompts of all groups do.
        0 where they are too few to be worth keeping.
        """
        fewest = 1 if self.style.shots else FEWEST_SHARED
        if len(ids) <= fewest:
            return 0
        shared = chat.num_shared(ids, messages[: num_shown(messages, self.style)], form.form)
        return shared if shared >= fewest else 0

    def _pattern(self, decoder: Decoder, asked: Sequence[Question], form: AnswerForm) -> str | None:
        """What the answer to a prompt is held to, for a decoder that holds it by itself."""
        if decoder.form is None or not asked:
            return None
        return decoder.form.after(form.begun, asked, self.style.answer_format)

    def _rules(self, given: Rules | None, asked: Sequence[Question], form: AnswerForm) -> Rules:
        if given is None:
            budget = self.max_new_tokens * max(1, len(asked))
            return Rules(budget, stop_texts=form.stop_texts)
        for hook in given.hooks:
            self._check_stated(_verb_of(hook))
        return given

    def _hear(self, asked: tuple[Question, ...], goes_on: bool = False) -> Callable[[int], None] | None:
        """Who hears the tokens of an ask: of several for the same questions (wordings, samples) the first
        is heard, and what goes on from it.
        """
        ids = tuple(question.id for question in asked)
        if self.on_token is None or (ids in self._heard and not goes_on):
            return None
        self._heard.add(ids)
        hear = self.on_token
        return lambda token: hear(asked, token)

    async def _reply(
        self,
        answer: Awaitable[Completion],
        decoder: Decoder,
        chat: ChatTokenizer | None,
        asked: tuple[Question, ...],
        role: str | None,
        stated: Any,
        prompt: str,
        form: AnswerForm,
        facts: dict[str, Any],
        said: tuple[int, ...] = (),
    ) -> Reply:
        """Wait for an answer and note it under the number that it has in the order of asking. `said`:
        tokens of an earlier reply that it goes on from.
        """
        index = len(self._asks)
        self._asks.append(None)
        after = self._waits.begins(index, stated)
        made = await answer
        text, cut = said_in(made, chat, said, form.stop_texts)
        raw = form.whole(text, cut)
        role = role or ("answer" if asked else "intermediate")
        passes = self._passes(decoder, index, made.num_steps)
        self._asks[index] = Ask(made, asked, after, prompt, raw, role, **facts, passes=passes)
        self._waits.ended(index, self._moment)
        ids = (*said, *made.ids)
        heard, generated = self._waits.heard, made.tokens.generated
        num_tokens = generated if made.served else None
        return Reply(index, raw, ids, heard, made.stop == "stop", made.stop_text, num_tokens)

    def _passes(self, decoder: Decoder, index: int, num_steps: int) -> range:
        """The passes of an ask that has just ended; of a served model, which works on many at once, each
        reply counts by itself.
        """
        if is_remote(decoder):
            return range(-index - 1, -index)
        # Whoever waits is woken before the next pass, so the last one was this ask's.
        last = decoder.num_forward_passes
        return range(last - num_steps, last)

    @property
    def _moment(self) -> int:
        """Passes of all decoders so far: the same for answers that were known together."""
        decoders = [self.decoder, *(asked.decoder for asked in self.others.values())]
        return sum(decoder.num_forward_passes for decoder in decoders)

    def _check_length(self, decoder: Decoder, prompt_tokens: int, budget: int) -> None:
        limit = decoder.max_context
        if prompt_tokens + budget > limit:
            raise DoesNotFit(
                f"group {self.group.id}: a prompt of {prompt_tokens} tokens and {budget} new ones "
                f"exceed the model's context of {limit}",
                "use a model with a longer context, smaller groups or a smaller max_new_tokens",
            )


def _verb_of(hook: Hook) -> Verb:
    """What a decoder has to offer for a hook."""
    if hook.together is None:
        return "hook"
    return "mix" if hook.together.mixes else "peek"
