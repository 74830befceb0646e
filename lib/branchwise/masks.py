"""The file of an attention mask as it was used, typed: which token saw which. Torch-free."""

from typing import Literal

from pydantic import Field, model_validator

from branchwise.records import Record

MASK_VERSION: Literal[1] = 1


class Segment(Record):
    """A node of the token tree: a run of tokens with parents."""

    label: str = Field(description="What it is: instruction and context, wording 2, answer, ...")
    kind: Literal["prompt", "generated"]
    parents: tuple[int, ...] = Field(description="Segments right above it, by their place here.")
    group: str | None = Field(description="The group it was computed for; null: for all groups.")
    text: str


class MaskRecord(Record):
    """The mask of one group, token by token, in the order of computing.

    All rows have one entry a token. Where layers have a sliding window, they saw less than `seen` says:
    of it, what lies fewer than so many logical positions back.
    """

    schema_version: Literal[1] = MASK_VERSION
    cell: dict[str, str]
    group: str
    commit: str | None
    dirty: bool | None = Field(description="Whether tracked files differed from the commit.")
    kernel: str = Field(description="The attention kernel that took the mask.")
    window: int | None = Field(description="Window of `seen`; null: there was a layer without any.")
    windows: tuple[int, ...] = Field(description="Windows to which some layers narrowed the mask.")
    segments: tuple[Segment, ...] = Field(description="In the order in which they began.")
    tokens: tuple[str, ...] = Field(description="The text of each.")
    ids: tuple[int, ...]
    segment: tuple[int, ...] = Field(description="The segment of each.")
    positions: tuple[int, ...] = Field(description="Logical ones.")
    x: tuple[int, ...] = Field(description="Place of the branch beside the line of positions.")
    passes: tuple[int, ...] = Field(description="The forward pass that computed each, from 0.")
    seen: tuple[tuple[tuple[int, int], ...], ...] = Field(
        description="Of each the tokens that it saw, itself among them, as runs (first, last + 1)."
    )

    @model_validator(mode="after")
    def _fits(self) -> "MaskRecord":
        rows = (self.ids, self.segment, self.positions, self.x, self.passes, self.seen)
        if any(len(row) != len(self.tokens) for row in rows):
            raise ValueError("not all rows have an entry a token")
        if not all(0 <= number < len(self.segments) for number in self.segment):
            raise ValueError("a token lies in no segment")
        # Branches that peek see tokens that are computed beside them, in whatever order.
        there = {passed: number + 1 for number, passed in enumerate(self.passes)}
        for number, runs in enumerate(self.seen):
            if not all(0 <= first < last <= there[self.passes[number]] for first, last in runs):
                raise ValueError(f"token {number} saw what was not there yet")
        return self


def runs_of(numbers: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Rising numbers as maximal runs (first, last + 1)."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return tuple(runs)
