"""Topic filters as NATS subjects: what the filter covers, and nothing else."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain import topic
from shared.domain.subject import NotForNats, subjects, topic_of

LEVEL = st.text("ab.-é$", max_size=3)
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.one_of(LEVEL, st.just("+")), min_size=1, max_size=4))
    if draw(st.booleans()):
        levels.append("#")
    return "/".join(levels) or "a"


def as_nats_does(name: str) -> str:
    """A topic's subject by NATS's own walk over its characters, as it stands in server/mqtt.go."""
    out = ""
    for i, char in enumerate(name):
        if char == "/":
            if i == 0 or out[-1] == ".":
                out += "/."
            elif i == len(name) - 1 or name[i + 1] == "/":
                out += "./"
            else:
                out += "."
        else:
            out += "//" if char == "." else char
    return f"{out}/" if out.endswith(".") else out


def covers(subject: str, name: str) -> bool:
    """Whether NATS lets a message of this subject pass."""
    want, have = subject.split("."), name.split(".")
    for i, token in enumerate(want):
        if i >= len(have):
            return False
        if token == ">":
            return True
        if token not in ("*", have[i]):
            return False
    return len(want) == len(have)


@given(filters(), TOPIC)
@example("a/#", "a")
@example("a/#", "a/")
@example("/a/+/up", "/a//up")
@example("a.b/+", "a/b")
@example("a.b/+", "a.b/c.d")
def test_a_source_may_publish_what_its_filter_covers_and_nothing_else(
    wanted: str, name: str
) -> None:
    passes = any(covers(subject, as_nats_does(name)) for subject in subjects(wanted))
    assert passes == topic.matches(wanted, name)


@given(filters(), TOPIC)
def test_a_subject_is_told_as_the_topic_it_stands_for(wanted: str, name: str) -> None:
    assert topic_of(subjects(wanted)[0]) == wanted
    assert topic_of(as_nats_does(name)) == name


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("livinglab/bogor/+/up", ("livinglab.bogor.*.up",)),
        ("livinglab/bogor/#", ("livinglab.bogor.>", "livinglab.bogor")),
        ("v3/flood@city/devices/#", ("v3.flood@city.devices.>", "v3.flood@city.devices")),
        ("/milesight/+/up", ("/.milesight.*.up",)),
        ("site.one/+", ("site//one.*",)),
    ],
)
def test_filters_in_use(wanted: str, told: tuple[str, ...]) -> None:
    assert subjects(wanted) == told


@pytest.mark.parametrize("wanted", ["a b/#", "a/>", "a/*/b", "a\tb"])
def test_what_nats_would_read_otherwise_is_refused(wanted: str) -> None:
    with pytest.raises(NotForNats):
        subjects(wanted)
