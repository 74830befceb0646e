"""Times of an experiment's cells, from the files of its timing jobs."""

from dataclasses import dataclass
from pathlib import Path

from branchwise.config import Cell, Experiment
from branchwise.config.timing import Contest, contests
from branchwise.errors import UserError
from branchwise.reporting.cells import read_times, times_file
from branchwise.times import GroupTime, TimesRecord, medians


@dataclass(frozen=True)
class Times:
    """All contests of an experiment with their times; empty where it times nothing."""

    records: dict[Contest, TimesRecord]
    by_cell: dict[Cell, dict[str, GroupTime]]
    """Cell -> group -> its median run, answering alone: finding dependencies is not in it."""
    again: dict[Cell, dict[str, GroupTime]]
    """The A/A runs, by the cell that they repeat."""
    between: dict[Cell, dict[str, GroupTime]]
    """Runs that compare decoders: of one strategy on each, in one process."""

    @property
    def hardware(self) -> list[str]:
        """What was timed on, in words; several where results of several machines meet."""
        return sorted({run.hardware for record in self.records.values() for run in record.runs})

    @property
    def layouts(self) -> dict[str, list[str]]:
        """Decoder -> by which products it multiplied, where it says."""
        found: dict[str, set[str]] = {}
        for record in self.records.values():
            for decoder, facts in record.resolved.items():
                if layout := facts.get("resolved_products"):
                    found.setdefault(decoder, set()).add(layout)
        return {decoder: sorted(layouts) for decoder, layouts in found.items()}


def load_times(experiment: Experiment, folder: Path) -> Times:
    """Read the times of an experiment. Raises UserError naming those that are missing, and those whose
    recorded identity is not the config's.
    """
    files = {contest: times_file(experiment, contest, folder) for contest in contests(experiment)}
    missing = [contest for contest, file in files.items() if not file.exists()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(files)} timing jobs have no file in {folder.absolute()}, "
            f"the first: {missing[0]}",
            "run `snakemake`, name the folder that holds them with --times, or set timed_groups: 0",
        )
    return of_records({c: read_times(experiment, c, file) for c, file in files.items()})


def of_records(records: dict[Contest, TimesRecord]) -> Times:
    """The times of some timing jobs."""
    by_cell: dict[Cell, dict[str, GroupTime]] = {}
    again: dict[Cell, dict[str, GroupTime]] = {}
    between: dict[Cell, dict[str, GroupTime]] = {}
    for contest, record in records.items():
        for (strategy, decoder, is_again), groups in medians(record.runs).items():
            cell = Cell(contest.dataset, contest.model, strategy, decoder)
            if contest.decoder is None:
                if not is_again:
                    between[cell] = groups
            else:
                (again if is_again else by_cell)[cell] = groups
    return Times(records, by_cell, again, between)
