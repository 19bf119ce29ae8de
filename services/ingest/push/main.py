"""Running `lab push`: ingest, with an HTTP server as its inlet."""

import threading
import time

import uvicorn

from services.ingest import main, parts
from services.ingest.push.app import App
from services.ingest.push.door import Door
from services.ingest.push.inlet import Requests
from services.ingest.push.known import Register
from shared.http import serving
from shared.http.listener import listening
from shared.settings import Database, Ingest, Push, variable

KEEP_ALIVE_S = 60  # a network server sends often, and a new connection costs it a handshake
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
    config = serving.config(app, push, keep_alive_s=KEEP_ALIVE_S, grace_s=GRACE_S, lifespan="off")
    return uvicorn.Server(config)
