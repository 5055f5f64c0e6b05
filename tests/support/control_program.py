"""Control without its API as a process of its own, to be killed: `python -m tests.support.control_program SETTINGS_JSON`.

Prints "ready" when the dataplane serves a state, and ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import structlog

from geodns.control.ground import Ground
from geodns.control.node import Node
from geodns.settings import Settings


async def main(flags: dict[str, object]) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    settings = Settings.load(flags, environ={})
    async with Ground(settings) as ground, Node(settings, ground) as node:
        while not node.readiness()[0]:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
        print("ready", flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
