"""What goes to a server, and what is read of its reply: typed, or a fault where it is not what was asked
for.
"""

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from branchwise.serving.faults import FILTERED, FLAGGED, SILENT, Asked, Fault, of_error
from branchwise.serving.prices import Price
from branchwise.serving.replies import ServedReply

Endpoint = Literal["chat", "completions"]
WRONG_USAGE, OTHER_MODEL = "wrong usage", "answered as "

_WHOLE = frozenset({None, "", "stop", "eos", "eos_token", "end_turn", "stop_sequence", "completed"})
_CUT = frozenset({"length", "max_tokens", "model_length"})
_MOST_TOKENS, _MOST_MS = 10**12, 1e12
"""What a server cannot have counted or measured: numbers beyond would spoil every sum."""


class Wanted(NamedTuple):
    """A request: where it goes, what it says (`extra` beside the client's known parameters), and for how
    many tokens at most.
    """

    endpoint: Endpoint
    body: dict[str, Any]
    max_tokens: int
    stop_texts: Sequence[str] = ()
    extra: Mapping[str, Any] = MappingProxyType({})

    @property
    def expected_tokens(self) -> int:
        """About so many tokens, at most: four letters a token."""
        said = self.body.get("messages") or self.body.get("prompt")
        return len(json.dumps(said)) // 4 + self.max_tokens


class Reader(NamedTuple):
    """Reads the replies of one model: as it was asked for, as the server calls it where that is another
    name, and what it costs.
    """

    model: str
    served_as: str | None
    price: Price | None

    def read(
        self, content: dict[str, Any], wanted: Wanted, taken_s: float, stops_sent: bool = True
    ) -> ServedReply:
        """A reply's body, typed. Raises Fault where it is not what was asked for."""
        choice = _first(content)
        finish = choice.get("finish_reason")
        if finish == "content_filter":
            raise Fault(FILTERED, content=content)
        if not isinstance(finish, str | None) or finish not in _WHOLE | _CUT:
            # What there is of an answer is none: the provider broke off, or wants to call a tool.
            raise Fault(f"ended by {finish}"[:60])
        text = choice.get("text") if wanted.endpoint == "completions" else _said(choice)
        if not isinstance(text, str):
            raise Fault(SILENT, content=content)
        model = content.get("model")
        if not isinstance(model, str) or not self.is_mine(model):
            raise Fault(f"{OTHER_MODEL}{model}")
        prompt, cached, generated = _usage(content, wanted.max_tokens)
        stop_text = _stop_text(choice, finish, wanted.stop_texts) if stops_sent else None
        # Half a character that a cut has left cannot be written down.
        text = text.encode("utf-8", "replace").decode()
        cut = min((at for stop in wanted.stop_texts if (at := text.find(stop)) >= 0), default=None)
        if cut is not None:
            stop_text = next(stop for stop in wanted.stop_texts if text.find(stop) == cut)
            text = text[:cut]
        fingerprint = content.get("system_fingerprint")
        return ServedReply(
            text=text,
            stop="length" if finish in _CUT and cut is None else "stop",
            stop_text=stop_text,
            prompt_tokens=prompt,
            cached_tokens=cached,
            generated_tokens=generated,
            model=model,
            fingerprint=fingerprint if isinstance(fingerprint, str) else None,
            attempts=1,
            waited_s=0.0,
            taken_s=taken_s,
            server_s=_server_s(content),
            cost=self.cost(prompt, cached, generated) if self.price else None,
        )

    def empty(self, fault: Fault, taken_s: float) -> ServedReply | None:
        """An empty reply, where the last attempt was one that holds no answer; None elsewhere. A prompt
        that was refused is no token's: nothing was computed.
        """
        if fault.content is None or fault.kind not in (FILTERED, SILENT, FLAGGED):
            return None
        try:
            counts = (0, 0, 0) if fault.kind == FLAGGED else _usage(fault.content, None)
        except Fault:
            return None
        prompt, cached, generated = counts
        finish = None if fault.kind == FLAGGED else _first(fault.content).get("finish_reason")
        return ServedReply(
            text="",
            stop="length" if finish in _CUT else "stop",
            prompt_tokens=prompt,
            cached_tokens=cached,
            generated_tokens=generated,
            model=str(fault.content.get("model", self.model)),
            attempts=1,
            waited_s=0.0,
            taken_s=taken_s,
            # What an attempt without an answer cost is counted with those that failed.
            cost=0.0 if self.price else None,
        )

    def cost(self, prompt: float, cached: float, generated: float) -> float:
        """What so many tokens cost; nothing where there is no price."""
        return self.price.of(prompt, cached, generated) if self.price else 0.0

    def cost_of(self, content: dict[str, Any]) -> float:
        """What a reply costs, whatever else is wrong with it; nothing where it has no usage."""
        try:
            return self.cost(*_usage(content, None))
        except Fault:
            return 0.0

    def is_mine(self, model: str) -> bool:
        """Whether a name in a reply is that of the model that was asked: as its entry says, or the name
        that was asked for, in a folder, with a revision or with a date behind it.
        """
        if self.served_as is not None:
            return model == self.served_as
        asked = rf"(.*/)?{re.escape(self.model)}([@:].*|-\d[\d-]*)?"
        return re.fullmatch(asked, model, re.IGNORECASE) is not None


