"""What strategies that ask several wordings of a question have in common."""

from pydantic import Field

from branchwise.data.types import Question
from branchwise.prompts.wordings import wordings_of
from branchwise.records import Record


class WordingOptions(Record):
    """Which wordings of a question are asked: its own text, and some of its paraphrases."""

    wordings: int = Field(
        5,
        ge=1,
        le=100,
        description="Wordings of a question, its own among them; fewer where it has fewer.",
    )
    seed: int = Field(
        0, ge=0, description="Which paraphrases: those of a smaller number are among those of a larger."
    )

    @property
    def weighs(self) -> bool:
        """Whether wordings count by confidence."""
        return False

    def of(self, question: Question) -> list[str]:
        """The wordings of a question, its own first."""
        return wordings_of(question, self.wordings, self.seed)
