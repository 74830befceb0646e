"""How well found dependencies agree with known ones."""

from collections.abc import Iterable

Edge = tuple[str, str]
"""(needed question, question that needs it)."""


def edge_scores(found: Iterable[Edge], known: Iterable[Edge]) -> dict[str, float | None]:
    """`precision`, `recall` and `f1` of directed edges, and `turned`: the share of found edges that
    are known ones the other way round. None where there is nothing to divide by.
    """
    found_set, known_set = {tuple(e) for e in found}, {tuple(e) for e in known}
    right = len(found_set & known_set)
    turned = sum((b, a) in known_set for a, b in found_set - known_set)
    both = len(found_set) + len(known_set)
    return {
        "precision": right / len(found_set) if found_set else None,
        "recall": right / len(known_set) if known_set else None,
        "f1": 2 * right / both if both else None,
        "turned": turned / len(found_set) if found_set else None,
    }
