"""Languages of data sets: their codes, and which scorers are made for which.

Only what decides how answers are compared is told apart: the code of the language itself. A region or
a script after it ("zh-Hant", "pt_BR") changes no rule and is dropped.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from branchwise.data.types import Scorer
from branchwise.records import Record

# fmt: off
LanguageCode = Literal[
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi",
    "fr", "he", "hi", "hr", "hu", "hy", "id", "it", "ja", "ka", "km", "ko", "lo", "lt",
    "lv", "ms", "my", "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "sw",
    "ta", "te", "th", "tr", "uk", "ur", "vi", "zh",
]
# fmt: on
"""ISO 639-1 codes that a data set may be of."""

LANGUAGES: tuple[LanguageCode, ...] = get_args(LanguageCode)


def _code(value: Any) -> Any:
    """The language itself of a BCP 47 tag, in lower case; what is no text stays for the error."""
    return value.strip().replace("_", "-").partition("-")[0].lower() if isinstance(value, str) else value


Language = Annotated[
    LanguageCode,
    BeforeValidator(_code),
    Field(description="Of questions and answers: how answers are normalised and cut into words."),
]
"""A field that holds a language."""

MADE_FOR: dict[Scorer, LanguageCode] = {
    "hotpotqa": "en",
    "triviaqa": "en",
    "drop": "en",
    "quac": "en",
    "cmrc": "zh",
}
"""Scorers that their authors define for one language: rules of its articles, numbers or characters."""


class Scored(Record):
    """Base of data sets, each of which has a `scorer` and a `language`, that checks the two together.

    An entry that names no language is in the one that its scorer is made for.
    """

    @model_validator(mode="before")
    @classmethod
    def _scorers_language(cls, content: Any) -> Any:
        fields = cls.model_fields
        if not isinstance(content, dict) or "language" in content or fields["language"].default != "en":
            return content
        scorer = content.get("scorer", fields["scorer"].default)
        own = MADE_FOR.get(scorer) if isinstance(scorer, str) else None  # type: ignore[call-overload]
        return content if own is None else {**content, "language": own}

    @model_validator(mode="after")
    def _scorer_knows_the_language(self) -> "Scored":
        language_of(self.scorer, self.language)  # type: ignore[attr-defined]
        return self


def language_of(scorer: str, language: str | None) -> LanguageCode:
    """The language to score in: the given one, by default the scorer's own, else English.

    Raises ValueError where it is unknown, or where the scorer is made for another one.
    """
    own = MADE_FOR.get(scorer)  # type: ignore[call-overload]  # edges and the like are no data set's
    code = own or "en" if language is None else _code(language)
    if code not in LANGUAGES:
        raise ValueError(f"unknown language {language!r}; known are {', '.join(LANGUAGES)}")
    if own not in (None, code):
        raise ValueError(
            f"scorer {scorer} is defined by its authors for language {own}, not for {code}: "
            f"take squad, which knows every language"
        )
    return code
