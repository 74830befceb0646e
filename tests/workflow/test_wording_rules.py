"""The stages of wordings through Snakemake: made once, used by answers and times, shown under tables."""

import json
from pathlib import Path

import pandas as pd
import pytest

from branchwise.results import RunRecord, read_json
from tests.workflow.project import DRAWN, edited, planned, snakemake, trial, write_config

pytestmark = pytest.mark.slow

LOGITS = {"module": "logit_fusion", "needs": ["ask", "hook"]}
WEIGHTED = {**LOGITS, "options": {"rule": "weighted_avg", "wordings": 3}, "confidence": "sure"}
STRATEGIES = {
    "sure_avg": WEIGHTED,
    "made_avg": {**LOGITS, "options": {"wordings": 3}, "paraphrases": "mine"},
    "both_avg": {**WEIGHTED, "paraphrases": "mine"},
}


def test_both_stages_run_once_for_all_that_use_them(project: Path, random_model_folder: Path) -> None:
    content = trial(
        random_model_folder,
        datasets=["small_g2"],
        strategies=["batch", *STRATEGIES],
        decoders=["tree"],
        exclude=[],
    )
    content["define"] |= {
        "strategies": STRATEGIES,
        "paraphrases": {"mine": {"kind": "generated", "number": 2, "max_new_tokens": 4, "attempts": 1}},
        "confidence": {
            "sure": {"kind": "self_agreement", "samples": 2, "wordings": 3, "max_new_tokens": 3}
        },
    }
    write_config(project, "trial.yaml", content)
    plan = {"prepare": 1, "paraphrase": 1, "confide": 2, "generate": 4, "evaluate": 4, "time": 1}
    assert planned(project) == {**DRAWN, **plan}
    done = snakemake(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(project) == {}
    assert len(list((project / "results/paraphrases").rglob("*.jsonl"))) == 1
    folders = {path.parent.name for path in (project / "results/confidence").rglob("*.jsonl")}
    assert folders == {"mine", "+data"}
    (run,) = (project / "results/cells/small_g2/random/both_avg").rglob("run.json")
    record = read_json(run, RunRecord)
    assert {"paraphrases", "confidence"} < set(record.totals_by_role)
    tidy = pd.read_csv(project / "results/tables/trial/tidy.csv")
    timed = tidy[(tidy["strategy"] == "both_avg") & tidy["group_wall_s"].notna()]
    assert len(timed) == 2
    both = timed["group_answer_s"] + timed["group_wording_s"]
    assert timed["group_wall_s"].tolist() == pytest.approx(both.tolist())
    assert (timed["group_wording_s"] > 0).all()
    note = (project / "results/tables/trial/cost.md").read_text()
    assert "Paraphrases made by a model: mine of small g2, random: " in note
    assert "share by tokens computed" in note
    # The stage anew, and what uses it; nothing else.
    changed = json.loads(json.dumps(content))
    changed["define"]["paraphrases"]["mine"]["seed"] = 1
    write_config(project, "other.yaml", changed)
    assert planned(project, config="config/other.yaml") == {
        **DRAWN,
        **{"paraphrase": 1, "confide": 1, "generate": 2, "evaluate": 2, "time": 1},
    }
    with edited(project / "lib/branchwise/cells/confiding.py"):
        assert planned(project) == {
            **DRAWN,
            **{"confide": 2, "generate": 2, "evaluate": 2, "time": 1},
        }
