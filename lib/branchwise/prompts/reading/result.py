"""What reading gives: an answer, the rule that read it, and whether the reply had the form asked for."""

from typing import NamedTuple


class Reading(NamedTuple):
    """What was read: the answer (empty where there is none), whether the reply is exactly what the format
    rule asked for, and the name of the rule that read it ("" only where nothing was read).
    """

    answer: str
    well_formed: bool
    rule: str = ""
