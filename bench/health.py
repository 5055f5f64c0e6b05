"""What checking costs and how soon a result is on the wire, with the real node and 10,000 servers of ours.

One program, `geodns-bench-checked`, is all the servers and asks DNS for the names of those that fail, both on one clock. So the lag of a
value is from the moment before the answer that had to decide it (its second bad one) was sent to the moment at which the first changed DNS
answer had come. That includes control's reading of the answer, its judgement, the link, the dataplane, and the pause between two of our
questions.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from bench.measure import PROGRAMS
from bench.report import Report
from tests.support.accounts import own_cpu_ns, own_pss_mib, own_wait_ns
from tests.support.ending import end
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.waiting import wait_until

PART = "health"
CHECKED = PROGRAMS / "geodns-bench-checked"
ZONE = "example.com"
FALLBACK = "192.0.2.1"
FALL = 2
"""Bad answers in a row that take a value out, by default."""

SINGLES_PERIOD_US, TOGETHER_PERIOD_US = 1_000, 5_000
"""Pauses between two questions for one name: together, hundreds are asked for at a time."""


@dataclass
class Observed:
    """What the servers told: starts of attempts by server, bad answers by server, first changed answers; seconds."""

    starts: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    bad: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    changed: dict[int, float] = field(default_factory=dict)

    def lags_s(self) -> list[float]:
        """From the answer that decided to the changed answer, of every server that changed."""
        return sorted(changed - self.bad[server][FALL - 1] for server, changed in self.changed.items())

    def longest_gap_s(self) -> float:
        """Between two attempts of one server."""
        return max(later - sooner for times in self.starts.values() for sooner, later in pairwise(times))

    def unevenness(self, bin_s: float) -> float:
        """How far the number of starts in a bin is from even, at most, as a share; the bins at the ends are not whole and left out."""
        every = sorted(start for times in self.starts.values() for start in times)
        first = every[0] + bin_s
        bins = int((every[-1] - bin_s - first) / bin_s)
        counts = [0] * bins
        for start in every:
            if 0 <= (number := math.floor((start - first) / bin_s)) < bins:
                counts[number] += 1
        even = statistics.mean(counts)
        return max(abs(count - even) / even for count in counts)


class Servers:
    """The program that is all servers."""

    def __init__(self, dns_port: int) -> None:
        self.http_port = free_port()
        self.process = subprocess.Popen(
            [str(CHECKED), str(self.http_port), str(dns_port), ZONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if self._out.readline() != b"ready\n":
            raise RuntimeError("the servers did not start")

    @property
    def _out(self) -> IO[bytes]:
        if self.process.stdout is None:
            raise RuntimeError("there is no output")
        return self.process.stdout

    def tell(self, *words: object) -> None:
        """One command."""
        if self.process.stdin is None:
            raise RuntimeError("there is no input")
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        self.process.stdin.flush()

    def report(self) -> Observed:
        """Everything since the last report."""
        self.tell("report")
        observed = Observed()
        while (line := self._out.readline()) != b"end\n":
            what, nanoseconds, number, *manner = line.decode().split()
            at_s, server = int(nanoseconds) / 1e9, int(number)
            if what == "changed":
                observed.changed[server] = at_s
                continue
            observed.starts[server].append(at_s)
            if manner == ["bad"]:
                observed.bad[server].append(at_s)
        return observed


def make_zone(values: int, http_port: int, interval_s: float) -> str:
    """One steered record for every server; its name falls back to an address that is none of theirs."""
    healthcheck = f"{{protocol: HTTP, port: {http_port}, path: /, host: www.{ZONE}}}"
    octodns = f"{{healthcheck: {healthcheck}, geodns: {{healthcheck: {{interval: {interval_s:g}}}}}}}"
    lines = [f"'': {{type: NS, values: [ns1.{ZONE}.]}}", "ns1: {type: A, value: 192.0.2.53}"]
    for number in range(values):
        pools = f"{{main: {{values: [{{value: 127.64.{number >> 8}.{number & 255}}}]}}}}"
        dynamic = f"{{pools: {pools}, rules: [{{pool: main}}]}}"
        lines.append(f"n{number}: {{type: A, ttl: 30, values: [{FALLBACK}], dynamic: {dynamic}, octodns: {octodns}}}")
    return "\n".join(lines) + "\n"


def measure(arguments: argparse.Namespace, scratch: Path, report: Report) -> None:
    """A start, a routine in which nothing changes, servers that fall one by one, and many at once."""
    values, interval_s = arguments.values, arguments.interval
    report.begin(PART, f"{values} values, one HTTP check each every {interval_s:g} s")
    node = Node(scratch / "node")
    servers = Servers(node.dns_port)
    try:
        (node.zones / f"{ZONE}.yaml").write_text(make_zone(values, servers.http_port, interval_s))
        node.start(within_s=120)
        wait_until(lambda: look(node)["endpoints"] == values, within_s=120, every_s=0.5, what="every check")
        # A restart spreads first checks over one interval; those that a write makes would take their turns, a hundred a second.
        node.stop()
        report.note(PART, "ready again after", "s", node.start(within_s=120))
        give_precedence(control_pid(node), os.getpid())
        wait_until(
            lambda: look(node)["endpoints"] == values and not look(node)["unknown"],
            within_s=120,
            every_s=0.5,
            what="a first result of every check",
        )
        time.sleep(interval_s)  # the results of the start are in the table
        report.progress(f"{PART}: {arguments.routine:g} s in which nothing changes")
        measure_routine(node, servers, interval_s, arguments.routine, report)
        one_by_one, at_once = range(arguments.singles), range(values - arguments.together, values)
        for fallen, how, period_us in ((one_by_one, "one by one", SINGLES_PERIOD_US), (at_once, "at once", TOGETHER_PERIOD_US)):
            report.progress(f"{PART}: {len(fallen)} servers fall {how}")
            measure_fall(node, servers, fallen, how, period_us, interval_s, report)
        report.note(PART, "own loop late at most in the whole run", "s", look(node)["loop_late_s"])
    finally:
        node.stop()
        end(servers.process)


def give_precedence(*pids: int) -> None:
    """Lets what is measured run before whatever else the machine does, as far as we may (root).

    The scheduler shares a core between sessions (autogroup) before it looks at a process's nice value, so the session is what is raised.
    """
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text("-10")


def look(node: Node) -> Mapping[str, Any]:
    """What the node says of its checks."""
    found: Mapping[str, Any] = node.get("/api/v1/status").body["health"]
    return found


def measure_routine(node: Node, servers: Servers, interval_s: float, seconds: float, report: Report) -> None:
    """CPU, memory and punctuality while nothing changes."""
    pid = control_pid(node)
    servers.report()
    begun_s, before, waited = time.monotonic(), own_cpu_ns(pid), own_wait_ns(pid)
    time.sleep(seconds)
    spent_s, elapsed_s = (own_cpu_ns(pid) - before) / 1e9, time.monotonic() - begun_s
    waited_s = (own_wait_ns(pid) - waited) / 1e9
    observed = servers.report()
    attempts = sum(len(times) for times in observed.starts.values())
    report.note(PART, "control's share of a core", "%", 100 * spent_s / elapsed_s)
    report.note(PART, "  CPU of a check", "µs", 1e6 * spent_s / attempts)
    report.note(PART, "  checks", "1/s", attempts / elapsed_s)
    report.note(PART, "control waited for a core: that much of what follows is the machine's", "%", 100 * waited_s / elapsed_s)
    report.note(PART, "control's memory", "MiB", own_pss_mib(pid))
    report.note(PART, "starts in a second, off even", "%", 100 * observed.unevenness(1.0))
    report.note(PART, "starts in a tenth of a second, off even", "%", 100 * observed.unevenness(0.1))
    # Jitter alone makes the interval a tenth longer at most.
    report.note(PART, "longest delay of a check", "s", observed.longest_gap_s() - 1.1 * interval_s)


def measure_fall(node: Node, servers: Servers, fallen: range, how: str, period_us: int, interval_s: float, report: Report) -> None:
    """Lets servers fall, at once; each is noticed in its own turn, `interval_s` apart at most."""
    if look(node)["down"]:
        raise RuntimeError(f"{look(node)['down']} servers are down before anything fell")
    servers.report()
    servers.tell("fall", fallen.start, fallen.stop - 1, period_us)
    wait_until(lambda: look(node)["down"] >= len(fallen), within_s=4 * interval_s, every_s=0.5, what="every verdict")
    time.sleep(1.0)
    observed = servers.report()
    servers.tell("rise", fallen.start, fallen.stop - 1)
    wait_until(lambda: look(node)["down"] == 0, within_s=10 * interval_s, every_s=0.5, what="every return")
    lags_s = observed.lags_s()
    last_s = max(observed.changed.values()) - max(times[FALL - 1] for times in observed.bad.values())
    if len(lags_s) != len(fallen):
        raise RuntimeError(f"{len(lags_s)} of {len(fallen)} that fell changed their answers")
    report.add(f"  {len(fallen)} servers fell {how}, asked for every {period_us / 1000:g} ms:")
    for percent, name in ((50, "p50"), (99, "p99"), (100, "worst")):
        report.note(PART, f"result to wire, {how}, {name}", "ms", percentile_ms(lags_s, percent))
    report.note(PART, f"last bad answer to last changed answer, {how}", "s", last_s)


def control_pid(node: Node) -> int:
    """The control process; the dataplane is a child of it and counts apart."""
    if node.process is None:
        raise RuntimeError("the node was not started")
    return node.process.pid


def percentile_ms(ordered: Sequence[float], percent: int) -> float:
    """Of sorted seconds: the value that `percent` of 100 do not exceed."""
    return 1000 * ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
