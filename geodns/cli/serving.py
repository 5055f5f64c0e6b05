"""What `geodns serve` runs on its ground: the node, the API, the certificate's watch, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from geodns import __version__
from geodns.api import server
from geodns.api.app import make_app, make_metrics_app
from geodns.api.auth import AdminToken, obtain_admin_token
from geodns.api.tls import Certificate
from geodns.cli.output import say
from geodns.cli.signals import Signals
from geodns.control.ground import Ground
from geodns.control.node import Node
from geodns.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Listeners:
    """The bound sockets; `metrics` only where metrics have their own."""

    api: socket.socket
    metrics: socket.socket | None


async def serve_on(settings: Settings, ground: Ground, listeners: Listeners, signals: Signals) -> None:
    """Everything above the ground, until a signal ends it."""
    certificate = _load_certificate(settings)
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(Node(settings, ground))
        token = obtain_admin_token(settings)
        server.warn_if_exposed(settings)
        url = await stack.enter_async_context(server.serve(make_app(node, token.token), listeners.api, certificate))
        if listeners.metrics is not None:
            await stack.enter_async_context(server.serve(make_metrics_app(node), listeners.metrics))
        log.info("geodns serves", version=__version__, dns=[str(address) for address in settings.dns.listen], api=url)
        show_token(settings, token)
        # What the start has made stays: the collector need not look through it again and again while the loop waits.
        gc.freeze()
        await _run_until_signal(node, certificate, signals)
    log.info("geodns has stopped")


def _load_certificate(settings: Settings) -> Certificate | None:
    if settings.api.tls_certificate is None or settings.api.tls_key is None:
        return None
    return Certificate(settings.api.tls_certificate, settings.api.tls_key)


def show_token(settings: Settings, token: AdminToken) -> None:
    """Once, at the start that made it, and to nobody's log: on standard output."""
    if token.made:
        say(f"admin token, shown this once and kept in {settings.token_file}: {token.token}")


async def _run_until_signal(node: Node, certificate: Certificate | None, signals: Signals) -> None:
    """Returns after SIGTERM or SIGINT."""

    def reread() -> None:
        node.reload()
        if certificate is not None:
            certificate.reload()

    # An end is expected at once: Ctrl-C reaches the dataplane too, which must not be started again while the API says goodbye.
    signals.hand_over(end=node.expect_end, reread=reread)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(certificate.watch()) if certificate is not None else None
        await signals.asked.wait()
        if watching is not None:
            watching.cancel()
