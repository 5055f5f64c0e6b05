"""Sentinels: a few targets that stand for "our own way out works", as an operator writes them: `icmp://192.0.2.1`,
`tcp://192.0.2.53:53`, `dns://192.0.2.53/example.com`, `https://www.example.com/`.

Only silence matters of a sentinel (health.md section 4): a refusal or any status proves the way as well as a success. So there is
nothing to configure beyond where it is.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from geodns.model.check import Check, Expect, Protocol, Tls

_PORTS = {Protocol.HTTP: 80, Protocol.HTTPS: 443, Protocol.DNS: 53}
_ANY_STATUS = Expect(status=((100, 599),))


def parse_sentinel(text: str) -> Check:
    """The check that a sentinel's URL stands for. Raises ValueError with the mend."""
    try:
        parts = urlsplit(text)
        protocol, host, port = Protocol(parts.scheme.upper()), parts.hostname, parts.port
        is_known = protocol in (*_PORTS, Protocol.TCP, Protocol.ICMP) and not ("@" in text or parts.query or parts.fragment)
    except ValueError:
        is_known = False
    if not is_known or not host:
        raise ValueError(f"{text!r} is not a sentinel; write icmp://ADDRESS, tcp://ADDRESS:PORT, dns://ADDRESS/NAME or https://HOST/")
    if protocol is Protocol.TCP and not port:
        raise ValueError(f"{text!r} has no port; write tcp://{host}:443")
    port = None if protocol is Protocol.ICMP else port or _PORTS.get(protocol)
    plain = Check(protocol, _target(host), port, expect=_ANY_STATUS)
    path = parts.path.removeprefix("/")
    match protocol:
        case Protocol.DNS:
            return Check(protocol, plain.target, port, question=(path if path.endswith(".") else f"{path}.", "SOA"))
        case Protocol.HTTP | Protocol.HTTPS:
            tls = Tls() if protocol is Protocol.HTTPS else None
            return Check(protocol, plain.target, port, path=f"/{path}", host=host, expect=_ANY_STATUS, tls=tls)
        case _ if path:
            raise ValueError(f"{text!r} has a path, which {protocol.value} has no use for; remove it")
        case _:
            return plain


def _target(host: str) -> str:
    """A literal as it is, a name absolute, as `Check` wants them."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host if host.endswith(".") else f"{host}."
