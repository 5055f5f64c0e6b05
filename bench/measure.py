"""Numbers: CPU time from the kernel's own accounting, dnsperf's report, medians with their interval."""

from __future__ import annotations

import contextlib
import math
import re
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.cases import Case, Subnet

# Of the kernel's CPU-time clocks the precise one.
CPUCLOCK_SCHED = 2
ONCE = Path(__file__).resolve().parent / "echo/target/release/geodns-bench-once"


def cpu_ns(pid: int) -> int:
    """Nanoseconds on a CPU of the process and its children, threads that have ended included."""
    return sum(own_cpu_ns(process) for process in _family(pid))


def own_cpu_ns(pid: int) -> int:
    """The same of the process without its children: its CPU-time clock, whose number is made from the process's as
    `clock_getcpuclockid(3)` does."""
    return time.clock_gettime_ns(~pid << 3 | CPUCLOCK_SCHED)


def own_wait_ns(pid: int) -> int:
    """Nanoseconds for which the process's first thread was ready to run and had no core: what other work on the machine took from it."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1])


def pss_mib(pid: int) -> float:
    """Proportional set size of the process and its children, MiB."""
    return sum(own_pss_mib(process) for process in _family(pid))


def own_pss_mib(pid: int) -> float:
    """The same of the process without its children."""
    match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(match.group(1)) / 1024 if match else 0.0


def give_precedence(*pids: int) -> None:
    """Lets what is measured run before whatever else the machine does, as far as we may (root).

    The scheduler shares a core between sessions (autogroup) before it looks at a process's nice value, so the session is what is raised.
    """
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text("-10")


def _family(pid: int) -> list[int]:
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


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


def drive(port: int, queries: Path, case: Case, *, seconds: float, core: int, pace: int = 0, with_latencies: bool = False) -> Drive:
    """Asks the server on 127.0.0.1:port from one core: as much as it answers, or `pace` queries a second."""
    if case.is_once:
        return drive_once(port, queries, seconds, core)
    command = ["taskset", "-c", str(core), "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries)]
    command += ["-l", str(seconds), "-m", case.transport, "-c", "8", "-q", "64", "-T", "1", "-W"]
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


def drive_once(port: int, queries: Path, seconds: float, core: int) -> Drive:
    """One query a connection; dnsperf can do that too, but pauses after each."""
    command = ["taskset", "-c", str(core), str(ONCE), str(port), str(seconds)]
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
