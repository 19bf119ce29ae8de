"""`lab demo` as a user runs it: balanced books, true copies, and nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.db.engine import sync_engine
from shared.embedded import postgres
from shared.embedded.nats import free_port
from shared.settings import Database
from simulators import scenario
from tests.recordings import FILES, shipped

NAME = "cibinong-testbed"
COUNTS = {
    *("published", "stored", "rejected", "pending", "repeats"),
    *("readings", "findings", "pilots"),
    *("planted", "planted_found", "unplanted"),
}


def lab(*arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "services.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("LAB_")},
        **options,  # type: ignore[call-overload]
    )


def checked_demo(directory: Path, *scenarios: str) -> dict[str, int]:
    """Run a short demo with --check; returns its counts, asserting exit code 0."""
    named = [part for name in scenarios for part in ("--scenario", name)]
    port = str(free_port())
    run = lab(
        *("demo", "--for", "1", "--check", "--data", str(directory), "--port", port),
        *("--mqtt-port", str(free_port()), *named),
    )
    out, err = run.communicate(timeout=280)
    assert run.returncode == 0, err
    return dict(json.loads(out))


def stored(directory: Path) -> dict[tuple[str, str, datetime], float]:
    """What the demo left in its database, with the devices' shift taken back."""
    with postgres.running(directory / "postgres") as url:
        engine = sync_engine(Database(url=url))
        with engine.connect() as connection:
            rows = connection.execute(
                text("""
                    SELECT device.key, property, time, shift_s, value FROM reading
                    JOIN datastream ON datastream.id = datastream_id
                    JOIN device ON device.id = device_id
                    WHERE derived_by IS NULL
                """)
            ).all()
        engine.dispose()
    return {(key, prop, at - timedelta(seconds=shift)): v for key, prop, at, shift, v in rows}


@pytest.mark.long  # in short: tests/integration/test_recorded_series.py
@pytest.mark.timeout(600)
def test_recorded_series_arrive_value_for_value_and_again_without_change(tmp_path: Path) -> None:
    counts = checked_demo(tmp_path / "lab", "recorded")
    assert set(counts) == COUNTS
    expected = {key: value for name in FILES for key, value in shipped(name).items()}
    assert counts["published"] == counts["stored"] == len(expected) >= 5000
    assert counts["repeats"] == 120  # the rows that stand twice in the source
    assert (counts["rejected"], counts["pending"]) == (0, 0)
    assert stored(tmp_path / "lab") == expected

    again = checked_demo(tmp_path / "lab", "recorded")
    assert again["published"] == again["stored"] == len(expected)
    assert stored(tmp_path / "lab") == expected


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_books_balance_and_what_was_planted_is_found(tmp_path: Path) -> None:
    counts = checked_demo(tmp_path / "lab", "bandung-poc")
    assert set(counts) == COUNTS
    assert counts["published"] == counts["stored"] > 20_000
    assert (counts["rejected"], counts["pending"]) == (0, 0)
    assert counts["findings"] >= counts["planted"] == counts["planted_found"] > 0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_simulated_pilots_find_what_was_planted_and_nothing_else(tmp_path: Path) -> None:
    counts = checked_demo(tmp_path / "lab", NAME)
    assert counts["published"] == counts["stored"] > 40_000
    assert counts["pilots"] == 5
    assert counts["planted"] == counts["planted_found"] >= 20
    assert counts["unplanted"] <= 1, "in five weeks: about one a month"
    anchor = datetime.fromisoformat((tmp_path / "lab" / "anchor").read_text().strip())
    found = found_in(tmp_path / "lab")
    assert len(found) == counts["findings"] >= counts["planted"]
    leak = next(
        row for row in scenario.known()[NAME].planted(anchor, anchor, 1) if row.what == "burst"
    )
    (told,) = [row for row in found if row[:2] == (leak.device, "leakage")]
    assert abs(told[3] - leak.start) < timedelta(days=2), "the first night that shows it"
    assert told[4] is not None
    assert abs(told[4] - leak.end) < timedelta(days=3), "the night that shows the repair"


def found_in(directory: Path) -> list[tuple[str, str, str, datetime, datetime | None]]:
    """Device, kind, severity and span of every finding that stands."""
    with postgres.running(directory / "postgres") as url:
        engine = sync_engine(Database(url=url))
        with engine.connect() as connection:
            rows = connection.execute(
                text("""
                    SELECT device.key, kind, severity, started_at, ended_at FROM finding
                    LEFT JOIN datastream ON datastream.id = finding.datastream_id
                    JOIN device ON device.id = coalesce(finding.device_id, datastream.device_id)
                    WHERE withdrawn_at IS NULL
                """)
            ).all()
        engine.dispose()
    return [tuple(row) for row in rows]  # type: ignore[misc]


def descendants(pid: int) -> set[int]:
    """All processes below one, from /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    frontier = {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found |= frontier
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie waits for its reaper and runs no more."""
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            running.add(pid)
    return running


@pytest.mark.parametrize(
    "ending", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)]
)
def test_no_end_of_the_supervisor_leaves_anything_running(
    tmp_path: Path, ending: signal.Signals
) -> None:
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # in a background ignored
    demo = lab(
        *("demo", "--data", str(tmp_path / "lab"), "--port", str(free_port())),
        *("--mqtt-port", str(free_port()), "--scenario", NAME),
    )
    signal.signal(signal.SIGINT, heard)
    try:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "Ctrl-C" in line:
                break
        children = descendants(demo.pid)
        names = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children]
        assert any(b"postgres" in name for name in names)
        assert any(b"nats-server" in name for name in names)
        assert sum(b"services.cli" in name for name in names) >= 4
    finally:
        demo.send_signal(ending)
    out, err = demo.communicate(timeout=200)
    deadline = time.monotonic() + 60
    while left := alive(children):
        assert time.monotonic() < deadline, (left, out, err)
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scenario", "nope"], "scenario 'nope' is unknown"),
        (["--check"], "--for"),
        (["--port", "{free}", "--data", "{full}"], "holds files of something else"),
        (["--port", "{free}", "--data", "{half}"], "not a complete PostgreSQL cluster"),
        (["--port", "{taken}"], "is in use"),
    ],
)
def test_a_bad_start_is_one_clear_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    full, half = tmp_path / "full", tmp_path / "half"
    full.mkdir()
    (full / "letter.txt").write_text("dear diary")
    (half / "postgres" / "cluster").mkdir(parents=True)
    (half / "livinglab-demo").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        places = {"full": full, "half": half, "taken": port, "free": free_port()}
        demo = lab("demo", *(each.format(**places) for each in arguments))
        out, err = demo.communicate(timeout=200)
    assert demo.returncode == 2, (out, err)
    assert told in err
    assert "Traceback" not in err
    assert [*full.iterdir()] == [full / "letter.txt"]
