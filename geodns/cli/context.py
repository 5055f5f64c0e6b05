"""What every verb needs: the settings, and a client where it talks to the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from geodns.cli.client import Client, Target
from geodns.settings import Settings

ResultT = TypeVar("ResultT")

UrlOption = Annotated[str | None, typer.Option("--url", help="Where the API is; default: this machine's, by the settings.", metavar="URL")]
TokenOption = Annotated[
    str | None, typer.Option("--token", help="Bearer token; default: GEODNS_API_TOKEN, else the token file of the state directory.")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file; default: geodns.toml in the working directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def call(target: Target, config: Path | None, ask: Callable[[Client], Awaitable[ResultT]]) -> ResultT:
    """Runs one conversation with the API."""
    settings = Settings.load(file=config)

    async def converse() -> ResultT:
        async with target.open(settings) as client:
            return await ask(client)

    return asyncio.run(converse())
