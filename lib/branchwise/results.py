"""The files of a cell, typed. Each carries its schema version; a reader of another version says so."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from branchwise.data.types import AnswerType
from branchwise.errors import UserError
from branchwise.files import atomic_writer, told_unreadable, value_hash, write_text
from branchwise.records import Record
from branchwise.stages import Before, GroupConfidence, GroupDependencies, GroupParaphrases
from branchwise.trace import GroupTrace, Tokens

SCHEMA_VERSION: Literal[4] = 4


class WordingRow(Record):
    """A wording that a question was asked in, and the answer to it alone."""

    text: str
    answer: str | None = Field(None, description="Null where the wordings were answered together.")
    well_formed: bool | None = None


class AnswerRow(Record):
    """One line of answers.jsonl: a question, what was said to it, and what that cost."""

    group: str
    question: str = Field(description="Id of the question in its group.")
    text: str
    kind: str
    answer_type: AnswerType
    golds: tuple[str, ...]
    gold_spans: tuple[tuple[str, ...], ...] = Field((), description="See Question.gold_spans.")
    guess: float | None = Field(description="Score of a guess by type, where known.")
    chain_guess: float | None = Field(None, description="See Question.chain_guess.")
    raw: str = Field(description="The whole reply that holds the answer.")
    answer: str = Field(description="The answer read from it; empty where there is none.")
    well_formed: bool
    rule: str = Field("", description="Which rule read the answer; empty where nothing was read.")
    asks: tuple[int, ...] = Field(
        description="The asks that made it, in the group's line of trace.jsonl; none where the strategy "
        "gave no answer."
    )
    wordings: tuple[WordingRow, ...] = Field(
        (), description="Those that it was asked in, of strategies that use several."
    )
    each: bool = Field(
        False,
        description="Whether it stands for the answers to all of its wordings: scored by their mean.",
    )
    notes: tuple[str, ...] = Field(
        (), description="What did not go as the strategy meant it to, such as a fallback."
    )
    tokens: Tokens = Field(description="Its share of the group's ledger, the stages before included.")
    start_s: float = Field(description="On the group's clock: its first token was computed.")
    end_s: float = Field(description="On the group's clock: its last token was known.")


class GroupRun(Record):
    """The exact counters of one group. Its times are measured elsewhere (`branchwise.times`)."""

    id: str
    num_questions: int
    forward_passes: int = Field(description="Those that it took part in, other groups beside it or not.")
    num_asks: int
    latency_s: float | None = Field(
        None,
        description="Of served models alone, whose time is that of the asking: the critical path of the "
        "replies, from sent to read.",
    )
    tokens: Tokens
    tokens_by_role: dict[str, Tokens] = Field(description="The same, by the role of the model asked.")
    dependencies: GroupDependencies | None = Field(
        None, description="Of strategies that follow any; their cost is in no other field here."
    )
    paraphrases: GroupParaphrases | None = Field(None, description="The same of made paraphrases.")
    confidence: GroupConfidence | None = Field(None, description="The same of confidences.")

    @property
    def before(self) -> Before:
        """What was found for the group before it was asked."""
        return tuple(one for one in (self.dependencies, self.paraphrases, self.confidence) if one)

    @property
    def before_s(self) -> float | None:
        """What that took; None where there is no stage before."""
        return sum(one.wall_s for one in self.before) if self.before else None


class GroupRecord(Record):
    """One finished group: its answers, how it ran, and all that was asked. What the journal keeps."""

    answers: tuple[AnswerRow, ...]
    run: GroupRun
    trace: GroupTrace


class LeftOut(Record):
    """A group that has no answers, and why: its prompts do not fit the model."""

    group: str
    num_questions: int
    reason: str


class Identity(Record):
    """What a result is: all that it depends on. Equal identities, equal results."""

    settings: dict[str, Any] = Field(description="Settings; data and models by their content.")
    code: str = Field(description="Hash of the code, by its imports.")
    dependencies_code: str | None = Field(
        None, description="Hash of the code that found the dependencies, where any are followed."
    )
    paraphrases_code: str | None = Field(None, description="The same of made paraphrases.")
    confidence_code: str | None = Field(None, description="The same of confidences.")
    training_code: str | None = Field(None, description="The same of a checkpoint that was trained here.")

    @property
    def codes(self) -> tuple[str | None, ...]:
        """All hashes of code."""
        stages = (self.dependencies_code, self.paraphrases_code, self.confidence_code)
        return (self.code, *stages, self.training_code)

    def about(self, cell: Mapping[str, str]) -> dict[str, str]:
        """What the first line of a cell's files of rows says: whose they are."""
        return {"cell": "/".join(cell.values()), "settings": value_hash(self.settings), "code": self.code}


