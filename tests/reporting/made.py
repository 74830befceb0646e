"""Made results for figures: any grid, real-looking ids, scored by the real scorer."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.reporting.timed import made_times

from branchwise.config import Cell
from branchwise.config.load import parse_experiment
from branchwise.evaluation.score import score_cell
from branchwise.reporting.frames import Results
from branchwise.reporting.times import Times
from branchwise.results import (
    AnswerRow,
    GroupDependencies,
    GroupRun,
    Identity,
    RunRecord,
    Scores,
    Tokens,
)

TOKENS = Tokens(sent=400, unique=100, cached=300, generated=60, padding=7)
FREE = Tokens(sent=0, unique=0, cached=0, generated=0, padding=0)
SCORING = Identity(settings={"scorer": "squad", "language": "en"}, code="")
WORLD = {"source": "worlds", "kinds": ["two_hop"], "group_size": 5, "num_groups": 3}

Pair = tuple[str, str]


def real_id(*parts: object) -> str:
    """24 hex digits, as SQuAD's ids are."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:24]


def made_results(
    root: Path,
    *,
    datasets: Sequence[str],
    strategies: Mapping[str, Mapping[str, Any]],
    decoders: tuple[str, ...] = ("tree",),
    size: Callable[[str], int] = lambda dataset: 5,
    right: Callable[[Cell], float] = lambda cell: (int(real_id(cell), 16) % 90 + 5) / 100,
    wall_s: Callable[[Cell], float] = lambda cell: 0.02 + (int(real_id(cell), 16) % 50) / 200,
    edges: Callable[[Cell, int, list[str]], list[Pair]] = lambda cell, group, ids: [],
    known: Callable[[list[str]], list[Pair]] | None = None,
    num_groups: int = 6,
) -> Results:
    """Results of a grid of data sets (made worlds, whatever they are called) and strategies (by name,
    with their entries). A share `right` of the answers is right.
    """
    content = {
        "experiment": "made",
        "datasets": list(datasets),
        "models": ["tiny"],
        "strategies": list(strategies),
        "decoders": list(decoders),
        "baseline": next(iter(strategies)),
        "define": {
            "datasets": dict.fromkeys(datasets, WORLD),
            "strategies": {name: dict(entry) for name, entry in strategies.items()},
        },
    }
    experiment = parse_experiment(content, "made", root)
    scores: dict[Cell, Scores] = {}
    for cell in experiment.cells:
        follows = experiment.catalogues.strategies[cell.strategy].dependencies is not None
        groups = [
            _group(cell, number, size(cell.dataset), edges if follows else None, known)
            for number in range(num_groups)
        ]
        rows = [
            row
            for number, group in enumerate(groups)
            for row in _rows(
                question_ids(cell.dataset, number, group.num_questions), group, number, right(cell)
            )
        ]
        scores[cell] = score_cell(rows, run_record(cell, groups, TOKENS), SCORING)

    def walls(cell: Cell) -> dict[str, float]:
        numbers = range(num_groups)
        return {real_id(cell.dataset, number): wall_s(cell) * (1 + number / 20) for number in numbers}

    return Results(experiment, scores, made_times(experiment, walls))


def without(results: Results, *metrics: str) -> Results:
    """The same, with some metrics missing."""
    left = {
        cell: scores.model_copy(
            update={"metrics": {k: v for k, v in scores.metrics.items() if k not in metrics}}
        )
        for cell, scores in results.scores.items()
    }
    times = results.times
    if {"wall_s", "ideal_s"} & set(metrics):
        times = Times({}, {}, {}, {})
    return Results(results.experiment, left, times)


def question_ids(dataset: str, number: int, size: int) -> list[str]:
    """Ids of a group's questions."""
    return [real_id(dataset, number, place) for place in range(size)]


def _group(cell: Cell, number: int, size: int, edges: Any, known: Any) -> GroupRun:
    ids = question_ids(cell.dataset, number, size)
    name = real_id(cell.dataset, number)
    found = edges and GroupDependencies(
        group=name,
        generator="made",
        candidates=(),
        edges=tuple(edges(cell, number, ids)),
        known=tuple(known(ids)) if known else None,
        tokens=FREE,
        forward_passes=0,
        wall_s=0.001,
    )
    return GroupRun(
        id=name,
        num_questions=size,
        forward_passes=size,
        num_asks=1,
        tokens=TOKENS,
        tokens_by_role={"answerer": TOKENS},
        dependencies=found,
    )


def _rows(ids: list[str], group: GroupRun, number: int, right: float) -> list[AnswerRow]:
    return [
        AnswerRow(
            **{"group": group.id, "text": "?", "kind": "made", "answer_type": "span"},
            **{"golds": ("Oslo",), "guess": None, "raw": "Oslo", "well_formed": True, "asks": (0,)},
            **{"tokens": TOKENS, "start_s": 0.0, "end_s": 0.1},
            question=name,
            answer="Oslo" if (7 * number + 3 * place) % 20 < 20 * right else "Rome",
        )
        for place, name in enumerate(ids)
    ]


NOBODY = Identity(settings={}, code="")


def run_record(
    cell: Cell, groups: Sequence[GroupRun], totals: Tokens, identity: Identity = NOBODY
) -> RunRecord:
    """The run.json of a cell that ran nowhere."""
    return RunRecord(
        **{"cell": cell._asdict(), "identity": identity, "resolved": {}, "model_files": {}, "data": {}},
        **{"versions": {}, "commit": None, "dirty": None, "hardware": {}, "load_s": 0},
        **{"makespan_s": 2.0, "groups_in_flight": 4, "peak_memory_mib": 0, "kv_cache_mib": None},
        **{"num_groups": len(groups), "num_resumed": 0, "forward_passes": 1, "warnings": ()},
        totals=totals,
        totals_by_role={"answerer": totals},
        groups=tuple(groups),
    )
