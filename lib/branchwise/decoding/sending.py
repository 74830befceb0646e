"""What a served model is sent: requests in its server's words, and what is said back in ours."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.plain import plain_text
from branchwise.decoding.models.templates import THOUGHT_TAGS
from branchwise.decoding.requests import Request, Sampling
from branchwise.serving.entry import ServerSettings
from branchwise.serving.reading import Endpoint, Wanted

_ANSWERS = "answers"
"""The list of several answers: a schema has an object at its root."""


@dataclass(frozen=True)
class Sender:
    """Writes requests. `chat`: the tokenizer that writes prompts in turns, where the server is not to."""

    settings: ServerSettings
    chat: ChatTokenizer | None

    def wanted(self, request: Request) -> Wanted:
        """A request in the server's words."""
        body: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        messages = [dict(message) for message in request.messages]
        if request.form == "chat" and self.settings.renders == "server":
            if request.begun:
                messages.append({"role": "assistant", "content": request.begun})
                if self.settings.prefill == "continue":
                    extra |= {"continue_final_message": True, "add_generation_prompt": False}
            body["messages"] = messages
        else:
            body["prompt"] = self._prompt(request, messages)
        body |= self._drawn(request.rules.sampling, extra)
        self._hold(request, body, extra)
        rules = request.rules
        endpoint: Endpoint = "chat" if "messages" in body else "completions"
        return Wanted(endpoint, body, rules.max_new_tokens, rules.stop_texts, extra)

    def _prompt(self, request: Request, messages: Sequence[Mapping[str, str]]) -> str:
        """The prompt as one text."""
        if request.form == "completion":
            return plain_text(messages) + request.begun
        assert self.chat is not None, "`make` gives one where prompts are written here"
        return self.chat.prompt_text(messages, form=request.form, begun=request.begun)

    def _drawn(self, sampling: Sampling, extra: dict[str, Any]) -> dict[str, Any]:
        """How tokens are drawn; what OpenAI does not know goes to `extra`."""
        if not sampling.temperature:
            temperature = self.settings.temperature
            return {} if temperature is None else {"temperature": temperature}
        extra |= {"top_k": sampling.top_k} if sampling.top_k else {}
        extra |= {"min_p": sampling.min_p} if sampling.min_p else {}
        # Servers take seeds of 32 or 64 bits, with a sign.
        drawn = {"temperature": sampling.temperature, "seed": sampling.seed % 2**31}
        return drawn | ({"top_p": sampling.top_p} if sampling.top_p < 1 else {})

    def _hold(self, request: Request, body: dict[str, Any], extra: dict[str, Any]) -> None:
        """What the answer is held to, by the server."""
        if request.pattern is None:
            return
        match self.settings.structured:
            case "vllm":
                extra["structured_outputs"] = {"regex": request.pattern}
            case "sglang":
                extra["regex"] = request.pattern
            case _:
                schema = _schema(request.num_questions)
                wrapped = {"name": "answers", "strict": True, "schema": schema}
                body["response_format"] = {"type": "json_schema", "json_schema": wrapped}

    def said(self, request: Request, text: str) -> str:
        """A reply as a decoder that computes would give it: without the thought that a server's template
        has led to, and a list of answers without the object around it.
        """
        if request.form == "chat" and self.settings.renders == "server":
            text = without_thought(text)
        if request.pattern is not None and self.settings.structured == "schema":
            text = _unwrapped(text)
        return text


def without_thought(text: str) -> str:
    """What stands behind the last end of a thought; nothing where one has no end."""
    for start, end in THOUGHT_TAGS:
        if end in text:
            return text.rpartition(end)[2].lstrip()
        if text.lstrip().startswith(start):
            return ""
    return text


def _unwrapped(text: str) -> str:
    """The list in `{"answers": [...]}`, also of a reply that was cut off."""
    begun = re.match(rf'\s*\{{\s*"{_ANSWERS}"\s*:\s*(?=\[)', text)
    if begun is None:
        return text
    return re.sub(r"(?<=\])\s*\}\s*$", "", text[begun.end() :])


def text_of(wanted: Wanted) -> str:
    """A prompt as text, by which its beginning is compared."""
    if "prompt" in wanted.body:
        return wanted.body["prompt"]
    return "\n".join(f"{one['role']}: {one['content']}" for one in wanted.body["messages"])


def _schema(num_questions: int) -> dict[str, Any]:
    """JSON schema of an answer, or of several in a list."""
    answer: dict[str, Any] = {"answer": {"type": "string"}}
    fields = answer if num_questions == 1 else {"id": {"type": "integer"}, **answer}
    one = {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
    if num_questions == 1:
        return one
    several = {"type": "array", "items": one, "minItems": num_questions, "maxItems": num_questions}
    return {
        "type": "object",
        "properties": {_ANSWERS: several},
        "required": [_ANSWERS],
        "additionalProperties": False,
    }
