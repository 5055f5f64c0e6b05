"""Rdata of every type: from JSON values or presentation tokens to uncompressed wire form, and back.

Three kinds of type stand behind one `Codec`: those that are a row of fields (most of them, and all that are common: a table, fast);
TXT, SVCB and LOC, which have octoDNS's own structured values; and the rest, whose grammar is dnspython's. Types that nobody knows take RFC
3597 §5 form only. Case of names in rdata is kept (RFC 4343 §3).

A, AAAA and CNAME values from JSON are judged in `steerable`, because there octoDNS's verdict binds.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import dns.dnssectypes
import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from geodns.errors import Problem
from geodns.model import loc, names, obsolete, rtypes, steerable, svcb, txt
from geodns.model.fields import (
    BASE64,
    DASH_OR_BASE64,
    HEX,
    IPV4,
    IPV6,
    LOCATOR,
    NAME,
    PERHAPS_BASE64,
    STRING,
    TAG,
    TEXT,
    U8,
    U16,
    U32,
    BadRdata,
    DomainName,
    HardwareAddress,
    Layout,
    Mnemonic,
    text_of,
)
from geodns.model.findings import Findings, quote, token
from geodns.model.names import BadName, Name

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV = 1, 2, 5, 6, 12, 15, 16, 28, 33
NAPTR, DNAME, DS, RRSIG, NSEC, NSEC3, TLSA, SMIMEA, SVCB, HTTPS, SPF, AMTRELAY = 35, 39, 43, 46, 47, 50, 52, 53, 64, 65, 99, 260

MAX_RDATA = 65535  # RFC 1035 §3.2.1: RDLENGTH has 16 bits

STEERABLE = frozenset((A, AAAA, CNAME))
SINGLE_VALUE = frozenset((CNAME, DNAME))  # octoDNS's ValueMixin classes


rtype_from_text = rtypes.from_text
rtype_to_text = rtypes.to_text


class Codec(Protocol):
    """One record type's rdata in its forms. The `from_` methods raise BadRdata or BadName."""

    def from_json(self, value: object, origin: Name) -> tuple[bytes, list[BadRdata]]: ...

    def to_json(self, wire: bytes) -> object: ...

    def from_tokens(self, tokens: Sequence[str], origin: Name) -> bytes: ...

    def to_text(self, wire: bytes) -> str: ...


@dataclass(frozen=True, slots=True)
class FieldCodec:
    """A row of fields."""

    layout: Layout

    def from_json(self, value: object, origin: Name) -> tuple[bytes, list[BadRdata]]:
        layout = self.layout
        if layout.keys and isinstance(value, Mapping):
            wire, faults = layout.from_mapping(value, origin)
        elif len(layout.fields) == 1:
            wire, faults = layout.fields[0].encode(value, origin), []
        else:
            wire, faults = layout.from_tokens(split_tokens(text_of(value)), origin), []
        if not faults and layout.sense and (reason := layout.sense(wire)):
            faults = [BadRdata("bad-rdata", reason)]
        return wire, faults

    def to_json(self, wire: bytes) -> object:
        if self.layout.keys:
            return self.layout.to_mapping(wire)
        return self.layout.fields[0].decode(wire, 0)[0] if len(self.layout.fields) == 1 else self.layout.to_text(wire)

    def from_tokens(self, tokens: Sequence[str], origin: Name) -> bytes:
        wire = self.layout.from_tokens(tokens, origin)
        if self.layout.sense and (reason := self.layout.sense(wire)):
            raise BadRdata("bad-rdata", reason)
        return wire

    def to_text(self, wire: bytes) -> str:
        return self.layout.to_text(wire)


class TextCodec:
    """TXT and its likes."""

    def from_json(self, value: object, origin: Name) -> tuple[bytes, list[BadRdata]]:
        return txt.from_json(text_of(value)), []

    def to_json(self, wire: bytes) -> object:
        return txt.to_json(wire)

    def from_tokens(self, tokens: Sequence[str], origin: Name) -> bytes:
        return txt.from_tokens(tokens)

    def to_text(self, wire: bytes) -> str:
        return txt.to_text(wire)


