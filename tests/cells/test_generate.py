"""`branchwise generate` on a random model: files, resumption, and errors, all as a user meets them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from branchwise.data.prepare import prepare_groups
from branchwise.data.worlds.dataset import WorldsDataset
from branchwise.results import AnswerRow, RunRecord, read_json, read_rows
from branchwise.trace import GroupTrace, Tokens, question_tokens, total_tokens

NUM_GROUPS = 30
python = sys.executable


@pytest.fixture(scope="module", autouse=True)
def warmth(warm_programs: Path) -> None:
    """Most time of these tests would be Python starting."""
    global python
    python = str(warm_programs / "python")


@pytest.fixture
def work(tmp_path: Path, random_model_folder: Path) -> Path:
    entry = WorldsDataset(source="worlds", kinds=("two_hop",), num_groups=NUM_GROUPS, group_size=4)
    prepare_groups(entry, tmp_path / "groups.jsonl", pytest.fail)
    config = {
        "experiment": "trial",
        "datasets": ["worlds_two_hop_g4"],
        "models": ["random"],
        "strategies": ["batch"],
        "decoders": ["tree"],
        "timed_groups": 3,
        "groups_in_flight": 4,
        "max_new_tokens": 12,
        "define": {"models": {"random": {"path": str(random_model_folder)}}},
    }
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def command(work: Path, out: str = "cell", *more: str) -> list[str]:
    return [
        *(python, "-m", "branchwise", "generate", "--config", str(work / "trial.yaml")),
        *("--dataset", "worlds_two_hop_g4", "--model", "random", "--strategy", "batch"),
        *("--decoder", "tree", "--groups", str(work / "groups.jsonl"), "--out", str(work / out)),
        *("--journal", str(work / f"{out}.journal"), *more),
    ]


def run(root: Path, words: list[str]) -> subprocess.CompletedProcess:
    environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=root, capture_output=True, text=True, env=environment)


def answers(folder: Path) -> list[dict]:
    rows = read_rows(folder / "answers.jsonl", AnswerRow)
    return [row.model_dump(exclude={"start_s", "end_s"}) for row in rows]


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(root: Path, work: Path) -> None:
    assert run(root, command(work, "undisturbed")).returncode == 0
    process = subprocess.Popen(
        [sys.executable, *command(work, "killed")[1:]], cwd=root, stderr=subprocess.DEVNULL
    )
    journal = work / "killed.journal"
    while not journal.exists() or journal.read_text().count("\n") < 3:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (work / "killed").exists()
    again = run(root, command(work, "killed"))
    assert again.returncode == 0, again.stderr
    assert "groups came from the journal" in again.stderr
    assert answers(work / "killed") == answers(work / "undisturbed")
    killed = read_json(work / "killed/run.json", RunRecord)
    assert 3 <= killed.num_resumed < NUM_GROUPS
    assert killed.totals == read_json(work / "undisturbed/run.json", RunRecord).totals
    assert not journal.exists()


@pytest.mark.slow
def test_run_json_says_what_is_needed_to_believe_it(root: Path, work: Path) -> None:
    assert run(root, command(work)).returncode == 0
    record = read_json(work / "cell/run.json", RunRecord)
    assert record.identity.settings["max_new_tokens"] == 12
    assert record.resolved["dtype"] == "float32"
    assert record.versions["torch"]
    assert record.groups_in_flight == 4
    assert record.makespan_s > 0
    assert record.totals.sent == sum(group.tokens.sent for group in record.groups)
    rows = list(read_rows(work / "cell/answers.jsonl", AnswerRow))
    assert sum(row.tokens.generated for row in rows) == pytest.approx(record.totals.generated)
    assert all(0 <= row.start_s < row.end_s for row in rows)


@pytest.mark.slow
def test_ledger_and_ideal_latency_are_computed_again_from_the_files(root: Path, work: Path) -> None:
    assert run(root, command(work)).returncode == 0
    record = read_json(work / "cell/run.json", RunRecord)
    traces = {trace.group: trace for trace in read_rows(work / "cell/trace.jsonl", GroupTrace)}
    rows = list(read_rows(work / "cell/answers.jsonl", AnswerRow))
    for group in record.groups:
        asks = traces[group.id].asks
        mine = [row for row in rows if row.group == group.id]
        assert total_tokens(asks) == group.tokens
        shares = question_tokens(asks, {row.question: row.asks for row in mine})
        assert [shares[row.question] for row in mine] == [row.tokens for row in mine]
        assert all(ask.messages and ask.messages[0]["role"] == "system" for ask in asks)
    assert record.totals == Tokens.total(record.totals_by_role.values())


@pytest.mark.slow
def test_files_of_something_else_are_named(root: Path, work: Path) -> None:
    """Answers that were copied from another cell of the same data, groups of other settings."""
    # Error 30: result files that are copies of another task's.
    assert run(root, command(work)).returncode == 0
    other = [
        word.replace("batch", "sequential") if word == "batch" else word
        for word in command(work, "other")
    ]
    config = yaml.safe_load((work / "trial.yaml").read_text())
    (work / "trial.yaml").write_text(yaml.safe_dump({**config, "strategies": ["batch", "sequential"]}))
    assert run(root, other).returncode == 0
    (work / "cell/answers.jsonl").write_bytes((work / "other/answers.jsonl").read_bytes())
    words = [python, "-m", "branchwise", "evaluate", "cell", "--config", str(work / "trial.yaml")]
    done = run(root, [*words, "--cell", str(work / "cell"), "--out", str(work / "scores.json")])
    assert done.returncode == 2
    place = work / "cell/answers.jsonl"
    assert f"{place} is of cell worlds_two_hop_g4/random/sequential/tree, not of" in done.stderr
    words = [python, "-m", "branchwise", "prepare", "--config", str(work / "trial.yaml")]
    done = run(root, [*words, "--dataset", "worlds_two_hop_g2", "--out", str(work / "groups.jsonl")])
    assert done.returncode == 0
    done = run(root, command(work, "third"))
    assert done.returncode == 2
    assert "groups.jsonl was made by other settings of its data set" in done.stderr


def with_define(work: Path, entry: dict) -> None:
    config = yaml.safe_load((work / "trial.yaml").read_text())
    config["define"]["models"]["random"] = entry
    (work / "trial.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda work: (work / "groups.jsonl").unlink(), "groups.jsonl does not exist"),
        (lambda work: with_define(work, {"path": str(work / "none")}), "has no config.json"),
        (lambda work: (work / "trial.yaml").unlink(), "trial.yaml does not exist"),
        (
            lambda work: (work / "trial.yaml").write_text("experimnt: x"),
            "unknown key experimnt",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(root: Path, work: Path, change, message) -> None:
    change(work)
    done = run(root, command(work))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (work / "cell").exists()


@pytest.mark.slow
def test_a_group_that_does_not_fit_is_left_out_and_counted(root: Path, work: Path) -> None:
    """It killed its cell, and with it all tables."""
    lines = (work / "groups.jsonl").read_text().splitlines()
    group = json.loads(lines[2])
    group["context"] = "word " * 9000
    lines[2] = json.dumps(group)
    (work / "groups.jsonl").write_text("\n".join(lines) + "\n")
    done = run(root, command(work))
    assert done.returncode == 0, done.stderr
    assert f"left out: group {group['id']}: a prompt of" in done.stderr
    record = read_json(work / "cell/run.json", RunRecord)
    assert record.num_groups == NUM_GROUPS - 1 == len(record.groups)
    (left_out,) = record.left_out
    assert (left_out.group, left_out.num_questions) == (group["id"], 4)
    assert group["id"] not in {row["group"] for row in answers(work / "cell")}
    done = run(root, command(work, "strict", "--strict"))
    assert done.returncode == 2
    assert f"group {group['id']}: a prompt of" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (work / "strict").exists()
