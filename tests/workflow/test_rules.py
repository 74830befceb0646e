"""Rules that no plain grid runs: dependencies, a judge, the tiny model, the bench."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from branchwise.results import GroupDependencies, Scores, read_json, read_rows
from branchwise.times import TimesRecord
from tests.evaluation.judge_server import Server
from tests.training.minute import MINUTE
from tests.workflow.project import DRAWN, edited, planned, snakemake, trial, write_config

pytestmark = pytest.mark.slow

FOLLOWING = {
    "datasets": ["small_g2"],
    "strategies": ["batch", "collab_gold", "collab_heuristic"],
    "decoders": ["tree"],
    "exclude": [],
}
JUDGED = {**FOLLOWING, "datasets": ["own"], "strategies": ["batch"]}


def commands_of(project: Path, *words: str, config: str = "config/trial.yaml") -> list[str]:
    """The command lines of a dry run."""
    done = snakemake(project, *words, "-n", "-p", config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"^Shell command: (.*)$", done.stdout + done.stderr, re.M)


def test_dependencies_are_found_once_for_answers_and_times(
    project: Path, random_model_folder: Path
) -> None:
    write_config(project, "trial.yaml", trial(random_model_folder, **FOLLOWING))
    plan = {**DRAWN, "prepare": 1, "depend": 2, "generate": 3, "evaluate": 3, "time": 1}
    assert planned(project) == plan
    done = snakemake(project, "tables")
    assert done.returncode == 0, done.stdout + done.stderr
    files = sorted((project / "results/dependencies").rglob("*.jsonl"))
    assert [path.parent.name for path in files] == ["gold", "heuristic"]
    for path in files:
        rows = list(read_rows(path, GroupDependencies))
        assert len(rows) == 3
        assert {row.generator for row in rows} == {path.parent.name}
        assert (sum(row.wall_s for row in rows) > 0) == (path.parent.name == "heuristic")
    (times,) = (read_json(path, TimesRecord) for path in (project / "results/times").rglob("*.json"))
    assert Counter(run.strategy for run in times.runs if not run.again) == dict.fromkeys(
        FOLLOWING["strategies"], 1
    )
    table = (project / "results/tables/trial/dependencies.csv").read_text()
    assert len(table.splitlines()) == 3
    # Finding them anew makes what follows them anew, and nothing else.
    with edited(project / "lib/branchwise/dependencies/heuristic.py"):
        assert planned(project, "tables") == {
            "tables": 1,
            "depend": 1,
            "generate": 1,
            "evaluate": 1,
            "time": 1,
        }
    assert planned(project, "tables") == {}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        yield made


class _Always(dict):
    """The same replies to whatever is graded."""

    def __missing__(self, answer: str) -> list[str]:
        return [json.dumps({"reasons": "r", "score": 2})]


def judged(project: Path, answerer: Path, server: Server, **changes: Any) -> None:
    entry = server.entry(**changes).model_dump(mode="json")
    write_config(project, "trial.yaml", trial(answerer, **JUDGED, judge=entry, judged=["own"]))


def test_a_judge_is_asked_once_and_stands_in_the_scores(
    project: Path, random_model_folder: Path, server: Server
) -> None:
    server.replies = _Always()
    judged(project, random_model_folder, server)
    plan = {"tables": 1, "prepare": 1, "generate": 1, "judge": 1, "evaluate": 1, "time": 1}
    assert planned(project, "tables") == plan
    done = snakemake(project, "tables")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.asked) == 2
    (scores,) = (read_json(path, Scores) for path in project.glob("results/cells/**/scores.json"))
    assert scores.metrics["judge_score"].value == 2
    assert scores.judge is not None
    assert (scores.judge["num_verdicts"], scores.judge["num_missing"]) == (2, 0)
    assert "(judge, 1 to 5)" in (project / "results/tables/trial/further.md").read_text()
    assert planned(project, "tables") == {}
    # Another judge grades the same answers, beside the first one's grades.
    judged(project, random_model_folder, server, model="other")
    assert planned(project, "tables") == {"tables": 1, "judge": 1, "evaluate": 1}
    # Verdicts that are lost are in the journal: nobody is asked again.
    judged(project, random_model_folder, server)
    (file,) = project.glob("results/cells/**/judged.json")
    file.unlink()
    assert snakemake(project, "tables", "--forcerun", "judge").returncode == 0
    assert len(server.asked) == 2


def test_the_commands_of_the_tiny_model_and_of_the_bench(finished: Path) -> None:
    lines = commands_of(finished, "-f", "tiny_model", "figures/bench/qwen2.5-0.5b.svg")
    assert sorted(lines) == [
        "python -m branchwise bench --shape qwen2.5-0.5b --whole 32 --uneven --paged --agree 32 "
        "--out results/bench/qwen2.5-0.5b.json 2>&1 | tee logs/bench/qwen2.5-0.5b.log",
        "python -m branchwise speed results/bench/qwen2.5-0.5b.json --out figures/bench/qwen2.5-0.5b "
        "2> logs/speed/qwen2.5-0.5b.log",
        "python -m branchwise train --recipe config/tiny_model.yaml --work results/training/tiny "
        "--out resources/models/tiny --threads 2 2>&1 | tee logs/tiny_model.log",
    ]


def test_the_tiny_model_is_trained_by_its_recipe(project: Path) -> None:
    """A minute recipe in the place of the shipped one: all files that the rule promises."""
    (project / "config/tiny_model.yaml").write_text(yaml.safe_dump(MINUTE))
    card = project / "lib/branchwise/training/card.py"
    few = 'SPECS = {"look_up": SPECS["look_up"].model_copy(update={"num_groups": 3})}'
    card.write_text(f'{card.read_text()}\n{few}\nSPLITS = {{"seen": {{}}}}\n')
    done = snakemake(project, "-f", "tiny_model")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = project / "resources/models/tiny"
    assert '"steps": 4' in (folder / "training.json").read_text()
    assert "1 x 160" in (folder / "README.md").read_text()
    assert "step 1/4" in (project / "logs/tiny_model.log").read_text()
    assert planned(project, "tiny_model") == {}


def test_a_command_that_fails_fails_its_rule_also_before_tee(project: Path) -> None:
    """A bench that broke off after its first rows counted as done: the prefix of commands took the place
    of Snakemake's own, with `set -o pipefail` in it.
    """
    main = project / "lib/branchwise/__main__.py"
    main.write_text(
        "import sys\n"
        "with open(sys.argv[sys.argv.index('--out') + 1], 'w') as file:\n"
        "    file.write('{}')\n"
        "sys.exit(3)\n"
    )
    done = snakemake(project, "results/bench/qwen2.5-0.5b.json")
    assert done.returncode != 0
    assert "Error in rule bench" in done.stdout + done.stderr
    assert not (project / "results/bench/qwen2.5-0.5b.json").exists()
