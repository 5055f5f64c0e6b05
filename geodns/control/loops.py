"""Loops that must not end: a defect in one is logged and the loop begins anew, because control has nobody else to do its work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

# Doubled each time, so that a loop that fails at once neither takes a core nor fills the log.
PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
# What a transaction may still take when the node stops; a transfer that takes longer is begun anew by the next control.
FINISH_S = 3.0


async def keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Runs `run` for ever; cancel it to end. Only for loops that can begin anew at any point."""
    pause_s = PAUSE_S
    while True:
        started_s = time.monotonic()
        try:
            await run()
        except Exception:  # the edge of a background loop
            log.exception("a background loop failed by a defect and begins anew", loop=name, pause_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = PAUSE_S if time.monotonic() - started_s > 2 * LONGEST_PAUSE_S else min(2 * pause_s, LONGEST_PAUSE_S)


async def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Awaits `work`, and when cancelled meanwhile lets it come to its end first: a transaction that is broken off in the middle keeps its
    locks until somebody collects the garbage."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            async with asyncio.timeout(FINISH_S):
                await task
        raise
