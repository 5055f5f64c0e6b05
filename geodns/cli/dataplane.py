"""`geodns dataplane`: the packet path alone, from its state on disk. The process becomes the Rust binary."""

from __future__ import annotations

import os

import typer

from geodns.cli.flags import with_settings_flags
from geodns.control import binary
from geodns.control.statedir import StateDirectory
from geodns.errors import StartupError
from geodns.publish.frames import Ownership
from geodns.settings import Settings

EPILOG = (
    "Examples:\n\n`geodns dataplane --dns-listen 192.0.2.53:53 --state-directory /var/lib/geodns`\n\n"
    "Under systemd, so that it outlives control: see contrib/systemd."
)

KEYS = frozenset({"dns.listen", "dns.workers", "state.directory", "user"})
"""What the dataplane is started with; everything else it is told by control."""


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("dataplane", epilog=EPILOG)(with_settings_flags(dataplane, only=KEYS.__contains__))


def dataplane(settings: Settings) -> None:
    """Answer DNS from the state on disk, with or without control.

    `geodns serve` with the same settings finds it, feeds it, and leaves it running when it stops.
    """
    directory = StateDirectory(settings.state.directory)
    directory.create()
    command = list(binary.make_command(settings, directory, Ownership.STANDALONE))
    try:
        os.execv(command[0], command)  # noqa: S606 # no shell: our own binary, by its whole path
    except OSError as error:
        raise StartupError(f"{command[0]} cannot be run: {error.strerror}", hint="was it built for this machine?") from None
