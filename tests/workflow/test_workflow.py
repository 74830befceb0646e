"""The workflow as its users meet it: plans, caches, edits, mistakes. On a copy, with a random model."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

COPIED = ("Snakefile", "lib", "config", "workflow", "profiles", "envs")


@pytest.fixture
def project(root: Path, tmp_path: Path, random_model_folder: Path) -> Path:
    """A copy of the project with an experiment of four cells."""
    for name in COPIED:
        source = root / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, tmp_path / name, ignore=ignore)
        else:
            shutil.copy(source, tmp_path / name)
    (tmp_path / "config/trial.yaml").write_text(
        yaml.safe_dump(
            {
                "experiment": "trial",
                "datasets": ["small_g2"],
                "models": ["random"],
                "strategies": ["all_in_one", "sequential", "batch"],
                "decoders": ["tree", "hf"],
                "exclude": [{"decoder": "hf", "strategy": ["all_in_one", "sequential"]}],
                "max_new_tokens": 4,
                "repeats": 1,
                "bootstrap_draws": 100,
                "define": {
                    "models": {"random": {"path": str(random_model_folder)}},
                    "datasets": {
                        "small_g2": {
                            "source": "worlds",
                            "kinds": ["two_hop"],
                            "group_size": 2,
                            "num_groups": 3,
                        }
                    },
                },
            }
        )
    )
    return tmp_path


def snakemake(project: Path, *words: str) -> subprocess.CompletedProcess:
    binary = Path(sys.executable).with_name("snakemake")
    environment = {**os.environ, "PATH": f"{binary.parent}:{os.environ['PATH']}"}
    environment |= {"PYTHONPATH": str(project / "lib"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(binary), *words, "--cores", "2", "--configfile", "config/trial.yaml"],
        cwd=project,
        capture_output=True,
        text=True,
        env=environment,
    )
    return done


def planned(project: Path, *words: str) -> dict[str, int]:
    """Jobs of a dry run, by rule."""
    done = snakemake(project, *words, "-n", "--quiet", "rules")
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    jobs = re.findall(r"^(\w+) +(\d+)$", text.split("Job stats:")[1], re.M) if "Job stats" in text else []
    return {rule: int(count) for rule, count in jobs if rule != "total"}


def test_from_config_to_figures_and_back(project: Path) -> None:
    assert planned(project) == {
        "all": 1,
        "prepare": 1,
        "generate": 4,
        "evaluate": 4,
        "tables": 1,
        "draw": 1,
    }
    done = snakemake(project)
    assert done.returncode == 0, done.stderr
    assert (project / "figures/trial/quality_latency.pdf").stat().st_size > 1000
    assert "batch" in (project / "results/tables/trial/accuracy.md").read_text()

    # A second run has nothing to do.
    assert planned(project) == {}

    # Editing a strategy re-runs exactly its cells, and what is made of them.
    module = project / "lib/branchwise/strategies/sequential.py"
    module.write_text(module.read_text() + "\n# edited\n")
    assert planned(project) == {"all": 1, "generate": 1, "evaluate": 1, "tables": 1, "draw": 1}
    reasons = snakemake(project, "-n").stdout
    assert "sequential" in reasons
    module.write_text(module.read_text().removesuffix("\n# edited\n"))
    assert planned(project) == {}

    # Editing a decoder re-runs its cells alone.
    module = project / "lib/branchwise/decoding/hf.py"
    module.write_text(module.read_text() + "\n# edited\n")
    assert planned(project)["generate"] == 1
    module.write_text(module.read_text().removesuffix("\n# edited\n"))

    # A clone has the files but neither their times nor Snakemake's records.
    clone = project / "clone"
    clone.mkdir()
    for name in (*COPIED, "results"):
        copy = shutil.copytree if (project / name).is_dir() else shutil.copy
        copy(project / name, clone / name)
    for cell in (clone / "results/cells").rglob("*.jsonl"):
        cell.unlink()
    shutil.rmtree(clone / "results/tables")
    cached = ("figures", "--config", "cached=true")
    assert planned(clone, *cached) == {"figures": 1, "tables": 1, "draw": 1}
    done = snakemake(clone, *cached)
    assert done.returncode == 0, done.stderr
    for suffix in ("svg", "pdf"):
        drawn = clone / f"figures/trial/accuracy.{suffix}"
        assert drawn.read_bytes() == (project / f"figures/trial/accuracy.{suffix}").read_bytes()
    for table in (project / "results/tables/trial").iterdir():
        assert (clone / "results/tables/trial" / table.name).read_text() == table.read_text()


def test_cached_results_that_are_not_there_are_named(project: Path) -> None:
    done = snakemake(project, "figures", "--config", "cached=true")
    assert done.returncode != 0
    assert "scores.json" in done.stdout + done.stderr


def test_a_typo_is_one_line_before_anything_is_planned(project: Path) -> None:
    done = snakemake(project, "-n", "--config", "repeets=3")
    assert done.returncode != 0
    assert "error: config/trial.yaml: unknown key repeets; did you mean repeats" in done.stderr
    assert "Traceback" not in done.stderr


def test_overrides_on_the_command_line_reach_the_jobs(project: Path) -> None:
    done = snakemake(project, "-n", "-p", "--config", "repeats=2")
    assert "--set repeats=2" in done.stdout.replace("'", "") or "--set 'repeats=2'" in done.stdout


def test_a_reader_never_imports_torch(project: Path) -> None:
    code = (
        "import sys\n"
        "import branchwise.reporting.figures, branchwise.reporting.tables\n"
        "import branchwise.evaluation.score, branchwise.config, branchwise.data.prepare\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=project).returncode == 0


def test_formatting_and_lint(root: Path) -> None:
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
    for words in (["snakefmt", "--check", "Snakefile", "workflow"], ["snakemake", "--lint"]):
        done = subprocess.run(words, cwd=root, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
