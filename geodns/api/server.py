"""The API's listeners: the main one, and one for metrics alone where the operator wants that. What starts here ends here."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import structlog
from aiohttp import web

from geodns.api.binding import set_common_headers
from geodns.api.listener import BACKLOG
from geodns.api.problems import ErrorReply, render
from geodns.api.tls import Certificate
from geodns.settings import ListenAddress, Settings

log = structlog.get_logger(__name__)

SHUTDOWN_S = 5.0
"""For requests under way at the end; event streams are ended by then."""

KEEPALIVE_S = 75.0

MAX_CONNECTIONS = 1024
"""Open at a time. Far more than an API has callers, far fewer than the descriptors that the checks need."""

FIRST_REQUEST_S = 30.0
"""For the first request of a connection, headers and all."""


def warn_if_exposed(settings: Settings) -> bool:
    """A token sent in the clear beyond this machine is everybody's; the operator is told, and may have a proxy in front."""
    exposed = not settings.api.listen.is_loopback and settings.api.tls_certificate is None
    if exposed:
        log.warning("the API listens beyond loopback without TLS, tokens travel in the clear", listen=str(settings.api.listen))
    return exposed


class Protocol(web.RequestHandler):
    """One connection. What is not even HTTP is answered like every other error, and costs no log line; idle strangers are shown out."""

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        # Never decompress what a stranger sends: a few bytes can become gigabytes.
        super().__init__(manager, loop=loop, access_log=None, auto_decompress=False, keepalive_timeout=KEEPALIVE_S)  # type: ignore[arg-type]
        self._clock = loop
        self._first_request: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._manager is not None and len(self._manager.connections) > MAX_CONNECTIONS:
            self.force_close()
            return
        self._first_request = self._clock.call_later(FIRST_REQUEST_S, self._show_out)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._first_request is not None:
            self._first_request.cancel()
        super().connection_lost(exc)

    def _show_out(self) -> None:
        if self._request_count == 0:
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Called for what aiohttp's parser refuses; handlers' own errors have become responses before."""
        if request.writer.output_size > 0:
            raise ConnectionError("a response was broken off")
        kind = HTTPStatus(status)
        if kind is HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request failed", exc_info=exc)
        request_id = uuid.uuid4().hex
        reply = ErrorReply(kind, "malformed-request", "this is not a well-formed HTTP request")
        response = render(reply, instance="", request_id=request_id)
        set_common_headers(response, request_id)
        response.force_close()
        return response


@asynccontextmanager
async def serve(app: web.Application, listener: socket.socket, certificate: Certificate | None = None) -> AsyncIterator[str]:
    """Serves until the block ends; gives the URL. `listener` is taken over."""
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    manager = runner.server
    assert manager is not None, "a runner that was set up has a server"  # noqa: S101 # for the type checker
    context = certificate.context if certificate is not None else None
    try:
        server = await loop.create_server(lambda: Protocol(manager, loop), sock=listener, ssl=context, backlog=BACKLOG)
        host, port = listener.getsockname()[:2]
        try:
            yield f"{'https' if certificate else 'http'}://{ListenAddress(host, port)}"
        finally:
            server.close()
    finally:
        await runner.cleanup()
