"""What a group costs in tokens, strategy by strategy, from the lengths of its texts.

Follows what each strategy asks (`branchwise.strategies`); what no length says is stated here, and
printed under every plan.
"""

from collections.abc import Callable
from typing import NamedTuple

TURN = 12
"""Tokens around a turn of a chat: its marks, and the role that speaks."""
AROUND, ENDED = 8, 1
"""Tokens of an answer beside its gold: the form that it stands in, a word or two, the end of the turn; of
one that ends where its form does, the end alone."""
PLAN, EDGE = 150, 12
"""Tokens that ask for dependencies beside the questions, and of an edge that is said."""
PARTS = 5
"""Branches of an answer in steps: 4.0 to 4.4 in published plans, ten or more in resumes."""
DRAFT = 0.5
"""Length of a draft of such an answer: published ones take 0.3 to 0.55 of the time of whole ones."""
DOCUMENTS = 10
"""Documents of a context, where each has a branch."""
HINT = 60
"""Tokens that ask for an answer in steps."""

ASSUMED = (
    f"A turn is {TURN} tokens beside its text; an answer its gold and {AROUND} ({ENDED} where its form "
    "ends it), but no more than its budget, which a thinking model uses up; instruction and solved "
    "questions are computed once where prompts share what they begin with; every question but a group's "
    f"first follows one answer (`collab`); an answer in steps has {PARTS} branches, a draft of it "
    f"{DRAFT} of its length."
)


class Texts(NamedTuple):
    """A group in tokens: instruction and solved questions, shared passage, each question with a passage
    of its own, an answer, one in steps; and the number of questions.
    """

    head: float
    context: float
    each: float
    answer: float
    steps: float
    questions: float


class Asked(NamedTuple):
    """How a strategy is set up: wordings or samples a question, drafts or not, paths seen or read anew,
    whether a model is asked for dependencies, and with how large a budget.
    """

    copies: int = 1
    draft: bool = False
    recompute: bool = False
    planned: int | None = None


class Work(NamedTuple):
    """Tokens of a group: sent as a server bills them, unique where what prompts begin with is computed
    once (what all groups begin with is of none), generated, beside each other (`rows`) in one forward
    pass; of what they see, tokens that all rows share and those of one row.
    """

    sent: float
    unique: float
    generated: float
    rows: float
    shared: float
    own: float

    def times(self, number: float) -> "Work":
        """The same of so many groups: their tokens add up."""
        return self._replace(
            sent=self.sent * number, unique=self.unique * number, generated=self.generated * number
        )


def all_in_one(texts: Texts, asked: Asked) -> Work:
    """One prompt, all answers in a row."""
    head, questions = texts.head + texts.context, texts.questions
    prompt, said = head + questions * texts.each, questions * texts.answer
    return Work(prompt, prompt - texts.head, said, 1, 0, prompt + said / 2)


def sequential(texts: Texts, asked: Asked) -> Work:
    """A turn a question; every prompt holds all turns before it."""
    head, n = texts.head + texts.context, texts.questions
    turn = texts.each + texts.answer + TURN
    sent = n * (head + texts.each) + turn * n * (n - 1) / 2
    unique = texts.context + n * texts.each + (n - 1) * TURN
    return Work(sent, unique, n * texts.answer, 1, 0, head + n * turn / 2)


def batch(texts: Texts, asked: Asked) -> Work:
    """A prompt a question, or several (wordings, samples), each with an answer of its own."""
    head, prompts = texts.head + texts.context, texts.questions * asked.copies
    return Work(
        prompts * (head + texts.each),
        texts.context + prompts * texts.each,
        prompts * texts.answer,
        prompts,
        head,
        texts.each + texts.answer / 2,
    )


def vote(texts: Texts, asked: Asked) -> Work:
    """As `batch`; the prompts of a question are the same, and computed once."""
    return batch(texts, asked)._replace(unique=batch(texts, Asked()).unique)


def joined(texts: Texts, asked: Asked) -> Work:
    """The wordings of a question side by side, and one answer that sees all."""
    head, wordings = texts.head + texts.context, texts.questions * asked.copies
    return Work(
        texts.questions * (head + asked.copies * texts.each),
        texts.context + wordings * texts.each,
        texts.questions * texts.answer,
        texts.questions,
        head,
        asked.copies * texts.each + texts.answer / 2,
    )


def collab(texts: Texts, asked: Asked) -> Work:
    """As `batch`, in two layers; all questions but one repeat another with its answer."""
    plain, known = batch(texts, asked), (texts.questions - 1) * (texts.each + texts.answer)
    found = plain._replace(
        sent=plain.sent + known, unique=plain.unique + known, rows=max(1, texts.questions / 2)
    )
    if asked.planned is None:
        return found
    prompt = PLAN + texts.questions * texts.each
    edges = min(asked.planned, EDGE * max(1, texts.questions - 1))
    return found._replace(
        sent=found.sent + prompt, unique=found.unique + prompt, generated=found.generated + edges
    )


def in_steps(texts: Texts, asked: Asked, parts: float = 1, anew: float = 0) -> Work:
    """An answer of several steps a question, `parts` of them beside each other; tokens read `anew`."""
    said = texts.steps * (DRAFT if asked.draft else 1)
    prompt = texts.head + texts.context + texts.each + HINT
    n = texts.questions
    unique = texts.context + n * (texts.each + HINT + anew)
    own = texts.each + HINT + said / (2 * parts)
    return Work(n * (prompt + anew), unique, n * said, n * parts, texts.head + texts.context, own)


def outline(texts: Texts, asked: Asked) -> Work:
    """Branches of one answer; `recompute`: what follows them reads them anew."""
    said = texts.steps * (DRAFT if asked.draft else 1)
    return in_steps(texts, asked, PARTS, said if asked.recompute else 0)


def by_requests(texts: Texts, asked: Asked) -> Work:
    """A request for the points, and one for each of them that repeats the prompt and the list."""
    once = in_steps(texts, asked, PARTS, PARTS * EDGE)
    return once._replace(sent=once.sent * (1 + PARTS))


def experts(texts: Texts, asked: Asked) -> Work:
    """A branch a document, in lockstep."""
    n = texts.questions
    each = texts.context / DOCUMENTS + texts.each
    prompts = n * DOCUMENTS
    return Work(
        prompts * (texts.head + each),
        texts.context + prompts * texts.each,
        prompts * texts.answer,
        prompts,
        texts.head,
        each + texts.answer / 2,
    )


SHAPES: dict[str, Callable[[Texts, Asked], Work]] = {
    "all_in_one": all_in_one,
    "sequential": sequential,
    "batch": batch,
    "branches": batch,
    "mixed": batch,
    "vote": vote,
    "per_prompt": batch,
    "logit_fusion": batch,
    "attention_fusion": joined,
    "collab": collab,
    "collab_see": collab,
    "plain": in_steps,
    "outline": outline,
    "skeleton_of_thought": by_requests,
    "map_reduce": by_requests,
    "experts": experts,
}
"""Module of a strategy -> its tokens; one of somebody's own is taken to be `batch`."""
