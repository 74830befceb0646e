"""`branchwise plan`: before anything is run, from a smoke test where there is one, and what is done."""

from pathlib import Path

import pandas as pd
import pytest

from branchwise.config.identity import cell_folder, scores_path
from tests.commands.small import Small, branchwise, told, without_torch

ASKED = {"models": ["sized", "gpt-4o-mini"], "decoders": ["tree", "openai"], "datasets": ["small"]}


@pytest.fixture
def planned(small: Small, tmp_path: Path) -> Small:
    small.change(results=str(tmp_path / "results"))
    return small


def rows_of(small: Small, *words: object) -> pd.DataFrame:
    """What --out holds, by data set and strategy."""
    out = small.folder / "plan.csv"
    done = small.run("plan", "--out", out, *words)
    assert done.exit_code == 0, done.output
    frame = pd.read_csv(out, keep_default_na=False)
    return frame.set_index(["dataset", "strategy"] if frame["model"].nunique() == 1 else ["model"])


def test_what_is_not_known_is_said_and_in_no_sum(planned: Small) -> None:
    frame = rows_of(planned, "--device", "h200")
    # Two groups of three questions, on a model whose size is that of its folder.
    made = frame.loc[("small", "batch")]
    assert (float(made["groups"]), float(made["questions"]), made["state"]) == (2, 6, "to do")
    assert float(made["sent"]) > float(made["prefilled"]) > float(made["generated"]) > 0
    assert float(made["answer_hours"]) > 0 and made["unknown"] == ""
    own = frame.loc[("own", "batch")]
    assert own["sent"] == "" and "lengths of own are not known" in own["unknown"]
    said = planned.run("plan").output
    assert "without 2 unknown." in said and "resources/plan/lengths.yaml" in said
    assert "What trial would take on cpu" in said and "4 groups" in said
    planned.content["define"]["models"]["random"] = {"hub": "somebody/nothing", "revision": "a" * 40}
    planned.change()
    frame = rows_of(planned)
    unsized = frame.loc[("small", "batch")]
    assert unsized["sent"] == made["sent"] and unsized["answer_hours"] == ""
    assert "size of model random is not known" in unsized["unknown"]
    assert "without 4 unknown." in planned.run("plan").output


def test_a_smoke_test_counts_before_the_model_and_a_finished_cell_is_none_of_it(planned: Small) -> None:
    few = planned.folder / "few.jsonl"
    smoke = ["--set", "smoke=1"]
    assert planned.run("prepare", "--dataset", "small", "--out", few, *smoke).exit_code == 0
    folder = planned.run("cells", "--folders", *smoke).stdout.splitlines()[0]
    cell = planned.folder / "results/smoke/cells" / Path(folder).parent
    asked = ["--dataset", "small", "--model", "random", "--strategy", "batch", "--decoder", "tree"]
    done = planned.run("generate", *asked, "--groups", few, "--out", cell, *smoke)
    assert done.exit_code == 0, done.output
    frame = rows_of(planned)
    row, other = frame.loc[("small", "batch")], frame.loc[("small", "sequential")]
    assert (row["by"], other["by"]) == ("smoke test, 1 group", "model")
    # Two groups for the one that was tried, to the token.
    run = pd.read_json(cell / "run.json", typ="series")
    assert (float(row["sent"]), float(row["generated"])) == (
        2 * run["totals"]["sent"],
        2 * run["totals"]["generated"],
    )
    assert float(row["answer_hours"]) == pytest.approx(2 * run["makespan_s"] / 3600)
    assert row["unknown"] == ""
    # `estimate` has the same numbers of it, and needs all cells.
    assert "3 of 4 cells have not been tried" in told(planned.run("estimate", *smoke))
    before = planned.run("plan").output
    experiment = planned.experiment
    finished = next(one for one in experiment.cells if one.strategy == "sequential")
    scores = Path(experiment.cells_folder, scores_path(experiment, finished))
    scores.parent.mkdir(parents=True)
    scores.write_text("{}")
    after = rows_of(planned)
    assert after.loc[("small", "sequential")]["state"] == "done"
    said = planned.run("plan").output
    assert "4 cells, 1 of them done; the others: 2 groups" in said and "4 groups" in before
    assert scores.parent.parent == Path(experiment.cells_folder, cell_folder(experiment, finished))


def test_prices_are_by_hand_and_hours_by_the_device(planned: Small) -> None:
    entry = {"hub": "Qwen/Qwen2.5-7B-Instruct", "revision": "a" * 40}
    planned.content["define"]["models"]["sized"] = entry
    both = [{"model": "sized", "decoder": "openai"}, {"model": "gpt-4o-mini", "decoder": "tree"}]
    planned.change(**ASKED, strategies=["batch"], baseline="batch", exclude=both)
    frame = rows_of(planned, "--device", "a100-80")
    served, here = frame.loc["gpt-4o-mini"], frame.loc["sized"]
    # 0.15 dollars a million tokens of prompts, 0.60 of answers.
    cost = (0.15 * float(served["sent"]) + 0.60 * float(served["generated"])) / 1e6
    assert float(served["cost"]) == pytest.approx(cost, rel=0.01) and served["currency"] == "USD"
    assert served["answer_hours"] == "" and here["cost"] == "" and float(here["answer_hours"]) > 0
    said = planned.run("plan", "--device", "a100-80").output
    assert "GPU hours on a100-80" in said and "USD" in said and "unknown" not in said
    slower = rows_of(planned, "--device", "cpu").loc["sized"]
    assert float(slower["answer_hours"]) > float(here["answer_hours"])
    least = rows_of(planned, "--device", "cpu", "--efficiency", "1").loc["sized"]
    assert float(least["answer_hours"]) == pytest.approx(float(slower["answer_hours"]) / 2)


def test_mistakes_are_one_line(planned: Small) -> None:
    assert "device h300 is not known; did you mean h200?" in told(planned.run("plan", "--device", "h300"))
    assert "--efficiency 2.0 is no share" in told(planned.run("plan", "--efficiency", "2"))
    assert "--efficiency 0.0 is no share" in told(planned.run("plan", "--efficiency", "0"))
    assert "does not exist" in told(branchwise("plan", "--config", planned.folder / "none.yaml"))


def test_it_needs_no_torch(root: Path) -> None:
    done = without_torch("plan", "--config", root / "config/paper/parallel_agent_toy.yaml")
    assert "GPU hours on h200" in done.stdout
