"""CMRC 2018 (Cui et al., 2019): questions about Chinese Wikipedia passages, answered by a phrase."""

from typing import Literal

from branchwise.data.sources.base import Citation, Hub, Revision, ScoredAs
from branchwise.data.sources.squad import SquadForm
from branchwise.data.style import Instruction


class Cmrc2018Dataset(SquadForm):
    """CMRC 2018, grouped by passage."""

    citation = Citation(
        "Cui et al., 2019. A Span-Extraction Dataset for Chinese Machine Reading Comprehension. EMNLP",
        "https://github.com/ymcui/cmrc2018",
        "CC BY-SA 4.0",
    )

    source: Literal["cmrc2018"]
    instruction: Instruction = "请用原文中最短的词语回答问题。"
    hub: Hub = "hfl/cmrc2018"
    revision: Revision = "137f2c45a24275fb68f6961c4d357f46288886aa"
    scorer: ScoredAs = "cmrc"
