"""Hosts of a small network on this machine: network namespaces with links between them, for what must be cut in the middle.

Every `Host` reaches the test by a link for management (where the test talks to its API and DNS) and the `Field`, the host where the checked
servers stand, by another. `Field.swallow` makes the field drop what it would send to a host: the host's packets arrive and nothing ever
comes back, as behind a broken firewall. Addresses are from 198.18.0.0/15 (RFC 2544). It takes root; a test that cannot have it fails and
says so, because nobody else tests what it does.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pytest

SERVERS = "198.19.0.0/24"
"""All addresses of this network answer in the field."""

_numbers = itertools.count()


def server_address(number: int) -> str:
    """The address of the Nth server in the field."""
    return f"198.19.0.{number + 1}"


@dataclass(frozen=True, slots=True)
class Host:
    """`address` is where the test reaches it, `gateway` where it reaches the test; `command` put before another one runs that inside."""

    name: str
    address: str
    field_address: str

    @property
    def command(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    @property
    def gateway(self) -> str:
        return _other_end(self.address)


class Field:
    """`with Field() as field:`, then `field.add_host()`; everything is gone afterwards."""

    def __init__(self) -> None:
        # Of this process, so that two runs on one machine do not meet; an interface's name has at most 15 bytes.
        self._mark = f"{os.getpid() % 100_000}"
        self.name = f"geodns-{self._mark}-field"
        self._stack = ExitStack()

    @property
    def command(self) -> tuple[str, ...]:
        """Put before a command, runs it where the servers stand."""
        return ("ip", "netns", "exec", self.name)

    def __enter__(self) -> Self:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            pytest.fail("network namespaces need root and `ip` (Debian: apt-get install iproute2): run this test as root", pytrace=False)
        self._stack.enter_context(_namespace(self.name))
        _ip("-n", self.name, "address", "add", SERVERS.replace(".0/", ".1/"), "dev", "lo")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def add_host(self) -> Host:
        """One more host, linked to the test and to the field."""
        # A network for each link, chosen so that two runs on one machine rarely meet.
        number = (os.getpid() * 8 + next(_numbers)) % 16_000
        host = Host(
            f"geodns-{self._mark}-{number}", f"198.18.{number // 64}.{number % 64 * 4 + 2}", f"198.18.255.{next(_numbers) % 60 * 4 + 2}"
        )
        self._stack.enter_context(_namespace(host.name))
        self._link(host, "m", host.address, None)
        self._link(host, "f", host.field_address, self.name)
        _ip("-n", host.name, "route", "add", SERVERS, "via", _other_end(host.field_address))
        return host

    def swallow(self, host: Host) -> None:
        """From now on the field sends nothing to a host."""
        _ip("-n", self.name, "route", "add", "blackhole", f"{host.field_address}/32")

    def deliver(self, host: Host) -> None:
        """The end of `swallow`."""
        _ip("-n", self.name, "route", "del", "blackhole", f"{host.field_address}/32")

    def _link(self, host: Host, what: str, address: str, peer: str | None) -> None:
        """A pair of interfaces; `peer` None is the test's own namespace. They end with the namespace of the host."""
        ours = f"g{what}{host.name.removeprefix('geodns-')}"[:15]
        _ip("link", "add", ours, "type", "veth", "peer", "name", f"eth{what}", "netns", host.name)
        if peer is not None:
            _ip("link", "set", ours, "netns", peer)
        where = () if peer is None else ("-n", peer)
        _ip(*where, "address", "add", f"{_other_end(address)}/30", "dev", ours)
        _ip(*where, "link", "set", ours, "up")
        _ip("-n", host.name, "address", "add", f"{address}/30", "dev", f"eth{what}")
        _ip("-n", host.name, "link", "set", f"eth{what}", "up")


def _other_end(address: str) -> str:
    """The first address of a /30 whose second is given."""
    head, _, last = address.rpartition(".")
    return f"{head}.{int(last) - 1}"


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
