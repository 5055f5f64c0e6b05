"""Asking without dig, which is quick: one query, or many clients with their own addresses as client subnets, whose answers are counted."""

from __future__ import annotations

import ipaddress
import selectors
import socket
import struct
from collections import Counter
from collections.abc import Sequence

import dns.message
import dns.query

# Under way at a time: a receive buffer holds them all, whatever the machine does meanwhile.
WINDOW = 256
# For a reply that does not come: then what is under way is asked again.
PATIENCE_S = 2.0
TRIES = 5
# For the reply to a single query, which is not asked again: a machine that stands still for seconds is no claim about the server.
REPLY_WITHIN_S = 10.0

Client = ipaddress.IPv4Address | ipaddress.IPv6Address


def ask(port: int, name: str, *, tcp: bool = False) -> list[str]:
    """The addresses of one answer, sorted, from a fresh source port, so that the kernel spreads the queries over the workers."""
    query = dns.message.make_query(name, "A")
    reply = (dns.query.tcp if tcp else dns.query.udp)(query, "127.0.0.1", port=port, timeout=REPLY_WITHIN_S)
    return _addresses(reply)


def ask_quietly(port: int, name: str) -> list[str]:
    """`ask` for claims that are waited for: no answer within a moment is an empty list."""
    query = dns.message.make_query(name, "A")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        sock.connect(("127.0.0.1", port))
        try:
            sock.send(query.to_wire())
            return _addresses(dns.message.from_wire(sock.recv(4096)))
        except OSError:
            return []


def _addresses(reply: dns.message.Message) -> list[str]:
    return sorted(rdata.to_text() for rrset in reply.answer for rdata in rrset)


def count_answers(port: int, name: str, clients: Sequence[Client]) -> Counter[str]:
    """The first address of each client's answer, or the rcode in its place ("rcode 2"), counted; every client is counted once."""
    counts: Counter[str] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, selectors.DefaultSelector() as selector:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
        question = dns.message.make_query(name, "A", flags=0).to_wire()[12:]
        for start in range(0, len(clients), WINDOW):
            waiting = dict(enumerate(clients[start : start + WINDOW]))
            for _ in range(TRIES):
                for identity, client in waiting.items():
                    sock.send(_query(identity, question, client))
                while waiting and selector.select(PATIENCE_S):
                    _receive(sock, waiting, len(question), counts)
                if not waiting:
                    break
            assert not waiting, f"{len(waiting)} queries were not answered in {TRIES} tries"
    return counts


def _query(identity: int, question: bytes, client: Client) -> bytes:
    """RFC 6891 §6.1.2, RFC 7871 §6: the whole address as source prefix."""
    family, bits = (1, 32) if client.version == 4 else (2, 128)
    option = struct.pack("!HBB", family, bits, 0) + client.packed
    extension = struct.pack("!BHHIHHH", 0, 41, 1232, 0, 4 + len(option), 8, len(option)) + option
    return struct.pack("!HHHHHH", identity, 0, 1, 0, 0, 1) + question + extension


def _receive(sock: socket.socket, waiting: dict[int, Client], question_size: int, counts: Counter[str]) -> None:
    while True:
        try:
            reply = sock.recv(4096)
        except BlockingIOError:
            return
        identity, flags, _, answers = struct.unpack_from("!HHHH", reply)
        if waiting.pop(identity, None) is None:
            continue
        if answers == 0:
            counts[f"rcode {flags & 15}"] += 1
            continue
        # A compressed owner name, type, class, ttl and length are before the rdata.
        size = struct.unpack_from("!H", reply, 12 + question_size + 10)[0]
        rdata = reply[12 + question_size + 12 :][:size]
        counts[str(ipaddress.ip_address(rdata))] += 1
