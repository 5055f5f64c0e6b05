"""The dataplane's socket as the CLI uses it when control is dead: as an observer, which may ask and change nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from geodns.control.statedir import StateDirectory
from geodns.publish.client import open_link
from geodns.publish.frames import Role
from geodns.settings import Settings


def explain(settings: Settings, name: str, rtype: str, client: str) -> dict[str, Any]:
    """The trace of an answer. Raises DataplaneUnavailable."""

    async def ask() -> dict[str, Any]:
        async with open_link(StateDirectory(settings.state.directory).socket, Role.OBSERVER) as link:
            return await link.explain({"name": name, "type": rtype, "client": client})

    return asyncio.run(ask())


def status(settings: Settings) -> dict[str, Any]:
    """The dataplane's own STATUS document. Raises DataplaneUnavailable."""

    async def ask() -> dict[str, Any]:
        async with open_link(StateDirectory(settings.state.directory).socket, Role.OBSERVER) as link:
            return await link.ask_status()

    return asyncio.run(ask())
