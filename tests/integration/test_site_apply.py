"""`lab site apply`: idempotent, with a diff, refusing what does not hang together."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from shared import site_file
from shared.db import sites, tables
from shared.site_file import SiteFileError, parse

pytestmark = pytest.mark.database

SITE: dict[str, Any] = {
    "site": {
        "key": "cibinong",
        "name": "Cibinong",
        "zone": "Asia/Jakarta",
        "lat": -6.48,
        "lon": 106.85,
        "stage": "experiment",
    },
    "sources": [{"key": "plain", "adapter": "lab", "filters": ["livinglab/cibinong/#"]}],
    "profiles": [
        {
            "key": "gauge",
            "interval_s": 900,
            "fields": {"level": {"property": "water_level", "unit": "cm"}},
        }
    ],
    "pilots": [
        {
            "key": "flood",
            "service": "SEC-02",
            "kind": "flood",
            "phase": 1,
            "origin": "simulated",
        }
    ],
    "devices": [
        {
            "key": "g1",
            "pilot": "flood",
            "profile": "gauge",
            "source": "plain",
            "planned": "2026-01-01",
            "origin": "simulated",
        }
    ],
}
Apply = Callable[[object], list[str]]


def changed(path: str, value: object) -> dict[str, Any]:
    """SITE with one place replaced; numbers in the path are list indices."""
    site = copy.deepcopy(SITE)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = site
    for step in steps:
        place = place[step]
    place[last] = value
    return site


def test_applying_twice_changes_nothing(apply_site: Apply) -> None:
    first = apply_site(SITE)
    assert "+ device g1" in first
    assert "+ datastream g1 water_level" in first
    assert apply_site(SITE) == []


def test_a_change_is_told_with_both_values(apply_site: Apply, engine: Engine) -> None:
    apply_site(SITE)
    assert apply_site(changed("pilots.0.phase", 2)) == ["~ pilot flood: phase: 1 → 2"]
    with engine.connect() as connection:
        assert connection.scalar(select(tables.pilot.c.phase)) == 2


def test_a_date_without_offset_is_local_midnight(apply_site: Apply, engine: Engine) -> None:
    apply_site(SITE)
    with engine.connect() as connection:
        planned = connection.scalar(select(tables.device.c.planned))
    assert planned.isoformat() == "2025-12-31T17:00:00+00:00"


def test_a_rolled_back_apply_leaves_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        assert sites.apply(connection, parse(SITE))
        connection.rollback()
        assert connection.scalar(text("SELECT count(*) FROM site")) == 0


def test_an_id_of_another_site_is_refused(apply_site: Apply) -> None:
    ours = changed("devices.0.id", "eui:0101010101010101")
    apply_site(ours)
    theirs = copy.deepcopy(ours)
    theirs["site"]["key"] = "bandung"
    theirs["sources"][0]["filters"] = ["livinglab/bandung/#"]
    with pytest.raises(SiteFileError, match="already registered"):
        apply_site(theirs)


def test_a_topic_of_another_source_is_refused(apply_site: Apply) -> None:
    apply_site(SITE)
    renamed = changed("sources.0.key", "other")
    renamed["devices"] = []
    with pytest.raises(SiteFileError, match="overlaps 'livinglab/cibinong/#' of source 'plain'"):
        apply_site(renamed)


@pytest.mark.parametrize("part", ["pilot", "device"])
def test_what_was_simulated_never_becomes_measured(apply_site: Apply, part: str) -> None:
    apply_site(SITE)
    measured = changed("pilots.0.origin", "measured")
    measured["devices"][0] |= {"origin": "measured"}
    if part == "device":
        measured["pilots"][0] |= {"key": "flood-2"}
        measured["devices"][0] |= {"pilot": "flood-2"}
    with pytest.raises(SiteFileError, match=f"{part} .*: its origin is simulated"):
        apply_site(measured)


def test_a_zone_the_database_does_not_know_is_refused(
    apply_site: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_file, "available_timezones", lambda: {"Mars/Olympus"})
    with pytest.raises(SiteFileError, match="the database knows no time zone 'Mars/Olympus'"):
        apply_site(changed("site.zone", "Mars/Olympus"))


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("devices.0.planned", "0001-01-01", "years 1900 to 2200"),
        ("devices.0.shift_s", 10**30, "devices.0.shift_s"),
        ("site.zone", "Asia/Bandung", "no IANA time zone"),
        ("site.lat", 200, "site.lat"),
        ("site.colour", "red", "site.colour"),
        ("devices.0.pilot", "nope", "unknown pilot 'nope'"),
        ("devices.0.source", "nope", "unknown source 'nope'"),
        ("devices.0.origin", "measured", "cannot join pilot"),
        ("devices.0.lat", 1.0, "lat and lon go together"),
        ("devices.0.id", "eui:XYZ", "devices.0.id"),
        ("profiles.0.fields.level.property", "wetness", "unknown 'wetness'"),
        ("profiles.0.fields.level.unit", "Cel", "temperature"),
        ("sources.0.filters", ["#"], "plain level"),
        ("sources.0.filters", ["a/b", "a/+"], "overlap"),
        ("pilots.0.phase", 4, "pilots.0.phase"),
    ],
)
def test_a_fault_is_named_with_its_place(path: str, value: object, told: str) -> None:
    with pytest.raises(SiteFileError, match=told) as caught:
        parse(changed(path, value))
    assert "\n" not in str(caught.value)
