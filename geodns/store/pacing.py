"""Long loops on the event loop, cut into slices that nobody notices."""

from __future__ import annotations

import asyncio
import time
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
