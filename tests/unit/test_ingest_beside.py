"""What works beside the live path outlives its database, and ends with ingest."""

import threading

import pytest
from sqlalchemy.exc import OperationalError

from services.ingest.beside import running
from shared.settings import Database

AWAY = Database(url="postgresql://nobody@127.0.0.1:1/none")


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_database_that_is_away_is_asked_again() -> None:
    tries: list[Database] = []
    enough = threading.Event()

    def work(database: Database, _: threading.Event) -> None:
        tries.append(database)
        if len(tries) < 3:
            raise OperationalError("SELECT 1", None, Exception("connection refused"))
        enough.set()

    with running("work-of-this-test", work, AWAY, 0.01):
        assert enough.wait(10)
    assert tries[:3] == [AWAY] * 3
    assert "work-of-this-test" not in names()


def test_it_ends_also_when_ingest_ends_by_a_fault() -> None:
    def work(_: Database, stop: threading.Event) -> None:
        stop.wait()

    def fail() -> None:
        with running("that", work, AWAY, 60):
            assert "that" in names()
            raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        fail()
    assert "that" not in names()
