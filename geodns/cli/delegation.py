"""`geodns status --delegation ZONE`: whether the world can find the zone (docs/operations.md, "Delegating").

Asked are this node itself, the servers of the parent zone (the NS set in their referral, and its glue), and every name server that
either names: each must be authoritative, give the same NS set, and the same serial. `examine` only reasons; what goes over the network
is handed in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import typer
from rich.markup import escape

from geodns.cli.exits import Exit
from geodns.cli.output import say, say_json, table
from geodns.errors import InvalidInput, Problem
from geodns.model import names
from geodns.settings import ListenAddress, Settings

TIMEOUT_S = 3.0
"""For one question across the Internet."""

PAYLOAD = 1232
"""RFC 9715 §3.2: no fragments."""

DNS_PORT = 53

AT_ONCE = 16
"""Questions under way: a zone has a handful of servers, each with two addresses."""


@dataclass(frozen=True, slots=True)
class Server:
    """A name server at one of its addresses."""

    name: str
    address: str
    port: int = DNS_PORT

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.name else f"{self.address} port {self.port}"


@dataclass(frozen=True, slots=True)
class Said:
    """What a server said about (name, type), or why nothing (`fault`). Names and values are lower-case text, names with their final dot."""

    authoritative: bool = False
    nameservers: frozenset[str] = frozenset()
    addresses: frozenset[tuple[str, str]] = frozenset()
    serial: int | None = None
    fault: str = ""


class World(Protocol):
    """The network, as far as it is asked."""

    def ask(self, server: Server, name: str, rtype: str) -> Said:
        """One question; never raises."""
        ...

    def find_nameservers(self, zone: str) -> list[str]:
        """The NS names of a zone by the system's resolver; empty where there are none."""
        ...

    def find_addresses(self, name: str) -> list[str]:
        """Addresses of a host by the system's resolver."""
        ...