@dataclass(frozen=True, slots=True)
class PresentationCodec:
    """A type whose grammar is dnspython's; its JSON value is the presentation form."""

    rtype: int

    def from_json(self, value: object, origin: Name) -> tuple[bytes, list[BadRdata]]:
        return self.from_text(text_of(value), origin), []

    def to_json(self, wire: bytes) -> object:
        return self.to_text(wire)

    def from_tokens(self, tokens: Sequence[str], origin: Name) -> bytes:
        return self.from_text(" ".join(tokens), origin)

    def from_text(self, text: str, origin: Name) -> bytes:
        try:
            return dns.rdata.from_text(dns.rdataclass.IN, _dns_type(self.rtype), text, origin=origin, relativize=False).to_wire() or b""
        except (dns.exception.DNSException, ValueError, struct.error) as error:
            raise BadRdata("bad-rdata", f"{quote(text)} is not {rtype_to_text(self.rtype)} rdata: {error}") from None

    def to_text(self, wire: bytes) -> str:
        if _is_unknown_relay(self.rtype, wire):
            return generic_text(wire)
        return dns.rdata.from_wire(dns.rdataclass.IN, _dns_type(self.rtype), wire, 0, len(wire)).to_text()


class SvcbCodec:
    """SVCB and HTTPS: octoDNS's mapping, or presentation form."""

    def from_json(self, value: object, origin: Name) -> tuple[bytes, list[BadRdata]]:
        if isinstance(value, Mapping):
            return svcb.from_mapping(value, origin)
        return self.from_tokens(split_tokens(text_of(value)), origin), []

    def to_json(self, wire: bytes) -> object:
        return svcb.to_mapping(wire)

    def from_tokens(self, tokens: Sequence[str], origin: Name) -> bytes:
        return svcb.from_tokens(tokens, origin)

    def to_text(self, wire: bytes) -> str:
        return svcb.to_text(wire)


class LocCodec(PresentationCodec):
    """LOC: octoDNS's mapping, or presentation form."""

    def from_text(self, text: str, origin: Name) -> bytes:
        wire = PresentationCodec.from_text(self, text, origin)
        if reason := loc.why_not_on_earth(wire):
            raise BadRdata("bad-rdata", f"{quote(text)} is not LOC rdata: {reason}")
        return wire

    def from_json(self, value: object, origin: Name) -> tuple[bytes, list[BadRdata]]:
        if not isinstance(value, Mapping):
            return PresentationCodec.from_json(self, value, origin)
        text, faults = loc.to_presentation(value)
        return (b"", faults) if faults else (self.from_text(text, origin), [])

    def to_json(self, wire: bytes) -> object:
        return loc.to_mapping(wire)


class UnknownCodec:
    """A type without a grammar: RFC 3597 §5 only, which `from_tokens` and `parse_values` have handled before they come here."""

    def from_json(self, value: object, origin: Name) -> tuple[bytes, list[BadRdata]]:
        return self.from_tokens(split_tokens(text_of(value)), origin), []

    def to_json(self, wire: bytes) -> object:
        return self.to_text(wire)

    def from_tokens(self, tokens: Sequence[str], origin: Name) -> bytes:
        raise BadRdata("unknown-type", "the type's fields are not known here; write the rdata as \\# LENGTH HEX (RFC 3597)")

    def to_text(self, wire: bytes) -> str:
        return generic_text(wire)


def generic_text(wire: bytes) -> str:
    """RFC 3597 §5."""
    return f"\\# {len(wire)} {wire.hex()}".rstrip()


def parse_values(rtype: int, values: Sequence[object], *, apex: Name, lenient: bool = False) -> tuple[tuple[bytes, ...], list[Problem]]:
    """Rdatas of JSON values in their order, equal ones once (RFC 2181 §5), and every problem with a pointer such as `/0/exchange`.

    The rdatas are of use only when no problem is an error.
    """
    findings = Findings(lenient)
    rdatas: dict[bytes, bytes] = {}
    for index, value in enumerate(values):
        wire = parse_value(rtype, value, apex, findings, f"/{index}")
        if wire is None:
            continue
        if canonical(rtype, wire) in rdatas:
            findings.warn(f"/{index}", "duplicate-value", f"{quote(value)} stands here twice and counts once; remove one")
        rdatas.setdefault(canonical(rtype, wire), wire)
    return tuple(rdatas.values()), findings.problems


