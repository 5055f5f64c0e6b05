"""Steered names for tests of health, one for each server: a change of its verdict is a change of the name's answer, seen by asking."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping, Sequence

import dns.flags
import dns.message
import dns.rdatatype

ZONE = "example.com"
LAST_RESORT = "192.0.2.1"
ROUND_S = 0.5
ROUNDS = 20
"""A machine that stands still for seconds is no claim about the node."""


def steered_zone(addresses: Sequence[str], port: int, *, rtype: str = "A", last_resort: str = LAST_RESORT, geodns: str = "{}") -> str:
    """`nN` answers the Nth address while it is up, and the last resort while it is down."""
    lines = [f"'': {{type: NS, values: [ns1.{ZONE}.]}}", "ns1: {type: A, value: 192.0.2.53}"]
    healthcheck = f"{{protocol: HTTP, port: {port}, path: /, host: www.{ZONE}}}"
    for number, address in enumerate(addresses):
        dynamic = f"{{pools: {{main: {{values: [{{value: '{address}'}}]}}}}, rules: [{{pool: main}}]}}"
        octodns = f"{{healthcheck: {healthcheck}, geodns: {geodns}}}"
        lines.append(f"n{number}: {{type: {rtype}, ttl: 30, values: ['{last_resort}'], dynamic: {dynamic}, octodns: {octodns}}}")
    return "\n".join(lines) + "\n"


class Eye:
    """Asks a node for many names at once."""

    def __init__(self, host: str, port: int, names: Sequence[str], rtype: str = "A") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((host, port))
        self._queries = {name: dns.message.make_query(name, rtype).to_wire() for name in names}
        self._first_id = 0

    def close(self) -> None:
        """Looks no more."""
        self._socket.close()

    def look(self) -> dict[str, str]:
        """The first address of every name; asked again every half a second where nothing came, and left out after ten."""
        found: dict[str, str] = {}
        # Ids of its own for each look: a late reply to an earlier one tells what was.
        self._first_id += len(self._queries)
        ids = {(self._first_id + number) & 0xFFFF: name for number, name in enumerate(self._queries)}
        for _ in range(ROUNDS):
            for query_id, name in ids.items():
                if name not in found:
                    self._socket.send(query_id.to_bytes(2) + self._queries[name][2:])
            self._collect(found, ids, time.monotonic() + ROUND_S)
            if len(found) == len(self._queries):
                break
        return found

    def _collect(self, found: dict[str, str], ids: Mapping[int, str], end_s: float) -> None:
        while len(found) < len(self._queries) and (left_s := end_s - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left_s)[0]:
                return
            reply = dns.message.from_wire(self._socket.recv(4096))
            assert reply.flags & dns.flags.AA
            if reply.id in ids:
                found[ids[reply.id]] = str(reply.answer[0][0]) if reply.answer else ""


def owner(number: int) -> str:
    """The name of the Nth server."""
    return f"n{number}.{ZONE}"
