"""Brakes: how much health may have out of service at once on the word of a single vantage, per record and in all.

They are off by default. What two vantages see is not braked: brakes are for the mistake of one, such as a single node whose own path breaks
in a way that self-suspicion does not recognise. The first value always may go, and of a record all values that one check serves: a brake is
no switch that turns health off. Of all records together one check may not take out more than the share, however many it serves.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from geodns.prober.target import Target
from geodns.prober.votes import Tally

NO_LIMIT = 1.0

_ALL = ""  # no record is called so


@dataclass(slots=True)
class Brake:
    """Shares of the checked values, of one record and of this installation, that may be down. Counts what it is told of."""

    record_share: float = NO_LIMIT
    total_share: float = NO_LIMIT
    _checked: Counter[str] = field(default_factory=Counter)
    _down: Counter[str] = field(default_factory=Counter)

    def put(self, target: Target, *, is_down: bool) -> None:
        """A checked value, as it stands."""
        for place in (target.record, _ALL):
            self._checked[place] += 1
            self._down[place] += is_down

    def drop(self, target: Target, *, is_down: bool) -> None:
        """It is checked no more."""
        for place in (target.record, _ALL):
            self._checked[place] -= 1
            self._down[place] -= is_down
            if not self._checked[place]:
                del self._checked[place], self._down[place]

    def note(self, target: Target, *, is_down: bool) -> None:
        """It turned."""
        for place in (target.record, _ALL):
            self._down[place] += 1 if is_down else -1

    def holds_back(self, falling: Sequence[Target], votes: Tally) -> str | None:
        """Why these values must not go down now, in words, or None."""
        if votes.down > 1:
            return None
        if self.record_share < NO_LIMIT:
            for record, count in Counter(target.record for target in falling).items():
                if reason := self._exceeds(record, count, self.record_share, f"values of {record}"):
                    return reason
        if self.total_share < NO_LIMIT and falling:
            return self._exceeds(_ALL, len(falling), self.total_share, "values of all records")
        return None

    def _exceeds(self, place: str, count: int, share: float, what: str) -> str | None:
        down, checked = self._down[place], self._checked[place]
        allowed = math.floor(share * checked + 1e-9)  # the epsilon: 0.1 * 30 is 3.0000000000000004, and 0.7 * 10 is 6.999…
        if down + count <= allowed or (down == 0 and (count == 1 or place != _ALL)):
            return None
        return f"{down} of {checked} {what} are down, and one vantage alone may take out {max(1, allowed)}"
