"""Check definitions that try to turn the prober against its own host, and a world in which every success would be seen.

Run as a program within a network namespace of its own (`unshare --net --mount`) it makes *every* address of IPv4 and IPv6 local, listens on
all of them, runs a real node there, writes every definition through its API, and prints as JSON what became of each and which addresses
packets of checks were sent to. The loopback interface is listened to as a whole, so that a datagram or an echo counts as well as a
connection.
"""

from __future__ import annotations

import contextlib
import enum
import ipaddress
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnslib import AAAA, QTYPE, RCODE, RR, A, DNSRecord

from tests.support.node import Node

PORT = 8080
HARMLESS_ADDRESS = "192.0.2.10"
NAME_SERVER = "192.0.2.53"
PERMITTED = [ipaddress.ip_network(text) for text in ("192.0.2.0/24", "2001:db8::/32")]
ZONE = "'': {type: NS, values: [ns1.example.net.]}\n"
CRLF = "\r\n"
FILLER = b"x" * 65536

ETH_P_ALL, TCP, UDP, ICMP, ICMPV6 = 3, 6, 17, 1, 58


class Fate(enum.Enum):
    """What must become of a definition."""

    REFUSED = "refused at write"
    GUARDED = "accepted, and never contacts anything guarded"
    HARMLESS = "accepted, and contacts what it may contact"


@dataclass(frozen=True, slots=True)
class Definition:
    """Keys of a healthcheck, and the value that they stand at."""

    keys: Mapping[str, Any]
    fate: Fate
    value: str = HARMLESS_ADDRESS
    cause: str = ""  # a part of it, for definitions that are accepted

    @property
    def rtype(self) -> str:
        """The record type of the value."""
        if not self.value.endswith("."):
            return "AAAA" if ":" in self.value else "A"
        return "CNAME"


def _each(fate: Fate, key: str, *values: Any, **more: Any) -> list[Definition]:
    return [Definition({key: value, **more}, fate) for value in values]


_GUARDED_ADDRESSES = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.0.0.1", "169.254.0.1", "169.254.169.254", "224.0.0.1", "239.255.255.250", "255.255.255.255",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1", "fe80::1", "ff02::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::127.0.0.1", "64:ff9b:1::7f00:1",
    "2001:0:c000:201::80ff:fffe", "2001:db8::5efe:7f00:1", "fd00:ec2::254", "fd20:ce::254",
)  # fmt: skip

_NAMES = {
    "loopback.example.net.": ["127.0.0.1"],
    "zero.example.net.": ["0.0.0.0"],
    "metadata.example.net.": ["169.254.169.254"],
    "mapped.example.net.": ["::ffff:7f00:1"],
    "loopback6.example.net.": ["::1"],
    "mixed.example.net.": ["127.0.0.1", HARMLESS_ADDRESS],  # the lower one is checked
    "rebind.example.net.": [HARMLESS_ADDRESS, "127.0.0.1"],  # one after the other, see `_answer`
}
_REBINDING = "rebind.example.net."

_REDIRECTS = (
    f"http://{HARMLESS_ADDRESS}:{PORT}/followed", f"http://127.0.0.1:{PORT}/", "http://169.254.169.254/latest/", "file:///etc/shadow",
    "/redirect/4",
)  # fmt: skip

