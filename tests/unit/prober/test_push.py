"""PUSH checks: reports that come, say no, or stop coming."""

from __future__ import annotations

import asyncio

import pytest

from geodns.model.check import Check, Protocol, Timing
from geodns.prober import AddressPolicy, Collaborators, Prober, Target
from geodns.prober.fault import Silent
from geodns.prober.push import PushProbe
from geodns.prober.stream import Progress
from tests.support.probed_world import Record
from tests.support.simulated_time import SimulatedLoop, run_simulated

CHECK = Check(Protocol.PUSH, "192.0.2.1", None, timing=Timing(stale_after_s=30))


def test_reports_decide_and_their_absence_too() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        record = Record()
        prober = Prober("fra", lambda entries: None, Collaborators(recorder=record, policy=AddressPolicy()))
        prober.replace_targets([Target(1, "example.com", "www.example.com", "A", "eu", "192.0.2.1", CHECK)])
        start_s = loop.time()

        def report(is_up: bool, cause: str = "") -> None:
            assert prober.report(CHECK.endpoint_id, is_up=is_up, cause=cause)

        for second in range(10, 100):
            loop.call_at(start_s + second, report, True, "load 0.3")
        for second in range(100, 130):
            loop.call_at(start_s + second, report, False, "disk full\x07")
        for second in range(130, 200):
            loop.call_at(start_s + second, report, True)
        causes: list[str] = []
        for second in (5, 20, 125, 150):
            loop.call_at(start_s + second, lambda: causes.append(prober.states()[0].cause))
        running = asyncio.ensure_future(prober.run())
        loop.call_at(start_s + 300, running.cancel)
        await asyncio.wait([running])
        assert causes == ["no report yet", "reported up: load 0.3", "reported down: disk full", "reported up"]
        turned = [(transition.at, transition.verdict.value, transition.cause) for transition in record.transitions]
        assert [verdict for _, verdict, _ in turned] == ["down", "up", "down"]
        assert turned[0][2] == "reported down: disk full"
        assert turned[2][2].startswith("no report for ")
        assert not prober.report("0" * 20, is_up=True)

    run_simulated(scenario)


def test_of_two_reports_the_later_counts_and_the_same_one_counts_once() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        await asyncio.sleep(100)
        probe = PushProbe(CHECK)
        assert probe.report(False, "disk full")
        assert not probe.report(True, "", age_s=20), "an older one that another node was given"
        await asyncio.sleep(1)
        assert not probe.report(False, "disk full", age_s=0.9), "our own, heard again"
        assert probe.report(False, "disk full"), "said again"
        assert not probe.report(False, "disk full", age_s=1.0)
        assert probe.report(True, "", age_s=0.0)
        await asyncio.sleep(10)
        assert probe.report(False, "power", age_s=5), "later than what we have, from another node"
        await asyncio.sleep(26)
        with pytest.raises(Silent, match="no report for 31 s"):
            await probe.attempt("192.0.2.1", Progress())

    run_simulated(scenario)


def test_silence_from_the_start_is_first_no_evidence_and_then_silence() -> None:
    async def scenario(loop: SimulatedLoop) -> None:
        record = Record()
        prober = Prober("fra", lambda entries: None, Collaborators(recorder=record))
        prober.replace_targets([Target(1, "example.com", "www.example.com", "A", "eu", "192.0.2.1", CHECK)])
        running = asyncio.ensure_future(prober.run())
        await asyncio.sleep(29)
        assert prober.states()[0].failures == 0
        await asyncio.sleep(6.5)
        assert [transition.verdict.value for transition in record.transitions] == ["down"]
        running.cancel()
        await asyncio.wait([running])

    run_simulated(scenario)
