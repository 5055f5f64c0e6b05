"""`geodns serve`: the whole node. What starts here ends here.

The order is: the API's sockets (a busy port is found first), the ground (lock and dataplane, which answers from its disk from then on),
and then everything that takes time to load, in `serving.py`.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import typer

from geodns.api.listener import bind
from geodns.cli.flags import with_settings_flags
from geodns.cli.signals import Signals
from geodns.control.ground import Ground
from geodns.control.supervisor import Ending
from geodns.settings import Settings
from geodns.telemetry import configure_logs

EPILOG = (
    "Examples:\n\n`geodns serve`\n\n`geodns serve --dns-listen 0.0.0.0:53,[::]:53 --user geodns`\n\n"
    "`GEODNS_DATABASE_URL=postgresql://geodns@db.example.net/geodns geodns serve --config /etc/geodns/geodns.toml`"
)


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("serve", epilog=EPILOG)(with_settings_flags(serve))


def serve(settings: Settings) -> None:
    """Serve: DNS, the API, checks. Starts the dataplane or attaches to the one that runs, and stops at SIGTERM or Ctrl-C.

    SIGHUP rereads zones in mirror mode, location files and certificates.
    """
    configure_logs(settings.log.level, settings.log.format)
    settings.check_machine()
    asyncio.run(run(settings))


async def run(settings: Settings) -> None:
    """One node, from its first socket to its last."""
    whole = asyncio.current_task()
    ground: Ground | None = None

    def stop_starting() -> None:
        # Whoever asks for an end asks for the end of the dataplane too, also of one that ran before.
        if ground is not None:
            ground.ending = Ending.EVERYTHING
            ground.supervisor.expect_end()
        if whole is not None:
            whole.cancel()

    with Signals(stop_starting) as signals:
        try:
            async with AsyncExitStack() as stack:
                listener = stack.enter_context(bind("api.listen", settings.api.listen))
                metrics = None if settings.metrics.listen is None else stack.enter_context(bind("metrics.listen", settings.metrics.listen))
                ground = Ground(settings)
                await stack.enter_async_context(ground)
                # Only now: loading the libraries of the store, the API and the prober takes a second, and the dataplane answers meanwhile.
                from geodns.cli.serving import Listeners, serve_on

                await serve_on(settings, ground, Listeners(listener, metrics), signals)
        except asyncio.CancelledError:
            if not signals.asked.is_set():
                raise
