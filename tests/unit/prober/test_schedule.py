"""Starts of attempts: spread, jitter, the gate of writes, and the loop's own lateness."""

from __future__ import annotations

import random

import pytest

from geodns.prober.schedule import STALL_MEMORY_S, TICK_S, WRITES_PER_S, Cadence, LoopWatch, Spread, WriteGate
from tests.support.simulated_time import SimulatedLoop, run_simulated

SEED = 20_240_601


def seeded() -> random.Random:
    return random.Random(SEED)  # noqa: S311 - the same course in every run


def largest_gap(phases: list[float]) -> float:
    ordered = sorted(phases)
    return max(after - before for before, after in zip(ordered, [*ordered[1:], ordered[0] + 1], strict=True))


def test_neighbouring_starts_are_the_interval_apart_within_ten_percent() -> None:
    cadence = Cadence(100.0, 4.0, seeded())
    started_s, gaps = 100.0, []
    for _ in range(2_000):
        next_s = cadence.next_start_s(started_s, started_s + 0.01)
        gaps.append(next_s - started_s)
        started_s = next_s
    assert min(gaps) >= 3.6
    assert max(gaps) <= 4.4
    assert max(gaps) - min(gaps) > 0.5, "there is a jitter"


def test_ten_thousand_endpoints_start_within_ten_percent_of_even_in_every_second() -> None:
    rng = seeded()
    spread = Spread()
    buckets = [0] * 600
    for phase in spread.even(10_000):
        cadence = Cadence(phase * 10.0, 10.0, rng)
        start_s = cadence.first_start_s(0.0)
        while start_s < 600:
            buckets[int(start_s)] += 1
            start_s = cadence.next_start_s(start_s, start_s + 0.005)
    assert min(buckets[1:-1]) >= 900
    assert max(buckets[1:-1]) <= 1_100


def test_an_attempt_longer_than_the_interval_is_followed_at_once() -> None:
    cadence = Cadence(0.0, 4.0, seeded())
    assert cadence.next_start_s(0.0, 5.0) == 5.0
    assert cadence.next_start_s(5.0, 10.5) == 10.5


def test_a_recheck_does_not_pull_the_next_slot_closer() -> None:
    cadence = Cadence(0.0, 4.0, seeded())
    next_s = cadence.next_start_s(2.5, 4.5)
    assert 7.8 <= next_s <= 8.2


def test_what_a_stopped_process_missed_is_not_made_up_for() -> None:
    cadence = Cadence(1.0, 4.0, seeded())
    next_s = cadence.next_start_s(1.0, 1_000.0)
    assert 1_000 < next_s <= 1_004.4


@pytest.mark.parametrize("now_s", [0.0, 1.0, 3.99, 4.0, 1234.5])
def test_one_that_joins_gets_its_own_slot_within_an_interval(now_s: float) -> None:
    for phase in (0.0, 0.2, 0.5, 0.999):
        cadence = Cadence.joining(phase, 4.0, now_s, seeded())
        assert now_s < cadence.next_start_s(now_s, now_s) <= now_s + 4.4 + 1e-9


@pytest.mark.parametrize("count", [1, 2, 7, 50, 10_000])
def test_a_batch_is_exactly_even(count: int) -> None:
    assert largest_gap(list(Spread(0.3).even(count))) == pytest.approx(1 / count)


@pytest.mark.parametrize("count", [2, 10, 100, 1_000])
def test_late_comers_leave_no_wide_gap(count: int) -> None:
    spread = Spread(0.3)
    assert largest_gap([spread.another() for _ in range(count)]) <= 2.7 / count


def test_writes_start_checks_at_once_but_at_most_a_hundred_a_second() -> None:
    gate = WriteGate()
    starts = [gate.pass_at(50.0) for _ in range(300)]
    assert starts[0] == 50.0
    assert starts[-1] == pytest.approx(50.0 + 299 / WRITES_PER_S)
    assert gate.pass_at(60.0) == 60.0


def test_a_stall_is_known_before_and_after_the_next_tick() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        watch = LoopWatch(loop)
        await _sleep(loop, 1.0)
        start_s = loop.time()
        assert watch.late_since(start_s) == 0.0
        loop.stall(1.5)
        assert watch.late_since(start_s) >= 1.5 - 1.1 * TICK_S
        await _sleep(loop, 0.5)
        assert watch.late_since(start_s) >= 1.5 - 1.1 * TICK_S
        assert watch.late_since(loop.time() - 0.2) == 0.0
        assert watch.worst_recently_s >= 1.5 - 1.1 * TICK_S
        await _sleep(loop, STALL_MEMORY_S)
        assert watch.worst_recently_s == 0.0
        watch.close()

    run_simulated(scenario)


async def _sleep(loop: SimulatedLoop, seconds: float) -> None:
    done = loop.create_future()
    loop.call_later(seconds, done.set_result, None)
    await done
