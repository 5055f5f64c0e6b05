"""RFC 7766 and RFC 9210 against a real node: clients that say nothing, dribble or never read cost nobody else anything."""

from __future__ import annotations

import contextlib
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import psutil
import pytest

from tests.support.node import MakeNode, Node
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timing

ZONE = "'': {type: NS, values: [ns1.example.com.]}\nns1: {type: A, value: 192.0.2.53}\nwww: {type: A, value: 192.0.2.10}\n"
BULK = "bulk:\n  type: TXT\n  values:\n" + "".join(f"  - {number:03}{'x' * 240}\n" for number in range(100))

QUERIES_IN_ROUND = 1_000
FLOOR_S = 0.005
"""What a machine that others use may add to a 99th percentile, which is some tenths of a millisecond when it is quiet."""


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    """A node with two workers, a small answer and one of 24 KiB."""
    node = make_node(zones={"example.com.yaml": ZONE + BULK})
    node.start()
    return node


def query(identity: int = 1, name: str = "www.example.com") -> bytes:
    """An A query as a message."""
    return dns.message.make_query(name, "A", id=identity).to_wire()


def framed(message: bytes) -> bytes:
    """With its length before it (RFC 1035 §4.2.2)."""
    return struct.pack("!H", len(message)) + message


def connect(node: Node) -> socket.socket:
    """A connection, with a deadline for everything on it."""
    return socket.create_connection(("127.0.0.1", node.dns_port), timeout=10)


def read_exactly(stream: socket.socket, count: int) -> bytes:
    """So many bytes; EOFError when the connection ends before."""
    data = b""
    while len(data) < count:
        block = stream.recv(count - len(data))
        if not block:
            raise EOFError
        data += block
    return data


def read_message(stream: socket.socket) -> dns.message.Message:
    """The next reply."""
    (length,) = struct.unpack("!H", read_exactly(stream, 2))
    return dns.message.from_wire(read_exactly(stream, length))


def ask(node: Node) -> float:
    """Seconds that a fresh TCP connection takes to its answer."""
    begun = time.perf_counter()
    with connect(node) as stream:
        stream.sendall(framed(query()))
        assert len(read_message(stream).answer) == 1
    return time.perf_counter() - begun


def p99_of_udp(node: Node) -> float:
    """The 99th percentile of one round of UDP queries, in seconds."""
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", node.dns_port))
        client.settimeout(5)
        message = query()
        for _ in range(QUERIES_IN_ROUND):
            begun = time.perf_counter()
            client.send(message)
            assert len(client.recv(4096)) > len(message)
            times.append(time.perf_counter() - begun)
    return statistics.quantiles(times, n=100)[98]


def held_connections(process: psutil.Process) -> int:
    """TCP connections that a process has; its other descriptors come and go with what it writes to its disk."""
    return sum(bool(connection.raddr) for connection in process.net_connections("tcp"))


@contextlib.contextmanager
def crowd(node: Node) -> Iterator[None]:
    """2,000 idle, 500 dribbling and 200 deaf connections, for as long as it lasts."""
    arguments = [sys.executable, "-m", "tests.support.crowd", str(node.dns_port), "bulk.example.com"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        try:
            assert process.stdout.readline() == b"all in\n"
            yield
            assert process.poll() is None, "the crowd has gone"
        finally:
            process.stdin.close()
            process.wait(timeout=30)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", [5, pytest.param(60, marks=pytest.mark.soak)])
def test_a_crowd_of_connections_does_not_slow_udp_and_a_fresh_query_is_answered(node: Node, rounds: int) -> None:
    (before,) = node.dataplanes()
    calm = [p99_of_udp(node) for _ in range(rounds)]
    crowded, fresh = [], []
    with crowd(node):
        for _ in range(rounds):
            crowded.append(p99_of_udp(node))
            fresh.append(ask(node))
            # The silent and the dribbling are thrown out after ten seconds and come back as fast as a busy machine lets them.
            assert 500 <= held_connections(before) <= 1024, "hundreds are in, and no more than the cap allows"
    calm += [p99_of_udp(node) for _ in range(rounds)]
    quiet, loud = statistics.median(calm), statistics.median(crowded)
    print(f"p99 of UDP: calm {quiet * 1e3:.3f} ms, crowded {loud * 1e3:.3f} ms; fresh TCP {max(fresh):.3f} s")
    assert loud < 2 * quiet + FLOOR_S, (calm, crowded)
    assert max(fresh) < 1, fresh
    (after,) = node.dataplanes()
    assert after.pid == before.pid


@pytest.mark.parametrize("count", [10_000, pytest.param(65_536, marks=pytest.mark.soak)])
def test_ten_thousand_pipelined_queries_are_answered_once_each(node: Node, count: int) -> None:
    with connect(node) as stream:
        everything = b"".join(framed(query(identity)) for identity in range(count))
        sending = threading.Thread(target=stream.sendall, args=(everything,))
        sending.start()
        answered = Counter(read_message(stream).id for _ in range(count))
        sending.join()
        stream.shutdown(socket.SHUT_WR)
        assert stream.recv(1) == b"", "nothing more comes"
    assert answered == Counter(range(count))


@pytest.mark.parametrize("length", [0, 1, 11])
def test_a_frame_shorter_than_a_header_ends_the_connection_behind_the_answers_before_it(node: Node, length: int) -> None:
    with connect(node) as stream:
        stream.sendall(framed(query(7)) + framed(bytes(length)) + framed(query(8)))
        assert read_message(stream).id == 7
        assert stream.recv(1) == b""
    assert ask(node) < 10


def test_frames_of_any_length_are_handled(node: Node) -> None:
    whole = query(9) + bytes(65_535 - len(query(9)))
    lies = struct.pack("!6H", 10, 0, 65_535, 65_535, 65_535, 65_535) + b"\xc0" * 65_523
    with connect(node) as stream:
        for message, rcode in [(whole, dns.rcode.NOERROR), (lies, dns.rcode.FORMERR), (bytes(12), dns.rcode.FORMERR)]:
            stream.sendall(framed(message))
            reply = read_message(stream)
            assert (reply.id, reply.rcode()) == (int.from_bytes(message[:2]), rcode)
            assert reply.flags & dns.flags.QR
        # A long one that never becomes whole is no reason to answer, or to stay when its sender has gone.
        stream.sendall(framed(whole)[:60_000])
        stream.shutdown(socket.SHUT_WR)
        assert stream.recv(1) == b""


def test_half_closed_connections_are_answered_and_freed(node: Node) -> None:
    (process,) = node.dataplanes()
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(connect(node)) for _ in range(50)]
        for number, stream in enumerate(streams):
            # Nothing, a whole query, and one in pieces.
            stream.sendall([b"", framed(query(number)), framed(query(number))[:20]][number % 3])
        wait_until(lambda: held_connections(process) == 50, within_s=5, what="all are in")
        for stream in streams:
            stream.shutdown(socket.SHUT_WR)
        for number, stream in enumerate(streams):
            if number % 3 == 1:
                assert read_message(stream).id == number
            assert stream.recv(1) == b""
        # Long before the ten seconds of an idle one, and with our side still open.
        wait_until(lambda: held_connections(process) == 0, within_s=5, what="all are freed")