def error_in(content: dict[str, Any], asked: Asked) -> Exception | None:
    """The error that a reply of status 200 holds, in its body or its choice; None where there is none."""
    choices = content.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    for holder in (content, first):
        error = holder.get("error") if isinstance(holder, dict) else None
        if error:
            code = error.get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 502
            return of_error(status, {"error": error}, asked)
    return None


def _first(content: dict[str, Any]) -> dict[str, Any]:
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Fault("no choices")
    return choices[0]


def _said(choice: dict[str, Any]) -> str | None:
    """The text of a message: whole, or in parts."""
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str)) if parts else None
    return content if isinstance(content, str) else None


def _usage(content: dict[str, Any], max_tokens: int | None) -> tuple[int, int, int]:
    """Tokens of the prompt, of these cached, and generated. Raises Fault where they cannot be right.

    Some providers count tokens of thought in the total alone; they are generated, too, and beyond the
    limit of what was asked for.
    """
    usage = content.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    prompt, said = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    cached = min(prompt, _detail(usage, "prompt_tokens_details", "cached_tokens"))
    thought = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    total = usage.get("total_tokens")
    total = prompt + said if total is None else _count(total)
    is_right = prompt > 0 and total >= prompt + said
    if not is_right or (max_tokens is not None and said > max_tokens + thought + 1):
        raise Fault(WRONG_USAGE)
    return prompt, cached, total - prompt


def _detail(usage: dict[str, Any], details: str, name: str) -> int:
    found = usage.get(details)
    return _count((found.get(name) if isinstance(found, dict) else None) or 0)


def _count(number: Any) -> int:
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _MOST_TOKENS:
        raise Fault(WRONG_USAGE)
    return number


def _stop_text(choice: dict[str, Any], finish: Any, stop_texts: Sequence[str]) -> str | None:
    """Which stop text ended a reply that holds none: as the server says, and where it only says that it
    stopped, the first that was asked for.
    """
    if finish != "stop" or not stop_texts:
        return None
    if "stop_reason" in choice:
        said = choice["stop_reason"]
        return said if isinstance(said, str) else None
    return stop_texts[0]


def _server_s(content: dict[str, Any]) -> float | None:
    """Seconds that the server says it has computed (llama.cpp does)."""
    timings = content.get("timings")
    if not isinstance(timings, dict):
        return None
    parts = [timings.get(name) for name in ("prompt_ms", "predicted_ms")]
    numbers = [part for part in parts if isinstance(part, int | float) and 0 <= part < _MOST_MS]
    return sum(numbers) / 1000 if len(numbers) == len(parts) else None
