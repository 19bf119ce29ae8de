"""Which event times a source's clock rule lets in, and late data that opens its hours again."""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from services.analytics import rollup, runner
from services.ingest.uplink import ByTopic, Record, Uplink, on_arrival
from shared.settings import Database
from shared.site_file import SiteFileError, parse
from tests.integration.test_site_apply import SITE
from tests.integration.written import Ingest, writing

pytestmark = pytest.mark.database
AT = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
UP = "livinglab/cibinong/g1/up"
Apply = Callable[..., Any]


def ruled(clock: dict[str, Any] | None) -> dict[str, Any]:
    content: dict[str, Any] = deepcopy(SITE)
    if clock:
        content["sources"][0]["clock"] = clock
    return content


def send(ingest: Ingest, time: datetime | str, level: float = 50) -> None:
    told = time if isinstance(time, str) else time.isoformat()
    ingest.send(UP, {"time": told, "id": told, "values": {"level": level}}, AT)


@pytest.mark.parametrize(
    ("clock", "time", "counted"),
    [
        (None, "2000-01-01T00:00:00Z", {"rejected:bad_clock": 1}),
        (None, AT + timedelta(minutes=11), {"rejected:bad_clock": 1}),
        (None, AT + timedelta(minutes=9), {"stored": 1}),
        ({"earliest": "2026-01-01"}, "2025-12-31T16:59:00Z", {"rejected:bad_clock": 1}),
        ({"earliest": "2026-01-01"}, "2025-12-31T17:00:00Z", {"stored": 1}),  # in Jakarta
        ({"lead_s": 30}, AT + timedelta(minutes=1), {"rejected:bad_clock": 1}),
        ({"lead_s": 3600}, AT + timedelta(minutes=59), {"stored": 1}),
        ({"use": "arrival"}, AT - timedelta(days=1), {"stored": 1}),
        ({"use": "arrival"}, "2000-01-01T00:00:00Z", {"stored": 1, "unkeyed": 1}),
    ],
)
def test_a_source_says_which_times_are_believed(
    database: Database,
    engine: Engine,
    apply_site: Apply,
    clock: dict[str, Any] | None,
    time: datetime | str,
    counted: dict[str, int],
) -> None:
    apply_site(ruled(clock))
    assert apply_site(ruled(clock)) == []
    with writing(database, engine) as ingest:
        send(ingest, time)
        assert ingest.counted() == counted
        if "unkeyed" in counted:
            assert [row["time"] for row in ingest.rows("SELECT time FROM reading")] == [AT]


def test_only_values_of_the_unusable_time_itself_move() -> None:
    broken, good = datetime(2000, 1, 1, tzinfo=UTC), AT - timedelta(hours=1)
    told = [Record(broken, {"level": 1}), Record(good, {"level": 2})]
    moved = on_arrival(Uplink(ByTopic("s", "d"), "k", broken, told), AT)
    assert [each.time for each in moved.records] == [AT, good]
    assert (moved.observed_at, moved.keyed) == (AT, False)


def test_a_rule_that_is_none_is_refused_with_its_place() -> None:
    with pytest.raises(SiteFileError, match=r"sources\.0\.clock\.use"):
        parse(ruled({"use": "guess"}))


def test_late_data_opens_its_hour_again(
    database: Database, engine: Engine, apply_site: Apply
) -> None:
    apply_site(ruled(None))
    early = AT - timedelta(days=40)
    with writing(database, engine) as ingest:
        send(ingest, early, 10)
        assert _hourly(engine, ingest) == [(1, pytest.approx(0.10))]
        send(ingest, AT, 90)
        send(ingest, early + timedelta(minutes=1), 20)
        assert _hourly(engine, ingest) == [(2, pytest.approx(0.20)), (1, pytest.approx(0.90))]


def _hourly(engine: Engine, ingest: Ingest) -> list[tuple[int, float]]:
    while runner.run_slice(engine, rollup.JOB):
        pass
    return [
        (row["n"], row["max"]) for row in ingest.rows("SELECT * FROM reading_hourly ORDER BY hour")
    ]
