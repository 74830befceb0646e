"""What a config says of a server."""

import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from branchwise.records import Record
from branchwise.serving.address import VARIABLE, is_local, key_name
from branchwise.serving.dialect import LimitParameter

OWN = frozenset(
    "model messages prompt max_tokens max_completion_tokens stop stream n temperature top_p seed "
    "response_format".split()
)
"""Parameters of a request that this library sets itself."""


_SECRET = re.compile(r"(^|[_-])(api[_-]?key|key|token|secret|password|authorization)$", re.IGNORECASE)


class ServerSettings(Record):
    """An OpenAI-compatible server, and how to treat it."""

    base_url: str = Field(
        "https://api.openai.com/v1", description="Address of the server; most end in /v1."
    )
    key_variable: str | None = Field(
        None,
        pattern=VARIABLE,
        description="Environment variable that holds the key; never the key itself. Null: OPENAI_API_KEY "
        "for OpenAI's own address, none for a server on this machine; others need one.",
    )
    renders: Literal["server", "here"] = Field(
        "server",
        description="Who writes prompts in turns. server: it gets messages (chat endpoint), and writes "
        "them by its own template; here: it gets text (completions endpoint) that the model's own "
        "tokenizer has written, as for decoders that compute; the model's entry says where that lies.",
    )
    prefill: Literal["message", "continue"] | None = Field(
        None,
        description="How a chat endpoint takes the beginning of an answer, for styles that pre-fill one. "
        "message: as a last message of the assistant's (llama.cpp, OpenRouter, Anthropic); continue: "
        "with vLLM's and SGLang's `continue_final_message`; null: not at all: such styles are refused.",
    )
    structured: Literal["vllm", "sglang", "schema"] | None = Field(
        None,
        description="How `constrain` is asked for. vllm: `structured_outputs`; sglang: `regex`; schema: "
        "`response_format` with a JSON schema (OpenAI, llama.cpp), of `constrain: json` alone.",
    )
    temperature: float | None = Field(
        0.0, ge=0, le=2, description="Of greedy requests; null: not sent (some models refuse it)."
    )
    limit_parameter: LimitParameter = Field(
        "auto",
        description="What the server calls max_tokens; auto: max_tokens, and where it refuses that "
        "name, max_completion_tokens.",
    )
    extra: dict[str, Any] = Field(
        {},
        description="Sent along with every request as it is: `{provider: {order: [...]}}` of OpenRouter, "
        "`{chat_template_kwargs: {enable_thinking: false}}` of vLLM.",
    )
    max_context: int | None = Field(
        None,
        ge=1,
        description="Tokens of a prompt and its answer, where prompts are written here; null: the server "
        "says when it is over.",
    )
    concurrency: int = Field(
        16, ge=1, description="Requests under way at once, at most; fewer where the server asks for less."
    )
    requests_per_minute: int | None = Field(None, ge=1, description="Kept to evenly; null: no limit.")
    tokens_per_minute: int | None = Field(None, ge=1, description="The same of tokens, sent and made.")
    request_timeout_s: float = Field(120.0, gt=0, description="Of one attempt, from sent to read.")
    run_timeout_s: float | None = Field(
        None,
        gt=0,
        description="Of a cell or a stage: after so long nothing new is asked; the same command goes on.",
    )
    max_attempts: int = Field(10, ge=1, description="Of one request; waits grow between them.")
    max_wait_s: float = Field(
        60.0, gt=0, description="Between two attempts at most, where the server does not say how long."
    )
    cost_limit: float | None = Field(
        None,
        gt=0,
        description="What all that is asked of this server may cost in this results folder, in the "
        "currency of the models' prices; a request that could exceed it is not sent.",
    )

    serve: str | None = Field(
        None,
        description="Command that starts the server on this machine, for Snakemake (`branchwise serve`): "
        "`vllm serve <hub> --port <port>`, `llama-server -m <file> --port <port>`. Places: port (of "
        "base_url), folder, file (GGUF), hub, name. Null: it runs already.",
    )
    serve_wait_s: float = Field(600.0, gt=0, description="Until it has to answer.")

    def __hash__(self) -> int:
        """Of its JSON data: `extra` is a mapping."""
        return hash(self.model_dump_json())

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        """Raises ValueError for what is no address, and for one that holds a key."""
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{value!r} is no address: write http://host:port/v1 or https://host/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError(
                "the address holds a user, a password or a query, which would stand in every result: "
                "name the variable with the key (key_variable), and put other words into `extra`"
            )
        return value.rstrip("/")

    @model_validator(mode="after")
    def _key_is_named(self) -> "ServerSettings":
        if self.key_name is None and not self.is_local:
            raise ValueError(
                f"nobody says which variable holds the key of {self.base_url}: write `key_variable:`"
            )
        return self

    @model_validator(mode="after")
    def _may_serve(self) -> "ServerSettings":
        if self.serve is not None and not (self.is_local and urlsplit(self.base_url).port):
            raise ValueError(
                f"`serve` starts a server on this machine, and base_url is {self.base_url}: write "
                "http://127.0.0.1:PORT/v1"
            )
        return self

    @field_validator("extra")
    @classmethod
    def _is_extra(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Raises ValueError for parameters that are set here, and for what may be a key."""
        if taken := sorted(OWN & set(value)):
            raise ValueError(f"{', '.join(taken)}: set by other fields, or by the strategy: leave it out")
        if secret := next((name for name in _names_in(value) if _SECRET.search(name)), None):
            raise ValueError(
                f"{secret} may be a key, and would stand in every result: name the variable with the key "
                "(key_variable)"
            )
        return value

    @property
    def key_name(self) -> str | None:
        """The environment variable with the key; None where no key is sent."""
        return key_name(self.base_url, self.key_variable)

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return is_local(self.base_url)


NOT_ASKED = frozenset(
    "key_variable concurrency requests_per_minute tokens_per_minute request_timeout_s run_timeout_s "
    "max_attempts max_wait_s cost_limit limit_parameter serve serve_wait_s".split()
)
"""Fields that no reply depends on."""


def _names_in(value: Any) -> Iterator[str]:
    """All names of a mapping, and of those within it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from _names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names_in(inner)
