"""The prober: targets in, verdicts out. Runs every distinct check once, and turns outcomes into the health vector.

Ties the parts together and decides nothing itself: when is `schedule`, what an attempt says is `attempt`, what follows
is `machine`, who agrees is `votes`, whether to doubt oneself is `suspicion`. Knows no database and no link: it is told
of other vantages, and tells a `Recorder` and `on_change`. Overrides are not its business: control lays them over the
vector.

From an attempt's end to `on_change` is one pass through the event loop; outcomes of the same pass go out together.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from geodns.model.check import Check, Combine, Protocol
from geodns.prober.attempt import Surroundings, attempt
from geodns.prober.brake import Brake
from geodns.prober.endpoint import Endpoint, Value
from geodns.prober.machine import Machine, Verdict
from geodns.prober.outcome import Evidence, Outcome
from geodns.prober.policy import AddressPolicy
from geodns.prober.probe import Probe, make_probe
from geodns.prober.push import PushProbe
from geodns.prober.recorder import CheckState, NoRecorder, Recorder, Transition
from geodns.prober.resolve import Resolver, SystemResolver
from geodns.prober.schedule import Cadence, LoopWatch, Spread, WriteGate, raise_descriptor_limit
from geodns.prober.suspicion import Suspicion
from geodns.prober.target import HealthEntry, Target
from geodns.prober.votes import Assembly, Tally, Vote, tally

SWEEP_S = 1.0
"""How often things that time alone changes are looked at: vantages that stopped beating, rows that wait for the recorder."""

ROUTINE_S = 10.0
"""Routine results reach the recorder about this often per endpoint: the table is for reading after a restart and by other nodes' operators;
transitions and votes do not wait for it."""

MIN_ROUTINE_ROWS = 100
"""Rows per sweep that are always handed over, however few endpoints there are."""

SUSPICION_ENDS_S = 10.0
"""Self-suspicion is over when nothing was withheld for this long: more than two intervals, so that the alarm does not flicker."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What a prober is given; the defaults check for real and tell nobody."""

    recorder: Recorder = field(default_factory=NoRecorder)
    policy: AddressPolicy = AddressPolicy()  # noqa: RUF009 - frozen
    resolver: Resolver = field(default_factory=SystemResolver)
    make_probe: Callable[[Check], Probe] = make_probe
    brake: Brake = field(default_factory=Brake)
    rng: random.Random = field(default_factory=random.SystemRandom)
    utc_now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """One endpoint as REST shows it."""

    check: Check
    values: tuple[Target, ...]
    state: CheckState
    evidence: Evidence
    votes: Mapping[str, Vote]
    tally: Tally
    hold_down_left_s: float
    awaits_operator: bool
    factor: int
    is_sentinel: bool
    held_back: str | None


@dataclass(frozen=True, slots=True)
class ProberStatus:
    """The prober as a whole, for `status`, readiness and metrics."""

    endpoints: int
    down: int
    unknown: int
    in_flight: int
    attempts: Mapping[Evidence, int]
    transitions: int
    withheld: int  # outcomes, in total
    braked: int  # checks, in total
    held_back: Sequence[str]  # why, for each that a brake holds now
    suspicion: str | None
    suspected_since: datetime | None
    frozen: str | None
    live_vantages: frozenset[str]
    loop_late_s: float  # the worst so far
    loop_late_recently_s: float  # the worst within the last minute
    descriptor_limit: int


