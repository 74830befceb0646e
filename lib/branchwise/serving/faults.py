"""What can go wrong with a request: what passes by itself, and what its sender has to mend."""

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from branchwise.errors import DoesNotFit, UserError

MAX_REASON_CHARS = 200
_NUM_SHOWN = 8  # so many characters of a key in a row are too many to show

FILTERED, SILENT, FLAGGED = "content filter", "no content", "prompt refused by a filter"
"""Faults of what was said or asked: an empty answer, where they stay."""

_PASSING = frozenset({408, 409, 425, 429})
_TOO_LONG = re.compile(
    r"context[ _]?(length|window|size)|(prompt|input|request)[^.]{0,20} (is|are) too long|max_model_len"
    r"|(input|prompt|total)[ _]token[^.]{0,40}exceed|exceed[^.]{0,40}(tokens|context)|too many tokens",
    re.IGNORECASE,
)
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
_FLAGGED = re.compile(r"\bflagged\b|moderation|content (management )?(filter|policy)", re.IGNORECASE)
_FLAGGED_CODES = frozenset({"content_filter", "invalid_prompt", "content_policy_violation"})
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


class Fault(Exception):  # noqa: N818 (what went wrong this time, not an error of the program)
    """An attempt that failed in a way that may pass: its `kind`, as it is counted, whether the server
    asks for less (`slow_down`), and for how long it wants to be left alone (seconds; None: it does not
    say). `content` is the reply's body, of one that holds no answer.
    """

    def __init__(
        self,
        kind: str,
        slow_down: bool = False,
        wait_s: float | None = None,
        content: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(kind)
        self.content = content
        self.kind = kind
        self.slow_down = slow_down
        self.wait_s = wait_s


def message_of(error: Any) -> str:
    """What a server says of an error: the message in its body, in any of the usual forms, or a body that
    is no JSON (the client hands it on as text).
    """
    return _message_in(error.body)


def _message_in(content: Any) -> str:
    if isinstance(content, list):
        content = content[0] if content else None
    for key in ("error", "message", "detail", "msg"):
        if isinstance(content, dict) and content.get(key):
            return _message_in(content[key])
    return content if isinstance(content, str) else ""


def server_reason(error: Any, key: str) -> str:
    """The reason of an error with a status, in one line, without the key or a part of it."""
    return _told(message_of(error), key)


def _told(text: str, key: str) -> str:
    text = re.sub(r"\bsk-\S+|(?<=[Bb]earer )\S+", "[key]", " ".join(text.split()))
    forms = {form for form in (key, quote(key, safe="")) if form}
    shown = {
        form[at : at + _NUM_SHOWN] for form in forms for at in range(max(1, len(form) - _NUM_SHOWN + 1))
    }
    text = " ".join("[key]" if any(part in word for part in shown) else word for word in text.split())
    return text if len(text) <= MAX_REASON_CHARS else f"{text[: MAX_REASON_CHARS - 3]}..."


class Asked(NamedTuple):
    """Who was asked, for messages: the server's address, the model, the key and its variable's name."""

    address: str
    model: str
    key: str
    key_variable: str | None


def of_status(error: Any, asked: Asked) -> Exception:
    """What a reply with an error's status means; see `of_error`."""
    return of_error(error.status_code, error.body, asked, wait_of(error.response.headers))


def of_error(status: int, body: Any, asked: Asked, wait_s: float | None = None) -> Exception:
    """What an error means: a Fault that may pass or leaves an answer empty, or a UserError that says what
    to mend (a DoesNotFit for a prompt that is too long).
    """
    message, codes = _message_in(body), _codes_of(body)
    said = f" ({reason})" if (reason := _told(message, asked.key)) else ""
    if status == 402 or (status == 429 and codes & _NO_MONEY):
        return UserError(
            f"the server {asked.address} wants to be paid{said}", "top up the account, or take another"
        )
    if status in _PASSING or status >= 500:
        return Fault(f"status {status}", status in (429, 503, 529), wait_s)
    if status in (400, 403, 422) and (codes & _FLAGGED_CODES or _FLAGGED.search(message)):
        return Fault(FLAGGED, content={})
    if status in (401, 403):
        return refused_key(asked, status, said)
    if status == 404:
        return UserError(
            f"the server {asked.address} knows no model {asked.model}, or no such path{said}",
            "correct `served:` in the model's entry, or base_url (it often ends in /v1)",
        )
    if status == 413 or (status in (400, 422) and (codes & _TOO_LONG_CODES or _TOO_LONG.search(message))):
        return DoesNotFit(
            f"a prompt is too long for {asked.model}{said}",
            "use a model with a longer context, smaller groups or a smaller max_new_tokens",
        )
    return UserError(
        f"the server {asked.address} refused a request (status {status}){said}",
        "see what it says; `extra` of the decoder and `served` of the model are sent along",
    )


def refused_key(asked: Asked, status: int, said: str = "") -> UserError:
    """What to mend where a server does not take the key, or wants one."""
    what, mend = f"the key in {asked.key_variable}", f"check the value of {asked.key_variable}"
    if asked.key_variable is None:
        what, mend = "a request without a key", "name the variable that holds it with key_variable"
    return UserError(
        f"the server {asked.address} refused {what} (status {status}){said}", f"{mend}, and base_url"
    )


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds for which a server wants to be left alone: Retry-After as a number or a date, or
    retry-after-ms; None where it says nothing that can be read.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return max(0.0, milliseconds / 1000)
    said = headers.get("retry-after")
    if (seconds := _number(said)) is not None:
        return max(0.0, seconds)
    try:
        moment = email.utils.parsedate_to_datetime(said or "")
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number < float("inf") else None


def _codes_of(body: Any) -> frozenset[str]:
    """What an error is called: its code and its type."""
    if isinstance(body, list):
        body = body[0] if body else None
    body = body.get("error", body) if isinstance(body, dict) else None
    codes = (body.get("code"), body.get("type")) if isinstance(body, dict) else ()
    return frozenset(code for code in codes if isinstance(code, str))
