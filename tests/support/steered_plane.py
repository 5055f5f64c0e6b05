"""A real dataplane under test without a control process: worlds go to it over the link through the code that control uses for it.

Records through the model and `publish.items`, verdicts and overrides through `control.overlay`; it is asked by EXPLAIN and by UDP queries.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from geodns.control.binary import find_binary
from geodns.control.overlay import Overlay, OverrideKind, Word
from geodns.control.targets import watch
from geodns.errors import DataplaneUnavailable
from geodns.model.prefixes import Prefixes
from geodns.model.record import Rrset, Soa
from geodns.model.records import parse_record
from geodns.prober.target import HealthEntry
from geodns.publish import client, items
from geodns.publish.client import LinkClient, open_link
from geodns.publish.frames import Ack, Operator, Role, Triple
from geodns.publish.items import ItemBatch, OwnValue
from geodns.store.encoding import name_to_wire, own_value_text, soa_rdata
from geodns.store.records import StoredSteered
from geodns.store.value_ids import OWN_POOL, values_of
from tests.support.ending import end
from tests.support.ports import free_port
from tests.support.steering_worlds import APEX, POLICY, Document

# A sample has to pass on a machine that is busy with ten other suites: only a dataplane that hangs takes as long.
PATIENCE_S = 60.0
# Queries under way at a time: any receive buffer holds their replies, whatever keeps this process from reading them.
WINDOW = 32
STATIC = {
    "s1": {"type": "A", "ttl": 77, "values": ["198.51.100.1", "198.51.100.2"]},
    "": {"type": "NS", "ttl": 600, "values": ["ns.example.net."]},
}
SOA = Soa(dns.name.from_text("ns.example.net."), dns.name.from_text("hostmaster.example.com."))


@dataclass(frozen=True, slots=True)
class Message:
    """A reply, or the possible one of an explanation, in the same words. Names without the final dot.

    `way` are the names that were decided, which only an explanation tells of a SERVFAIL.
    """

    rcode: str
    answer: tuple[tuple[str, str, int, str], ...]
    authority: tuple[tuple[str, str, int, str], ...]
    scope: int | None
    way: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """`client` is `ADDR`, a sender, or `ADDR/LEN`, a client subnet."""

    name: str
    rtype: str
    client: str


@dataclass(slots=True)
class Plane:
    """The dataplane process and the link to it; `now` is the moment by which overrides end."""

    directory: Path
    port: int
    link: LinkClient
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    _lineage: uuid.UUID = field(default_factory=uuid.uuid4)
    _revision: int = 0
    _epoch: int = 0
    _next_id: int = 1
    _databases: int = 0
    _stored: list[StoredSteered] = field(default_factory=list)

    async def load(self, world: Document, *files: Path) -> None:
        """Puts databases, lists and records in force. `files` are databases that are there already."""
        paths = [self._write_database(each) for each in world["databases"]]
        await self._configure([*paths, *map(str, files)])
        self._stored = [self._store(record) for record in world["records"]]
        rrsets: dict[bytes, list[bytes]] = defaultdict(list)
        for name, data in STATIC.items():
            rrset = _parse(name, data)
            rrsets[name_to_wire(rrset.owner)].append(items.static_rrset(rrset.rtype, rrset.ttl, rrset.rdatas))
        apex = name_to_wire(APEX)
        rrsets[apex].append(items.static_rrset(6, SOA.ttl, [soa_rdata(SOA, 1)]))
        for stored in self._stored:
            rrset = stored.rrset
            assert rrset.steering is not None
            own = [OwnValue(value_id, rdata) for value_id, rdata in zip(stored.own_ids, rrset.rdatas, strict=True)]
            packed = items.steered_rrset(rrset.rtype, rrset.ttl, own, rrset.steering, stored.value_ids)
            rrsets[name_to_wire(rrset.owner)].append(packed)
        stream = [items.list_item(name, Prefixes.of(map(ip_network, networks))) for name, networks in world["lists"].items()]
        stream.append(items.zone_item(apex))
        stream += [items.owner_item(apex, owner, held) for owner, held in rrsets.items()]
        self._revision += 1
        answer = await self.link.full(Triple(self._lineage, self._revision, 1), [], _one(ItemBatch(len(stream), b"".join(stream))))
        assert isinstance(answer, Ack), answer

    def feel(self, mood: Document) -> None:
        """Puts verdicts and overrides in force, as control composes them; everything else is forgotten."""
        overlay = Overlay()
        watched = [watch(stored) for stored in self._stored]
        overlay.put_places(place for each in watched for place in each.places)
        ids = {(place.record, place.pool, place.value): place.value_id for each in watched for place in each.places}
        checked = {target.value_id for each in watched for target in each.targets}
        verdicts = {}
        for verdict in mood["verdicts"]:
            value_id = ids.get((verdict["record"], verdict["pool"], verdict["value"]))
            if value_id in checked:
                verdicts[value_id] = HealthEntry(verdict.get("down", False), verdict.get("factor", 1000), verdict.get("bound"))
        overlay.put_verdicts(verdicts)
        overlay.put_words({(OverrideKind(word["kind"]), word["target"]): self._word(word) for word in mood["overrides"]})
        overlay.apply(self.now)
        self._epoch += 1
        packed = b"".join(entry.to_bytes(value_id) for value_id, entry in overlay.entries.items())
        assert self.link.send_health(self._epoch, packed, whole=True)

    def _word(self, word: Document) -> Word:
        ends_in_s = word["expires_in_s"]
        return Word(Operator[word["state"].upper()], None if ends_in_s is None else self.now + timedelta(seconds=ends_in_s))

    async def explain(self, questions: Sequence[Question]) -> list[Document]:
        """The explanations, in order."""
        asked = ({"name": f"{each.name}.", "type": each.rtype, "client": each.client} for each in questions)
        return list(await asyncio.gather(*(self.link.explain(each) for each in asked)))

    async def ask(self, questions: Sequence[Question]) -> list[Message]:
        """The replies over UDP, in order. A sender must be an address of the loopback network."""
        return await asyncio.to_thread(self._ask, questions)

    def _ask(self, questions: Sequence[Question]) -> list[Message]:
        by_source: dict[str, list[int]] = defaultdict(list)
        for index, question in enumerate(questions):
            by_source["127.0.0.1" if "/" in question.client else question.client].append(index)
        replies: dict[int, Message] = {}
        for source, indexes in by_source.items():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((source, 0))
                sock.connect(("127.0.0.1", self.port))
                sock.settimeout(PATIENCE_S)
                for start in range(0, len(indexes), WINDOW):
                    under_way = indexes[start : start + WINDOW]
                    for index in under_way:
                        sock.send(_query(index, questions[index]))
                    try:
                        while not replies.keys() >= set(under_way):
                            wire = sock.recv(4096)
                            replies[int.from_bytes(wire[:2], "big")] = read_message(wire)
                    except TimeoutError:
                        missing = [questions[index] for index in under_way if index not in replies]
                        raise AssertionError(f"no reply to {missing}") from None
        return [replies[index] for index in range(len(questions))]

    async def _configure(self, paths: list[str]) -> None:
        """Names the databases and waits until each is in force."""
        assert self.link.send_config({"geo_databases": paths, "geo_generation": self._databases})
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = (await self.link.ask_status())["geo"]
                refused = [each for each in found if each["state"] == "refused" and each["path"] in paths]
                assert not refused, refused
                if [(each["path"], each["state"]) for each in found] == [(path, "ok") for path in paths]:
                    return
                await asyncio.sleep(0.002)

    def _write_database(self, database: Document) -> str:
        self._databases += 1
        path = self.directory / f"{self._databases}.mmdb"
        version = database["version"]
        writer = MMDBWriter(
            version, f"Test-{database['schema']}", languages=["en"], description="made by a test", ipv4_compatible=version == 6
        )
        for network, record in database["networks"]:
            writer.insert_network(IPSet([network]), record)
        writer.to_db_file(str(path))
        return str(path)

    def _store(self, record: Document) -> StoredSteered:
        """What the store would give: new ids for each value."""
        rrset = _parse(record["name"], record["data"])
        ids = {}
        for key in sorted(values_of(rrset)):
            ids[key] = self._next_id
            self._next_id += 1
        own = tuple(ids[OWN_POOL, own_value_text(rrset.rtype, rdata)] for rdata in rrset.rdatas)
        return StoredSteered(APEX, rrset, ids, own, 1)


def _parse(name: str, data: Document) -> Rrset:
    parsed = parse_record(APEX, name, data, policy=POLICY)
    assert parsed.rrset is not None, parsed.problems
    return parsed.rrset


async def _one(batch: ItemBatch) -> AsyncIterator[ItemBatch]:
    yield batch


def _query(number: int, question: Question) -> bytes:
    options: list[dns.edns.Option] = []
    if "/" in question.client:
        network = ip_network(question.client, strict=False)
        options.append(dns.edns.ECSOption(str(network.network_address), network.prefixlen))
    return dns.message.make_query(question.name, question.rtype, use_edns=0, options=options, id=number).to_wire()


def read_message(wire: bytes) -> Message:
    """A reply from the wire."""
    reply = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert not reply.flags & dns.flags.TC
    scopes = [option.scopelen for option in reply.options if isinstance(option, dns.edns.ECSOption)]
    answer, authority = (tuple(map(_record, section)) for section in (reply.answer, reply.authority))
    return Message(dns.rcode.to_text(reply.rcode()), answer, authority, scopes[0] if scopes else None)


def _record(rrset: dns.rrset.RRset) -> tuple[str, str, int, str]:
    (rdata,) = rrset
    return _plain(rrset.name.to_text()), dns.rdatatype.to_text(rrset.rdtype), rrset.ttl, _plain(rdata.to_text())


def read_possible(explanation: Document) -> Message:
    """The possible answer of an explanation."""
    answer = explanation["answer"]
    sections = [
        tuple((_plain(record["name"]), record["type"], record["ttl"], _plain(record["data"])) for record in answer[key])
        for key in ("answer", "authority")
    ]
    chosen = [step["decision"]["choice"]["chosen"] for step in explanation["path"] if step["step"] == "steered"]
    way = (explanation["question"]["name"], *(values[0] for values in chosen[:-1]))
    return Message(answer["rcode"], sections[0], sections[1], answer["scope"], tuple(map(_plain, way)))


def _plain(name: str) -> str:
    return name.removesuffix(".")


@asynccontextmanager
async def running_plane(directory: Path) -> AsyncIterator[Plane]:
    """A dataplane of its own for the time of a block."""
    port = free_port()
    state = directory / "dataplane"
    log = directory / "dataplane.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: ASYNC220 # starting it is all that happens now
            [str(find_binary(os.environ)), "--listen", f"127.0.0.1:{port}", "--state", str(state), "--workers", "1"],
            stdout=sink,
            stderr=sink,
        )
    try:
        await _await_socket(process, state / "dataplane.sock", log)
        with patch.object(client, "ANSWER_TIMEOUT_S", PATIENCE_S):
            async with open_link(state / "dataplane.sock", Role.PUBLISHER) as link:
                yield Plane(directory, port, link)
    finally:
        end(process)


async def _await_socket(process: subprocess.Popen[Any], path: Path, log: Path) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"the dataplane ended at once; {log} says why")
            try:
                (await LinkClient.connect(path, Role.OBSERVER)).close("only looked whether it is there")
            except DataplaneUnavailable:
                await asyncio.sleep(0.01)
            else:
                return
