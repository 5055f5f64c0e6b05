"""`geodns db upgrade|adopt`: the database, with or without a running server."""

from __future__ import annotations

import asyncio
import getpass
import uuid
from pathlib import Path
from typing import Annotated

import typer

from geodns.cli.context import ConfigOption, JsonOption
from geodns.cli.output import say, say_json
from geodns.control.statedir import StateDirectory
from geodns.errors import DataplaneUnavailable
from geodns.publish.client import open_link
from geodns.publish.frames import Role
from geodns.settings import Settings
from geodns.store import history, migrate
from geodns.store.audit import Actor, Source
from geodns.store.database import Database
from geodns.store.history import Triple
from geodns.store.location import locate

BASE_MAGIC = b"GDNSBASE"

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Create or migrate the database, or begin a new history in it.")


def register(root: typer.Typer) -> None:
    """Adds the verbs below `db`."""
    root.add_typer(app, name="db")


@app.command(epilog="Example:\n\n`GEODNS_DATABASE_URL=postgresql://geodns@db.example.net/geodns geodns db upgrade`")
def upgrade(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Create the schema in an empty database, or migrate an older one. An SQLite file is copied first."""
    settings = Settings.load(file=config)
    done = asyncio.run(migrate.upgrade(settings.database.url))
    if as_json:
        say_json(
            {"found": done.found.value, "before": done.version_before, "version": done.version, "backup": str(done.backup or "") or None}
        )
    elif done.found is migrate.SchemaState.CURRENT:
        say(f"{locate(settings.database.url)} is at schema {done.version}: nothing to do")
    else:
        say(f"{locate(settings.database.url)} was {done.found.value} and is now at schema {done.version}")
        if done.backup is not None:
            say(f"the file before is kept as {done.backup}")


@app.command(epilog='Example:\n\n`geodns db adopt --reason "restored Monday\'s backup"`')
def adopt(
    reason: Annotated[str, typer.Option(help="Why; the audit trail keeps it.")],
    replaces: Annotated[
        list[uuid.UUID] | None,
        typer.Option(help="A further lineage that is given up, as `geodns status` of another node names it.", metavar="LINEAGE"),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Begin a new history in this database; every node follows it, whatever it served before.

    Needed once after a restored backup or a lost failover: until then nodes go on serving what they have, publish nothing and answer
    writes with 409.
    """
    settings = Settings.load(file=config)
    triple = asyncio.run(_adopt(settings, reason, replaces or []))
    if as_json:
        say_json({"lineage": str(triple.lineage), "revision": triple.revision, "reason": reason})
    else:
        say(f"a new history begins with revision {triple.revision}: lineage {triple.lineage}")


async def _adopt(settings: Settings, reason: str, replaces: list[uuid.UUID]) -> Triple:
    served = await find_served_lineage(settings)
    given_up = [*replaces, *([served] if served is not None else [])]
    store = await Database.open(settings.database.url)
    try:
        async with store.write() as session:
            actor = Actor(f"{getpass.getuser()} on {settings.node.name}", Source.CLI)
            return await history.adopt_lineage(session, reason, actor, replaces=given_up)
    finally:
        await store.close()


async def find_served_lineage(settings: Settings) -> uuid.UUID | None:
    """What this machine's dataplane serves, whether it runs or not: asked of it, else read from the head of its state on disk."""
    directory = StateDirectory(settings.state.directory)
    try:
        async with open_link(directory.socket, Role.OBSERVER) as link:
            return link.hello.served.lineage if link.hello.served is not None else None
    except DataplaneUnavailable:
        return find_served_lineage_on_disk(directory.dataplane / "base")


def find_served_lineage_on_disk(path: Path) -> uuid.UUID | None:
    """docs/link-protocol.md section 6: magic, u16 format, then the triple, of which the lineage comes first."""
    try:
        with path.open("rb") as file:
            head = file.read(len(BASE_MAGIC) + 2 + 16)
    except OSError:
        return None
    return uuid.UUID(bytes=head[-16:]) if head.startswith(BASE_MAGIC) and len(head) == len(BASE_MAGIC) + 18 else None
