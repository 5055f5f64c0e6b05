"""The address behind a target: itself when it is a literal, else what the system resolver says of the name.

"System resolver" is /etc/hosts first, then the servers in /etc/resolv.conf, asked by dnspython: `getaddrinfo` would
hide the ttl, and its threads are a pool that a hanging server could fill. Search lists are not used: targets are
absolute names. RFC 1035 §3.2.1 for the ttl.

Knows no policy: `attempt` judges the address.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from geodns.prober.fault import AnsweredBadly, NoEvidence

MIN_TTL_S = 5.0
"""Names with a ttl of zero would otherwise cost a lookup an attempt."""

MAX_TTL_S = 3600.0
"""A moved target is found within the hour, whatever its old ttl said."""

FORGET_S = 3600.0
"""Names that nobody asked for in an hour are dropped."""

HOSTS_FILE = Path("/etc/hosts")


class Resolver(Protocol):
    """Finds addresses."""

    async def address(self, target: str) -> str:
        """A literal for the target. AnsweredBadly: the name has no address. NoEvidence: the resolver is broken."""


class Lookup(Protocol):
    """One question to the outside."""

    async def __call__(self, name: str) -> tuple[str, float]:
        """An address and its ttl in seconds; failures as in `Resolver.address`."""


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    address: str = ""
    expires_s: float = 0.0


class SystemResolver:
    """Keeps each name's address for its ttl; several checks of one name share one lookup."""

    def __init__(self, lookup: Lookup | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._lookup = lookup or SystemLookup()
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._swept_s = clock()

    async def address(self, target: str) -> str:
        """See `Resolver`."""
        if is_literal(target):
            return target
        now_s = self._clock()
        if now_s - self._swept_s > FORGET_S:
            self._sweep(now_s)
        entry = self._entries.setdefault(target, _Entry())
        if now_s < entry.expires_s:
            return entry.address
        async with entry.lock:
            if self._clock() >= entry.expires_s:
                entry.address, ttl_s = await self._lookup(target)
                entry.expires_s = self._clock() + min(max(ttl_s, MIN_TTL_S), MAX_TTL_S)
            return entry.address

    def _sweep(self, now_s: float) -> None:
        stale = [name for name, entry in self._entries.items() if entry.expires_s < now_s and not entry.lock.locked()]
        for name in stale:
            del self._entries[name]
        self._swept_s = now_s


class SystemLookup:
    """/etc/hosts, then DNS; IPv4 before IPv6, and among several addresses the lowest, so that rotation in an answer is
    not mistaken for change."""

    def __init__(self, hosts_file: Path = HOSTS_FILE) -> None:
        self._hosts = _Hosts(hosts_file)

    async def __call__(self, name: str) -> tuple[str, float]:
        """See `Lookup`."""
        if known := self._hosts.find(name):
            return known, MIN_TTL_S
        try:
            resolver = dns.asyncresolver.Resolver()
        except (dns.exception.DNSException, OSError) as error:
            raise NoEvidence("the system resolver is not configured") from error
        for rtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            try:
                answer = await resolver.resolve(name, rtype, search=False)
            except dns.resolver.NoAnswer:
                continue
            except dns.resolver.NXDOMAIN as error:
                raise AnsweredBadly("the name does not exist") from error
            except (dns.exception.DNSException, OSError) as error:
                raise NoEvidence(f"the system resolver failed: {type(error).__name__}") from error
            addresses = sorted((str(rdata.address) for rdata in answer), key=lambda text: int(ip_address(text)))
            if addresses:
                return addresses[0], float(answer.rrset.ttl if answer.rrset is not None else 0)
        raise AnsweredBadly("the name has no address")


class _Hosts:
    """hosts(5), read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._addresses: dict[str, str] = {}

    def find(self, name: str) -> str | None:
        try:
            status = os.stat(self._path)
            if (status.st_mtime_ns, status.st_size) != self._stamp:
                self._stamp = (status.st_mtime_ns, status.st_size)
                self._addresses = _parse_hosts(self._path.read_text("utf-8", "replace"))
        except OSError:
            return None
        return self._addresses.get(name.rstrip(".").lower())


def _parse_hosts(text: str) -> dict[str, str]:
    addresses: dict[str, str] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if not is_literal(address):
            continue
        for name in names:
            key = name.rstrip(".").lower()
            if key not in addresses or (":" in addresses[key] and ":" not in address):
                addresses[key] = address
    return addresses


def is_literal(target: str) -> bool:
    """Whether a target is an address rather than a name. A dotted quad only: not the decimal, octal and hex forms that inet_aton knows."""
    try:
        ip_address(target)
    except ValueError:
        return False
    return True
