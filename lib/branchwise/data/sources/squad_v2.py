"""SQuAD 2.0 (Rajpurkar et al., 2018): SQuAD with as many questions that the passage does not answer."""

from typing import Literal

from branchwise.data.sources.base import Citation, Hub, Revision, ScoredAs
from branchwise.data.sources.squad import SquadForm
from branchwise.data.style import Instruction
from branchwise.data.types import NO_ANSWER


class SquadV2Dataset(SquadForm):
    """SQuAD 2.0, grouped by passage. Where the passage holds no answer (an empty list of answers), the
    gold is "no answer" and the kind no_answer, else has_answer; plausible answers are none.
    """

    citation = Citation(
        "Rajpurkar et al., 2018. Know What You Don't Know: Unanswerable Questions for SQuAD. ACL",
        "https://rajpurkar.github.io/SQuAD-explorer/",
        "CC BY-SA 4.0",
    )
    has_unanswerable = True

    source: Literal["squad_v2"]
    instruction: Instruction = (
        f"Answer from the text with the shortest phrase from it, or say {NO_ANSWER} where it holds none."
    )
    hub: Hub = "rajpurkar/squad_v2"
    revision: Revision = "3ffb306f725f7d2ce8394bc1873b24868140c412"
    scorer: ScoredAs = "squad_v2"
