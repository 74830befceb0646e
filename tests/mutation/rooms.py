"""What is mutated, room by room, and the tests that are to notice.

Only tests that take seconds are named here: a mutant costs one run of them. Tests with a real model
(`tests/cells/test_flight.py`, `tests/decoding`) notice more, and are not needed for it.
"""

from typing import NamedTuple


class Room(NamedTuple):
    """Modules below lib/branchwise, and the tests of each (paths below tests/)."""

    modules: dict[str, tuple[str, ...]]


def _all(tests: str, *modules: str) -> dict[str, tuple[str, ...]]:
    return {module: tuple(tests.split()) for module in modules}


ROOMS: dict[str, Room] = {
    "evaluation": Room(
        _all("evaluation/test_score.py evaluation/test_scored_as.py", "evaluation/score.py")
        | _all(
            "evaluation/test_score.py evaluation/test_metrics.py evaluation/test_languages.py",
            "evaluation/metrics/__init__.py",
            "evaluation/metrics/choice.py",
            "evaluation/metrics/cmrc.py",
            "evaluation/metrics/containment.py",
            "evaluation/metrics/drop.py",
            "evaluation/metrics/edges.py",
            "evaluation/metrics/hotpotqa.py",
            "evaluation/metrics/overlap.py",
            "evaluation/metrics/quac.py",
            "evaluation/metrics/segments.py",
            "evaluation/metrics/squad.py",
            "evaluation/metrics/squad_v2.py",
        )
        | _all("evaluation/test_statistics.py", "evaluation/statistics.py")
        | _all("evaluation/test_significance.py", "evaluation/significance.py")
    ),
    "cells": Room(
        _all("cells/test_record.py", "cells/runner.py")
        | _all("cells/test_desk.py cells/test_record.py", "cells/desk.py")
        | _all("cells/test_asking.py", "cells/flight.py", "cells/making.py", "cells/cell.py")
        | _all("cells/test_turns.py", "cells/timing.py")
        | _all("cells/test_record.py cells/test_turns.py", "cells/clock.py")
        | _all("cells/test_depending.py", "cells/depending.py")
        | _all("cells/test_desk.py cells/test_record.py", "cells/waits.py")
        | _all("test_trace.py cells/test_record.py", "trace.py")
        | _all("cells/test_turns.py", "times.py")
    ),
    "config": Room(
        _all(
            "config/test_hashing.py",
            "config/hashing.py",
            "config/identity.py",
            "config/timing.py",
            "config/imports.py",
        )
    ),
    "prompts": Room(
        _all("prompts/test_rendering.py prompts/test_golden.py", "prompts/rendering.py")
        | _all(
            "prompts/test_golden.py prompts/reading",
            "prompts/reading/choice.py",
            "prompts/reading/going_on.py",
            "prompts/reading/many.py",
            "prompts/reading/number.py",
            "prompts/reading/numbering.py",
            "prompts/reading/numerals.py",
            "prompts/reading/one.py",
            "prompts/reading/reply.py",
            "prompts/reading/sentence.py",
            "prompts/reading/targets.py",
            "prompts/reading/words.py",
        )
    ),
    "dependencies": Room(
        _all("dependencies/test_selection.py", "dependencies/selection.py", "dependencies/graph.py")
        | _all("dependencies/test_controls.py", "dependencies/controls.py")
    ),
    "reporting": Room(
        _all("reporting/test_numbers.py", "reporting/numbers.py", "reporting/comparing.py")
        | _all("reporting/test_numbers.py reporting/test_tables.py", "reporting/frames.py")
        | _all("reporting/test_numbers.py reporting/test_tables.py", "reporting/tables.py")
        | _all("reporting/test_numbers.py reporting/test_tables.py", "reporting/times.py")
    ),
}
