"""`branchwise status` as its users call it."""

import json
import re
from pathlib import Path

import pytest

from tests.commands.small import branchwise, told, without_torch
from tests.finished import Finished

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    monkeypatch.chdir(tmp_path)
    return Finished(tmp_path)


def test_all_done_is_status_0_and_a_line_a_thing(finished: Finished) -> None:
    done = branchwise("status", "--config", finished.config)
    assert done.exit_code == 0, done.output
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert all(len(row) == 4 for row in rows)
    assert ["cell", "one/tiny/batch/tree", "done", ""] in rows
    assert done.stderr.splitlines() == [
        "prepare    0 of 2 done, 2 missing",
        "cells      4 of 4 done",
        "time       2 of 2 done",
    ]
    without_torch("status", "--config", finished.config)


def test_a_failed_cell_is_status_1_and_can_be_asked_for(finished: Finished) -> None:
    cell = finished.cell()
    finished.scores(cell).unlink()
    log = finished.log("evaluate", cell)
    log.parent.mkdir(parents=True)
    log.write_text("error: no [bold]\tmemory[/]; take less\n")
    done = branchwise("status", "--config", finished.config, "--only", "failed")
    assert done.exit_code == 1
    assert done.stdout == "cell\tone/tiny/batch/tree\tfailed\terror: no [bold] memory[/]; take less\n"
    assert "cells      3 of 4 done, 1 failed" in done.stderr
    elsewhere = branchwise("status", "--config", finished.config, "--logs", "none", "--only", "partly")
    assert elsewhere.stdout == "cell\tone/tiny/batch/tree\tpartly\tanswered, not scored\n"
    both = branchwise(
        "status", "--config", finished.config, "--only", "failed", "--only", "done", "--json"
    )
    assert both.exit_code == 1
    found = json.loads(both.stdout)
    assert found["counts"]["cell"] == {"done": 3, "failed": 1}
    assert found["done"] is False
    assert {row["state"] for row in found["rows"]} == {"done", "failed"}


def test_in_a_terminal_what_leads_there_is_shown_where_it_is_not_done(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished.run(finished.cell()).unlink()
    finished.scores(finished.cell()).unlink()
    monkeypatch.setattr("branchwise.commands.status.sys.stdout.isatty", lambda: True, raising=False)
    import branchwise.commands.status as module
    from branchwise.status.report import report_on

    report = report_on(finished.experiment, finished.folder / "logs")
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    monkeypatch.setattr(module, "Console", lambda **_: Console(file=out, width=100, highlight=False))
    module._show(report, report.rows, chosen=False)
    text = ANSI.sub("", out.getvalue())
    assert "one/tiny/batch/tree" in text and "prepare" in text
    assert "time   " not in text.split("cells ")[0]
    assert "cells      3 of 4 done, 1 missing" in text


def test_mistakes(finished: Finished) -> None:
    assert "does not exist" in told(branchwise("status", "--config", "none.yaml"))
    odd = branchwise("status", "--config", finished.config, "--only", "fialed")
    assert odd.exit_code == 2
    assert "'failed'" in odd.output
