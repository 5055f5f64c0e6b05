"""CPU per answered query beside the peers, in interleaved rounds, with ratios from the same run.

A world is a set of servers that run side by side on the same zone and are asked in turn. Every world has its own rounds, and in each
round every case is asked of every server, forwards and backwards in turn.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import dns.exception

from bench import cases as c
from bench.cases import Case, write_queries
from bench.goals import ratio
from bench.locations import write_small
from bench.measure import drive, estimate
from bench.report import Report
from bench.servers import Bind, Echo, Gdnsd, Geodns, GeodnsLimited, GeodnsSteering, Knot, Nsd, PowerDns, Server
from tests.support.accounts import cpu_ns, pss_mib

# Shares of the answers whose latency is told.
SHARES = (0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class World:
    """Servers side by side, and what each of them is asked that can answer it."""

    name: str
    about: str
    servers: tuple[type[Server], ...]
    cases: tuple[Case, ...]
    names: int = 1000
    has_latencies: bool = False


PEERS = (Gdnsd, Nsd, Knot, Bind, PowerDns)
WORLDS = (
    World(
        "peers",
        "1,000 names and a small location database",
        (Geodns, Echo, *PEERS),
        (c.STATIC, c.STATIC_PORTS, c.WEIGHTED_CASE, c.COUNTRY, c.NXDOMAIN, c.WILDCARD, c.DELEGATION, c.TCP, c.TCP_ONCE),
        has_latencies=True,
    ),
    World(
        "steering",
        "10,000 steered names, 100,000 values and a city-sized location database, beside geodns without",
        (Geodns, GeodnsSteering),
        (c.STATIC, c.CITY_STICKY, c.MANY_VALUES),
    ),
    World(
        "limits",
        "rate limiting on, at a rate that never triggers, beside geodns without",
        (Geodns, GeodnsLimited),
        (c.PACED_STATIC, c.PACED_NXDOMAIN),
    ),
    World("million", "1,000,000 names", (Geodns, Gdnsd, Nsd, Knot), (c.STATIC, c.NXDOMAIN), names=1_000_000),
)
SERVER_NAMES = tuple(dict.fromkeys(kind.name for world in WORLDS for kind in world.servers))
CASE_NAMES = tuple(dict.fromkeys(case.name for world in WORLDS for case in world.cases))


@dataclass(slots=True)
class Found:
    """Everything measured in one world beside the cost, by server, or by server and case."""

    rate: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    latency_us: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    ready_s: dict[str, float] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def measure(world: World, arguments: argparse.Namespace, scratch: Path, report: Report) -> None:
    """All rounds of a world."""
    report.begin(world.name, f"{world.about}; {arguments.rounds} rounds of {arguments.seconds:g} s")
    world = choose(world, arguments, report)
    queries = {case.name: scratch / f"{case.name}.queries" for case in world.cases}
    for case in world.cases:
        write_queries(case, world.names, queries[case.name])
    found = Found()
    servers: list[Server] = []
    try:
        start(world, scratch, servers, found, report)
        for number in range(arguments.rounds):
            for case in world.cases:
                for server in servers if number % 2 == 0 else reversed(servers):
                    if case.feature in server.features:
                        ask(world, server, case, queries[case.name], arguments.seconds, found, report)
            report.progress(f"{world.name}: round {number + 1} of {arguments.rounds}")
        for server in servers:
            found.memory_mib[server.name] = pss_mib(server.pid)
    finally:
        for server in servers:
            server.stop()
    report.add(*render(world, [server.name for server in servers], found, report))


def choose(world: World, arguments: argparse.Namespace, report: Report) -> World:
    """The world with what was asked for and is installed."""
    servers = tuple(kind for kind in world.servers if is_wanted(kind.name, arguments.servers))
    if missing := [kind.name for kind in servers if not kind.installed()]:
        report.add(f"left out, not installed: {', '.join(missing)}")
    cases = tuple(case for case in world.cases if is_wanted(case.name, arguments.cases))
    return replace(world, servers=tuple(kind for kind in servers if kind.installed()), cases=cases)


def is_wanted(name: str, wanted: list[str] | None) -> bool:
    """Nothing named is everything."""
    return wanted is None or name in wanted


def start(world: World, scratch: Path, servers: list[Server], found: Found, report: Report) -> None:
    """Starts all servers, and sees to it that they answer rightly; they join `servers`, which the caller ends.

    A peer that cannot is left out and told: Debian's AppArmor profile, for one, keeps named from files that are not in its own folders.
    """
    database = write_small(scratch / "small.mmdb")
    for kind in world.servers:
        server = kind(scratch, world.names, database)
        servers.append(server)
        try:
            found.ready_s[server.name] = server.start()
            for case in world.cases:
                if case.feature in server.features:
                    server.check(case)
        except (RuntimeError, dns.exception.DNSException) as error:
            if not server.is_peer:
                raise
            servers.remove(server)
            server.stop()
            report.add(f"left out: {server.name}: {error}")
        else:
            report.progress(f"{world.name}: {server.name} ready after {found.ready_s[server.name]:.2f} s")


def ask(world: World, server: Server, case: Case, queries: Path, seconds: float, found: Found, report: Report) -> None:
    """One case of one server, and where latencies are wanted the static case again at half of what it just answered."""
    before = cpu_ns(server.pid)
    result = drive(server.port, queries, case, seconds=seconds, pace=case.pace)
    spent_ns = cpu_ns(server.pid) - before
    if result.completed == 0:
        raise RuntimeError(f"{server.name} answered no query of {case.name}")
    report.cost_us[world.name, server.name, case.name].append(spent_ns / result.completed / 1000)
    found.rate[server.name, case.name].append(result.qps)
    found.lost[server.name] += result.lost
    if world.has_latencies and case is c.STATIC:
        paced = drive(server.port, queries, case, seconds=seconds, pace=int(result.qps / 2), with_latencies=True)
        found.latency_us[server.name].append([paced.latency_us(share) for share in SHARES])


def render(world: World, names: list[str], found: Found, report: Report) -> list[str]:
    """A world as text: medians with their 95 % intervals; of a ratio of medians, the interval of the ratios within a round."""
    lines = []
    for case in world.cases:
        lines += [f"\n{case.name:16} {'µs of CPU a query':24} {'queries a second':26} geodns/peer"]
        ours = report.cost_us.get((world.name, "geodns", case.name))
        for name in names:
            samples = report.cost_us.get((world.name, name, case.name))
            if not samples:
                continue
            over = str(ratio(ours, samples)) if ours and name != "geodns" else ""
            lines.append(f"  {name:16} {estimate(samples)!s:22} {estimate(found.rate[name, case.name])!s:26} {over}".rstrip())
    lines += [f"\n{'':18} {'ready s':>8} {'PSS MiB':>8} {'lost':>6}"]
    lines += [f"  {name:16} {found.ready_s[name]:8.2f} {found.memory_mib[name]:8.1f} {found.lost[name]:6}" for name in names]
    if found.latency_us:
        lines += ["\nlatency at half load, µs: " + ", ".join(f"p{100 * share:g}" for share in SHARES)]
        for name in names:
            told = [estimate([sample[index] for sample in found.latency_us[name]]) for index in range(len(SHARES))]
            lines.append(f"  {name:16} " + " ".join(f"{found!s:24}" for found in told).rstrip())
    return lines
