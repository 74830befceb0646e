"""Mutants: small changes to the code, each of which some test must notice.

    make mutants                             a seeded sample of every room, on with what was done before
    make mutants ROOMS="cells prompts"       some rooms (tests/mutation/rooms.py says what is in them)
    make mutants SAMPLE=100 SEED=1           so many of each room; another sample
    make mutants SAMPLE=0                    all: hours

It needs `pip install -e .[mutation]`. Operators and positions are cosmic-ray's (one replacement of each
kind of operator, not all eleven); running them is done here, since cosmic-ray starts an interpreter for
each mutant, and ours takes seconds to import torch. Here one process imports what is not ours and forks:
a child finds the changed text of one module in place of the file (nothing is written to disk), runs the
tests that are named for the module, and ends. A mutant that no test notices survives; one that uses up
its CPU time, or hangs, is noticed.

What no test should have to notice is not mutated: docstrings, types, descriptions of fields, messages.

Results go to `resources/studies/mutation.jsonl` (not committed), one line a mutant, which a rerun
continues (a survivor is tried again when its tests have changed); `resources/studies/mutation.csv` is
made of all that are of the code as it is. Its column `reason` is written by hand for survivors, and kept.
"""

import argparse
import ast
import csv
import gc
import hashlib
import importlib.abc
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "lib/branchwise"
STUDIES = ROOT / "resources/studies"

# What one child needs and every child would import again.
PRELOADED = (
    "torch transformers datasets numpy pandas scipy.stats statsmodels.api networkx pydantic hypothesis "
    "pytest _pytest.assertion.rewrite jieba nltk sacrebleu rouge_score.rouge_scorer yaml regex peft "
    "matplotlib"
)

