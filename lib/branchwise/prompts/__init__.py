"""The one renderer that makes every prompt, and the one reader that takes answers back."""

from branchwise.prompts.reading import Reading, read_many, read_one
from branchwise.prompts.rendering import (
    Message,
    assistant,
    everything,
    first_turn,
    num_shown,
    single,
    turn,
)
from branchwise.prompts.style import PromptStyle, numbered
from branchwise.prompts.styled import reading_of, readings_of

__all__ = [
    "Message",
    "PromptStyle",
    "Reading",
    "assistant",
    "everything",
    "first_turn",
    "num_shown",
    "numbered",
    "read_many",
    "read_one",
    "reading_of",
    "readings_of",
    "single",
    "turn",
]
