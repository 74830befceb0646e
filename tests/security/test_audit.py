"""`make audit`: what pip-audit says, and what it does not say, read rightly."""

import importlib.util
from typing import Any

import pytest

from tests.conftest import ROOT

_SPEC = importlib.util.spec_from_file_location("audit", ROOT / "envs/audit.py")
assert _SPEC is not None and _SPEC.loader is not None
audit = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(audit)

CLEAN = {"name": "a", "version": "1", "vulns": []}
VULNERABLE = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([CLEAN, CLEAN], 0, "2 packages audited, 0 known"),
        ([CLEAN, VULNERABLE], 1, "b 2: PYSEC-1, fixed in 2.1"),
        # An index without advisories must not pass for a clean one.
        ([SKIPPED, SKIPPED], 0, "not audited: this package index gives no advisories"),
        ([CLEAN, SKIPPED], 0, "not audited: c"),
        ([], 0, "not audited"),
    ],
)
def test_what_is_said(packages: list[dict[str, Any]], status: int, said: str) -> None:
    found, lines = audit.verdict({"dependencies": packages})
    assert found == status
    assert said in "\n".join(lines)


@pytest.mark.parametrize("answer", ["", "no JSON", "raise SystemExit"])
def test_a_service_that_is_not_there_is_no_failure(
    answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    class Done:
        stdout = answer

    monkeypatch.setattr(audit.subprocess, "run", lambda *words, **more: Done())
    assert audit.main() == 0
    assert capsys.readouterr().out == "not audited: the advisory service cannot be reached\n"
