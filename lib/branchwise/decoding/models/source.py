"""A model that is meant, and loaded once somebody asks for its weights."""

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.files import folder_hash
from branchwise.decoding.models.loading import Loaded, load_model
from branchwise.decoding.models.places import place_of
from branchwise.decoding.trained.attaching import trained
from branchwise.decoding.trained.folder import read_record


class ModelSource:
    """An entry, with what a checkpoint makes of it if there is one.

    Each source loads weights of its own: what is trained in one is in no other. A decoder of a served
    model reads the entry alone; one that computes takes `loaded`.
    """

    def __init__(self, entry: ModelEntry, checkpoint: Path | None = None) -> None:
        self.entry = entry
        self.checkpoint = checkpoint
        # What is trained stays in the model for as long as the source lives.
        self._trained = ExitStack()

    @cached_property
    def loaded(self) -> Loaded:
        """Weights and tokenizer. Raises UserError as `load_model` and `trained` do."""
        loaded = load_model(self.entry)
        if self.checkpoint is None:
            return loaded
        mixing = self._trained.enter_context(trained(loaded.model, self.checkpoint, loaded.folder))
        return loaded._replace(mixing=mixing)

    @property
    def files_hash(self) -> str | None:
        """Hash of the files that were loaded; None where none were."""
        return folder_hash(self.loaded.folder) if self.is_loaded else None

    @cached_property
    def trained(self) -> dict[str, Any]:
        """What is known of its checkpoint: name, parts, step, and how it was trained; empty without
        one.
        """
        if self.checkpoint is None:
            return {}
        record = read_record(self.checkpoint)
        if record is None:
            return {"name": self.checkpoint.name, "parts": ["adapter"]}
        known = record.model_dump(mode="json", include={"name", "parts", "step", "facts", "settings"})
        return known | {"base": record.base.name}

    @property
    def is_loaded(self) -> bool:
        """Whether anybody asked for the weights."""
        return "loaded" in vars(self)

    @cached_property
    def tokenizer(self) -> ChatTokenizer:
        """The tokenizer, without weights where none are loaded. Raises UserError as loading does."""
        if self.is_loaded:
            return self.loaded.chat
        folder = place_of(self.entry).folder
        return ChatTokenizer.load(folder, self.entry.thinking, self.entry.template_date)

    @property
    def chat(self) -> ChatTokenizer | None:
        """The tokenizer; None where nobody asked for it, or for weights."""
        return self.tokenizer if self.is_loaded or "tokenizer" in vars(self) else None
