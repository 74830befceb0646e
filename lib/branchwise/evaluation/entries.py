"""The catalogue entry of a judge."""

from typing import Any, Literal

from pydantic import Field, model_validator

from branchwise.records import Record
from branchwise.serving.address import VARIABLE, key_name


class JudgeEntry(Record):
    """An LLM that grades answers, on any OpenAI-compatible server."""

    model: str = Field(
        description="The judge's name on its server; with `decoder`, in the catalogue of models."
    )
    decoder: str | None = Field(
        None,
        description="Decoder from the catalogue that asks the judge, here or on a server, with all that "
        "it says of it: fields of the server and its requests are then left out here, but max_tokens and "
        "parallel. Default: the server of this entry.",
    )
    base_url: str = Field("https://api.openai.com/v1", description="Address of the server.")
    key_variable: str | None = Field(
        None,
        pattern=VARIABLE,
        description="Environment variable that holds the key; never the key itself. Null: OPENAI_API_KEY "
        "for OpenAI's own address, none for others.",
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

    @model_validator(mode="after")
    def _asked_by_one(self) -> "JudgeEntry":
        if self.decoder is not None and (given := sorted(OF_SERVER & self.model_fields_set)):
            values = {name: getattr(self, name) for name in given}
            defaults = {name: type(self).model_fields[name].default for name in given}
            if values != defaults:
                raise ValueError(
                    f"{', '.join(given)}: the decoder says that; leave it out here, or the decoder"
                )
        return self

    @property
    def key_name(self) -> str | None:
        """The environment variable with the key; None where no key is sent."""
        return key_name(self.base_url, self.key_variable)

    def recorded(self) -> dict[str, Any]:
        """What results say of the judge: of one that a decoder asks, not what is the decoder's."""
        left_out = OF_SERVER if self.decoder is not None else frozenset()
        return self.model_dump(mode="json", exclude=set(left_out))


OF_SERVER = frozenset(
    "base_url key_variable output limit_parameter temperature timeout_s max_attempts".split()
)
"""Fields about a server and its requests, which a decoder has of its own."""
