"""Checks of every protocol, round after round against good and hostile servers, leave no task, no descriptor and no memory behind."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from dnslib import DNSRecord

from geodns.model.check import Check, Expect, Protocol, Timing, Tls
from geodns.prober.attempt import Surroundings, attempt
from geodns.prober.outcome import Evidence
from geodns.prober.policy import AddressPolicy
from geodns.prober.probe import make_probe
from geodns.prober.push import PushProbe
from geodns.prober.resolve import SystemResolver
from geodns.prober.schedule import LoopWatch
from tests.support.certificates import Authority
from tests.support.datagrams import Reply, replying
from tests.support.grpc_server import serving_grpc
from tests.support.hostile import ADDRESS, HOSTILE
from tests.support.nginx import Nginx, TlsListener
from tests.support.ports import free_port

NAME = "www.example.com"
QUESTION = ("www.example.com.", "A")
SHORT_S = 0.03
PING = b"ping"

PATIENCE_S = 60.0

AT_ONCE = 10
"""Rounds side by side: those that wait for a timeout then wait together."""

MEMORY_BYTES = 128 * 1024
"""What may have been allocated since the first rounds, however many there are: caches of the interpreter and the test's own bookkeeping. A
hundred bytes lost per attempt are more than that within a thousand rounds of five checks."""

Checks = AbstractAsyncContextManager[Sequence[Check]]


@asynccontextmanager
async def all_over_tcp(server: str, directory: Path) -> AsyncIterator[Sequence[Check]]:
    """A hostile server, and every protocol that connects to it."""
    async with HOSTILE[server]() as port:
        yield [
            Check(Protocol.HTTP, ADDRESS, port, path="/healthz", host=NAME),
            Check(Protocol.HTTPS, ADDRESS, port, path="/healthz", host=NAME),
            Check(Protocol.TCP, ADDRESS, port),
            Check(Protocol.TCP, ADDRESS, port, expect=Expect(body="wanted")),
            Check(Protocol.GRPC, ADDRESS, port, host=NAME),
        ]


@asynccontextmanager
async def all_over_udp(reply: Reply | None, directory: Path) -> AsyncIterator[Sequence[Check]]:
    """A server that replies so, None = a closed port; and both protocols that ask it."""
    port = free_port()
    async with AsyncExitStack() as stack:
        if reply is not None:
            await stack.enter_async_context(replying(reply, port))
        yield [
            Check(Protocol.UDP, ADDRESS, port, expect=Expect(send=PING.decode(), body="pong")),
            Check(Protocol.DNS, ADDRESS, port, question=QUESTION),
        ]


def cut(data: bytes) -> list[bytes]:
    """A DNS answer that asks for TCP, where nobody listens."""
    if data == PING:
        return [data]
    reply = DNSRecord.parse(data).reply()
    reply.header.tc = 1
    return [bytes(reply.pack())]


@asynccontextmanager
async def good_dns(directory: Path) -> AsyncIterator[Sequence[Check]]:
    async with replying(lambda data: [bytes(DNSRecord.parse(data).reply().pack())]) as port:
        yield [Check(Protocol.DNS, ADDRESS, port, question=QUESTION)]


@asynccontextmanager
async def good_web(directory: Path) -> AsyncIterator[Sequence[Check]]:
    """nginx, in clear and with TLS."""
    tls = TlsListener(free_port(), *Authority.create(directory).issue(NAME))
    nginx = Nginx(directory, ADDRESS, free_port(), "web", [tls])
    nginx.start()
    try:
        yield [
            Check(Protocol.HTTP, ADDRESS, nginx.port, path="/healthz", host=NAME, expect=Expect(body=r"/is well\s$/")),
            Check(Protocol.TCP, ADDRESS, nginx.port),
            Check(Protocol.HTTPS, ADDRESS, tls.port, path="/", host=NAME, tls=Tls(min_days=1)),
            Check(Protocol.HTTPS, ADDRESS, tls.port, path="/", host=NAME, tls=Tls(verify=True)),
        ]
    finally:
        nginx.stop()


@asynccontextmanager
async def good_grpc(directory: Path) -> AsyncIterator[Sequence[Check]]:
    with serving_grpc() as server:
        yield [
            Check(Protocol.GRPC, ADDRESS, server.port, host=NAME),
            Check(Protocol.GRPC, ADDRESS, server.port, host=NAME, service="example.v1.Nobody"),
        ]


@asynccontextmanager
async def others(directory: Path) -> AsyncIterator[Sequence[Check]]:
    yield [
        Check(Protocol.ICMP, ADDRESS, None),
        Check(Protocol.ICMP, "::1", None),
        Check(Protocol.PUSH, ADDRESS, None),
        Check(Protocol.TCP, "localhost.", free_port()),
    ]


HOSTILE_UDP: dict[str, Reply | None] = {
    "closed port": None,
    "silence": lambda data: [],
    "garbage": lambda data: [os.urandom(64)],
    "flood": lambda data: [b"pong"] * 200,
    "cut answers": cut,
}

GOOD: dict[str, Callable[[Path], Checks]] = {"dns": good_dns, "web": good_web, "grpc": good_grpc, "icmp, push and names": others}


async def play(checks: Sequence[Check], rounds: int, timeout_s: float) -> set[Evidence]:
    """Rounds of all checks; then as many tasks and descriptors as before, and no more memory."""
    watch = LoopWatch(asyncio.get_running_loop())
    around = Surroundings(AddressPolicy(allow_loopback=True), SystemResolver(), watch)
    timed = [replace(check, timing=Timing(timeout_s=timeout_s)) for check in checks]
    probes = [(check, make_probe(check)) for check in timed]
    for _, probe in probes:
        if isinstance(probe, PushProbe):
            probe.report(True, "well")
    seen: set[Evidence] = set()

    async def play_rounds(count: int) -> None:
        async with asyncio.TaskGroup() as group:
            for check, probe in probes * count:
                group.create_task(attempt(check, probe, around)).add_done_callback(lambda task: seen.add(task.result().evidence))

    try:
        await play_rounds(AT_ONCE)  # what is made once: contexts, tables, caches
        await settle()
        tasks, descriptors = len(asyncio.all_tasks()), open_descriptors()
        tracemalloc.start()
        for _ in range(0, rounds, AT_ONCE):
            await play_rounds(AT_ONCE)
        await settle()
        left, _ = tracemalloc.get_traced_memory()
        assert len(asyncio.all_tasks()) <= tasks
        async with asyncio.timeout(PATIENCE_S):
            while open_descriptors() > descriptors:  # noqa: ASYNC110 - the kernel tells the server in its own time
                await asyncio.sleep(0.01)
        assert left < MEMORY_BYTES, "\n".join(str(line) for line in tracemalloc.take_snapshot().statistics("lineno")[:15])
    finally:
        tracemalloc.stop()
        watch.close()
    return seen


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def settle() -> None:
    """Lets the server, which is in this process too, notice that its clients are gone: its memory counts with ours."""
    async with asyncio.timeout(PATIENCE_S):
        while any(task is not asyncio.current_task() for task in asyncio.all_tasks()):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    for _ in range(10):  # what the ends of tasks and transports put off to a later turn of the loop
        await asyncio.sleep(0)
    gc.collect()


SCENES: dict[str, Callable[[Path], Checks]] = {
    **{f"tcp: {server}": partial(all_over_tcp, server) for server in HOSTILE},
    **{f"udp: {server}": partial(all_over_udp, reply) for server, reply in HOSTILE_UDP.items()},
}


@pytest.mark.parametrize("scene", sorted(SCENES))
async def test_fifty_rounds_against_a_hostile_server(scene: str, tmp_path: Path) -> None:
    async with SCENES[scene](tmp_path) as checks:
        await play(checks, 50, SHORT_S)


@pytest.mark.parametrize("scene", sorted(GOOD))
async def test_fifty_rounds_against_a_good_server(scene: str, tmp_path: Path) -> None:
    async with GOOD[scene](tmp_path) as checks:
        assert Evidence.SILENT not in await play(checks, 50, 10.0)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scene", sorted({**SCENES, **GOOD}))
async def test_a_thousand_rounds(scene: str, tmp_path: Path) -> None:
    async with {**SCENES, **GOOD}[scene](tmp_path) as checks:
        await play(checks, 1_000, SHORT_S if scene in SCENES else 10.0)
