"""Containment by lemmas: an alias stands, word for word, in the prediction (MyriadLAMA, WebQuestions).

Lemmas are spaCy's where one of its English models is installed, else Porter's stems; `lemmas_by` says
which, and scores.json names it, since the two do not give the same numbers.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache

from branchwise.evaluation.metrics.squad import squad_scores

SPACY_MODELS = ("en_core_web_lg", "en_core_web_md", "en_core_web_sm")


@cache
def _lemmatizer() -> tuple[str, Callable[[str], list[str]]]:
    try:
        import spacy
        from spacy.util import is_package
    except ImportError:
        return _porter()
    installed = next((name for name in SPACY_MODELS if is_package(name)), None)
    if installed is None:
        return _porter()
    pipeline = spacy.load(installed, disable=["parser", "ner"])
    version = pipeline.meta["version"]

    def lemmas(text: str) -> list[str]:
        return [token.lemma_.lower() for token in pipeline(text) if not token.is_punct]

    return f"spaCy {spacy.__version__}, {installed} {version}", lemmas


def _porter() -> tuple[str, Callable[[str], list[str]]]:
    import nltk
    from nltk.stem import PorterStemmer

    stemmer = PorterStemmer()

    def stems(text: str) -> list[str]:
        return [stemmer.stem(word) for word in re.findall(r"\w+", text.lower())]

    return f"Porter stems, nltk {nltk.__version__}", stems


def lemmas_by() -> str:
    """What makes the lemmas here, with its version."""
    return _lemmatizer()[0]


def containment_scores(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """`contains`: some gold's lemmas stand in a row in the prediction's; beside SQuAD's metrics."""
    _, lemmas = _lemmatizer()
    said = lemmas(prediction)
    contains = any(_stands_in(lemmas(gold), said) for gold in golds)
    return {**squad_scores(prediction, golds), "contains": float(contains)}


def _stands_in(wanted: list[str], said: list[str]) -> bool:
    """Whether `wanted`, if it is anything, is a run of `said`."""
    length = len(wanted)
    return bool(wanted) and any(
        said[start : start + length] == wanted for start in range(len(said) - length + 1)
    )
