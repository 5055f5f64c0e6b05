"""The same question to several servers, and what of their answers must agree."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

TYPES = [
    "A",
    "AAAA",
    "NS",
    "SOA",
    "CNAME",
    "DNAME",
    "MX",
    "TXT",
    "SRV",
    "PTR",
    "DS",
    "CAA",
    "HTTPS",
    "SVCB",
    "NAPTR",
    "TLSA",
    "LOC",
    "SSHFP",
    "TYPE65534",
    "HINFO",
]  # 20 of them
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked and how. `edns`: None, "plain" or "do"."""

    name: dns.name.Name
    rtype: str
    edns: str | None
    transport: str

    def wire(self, identity: int) -> bytes:
        """The query message, RD off, the name's case as given."""
        query = dns.message.make_query(self.name, self.rtype, use_edns=None if self.edns is None else 0, want_dnssec=self.edns == "do")
        query.flags &= ~dns.flags.RD
        query.id = identity
        return query.to_wire()

    def __str__(self) -> str:
        return f"{self.name} {self.rtype} {self.edns or 'no'} EDNS over {self.transport}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer without what may differ: order, id, case of owner names, sizes. A truncated one is compared by its header alone."""

    rcode: str
    flags: frozenset[str]
    answer: frozenset[tuple[str, int, str, str]]
    authority: frozenset[tuple[str, int, str, str]]
    additional: frozenset[tuple[str, int, str, str]]
    edns: bool
    do: bool

    def __str__(self) -> str:
        def section(records: Iterable[tuple[str, int, str, str]]) -> str:
            return "".join(f"\n      {' '.join(map(str, record))}" for record in sorted(records))

        return (
            f"{self.rcode} {' '.join(sorted(self.flags))}{' EDNS' if self.edns else ''}{' DO' if self.do else ''}"
            f"\n    answer:{section(self.answer)}\n    authority:{section(self.authority)}\n    additional:{section(self.additional)}"
        )


def normalise(wire: bytes) -> Reply:
    """The comparable part of a reply."""
    message = dns.message.from_wire(wire, ignore_trailing=False, one_rr_per_rrset=True)
    truncated = bool(message.flags & dns.flags.TC)
    return Reply(
        rcode=dns.rcode.to_text(message.rcode()),
        flags=frozenset(dns.flags.to_text(message.flags).split()),
        answer=frozenset() if truncated else _records(message.answer),
        authority=frozenset() if truncated else _records(message.authority),
        additional=frozenset() if truncated else _records(message.additional),
        edns=message.edns >= 0,
        do=bool(message.ednsflags & dns.flags.DO),
    )


def _records(section: Sequence[dns.rrset.RRset]) -> frozenset[tuple[str, int, str, str]]:
    return frozenset(
        (rrset.name.to_text().lower(), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), rdata.to_text().lower())
        for rrset in section
        for rdata in rrset
    )


class Asker:
    """One server, asked over one UDP socket and one kept TCP connection."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._address = ("127.0.0.1", port)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.connect(self._address)
        self._udp.settimeout(TIMEOUT_S)
        self._tcp: socket.socket | None = None
        self._identity = 0
        self._query = b""

    def send(self, question: Question) -> None:
        """Sends it; `receive` comes next."""
        self._identity = (self._identity + 1) % 65536
        self._query = question.wire(self._identity)
        if question.transport == "udp":
            self._udp.send(self._query)
            return
        if self._tcp is None:
            self._tcp = socket.create_connection(self._address, timeout=TIMEOUT_S)
        with contextlib.suppress(ConnectionError):  # noticed and mended by `receive`
            self._tcp.sendall(struct.pack("!H", len(self._query)) + self._query)

    def receive(self, question: Question) -> Reply:
        """The normalised reply to what was sent; OSError when none comes."""
        return normalise(self._receive_tcp(question) if question.transport == "tcp" else self._receive_udp())

    def _receive_udp(self) -> bytes:
        while True:
            wire = self._udp.recv(65535)
            if wire[:2] == self._query[:2]:
                return wire

    def _receive_tcp(self, question: Question) -> bytes:
        for attempt in range(2):
            try:
                (length,) = struct.unpack("!H", self._read(2))
                return self._read(length)
            except (ConnectionError, EOFError):
                # The server closed the kept connection, as it may (RFC 7766 §6.2.4): once more on a fresh one.
                if attempt or self._tcp is None:
                    raise
                self._tcp.close()
                self._tcp = None
                self.send(question)
        raise AssertionError("unreachable")

    def _read(self, count: int) -> bytes:
        assert self._tcp is not None
        data = b""
        while len(data) < count:
            block = self._tcp.recv(count - len(data))
            if not block:
                raise EOFError
            data += block
        return data

    def close(self) -> None:
        """Closes both sockets."""
        self._udp.close()
        if self._tcp is not None:
            self._tcp.close()


def ask_all(askers: Sequence[Asker], question: Question) -> list[Reply]:
    """Everybody's reply; all are asked before any is awaited."""
    for asker in askers:
        asker.send(question)
    return [asker.receive(question) for asker in askers]


def names_to_ask(owners: Iterable[dns.name.Name], apex: dns.name.Name) -> list[dns.name.Name]:
    """Every owner name, its ancestors down to the apex, children, siblings, wildcards and absent names, each once."""
    found: dict[dns.name.Name, None] = {}
    for owner in owners:
        name = owner
        while name.is_subdomain(apex):
            found[name] = None
            if name == dns.name.root:
                break
            name = name.parent()
        for label in (b"child", b"*", b"a"):
            _add(found, (label,), owner)
            _add(found, (b"x", label), owner)
        if owner != apex:
            for label in (b"sibling-of-it", b"*", b"zzz"):
                _add(found, (label,), owner.parent())
    return list(found)


def _add(found: dict[dns.name.Name, None], labels: tuple[bytes, ...], below: dns.name.Name) -> None:
    try:
        found[dns.name.Name(labels + below.labels)] = None
    except dns.name.NameTooLong:
        return


def questions(names: Sequence[dns.name.Name], seed: int) -> Iterator[Question]:
    """Each name for each of TYPES; EDNS, transport and case are drawn, so that all combinations occur many times."""
    draw = random.Random(seed)  # noqa: S311 # recorded seed, not a secret
    for name in names:
        for rtype in TYPES:
            yield Question(_mix_case(name, draw), rtype, draw.choice([None, "plain", "do"]), draw.choice(["udp", "udp", "tcp"]))


def _mix_case(name: dns.name.Name, draw: random.Random) -> dns.name.Name:
    if draw.random() < 0.5:
        return name

    def flip(byte: int) -> int:
        return byte ^ 0x20 if byte < 0x80 and chr(byte).isalpha() and draw.random() < 0.5 else byte

    return dns.name.Name(tuple(bytes(flip(byte) for byte in label) for label in name.labels))


def majority(replies: Sequence[Reply]) -> Reply | None:
    """What more than half of the peers say; None when they do not agree."""
    ((reply, count),) = Counter(replies).most_common(1)
    return reply if 2 * count > len(replies) else None
