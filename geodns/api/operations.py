"""What operators and their machines ask: status, readiness, liveness, metrics, the OpenAPI document, the audit trail."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from geodns.api.binding import Call, Nothing, Reply
from geodns.api.models import AuditEntry, AuditQuery, Document, Health, Page
from geodns.api.problems import RETRY_AFTER_S
from geodns.api.seam import Node
from geodns.store import audit
from geodns.telemetry import Snapshot, print_metrics

DOCUMENT = web.AppKey("DOCUMENT", Document)
"""The OpenAPI document of the application, made with it."""


async def status(call: Call[Node, Nothing, None]) -> Reply:
    return Reply(Document(dict(call.node.status())))


async def live(call: Call[Node, Nothing, None]) -> Reply:
    """That this is answered at all is the answer: the event loop runs. The database is none of its business."""
    return Reply(Health(status="alive"))


async def ready(call: Call[Node, Nothing, None]) -> Reply:
    is_ready, reason = call.node.readiness()
    if is_ready:
        return Reply(Health(status="ready"))
    return Reply(Health(status="not ready", reason=reason), HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": str(RETRY_AFTER_S)})


async def list_audit(call: Call[Node, AuditQuery, None]) -> Reply:
    query = call.query
    async with call.node.database.read() as session:
        page = await audit.list_entries(session, subject=query.subject, cursor=query.cursor, limit=query.limit)
    return Reply(Page[AuditEntry](items=[show_entry(entry) for entry in page.items], next=page.next))


def show_entry(entry: audit.AuditEntry) -> AuditEntry:
    """An entry of the audit trail as the API shows it."""
    actor = entry.actor
    return AuditEntry(
        id=entry.id,
        at=entry.at,
        actor=actor.name,
        source=actor.source.value,
        address=actor.address,
        request_id=actor.request_id,
        action=entry.action,
        subject=entry.subject,
        revision=entry.revision,
        detail=entry.detail,
    )


async def metrics(call: Call[Node, Nothing, None]) -> web.Response:
    snapshot = Snapshot(call.node.counters(), call.node.figures())
    # Twenty thousand series take a tenth of a second to print, and the loop has checks to run.
    body, media_type = await asyncio.to_thread(print_metrics, snapshot, call.request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": media_type})


async def openapi(call: Call[Node, Nothing, None]) -> Reply:
    return Reply(call.request.app[DOCUMENT])
