"""What the prober tells whoever keeps the health table: states of checks, and transitions with their story.

The prober knows no database. Whoever implements `Recorder` queues and returns: its methods are called from the event
loop between a check's result and the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

from geodns.prober.machine import Verdict
from geodns.prober.target import Target
from geodns.prober.votes import Tally, Vote


@dataclass(frozen=True, slots=True)
class CheckState:
    """One row of the health table: one check, seen from one vantage. Times are aware UTC, None = never.

    `vote` is this vantage's own word, `verdict` what it believes with the votes of the others. `since` is the last transition of the
    verdict. `flaps` and `is_released` are the machine's memory (machine.Memory).
    """

    endpoint_id: str
    vote: Vote
    verdict: Verdict
    is_known: bool
    since: datetime | None
    cause: str
    successes: int
    failures: int
    latency_s: float | None
    last_attempt: datetime | None
    flaps: int = -1
    is_released: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for a spool on disk or a column; `from_json` reads it."""
        document = asdict(self)
        for name in ("since", "last_attempt"):
            if document[name] is not None:
                document[name] = document[name].isoformat()
        return document | {"vote": self.vote.value, "verdict": self.verdict.value}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> CheckState:
        """The counterpart of `to_json`; KeyError, TypeError or ValueError for anything else."""
        times = {name: datetime.fromisoformat(document[name]) if document[name] else None for name in ("since", "last_attempt")}
        return cls(**{**document, **times, "vote": Vote(document["vote"]), "verdict": Verdict(document["verdict"])})


@dataclass(frozen=True, slots=True)
class Transition:
    """A verdict that changed: what became of which values, when, why, and who had voted how. `state` is the row after it."""

    endpoint_id: str
    at: datetime
    previous: Verdict
    verdict: Verdict
    cause: str
    tally: Tally
    votes: Mapping[str, Vote]
    values: tuple[Target, ...]
    state: CheckState


class Recorder(Protocol):
    """The health table's keeper. None of these may block or raise."""

    def turned(self, transitions: Sequence[Transition]) -> None:
        """Verdicts changed: durable at once, in this order."""

    def voted(self, states: Sequence[CheckState]) -> None:
        """Own votes changed without a verdict: other vantages wait for these, so they go out at once."""

    def observed(self, states: Sequence[CheckState]) -> None:
        """Routine results, in batches."""


class NoRecorder:
    """Keeps nothing: for tools and tests."""

    def turned(self, transitions: Sequence[Transition]) -> None:
        """Nothing is kept."""

    def voted(self, states: Sequence[CheckState]) -> None:
        """Nothing is kept."""

    def observed(self, states: Sequence[CheckState]) -> None:
        """Nothing is kept."""
