"""An event loop whose clock jumps: ten minutes of checks pass in a second, and every run takes the same course.

Only for code that waits by timers; real sockets and threads do not know about the jump.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _JumpingSelector(selectors.SelectSelector):
    """Does not wait: tells the loop how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("the simulation waits for something that no timer will bring")
        self.now_s += max(0.0, timeout)
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Its `time()` moves exactly to the next timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def stall(self, seconds: float) -> None:
        """Time passes while the loop does nothing, as in a stopped process."""
        self._jumping.now_s += seconds


def run_simulated(scenario: Callable[[SimulatedLoop], Coroutine[Any, Any, None]]) -> None:
    """Runs a scenario on a loop of its own; tasks that it left are cancelled, as by asyncio.run."""
    loop = SimulatedLoop()

    async def run() -> None:
        await scenario(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())
