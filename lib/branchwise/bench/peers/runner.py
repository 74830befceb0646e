"""Runs every system in a process of its own, in turn, and says what was measured."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from branchwise.bench.peers.base import EXTRA, SYSTEMS, missing, system_class
from branchwise.bench.peers.work import Work
from branchwise.decoding.models.files import folder_hash
from branchwise.errors import UserError

SCHEMA = 1
OURS, REFERENCE = list(SYSTEMS)[:2]
PYTHON = sys.executable
"""What runs a system's process."""

_WARM_UP_GROUPS = 2
_TIMES = ("cpu_s", "wall_s", "prefill_s", "step_s")

Log = Callable[[str], None]


class LostError(Exception):
    """A system that cannot go on, and why."""


class Process:
    """A worker: asleep but for the order that it has."""

    def __init__(self, name: str, threads: int) -> None:
        variables = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        # The parent's own path, so that the worker is of the same code.
        path = os.pathsep.join(place for place in sys.path if place)
        self.process = subprocess.Popen(
            [PYTHON, "-m", "branchwise.bench.peers.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **variables, "PYTHONPATH": path},
            text=True,
        )

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Have an order carried out. Raises LostError where it cannot be."""
        given, told = self.process.stdin, self.process.stdout
        assert given is not None and told is not None, "both are pipes"
        try:
            given.write(json.dumps({"do": do, **order}) + "\n")
            given.flush()
        except BrokenPipeError:
            raise LostError(f"its process ended with status {self.process.wait()}") from None
        line = told.readline()
        if not line:
            raise LostError(f"its process ended with status {self.process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise LostError(reply["error"])
        return reply

    def close(self) -> None:
        """End it."""
        with suppress(BrokenPipeError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Comparison:
    """Systems side by side, and what they did in every round."""

    def __init__(self, works: Sequence[Work], vocabulary: int, log: Log) -> None:
        self.works = works
        self.vocabulary = vocabulary
        self.log = log
        self.processes: dict[str, Process] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.left_out: list[dict[str, str]] = []
        self.told: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def start(self, name: str, folder: Path, threads: int) -> None:
        """Load a system, or say why it is left out."""
        if package := missing(name):
            self._leave_out(name, f"{package} is not installed: {EXTRA}")
            return
        self.processes[name] = Process(name, threads)
        reply = self._ask(name, "load", folder=str(folder), threads=threads)
        if reply is None:
            return
        self.versions[name] = reply["versions"]
        self.log(f"{name}: {', '.join(map(' '.join, self.versions[name].items()))}")
        for work in self.works:
            self._ask(name, "work", work=work.as_dict())

    def warm_up(self) -> None:
        """A beginning of every work by every system, untimed."""
        for place, work in enumerate(self.works):
            for name in list(self.processes):
                # What is faster for a few groups in flight is not for many.
                whole = work.at_once and system_class(name).has_choice
                most = None if whole else _WARM_UP_GROUPS
                order = {"work": work.name, "mark": self._mark(place), "most_groups": most}
                self._ask(name, "warm_up", **order)

    def round(self, number: int) -> None:
        """Every work by every system, who goes first changing from round to round."""
        for place, work in enumerate(self.works):
            mark = self._mark((number + 1) * len(self.works) + place)
            names = list(self.processes)
            turn = number % len(names) if names else 0
            for name in [*names[turn:], *names[:turn]]:
                if (told := self._ask(name, "run", work=work.name, mark=mark)) is not None:
                    self.told.setdefault((name, work.name), []).append(told)
                    step = f", step {1e3 * told['step_s']:.1f} ms" if told["step_s"] else ""
                    self.log(f"round {number + 1} {work.name} {name}: {told['cpu_s']:.2f} s{step}")

    def _mark(self, number: int) -> int:
        """A token that no other work of any round begins with; of the later half, where words are."""
        half = self.vocabulary // 2
        return half + number % half

    def _ask(self, name: str, do: str, **order: Any) -> dict[str, Any] | None:
        try:
            return self.processes[name].ask(do, **order)
        except LostError as error:
            self.processes.pop(name).close()
            self._leave_out(name, str(error))
            return None

    def _leave_out(self, name: str, reason: str) -> None:
        self.left_out.append({"system": name, "title": system_class(name).title, "reason": reason})
        self.log(f"{name} is left out: {reason}")

    def close(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.close()

    def rows(self) -> list[dict[str, Any]]:
        """A row for each work and system that did it in every round."""
        rows = []
        for work in self.works:
            for name in SYSTEMS:
                if told := self.told.get((name, work.name)):
                    rows.append({"work": work.name, "system": name, **self._row(work, told)})
        return rows

    def memory(self, name: str) -> dict[str, float | None]:
        """The most that a system took over all works, less what its process had before it loaded the
        model, and the least that it had to hold, in MiB.
        """
        told = [one for (system, _), rounds in self.told.items() if system == name for one in rounds]
        return {
            key: max((one[key] for one in told if one[key] is not None), default=None)
            for key in ("peak_mib", "needed_mib")
        }

    def _row(self, work: Work, told: list[dict[str, Any]]) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for kind in _TIMES:
            values = [one[kind] for one in told if one[kind] is not None]
            row[kind] = statistics.median(values) if values else None
            row[f"{kind}_all"] = values
        ours = self.told.get((OURS, work.name), [])
        pairs = list(zip(told, ours, strict=False))
        row["ratio"] = statistics.median(a["cpu_s"] / b["cpu_s"] for a, b in pairs) if pairs else None
        right = self.told.get((REFERENCE, work.name), [])
        row["same_prompts"], row["same_tokens"] = _agreement(told, right)
        return {**row, "settings": told[-1]["settings"]}


def _agreement(
    told: list[dict[str, Any]], right: list[dict[str, Any]]
) -> tuple[float | None, float | None]:
    """Over all rounds: the share of answers that are the reference's, and that of tokens before an
    answer's first other one. None where there is no reference.
    """
    prompts: list[bool] = []
    tokens = total = 0
    for one, other in zip(told, right, strict=False):
        for group, wanted in zip(one["answers"], other["answers"], strict=True):
            for got, want in zip(group, wanted, strict=True):
                prompts.append(got == want)
                total += len(want)
                pairs = zip(got, want, strict=False)
                tokens += sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return (sum(prompts) / len(prompts), tokens / total) if prompts else (None, None)


def compare(
    folder: Path,
    works: Sequence[Work],
    rounds: int,
    threads: int,
    names: Sequence[str] | None = None,
    log: Log = print,
    save: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Every system on every work: one result, as JSON data. `save` is called after each round.

    Raises UserError where the folder holds no model, and where this project's own decoder fails.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(f"model folder {folder} has no config.json", "check --path")
    vocabulary = json.loads(config.read_text(encoding="utf-8"))["vocab_size"]
    comparison = Comparison(works, vocabulary, log)
    result: dict[str, Any] = {}
    try:
        for name in names or SYSTEMS:
            comparison.start(name, folder, threads)
        comparison.warm_up()
        for number in range(rounds):
            comparison.round(number)
            result = _result(comparison, folder, number + 1, threads)
            save(result)
    finally:
        comparison.close()
    if not any(row["system"] == OURS for row in result["rows"]):
        reason = next((one["reason"] for one in comparison.left_out if one["system"] == OURS), "")
        raise UserError(f"the tree decoder answered nothing: {reason}", "try another model with --path")
    return result


def _result(comparison: Comparison, folder: Path, rounds: int, threads: int) -> dict[str, Any]:
    import torch

    from branchwise.bench.runner import machine_name

    return {
        "schema": SCHEMA,
        "kind": "peers",
        "machine": machine_name(torch.device("cpu")),
        "threads": threads,
        "dtype": "float32",
        "rounds": rounds,
        "model": {"name": folder.name, "hash": folder_hash(folder)},
        "works": [work.about() for work in comparison.works],
        "systems": {
            name: {
                "title": system_class(name).title,
                "versions": versions,
                **comparison.memory(name),
            }
            for name, versions in comparison.versions.items()
        },
        "left_out": comparison.left_out,
        "rows": comparison.rows(),
    }
