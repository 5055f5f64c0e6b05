"""The ICMP check: one echo request (RFC 792, RFC 4443 §4.1) and its reply.

Unprivileged where the kernel allows (`net.ipv4.ping_group_range`), else on a raw socket when the process may open one;
else there is no evidence.
"""

from __future__ import annotations

import secrets
import socket

from geodns.model.check import Check
from geodns.prober.datagram import Datagrams
from geodns.prober.fault import NoEvidence
from geodns.prober.stream import Progress

NONCE_BYTES = 16
"""Random payload: a reply is recognised by it, whatever the kernel makes of the identifier."""

_ECHO_REQUEST = {socket.IPPROTO_ICMP: 8, socket.IPPROTO_ICMPV6: 128}
_ECHO_REPLY = {socket.IPPROTO_ICMP: 0, socket.IPPROTO_ICMPV6: 129}


class IcmpProbe:
    """Made once for a check, used for all its attempts."""

    def __init__(self, check: Check) -> None:
        """Every ICMP check can be carried out, as far as the check goes."""

    async def attempt(self, address: str, progress: Progress) -> str:
        """See `probe.Probe`."""
        progress.waiting_for = "an echo reply"
        protocol = socket.IPPROTO_ICMPV6 if ":" in address else socket.IPPROTO_ICMP
        nonce = secrets.token_bytes(NONCE_BYTES)
        datagrams = _open(address, protocol)
        try:
            datagrams.send(make_echo_request(protocol, nonce))
            while not is_echo_reply(await datagrams.receive(), protocol, nonce):
                continue
        finally:
            datagrams.close()
        return "echo reply"


def _open(address: str, protocol: int) -> Datagrams:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return Datagrams.open(address, 0, kind, protocol)
        except NoEvidence as fault:
            if not isinstance(fault.__cause__, PermissionError):
                raise
    raise NoEvidence("ICMP is not permitted here: see net.ipv4.ping_group_range")


def make_echo_request(protocol: int, nonce: bytes) -> bytes:
    """The message; for ICMPv6 the kernel fills in the checksum, which covers the addresses (RFC 4443 §2.3)."""
    identifier = secrets.token_bytes(2)
    message = bytes([_ECHO_REQUEST[protocol], 0, 0, 0]) + identifier + b"\x00\x01" + nonce
    if protocol == socket.IPPROTO_ICMPV6:
        return message
    return message[:2] + checksum(message).to_bytes(2, "big") + message[4:]


def is_echo_reply(packet: bytes, protocol: int, nonce: bytes) -> bool:
    """Whether a packet is the reply to our request; a raw IPv4 socket hands over the IP header as well (RFC 791 §3.1)."""
    if protocol == socket.IPPROTO_ICMP and packet[:1] and packet[0] >> 4 == 4:
        packet = packet[(packet[0] & 0x0F) * 4 :]
    return packet[:2] == bytes([_ECHO_REPLY[protocol], 0]) and packet[8:] == nonce


def checksum(message: bytes) -> int:
    """RFC 1071: the ones' complement of the ones' complement sum of 16-bit words; `message` has an even length."""
    total = sum(int.from_bytes(message[at : at + 2], "big") for at in range(0, len(message), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
