"""Keys and tokens: in no message about a config, and in nothing that a command says of this machine.

That no file of a run holds one is tested where runs are: commands/test_served_run.py and test_judge.py,
serving/test_served.py, evaluation/test_judge.py.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from branchwise.config.load import load_experiment
from branchwise.errors import UserError
from tests.conftest import ROOT

KEY = "sk-very-secret-0123456789abcdef"
SMALL: dict[str, Any] = {
    "experiment": "small",
    "datasets": ["worlds_two_hop_g2"],
    "models": ["tiny"],
    "strategies": ["batch"],
    "decoders": ["tree"],
}
SERVER = {"kind": "api", "base_url": "https://example.org/v1", "key_variable": "MY_KEY"}


def _with(server: dict[str, Any]) -> dict[str, Any]:
    return {**SMALL, "define": {"decoders": {"mine": {**SERVER, **server}}}}


@pytest.mark.parametrize(
    "content",
    [
        _with({"key_variable": KEY}),
        _with({"base_url": f"https://me:{KEY}@example.org/v1"}),
        _with({"base_url": f"https://{KEY}@example.org/v1"}),
        _with({"extra": {"api_key": "very-secret"}}),
        _with({"extra": {"headers": {"Authorization": "Bearer very-secret"}}}),
        _with({"concurrency": KEY}),
        _with({"extra": KEY}),
        {**SMALL, "models": KEY},
        {**SMALL, "judge": {"model": {"token": "very-secret"}}},
        {**SMALL, "judge": [{"api_key": "very-secret"}]},
    ],
)
def test_a_mistake_is_told_without_the_key(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_experiment([path])
    assert "very-secret" not in str(caught.value)


def test_the_config_itself_is_right(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(_with({})), encoding="utf-8")
    assert load_experiment([path]).cells


@pytest.mark.slow
@pytest.mark.parametrize("words", [("doctor",), ("status",), ("plan",), ("list", "decoders")])
def test_what_a_command_says_of_this_machine_holds_no_key(words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(_with({})), encoding="utf-8")
    keys = ("OPENAI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MY_KEY", "AWS_SECRET_ACCESS_KEY")
    environment = {**os.environ, **dict.fromkeys(keys, KEY), "HF_HUB_OFFLINE": "1"}
    config = ("--config", str(path)) if words[0] != "list" else ()
    done = subprocess.run(
        [sys.executable, "-m", "branchwise", *words, *config],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT / "lib")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "very-secret" not in done.stdout + done.stderr
    assert not any(b"very-secret" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
