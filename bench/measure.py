"""Numbers: dnsperf's report, and medians with their interval. What the kernel accounts for is in `tests/support/accounts.py`."""

from __future__ import annotations

import math
import os
import re
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cases import Case, Subnet

# What `make bench` builds of bench/echo.
PROGRAMS = Path(__file__).resolve().parent / "echo/target/release"
ONCE = PROGRAMS / "geodns-bench-once"
# All servers of a world run here (only the one that is asked has anything to do), and who asks runs on the last core.
SERVER_CORE = 0


def driver_core() -> int:
    """Where dnsperf and its like run."""
    return (os.cpu_count() or 1) - 1


@dataclass(frozen=True, slots=True)
class Drive:
    """One run of dnsperf. `latencies_s` only when they were asked for, ascending."""

    completed: int
    lost: int
    qps: float
    latencies_s: list[float]

    def latency_us(self, share: float) -> float:
        """The latency below which that share of the answers came."""
        return self.latencies_s[min(int(share * len(self.latencies_s)), len(self.latencies_s) - 1)] * 1e6


def drive(port: int, queries: Path, case: Case, *, seconds: float, pace: int = 0, with_latencies: bool = False) -> Drive:
    """Asks the server on 127.0.0.1:port from one core: as much as it answers, or `pace` queries a second."""
    if case.is_once:
        return drive_once(port, queries, seconds)
    command = ["taskset", "-c", str(driver_core()), "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries)]
    command += ["-l", str(seconds), "-m", case.transport, "-c", str(case.clients), "-q", "64", "-T", "1", "-W"]
    if case.subnet is Subnet.FIXED:
        command += ["-e", "-E", str(case.edns())]
    if case.subnet is Subnet.RANDOM:
        command += ["-B"]
    if pace:
        command += ["-Q", str(pace)]
    if with_latencies:
        command += ["-v"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)

    def number(label: str) -> float:
        match = re.search(rf"{label}:\s+([\d.]+)", done.stdout)
        if match is None:
            raise RuntimeError(f"dnsperf printed no {label!r}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return float(match.group(1))

    latencies = sorted(
        float(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines() if line.startswith("> ") and "timed out" not in line
    )
    return Drive(int(number("Queries completed")), int(number("Queries lost")), number("Queries per second"), latencies)


def drive_once(port: int, queries: Path, seconds: float) -> Drive:
    """One query a connection; dnsperf can do that too, but pauses after each."""
    command = ["taskset", "-c", str(driver_core()), str(ONCE), str(port), str(seconds)]
    with queries.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, timeout=seconds + 60, check=True)
    completed, lost = map(int, done.stdout.split())
    return Drive(completed, lost, completed / seconds, [])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with a distribution-free interval of at least 95 % (order statistics; the range below six rounds)."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 0 if self.median >= 1000 else 2
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def estimate(samples: Sequence[float]) -> Estimate:
    """The median of `samples` and its interval: the k-th smallest and largest with binomial tails under 2.5 % each."""
    ordered = sorted(samples)
    count = len(ordered)
    rank = 0
    tail = 0.0
    while rank < count // 2:
        tail += math.comb(count, rank) / 2**count
        if tail > 0.025:
            break
        rank += 1
    rank = max(rank - 1, 0) if rank else 0
    return Estimate(statistics.median(ordered), ordered[rank], ordered[count - 1 - rank])
