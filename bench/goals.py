"""All that the bench demands, in the order of its last table: ratios of one run, and figures that stand for themselves.

A goal is judged by the median of a run's rounds. One whose server is not installed, or whose part broke off, neither holds nor is
missed: it is not measured.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from bench.measure import Estimate, estimate

# World, server and case.
Key = tuple[str, str, str]


class Outcome(Enum):
    """What is said of a goal."""

    HOLDS = "holds"
    MISSED = "MISSED"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal's line of the table."""

    part: str
    what: str
    found: str
    bound: str
    outcome: Outcome

    def __str__(self) -> str:
        return f"  {self.part:9} {self.what:66} {self.found:24} {self.bound:>10}  {self.outcome.value}"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Our cost over another's, which is at most `most`."""

    ours: Key
    theirs: Key
    most: float

    @property
    def what(self) -> str:
        """Server and case of ours, the other server, and its case where it is another one."""
        (_, server, case), (_, other, other_case) = self.ours, self.theirs
        return f"{server} {case} / {other if other_case == case else f'{other} {other_case}'}"

    def judge(self, measured: Measured) -> Verdict:
        """Judged as it is printed, to two digits."""
        bound = f"<= {self.most:.2f}"
        ours, theirs = measured.cost_us.get(self.ours), measured.cost_us.get(self.theirs)
        if not ours or not theirs:
            return Verdict(self.ours[0], self.what, "", bound, Outcome.NOT_MEASURED)
        found = ratio(ours, theirs)
        holds = round(found.median, 2) <= self.most
        return Verdict(self.ours[0], self.what, str(found), bound, Outcome.HOLDS if holds else Outcome.MISSED)


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure of one part, with the most or the least that it may be."""

    part: str
    what: str
    unit: str
    most: float = math.inf
    least: float = -math.inf

    def judge(self, measured: Measured) -> Verdict:
        """By the median, where it was measured in rounds."""
        bound = f"<= {self.most:g}" if math.isfinite(self.most) else f">= {self.least:g}"
        samples = measured.figures.get((self.part, self.what))
        if not samples:
            return Verdict(self.part, self.what, "", bound, Outcome.NOT_MEASURED)
        found = estimate(samples)
        holds = self.least <= found.median <= self.most
        told = f"{found} {self.unit}" if len(samples) > 1 else f"{found.median:.2f} {self.unit}"
        return Verdict(self.part, self.what, told.rstrip(), bound, Outcome.HOLDS if holds else Outcome.MISSED)


@dataclass(frozen=True, slots=True)
class Measured:
    """What goals are judged by: CPU per answered query in each round, and samples of single figures by part and name."""

    cost_us: Mapping[Key, Sequence[float]]
    figures: Mapping[tuple[str, str], Sequence[float]]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The ratio of the medians, with the interval of the ratios within a round."""
    spread = estimate([mine / other for mine, other in zip(ours, theirs, strict=True)])
    return Estimate(estimate(ours).median / estimate(theirs).median, spread.low, spread.high)


def against(world: str, peer: str, bounds: Mapping[str, float]) -> list[Ratio]:
    """geodns against one peer, case by case."""
    return [Ratio((world, "geodns", case), (world, peer, case), bound) for case, bound in bounds.items()]


MEMORY_MIB = 117
PAUSE_MS = 100

RATIOS: Sequence[Ratio] = (
    *against("peers", "gdnsd", {"static": 1.0, "static-ports": 1.0, "weighted": 1.0, "country": 1.0, "nxdomain": 1.0}),
    *against("peers", "echo", {"static": 1.06, "country": 1.10}),
    *against("peers", "knot", {"weighted": 0.95, "country": 0.95}),
    *against("peers", "nsd", {"wildcard": 1.0, "delegation": 1.0}),
    *against("peers", "gdnsd", {"tcp": 1.0, "tcp-once": 1.0}),
    *against("peers", "knot", {"tcp": 1.0, "tcp-once": 1.0}),
    Ratio(("steering", "geodns-steering", "city-sticky"), ("steering", "geodns", "static"), 1.10),
    Ratio(("steering", "geodns-steering", "100k-values"), ("steering", "geodns", "static"), 1.10),
    *against("million", "gdnsd", {"static": 1.0, "nxdomain": 1.0}),
)
LIMITS: Sequence[Limit] = (
    Limit("overload", "offered, of what it can answer", "x", least=2.9),
    Limit("overload", "share of its maximum that it still answers, by CPU", "", least=0.95),
    Limit("overload", "prompt again after", "s", most=1.0),
    Limit("change", "dataplane's memory, fresh", "MiB", most=MEMORY_MIB),
    Limit("change", "dataplane's memory after all writes", "MiB", most=MEMORY_MIB),
    Limit("change", "dataplane's memory after a restart", "MiB", most=MEMORY_MIB),
    Limit("change", "dataplane's memory after a FULL into nothing", "MiB", most=MEMORY_MIB),
    Limit("change", "dataplane's memory at most during a FULL, of that before", "x", most=2.2),
    Limit("change", "dataplane from its disk to the first answer", "s", most=1.0),
    Limit("change", "from the SQLite database, without a state, to ready", "s", most=15.0),
    Limit("change", "control's memory with the zone stored", "MiB", most=300),
    Limit("change", "write to wire, p99", "ms", most=50),
    Limit("change", "import by REST, to served", "s", most=15),
    Limit("change", "geodns apply, to its end", "s", most=15),
    Limit("change", "event loop's longest pause during a FULL", "ms", most=PAUSE_MS),
    Limit("change", "event loop's longest pause during an import by REST", "ms", most=PAUSE_MS),
    Limit("change", "event loop's longest pause during geodns apply", "ms", most=PAUSE_MS),
    Limit("health", "control's share of a core", "%", most=50),
    Limit("health", "control's memory", "MiB", most=286),
    Limit("health", "starts in a second, off even", "%", most=10),
    Limit("health", "longest delay of a check", "s", most=1.0),
    Limit("health", "result to wire, one by one, p99", "ms", most=20),
    Limit("health", "last bad answer to last changed answer, at once", "s", most=1.0),
)


def judge_all(measured: Measured, parts: Collection[str]) -> list[Verdict]:
    """A verdict on every goal of these parts."""
    verdicts = [*(goal.judge(measured) for goal in RATIOS), *(goal.judge(measured) for goal in LIMITS)]
    return [verdict for verdict in verdicts if verdict.part in parts]


def sum_up(verdicts: Iterable[Verdict]) -> str:
    """The last line of a report."""
    names: dict[Outcome, list[str]] = {outcome: [] for outcome in Outcome}
    for verdict in verdicts:
        names[verdict.outcome].append(f"{verdict.part}: {verdict.what}")
    missed, unknown = names[Outcome.MISSED], names[Outcome.NOT_MEASURED]
    line = f"{len(names[Outcome.HOLDS])} goals hold, {len(missed)} missed, {len(unknown)} not measured"
    return f"{line}; missed: {'; '.join(missed)}" if missed else line
