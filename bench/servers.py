"""The servers under measurement: geodns, its peers from Debian, and the echo floor. Each writes its configuration, starts, and ends.

All listen on 127.0.0.1 with one worker (UDP) and otherwise default settings, and are pinned to one core.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import dns.exception
import dns.message
import dns.query

from bench.cases import CITY_VALUES, ELSEWHERE, EU, STEERED_NAMES, VALUES_EACH, WEIGHTED, ZONE, Case, static_lines
from bench.locations import write_city
from bench.measure import PROGRAMS, SERVER_CORE
from bench.report import ROOT
from tests.support.ending import end
from tests.support.ports import free_port

ECHO = PROGRAMS / "geodns-bench-echo"
# geodns reads a zone file of a million names into its database first.
READY_WITHIN_S = 600.0
# A city-sized location database is compiled beside the first answers.
RIGHT_WITHIN_S = 60.0


class Server(ABC):
    """One server process on one port."""

    name: ClassVar[str]
    features: ClassVar[frozenset[str]] = frozenset({"static", "tcp"})
    # A peer may be missing, or may not start; what is ours may not.
    is_peer: ClassVar[bool] = True

    def __init__(self, directory: Path, names: int, database: Path) -> None:
        self.directory = directory / self.name
        self.directory.mkdir(parents=True)
        self.names = names
        self.database = database
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    @abstractmethod
    def installed(cls) -> bool:
        """Whether it can take part on this machine."""

    @abstractmethod
    def configure(self) -> list[str]:
        """Writes zones and configuration; the command that runs the server in the foreground."""

    def zone_file(self, extra: Iterable[str] = ()) -> Path:
        """The zone in master form."""
        path = self.directory / f"{ZONE}.zone"
        with path.open("w") as file:
            file.writelines(f"{line}\n" for line in [*static_lines(self.names), *extra])
        return path

    def environment(self) -> dict[str, str]:
        """The process's environment."""
        return dict(os.environ)

    def start(self) -> float:
        """Starts it on its core; the seconds until it answered its first query."""
        command = self.configure()
        log = (self.directory / "log").open("ab")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), *command], stdout=log, stderr=log, cwd=self.directory, env=self.environment()
        )
        self.wait_answer(begin + READY_WITHIN_S)
        return time.monotonic() - begin

    def wait_answer(self, deadline: float) -> None:
        """Asks until an answer comes."""
        query = dns.message.make_query(f"n0000000.{ZONE}", "A")
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended:\n{(self.directory / 'log').read_text()[-2000:]}")
            try:
                reply = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=0.2)
            except (dns.exception.DNSException, OSError):
                time.sleep(0.02)
                continue
            if reply.answer:
                return
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} did not answer:\n{(self.directory / 'log').read_text()[-2000:]}")

    def check(self, case: Case) -> None:
        """Sees to it that what is measured is the right answer."""
        query = case.query(random.Random(53), self.names)  # noqa: S311 # a workload, not a secret
        ask = dns.query.tcp if case.transport == "tcp" else dns.query.udp
        deadline = time.monotonic() + RIGHT_WITHIN_S
        while complaint := case.complaint(ask(query, "127.0.0.1", port=self.port, timeout=5)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} answers {case.name} wrongly: {complaint}")
            time.sleep(0.2)

    @property
    def pid(self) -> int:
        """The process whose CPU and memory count."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self.process.pid

    def stop(self) -> None:
        """Ends it."""
        end(self.process)


class Echo(Server):
    """The floor: receives, patches, sends."""

    name = "echo"
    features = frozenset({"static", "geo"})
    is_peer = False

    @classmethod
    def installed(cls) -> bool:
        return True

    def configure(self) -> list[str]:
        return [str(ECHO), str(self.port)]

    def check(self, case: Case) -> None:
        """It answers nothing, in the size of an answer."""


class Geodns(Server):
    """`geodns serve`; the dataplane's CPU and memory count, and control is idle on the same core."""

    name = "geodns"
    features = frozenset({"static", "tcp", "weighted", "geo"})
    is_peer = False

    @classmethod
    def installed(cls) -> bool:
        return True

    def configure(self) -> list[str]:
        zones = self.directory / "zones"
        zones.mkdir()
        self.zone_file().rename(zones / f"{ZONE}.zone")
        (zones / f"{ZONE}.yaml").write_text(self.steered_names())
        return [sys.executable, "-m", "geodns", "serve"]

    def steered_names(self) -> str:
        """The zone's dynamic records."""
        pool = ", ".join(f"{{value: {value}, weight: {weight}, status: up}}" for value, weight in WEIGHTED)
        return f"""weighted:
  type: A
  ttl: 300
  values: [192.0.2.10]
  dynamic: {{pools: {{one: {{values: [{pool}]}}}}, rules: [{{pool: one}}]}}
country:
  type: A
  ttl: 300
  values: [{ELSEWHERE}]
  dynamic:
    pools:
      eu: {{values: [{{value: {EU}, status: up}}]}}
      elsewhere: {{values: [{{value: {ELSEWHERE}, status: up}}]}}
    rules: [{{geos: [EU], pool: eu}}, {{pool: elsewhere}}]
"""

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "GEODNS_DNS_LISTEN": f"127.0.0.1:{self.port}",
            "GEODNS_DNS_WORKERS": "1",
            "GEODNS_API_LISTEN": f"127.0.0.1:{free_port()}",
            "GEODNS_STATE_DIRECTORY": str(self.directory / "state"),
            "GEODNS_ZONES_DIRECTORY": str(self.directory / "zones"),
            "GEODNS_GEO_DATABASES": str(self.database),
        }

    @property
    def pid(self) -> int:
        import psutil

        (dataplane,) = [child for child in psutil.Process(super().pid).children(recursive=True) if "geodns-dataplane" in child.name()]
        return int(dataplane.pid)


