"""SQuAD 2.0's metrics (Rajpurkar et al., 2018): questions that the text does not answer among others.

Without any gold a question is unanswerable, and an empty prediction right. A gold that normalisation
empties does not count. Where either side has no words, F1 is 1 if neither has any, else 0.
"""

from collections.abc import Sequence

from branchwise.data.types import NO_ANSWER
from branchwise.evaluation.metrics.squad import bag_f1, contained, normalize, tokens

SAYS_NO_ANSWER = frozenset(
    {
        *(NO_ANSWER, "noanswer", "there is no answer", "no answer is given", "no answer found"),
        *("unanswerable", "question is unanswerable", "not answerable", "cannotanswer"),
        *("cannot answer", "cannot be answered", "question cannot be answered"),
    }
)
"""All that a model may say for "there is no answer", as SQuAD normalises it (lower case, no marks, no
articles); anything else is an answer."""


def says_no_answer(text: str) -> bool:
    """Whether a text is one of `SAYS_NO_ANSWER`, and nothing beside it."""
    return normalize(text) in SAYS_NO_ANSWER


def as_authors_have_it(prediction: str, golds: Sequence[str]) -> tuple[str, list[str]]:
    """A cell's answer and golds in the authors' form: a prediction that says that there is no answer is
    empty, and the gold NO_ANSWER is none.
    """
    answerable = [gold for gold in golds if normalize(gold) != NO_ANSWER]
    return "" if says_no_answer(prediction) else prediction, answerable


def squad_v2_scores(
    prediction: str, golds: Sequence[str], language: str = "en"
) -> dict[str, float | None]:
    """`em`, `f1`, `lenient`; `has_answer_em`, `has_answer_f1` and `no_answer_em`, None where the
    question is of the other sort. `golds` are empty where the question is unanswerable.
    """
    said = tokens(prediction, language)
    wanted = [found for gold in golds if (found := tokens(gold, language))] or [[]]
    em = float(said in wanted)
    f1 = max(bag_f1(said, gold) if said and gold else float(said == gold) for gold in wanted)
    return {
        "em": em,
        "f1": f1,
        "lenient": max(contained(said, gold) if gold else float(said == gold) for gold in wanted),
        "has_answer_em": em if golds else None,
        "has_answer_f1": f1 if golds else None,
        "no_answer_em": None if golds else em,
    }
