"""The machine: sequences of outcomes against the verdict, hold-down and ttl bound that docs/health.md promises."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest

from geodns.model.check import Timing
from geodns.prober.machine import FLAP_MEMORY_S, Machine, Verdict
from geodns.prober.outcome import Evidence

LETTERS = {"+": Evidence.OK, "-": Evidence.ANSWERED_BADLY, "s": Evidence.SILENT, "?": Evidence.SILENT, "0": Evidence.NO_EVIDENCE}
STEP_S = 4.0


def play(machine: Machine, outcomes: str, start_s: float = 0.0, step_s: float = STEP_S) -> list[Verdict]:
    """One outcome a step, decided by this vantage alone; "?" is a silence that is suspect. The verdict after each."""
    verdicts = []
    for index, letter in enumerate(outcomes):
        now_s = start_s + index * step_s
        machine.observe(LETTERS[letter], now_s, is_suspect=letter == "?")
        machine.decide(machine.vote is Verdict.DOWN, now_s)
        verdicts.append(machine.verdict)
    return verdicts


def words(verdicts: list[Verdict]) -> str:
    return "".join("U" if verdict is Verdict.UP else "D" for verdict in verdicts)


def verdict_of(machine: Machine) -> str:
    return words([machine.verdict])


@pytest.mark.parametrize(
    ("outcomes", "verdicts", "claim"),
    [
        ("-", "U", "unknown counts as up after one failure"),
        ("--", "UD", "unknown goes down with the second failure"),
        ("+-", "UU", "one failure is not down"),
        ("+--", "UUD", "two failures in a row are"),
        ("+ss", "UUD", "silence counts as failure"),
        ("+-s", "UUD", "kinds of failure add up"),
        ("+-+-+-+-", "UUUUUUUU", "alternating outcomes never go down"),
        ("-+-+-+", "UUUUUU", "nor do they when nothing was known"),
        ("+-0-", "UUUD", "no evidence neither counts nor clears"),
        ("+0000", "UUUUU", "no evidence alone changes nothing"),
        ("+-?-", "UUUU", "withheld silence forgets the streak before it"),
        ("+????-", "UUUUUU", "withheld silence does not add up"),
        ("+???s", "UUUUU", "the first believed silence after it stands alone"),
        ("--+", "UDD", "one success does not bring back"),
        ("--+++", "UDDUU", "two in a row do when hold-down is over"),
        ("--+-++", "UDDDDU", "a failure in between starts again"),
        ("--+?+", "UDDDU", "suspect silence while down says nothing"),
        ("--+0+", "UDDDU", "no evidence while down says nothing"),
    ],
)
def test_verdicts_follow_outcomes(outcomes: str, verdicts: str, claim: str) -> None:
    assert words(play(Machine(Timing()), outcomes)) == verdicts, claim


def test_fall_and_rise_are_counted_apart() -> None:
    timing = Timing(fall=3, rise=4, hold_down_s=0)
    assert words(play(Machine(timing), "--+---+++-++++")) == "UUUUUDDDDDDDDU"


def test_recheck_follows_only_a_first_failure() -> None:
    machine = Machine(Timing(fall=3))
    assert not machine.wants_recheck
    wants = []
    for letter in "+---+-":
        machine.observe(LETTERS[letter], 0.0)
        wants.append(machine.wants_recheck)
    assert wants == [False, True, False, False, False, False], "and not while it is down"


def test_hold_down_keeps_a_value_down_and_then_lets_it_go_without_another_check() -> None:
    machine = Machine(Timing(hold_down_s=8, rise=2))
    play(machine, "--", step_s=0.5)
    play(machine, "++", start_s=1.0, step_s=1.0)
    assert verdict_of(machine) == "D"
    assert machine.hold_down_left_s(2.0) == 6.5
    assert not machine.decide(False, 8.4)
    assert machine.decide(False, 8.5)
    assert verdict_of(machine) == "U"


def flap(machine: Machine, now_s: float) -> float:
    """Down at `now_s`, up as soon as hold-down allows; the time of the return."""
    machine.observe(Evidence.ANSWERED_BADLY, now_s)
    machine.observe(Evidence.ANSWERED_BADLY, now_s)
    assert machine.decide(True, now_s)
    back_s = now_s + machine.hold_down_left_s(now_s)
    machine.observe(Evidence.OK, back_s)
    machine.observe(Evidence.OK, back_s)
    assert machine.decide(False, back_s)
    return back_s


def test_hold_down_doubles_with_every_flap_up_to_its_ceiling() -> None:
    machine, now_s, held = Machine(Timing()), 0.0, []
    for _ in range(10):
        back_s = flap(machine, now_s)
        held.append(back_s - now_s)
        now_s = back_s + 1
    assert held == [8, 16, 32, 64, 128, 256, 512, 600, 600, 600]


def test_ten_quiet_minutes_forget_the_flaps() -> None:
    machine = Machine(Timing())
    back_s = flap(machine, 0.0)
    back_s = flap(machine, back_s + FLAP_MEMORY_S)
    assert back_s == pytest.approx(8 + FLAP_MEMORY_S + 16)
    start_s = back_s + FLAP_MEMORY_S + 1
    assert flap(machine, start_s) == start_s + 8


@pytest.mark.parametrize("pattern", ["+-", "-+", "+--", "--++", "---+++", "+++++++++-", "+-+--+"])
def test_no_pattern_turns_more_than_hold_down_allows(pattern: str) -> None:
    """Ten minutes at the default pace. Check by check: at most 2 transitions; every tenth failing: none."""
    verdicts = play(Machine(Timing()), (pattern * 150)[:150])
    turns = sum(one is not other for one, other in zip([Verdict.UP, *verdicts], verdicts, strict=False))
    if pattern in ("+-", "-+", "+++++++++-"):
        assert turns == 0
    assert turns <= 2 * math.ceil(math.log2(600 / 8)) - 1


def test_manual_return_waits_for_the_operator() -> None:
    machine = Machine(Timing(manual_return=True, hold_down_s=0))
    assert words(play(machine, "--++++")) == "UDDDDD"
    assert machine.awaits_operator
    machine.release()
    assert machine.decide(False, 100.0)
    assert words(play(machine, "--++", start_s=200.0)) == "UDDD", "the word counts for one return"


def test_an_operator_cannot_bring_back_what_still_fails() -> None:
    machine = Machine(Timing(manual_return=True, hold_down_s=0))
    play(machine, "--")
    machine.release()
    assert not machine.decide(machine.vote is Verdict.DOWN, 50.0)


def test_slow_start_raises_the_weight_evenly_after_a_return() -> None:
    machine = Machine(Timing(slow_start_s=100, hold_down_s=0))
    assert machine.factor(0.0) == 1000, "a value that never was down is not ramped"
    play(machine, "--++", step_s=1.0)
    assert [machine.factor(3.0 + age_s) for age_s in (0, 0.05, 10, 50, 99.9, 100, 500)] == [1, 1, 100, 500, 999, 1000, 1000]
    assert machine.is_ramping(50.0)
    assert not machine.is_ramping(103.0)


@dataclass(frozen=True)
class Bound:
    """Outcomes 4 s apart, seconds after the last one, and the bound then."""

    outcomes: str
    after_s: float
    bound_s: float | None


@pytest.mark.parametrize(
    "case",
    [
        Bound("", 0, 0),  # nothing is known
        Bound("0", 0, 0),
        Bound("+", 0, None),  # settled: agrees, and there was nothing contrary
        Bound("+-", 0, 0),  # a failure may be followed by another
        Bound("+-+", 0, 0),  # contrary outcome 4 s ago
        Bound("+-+", 55.9, 0),
        Bound("+-+", 56, None),
        Bound("+--", 0, 0),  # just went down
        Bound("+--", 60, None),  # down and settled
        Bound("+--+", 0, 4),  # one more success needed; hold-down 4 s left
        Bound("+--+", 4, 4),  # hold-down over; the success is still an interval away
        Bound("+--+0", 0, 4),
        Bound("+--++", 0, 0),  # back up, transition just now
        Bound("+--++", 60, None),
        Bound("+??", 0, None),  # votes withheld
    ],
)
def test_ttl_bound(case: Bound) -> None:
    machine = Machine(Timing())
    play(machine, case.outcomes)
    now_s = max(0, len(case.outcomes) - 1) * STEP_S + case.after_s
    bound_s = machine.ttl_bound_s(now_s)
    assert bound_s == (None if case.bound_s is None else pytest.approx(case.bound_s))


def test_ttl_bound_while_hold_down_is_longer_than_the_successes_need() -> None:
    machine = Machine(Timing(hold_down_s=30))
    play(machine, "--+")
    assert machine.ttl_bound_s(8.0) == 26.0


def test_a_vote_that_disagrees_with_the_verdict_promises_nothing() -> None:
    machine = Machine(Timing())
    machine.observe(Evidence.OK, 0.0)
    machine.decide(True, 0.0)
    assert verdict_of(machine) == "D", "the others saw it down"
    for now_s in (1.0, 2.0, 300.0):
        machine.observe(Evidence.ANSWERED_BADLY, now_s)
    machine.decide(False, 300.0)
    machine.observe(Evidence.ANSWERED_BADLY, 301.0)
    assert verdict_of(machine) == "U"
    assert machine.ttl_bound_s(500.0) == 0


@pytest.mark.parametrize("outcomes", ["+", "+-", "+--", "+--+", "+--++", "+--++--"])
def test_a_restart_changes_neither_verdict_nor_hold_down(outcomes: str) -> None:
    machine = Machine(Timing())
    play(machine, outcomes)
    now_s = (len(outcomes) - 1) * STEP_S + 1
    memory = machine.remember(now_s)
    restored = Machine.restore(Timing(), memory, 50_000.0)
    assert (restored.verdict, restored.vote) == (machine.verdict, machine.vote)
    assert restored.hold_down_left_s(50_000.0) == pytest.approx(machine.hold_down_left_s(now_s))
    again = restored.remember(50_000.0)
    assert replace(again, verdict_age_s=None) == replace(memory, verdict_age_s=None)
    assert again.verdict_age_s == pytest.approx(memory.verdict_age_s)


def test_a_stepped_clock_is_an_age_of_zero() -> None:
    machine = Machine(Timing())
    play(machine, "--")
    memory = replace(machine.remember(4.0), verdict_age_s=-3600.0)
    restored = Machine.restore(Timing(), memory, 0.0)
    assert restored.hold_down_left_s(0.0) == 8.0


def test_what_was_settled_stays_settled_over_a_restart() -> None:
    machine = Machine(Timing())
    play(machine, "+")
    assert Machine.restore(Timing(), machine.remember(100.0), 0.0).ttl_bound_s(0.0) is None
