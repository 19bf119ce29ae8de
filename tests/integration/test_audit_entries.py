"""What is written as an entry, read again, sealed as bytes, and kept for a while."""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from services.analytics.audit import chain, retention, seal
from services.analytics.audit.chain import BYTES
from shared.db import audit
from shared.db.audit import Entry
from shared.db.engine import async_engine
from shared.db.session import API_WRITE
from shared.settings import Audit, Database
from tests.integration import audit_world as world
from tests.integration.analytics_site import rows
from tests.integration.audit_world import KEY, NO_KEY, NOW, fill, found

pytestmark = pytest.mark.database

TEXTS = st.text(
    st.sampled_from(list("ab,{}()\"'\\\t\n\r \x00é\U0001f4a1\ud800NUL")), max_size=4
) | st.sampled_from(["", "NULL", "\\N", "{}", '""', "null"])
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
ENTRIES = st.builds(
    Entry,
    actor=TEXTS,
    action=TEXTS,
    object=TEXTS,
    site_id=st.none() | st.integers(0, 1),
    address=st.none() | TEXTS,
    why=st.none() | TEXTS,
    outcome=st.sampled_from(["done", "refused", "failed"]),
    changed=st.lists(TEXTS, max_size=2).map(tuple),
    values=st.dictionaries(TEXTS, JSONS, max_size=2),
)


