"""From outcomes to a vote, and from agreed votes to a verdict: rise and fall, hold-down, manual return, slow start, ttl bound.

Pure: no I/O, no clock (the caller passes monotonic seconds), no knowledge of other vantages. Two layers, because
hold-down is a promise about the verdict and not about one vantage's vote:

    outcome ──observe──► counts ──► own vote ──(votes.py)──► agreed ──decide──► verdict

docs/health.md explains the defaults; RFC 2439 is where the idea of a penalty that grows with each flap comes from.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import assert_never

from geodns.model.check import Timing
from geodns.prober.outcome import Evidence

FLAP_MEMORY_S = 600.0
"""A fall this soon after the last return is a flap. Ten minutes: longer than any deploy or restart that a flap usually
is, shorter than the time in which an operator would call two outages unrelated. Counted from the return, not from the
fall before it: otherwise a hold-down near its ceiling would outlast the memory of why it is that long."""

SETTLE_S = 60.0
"""How long after a contrary outcome or a transition the next one is still likely, and so no ttl is promised."""

FULL_FACTOR = 1000
"""The link carries the weight factor in thousandths."""


class Verdict(enum.Enum):
    """What is believed of a check or of a value."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Memory:
    """What of a machine outlives a restart. Ages are seconds before the moment of writing or reading, so that no clock is shared.

    `verdict_age_s` None = there was no transition yet. `flaps` is the exponent of the last hold-down, -1 before the first fall.
    """

    vote: Verdict = Verdict.UP
    verdict: Verdict = Verdict.UP
    known: bool = False
    successes: int = 0
    failures: int = 0
    flaps: int = -1
    verdict_age_s: float | None = None
    is_released: bool = False