def parse_value(rtype: int, value: object, apex: Name, findings: Findings, pointer: str) -> bytes | None:
    """One JSON value as rdata, or None when it has an error or, leniently, nothing in it; problems go to `findings`."""
    if rtype in STEERABLE:
        parsed = steerable.parse(rtype, value, apex, findings, pointer)
        return parsed.rdata if parsed else None
    try:
        generic = isinstance(value, str) and value.startswith("\\#")
        wire, faults = (from_text(rtype, str(value), apex), []) if generic else codec_of(rtype).from_json(value, apex)
        if len(wire) > MAX_RDATA:
            faults = [BadRdata("rdata-too-long", f"the rdata is {len(wire)} bytes long and {MAX_RDATA} are allowed")]
    except (BadRdata, BadName) as error:
        wire, faults = b"", [BadRdata(error.code, str(error), getattr(error, "pointer", ""))]
    except UnicodeEncodeError:
        wire, faults = b"", [BadRdata("bad-text", "the text has half of a surrogate pair, which is no character; remove it")]
    except (ValueError, RecursionError):  # octoDNS makes texts of numbers; Python makes none of huge ones, or of deep nesting
        wire, faults = b"", [BadRdata("bad-value", f"{quote(value)} is not a value of this type")]
    for fault in faults:
        findings.error(pointer + fault.pointer, fault.code, str(fault))
    if faults:
        return None
    _warn_of_text(rtype, value, findings, pointer)
    _warn_of_relative_names(rtype, value, apex, findings, pointer)
    return wire


def canonical(rtype: int, wire: bytes) -> bytes:
    """The form in which equal rdata are equal (RFC 4034 §6.2): names in the types of old are compared without regard to case."""
    at = _NAMES_FROM.get(rtype)
    return wire if at is None else wire[:at] + wire[at:].lower()


def to_json_values(rtype: int, rdatas: Sequence[bytes]) -> list[object]:
    """Rdatas as the JSON values that the contract shows."""
    codec = codec_of(rtype)
    return [codec.to_json(rdata) for rdata in rdatas]


def to_text(rtype: int, rdata: bytes) -> str:
    """One rdata in presentation form, its names absolute."""
    return codec_of(rtype).to_text(rdata)


def from_text(rtype: int, text: str, origin: Name) -> bytes:
    """One rdata from presentation form. Raises BadRdata."""
    return from_tokens(rtype, split_tokens(text), origin)


def from_tokens(rtype: int, tokens: Sequence[str], origin: Name) -> bytes:
    """One rdata from presentation tokens (see `fields`). Raises BadRdata, its message without the place."""
    try:
        wire = _from_generic(rtype, tokens) if tokens and tokens[0] == "\\#" else codec_of(rtype).from_tokens(tokens, origin)
    except BadName as error:
        raise BadRdata(error.code, str(error)) from None
    except UnicodeEncodeError:
        raise BadRdata("bad-text", "the text has half of a surrogate pair, which is no character; remove it") from None
    if len(wire) > MAX_RDATA:
        raise BadRdata("rdata-too-long", f"the rdata is {len(wire)} bytes long and {MAX_RDATA} are allowed")
    return wire


def split_tokens(text: str) -> list[str]:
    """Presentation text as tokens: white space outside quotes separates them, quotes and escapes stay in them."""
    if '"' not in text and "\\" not in text:
        return text.split()
    tokens: list[str] = []
    current: list[str] = []
    quoted = False
    escaped = False
    for char in text:
        if not quoted and not escaped and char in " \t\r\n":
            if current:
                tokens.append("".join(current))
                current = []
            continue
        current.append(char)
        quoted ^= char == '"' and not escaped
        escaped = char == "\\" and not escaped
    if quoted:
        raise BadRdata("bad-quotes", "a quote is opened and not closed; close it")
    return [*tokens, "".join(current)] if current else tokens


@lru_cache(maxsize=512)
def codec_of(rtype: int) -> Codec:
    """The codec of any type."""
    if rtype in _LAYOUTS:
        return FieldCodec(_LAYOUTS[rtype])
    if rtype in _TEXT_TYPES:
        return TextCodec()
    if rtype in (SVCB, HTTPS):
        return SvcbCodec()
    if rtype == dns.rdatatype.LOC:
        return LocCodec(rtype)
    return PresentationCodec(rtype) if _dnspython_knows(rtype) else UnknownCodec()


