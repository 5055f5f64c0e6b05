"""Sentinels as operators write them."""

from __future__ import annotations

import pytest

from geodns.model.check import Protocol
from geodns.model.sentinels import parse_sentinel


@pytest.mark.parametrize(
    ("text", "protocol", "target", "port", "path", "question"),
    [
        ("icmp://192.0.2.1", Protocol.ICMP, "192.0.2.1", None, None, None),
        ("icmp://[2001:db8::1]/", Protocol.ICMP, "2001:db8::1", None, None, None),
        ("tcp://192.0.2.53:53", Protocol.TCP, "192.0.2.53", 53, None, None),
        ("TCP://resolver.example.net:53", Protocol.TCP, "resolver.example.net.", 53, None, None),
        ("dns://192.0.2.53", Protocol.DNS, "192.0.2.53", 53, None, (".", "SOA")),
        ("dns://192.0.2.53:5353/example.com", Protocol.DNS, "192.0.2.53", 5353, None, ("example.com.", "SOA")),
        ("http://www.example.com", Protocol.HTTP, "www.example.com.", 80, "/", None),
        ("https://www.example.com/a/b", Protocol.HTTPS, "www.example.com.", 443, "/a/b", None),
    ],
)
def test_a_url_is_a_check(
    text: str, protocol: Protocol, target: str, port: int | None, path: str | None, question: tuple[str, str] | None
) -> None:
    check = parse_sentinel(text)
    assert (check.protocol, check.target, check.port, check.path, check.question) == (protocol, target, port, path, question)


@pytest.mark.parametrize(
    "text",
    [
        "", "192.0.2.1", "192.0.2.1:53", "tcp://192.0.2.1", "tcp://:53", "ftp://192.0.2.1", "push://192.0.2.1", "grpc://192.0.2.1:1",
        "tcp://192.0.2.1:99999", "tcp://user@192.0.2.1:53", "icmp://192.0.2.1/x", "https://www.example.com/?a=b", "https:///x", "tcp://[::1:53",
    ],
)  # fmt: skip
def test_anything_else_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write |remove it"):
        parse_sentinel(text)
