"""The house: imports between rooms go one way, and what a cell runs is what its hash holds."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

from branchwise.config import Cell, load_experiment
from branchwise.config.hashing import answers_files
from branchwise.config.imports import LIBRARY, closure

TORCH_FREE = ("config", "data", "evaluation", "packs", "prompts", "reporting", "status")


def room(path: Path) -> str:
    """The folder of the library that a module lies in; a module of none is a room by itself."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Rooms that a module names in its imports, those for a type checker too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        parts = (name.split(".") for name in names if name.startswith("branchwise."))
        found |= {part[1] for part in parts if (LIBRARY / part[1]).is_dir()}
        found |= {
            name.split(".")[1]
            for name in names
            if name.startswith("branchwise.") and (LIBRARY / f"{name.split('.')[1]}.py").is_file()
        }
    return found


def test_imports_between_rooms_go_one_way() -> None:
    graph = nx.DiGraph()
    for path in LIBRARY.rglob("*.py"):
        if path.parent == LIBRARY and path.name in ("__init__.py", "__main__.py"):
            continue
        graph.add_edges_from((room(path), other) for other in imported(path) if other != room(path))
    circles = [sorted(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]
    assert circles == []


def test_a_reader_of_results_needs_no_torch(root: Path) -> None:
    names = [
        ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
        for place in TORCH_FREE
        for path in (LIBRARY / place).rglob("*.py")
        if path.name != "__init__.py"
    ]
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\n"
    code += "assert not {'torch', 'transformers'} & set(sys.modules), 'torch'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "cells"),
    [
        ("strategies/sequential.py", {"sequential/tree"}),
        ("strategies/collab.py", {"collab_gold/tree", "collab_gold_layers/tree"}),
        ("decoding/reference.py", {"batch/hf"}),
        ("decoding/decoders/hf.py", {"batch/hf"}),
        ("decoding/engine.py", {"tree"}),
        ("decoding/native/rows.c", {"tree"}),
        ("results.py", {"all"}),
        ("trace.py", {"all"}),
        ("dependencies/graph.py", {"all"}),
        ("cells/cell.py", {"all"}),
        ("decoding/models/entry.py", {"all"}),
        ("cells/generators/llm.py", set()),
        ("config/mistakes.py", set()),
        ("reporting/tables.py", set()),
        ("evaluation/score.py", set()),
        ("api.py", set()),
    ],
)
def test_an_edit_concerns_exactly_the_cells_that_run_it(module: str, cells: set[str]) -> None:
    experiment = load_experiment([LIBRARY.parents[1] / "config/demo.yaml"])
    names = ["sequential/tree", "batch/tree", "batch/hf", "collab_gold/tree", "collab_gold_layers/tree"]
    path = LIBRARY / module
    assert path.is_file()
    found = set()
    for name in names:
        strategy, decoder = name.split("/")
        cell = Cell("worlds_two_hop_g2", "tiny", strategy, decoder)
        if path in answers_files(experiment, cell):
            found.add(name)
    expected = {"all": set(names), "tree": {n for n in names if n.endswith("tree")}}
    assert found == {name for cell in cells for name in expected.get(cell, {cell})}


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "decoder"), [("collab_gold_layers", "tree"), ("batch", "hf")])
def test_all_that_a_cell_runs_is_in_its_hash(
    root: Path, tmp_path: Path, strategy: str, decoder: str
) -> None:
    """36 of 51 modules were. The config and the commands are not: what they decide is in the settings."""
    out = tmp_path / "cell"
    config = {
        "experiment": "trial",
        "datasets": ["small"],
        "models": ["tiny"],
        "strategies": [strategy],
        "baseline": strategy,
        "decoders": [decoder],
        "max_new_tokens": 2,
        "repeats": 1,
        "define": {
            "datasets": {
                "small": {"source": "worlds", "kinds": ["two_hop"], "group_size": 2, "num_groups": 1}
            }
        },
    }
    (tmp_path / "trial.yaml").write_text(json.dumps(config))
    code = f"""
import sys, json
from pathlib import Path
from branchwise.commands.registered import import_all
import_all()
from branchwise.commands.main import app
place = Path({str(tmp_path)!r})
shared = ["--config", str(place / "trial.yaml")]
def run(*words):
    try: app([*words, *shared])
    except SystemExit as end: assert not end.code, words
run("prepare", "--dataset", "small", "--out", str(place / "g.jsonl"))
more = []
if {strategy!r} != "batch":
    run("depend", "--dependencies", "gold", "--dataset", "small", "--model", "tiny",
        "--groups", str(place / "g.jsonl"), "--out", str(place / "d.jsonl"))
    more = ["--dependencies", str(place / "d.jsonl")]
for name in [n for n in sys.modules if n.startswith("branchwise")]: del sys.modules[name]
from branchwise.commands.registered import import_all
import_all()
from branchwise.commands.main import app
run("generate", "--dataset", "small", "--model", "tiny", "--strategy", {strategy!r}, "--decoder",
    {decoder!r}, "--groups", str(place / "g.jsonl"), "--out", {str(out)!r}, *more)
files = [m.__file__ for n, m in sys.modules.items() if n.startswith("branchwise.") and m.__file__]
(place / "files.json").write_text(json.dumps(files))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    ran = {Path(name) for name in json.loads((tmp_path / "files.json").read_text())}
    experiment = load_experiment([tmp_path / "trial.yaml"])
    hashed = set(answers_files(experiment, Cell("small", "tiny", strategy, decoder)))
    # What reads the config, and the types that it is read into (sources and decoders by their folder).
    reading = set(closure(LIBRARY / f"config/{name}.py" for name in ("load", "identity", "timing")))
    reading |= {*(LIBRARY / "decoding/decoders").glob("*.py")}
    reading |= set(closure((LIBRARY / "data/sources").glob("*.py")))
    # Nor what gives work to jobs: who is at work on what, and which GPU is whose.
    giving = {LIBRARY / "devices.py", *(LIBRARY / "status").glob("*.py")}
    outside = ran - hashed - reading - giving
    missing = {p for p in outside if room(p) not in ("commands", "bench")}
    assert {p.relative_to(LIBRARY).as_posix() for p in missing} == set()