class Machine:
    """The state of one check. A new machine is unknown, which counts as up until `fall` failures in a row."""

    __slots__ = (
        "_contrary_s",
        "_flaps",
        "_hold_until_s",
        "_is_released",
        "_last_was_ok",
        "_ramp_from_s",
        "_returned_s",
        "_turned_s",
        "failures",
        "is_known",
        "is_withheld",
        "successes",
        "timing",
        "verdict",
        "vote",
    )

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.vote = Verdict.UP
        self.verdict = Verdict.UP
        self.is_known = False
        self.is_withheld = False
        self.successes = 0
        self.failures = 0
        self._flaps = -1
        self._is_released = False
        self._last_was_ok: bool | None = None
        self._contrary_s = -math.inf
        self._turned_s = -math.inf
        self._hold_until_s = -math.inf
        self._returned_s: float | None = None
        self._ramp_from_s: float | None = None

    # ---- restart ----

    @classmethod
    def restore(cls, timing: Timing, memory: Memory, now_s: float) -> Machine:
        """A machine that believes what was stored. An age below zero (a clock that was stepped) counts as zero."""
        machine = cls(timing)
        machine.vote, machine.verdict, machine.is_known = memory.vote, memory.verdict, memory.known
        machine.successes, machine.failures = memory.successes, memory.failures
        machine._flaps, machine._is_released = memory.flaps, memory.is_released
        if memory.known:
            machine._last_was_ok = memory.verdict is Verdict.UP
        if memory.verdict_age_s is None:
            return machine
        turned_s = now_s - max(0.0, memory.verdict_age_s)
        machine._turned_s = turned_s
        if memory.verdict is Verdict.DOWN:
            machine._hold_until_s = turned_s + machine._hold_down_s()
        elif memory.flaps >= 0:
            machine._returned_s = machine._ramp_from_s = turned_s
        return machine

    def remember(self, now_s: float) -> Memory:
        """The counterpart of `restore`."""
        return Memory(
            vote=self.vote,
            verdict=self.verdict,
            known=self.is_known,
            successes=self.successes,
            failures=self.failures,
            flaps=self._flaps,
            verdict_age_s=None if self._turned_s == -math.inf else now_s - self._turned_s,
            is_released=self._is_released,
        )

    # ---- outcomes to vote ----

    def observe(self, evidence: Evidence, now_s: float, *, is_suspect: bool = False) -> bool:
        """Counts one outcome; True when the own vote, or whether it is withheld, changed.

        `is_suspect`: this vantage doubts itself (suspicion.py), so silence is withheld.

        | evidence | vote up | vote down |
        |---|---|---|
        | ok | success | success; `rise` in a row: up |
        | answered badly | failure; `fall` in a row: down | failure |
        | silent | the same | failure |
        | silent, suspect | withheld; the streak of failures is forgotten | nothing |
        | no evidence | nothing | nothing |

        The streak is forgotten because the first silent attempt after a black-out of our own may still belong to it: were the
        withheld ones kept, that single one would be the last failure that was missing.
        """
        before = (self.vote, self.is_withheld)
        match evidence:
            case Evidence.OK:
                self._count_success(now_s)
            case Evidence.ANSWERED_BADLY:
                self._count_failure(now_s)
            case Evidence.SILENT:
                if not is_suspect:
                    self._count_failure(now_s)
                elif self.vote is Verdict.UP:
                    self.failures = 0
                    self.is_withheld = True
            case Evidence.NO_EVIDENCE:
                pass
            case _:
                assert_never(evidence)
        return before != (self.vote, self.is_withheld)

    def _count_success(self, now_s: float) -> None:
        self.failures = 0
        self.successes += 1
        self.is_known = True
        self.is_withheld = False
        self._last_was_ok = True
        if self.verdict is Verdict.DOWN:
            self._contrary_s = now_s
        if self.successes >= self.timing.rise:
            self.vote = Verdict.UP

    def _count_failure(self, now_s: float) -> None:
        self.successes = 0
        self.failures += 1
        self.is_withheld = False
        self._last_was_ok = False
        if self.verdict is Verdict.UP:
            self._contrary_s = now_s
        if self.failures >= self.timing.fall:
            self.is_known = True
            self.vote = Verdict.DOWN

    # ---- agreed votes to verdict ----

    def decide(self, is_agreed_down: bool, now_s: float) -> bool:
        """Moves the verdict to what the vantages agree on; True when it moved.

        | verdict | agreed down | hold-down | manual return | becomes |
        |---|---|---|---|---|
        | up | no | | | up |
        | up | yes | | | down |
        | down | yes | | | down |
        | down | no | running | | down |
        | down | no | over | awaits the operator | down |
        | down | no | over | no, or released | up |
        """
        if self.verdict is Verdict.UP:
            if is_agreed_down:
                self._turn_down(now_s)
            return is_agreed_down
        if is_agreed_down or now_s < self._hold_until_s or self.awaits_operator:
            return False
        self._turn_up(now_s)
        return True

    @property
    def awaits_operator(self) -> bool:
        """Down, and only an operator's word lets it come back."""
        return self.verdict is Verdict.DOWN and self.timing.manual_return and not self._is_released

    def release(self) -> None:
        """The operator's word that a value with manual return may come back when its checks agree."""
        self._is_released = True

    def _turn_down(self, now_s: float) -> None:
        is_flap = self._returned_s is not None and now_s - self._returned_s <= FLAP_MEMORY_S
        self._flaps = self._flaps + 1 if is_flap else 0
        self._hold_until_s = now_s + self._hold_down_s()
        self._is_released = False
        self._ramp_from_s = None
        self.verdict = Verdict.DOWN
        self._turned_s = now_s

    def _turn_up(self, now_s: float) -> None:
        self.verdict = Verdict.UP
        self._turned_s = self._returned_s = self._ramp_from_s = now_s

    def _hold_down_s(self) -> float:
        doublings = min(max(self._flaps, 0), 32)  # 2^32 times any hold-down is past every ceiling
        return min(self.timing.hold_down_s * 2.0**doublings, self.timing.hold_down_max_s)

    # ---- what follows from it ----

    def hold_down_left_s(self, now_s: float) -> float:
        """Seconds until hold-down lets the verdict go up; 0 when it does not hold."""
        return max(0.0, self._hold_until_s - now_s) if self.verdict is Verdict.DOWN else 0.0

    @property
    def wants_recheck(self) -> bool:
        """After a first failure the next attempt comes soon; later ones keep to the interval, so that a large `fall`
        still means patience."""
        return self.vote is Verdict.UP and self.failures == 1

    def is_ramping(self, now_s: float) -> bool:
        """Within slow start: the weight factor still grows."""
        return self.factor(now_s) < FULL_FACTOR

    def factor(self, now_s: float) -> int:
        """The share of the weight in thousandths, 1 … 1000, rising evenly over slow start after a return."""
        if self._ramp_from_s is None or self.timing.slow_start_s <= 0:
            return FULL_FACTOR
        share = (now_s - self._ramp_from_s) / self.timing.slow_start_s
        return min(FULL_FACTOR, max(1, int(share * FULL_FACTOR)))

    def is_coming_back(self) -> bool:
        """Down with a success behind it: the one case in which the next transition can be foreseen."""
        return self.verdict is Verdict.DOWN and self.successes > 0

    def ttl_bound_s(self, now_s: float) -> float | None:
        """The longest ttl, in seconds, that no transition can outrun; None = no bound (docs/health.md, "Adaptive ttl").

        | state | bound |
        |---|---|
        | vote withheld | none |
        | settled: last outcome agrees, nothing contrary and no transition within 60 s | none |
        | coming back | max(hold-down left, (rise - successes) x interval) |
        | anything else | 0 |
        """
        if self.is_withheld:
            return None
        if self.is_coming_back():
            missing = max(0, self.timing.rise - self.successes)
            return max(self.hold_down_left_s(now_s), missing * self.timing.interval_s)
        agrees = self._last_was_ok is not None and self._last_was_ok == (self.verdict is Verdict.UP)
        if agrees and now_s - max(self._contrary_s, self._turned_s) >= SETTLE_S:
            return None
        return 0.0
