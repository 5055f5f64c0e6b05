"""Servers that misbehave on purpose: refuse, hang, reset, drip, close early, answer garbage or without end. Real sockets, on loopback.

Each is an async context manager that gives its port; all are listed in `HOSTILE` so that a test can run through them by name.
`in_a_thread` runs such servers for tests that have no event loop of their own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress

from tests.support.ports import free_port

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\n"
ADDRESS = "127.0.0.1"


@asynccontextmanager
async def serving(conversation: Conversation, tls: ssl.SSLContext | None = None, address: str = ADDRESS) -> AsyncIterator[int]:
    """A server that has this conversation with everyone; its connections end with it."""
    conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations[task] = writer
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await conversation(reader, writer)
        finally:
            del conversations[task]
            writer.close()

    port = free_port(address)
    server = await asyncio.start_server(converse, address, port, ssl=tls)
    try:
        yield port
    finally:
        server.close()
        for writer in conversations.values():
            writer.transport.abort()
        if conversations:
            await asyncio.wait(list(conversations))


async def read_request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def answering(response: bytes, *, stays_open: bool = False) -> Conversation:
    """Reads a request, answers these bytes, and closes, or waits for the client to."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response)
        await writer.drain()
        if stays_open:
            await reader.read()

    return converse


def ok(body: bytes = b"ok\n") -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await reader.read()


async def _close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def _reset_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    _reset(writer)


async def _reset_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.01)


def _endless(start: bytes, part: bytes) -> Conversation:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(part)
            await writer.drain()

    return converse


@asynccontextmanager
async def refusing() -> AsyncIterator[int]:
    """A port that was open a moment ago: a killed process. It stays bound, so that nobody else gets it."""
    port = free_port()
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((ADDRESS, port))
        yield port


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """Connection attempts get no reply at all: the backlog is full, and Linux then drops the SYN."""
    with socket.socket() as listener:
        port = free_port()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS, port))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex((ADDRESS, port))
            yield port
        finally:
            for filler in fillers:
                filler.close()


HOSTILE: dict[str, Callable[[], AbstractAsyncContextManager[int]]] = {
    "refuses": refusing,
    "black hole": black_hole,
    "accepts and never answers": lambda: serving(_hang),
    "closes at once": lambda: serving(_close_at_once),
    "resets at once": lambda: serving(_reset_at_once),
    "resets after the request": lambda: serving(_reset_after_request),
    "drips": lambda: serving(_drip),
    "closes within the header": lambda: serving(answering(HEAD + b"Content-Le")),
    "closes within the body": lambda: serving(answering(HEAD + b"Content-Length: 100\r\n\r\nshort")),
    "closes within a chunk": lambda: serving(answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nshort")),
    "lies about chunks": lambda: serving(answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcdef")),
    "answers garbage": lambda: serving(answering(bytes(range(128, 192)))),
    "answers garbage without end": lambda: serving(_endless(b"", b"\x00\xff" * 4096)),
    "header without end": lambda: serving(_endless(HEAD, (b"X-Filler: " + b"x" * 1000 + b"\r\n") * 20)),
    "header line without end": lambda: serving(_endless(HEAD + b"X: ", b"x" * 20_000)),
    "answers 10 GB": lambda: serving(_endless(HEAD + b"Content-Length: 10000000000\r\n\r\n", b"x" * 65536)),
    "body without end": lambda: serving(_endless(HEAD + b"\r\n", b"x" * 65536)),
    "chunks without end": lambda: serving(
        _endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", (b"1;" + b"e" * 100 + b"\r\nx\r\n") * 200)
    ),
    "interim answers without end": lambda: serving(_endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500)),
    "speaks SSH": lambda: serving(_endless_banner),
}


async def _endless_banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    await writer.drain()
    await reader.read()
    await reader.read()


@contextmanager
def in_a_thread(servers: Mapping[str, Callable[[], AbstractAsyncContextManager[int]]]) -> Iterator[dict[str, int]]:
    """These servers on an event loop in a thread; the port of each."""
    loop, ports = asyncio.new_event_loop(), {}
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            for name, server in servers.items():
                ports[name] = await stack.enter_async_context(server())
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(timeout=30), "the servers are not up"
        yield ports
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(timeout=30)
        loop.close()