@dataclass(frozen=True, slots=True)
class Findings:
    """A delegation as it was found."""

    zone: str
    parent_zone: str
    parent: frozenset[str]
    node: Said
    servers: tuple[tuple[Server, Said], ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class Examiner:
    """Collects what it finds; one for each examination."""

    zone: str
    world: World
    problems: list[str] = field(default_factory=list)

    def examine(self, node: Server, parent: Server | None) -> Findings:
        """`node` is this node's own listener; `parent` None = find the parent's servers."""
        said = self._ask_node(node)
        parent_zone, servers = ("", [parent]) if parent is not None else self._find_parent()
        named, glue = self._ask_parents(servers, parent_zone)
        self._compare("the parent", named, said.nameservers)
        self._judge_glue(named | said.nameservers, glue, node)
        asked = self._ask_servers(sorted(named | said.nameservers), glue, said)
        return Findings(self.zone, parent_zone, named, said, tuple(asked), tuple(self.problems))

    def _ask_node(self, node: Server) -> Said:
        nameservers, soa = self._ask_all([(node, self.zone, "NS"), (node, self.zone, "SOA")])
        if nameservers.fault or soa.fault:
            self.problems.append(f"this node ({node}) does not answer for {self.zone}: {nameservers.fault or soa.fault}")
        elif not nameservers.authoritative or soa.serial is None:
            self.problems.append(f"this node ({node}) is not authoritative for {self.zone}")
        return Said(nameservers.authoritative, nameservers.nameservers, serial=soa.serial, fault=nameservers.fault or soa.fault)

    def _find_parent(self) -> tuple[str, list[Server]]:
        """The nearest zone above; a label without NS records is no zone."""
        name = dns.name.from_text(self.zone)
        while name != dns.name.root:
            name = name.parent()
            hosts = self.world.find_nameservers(name.to_text())
            servers = [Server(host, address) for host in hosts for address in self.world.find_addresses(host)]
            if servers:
                return name.to_text(), servers
        self.problems.append(f"the zone above {self.zone} cannot be found: does this machine resolve names?")
        return "", []

    def _ask_parents(self, servers: Sequence[Server], parent_zone: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """The NS set that the parent's servers name, and the addresses that come with it."""
        replies = self._ask_all([(server, self.zone, "NS") for server in servers])
        answered = [(server, said) for server, said in zip(servers, replies, strict=True) if not said.fault]
        for server, said in zip(servers, replies, strict=True):
            if said.fault:
                self.problems.append(f"the parent's server {server} does not answer: {said.fault}")
            elif not said.nameservers:
                self.problems.append(
                    f"the parent's server {server} has no delegation for {self.zone}: add its NS records to {parent_zone or 'the parent'}"
                )
        if len({said.nameservers for _, said in answered}) > 1:
            self.problems.append("the parent's servers disagree on the delegation: wait for its secondaries, or look at its serials")
        named = frozenset(name for _, said in answered for name in said.nameservers)
        return named, frozenset(pair for _, said in answered for pair in said.addresses)

    def _compare(self, who: str, theirs: frozenset[str], ours: frozenset[str]) -> None:
        if not theirs or not ours:
            return  # said before, and not a difference
        for name in sorted(ours - theirs):
            self.problems.append(f"{who} does not name {name}, which the zone on this node does")
        for name in sorted(theirs - ours):
            self.problems.append(f"{who} names {name}, which the zone on this node does not")

    def _judge_glue(self, hosts: frozenset[str], glue: frozenset[tuple[str, str]], node: Server) -> None:
        """A server whose name lies in the zone can only be found by glue (RFC 9471), which must be what the zone says."""
        for host in sorted(hosts):
            if not dns.name.from_text(host).is_subdomain(dns.name.from_text(self.zone)):
                continue
            given = {address for name, address in glue if name == host}
            replies = self._ask_all([(node, host, "A"), (node, host, "AAAA")])
            own = {address for said in replies for name, address in said.addresses if name == host}
            if not given:
                self.problems.append(f"the parent has no glue for {host}: add its addresses there")
            if not own:
                self.problems.append(f"the zone has no address for {host}, which it names as a server")
            for address in sorted(given - own if own else ()):
                self.problems.append(f"the parent's glue for {host} says {address}, which the zone does not")
            for address in sorted(own - given if given else ()):
                self.problems.append(f"the parent's glue for {host} lacks {address}")

    def _ask_servers(self, hosts: Sequence[str], glue: frozenset[tuple[str, str]], node: Said) -> list[tuple[Server, Said]]:
        servers: list[Server] = []
        for host in hosts:
            addresses = sorted({address for name, address in glue if name == host}) or self.world.find_addresses(host)
            if not addresses:
                self.problems.append(f"{host} has no address")
            servers += [Server(host, address) for address in addresses]
        replies = self._ask_all([(server, self.zone, rtype) for server in servers for rtype in ("SOA", "NS")])
        asked = []
        for number, server in enumerate(servers):
            soa, nameservers = replies[2 * number], replies[2 * number + 1]
            said = Said(soa.authoritative, nameservers.nameservers, serial=soa.serial, fault=soa.fault or nameservers.fault)
            self._judge_server(server, said, node)
            asked.append((server, said))
        return asked

    def _judge_server(self, server: Server, said: Said, node: Said) -> None:
        if said.fault:
            self.problems.append(f"{server} does not answer: {said.fault}")
        elif not said.authoritative or said.serial is None:
            self.problems.append(f"{server} is not authoritative for {self.zone}")
        else:
            if node.serial is not None and said.serial != node.serial:
                self.problems.append(f"{server} has serial {said.serial}, this node has {node.serial}")
            self._compare(str(server), said.nameservers, node.nameservers)

    def _ask_all(self, questions: Sequence[tuple[Server, str, str]]) -> list[Said]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda question: self.world.ask(*question), questions))


@dataclass(frozen=True, slots=True)
class Internet:
    """The real one."""

    def ask(self, server: Server, name: str, rtype: str) -> Said:
        question = dns.message.make_query(name, rtype, use_edns=0, payload=PAYLOAD, flags=0)
        try:
            reply, _ = dns.query.udp_with_fallback(question, server.address, TIMEOUT_S, server.port)
        except dns.exception.Timeout:
            return Said(fault="no answer in time")
        except EOFError:
            return Said(fault="it closed the connection amid its answer")
        except OSError as error:
            return Said(fault=(error.strerror or str(error)).lower())
        except (dns.exception.DNSException, ValueError) as error:
            return Said(fault=f"its answer cannot be read: {error}")
        return read_reply(reply, dns.name.from_text(name))

    def find_nameservers(self, zone: str) -> list[str]:
        return [str(record.target).lower() for record in _resolve(zone, "NS")]

    def find_addresses(self, name: str) -> list[str]:
        return [str(record.address) for rtype in ("A", "AAAA") for record in _resolve(name, rtype)]


