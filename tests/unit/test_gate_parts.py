"""The gate's parts: buckets, addresses behind proxies, names of hosts, counted streams."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.gate.host import name_of
from services.api.gate.streams import Streams
from shared.http.buckets import Buckets, owner
from shared.http.peer import Peers
from shared.http.refusal import Refused
from shared.settings.network import networks

PROXIES = networks("10.0.0.0/8, 2001:db8:1::/48")


def request(peer: str | None, *forwarded: str, proto: str | None = None) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    if proto is not None:
        headers.append((b"x-forwarded-proto", proto.encode()))
    client = None if peer is None else (peer, 4711)
    return {"client": client, "headers": headers, "scheme": "http"}


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", (), "192.0.2.7"),
        ("192.0.2.7", ("198.51.100.1",), "192.0.2.7"),  # nobody we trust says so
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("127.0.0.1, 198.51.100.1",), "198.51.100.1"),  # the left is the client's own
        ("10.0.0.1", ("198.51.100.1, 10.0.0.2",), "198.51.100.1"),
        ("10.0.0.1", ("203.0.113.9", "198.51.100.1, 10.0.0.2"), "198.51.100.1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("198.51.100.1, rubbish",), "10.0.0.1"),
        ("10.0.0.1", ("unknown, 10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("198.51.100.1:5555",), "198.51.100.1"),
        ("10.0.0.1", ('"[2001:db8::7]:5555"',), "2001:db8::7"),
        ("2001:db8:1::1", ("2001:db8::7",), "2001:db8::7"),
        ("::ffff:10.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", (" , ,",), "10.0.0.1"),
        (None, ("198.51.100.1",), "unknown"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy(
    peer: str | None, forwarded: tuple[str, ...], client: str
) -> None:
    assert Peers(PROXIES).address(request(peer, *forwarded)) == client


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "HTTPS", "https"),
        ("10.0.0.1", "https, http", "http"),  # the nearest proxy is the last to speak
        ("10.0.0.1", "gopher", "http"),
        ("10.0.0.1", None, "http"),
        ("192.0.2.7", "https", "http"),
    ],
)
def test_the_scheme_is_a_trusted_proxy_s_word(peer: str, proto: str | None, scheme: str) -> None:
    assert Peers(PROXIES).scheme(request(peer, proto=proto)) == scheme


@given(st.text(), st.text())
def test_no_header_can_break_the_search_for_the_client(said: str, proto: str) -> None:
    scope = request("10.0.0.1")
    scope["headers"] = [
        (b"x-forwarded-for", said.encode("latin-1", "replace")),
        (b"x-forwarded-proto", proto.encode("latin-1", "replace")),
    ]
    placed = Peers(PROXIES).placed(scope)
    assert placed["state"]["address"]
    assert placed["scheme"] in ("http", "https")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:8000", "localhost"),
        ("LAB.City.Example", "lab.city.example"),
        ("[::1]:8000", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("localhost@evil.example", None),
        ("localhost/../evil", None),
        ("localhost?x", None),
        ("localhost#x", None),
        ("local host", None),
        ("localhost:port", None),
        ("[::1", None),
        ("", None),
    ],
)
def test_a_host_header_is_a_name_and_nothing_more(host: str, name: str | None) -> None:
    assert name_of(host) == name


def test_a_bucket_holds_a_minute_and_fills_evenly() -> None:
    buckets = Buckets(60)
    assert [buckets.take("a", 0.0) for _ in range(60)] == [0.0] * 60
    assert buckets.take("a", 0.0) == pytest.approx(1.0)
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 0.5) == pytest.approx(0.5)
    assert buckets.take("a", 1.0) == 0.0
    assert buckets.take("a", 1.0) == pytest.approx(1.0)
    assert [buckets.take("a", 1000.0) for _ in range(61)][-1] == pytest.approx(1.0)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=300), st.integers(1, 600))
def test_nobody_ever_gets_more_than_a_bucket_and_what_flowed_in(
    pauses: list[float], rate: int
) -> None:
    buckets, now, passed = Buckets(rate), 0.0, 0
    for pause in pauses:
        now += pause
        wait = buckets.take("key", now)
        passed += wait == 0
        assert passed <= rate + now * rate / 60 + 1
        assert 0 <= wait <= 60 / rate + 1e-6


def test_random_addresses_use_bounded_memory() -> None:
    buckets = Buckets(60, most=100)
    for number in range(10_000):
        buckets.take(f"2001:db8:{number:x}::/64", 0.0)
    assert len(buckets) == 100


def test_zero_is_no_limit() -> None:
    buckets = Buckets(0)
    assert {buckets.take("a", 0.0) for _ in range(10_000)} == {0.0}
    assert len(buckets) == 0


def test_all_addresses_of_one_ipv6_network_share_a_bucket() -> None:
    assert owner("2001:db8::1") == owner("2001:db8::ffff:2") == "2001:db8::/64"
    assert owner("192.0.2.7") == "192.0.2.7"
    assert owner("unknown") == "unknown"


def test_streams_are_bounded_each_and_in_all_and_given_back_on_errors() -> None:
    streams = Streams(most=3, each=2)
    with streams.held("a"), streams.held("a"):
        with pytest.raises(Refused) as told, streams.held("a"):
            pass
        assert (told.value.status, told.value.headers) == (429, {"Retry-After": "30"})
        with streams.held("b"):
            with pytest.raises(Refused) as told, streams.held("c"):
                pass
            assert told.value.status == 503
    with pytest.raises(KeyError), streams.held("a"):
        raise KeyError
    assert len(streams) == 0
