"""`python -m tests.checks.secrets`: does a tracked file hold a secret the baseline knows not?"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BASELINE: Final = ".secrets.baseline"
HELP: Final = (
    "take it out and change it where it was used. If it is none: `pragma: allowlist secret` in a"
    " comment on its line, or `detect-secrets scan --baseline .secrets.baseline`, then `audit`"
)
_MOVED: Final = 3  # nothing new, but known ones stand on other lines


def tracked(root: Path) -> list[str]:
    """Every file git tracks or would add."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    out = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in out.split("\0") if name and (root / name).is_file()]


def scan(root: Path) -> tuple[int, list[str]]:
    """The exit code (1: a new secret, 2: no scan), and what to tell, never the secret."""
    if not (root / BASELINE).is_file():
        return 2, [f"{BASELINE} is missing"]
    files = tracked(root)
    with tempfile.TemporaryDirectory() as directory:
        baseline = Path(directory) / "baseline"  # a copy: the tool would write line numbers to it
        shutil.copy(root / BASELINE, baseline)
        command = [Path(sys.executable).with_name("detect-secrets-hook"), "--no-verify"]
        done = subprocess.run(
            [*command, "--baseline", baseline, *files],
            **{"cwd": root, "capture_output": True, "text": True, "check": False},
        )
    if done.returncode in (0, _MOVED):
        return 0, [f"{len(files)} files, nothing new"]
    kinds = re.findall(r"^Secret Type: +(.+)$", done.stdout, re.M)
    places = re.findall(r"^Location: +(.+)$", done.stdout, re.M)
    if not places:
        return 2, [f"detect-secrets failed: {(done.stderr.strip() or 'no reason given')[-200:]}"]
    found = [f"{place}: {kind}" for kind, place in zip(kinds, places, strict=True)]
    return 1, [*found, HELP]


def main() -> int:
    """Print what was found, each line under the name of the check."""
    code, lines = scan(ROOT)
    for line in lines:
        sys.stdout.write(f"secrets: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
