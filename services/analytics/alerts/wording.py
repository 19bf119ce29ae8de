"""One line for a finding, in English, Indonesian and Korean."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from services.analytics import silent
from services.analytics.alerts.alert import Alert
from services.analytics.pilot import kinds

LANGUAGES: Final = ("en", "id", "ko")

# Indonesian and Korean; English is what the pilot kind calls it, so that pages say the same. A kind
# of finding not listed is told in English.
WHAT: Final[Mapping[str, tuple[str, str]]] = {
    "air_quality": ("Udara tidak sehat", "대기질 나쁨"),
    "continuous_flow": (
        "Tidak ada jam tanpa aliran selama 24 jam",
        "24시간 동안 물이 멈춘 시간이 없음",
    ),
    "flood": ("Muka air pada Siaga 3 atau lebih", "수위가 시아가(Siaga) 3 이상"),
    "full": ("Tempat parkir penuh", "주차장 만차"),
    "leakage": ("Dugaan kebocoran", "누수 의심"),
    "meter_gap": ("Tidak ada bacaan lebih dari 24 jam", "24시간 넘게 값이 없음"),
    "meter_reset": (
        "Indeks direset, meter diganti, atau bacaan asing",
        "지침 초기화, 계량기 교체 또는 이질적인 값",
    ),
    "overstay": ("Parkir melebihi batas waktu", "허용 시간을 넘긴 주차"),
    "silent": ("Perangkat diam", "기기 무응답"),
    "threshold": ("Nilai melampaui batas", "값이 한계를 벗어남"),
    "water_quality": ("Mutu air melampaui batas", "수질 기준 초과"),
}
SEVERITY: Final[Mapping[str, tuple[str, str, str]]] = {
    "info": ("Notice", "Pemberitahuan", "알림"),
    "warning": ("Warning", "Waspada", "주의"),
    "alarm": ("Alarm", "Siaga", "경보"),
    "critical": ("Critical", "Awas", "위급"),
}
ORIGIN: Final[Mapping[str, tuple[str, str, str]]] = {
    "recorded": ("recorded", "rekaman", "기록"),
    "simulated": ("simulated", "simulasi", "모의"),
}
SINCE: Final = ("since {}", "sejak {}", "{}부터")


def lines(alert: Alert) -> dict[str, str]:
    """The line in each language: severity, what (by which rule), where, when on the site's clocks.

    What is not measured says so. No line breaks: it may become a subject or a text message.
    """
    return {language: _line(alert, i) for i, language in enumerate(LANGUAGES)}


def _line(alert: Alert, language: int) -> str:
    english = label(alert.kind)
    what = (english, *WHAT.get(alert.kind, (english, english)))[language]
    where = (alert.evidence.get("rule"), alert.device, alert.pilot, alert.site_name)
    parts = [what, *(str(each) for each in where if each), _when(alert, language)]
    if alert.origin in ORIGIN:
        parts.append(f"({ORIGIN[alert.origin][language]})")
    return " ".join(f"{SEVERITY[alert.severity][language]}: {' · '.join(parts)}".split())


def label(kind: str) -> str:
    """What this kind of finding is called, in English; its key where nothing names it."""
    described = {each.kind: each.label for pilot in kinds().values() for each in pilot.findings}
    return {silent.KIND: silent.LABEL, **described}.get(kind, kind)


def _when(alert: Alert, language: int) -> str:
    start = _local(alert.started_at, alert.zone)
    if alert.ended_at is None:
        return SINCE[language].format(start)
    return f"{start} – {_local(alert.ended_at, alert.zone)}"


def _local(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %Z")
