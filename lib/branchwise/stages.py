"""What stages before answering give back for each group: a line of their files, with what it cost.

A stage is a catalogue, a field of strategies that names an entry of it, a key of a cell's settings and of
its files, all of one name: `stage` below.
"""

from typing import ClassVar

from pydantic import Field

from branchwise.dependencies.graph import Edge
from branchwise.records import Record
from branchwise.trace import Tokens


class GroupDependencies(Record):
    """One line of a file of dependencies: what was found for a group, what was kept, and its cost."""

    stage: ClassVar[str] = "dependencies"
    command: ClassVar[str] = "depend"
    verb: ClassVar[str] = "follows"
    """What a strategy does with it."""

    group: str
    generator: str = Field(description="Name in the catalogue of dependencies.")
    candidates: tuple[Edge, ...]
    edges: tuple[tuple[str, str], ...] = Field(description="Kept: (needed, needing).")
    known: tuple[tuple[str, str], ...] | None = Field(description="As the data states; null: unknown.")
    tokens: Tokens
    forward_passes: int
    wall_s: float
    fallback: str | None = Field(None, description="Why the heuristic's edges stand in; else null.")
    raw: str = Field("", description="What a model said.")
    num_dropped: int = Field(0, description="Items of a model's reply that were no edge.")
    matrix: tuple[tuple[float, ...], ...] | None = Field(
        None,
        description="Of generators that weigh every pair: row i holds how strongly question i needs each "
        "question, in the order of the group.",
    )


_SHARED_S = "The group's share, by tokens computed, of the time of all groups that were asked at once."


class QuestionParaphrases(Record):
    """The paraphrases of one question."""

    question: str = Field(description="Id of the question in its group.")
    kept: tuple[str, ...] = Field(description="In the order in which they were accepted.")
    dropped: dict[str, int] = Field(description="Reason -> how many were drawn and not kept.")
    missing: int = Field(description="How many fewer there are than were asked for.")
    cut_off: int = Field(0, description="Of those kept, how many the token budget ended.")


class GroupParaphrases(Record):
    """One line of a file of paraphrases: what was kept for each question, and what it cost."""

    stage: ClassVar[str] = "paraphrases"
    command: ClassVar[str] = "paraphrase"
    verb: ClassVar[str] = "asks"

    group: str
    generator: str = Field(description="Name in the catalogue of paraphrases.")
    questions: tuple[QuestionParaphrases, ...]
    tokens: Tokens
    forward_passes: int
    wall_s: float = Field(description=_SHARED_S)

    def counts(self) -> dict[str, int]:
        """How many were kept and are missing, and the reasons of those dropped."""
        found = {"kept": 0, "missing": 0, "cut_off": 0}
        for one in self.questions:
            found["kept"] += len(one.kept)
            found["missing"] += one.missing
            found["cut_off"] += one.cut_off
            for reason, number in one.dropped.items():
                found[reason] = found.get(reason, 0) + number
        return found


class WordingConfidence(Record):
    """One wording of a question: the answer to it, and how many samples agree with that."""

    text: str
    answer: str = Field(description="The likeliest one, as read.")
    confidence: float = Field(ge=0, le=1, description="Share of the samples that agree with it.")


class QuestionConfidence(Record):
    """The wordings of one question, its own first."""

    question: str = Field(description="Id of the question in its group.")
    wordings: tuple[WordingConfidence, ...]


class GroupConfidence(Record):
    """One line of a file of confidence: of every wording of a group's questions, and what it cost."""

    stage: ClassVar[str] = "confidence"
    command: ClassVar[str] = "confide"
    verb: ClassVar[str] = "weighs by"

    group: str
    generator: str = Field(description="Name in the catalogue of confidence.")
    questions: tuple[QuestionConfidence, ...] = Field(description="None where the group does not fit.")
    unfit: str | None = Field(None, description="Why the group was not asked; else null.")
    tokens: Tokens
    forward_passes: int
    wall_s: float = Field(description=_SHARED_S)


StageRow = GroupDependencies | GroupParaphrases | GroupConfidence
STAGES: tuple[type[StageRow], ...] = (GroupDependencies, GroupParaphrases, GroupConfidence)
"""All stages, in the order in which they are run."""

Before = tuple[StageRow, ...]
"""What the stages that a strategy uses gave for one group."""
