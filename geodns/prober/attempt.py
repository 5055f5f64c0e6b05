"""One attempt from start to outcome: address, policy, probe, deadline, and which class of evidence the result is.

The only place where exceptions become outcomes. Knows nothing of schedules and verdicts.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

import structlog

from geodns.model.check import Check, Protocol
from geodns.prober.fault import Fault, NoEvidence, network_fault, tls_fault
from geodns.prober.outcome import Evidence, Outcome
from geodns.prober.policy import AddressPolicy
from geodns.prober.probe import Probe
from geodns.prober.resolve import Resolver, is_literal
from geodns.prober.schedule import LoopWatch
from geodns.prober.stream import Progress

LATE_SHARE = 0.5
"""An attempt is not believed when our own loop stood still for half of its timeout: the other half may have been too little."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every attempt needs besides its check."""

    policy: AddressPolicy
    resolver: Resolver
    watch: LoopWatch


async def attempt(check: Check, probe: Probe, around: Surroundings) -> Outcome:
    """Makes one attempt; never raises but for cancellation.

    The resolver has a timeout of its own: a slow one must not eat into the target's time and make it look silent.
    """
    address = check.target
    if check.protocol is not Protocol.PUSH:  # which contacts nobody
        try:
            address = await _find_address(check, around)
        except Fault as fault:
            return Outcome(fault.evidence, str(fault))
        if refusal := around.policy.refusal(address, check.port):
            return Outcome(Evidence.NO_EVIDENCE, f"not checked: {address} is guarded ({refusal})")
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    progress = Progress()
    try:
        async with asyncio.timeout_at(started_s + check.timing.timeout_s):
            words = await probe.attempt(address, progress)
    except Exception as error:
        evidence, cause = _classify(error, check, progress)
        late_s = around.watch.late_since(started_s)
        if evidence is not Evidence.NO_EVIDENCE and late_s >= LATE_SHARE * check.timing.timeout_s:
            return Outcome(Evidence.NO_EVIDENCE, f"this process was {late_s:.1f} s late itself", address=address)
        latency_s = loop.time() - started_s if evidence is Evidence.ANSWERED_BADLY else None
        return Outcome(evidence, cause, latency_s, address)
    return Outcome(Evidence.OK, words, loop.time() - started_s, address)


async def _find_address(check: Check, around: Surroundings) -> str:
    if is_literal(check.target):
        return check.target
    try:
        async with asyncio.timeout(check.timing.timeout_s):
            return await around.resolver.address(check.target)
    except TimeoutError as error:
        raise NoEvidence("the system resolver did not answer") from error


def _classify(error: Exception, check: Check, progress: Progress) -> tuple[Evidence, str]:
    match error:
        case Fault():
            fault: Fault = error
        case TimeoutError():
            return Evidence.SILENT, f"timeout: {progress.waiting_for} did not come within {check.timing.timeout_s:g} s"
        case ssl.SSLError():
            fault = tls_fault(error)
        case OSError():
            fault = network_fault(error)
        case _:
            # A defect of ours must neither end the prober nor take a value out.
            log.exception("check failed by a defect", endpoint=check.endpoint_id, target=check.target, exc_info=error)
            return Evidence.NO_EVIDENCE, f"defect in the check: {type(error).__name__}"
    return fault.evidence, str(fault)
