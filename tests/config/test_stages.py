"""Stages before answering: who uses which, what their files depend on, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from branchwise.config import Cell, Experiment, load_experiment
from branchwise.config.identity import cell_identity, cell_settings
from branchwise.config.stages import OF_DATA, Needed, needed_by, stage_code, stage_file, stage_settings
from branchwise.errors import UserError

LOGITS = {"module": "logit_fusion", "needs": ["ask", "hook"]}
STRATEGIES = {
    "plain": {"module": "per_prompt"},
    "made": {"module": "per_prompt", "paraphrases": "mine"},
    "sure": {**LOGITS, "options": {"rule": "weighted_avg"}, "confidence": "own"},
    "both": {
        **LOGITS,
        "options": {"rule": "weighted_max"},
        "paraphrases": "mine",
        "confidence": "own",
    },
}
GROUP = {"id": "g", "context": "A", "questions": [{"id": "q", "text": "Who?", "golds": ["A"]}]}
BASE: dict[str, Any] = {
    "experiment": "trial",
    "datasets": ["own"],
    "models": ["small"],
    "strategies": ["plain", "made", "sure", "both"],
    "baseline": "plain",
    "decoders": ["tree"],
}


def made(
    folder: Path, paraphrases: Any = None, confidence: Any = None, strategies: Any = None, **changes: Any
) -> Experiment:
    (folder / "own.jsonl").write_text(json.dumps(GROUP) + "\n")
    define = {
        "datasets": {"own": {"source": "jsonl", "path": "own.jsonl", **changes.pop("own", {})}},
        "models": {"small": {"hub": "x/s", "revision": "1"}, "other": {"hub": "x/o", "revision": "1"}},
        "strategies": {**STRATEGIES, **(strategies or {})},
        "paraphrases": {"mine": {"kind": "generated", **(paraphrases or {})}},
        "confidence": {"own": {"kind": "self_agreement", **(confidence or {})}},
    }
    (folder / "trial.yaml").write_text(yaml.safe_dump({**BASE, "define": define, **changes}))
    return load_experiment([folder / "trial.yaml"])


def cell(strategy: str) -> Cell:
    return Cell("own", "small", strategy, "tree")


def test_who_uses_which_stage(tmp_path: Path) -> None:
    experiment = made(tmp_path)
    assert {name: list(needed_by(experiment, name)) for name in STRATEGIES} == {
        "plain": [],
        "made": [Needed("paraphrases", "mine")],
        "sure": [Needed("confidence", "own")],
        "both": [Needed("paraphrases", "mine"), Needed("confidence", "own", "mine")],
    }
    keys = [one.key for name in STRATEGIES for one in needed_by(experiment, name)]
    assert keys == ["mine", "own", "mine", "own/mine"]


def test_a_cells_settings_hold_those_of_its_stages_and_no_others(tmp_path: Path) -> None:
    experiment = made(tmp_path)
    plain = set(cell_settings(experiment, cell("plain")))
    assert not {"paraphrases", "confidence"} & plain
    both = cell_settings(experiment, cell("both"))
    assert set(both) - plain == {"paraphrases", "confidence"}
    assert set(both["paraphrases"]) == {"entry", "groups", "model", "language"}
    assert set(both["confidence"]) == {"entry", "groups", "model", "language", "style", "paraphrases"}
    assert both["confidence"]["paraphrases"] == both["paraphrases"]
    assert "paraphrases" not in cell_settings(experiment, cell("sure"))["confidence"]
    identity = cell_identity(experiment, cell("both"))
    assert identity.paraphrases_code == stage_code(
        experiment, Needed("paraphrases", "mine"), cell("both").model
    )
    assert identity.confidence_code == stage_code(
        experiment, Needed("confidence", "own", "mine"), cell("both").model
    )
    alone = cell_identity(experiment, cell("plain"))
    assert alone.codes[1:] == (None, None, None, None)


USING = {"paraphrases": {"made", "both"}, "confidence": {"sure", "both"}}


@pytest.mark.parametrize(
    ("changes", "concerned"),
    [
        ({"paraphrases": {"seed": 1}}, {"made", "both"}),
        ({"paraphrases": {"form": "chat"}}, {"made", "both"}),
        ({"paraphrases": {"number": 5}}, set()),  # the default, spelt out
        ({"confidence": {"samples": 3}}, {"sure", "both"}),
        ({"confidence": {"wordings": 6}}, {"sure", "both"}),
        ({"roles": {"paraphraser": "other"}}, {"made", "both"}),
        ({"roles": {"planner": "other"}}, set()),
        ({"own": {"language": "zh"}}, {"made", "sure", "both"}),
        ({"groups_in_flight": 2}, set()),
        ({"own": {"num_groups": 1}}, set(STRATEGIES)),
    ],
)
def test_a_changed_entry_changes_only_the_cells_that_use_it(
    tmp_path: Path, changes: dict, concerned: set[str]
) -> None:
    before, after = made(tmp_path), made(tmp_path, **changes)
    differs = {
        name
        for name in STRATEGIES
        if cell_settings(before, cell(name)) != cell_settings(after, cell(name))
    }
    assert differs == concerned


def test_where_files_lie(tmp_path: Path) -> None:
    experiment = made(tmp_path, roles={"paraphraser": "other"})
    places = {
        name: [stage_file(experiment, one, "own", "small") for one in needed_by(experiment, name)]
        for name in ("sure", "both")
    }
    assert [path.parent.as_posix() for path in places["both"]] == [
        "paraphrases/own/other/mine",
        "confidence/own/small/own/mine",
    ]
    assert places["sure"][0].parent.as_posix() == f"confidence/own/small/own/{OF_DATA}"
    # The paraphraser is asked the same whoever answers.
    needed = Needed("paraphrases", "mine")
    assert stage_settings(experiment, needed, "own", "small") == stage_settings(
        experiment, needed, "own", "other"
    )


@pytest.mark.parametrize(
    ("strategies", "confidence", "parts"),
    [
        (
            {"sure": {**STRATEGIES["sure"], "confidence": "wn"}},
            {},
            ["strategy sure has unknown confidence wn", "did you mean own?"],
        ),
        (
            {"made": {"module": "per_prompt", "paraphrases": "min"}},
            {},
            ["strategy made has unknown paraphrases min", "did you mean mine?"],
        ),
        (
            {"sure": {**LOGITS, "options": {"rule": "weighted_avg"}}},
            {},
            ["strategy sure: it weighs wordings by confidence, and names none", "`confidence:`", "own"],
        ),
        (
            {"sure": {**LOGITS, "options": {"rule": "weighted_max"}}},
            {},
            ["strategy sure: it weighs wordings by confidence, and names none"],
        ),
        ({}, {"wordings": 4}, ["asks 5 wordings by seed 0, and confidence own knows 4 by seed 0"]),
        ({}, {"seed": 2}, ["asks 5 wordings by seed 0, and confidence own knows 5 by seed 2"]),
    ],
)
def test_what_does_not_go_together_is_one_line(
    tmp_path: Path, strategies: dict, confidence: dict, parts: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        made(tmp_path, confidence=confidence, strategies=strategies)
    said = str(caught.value)
    assert "\n" not in said
    for part in parts:
        assert part in said


def test_more_wordings_than_are_asked_may_be_known(tmp_path: Path) -> None:
    assert made(tmp_path, confidence={"wordings": 9}).cells