class GeodnsSteering(Geodns):
    """geodns with 10,000 steered names, 100,000 values and a location database of the size of a city one."""

    name = "geodns-steering"
    features = frozenset({"city"})

    def steered_names(self) -> str:
        # JSON is YAML, and the reader is quick with it.
        rules = [{"geos": [geo], "pool": geo.rpartition("-")[2]} for geo in CITY_VALUES if geo]
        pools = {(geo or "elsewhere").rpartition("-")[2]: values for geo, values in CITY_VALUES.items()}
        city = {
            **self.record(next(iter(pools.values()))[0], pools, [*rules, {"pool": "elsewhere"}]),
            "octodns": {"geodns": {"select": "sticky"}},
        }
        many = {}
        for number in range(STEERED_NAMES):
            values = [f"10.{number >> 8}.{number & 255}.{value}" for value in range(VALUES_EACH)]
            many[f"s{number:05}"] = self.record(values[0], {"one": values}, [{"pool": "one"}])
        return "".join(f"{owner}: {json.dumps(record)}\n" for owner, record in {"city": city, **many}.items())

    @staticmethod
    def record(value: str, pools: Mapping[str, Sequence[str]], rules: Sequence[Mapping[str, object]]) -> dict[str, object]:
        """One dynamic A record; values weigh differently, so that a draw is a search."""
        weighed = {
            pool: {"values": [{"value": value, "weight": 1 + index % 3, "status": "up"} for index, value in enumerate(values)]}
            for pool, values in pools.items()
        }
        return {"type": "A", "ttl": 300, "values": [value], "dynamic": {"pools": weighed, "rules": rules}}

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "GEODNS_GEO_DATABASES": str(write_city(self.directory / "city.mmdb"))}


class GeodnsLimited(Geodns):
    """geodns with rate limiting at a rate that the bench does not reach."""

    name = "geodns-limited"
    features = frozenset({"static"})

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "GEODNS_RRL_RATE": "100000", "GEODNS_RRL_DRY_RUN": "false"}


class Gdnsd(Server):
    """gdnsd with its weighted and geoip plugins."""

    name = "gdnsd"
    features = frozenset({"static", "tcp", "weighted", "geo"})

    @classmethod
    def installed(cls) -> bool:
        return shutil.which("gdnsd", path="/usr/sbin:/usr/bin") is not None

    def configure(self) -> list[str]:
        (self.directory / "zones").mkdir()
        (self.directory / "run").mkdir()
        steered = ["weighted 300 DYNA weighted!w", "country 300 DYNA geoip!c"]
        self.zone_file(steered).rename(self.directory / "zones" / ZONE)
        weighted = ", ".join(f"v{position} = [{value}, {weight}]" for position, (value, weight) in enumerate(WEIGHTED))
        (self.directory / "config").write_text(
            f"""options => {{
  listen => 127.0.0.1, dns_port => {self.port}, udp_threads => 1, tcp_threads => 1,
  run_dir => {self.directory}/run, state_dir => {self.directory}/run
}}
plugins => {{
  weighted => {{ multi = false, service_types = up, w => {{ {weighted} }} }}
  geoip => {{
    maps => {{ m => {{ geoip2_db => {self.database}, datacenters => [eu, elsewhere], map => {{ EU => [eu], default => [elsewhere] }} }} }}
    resources => {{ c => {{ map => m, service_types = up, dcmap => {{ eu => {EU}, elsewhere => {ELSEWHERE} }} }} }}
  }}
}}
"""
        )
        return ["/usr/sbin/gdnsd", "-c", str(self.directory), "start"]


