"""`branchwise ask`: questions typed in or from a file, answers streaming per branch."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from branchwise.commands.asking import dataset_entry, dataset_group, found_before, given_group
from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    DecoderOption,
    SetOption,
    StrategyOption,
    experiment_from,
    named,
)
from branchwise.config import Cell
from branchwise.config.catalogues import missing_verbs
from branchwise.config.decoding import decoding_problem
from branchwise.data.types import Group as QuestionGroup
from branchwise.data.types import Question
from branchwise.errors import UserError

_MOST_CHARS_OF_ID = 6
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@command("ask")
def ask(
    question: Annotated[
        list[str], typer.Option("--question", "-q", help="A question; give it several times.")
    ] = [],  # noqa: B006 (typer copies it)
    context: Annotated[
        str | None, typer.Option(help="The text to answer from; @FILE reads it from a file.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="YAML or JSON file with `context` and `questions`.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Ask a group of this data set of the catalogue instead.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Id of the data set's group; default: the first one.")
    ] = None,
    path: Annotated[str | None, typer.Option(help="Read the data set from this local file.")] = None,
    strategy: StrategyOption = "batch",
    decoder: DecoderOption = "tree",
    model: Annotated[
        str,
        typer.Option(help="Name in the catalogue of models, a folder, a GGUF file or a hub id."),
    ] = "tiny",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Token budget per answer.")] = 32,
    show: Annotated[
        bool, typer.Option("--show", help="Write a page of who waited for whom, and open it.")
    ] = False,
    config: ConfigOption = [],  # noqa: B006
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Ask a model several questions about one text and watch the answers grow side by side.

    The text and the questions are typed in, read from a file, or those of a group of a data set; then
    its own instruction and format are used, and the right answers are shown.
    """
    experiment = experiment_from(config, setting)
    asked, entry = _asked(experiment, dataset, group, path, (context, question, file))
    strategy_entry = named(experiment, "strategy", strategy)
    decoder_entry = named(experiment, "decoder", decoder)
    if missing := missing_verbs(strategy_entry, decoder_entry):
        raise UserError(
            f"strategy {strategy} needs {' and '.join(missing)}, which decoder {decoder} does not offer",
            "choose another decoder",
        )
    if problem := decoding_problem(experiment, Cell(dataset or "", model, strategy, decoder), entry):
        raise UserError(*problem)
    model_entry = _model(experiment, model)
    console = Console(stderr=True)
    with console.status("loading the model"):
        from branchwise.cells.found import unfit_of, with_found
        from branchwise.cells.runner import GroupRunner, record_of
        from branchwise.commands.prompting import style_of
        from branchwise.decoding.models.source import ModelSource
        from branchwise.strategies import load

        source = ModelSource(model_entry, _checkpoint(experiment, strategy, model))
        style = style_of(experiment, entry, model_entry)
        language = entry.language if entry else "en"
        before = found_before(experiment, strategy_entry, source, decoder_entry, style, language, asked)
        asked = with_found(asked, before)
        runner = GroupRunner(
            load(strategy_entry.module, strategy_entry.options),
            decoder_entry.make(source),
            source.chat,
            style,
            max_new_tokens,
            needs=frozenset(strategy_entry.needs),
            unfit=unfit_of({asked.id: before}),
        )
        runner.warm_up(asked)
    timed = _run(runner, asked)
    record = record_of(asked, timed, lambda text: console.print(text, markup=False), before)
    scores = _scores(record, entry)
    _tell(record, timed.wall_s, scores, _primary(entry), known=entry is not None)
    if show:
        heading = " · ".join(filter(None, (dataset, model, strategy, decoder)))
        _show(asked, record, scores, heading, _primary(entry))


def _asked(
    experiment: Any, dataset: str | None, group: str | None, path: str | None, given: tuple
) -> tuple[QuestionGroup, Any]:
    """The group to ask, and the entry of its data set if it is of one."""
    context, questions, file = given
    if dataset is None:
        for option, value in (("--group", group), ("--path", path)):
            if value is not None:
                raise UserError(f"{option} names no data set", "give --dataset too")
        return given_group(context, questions, file), None
    if context is not None or questions or file is not None:
        raise UserError("--dataset stands beside --context, --question or --file", "give one of them")
    entry = dataset_entry(experiment, dataset, path)
    return dataset_group(entry, dataset, group), entry


def _model(experiment: Any, model: str) -> Any:
    """The entry of a model: of the catalogue, of a local folder or GGUF file, or of a hub id."""
    from branchwise.decoding.models.entry import ModelEntry
    from branchwise.files import expanded

    if model not in experiment.catalogues.models:
        folder = expanded(model)
        if folder.is_dir():
            return ModelEntry(path=str(folder))
        if model.endswith(".gguf"):
            return ModelEntry(gguf=model)
        if _HUB_ID.fullmatch(model):
            return ModelEntry(hub=model)
    return named(experiment, "model", model)


def _checkpoint(experiment: Any, strategy: str, model: str) -> Path | None:
    """The folder of what was trained for a strategy. Raises UserError where it was not trained yet."""
    from branchwise.config.trainings import checkpoint_folder, given_checkpoint, training_of
    from branchwise.decoding.trained.folder import is_checkpoint

    if (given := given_checkpoint(experiment, strategy)) is not None:
        return given
    if (training := training_of(experiment, strategy)) is None:
        return None
    named(experiment, "model", model)
    folder = checkpoint_folder(experiment, strategy, model)
    if folder is None or not is_checkpoint(folder):
        raise UserError(
            f"strategy {strategy} is trained by {training}, and {folder} holds no checkpoint yet",
            f"run `branchwise train --training {training} --model {model}` with the same config first",
        )
    return folder


