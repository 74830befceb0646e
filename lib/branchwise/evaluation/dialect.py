"""What a judge's server takes: which parameters it knows, and why it refuses a request."""

import re
from typing import Any, NamedTuple
from urllib.parse import quote

from branchwise.evaluation.entries import JudgeEntry

MAX_REASON_CHARS = 200
_NUM_SHOWN = 8  # so many characters of a key in a row are too many to show


class _Parameters(NamedTuple):
    """The two parameters that servers differ in."""

    limit: str
    temperature: float | None


class Dialect:
    """The parameters of a run's requests. Where a server refuses one by its name (status 400 or 422), the
    request is made again without it, once for each; if that is taken, so are the later ones made.

    `adapted` says what was changed.
    """

    def __init__(self, entry: JudgeEntry) -> None:
        self._entry = entry
        limit = "max_tokens" if entry.limit_parameter == "auto" else entry.limit_parameter
        self._parameters = _Parameters(limit, entry.temperature)
        self.adapted: list[str] = []

    async def create(self, client: Any, **request: Any) -> Any:
        """The server's reply. Raises the client's errors, the first one where no change has helped."""
        import openai

        sent = self._parameters
        first: Exception | None = None
        while True:
            options: dict[str, Any] = {sent.limit: self._entry.max_tokens}
            if sent.temperature is not None:
                options["temperature"] = sent.temperature
            try:
                reply = await client.chat.completions.create(**request, **options)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                first = first or error
                changed = self._without_refused(sent, error)
                if changed is None:
                    raise first from None
                sent = changed
                continue
            if first is not None and sent != self._parameters:
                self._remember(sent)
            return reply

    def _without_refused(self, sent: _Parameters, error: Any) -> _Parameters | None:
        """Other parameters, where an error names one that may be changed; each changes once."""
        if sent.temperature is not None and _names(error, "temperature"):
            return sent._replace(temperature=None)
        may_change = self._entry.limit_parameter == "auto" and sent.limit == "max_tokens"
        if may_change and _names(error, "max_tokens"):
            return sent._replace(limit="max_completion_tokens")
        return None

    def _remember(self, taken: _Parameters) -> None:
        """Ask so from now on. Requests under way at once may each find the same."""
        before, self._parameters = self._parameters, taken
        if taken.limit != before.limit:
            self.adapted.append(f"{taken.limit} in place of {before.limit}")
        if taken.temperature != before.temperature:
            self.adapted.append("no temperature")


def _names(error: Any, parameter: str) -> bool:
    """Whether an error is about a parameter: its `param`, or where it has none its message, says so."""
    param = error.body.get("param") if isinstance(error.body, dict) else None
    said = param if isinstance(param, str) and param else _message(error)
    return re.search(rf"\b{parameter}\b", said) is not None


def _message(error: Any) -> str:
    """What the server says of an error: the message in its body, in any of the usual forms, or a body
    that is no JSON (the client hands it on as text).
    """
    content = error.body
    for key in ("error", "message", "detail"):
        if isinstance(content, dict) and content.get(key):
            content = content[key]
    return content if isinstance(content, str) else ""


def server_reason(error: Any, key: str) -> str:
    """The reason of an error with a status, in one line, without the key or a part of it."""
    text = " ".join(_message(error).split())
    text = re.sub(r"\bsk-\S+|(?<=[Bb]earer )\S+", "[key]", text)
    forms = {form for form in (key, quote(key, safe="")) if form}
    shown = {
        form[at : at + _NUM_SHOWN] for form in forms for at in range(max(1, len(form) - _NUM_SHOWN + 1))
    }
    text = " ".join("[key]" if any(part in word for part in shown) else word for word in text.split())
    return text if len(text) <= MAX_REASON_CHARS else f"{text[: MAX_REASON_CHARS - 3]}..."
