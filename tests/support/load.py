"""A steady stream of UDP queries beside a test, and the count of those that were never answered or answered wrongly."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import dns.message

# Queries under way at a time: a receive buffer holds them all, on either side.
WINDOW = 128
# Queries sent in a row by a flood that was kept from sending: the server and the other clients get their turn between two of them.
BURST = 64


@dataclass(slots=True)
class Tally:
    """What became of the queries."""

    sent: int = 0
    answered: int = 0
    wrong: int = 0
    lost_after_s: list[float] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Queries without a reply."""
        return self.sent - self.answered


class Load:
    """Sends `rate` queries a second for one name from one socket at `source` while the `with` block runs, each with an id of its own.

    At most `window` queries wait for a reply: whoever was kept from sending catches up in small bursts, and sends no more once so many
    are lost. None is for floods, whose replies are meant to be dropped; they catch up BURST by BURST. A reply that `judge` refuses, given
    it and the monotonic time at which it was asked for, counts as wrong. After the block every query had `patience_s` to be answered.
    """

    def __init__(
        self,
        port: int,
        name: str,
        rtype: str = "A",
        *,
        source: str = "127.0.0.1",
        rate: int = 2000,
        judge: Callable[[bytes, float], bool] | None = None,
        patience_s: float = 2.0,
        window: int | None = WINDOW,
    ) -> None:
        self.tally = Tally()
        self._question = dns.message.make_query(name, rtype).to_wire()[2:]
        self._server = ("127.0.0.1", port)
        self._source = source
        self._rate = rate
        self._judge = judge
        self._patience_s = patience_s
        self._window = window
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the sending; what is under way still has until the end of the block, and then its patience."""
        self._stop.set()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        pending: dict[int, float] = {}
        start = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, selectors.DefaultSelector() as selector:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind((self._source, 0))
            sock.connect(self._server)
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
            while not self._stop.is_set():
                due = int((time.monotonic() - start) * self._rate)
                room = BURST if self._window is None else self._window - len(pending)
                for _ in range(min(due - self.tally.sent, room)):
                    self._send(sock, pending)
                if selector.select(0.001):
                    self._receive(sock, pending)
            deadline = time.monotonic() + self._patience_s
            while pending and time.monotonic() < deadline:
                if selector.select(0.05):
                    self._receive(sock, pending)
            self.tally.lost_after_s = sorted(sent_s - start for sent_s in pending.values())

    def _send(self, sock: socket.socket, pending: dict[int, float]) -> None:
        identity = self.tally.sent % 65536
        pending[identity] = time.monotonic()
        try:
            sock.send(struct.pack("!H", identity) + self._question)
        except ConnectionRefusedError:
            # The kernel reports an ICMP refusal of an earlier datagram; that one stays unanswered and is counted as lost.
            sock.send(struct.pack("!H", identity) + self._question)
        self.tally.sent += 1

    def _receive(self, sock: socket.socket, pending: dict[int, float]) -> None:
        while True:
            try:
                reply = sock.recv(65535)
            except (BlockingIOError, ConnectionRefusedError):
                return
            sent_s = pending.pop(struct.unpack_from("!H", reply)[0], None)
            if sent_s is not None:
                self.tally.answered += 1
                if self._judge is not None and not self._judge(reply, sent_s):
                    self.tally.wrong += 1
