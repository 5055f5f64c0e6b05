"""Offered three times what it can answer: a server that is held to a tenth of a core must go on answering as much as it can, and be itself
again soon after."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bench.cases import ZONE
from bench.locations import write_small
from bench.measure import driver_core
from bench.report import Report
from bench.servers import Geodns
from tests.support.overload import SHARE, TIMES, Round, run_rounds

PART = "overload"
NAME = f"n0000000.{ZONE}"


def measure(arguments: argparse.Namespace, scratch: Path, report: Report) -> None:
    """All rounds; who asks has the other core, as dnsperf has."""
    report.begin(PART, f"held to {SHARE:g} of a core by its own clock, offered {TIMES} times its maximum; {arguments.rounds} rounds")
    server = Geodns(scratch, 1000, write_small(scratch / "small.mmdb"))
    rounds: list[Round] = []
    cores = os.sched_getaffinity(0)
    try:
        server.start()
        os.sched_setaffinity(0, {driver_core()})
        for number, found in enumerate(run_rounds(server.port, server.pid, NAME, arguments.rounds), start=1):
            if found.most.wrong or found.over.wrong:
                raise RuntimeError(f"{found.most.wrong + found.over.wrong} wrong answers")
            rounds.append(found)
            report.progress(f"{PART}: round {number} of {arguments.rounds}")
    finally:
        os.sched_setaffinity(0, cores)
        server.stop()
    report.note(PART, "its share of a core, while offered too much", "", *(found.over.cpu_share for found in rounds))
    report.note(PART, "most that it answers", "1/s", *(found.most.answers_per_s for found in rounds))
    report.note(PART, "offered", "1/s", *(found.over.offered_per_s for found in rounds))
    report.note(PART, "offered, of what it can answer", "x", *(found.times for found in rounds))
    report.note(PART, "answered of that", "1/s", *(found.over.answers_per_s for found in rounds))
    report.note(PART, "share of its maximum that it still answers, by the clock", "", *(found.kept_by_clock for found in rounds))
    report.note(PART, "share of its maximum that it still answers, by CPU", "", *(found.kept for found in rounds))
    report.note(PART, "prompt again after", "s", *(found.recovery_s for found in rounds))
