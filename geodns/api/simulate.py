"""`/simulate`: what would be answered if. The dataplane's own code works it out, and nothing is changed by it."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence

from geodns.api.binding import Call, Nothing, Reply
from geodns.api.common import at_pointer, rtype_of
from geodns.api.models import AssumedState, AssumptionInput, Document, PrefixWeight, SimulationInput
from geodns.api.overrides import parse_any_target
from geodns.api.seam import Node
from geodns.control.overlay import OverrideKind
from geodns.control.simulation import Assumed, Databases, Prefixes, Question
from geodns.errors import InvalidInput, Problem
from geodns.model import names
from geodns.model.steering import Network

STATES = {
    AssumedState.UP: Assumed.UP,
    AssumedState.DOWN: Assumed.DOWN,
    AssumedState.DRAIN: Assumed.DRAIN,
    AssumedState.FAIL: Assumed.FAIL,
}

MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 as written in IPv6 (RFC 4291 §2.5.5.2); a decision takes it for IPv4."""


async def simulate(call: Call[Node, Nothing, SimulationInput]) -> Reply:
    # Twenty thousand prefixes take a quarter of a second, which the checks on this loop must not wait for.
    question = await asyncio.to_thread(parse_question, call.body)
    return Reply(Document(dict(await call.node.simulate(question))))


def parse_question(body: SimulationInput) -> Question:
    """Raises InvalidInput with every problem."""
    problems: list[Problem] = []
    name = rtype = None
    try:
        name = None if body.name is None else at_pointer("/name", lambda text: names.parse_name(text, None), body.name)
    except InvalidInput as error:
        problems += error.problems
    try:
        rtype = None if body.type is None else rtype_of(body.type, "/type")
    except InvalidInput as error:
        problems += error.problems
    for key in ("type", "record"):
        if body.name is None and getattr(body, key) is not None:
            problems.append(Problem("/name", "missing", f"with {key} the name of the record is needed"))
    assumptions = _parse_assumptions(body.assume, problems)
    weights = [] if body.population is None else _parse_population(body.population, problems)
    if problems:
        raise InvalidInput(problems)
    population = Databases(body.ipv6_share) if body.population is None else Prefixes(tuple(weights))
    record = None if body.record is None else body.record.root
    return Question(name, rtype, record, assumptions, population, body.seed)


def _parse_assumptions(given: Sequence[AssumptionInput], problems: list[Problem]) -> Mapping[tuple[OverrideKind, str], Assumed]:
    parsed: dict[tuple[OverrideKind, str], Assumed] = {}
    for index, assumption in enumerate(given):
        pointer = f"/assume/{index}/target"
        try:
            target = at_pointer(pointer, parse_any_target, assumption.target)
        except InvalidInput as error:
            problems += error.problems
            continue
        if (target.kind, target.text) in parsed:
            problems.append(Problem(pointer, "assumed-twice", f"{target.kind.value}/{target.text} is assumed something of twice"))
        parsed[target.kind, target.text] = STATES[assumption.state]
    return parsed


def _parse_population(given: Sequence[PrefixWeight], problems: list[Problem]) -> list[tuple[Network, float]]:
    parsed: list[tuple[Network, float]] = []
    for index, each in enumerate(given):
        try:
            network: Network = ipaddress.ip_network(each.prefix)
        except ValueError:
            sentence = f"{each.prefix[:64]!r} is not a prefix; write 192.0.2.0/24, without bits beyond its length"
            problems.append(Problem(f"/population/{index}/prefix", "bad-prefix", sentence))
            continue
        parsed.append((_unmap(network), each.weight))
    if given and not problems and not any(weight for _, weight in parsed):
        problems.append(Problem("/population", "no-weight", "nobody counts: every weight is 0"))
    return parsed


def _unmap(network: Network) -> Network:
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - MAPPED.prefixlen))
    return network
