"""What change costs, and what a million names cost in memory and time, on one geodns of its own.

One `geodns serve` with one worker on a fresh SQLite database; nothing is pinned. Each step leaves the node running with the zone loaded, so
that steps can be left out but not reordered.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.cases import ZONE, static_lines
from bench.report import Report
from geodns.control.binary import find_binary
from tests.support.accounts import cpu_ns, own_pss_mib, pss_mib
from tests.support.node import TOKEN, Node
from tests.support.waiting import wait_until

PART = "change"
IMPORTED = "import.example"
APPLIED = "apply.example"
# The zone file of a million names takes about a minute to read, judge and store; slow machines get room.
SEEDED_WITHIN_S = 600.0
# Between two looks at the memory of a process that changes it.
LOOK_S = 0.1
# A FULL of a million names takes seconds.
ADOPTED_WITHIN_S = 120.0
RESTARTS = 5
# CPU in a second below which a node is at rest: its polls and ticks take a tenth of it, more on a loaded machine.
QUIET_NS = 200_000_000


@dataclass(slots=True)
class World:
    """The node under measurement, and where what is found goes."""

    node: Node
    arguments: argparse.Namespace
    report: Report

    def note(self, what: str, value: float, unit: str) -> None:
        """One more figure."""
        self.report.note(PART, what, unit, value)

    @property
    def dataplane(self) -> int:
        (process,) = self.node.dataplanes()
        return int(process.pid)

    @property
    def control(self) -> int:
        if self.node.process is None:
            raise RuntimeError("the node was not started")
        return self.node.process.pid


def measure(arguments: argparse.Namespace, scratch: Path, report: Report) -> None:
    """All steps, or those that were asked for."""
    names, writes, imported = arguments.names, arguments.writes, arguments.imported
    report.begin(PART, f"{names} names on SQLite, {writes} writes, {imported} rrsets imported")
    world = World(Node(scratch, settings={"DNS_WORKERS": "1"}), arguments, report)
    try:
        steps = arguments.steps or USUAL_STEPS
        for number, name in enumerate(steps, start=1):
            report.progress(f"{PART}: {name}, step {number} of {len(steps)}")
            STEPS[name](world)
    finally:
        world.node.stop()


# ---- steps ----


def seed(world: World) -> None:
    """A first start: the zone file is read, judged, stored and served."""
    write_zone_file(world.node.zones / f"{ZONE}.zone", ZONE, world.arguments.names)
    world.node.spawn()
    with watched_memory(lambda: world.control) as control:
        world.note("first start from a zone file, to ready", world.node.wait_ready(within_s=SEEDED_WITHIN_S), "s")
        wait_quiet(world)
    world.note("  control's memory at most meanwhile", control.most, "MiB")
    world.note("control's memory with the zone stored", own_pss_mib(world.control), "MiB")
    world.note("dataplane's memory, fresh", pss_mib(world.dataplane), "MiB")


def write(world: World) -> None:
    """Single writes one after the other: from the request to the changed answer on the wire."""
    client, asker = Client(world.node.api_port), Asker(world.node.dns_port)
    took_ms: list[float] = []
    spent = cpu_ns(world.control)
    for number in range(world.arguments.writes):
        owner = f"n{number * 7919 % world.arguments.names:07}"
        address = f"172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        begun_s = time.perf_counter()
        status, reply = client.send("PUT", f"/api/v1/zones/{ZONE}/records/{owner}/A", {"ttl": 60, "value": address})
        if status not in (200, 201) or not reply["applied"]:
            raise RuntimeError(f"a write was answered with {status} {reply}")
        answer = asker.ask(f"{owner}.{ZONE}")
        took_ms.append(1000 * (time.perf_counter() - begun_s))
        if answer[-4:] != socket.inet_aton(address):
            raise RuntimeError(f"{owner} is not answered with {address} after the write")
    spent = cpu_ns(world.control) - spent
    cuts = statistics.quantiles(took_ms, n=100, method="inclusive")
    world.note("write to wire, p50", cuts[49], "ms")
    world.note("write to wire, p99", cuts[98], "ms")
    world.note("write to wire, longest", max(took_ms), "ms")
    world.note("  CPU of control and dataplane a write", spent / len(took_ms) / 1e6, "ms")
    world.note("dataplane's memory after all writes", pss_mib(world.dataplane), "MiB")


def transfer(world: World) -> None:
    """A FULL to a dataplane that answers meanwhile: a new lineage makes one due."""
    before, lineage = pss_mib(world.dataplane), served_lineage(world)
    asker = Asker(world.node.dns_port)
    with watched_memory(lambda: world.dataplane) as dataplane, watched_lag(world) as lag:
        done = world.node.command("db", "adopt", "--reason", "bench of change")
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        begun_s = time.monotonic()
        # Another process has written: until control has seen it, the old lineage is served as the one that is stored.
        wait_until(lambda: served_lineage(world) != lineage, within_s=ADOPTED_WITHIN_S, what="the FULL")
        took_s = time.monotonic() - begun_s
        asker.ask(f"n0000001.{ZONE}")
    world.note("FULL to a dataplane that answers", took_s, "s")
    world.note("dataplane's memory at most during a FULL, of that before", dataplane.most / before, "x")
    world.note("event loop's longest pause during a FULL", lag.most * 1000, "ms")


def restart(world: World) -> None:
    """From the dataplane's own disk, and from the database alone."""
    world.node.stop()
    walls, spent = [], []
    for _ in range(RESTARTS):
        wall_s, cpu_s = start_alone(world.node)
        walls.append(wall_s)
        spent.append(cpu_s)
    world.report.note(PART, "dataplane from its disk to the first answer", "s", *walls)
    world.report.note(PART, "  its CPU time", "s", *spent)
    world.node.start(within_s=60)
    wait_quiet(world)
    world.note("dataplane's memory after a restart", pss_mib(world.dataplane), "MiB")
    world.node.stop()
    (world.node.state / "dataplane").rename(world.node.state / "dataplane.old")
    world.note("from the SQLite database, without a state, to ready", world.node.start(within_s=120), "s")
    wait_quiet(world)
    world.note("dataplane's memory after a FULL into nothing", pss_mib(world.dataplane), "MiB")


