"""Location databases and CIDR lists replaced under load, broken files among them: no query is lost, and every answer is right.

Right is what the file or list in force says: either of the two while one is being replaced, and only the new one for whatever is asked
after the replacement was reported. A broken file is named by `geodns status`, and what was in force stays so.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.load import Load
from tests.support.mmdb import write_grid
from tests.support.node import MakeNode, Node
from tests.support.waiting import wait_until

# The files cut IPv4 into 2^15 networks: enough that maps are merged beside what is served, few enough to be written in no time …
SMALL = 15
# … and into a million, so that a table more or less would be seen in the process's memory.
LARGE = 20
GERMANY, AMERICA = ("DE", 50.1, 8.7), ("US", 40.7, -74.0)

ZONE = """
'': {type: NS, values: [ns1.example.com.]}
ns1: {type: A, value: 192.0.2.53}
placed:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {eu: {values: [{value: 192.0.2.2}]}, rest: {values: [{value: 192.0.2.3}]}}
    rules: [{geos: [EU], pool: eu}, {pool: rest}]
  octodns: {geodns: {healthcheck: off}}
listed:
  type: A
  ttl: 30
  values: [192.0.2.1]
  dynamic:
    pools: {rest: {fallback: members, values: [{value: 192.0.2.5}]}, members: {values: [{value: 192.0.2.4}]}}
    rules: [{pool: rest}]
  octodns: {geodns: {healthcheck: off, rules: [{lists: [clients], pool: members}]}}
