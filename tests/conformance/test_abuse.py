"""Abuse: a flood is held to its network's limit while others get every answer, and random names cost no memory."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.support.load import Load
from tests.support.node import MakeNode, Node
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timing

SEED = 7873
ZONE = "'': {type: NS, values: [ns1.example.com.]}\nns1: {type: A, value: 192.0.2.53}\nwww: {type: A, value: 192.0.2.10}\n"
ZONES = {"example.com.yaml": ZONE}
NAME = "www.example.com"

RATE = 100
"""Replies a second to one /24."""

FLOODERS = tuple(f"127.0.1.{host}" for host in (1, 77, 254))
"""Senders of one /24."""

FLOOD_QPS = 4500
"""Of all together: far above the limit, and far below what a debug build on a busy machine answers, so that nothing is lost in a queue."""

FLOOD_S = 5.0
GROWTH_LIMIT = 5 << 20
WINDOW = 64
"""Queries under way at once: they fit into any receive buffer."""


def is_whole(reply: bytes, _: float) -> bool:
    """Not truncated, and with the answer."""
    message = dns.message.from_wire(reply)
    return not message.flags & dns.flags.TC and len(message.answer) == 1


@dataclass(frozen=True, slots=True)
class Flooded:
    """What became of a flood."""

    sent: int
    whole: int
    truncated: int
    duration_s: float


class Flood:
    """Queries from `FLOODERS` while the `with` block runs, at least `FLOOD_S` long. `is_answered`: none of them is meant to be dropped."""

    def __init__(self, node: Node, *, is_answered: bool = False) -> None:
        rate = FLOOD_QPS // len(FLOODERS)
        window, patience_s = (WINDOW, 10.0) if is_answered else (None, 0.5)
        self._loads = [
            Load(node.dns_port, NAME, source=source, rate=rate, judge=is_whole, patience_s=patience_s, window=window) for source in FLOODERS
        ]
        self.result: Flooded | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The flood; its `result` is there afterwards."""
        start = time.monotonic()
        with contextlib.ExitStack() as stack:
            for load in self._loads:
                stack.enter_context(load)
            yield
            rest_s = start + FLOOD_S - time.monotonic()
            if rest_s > 0:
                time.sleep(rest_s)  # the flood's length, not a hope
            for load in self._loads:
                load.stop()
            duration_s = time.monotonic() - start
        tallies = [load.tally for load in self._loads]
        truncated = sum(tally.wrong for tally in tallies)
        self.result = Flooded(
            sum(tally.sent for tally in tallies), sum(tally.answered for tally in tallies) - truncated, truncated, duration_s
        )


def run_flood(node: Node, *, is_answered: bool = False) -> Flooded:
    """A flood and nothing beside it."""
    flood = Flood(node, is_answered=is_answered)
    with flood.running():
        pass
    assert flood.result is not None
    return flood.result


def assert_limited(flooded: Flooded) -> None:
    """Held to the rate within a tenth; every second reply over it was truncated."""
    print(flooded)
    assert flooded.sent > 10 * RATE * flooded.duration_s, "the flood was none"
    assert flooded.whole <= 1.1 * RATE * flooded.duration_s
    assert flooded.whole >= 0.8 * RATE * flooded.duration_s, "the limit is a limit and no ban"
    limited = flooded.sent - flooded.whole
    assert 0.4 * limited <= flooded.truncated <= 0.5 * limited + 1


def counted(node: Node, metric: str) -> float:
    """One series of /metrics, 0 while it is not there."""
    found = re.search(rf"^{re.escape(metric)} (\S+)$", str(node.get("/metrics").body), re.MULTILINE)
    return float(found[1]) if found else 0.0


def wait_for_count(node: Node, expected: float, *metrics: str) -> None:
    """The dataplane tells its counters once a second; then their sum is right but for what got lost on the way back."""

    def claim() -> bool:
        return sum(counted(node, metric) for metric in metrics) == pytest.approx(expected, rel=0.02)

    wait_until(claim, within_s=20, every_s=0.2, what=f"{metrics} = {expected}")


