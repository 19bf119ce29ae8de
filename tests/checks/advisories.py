"""`python -m tests.checks.advisories`: has anything the lock files pin a known vulnerability?

pip-audit passes a source that knows nothing (a package index without advisories answers 404 to each
question) for a clean bill of health. So each source must first know what everybody knows.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
LOCKS: Final = ("requirements.lock", "requirements-dev.lock", "deploy/requirements.lock")
SOURCES: Final = (("--vulnerability-service=pypi",), ("--vulnerability-service=osv",))
KNOWN_BAD: Final = "jinja2==2.4.1"  # CVE-2014-1402 and later ones
LIMIT_S: Final = 60.0
CANARY_S: Final = 15.0
OK, VULNERABLE, BROKEN = 0, 1, 2
_NETWORK: Final = re.compile(r"requests\.exceptions\.|_service\.interface\.|Could not connect")


class Unreachable(Exception):
    """A source does not answer, or has no advisories."""


class Broken(Exception):
    """The tool itself failed."""


@dataclass(frozen=True)
class Tool:
    """pip-audit with a source, its answers kept in a directory of their own, and a last moment."""

    source: Sequence[str]
    cache: Path
    deadline: float

    def report(self, *arguments: str, most_s: float = LIMIT_S) -> list[dict[str, Any]]:
        """What it says of each package; raises Unreachable, Broken."""
        command = [sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--format=json"]
        command += ["--disable-pip", "--desc=off", "--timeout=5", f"--cache-dir={self.cache}"]
        left = max(0.1, min(most_s, self.deadline - time.monotonic()))
        try:
            done = subprocess.run(
                [*command, *self.source, *arguments],
                **{"capture_output": True, "text": True, "timeout": left, "check": False},
            )
        except subprocess.TimeoutExpired:
            raise Unreachable("no answer in time") from None
        try:
            packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError, TypeError):
            last = (done.stderr.strip().splitlines() or ["it wrote nothing"])[-1].split("(")[0]
            raise (Unreachable if _NETWORK.search(done.stderr) else Broken)(last) from None
        return packages

    def require_knowledge(self) -> None:
        """Raise Unreachable unless the source knows a package known to be vulnerable."""
        known_bad = self.cache / "known-bad.txt"
        known_bad.write_text(f"{KNOWN_BAD}\n")
        try:
            found = self.report("--no-deps", f"--requirement={known_bad}", most_s=CANARY_S)
        except Broken as error:
            raise Unreachable(str(error)) from None
        if not any(package.get("vulns") for package in found):
            raise Unreachable("it has no advisories")


def audit(
    locks: Sequence[Path], sources: Sequence[Sequence[str]] = SOURCES, limit_s: float = LIMIT_S
) -> tuple[int, list[str]]:
    """The exit code, and what to tell."""
    deadline = time.monotonic() + limit_s
    wanted = ["--require-hashes", *(f"--requirement={lock}" for lock in locks)]
    reasons = []
    with tempfile.TemporaryDirectory() as cache:
        for source in sources:
            tool, name = Tool(source, Path(cache), deadline), source[0].partition("=")[2]
            try:
                tool.report("--dry-run", *wanted)  # asks nobody: are we fit to ask?
                tool.require_knowledge()
                return _judged(tool.report(*wanted), name)
            except Unreachable as error:
                reasons.append(f"{name}: {error}")
            except Broken as error:
                return BROKEN, [f"pip-audit failed: {error}"]
    return OK, [f"NOT CHECKED, no source of advisories can be reached ({'; '.join(reasons)})"]


def _judged(packages: Sequence[dict[str, Any]], source: str) -> tuple[int, list[str]]:
    if vulnerable := [*_vulnerabilities(packages)]:
        return VULNERABLE, vulnerable
    if skipped := [package["name"] for package in packages if "skip_reason" in package]:
        return BROKEN, [f"not known to the source, so not checked: {', '.join(skipped)}"]
    return OK, [f"{len(packages)} packages, no known vulnerability ({source})"]


def _vulnerabilities(packages: Sequence[dict[str, Any]]) -> Iterator[str]:
    for package in packages:
        for each in package.get("vulns", []):
            names = ", ".join([each["id"], *each.get("aliases", [])])
            mended = ", ".join(each["fix_versions"]) or "no version yet"
            yield f"{package['name']} {package['version']}: {names}; mended in {mended}"


def main() -> int:
    """Print what was found, each line under the name of the check."""
    code, lines = audit([ROOT / lock for lock in LOCKS])
    for line in lines:
        sys.stdout.write(f"advisories: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