class Nsd(Server):
    """NSD."""

    name = "nsd"

    @classmethod
    def installed(cls) -> bool:
        return Path("/usr/sbin/nsd").exists()

    def configure(self) -> list[str]:
        zone = self.zone_file()
        configuration = self.directory / "nsd.conf"
        configuration.write_text(
            f"""server:
  ip-address: 127.0.0.1@{self.port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: {self.directory}
  database: ""
  pidfile: {self.directory}/pid
  xfrdfile: {self.directory}/xfrd
  zonelistfile: {self.directory}/zone.list
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: {ZONE}
  zonefile: {zone}
"""
        )
        return ["/usr/sbin/nsd", "-d", "-c", str(configuration)]


class Knot(Server):
    """Knot with mod-geoip."""

    name = "knot"
    features = frozenset({"static", "tcp", "weighted", "geo"})

    @classmethod
    def installed(cls) -> bool:
        return Path("/usr/sbin/knotd").exists()

    def configure(self) -> list[str]:
        zone = self.zone_file(["weighted 300 A 192.0.2.10", f"country 300 A {ELSEWHERE}"])
        weighted = "".join(f"    - weight: {weight}\n      A: {value}\n" for value, weight in WEIGHTED)
        (self.directory / "weighted.conf").write_text(f"weighted.{ZONE}:\n{weighted}".replace("    -", "  -").replace("      A", "    A"))
        (self.directory / "geo.conf").write_text(f"country.{ZONE}:\n  - geo: DE\n    A: {EU}\n")
        configuration = self.directory / "knot.conf"
        configuration.write_text(
            f"""server:
  rundir: {self.directory}
  listen: 127.0.0.1@{self.port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  edns-client-subnet: on
database:
  storage: {self.directory}
log:
  - target: stderr
    any: warning
mod-geoip:
  - id: weighted
    config-file: {self.directory}/weighted.conf
    ttl: 300
    mode: weighted
  - id: geo
    config-file: {self.directory}/geo.conf
    ttl: 300
    mode: geodb
    geodb-file: {self.database}
    geodb-key: [country/iso_code]
zone:
  - domain: {ZONE}
    file: {zone}
    module: [mod-geoip/weighted, mod-geoip/geo]
"""
        )
        return ["/usr/sbin/knotd", "-c", str(configuration)]


class Bind(Server):
    """BIND."""

    name = "bind"

    @classmethod
    def installed(cls) -> bool:
        return Path("/usr/sbin/named").exists()

    def configure(self) -> list[str]:
        zone = self.zone_file()
        configuration = self.directory / "named.conf"
        configuration.write_text(
            f"""options {{
  directory "{self.directory}"; pid-file "{self.directory}/pid"; session-keyfile "{self.directory}/session";
  listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; notify no; minimal-responses yes; dnssec-validation no;
}};
controls {{ }};
zone "{ZONE}" {{ type primary; file "{zone}"; }};
"""
        )
        return ["/usr/sbin/named", "-f", "-n", "1", "-c", str(configuration)]


class PowerDns(Server):
    """PowerDNS with the BIND backend and LUA records; its caches stay on, as they are by default."""

    name = "pdns"
    features = frozenset({"static", "tcp", "weighted", "geo"})

    @classmethod
    def installed(cls) -> bool:
        return Path("/usr/sbin/pdns_server").exists()

    def configure(self) -> list[str]:
        choices = ", ".join(f"{{{weight}, '{value}'}}" for value, weight in WEIGHTED)
        country = f"""country 300 LUA A ";if(country('DE')) then return '{EU}' else return '{ELSEWHERE}' end\""""
        zone = self.zone_file([f'weighted 300 LUA A "pickwrandom({{{choices}}})"', country])
        (self.directory / "named.conf").write_text(f'zone "{ZONE}" {{ type master; file "{zone}"; }};\n')
        (self.directory / "pdns.conf").write_text(
            f"""launch=bind,geoip
geoip-database-files=mmdb:{self.database}
edns-subnet-processing=yes
bind-config={self.directory}/named.conf
local-address=127.0.0.1
local-port={self.port}
socket-dir={self.directory}
daemon=no
guardian=no
receiver-threads=1
enable-lua-records=yes
loglevel=3
"""
        )
        return ["/usr/sbin/pdns_server", f"--config-dir={self.directory}"]
