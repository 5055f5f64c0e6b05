"""One check while it is being run: its probe, machine, cadence and figures. No decisions: those are the machine's and the prober's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from geodns.model.check import Check, Combine
from geodns.prober.machine import Machine, Memory, Verdict
from geodns.prober.outcome import Evidence, Outcome
from geodns.prober.probe import Probe
from geodns.prober.recorder import CheckState
from geodns.prober.schedule import Cadence
from geodns.prober.target import HealthEntry, Target
from geodns.prober.votes import Vote

LATENCY_WEIGHT = 0.25
"""Of the newest measurement in the smoothed latency: a change shows after a few checks, a single slow answer does not."""


@dataclass(slots=True, eq=False)
class Endpoint:
    """A check under way. `since` and `last_attempt` are aware UTC; `started_s` and the cadence are monotonic."""

    endpoint_id: str
    check: Check
    probe: Probe | None  # None: cannot be carried out, `last` says why
    machine: Machine
    since: datetime | None = None
    cadence: Cadence | None = None
    is_sentinel: bool = False
    last: Outcome = Outcome(Evidence.NO_EVIDENCE, "not checked yet")  # noqa: RUF009 - frozen
    last_attempt: datetime | None = None
    latency_s: float | None = None
    started_s: float = 0.0
    due: asyncio.TimerHandle | None = None
    hold_down_end: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    values: list[Value] = field(default_factory=list)

    def note(self, outcome: Outcome, at: datetime) -> None:
        """Keeps the figures of one outcome."""
        self.last, self.last_attempt = outcome, at
        if outcome.latency_s is not None:
            known = outcome.latency_s if self.latency_s is None else self.latency_s
            self.latency_s = known + LATENCY_WEIGHT * (outcome.latency_s - known)

    @property
    def vote(self) -> Vote:
        """This vantage's word."""
        if self.machine.vote is Verdict.DOWN:
            return Vote.DOWN
        return Vote.WITHHELD if self.machine.is_withheld else Vote.UP

    def state(self, now_s: float) -> CheckState:
        """The row for the health table."""
        memory = self.machine.remember(now_s)
        return CheckState(
            endpoint_id=self.endpoint_id,
            vote=self.vote,
            verdict=memory.verdict,
            is_known=memory.known,
            since=self.since,
            cause=self.last.cause,
            successes=memory.successes,
            failures=memory.failures,
            latency_s=self.latency_s,
            last_attempt=self.last_attempt,
            flaps=memory.flaps,
            is_released=memory.is_released,
        )

    def restore(self, state: CheckState, now_s: float, now: datetime) -> None:
        """Believes a stored row. A time in the future (a stepped clock) counts as now."""
        age_s = None if state.since is None else max(0.0, (now - state.since) / timedelta(seconds=1))
        memory = Memory(
            vote=Verdict.DOWN if state.vote is Vote.DOWN else Verdict.UP,
            verdict=state.verdict,
            known=state.is_known,
            successes=state.successes,
            failures=state.failures,
            flaps=state.flaps,
            verdict_age_s=age_s,
            is_released=state.is_released,
        )
        self.machine = Machine.restore(self.check.timing, memory, now_s)
        self.since, self.latency_s, self.last_attempt = state.since, state.latency_s, state.last_attempt
        self.last = Outcome(Evidence.NO_EVIDENCE, state.cause)

    def stop(self) -> None:
        """Ends timers and the attempt under way."""
        for ending in (self.due, self.hold_down_end, self.task):
            if ending is not None:
                ending.cancel()
        self.due = self.hold_down_end = self.task = None


@dataclass(slots=True, eq=False)
class Value:
    """One (pool, value) and the checks that decide it: one, or several combined."""

    target: Target
    combine: Combine
    endpoints: tuple[Endpoint, ...]
    entry: HealthEntry = HealthEntry()  # noqa: RUF009 - frozen

    def falls_with(self, endpoint: Endpoint) -> bool:
        """Whether it goes down when that one of its checks, which is up, does."""
        others = (other for other in self.endpoints if other is not endpoint)
        return not self.entry.down and (self.combine is Combine.ALL or all(other.machine.verdict is Verdict.DOWN for other in others))

    def judge(self, now_s: float) -> HealthEntry:
        """The entry as of now.

        | combination | down when | since |
        |---|---|---|
        | all | any check is down | the first of those that are down |
        | any | every check is down | the last of them |
        | either, up | | the last transition |

        Of several bounds and factors the least counts: each check alone could change the answer.
        """
        machines = [endpoint.machine for endpoint in self.endpoints]
        downs = [endpoint for endpoint in self.endpoints if endpoint.machine.verdict is Verdict.DOWN]
        is_down = bool(downs) if self.combine is Combine.ALL else len(downs) == len(machines)
        times = [endpoint.since for endpoint in (downs if is_down else self.endpoints) if endpoint.since is not None]
        since = (min(times) if is_down and self.combine is Combine.ALL else max(times)) if times else None
        bounds = [bound for machine in machines if (bound := machine.ttl_bound_s(now_s)) is not None]
        return HealthEntry(
            down=is_down,
            factor=min(machine.factor(now_s) for machine in machines),
            ttl_bound_s=int(min(bounds)) if bounds else None,
            since_ms=int(since.timestamp() * 1000) if since else 0,
        )