class ServedRun(Record):
    """What servers did in a cell, all groups together, those of an earlier run too."""

    models: tuple[str, ...] = Field(description="As servers call them, those that answered.")
    fingerprints: tuple[str, ...] = Field((), description="Of their versions, where they give any.")
    num_replies: int
    num_kept: int = Field(description="Of these, kept from an earlier run and not asked anew.")
    num_attempts: int
    faults: dict[str, int] = Field(description="Attempts that failed, by what went wrong.")
    num_empty: int = Field(description="Replies without a word, refused ones among them.")
    cost: float | None = Field(description="By the models' price lists; null where one has none.")
    prices: tuple[dict[str, Any], ...] = Field((), description="These lists, with their dates.")
    cached: int = Field(description="Tokens of prompts that servers had cached.")
    ideal_cached: float = Field(description="What an ideal cache of each group's prompts would have had.")
    median_s: float = Field(description="Of one reply, from sent to read.")
    server_s: float | None = Field(None, description="Of that, computing, where servers say so.")
    round_trip_s: float | None = Field(
        None, description="Of a request that computes nothing: what the network takes."
    )
    waited_s: float = Field(description="All waits together: in line, and for attempts that failed.")


class ShardRun(Record):
    """What one of the jobs did that answered a cell together."""

    num_groups: int
    makespan_s: float
    load_s: float
    resolved: dict[str, Any]
    hardware: dict[str, Any]


class RunRecord(Record):
    """run.json: everything that is needed to trust answers.jsonl, or to make it again."""

    schema_version: Literal[4] = SCHEMA_VERSION
    cell: dict[str, str]
    identity: Identity
    resolved: dict[str, Any] = Field(description="What was chosen where settings leave it open.")
    model_files: dict[str, str | None] = Field(description="Hash of the files loaded, by role.")
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None = Field(description="Whether tracked files differed from the commit.")
    hardware: dict[str, Any]
    load_s: float = Field(description="Loading the model; in no other time.")
    makespan_s: float = Field(
        description="From the first group asked to the last one answered, of those not resumed, with "
        "other jobs beside it or not: throughput, never latency."
    )
    groups_in_flight: int = Field(description="Groups that were asked at once, at most.")
    peak_memory_mib: float
    kv_cache_mib: float | None = Field(description="The token tree's buffers; null elsewhere.")
    data: dict[str, Any] = Field(description="How the groups were made: rows left out, and why.")
    num_groups: int = Field(description="Groups with answers.")
    num_resumed: int = Field(description="Groups taken from the journal of a killed run.")
    left_out: tuple[LeftOut, ...] = Field((), description="Groups that do not fit the model.")
    totals: Tokens
    totals_by_role: dict[str, Tokens] = Field(
        description="By the role of the model asked, and the stages before: dependencies, "
        "paraphrases, confidence."
    )
    forward_passes: int
    served: ServedRun | None = Field(None, description="Of served models.")
    paraphrases: dict[str, int] = Field(
        {}, description="Of made ones: how many were kept, are missing, and were dropped, by reason."
    )
    shards: tuple[ShardRun, ...] = Field(
        (), description="Where several jobs answered it; its times are then theirs, added up."
    )
    warnings: tuple[str, ...]
    groups: tuple[GroupRun, ...]


class Metric(Record):
    """One number with its 95 % interval over groups; null where one group says nothing of any."""

    value: float
    low: float | None
    high: float | None
    n: int = Field(description="Questions, or groups for measures of a whole group.")
    groups: int = Field(description="Groups that they belong to: the units of the interval.")


class QuestionScore(Record):
    """The scores of one answer."""

    group: str
    question: str
    kind: str
    guess: float | None
    chain_guess: float | None = None
    em: float
    said: str = Field("", description="A hash of the whole reply.")
    answered: str = Field("", description="A hash of the answer that was read from it.")
    em_strict: float = Field(description="EM under the strict parser: 0 where not well-formed.")
    f1: float
    lenient: float
    well_formed: float
    more: dict[str, float | None] = Field(
        {}, description="Further metrics of the data set; null where one leaves the question out."
    )


class GroupScore(Record):
    """Counters of one group, with what the stages before it cost."""

    group: str
    num_questions: int
    forward_passes: int
    sent: float
    unique: float
    cached: float
    generated: float
    padding: float
    latency_s: float | None = Field(None, description="See GroupRun.latency_s.")
    dependency_s: float = Field(description="The dependency stage; 0 where there is none.")
    wording_s: float | None = Field(
        None, description="The stages of paraphrases and confidence; null where there are none."
    )
    edges: float = Field(description="Dependencies that were followed, per question.")
    edge_pairs: tuple[tuple[str, str], ...] = ()
    known_pairs: tuple[tuple[str, str], ...] | None = None
    edge_precision: float | None = None
    edge_recall: float | None = None
    edge_turned: float | None = None

    @property
    def before_s(self) -> float:
        """What all stages before took."""
        return self.dependency_s + (self.wording_s or 0.0)


class Throughput(Record):
    """How much a run of `generate` did in its makespan."""

    makespan_s: float
    groups_in_flight: int
    num_groups: int
    num_questions: int
    generated_tokens: float


