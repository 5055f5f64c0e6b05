"""Many small web servers in one process, to be checked and made to fail one by one: `python -m tests.support.web PORT ADDRESS…`.

Every address answers HTTP on PORT as it was told to. `WebServers` starts the program, in a network namespace if need be, and tells it.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum

from tests.support.ending import end
from tests.support.ports import free_port

REQUEST_S = 5.0


class Manner(Enum):
    """What a server does with whoever asks."""

    ANSWERS = "answers"
    REFUSES = "refuses"  # as after the end of its process
    HANGS = "hangs"  # takes the connection and says nothing: a black hole to whoever asks
    FAILS_EVERY_TENTH = "fails-every-tenth"


class WebServers:
    """The program, from the test's side, all on one `port`; `command` is put before it, such as `ip netns exec NAME`."""

    def __init__(self, addresses: Iterable[str], command: Sequence[str] = ()) -> None:
        self.port = free_port()
        arguments = [*command, sys.executable, "-m", "tests.support.web", str(self.port), *addresses]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._hear()

    def tell(self, manner: Manner, addresses: Iterable[str]) -> None:
        """From when it returns, these behave so."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join([manner.value, *addresses]).encode() + b"\n")
        self.process.stdin.flush()
        self._hear()

    def close(self) -> None:
        """Ends them all."""
        end(self.process)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"done\n", "the web servers ended"


class _Program:
    def __init__(self, port: int, addresses: Sequence[str]) -> None:
        self._port = port
        self._manners = dict.fromkeys(addresses, Manner.ANSWERS)
        self._listeners: dict[str, asyncio.Server] = {}
        self._requests: Counter[str] = Counter()

    async def run(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        await self._listen(self._manners)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        print("done", flush=True)
        while line := (await reader.readline()).decode().split():
            manner, addresses = Manner(line[0]), line[1:]
            self._manners.update(dict.fromkeys(addresses, manner))
            for address in addresses:
                self._requests.pop(address, None)
                if manner is Manner.REFUSES and address in self._listeners:
                    self._listeners.pop(address).close()
            if manner is not Manner.REFUSES:
                await self._listen(addresses)
            print("done", flush=True)

    async def _listen(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            if address not in self._listeners:
                self._listeners[address] = await asyncio.start_server(self._serve, address, self._port, backlog=256)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(REQUEST_S):
                await reader.readuntil(b"\r\n\r\n")
                await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0]
        self._requests[address] += 1
        match self._manners[address]:
            case Manner.ANSWERS:
                status = b"200 OK"
            case Manner.FAILS_EVERY_TENTH:
                # The second of every ten, so that a short test sees it.
                status = b"503 Service Unavailable" if self._requests[address] % 10 == 2 else b"200 OK"
            case Manner.HANGS | Manner.REFUSES:
                await reader.read()
                return
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(_Program(int(sys.argv[1]), sys.argv[2:]).run())
