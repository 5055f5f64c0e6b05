"""The API's listening sockets, bound before anything else starts. Without HTTP: a busy port is found before the libraries are loaded."""

from __future__ import annotations

import errno
import socket

from geodns.errors import StartupError
from geodns.settings import ListenAddress

BACKLOG = 128


def bind(key: str, address: ListenAddress) -> socket.socket:
    """A bound socket, before anything else starts: a busy port is found while nothing has been done yet. Raises StartupError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of the process before us linger in TIME_WAIT; two listeners on one port stay impossible on Linux.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address.host, address.port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartupError(f"{key}: {address} is already in use by another process", hint=f"end it, or set another {key}") from None
        raise StartupError(f"{key}: cannot listen on {address}: {error.strerror}", hint=f"set another {key}") from None
    return listener