def imports(world: World) -> None:
    """A further zone, through REST and through `geodns apply`, beside the large one."""
    count = world.arguments.imported
    body = "".join(json_lines(count)).encode()
    client = Client(world.node.api_port)
    with watched_lag(world) as lag, watched_memory(lambda: world.control) as control:
        begun_s, spent = time.monotonic(), cpu_ns(world.control)
        status, reply = client.send("POST", f"/api/v1/zones/{IMPORTED}/import", body, "application/jsonl")
        answered_s = time.monotonic() - begun_s
        if status not in (200, 202) or reply["upserted"] < count:
            raise RuntimeError(f"the import was answered with {status} {reply}")
        wait_until(lambda: is_caught_up(world), within_s=ADOPTED_WITHIN_S, what="the adoption of the import")
        served_s = time.monotonic() - begun_s
        spent = cpu_ns(world.control) - spent
    world.note("import by REST, to its answer", answered_s, "s")
    world.note("import by REST, to served", served_s, "s")
    world.note("  CPU of control and dataplane", spent / 1e9, "s")
    world.note("event loop's longest pause during an import by REST", lag.most * 1000, "ms")
    world.note("  control's memory at most meanwhile", control.most, "MiB")
    applied(world, "geodns apply", count)
    applied(world, "geodns apply again with nothing changed", count)


def large(world: World) -> None:
    """`geodns apply` of a zone file as large as the first."""
    applied(world, "geodns apply of all names", world.arguments.names)


