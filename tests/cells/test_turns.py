"""Who is timed when, by contestants whose times are known: warm-up, turns, the A/A runs, the journal."""

import contextlib
import gc
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.fakes import FakeDecoder, group_of

from branchwise.cells import provenance
from branchwise.cells import timing as timing_module
from branchwise.cells.job import CellFiles
from branchwise.cells.timing import TimingJob, order, run_timing, spread
from branchwise.errors import DoesNotFit, UserError
from branchwise.results import Identity, read_json
from branchwise.times import TimedRun, TimesRecord, medians

GROUPS = [group_of(2, name) for name in "abcde"]
UNFIT = "too long"


class FakeRunner:
    """Takes so many seconds for a group; writes down that it was asked."""

    def __init__(self, name: str, seconds: float, seen: list[tuple[str, str]], unfit: str = "") -> None:
        self.name, self.seconds, self.seen, self.unfit = name, seconds, seen, unfit
        self.decoder = FakeDecoder()

    def once(self, group) -> SimpleNamespace:
        if group.id in self.unfit:
            raise DoesNotFit(UNFIT, "shorten it")
        self.seen.append((self.name, group.id))
        return SimpleNamespace(wall_s=self.seconds, ideal_s=self.seconds / 2, cpu_s=self.seconds / 4)


