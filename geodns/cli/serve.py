"""`geodns serve`: the whole node. Sockets are bound before anything else starts, and what starts here ends here."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import structlog
import typer

from geodns import __version__
from geodns.api import server
from geodns.api.app import make_app, make_metrics_app
from geodns.api.auth import AdminToken, obtain_admin_token
from geodns.api.tls import Certificate
from geodns.cli.flags import with_settings_flags
from geodns.cli.output import say
from geodns.control.node import Node
from geodns.settings import Settings
from geodns.telemetry import configure_logs

log = structlog.get_logger(__name__)

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
    certificate = _load_certificate(settings)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(server.bind("api.listen", settings.api.listen))
        metrics = None if settings.metrics.listen is None else stack.enter_context(server.bind("metrics.listen", settings.metrics.listen))
        node = await stack.enter_async_context(Node(settings))
        token = obtain_admin_token(settings)
        server.warn_if_exposed(settings)
        url = await stack.enter_async_context(server.serve(make_app(node, token.token), listener, certificate))
        if metrics is not None:
            await stack.enter_async_context(server.serve(make_metrics_app(node), metrics))
        log.info("geodns serves", version=__version__, dns=[str(address) for address in settings.dns.listen], api=url)
        show_token(settings, token)
        await _run_until_signal(node, certificate)
    log.info("geodns has stopped")


def _load_certificate(settings: Settings) -> Certificate | None:
    if settings.api.tls_certificate is None or settings.api.tls_key is None:
        return None
    return Certificate(settings.api.tls_certificate, settings.api.tls_key)


def show_token(settings: Settings, token: AdminToken) -> None:
    """Once, at the start that made it, and to nobody's log: on standard output."""
    if token.made:
        say(f"admin token, shown this once and kept in {settings.token_file}: {token.token}")


async def _run_until_signal(node: Node, certificate: Certificate | None) -> None:
    """Returns after SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def end() -> None:
        # At once: Ctrl-C reaches the dataplane too, which must not be started again while the API says goodbye.
        node.expect_end()
        asked.set()

    def reread() -> None:
        node.reload()
        if certificate is not None:
            certificate.reload()

    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: reread}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(certificate.watch()) if certificate is not None else None
            await asked.wait()
            if watching is not None:
                watching.cancel()
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
