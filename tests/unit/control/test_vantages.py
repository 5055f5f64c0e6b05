"""Vantages hear each other through the store: heartbeats and votes, and nothing of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from geodns.control import healthtable
from geodns.control.keeper import DatabaseKeeper
from geodns.control.vantages import Vantages
from geodns.prober import CheckState, Prober, Verdict, Vote
from geodns.store import health
from geodns.store.database import Database, Dialect

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Listener:
    """Stands for a prober."""

    def __init__(self) -> None:
        self.ages: dict[str, float] = {}
        self.votes: dict[str, dict[str, Vote]] = {}
        self.reports: dict[str, tuple[bool, str, float]] = {}
        self.knows_targets = True

    def hear_heartbeat(self, vantage: str, age_s: float) -> None:
        self.ages[vantage] = age_s

    def report(self, endpoint_id: str, *, is_up: bool, cause: str, age_s: float) -> bool:
        if self.knows_targets:
            self.reports[endpoint_id] = (is_up, cause, age_s)
        return self.knows_targets

    def hear_votes(self, vantage: str, votes: Mapping[str, Vote]) -> None:
        self.votes.setdefault(vantage, {}).update(votes)


def vantage(database: Database, name: str) -> tuple[Vantages, Listener]:
    listener = Listener()
    keeper = DatabaseKeeper(database, "", migrate_allowed=False, has_state=lambda: True)
    return Vantages(keeper, cast(Prober, listener), name), listener


def state(endpoint_id: str, vote: Vote) -> CheckState:
    return CheckState(endpoint_id, vote, Verdict.UP, True, NOW, "timeout", 0, 2, None, NOW)


async def test_a_vote_reaches_the_others_and_follows_its_changes(database: Database) -> None:
    first, heard_by_first = vantage(database, "fra1")
    second, heard_by_second = vantage(database, "nyc1")
    async with database.write() as session:
        await healthtable.save(session, "fra1", [], [state("e1", Vote.DOWN), state("e2", Vote.UP)])
    await first.exchange()
    await second.exchange()
    assert heard_by_second.votes == {"fra1": {"e1": Vote.DOWN, "e2": Vote.UP}}
    assert heard_by_second.ages["fra1"] < 5
    assert "fra1" not in heard_by_first.votes
    async with database.write() as session:
        await healthtable.save(session, "fra1", [], [state("e1", Vote.WITHHELD)])
    await second.exchange()
    assert heard_by_second.votes["fra1"]["e1"] is Vote.WITHHELD


async def test_a_report_to_one_reaches_the_others(database: Database) -> None:
    """On SQLite there is nobody else, and nothing is written."""
    first, _ = vantage(database, "fra1")
    second, heard_by_second = vantage(database, "nyc1")
    first.report("e1", is_up=False, cause="disk full")
    await first.exchange()
    await second.exchange()
    if database.dialect is Dialect.SQLITE:
        assert heard_by_second.reports == {}
        return
    is_up, cause, age_s = heard_by_second.reports["e1"]
    assert (is_up, cause) == (False, "disk full")
    assert 0 <= age_s < 5
    assert first._reports == {}, "it is written once"


async def test_a_report_that_comes_before_its_check_is_known_waits_and_grows_older(database: Database) -> None:
    node, heard = vantage(database, "fra1")
    heard.knows_targets = False
    async with database.write() as session:
        await health.save_reports(session, [health.ReportRow("e1", False, "disk full", 40.0)])
    await node.exchange()
    node._seen += 60_000_000  # as if a minute had passed: it is not heard again
    heard.knows_targets = True
    await node.exchange()
    is_up, cause, age_s = heard.reports.pop("e1")
    assert (is_up, cause) == (False, "disk full")
    assert 40 <= age_s < 60
    node._seen += 60_000_000
    await node.exchange()
    assert heard.reports == {}, "it is told once"
