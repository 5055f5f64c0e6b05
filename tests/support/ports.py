"""Ports that were free a moment ago, for UDP and TCP alike. Asked of the kernel, never guessed."""

from __future__ import annotations

import socket


def free_port(address: str = "127.0.0.1") -> int:
    """A port that both UDP and TCP can bind on `address`.

    The kernel hands out ephemeral ports in turn, so that two callers rarely get the same one before they bind it.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(100):
        with socket.socket(family, socket.SOCK_STREAM) as stream, socket.socket(family, socket.SOCK_DGRAM) as datagram:
            stream.bind((address, 0))
            port: int = stream.getsockname()[1]
            try:
                datagram.bind((address, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port is free for both UDP and TCP on {address}")
