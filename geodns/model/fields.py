"""The fields that rdata is made of, each in its three forms: wire, presentation token, and octoDNS's structured value.

A record type whose rdata is a row of such fields needs nothing but its `Layout` (RFC 1035 §3.3, RFC 2782, RFC 3403, RFC 4034 §5, RFC 4255,
RFC 6698, RFC 7553, RFC 8659); the table is in `rdata`. Types with a grammar of their own (SVCB, LOC, APL, NSEC …) are not built from
fields.

A presentation token is the raw text between white space, quotes and escapes included: `"a b"` is one token with its quotes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Protocol

from geodns.model import names
from geodns.model.findings import quote
from geodns.model.names import BadName, Name

MAX_CHARACTER_STRING = 255  # RFC 1035 §3.3: one length byte


class BadRdata(ValueError):
    """A value that is no rdata of its type; `pointer` leads from the value to the part that is wrong."""

    def __init__(self, code: str, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.pointer = pointer


class Field(Protocol):
    """One field in its forms. Each method that reads raises BadRdata or BadName.

    `take` reads the tokens that belong to the field and returns how many they are; `show` is its reverse. `decode` returns the structured
    value and the offset behind the field.
    """

    def encode(self, value: object, origin: Name) -> bytes: ...

    def decode(self, wire: bytes, at: int) -> tuple[object, int]: ...

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]: ...

    def show(self, value: object) -> str: ...


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned integer of `size` bytes. Structured: what `int()` takes, as octoDNS does."""

    size: int

    def encode(self, value: object, origin: Name) -> bytes:
        return self._pack(whole_number(value), value)

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        return int.from_bytes(wire[at : at + self.size]), at + self.size

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        text = first(tokens)
        return self._pack(int(text) if text.isascii() and text.isdecimal() else None, text), 1

    def show(self, value: object) -> str:
        return str(value)

    def _pack(self, number: int | None, written: object) -> bytes:
        limit = (1 << (8 * self.size)) - 1
        if number is None or not 0 <= number <= limit:
            raise BadRdata("bad-number", f"{quote(written)} is not a whole number from 0 to {limit}")
        return number.to_bytes(self.size)


@dataclass(frozen=True, slots=True)
class Mnemonic(Number):
    """A number that master files may also write as a word; of `flags`, several with `|` between them."""

    words: Mapping[str, int] = field(default_factory=dict)

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        known = [self.words.get(word) for word in first(tokens).upper().split("|")]
        if None in known:
            return Number.take(self, tokens, origin)
        number = 0
        for value in known:
            number |= value or 0
        return self._pack(number, tokens[0]), 1


@dataclass(frozen=True, slots=True)
class DomainName:
    """A domain name, uncompressed, its case kept."""

    def encode(self, value: object, origin: Name) -> bytes:
        if not isinstance(value, str) or not value:
            raise BadRdata("missing-name", f"{quote(value)} is not a domain name; write one with its final dot")
        return names.to_wire(value, origin)

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        return names.wire_to_text(wire, at)

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        text = first(tokens)
        return names.to_wire(text[1:-1] if text[:1] == '"' else text, origin), 1

    def show(self, value: object) -> str:
        return str(value)


_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!\Z)|\Z)){4}\Z")


