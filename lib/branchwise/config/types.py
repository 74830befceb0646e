"""An experiment: a grid over four catalogues, minus what is excluded."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from branchwise.config.catalogues import Catalogues
from branchwise.evaluation.entries import JudgeEntry
from branchwise.files import expanded
from branchwise.records import Record
from branchwise.serving.replies import REPLIES


def _folder(value: object) -> object:
    """A folder's name, home expanded. Raises ValueError for signs that Snakemake takes for wildcards."""
    if not isinstance(value, str):
        return value
    if not value.strip() or set(value) & set("{}\n\0"):
        raise ValueError("a folder's name has no braces and no line breaks")
    return str(expanded(value))


SMOKE = "/smoke"
"""Where a smoke test's results lie, below those of the experiment."""

Folder = Annotated[str, BeforeValidator(_folder)]


def _odd(number: int) -> int:
    """Raises ValueError for an even number of repeats: its median would be no run that there was."""
    if number % 2 == 0:
        raise ValueError(f"{number} repeats have no middle one: give an odd number")
    return number


Odd = Annotated[int, AfterValidator(_odd)]


class Cell(NamedTuple):
    """One dataset x model x strategy x decoder: the unit of work and of results."""

    dataset: str
    model: str
    strategy: str
    decoder: str

    @property
    def path(self) -> Path:
        """Where the cell's files lie, below results/cells."""
        return Path(*self)

    def __str__(self) -> str:
        return "/".join(self)


class Exclusion(Record):
    """Cells to leave out: those that match every axis given here."""

    dataset: tuple[str, ...] | str | None = None
    model: tuple[str, ...] | str | None = None
    strategy: tuple[str, ...] | str | None = None
    decoder: tuple[str, ...] | str | None = None

    def covers(self, cell: Cell) -> bool:
        """Whether `cell` is left out by this exclusion."""
        for axis in Cell._fields:
            names = getattr(self, axis)
            allowed = (names,) if isinstance(names, str) else names
            if allowed is not None and getattr(cell, axis) not in allowed:
                return False
        return True


class Roles(Record):
    """Models beside the answerers (`models`) and the judge (`judge`), by what they are for."""

    planner: str | None = Field(
        None,
        description="Model that says which question needs which (dependencies of kind llm), and that "
        "strategies ask to plan; default: the answerer.",
    )
    paraphraser: str | None = Field(
        None, description="Model that strategies ask for other wordings; default: the answerer."
    )
    planner_decoder: str | None = Field(
        None,
        description="Decoder from the catalogue that asks the planner; default: the tree decoder where "
        "the model's weights are here, else the experiment's first decoder that asks it on a server. "
        "(What strategies ask in the middle of a group: the cell's.)",
    )
    paraphraser_decoder: str | None = Field(None, description="The same for the paraphraser.")
    encoder: str | None = Field(
        None,
        description="Encoder of dependencies of kind attention that name none: a folder, a hub id, or "
        "minilm, that of the extra `minilm`.",
    )


_SCHEDULED = {"shards", "together", "gpus", "memory_mb", "runtime_min"}
"""What says how jobs are given out, and nothing of what they do."""


