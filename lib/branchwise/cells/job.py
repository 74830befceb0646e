"""What one cell is told to do: everything that decides its answers. Torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.decoding.models.entry import ModelEntry
from branchwise.errors import UserError
from branchwise.prompts.style import PromptStyle
from branchwise.results import Identity
from branchwise.strategies.entry import StrategyEntry

T = TypeVar("T")


class Shard(NamedTuple):
    """The groups `number - 1`, `number - 1 + of`, ... of a cell: long and short ones in all shards alike,
    where a data set is in the order of their lengths.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From "2/4". Raises UserError for what is none."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise UserError(f"shard {text!r} is none", "write the second of four as 2/4")
        return cls(int(number), int(of))

    def of_groups(self, groups: Sequence[T]) -> list[T]:
        """Its own among all groups."""
        return list(groups[self.number - 1 :: self.of])

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class CellJob:
    """A cell with its entries. `roles` are the models of further roles that its strategy asks;
    `checkpoint` is the folder of what was trained for it, if anything was, and `training` names how.

    `shard`: which of its groups this job answers; None: all.

    `groups_in_flight` and `strict` (stop at a group that does not fit) change no answer. `replies`: the
    folder in which decoders of served models keep what they are told.
    """

    cell: dict[str, str]
    identity: Identity
    style: PromptStyle
    model: ModelEntry
    strategy: StrategyEntry
    decoder: DecoderSettings
    max_new_tokens: int
    threads: int
    roles: dict[str, ModelEntry] = field(default_factory=dict)
    checkpoint: Path | None = None
    training: str | None = None
    groups_in_flight: int = 1
    strict: bool = False
    replies: Path | None = None
    shard: Shard | None = None

    def replies_of(self, role: str) -> Path | None:
        """The file of what is told to one model; of each role its own."""
        if self.replies is None:
            return None
        folder = self.replies.joinpath(*list(self.cell.values())[:-1])
        return folder / f"{self.cell['decoder']}.{role}.jsonl"

    @property
    def label(self) -> str:
        """What messages call it."""
        return "/".join(self.cell.values())


@dataclass(frozen=True)
class CellFiles:
    """What a cell reads and writes: groups, its folder, its journal, and a file of each stage (see
    `branchwise.stages`) that its strategy uses. `ready`: a folder in which another job may have left
    the cell answered, as its only shard.
    """

    groups: Path
    out: Path
    journal: Path
    dependencies: Path | None = None
    paraphrases: Path | None = None
    confidence: Path | None = None
    ready: Path | None = None

    def of_stage(self, stage: str) -> Path | None:
        """The file of a stage, by its name."""
        return getattr(self, stage)
