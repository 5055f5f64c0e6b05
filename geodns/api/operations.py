"""What operators and their machines ask: status, readiness, liveness, metrics, the OpenAPI document, the audit trail."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from geodns.api.binding import Call, Nothing, Reply
from geodns.api.common import parse_count
from geodns.api.models import AuditEntry, AuditQuery, Document, Health, Page, PageQuery, RecordChange
from geodns.api.problems import RETRY_AFTER_S
from geodns.api.seam import Node
from geodns.errors import NotFound
from geodns.model import names
from geodns.model.rdata import rtype_to_text
from geodns.model.records import record_to_input
from geodns.store import audit, changelog
from geodns.telemetry import Snapshot, print_metrics

SHOWN = 40
"""So much of what was sent is said again."""

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


async def list_changes(call: Call[Node, PageQuery, None]) -> Reply:
    revision, query = parse_count(call.params["revision"]), call.query
    if revision is None:
        raise NotFound(f"{call.params['revision'][:SHOWN]!r} is no revision", hint="GET /api/v1/audit names them")
    async with call.node.database.read() as session:
        page = await changelog.list_rrset_changes(session, revision, cursor=query.cursor, limit=query.limit)
    return Reply(Page[RecordChange](items=[show_change(change) for change in page.items], next=page.next))


def show_change(change: changelog.RrsetChange) -> RecordChange:
    """A changed rrset as the API shows it."""
    return RecordChange(
        zone=names.zone_text(change.apex),
        name=names.to_text(change.owner, change.apex),
        type=rtype_to_text(change.rtype),
        before=None if change.before is None else record_to_input(change.before),
        after=None if change.after is None else record_to_input(change.after),
    )


async def metrics(call: Call[Node, Nothing, None]) -> web.Response:
    snapshot = Snapshot(call.node.counters(), call.node.figures())
    # Twenty thousand series take a tenth of a second to print, and the loop has checks to run.
    body, media_type = await asyncio.to_thread(print_metrics, snapshot, call.request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": media_type})


async def openapi(call: Call[Node, Nothing, None]) -> Reply:
    return Reply(call.request.app[DOCUMENT])