def _dns_type(rtype: int) -> dns.rdatatype.RdataType:
    return dns.rdatatype.RdataType.make(rtype)


def _dnspython_knows(rtype: int) -> bool:
    known = dns.rdata.get_rdata_class(dns.rdataclass.IN, _dns_type(rtype))  # type: ignore[no-untyped-call]
    return known is not dns.rdata.GenericRdata


def _from_generic(rtype: int, tokens: Sequence[str]) -> bytes:
    """RFC 3597 §5: `\\# LENGTH HEX…`; for a known type the bytes must be rdata of that type."""
    try:
        length, wire = int(tokens[1]), bytes.fromhex("".join(tokens[2:]))
    except (IndexError, ValueError):
        raise BadRdata("bad-generic-rdata", "write \\# followed by the length in bytes and that many bytes in hexadecimal") from None
    if length != len(wire):
        raise BadRdata("bad-generic-rdata", f"\\# announces {length} bytes and {len(wire)} follow; make them equal")
    if reason := _why_not_wire(rtype, wire):
        raise BadRdata("bad-generic-rdata", reason)
    return wire


def _why_not_wire(rtype: int, wire: bytes) -> str | None:
    """What is wrong with bytes as rdata of a type, by reading them and writing them again."""
    codec = codec_of(rtype)
    if _is_unknown_relay(rtype, wire):
        return None
    try:
        if not isinstance(codec, UnknownCodec) and codec.from_tokens(split_tokens(codec.to_text(wire)), names.ROOT) != wire:
            return f"the bytes are not {rtype_to_text(rtype)} rdata; they have more or less than its fields"
    except (BadRdata, BadName, dns.exception.DNSException, ValueError, IndexError, struct.error) as error:
        return f"the bytes are not {rtype_to_text(rtype)} rdata: {error}"
    return None


def _is_unknown_relay(rtype: int, wire: bytes) -> bool:
    """AMTRELAY of a relay type without a meaning yet, whose relay is opaque (RFC 8777 §4.2.3)."""
    return rtype == AMTRELAY and len(wire) > 1 and wire[1] & 0x7F > 3


_BARE_SEMICOLON = re.compile(r"(?<!\\);")


def _warn_of_text(rtype: int, value: object, findings: Findings, pointer: str) -> None:
    """octoDNS refuses a bare `;` in TXT; here it means itself, and the author is told how to please both."""
    if rtype in _TEXT_TYPES and isinstance(value, str) and _BARE_SEMICOLON.search(value):
        findings.warn(pointer, "bare-semicolon", f"{quote(value)} has a bare `;`, which octoDNS refuses; write it as \\;")


def _warn_of_relative_names(rtype: int, value: object, apex: Name, findings: Findings, pointer: str) -> None:
    """`mail.example.net` without its final dot is a name below the zone, which is seldom what was meant."""
    layout = _LAYOUTS.get(rtype)
    if layout is None:
        return
    if isinstance(value, str):
        written = {"": value} if isinstance(layout.fields[0], DomainName) else {}
    else:
        mapping = value if isinstance(value, Mapping) else {}
        keys = [key for key, kind in zip(layout.keys or (), layout.fields, strict=False) if isinstance(kind, DomainName)]
        written = {f"/{token(key)}": str(mapping.get(key) or mapping.get(layout.aliases.get(key, ""), "")) for key in keys}
    for place, name in written.items():
        steerable.warn_of_relative_name(name, apex, findings, pointer + place)


def _judge_ds(wire: bytes) -> str | None:
    """RFC 4034 §5.1.3, 4509, 6605: the digest types with a fixed length."""
    return _judge_digest(wire, 4, wire[3], {1: 20, 2: 32, 4: 48}, "digest_type")


def _judge_sshfp(wire: bytes) -> str | None:
    """RFC 4255 §3.1.2, 6594 §4.1."""
    return _judge_digest(wire, 2, wire[1], {1: 20, 2: 32}, "fingerprint_type")


def _judge_cds(wire: bytes) -> str | None:
    """RFC 8078 §4: algorithm 0 asks for the deletion of the DS and has a digest of one byte."""
    return None if wire[2] == 0 else _judge_ds(wire)