def applied(world: World, what: str, count: int) -> None:
    """One `geodns apply` of a master file of `count` names."""
    directory = world.node.directory / "applied"
    directory.mkdir(exist_ok=True)
    zone = APPLIED if count == world.arguments.imported else f"large.{APPLIED}"
    write_zone_file(directory / f"{zone}.zone", zone, count)
    with watched_lag(world) as lag, watched_memory(lambda: world.control) as control:
        begun_s = time.monotonic()
        command = [sys.executable, "-m", "geodns", "apply", str(directory / f"{zone}.zone")]
        process = subprocess.Popen(command, env=world.node.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with watched_memory(lambda: process.pid) as client:
            said, complaint = process.communicate(timeout=SEEDED_WITHIN_S)
        took_s = time.monotonic() - begun_s
        if process.returncode != 0:
            raise RuntimeError(f"{said}{complaint}")
        wait_until(lambda: is_caught_up(world), within_s=ADOPTED_WITHIN_S, what="the adoption of what was applied")
    world.note(f"{what}, to its end", took_s, "s")
    world.note("  the command's memory at most", client.most, "MiB")
    world.note("  control's memory at most meanwhile", control.most, "MiB")
    world.note(f"event loop's longest pause during {what}", lag.most * 1000, "ms")


STEPS: dict[str, Callable[[World], None]] = {
    "seed": seed,
    "write": write,
    "transfer": transfer,
    "restart": restart,
    "imports": imports,
    "large": large,
}
# Nothing is promised of a million names applied at once, and it takes minutes.
USUAL_STEPS = [name for name in STEPS if name != "large"]


# ---- what the steps share ----


def write_zone_file(path: Path, zone: str, names: int) -> None:
    """The bench's zone under another name."""
    with path.open("w") as file:
        file.writelines(f"{line.replace(ZONE, zone)}\n" if number < 4 else f"{line}\n" for number, line in enumerate(static_lines(names)))


def json_lines(count: int) -> Iterator[str]:
    """An import as `geodns apply` sends it: a head, then one record a line."""
    yield json.dumps({"default_ttl": 300, "serial": None, "soa": None}) + "\n"
    yield json.dumps({"name": "@", "type": "NS", "ttl": 300, "values": [f"ns1.{IMPORTED}."]}) + "\n"
    yield json.dumps({"name": "ns1", "type": "A", "ttl": 300, "value": "192.0.2.53"}) + "\n"
    for number in range(count):
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        yield json.dumps({"name": f"n{number:07}", "type": "A", "ttl": 300, "value": address}) + "\n"


def start_alone(node: Node) -> tuple[float, float]:
    """`geodns dataplane` from the disk that the node left: seconds to its first answer, and its CPU seconds until then."""
    environment = node.environment
    # Without Python's own start, which is not what is measured.
    command = [str(find_binary()), "--state", str(node.state / "dataplane"), "--socket", str(node.directory / "alone.sock")]
    command += ["--listen", f"127.0.0.1:{node.dns_port}", "--workers", "1", "--settings-digest", "00" * 32]
    with (node.directory / "alone.log").open("ab") as log:
        begun_s = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        Asker(node.dns_port).ask_until_answered(f"n0000001.{ZONE}", begun_s + 60)
        return time.monotonic() - begun_s, cpu_ns(process.pid) / 1e9
    finally:
        process.terminate()
        process.wait(timeout=20)


def is_caught_up(world: World) -> bool:
    """Whether the dataplane serves what the store holds."""
    status = world.node.get("/api/v1/status").body
    stored, served = ([status[part][key] for key in ("lineage", "revision")] for part in ("store", "dataplane"))
    return bool(stored == served)


def served_lineage(world: World) -> str:
    """Of the state that the dataplane answers from."""
    return str(world.node.get("/api/v1/status").body["dataplane"]["lineage"])


def wait_quiet(world: World) -> None:
    """Until what a start does behind the answers (comparing files, writing the state) is over: control takes no CPU for a second."""

    def is_quiet() -> bool:
        before = cpu_ns(world.control)
        time.sleep(1.0)
        return cpu_ns(world.control) - before < QUIET_NS

    wait_until(is_quiet, within_s=SEEDED_WITHIN_S, what="a node at rest")


@dataclass(slots=True)
class Most:
    """The largest of what was seen."""

    most: float = 0.0


@contextmanager
def watched(look: Callable[[], float], every_s: float) -> Iterator[Most]:
    """Calls `look` again and again during the block; what fails, because the process is not there yet or any more, is not counted."""
    found, is_over = Most(), threading.Event()

    def run() -> None:
        while not is_over.is_set():
            with suppress(OSError, ValueError, RuntimeError, psutil.Error):
                found.most = max(found.most, look())
            is_over.wait(every_s)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()


def watched_memory(pid: Callable[[], int]) -> Any:
    """The largest memory of a process without its children during the block, MiB."""
    return watched(lambda: own_pss_mib(pid()), LOOK_S)


@contextmanager
def watched_lag(world: World) -> Iterator[Most]:
    """The longest pause of control's event loop during the block, in seconds, by its own metric, which remembers a minute."""

    def look() -> float:
        return read_lag(world.node.get("/metrics").body)

    deadline_s = time.monotonic() + 75
    while look() > 0.09 and time.monotonic() < deadline_s:  # what an earlier part left
        time.sleep(1.0)
    with watched(look, 5.0) as found:
        yield found
        time.sleep(0.2)
        found.most = max(found.most, look())


def read_lag(metrics: str) -> float:
    """The event loop's longest pause of the last minute, in seconds, from a page of metrics. Raises LookupError when it is not there: a
    figure that nobody tells holds no goal."""
    match = re.search(r"^geodns_event_loop_lag_seconds (\S+)", metrics, re.MULTILINE)
    if match is None:
        raise LookupError("the metrics tell nothing of the event loop's pauses")
    return float(match.group(1))


class Client:
    """One kept HTTP connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SEEDED_WITHIN_S)

    def send(self, method: str, path: str, body: Any, media_type: str = "application/json") -> tuple[int, Any]:
        """One request; status and decoded body."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._connection.request(method, path, data, {"Authorization": f"Bearer {TOKEN}", "Content-Type": media_type})
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


class Asker:
    """One UDP socket that asks for A records."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(5.0)
        self._socket.connect(("127.0.0.1", port))
        self._number = 0

    def ask(self, name: str) -> bytes:
        """The whole reply."""
        self._number = (self._number + 1) & 0xFFFF
        header = self._number.to_bytes(2, "big") + bytes.fromhex("0000 0001 0000 0000 0000")
        labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
        self._socket.send(header + labels + bytes.fromhex("00 0001 0001"))
        while True:
            reply = self._socket.recv(4096)
            if reply[:2] == header[:2]:
                return reply

    def ask_until_answered(self, name: str, deadline_s: float) -> bytes:
        """Asks a socket that may not be there yet, until an answer with records comes."""
        self._socket.settimeout(0.2)
        while time.monotonic() < deadline_s:
            try:
                reply = self.ask(name)
            except OSError:  # refused, or no answer in time
                time.sleep(0.002)
                continue
            if reply[7]:  # records in the answer section
                return reply
        raise RuntimeError("no answer came in time")
