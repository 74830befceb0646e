"""Answers beside their questions and golds: in a terminal, and as lines for grep and cut."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from branchwise.config import Cell
from branchwise.reporting.answers import Answer, Groups, answers_of, extremes, mean_of
from branchwise.reporting.frames import Results
from branchwise.reporting.harmless import cut, on_a_line
from branchwise.reporting.names import metric_name
from branchwise.results import Scores

NARROWEST = 60
"""Columns of the narrowest terminal that a table of answers is laid out for."""
_GAP = 2
_LINES = 4
"""Of a cell in a table of answers, at most about so many; of a reply half of them."""
_CHARS_OF_RAW = 300
_QUESTIONS = 8
"""Of a group in the short view, at most."""
_BREAK = " ↵ "
_NO_ANSWER = "(no answer)"
_MOST_CELLS = 2
"""Data sets and models whose groups are shown after a run."""


def summary(scores: Scores, groups: Groups) -> str:
    """How many of a cell's answers are wrong, and by which metric."""
    answers = [one for group in groups.values() for one in group]
    wrong, known = (
        sum(one.is_wrong for one in answers),
        sum(one.verdict is not None for one in answers),
    )
    left_out = f", {len(answers) - known} not judged by it" if known < len(answers) else ""
    name = metric_name(scores.primary)
    return f"{wrong} of {len(answers)} answers wrong ({name} below 1){left_out}; {len(groups)} groups"


def lines(answers: Sequence[Answer], whole: bool = False) -> Iterator[str]:
    """An answer a line, between tabs: group, question's id, question, golds, answer, primary metric, rule
    of reading, and the reply where it says more, cut unless it shall be `whole`.
    """
    for one in answers:
        raw = on_a_line(one.raw, _BREAK)
        fields = (one.row.group, one.row.question, one.row.text, one.golds, one.row.answer)
        value = "" if one.verdict is None else f"{one.verdict.value:.2f}"
        shown = raw if whole else cut(raw, _CHARS_OF_RAW)
        yield "\t".join((*map(on_a_line, fields), value, on_a_line(one.row.rule), shown))


class Widths(NamedTuple):
    """Widths of the columns of a table of answers, which they keep from row to row."""

    name: int
    question: int
    gold: int
    answer: int
    score: int
    rule: int


def _widths(console: Console, answers: Sequence[Answer], rule: int) -> Widths:
    """Golds and answers get what they need, up to a share; questions the rest."""
    rest = max(console.width, NARROWEST) - 4 - 5 - rule - _GAP * (5 if rule else 4)
    gold = _needed((one.golds for one in answers), rest // 4)
    answer = _needed((one.row.answer or _NO_ANSWER for one in answers), rest * 3 // 8)
    return Widths(4, rest - gold - answer, gold, answer, 5, rule)


def _needed(texts: Iterable[str], most: int) -> int:
    return max(len("answer"), min(most, max(cell_len(on_a_line(text)) for text in texts)))


def show_answers(answers: Sequence[Answer], metric: str, console: Console, whole: bool = False) -> None:
    """Print answers with question and golds side by side, each group's under its id, and what a model
    said where that is more than the answer, cut unless it shall be `whole`.
    """
    widths = _widths(console, answers, 16 if console.width >= 100 else 10)
    head = [Text(name, style="dim") for name in ("", "question", "gold", "answer", "", "read by")]
    console.print(_row(widths, head))
    group = None
    for one in answers:
        if one.row.group != group:
            group = one.row.group
            console.print(Text(f"group {on_a_line(group)}", style="bold"))
        console.print(_row(widths, _cells(one, widths, _LINES)))
        if raw := on_a_line(one.raw, _BREAK):
            room = (console.width - widths.name - _GAP) * _LINES // 2 - len("said: ")
            said = Text(f"said: {raw if whole else cut(raw, room)}", style="dim", overflow="fold")
            console.print(Padding(said, (0, 0, 0, widths.name + _GAP)))
    console.print(Text(f"✓, ✗ or the number: {metric_name(metric)}", style="dim"))


def show_extremes(heading: str, metric: str, groups: Groups, console: Console) -> None:
    """Print a cell's worst and best groups, a line a question."""
    worst, best = extremes(groups)
    console.print(Text(heading, style="bold"))
    widths = _widths(console, [one for name in worst + best for one in groups[name]], 0)
    for what, names in (("worst", worst), ("best", best)):
        for name in names:
            answers = groups[name]
            mean = f"{what}, mean {metric_name(metric)} {mean_of(answers):.2f}: "
            console.print(Text(mean + on_a_line(name), style="dim"), soft_wrap=True)
            for one in answers[:_QUESTIONS]:
                console.print(_row(widths, _cells(one, widths, 1)))
            if len(answers) > _QUESTIONS:
                console.print(Text(f"      and {len(answers) - _QUESTIONS} more", style="dim"))


def show_answers_of(results: Results, console: Console, words: str = "") -> None:
    """Print the worst and the best groups of the baseline in the first data sets and models whose answers
    are kept, and how to see more: the command with `words`, its options that name the config. Nothing
    where none are kept.
    """
    rest: list[Cell] = []
    num_shown = 0
    for cell in _leading(results):
        groups = answers_of(results.files.get(cell), results.scores[cell])
        if groups is None:
            continue
        if num_shown == _MOST_CELLS:
            rest.append(cell)
            continue
        num_shown += 1
        show_extremes(f"{cell}: worst and best groups", results.scores[cell].primary, groups, console)
        console.print()
    if num_shown:
        ask = " ".join(filter(None, (f"branchwise show {(rest or _leading(results))[0]} --wrong", words)))
        of = f"{num_shown} of {num_shown + len(rest)} data sets and models; more" if rest else "more"
        console.print(Text(f"{of}: {ask}", style="dim"), soft_wrap=True)
        console.print()


def _leading(results: Results) -> list[Cell]:
    """Of each data set and model the baseline's first cell, or the first one where it has none."""
    baseline = results.experiment.baseline
    pairs = results.experiment.cells_by_pair.values()
    return [min(cells, key=lambda cell: cell.strategy != baseline) for cells in pairs]


def _row(widths: Widths, cells: Sequence[Text]) -> Table:
    """One row as a table of its own, so that what was said may stand under it in full width."""
    table = Table.grid(padding=(0, _GAP, 0, 0))
    for name, width in widths._asdict().items():
        if width:
            table.add_column(width=width, overflow="fold", justify="right" if name == "score" else "left")
    table.add_row(*cells[: len(table.columns)])
    return table


def _cells(one: Answer, widths: Widths, num_lines: int) -> list[Text]:
    def fitting(text: str, width: int, style: str = "") -> Text:
        return Text(cut(on_a_line(text), width * num_lines), style=style)

    colour = "" if one.verdict is None else "yellow" if 0 < one.verdict.value < 1 else "green"
    if one.verdict is not None and one.verdict.value <= 0:
        colour = "red"
    return [
        Text(one.name, style="dim"),
        fitting(one.row.text, widths.question),
        fitting(one.golds, widths.gold),
        fitting(one.row.answer or _NO_ANSWER, widths.answer, colour),
        Text("" if one.verdict is None else one.verdict.number, style=colour),
        fitting(one.row.rule, widths.rule or 1, "dim"),
    ]