def pack_ipv4(text: str) -> bytes | None:
    """The rdata of an IPv4 address in its usual spelling, which is the only one that `ipaddress` takes, in a fifth of its time; None for
    what gets its verdict there."""
    return bytes(map(int, text.split("."))) if _IPV4.match(text) else None


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 or IPv6 address."""

    kind: type[IPv4Address] | type[IPv6Address]

    def encode(self, value: object, origin: Name) -> bytes:
        if self.kind is IPv4Address and isinstance(value, str) and (packed := pack_ipv4(value)):
            return packed
        try:
            return self.kind(value if isinstance(value, str) else "").packed
        except AddressValueError:
            family = "IPv4" if self.kind is IPv4Address else "IPv6"
            raise BadRdata("bad-address", f"{quote(value)} is not an {family} address") from None

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        size = 4 if self.kind is IPv4Address else 16
        return str(self.kind(wire[at : at + size])), at + size

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        # Python's addresses may carry a zone (RFC 4007 §11), which is of one machine and no part of the rdata.
        return self.encode(first(tokens).replace("%", " "), origin), 1

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class HardwareAddress:
    """EUI-48 and EUI-64: groups of one or two hexadecimal digits with hyphens between them (RFC 7043 §3.2, §4.2)."""

    size: int

    def encode(self, value: object, origin: Name) -> bytes:
        groups = text_of(value).split("-")
        if len(groups) != self.size or not all(re.fullmatch(r"[0-9A-Fa-f]{1,2}", group) for group in groups):
            raise BadRdata("bad-address", f"{quote(value)} is not {self.size} pairs of hexadecimal digits with hyphens between them")
        return bytes(int(group, 16) for group in groups)

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        return wire[at : at + self.size].hex("-"), at + self.size

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        return self.encode(first(tokens), origin), 1

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class CharacterString:
    """RFC 1035 §3.3 <character-string>; with `pattern` only such bytes, and at least one."""

    pattern: re.Pattern[bytes] | None = None

    def encode(self, value: object, origin: Name) -> bytes:
        return self._pack(unescape_text(text_of(value)))

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        end = at + 1 + wire[at]
        return escape_text(wire[at + 1 : end]), end

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        return self._pack(unquote(first(tokens))), 1

    def show(self, value: object) -> str:
        return str(value) if self.pattern else f'"{quotable(str(value))}"'

    def _pack(self, text: bytes) -> bytes:
        if len(text) > MAX_CHARACTER_STRING:
            raise BadRdata("string-too-long", f"the text is {len(text)} bytes long and {MAX_CHARACTER_STRING} are allowed; shorten it")
        if self.pattern and not self.pattern.fullmatch(text):
            raise BadRdata("bad-tag", f"{quote(escape_text(text))} is not a tag; write letters and digits")
        return bytes((len(text),)) + text


@dataclass(frozen=True, slots=True)
class RemainingText:
    """Text up to the end of the rdata without a length byte (RFC 7553 §4.4, RFC 8659 §4.1)."""

    def encode(self, value: object, origin: Name) -> bytes:
        return unescape_text(text_of(value))

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        return escape_text(wire[at:]), len(wire)

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        return unquote(first(tokens)), 1

    def show(self, value: object) -> str:
        return f'"{quotable(str(value))}"'


@dataclass(frozen=True, slots=True)
class Digits:
    """Bytes up to the end of the rdata, in hexadecimal or base64; in presentation form white space may stand between the digits."""

    name: str
    to_bytes: Callable[[str], bytes]
    to_digits: Callable[[bytes], str]
    # What stands for no bytes at all; None where there must be some.
    nothing: str | None = None

    def encode(self, value: object, origin: Name) -> bytes:
        return self._unpack(str(value))

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        return self.to_digits(wire[at:]) or self.nothing or "", len(wire)

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        return self._unpack("".join(tokens)), len(tokens)

    def show(self, value: object) -> str:
        return str(value)

    def _unpack(self, text: str) -> bytes:
        if text == self.nothing:
            return b""
        try:
            octets = self.to_bytes("".join(text.split()))
        except (binascii.Error, ValueError):
            octets = b""
        if not octets:
            raise BadRdata("bad-digits", f"{quote(text)} is not {self.name}")
        return octets


@dataclass(frozen=True, slots=True)
class Locator:
    """64 bits as four groups of hexadecimal digits, leading zeros optional (RFC 6742 §2.1.2)."""

    def encode(self, value: object, origin: Name) -> bytes:
        groups = text_of(value).split(":")
        if len(groups) != 4 or not all(re.fullmatch(r"[0-9A-Fa-f]{1,4}", group) for group in groups):
            raise BadRdata("bad-locator", f"{quote(value)} is not four groups of hexadecimal digits with colons between them")
        return b"".join(int(group, 16).to_bytes(2) for group in groups)

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        return ":".join(wire[place : place + 2].hex() for place in range(at, at + 8, 2)), at + 8

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        return self.encode(first(tokens), origin), 1

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Layout:
    """A record type's rdata as a row of fields.

    `keys` are the names of octoDNS's structured value, None where octoDNS has no class for the type or its value is the one field itself.
    `aliases` maps a key to an older name that octoDNS still takes, `defaults` to what stands for an absent one. `sense` judges the
    finished rdata and returns what is wrong with it.
    """

    fields: tuple[Field, ...]
    keys: tuple[str, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    sense: Callable[[bytes], str | None] | None = None

    def from_mapping(self, value: Mapping[str, object], origin: Name) -> tuple[bytes, list[BadRdata]]:
        """Wire form of a structured value, and every fault of its fields; the wire form is of use only without faults."""
        parts: list[bytes] = []
        faults: list[BadRdata] = []
        for key, kind in zip(self.keys or (), self.fields, strict=True):
            try:
                parts.append(kind.encode(self._pick(value, key), origin))
            except (BadRdata, BadName) as error:
                faults.append(BadRdata(error.code, str(error), f"/{key}"))
        return b"".join(parts), faults

    def to_mapping(self, wire: bytes) -> dict[str, object]:
        return dict(zip(self.keys or (), self._decode(wire), strict=True))

    def from_tokens(self, tokens: Sequence[str], origin: Name) -> bytes:
        if len(self.fields) == 1:
            wire, used = self.fields[0].take(tokens, origin)
        else:
            tokens = split_at_quotes(tokens)
            used, parts = 0, []
            for kind in self.fields:
                part, taken = kind.take(tokens[used:], origin)
                parts.append(part)
                used += taken
            wire = b"".join(parts)
        if used < len(tokens):
            raise BadRdata("extra-rdata", f"{quote(tokens[used])} is too much; the type has {len(self.fields)} field(s)")
        return wire

    def to_text(self, wire: bytes) -> str:
        return " ".join([kind.show(value) for kind, value in zip(self.fields, self._decode(wire), strict=True)])

    def _decode(self, wire: bytes) -> list[object]:
        values: list[object] = []
        at = 0
        for kind in self.fields:
            value, at = kind.decode(wire, at)
            values.append(value)
        return values

    def _pick(self, value: Mapping[str, object], key: str) -> object:
        for name in (key, self.aliases.get(key)):
            if name is not None and value.get(name) is not None:
                return value[name]
        if key in self.defaults:
            return self.defaults[key]
        raise BadRdata("missing-field", f"`{key}` is missing")


def first(tokens: Sequence[str]) -> str:
    """The next token. Raises BadRdata when there is none."""
    if not tokens:
        raise BadRdata("short-rdata", "a field is missing")
    return tokens[0]


def whole_number(value: object) -> int | None:
    """What octoDNS's `int(value)` gives, or None where that raises. Fractions are cut off, as there."""
    if not isinstance(value, int | float | str):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None


