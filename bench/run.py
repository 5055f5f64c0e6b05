"""`make bench`: CPU per answered query beside the peers, in interleaved rounds, as text with ratios from the same run.

    python -m bench.run [--rounds 9] [--seconds 1] [--worlds peers,million] [--cases static,tcp] [--servers geodns,gdnsd]

A world is a set of servers that run side by side on the same zone; core 0 runs them (only the one that is driven does any work), the last
core runs dnsperf. Every world has its own rounds, and in each round every case is asked of every server, forwards and backwards in turn.

| world | what |
|---|---|
| peers | 1,000 names, a small location database: geodns, echo, gdnsd, NSD, Knot, BIND, PowerDNS |
| steering | geodns with 10,000 steered names, 100,000 values and a city-sized location database, beside geodns without |
| limits | geodns with rate limiting on, at a rate that never triggers, beside geodns without |
| million | 1,000,000 names |
| overload | geodns held to a tenth of a core and offered three times what it can answer (`bench.overload`) |
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench import cases as c
from bench import overload
from bench.cases import Case, write_queries
from bench.goals import GOALS, Key, ratio
from bench.locations import write_small
from bench.measure import cpu_ns, drive, estimate, pss_mib
from bench.servers import (
    ROOT,
    Bind,
    Echo,
    Gdnsd,
    Geodns,
    GeodnsLimited,
    GeodnsSteering,
    Knot,
    Nsd,
    PowerDns,
    Server,
    commit_of,
    hostless_description,
    versions,
)

SERVER_CORE = 0
# Shares of the answers whose latency is told.
SHARES = (0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class World:
    """Servers side by side, and what each of them is asked that can answer it."""

    name: str
    servers: tuple[type[Server], ...]
    cases: tuple[Case, ...]
    names: int = 1000
    has_latencies: bool = False


WORLDS = (
    World(
        "peers",
        (Geodns, Echo, Gdnsd, Nsd, Knot, Bind, PowerDns),
        (c.STATIC, c.WEIGHTED_CASE, c.COUNTRY, c.NXDOMAIN, c.WILDCARD, c.DELEGATION, c.TCP, c.TCP_ONCE),
        has_latencies=True,
    ),
    World("steering", (Geodns, GeodnsSteering), (c.STATIC, c.CITY_STICKY, c.MANY_VALUES)),
    World("limits", (Geodns, GeodnsLimited), (c.PACED_STATIC, c.PACED_NXDOMAIN)),
    World("million", (Geodns, Gdnsd, Nsd, Knot), (c.STATIC, c.NXDOMAIN), names=1_000_000),
)
OVERLOAD = "overload"


@dataclass(slots=True)
class Found:
    """Everything measured, by world, server and case."""

    cost_us: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    rate: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    latency_us: dict[tuple[str, str], list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    ready_s: dict[tuple[str, str], float] = field(default_factory=dict)
    memory_mib: dict[tuple[str, str], float] = field(default_factory=dict)
    lost: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))


def main() -> int:
    """Measures and prints; the report is also written to bench/results/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each drive")
    parser.add_argument("--worlds", default=",".join([*(world.name for world in WORLDS), OVERLOAD]))
    parser.add_argument("--cases", help="only these")
    parser.add_argument("--servers", help="only these")
    parser.add_argument("--output", type=Path, help="where the report goes besides the terminal")
    arguments = parser.parse_args()
    begun = time.monotonic()
    found = Found()
    worlds = [choose(world, arguments) for world in WORLDS if world.name in arguments.worlds.split(",")]
    report = [
        f"geodns bench, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit_of()}",
        f"machine {hostless_description()}",
        f"command python -m bench.run {shlex.join(sys.argv[1:])}",
        f"rounds {arguments.rounds}, seconds of a drive {arguments.seconds:g}",
        f"versions {versions()}",
    ]
    with tempfile.TemporaryDirectory(prefix="geodns-bench-") as scratch:
        Path(scratch).chmod(0o755)
        for world in worlds:
            measure(world, Path(scratch) / world.name, arguments, found)
            report += ["", *render(world, found)]
        if OVERLOAD in arguments.worlds.split(","):
            report += ["", *overload.measure(Path(scratch) / OVERLOAD)]
    report += ["", *render_goals(found), "", f"{time.monotonic() - begun:.0f} s in all"]
    text = "\n".join(report) + "\n"
    print(text)
    output = arguments.output or ROOT / "bench/results" / f"{datetime.now(UTC):%Y-%m-%d-%H%M}.txt"
    output.write_text(text)
    return 0


