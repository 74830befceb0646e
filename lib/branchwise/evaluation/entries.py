"""The catalogue entry of a judge."""

from typing import Literal

from pydantic import Field

from branchwise.records import Record


class JudgeEntry(Record):
    """An LLM that grades answers, on any OpenAI-compatible server."""

    model: str = Field(description="The judge's name on its server.")
    base_url: str = Field("https://api.openai.com/v1", description="Address of the server.")
    key_variable: str = Field(
        "OPENAI_API_KEY", description="Environment variable that holds the key; never the key itself."
    )
    rubric: Literal["four", "single"] = Field(
        "four",
        description="four: fluency, relevance, completeness, proficiency; single: one score. 1 to 5.",
    )
    output: Literal["json_schema", "json_object", "text"] = Field(
        "json_schema", description="How far the server can hold its replies to JSON."
    )
    max_tokens: int = Field(512, ge=16, description="Tokens of a verdict.")
    limit_parameter: Literal["auto", "max_tokens", "max_completion_tokens"] = Field(
        "auto",
        description="What the server calls max_tokens; auto: max_tokens, and where it refuses that "
        "name, max_completion_tokens (judged.json says so).",
    )
    temperature: float | None = Field(
        0,
        ge=0,
        le=2,
        description="null: not sent. A server that refuses the parameter is asked without it "
        "(judged.json says so).",
    )
    timeout_s: float = Field(60, gt=0, description="Of one request.")
    max_attempts: int = Field(5, ge=1, description="Of one request; waits grow between them.")
    parallel: int = Field(8, ge=1, description="Requests under way at once.")

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, where a key is rarely wanted."""
        host = self.base_url.partition("://")[2]
        return host.startswith(("localhost", "127.0.0.1", "[::1]"))