"""


class Truth:
    """What may be answered: one value, or two from the moment a replacement is asked for until it is reported."""

    def __init__(self, value: str) -> None:
        self._before = self._now = _packed(value)
        self._reported_s = time.monotonic()

    def is_changing_to(self, value: str) -> None:
        """From now on both are right."""
        # First, because the load judges meanwhile: what is right now may not be wrong between these lines.
        self._reported_s = float("inf")
        self._before, self._now = self._now, _packed(value)

    def has_changed(self) -> None:
        """Whatever is asked from now on gets the new value."""
        self._reported_s = time.monotonic()

    def allows(self, reply: bytes, asked_s: float) -> bool:
        """A judge for `Load`: the address ends the message, because the question has no EDNS."""
        return reply[-4:] == self._now or (reply[-4:] == self._before and asked_s <= self._reported_s)


def _packed(value: str) -> bytes:
    return bytes(int(octet) for octet in value.split("."))


@dataclass
class Files:
    """The configured database, the two sound ones that take turns in its place, and ways to break one."""

    directory: Path
    depth: int

    def __post_init__(self) -> None:
        self.in_place = self.directory / "city.mmdb"
        write_grid(self.of("DE"), self.depth, [GERMANY, AMERICA])
        write_grid(self.of("US"), self.depth, [AMERICA, GERMANY])
        self.put(self.of("DE").read_bytes())

    def of(self, country: str) -> Path:
        """The sound file in which 127.0.0.1 lies in `country`."""
        return self.directory / f"{country}.mmdb"

    def put(self, content: bytes) -> None:
        """As an updater does it: beside, then in place."""
        self.clear()
        beside = self.directory / "beside"
        beside.write_bytes(content)
        beside.replace(self.in_place)

    def clear(self) -> None:
        """Nothing may lie there that a file cannot replace."""
        if self.in_place.is_dir():
            self.in_place.rmdir()

    def break_one(self, how: str, country: str) -> None:
        """Puts something unusable in place of the database, made of the file that says `country`."""
        whole = self.of(country).read_bytes()
        match how:
            case "truncated":
                self.put(whole[: len(whole) // 2])
            case "another format":
                self.put(whole.replace(b"MaxMind.com", b"MinMaxd.com"))
            case "empty":
                self.put(b"")
            case "hostile pointers":
                # Sound up to the last network, which points far beyond the data: only who verifies the whole tree finds it.
                end = (2**self.depth - 1) * 8
                self.put(whole[: end - 4] + b"\xff\xff\xff\xf0" + whole[end:])
            case "a directory":
                self.in_place.unlink(missing_ok=True)
                self.in_place.mkdir()
            case "missing":
                self.clear()
                self.in_place.unlink(missing_ok=True)


BROKEN = ("truncated", "another format", "empty", "hostile pointers", "a directory", "missing")

# Lists of 25,000 networks, in one of which the sender is.
STRANGERS = [f"{10 + number // 65536}.{number // 256 % 256}.{number % 256}.0/24" for number in range(0, 50_000, 2)]
LISTS = {"192.0.2.5": STRANGERS, "192.0.2.4": [*STRANGERS, "127.0.0.0/8"]}


def look_again(node: Node) -> None:
    """SIGHUP: files are looked at now and not at the next poll."""
    assert node.process is not None
    os.kill(node.process.pid, signal.SIGHUP)


def swap_database(node: Node, files: Files, truth: Truth, country: str) -> None:
    """Replaces the file and returns when the dataplane says that it is in force."""
    truth.is_changing_to("192.0.2.2" if country == "DE" else "192.0.2.3")
    files.put(files.of(country).read_bytes())
    look_again(node)

    def is_in_force() -> bool:
        explained = node.get("/api/v1/explain?name=placed.example.com&type=A&client=127.0.0.1").body
        return bool(explained["client"]["location"]["country"] == country)

    wait_until(is_in_force, within_s=30, every_s=0.01, what=f"the database that says {country}")
    truth.has_changed()
    wait_until(lambda: node.get("/api/v1/status").body["problems"] == [], within_s=30, what="a status without problems")


def swap_list(node: Node, truth: Truth, value: str) -> None:
    """Replaces the list and returns when it is said to be in force, which the reply to the write mostly does."""
    truth.is_changing_to(value)
    node.wait_served(node.put("/api/v1/lists/clients", {"prefixes": LISTS[value]}))
    truth.has_changed()


def break_database(node: Node, files: Files, how: str, country: str) -> None:
    """Puts a file in place that would say `country`, but is broken, and returns when `geodns status` names it, and what serves instead."""
    files.break_one(how, country)
    look_again(node)

    def is_named() -> bool:
        problems = node.get("/api/v1/status").body["problems"]
        return any(str(files.in_place) in problem and "stays in service" in problem for problem in problems)

    wait_until(is_named, within_s=30, what=f"a status that names the broken file ({how})")


@dataclass
class Bench:
    """A node with a database and a list in force, and what replaces them."""

    node: Node
    files: Files

    @classmethod
    def start(cls, make_node: MakeNode, directory: Path, depth: int) -> Bench:
        """A node whose sender is in Germany and on no list."""
        files = Files(directory, depth)
        node = make_node(zones={"example.com.yaml": ZONE}, settings={"GEO_DATABASES": str(files.in_place)})
        node.start()
        wait_until(lambda: node.dig("placed.example.com").values == ["192.0.2.2"], within_s=20, what="the first database")
        node.wait_served(node.put("/api/v1/lists/clients", {"prefixes": LISTS["192.0.2.5"]}))
        return cls(node, files)

    def swap(self, rounds: int, rate: int) -> None:
        """Rounds of a database, a list and a broken file each, from even to odd and back, under load; every answer is judged."""
        placed, listed = Truth("192.0.2.2"), Truth("192.0.2.5")
        loads = [
            Load(self.node.dns_port, f"{name}.example.com", rate=rate // 2, judge=truth.allows)
            for name, truth in (("placed", placed), ("listed", listed))
        ]
        with loads[0], loads[1]:
            for number in range(rounds):
                country, other, value = (("US", "DE", "192.0.2.4"), ("DE", "US", "192.0.2.5"))[number % 2]
                swap_database(self.node, self.files, placed, country)
                swap_list(self.node, listed, value)
                break_database(self.node, self.files, BROKEN[number % len(BROKEN)], other)
        tallies = [load.tally for load in loads]
        print([f"{tally.sent} sent, {tally.lost} lost, {tally.wrong} wrong" for tally in tallies])
        assert [(tally.lost, tally.wrong) for tally in tallies] == [(0, 0), (0, 0)]

    def memory(self) -> dict[str, int]:
        """Bytes that each process has for itself."""
        assert self.node.process is not None
        (dataplane,) = self.node.dataplanes()
        return {"control": psutil.Process(self.node.process.pid).memory_full_info().uss, "dataplane": dataplane.memory_full_info().uss}


def test_no_query_is_lost_or_wrong_while_databases_and_lists_are_replaced(make_node: MakeNode, tmp_path: Path) -> None:
    Bench.start(make_node, tmp_path, SMALL).swap(rounds=len(BROKEN), rate=1000)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_two_hundred_swaps_at_five_thousand_queries_a_second_leave_memory_as_it_was(make_node: MakeNode, tmp_path: Path) -> None:
    bench = Bench.start(make_node, tmp_path, LARGE)
    bench.swap(rounds=2 * len(BROKEN), rate=5000)
    before = bench.memory()
    bench.swap(rounds=100, rate=5000)
    after = bench.memory()
    print({name: f"{before[name] / 2**20:.1f} MiB before, {after[name] / 2**20:.1f} MiB after" for name in before})
    for name in before:
        assert after[name] <= before[name] * 1.1, f"{name}: {before[name]} before, {after[name]} after"
