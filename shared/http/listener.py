"""A port to listen on."""

import socket

from shared.errors import OperatorError


class PortTaken(OperatorError):
    """Something else listens on the port, or it may not be opened."""


def listening(host: str, port: int, setting: str) -> socket.socket:
    """An open socket; raises PortTaken naming the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"{setting}: cannot listen on {host}:{port}: {error.strerror};"
            " stop what uses it or set another port"
        ) from None
    return listener
