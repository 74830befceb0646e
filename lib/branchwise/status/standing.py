"""What is said of each piece of work."""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """How far a piece of work is."""

    done = "done"
    running = "running"
    partly = "partly"
    failed = "failed"
    stale = "stale"
    missing = "missing"


class Standing(NamedTuple):
    """How far a piece of work is, and what there is to say of it, in a line."""

    state: State
    detail: str = ""


class Row(NamedTuple):
    """A piece of work with its stage (`cell`, `time`, `train`, `prepare`, ...), name and standing."""

    stage: str
    name: str
    state: State
    detail: str
