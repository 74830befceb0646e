"""The workflow as its users meet it: plans, caches, edits, mistakes. On a copy, with a random model."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from branchwise.reporting import tidy
from tests.workflow.project import (
    COPIED,
    DRAWN,
    ONE_CELL,
    command,
    edited,
    environment,
    planned,
    snakemake,
    trial,
    write_config,
)

pytestmark = pytest.mark.slow

MANY_REPEATS = ("timed_groups=3", "repeats=41")
"""A run that lasts long enough to be killed."""


def test_a_run_makes_figures_and_has_then_nothing_to_do(finished: Path) -> None:
    assert (finished / "figures/trial/quality_latency.pdf").stat().st_size > 1000
    assert "batch" in (finished / "results/tables/trial/accuracy.md").read_text()
    assert planned(finished) == {}


def test_how_it_is_asked_for_does_not_matter(finished: Path, random_model_folder: Path) -> None:
    """Any --config, a second configfile or a copy of it ran everything again."""
    assert planned(finished, "--config", "gpus=0") == {}
    assert planned(finished, "--config", "memory_mb=1500") == {}
    assert planned(finished, "--config", "groups_in_flight=3") == DRAWN
    shutil.copy(finished / "config/trial.yaml", finished / "config/copy.yaml")
    assert planned(finished, config="config/copy.yaml") == {}
    model = finished / "elsewhere"
    shutil.copytree(random_model_folder, model, dirs_exist_ok=True)
    write_config(finished, "moved.yaml", trial(model))
    assert planned(finished, config="config/moved.yaml") == DRAWN


def test_cells_are_shared_and_settings_kept_apart(finished: Path, random_model_folder: Path) -> None:
    """Two experiments that shared a cell ran each other's for ever, and two that differed wrote the same
    path, so that tables of the first showed the second's numbers."""
    shared = trial(random_model_folder, experiment="second", datasets=["small_g2"])
    shared |= {"exclude": [{"decoder": "hf"}]}
    write_config(finished, "second.yaml", shared)
    assert planned(finished, config="config/second.yaml") == DRAWN
    assert planned(finished) == {}
    write_config(finished, "third.yaml", {**shared, "experiment": "third", "max_new_tokens": 2})
    assert planned(finished, config="config/third.yaml") == {
        **DRAWN,
        "generate": 2,
        "evaluate": 2,
        "time": 1,
    }
    before = (finished / "results/tables/trial/cost.csv").read_bytes()
    done = snakemake(finished, "tables", config="config/third.yaml")
    assert done.returncode == 0, done.stderr
    assert planned(finished) == {}
    assert planned(finished, "tables", config="config/third.yaml") == {}
    assert (finished / "results/tables/trial/cost.csv").read_bytes() == before
    # Scoring apart too: another scorer, other scores beside the same answers.
    scored = {**shared["define"]["datasets"]["small_g2"], "scorer": "hotpotqa"}
    define = {**shared["define"], "datasets": {"small_g2": scored}}
    write_config(finished, "fourth.yaml", {**shared, "experiment": "fourth", "define": define})
    assert planned(finished, config="config/fourth.yaml") == {**DRAWN, "evaluate": 2}


def test_data_are_inputs(finished: Path) -> None:
    """Editing, growing or deleting the file behind `path:` left nothing to be done."""
    data = finished / "config/own.jsonl"
    mine = {**DRAWN, "prepare": 1, "generate": 2, "evaluate": 2, "time": 1}
    with edited(data, data.read_text().replace("lives", "dwells")):
        assert planned(finished) == mine
    with edited(data, data.read_text() + data.read_text().replace("g1", "g2")):
        # The same time as before: content counts.
        os.utime(data, (1, 1))
        assert planned(finished) == mine
    assert planned(finished) == {}
    data.rename(finished / "config/gone.jsonl")
    try:
        done = snakemake(finished, "-n")
        assert done.returncode != 0
        assert done.stderr.count("error") == 1
        assert "Traceback" not in done.stderr
        assert f"{finished}/config/trial.yaml: data file {data} of own does not exist" in done.stderr
    finally:
        (finished / "config/gone.jsonl").rename(data)


def test_an_edit_runs_exactly_what_it_decides(finished: Path) -> None:
    """Of a strategy its cells, of what all run all, of a page none (more in tests/test_rooms.py)."""
    library = finished / "lib/branchwise"
    for module, generates, times in (
        ("strategies/sequential", 2, 2),
        ("results", 5, 4),
        ("cells/timing", 0, 4),
        ("reporting/pages", 0, 0),
    ):
        with edited(library / f"{module}.py"):
            jobs = planned(finished)
            assert (jobs.get("generate", 0), jobs.get("time", 0)) == (generates, times), module
    assert planned(finished) == {}


