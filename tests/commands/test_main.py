"""The command line around the commands: what the system refuses, readers that leave, poor terminals."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner

from branchwise.commands.main import command
from branchwise.errors import UserError

FULL = Path("/dev/full")
PRINTS = """
from branchwise.commands import main, registered
registered.import_all = lambda: None

@main.command("other")
def other() -> None:
    pass

@main.command("print")
def print_(text: str, times: int = 1) -> None:
    for _ in range(times):
        print(text)

main.run()
"""


def exit_of(error: BaseException) -> tuple[int, str]:
    """Status and output of a command that raises an error."""
    app = Typer()

    @command("fail", app)
    def fail() -> None:
        raise error

    result = CliRunner().invoke(app)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("no [such] thing", "name one"), "error: no [such] thing; name one"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/rows.jsonl"),
            "error: /a/rows.jsonl: No space left on device; free some space and run the same command",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", Path("/a")),
            "error: /a: Read-only file system; name a folder that can be written to",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a [b]"),
            "error: /a [b]: Permission denied; check that you may read and write there",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "/a"),
            "error: /a: No such file; check the path",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "error: No space left on device; free some space and run the same command again",
        ),
        (OSError("weights\nare broken"), "error: weights; mend this and run the same command again"),
        (ConnectionError(), "error: ConnectionError; mend this and run the same command again"),
        # Not of the output, which can be written: a worker's, or a connection.
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "error: Broken pipe; mend this and run the same"),
    ],
)
def test_what_the_system_refuses_is_one_line(error: Exception, line: str) -> None:
    status, output = exit_of(error)
    assert status == 2
    assert output.startswith(line)
    assert output.count("\n") == 1


def test_a_mistake_of_the_code_keeps_its_traceback() -> None:
    app = Typer()

    @command("fail", app)
    def fail() -> None:
        raise KeyError("x")

    assert isinstance(CliRunner().invoke(app).exception, KeyError)


def branchwise(*args: str, **options) -> subprocess.CompletedProcess[str]:
    """Run the command line as users do."""
    line = [sys.executable, "-m", "branchwise", *args]
    return subprocess.run(line, text=True, **{"capture_output": True, **options})


def test_a_folder_that_is_a_file_is_one_line_too(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file/x/groups.jsonl")
    done = branchwise("prepare", "--dataset", "worlds_two_hop_g2", "--out", out, cwd=root)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert f"{tmp_path}/file/x: Not a directory" in done.stderr
    assert done.stderr.count("\n") == 1


def printing(text: str, *more: str, stdout: Any = subprocess.PIPE, **env: str):
    """Run a command that prints a text."""
    line = [sys.executable, "-c", PRINTS, "print", text, *more]
    return subprocess.run(line, stdout=stdout, stderr=subprocess.PIPE, env={**os.environ, **env})


BUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"])
"""What is buffered is only written at the very end."""


@BUFFERED
@pytest.mark.parametrize("times", ["1", "100000"])
def test_a_reader_that_leaves_ends_the_command_quietly(times: str, unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = printing("line", "--times", times, stdout=writer, PYTHONUNBUFFERED=unbuffered)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@BUFFERED
@pytest.mark.parametrize("times", ["1", "100000"])
def test_output_to_a_full_disk_is_one_line(times: str, unbuffered: str) -> None:
    with FULL.open("w") as full:
        done = printing("line", "--times", times, stdout=full, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert re.match(rb"error: (standard output: )?No space left on device; free some", done.stderr)
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "latin-1:strict"])
def test_a_terminal_without_the_character_shows_its_number(encoding: str) -> None:
    done = printing("答 → a", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (0, b"\\u7b54 \\u2192 a\n")


def test_a_card_of_chinese_data_is_printed_on_any_terminal(root: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"id": "g", "context": "玛拉住在阿什顿。", '
        '"questions": [{"id": "q", "text": "玛拉住在哪里？", "golds": ["阿什顿"]}]}\n',
        encoding="utf-8",
    )
    content = f"{{mine: {{source: jsonl, path: {rows}}}}}"
    done = branchwise(
        *("data-card", "mine", "--set", f"define={{datasets: {content}}}"),
        cwd=root,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert done.returncode == 0, done.stderr
    assert "\\u739b\\u62c9" in done.stdout
