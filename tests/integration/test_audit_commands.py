"""`lab audit …`: what it prints, its exit codes, and that looking is recorded too."""

import csv
import io
from pathlib import Path

import orjson
import pytest
import typer.testing
from sqlalchemy import Engine

from services.cli.audit import audit
from shared.errors import OperatorError
from shared.settings import Database
from tests.integration import audit_world as world
from tests.integration.analytics_site import rows
from tests.integration.audit_world import attack, fill

pytestmark = pytest.mark.database
KEY = "known-to-the-test-only"


def lab(*arguments: str, **variables: str) -> typer.testing.Result:
    """`lab audit` in this process."""
    return typer.testing.CliRunner().invoke(audit, arguments, env=variables)


def refused(done: typer.testing.Result, said: str) -> None:
    """An error for the operator: `lab` prints it as one line and exits with 2."""
    assert isinstance(done.exception, OperatorError)
    assert said in str(done.exception)


def test_verify_tells_what_holds_and_what_does_not(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    fill(engine)
    here = {"LAB_DATABASE_URL": database.url, "LAB_AUDIT_KEY": KEY}
    done = lab("verify", **here)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "the audit log holds")
    kept = lab("head", **here).stdout
    assert kept.startswith("seq=10 hash=")
    assert " signed 20" in kept
    (file := tmp_path / "heads").write_text(f"noise\n{kept}")
    log = orjson.dumps({"event": "audit_head", "seq": 4, "hash": hash_at(engine, 4)}).decode()
    file.write_text(f"{kept}{log}\n")
    done = lab("verify", "--anchors-from", str(file), "--json", **here)
    told = orjson.loads(done.stdout)
    assert (done.exit_code, told["ok"], told["outside"], told["rows"]) == (0, True, 2, 10)
    digest = kept.split("hash=")[1].split()[0]
    for head in (digest, f"10:{digest.upper()}"):
        assert lab("verify", "--head", head, **here).exit_code == 0

    attack(engine, "DELETE FROM audit WHERE id = 5")
    done = lab("verify", **here)
    assert done.exit_code == 1
    assert "BROKEN: removed: seq 5 row 5: the row is gone" in done.stdout
    done = lab("verify", "--json", LAB_DATABASE_URL=database.url)
    told = orjson.loads(done.stdout)
    assert (done.exit_code, told["ok"], told["signatures"]) == (1, False, "not checked")
    assert (told["broken"]["kind"], told["broken"]["seq"]) == ("removed", 5)


def hash_at(engine: Engine, seq: int) -> str:
    (found,) = rows(engine, f"SELECT encode(hash, 'hex') AS hash FROM audit_seal WHERE seq = {seq}")
    return str(found["hash"])


def test_a_head_that_is_none_is_one_line(database: Database, tmp_path: Path) -> None:
    here = {"LAB_DATABASE_URL": database.url}
    refused(lab("verify", "--head", "abc", **here), "64 hexadecimal")
    refused(lab("verify", "--anchors-from", str(tmp_path / "no"), **here), "No such file")
    (tmp_path / "empty").write_text("nothing\n")
    refused(lab("verify", "--anchors-from", str(tmp_path / "empty"), **here), "no line")
    refused(lab("head", **here), "nothing is sealed yet")
    short = {**here, "LAB_AUDIT_KEY": "short"}
    refused(lab("verify", **short), "LAB_AUDIT_KEY: must be 16 bytes")


def test_list_and_export_tell_all_and_are_recorded_themselves(
    database: Database, engine: Engine
) -> None:
    fill(engine, 3)
    here = {"LAB_DATABASE_URL": database.url}
    listed = lab("list", "--object", "finding/", "--limit", "2", **here).stdout
    assert [line.split("  ")[1] for line in listed.splitlines()] == ["#3", "#2"]
    assert "user:dewi  update finding/3  from 192.0.2.7  [state]  because: seen" in listed
    out = lab("export", "--why", "yearly audit", **here).stdout
    told = [orjson.loads(line) for line in out.splitlines()]
    assert [(each["id"], each["seq"], each["action"]) for each in told] == [
        (5, None, "export"),
        (4, None, "read"),
        (3, 3, "update"),
        (2, 2, "update"),
        (1, 1, "update"),
    ]
    assert told[0]["actor"].startswith("cli:")
    assert told[0]["why"] == "yearly audit"
    assert told[-1]["hash"] == hash_at(engine, 1)
    out = lab("export", "--format", "csv", "--to", "2020-01-01", **here).stdout
    assert list(csv.DictReader(io.StringIO(out))) == []
    out = lab("export", "--format", "csv", "--from", "2020-01-01", **here).stdout
    table = list(csv.DictReader(io.StringIO(out)))
    assert (len(table), table[-1]["object"], table[-1]["changed"]) == (7, "finding/1", "state")


def test_adopt_goes_on_from_what_is_there_and_says_so(database: Database, engine: Engine) -> None:
    fill(engine, 3, world.NO_KEY)
    here = {"LAB_DATABASE_URL": database.url, "LAB_AUDIT_KEY": KEY}
    assert lab("verify", **here).exit_code == 1  # the head is not signed
    done = lab("adopt", "--why", "a first key", **here)
    assert (done.exit_code, done.stdout[:27]) == (0, "sealing goes on after seq=3")
    world.sealed(engine)
    assert lab("verify", **here).exit_code == 0
    (said,) = rows(engine, "SELECT action, why FROM audit ORDER BY id DESC LIMIT 1")
    assert said == {"action": "adopt", "why": "a first key"}
