"""Which strategies run on which decoders, and why others do not: a table for the README."""

from collections.abc import Iterator
from typing import Any

from branchwise.config.catalogues import Catalogues, missing_verbs
from branchwise.config.decoding import trained_gap
from branchwise.decoding.decoders import DECODERS
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.strategies.entry import StrategyEntry
from branchwise.strategies.loading import states

BEGIN, END = "<!-- compatibility: begin -->", "<!-- compatibility: end -->"
_FIRST = ("tree", "hf", "vllm", "api")
"""Kinds in this order, others behind them."""
_YES = "yes"


def compatibility(catalogues: Catalogues) -> str:
    """A Markdown table: strategies of the catalogue that run alike, and every kind of decoder."""
    kinds: dict[str, Any] = {kind: DECODERS[kind] for kind in _FIRST} | DECODERS
    decoders = {kind: entry(kind=kind) for kind, entry in kinds.items()}
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, strategy in catalogues.strategies.items():
        row = tuple(_gap(catalogues, strategy, decoder) for decoder in decoders.values())
        alike.setdefault(row, []).append(name)
    return "\n".join(_lines(alike, list(decoders)))


def _lines(alike: dict[tuple[str, ...], list[str]], kinds: list[str]) -> Iterator[str]:
    yield f"| strategy | {' | '.join(kinds)} |"
    yield f"| --- | {' | '.join('---' for _ in kinds)} |"
    for row, names in sorted(alike.items(), key=lambda pair: sum(cell != _YES for cell in pair[0])):
        yield f"| {', '.join(f'`{name}`' for name in names)} | {' | '.join(row)} |"


def _gap(catalogues: Catalogues, strategy: StrategyEntry, decoder: DecoderSettings) -> str:
    """Why a strategy does not run on a decoder; yes where it does, with what it needs of the entry."""
    if missing := missing_verbs(strategy, decoder):
        return f"no {', '.join(missing)}"
    if gap := trained_gap(catalogues, strategy, decoder):
        return f"no {gap}"
    return "with `sampling`" if states(strategy.module, "DRAWS") else _YES


def with_table(readme: str, catalogues: Catalogues) -> str:
    """The README with the table of today between its marks; as it is where it has none."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        return readme
    return f"{before}{BEGIN}\n{compatibility(catalogues)}\n{END}{after}"