class Experiment(Record):
    """What a config file says."""

    experiment: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=100,
        description="Name; tables and figures lie under it.",
    )
    datasets: tuple[str, ...] = Field(min_length=1, description="Names from the catalogue.")
    models: tuple[str, ...] = Field(min_length=1, description="Names from the catalogue.")
    strategies: tuple[str, ...] = Field(min_length=1, description="Names from the catalogue.")
    decoders: tuple[str, ...] = Field(min_length=1, description="Names from the catalogue.")
    exclude: tuple[Exclusion, ...] = Field((), description="Cells of the grid to leave out.")
    baseline: str = Field(
        "batch", description="Strategy that every other one is compared with, pair by pair."
    )
    max_new_tokens: int = Field(
        32, ge=1, description="Token budget per answer; a prompt with n questions gets n budgets."
    )
    style: str | None = Field(
        None,
        description="Prompt style from the catalogue, for all cells; default: the model's, or else the "
        "data set's, or else chat.",
    )
    timed_groups: int = Field(
        20,
        ge=0,
        description="Groups of each data set that are timed, spread evenly over it; 0: no times.",
    )
    repeats: Odd = Field(
        3, ge=1, description="Times that each of them is timed, after a warm-up: an odd number."
    )
    groups_in_flight: int = Field(
        16,
        ge=1,
        description="Groups that are asked at once where answers, not times, are made: no answer depends "
        "on it, memory does.",
    )
    shards: int = Field(
        1,
        ge=1,
        description="Jobs that answer a cell together, each some of its groups; what they make is "
        "merged. No answer depends on it. Cells that a server answers are left whole.",
    )
    together: int = Field(
        1,
        ge=1,
        description="Cells that a job answers while it has their model loaded: its own, and small ones "
        "whose jobs then have nothing left to do. Each is its own result; no answer depends on it.",
    )
    threads: int = Field(1, ge=1, description="CPU threads per cell; times depend on it.")
    gpus: int = Field(0, ge=0, description="GPUs per cell, for schedulers.")
    memory_mb: int = Field(2000, ge=100, description="Memory per cell, for schedulers.")
    runtime_min: int = Field(60, ge=1, description="Time per cell, for schedulers.")
    roles: Roles = Field(Roles(), description="Models beside the answerers, by role; see below.")
    results: Folder = Field("results", description="Folder of what runs made.")
    cells_at: Folder | None = Field(None, description="Folder of the cells; default: <results>/cells.")
    figures: Folder = Field("figures", description="Folder of figures.")
    pages: int = Field(
        10, ge=1, description="Groups of each cell that `snakemake pages` shows, the first ones."
    )
    cached: bool = Field(
        False, description="Only redraw: use the results that are there and run nothing costly."
    )
    smoke: int = Field(
        0,
        ge=0,
        description="So many groups of every cell alone, in <results>/smoke, with an estimate of what "
        "all would cost and take; 0: the experiment itself. What servers say meanwhile is kept for it.",
    )
    checkpoints: dict[str, Folder] = Field(
        {},
        description="Strategy -> folder of a checkpoint, somebody else's or one's own, that is used "
        "instead of its `training` or `checkpoint`; its folder's name stands in the tables.",
    )
    published: str | None = Field(
        None,
        description="Published numbers, resources/published/<name>.yaml, that a table of their own shows "
        "with their sources (`published`), beside what is measured here of the same data and strategy; "
        "those of the very same cells stand in another, with intervals (`reproduction`).",
    )
    judge: JudgeEntry | None = Field(None, description="An LLM that grades answers; see below.")
    judged: tuple[str, ...] = Field(
        (), description="Data sets whose answers the judge grades; others are not sent to it."
    )
    define: Catalogues = Field(Catalogues(), description="Entries beside those of the catalogues.")
    _catalogues: Catalogues = PrivateAttr(default_factory=Catalogues)
    _origins: dict[tuple[str, str], str] = PrivateAttr(default_factory=dict)

    def shown(self) -> dict[str, object]:
        """All that tables and figures may depend on, as JSON data: not how jobs are scheduled."""
        return self.model_dump(mode="json", exclude=_SCHEDULED)

    @property
    def catalogues(self) -> Catalogues:
        """All entries that the names may refer to: config/catalogues and `define` together."""
        # A plan asks a hundred times for each cell, and pydantic looks for private attributes last.
        return (self.__pydantic_private__ or {})["_catalogues"]

    def bind(self, catalogues: Catalogues, origins: dict[tuple[str, str], str]) -> None:
        """Set `catalogues`, and the files that their entries come from; the loader does it once."""
        self._catalogues = catalogues
        self._origins = origins

    def origin(self, catalogue: str, name: str) -> str:
        """The file that an entry comes from, as an absolute path."""
        return self._origins.get((catalogue, name), "the config")

    @property
    def cells_folder(self) -> str:
        """Where the cells' files lie."""
        return self.cells_at or f"{self.results}/cells"

    @property
    def times_folder(self) -> str:
        """Where times lie: beside the cells."""
        return str(Path(self.cells_folder).parent / "times")

    @property
    def replies_folder(self) -> str:
        """Where what servers have said is kept; of a smoke test where the experiment will look for it."""
        results = self.results.removesuffix(SMOKE) if self.smoke else self.results
        return f"{results}/{REPLIES}"

    @property
    def trainings_folder(self) -> str:
        """Where checkpoints lie: beside the cells."""
        return str(Path(self.cells_folder).parent / "training")

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The grid minus its exclusions, in the order in which the config names things."""
        return tuple(cell for cell in self.grid() if not any(e.covers(cell) for e in self.exclude))

    @cached_property
    def cells_by_pair(self) -> dict[tuple[str, str], tuple[Cell, ...]]:
        """The cells of each data set and model."""
        found: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.cells:
            found.setdefault((cell.dataset, cell.model), []).append(cell)
        return {pair: tuple(cells) for pair, cells in found.items()}

    def grid(self) -> Iterator[Cell]:
        """Every cell, excluded ones too."""
        for dataset in self.datasets:
            for model in self.models:
                for strategy in self.strategies:
                    for decoder in self.decoders:
                        yield Cell(dataset, model, strategy, decoder)