DEFINITIONS: dict[str, Definition] = {
    str(number): definition
    for number, definition in enumerate(
        [
            # A guarded address as the value, as the address checked instead, and within a list.
            *[Definition({}, Fate.REFUSED, value=address) for address in _GUARDED_ADDRESSES],
            *_each(Fate.REFUSED, "address", *_GUARDED_ADDRESSES),
            *_each(Fate.REFUSED, "all", [{"path": "/a"}, {"address": "127.0.0.1"}]),
            *_each(Fate.REFUSED, "any", [{"address": "::1", "protocol": "GRPC"}]),
            *[Definition({"protocol": protocol}, Fate.REFUSED, value="127.0.0.1") for protocol in ("TCP", "UDP", "ICMP", "DNS", "GRPC")],
            # Addresses that only some parsers read, names and sockets where an address belongs.
            *_each(
                Fate.REFUSED,
                "address",
                "2130706433",
                "0x7f000001",
                "0x7f.1",
                "0177.0.0.1",
                "127.1",
                "0",
                "localhost",
                "metadata.example.net.",
                "127.0.0.1:80",
                "[::1]",
                "::1%lo",
                "fe80::1%lo",
                "http://127.0.0.1/",
                "user@127.0.0.1",
                "unix:/run/geodns.sock",
                "/var/run/docker.sock",
                "192.0.2.10\r\n",
                "192.0.2.10/32",
                2130706433,
                ["127.0.0.1"],
                "",
            ),
            # Names that lead there, now or later.
            *[Definition({}, Fate.GUARDED, value=name, cause="is guarded") for name in _NAMES],
            Definition({}, Fate.GUARDED, value="127.0.0.1.", cause="the name does not exist"),
            Definition({}, Fate.GUARDED, value="0x7f.1.", cause="the name does not exist"),
            *[Definition({}, Fate.REFUSED, value=name) for name in ("localhost.", "2130706433.", "0x7f000001.")],
            # Ports.
            *_each(Fate.REFUSED, "port", 0, 65536, -1, 8080.5, "8080", True, None),
            # Requests that are two, or go elsewhere.
            *_each(Fate.REFUSED, "path", f"/{CRLF}Host: 127.0.0.1", f"/ HTTP/1.1{CRLF}{CRLF}GET /", "/\n", "/\x00", "/a b", "/é", 7),
            *_each(Fate.HARMLESS, "path", "//127.0.0.1/", "http://127.0.0.1:8080/", "@127.0.0.1/", "/../../etc", "/%0d%0aHost:x", "?a#b"),
            *_each(Fate.REFUSED, "host", f"a{CRLF}X-Admin: 1", "a b", "user:password@127.0.0.1", "a/b", "\x00", "ü.example", 7),
            *_each(Fate.HARMLESS, "host", "127.0.0.1", "[::1]:80", "localhost"),
            *_each(
                Fate.REFUSED,
                "headers",
                {"Host": "127.0.0.1"},
                {"Content-Length": "5"},
                {"Transfer-Encoding": "chunked"},
                {"Connection": "upgrade"},
                {"X-Forwarded-For": "127.0.0.1"},
                {"X-Real-IP": "::1"},
                {"X-A": f"b{CRLF}Host: x"},
                {f"X-A{CRLF}Host": "x"},
                {"X A": "b"},
                {"X-A:": "b"},
                {"X-A": "b" * 1025},
                {"X-A": "é"},
                {"Proxy-Authorization": "x"},
                {"Metadata": "true"},
                {"": "x"},
                ["X-A"],
            ),
            *_each(Fate.REFUSED, "method", "CONNECT", "TRACE", "PUT", "DELETE", "get", f"GET / HTTP/1.1{CRLF}", "PRI", None),
            *_each(Fate.REFUSED, "tls", {"name": f"a{CRLF}b"}, {"name": "a/b"}, {"ca": "/etc/shadow"}, {"key": "/etc/shadow"}),
            *_each(Fate.REFUSED, "service", f"a{CRLF}b", "a b", "x" * 257, protocol="GRPC"),
            *_each(Fate.REFUSED, "expect", {"send": "x" * 4097}, {"body": "x" * 4097}, {"file": "/etc/shadow"}, protocol="TCP"),
            *_each(Fate.REFUSED, "expect", {"body": r"/(a)\1/"}, {"body": "/(?=a)/"}, {"body": "/((a{60}){60}){60}/"}, {"body": "/(/"}),
            *_each(Fate.REFUSED, "question", {"name": "x" * 70, "type": "NOTATYPE"}, {"name": "x"}, "localhost", protocol="DNS"),
            *_each(Fate.REFUSED, "protocol", "FTP", "FILE", "GOPHER", "UNIX", "http", None),
            *_each(Fate.REFUSED, "url", "http://127.0.0.1/"),
            *_each(Fate.REFUSED, "proxy", "http://127.0.0.1/"),
            # Answers that lead elsewhere, or never end. See `_serve_http`.
            *[
                Definition({"path": f"/redirect/{number}"}, Fate.HARMLESS, cause="status 302, wanted 200")
                for number in range(len(_REDIRECTS))
            ],
            Definition({"path": "/huge"}, Fate.HARMLESS, cause="status 200"),
            Definition({"path": "/endless"}, Fate.HARMLESS, cause="status 200"),
            Definition({"path": "/bomb", "expect": {"body": "boom"}}, Fate.HARMLESS, cause="body without the wanted text"),
            Definition({"path": "/slow-pattern", "expect": {"body": "/(a+)+$/"}}, Fate.HARMLESS, cause="body without the wanted text"),
            # A report is no contact, whatever address it is about.
            Definition({"protocol": "PUSH"}, Fate.GUARDED, value="127.0.0.1", cause="no report yet"),
        ]
    )
}


