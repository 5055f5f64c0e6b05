"""The flow of health: changes at once, everything once a second, nothing before the node knows its values."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from geodns.control.health import HealthFlow
from geodns.control.overlay import OverrideKind, Place, Word
from geodns.prober.target import HealthEntry as ProberEntry
from geodns.publish.client import LinkClient, open_link
from geodns.publish.frames import HealthEntry, Operator, Role
from tests.support.fake_dataplane import FakeDataplane, new_triple

LINEAGE = uuid.UUID(int=7)
PLACES = [Place(number, f"www{number}.example.com/A", "eu", f"192.0.2.{number}") for number in range(1, 6)]


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[FakeDataplane]:
    async with FakeDataplane(tmp_path / "s", health={7: HealthEntry(down=True)}).running() as running:
        yield running


@pytest.fixture
async def link(plane: FakeDataplane) -> AsyncIterator[LinkClient]:
    async with open_link(plane.path, Role.PUBLISHER) as client:
        yield client


async def test_nothing_is_said_before_the_values_are_known(plane: FakeDataplane, link: LinkClient) -> None:
    flow = HealthFlow(lambda: link, dict)
    flow.attached(link)
    flow.verdicts_changed({1: ProberEntry(down=True)})
    await link.ask_status()
    assert plane.health == {7: HealthEntry(down=True)}
    flow.put_places(LINEAGE, PLACES)
    await plane.until(lambda: plane.health == {})


async def test_nothing_is_said_to_a_dataplane_that_serves_another_history(tmp_path: Path) -> None:
    served = new_triple(3, uuid.UUID(int=8))
    async with FakeDataplane(tmp_path / "s", served=served).running() as plane, open_link(plane.path, Role.PUBLISHER) as link:
        flow = HealthFlow(lambda: link, lambda: {1: ProberEntry(down=True)})
        flow.put_places(LINEAGE, PLACES)
        flow.send_whole()
        await link.ask_status()
        assert plane.health_frames == []
        link.served = new_triple(4, LINEAGE)
        flow.send_whole()
        await plane.until(lambda: 1 in plane.health)


async def test_a_change_is_told_alone_and_the_whole_follows(plane: FakeDataplane, link: LinkClient) -> None:
    vector = {number: ProberEntry() for number in range(1, 6)}
    flow = HealthFlow(lambda: link, lambda: vector)
    flow.put_places(LINEAGE, PLACES)
    flow.attached(link)
    await plane.until(lambda: plane.health == {})
    vector[2] = ProberEntry(down=True, since_ms=5)
    flow.verdicts_changed({2: vector[2]})
    told = HealthEntry(down=True, since_ms=5)
    await plane.until(lambda: plane.health == {2: told})
    assert plane.health_frames[-1].entries == ((2, told),)
    assert not plane.health_frames[-1].first
    vector[2] = ProberEntry()
    flow.verdicts_changed({2: vector[2]})
    flow.send_whole()
    await plane.until(lambda: plane.health_frames[-1].last)
    assert plane.health == {}
    epochs = [frame.epoch for frame in plane.health_frames]
    assert epochs == sorted(epochs)


async def test_overrides_end_on_time_and_by_themselves(plane: FakeDataplane, link: LinkClient) -> None:
    flow = HealthFlow(lambda: link, dict)
    flow.put_places(LINEAGE, PLACES)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(flow.run())
        flow.put_words({(OverrideKind.VALUE, "192.0.2.1"): Word(Operator.DOWN, datetime.now(UTC) + timedelta(seconds=0.4))})
        said = (1, HealthEntry(operator=Operator.DOWN, ttl_bound_s=1))
        await plane.until(lambda: any(said in frame.entries for frame in plane.health_frames))
        await plane.until(lambda: plane.health == {})
        running.cancel()


async def test_what_time_alone_changes_is_seen_at_the_next_whole(plane: FakeDataplane, link: LinkClient) -> None:
    vector = {1: ProberEntry(down=True, ttl_bound_s=8)}
    flow = HealthFlow(lambda: link, lambda: vector)
    flow.put_places(LINEAGE, PLACES)
    vector[1] = ProberEntry(down=True, ttl_bound_s=7)
    flow.refresh()
    await plane.until(lambda: plane.health == {1: HealthEntry(down=True, ttl_bound_s=7)})


async def test_a_value_that_is_checked_no_more_is_up_again(plane: FakeDataplane, link: LinkClient) -> None:
    vector = {1: ProberEntry(down=True)}
    flow = HealthFlow(lambda: link, lambda: vector)
    flow.put_places(LINEAGE, PLACES)
    await plane.until(lambda: 1 in plane.health)
    del vector[1]
    flow.change_places([], PLACES[:1])
    await plane.until(lambda: plane.health == {1: HealthEntry()})
    flow.send_whole()
    await plane.until(lambda: plane.health == {})


async def test_a_new_link_gets_everything_under_a_higher_epoch(tmp_path: Path) -> None:
    vector = {1: ProberEntry(down=True)}
    links: list[LinkClient] = []
    flow = HealthFlow(lambda: links[-1] if links else None, lambda: vector)
    flow.put_places(LINEAGE, PLACES)
    seen = 0
    for _ in range(2):
        async with FakeDataplane(tmp_path / "s").running() as plane, open_link(plane.path, Role.PUBLISHER) as link:
            links.append(link)
            flow.attached(link)
            await plane.until(lambda plane=plane: plane.health == {1: HealthEntry(down=True)})
            assert plane.health_frames[0].epoch > seen
            seen = plane.health_frames[-1].epoch


async def test_ten_thousand_values_change_and_go_out_within_a_tick(plane: FakeDataplane, link: LinkClient) -> None:
    vector = {number: ProberEntry() for number in range(1, 10_001)}
    flow = HealthFlow(lambda: link, lambda: vector)
    flow.put_places(LINEAGE, [Place(number, "www.example.com/A", "eu", str(number)) for number in vector])
    started = time.thread_time()
    vector |= {number: ProberEntry(down=True) for number in vector}
    flow.refresh()
    flow.send_whole()
    assert time.thread_time() - started < 1.0
    await plane.until(lambda: len(plane.health) == 10_000)
