"""Asks an OpenAI-compatible server for verdicts, several at a time; what was said is never asked again.

Every verdict goes to an append-only journal the moment it is there, under a hash of the whole request.
Failures are not journaled, so the same command later asks for what is missing and for nothing else.
"""

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from branchwise.errors import UserError
from branchwise.evaluation.dialect import Dialect, server_reason
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

Progress = Callable[[int, int], None]


def judge_rows(
    rows: Sequence[AnswerRow],
    contexts: Mapping[tuple[str, str], str],
    entry: JudgeEntry,
    journal_path: Path,
    progress: Progress,
) -> JudgeRecord:
    """Verdicts of all rows, in their order. `contexts` is by group and question.

    Raises UserError where the key is not in the environment, or the server refuses it.
    """
    return asyncio.run(_judge_rows(rows, contexts, entry, journal_path, progress))


async def _judge_rows(
    rows: Sequence[AnswerRow],
    contexts: Mapping[tuple[str, str], str],
    entry: JudgeEntry,
    journal_path: Path,
    progress: Progress,
) -> JudgeRecord:
    journal, _ = read_journal(journal_path)
    verdicts: dict[int, Verdict] = {}
    turns = asyncio.Semaphore(entry.parallel)
    dialect = Dialect(entry)

    async def judge(client: Any, index: int, row: AnswerRow) -> None:
        messages = judge_messages(
            entry.rubric,
            contexts.get((row.group, row.question), ""),
            row.text,
            "\n---\n".join(row.golds),
            row.answer.strip() or "(no answer was given)",
        )
        key = _key(entry, messages)
        reading = read_verdict(journal.get(key, ""), entry.rubric)
        if reading.grades is None:  # also where a reply was kept that is read by other rules today
            async with turns:
                text, problem = await _ask(client, entry, dialect, messages)
            reading = Reading(None, "", problem) if problem else read_verdict(text, entry.rubric)
            if reading.grades is not None:
                append_journal(journal_path, key, text)
        verdicts[index] = Verdict(
            group=row.group, question=row.question, rubric=entry.rubric, **reading._asdict()
        )
        progress(len(verdicts), len(rows))

    async with _client(entry) as client:
        await asyncio.gather(*(judge(client, index, row) for index, row in enumerate(rows)))
    ordered = tuple(verdicts[index] for index in range(len(rows)))
    problems = Counter(verdict.problem for verdict in ordered if verdict.problem)
    return JudgeRecord(
        settings=entry.model_dump(mode="json"),
        prompt_version=prompt_version(entry.rubric),
        adapted=tuple(dialect.adapted),
        num_missing=sum(verdict.grades is None for verdict in ordered),
        problems=dict(problems),
        verdicts=ordered,
    )


def _client(entry: JudgeEntry) -> Any:
    from openai import AsyncOpenAI

    key = os.environ.get(entry.key_variable, "")
    if not key and not entry.is_local:
        raise UserError(
            f"the judge {entry.model} needs a key in the environment variable {entry.key_variable}",
            f"export {entry.key_variable}=..., or name another variable with key_variable",
        )
    return AsyncOpenAI(
        base_url=entry.base_url,
        api_key=key or "none",
        timeout=entry.timeout_s,
        max_retries=entry.max_attempts - 1,
    )


async def _ask(
    client: Any, entry: JudgeEntry, dialect: Dialect, messages: list[dict[str, str]]
) -> tuple[str, str | None]:
    """The reply, or the problem that there is none (the client has retried what may pass)."""
    import openai

    options: dict[str, Any] = {}
    if entry.output == "json_schema":
        schema = {"name": "verdict", "strict": True, "schema": grade_schema(entry.rubric)}
        options["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif entry.output == "json_object":
        options["response_format"] = {"type": "json_object"}
    try:
        reply = await dialect.create(client, model=entry.model, messages=messages, **options)
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise UserError(
            f"the judge's server refused the key in {entry.key_variable} (status {error.status_code})",
            "check the key and base_url",
        ) from None
    except openai.APIStatusError as error:
        reason = server_reason(error, os.environ.get(entry.key_variable, ""))
        return "", f"status {error.status_code}" + (f": {reason}" if reason else "")
    except (openai.APIError, ValueError) as error:
        return "", type(error).__name__
    try:
        text = reply.choices[0].message.content
    except (AttributeError, IndexError, TypeError):
        return "", "a reply of another form"
    return (text, None) if isinstance(text, str) else ("", "a reply without text")


def _key(entry: JudgeEntry, messages: list[dict[str, str]]) -> str:
    """Hash of all that decides a verdict; the address, the key and a parameter's name do not."""
    request = [entry.model, entry.max_tokens, entry.output, messages]
    if entry.temperature != 0:  # the default is left out: journals from before there was a choice hold
        request.append(entry.temperature)
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:24]
