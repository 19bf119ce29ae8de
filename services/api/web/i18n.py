"""Three languages: translations compiled in memory, and numbers and times in each one's manner."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_interval, format_skeleton, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations

DIRECTORY: Final = Path(__file__).parent / "locale"
COOKIE: Final = "lang"
DEFAULT: Final = "en"
# British English: day before month and 24 hours, as most of ASEAN writes.
LOCALES: Final = {"en": "en_GB", "id": "id_ID", "ko": "ko_KR"}

Unit = Literal["day", "hour", "minute", "second"]
# Up to two days an age is told in hours: "yesterday" is too vague for a silent sensor.
_AGE_UNITS: Final[tuple[tuple[Unit, int, int], ...]] = (
    ("day", 86_400, 172_800),
    ("hour", 3_600, 3_600),
    ("minute", 60, 60),
    ("second", 1, 0),
)


@dataclass(frozen=True)
class Language:
    """One language of the pages: its words, and how it writes numbers and times."""

    code: str
    locale: Locale
    translations: Translations

    @property
    def tag(self) -> str:
        """BCP 47, for the browser's Intl."""
        return str(self.locale).replace("_", "-")

    @property
    def own_name(self) -> str:
        return str(self.locale.get_language_name(self.code))

    def word(self, text: str | None) -> str:
        """The translation of a text that came as data; the text itself where there is none."""
        return str(self.translations.gettext(text)) if text else ""

    def number(self, value: float | None, decimals: int = 0) -> str:
        """A number with exactly `decimals` places; – for null."""
        if value is None:
            return "–"
        pattern = f"#,##0.{'0' * decimals}" if decimals else "#,##0"
        return format_decimal(value, format=pattern, locale=self.locale)

    def short(self, value: float) -> str:
        """A number with as many of three decimal places as it has."""
        return format_decimal(value, format="#,##0.###", locale=self.locale)

    def percent(self, ratio: float | None) -> str:
        """A ratio as per cent with one place; – for null."""
        return "–" if ratio is None else format_percent(ratio, "#,##0.0%", self.locale)

    def day(self, time: datetime, zone: str) -> str:
        """The date on the calendar of `zone`, e.g. 22 Nov 2026."""
        return self._in(zone, time, "yMMMd")

    def moment(self, time: datetime, zone: str) -> str:
        """A time on the clocks of `zone`, e.g. 22 Nov 2026 17:05."""
        return f"{self.day(time, zone)} {self._in(zone, time, 'Hm')}"

    def second(self, time: datetime, zone: str) -> str:
        """A time to the second on the clocks of `zone`, e.g. 22 Nov 2026 17:05:09."""
        return f"{self.day(time, zone)} {self._in(zone, time, 'Hms')}"

    def span(self, start: datetime, end: datetime, zone: str) -> str:
        """Days from `start` to before `end`, e.g. 1 – 30 Nov 2026."""
        last = end - timedelta(microseconds=1)
        return format_interval(start, last, "yMMMd", ZoneInfo(zone), locale=self.locale)

    def duration(self, seconds: float) -> str:
        """A length of time in its largest fitting unit, e.g. 15 minutes."""
        return format_timedelta(timedelta(seconds=seconds), threshold=1, locale=self.locale)

    def ago(self, seconds: float) -> str:
        """An age, e.g. 5 minutes ago; live.js writes the same with Intl."""
        unit, size, _ = next(u for u in _AGE_UNITS if seconds >= u[2] or u[0] == "second")
        age = timedelta(seconds=max(1, int(seconds // size)) * size)
        # A threshold no age reaches keeps Babel from choosing another unit.
        return format_timedelta(
            -age, granularity=unit, threshold=1e9, add_direction=True, locale=self.locale
        )

    def _in(self, zone: str, time: datetime, skeleton: str) -> str:
        return format_skeleton(skeleton, time, ZoneInfo(zone), fuzzy=True, locale=self.locale)


def load() -> Mapping[str, Language]:
    """Every language, read from its .po file."""
    return {code: _read(code, locale) for code, locale in LOCALES.items()}


def choose(asked: str | None, kept: str | None, accepted: str | None) -> str:
    """A language code: `?lang=`, then the cookie, then Accept-Language, then English."""
    wanted = (asked, kept, *_by_preference(accepted or ""))
    return next((code for code in wanted if code in LOCALES), DEFAULT)


def _read(code: str, locale: str) -> Language:
    with (DIRECTORY / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalog = read_po(file, locale=code, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Language(code, Locale.parse(locale), Translations(compiled))


def _by_preference(header: str) -> list[str]:
    """Accept-Language as language codes, the best first; what cannot be read is left out."""
    ranked = []
    for place, part in enumerate(header[:500].split(",")):
        tag, _, weight = part.strip().partition(";q=")
        try:
            rank = float(weight or 1)
        except ValueError:
            continue
        ranked.append((-rank, place, tag.partition("-")[0].lower()))
    return [code for _, _, code in sorted(ranked)]
