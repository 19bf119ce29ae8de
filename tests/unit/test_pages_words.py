"""How the pages say ages, numbers and states."""

from datetime import UTC, datetime

import pytest

from services.api.web import labels
from services.api.web.facts import facts
from services.api.web.render import LANGUAGES
from services.api.web.status import speaking, worst

NOON = datetime(2026, 11, 22, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second ago"),
        (59.9, "59 seconds ago"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600 * 47.9, "47 hours ago"),
        (86_400 * 2, "2 days ago"),
        (86_400 * 400, "400 days ago"),
    ],
)
def test_an_age_is_rounded_down_in_one_unit(seconds: float, words: str) -> None:
    assert LANGUAGES["en"].ago(seconds) == words


@pytest.mark.parametrize(
    ("language", "number", "moment", "age"),
    [
        ("en", "1,234.500", "22 Nov 2026 12:00", "5 minutes ago"),
        ("id", "1.234,500", "22 Nov 2026 12.00", "5 menit yang lalu"),
        ("ko", "1,234.500", "2026년 11월 22일 12:00", "5분 전"),
    ],
)
def test_each_language_writes_in_its_own_manner(
    language: str, number: str, moment: str, age: str
) -> None:
    spoken = LANGUAGES[language]
    assert spoken.number(1234.5, 3) == number
    assert spoken.moment(NOON, "Asia/Jakarta") == moment
    assert spoken.ago(301) == age


def test_what_is_unknown_is_a_dash() -> None:
    assert LANGUAGES["en"].number(None, 3) == LANGUAGES["en"].percent(None) == "–"


def test_a_window_is_named_by_its_days_in_the_zone_of_the_site() -> None:
    midnight = datetime(2026, 11, 21, 17, tzinfo=UTC)  # in Jakarta
    said = LANGUAGES["en"].span(midnight.replace(day=14), midnight, "Asia/Jakarta")
    assert said.replace("\u2009", " ") in ("15–21 Nov 2026", "15 – 21 Nov 2026")


@pytest.mark.parametrize(
    ("age", "interval", "status"),
    [
        (None, 900, "waiting"),
        (2700, 900, "live"),
        (2701, 900, "silent"),
        (9e9, None, "unjudged"),
    ],
)
def test_silent_is_more_than_three_intervals(
    age: float | None, interval: int | None, status: str
) -> None:
    assert speaking(age, interval) == status


def test_the_worst_state_stands_for_many() -> None:
    assert worst(["live", "alarm", "silent"]) == "alarm"
    assert worst(["live", "silent"]) == "silent"
    assert worst([]) == "waiting"


def test_reasons_and_evidence_become_words() -> None:
    text = "below_n_min: 3 of 5 devices; interval_unknown: 2 devices left out; new_code: x"
    assert labels.reasons(text) == [
        ("too few devices to judge by: counted / needed", "3 / 5"),
        ("devices left out, their interval is unknown", "2"),
        ("new_code", ""),
    ]
    evidence = {"peak_state": 2, "peak_at": "2026-11-22T05:00:00+00:00", "transitions": [1]}
    assert facts(evidence) == [("highest Siaga state", 2), ("peak at", NOON)]
