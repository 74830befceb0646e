"""BLEU-4 and ROUGE for free text, by sacrebleu and rouge-score; jieba cuts Chinese into words.

One path each: BLEU is the sentence's (exponential smoothing, effective order) with sacrebleu's
tokenizer `zh` or `13a`; ROUGE-1, -2 and -L are F1 with rouge-score's tokenizer, without stemming, or
with jieba's words. Which of the two is taken depends on the golds alone: on any Chinese character in
them. All are between 0 and 1, the best over the golds.
"""

import re
from collections.abc import Sequence
from functools import cache

from branchwise.evaluation.metrics.squad import squad_scores

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
ROUGE = {"rouge1": "rouge1", "rouge2": "rouge2", "rougeL": "rouge_l"}


class _ChineseWords:
    """jieba's words, marks dropped, in the form that rouge-score takes a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        import jieba

        jieba.setLogLevel("WARNING")
        return [word.lower() for word in jieba.lcut(text) if re.search(r"\w", word)]


@cache
def _rouge(chinese: bool):
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE), tokenizer=_ChineseWords() if chinese else None)


@cache
def _bleu(chinese: bool):
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize="zh" if chinese else "13a", effective_order=True)


def overlap_scores(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """`bleu4`, `rouge1`, `rouge2` and `rouge_l`, beside SQuAD's metrics."""
    chinese = any(_CHINESE.search(gold) for gold in golds)
    rouge = _rouge(chinese).score_multi(list(golds), prediction)
    bleu = _bleu(chinese).sentence_score(prediction, list(golds)).score / 100
    named = {name: rouge[key].fmeasure for key, name in ROUGE.items()}
    return {**squad_scores(prediction, golds), "bleu4": bleu, **named}
