"""vLLM in the same process, in a config."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from branchwise.decoding.contract import Decoder, Verb
from branchwise.decoding.decoders.base import FormSettings

if TYPE_CHECKING:
    from pathlib import Path

    from branchwise.decoding.models.source import ModelSource


class VllmEntry(FormSettings):
    """vLLM in this process, on a GPU (extra `vllm`): its scheduler, prefix cache and kernels."""

    offers: ClassVar[frozenset[Verb]] = frozenset({"ask"})

    takes_trained: ClassVar[Literal["all", "adapters", "nothing"]] = "adapters"

    kind: Literal["vllm"]
    tensor_parallel: int = Field(1, ge=1, description="GPUs that share each matrix.")
    memory_share: float = Field(0.9, gt=0, le=1, description="Of each GPU's memory, for it all.")
    max_context: int | None = Field(
        None, ge=1, description="Tokens of a prompt and its answer; null: the model's own."
    )
    prefix_caching: bool = Field(True, description="Whether prompts that begin alike share that.")
    eager: bool = Field(False, description="Without CUDA graphs: slower, and begun sooner.")
    more: dict[str, Any] = Field({}, description="Further arguments of `vllm.LLM`, as they are.")

    def __hash__(self) -> int:
        """Of its JSON data: `more` is a mapping."""
        return hash(self.model_dump_json())

    def make(self, source: "ModelSource", replies: "Path | None" = None) -> Decoder:
        """VLLM around the model's folder. Raises UserError where it is not installed."""
        from branchwise.decoding.vllm_engine import VllmDecoder

        decoder = VllmDecoder(self, source)
        decoder.sampling = self.made_sampling()
        decoder.form = self.made_form()
        return decoder
