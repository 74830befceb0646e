"""XQuAD (Artetxe et al., 2020): a part of SQuAD's development set, translated into eleven languages."""

from typing import Any, Literal

from pydantic import Field, model_validator

from branchwise.data.sources.base import Citation, Hub, HubConfig, Revision
from branchwise.data.sources.squad import SquadForm
from branchwise.data.style import Instruction


class XquadDataset(SquadForm):
    """XQuAD, grouped by passage; one language an entry."""

    citation = Citation(
        "Artetxe et al., 2020. On the Cross-lingual Transferability of Monolingual Representations. ACL",
        "https://github.com/google-deepmind/xquad",
        "CC BY-SA 4.0",
    )

    source: Literal["xquad"]
    instruction: Instruction = (
        "Answer from the text with the shortest phrase from it, in the language of the text."
    )
    hub: Hub = "google/xquad"
    hub_config: HubConfig = Field("xquad.zh", description="xquad. and the language: th, ru, zh, ar, ...")
    revision: Revision = "51adfef1c1287aab1d2d91b5bead9bcfb9c68583"

    @model_validator(mode="before")
    @classmethod
    def _own_language(cls, content: Any) -> Any:
        """The language that the configuration names, where the entry names none."""
        if isinstance(content, dict) and "language" not in content:
            config = content.get("hub_config") or cls.model_fields["hub_config"].default
            return {**content, "language": str(config).rpartition(".")[2]}
        return content
