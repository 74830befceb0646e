"""What every decoder is to those who use it: the one contract, and the verbs that one may offer.

Nothing but this is known of a decoder outside of its own modules, so a new one is one file in
`branchwise/decoding/decoders`. Torch-free, since the config reads it.
"""

from collections.abc import Callable, Coroutine, Hashable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from branchwise.decoding.branches import Branch
    from branchwise.decoding.forms import Form
    from branchwise.decoding.options import Layout
    from branchwise.decoding.requests import Completion, Request, Rules, Sampling

Verb = Literal["ask", "fork", "join", "hook", "mix", "peek"]
"""What a strategy may need of a decoder.

ask: whole prompts. fork: branches inside one sequence (open, fork, generate, release). join: a branch
that sees several. hook: changes of the logits. mix: hidden states mixed between the branches of a group,
by a model that was trained to. peek: branches of a fork that see what the others have said before.
Budgets, sampling, stop ids and texts, and bans are no verbs: every decoder that computes follows them.
"""


class Decoder(Protocol):
    """How tokens are made. `submit` only queues; `step` does one unit of work.

    `offers`: the verbs that it has. `max_context`: tokens of a prompt and its answer, at most.
    `max_groups`: groups that it may serve at once without changing what each of them costs, None for any
    number. `num_forward_passes`: passes so far (of a served model: replies so far). `notes`: sentences
    that readers of its results need. `device`: where it computes, "remote" for a served model.
    `kv_cache_bytes`: memory of keys and values so far, None where that is not known. `sampling`: how asks
    whose rules state none are drawn, each with a seed of its own (`sampling.for_ask`); None: greedily.
    `form`: what answers to questions are held to; None: to nothing. Whoever asks follows these two, the
    decoder follows the rules of each request.

    One of a served model has more to say, which others need not: `doing`, what is under way, in words;
    `begins(form)`, whether an answer to such a prompt may be begun; `follows_patterns`, whether the
    server holds replies to a request's `pattern`. Its completions have no ids, and `served`.
    """

    offers: frozenset[Verb]
    max_context: int
    max_groups: int | None
    notes: tuple[str, ...]
    sampling: "Sampling | None"
    form: "Form | None"

    @property
    def num_forward_passes(self) -> int: ...

    @property
    def device(self) -> Any: ...

    @property
    def kv_cache_bytes(self) -> int | None: ...

    def submit(self, request: "Request") -> None:
        """Queue a request; its future is resolved by some later `step`."""

    def step(self) -> bool:
        """Work on what is queued. False when there is nothing to do."""

    def close(self, group: Hashable) -> None:
        """The group is finished: forget whatever was kept for it."""

    def attached(self) -> AbstractContextManager[None]:
        """Whatever must be in place while it works, for as long as this lasts."""

    def synchronize(self) -> None:
        """Wait until the device has done what it was given, before a clock is read."""

    def facts(self) -> dict[str, Any]:
        """What was chosen where the settings left it open; recorded in run.json."""


REMOTE = "remote"
"""The `device` of a served model."""


def is_remote(decoder: Decoder) -> bool:
    """Whether somebody else computes."""
    return decoder.device == REMOTE


class BranchingDecoder(Decoder, Protocol):
    """A decoder that offers `fork` and `join`: branches that a strategy holds.

    `stop_ids`: tokens that end a model's turn.
    """

    stop_ids: frozenset[int]

    def open(self, prompt: Sequence[int] | str, group: Hashable = None, num_shared: int = 0) -> "Branch":
        """A root branch that holds a prompt; its first `num_shared` tokens are those of all groups."""

    def fork(
        self,
        branch: "Branch",
        texts: Sequence[Sequence[int] | str],
        positions: "Layout | None" = None,
    ) -> "list[Branch]":
        """Children that see their ancestors and not each other; `positions`: where they stand."""

    def join(self, branches: "Sequence[Branch]", text: Sequence[int] | str) -> "Branch":
        """A branch that sees all of the given branches."""

    def generate(
        self, branch: "Branch", rules: "Rules | int", on_token: Callable[[int], None] | None = None
    ) -> "Coroutine[Any, Any, Completion]":
        """Append tokens to a branch until a stop rule."""

    def release(self, branch: "Branch") -> None:
        """Let go of a branch."""
