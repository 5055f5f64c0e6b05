"""`/events`: what happened, as a list or as a server-sent stream (HTML standard, "Server-sent events").

A client that asks for `text/event-stream` gets what happens from now on, or after its `Last-Event-ID`. The stream reads the store,
which every node writes to, so that it tells of all nodes; while the database is away it is silent and goes on afterwards without a gap.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import web

from geodns.api import models
from geodns.api.binding import Call, Reply, set_common_headers
from geodns.api.common import parse_count
from geodns.api.models import EventsQuery, Page
from geodns.api.seam import Node
from geodns.errors import DatabaseUnavailable, SchemaTooNew
from geodns.store import events as store

STREAM = "text/event-stream"

POLL_S = 0.5
"""Between two looks at the store: soon enough for eyes, and one indexed query that finds nothing."""

COMMENT_S = 15.0
"""A comment line at least this often keeps proxies from ending a quiet stream, and finds out that the client has gone."""

BATCH = 500

OVERLAP = 50
"""Events that are looked at twice: more than are written between a transaction's first statement and its commit."""

STOPPING = web.AppKey("STOPPING", asyncio.Event)
"""Set when the API ends, so that streams end with it and not by force."""


async def list_events(call: Call[Node, EventsQuery, None]) -> Reply | web.StreamResponse:
    if STREAM in call.request.headers.get("Accept", ""):
        return await _stream(call)
    query = call.query
    async with call.node.database.read() as session:
        page = await store.list_events(session, kind=query.kind, cursor=query.cursor, limit=query.limit)
    return Reply(Page[models.Event](items=[show_event(event) for event in page.items], next=page.next))


def show_event(event: store.Event) -> models.Event:
    """A stored event as the API shows it."""
    return models.Event(id=event.id, at=event.at, node=event.node, kind=event.kind, subject=event.subject, detail=event.detail)


@dataclass(slots=True)
class Follower:
    """Reads what is new in the store. On PostgreSQL a lower id may be committed after a higher one, so that the last few are looked at
    again."""

    node: Node
    position: int
    _seen: deque[int] = field(default_factory=lambda: deque(maxlen=4 * OVERLAP))

    @classmethod
    async def begin(cls, node: Node, after: int | None) -> Follower:
        """After an event, else after the newest one there is. Raises DatabaseUnavailable."""
        async with node.database.read() as session:
            if after is None:
                newest = (await store.list_events(session, limit=1)).items
                after = newest[0].id if newest else 0
            before = await store.events_after(session, max(0, after - OVERLAP), OVERLAP)
        follower = cls(node, after)
        follower._seen.extend(event.id for event in before if event.id <= after)
        return follower

    async def read(self) -> list[store.Event]:
        """What was not read before; nothing while the database is away."""
        with suppress(DatabaseUnavailable, SchemaTooNew):
            async with self.node.database.read() as session:
                found = await store.events_after(session, max(0, self.position - OVERLAP), OVERLAP + BATCH)
            new = [event for event in found if event.id not in self._seen]
            self._seen.extend(event.id for event in new)
            self.position = max([self.position, *(event.id for event in new)])
            return new
        return []


async def _stream(call: Call[Node, EventsQuery, None]) -> web.StreamResponse:
    follower = await Follower.begin(call.node, parse_count(call.request.headers.get("Last-Event-ID", "")))
    response = web.StreamResponse(headers={"Content-Type": STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    set_common_headers(response, call.request_id)
    await response.prepare(call.request)
    loop, stopping = asyncio.get_running_loop(), call.request.app[STOPPING]
    spoken_s = loop.time()
    await response.write(b": geodns\n\n")
    while not stopping.is_set():
        found = await follower.read()
        told = [event for event in found if call.query.kind in (None, event.kind)]
        if told or loop.time() - spoken_s >= COMMENT_S:
            await response.write(b"".join(map(_encode, told)) or b":\n\n")
            spoken_s = loop.time()
        if len(found) < BATCH:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await stopping.wait()
    return response


def _encode(event: store.Event) -> bytes:
    data = json.dumps(show_event(event).model_dump(mode="json"), ensure_ascii=False)
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode()