def _doubt_tlsa(wire: bytes) -> str | None:
    """RFC 6698 §2.1.3. Peers take any length, so it refuses no zone."""
    return _judge_digest(wire, 3, wire[2], {1: 32, 2: 64}, "matching_type")


def _judge_digest(wire: bytes, at: int, kind: int, sizes: Mapping[int, int], key: str) -> str | None:
    size = sizes.get(kind)
    if size is None or len(wire) == at + size:
        return None
    return f"the digest is {len(wire) - at} bytes long, and {key} {kind} has {size}; copy the digest again"


def _doubt_naptr(wire: bytes) -> str | None:
    """RFC 3402 §3.2: delimiter, expression, delimiter, replacement, delimiter, and `i` or nothing."""
    _, _, regexp, *_ = txt.split(wire[4:])
    delimiters = [at for at, byte in enumerate(regexp) if byte == regexp[0] and not _is_escaped(regexp, at)]
    if not regexp or (len(delimiters) == 3 and regexp[delimiters[2] + 1 :] in (b"", b"i")):
        return None
    return "the regexp is no substitution; write !EXPRESSION!REPLACEMENT!"


def _is_escaped(text: bytes, at: int) -> bool:
    return (at - len(text[:at].rstrip(b"\\"))) % 2 == 1


def _doubt_svcb(wire: bytes) -> str | None:
    """RFC 9460 §2.4.2."""
    return (
        "parameters of a record in AliasMode (priority 0) are ignored; remove them" if wire[:2] == b"\0\0" and svcb.split(wire)[1] else None
    )


def _doubt_mx(wire: bytes) -> str | None:
    """RFC 7505 §3: the null MX."""
    return "a null MX (exchange `.`) has preference 0; write 0" if wire[2:] == b"\0" and wire[:2] != b"\0\0" else None


_ONE_NAME = Layout((NAME,))
_PREFERRED_NAME = Layout((U16, NAME))

# RFC 4034 appendix A.1 and what has been added since.
_ALGORITHM = Mnemonic(1, {algorithm.name: algorithm.value for algorithm in dns.dnssectypes.Algorithm})
# BIND's words for RFC 4509, RFC 5933, RFC 6605.
_DIGEST_TYPE = Mnemonic(1, {"SHA1": 1, "SHA-1": 1, "SHA256": 2, "SHA-256": 2, "GOST": 3, "SHA384": 4, "SHA-384": 4})
# RFC 2535 §7.1, with the flags of RFC 4034 §2.1.1 and RFC 5011 §7.
_KEY_FLAGS = Mnemonic(
    2,
    {"NOCONF": 0x4000, "NOAUTH": 0x8000, "NOKEY": 0xC000, "EXTEND": 0x1000, "USER": 0, "ZONE": 0x0100, "HOST": 0x0200, "NTYP3": 0x0300,
     "KSK": 0x0001, "REVOKE": 0x0080} | {f"FLAG{bit}": 0x8000 >> bit for bit in (2, 4, 5, 8, 9, 10, 11)}
    | {f"SIG{number}": number for number in range(16)},
)  # fmt: skip
_PROTOCOL = Mnemonic(1, {"NONE": 0, "TLS": 1, "EMAIL": 2, "DNSSEC": 3, "IPSEC": 4, "ALL": 255})


def _judge_key(wire: bytes) -> str | None:
    """RFC 2535 §3.1.2: both first flags mean that there is no key."""
    return None if len(wire) > 4 or wire[0] & 0xC0 == 0xC0 else "the key is missing; write it in base64"


_DIGEST = Layout((U16, _ALGORITHM, _DIGEST_TYPE, HEX))
_KEY = Layout((_KEY_FLAGS, _PROTOCOL, _ALGORITHM, PERHAPS_BASE64), sense=_judge_key)
_DNSKEY = Layout((_KEY_FLAGS, _PROTOCOL, _ALGORITHM, BASE64))
_TLSA_KEYS = ("certificate_usage", "selector", "matching_type", "certificate_association_data")

