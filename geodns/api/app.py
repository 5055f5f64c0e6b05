"""The aiohttp application, made from the route table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiohttp import web

from geodns.api.auth import Authenticator, GuessLimiter
from geodns.api.binding import Binding, Route, describe_errors
from geodns.api.body import IMPORT_LIMIT
from geodns.api.events import STOPPING
from geodns.api.models import Document
from geodns.api.openapi import describe
from geodns.api.operations import DOCUMENT
from geodns.api.seam import Node
from geodns.api.table import ROUTES
from geodns.api.tokens import make_look_up

METRICS = "/metrics"


def make_app(node: Node, admin_token: str) -> web.Application:
    """The API of a node. With the setting `metrics.listen`, metrics are served there alone (`make_metrics_app`)."""
    routes = [route for route in ROUTES if route.path != METRICS or node.settings.metrics.listen is None]
    authenticator = Authenticator(admin_token, make_look_up(node.database), GuessLimiter(time.monotonic))
    return build(routes, Binding(node, authenticator))


def make_metrics_app(node: Node) -> web.Application:
    """/metrics and nothing else, for a listener of its own."""
    routes = [route for route in ROUTES if route.path == METRICS]
    authenticator = Authenticator("", make_look_up(node.database), GuessLimiter(time.monotonic))
    return build(routes, Binding(node, authenticator))


def build(routes: Sequence[Route], binding: Binding[Node]) -> web.Application:
    """Routes under one error handler. HEAD goes wherever GET goes (RFC 9110 §9.3.2)."""
    app = web.Application(middlewares=[describe_errors], client_max_size=IMPORT_LIMIT)
    app[DOCUMENT] = Document(describe(routes))
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(_end_streams)
    for route in routes:
        handler = binding.bind(route)
        app.router.add_route(route.method, route.pattern, handler)
        if route.method == "GET":
            app.router.add_route("HEAD", route.pattern, handler)
    return app


async def _end_streams(app: web.Application) -> None:
    app[STOPPING].set()
