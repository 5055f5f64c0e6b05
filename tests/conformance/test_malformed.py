"""Malformed packets and TCP streams among valid queries: no exit, no panic, no growth, each valid query answered, all replies decode."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator

import dns.message
import dnslib
import pytest

from tests.support.malformed import messages
from tests.support.node import MakeNode, Node
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timing

SEED = 1035
VALID_EVERY = 100
GROWTH_LIMIT = 5 << 20
ZONE = "'': {type: NS, values: [ns1.example.com.]}\nns1: {type: A, value: 192.0.2.53}\nwww: {type: A, value: 192.0.2.10}\n"


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    """A node with two workers."""
    node = make_node(zones={"example.com.yaml": ZONE})
    node.start()
    return node


def check_reply(reply: bytes, sent: set[bytes]) -> None:
    """It decodes with two decoders, says that it is a reply, and carries the id of something that was sent."""
    decoded = dns.message.from_wire(reply, ignore_trailing=False)
    if all(is_text(label) for question in decoded.question for label in question.name.labels):
        dnslib.DNSRecord.parse(reply)
    assert decoded.flags & 0x8000
    assert reply[:2] in sent


def is_text(label: bytes) -> bool:
    """Whether dnslib can hold the label: it keeps names as text, and a label may be any bytes (RFC 2181 §11) that we echo as asked."""
    try:
        label.decode()
    except UnicodeDecodeError:
        return False
    return True


def probe(port: int, sock: socket.socket, identity: int) -> bool:
    """A valid query on a socket of its own is answered right."""
    query = dns.message.make_query("www.example.com", "A", id=identity)
    sock.send(query.to_wire())
    reply = dns.message.from_wire(sock.recv(4096))
    return [rdata.to_text() for rrset in reply.answer for rdata in rrset] == ["192.0.2.10"]


def resident(node: Node) -> int:
    """The dataplane's resident memory in bytes."""
    (process,) = node.dataplanes()
    return int(process.memory_info().rss)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [20_000, pytest.param(150_000, marks=pytest.mark.soak)])
def test_malformed_packets_over_udp(node: Node, count: int) -> None:
    (before,) = node.dataplanes()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for sock in (attacker, client):
            sock.connect(("127.0.0.1", node.dns_port))
            sock.settimeout(10)
        start_memory = 0
        answered = replies = 0
        sent: set[bytes] = set()
        for number, message in enumerate(messages(SEED, count), start=1):
            attacker.send(message)
            sent.add(message[:2])
            if number % VALID_EVERY:
                continue
            assert probe(node.dns_port, client, number % 65536)
            answered += 1
            for reply in read_to_marker(attacker, number):
                check_reply(reply, sent)
                replies += 1
            sent.clear()
            if number == count // 10:
                start_memory = resident(node)
        assert answered == count // VALID_EVERY
        growth = resident(node) - start_memory
        print(f"{count} malformed, {replies} replies, {answered} valid queries answered, {growth // 1024} KiB more")
        assert growth < GROWTH_LIMIT
    (after,) = node.dataplanes()
    assert after.pid == before.pid
    assert_no_panics(node)


def read_to_marker(sock: socket.socket, number: int) -> Iterator[bytes]:
    """All replies to what was sent before: one worker serves the socket, in order, so that the reply to one more query ends them."""
    query = dns.message.make_query(f"marker{number}.example.com", "A", id=number % 65536).to_wire()
    sock.send(query)
    while (reply := sock.recv(65535))[:2] != query[:2] or reply[12 : len(query)] != query[12:]:
        yield reply


def assert_no_panics(node: Node) -> None:
    """The dataplane's own count of caught panics is zero."""

    def counted() -> bool:
        metrics = str(node.get("/metrics").body)
        lines = [line for line in metrics.splitlines() if line.startswith("geodns_worker_panics_total")]
        return bool(lines) and all(line.endswith(" 0.0") or line.endswith(" 0") for line in lines)

    wait_until(counted, within_s=20, what="a panic counter of zero")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [3_000, pytest.param(50_000, marks=pytest.mark.soak)])
def test_malformed_frames_over_tcp(node: Node, count: int) -> None:
    draw = random.Random(SEED)  # noqa: S311 # a recorded seed
    (before,) = node.dataplanes()
    start_memory = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", node.dns_port))
        client.settimeout(10)
        for number, message in enumerate(messages(SEED + 1, count), start=1):
            length = draw.choice([len(message), len(message), 0, 1, 11, 65535, len(message) + 1, max(len(message) - 1, 0)])
            with socket.create_connection(("127.0.0.1", node.dns_port), timeout=10) as stream:
                stream.sendall(struct.pack("!H", length) + message)
                if draw.random() < 0.2:
                    stream.shutdown(socket.SHUT_WR)
            if number == count // 10:
                start_memory = resident(node)
            if number % VALID_EVERY == 0:
                assert probe(node.dns_port, client, number % 65536)
                query = dns.message.make_query("www.example.com", "A").to_wire()
                with socket.create_connection(("127.0.0.1", node.dns_port), timeout=10) as stream:
                    stream.sendall(struct.pack("!H", len(query)) + query)
                    assert len(stream.recv(4096)) > 12
    growth = resident(node) - start_memory
    print(f"{count} malformed frames, {growth // 1024} KiB more")
    assert growth < GROWTH_LIMIT
    (after,) = node.dataplanes()
    assert after.pid == before.pid
    assert_no_panics(node)
