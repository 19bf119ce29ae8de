"""Bad settings, unreachable servers, faulty files: one clear line, exit code 2, nothing done."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine, text

import services.cli.app
from services.cli.main import MODULES, main
from services.ingest import broker
from shared.db.engine import sync_engine
from shared.settings import Database, Mqtt
from tests.integration.test_site_apply import SITE, changed

pytestmark = pytest.mark.database
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
Done = subprocess.CompletedProcess[str]


def lab(*arguments: str, **variables: str) -> Done:
    """Run `lab` with only these LAB_ variables set: in this process, which is much faster."""
    out, err, code = StringIO(), StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in [each for each in os.environ if each.startswith("LAB_")]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["lab", *arguments])
        patch.setattr(services.cli.app, "configure_logs", lambda _: None)
        before = {number: signal.getsignal(number) for number in STOPPING}
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    with warnings.catch_warnings():  # connections that are left to the end of a process
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return Done(["lab", *arguments], code, out.getvalue(), err.getvalue())


def started(*arguments: str, **variables: str) -> Done:
    """The same in a process of its own, as a user starts it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LAB_")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(done: Done, *told: str) -> None:
    """Exit code 2 and a last line that says what and where, without a traceback."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("lab: ")
    for each in told:
        assert each in last


@pytest.fixture
def nowhere() -> str:
    """A port nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def taken() -> Iterator[str]:
    """A port something listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield str(listener.getsockname()[1])


def test_every_command_is_found_without_importing_the_others() -> None:
    everything = started("--help").stdout
    for name in (name for names in MODULES.values() for name in names):
        assert f" {name} " in everything
        told = lab(name, "--help")
        assert (told.returncode, told.stderr) == (0, "")
        assert f"lab {name} " in told.stdout


@pytest.mark.parametrize("service", ["ingest", "analytics", "api", "ledger"])
def test_a_missing_setting_is_named(service: str) -> None:
    refused(started(service), "LAB_DATABASE_URL")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LAB_DATABASE_URL", "mysql://somewhere/else"),
        ("LAB_MQTT_PROTOCOL", "4"),
        ("LAB_MQTT_URL", "http://127.0.0.1"),
        ("LAB_INGEST_BATCH_SIZE", "many"),
    ],
)
def test_a_wrong_setting_is_named(database: Database, variable: str, value: str) -> None:
    refused(lab("ingest", **{"LAB_DATABASE_URL": database.url, variable: value}), variable)


def test_the_api_stays_on_loopback(database: Database) -> None:
    done = lab("api", LAB_DATABASE_URL=database.url, LAB_API_HOST="0.0.0.0")
    refused(done, "LAB_API_HOST", "loopback")


def test_a_taken_port_is_named(database: Database, taken: str) -> None:
    done = lab("api", LAB_DATABASE_URL=database.url, LAB_API_PORT=taken)
    refused(done, "LAB_API_PORT", taken)


@pytest.mark.parametrize("service", ["ingest", "analytics"])
def test_a_taken_health_port_is_named(database: Database, taken: str, service: str) -> None:
    name = f"LAB_{service.upper()}_HEALTH_PORT"
    refused(lab(service, LAB_DATABASE_URL=database.url, **{name: taken}), name, taken)


@pytest.mark.parametrize("arguments", [["ingest"], ["analytics"], ["api"], ["db", "info"]])
def test_an_unreachable_database_is_named_without_its_password(
    nowhere: str, arguments: list[str]
) -> None:
    url = f"postgresql://lab:geheim@127.0.0.1:{nowhere}/livinglab"
    done = lab(*arguments, LAB_DATABASE_URL=url)
    refused(done, "LAB_DATABASE_URL", nowhere)
    assert "geheim" not in done.stderr + done.stdout


def test_an_unreachable_broker_is_named(database: Database, nowhere: str) -> None:
    broker = f"mqtt://127.0.0.1:{nowhere}"
    refused(
        lab("ingest", LAB_DATABASE_URL=database.url, LAB_MQTT_URL=broker), "LAB_MQTT_URL", nowhere
    )
    refused(lab("simulate", "recorded", LAB_MQTT_URL=broker), "LAB_MQTT_URL", nowhere)


def test_a_server_that_speaks_no_mqtt_is_named(taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "START_PATIENCE_S", 0.5)
    connection = broker.Broker(Mqtt(url=f"mqtt://127.0.0.1:{taken}"))
    with pytest.raises(broker.BrokerUnreachable, match=r"^LAB_MQTT_URL: .* MQTT 3\.1\.1"):
        connection.start()
    connection.stop()


def test_an_empty_database_asks_for_an_upgrade(server_url: str) -> None:
    refused(lab("ingest", LAB_DATABASE_URL=server_url), "lab db upgrade")
    refused(lab("db", "check", LAB_DATABASE_URL=server_url), "lab db upgrade")


def test_an_unknown_scenario_lists_those_there_are() -> None:
    refused(lab("simulate", "atlantis"), "'atlantis'", "recorded", "cibinong-testbed")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("site: {key: [", "site.yaml:1"),
        ("- just\n- a list\n", "site.yaml"),
        ("", "site.yaml"),
        (yaml.safe_dump(changed("devices.0.pilot", "nope")), "unknown pilot 'nope'"),
        (yaml.safe_dump(changed("pilots.0.kind", "magic")), "pilots.0.kind"),
        (yaml.safe_dump(changed("pilots.0.service", "XXX-99")), "pilots.0.service"),
        (yaml.safe_dump(changed("sources.0.adapter", "telex")), "sources.0.adapter"),
    ],
)
def test_a_faulty_site_file_is_refused_whole(
    database: Database, engine: Engine, tmp_path: Path, content: str, told: str
) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(content)
    refused(lab("site", "apply", str(file), LAB_DATABASE_URL=database.url), told)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM site")) == 0


def test_a_missing_site_file_is_named(database: Database) -> None:
    done = lab("site", "apply", "/no/such/site.yaml", LAB_DATABASE_URL=database.url)
    refused(done, "/no/such/site.yaml")


def test_a_site_file_is_shown_dry_applied_and_then_left_alone(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(SITE))
    variables = {"LAB_DATABASE_URL": database.url}
    dry = lab("site", "apply", str(file), "--dry-run", **variables)
    assert "+ device g1" in dry.stdout
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM device")) == 0
    assert "+ device g1" in lab("site", "apply", str(file), **variables).stdout
    assert "nothing to change" in lab("site", "apply", str(file), **variables).stdout


def test_a_faulty_map_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    table, mapping = tmp_path / "levels.csv", tmp_path / "map.yaml"
    table.write_text("time,gauge,level\n2026-01-01T00:00:00Z,g1,35\n")
    mapping.write_text("{site: s, time: when, zone: UTC, device: gauge, fields: {level: level}}")
    refused(lab("replay", str(table), "--map", str(mapping)), "when")
    refused(lab("replay", "/no/such.csv", "--map", str(mapping)), "/no/such.csv")


def test_doctor_tells_what_is_wrong_and_exits_2(database: Database, nowhere: str) -> None:
    broker = f"mqtt://127.0.0.1:{nowhere}"
    done = lab("doctor", LAB_DATABASE_URL=database.url, LAB_MQTT_URL=broker)
    assert done.returncode == 2
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert "LAB_MQTT_URL" in line


def test_the_ledger_as_json_leaves_nothing_out(
    database: Database,
    engine: Engine,
    apply_site: object,
) -> None:
    apply_site(SITE)  # type: ignore[operator]
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO ledger (source_id, device_id, hour, kind, n)
                SELECT source.id, device.id, timestamptz '2026-01-01Z' + hour * interval '1 hour',
                       kind, 2
                FROM source JOIN device ON device.source_id = source.id,
                     generate_series(1, 1100) AS hour,
                     unnest(ARRAY['stored', 'item:unmapped']) AS kind
                WHERE device.key = 'g1'
            """)
        )
    done = lab("ledger", "--json", LAB_DATABASE_URL=database.url)
    told = json.loads(done.stdout)
    assert (told["totals"]["stored"], told["totals"]["published"]) == (2200, None)
    assert len({cell["hour"] for cell in told["items"]}) == len(told["items"]) == 1100
    assert told["items"][0]["rejected_items"] == 2
    shown = lab("ledger", LAB_DATABASE_URL=database.url).stdout.splitlines()
    assert sum("g1" in line for line in shown) == 20
    assert shown[-1].startswith("… and more")
    span = ("--from", "2026-01-02T00:00:00", "--to", "2026-01-02T03:00:00", "--device", "g1")
    told = json.loads(lab("ledger", "--json", *span, LAB_DATABASE_URL=database.url).stdout)
    assert [cell["hour"][11:13] for cell in told["items"]] == ["02", "01", "00"]
    assert told["totals"]["stored"] == 2200


