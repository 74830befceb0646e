"""The table and the figures of paraphrase ensembles, from made scores."""

from pathlib import Path

import pytest
from tests.reporting.made import SCORING, made_results, run_record

from branchwise.config import Cell
from branchwise.evaluation.score import score_cell
from branchwise.reporting import figures_of, notes, tables, tables_of
from branchwise.reporting.ensemble_figures import by_wordings, first_token
from branchwise.reporting.ensembles import ensembles, rows_of
from branchwise.reporting.frames import Results
from branchwise.reporting.style import styled
from branchwise.results import AnswerRow, GroupRun, Scores, Tokens, WordingRow

TOKENS = Tokens(sent=4, unique=4, cached=0, generated=1, padding=0)
PER_PROMPT, FUSED, LOGITS = "per_prompt", "attention_fusion", "logit_fusion"
NEEDS = {PER_PROMPT: ["ask"], FUSED: ["ask", "fork", "join"], LOGITS: ["ask", "hook"]}
# Which of a question's wordings are right, and whether the ensemble is.
QUESTIONS = [("110", True), ("000", False), ("111", True), ("100", False), ("000", True), ("011", True)]


def entry(module: str, **options: object) -> dict:
    defaults = {"wordings": 3, "seed": 0}
    defaults |= {"take": "each"} if module == PER_PROMPT else {}
    defaults |= (
        {"positions": "shared", "first_token": "joined", "isolated_shots": False}
        if module == FUSED
        else {}
    )
    return {"module": module, "needs": NEEDS[module], "options": defaults | options}


STRATEGIES = {
    "single": entry(PER_PROMPT),
    "avg": {**entry(LOGITS), "label": "logit mean, 3"},
    "single_2": entry(PER_PROMPT, wordings=2),
    "avg_2": {**entry(LOGITS, wordings=2), "label": "logit mean, 2"},
    "fused": entry(FUSED),
    "published": entry(FUSED, positions="consecutive", first_token="last"),
}


@pytest.fixture
def results(root: Path) -> Results:
    made = made_results(root, datasets=["worlds_g5"], strategies=STRATEGIES, num_groups=6)
    found = {}
    for cell in made.scores:
        settings = {"strategy": {k: STRATEGIES[cell.strategy][k] for k in ("module", "options")}}
        scores = scored(cell, int(STRATEGIES[cell.strategy]["options"]["wordings"]))
        identity = scores.identity.model_copy(update={"settings": settings})
        found[cell] = scores.model_copy(update={"identity": identity})
    return Results(made.experiment, found)


def scored(cell: Cell, number: int) -> Scores:
    """Six groups of one question each, by the real scorer."""
    rows, runs = [], []
    for place, (right, together) in enumerate(QUESTIONS):
        single = cell.strategy.startswith("single")
        said = [
            WordingRow(text=f"w{n}", answer="Oslo" if r == "1" else "Rome", well_formed=True)
            for n, r in enumerate(right[:number])
        ]
        rows.append(
            AnswerRow(
                group=f"g{place}", question="q", text="?", kind="k", answer_type="span", golds=("Oslo",),
                guess=None, raw="", answer="Oslo" if together else "Rome", well_formed=True, asks=(0,),
                wordings=tuple(said if single else [WordingRow(text=w.text) for w in said]),
                each=single, tokens=TOKENS, start_s=0, end_s=1,
            )
        )  # fmt: skip
        runs.append(
            GroupRun(id=f"g{place}", num_questions=1, forward_passes=3, num_asks=1, tokens=TOKENS,
                     tokens_by_role={"answerer": TOKENS})
        )  # fmt: skip
    return score_cell(rows, run_record(cell, runs, TOKENS), SCORING)


def test_every_ensemble_stands_beside_its_own_wordings(results: Results) -> None:
    found = {one.cell.strategy: one.single.strategy for one in ensembles(results)}
    assert found == {
        "single": "single", "avg": "single", "fused": "single", "published": "single",
        "single_2": "single_2", "avg_2": "single_2",
    }  # fmt: skip


def test_what_an_ensemble_gains_over_its_wordings(results: Results) -> None:
    avg = next(one for one in ensembles(results) if one.cell.strategy == "avg")
    # Right: 4 of 6; the wordings alone: (2/3 + 0 + 1 + 1/3 + 0 + 2/3) / 6.
    assert avg.gain is not None
    assert avg.gain.value == pytest.approx(4 / 6 - (8 / 3) / 6)
    assert avg.rescued == pytest.approx(2 / 3)  # of 110, 100 and 011
    assert avg.new == pytest.approx(1 / 2)  # of the two that no wording gets right
    assert avg.correlation == pytest.approx(0.5330, abs=1e-4)
    single = next(one for one in ensembles(results) if one.cell.strategy == "single")
    assert (single.correlation, single.new) == (pytest.approx(1.0), 0.0)
    rows = {row["strategy"]: row for row in rows_of(results)}
    assert rows["single"]["gain"] == ""
    assert str(rows["avg"]["gain"]).startswith("22.2 [")


def test_figures_and_tables_are_promised_and_drawn(results: Results) -> None:
    assert "ensembles" in tables_of(results.experiment)
    assert {"by_wordings", "first_token"} <= set(figures_of(results.experiment))
    assert len(tables.ensembles(results)) == len(STRATEGIES)
    assert "any right (the oracle)" in notes.note_of("ensembles", results).lower()
    with styled():
        labels = [text.get_text() for text in by_wordings(results).legends[0].get_texts()]
        assert "logit mean" in labels
        assert "any wording right" in labels
        assert len(first_token(results).axes) == 1


def test_questions_with_fewer_wordings_are_counted(results: Results) -> None:
    for cell, scores in results.scores.items():
        if cell.strategy == "avg":
            short = [
                q.model_copy(update={"more": {**q.more, "wordings": 1}}) for q in scores.questions[:2]
            ]
            results.scores[cell] = scores.model_copy(
                update={"questions": (*short, *scores.questions[2:])}
            )
    (note,) = notes.wording_notes(results)
    assert note.endswith("of 3, 2 of 6.")


def test_wordings_of_another_source_are_no_company(results: Results) -> None:
    """Its gain over other words would be no gain over its own; a strange strategy has none at all."""
    for cell, scores in results.scores.items():
        settings = dict(scores.identity.settings)
        if cell.strategy == "avg":
            settings["paraphrases"] = {"entry": "generated"}
        if cell.strategy == "fused":
            settings["strategy"] = {"module": "mine.py:strategy", "options": {"wordings": 3}}
        identity = scores.identity.model_copy(update={"settings": settings})
        results.scores[cell] = scores.model_copy(update={"identity": identity})
    assert not {"avg", "fused"} & {one.cell.strategy for one in ensembles(results)}
