"""SVCB and HTTPS rdata between wire form and octoDNS's structured value (RFC 9460 §2.2, §7; RFC 9461 §5 for `dohpath`).

The structured value is `{svcpriority, targetname, svcparams: {alpn: [h2, h3], port: 8443, …}}`; parameters without a name of their own in
octoDNS are `keyNNN`. Presentation form is RFC 9460 §2.1 with the lists of its appendix A.1. A record in AliasMode may carry parameters,
which recipients ignore (§2.4.2), because such zones exist.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from geodns.model import names
from geodns.model.fields import NAME, U16, BadRdata, escape_text, quotable, unescape_text, unquote
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

# Named in master files alone: RFC 9461 §5, RFC 9540 §4, RFC 9953 §3.
OHTTP, DOCPATH = 8, 10
_MASTER_NUMBERS = _NUMBERS | {"dohpath": 7, "ohttp": OHTTP, "docpath": DOCPATH}
_MASTER_NAMES = {number: name for name, number in _MASTER_NUMBERS.items()}


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
    if not faults:
        try:
            _check_whole(encoded)
        except BadRdata as error:
            faults.append(error)
    parts += [struct.pack("!HH", key, len(encoded[key])) + encoded[key] for key in sorted(encoded)]
    return b"".join(parts), faults


def to_mapping(wire: bytes) -> dict[str, object]:
    """The structured value of a valid rdata."""
    target, octets = split(wire)
    params = {_NAMES.get(key, f"key{key}"): _decode(key, value) for key, value in octets.items()}
    return {"svcpriority": int.from_bytes(wire[:2]), "targetname": target} | ({"svcparams": params} if params else {})


def from_tokens(tokens: Sequence[str], origin: Name) -> bytes:
    """Wire form of presentation tokens. Raises BadRdata or BadName."""
    priority, _ = U16.take(tokens, origin)
    target, _ = NAME.take(tokens[1:], origin)
    params: dict[int, bytes] = {}
    for token in tokens[2:]:
        name, _, written = token.partition("=")
        try:
            key = _number(name, _MASTER_NUMBERS)
            if key in params:
                raise BadRdata("bad-svcparam", "stands twice; remove one")
            # A key by its number has its value as it goes over the wire (RFC 9460 §2.1).
            form = _FORMS.get(key) if name in _MASTER_NUMBERS else None
            params[key] = form.read(unquote(written)) if form else unquote(written)
        except ValueError as error:
            raise BadRdata(getattr(error, "code", "bad-svcparam"), f"`{name}`: {error}") from None
    _check_whole(params)
    return priority + target + b"".join(struct.pack("!HH", key, len(params[key])) + params[key] for key in sorted(params))


def to_text(wire: bytes) -> str:
    """Presentation form of a valid rdata."""
    target, params = split(wire)
    return " ".join([str(int.from_bytes(wire[:2])), target, *(_show(key, value) for key, value in params.items())])


def split(wire: bytes) -> tuple[str, dict[int, bytes]]:
    """The target and the parameters of a valid rdata."""
    target, at = names.wire_to_text(wire, 2)
    params: dict[int, bytes] = {}
    while at < len(wire):
        key, length = struct.unpack_from("!HH", wire, at)
        params[key] = wire[at + 4 : at + 4 + length]
        at += 4 + length
    return target, params


def _number(name: str, known: Mapping[str, int] = _NUMBERS) -> int:
    if name in known:
        return known[name]
    if not _BY_NUMBER.match(name) or int(name[3:]) >= 0xFFFF:
        raise BadRdata("unknown-svcparam", f"is not a parameter; known are {', '.join(known)} and keyNNN")
    return int(name[3:])


_BY_NUMBER = re.compile(r"key(0|[1-9][0-9]{0,4})\Z")  # RFC 9460 §2.1: no leading zeros


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
    if key in (IPV4HINT, IPV6HINT):
        return _show_hints(key, octets)
    if key == ECH:
        return base64.b64encode(octets).decode()
    return _decode_alpn(octets) if key == ALPN else (escape_text(octets) if octets else None)


def _show_hints(key: int, octets: bytes) -> list[str]:
    if key == IPV4HINT:
        return [str(IPv4Address(octets[at : at + 4])) for at in range(0, len(octets), 4)]
    return [str(IPv6Address(octets[at : at + 16])) for at in range(0, len(octets), 16)]


def _decode_alpn(octets: bytes) -> list[str]:
    return [escape_text(item) for item in _counted(octets)]


def _counted(octets: bytes) -> list[bytes]:
    """Strings with a length byte each."""
    items: list[bytes] = []
    at = 0
    while at < len(octets):
        end = at + 1 + octets[at]
        items.append(octets[at + 1 : end])
        at = end
    return items


def _show(key: int, value: bytes) -> str:
    """A parameter in presentation form."""
    form = _FORMS.get(key)
    if form and form.is_good(value):
        name, text = _MASTER_NAMES[key], form.show(value)
    else:
        name, text = f"key{key}", escape_text(value)
    return f'{name}="{quotable(text)}"' if value else name


def _check_whole(params: Mapping[int, bytes]) -> None:
    """What the parameters must be in wire form, and to one another. Raises BadRdata."""
    for key, value in params.items():
        if key in _NAMES and not _FORMS[key].is_good(value):
            raise BadRdata("bad-rdata", f"the value of `{_NAMES[key]}` is none")
    mandatory = [number for (number,) in struct.iter_unpack("!H", params.get(MANDATORY, b""))]
    if len(set(mandatory)) < len(mandatory) or MANDATORY in mandatory:
        raise BadRdata("bad-rdata", "`mandatory` names a parameter twice, or itself")
    for number in mandatory:
        if number not in params:
            raise BadRdata("bad-rdata", f"`{_MASTER_NAMES.get(number, f'key{number}')}` is mandatory and missing; write it")
    if NO_DEFAULT_ALPN in params and ALPN not in params:
        raise BadRdata("bad-rdata", "`no-default-alpn` needs `alpn` (RFC 9460 §7.1.1); write it")


@dataclass(frozen=True, slots=True)
class _Form:
    """A named parameter: `read` and `show` between presentation form, its escapes undone, and wire form, which `is_good` judges."""

    read: Callable[[bytes], bytes]
    show: Callable[[bytes], str]
    is_good: Callable[[bytes], bool]


def _read_nothing(value: bytes) -> bytes:
    if value:
        raise BadRdata("bad-svcparam", "takes no value; remove it")
    return value


def _read_mandatory(value: bytes) -> bytes:
    return b"".join(struct.pack("!H", number) for number in sorted(_number(item, _MASTER_NUMBERS) for item in _words(value)))


def _read_strings(value: bytes) -> bytes:
    items = _split_list(value) if value else []
    if any(not 0 < len(item) < 256 for item in items):
        raise BadRdata("bad-svcparam", "has an item that is not 1 to 255 bytes long")
    return b"".join(bytes((len(item),)) + item for item in items)


def _split_list(value: bytes) -> list[bytes]:
    """RFC 9460 appendix A.1: items with commas between them; behind a backslash a byte is itself."""
    items = [bytearray()]
    octets = iter(value)
    for byte in octets:
        if byte == ord(","):
            items.append(bytearray())
        else:
            items[-1].append(next(octets, byte) if byte == ord("\\") else byte)
    return [bytes(item) for item in items]


def _words(value: bytes) -> list[str]:
    """A list of names or addresses, in which nothing is escaped."""
    return value.decode("latin-1").split(",")


def _read_port(value: bytes) -> bytes:
    return U16.take([value.decode("latin-1")], names.ROOT)[0]


def _show_mandatory(value: bytes) -> str:
    return ",".join(_MASTER_NAMES.get(number, f"key{number}") for (number,) in struct.iter_unpack("!H", value))


def _show_strings(value: bytes) -> str:
    return escape_text(b",".join(re.sub(rb"([,\\])", rb"\\\1", item) for item in _counted(value)))


def _is_empty(value: bytes) -> bool:
    return not value


def _is_counted(value: bytes) -> bool:
    items = _counted(value)
    return all(items) and sum(len(item) + 1 for item in items) == len(value)


_FORMS: dict[int, _Form] = {
    MANDATORY: _Form(_read_mandatory, _show_mandatory, lambda value: bool(value) and len(value) % 2 == 0),
    ALPN: _Form(_read_strings, _show_strings, lambda value: bool(value) and _is_counted(value)),
    NO_DEFAULT_ALPN: _Form(_read_nothing, escape_text, _is_empty),
    PORT: _Form(_read_port, lambda value: str(int.from_bytes(value)), lambda value: len(value) == 2),
    IPV4HINT: _Form(
        lambda value: b"".join(_encode_items(IPV4HINT, _words(value))),
        lambda value: ",".join(_show_hints(IPV4HINT, value)),
        lambda value: bool(value) and len(value) % 4 == 0,
    ),
    ECH: _Form(lambda value: _decode_base64(value.decode("latin-1")), lambda value: base64.b64encode(value).decode(), lambda value: True),
    IPV6HINT: _Form(
        lambda value: b"".join(_encode_items(IPV6HINT, _words(value))),
        lambda value: ",".join(_show_hints(IPV6HINT, value)),
        lambda value: bool(value) and len(value) % 16 == 0,
    ),
    OHTTP: _Form(_read_nothing, escape_text, _is_empty),
    DOCPATH: _Form(_read_strings, _show_strings, _is_counted),
}