def scores_of(project: Path, strategy: str) -> Path:
    """The scores of a cell under the settings of the experiment."""
    from branchwise.config import Cell, load_experiment
    from branchwise.config.identity import scores_path

    experiment = load_experiment([project / "config/trial.yaml"])
    path = scores_path(experiment, Cell("small_g2", "random", strategy, "tree"))
    return project / "results/cells" / path


def test_scores_of_another_cell_are_named_and_refused(finished: Path) -> None:
    """A scores.json copied from another cell passed and was printed."""
    sequential, batch = scores_of(finished, "sequential"), scores_of(finished, "batch")
    with edited(sequential, batch.read_text()):
        done = snakemake(finished, "--forcerun", "tables", "--until", "tables")
        assert done.returncode != 0
        log = (finished / "logs/tables/trial.log").read_text()
        told = f"{sequential} is of cell small_g2/random/batch/tree"
        assert told in log
        # Also where nothing else is said.
        done = snakemake(finished, "tables", "--quiet", "all")
        assert done.returncode != 0
        assert told in done.stderr
        assert "not of small_g2/random/sequential/tree" in log
    other = batch.read_text().replace('"max_new_tokens":4', '"max_new_tokens":400')
    with edited(batch, other):
        done = snakemake(finished, "--forcerun", "tables", "--until", "tables")
        assert done.returncode != 0
        log = (finished / "logs/tables/trial.log").read_text()
        assert "answers.max_new_tokens (400, here 4)" in log
    assert snakemake(finished).returncode == 0


def test_results_of_other_code_are_refused_also_after_touch(finished: Path) -> None:
    with edited(finished / "lib/branchwise/strategies/sequential.py"):
        assert snakemake(finished, "--touch").returncode == 0
        done = snakemake(finished, "--forcerun", "tables", "--until", "tables")
        assert done.returncode != 0
        assert "was made by other code" in (finished / "logs/tables/trial.log").read_text()
        # Cached results are shown, and say so.
        cached = ("figures", "--config", "cached=true", "results=results/old", "figures=figures/old")
        done = snakemake(finished, *cached, "cells_at=results/cells")
        assert done.returncode == 0, done.stderr
        table = (finished / "results/old/tables/trial/accuracy.md").read_text()
        assert "of 2 of 5 cells this is not the code that is here" in table
        svg = (finished / "figures/old/trial/accuracy.svg").read_text()
        assert "this is not the code that is here" in svg
    assert snakemake(finished, "--touch").returncode == 0
    assert snakemake(finished).returncode == 0


def test_a_clone_redraws_the_same_without_data_or_model(finished: Path, tmp_path: Path) -> None:
    """A clone has neither times nor Snakemake's records, and a reader neither model nor data."""
    for name in (*COPIED, "results"):
        copy = shutil.copytree if (finished / name).is_dir() else shutil.copy
        copy(finished / name, tmp_path / name)
    (tmp_path / "config/own.jsonl").unlink()
    for cell in (tmp_path / "results/cells").rglob("*.jsonl"):
        cell.unlink()
    shutil.rmtree(tmp_path / "results/tables")
    config = (tmp_path / "config/trial.yaml").read_text()
    model = next(line for line in config.splitlines() if "random_model" in line)
    (tmp_path / "config/trial.yaml").write_text(config.replace(model, "      path: /no/model"))
    cached = ("figures", "--config", "cached=true")
    assert planned(tmp_path, *cached) == {"figures": 1, "tables": 1, "draw": 1}
    done = snakemake(tmp_path, *cached)
    assert done.returncode == 0, done.stderr
    for table in (finished / "results/tables/trial").glob("*.csv"):
        first, again = pd.read_csv(table), pd.read_csv(tmp_path / "results/tables/trial" / table.name)
        if table.name == tidy.NAME:
            # What was said lies in the answers, which a clone does not have.
            kept = [name for name in first if name not in tidy.OF_ANSWERS]
            assert again[list(tidy.OF_ANSWERS)].isna().all(axis=None)
            first, again = first[kept], again[kept]
        pd.testing.assert_frame_equal(first, again, check_exact=True)
    note = (tmp_path / "results/tables/trial/accuracy.md").read_text()
    assert "Cached results: settings" in note
    assert "as it is here" in note
    # Of other settings they are refused, with what differs.
    done = snakemake(tmp_path, *cached, "max_new_tokens=9")
    assert done.returncode != 0
    assert "of other settings: answers.max_new_tokens" in done.stderr
    assert "here 9)" in done.stderr


