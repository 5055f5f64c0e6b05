"""API tokens: `gdt_` and 256 random bits, shown once and stored as a SHA-256 hash.

A slow hash would protect nothing, because nobody guesses 256 bits. What a role may do is the API's business.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from geodns.errors import Conflict, InvalidInput, NotFound, Problem
from geodns.store import audit
from geodns.store.audit import Actor
from geodns.store.database import AnyRow, Session
from geodns.store.pages import Page, clamp_limit, make_page, read_cursor
from geodns.store.schema import now, to_microseconds, tokens

PREFIX: Final = "gdt_"
_SECRET_BYTES: Final = 32
_MAX_NAME: Final = 100


class TokenRole(enum.Enum):
    """What a token is for."""

    READ = "read"
    WRITE = "write"
    REPORT = "report"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. `id` is public and names it in paths."""

    id: str
    name: str
    role: TokenRole
    created_at: datetime
    created_by: str
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_valid(self, at: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > at)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made: the only moment at which its secret is known."""

    secret: str
    token: Token


async def create_token(session: Session, name: str, role: TokenRole, actor: Actor, expires_at: datetime | None = None) -> NewToken:
    """Make a token; Conflict when a valid one has this name, because the audit trail knows callers by it."""
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise InvalidInput([Problem("/name", "bad-name", f"a token's name has 1 to {_MAX_NAME} printable characters")])
    at = now()
    if expires_at is not None and expires_at <= at:
        raise InvalidInput([Problem("/expires_at", "in-the-past", "this time is over")])
    same = [_token(row) for row in await session.rows(sa.select(tokens).where(tokens.c.name == name))]
    if any(token.is_valid(at) for token in same):
        raise Conflict(f"there is a token called {name} already", hint="revoke it first, or take another name")
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    token = Token(secrets.token_hex(6), name, role, at, actor.name, None, expires_at, None)
    row = {
        "id": token.id,
        "name": name,
        "digest": _digest(secret),
        "role": role.value,
        "created_at": at,
        "created_by": actor.name,
        "expires_at": expires_at,
    }
    await session.execute(tokens.insert(), row)
    await audit.record(session, actor, "create token", f"token/{name}", detail={"id": token.id, "role": role.value})
    return NewToken(secret, token)


async def verify(session: Session, secret: str) -> Token | None:
    """The valid token with this secret, or None."""
    digest = _digest(secret)
    row = await session.row(sa.select(tokens).where(tokens.c.digest == digest))
    # The index has compared hashes, whose timing tells nothing of the secret; the last word is compared in constant time all the same.
    if row is None or not hmac.compare_digest(bytes(row.digest), digest):
        return None
    token = _token(row)
    return token if token.is_valid(now()) else None


async def note_use(session: Session, token_id: str, at: datetime) -> None:
    """Remember when a token was last used; the caller does not do this for every request."""
    is_older = sa.or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < at)
    await session.execute(tokens.update().where(tokens.c.id == token_id, is_older).values(last_used_at=at))


async def list_tokens(session: Session, *, cursor: str | None = None, limit: int | None = None) -> Page[Token]:
    """All tokens, revoked and expired ones too, newest first."""
    size = clamp_limit(limit)
    order = (tokens.c.created_at, tokens.c.id)
    query = sa.select(tokens).order_by(*(column.desc() for column in order)).limit(size + 1)
    if cursor is not None:
        created, token_id = read_cursor(cursor, int, str)
        query = query.where(sa.tuple_(*order) < sa.tuple_(sa.literal(created, sa.BigInteger), sa.literal(token_id)))
    return make_page([_token(row) for row in await session.rows(query)], size, lambda token: (to_microseconds(token.created_at), token.id))


async def revoke_token(session: Session, token_id: str, actor: Actor) -> Token:
    """End a token; NotFound. One that was revoked before stays as it was."""
    row = await session.row(sa.select(tokens).where(tokens.c.id == token_id))
    if row is None:
        raise NotFound(f"there is no token {token_id}")
    if row.revoked_at is None:
        await session.execute(tokens.update().where(tokens.c.id == token_id).values(revoked_at=now()))
        await audit.record(session, actor, "revoke token", f"token/{row.name}", detail={"id": token_id})
    return _token((await session.execute(sa.select(tokens).where(tokens.c.id == token_id))).one())


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


def _token(row: AnyRow) -> Token:
    return Token(row.id, row.name, TokenRole(row.role), row.created_at, row.created_by, row.last_used_at, row.expires_at, row.revoked_at)
