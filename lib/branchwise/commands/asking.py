"""The group that `branchwise ask` asks, typed in, from a file, or one of a data set; and what its
strategy is to know of it before.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from rich.console import Console
from rich.prompt import Prompt

from branchwise.data.types import Group, Question, Record
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.cells.asker import Asker
    from branchwise.config import Experiment
    from branchwise.data.entries import DatasetEntry
    from branchwise.decoding.decoders.base import DecoderSettings
    from branchwise.decoding.models.source import ModelSource
    from branchwise.prompts.style import PromptStyle
    from branchwise.stages import Before, GroupDependencies, StageRow
    from branchwise.strategies.entry import StrategyEntry

_MOST_NAMED = 5


class AskFile(Record):
    """A YAML or JSON file for `branchwise ask`: a context and questions about it."""

    context: str
    questions: tuple[str, ...] = Field(min_length=1)


def given_group(context: str | None, questions: Sequence[str], file: Path | None) -> Group:
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
    return Group(id="ask", context=context, questions=asked)


def dataset_entry(experiment: Any, name: str, path: str | None) -> "DatasetEntry":
    """An entry of the catalogue, read from `path` where that is given. Raises UserError for an unknown
    name, and for a path of a made one.
    """
    from branchwise.commands.options import named
    from branchwise.config.load import revised

    entry = named(experiment, "dataset", name)
    if path is None:
        return entry
    if entry.source == "worlds":
        raise UserError(f"{name} is made, not read", "leave out --path")
    return revised(entry, {"path": path}, f"data set {name}")


def dataset_group(entry: "DatasetEntry", dataset: str, wanted: str | None) -> Group:
    """A group of a data set by its id; the first one where none is wanted.

    Raises UserError for an id that no group has, naming the nearest ones.
    """
    import difflib

    from branchwise.data.prepare import groups_of

    embed = None
    if getattr(entry, "grouping", None) == "similarity":
        from branchwise.encoders.sentences import sentence_embedder

        embed = sentence_embedder(entry.encoder)  # type: ignore[union-attr]
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    ids = []
    for group in groups_of(entry, lambda text: console.print(f"warning: {text}", markup=False), embed):
        if wanted is None or group.id == wanted:
            return group
        ids.append(group.id)
    near = difflib.get_close_matches(str(wanted), ids, n=_MOST_NAMED, cutoff=0.4) or ids[:_MOST_NAMED]
    raise UserError(
        f"data set {dataset} has no group {wanted} among its {len(ids)}",
        f"the nearest: {', '.join(near)}; without --group the first one is asked",
    )


def _typed(what: str) -> str:
    try:
        return Prompt.ask(what, default="", show_default=False)
    except EOFError:
        return ""


def _read(file: Path) -> tuple[str, tuple[str, ...]]:
    from branchwise.config.mistakes import validate
    from branchwise.config.yaml_files import read_yaml

    content = validate(AskFile, read_yaml(file, "question file"), str(file.absolute()))
    return content.context, content.questions


def found_before(
    experiment: "Experiment",
    strategy: "StrategyEntry",
    source: "ModelSource",
    decoder: "DecoderSettings",
    style: "PromptStyle",
    language: str,
    group: Group,
) -> "Before":
    """What the stages that a strategy uses find for one group, asked of planner and paraphraser where the
    experiment names them, else of the answerer as it is, without a strategy's checkpoint; of one that is
    on a server alone by `decoder`.
    """
    from branchwise.cells.asker import Asker, asker_of
    from branchwise.cells.confiding import confiding
    from branchwise.cells.found import with_found
    from branchwise.cells.paraphrasing import paraphrasing
    from branchwise.cells.staging import find_alone
    from branchwise.config.stages import Needed, asking_decoder, stage_model
    from branchwise.decoding.models.source import ModelSource

    plain = source if source.checkpoint is None else ModelSource(source.entry, None)

    def asked(stage: str, name: str) -> Asker:
        # The answerer need not stand in the catalogue here: it has no name.
        needed = Needed(stage, name)
        if role := stage_model(experiment, needed, ""):
            model = ModelSource(experiment.catalogues.models[role], None)
            return asker_of(model, asking_decoder(experiment, needed, role))
        return asker_of(plain, None if plain.entry.is_here else decoder)

    found: list[StageRow] = []
    if edges := strategy.dependencies:
        found.append(_depend(experiment, edges, plain, lambda: asked("dependencies", edges), group))
    if name := strategy.paraphrases:
        entry = experiment.catalogues.paraphrases[name]
        made = paraphrasing(name, entry, asked("paraphrases", name), language)
        found.append(find_alone(group, made))
    if name := strategy.confidence:
        sure = experiment.catalogues.confidence[name]
        worded = with_found(group, tuple(found))
        confident = confiding(name, sure, asked("confidence", name), style, language)
        found.append(find_alone(worded, confident))
    return tuple(found)


def _depend(
    experiment: "Experiment",
    name: str,
    source: "ModelSource",
    asker: "Callable[[], Asker]",
    group: Group,
) -> "GroupDependencies":
    """What the strategy's dependencies are for this group."""
    from branchwise.cells.depending import Depending, generator_of
    from branchwise.commands.staging import token_counter
    from branchwise.config.stages import dependency_entry
    from branchwise.dependencies.entries import LlmEntry

    entry = dependency_entry(experiment, name)
    generate = generator_of(entry, asker() if isinstance(entry, LlmEntry) else None)
    return Depending(name, entry, generate, token_counter(source), False).find(group)
