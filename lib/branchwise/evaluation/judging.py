"""Asks an OpenAI-compatible server for verdicts, several at a time; what was said is never asked again.

Every verdict goes to an append-only journal the moment it is there, under a hash of the whole request.
Failures are not journaled, so the same command later asks for what is missing and for nothing else.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from branchwise.evaluation.entries import JudgeEntry
from branchwise.evaluation.judge import (
    JudgeRecord,
    Verdict,
    grade_schema,
    judge_messages,
    prompt_version,
)
from branchwise.evaluation.verdicts import Reading, read_verdict
from branchwise.files import append_journal, read_journal
from branchwise.results import AnswerRow
from branchwise.serving.address import key_of
from branchwise.serving.dialect import Dialect
from branchwise.serving.faults import Asked, refused_key, server_reason

Progress = Callable[[int, int], None]


Messages = list[dict[str, str]]
Said = Callable[[int, str, str | None], None]
Replies = Callable[[Sequence[Messages], Sequence[str], Said], None]
"""Asks for replies to some prompts, each with a name that is its own, and hands over each as it comes:
its number, its text, and what went wrong where there is none.
"""
AGAIN = " again "
"""Between a request's key and the number of a reply to it that gave no verdict."""


def judge_rows(
    rows: Sequence[AnswerRow],
    contexts: Mapping[tuple[str, str], str],
    entry: JudgeEntry,
    journal_path: Path,
    progress: Progress,
    replies: Replies | None = None,
    asked: Mapping[str, Any] | None = None,
) -> JudgeRecord:
    """Verdicts of all rows, in their order. `contexts` is by group and question; `replies` asks the
    judge, the entry's server where none is given, and `asked` says whom.

    Raises UserError where the key is not in the environment, or the server refuses it.
    """
    dialect = Dialect(entry.limit_parameter)
    prompts = [_messages_of(row, contexts, entry) for row in rows]
    keys = [_key(entry, messages, asked) for messages in prompts]
    journal, _ = read_journal(journal_path)
    # Those that were kept and are read by other rules today are asked for again, too.
    verdicts = {
        index: _verdict(row, entry, reading)
        for index, (row, key) in enumerate(zip(rows, keys, strict=True))
        if (reading := read_verdict(journal.get(key, ""), entry.rubric)).grades is not None
    }
    left = [index for index in range(len(rows)) if index not in verdicts]
    tried = Counter(key.partition(AGAIN)[0] for key in journal if AGAIN in key)
    if verdicts:
        progress(len(verdicts), len(rows))

    def said(number: int, text: str, problem: str | None) -> None:
        index = left[number]
        reading = Reading(None, "", problem) if problem else read_verdict(text, entry.rubric)
        key = keys[index]
        if reading.grades is not None:
            append_journal(journal_path, (key, text))
        elif problem is None:
            # Next time it is another request: what was said to this one may be kept.
            append_journal(journal_path, (f"{key}{AGAIN}{tried[key]}", text))
        verdicts[index] = _verdict(rows[index], entry, reading)
        progress(len(verdicts), len(rows))

    ask = replies or (lambda prompts, _, said: asyncio.run(_ask_all(prompts, said, entry, dialect)))
    names = [f"{keys[index]}{AGAIN}{tried[keys[index]]}" for index in left]
    ask([prompts[index] for index in left], names, said)
    ordered = tuple(verdicts[index] for index in range(len(rows)))
    problems = Counter(verdict.problem for verdict in ordered if verdict.problem)
    return JudgeRecord(
        settings=entry.recorded() | dict(asked or {}),
        prompt_version=prompt_version(entry.rubric),
        adapted=tuple(dialect.adapted),
        num_missing=sum(verdict.grades is None for verdict in ordered),
        problems=dict(problems),
        verdicts=ordered,
    )


def _messages_of(row: AnswerRow, contexts: Mapping[tuple[str, str], str], entry: JudgeEntry) -> Messages:
    context = contexts.get((row.group, row.question), "")
    answer = row.answer.strip() or "(no answer was given)"
    return judge_messages(entry.rubric, context, row.text, "\n---\n".join(row.golds), answer)


def _verdict(row: AnswerRow, entry: JudgeEntry, reading: Reading) -> Verdict:
    return Verdict(group=row.group, question=row.question, rubric=entry.rubric, **reading._asdict())


async def _ask_all(
    prompts: Sequence[Messages],
    said: Said,
    entry: JudgeEntry,
    dialect: Dialect,
) -> None:
    """Ask the entry's own server, several at a time."""
    turns = asyncio.Semaphore(entry.parallel)

    async def judge(client: Any, number: int, messages: Messages) -> None:
        async with turns:
            text, problem = await _ask(client, entry, dialect, messages)
        said(number, text, problem)

    async with _client(entry) as client:
        await asyncio.gather(*(judge(client, *one) for one in enumerate(prompts)))


def _client(entry: JudgeEntry) -> Any:
    from openai import AsyncOpenAI

    key = key_of(entry.base_url, entry.key_variable)
    return AsyncOpenAI(
        base_url=entry.base_url,
        api_key=key or "none",
        timeout=entry.timeout_s,
        max_retries=entry.max_attempts - 1,
    )


async def _ask(
    client: Any, entry: JudgeEntry, dialect: Dialect, messages: Messages
) -> tuple[str, str | None]:
    """The reply, or the problem that there is none (the client has retried what may pass)."""
    import openai

    options: dict[str, Any] = {}
    if entry.output == "json_schema":
        schema = {"name": "verdict", "strict": True, "schema": grade_schema(entry.rubric)}
        options["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif entry.output == "json_object":
        options["response_format"] = {"type": "json_object"}
    if entry.temperature is not None:
        options["temperature"] = entry.temperature
    create = client.chat.completions.create
    try:
        reply = await dialect.create(
            create, entry.max_tokens, model=entry.model, messages=messages, **options
        )
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        key = key_of(entry.base_url, entry.key_variable)
        asked = Asked(entry.base_url, entry.model, key, entry.key_name)
        raise refused_key(asked, error.status_code) from None
    except openai.APIStatusError as error:
        reason = server_reason(error, key_of(entry.base_url, entry.key_variable))
        return "", f"status {error.status_code}" + (f": {reason}" if reason else "")
    except (openai.APIError, ValueError) as error:
        return "", type(error).__name__
    try:
        text = reply.choices[0].message.content
    except (AttributeError, IndexError, TypeError):
        return "", "a reply of another form"
    return (text, None) if isinstance(text, str) else ("", "a reply without text")


def _key(entry: JudgeEntry, messages: Messages, asked: Mapping[str, Any] | None) -> str:
    """Hash of all that decides a verdict; the address, the key and a parameter's name do not."""
    request: list[Any] = [entry.model, entry.max_tokens, entry.output, messages]
    if entry.decoder is not None:
        request.append(asked)
    if entry.temperature != 0:  # the default is left out: journals from before there was a choice hold
        request.append(entry.temperature)
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:24]
