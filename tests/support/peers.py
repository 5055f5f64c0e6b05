"""NSD, Knot and BIND from Debian as oracles for ordinary DNS: configured for a set of zones, started on loopback, ended."""

from __future__ import annotations

import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import dns.exception
import dns.flags
import dns.message
import dns.query

from tests.support.ending import end
from tests.support.ports import free_port

READY_WITHIN_S = 60.0


class Peer(ABC):
    """One name server process on 127.0.0.1 with the given zones (name without the final dot, "." for the root → master file)."""

    program: ClassVar[str]

    def __init__(self, directory: Path, zones: Mapping[str, Path], port: int | None = None) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.zones = zones
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def path(cls) -> str | None:
        """Where the program is, None when it is not installed."""
        return shutil.which(cls.program, path="/usr/sbin:/usr/bin:/usr/local/sbin")

    @abstractmethod
    def configure(self) -> list[str]:
        """Writes the configuration; the command that runs the server in the foreground."""

    def start(self) -> None:
        """Starts it and returns when it answers with authority for every zone."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self.configure(), stdout=log, stderr=log, cwd=self.directory)
        deadline = time.monotonic() + READY_WITHIN_S
        for zone in self.zones:
            query = dns.message.make_query(zone, "SOA")
            while not self._authoritative(query):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError(f"{self.program} does not serve {zone}:\n{(self.directory / 'log').read_text()[-3000:]}")
                time.sleep(0.05)

    def _authoritative(self, query: dns.message.QueryMessage) -> bool:
        try:
            reply = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=0.5)
        except (dns.exception.DNSException, OSError):
            return False
        return bool(reply.flags & dns.flags.AA)

    def stop(self) -> None:
        """Ends it."""
        end(self._process)


class Nsd(Peer):
    """NSD."""

    program = "nsd"

    def configure(self) -> list[str]:
        """nsd.conf."""
        configuration = self.directory / "nsd.conf"
        zones = "".join(f'zone:\n  name: "{name}"\n  zonefile: {path}\n' for name, path in self.zones.items())
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
  ipv4-edns-size: 1232
  ipv6-edns-size: 1232
  minimal-responses: yes
  rrl-ratelimit: 0
remote-control:
  control-enable: no
{zones}"""
        )
        return [self.path() or self.program, "-d", "-c", str(configuration)]


class Knot(Peer):
    """Knot; `modules` and `zone_options` are more configuration text for callers that measure its modules."""

    program = "knotd"
    modules = ""
    zone_options = ""
    server_options = ""

    def configure(self) -> list[str]:
        """knot.conf."""
        configuration = self.directory / "knot.conf"
        zones = "".join(f'  - domain: "{name}"\n    file: {path}\n{self.zone_options}' for name, path in self.zones.items())
        configuration.write_text(
            f"""server:
  rundir: {self.directory}
  listen: 127.0.0.1@{self.port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
{self.server_options}database:
  storage: {self.directory}
log:
  - target: stderr
    any: warning
{self.modules}template:
  - id: default
    semantic-checks: off
    zonefile-sync: -1
    journal-content: none
zone:
{zones}"""
        )
        return [self.path() or self.program, "-c", str(configuration)]


class Bind(Peer):
    """BIND; `minimal_responses` as in named.conf."""

    program = "named"
    minimal_responses = "no-auth"

    def configure(self) -> list[str]:
        """named.conf."""
        configuration = self.directory / "named.conf"
        zones = "".join(f'zone "{name}" {{ type primary; file "{path}"; check-names ignore; }};\n' for name, path in self.zones.items())
        configuration.write_text(
            f"""options {{
  directory "{self.directory}"; pid-file "{self.directory}/pid"; session-keyfile "{self.directory}/session";
  listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; notify no; minimal-responses {self.minimal_responses}; dnssec-validation no; empty-zones-enable no;
  max-udp-size 1232; check-integrity no; zero-no-soa-ttl no; allow-query-cache {{ none; }};
}};
controls {{ }};
{zones}"""
        )
        return [self.path() or self.program, "-f", "-n", "1", "-c", str(configuration)]


PEERS: list[type[Peer]] = [Nsd, Knot, Bind]
