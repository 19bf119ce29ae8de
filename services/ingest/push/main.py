"""Running `lab push`: ingest, with an HTTP server as its inlet."""

import threading
import time
from asyncio import constants

import uvicorn

from services.ingest import main, parts
from services.ingest.push.app import App
from services.ingest.push.door import Door
from services.ingest.push.inlet import Requests
from services.ingest.push.known import Register
from shared.http.connection import HEADER_BYTES, protocol
from shared.http.listener import listening
from shared.http.peer import Peers
from shared.settings import Database, Ingest, Push, variable

KEEP_ALIVE_S = 60  # a network server sends often, and a new connection costs it a handshake
HANDSHAKE_S = 10.0
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; 1.3 has its own
GRACE_S = 3


def run(database: Database, push: Push, settings: Ingest, stop: threading.Event) -> None:
    """Run until `stop` is set. Raises OperatorError when database or port cannot be used."""
    adapters = main.known_adapters()
    with parts.opened(database, settings, adapters) as opened:
        register = Register(database)
        inlet = Requests(push, register, opened.unable)
        app = App(push, Door(register, time.monotonic), adapters, inlet.deliver)
        inlet.server = _server(app, push)
        with listening(push.host, push.port, variable(Push, "port")) as listener:
            inlet.sockets = [listener]
            main.serve(opened, inlet, settings, stop)


def _server(app: App, push: Push) -> uvicorn.Server:
    constants.SSL_HANDSHAKE_TIMEOUT = HANDSHAKE_S  # uvicorn has no setting
    config = uvicorn.Config(
        app,
        http=protocol(Peers(push.proxies)),  # type: ignore[arg-type]  # anything that makes one
        ws="none",
        lifespan="off",
        h11_max_incomplete_event_size=HEADER_BYTES,
        timeout_keep_alive=KEEP_ALIVE_S,
        proxy_headers=False,  # it would believe anybody on loopback; shared/http/peer.py
        ssl_certfile=push.tls_cert,
        ssl_keyfile=push.tls_key,
        ssl_ciphers=CIPHERS,
        timeout_graceful_shutdown=GRACE_S,
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    return uvicorn.Server(config)