class Prober:
    """Made inside a running loop; nothing is contacted before `run`."""

    def __init__(
        self, vantage: str, on_change: Callable[[Mapping[int, HealthEntry]], None], collaborators: Collaborators | None = None
    ) -> None:
        """`on_change` gets the entries that changed, by value id, and must not block; it may write to a socket. It gets none when a
        verdict changed and no entry did."""
        self._vantage = vantage
        self._on_change = on_change
        self._with = collaborators or Collaborators()
        self._loop = asyncio.get_running_loop()
        self._endpoints: dict[str, Endpoint] = {}
        self._sentinels: dict[str, Endpoint] = {}
        self._values: dict[int, Value] = {}
        self._vector: dict[int, HealthEntry] = {}
        self._moving: set[int] = set()  # value ids whose entry changes by time alone
        self._assembly = Assembly()
        self._live: frozenset[str] = frozenset()
        self._suspicion = Suspicion()
        self._suspected: tuple[str, datetime] | None = None  # (reason, since)
        self._last_withheld_s = -math.inf  # outlives the suspicion: an attempt may take longer than it
        self._frozen: str | None = None
        self._held_back: dict[str, str] = {}  # endpoint id -> which brake keeps it in service
        self._spread = Spread(self._with.rng.random())
        self._gate = WriteGate()
        self._group: asyncio.TaskGroup | None = None
        self._around: Surroundings | None = None
        self._is_starting = True
        self._descriptor_limit = 0
        self._changes: dict[int, HealthEntry] = {}
        self._transitions: list[Transition] = []
        self._voted: dict[str, Endpoint] = {}
        self._unrecorded: dict[str, Endpoint] = {}
        self._is_flush_due = False
        self._attempt_totals = dict.fromkeys(Evidence, 0)
        self._transition_total = 0
        self._withheld_total = 0
        self._braked_total = 0

    # ---- life ----

    async def run(self) -> None:
        """Checks until it is cancelled; every task, timer and socket that it started is gone when it returns."""
        self._descriptor_limit = raise_descriptor_limit()
        watch = LoopWatch(self._loop)
        self._around = Surroundings(self._with.policy, self._with.resolver, watch)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    self._start_evenly([*self._endpoints.values(), *self._sentinels.values()])
                    while True:
                        await asyncio.sleep(SWEEP_S)
                        self._sweep()
                finally:
                    self._group = None  # before the group waits for its tasks: none of them may start another
                    for endpoint in (*self._endpoints.values(), *self._sentinels.values()):
                        endpoint.stop()
        finally:
            watch.close()
            self._flush()
            self._with.recorder.observed([endpoint.state(self._loop.time()) for endpoint in self._unrecorded.values()])
            self._unrecorded.clear()

    # ---- what is watched ----

    def replace_targets(
        self, targets: Iterable[Target], *, stored: Iterable[CheckState] = (), served: Mapping[int, HealthEntry] | None = None
    ) -> None:
        """Watches exactly these from now on. Checks that stay keep their state and their turn; see `change_targets` for new ones.

        The first call is the start: its checks are spread over one interval. In later ones a new check is the work of a write.
        """
        wanted = {target.value_id: target for target in targets}
        self.change_targets(wanted.values(), self._values.keys() - wanted.keys(), stored=stored, served=served)

    def change_targets(
        self,
        put: Iterable[Target],
        drop: Iterable[int] = (),
        *,
        stored: Iterable[CheckState] = (),
        served: Mapping[int, HealthEntry] | None = None,
    ) -> None:
        """Adds or replaces the targets in `put` and drops value ids; costs in proportion to what really changes.

        A check that is new takes its first state from the newer, by `since`, of `stored` (this vantage's rows) and
        `served` (what the dataplane answers with, by value id); else, when a value merely got another check, from that
        value's verdict: editing a check does not bring a dead value back. Otherwise it is unknown.
        """
        replaced: dict[int, Value] = {}
        loose: set[str] = set()  # ids of checks that may have lost their last value
        added: list[Endpoint] = []
        new = [target for target in put if (known := self._values.get(target.value_id)) is None or known.target != target]
        for value_id in (*drop, *(target.value_id for target in new)):
            if (value := self._values.pop(value_id, None)) is not None:
                replaced[value_id] = value
                loose |= self._detach(value)
        attached = [value for target in new if (value := self._attach(target, added)) is not None]
        rows = {state.endpoint_id: state for state in stored}
        for endpoint in added:
            self._give_first_state(endpoint, rows.get(endpoint.endpoint_id), served or {}, replaced)
        self._drop_unused(loose)
        for value_id in replaced.keys() - self._values.keys():
            self._moving.discard(value_id)
            del self._vector[value_id]
            self._changes.pop(value_id, None)
        now_s = self._loop.time()
        for value in attached:
            self._judge(value, now_s)
        self._start_added(added)
        self._is_starting = False

    def _attach(self, target: Target, added: list[Endpoint]) -> Value | None:
        """The value for a target, tied to its checks; those that did not exist are also put into `added`."""
        if target.check is None:
            return None
        endpoints = []
        for check in target.check.parts if target.check.combine else (target.check,):
            endpoint_id = check.endpoint_id
            endpoint = self._endpoints.get(endpoint_id)
            if endpoint is None:
                endpoint = self._endpoints[endpoint_id] = self._make_endpoint(endpoint_id, check)
                added.append(endpoint)
            endpoints.append(endpoint)
        # An id that was there keeps its entry until it is judged anew, so that nothing is announced that did not change.
        entry = self._vector.setdefault(target.value_id, HealthEntry())
        value = Value(target, target.check.combine or Combine.ALL, tuple(dict.fromkeys(endpoints)), entry)
        for endpoint in value.endpoints:
            endpoint.values.append(value)
        self._with.brake.put(target, is_down=entry.down)
        self._values[target.value_id] = value
        return value

    def _detach(self, value: Value) -> set[str]:
        for endpoint in value.endpoints:
            endpoint.values.remove(value)
        self._with.brake.drop(value.target, is_down=value.entry.down)
        return {endpoint.endpoint_id for endpoint in value.endpoints}

    def _drop_unused(self, endpoint_ids: Iterable[str]) -> None:
        for endpoint_id in endpoint_ids:
            endpoint = self._endpoints[endpoint_id]
            if endpoint.values:
                continue
            del self._endpoints[endpoint_id]
            endpoint.stop()
            self._voted.pop(endpoint_id, None)
            self._held_back.pop(endpoint_id, None)
            self._unrecorded.pop(endpoint_id, None)
            if endpoint.last.address is not None:
                self._suspicion.forget(frozenset({endpoint.last.address}))

    def set_sentinels(self, checks: Iterable[Check]) -> None:
        """Checks that stand for "our own way out works"; two or more replace the count of silent addresses."""
        wanted = {check.endpoint_id: check for check in checks}
        for endpoint_id in self._sentinels.keys() - wanted.keys():
            self._sentinels.pop(endpoint_id).stop()
        added = []
        for endpoint_id in wanted.keys() - self._sentinels.keys():
            endpoint = self._make_endpoint(endpoint_id, wanted[endpoint_id])
            endpoint.is_sentinel = True
            self._sentinels[endpoint_id] = endpoint
            added.append(endpoint)
        self._suspicion.set_sentinels(frozenset(wanted))
        self._start_added(added)

    def _make_endpoint(self, endpoint_id: str, check: Check) -> Endpoint:
        endpoint = Endpoint(endpoint_id, check, None, Machine(check.timing))
        try:
            endpoint.probe = self._with.make_probe(check)
        except ValueError as error:
            endpoint.last = Outcome(Evidence.NO_EVIDENCE, f"cannot be checked: {error}")
        return endpoint

    def _give_first_state(
        self, endpoint: Endpoint, row: CheckState | None, served: Mapping[int, HealthEntry], before: Mapping[int, Value]
    ) -> None:
        now_s, now = self._loop.time(), self._with.utc_now()
        reported = _agreed([served.get(value.target.value_id) for value in endpoint.values if len(value.endpoints) == 1])
        row_since_ms = int(row.since.timestamp() * 1000) if row and row.since else 0
        if reported and reported.since_ms > row_since_ms:
            endpoint.restore(_state_of(endpoint.endpoint_id, reported, "as the dataplane serves it"), now_s, now)
        elif row:
            endpoint.restore(row, now_s, now)
        elif all(value.target.value_id in before and before[value.target.value_id].entry.down for value in endpoint.values):
            inherited = before[endpoint.values[0].target.value_id].entry
            endpoint.restore(_state_of(endpoint.endpoint_id, inherited, "down before its check was changed"), now_s, now)

    # ---- when ----

    def _start_evenly(self, endpoints: Sequence[Endpoint]) -> None:
        """First checks of a start: spread over one interval, each group of equal interval by itself."""
        now_s = self._loop.time()
        groups: dict[float, list[Endpoint]] = {}
        for endpoint in endpoints:
            groups.setdefault(endpoint.check.timing.interval_s, []).append(endpoint)
        for interval_s, group in groups.items():
            for endpoint, phase in zip(group, self._spread.even(len(group)), strict=True):
                endpoint.cadence = Cadence(now_s + phase * interval_s, interval_s, self._with.rng)
                self._arrange(endpoint, endpoint.cadence.first_start_s(now_s))

    def _start_added(self, endpoints: Sequence[Endpoint]) -> None:
        """First checks of endpoints that a write made: at once through the gate; those with a stored state wait for their turn."""
        if self._group is None:
            return
        if self._is_starting:
            self._start_evenly(endpoints)
            return
        for endpoint in endpoints:
            interval_s = endpoint.check.timing.interval_s
            now_s = self._loop.time()
            start_s = now_s if endpoint.machine.is_known else self._gate.pass_at(now_s)
            endpoint.cadence = Cadence.joining(self._spread.another(), interval_s, start_s, self._with.rng)
            if endpoint.machine.is_known:
                start_s = endpoint.cadence.next_start_s(now_s, now_s)
            self._arrange(endpoint, start_s)

    def _arrange(self, endpoint: Endpoint, start_s: float) -> None:
        if endpoint.probe is not None and self._group is not None:
            endpoint.due = self._loop.call_at(start_s, self._begin, endpoint, start_s)

    def _arrange_next(self, endpoint: Endpoint) -> None:
        now_s = self._loop.time()
        timing = endpoint.check.timing
        if endpoint.machine.wants_recheck:
            self._arrange(endpoint, now_s + min(timing.recheck_s, timing.interval_s))
        elif endpoint.cadence is not None:
            self._arrange(endpoint, endpoint.cadence.next_start_s(endpoint.started_s, now_s))

    def _begin(self, endpoint: Endpoint, due_s: float) -> None:
        """Starts an attempt. One that is half an interval late waits for its next turn: after a stall all would start in one burst."""
        endpoint.due = None
        if self._group is None:
            return
        now_s = self._loop.time()
        if endpoint.cadence is not None and now_s - due_s > endpoint.check.timing.interval_s / 2:
            self._arrange(endpoint, endpoint.cadence.next_start_s(now_s, now_s))
            return
        endpoint.started_s = now_s
        endpoint.task = self._group.create_task(self._attempt(endpoint))

    async def _attempt(self, endpoint: Endpoint) -> None:
        if endpoint.probe is None or self._around is None:
            return
        outcome = await attempt(endpoint.check, endpoint.probe, self._around)
        endpoint.task = None
        self._settle(endpoint, outcome)
        self._arrange_next(endpoint)

    def _hasten_sentinels(self) -> None:
        """Something fell silent: what the sentinels see must be known before its recheck ends."""
        now_s = self._loop.time()
        for sentinel in self._sentinels.values():
            if sentinel.due is not None and now_s - sentinel.started_s >= sentinel.check.timing.recheck_s:
                sentinel.due.cancel()
                self._arrange(sentinel, now_s)

    # ---- what follows from an outcome ----

    def _settle(self, endpoint: Endpoint, outcome: Outcome) -> None:
        now_s = self._loop.time()
        endpoint.note(outcome, self._with.utc_now())
        self._attempt_totals[outcome.evidence] += 1
        if endpoint.is_sentinel:
            self._suspicion.record_sentinel(endpoint.endpoint_id, outcome.evidence)
            endpoint.machine.observe(outcome.evidence, now_s)
            return
        if outcome.address is not None and endpoint.check.protocol is not Protocol.PUSH:
            self._suspicion.record(outcome.address, outcome.evidence, now_s)
        is_suspect = outcome.evidence is Evidence.SILENT and self._suspects_itself(endpoint, now_s)
        has_changed = endpoint.machine.observe(outcome.evidence, now_s, is_suspect=is_suspect)
        if has_changed:
            self._voted[endpoint.endpoint_id] = endpoint
            self._arrange_flush()
        if has_changed or endpoint.vote is not Vote.UP or endpoint.machine.verdict is Verdict.DOWN:
            self._decide(endpoint, now_s)
        self._unrecorded[endpoint.endpoint_id] = endpoint
        self._publish(endpoint, now_s)

    def _suspects_itself(self, endpoint: Endpoint, now_s: float) -> bool:
        """
        | suspicion now | attempt began | silence is |
        |---|---|---|
        | yes | | withheld |
        | no | before it was last found | withheld: the network came back while it waited |
        | no | after that | believed |
        """
        self._hasten_sentinels()
        reason = self._suspicion.judge(now_s, endpoint.check.timing.timeout_s)
        if reason is None:
            # This does not renew the suspicion: those that are really dead would keep it alive for each other.
            is_from_then = endpoint.started_s <= self._last_withheld_s
            self._withheld_total += is_from_then
            return is_from_then
        self._withheld_total += 1
        since = self._suspected[1] if self._suspected else self._with.utc_now()
        if self._suspected is None:
            log.warning("this vantage suspects itself: silence is not believed until something answers", reason=reason)
        self._suspected, self._last_withheld_s = (reason, since), now_s
        return True

    def _votes_on(self, endpoint: Endpoint, now_s: float) -> dict[str, Vote]:
        return {**self._assembly.votes(endpoint.endpoint_id, now_s), self._vantage: endpoint.vote}

    def _decide(self, endpoint: Endpoint, now_s: float) -> None:
        """Moves the verdict to what the live vantages agree on, unless health is frozen or a brake holds."""
        if self._frozen is not None:
            return
        machine = endpoint.machine
        votes = self._votes_on(endpoint, now_s)
        count = tally(votes, endpoint.check.quorum)
        previous = machine.verdict
        if previous is Verdict.UP and count.is_down and self._is_held_back(endpoint, count):
            return
        self._held_back.pop(endpoint.endpoint_id, None)
        if machine.decide(count.is_down, now_s):
            endpoint.since = self._with.utc_now()
            self._note_transition(endpoint, previous, votes, count, now_s)
        elif machine.verdict is Verdict.DOWN and not count.is_down:
            self._await_hold_down_end(endpoint, now_s)

    def _is_held_back(self, endpoint: Endpoint, count: Tally) -> bool:
        falling = [value.target for value in endpoint.values if value.falls_with(endpoint)]
        reason = self._with.brake.holds_back(falling, count)
        if reason is None:
            return False
        if endpoint.endpoint_id not in self._held_back:
            self._braked_total += 1
            log.warning(
                "a brake keeps a failing value in service", endpoint=endpoint.endpoint_id, target=endpoint.check.target, reason=reason
            )
        self._held_back[endpoint.endpoint_id] = reason
        return True

    def _note_transition(self, endpoint: Endpoint, previous: Verdict, votes: Mapping[str, Vote], count: Tally, now_s: float) -> None:
        is_own_word = (endpoint.machine.verdict is Verdict.DOWN) == (endpoint.vote is Vote.DOWN)
        state = endpoint.state(now_s)
        self._transition_total += 1
        self._transitions.append(
            Transition(
                endpoint_id=endpoint.endpoint_id,
                at=endpoint.since or self._with.utc_now(),
                previous=previous,
                verdict=endpoint.machine.verdict,
                cause=endpoint.last.cause if is_own_word else str(count),
                tally=count,
                votes=dict(votes),
                values=tuple(value.target for value in endpoint.values),
                state=state,
            )
        )
        self._voted.pop(endpoint.endpoint_id, None)  # the transition carries the row
        self._arrange_flush()

    def _await_hold_down_end(self, endpoint: Endpoint, now_s: float) -> None:
        """Hold-down alone keeps it down: it returns when that ends, not with whatever check comes next."""
        left_s = endpoint.machine.hold_down_left_s(now_s)
        if endpoint.hold_down_end is None and left_s > 0:
            endpoint.hold_down_end = self._loop.call_at(now_s + left_s, self._end_hold_down, endpoint)

    def _end_hold_down(self, endpoint: Endpoint) -> None:
        endpoint.hold_down_end = None
        self._decide_again([endpoint])

    def _decide_again(self, endpoints: Iterable[Endpoint]) -> None:
        now_s = self._loop.time()
        for endpoint in endpoints:
            self._decide(endpoint, now_s)
            self._publish(endpoint, now_s)

    # ---- what goes out ----

    def _publish(self, endpoint: Endpoint, now_s: float) -> None:
        for value in endpoint.values:
            self._judge(value, now_s)

    def _judge(self, value: Value, now_s: float) -> None:
        value_id = value.target.value_id
        entry = value.judge(now_s)
        if self._frozen is not None:
            entry = replace(entry, ttl_bound_s=None)
        machines = [endpoint.machine for endpoint in value.endpoints]
        if any(machine.is_coming_back() or machine.is_ramping(now_s) for machine in machines):
            self._moving.add(value_id)
        else:
            self._moving.discard(value_id)
        if entry.down is not value.entry.down:
            self._with.brake.note(value.target, is_down=entry.down)
        if entry != value.entry:
            value.entry = self._vector[value_id] = self._changes[value_id] = entry
            self._arrange_flush()

    def _arrange_flush(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """The order of effects: the vector first, then the table. A transition that changed no entry is announced by none at all, so that
        what was in force before it is known."""
        self._is_flush_due = False
        changes, self._changes = self._changes, {}
        transitions, self._transitions = self._transitions, []
        voted, self._voted = self._voted, {}
        if changes or transitions:
            try:
                self._on_change(changes)
            except Exception:
                log.exception("the health vector could not be handed on; it follows whole within a second", values=len(changes))
        if transitions:
            self._with.recorder.turned(transitions)
        if voted:
            now_s = self._loop.time()
            self._with.recorder.voted([endpoint.state(now_s) for endpoint in voted.values()])
        for transition in transitions:
            log.info(
                "verdict changed",
                endpoint=transition.endpoint_id,
                verdict=transition.verdict.value,
                cause=transition.cause,
                votes=str(transition.tally),
                values=[f"{target.record} {target.pool} {target.value}" for target in transition.values[:10]],
            )

    def _sweep(self) -> None:
        now_s = self._loop.time()
        live = self._assembly.live(now_s)
        if live != self._live:
            log.info("the live vantages changed", joined=sorted(live - self._live), left=sorted(self._live - live))
            self._live = live
            self._decide_again(list(self._endpoints.values()))
        if self._suspected and now_s - self._last_withheld_s > SUSPICION_ENDS_S:
            log.warning("this vantage trusts itself again", reason=self._suspected[0], since=self._suspected[1].isoformat())
            self._suspected = None
        rows = max(MIN_ROUTINE_ROWS, int(len(self._endpoints) * SWEEP_S / ROUTINE_S))
        batch = [self._unrecorded.pop(endpoint_id) for endpoint_id in list(self._unrecorded)[:rows]]
        if batch:
            self._with.recorder.observed([endpoint.state(now_s) for endpoint in batch])

    # ---- the others, and the operator ----

    def hear_heartbeat(self, vantage: str, age_s: float) -> None:
        """Another vantage was alive `age_s` ago."""
        if vantage != self._vantage:
            self._assembly.hear_heartbeat(vantage, age_s, self._loop.time())

    def hear_votes(self, vantage: str, votes: Mapping[str, Vote]) -> None:
        """Another vantage's own votes, by endpoint id: all of them or only what changed. Call `hear_heartbeat` first."""
        if vantage == self._vantage:
            return
        changed = self._assembly.hear_votes(vantage, votes)
        self._decide_again([self._endpoints[endpoint_id] for endpoint_id in changed & self._endpoints.keys()])

    def set_frozen(self, reason: str | None) -> None:
        """With a reason, no verdict moves until None is set; checks go on, and what they agree on then takes effect at once."""
        if reason == self._frozen:
            return
        self._frozen = reason
        self._decide_again(list(self._endpoints.values()))

    def release(self, value_id: int) -> bool:
        """The operator's word that a value with `manual_return` may come back; False when nothing waited for it."""
        value = self._values.get(value_id)
        waiting = [endpoint for endpoint in value.endpoints if endpoint.machine.awaits_operator] if value else []
        for endpoint in waiting:
            endpoint.machine.release()
        self._decide_again(waiting)
        return bool(waiting)

    @property
    def knows_targets(self) -> bool:
        """Whether it was told yet what to watch; before that there are no endpoints at all."""
        return not self._is_starting

    def report(self, endpoint_id: str, *, is_up: bool, cause: str = "", age_s: float = 0.0) -> bool:
        """What a PUSH endpoint said of itself so long ago, judged at once when it is news; False when there is no such endpoint."""
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None or not isinstance(endpoint.probe, PushProbe):
            return False
        if endpoint.probe.report(is_up, cause, age_s) and endpoint.due is not None:
            endpoint.due.cancel()
            self._arrange(endpoint, self._loop.time())
        return True

    # ---- looking ----

    def vector(self) -> dict[int, HealthEntry]:
        """The whole vector as of now: an entry for every checked value."""
        now_s = self._loop.time()
        for value_id in list(self._moving):
            self._judge(self._values[value_id], now_s)
        return dict(self._vector)

    def states(self) -> list[CheckState]:
        """Every row of this vantage as of now."""
        now_s = self._loop.time()
        return [endpoint.state(now_s) for endpoint in self._endpoints.values()]

    def endpoints(self) -> list[EndpointReport]:
        """Every endpoint with its story, sentinels last."""
        return [self._report(endpoint) for endpoint in (*self._endpoints.values(), *self._sentinels.values())]

    def sentinels(self) -> list[EndpointReport]:
        """The sentinels alone."""
        return [self._report(endpoint) for endpoint in self._sentinels.values()]

    def endpoint(self, endpoint_id: str) -> EndpointReport | None:
        """One of them."""
        endpoint = self._endpoints.get(endpoint_id) or self._sentinels.get(endpoint_id)
        return None if endpoint is None else self._report(endpoint)

    def status(self) -> ProberStatus:
        """Figures of the whole."""
        endpoints = self._endpoints.values()
        return ProberStatus(
            endpoints=len(endpoints),
            down=sum(endpoint.machine.verdict is Verdict.DOWN for endpoint in endpoints),
            unknown=sum(not endpoint.machine.is_known for endpoint in endpoints),
            in_flight=sum(endpoint.task is not None for endpoint in endpoints),
            attempts=dict(self._attempt_totals),
            transitions=self._transition_total,
            withheld=self._withheld_total,
            braked=self._braked_total,
            held_back=list(self._held_back.values()),
            suspicion=self._suspected[0] if self._suspected else None,
            suspected_since=self._suspected[1] if self._suspected else None,
            frozen=self._frozen,
            live_vantages=self._live | {self._vantage},
            loop_late_s=self._around.watch.worst_s if self._around else 0.0,
            loop_late_recently_s=self._around.watch.worst_recently_s if self._around else 0.0,
            descriptor_limit=self._descriptor_limit,
        )

    def _report(self, endpoint: Endpoint) -> EndpointReport:
        now_s = self._loop.time()
        votes = self._votes_on(endpoint, now_s)
        return EndpointReport(
            check=endpoint.check,
            values=tuple(value.target for value in endpoint.values),
            state=endpoint.state(now_s),
            evidence=endpoint.last.evidence,
            votes=votes,
            tally=tally(votes, endpoint.check.quorum),
            hold_down_left_s=endpoint.machine.hold_down_left_s(now_s),
            awaits_operator=endpoint.machine.awaits_operator,
            factor=endpoint.machine.factor(now_s),
            is_sentinel=endpoint.is_sentinel,
            held_back=self._held_back.get(endpoint.endpoint_id),
        )


def _agreed(entries: Sequence[HealthEntry | None]) -> HealthEntry | None:
    """The entry, when all values of a check are served alike; None when they are not, or one is not known."""
    first = entries[0] if entries else None
    if first is None or any(entry is None or entry.down is not first.down for entry in entries):
        return None
    return first


def _state_of(endpoint_id: str, entry: HealthEntry, cause: str) -> CheckState:
    """A row made from what is known of a value only."""
    verdict = Verdict.DOWN if entry.down else Verdict.UP
    return CheckState(
        endpoint_id=endpoint_id,
        vote=Vote.DOWN if entry.down else Vote.UP,
        verdict=verdict,
        is_known=True,
        since=datetime.fromtimestamp(entry.since_ms / 1000, UTC) if entry.since_ms else None,
        cause=cause,
        successes=0,
        failures=0,
        latency_s=None,
        last_attempt=None,
        flaps=0 if entry.down else -1,
    )