class Scores(Record):
    """scores.json: what tables and figures are made of, beside the times."""

    schema_version: Literal[4] = SCHEMA_VERSION
    cell: dict[str, str]
    identity: Identity = Field(description="Of the answers.")
    scoring: Identity = Field(description="Of the scores, beside the answers.")
    hardware: dict[str, Any]
    scorer: str = Field(description="Whose definitions em, f1 and the further metrics follow.")
    primary: str = Field(description="The metric that the set's authors lead with.")
    language: str = Field(description="In which answers were normalised and cut into words.")
    lemmas_by: str | None = Field(description="What made the lemmas, where the scorer compares any.")
    tokenized_by: str | None = Field(description="What cut texts into words, where BLEU and ROUGE are.")
    judge: dict[str, Any] | None = Field(description="Model, prompt version, missing verdicts.")
    throughput: Throughput | None = Field(description="Null where groups came from a journal.")
    left_out: tuple[LeftOut, ...] = Field((), description="Groups that do not fit the model.")
    fallbacks: dict[str, int] = Field(
        {}, description="Groups whose dependencies the heuristic stood in for, by reason."
    )
    paraphrases: dict[str, int] = Field({}, description="See RunRecord.paraphrases.")
    served: ServedRun | None = Field(None, description="See RunRecord.served.")
    noted: dict[str, int] = Field({}, description="Questions by what is noted of their answers.")
    metrics: dict[str, Metric]
    by_kind: dict[str, dict[str, Metric]]
    questions: tuple[QuestionScore, ...]
    groups: tuple[GroupScore, ...]


R = TypeVar("R", bound=BaseModel)


def write_json(path: Path, record: BaseModel) -> None:
    """Write a record as one JSON file, whole or not at all."""
    write_text(path, record.model_dump_json() + "\n")


def read_json(path: Path, model: type[R]) -> R:
    """Read a record. Raises UserError where the file is missing, of another version, or broken."""
    with told_unreadable(path):
        if not path.exists():
            raise UserError(f"{path} does not exist", "run the stage that makes it, or `snakemake`")
        text = path.read_text(encoding="utf-8")
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise UserError(
            f"{path} is not a {model.__name__} of schema version {SCHEMA_VERSION}: {_first_of(error)}",
            "make it anew",
        ) from None


def _first_of(error: ValidationError) -> str:
    """The first mistake: where, and what; a name in it may be of any length."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part)[:80] for part in first["loc"])
    return f"{place}: {first['msg'][:400]}"


def only_folder(folder: Path, name: str) -> Path:
    """The folder, if it holds a file of this name; else the only folder in it that does: a cell's files
    lie under the hash of their settings. Raises UserError where there is none, or several.
    """
    if (folder / name).is_file():
        return folder
    # Of a name that no system can hold, glob would raise what is nobody's error.
    inside = sorted(path.parent for path in folder.glob(f"*/{name}")) if folder.is_dir() else []
    if len(inside) == 1:
        return inside[0]
    if inside:
        found = ", ".join(path.name for path in inside)
        raise UserError(f"{folder} holds results of several settings: {found}", "name one of them")
    raise UserError(f"{folder} holds no {name}", "run the stage that makes it, or `snakemake`")


def write_rows(path: Path, rows: Iterable[BaseModel], about: Mapping[str, str] | None = None) -> None:
    """Write one record a line under a line with the schema version and what `about` says of them."""
    header = {"schema_version": SCHEMA_VERSION, **(about or {})}
    with atomic_writer(path) as file:
        file.write(json.dumps(header) + "\n")
        for row in rows:
            file.write(row.model_dump_json() + "\n")


def read_rows(path: Path, model: type[R], about: Mapping[str, str] | None = None) -> Iterator[R]:
    """Read what `write_rows` wrote. Raises UserError naming the first line that is not right, and where
    the first line says something else of them than `about`: then they are another's.
    """
    with told_unreadable(path):
        if not path.exists():
            raise UserError(f"{path} does not exist", "run the stage that makes it, or `snakemake`")
    with told_unreadable(path), path.open(encoding="utf-8") as file:
        _check_header(path, file.readline().strip(), about or {})
        for number, line in enumerate(file, start=2):
            try:
                yield model.model_validate_json(line)
            except ValidationError as error:
                raise UserError(
                    f"{path}, line {number} is not a {model.__name__}: {_first_of(error)}", "make it anew"
                ) from None


def _check_header(path: Path, line: str, about: Mapping[str, str]) -> None:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{path} starts with {line[:60]!r}, not with schema version {SCHEMA_VERSION}",
            "make it anew with this version",
        )
    for key, wanted in about.items():
        if header.get(key, wanted) != wanted:
            raise UserError(
                f"{path.absolute()} is of {key} {header[key]}, not of {wanted}",
                "remove it and make it anew: it belongs to something else",
            )
