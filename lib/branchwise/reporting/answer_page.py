"""What every strategy said to the same questions, as one page of HTML that needs no script."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from branchwise.config import Cell
from branchwise.files import write_text
from branchwise.reporting.answers import Answer, Groups, answers_of
from branchwise.reporting.frames import Results
from branchwise.reporting.names import metric_name
from branchwise.reporting.templating import rendered

NAME = "answers.html"


@dataclass(frozen=True)
class Line:
    """A question, and each strategy's answer to it; None where one was not asked."""

    answers: tuple[Answer | None, ...]

    @property
    def asked(self) -> Answer:
        """An answer that names the question, its text and golds."""
        return next(one for one in self.answers if one is not None)

    @property
    def is_wrong(self) -> bool:
        """Whether any strategy's answer is wrong."""
        return any(one is not None and one.is_wrong for one in self.answers)


@dataclass(frozen=True)
class Block:
    """The strategies of a data set, model and decoder, and lines of each of the first groups."""

    heading: str
    metric: str
    strategies: tuple[str, ...]
    groups: Mapping[str, Sequence[Line]]
    num_left_out: int

    @property
    def lines(self) -> list[Line]:
        """All of them."""
        return [line for group in self.groups.values() for line in group]

    @property
    def num_wrong(self) -> int:
        """Questions that some strategy got wrong."""
        return sum(line.is_wrong for line in self.lines)


def write_answer_page(results: Results, folder: Path) -> Path:
    """Write `answers.html` into the folder: the answers that are kept to each data set's first groups (as
    many as have pages). Where none are kept it says so.
    """
    experiment = results.experiment
    blocks = list(_blocks(results))
    written = rendered("answers", experiment=experiment.experiment, blocks=blocks, limit=experiment.pages)
    write_text(folder / NAME, written)
    return folder / NAME


def _blocks(results: Results) -> Iterator[Block]:
    found: dict[Cell, list[Cell]] = {}
    for cell in results.experiment.cells:
        found.setdefault(cell._replace(strategy=""), []).append(cell)
    for shared, cells in found.items():
        kept = {cell: answers_of(results.files.get(cell), results.scores[cell]) for cell in cells}
        said = {cell: groups for cell, groups in kept.items() if groups is not None}
        if said:
            yield _block(results, shared, said)


def _block(results: Results, shared: Cell, said: Mapping[Cell, Groups]) -> Block:
    ids = list(dict.fromkeys(group for groups in said.values() for group in groups))
    first = list(islice(ids, results.experiment.pages))
    axes = ("dataset", "model", "decoder")
    return Block(
        heading=" · ".join(results.label(axis, getattr(shared, axis)) for axis in axes),
        metric=metric_name(results.scores[next(iter(said))].primary),
        strategies=tuple(results.label("strategy", cell.strategy) for cell in said),
        groups={group: _lines([groups.get(group, ()) for groups in said.values()]) for group in first},
        num_left_out=len(ids) - len(first),
    )


def _lines(said: Sequence[Sequence[Answer]]) -> list[Line]:
    """A line a question of one group."""
    by_question = [{one.row.question: one for one in answers} for answers in said]
    questions = dict.fromkeys(question for answers in by_question for question in answers)
    return [Line(tuple(answers.get(question) for answers in by_question)) for question in questions]
