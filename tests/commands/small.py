"""A small experiment on a random model, and commands called as the command line calls them."""

import json
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml
from typer.testing import CliRunner, Result

from branchwise.commands.main import app
from branchwise.commands.registered import import_all
from branchwise.config import Experiment, load_experiment

STATED = {
    "id": "g",
    "context": "Mara lives in Ashton. Ashton lies by the sea.",
    "questions": [
        {"id": "q1", "text": "Where does Mara live?", "golds": ["Ashton"]},
        {"id": "q2", "text": "Where does that place lie?", "golds": ["by the sea"], "needs": ["q1"]},
    ],
}
"""A group of one's own that states what its questions need."""


def branchwise(*words: object, **environment: str) -> Result:
    """Call a command in this process; lines are as long as they are."""
    import_all()
    wide = {"COLUMNS": "1000", **environment}
    return CliRunner().invoke(app, [str(word) for word in words], env=wide)


def without_torch(*words: object) -> CompletedProcess[str]:
    """What a command does in a process of its own; an error where it has imported torch."""
    code = (
        "import sys; from branchwise.commands.registered import import_all; import_all()\n"
        "from branchwise.commands.main import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def told(result: Result) -> str:
    """The one line of a mistake, after checking that it is one."""
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: "), result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


class Small:
    """A config in a folder, two groups of three questions and one of one's own, and their files."""

    def __init__(self, folder: Path, model: Path, **changes: Any) -> None:
        self.folder = folder
        self.config = folder / "trial.yaml"
        self.content = {
            "experiment": "trial",
            "datasets": ["small", "own"],
            "models": ["random"],
            "strategies": ["batch", "sequential"],
            "decoders": ["tree"],
            "max_new_tokens": 3,
            "timed_groups": 2,
            "repeats": 1,
            "define": {
                "models": {"random": {"path": str(model)}},
                "datasets": {
                    "small": {
                        "source": "worlds",
                        "kinds": ["two_hop"],
                        "group_size": 3,
                        "num_groups": 2,
                        "min_facts": 8,
                    },
                    "own": {"source": "jsonl", "path": "own.jsonl"},
                },
            },
        }
        (folder / "own.jsonl").write_text(json.dumps(STATED) + "\n")
        self.change(**changes)

    def change(self, **changes: Any) -> None:
        """Write the config with other settings."""
        self.content |= changes
        self.config.write_text(yaml.safe_dump(self.content))

    @property
    def experiment(self) -> Experiment:
        """What the config says."""
        return load_experiment([self.config])

    def run(self, command: str, *words: object, **environment: str) -> Result:
        """A command with this config."""
        return branchwise(*command.split(), "--config", self.config, *words, **environment)

    def groups(self, dataset: str = "small") -> Path:
        """The file of a data set's groups, made by `prepare`."""
        path = self.folder / f"{dataset}.groups.jsonl"
        if not path.exists():
            done = self.run("prepare", "--dataset", dataset, "--out", path)
            assert done.exit_code == 0, done.output
        return path
