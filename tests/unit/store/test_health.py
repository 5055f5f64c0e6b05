"""The health table, the operator's word, events: what control and prober write is what they read again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from geodns.store import audit, events, health, overrides
from geodns.store.database import Database
from geodns.store.health import CheckRow, ReportRow, TransitionRow
from geodns.store.overrides import FREEZE, StoredOverride
from tests.support.databases import opened
from tests.unit.store.writing import ACTOR

AT = datetime(2025, 3, 1, 12, 0, 0, 123456, UTC)


def row(endpoint: str, vantage: str = "fra", verdict: str = "up", **fields: object) -> CheckRow:
    state = CheckRow(endpoint, vantage, verdict, verdict, True, AT, "status 200", 3, 0, 0.012, AT)
    return replace(state, **fields)  # type: ignore[arg-type]


def turn(endpoint: str, seconds: float, verdict: str) -> TransitionRow:
    previous = "down" if verdict == "up" else "up"
    at = AT + timedelta(seconds=seconds)
    return TransitionRow(endpoint, "fra", at, previous, verdict, "connect refused", {"fra": verdict}, {"values": ["192.0.2.1"]})


async def test_states_come_back_and_the_newer_replaces_the_older(database: Database) -> None:
    never = replace(row("e2"), since=None, latency_s=None, last_attempt=None, is_known=False)
    async with database.write() as session:
        await health.save_states(session, [row("e1"), never, row("e1", "nyc")])
    async with database.write() as session:
        await health.save_states(session, [row("e1", verdict="down", flaps=2, is_released=True)])
    async with database.read() as session:
        loaded = {state.endpoint_id: state for state in await health.load_states(session, "fra")}
        (elsewhere,) = await health.load_states(session, "nyc")
    assert loaded == {"e1": row("e1", verdict="down", flaps=2, is_released=True), "e2": never}
    assert elsewhere == row("e1", "nyc")


async def test_ten_thousand_states_are_one_batch(database: Database) -> None:
    async with database.write() as session:
        await health.save_states(session, [row(f"e{index}") for index in range(10_000)])
    async with database.write() as session:
        await health.save_states(session, [row(f"e{index}", verdict="down") for index in range(10_000)])
    async with database.read() as session:
        loaded = await health.load_states(session, "fra")
    assert len(loaded) == 10_000
    assert {state.verdict for state in loaded} == {"down"}


async def test_the_later_of_two_reports_stays_and_is_heard_with_its_age(database: Database) -> None:
    for report in (ReportRow("e1", False, "full", 30.0), ReportRow("e1", True, "", 60.0), ReportRow("e2", True, "well", 0.0)):
        async with database.write() as session:
            await health.save_reports(session, [report])
    async with database.read() as session:
        heard = await health.hear(session, 0)
        later = await health.hear(session, heard.position + 60_000_000)
    reports = {report.endpoint_id: report for report in heard.reports}
    assert [(reports[key].is_up, reports[key].cause) for key in ("e1", "e2")] == [(False, "full"), (True, "well")]
    assert 30 <= reports["e1"].age_s < 60
    assert later.reports == ()


async def test_history_is_read_newest_first_and_a_replay_adds_nothing(database: Database) -> None:
    turns = [turn("e1", second, "down" if second % 2 == 0 else "up") for second in range(5)]
    for _ in range(2):
        async with database.write() as session:
            await health.record_transitions(session, [*turns, turn("e2", 0, "down")])
    async with database.read() as session:
        first = await health.list_transitions(session, "e1", limit=3)
        rest = await health.list_transitions(session, "e1", limit=3, cursor=first.next)
    assert [*first.items, *rest.items] == turns[::-1]
    assert rest.next is None


async def test_vantages_are_heard_with_the_age_of_their_heartbeats(database: Database) -> None:
    async with database.write() as session:
        await health.beat(session, "fra")
        await health.beat(session, "nyc")
        await session.execute(sa.text("UPDATE vantages SET heartbeat = heartbeat - 7000000 WHERE name = 'nyc'"))
        await health.save_states(session, [row("e1"), row("e1", "nyc", "down")])
    async with database.read() as session:
        heard = await health.hear(session, 0)
    assert heard.heartbeat_ages_s["fra"] < 5
    assert 7 <= heard.heartbeat_ages_s["nyc"] < 12
    assert {(state.vantage, state.vote) for state in heard.rows} == {("fra", "up"), ("nyc", "down")}
    async with database.write() as session:
        await session.execute(sa.text("UPDATE check_states SET updated = updated - 60000000"))
        await health.save_states(session, [row("e2", "nyc")])
    async with database.read() as session:
        again = await health.hear(session, heard.position)
    assert [state.endpoint_id for state in again.rows] == ["e2"]


async def test_row_that_commits_late_is_heard_all_the_same(database: Database, database_url: str) -> None:
    """A row gets its time when it is written; a listener that asks in between must hear it the next time."""
    async with opened(database_url) as listener:
        async with database.write() as session:
            await health.save_states(session, [row("late")])
            async with listener.read() as reading:
                early = await health.hear(reading, 0)
        async with listener.read() as reading:
            assert [state.endpoint_id for state in (await health.hear(reading, early.position)).rows] == ["late"]
    assert early.rows == ()


async def test_later_of_two_words_on_a_target_wins(database: Database) -> None:
    down = StoredOverride("value", "192.0.2.1", "down", "maintenance", "ann", AT, AT + timedelta(hours=1))
    older = replace(down, state="up", set_at=AT - timedelta(seconds=1))
    cleared = replace(down, state=None, set_at=AT + timedelta(seconds=1), expires_at=None)
    async with database.write() as session:
        assert await overrides.put_override(session, down, ACTOR)
        assert not await overrides.put_override(session, older, ACTOR)
        assert not await overrides.put_override(session, down, ACTOR), "a replay"
        assert await overrides.list_overrides(session) == [down]
        assert await overrides.put_override(session, cleared, ACTOR)
        assert not await overrides.put_override(session, down, ACTOR)
    async with database.read() as session:
        assert await overrides.list_overrides(session) == [cleared]
        entries = (await audit.list_entries(session, subject="override/value/192.0.2.1")).items
    assert [entry.action for entry in entries] == ["clear override", "set override"]
    assert entries[0].detail["before"]["state"] == "down"


async def test_freeze_is_a_switch_with_an_author(database: Database) -> None:
    async with database.write() as session:
        assert await overrides.get_switch(session, FREEZE) is None
        await overrides.set_switch(session, FREEZE, True, "datacentre move", ACTOR)
        await overrides.set_switch(session, FREEZE, False, "done", ACTOR)
    async with database.read() as session:
        freeze = await overrides.get_switch(session, FREEZE)
        entries = (await audit.list_entries(session, subject="switch/freeze")).items
    assert freeze is not None
    assert (freeze.is_on, freeze.reason, freeze.author) == (False, "done", ACTOR.name)
    assert [entry.action for entry in entries] == ["freeze off", "freeze on"]


async def test_events_are_read_backwards_in_pages_and_forwards_in_a_stream(database: Database) -> None:
    async with database.write() as session:
        for index in range(5):
            await events.record_event(session, "node-a", "odd" if index % 2 else "even", f"subject-{index}", {"index": index})
    async with database.read() as session:
        first = await events.list_events(session, limit=2)
        rest = await events.list_events(session, limit=9, cursor=first.next)
        odd = await events.list_events(session, kind="odd")
        newer = await events.events_after(session, rest.items[0].id, 10)
    assert [event.detail["index"] for event in (*first.items, *rest.items)] == [4, 3, 2, 1, 0]
    assert [event.subject for event in odd.items] == ["subject-3", "subject-1"]
    assert [event.detail["index"] for event in newer] == [3, 4]
