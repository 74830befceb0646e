"""A judge that a decoder asks: a model here, or one on a server with all that its entry says of it."""

import asyncio
from collections.abc import Sequence
from typing import cast

from branchwise.cells.asker import Asker
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Rules
from branchwise.errors import DoesNotFit
from branchwise.evaluation.judging import Messages, Replies, Said
from branchwise.prompts import Message


def replies_of(asker: Asker, max_tokens: int, parallel: int) -> Replies:
    """What `evaluation.judging.judge_rows` asks a judge by: so many prompts at once."""

    def ask(prompts: Sequence[Messages], names: Sequence[str], said: Said) -> None:
        left = iter(enumerate(prompts))

        async def one(number: int, messages: Messages) -> None:
            group = f"judge {names[number]}"
            prompt = asker.prompt(cast(Sequence[Message], messages))
            try:
                if not asker.fits(prompt, max_tokens):
                    raise DoesNotFit("the prompt does not fit the judge", "take a longer context")
                made = await asker.ask(prompt, Rules(max_tokens), group)
            except DoesNotFit as error:
                said(number, "", error.problem)
                return
            finally:
                asker.decoder.close(group)
            said(number, asker.text(made), None)

        async def in_turn() -> None:
            for number, messages in left:
                await one(number, messages)

        async def every() -> None:
            await asyncio.gather(*(in_turn() for _ in range(parallel)))

        with asker.decoder.attached():
            run(every(), asker.decoder.step)

    return ask
