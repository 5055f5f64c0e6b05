"""What the prober is asked to watch, and what it says of it. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from geodns.model.check import Check
from geodns.prober.machine import FULL_FACTOR


@dataclass(frozen=True, slots=True)
class Target:
    """One value of one pool of a steered rrset, with its check; `check` None = not checked, and so never in the vector.

    Names are text as an operator writes them: `zone` and `owner` absolute without the final dot, `rtype` "A".
    """

    value_id: int
    zone: str
    owner: str
    rtype: str
    pool: str
    value: str
    check: Check | None

    @property
    def record(self) -> str:
        """The steered rrset, "www.example.com/A"."""
        return f"{self.owner}/{self.rtype}"


@dataclass(frozen=True, slots=True)
class HealthEntry:
    """What health says of one value: `factor` of its weight in thousandths, 1 … 1000; `ttl_bound_s` None = no bound; `since_ms` unix
    milliseconds of the last transition, 0 = there was none."""

    down: bool = False
    factor: int = FULL_FACTOR
    ttl_bound_s: int | None = None
    since_ms: int = 0
