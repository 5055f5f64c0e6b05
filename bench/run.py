"""`make bench`: CPU per answered query beside the peers, in interleaved rounds, as text with ratios from the same run.

    python -m bench.run [--rounds 9] [--seconds 2] [--names 1000] [--cases static,tcp] [--servers geodns,gdnsd]

Core 0 runs the servers (only the one that is driven does any work), the last core runs dnsperf.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from bench.cases import CASES, Case, write_queries
from bench.measure import cpu_ns, drive, estimate, pss_mib
from bench.servers import ROOT, SERVERS, Server, hostless_description, versions
from tests.support.mmdb import write_continents

SERVER_CORE = 0


def main() -> int:
    """Measures and prints; the report is also written to bench/results/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each drive")
    parser.add_argument("--names", type=int, default=1000, help="static names in the zone")
    parser.add_argument("--cases", default=",".join(case.name for case in CASES))
    parser.add_argument("--servers", default=",".join(server.name for server in SERVERS))
    parser.add_argument("--output", type=Path, help="where the report goes besides the terminal")
    arguments = parser.parse_args()
    cases = [case for case in CASES if case.name in arguments.cases.split(",")]
    chosen = [server for server in SERVERS if server.name in arguments.servers.split(",") and server.installed()]
    with tempfile.TemporaryDirectory(prefix="geodns-bench-") as scratch:
        report = measure(Path(scratch), chosen, cases, arguments)
    print(report)
    output = arguments.output or ROOT / "bench/results" / f"{datetime.now(UTC):%Y-%m-%d-%H%M}-{arguments.names}.txt"
    output.write_text(report)
    return 0


def measure(scratch: Path, chosen: list[type[Server]], cases: list[Case], arguments: argparse.Namespace) -> str:
    """All rounds; the report."""
    scratch.chmod(0o755)
    database = write_continents(scratch / "continents.mmdb")
    queries = {case.name: scratch / f"{case.name}.txt" for case in cases}
    for case in cases:
        write_queries(case, arguments.names, queries[case.name])
    servers: list[Server] = []
    cost: dict[tuple[str, str], list[float]] = defaultdict(list)
    rate: dict[tuple[str, str], list[float]] = defaultdict(list)
    ready: dict[str, float] = {}
    lost: dict[str, int] = defaultdict(int)
    client_core = (os.cpu_count() or 1) - 1
    try:
        for kind in chosen:
            server = kind(scratch, SERVER_CORE, arguments.names, database)
            servers.append(server)
            ready[server.name] = server.start()
            print(f"{server.name} ready after {ready[server.name]:.2f} s", file=sys.stderr)
        for round_number in range(arguments.rounds):
            for case in cases:
                for server in servers:
                    if not (case.features <= server.features or (server.name == "echo" and case.transport == "udp")):
                        continue
                    before = cpu_ns(server.pid)
                    result = drive(
                        server.port,
                        queries[case.name],
                        seconds=arguments.seconds,
                        core=client_core,
                        transport=case.transport,
                        edns=case.edns,
                    )
                    spent = cpu_ns(server.pid) - before
                    cost[server.name, case.name].append(spent / max(result.completed, 1) / 1000)
                    rate[server.name, case.name].append(result.qps)
                    lost[server.name] += result.lost
            print(f"round {round_number + 1} of {arguments.rounds}", file=sys.stderr)
        memory = {server.name: pss_mib(server.pid) for server in servers}
    finally:
        for server in servers:
            server.stop()
    return render(arguments, cases, servers, cost, rate, ready, memory, lost)


def render(
    arguments: argparse.Namespace,
    cases: list[Case],
    servers: list[Server],
    cost: dict[tuple[str, str], list[float]],
    rate: dict[tuple[str, str], list[float]],
    ready: dict[str, float],
    memory: dict[str, float],
    lost: dict[str, int],
) -> str:
    """The report as text."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    lines = [
        f"geodns bench, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit or 'unknown'}",
        f"machine {hostless_description()}",
        f"command python -m bench.run --rounds {arguments.rounds} --seconds {arguments.seconds:g} --names {arguments.names}",
        f"versions {versions()}",
        "",
        "CPU per answered query, µs: median [95 % interval] over the rounds; geodns/peer: median of the ratios within a round",
    ]
    for case in cases:
        lines.append(f"\n{case.name}")
        ours = cost.get(("geodns", case.name))
        for server in servers:
            samples = cost.get((server.name, case.name))
            if not samples:
                continue
            line = f"  {server.name:8} {estimate(samples)!s:22} {estimate(rate[server.name, case.name]).median:9.0f} q/s"
            if ours and server.name != "geodns":
                line += f"   geodns/{server.name} {estimate([mine / theirs for mine, theirs in zip(ours, samples, strict=True)])}"
            lines.append(line)
    lines.append("\nserver     ready s   PSS MiB   lost")
    lines += [f"{s.name:10} {ready[s.name]:7.2f} {memory[s.name]:9.1f} {lost[s.name]:6}" for s in servers]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    start = time.monotonic()
    status = main()
    print(f"{time.monotonic() - start:.0f} s in all", file=sys.stderr)
    sys.exit(status)