class Contest:
    """A timing job of made contestants, and all that was asked in it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **settings) -> None:
        self.seen: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.progress: list[tuple[int, int]] = []
        self.unfit = settings.pop("unfit", {})
        self.names = settings.pop("names", ("sequential", "batch"))
        cells = [{"dataset": "d", "model": "m", "strategy": n, "decoder": "tree"} for n in self.names]
        jobs = tuple(SimpleNamespace(cell=cell, threads=3) for cell in cells)
        content = {
            "jobs": jobs,
            "files": tuple(CellFiles(folder, folder, folder) for _ in jobs),
            "reference": "batch",
            "identity": Identity(settings={}, code="c"),
            "timed_groups": 3,
            "repeats": 3,
            "out": folder / "times.json",
            "journal": folder / "journal.jsonl",
        }
        self.job = TimingJob(**content | settings)
        self.runners = {
            name: FakeRunner(name, place + 1.0, self.seen, self.unfit.get(name, ""))
            for place, name in enumerate(self.names)
        }
        workshop = SimpleNamespace(runner_of=lambda job, unfit: (self.runners[job.cell["strategy"]], {}))
        patch.setattr(timing_module, "Workshop", lambda: workshop)
        patch.setattr(timing_module, "groups_of", lambda job, files: (GROUPS, {}))
        patch.setattr(timing_module.torch, "set_num_threads", lambda count: None)
        patch.setattr(
            provenance, "hardware", lambda device, threads: {"cpu": "a CPU", "threads": threads}
        )
        patch.setattr(timing_module.os, "getloadavg", lambda: (0.7, 0.6, 0.5))

    def run(self) -> TimesRecord:
        run_timing(self.job, lambda *done: self.progress.append(done), self.said.append)
        return read_json(self.job.out, TimesRecord)


def test_everybody_warms_up_once_and_then_all_take_turns(tmp_path, monkeypatch) -> None:
    contest = Contest(tmp_path, monkeypatch)
    record = contest.run()
    # The reference is there twice, for the A/A runs.
    assert contest.seen[:3] == [("sequential", "a"), ("batch", "a"), ("batch", "a")]
    assert len(contest.seen) == 3 + 3 * 3 * 3
    assert contest.progress == [(1, 3), (2, 3), (3, 3)]
    assert [run.group for run in record.runs] == [name for name in "abd" for _ in range(9)]
    assert [run.repeat for run in record.runs] == [0, 0, 0, 1, 1, 1, 2, 2, 2] * 3
    assert [run.place for run in record.runs] == [0, 1, 2] * 9
    who = [(run.strategy, run.again) for run in record.runs]
    names = [("sequential", False), ("batch", False), ("batch", True)]
    for turn in range(9):
        assert who[3 * turn : 3 * turn + 3] == [names[i] for i in order(3, turn)]
    # Of each group everybody is once first, once second, once last.
    for name in names:
        places = [run.place for run in record.runs[:9] if (run.strategy, run.again) == name]
        assert sorted(places) == [0, 1, 2]


def test_a_run_says_what_it_was(tmp_path, monkeypatch) -> None:
    record = Contest(tmp_path, monkeypatch).run()
    slow = next(run for run in record.runs if run.strategy == "batch")
    assert (slow.wall_s, slow.ideal_s, slow.cpu_s) == (2.0, 1.0, 0.5)
    assert (slow.load, slow.decoder, slow.hardware) == (0.7, "tree", "a CPU, 3 threads")
    assert (record.num_groups, record.num_unfit, record.repeats) == (3, 0, 3)
    assert (record.dataset, record.model, record.reference) == ("d", "m", "batch")
    assert record.resolved == {"tree": {"resolved_batching": "fake"}}
    assert record.load_s >= 0
    assert gc.get_freeze_count() > 0


def test_a_gpu_is_named_before_the_processor(tmp_path, monkeypatch) -> None:
    contest = Contest(tmp_path, monkeypatch)
    facts = {"cpu": "a CPU", "gpu": "a GPU", "threads": 1}
    monkeypatch.setattr(provenance, "hardware", lambda device, threads: facts)
    assert {run.hardware for run in contest.run().runs} == {"a GPU, 1 threads"}


def test_what_does_not_fit_one_is_timed_for_none(tmp_path, monkeypatch) -> None:
    contest = Contest(tmp_path, monkeypatch, unfit={"sequential": "b"}, timed_groups=5)
    record = contest.run()
    assert (record.num_groups, record.num_unfit) == (4, 1)
    assert {run.group for run in record.runs} == set("acde")
    # Turns go on as if the group had been timed.
    who = [(run.strategy, run.again) for run in record.runs if run.group == "c"]
    names = [("sequential", False), ("batch", False), ("batch", True)]
    assert who[:3] == [names[i] for i in order(3, 6)]


def test_the_warm_up_passes_over_whom_the_group_does_not_fit(tmp_path, monkeypatch) -> None:
    contest = Contest(tmp_path, monkeypatch, unfit={"sequential": "a"})
    record = contest.run()
    assert contest.seen[:2] == [("batch", "a"), ("batch", "a")]
    assert {run.group for run in record.runs} == {"b", "d"}


def test_where_nothing_fits_it_is_told(tmp_path, monkeypatch) -> None:
    contest = Contest(tmp_path, monkeypatch, unfit={"batch": "abcde"})
    with pytest.raises(UserError, match="none of 3 groups fits every strategy"):
        contest.run()


def test_a_stopped_job_goes_on(tmp_path, monkeypatch) -> None:
    contest = Contest(tmp_path, monkeypatch)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_timing(contest.job, stop, contest.said.append)
    with contest.job.journal.open("a") as file:
        file.write('{"key": ')
    contest.seen.clear()
    record = contest.run()
    # Only the third group is asked, after a warm-up of its own.
    assert [name for _, name in contest.seen] == ["d"] * (3 + 9)
    assert contest.said == [
        "warning: 1 unreadable journal lines were left out (a write was cut off)",
        "resumed: 2 of 3 groups came from the journal",
    ]
    assert len(record.runs) == 27
    who = [(run.strategy, run.again) for run in record.runs]
    names = [("sequential", False), ("batch", False), ("batch", True)]
    assert who[18:21] == [names[i] for i in order(3, 6)]
    assert not contest.job.journal.exists()


def test_times_of_other_settings_are_not_gone_on_with(tmp_path, monkeypatch) -> None:
    contest = Contest(tmp_path, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run_timing(contest.job, _stop, contest.said.append)
    other = Contest(tmp_path, monkeypatch, identity=Identity(settings={"x": 1}, code="c"))
    other.run()
    assert (len(other.seen), other.said) == (3 + 27, [])


def _stop(done: int, total: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("there", ["these", "others", "none"])
def test_who_waited_takes_no_times_that_are_there(tmp_path, monkeypatch, there: str) -> None:
    contest = Contest(tmp_path, monkeypatch)
    if there != "none":
        contest.run()
    contest.seen.clear()
    contest.said.clear()

    @contextlib.contextmanager
    def waited(path, say, what):
        yield True

    monkeypatch.setattr(timing_module, "alone", waited)
    if there == "others":
        contest = Contest(tmp_path, monkeypatch, identity=Identity(settings={}, code="new"))
    contest.run()
    assert contest.said == (["the other process has taken these times"] if there == "these" else [])
    assert bool(contest.seen) == (there != "these")


def test_one_strategy_on_two_decoders(tmp_path, monkeypatch) -> None:
    """The A/A runs repeat the reference on the decoder that it runs on first."""
    contest = Contest(tmp_path, monkeypatch, names=("batch",), timed_groups=1, repeats=1)
    cells = [
        {"dataset": "d", "model": "m", "strategy": "batch", "decoder": name} for name in ("hf", "tree")
    ]
    jobs = tuple(SimpleNamespace(cell=cell, threads=1) for cell in cells)
    object.__setattr__(contest.job, "jobs", jobs)
    object.__setattr__(contest.job, "files", contest.job.files * 2)
    runs = contest.run().runs
    assert sorted((run.decoder, run.again) for run in runs) == [
        ("hf", False),
        ("hf", True),
        ("tree", False),
    ]


def test_places_by_hand() -> None:
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, 20) == [0, 1, 2]
    # Every cycle is a rotation of a new shuffle.
    first, second = order(5, 0), order(5, 5)
    assert sorted(first) == [0, 1, 2, 3, 4]
    assert [order(5, turn) for turn in (1, 4)] == [first[1:] + first[:1], first[4:] + first[:4]]
    assert first != second


def run_of(group: str, repeat: int, wall_s: float, **changes) -> TimedRun:
    content = {
        **{"strategy": "batch", "decoder": "tree", "group": group, "repeat": repeat, "place": 0},
        **{"wall_s": wall_s, "ideal_s": wall_s / 10, "cpu_s": 0, "load": 0, "process": 1, "hardware": ""},
    }
    return TimedRun(**content | changes)


def test_medians_by_hand() -> None:
    """Neither the least nor the mean: and the A/A runs, and other decoders, apart."""
    walls = {"g": (3.0, 1.0, 2.0), "h": (5.0, 9.0, 7.0)}
    runs = [run_of(group, n, wall) for group, found in walls.items() for n, wall in enumerate(found)]
    runs += [run_of("g", 0, 8.0, again=True), run_of("g", 0, 6.0, decoder="hf")]
    found = medians(tuple(runs))
    middle = {group: time.wall_s for group, time in found["batch", "tree", False].items()}
    assert middle == {"g": 2.0, "h": 7.0}
    assert found["batch", "tree", False]["h"].ideal_s == pytest.approx(0.7)
    assert found["batch", "tree", True]["g"].wall_s == 8.0
    assert found["batch", "hf", False]["g"].wall_s == 6.0
    # Of an even number (a repeat is missing) a run that was taken, not a mean of two.
    assert medians(tuple(runs[:2]))["batch", "tree", False]["g"].wall_s == 1.0
