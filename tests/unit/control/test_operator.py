"""Overrides and the freeze: in force at once, kept over a restart, and merged when the database is back."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from geodns.control import healthtable
from geodns.control.health import HealthFlow
from geodns.control.healthtable import Override, TransitionRow
from geodns.control.keeper import DatabaseKeeper
from geodns.control.operator import OperatorDesk
from geodns.control.overlay import OverrideKind, Place
from geodns.control.recorder import HealthRecorder
from geodns.control.spool import Spool
from geodns.errors import DatabaseUnavailable, ForeignHistory
from geodns.prober import CheckState, Prober, Transition, Verdict, Vote
from geodns.prober.target import Target
from geodns.prober.votes import Tally
from geodns.publish.frames import Operator
from geodns.settings import Alone
from geodns.store import audit, health
from geodns.store.audit import Actor
from geodns.store.database import Database, Session

ACTOR = Actor("operator")
NOW = datetime.now(UTC).replace(microsecond=0)
DOWN = Override(OverrideKind.VALUE, "192.0.2.10", Operator.DOWN, "on fire", "operator", NOW)


def state(verdict: Verdict, at: datetime) -> CheckState:
    vote = Vote.DOWN if verdict is Verdict.DOWN else Vote.UP
    return CheckState("e1", vote, verdict, True, at, "connection refused", 0, 2, 0.01, at)


def transition(verdict: Verdict, at: datetime) -> Transition:
    previous = Verdict.UP if verdict is Verdict.DOWN else Verdict.DOWN
    target = Target(7, "example.com", "www.example.com", "A", "eu", "192.0.2.10", None)
    return Transition(
        "e1", at, previous, verdict, "connection refused", Tally(1, 0, 1, 1), {"me": Vote.DOWN}, (target,), state(verdict, at)
    )


class Desk:
    """Desk, recorder and spool over a database that can be switched off."""

    def __init__(self, database: Database, path: Path, alone: Alone = Alone.ACT) -> None:
        self.keeper = DatabaseKeeper(database, "", migrate_allowed=False, has_state=lambda: True)
        self.path = path
        self.frozen: list[str | None] = []
        self.flow = HealthFlow(lambda: None, dict)
        self.recorder = HealthRecorder(self.keeper, Spool.open(path), "me")
        self.released: list[int] = []
        prober = SimpleNamespace(set_frozen=self.frozen.append, release=self.released.append)
        self.desk = OperatorDesk(self.keeper, self.recorder, self.flow, cast(Prober, prober), alone)
        self.switch(True)

    def switch(self, is_on: bool) -> None:
        async def look() -> bool:
            return is_on

        cast(Any, self.keeper)._look = look
        if is_on:
            self.keeper.is_open.set()
        else:
            self.keeper.is_open.clear()

    def words(self) -> dict[tuple[OverrideKind, str], Operator]:
        return {key: word.operator for key, word in self.flow.overlay.words.items()}


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, tmp_path / "spool")


async def stored(database: Database) -> list[Override]:
    async with database.read() as session:
        return await healthtable.load_overrides(session)


async def test_an_override_is_stored_and_in_force_when_it_was_set(desk: Desk, database: Database) -> None:
    assert await desk.desk.set_override(DOWN, ACTOR)
    assert desk.words() == {(OverrideKind.VALUE, "192.0.2.10"): Operator.DOWN}
    assert await stored(database) == [DOWN]
    await desk.desk.set_override(replace(DOWN, state=None, set_at=NOW + timedelta(seconds=1)), ACTOR)
    assert desk.words() == {}


async def test_up_is_the_word_that_a_manual_return_waits_for(desk: Desk) -> None:
    desk.flow.put_places(
        uuid.UUID(int=1), [Place(7, "www.example.com/A", "eu", "192.0.2.10"), Place(8, "www.example.com/A", "eu", "192.0.2.11")]
    )
    await desk.desk.set_override(DOWN, ACTOR)
    assert desk.released == []
    await desk.desk.set_override(replace(DOWN, state=Operator.UP, set_at=NOW + timedelta(seconds=1)), ACTOR)
    await desk.desk.look()
    assert desk.released == [7]


async def test_without_the_database_it_counts_at_once_outlives_a_restart_and_is_merged(desk: Desk, database: Database) -> None:
    desk.switch(False)
    assert not await desk.desk.set_override(DOWN, ACTOR)
    assert desk.words() == {(OverrideKind.VALUE, "192.0.2.10"): Operator.DOWN}
    again = Desk(database, desk.path)
    again.switch(False)
    await again.desk.restore()
    await again.desk.look()
    assert again.words() == {(OverrideKind.VALUE, "192.0.2.10"): Operator.DOWN}
    again.switch(True)
    assert await again.recorder.flush()
    await again.desk.look()
    assert await stored(database) == [DOWN]
    assert again.recorder.spooled == 0
    assert again.words() == {(OverrideKind.VALUE, "192.0.2.10"): Operator.DOWN}


@pytest.mark.parametrize(("spooled_at", "winner"), [(-5, Operator.UP), (5, Operator.DOWN)], ids=["earlier", "later"])
async def test_of_two_words_for_one_target_the_later_wins(desk: Desk, database: Database, spooled_at: int, winner: Operator) -> None:
    await desk.desk.set_override(replace(DOWN, state=Operator.UP), ACTOR)
    desk.switch(False)
    await desk.desk.set_override(replace(DOWN, set_at=NOW + timedelta(seconds=spooled_at)), ACTOR)
    assert desk.words() == {(OverrideKind.VALUE, "192.0.2.10"): winner}
    desk.switch(True)
    await desk.recorder.flush()
    await desk.desk.look()
    assert desk.words() == {(OverrideKind.VALUE, "192.0.2.10"): winner}
    assert [override.state for override in await stored(database)] == [winner]


async def test_an_override_that_nobody_can_keep_is_refused(desk: Desk, tmp_path: Path) -> None:
    desk.switch(False)
    cast(Any, desk.recorder)._spool = Spool(tmp_path / "missing" / "spool")
    with pytest.raises(DatabaseUnavailable, match="could not take the override"):
        await desk.desk.set_override(DOWN, ACTOR)
    assert desk.words() == {}


async def test_an_override_of_another_node_is_seen_by_looking(desk: Desk, database: Database, tmp_path: Path) -> None:
    other = Desk(database, tmp_path / "other")
    await other.desk.set_override(DOWN, ACTOR)
    await desk.desk.look()
    assert desk.words() == {(OverrideKind.VALUE, "192.0.2.10"): Operator.DOWN}


async def test_a_word_that_the_database_keeps_waiting_is_in_force_meanwhile_and_no_longer_when_it_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def hang(*_: object) -> None:
        asked.set()
        await answer.wait()
        raise ForeignHistory("another history")

    monkeypatch.setattr(desk.keeper, "check_history", hang)
    setting = asyncio.create_task(desk.desk.set_override(DOWN, ACTOR))
    await asked.wait()
    assert desk.words() == {(OverrideKind.VALUE, "192.0.2.10"): Operator.DOWN}
    answer.set()
    with pytest.raises(ForeignHistory):
        await setting
    assert desk.words() == {}


@pytest.mark.parametrize("word", [DOWN, replace(DOWN, state=None)], ids=["set", "cleared"])
async def test_a_look_that_began_before_a_word_does_not_lift_it(desk: Desk, monkeypatch: pytest.MonkeyPatch, word: Override) -> None:
    await desk.desk.set_override(replace(DOWN, state=Operator.DRAIN, set_at=NOW - timedelta(seconds=1)), ACTOR)
    read = healthtable.load_overrides

    async def read_before(session: Session) -> list[Override]:
        found = await read(session)
        if word not in found:
            await desk.desk.set_override(word, ACTOR)
        return found

    monkeypatch.setattr(healthtable, "load_overrides", read_before)
    for _ in range(2):
        await desk.desk.look()
        assert desk.words() == ({} if word.state is None else {(OverrideKind.VALUE, "192.0.2.10"): word.state})
    assert desk.desk._pending == {}


async def test_one_new_word_that_two_nodes_bring_back_at_once_is_stored_and_told_once(
    desk: Desk, database: Database, tmp_path: Path
) -> None:
    nodes = [desk, Desk(database, tmp_path / "other")]
    for node in nodes:
        node.switch(False)
        await node.desk.set_override(DOWN, ACTOR)
        node.switch(True)
    assert await asyncio.gather(*(node.recorder.flush() for node in nodes)) == [True, True]
    assert await stored(database) == [DOWN]
    async with database.read() as session:
        entries = (await audit.list_entries(session, subject="override/value/192.0.2.10")).items
    assert [entry.action for entry in entries] == ["set override"]


async def test_the_freeze_reaches_the_prober_and_stays_when_the_database_goes(desk: Desk) -> None:
    await desk.desk.look()
    await desk.desk.set_freeze(True, "maintenance", ACTOR)
    assert desk.frozen[-1] == "maintenance"
    desk.switch(False)
    await desk.desk.look()
    assert desk.desk.frozen == "maintenance"
    desk.switch(True)
    await desk.desk.set_freeze(False, "", ACTOR)
    assert desk.frozen[-1] is None


@pytest.mark.parametrize("alone", list(Alone))
async def test_alone_a_node_acts_or_freezes_as_it_was_told(database: Database, tmp_path: Path, alone: Alone) -> None:
    desk = Desk(database, tmp_path / "spool", alone)
    desk.switch(False)
    await desk.desk.look()
    assert (desk.desk.frozen is not None) == (alone is Alone.FREEZE)
    desk.switch(True)
    await desk.desk.look()
    assert desk.desk.frozen is None


async def test_transitions_wait_in_the_spool_and_reach_the_table_in_order_once(desk: Desk, database: Database) -> None:
    times = [NOW + timedelta(seconds=number) for number in range(4)]
    verdicts = [Verdict.DOWN, Verdict.UP, Verdict.DOWN, Verdict.UP]
    desk.recorder.turned([transition(verdicts[0], times[0])])
    assert await desk.recorder.flush()
    desk.switch(False)
    desk.recorder.turned([transition(verdicts[1], times[1])])
    desk.recorder.turned([transition(verdicts[2], times[2])])
    assert not await desk.recorder.flush()
    assert desk.recorder.spooled == 2
    assert desk.recorder.spooled_states()["e1"].verdict is Verdict.DOWN
    again = Desk(database, desk.path)
    again.recorder.turned([transition(verdicts[3], times[3])])
    assert await again.recorder.flush()
    assert again.recorder.spooled == 0
    async with database.read() as session:
        page = await health.list_transitions(session, "e1")
        assert [(row.at, row.verdict) for row in reversed(page.items)] == [
            (at, verdict.value) for at, verdict in zip(times, verdicts, strict=True)
        ]
        (row,) = await healthtable.load_states(session, "me")
        assert row == state(Verdict.UP, times[3])


async def test_a_defect_while_writing_loses_nothing(desk: Desk, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    desk.recorder.turned([transition(Verdict.DOWN, NOW)])
    with monkeypatch.context() as patched:
        patched.setattr(healthtable, "save", fail)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await desk.recorder.flush()
    assert await desk.recorder.flush()
    async with database.read() as session:
        page = await health.list_transitions(session, "e1")
        assert [row.at for row in page.items] == [NOW]
        assert await healthtable.load_states(session, "me") == [state(Verdict.DOWN, NOW)]


def test_a_transition_comes_back_from_the_spool_as_it_went() -> None:
    row = TransitionRow.of(transition(Verdict.DOWN, NOW), "me")
    assert TransitionRow.from_json(row.to_json()) == row
    without = {key: value for key, value in row.to_json().items() if key != "answers"}
    assert TransitionRow.from_json(without) == row, "as it was written before answers were kept"
    assert Override.from_json(DOWN.to_json()) == DOWN
    ended = replace(DOWN, state=None, expires_at=NOW)
    assert Override.from_json(ended.to_json()) == ended
