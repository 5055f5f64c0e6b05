"""One connected datagram socket of one attempt. Connected, so that the kernel hands us the ICMP errors that answer our packets.

No timeouts and no retransmission: the caller's timeout covers the attempt, and a lost packet is what `fall` is for.
"""

from __future__ import annotations

import asyncio
import errno
import socket

from geodns.prober.fault import local_fault, network_fault
from geodns.prober.stream import wait_ready

MAX_DATAGRAM_BYTES = 4096
"""The largest answer that any of our protocols asks for."""


class Datagrams:
    """An open socket to one address; close it in any case."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    @classmethod
    def open(cls, address: str, port: int, kind: int = socket.SOCK_DGRAM, protocol: int = 0) -> Datagrams:
        """Opens and connects a socket of this kind; nothing is sent yet."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        except OSError as error:
            raise local_fault(error) from error
        try:
            sock.connect((address, port))
        except OSError as error:
            sock.close()
            raise local_fault(error) from error
        return cls(sock)

    def send(self, data: bytes) -> None:
        """Sends one datagram. Only "refused" can be an answer to an earlier one; every other error is this machine's."""
        try:
            self._sock.send(data)
        except OSError as error:
            raise network_fault(error) if error.errno == errno.ECONNREFUSED else local_fault(error) from error

    async def receive(self) -> bytes:
        """The next datagram from the address that the socket is connected to."""
        while True:
            try:
                data = self._sock.recv(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                await wait_ready(self._loop.add_reader, self._loop.remove_reader, self._sock.fileno())
            except OSError as error:
                raise network_fault(error) from error
            else:
                # Others run between two datagrams: a flood must not keep our own timeout from being heard.
                await asyncio.sleep(0)
                return data

    def close(self) -> None:
        """Ends it."""
        self._sock.close()