def choose(world: World, arguments: argparse.Namespace) -> World:
    """The world with what was asked for and is installed."""
    servers = tuple(kind for kind in world.servers if kind.installed() and is_wanted(kind.name, arguments.servers))
    cases = tuple(case for case in world.cases if is_wanted(case.name, arguments.cases))
    return World(world.name, servers, cases, world.names, world.has_latencies)


def is_wanted(name: str, wanted: str | None) -> bool:
    return wanted is None or name in wanted.split(",")


def measure(world: World, scratch: Path, arguments: argparse.Namespace, found: Found) -> None:
    """All rounds of a world."""
    scratch.mkdir()
    database = write_small(scratch / "small.mmdb")
    queries = {case.name: scratch / f"{case.name}.queries" for case in world.cases}
    for case in world.cases:
        write_queries(case, world.names, queries[case.name])
    servers: list[Server] = []
    try:
        for kind in world.servers:
            server = kind(scratch, SERVER_CORE, world.names, database)
            servers.append(server)
            found.ready_s[world.name, server.name] = server.start()
            for case in world.cases:
                if case.feature in server.features:
                    server.check(case)
            print(f"{world.name}: {server.name} ready after {found.ready_s[world.name, server.name]:.2f} s", file=sys.stderr)
        for number in range(arguments.rounds):
            for case in world.cases:
                for server in servers if number % 2 == 0 else reversed(servers):
                    if case.feature in server.features:
                        ask(world, server, case, queries[case.name], arguments.seconds, found)
            print(f"{world.name}: round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for server in servers:
            found.memory_mib[world.name, server.name] = pss_mib(server.pid)
    finally:
        for server in servers:
            server.stop()


def ask(world: World, server: Server, case: Case, queries: Path, seconds: float, found: Found) -> None:
    """One case of one server, and where latencies are wanted the static case again at half of what it just answered."""
    core = (os.cpu_count() or 1) - 1
    before = cpu_ns(server.pid)
    result = drive(server.port, queries, case, seconds=seconds, core=core, pace=case.pace)
    spent_ns = cpu_ns(server.pid) - before
    if result.completed == 0:
        raise RuntimeError(f"{server.name} answered no query of {case.name}")
    key = (world.name, server.name, case.name)
    found.cost_us[key].append(spent_ns / result.completed / 1000)
    found.rate[key].append(result.qps)
    found.lost[world.name, server.name] += result.lost
    if world.has_latencies and case is c.STATIC:
        paced = drive(server.port, queries, case, seconds=seconds, core=core, pace=int(result.qps / 2), with_latencies=True)
        found.latency_us[world.name, server.name].append([paced.latency_us(share) for share in SHARES])


def render(world: World, found: Found) -> list[str]:
    """A world as text."""
    lines = [
        f"== {world.name}: {world.names} names",
        "CPU per answered query, µs: median [95 % interval]; geodns/peer: ratio of medians [95 % interval of the ratios within a round]",
    ]
    names = [kind.name for kind in world.servers]
    for case in world.cases:
        rows = [(name, found.cost_us.get((world.name, name, case.name))) for name in names]
        ours = found.cost_us.get((world.name, "geodns", case.name))
        lines.append(f"\n{case.name}")
        for name, samples in rows:
            if not samples:
                continue
            line = f"  {name:16} {estimate(samples)!s:22} {estimate(found.rate[world.name, name, case.name]).median:9.0f} q/s"
            if ours and name != "geodns":
                line += f"   geodns/{name} {ratio(ours, samples)}"
            lines.append(line)
    lines.append(
        "\nserver            ready s   PSS MiB   lost" + ("   latency at half load, µs: p50     p99   p99.9" if world.has_latencies else "")
    )
    for name in names:
        key = (world.name, name)
        line = f"{name:16} {found.ready_s[key]:8.2f} {found.memory_mib[key]:9.1f} {found.lost[key]:6}"
        if samples_us := found.latency_us.get(key):
            medians = [estimate([sample[index] for sample in samples_us]).median for index in range(len(SHARES))]
            line += f"{medians[0]:31.0f} {medians[1]:7.0f} {medians[2]:7.0f}"
        lines.append(line)
    return lines


def render_goals(found: Found) -> list[str]:
    """Which goals hold."""
    judged = [line for goal in GOALS if (line := goal.judge(found.cost_us)) is not None]
    return ["== goals: ratio of medians [95 % interval of the ratios within a round]", *judged]


if __name__ == "__main__":
    sys.exit(main())