@contextlib.contextmanager
def asking_from(node: Node, source: str) -> Iterator[socket.socket]:
    """A UDP socket at `source`, connected to the node."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", node.dns_port))
        sock.settimeout(10)
        yield sock


def ask(sock: socket.socket, *options: dns.edns.Option) -> dns.message.Message:
    """One query; TimeoutError when nothing comes."""
    query = dns.message.make_query(NAME, "A", use_edns=0, options=list(options))
    sock.send(query.to_wire())
    reply = dns.message.from_wire(sock.recv(4096))
    assert reply.id == query.id
    return reply


def cookie_of(reply: dns.message.Message) -> dns.edns.CookieOption:
    """The cookie that a reply carries."""
    (cookie,) = (option for option in reply.options if isinstance(option, dns.edns.CookieOption))
    return cookie


def test_a_flood_is_held_to_its_limit_and_a_client_elsewhere_gets_every_answer(make_node: MakeNode) -> None:
    node = make_node(zones=ZONES, settings={"RRL_RATE": str(RATE)})
    node.start()
    flood = Flood(node)
    with Load(node.dns_port, NAME, source="127.0.2.1", rate=RATE // 2, judge=is_whole) as elsewhere, flood.running():
        pass
    assert flood.result is not None
    assert_limited(flood.result)
    assert elsewhere.tally.sent > RATE
    assert (elsewhere.tally.lost, elsewhere.tally.wrong) == (0, 0)
    dropped = flood.result.sent - flood.result.whole - flood.result.truncated
    wait_for_count(node, dropped, 'geodns_dns_dropped_total{reason="rrl"}')
    wait_for_count(node, flood.result.truncated, 'geodns_dns_rate_limited_total{action="slipped"}')


def test_a_valid_cookie_and_tcp_are_not_limited_amid_a_flood_from_the_same_network(make_node: MakeNode) -> None:
    node = make_node(zones=ZONES, settings={"RRL_RATE": str(RATE), "RRL_SLIP": "1"})
    node.start()
    flood = Flood(node)
    with flood.running(), asking_from(node, FLOODERS[0]) as client:
        # With slip 1 every limited reply comes back empty, and even that one brings the cookie.
        cookie = cookie_of(ask(client, dns.edns.CookieOption(b"geodns-1", b"")))
        for _ in range(500):
            reply = ask(client, cookie)
            assert len(reply.answer) == 1
            assert not reply.flags & dns.flags.TC
        invented = dns.edns.CookieOption(b"geodns-1", b"\1\0\0\0" + bytes(12))
        assert any(ask(client, invented).flags & dns.flags.TC for _ in range(50))
        for _ in range(3):
            assert node.dig(NAME, "A", "+tcp", "-b", FLOODERS[1]).values == ["192.0.2.10"]
    wait_for_count(node, 500, 'geodns_dns_cookies_total{state="valid"}')


def test_a_dry_run_answers_everything_and_a_restart_of_control_ends_it(make_node: MakeNode) -> None:
    node = make_node(zones=ZONES, settings={"RRL_RATE": str(RATE), "RRL_DRY_RUN": "true"})
    node.start()
    flooded = run_flood(node, is_answered=True)
    assert (flooded.whole, flooded.truncated) == (flooded.sent, 0)
    would = [f'geodns_dns_rate_limited_total{{action="would_{action}"}}' for action in ("drop", "slip")]
    wait_for_count(node, flooded.sent - RATE * flooded.duration_s, *would)
    assert counted(node, 'geodns_dns_dropped_total{reason="rrl"}') == 0

    (before,) = node.dataplanes()
    node.settings["RRL_DRY_RUN"] = "false"
    with Load(node.dns_port, NAME, source="127.0.2.1", rate=RATE // 2, judge=is_whole) as elsewhere:
        node.kill_control()
        node.start()
        wait_until(lambda: is_limited(node, "127.0.3.1"), within_s=20, what="the limit")
    (after,) = node.dataplanes()
    assert after.pid == before.pid
    assert (elsewhere.tally.lost, elsewhere.tally.wrong) == (0, 0)
    assert_limited(run_flood(node))


def is_limited(node: Node, source: str) -> bool:
    """Whether a burst of a second's replies is truncated at its end."""
    with asking_from(node, source) as sock:
        sock.settimeout(0.2)
        for _ in range(RATE):
            try:
                if ask(sock).flags & dns.flags.TC:
                    return True
            except TimeoutError:
                return True
    return False


def test_networks_are_answered_refused_and_left_unlimited_as_set(make_node: MakeNode) -> None:
    settings = {"DNS_ALLOW": "127.0.0.0/16", "DNS_DENY": "127.0.3.0/24", "RRL_RATE": "1", "RRL_ALLOW": "127.0.2.0/24"}
    node = make_node(zones=ZONES, settings=settings)
    node.start()
    for source, rcode in [("127.0.2.1", "NOERROR"), ("127.0.3.1", "REFUSED"), ("127.1.0.1", "REFUSED")]:
        answer = node.dig(NAME, "A", "-b", source)
        assert answer.rcode == rcode, source
    with asking_from(node, "127.0.2.1") as sock:
        assert all(len(ask(sock).answer) == 1 for _ in range(100))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_random_names_leave_no_trace_in_memory(make_node: MakeNode, count: int) -> None:
    node = make_node(zones=ZONES, settings={"RRL_RATE": str(RATE), "RRL_DRY_RUN": "true"})
    node.start()
    draw = random.Random(SEED)  # noqa: S311 # a recorded seed
    with asking_from(node, "127.0.1.1") as sock:
        assert ask_random_names(sock, draw, count // 50) == count // 50
        before = resident(node)
        assert ask_random_names(sock, draw, count) == count
    growth = resident(node) - before
    print(f"{count} random names: {growth / 1024:.0f} KiB")
    assert growth < GROWTH_LIMIT


def ask_random_names(sock: socket.socket, draw: random.Random, count: int) -> int:
    """How many of `count` queries for names that nobody has were answered NXDOMAIN."""
    absent = 0
    for start in range(0, count, WINDOW):
        burst = range(start, min(start + WINDOW, count))
        for number in burst:
            label = f"{number:x}-" + "".join(draw.choices(string.ascii_lowercase, k=12))
            sock.send(dns.message.make_query(f"{label}.example.com", "A", id=number % 65536).to_wire())
        absent += sum(sock.recv(4096)[3] & 0x0F == dns.rcode.NXDOMAIN for _ in burst)
    return absent


def resident(node: Node) -> int:
    """The dataplane's resident memory in bytes."""
    (process,) = node.dataplanes()
    return int(process.memory_info().rss)
