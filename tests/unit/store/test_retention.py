"""What the store forgets, and what it must not."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from geodns.settings import RetentionSettings
from geodns.store import audit, events, health, history, overrides, retention
from geodns.store.database import Database, Session
from geodns.store.health import CheckRow, TransitionRow
from geodns.store.overrides import StoredOverride
from geodns.store.retention import Retention
from geodns.store.schema import audit as audit_table
from geodns.store.schema import check_states, now, revisions, rrset_changes, vantages, zone_changes
from tests.unit.store.writing import ACTOR, a, change, create, upsert

KEPT = Retention(timedelta(days=90), timedelta(days=400))
OLD, VERY_OLD = timedelta(days=91), timedelta(days=401)


def turn(endpoint: str, age: timedelta) -> TransitionRow:
    return TransitionRow(endpoint, "fra", now() - age, "up", "down", "connection refused")


async def count(session: Session, table: sa.Table) -> int:
    return int(await session.scalar(sa.select(sa.func.count()).select_from(table)))


async def forget_all(database: Database) -> None:
    forgotten = 1
    while forgotten:
        async with database.write() as session:
            forgotten = await retention.forget(session, KEPT)


async def test_the_story_of_health_is_forgotten_after_its_time_and_not_before(database: Database) -> None:
    turns = [turn("old", OLD), *(turn(f"old{number}", OLD) for number in range(retention.ROWS + 5)), turn("new", timedelta(days=89))]
    async with database.write() as session:
        await health.record_transitions(session, turns)
        await events.record_verdicts(session, turns)
    await forget_all(database)
    async with database.read() as session:
        assert (await health.list_transitions(session, "old")).items == ()
        assert len((await health.list_transitions(session, "new")).items) == 1
        assert [event.subject for event in (await events.list_events(session)).items] == ["new"]


async def test_states_of_checks_that_nobody_runs_go_and_others_stay(database: Database) -> None:
    state = CheckRow("kept", "fra", "down", "down", True, None, "connection refused", 0, 2)
    async with database.write() as session:
        await health.save_states(session, [state, CheckRow("gone", "fra", "up", "up", True, None, "status 200", 3, 0)])
        await health.beat(session, "fra")
        await health.beat(session, "dismissed")
        week_us = retention.UNSEEN // timedelta(microseconds=1)
        await session.execute(
            check_states.update().where(check_states.c.endpoint_id == "gone").values(updated=check_states.c.updated - week_us)
        )
        await session.execute(vantages.update().where(vantages.c.name == "dismissed").values(heartbeat=vantages.c.heartbeat - week_us))
    await forget_all(database)
    async with database.read() as session:
        assert await health.load_states(session, "fra") == [state]
        assert set((await health.hear(session, 0)).heartbeat_ages_s) == {"fra"}


async def test_an_override_in_force_is_never_forgotten_and_one_that_ended_is(database: Database) -> None:
    said = now() - OLD
    async with database.write() as session:
        for target, state, expires_at in (
            ("192.0.2.1", "down", None),
            ("192.0.2.2", None, None),
            ("192.0.2.3", "up", said + timedelta(hours=1)),
        ):
            await overrides.put_override(session, StoredOverride("value", target, state, "since spring", "kim", said, expires_at), ACTOR)
    await forget_all(database)
    async with database.read() as session:
        assert [override.target for override in await overrides.list_overrides(session)] == ["192.0.2.1"]


async def test_a_node_behind_what_is_remembered_is_told_everything(database: Database) -> None:
    await create(database)
    async with database.read() as session:
        first = await history.head(session)
    await change(database, upsert(a("www")))
    async with database.read() as session:
        second = await history.head(session)
    await change(database, upsert(a("mail")))
    async with database.write() as session:
        await session.execute(revisions.update().where(revisions.c.revision <= second.revision).values(at=now() - VERY_OLD))
        await session.execute(audit_table.update().where(audit_table.c.revision <= second.revision).values(at=now() - VERY_OLD))
    await forget_all(database)
    async with database.read() as session:
        assert await history.changed_owners_since(session, first.revision, limit=100) is None, "what came after it is not known any more"
        known = await history.changed_owners_since(session, second.revision, limit=100)
        head = await history.head(session)
        assert known is not None
        assert {str(owner) for _, owner in known.owners} == {"example.com.", "mail.example.com."}
        assert await history.changed_owners_since(session, head.revision, limit=100) == history.ChangedSince((), (), (), (), ())
        assert await count(session, rrset_changes) == 1
        assert await history.holds(session, first), "a dataplane from back then is still one of ours"
        assert [entry.revision for entry in (await audit.list_entries(session)).items] == [head.revision]


async def test_a_large_revision_goes_in_pieces_and_is_never_half_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS", 10)
    async with database.read() as session:
        before = await history.head(session)
    await create(database, *(a(f"host{number}") for number in range(25)))
    for number in range(4):
        await change(database, upsert(a("www", f"192.0.2.{number}")))
    await change(database, *(upsert(a(f"late{number}"), number) for number in range(25)))
    await change(database, upsert(a("mail")))
    async with database.write() as session:
        await session.execute(revisions.update().values(at=now() - VERY_OLD))
    left = []
    forgotten = 1
    while forgotten:
        async with database.write() as session:
            forgotten = await retention.forget(session, KEPT)
        async with database.read() as session:
            left.append((await count(session, rrset_changes), await count(session, zone_changes)))
            assert await history.changed_owners_since(session, before.revision, limit=100) is None
            for revision in range(before.revision + 1, before.revision + 7):
                known = await history.changed_owners_since(session, revision, limit=100)
                names = set() if known is None else {str(owner) for _, owner in known.owners}
                assert known is None or "mail.example.com." in names, "whoever is told anything is told of all that came later"
                if known is not None and revision < before.revision + 6:
                    assert len([name for name in names if name.startswith("late")]) == 25
    # Of the zone's 26 rrsets twice ten, the rest with the four small revisions; the large changeset likewise, the rest with the last one.
    assert left == [(46, 1), (36, 1), (26, 0), (16, 0), (6, 0), (0, 0), (0, 0)]


def test_nothing_is_forgotten_in_its_youth() -> None:
    least = min(bound.ge for bound in RetentionSettings.model_fields["audit_days"].metadata if hasattr(bound, "ge"))
    assert timedelta(days=least) > history.YOUTH
