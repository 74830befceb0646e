"""Times are taken in turns, in balanced order, without the collector, and go on where they stopped."""

import gc
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchwise.cells import runner as runner_module
from branchwise.cells.job import CellFiles
from branchwise.cells.timing import TimingJob, order, run_timing, spread
from branchwise.commands.jobs import job_of
from branchwise.config import load_experiment
from branchwise.config.timing import contest_of, contests, times_identity
from branchwise.data.prepare import prepare_groups
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.results import read_json
from branchwise.times import TimedRun, TimesRecord, medians


@pytest.fixture(autouse=True)
def a_machine_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timing jobs of a machine wait for each other: other tests that run beside are no part of these."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@given(st.integers(1, 12), st.integers(0, 40))
def test_everybody_is_once_in_every_place_of_a_cycle(contestants: int, cycle: int) -> None:
    turns = [order(contestants, cycle * contestants + turn) for turn in range(contestants)]
    for one in turns:
        assert sorted(one) == list(range(contestants))
    for place in zip(*turns, strict=True):
        assert sorted(place) == list(range(contestants))


@given(st.integers(1, 200), st.integers(1, 60))
def test_groups_are_spread_evenly(count: int, most: int) -> None:
    numbers = spread(count, most)
    assert len(numbers) == len(set(numbers)) == min(count, most)
    assert numbers[0] == 0
    assert all(0 <= number < count for number in numbers)
    gaps = {b - a for a, b in zip(numbers, [*numbers[1:], count], strict=True)}
    assert max(gaps) - min(gaps) <= 1


def run_of(group: str, repeat: int, wall_s: float, ideal_s: float) -> TimedRun:
    return TimedRun(
        strategy="batch",
        decoder="tree",
        group=group,
        repeat=repeat,
        place=0,
        wall_s=wall_s,
        ideal_s=ideal_s,
        cpu_s=0,
        load=0,
        process=1,
        hardware="",
    )


def test_wall_and_ideal_are_of_the_same_run_the_middle_one() -> None:
    """Neither the fastest repeat nor a mean, and not the ideal of another repeat."""
    runs = (run_of("g", 0, 3.0, 0.5), run_of("g", 1, 1.0, 0.9), run_of("g", 2, 2.0, 1.5))
    (groups,) = medians(runs).values()
    assert (groups["g"].wall_s, groups["g"].ideal_s) == (2.0, 1.5)


CONFIG = {
    "experiment": "trial",
    "datasets": ["small"],
    "models": ["tiny"],
    "strategies": ["sequential", "batch", "collab_none"],
    "decoders": ["tree", "hf"],
    "exclude": [{"decoder": "hf", "strategy": ["sequential", "collab_none"]}],
    "max_new_tokens": 3,
    "timed_groups": 3,
    "repeats": 3,
    "define": {
        "datasets": {
            "small": {"source": "worlds", "kinds": ["two_hop"], "group_size": 2, "num_groups": 5}
        }
    },
}


def timing_job(folder: Path, decoder: str | None = "tree", **changes) -> TimingJob:
    (folder / "trial.yaml").write_text(json.dumps(CONFIG | changes))
    experiment = load_experiment([folder / "trial.yaml"])
    contest = contest_of(experiment, "small", "tiny", decoder)
    assert contest is not None
    groups = folder / "groups.jsonl"
    entry = experiment.catalogues.datasets["small"]
    prepare_groups(entry, groups, pytest.fail)
    files = []
    for cell in contest.cells:
        job = job_of(experiment, cell)
        found = folder / f"{cell.strategy}.jsonl" if job.strategy.dependencies else None
        if found:
            from branchwise.cells.depending import Depending, find_all, generator_of
            from branchwise.data.groups_file import read_groups
            from branchwise.results import write_rows

            control = experiment.catalogues.dependencies["none"]
            depending = Depending("none", control, generator_of(control, None), len, True)
            settings = value_hash(job.identity.settings["dependencies"])
            found_all = find_all(read_groups(groups), depending, lambda *_: None)
            write_rows(found, found_all, {"settings": settings})
        files.append(CellFiles(groups, folder, folder / "journal.jsonl", found))
    return TimingJob(
        jobs=tuple(job_of(experiment, cell) for cell in contest.cells),
        files=tuple(files),
        reference=contest.reference,
        identity=times_identity(experiment, contest),
        timed_groups=experiment.timed_groups,
        repeats=experiment.repeats,
        out=folder / "times.json",
        journal=folder / "journal.jsonl",
    )


