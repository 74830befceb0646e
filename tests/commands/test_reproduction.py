"""`branchwise reproduction`: what was published beside what has been run, however little that is."""

from pathlib import Path

import pandas as pd

from tests.commands.small import Small, branchwise, told, without_torch


def test_nothing_has_to_be_run_for_it(root: Path, tmp_path: Path) -> None:
    config = root / "config/paper/parallel_agent_strategies.yaml"
    words = ("--config", config, "--cells", tmp_path / "nowhere", "--out", tmp_path / "tables")
    done = branchwise("reproduction", *words)
    assert done.exit_code == 0, done.output
    assert "0 of 19 cells have results." in done.output and "not run" in done.output
    frame = pd.read_csv(tmp_path / "tables/reproduction.csv", dtype=str, keep_default_na=False)
    assert set(frame.measured) == {"not run"} and set(frame.inside) == {""}
    batch = frame[(frame.method == "batch") & (frame.measure == "EM")]
    assert list(zip(batch["where"], batch.published, batch.decoder, strict=True)) == [
        ("strategies, transformers", "81.3", "transformers"),
        ("strategies, vLLM", "81.7", "vLLM"),
    ]
    # An empty answer was right by it, so that it is no measure of ours.
    assert "lenient" not in set(frame.measure)
    sent = frame[(frame.method == "sequential") & (frame.measure == "prompt tokens (API)")]
    assert list(sent.published) == ["1,743"]
    for suffix in ("md", "tex"):
        assert (tmp_path / f"tables/reproduction.{suffix}").is_file()


def test_a_config_without_published_numbers_is_told_which_there_are(small: Small) -> None:
    said = told(small.run("reproduction"))
    assert "experiment trial names no published numbers" in said and "one_sequence" in said


def test_it_needs_no_torch(root: Path) -> None:
    without_torch("reproduction", "--config", root / "config/paper/parallel_agent_toy.yaml")
