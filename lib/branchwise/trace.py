"""The trace of a group: every ask and branch, what it waited for and what it cost.

Everything that is said of a group's tokens and ideal latency is computed from its trace, here, so that
it can be computed again from the files. Torch-free.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from branchwise.records import Record

ANSWERER = "answerer"


class Tokens(Record):
    """The ledger, in tokens. Of an answer that shared asks with others: its share of them."""

    sent: float = Field(description="Prompts as an API would bill them.")
    unique: float = Field(description="Of these, computed (the rest was cached).")
    cached: float = Field(description="Of these, found in the token tree.")
    generated: float = Field(description="Made by the model, end-of-turn tokens included.")
    padding: float = Field(description="Computed beside them for nothing, to fill a batch.")

    @classmethod
    def total(cls, parts: Iterable["Tokens"]) -> "Tokens":
        """The sum of several ledgers."""
        parts = list(parts)
        return cls(**{name: sum(getattr(p, name) for p in parts) for name in cls.model_fields})

    def with_computed(self, count: int) -> "Tokens":
        """The same, `count` of the cached tokens having been computed: once, for all that found them."""
        count = min(count, int(self.cached))
        return self.model_copy(update={"unique": self.unique + count, "cached": self.cached - count})

    def share(self, of: int) -> "Tokens":
        """One of so many equal parts."""
        return Tokens(**{name: getattr(self, name) / of for name in type(self).model_fields})


class Served(Record):
    """What is known of an answer that a server gave, beside its ledger."""

    model: str = Field(description="As the server calls it.")
    fingerprint: str | None = Field(None, description="Of the server's version, where it gives one.")
    attempts: int
    faults: dict[str, int] = Field({}, description="Attempts that failed, by what went wrong.")
    waited_s: float = Field(description="In line, between attempts and in failed ones.")
    server_s: float | None = Field(None, description="Computing, where the server says so.")
    round_trip_s: float | None = Field(None, description="Of a request that computes nothing.")
    cost: float | None = Field(None, description="By the price list of the model's entry.")
    kept: bool = Field(False, description="Whether it was kept from an earlier run, and not asked anew.")
    ideal_cached: float = Field(
        description="Tokens that its prompt has in common with an earlier one of the group: what an "
        "ideal prefix cache would have found."
    )


class AskRecord(Record):
    """One ask: a prompt or a branch, what was said to it, what it waited for, and its cost."""

    role: str = Field(description="What it was for: answer, plan, paraphrase, outline, ...")
    by: str = Field(ANSWERER, description="The role of the model that was asked.")
    questions: tuple[str, ...] = Field(description="Ids of the questions that it asked; often none.")
    after: tuple[int, ...] = Field(
        description="Asks that it waited for, without those that these had waited for."
    )
    messages: tuple[dict[str, str], ...] | None = Field(
        None, description="As they were given; null for a branch."
    )
    branch: int | None = Field(None, description="The branch that it went on from, in `branches`.")
    prompt: str = Field(description="As the model read it.")
    raw: str = Field(description="What it said.")
    stop: Literal["stop", "length"]
    tokens: Tokens
    num_steps: int = Field(description="Forward passes that it took part in.")
    start_s: float = Field(
        description="On the group's clock: its first token was computed; of a served model, it was sent."
    )
    end_s: float = Field(description="On the group's clock: its last token was known.")
    served: Served | None = Field(None, description="Of a served model.")

    @property
    def duration_s(self) -> float:
        """From its first token computed to its last token known."""
        return self.end_s - self.start_s


class BranchRecord(Record):
    """A branch that a strategy held: how it came about, and its own words."""

    verb: Literal["open", "fork", "join"]
    parents: tuple[int, ...] = Field(description="Branches that it went on from, in `branches`.")
    messages: tuple[dict[str, str], ...] | None = None
    text: str


class GroupTrace(Record):
    """One line of trace.jsonl: all asks of a group in the order of asking, and all branches."""

    group: str
    asks: tuple[AskRecord, ...]
    branches: tuple[BranchRecord, ...] = ()


def ideal_latency_s(asks: Sequence[AskRecord]) -> float:
    """Latency on unbounded machines: the longest chain of asks that waited for each other.

    Taken from the measured durations of one run, so work that the asks shared in that run (steps of
    a joint batch) makes it an upper bound.
    """
    finished: list[float] = []
    for ask in asks:
        begin = max((finished[index] for index in ask.after), default=0.0)
        finished.append(begin + ask.duration_s)
    return max(finished, default=0.0)


def total_tokens(asks: Iterable[AskRecord]) -> Tokens:
    """The ledger of some asks together."""
    return Tokens.total(ask.tokens for ask in asks)


def tokens_by_role(asks: Iterable[AskRecord]) -> dict[str, Tokens]:
    """The ledger of each model that was asked."""
    asks = list(asks)
    roles = dict.fromkeys(ask.by for ask in asks)
    return {role: total_tokens(ask for ask in asks if ask.by == role) for role in roles}


def closure(after: Mapping[int, Sequence[int]], of: Iterable[int]) -> set[int]:
    """`of` and everything that these waited for, directly or not."""
    found: set[int] = set()
    left = list(of)
    while left:
        index = left.pop()
        if index not in found:
            found.add(index)
            left += after[index]
    return found


def question_tokens(
    asks: Sequence[AskRecord], made_by: Mapping[str, Sequence[int]], before: Tokens | None = None
) -> dict[str, Tokens]:
    """Every question's share of the ledger; the shares sum up to the whole, `before` included: what was
    spent for the whole group before it was asked (finding its dependencies).

    `made_by` holds all questions of the group, each with the asks that made its answer. An ask is shared
    equally by the questions that it asked; one that asked none by the questions whose answers waited for
    it, directly or not, and where none did by all.
    """
    after = {number: ask.after for number, ask in enumerate(asks)}
    needed = {question: closure(after, made) for question, made in made_by.items()}
    equal = [before.share(len(made_by))] if before else []
    shares: dict[str, list[Tokens]] = {question: list(equal) for question in made_by}
    for number, ask in enumerate(asks):
        payers = ask.questions or [q for q, numbers in needed.items() if number in numbers]
        payers = tuple(payers) or tuple(made_by)
        for question in payers:
            shares[question].append(ask.tokens.share(len(payers)))
    return {question: Tokens.total(parts) for question, parts in shares.items()}
