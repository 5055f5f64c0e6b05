"""Between the prober's and the operator's values and the rows of the store: how control keeps health and overrides, and reads them back.

Conversion only; queries are the store's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from geodns.control.overlay import OverrideKind
from geodns.prober import CheckState, Transition, Verdict, Vote
from geodns.publish.frames import Operator
from geodns.store import events, health, overrides
from geodns.store.audit import Actor, Source
from geodns.store.database import Session


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """A verdict that changed, as it is kept: in the table, and in the spool until then."""

    vantage: str
    at: datetime
    previous: Verdict
    verdict: Verdict
    cause: str
    votes: Mapping[str, Vote]
    values: tuple[str, ...]
    state: CheckState
    answers: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, transition: Transition, vantage: str, answers: Sequence[Mapping[str, Any]] = ()) -> TransitionRow:
        """The row of the prober's word; `answers` is what it changed on the wire (`effects.py`)."""
        return cls(
            vantage,
            transition.at,
            transition.previous,
            transition.verdict,
            transition.cause,
            transition.votes,
            tuple(f"{target.record}/{target.pool}/{target.value}" for target in transition.values),
            transition.state,
            tuple(answers),
        )

    def to_json(self) -> dict[str, Any]:
        """For the spool."""
        return {
            "vantage": self.vantage,
            "at": self.at.isoformat(),
            "previous": self.previous.value,
            "verdict": self.verdict.value,
            "cause": self.cause,
            "votes": {vantage: vote.value for vantage, vote in self.votes.items()},
            "values": list(self.values),
            "answers": list(self.answers),
            "state": self.state.to_json(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TransitionRow:
        """The counterpart of `to_json`."""
        return cls(
            document["vantage"],
            datetime.fromisoformat(document["at"]),
            Verdict(document["previous"]),
            Verdict(document["verdict"]),
            document["cause"],
            {vantage: Vote(vote) for vantage, vote in document["votes"].items()},
            tuple(document["values"]),
            CheckState.from_json(document["state"]),
            tuple(document.get("answers", ())),  # the first spools had none
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """What other vantages said: ages of heartbeats in seconds, changed votes by endpoint id, reports, and where to go on from."""

    heartbeats: Mapping[str, float]
    votes: Mapping[str, Mapping[str, Vote]]
    reports: Sequence[health.ReportRow]
    position: int


@dataclass(frozen=True, slots=True)
class Override:
    """An operator's word on a target; `state` None = taken back, kept so that the later of two words wins."""

    kind: OverrideKind
    target: str
    state: Operator | None
    reason: str
    author: str
    set_at: datetime
    expires_at: datetime | None = None

    def is_in_force(self, now: datetime) -> bool:
        """Whether it counts at a moment."""
        return self.state is not None and (self.expires_at is None or self.expires_at > now)

    def to_json(self) -> dict[str, Any]:
        """For the spool."""
        return {
            "override": self.kind.value,
            "target": self.target,
            "state": None if self.state is None else self.state.name.lower(),
            "reason": self.reason,
            "author": self.author,
            "set_at": self.set_at.isoformat(),
            "expires_at": None if self.expires_at is None else self.expires_at.isoformat(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Override:
        """The counterpart of `to_json`."""
        expires_at = document["expires_at"]
        return cls(
            OverrideKind(document["override"]),
            document["target"],
            None if document["state"] is None else Operator[document["state"].upper()],
            document["reason"],
            document["author"],
            datetime.fromisoformat(document["set_at"]),
            None if expires_at is None else datetime.fromisoformat(expires_at),
        )


# ---- the health table ----


async def save(session: Session, vantage: str, rows: Sequence[TransitionRow], states: Iterable[CheckState]) -> None:
    """Adds transitions to the history and the events, in order, and puts the states of checks in place of the stored ones."""
    if rows:
        history = [_to_history(row) for row in rows]
        await health.record_transitions(session, history)
        await events.record_verdicts(session, history)
    found = [_to_check_row(state, vantage) for state in states]
    if found:
        await health.save_states(session, found)


async def load_states(session: Session, vantage: str) -> list[CheckState]:
    """What this vantage stored before."""
    return [_to_state(row) for row in await health.load_states(session, vantage)]


async def hear(session: Session, vantage: str, position: int) -> Heard:
    """What the others said since a position; 0 = everything."""
    heard = await health.hear(session, position)
    votes: dict[str, dict[str, Vote]] = {}
    for row in heard.rows:
        if row.vantage != vantage:
            votes.setdefault(row.vantage, {})[row.endpoint_id] = Vote(row.vote)
    return Heard(heard.heartbeat_ages_s, votes, heard.reports, heard.position)


def _to_history(row: TransitionRow) -> health.TransitionRow:
    votes = {vantage: vote.value for vantage, vote in row.votes.items()}
    return health.TransitionRow(
        endpoint_id=row.state.endpoint_id,
        vantage=row.vantage,
        at=row.at,
        previous=row.previous.value,
        verdict=row.verdict.value,
        cause=row.cause,
        votes=votes,
        detail={"values": list(row.values), "answers": list(row.answers)},
    )


def _to_check_row(state: CheckState, vantage: str) -> health.CheckRow:
    return health.CheckRow(
        endpoint_id=state.endpoint_id,
        vantage=vantage,
        vote=state.vote.value,
        verdict=state.verdict.value,
        is_known=state.is_known,
        since=state.since,
        cause=state.cause,
        successes=state.successes,
        failures=state.failures,
        latency_s=state.latency_s,
        last_attempt=state.last_attempt,
        flaps=state.flaps,
        is_released=state.is_released,
    )


def _to_state(row: health.CheckRow) -> CheckState:
    return CheckState(
        endpoint_id=row.endpoint_id,
        vote=Vote(row.vote),
        verdict=Verdict(row.verdict),
        is_known=row.is_known,
        since=row.since,
        cause=row.cause,
        successes=row.successes,
        failures=row.failures,
        latency_s=row.latency_s,
        last_attempt=row.last_attempt,
        flaps=row.flaps,
        is_released=row.is_released,
    )


# ---- the operator's word ----


async def load_overrides(session: Session) -> list[Override]:
    """Every override, those included that ended or were taken back."""
    return [
        Override(
            OverrideKind(row.kind),
            row.target,
            None if row.state is None else Operator[row.state.upper()],
            row.reason,
            row.author,
            row.set_at,
            row.expires_at,
        )
        for row in await overrides.list_overrides(session)
    ]


async def put_override(session: Session, override: Override, actor: Actor, node: str) -> None:
    """Stores an override unless something later was said of its target, and tells of it."""
    state = None if override.state is None else override.state.name.lower()
    row = overrides.StoredOverride(
        override.kind.value, override.target, state, override.reason, override.author, override.set_at, override.expires_at
    )
    if await overrides.put_override(session, row, actor):
        kind = events.OVERRIDE_CLEARED if state is None else events.OVERRIDE_SET
        told = {key: value for key, value in override.to_json().items() if key not in ("override", "target")}
        await events.record_event(session, node, kind, f"override/{row.kind}/{row.target}", told)


async def merge_override(session: Session, document: Mapping[str, Any], node: str) -> None:
    """Stores one that waited in the spool."""
    override = Override.from_json(document)
    await put_override(session, override, Actor(override.author, Source.SYSTEM), node)


async def load_freeze(session: Session) -> str | None:
    """Why health stands still, or None."""
    switch = await overrides.get_switch(session, overrides.FREEZE)
    return switch.reason if switch is not None and switch.is_on else None


async def put_freeze(session: Session, is_on: bool, reason: str, actor: Actor, node: str) -> None:
    """Stops all changes by health on every node, or lets them go on."""
    await overrides.set_switch(session, overrides.FREEZE, is_on, reason, actor)
    kind = events.HEALTH_FROZEN if is_on else events.HEALTH_THAWED
    await events.record_event(session, node, kind, "health", {"reason": reason, "author": actor.name})
