"""A cell's scores say what they were made by: primary metric, language, tokenizers, lemmas."""

import pytest

from branchwise.evaluation.score import score_cell
from branchwise.results import AnswerRow, GroupRun, Identity, RunRecord, Scores, Tokens

TOKENS = Tokens(sent=1, unique=1, cached=0, generated=1, padding=0)


def scores_of(answer: str, gold: str, **settings: str) -> Scores:
    row = AnswerRow(
        **{"group": "g", "question": "q", "text": "?", "kind": "k", "answer_type": "span"},
        **{"golds": (gold,), "guess": None, "raw": answer, "answer": answer, "well_formed": True},
        **{"asks": (0,), "tokens": TOKENS, "start_s": 0, "end_s": 0},
    )
    group = GroupRun(
        **{"id": "g", "num_questions": 1, "forward_passes": 1},
        **{"num_asks": 1, "tokens": TOKENS, "tokens_by_role": {}},
    )
    identity = Identity(settings={}, code="")
    run = RunRecord.model_construct(
        **{"cell": {}, "identity": identity, "hardware": {}, "groups": (group,), "left_out": ()},
        **{"num_resumed": 0, "makespan_s": 1.0, "groups_in_flight": 1, "num_groups": 1},
        totals_by_role={},
    )
    scoring = Identity(settings=dict(settings), code="")
    return score_cell([row], run, scoring)


@pytest.mark.parametrize(
    ("scorer", "language", "primary", "lemmas", "tokenizers"),
    [
        ("squad", "zh", "em", None, None),
        ("overlap", "zh", "rouge_l", None, "jieba"),
        ("overlap", "th", "rouge_l", None, "segments (th); BLEU by sacrebleu"),
        ("containment", "ru", "contains", "Snowball", None),
        ("squad_v2", "ja", "f1", None, None),
        ("cmrc", "zh", "em", None, None),
    ],
)
def test_scores_name_what_they_were_made_by(
    scorer: str, language: str, primary: str, lemmas: str | None, tokenizers: str | None
) -> None:
    scores = scores_of("北京。", "北京", scorer=scorer, language=language)
    assert (scores.language, scores.primary) == (language, primary)
    # Right but for its mark: the language has reached the metric.
    assert scores.metrics[primary].value == 1.0
    for told, wanted in ((scores.lemmas_by, lemmas), (scores.tokenized_by, tokenizers)):
        assert (told is None) == (wanted is None)
        assert wanted is None or wanted in told
