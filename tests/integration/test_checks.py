"""The audits of `make check`: what is wrong is found, what was not checked is not called fine."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.checks import advisories, secrets

LOCK = "idna==3.11 --hash=sha256:" + "0" * 64 + "\n"
KNOWN = {"jinja2": "CVE-2014-1402"}


@contextmanager
def source(advised: dict[str, str], *, status: int = 200, after: int = 0) -> Iterator[list[str]]:
    """A source of advisories that speaks OSV; gives how pip-audit is told of it.

    From the `after`-th question on it answers with `status`.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = said["package"]["name"]
            asked.append(name)
            told = {"vulns": [_advisory(name, advised[name])]} if name in advised else {}
            body = json.dumps(told).encode()
            self.send_response(status if len(asked) > after else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield [
            "--vulnerability-service=osv",
            f"--osv-url=http://127.0.0.1:{server.server_port}/v1/query",
        ]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _advisory(name: str, identity: str) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}]
    package = {"name": name, "ecosystem": "PyPI"}
    return {
        **{"id": identity, "aliases": [], "summary": "made up", "details": "made up"},
        **{"modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z"},
        "affected": [{"package": package, "ranges": ranges}],
    }


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(LOCK)
    return path


def test_a_known_vulnerability_fails_and_says_which_and_what_mends_it(lock: Path) -> None:
    with source({**KNOWN, "idna": "PYSEC-2026-1"}) as asked:
        code, told = advisories.audit([lock], [asked])
    assert code == advisories.VULNERABLE
    assert told == ["idna 3.11: PYSEC-2026-1; mended in 99.1"]


def test_without_one_it_says_how_many_it_looked_at(lock: Path) -> None:
    with source(KNOWN) as asked:
        code, told = advisories.audit([lock, lock], [asked])
    assert code == advisories.OK
    assert told == ["1 packages, no known vulnerability (osv)"]


NOWHERE = ["--vulnerability-service=osv", "--osv-url=http://127.0.0.1:1/v1/query"]


def test_a_source_that_cannot_be_reached_is_said_and_is_no_fault(lock: Path) -> None:
    code, (told,) = advisories.audit([lock], [NOWHERE])
    assert code == advisories.OK
    assert told.startswith("NOT CHECKED, no source of advisories can be reached (osv: ")


def test_a_source_without_advisories_does_not_pass_for_a_clean_bill(lock: Path) -> None:
    with source({}) as asked:
        code, (told,) = advisories.audit([lock], [asked])
    assert (code, told.startswith("NOT CHECKED")) == (advisories.OK, True)
    assert "it has no advisories" in told


@pytest.mark.parametrize("after", [0, 1])
def test_a_source_that_fails_at_once_or_in_the_middle_is_not_reached(
    lock: Path, after: int
) -> None:
    with source(KNOWN, status=500, after=after) as asked:
        code, (told,) = advisories.audit([lock], [asked])
    assert (code, told.startswith("NOT CHECKED")) == (advisories.OK, True)


def test_the_next_source_is_asked_when_one_does_not_answer(lock: Path) -> None:
    with source({**KNOWN, "idna": "PYSEC-2026-1"}) as asked:
        code, _ = advisories.audit([lock], [NOWHERE, asked])
    assert code == advisories.VULNERABLE


def test_there_is_an_end_to_waiting(lock: Path) -> None:
    code, (told,) = advisories.audit([lock], [NOWHERE], limit_s=0)
    assert (code, told.startswith("NOT CHECKED")) == (advisories.OK, True)
    assert "no answer in time" in told


@pytest.mark.parametrize("broken", ["idna>=3\n", "idna==3.11\n", "=="])
def test_a_lock_file_that_pins_nothing_is_a_fault_of_its_own(lock: Path, broken: str) -> None:
    lock.write_text(broken)
    with source(KNOWN) as asked:
        code, (told,) = advisories.audit([lock], [asked])
    assert code == advisories.BROKEN
    assert told.startswith("pip-audit failed: ")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working copy with the project's own baseline."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / secrets.BASELINE).write_bytes((secrets.ROOT / secrets.BASELINE).read_bytes())
    (tmp_path / "plain.py").write_text('"""Nothing here."""\n')
    return tmp_path


PLANTED = {
    "key.pem": "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\n",
    "cloud.py": 'KEY = "AKIA' + 'Q3EGRWXYZ4567ABC"\n',
    "settings.yml": "password: " + "hunter2-but-longer\n",
    "url.txt": "postgresql://lab:" + "Zx81q-real@db.city.example/lab\n",
    "token.py": 'token = "' + 'c3VyZWx5LW5vdC1hLXNlY3JldC1idXQtcmFuZG9tMTIz"\n',
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_secret_fails_is_placed_and_never_shown(tree: Path, name: str) -> None:
    assert secrets.scan(tree)[0] == 0
    (tree / name).write_text(f"\n{PLANTED[name]}")
    code, told = secrets.scan(tree)
    assert code == 1
    assert told[0].startswith(f"{name}:2: ")
    assert told[-1] == secrets.HELP
    shown = "\n".join(told)
    assert not [word for word in PLANTED[name].split('"') if len(word) > 15 and word in shown]


def test_what_git_ignores_is_nobody_s_business(tree: Path) -> None:
    (tree / ".gitignore").write_text(".env\n")
    (tree / ".env").write_text(PLANTED["settings.yml"])
    assert secrets.scan(tree)[0] == 0


def test_without_its_baseline_nothing_is_taken_for_scanned(tree: Path) -> None:
    (tree / secrets.BASELINE).unlink()
    assert secrets.scan(tree) == (2, [".secrets.baseline is missing"])
    (tree / secrets.BASELINE).write_text("{")
    code, told = secrets.scan(tree)
    assert code == 2
    assert told[0].startswith("detect-secrets failed: ")


def test_every_entry_of_the_baseline_was_looked_at_and_is_no_secret() -> None:
    results = json.loads((secrets.ROOT / secrets.BASELINE).read_text())["results"]
    entries = [entry for found in results.values() for entry in found]
    assert entries
    assert all(entry["is_secret"] is False for entry in entries)
