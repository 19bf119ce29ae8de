"""NATS's protocol on one socket: whole messages however they are cut, and who is there."""

import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.nats_wire import Frame, Interrupted, Wire

INFO = b'INFO {"server_id":"x","max_payload":1048576}\r\n'
FRAMES = [
    Frame(1, b"$MQTT.msgs.a.\x0bb.c", b"$JS.ACK.s.q.1.2.3.4.5", b"NATS/1.0\r\nN:1\r\n\r\n", b"x"),
    Frame(1, "$MQTT.msgs.é".encode(), b"$JS.ACK.s.q.1.3.4.5.6", b"NATS/1.0\r\nN:1\r\n\r\n", b""),
    Frame(
        1, b"i.pulls", b"", b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 7\r\n\r\n", b""
    ),
    Frame(2, b"i.answers", b"", b"", b'{"a":\r\n"MSG x 1 2"}'),
    Frame(1, b"$MQTT.msgs.long", b"$JS.ACK.s.q.1.4.5.6.7", b"NATS/1.0\r\n\r\n", b"\r\n" * 40_000),
]


def told(frame: Frame) -> bytes:
    """A frame as NATS sends it."""
    words = [b"HMSG" if frame.headers else b"MSG", frame.subject, b"%d" % frame.subscription]
    words += [frame.reply] if frame.reply else []
    words += [b"%d" % len(frame.headers)] if frame.headers else []
    body = frame.headers + frame.payload
    return b" ".join([*words, b"%d" % len(body)]) + b"\r\n" + body + b"\r\n"


def served(pieces: list[bytes]) -> Iterator[tuple[Wire, list[bytes]]]:
    """A wire to a server that greets, then sends these; and what it was told."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.sendall(INFO)
                heard.append(peer.recv(4096))
                peer.sendall(b"PONG\r\n")
                for piece in pieces:
                    peer.sendall(piece)
                while said := peer.recv(4096):
                    heard.append(said)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        port = listening.getsockname()[1]
        wire = Wire(f"nats://worker:p%40ss@127.0.0.1:{port}", ssl.create_default_context(), "i")
        try:
            yield wire, heard
        finally:
            wire.close()
            server.join(5)


def read(wire: Wire, until: Callable[[list[Frame]], bool]) -> list[Frame]:
    frames: list[Frame] = []
    while not until(frames):
        frames += wire.read()
    return frames


def read_refusal() -> None:
    """It may come with the greeting already."""
    for wire, _ in served([b"-ERR 'Permissions Violation for Publish to \"x\"'\r\n"]):
        read(wire, bool)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 200_000), max_size=4))
def test_messages_are_whole_however_the_network_cuts_them(cuts: list[int]) -> None:
    stream = b"".join(map(told, FRAMES))
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    for wire, heard in served(pieces):
        assert read(wire, lambda frames: len(frames) >= len(FRAMES)) == FRAMES
        assert b'"user": "worker", "pass": "p@ss"' in heard[0]


def test_a_ping_is_answered_and_a_refusal_ends_the_connection() -> None:
    for wire, heard in served([b"PING\r\n", told(FRAMES[0])]):
        assert read(wire, bool) == FRAMES[:1]
        while b"PONG\r\n" not in b"".join(heard[1:]):
            wire.read()
    with pytest.raises(Interrupted, match="Permissions Violation"):
        read_refusal()


def test_what_is_pulled_while_a_request_is_answered_is_read_afterwards() -> None:
    answer = Frame(2, b"i.answers", b"", b"", b'{"created": "now"}')
    for wire, _ in served([told(FRAMES[0]) + told(answer)]):
        assert wire.ask("$JS.API.X", {}) == {"created": "now"}
        assert wire.read() == FRAMES[:1]


def test_nobody_there_to_answer_is_no_answer() -> None:
    nobody = Frame(2, b"i.answers", b"", b"NATS/1.0 503\r\n\r\n", b"")
    for wire, _ in served([told(nobody)]):
        with pytest.raises(Interrupted, match="has it a leader"):
            wire.ask("$JS.API.X", {})