def text_of(value: object) -> str:
    if not isinstance(value, str):
        raise BadRdata("bad-text", f"{quote(value)} is not a text; put it in quotes")
    return value


_ESCAPE = re.compile(r'\\(\d\d\d|["\\;])')


def unescape_text(text: str) -> bytes:
    """Bytes of a structured text: `\\DDD`, `\\\\`, `\\"` and `\\;` are escapes, any other backslash is one (NAPTR's `\\1` is common)."""
    if "\\" not in text:
        return text.encode()
    octets = bytearray()
    at = 0
    for match in _ESCAPE.finditer(text):
        octets += text[at : match.start()].encode()
        escaped = match[1]
        if len(escaped) == 3 and int(escaped) > 255:
            raise BadRdata("bad-escape", f"\\{escaped} is not a byte; write 000 to 255")
        octets += bytes((int(escaped),)) if len(escaped) == 3 else escaped.encode()
        at = match.end()
    return bytes(octets + text[at:].encode())


def escape_text(octets: bytes) -> str:
    """The reverse of `unescape_text`."""
    if b"\\" not in octets and octets.isascii() and (text := octets.decode()).isprintable():
        return text
    return "".join("\\\\" if byte == 0x5C else chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}" for byte in octets)


def quotable(escaped: str) -> str:
    """A text from `escape_text` as it may stand between quotes."""
    return escaped.replace('"', '\\"')


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|(?:[^"\\]|\\.)+', re.DOTALL)


def split_at_quotes(tokens: Sequence[str]) -> list[str]:
    """Tokens in which each quoted string stands alone: `"a""b"` is two character-strings."""
    return [piece for token in tokens for piece in (_PIECE.findall(token) if '"' in token[1:-1] else (token,))]


def unquote(token: str) -> bytes:
    """The bytes of a presentation token, quoted or not (RFC 1035 §5.1). Surrogates are bytes that a file had and UTF-8 lacks."""
    text = token[1:-1] if len(token) > 1 and token[0] == '"' == token[-1] else token
    if "\\" not in text:
        return text.encode(errors="surrogateescape")
    octets = bytearray()
    at = 0
    while at < len(text):
        if text[at] == "\\":
            try:
                byte, at = names.unescape(text, at)
            except BadName as error:
                raise BadRdata(error.code, str(error)) from None
            octets.append(byte)
        else:
            octets += text[at].encode(errors="surrogateescape")
            at += 1
    return bytes(octets)


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _to_base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


U8, U16, U32 = Number(1), Number(2), Number(4)
NAME = DomainName()
STRING = CharacterString()
TAG = CharacterString(re.compile(rb"[A-Za-z0-9]+"))
TEXT = RemainingText()
HEX = Digits("hexadecimal", bytes.fromhex, bytes.hex)
BASE64 = Digits("base64", _from_base64, _to_base64)
PERHAPS_BASE64 = Digits("base64", _from_base64, _to_base64, nothing="")
DASH_OR_BASE64 = Digits("base64", _from_base64, _to_base64, nothing="-")
IPV4, IPV6 = Address(IPv4Address), Address(IPv6Address)
LOCATOR = Locator()
