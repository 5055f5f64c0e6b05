"""More than a server can answer: a process held to a share of a core, and streams of UDP queries that do not wait for their answers."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dns.message

# Long against what a stop and a start cost, short against what clients wait for.
PERIOD_S = 0.02
# Ids of a socket's queries go round; more sockets than a server has cores spread over its workers.
SOCKETS = 8
# Queries on their way when a stream waits for answers: more than are answered in the part of a period in which the process runs.
WINDOW = 2048
# linux/socket.h; Python has no name for it.
SO_RCVBUFFORCE = 33
RECEIVE_BUFFER_BYTES = 16 << 20


@contextmanager
def held_to(pid: int, share: float) -> Iterator[None]:
    """The process runs for that share of each PERIOD_S of wall time and is stopped for the rest (SIGSTOP, SIGCONT): a part of a core
    without the rights that control groups need."""
    ended = threading.Event()

    def alternate() -> None:
        while not ended.is_set():
            os.kill(pid, signal.SIGCONT)
            time.sleep(PERIOD_S * share)
            os.kill(pid, signal.SIGSTOP)
            ended.wait(PERIOD_S * (1 - share))
        os.kill(pid, signal.SIGCONT)

    holder = threading.Thread(target=alternate, name="holder", daemon=True)
    holder.start()
    try:
        yield
    finally:
        ended.set()
        holder.join()


@dataclass(slots=True)
class Streamed:
    """What became of a stream."""

    seconds: float = 0.0
    sent: int = 0
    answered: int = 0
    # Of those answered while the stream lasted.
    latencies_s: list[float] = field(default_factory=list)

    @property
    def answers_per_s(self) -> float:
        """Answers a second while it lasted."""
        return self.answered / self.seconds


def stream(port: int, name: str, *, seconds: float, rate: float | None) -> Streamed:
    """Asks 127.0.0.1:port for `name` for that long: `rate` queries a second whatever comes back, or with None as many as are answered."""
    query = dns.message.make_query(name, "A").to_wire()[2:]
    streamed = Streamed()
    sockets = []
    selector = selectors.DefaultSelector()
    try:
        for number in range(SOCKETS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sockets.append(sock)
            sock.setblocking(False)
            # All answers under way fit: whoever counts them must not lose them. Without the right to it, what is allowed.
            with suppress(PermissionError):
                sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
            sock.connect(("127.0.0.1", port))
            selector.register(sock, selectors.EVENT_READ, number)
        sent_at: list[dict[int, float]] = [{} for _ in sockets]
        begun = now = time.monotonic()
        while (now := time.monotonic()) < begun + seconds:
            due = streamed.answered + WINDOW if rate is None else int((now - begun) * rate)
            for _ in range(min(due - streamed.sent, WINDOW)):
                number, ident = streamed.sent % SOCKETS, streamed.sent // SOCKETS & 0xFFFF
                sent_at[number][ident] = now
                sockets[number].send(struct.pack("!H", ident) + query)
                streamed.sent += 1
            for key, _ in selector.select(timeout=0.001):
                now = time.monotonic()
                for reply in drain(sockets[key.data]):
                    streamed.answered += 1
                    streamed.latencies_s.append(now - sent_at[key.data].pop(int.from_bytes(reply[:2]), now))
        streamed.seconds = now - begun
    finally:
        selector.close()
        for sock in sockets:
            sock.close()
    return streamed


def drain(sock: socket.socket) -> Iterator[bytes]:
    """The replies that are there."""
    while True:
        try:
            yield sock.recv(4096)
        except BlockingIOError:
            return


def seconds_until_prompt(port: int, name: str, *, prompt_s: float, within_s: float) -> float:
    """The seconds after which a query was answered within `prompt_s`; `within_s` when none was."""
    query = dns.message.make_query(name, "A").to_wire()
    begun = time.monotonic()
    while time.monotonic() < begun + within_s:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(prompt_s)
            sock.connect(("127.0.0.1", port))
            sock.send(query)
            try:
                sock.recv(4096)
            except TimeoutError:
                continue
            return time.monotonic() - begun
    return within_s
