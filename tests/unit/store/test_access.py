"""Tokens, cookie secrets and the lock of one node among many."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from geodns.errors import Conflict, InvalidInput, NotFound
from geodns.store import audit, cookies, tokens
from geodns.store.database import Database
from geodns.store.locks import NodeLock
from geodns.store.schema import now
from geodns.store.tokens import TokenRole
from tests.support.databases import opened
from tests.unit.store.writing import ACTOR

MICROSECONDS_A_DAY = 86_400_000_000


async def test_token_is_known_by_its_secret_alone(database: Database) -> None:
    async with database.write() as session:
        made = await tokens.create_token(session, "deploy", TokenRole.WRITE, ACTOR)
        other = await tokens.create_token(session, "monitor", TokenRole.READ, ACTOR)
    assert made.secret.startswith("gdt_")
    assert len(made.secret) >= 4 + 43  # 256 bits in base64
    async with database.read() as session:
        assert await tokens.verify(session, made.secret) == made.token
        for wrong in (made.secret[:-1], made.secret + "x", "", "gdt_", made.token.id, "\udcff"):
            assert await tokens.verify(session, wrong) is None
        page = await tokens.list_tokens(session, limit=1)
        rest = await tokens.list_tokens(session, limit=1, cursor=page.next)
        stored = [str(tuple(row)) for row in await session.rows(sa.text("SELECT * FROM tokens"))]
        entries = (await audit.list_entries(session)).items
    assert [token.name for token in (*page.items, *rest.items)] == ["monitor", "deploy"]
    assert not any(made.secret in text or other.secret in text for text in (*stored, *map(str, entries)))


async def test_revoked_and_expired_tokens_are_not_valid(database: Database) -> None:
    async with database.write() as session:
        revoked = await tokens.create_token(session, "revoked", TokenRole.READ, ACTOR)
        expiring = await tokens.create_token(session, "expiring", TokenRole.READ, ACTOR, now() + timedelta(hours=1))
        await tokens.revoke_token(session, revoked.token.id, ACTOR)
        assert (await tokens.revoke_token(session, revoked.token.id, ACTOR)).revoked_at is not None
        assert await tokens.verify(session, expiring.secret) is not None
        await session.execute(sa.text("UPDATE tokens SET expires_at = created_at WHERE name = 'expiring'"))
    async with database.write() as session:
        assert await tokens.verify(session, revoked.secret) is None
        assert await tokens.verify(session, expiring.secret) is None
        await tokens.create_token(session, "expiring", TokenRole.READ, ACTOR)
        with pytest.raises(Conflict):
            await tokens.create_token(session, "expiring", TokenRole.READ, ACTOR)
        with pytest.raises(NotFound):
            await tokens.revoke_token(session, "unknown", ACTOR)
        for name, expires_at in (("", None), ("a\nb", None), ("past", now())):
            with pytest.raises(InvalidInput):
                await tokens.create_token(session, name, TokenRole.READ, ACTOR, expires_at)


async def test_use_of_a_token_is_remembered_and_never_goes_back(database: Database) -> None:
    at = now()
    async with database.write() as session:
        made = await tokens.create_token(session, "deploy", TokenRole.WRITE, ACTOR)
        await tokens.note_use(session, made.token.id, at)
        await tokens.note_use(session, made.token.id, at - timedelta(hours=1))
        (token,) = (await tokens.list_tokens(session)).items
    assert token.last_used_at == at


async def test_cookie_secret_is_made_once_for_all_nodes(database: Database, database_url: str) -> None:
    async def ask(node: Database) -> tuple[bytes, ...]:
        async with node.write() as session:
            return await cookies.current_secrets(session)

    async with opened(database_url) as other:
        found = await asyncio.gather(*(ask(node) for node in (database, other) * 3))
    assert len(set(found)) == 1
    assert [len(secret) for secret in found[0]] == [16]


async def test_cookie_secret_is_rotated_daily_and_the_one_before_lives_for_an_hour(database: Database) -> None:
    async with database.write() as session:
        (first,) = await cookies.current_secrets(session)
        await session.execute(sa.text(f"UPDATE secrets SET made_at = made_at - {MICROSECONDS_A_DAY}"))  # noqa: S608
        second, previous = await cookies.current_secrets(session)
        assert previous == first
        assert second != first
        assert await cookies.current_secrets(session) == (second, first)
        await session.execute(sa.text("UPDATE secrets SET made_at = made_at - 3600000000"))
        assert await cookies.current_secrets(session) == (second,)
        await session.execute(sa.text(f"UPDATE secrets SET made_at = made_at - {MICROSECONDS_A_DAY}"))  # noqa: S608
        third, previous = await cookies.current_secrets(session)
        assert previous == second
        assert third not in {first, second}
        assert await session.scalar(sa.text("SELECT count(*) FROM secrets")) == 2


async def test_one_node_holds_a_lock_until_it_gives_it_back(database: Database, database_url: str) -> None:
    async with opened(database_url) as other:
        ours, theirs, elsewhere = NodeLock(database, "mirror"), NodeLock(other, "mirror"), NodeLock(other, "other")
        assert await ours.acquire()
        assert await ours.acquire()
        assert await ours.is_held()
        assert not await theirs.acquire()
        assert not await theirs.is_held()
        assert await elsewhere.acquire()
        await ours.release()
        assert not await ours.is_held()
        assert await theirs.acquire()
        await theirs.release()
        await elsewhere.release()
