"""Units, topics and quality by properties, beside a plain second way to the same answer."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import topic
from shared.domain.quality import Quality, grade
from shared.domain.unit import UNITS, UnitError, converter

PAIRS = [
    (a, b) for a in UNITS for b in UNITS if a != b and UNITS[a].dimension == UNITS[b].dimension
]
values = st.floats(-1e12, 1e12)
levels = st.sampled_from(["a", "b", "", "$SYS", "é"])
names = st.lists(levels, min_size=1, max_size=5).map("/".join)
filters = st.lists(st.sampled_from(["a", "b", "", "+"]), min_size=1, max_size=4).flatmap(
    lambda whole: st.sampled_from(["/".join(whole), "/".join([*whole, "#"])])
)


@given(st.sampled_from(PAIRS), values)
def test_a_value_comes_back_from_any_other_unit(pair: tuple[str, str], value: float) -> None:
    there, back = converter(*pair), converter(*reversed(pair))
    # Offsets cost digits of small values: a kelvin is known to 1e-13 of 273.
    assert math.isclose(back(there(value)), value, rel_tol=1e-9, abs_tol=1e-9)


@given(st.sampled_from(PAIRS), values, values)
def test_conversion_keeps_the_order(pair: tuple[str, str], one: float, other: float) -> None:
    convert = converter(*pair)
    assert (convert(one) <= convert(other)) or one > other


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_itself_exactly_and_no_other_dimension(unit: str) -> None:
    assert converter(unit, unit)(0.1) == 0.1
    stranger = next(name for name in UNITS if UNITS[name].dimension != UNITS[unit].dimension)
    with pytest.raises(UnitError):
        converter(unit, stranger)


@given(filters, names)
def test_a_filter_covers_what_the_standard_says(wanted: str, name: str) -> None:
    pattern = re.escape(wanted).replace(r"\+", "[^/]*")
    pattern = re.sub(r"(^|/)\\#$", lambda m: "(/.*)?" if m[1] else ".*", pattern)
    assert topic.matches(wanted, name) == bool(re.fullmatch(pattern, name))


@st.composite
def covering(draw: st.DrawFn, name: str) -> str:
    """A filter that covers a topic."""
    levels = [draw(st.sampled_from([level, "+"])) for level in name.split("/")]
    kept = draw(st.integers(1, len(levels)))
    return "/".join(levels if kept == len(levels) else [*levels[:kept], "#"])


@given(names.flatmap(lambda name: st.tuples(covering(name), covering(name), st.just(name))))
def test_filters_that_cover_one_topic_overlap(drawn: tuple[str, str, str]) -> None:
    one, other, name = drawn
    assert topic.matches(one, name)
    assert topic.matches(other, name)
    assert topic.overlaps(one, other)
    assert topic.overlaps(other, one)


spans = st.none() | st.tuples(values, values).map(lambda pair: (min(pair), max(pair)))


@given(values, spans, spans)
def test_quality_is_the_worst_span_left(
    value: float, hard: tuple[float, float] | None, soft: tuple[float, float] | None
) -> None:
    outside = [span is not None and not span[0] <= value <= span[1] for span in (hard, soft)]
    expected = (
        Quality.FAIL
        if outside[0]
        else Quality.SUSPECT
        if outside[1]
        else Quality.GOOD
        if hard or soft
        else Quality.NOT_EVALUATED
    )
    assert grade(value, hard, soft) == expected
