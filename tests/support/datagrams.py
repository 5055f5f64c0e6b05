"""UDP servers on loopback that answer each datagram with some others, or with none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from tests.support.hostile import ADDRESS

Reply = Callable[[bytes], list[bytes]]


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram with some."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in self._reply(data):
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def replying(reply: Reply, port: int = 0) -> AsyncIterator[int]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Datagrams(reply), local_addr=(ADDRESS, port))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
