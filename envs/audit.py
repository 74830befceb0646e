"""Known vulnerabilities of the pinned packages: `make audit`.

pip-audit asks the package index for advisories. An index that serves packages and no advisories answers
"not found", which pip-audit takes for clean; here it is said, and is no success of an audit.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).with_name("requirements.lock")
WAIT_S = 300


def verdict(report: dict[str, Any]) -> tuple[int, list[str]]:
    """The exit status and the lines to print for pip-audit's JSON: 1 where a package is vulnerable, 0
    where none is or nothing could be asked.
    """
    packages = report["dependencies"]
    asked = [one for one in packages if "skip_reason" not in one]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    if not asked:
        return 0, ["not audited: this package index gives no advisories"]
    lines = [
        f"{one['name']} {one['version']}: {vuln['id']}, "
        f"fixed in {', '.join(vuln['fix_versions']) or 'none'}"
        for one in asked
        for vuln in one["vulns"]
    ]
    status = 1 if lines else 0
    lines.append(f"{len(asked)} packages audited, {len(lines)} known vulnerabilities")
    if skipped:
        lines.append(f"not audited: {', '.join(skipped)}")
    return status, lines


def main() -> int:
    """Audit the lock file."""
    words = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--no-deps", "--disable-pip"]
    try:
        done = subprocess.run(
            [*words, "--format", "json", "--progress-spinner", "off"],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
        report = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        print("not audited: the advisory service cannot be reached")
        return 0
    status, lines = verdict(report)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
