"""A copy of the project with a small experiment, and Snakemake as its users call it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

SNAKEMAKE = Path(sys.executable).with_name("snakemake")
COPIED = ("Snakefile", "lib", "config", "workflow", "profiles", "envs")
warm: Path | None = None
"""Where `python` and `snakemake` start warm (see `tests.warm`), while tests want that."""

DRAWN = {"all": 1, "tables": 1, "draw": 1}
"""Jobs that follow whatever else is run."""
ONE_CELL = {"datasets": ["small_g2"], "strategies": ["batch"], "decoders": ["tree"], "exclude": []}
OWN_DATA = (
    '{"id": "g1", "context": "Mara lives in Ashton.", "questions": ['
    '{"id": "q1", "text": "Where does Mara live?", "golds": ["Ashton"]}, '
    '{"id": "q2", "text": "Who lives in Ashton?", "golds": ["Mara"]}]}\n'
)


def trial(model: Path, **changes: Any) -> dict[str, Any]:
    """An experiment of three cells on made data and two on data of one's own, in four timing jobs: each
    data set on its decoders, and the decoders of the made one beside each other.
    """
    return {
        "experiment": "trial",
        "datasets": ["small_g2", "own"],
        "models": ["random"],
        "strategies": ["sequential", "batch"],
        "decoders": ["tree", "hf"],
        "exclude": [{"decoder": "hf", "strategy": "sequential"}, {"decoder": "hf", "dataset": "own"}],
        "max_new_tokens": 4,
        "timed_groups": 1,
        "repeats": 1,
        "define": {
            "models": {"random": {"path": str(model)}},
            "datasets": {
                "small_g2": {
                    "source": "worlds",
                    "kinds": ["two_hop"],
                    "group_size": 2,
                    "num_groups": 3,
                },
                "own": {"source": "jsonl", "path": "own.jsonl"},
            },
        },
        **changes,
    }


def copy_project(root: Path, folder: Path) -> None:
    """The project's files without results."""
    for name in COPIED:
        source = root / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder / name)


def write_config(folder: Path, name: str, content: dict[str, Any]) -> None:
    """A config file of the copy, with its data beside it."""
    (folder / "config" / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    if not (folder / "config/own.jsonl").exists():
        (folder / "config/own.jsonl").write_text(OWN_DATA, encoding="utf-8")


def command(
    project: Path, *words: str, config: str | None = "config/trial.yaml", binary: Path = SNAKEMAKE
) -> list[str]:
    """A command line of Snakemake."""
    files = ["--configfile", config] if config else []
    return [str(binary), *words, "--cores", "2", *files]


def environment(project: Path, first: Path = SNAKEMAKE.parent) -> dict[str, str]:
    """The environment in which the copy's own library is used, with what programs there are `first`."""
    return {
        **os.environ,
        "PATH": f"{first}:{SNAKEMAKE.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(project / "lib"),
        # Timing jobs wait for each other machine-wide, by a lock there: not those of other tests.
        "TMPDIR": str(project),
        "OMP_NUM_THREADS": "1",
    }


def snakemake(
    project: Path, *words: str, config: str | None = "config/trial.yaml", cwd: Path | None = None
) -> subprocess.CompletedProcess:
    """Run Snakemake in the copy, or elsewhere."""
    first = warm or SNAKEMAKE.parent
    return subprocess.run(
        command(project, *words, config=config, binary=first / "snakemake"),
        cwd=cwd or project,
        capture_output=True,
        text=True,
        env=environment(project, first),
    )


def planned(project: Path, *words: str, config: str = "config/trial.yaml") -> dict[str, int]:
    """Jobs of a dry run, by rule."""
    done = snakemake(project, *words, "-n", "--quiet", "rules", config=config)
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    jobs = re.findall(r"^(\w+) +(\d+)$", text.split("Job stats:")[1], re.M) if "Job stats" in text else []
    return {rule: int(count) for rule, count in jobs if rule != "total"}


def answers(project: Path, results: str = "results") -> dict[str, list[Any]]:
    """All answers of a folder of results, without times, by cell."""
    found = {}
    for path in sorted((project / results / "cells").rglob("answers.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        kept = [{k: v for k, v in row.items() if k not in ("start_s", "end_s")} for row in rows]
        found[str(path.relative_to(project / results))] = kept
    return found


@contextmanager
def edited(path: Path, text: str | None = None) -> Iterator[None]:
    """A file with other content, for as long as this lasts."""
    before, times = path.read_bytes(), path.stat()
    path.write_text(text if text is not None else path.read_text() + "\n# edited\n")
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
