"""What the query path has to cost: ratios of medians of one run, each with the most that it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.measure import Estimate, estimate

# World, server and case.
Key = tuple[str, str, str]
Samples = Mapping[Key, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Goal:
    """Our cost over another's, which is at most `bound`."""

    ours: Key
    theirs: Key
    bound: float

    def __str__(self) -> str:
        (world, server, case), (_, other, other_case) = self.ours, self.theirs
        against = other if other_case == case else f"{other} {other_case}"
        return f"{world:9} {server} {case} / {against}"

    def judge(self, cost: Samples) -> str | None:
        """A line of the table; None when one of the two did not take part."""
        ours, theirs = cost.get(self.ours), cost.get(self.theirs)
        if not ours or not theirs:
            return None
        found = ratio(ours, theirs)
        return f"  {self!s:60} {found!s:22} <= {self.bound:4.2f}  {'holds' if round(found.median, 2) <= self.bound else 'MISSED'}"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The ratio of the medians, with the interval of the ratios within a round."""
    spread = estimate([mine / other for mine, other in zip(ours, theirs, strict=True)])
    return Estimate(estimate(ours).median / estimate(theirs).median, spread.low, spread.high)


def against(world: str, peer: str, bounds: Mapping[str, float]) -> list[Goal]:
    """geodns against one peer, case by case."""
    return [Goal((world, "geodns", case), (world, peer, case), bound) for case, bound in bounds.items()]


GOALS = [
    *against("peers", "gdnsd", {"static": 1.0, "weighted": 1.0, "country": 1.0, "nxdomain": 1.0, "tcp": 1.0, "tcp-once": 1.0}),
    *against("peers", "echo", {"static": 1.06, "country": 1.10}),
    *against("peers", "knot", {"weighted": 0.95, "country": 0.95, "tcp": 1.0, "tcp-once": 1.0}),
    *against("peers", "nsd", {"wildcard": 1.0, "delegation": 1.0}),
    Goal(("steering", "geodns-steering", "city-sticky"), ("steering", "geodns", "static"), 1.10),
    Goal(("steering", "geodns-steering", "100k-values"), ("steering", "geodns", "static"), 1.10),
    *against("million", "gdnsd", {"static": 1.0}),
]
