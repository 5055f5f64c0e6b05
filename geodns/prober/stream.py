"""One TCP connection of one attempt, with or without TLS, on bare non-blocking sockets.

aiohttp's client was measured at twice the cost per check (docs/health.md, "Cost"), and hides which errors are local.
No timeouts here: the caller's covers the whole attempt, and cancelling it closes the socket. No retries, no pooling:
every attempt is a fresh connection.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from geodns.prober.fault import AnsweredBadly, Fault, local_fault, network_fault, tls_fault

RECEIVE_BYTES = 4096
"""One read. Answers to checks are small; a body is cut at 5 KiB anyway."""

MAX_RECEIVED_BYTES = 128 * 1024
"""Of one connection, TLS included: certificates, header and body of an honest answer need a quarter of it. The bound is
also what lets other checks run beside a server that sends faster than we read: no read waits, so no timeout could end
them."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Progress:
    """What an attempt waits for at the moment: the words that a timeout is reported with."""

    waiting_for: str = "a connection"


class Stream(Protocol):
    """A byte stream to a target. Failures are `Fault`s."""

    async def send(self, data: bytes) -> None:
        """Returns when the kernel has taken everything."""

    async def receive(self) -> bytes:
        """The next bytes; empty at the end of the stream."""

    def close(self, *, gracefully: bool = False) -> None:
        """Ends the connection.

        With a reset, as other load balancers' checks do: whoever closes first keeps the port pair for a minute
        (TIME-WAIT, RFC 9293 §3.3.2), and at a few hundred checks a second of one address the ports would run out.
        `gracefully` is for when the last thing that was sent must still arrive.
        """


class TcpStream:
    """Plain TCP."""

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._loop = loop
        self._received = 0

    @classmethod
    async def open(cls, address: str, port: int) -> TcpStream:
        """Connects to a literal address."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise local_fault(error) from error
        try:
            await _connect(sock, loop, address, port)
        except BaseException:
            sock.close()
            raise
        return cls(sock, loop)

    async def send(self, data: bytes) -> None:
        """See `Stream`."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                await wait_ready(self._loop.add_writer, self._loop.remove_writer, self._sock.fileno())
            except OSError as error:
                raise network_fault(error) from error

    async def receive(self) -> bytes:
        """See `Stream`."""
        while True:
            try:
                data = self._sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                await wait_ready(self._loop.add_reader, self._loop.remove_reader, self._sock.fileno())
            except OSError as error:
                raise network_fault(error) from error
            else:
                self._received += len(data)
                if self._received > MAX_RECEIVED_BYTES:
                    raise AnsweredBadly("answer without end")
                return data

    def close(self, *, gracefully: bool = False) -> None:
        """See `Stream`."""
        if not gracefully:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._sock.close()


class TlsStream:
    """TLS over a `TcpStream`."""

    def __init__(self, below: TcpStream, context: ssl.SSLContext, server_name: str) -> None:
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    async def handshake(self) -> None:
        """Completes the handshake; the certificate is judged by the context."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._below.receive()
                if not data:
                    raise AnsweredBadly("closed during the TLS handshake") from None
                self._incoming.write(data)
            except ssl.SSLError as error:
                await self._flush_alert()
                raise tls_fault(error) from error
            else:
                # What is left to send is the end of the handshake: it leaves together with the request.
                return

    def certificate(self) -> bytes:
        """The peer's certificate, DER."""
        return self._tls.getpeercert(binary_form=True) or b""

    def application(self) -> str | None:
        """The protocol that was agreed on (RFC 7301)."""
        return self._tls.selected_alpn_protocol()

    async def send(self, data: bytes) -> None:
        """See `Stream`."""
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise tls_fault(error) from error
        await self._flush()

    async def receive(self) -> bytes:
        """See `Stream`. An end without close_notify is an end: half of the world's servers do that."""
        while True:
            try:
                return self._tls.read(RECEIVE_BYTES)
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._below.receive()
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise tls_fault(error) from error

    def close(self, *, gracefully: bool = False) -> None:
        """See `Stream`."""
        self._below.close(gracefully=gracefully)

    async def _flush(self) -> None:
        if pending := self._outgoing.read():
            await self._below.send(pending)

    async def _flush_alert(self) -> None:
        """Tells the peer why, if it still listens; the reason that counts is already in hand."""
        try:
            await self._flush()
        except Fault:
            return


async def _connect(sock: socket.socket, loop: asyncio.AbstractEventLoop, address: str, port: int) -> None:
    """Connects a non-blocking socket.

    An error that `connect` itself returns came from this machine, except on loopback, where the whole exchange happens within the call:
    "refused" is always the target's word.
    """
    number = sock.connect_ex((address, port))
    if number == errno.ECONNREFUSED:
        raise network_fault(OSError(number, ""))
    if number not in (0, errno.EINPROGRESS):
        raise local_fault(OSError(number, ""))
    if number:
        await wait_ready(loop.add_writer, loop.remove_writer, sock.fileno())
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise network_fault(OSError(number, ""))
    if sock.getsockname() == sock.getpeername():
        # A closed port of our own range on this machine: TCP's simultaneous open (RFC 9293 §3.5) connected us to ourselves.
        raise AnsweredBadly("connection refused")


async def wait_ready(add: Callable[..., None], remove: Callable[[int], bool], descriptor: int) -> None:
    """Waits until a descriptor is readable or writable; `add` and `remove` are the loop's methods for that."""
    ready = asyncio.get_running_loop().create_future()
    add(descriptor, _wake, ready)
    try:
        await ready
    finally:
        remove(descriptor)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
