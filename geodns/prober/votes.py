"""How several vantages agree: who is live, what each says of a check, and whether that is enough to see it down.

Knows no database: control hands in the rows and heartbeats of the others as it reads them, with their age, and this module
counts. Time is monotonic seconds of this process.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

LIVE_S = 5.0
"""A vantage whose heartbeat is older has left the count. Heartbeats come once a second: four may be lost."""


class Vote(enum.Enum):
    """What one vantage says. `WITHHELD`: it sees silence and suspects itself; it counts as live and not as down."""

    UP = "up"
    DOWN = "down"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Tally:
    """A count of votes: `down` of `live` vantages see it down, `needed` must."""

    down: int
    withheld: int
    live: int
    needed: int

    @property
    def is_down(self) -> bool:
        return self.down >= self.needed

    def __str__(self) -> str:
        held_back = f", {self.withheld} withheld" if self.withheld else ""
        return f"{self.down} of {self.live} vantages see it down, {self.needed} needed{held_back}"


def votes_needed(live: int, quorum: float | int | None) -> int:
    """How many of `live` vantages must see down: more than half; or a share (float), rounded up; or a number (int).

    A number stands even when fewer vantages live: an operator who asks for two words does not want to act on one.
    """
    if quorum is None:
        return live // 2 + 1
    if isinstance(quorum, int):
        return max(1, quorum)
    return max(1, math.ceil(quorum * live - 1e-9))  # the epsilon: 0.1 * 30 is 3.0000000000000004


def tally(votes: Mapping[str, Vote], quorum: float | int | None) -> Tally:
    """Counts the votes of all live vantages, by vantage."""
    cast = list(votes.values())
    return Tally(cast.count(Vote.DOWN), cast.count(Vote.WITHHELD), len(cast), votes_needed(len(cast), quorum))


@dataclass(slots=True)
class _Vantage:
    heartbeat_s: float
    votes: dict[str, Vote] = field(default_factory=dict)  # by endpoint id; a missing one is up: unknown is not down


class Assembly:
    """The other vantages, as far as this one has heard of them."""

    def __init__(self) -> None:
        self._vantages: dict[str, _Vantage] = {}

    def hear_heartbeat(self, vantage: str, age_s: float, now_s: float) -> None:
        """Notes a heartbeat that is `age_s` old by the database's clock. An older one than is known changes nothing."""
        heartbeat_s = now_s - max(0.0, age_s)
        known = self._vantages.setdefault(vantage, _Vantage(heartbeat_s))
        known.heartbeat_s = max(known.heartbeat_s, heartbeat_s)

    def hear_votes(self, vantage: str, votes: Mapping[str, Vote]) -> set[str]:
        """Merges votes by endpoint id; returns the ids whose vote changed. Votes of a vantage without a heartbeat wait for one."""
        known = self._vantages.setdefault(vantage, _Vantage(-math.inf)).votes
        changed = {endpoint_id for endpoint_id, vote in votes.items() if known.get(endpoint_id, Vote.UP) is not vote}
        for endpoint_id in changed:
            if votes[endpoint_id] is Vote.UP:
                del known[endpoint_id]
            else:
                known[endpoint_id] = votes[endpoint_id]
        return changed

    def live(self, now_s: float) -> frozenset[str]:
        """The names of the others whose heartbeat is fresh."""
        return frozenset(name for name, vantage in self._vantages.items() if now_s - vantage.heartbeat_s <= LIVE_S)

    def votes(self, endpoint_id: str, now_s: float) -> dict[str, Vote]:
        """What each live other vantage says of one check."""
        return {
            name: vantage.votes.get(endpoint_id, Vote.UP)
            for name, vantage in self._vantages.items()
            if now_s - vantage.heartbeat_s <= LIVE_S
        }
