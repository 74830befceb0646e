"""Served decoders of tests, and questions for them."""

import asyncio
from pathlib import Path
from typing import Any

from branchwise.decoding.decoders.api import ApiEntry
from branchwise.decoding.loop import run
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.requests import Completion, Request, Rules
from branchwise.decoding.served import ServedDecoder
from tests.serving.proxy import Proxy

MODEL = ModelEntry(served="m1")


def decoder_of(
    proxy: Proxy, replies: Path | None = None, model: ModelEntry = MODEL, **settings: Any
) -> ServedDecoder:
    given = {"request_timeout_s": 20.0, "max_wait_s": 0.3, "max_attempts": 12, **settings}
    entry = ApiEntry(kind="api", base_url=proxy.url, **given)
    return ServedDecoder(entry, model, replies, entry.made_sampling(), entry.made_form())


def ask_all(
    decoder: ServedDecoder, questions: list[str], rules: Rules | None = None, group: str = "g"
) -> list[Completion]:
    async def one(text: str) -> Completion:
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        messages = ({"role": "user", "content": text},)
        decoder.submit(Request([], rules or Rules(8), group, future, messages=messages))
        return await future

    async def every() -> list[Completion]:
        return list(await asyncio.gather(*map(one, questions)))

    with decoder.attached():
        return run(every(), decoder.step)


def questions(number: int) -> list[str]:
    return [f"Who is number n{index}" for index in range(number)]
