"""What a decoder is asked for and what it gives back; the same for every decoder."""

import asyncio
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from torch import Tensor

from branchwise.decoding.held.tree import Together
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.decoding.branches import Branch
    from branchwise.prompts.style import Form as PromptForm
    from branchwise.trace import Served

StopReason = Literal["stop", "length"]
"""stop: the model ended its turn, or said a stop text; length: the budget was used up."""


class TokenCount(NamedTuple):
    """The ledger of one answer, in tokens.

    `sent`: the whole prompt, as an API would bill it. `unique`: of these, computed for this prompt;
    `cached`: the others, which were found computed, or are computed for another prompt that runs (sent =
    cached + unique). `generated`: made by the model, its end-of-turn token included. `padding`: computed
    for nothing beside them.

    The last generated token is known, not computed: a prompt that goes on from it computes it. So over
    all answers, unique + generated - 1 + padding adds up to the rows that went through the model.
    """

    sent: int
    unique: int
    cached: int
    generated: int
    padding: int


_TEMPERATURE = "0 (the likeliest token, always), or 0.001 to 1000"


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen from its logits. The default is greedy.

    Logits are divided by `temperature`; then only the `top_k` most likely tokens stay (0: all), of
    these the fewest whose probabilities reach `top_p`, of these the ones at least `min_p` times as likely
    as the likeliest: the order of transformers. Then one is drawn. A branch draws from a random stream of
    its own, seeded with `seed`, so that it does not matter what else is decoded.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        allowed = {
            "temperature": (self.temperature == 0 or 1e-3 <= self.temperature <= 1e3, _TEMPERATURE),
            "top_k": (self.top_k == int(self.top_k) >= 0, "a whole number, 0 (all tokens) or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1 (all tokens)"),
            "min_p": (0 <= self.min_p <= 1, "0 (all tokens) to 1"),
            "seed": (0 <= self.seed < 2**63, "a whole number, 0 or more, below 2 to the power of 63"),
        }
        for name, (is_allowed, what) in allowed.items():
            if not is_allowed:
                raise UserError(f"{name} of the sampling is {getattr(self, name)}", f"{name} is {what}")


class Member(NamedTuple):
    """A branch of a hook's set whose next token is to be chosen: which, how much it counts in the set,
    and what it has generated so far.
    """

    branch: "Branch"
    weight: float
    ids: list[int]


@dataclass(eq=False)
class Hook:
    """Changes the logits of a set of branches before tokens are chosen from them.

    `change` takes the members that are ready and their logits, fp32 (R, V), a row a member; it returns
    logits of the same shape, and must not call the model. With `lockstep` branches the set moves
    together (fusion needs all of them): it is let into memory whole or refused whole, no token is chosen
    before that many have begun, and none before all that have not ended are ready; 0: as they come.

    A member that ends, fails or is cancelled leaves the set. The others go on with the weights that they
    have: `change` is called with these alone, so that what is normalised over the set is so over them.

    With `together` the branches also enter each pass together or not at all, from the last token of their
    prompts on where they mix, from the first of their own where they peek. Isolation does not hold for
    them: what one says depends on the others of its set, and on nothing else.
    """

    change: Callable[[Sequence[Member], Tensor], Tensor]
    lockstep: int = 0
    together: Together | None = None

    def __post_init__(self) -> None:
        if self.together is not None and not self.lockstep:
            raise UserError("branches that are together move in lockstep", "say how many: lockstep=n")


def together(number: int, mixes: bool = False, peeks: bool = False, seed: int = 0) -> Hook:
    """A hook for `number` branches whose hidden states are mixed, or that peek at each other; see
    `held.tree.Together`. It changes no logits.
    """
    return Hook(lambda members, logits_RV: logits_RV, number, Together(mixes, peeks, seed))