_LAYOUTS: dict[int, Layout] = {
    A: Layout((IPV4,)),
    AAAA: Layout((IPV6,)),
    NS: _ONE_NAME,
    CNAME: _ONE_NAME,
    PTR: _ONE_NAME,
    DNAME: _ONE_NAME,
    3: _ONE_NAME,  # MD
    4: _ONE_NAME,  # MF
    7: _ONE_NAME,  # MB
    8: _ONE_NAME,  # MG
    9: _ONE_NAME,  # MR
    13: Layout((STRING, STRING)),  # HINFO
    14: Layout((NAME, NAME)),  # MINFO
    MX: Layout((U16, NAME), ("preference", "exchange"), {"preference": "priority", "exchange": "value"}),
    17: Layout((NAME, NAME)),  # RP
    18: _PREFERRED_NAME,  # AFSDB
    21: _PREFERRED_NAME,  # RT
    23: _ONE_NAME,  # NSAP-PTR
    25: _KEY,  # KEY
    26: Layout((U16, NAME, NAME)),  # PX
    30: Layout((NAME, obsolete.NxtBitmap())),  # NXT
    31: Layout((HEX,)),  # EID
    32: Layout((HEX,)),  # NIMLOC
    SRV: Layout((U16, U16, U16, NAME), ("priority", "weight", "port", "target")),
    NAPTR: Layout((U16, U16, STRING, STRING, STRING, NAME), ("order", "preference", "flags", "service", "regexp", "replacement")),
    34: Layout((obsolete.AtmAddress(),)),  # ATMA
    36: _PREFERRED_NAME,  # KX
    38: Layout((obsolete.A6Body(),)),  # A6
    27: Layout((STRING, STRING, STRING)),  # GPOS
    40: Layout((U8, U8, U8, PERHAPS_BASE64)),  # SINK
    DS: Layout((U16, _ALGORITHM, _DIGEST_TYPE, HEX), ("key_tag", "algorithm", "digest_type", "digest"), sense=_judge_ds),
    44: Layout((U8, U8, HEX), ("algorithm", "fingerprint_type", "fingerprint"), sense=_judge_sshfp),
    49: Layout((BASE64,)),  # DHCID
    48: _DNSKEY,
    TLSA: Layout((U8, U8, U8, HEX), _TLSA_KEYS),
    SMIMEA: Layout((U8, U8, U8, HEX)),
    57: _KEY,  # RKEY
    58: Layout((NAME, NAME)),  # TALINK
    59: Layout((U16, _ALGORITHM, _DIGEST_TYPE, HEX), sense=_judge_cds),  # CDS
    60: _DNSKEY,  # CDNSKEY
    61: Layout((BASE64,)),  # OPENPGPKEY
    104: Layout((U16, LOCATOR)),  # NID
    105: Layout((U16, IPV4)),  # L32
    106: Layout((U16, LOCATOR)),  # L64
    107: _PREFERRED_NAME,  # LP
    108: Layout((HardwareAddress(6),)),  # EUI48
    109: Layout((HardwareAddress(8),)),  # EUI64
    256: Layout((U16, U16, TEXT), ("priority", "weight", "target")),  # URI
    257: Layout((U8, TAG, TEXT), ("flags", "tag", "value"), defaults={"flags": 0}),  # CAA
    259: Layout((U32, U32, U8, STRING, DASH_OR_BASE64)),  # DOA
    32768: _DIGEST,  # TA
    32769: Layout((U16, _ALGORITHM, _DIGEST_TYPE, HEX), sense=_judge_ds),  # DLV
}

# By type what a valid rdata says that its author can hardly mean, as a sentence; it is served as it stands.
DOUBTS: dict[int, Callable[[bytes], str | None]] = {
    MX: _doubt_mx,
    NAPTR: _doubt_naptr,
    TLSA: _doubt_tlsa,
    SMIMEA: _doubt_tlsa,
    SVCB: _doubt_svcb,
    HTTPS: _doubt_svcb,
}

# Where the names of a type's rdata begin, when nothing but names follows; these are compared without regard to case (RFC 4034 §6.2).
_NAMES_FROM = {NS: 0, 3: 0, 4: 0, CNAME: 0, 7: 0, 8: 0, 9: 0, PTR: 0, 14: 0, MX: 2, 17: 0, 18: 2, 21: 2, 26: 2, SRV: 6, 36: 2, DNAME: 0}

_TEXT_TYPES = frozenset((TXT, SPF, 56, 258, 261, 262))  # NINFO, AVC, RESINFO, WALLET
