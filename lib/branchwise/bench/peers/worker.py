"""`python -m branchwise.bench.peers.worker SYSTEM`: one system, told by JSON lines what to do.

Asleep while it waits for the next line. Answers, a line each: what was loaded, or how long a work took.
"""

import json
import os
import statistics
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

from branchwise.bench.peers.base import Answers, Clock, System, system_class
from branchwise.bench.peers.work import Work
from branchwise.errors import UserError
from branchwise.memory import forget_peak, peak_mib, resident_mib


class Worker:
    """A system, and what it is asked for."""

    def __init__(self, name: str) -> None:
        self.cls = system_class(name)
        self.system: System | None = None
        self.works: dict[str, Work] = {}
        self.chosen: dict[str, Any] = {}
        self.had_mib = 0.0

    def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out an order: `load`, `work` (remember one), `warm_up` for it, or `run` it."""
        kind = order.pop("do")
        if kind == "load":
            self.had_mib = resident_mib() or 0.0
            self.system = self.cls(Path(order["folder"]), order["threads"])
            forget_peak()  # of loading
            return {"versions": {package: version(package) for package in self.cls.packages}}
        if kind == "work":
            work = Work(**order["work"])
            self.works[work.name] = work
            return {}
        assert self.system is not None, "loaded before it is asked"
        work = self.works[order["work"]].marked(order["mark"], order.get("most_groups"))
        if kind == "warm_up":
            given = work.groups, work.num_shared, work.num_tokens
            self.chosen[work.name] = self.system.warm_up(*given)
            return {}
        self.system.choose(self.chosen.get(work.name))
        told = _timed(self.system, work)
        peak = peak_mib()
        took = None if peak is None else peak - self.had_mib
        return {**told, "peak_mib": took, "needed_mib": self.system.needed_mib()}


def _timed(system: System, work: Work) -> dict[str, Any]:
    """Do a work: its times, its answers and what the system chose for it."""
    answers: list[Answers] = []
    started = Clock.now()
    for groups in [work.groups] if work.at_once else [[group] for group in work.groups]:
        answers += system.answer(groups, work.num_shared, work.num_tokens)
    ended = Clock.now()
    told: dict[str, Any] = {
        "cpu_s": ended.cpu_s - started.cpu_s,
        "wall_s": ended.wall_s - started.wall_s,
        "prefill_s": None,
        "step_s": None,
        "answers": answers,
        "settings": system.settings(),
    }
    if work.at_once and len(system.ticks) == work.num_tokens > 1:
        told["prefill_s"] = system.ticks[0].cpu_s - started.cpu_s
        steps = (after.cpu_s - before.cpu_s for before, after in pairwise(system.ticks))
        told["step_s"] = statistics.median(steps)
    return told


def serve(name: str, orders: TextIO, replies: TextIO) -> None:
    """Carry out orders until there are no more. What goes wrong is told, and ends it."""
    worker = Worker(name)
    for line in orders:
        try:
            reply = worker.do(json.loads(line))
        except UserError as error:
            reply = {"error": str(error)}
        except Exception as error:  # whatever a foreign package raises is its row's, not the run's
            lines = str(error).strip().splitlines() or [""]
            reply = {"error": f"{type(error).__name__}: {lines[-1]}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    # What packages print is not a reply.
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.argv[1], sys.stdin, own)
