"""A copy of the project in which a grid is run, and what a run left behind."""

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

import yaml

from tests.workflow.project import copy_project, environment, planned, snakemake

ROOT = Path(__file__).parents[2]
CONFIG = "config/chaos.yaml"
TIMED = re.compile(r"(^|_)(s|mib)$|^(start|end|wall|ideal|cpu|load|makespan)")
OTHERWISE = {
    *(
        "num_resumed",
        "warnings",
        "hardware",
        "load_s",
        "peak_memory_mib",
        "kv_cache_mib",
        "dirty",
        "commit",
    ),
    *("product_self_test_s", "kernel_self_test_s", "resolved_products", "resolved_kernel"),
    *("passes_by_threads", "shards", "throughput"),
}
"""What of a run may be another each time, beside times. A cell that went on from its journal has no
throughput: nobody knows what it did in its makespan.
"""


class Trial:
    """Runs of a config in a copy of the project. `lasts_s` is about how long an undisturbed one takes."""

    def __init__(self, folder: Path, lasts_s: float, config: str = CONFIG) -> None:
        self.folder, self.lasts_s, self.config = folder, lasts_s, config
        self._log = (folder / "runs.out").open("ab")
        self.run: subprocess.Popen

    @classmethod
    def of_grid(cls, folder: Path, lasts_s: float) -> Self:
        """Of the grid in a new copy."""
        folder.mkdir()
        copy_project(ROOT, folder)
        grid = yaml.safe_load((Path(__file__).parent / "grid.yaml").read_text())
        grid["define"]["models"] = {"tiny": {"path": str(ROOT / "resources/models/tiny")}}
        (folder / CONFIG).write_text(yaml.safe_dump(grid), encoding="utf-8")
        return cls(folder, lasts_s)

    def start(self) -> subprocess.Popen:
        """Begin a run, as the leader of a group of processes."""
        return subprocess.Popen(
            ["snakemake", "--cores", "2", "--configfile", self.config],
            cwd=self.folder,
            stdout=self._log,
            stderr=self._log,
            env=environment(self.folder),
            start_new_session=True,
            preexec_fn=_hear_interrupts,
        )

    def wait(self) -> int:
        """Wait until the run has ended; its status."""
        return self.run.wait(timeout=20 * self.lasts_s)

    def again(self) -> subprocess.CompletedProcess:
        """The plain command, once more."""
        return snakemake(self.folder, config=self.config)

    def planned(self) -> dict[str, int]:
        """What the plain command would still do."""
        return planned(self.folder, config=self.config)

    def processes(self) -> dict[int, str]:
        """Processes that work in this folder, and their command lines."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if (place / "cwd").readlink() == self.folder:
                    found[int(place.name)] = (
                        (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    )
            except OSError:
                continue
        return found

    def results(self) -> dict[str, Any]:
        """All that was made, without times: rows of answers, traces, scores, run records, tables."""
        found: dict[str, Any] = {}
        cells = self.folder / "results/cells"
        for path in sorted(cells.rglob("*.json*")):
            if path.suffix in (".json", ".jsonl"):
                lines = path.read_text(encoding="utf-8").splitlines()
                found[str(path.relative_to(cells))] = [plain(json.loads(line)) for line in lines]
        tables = self.folder / "results/tables/chaos"
        for name in ("accuracy", "differences", "tidy"):
            text = (tables / f"{name}.csv").read_text(encoding="utf-8")
            found[name] = text if name == "accuracy" else len(text.splitlines())
        found["figures"] = sorted(path.name for path in (self.folder / "figures/chaos").iterdir())
        found["figures"] = [name for name in found["figures"] if not name.endswith(".damaged")]
        return found

    def close(self) -> None:
        """Nothing of it is used any more."""
        self._log.close()


def _hear_interrupts() -> None:
    """Whoever is started in the background by a script inherits that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def plain(content: Any) -> Any:
    """JSON data without what may be another each time."""
    if isinstance(content, dict):
        kept = {k: v for k, v in content.items() if k not in OTHERWISE and not TIMED.search(k)}
        return {k: plain(v) for k, v in kept.items()}
    return [plain(one) for one in content] if isinstance(content, list) else content
