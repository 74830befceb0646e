"""The one renderer that makes every prompt, and the one reader that takes answers back."""

from branchwise.data.style import PromptStyle
from branchwise.prompts.reading import Reading, read_many, read_one
from branchwise.prompts.rendering import (
    Message,
    assistant,
    everything,
    numbered,
    single,
    turn,
)

__all__ = [
    "Message",
    "PromptStyle",
    "Reading",
    "assistant",
    "everything",
    "numbered",
    "read_many",
    "read_one",
    "single",
    "turn",
]
