"""NATS's own protocol, the little of it that a pull consumer needs, on one blocking socket.

Why not nats-py here: it takes a vertical tab, which NATS lets into topics, for the end of a
subject, and then waits for ever; and a message costs it several times as much (deploy/README.md).
"""

import json
import socket
import ssl
import time
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from shared.settings.address import plain

CONNECT_S: Final = 5.0
SEND_S: Final = 10.0  # what takes longer is no connection any more
ANSWER_S: Final = 5.0  # of JetStream to a request
QUIET_S: Final = 5.0  # then we ask whether somebody is there, and hang up after as long again
LOOP_S: Final = 0.02  # how long an acknowledgement may wait for the network thread
_PULLED, _ANSWERS = 1, 2  # the ids of our two subscriptions
_RECEIVE_BYTES: Final = 2**18
_OPTIONS: Final = {
    **{"verbose": False, "pedantic": False, "lang": "python", "version": "livinglab"},
    **{"protocol": 1, "headers": True, "no_responders": True},
}


class Interrupted(Exception):
    """The connection is of no more use; the message says why."""


class Frame(NamedTuple):
    """One message as it came: `headers` are empty or begin with NATS/1.0."""

    subscription: int
    subject: bytes
    reply: bytes
    headers: bytes
    payload: bytes

    @property
    def pulled(self) -> bool:
        """Whether a pull brought it; else it answers a request."""
        return self.subscription == _PULLED


class Wire:
    """One connection, used by one thread; every method raises Interrupted or OSError."""

    def __init__(self, url: str, tls: ssl.SSLContext, inbox: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        self._inbox, self._buffer = inbox, bytearray()
        self._early: list[Frame] = []
        self._heard_at, self._asked_at = time.monotonic(), 0.0
        self._socket = socket.create_connection((host, parts.port or 4222), CONNECT_S)
        try:
            self._greet(tls if parts.scheme == "tls" else None, host, parts.username and url)
        except BaseException:
            self.close()
            raise

    def _greet(self, tls: ssl.SSLContext | None, host: str, account: str | None) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while b"\r\n" not in self._buffer:  # INFO, before TLS begins
            self._fill()
        self._buffer.clear()
        if tls:
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        options: dict[str, Any] = {**_OPTIONS, "name": self._inbox}
        if account:
            parts = urlsplit(account)
            options |= {"user": plain(parts.username), "pass": plain(parts.password)}
        self.send(
            f"CONNECT {json.dumps(options)}\r\n"
            f"SUB {self.pulls} {_PULLED}\r\nSUB {self.answers} {_ANSWERS}\r\nPING\r\n".encode()
        )
        self._early += self._until_pong()

    @property
    def pulls(self) -> str:
        """Where what is pulled is to be sent."""
        return f"{self._inbox}.pulls"

    @property
    def answers(self) -> str:
        """Where answers to requests are to be sent."""
        return f"{self._inbox}.answers"

    def read(self) -> list[Frame]:
        """What has arrived, after at most LOOP_S."""
        early, self._early = self._early, []
        if early:
            return early
        self._socket.settimeout(LOOP_S)
        try:
            self._fill()
        except TimeoutError:
            self._require_life()
        return self._frames()

    def send(self, lines: bytes) -> None:
        """Lines of the protocol, each with its end."""
        self._socket.settimeout(SEND_S)
        self._socket.sendall(lines)

    def publish(self, subject: str, body: object, reply: str) -> None:
        """A request in JSON; its answer comes to `reply`."""
        told = json.dumps(body).encode()
        self.send(f"PUB {subject} {reply} {len(told)}\r\n".encode() + told + b"\r\n")

    def ask(self, subject: str, body: object) -> dict[str, Any]:
        """The answer to a request; what is pulled meanwhile is read afterwards."""
        self.publish(subject, body, self.answers)
        deadline, kept = time.monotonic() + ANSWER_S, list[Frame]()
        while time.monotonic() < deadline:
            for frame in self.read():
                if frame.pulled:
                    kept.append(frame)
                elif frame.headers:  # 503: nobody is there to answer
                    raise Interrupted("JetStream does not answer: is it on, and has it a leader?")
                else:
                    self._early = kept
                    return dict(json.loads(frame.payload))
        raise Interrupted(f"no answer within {ANSWER_S:.0f} s to {subject}")

    def settled(self, lines: bytes = b"") -> list[Frame]:
        """What was on its way to us, once the server has read these lines and sends no more.

        Whoever hangs up with something unread may take back what he said last.
        """
        self.send(b"%bUNSUB %d\r\nPING\r\n" % (lines, _PULLED))
        return self._until_pong()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _fill(self) -> None:
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise Interrupted("the server hung up")
        self._heard_at = time.monotonic()
        self._buffer += data

    def _until_pong(self) -> list[Frame]:
        self._socket.settimeout(CONNECT_S)
        self._answered, frames = False, list[Frame]()
        while not self._answered:  # or it refuses us, which raises
            self._fill()
            frames += self._frames()
        return frames

    def _require_life(self) -> None:
        now = time.monotonic()
        if now - self._heard_at > 2 * QUIET_S:
            raise Interrupted(f"the server was silent for {2 * QUIET_S:.0f} s")
        if now - self._heard_at > QUIET_S and now - self._asked_at > QUIET_S:
            self._asked_at = now
            self.send(b"PING\r\n")

    def _frames(self) -> list[Frame]:
        """Take every whole message out of the buffer."""
        frames, buffer, at = list[Frame](), bytes(self._buffer), 0
        while (end := buffer.find(b"\r\n", at)) >= 0:
            words = buffer[at:end].split(b" ")  # of a subject NATS lets in, only a space is the end
            is_long = words[0] == b"HMSG"
            if not is_long and words[0] != b"MSG":
                self._control(buffer[at:end])
                at = end + 2
                continue
            total = int(words[-1])
            start, stop = end + 2, end + 2 + total
            if len(buffer) < stop + 2:
                break
            body = start + (int(words[-2]) if is_long else 0)
            reply = words[3] if len(words) == 5 + is_long else b""
            frames.append(
                Frame(int(words[2]), words[1], reply, buffer[start:body], buffer[body:stop])
            )
            at = stop + 2
        del self._buffer[:at]
        return frames

    def _control(self, line: bytes) -> None:
        if line.startswith(b"PING"):
            self.send(b"PONG\r\n")
        elif line.startswith(b"PONG"):
            self._answered = True
        elif line.startswith(b"-ERR"):
            raise Interrupted(line[5:].decode(errors="replace").strip("'"))
