"""Numbers: CPU time from the kernel's own accounting, dnsperf's report, medians with their interval."""

from __future__ import annotations

import math
import re
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


def cpu_ns(pid: int) -> int:
    """Nanoseconds on a CPU of all threads of the process and its children (/proc/PID/task/*/schedstat, first field)."""
    total = 0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for task in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            total += int(task.read_text().split()[0])
    return total


def pss_mib(pid: int) -> float:
    """Proportional set size of the process and its children, MiB."""
    total = 0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        match = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        total += int(match.group(1)) if match else 0
    return total / 1024


@dataclass(frozen=True, slots=True)
class Drive:
    """One run of dnsperf."""

    completed: int
    lost: int
    qps: float
    rcodes: str


def drive(port: int, queries: Path, *, seconds: float, core: int, transport: str, edns: str | None) -> Drive:
    """Saturates the server on 127.0.0.1:port from one core."""
    command = ["taskset", "-c", str(core), "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries)]
    command += ["-l", str(seconds), "-m", transport, "-c", "8", "-q", "64", "-T", "1"]
    if edns is not None:
        command += ["-e", "-E", edns]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)

    def number(label: str) -> float:
        match = re.search(rf"{label}:\s+([\d.]+)", done.stdout)
        if match is None:
            raise RuntimeError(f"dnsperf printed no {label!r}:\n{done.stdout}{done.stderr}")
        return float(match.group(1))

    rcodes = re.search(r"Response codes:\s+(.*)", done.stdout)
    return Drive(
        int(number("Queries completed")), int(number("Queries lost")), number("Queries per second"), rcodes.group(1) if rcodes else "none"
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with a distribution-free interval of at least 95 % (order statistics; the range below six rounds)."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


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
