"""DROP's metrics (Dua et al., 2019): numbers compared as numbers, several spans aligned one to one."""

import re
import string
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from branchwise.evaluation.metrics.squad import lenient, without_articles

_PUNCTUATION = frozenset(string.punctuation)

Spans = Sequence[str]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _normal_token(token: str) -> str:
    """One token: lower case; numbers as floats; elsewhere no punctuation, no article."""
    token = token.lower()
    if not _is_number(token):
        token = "".join(char for char in token if char not in _PUNCTUATION)
    if _is_number(token):
        token = str(float(token))
    return without_articles(token)


def normalize(text: str) -> str:
    """DROP's normalisation: tokens parted at spaces and hyphens, each by itself."""
    tokens = (_normal_token(token) for token in re.split(" |-", text))
    return " ".join(token for token in tokens if token.strip()).strip()


def _bag_f1(predicted: set[str], gold: set[str]) -> float:
    """F1 of two sets of tokens, 0 where they do not agree in any number of the gold."""
    numbers = {token for token in gold if _is_number(token)}
    if numbers and not numbers & predicted:
        return 0.0
    common = len(predicted & gold)
    precision = common / len(predicted) if predicted else 1.0
    recall = common / len(gold) if gold else 1.0
    if precision == recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _one_gold(predicted: Spans, gold: Spans) -> tuple[float, float]:
    """Exact match and F1 against one accepted answer, given as its spans."""
    predictions = [normalize(span) for span in predicted]
    golds = [normalize(span) for span in gold]
    exact = set(predictions) == set(golds) and len(predictions) == len(golds)
    score_GP = np.array(
        [[_bag_f1(set(one.split()), set(other.split())) for one in predictions] for other in golds]
    )
    rows, columns = linear_sum_assignment(-score_GP)
    # A span without a partner scores 0, on either side.
    mean = score_GP[rows, columns].sum() / max(len(predictions), len(golds))
    # numpy's rounding, as in the official scorer: Python's differs in the last digit of some ties.
    return float(exact), float(np.round(mean, 2))


def drop_scores(prediction: str | Spans, golds: Sequence[Spans]) -> dict[str, float]:
    """`em`, `f1` (rounded to hundredths, as the official scorer does) and SQuAD's `lenient`.

    `golds` are the accepted answers, each a list of spans; one whose first span is blank does not
    count. A prediction of several spans is a list.
    """
    predicted = [prediction] if isinstance(prediction, str) else list(prediction)
    counted = [list(gold) for gold in golds if gold and gold[0].strip()]
    pairs = [_one_gold(predicted or [""], gold) for gold in counted] or [(0.0, 0.0)]
    words = " ".join(predicted)
    return {
        "em": max(exact for exact, _ in pairs),
        "f1": max(f1 for _, f1 in pairs),
        "lenient": max((lenient(words, " ".join(gold)) for gold in counted), default=0.0),
    }


def predicted_spans(text: str) -> list[str]:
    """The spans of an answer as prompts ask for them: several are parted by semicolons."""
    return [part.strip() for part in text.split(";") if part.strip()]


def spans_of(answer: object) -> list[str]:
    """The spans of an answer in DROP's schema: {number, date: {day, month, year}, spans}.

    A blank answer is one blank span, which no score counts. Raises ValueError where it is no answer of
    that schema.
    """
    if not isinstance(answer, dict) or not {"number", "date", "spans"} & set(answer):
        raise ValueError(f"an answer is an object with number, date and spans, not {answer!r}")
    number = answer.get("number")
    if number not in (None, ""):
        return [str(number)]
    spans, date = answer.get("spans") or [], answer.get("date") or {}
    if not isinstance(spans, list) or not isinstance(date, dict):
        raise ValueError(f"spans are a list and a date an object, not {spans!r} and {date!r}")
    if spans:
        return [str(span) for span in spans]
    parts = (str(date.get(part) or "").strip() for part in ("day", "month", "year"))
    return [" ".join(part for part in parts if part)]
