"""SVCB and HTTPS rdata between wire form and octoDNS's structured value (RFC 9460 §2.2, §7; RFC 9461 §5 for `dohpath`).

The structured value is `{svcpriority, targetname, svcparams: {alpn: [h2, h3], port: 8443, …}}`; parameters without a name of their own in
octoDNS are `keyNNN`. What the finished rdata must satisfy as a whole (mandatory keys present, keys in order) is left to dnspython.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from geodns.model import names
from geodns.model.fields import NAME, U16, BadRdata, escape_text, unescape_text
from geodns.model.findings import quote
from geodns.model.names import BadName, Name

MANDATORY, ALPN, NO_DEFAULT_ALPN, PORT, IPV4HINT, ECH, IPV6HINT = range(7)
_NUMBERS = {
    "mandatory": MANDATORY,
    "alpn": ALPN,
    "no-default-alpn": NO_DEFAULT_ALPN,
    "port": PORT,
    "ipv4hint": IPV4HINT,
    "ech": ECH,
    "ipv6hint": IPV6HINT,
}
_NAMES = {number: name for name, number in _NUMBERS.items()}


def from_mapping(value: Mapping[str, object], origin: Name) -> tuple[bytes, list[BadRdata]]:
    """Wire form of a structured value, and every fault; the wire form is of use only without faults."""
    faults: list[BadRdata] = []
    parts: list[bytes] = []
    for key, kind in (("svcpriority", U16), ("targetname", NAME)):
        try:
            if value.get(key) is None:
                raise BadRdata("missing-field", f"`{key}` is missing")
            parts.append(kind.encode(value[key], origin))
        except (BadRdata, BadName) as error:
            faults.append(BadRdata(error.code, str(error), f"/{key}"))
    params = value.get("svcparams") or {}
    if not isinstance(params, Mapping):
        return b"", [*faults, BadRdata("bad-svcparams", "`svcparams` is not a mapping of parameter to value", "/svcparams")]
    encoded: dict[int, bytes] = {}
    for name, param in params.items():
        try:
            encoded[_number(str(name))] = _encode(_number(str(name)), param)
        except (BadRdata, ValueError) as error:
            faults.append(BadRdata(getattr(error, "code", "bad-svcparam"), f"`{name}`: {error}", f"/svcparams/{name}"))
    if parts[:1] == [b"\0\0"] and encoded:
        faults.append(BadRdata("alias-with-svcparams", "`svcpriority` 0 is an alias, which has no `svcparams`; remove them", "/svcparams"))
    parts += [struct.pack("!HH", key, len(encoded[key])) + encoded[key] for key in sorted(encoded)]
    return b"".join(parts), faults


def to_mapping(wire: bytes) -> dict[str, object]:
    """The structured value of a valid rdata."""
    target, at = names.wire_to_text(wire, 2)
    params: dict[str, object] = {}
    while at < len(wire):
        key, length = struct.unpack_from("!HH", wire, at)
        params[_NAMES.get(key, f"key{key}")] = _decode(key, wire[at + 4 : at + 4 + length])
        at += 4 + length
    return {"svcpriority": int.from_bytes(wire[:2]), "targetname": target} | ({"svcparams": params} if params else {})


def _number(name: str) -> int:
    if name in _NUMBERS:
        return _NUMBERS[name]
    digits = name.removeprefix("key")
    if digits == name or not digits.isdecimal() or not 0 <= int(digits) < 0xFFFF:
        raise BadRdata("unknown-svcparam", f"is not a parameter; known are {', '.join(_NUMBERS)} and keyNNN")
    return int(digits)


def _encode(key: int, value: object) -> bytes:
    if key == NO_DEFAULT_ALPN:
        if value is not None:
            raise BadRdata("bad-svcparam", "takes no value; write null")
        return b""
    if key in (MANDATORY, ALPN, IPV4HINT, IPV6HINT):
        if not isinstance(value, list | tuple) or not value:
            raise BadRdata("bad-svcparam", "is not a list with at least one item")
        return b"".join(_encode_items(key, [str(item) for item in value]))
    if key == PORT:
        return U16.encode(value, names.ROOT)
    if key == ECH:
        return _decode_base64(str(value))
    return b"" if value is None else unescape_text(str(value))


def _encode_items(key: int, items: list[str]) -> list[bytes]:
    if key == MANDATORY:
        return [struct.pack("!H", number) for number in sorted(_number(item) for item in items)]
    if key == IPV4HINT:
        return [IPv4Address(item).packed for item in items]
    if key == IPV6HINT:
        return [IPv6Address(item).packed for item in items]
    protocols = [unescape_text(item) for item in items]
    if any(not 0 < len(protocol) < 256 for protocol in protocols):
        raise BadRdata("bad-svcparam", "has a protocol that is not 1 to 255 bytes long")
    return [bytes((len(protocol),)) + protocol for protocol in protocols]


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise BadRdata("bad-svcparam", f"{quote(text)} is not base64") from None


def _decode(key: int, octets: bytes) -> object:
    if key == NO_DEFAULT_ALPN:
        return None
    if key == MANDATORY:
        return [_NAMES.get(number, f"key{number}") for (number,) in struct.iter_unpack("!H", octets)]
    if key == PORT:
        return int.from_bytes(octets)
    if key == IPV4HINT:
        return [str(IPv4Address(octets[at : at + 4])) for at in range(0, len(octets), 4)]
    if key == IPV6HINT:
        return [str(IPv6Address(octets[at : at + 16])) for at in range(0, len(octets), 16)]
    if key == ECH:
        return base64.b64encode(octets).decode()
    return _decode_alpn(octets) if key == ALPN else (escape_text(octets) if octets else None)


def _decode_alpn(octets: bytes) -> list[str]:
    items: list[str] = []
    at = 0
    while at < len(octets):
        end = at + 1 + octets[at]
        items.append(escape_text(octets[at + 1 : end]))
        at = end
    return items
