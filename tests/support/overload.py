"""More than a server can answer: a process held to a tenth of a core, and queries that do not wait for their answers.

What is offered is told as it was, not as it was meant: whoever judges an overload sees to it that there was one.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import dns.message

from tests.support.accounts import own_cpu_ns

SHARE = 0.1
TIMES = 3
# A round's streams: long enough that the server's queue is full and stays so; what is answered before does not count.
SETTLE_S = 0.8
STREAM_S = 1.0
# Prompt for a process that runs a tenth of each period.
PROMPT_S = 0.05
# What a server must not exceed is a second; beyond this nobody looks any more.
PROMPT_WITHIN_S = 10.0

# Long against what a stop and a start cost, short against what clients wait for.
PERIOD_S = 0.02
# Resolvers ask from many ports; few enough that one process can look at all of them.
SOCKETS = 64
# Queries under way when a stream waits for answers: more than are answered in the part of a period in which the process runs.
WINDOW = 2048
# Queries between two looks at what came back.
BURST = 256
# linux/socket.h; Python has no name for it.
SO_RCVBUFFORCE = 33
RECEIVE_BUFFER_BYTES = 1 << 20


@contextmanager
def held_to(pid: int, share: float) -> Iterator[None]:
    """The process has that share of a core, by its CPU-time clock: it is stopped for the rest of each PERIOD_S (SIGSTOP, SIGCONT), which
    needs none of the rights that control groups do. A stop or a start that comes late is made up for in the next period."""
    ended = threading.Event()
    quota_s = PERIOD_S * share

    def alternate() -> None:
        granted_s = quota_s
        while not ended.is_set():
            before = own_cpu_ns(pid)
            if granted_s > 0:
                os.kill(pid, signal.SIGCONT)
                time.sleep(granted_s)
                os.kill(pid, signal.SIGSTOP)
            ended.wait(PERIOD_S - max(granted_s, 0))
            left_s = granted_s - (own_cpu_ns(pid) - before) / 1e9
            granted_s = min(quota_s + left_s, 2 * quota_s)
        os.kill(pid, signal.SIGCONT)

    holder = threading.Thread(target=alternate, name="holder", daemon=True)
    holder.start()
    try:
        yield
    finally:
        ended.set()
        holder.join()


@dataclass(frozen=True, slots=True)
class Streamed:
    """What became of a stream, and what it cost the server."""

    seconds: float
    sent: int
    answered: int
    # Replies that are not what a single query was answered.
    wrong: int
    cpu_s: float

    @property
    def offered_per_s(self) -> float:
        """Queries a second."""
        return self.sent / self.seconds

    @property
    def answers_per_s(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    @property
    def cpu_share(self) -> float:
        """The share of a core that the server had."""
        return self.cpu_s / self.seconds

    @property
    def answers_per_cpu_s(self) -> float:
        """Answers for each second of the server's CPU: what other processes do beside changes how much it gets, not what it makes of it."""
        return self.answered / self.cpu_s


class Crowd:
    """Clients of 127.0.0.1:port that all ask for one name, from SOCKETS ports; `pid` is the server's process."""

    def __init__(self, port: int, pid: int, name: str) -> None:
        self._server = ("127.0.0.1", port)
        self._pid = pid
        self._question = dns.message.make_query(name, "A").to_wire()[2:]
        self._queries = [struct.pack("!H", ident) + self._question for ident in range(BURST)]
        self._sockets: list[socket.socket] = []
        self._closing = ExitStack()

    def __enter__(self) -> Crowd:
        self._selector = self._closing.enter_context(selectors.DefaultSelector())
        for _ in range(SOCKETS):
            sock = self._closing.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setblocking(False)
            # All answers under way fit: whoever counts them must not lose them. Without the right to it, what is allowed.
            with suppress(PermissionError):
                sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
            sock.connect(self._server)
            self._selector.register(sock, selectors.EVENT_READ, sock)
            self._sockets.append(sock)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def stream(self, *, rate: float | None) -> Streamed:
        """`rate` queries a second whatever comes back, or with None as many as are answered; counts begin after SETTLE_S.

        It never sleeps, whatever the rate: a server is slower beside a busy core than beside an idle one.
        """
        right = self.ask(within_s=PROMPT_WITHIN_S)
        sends = [sock.send for sock in self._sockets]
        for _ in self._replies():  # to what an earlier stream asked
            pass
        sent = answered = wrong = 0
        begun_s = time.monotonic()
        counted_from = None
        while (now_s := time.monotonic()) < begun_s + SETTLE_S + STREAM_S:
            if counted_from is None and now_s >= begun_s + SETTLE_S:
                counted_from = (now_s, sent, answered, own_cpu_ns(self._pid))
            due = answered + WINDOW if rate is None else int((now_s - begun_s) * rate)
            for number in range(sent, min(due, sent + BURST)):
                sends[number % SOCKETS](self._queries[number % BURST])
            sent = max(sent, min(due, sent + BURST))
            for reply in self._replies():
                answered += 1
                wrong += reply[2:] != right
        if counted_from is None:
            raise RuntimeError("one burst took longer than a stream")
        from_s, sent_before, answered_before, cpu_before = counted_from
        cpu_s = (own_cpu_ns(self._pid) - cpu_before) / 1e9
        return Streamed(now_s - from_s, sent - sent_before, answered - answered_before, wrong, cpu_s)

    def ask(self, *, within_s: float) -> bytes:
        """A single query from a new port: its reply without the id. TimeoutError when there is none."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(within_s)
            sock.connect(self._server)
            sock.send(self._queries[0])
            return sock.recv(4096)[2:]

    def seconds_until_prompt(self) -> float:
        """The seconds until a single query is answered within PROMPT_S; PROMPT_WITHIN_S when none is."""
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + PROMPT_WITHIN_S:
            with suppress(TimeoutError):
                self.ask(within_s=PROMPT_S)
                return time.monotonic() - begun_s
        return PROMPT_WITHIN_S

    def _replies(self) -> Iterator[bytes]:
        for key, _ in self._selector.select(timeout=0):
            with suppress(BlockingIOError):
                while True:
                    yield key.data.recv(4096)


@dataclass(frozen=True, slots=True)
class Round:
    """The most that is answered, what is answered of TIMES as much, and how long it takes to be prompt again."""

    most: Streamed
    over: Streamed
    recovery_s: float

    @property
    def times(self) -> float:
        """What was offered, of what it can answer."""
        return self.over.offered_per_s / self.most.answers_per_s

    @property
    def kept(self) -> float:
        """The share of its maximum that it still answers, by CPU."""
        return self.over.answers_per_cpu_s / self.most.answers_per_cpu_s

    @property
    def kept_by_clock(self) -> float:
        """The same in answers a second, in which each stream has what the machine left of its tenth."""
        return self.over.answers_per_s / self.most.answers_per_s


def run_rounds(port: int, pid: int, name: str, rounds: int) -> Iterator[Round]:
    """Holds the process to SHARE of a core; in each round finds the maximum, offers TIMES that, and sees when it is prompt again."""
    with held_to(pid, SHARE), Crowd(port, pid, name) as crowd:
        for _ in range(rounds):
            most = crowd.stream(rate=None)
            crowd.seconds_until_prompt()
            over = crowd.stream(rate=TIMES * most.answers_per_s)
            yield Round(most, over, crowd.seconds_until_prompt())
