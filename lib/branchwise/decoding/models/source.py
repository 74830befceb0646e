"""A model that is meant, and loaded once somebody asks for its weights."""

from functools import cached_property
from pathlib import Path

from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.files import folder_hash
from branchwise.decoding.models.loading import Loaded, load_model


class ModelSource:
    """An entry, with an adapter to be merged into its weights if there is one.

    A decoder of a served model reads the entry alone; one that computes takes `loaded`.
    """

    def __init__(self, entry: ModelEntry, checkpoint: Path | None = None) -> None:
        self.entry = entry
        self.checkpoint = checkpoint

    @cached_property
    def loaded(self) -> Loaded:
        """Weights and tokenizer. Raises UserError as `load_model` does."""
        return load_model(self.entry, self.checkpoint)

    @property
    def files_hash(self) -> str | None:
        """Hash of the files that were loaded; None where none were."""
        return folder_hash(self.loaded.folder) if self.is_loaded else None

    @property
    def is_loaded(self) -> bool:
        """Whether anybody asked for the weights."""
        return "loaded" in vars(self)

    @property
    def chat(self) -> ChatTokenizer | None:
        """The tokenizer; None where no weights were loaded."""
        return self.loaded.chat if self.is_loaded else None
