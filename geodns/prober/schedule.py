"""When attempts start: spread, jitter, the gate for checks made by writes, and how late our own loop is.

Pure but for `LoopWatch`, which reads the loop's clock, and `raise_descriptor_limit`. Runs no check itself. There is no
cap on concurrency: a check that waits for a slot would be late evidence, and lateness is what detection times are made
of.
"""

from __future__ import annotations

import asyncio
import math
import random
import resource
from collections import deque
from collections.abc import Iterator

JITTER = 0.05
"""Share of the interval by which a start leaves its slot, to either side. Two neighbouring starts are then the interval
±10 % apart, while the slots themselves stay as evenly spread as they were handed out: a jitter that accumulates would
let 10,000 checks bunch up by and by."""

WRITES_PER_S = 100.0
"""First attempts that writes may cause: an import of a large zone must not turn the prober into a load test of its targets."""

GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of the golden ratio, modulo 1, fall into the widest gap left: any number of late comers stays evenly spread."""

TICK_S = 0.025
"""How often the loop's punctuality is looked at: a stall is seen short by at most this, and the promise is none above 100 ms."""

STALL_MEMORY_S = 60.0
"""Stalls are remembered as long as an attempt may take."""


class Cadence:
    """The starts of one endpoint's attempts: slots one interval apart, each start within ±5 % of an interval around its slot.

    Remembers nothing: the slot that an attempt belongs to is seen from the time at which it started, so that attempts
    out of turn (a recheck, a report, a sentinel in a hurry) shift nothing.
    """

    __slots__ = ("_first_s", "_interval_s", "_random")

    def __init__(self, first_s: float, interval_s: float, rng: random.Random) -> None:
        self._first_s = first_s
        self._interval_s = interval_s
        self._random = rng

    @classmethod
    def joining(cls, phase: float, interval_s: float, now_s: float, rng: random.Random) -> Cadence:
        """For an endpoint whose first attempt starts now, out of turn: its slots lie at `phase` (0 … 1) of every interval."""
        return cls(now_s - math.fmod(now_s, interval_s) + phase * interval_s, interval_s, rng)

    def first_start_s(self, now_s: float) -> float:
        """The start of the very first attempt, jittered like all others: otherwise the second round would crowd into the first."""
        return max(now_s, self._start_s(0))

    def next_start_s(self, started_s: float, now_s: float) -> float:
        """The start of the attempt after one that began at `started_s` and is over now.

        An attempt that outlasted the interval is followed at once. Anything else that made us miss a slot (a recheck, a stopped process, a
        stalled loop) is not made up for: the next slot will do, else all endpoints would start in one burst after a stall.
        """
        due_s = self._start_s(self._slot_at(started_s) + 1)
        if due_s > now_s:
            return due_s
        if self._interval_s <= now_s - started_s < 2 * self._interval_s:
            return now_s
        return max(now_s, self._start_s(self._slot_at(now_s) + 1))

    def _slot_at(self, start_s: float) -> int:
        """The slot that an attempt with this start belongs to; a start may come before its slot by the jitter."""
        return math.floor((start_s - self._first_s) / self._interval_s + JITTER + 1e-9)

    def _start_s(self, slot: int) -> float:
        return self._first_s + self._interval_s * (slot + self._random.uniform(-JITTER, JITTER))


class Spread:
    """Hands out phases, 0 … 1, so that whatever was handed out so far is evenly spread."""

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = offset
        self._count = 0

    def even(self, count: int) -> Iterator[float]:
        """Exactly even phases for a batch."""
        for index in range(count):
            yield math.fmod(index / count + self._offset, 1.0)

    def another(self) -> float:
        """The phase of one late comer."""
        self._count += 1
        return math.fmod(self._count * GOLDEN + self._offset, 1.0)


class WriteGate:
    """Start times for first attempts that writes cause: at once, but no more than `WRITES_PER_S`."""

    def __init__(self) -> None:
        self._next_s = -math.inf

    def pass_at(self, now_s: float) -> float:
        """The start time of one more."""
        start_s = max(now_s, self._next_s)
        self._next_s = start_s + 1 / WRITES_PER_S
        return start_s


class LoopWatch:
    """Knows how late the event loop was, so that no attempt is blamed for it.

    `tick` is called every `TICK_S`; what it misses between two calls is seen in `late_since`, as the tick that is still due.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due_s = loop.time() + TICK_S
        self._stalls: deque[tuple[float, float]] = deque()  # (when it ended, seconds late)
        self._handle = loop.call_at(self._due_s, self._tick)
        self.worst_s = 0.0

    def close(self) -> None:
        """Stops ticking."""
        self._handle.cancel()

    @property
    def worst_recently_s(self) -> float:
        """The worst within STALL_MEMORY_S, in seconds; a tick that came less than another tick late is no stall."""
        return self.late_since(self._loop.time() - STALL_MEMORY_S)

    def late_since(self, start_s: float) -> float:
        """The longest time, in seconds, for which the loop did nothing at or after `start_s`."""
        late_s = self._loop.time() - self._due_s
        for ended_s, stall_s in reversed(self._stalls):
            if ended_s < start_s:
                break
            late_s = max(late_s, stall_s)
        return max(0.0, late_s)

    def _tick(self) -> None:
        now_s = self._loop.time()
        late_s = now_s - self._due_s
        self.worst_s = max(self.worst_s, late_s)
        if late_s > TICK_S:
            self._stalls.append((now_s, late_s))
        while self._stalls and self._stalls[0][0] < now_s - STALL_MEMORY_S:
            self._stalls.popleft()
        self._due_s = now_s + TICK_S
        self._handle = self._loop.call_at(self._due_s, self._tick)


def raise_descriptor_limit() -> int:
    """Lifts the soft limit of open files to the hard one and returns it: one descriptor per attempt under way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
