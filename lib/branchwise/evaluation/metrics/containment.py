"""Containment by lemmas: an alias stands, word for word, in the prediction (MyriadLAMA, WebQuestions).

English lemmas are spaCy's where one of its English models is installed, else Porter's stems; in other
languages they are Snowball's stems where NLTK has them, else the normalised segments themselves.
`lemmas_by` says which, and scores.json names it, since they do not give the same numbers.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache

from branchwise.evaluation.metrics.segments import segments
from branchwise.evaluation.metrics.squad import squad_scores, stands_in

SPACY_MODELS = ("en_core_web_lg", "en_core_web_md", "en_core_web_sm")
SNOWBALL = {
    **{"ar": "arabic", "da": "danish", "de": "german", "es": "spanish", "fi": "finnish"},
    **{"fr": "french", "hu": "hungarian", "it": "italian", "nb": "norwegian", "nl": "dutch"},
    **{"pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish"},
}
"""Languages of NLTK's Snowball stemmers."""

Lemmas = Callable[[str], list[str]]


@cache
def _lemmatizer(language: str) -> tuple[str, Lemmas]:
    if language != "en":
        return _snowball(language)
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


def _porter() -> tuple[str, Lemmas]:
    import nltk
    from nltk.stem import PorterStemmer

    stemmer = PorterStemmer()

    def stems(text: str) -> list[str]:
        return [stemmer.stem(word) for word in re.findall(r"\w+", text.lower())]

    return f"Porter stems, nltk {nltk.__version__}", stems


def _snowball(language: str) -> tuple[str, Lemmas]:
    if language not in SNOWBALL:
        return f"none ({language}: normalised segments)", lambda text: _words(text, language)
    import nltk
    from nltk.stem.snowball import SnowballStemmer

    stemmer = SnowballStemmer(SNOWBALL[language])

    def stems(text: str) -> list[str]:
        return [stemmer.stem(word) for word in _words(text, language)]

    return f"Snowball stems ({language}), nltk {nltk.__version__}", stems


def _words(text: str, language: str) -> list[str]:
    """The segments of a text, marks that stand for themselves left out: they contain nothing."""
    return [segment for segment in segments(text, language) if re.search(r"\w", segment)]


def lemmas_by(language: str = "en") -> str:
    """What makes the lemmas of a language here, with its version."""
    return _lemmatizer(language)[0]


def containment_scores(prediction: str, golds: Sequence[str], language: str = "en") -> dict[str, float]:
    """`contains`: some gold's lemmas stand in a row in the prediction's; beside SQuAD's metrics."""
    _, lemmas = _lemmatizer(language)
    said = lemmas(prediction)
    contains = any(stands_in(lemmas(gold), said) for gold in golds)
    return {**squad_scores(prediction, golds, language), "contains": float(contains)}
