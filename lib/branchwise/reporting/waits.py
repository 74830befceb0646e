"""Which question waited for which, as the trace of a group says."""

from collections.abc import Mapping, Sequence

from branchwise.trace import GroupTrace


def waited_for(trace: GroupTrace, made_by: Mapping[str, Sequence[int]]) -> dict[str, tuple[str, ...]]:
    """Questions that each question waited for directly, in the order of `made_by`, which gives the asks
    that made each answer. An ask of no question (a plan) passes on what it waited for itself.
    """
    owners: dict[int, set[str]] = {}
    for question, asks in made_by.items():
        for number in asks:
            owners.setdefault(number, set()).add(question)
    behind: list[set[str]] = []
    for ask in trace.asks:
        # Asks are in the order of asking, so those waited for come first.
        behind.append({name for n in ask.after for name in owners.get(n) or behind[n]})
    return {
        question: tuple(
            name for name in made_by if name != question and any(name in behind[n] for n in asks)
        )
        for question, asks in made_by.items()
    }
