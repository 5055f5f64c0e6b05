"""Keeping long work from being noticed on the event loop: loops cut into slices, and no collector pauses."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

# The promise is that the loop is never blocked longer than 100 ms; a fifth of that leaves room for the garbage collector and slow machines.
_SLICE_S: Final = 0.02


class Pacer:
    """Call `breathe` once per small piece of work: it lets others run when the slice is used up."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _SLICE_S

    async def breathe(self) -> None:
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + _SLICE_S


@contextmanager
def without_collector() -> Generator[None]:
    """No cyclic garbage collection inside the block, for work on hundreds of thousands of values that form no cycles.

    One full collection over them stops the process for longer than the loop may be held (150 ms were measured at 100,000 rrsets), and
    finds nothing; what the block drops is freed by reference counts as ever.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