@contextmanager
def undone(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection
        connection.rollback()


def written(connection: Connection, *entries: Entry) -> list[bytes]:
    """The bytes of each entry, as if all had one id and one time."""
    chain.fix_output(connection)
    for each in entries:
        audit.record_sync(connection, each)
    alike = BYTES.replace('row."id"', "0").replace('row."at"', "0")
    found = connection.execute(text(f"SELECT {alike} FROM audit AS row ORDER BY id"))
    return [bytes(row[0]) for row in found]


@given(data=st.data())
def test_different_entries_never_share_bytes(
    migrated: tuple[Any, Engine], data: st.DataObject
) -> None:
    """Two of anything, and two that differ in one field only, where a mistake would hide."""
    first, second = data.draw(ENTRIES), data.draw(ENTRIES)
    name = data.draw(st.sampled_from([each.name for each in dataclasses.fields(Entry)]))
    near = dataclasses.replace(first, **{name: getattr(second, name)})
    with undone(migrated[1]) as connection:
        connection.execute(text("SET LOCAL lab.audit_unlocked = 'tests'"))
        connection.execute(text("DELETE FROM audit"))
        bytes_ = written(connection, first, second, near)
        found = connection.execute(audit.selected(limit=None)).all()
        stored = [repr({**row._mapping, "id": 0, "at": 0}) for row in reversed(found)]
    for one in range(3):
        for other in range(one):
            assert (bytes_[one] == bytes_[other]) == (stored[one] == stored[other])


@given(entries=st.lists(ENTRIES, min_size=1, max_size=3))
def test_what_goes_with_a_commit_is_what_is_written_alone(
    migrated: tuple[Any, Engine], entries: list[Entry]
) -> None:
    with undone(migrated[1]) as connection:
        connection.execute(text("SET LOCAL lab.audit_unlocked = 'tests'"))
        connection.execute(text("DELETE FROM audit"))
        alone = written(connection, *entries)
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(audit.spelled(driver.pgconn, entries))
        assert written(connection) == alone * 2


def test_null_is_not_empty_and_order_of_keys_is_one(engine: Engine) -> None:
    plain = Entry(actor="a", action="b", object="c")
    alike = [dataclasses.replace(plain, values={"x": 1, "yy": 2}) for _ in range(2)]
    alike[1] = dataclasses.replace(plain, values={"yy": 2, "x": 1})
    with undone(engine) as connection:
        one, two, null, empty = written(
            connection, *alike, plain, dataclasses.replace(plain, why="")
        )
    assert one == two
    assert null != empty


def test_bytes_are_the_same_in_every_session(engine: Engine) -> None:
    fill(engine)
    with engine.connect() as connection:
        connection.execute(text("SET timezone = 'Asia/Jakarta'"))
        connection.execute(text("SET datestyle = 'German'"))
        assert [link.at[-3:] for link in chain.links(connection) if link.at] == ["+00"] * 10
        connection.rollback()
    assert found(engine) == ("holds", None)


def test_what_a_database_cannot_hold_hides_no_attempt(engine: Engine) -> None:
    odd = Entry(
        actor="user:\x00\ud83d",
        action="sign_in",
        object="session",
        outcome="refused",
        changed=("\x00",),
        values={"\x00": ["\ud800", math.nan, math.inf, {"deep": "\x00"}], "n": 1.5},
    )
    with engine.begin() as connection:
        audit.record_sync(connection, odd)
    with engine.connect() as connection:
        (kept,) = audit.entries_sync(connection)
    said = "\ufffd"
    assert (kept.actor, kept.outcome, kept.changed) == (f"user:{said * 2}", "refused", (said,))
    assert kept.values == {"n": 1.5, said: [said, "nan", "inf", {"deep": said}]}


async def test_entries_are_read_newest_first_page_by_page(
    database: Database, engine: Engine
) -> None:
    fill(engine, 3)
    api = async_engine(database, API_WRITE)
    async with api.begin() as connection:
        for actor, site in (("key:1 (dewi)", 2), ("user:budi", 1)):
            await audit.record(
                connection, Entry(actor=actor, action="read", object="finding%/1", site_id=site)
            )
    async with api.connect() as connection:
        newest = await audit.entries(connection, limit=2)
        assert [(each.id, each.seq, each.actor) for each in newest] == [
            (5, None, "user:budi"),
            (4, None, "key:1 (dewi)"),
        ]
        following = await audit.entries(connection, after=4)
        assert [(each.id, each.seq) for each in following] == [(3, 3), (2, 2), (1, 1)]
        assert following[0].hash is not None
        ids = []
        for chosen in (
            {"actor": "user:budi"},
            {"action": "read", "site_id": 2},
            {"object_prefix": "finding%"},
            {"object_prefix": "finding/"},
            {"start": following[0].at, "end": newest[0].at},
        ):
            ids.append([each.id for each in await audit.entries(connection, **chosen)])
        assert ids == [[5], [4], [5, 4], [3, 2, 1], [4, 3]]
    await api.dispose()


def swept(engine: Engine, settings: Audit = KEY, days: int = 0) -> None:
    progress: dict[str, object] = {}
    more = True
    while more:
        with engine.begin() as connection:
            progress, more, _ = retention.work(
                connection, progress, settings, NOW + timedelta(days=days)
            )


def aged(engine: Engine) -> None:
    """Ten rows of three years ago, five of a month ago."""
    world.record(engine, *range(10))
    world.age(engine, 1095)
    world.record(engine, *range(5))
    with world.attacking(engine) as connection:
        connection.execute(
            text("UPDATE audit SET at = :at WHERE id > 10"), {"at": NOW - timedelta(days=30)}
        )


def test_old_rows_go_up_to_a_signed_place_and_the_rest_holds(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS", 4)
    aged(engine)
    world.sealed(engine)
    swept(engine)
    kept = "SELECT min(id) AS first, count(*) AS n FROM audit"
    assert rows(engine, kept) == [{"first": 11, "n": 5}]
    report = world.verified(engine)
    assert (report.broken, report.rows, report.seq) == (None, 5, 15)
    starts = "SELECT seq FROM audit_anchor WHERE kind = 'start'"
    assert rows(engine, starts) == [{"seq": 10}]
    world.record(engine, 16)
    world.sealed(engine)
    assert found(engine) == ("holds", None)
    world.attack(engine, "DELETE FROM audit WHERE id = 11", "DELETE FROM audit_seal WHERE seq = 11")
    assert found(engine) == ("removed", 11)
    world.attack(engine, "UPDATE audit_anchor SET seq = 11 WHERE kind = 'start'")
    assert found(engine) == ("removed", 1)


def test_all_may_go_and_sealing_goes_on(engine: Engine) -> None:
    aged(engine)
    world.sealed(engine)
    swept(engine, days=800)
    assert rows(engine, "SELECT FROM audit") == rows(engine, "SELECT FROM audit_seal") == []
    assert found(engine) == ("holds", None)
    fill(engine, 2)
    report = world.verified(engine)
    assert (report.broken, report.rows, report.seq) == (None, 2, 17)


@pytest.mark.parametrize(
    "settings", [NO_KEY, Audit(key="known-to-the-test-only", retention_days=0)], ids=["no key", "0"]
)
def test_nothing_goes_without_a_key_or_with_0_days(engine: Engine, settings: Audit) -> None:
    aged(engine)
    world.sealed(engine, settings)
    swept(engine, settings)
    assert len(rows(engine, "SELECT FROM audit")) == 15


def test_what_is_not_sealed_or_does_not_hold_stays(engine: Engine) -> None:
    aged(engine)
    swept(engine)
    assert len(rows(engine, "SELECT FROM audit")) == 15
    world.sealed(engine)
    world.attack(engine, "UPDATE audit SET why = 'other' WHERE id = 4")
    with pytest.raises(seal.ChainBroken, match="changed at 4"):
        swept(engine)
    assert len(rows(engine, "SELECT FROM audit")) == 15
