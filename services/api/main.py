"""Running the API: checks first, then uvicorn until it is asked to stop."""

import socket
from contextlib import suppress
from datetime import UTC, datetime

import uvicorn

from services.api.app import create_app
from services.api.live import Hub
from shared.db import migrate
from shared.db.access import first_run
from shared.db.engine import sync_engine
from shared.http import listener, serving
from shared.settings import Access, Api, Database, variable

KEEP_ALIVE_S = 5
GRACE_S = 2  # for answers under way; live streams are ended at once


class Server(uvicorn.Server):
    """Ends the live streams before waiting for connections, which they would keep open."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self.hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.hub.close()
        await super().shutdown(sockets)


def run(database: Database, api: Api, access: Access, monitor_url: str | None = None) -> None:
    """Serve until SIGINT or SIGTERM; raises OperatorError before anything is served."""
    engine = sync_engine(database)
    try:
        migrate.ready(engine, database)
        with engine.begin() as connection:
            welcome = first_run.welcome(connection, api, access, datetime.now(UTC))
    finally:
        engine.dispose()
    # uvicorn raises the signal anew once it has stopped in good order.
    with listening(api) as opened, suppress(KeyboardInterrupt):
        running = server(database, monitor_url, access=access, api=api)
        for line in welcome:
            print(line, flush=True)  # noqa: T201 - for whoever started it, and not for a log
        running.run(sockets=[opened])


def server(
    database: Database,
    monitor_url: str | None = None,
    *,
    access: Access | None = None,
    api: Api | None = None,
) -> Server:
    """The server, not yet running; it takes its socket from whoever runs it."""
    api = api or Api()
    app = create_app(database, monitor_url=monitor_url, access=access, api=api)
    config = serving.config(app, api, keep_alive_s=KEEP_ALIVE_S, grace_s=GRACE_S)
    return Server(config, app.state.live)


def listening(api: Api) -> socket.socket:
    """An open socket at the address of `api`; raises PortTaken naming the setting."""
    return listener.listening(api.host, api.port, variable(Api, "port"))
