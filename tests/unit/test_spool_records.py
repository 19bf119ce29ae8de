"""Records of the spool: a torn tail is cut, what is damaged is skipped, nothing else is lost."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.spool.record import Damage, encode, scan
from services.ingest.uplink import Message

SALT = bytes(range(8))
NOW = datetime(2026, 11, 30, 4, 5, 6, 789012, UTC)
messages = st.builds(
    Message,
    st.text(max_size=20),
    st.binary(max_size=60),
    st.timedeltas(timedelta(), timedelta(days=90_000)).map(
        lambda past: datetime(1970, 1, 1, tzinfo=UTC) + past
    ),
    st.just(0),  # how to acknowledge it is over once it is in the spool
    st.just(0),
)


def some(count: int) -> list[Message]:
    return [Message(f"a/{i}", bytes([i]) * i, NOW + timedelta(seconds=i)) for i in range(count)]


def whole(data: bytes) -> list[Message]:
    return [each for each in scan(data, SALT) if isinstance(each, Message)]


@given(st.lists(messages, max_size=8))
def test_what_is_written_is_read(written: list[Message]) -> None:
    assert [*scan(b"".join(encode(m, SALT) for m in written), SALT)] == written


def test_a_tail_torn_at_any_byte_costs_only_the_record_it_is_in() -> None:
    records = [encode(m, SALT) for m in some(3)]
    before, data = len(records[0]) + len(records[1]), b"".join(records)
    for end in range(before + 1, len(data)):
        *read, damage = scan(data[:end], SALT)
        assert read == some(2)
        assert damage == Damage(before, end - before, torn=True)


def test_any_flipped_byte_costs_only_the_record_it_is_in_and_is_no_torn_tail() -> None:
    written = some(4)
    data = b"".join(encode(m, SALT) for m in written)
    ends = [len(b"".join(encode(m, SALT) for m in written[: i + 1])) for i in range(4)]
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 0x40
        hit = next(i for i, end in enumerate(ends) if place < end)
        found = [*scan(bytes(flipped), SALT)]
        assert [m for m in found if isinstance(m, Message)] == written[:hit] + written[hit + 1 :]
        (damage,) = [each for each in found if isinstance(each, Damage)]
        assert not damage.torn
        assert damage.size == len(encode(written[hit], SALT))


@given(st.lists(messages, max_size=5), st.binary(max_size=200), st.lists(messages, max_size=5))
def test_whatever_lies_between_is_passed_over(
    first: list[Message], junk: bytes, then: list[Message]
) -> None:
    data = b"".join(encode(m, SALT) for m in first) + junk
    assert whole(data + b"".join(encode(m, SALT) for m in then)) == first + then


def test_a_record_a_sender_wrote_into_its_payload_is_never_read_as_one() -> None:
    forged = encode(Message("livinglab/elsewhere/g1/up", b"{}", NOW), bytes(8))
    data = bytearray(encode(Message("a", forged, NOW), SALT) + encode(some(1)[0], SALT))
    data[5] ^= 1  # the head that carries it is damaged: the next one is looked for byte by byte
    assert whole(bytes(data)) == some(1)
