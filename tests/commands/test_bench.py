"""`branchwise bench` with what the rule asks of it, and `branchwise speed` on its file."""

import json
from pathlib import Path

import pytest

from tests.commands.small import branchwise, told

CUT = ("--layers", 1, "--vocabulary", 64, "--prefix", 8, "--branches", 2, "--steps", 3)
STUDIES = ("--whole", 4, "--uneven", "--paged", "--agree", 4)
"""What the rule asks for, of fewer tokens."""


def test_the_studies_of_the_rule_are_all_in_the_file_and_are_drawn(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    done = branchwise("bench", *CUT, *STUDIES, "--device", "cpu", "--out", out)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert result["shape"] == "qwen2.5-0.5b"
    assert (result["layers"], result["vocabulary"]) == (1, 64)
    assert set(result) >= {"rows", "whole", "uneven", "paged", "agreement"}
    assert len(result["whole"]) == 4
    assert 0 <= result["agreement"]["tokens"] <= 1
    assert all(row["same_tokens"] == 1 for row in result["rows"]) and result["rows"]
    done = branchwise("speed", out, "--out", tmp_path / "figures/speed")
    assert done.exit_code == 0, done.output
    for suffix in ("pdf", "svg", "png"):
        assert (tmp_path / f"figures/speed.{suffix}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shape", "qwen"), "shape 'qwen' is not known; known: qwen2.5-0.5b"),
        (("--dtype", "float8"), "dtype is 'float8'; give float32, bfloat16 or auto"),
        (("--layout", "magic"), "magic"),
        (("--path", "/no/model"), "model folder /no/model has no config.json"),
    ],
)
def test_what_cannot_be_timed_is_told_and_nothing_is_written(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "bench.json"
    assert message in told(branchwise("bench", *CUT, *words, "--device", "cpu", "--out", out))
    assert not out.exists()


def test_a_file_that_bench_did_not_write_draws_nothing(tmp_path: Path) -> None:
    out = tmp_path / "speed"
    assert f"{tmp_path}/none.json cannot be read" in told(
        branchwise("speed", tmp_path / "none.json", "--out", out)
    )
    failed = {"schema": 1, "rows": [{"layout": "tree", "error": "no memory"}]}
    for content in ("{", "{}", "[]", "3", '{"schema": 1}', json.dumps(failed)):
        (tmp_path / "other.json").write_text(content)
        told(branchwise("speed", tmp_path / "other.json", "--out", out))
    assert not list(tmp_path.glob("speed*"))
