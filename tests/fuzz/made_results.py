"""One small, right file of every kind that runs write and read back, as what it holds."""

import json
from typing import Any

from branchwise.dependencies.graph import Edge
from branchwise.evaluation.judge import JudgeRecord, Verdict
from branchwise.masks import MaskRecord, Segment
from branchwise.results import AnswerRow, RunRecord, Scores, WordingRow
from branchwise.stages import (
    GroupConfidence,
    GroupDependencies,
    GroupParaphrases,
    QuestionConfidence,
    QuestionParaphrases,
    WordingConfidence,
)
from branchwise.times import TimesRecord
from branchwise.trace import GroupTrace, Tokens
from tests.conftest import ROOT
from tests.reporting.made_traces import outlined

TOKENS = Tokens(sent=40, unique=10, cached=30, generated=3, padding=0)
COST: Any = {"tokens": TOKENS, "forward_passes": 3, "wall_s": 0.01}


def _demo(pattern: str, lists: dict[str, int]) -> dict[str, Any]:
    """The first committed result of the demo, its long lists cut."""
    path = min((ROOT / "resources/demo").glob(pattern))
    content = json.loads(path.read_text(encoding="utf-8"))
    return content | {name: content[name][:most] for name, most in lists.items()}


SCORES = _demo("cells/**/scores.json", {"questions": 2, "groups": 2})
RUN = _demo("cells/**/run.json", {"groups": 2})
TIMES = _demo("times/**/*.json", {"runs": 4})

MASK = MaskRecord(
    **{"cell": {"dataset": "d"}, "group": "g", "commit": None, "dirty": None, "kernel": "dense"},
    **{"window": None, "windows": (), "tokens": ("a", "b"), "ids": (1, 2), "segment": (0, 1)},
    **{"positions": (0, 1), "x": (0, 0), "passes": (0, 1), "seen": (((0, 1),), ((0, 2),))},
    segments=(
        Segment(label="context", kind="prompt", parents=(), group=None, text="a"),
        Segment(label="answer", kind="generated", parents=(0,), group="g", text="b"),
    ),
)
JUDGED = JudgeRecord(
    settings={"model": "m"},
    prompt_version="1",
    num_missing=1,
    problems={"no verdict": 1},
    verdicts=(
        Verdict(group="g", question="q1", rubric="single", grades={"score": 4}, reasons="good"),
        Verdict(group="g", question="q2", rubric="single", grades=None, problem="no verdict"),
    ),
)
ANSWER = AnswerRow(
    **{
        "group": "g",
        "question": "q1",
        "text": "Who?",
        "kind": "k",
        "answer_type": "span",
        "golds": ("A",),
    },
    **{"guess": 0.5, "raw": "A", "answer": "A", "well_formed": True, "rule": "whole", "asks": (0,)},
    **{"wordings": (WordingRow(text="Who is it?", answer="A"),), "notes": ("a note",), "tokens": TOKENS},
    **{"start_s": 0.0, "end_s": 1.0},
)
FOUND = GroupDependencies(
    **{
        "group": "g",
        "generator": "llm",
        "edges": (("q1", "q2"),),
        "known": None,
        "matrix": ((0.0, 1.0),),
    },
    candidates=(Edge(source="q1", target="q2", confidence=0.8, why="it says so"),),
    **COST,
)
WORDED = GroupParaphrases(
    group="g",
    generator="made",
    questions=(QuestionParaphrases(question="q1", kept=("Who?",), dropped={"copy": 2}, missing=1),),
    **COST,
)
SURE = GroupConfidence(
    group="g",
    generator="own",
    questions=(
        QuestionConfidence(
            question="q1", wordings=(WordingConfidence(text="Who?", answer="A", confidence=0.5),)
        ),
    ),
    **COST,
)


def _plain(record: Any) -> dict[str, Any]:
    return record.model_dump(mode="json")


WHOLE: dict[str, tuple[type, Any]] = {
    "scores": (Scores, SCORES),
    "run": (RunRecord, RUN),
    "times": (TimesRecord, TIMES),
    "mask": (MaskRecord, _plain(MASK)),
    "judged": (JudgeRecord, _plain(JUDGED)),
}
"""Kind -> type and content of a file that holds one record."""

ROWS: dict[str, tuple[type, Any]] = {
    "answers": (AnswerRow, _plain(ANSWER)),
    "trace": (GroupTrace, _plain(outlined(("One", "Two"), ("first", "second")))),
    "dependencies": (GroupDependencies, _plain(FOUND)),
    "paraphrases": (GroupParaphrases, _plain(WORDED)),
    "confidence": (GroupConfidence, _plain(SURE)),
}
"""Kind -> type and content of a line of a file of rows."""

HEADER = {"schema_version": 4, "cell": "d/m/s/t", "settings": "01234567", "code": "x"}
GROUPS = {
    "header": {
        **{"schema_name": "branchwise.groups", "version": 2, "settings": "01234567"},
        **{"num_groups": 1, "num_questions": 2},
    },
    "group": {
        **{"id": "g", "title": "T", "context": "Mara lives in Ashton."},
        "questions": [
            {"id": "q1", "text": "Where?", "golds": ["Ashton"]},
            {"id": "q2", "text": "Who?", "golds": ["Mara"], "needs": ["q1"]},
        ],
    },
}
