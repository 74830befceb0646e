"""How stages before answering ask a model: on any decoder, with a tokenizer or without one."""

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from branchwise.decoding.constrained import constrained_to
from branchwise.decoding.contract import Decoder
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Completion, Request, Rules
from branchwise.errors import UserError
from branchwise.prompts import Message
from branchwise.prompts.style import Form


@dataclass(frozen=True)
class Prompt:
    """What is asked: messages, their form, how the answer begins; `ids` where there is a tokenizer."""

    messages: Sequence[Message]
    form: Form
    begun: str
    ids: list[int]
    num_shared: int = 0

    @property
    def seed_ids(self) -> list[int]:
        """What seeds are made of: the ids, or the bytes of what has none."""
        said = [f"{message['role']}: {message['content']}" for message in self.messages]
        return self.ids or list("\n".join([*said, self.begun]).encode())


class Asker:
    """A model that a stage asks, and its decoder: the tree decoder, where none is given."""

    def __init__(self, decoder: Decoder, chat: ChatTokenizer | None) -> None:
        self.decoder = decoder
        self.chat = chat

    def prompt(
        self, messages: Sequence[Message], form: Form = "chat", begun: str = "", num_shown: int = 0
    ) -> Prompt:
        """A prompt, of which the first `num_shown` messages are the same for all groups. A beginning that
        a server does not take is left out.
        """
        begun = begun if getattr(self.decoder, "begins", lambda form: True)(form) else ""
        if self.chat is None:
            return Prompt(messages, form, begun, [])
        _, ids = self.chat.prompt(messages, form=form, begun=begun)
        shared = self.chat.num_shared(ids, messages[:num_shown], form) if num_shown else 0
        return Prompt(messages, form, begun, ids, shared)

    def fits(self, prompt: Prompt, max_new_tokens: int) -> bool:
        """Whether prompt and answer fit the model, as far as that is known here."""
        return len(prompt.ids) + max_new_tokens <= self.decoder.max_context

    async def ask(
        self, prompt: Prompt, rules: Rules, group: Hashable, pattern: str | None = None
    ) -> Completion:
        """The answer, held to a pattern where one is given. Raises UserError where that cannot be."""
        if pattern is not None:
            rules = self._held(rules, pattern)
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self.decoder.submit(
            Request(
                prompt.ids,
                rules,
                group,
                future,
                messages=tuple({"role": m["role"], "content": m["content"]} for m in prompt.messages),
                num_shared=prompt.num_shared,
                form=prompt.form,
                begun=prompt.begun,
                pattern=pattern,
            )
        )
        return await future

    def text(self, made: Completion, is_held: bool = False) -> str:
        """What was said, without a thought before it; where it was held to a pattern there is none."""
        if made.served is not None or self.chat is None:
            return made.text or ""
        return self.chat.decode(made.ids) if is_held else self.chat.answer_text(made.ids, made.text)

    def _held(self, rules: Rules, pattern: str) -> Rules:
        decoder: Any = self.decoder
        if "hook" in decoder.offers and self.chat is not None:
            hook = constrained_to(pattern, self.chat.tokenizer, decoder.stop_ids)
            return Rules(rules.max_new_tokens, rules.sampling, stop_texts=rules.stop_texts, hooks=(hook,))
        if getattr(decoder, "follows_patterns", False):
            return rules
        raise UserError(
            "the reply is to be held to a pattern, and this decoder's server is not asked for that",
            "set `constrained: false` in the entry, or `structured: vllm` (or sglang) and `constrain` in "
            "the decoder's",
        )


def asker_of(
    source: ModelSource, settings: DecoderSettings | None = None, replies: Path | None = None
) -> Asker:
    """A model's asker; its replies are kept in a file where it is a served one."""
    settings = settings or TreeEntry(kind="tree")
    decoder = settings.make(source, replies)
    return Asker(decoder, source.chat)
