"""What somebody with SQL changed, removed, inserted or cut off is found, and where."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from services.analytics.audit import job, seal
from services.analytics.audit.walk import Check
from tests.integration import audit_world as world
from tests.integration.audit_world import KEY, NO_KEY, attack, fill, found

pytestmark = pytest.mark.database

COLUMNS = {
    "at": "at + interval '1 microsecond'",
    "actor": "'user:other'",
    "action": "'updated'",
    "object": "object || ' '",
    "site_id": "NULL",
    "address": "''",
    "why": "NULL",
    "outcome": "'refused'",
    "changed": "'{state,note}'",
    "values": """'{"state": "open"}'""",
}
# Shift the seals from 5 on by one, and put a forged row there.
INSERTED = (
    "INSERT INTO audit (actor, action, object) VALUES ('user:dewi', 'read', 'nothing')",
    "UPDATE audit_seal SET seq = -seq - 1 WHERE seq >= 5",
    "UPDATE audit_seal SET seq = -seq WHERE seq < 0",
    "INSERT INTO audit_seal SELECT 5, max(id), '\\x00' FROM audit",
    "UPDATE audit_head SET seq = 11",
)
REMOVED = ("DELETE FROM audit WHERE id = 5", "DELETE FROM audit_seal WHERE seq = 5")
CUT_OFF = ("DELETE FROM audit WHERE id > 7", "DELETE FROM audit_seal WHERE seq > 7")
SHIFTED = (
    "UPDATE audit_seal SET seq = -seq + 1 WHERE seq > 5",
    "UPDATE audit_seal SET seq = -seq WHERE seq < 0",
    "UPDATE audit_head SET seq = 9",
)
MOVED_HEAD = "UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit_seal WHERE seq = 7)"
SWAPPED = (
    "UPDATE audit_seal SET audit_id = CASE audit_id WHEN 5 THEN -6 ELSE -5 END"
    " WHERE audit_id IN (5, 6)",
    "UPDATE audit_seal SET audit_id = -audit_id WHERE audit_id < 0",
)


def test_what_nobody_touched_holds(engine: Engine) -> None:
    assert found(engine) == ("holds", None)  # nothing was ever written
    world.record(engine, 1)
    report = world.verified(engine)
    assert (report.broken, report.unsealed) == (None, 1)
    fill(engine)
    report = world.verified(engine)
    assert (report.broken, report.rows, report.seq) == (None, 11, 11)
    assert (report.unsealed, report.late, report.signatures) == (0, 0, "checked")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_field_is_found(engine: Engine, column: str) -> None:
    fill(engine)
    attack(engine, f'UPDATE audit SET "{column}" = {COLUMNS[column]} WHERE id = 5')
    broken = world.verified(engine).broken
    assert broken is not None
    assert (broken.kind, broken.seq, broken.row_id) == ("changed", 5, 5)


@pytest.mark.parametrize(
    ("statements", "kind", "seq"),
    [
        (("DELETE FROM audit WHERE id = 5",), "removed", 5),
        (REMOVED, "removed", 5),
        ((*REMOVED, *SHIFTED), "changed", 5),
        (("DELETE FROM audit_seal WHERE seq = 5",), "removed", 5),
        (("DELETE FROM audit WHERE id = 1", "DELETE FROM audit_seal WHERE seq = 1"), "removed", 1),
        (INSERTED, "inserted", 5),
        (SWAPPED, "changed", 5),
        (CUT_OFF, "cut_off", 8),
        (("DELETE FROM audit WHERE id > 7",), "removed", 8),
        (("DELETE FROM audit_seal WHERE seq > 7",), "cut_off", 8),
        ((*CUT_OFF, MOVED_HEAD), "anchor", 7),  # and an anchor still stands at 10
        ((*CUT_OFF, MOVED_HEAD, "DELETE FROM audit_anchor"), "anchor", 7),
        ((*CUT_OFF, "DELETE FROM audit_head"), "cut_off", 8),
        ((*CUT_OFF, "DELETE FROM audit_head", "DELETE FROM audit_anchor"), "cut_off", 8),
        (("UPDATE audit_head SET signature = NULL",), "anchor", 10),
        (("UPDATE audit_anchor SET seq = 9, hash = '\\x00'",), "anchor", 9),
        (("UPDATE audit_anchor SET kind = 'start'",), "anchor", 10),
        (("UPDATE audit_seal SET hash = '\\x00' WHERE seq = 10",), "changed", 10),
    ],
)
def test_the_first_broken_place_is_told(
    engine: Engine, statements: tuple[str, ...], kind: str, seq: int
) -> None:
    fill(engine)
    world.sealed(engine)  # begun again: an anchor stands at the head
    attack(engine, *statements)
    breaks = world.verified(engine)
    assert breaks.broken is not None
    assert (breaks.broken.kind, breaks.broken.seq) == (kind, seq)


def test_a_row_put_in_with_a_seal_that_fits_is_found(engine: Engine) -> None:
    fill(engine)
    attack(engine, *INSERTED)
    with world.attacking(engine) as connection:
        after = connection.scalar(text("SELECT hash FROM audit_seal WHERE seq = 6"))
        world.rewrite_seals(connection, 5)
        connection.execute(text("UPDATE audit_seal SET hash = :h WHERE seq = 6"), {"h": after})
    broken = world.verified(engine).broken
    assert broken is not None
    assert (broken.kind, broken.seq, broken.row_id) == ("inserted", 5, 11)


def test_a_row_sealed_by_hand_after_the_head_is_found(engine: Engine) -> None:
    fill(engine)
    world.record(engine, 11)
    attack(engine, "INSERT INTO audit_seal VALUES (11, 11, '\\x00')")
    with world.attacking(engine) as connection:
        world.rewrite_seals(connection, 11)
        connection.execute(
            text(
                "UPDATE audit_head"
                " SET hash = (SELECT hash FROM audit_seal WHERE audit_seal.seq = audit_head.seq)"
            )
        )
    assert found(engine) == ("inserted", 11)


def test_a_row_put_where_all_are_sealed_is_found(engine: Engine) -> None:
    fill(engine)
    attack(
        engine,
        "INSERT INTO audit (xid, actor, action, object) VALUES ('3', 'user:dewi', 'read', 'x')",
    )
    world.sealed(engine)
    assert found(engine) == ("inserted", None)


def test_a_back_dated_row_is_pointed_out(engine: Engine) -> None:
    fill(engine)
    attack(
        engine,
        "INSERT INTO audit (at, actor, action, object)"
        " VALUES (now() - interval '2 hours', 'user:dewi', 'read', 'x')",
    )
    world.sealed(engine)
    report = world.verified(engine)
    assert (report.broken, report.late, report.late_row) == (None, 1, 11)


def test_a_chain_written_anew_does_not_pass_what_was_signed(engine: Engine) -> None:
    fill(engine, 5)
    world.sealed(engine)
    fill(engine, 5)
    attack(engine, "UPDATE audit SET actor = 'user:other' WHERE id = 3")
    with world.attacking(engine) as connection:
        world.rewrite_seals(connection, 3)
    assert found(engine) == ("changed", 5)  # between the beginning and the anchor
    with pytest.raises(seal.ChainBroken, match="another LAB_AUDIT_KEY"):
        world.sealed(engine)


def test_without_a_key_a_chain_written_anew_holds_but_for_a_head_kept_elsewhere(
    engine: Engine,
) -> None:
    fill(engine, 10, NO_KEY)
    kept = world.head(engine, NO_KEY).place
    attack(engine, "UPDATE audit SET actor = 'user:other' WHERE id = 3")
    with world.attacking(engine) as connection:
        world.rewrite_seals(connection, 3)
        connection.execute(text("DELETE FROM audit_anchor"))
    report = world.verified(engine, NO_KEY)
    assert (report.broken, report.signatures) == (None, "none")
    assert found(engine, NO_KEY, Check(10, kept.hash, "kept")) == ("changed", 10)
    assert found(engine, NO_KEY, Check(None, kept.hash, "kept")) == ("cut_off", 11)


def test_an_older_signed_head_put_back_needs_a_head_kept_elsewhere(engine: Engine) -> None:
    """What only a copy outside the database, or a sealer still running, can tell."""
    fill(engine, 7)
    with world.attacking(engine) as connection:
        connection.execute(text("CREATE TABLE stolen AS SELECT * FROM audit_head"))
    running = job.Sealer(KEY.keys, world.timedelta(days=1))
    fill(engine, 3)
    newest = world.head(engine).place
    with engine.begin() as connection:
        running.work(connection, {})
    attack(
        engine,
        *CUT_OFF,
        "DELETE FROM audit_anchor WHERE seq > 7",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head SELECT * FROM stolen",
        "DROP TABLE stolen",
    )
    assert found(engine) == ("holds", None)
    assert found(engine, KEY, Check(10, newest.hash, "kept")) == ("cut_off", 8)
    assert found(engine, KEY, Check(None, newest.hash, "kept")) == ("cut_off", 8)
    with pytest.raises(seal.ChainBroken, match="stood at 10"), engine.begin() as connection:
        running.work(connection, {})


@pytest.mark.parametrize("table", ["audit", "audit_seal", "audit_anchor"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_tables_only_grow(engine: Engine, table: str, statement: str) -> None:
    fill(engine, 2)
    world.sealed(engine)
    column = "actor" if table == "audit" else "seq"
    refused = text(statement.format(table, column, column))
    with pytest.raises(ProgrammingError, match="append-only"), engine.begin() as connection:
        connection.execute(refused)
    assert found(engine) == ("holds", None)
