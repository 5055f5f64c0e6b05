"""Health checks as written: blocks of keys at four levels (default, record, pool, value), judged and merged into a `Check`.

The keys and defaults are those of docs/health.md; a record without a block has octoDNS's check (HTTPS, 443, `/_dns`, Host = the record's
name). Keys that the protocol does not use are set to their defaults, so that checks which do the same are equal and run once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import quote as percent_encode

from geodns.model.check import Check, Combine, Expect, Protocol, Timing, Tls
from geodns.model.fields import BadRdata, whole_number
from geodns.model.findings import Findings, Policy, quote, token
from geodns.model.patterns import Pattern
from geodns.model.rdata import rtype_from_text
from geodns.model.targets import why_guarded

OCTODNS_PROTOCOLS = ("HTTP", "HTTPS", "ICMP", "TCP", "UDP")
OCTODNS_PORT = 443  # octoDNS's default for every protocol
OCTODNS_PATH = "/_dns"
DNS_PORT = 53

METHODS = ("GET", "HEAD", "OPTIONS", "POST")

# Headers that a check may set: what a health page may look at. Host has its own key; the others frame the request or name a client.
HEADERS = frozenset(("accept", "accept-language", "authorization", "cache-control", "cookie", "pragma", "user-agent"))
FORWARDING_HEADERS = frozenset(("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"))
MAX_HEADER = 1024  # bytes; a health page needs no more, and it is sent every few seconds

MAX_SERVICE = 256  # characters; a package and a name

MAX_PARTS = 8  # checks in one `all` or `any`: each is probed at every interval


class BadSetting(ValueError):
    """A setting's value is not what its key takes; the message says what it takes. `pointer` leads into the value."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


@dataclass(frozen=True, slots=True)
class Block:
    """One level's judged keys. `off` switches checking off at this level; a narrower level that says anything switches it on again."""

    off: bool = False
    keys: Mapping[str, Any] = field(default_factory=dict)
    combine: Combine | None = None
    parts: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_silent(self) -> bool:
        """Whether the level says nothing."""
        return not (self.off or self.keys or self.combine)


SILENT = Block()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: a value's canonical text, and the Host that goes with the record when no key says otherwise."""

    value: str
    default_host: str


def parse_octodns_block(written: Mapping[str, object], findings: Findings, pointer: str, *, steered: bool) -> Block:
    """octoDNS's `octodns.healthcheck`. Its validator knows the protocol alone and leaves the rest to providers.

    So what it would take is never refused here but for a port on which octoDNS itself fails; what cannot be used as it is gets a warning
    and the default. On a record that is not steered nothing is checked, and nothing but the protocol refused.
    """
    keys: dict[str, Any] = {}
    protocol = written.get("protocol", "HTTPS")
    if protocol in OCTODNS_PROTOCOLS:
        if "protocol" in written:
            keys["protocol"] = Protocol(protocol)
    else:
        choices = ", ".join(OCTODNS_PROTOCOLS)
        findings.fault(f"{pointer}/protocol", "bad-protocol", f"{quote(protocol)} is not a protocol of octoDNS; write one of {choices}")
    if "port" in written and protocol != "ICMP":
        port = whole_number(written["port"])
        report = findings.error if steered and port is None else findings.warn
        if port is not None and 0 < port < 65536:
            keys["port"] = port
        else:
            report(f"{pointer}/port", "bad-port", f"{quote(written['port'])} is not a port; write a number from 1 to 65535")
    for key, parse in (("path", _octodns_path), ("host", _host)):
        try:
            if key in written:
                keys[key] = parse(written[key])
        except BadSetting as error:
            findings.warn(f"{pointer}/{key}", f"bad-{key}", f"{quote(written[key])} is not used: `{key}` {error}")
    return Block(keys=keys)


