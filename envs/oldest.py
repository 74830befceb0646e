"""Pins every dependency to the oldest release that pyproject.toml allows: `make test-oldest`.

Prints them as constraints for pip, one a line, and with `torch` alone that of torch.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_BOUND = re.compile(r"([A-Za-z0-9._-]+)>=([0-9][^,;\s]*)")


def oldest(project: Path = PROJECT) -> dict[str, str]:
    """Name -> the least version that is allowed. Raises ValueError for a dependency without one."""
    stated = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    found = {}
    for dependency in stated:
        bound = _BOUND.match(dependency)
        if bound is None:
            raise ValueError(f"{dependency} has no lower bound: write {dependency}>=VERSION")
        found[bound[1]] = bound[2]
    return found


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for name, version in oldest().items():
        if not wanted or name in wanted:
            print(f"{name}=={version}")
