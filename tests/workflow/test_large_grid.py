"""A finished grid of 200 cells: nothing is planned again, and one more strategy is planned alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from branchwise.config.identity import groups_name
from branchwise.data.prepare import prepare_groups
from branchwise.reporting import figures_of, tables_of
from tests.finished import WORLD, Finished

pytestmark = pytest.mark.slow
STRATEGIES = ["batch", "sequential", "all_in_one", "collab_none", "plain"]
DATASETS = {f"d{number:02}": {**WORLD, "seed": number} for number in range(20)}
DECODERS = {"hot": {"kind": "tree", "sampling": {"temperature": 1.0}}}


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("grid")
    made = Finished(
        folder,
        datasets=list(DATASETS),
        strategies=STRATEGIES,
        decoders=["tree", "hot"],
        timed_groups=0,
        figures=str(folder / "figures"),
        define={"datasets": DATASETS, "decoders": DECODERS},
    )
    assert len(made.experiment.cells) == 200
    for name in DATASETS:
        path = made.results / "groups" / name / f"{groups_name(made.experiment, name)}.jsonl"
        path.parent.mkdir(parents=True)
        prepare_groups(made.experiment.catalogues.datasets[name], path, pytest.fail)
        os.utime(path, (1, 1))
    tables, figures = made.results / "tables/trial", folder / "figures/trial"
    names = [f"{name}.{end}" for name in tables_of(made.experiment) for end in ("csv", "md", "tex")]
    for name in (*names, "tidy.csv"):
        write(tables / name, "\n")
    for name in ("answers", *tables_of(made.experiment)):
        write(tables / f"{name}.html", "</html>")
    for name in figures_of(made.experiment):
        for end, content in {"svg": "</svg>\n", "pdf": "%%EOF\n", "png": "IEND\xaeB`\x82"}.items():
            write(figures / f"{name}.{end}", content)
    return made


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("latin-1"))


def planned(root: Path, grid: Finished) -> tuple[dict[str, int], list[str]]:
    """Jobs of a dry run by rule, and the cells that are to be answered."""
    binary = Path(sys.executable).with_name("snakemake")
    words = [binary, "-n", "-s", root / "Snakefile", "--configfile", grid.config]
    environment = {**os.environ, "PATH": f"{binary.parent}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=grid.folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    jobs = re.findall(r"^(\w+) +(\d+)$", said.partition("Job stats:")[2].partition("total")[0], re.M)
    cells = re.findall(r"generating \S*/cells/(\w+/\w+/\w+/\w+)/", said)
    return {rule: int(count) for rule, count in jobs}, sorted(cells)


def test_one_more_strategy_is_planned_alone(root: Path, grid: Finished) -> None:
    assert planned(root, grid) == ({}, [])
    before = {cell.path for cell in grid.experiment.cells}
    grid.change(strategies=[*STRATEGIES, "per_prompt"])
    new = sorted(str(cell.path) for cell in grid.experiment.cells if cell.path not in before)
    jobs, cells = planned(root, grid)
    assert jobs == {"all": 1, "tables": 1, "draw": 1, "generate": 40, "evaluate": 40}
    assert cells == new and len(new) == 40
