"""Receivers on loopback that write down what reaches them: a webhook's, and a mail server."""

import base64
import hashlib
import hmac
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any

import orjson

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
HANGS = 0  # an "answer" that never comes
TRICKLES = 1  # one whose head never ends, byte by byte


@dataclass(slots=True)
class Hook:
    """A webhook receiver. answers: statuses to give, in order; 204 when they are used up.

    accepted: what was answered with 2xx. The signature of every request is checked.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    accepted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)

    def effective(self) -> list[dict[str, Any]]:
        """What a receiver that drops repeated ids acts on."""
        return list({message_id: said for message_id, said in reversed(self.accepted)}.values())


@contextmanager
def hook(port: int = 0) -> Iterator[Hook]:
    """Listen for webhooks until the block ends."""
    seen = Hook()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["content-length"]))
            if not _genuine(dict(self.headers.items()), said):
                seen.forged.append(self.path)
            request = (self.headers["webhook-id"], orjson.loads(said))
            seen.requests.append(request)
            status = seen.answers.pop(0) if seen.answers else 204
            if status == HANGS:
                ended.wait(30)
                self.close_connection = True
                return
            if status == TRICKLES:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                for _ in range(300):
                    if ended.wait(0.1) or not _written(self.wfile, b"x"):
                        break
                self.close_connection = True
                return
            if 200 <= status < 300:
                seen.accepted.append(request)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        seen.url = f"http://127.0.0.1:{server.server_port}/hook?token=x"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            server.shutdown()
            thread.join()


def _written(answer: BufferedIOBase, part: bytes) -> bool:
    """Whether somebody still listens."""
    try:
        answer.write(part)
    except OSError:
        return False
    return True


def _genuine(headers: dict[str, str], said: bytes) -> bool:
    """The check of the convention, written without the sender's code."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    stamp = headers["webhook-timestamp"]
    signed = f"{headers['webhook-id']}.{stamp}.".encode() + said
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{wanted}" and abs(time.time() - int(stamp)) < 300


@dataclass(slots=True)
class Mailbox:
    """A mail server. refused: recipients it does not take."""

    url: str = ""
    refused: set[str] = field(default_factory=set)
    mails: list[EmailMessage] = field(default_factory=list)


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Speak enough SMTP (RFC 5321) to take mail until the block ends."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 box")
            taken = 0
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"RCPT":
                    known = line.decode().split("<")[1].split(">")[0] not in box.refused
                    taken += known
                    self.say("250 ok" if known else "550 nobody here")
                elif verb == b"DATA":
                    self.say("354 go on")
                    box.mails.append(self.mail())
                    self.say("250 ok")
                else:
                    self.say("221 bye" if verb == b"QUIT" else "250 ok")

        def mail(self) -> EmailMessage:
            said = b"".join(iter(self.rfile.readline, b".\r\n"))
            mail = message_from_bytes(said, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            return mail

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        box.url = f"smtp://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()