OPERATORS = tuple(
    f"core/{name}"
    for name in (
        *(f"ReplaceBinaryOperator_{one}_{other}" for one, other in (
            ("Add", "Sub"), ("Sub", "Add"), ("Mul", "Div"), ("Div", "Mul"), ("FloorDiv", "Mul"),
            ("Mod", "Mul"), ("Pow", "Mul"), ("RShift", "LShift"), ("LShift", "RShift"),
            ("BitOr", "BitAnd"), ("BitAnd", "BitOr"),
        )),
        *(f"ReplaceComparisonOperator_{one}_{other}" for one, other in (
            ("Eq", "NotEq"), ("NotEq", "Eq"), ("Lt", "LtE"), ("Lt", "GtE"), ("LtE", "Lt"), ("LtE", "Gt"),
            ("Gt", "GtE"), ("Gt", "LtE"), ("GtE", "Gt"), ("GtE", "Lt"), ("Is", "IsNot"), ("IsNot", "Is"),
        )),
        *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr"),
        *("ReplaceOrWithAnd", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
        *("NumberReplacer", "ZeroIterationForLoop", "ReplaceUnaryOperator_Delete_Not"),
        *("ReplaceUnaryOperator_USub_UAdd",),
    )
)  # fmt: skip

MESSAGES = frozenset(
    {"Field", "UserError", "DoesNotFit", "RuntimeError", "ValueError", "TypeVar", "warn", "say"}
)
"""Calls whose arguments are words for people, or types."""


@dataclass(frozen=True)
class Mutant:
    """One change; `occurrence` counts the operator's places in the module."""

    room: str
    module: str
    line: int
    operator: str
    occurrence: int
    before: str
    after: str
    key: str


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Mutants, and the tests that notice them.")
    parser.add_argument("rooms", nargs="*", help="rooms; all by default")
    parser.add_argument("--sample", type=int, default=40, help="mutants of each room; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no mutant after these")
    parser.add_argument("--results", type=Path, default=STUDIES / "mutation.jsonl")
    parser.add_argument("--csv", type=Path, default=STUDIES / "mutation.csv")
    given = parser.parse_args()
    from tests.mutation.rooms import ROOMS

    if unknown := set(given.rooms) - set(ROOMS):
        parser.error(f"no room {', '.join(sorted(unknown))}; there are {', '.join(ROOMS)}")
    preload()
    deadline = time.monotonic() + 60 * given.minutes
    sample: list[Mutant] = []
    for room in given.rooms or ROOMS:
        sample += drawn(room, ROOMS[room].modules, given.sample, given.seed)
    done = _read(given.results)
    for number, mutant in enumerate(sample, start=1):
        tests = ROOMS[mutant.room].modules[mutant.module]
        state = _hash(
            "".join(file.read_text() for test in tests for file in _files(ROOT / "tests" / test))
        )
        known = done.get(mutant.key)
        if known and (known["outcome"] == "killed" or known["tests"] == state):
            continue
        if time.monotonic() > deadline:
            print(f"stopped before mutant {number} of {len(sample)}", file=sys.stderr)
            break
        outcome, seconds = tried(mutant, tests)
        entry = {**asdict(mutant), "outcome": outcome, "seconds": round(seconds, 1), "tests": state}
        done[mutant.key] = entry
        given.results.parent.mkdir(parents=True, exist_ok=True)
        with given.results.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(
            f"{number}/{len(sample)} {outcome:8} {mutant.module}:{mutant.line} {mutant.after}", flush=True
        )
    write_csv(of_this_code(done.values()), given.csv)


# ----- which mutants there are -----


def drawn(room: str, modules: Sequence[str], most: int, seed: int) -> list[Mutant]:
    """A seeded sample of a room's mutants, in the order of drawing; for 0 all, in that of the code."""
    places = [(module, *place) for module in modules for place in places_of(module)]
    if most:
        places = random.Random(f"mutants/{room}/{seed}").sample(places, min(most, len(places)))
    return [_mutant(room, *place) for place in places]


def places_of(module: str) -> Iterator[tuple[str, int, int]]:
    """Where a module can be changed in a way that means something: operator, occurrence, line."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    source = (LIBRARY / module).read_text()
    nodes = list(ast_nodes(get_ast(source)))
    passed_over = _without_meaning(ast.parse(source))
    for name in OPERATORS:
        operator = get_operator(name)()
        found = (start for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, place in enumerate(found):
            if not any(start <= place < end for start, end in passed_over):
                yield name, occurrence, place[0]


def _mutant(room: str, module: str, operator: str, occurrence: int, line: int) -> Mutant:
    source = (LIBRARY / module).read_text()
    changed = text_of(source, operator, occurrence)
    pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
    before, after = next(pair for pair in pairs if pair[0] != pair[1])
    name, key = operator.removeprefix("core/"), _hash(f"{module}\n{changed}")
    return Mutant(room, module, line, name, occurrence, before.strip(), after.strip(), key)


def text_of(source: str, operator: str, occurrence: int) -> str:
    """A module's text with one change."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    changed = mutate_code(source, get_operator(operator)(), occurrence)
    assert changed is not None, f"{operator} has no occurrence {occurrence}"
    return changed


Place = tuple[int, int]


def _without_meaning(tree: ast.Module) -> list[tuple[Place, Place]]:
    """Where changes would be of types, descriptions and messages."""
    found: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.returns)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.Call) and _name(node.func) in MESSAGES:
            found += [*node.args, *node.keywords]
        elif isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING":
            found.append(node)
    for node in tree.body:
        # An alias of a type: Sources = dict[str, ModelSource] | None.
        if isinstance(node, ast.Assign) and not _name(node.targets[0]).isupper():
            found.append(node)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        for node in found
        if node is not None
    ]


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


# ----- running one -----


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Finds one module with another text than its file's."""

    def __init__(self, path: Path, text: str) -> None:
        parts = path.relative_to(ROOT / "lib").with_suffix("").parts
        self.is_package = parts[-1] == "__init__"
        self.module = ".".join(parts[:-1] if self.is_package else parts)
        self.path = path
        self.text = text

    def find_spec(self, fullname, path, target=None):
        if fullname != self.module:
            return None
        places = [str(self.path.parent)] if self.is_package else None
        return importlib.util.spec_from_file_location(
            fullname, self.path, loader=self, submodule_search_locations=places
        )

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path) -> bytes:
        return self.text.encode()

    def path_stats(self, path):
        raise OSError("no bytecode of a changed module is read or written")