def test_all_strategies_are_timed_on_all_groups_and_the_baseline_twice(tmp_path: Path) -> None:
    job = timing_job(tmp_path)
    run_timing(job, lambda done, total: None, lambda text: None)
    record = read_json(job.out, TimesRecord)
    counts = Counter((run.strategy, run.again) for run in record.runs)
    assert counts == {
        ("sequential", False): 9,
        ("batch", False): 9,
        ("collab_none", False): 9,
        ("batch", True): 9,
    }
    turns: dict[tuple[str, int], list[int]] = {}
    for run in record.runs:
        turns.setdefault((run.group, run.repeat), []).append(run.place)
        assert 0 < run.ideal_s <= run.wall_s
        assert run.cpu_s > 0
        assert run.process > 0
        assert run.hardware
    assert all(places == [0, 1, 2, 3] for places in turns.values())
    assert (record.num_groups, record.num_unfit, len(turns)) == (3, 0, 9)
    assert not job.journal.exists()


def test_a_stopped_timing_goes_on_and_times_no_group_twice(tmp_path: Path) -> None:
    job = timing_job(tmp_path)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_timing(job, stop, lambda text: None)
    assert not job.out.exists()
    said: list[str] = []
    kept = [json.loads(line)["record"] for line in job.journal.read_text().splitlines()]
    run_timing(job, lambda done, total: None, said.append)
    assert said == ["resumed: 2 of 3 groups came from the journal"]
    runs = [run.model_dump(mode="json") for run in read_json(job.out, TimesRecord).runs]
    assert runs[: 2 * 12] == [run for group in kept for run in group]
    assert len(runs) == 3 * 12


def test_decoders_are_compared_in_one_process(tmp_path: Path) -> None:
    job = timing_job(tmp_path, None)
    run_timing(job, lambda done, total: None, lambda text: None)
    record = read_json(job.out, TimesRecord)
    assert {(run.strategy, run.decoder) for run in record.runs} == {("batch", "tree"), ("batch", "hf")}
    assert len({run.process for run in record.runs}) == 1
    assert record.resolved["tree"]["resolved_products"]


def test_the_collector_is_off_in_a_timed_part_and_on_again_after_it(tmp_path: Path, monkeypatch) -> None:
    """A full collection of a process with torch takes 0.4 s: in one group where the median is 12 ms."""
    seen: list[bool] = []
    original = runner_module.GroupRunner.ask

    async def spied(self, group, on_token=None):
        seen.append(gc.isenabled())
        return await original(self, group, on_token)

    monkeypatch.setattr(runner_module.GroupRunner, "ask", spied)
    run_timing(timing_job(tmp_path), lambda done, total: None, lambda text: None)
    # Four contestants warm up, and run 3 times on 3 groups.
    assert seen == [False] * (4 + 36)
    assert gc.isenabled()


def test_a_group_that_does_not_fit_one_strategy_is_timed_for_none(tmp_path: Path) -> None:
    job = timing_job(tmp_path, timed_groups=5)
    lines = job.files[0].groups.read_text().splitlines()
    group = json.loads(lines[2])
    group["context"] = "Mara lives in Ashton. " * 2000
    lines[2] = json.dumps(group)
    job.files[0].groups.write_text("\n".join(lines) + "\n")
    run_timing(job, lambda done, total: None, lambda text: None)
    record = read_json(job.out, TimesRecord)
    assert (record.num_groups, record.num_unfit) == (4, 1)
    assert group["id"] not in {run.group for run in record.runs}


@pytest.mark.parametrize("repeats", [2, 4])
def test_an_even_number_of_repeats_is_refused(tmp_path: Path, repeats: int) -> None:
    (tmp_path / "trial.yaml").write_text(json.dumps(CONFIG | {"repeats": repeats}))
    with pytest.raises(UserError, match=f"{repeats} repeats have no middle one"):
        load_experiment([tmp_path / "trial.yaml"])


def test_what_is_timed_together(tmp_path: Path) -> None:
    (tmp_path / "trial.yaml").write_text(json.dumps(CONFIG))
    experiment = load_experiment([tmp_path / "trial.yaml"])
    found = {contest.decoder: contest for contest in contests(experiment)}
    assert [cell.strategy for cell in found["tree"].cells] == ["sequential", "batch", "collab_none"]
    assert [cell.strategy for cell in found["hf"].cells] == ["batch"]
    assert [(cell.strategy, cell.decoder) for cell in found[None].cells] == [
        ("batch", "tree"),
        ("batch", "hf"),
    ]
    assert {contest.reference for contest in found.values()} == {"batch"}
    (tmp_path / "none.yaml").write_text(json.dumps(CONFIG | {"timed_groups": 0}))
    assert list(contests(load_experiment([tmp_path / "none.yaml"]))) == []
