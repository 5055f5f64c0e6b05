"""A crowd of tiresome TCP clients, as a program of its own so that it takes no time from whoever measures:
`python -m tests.support.crowd PORT NAME`.

2,000 connections that say nothing, 500 that send a byte a second, 200 that ask for much and read nothing, from 45 loopback
addresses. Whoever is thrown out comes back within a second or so, the silent ones a hundred at a time. A line is printed when all
have been in; it ends with its input.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import dns.message

ADDRESSES = 45  # 60 connections each: below the cap of an address, so that it is the cap of all that throws out
IDLE_BACK_AT_ONCE = 100
PIPELINED = 200


class Manner(Enum):
    """How a client behaves, and how many do."""

    IDLE = 2_000
    DRIBBLING = 500
    DEAF = 200


@dataclass(slots=True)
class Client:
    """One place in the crowd."""

    manner: Manner
    address: str
    sock: socket.socket | None = None
    sent: int = 0


class Crowd:
    """All of them, in one thread."""

    def __init__(self, port: int, name: str) -> None:
        query = dns.message.make_query(name, "TXT").to_wire()
        self._frame = struct.pack("!H", len(query)) + query
        self._server = ("127.0.0.1", port)
        self.clients = list(self._places())

    def _places(self) -> Iterator[Client]:
        """The manners mixed, so that each has its share of those that are in."""
        places = sorted((index / manner.value, manner.name) for manner in Manner for index in range(manner.value))
        for number, (_, manner) in enumerate(places):
            yield Client(Manner[manner], f"127.0.9.{1 + number % ADDRESSES}")

    def come(self, client: Client) -> None:
        """Connects; the deaf ask at once, as much as is taken from them."""
        client.sock = socket.socket()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sock.settimeout(10)
        client.sock.bind((client.address, 0))
        client.sock.connect(self._server)
        client.sock.setblocking(False)
        client.sent = 0
        if client.manner is Manner.DEAF:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                client.sock.send(self._frame * PIPELINED)

    def go_on(self) -> None:
        """One second's doings: bytes of the dribbling, and back in for those that were thrown out."""
        idle_back = 0
        for client in self.clients:
            is_out = self._is_out(client)
            if is_out and client.manner is Manner.IDLE:
                idle_back += 1
                is_out = idle_back <= IDLE_BACK_AT_ONCE
            if is_out:
                assert client.sock is not None
                client.sock.close()
                self.come(client)

    def _is_out(self, client: Client) -> bool:
        assert client.sock is not None
        try:
            if client.manner is Manner.DRIBBLING:
                client.sock.send(self._frame[client.sent : client.sent + 1] or b"\0")
                client.sent += 1
            # The deaf do not look at what they get, but whether the connection stands.
            return (client.manner is not Manner.DEAF and client.sock.recv(1) == b"") or _is_reset(client.sock)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True


def _is_reset(sock: socket.socket) -> bool:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def main() -> None:
    """Comes, says so, goes on until its input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(int(sys.argv[1]), sys.argv[2])
    for client in crowd.clients:
        crowd.come(client)
    print("all in", flush=True)
    while True:
        begun = time.monotonic()
        crowd.go_on()
        rest = max(0.0, 1.0 - (time.monotonic() - begun))
        if select.select([sys.stdin], [], [], rest)[0]:
            return


if __name__ == "__main__":
    main()
