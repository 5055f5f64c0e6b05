"""The link's client against a fake dataplane on a real unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from geodns.errors import DataplaneUnavailable
from geodns.publish import client, frames, items
from geodns.publish.client import LinkClient, open_link
from geodns.publish.frames import Ack, HealthEntry, RefusalCode, Refuse, Role, TransferKind
from geodns.publish.items import ItemBatch
from tests.support.fake_dataplane import FakeDataplane, new_triple

APEX = b"\x07example\x03com\x00"
SOA = items.static_rrset(6, 3600, [b"\x00" * 22])
STATE = (items.zone_item(APEX), items.owner_item(APEX, APEX, [SOA]))


async def batches(*parts: bytes) -> AsyncIterator[ItemBatch]:
    for part in parts:
        yield ItemBatch(1, part)


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "s"


async def test_a_full_then_a_delta_are_adopted_and_acknowledged(socket_path: Path) -> None:
    async with FakeDataplane(socket_path).running() as plane, open_link(socket_path, Role.PUBLISHER) as link:
        first, second = new_triple(3), new_triple(5)
        assert link.hello.served is None
        assert await link.full(first, [], batches(*STATE)) == Ack(first)
        assert link.served == first
        change = items.owner_item(APEX, b"\x03www" + APEX, [items.static_rrset(1, 30, [b"\xc0\x00\x02\x01"])])
        assert await link.delta(first, second, ItemBatch(1, change)) == Ack(second)
        assert plane.zones[APEX][b"\x03www" + APEX] == ((1, 30, (b"\xc0\x00\x02\x01",)),)
        assert [begin.kind for begin, _ in plane.transfers] == [TransferKind.FULL, TransferKind.DELTA]


async def test_a_refused_delta_is_an_answer_not_an_error(socket_path: Path) -> None:
    async with FakeDataplane(socket_path, served=new_triple(9)).running(), open_link(socket_path, Role.PUBLISHER) as link:
        answer = await link.delta(new_triple(3), new_triple(10), ItemBatch(0, b""))
        assert isinstance(answer, Refuse)
        assert answer.code is RefusalCode.BASE
        assert link.served == new_triple(9)
        assert [refusal.code for refusal in link.refusals] == [RefusalCode.BASE]


async def test_a_transfer_larger_than_every_buffer_streams_through(socket_path: Path) -> None:
    big = items.owner_item(APEX, APEX, [SOA, items.static_rrset(16, 5, [b"\x01" * 60_000])])
    async with FakeDataplane(socket_path).running() as plane, open_link(socket_path, Role.PUBLISHER) as link:
        assert await link.full(new_triple(1), [], batches(STATE[0], *[big] * 100)) == Ack(new_triple(1))
        assert len(plane.transfers[0][1]) == 101


async def test_health_passes_a_transfer_that_waits_for_its_source(socket_path: Path) -> None:
    released = asyncio.Event()

    async def slow() -> AsyncIterator[ItemBatch]:
        yield ItemBatch(1, STATE[0])
        await released.wait()
        yield ItemBatch(1, STATE[1])

    async with FakeDataplane(socket_path).running() as plane, open_link(socket_path, Role.PUBLISHER) as link, asyncio.TaskGroup() as group:
        transfer = group.create_task(link.full(new_triple(1), [], slow()))
        await asyncio.sleep(0)
        assert link.send_health(1, HealthEntry(down=True).to_bytes(4), whole=False)
        await plane.until(lambda: plane.health == {4: HealthEntry(down=True)})
        assert plane.served is None
        released.set()
        assert await transfer == Ack(new_triple(1))


async def test_a_peer_that_does_not_read_costs_bounded_memory_and_then_the_link(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "WRITE_TIMEOUT_S", 0.3)
    async with FakeDataplane(socket_path).running() as plane, open_link(socket_path, Role.PUBLISHER) as link:
        plane.reading.clear()
        vector = b"".join(HealthEntry().to_bytes(number) for number in range(1, 50_000))
        sent = sum(link.send_health(1, vector, whole=True) for _ in range(60))
        assert 0 < sent < 60
        assert link.unsent < client.UNSENT_LIMIT + 2 * len(vector)
        with pytest.raises(DataplaneUnavailable):
            await link.full(new_triple(1), [], batches(*[STATE[0] * 10_000] * 50))
        assert link.closed
        plane.reading.set()


async def test_an_unanswered_transfer_ends_the_link(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ADOPTION_TIMEOUT_S", 0.2)
    async with FakeDataplane(socket_path, acknowledging=False).running(), open_link(socket_path, Role.PUBLISHER) as link:
        with pytest.raises(DataplaneUnavailable, match="does not answer"):
            await link.full(new_triple(1), [], batches(*STATE))
        assert link.closed


async def test_a_source_that_fails_aborts_the_transfer_and_leaves_the_link_usable(socket_path: Path) -> None:
    async def failing() -> AsyncIterator[ItemBatch]:
        yield ItemBatch(1, STATE[0])
        raise RuntimeError("the source is gone")

    async with FakeDataplane(socket_path).running(), open_link(socket_path, Role.PUBLISHER) as link:
        with pytest.raises(RuntimeError, match="the source is gone"):
            await link.full(new_triple(1), [], failing())
        assert await link.full(new_triple(1), [], batches(*STATE)) == Ack(new_triple(1))


async def test_documents_in_chunks_are_joined(socket_path: Path) -> None:
    async with FakeDataplane(socket_path).running(), open_link(socket_path, Role.OBSERVER) as link:
        question = {"name": "www.example.com.", "type": "A", "client": "192.0.2.1"}
        answers = await asyncio.gather(link.explain(question), link.explain(question | {"type": "AAAA"}), link.ask_status())
        assert [answers[0]["asked"]["type"], answers[1]["asked"]["type"]] == ["A", "AAAA"]
        assert answers[2] == {"served": "None"}


async def test_the_health_in_force_is_known_after_attaching(socket_path: Path) -> None:
    health = {number: HealthEntry(down=number % 2 == 0, since_ms=number) for number in range(1, 5000)}
    async with FakeDataplane(socket_path, health=dict(health)).running(), open_link(socket_path, Role.PUBLISHER) as link:
        assert await link.health_reported() == health


async def test_everything_that_waits_fails_when_the_dataplane_goes(socket_path: Path) -> None:
    async with FakeDataplane(socket_path, acknowledging=False).running() as plane, open_link(socket_path, Role.PUBLISHER) as link:
        async with asyncio.TaskGroup() as group:
            transfer = group.create_task(expect_loss(link))
            await plane.until(lambda: plane.transfers)
            plane.drop_connections()
        assert "lost" in transfer.result()


async def expect_loss(link: LinkClient) -> str:
    with pytest.raises(DataplaneUnavailable) as caught:
        await link.full(new_triple(1), [], batches(*STATE))
    return str(caught.value)


async def test_nobody_there_is_said_in_a_sentence(socket_path: Path) -> None:
    with pytest.raises(DataplaneUnavailable, match="no dataplane answers on"):
        await LinkClient.connect(socket_path, Role.OBSERVER)


async def test_another_link_version_is_not_attached(socket_path: Path) -> None:
    async with FakeDataplane(socket_path, version=2).running() as plane:
        with pytest.raises(DataplaneUnavailable, match="link version 2"):
            async with open_link(socket_path, Role.OBSERVER):
                raise AssertionError("must not attach")
        assert plane.attaches == 0


async def test_a_listener_that_is_no_dataplane_is_named_as_such(socket_path: Path) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_unix_server(greet, str(socket_path))
    async with server:
        with pytest.raises(DataplaneUnavailable, match="no dataplane of ours"):
            await LinkClient.connect(socket_path, Role.OBSERVER)


async def test_frames_that_only_control_sends_end_the_link(socket_path: Path) -> None:
    async def misbehave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = frames.Hello(1, frames.Ownership.SUPERVISED, 1, None, 0, bytes(32))
        writer.write(frames.encode(hello) + frames.encode(frames.Abort()))
        await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_unix_server(misbehave, str(socket_path))
    async with server, open_link(socket_path, Role.PUBLISHER) as link:
        await link.wait_closed()
        assert link.lost == "the dataplane sent Abort, which is not for it to send"
