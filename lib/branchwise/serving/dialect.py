"""What a server takes: which parameters it knows by which names."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from branchwise.serving.faults import message_of

LimitParameter = Literal["auto", "max_tokens", "max_completion_tokens"]
MAY_GO = ("temperature", "seed", "stop")
"""Parameters without which a request can be made: replies are then as random as the server has them, and
cut here at stop texts.
"""


class Dialect:
    """The parameters of a run's requests. Where a server refuses one by its name (status 400 or 422), the
    request is made again without it, once for each; if that is taken, so are the later ones made.

    `adapted` says what was changed, `gone` what is left out.
    """

    def __init__(self, limit_parameter: LimitParameter) -> None:
        self._may_rename = limit_parameter == "auto"
        self._limit: str = "max_tokens" if limit_parameter == "auto" else limit_parameter
        self.gone: frozenset[str] = frozenset()
        self.adapted: list[str] = []

    async def create(self, call: Callable[..., Awaitable[Any]], max_tokens: int, **request: Any) -> Any:
        """The server's reply. Raises the client's errors, the first one where no change has helped."""
        import openai

        limit, gone = self._limit, self.gone
        first: Exception | None = None
        while True:
            sent = {key: value for key, value in request.items() if key not in gone}
            try:
                reply = await call(**sent, **{limit: max_tokens})
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                first = first or error
                refused = next((key for key in MAY_GO if key in sent and _names(error, key)), None)
                if refused is not None:
                    gone |= {refused}
                elif self._may_rename and limit == "max_tokens" and _names(error, "max_tokens"):
                    limit = "max_completion_tokens"
                else:
                    raise first from None
                continue
            if first is not None:
                self._remember(limit, gone)
            return reply

    def _remember(self, limit: str, gone: frozenset[str]) -> None:
        """Ask so from now on. Requests under way at once may each find the same."""
        if limit != self._limit:
            self.adapted.append(f"{limit} in place of {self._limit}")
        self.adapted += [f"no {name}" for name in MAY_GO if name in gone - self.gone]
        self._limit, self.gone = limit, gone | self.gone


def _names(error: Any, parameter: str) -> bool:
    """Whether an error is about a parameter: its `param`, or where it has none its message, says so."""
    param = error.body.get("param") if isinstance(error.body, dict) else None
    said = param if isinstance(param, str) and param else message_of(error)
    return re.search(rf"\b{parameter}\b", said) is not None
