"""How uvicorn serves: the same bounds, TLS and silence for every HTTP server of ours."""

from asyncio import constants
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import uvicorn

from shared.http.connection import HEADER_BYTES, protocol
from shared.http.peer import Peers
from shared.settings.network import Network

HANDSHAKE_S: Final = 10.0
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; 1.3 has its own


class Served(Protocol):
    """What settings of a server say of it."""

    tls_cert: Path | None
    tls_key: Path | None

    @property
    def proxies(self) -> Sequence[Network]: ...


def config(
    app: Any, served: Served, *, keep_alive_s: int, grace_s: int, **more: Any
) -> uvicorn.Config:
    """The configuration of a server. grace_s: for answers under way at its end."""
    # Read when a server begins; uvicorn has no setting for it, and a minute is long.
    constants.SSL_HANDSHAKE_TIMEOUT = HANDSHAKE_S
    return uvicorn.Config(
        app,
        http=protocol(Peers(served.proxies)),  # type: ignore[arg-type]  # anything that makes one
        ws="none",
        h11_max_incomplete_event_size=HEADER_BYTES,
        timeout_keep_alive=keep_alive_s,
        proxy_headers=False,  # it would believe anybody on loopback; shared/http/peer.py
        ssl_certfile=served.tls_cert,
        ssl_keyfile=served.tls_key,
        ssl_ciphers=CIPHERS,
        timeout_graceful_shutdown=grace_s,
        log_level="warning",
        access_log=False,
        server_header=False,
        **more,
    )