def test_cached_results_that_are_not_there_are_named(project: Path) -> None:
    done = snakemake(project, "figures", "--config", "cached=true")
    assert done.returncode != 0
    assert "there are no cached scores.json of cell small_g2/random/sequential/tree in" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_typo_is_one_line_before_anything_is_planned(finished: Path) -> None:
    done = snakemake(finished, "-n", "--config", "repeets=3")
    assert done.returncode != 0
    place = finished / "config/trial.yaml"
    told = f"error: the command line, over {place}: unknown key repeets; did you mean repeats"
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_overrides_on_the_command_line_reach_the_jobs(finished: Path) -> None:
    done = snakemake(finished, "-n", "-p", "--config", "repeats=3")
    assert "--set repeats=3" in done.stdout.replace("'", "")


def test_odd_names_are_names(project: Path, random_model_folder: Path) -> None:
    """`results: "r; touch X; echo "` ran the command; spaces, plus signs and brackets failed."""
    content = trial(random_model_folder, datasets=["my set [1]+"], exclude=[], decoders=["tree"])
    content |= {"results": "r; touch X; echo ", "figures": "f $(touch Y) 'q'"}
    define = content["define"]
    define["datasets"]["my set [1]+"] = define["datasets"].pop("own")
    define["models"]["m (a) + b"] = define["models"].pop("random")
    define["strategies"] = {"in turn [x]": {"module": "sequential"}}
    content |= {"models": ["m (a) + b"], "strategies": ["in turn [x]", "batch"]}
    write_config(project, "odd name [1].yaml", content)
    done = snakemake(project, config="config/odd name [1].yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (project / "X").exists()
    assert not (project / "Y").exists()
    assert "in turn [x]" in (project / "r; touch X; echo /tables/trial/accuracy.md").read_text()
    assert planned(project, config="config/odd name [1].yaml") == {}


def test_from_another_folder_it_is_the_same(
    root: Path, finished: Path, tmp_path: Path, random_model_folder: Path
) -> None:
    """-s and -d, the command line outside of the repository, home in paths, data beside the config."""
    write_config(finished, "one.yaml", trial(random_model_folder, **ONE_CELL))
    config = str(finished / "config/one.yaml")
    words = ("tables", "-s", str(finished / "Snakefile"))
    done = snakemake(finished, *words, config=config, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results/tables/trial/accuracy.csv").is_file()
    words = ("-s", str(finished / "Snakefile"), "-d", str(finished), "-n")
    trial_config = str(finished / "config/trial.yaml")
    done = snakemake(finished, *words, config=trial_config, cwd=tmp_path)
    assert "Nothing to be done" in done.stdout + done.stderr
    done = snakemake(root, "-s", str(root / "Snakefile"), "-n", config=None, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = subprocess.run(
        [sys.executable, "-m", "branchwise", "cells"],
        cwd=tmp_path,
        env=environment(finished),
        capture_output=True,
        text=True,
    )
    assert "worlds_two_hop_g2/tiny/batch/tree" in cells.stdout


def test_after_kill_9_the_same_command_goes_on(project: Path, random_model_folder: Path) -> None:
    """It took --unlock, which --quiet hid."""
    write_config(project, "trial.yaml", trial(random_model_folder, **ONE_CELL))
    process = subprocess.Popen(
        command(project, "tables", "--config", *MANY_REPEATS),
        cwd=project,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journals = project / "results/journal"
    while not list(journals.rglob("*.jsonl")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list((project / ".snakemake/locks").glob("*.lock"))
    done = snakemake(project, "tables", "--quiet", "all", "--config", *MANY_REPEATS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "locks of a killed run were removed" in done.stderr


def test_a_living_run_keeps_its_locks(finished: Path) -> None:
    from branchwise.locks import join_runs

    folder = finished / ".snakemake"
    lock = folder / "locks/7.output.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("results/x\n")
    held, removed = join_runs(folder)
    assert removed == 1
    lock.write_text("results/x\n")
    other = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from pathlib import Path; from branchwise.locks import join_runs\n"
            f"print(join_runs(Path({str(folder)!r}))[1])",
        ],
        env=environment(finished),
        capture_output=True,
        text=True,
    )
    assert other.stdout.strip() == "0", other.stderr
    held.close()
    lock.unlink()
