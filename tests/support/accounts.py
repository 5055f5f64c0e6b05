"""What the kernel's own accounting says of a process: time on a CPU and waiting for one, and memory."""

from __future__ import annotations

import re
import time
from pathlib import Path

import psutil

# Of the kernel's CPU-time clocks the precise one.
CPUCLOCK_SCHED = 2


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


def _family(pid: int) -> list[int]:
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]
