"""`make bench-health`: what checking costs and how soon a result is on the wire, with the real node and 10,000 servers of ours.

    python -m bench.health [--values 10000] [--interval 10] [--seconds 30] [--singles 300] [--together 2000]

One program, `geodns-bench-checked`, is all the servers and asks DNS for the names of those that fail, both on one clock. So the lag of a
value is from the moment before the answer that had to decide it (its second bad one) was sent to the moment at which the first changed DNS
answer had come. That includes control's reading of the answer, its judgement, the link, the dataplane, and the pause between two of our
questions.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from bench.measure import give_precedence, own_cpu_ns, own_pss_mib, own_wait_ns
from bench.servers import ROOT, commit_of, hostless_description
from tests.support.ending import end
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.waiting import wait_until

CHECKED = ROOT / "bench/echo/target/release/geodns-bench-checked"
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


def measure(scratch: Path, *, values: int, interval_s: float, seconds: float, singles: int, together: int) -> list[str]:
    """The lines of the report."""
    node = Node(scratch / "node")
    servers = Servers(node.dns_port)
    try:
        (node.zones / f"{ZONE}.yaml").write_text(make_zone(values, servers.http_port, interval_s))
        node.start(within_s=120)
        wait_until(lambda: look(node)["endpoints"] == values, within_s=120, every_s=0.5, what="every check")
        # A restart spreads first checks over one interval; those that a write makes would take their turns, a hundred a second.
        node.stop()
        ready_s = node.start(within_s=120)
        give_precedence(control_pid(node), os.getpid())
        wait_until(
            lambda: look(node)["endpoints"] == values and not look(node)["unknown"],
            within_s=120,
            every_s=0.5,
            what="a first result of every check",
        )
        lines = [f"{values} values, one HTTP check each every {interval_s:g} s; ready after {ready_s:.1f} s"]
        time.sleep(interval_s)  # the results of the start are in the table
        lines += measure_routine(node, servers, values, interval_s, seconds)
        lines += measure_fall(node, servers, range(singles), "one by one", SINGLES_PERIOD_US, interval_s)
        lines += measure_fall(node, servers, range(values - together, values), "at once", TOGETHER_PERIOD_US, interval_s)
        lines.append(f"own loop late at most {look(node)['loop_late_s']:.3f} s in the whole run")
    finally:
        node.stop()
        end(servers.process)
    return lines


def look(node: Node) -> Mapping[str, Any]:
    """What the node says of its checks."""
    found: Mapping[str, Any] = node.get("/api/v1/status").body["health"]
    return found


def measure_routine(node: Node, servers: Servers, values: int, interval_s: float, seconds: float) -> list[str]:
    """CPU, memory and punctuality while nothing changes."""
    pid = control_pid(node)
    servers.report()
    begun_s, before, waited = time.monotonic(), own_cpu_ns(pid), own_wait_ns(pid)
    time.sleep(seconds)
    spent, elapsed_s = (own_cpu_ns(pid) - before) / 1e9, time.monotonic() - begun_s
    waited_share = (own_wait_ns(pid) - waited) / 1e9 / elapsed_s
    observed = servers.report()
    attempts = sum(len(times) for times in observed.starts.values())
    even = values / interval_s
    return [
        f"control {100 * spent / elapsed_s:.1f} % of a core, {1e6 * spent / attempts:.0f} µs a check ({attempts / elapsed_s:.0f} a second)",
        f"control waited for a core {100 * waited_share:.0f} % of the time: that much of what follows is the machine's",
        f"control {own_pss_mib(pid):.0f} MiB",
        f"starts within {100 * observed.unevenness(1.0):.1f} % of even by the second, {100 * observed.unevenness(0.1):.0f} % by the tenth "
        f"(even is {even:.0f} a second)",
        f"longest pause between two checks of one server {observed.longest_gap_s():.2f} s (jitter alone allows {1.1 * interval_s:.2f})",
    ]


def measure_fall(node: Node, servers: Servers, fallen: range, how: str, period_us: int, interval_s: float) -> list[str]:
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
    return [
        f"{len(lags_s)} of {len(fallen)} that fell {how}: result to wire p50 {percentile_ms(lags_s, 50):.1f} ms, "
        f"p99 {percentile_ms(lags_s, 99):.1f} ms, worst {percentile_ms(lags_s, 100):.1f} ms (asked every {period_us / 1000:g} ms); "
        f"the last answer changed {1000 * last_s:.0f} ms after the last bad one"
    ]


def control_pid(node: Node) -> int:
    """The control process; the dataplane is a child of it and counts apart."""
    if node.process is None:
        raise RuntimeError("the node was not started")
    return node.process.pid


def percentile_ms(ordered: Sequence[float], percent: int) -> float:
    """Of sorted seconds: the value that `percent` of 100 do not exceed."""
    return 1000 * ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def main() -> int:
    """Measures and prints; the report is also written to bench/results/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the routine whose CPU is measured")
    parser.add_argument("--singles", type=int, default=300, help="servers that fall for the lag under routine load")
    parser.add_argument("--together", type=int, default=2_000, help="servers that fall at once")
    parser.add_argument("--output", type=Path, help="where the report goes besides the terminal")
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="geodns-bench-") as scratch:
        lines = measure(
            Path(scratch),
            values=arguments.values,
            interval_s=arguments.interval,
            seconds=arguments.seconds,
            singles=arguments.singles,
            together=arguments.together,
        )
    head = [
        f"geodns bench health, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit_of()}",
        f"machine {hostless_description()}; load before and after {load_before:.1f}, {os.getloadavg()[0]:.1f}",
        "",
    ]
    report = "\n".join([*head, *lines]) + "\n"
    print(report)
    output = arguments.output or ROOT / "bench/results" / f"{datetime.now(UTC):%Y-%m-%d-%H%M}-health.txt"
    output.write_text(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
