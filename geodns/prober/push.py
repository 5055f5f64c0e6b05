"""The PUSH check: the endpoint, or a script beside it, reports its own state; an attempt merely looks at the newest report.

Contacts nobody. A report that is older than `stale_after` is silence: whoever reports has fallen silent, and so has the
way to us. Until the first one comes, or `stale_after` has passed, there is no evidence. Control hands in reports that were made
to other nodes, with their age; of two the later counts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from geodns.model.check import Check
from geodns.prober.fault import AnsweredBadly, NoEvidence, Silent
from geodns.prober.stream import Progress

MAX_CAUSE = 200
"""Characters of a reported cause that are kept: it is shown beside our own causes, which are sentences."""


SAME_S = 0.5
"""A report from another node comes more than once, and its age is never quite the same: equal words within this time are one report."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was said of an endpoint, and when by the loop's clock."""

    is_up: bool
    cause: str
    at_s: float


class PushProbe:
    """Made once for a check; keeps its newest report."""

    def __init__(self, check: Check) -> None:
        """Made within a running loop, whose clock it uses."""
        self._stale_after_s = check.timing.stale_after_s
        self._loop = asyncio.get_running_loop()
        self._made_s = self._loop.time()
        self._newest: Report | None = None

    def report(self, is_up: bool, cause: str, age_s: float = 0.0) -> bool:
        """Takes a report that was made so long ago; whether it is news. What is not printable in the cause is dropped."""
        words = "".join(character for character in cause if character.isprintable())[:MAX_CAUSE]
        report, newest = Report(is_up, words, self._loop.time() - age_s), self._newest
        if newest is not None and (report.at_s < newest.at_s or (age_s > 0 and _is_same(report, newest))):
            return False
        self._newest = report
        return True

    async def attempt(self, address: str, progress: Progress) -> str:
        """See `probe.Probe`; `address` is not contacted."""
        newest = self._newest
        age_s = self._loop.time() - (self._made_s if newest is None else newest.at_s)
        if age_s > self._stale_after_s:
            raise Silent(f"no report for {age_s:.0f} s, wanted one every {self._stale_after_s:g} s")
        if newest is None:
            raise NoEvidence("no report yet")
        if not newest.is_up:
            raise AnsweredBadly(f"reported down: {newest.cause}" if newest.cause else "reported down")
        return f"reported up: {newest.cause}" if newest.cause else "reported up"


def _is_same(report: Report, known: Report) -> bool:
    return (report.is_up, report.cause) == (known.is_up, known.cause) and report.at_s - known.at_s < SAME_S