def _resolve(name: str, rtype: str) -> Iterable[Any]:
    try:
        return dns.resolver.resolve(name, rtype, search=False, lifetime=2 * TIMEOUT_S)
    except (dns.exception.DNSException, OSError):
        return ()


def read_reply(reply: dns.message.Message, name: dns.name.Name) -> Said:
    """What matters of a reply: NS names (in the answer, or in a referral's authority section), addresses anywhere, a SOA serial."""
    if reply.rcode() != dns.rcode.NOERROR:
        return Said(fault=f"it answers {dns.rcode.to_text(reply.rcode())}")
    named = [(rrset, rdata) for rrset in (*reply.answer, *reply.authority) if rrset.name == name for rdata in rrset]
    nameservers = frozenset(_lower(rdata.target) for rrset, rdata in named if rrset.rdtype == dns.rdatatype.NS)
    serials = [rdata.serial for rrset, rdata in named if rrset.rdtype == dns.rdatatype.SOA and rrset in reply.answer]
    given = [rrset for rrset in (*reply.answer, *reply.additional) if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)]
    addresses = frozenset((_lower(rrset.name), rdata.to_text()) for rrset in given for rdata in rrset)
    return Said(bool(reply.flags & dns.flags.AA), nameservers, addresses, serials[0] if serials else None)


def _lower(name: dns.name.Name) -> str:
    return name.to_text().lower()


def check(zone: str, settings: Settings, parent: str | None, as_json: bool) -> None:
    """The verb; ends with exit code 1 when anything is wrong."""
    apex = names.parse_zone_name(zone).to_text()
    findings = Examiner(apex, Internet()).examine(_own_listener(settings), None if parent is None else parse_server(parent))
    if as_json:
        say_json(to_json(findings))
    else:
        show(findings)
    if findings.problems:
        raise typer.Exit(Exit.REFUSED)


def _own_listener(settings: Settings) -> Server:
    """This node's first listen address; a wildcard is reached over loopback."""
    first = settings.dns.listen[0]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(first.host, first.host)  # noqa: S104 # compared, not bound
    return Server("", host, first.port)


def parse_server(text: str) -> Server:
    """`192.0.2.1` or `192.0.2.1:5353`. Raises InvalidInput."""
    try:
        return Server("", str(ipaddress.ip_address(text)))
    except ValueError:
        pass
    try:
        address = ListenAddress.parse(text)
    except ValueError:
        sentence = f"{text!r} is no address of a server; write 192.0.2.1 or 192.0.2.1:5353"
        raise InvalidInput([Problem("", "bad-address", sentence)], sentence) from None
    return Server("", address.host, address.port)


def to_json(findings: Findings) -> dict[str, Any]:
    """For `--json`."""
    return {
        "zone": findings.zone,
        "problems": list(findings.problems),
        "parent": {"zone": findings.parent_zone or None, "nameservers": sorted(findings.parent)},
        "node": {"nameservers": sorted(findings.node.nameservers), "serial": findings.node.serial},
        "servers": [
            {
                "name": server.name,
                "address": server.address,
                "authoritative": said.authoritative,
                "serial": said.serial,
                "nameservers": sorted(said.nameservers),
                "fault": said.fault or None,
            }
            for server, said in findings.servers
        ],
    }


def show(findings: Findings) -> None:
    """Problems first, then each server."""
    if findings.problems:
        say(f"[bold red]{escape(findings.zone)} is not delegated as it should be[/]")
        for problem in findings.problems:
            say(f"  [red]x[/] {escape(problem)}")
    else:
        say(f"[bold green]{escape(findings.zone)} is delegated as it should be[/]")
    rows = [("parent", findings.parent_zone, "", "", " ".join(sorted(findings.parent)))]
    rows.append(
        (
            "this node",
            "",
            "yes" if findings.node.authoritative else "no",
            str(findings.node.serial or ""),
            " ".join(sorted(findings.node.nameservers)),
        )
    )
    rows += [
        (
            server.name,
            server.address,
            said.fault or ("yes" if said.authoritative else "no"),
            str(said.serial or ""),
            " ".join(sorted(said.nameservers)),
        )
        for server, said in findings.servers
    ]
    say(table(("SERVER", "ADDRESS", "AUTHORITATIVE", "SERIAL", "NS SET"), rows))
