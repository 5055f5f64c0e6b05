"""Fields of types that nobody should use and that BIND still takes in a zone file: A6, ATMA and NXT.

RFC 2874 §3.1 (A6), AF-SAA-0069 and RFC 2535 §5.2 (NXT). They are kept so that an old zone moves without being edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import AddressValueError, IPv6Address

from geodns.model import names, rtypes
from geodns.model.fields import BadRdata, first, text_of
from geodns.model.findings import quote
from geodns.model.names import Name

_E164, _AESA = 1, 0  # the first byte of an ATM address
_NXT_TYPES = 128  # NXT's bitmap ends before this type


class A6Body:
    """Prefix length, the address's bits behind the prefix, and for a prefix above 0 the name that has them."""

    def encode(self, value: object, origin: Name) -> bytes:
        return self.take(text_of(value).split(), origin)[0]

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        length = wire[at]
        size = (135 - length) // 8
        suffix = IPv6Address(wire[at + 1 : at + 1 + size].rjust(16, b"\0"))
        if length == 0:
            return f"0 {suffix}", at + 1 + size
        name, end = names.wire_to_text(wire, at + 1 + size)
        return (f"128 {name}" if length == 128 else f"{length} {suffix} {name}"), end

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        text = first(tokens)
        if not text.isascii() or not text.isdecimal() or int(text) > 128:
            raise BadRdata("bad-number", f"{quote(text)} is not a prefix length from 0 to 128")
        length, used = int(text), 1
        wire = bytes((length,))
        if length < 128:
            wire += _read_suffix(first(tokens[used:]), length)
            used += 1
        if length > 0:
            wire += names.to_wire(first(tokens[used:]), origin)
            used += 1
        return wire, used

    def show(self, value: object) -> str:
        return str(value)


class AtmAddress:
    """An ATM address: `+` and an E.164 number, or hexadecimal digits."""

    def encode(self, value: object, origin: Name) -> bytes:
        return self.take([text_of(value)], origin)[0]

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        text = f"+{wire[at + 1 :].decode('ascii', 'replace')}" if wire[at] == _E164 else wire[at + 1 :].hex()
        return text, len(wire)

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        text = first(tokens).replace(".", "")
        digits = text.removeprefix("+")
        try:
            octets = digits.encode("ascii") if text != digits else bytes.fromhex(digits)
        except ValueError:
            octets = b""
        if not octets or (text != digits and not digits.isdecimal()):
            raise BadRdata("bad-address", f"{quote(text)} is not an ATM address; write + and digits, or hexadecimal")
        return bytes((_E164 if text != digits else _AESA,)) + octets, 1

    def show(self, value: object) -> str:
        return str(value)


class NxtBitmap:
    """The types that exist at a name, as one bitmap from type 0 on."""

    def encode(self, value: object, origin: Name) -> bytes:
        return self.take(text_of(value).split(), origin)[0]

    def decode(self, wire: bytes, at: int) -> tuple[object, int]:
        octets = wire[at:]
        held = [number for number in range(len(octets) * 8) if octets[number // 8] & (0x80 >> (number % 8))]
        return " ".join(rtypes.to_text(number) for number in held), len(wire)

    def take(self, tokens: Sequence[str], origin: Name) -> tuple[bytes, int]:
        bitmap = bytearray(_NXT_TYPES // 8)
        for token in tokens:
            number = int(token) if token.isascii() and token.isdecimal() else rtypes.from_text(token)
            if number >= _NXT_TYPES:
                raise BadRdata("bad-type", f"{quote(token)} is beyond NXT's bitmap; NSEC has taken its place")
            bitmap[number // 8] |= 0x80 >> (number % 8)
        return bytes(bitmap).rstrip(b"\0"), len(tokens)

    def show(self, value: object) -> str:
        return str(value)


def _read_suffix(text: str, length: int) -> bytes:
    """The bytes of an address from the one on that holds the first bit behind the prefix; that one's earlier bits are zero."""
    try:
        octets = bytearray(IPv6Address(text).packed)
    except AddressValueError:
        raise BadRdata("bad-address", f"{quote(text)} is not an IPv6 address") from None
    skipped = length // 8
    octets[skipped] &= 0xFF >> (length % 8)
    return bytes(octets[skipped:])