def parse_block(written: object, findings: Findings, pointer: str) -> Block:
    """A `healthcheck` of `octodns.geodns`, of one of its pools, or of one of its values."""
    if written is False or written == "off":  # YAML 1.1 reads a bare `off` as false
        return Block(off=True)
    if written is None:
        return SILENT
    if not isinstance(written, Mapping):
        findings.error(pointer, "bad-healthcheck", f"{quote(written)} is not a health check; write a mapping, or off")
        return SILENT
    combine, parts = _parse_parts(written, findings, pointer)
    own = {key: value for key, value in written.items() if key not in ("all", "any")}
    return Block(keys=_parse_keys(own, findings, pointer), combine=combine, parts=parts)


def resolve(levels: Sequence[Block], subject: Subject) -> Check | None:
    """The check that the levels, broadest first, make for a subject; None when it is switched off."""
    on = True
    narrowest_list = None
    for index, level in enumerate(levels):
        on = (on and level.is_silent) or not (level.off or level.is_silent)
        if level.combine:
            narrowest_list = index
    if not on:
        return None
    if narrowest_list is None:
        return _build(_merge(level.keys for level in levels), subject)
    listing = levels[narrowest_list]
    broad = [level.keys for level in levels[: narrowest_list + 1]]
    narrow = [level.keys for level in levels[narrowest_list + 1 :]]
    parts = tuple(_build(_merge([*broad, part, *narrow]), subject) for part in listing.parts)
    whole = _build(_merge([*broad, *narrow]), subject)
    return replace(parts[0], timing=whole.timing, quorum=whole.quorum, combine=listing.combine, parts=parts)


def why_refused(check: Check, policy: Policy) -> str | None:
    """What makes a check's target one that must not be contacted, or None. Names are judged when they are resolved."""
    for part in check.parts or (check,):
        address = _as_address(part.target)
        if address is None or part.protocol is Protocol.PUSH:
            continue
        if what := why_guarded(address, allow_loopback=policy.allow_loopback, denied=policy.denied):
            return f"{part.target} is {what}"
    return None


