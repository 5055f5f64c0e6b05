"""The whole prober on simulated time: detection, return, flapping, restart, votes, self-suspicion, targets that come and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from geodns.model.check import Check, Combine, Protocol, Timing
from geodns.prober import Brake, CheckState, HealthEntry, Target, Verdict, Vote
from geodns.prober.outcome import Evidence
from tests.support.probed_world import EPOCH, LATENCY_S, Manners, Vantage, World, address_of, target_of
from tests.support.simulated_time import SimulatedLoop, run_simulated

OK, REFUSES, HANGS, UNROUTED = Manners.OK, Manners.REFUSES, Manners.HANGS, Manners.UNROUTED


def targets(count: int, timing: Timing | None = None) -> list[Target]:
    return [target_of(index, timing) for index in range(count)]


def from_then_on(when_s: float, manners: Manners, *addresses: str) -> Callable[[str, float], Manners]:
    return lambda address, now_s: manners if now_s >= when_s and address in addresses else OK


# ---- detection and return (health.md section 3) ----


@pytest.mark.parametrize(("manners", "within_s"), [(REFUSES, 4.4 + 0.5), (HANGS, 4.4 + 2 + 0.5 + 2)])
def test_a_dead_endpoint_is_down_within_the_documented_time_over_fifty_endpoints(manners: Manners, within_s: float) -> None:
    """Each endpoint is dead for half a minute of its own, so that nobody suspects a fault of ours."""
    deaths = {address_of(index): 20 + 40 * index + index * 0.137 for index in range(50)}

    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: manners if 0 <= now_s - deaths[address] < 30 else OK)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(50))
        await vantage.run_until(2_100)
        took = {address: at_s - deaths[address] for at_s, address, verdict in vantage.turned() if verdict == "down"}
        assert len(took) == 50
        assert min(took.values()) > 0
        assert max(took.values()) <= within_s + 0.01

    run_simulated(scenario)


def test_a_returned_endpoint_is_back_within_hold_down_or_two_intervals() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        returns = {address_of(index): 60 + 0.37 * index for index in range(30)}
        world = World(loop, lambda address, now_s: REFUSES if 20 <= now_s < returns[address] else OK)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(30))
        await vantage.run_until(100)
        back = {address: at_s - returns[address] for at_s, address, verdict in vantage.turned() if verdict == "up"}
        assert len(back) == 30
        assert max(back.values()) <= 2 * 4.4 + LATENCY_S + 0.01

    run_simulated(scenario)


def test_a_short_outage_ends_with_hold_down_and_not_with_the_next_check() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: REFUSES if 20 <= now_s < 25.2 else OK)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(1, Timing(interval_s=1.0)))
        await vantage.run_until(60)
        (down_s, _, _), (up_s, _, _) = vantage.turned()
        assert up_s - down_s == pytest.approx(8.0)

    run_simulated(scenario)


@pytest.mark.parametrize(("period", "at_most"), [(10, 0), (2, 2)])
def test_failing_requests_that_never_come_in_pairs(period: int, at_most: int) -> None:
    """Every tenth request failing: never out. Alternating check by check: at most 2 transitions in 10 minutes."""

    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop)
        world.behaviour = lambda address, now_s: REFUSES if len(world.attempts) % period == 0 else OK
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(1))
        await vantage.run_until(600)
        assert len(vantage.turned()) <= at_most

    run_simulated(scenario)


def test_a_flapping_endpoint_is_held_longer_each_time() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: REFUSES if now_s % 30 < 10 else OK)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(1))
        await vantage.run_until(1_800)
        times = [at_s for at_s, _, _ in vantage.turned()]
        held = [up_s - down_s for down_s, up_s in zip(times[::2], times[1::2], strict=False)]
        assert len(held) >= 7
        assert all(seconds >= min(600, 8 * 2**flaps) for flaps, seconds in enumerate(held))

    run_simulated(scenario)


def test_slow_start_reaches_the_vector_as_a_growing_factor() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: REFUSES if 20 <= now_s < 25 else OK)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(1, Timing(slow_start_s=60)))
        factors: list[int] = []
        await vantage.run_until(140, meanwhile=lambda: factors.append(vantage.prober.vector()[1].factor))
        assert factors[0] == factors[-1] == 1_000
        ramp = factors[factors.index(min(factors)) :]
        assert ramp == sorted(ramp)
        assert len(set(ramp)) > 50

    run_simulated(scenario)


def test_manual_return_ends_with_the_operators_word() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: REFUSES if 20 <= now_s < 30 else OK)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(1, Timing(manual_return=True)))

        def speak() -> None:
            if 200 <= world.now_s < 201:
                assert vantage.prober.endpoints()[0].awaits_operator
                assert vantage.prober.release(1)

        await vantage.run_until(210, meanwhile=speak)
        assert [verdict for _, _, verdict in vantage.turned()] == ["down", "up"]
        assert vantage.turned()[1][0] == pytest.approx(200.5, abs=0.6)
        assert not vantage.prober.release(1)

    run_simulated(scenario)


# ---- starts ----


def test_first_checks_are_spread_over_one_interval_also_when_targets_come_after_the_start() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        for is_late in (False, True):
            world = World(loop)
            vantage = Vantage(world)
            if not is_late:
                vantage.prober.replace_targets(targets(400))

            def bring(vantage: Vantage = vantage, world: World = world) -> None:
                if world.now_s < 1.5:
                    vantage.prober.replace_targets(targets(400))

            await vantage.run_until(13.0, meanwhile=bring if is_late else None)
            first = {address: when_s for when_s, address in reversed(world.attempts)}
            start_s = min(first.values())
            assert len(first) == 400
            assert max(first.values()) - start_s <= 4.4
            per_second = [sum(start_s + second <= when_s < start_s + second + 1 for when_s in first.values()) for second in range(4)]
            assert min(per_second) >= 80
            assert max(per_second) <= 125

    run_simulated(scenario)


def test_a_write_starts_its_check_at_once_but_at_most_a_hundred_a_second() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop)
        vantage = Vantage(world)
        vantage.prober.replace_targets([])

        def write() -> None:
            if 4.5 <= world.now_s < 5.5:
                vantage.prober.change_targets(targets(250))

        await vantage.run_until(8.5, meanwhile=write)
        first = sorted({address: when_s for when_s, address in reversed(world.attempts)}.values())
        assert first[0] == pytest.approx(5.0)
        assert len(first) == 250
        assert all(later - earlier >= 1.0 - 1e-6 for earlier, later in zip(first, first[100:], strict=False))
        assert first[-1] == pytest.approx(5.0 + 2.49)

    run_simulated(scenario)


def test_equal_checks_are_run_once() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, from_then_on(20, REFUSES, "192.0.2.1"))
        vantage = Vantage(world)
        vantage.prober.replace_targets(
            [replace(target_of(index, address="192.0.2.1"), pool=pool) for index, pool in enumerate(("eu", "us", "asia"))]
        )
        await vantage.run_until(30)
        assert len(world.attempts) <= 30 / 3.6 + 6
        assert [sorted(target.pool for target in transition.values) for transition in vantage.record.transitions] == [["asia", "eu", "us"]]
        assert all(entry.down for entry in vantage.prober.vector().values())

    run_simulated(scenario)


def test_a_stopped_process_neither_flips_nor_bursts() -> None:
    """SIGSTOP for a minute: attempts under way are no evidence, and what was missed is not made up for."""

    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: HANGS if 29 <= now_s < 31 else OK)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(200))

        def stop() -> None:
            if 30 <= world.now_s < 31:
                loop.stall(60)

        await vantage.run_until(120, meanwhile=stop)
        assert vantage.turned() == []
        assert vantage.prober.status().attempts[Evidence.NO_EVIDENCE] > 0
        after = [when_s for when_s, _ in world.attempts if 90 <= when_s < 100]
        busiest = max(sum(when_s <= other < when_s + 0.1 for other in after) for when_s in after)
        assert busiest <= 40, "200 checks in 4 s are 5 in a tenth of a second"

    run_simulated(scenario)


# ---- what is published ----


def test_an_outcome_reaches_the_vector_in_the_same_instant_and_the_table_after_it() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, from_then_on(20, REFUSES, address_of(0)))
        vantage = Vantage(world)
        order: list[str] = []
        vantage.record.on_vote = lambda states: order.append(f"table after {len(vantage.changes)} changes")
        vantage.prober.replace_targets(targets(1))
        await vantage.run_until(40)
        (down_s, _, _) = vantage.turned()[0]
        announced = [(at_s, entries[1]) for at_s, entries in vantage.changes]
        went_down = next(index for index, (_, entry) in enumerate(announced) if entry.down)
        assert announced[went_down][0] == pytest.approx(down_s)
        assert announced[went_down - 1][1] == HealthEntry(down=False, ttl_bound_s=0), "the first failure already shortens the ttl"
        assert order == [f"table after {went_down + 1} changes"]
        transition = vantage.record.transitions[0]
        assert (transition.cause, transition.votes) == ("connection refused", {"fra": Vote.DOWN})
        assert vantage.prober.vector()[1].since_ms == int(transition.at.timestamp() * 1000)

    run_simulated(scenario)


def test_many_that_fall_in_one_instant_are_announced_together() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(300))
        vantage.prober.hear_heartbeat("ams", 0.0)
        down = {target.check.endpoint_id: Vote.DOWN for target in targets(300) if target.check}
        vantage.prober.set_frozen("test")
        for endpoint in vantage.prober._endpoints.values():
            endpoint.machine.vote = Verdict.DOWN
        vantage.prober.hear_votes("ams", down)
        await asyncio.sleep(0.1)
        vantage.changes.clear()
        vantage.prober.set_frozen(None)
        await asyncio.sleep(0.1)
        assert len(vantage.changes) == 1
        assert sum(entry.down for entry in vantage.changes[0][1].values()) == 300

    run_simulated(scenario)


def test_routine_results_are_written_in_batches_and_all_of_them_in_the_end() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(20))
        await vantage.run_until(60)
        assert {state.endpoint_id for state in vantage.record.routine} == {state.endpoint_id for state in vantage.prober.states()}
        assert not vantage.record.transitions
        assert not vantage.record.votes
        last = {state.endpoint_id: state for state in vantage.record.routine}
        assert all(state.cause == "status 200" and state.successes >= 13 for state in last.values())
        assert all(state.latency_s == pytest.approx(LATENCY_S) for state in last.values())

    run_simulated(scenario)


def test_rows_survive_json() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, from_then_on(10, REFUSES, address_of(0)))
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(2))
        await vantage.run_until(30)
        for state in vantage.prober.states():
            assert CheckState.from_json(json.loads(json.dumps(state.to_json()))) == state

    run_simulated(scenario)


# ---- restart, targets that come and go ----


def test_a_restart_flips_nothing_in_either_direction() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        dead = {address_of(index) for index in range(0, 200, 3)}
        world = World(loop, lambda address, now_s: REFUSES if now_s >= 10 and address in dead else OK)
        before = Vantage(world)
        before.prober.replace_targets(targets(200))
        await before.run_until(100)
        rows = before.prober.states()
        for step in (timedelta(), timedelta(hours=1), timedelta(hours=-1)):
            world.clock_step = step
            after = Vantage(world, seed=7)
            after.prober.replace_targets(targets(200), stored=rows)
            down_at_start = {value_id for value_id, entry in after.prober.vector().items() if entry.down}
            assert len(down_at_start) == len(dead)
            await after.run_until(world.now_s + 30)
            assert after.turned() == [], f"clock stepped by {step}"

    run_simulated(scenario)


@pytest.mark.parametrize(
    ("row_age_s", "served_age_s", "verdict"),
    [(10, None, Verdict.DOWN), (None, 10, Verdict.UP), (10, 20, Verdict.DOWN), (20, 10, Verdict.UP), (None, None, Verdict.UP)],
)
def test_the_newer_of_table_and_dataplane_is_believed(row_age_s: float | None, served_age_s: float | None, verdict: Verdict) -> None:
    """The table says down, the dataplane up, each since some time before the start."""

    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop)
        vantage = Vantage(world)
        target = target_of(0)
        assert target.check is not None
        rows, served = [], {}
        if row_age_s is not None:
            since = EPOCH - timedelta(seconds=row_age_s)
            rows = [CheckState(target.check.endpoint_id, Vote.DOWN, Verdict.DOWN, True, since, "status 503", 0, 9, None, since)]
        if served_age_s is not None:
            served = {1: HealthEntry(since_ms=int((EPOCH - timedelta(seconds=served_age_s)).timestamp() * 1000))}
        vantage.prober.replace_targets([target], stored=rows, served=served)
        assert vantage.prober.states()[0].verdict is verdict
        assert vantage.prober.vector()[1].down is (verdict is Verdict.DOWN)

    run_simulated(scenario)


def test_editing_a_check_does_not_bring_a_dead_value_back() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, from_then_on(10, REFUSES, address_of(0)))
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(2))

        def edit() -> None:
            if 40 <= world.now_s < 41:
                vantage.prober.change_targets([target_of(0, Timing(interval_s=2.0)), target_of(1, Timing(interval_s=2.0))])

        await vantage.run_until(60, meanwhile=edit)
        assert [verdict for _, _, verdict in vantage.turned()] == ["down"]
        assert all(entries[1].down for at_s, entries in vantage.changes if at_s > 20 and 1 in entries)
        assert len(vantage.prober.states()) == 2

    run_simulated(scenario)


def test_replacing_targets_by_the_same_changes_nothing() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, from_then_on(10, REFUSES, address_of(3)))
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(10))
        await vantage.run_until(100, meanwhile=lambda: vantage.prober.replace_targets(targets(10)))
        assert len(vantage.turned()) == 1
        assert 240 <= len(world.attempts) <= 270

    run_simulated(scenario)


def test_targets_that_go_leave_no_timer_task_or_entry() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: HANGS)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(30))

        def go() -> None:
            if 5 <= world.now_s < 6:
                vantage.prober.replace_targets(targets(3))
            if 10 <= world.now_s < 11:
                vantage.prober.change_targets([replace(target_of(0), check=None)], [2, 3, 99])

        await vantage.run_until(40, meanwhile=go)
        assert not any(when_s > 11 for when_s, _ in world.attempts)
        assert vantage.prober.vector() == {}
        assert vantage.prober.endpoints() == []
        assert len(asyncio.all_tasks()) == 1

    run_simulated(scenario)


def test_a_check_that_cannot_be_carried_out_says_so_and_takes_nothing_out() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop)

        def refuse(check: Check) -> object:
            raise ValueError("a TCP check needs a port")

        world.probe = refuse  # type: ignore[method-assign, assignment]
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(1))
        await vantage.run_until(20)
        assert vantage.prober.states()[0].cause == "cannot be checked: a TCP check needs a port"
        assert vantage.prober.vector()[1] == HealthEntry(ttl_bound_s=0)

    run_simulated(scenario)


def combined(combine: Combine) -> Target:
    """Value 1, checked at two addresses."""
    parts = tuple(Check(Protocol.TCP, address, 80) for address in ("192.0.2.1", "192.0.2.2"))
    return replace(target_of(0), check=replace(parts[0], combine=combine, parts=parts))


@pytest.mark.parametrize(
    ("combine", "dead", "is_down"),
    [
        (Combine.ALL, (), False),
        (Combine.ALL, ("192.0.2.2",), True),
        (Combine.ALL, ("192.0.2.1", "192.0.2.2"), True),
        (Combine.ANY, ("192.0.2.2",), False),
        (Combine.ANY, ("192.0.2.1", "192.0.2.2"), True),
    ],
)
def test_several_checks_on_one_value(combine: Combine, dead: Sequence[str], is_down: bool) -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        vantage = Vantage(World(loop, from_then_on(10, REFUSES, *dead)))
        vantage.prober.replace_targets([combined(combine)])
        await vantage.run_until(40)
        assert vantage.prober.vector()[1].down is is_down
        assert len(vantage.turned()) == len(dead)

    run_simulated(scenario)


# ---- no evidence, self-suspicion, votes, freeze, brakes ----


def test_a_host_without_ipv6_does_not_mark_values_down() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        vantage = Vantage(World(loop, lambda address, now_s: UNROUTED))
        vantage.prober.replace_targets(targets(10))
        await vantage.run_until(120)
        assert vantage.turned() == []
        assert {state.cause for state in vantage.prober.states()} == {"no local route"}
        assert not any(state.is_known for state in vantage.prober.states())

    run_simulated(scenario)


@pytest.mark.parametrize("count", [20, 200])
def test_a_black_out_of_our_own_changes_nothing_and_is_loud(count: int) -> None:
    """All traffic black-holed for three minutes: no change, an alarm within 30 s, no flip on return."""

    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: HANGS if 60 <= now_s < 240 else OK)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(count))
        alarms: list[float] = []

        def look() -> None:
            if vantage.prober.status().suspicion:
                alarms.append(world.now_s)

        await vantage.run_until(400, meanwhile=look)
        assert vantage.turned() == []
        assert 60 <= alarms[0] <= 90
        assert alarms[-1] <= 260
        assert vantage.prober.status().withheld > count
        assert not any(entry.down for entry in vantage.prober.vector().values())

    run_simulated(scenario)


def test_a_network_that_comes_back_bit_by_bit_takes_nothing_out() -> None:
    """An attempt that was under way while this vantage suspected itself is not believed, though by its end most others answer again."""

    async def scenario(loop: SimulatedLoop) -> None:
        late = {address_of(index) for index in range(0, 200, 5)}
        world = World(loop, lambda address, now_s: HANGS if 60 <= now_s < (122.45 if address in late else 120) else OK)
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(200))
        await vantage.run_until(180)
        assert vantage.turned() == []

    run_simulated(scenario)


def test_an_attempt_that_outlasts_a_suspicion_by_far_is_still_of_that_time() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: HANGS if 60 <= now_s < 100 else OK)
        vantage = Vantage(world)
        patient = [target_of(index, Timing(interval_s=40, timeout_s=40)) for index in range(200, 220)]
        vantage.prober.replace_targets([*targets(200), *patient])
        watched = {target.check.endpoint_id for target in patient if target.check}
        failures: list[int] = []

        def look() -> None:
            failures.extend(state.failures for state in vantage.prober.states() if state.endpoint_id in watched)

        await vantage.run_until(180, meanwhile=look)
        assert max(failures) == 0

    run_simulated(scenario)


def test_during_a_black_out_what_answers_badly_still_goes_down() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        def behaviour(address: str, now_s: float) -> Manners:
            if now_s < 60:
                return OK
            return REFUSES if address == address_of(0) else HANGS

        vantage = Vantage(World(loop, behaviour))
        vantage.prober.replace_targets(targets(50))
        await vantage.run_until(100)
        assert [address for _, address, _ in vantage.turned()] == [address_of(0)]

    run_simulated(scenario)


def test_a_part_that_falls_silent_is_believed() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        dead = {address_of(index) for index in range(20)}
        vantage = Vantage(World(loop, lambda address, now_s: HANGS if now_s >= 60 and address in dead else OK))
        vantage.prober.replace_targets(targets(50))
        await vantage.run_until(80)
        assert {address for _, address, _ in vantage.turned()} == dead

    run_simulated(scenario)


@pytest.mark.parametrize(("are_sentinels_dead", "fall"), [(True, 0), (False, 3)])
def test_sentinels_tell_our_fault_from_theirs(are_sentinels_dead: bool, fall: int) -> None:
    """Three values, too few to count addresses; two sentinels decide, and are asked in time."""

    async def scenario(loop: SimulatedLoop) -> None:
        sentinels = ("198.51.100.1", "198.51.100.2")

        def behaviour(address: str, now_s: float) -> Manners:
            return HANGS if 60 <= now_s < 200 and (are_sentinels_dead or address not in sentinels) else OK

        vantage = Vantage(World(loop, behaviour))
        vantage.prober.set_sentinels([Check(Protocol.TCP, address, 443) for address in sentinels])
        vantage.prober.replace_targets(targets(3))
        await vantage.run_until(300)
        assert sum(verdict == "down" for _, _, verdict in vantage.turned()) == fall
        assert [report.is_sentinel for report in vantage.prober.endpoints()].count(True) == 2

    run_simulated(scenario)


def three_vantages(loop: SimulatedLoop, behaviours: Sequence[Callable[[str, float], Manners]], count: int) -> list[Vantage]:
    """Three probers that hear each other at once, as through a fast database."""
    vantages = [
        Vantage(World(loop, behaviour), name=name, seed=seed)
        for seed, (name, behaviour) in enumerate(zip(("fra", "ams", "waw"), behaviours, strict=True))
    ]
    for speaker in vantages:

        def tell(states: Sequence[CheckState], speaker: Vantage = speaker) -> None:
            for listener in vantages:
                listener.prober.hear_votes(speaker.name, {state.endpoint_id: state.vote for state in states})

        speaker.record.on_vote = tell
        speaker.prober.replace_targets(targets(count))
    return vantages


async def run_together(vantages: Sequence[Vantage], until_s: float, beating: Callable[[Vantage], bool] = lambda vantage: True) -> None:
    def beat() -> None:
        for speaker in vantages:
            for listener in vantages:
                if beating(speaker):
                    listener.prober.hear_heartbeat(speaker.name, 0.0)

    beat()
    async with asyncio.TaskGroup() as group:
        for vantage in vantages:
            group.create_task(vantage.run_until(until_s, meanwhile=beat))


def always_ok(address: str, now_s: float) -> Manners:
    return OK


def cut_off(address: str, now_s: float) -> Manners:
    return HANGS if now_s >= 60 else OK


def one_dead(address: str, now_s: float) -> Manners:
    return REFUSES if now_s >= 60 and address == address_of(0) else OK


@pytest.mark.parametrize(
    ("behaviours", "count", "down", "suspicious", "claim"),
    [
        ((always_ok, always_ok, cut_off), 20, 0, 1, "one cut off from the targets: no change"),
        ((always_ok, cut_off, cut_off), 20, 0, 2, "two cut off: no change, and loud"),
        ((always_ok, always_ok, cut_off), 3, 0, 0, "too few to suspect itself, and outvoted"),
        ((one_dead, one_dead, one_dead), 20, 1, 0, "a dead endpoint is removed everywhere"),
        ((one_dead, one_dead, cut_off), 20, 1, 1, "also while one vantage is blind"),
        ((always_ok, always_ok, one_dead), 20, 0, 0, "one vantage's word alone is not enough"),
    ],
)
def test_three_vantages(behaviours: Sequence[Callable[[str, float], Manners]], count: int, down: int, suspicious: int, claim: str) -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        vantages = three_vantages(loop, behaviours, count)
        await run_together(vantages, 120)
        for vantage in vantages:
            assert sum(entry.down for entry in vantage.prober.vector().values()) == down, f"{claim} ({vantage.name})"
            assert len(vantage.turned()) == down, claim
        assert sum(vantage.prober.status().suspicion is not None for vantage in vantages) == suspicious, claim

    run_simulated(scenario)


def test_a_vantage_that_stops_beating_leaves_the_count() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        vantages = three_vantages(loop, (one_dead, always_ok, always_ok), 5)
        await run_together(vantages, 200, lambda vantage: vantage.name == "fra" or vantage.world.now_s < 120)
        fra, ams, _ = vantages
        assert [address for _, address, _ in fra.turned()] == [address_of(0)], "alone, it acts on its own evidence"
        assert 120 <= fra.turned()[0][0] <= 127
        assert fra.record.transitions[0].votes == {"fra": Vote.DOWN}
        assert fra.prober.status().live_vantages == {"fra"}
        assert ams.turned() == []

    run_simulated(scenario)


def test_a_frozen_prober_changes_nothing_and_then_catches_up() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, from_then_on(60, REFUSES, address_of(0)))
        vantage = Vantage(world)
        vantage.prober.replace_targets(targets(2))

        def act() -> None:
            if 50 <= world.now_s < 51:
                vantage.prober.set_frozen("maintenance")
                assert {entry.ttl_bound_s for entry in vantage.prober.vector().values()} == {None}
            if 100 <= world.now_s < 101:
                assert vantage.turned() == []
                assert vantage.prober.vector()[1] == HealthEntry()
                assert vantage.prober.states()[0].vote is Vote.DOWN
                vantage.prober.set_frozen(None)

        await vantage.run_until(110, meanwhile=act)
        ((at_s, address, verdict),) = vantage.turned()
        assert (address, verdict) == (address_of(0), "down")
        assert at_s == pytest.approx(100.5, abs=0.6)

    run_simulated(scenario)


def test_a_brake_keeps_in_service_what_it_holds() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, lambda address, now_s: REFUSES if 20 <= now_s < 60 else OK)
        vantage = Vantage(world)
        vantage.prober._with = replace(vantage.prober._with, brake=Brake(record_share=0.5))
        vantage.prober.replace_targets(targets(4))
        await vantage.run_until(55)
        assert [verdict for _, _, verdict in vantage.turned()] == ["down"] * 2
        status = vantage.prober.status()
        assert (status.braked, len(status.held_back)) == (2, 2)
        held = [report for report in vantage.prober.endpoints() if report.held_back is not None]
        assert [report.state.vote for report in held] == [Vote.DOWN] * 2
        vantage.prober.change_targets([], [held[0].values[0].value_id])
        assert len(vantage.prober.status().held_back) == 1, "what is checked no more is not held"
        await vantage.run_until(90)
        assert vantage.prober.status().held_back == []
        assert vantage.prober.status().down == 0

    run_simulated(scenario)


def test_a_brake_lets_go_what_two_vantages_see() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        vantages = three_vantages(loop, [lambda address, now_s: REFUSES if now_s >= 60 else OK] * 3, 8)
        for vantage in vantages:
            vantage.prober._with = replace(vantage.prober._with, brake=Brake(record_share=0.1, total_share=0.1))
            vantage.prober.replace_targets([])
            vantage.prober.replace_targets(targets(8))
        await run_together(vantages, 90)
        for vantage in vantages:
            assert len(vantage.turned()) == 8

    run_simulated(scenario)


def test_a_transition_that_changes_no_entry_is_announced_by_none() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        dies = {"192.0.2.1": 20, "192.0.2.2": 30}
        vantage = Vantage(World(loop, lambda address, now_s: REFUSES if now_s >= dies[address] else OK))
        vantage.prober.replace_targets([combined(Combine.ALL)])
        await vantage.run_until(50)
        (first_s, _, _), (second_s, _, _) = vantage.turned()
        told = {round(at_s, 3): entries for at_s, entries in vantage.changes}
        assert told[round(first_s, 3)][1].down
        assert told[round(second_s, 3)] == {}, "down since the first"

    run_simulated(scenario)


def test_a_callback_that_fails_ends_nothing() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        world = World(loop, from_then_on(20, REFUSES, address_of(0)))
        vantage = Vantage(world)

        def fail(entries: object) -> None:
            raise OSError("the link is gone")

        vantage.prober._on_change = fail
        vantage.prober.replace_targets(targets(2))
        await vantage.run_until(40)
        assert len(vantage.turned()) == 1

    run_simulated(scenario)
