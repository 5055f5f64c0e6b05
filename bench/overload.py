"""Offered three times what it can answer: a server that is held to a tenth of a core must go on answering as much as it can, and be itself
again soon after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.cases import ZONE
from bench.locations import write_small
from bench.measure import Estimate, cpu_ns, estimate
from bench.servers import Geodns
from tests.support.overload import Streamed, held_to, seconds_until_prompt, stream

SHARE = 0.1
TIMES = 3
STREAM_S = 2.0
ROUNDS = 5
# Prompt for a process that runs a tenth of each 20 ms.
PROMPT_S = 0.05
NAME = f"n0000000.{ZONE}"

LEAST_KEPT = 0.95
LONGEST_RECOVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the most that is answered, what is answered of three times as much, and how long it takes to be prompt again."""

    most: Streamed
    offered: Streamed
    # Answers for each second of CPU: what other processes do beside changes how much it gets, not what it makes of it.
    most_per_cpu_s: float
    offered_per_cpu_s: float
    recovery_s: float

    @property
    def kept(self) -> float:
        """The share of its maximum that it still answers."""
        return self.offered_per_cpu_s / self.most_per_cpu_s


def run_round(port: int, pid: int, name: str) -> Round:
    """Finds the maximum, offers three times that, and sees when a query is answered at once again; the process is held all the time."""
    with held_to(pid, SHARE):
        before = cpu_ns(pid)
        most = stream(port, name, seconds=STREAM_S, rate=None)
        between = cpu_ns(pid)
        seconds_until_prompt(port, name, prompt_s=PROMPT_S, within_s=LONGEST_RECOVERY_S)
        begun = cpu_ns(pid)
        offered = stream(port, name, seconds=STREAM_S, rate=TIMES * most.answers_per_s)
        ended = cpu_ns(pid)
        recovery_s = seconds_until_prompt(port, name, prompt_s=PROMPT_S, within_s=10 * LONGEST_RECOVERY_S)
    return Round(most, offered, most.answered / (between - before) * 1e9, offered.answered / (ended - begun) * 1e9, recovery_s)


def measure(scratch: Path) -> list[str]:
    """The report's part."""
    scratch.mkdir()
    server = Geodns(scratch, 0, 1000, write_small(scratch / "small.mmdb"))
    try:
        server.start()
        rounds = [run_round(server.port, server.pid, NAME) for _ in range(ROUNDS)]
    finally:
        server.stop()

    def over(samples: list[float]) -> Estimate:
        return estimate(samples)

    kept, recovery = over([found.kept for found in rounds]), over([found.recovery_s for found in rounds])
    return [
        f"== overload: held to {SHARE:g} of a core, offered {TIMES} times its maximum; {ROUNDS} rounds",
        f"  most that it answers, 1/s                {over([found.most.answers_per_s for found in rounds])}",
        f"  offered, 1/s                             {over([found.offered.sent / found.offered.seconds for found in rounds])}",
        f"  answered, 1/s                            {over([found.offered.answers_per_s for found in rounds])}",
        f"  share of its maximum, by CPU             {kept}  >= {LEAST_KEPT}  {verdict(kept.median >= LEAST_KEPT)}",
        f"  prompt again after, s                    {recovery}  <= {LONGEST_RECOVERY_S}  {verdict(recovery.median <= LONGEST_RECOVERY_S)}",
    ]


def verdict(holds: bool) -> str:
    """As the table of goals has it."""
    return "holds" if holds else "MISSED"
