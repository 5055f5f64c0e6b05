"""What a node stands on: the lock on its state directory and the supervised dataplane.

It imports little on purpose. The database, HTTP and probing libraries take a second to load on a busy machine, and a dataplane that is
started before them answers from its disk meanwhile; `geodns serve` therefore stands on its ground first and loads the node then.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from geodns.control import binary, privileges
from geodns.control.statedir import StateDirectory
from geodns.control.supervisor import Ending, Program, Supervisor
from geodns.publish.frames import Ownership
from geodns.settings import Settings


class Ground:
    """`async with Ground(settings) as ground:` holds the lock and a dataplane that has said HELLO. Raises StartupError on the way in.

    `ending` says what becomes of the dataplane at the end; a start that fails takes only what it began.
    """

    def __init__(self, settings: Settings) -> None:
        self.directory = StateDirectory(settings.state.directory)
        self.supervisor = Supervisor(
            Program(binary.make_command(settings, self.directory, Ownership.SUPERVISED), settings.start_digest), self.directory
        )
        self.ending = Ending.WHAT_WE_STARTED
        self._user = settings.user
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.directory.create)
            self._stack.enter_context(self.directory.locked())
            # The dataplane leaves root before it opens its state, and must find it its own.
            await asyncio.to_thread(privileges.hand_over_to, self._user, self.directory.path)
            self._stack.push_async_callback(self._stop_dataplane)
            await self.supervisor.start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def _stop_dataplane(self) -> None:
        await self.supervisor.stop(self.ending)
