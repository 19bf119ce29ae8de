"""Which pg_dump is taken, and what is told when it fails."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from services.cli import pg_client


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with pg_dump of PostgreSQL 90, 92 and 93, none of which dumps."""
    places = []
    for major in (93, 90, 92):
        (place := tmp_path / str(major)).mkdir()
        places.append(str(place))
        script = place / "pg_dump"
        script.write_text(
            "#!/bin/sh\n"
            f'[ "$1" = --version ] && echo "pg_dump (PostgreSQL) {major}.1 (Debian {major}.1-1)"'
            ' || { echo "$PGPASSWORD $*"; echo "pg_dump: hint" >&2;'
            ' echo "pg_dump: error: no room" >&2; [ "$2" = fine ]; }\n'
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", ":".join([*places, "/usr/bin", "/bin"]))
    return tmp_path


@pytest.mark.parametrize(("server", "taken"), [(90, 90), (91, 92), (92, 92), (93, 93)])
def test_the_servers_own_version_is_preferred_and_an_older_one_never_taken(
    here: Path, server: int, taken: int
) -> None:
    assert pg_client.program("pg_dump", server) == here / str(taken) / "pg_dump"


def test_without_a_fitting_one_the_package_is_named(here: Path) -> None:
    assert here
    with pytest.raises(pg_client.ProgramFailed, match=r"90, 92, 93.*postgresql-client-94"):
        pg_client.program("pg_dump", 94)


def test_the_password_is_no_argument(here: Path) -> None:
    url = make_url("postgresql+psycopg://lab:s%40fe@db.example:5433/livinglab")
    told = pg_client.run(here / "90/pg_dump", "fine", database=url)
    assert told.startswith("s@fe ")
    assert "s@fe" not in told.removeprefix("s@fe ")
    assert "s%40fe" not in told
    assert all(part in told for part in ("user=lab", "host=db.example", "port=5433"))


def test_its_first_error_is_told(here: Path) -> None:
    with pytest.raises(pg_client.ProgramFailed, match=r"^pg_dump: error: no room$"):
        pg_client.run(here / "90/pg_dump", "--file=x", "y")
