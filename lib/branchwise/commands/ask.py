"""`branchwise ask`: questions typed in or from a file, answers streaming per branch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import Field, ValidationError
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.prompt import Prompt
from rich.table import Table
from rich.text import Text

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from, named
from branchwise.config.catalogues import missing_verbs
from branchwise.data.types import Group as QuestionGroup
from branchwise.data.types import Question, Record
from branchwise.errors import UserError


class AskFile(Record):
    """A YAML or JSON file for `branchwise ask`: a context and questions about it."""

    context: str
    questions: tuple[str, ...] = Field(min_length=1)


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
    strategy: Annotated[str, typer.Option(help="Name in the catalogue of strategies.")] = "batch",
    decoder: Annotated[str, typer.Option(help="Name in the catalogue of decoders.")] = "tree",
    model: Annotated[
        str, typer.Option(help="Name in the catalogue of models, or a local folder.")
    ] = "tiny",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Token budget per answer.")] = 32,
    show: Annotated[
        bool, typer.Option("--show", help="Write a page of who waited for whom, and open it.")
    ] = False,
    config: ConfigOption = [],  # noqa: B006
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Ask a model several questions about one text and watch the answers grow side by side."""
    group = _group(context, question, file)
    experiment = experiment_from(config, setting)
    strategy_entry = named(experiment, "strategy", strategy)
    decoder_entry = named(experiment, "decoder", decoder)
    if missing := missing_verbs(strategy_entry, decoder_entry):
        raise UserError(
            f"strategy {strategy} needs {' and '.join(missing)}, which decoder {decoder} does not offer",
            "choose another decoder",
        )
    from branchwise.decoding.models.entry import ModelEntry

    is_folder = model not in experiment.catalogues.models and Path(model).is_dir()
    entry = ModelEntry(path=model) if is_folder else named(experiment, "model", model)
    console = Console(stderr=True)
    with console.status("loading the model"):
        from branchwise.cells.found import with_found
        from branchwise.cells.runner import GroupRunner, record_of
        from branchwise.decoding.models.source import ModelSource
        from branchwise.prompts import PromptStyle
        from branchwise.strategies import load

        checkpoint = Path(strategy_entry.checkpoint) if strategy_entry.checkpoint else None
        source = ModelSource(entry, checkpoint)
        runner = GroupRunner(
            load(strategy_entry.module, strategy_entry.options),
            decoder_entry.make(source),
            source.chat,
            PromptStyle(),
            max_new_tokens,
            needs=frozenset(strategy_entry.needs),
        )
        found = None
        if strategy_entry.dependencies:
            found = _depend(experiment, strategy_entry.dependencies, source, group)
            group = with_found(group, {group.id: found})
        runner.warm_up(group)
    timed = _run(runner, group, found)
    if show:
        heading = f"{model} · {strategy} · {decoder}"
        _show(group, record_of(group, timed, console.print, found), heading)


def _depend(experiment: Any, name: str, source: Any, group: QuestionGroup) -> Any:
    """What the strategy's dependencies are for this group."""
    from branchwise.cells.depending import Depending, generator_of
    from branchwise.config.identity import dependency_entry

    entry = dependency_entry(experiment, name)
    chat = source.loaded.chat
    generate = generator_of(entry, source)
    return Depending(name, entry, generate, lambda text: len(chat.encode(text)), False).find(group)


def _show(group: QuestionGroup, record: Any, heading: str) -> None:
    """Write the page of what was just asked, say where it lies, and open it."""
    import webbrowser

    from branchwise.reporting.pages import make_page, write_page

    path = Path("results/pages/ask.html").absolute()
    write_page(make_page(group, record, heading=heading), path)
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"page: {path}", markup=False)
    webbrowser.open(path.as_uri())


def _group(context: str | None, questions: Sequence[str], file: Path | None) -> QuestionGroup:
    """The group to ask: from a file, from options, or typed in. Raises UserError for an empty text."""
    if file is not None:
        if context is not None or questions:
            raise UserError("--file stands beside --context or --question", "give one of them")
        context, questions = _read(file)
    if context is None:
        context = _typed("Context")
    elif context.startswith("@"):
        path = Path(context[1:])
        if not path.is_file():
            raise UserError(f"context file {path} does not exist", "check the path after @")
        context = path.read_text(encoding="utf-8").strip()
    questions = list(questions)
    if not questions:
        while line := _typed(f"Question {len(questions) + 1} (empty: done)"):
            questions.append(line)
    if not questions:
        raise UserError("there is no question", "give --question, --file, or type one in")
    if not context.strip():
        raise UserError("the context is empty", "give a text to answer from")
    for number, text in enumerate(questions, start=1):
        if not text.strip():
            raise UserError(f"question {number} is empty", "write it out, or leave it out")
    asked = tuple(
        # Nobody knows the right answer here; the gold is a formality of the type.
        Question(id=f"q{number}", text=text, golds=("?",))
        for number, text in enumerate(questions, start=1)
    )
    return QuestionGroup(id="ask", context=context, questions=asked)


def _typed(what: str) -> str:
    try:
        return Prompt.ask(what, default="", show_default=False)
    except EOFError:
        return ""


def _read(file: Path) -> tuple[str, tuple[str, ...]]:
    if not file.is_file():
        raise UserError(f"question file {file} does not exist", "check the path")
    try:
        content = AskFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise UserError(f"{file} is neither YAML nor JSON: {error}", "mend it") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{file}: {place}: {first['msg']}", "write `context:` and a list `questions:`"
        ) from None
    return content.context, content.questions


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
        table = Table(expand=True, show_lines=True)
        table.add_column("question", ratio=3)
        table.add_column("answer", ratio=4)
        table.add_column("tokens", justify="right", width=6)
        for key, ids in self.ids.items():
            asked = Text("\n".join(f"{i}  {texts[i]}" for i in key))
            table.add_row(asked, Text(self.chat.decode(ids), style="bold"), str(len(ids)))
        return table


def _run(runner: Any, group: QuestionGroup, found: Any = None) -> Any:
    """Ask, show the branches grow and the ledger at the end; returns the timed run."""
    console = Console()
    screen = _Screen(runner.chat, group)
    if console.is_terminal:
        with Live(screen.table(), console=console, refresh_per_second=20) as screen.live:
            timed = runner.once(group, screen.on_token)
    else:
        timed = runner.once(group, screen.on_token)
        for answered in timed.answers:
            print(f"{answered.question.id}\t{answered.question.text}\t{answered.reading.answer}")
    ledger = Table.grid(padding=(0, 3))
    counts = [ask.completion.tokens for ask in timed.asks]
    total = {name: sum(getattr(count, name) for count in counts) for name in counts[0]._fields}
    ledger.add_row(*(f"{name} [bold]{value}[/]" for name, value in total.items()))
    passes = f"forward passes [bold]{timed.forward_passes}[/]"
    wall = f"wall [bold]{1000 * timed.wall_s:.0f} ms[/]"
    if found is not None:
        stage = (
            f"finding them [bold]{1000 * found.wall_s:.0f} ms[/], sent [bold]{found.tokens.sent:.0f}[/]"
        )
        edges = f"dependencies [bold]{len(found.edges)}[/]"
        ledger.add_row(edges, stage, escape(found.fallback or ""))
    ledger.add_row(f"prompts [bold]{len(timed.asks)}[/]", passes, wall)
    Console(stderr=not console.is_terminal).print(
        Panel(Group(ledger), title="ledger, in tokens", expand=False)
    )
    return timed