# ---- the world ----


def make_everything_local(directory: Path) -> None:
    """Any address of either family reaches this host, by way of the loopback interface; and names are asked of our own server."""
    for command in (
        "ip link set lo up",
        "ip route add local 0.0.0.0/0 dev lo",
        "ip -6 route add local ::/0 dev lo",
        "mount --make-rprivate /",
    ):
        subprocess.run(command.split(), check=True)
    for name, text in (("resolv.conf", f"nameserver {NAME_SERVER}\noptions timeout:1\n"), ("hosts", "127.0.0.1 localhost\n")):
        path = directory / name
        path.write_text(text)
        subprocess.run(["mount", "--bind", str(path), f"/etc/{name}"], check=True)


class Wire:
    """Everything that is sent over the loopback interface: to which address, by which protocol, to which port."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int, int]] = set()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.bind(("lo", ETH_P_ALL))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            packet = self._socket.recv(65536)
            if found := read_packet(packet):
                self.seen.add(found)


def read_packet(packet: bytes) -> tuple[str, int, int] | None:
    """Destination, protocol and port of a packet that begins something: a SYN, a datagram, an echo request; None for all others."""
    if packet[0] >> 4 == 4:
        address, protocol, rest = str(ipaddress.ip_address(packet[16:20])), packet[9], packet[(packet[0] & 15) * 4 :]
    else:
        address, protocol, rest = str(ipaddress.ip_address(packet[24:40])), packet[6], packet[40:]
    match protocol:
        case 6 if rest[13] & 0x12 == 0x02:
            return address, TCP, int.from_bytes(rest[2:4], "big")
        case 17:
            return address, UDP, int.from_bytes(rest[2:4], "big")
        case 1 | 58 if rest[0] in (8, 128):
            return address, protocol, 0
        case _:
            return None


class WebServer:
    """Listens on every address; notes which paths were asked for at which address."""

    def __init__(self) -> None:
        self.requests: set[tuple[str, str]] = set()
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            listener = socket.socket(family, socket.SOCK_STREAM)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, PORT))
            listener.listen(100)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            path = [*connection.recv(8192).split(b" "), b"", b""][1].decode("latin-1")
            self.requests.add((str(connection.getsockname()[0]), path))
            for part in _parts_of_answer(path):
                connection.sendall(part)


def _parts_of_answer(path: str) -> Iterator[bytes]:
    head = b"HTTP/1.1 200 OK\r\n"
    if path.startswith("/redirect/"):
        yield f"HTTP/1.1 302 Found{CRLF}Location: {_REDIRECTS[int(path.rsplit('/', 1)[1])]}{CRLF}Content-Length: 0{CRLF}{CRLF}".encode()
    elif path == "/huge":
        yield head + b"Content-Length: 10000000000\r\n\r\n"
        for _ in range(10_000_000_000 // len(FILLER)):
            yield FILLER
    elif path == "/endless":
        yield head + b"\r\n"
        while True:
            yield FILLER
    elif path == "/bomb":
        yield head + b"Content-Encoding: gzip\r\n\r\n" + bytes.fromhex("1f8b0800000000000003") + b"\xed\xc1\x01\x0d\x00\x00" * 800
    elif path == "/slow-pattern":
        yield head + b"Content-Length: 5000\r\n\r\n" + b"a" * 4999 + b"!"
    else:
        yield head + b"Content-Length: 2\r\n\r\nok"


class NameServer:
    """Answers for the names above; the one that rebinds changes its mind after the first answer."""

    def __init__(self) -> None:
        self._asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((NAME_SERVER, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            self._socket.sendto(self._answer(DNSRecord.parse(data)), client)

    def _answer(self, query: DNSRecord) -> bytes:
        reply = query.reply()
        name = str(query.q.qname).lower()
        addresses = _NAMES.get(name)
        if addresses is None:
            reply.header.rcode = RCODE.NXDOMAIN
            return bytes(reply.pack())
        if name == _REBINDING:
            addresses = addresses[min(self._asked, 1) :][:1]
            self._asked += 1
        for address in addresses:
            rdata, rtype = (AAAA(address), QTYPE.AAAA) if ":" in address else (A(address), QTYPE.A)
            if query.q.qtype == rtype:
                reply.add_answer(RR(name, rtype, rdata=rdata, ttl=0))
        return bytes(reply.pack())


def record_of(definition: Definition) -> dict[str, Any]:
    """A steered record with one value and that check."""
    healthcheck = {"protocol": "HTTP", "port": PORT, "path": "/", "interval": 0.5, "timeout": 1, "recheck": 0.1, **definition.keys}
    values = {"value": definition.value} if definition.rtype == "CNAME" else {"values": [definition.value]}
    return {
        "ttl": 30,
        **values,
        "dynamic": {"pools": {"one": {"values": [{"value": definition.value}]}}, "rules": [{"pool": "one"}]},
        "octodns": {"geodns": {"healthcheck": healthcheck}},
    }


def play(directory: Path) -> dict[str, Any]:
    """Writes every definition and watches until each has become what it must, or patience is over."""
    make_everything_local(directory)
    wire, web, _ = Wire(), WebServer(), NameServer()
    node = Node(directory / "node", zones={"example.com.yaml": ZONE}, settings={"PROBER_ALLOW_LOOPBACK": "false"})
    node.settings["API_LISTEN"] = f"0.0.0.0:{node.api_port}"
    node.start()
    try:
        written = {
            key: node.put(f"/api/v1/zones/example.com/records/t{key}/{each.rtype}", record_of(each)) for key, each in DEFINITIONS.items()
        }
        # The API listens on every address of this host: to a check, all of them are closed.
        own = {"port": node.api_port, "path": "/api/v1/status"}
        written["own"] = node.put("/api/v1/zones/example.com/records/town/A", record_of(Definition(own, Fate.GUARDED)))
        causes = _await_causes(node, {key for key, response in written.items() if response.status < 300})
    finally:
        node.stop()
    ours = {node.api_port, node.dns_port}
    return {
        "written": {key: [response.status, json.dumps(response.body)[:500]] for key, response in written.items()},
        "causes": causes,
        "contacted": sorted({address for address, _, port in wire.seen if port not in ours}),
        "own_api_contacted": sorted({address for address, _, port in wire.seen if port == node.api_port}),
        "requests": sorted(web.requests),
    }


def _await_causes(node: Node, accepted: set[str], patience_s: float = 90.0) -> dict[str, str]:
    """The newest cause of each accepted definition."""
    deadline = time.monotonic() + patience_s
    while True:
        endpoints = node.get("/api/v1/endpoints?limit=1000").body["items"]
        causes = {
            value["record"].partition(".")[0].removeprefix("t"): endpoint["cause"] for endpoint in endpoints for value in endpoint["values"]
        }
        expected = {key: DEFINITIONS[key].cause if key in DEFINITIONS else "is guarded" for key in accepted}
        missing = [key for key, cause in expected.items() if cause not in causes.get(key, "") or causes.get(key) == "not checked yet"]
        if not missing or time.monotonic() > deadline:
            return causes
        time.sleep(0.2)


if __name__ == "__main__":
    json.dump(play(Path(sys.argv[1])), sys.stdout)