@dataclass(frozen=True)
class Rules:
    """How a branch generates, beside the model's own stop tokens.

    `stop_texts` end the answer in the middle of a token too; its text then ends before them. `hooks`
    change its logits one after the other (a fusion, then what the answer is held to), each for all of
    its set at once; one of them at most may move in lockstep. `weight` is what the branch counts in
    their sets. All but `hooks` and `weight` is what every decoder that computes can do.
    """

    max_new_tokens: int
    sampling: Sampling = Sampling()
    stop_ids: frozenset[int] = frozenset()
    stop_texts: tuple[str, ...] = ()
    banned_ids: frozenset[int] = frozenset()
    hooks: tuple[Hook, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens is {self.max_new_tokens}", "give at least 1")
        if isinstance(self.stop_texts, str):
            raise UserError(
                f"stop_texts is the string {self.stop_texts!r}",
                f"give a tuple of strings: stop_texts=({self.stop_texts!r},)",
            )
        if "" in self.stop_texts:
            raise UserError("a stop text is empty", "give at least one character")
        if not 0 <= self.weight < math.inf:
            raise UserError(f"the weight of a branch is {self.weight}", "give a number, 0 or more")
        if isinstance(self.hooks, Hook):
            raise UserError("hooks is one hook", "give a tuple: hooks=(hook,)")
        if sum(hook.lockstep > 0 for hook in self.hooks) > 1:
            raise UserError("two hooks of a branch move in lockstep", "fuse, mix or peek: one of them")

    @property
    def lockstep(self) -> Hook | None:
        """The hook whose set the branch moves with; None where it moves by itself."""
        return next((hook for hook in self.hooks if hook.lockstep), None)

    @property
    def together(self) -> Together | None:
        """What the branch does together with the others of its set."""
        return self.lockstep.together if self.lockstep else None


@dataclass(eq=False)
class Request:
    """A prompt to be answered: its token ids, the messages that they were made of, or both; a decoder
    goes by what it takes. `on_token` is called with each token id as it is made. The first `num_shared`
    token ids are the same in prompts of all groups: a decoder may compute them once.

    For decoders that go by messages: their `form`, the pre-filled beginning of the answer (`begun`), and
    what the decoder's entry holds it to (`pattern`, and of how many questions: `num_questions`).
    """

    prompt_ids: list[int]
    rules: Rules
    group: Hashable
    future: asyncio.Future["Completion"]
    on_token: Callable[[int], None] | None = None
    messages: Sequence[Mapping[str, str]] = ()
    num_shared: int = 0
    form: "PromptForm" = "chat"
    begun: str = ""
    pattern: str | None = None
    num_questions: int = 0

    def __post_init__(self) -> None:
        if not self.prompt_ids and not self.messages:
            raise UserError("the prompt is empty", "give at least one token")


@dataclass(frozen=True)
class Completion:
    """The answer to a request, with its ledger.

    `start_s` and `end_s` are on the decoder's clock: when its first token was computed and when its
    last one was known. `num_steps` counts the forward passes that it took part in. `text` is given
    where a stop text cut it (`stop_text`), and by a served model (`served`), which gives no ids; there
    `start_s` is when it was sent.
    """

    ids: list[int]
    stop: StopReason
    tokens: TokenCount
    start_s: float
    end_s: float
    num_steps: int
    text: str | None = None
    stop_text: str | None = None
    served: "Served | None" = None


@dataclass(eq=False)
class Running:
    """An answer in the making; equal to itself alone, so that lists remove the right one."""

    rules: Rules
    start_s: float
    on_token: Callable[[int], None] | None = None
    ids: list[int] = field(default_factory=list)
    num_steps: int = 0

    def add(self, token: int, stop_ids: frozenset[int]) -> StopReason | None:
        """Note a new token; says why the answer ends with it, or None."""
        self.ids.append(token)
        if self.on_token is not None:
            self.on_token(token)
        if token in stop_ids or token in self.rules.stop_ids:
            return "stop"
        return "length" if len(self.ids) >= self.rules.max_new_tokens else None


def hand_over(future: asyncio.Future, error: BaseException) -> None:
    """An error to whoever waits for an answer: an interrupt cancels it. Does nothing where it is known
    already, or where the loop of whoever waited is gone.
    """
    if future.done() or future.get_loop().is_closed():
        return
    if isinstance(error, Exception):
        future.set_exception(error)
    else:
        future.cancel()