def _scores(record: Any, entry: Any) -> dict[str, Any]:
    """The scores of a data set's answers by question; none where nobody knows what is right."""
    if entry is None:
        return {}
    from branchwise.evaluation.score import score_answer

    return {
        row.question: score_answer(row, entry.scorer, language=entry.language) for row in record.answers
    }


def _primary(entry: Any) -> str:
    """The metric that says how good an answer is."""
    from branchwise.evaluation.metrics import PRIMARY

    return "em" if entry is None else PRIMARY[entry.scorer]


def _show(
    group: QuestionGroup, record: Any, scores: Mapping[str, Any], heading: str, primary: str
) -> None:
    """Write the page of what was just asked, say where it lies, and open it."""
    import webbrowser

    from branchwise.reporting.pages import make_page, write_page

    path = Path("results/pages/ask.html").absolute()
    write_page(make_page(group, record, scores, heading, primary), path)
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"page: {path}", markup=False)
    webbrowser.open(path.as_uri())


def _spoken(ids: Iterable[str]) -> dict[str, str]:
    """Questions by their ids where these are short, else as Q1, Q2, ..."""
    from branchwise.reporting.names import short_names

    ids = list(ids)
    return (
        short_names(ids) if max(map(len, ids)) > _MOST_CHARS_OF_ID else dict(zip(ids, ids, strict=True))
    )


class _Screen:
    """What is on the terminal: one row a branch, growing."""

    def __init__(self, chat: Any, group: QuestionGroup) -> None:
        self.chat = chat
        self.group = group
        self.ids: dict[tuple[str, ...], list[int]] = {}
        self.live: Live | None = None

    def on_token(self, questions: tuple[Question, ...], token: int) -> None:
        """A branch has grown by one token."""
        key = tuple(question.id for question in questions)
        self.ids.setdefault(key, []).append(token)
        if self.live is not None:
            self.live.update(self.table(), refresh=True)

    def table(self) -> Table:
        """Every branch with what it says so far."""
        texts = {question.id: question.text for question in self.group}
        names = _spoken(texts)
        table = Table(expand=True, show_lines=True)
        table.add_column("question", ratio=3)
        table.add_column("answer", ratio=4)
        table.add_column("tokens", justify="right", width=6)
        for key, ids in self.ids.items():
            asked = Text("\n".join(f"{names[i]}  {texts[i]}" for i in key))
            table.add_row(asked, Text(self.chat.decode(ids), style="bold"), str(len(ids)))
        return table


def _run(runner: Any, group: QuestionGroup) -> Any:
    """Ask and, on a terminal, show the branches grow; returns the timed run."""
    console = Console()
    screen = _Screen(runner.chat, group)
    if not console.is_terminal:
        return runner.once(group, screen.on_token)
    with Live(screen.table(), console=console, refresh_per_second=20) as screen.live:
        return runner.once(group, screen.on_token)


def _tell(record: Any, wall_s: float, scores: Mapping[str, Any], primary: str, known: bool) -> None:
    """Answers as lines where they go to a file or a pipe; then who waited for whom, and the ledger."""
    from branchwise.reporting.verdicts import verdict_of
    from branchwise.reporting.waits import waited_for

    console = Console()
    waits = waited_for(record.trace, {row.question: row.asks for row in record.answers})
    names = _spoken(waits)
    judged = Table.grid(padding=(0, 2))
    for row in record.answers:
        verdict = verdict_of(scores.get(row.question), primary)
        golds = " | ".join(row.golds)
        sign = verdict.sign if verdict else ""
        if not console.is_terminal:
            more = (sign, golds) if known else ()
            print("\t".join((row.question, row.text, row.answer, *more)))
        judged.add_row(
            names[row.question], Text(row.answer, style="bold"), sign, Text(golds if known else "")
        )
    after = [
        Text(f"{names[name]} after {', '.join(names[n] for n in before)}")
        for name, before in waits.items()
        if before
    ]
    parts: list[Any] = [judged] if known and console.is_terminal else []
    parts += after or [Text("no question waited for another")]
    parts += [
        Text(f"{names[row.question]}: {', '.join(row.notes).replace('_', ' ')}")
        for row in record.answers
        if row.notes
    ]
    Console(stderr=not console.is_terminal, soft_wrap=False).print(
        Panel(Group(*parts, Text(), _ledger(record.run, wall_s)), title="ledger, in tokens", expand=False)
    )


def _ledger(run: Any, wall_s: float) -> Table:
    """What it cost."""
    ledger = Table.grid(padding=(0, 3))
    counts = run.tokens.model_dump()
    ledger.add_row(*(f"{name} [bold]{value:.0f}[/]" for name, value in counts.items()))
    if found := run.dependencies:
        stage = (
            f"finding them [bold]{1000 * found.wall_s:.0f} ms[/], sent [bold]{found.tokens.sent:.0f}[/]"
        )
        edges = f"dependencies [bold]{len(found.edges)}[/]"
        ledger.add_row(edges, stage, escape(found.fallback or ""))
    for one in run.before[bool(run.dependencies) :]:
        took = f"[bold]{1000 * one.wall_s:.0f} ms[/], sent [bold]{one.tokens.sent:.0f}[/]"
        ledger.add_row(one.stage, took, "")
    passes = f"forward passes [bold]{run.forward_passes}[/]"
    wall = f"wall [bold]{1000 * wall_s:.0f} ms[/]"
    ledger.add_row(f"prompts [bold]{run.num_asks}[/]", passes, wall)
    return ledger
