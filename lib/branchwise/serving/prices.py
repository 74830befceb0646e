"""What a served model costs."""

import datetime

from pydantic import Field

from branchwise.records import Record

_MILLION = 1_000_000


class Price(Record):
    """A price list of one model, per million tokens, as it was on a day."""

    input: float = Field(ge=0, description="A million tokens of prompts.")
    output: float = Field(ge=0, description="A million generated tokens.")
    cached: float | None = Field(
        None, ge=0, description="A million tokens of prompts that the server had cached; default: input."
    )
    currency: str = Field("USD", description="In which it is paid.")
    date: datetime.date = Field(description="The day on which it was looked up.")
    source: str | None = Field(None, description="Where it was looked up.")

    def of(self, prompt_tokens: float, cached_tokens: float, generated_tokens: float) -> float:
        """The cost of one request."""
        cached = self.input if self.cached is None else self.cached
        computed = prompt_tokens - cached_tokens
        whole = computed * self.input + cached_tokens * cached + generated_tokens * self.output
        return whole / _MILLION
