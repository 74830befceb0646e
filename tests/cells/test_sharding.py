"""A cell that is answered in shards is the cell that one job answers, byte for byte but for times."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from branchwise.cells.cell import run_cell
from branchwise.cells.job import CellFiles, Shard
from branchwise.cells.sharding import merge_shards, take_ready
from branchwise.commands.jobs import job_of
from branchwise.config import Cell, Experiment
from branchwise.config.load import load_experiment
from branchwise.data.prepare import prepare_groups
from branchwise.errors import UserError
from branchwise.memory import forget_peak, resident_mib

NUM_GROUPS = 7
TIMES = {"start_s", "end_s", "after_s", "waited_s", "forward_s"}
OF_A_JOB = {
    *("load_s", "makespan_s", "peak_memory_mib", "kv_cache_mib", "num_resumed", "shards", "warnings"),
    *("resolved", "hardware", "groups_in_flight"),
}


@pytest.fixture(scope="module")
def experiment(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    folder = tmp_path_factory.mktemp("sharded")
    content: dict[str, Any] = {
        "experiment": "sharded",
        "datasets": ["small"],
        "models": ["tiny"],
        "strategies": ["batch", "sequential", "vote"],
        "decoders": ["tree", "hot"],
        "exclude": [{"strategy": "vote", "decoder": "tree"}],
        "max_new_tokens": 8,
        # Its solved questions are computed once for all groups.
        "style": "chat_json_shots",
        "groups_in_flight": 3,
        "define": {
            "datasets": {
                "small": {
                    "source": "worlds",
                    "kinds": ["two_hop"],
                    "group_size": 3,
                    "num_groups": NUM_GROUPS,
                }
            },
            "models": {"tiny": {"path": str(root / "resources/models/tiny")}},
            "decoders": {"hot": {"kind": "tree", "sampling": {"temperature": 1.0}}},
        },
    }
    (folder / "sharded.yaml").write_text(yaml.safe_dump(content))
    loaded = load_experiment([str(folder / "sharded.yaml")], {})
    prepare_groups(loaded.catalogues.datasets["small"], folder / "groups.jsonl", pytest.fail)
    return loaded


@pytest.fixture
def folder(experiment: Experiment) -> Path:
    return Path(experiment.origin("datasets", "small")).parent


def made(experiment: Experiment, folder: Path, out: Path, cell: Cell, shard: str | None = None) -> Path:
    files = CellFiles(folder / "groups.jsonl", out, out.with_suffix(".journal"))
    run_cell(job_of(experiment, cell, False, shard), files, lambda *_: None, lambda _: None)
    return out


def without(content: Any, keys: set[str]) -> Any:
    if isinstance(content, dict):
        return {k: without(v, keys) for k, v in content.items() if k not in keys}
    return [without(one, keys) for one in content] if isinstance(content, list) else content


def plain(path: Path) -> list[Any]:
    """A file's lines without times."""
    return [without(json.loads(line), TIMES) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("of", [2, NUM_GROUPS + 2])
@pytest.mark.parametrize("cell", [("batch", "tree"), ("sequential", "tree"), ("vote", "hot")])
def test_merged_shards_are_the_cell(
    experiment: Experiment, folder: Path, tmp_path: Path, cell: tuple[str, str], of: int
) -> None:
    """More shards than groups, too; and whatever the order in which they are given."""
    one = Cell("small", "tiny", *cell)
    whole = made(experiment, folder, tmp_path / "whole", one)
    parts = [made(experiment, folder, tmp_path / f"{n}", one, f"{n}/{of}") for n in range(of, 0, -1)]
    merged = tmp_path / "merged"
    files = CellFiles(folder / "groups.jsonl", merged, tmp_path / "unused")
    merge_shards(job_of(experiment, one), files, parts, pytest.fail)
    for name in ("answers.jsonl", "trace.jsonl"):
        assert plain(merged / name) == plain(whole / name)
    ours, theirs = (json.loads((place / "run.json").read_text()) for place in (merged, whole))
    assert without(ours, OF_A_JOB) == without(theirs, OF_A_JOB)
    assert theirs["resolved"]["shared_prompt_tokens"] > 0
    assert [shard["num_groups"] for shard in ours["shards"]] == [
        len(range(n - 1, NUM_GROUPS, of)) for n in range(of, 0, -1)
    ]
    assert ours["num_groups"] == NUM_GROUPS and theirs["shards"] == []


def test_what_is_missing_or_anothers_is_named(
    experiment: Experiment, folder: Path, tmp_path: Path
) -> None:
    batch, turns = Cell("small", "tiny", "batch", "tree"), Cell("small", "tiny", "sequential", "tree")
    first = made(experiment, folder, tmp_path / "1", batch, "1/2")
    other = made(experiment, folder, tmp_path / "2", turns, "2/2")
    files = CellFiles(folder / "groups.jsonl", tmp_path / "merged", tmp_path / "unused")
    with pytest.raises(UserError, match="3 of 7 groups of cell small/tiny/batch/tree are in no shard"):
        merge_shards(job_of(experiment, batch), files, [first], pytest.fail)
    with pytest.raises(UserError, match="2 is no shard of cell small/tiny/batch/tree"):
        merge_shards(job_of(experiment, batch), files, [first, other], pytest.fail)
    with pytest.raises(UserError, match=r"run\.json does not exist"):
        merge_shards(job_of(experiment, batch), files, [first, tmp_path / "none"], pytest.fail)
    assert not files.out.exists()


def test_what_another_job_has_left_is_taken_if_it_is_of_these_groups(
    experiment: Experiment, folder: Path, tmp_path: Path
) -> None:
    cell = Cell("small", "tiny", "batch", "tree")
    whole = made(experiment, folder, tmp_path / "whole", cell)
    said: list[str] = []
    for left in ("as it is", "of other groups", "cut off"):
        ready = made(experiment, folder, tmp_path / "ready", cell, "1/1")
        files = CellFiles(folder / "groups.jsonl", tmp_path / left, tmp_path / "journal", ready=ready)
        if left == "of other groups":
            groups = tmp_path / "groups.jsonl"
            groups.write_text((folder / "groups.jsonl").read_text().replace("lives", "dwells"))
            files = replace(files, groups=groups)
        elif left == "cut off":
            (ready / "records.jsonl").write_text("{")
        is_taken = take_ready(job_of(experiment, cell), files, said.append)
        assert is_taken == (left == "as it is")
        assert not ready.exists()
        assert (tmp_path / left).exists() == is_taken
        assert not take_ready(job_of(experiment, cell), files, said.append)
    assert plain(tmp_path / "as it is/answers.jsonl") == plain(whole / "answers.jsonl")
    (line,) = said
    assert line.startswith("what another job has left is not used: ")


@given(of=st.integers(1, 40), count=st.integers(0, 100))
def test_every_group_is_in_one_shard(of: int, count: int) -> None:
    shards = [Shard(n, of).of_groups(range(count)) for n in range(1, of + 1)]
    assert sorted(number for shard in shards for number in shard) == list(range(count))
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("text", ["", "2", "0/2", "3/2", "-1/2", "a/b", "1/2/3", "1.5/2", "²/3"])
def test_no_shard(text: str) -> None:
    with pytest.raises(UserError, match="write the second of four as 2/4"):
        Shard.parse(text)


@pytest.mark.skipif(not forget_peak(), reason="this system does not let a peak be forgotten")
def test_what_was_given_back_before_a_cell_is_not_its_memory(
    experiment: Experiment, folder: Path, tmp_path: Path
) -> None:
    """One process may answer several cells."""
    torch.ones(2**28)
    out = made(experiment, folder, tmp_path / "whole", Cell("small", "tiny", "batch", "tree"))
    peak = json.loads((out / "run.json").read_text())["peak_memory_mib"]
    assert 0 < peak < (resident_mib() or 0) + 500