def _merge(levels: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for keys in levels:
        merged.update(keys)
    return merged


def _build(keys: Mapping[str, Any], subject: Subject) -> Check:
    """A check from merged keys, with every key that its protocol ignores left at the default."""
    protocol: Protocol = keys.get("protocol", Protocol.HTTPS)
    target: str = keys.get("address") or subject.value
    plain = Check(
        protocol,
        target,
        None if protocol in (Protocol.ICMP, Protocol.PUSH) else keys.get("port", DNS_PORT if protocol is Protocol.DNS else OCTODNS_PORT),
        timing=_timing(keys, protocol),
        quorum=keys.get("quorum"),
    )
    host = (keys["host"] or subject.value.rstrip(".")) if "host" in keys else subject.default_host
    expect: Expect = keys.get("expect", Expect())
    match protocol:
        case Protocol.HTTP | Protocol.HTTPS:
            return replace(
                plain,
                path=keys.get("path", OCTODNS_PATH),
                host=host,
                method=keys.get("method", "GET"),
                headers=keys.get("headers", ()),
                expect=replace(expect, send=None),
                tls=keys.get("tls", Tls()) if protocol is Protocol.HTTPS else None,
            )
        case Protocol.GRPC:
            return replace(plain, host=host, headers=keys.get("headers", ()), tls=keys.get("tls"), service=keys.get("service", ""))
        case Protocol.TCP | Protocol.UDP:
            return replace(plain, expect=replace(expect, status=Expect().status))
        case Protocol.DNS:
            return replace(plain, question=keys.get("question", (f"{subject.default_host}.", "SOA")), answer=keys.get("answer"))
        case Protocol.ICMP | Protocol.PUSH:
            return plain


def _timing(keys: Mapping[str, Any], protocol: Protocol) -> Timing:
    written = {_TIMES[key]: keys[key] for key in _TIMES if key in keys and (key != "stale_after" or protocol is Protocol.PUSH)}
    timing = Timing(**written)
    return replace(timing, hold_down_max_s=max(timing.hold_down_max_s, timing.hold_down_s))


def _parse_parts(written: Mapping[str, object], findings: Findings, pointer: str) -> tuple[Combine | None, tuple[Mapping[str, Any], ...]]:
    named = [key for key in ("all", "any") if key in written]
    if not named:
        return None, ()
    if len(named) == 2:
        findings.error(f"{pointer}/any", "all-and-any", "a check has `all` or `any`, not both; remove one")
    blocks = written[named[0]]
    place = f"{pointer}/{named[0]}"
    if not isinstance(blocks, list | tuple) or not 0 < len(blocks) <= MAX_PARTS:
        findings.error(place, "bad-list", f"`{named[0]}` is a list of 1 to {MAX_PARTS} checks")
        return None, ()
    parts: list[Mapping[str, Any]] = []
    for index, block in enumerate(blocks):
        if isinstance(block, Mapping):
            parts.append(_parse_keys(block, findings, f"{place}/{index}"))
        else:
            findings.error(f"{place}/{index}", "bad-healthcheck", f"{quote(block)} is not a health check; write a mapping")
    return (Combine(named[0]), tuple(parts)) if parts else (None, ())


def _parse_keys(written: Mapping[str, object], findings: Findings, pointer: str) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for key, value in written.items():
        place = f"{pointer}/{token(key)}"
        if key not in _PARSERS:
            findings.error(place, "unknown-key", f"`{key}` is no key of a health check; known are {', '.join(_PARSERS)}, all, any")
            continue
        try:
            keys[key] = _PARSERS[key](value)
        except BadSetting as error:
            findings.error(place + error.pointer, f"bad-{key.replace('_', '-')}", f"{quote(value)} is not usable: `{key}` {error}")
    return keys


def _protocol(value: object) -> Protocol:
    try:
        return Protocol(value)
    except ValueError:
        raise BadSetting(f"is one of {', '.join(member.value for member in Protocol)}") from None


def _port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise BadSetting("is a number from 1 to 65535")
    return value


def _path(value: object) -> str:
    text = _text(value or "/")
    if any(not "!" <= char <= "~" for char in text):
        raise BadSetting("is a path without white space; write other characters as %XX")
    return text if text.startswith("/") else f"/{text}"


def _octodns_path(value: object) -> str:
    """octoDNS takes any path; what a request line cannot hold is written as %XX."""
    return _path(percent_encode(value, safe="/%?=&+:@!$'()*,;~-._") if isinstance(value, str) else value)


def _host(value: object) -> str | None:
    if value is None or value == "":
        return None
    text = _text(value)
    if any(not "!" <= char <= "~" or char in "/@" for char in text):
        raise BadSetting("is a host name, or null for the value itself")
    return text


def _address(value: object) -> str | None:
    if value is None:
        return None
    address = _as_address(_text(value))
    if address is None:
        raise BadSetting("is an IPv4 or IPv6 address")
    return str(address)


def _method(value: object) -> str:
    if value not in METHODS:
        raise BadSetting(f"is one of {', '.join(METHODS)}")
    return str(value)


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise BadSetting("is a mapping of header to value")
    headers: list[tuple[str, str]] = []
    for name, text in value.items():
        lower = str(name).lower()
        if lower not in HEADERS and (not re.fullmatch(r"x-[a-z0-9-]+", lower) or lower in FORWARDING_HEADERS):
            raise BadSetting(f"may hold {', '.join(sorted(HEADERS))} and X- headers of your own", f"/{token(name)}")
        if not isinstance(text, str) or len(text) > MAX_HEADER or not text.isprintable() or not text.isascii():
            raise BadSetting(f"holds printable text of at most {MAX_HEADER} bytes", f"/{token(name)}")
        headers.append((str(name), text))
    return tuple(sorted(headers))


def _expect(value: object) -> Expect:
    if not isinstance(value, Mapping):
        raise BadSetting("is a mapping with status, body, send")
    if unknown := [key for key in value if key not in ("status", "body", "send")]:
        raise BadSetting("has the keys status, body, send", f"/{token(unknown[0])}")
    body = value.get("body")
    if body is not None and len(pattern := _text(body)) > 1 and pattern[0] == "/" == pattern[-1]:
        try:
            Pattern(pattern[1:-1])
        except ValueError as error:
            raise BadSetting(f"has a body that is no regular expression: {error}", "/body") from None
    send = value.get("send")
    status = _status(value["status"]) if "status" in value else Expect().status
    return Expect(status, None if body is None else _text(body), None if send is None else _text(send))


def _status(value: object) -> tuple[tuple[int, int], ...]:
    items = value if isinstance(value, list | tuple) else [value]
    ranges: list[tuple[int, int]] = []
    for item in items:
        match = re.fullmatch(r"([1-5]\d\d)(?:-([1-5]\d\d))?", item if isinstance(item, str) else quote(item))
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise BadSetting('holds status codes such as 200 and ranges such as "200-299"', "/status")
        ranges.append((int(match[1]), int(match[2] or match[1])))
    if not ranges:
        raise BadSetting("needs at least one status", "/status")
    return tuple(sorted(ranges))


def _tls(value: object) -> Tls:
    if not isinstance(value, Mapping):
        raise BadSetting("is a mapping with verify, min_days, name")
    if unknown := [key for key in value if key not in ("verify", "min_days", "name")]:
        raise BadSetting("has the keys verify, min_days, name", f"/{token(unknown[0])}")
    days = value.get("min_days")
    if days is not None and (isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= 3650):
        raise BadSetting("takes 0 to 3650 whole days", "/min_days")
    return Tls(_flag(value.get("verify", False)), days, _host(value.get("name")))


def _question(value: object) -> tuple[str, str]:
    if not isinstance(value, Mapping) or set(value) != {"name", "type"}:
        raise BadSetting("is a mapping with name and type")
    try:
        rtype_from_text(_text(value["type"]))
    except BadRdata as error:
        raise BadSetting(str(error), "/type") from None
    name = _text(value["name"])
    return (name if name.endswith(".") else f"{name}."), str(value["type"]).upper()


def _service(value: object) -> str:
    text = _text(value)
    if len(text) > MAX_SERVICE or any(not "!" <= char <= "~" for char in text):
        raise BadSetting(f"is a gRPC service such as example.v1.Greeter, of at most {MAX_SERVICE} characters; empty = the whole server")
    return text


def _quorum(value: object) -> float | int | None:
    """A whole number is a number of vantages, a fraction a share of them; 1.0 and all of them are the same share."""
    if value is None or value == "majority":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000:
        return value
    if isinstance(value, float) and 0 < value <= 1:
        return value
    raise BadSetting("is majority, a share such as 0.6, or a number of vantages")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadSetting("is true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 4096:
        raise BadSetting("is a text of at most 4096 characters; put it in quotes")
    return value


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise BadSetting(f"is a number of seconds from {low:g} to {high:g}")
        return float(value)

    return parse


def _count(high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
            raise BadSetting(f"is a whole number from 1 to {high}")
        return value

    return parse


def _as_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


_DAY_S = 86400.0

_TIMES = {
    "interval": "interval_s",
    "timeout": "timeout_s",
    "fall": "fall",
    "rise": "rise",
    "recheck": "recheck_s",
    "hold_down": "hold_down_s",
    "hold_down_max": "hold_down_max_s",
    "slow_start": "slow_start_s",
    "manual_return": "manual_return",
    "stale_after": "stale_after_s",
}

# Lower bounds keep a slip of the pen from flooding an endpoint; upper bounds keep a check from never speaking again.
_PARSERS: dict[str, Callable[[object], Any]] = {
    "protocol": _protocol,
    "port": _port,
    "path": _path,
    "host": _host,
    "interval": _seconds(0.1, _DAY_S),
    "timeout": _seconds(0.01, 300),
    "fall": _count(1000),
    "rise": _count(1000),
    "recheck": _seconds(0, 3600),
    "hold_down": _seconds(0, _DAY_S),
    "hold_down_max": _seconds(0, _DAY_S),
    "slow_start": _seconds(0, _DAY_S),
    "manual_return": _flag,
    "address": _address,
    "method": _method,
    "headers": _headers,
    "expect": _expect,
    "tls": _tls,
    "question": _question,
    "answer": _text,
    "service": _service,
    "stale_after": _seconds(0.1, 7 * _DAY_S),
    "quorum": _quorum,
}