def test_db_info_tells_edition_and_counts(database: Database) -> None:
    done = lab("db", "info", LAB_DATABASE_URL=database.url)
    assert done.returncode == 0, done.stderr
    facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line)
    assert facts["edition"] in ("plain", "apache", "community")
    assert facts["reading"].split()[0] == "0"


def test_db_upgrade_brings_an_empty_database_to_this_release(new_database: object) -> None:
    fresh: Database = new_database("lab_test_cli_upgrade")  # type: ignore[operator]
    assert lab("db", "upgrade", LAB_DATABASE_URL=fresh.url).returncode == 0
    assert lab("db", "check", LAB_DATABASE_URL=fresh.url).returncode == 0
    engine = sync_engine(fresh)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM reading")) == 0
    engine.dispose()


def test_replay_finds_the_site_that_has_the_devices(
    database: Database, engine: Engine, broker: object, apply_site: object, tmp_path: Path
) -> None:
    apply_site(SITE)  # type: ignore[operator]
    table, mapping = tmp_path / "levels.csv", tmp_path / "map.yaml"
    table.write_text("when,gauge,level\n2026-01-01T00:00:00Z,one,35\n2026-01-01T01:00:00Z,one,\n")
    mapping.write_text(
        "{time: when, zone: UTC, device: gauge, devices: {one: g1}, fields: {level: level}}"
    )
    variables = {"LAB_DATABASE_URL": database.url, "LAB_MQTT_URL": broker.url}  # type: ignore[attr-defined]
    done = lab("replay", str(table), "--map", str(mapping), **variables)
    assert (done.returncode, done.stdout) == (0, "published 1, repeats 0\n"), done.stderr
    with engine.begin() as connection:
        connection.execute(text("UPDATE device SET key = 'other'"))
    refused(lab("replay", str(table), "--map", str(mapping), **variables), "--site", "0 sites")