def tried(mutant: Mutant, tests: Sequence[str]) -> tuple[str, float]:
    """Whether its tests notice a mutant (killed, survived), and the seconds that it took."""
    path = LIBRARY / mutant.module
    changed = text_of(path.read_text(), f"core/{mutant.operator}", mutant.occurrence)
    return noticed(path, changed, tests)


CPU_S, WALL_S = 60, 400
"""Most of a mutant: CPU time, since the machine may be busy, and wall time for what hangs."""


def noticed(path: Path, text: str, tests: Sequence[str]) -> tuple[str, float]:
    """killed or survived: what the tests say of a module with this text; and the seconds they took."""
    assert "branchwise" not in sys.modules, "a child must import the library anew"
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(_in_child(path, text, tests))
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        if time.monotonic() - started > WALL_S:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    seconds = time.monotonic() - started
    code = os.waitstatus_to_exitcode(status)
    if code in (4, 5):
        raise RuntimeError(f"pytest cannot run {', '.join(tests)}")
    return ("survived" if code == 0 else "killed"), seconds


def _in_child(path: Path, text: str, tests: Sequence[str]) -> int:
    """Pytest's exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    if not os.environ.get("MUTANTS_SHOW"):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    sys.meta_path.insert(0, _Changed(path, text))
    import hypothesis
    import pytest

    hypothesis.settings.register_profile("mutants", database=None, derandomize=True, max_examples=30)
    hypothesis.settings.load_profile("mutants")
    words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow and not data"]
    try:
        return int(pytest.main([*words, *(f"tests/{test}" for test in tests)]))
    except BaseException:
        return 1


def preload() -> None:
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "lib"))
    for name in PRELOADED.split():
        importlib.import_module(name)
    # The library collects garbage before a timed part: not through all of torch in every child.
    gc.freeze()


# ----- results -----


def _read(path: Path) -> dict[str, dict]:
    if not path.exists():
        return {}
    return {entry["key"]: entry for entry in map(json.loads, path.read_text().splitlines())}


def _files(test: Path) -> list[Path]:
    return sorted(test.glob("*.py")) if test.is_dir() else [test]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def of_this_code(entries: Iterable[dict]) -> list[dict]:
    """The results whose text stands in the code as it is, each change once, the last result of it."""
    found = (entry for one in entries if (entry := _in_this_code(one)))
    return list({(*_same(entry), entry["line"]): entry for entry in found}.values())


def _in_this_code(entry: dict) -> dict | None:
    """A result with the line where its text stands now; None where it stands nowhere any more."""
    lines = [line.strip() for line in (LIBRARY / entry["module"]).read_text().splitlines()]
    places = [number for number, line in enumerate(lines, start=1) if line == entry["before"]]
    nearest = min(places, key=lambda number: abs(number - entry["line"]), default=None)
    return None if nearest is None else {**entry, "line": nearest}


COLUMNS = ("room", "module", "line", "operator", "before", "after", "outcome", "reason")


def write_csv(entries: Sequence[dict], path: Path) -> None:
    """The table of results, with the reasons that the one before it gave; prints each room's score."""
    reasons: dict[tuple[str, ...], str] = {}
    if path.exists():
        with path.open(newline="") as file:
            reasons = {_same(row): row["reason"] for row in csv.DictReader(file) if row["reason"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for entry in sorted(
            entries, key=lambda e: (e["room"], e["module"], e["line"], e["operator"], e["key"])
        ):
            reason = reasons.get(_same(entry), "") if entry["outcome"] == "survived" else ""
            writer.writerow({**entry, "reason": reason})
    for room in dict.fromkeys(entry["room"] for entry in entries):
        mine = [entry["outcome"] == "killed" for entry in entries if entry["room"] == room]
        print(f"{room}: {sum(mine)} of {len(mine)} killed, {sum(mine) / len(mine):.1%}")


def _same(row: dict) -> tuple[str, ...]:
    return row["module"], row["operator"], row["before"], row["after"]


if __name__ == "__main__":
    main()
