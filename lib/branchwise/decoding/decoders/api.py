"""A model on a server, in a config."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import model_validator

from branchwise.decoding.contract import Decoder, Verb
from branchwise.decoding.decoders.base import FormSettings
from branchwise.decoding.models.entry import ModelEntry
from branchwise.serving.entry import NOT_ASKED, ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from branchwise.decoding.models.source import ModelSource


class ApiEntry(ServerSettings, FormSettings):
    """An OpenAI-compatible server: OpenAI, OpenRouter, DeepSeek, Together, vLLM, SGLang, llama.cpp,
    transformers serve, and others.
    """

    offers: ClassVar[frozenset[Verb]] = frozenset({"ask"})
    is_remote: ClassVar[bool] = True
    takes_trained: ClassVar[Literal["all", "adapters", "nothing"]] = "nothing"
    not_computed: ClassVar[frozenset[str]] = NOT_ASKED

    kind: Literal["api"]

    @model_validator(mode="after")
    def _server_holds(self) -> "ApiEntry":
        if (self.constrain is None) != (self.structured is None):
            raise ValueError(
                "`constrain` says what answers are held to, `structured` how this server is asked for "
                "it: give both or none"
            )
        if self.structured == "schema" and self.constrain != "json":
            raise ValueError(
                f"`structured: schema` holds answers to JSON, not to `constrain: {self.constrain}`: use "
                "vllm or sglang for that"
            )
        if self.renders == "server" and self.max_context is not None:
            raise ValueError(
                "nobody here counts the tokens of prompts that the server writes: leave out max_context, "
                "or take `renders: here`"
            )
        if self.renders == "here" and self.prefill is not None:
            raise ValueError("prompts that are written here end in any text: leave out `prefill`")
        return self

    def problem_with(self, name: str, model: ModelEntry) -> tuple[str, str] | None:
        """Why it cannot ask for a model, and what to do; None where it can."""
        if model.server_name is None:
            return (
                f"model {name} has no name on a server",
                f"give its entry `served:`, the name by which {self.base_url} knows it",
            )
        if self.renders == "here" and not model.is_here:
            return (
                f"prompts for model {name} are to be written here (`renders: here`), and nobody says "
                "where its tokenizer lies",
                "give its entry path, hub or gguf, or take `renders: server`",
            )
        return None

    def make(self, source: "ModelSource", replies: "Path | None" = None) -> Decoder:
        """The server as a decoder."""
        from branchwise.decoding.served import ServedDecoder

        chat = source.tokenizer if self.renders == "here" else None
        return ServedDecoder(self, source.entry, replies, self.made_sampling(), self.made_form(), chat)
