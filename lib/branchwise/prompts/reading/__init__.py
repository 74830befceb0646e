"""Answers read back from what a model said, by a table of rules (`ONE_RULES`, `CUT_RULES`).

`answer` is taken tolerantly (a missing tag does not make an answer wrong), `well_formed` is strict
(the reply is exactly what the format rule asked for). The two never mix: exact match is computed on
`answer`, the share of well-formed replies is a column of its own.
"""

from branchwise.prompts.reading.many import CUT_RULES, read_many
from branchwise.prompts.reading.one import CONTINUED, JSON, JSON_BEGUN, ONE_RULES, Rule, read_one
from branchwise.prompts.reading.result import Reading

__all__ = [
    "CONTINUED",
    "CUT_RULES",
    "JSON",
    "JSON_BEGUN",
    "ONE_RULES",
    "Reading",
    "Rule",
    "read_many",
    "read_one",
]
