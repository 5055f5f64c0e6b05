"""SIGTERM, SIGINT and SIGHUP for `geodns serve`, from before its dataplane is started until after that has ended.

Without a handler each of them ends the process on the spot and leaves the dataplane behind with the DNS port: at a start, which takes
seconds on a busy machine, and at an end, where an impatient operator asks twice. Deliberately not here: what stopping and reading again
mean; whoever serves says so with `hand_over`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Signals:
    """`with Signals(stop_starting) as signals:` in the event loop.

    | signal | while it starts | once handed over | after the first SIGTERM or SIGINT |
    |---|---|---|---|
    | SIGTERM, SIGINT | `stop_starting` | `end` | nothing: it is ending |
    | SIGHUP | nothing: all is being read anyway | `reread` | nothing |
    """

    def __init__(self, stop_starting: Callable[[], None]) -> None:
        self.asked = asyncio.Event()
        self._end = stop_starting
        self._reread: Callable[[], None] = _read_nothing

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ask)
        loop.add_signal_handler(signal.SIGINT, self._ask)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def hand_over(self, *, end: Callable[[], None], reread: Callable[[], None]) -> None:
        """The start is over: from now on a signal means these."""
        self._end, self._reread = end, reread

    def _ask(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
            self._end()

    def _hang_up(self) -> None:
        if not self.asked.is_set():
            self._reread()


def _read_nothing() -> None:
    """SIGHUP before anything was read."""
