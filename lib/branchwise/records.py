"""The base of everything that is read from or written to a file."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A typed record: frozen, unknown keys refused, and numbers that JSON cannot hold (NaN, infinity)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
