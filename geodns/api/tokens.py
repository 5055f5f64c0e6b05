"""`/tokens`: who may use the API. A token's secret is shown once, when it is made, and kept as a hash."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus

from geodns.api import models
from geodns.api.auth import Identity, Role
from geodns.api.binding import Call, Nothing, Reply
from geodns.api.common import actor_of
from geodns.api.models import Deleted, NewToken, Page, PageQuery, TokenInput
from geodns.api.seam import Node
from geodns.errors import DatabaseUnavailable
from geodns.store import tokens as store
from geodns.store.database import Database
from geodns.store.schema import now

NOTE_INTERVAL_S = 600.0
"""How exact "last used" is. A write for every request would make reading as dear as writing."""


async def list_tokens(call: Call[Node, PageQuery, None]) -> Reply:
    async with call.node.database.read() as session:
        page = await store.list_tokens(session, cursor=call.query.cursor, limit=call.query.limit)
    return Reply(Page[models.Token](items=[show_token(token) for token in page.items], next=page.next))


async def create_token(call: Call[Node, Nothing, TokenInput]) -> Reply:
    given = call.body
    async with call.node.database.write() as session:
        await call.node.check_history(session)
        made = await store.create_token(session, given.name, store.TokenRole(given.role.value), actor_of(call), given.expires_at)
    shown = show_token(made.token).model_dump()
    # The secret is in this answer and nowhere else: no cache on the way may keep it.
    return Reply(NewToken(**shown, token=made.secret), HTTPStatus.CREATED, headers={"Cache-Control": "no-store"})


async def revoke_token(call: Call[Node, Nothing, None]) -> Reply:
    async with call.node.database.write() as session:
        await call.node.check_history(session)
        token = await store.revoke_token(session, call.params["id"], actor_of(call))
    return Reply(Deleted(deleted=f"token/{token.id}"))


def show_token(token: store.Token) -> models.Token:
    """A stored token as the API shows it."""
    return models.Token(
        id=token.id,
        name=token.name,
        role=Role(token.role.value),
        created_at=token.created_at,
        created_by=token.created_by,
        last_used_at=token.last_used_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )


def make_look_up(database: Database) -> Callable[[str], Awaitable[Identity | None]]:
    """How the authenticator asks the database; now and then it is noted that the token is in use."""
    noted_s: dict[str, float] = {}

    async def look_up(secret: str) -> Identity | None:
        async with database.read() as session:
            found = await store.verify(session, secret)
        if found is None:
            return None
        if time.monotonic() - noted_s.get(found.id, -NOTE_INTERVAL_S) >= NOTE_INTERVAL_S:
            noted_s[found.id] = time.monotonic()
            with suppress(DatabaseUnavailable):
                async with database.write() as session:
                    await store.note_use(session, found.id, now())
        return Identity(found.name, Role(found.role.value))

    return look_up
